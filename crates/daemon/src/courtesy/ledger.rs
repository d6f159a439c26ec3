//! Memory of jobs of others: what is promised to each that runs, whether one more fits, and which one has to go when memory runs
//! out all the same. Pure.
//!
//! A job is promised what jobs of its kind have taken. Of a kind nobody knows yet it is promised a lot, until one has
//! finished; so a small machine begins with one job and learns from it, and a large one does not notice. That a job does
//! not grow means nothing: on a busy machine it may not have had a processor.
//! Two marks: below the first no job is started, below the second the newest one is handed back.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::appetite::{Appetite, Kind};
use crate::ids::ClientId;
use crate::load::Memory;

/// Promised to a job nothing is known of, in bytes.
const UNKNOWN: u64 = 2 << 30;

/// The least that is promised to a job whose kind is hardly known.
const LEAST: u64 = 256 << 20;

/// Left over by default: a tenth of all, but not more than this.
const MOST_RESERVE: u64 = 1 << 30;

/// A job that was told to end is given this long before the next one is.
const ENDING: Duration = Duration::from_secs(2);

/// Between two looks while memory may run out, and otherwise.
const SOON: Duration = Duration::from_millis(200);
const LATER: Duration = Duration::from_secs(1);

/// What the administrator allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryTerms {
    /// Bytes all jobs of others together may take; what the machine has if not set.
    pub most: Option<u64>,
    /// Bytes that are left to everything else; a tenth of all, at most 1 GiB, if not set.
    pub reserve: Option<u64>,
}

/// A look at memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct MemoryLook {
    /// Of the machine, or of the control group the daemon is in.
    pub(crate) memory: Option<Memory>,
    /// What each running job of others takes, in bytes.
    pub(crate) jobs: Vec<(ClientId, u64)>,
}

/// A running job.
#[derive(Clone, Debug)]
struct Held {
    kind: Kind,
    started: Instant,
    /// The last look.
    now: u64,
    peak: u64,
    /// Told to end.
    ending: Option<Instant>,
}

/// What is promised to whom.
#[derive(Debug)]
pub(crate) struct Ledger {
    terms: MemoryTerms,
    appetite: Appetite,
    running: BTreeMap<ClientId, Held>,
    memory: Option<Memory>,
    low: bool,
}

impl Ledger {
    /// Nothing runs.
    pub(crate) fn new(terms: MemoryTerms) -> Ledger {
        Ledger {
            terms,
            appetite: Appetite::default(),
            running: BTreeMap::new(),
            memory: None,
            low: false,
        }
    }

    /// Takes in a look. Returns the job that has to end now, if one has to.
    pub(crate) fn look(&mut self, look: &MemoryLook, now: Instant) -> Option<ClientId> {
        for &(id, bytes) in &look.jobs {
            if let Some(held) = self.running.get_mut(&id) {
                held.now = bytes;
                held.peak = held.peak.max(bytes);
            }
        }
        self.memory = look.memory.map(|memory| self.within_terms(memory));
        let Some(memory) = self.memory else {
            self.low = false;
            return None;
        };
        let reserve = self.reserve(memory);
        // Back on only with some more, so that a machine at the mark does not change its mind with every look.
        self.low = if self.low {
            memory.available < reserve.saturating_add(reserve / 2)
        } else {
            memory.available < reserve
        };
        if memory.available >= reserve / 2 || self.is_ending(now) {
            return None;
        }
        let newest = self
            .running
            .iter_mut()
            .filter(|(_, held)| held.ending.is_none())
            .max_by_key(|(id, held)| (held.started, **id));
        newest.map(|(id, held)| {
            held.ending = Some(now);
            *id
        })
    }

    /// Whether a job of this kind may start beside those that run.
    pub(crate) fn fits(&self, kind: &Kind) -> bool {
        let Some(memory) = self.memory else {
            return true;
        };
        if self.low {
            return false;
        }
        // Whatever it takes, it will not have more than now; and something has to run.
        if self.running.is_empty() {
            return true;
        }
        let wanted = self
            .growth()
            .saturating_add(self.promise(kind))
            .saturating_add(self.reserve(memory));
        memory.available >= wanted
    }

    /// A job has been started.
    pub(crate) fn start(&mut self, id: ClientId, kind: Kind, now: Instant) {
        self.running.insert(
            id,
            Held {
                kind,
                started: now,
                now: 0,
                peak: 0,
                ending: None,
            },
        );
    }

    /// A job is over or gone. `peak` is what it is known to have taken at its largest, `complete` whether it came to its end.
    pub(crate) fn over(&mut self, id: ClientId, peak: u64, complete: bool) {
        let Some(held) = self.running.remove(&id) else {
            return;
        };
        let peak = held.peak.max(peak);
        // One that was stopped says only that it takes at least as much.
        let tells = complete || peak > self.appetite.expected(&held.kind).unwrap_or(0);
        if peak > 0 && tells {
            self.appetite.learn(&held.kind, peak);
        }
    }

    /// Whether less is available than is to be left, with what is available and what is to be left.
    pub(crate) fn is_low(&self) -> Option<(u64, u64)> {
        let memory = self.memory.filter(|_| self.low)?;
        Some((memory.available, self.reserve(memory)))
    }

    /// How many typical jobs fit, and what is typical; nothing as long as too little is known.
    pub(crate) fn room(&self) -> Option<(u32, u64)> {
        let (memory, typical) = (self.memory?, self.appetite.typical()?);
        let taken: u64 = self.running.values().map(|held| held.now).sum();
        let room = memory
            .available
            .saturating_add(taken)
            .min(memory.total)
            .saturating_sub(self.reserve(memory));
        let jobs = room / typical.max(1);
        Some((u32::try_from(jobs).unwrap_or(u32::MAX), typical))
    }

    /// How long the last look is good for; nothing without running jobs. `waiting` says whether a job waits to be started.
    pub(crate) fn look_again(&self, waiting: bool) -> Option<Duration> {
        if self.running.is_empty() {
            return None;
        }
        let tight = self.memory.is_some_and(|memory| {
            let wanted = self
                .growth()
                .saturating_add(self.reserve(memory).saturating_mul(2));
            memory.available < wanted
        });
        Some(if tight || waiting { SOON } else { LATER })
    }

    /// Bytes that running jobs may still take according to what they were promised.
    fn growth(&self) -> u64 {
        self.running
            .values()
            .map(|held| held.still_to_take(self.promise(&held.kind)))
            .fold(0, u64::saturating_add)
    }

    /// What a job of this kind would be promised.
    fn promise(&self, kind: &Kind) -> u64 {
        self.appetite
            .expected(kind)
            .map_or(UNKNOWN, |bytes| bytes.max(LEAST))
    }

    fn is_ending(&self, now: Instant) -> bool {
        self.running.values().any(|held| {
            held.ending
                .is_some_and(|since| now.duration_since(since) < ENDING)
        })
    }

    fn reserve(&self, memory: Memory) -> u64 {
        let reserve = self
            .terms
            .reserve
            .unwrap_or((memory.total / 10).min(MOST_RESERVE));
        // Whoever wants to leave more than there is means that nothing runs while little is left, not that nothing runs.
        reserve.min(memory.total / 2)
    }

    /// What of this memory jobs of others may use.
    pub(crate) fn within_terms(&self, memory: Memory) -> Memory {
        let Some(most) = self.terms.most else {
            return memory;
        };
        let taken: u64 = self.running.values().map(|held| held.now).sum();
        Memory {
            available: memory.available.min(most.saturating_sub(taken)),
            total: memory.total.min(most),
        }
    }
}

impl Held {
    /// What it may take besides what it has. One that has outgrown its promise may grow some more.
    fn still_to_take(&self, promise: u64) -> u64 {
        if self.now > promise {
            self.now / 4
        } else {
            promise - self.now
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::core::vocabulary::Toolchain;

    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;
    const SECOND: Duration = Duration::from_secs(1);

    fn kind(name: &str) -> Kind {
        Kind {
            toolchain: Toolchain {
                platform: "x86_64".to_owned(),
                name: name.to_owned(),
            },
            language: "c++",
        }
    }

    fn id(number: u32) -> ClientId {
        ClientId::new(number)
    }

    /// A machine of 4 GiB on which jobs take these bytes.
    fn look(jobs: &[(u32, u64)]) -> MemoryLook {
        let taken: u64 = jobs.iter().map(|(_, bytes)| bytes).sum();
        MemoryLook {
            memory: Some(Memory {
                available: (4 * GIB - 100 * MIB).saturating_sub(taken),
                total: 4 * GIB,
            }),
            jobs: jobs
                .iter()
                .map(|&(number, bytes)| (id(number), bytes))
                .collect(),
        }
    }

    fn ledger(terms: MemoryTerms) -> Ledger {
        Ledger::new(terms)
    }

    #[test]
    fn a_small_machine_begins_with_one_and_then_runs_what_fits() {
        let mut now = Instant::now();
        let mut ledger = ledger(MemoryTerms::default());
        ledger.look(&look(&[]), now);
        assert!(ledger.fits(&kind("a")));
        ledger.start(id(1), kind("a"), now);
        assert!(!ledger.fits(&kind("a")), "nobody knows what it takes");
        for bytes in [400 * MIB, 900 * MIB, 1500 * MIB, 1500 * MIB] {
            now += SECOND;
            assert_eq!(ledger.look(&look(&[(1, bytes)]), now), None);
            assert!(!ledger.fits(&kind("a")));
        }
        ledger.over(id(1), 1500 * MIB, true);
        ledger.look(&look(&[]), now);
        for number in [2, 3] {
            assert!(ledger.fits(&kind("a")), "{number}");
            ledger.start(id(number), kind("a"), now);
        }
        assert!(!ledger.fits(&kind("a")), "two of 1.5 GiB fit, not three");
        ledger.look(&look(&[(2, 1500 * MIB), (3, 700 * MIB)]), now);
        assert!(!ledger.fits(&kind("a")));
        assert!(ledger.is_low().is_none());
        ledger.over(id(2), 1500 * MIB, true);
        ledger.look(&look(&[(3, 1500 * MIB)]), now);
        assert!(ledger.fits(&kind("a")));
        ledger.over(id(3), 1500 * MIB, true);
        for number in 4..6 {
            ledger.start(id(number), kind("a"), now);
            ledger.over(id(number), 1500 * MIB, true);
        }
        ledger.look(&look(&[]), now);
        assert_eq!(ledger.room(), Some((2, 1500 * MIB)));
    }

    #[test]
    fn a_job_that_does_not_grow_says_nothing_and_one_that_ends_does() {
        let mut now = Instant::now();
        let mut ledger = ledger(MemoryTerms::default());
        ledger.look(&look(&[]), now);
        ledger.start(id(1), kind("a"), now);
        for _ in 0..100 {
            now += SECOND;
            ledger.look(&look(&[(1, 50 * MIB)]), now);
            assert!(!ledger.fits(&kind("a")), "it may not have had a processor");
        }
        ledger.over(id(1), 60 * MIB, true);
        for number in 2..10 {
            assert!(ledger.fits(&kind("a")));
            ledger.start(id(number), kind("a"), now);
        }
    }

    #[test]
    fn a_large_machine_does_not_notice() {
        let now = Instant::now();
        let mut ledger = ledger(MemoryTerms::default());
        let large = MemoryLook {
            memory: Some(Memory {
                available: 60 * GIB,
                total: 64 * GIB,
            }),
            jobs: Vec::new(),
        };
        ledger.look(&large, now);
        for number in 0..16 {
            assert!(ledger.fits(&kind("a")));
            ledger.start(id(number), kind("a"), now);
        }
        assert_eq!(ledger.look_again(false), Some(LATER));
    }

    #[test]
    fn below_the_second_mark_the_newest_goes_one_at_a_time() {
        let mut now = Instant::now();
        let mut ledger = ledger(MemoryTerms::default());
        for number in 1..4 {
            ledger.start(id(number), kind("a"), now);
            now += SECOND;
        }
        let first_mark = look(&[(1, GIB), (2, GIB), (3, 1600 * MIB)]);
        assert_eq!(ledger.look(&first_mark, now), None);
        let (available, reserve) = ledger.is_low().unwrap();
        assert!(available < reserve);
        assert!(!ledger.fits(&kind("a")));
        let second_mark = look(&[(1, GIB), (2, GIB), (3, 1800 * MIB)]);
        assert_eq!(ledger.look(&second_mark, now), Some(id(3)));
        assert_eq!(ledger.look(&second_mark, now), None, "it is ending");
        now += ENDING;
        assert_eq!(ledger.look(&second_mark, now), Some(id(2)), "it does not");
        ledger.over(id(3), 0, false);
        ledger.over(id(2), 0, false);
        assert_eq!(ledger.look(&look(&[(1, GIB)]), now), None);
        assert!(ledger.is_low().is_none());
        assert_eq!(
            ledger.promise(&kind("a")),
            1800 * MIB,
            "what was seen of it is remembered"
        );
    }

    #[test]
    fn the_mark_has_two_sides() {
        let now = Instant::now();
        let mut ledger = ledger(MemoryTerms {
            most: None,
            reserve: Some(GIB),
        });
        let with = |available: u64| MemoryLook {
            memory: Some(Memory {
                available,
                total: 16 * GIB,
            }),
            jobs: Vec::new(),
        };
        for (available, low) in [
            (GIB, false),
            (GIB - 1, true),
            (GIB + GIB / 4, true),
            (GIB + GIB / 2, false),
            (GIB, false),
        ] {
            ledger.look(&with(available), now);
            assert_eq!(ledger.is_low().is_some(), low, "{available}");
            assert_eq!(ledger.fits(&kind("a")), !low);
        }
        ledger.look(&MemoryLook::default(), now);
        assert!(ledger.fits(&kind("a")), "nobody knows");
    }

    #[test]
    fn a_limit_of_the_administrator_counts_the_jobs_alone() {
        let now = Instant::now();
        let mut ledger = ledger(MemoryTerms {
            most: Some(2 * GIB),
            reserve: None,
        });
        ledger.start(id(1), kind("a"), now);
        ledger.look(&look(&[(1, 1700 * MIB)]), now);
        assert_eq!(ledger.is_low(), None);
        assert!(!ledger.fits(&kind("a")));
        assert_eq!(ledger.look(&look(&[(1, 2000 * MIB)]), now), Some(id(1)));
    }

    proptest! {
        /// Whatever jobs take within what is expected of them, the second mark is never reached by what was let in.
        #[test]
        fn what_is_let_in_fits(peaks in prop::collection::vec(1u64..1800, 1..40), order in prop::collection::vec(0usize..4, 200)) {
            let mut now = Instant::now();
            let most = *peaks.iter().max().unwrap() * MIB;
            let mut ledger = ledger(MemoryTerms::default());
            for _ in 0..4 {
                ledger.appetite.learn(&kind("a"), most);
            }
            let mut running: Vec<(u32, u64, u64)> = Vec::new();
            let mut next = 0;
            for step in order {
                now += SOON;
                let taken: Vec<(u32, u64)> = running.iter().map(|&(number, bytes, _)| (number, bytes)).collect();
                prop_assert_eq!(ledger.look(&look(&taken), now), None);
                match step {
                    0 if !running.is_empty() => {
                        let (number, _, peak) = running.remove(0);
                        ledger.over(id(number), peak, true);
                    }
                    1 | 2 if ledger.fits(&kind("a")) => {
                        let peak = (peaks[next as usize % peaks.len()] * MIB).min(ledger.promise(&kind("a")));
                        ledger.start(id(next), kind("a"), now);
                        running.push((next, 0, peak));
                        next += 1;
                    }
                    _ => {
                        for job in &mut running {
                            job.1 = job.2.min(job.1 + 300 * MIB);
                        }
                    }
                }
            }
        }
    }
}
