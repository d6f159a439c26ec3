//! Peers that disappear, lie, ask too much, or fall silent.

use super::*;

fn done(node: NodeId, job: u32, by_submitter: bool, exit_code: i32) -> Event {
    Event::Done {
        node,
        which: DoneJob::Id(JobId(job)),
        by_submitter,
        result: JobResult {
            exit_code,
            ..JobResult::default()
        },
        client_count: None,
    }
}

#[test]
fn login_is_accepted_configured_shown_and_tested() {
    let mut world = World::new();
    let form = world.login_form(4);
    let actions = world.event(Event::Login(Box::new(form)));
    let kinds: Vec<&str> = actions
        .iter()
        .map(|action| match action {
            Action::Accept { .. } => "accept",
            Action::Configure { .. } => "configure",
            Action::TestReachability { .. } => "test",
            Action::Monitor { .. } => "monitor",
            Action::Note(Note::Login { .. }) => "note",
            _ => "other",
        })
        .collect();
    assert_eq!(kinds, ["accept", "note", "monitor", "configure", "test"]);
    let old = world.node_with(1, |form| {
        (form.agreed_version, form.name) = (23, Text::default());
    });
    assert_eq!(
        world.core.node(old).unwrap().name(),
        &Text::from("10.0.0.2")
    );
}

#[test]
fn a_second_login_of_the_same_host_replaces_the_first() {
    let mut world = World::new();
    let first = world.worker(1);
    let mut form = world.login_form(1);
    form.name = Text::from("n1");
    form.address = "10.0.0.1".parse().unwrap();
    let actions = world.event(Event::Login(Box::new(form.clone())));
    assert_eq!(dropped(&actions), [(first, Dropped::Replaced)]);
    let order: Vec<MonitorEvent> = monitored(&actions);
    assert!(matches!(order[0], MonitorEvent::Stats(_)));
    assert_eq!(order[1], MonitorEvent::Offline(first));
    form.name = Text::from("other");
    assert!(dropped(&world.event(Event::Login(Box::new(form)))).is_empty());
}

#[test]
fn the_worker_vanishes() {
    let mut world = World::new();
    let asker = world.asker();
    let worker = world.worker(1);
    world.ask(asker);
    let actions = world.event(Event::Left { node: worker });
    let events = monitored(&actions);
    assert_eq!(events[0], MonitorEvent::Offline(worker));
    assert!(
        matches!(&events[1], MonitorEvent::Done { job: JobId(1), result, .. } if result.exit_code == 255)
    );
    assert!(told(&actions).is_empty());
    let late = world.event(done(asker, 1, true, 14));
    assert_eq!(late, [Action::Note(Note::NotPresent { job: JobId(1) })]);
}

#[test]
fn the_submitter_vanishes() {
    let mut world = World::new();
    let (asker, other) = (world.asker(), world.asker());
    let worker = world.worker(1);
    for _ in 0..3 {
        world.ask(asker);
    }
    assert_eq!(world.ask(other), []);
    let actions = world.event(Event::Left { node: asker });
    assert_eq!(told(&actions), [(4, worker.0)]);
    let ended = monitored(&actions)
        .iter()
        .filter(|event| matches!(event, MonitorEvent::Done { .. }))
        .count();
    assert_eq!(ended, 3);
    assert_eq!(world.core.job_count(), 1);
}

#[test]
fn liars_are_disconnected() {
    let mut world = World::new();
    let (asker, liar) = (world.asker(), world.asker());
    world.worker(2);
    world.ask(asker);
    let actions = world.event(done(liar, 1, true, 0));
    assert_eq!(dropped(&actions), [(liar, Dropped::ForeignJob(JobId(1)))]);
    let actions = world.event(done(asker, 1, false, 0));
    assert_eq!(
        dropped(&actions),
        [(asker, Dropped::ForeignJob(JobId(1)))],
        "a submitter does not speak for the worker"
    );
}

#[test]
fn a_beginning_reported_by_another_is_ignored() {
    let mut world = World::new();
    let asker = world.asker();
    let worker = world.worker(2);
    world.ask(asker);
    let begin = |node, job| Event::Begin {
        node,
        job: JobId(job),
        start_time: 5,
        client_count: None,
    };
    assert!(monitored(&world.event(begin(asker, 1))).is_empty());
    assert!(monitored(&world.event(begin(worker, 9))).is_empty());
    assert_eq!(
        monitored(&world.event(begin(worker, 1))),
        [MonitorEvent::Begun {
            job: JobId(1),
            worker,
            start_time: 5
        }]
    );
}

#[test]
fn done_with_success_for_a_queued_job_cancels_it() {
    let mut world = World::new();
    let asker = world.asker();
    let worker = world.worker(1);
    for by_submitter in [true, false] {
        world.load(worker, 1000);
        world.ask(asker);
        let job = world.core.last_job();
        let actions = world.event(done(asker, job, by_submitter, 0));
        assert!(dropped(&actions).is_empty());
        assert_eq!(world.core.job_count(), 0);
    }
    assert!(told(&world.load(worker, 0)).is_empty());
}

#[test]
fn excess_disconnects() {
    let mut world = World::new();
    let much = |world: &mut World, change: &dyn Fn(&mut Request)| {
        let asker = world.asker();
        let actions = world.ask_with(asker, change);
        assert!(
            matches!(dropped(&actions)[..], [(node, Dropped::TooMuch { .. })] if node == asker)
        );
        assert!(told(&actions).is_empty());
    };
    let long = Text::from("x".repeat(256));
    much(&mut world, &|form| form.count = u32::MAX);
    much(&mut world, &|form| form.count = 257);
    much(&mut world, &|form| form.target = long.clone());
    much(&mut world, &|form| form.preferred_host = long.clone());
    much(&mut world, &|form| {
        form.environments = vec![Environment::new("a", "b"); 65];
    });
    much(&mut world, &|form| {
        form.environments = vec![Environment::new("a", long.clone())];
    });

    let mut form = world.login_form(1);
    form.name = Text::from("n".repeat(3000));
    let refused = world.event(Event::Login(Box::new(form)));
    assert!(matches!(
        refused[..],
        [Action::Refuse {
            reason: Dropped::TooMuch { limit: 255, .. },
            ..
        }]
    ));

    let node = world.asker();
    for client in 0..4097 {
        let actions = world.core.handle(
            world.now,
            Event::LocalBegin {
                node,
                client: ClientId(client),
                file: Text::default(),
                start_time: 0,
                full: false,
            },
        );
        assert_eq!(dropped(&actions).len(), usize::from(client == 4096));
    }

    let asker = world.asker();
    world.worker(1);
    for _ in 0..39 {
        world.ask_with(asker, |form| form.count = 256);
    }
    assert!(world.core.node(asker).is_some());
    let last = world.ask_with(asker, |form| form.count = 256);
    assert_eq!(dropped(&last).len(), 1);
    assert_eq!(world.core.job_count(), 0);
}

#[test]
fn a_submitter_that_waits_for_too_many_different_things_is_disconnected() {
    let mut world = World::new();
    let (asker, other) = (world.asker(), world.asker());
    let worker = world.worker(1);
    world.load(worker, 1000);
    for number in 0..limits::DIFFERENT_NEEDS {
        for _ in 0..2 {
            let target = Text::from(format!("t{number}"));
            let actions = world.ask_with(asker, |form| form.target = target.clone());
            assert!(dropped(&actions).is_empty());
        }
    }
    assert_eq!(world.core.job_count(), 2 * limits::DIFFERENT_NEEDS);
    world.ask(other);
    world.ask_with(asker, |form| form.target = Text::from("one more"));
    let last = world.ask_with(asker, |_| ());
    assert!(matches!(
        dropped(&last)[..],
        [(node, Dropped::TooMuch { .. })] if node == asker
    ));
    assert_eq!(world.core.job_count(), 1);
}

#[test]
fn a_long_file_name_keeps_its_end() {
    let mut world = World::new();
    let asker = world.asker();
    let worker = world.worker(1);
    world.load(worker, 1000);
    world.ask_with(asker, |form| {
        form.file = Text::from(format!("{}/x.c", "d".repeat(5000)));
    });
    let file = world.core.job(JobId(1)).unwrap().file().clone();
    assert_eq!(file.len(), limits::FILE_NAME);
    assert!(file.as_bytes().ends_with(b"/x.c"));
}

#[test]
fn old_peers_are_pinged_and_dropped_if_silent() {
    let mut world = World::new();
    let old = world.node_with(2, |form| form.agreed_version = 26);
    world.pass(20);
    world.event(Event::Ping { node: old });
    let actions = world.pass(37);
    assert!(actions.contains(&Action::Ping { node: old }));
    assert_eq!(world.core.node(old).unwrap().shown_slots(), -2);
    world.event(Event::Ping { node: old });
    assert_eq!(world.core.node(old).unwrap().shown_slots(), 2);
    let actions = world.pass(60);
    assert_eq!(dropped(&actions), [(old, Dropped::Silent)]);
    let new = world.worker(2);
    assert!(!world.pass(600).contains(&Action::Ping { node: new }));
}

#[test]
fn who_says_that_it_answers_ping_is_asked_soon_and_gets_no_jobs_until_it_answers() {
    let mut world = World::new();
    let worker = world.worker(2);
    world.event(Event::Watch { node: worker });
    let asked = |actions: &[Action]| actions.contains(&Action::Ping { node: worker });
    let slots = |world: &World| world.core.node(worker).map(|node| node.shown_slots());
    assert!(!asked(&world.pass(4)));
    assert!(asked(&world.pass(1)));
    assert_eq!(slots(&world), Some(2));
    world.event(Event::Ping { node: worker });
    assert!(!asked(&world.pass(4)));
    assert!(asked(&world.pass(2)));
    assert_eq!(slots(&world), Some(-2));
    world.event(Event::Ping { node: worker });
    assert_eq!(slots(&world), Some(2));
    assert_eq!(dropped(&world.pass(11)), []);
    assert_eq!(dropped(&world.pass(1)), [(worker, Dropped::Silent)]);
}

#[test]
fn an_unreachable_worker_is_tested_again_with_growing_pauses() {
    let mut world = World::new();
    let asker = world.asker();
    let worker = world.worker(1);
    let answer = |world: &mut World, reachable| {
        world.event(Event::Reachability {
            node: worker,
            reachable,
        })
    };
    let events = monitored(&answer(&mut world, false));
    assert!(matches!(&events[..], [MonitorEvent::Stats(stats)] if stats.accepting == Some(false)));
    assert_eq!(world.ask(asker), [(1, asker.0)]);
    let mut pauses = Vec::new();
    for _ in 0..11 {
        let before = world.now;
        while !world
            .pass(1)
            .iter()
            .any(|action| matches!(action, Action::TestReachability { .. }))
        {}
        pauses.push(world.now.seconds_since(before));
        assert!(monitored(&answer(&mut world, false)).is_empty());
    }
    assert_eq!(pauses, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
    world.pass(300);
    let events = monitored(&answer(&mut world, true));
    assert!(matches!(&events[..], [MonitorEvent::Stats(stats)] if stats.accepting == Some(true)));
    assert_eq!(world.ask(asker), [(2, worker.0)]);
    assert!(
        answer(&mut world, false).is_empty(),
        "an answer nobody waits for"
    );
}

#[test]
fn a_move_to_another_scheduler_lets_jobs_finish() {
    let mut world = World::new();
    let asker = world.asker();
    let worker = world.worker(1);
    let idle = world.worker(1);
    let (job, used) = world.ask(asker)[0];
    let (used, idle) = if used == worker.0 {
        (worker, idle)
    } else {
        (idle, worker)
    };
    let actions = world.event(Event::Drain);
    assert_eq!(dropped(&actions), [(idle, Dropped::Election)]);
    assert_eq!(
        world.ask(asker),
        [(job + 1, asker.0)],
        "nothing new is sent out"
    );
    let newcomer = world.worker(1);
    world.event(done(asker, job + 1, true, 0));
    let actions = world.finish_with(job, result(1000));
    assert_eq!(
        dropped(&actions),
        [(asker, Dropped::Election), (used, Dropped::Election)]
    );
    assert!(world.core.node(newcomer).is_some());
}

#[test]
fn a_move_does_not_wait_for_ever() {
    let mut world = World::new();
    let asker = world.asker();
    world.worker(1);
    world.ask(asker);
    world.event(Event::Drain);
    assert_eq!(dropped(&world.pass(59)), []);
    assert_eq!(dropped(&world.pass(2)).len(), 2);
    world.core.check_empty();
}

#[test]
fn operators_remove_and_block() {
    let mut world = World::new();
    let (a, b) = (world.worker(1), world.worker(1));
    let remove = Event::Remove {
        host: Text::from("n1"),
    };
    assert_eq!(dropped(&world.event(remove)), [(a, Dropped::Removed)]);
    let block = Event::Block {
        host: Text::from("10.0.0.2"),
    };
    assert_eq!(dropped(&world.event(block)), [(b, Dropped::Blocked)]);
    let mut form = world.login_form(1);
    form.address = "10.0.0.2".parse().unwrap();
    let refused = world.event(Event::Login(Box::new(form.clone())));
    assert!(matches!(
        refused[..],
        [
            Action::Monitor {
                event: MonitorEvent::Offline(NodeId(3)),
                ..
            },
            Action::Refuse { .. }
        ]
    ));
    world.event(Event::Unblock {
        host: Text::from("10.0.0.2"),
    });
    assert_eq!(
        accepted(&world.event(Event::Login(Box::new(form)))),
        NodeId(4)
    );
}

#[test]
fn a_drained_host_finishes_and_gets_nothing_new() {
    let mut world = World::new();
    let asker = world.asker();
    let worker = world.worker(2);
    let (first, on) = world.ask(asker)[0];
    assert_eq!(on, worker.0);
    let host = Text::from("10.0.0.2");
    let rest = Event::Rest { host: host.clone() };
    assert_eq!(dropped(&world.event(rest)), []);
    assert!(world.core.node(worker).unwrap().is_draining());
    // Nobody else could ever take it, so its submitter does.
    assert_eq!(world.ask(asker), [(first + 1, asker.0)]);
    let actions = world.finish_with(first, result(1000));
    assert_eq!(dropped(&actions), [], "it stays connected");
    // Its own jobs it may do, where nobody else can.
    assert_eq!(world.ask(worker).len(), 1);
    // It is remembered for later logins, until it is taken back.
    let mut form = world.login_form(2);
    form.address = "10.0.0.2".parse().unwrap();
    form.name = Text::from("n2");
    let again = accepted(&world.event(Event::Login(Box::new(form))));
    world.load(again, 0);
    assert!(world.core.node(again).unwrap().is_draining());
    assert_eq!(world.core.resting().count(), 1);
    world.event(Event::Resume { host });
    assert_eq!(world.ask(asker)[0].1, again.0);
}

#[test]
fn a_waiting_job_does_not_wait_for_a_drained_host() {
    let mut world = World::new();
    let asker = world.asker();
    let _worker = world.worker(1);
    // One for its slot, one sent ahead, and one that waits.
    let mut placed = Vec::new();
    while let [one] = world.ask(asker)[..] {
        placed.push(one);
    }
    let waiting = world.core.jobs().filter(|job| job.worker().is_none());
    assert_eq!(waiting.count(), 1);
    let host = Text::from("n2");
    let actions = world.event(Event::Rest { host });
    let own =
        |action: &Action| matches!(action, Action::CompileYourself { node, .. } if *node == asker);
    assert!(actions.iter().any(own), "{actions:?}");
}

#[test]
fn old_peers_are_pinged_as_often_as_wanted() {
    let mut world = World::with(Config {
        ping_after: 5,
        ping_grace: 2,
        ..Config::default()
    });
    let old = world.node_with(1, |login| login.agreed_version = 26);
    let pinged = |actions: &[Action]| actions.contains(&Action::Ping { node: old });
    assert!(!pinged(&world.pass(4)));
    assert!(pinged(&world.pass(1)));
    assert_eq!(dropped(&world.pass(1)), []);
    assert_eq!(dropped(&world.pass(1)), [(old, Dropped::Silent)]);
}

#[test]
fn a_new_monitor_hears_what_is_going_on() {
    let mut world = World::new();
    let asker = world.asker();
    let worker = world.worker(1);
    for _ in 0..3 {
        world.ask(asker);
    }
    world.event(Event::Begin {
        node: worker,
        job: JobId(1),
        start_time: 77,
        client_count: None,
    });
    world.event(Event::LocalBegin {
        node: asker,
        client: ClientId(4),
        file: Text::from("/tmp/lib.so"),
        start_time: 78,
        full: false,
    });
    let actions = world.event(Event::MonitorJoined {
        connection: ConnectionId(99),
    });
    assert!(actions.iter().all(|action| matches!(
        action,
        Action::Monitor {
            to: Audience::One(ConnectionId(99)),
            ..
        }
    )));
    let kinds: Vec<String> = monitored(&actions)
        .iter()
        .map(|event| match event {
            MonitorEvent::Stats(stats) => format!("stats {}", stats.name),
            MonitorEvent::Requested { job, file, .. } => format!("requested {job} {file}"),
            MonitorEvent::Begun { job, .. } => format!("begun {job}"),
            MonitorEvent::LocalBegun { job, file, .. } => format!("local {job} {file}"),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        kinds,
        [
            "stats n1",
            "stats n2",
            "requested 1 one.cpp",
            "begun 1",
            "requested 2 one.cpp",
            "requested 3 one.cpp",
            "local 4 lib.so"
        ]
    );
}

#[test]
fn stopping_tells_monitors_about_everybody() {
    let mut world = World::new();
    let asker = world.asker();
    world.worker(1);
    world.ask(asker);
    let actions = world.event(Event::Stop);
    assert_eq!(dropped(&actions).len(), 2);
    assert_eq!(monitored(&actions).len(), 3);
    world.core.check_empty();
}
