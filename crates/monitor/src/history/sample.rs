//! What is kept of a moment. Samples of neighbouring moments add up to one of a longer time: levels by their weight, counts as sums.

use serde::{Deserialize, Serialize};

use super::store::PastBuild;

/// Utilisation 1.0 as it is kept; twice that is the most that can be.
const WHOLE: f64 = 32_767.0;

/// Bytes of a host's use as it is kept.
const HOST_BYTES: usize = 8;

/// The cluster over some time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sample {
    /// How much time this is of, in seconds: the weight of the levels.
    pub seconds: f64,
    /// Mean number of slots.
    pub slots: f64,
    /// Mean number of busy ones.
    pub busy: f64,
    /// Mean number of jobs that waited.
    pub queued: f64,
    /// Mean number of hosts.
    pub hosts: f64,
    /// Jobs begun elsewhere.
    pub remote: u64,
    /// Jobs begun on their submitter's own machine.
    pub own: u64,
    /// Local jobs begun.
    pub local: u64,
    /// Jobs that failed.
    pub failed: u64,
    /// Jobs that were lost.
    pub lost: u64,
    /// Jobs that ended before they began.
    pub cancelled: u64,
    /// How long the jobs that began had waited, in ms, all together.
    pub waited_ms: u64,
    /// How many these were.
    pub waits: u64,
}

impl Sample {
    /// Takes in what was at another time.
    pub fn add(&mut self, other: &Sample) {
        let seconds = self.seconds + other.seconds;
        if seconds > 0.0 {
            let mean = |a: f64, b: f64| (a * self.seconds + b * other.seconds) / seconds;
            let levels = [
                mean(self.slots, other.slots),
                mean(self.busy, other.busy),
                mean(self.queued, other.queued),
                mean(self.hosts, other.hosts),
            ];
            [self.slots, self.busy, self.queued, self.hosts] = levels;
        }
        self.seconds = seconds;
        for (mine, theirs) in [
            (&mut self.remote, other.remote),
            (&mut self.own, other.own),
            (&mut self.local, other.local),
            (&mut self.failed, other.failed),
            (&mut self.lost, other.lost),
            (&mut self.cancelled, other.cancelled),
            (&mut self.waited_ms, other.waited_ms),
            (&mut self.waits, other.waits),
        ] {
            *mine = mine.saturating_add(theirs);
        }
    }
}

/// How much a host did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HostUse {
    /// Number of its name in the store.
    pub host: u32,
    /// For how many seconds it was there.
    pub seconds: u16,
    /// Busy slots of all slots, from 0 to 2.
    pub share: f64,
}

/// Packs the use of hosts, sorted by number.
pub(super) fn pack(uses: &[HostUse]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(uses.len() * HOST_BYTES);
    for of in uses {
        bytes.extend_from_slice(&of.host.to_le_bytes());
        bytes.extend_from_slice(&of.seconds.to_le_bytes());
        let share = (of.share.clamp(0.0, 2.0) * WHOLE).round() as u16;
        bytes.extend_from_slice(&share.to_le_bytes());
    }
    bytes
}

/// What was packed; a damaged end is left out.
pub(super) fn unpack(bytes: &[u8]) -> Vec<HostUse> {
    bytes
        .chunks_exact(HOST_BYTES)
        .filter_map(|chunk| {
            let (host, rest) = chunk.split_first_chunk()?;
            let (seconds, rest) = rest.split_first_chunk()?;
            let (share, _) = rest.split_first_chunk()?;
            Some(HostUse {
                host: u32::from_le_bytes(*host),
                seconds: u16::from_le_bytes(*seconds),
                share: f64::from(u16::from_le_bytes(*share)) / WHOLE,
            })
        })
        .collect()
}

/// Adds the use of hosts at another time; both sorted by number, and so is the sum.
pub(super) fn merge(mine: &[HostUse], theirs: &[HostUse]) -> Vec<HostUse> {
    let mut sum = Vec::with_capacity(mine.len().max(theirs.len()));
    let (mut left, mut right) = (mine.iter().peekable(), theirs.iter().peekable());
    loop {
        let next = match (left.peek(), right.peek()) {
            (None, None) => return sum,
            (Some(_), None) => left.next().copied(),
            (None, Some(_)) => right.next().copied(),
            (Some(a), Some(b)) if a.host < b.host => left.next().copied(),
            (Some(a), Some(b)) if a.host > b.host => right.next().copied(),
            (Some(_), Some(_)) => match (left.next(), right.next()) {
                (Some(a), Some(b)) => Some(both(a, b)),
                _ => None,
            },
        };
        sum.extend(next);
    }
}

fn both(a: &HostUse, b: &HostUse) -> HostUse {
    let (of_a, of_b) = (f64::from(a.seconds), f64::from(b.seconds));
    let share = match of_a + of_b {
        all if all > 0.0 => (a.share * of_a + b.share * of_b) / all,
        _ => 0.0,
    };
    HostUse {
        host: a.host,
        seconds: a.seconds.saturating_add(b.seconds),
        share,
    }
}

/// How often and how long a file was compiled.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FileSum {
    /// Jobs that ended.
    pub jobs: u64,
    /// Of these, failed ones.
    pub failed: u64,
    /// Their wall time in ms.
    pub total_ms: u64,
    /// The longest.
    pub max_ms: u64,
    /// Where that was.
    pub host: String,
}

impl FileSum {
    /// Takes in what was at another time.
    pub fn add(&mut self, other: &FileSum) {
        self.jobs = self.jobs.saturating_add(other.jobs);
        self.failed = self.failed.saturating_add(other.failed);
        self.total_ms = self.total_ms.saturating_add(other.total_ms);
        if other.max_ms >= self.max_ms {
            self.max_ms = other.max_ms;
            self.host.clone_from(&other.host);
        }
    }
}

/// What is to be kept of the last ten seconds.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// When, in ms since 1970.
    pub at: u64,
    /// The cluster.
    pub sample: Sample,
    /// Name and share of each host that was there.
    pub hosts: Vec<(String, f64)>,
    /// Builds that ended.
    pub builds: Vec<PastBuild>,
    /// Files that were compiled.
    pub files: Vec<(String, FileSum)>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn levels_add_up_by_weight_and_counts_as_sums() {
        let mut sum = Sample {
            seconds: 10.0,
            busy: 4.0,
            slots: 8.0,
            remote: 3,
            ..Sample::default()
        };
        sum.add(&Sample {
            seconds: 30.0,
            busy: 0.0,
            slots: 8.0,
            remote: 4,
            ..Sample::default()
        });
        assert_eq!((sum.seconds, sum.busy, sum.slots), (40.0, 1.0, 8.0));
        assert_eq!(sum.remote, 7);
        let before = sum.clone();
        sum.add(&Sample::default());
        assert_eq!(sum, before);
    }

    fn uses() -> impl Strategy<Value = Vec<HostUse>> {
        let one = (0..50u32, 0..3600u16, 0..=65_534u16);
        proptest::collection::vec(one, 0..20).prop_map(|list| {
            let mut uses: Vec<HostUse> = list
                .into_iter()
                .map(|(host, seconds, share)| HostUse {
                    host,
                    seconds,
                    share: f64::from(share) / WHOLE,
                })
                .collect();
            uses.sort_by_key(|of| of.host);
            uses.dedup_by_key(|of| of.host);
            uses
        })
    }

    proptest! {
        #[test]
        fn what_was_packed_is_unpacked(uses in uses()) {
            prop_assert_eq!(unpack(&pack(&uses)), uses);
        }

        #[test]
        fn every_host_is_in_the_sum_once(a in uses(), b in uses()) {
            let sum = merge(&a, &b);
            prop_assert!(sum.is_sorted_by(|x, y| x.host < y.host));
            let seconds = |uses: &[HostUse]| uses.iter().map(|of| u64::from(of.seconds)).sum::<u64>();
            prop_assert_eq!(seconds(&sum), seconds(&a) + seconds(&b));
            prop_assert!(sum.iter().all(|of| (0.0..=2.0001).contains(&of.share)));
        }

        #[test]
        fn any_bytes_can_be_unpacked(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            prop_assert_eq!(unpack(&bytes).len(), bytes.len() / HOST_BYTES);
        }
    }
}
