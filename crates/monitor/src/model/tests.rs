use gelato_record::{JobRecord, Verdict};
use proptest::prelude::*;

use super::*;
use crate::view;

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
    let told = cluster.occupancy();
    assert_eq!((told.hosts, told.running), (0, 1));
    for event in [host(1, "worker"), queued(1, 1)] {
        cluster.apply(12_000, event);
    }
    assert_eq!(cluster.occupancy().queued, 1);
    cluster.tick(25_000);
    assert_eq!(cluster.totals().lost, 0);
    cluster.tick(27_000);
    assert_eq!(cluster.occupancy().running, 0);
    assert_eq!(cluster.jobs().next().unwrap().1.state, State::Lost);
    assert_eq!(named(&cluster, "worker").waiting().len(), 1);
}

#[test]
fn a_job_that_is_told_of_again_is_the_same() {
    let mut cluster = cluster([queued(1, 1), Event::Begun { job: 1, host: 2 }]);
    let before = cluster.totals();
    cluster.apply(11_000, connected());
    for event in [host(8, "worker"), host(9, "office")] {
        cluster.apply(12_000, event);
    }
    let (client, server) = (9, 8);
    let again = Event::Queued {
        job: 5,
        client,
        file: "file1.cpp".to_owned(),
        language: 1,
    };
    cluster.apply(12_000, again);
    cluster.apply(
        12_000,
        Event::Begun {
            job: 5,
            host: server,
        },
    );
    assert_eq!(
        (cluster.jobs().count(), cluster.occupancy().running),
        (1, 1)
    );
    cluster.tick(60_000);
    let figures = Figures::default();
    cluster.apply(61_000, Event::Done { job: 5, figures });
    assert_eq!(cluster.totals(), before);
    assert_eq!(cluster.jobs().next().unwrap().1.state, State::Finished);
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

fn record(job: Option<u32>, verdict: Verdict, build: Option<&str>) -> JobRecord {
    JobRecord {
        end: 1_000,
        verdict,
        reason: (verdict != Verdict::Remote).then(|| "native-cpu".to_owned()),
        file: format!("out/file{}.o", job.unwrap_or(0)),
        build: build.map(str::to_owned),
        job,
        wall: 500,
        ..JobRecord::default()
    }
}

fn told(host: u32, record: JobRecord) -> Event {
    let record = Box::new(record);
    Event::Record { host, record }
}

#[test]
fn records_find_their_jobs_before_and_after_the_end() {
    let cluster = cluster([
        queued(1, 1),
        Event::Begun { job: 1, host: 2 },
        told(1, record(Some(1), Verdict::Remote, Some("b"))),
        done(1, 0, 700),
        queued(2, 1),
        Event::Begun { job: 2, host: 2 },
        done(2, 0, 700),
        told(1, record(Some(2), Verdict::Remote, Some("b"))),
        // Another submitter's number.
        told(2, record(Some(2), Verdict::Remote, Some("b"))),
    ]);
    let jobs: Vec<&Job> = cluster.jobs().map(|(_, job)| job).collect();
    assert_eq!(jobs.len(), 3, "the last is a job of its own");
    assert!(jobs.iter().all(|job| job.record.is_some()));
    assert_eq!(jobs[0].state, State::Finished);
    let builds: Vec<&Build> = cluster.builds().collect();
    assert_eq!(builds.len(), 2, "one of each submitter");
    assert_eq!((builds[0].jobs(), builds[0].recorded), (2, 2));
    assert_eq!(builds[0].key.as_deref(), Some("b"));
}

#[test]
fn a_local_job_is_found_by_its_file_and_counted_once() {
    let local = |file: &str| Event::LocalBegun {
        job: 5,
        host: 1,
        file: file.to_owned(),
    };
    let cluster = cluster([
        local("app/out/file5.o"),
        Event::LocalDone { job: 5 },
        told(
            1,
            JobRecord {
                job: None,
                file: "file5.o".to_owned(),
                ..record(None, Verdict::Local, None)
            },
        ),
        told(1, record(None, Verdict::Local, None)),
        told(1, record(None, Verdict::Refused, None)),
    ]);
    assert_eq!(cluster.totals().local, 2, "refused ones ran nowhere");
    assert_eq!(cluster.jobs().count(), 3);
    assert_eq!(cluster.untold(), 0);
    let (code, reason) = cluster.reasons().next().unwrap();
    assert_eq!((code, reason.count), ("native-cpu", 3));
}

#[test]
fn a_job_that_its_submitter_did_after_its_worker_vanished_is_an_own_job() {
    let cluster = cluster([
        queued(1, 1),
        done(1, 120, 0),
        told(1, record(Some(1), Verdict::Own, Some("b"))),
    ]);
    let totals = cluster.totals();
    assert_eq!((totals.own, totals.cancelled, totals.failed), (1, 0, 0));
    let (_, job) = cluster.jobs().next().unwrap();
    assert_eq!((job.state, job.kind), (State::Finished, Kind::Own));
    let build = cluster.builds().next().unwrap();
    assert_eq!((build.own, build.recorded), (1, 1));
}

#[test]
fn two_builds_at_once_are_told_apart_by_their_records() {
    let mut events = Vec::new();
    for job in 1..=6 {
        events.extend([queued(job, 1), Event::Begun { job, host: 2 }]);
    }
    for job in 1..=6 {
        events.push(done(job, 0, 100));
        let name = if job % 2 == 0 { "even" } else { "odd" };
        events.push(told(1, record(Some(job), Verdict::Remote, Some(name))));
    }
    let cluster = cluster(events);
    let counts: Vec<(Option<&str>, u64, u64, u32)> = cluster
        .builds()
        .map(|build| {
            (
                build.key.as_deref(),
                build.jobs(),
                build.serial_ms,
                build.running,
            )
        })
        .collect();
    assert_eq!(
        counts,
        [(Some("odd"), 3, 300, 0), (Some("even"), 3, 300, 0)]
    );
}

#[test]
fn the_end_of_a_build_is_a_change_though_nothing_happens() {
    let mut cluster = cluster([
        queued(1, 1),
        Event::Begun { job: 1, host: 2 },
        done(1, 0, 10),
    ]);
    let seen = cluster.revision();
    cluster.tick(8_000);
    assert!(cluster.changes_since(seen).builds.is_empty());
    cluster.tick(20_000);
    assert_eq!(cluster.changes_since(seen).builds, [1]);
    let seen = cluster.revision();
    cluster.tick(200_000);
    assert!(cluster.changes_since(seen).builds.is_empty());
}

#[test]
fn what_a_job_waits_for_is_known_until_it_begins() {
    let waiting = Event::Waiting {
        job: 1,
        position: 3,
        reason: "slot".to_owned(),
        text: "all taken".to_owned(),
    };
    let mut cluster = cluster([queued(1, 1), waiting.clone()]);
    let job = |cluster: &Cluster| cluster.jobs().next().unwrap().1.clone();
    assert_eq!(job(&cluster).waiting.unwrap().position, 3);
    let why = "builder: free".to_owned();
    for event in [
        Event::Begun { job: 1, host: 2 },
        waiting,
        Event::Explained { job: 1, why },
    ] {
        cluster.apply(20_000, event);
    }
    assert_eq!(job(&cluster).waiting, None);
    assert_eq!(job(&cluster).why.as_deref(), Some("builder: free"));
}

#[test]
fn memory_is_bounded() {
    let mut cluster = cluster([]);
    let detail = "x".repeat(5_000);
    for number in 0..(KEPT_JOBS as u32 + 500) {
        let now = 10_000 + u64::from(number) * 11_000 % 1_000_000_000;
        let long = JobRecord {
            detail: detail.clone(),
            reason: Some(format!("reason-{number}")),
            user: Some(number),
            ..record(
                Some(number),
                Verdict::Local,
                Some(&format!("build-{number}")),
            )
        };
        cluster.apply(now, told(1, long));
    }
    assert_eq!(cluster.jobs().count(), KEPT_JOBS);
    assert!(cluster.builds().count() <= KEPT_BUILDS);
    assert!(cluster.reasons().count() <= 200 && cluster.people().count() <= 1_000);
    let kept: usize = cluster
        .jobs()
        .filter_map(|(_, job)| job.record.as_ref())
        .map(|record| record.detail.len())
        .sum();
    assert!(kept < 40 << 20, "{kept}");
    let changed = cluster.changes_since(0);
    assert!(changed.jobs.len() <= KEPT_JOBS && changed.builds.len() <= KEPT_BUILDS);
}

fn any_record() -> impl Strategy<Value = JobRecord> {
    let verdict = prop_oneof![
        Just(Verdict::Remote),
        Just(Verdict::Own),
        Just(Verdict::Local),
        Just(Verdict::FailedOver),
        Just(Verdict::Refused),
    ];
    let build = proptest::option::of(prop_oneof![Just("one"), Just("two")]);
    (
        proptest::option::of(0..6u32),
        verdict,
        build,
        0..2i32,
        0..9_000u64,
    )
        .prop_map(|(job, verdict, build, exit, wall)| JobRecord {
            exit,
            wall,
            ..record(job, verdict, build)
        })
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
        job.clone().prop_map(|job| Event::LocalDone { job }),
        (0..4u32, any_record()).prop_map(|(host, record)| told(host, record)),
        job.clone().prop_map(|job| Event::Explained {
            job,
            why: String::new()
        }),
        job.prop_map(|job| Event::Waiting {
            job,
            position: 1,
            reason: String::new(),
            text: String::new()
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn counts_agree_with_what_is_counted(
        events in proptest::collection::vec((0..5_000u64, any_event()), 0..120),
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
            let begun = |build: u64| {
                let jobs = cluster.jobs().map(|(_, job)| job);
                jobs.filter(move |job| job.build == Some(build) && job.begun.is_some())
            };
            for build in cluster.builds() {
                let ended = |state| begun(build.number).filter(|job| job.state == state).count() as u64;
                prop_assert_eq!(build.jobs(), begun(build.number).count() as u64);
                prop_assert_eq!(u64::from(build.running), ended(State::Running));
                prop_assert_eq!((build.failed, build.lost), (ended(State::Failed), ended(State::Lost)));
            }
        }
        cluster.apply(now, connected());
        cluster.tick(now + 60_000);
        prop_assert_eq!(cluster.occupancy(), Occupancy::default());
        prop_assert!(cluster.builds().all(|build| build.running == 0));
    }

    #[test]
    fn a_snapshot_and_its_changes_are_the_next_snapshot(
        before in proptest::collection::vec((0..5_000u64, any_event()), 0..60),
        after in proptest::collection::vec((0..5_000u64, any_event()), 0..60),
    ) {
        let mut cluster = Cluster::new();
        let mut now = 1_000;
        let mut apply = |cluster: &mut Cluster, events: Vec<(u64, Event)>| {
            for (pause, event) in events {
                now += pause;
                cluster.apply(now, event);
            }
            now
        };
        let first = apply(&mut cluster, before);
        let mut page = view::snapshot(&cluster, first);
        let second = apply(&mut cluster, after);
        let delta = view::delta(&cluster, second, page.revision);
        let next = view::snapshot(&cluster, second);
        page.hosts.retain(|host| !delta.hosts_gone.contains(&host.id));
        merge(&mut page.hosts, delta.hosts, |row| row.id.0.into());
        merge(&mut page.jobs, delta.jobs, |row| row.id.0);
        merge(&mut page.builds, delta.builds, |row| row.id);
        page.builds.reverse();
        page.reasons = delta.reasons.unwrap_or(page.reasons);
        page.alerts = delta.alerts.unwrap_or(page.alerts);
        prop_assert_eq!(delta.cluster, next.cluster);
        prop_assert_eq!(page.alerts, next.alerts);
        prop_assert_eq!(timeless_hosts(page.hosts), timeless_hosts(next.hosts));
        prop_assert_eq!(timeless_jobs(page.jobs), timeless_jobs(next.jobs));
        prop_assert_eq!(timeless_builds(page.builds), timeless_builds(next.builds));
        // What was not told is counted from totals, which the page has anyway.
        let told = |rows: Vec<view::ReasonRow>| rows.into_iter().filter(|row| row.code != NOT_TOLD).collect::<Vec<_>>();
        prop_assert_eq!(told(page.reasons), told(next.reasons));
    }
}

/// Puts changed rows in the place of their earlier selves, in order.
fn merge<Row>(rows: &mut Vec<Row>, changed: Vec<Row>, id: impl Fn(&Row) -> u64) {
    for row in changed {
        rows.retain(|known| id(known) != id(&row));
        rows.push(row);
    }
    rows.sort_by_key(&id);
}

/// Without what changes with time alone.
fn timeless_hosts(rows: Vec<view::HostRow>) -> Vec<view::HostRow> {
    let rows = rows.into_iter();
    rows.map(|row| view::HostRow {
        strip: Vec::new(),
        ..row
    })
    .collect()
}

fn timeless_jobs(rows: Vec<view::JobRow>) -> Vec<view::JobRow> {
    let rows = rows.into_iter();
    rows.map(|row| {
        let over = row.ended.is_some();
        view::JobRow {
            wait_ms: if over { row.wait_ms } else { 0 },
            duration_ms: row.duration_ms.filter(|_| over),
            ..row
        }
    })
    .collect()
}

fn timeless_builds(rows: Vec<view::BuildRow>) -> Vec<view::BuildRow> {
    let rows = rows.into_iter();
    rows.map(|row| view::BuildRow {
        open: false,
        wall_ms: 0,
        speed_up: None,
        estimate_ms: None,
        verdict: None,
        critical_path_ms: 0,
        critical_path_exact: false,
        ..row
    })
    .collect()
}
