//! What bounded a build, from the records of its jobs.

use gelato_record::{JobRecord, Verdict};
use serde::{Deserialize, Serialize};

/// What has to be known besides the records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Processors of the submitter; 0 if not known.
    pub processors: u32,
    /// Slots the cluster offers to it; 0 if not known.
    pub slots: u32,
}

/// What bounded a build.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// The submitter's processors: preprocessing and other work that cannot travel with the jobs.
    SubmitterCpu,
    /// Sending sources and receiving results.
    Network,
    /// Too few slots: jobs waited for workers.
    Slots,
    /// Few jobs at the end that took longer than others of their size.
    Stragglers,
    /// One file, or one after the other, that take as long as the build.
    CriticalPath,
    /// Links and other work done by the submitter alone.
    Links,
    /// None of these.
    #[default]
    Nothing,
}

/// A figure that speaks for a verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// What was measured.
    pub what: String,
    /// How much.
    pub value: f64,
    /// Of what: `%`, `ms`, `B`, or nothing.
    pub unit: String,
}

/// How long the build would have taken with another number of slots, at best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhatIf {
    /// Slots.
    pub slots: u32,
    /// Wall time in ms.
    pub wall_ms: u64,
}

/// What bounded a build, and why we think so.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BuildVerdict {
    /// In a word.
    pub bound: Bound,
    /// In a sentence, with what to do.
    pub sentence: String,
    /// The figures behind it.
    pub evidence: Vec<Evidence>,
    /// With other numbers of slots.
    pub what_if: Vec<WhatIf>,
}

/// What of a record matters here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    pub(crate) end: u64,
    pub(crate) wall: u32,
    pub(crate) cpu: u32,
    pub(crate) verdict: Verdict,
    /// Milliseconds of each part, as in [`gelato_record::Phases::parts`].
    pub(crate) phases: [u32; 11],
    pub(crate) moved: u32,
    pub(crate) source: u32,
    /// Whether it is a compilation, and not a link or something else.
    pub(crate) compiles: bool,
}

impl Work {
    pub(crate) fn of(record: &JobRecord) -> Work {
        let small = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        let travels = matches!(
            record.verdict,
            Verdict::Remote | Verdict::Own | Verdict::FailedOver
        );
        Work {
            end: record.end,
            wall: small(record.wall),
            cpu: small(record.cpu),
            verdict: record.verdict,
            phases: record.phases.parts().map(|(_, ms)| small(ms)),
            moved: small(record.sent.saturating_add(record.received)),
            source: small(record.source_bytes),
            compiles: travels
                || record.language.is_some() && record.reason.as_deref() != Some("no-compile-step"),
        }
    }

    /// Its wall time without waiting for a worker or a slot.
    pub(crate) fn busy(&self) -> u64 {
        let waits = self.phases[2].saturating_add(self.phases[9]);
        self.wall.saturating_sub(waits).into()
    }

    pub(crate) fn begun(&self) -> u64 {
        self.end.saturating_sub(self.wall.into())
    }
}

/// All that is made of a build's records.
#[derive(Clone, Debug, Default)]
pub struct Analysis {
    /// What bounded it.
    pub verdict: BuildVerdict,
    /// The least time it can take with any number of slots, in ms.
    pub critical_path_ms: u64,
}

impl Analysis {
    pub(crate) fn of(works: &[Work], _facts: Facts) -> Analysis {
        Analysis {
            verdict: BuildVerdict::default(),
            critical_path_ms: critical_path(works),
        }
    }
}

/// The longest compilation without its waits, and the links that began after it, one after the other.
fn critical_path(works: &[Work]) -> u64 {
    let compilations = works.iter().filter(|work| work.compiles);
    let longest = compilations.max_by_key(|work| work.busy());
    let (mut length, mut end) = longest.map_or((0, 0), |work| (work.busy(), work.end));
    let mut links: Vec<&Work> = works.iter().filter(|work| !work.compiles).collect();
    links.sort_unstable_by_key(|work| work.begun());
    for link in links {
        if link.begun() >= end {
            length += link.busy();
            end = link.end;
        }
    }
    length
}
