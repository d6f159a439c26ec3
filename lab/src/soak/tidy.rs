//! What daemons hold when nobody builds: it must be the same after all troubles as before.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::cluster::Cluster;
use crate::daemon::Daemon;
use crate::proc;
use crate::wait;

/// The last connections to machines that vanished are given up after 40 s.
const QUIET: Duration = Duration::from_secs(75);

/// What one daemon holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Holdings {
    /// Open descriptors by kind.
    descriptors: BTreeMap<String, usize>,
    /// Programs below it.
    children: usize,
    /// Names in its base folder, without toolchains.
    base: BTreeSet<String>,
}

/// What all daemons hold, once they are quiet: no client, no job, as the scheduler and they themselves say.
pub(crate) fn quiet(cluster: &mut Cluster) -> Result<Vec<Holdings>> {
    let mut last = String::new();
    wait::until_slowly(QUIET, "a quiet cluster", || {
        last = unrest(cluster)?;
        Ok(last.is_empty().then_some(()))
    })
    .with_context(|| format!("not quiet: {last}"))?;
    cluster.daemons().iter().map(holdings).collect()
}

/// Waits until all daemons hold what they held `before`.
pub(crate) fn back_to(before: &[Holdings], cluster: &mut Cluster) -> Result<()> {
    let mut last = String::new();
    wait::until_slowly(QUIET, "everything to be given back", || {
        last = unrest(cluster)?;
        for (daemon, before) in cluster.daemons().iter().zip(before) {
            let now = holdings(daemon)?;
            if now != *before {
                last.push_str(&format!(
                    "{} held\n  {before:?} and holds\n  {now:?}\n",
                    daemon.name()
                ));
            }
        }
        Ok(last.is_empty().then_some(()))
    })
    .with_context(|| last.clone())
}

/// What is going on, in words; empty if nothing is.
fn unrest(cluster: &Cluster) -> Result<String> {
    let mut text = String::new();
    for index in 0..cluster.scheduler_count() {
        // A scheduler that was not chosen knows nobody, and its daemons are looked at elsewhere.
        let mut control = cluster.control_of(index)?;
        for line in control.command("listcs")?.lines() {
            if line.contains(" jobs=") && !line.contains(" jobs=0/") {
                text.push_str(&format!("scheduler {index} says {}; ", line.trim()));
            }
        }
        for daemon in cluster.daemons() {
            let internals = control.command(&format!("internals {}", daemon.name()))?;
            for line in internals.lines().map(str::trim) {
                let client = line.starts_with("client ");
                let kids =
                    line.starts_with("Current kids:") && !line.starts_with("Current kids: 0 ");
                if client || kids {
                    text.push_str(&format!("{} says {line}; ", daemon.name()));
                }
            }
        }
    }
    Ok(text)
}

fn holdings(daemon: &Daemon) -> Result<Holdings> {
    let pid = daemon.process()?.pid();
    let mut descriptors = BTreeMap::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        let Ok(to) = fs::read_link(entry?.path()) else {
            continue;
        };
        *descriptors.entry(kind(&to)).or_insert(0) += 1;
    }
    if descriptors.is_empty() {
        bail!("the descriptors of {} cannot be seen", daemon.name());
    }
    Ok(Holdings {
        descriptors,
        children: proc::descendants(pid).len(),
        base: below(&daemon.base_dir())?,
    })
}

/// Names of the toolchains that workers have.
pub(crate) fn toolchains(workers: &[Daemon]) -> BTreeSet<String> {
    let folders = workers.iter().map(|worker| {
        let all = worker.base_dir().join("toolchains");
        all.join(std::env::consts::ARCH)
    });
    folders
        .filter_map(|folder| fs::read_dir(folder).ok())
        .flat_map(|entries| entries.flatten())
        .map(|entry| file_name(&entry.path()))
        .collect()
}

/// `socket:[4711]` and `anon_inode:[eventfd]` without numbers, files by their path.
fn kind(to: &Path) -> String {
    let text = to.to_string_lossy();
    match text.split_once(":[") {
        Some((kind, rest)) if rest.starts_with(|c: char| c.is_ascii_digit()) => kind.to_owned(),
        // The group of a daemon's jobs has its process number in its name.
        _ if to.starts_with("/sys/fs/cgroup") => "cgroup".to_owned(),
        // Where the lab collects what a program prints has a new name at each start.
        _ => match to.extension() {
            Some(suffix) if suffix == "out" || suffix == "err" => "printed".to_owned(),
            _ => text.into_owned(),
        },
    }
}

/// Names in the base folder and its folders, but those of toolchains.
fn below(base: &Path) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(base)? {
        let path = entry?.path();
        let name = file_name(&path);
        if path.is_dir() && !name.starts_with("target=") {
            for inner in fs::read_dir(&path).into_iter().flatten().flatten() {
                names.insert(format!("{name}/{}", file_name(&inner.path())));
            }
        }
        names.insert(name);
    }
    Ok(names)
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_told_apart_by_kind() {
        for (link, expected) in [
            ("socket:[4711]", "socket"),
            ("pipe:[1]", "pipe"),
            ("anon_inode:[eventpoll]", "anon_inode:[eventpoll]"),
            ("/var/log/x", "/var/log/x"),
            ("/var/tmp/lab/host/12.err", "printed"),
        ] {
            assert_eq!(kind(Path::new(link)), expected);
        }
    }
}
