//! `gelato status`: what the daemon of this machine is and does.

pub(crate) mod render;
pub(crate) mod words;

use std::process::ExitCode;

use serde_json::json;

use super::ask::{self, Daemon};
use super::operate::Place;

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
        if args.json {
            println!("{answer:#}");
        } else {
            for line in render::status(answer) {
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
