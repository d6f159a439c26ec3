//! `gelato pause`, `resume` and `drain`: what people want the daemon of this machine to do.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

use super::ask::{self, Daemon};
use super::status::words;

/// Options of `gelato pause`.
#[derive(clap::Args)]
pub(crate) struct PauseArgs {
    /// End by itself after this time: 90m, 2h, 1d [default: until gelato resume]
    #[arg(long = "for", value_name = "TIME", value_parser = words::parse_time)]
    time: Option<Duration>,
    /// What others are told
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
    #[command(flatten)]
    place: Place,
}

/// Options of `gelato resume`.
#[derive(clap::Args)]
pub(crate) struct ResumeArgs {
    #[command(flatten)]
    place: Place,
}

/// Options of `gelato drain`.
#[derive(clap::Args)]
pub(crate) struct DrainArgs {
    /// Return when the last job of another machine is over
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    place: Place,
}

/// Which daemon.
#[derive(clap::Args)]
pub(crate) struct Place {
    /// Socket of the daemon [default: the usual places]
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
}

/// How often a drain is looked at.
const LOOK: Duration = Duration::from_millis(300);

/// No jobs of others for a while.
pub(crate) fn pause(args: &PauseArgs) -> ExitCode {
    let request = json!({
        "ask": "pause",
        "for": args.time.map(|time| time.as_secs()),
        "why": args.why,
    });
    finish(tell(&args.place, "pause", &request))
}

/// Jobs of others again.
pub(crate) fn resume(args: &ResumeArgs) -> ExitCode {
    finish(tell(&args.place, "resume", &json!({ "ask": "resume" })))
}

/// Finish what runs, then stay idle.
pub(crate) fn drain(args: &DrainArgs) -> ExitCode {
    let told = tell(&args.place, "drain", &json!({ "ask": "drain" }));
    if !args.wait {
        return finish(told);
    }
    let mut last = None;
    let mut standing = told;
    loop {
        let Ok(state) = &standing else {
            return finish(standing);
        };
        let slots = &state["slots"];
        let left = number(slots, "foreign") + number(slots, "waiting_foreign");
        if left == 0 {
            println!("drained: no job of another machine is left");
            return ExitCode::SUCCESS;
        }
        if state["mode"] != "draining" {
            eprintln!(
                "gelato drain: somebody else changed it; it is {} now",
                state["mode"]
            );
            return ExitCode::FAILURE;
        }
        if last != Some(left) {
            println!("{} of other machines left", words::count(left, "job"));
            last = Some(left);
        }
        std::thread::sleep(LOOK);
        standing = tell(&args.place, "drain", &json!({ "ask": "status" }));
    }
}

fn number(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or(0)
}

fn tell(place: &Place, command: &str, request: &Value) -> Result<Value, String> {
    match ask::ask(place.socket.as_ref(), request) {
        Daemon::Gelato { answer, .. } => match ask::refusal(&answer) {
            Some(text) => Err(format!("gelato {command}: {text}")),
            None => Ok(answer),
        },
        other => Err(format!(
            "gelato {command}: {}",
            other.complaint().unwrap_or_default()
        )),
    }
}

fn finish(told: Result<Value, String>) -> ExitCode {
    match told {
        Ok(standing) => {
            for line in super::status::render::standing(&standing) {
                println!("{line}");
            }
            ExitCode::SUCCESS
        }
        Err(text) => {
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}
