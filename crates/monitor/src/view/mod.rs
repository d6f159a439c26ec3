//! What faces are shown: rows of plain values, made from the picture at one moment, with names that stay.
//!
//! As JSON they are what the web page, the export and scripts read: members are added, never renamed. Times are milliseconds since
//! 1970 on the watcher's clock, durations milliseconds, sizes bytes. Nothing here counts; it is the [`Cluster`] that does.

mod build;
mod cluster;
mod host;
mod job;
mod tables;

use serde::{Deserialize, Serialize};

pub use build::{BuildRow, build, builds};
pub use cluster::{ClusterRow, LinkWord, PlatformRow, cluster};
pub use host::{HostRow, TallyRow, host, hosts};
pub use job::{JobRow, job, jobs, jobs_of_build, live_and_newest};
pub use tables::{
    AlertRow, FileRow, PersonRow, ReasonRow, Severity, SlotsRow, ToolchainHost, ToolchainRow,
    alerts, files, people, reasons, slots, toolchains,
};

pub use crate::verdict::{Bound, BuildVerdict, Evidence, WhatIf};

use crate::model::{Changed, Cluster, HostId};

/// Ended jobs in a snapshot.
const NEWEST: usize = 2_000;

/// Seconds of a host's strip, one value for every two.
pub const HOST_STRIP: usize = 120;

/// Seconds of the cluster's strip, one value for every two.
pub const CLUSTER_STRIP: usize = 298;

/// Everything, for somebody who has seen nothing yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// When.
    pub at: u64,
    /// What to ask for changes with.
    pub revision: u64,
    /// The whole.
    pub cluster: ClusterRow,
    /// All hosts that are remembered.
    pub hosts: Vec<HostRow>,
    /// All jobs that are not over, and the newest that are, the oldest first.
    pub jobs: Vec<JobRow>,
    /// All builds, the newest first.
    pub builds: Vec<BuildRow>,
    /// Why jobs are local.
    pub reasons: Vec<ReasonRow>,
    /// What is wrong now.
    pub alerts: Vec<AlertRow>,
}

/// What is new since a snapshot or the change before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delta {
    /// When.
    pub at: u64,
    /// What to ask for the next changes with.
    pub revision: u64,
    /// The whole.
    pub cluster: ClusterRow,
    /// Hosts that are new or changed, without their strips: their `running` is the newest value of it.
    pub hosts: Vec<HostRow>,
    /// Hosts that were forgotten.
    pub hosts_gone: Vec<HostId>,
    /// Jobs that are new or changed.
    pub jobs: Vec<JobRow>,
    /// Builds that are new or changed.
    pub builds: Vec<BuildRow>,
    /// Why jobs are local, if that changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasons: Option<Vec<ReasonRow>>,
    /// What is wrong now, if that changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alerts: Option<Vec<AlertRow>>,
}

/// Everything.
pub fn snapshot(from: &Cluster, now: u64) -> Snapshot {
    Snapshot {
        at: now,
        revision: from.revision(),
        cluster: cluster(from, now),
        hosts: hosts(from, now),
        jobs: live_and_newest(from, now, NEWEST),
        builds: builds(from, now),
        reasons: reasons(from),
        alerts: alerts(from, now),
    }
}

/// What is new since a revision.
pub fn delta(from: &Cluster, now: u64, since: u64) -> Delta {
    let Changed {
        revision,
        hosts,
        hosts_gone,
        jobs,
        builds,
        reasons: reasons_changed,
        alerts: alerts_changed,
    } = from.changes_since(since);
    let stripped = |id: HostId| {
        let row = host(from, id, now)?;
        Some(HostRow {
            strip: Vec::new(),
            ..row
        })
    };
    Delta {
        at: now,
        revision,
        cluster: cluster(from, now),
        hosts: hosts.into_iter().filter_map(stripped).collect(),
        hosts_gone,
        jobs: jobs
            .into_iter()
            .filter_map(|id| job(from, id, now))
            .collect(),
        builds: builds
            .into_iter()
            .filter_map(|number| build(from, number, now))
            .collect(),
        reasons: reasons_changed.then(|| reasons(from)),
        alerts: alerts_changed.then(|| alerts(from, now)),
    }
}

/// Levels of one second each as whole numbers of two seconds each; something is never rounded down to nothing.
fn in_pairs(levels: &[f64]) -> Vec<u32> {
    let pairs = levels.chunks(2);
    pairs
        .map(|pair| {
            let mean = pair.iter().sum::<f64>() / pair.len() as f64;
            if mean > 0.0 {
                (mean.round() as u32).max(1)
            } else {
                0
            }
        })
        .collect()
}

/// With at most three digits after the point.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
