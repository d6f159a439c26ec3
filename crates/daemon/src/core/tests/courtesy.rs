//! What is offered to others, seen from the core: pauses, memory, slots.

use super::*;
use crate::core::LONGEST_QUEUE_LOADED;
use crate::courtesy::{MemoryLook, Mode};
use crate::load::{Memory, Readings};

const MIB: u64 = 1 << 20;

fn handed_back(actions: &[Action]) -> Vec<u32> {
    let ids = actions.iter().filter_map(|action| match action {
        Action::HandBack(id, _) => Some(id.number()),
        _ => None,
    });
    ids.collect()
}

fn started(actions: &[Action]) -> Vec<u32> {
    let ids = actions.iter().filter_map(|action| match action {
        Action::StartJob(id) => Some(id.number()),
        _ => None,
    });
    ids.collect()
}

fn load(actions: &[Action]) -> Option<u32> {
    actions.iter().find_map(|action| match action {
        Action::Report(Message::Stats(stats)) => Some(stats.load),
        _ => None,
    })
}

/// A look at a machine of 4 GiB on which jobs take these megabytes.
fn look(bench: &mut Bench, jobs: &[(u32, u64)]) -> Vec<Action> {
    let taken: u64 = jobs.iter().map(|(_, megabytes)| megabytes * MIB).sum();
    bench.event(Event::Look(MemoryLook {
        memory: Some(Memory {
            available: (4000 * MIB).saturating_sub(taken),
            total: 4096 * MIB,
        }),
        jobs: jobs
            .iter()
            .map(|&(number, megabytes)| (id(number), megabytes * MIB))
            .collect(),
    }))
}

fn over(bench: &mut Bench, number: u32, exit_code: i32, megabytes: u64) -> Vec<Action> {
    let report = JobReport {
        exit_code,
        peak_memory: megabytes * MIB,
        ..JobReport::default()
    };
    let id = id(number);
    bench.event(Event::JobOver { id, report })
}

#[test]
fn a_pause_refuses_others_and_nothing_else() {
    let mut bench = Bench::with_scheduler(1);
    assert_eq!(started(&foreign(&mut bench, 1, compile(40))), [1]);
    foreign(&mut bench, 2, compile(41));
    let pause = Mode::paused(Some(2000), "exam");
    let actions = bench.event(Event::Operate(pause.clone()));
    assert_eq!(handed_back(&actions), [2], "the running one goes on");
    assert_eq!(load(&actions), Some(1000));
    assert!(actions.contains(&Action::KeepMode(pause)));
    assert_eq!(handed_back(&foreign(&mut bench, 3, compile(42))), [3]);
    over(&mut bench, 1, 0, 10);
    let actions = bench.local(4, local_begin(false));
    assert_eq!(sent(&actions), [(4, "JOB_LOCAL_BEGIN")], "own work goes on");
    bench.gone(4);
    bench.now.unix = 2000;
    let actions = bench.event(Event::Sample(Readings::default()));
    assert!(actions.contains(&Action::KeepMode(Mode::Running)));
    assert_eq!(load(&actions), Some(0));
    assert_eq!(started(&foreign(&mut bench, 5, compile(43))), [5]);
}

#[test]
fn a_drained_machine_takes_no_toolchains_until_resumed() {
    let mut bench = Bench::with_scheduler(1);
    bench.event(Event::Operate(Mode::Draining));
    let transfer = || {
        Message::TransferEnv(TransferEnv {
            name: "tc".into(),
            target: "x86_64".into(),
        })
    };
    assert_eq!(
        sent(&foreign_says(&mut bench, 1, transfer())),
        [(1, "STATUS_TEXT")]
    );
    bench.event(Event::Operate(Mode::Running));
    let actions = foreign_says(&mut bench, 2, transfer());
    assert!(matches!(actions.as_slice(), [Action::Receive(..)]));
}

fn foreign_says(bench: &mut Bench, number: u32, message: Message) -> Vec<Action> {
    bench.connect(number, Origin::Network([10, 0, 0, 2].into()));
    bench.say(number, message)
}

#[test]
fn ten_large_jobs_run_as_many_at_a_time_as_fit() {
    let mut bench = Bench::with_scheduler(10);
    look(&mut bench, &[]);
    let mut running: Vec<u32> = Vec::new();
    for number in 1..=10 {
        running.extend(started(&foreign(&mut bench, number, compile(number))));
    }
    assert_eq!(running, [1], "nobody knows what they take");
    assert!(started(&look(&mut bench, &[(1, 1500)])).is_empty());
    let (mut finished, mut most) = (0, 0);
    while let Some(number) = running.pop() {
        let actions = over(&mut bench, number, 0, 1500);
        finished += 1;
        let asks = actions.contains(&Action::Look);
        assert_eq!(asks, finished + running.len() < 10, "as long as one waits");
        running.extend(started(&actions));
        let taken: Vec<(u32, u64)> = running.iter().map(|number| (*number, 1500)).collect();
        let actions = look(&mut bench, &taken);
        assert!(handed_back(&actions).is_empty());
        running.extend(started(&actions));
        most = most.max(running.len());
    }
    assert_eq!((finished, most), (10, 2));
}

#[test]
fn when_memory_runs_out_the_newest_job_goes_back() {
    let mut bench = Bench::with_scheduler(2);
    for number in 1..=2 {
        assert_eq!(
            started(&foreign(&mut bench, number, compile(number))).len(),
            1
        );
        bench.now.instant += std::time::Duration::from_secs(1);
    }
    foreign(&mut bench, 3, compile(3));
    let actions = look(&mut bench, &[(1, 1900), (2, 2000)]);
    assert_eq!(handed_back(&actions), [2]);
    assert_eq!(load(&actions), Some(1000), "and no other is taken");
    assert!(started(&actions).is_empty());
    let actions = over(&mut bench, 2, exit_codes::OUT_OF_MEMORY, 2000);
    assert!(
        started(&actions).is_empty(),
        "it is not known yet what is free"
    );
    look(&mut bench, &[(1, 1900)]);
    assert_eq!(started(&over(&mut bench, 1, 0, 1900)), [3]);
}

#[test]
fn a_job_that_waits_for_memory_is_given_the_time_of_a_loaded_machine() {
    let mut bench = Bench::with_scheduler(2);
    foreign(&mut bench, 1, compile(1));
    bench.now.instant += LONGEST_QUEUE / 2;
    // A quarter of the reserve is left.
    look(&mut bench, &[(1, 3900)]);
    foreign(&mut bench, 2, compile(2));
    let deadline = bench.core.deadline().expect("one waits");
    assert_eq!(deadline, bench.now.instant + LONGEST_QUEUE_LOADED);
    bench.now.instant = deadline;
    assert_eq!(handed_back(&bench.event(Event::Deadline)), [2]);
}

#[test]
fn the_scheduler_hears_of_another_number_of_slots() {
    let mut bench = Bench::with_scheduler(8);
    for number in 1..=4 {
        foreign(&mut bench, number, compile(number));
        over(&mut bench, number, 0, 1500);
    }
    look(&mut bench, &[]);
    let mut logins = Vec::new();
    for _ in 0..10 {
        bench.now.instant += std::time::Duration::from_secs(3);
        let actions = bench.event(Event::Sample(Readings::default()));
        logins.extend(actions.into_iter().filter_map(|action| match action {
            Action::Login(login) => Some((login.max_kids, login.host_platform.to_string())),
            _ => None,
        }));
    }
    assert_eq!(logins, [(2, "x86_64".to_owned())], "once, and completely");
    bench.event(Event::LinkDown { generation: LINK });
    let again = bench.link_up(Generation(2));
    assert!(
        again
            .iter()
            .any(|action| matches!(action, Action::Login(login) if login.max_kids == 2))
    );
}
