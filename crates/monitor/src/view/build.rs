//! Rows of builds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::rounded;
use crate::model::{Build, Cluster, HostId};
use crate::verdict::BuildVerdict;

/// One build.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BuildRow {
    /// For as long as the watcher lives.
    pub id: u64,
    /// What the submitter calls it, if it tells.
    pub key: Option<String>,
    /// Whether it is a guess which jobs belong to it.
    pub guessed: bool,
    /// The submitter.
    pub client: HostId,
    /// The user there, if records tell.
    pub user: Option<u32>,
    /// When its first job began.
    pub begun: u64,
    /// When anything last happened.
    pub last: u64,
    /// Whether a next job would still belong to it.
    pub open: bool,
    /// Jobs begun.
    pub jobs: u64,
    /// Jobs that run now.
    pub running: u32,
    /// Jobs begun on other machines.
    pub remote: u64,
    /// Jobs begun on the submitter's by the scheduler's choice.
    pub own: u64,
    /// Local jobs.
    pub local: u64,
    /// Jobs done on the submitter's after another machine had failed.
    pub failed_over: u64,
    /// Jobs that were not done at all.
    pub refused: u64,
    /// Jobs that failed.
    pub failed: u64,
    /// Jobs that were lost.
    pub lost: u64,
    /// Different files compiled.
    pub files: usize,
    /// Sum of the wall times of its compilations.
    pub serial_ms: u64,
    /// From its first job to its last event, or to now.
    pub wall_ms: u64,
    /// How many times faster than one after the other.
    pub speed_up: Option<f64>,
    /// Remote jobs among all, in percent.
    pub remote_percent: Option<f64>,
    /// Bytes of source sent, compressed.
    pub sent: u64,
    /// Bytes of results received, compressed.
    pub received: u64,
    /// How long it will take from now on, from the build before; a guess.
    pub estimate_ms: Option<u64>,
    /// Jobs by the reason why they were not done elsewhere.
    pub reasons: BTreeMap<String, u64>,
    /// Jobs that ran at the same time, over its length.
    pub parallel: Vec<u32>,
    /// Length of one value of `parallel`.
    pub parallel_step_ms: u64,
    /// Length of its longest chain.
    pub critical_path_ms: u64,
    /// Whether that is more than a lower bound.
    pub critical_path_exact: bool,
    /// What bounded it; none while it runs, and none without records.
    pub verdict: Option<BuildVerdict>,
}

/// One build.
pub fn build(from: &Cluster, number: u64, now: u64) -> Option<BuildRow> {
    from.build(number).map(|build| row(from, now, build))
}

/// All builds, the newest first.
pub fn builds(from: &Cluster, now: u64) -> Vec<BuildRow> {
    let builds = from.builds().rev();
    builds.map(|build| row(from, now, build)).collect()
}

fn row(from: &Cluster, now: u64, build: &Build) -> BuildRow {
    let open = build.is_open(now);
    // While it runs a verdict would change with every job, and cost as much each time.
    let analysis = match open {
        true => None,
        false => build.analysis(from.facts_for(build)),
    };
    let jobs = build.jobs();
    let wall = match build.running {
        0 => build.wall(),
        _ => now.saturating_sub(build.begun),
    };
    let points = build.curve().points();
    BuildRow {
        id: build.number,
        key: build.key.clone(),
        guessed: build.guessed,
        client: build.client,
        user: build.user,
        begun: build.begun,
        last: build.last,
        open,
        jobs,
        running: build.running,
        remote: build.remote,
        own: build.own,
        local: build.local,
        failed_over: build.failed_over,
        refused: build.refused,
        failed: build.failed,
        lost: build.lost,
        files: build.files(),
        serial_ms: build.serial_ms,
        wall_ms: wall,
        speed_up: (build.serial_ms > 0 && wall > 0)
            .then(|| rounded(build.serial_ms as f64 / wall as f64)),
        remote_percent: (jobs > 0).then(|| rounded(100.0 * build.remote as f64 / jobs as f64)),
        sent: build.sent,
        received: build.received,
        estimate_ms: open.then(|| from.estimate(build, now)).flatten(),
        reasons: build.reasons.clone(),
        parallel: points.iter().map(|level| level.round() as u32).collect(),
        parallel_step_ms: build.curve().width(),
        critical_path_ms: analysis
            .as_ref()
            .map_or(build.longest_ms, |analysis| analysis.critical_path_ms),
        critical_path_exact: analysis.is_some() && build.is_recorded(),
        verdict: analysis.map(|analysis| analysis.verdict),
    }
}
