//! Jobs of one submitter without a longer pause between them: a build, as far as can be told from outside.

use std::collections::{HashSet, VecDeque};

use super::job::{Job, Kind, State};
use super::{HostId, KEPT_BUILDS};

/// A pause after which the next job belongs to another build, in ms.
const PAUSE: u64 = 10_000;

/// Different files of a build that are told apart.
const MOST_FILES: usize = 100_000;

/// One build.
#[derive(Clone, Debug)]
pub struct Build {
    /// Numbered from 1 in the order they began.
    pub number: u64,
    /// Whose.
    pub client: HostId,
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
    /// Jobs that failed.
    pub failed: u64,
    /// Jobs that were lost.
    pub lost: u64,
    /// Sum of the wall times of its compilations in ms: what one slot would have needed.
    pub serial_ms: u64,
    /// Bytes of source sent, compressed.
    pub sent: u64,
    files: HashSet<String>,
}

impl Build {
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
}

/// All builds that are remembered.
#[derive(Clone, Debug, Default)]
pub(super) struct Builds {
    all: VecDeque<Build>,
    count: u64,
}

impl Builds {
    pub(super) fn all(&self) -> impl DoubleEndedIterator<Item = &Build> {
        self.all.iter()
    }

    pub(super) fn began(&mut self, now: u64, job: &Job) {
        let Some(client) = job.client else { return };
        let index = match self
            .index(client)
            .filter(|&index| self.all[index].is_open(now))
        {
            Some(index) => index,
            None => {
                self.open(now, client);
                self.all.len() - 1
            }
        };
        let build = &mut self.all[index];
        build.last = now;
        build.running += 1;
        match job.kind {
            Kind::Remote => build.remote += 1,
            Kind::Own => build.own += 1,
            Kind::Local => build.local += 1,
        }
        if build.files.len() < MOST_FILES && job.kind != Kind::Local {
            build.files.insert(job.file.clone());
        }
    }

    pub(super) fn ended(&mut self, now: u64, job: &Job) {
        let Some(index) = job.client.and_then(|client| self.index(client)) else {
            return;
        };
        if job.begun.is_none() {
            return;
        }
        let build = &mut self.all[index];
        build.last = now;
        build.running = build.running.saturating_sub(1);
        match job.state {
            State::Failed => build.failed += 1,
            State::Lost => build.lost += 1,
            _ => {}
        }
        if job.kind != Kind::Local {
            build.serial_ms = build.serial_ms.saturating_add(job.duration(now));
            build.sent = build
                .sent
                .saturating_add(u64::from(job.figures.in_compressed));
        }
    }

    /// The newest build of a submitter: its jobs end before a next one begins, by definition.
    fn index(&self, client: HostId) -> Option<usize> {
        self.all.iter().rposition(|build| build.client == client)
    }

    fn open(&mut self, now: u64, client: HostId) {
        if self.all.len() >= KEPT_BUILDS {
            self.all.pop_front();
        }
        self.count += 1;
        self.all.push_back(Build {
            number: self.count,
            client,
            begun: now,
            last: now,
            running: 0,
            remote: 0,
            own: 0,
            local: 0,
            failed: 0,
            lost: 0,
            serial_ms: 0,
            sent: 0,
            files: HashSet::new(),
        });
    }
}
