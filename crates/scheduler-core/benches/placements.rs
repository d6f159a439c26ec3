//! Placements per second of the core: `cargo bench -p gelato-scheduler-core [-- NODES ...]`.
//!
//! Figures are per second of processor time, so they hold on a machine that does other things, too. Every node asks and
//! every node works, all with known speeds; each round one job is asked for, begun and done, while the cluster is kept
//! idle, half or completely full. Unless it is full, a request is answered at once: that alone is counted as a decision.
//!
//! All sizes take turns in small batches, and the middle batch counts, so that what else the machine does meanwhile changes
//! all of them or none: it is their ratio that tells how the cost grows.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};

use gelato_scheduler_core::{
    Action, ClientId, Config, ConnectionId, Core, DoneJob, Environment, Event, JobId, JobResult,
    Login, NodeId, Readings, Request, Text, Time,
};

const SLOTS: u32 = 8;
/// Jobs per batch, and how many batches there are.
const BATCH: u32 = 1000;
const BATCHES: usize = 100;

fn main() {
    let asked: Vec<u32> = std::env::args()
        .filter_map(|word| word.parse().ok())
        .collect();
    let sizes = if asked.is_empty() {
        vec![10, 100, 1000, 10_000]
    } else {
        asked
    };
    for (filling, share) in [("idle", 0), ("half full", 50), ("full, with a queue", 130)] {
        let mut runs: Vec<Run> = sizes.iter().map(|nodes| Run::new(*nodes, share)).collect();
        for _ in 0..BATCHES {
            for run in &mut runs {
                run.batch();
            }
        }
        let first = runs.first_mut().map(|run| run.middle());
        for run in &mut runs {
            let (asking, all) = run.middle();
            print!(
                "{filling}, {:5} nodes: {:7.0} jobs/s, {:5.2} us each with request, begin and end",
                run.nodes,
                1e6 / all,
                all
            );
            if share < 100 {
                print!("; {:7.0} decisions/s, {asking:5.2} us each", 1e6 / asking);
            }
            let (first_asking, first_all) = first.unwrap_or((asking, all));
            let ratio = if share < 100 {
                asking / first_asking
            } else {
                all / first_all
            };
            println!(", {ratio:.2} of the first");
        }
    }
}

/// One cluster and how long its batches took.
struct Run {
    nodes: u32,
    cluster: Cluster,
    /// Microseconds per job of each batch: asking alone, and everything.
    asking: Vec<f64>,
    all: Vec<f64>,
}

impl Run {
    fn new(nodes: u32, share: u32) -> Run {
        let mut cluster = Cluster::new(nodes);
        let running = nodes * SLOTS * share / 100;
        let asks: Vec<Event> = (0..running).map(|_| cluster.ask()).collect();
        cluster.play(asks);
        // Idle ones need known speeds, too.
        for _ in 0..100_000 {
            if share == 0 {
                let ask = cluster.ask();
                cluster.play(vec![ask]);
            }
            let done = cluster.finish();
            cluster.play(done.into_iter().flatten().collect());
            if share != 0 {
                let ask = cluster.ask();
                cluster.play(vec![ask]);
            }
        }
        Run {
            nodes,
            cluster,
            asking: Vec::new(),
            all: Vec::new(),
        }
    }

    /// Few enough jobs at a time to leave the filling as it is.
    fn batch(&mut self) {
        let most = (self.nodes * SLOTS / 8).clamp(1, BATCH);
        let cluster = &mut self.cluster;
        let (mut ending, mut asking, mut jobs) = (0.0, 0.0, 0);
        while jobs < BATCH {
            let before = cluster.placed;
            let dones = (0..most).flat_map(|_| cluster.finish().into_iter().flatten());
            ending += {
                let dones: Vec<Event> = dones.collect();
                cluster.play(dones)
            };
            let asks: Vec<Event> = (0..most).map(|_| cluster.ask()).collect();
            asking += cluster.play(asks);
            jobs += (cluster.placed - before).max(1);
        }
        self.asking.push(asking * 1e6 / f64::from(jobs));
        self.all.push((asking + ending) * 1e6 / f64::from(jobs));
    }

    fn middle(&mut self) -> (f64, f64) {
        let middle = |list: &mut Vec<f64>| {
            list.sort_by(f64::total_cmp);
            list.get(list.len() / 2).copied().unwrap_or(f64::NAN)
        };
        (middle(&mut self.asking), middle(&mut self.all))
    }
}

/// Seconds this thread has had a processor.
fn processor_seconds() -> f64 {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    used.tv_sec as f64 + used.tv_nsec as f64 / 1e9
}

struct Cluster {
    core: Core,
    nodes: Vec<NodeId>,
    running: VecDeque<(JobId, NodeId)>,
    next: usize,
    placed: u32,
    /// What is asked for, in turns.
    requests: Vec<Request>,
}

impl Cluster {
    fn new(nodes: u32) -> Cluster {
        let mut cluster = Cluster {
            core: Core::new(Config::default()),
            nodes: Vec::new(),
            running: VecDeque::new(),
            next: 0,
            placed: 0,
            requests: (0..5).map(request).collect(),
        };
        for number in 0..nodes {
            let login = Login {
                connection: ConnectionId(u64::from(number)),
                address: IpAddr::V4(Ipv4Addr::from(0x0a00_0001 + number)),
                local_address: IpAddr::V4(Ipv4Addr::new(10, 9, 9, 9)),
                port: 10245,
                slots: SLOTS,
                environments: (0..5).map(environment).collect(),
                name: Text::from(format!("node{number}")),
                platform: Text::from("x86_64"),
                chroot: true,
                no_remote: false,
                features: 3,
                agreed_version: 44,
                own_version: 44,
            };
            cluster.event(Event::Login(Box::new(login)));
        }
        cluster.nodes = cluster.core.nodes().map(|node| node.id()).collect();
        for node in cluster.nodes.clone() {
            cluster.event(Event::Stats {
                node,
                load: 100,
                readings: Readings::default(),
            });
        }
        cluster
    }

    fn ask(&mut self) -> Event {
        self.next += 1;
        let request = self.requests[self.next % 5].clone();
        let node = self.nodes[self.next * 7 % self.nodes.len()];
        Event::Request {
            node,
            request: Box::new(request),
        }
    }

    fn finish(&mut self) -> Option<[Event; 2]> {
        let (job, node) = self.running.pop_front()?;
        let begin = Event::Begin {
            node,
            job,
            start_time: 1,
            client_count: Some(4),
        };
        let done = Event::Done {
            node,
            which: DoneJob::Id(job),
            by_submitter: false,
            result: JobResult {
                user_ms: 1000 + node.0 % 7 * 100,
                out_uncompressed: 100_000,
                ..JobResult::default()
            },
            client_count: Some(4),
        };
        Some([begin, done])
    }

    /// Seconds that took. The scheduler is measured, not what makes its input.
    fn play(&mut self, events: Vec<Event>) -> f64 {
        let start = processor_seconds();
        for event in events {
            self.event(event);
        }
        processor_seconds() - start
    }

    fn event(&mut self, event: Event) {
        for action in self.core.handle(Time(0), event) {
            let placed = match action {
                Action::UseWorker { answer, .. } => (answer.job, answer.worker),
                Action::CompileYourself { node, job, .. } => (job, node),
                _ => continue,
            };
            self.placed += 1;
            self.running.push_back(placed);
        }
    }
}

fn request(number: usize) -> Request {
    Request {
        environments: vec![environment(number)],
        file: Text::from("src/module/file.cpp"),
        language: 1,
        count: 1,
        target: Text::from("x86_64"),
        arg_flags: 8,
        client: ClientId(1),
        preferred_host: Text::default(),
        minimal_version: 21,
        features: 0,
        source_bytes: 0,
        niceness: 0,
        client_count: 4,
    }
}

fn environment(number: usize) -> Environment {
    Environment::new("x86_64", format!("8b59cf5c35b2033fe114a01a619d2ee{number}"))
}
