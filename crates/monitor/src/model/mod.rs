//! The picture of a cluster: events in, hosts, jobs, builds and totals out.
//!
//! Times are milliseconds since 1970 on the watcher's own clock, at which an event arrived: clocks of daemons differ. They may
//! stand still or jump back; nothing is then counted twice or below zero.
//!
//! Words, the same in every face: a job *begun* on another host than its submitter's is **remote**, on the submitter's own **own**; what
//! cannot travel at all, a link for instance, is **local**. What runs of either keeps a slot **busy**.
//!
//! Everything is bounded: [`KEPT_JOBS`] ended jobs, [`KEPT_BUILDS`] builds, [`MOST_HOSTS`] hosts, [`MOST_LIVE`] unfinished jobs; beyond
//! that the oldest are forgotten.

mod build;
mod host;
mod job;
mod strip;

use std::collections::{BTreeMap, HashMap, VecDeque};

pub use build::Build;
pub use host::{Host, Tally};
pub use job::{Job, Kind, State};
pub use strip::Strip;

use crate::event::{Event, Figures, HostFacts};
use build::Builds;

/// Ended jobs that are remembered.
pub const KEPT_JOBS: usize = 10_000;

/// Builds that are remembered.
pub const KEPT_BUILDS: usize = 100;

/// Hosts that are remembered, those that left included.
pub const MOST_HOSTS: usize = 20_000;

/// Jobs that wait or run, as many as are believed.
pub const MOST_LIVE: usize = 200_000;

/// Marks, pairs of a colour and a letter, by which hosts are told apart.
pub const MARKS: u8 = 24;

/// A host, for as long as this picture lives: the same after it logged in again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(u32);

/// A job, for as long as this picture lives; later jobs have greater ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(u64);

/// Whether there is a scheduler to listen to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Link {
    /// None has been found yet.
    #[default]
    Searching,
    /// It is heard.
    Up {
        /// Its address.
        scheduler: String,
        /// The network's name, if known.
        netname: Option<String>,
        /// The agreed protocol version.
        protocol: u32,
        /// Since when.
        since: u64,
    },
    /// It is not heard any more; hosts and jobs are as they were last.
    Down {
        /// Why, for people.
        reason: String,
        /// Since when.
        since: u64,
    },
}

/// Sums since the picture began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Jobs begun on another host than their submitter's.
    pub remote: u64,
    /// Jobs begun on their submitter's own.
    pub own: u64,
    /// Local jobs begun.
    pub local: u64,
    /// Jobs the compiler ended with another status than 0.
    pub failed: u64,
    /// Jobs whose worker or submitter vanished.
    pub lost: u64,
    /// Jobs that ended before they began.
    pub cancelled: u64,
}

/// The whole at this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Occupancy {
    /// Hosts that are there.
    pub hosts: usize,
    /// Of these, hosts that take jobs of others.
    pub available: usize,
    /// Of these, hosts on which something runs.
    pub active: usize,
    /// Slots of available hosts.
    pub slots: u32,
    /// Jobs running anywhere, local ones included; may exceed the slots.
    pub running: u32,
    /// Of these, own and local jobs.
    pub running_here: u32,
    /// Jobs that wait for a worker.
    pub queued: u32,
}

/// Hosts, jobs and totals.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    link: Link,
    hosts: BTreeMap<HostId, Host>,
    names: HashMap<(String, String), HostId>,
    numbers: HashMap<u32, HostId>,
    jobs: BTreeMap<JobId, Job>,
    live: HashMap<u32, JobId>,
    ended: VecDeque<JobId>,
    builds: Builds,
    totals: Totals,
    busy: Strip,
    running: u32,
    running_here: u32,
    queued: u32,
    next_host: u32,
    next_job: u64,
}

impl Cluster {
    /// Nothing known yet.
    pub fn new() -> Cluster {
        Cluster::default()
    }

    /// Takes in what happened at `now`.
    pub fn apply(&mut self, now: u64, event: Event) {
        match event {
            Event::Connected {
                scheduler,
                netname,
                protocol,
            } => {
                self.forget_numbers(now);
                self.link = Link::Up {
                    scheduler,
                    netname,
                    protocol,
                    since: now,
                };
            }
            Event::Lost { reason } => {
                let since = match self.link {
                    Link::Down { since, .. } => since,
                    _ => now,
                };
                self.link = Link::Down { reason, since };
            }
            Event::Host { host, facts } => self.host_said(now, host, facts),
            Event::HostGone { host } => self.host_gone(now, host),
            Event::Queued {
                job,
                client,
                file,
                language,
            } => self.queued(now, job, client, file, language),
            Event::Begun { job, host } => self.begun(now, job, host),
            Event::Done { job, figures } => self.done(now, job, Some(figures)),
            Event::LocalBegun { job, host, file } => self.local_begun(now, job, host, file),
            Event::LocalDone { job } => self.done(now, job, None),
        }
    }

    /// Whether a scheduler is heard.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// All hosts in the order in which they were first seen, those that left included.
    pub fn hosts(&self) -> impl Iterator<Item = (HostId, &Host)> {
        self.hosts.iter().map(|(id, host)| (*id, host))
    }

    /// One host.
    pub fn host(&self, id: HostId) -> Option<&Host> {
        self.hosts.get(&id)
    }

    /// All jobs that are remembered, the oldest first.
    pub fn jobs(&self) -> impl DoubleEndedIterator<Item = (JobId, &Job)> {
        self.jobs.iter().map(|(id, job)| (*id, job))
    }

    /// One job.
    pub fn job(&self, id: JobId) -> Option<&Job> {
        self.jobs.get(&id)
    }

    /// Builds, the oldest first.
    pub fn builds(&self) -> impl DoubleEndedIterator<Item = &Build> {
        self.builds.all()
    }

    /// Sums since the beginning.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Busy slots of the whole cluster over time.
    pub fn busy(&self) -> &Strip {
        &self.busy
    }

    /// The whole at this moment.
    pub fn occupancy(&self) -> Occupancy {
        let mut sum = Occupancy {
            running: self.running,
            running_here: self.running_here,
            queued: self.queued,
            ..Occupancy::default()
        };
        for host in self.hosts.values().filter(|host| host.is_here()) {
            sum.hosts += 1;
            sum.active += usize::from(host.busy() > 0);
            if host.is_available() {
                sum.available += 1;
                sum.slots = sum.slots.saturating_add(host.slots());
            }
        }
        sum
    }

    /// A new scheduler counts anew: what it does not know of is over.
    fn forget_numbers(&mut self, now: u64) {
        let live: Vec<JobId> = self.live.values().copied().collect();
        for job in live {
            self.end(now, job, State::Lost, Figures::default());
        }
        self.live.clear();
        for (_, id) in self.numbers.drain() {
            if let Some(host) = self.hosts.get_mut(&id) {
                host.leave(now);
            }
        }
    }

    fn host_said(&mut self, now: u64, number: u32, facts: HostFacts) {
        let key = (facts.name.clone(), facts.ip.clone());
        let id = match self.names.get(&key) {
            Some(id) => *id,
            None => {
                if self.hosts.len() >= MOST_HOSTS && !self.forget_a_host() {
                    return;
                }
                let id = HostId(self.next_host);
                self.next_host += 1;
                let mark = self.mark_for(&facts.name);
                self.names.insert(key, id);
                self.hosts.insert(id, Host::new(now, mark));
                id
            }
        };
        if let Some(previous) = self
            .numbers
            .insert(number, id)
            .filter(|previous| *previous != id)
            && let Some(host) = self.hosts.get_mut(&previous)
        {
            host.leave(now);
        }
        if let Some(host) = self.hosts.get_mut(&id) {
            host.said(now, number, facts);
        }
    }

    /// The mark that belongs to the name, or the next that no other host has while there is one.
    fn mark_for(&self, name: &str) -> u8 {
        // FNV-1a: the same in every run, so that a host keeps its colour.
        let hash = name.bytes().fold(0x811c_9dc5u32, |hash, byte| {
            (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        });
        let first = (hash % u32::from(MARKS)) as u8;
        let taken = |mark| self.hosts.values().any(|host| host.mark == mark);
        (0..MARKS)
            .map(|offset| (first + offset) % MARKS)
            .find(|mark| !taken(*mark))
            .unwrap_or(first)
    }

    /// Makes room by one host that left long ago; `false` if all are here.
    fn forget_a_host(&mut self) -> bool {
        let gone = self
            .hosts
            .iter()
            .filter(|(_, host)| !host.is_here() && host.busy() == 0)
            .min_by_key(|(_, host)| host.left_at())
            .map(|(id, _)| *id);
        let Some(id) = gone else { return false };
        self.hosts.remove(&id);
        self.names.retain(|_, named| *named != id);
        true
    }

    fn host_gone(&mut self, now: u64, number: u32) {
        if let Some(host) = self
            .numbers
            .remove(&number)
            .and_then(|id| self.hosts.get_mut(&id))
        {
            host.leave(now);
        }
    }

    fn queued(&mut self, now: u64, number: u32, client: u32, file: String, language: u32) {
        let client = self.numbers.get(&client).copied();
        let Some(id) = self.new_job(
            now,
            number,
            Job::queued(now, number, client, file, language),
        ) else {
            return;
        };
        self.queued += 1;
        if let Some(host) = client.and_then(|client| self.hosts.get_mut(&client)) {
            host.asked(id);
        }
    }

    fn begun(&mut self, now: u64, number: u32, host: u32) {
        let Some(server) = self.numbers.get(&host).copied() else {
            return;
        };
        // One that was asked for before this picture began.
        let known = self.live.get(&number).copied();
        let id = match known {
            Some(id) => id,
            None => {
                let unknown = Job::queued(now, number, None, String::new(), 0);
                let Some(id) = self.new_job(now, number, unknown) else {
                    return;
                };
                self.queued += 1;
                id
            }
        };
        let Some(job) = self
            .jobs
            .get_mut(&id)
            .filter(|job| job.state == State::Queued)
        else {
            return;
        };
        let kind = if job.client == Some(server) {
            Kind::Own
        } else {
            Kind::Remote
        };
        job.begin(now, kind, server);
        let client = job.client;
        self.queued = self.queued.saturating_sub(1);
        if let Some(client) = client.and_then(|client| self.hosts.get_mut(&client)) {
            client.submitted(id, kind);
        }
        self.runs(now, id, server, kind);
    }

    fn local_begun(&mut self, now: u64, number: u32, host: u32, file: String) {
        let Some(server) = self.numbers.get(&host).copied() else {
            return;
        };
        let mut job = Job::queued(now, number, Some(server), file, 0);
        job.begin(now, Kind::Local, server);
        if let Some(id) = self.new_job(now, number, job) {
            if let Some(host) = self.hosts.get_mut(&server) {
                host.submitted(id, Kind::Local);
            }
            self.runs(now, id, server, Kind::Local);
        }
    }

    /// A job takes a slot on `server`.
    fn runs(&mut self, now: u64, id: JobId, server: HostId, kind: Kind) {
        let lane = match self.hosts.get_mut(&server) {
            Some(host) => host.runs(now, id, kind),
            None => 0,
        };
        if let Some(job) = self.jobs.get_mut(&id) {
            job.lane = lane;
            self.builds.began(now, job);
        }
        match kind {
            Kind::Remote => self.totals.remote += 1,
            Kind::Own => self.totals.own += 1,
            Kind::Local => self.totals.local += 1,
        }
        self.running += 1;
        self.running_here += u32::from(kind != Kind::Remote);
        self.busy.set(now, self.running);
    }

    /// The end of a job as the scheduler tells it: with figures, or of a local one.
    fn done(&mut self, now: u64, number: u32, figures: Option<Figures>) {
        let Some(id) = self.live.remove(&number) else {
            return;
        };
        let was_queued = self
            .jobs
            .get(&id)
            .is_some_and(|job| job.state == State::Queued);
        let figures = figures.unwrap_or_default();
        let state = match figures.exit {
            _ if was_queued => State::Cancelled,
            _ if figures.is_lost() => State::Lost,
            0 => State::Finished,
            _ => State::Failed,
        };
        self.end(now, id, state, figures);
    }

    fn end(&mut self, now: u64, id: JobId, state: State, figures: Figures) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        let was_queued = job.state == State::Queued;
        job.end(now, state, figures);
        let (kind, client, server, duration) =
            (job.kind, job.client, job.server, job.duration(now));
        self.builds.ended(now, job);
        if let Some(client) = client.and_then(|client| self.hosts.get_mut(&client)) {
            client.submitted_ended(id, state, duration);
        }
        if was_queued {
            self.queued = self.queued.saturating_sub(1);
        } else {
            if let Some(server) = server.and_then(|server| self.hosts.get_mut(&server)) {
                server.ran(now, id, kind, state, duration);
            }
            self.running = self.running.saturating_sub(1);
            self.running_here = self
                .running_here
                .saturating_sub(u32::from(kind != Kind::Remote));
            self.busy.set(now, self.running);
        }
        match state {
            State::Failed => self.totals.failed += 1,
            State::Lost => self.totals.lost += 1,
            State::Cancelled => self.totals.cancelled += 1,
            State::Finished | State::Queued | State::Running => {}
        }
        self.ended.push_back(id);
        if self.ended.len() > KEPT_JOBS
            && let Some(oldest) = self.ended.pop_front()
        {
            self.jobs.remove(&oldest);
        }
    }

    /// Takes a job in under the scheduler's number; one that had the number is over without our having heard.
    fn new_job(&mut self, now: u64, number: u32, job: Job) -> Option<JobId> {
        if let Some(previous) = self.live.remove(&number) {
            self.end(now, previous, State::Lost, Figures::default());
        }
        if self.live.len() >= MOST_LIVE {
            return None;
        }
        let id = JobId(self.next_job);
        self.next_job += 1;
        self.live.insert(number, id);
        self.jobs.insert(id, job);
        Some(id)
    }
}

#[cfg(test)]
mod tests;
