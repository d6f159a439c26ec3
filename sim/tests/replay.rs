//! A trace of a real scheduler, two workers and a submitter, which built 24 files.

use std::process::Command;

use gelato_scheduler_core::Algorithm;
use gelato_scheduler_core::trace::Trace;
use gelato_sim::replay::play;
use gelato_sim::world::run_knowing;

const BUILD: &[u8] = include_bytes!("data/build.trace");

#[test]
fn a_recorded_build_can_be_played_with_every_algorithm() {
    let replay = play(Trace::open(BUILD).unwrap()).unwrap();
    assert_eq!(replay.decisions, 24);
    let scenario = replay.scenario;
    assert_eq!(scenario.hosts.len(), 3);
    assert_eq!(scenario.builds.len(), 1);
    assert_eq!(scenario.builds[0].jobs.len(), 24);
    assert!((2..=5).contains(&scenario.builds[0].parallel));
    for algorithm in Algorithm::ALL {
        let outcome = run_knowing(&scenario, algorithm, replay.past.clone());
        assert_eq!(outcome.violations, [""; 0], "{}", algorithm.name());
        assert_eq!(outcome.begun, 24);
    }
}

#[test]
fn a_decision_that_is_not_repeated_is_found() {
    let text = String::from_utf8(BUILD.to_vec()).unwrap();
    let other = text.replacen("\"d\":[[1,", "\"d\":[[1,7", 1);
    assert_ne!(text, other);
    let difference = play(Trace::open(other.as_bytes()).unwrap())
        .unwrap()
        .difference
        .unwrap();
    assert_eq!(difference.recorded[0].0, 1);
    assert_ne!(difference.recorded, difference.replayed);
}

#[test]
fn the_command_says_what_is_wrong_with_a_file() {
    let replay = |path: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_gelato-sim"))
            .args(["--replay", path])
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&text).into_owned(),
        )
    };
    let here = env!("CARGO_MANIFEST_DIR");
    let (good, text) = replay(&format!("{here}/tests/data/build.trace"));
    assert!(
        good && text.contains("24 jobs that ended, 1 builds, 3 machines"),
        "{text}"
    );
    let (good, text) = replay(&format!("{here}/Cargo.toml"));
    assert!(
        !good && text.contains("this is not a trace of Gelato's scheduler"),
        "{text}"
    );
    let (good, text) = replay("/no/such/trace");
    assert!(!good && text.contains("/no/such/trace"), "{text}");
}
