//! What is known of a job: for the daemon ([`JobRecord`]), and as a line of the build log.
//!
//! The build log is for `gelato build` and for people. Tab-separated: `1`, end of the job in Unix milliseconds, verdict (`local` also for a job the scheduler gave to this
//! machine), reason code (of a remote job: `-`, or `verified` if further workers did it as well and agreed), worker, exit code, milliseconds in all, milliseconds between
//! source sent and result received, CPU milliseconds of the job's program if it ran here, bytes sent, bytes received, output or source, what went wrong in words or `-`.
//! A line is appended with a single write.

use std::ffi::{OsStr, OsString};
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use gelato_compiler::{Language, LocalReason};
use gelato_record::{JobRecord, Phases, Verdict};

/// What is known of one job.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) begin: Instant,
    pub(crate) verdict: Verdict,
    pub(crate) reason: Option<LocalReason>,
    /// What the reason is about.
    pub(crate) subject: Option<OsString>,
    pub(crate) language: Option<Language>,
    /// The scheduler's number of the last attempt.
    pub(crate) number: Option<u32>,
    pub(crate) worker: Option<String>,
    /// Attempts elsewhere that failed.
    pub(crate) retries: u32,
    /// Of the program that did the job here.
    pub(crate) cpu_time: Duration,
    pub(crate) phases: Phases,
    pub(crate) sent: u64,
    pub(crate) received: u64,
    /// Bytes of preprocessed source.
    pub(crate) source_bytes: u64,
    /// Several workers did the job and agreed.
    pub(crate) verified: bool,
    /// How the last attempt elsewhere failed, in words.
    pub(crate) detail: String,
}

/// What the job was about, for the record.
pub(crate) struct About<'a> {
    /// Output, source or program.
    pub(crate) file: &'a OsStr,
    pub(crate) source: Option<&'a OsStr>,
    pub(crate) folder: &'a Path,
    pub(crate) compiler: &'a OsStr,
    pub(crate) build: Option<&'a OsStr>,
    pub(crate) exit: i32,
    /// Of all programs that ran here.
    pub(crate) cpu: Duration,
    pub(crate) output_bytes: u64,
}

/// Characters of words in a line: it is to be written at once.
const LONGEST_DETAIL: usize = 400;

impl Record {
    pub(crate) fn new() -> Record {
        Record {
            begin: Instant::now(),
            verdict: Verdict::Local,
            reason: None,
            subject: None,
            language: None,
            number: None,
            worker: None,
            retries: 0,
            cpu_time: Duration::ZERO,
            phases: Phases::default(),
            sent: 0,
            received: 0,
            source_bytes: 0,
            verified: false,
            detail: String::new(),
        }
    }

    /// The job stays or stayed here.
    pub(crate) fn because(&mut self, reason: LocalReason, subject: Option<&OsStr>) {
        self.reason = Some(reason);
        self.subject = subject.map(OsStr::to_owned);
    }

    /// For the daemon.
    pub(crate) fn for_daemon(&self, about: &About<'_>) -> JobRecord {
        let text = |text: &OsStr| text.to_string_lossy().into_owned();
        JobRecord {
            end: now(),
            verdict: self.verdict,
            reason: self.reason.map(|reason| reason.code().to_owned()),
            detail: self.detail.clone(),
            subject: self.subject.as_deref().map(text),
            file: text(about.file),
            source: about.source.map(text).unwrap_or_default(),
            folder: text(about.folder.as_os_str()),
            compiler: text(about.compiler),
            language: self.language.map(|language| language.option().to_owned()),
            build: about.build.map(text),
            build_guessed: false,
            job: self.number,
            worker: self.worker.clone(),
            exit: about.exit,
            retries: self.retries,
            verified: self.verified,
            wall: milliseconds(self.begin.elapsed()),
            cpu: milliseconds(about.cpu),
            phases: self.phases,
            sent: self.sent,
            received: self.received,
            source_bytes: self.source_bytes,
            output_bytes: about.output_bytes,
            user: None,
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
        let place = match self.verdict {
            Verdict::Own => Verdict::Local,
            other => other,
        };
        let mut line = format!(
            "1\t{}\t{}\t{}\t{}\t{exit_code}\t{}\t{}\t{}\t{}\t{}\t",
            now(),
            place.code(),
            self.reason.map_or(
                if self.verified { "verified" } else { "-" },
                LocalReason::code
            ),
            self.worker.as_deref().unwrap_or("-"),
            self.begin.elapsed().as_millis(),
            self.phases.compile,
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

/// For a record.
pub(crate) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, milliseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_thirteen_fields_whatever_the_name() {
        let mut record = Record::new();
        record.verdict = Verdict::FailedOver;
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
        record.verdict = Verdict::Own;
        let line = record.line(0, OsStr::new("x"));
        assert_eq!(line.split(|b| *b == b'\t').nth(2), Some(&b"local"[..]));
    }
}
