//! Who gets a job.

use super::*;

#[test]
fn a_worker_is_not_used_before_its_first_reading() {
    let mut world = World::new();
    let asker = world.asker();
    let form = world.login_form(2);
    let worker = accepted(&world.event(Event::Login(Box::new(form))));
    assert_eq!(world.ask(asker), []);
    assert_eq!(told(&world.load(worker, 300)), [(1, worker.0)]);
}

#[test]
fn a_job_for_its_own_machine_is_said_as_old_peers_understand_it() {
    let mut world = World::new();
    let new = world.node_with(1, |_| ());
    let actions = world.ask_with(new, |_| ());
    assert!(actions.contains(&Action::CompileYourself {
        node: new,
        job: JobId(1),
        client: ClientId(1)
    }));
    world.event(Event::Left { node: new });
    let old = world.node_with(1, |form| form.agreed_version = 36);
    let told = answer(&world.ask_with(old, |_| ()));
    assert_eq!((told.worker, told.installed), (old, true));
    assert_eq!(told.address.to_string(), "10.0.0.2");
    assert_eq!(told.platform, Text::from("x86_64"));
}

#[test]
fn the_faster_worker_is_taken_while_it_has_a_free_slot() {
    let mut world = World::new();
    let asker = world.asker();
    let (slow, fast) = (world.worker(4), world.worker(2));
    world.teach(asker, slow, 3000);
    world.teach(asker, fast, 1000);
    let workers: Vec<u32> = (0..6).map(|_| world.ask(asker)[0].1).collect();
    assert_eq!(workers[..2], [fast.0; 2]);
    assert_eq!(
        workers[2..],
        [slow.0; 4],
        "free slots come before a full fast one"
    );
    assert_eq!(world.ask(asker)[0].1, fast.0, "then the fast one's preload");
}

#[test]
fn load_makes_a_worker_slower() {
    let mut world = World::new();
    let asker = world.asker();
    let (a, b) = (world.worker(4), world.worker(4));
    world.teach(asker, a, 1000);
    world.teach(asker, b, 1000);
    world.load(a, 500);
    assert_eq!(world.ask(asker)[0].1, b.0);
    world.load(a, 0);
    world.load(b, 1000);
    assert_eq!(world.ask(asker)[0].1, a.0);
}

#[test]
fn sending_a_toolchain_costs() {
    let mut world = World::new();
    let asker = world.asker();
    let (without, with) = (world.node_with(4, |_| ()), world.worker(4));
    world.teach(asker, with, 1500);
    let name = world.core.node(without).unwrap().name().clone();
    let first = answer(&world.ask_with(asker, |form| form.preferred_host = name));
    assert!(!first.installed);
    world.finish(first.job.0, 1000);
    assert_eq!(world.ask(asker)[0].1, with.0);
}

#[test]
fn a_new_idle_worker_gets_a_job_but_not_for_ever() {
    let mut world = World::new();
    let asker = world.asker();
    let known = world.worker(8);
    world.teach(asker, known, 1000);
    let new = world.worker(8);
    let failed = JobResult {
        exit_code: 104,
        ..JobResult::default()
    };
    let mut to_new = 0;
    for _ in 0..20 {
        let (job, worker) = world.ask(asker)[0];
        to_new += u32::from(worker == new.0);
        let result = if worker == new.0 { failed } else { result(500) };
        world.finish_with(job, result);
    }
    assert!((1..20).contains(&to_new), "{to_new}");
}

#[test]
fn an_idle_submitter_keeps_its_job_if_it_is_fast_enough() {
    for (own_ms, kept) in [(1300, true), (2000, false)] {
        let mut world = World::new();
        let own = world.worker(4);
        let remote = world.worker(4);
        world.teach(remote, own, own_ms);
        world.teach(own, remote, 1000);
        let first = world.ask(own)[0].1;
        assert_eq!(first == own.0, kept, "own machine takes {own_ms} ms");
        let why = world.core.decisions().last().unwrap().why;
        assert_eq!(why == Why::OwnMachine, kept);
    }
}

#[test]
fn the_longest_waiting_is_measured_again() {
    let mut world = World::with(Config {
        algorithm: Algorithm::Fastest,
        exploration_percent: 100,
        ..Config::default()
    });
    let asker = world.asker();
    let (slow, fast) = (world.worker(2), world.worker(2));
    world.teach(asker, slow, 9000);
    world.teach(asker, fast, 1000);
    let (job, worker) = world.ask(asker)[0];
    assert_eq!(worker, slow.0);
    let decision = world.core.decision(JobId(job)).unwrap();
    assert_eq!((decision.why, decision.eligible), (Why::Exploration, 2));
    assert_eq!(decision.candidates[0].node, fast);
}

#[test]
fn exploration_is_about_one_in_twenty() {
    let mut world = World::with(Config {
        algorithm: Algorithm::Fastest,
        ..Config::default()
    });
    let asker = world.asker();
    let (slow, fast) = (world.worker(2), world.worker(2));
    world.teach(asker, slow, 9000);
    world.teach(asker, fast, 1000);
    let mut explored = 0;
    for _ in 0..2000 {
        let (job, worker) = world.ask(asker)[0];
        explored += u32::from(worker == slow.0);
        world.finish(job, if worker == slow.0 { 9000 } else { 1000 });
    }
    assert!((60..150).contains(&explored), "{explored}");
}

#[test]
fn round_robin_takes_turns() {
    let mut world = World::with(Config {
        algorithm: Algorithm::RoundRobin,
        ..Config::default()
    });
    let asker = world.asker();
    let workers: Vec<u32> = (0..3).map(|_| world.worker(2).0).collect();
    let got: Vec<u32> = (0..6).map(|_| world.ask(asker)[0].1).collect();
    assert_eq!(got, [&workers[..], &workers[..]].concat());
}

#[test]
fn least_busy_looks_at_the_share_of_slots_and_uses_preload_last() {
    let mut world = World::with(Config {
        algorithm: Algorithm::LeastBusy,
        ..Config::default()
    });
    let asker = world.asker();
    let [one, two, four] = [1, 2, 4].map(|slots| world.worker(slots).0);
    let got: Vec<u32> = (0..7).map(|_| world.ask(asker)[0].1).collect();
    assert_eq!(got, [one, two, four, four, two, four, four]);
    assert_eq!(
        world.ask(asker).len(),
        1,
        "all are full: preload, no waiting"
    );
}

#[test]
fn random_reaches_everybody_and_depends_on_the_seed_only() {
    let run = |seed| {
        let mut world = World::with(Config {
            algorithm: Algorithm::Random,
            seed,
            ..Config::default()
        });
        let asker = world.asker();
        for _ in 0..4 {
            world.worker(20);
        }
        (0..40).map(|_| world.ask(asker)[0].1).collect::<Vec<u32>>()
    };
    let first = run(1);
    assert_eq!(first, run(1));
    assert_ne!(first, run(2));
    assert!((2..=5).all(|worker| first.contains(&worker)));
}

#[test]
fn a_preferred_host_is_the_only_one() {
    let mut world = World::new();
    let asker = world.asker();
    let (_, b) = (world.worker(2), world.worker(2));
    for host in ["n3", "10.0.0.3"] {
        let actions = world.ask_with(asker, |form| form.preferred_host = Text::from(host));
        assert_eq!(told(&actions)[0].1, b.0);
    }
    let nobody = world.ask_with(asker, |form| form.preferred_host = Text::from("n9"));
    assert_eq!(
        told(&nobody),
        [(3, asker.0)],
        "no such host: the submitter itself"
    );
}

#[test]
fn local_jobs_take_slots() {
    let mut world = World::new();
    let asker = world.asker();
    let (a, b) = (world.worker(2), world.worker(2));
    world.teach(asker, a, 1000);
    world.teach(asker, b, 4000);
    world.event(Event::LocalBegin {
        node: a,
        client: ClientId(9),
        file: Text::from("/home/u/lib.so"),
        start_time: 1,
        full: true,
    });
    assert_eq!(world.ask(asker)[0].1, b.0);
    let actions = world.event(Event::LocalDone {
        node: a,
        client: ClientId(9),
    });
    assert_eq!(
        monitored(&actions),
        [MonitorEvent::LocalDone { job: JobId(17) }]
    );
    assert_eq!(world.ask(asker)[0].1, a.0);
}

#[test]
fn all_answers_to_one_request_use_one_toolchain() {
    let mut world = World::new();
    let asker = world.asker();
    let x86 = world.node_with(1, |_| ());
    let arm = world.node_with(4, |form| form.platform = Text::from("aarch64"));
    world.load(arm, 1000);
    let first = world.ask_with(asker, |form| {
        form.count = 3;
        form.environments
            .push(Environment::new("aarch64", "gcc-arm"));
    });
    assert_eq!(told(&first), [(1, x86.0)]);
    assert_eq!(
        told(&world.load(arm, 0)),
        [],
        "the others need the same toolchain"
    );
    world.event(Event::Relogin {
        node: x86,
        slots: 0,
        environments: vec![Environment::new("x86_64", "gcc")],
    });
    let mut rest = told(&world.load(x86, 1));
    rest.extend(world.finish(1, 1000));
    rest.extend(world.finish(2, 1000));
    assert!(rest.iter().all(|(_, worker)| *worker == x86.0), "{rest:?}");
}

#[test]
fn a_job_both_hosts_have_worked_on_is_named() {
    let mut world = World::new();
    let asker = world.asker();
    let worker = world.worker(2);
    let (job, _) = world.ask(asker)[0];
    world.finish(job, 1000);
    let next = answer(&world.ask_with(asker, |_| ()));
    assert_eq!((next.worker, next.matched_job), (worker, job));
}

#[test]
fn shown_speed_is_upstreams() {
    let mut world = World::new();
    let asker = world.asker();
    let worker = world.worker(2);
    let job = told(&world.ask_with(asker, |form| form.arg_flags = 8))[0].0;
    let size = JobResult {
        out_uncompressed: 36_000,
        user_ms: 1000,
        ..JobResult::default()
    };
    world.finish_with(job, size);
    let speed = world.core.node(worker).unwrap().speed();
    assert_eq!(format!("{speed:.2}"), "238.63");
}

#[test]
fn submitters_of_both_sorts_of_addresses_are_served_at_a_time() {
    let mut world = World::with(Config {
        exploration_percent: 0,
        ..Config::default()
    });
    let at = |address: &str| {
        let address: IpAddr = address.parse().unwrap();
        move |form: &mut Login| {
            form.address = address;
            form.environments = vec![Environment::new("x86_64", "gcc")];
        }
    };
    let six = world.node_with(1, at("fd00::1"));
    let asker_of_six = world.node_with(0, at("fd00::2"));
    let four = world.node_with(1, at("10.0.1.1"));
    let asker_of_four = world.node_with(0, at("10.0.1.2"));
    for node in [six, four] {
        world.load(node, 1000);
    }
    assert_eq!(world.ask(asker_of_four), []);
    assert_eq!(world.ask(asker_of_six), []);
    assert_eq!(told(&world.load(six, 0)), [(2, six.0)]);
    assert_eq!(told(&world.load(four, 0)), [(1, four.0)]);
}
