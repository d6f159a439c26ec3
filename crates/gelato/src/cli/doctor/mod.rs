//! `gelato doctor`: looks at this machine and its place in the cluster, and says what is wrong and what to do.
//!
//! [`facts`] finds out, within two seconds; each of the other modules judges one thing by the facts and touches nothing
//! but, where it says so, files of this machine.

mod clock;
mod daemon;
mod disk;
pub(crate) mod facts;
mod finding;
mod masquerade;
mod mode;
mod namespaces;
mod port;
mod sandbox;
mod scheduler;
mod toolchains;
mod workers;

use std::process::ExitCode;

use serde_json::json;

use super::operate::Place;
use facts::Facts;
use finding::{Finding, State};

/// Options of `gelato doctor`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

/// A check.
type Check = fn(&Facts) -> Vec<Finding>;

/// All checks, in the order in which a person would look.
const CHECKS: &[Check] = &[
    daemon::check,
    scheduler::check,
    port::check,
    mode::check,
    sandbox::check,
    namespaces::check,
    disk::check,
    toolchains::check,
    masquerade::check,
    workers::check,
    clock::check,
];

/// Status 2: nothing could be looked at.
const COULD_NOT_CHECK: u8 = 2;

/// Status 0 if all is well, 1 if there are problems.
pub(crate) fn run(args: &Args) -> ExitCode {
    let facts = match Facts::gather(args.place.socket.as_ref()) {
        Ok(facts) => facts,
        Err(error) => {
            eprintln!("gelato doctor: {error:#}");
            return ExitCode::from(COULD_NOT_CHECK);
        }
    };
    let findings: Vec<Finding> = CHECKS.iter().flat_map(|check| check(&facts)).collect();
    let problems = findings
        .iter()
        .filter(|finding| finding.state == State::Problem)
        .count();
    if args.json {
        let list: Vec<_> = findings.iter().map(Finding::json).collect();
        println!("{:#}", json!({ "problems": problems, "findings": list }));
    } else {
        for line in findings.iter().flat_map(Finding::lines) {
            println!("{line}");
        }
        println!("{}", summary(&findings, problems));
    }
    if problems == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn summary(findings: &[Finding], problems: usize) -> String {
    let notes = findings
        .iter()
        .filter(|finding| finding.state == State::Note)
        .count();
    let plural = |number: usize, thing: &str| {
        super::status::words::count(u64::try_from(number).unwrap_or(u64::MAX), thing)
    };
    match (problems, notes) {
        (0, 0) => "All is well.".to_owned(),
        (0, notes) => format!("No problems, {}.", plural(notes, "note")),
        (problems, notes) => format!(
            "{}, {}.",
            plural(problems, "problem"),
            plural(notes, "note")
        ),
    }
}
