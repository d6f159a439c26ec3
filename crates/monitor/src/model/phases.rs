//! How long jobs and their phases take, in buckets as metrics want them.

use gelato_record::JobRecord;

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
