//! How much memory jobs have taken: a high quantile of peaks for each kind of job, in which the past fades. Pure.

use std::collections::BTreeMap;

use crate::core::vocabulary::Toolchain;

/// Kinds of jobs remembered; the one not seen for longest goes first.
const MOST_KINDS: usize = 64;

/// The smallest peak told apart, in bytes.
const SMALLEST: u64 = 16 << 20;

/// Four buckets for each doubling, up to 256 GiB.
const BUCKETS: usize = 57;

/// What an observation still weighs after the next one.
const FADING: f64 = 0.98;

/// Below this a bucket is empty again.
const FORGOTTEN: f64 = 0.05;

/// Jobs that need as much memory as each other, as far as can be told before they run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Kind {
    /// What they compile with.
    pub(crate) toolchain: Toolchain,
    /// What they compile.
    pub(crate) language: &'static str,
}

/// Peaks of jobs, each counted in its bucket.
#[derive(Clone, Debug)]
pub(crate) struct Peaks {
    /// Weight, and the largest peak in there since it was empty.
    buckets: [(f64, u64); BUCKETS],
    seen: u64,
}

impl Default for Peaks {
    fn default() -> Peaks {
        Peaks {
            buckets: [(0.0, 0); BUCKETS],
            seen: 0,
        }
    }
}

impl Peaks {
    /// Takes in the peak of one job, in bytes.
    pub(crate) fn add(&mut self, peak: u64) {
        self.seen = self.seen.saturating_add(1);
        for bucket in &mut self.buckets {
            bucket.0 *= FADING;
            if bucket.0 < FORGOTTEN {
                *bucket = (0.0, 0);
            }
        }
        let at = bucket_of(peak);
        if let Some(bucket) = self.buckets.get_mut(at) {
            bucket.0 += 1.0;
            bucket.1 = bucket.1.max(peak);
        }
    }

    /// Jobs taken in.
    pub(crate) fn seen(&self) -> u64 {
        self.seen
    }

    /// A peak that the given share of jobs stays below or reaches; nothing without jobs.
    pub(crate) fn quantile(&self, share: f64) -> Option<u64> {
        let all: f64 = self.buckets.iter().map(|bucket| bucket.0).sum();
        let mut below = 0.0;
        let mut found = None;
        for (weight, peak) in self.buckets.iter().filter(|bucket| bucket.0 > 0.0) {
            below += weight;
            found = Some(*peak);
            if below >= all * share {
                break;
            }
        }
        found
    }
}

fn bucket_of(peak: u64) -> usize {
    let mut at = 0;
    // The bounds are 16 MiB times the fourth roots of two, without rounding differences between machines.
    let mut quarter = 0;
    let mut base = SMALLEST;
    while at + 1 < BUCKETS {
        // 1, 1.19, 1.41, 1.68
        let bound = base / 100 * [100, 119, 141, 168][quarter];
        if peak <= bound {
            break;
        }
        at += 1;
        quarter += 1;
        if quarter == 4 {
            quarter = 0;
            base = base.saturating_mul(2);
        }
    }
    at
}

/// What is known of all kinds.
#[derive(Debug, Default)]
pub(crate) struct Appetite {
    kinds: BTreeMap<Kind, (Peaks, u64)>,
    all: Peaks,
    turn: u64,
}

/// The share of its kind a job is expected to stay within.
const EXPECTED: f64 = 0.95;

/// The share of all jobs that slots are reckoned with.
const TYPICAL: f64 = 0.9;

/// Jobs before anything is said of all.
const ENOUGH: u64 = 4;

/// Jobs before other kinds say something about a new one.
const ENOUGH_FOR_OTHERS: u64 = 16;

impl Appetite {
    /// A job of this kind took so many bytes at its largest.
    pub(crate) fn learn(&mut self, kind: &Kind, peak: u64) {
        self.turn += 1;
        self.all.add(peak);
        if !self.kinds.contains_key(kind) && self.kinds.len() >= MOST_KINDS {
            let oldest = self.kinds.iter().min_by_key(|(_, (_, turn))| *turn);
            if let Some(oldest) = oldest.map(|(kind, _)| kind.clone()) {
                self.kinds.remove(&oldest);
            }
        }
        let entry = self.kinds.entry(kind.clone()).or_default();
        entry.0.add(peak);
        entry.1 = self.turn;
    }

    /// What a job of this kind will take, if anything is known: of its own kind, else of very many others.
    pub(crate) fn expected(&self, kind: &Kind) -> Option<u64> {
        match self.kinds.get(kind) {
            Some((peaks, _)) => peaks.quantile(EXPECTED),
            None if self.all.seen() >= ENOUGH_FOR_OTHERS => self.all.quantile(1.0),
            None => None,
        }
    }

    /// What most jobs of all kinds stay below.
    pub(crate) fn typical(&self) -> Option<u64> {
        if self.all.seen() < ENOUGH {
            return None;
        }
        self.all.quantile(TYPICAL)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIB: u64 = 1 << 20;

    pub(super) fn kind(name: &str) -> Kind {
        Kind {
            toolchain: Toolchain {
                platform: "x86_64".to_owned(),
                name: name.to_owned(),
            },
            language: "c++",
        }
    }

    #[test]
    fn a_quantile_is_a_peak_that_was_seen() {
        let mut peaks = Peaks::default();
        assert_eq!(peaks.quantile(0.95), None);
        peaks.add(1536 * MIB);
        assert_eq!(peaks.quantile(0.95), Some(1536 * MIB));
        for _ in 0..99 {
            peaks.add(300 * MIB);
        }
        assert_eq!(peaks.quantile(0.95), Some(300 * MIB), "one of a hundred");
        assert_eq!(peaks.quantile(1.0), Some(1536 * MIB));
        for _ in 0..200 {
            peaks.add(300 * MIB);
        }
        assert_eq!(peaks.quantile(1.0), Some(300 * MIB), "forgotten");
    }

    #[test]
    fn kinds_are_apart_and_bounded() {
        let mut appetite = Appetite::default();
        assert_eq!(appetite.expected(&kind("a")), None);
        appetite.learn(&kind("a"), 100 * MIB);
        assert_eq!(appetite.expected(&kind("a")), Some(100 * MIB));
        assert_eq!(appetite.expected(&kind("b")), None);
        assert_eq!(appetite.typical(), None);
        for number in 0..200 {
            appetite.learn(&kind(&format!("k{number}")), 200 * MIB);
        }
        assert!(appetite.kinds.len() <= MOST_KINDS);
        assert!(!appetite.kinds.contains_key(&kind("a")));
        assert!(appetite.kinds.contains_key(&kind("k199")));
        assert_eq!(appetite.expected(&kind("new")), Some(200 * MIB));
        assert_eq!(appetite.typical(), Some(200 * MIB));
    }

    proptest! {
        #[test]
        fn quantiles_are_ordered_and_within(peaks in prop::collection::vec(0u64..1 << 42, 1..300)) {
            let mut all = Peaks::default();
            for &peak in &peaks {
                all.add(peak);
            }
            let half = all.quantile(0.5).unwrap();
            let most = all.quantile(0.95).unwrap();
            prop_assert!(half <= most);
            prop_assert!(most <= *peaks.iter().max().unwrap());
            prop_assert!(peaks.contains(&half) && peaks.contains(&most));
        }

        #[test]
        fn buckets_rise(one in 0u64..1 << 42, other in 0u64..1 << 42) {
            let (less, more) = (one.min(other), one.max(other));
            prop_assert!(bucket_of(less) <= bucket_of(more));
            prop_assert!(bucket_of(more) < BUCKETS);
        }
    }
}
