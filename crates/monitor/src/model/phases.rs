//! How jobs ended, and how long they and their phases took, in buckets as metrics want them.

use gelato_record::{JobRecord, Verdict};

use super::{Job, Kind, State};

/// Upper ends of the buckets in ms; one more holds what is above.
pub const BOUNDS: [u64; 14] = [
    1, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 120_000,
];

/// How long something took, over many jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Jobs in each bucket; the last is for what is above all bounds.
    pub buckets: [u64; BOUNDS.len() + 1],
    /// All of them.
    pub count: u64,
    /// Sum in ms.
    pub sum_ms: u64,
}

impl Histogram {
    pub(super) fn count(&mut self, ms: u64) {
        let bucket = BOUNDS.partition_point(|bound| *bound < ms);
        if let Some(bucket) = self.buckets.get_mut(bucket) {
            *bucket += 1;
        }
        self.count += 1;
        self.sum_ms = self.sum_ms.saturating_add(ms);
    }
}

/// Durations of jobs, their waits, and of each phase.
#[derive(Clone, Debug, Default)]
pub struct Durations {
    /// From beginning to end, compilations only.
    pub jobs: Histogram,
    /// From being asked for to beginning.
    pub waits: Histogram,
    phases: Vec<(&'static str, Histogram)>,
}

impl Durations {
    /// Each phase that records told of, in the order in which they happen. Phases a job did not have are not counted.
    pub fn phases(&self) -> impl Iterator<Item = (&'static str, &Histogram)> {
        self.phases
            .iter()
            .map(|(name, histogram)| (*name, histogram))
    }

    pub(super) fn recorded(&mut self, record: &JobRecord) {
        let parts = record.phases.parts();
        if self.phases.is_empty() {
            self.phases = parts.map(|(name, _)| (name, Histogram::default())).to_vec();
        }
        for ((_, ms), (_, histogram)) in parts.iter().zip(&mut self.phases) {
            if *ms > 0 {
                histogram.count(*ms);
            }
        }
    }
}

/// How a job ended, as metrics want it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// With status 0.
    Ok,
    /// With another.
    Failed,
    /// Its worker or submitter vanished.
    Lost,
    /// Before it began.
    Cancelled,
}

/// Jobs that ended and what they moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Results {
    /// By kind (remote, own, local) and [`Outcome`].
    ended: [[u64; 4]; 3],
    /// Attempts on workers that ran out of memory, as records tell; each is also among those that failed or were lost.
    pub out_of_memory: u64,
    /// Bytes of source before and after compression.
    pub sources: [u64; 2],
    /// Bytes of results before and after compression.
    pub results: [u64; 2],
}

impl Results {
    /// Kinds and outcomes with how many jobs ended so.
    pub fn ended(&self) -> impl Iterator<Item = (Kind, Outcome, u64)> + '_ {
        let kinds = [Kind::Remote, Kind::Own, Kind::Local];
        let outcomes = [
            Outcome::Ok,
            Outcome::Failed,
            Outcome::Lost,
            Outcome::Cancelled,
        ];
        kinds.into_iter().flat_map(move |kind| {
            outcomes.map(|outcome| (kind, outcome, self.ended[kind as usize][outcome as usize]))
        })
    }

    pub(super) fn ended_as(&mut self, job: &Job) {
        let outcome = match job.state {
            State::Finished => Outcome::Ok,
            State::Failed => Outcome::Failed,
            State::Lost => Outcome::Lost,
            State::Cancelled => Outcome::Cancelled,
            State::Queued | State::Running => return,
        };
        self.ended[job.kind as usize][outcome as usize] += 1;
        let figures = &job.figures;
        self.sources[0] += u64::from(figures.in_raw);
        self.sources[1] += u64::from(figures.in_compressed);
        self.results[0] += u64::from(figures.out_raw);
        self.results[1] += u64::from(figures.out_compressed);
    }

    pub(super) fn recorded(&mut self, record: &JobRecord) {
        let memory = record.reason.as_deref() == Some("worker-out-of-memory");
        self.out_of_memory += u64::from(memory && record.verdict == Verdict::FailedOver);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_is_not_above_its_bound() {
        let mut histogram = Histogram::default();
        for ms in [0, 1, 2, 5, 120_000, 120_001, u64::MAX] {
            histogram.count(ms);
        }
        assert_eq!(histogram.buckets[..2], [2, 2]);
        assert_eq!(histogram.buckets[13..], [1, 2]);
        assert_eq!(histogram.count, 7);
    }
}
