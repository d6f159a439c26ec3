//! Random stories: what must hold whatever happens.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Login {
        host: u8,
        slots: u8,
        no_remote: bool,
        version: u32,
        has: bool,
        platform: u8,
    },
    Leave(u8),
    Load(u8, u32),
    Ask {
        node: u8,
        client: u8,
        count: u8,
        nice: u8,
        preferred: u8,
        platform: u8,
    },
    Begin(u8),
    Finish(u8, i32, u32),
    SubmitterSays(u8, i32),
    ClientGone(u8, u8),
    Stray(u8, u8, bool),
    Local(u8, u8, bool),
    LocalDone(u8, u8),
    Relogin(u8, u8, bool),
    Blacklist(u8, u8),
    Reach(u8, bool),
    Pass(u16),
    Monitor,
    Drain,
}

const PLATFORMS: [&str; 3] = ["x86_64", "i686", "aarch64"];

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0u8..10, 0u8..5, any::<bool>(), 20u32..46, any::<bool>(), 0u8..3).prop_map(
            |(host, slots, no_remote, version, has, platform)| Step::Login {
                host, slots, no_remote: no_remote && host < 3, version, has, platform
            }
        ),
        1 => any::<u8>().prop_map(Step::Leave),
        4 => (any::<u8>(), 0u32..1200).prop_map(|(node, load)| Step::Load(node, load)),
        10 => (any::<u8>(), 0u8..6, 0u8..4, 0u8..3, 0u8..20, 0u8..3).prop_map(
            |(node, client, count, nice, preferred, platform)| Step::Ask {
                node, client, count, nice, preferred, platform
            }
        ),
        5 => any::<u8>().prop_map(Step::Begin),
        9 => (any::<u8>(), -1i32..2, 0u32..5000).prop_map(|(job, code, ms)| Step::Finish(job, code, ms)),
        2 => (any::<u8>(), 0i32..200).prop_map(|(job, code)| Step::SubmitterSays(job, code)),
        1 => (any::<u8>(), 0u8..6).prop_map(|(node, client)| Step::ClientGone(node, client)),
        1 => (any::<u8>(), any::<u8>(), any::<bool>()).prop_map(|(n, j, s)| Step::Stray(n, j, s)),
        2 => (any::<u8>(), 0u8..6, any::<bool>()).prop_map(|(n, c, full)| Step::Local(n, c, full)),
        2 => (any::<u8>(), 0u8..6).prop_map(|(n, c)| Step::LocalDone(n, c)),
        3 => (any::<u8>(), 0u8..6, any::<bool>()).prop_map(|(n, slots, has)| Step::Relogin(n, slots, has)),
        1 => (any::<u8>(), any::<u8>()).prop_map(|(n, host)| Step::Blacklist(n, host)),
        2 => (any::<u8>(), any::<bool>()).prop_map(|(n, up)| Step::Reach(n, up)),
        2 => (0u16..200).prop_map(Step::Pass),
        1 => Just(Step::Monitor),
        1 => prop_oneof![30 => Just(Step::Monitor), 1 => Just(Step::Drain)],
    ]
}

/// What an observer of the actions knows.
#[derive(Default)]
struct Ledger {
    requested: BTreeSet<u32>,
    answered: BTreeSet<u32>,
    ended: BTreeSet<u32>,
    waiting: BTreeMap<u32, u32>,
}

impl Ledger {
    fn note(&mut self, core: &Core, actions: &[Action]) {
        for action in actions {
            match action {
                Action::Monitor {
                    to: Audience::All,
                    event,
                } => match event {
                    MonitorEvent::Requested { job, submitter, .. } => {
                        assert!(self.requested.insert(job.0));
                        self.waiting.insert(job.0, submitter.0);
                    }
                    MonitorEvent::Done { job, .. } => {
                        assert!(self.requested.contains(&job.0), "unknown job ended");
                        assert!(self.ended.insert(job.0), "job {job} ended twice");
                        self.waiting.remove(&job.0);
                    }
                    _ => {}
                },
                Action::UseWorker { node, answer } => {
                    self.answer(answer.job, *node);
                    assert!(answer.worker != *node || answer.installed);
                }
                Action::CompileYourself { node, job, .. } => self.answer(*job, *node),
                _ => {}
            }
        }
        let queued: Vec<u32> = core
            .jobs()
            .filter(|job| job.worker().is_none())
            .map(|job| job.id().0)
            .collect();
        let waiting: Vec<u32> = self.waiting.keys().copied().collect();
        assert_eq!(waiting, queued, "a job was lost");
    }

    fn answer(&mut self, job: JobId, node: NodeId) {
        assert_eq!(
            self.waiting.remove(&job.0),
            Some(node.0),
            "answer for job {job} to the wrong node, or twice"
        );
        assert!(self.answered.insert(job.0));
    }
}

fn pick<T: Copy>(list: &[T], index: u8) -> Option<T> {
    list.get(usize::from(index) % list.len().max(1)).copied()
}

fn event_of(world: &mut World, step: &Step) -> Option<Event> {
    let nodes: Vec<NodeId> = world.core.nodes().map(Node::id).collect();
    let jobs: Vec<JobId> = world.core.jobs().map(Job::id).collect();
    let toolchain = |platform: u8| {
        let platform = PLATFORMS[usize::from(platform) % 3];
        Environment::new(platform, format!("gcc-{platform}"))
    };
    Some(match *step {
        Step::Login {
            host,
            slots,
            no_remote,
            version,
            has,
            platform,
        } => {
            let mut form = world.login_form(u32::from(slots));
            form.name = Text::from(format!("h{host}"));
            form.address = IpAddr::V4(Ipv4Addr::new(10, 1, 0, host));
            form.no_remote = no_remote;
            (form.agreed_version, form.own_version) = (version.min(44), version);
            form.platform = Text::from(PLATFORMS[usize::from(platform)]);
            if has {
                form.environments = vec![Environment::new("x86_64", toolchain(platform).name)];
            }
            Event::Login(Box::new(form))
        }
        Step::Leave(node) => Event::Left {
            node: pick(&nodes, node)?,
        },
        Step::Load(node, load) => Event::Stats {
            node: pick(&nodes, node)?,
            load: if load < 900 { load } else { load + 100 },
            readings: Readings::default(),
        },
        Step::Ask {
            node,
            client,
            count,
            nice,
            preferred,
            platform,
        } => {
            let mut form = world.request_form();
            form.count = u32::from(count);
            form.client = ClientId(u32::from(client));
            form.niceness = u32::from(nice) * 15;
            form.environments = vec![toolchain(platform), toolchain(platform + 1)];
            if preferred < 10 {
                form.preferred_host = Text::from(format!("h{preferred}"));
            }
            Event::Request {
                node: pick(&nodes, node)?,
                request: Box::new(form),
            }
        }
        Step::Begin(job) => {
            let job = pick(&jobs, job)?;
            Event::Begin {
                node: world.core.job(job)?.worker()?,
                job,
                start_time: 1,
                client_count: Some(2),
            }
        }
        Step::Finish(job, exit_code, user_ms) => {
            let job = pick(&jobs, job)?;
            Event::Done {
                node: world.core.job(job)?.worker()?,
                which: DoneJob::Id(job),
                by_submitter: false,
                result: JobResult {
                    exit_code,
                    ..result(user_ms)
                },
                client_count: None,
            }
        }
        Step::SubmitterSays(job, exit_code) => {
            let job = pick(&jobs, job)?;
            Event::Done {
                node: world.core.job(job)?.submitter(),
                which: DoneJob::Id(job),
                by_submitter: true,
                result: JobResult {
                    exit_code,
                    ..result(0)
                },
                client_count: Some(1),
            }
        }
        Step::ClientGone(node, client) => Event::Done {
            node: pick(&nodes, node)?,
            which: DoneJob::Client(ClientId(u32::from(client))),
            by_submitter: true,
            result: JobResult::default(),
            client_count: Some(1),
        },
        Step::Stray(node, job, by_submitter) => Event::Done {
            node: pick(&nodes, node)?,
            which: DoneJob::Id(JobId(u32::from(job))),
            by_submitter,
            result: JobResult::default(),
            client_count: None,
        },
        Step::Local(node, client, full) => Event::LocalBegin {
            node: pick(&nodes, node)?,
            client: ClientId(u32::from(client)),
            file: Text::default(),
            start_time: 0,
            full,
        },
        Step::LocalDone(node, client) => Event::LocalDone {
            node: pick(&nodes, node)?,
            client: ClientId(u32::from(client)),
        },
        Step::Relogin(node, slots, has) => Event::Relogin {
            node: pick(&nodes, node)?,
            slots: u32::from(slots),
            environments: if has {
                PLATFORMS
                    .iter()
                    .map(|platform| Environment::new("x86_64", format!("gcc-{platform}")))
                    .collect()
            } else {
                Vec::new()
            },
        },
        Step::Blacklist(node, host) => Event::Blacklist {
            node: pick(&nodes, node)?,
            environment: toolchain(host),
            address: Text::from(format!("10.1.0.{}", host % 10)),
        },
        Step::Reach(node, reachable) => Event::Reachability {
            node: pick(&nodes, node)?,
            reachable,
        },
        Step::Pass(seconds) => {
            world.now = world.now.plus_seconds(u64::from(seconds));
            Event::Tick
        }
        Step::Monitor => Event::MonitorJoined {
            connection: ConnectionId(1),
        },
        Step::Drain => Event::Drain,
    })
}

/// Slots are respected: a job is put where there is room, or on its own submitter for want of anyone.
fn check_room(before: &Core, after: &Core, actions: &[Action]) {
    let mut placed: BTreeMap<NodeId, u64> = BTreeMap::new();
    for (job, worker) in told(actions) {
        let decision = after.decision(JobId(job)).unwrap();
        assert_eq!(decision.worker, NodeId(worker));
        if !matches!(decision.why, Why::Nobody | Why::Draining) {
            *placed.entry(decision.worker).or_default() += 1;
        }
    }
    for id in placed.keys() {
        let Some(node) = after.node(*id) else {
            continue;
        };
        let slots = node.shown_slots().unsigned_abs();
        let forced = after
            .decisions()
            .filter(|one| one.worker == *id && matches!(one.why, Why::Nobody | Why::Draining))
            .count() as u64;
        assert!(
            node.occupied() <= slots + 1 + slots / 4 + forced,
            "{} of {slots} slots of node {id} (before: {:?})",
            node.occupied(),
            before.node(*id).map(Node::occupied)
        );
    }
}

fn run(steps: &[Step], config: Config) -> Vec<Action> {
    let mut world = World::with(config);
    let mut ledger = Ledger::default();
    let mut all = Vec::new();
    for step in steps {
        let Some(event) = event_of(&mut world, step) else {
            continue;
        };
        let before = world.core.clone();
        let actions = world.event(event);
        ledger.note(&world.core, &actions);
        check_room(&before, &world.core, &actions);
        all.extend(actions);
    }
    drain_queue(&mut world, &mut ledger);
    let nodes: Vec<NodeId> = world.core.nodes().map(Node::id).collect();
    for node in nodes {
        let actions = world.event(Event::Left { node });
        ledger.note(&world.core, &actions);
    }
    world.core.check_empty();
    assert_eq!(ledger.requested, ledger.ended);
    all
}

/// With every node idle and reachable and every job finishing, nobody waits for ever.
fn drain_queue(world: &mut World, ledger: &mut Ledger) {
    for _ in 0..400 {
        let nodes: Vec<NodeId> = world.core.nodes().map(Node::id).collect();
        for node in nodes {
            let locals: Vec<ClientId> = (0..6).map(ClientId).collect();
            for client in locals {
                let actions = world.event(Event::LocalDone { node, client });
                ledger.note(&world.core, &actions);
            }
            let actions = world.load(node, 0);
            ledger.note(&world.core, &actions);
            let actions = world.event(Event::Reachability {
                node,
                reachable: true,
            });
            ledger.note(&world.core, &actions);
        }
        let placed: Vec<JobId> = world
            .core
            .jobs()
            .filter(|job| job.worker().is_some())
            .map(Job::id)
            .collect();
        for job in placed {
            if world.core.job(job).is_some() {
                let actions = world.finish_with(job.0, result(1000));
                ledger.note(&world.core, &actions);
            }
        }
        if world.core.job_count() == 0 {
            return;
        }
        world.now = world.now.plus_seconds(5);
        let actions = world.event(Event::Tick);
        ledger.note(&world.core, &actions);
    }
    panic!(
        "jobs are stuck: {:?}",
        world.core.jobs().collect::<Vec<_>>()
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_doubled_or_left_over(
        steps in proptest::collection::vec(step(), 1..150),
        seed in any::<u64>(),
        algorithm in prop_oneof![
            3 => Just(Algorithm::Fastest),
            1 => Just(Algorithm::RoundRobin),
            1 => Just(Algorithm::LeastBusy),
            1 => Just(Algorithm::Random),
            1 => Just(Algorithm::Compat),
            4 => Just(Algorithm::Finish),
        ],
    ) {
        let config = Config { seed, algorithm, decisions_kept: 100_000, ..Config::default() };
        let first = run(&steps, config.clone());
        prop_assert_eq!(first, run(&steps, config));
    }
}
