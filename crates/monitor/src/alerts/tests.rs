use gelato_record::{JobRecord, Verdict};

use super::*;
use crate::event::{Event, Figures, HostFacts};

const START: u64 = 1_800_000_000_000;

struct Scene {
    cluster: Cluster,
    now: u64,
    job: u32,
}

impl Scene {
    /// Three hosts of one version.
    fn new() -> Scene {
        let mut scene = Scene {
            cluster: Cluster::new(),
            now: START,
            job: 0,
        };
        scene.connect("10.0.0.9:8765");
        for host in 1..=3 {
            scene.host(host, "0.1.0", &[]);
        }
        scene
    }

    fn connect(&mut self, scheduler: &str) {
        let scheduler = scheduler.to_owned();
        self.apply(Event::Connected {
            scheduler,
            netname: None,
            protocol: 44,
        });
    }

    fn host(&mut self, number: u32, software: &str, lines: &[(&str, &str)]) {
        let software = [("Software", software)];
        let lines = lines.iter().chain(&software);
        let facts = HostFacts {
            name: format!("host{number}"),
            slots: 4,
            free_memory: Some(4_000),
            others: lines
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            ..HostFacts::default()
        };
        self.apply(Event::Host {
            host: number,
            facts,
        });
    }

    fn apply(&mut self, event: Event) {
        self.cluster.apply(self.now, event);
    }

    fn wait(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now += 1_000;
            self.cluster.tick(self.now);
        }
    }

    /// A job of host 1 that waits so long and ends so on a host.
    fn job(&mut self, host: u32, wait: u64, exit: i32) {
        self.job += 1;
        let job = self.job;
        self.apply(Event::Queued {
            job,
            client: 1,
            file: "a.c".to_owned(),
            language: 0,
        });
        self.now += wait;
        self.apply(Event::Begun { job, host });
        self.now += 100;
        let figures = Figures {
            exit,
            real_ms: 100,
            ..Figures::default()
        };
        self.apply(Event::Done { job, figures });
    }

    fn record(&mut self, end: u64, reason: &str) {
        let record = JobRecord {
            end,
            verdict: Verdict::Local,
            reason: Some(reason.to_owned()),
            file: "a.o".to_owned(),
            language: Some("c".to_owned()),
            ..JobRecord::default()
        };
        let record = Box::new(record);
        self.apply(Event::Record { host: 1, record });
    }

    fn codes(&self) -> Vec<&str> {
        let rows = self.cluster.alerts().iter();
        rows.map(|row| row.code.as_str()).collect()
    }
}

#[test]
fn a_healthy_cluster_has_none() {
    let mut scene = Scene::new();
    for round in 0..300 {
        scene.job(1 + round % 3, 20, i32::from(round % 50 == 0));
        scene.wait(1);
        let end = scene.now - 300;
        scene.record(end, "native-cpu");
    }
    assert!(scene.codes().is_empty(), "{:?}", scene.cluster.alerts());
}

#[test]
fn a_host_that_leaves_is_lost_until_it_is_back() {
    let mut scene = Scene::new();
    scene.job(2, 10, 0);
    scene.apply(Event::HostGone { host: 2 });
    scene.wait(5);
    assert!(scene.codes().is_empty(), "it may only restart");
    let left = scene.now - 5_000;
    scene.wait(10);
    assert_eq!(scene.codes(), ["host-lost"]);
    let row = &scene.cluster.alerts()[0];
    assert_eq!(
        (row.subject.as_str(), row.id.as_str()),
        ("host2", "host-lost:host2")
    );
    assert!(row.since >= left && row.since < left + 2_000 && !row.advice.is_empty());
    scene.host(7, "0.1.0", &[]);
    let facts = scene.cluster.hosts().count();
    assert_eq!(facts, 4, "another name is another host");
    let facts = HostFacts {
        name: "host2".to_owned(),
        slots: 4,
        ..HostFacts::default()
    };
    scene.apply(Event::Host { host: 8, facts });
    scene.wait(20);
    assert!(!scene.codes().contains(&"host-lost"), "{:?}", scene.codes());
}

#[test]
fn a_host_that_comes_and_goes() {
    let mut scene = Scene::new();
    for _ in 0..3 {
        scene.apply(Event::HostGone { host: 3 });
        scene.wait(2);
        scene.host(3, "0.1.0", &[]);
        scene.wait(2);
    }
    assert_eq!(scene.codes(), ["host-flapping"]);
    scene.wait(11 * 60);
    assert!(scene.codes().is_empty());
}

#[test]
fn another_scheduler_makes_no_host_lost() {
    let mut scene = Scene::new();
    scene.job(2, 10, 0);
    scene.connect("10.0.0.9:8765");
    scene.wait(30);
    assert!(scene.codes().is_empty());
    scene.connect("10.0.0.8:8765");
    scene.wait(2);
    assert_eq!(scene.codes(), ["two-schedulers"]);
}

#[test]
fn jobs_fail_on_one_host_only() {
    let mut scene = Scene::new();
    for round in 0..40 {
        scene.job(2, 10, i32::from(round % 3 == 0));
        scene.job(3, 10, i32::from(round % 20 == 0));
    }
    scene.wait(2);
    assert_eq!(scene.codes(), ["host-failing"]);
    assert_eq!(scene.cluster.alerts()[0].severity, Severity::Critical);
    // A broken source fails everywhere.
    let mut scene = Scene::new();
    for _ in 0..40 {
        scene.job(2, 10, 1);
        scene.job(3, 10, 1);
    }
    scene.wait(2);
    assert!(scene.codes().is_empty());
}

#[test]
fn what_hosts_say_of_themselves() {
    for (key, value, code, after) in [
        ("Accepting", "false", "host-unreachable", 12),
        ("Installing", "1", "install-slow", 62),
        ("FreeDisk", "10", "disk-low", 32),
    ] {
        let mut scene = Scene::new();
        scene.host(2, "0.1.0", &[(key, value)]);
        scene.wait(after - 4);
        assert!(scene.codes().is_empty(), "{code} too early");
        scene.wait(5);
        assert_eq!(scene.codes(), [code]);
        scene.host(2, "0.1.0", &[]);
        scene.wait(10);
        assert_eq!(scene.codes(), [code], "not forgotten at once");
        scene.wait(10);
        assert!(scene.codes().is_empty());
    }
    let mut scene = Scene::new();
    scene.host(2, "0.2.0", &[]);
    scene.wait(40);
    assert_eq!(scene.codes(), ["version-mix"]);
    assert!(
        scene.cluster.alerts()[0]
            .text
            .contains("0.1.0 on 2, 0.2.0 on 1")
    );
    let facts = HostFacts {
        name: "host2".to_owned(),
        free_memory: Some(20),
        ..HostFacts::default()
    };
    scene.apply(Event::Host { host: 2, facts });
    scene.wait(12);
    assert!(scene.codes().contains(&"memory-low"));
}

#[test]
fn nothing_goes_elsewhere() {
    let mut scene = Scene::new();
    for _ in 0..70 {
        scene.record(scene.now, "no-daemon");
        scene.record(scene.now, "no-compile-step");
        scene.wait(5);
    }
    assert_eq!(scene.codes(), ["all-local"]);
    scene.job(2, 10, 0);
    scene.wait(20);
    assert!(scene.codes().is_empty());
}

#[test]
fn toolchains_do_not_arrive_and_clocks_are_apart() {
    let mut scene = Scene::new();
    for _ in 0..5 {
        scene.record(scene.now + 5_000, "toolchain-rejected");
    }
    scene.wait(12);
    assert_eq!(scene.codes(), ["clock-apart", "install-failing"]);
    assert!(scene.cluster.alerts()[0].text.contains("5.0 s ahead"));
}

#[test]
fn jobs_wait_long() {
    let mut scene = Scene::new();
    for _ in 0..30 {
        scene.job(2, 6_000, 0);
    }
    scene.wait(31);
    assert_eq!(scene.codes(), ["queue-slow"]);
}

#[test]
fn words_are_unique() {
    let words: BTreeSet<&str> = Code::ALL.iter().map(|code| code.word()).collect();
    assert_eq!(words.len(), Code::ALL.len());
    assert!(Code::ALL.iter().all(|code| code.advice().ends_with('.')));
}
