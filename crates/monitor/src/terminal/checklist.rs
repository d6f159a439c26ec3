//! What any monitor of such a cluster shows, feature by feature, on the recorded cluster: each number on the screen is that of the
//! view rows, which the web page shows, too.

use crossterm::event::KeyCode;
use serde_json::json;

use super::figures::span;
use super::screen::{Screen, recorded};
use super::{Action, Order, Outcome, Page, Request, hosts, once};
use crate::event::Event;
use crate::model::{Cluster, HostId, JobId, State};
use crate::view;

fn wide() -> Screen {
    Screen::new(180, 60, recorded())
}

/// One on which the widest table has room.
fn widest() -> Screen {
    Screen::new(360, 64, recorded())
}

/// The words of the line on which a row stands.
fn words(screen: &mut Screen, part: &str) -> Vec<String> {
    let line = screen.line(part);
    line.split_whitespace().map(str::to_owned).collect()
}

fn name(cluster: &Cluster, id: Option<HostId>) -> String {
    id.and_then(|id| cluster.host(id))
        .map_or("-".to_owned(), |host| host.facts.name.clone())
}

#[test]
fn row_01_cluster_line() {
    let mut screen = wide();
    let row = view::cluster(&screen.cluster, screen.now);
    screen.has(&[
        &format!("Scheduler {}", row.scheduler.unwrap()),
        &format!("network {}", row.netname.unwrap()),
        &row.version.unwrap(),
        &format!("up {}", span(screen.now - row.started.unwrap())),
        &format!(
            "Hosts {} ({} available, {} active)",
            row.hosts, row.available, row.active
        ),
        &format!(
            "Slots {}/{}   Waiting {}",
            row.running, row.slots, row.queued
        ),
        &format!(
            "remote {}  own {}  local {} ({:.0}% here)  failed {}  lost {}  cancelled {}",
            row.totals.remote,
            row.totals.own,
            row.totals.local,
            row.local_percent.unwrap(),
            row.totals.failed,
            row.totals.lost,
            row.totals.cancelled
        ),
    ]);
    for platform in row.platforms.iter().filter(|_| row.platforms.len() > 1) {
        screen.has(&[&format!(
            "{} {}/{}",
            platform.platform, platform.busy, platform.slots
        )]);
    }
}

#[test]
fn row_02_occupancy_bar() {
    let mut screen = wide();
    let row = view::cluster(&screen.cluster, screen.now);
    let bar = screen.line("5 min");
    let count = |sign| bar.chars().filter(|letter| *letter == sign).count() as u32;
    assert_eq!(count('='), row.running - row.running_here, "{bar}");
    assert_eq!(count('%'), row.running_here, "{bar}");
    let inside = bar.find(']').unwrap() - 1;
    assert_eq!(inside as u32, row.slots.max(row.running), "{bar}");
}

#[test]
fn row_02_bar_scales_when_there_are_more_jobs_than_places() {
    let mut screen = Screen::new(40, 24, recorded());
    let bar = screen.text().lines().nth(3).unwrap().to_owned();
    assert!(
        bar.starts_with('{') && bar.ends_with('}') && bar.chars().count() == 40,
        "{bar}"
    );
}

#[test]
fn row_03_host_table_with_all_columns() {
    let mut screen = widest();
    for host in view::hosts(&screen.cluster, screen.now) {
        let words = words(&mut screen, &format!(" {} ", host.name));
        for wanted in [
            host.jobs_in.to_string(),
            host.slots.to_string(),
            host.running.to_string(),
            host.jobs_out.to_string(),
            host.jobs_local.to_string(),
            host.load.to_string(),
            host.platform.clone(),
            host.ip.clone(),
            host.protocol.to_string(),
            hosts::state(&host).split(' ').next().unwrap().to_owned(),
        ] {
            assert!(words.contains(&wanted), "{wanted} in {words:?}");
        }
    }
}

#[test]
fn row_03_every_column_is_reached_on_80_columns() {
    for page in ['1', '2', '3', '5', '8'] {
        let mut screen = Screen::new(80, 24, recorded());
        screen.press(KeyCode::Char(page));
        let columns = screen.ui.page().columns();
        let mut seen = String::new();
        for _ in 0..columns.len() {
            let sign = ['↑', '↓'];
            let text = screen.text();
            seen += text
                .lines()
                .find(|line| line.contains(sign))
                .unwrap_or_else(|| panic!("{text}"));
            seen.push(' ');
            screen.press(KeyCode::Tab);
        }
        for column in columns {
            assert!(
                seen.contains(column.title),
                "{} of page {page}",
                column.title
            );
        }
    }
}

#[test]
fn row_04_host_detail() {
    let mut screen = wide();
    let hosts = view::hosts(&screen.cluster, screen.now);
    let host = hosts.iter().max_by_key(|host| host.running).unwrap();
    screen.keys(&format!("/name:{}\n", host.name));
    screen.keys(" ");
    screen.has(&["slot 1", "Sandbox: "]);
    screen.keys("\n");
    screen.has(&[
        &format!("{} of {} busy", host.running, host.slots),
        "Outgoing jobs",
        "Incoming jobs",
        "Toolchains",
        &format!(
            "{} jobs, {} failed, {} lost",
            host.as_server.jobs, host.as_server.failed, host.as_server.lost
        ),
    ]);
    for job in host.lanes.iter().flatten() {
        let file = screen.cluster.job(*job).unwrap().file.clone();
        screen.has(&[&file]);
    }
    screen.press(KeyCode::Esc);
    screen.has(&["NAME"]);
}

fn newest(cluster: &Cluster, is: impl Fn(&view::JobRow) -> bool, now: u64) -> view::JobRow {
    let jobs = view::jobs(cluster, now);
    jobs.into_iter()
        .rev()
        .find(is)
        .expect("the recording has such a job")
}

#[test]
fn row_05_job_list_with_all_columns() {
    let mut screen = widest();
    let (cluster, now) = (screen.cluster.clone(), screen.now);
    let job = newest(
        &cluster,
        |job| job.user_ms.is_some() && job.record.is_some(),
        now,
    );
    screen.keys(&format!("2/number={}\n", job.id.0));
    let words = words(&mut screen, &job.file);
    for wanted in [
        job.number.to_string(),
        "finished".to_owned(),
        name(&cluster, job.client),
        name(&cluster, job.server),
        span(job.duration_ms.unwrap()),
        span(job.wait_ms),
        job.language.clone().unwrap(),
        span(job.user_ms.unwrap().into()),
        span(job.system_ms.unwrap().into()),
        job.page_faults.unwrap().to_string(),
        super::figures::bytes(job.in_raw.unwrap().into()),
        super::figures::bytes(job.out_raw.unwrap().into()),
    ] {
        assert!(
            words.contains(&wanted) || job.state != State::Finished,
            "{wanted} in {words:?}"
        );
    }
}

#[test]
fn row_05_jobs_are_filtered_by_anything() {
    let mut screen = wide();
    let (cluster, now) = (screen.cluster.clone(), screen.now);
    let all = view::jobs(&cluster, now);
    let client = name(&cluster, all[0].client);
    let count = |is: &dyn Fn(&view::JobRow) -> bool| all.iter().filter(|job| is(job)).count();
    let failed = count(&|job| job.state == State::Failed);
    let slow = count(&|job| job.duration_ms.is_some_and(|ms| ms > 2_000));
    let of_client = count(&|job| name(&cluster, job.client) == client);
    for (filter, wanted) in [
        ("state:failed".to_owned(), failed),
        ("time>2".to_owned(), slow),
        (format!("client={client}"), of_client),
    ] {
        screen.keys(&format!("2/{filter}\n"));
        assert_eq!(screen.ui.keys.len(), wanted, "{filter}");
        screen.has(&[&format!("{wanted} rows")]);
    }
    let at = |screen: &Screen| screen.ui.view().selected;
    screen.keys("2/time>2\nn");
    assert_eq!(at(&screen), 1);
    screen.keys("NN");
    assert_eq!(at(&screen), screen.ui.keys.len() - 1, "round the end");
}

#[test]
fn row_07_gantt_of_a_window() {
    let mut screen = wide();
    screen.keys("4");
    screen.has(&["1 minute ago", "now", "█"]);
    screen.keys("tj\n");
    screen.has(&["15 seconds ago"]);
}

#[test]
fn row_08_averages_as_client_and_server() {
    let mut screen = widest();
    let hosts = view::hosts(&screen.cluster, screen.now);
    let host = hosts.iter().max_by_key(|host| host.as_server.jobs).unwrap();
    let words = words(&mut screen, &format!(" {} ", host.name));
    let server = &host.as_server;
    for ms in [
        server.mean_ms.unwrap() as u64,
        server.p50_ms.unwrap().into(),
        server.p95_ms.unwrap().into(),
    ] {
        assert!(words.contains(&span(ms)), "{} in {words:?}", span(ms));
    }
    screen.has(&["C-MEAN", "C-P95"]);
}

#[test]
fn row_09_activity_strips() {
    let mut screen = wide();
    let hosts = view::hosts(&screen.cluster, screen.now);
    let busy = hosts
        .iter()
        .find(|host| host.strip.iter().rev().take(10).any(|level| *level > 0));
    let strip = hosts::activity(busy.unwrap());
    screen.has(&["LAST 20 s", strip.trim()]);
}

#[test]
fn row_10_every_host_has_a_letter_of_its_own() {
    let mut screen = wide();
    let hosts = view::hosts(&screen.cluster, screen.now);
    let mut marks: Vec<u8> = hosts.iter().map(|host| host.mark).collect();
    for host in &hosts {
        let letter = char::from(b'a' + host.mark);
        screen.has(&[&format!("{letter} {}", host.name)]);
    }
    marks.sort_unstable();
    marks.dedup();
    assert_eq!(marks.len(), hosts.len());
}

#[test]
fn row_11_why_local() {
    let mut screen = wide();
    let reasons = view::reasons(&screen.cluster);
    screen.keys("6");
    for reason in &reasons {
        let words = words(&mut screen, &reason.code);
        assert!(words.contains(&reason.count.to_string()), "{words:?}");
    }
    let first = reasons.first().unwrap();
    screen.has(&["What to do: ", first.explanation.split(' ').next().unwrap()]);
    // Enter shows the jobs behind it, as many as are remembered with a record.
    screen.keys("\n");
    assert_eq!(screen.ui.page(), Page::Jobs);
    let jobs = view::jobs(&screen.cluster, screen.now);
    let code = screen.ui.filter().trim_start_matches("reason:").to_owned();
    let has = |job: &&view::JobRow| {
        let reason = job
            .record
            .as_ref()
            .and_then(|record| record.reason.as_deref());
        reason.is_some_and(|reason| reason.contains(&code))
    };
    assert_eq!(screen.ui.keys.len(), jobs.iter().filter(has).count());
}

#[test]
fn row_12_why_waiting() {
    let mut screen = widest();
    let client = screen
        .cluster
        .hosts()
        .find_map(|(_, host)| host.number)
        .unwrap();
    for event in [
        Event::Queued {
            job: 900_001,
            client,
            file: "late/queued.cpp".to_owned(),
            language: 1,
        },
        Event::Waiting {
            job: 900_001,
            position: 3,
            reason: "slot".to_owned(),
            text: "all slots are busy".to_owned(),
        },
    ] {
        screen.cluster.apply(screen.now, event);
    }
    screen.now += 2_500;
    screen.keys("2/queued.cpp\n");
    let words = words(&mut screen, "late/queued.cpp");
    assert!(
        words.contains(&"slot".to_owned()) && words.contains(&"3".to_owned()),
        "{words:?}"
    );
    screen.keys("\n");
    screen.has(&[
        "Why it waits",
        "3 in the queue",
        "slot: all slots are busy",
        "waited 2.5s",
    ]);
}

#[test]
fn row_14_builds() {
    let mut screen = widest();
    screen.keys("3");
    for build in view::builds(&screen.cluster, screen.now) {
        let text = screen.text();
        let number = build.id.to_string();
        let is_row = |line: &&str| line.split_whitespace().next() == Some(number.as_str());
        let line = text
            .lines()
            .find(is_row)
            .unwrap_or_else(|| panic!("{number} in {text}"));
        let words: Vec<&str> = line.split_whitespace().collect();
        for wanted in [
            build.id.to_string(),
            build.jobs.to_string(),
            build.remote.to_string(),
            build.local.to_string(),
            build.files.to_string(),
            span(build.wall_ms),
        ] {
            assert!(words.contains(&wanted.as_str()), "{wanted} in {line}");
        }
    }
}

#[test]
fn row_15_critical_path_and_verdict() {
    let mut screen = wide();
    let builds = view::builds(&screen.cluster, screen.now);
    let build = builds.iter().find(|build| build.verdict.is_some()).unwrap();
    let verdict = build.verdict.clone().unwrap();
    screen.keys(&format!("3/build={}\n\n", build.id));
    let sentence: String = verdict
        .sentence
        .split_whitespace()
        .take(4)
        .collect::<Vec<_>>()
        .join(" ");
    screen.has(&["What bounded it", &sentence, &span(build.critical_path_ms)]);
    for evidence in &verdict.evidence {
        screen.has(&[&evidence.what]);
    }
}

#[test]
fn row_16_slowest_files() {
    let mut screen = wide();
    screen.keys("5");
    for file in view::files(&screen.cluster).iter().take(30) {
        let text = screen.text();
        let line = text
            .lines()
            .find(|line| line.starts_with(&format!("{} ", file.file)));
        let line = line.unwrap_or_else(|| panic!("{} in {text}", file.file));
        for wanted in [
            file.jobs.to_string(),
            span(file.max_ms.into()),
            span(file.p50_ms.into()),
        ] {
            assert!(line.contains(&wanted), "{wanted} in {line}");
        }
    }
}

#[test]
fn row_17_there_is_no_result_cache_and_the_page_says_so() {
    let mut screen = wide();
    screen.keys("7");
    screen.has(&["no result cache"]);
}

#[test]
fn row_18_phases_of_a_job() {
    let mut screen = wide();
    let job = newest(
        &screen.cluster,
        |job| {
            job.record
                .as_ref()
                .is_some_and(|record| record.phases.compile > 0)
        },
        screen.now,
    );
    screen.keys(&format!("2/number={}\n\n", job.id.0));
    for (phase, ms) in job.record.unwrap().phases.parts() {
        if ms > 0 {
            let line = screen.line(&format!("{phase:<11}"));
            assert!(line.contains('█'), "{line}");
        }
    }
    screen.has(&["How its time was spent", "Why there"]);
}

#[test]
fn row_21_alerts_on_every_page() {
    let (mut cluster, now) = recorded();
    // A host that stays away is one.
    let number = cluster.hosts().find_map(|(_, host)| host.number).unwrap();
    cluster.apply(now, Event::HostGone { host: number });
    let later = now + 600_000;
    cluster.tick(later);
    let mut screen = Screen::new(200, 60, (cluster, later));
    let alerts = view::alerts(&screen.cluster, later);
    let Some(worst) = alerts.first().cloned() else {
        return screen.has(&["8:alerts"]);
    };
    for page in '1'..='9' {
        screen.press(KeyCode::Char(page));
        screen.has(&["8:alerts!", "! ", worst.text.trim_end_matches('.')]);
    }
    screen.keys("8");
    for alert in &alerts {
        screen.has(&[&alert.code]);
    }
    screen.has(&["What to do: "]);
}

#[test]
fn row_22_failed_jobs() {
    let mut screen = wide();
    let failed = newest(
        &screen.cluster,
        |job| job.state == State::Failed,
        screen.now,
    );
    screen.keys("2/state:failed\n");
    let line = screen.line(&failed.file);
    assert!(
        line.contains("FAILED") && line.contains(&failed.exit.unwrap().to_string()),
        "{line}"
    );
}

#[test]
fn row_23_hosts_are_managed_after_a_question() {
    let mut screen = wide();
    let host = view::hosts(&screen.cluster, screen.now)
        .into_iter()
        .min_by_key(|host| host.name.clone());
    let host = host.unwrap().name;
    for (key, action, question) in [
        ('b', Action::Block, "Block"),
        ('u', Action::Unblock, "Unblock"),
        ('d', Action::Drain, "Drain"),
    ] {
        screen.press(KeyCode::Char(key));
        screen.has(&[&format!("{question} {host}?")]);
        screen.press(KeyCode::Char('n'));
        assert_eq!(screen.ui.next_request(), None, "not without a yes");
        screen.press(KeyCode::Char(key));
        screen.press(KeyCode::Char('y'));
        let order = Order {
            action,
            host: host.clone(),
        };
        let wanted = Request::Operate {
            order: order.clone(),
            token: None,
        };
        assert_eq!(screen.ui.next_request(), Some(wanted));
        screen.ui.hear(Outcome::TokenWanted(order.clone()));
        screen.keys("secret");
        screen.has(&["Control token", "******_"]);
        assert!(!screen.text().contains("secret"));
        screen.keys("\n");
        let token = Some("secret".to_owned());
        assert_eq!(
            screen.ui.next_request(),
            Some(Request::Operate { order, token })
        );
    }
    screen.ui.hear(Outcome::Said("drain ada: done".to_owned()));
    screen.has(&["drain ada: done"]);
}

#[test]
fn row_25_environments() {
    let mut screen = wide();
    screen.keys("7");
    for row in view::toolchains(&screen.cluster) {
        for host in row.hosts {
            let name = name(&screen.cluster, Some(host.host));
            let words = words(&mut screen, &format!("{name} "));
            assert_eq!(
                words[1..],
                [
                    row.platform.clone(),
                    host.count.to_string(),
                    host.installing.to_string()
                ]
            );
        }
    }
}

#[test]
fn row_26_people() {
    let mut screen = wide();
    screen.keys("9");
    for person in view::people(&screen.cluster) {
        let name = name(&screen.cluster, Some(person.client));
        let words = words(&mut screen, &format!("{name} "));
        assert!(words.contains(&person.jobs.to_string()), "{words:?}");
    }
}

#[test]
fn row_27_bytes_and_ratio_have_columns() {
    let mut screen = widest();
    screen.keys("2");
    screen.has(&["SOURCE", "SENT", "OBJECT", "RECEIVED", "RATIO"]);
    screen.keys("3");
    screen.has(&["SENT", "RECEIVED"]);
}

#[test]
fn row_28_another_network_is_chosen() {
    let mut screen = wide();
    screen.keys("g");
    assert_eq!(screen.ui.next_request(), Some(Request::Search));
    screen.has(&["looking for schedulers", "another address"]);
    screen.ui.hear(Outcome::Networks(vec![super::Network {
        name: "OTHER".to_owned(),
        address: "10.9.8.7:8765".to_owned(),
        about: "protocol 43".to_owned(),
    }]));
    screen.has(&["OTHER", "10.9.8.7:8765", "protocol 43"]);
    screen.keys("\n");
    assert_eq!(
        screen.ui.next_request(),
        Some(Request::Watch("10.9.8.7:8765".to_owned()))
    );
    screen.keys("gj\nfarm:9000\n");
    assert_eq!(screen.ui.next_request(), Some(Request::Search));
    assert_eq!(
        screen.ui.next_request(),
        Some(Request::Watch("farm:9000".to_owned()))
    );
}

#[test]
fn row_29_what_icecreams_scheduler_does_not_tell_is_said() {
    let mut cluster = Cluster::new();
    let facts =
        crate::HostFacts::read("Name:old\nIP:10.0.0.2\nMaxJobs:2\nPlatform:x86_64\n").unwrap();
    for event in [
        Event::Connected {
            scheduler: "10.0.0.1:8765".to_owned(),
            netname: None,
            protocol: 43,
        },
        Event::Host { host: 1, facts },
        Event::Queued {
            job: 1,
            client: 1,
            file: "a.c".to_owned(),
            language: 0,
        },
        Event::Begun { job: 1, host: 1 },
    ] {
        cluster.apply(1_000, event);
    }
    let mut screen = Screen::new(80, 24, (cluster, 3_000));
    screen.has(&["protocol 43", "heard for"]);
    screen.keys("6");
    screen.has(&["not-told", "The submitter does not tell why"]);
    screen.keys("7");
    screen.has(&["This scheduler does not tell how many toolchains"]);
    screen.keys("2\n");
    screen.has(&["not told: Gelato's scheduler tells it"]);
}

#[test]
fn row_31_pages_for_scripts() {
    let (cluster, now) = recorded();
    for page in Page::ALL {
        let text = once::text(&cluster, page, now);
        assert!(text.starts_with("Scheduler "), "{text}");
        let json = once::json(&cluster, page, now);
        assert_eq!(json["cluster"], json!(view::cluster(&cluster, now)));
    }
    let json = once::json(&cluster, Page::Hosts, now);
    let hosts = view::hosts(&cluster, now);
    let rows = json["hosts"].as_array().unwrap();
    assert_eq!(rows.len(), hosts.len());
    for (row, host) in rows.iter().zip(&hosts) {
        assert_eq!(
            (&row["name"], &row["running"]),
            (&json!(host.name), &json!(host.running))
        );
    }
    let csv = once::csv(&cluster, Page::Jobs, now);
    assert_eq!(csv.lines().count(), 1 + view::jobs(&cluster, now).len());
    let text = once::text(&cluster, Page::Hosts, now);
    assert_eq!(text.lines().count(), 4 + 1 + 1 + hosts.len());
    assert!(text.lines().nth(5).unwrap().ends_with("COLOUR"));
}

#[test]
fn row_31_a_page_is_exported() {
    let mut screen = wide();
    screen.keys("2ej\n");
    assert_eq!(
        screen.ui.next_request(),
        Some(Request::Export(Page::Jobs, super::Format::Json))
    );
}

#[test]
fn row_33_nothing_is_said_by_colour_alone() {
    // Without any colour every state has its word, every host its letter; the panes compared elsewhere have none.
    let mut screen = wide();
    screen.keys("2");
    let jobs = view::jobs(&screen.cluster, screen.now);
    for (state, word) in [(State::Failed, "FAILED"), (State::Finished, "finished")] {
        if jobs.iter().any(|job| job.state == state) {
            screen.keys(&format!("/state:{word}\n"));
            screen.has(&[word]);
        }
    }
}

#[test]
fn jobs_that_were_forgotten_are_said_to_be() {
    let mut screen = wide();
    screen.keys("2\n");
    screen.ui.detail = Some(super::ui::Detail {
        key: super::table::Key::Job(JobId(u64::MAX)),
        first: 0,
    });
    screen.has(&["This job was forgotten"]);
}
