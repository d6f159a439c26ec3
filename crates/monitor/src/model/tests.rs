use proptest::prelude::*;

use super::*;

fn facts(name: &str, slots: i32) -> HostFacts {
    HostFacts {
        name: name.to_owned(),
        ip: "10.0.0.1".to_owned(),
        slots,
        ..HostFacts::default()
    }
}

fn host(number: u32, name: &str) -> Event {
    Event::Host {
        host: number,
        facts: facts(name, 4),
    }
}

fn queued(job: u32, client: u32) -> Event {
    Event::Queued {
        job,
        client,
        file: format!("src/file{job}.cpp"),
        language: 1,
    }
}

fn done(job: u32, exit: i32, real_ms: u32) -> Event {
    Event::Done {
        job,
        figures: Figures {
            exit,
            real_ms,
            ..Figures::default()
        },
    }
}

fn connected() -> Event {
    Event::Connected {
        scheduler: "10.0.0.9:8765".to_owned(),
        netname: None,
        protocol: 44,
    }
}

fn cluster(events: impl IntoIterator<Item = Event>) -> Cluster {
    let mut cluster = Cluster::new();
    for event in [connected(), host(1, "office"), host(2, "worker")] {
        cluster.apply(1_000, event);
    }
    for (second, event) in (2..).zip(events) {
        cluster.apply(second * 1_000, event);
    }
    cluster
}

fn named<'a>(cluster: &'a Cluster, name: &str) -> &'a Host {
    let mut hosts = cluster.hosts();
    hosts.find(|(_, host)| host.facts.name == name).unwrap().1
}

#[test]
fn a_job_on_the_submitters_own_machine_is_not_remote() {
    let cluster = cluster([
        queued(1, 1),
        Event::Begun { job: 1, host: 1 },
        queued(2, 1),
        Event::Begun { job: 2, host: 2 },
        Event::LocalBegun {
            job: 3,
            host: 1,
            file: "app".to_owned(),
        },
    ]);
    let totals = cluster.totals();
    assert_eq!((totals.remote, totals.own, totals.local), (1, 1, 1));
    let office = named(&cluster, "office");
    assert_eq!(
        (office.jobs_in, office.jobs_out, office.jobs_own),
        (0, 1, 1)
    );
    assert_eq!((office.busy(), office.busy_local()), (2, 1));
    assert_eq!(named(&cluster, "worker").jobs_in, 1);
    let now = cluster.occupancy();
    assert_eq!((now.running, now.running_here, now.queued), (3, 2, 0));
}

#[test]
fn ends_are_told_apart() {
    let cluster = cluster([
        queued(1, 1),
        Event::Begun { job: 1, host: 2 },
        done(1, 0, 700),
        queued(2, 1),
        Event::Begun { job: 2, host: 2 },
        done(2, 1, 10),
        queued(3, 1),
        Event::Begun { job: 3, host: 2 },
        done(3, Figures::LOST, 0),
        queued(4, 1),
        done(4, Figures::LOST, 0),
    ]);
    let states: Vec<State> = cluster.jobs().map(|(_, job)| job.state).collect();
    assert_eq!(
        states,
        [
            State::Finished,
            State::Failed,
            State::Lost,
            State::Cancelled
        ]
    );
    let totals = cluster.totals();
    assert_eq!((totals.failed, totals.lost, totals.cancelled), (1, 1, 1));
    let server = &named(&cluster, "worker").as_server;
    assert_eq!((server.finished, server.failed, server.lost), (1, 1, 1));
    assert_eq!(server.mean(), Some(700.0));
    assert_eq!(cluster.occupancy().running, 0);
}

#[test]
fn a_host_that_comes_back_keeps_its_history() {
    let mut cluster = cluster([
        queued(1, 1),
        Event::Begun { job: 1, host: 2 },
        done(1, 0, 700),
        Event::HostGone { host: 2 },
    ]);
    assert!(!named(&cluster, "worker").is_here());
    cluster.apply(20_000, host(9, "worker"));
    let worker = named(&cluster, "worker");
    assert_eq!(
        (worker.number, worker.jobs_in, worker.since),
        (Some(9), 1, 20_000)
    );
    assert_eq!(cluster.hosts().count(), 2);
}

#[test]
fn another_scheduler_counts_anew() {
    let mut cluster = cluster([queued(1, 1), Event::Begun { job: 1, host: 2 }]);
    cluster.apply(
        10_000,
        Event::Lost {
            reason: "end of file".to_owned(),
        },
    );
    assert_eq!(cluster.occupancy().running, 1, "the last picture stays");
    cluster.apply(11_000, connected());
    assert_eq!(cluster.occupancy(), Occupancy::default());
    for event in [host(1, "worker"), queued(1, 1)] {
        cluster.apply(12_000, event);
    }
    assert_eq!(cluster.occupancy().queued, 1);
    assert_eq!(cluster.jobs().next().unwrap().1.state, State::Lost);
    assert_eq!(named(&cluster, "worker").waiting().len(), 1);
}

#[test]
fn more_jobs_than_slots_have_lanes_of_their_own() {
    let mut events = Vec::new();
    for job in 0..7 {
        events.extend([queued(job, 1), Event::Begun { job, host: 2 }]);
    }
    events.extend([
        done(2, 0, 5),
        queued(50, 1),
        Event::Begun { job: 50, host: 2 },
    ]);
    let cluster = cluster(events);
    let worker = named(&cluster, "worker");
    assert_eq!(
        (worker.busy(), worker.slots(), worker.lanes().len()),
        (7, 4, 7)
    );
    let last = cluster.jobs().next_back().unwrap().1;
    assert_eq!(last.lane, 2, "a free lane is used again");
}

#[test]
fn a_login_without_averages_does_not_erase_them() {
    let mut cluster = Cluster::new();
    let mut full = facts("office", 4);
    full.averages = Some([1, 2, 3]);
    full.free_memory = Some(4);
    for facts in [full, facts("office", 4)] {
        cluster.apply(1, Event::Host { host: 1, facts });
    }
    let office = &named(&cluster, "office").facts;
    assert_eq!(
        (office.averages, office.free_memory),
        (Some([1, 2, 3]), Some(4))
    );
}

#[test]
fn a_pause_separates_builds() {
    let mut cluster = cluster([
        queued(1, 1),
        Event::Begun { job: 1, host: 2 },
        done(1, 0, 4_000),
    ]);
    for (at, event) in [
        (5_000, queued(2, 1)),
        (6_000, Event::Begun { job: 2, host: 1 }),
        (7_000, done(2, 0, 4_000)),
        (30_000, queued(3, 1)),
        (30_000, Event::Begun { job: 3, host: 2 }),
    ] {
        cluster.apply(at, event);
    }
    let builds: Vec<&Build> = cluster.builds().collect();
    assert_eq!(builds.len(), 2);
    assert_eq!(
        (builds[0].remote, builds[0].own, builds[0].files()),
        (1, 1, 2)
    );
    assert_eq!(builds[0].speed_up(), Some(2.0));
    assert!(!builds[0].is_open(30_000) && builds[1].is_open(90_000));
}

fn any_event() -> impl Strategy<Value = Event> {
    let (job, number) = (0..6u32, 0..4u32);
    prop_oneof![
        Just(connected()),
        Just(Event::Lost {
            reason: String::new()
        }),
        (number.clone(), 0..3u32).prop_map(|(number, name)| host(number, &name.to_string())),
        number.clone().prop_map(|host| Event::HostGone { host }),
        (job.clone(), number.clone()).prop_map(|(job, client)| queued(job, client)),
        (job.clone(), number.clone()).prop_map(|(job, host)| Event::Begun { job, host }),
        (job.clone(), 0..2i32, 0..9u32).prop_map(|(job, exit, ms)| done(job, exit * 255, ms)),
        (job.clone(), number).prop_map(|(job, host)| Event::LocalBegun {
            job,
            host,
            file: String::new()
        }),
        job.prop_map(|job| Event::LocalDone { job }),
    ]
}

proptest! {
    #[test]
    fn counts_agree_with_what_is_counted(
        events in proptest::collection::vec((0..5_000u64, any_event()), 0..200),
    ) {
        let mut cluster = Cluster::new();
        let mut now = 1_000;
        for (pause, event) in events {
            now += pause;
            cluster.apply(now, event);
            let count = |state| cluster.jobs().filter(|(_, job)| job.state == state).count() as u32;
            let running: u32 = cluster.hosts().map(|(_, host)| host.busy()).sum();
            let sum = cluster.occupancy();
            prop_assert_eq!(sum.running, count(State::Running));
            prop_assert_eq!(running, sum.running);
            prop_assert_eq!(sum.queued, count(State::Queued));
            let here = cluster.jobs().filter(|(_, job)| job.state == State::Running && job.kind != Kind::Remote);
            prop_assert_eq!(here.count() as u32, sum.running_here);
        }
        cluster.apply(now, connected());
        prop_assert_eq!(cluster.occupancy(), Occupancy::default());
        prop_assert!(cluster.builds().all(|build| build.running == 0));
    }
}
