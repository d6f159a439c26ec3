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

/// The latest build, or the latest of that name: one of this user if there is any. Names are no secret, and others may use the same.
pub(crate) fn choose<'a>(builds: &'a [Value], name: Option<&str>) -> Option<&'a Value> {
    chosen_by(this_user(), builds, name)
}

fn chosen_by<'a>(user: u64, builds: &'a [Value], name: Option<&str>) -> Option<&'a Value> {
    let fits = |build: &&Value| name.is_none_or(|name| build["build"] == name);
    let own = |build: &&Value| build["user"] == user;
    let mut named = builds.iter().filter(fits);
    let first = named.next()?;
    if own(&first) {
        return Some(first);
    }
    Some(named.find(own).unwrap_or(first))
}

/// Whether a record is of a job of this build, as summed up for one user.
pub(crate) fn is_of(record: &JobRecord, build: &Value) -> bool {
    record.build.as_deref() == build["build"].as_str() && is_of_user(record, build)
}

/// Whether a record is of a job of the user whose build that is.
pub(crate) fn is_of_user(record: &JobRecord, build: &Value) -> bool {
    record.user.map(u64::from) == build["user"].as_u64()
}

/// Who asks.
pub(crate) fn this_user() -> u64 {
    u64::from(rustix::process::geteuid().as_raw())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_of_this_user_go_before_those_of_others_with_the_same_name() {
        let build =
            |name: &str, user: u32, jobs: u32| json!({ "build": name, "user": user, "jobs": jobs });
        let builds = [
            build("ci-1", 7, 1),
            build("other", 7, 2),
            build("ci-1", 8, 3),
            build("mine", 8, 4),
        ];
        let chosen = |user, name| chosen_by(user, &builds, name).map(|build| &build["jobs"]);
        assert_eq!(chosen(8, Some("ci-1")), Some(&json!(3)));
        assert_eq!(chosen(7, Some("ci-1")), Some(&json!(1)));
        assert_eq!(chosen(9, Some("mine")), Some(&json!(4)));
        assert_eq!(chosen(8, None), Some(&json!(3)));
        assert_eq!(chosen(9, None), Some(&json!(1)));
        assert_eq!(chosen(9, Some("none")), None);
        let record = JobRecord {
            build: Some("ci-1".to_owned()),
            user: Some(8),
            ..JobRecord::default()
        };
        let of: Vec<bool> = builds.iter().map(|build| is_of(&record, build)).collect();
        assert_eq!(of, [false, false, true, false]);
    }
}
