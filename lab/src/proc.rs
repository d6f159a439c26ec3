//! What `/proc` says about running processes: their children, environment, mounts, root.
//!
//! Used to hold a compiler in the middle of a job and to find what a cluster left behind. Processes come and go while
//! one reads, so everything that cannot be read counts as absent.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// One process, told apart from a later one with the same number by its start time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ProcessId {
    /// Process number.
    pub pid: i32,
    /// Start time in clock ticks since boot.
    pub started: u64,
}

/// What `/proc/PID/stat` tells.
#[derive(Clone, Debug)]
struct Stat {
    name: String,
    state: char,
    parent: i32,
    started: u64,
}

impl ProcessId {
    /// The process that has this number now.
    pub fn of(pid: i32) -> Option<ProcessId> {
        let stat = stat(pid)?;
        Some(ProcessId {
            pid,
            started: stat.started,
        })
    }

    /// Whether it still runs; one that has ended but was not waited for yet does not.
    pub fn is_alive(&self) -> bool {
        stat(self.pid).is_some_and(|stat| stat.started == self.started && stat.state != 'Z')
    }

    /// Sends a signal, if it is still this process.
    pub fn signal(&self, signal: Signal) {
        if self.is_alive()
            && let Some(pid) = Pid::from_raw(self.pid)
        {
            let _ = kill_process(pid, signal);
        }
    }

    /// Whether it is stopped by a signal.
    pub fn is_stopped(&self) -> bool {
        stat(self.pid).is_some_and(|stat| stat.started == self.started && stat.state == 'T')
    }

    /// How long ago it started.
    pub fn age(&self) -> Duration {
        let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
        let uptime: f64 = uptime
            .split_ascii_whitespace()
            .next()
            .and_then(|word| word.parse().ok())
            .unwrap_or(0.0);
        let ticks = rustix::param::clock_ticks_per_second();
        let started = self.started as f64 / ticks as f64;
        Duration::try_from_secs_f64(uptime - started).unwrap_or_default()
    }

    /// Whether the file it runs is called `name`.
    pub fn runs(&self, name: &str) -> bool {
        fs::read_link(format!("/proc/{}/exe", self.pid))
            .is_ok_and(|program| program.file_name().is_some_and(|last| last == name))
    }

    /// Name and command line, for people.
    pub fn describe(&self) -> String {
        let name = stat(self.pid).map(|stat| stat.name).unwrap_or_default();
        let words = fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        let words = String::from_utf8_lossy(&words).replace('\0', " ");
        format!("{} {name}: {}", self.pid, words.trim())
    }
}

/// All process numbers.
pub fn all() -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// Everything that descends from `pid`, without `pid` itself.
pub fn descendants(pid: i32) -> Vec<ProcessId> {
    let stats: Vec<(i32, Stat)> = all()
        .into_iter()
        .filter_map(|pid| Some((pid, stat(pid)?)))
        .collect();
    let mut family = HashSet::from([pid]);
    let mut found = Vec::new();
    loop {
        let before = found.len();
        for (pid, stat) in &stats {
            if family.contains(&stat.parent) && family.insert(*pid) {
                found.push(ProcessId {
                    pid: *pid,
                    started: stat.started,
                });
            }
        }
        if found.len() == before {
            return found;
        }
    }
}

/// The descendants of `pid` whose program name is one of `names`.
pub fn descendants_named(pid: i32, names: &[&str]) -> Vec<ProcessId> {
    descendants(pid)
        .into_iter()
        .filter(|id| stat(id.pid).is_some_and(|stat| names.contains(&stat.name.as_str())))
        .collect()
}

/// The file system as process `pid` sees it.
pub fn root_of(pid: i32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/root"))
}

/// Processes that were started with the variable `name` set to `value`.
pub fn with_variable(name: &str, value: &str) -> Vec<ProcessId> {
    let wanted = format!("{name}={value}");
    all()
        .into_iter()
        .filter(|pid| {
            fs::read(format!("/proc/{pid}/environ")).is_ok_and(|text| {
                text.split(|byte| *byte == 0)
                    .any(|variable| variable == wanted.as_bytes())
            })
        })
        .filter_map(ProcessId::of)
        .filter(ProcessId::is_alive)
        .collect()
}

/// Processes that belong to a cluster: by `marker` in their environment, or because their program, working folder, root
/// or a mount lies below `folder`. Mounts that we see ourselves tell nothing: everybody may see them.
pub fn belonging_to(marker: &str, folder: &Path) -> Vec<ProcessId> {
    let folder_bytes = folder.as_os_str().as_encoded_bytes();
    let mounts_tell =
        fs::read("/proc/self/mountinfo").is_ok_and(|own| !contains(&own, folder_bytes));
    all()
        .into_iter()
        .filter(|pid| u32::try_from(*pid) != Ok(std::process::id()))
        .filter(|pid| {
            let has = |file: &str, needle: &[u8]| {
                fs::read(format!("/proc/{pid}/{file}")).is_ok_and(|text| contains(&text, needle))
            };
            has("environ", marker.as_bytes())
                || ["exe", "cwd", "root"].iter().any(|link| {
                    fs::read_link(format!("/proc/{pid}/{link}"))
                        .is_ok_and(|to: PathBuf| to.starts_with(folder))
                })
                || mounts_tell && has("mountinfo", folder_bytes)
        })
        .filter_map(ProcessId::of)
        .filter(ProcessId::is_alive)
        .collect()
}

fn contains(text: &[u8], needle: &[u8]) -> bool {
    !needle.is_empty() && text.windows(needle.len()).any(|part| part == needle)
}

fn stat(pid: i32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The name stands in brackets and may itself hold blanks and brackets, so the line is split at the last one.
fn parse_stat(line: &str) -> Option<Stat> {
    let (head, tail) = line.rsplit_once(") ")?;
    let (_, name) = head.split_once('(')?;
    let fields: Vec<&str> = tail.split_ascii_whitespace().collect();
    Some(Stat {
        name: name.to_owned(),
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_name_with_brackets() {
        let line = "12 (a) b (c)) S 7 12 12 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 100 1";
        let stat = parse_stat(line).unwrap();
        assert_eq!(
            (stat.name.as_str(), stat.state, stat.parent, stat.started),
            ("a) b (c)", 'S', 7, 4711)
        );
    }

    #[test]
    fn finds_a_child_and_sees_it_end() {
        let mut child = std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let own = i32::try_from(std::process::id()).unwrap();
        let id = descendants(own)
            .into_iter()
            .find(|id| u32::try_from(id.pid) == Ok(child.id()))
            .unwrap();
        assert!(id.is_alive());
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(!id.is_alive());
    }
}
