//! What daemons tell of jobs that this scheduler did not give out: notes with `running`, `away` and `ended`.

use std::net::IpAddr;

use gelato_scheduler_core::{Abroad, Event, JobResult, NodeId, Running, Text};
use gelato_wire::ByteString;
use serde_json::Value;

/// A note longer than this is not looked at.
const LONGEST_NOTE: usize = 512 * 1024;

/// Bytes of a file name that are kept.
const LONGEST_FILE: usize = 1000;

/// What a note says of such jobs; `None` if it is about something else. `now` in Unix seconds.
pub(crate) fn events(node: NodeId, note: &ByteString, now: u64) -> Option<Vec<Event>> {
    if note.as_bytes().len() > LONGEST_NOTE {
        return None;
    }
    let note: Value = serde_json::from_slice(note.as_bytes()).ok()?;
    let list = |name: &str| note.get(name).and_then(Value::as_array);
    let (running, away, ended) = (list("running"), list("away"), list("ended"));
    if running.is_none() && away.is_none() && ended.is_none() {
        return None;
    }
    let ended = ended.into_iter().flatten().filter_map(|job| {
        Some(Event::RecoveredOver {
            node,
            number: number(job, "job")?,
            result: result(job),
        })
    });
    let mut events: Vec<Event> = ended.collect();
    let running: Vec<Running> = running
        .into_iter()
        .flatten()
        .filter_map(|job| as_running(job, now))
        .collect();
    let abroad: Vec<Abroad> = away.into_iter().flatten().filter_map(as_abroad).collect();
    if !running.is_empty() || !abroad.is_empty() {
        events.push(Event::Recovered {
            node,
            running,
            abroad,
        });
    }
    Some(events)
}

fn as_running(job: &Value, now: u64) -> Option<Running> {
    let word = |name: &str| job.get(name).and_then(Value::as_str).unwrap_or_default();
    let since = job.get("since_ms").and_then(Value::as_u64).unwrap_or(0) / 1000;
    let client: Option<IpAddr> = word("client").parse().ok();
    let file = word("file").as_bytes();
    Some(Running {
        number: number(job, "job")?,
        client: client.map(|client| client.to_canonical()),
        file: Text::from(&file[file.len().saturating_sub(LONGEST_FILE)..]),
        language: number(job, "language").unwrap_or(0),
        start_time: u32::try_from(now.saturating_sub(since)).unwrap_or(u32::MAX),
    })
}

fn as_abroad(job: &Value) -> Option<Abroad> {
    let host = job.get("host").and_then(Value::as_str)?;
    let host = host.get(..host.len().min(255))?;
    Some(Abroad {
        number: number(job, "job")?,
        host: Text::from(host),
    })
}

fn result(job: &Value) -> JobResult {
    let word = |name| number(job, name).unwrap_or(0);
    let exit = job.get("exit").and_then(Value::as_i64);
    JobResult {
        exit_code: exit.and_then(|code| i32::try_from(code).ok()).unwrap_or(-1),
        real_ms: word("real_ms"),
        user_ms: word("user_ms"),
        sys_ms: word("sys_ms"),
        page_faults: word("page_faults"),
        in_compressed: word("in_compressed"),
        in_uncompressed: word("in_uncompressed"),
        out_compressed: word("out_compressed"),
        out_uncompressed: word("out_uncompressed"),
    }
}

fn number(job: &Value, name: &str) -> Option<u32> {
    u32::try_from(job.get(name)?.as_u64()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<Vec<Event>> {
        events(NodeId(1), &text.into(), 1000)
    }

    #[test]
    fn running_away_and_ended_are_read() {
        let text = r#"{"running":[{"job":5,"client":"::ffff:10.0.0.2","file":"a/x.c","language":1,"since_ms":4200},
            {"file":"no number"},7],"away":[{"job":6,"host":"10.0.0.3"},{"job":-1,"host":"w"}],
            "ended":[{"job":4,"exit":1,"real_ms":10,"user_ms":9},{}]}"#;
        let result = JobResult {
            exit_code: 1,
            real_ms: 10,
            user_ms: 9,
            ..JobResult::default()
        };
        let node = NodeId(1);
        assert_eq!(
            parse(text),
            Some(vec![
                Event::RecoveredOver {
                    node,
                    number: 4,
                    result
                },
                Event::Recovered {
                    node,
                    running: vec![Running {
                        number: 5,
                        client: Some([10, 0, 0, 2].into()),
                        file: Text::from("a/x.c"),
                        language: 1,
                        start_time: 996,
                    }],
                    abroad: vec![Abroad {
                        number: 6,
                        host: Text::from("10.0.0.3"),
                    }],
                }
            ])
        );
    }

    #[test]
    fn other_notes_and_nonsense_are_none() {
        let long = format!("{{\"running\":[],\"x\":\"{}\"}}", "x".repeat(LONGEST_NOTE));
        for text in ["", "[]", "{\"version\":\"1\"}", "{\"running\":7}", &long] {
            assert_eq!(parse(text), None, "{text:.40}");
        }
        assert_eq!(parse("{\"running\":[]}"), Some(vec![]));
        let wide = format!(
            "{{\"away\":[{{\"job\":1,\"host\":\"{}\"}}]}}",
            "é".repeat(200)
        );
        assert_eq!(parse(&wide), Some(vec![]));
    }
}
