//! What subscribed monitors are told beyond Icecream's feed (`MON_NEWS`), as JSON objects on one line. The member `event` says
//! which it is; members are added, never renamed.

use gelato_record::JobRecord;
use gelato_scheduler_core::{JobId, NodeId, Waiting};
use serde_json::Value;

use crate::server::release;

/// Characters of an explanation that are kept.
const LONGEST_TEXT: usize = 1000;

/// Bytes of the names of blocked hosts; what does not fit is not named. Monitors read up to 128 KiB at once.
const LONGEST_BLOCKED: usize = 100 * 1024;

/// What this scheduler is: told to a new subscriber, and again when the list of blocked hosts changes. `started` is in
/// milliseconds since 1970.
pub(crate) fn scheduler(
    started: u64,
    algorithm: &str,
    blocked: impl Iterator<Item = String>,
) -> String {
    let mut length = 0;
    let blocked: Vec<String> = blocked
        .map(|host| quoted(&host))
        .take_while(|host| {
            length += host.len() + 1;
            length <= LONGEST_BLOCKED
        })
        .collect();
    format!(
        r#"{{"event":"scheduler","version":{},"started":{started},"algorithm":{},"blocked":[{}]}}"#,
        quoted(release()),
        quoted(algorithm),
        blocked.join(",")
    )
}

/// A job of the submitter `host` is over.
pub(crate) fn record(host: NodeId, record: &JobRecord) -> String {
    format!(
        r#"{{"event":"record","host":{host},"record":{}}}"#,
        record.to_json()
    )
}

/// A job got its worker.
pub(crate) fn explained(job: JobId, why: &str) -> String {
    format!(
        r#"{{"event":"explained","job":{job},"why":{}}}"#,
        quoted(why)
    )
}

/// A job has no worker yet. `position` is its place among all waiting jobs in the order they were asked for, from 1.
pub(crate) fn waiting(job: JobId, position: usize, waiting: &Waiting, text: &str) -> String {
    format!(
        r#"{{"event":"waiting","job":{job},"position":{position},"reason":{},"text":{}}}"#,
        quoted(waiting.lack.code()),
        quoted(text)
    )
}

/// Somebody changed something over the control port, or was not allowed to.
pub(crate) fn operator(who: &str, command: &str, result: &str) -> String {
    format!(
        r#"{{"event":"operator","who":{},"command":{},"result":{}}}"#,
        quoted(who),
        quoted(command),
        quoted(result)
    )
}

/// As a JSON string of one bounded line.
fn quoted(text: &str) -> String {
    let line = text
        .chars()
        .take(LONGEST_TEXT)
        .map(|c| if c.is_control() { ' ' } else { c });
    Value::String(line.collect()).to_string()
}

#[cfg(test)]
mod tests {
    use gelato_record::Verdict;
    use gelato_scheduler_core::{Lack, Obstacle};

    use super::*;

    /// Monitors are tested with these very lines: they may gain members, and nothing else.
    #[test]
    fn the_lines_are_as_monitors_know_them() {
        let release = release();
        assert_eq!(
            scheduler(1_700_000_000_123, "finish", ["old".to_owned()].into_iter()),
            format!(
                r#"{{"event":"scheduler","version":"{release}","started":1700000000123,"algorithm":"finish","blocked":["old"]}}"#
            )
        );
        let job = JobRecord {
            file: "a.o".to_owned(),
            verdict: Verdict::Remote,
            ..JobRecord::default()
        };
        assert_eq!(
            record(NodeId(3), &job),
            format!(
                r#"{{"event":"record","host":3,"record":{}}}"#,
                job.to_json()
            )
        );
        assert_eq!(
            explained(JobId(7), "w: the \"best\"\nof two"),
            r#"{"event":"explained","job":7,"why":"w: the \"best\" of two"}"#
        );
        let why = Waiting {
            lack: Lack::FairShare,
            preferred: None,
            held_for: None,
            short_of_memory: (0, 100),
            obstacles: vec![(Obstacle::Full, 2)],
            share: (6, 2),
        };
        assert_eq!(
            waiting(JobId(9), 4, &why, "full: 2"),
            r#"{"event":"waiting","job":9,"position":4,"reason":"fair-share","text":"full: 2"}"#
        );
        assert_eq!(
            operator("127.0.0.1", "blockcs alpha", "ok"),
            r#"{"event":"operator","who":"127.0.0.1","command":"blockcs alpha","result":"ok"}"#
        );
    }

    #[test]
    fn every_line_is_json_and_bounded() {
        let long = "\u{0}\"\\é\n".repeat(10_000);
        let hosts = std::iter::repeat_n(long.clone(), 5000);
        for line in [
            scheduler(1, &long, hosts),
            explained(JobId(1), &long),
            operator(&long, &long, &long),
        ] {
            let value: Value = serde_json::from_str(&line).unwrap();
            assert!(value["event"].is_string());
            assert!(!line.contains('\n'));
        }
        assert!(explained(JobId(1), &long).len() < 10_000);
        let hosts = || std::iter::repeat_n(long.clone(), 5000);
        assert!(scheduler(1, &long, hosts()).len() < 128 * 1024);
    }
}
