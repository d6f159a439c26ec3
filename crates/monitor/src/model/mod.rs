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
mod changes;
mod curve;
mod files;
mod host;
mod job;
mod orphans;
mod people;
mod phases;
mod queries;
mod reasons;
mod recent;
mod records;
mod strip;

use std::collections::{BTreeMap, HashMap, VecDeque};

use serde::{Deserialize, Serialize};

pub use build::Build;
pub use changes::Changed;
pub use curve::{Curve, POINTS};
pub use files::{FileTally, MOST_FILES};
pub use host::{Host, Tally};
pub use job::{Job, Kind, State, Wait};
pub use people::Person;
pub use phases::{BOUNDS, Durations, Histogram, Outcome, Results};
pub use reasons::{NOT_TOLD, Reason};
pub use recent::{Minute, Recent};
pub use strip::Strip;

use crate::alerts::Alerts;
use crate::event::{Event, Figures, HostFacts};
use build::Builds;
use changes::Changes;
use files::Files;
use people::People;
use reasons::Reasons;

/// Ended jobs that are remembered.
pub const KEPT_JOBS: usize = 20_000;

/// Builds that are remembered.
pub const KEPT_BUILDS: usize = 500;

/// Hosts that are remembered, those that left included.
pub const MOST_HOSTS: usize = 20_000;

/// Jobs that wait or run, as many as are believed.
pub const MOST_LIVE: usize = 200_000;

/// Commands of operators that are remembered.
const KEPT_COMMANDS: usize = 200;

/// Milliseconds between two looks at what time brings.
const SWEEP: u64 = 1_000;

/// Marks, pairs of a colour and a letter, by which hosts are told apart.
pub const MARKS: u8 = 24;

/// A host, for as long as this picture lives: the same after it logged in again.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct HostId(pub u32);

/// A job, for as long as this picture lives; later jobs have greater ones.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct JobId(pub u64);

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

/// What a scheduler said of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scheduler {
    /// Its address.
    pub address: String,
    /// The network's name, if known.
    pub netname: Option<String>,
    /// The agreed protocol version.
    pub protocol: u32,
    /// Its program and version; only Gelato's tells.
    pub version: Option<String>,
    /// When it started; only Gelato's tells.
    pub started: Option<u64>,
    /// How it chooses workers; only Gelato's tells.
    pub algorithm: Option<String>,
    /// Names and addresses of blocked hosts; only Gelato's tells.
    pub blocked: Vec<String>,
}

/// A changing command somebody gave over the control port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// When it was told.
    pub at: u64,
    /// From where.
    pub who: String,
    /// What was asked for.
    pub command: String,
    /// What came of it.
    pub result: String,
}

/// Sums since the picture began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    scheduler: Option<Scheduler>,
    commands: VecDeque<Command>,
    /// The newest job of each of the scheduler's numbers, ended ones included.
    numbered: HashMap<u32, JobId>,
    /// Jobs whose records are kept, the oldest first, and how many bytes each takes.
    records: VecDeque<(JobId, usize)>,
    records_bytes: usize,
    reasons: Reasons,
    files: Files,
    people: People,
    durations: Durations,
    results: Results,
    recent: Recent,
    changes: Changes,
    alerts: Alerts,
    orphans: orphans::Orphans,
    swept: u64,
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
                self.recent.connected(now, &scheduler);
                self.scheduler = Some(Scheduler {
                    address: scheduler.clone(),
                    netname: netname.clone(),
                    protocol,
                    ..Scheduler::default()
                });
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
            Event::Scheduler {
                version,
                started,
                algorithm,
                blocked,
            } => {
                if let Some(scheduler) = &mut self.scheduler {
                    scheduler.version = Some(version);
                    scheduler.started = Some(started);
                    scheduler.algorithm = Some(algorithm);
                    scheduler.blocked = blocked;
                }
            }
            Event::Record { host, record } => self.recorded(now, host, *record),
            Event::Explained { job, why } => self.change_live(job, |job| job.why = Some(why)),
            Event::Waiting {
                job,
                position,
                reason,
                text,
            } => self.change_live(job, |job| {
                if job.state == State::Queued {
                    job.waiting = Some(Wait {
                        position,
                        reason,
                        text,
                    });
                }
            }),
            Event::Operator {
                who,
                command,
                result,
            } => {
                if self.commands.len() >= KEPT_COMMANDS {
                    self.commands.pop_front();
                }
                self.commands.push_back(Command {
                    at: now,
                    who,
                    command,
                    result,
                });
            }
        }
        self.tick(now);
    }

    /// Does what time alone brings: verdicts on builds that are over, and alerts. To be called about once a second when nothing happens;
    /// [`Cluster::apply`] calls it, too.
    pub fn tick(&mut self, now: u64) {
        if now.abs_diff(self.swept) < SWEEP {
            return;
        }
        self.swept = now;
        self.give_up_orphans(now);
        let mut builds = std::mem::take(&mut self.builds);
        for build in builds.finish(now, |build| self.facts_for(build)) {
            self.changes.build(build);
        }
        self.builds = builds;
        let mut alerts = std::mem::take(&mut self.alerts);
        if alerts.look(self, now) {
            self.changes.alerts();
        }
        self.alerts = alerts;
    }

    /// A new scheduler counts anew: what it does not tell of soon is over.
    fn forget_numbers(&mut self, now: u64) {
        self.orphan_all(now);
        for (_, id) in self.numbers.drain() {
            if let Some(host) = self.hosts.get_mut(&id) {
                host.not_seen_yet(now);
            }
            self.changes.host(id);
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
            self.changes.host(previous);
        }
        if let Some(host) = self.hosts.get_mut(&id) {
            // Its former number, if it came back before it was missed.
            if let Some(former) = host.number.filter(|former| *former != number) {
                self.numbers.remove(&former);
            }
            host.said(now, number, facts);
        }
        self.changes.host(id);
    }

    /// The mark that belongs to the name, or the next that no other host has while there is one.
    fn mark_for(&self, name: &str) -> u8 {
        // FNV-1a: the same in every run, so that a host keeps its colour.
        let hash = name.bytes().fold(0x811c_9dc5u32, |hash, byte| {
            (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        });
        let first = (hash % u32::from(MARKS)) as u8;
        let mut taken = [false; MARKS as usize];
        for host in self.hosts.values() {
            taken[usize::from(host.mark % MARKS)] = true;
        }
        (0..MARKS)
            .map(|offset| (first + offset) % MARKS)
            .find(|mark| !taken[usize::from(*mark)])
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
        self.changes.host_forgotten(id);
        true
    }

    fn host_gone(&mut self, now: u64, number: u32) {
        let Some(id) = self.numbers.remove(&number) else {
            return;
        };
        if let Some(host) = self.hosts.get_mut(&id) {
            host.leave(now);
        }
        self.changes.host(id);
    }

    fn queued(&mut self, now: u64, number: u32, client: u32, file: String, language: u32) {
        let client = self.numbers.get(&client).copied();
        let job = Job::queued(now, number, client, file, language);
        if self.adopt(now, &job) {
            return;
        }
        let Some(id) = self.new_job(now, number, job) else {
            return;
        };
        self.queued += 1;
        if let Some(host) = client.and_then(|client| self.hosts.get_mut(&client)) {
            host.asked(id);
        }
        self.changes.job(id);
        if let Some(client) = client {
            self.changes.host(client);
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
        let (client, wait) = (job.client, job.wait(now));
        if known.is_some() {
            self.recent.waited(now, wait);
            self.durations.waits.count(wait);
        }
        self.queued = self.queued.saturating_sub(1);
        if let Some(client) = client.and_then(|client| self.hosts.get_mut(&client)) {
            client.submitted(id, kind);
            if kind == Kind::Own {
                client.expect_record(id);
            }
        }
        self.runs(now, id, server, kind);
    }

    fn local_begun(&mut self, now: u64, number: u32, host: u32, file: String) {
        let Some(server) = self.numbers.get(&host).copied() else {
            return;
        };
        let mut job = Job::queued(now, number, Some(server), file, 0);
        job.begin(now, Kind::Local, server);
        if self.adopt(now, &job) {
            return;
        }
        if let Some(id) = self.new_job(now, number, job) {
            if let Some(host) = self.hosts.get_mut(&server) {
                host.submitted(id, Kind::Local);
                host.expect_record(id);
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
            job.build = self.builds.began(now, job);
            if let Some(build) = job.build {
                self.changes.build(build);
            }
            if let Some(client) = job.client {
                self.changes.host(client);
            }
        }
        self.changes.job(id);
        self.changes.host(server);
        records::count(&mut self.totals, kind);
        match kind {
            Kind::Remote => self.recent.minute(now).remote += 1,
            Kind::Own => self.recent.minute(now).here += 1,
            Kind::Local => {}
        }
        self.tell_forgotten_builds();
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
        self.results.ended_as(job);
        let (kind, client, server, duration) =
            (job.kind, job.client, job.server, job.duration(now));
        if kind != Kind::Local {
            self.files.ended(job, duration);
            if !was_queued && matches!(state, State::Finished | State::Failed) {
                self.durations.jobs.count(duration);
            }
        }
        if !was_queued {
            self.builds.ended(now, job);
            if let Some(build) = job.build {
                self.changes.build(build);
            }
        }
        self.changes.job(id);
        for host in [client, server].into_iter().flatten() {
            self.changes.host(host);
        }
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
        self.remember_ended(id);
    }

    fn remember_ended(&mut self, id: JobId) {
        self.changes.job(id);
        self.ended.push_back(id);
        if self.ended.len() > KEPT_JOBS
            && let Some(oldest) = self.ended.pop_front()
            && let Some(job) = self.jobs.remove(&oldest)
        {
            self.changes.job_forgotten(oldest);
            if self.numbered.get(&job.number) == Some(&oldest) {
                self.numbered.remove(&job.number);
            }
        }
    }

    fn tell_forgotten_builds(&mut self) {
        for build in self.builds.take_forgotten() {
            self.changes.build_forgotten(build);
        }
    }

    fn change_live(&mut self, number: u32, change: impl FnOnce(&mut Job)) {
        let Some(id) = self.live.get(&number).copied() else {
            return;
        };
        if let Some(job) = self.jobs.get_mut(&id) {
            change(job);
            self.changes.job(id);
        }
    }

    fn next_id(&mut self) -> JobId {
        let id = JobId(self.next_job);
        self.next_job += 1;
        id
    }

    /// Takes a job in under the scheduler's number; one that had the number is over without our having heard.
    fn new_job(&mut self, now: u64, number: u32, job: Job) -> Option<JobId> {
        if let Some(previous) = self.live.remove(&number) {
            self.end(now, previous, State::Lost, Figures::default());
        }
        if self.live.len() >= MOST_LIVE {
            return None;
        }
        let id = self.next_id();
        self.live.insert(number, id);
        self.numbered.insert(number, id);
        self.jobs.insert(id, job);
        Some(id)
    }
}

#[cfg(test)]
mod tests;
