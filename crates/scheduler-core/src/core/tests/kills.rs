//! Workers and submitters that vanish again and again in the middle of their jobs.

use super::*;

const KILLS: u32 = 10_000;
const NODES: usize = 12;

#[test]
fn ten_thousand_kills_leak_no_slot() {
    let mut random = Generator::new(5);
    let mut below = |bound: usize| random.below(bound);
    let mut world = World::with(Config {
        seed: 3,
        ..Config::default()
    });
    let mut nodes: Vec<NodeId> = Vec::new();
    let (mut kills, mut number) = (0, 0);
    while kills < KILLS {
        while nodes.len() < NODES {
            // Addresses come again, names as well.
            let mut form = world.login_form(1 + below(4) as u32);
            form.environments = vec![Environment::new("x86_64", "gcc")];
            let actions = world.core.handle(world.now, Event::Login(Box::new(form)));
            let node = accepted(&actions);
            nodes.retain(|node| world.core.node(*node).is_some());
            nodes.push(node);
            let readings = Readings::default();
            let load = 0;
            world.core.handle(
                world.now,
                Event::Stats {
                    node,
                    load,
                    readings,
                },
            );
        }
        let node = nodes[below(nodes.len())];
        let jobs: Vec<JobId> = world.core.jobs().map(Job::id).collect();
        let job = jobs.get(below(jobs.len().max(1))).copied();
        let worker = job.and_then(|job| world.core.job(job)?.worker());
        number += 1;
        let event = match (below(8), job, worker) {
            (0, ..) => {
                kills += 1;
                nodes.retain(|other| *other != node);
                Event::Left { node }
            }
            (1, Some(job), Some(node)) => Event::Begin {
                node,
                job,
                start_time: 0,
                client_count: None,
            },
            (2 | 3, Some(job), Some(node)) => Event::Done {
                node,
                which: DoneJob::Id(job),
                by_submitter: false,
                result: result(100),
                client_count: None,
            },
            (4, ..) => Event::LocalBegin {
                node,
                client: ClientId(number % 3),
                file: Text::default(),
                start_time: 0,
                full: number % 2 == 0,
            },
            (5, ..) => {
                let client = ClientId(number % 3);
                Event::LocalDone { node, client }
            }
            _ => Event::Request {
                node,
                request: Box::new(world.request_form()),
            },
        };
        world.now = Time(world.now.0 + 7);
        world.core.handle(world.now, event);
        if number % 97 == 0 {
            world.core.check();
        }
    }
    // Once all jobs are over, every slot of every node is free.
    for node in nodes.clone() {
        for client in 0..3 {
            let client = ClientId(client);
            world.event(Event::LocalDone { node, client });
        }
    }
    loop {
        let next = world.core.jobs().next().map(Job::id);
        let Some(job) = next else { break };
        let submitter = world.core.job(job).unwrap().submitter();
        world.event(Event::Done {
            node: submitter,
            which: DoneJob::Id(job),
            by_submitter: true,
            result: result(1),
            client_count: None,
        });
    }
    for node in nodes {
        assert_eq!(world.core.node(node).unwrap().occupied(), 0);
        world.event(Event::Left { node });
    }
    world.core.check_empty();
}

#[test]
fn readings_do_not_change_how_many_clients_there_are() {
    let mut world = World::new();
    let asker = world.asker();
    world.ask_with(asker, |request| request.client_count = 9);
    world.load(asker, 100);
    assert_eq!(world.core.node(asker).unwrap().client_count, 9);
}
