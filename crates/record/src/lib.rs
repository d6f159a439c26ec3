//! The record of a job: what the wrapper tells its daemon when a job is over, the daemon tells the scheduler, and every face
//! shows. One JSON object; members are added, never renamed, and unknown ones are ignored.
//!
//! Whoever reads a record did not write it: [`JobRecord::parse`] bounds every part.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The datagram socket on which a daemon takes records, each a datagram: beside its stream socket.
pub fn socket_beside(stream_socket: &Path) -> PathBuf {
    let mut path = stream_socket.as_os_str().to_owned();
    path.push(".records");
    path.into()
}

/// Bytes of a record as JSON; longer ones are not read.
pub const LONGEST: usize = 8 * 1024;

/// Characters of a file's name that are kept, from its end.
pub const LONGEST_FILE: usize = 1000;

/// Characters of words about a failure that are kept, from their beginning.
pub const LONGEST_DETAIL: usize = 400;

/// Characters of every other word.
const LONGEST_WORD: usize = 100;

/// The last moment that is believed, in ms since 1970: the end of the year 9999.
pub const LATEST: u64 = 253_402_300_799_999;

/// The longest time that is believed, in ms: a year. Whoever adds up records need not fear for the sum.
const LONGEST_TIME: u64 = 366 * 24 * 3600 * 1000;

/// The most bytes that are believed.
const MOST_BYTES: u64 = 1 << 40;

/// Where a job was done.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// On another machine.
    Remote,
    /// On the submitter's own, by the scheduler's choice.
    Own,
    /// On the submitter's own, because it cannot or shall not travel.
    #[default]
    Local,
    /// On the submitter's own, after an attempt elsewhere had failed.
    FailedOver,
    /// Nowhere: the policy forbids to do it here.
    Refused,
}

impl Verdict {
    /// The stable word, as in JSON.
    pub const fn code(self) -> &'static str {
        match self {
            Verdict::Remote => "remote",
            Verdict::Own => "own",
            Verdict::Local => "local",
            Verdict::FailedOver => "failed-over",
            Verdict::Refused => "refused",
        }
    }
}

/// How long each part of a job took, in milliseconds of wall time; 0 for a part there was not. Parts may overlap: a source is sent
/// while it is preprocessed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Phases {
    /// Finding out what the command is and whether it may travel.
    pub analyse: u64,
    /// Getting the toolchain's name or archive from the daemon.
    pub toolchain: u64,
    /// From asking for a worker to knowing one.
    pub wait: u64,
    /// Connecting to the worker.
    pub connect: u64,
    /// Sending the toolchain, and waiting until it is installed.
    pub install: u64,
    /// Preprocessing.
    pub preprocess: u64,
    /// Sending the source.
    pub send: u64,
    /// From the source being sent to the compiler's end: its time in the worker's queue and the compilation itself.
    pub compile: u64,
    /// Receiving the result and writing it.
    pub receive: u64,
    /// Waiting for a slot of the own machine.
    pub slot: u64,
    /// Running here.
    pub local: u64,
}

impl Phases {
    /// Name and milliseconds of each part, in the order in which they happen.
    pub const fn parts(&self) -> [(&'static str, u64); 11] {
        [
            ("analyse", self.analyse),
            ("toolchain", self.toolchain),
            ("wait", self.wait),
            ("connect", self.connect),
            ("install", self.install),
            ("preprocess", self.preprocess),
            ("send", self.send),
            ("compile", self.compile),
            ("receive", self.receive),
            ("slot", self.slot),
            ("local", self.local),
        ]
    }
}

/// What is kept of one job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct JobRecord {
    /// When it was over, in milliseconds since 1970 on the submitter's clock.
    pub end: u64,
    /// Where it was done.
    pub verdict: Verdict,
    /// Why not elsewhere: a stable code of docs/local-reasons.md; none for a remote job.
    pub reason: Option<String>,
    /// What went wrong at the last attempt elsewhere, in words; empty if nothing did.
    pub detail: String,
    /// The option, variable or file the reason is about, if it is about one; `-march=native` for instance.
    pub subject: Option<String>,
    /// The output, or the source if there is none, as on the command line.
    pub file: String,
    /// The source, as on the command line; empty if there is none.
    pub source: String,
    /// The folder the command ran in.
    pub folder: String,
    /// The compiler, as called.
    pub compiler: String,
    /// The language, `c++` for instance, if it is known.
    pub language: Option<String>,
    /// The build it belongs to: `GELATO_BUILD_ID`, or what the daemon guessed.
    pub build: Option<String>,
    /// Whether the daemon guessed the build.
    pub build_guessed: bool,
    /// The scheduler's number of the last attempt, if one was asked.
    pub job: Option<u32>,
    /// The worker that did it or was tried last, `name:port` or `address:port`.
    pub worker: Option<String>,
    /// The exit status; of a program that was killed, 128 and its signal.
    pub exit: i32,
    /// Attempts elsewhere that failed.
    pub retries: u32,
    /// Whether several workers did it and agreed.
    pub verified: bool,
    /// Wall time in ms.
    pub wall: u64,
    /// CPU time of children here in ms.
    pub cpu: u64,
    /// How that time was spent.
    pub phases: Phases,
    /// Bytes sent to workers.
    pub sent: u64,
    /// Bytes received from workers.
    pub received: u64,
    /// Bytes of preprocessed source before compression; 0 if not known.
    pub source_bytes: u64,
    /// Bytes of the output; 0 if not known.
    pub output_bytes: u64,
    /// User on the submitter; the daemon says, not the wrapper.
    pub user: Option<u32>,
}

impl JobRecord {
    /// Reads a record as JSON, cutting what is too long and smoothing control characters.
    ///
    /// # Errors
    /// What is wrong with it, as a fragment of a sentence.
    pub fn parse(json: &[u8]) -> Result<JobRecord, String> {
        if json.len() > LONGEST {
            return Err(format!(
                "a record of {} bytes; {LONGEST} are allowed",
                json.len()
            ));
        }
        // Serde would take an array of the members' values, too.
        if json.trim_ascii_start().first() != Some(&b'{') {
            return Err("not a JSON object".to_owned());
        }
        let record: JobRecord = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        Ok(record.bounded())
    }

    /// As JSON on one line, never longer than [`LONGEST`].
    pub fn to_json(&self) -> String {
        let bounded = self.clone().bounded();
        let text = |record: &JobRecord| serde_json::to_string(record).unwrap_or_default();
        let json = text(&bounded);
        if json.len() <= LONGEST {
            return json;
        }
        // Long names in a script with wide characters, or full of quotes.
        text(&JobRecord {
            file: ending(&bounded.file, LONGEST_WORD),
            source: ending(&bounded.source, LONGEST_WORD),
            folder: ending(&bounded.folder, LONGEST_WORD),
            detail: beginning(&bounded.detail, LONGEST_WORD),
            ..bounded
        })
    }

    /// Within the limits every reader may rely on.
    #[must_use]
    pub fn bounded(mut self) -> JobRecord {
        self.file = ending(&self.file, LONGEST_FILE);
        self.source = ending(&self.source, LONGEST_FILE);
        self.folder = ending(&self.folder, LONGEST_FILE);
        self.detail = beginning(&self.detail, LONGEST_DETAIL);
        self.compiler = ending(&self.compiler, LONGEST_WORD);
        for word in [
            &mut self.reason,
            &mut self.subject,
            &mut self.language,
            &mut self.build,
            &mut self.worker,
        ] {
            *word = word.take().map(|word| beginning(&word, LONGEST_WORD));
        }
        self.end = self.end.min(LATEST);
        let phases = &mut self.phases;
        for time in [
            &mut self.wall,
            &mut self.cpu,
            &mut phases.analyse,
            &mut phases.toolchain,
            &mut phases.wait,
            &mut phases.connect,
            &mut phases.install,
            &mut phases.preprocess,
            &mut phases.send,
            &mut phases.compile,
            &mut phases.receive,
            &mut phases.slot,
            &mut phases.local,
        ] {
            *time = (*time).min(LONGEST_TIME);
        }
        for bytes in [
            &mut self.sent,
            &mut self.received,
            &mut self.source_bytes,
            &mut self.output_bytes,
        ] {
            *bytes = (*bytes).min(MOST_BYTES);
        }
        self
    }
}

fn plain(c: char) -> char {
    if c.is_control() { ' ' } else { c }
}

fn beginning(text: &str, most: usize) -> String {
    text.chars().take(most).map(plain).collect()
}

fn ending(text: &str, most: usize) -> String {
    let skipped = text.chars().count().saturating_sub(most);
    text.chars().skip(skipped).map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn figures_nobody_can_mean_do_not_overflow_sums() {
        let most = u64::MAX;
        let json = format!(
            r#"{{"end":{most},"wall":{most},"cpu":{most},"sent":{most},"received":{most},"source_bytes":{most},
            "output_bytes":{most},"phases":{{"preprocess":{most},"compile":{most},"local":{most}}}}}"#
        );
        let record = JobRecord::parse(json.as_bytes()).unwrap();
        let times = record.phases.parts().map(|(_, time)| time);
        let all = [
            record.end,
            record.wall,
            record.cpu,
            record.sent,
            record.received,
        ];
        let all = all.into_iter().chain(times);
        let all = all.chain([record.source_bytes, record.output_bytes]);
        assert!(all.into_iter().all(|figure| figure < 1 << 48));
    }

    #[test]
    fn words_are_as_in_json() {
        for verdict in [
            Verdict::Remote,
            Verdict::Own,
            Verdict::Local,
            Verdict::FailedOver,
            Verdict::Refused,
        ] {
            let json = serde_json::to_string(&verdict).unwrap();
            assert_eq!(json, format!("{:?}", verdict.code()));
        }
        let phases = serde_json::to_value(Phases::default()).unwrap();
        let names: Vec<&str> = Phases::default().parts().map(|(name, _)| name).to_vec();
        let object = phases.as_object().unwrap();
        assert_eq!(object.len(), names.len());
        assert!(names.iter().all(|name| object.contains_key(*name)));
    }

    #[test]
    fn members_of_other_releases_do_no_harm() {
        let record = JobRecord::parse(b"{\"file\":\"a.o\",\"flavour\":\"stracciatella\"}").unwrap();
        assert_eq!(record.file, "a.o");
        assert_eq!(record.verdict, Verdict::Local);
    }

    #[test]
    fn what_is_no_record_is_refused_with_a_reason() {
        let huge = format!("{{\"detail\":\"{}\"}}", "x".repeat(LONGEST));
        for text in [
            "",
            "[]",
            "{",
            "{\"end\":-1}",
            "{\"verdict\":\"maybe\"}",
            &huge,
        ] {
            assert!(!JobRecord::parse(text.as_bytes()).unwrap_err().is_empty());
        }
    }

    proptest! {
        #[test]
        fn any_record_comes_back_short_and_on_one_line(
            file in "\\PC{0,3000}", detail in any::<String>(), folder in "[\"\\\\\u{0}é]{0,2000}", end in 0..=LATEST,
        ) {
            let record = JobRecord { file, detail, folder, end, ..JobRecord::default() };
            let json = record.to_json();
            prop_assert!(json.len() <= LONGEST && !json.contains('\n'));
            let back = JobRecord::parse(json.as_bytes()).unwrap();
            prop_assert_eq!(back.end, end);
            prop_assert!(record.bounded().file.ends_with(&back.file));
        }
    }
}
