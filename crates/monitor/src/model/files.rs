//! How long each file takes to compile, over all the time the picture has lived.

use std::collections::{BTreeSet, HashMap};

use super::{HostId, Job, State};

/// Files that are remembered; beyond that the one that was compiled longest ago is forgotten.
pub const MOST_FILES: usize = 20_000;

/// Durations of a file that are kept for its median.
const SAMPLES: usize = 15;

/// One file.
#[derive(Clone, Debug, Default)]
pub struct FileTally {
    /// Compilations that ended, failed ones included.
    pub jobs: u64,
    /// Of these, failed ones.
    pub failed: u64,
    /// Longest duration in ms.
    pub max_ms: u32,
    /// Largest source in bytes.
    pub in_raw: u32,
    /// Largest result in bytes.
    pub out_raw: u32,
    /// Where it took longest.
    pub slowest_on: Option<HostId>,
    total_ms: u64,
    recent: Vec<u32>,
    next: usize,
    seen: u64,
}

impl FileTally {
    /// Mean duration of compilations that succeeded, in ms.
    pub fn mean(&self) -> Option<f64> {
        let finished = self.jobs - self.failed;
        (finished > 0).then(|| self.total_ms as f64 / finished as f64)
    }

    /// Median of the last durations in ms.
    pub fn median(&self) -> Option<u32> {
        let mut sorted = self.recent.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied()
    }

    /// How the last durations compare with all there were: 1.2 is a fifth slower; `None` before there are enough.
    pub fn trend(&self) -> Option<f64> {
        let mean = self.mean().filter(|mean| *mean > 0.0)?;
        (self.jobs - self.failed >= 2 * SAMPLES as u64)
            .then(|| self.median().map(|median| f64::from(median) / mean))?
    }

    fn count(&mut self, job: &Job, duration: u64) {
        self.jobs += 1;
        self.in_raw = self.in_raw.max(job.figures.in_raw);
        self.out_raw = self.out_raw.max(job.figures.out_raw);
        if job.state != State::Finished {
            self.failed += 1;
            return;
        }
        let duration = u32::try_from(duration).unwrap_or(u32::MAX);
        self.total_ms = self.total_ms.saturating_add(duration.into());
        if duration >= self.max_ms {
            self.max_ms = duration;
            self.slowest_on = job.server;
        }
        if self.recent.len() < SAMPLES {
            self.recent.push(duration);
        } else {
            self.recent[self.next] = duration;
        }
        self.next = (self.next + 1) % SAMPLES;
    }
}

/// All files, by name as the scheduler tells it.
#[derive(Clone, Debug, Default)]
pub(super) struct Files {
    all: HashMap<String, FileTally>,
    /// By when they were last seen.
    order: BTreeSet<(u64, String)>,
    count: u64,
}

impl Files {
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &FileTally)> {
        self.all.iter().map(|(name, file)| (name.as_str(), file))
    }

    pub(super) fn ended(&mut self, job: &Job, duration: u64) {
        if job.file.is_empty() || !matches!(job.state, State::Finished | State::Failed) {
            return;
        }
        self.count += 1;
        if !self.all.contains_key(&job.file) {
            if self.all.len() >= MOST_FILES
                && let Some((_, oldest)) = self.order.pop_first()
            {
                self.all.remove(&oldest);
            }
            self.all.insert(job.file.clone(), FileTally::default());
        }
        let Some(file) = self.all.get_mut(&job.file) else {
            return;
        };
        let mut place = (file.seen, job.file.clone());
        self.order.remove(&place);
        place.0 = self.count;
        file.seen = self.count;
        file.count(job, duration);
        self.order.insert(place);
    }
}
