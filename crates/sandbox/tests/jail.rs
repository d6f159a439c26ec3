//! Real jobs in real jails, in every situation a daemon can be in.
//!
//! The executable is its own jail step (`__jail`) and its own daemon: each trial starts it anew as `__trial`, which gives up
//! root as the situation says and runs one test function. So the trials need neither each other nor a thread-free harness.
//! Root is needed to get into all situations; an ordinary user gets the one it is in, and the others say that they were skipped.

#[path = "jail/bench.rs"]
mod bench;
#[path = "jail/cases.rs"]
mod cases;
#[path = "jail/ends.rs"]
mod ends;
#[path = "jail/fixture.rs"]
mod fixture;
#[path = "jail/hostile.rs"]
mod hostile;
#[path = "jail/inside.rs"]
mod inside;
#[path = "jail/many.rs"]
mod many;

use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use gelato_sandbox::identity;
use libtest_mimic::{Arguments, Failed, Trial};

use fixture::{Fixture, Folder, Situation};

fn main() -> ExitCode {
    let args: Vec<OsString> = env::args_os().collect();
    match args
        .iter()
        .map(|arg| arg.to_str().unwrap_or_default())
        .collect::<Vec<_>>()
        .as_slice()
    {
        [_, "__jail", ..] => gelato_sandbox::jail_main(),
        [_, "__trial", situation, folder, name] => trial(situation, Path::new(folder), name),
        [_, "__daemon", situation, folder] => ends::be_a_daemon(&Fixture::enter(
            Situation::named(situation),
            Path::new(folder),
        )),
        [_, "__inside", name] => inside::main(name),
        [_, "__bench"] => bench::run_all(),
        [_, "__bench", situation, folder] => bench::run_one(&Fixture::enter(
            Situation::named(situation),
            Path::new(folder),
        )),
        _ => libtest_mimic::run(&Arguments::from_args(), trials()).exit_code(),
    }
}

fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for situation in Situation::ALL {
        for (name, applies, _) in cases::CASES.iter().chain(hostile::CASES) {
            if applies(situation) {
                trials.push(Trial::test(
                    format!("{}::{name}", situation.name()),
                    move || in_child(situation, name),
                ));
            }
        }
    }
    trials
}

/// The harness's side: a folder, a child, its verdict, and a look at what is left behind.
fn in_child(situation: Situation, name: &str) -> Result<(), Failed> {
    if !situation.reachable(identity::is_root()) {
        eprintln!(
            "skipped: the situation {} can only be made by root",
            situation.name()
        );
        return Ok(());
    }
    let folder = Folder::make(situation);
    let child = Command::new("/proc/self/exe")
        .args(["__trial", situation.name()])
        .arg(folder.path())
        .arg(name)
        .stdin(Stdio::null())
        .output()?;
    folder.assert_no_mounts();
    // For those who ask with --nocapture.
    print!("{}", String::from_utf8_lossy(&child.stdout));
    if child.status.success() {
        return Ok(());
    }
    Err(format!(
        "{}: {}",
        child.status,
        String::from_utf8_lossy(&child.stderr)
    )
    .into())
}

/// The child's side.
fn trial(situation: &str, folder: &Path, name: &str) -> ExitCode {
    let fixture = Fixture::enter(Situation::named(situation), folder);
    let (_, _, case) = cases::CASES
        .iter()
        .chain(hostile::CASES)
        .find(|(case, ..)| *case == name)
        .expect("trials are made from this table");
    case(&fixture);
    ExitCode::SUCCESS
}
