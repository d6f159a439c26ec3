//! A scheduler that did not give out what runs.

use serde_json::{Value, json};

use super::*;

const NEXT: Generation = Generation(2);

fn configured(bench: &mut Bench, generation: Generation, banner: &str) -> Vec<Action> {
    let message = Message::CsConf(CsConf {
        max_scheduler_pong: 3,
        max_scheduler_ping: 36,
        bench_source: banner.into(),
    });
    bench.event(Event::Scheduler {
        generation,
        message,
    })
}

/// Notes that are not about the machine.
fn notes(actions: &[Action]) -> Vec<Value> {
    actions
        .iter()
        .filter_map(|action| match action {
            Action::Report(Message::NodeNote(note)) => {
                serde_json::from_slice::<Value>(note.text.as_bytes()).ok()
            }
            _ => None,
        })
        .filter(|note| note.get("version").is_none())
        .collect()
}

/// A job of another machine, a job elsewhere, one here and a link, all of a scheduler that is gone.
fn busy() -> Bench {
    let mut bench = Bench::with_scheduler(4);
    bench.connect(1, Origin::Network([10, 0, 0, 9].into()));
    let job = CompileFile {
        input_file: "src/x.cpp".into(),
        language: 1,
        ..compile(40)
    };
    bench.say(1, Message::CompileFile(job));
    bench.local(2, get_cs());
    bench.scheduler_says(use_cs(41, "10.0.0.7", 2));
    bench.local(3, get_cs());
    bench.scheduler_says(no_cs(42, 3));
    bench.say(3, own_compile(42));
    bench.local(4, local_begin(true));
    bench.event(Event::LinkDown { generation: LINK });
    bench
}

#[test]
fn it_is_told_what_runs_before_it_hears_of_the_load() {
    let mut bench = busy();
    let actions = bench.link_up(NEXT);
    assert!(
        matches!(&actions[..], [Action::Login(_)]),
        "no load yet: {actions:?}"
    );
    let actions = configured(&mut bench, NEXT, "gelato/2");
    let running = json!({
        "running": [{"job": 40, "client": "10.0.0.9", "file": "src/x.cpp", "language": 1, "since_ms": 0}],
        "away": [{"job": 41, "host": "10.0.0.7"}],
    });
    assert_eq!(notes(&actions), [running]);
    let told = reports(&actions);
    assert_eq!(
        told,
        ["NODE_NOTE", "JOB_LOCAL_BEGIN(3)", "NODE_NOTE", "STATS"]
    );
    // Once.
    assert_eq!(notes(&configured(&mut bench, NEXT, "gelato/2")).len(), 0);
}

#[test]
fn ends_are_told_as_they_were_begun() {
    let mut bench = busy();
    bench.link_up(NEXT);
    configured(&mut bench, NEXT, "gelato/2");
    let report = JobReport {
        exit_code: 1,
        user: std::time::Duration::from_millis(70),
        ..JobReport::default()
    };
    let actions = bench.event(Event::JobOver { id: id(1), report });
    let [note] = &notes(&actions)[..] else {
        panic!("{actions:?}");
    };
    assert_eq!(note["ended"][0]["job"], 40);
    assert_eq!(note["ended"][0]["exit"], 1);
    assert_eq!(note["ended"][0]["user_ms"], 70);
    assert_eq!(reports(&actions), ["NODE_NOTE"]);
    assert_eq!(reports(&bench.gone(1)), [] as [&str; 0]);
    let report = done(42, 0, 1);
    assert_eq!(
        reports(&bench.say(3, Message::JobDone(report))),
        ["JOB_LOCAL_DONE(3)", "JOB_LOCAL_BEGIN(4)"],
        "and the link has its slots"
    );
    assert_eq!(reports(&bench.gone(3)), [] as [&str; 0]);
    assert_eq!(reports(&bench.gone(2)), [] as [&str; 0], "its worker tells");
}

#[test]
fn a_vanished_submitter_is_told_of_and_a_third_scheduler_is_told_again() {
    let mut bench = busy();
    bench.link_up(NEXT);
    configured(&mut bench, NEXT, "gelato/2");
    bench.event(Event::LinkDown { generation: NEXT });
    bench.link_up(Generation(3));
    let actions = configured(&mut bench, Generation(3), "gelato/3");
    assert_eq!(notes(&actions)[0]["running"][0]["job"], 40);
    let actions = bench.gone(1);
    assert_eq!(
        notes(&actions)[0]["ended"][0]["exit"],
        exit_codes::CLIENT_VANISHED
    );
}

#[test]
fn icecreams_scheduler_hears_of_what_takes_slots_in_its_own_words() {
    let mut bench = busy();
    bench.link_up(NEXT);
    let actions = configured(&mut bench, NEXT, "");
    assert_eq!(notes(&actions).len(), 0);
    assert_eq!(reports(&actions), ["JOB_LOCAL_BEGIN(3)", "STATS"]);
    let report = JobReport::default();
    let actions = bench.event(Event::JobOver { id: id(1), report });
    assert_eq!(reports(&actions), [] as [&str; 0]);
}

#[test]
fn an_idle_daemon_tells_its_load_at_once() {
    let mut bench = Bench::with_scheduler(1);
    bench.event(Event::LinkDown { generation: LINK });
    assert_eq!(reports(&bench.link_up(NEXT)), ["STATS"]);
    assert_eq!(notes(&configured(&mut bench, NEXT, "gelato/2")).len(), 0);
}
