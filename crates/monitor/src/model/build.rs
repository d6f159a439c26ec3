//! Builds: jobs that belong together because their records say so, else jobs of one submitter without a longer pause between them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use gelato_record::{JobRecord, Verdict};

use super::curve::Curve;
use super::job::{Job, Kind, State};
use super::{HostId, KEPT_BUILDS};
use crate::verdict::{Analysis, Facts, Work};

/// A pause after which the next job belongs to another build, in ms.
const PAUSE: u64 = 10_000;

/// Different files of a build that are told apart.
const MOST_FILES: usize = 100_000;

/// Records of one build that its verdict is made of.
const MOST_WORKS: usize = 20_000;

/// Records that wait to become part of a verdict, of all builds.
const MOST_WORKS_OF_ALL: usize = 200_000;

/// Milliseconds after which records of a build that is over are not expected any more.
const LATE: u64 = 60_000;

/// Different reasons of a build that are told apart.
const MOST_REASONS: usize = 100;

/// One build.
#[derive(Clone, Debug, Default)]
pub struct Build {
    /// Numbered from 1 in the order they began.
    pub number: u64,
    /// Whose.
    pub client: HostId,
    /// What the records call it, if there were any.
    pub key: Option<String>,
    /// Whether it is a guess which jobs belong to it.
    pub guessed: bool,
    /// The user on the submitter, if records say.
    pub user: Option<u32>,
    /// When its first job began.
    pub begun: u64,
    /// When anything last happened.
    pub last: u64,
    /// Jobs that run now.
    pub running: u32,
    /// Jobs begun on other machines.
    pub remote: u64,
    /// Jobs begun on the submitter's by the scheduler's choice.
    pub own: u64,
    /// Local jobs begun.
    pub local: u64,
    /// Jobs done on the submitter's after another machine had failed, as records say.
    pub failed_over: u64,
    /// Jobs that were not done at all, as records say.
    pub refused: u64,
    /// Jobs that failed.
    pub failed: u64,
    /// Jobs that were lost.
    pub lost: u64,
    /// Records that were told.
    pub recorded: u64,
    /// Sum of the wall times of its compilations in ms: what one slot would have needed.
    pub serial_ms: u64,
    /// Longest of them.
    pub longest_ms: u64,
    /// Bytes of source sent, compressed.
    pub sent: u64,
    /// Bytes of results received, compressed.
    pub received: u64,
    /// Jobs by the reason why they were not done elsewhere.
    pub reasons: BTreeMap<String, u64>,
    files: HashMap<String, u32>,
    curve: Curve,
    works: Vec<Work>,
    analysis: Option<Box<Analysis>>,
    /// Whether its records are not kept any more.
    is_final: bool,
    /// Whether it was told that it is over.
    told_over: bool,
}

impl Build {
    /// Jobs begun.
    pub fn jobs(&self) -> u64 {
        self.remote + self.own + self.local
    }

    /// Different files compiled.
    pub fn files(&self) -> usize {
        self.files.len()
    }

    /// Milliseconds from its first job to its last event.
    pub fn wall(&self) -> u64 {
        self.last.saturating_sub(self.begun)
    }

    /// How many times faster than one after the other; `None` before anything ended.
    pub fn speed_up(&self) -> Option<f64> {
        (self.serial_ms > 0 && self.wall() > 0).then(|| self.serial_ms as f64 / self.wall() as f64)
    }

    /// Whether a next job would still belong to it.
    pub fn is_open(&self, now: u64) -> bool {
        self.running > 0 || now.saturating_sub(self.last) < PAUSE
    }

    /// Whether most of its files were also compiled in another one, which had at least as many.
    pub fn resembles(&self, other: &Build) -> bool {
        let known = |file: &&String| other.files.contains_key(*file);
        let looked_at = self.files.len().min(64);
        let shared = self.files.keys().take(looked_at).filter(known).count();
        looked_at > 0 && 2 * shared >= looked_at && other.files.len() >= self.files.len()
    }

    /// Jobs that ran at the same time, over its length.
    pub fn curve(&self) -> &Curve {
        &self.curve
    }

    /// What bounded it and the longest chain in it, as far as its records tell; `None` without records.
    pub fn analysis(&self, facts: Facts) -> Option<Analysis> {
        if let Some(analysis) = &self.analysis {
            return Some((**analysis).clone());
        }
        (!self.works.is_empty()).then(|| Analysis::of(&self.works, facts))
    }

    /// Whether every job of it was told about in a record.
    pub fn is_recorded(&self) -> bool {
        self.recorded > 0 && self.recorded >= self.jobs()
    }

    fn opened(number: u64, client: HostId, now: u64) -> Build {
        Build {
            number,
            client,
            guessed: true,
            begun: now,
            last: now,
            ..Build::default()
        }
    }

    /// Counts a job in as far as it has come, or out again.
    fn count(&mut self, job: &Job, now: u64, sign: Sign) {
        self.count_beginning(job, sign);
        if job.is_over() {
            self.count_end(job, now, sign);
        } else {
            sign.apply_small(&mut self.running);
        }
    }

    fn count_beginning(&mut self, job: &Job, sign: Sign) {
        match job.kind {
            Kind::Remote => sign.apply(&mut self.remote, 1),
            Kind::Own => sign.apply(&mut self.own, 1),
            Kind::Local => {
                sign.apply(&mut self.local, 1);
                return;
            }
        }
        match sign {
            Sign::In if self.files.len() < MOST_FILES || self.files.contains_key(&job.file) => {
                *self.files.entry(job.file.clone()).or_default() += 1;
            }
            Sign::In => {}
            Sign::Out => {
                if let Some(count) = self.files.get_mut(&job.file) {
                    *count -= 1;
                    if *count == 0 {
                        self.files.remove(&job.file);
                    }
                }
            }
        }
    }

    fn count_end(&mut self, job: &Job, now: u64, sign: Sign) {
        match job.state {
            State::Failed => sign.apply(&mut self.failed, 1),
            State::Lost => sign.apply(&mut self.lost, 1),
            _ => {}
        }
        if job.kind != Kind::Local {
            let duration = job.duration(now);
            self.longest_ms = self.longest_ms.max(duration);
            sign.apply(&mut self.serial_ms, duration);
            sign.apply(&mut self.sent, job.figures.in_compressed.into());
            sign.apply(&mut self.received, job.figures.out_compressed.into());
        }
    }

    fn count_record(&mut self, record: &JobRecord) -> usize {
        self.recorded += 1;
        self.guessed = record.build_guessed || self.key.is_none();
        self.user = record.user.or(self.user);
        match record.verdict {
            Verdict::FailedOver => self.failed_over += 1,
            Verdict::Refused => self.refused += 1,
            Verdict::Remote | Verdict::Own | Verdict::Local => {}
        }
        if let Some(code) = &record.reason
            && (self.reasons.len() < MOST_REASONS || self.reasons.contains_key(code))
        {
            *self.reasons.entry(code.clone()).or_default() += 1;
        }
        if self.works.len() >= MOST_WORKS || self.is_final {
            return 0;
        }
        // With what came late it is another one.
        self.analysis = None;
        self.works.push(Work::of(record));
        1
    }
}

/// Whether something is added or taken away.
#[derive(Clone, Copy)]
enum Sign {
    In,
    Out,
}

impl Sign {
    fn apply(self, to: &mut u64, by: u64) {
        *to = match self {
            Sign::In => to.saturating_add(by),
            Sign::Out => to.saturating_sub(by),
        };
    }

    fn apply_small(self, to: &mut u32) {
        *to = match self {
            Sign::In => to.saturating_add(1),
            Sign::Out => to.saturating_sub(1),
        };
    }
}

/// All builds that are remembered.
#[derive(Clone, Debug, Default)]
pub(super) struct Builds {
    all: BTreeMap<u64, Build>,
    /// The newest of each submitter.
    newest: HashMap<HostId, u64>,
    keys: HashMap<(HostId, String), u64>,
    count: u64,
    works: usize,
    /// Those without a final verdict, the oldest first.
    unfinished: BTreeSet<u64>,
    forgotten: Vec<u64>,
}

impl Builds {
    pub(super) fn all(&self) -> impl DoubleEndedIterator<Item = &Build> {
        self.all.values()
    }

    pub(super) fn get(&self, number: u64) -> Option<&Build> {
        self.all.get(&number)
    }

    /// Numbers of builds that were forgotten since this was last asked.
    pub(super) fn take_forgotten(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.forgotten)
    }

    /// A job began: the number of the build it is thought to belong to.
    pub(super) fn began(&mut self, now: u64, job: &Job) -> Option<u64> {
        let client = job.client?;
        let newest = self.newest.get(&client).copied();
        let open = |number: &u64| {
            let build = self.all.get(number);
            build.is_some_and(|build| build.is_open(now))
        };
        let number = match newest.filter(open) {
            Some(number) => number,
            None => self.open(now, client),
        };
        let build = self.all.get_mut(&number)?;
        build.last = now;
        build.count(job, now, Sign::In);
        build.curve.set(now, build.running);
        Some(number)
    }

    pub(super) fn ended(&mut self, now: u64, job: &Job) {
        let Some(build) = job.build.and_then(|build| self.all.get_mut(&build)) else {
            return;
        };
        build.last = now;
        build.running = build.running.saturating_sub(1);
        build.curve.set(now, build.running);
        build.count_end(job, now, Sign::In);
    }

    /// A record was told of a job that is thought to belong to build `thought`, or of one nobody had heard of: the number of the
    /// build it belongs to.
    pub(super) fn recorded(
        &mut self,
        now: u64,
        client: HostId,
        thought: Option<u64>,
        record: &JobRecord,
    ) -> u64 {
        let number = self.build_of(now, client, thought, record);
        if let Some(build) = self.all.get_mut(&number) {
            self.works += build.count_record(record);
        }
        while self.works > MOST_WORKS_OF_ALL {
            let Some(oldest) = self.unfinished.pop_first() else {
                break;
            };
            if let Some(build) = self.all.get_mut(&oldest) {
                build.is_final = true;
                self.works -= build.works.len();
                build.works = Vec::new();
            }
        }
        number
    }

    fn build_of(
        &mut self,
        now: u64,
        client: HostId,
        thought: Option<u64>,
        record: &JobRecord,
    ) -> u64 {
        let thought = thought.filter(|number| self.all.contains_key(number));
        let Some(key) = &record.build else {
            let newest = self.newest.get(&client).copied();
            let open = |number: &u64| {
                let build = self.all.get(number);
                build.is_some_and(|build| build.is_open(now))
            };
            return match thought.or(newest.filter(open)) {
                Some(number) => number,
                None => self.open(now, client),
            };
        };
        let place = (client, key.clone());
        if let Some(number) = self.keys.get(&place) {
            return *number;
        }
        let nameless = |number: &u64| {
            let build = self.all.get(number);
            build.is_some_and(|build| build.key.is_none() && build.client == client)
        };
        let newest = self.newest.get(&client).copied().filter(|number| {
            let build = self.all.get(number);
            build.is_some_and(|build| build.is_open(now))
        });
        let number = match thought.or(newest).filter(nameless) {
            Some(number) => number,
            None => self.open(now, client),
        };
        if let Some(build) = self.all.get_mut(&number) {
            build.key = Some(key.clone());
            self.keys.insert(place, number);
        }
        number
    }

    /// A job turned out to belong to another build than was thought, or to one where it had belonged to none.
    pub(super) fn moved(&mut self, now: u64, job: &Job, to: u64) {
        if let Some(from) = job.build {
            if let Some(build) = self.all.get_mut(&from) {
                build.count(job, now, Sign::Out);
                build.curve.set(now, build.running);
            }
            let empty = self.all.get(&from);
            if empty.is_some_and(|build| build.jobs() == 0 && build.recorded == 0) {
                self.forget(from);
            }
        }
        if let Some(build) = self.all.get_mut(&to) {
            let begun = job.begun.unwrap_or(job.asked);
            build.begun = build.begun.min(begun);
            build.last = build.last.max(job.ended.unwrap_or(now));
            build.told_over = false;
            build.count(job, now, Sign::In);
            build.curve.set(now, build.running);
        }
    }

    /// Gives builds that are over their verdicts, and lets go of the records of those for which no more are to be expected:
    /// numbers of builds that are over since the last time or have a new verdict.
    pub(super) fn finish(&mut self, now: u64, facts: impl Fn(&Build) -> Facts) -> Vec<u64> {
        let mut judged = Vec::new();
        let mut finished = Vec::new();
        for number in &self.unfinished {
            let Some(build) = self.all.get_mut(number).filter(|build| !build.is_open(now)) else {
                continue;
            };
            let unjudged = build.analysis.is_none() && !build.works.is_empty();
            if unjudged {
                build.analysis = build.analysis(facts(build)).map(Box::new);
            }
            if unjudged || !build.told_over {
                build.told_over = true;
                judged.push(*number);
            }
            if now.saturating_sub(build.last) > LATE {
                finished.push(*number);
            }
        }
        for number in finished {
            self.unfinished.remove(&number);
            if let Some(build) = self.all.get_mut(&number) {
                build.is_final = true;
                self.works -= build.works.len();
                build.works = Vec::new();
            }
        }
        judged
    }

    fn open(&mut self, now: u64, client: HostId) -> u64 {
        if self.all.len() >= KEPT_BUILDS {
            let idle = self.all.values().find(|build| build.running == 0);
            let oldest = idle.or_else(|| self.all.values().next());
            if let Some(number) = oldest.map(|build| build.number) {
                self.forget(number);
            }
        }
        self.count += 1;
        let number = self.count;
        self.newest.insert(client, number);
        self.unfinished.insert(number);
        self.all.insert(number, Build::opened(number, client, now));
        number
    }

    fn forget(&mut self, number: u64) {
        let Some(build) = self.all.remove(&number) else {
            return;
        };
        self.unfinished.remove(&number);
        self.works -= build.works.len();
        if self.newest.get(&build.client) == Some(&number) {
            self.newest.remove(&build.client);
        }
        if let Some(key) = build.key {
            self.keys.remove(&(build.client, key));
        }
        self.forgotten.push(number);
    }
}
