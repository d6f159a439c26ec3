//! Our own placement: forecasts, memory, what stays home, shares. How well it does is the simulator's business.

use super::*;

fn world() -> World {
    World::with(Config {
        exploration_percent: 0,
        ..Config::default()
    })
}

/// A result after `ms` that touched `mib` of memory.
fn took(ms: u32, mib: u32) -> JobResult {
    JobResult {
        page_faults: mib * 256,
        ..result(ms)
    }
}

fn ask_for(world: &mut World, node: NodeId, file: &str) -> Vec<Told> {
    told(&world.ask_with(node, |form| form.file = Text::from(file)))
}

/// Lets `node` compile a file so often that it is well known.
fn know(world: &mut World, node: NodeId, file: &str, result: JobResult) {
    for _ in 0..8 {
        let (job, _) = ask_for(world, node, file)[0];
        let worker = world.core.job(JobId(job)).unwrap().worker().unwrap();
        world.event(Event::Begin {
            node: worker,
            job: JobId(job),
            start_time: 1,
            client_count: None,
        });
        world.finish_with(job, result);
    }
}

fn free_memory(world: &mut World, node: NodeId, mib: u32) -> Vec<Action> {
    world.event(Event::Stats {
        node,
        load: 0,
        readings: Readings {
            free_memory: mib,
            ..Readings::default()
        },
    })
}

#[test]
fn every_decision_says_what_was_expected_and_why() {
    let mut world = world();
    let asker = world.asker();
    let worker = world.worker(4);
    know(&mut world, asker, "a.cpp", took(2000, 300));
    let (job, _) = ask_for(&mut world, asker, "a.cpp")[0];
    let decision = world.core.decision(JobId(job)).unwrap();
    let forecast = decision.forecast.unwrap();
    assert_eq!((decision.worker, forecast.basis), (worker, Basis::File));
    assert!((300..400).contains(&forecast.memory));
    assert!(decision.candidates[0].expected_ms > 0.0);
    let (job, _) = ask_for(&mut world, asker, "b.cpp")[0];
    let forecast = world.core.decision(JobId(job)).unwrap().forecast.unwrap();
    assert_eq!(forecast.basis, Basis::Language);
}

#[test]
fn memory_is_promised_once() {
    let mut world = world();
    let asker = world.asker();
    let worker = world.worker(8);
    know(&mut world, asker, "big.cpp", took(2000, 1000));
    know(&mut world, asker, "small.cpp", took(2000, 40));
    free_memory(&mut world, worker, 2500);
    assert_eq!(ask_for(&mut world, asker, "big.cpp").len(), 1);
    let second = ask_for(&mut world, asker, "big.cpp")[0].0;
    assert_eq!(
        ask_for(&mut world, asker, "big.cpp"),
        [],
        "it would not fit"
    );
    assert_eq!(
        ask_for(&mut world, asker, "small.cpp").len(),
        1,
        "a small one passes by"
    );
    assert_eq!(free_memory(&mut world, worker, 600).len(), 1, "no news");
    let next = told(&world.finish_with(second, took(2000, 1000)));
    assert_eq!(next.len(), 1, "the third has its memory now");
}

#[test]
fn a_job_too_large_for_everybody_goes_to_the_largest_alone() {
    let mut world = world();
    let asker = world.asker();
    let (small, large) = (world.worker(4), world.worker(4));
    know(&mut world, asker, "huge.cpp", took(2000, 9000));
    free_memory(&mut world, small, 1000);
    free_memory(&mut world, large, 4000);
    assert_eq!(ask_for(&mut world, asker, "huge.cpp")[0].1, large.0);
    assert_eq!(ask_for(&mut world, asker, "huge.cpp"), []);
}

#[test]
fn what_is_too_small_to_travel_stays_home_while_there_is_room() {
    let mut world = world();
    let own = world.worker(1);
    let other = world.worker(4);
    know(&mut world, own, "tiny.c", took(20, 10));
    let asked: Vec<u32> = (0..2)
        .map(|_| ask_for(&mut world, own, "tiny.c")[0].1)
        .collect();
    assert_eq!(asked, [own.0, other.0]);
}

#[test]
fn a_late_comer_gets_its_share_at_once() {
    let mut world = world();
    let (a, b) = (world.asker(), world.asker());
    let worker = world.worker(4);
    know(&mut world, a, "x.cpp", took(2000, 100));
    let mut running: Vec<u32> = Vec::new();
    for _ in 0..8 {
        running.extend(ask_for(&mut world, a, "x.cpp").iter().map(|told| told.0));
    }
    for _ in 0..4 {
        assert_eq!(ask_for(&mut world, b, "x.cpp"), []);
    }
    let mut next = Vec::new();
    while next.len() < 2 {
        let job = running.remove(0);
        for told in told(&world.finish_with(job, took(2000, 100))) {
            next.push(world.core.job(JobId(told.0)).unwrap().submitter());
        }
    }
    assert_eq!(next, [b, b], "it had none while the other had {worker}");
}

#[test]
fn what_was_learned_survives_a_restart() {
    let mut before = world();
    let asker = before.asker();
    before.worker(4);
    know(&mut before, asker, "a.cpp", took(7000, 300));
    let past = before.core.past();
    assert_eq!((past.files.len(), past.workers.len()), (1, 1));
    let mut after = world();
    after.core.remember(past.clone());
    let asker = after.asker();
    after.worker(4);
    let (job, _) = ask_for(&mut after, asker, "a.cpp")[0];
    let forecast = after.core.decision(JobId(job)).unwrap().forecast.unwrap();
    assert_eq!(
        (forecast.basis, forecast.work_ms),
        (Basis::File, past.files[0].work_ms)
    );
}

#[test]
fn owners_at_work_are_left_alone() {
    let mut world = world();
    let asker = world.asker();
    let (busy, idle) = (world.worker(4), world.worker(4));
    know(&mut world, asker, "x.cpp", took(2000, 100));
    world.load(busy, 700);
    let there: Vec<u32> = (0..4)
        .map(|_| ask_for(&mut world, asker, "x.cpp")[0].1)
        .collect();
    assert_eq!(there, [idle.0; 4]);
    world.load(busy, 1000);
    world.load(idle, 1000);
    assert_eq!(ask_for(&mut world, asker, "x.cpp"), [], "nobody has room");
}

#[test]
fn within_a_submitter_niceness_decides() {
    let mut world = world();
    let asker = world.asker();
    world.worker(1);
    know(&mut world, asker, "x.cpp", took(60_000, 100));
    let (first, _) = ask_for(&mut world, asker, "x.cpp")[0];
    let mut nice = |niceness: u32| {
        let actions = world.ask_with(asker, |form| {
            (form.file, form.niceness) = (Text::from("x.cpp"), niceness);
        });
        assert_eq!(told(&actions), []);
        world.core.last_job()
    };
    let (later, sooner) = (nice(10), nice(0));
    let next = told(&world.finish_with(first, took(60_000, 100)));
    assert_eq!(next[0].0, sooner);
    assert!(later < sooner);
}
