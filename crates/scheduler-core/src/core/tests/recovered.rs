//! Jobs that another scheduler gave out.

use super::*;

fn running(number: u32, client: u8) -> Running {
    Running {
        number,
        client: Some(IpAddr::V4(Ipv4Addr::new(10, 0, 0, client))),
        file: Text::from("/a/b/c/d/x.cpp"),
        language: 1,
        start_time: 50,
    }
}

fn abroad(number: u32, host: &str) -> Abroad {
    let host = Text::from(host);
    Abroad { number, host }
}

/// What all monitors are told.
fn shown(actions: &[Action]) -> Vec<&MonitorEvent> {
    let events = actions.iter().filter_map(|action| match action {
        Action::Monitor { event, .. } => Some(event),
        _ => None,
    });
    events
        .filter(|event| !matches!(event, MonitorEvent::Stats(_) | MonitorEvent::Offline(_)))
        .collect()
}

fn recover(
    world: &mut World,
    node: NodeId,
    running: Vec<Running>,
    abroad: Vec<Abroad>,
) -> Vec<Action> {
    world.event(Event::Recovered {
        node,
        running,
        abroad,
    })
}

fn over(world: &mut World, node: NodeId, number: u32) -> Vec<Action> {
    world.event(Event::RecoveredOver {
        node,
        number,
        result: result(900),
    })
}

#[test]
fn their_slots_are_taken_at_once_and_free_at_their_end() {
    let mut world = World::new();
    let asker = world.asker();
    let worker = world.worker(2);
    recover(
        &mut world,
        worker,
        vec![running(1, 1), running(2, 1)],
        vec![],
    );
    assert_eq!(world.core.node(worker).unwrap().occupied(), 2);
    // What is placed now comes after them: the new scheduler's numbers are others.
    let first = world.ask(asker);
    assert_eq!(first, [(3, worker.0)], "sent ahead");
    let actions = over(&mut world, worker, 1);
    assert_eq!(
        shown(&actions),
        [] as [&MonitorEvent; 0],
        "nobody saw it begin"
    );
    assert_eq!(world.core.node(worker).unwrap().occupied(), 2);
    over(&mut world, worker, 1);
    over(&mut world, worker, 7);
    assert_eq!(world.core.node(worker).unwrap().occupied(), 2);
    // The new job 3 is not the old one of that number.
    over(&mut world, worker, 3);
    assert!(world.core.job(JobId(3)).is_some());
}

#[test]
fn monitors_see_a_job_once_both_its_ends_are_known() {
    for submitter_first in [true, false] {
        let mut world = World::new();
        let asker = world.asker();
        let worker = world.worker(2);
        let (mut first, mut second) = (
            (asker, vec![], vec![abroad(40, "10.0.0.2")]),
            (worker, vec![running(40, 1)], vec![]),
        );
        if !submitter_first {
            std::mem::swap(&mut first, &mut second);
        }
        let (node, runs, away) = first;
        assert_eq!(shown(&recover(&mut world, node, runs, away)).len(), 0);
        let (node, runs, away) = second;
        let actions = recover(&mut world, node, runs, away);
        let job = JobId(1);
        let requested = MonitorEvent::Requested {
            job,
            submitter: asker,
            file: Text::from("c/d/x.cpp"),
            language: 1,
        };
        let begun = MonitorEvent::Begun {
            job,
            worker,
            start_time: 50,
        };
        assert_eq!(shown(&actions), [&requested, &begun]);
        let joined = world.event(Event::MonitorJoined {
            connection: ConnectionId(99),
        });
        assert_eq!(shown(&joined), [&requested, &begun]);
        let told = over(&mut world, worker, 40);
        let [
            MonitorEvent::Done {
                job: ended, result, ..
            },
        ] = shown(&told)[..]
        else {
            panic!("{told:?}");
        };
        assert_eq!((*ended, result.user_ms), (job, 900));
        world.event(Event::Left { node: asker });
        world.event(Event::Left { node: worker });
        world.core.check_empty();
    }
}

#[test]
fn who_leaves_ends_them_for_monitors_and_only_the_worker_frees_the_slot() {
    let mut world = World::new();
    let asker = world.asker();
    let worker = world.worker(2);
    recover(
        &mut world,
        asker,
        vec![],
        vec![abroad(1, "n2"), abroad(2, "n2")],
    );
    recover(
        &mut world,
        worker,
        vec![running(1, 1), running(2, 1)],
        vec![],
    );
    let actions = world.event(Event::Left { node: asker });
    let lost = |actions: &[Action]| {
        let events = shown(actions).into_iter();
        events
            .filter(|event| matches!(event, MonitorEvent::Done { result, .. } if result.exit_code == 255))
            .count()
    };
    assert_eq!(lost(&actions), 2);
    assert_eq!(
        world.core.node(worker).unwrap().occupied(),
        2,
        "it may still run"
    );
    assert_eq!(shown(&over(&mut world, worker, 1)).len(), 0, "told already");
    assert_eq!(world.core.node(worker).unwrap().occupied(), 1);
    assert_eq!(lost(&world.event(Event::Left { node: worker })), 0);
    world.core.check_empty();
}

#[test]
fn a_stranger_claims_nothing_and_too_many_are_too_many() {
    let mut world = World::new();
    let stranger = world.asker();
    let worker = world.worker(1);
    recover(&mut world, worker, vec![running(5, 77)], vec![]);
    let actions = recover(&mut world, stranger, vec![], vec![abroad(5, "10.0.0.2")]);
    assert_eq!(shown(&actions).len(), 0, "the worker knows another client");
    let many = (0..=limits::INHERITED as u32).map(|number| running(number, 1));
    let actions = recover(&mut world, worker, many.collect(), vec![]);
    let dropped = Action::Disconnect {
        node: worker,
        reason: Dropped::TooMuch {
            what: "jobs of another scheduler",
            limit: limits::INHERITED,
        },
    };
    assert!(actions.contains(&dropped), "{:?}", actions.len());
}
