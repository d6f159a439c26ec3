//! What operators ask about records: `records` and `builds`, over the local socket.
//!
//! Whoever asks gets the records of his own jobs; root and the daemon's user get all. Sums of builds, without names of files, are for everybody.

use std::sync::Arc;

use gelato_record::JobRecord;
use serde_json::{Value, json};

use super::Shelf;

/// Records in an answer unless another number is asked for.
const USUAL: usize = 100;

/// Bytes of records or builds in an answer; messages have at most a mebibyte.
const LONGEST_ANSWER: usize = 700 << 10;

/// Builds in an answer.
const MOST_BUILDS: usize = 200;

/// A question about records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Question {
    /// About builds instead.
    builds: bool,
    /// Whose records; everybody's if none.
    user: Option<u32>,
    file: Option<String>,
    build: Option<String>,
    job: Option<u32>,
    last: usize,
    skip: usize,
}

impl Question {
    /// Reads `request`. `user`: whose records may be shown; everybody's if none.
    pub(crate) fn read(request: &Value, user: Option<u32>) -> Result<Question, String> {
        let text = |name: &str| match request.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
            Some(other) => Err(format!("{name} must be a text, not {other}")),
        };
        let number = |name: &str, otherwise: usize| match request.get(name) {
            None | Some(Value::Null) => Ok(otherwise),
            Some(value) => value
                .as_u64()
                .and_then(|number| usize::try_from(number).ok())
                .ok_or_else(|| format!("{name} must be a number, not {value}")),
        };
        Ok(Question {
            builds: request.get("ask").and_then(Value::as_str) == Some("builds"),
            user,
            file: text("file")?,
            build: text("build")?,
            job: match request.get("job") {
                None | Some(Value::Null) => None,
                Some(value) => Some(
                    value
                        .as_u64()
                        .and_then(|number| u32::try_from(number).ok())
                        .ok_or_else(|| format!("job must be a number, not {value}"))?,
                ),
            },
            last: number("last", USUAL)?,
            skip: number("skip", 0)?,
        })
    }

    /// The answer.
    pub(crate) fn answer(&self, shelf: &Shelf) -> Value {
        let records = shelf.open();
        if self.builds {
            let builds = records.builds().into_iter().take(MOST_BUILDS);
            let builds = fitting(builds.map(|build| build.json()));
            return json!({ "builds": builds });
        }
        let found: Vec<Arc<JobRecord>> = records
            .newest(self.user)
            .filter(|record| self.wants(record))
            .skip(self.skip)
            .take(self.last.saturating_add(1))
            .cloned()
            .collect();
        drop(records);
        let wanted = found.iter().take(self.last);
        let chosen =
            fitting(wanted.map(|record| serde_json::to_value(&**record).unwrap_or_default()));
        let more = chosen.len() < found.len();
        json!({ "records": chosen, "more": more })
    }

    fn wants(&self, record: &JobRecord) -> bool {
        let file = |file: &String| is_end_of(file, &record.source) || is_end_of(file, &record.file);
        self.file.as_ref().is_none_or(|wanted| {
            file(wanted)
                || is_end_of(wanted, &format!("{}/{}", record.folder, record.source))
                || is_end_of(wanted, &format!("{}/{}", record.folder, record.file))
        }) && self
            .build
            .as_ref()
            .is_none_or(|build| record.build.as_ref() == Some(build))
            && self.job.is_none_or(|job| record.job == Some(job))
    }
}

/// As many as fit into an answer.
fn fitting(values: impl Iterator<Item = Value>) -> Vec<Value> {
    let mut bytes = 0;
    values
        .take_while(|value| {
            bytes += value.to_string().len();
            bytes <= LONGEST_ANSWER
        })
        .collect()
}

/// Whether a path ends in these components, whole ones.
fn is_end_of(wanted: &str, path: &str) -> bool {
    let wanted = wanted.strip_prefix("./").unwrap_or(wanted);
    match path.strip_suffix(wanted) {
        Some(before) => before.is_empty() || before.ends_with('/') || wanted.starts_with('/'),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shelf() -> Shelf {
        let shelf = Shelf::default();
        for (source, file, user, job) in [
            ("src/a.cc", "obj/a.o", 1, 11),
            ("src/ba.cc", "obj/ba.o", 1, 12),
            ("src/a.cc", "obj/a.o", 2, 13),
            ("", "app", 1, 14),
        ] {
            let record = JobRecord {
                source: source.to_owned(),
                file: file.to_owned(),
                folder: "/home/u/p".to_owned(),
                build: Some(format!("b{user}")),
                job: Some(job),
                end: 1_000_000,
                ..JobRecord::default()
            };
            shelf.add(record, user, 1_000_000);
        }
        shelf
    }

    fn jobs(user: Option<u32>, request: Value) -> Vec<u64> {
        let answer = Question::read(&request, user).unwrap().answer(&shelf());
        let records = answer["records"].as_array().unwrap();
        records.iter().map(|r| r["job"].as_u64().unwrap()).collect()
    }

    #[test]
    fn files_are_found_by_the_end_of_their_path() {
        for (file, expected) in [
            ("a.cc", vec![13, 11]),
            ("src/a.cc", vec![13, 11]),
            ("./src/a.cc", vec![13, 11]),
            ("/home/u/p/src/a.cc", vec![13, 11]),
            ("p/src/a.cc", vec![13, 11]),
            ("obj/ba.o", vec![12]),
            ("c", vec![]),
            ("app", vec![14]),
            ("other/a.cc", vec![]),
        ] {
            let request = json!({ "ask": "records", "file": file });
            assert_eq!(jobs(None, request), expected, "{file}");
        }
    }

    #[test]
    fn others_see_their_own_and_sums_of_all() {
        assert_eq!(jobs(Some(2), json!({ "ask": "records" })), [13]);
        assert_eq!(jobs(Some(3), json!({ "ask": "records" })), [0; 0]);
        let answer = Question::read(&json!({ "ask": "builds" }), Some(2)).unwrap();
        let builds = answer.answer(&shelf())["builds"].clone();
        assert_eq!(builds.as_array().unwrap().len(), 2);
        assert!(!builds.to_string().contains("a.cc"));
    }

    #[test]
    fn numbers_choose_and_leave_out() {
        assert_eq!(jobs(None, json!({ "last": 2 })), [14, 13]);
        assert_eq!(jobs(None, json!({ "last": 2, "skip": 3 })), [11]);
        assert_eq!(jobs(None, json!({ "job": 12 })), [12]);
        assert_eq!(jobs(None, json!({ "build": "b2" })), [13]);
        for wrong in [
            json!({ "last": "x" }),
            json!({ "last": -1 }),
            json!({ "file": 3 }),
            json!({ "file": "" }),
            json!({ "job": u64::MAX }),
        ] {
            assert!(Question::read(&wrong, None).is_err(), "{wrong}");
        }
    }

    #[test]
    fn made_up_reasons_leave_room_for_the_builds_of_others() {
        let shelf = shelf();
        for build in 0..32 {
            for reason in 0..100 {
                let record = JobRecord {
                    build: Some(format!("b{build}")),
                    reason: Some(format!("{reason}{}", "\u{1F368}".repeat(98))),
                    end: 1_000_001,
                    ..JobRecord::default()
                };
                shelf.add(record, 666, 1_000_001);
            }
        }
        let question = Question::read(&json!({ "ask": "builds" }), Some(1)).unwrap();
        let answer = question.answer(&shelf);
        assert!(answer.to_string().len() < 1 << 20);
        let builds = answer["builds"].as_array().unwrap();
        assert!(builds.iter().any(|build| build["user"] == 1));
    }

    #[test]
    fn an_answer_fits_a_message() {
        let shelf = Shelf::default();
        for _ in 0..10_000 {
            let record = JobRecord {
                folder: "f".repeat(500),
                end: 1_000_000,
                ..JobRecord::default()
            };
            shelf.add(record, 1, 1_000_000);
        }
        let question = Question::read(&json!({ "last": 10_000 }), None).unwrap();
        let answer = question.answer(&shelf);
        assert_eq!(answer["more"], true);
        assert!(answer.to_string().len() < 1 << 20);
        assert!(answer["records"].as_array().unwrap().len() > 500);
    }
}
