//! The build log: one line for every finished job, for `gelato build` and for people.
//!
//! Tab-separated: `1`, end of the job in Unix milliseconds, verdict, reason code (of a remote job: `-`, or `verified` if further workers did it as well and agreed), worker, exit code, milliseconds in all, milliseconds between source sent and result
//! received, CPU milliseconds of local children, bytes sent, bytes received, output or source, what went wrong in words or `-`. A line is appended with a single write.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use gelato_compiler::LocalReason;

/// Where the job was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Remote,
    Local,
    /// Here, after an attempt elsewhere had failed.
    FailedOver,
    /// Nowhere: the policy forbids to do it here.
    Refused,
}

/// What is known of one job.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    begin: Instant,
    pub(crate) place: Place,
    pub(crate) reason: Option<LocalReason>,
    pub(crate) worker: Option<String>,
    pub(crate) compile_time: Duration,
    pub(crate) cpu_time: Duration,
    pub(crate) sent: u64,
    pub(crate) received: u64,
    /// Several workers did the job and agreed.
    pub(crate) verified: bool,
    /// How the last attempt elsewhere failed, in words.
    pub(crate) detail: String,
}

/// Characters of words in a line: it is to be written at once.
const LONGEST_DETAIL: usize = 400;

impl Record {
    pub(crate) fn new() -> Record {
        Record {
            begin: Instant::now(),
            place: Place::Local,
            reason: None,
            worker: None,
            compile_time: Duration::ZERO,
            cpu_time: Duration::ZERO,
            sent: 0,
            received: 0,
            verified: false,
            detail: String::new(),
        }
    }

    /// Appends the line. Failures are nobody's business: the build goes on.
    pub(crate) fn append(&self, log: Option<&Path>, exit_code: i32, name: &OsStr) {
        let Some(path) = log else {
            return;
        };
        let line = self.line(exit_code, name);
        let _ = OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .and_then(|mut file| file.write_all(&line));
    }

    fn line(&self, exit_code: i32, name: &OsStr) -> Vec<u8> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_millis());
        let place = match self.place {
            Place::Remote => "remote",
            Place::Local => "local",
            Place::FailedOver => "failed-over",
            Place::Refused => "refused",
        };
        let mut line = format!(
            "1\t{now}\t{place}\t{}\t{}\t{exit_code}\t{}\t{}\t{}\t{}\t{}\t",
            self.reason.map_or(
                if self.verified { "verified" } else { "-" },
                LocalReason::code
            ),
            self.worker.as_deref().unwrap_or("-"),
            self.begin.elapsed().as_millis(),
            self.compile_time.as_millis(),
            self.cpu_time.as_millis(),
            self.sent,
            self.received,
        )
        .into_bytes();
        let plain = |byte: &u8| match byte {
            b'\t' | b'\n' | b'\r' => b'?',
            other => *other,
        };
        line.extend(name.as_bytes().iter().map(plain));
        line.push(b'\t');
        let detail = if self.detail.is_empty() {
            "-"
        } else {
            &self.detail
        };
        let detail: String = detail.chars().take(LONGEST_DETAIL).collect();
        line.extend(detail.as_bytes().iter().map(plain));
        line.push(b'\n');
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_thirteen_fields_whatever_the_name() {
        let mut record = Record::new();
        record.place = Place::FailedOver;
        record.reason = Some(LocalReason::WorkerLost);
        record.detail = format!("gone\t\n{}", "x".repeat(1000));
        let line = record.line(3, OsStr::new("a\tb\nc.o"));
        let text = String::from_utf8(line).expect("text");
        let fields: Vec<&str> = text.trim_end_matches('\n').split('\t').collect();
        assert_eq!(fields.len(), 13);
        assert_eq!(fields[2..6], ["failed-over", "worker-lost", "-", "3"]);
        assert_eq!(fields[11], "a?b?c.o");
        assert!(fields[12].starts_with("gone??x") && fields[12].len() == LONGEST_DETAIL);
        assert_eq!(text.matches('\n').count(), 1);
    }
}
