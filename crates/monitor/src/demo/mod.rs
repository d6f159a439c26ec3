//! An invented cluster at work: for screenshots, for trying the faces without one, and for their tests.
//!
//! The same seed gives the same events at the same times. Everything a face can show happens sooner or later: builds of several users,
//! links, jobs that stay local and why, a worker whose jobs fail, one that leaves and comes back under another number, one that cannot be
//! reached, one that is out of date, one short of memory.

mod hosts;
mod story;
mod users;

use crate::event::{Event, Figures};
use hosts::DemoHost;
use users::User;

/// Milliseconds between two steps of the demo.
pub const STEP: u64 = 200;

/// A job waits this long before the scheduler says why, in ms.
const TOLD_AFTER: u64 = 1_000;

/// The scheduler says it again after this long, in ms.
const TOLD_AGAIN: u64 = 5_000;

/// The host that leaves and comes back, if there are so many.
const LEAVER: usize = 3;

/// It does so once in this time, in ms.
const ROUND: u64 = 120_000;

/// Within a round: from when to when it is gone.
const GONE: std::ops::Range<u64> = 35_000..50_000;

/// The invented cluster.
#[derive(Clone, Debug)]
pub struct Demo {
    random: fastrand::Rng,
    begun: u64,
    now: u64,
    hosts: Vec<DemoHost>,
    users: Vec<User>,
    waiting: Vec<DemoJob>,
    running: Vec<DemoJob>,
    /// Records on their way: at the next step they arrive.
    records: Vec<Event>,
    next_job: u32,
    next_host: u32,
    greeted: bool,
}

/// A job of the demo.
#[derive(Clone, Debug)]
struct DemoJob {
    number: u32,
    user: usize,
    host: usize,
    file: String,
    what: What,
    asked: u64,
    begun: u64,
    ends: u64,
    told: u64,
    fate: Fate,
    /// Bytes of preprocessed source.
    source: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Compile,
    /// On the submitter's own machine, for the reason of this index.
    Local(usize),
    Link,
    /// On the submitter's own machine after a worker failed it for this reason.
    Again(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Good,
    Wrong,
    FailsOver(&'static str),
}

impl Demo {
    /// A cluster of `hosts` hosts that begins at `now`, in ms since 1970.
    pub fn new(seed: u64, hosts: usize, now: u64) -> Demo {
        let mut random = fastrand::Rng::with_seed(seed);
        let hosts: Vec<DemoHost> = (0..hosts.max(1))
            .map(|index| DemoHost::invented(&mut random, index))
            .collect();
        let users = users::invented(&mut random, &hosts, now);
        Demo {
            random,
            begun: now,
            now,
            next_host: hosts.len() as u32 + 1,
            hosts,
            users,
            waiting: Vec::new(),
            running: Vec::new(),
            records: Vec::new(),
            next_job: 1,
            greeted: false,
        }
    }

    /// The time of the next step.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// What happens in one step of [`STEP`] milliseconds, at [`Demo::now`].
    pub fn step(&mut self) -> Vec<Event> {
        let mut events = std::mem::take(&mut self.records);
        if !self.greeted {
            self.greet(&mut events);
        }
        self.come_and_go(&mut events);
        self.end_jobs(&mut events);
        for user in 0..self.users.len() {
            self.work(user, &mut events);
        }
        self.begin_jobs(&mut events);
        self.tell_who_waits(&mut events);
        self.say_again(&mut events);
        self.now += STEP;
        events
    }

    fn greet(&mut self, events: &mut Vec<Event>) {
        self.greeted = true;
        events.push(Event::Connected {
            scheduler: "demo".to_owned(),
            netname: Some("DEMO".to_owned()),
            protocol: 44,
        });
        events.extend(self.hosts.iter().map(DemoHost::describe));
        events.push(Event::Scheduler {
            version: "gelato-0.1.0".to_owned(),
            started: self.now.saturating_sub(86_400_000),
            algorithm: "finish".to_owned(),
            blocked: vec!["10.0.0.66".to_owned()],
        });
    }

    /// One host leaves now and then, and with it the jobs it had.
    fn come_and_go(&mut self, events: &mut Vec<Event>) {
        let gone = GONE.contains(&((self.now - self.begun) % ROUND));
        let Some(host) = self.hosts.get_mut(LEAVER) else {
            return;
        };
        if gone && host.here {
            host.here = false;
            events.push(Event::HostGone { host: host.number });
            let (lost, going): (Vec<DemoJob>, Vec<DemoJob>) = std::mem::take(&mut self.running)
                .into_iter()
                .partition(|job| job.host == LEAVER);
            self.running = going;
            for job in lost {
                self.hosts[LEAVER].busy -= 1;
                events.push(Event::Done {
                    job: job.number,
                    figures: Figures {
                        exit: Figures::LOST,
                        ..Figures::default()
                    },
                });
                self.again(job, "worker-lost", events);
            }
        } else if !gone && !host.here {
            host.here = true;
            host.number = self.next_host;
            self.next_host += 1;
            events.push(host.describe());
            events.push(Event::Operator {
                who: "127.0.0.1".to_owned(),
                command: format!("unblockcs {}", host.name),
                result: "ok".to_owned(),
            });
        }
    }

    fn end_jobs(&mut self, events: &mut Vec<Event>) {
        let now = self.now;
        let (over, going): (Vec<DemoJob>, Vec<DemoJob>) = std::mem::take(&mut self.running)
            .into_iter()
            .partition(|job| job.ends <= now);
        self.running = going;
        for job in over {
            self.hosts[job.host].busy -= 1;
            if job.what != What::Compile {
                events.push(Event::LocalDone { job: job.number });
                self.tell_record(&job);
                self.users[job.user].job_is_over(job.what);
                continue;
            }
            let exit = match job.fate {
                Fate::Good => 0,
                Fate::Wrong | Fate::FailsOver(_) => 1,
            };
            let real_ms = (now - job.begun) as u32;
            events.push(Event::Done {
                job: job.number,
                figures: Figures {
                    exit,
                    real_ms,
                    user_ms: real_ms * 9 / 10,
                    system_ms: real_ms / 12,
                    page_faults: 20_000,
                    in_compressed: job.source / 6,
                    in_raw: job.source,
                    out_compressed: job.source / 20,
                    out_raw: job.source / 9,
                },
            });
            if let Fate::FailsOver(reason) = job.fate {
                self.again(job, reason, events);
            } else {
                self.tell_record(&job);
                self.users[job.user].job_is_over(job.what);
            }
        }
    }

    /// A worker failed a job: the submitter does it.
    fn again(&mut self, job: DemoJob, reason: &'static str, events: &mut Vec<Event>) {
        let file = story::object(&job.file);
        let took = 600 + self.below(2_500);
        self.begin_here(job.user, file, What::Again(reason), took.into(), events);
    }

    /// Something begins on the submitter's own machine that does not travel.
    fn begin_here(
        &mut self,
        user: usize,
        file: String,
        what: What,
        takes: u64,
        events: &mut Vec<Event>,
    ) {
        let host = self.users[user].host;
        let number = self.number();
        events.push(Event::LocalBegun {
            job: number,
            host: self.hosts[host].number,
            file: file.clone(),
        });
        self.hosts[host].busy += 1;
        self.running.push(DemoJob {
            number,
            user,
            host,
            file,
            what,
            asked: self.now,
            begun: self.now,
            ends: self.now + takes.max(STEP),
            told: 0,
            fate: Fate::Good,
            source: 0,
        });
    }

    fn ask(&mut self, user: usize, file: String, events: &mut Vec<Event>) {
        let number = self.number();
        events.push(Event::Queued {
            job: number,
            client: self.hosts[self.users[user].host].number,
            file: file.clone(),
            language: u32::from(file.ends_with(".cpp")),
        });
        let source = 200_000 + self.below(2_000_000);
        self.waiting.push(DemoJob {
            number,
            user,
            host: 0,
            file,
            what: What::Compile,
            asked: self.now,
            begun: 0,
            ends: 0,
            told: 0,
            fate: Fate::Good,
            source,
        });
    }

    fn begin_jobs(&mut self, events: &mut Vec<Event>) {
        let mut still = Vec::new();
        let mut full = false;
        for mut job in std::mem::take(&mut self.waiting) {
            let submitter = self.users[job.user].host;
            let host = if full { None } else { self.choose(submitter) };
            let Some(host) = host else {
                full = true;
                still.push(job);
                continue;
            };
            job.host = host;
            job.begun = self.now;
            let pace = u64::from(self.hosts[host].pace);
            let takes =
                users::duration(&job.file) * pace / 100 * u64::from(80 + self.below(40)) / 100;
            job.ends = self.now + takes.max(STEP);
            job.fate = self.fate(host, submitter);
            self.hosts[host].busy += 1;
            events.push(Event::Begun {
                job: job.number,
                host: self.hosts[host].number,
            });
            events.push(Event::Explained {
                job: job.number,
                why: story::why(&self.hosts, host, submitter, takes),
            });
            self.running.push(job);
        }
        self.waiting = still;
    }

    /// A host with a free slot, rarely the submitter's own.
    fn choose(&mut self, submitter: usize) -> Option<usize> {
        let count = self.hosts.len();
        let first = self.below(count as u32) as usize;
        let wants_own = self.below(14) == 0;
        let is_free = |host: &DemoHost| host.here && host.busy < host.slots;
        if wants_own && is_free(&self.hosts[submitter]) {
            return Some(submitter);
        }
        (0..count)
            .map(|offset| (first + offset) % count)
            .find(|&index| {
                let host = &self.hosts[index];
                is_free(host) && host.takes_jobs() && index != submitter
            })
    }

    fn fate(&mut self, host: usize, submitter: usize) -> Fate {
        let faulty = self.hosts[host].faulty && host != submitter;
        match self.below(if faulty { 3 } else { 90 }) {
            0 if faulty => Fate::FailsOver("worker-out-of-memory"),
            0 => Fate::Wrong,
            1 if !faulty && host != submitter => Fate::FailsOver("worker-timeout"),
            _ => Fate::Good,
        }
    }

    fn tell_who_waits(&mut self, events: &mut Vec<Event>) {
        let now = self.now;
        for (position, job) in (1..).zip(&mut self.waiting) {
            if now - job.asked < TOLD_AFTER || job.told > 0 && now - job.told < TOLD_AGAIN {
                continue;
            }
            job.told = now;
            let (reason, text) = story::waits_for(position, job.number);
            events.push(Event::Waiting {
                job: job.number,
                position,
                reason: reason.to_owned(),
                text,
            });
        }
    }

    /// Daemons tell how they are now and then.
    fn say_again(&mut self, events: &mut Vec<Event>) {
        if !self.now.is_multiple_of(1_000) {
            return;
        }
        for _ in 0..self.hosts.len().div_ceil(10) {
            let index = self.below(self.hosts.len() as u32) as usize;
            if self.hosts[index].here {
                self.hosts[index].samples += 3;
                events.push(self.hosts[index].describe());
            }
        }
    }

    fn number(&mut self) -> u32 {
        self.next_job += 1;
        self.next_job - 1
    }

    /// A number below `bound`, which is not 0.
    fn below(&mut self, bound: u32) -> u32 {
        self.random.u32(..bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cluster;
    use crate::model::Link;

    fn run(seed: u64, hosts: usize, steps: u64) -> Cluster {
        let mut demo = Demo::new(seed, hosts, 1_000_000);
        let mut cluster = Cluster::new();
        for _ in 0..steps {
            let now = demo.now();
            for event in demo.step() {
                cluster.apply(now, event);
            }
        }
        cluster
    }

    #[test]
    fn a_seed_gives_the_same_cluster_twice_and_work_in_it() {
        let events = |seed| {
            let mut demo = Demo::new(seed, 10, 1_000_000);
            (0..500).map(|_| demo.step()).collect::<Vec<_>>()
        };
        assert_eq!(events(3), events(3));
        assert_ne!(events(3), events(4));
        let cluster = run(3, 10, 500);
        let (now, totals) = (cluster.occupancy(), cluster.totals());
        assert_eq!(now.hosts, 10);
        assert!(
            totals.remote > 100 && totals.local > 5 && totals.failed > 0 && totals.lost > 0,
            "{totals:?}"
        );
        assert!(now.running <= now.slots + now.running_here);
    }

    #[test]
    fn everything_that_can_be_told_is_told() {
        let cluster = run(1, 12, 2_400);
        assert!(matches!(cluster.link(), Link::Up { .. }));
        let jobs = || cluster.jobs().map(|(_, job)| job);
        assert!(jobs().any(|job| job.why.is_some()));
        assert!(jobs().filter(|job| job.record.is_some()).count() > 200);
        let codes: Vec<&str> = cluster.reasons().map(|(code, _)| code).collect();
        for code in [
            "no-compile-step",
            "worker-lost",
            "worker-out-of-memory",
            "assigned-here",
        ] {
            assert!(codes.contains(&code), "{code} is not among {codes:?}");
        }
        assert!(cluster.builds().filter(|build| build.key.is_some()).count() > 3);
        assert!(cluster.people().count() > 2 && cluster.files().count() > 20);
        assert!(cluster.commands().count() > 0);
    }

    #[test]
    fn one_host_alone_works_too() {
        assert!(run(5, 1, 200).totals().own > 0);
    }
}
