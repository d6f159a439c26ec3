//! Jobs that cannot be placed at once, installations, blacklists.

use super::*;

fn installed() -> Vec<Environment> {
    vec![Environment::new("x86_64", "gcc")]
}

#[test]
fn submitters_take_turns_and_nice_ones_come_last() {
    let mut world = World::new();
    let [a, b, c] = [world.asker(), world.asker(), world.asker()];
    let worker = world.worker(1);
    let names = |world: &World, told: Vec<Told>| -> String {
        told.iter()
            .map(|(job, _)| {
                let job = world.core.job(JobId(*job)).unwrap();
                let who = [a, b, c].iter().position(|node| *node == job.submitter());
                ["A", "B", "C"][who.unwrap()]
            })
            .collect()
    };
    let mut order = String::new();
    for _ in 0..6 {
        let told = world.ask(a);
        order += &names(&world, told);
    }
    for _ in 0..3 {
        assert_eq!(world.ask(b), []);
    }
    for _ in 0..2 {
        let waiting = world.ask_with(c, |form| form.niceness = 10);
        assert_eq!(told(&waiting), []);
    }
    let running = |world: &World| world.core.node(worker).and_then(|node| node.jobs().next());
    while let Some(job) = running(&world) {
        let told = world.finish(job.0, 1000);
        order += &names(&world, told);
    }
    assert_eq!(order, "AAABABABACC");
}

#[test]
fn a_job_for_a_full_host_does_not_delay_others() {
    let mut world = World::new();
    let (a, b) = (world.asker(), world.asker());
    let (busy, idle) = (world.worker(1), world.worker(4));
    let wanted = |form: &mut Request| form.preferred_host = Text::from("n3");
    for _ in 0..2 {
        assert_eq!(told(&world.ask_with(a, wanted))[0].1, busy.0);
    }
    assert_eq!(told(&world.ask_with(a, wanted)), []);
    assert_eq!(world.ask(a)[0].1, idle.0);
    assert_eq!(world.ask(b)[0].1, idle.0);
    assert_eq!(
        world.core.obstacles(JobId(3), world.now),
        [
            (a, Obstacle::NotPreferred),
            (b, Obstacle::NotPreferred),
            (busy, Obstacle::Full),
            (idle, Obstacle::NotPreferred)
        ]
    );
    assert_eq!(world.finish(1, 1000), [(3, busy.0)]);
}

#[test]
fn a_job_nobody_could_ever_take_goes_home() {
    let mut world = World::new();
    let asker = world.asker();
    world.worker(4);
    let rare = world.ask_with(asker, |form| {
        form.environments = vec![Environment::new("riscv64", "gcc")];
    });
    assert_eq!(told(&rare), [(1, asker.0)]);
    let modern = world.ask_with(asker, |form| form.minimal_version = 45);
    assert_eq!(told(&modern), [(2, asker.0)]);
}

#[test]
fn hope_ends_when_the_last_able_worker_leaves() {
    let mut world = World::new();
    let asker = world.asker();
    let worker = world.worker(1);
    world.load(worker, 1000);
    assert_eq!(world.ask(asker), []);
    let actions = world.event(Event::Left { node: worker });
    assert_eq!(told(&actions), [(1, asker.0)]);
}

#[test]
fn a_submitter_with_a_free_slot_does_not_wait() {
    let mut world = World::new();
    let own = world.worker(1);
    let other = world.worker(1);
    world.load(own, 1000);
    world.load(other, 1000);
    assert_eq!(world.ask(own), [(1, own.0)]);
    assert_eq!(world.ask(own), []);
}

#[test]
fn one_installation_at_a_time_and_what_is_there_is_served_meanwhile() {
    let mut world = World::new();
    let asker = world.asker();
    let worker = world.node_with(4, |form| {
        form.environments = vec![Environment::new("x86_64", "old")];
    });
    let first = answer(&world.ask_with(asker, |_| ()));
    assert_eq!((first.worker, first.installed), (worker, false));
    assert_eq!(world.ask(asker), [], "it must not be sent twice at once");
    let other = world.ask_with(asker, |form| {
        form.environments = vec![Environment::new("x86_64", "old")];
    });
    assert!(answer(&other).installed);
    let arrived = world.event(Event::Relogin {
        node: worker,
        slots: 0,
        environments: installed(),
    });
    assert!(answer(&arrived).installed);
}

#[test]
fn an_abandoned_installation_ends_with_its_job() {
    let mut world = World::new();
    let asker = world.asker();
    let worker = world.node_with(4, |_| ());
    assert_eq!(world.ask(asker), [(1, worker.0)]);
    assert_eq!(world.ask(asker), []);
    let gone = world.event(Event::Done {
        node: asker,
        which: DoneJob::Id(JobId(1)),
        by_submitter: true,
        result: JobResult {
            exit_code: 118,
            ..JobResult::default()
        },
        client_count: Some(1),
    });
    assert!(!answer(&gone).installed);
    assert_eq!(told(&gone), [(2, worker.0)]);
    let left = world.event(Event::Left { node: asker });
    assert!(dropped(&left).is_empty());
    assert_eq!(
        world.core.node(worker).unwrap().installing_since(),
        None,
        "the sender is gone"
    );
}

#[test]
fn an_installation_that_takes_too_long_is_avoided_not_punished() {
    let mut world = World::new();
    let asker = world.asker();
    let worker = world.node_with(4, |form| {
        form.environments = vec![Environment::new("x86_64", "old")];
    });
    assert_eq!(world.ask(asker), [(1, worker.0)]);
    assert_eq!(world.ask(asker), []);
    let actions = world.pass(121);
    assert!(dropped(&actions).is_empty());
    assert_eq!(told(&actions), [(2, asker.0)], "nobody else could");
    let other = world.ask_with(asker, |form| {
        form.environments = vec![Environment::new("x86_64", "old")];
    });
    assert_eq!(told(&other), [(3, worker.0)]);
    world.pass(300);
    assert_eq!(world.ask(asker), [(4, worker.0)]);
}

#[test]
fn a_blacklisted_pair_is_avoided_for_that_submitter_only() {
    let mut world = World::new();
    let (a, b) = (world.asker(), world.asker());
    let worker = world.worker(4);
    world.event(Event::Blacklist {
        node: a,
        environment: Environment::new("x86_64", "gcc"),
        address: Text::from("10.0.0.3"),
    });
    assert_eq!(world.ask(a), [(1, a.0)]);
    assert_eq!(world.ask(b), [(2, worker.0)]);
    world.event(Event::Left { node: worker });
    let again = world.worker(4);
    assert_eq!(world.ask(a), [(3, again.0)]);
}

#[test]
fn a_client_that_leaves_the_queue_is_forgotten() {
    let mut world = World::new();
    let asker = world.asker();
    let worker = world.worker(1);
    world.load(worker, 1000);
    world.ask_with(asker, |form| (form.count, form.client) = (2, ClientId(5)));
    let actions = world.event(Event::Done {
        node: asker,
        which: DoneJob::Client(ClientId(5)),
        by_submitter: true,
        result: JobResult {
            exit_code: 118,
            ..JobResult::default()
        },
        client_count: Some(0),
    });
    let ended: Vec<u32> = monitored(&actions)
        .iter()
        .filter_map(|event| match event {
            MonitorEvent::Done { job, .. } => Some(job.0),
            _ => None,
        })
        .collect();
    assert_eq!(ended, [1, 2]);
    assert_eq!(world.core.job_count(), 0);
}

#[test]
fn a_worker_may_change_its_slots() {
    let mut world = World::new();
    let asker = world.asker();
    let worker = world.worker(1);
    for _ in 0..4 {
        world.ask(asker);
    }
    let running = |world: &World| world.core.node(worker).unwrap().occupied();
    assert_eq!(running(&world), 2, "one slot and one in advance");
    let relogin = |world: &mut World, slots| {
        world.event(Event::Relogin {
            node: worker,
            slots,
            environments: vec![Environment::new("x86_64", "gcc")],
        })
    };
    assert_eq!(told(&relogin(&mut world, 0)), [], "0 is no change");
    let more = relogin(&mut world, 3);
    assert_eq!(told(&more).len(), 2);
    let tells_monitors = more.iter().any(|action| {
        matches!(action, Action::Monitor { event: MonitorEvent::Stats(stats), .. } if stats.slots == 3)
    });
    assert!(tells_monitors);
    relogin(&mut world, 1);
    world.finish(1, 1000);
    assert_eq!(world.ask(asker), [], "three run, one may");
}
