//! What happened when, kept for the case that something goes wrong.

use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::record::{JobRecord, Verdict};

/// Entries in the order they are made, by several threads.
#[derive(Debug)]
pub(crate) struct Timeline {
    begin: Instant,
    begin_unix: u64,
    entries: Mutex<Vec<(Duration, String)>>,
    failures: Mutex<Vec<String>>,
}

impl Timeline {
    /// Begins now.
    pub(crate) fn start() -> Timeline {
        let begin_unix = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_millis());
        Timeline {
            begin: Instant::now(),
            begin_unix: u64::try_from(begin_unix).unwrap_or(0),
            entries: Mutex::default(),
            failures: Mutex::default(),
        }
    }

    /// When `since` after the beginning is.
    pub(crate) fn moment(&self, since: Duration) -> Instant {
        self.begin + since
    }

    pub(crate) fn now(&self) -> Duration {
        self.begin.elapsed()
    }

    pub(crate) fn note(&self, text: impl Into<String>) {
        let entry = (self.now(), text.into());
        self.entries
            .lock()
            .unwrap_or_else(|poison| poison.into_inner())
            .push(entry);
    }

    /// Notes what must not happen.
    pub(crate) fn fail(&self, text: impl Into<String>) {
        let text = text.into();
        self.note(format!("WRONG: {text}"));
        self.failures
            .lock()
            .unwrap_or_else(|poison| poison.into_inner())
            .push(text);
    }

    pub(crate) fn failures(&self) -> Vec<String> {
        self.failures
            .lock()
            .unwrap_or_else(|poison| poison.into_inner())
            .clone()
    }

    /// Entries and jobs by time, for people. `jobs` come with the name of their submitter.
    pub(crate) fn render(&self, jobs: &[(String, JobRecord)]) -> String {
        let mut lines = self
            .entries
            .lock()
            .unwrap_or_else(|poison| poison.into_inner())
            .clone();
        lines.extend(jobs.iter().map(|(submitter, job)| {
            let course = job.course;
            let ended = course.map_or(0, |course| course.ended.saturating_sub(self.begin_unix));
            let took = course.map_or(0.0, |course| course.took.as_secs_f64());
            let code = course.map_or(0, |course| course.exit_code);
            let verdict = match &job.verdict {
                Verdict::Remote(worker) => format!("remote at {worker}"),
                Verdict::Local(reason) => format!("local, {reason}"),
                Verdict::FailedOver(reason) => format!("failed over, {reason}"),
            };
            let text = format!(
                "    {submitter}: {} took {took:.3} s, exit code {code}: {verdict}",
                job.what
            );
            (Duration::from_millis(ended), text)
        }));
        lines.sort_by_key(|(at, _)| *at);
        let mut text = String::new();
        for (at, line) in lines {
            text.push_str(&format!("{:8.3}  {line}\n", at.as_secs_f64()));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Course;

    #[test]
    fn jobs_stand_where_they_ended() {
        let timeline = Timeline::start();
        timeline.note("first");
        timeline.fail("second");
        let job = JobRecord {
            verdict: Verdict::FailedOver("worker-lost".into()),
            what: "b0/c1.o".into(),
            course: Some(Course {
                ended: timeline.begin_unix + 3_600_000,
                took: Duration::from_millis(1500),
                exit_code: 0,
            }),
        };
        let text = timeline.render(&[("desk".into(), job)]);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].ends_with("first"), "{text}");
        assert!(lines[1].ends_with("WRONG: second"), "{text}");
        assert_eq!(
            lines[2].trim_start(),
            "3600.000      desk: b0/c1.o took 1.500 s, exit code 0: failed over, worker-lost"
        );
        assert_eq!(timeline.failures(), ["second"]);
    }
}
