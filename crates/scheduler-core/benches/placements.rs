//! Placements per second of the core: `cargo bench -p gelato-scheduler-core`.
//!
//! Figures are per second of processor time, so they hold on a machine that does other things, too. Every node asks and
//! every node works, all with known speeds; each round one job is asked for, begun and done, while the cluster is kept
//! half or completely full. While it is half full, a request is answered at once: that alone is counted as a decision.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};

use gelato_scheduler_core::{
    Action, ClientId, Config, ConnectionId, Core, DoneJob, Environment, Event, JobId, JobResult,
    Login, NodeId, Readings, Request, Text, Time,
};

const SLOTS: u32 = 8;

fn main() {
    for nodes in [10, 100, 1000, 10_000] {
        for (filling, share) in [("half full", 50), ("full, with a queue", 130)] {
            let rounds = 100_000;
            let mut cluster = Cluster::new(nodes);
            let running = nodes * SLOTS * share / 100;
            for _ in 0..running {
                cluster.ask();
            }
            for _ in 0..rounds {
                cluster.finish();
                cluster.ask();
            }
            // Few enough to leave the filling as it is.
            let batch = (nodes * SLOTS / 8).clamp(1, 1000);
            let (mut ending, mut asking) = (0.0, 0.0);
            let before = cluster.placed;
            for _ in 0..rounds / batch {
                let start = processor_seconds();
                for _ in 0..batch {
                    cluster.finish();
                }
                let between = processor_seconds();
                for _ in 0..batch {
                    cluster.ask();
                }
                ending += between - start;
                asking += processor_seconds() - between;
            }
            let placed = f64::from(cluster.placed - before);
            let seconds = ending + asking;
            print!(
                "{nodes:5} nodes, {filling}: {:7.0} jobs/s, {:5.2} us each with request, begin and end",
                placed / seconds,
                seconds / placed * 1e6
            );
            if share < 100 {
                print!(
                    "; {:7.0} decisions/s, {:5.2} us each",
                    placed / asking,
                    asking / placed * 1e6
                );
            }
            println!();
        }
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
    /// What is asked for, in turns. The scheduler is measured, not what makes its input.
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

    fn ask(&mut self) {
        self.next += 1;
        let request = self.requests[self.next % 5].clone();
        let node = self.nodes[self.next * 7 % self.nodes.len()];
        self.event(Event::Request {
            node,
            request: Box::new(request),
        });
    }

    fn finish(&mut self) {
        let Some((job, node)) = self.running.pop_front() else {
            return;
        };
        self.event(Event::Begin {
            node,
            job,
            start_time: 1,
            client_count: Some(4),
        });
        self.event(Event::Done {
            node,
            which: DoneJob::Id(job),
            by_submitter: false,
            result: JobResult {
                user_ms: 1000 + node.0 % 7 * 100,
                out_uncompressed: 100_000,
                ..JobResult::default()
            },
            client_count: Some(4),
        });
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
