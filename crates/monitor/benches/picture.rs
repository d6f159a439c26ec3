//! What it costs to keep the picture of a large cluster: 1 000 hosts, 5 000 jobs in flight, 2 000 events a second, changes for a page
//! four times a second. Prints the share of one processor and what a second of it is made of.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use gelato_monitor::event::Figures;
use gelato_monitor::{Cluster, Event, HostFacts, metrics, view};
use gelato_record::{JobRecord, Phases};

const HOSTS: u32 = 1_000;
const LIVE: usize = 5_000;
/// Jobs that begin and end in a second: each is four events, one of them its record.
const JOBS: u32 = 500;
const SECONDS: u64 = 60;
const START: u64 = 1_800_000_000_000;

fn main() {
    let mut cluster = Cluster::new();
    let mut load = Load::default();
    let mut spent = Spent::default();
    let mut now = START;
    let connected = Event::Connected {
        scheduler: "10.0.0.1:8765".to_owned(),
        netname: None,
        protocol: 44,
    };
    cluster.apply(now, connected);
    for host in 1..=HOSTS {
        cluster.apply(now, describe(host));
    }
    while load.live.len() < LIVE {
        for event in load.begin() {
            cluster.apply(now, event);
        }
    }
    let mut revision = cluster.revision();
    let mut bytes = 0;
    for quarter in 0..SECONDS * 4 {
        let events = load.quarter(quarter);
        spent.events += events.len() as u64;
        let begin = Instant::now();
        let each = 250_000 / events.len().max(1) as u64;
        for (index, event) in events.into_iter().enumerate() {
            cluster.apply(now + index as u64 * each / 1000, event);
        }
        spent.apply += begin.elapsed();
        now += 250;
        let begin = Instant::now();
        let delta = view::delta(&cluster, now, revision);
        spent.delta += begin.elapsed();
        revision = delta.revision;
        let begin = Instant::now();
        bytes += serde_json::to_vec(&delta).map_or(0, |text| text.len());
        spent.json += begin.elapsed();
    }
    let begin = Instant::now();
    let snapshot = view::snapshot(&cluster, now);
    let length = serde_json::to_vec(&snapshot).map_or(0, |text| text.len());
    let snapshot = begin.elapsed();
    let begin = Instant::now();
    let page = metrics::text(&cluster, now);
    let scrape = begin.elapsed();
    let share = |of: Duration| 100.0 * of.as_secs_f64() / SECONDS as f64;
    println!(
        "{} events/s, {} jobs in flight, {} hosts",
        spent.events / SECONDS,
        load.live.len(),
        HOSTS
    );
    println!(
        "events into the picture  {:5.2} % of a core",
        share(spent.apply)
    );
    println!("changes for pages        {:5.2} %", share(spent.delta));
    println!(
        "  as JSON                {:5.2} %   {} kB/s",
        share(spent.json),
        bytes as u64 / SECONDS / 1000
    );
    println!(
        "a snapshot               {snapshot:?}, {} kB",
        length / 1000
    );
    println!(
        "a scrape of metrics      {scrape:?}, {} kB",
        page.len() / 1000
    );
}

#[derive(Default)]
struct Spent {
    events: u64,
    apply: Duration,
    delta: Duration,
    json: Duration,
}

#[derive(Default)]
struct Load {
    live: VecDeque<(u32, u32)>,
    next: u32,
}

impl Load {
    fn begin(&mut self) -> [Event; 2] {
        self.next += 1;
        let (job, client) = (self.next, 1 + self.next % 50);
        self.live.push_back((job, client));
        let queued = Event::Queued {
            job,
            client,
            file: format!("src/part{}/file{}.cpp", job % 40, job % 3_000),
            language: 1,
        };
        let begun = Event::Begun {
            job,
            host: 1 + job % HOSTS,
        };
        [queued, begun]
    }

    fn quarter(&mut self, quarter: u64) -> Vec<Event> {
        let mut events = Vec::new();
        for _ in 0..JOBS / 4 {
            events.extend(self.begin());
            let Some((job, client)) = self.live.pop_front() else {
                continue;
            };
            let figures = Figures {
                real_ms: 8_000,
                user_ms: 7_000,
                in_raw: 900_000,
                in_compressed: 150_000,
                out_raw: 90_000,
                out_compressed: 30_000,
                ..Figures::default()
            };
            events.push(Event::Done { job, figures });
            events.push(Event::Record {
                host: client,
                record: Box::new(record(job, client)),
            });
        }
        // Daemons tell how they are every ten seconds or so.
        let first = (quarter as u32 * 25) % HOSTS;
        events.extend((first..first + 25).map(|host| describe(1 + host % HOSTS)));
        events
    }
}

fn record(job: u32, client: u32) -> JobRecord {
    JobRecord {
        end: START,
        file: format!("part{}/file{}.o", job % 40, job % 3_000),
        source: format!("src/part{}/file{}.cpp", job % 40, job % 3_000),
        folder: "/home/user/project/build".to_owned(),
        compiler: "g++".to_owned(),
        language: Some("c++".to_owned()),
        build: Some(format!("project-{client}")),
        job: Some(job),
        worker: Some(format!("host{}:10245", job % HOSTS)),
        wall: 8_100,
        cpu: 400,
        phases: Phases {
            wait: 20,
            preprocess: 350,
            send: 40,
            compile: 7_600,
            receive: 60,
            ..Phases::default()
        },
        sent: 150_000,
        received: 30_000,
        source_bytes: 900_000,
        output_bytes: 90_000,
        user: Some(1000 + client),
        ..JobRecord::default()
    }
}

fn describe(host: u32) -> Event {
    let others = [
        ("Scheduler", "gelato/2"),
        ("Software", "0.1.0"),
        ("Samples", "40"),
        ("Environments", "3"),
    ];
    Event::Host {
        host,
        facts: HostFacts {
            name: format!("host{host}"),
            ip: format!("10.1.{}.{}", host / 250, host % 250),
            slots: 8,
            platform: "x86_64".to_owned(),
            protocol: 44,
            features: vec!["env_xz".to_owned(), "env_zstd".to_owned()],
            speed: 240.0,
            load: 600,
            averages: Some([5_000; 3]),
            free_memory: Some(9_000),
            others: others
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            ..HostFacts::default()
        },
    }
}
