//! What came out of a corpus: where jobs ran, and what was different.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::record::{JobRecord, Verdict};

/// Lines of an output shown.
const EXCERPT: usize = 12;

/// One difference between the bare compiler and the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// How the line ended.
    Exit {
        /// With the bare compiler.
        local: String,
        /// Through the cluster.
        ours: String,
    },
    /// What it printed.
    Output {
        /// Which stream.
        stream: &'static str,
        /// With the bare compiler.
        local: String,
        /// Through the cluster.
        ours: String,
    },
    /// A file that only the bare compiler leaves.
    Lost(PathBuf),
    /// A file that only the cluster leaves.
    Additional(PathBuf),
    /// Another content or kind.
    Content(PathBuf),
    /// Another mode or number of names.
    Attributes {
        /// Of this file.
        path: PathBuf,
        /// With the bare compiler.
        local: String,
        /// Through the cluster.
        ours: String,
    },
}

/// What became of one case.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Of the case.
    pub name: String,
    /// Why it was not run, if so.
    pub left_out: Option<String>,
    /// None is right.
    pub differences: Vec<Difference>,
    /// The jobs of the line.
    pub jobs: Vec<JobRecord>,
    /// The table wants them all done by workers, and they were not.
    pub not_remote: bool,
    /// Why it could not be carried out, if so.
    pub error: Option<String>,
    /// All its runs together.
    pub wall: Duration,
}

/// What became of all.
#[derive(Clone, Debug)]
pub struct Report {
    /// Sorted by name.
    pub outcomes: Vec<Outcome>,
}

impl Outcome {
    pub(super) fn new(name: &str) -> Outcome {
        Outcome {
            name: name.to_owned(),
            left_out: None,
            differences: Vec::new(),
            jobs: Vec::new(),
            not_remote: false,
            error: None,
            wall: Duration::ZERO,
        }
    }

    fn is_right(&self) -> bool {
        self.differences.is_empty() && !self.not_remote && self.error.is_none()
    }
}

impl Report {
    /// Cases with a difference, not remote although they have to be, or not carried out to the end.
    pub fn failures(&self) -> impl Iterator<Item = &Outcome> {
        self.outcomes.iter().filter(|outcome| !outcome.is_right())
    }

    /// All jobs of all cases.
    pub fn jobs(&self) -> impl Iterator<Item = &JobRecord> {
        self.outcomes.iter().flat_map(|outcome| &outcome.jobs)
    }

    /// Cases all jobs of which were done by workers.
    pub fn entirely_remote(&self) -> usize {
        let remote = |job: &JobRecord| matches!(job.verdict, Verdict::Remote(_));
        self.outcomes
            .iter()
            .filter(|outcome| !outcome.jobs.is_empty() && outcome.jobs.iter().all(remote))
            .count()
    }

    fn cases_with(&self, kind: impl Fn(&Difference) -> bool) -> usize {
        self.outcomes
            .iter()
            .filter(|outcome| outcome.differences.iter().any(&kind))
            .count()
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Difference::Exit { local, ours } => write!(f, "ends with {ours}, not {local}"),
            Difference::Output {
                stream,
                local,
                ours,
            } => {
                write!(f, "{stream} differs")?;
                let (mut local, mut ours) = (local.lines(), ours.lines());
                let mut shown = 0;
                loop {
                    let pair = (local.next(), ours.next());
                    if pair == (None, None) || shown == EXCERPT {
                        return Ok(());
                    }
                    if pair.0 != pair.1 {
                        shown += 1;
                        for (mark, line) in [('-', pair.0), ('+', pair.1)] {
                            if let Some(line) = line {
                                write!(f, "\n      {mark} {line}")?;
                            }
                        }
                    }
                }
            }
            Difference::Lost(path) => write!(f, "lost: {}", path.display()),
            Difference::Additional(path) => write!(f, "additional: {}", path.display()),
            Difference::Content(path) => write!(f, "differs: {}", path.display()),
            Difference::Attributes { path, local, ours } => {
                write!(f, "{}: {ours}, not {local}", path.display())
            }
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for outcome in self.failures() {
            writeln!(f, "{}:", outcome.name)?;
            for difference in &outcome.differences {
                writeln!(f, "    {difference}")?;
            }
            if let Some(error) = &outcome.error {
                writeln!(f, "    {error}")?;
            }
            if outcome.not_remote {
                writeln!(f, "    not remote: {:?}", outcome.jobs)?;
            }
        }
        let (mut remote, mut local, mut again) = (0, BTreeMap::new(), BTreeMap::new());
        for job in self.jobs() {
            match &job.verdict {
                Verdict::Remote(_) => remote += 1,
                Verdict::Local(reason) => *local.entry(reason.as_str()).or_insert(0) += 1,
                Verdict::FailedOver(reason) => *again.entry(reason.as_str()).or_insert(0) += 1,
            }
        }
        let left_out: Vec<&Outcome> = self
            .outcomes
            .iter()
            .filter(|outcome| outcome.left_out.is_some())
            .collect();
        let total = |map: &BTreeMap<&str, usize>| map.values().sum::<usize>();
        writeln!(
            f,
            "cases: {}, left out: {}, entirely remote: {}",
            self.outcomes.len() - left_out.len(),
            left_out.len(),
            self.entirely_remote()
        )?;
        for outcome in left_out {
            let why = outcome.left_out.as_deref().unwrap_or_default();
            writeln!(f, "    left out: {}: {why}", outcome.name)?;
        }
        writeln!(
            f,
            "jobs: {} remote, {} local at once, {} local after an attempt elsewhere",
            remote,
            total(&local),
            total(&again)
        )?;
        for (what, map) in [("local", &local), ("after an attempt", &again)] {
            for (reason, count) in map {
                writeln!(f, "    {what}: {count} {reason}")?;
            }
        }
        writeln!(
            f,
            "cases in which the exit status differs: {}, files are lost: {}, additional: {}, different: {}, output differs: {}",
            self.cases_with(|d| matches!(d, Difference::Exit { .. })),
            self.cases_with(|d| matches!(d, Difference::Lost(_))),
            self.cases_with(|d| matches!(d, Difference::Additional(_))),
            self.cases_with(|d| matches!(
                d,
                Difference::Content(_) | Difference::Attributes { .. }
            )),
            self.cases_with(|d| matches!(d, Difference::Output { .. })),
        )?;
        write!(
            f,
            "cases without any difference: {}",
            self.outcomes
                .iter()
                .filter(|outcome| {
                    outcome.differences.is_empty()
                        && outcome.left_out.is_none()
                        && outcome.error.is_none()
                })
                .count()
        )
    }
}
