//! An invented cluster at work: for screenshots, for trying the faces without one, and for their tests.
//!
//! The same seed gives the same events at the same times.

use crate::event::{Event, Figures, HostFacts};

/// Milliseconds between two steps of the demo.
pub const STEP: u64 = 200;

/// The invented cluster.
#[derive(Clone, Debug)]
pub struct Demo {
    random: fastrand::Rng,
    now: u64,
    hosts: Vec<u32>,
    waiting: Vec<u32>,
    running: Vec<Running>,
    next_job: u32,
    greeted: bool,
}

#[derive(Clone, Copy, Debug)]
struct Running {
    job: u32,
    host: usize,
    ends: u64,
    begun: u64,
    local: bool,
}

const NAMES: [&str; 8] = [
    "ada", "barbara", "claude", "dennis", "edsger", "frances", "grace", "hedy",
];
const FILES: [&str; 8] = [
    "core/parser.cpp",
    "core/lexer.cpp",
    "ui/window.cpp",
    "ui/menu.cpp",
    "net/socket.c",
    "net/http.cpp",
    "base/string.cpp",
    "base/allocator.c",
];

impl Demo {
    /// A cluster of `hosts` hosts that begins at `now`, in ms since 1970.
    pub fn new(seed: u64, hosts: usize, now: u64) -> Demo {
        let mut demo = Demo {
            random: fastrand::Rng::with_seed(seed),
            now,
            hosts: Vec::new(),
            waiting: Vec::new(),
            running: Vec::new(),
            next_job: 1,
            greeted: false,
        };
        demo.hosts = (0..hosts.max(1)).map(|_| 2 + demo.below(15)).collect();
        demo
    }

    /// The time of the next step.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// What happens in one step of [`STEP`] milliseconds, at [`Demo::now`].
    pub fn step(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        if !self.greeted {
            self.greeted = true;
            events.push(Event::Connected {
                scheduler: "demo".to_owned(),
                netname: Some("DEMO".to_owned()),
                protocol: 44,
            });
            events.extend((0..self.hosts.len()).map(|host| self.describe(host)));
        }
        self.end_jobs(&mut events);
        self.ask_for_jobs(&mut events);
        self.begin_jobs(&mut events);
        if self.now.is_multiple_of(3_000) {
            let host = self.below(self.hosts.len() as u32) as usize;
            events.push(self.describe(host));
        }
        self.now += STEP;
        events
    }

    fn describe(&self, host: usize) -> Event {
        let slots = self.hosts[host];
        let busy = self.busy(host);
        let name = NAMES[host % NAMES.len()];
        let round = host / NAMES.len();
        Event::Host {
            host: host as u32 + 1,
            facts: HostFacts {
                name: if round == 0 {
                    name.to_owned()
                } else {
                    format!("{name}{round}")
                },
                ip: format!("10.0.{}.{}", host / 250, host % 250 + 1),
                slots: slots as i32,
                no_remote: host % 7 == 6,
                platform: if host % 5 == 4 { "aarch64" } else { "x86_64" }.to_owned(),
                protocol: 44,
                features: vec!["env_xz".to_owned(), "env_zstd".to_owned()],
                speed: f64::from(100 + slots * 20),
                load: (busy * 1000 / slots).min(990),
                averages: Some([busy * 1000; 3]),
                free_memory: Some(16_000 - busy * 300),
                others: [("Sandbox".to_owned(), "namespaces".to_owned())].into(),
            },
        }
    }

    fn busy(&self, host: usize) -> u32 {
        self.running.iter().filter(|job| job.host == host).count() as u32
    }

    fn end_jobs(&mut self, events: &mut Vec<Event>) {
        let now = self.now;
        let (over, going): (Vec<Running>, Vec<Running>) =
            self.running.iter().partition(|job| job.ends <= now);
        self.running = going;
        for job in over {
            events.push(if job.local {
                Event::LocalDone { job: job.job }
            } else {
                let real_ms = (now - job.begun) as u32;
                let size = 200_000 + self.below(2_000_000);
                Event::Done {
                    job: job.job,
                    figures: Figures {
                        exit: i32::from(self.below(60) == 0),
                        real_ms,
                        user_ms: real_ms * 9 / 10,
                        system_ms: real_ms / 12,
                        page_faults: 20_000,
                        in_compressed: size / 6,
                        in_raw: size,
                        out_compressed: size / 20,
                        out_raw: size / 9,
                    },
                }
            });
        }
    }

    fn ask_for_jobs(&mut self, events: &mut Vec<Event>) {
        // Builds come and go: two submitters, each at work two thirds of the time.
        for client in 1..=2u32 {
            let phase = self.now / 1_000 / (17 + u64::from(client) * 6) % 3;
            if phase == 2 {
                continue;
            }
            for _ in 0..self.below(6) {
                let job = self.next_job;
                self.next_job += 1;
                let file = FILES[self.below(FILES.len() as u32) as usize];
                if self.below(15) == 0 {
                    let ends = self.now + 1_000 + u64::from(self.below(5_000));
                    self.start(job, client as usize - 1, ends, true);
                    events.push(Event::LocalBegun {
                        job,
                        host: client,
                        file: "bin/app".to_owned(),
                    });
                } else {
                    self.waiting.push(job);
                    events.push(Event::Queued {
                        job,
                        client,
                        file: file.to_owned(),
                        language: u32::from(file.ends_with(".cpp")),
                    });
                }
            }
        }
    }

    fn begin_jobs(&mut self, events: &mut Vec<Event>) {
        while !self.waiting.is_empty() {
            let first = self.below(self.hosts.len() as u32) as usize;
            let free = (0..self.hosts.len())
                .map(|offset| (first + offset) % self.hosts.len())
                .find(|&host| host % 7 != 6 && self.busy(host) < self.hosts[host]);
            let Some(host) = free else { return };
            let job = self.waiting.remove(0);
            let ends = self.now + 400 + u64::from(self.below(4_000)) * u64::from(1 + self.below(3));
            self.start(job, host, ends, false);
            events.push(Event::Begun {
                job,
                host: host as u32 + 1,
            });
        }
    }

    fn start(&mut self, job: u32, host: usize, ends: u64, local: bool) {
        self.running.push(Running {
            job,
            host,
            ends,
            begun: self.now,
            local,
        });
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

    #[test]
    fn a_seed_gives_the_same_cluster_twice_and_work_in_it() {
        let events = |seed| {
            let mut demo = Demo::new(seed, 10, 1_000_000);
            (0..500).map(|_| demo.step()).collect::<Vec<_>>()
        };
        assert_eq!(events(3), events(3));
        assert_ne!(events(3), events(4));
        let mut cluster = Cluster::new();
        for (step, events) in (0..).zip(events(3)) {
            for event in events {
                cluster.apply(1_000_000 + step * STEP, event);
            }
        }
        let (now, totals) = (cluster.occupancy(), cluster.totals());
        assert_eq!(now.hosts, 10);
        assert!(
            totals.remote > 100 && totals.local > 5 && totals.failed > 0,
            "{totals:?}"
        );
        assert!(now.running <= now.slots + now.running_here);
    }
}
