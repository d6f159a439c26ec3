//! The control group of one job: made before it, asked and removed after it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::{Controller, Kind};
use crate::job::Limits;

/// Processes that have been killed need a moment to leave. One that hangs in the kernel longer keeps the group until the next start.
const LONGEST_REMOVAL: Duration = Duration::from_secs(2);

/// A folder of the group in one hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Branch {
    pub(super) path: PathBuf,
    pub(super) controllers: Vec<Controller>,
}

/// What the kernel says of a group when its job is over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Readings {
    /// Most memory at any time, in bytes.
    pub(crate) peak: Option<u64>,
    /// Whether the kernel killed processes of the group for want of memory.
    pub(crate) out_of_memory: bool,
    /// Whether memory was refused, for kernels that do not count kills.
    pub(crate) at_limit: bool,
}

/// A job's group. Dropping it kills whatever is in it and removes it.
#[derive(Debug)]
pub(crate) struct Group {
    kind: Kind,
    branches: Vec<Branch>,
}

impl Group {
    /// Makes the group of this name below each of the branches.
    pub(super) fn make(
        kind: Kind,
        parents: &[Branch],
        name: &str,
        limits: &Limits,
    ) -> io::Result<Group> {
        let mut group = Group {
            kind,
            branches: Vec::new(),
        };
        for parent in parents {
            let path = parent.path.join(name);
            fs::create_dir(&path)?;
            group.branches.push(Branch {
                path,
                controllers: parent.controllers.clone(),
            });
        }
        group.limit(limits)?;
        Ok(group)
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// Descriptors through which a process moves itself in by writing `0`; for version 2 the folder comes first, for a
    /// process that is made inside.
    pub(crate) fn doors(&self) -> io::Result<Vec<OwnedFd>> {
        let mut doors = Vec::new();
        for branch in &self.branches {
            if self.kind == Kind::V2 {
                doors.push(File::open(&branch.path)?.into());
            }
            let door = OpenOptions::new()
                .write(true)
                .open(branch.path.join("cgroup.procs"))?;
            doors.push(door.into());
        }
        Ok(doors)
    }

    pub(crate) fn readings(&self) -> Readings {
        let Some(memory) = self.with(Controller::Memory) else {
            return Readings::default();
        };
        let number = |name: &str| -> Option<u64> {
            let text = fs::read_to_string(memory.join(name)).ok()?;
            text.trim().parse().ok()
        };
        let events = |name: &str| fs::read_to_string(memory.join(name)).unwrap_or_default();
        match self.kind {
            Kind::V2 => Readings {
                peak: number("memory.peak"),
                out_of_memory: count(&events("memory.events"), "oom_kill") > 0,
                at_limit: false,
            },
            Kind::V1 => Readings {
                peak: number("memory.max_usage_in_bytes"),
                out_of_memory: count(&events("memory.oom_control"), "oom_kill") > 0,
                at_limit: number("memory.failcnt").is_some_and(|count| count > 0),
            },
        }
    }

    /// Kills every process in the group.
    pub(crate) fn kill(&self) {
        for branch in &self.branches {
            kill_all(&branch.path);
        }
    }

    fn limit(&self, limits: &Limits) -> io::Result<()> {
        if let (Some(memory), Some(bytes)) =
            (self.with(Controller::Memory), limits.job_memory_bytes)
        {
            match self.kind {
                Kind::V2 => {
                    write(memory, "memory.max", bytes)?;
                    // Without swap, and half a compiler is of no use. Kernels without either are content with less.
                    let _ = write(memory, "memory.swap.max", 0);
                    let _ = write(memory, "memory.oom.group", 1);
                }
                Kind::V1 => write(memory, "memory.limit_in_bytes", bytes)?,
            }
        }
        if let (Some(pids), Some(count)) = (self.with(Controller::Pids), limits.processes) {
            write(pids, "pids.max", count)?;
        }
        Ok(())
    }

    fn with(&self, controller: Controller) -> Option<&Path> {
        self.branches
            .iter()
            .find(|branch| branch.controllers.contains(&controller))
            .map(|branch| branch.path.as_path())
    }

    fn remove(&mut self) {
        let until = Instant::now() + LONGEST_REMOVAL;
        loop {
            self.branches
                .retain(|branch| fs::remove_dir(&branch.path).is_err() && branch.path.exists());
            if self.branches.is_empty() || Instant::now() > until {
                return;
            }
            self.kill();
            // The end of a killed process cannot be awaited from here: it is not our child.
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Whether the group there limits processes although it was asked to.
pub(super) fn write(folder: &Path, file: &str, value: impl ToString) -> io::Result<()> {
    // Not created if missing: a folder of ours that is no control group is a mistake.
    let mut opened = OpenOptions::new().write(true).open(folder.join(file))?;
    io::Write::write_all(&mut opened, value.to_string().as_bytes())
}

/// Kills what is in one folder, at once where the kernel can do that.
pub(super) fn kill_all(folder: &Path) {
    if write(folder, "cgroup.kill", 1).is_ok() {
        return;
    }
    let listed = || -> Vec<Pid> {
        let list = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
        list.split_ascii_whitespace()
            .filter_map(|pid| Pid::from_raw(pid.parse().ok()?))
            .collect()
    };
    let opened: Vec<_> = listed()
        .into_iter()
        .filter_map(|pid| Some((pid, pidfd_open(pid, PidfdFlags::empty()).ok()?)))
        .collect();
    // An id listed before and after it was opened belongs to a process of the group and to no other.
    let still = listed();
    for (pid, process) in opened {
        if still.contains(&pid) {
            let _ = pidfd_send_signal(&process, Signal::KILL);
        }
    }
}

/// The number in the line of this name.
fn count(text: &str, name: &str) -> u64 {
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(key, _)| *key == name)
        .and_then(|(_, value)| value.trim().parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder that looks like a group; the kernel's files are made beforehand.
    fn fake(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::write(folder.path().join(name), content).unwrap();
        }
        folder
    }

    fn group(kind: Kind, folder: &Path) -> std::mem::ManuallyDrop<Group> {
        std::mem::ManuallyDrop::new(Group {
            kind,
            branches: vec![Branch {
                path: folder.to_owned(),
                controllers: Controller::ALL.to_vec(),
            }],
        })
    }

    const LIMITS: Limits = Limits {
        memory_bytes: None,
        job_memory_bytes: Some(1 << 30),
        processes: Some(17),
        file_size: None,
        cpu_seconds: None,
    };

    #[test]
    fn limits_are_written_where_each_version_wants_them() {
        let text = |folder: &tempfile::TempDir, name: &str| {
            fs::read_to_string(folder.path().join(name)).unwrap()
        };
        let v2 = fake(&[
            ("memory.max", ""),
            ("memory.swap.max", ""),
            ("memory.oom.group", ""),
            ("pids.max", ""),
        ]);
        group(Kind::V2, v2.path()).limit(&LIMITS).unwrap();
        assert_eq!(text(&v2, "memory.max"), "1073741824");
        assert_eq!(text(&v2, "memory.swap.max"), "0");
        assert_eq!(text(&v2, "memory.oom.group"), "1");
        assert_eq!(text(&v2, "pids.max"), "17");
        let v1 = fake(&[("memory.limit_in_bytes", ""), ("pids.max", "")]);
        group(Kind::V1, v1.path()).limit(&LIMITS).unwrap();
        assert_eq!(text(&v1, "memory.limit_in_bytes"), "1073741824");
        // No group at all: an error, and no file made.
        let none = fake(&[]);
        assert!(group(Kind::V2, none.path()).limit(&LIMITS).is_err());
        assert_eq!(fs::read_dir(none.path()).unwrap().count(), 0);
    }

    #[test]
    fn out_of_memory_is_read_from_each_version() {
        let v2 = fake(&[
            ("memory.peak", "12345\n"),
            (
                "memory.events",
                "low 0\nhigh 3\nmax 9\noom 1\noom_kill 2\noom_group_kill 1\n",
            ),
        ]);
        let read = group(Kind::V2, v2.path()).readings();
        assert_eq!((read.peak, read.out_of_memory), (Some(12345), true));
        let calm = fake(&[("memory.events", "oom 0\noom_kill 0\n")]);
        assert_eq!(group(Kind::V2, calm.path()).readings(), Readings::default());
        let v1 = fake(&[
            ("memory.max_usage_in_bytes", "77\n"),
            (
                "memory.oom_control",
                "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
            ),
            ("memory.failcnt", "4\n"),
        ]);
        let read = group(Kind::V1, v1.path()).readings();
        assert_eq!(
            (read.peak, read.out_of_memory, read.at_limit),
            (Some(77), true, true)
        );
        let old = fake(&[
            ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\n"),
            ("memory.failcnt", "4\n"),
        ]);
        let read = group(Kind::V1, old.path()).readings();
        assert_eq!((read.out_of_memory, read.at_limit), (false, true));
    }
}
