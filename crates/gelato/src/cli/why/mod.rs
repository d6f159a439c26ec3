//! `gelato why`: what became of a job and on what grounds, and what to change. The grounds of a local job come from its record; those of a remote
//! one from the scheduler, as long as it remembers.

mod scheduler;
mod story;

use std::path::Path;
use std::process::ExitCode;

use gelato_compiler::LocalReason;
use gelato_record::{JobRecord, Verdict};
use serde_json::{Map, Value, json};

use super::operate::Place;
use super::records::{self, NoRecords};
use super::status::words;

/// Options of `gelato why`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A source or output, as much of its path as is needed, or the scheduler's number of a job
    /// [default: this user's last build, and its last job that was not remote]
    #[arg(value_name = "FILE|JOB", conflicts_with_all = ["build", "last"])]
    what: Option<String>,
    /// Sum up this build
    #[arg(long, value_name = "ID", conflicts_with = "last")]
    build: Option<String>,
    /// List the last N jobs, one a line
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    last: Option<u16>,
    /// Write JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

/// Records among which the last one that was not remote is looked for.
const LOOK_BACK: usize = 2000;

/// What there is to say.
struct Told {
    lines: Vec<String>,
    json: Value,
}

/// Status 0 if there was something to tell, 1 otherwise.
pub(crate) fn run(args: &Args) -> ExitCode {
    let told = match (&args.what, &args.build, args.last) {
        (Some(what), ..) => job(args, what),
        (None, Some(build), _) => build_of(args, build),
        (None, None, Some(last)) => last_jobs(args, last.into()),
        (None, None, None) => recent(args),
    };
    match told {
        Ok(told) if args.json => println!("{:#}", told.json),
        Ok(told) => {
            for line in told.lines {
                println!("{line}");
            }
        }
        Err(NoRecords { code, text }) => {
            if args.json {
                println!("{:#}", json!({ "error": { "code": code, "text": text } }));
            }
            for line in format!("gelato why: {text}").lines() {
                let indent = if line.starts_with(' ') { "  " } else { "" };
                for line in words::hang(indent, line) {
                    eprintln!("{line}");
                }
            }
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn nothing(text: String) -> NoRecords {
    NoRecords {
        code: "not-found",
        text,
    }
}

/// The last job of that file, or of that number.
fn job(args: &Args, what: &str) -> Result<Told, NoRecords> {
    let socket = args.place.socket.as_ref();
    let mut wanted = Map::new();
    let number = what.parse::<u32>().ok();
    let by_number = number.filter(|_| !Path::new(what).exists());
    match by_number {
        Some(number) => wanted.insert("job".to_owned(), json!(number)),
        None => wanted.insert("file".to_owned(), json!(what)),
    };
    let found = records::fetch(socket, &wanted, 1)?;
    let Some(record) = found.into_iter().next() else {
        return Err(nothing(match by_number {
            Some(number) => format!(
                "no job {number} is known here. The daemon keeps the last jobs of this user since it was started; list \
                 them with: gelato why --last 20"
            ),
            None => format!(
                "no job for {what} is known here. The daemon keeps the last jobs of this user since it was started; list \
                 them with: gelato why --last 20. A file that is not among them was compiled without icecc, or not at \
                 all: see gelato doctor"
            ),
        }));
    };
    Ok(story_of(args, &record))
}

fn story_of(args: &Args, record: &JobRecord) -> Told {
    let scheduler = scheduler::explanation(args.place.socket.as_ref(), record);
    Told {
        lines: story::job(record, &scheduler, now()),
        json: json!({
            "record": record,
            "reason": reason_json(record),
            "scheduler": scheduler,
        }),
    }
}

fn reason_json(record: &JobRecord) -> Value {
    let Some(code) = &record.reason else {
        return Value::Null;
    };
    let known = LocalReason::ALL.iter().find(|reason| reason.code() == code);
    json!({
        "code": code,
        "explanation": known.map(|reason| reason.explanation().trim()),
        "advice": known.map(|reason| reason.advice().trim()),
    })
}

/// The last build of this user, and the last job that stayed here.
fn recent(args: &Args) -> Result<Told, NoRecords> {
    let socket = args.place.socket.as_ref();
    let builds = records::builds(socket)?;
    let Some(build) = records::choose(&builds, None) else {
        return Err(nothing(
            "no job is known here since the daemon was started. Build something: gelato build -- make. If you have, its \
             compiler was not icecc: see gelato doctor"
                .to_owned(),
        ));
    };
    let records = records::fetch(socket, &Map::new(), LOOK_BACK)?;
    let of_build: Vec<JobRecord> = records
        .iter()
        .filter(|record| records::is_of(record, build))
        .cloned()
        .collect();
    let stayed = records
        .iter()
        .filter(|record| records::is_of_user(record, build))
        .find(|record| is_worth_a_story(record));
    let mut lines = story::build(build, &of_build, now());
    let mut json = json!({ "build": build, "last": null });
    match stayed {
        Some(record) => {
            let told = story_of(args, record);
            lines.push(String::new());
            lines.push("The last job that another machine did not do:".to_owned());
            lines.push(String::new());
            lines.extend(told.lines);
            json["last"] = told.json;
        }
        None if records.is_empty() && build["user"] != records::this_user() => {
            lines.extend(words::hang(
                "",
                "That is a build of somebody else. What became of its jobs is told to its user and to root.",
            ));
        }
        None => lines.extend(words::hang(
            "",
            "No job that could have gone elsewhere has stayed here lately.",
        )),
    }
    Ok(Told { lines, json })
}

/// Whether a job was a compilation that another machine might have done.
fn is_worth_a_story(record: &JobRecord) -> bool {
    record.verdict != Verdict::Remote
        && !matches!(
            record.reason.as_deref(),
            Some(
                "no-compile-step"
                    | "driver-query"
                    | "preprocess-only"
                    | "custom-command"
                    | "icerun"
                    | "configure-probe"
                    | "no-input"
            )
        )
}

fn build_of(args: &Args, id: &str) -> Result<Told, NoRecords> {
    let socket = args.place.socket.as_ref();
    let builds = records::builds(socket)?;
    let Some(build) = records::choose(&builds, Some(id)) else {
        let names: Vec<&str> = builds
            .iter()
            .filter_map(|build| build["build"].as_str())
            .take(5)
            .collect();
        let hint = if names.is_empty() {
            "the daemon knows no build since it was started".to_owned()
        } else {
            format!("the latest are: {}", names.join(", "))
        };
        return Err(nothing(format!("no build {id} is known here; {hint}")));
    };
    let mut records = records::of_build(socket, id)?;
    records.retain(|record| records::is_of(record, build));
    Ok(Told {
        lines: story::build(build, &records, now()),
        json: json!({ "build": build, "records": records }),
    })
}

fn last_jobs(args: &Args, last: usize) -> Result<Told, NoRecords> {
    let records = records::fetch(args.place.socket.as_ref(), &Map::new(), last)?;
    if records.is_empty() {
        return Err(nothing(
            "no job of this user is known here since the daemon was started".to_owned(),
        ));
    }
    Ok(Told {
        lines: story::list(&records, now()),
        json: json!({ "records": records }),
    })
}

/// Milliseconds since 1970.
fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}
