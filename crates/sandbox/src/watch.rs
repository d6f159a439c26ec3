//! Watches what a job takes where no control group does it: looks at its processes in `/proc`.
//!
//! Called by the jail step, several times a second. A job can take more between two looks; the limits of single processes hold then.
//! What cannot be read counts as nothing.

use std::fs;
use std::time::Duration;

use rustix::process::{Pid, getpid};

use crate::job::Limits;

/// Between two looks.
pub(crate) const PERIOD: Duration = Duration::from_millis(100);

/// Whoever has more has gone too far anyway.
const MOST_LOOKED_AT: usize = 20_000;

/// Which processes are the job's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// All that `/proc` shows but the first, which is init: that of a PID namespace.
    AllInside,
    /// All below this process' only child, which is init.
    Descendants,
}

/// What went too far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Excess {
    Memory,
    Processes,
}

/// The limits of one job and what has been seen of it.
#[derive(Debug)]
pub(crate) struct Watch {
    whose: Whose,
    memory: Option<u64>,
    processes: Option<u64>,
    page_size: u64,
    /// Most memory seen, in bytes.
    pub(crate) peak: u64,
}

impl Watch {
    /// `None` if there is nothing to watch: everything is limited by the kernel (`counted` tells whether processes are).
    pub(crate) fn over(whose: Whose, limits: &Limits, counted: bool) -> Option<Watch> {
        let processes = limits.processes.filter(|_| !counted);
        (limits.job_memory_bytes.is_some() || processes.is_some()).then(|| Watch {
            whose,
            memory: limits.job_memory_bytes,
            processes,
            page_size: rustix::param::page_size() as u64,
            peak: 0,
        })
    }

    /// Looks once.
    pub(crate) fn look(&mut self) -> Option<Excess> {
        let processes = match self.whose {
            Whose::AllInside => all_inside(),
            Whose::Descendants => descendants(),
        };
        let (mut memory, mut tasks) = (0u64, 0u64);
        for &pid in &processes {
            let statm = fs::read_to_string(format!("/proc/{}/statm", pid.as_raw_pid()));
            let pages = private_pages(&statm.unwrap_or_default());
            memory = memory.saturating_add(pages.saturating_mul(self.page_size));
            tasks = tasks.saturating_add(self.processes.map_or(0, |_| threads(pid)));
        }
        self.peak = self.peak.max(memory);
        if self.memory.is_some_and(|most| memory > most) {
            return Some(Excess::Memory);
        }
        self.processes
            .is_some_and(|most| tasks > most)
            .then_some(Excess::Processes)
    }
}

/// Resident pages that are not of files: those many processes have in common anyway.
fn private_pages(statm: &str) -> u64 {
    let mut numbers = statm
        .split_ascii_whitespace()
        .map(|number| number.parse().unwrap_or(0u64));
    let (_size, resident, shared) = (numbers.next(), numbers.next(), numbers.next());
    resident.unwrap_or(0).saturating_sub(shared.unwrap_or(0))
}

fn threads(pid: Pid) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{}/task", pid.as_raw_pid()));
    tasks.map_or(1, |tasks| tasks.take(MOST_LOOKED_AT).count() as u64)
}

fn all_inside() -> Vec<Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?))
        .filter(|pid| pid.as_raw_pid() != 1)
        .take(MOST_LOOKED_AT)
        .collect()
}

fn descendants() -> Vec<Pid> {
    // Init, and then what is below it; before the end of init nothing else is ours.
    let mut open = children(getpid());
    let mut found: Vec<Pid> = Vec::new();
    let init = open.clone();
    while let Some(pid) = open.pop() {
        if found.len() >= MOST_LOOKED_AT {
            break;
        }
        if !init.contains(&pid) {
            found.push(pid);
        }
        open.extend(children(pid));
    }
    found
}

/// Children of all threads of a process.
fn children(pid: Pid) -> Vec<Pid> {
    let tasks = fs::read_dir(format!("/proc/{}/task", pid.as_raw_pid()));
    let mut children = Vec::new();
    for task in tasks.into_iter().flatten().flatten() {
        let list = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        children.extend(
            list.split_ascii_whitespace()
                .filter_map(|pid| Pid::from_raw(pid.parse().ok()?)),
        );
    }
    children
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_of_files_does_not_count() {
        assert_eq!(private_pages("1000 300 120 1 0 5 0\n"), 180);
        assert_eq!(private_pages(""), 0);
        assert_eq!(private_pages("9 1 5"), 0);
    }

    #[test]
    fn nothing_is_watched_that_the_kernel_limits() {
        let limits = Limits {
            processes: Some(5),
            ..Limits::default()
        };
        assert!(Watch::over(Whose::AllInside, &limits, true).is_none());
        let watch = Watch::over(Whose::Descendants, &limits, false).expect("processes");
        assert_eq!((watch.memory, watch.processes), (None, Some(5)));
        let limits = Limits {
            job_memory_bytes: Some(1),
            ..Limits::default()
        };
        assert!(Watch::over(Whose::AllInside, &limits, true).is_some());
    }

    #[test]
    fn children_are_seen_and_their_memory() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .expect("sleep");
        let pid = Pid::from_child(&child);
        assert!(children(getpid()).contains(&pid));
        assert_eq!(threads(pid), 1);
        child.kill().expect("own child");
        child.wait().expect("own child");
    }
}
