//! Signs of life of one job: what it prints, what it is fed, and the CPU time of its processes.

use std::fs;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Processes looked at: a job has hardly more, and one that has more is alive.
const MOST_PROCESSES: usize = 1000;

/// What passed through the job's pipes.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    bytes: AtomicU64,
    waits_for_source: AtomicBool,
}

/// One look. Two that are equal show a job that did nothing in between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Bytes, and ticks of CPU time.
    Seen(u64, u64),
    /// It waits for its submitter, or cannot be looked at: nothing can be held against it.
    Unknown,
}

impl Pulse {
    /// So much went through a pipe.
    pub(crate) fn beat(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Whether the job can do nothing because its submitter has not sent all of the source.
    pub(crate) fn waits_for_source(&self, waits: bool) {
        self.waits_for_source.store(waits, Ordering::Relaxed);
    }

    /// Looks at the job whose outermost process this is.
    pub(crate) fn look(&self, process: Option<u32>) -> Look {
        if self.waits_for_source.load(Ordering::Relaxed) {
            return Look::Unknown;
        }
        match process.and_then(cpu_ticks) {
            Some(ticks) => Look::Seen(self.bytes.load(Ordering::Relaxed), ticks),
            None => Look::Unknown,
        }
    }
}

/// The process behind a descriptor.
pub(crate) fn process_of(pidfd: BorrowedFd<'_>) -> Option<u32> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).ok()?;
    info.lines()
        .find_map(|line| line.strip_prefix("Pid:"))?
        .trim()
        .parse()
        .ok()
}

/// CPU time of a process, of everything it started, and of what those have reaped. `None` if any of it cannot be seen.
fn cpu_ticks(process: u32) -> Option<u64> {
    let mut todo = vec![process];
    let (mut ticks, mut seen) = (0u64, 0);
    while let Some(process) = todo.pop() {
        seen += 1;
        if seen > MOST_PROCESSES {
            return None;
        }
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        ticks = ticks.wrapping_add(ticks_in(&stat)?);
        for thread in fs::read_dir(format!("/proc/{process}/task")).ok()? {
            let children = fs::read_to_string(thread.ok()?.path().join("children")).ok()?;
            for child in children.split_ascii_whitespace() {
                todo.push(child.parse().ok()?);
            }
        }
    }
    Some(ticks)
}

/// Fields 14 to 17 of `stat`: user and system time, its own and that of children it has waited for. The name before may
/// hold anything.
fn ticks_in(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let mut sum = 0u64;
    for _ in 0..4 {
        sum = sum.wrapping_add(fields.next()?.parse().ok()?);
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn the_name_of_a_process_does_not_count() {
        let stat = "7 (a) b 1 2) S 1 7 7 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 1 0 99";
        assert_eq!(ticks_in(stat), Some(100));
        assert_eq!(ticks_in("7 (a) S 1"), None);
        assert_eq!(ticks_in(""), None);
    }

    #[test]
    fn a_sleeper_looks_dead_and_a_worker_alive() {
        let start = |script: &str| {
            Command::new("/bin/sh")
                .args(["-c", script])
                .stdin(Stdio::null())
                .spawn()
                .unwrap()
        };
        let mut sleeper = start("sleep 1000 & wait");
        let mut worker = start("(while :; do :; done) & wait");
        let pulse = Pulse::default();
        let look = |child: &std::process::Child| pulse.look(Some(child.id()));
        // Both have started their children when the second computes.
        let begin = look(&worker);
        while look(&worker) == begin || look(&worker) == Look::Unknown {
            std::thread::yield_now();
        }
        let before = look(&sleeper);
        pulse.beat(1);
        assert_ne!(look(&sleeper), before);
        pulse.waits_for_source(true);
        assert_eq!(look(&sleeper), Look::Unknown);
        for child in [&mut sleeper, &mut worker] {
            let children = format!("/proc/{0}/task/{0}/children", child.id());
            for grandchild in fs::read_to_string(children).unwrap().split_whitespace() {
                Command::new("kill")
                    .args(["-9", grandchild])
                    .status()
                    .unwrap();
            }
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    #[test]
    fn the_process_behind_a_descriptor() {
        let own = rustix::process::getpid();
        let pidfd = rustix::process::pidfd_open(own, rustix::process::PidfdFlags::empty()).unwrap();
        assert_eq!(process_of(pidfd.as_fd()), Some(std::process::id()));
        let file = fs::File::open("/dev/null").unwrap();
        assert_eq!(process_of(file.as_fd()), None);
    }
}
