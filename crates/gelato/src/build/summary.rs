//! Sums up the records that wrappers append to the build log, one line a job.
//!
//! The line is tab-separated: format version `1`, end in ms since 1970, verdict (`remote`, `local`,
//! `failed-over`, `refused`), reason code, worker, exit code, wall ms, ms the worker had the job, CPU ms of
//! local children, bytes sent, bytes received, file, what went wrong in words (or `-`). Lines of any
//! other form are counted as unreadable and otherwise ignored.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use gelato_compiler::LocalReason;

/// The reason of jobs that could have gone elsewhere, had there been an elsewhere.
const NO_CLUSTER: &str = "no-cluster";

/// Different refusals that are shown.
const MOST_REFUSALS: usize = 5;

/// What a build's jobs came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    remote: u64,
    local: u64,
    failed_over: u64,
    /// Not compiled, because the policy forbids to do it here.
    refused: u64,
    /// Why jobs were compiled here, by reason code.
    reasons: BTreeMap<String, u64>,
    /// What workers said when they refused a toolchain, and which worker.
    refusals: BTreeSet<String>,
    workers: BTreeSet<String>,
    /// How long workers had the remote jobs, in all.
    worker_time: Duration,
    unreadable: u64,
}

impl Summary {
    /// Reads a whole build log.
    pub(crate) fn read(log: &[u8]) -> Summary {
        let mut summary = Summary::default();
        for line in log.split(|&b| b == b'\n').filter(|line| !line.is_empty()) {
            if summary.add(&String::from_utf8_lossy(line)).is_none() {
                summary.unreadable += 1;
            }
        }
        summary
    }

    /// Tells jobs that were kept here because there is nobody else from jobs the user keeps here:
    /// without a cluster `gelato build` sets `ICECC=no`, which saves packaging a compiler for nobody.
    pub(crate) fn without_cluster(mut self) -> Summary {
        if let Some(count) = self.reasons.remove(LocalReason::NotWanted.code()) {
            *self.reasons.entry(NO_CLUSTER.to_owned()).or_default() += count;
        }
        self
    }

    fn add(&mut self, line: &str) -> Option<()> {
        let mut fields = line.split('\t');
        if fields.next()? != "1" {
            return None;
        }
        let _end: u64 = fields.next()?.parse().ok()?;
        let verdict = fields.next()?;
        let reason = fields.next()?;
        let worker = fields.next()?;
        let _exit: i32 = fields.next()?.parse().ok()?;
        let _wall: u64 = fields.next()?.parse().ok()?;
        let worker_ms: u64 = fields.next()?.parse().ok()?;
        match verdict {
            "remote" => {
                self.remote += 1;
                self.workers.insert(worker.to_owned());
                self.worker_time += Duration::from_millis(worker_ms);
            }
            "local" | "failed-over" | "refused" => {
                match verdict {
                    "local" => self.local += 1,
                    "refused" => self.refused += 1,
                    _ => self.failed_over += 1,
                }
                *self.reasons.entry(reason.to_owned()).or_default() += 1;
            }
            _ => return None,
        }
        // Older wrappers do not say; and what went well at last still tells of a worker that cannot be used.
        let words = fields.nth(4).filter(|words| *words != "-");
        let is_refusal = reason == LocalReason::ToolchainRejected.code()
            || reason == LocalReason::WorkerRefused.code();
        if let Some(words) = words
            && is_refusal
            && self.refusals.len() < MOST_REFUSALS
        {
            self.refusals.insert(format!("{worker}: {words}"));
        }
        Some(())
    }

    /// The one line a build ends with.
    pub(crate) fn line(&self, wall: Duration) -> String {
        let jobs = self.remote + self.local + self.failed_over + self.refused;
        let mut line = format!(
            "gelato: {}: {} remote",
            count(jobs, "job", "jobs"),
            self.remote
        );
        if self.remote > 0 {
            let _ = write!(
                line,
                " on {}",
                count(self.workers.len() as u64, "worker", "workers")
            );
        }
        let _ = write!(
            line,
            ", {} local, {} failed over",
            self.local, self.failed_over
        );
        if self.refused > 0 {
            let _ = write!(line, ", {} refused by the policy", self.refused);
        }
        if !self.reasons.is_empty() {
            let reasons: Vec<String> = self
                .by_frequency()
                .into_iter()
                .map(|(code, count)| format!("{count} {code}"))
                .collect();
            let _ = write!(line, " ({})", reasons.join(", "));
        }
        let _ = write!(
            line,
            "; {} of compiling done by others, {} in all",
            seconds(self.worker_time),
            seconds(wall)
        );
        if self.unreadable > 0 {
            let _ = write!(
                line,
                "; {} could not be read",
                count(self.unreadable, "job record", "job records")
            );
        }
        line
    }

    /// What workers refused, for whoever wants every worker to be of use.
    pub(crate) fn refusals(&self) -> impl Iterator<Item = &str> {
        self.refusals.iter().map(String::as_str)
    }

    /// Reason codes with their counts, most frequent first.
    fn by_frequency(&self) -> Vec<(&String, &u64)> {
        let mut reasons: Vec<_> = self.reasons.iter().collect();
        reasons.sort_by_key(|&(code, count)| (std::cmp::Reverse(*count), code));
        reasons
    }

    /// A line for each reason, in words, most frequent first.
    pub(crate) fn explanations(&self) -> Vec<String> {
        self.by_frequency()
            .into_iter()
            .map(|(code, count)| {
                let words = if code == NO_CLUSTER {
                    "No cluster was found on the network."
                } else {
                    LocalReason::ALL
                        .iter()
                        .find(|reason| reason.code() == code)
                        .map_or("", |reason| reason.explanation().trim())
                };
                format!("{count:>6} {code}: {words}")
            })
            .collect()
    }
}

/// A number with its noun.
pub(crate) fn count(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_is_summed_up() {
        let log = b"1\t1000\tremote\t-\t10.0.0.2:10245\t0\t30\t1500\t9\t100\t200\ta.o\n\
            1\t1001\tremote\t-\t10.0.0.3:10245\t1\t30\t500\t9\t100\t200\tb.o\n\
            1\t1002\tlocal\tno-compile-step\t-\t0\t30\t0\t9\t0\t0\ta.out\n\
            1\t1002\tfailed-over\tworker-lost\t10.0.0.2:10245\t0\t30\t0\t9\t0\t0\tc.o\n\
            1\t1002\tlocal\tno-compile-step\t-\t0\t30\t0\t9\t0\t0\tb.out\n";
        let summary = Summary::read(log);
        assert_eq!(
            summary.line(Duration::from_millis(2340)),
            "gelato: 5 jobs: 2 remote on 2 workers, 2 local, 1 failed over \
             (2 no-compile-step, 1 worker-lost); 2.0 s of compiling done by others, 2.3 s in all"
        );
        assert_eq!(summary.explanations().len(), 2);
    }

    #[test]
    fn what_workers_refuse_is_shown_once() {
        let line = "1\t1002\tfailed-over\ttoolchain-rejected\t10.0.0.2:10245\t0\t30\t0\t9\t0\t0\ta.o\tthe worker \
                    refuses the toolchain: archive is truncated\n";
        let summary = Summary::read(line.repeat(3).as_bytes());
        let refusals: Vec<&str> = summary.refusals().collect();
        assert_eq!(
            refusals,
            ["10.0.0.2:10245: the worker refuses the toolchain: archive is truncated"]
        );
        assert_eq!(summary.failed_over, 3);
    }

    #[test]
    fn refused_jobs_are_counted_apart() {
        let log = b"1\t1002\trefused\tside-files\t-\t120\t30\t0\t9\t0\t0\ta.o\n";
        let line = Summary::read(log).line(Duration::ZERO);
        assert!(
            line.contains(
                "1 job: 0 remote, 0 local, 0 failed over, 1 refused by the policy (1 side-files)"
            ),
            "{line}"
        );
    }

    #[test]
    fn without_a_cluster_that_is_the_reason() {
        let log = b"1\t1002\tlocal\tnot-wanted\t-\t0\t30\t0\t9\t0\t0\ta.o\n";
        let summary = Summary::read(log).without_cluster();
        assert!(summary.line(Duration::ZERO).contains("(1 no-cluster)"));
    }

    #[test]
    fn lines_of_another_form_are_counted_and_left_alone() {
        let summary = Summary::read(b"2\tx\n1\t5\tremote\n\xff\xfe\n");
        assert_eq!(summary.unreadable, 3);
        assert!(
            summary
                .line(Duration::ZERO)
                .ends_with("; 3 job records could not be read")
        );
    }
}
