//! What bounded a build, from the records of its jobs.
//!
//! Every moment of the build is put under one heading ([`sweep`]): what kept it from going faster just then. The heading with most of
//! the time is the verdict, unless none has a quarter of it.

mod sweep;
mod words;
mod work;

use gelato_record::JobRecord;
use serde::{Deserialize, Serialize};

use sweep::{Heading, Times};
pub(crate) use work::{Doing, Work};

/// A heading with less than this share of the build bounds nothing.
const LEAST_SHARE: f64 = 0.25;

/// A job that took this many times longer for its size than others is a straggler.
const STRAGGLES: f64 = 2.5;

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

/// What bounded the build of which these are the records.
pub fn of(records: &[JobRecord], facts: Facts) -> BuildVerdict {
    let works: Vec<Work> = records.iter().map(Work::of).collect();
    Analysis::of(&works, facts).verdict
}

/// All that is made of a build's records.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Analysis {
    /// What bounded it.
    pub verdict: BuildVerdict,
    /// The least time it can take with any number of slots, in ms.
    pub critical_path_ms: u64,
}

impl Analysis {
    pub(crate) fn of(works: &[Work], facts: Facts) -> Analysis {
        let times = Times::of(works, facts);
        let bound = bound(works, &times);
        Analysis {
            verdict: BuildVerdict {
                bound,
                sentence: words::sentence(bound, works, &times),
                evidence: words::evidence(bound, works, &times, facts),
                what_if: what_if(works, &times, facts),
            },
            critical_path_ms: critical_path(works),
        }
    }
}

fn bound(works: &[Work], times: &Times) -> Bound {
    let (heading, share) = times.greatest();
    if share < LEAST_SHARE {
        return Bound::Nothing;
    }
    match heading {
        Heading::SubmitterCpu => Bound::SubmitterCpu,
        Heading::Network => Bound::Network,
        Heading::Slots => Bound::Slots,
        Heading::Links => Bound::Links,
        Heading::Tail if straggles(works, times) => Bound::Stragglers,
        Heading::Tail => Bound::CriticalPath,
        Heading::Toolchain | Heading::Working | Heading::Nothing => Bound::Nothing,
    }
}

/// Whether the job the end of the build waited for was slow for its size.
fn straggles(works: &[Work], times: &Times) -> bool {
    let Some(last) = times.last.and_then(|index| works.get(index)) else {
        return false;
    };
    let pace = |work: &Work| f64::from(work.compiling()) / f64::from(work.source.max(1));
    let mut paces: Vec<f64> = works
        .iter()
        .filter(|work| work.compiles && work.source > 0 && work.compiling() > 0)
        .map(pace)
        .collect();
    if last.source == 0 || paces.len() < 4 {
        return 2 * last.busy() < times.wall;
    }
    paces.sort_by(f64::total_cmp);
    pace(last) > STRAGGLES * paces[paces.len() / 2]
}

/// The build with other numbers of slots: only the time in which slots were the limit gets shorter with more, never below the longest
/// chain; with fewer than were used, the time in which workers were busy gets longer.
fn what_if(works: &[Work], times: &Times, facts: Facts) -> Vec<WhatIf> {
    let used = times.most_on_workers;
    let had = if facts.slots > 0 { facts.slots } else { used };
    if had == 0 || times.wall == 0 {
        return Vec::new();
    }
    let limited = times.of_heading(Heading::Slots);
    let busy = limited + times.of_heading(Heading::Working);
    let wall = |slots: u32| {
        if slots >= had {
            let saved = limited as f64 * (1.0 - f64::from(had) / f64::from(slots));
            let least = critical_path(works).min(times.wall);
            (times.wall - saved as u64).max(least)
        } else {
            let factor = (f64::from(used.min(had)) / f64::from(slots)).max(1.0);
            times.wall + (busy as f64 * (factor - 1.0)) as u64
        }
    };
    let mut numbers = vec![
        had.div_ceil(2),
        had,
        had.saturating_mul(2),
        had.saturating_mul(4),
    ];
    numbers.dedup();
    let rows = numbers.into_iter().map(|slots| WhatIf {
        slots,
        wall_ms: wall(slots),
    });
    rows.collect()
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

#[cfg(test)]
mod tests;
