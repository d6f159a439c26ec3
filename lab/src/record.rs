//! Where each job of a build ran, from what the wrappers wrote.
//!
//! Ours write one line per job into a build log; Icecream's wrapper tells it only in its debug log, where the lines of
//! several processes are mixed and told apart by process number.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// How one job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Compiled by the worker at this address.
    Remote(String),
    /// Compiled here, for this reason if the wrapper gives one.
    Local(String),
    /// A remote attempt failed and the job was done here, for this reason.
    FailedOver(String),
}

/// One job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRecord {
    /// Where it ran.
    pub verdict: Verdict,
    /// What it was about: a path or a command line.
    pub what: String,
    /// When and how, if the record tells.
    pub course: Option<Course>,
}

/// When a job ran and how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Course {
    /// Its end, in milliseconds since 1970.
    pub ended: u64,
    /// From start to end of the wrapper.
    pub took: Duration,
    /// Exit code of the wrapper.
    pub exit_code: i32,
}

/// How many jobs ran where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Jobs compiled by a worker.
    pub remote: usize,
    /// Jobs compiled here at once.
    pub local: usize,
    /// Jobs compiled here after a failed attempt elsewhere.
    pub failed_over: usize,
}

/// Counts.
pub fn tally(records: &[JobRecord]) -> Tally {
    let mut tally = Tally::default();
    for record in records {
        match record.verdict {
            Verdict::Remote(_) => tally.remote += 1,
            Verdict::Local(_) => tally.local += 1,
            Verdict::FailedOver(_) => tally.failed_over += 1,
        }
    }
    tally
}

/// Reads our build log (format 1).
///
/// # Errors
/// A line has another form.
pub fn from_build_log(text: &str) -> Result<Vec<JobRecord>> {
    text.lines()
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            let field = |index: usize| {
                fields
                    .get(index)
                    .copied()
                    .with_context(|| format!("short line {line:?}"))
            };
            if field(0)? != "1" {
                bail!("unknown format of build log line {line:?}");
            }
            let verdict = match field(2)? {
                "remote" => Verdict::Remote(field(4)?.to_owned()),
                "local" => Verdict::Local(field(3)?.to_owned()),
                "failed-over" => Verdict::FailedOver(field(3)?.to_owned()),
                other => bail!("unknown verdict {other:?}"),
            };
            let course = Course {
                ended: field(1)?.parse()?,
                took: Duration::from_millis(field(6)?.parse()?),
                exit_code: field(5)?.parse()?,
            };
            Ok(JobRecord {
                verdict,
                what: field(11)?.to_owned(),
                course: Some(course),
            })
        })
        .collect()
}

/// Reads the debug log of Icecream's wrappers.
pub fn from_icecream_log(text: &str) -> Vec<JobRecord> {
    #[derive(Default)]
    struct Seen {
        host: Option<String>,
        received: bool,
        local: bool,
        why: String,
        what: String,
    }
    let mut jobs: BTreeMap<&str, Seen> = BTreeMap::new();
    for line in text.lines() {
        let Some((pid, rest)) = line
            .strip_prefix("ICECC[")
            .and_then(|line| line.split_once("] "))
        else {
            continue;
        };
        // Date, time, text.
        let Some(words) = rest.splitn(3, ' ').nth(2) else {
            continue;
        };
        if let Some(command) = words.strip_prefix("invoked as: ") {
            jobs.insert(
                pid,
                Seen {
                    what: command.to_owned(),
                    ..Seen::default()
                },
            );
        }
        // The child that preprocesses has a number of its own and no "invoked as".
        let Some(job) = jobs.get_mut(pid) else {
            continue;
        };
        if let Some(host) = words.strip_prefix("Have to use host ") {
            job.host = host.split(" - ").next().map(str::to_owned);
        } else if words.starts_with("got ") && words.contains(" bytes (") {
            job.received = true;
        } else if words.starts_with("<building_local>") || words.starts_with("building myself") {
            job.local = true;
        } else if words.starts_with("got exception") || words.starts_with("local build forced") {
            job.why = words.to_owned();
        }
    }
    jobs.into_values()
        .map(|job| {
            let verdict = match (job.host, job.local) {
                (Some(host), false) if job.received || job.why.is_empty() => Verdict::Remote(host),
                (Some(_), _) => Verdict::FailedOver(job.why),
                (None, _) => Verdict::Local(job.why),
            };
            JobRecord {
                verdict,
                what: job.what,
                course: None,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_remote_local_and_failed_over_in_an_icecream_log() {
        let log = "\
ICECC[1] 2026-11-20 23:12:21: invoked as: icecc g++ -c b.cc -o b.o
ICECC[2] 2026-11-20 23:12:22: invoked as: icecc gcc a.o -o a
ICECC[1] 2026-11-20 23:12:21: Have to use host 10.77.0.3:10245 - Job ID: 2 - env: x86_64 - has env: false - match j: 0
ICECC[9] 2026-11-20 23:12:22: preparing source to send: /usr/bin/g++ -O2 -E b.cc -fdirectives-only
ICECC[2] 2026-11-20 23:12:22: <building_local>
ICECC[1] 2026-11-20 23:12:22: got 411 bytes (36%)
ICECC[3] 2026-11-20 23:12:22: invoked as: icecc gcc -c c.c
ICECC[3] 2026-11-20 23:12:22: Have to use host 10.77.0.3:10245 - Job ID: 3 - env: x86_64
ICECC[3] 2026-11-20 23:12:23: got exception \"Error 14\" (10.77.0.3)
ICECC[3] 2026-11-20 23:12:23: <building_local>
";
        let records = from_icecream_log(log);
        assert_eq!(
            records[0].verdict,
            Verdict::Remote("10.77.0.3:10245".into())
        );
        assert_eq!(
            tally(&records),
            Tally {
                remote: 1,
                local: 1,
                failed_over: 1
            }
        );
    }

    #[test]
    fn reads_a_build_log() {
        let log = "1\t1795216383000\tremote\t-\t10.77.0.3:10245\t0\t50\t30\t10\t100\t200\ta.o\n\
                   1\t1795216383000\tlocal\tlink\t-\t0\t50\t0\t40\t0\t0\ta\n";
        let records = from_build_log(log).unwrap();
        assert_eq!(
            tally(&records),
            Tally {
                remote: 1,
                local: 1,
                failed_over: 0
            }
        );
        assert_eq!(records[1].verdict, Verdict::Local("link".into()));
        assert_eq!(
            records[0].course,
            Some(Course {
                ended: 1_795_216_383_000,
                took: Duration::from_millis(50),
                exit_code: 0
            })
        );
        assert!(from_build_log("2\tx").is_err());
    }
}
