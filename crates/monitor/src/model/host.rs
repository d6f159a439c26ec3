//! One host of the picture, over all its logins.

use std::collections::{BTreeSet, VecDeque};

use super::{JobId, Kind, State, Strip};
use crate::event::HostFacts;

/// Durations that are kept for quantiles.
const SAMPLES: usize = 256;

/// Local jobs for which a record may still come.
const UNRECORDED: usize = 64;

/// Departures that are remembered.
const DEPARTURES: usize = 16;

/// Readings of its clock that are remembered.
const CLOCKS: usize = 8;

/// Jobs of one role, submitter or worker, that ended, and how long they took.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Jobs that ended with status 0.
    pub finished: u64,
    /// Jobs that ended with another.
    pub failed: u64,
    /// Jobs that were lost.
    pub lost: u64,
    total_ms: u64,
    recent: Vec<u32>,
    next: usize,
}

impl Tally {
    fn count(&mut self, state: State, duration_ms: u64) {
        match state {
            State::Finished => {}
            State::Failed => {
                self.failed += 1;
                return;
            }
            State::Lost => {
                self.lost += 1;
                return;
            }
            State::Queued | State::Running | State::Cancelled => return,
        }
        self.finished += 1;
        self.total_ms = self.total_ms.saturating_add(duration_ms);
        let sample = u32::try_from(duration_ms).unwrap_or(u32::MAX);
        if self.recent.len() < SAMPLES {
            self.recent.push(sample);
        } else {
            self.recent[self.next] = sample;
        }
        self.next = (self.next + 1) % SAMPLES;
    }

    /// Mean duration of finished jobs in ms; `None` before the first.
    pub fn mean(&self) -> Option<f64> {
        (self.finished > 0).then(|| self.total_ms as f64 / self.finished as f64)
    }

    /// The duration in ms below which this share (0 to 1) of the last finished jobs lies.
    pub fn quantile(&self, share: f64) -> Option<u32> {
        let mut sorted = self.recent.clone();
        sorted.sort_unstable();
        let last = sorted.len().checked_sub(1)?;
        let index = (share.clamp(0.0, 1.0) * last as f64).round() as usize;
        sorted.get(index).copied()
    }
}

fn push_bounded<T>(to: &mut VecDeque<T>, most: usize, value: T) {
    if to.len() >= most {
        to.pop_front();
    }
    to.push_back(value);
}

/// One host.
#[derive(Clone, Debug)]
pub struct Host {
    /// What was said of it last.
    pub facts: HostFacts,
    /// The scheduler's number of it, while it is here.
    pub number: Option<u32>,
    /// When it was first seen, or came back.
    pub since: u64,
    /// Jobs begun on it for others.
    pub jobs_in: u64,
    /// Jobs of its own begun on others.
    pub jobs_out: u64,
    /// Jobs of its own begun on itself by the scheduler's choice.
    pub jobs_own: u64,
    /// Local jobs.
    pub jobs_local: u64,
    /// As a submitter.
    pub as_client: Tally,
    /// As a worker, own jobs included, local ones not.
    pub as_server: Tally,
    /// Colour and letter, below [`MARKS`](super::MARKS).
    pub mark: u8,
    left: Option<u64>,
    /// A place for each job that runs here; places are used again.
    lanes: Vec<Option<JobId>>,
    running_local: u32,
    waiting: BTreeSet<JobId>,
    abroad: BTreeSet<JobId>,
    busy: Strip,
    running: u32,
    outcomes: Outcomes,
    departures: VecDeque<u64>,
    clocks: VecDeque<i64>,
    unrecorded: VecDeque<JobId>,
    records: u64,
}

/// How the last jobs ended that a worker did, one bit each, the newest lowest.
#[derive(Clone, Copy, Debug, Default)]
struct Outcomes {
    bad: u64,
    seen: u32,
}

impl Host {
    pub(super) fn new(now: u64, mark: u8) -> Host {
        Host {
            facts: HostFacts::default(),
            number: None,
            since: now,
            jobs_in: 0,
            jobs_out: 0,
            jobs_own: 0,
            jobs_local: 0,
            as_client: Tally::default(),
            as_server: Tally::default(),
            mark,
            left: None,
            lanes: Vec::new(),
            running_local: 0,
            waiting: BTreeSet::new(),
            abroad: BTreeSet::new(),
            busy: Strip::default(),
            running: 0,
            outcomes: Outcomes::default(),
            departures: VecDeque::new(),
            clocks: VecDeque::new(),
            unrecorded: VecDeque::new(),
            records: 0,
        }
    }

    pub(super) fn said(&mut self, now: u64, number: u32, mut facts: HostFacts) {
        if self.left.take().is_some() {
            self.since = now;
        }
        // A login says no averages; those of before are still the best there is.
        facts.averages = facts.averages.or(self.facts.averages);
        facts.free_memory = facts.free_memory.or(self.facts.free_memory);
        self.number = Some(number);
        self.facts = facts;
    }

    pub(super) fn leave(&mut self, now: u64) {
        self.number = None;
        if self.left.is_none() {
            self.left = Some(now);
            push_bounded(&mut self.departures, DEPARTURES, now);
        }
    }

    /// The scheduler is another one: that a host is not there yet says nothing about it.
    pub(super) fn not_seen_yet(&mut self, now: u64) {
        self.number = None;
        self.left.get_or_insert(now);
    }

    pub(super) fn recorded(&mut self, now: u64, end: u64) {
        self.records += 1;
        let ahead = i64::try_from(end)
            .unwrap_or(i64::MAX)
            .saturating_sub(i64::try_from(now).unwrap_or(i64::MAX));
        push_bounded(&mut self.clocks, CLOCKS, ahead);
    }

    pub(super) fn expect_record(&mut self, job: JobId) {
        push_bounded(&mut self.unrecorded, UNRECORDED, job);
    }

    pub(super) fn unrecorded(&self) -> impl Iterator<Item = JobId> + '_ {
        self.unrecorded.iter().copied()
    }

    pub(super) fn record_came(&mut self, job: JobId) {
        self.unrecorded.retain(|waiting| *waiting != job);
    }

    pub(super) fn asked(&mut self, job: JobId) {
        self.waiting.insert(job);
    }

    pub(super) fn submitted(&mut self, job: JobId, kind: Kind) {
        self.waiting.remove(&job);
        self.abroad.insert(job);
        match kind {
            Kind::Remote => self.jobs_out += 1,
            Kind::Own => self.jobs_own += 1,
            Kind::Local => self.jobs_local += 1,
        }
    }

    pub(super) fn submitted_ended(&mut self, job: JobId, state: State, duration_ms: u64) {
        self.waiting.remove(&job);
        if self.abroad.remove(&job) {
            self.as_client.count(state, duration_ms);
        }
    }

    /// Takes a job in and says in which lane it runs.
    pub(super) fn runs(&mut self, now: u64, job: JobId, kind: Kind) -> u16 {
        let lane = match self.lanes.iter().position(Option::is_none) {
            Some(free) => free,
            None => {
                self.lanes.push(None);
                self.lanes.len() - 1
            }
        };
        self.lanes[lane] = Some(job);
        self.running += 1;
        self.jobs_in += u64::from(kind == Kind::Remote);
        self.running_local += u32::from(kind == Kind::Local);
        self.busy.set(now, self.busy());
        u16::try_from(lane).unwrap_or(u16::MAX)
    }

    pub(super) fn ran(&mut self, now: u64, job: JobId, kind: Kind, state: State, duration_ms: u64) {
        for lane in &mut self.lanes {
            if *lane == Some(job) {
                *lane = None;
                self.running -= 1;
                break;
            }
        }
        while self.lanes.last() == Some(&None) {
            self.lanes.pop();
        }
        if kind == Kind::Local {
            self.running_local = self.running_local.saturating_sub(1);
        } else {
            self.as_server.count(state, duration_ms);
            let bad = matches!(state, State::Failed | State::Lost);
            self.outcomes.bad = self.outcomes.bad << 1 | u64::from(bad);
            self.outcomes.seen = (self.outcomes.seen + 1).min(u64::BITS);
        }
        self.busy.set(now, self.busy());
    }

    /// Whether it is logged in.
    pub fn is_here(&self) -> bool {
        self.number.is_some()
    }

    /// When it left, unless it is here.
    pub fn left_at(&self) -> Option<u64> {
        self.left
    }

    /// Whether it is here and takes jobs of others.
    pub fn is_available(&self) -> bool {
        let reachable = self
            .facts
            .others
            .get("Accepting")
            .is_none_or(|said| said != "false");
        let wanted = !self.says("Blocked") && !self.says("Draining");
        self.is_here() && !self.facts.no_remote && self.facts.slots != 0 && reachable && wanted
    }

    /// Whether a line that only some schedulers send says `true`.
    pub fn says(&self, key: &str) -> bool {
        self.facts
            .others
            .get(key)
            .is_some_and(|said| said == "true")
    }

    /// The number a line says that only some schedulers send.
    pub fn said_number(&self, key: &str) -> Option<u64> {
        self.facts.others.get(key)?.parse().ok()
    }

    /// Of the last jobs it did for anybody, at most 64: how many failed or were lost, and how many there were.
    pub fn recent_outcomes(&self) -> (u32, u32) {
        (self.outcomes.bad.count_ones(), self.outcomes.seen)
    }

    /// How often it left since `since`, as far as is remembered.
    pub fn departures_since(&self, since: u64) -> usize {
        self.departures.iter().filter(|at| **at >= since).count()
    }

    /// Milliseconds its clock is ahead of the watcher's, negative if behind: the reading nearest to zero of the last, since records
    /// take their time to arrive; `None` before there are enough.
    pub fn clock_ahead(&self) -> Option<i64> {
        if self.clocks.len() < CLOCKS / 2 {
            return None;
        }
        self.clocks.iter().copied().min_by_key(|ahead| ahead.abs())
    }

    /// Records its submitters told.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Slots; Icecream's daemons may say a negative number.
    pub fn slots(&self) -> u32 {
        self.facts.slots.unsigned_abs()
    }

    /// Jobs that run here, local ones included; may exceed the slots.
    pub fn busy(&self) -> u32 {
        self.running
    }

    /// Of these, local ones.
    pub fn busy_local(&self) -> u32 {
        self.running_local
    }

    /// The job of each lane.
    pub fn lanes(&self) -> &[Option<JobId>] {
        &self.lanes
    }

    /// Jobs it submitted that run anywhere.
    pub fn submitted_running(&self) -> &BTreeSet<JobId> {
        &self.abroad
    }

    /// Jobs it submitted that wait for a worker.
    pub fn waiting(&self) -> &BTreeSet<JobId> {
        &self.waiting
    }

    /// Busy slots, second by second.
    pub fn busy_strip(&self) -> &Strip {
        &self.busy
    }
}
