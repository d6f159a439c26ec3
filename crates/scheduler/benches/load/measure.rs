//! What a process has used, and how times are spread.

use std::time::Duration;

/// Processor time of a process, all threads.
#[derive(Clone, Copy)]
pub(crate) struct Usage(Duration);

impl Usage {
    pub(crate) fn of(pid: u32) -> Usage {
        let mut sum = 0;
        let threads = std::fs::read_dir(format!("/proc/{pid}/task"));
        for thread in threads.into_iter().flatten().flatten() {
            let text = std::fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
            let first = text.split(' ').next().and_then(|word| word.parse().ok());
            sum += first.unwrap_or(0);
        }
        Usage(Duration::from_nanos(sum))
    }

    pub(crate) fn since(self, before: Usage) -> Duration {
        self.0.saturating_sub(before.0)
    }
}

/// Resident memory of a process in MiB.
pub(crate) fn memory(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}

/// Many times, in seconds.
#[derive(Default)]
pub(crate) struct Spread(Vec<f64>);

impl Spread {
    pub(crate) fn add(&mut self, took: Duration) {
        self.0.push(took.as_secs_f64());
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// So many of a hundred took no longer than this.
    pub(crate) fn at(&self, percent: usize) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let place = sorted.len() * percent / 100;
        sorted
            .get(place.min(sorted.len().saturating_sub(1)))
            .copied()
            .unwrap_or(0.0)
    }
}
