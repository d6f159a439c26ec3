//! The last minutes, for alarms: where jobs began, how long they waited, and which schedulers were heard.

use std::collections::VecDeque;

/// Minutes that are kept.
const MINUTES: usize = 15;

/// Waits that are kept.
const WAITS: usize = 512;

/// Changes of the scheduler that are kept.
const SCHEDULERS: usize = 32;

/// One minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Minute {
    /// Minutes since 1970.
    pub minute: u64,
    /// Jobs begun elsewhere than on their submitter's machine.
    pub remote: u32,
    /// Compilations done on their submitter's machine that might have been done elsewhere.
    pub here: u32,
    /// Attempts elsewhere that failed and were repeated on the submitter's machine.
    pub failed_over: u32,
    /// Jobs whose toolchain could not be sent or installed.
    pub not_installed: u32,
}

/// The last minutes.
#[derive(Clone, Debug, Default)]
pub struct Recent {
    minutes: VecDeque<Minute>,
    waits: VecDeque<(u64, u32)>,
    schedulers: VecDeque<(u64, String)>,
}

impl Recent {
    /// The minutes that are not older than `since`, the oldest first; those in which nothing happened are left out.
    pub fn minutes(&self, since: u64) -> impl Iterator<Item = &Minute> {
        let since = since / 60_000;
        self.minutes
            .iter()
            .filter(move |minute| minute.minute >= since)
    }

    /// Of the jobs that began after `since`: how many of their waits are known, and the wait in ms that this share (0 to 1) of them
    /// did not exceed.
    pub fn wait(&self, since: u64, share: f64) -> Option<(usize, u32)> {
        let later = self.waits.iter().filter(|(at, _)| *at >= since);
        let mut sorted: Vec<u32> = later.map(|(_, wait)| *wait).collect();
        sorted.sort_unstable();
        let last = sorted.len().checked_sub(1)?;
        let index = (share.clamp(0.0, 1.0) * last as f64).ceil() as usize;
        Some((sorted.len(), *sorted.get(index)?))
    }

    /// Addresses of the schedulers that were connected to after `since`, each once, the newest last.
    pub fn schedulers(&self, since: u64) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for (_, name) in self.schedulers.iter().filter(|(at, _)| *at >= since) {
            names.retain(|known| known != name);
            names.push(name);
        }
        names
    }

    pub(super) fn minute(&mut self, now: u64) -> &mut Minute {
        let minute = now / 60_000;
        let last = self.minutes.back().map_or(0, |last| last.minute);
        // A clock that jumped back adds to the newest.
        if self.minutes.is_empty() || minute > last {
            if self.minutes.len() >= MINUTES {
                self.minutes.pop_front();
            }
            self.minutes.push_back(Minute {
                minute,
                ..Minute::default()
            });
        }
        let newest = self.minutes.len() - 1;
        &mut self.minutes[newest]
    }

    pub(super) fn waited(&mut self, now: u64, wait: u64) {
        if self.waits.len() >= WAITS {
            self.waits.pop_front();
        }
        let wait = u32::try_from(wait).unwrap_or(u32::MAX);
        self.waits.push_back((now, wait));
    }

    pub(super) fn connected(&mut self, now: u64, scheduler: &str) {
        if self.schedulers.len() >= SCHEDULERS {
            self.schedulers.pop_front();
        }
        self.schedulers.push_back((now, scheduler.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_minutes_and_waits_go() {
        let mut recent = Recent::default();
        for minute in 1..=40 {
            recent.minute(minute * 60_000).remote += 1;
            recent.minute(minute * 60_000 - 30_000).remote += 1;
            recent.waited(minute * 60_000, minute);
        }
        assert_eq!(recent.minutes(0).count(), MINUTES);
        let last: Vec<u32> = recent
            .minutes(39 * 60_000)
            .map(|minute| minute.remote)
            .collect();
        assert_eq!(last, [2, 2]);
        assert_eq!(recent.wait(0, 0.95), Some((40, 39)));
        assert_eq!(recent.wait(41 * 60_000, 0.5), None);
        for name in ["a", "b", "a"] {
            recent.connected(5, name);
        }
        assert_eq!(recent.schedulers(0), ["b", "a"]);
    }
}
