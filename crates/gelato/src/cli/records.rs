//! Records of jobs as the daemon of this machine keeps them, for the commands that show them.

use std::path::PathBuf;

use gelato_record::JobRecord;
use serde_json::{Map, Value, json};

use super::ask::{self, Daemon};
use crate::build::aftermath;

/// Records that are fetched of one build; what bounded it shows in fewer.
const MOST: usize = 10_000;

/// Answers that are waited for to get them.
const MOST_ANSWERS: usize = 40;

/// Why there are no records.
#[derive(Debug)]
pub(crate) struct NoRecords {
    /// A stable word.
    pub(crate) code: &'static str,
    /// Sentences with what to do.
    pub(crate) text: String,
}

/// Asks the daemon, or if none runs what the last `gelato build` has kept, for records that `wanted` describes, at most `last`; newest first.
pub(crate) fn fetch(
    socket: Option<&PathBuf>,
    wanted: &Map<String, Value>,
    last: usize,
) -> Result<Vec<JobRecord>, NoRecords> {
    let mut records = Vec::new();
    for _ in 0..MOST_ANSWERS {
        let mut request = wanted.clone();
        request.insert("ask".to_owned(), json!("records"));
        request.insert("last".to_owned(), json!(last - records.len()));
        request.insert("skip".to_owned(), json!(records.len()));
        let mut answer = question(socket, &Value::Object(request))?;
        let more = answer["more"] == true;
        let Value::Array(list) = answer["records"].take() else {
            break;
        };
        let came = list.len();
        records.extend(
            list.into_iter()
                .filter_map(|record| serde_json::from_value::<JobRecord>(record).ok())
                .map(JobRecord::bounded),
        );
        if !more || came == 0 || records.len() >= last {
            break;
        }
    }
    Ok(records)
}

/// All records of a build, newest first.
pub(crate) fn of_build(socket: Option<&PathBuf>, build: &str) -> Result<Vec<JobRecord>, NoRecords> {
    let mut wanted = Map::new();
    wanted.insert("build".to_owned(), json!(build));
    fetch(socket, &wanted, MOST)
}

/// Sums of the builds of this machine, the latest first.
pub(crate) fn builds(socket: Option<&PathBuf>) -> Result<Vec<Value>, NoRecords> {
    let mut answer = question(socket, &json!({ "ask": "builds" }))?;
    match answer["builds"].take() {
        Value::Array(builds) => Ok(builds),
        _ => Ok(Vec::new()),
    }
}

fn question(socket: Option<&PathBuf>, request: &Value) -> Result<Value, NoRecords> {
    let none = |code, text| Err(NoRecords { code, text });
    match ask::ask(socket, request) {
        Daemon::Gelato { answer, place } => match answer["error"]["code"].as_str() {
            None => Ok(answer),
            Some("unknown-request") => none(
                "no-records",
                format!(
                    "the daemon at {place} is older than this command and keeps no records: restart it"
                ),
            ),
            Some(_) => none(
                "refused",
                ask::refusal(&answer).unwrap_or_default().to_owned(),
            ),
        },
        Daemon::Other { place, protocol } => none(
            "no-records",
            format!(
                "{} answers at {place}; only Gelato's daemon keeps records of jobs. Run it in its place (gelato daemon), \
                 or build with `gelato build`, or set GELATO_BUILD_LOG or ICECC_DEBUG=info for the wrapper",
                ask::other_name(protocol)
            ),
        ),
        other => {
            // The last build may have had a daemon of its own.
            let kept = match (&other, socket) {
                (Daemon::Absent { .. }, None) => aftermath::kept(),
                _ => Vec::new(),
            };
            if !kept.is_empty() {
                return Ok(gelato_daemon::recall(kept, request));
            }
            none(
                match &other {
                    Daemon::Mute { .. } => "no-answer",
                    _ => "no-daemon",
                },
                other.complaint().unwrap_or_default(),
            )
        }
    }
}
