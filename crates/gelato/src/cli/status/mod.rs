//! `gelato status`: what the daemon of this machine is and does.

pub(crate) mod render;
pub(crate) mod words;

use std::path::PathBuf;
use std::process::ExitCode;

use gelato_monitor::verdict::BuildVerdict;
use serde_json::{Value, json};

use super::ask::{self, Daemon};
use super::operate::Place;
use super::records;
use crate::build::aftermath;

/// Options of `gelato status`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

/// Status 0 if Gelato's daemon answered, 1 otherwise.
pub(crate) fn run(args: &Args) -> ExitCode {
    let daemon = ask::ask(args.place.socket.as_ref(), &json!({ "ask": "status" }));
    if let Daemon::Gelato { answer, .. } = &daemon
        && ask::refusal(answer).is_none()
    {
        let last = last_build(args.place.socket.as_ref());
        if args.json {
            let mut answer = answer.clone();
            if let Some((build, verdict)) = last {
                answer["build"] = build;
                answer["build"]["verdict"] = json!(verdict);
            }
            println!("{answer:#}");
        } else {
            let mut lines = render::status(answer);
            if let Some((build, verdict)) = last {
                let now = answer["now"].as_u64().unwrap_or(0).saturating_mul(1000);
                lines.extend(render::build(&build, verdict.as_ref(), now));
            }
            for line in lines {
                println!("{line}");
            }
        }
        return ExitCode::SUCCESS;
    }
    let text = match &daemon {
        Daemon::Gelato { answer, .. } => ask::refusal(answer).map(str::to_owned),
        other => other.complaint(),
    }
    .unwrap_or_default();
    if args.json {
        let kind = match &daemon {
            Daemon::Gelato { .. } => "refused",
            Daemon::Other { .. } => "other-daemon",
            Daemon::Mute { .. } => "no-answer",
            Daemon::Absent { .. } => "no-daemon",
        };
        println!("{:#}", json!({ "error": { "code": kind, "text": text } }));
    } else {
        for line in format!("gelato status: {text}").lines() {
            let indent = if line.starts_with(' ') { "  " } else { "" };
            for line in words::hang(indent, line) {
                eprintln!("{line}");
            }
        }
        if let Daemon::Other { .. } = &daemon {
            for line in told() {
                println!("{line}");
            }
        }
    }
    ExitCode::FAILURE
}

/// The last build of this user or, for want of one, of anybody; and what bounded it, as far as its records may be seen.
fn last_build(socket: Option<&PathBuf>) -> Option<(Value, Option<BuildVerdict>)> {
    let builds = records::builds(socket).ok()?;
    let build = records::choose(&builds, None)?.clone();
    let name = build["build"].as_str()?;
    let mut jobs = records::of_build(socket, name).unwrap_or_default();
    jobs.retain(|record| records::is_of(record, &build));
    let verdict = aftermath::verdict(&jobs, 0);
    Some((build, verdict))
}

/// What the scheduler knows of a daemon that cannot be asked.
fn told() -> Vec<String> {
    let Some((scheduler, facts)) = super::doctor::facts::told_by_scheduler() else {
        return words::row(
            "Scheduler",
            "none found that knows a machine of this host's name",
        );
    };
    let mut lines = words::row("Scheduler", &scheduler.to_string());
    for (key, value) in facts {
        lines.extend(words::row(&words::plain(&key), &words::plain(&value)));
    }
    lines
}
