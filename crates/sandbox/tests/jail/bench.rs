//! Cost of a jail: `cargo test -p gelato-sandbox --release --test jail -- __bench`.

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use gelato_sandbox::{Exit, identity};

use super::fixture::{Fixture, Folder, Situation, run, start};

const ROUNDS: usize = 200;

/// Prints a table of medians: from `spawn` to the end of `/usr/bin/true`, and of the part until `spawn` returned.
pub(crate) fn run_all() -> ExitCode {
    println!(
        "{:<16} {:>12} {:>12} {:>12}",
        "situation", "spawn ms", "whole ms", "p95 ms"
    );
    print("no sandbox", || {
        let begin = Instant::now();
        let mut child = Command::new("/usr/bin/true").spawn().expect("child");
        let spawned = begin.elapsed();
        assert!(child.wait().expect("status").success());
        (spawned, begin.elapsed())
    });
    for situation in Situation::ALL {
        if !situation.reachable(identity::is_root()) {
            println!("{:<16} needs root", situation.name());
            continue;
        }
        let folder = Folder::make(situation);
        let _ = Command::new("/proc/self/exe")
            .args(["__bench", situation.name()])
            .arg(folder.path())
            .status();
    }
    ExitCode::SUCCESS
}

/// One line of the table.
pub(crate) fn run_one(fixture: &Fixture) -> ExitCode {
    let spec = fixture.spec("/usr/bin/true", &[]);
    run(&spec);
    print(fixture.situation.name(), || {
        let begin = Instant::now();
        let job = start(&spec).expect("job");
        let spawned = begin.elapsed();
        assert_eq!(job.wait().expect("outcome").exit, Exit::Code(0));
        (spawned, begin.elapsed())
    });
    ExitCode::SUCCESS
}

fn print(name: &str, round: impl FnMut() -> (Duration, Duration)) {
    let (mut spawned, mut whole): (Vec<_>, Vec<_>) =
        std::iter::repeat_with(round).take(ROUNDS).unzip();
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    let at = |times: &mut Vec<Duration>, percent: usize| {
        times.sort();
        ms(times[times.len() * percent / 100])
    };
    println!(
        "{name:<16} {:>12.2} {:>12.2} {:>12.2}",
        at(&mut spawned, 50),
        at(&mut whole, 50),
        at(&mut whole, 95)
    );
}
