//! The core, event by event: every transition of a client, the reports to the scheduler, and what must never happen.

mod courtesy;
mod operator;
mod recovery;

use std::time::Instant;

use gelato_wire::msg::*;
use gelato_wire::types::exit_codes;
use gelato_wire::{Environment, Message, ProtocolVersion};

use super::client::OWN_COMPILE;
use super::vocabulary::{Action, Event, JobReport, Origin};
use super::{Core, LONGEST_QUEUE, Now, Settings};
use crate::ids::{ClientId, Generation};

const LINK: Generation = Generation(1);

struct Bench {
    core: Core,
    now: Now,
}

fn id(number: u32) -> ClientId {
    ClientId::new(number)
}

impl Bench {
    fn new(max_jobs: u32) -> Bench {
        let now = Now {
            instant: Instant::now(),
            unix: 1000,
        };
        let settings = Settings {
            max_jobs,
            cpus: 4,
            platform: "x86_64".into(),
            port: 10245,
            features: 3,
            can_jail: true,
            no_remote: false,
            peer_jobs: Some(usize::MAX),
            peer_transfers: 2,
            niced: false,
            courtesy: crate::courtesy::CourtesyTerms::default(),
            about: super::operator::About::default(),
        };
        Bench {
            core: Core::new(settings, now),
            now,
        }
    }

    fn with_scheduler(max_jobs: u32) -> Bench {
        let mut bench = Bench::new(max_jobs);
        bench.link_up(LINK);
        bench
    }

    fn link_up(&mut self, generation: Generation) -> Vec<Action> {
        self.event(Event::LinkUp {
            generation,
            version: ProtocolVersion::NEWEST,
            own_address: [10, 0, 0, 1].into(),
        })
    }

    fn event(&mut self, event: Event) -> Vec<Action> {
        self.core.handle(self.now, event)
    }

    fn connect(&mut self, number: u32, origin: Origin) {
        let actions = self.event(Event::Connected {
            id: id(number),
            origin,
            version: ProtocolVersion::NEWEST,
        });
        assert_eq!(actions, []);
    }

    fn local(&mut self, number: u32, message: Message) -> Vec<Action> {
        self.connect(number, Origin::Socket);
        self.say(number, message)
    }

    fn say(&mut self, number: u32, message: Message) -> Vec<Action> {
        self.event(Event::Message {
            id: id(number),
            message,
        })
    }

    fn scheduler_says(&mut self, message: Message) -> Vec<Action> {
        self.event(Event::Scheduler {
            generation: LINK,
            message,
        })
    }

    fn gone(&mut self, number: u32) -> Vec<Action> {
        self.event(Event::Gone {
            id: id(number),
            broken: None,
        })
    }
}

fn get_cs() -> Message {
    Message::GetCs(GetCs {
        count: 1,
        target: "x86_64".into(),
        filename: "/home/u/p/src/x.c".into(),
        ..GetCs::default()
    })
}

fn local_begin(full_job: bool) -> Message {
    Message::JobLocalBegin(JobLocalBegin {
        outfile: "/o".into(),
        full_job,
        ..JobLocalBegin::default()
    })
}

fn use_cs(job_id: u32, host: &str, client_id: u32) -> Message {
    Message::UseCs(UseCs {
        job_id,
        port: 10245,
        hostname: host.into(),
        host_platform: "x86_64".into(),
        client_id,
        ..UseCs::default()
    })
}

fn no_cs(job_id: u32, client_id: u32) -> Message {
    Message::NoCs(NoCs { job_id, client_id })
}

fn own_compile(job_id: u32) -> Message {
    Message::CompileFile(CompileFile {
        job_id,
        environment: OWN_COMPILE.into(),
        ..CompileFile::default()
    })
}

fn compile(job_id: u32) -> CompileFile {
    CompileFile {
        job_id,
        environment: "abc".into(),
        target: "x86_64".into(),
        compiler_name: "gcc".into(),
        ..CompileFile::default()
    }
}

fn done(job_id: u32, exitcode: i32, flags: u32) -> JobDone {
    JobDone {
        job_id,
        exitcode,
        flags,
        ..JobDone::default()
    }
}

/// What the scheduler is told, as `NAME(job, code, flags)` where there are such.
fn reports(actions: &[Action]) -> Vec<String> {
    actions
        .iter()
        .filter_map(|action| match action {
            Action::Report(Message::JobDone(done)) => Some(format!(
                "JOB_DONE({}, {}, {})",
                done.job_id, done.exitcode, done.flags
            )),
            Action::Report(Message::JobBegin(begin)) => {
                Some(format!("JOB_BEGIN({})", begin.job_id))
            }
            Action::Report(Message::JobLocalBegin(begin)) => {
                Some(format!("JOB_LOCAL_BEGIN({})", begin.id))
            }
            Action::Report(Message::JobLocalDone(done)) => {
                Some(format!("JOB_LOCAL_DONE({})", done.job_id))
            }
            Action::Report(other) => Some(other.name().to_owned()),
            _ => None,
        })
        .collect()
}

/// What clients are told.
fn sent(actions: &[Action]) -> Vec<(u32, &'static str)> {
    actions
        .iter()
        .filter_map(|action| match action {
            Action::Send(id, message) => Some((id.number(), message.name())),
            _ => None,
        })
        .collect()
}

fn closed(actions: &[Action]) -> bool {
    actions
        .iter()
        .any(|action| matches!(action, Action::Close(_) | Action::Abort(_)))
}

#[test]
fn login_says_all_and_the_load_follows_at_once() {
    let mut bench = Bench::new(3);
    let actions = bench.link_up(LINK);
    let [Action::Login(login), Action::Report(Message::Stats(_))] = actions.as_slice() else {
        panic!("{actions:?}");
    };
    assert_eq!((login.port, login.max_kids), (10245, 3));
    assert_eq!(login.host_platform, "x86_64");
    assert!(login.chroot_possible && !login.noremote);
    assert_eq!(login.supported_features, 3);
}

#[test]
fn a_changed_set_of_toolchains_is_announced_alone() {
    let mut bench = Bench::with_scheduler(1);
    let toolchain = super::vocabulary::InstalledToolchain {
        toolchain: super::vocabulary::Toolchain {
            platform: "x86_64".into(),
            name: "abc".into(),
        },
        size: 7,
    };
    let actions = bench.event(Event::Toolchains(vec![toolchain.clone()]));
    let [Action::Login(login)] = actions.as_slice() else {
        panic!("{actions:?}");
    };
    assert_eq!((login.port, login.max_kids), (0, 0));
    assert!(login.host_platform.is_empty());
    assert_eq!(
        login.environments,
        [Environment {
            platform: "x86_64".into(),
            name: "abc".into()
        }]
    );
    assert_eq!(bench.event(Event::Toolchains(vec![toolchain])), []);
}

#[test]
fn a_remote_job_of_ours() {
    let mut bench = Bench::with_scheduler(1);
    let actions = bench.local(1, get_cs());
    let [Action::Report(Message::GetCs(forwarded))] = actions.as_slice() else {
        panic!("{actions:?}");
    };
    assert_eq!((forwarded.client_id, forwarded.client_count), (1, 1));
    assert_eq!(forwarded.filename, "p/src/x.c");
    let actions = bench.scheduler_says(use_cs(5, "10.0.0.2", 1));
    assert_eq!(actions, [Action::Send(id(1), use_cs(5, "10.0.0.2", 1))]);
    let actions = bench.say(1, Message::End);
    assert_eq!(reports(&actions), [""; 0], "the worker reports");
    assert!(closed(&actions));
}

#[test]
fn a_remote_job_that_failed_is_reported_by_us() {
    let mut bench = Bench::with_scheduler(1);
    bench.local(1, get_cs());
    bench.scheduler_says(use_cs(5, "10.0.0.2", 1));
    assert_eq!(reports(&bench.gone(1)), ["JOB_DONE(5, 118, 1)"]);
}

#[test]
fn a_job_given_back_to_us_waits_for_its_slot() {
    for answer in [no_cs(5, 2), use_cs(5, "10.0.0.1", 2)] {
        let mut bench = Bench::with_scheduler(1);
        let actions = bench.local(1, local_begin(false));
        assert_eq!(sent(&actions), [(1, "JOB_LOCAL_BEGIN")]);
        assert_eq!(reports(&actions), ["JOB_LOCAL_BEGIN(1)"]);
        bench.local(2, get_cs());
        assert_eq!(bench.scheduler_says(answer), [], "the slot is taken");
        let actions = bench.gone(1);
        assert_eq!(reports(&actions), ["JOB_LOCAL_DONE(1)"]);
        let [
            Action::Close(_),
            Action::Report(_),
            Action::Send(_, Message::UseCs(use_cs)),
        ] = actions.as_slice()
        else {
            panic!("{actions:?}");
        };
        assert_eq!((use_cs.job_id, use_cs.port), (5, 10245));
        assert_eq!(use_cs.hostname, "127.0.0.1");
        assert!(use_cs.got_env);
        assert_eq!(reports(&bench.say(2, own_compile(5))), ["JOB_BEGIN(5)"]);
        let actions = bench.say(2, Message::JobDone(done(5, 0, 0)));
        assert_eq!(reports(&actions), ["JOB_DONE(5, 0, 1)"]);
        assert_eq!(bench.core.slots.used(), 0);
        let actions = bench.say(2, Message::End);
        assert_eq!(reports(&actions), [""; 0]);
    }
}

#[test]
fn without_a_scheduler_everything_happens_here_and_nothing_is_reported() {
    let mut bench = Bench::new(1);
    let actions = bench.local(9, get_cs());
    let [Action::Send(_, Message::UseCs(answer))] = actions.as_slice() else {
        panic!("{actions:?}");
    };
    assert_eq!(
        (answer.job_id, answer.host_platform.to_string()),
        (9, "x86_64".into())
    );
    assert_eq!(bench.say(9, own_compile(9)), []);
    bench.link_up(LINK);
    assert_eq!(
        bench.say(9, Message::JobDone(done(9, 0, 1))),
        [],
        "d35: the new scheduler's job 9 is another"
    );
}

#[test]
fn d3_losing_the_scheduler_ends_nobody() {
    let mut bench = Bench::with_scheduler(2);
    bench.local(1, get_cs());
    bench.local(2, get_cs());
    bench.scheduler_says(use_cs(5, "10.0.0.2", 2));
    bench.local(3, local_begin(false));
    let actions = bench.event(Event::LinkDown { generation: LINK });
    assert_eq!(sent(&actions), [(1, "USE_CS")], "waiting became local");
    assert!(!closed(&actions));
    assert_eq!(bench.core.client_count(), 3);
    bench.link_up(Generation(2));
    for client in [1, 2, 3] {
        assert_eq!(
            reports(&bench.gone(client)),
            [""; 0],
            "the new scheduler knows none of them"
        );
    }
    assert_eq!(bench.core.slots.used(), 0);
}

#[test]
fn an_answer_for_nobody_goes_back() {
    let mut bench = Bench::with_scheduler(1);
    let actions = bench.scheduler_says(use_cs(5, "10.0.0.2", 77));
    assert_eq!(reports(&actions), ["JOB_DONE(5, 107, 1)"]);
    bench.local(1, get_cs());
    assert_eq!(reports(&bench.gone(1)), ["JOB_DONE(1, 118, 3)"]);
    let actions = bench.scheduler_says(no_cs(6, 1));
    assert_eq!(reports(&actions), ["JOB_DONE(6, 107, 1)"]);
}

#[test]
fn t17_all_answers_of_a_repeated_job_arrive() {
    let mut bench = Bench::with_scheduler(2);
    let mut request = GetCs {
        count: 3,
        ..GetCs::default()
    };
    request.target = "x86_64".into();
    bench.local(1, Message::GetCs(request));
    let mut told = Vec::new();
    for answer in [no_cs(5, 1), use_cs(6, "10.0.0.2", 1), no_cs(7, 1)] {
        told.extend(sent(&bench.scheduler_says(answer)));
    }
    assert_eq!(told, [(1, "USE_CS"); 3]);
    assert_eq!(bench.core.slots.used(), 1);
    for job in [5, 7] {
        assert_eq!(
            reports(&bench.say(1, own_compile(job))),
            [format!("JOB_BEGIN({job})")]
        );
        let actions = bench.say(1, Message::JobDone(done(job, 0, 1)));
        assert_eq!(reports(&actions), [format!("JOB_DONE({job}, 0, 1)")]);
    }
    assert_eq!(bench.core.slots.used(), 0);
    assert_eq!(reports(&bench.gone(1)), ["JOB_DONE(6, 118, 1)"]);
}

#[test]
fn d6_violations_end_the_client_and_lose_no_slot() {
    let wrong: [(Message, Message); 6] = [
        (local_begin(false), local_begin(false)),
        (local_begin(false), get_cs()),
        (local_begin(false), own_compile(1)),
        (local_begin(false), Message::JobDone(done(1, 0, 1))),
        (get_cs(), Message::CompileFile(compile(4))),
        (get_cs(), get_cs()),
    ];
    for (first, second) in wrong {
        let mut bench = Bench::new(1);
        bench.local(1, first);
        let actions = bench.say(1, second);
        assert_eq!(sent(&actions), [(1, "END")], "{actions:?}");
        assert!(closed(&actions));
        assert_eq!(bench.core.slots.used(), 0);
        assert_eq!(bench.core.client_count(), 0);
    }
}

#[test]
fn the_network_may_not_use_our_slots() {
    let mut bench = Bench::new(1);
    bench.connect(1, Origin::Network([10, 0, 0, 9].into()));
    let actions = bench.say(1, local_begin(false));
    assert_eq!(sent(&actions), [(1, "END")]);
    assert!(closed(&actions));
}

fn foreign(bench: &mut Bench, number: u32, job: CompileFile) -> Vec<Action> {
    bench.connect(number, Origin::Network([10, 0, 0, 2].into()));
    bench.say(number, Message::CompileFile(job))
}

#[test]
fn a_job_of_another_machine() {
    let mut bench = Bench::with_scheduler(1);
    let actions = foreign(&mut bench, 1, compile(40));
    let [
        Action::Admit(_, request),
        Action::StartJob(_),
        Action::Report(_),
    ] = actions.as_slice()
    else {
        panic!("{actions:?}");
    };
    assert_eq!(request.command.language, "c");
    assert_eq!(reports(&actions), ["JOB_BEGIN(40)"]);
    let second = foreign(&mut bench, 2, compile(41));
    assert!(
        matches!(second.as_slice(), [Action::Admit(..)]),
        "{second:?}"
    );
    let report = JobReport {
        in_compressed: 10,
        ..JobReport::default()
    };
    let actions = bench.event(Event::JobOver { id: id(1), report });
    assert_eq!(reports(&actions), ["JOB_DONE(40, 0, 0)", "JOB_BEGIN(41)"]);
    assert_eq!(
        reports(&bench.gone(1)),
        [""; 0],
        "what it does now is nobody's business"
    );
    let report = JobReport {
        exit_code: exit_codes::CLIENT_GONE,
        ..JobReport::default()
    };
    let actions = bench.event(Event::JobOver { id: id(2), report });
    assert_eq!(reports(&actions), ["JOB_DONE(41, 107, 0)"]);
    assert_eq!(bench.core.slots.used(), 0);
}

#[test]
fn d32_a_submitter_that_leaves_the_queue_is_noticed() {
    let mut bench = Bench::with_scheduler(1);
    foreign(&mut bench, 1, compile(40));
    foreign(&mut bench, 2, compile(41));
    assert_eq!(reports(&bench.gone(2)), ["JOB_DONE(41, 118, 0)"]);
}

#[test]
fn a_running_job_whose_task_ends_without_a_word_is_reported() {
    let mut bench = Bench::with_scheduler(1);
    foreign(&mut bench, 1, compile(40));
    assert_eq!(reports(&bench.gone(1)), ["JOB_DONE(40, 118, 0)"]);
    assert_eq!(bench.core.slots.used(), 0);
    let report = JobReport::default();
    assert_eq!(
        bench.event(Event::JobOver { id: id(1), report }),
        [],
        "once is enough"
    );
}

#[test]
fn the_number_of_answers_is_at_least_one_and_bounded() {
    for (asked, forwarded) in [(0, 1), (3, 3), (u32::MAX, 16)] {
        let mut bench = Bench::with_scheduler(1);
        let request = GetCs {
            count: asked,
            ..GetCs::default()
        };
        let actions = bench.local(1, Message::GetCs(request));
        let [Action::Report(Message::GetCs(request))] = actions.as_slice() else {
            panic!("{actions:?}");
        };
        assert_eq!(request.count, forwarded);
        let actions = bench.scheduler_says(use_cs(5, "10.0.0.2", 1));
        assert_eq!(sent(&actions), [(1, "USE_CS")]);
    }
}

#[test]
fn a_job_beyond_the_longest_queue_goes_back_at_once() {
    let mut bench = Bench::with_scheduler(1);
    for number in 1..=17 {
        let actions = foreign(&mut bench, number, compile(number));
        assert!(
            matches!(actions.first(), Some(Action::Admit(..))),
            "{actions:?}"
        );
        assert_eq!(actions.len(), if number == 1 { 3 } else { 1 });
    }
    let actions = foreign(&mut bench, 18, compile(18));
    assert!(
        matches!(
            actions.as_slice(),
            [Action::Admit(..), Action::HandBack(client, _)] if *client == id(18)
        ),
        "{actions:?}"
    );
    let report = JobReport {
        exit_code: exit_codes::OUT_OF_MEMORY,
        ..JobReport::default()
    };
    let actions = bench.event(Event::JobOver { id: id(18), report });
    assert_eq!(reports(&actions), ["JOB_DONE(18, 105, 0)"]);
    bench.gone(17);
    let actions = foreign(&mut bench, 19, compile(19));
    assert_eq!(actions.len(), 1, "there is room again: {actions:?}");
}

#[test]
fn one_machine_does_not_take_all_places() {
    let mut bench = Bench::with_scheduler(1);
    bench.core.settings.peer_jobs = None;
    let handed_back = |actions: &[Action]| {
        actions
            .iter()
            .any(|action| matches!(action, Action::HandBack(..)))
    };
    // A slot and sixteen places to wait: three quarters are twelve.
    for number in 1..=12 {
        assert!(!handed_back(&foreign(&mut bench, number, compile(number))));
    }
    assert!(handed_back(&foreign(&mut bench, 13, compile(13))));
    bench.connect(20, Origin::Network([10, 0, 0, 77].into()));
    assert!(
        !handed_back(&bench.say(20, Message::CompileFile(compile(20)))),
        "another machine"
    );
    bench.connect(21, Origin::Loopback);
    assert!(
        !handed_back(&bench.say(21, Message::CompileFile(compile(21)))),
        "this machine"
    );
    bench.gone(12);
    assert!(!handed_back(&foreign(&mut bench, 22, compile(22))));
}

#[test]
fn one_machine_sends_few_toolchains_at_once() {
    let mut bench = Bench::with_scheduler(1);
    let transfer = || {
        Message::TransferEnv(TransferEnv {
            name: "tc".into(),
            target: "x86_64".into(),
        })
    };
    let taken = |actions: &[Action]| matches!(actions, [Action::Receive(..)]);
    for number in 1..=2 {
        bench.connect(number, Origin::Network([10, 0, 0, 2].into()));
        assert!(taken(&bench.say(number, transfer())));
    }
    bench.connect(3, Origin::Network([10, 0, 0, 2].into()));
    assert!(!taken(&bench.say(3, transfer())));
    bench.connect(4, Origin::Network([10, 0, 0, 77].into()));
    assert!(taken(&bench.say(4, transfer())), "another machine");
    bench.event(Event::Received {
        id: id(1),
        result: Ok(()),
        toolchains: Vec::new(),
    });
    bench.connect(5, Origin::Network([10, 0, 0, 2].into()));
    assert!(taken(&bench.say(5, transfer())));
}

#[test]
fn d30_a_job_that_waits_too_long_goes_back() {
    let mut bench = Bench::with_scheduler(1);
    foreign(&mut bench, 1, compile(40));
    foreign(&mut bench, 2, compile(41));
    let deadline = bench.core.deadline().expect("somebody waits");
    assert_eq!(deadline, bench.now.instant + LONGEST_QUEUE);
    bench.now.instant = deadline;
    let actions = bench.event(Event::Deadline);
    assert!(
        matches!(actions.as_slice(), [Action::HandBack(client, _)] if *client == id(2)),
        "{actions:?}"
    );
    assert_eq!(bench.core.deadline(), None, "once is enough");
    assert_eq!(bench.event(Event::Deadline), []);
}

#[test]
fn t27_names_that_are_no_names_are_refused() {
    let spoilt: [fn(&mut CompileFile); 7] = [
        |job| job.environment = "..".into(),
        |job| job.environment = "a/b".into(),
        |job| job.environment = "".into(),
        |job| job.target = "../x".into(),
        |job| job.compiler_name = "../../bin/sh".into(),
        |job| job.compiler_name = "".into(),
        |job| job.language = 4,
    ];
    for spoil in spoilt {
        let mut bench = Bench::with_scheduler(1);
        let mut job = compile(40);
        spoil(&mut job);
        let actions = foreign(&mut bench, 1, job);
        assert_eq!(sent(&actions), [(1, "STATUS_TEXT")], "{actions:?}");
        assert_eq!(reports(&actions), ["JOB_DONE(40, 110, 0)"]);
        assert!(closed(&actions));
    }
    let mut bench = Bench::with_scheduler(1);
    bench.connect(1, Origin::Network([10, 0, 0, 2].into()));
    let transfer = TransferEnv {
        name: "abc".into(),
        target: "../../etc".into(),
    };
    let actions = bench.say(1, Message::TransferEnv(transfer));
    assert_eq!(sent(&actions), [(1, "STATUS_TEXT")]);
}

#[test]
fn t7_a_failed_transfer_is_announced_too() {
    let mut bench = Bench::with_scheduler(1);
    bench.connect(1, Origin::Network([10, 0, 0, 2].into()));
    let transfer = TransferEnv {
        name: "abc".into(),
        target: "".into(),
    };
    let actions = bench.say(1, Message::TransferEnv(transfer));
    let [Action::Receive(_, toolchain)] = actions.as_slice() else {
        panic!("{actions:?}");
    };
    assert_eq!(toolchain.to_string(), "x86_64/abc");
    let actions = bench.event(Event::Received {
        id: id(1),
        result: Err("cut".into()),
        toolchains: Vec::new(),
    });
    assert!(
        matches!(actions.as_slice(), [Action::Login(_)]),
        "{actions:?}"
    );
    let verify = VerifyEnv {
        environment: "abc".into(),
        target: "x86_64".into(),
    };
    let actions = bench.say(1, Message::VerifyEnv(verify));
    assert!(
        matches!(actions.as_slice(), [Action::Verify(..)]),
        "{actions:?}"
    );
    assert_eq!(bench.event(Event::Verified { id: id(1) }), []);
    let actions = bench.say(1, Message::CompileFile(compile(40)));
    assert_eq!(reports(&actions), ["JOB_BEGIN(40)"]);
}

#[test]
fn stopping_hands_waiting_jobs_back_and_lets_running_ones_finish() {
    let mut bench = Bench::with_scheduler(1);
    foreign(&mut bench, 1, compile(40));
    foreign(&mut bench, 2, compile(41));
    bench.local(3, get_cs());
    let actions = bench.event(Event::Drain);
    assert!(actions.iter().any(
        |action| matches!(action, Action::Report(Message::Stats(stats)) if stats.load == 1000)
    ));
    assert!(actions.contains(&Action::Close(id(3))));
    let handed_back = |actions: &[Action]| -> Vec<u32> {
        actions
            .iter()
            .filter_map(|action| match action {
                Action::HandBack(id, _) => Some(id.number()),
                _ => None,
            })
            .collect()
    };
    assert_eq!(handed_back(&actions), [2]);
    assert_eq!(bench.core.foreign_clients(), 2);
    let actions = bench.event(Event::HandBackAll);
    assert_eq!(handed_back(&actions), [1]);
    let report = JobReport {
        exit_code: exit_codes::OUT_OF_MEMORY,
        ..JobReport::default()
    };
    let actions = bench.event(Event::JobOver { id: id(1), report });
    assert_eq!(reports(&actions), ["JOB_DONE(40, 105, 0)"]);
    bench.gone(1);
    bench.gone(2);
    assert_eq!(bench.core.foreign_clients(), 0);
}

#[test]
fn internals_have_icecreams_shape() {
    let mut bench = Bench::with_scheduler(2);
    bench.core.set_node_name("nodeC".into());
    bench.local(1, local_begin(true));
    bench.local(2, get_cs());
    let actions = bench.scheduler_says(Message::GetInternals);
    let [Action::Report(Message::StatusText(status))] = actions.as_slice() else {
        panic!("{actions:?}");
    };
    let text = status.text.to_string();
    assert!(
        text.starts_with("Node Name: nodeC\n  Remote name: 10.0.0.1\n"),
        "{text}"
    );
    assert!(
        text.contains("= clientwork local unix domain socket: (B eof: 0) ClientID: 1 /o (full)"),
        "{text}"
    );
    assert!(
        text.contains("= waitforcs local unix domain socket: (B eof: 0) ClientID: 2\n"),
        "{text}"
    );
    assert!(text.contains("\n  Current kids: 0 (max: 2)\n"), "{text}");
    assert!(text.contains("\n  Scheduler protocol: 44\n"), "{text}");
}

#[test]
fn an_odd_message_from_the_scheduler_ends_the_link_and_only_that() {
    let mut bench = Bench::with_scheduler(1);
    bench.local(1, get_cs());
    let actions = bench.scheduler_says(Message::End);
    assert!(
        matches!(actions.as_slice(), [Action::DropLink(_)]),
        "{actions:?}"
    );
    assert_eq!(bench.core.client_count(), 1);
}
