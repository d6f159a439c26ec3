//! Rows of hosts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{HOST_STRIP, in_pairs, rounded};
use crate::model::{Cluster, Host, HostId, JobId, Tally};

/// Most lanes of a row.
const MOST_LANES: usize = 512;

/// One host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HostRow {
    /// For as long as the watcher lives, over all its logins.
    pub id: HostId,
    /// The scheduler's number of it, while it is here.
    pub number: Option<u32>,
    /// Name of the node.
    pub name: String,
    /// Its address.
    pub ip: String,
    /// Its platform.
    pub platform: String,
    /// Its protocol version.
    pub protocol: u32,
    /// Its program and version, if the scheduler tells.
    pub software: Option<String>,
    /// Names of its features.
    pub features: Vec<String>,
    /// Whether it is logged in.
    pub here: bool,
    /// When it was first seen, or came back.
    pub since: u64,
    /// When it left, unless it is here.
    pub left: Option<u64>,
    /// Whether it takes no jobs of others.
    pub no_remote: bool,
    /// Whether it is here and takes jobs of others.
    pub available: bool,
    /// Whether the scheduler can connect to it; `null` before it tried or if it does not tell.
    pub accepting: Option<bool>,
    /// Whether an operator blocked it.
    pub blocked: bool,
    /// Whether it finishes what it has and gets nothing new.
    pub draining: bool,
    /// Toolchains being installed on it, if the scheduler tells.
    pub installing: Option<u64>,
    /// Slots.
    pub slots: u32,
    /// Jobs running on it, local ones included; may exceed the slots.
    pub running: u32,
    /// Of these, local ones.
    pub busy_local: u32,
    /// Jobs it submitted that run anywhere.
    pub submitted: usize,
    /// Jobs it submitted that wait for a worker.
    pub waiting: usize,
    /// Jobs begun on it for others.
    pub jobs_in: u64,
    /// Jobs of its own begun on others.
    pub jobs_out: u64,
    /// Jobs of its own begun on itself by the scheduler's choice.
    pub jobs_own: u64,
    /// Local jobs.
    pub jobs_local: u64,
    /// The scheduler's speed, kB of object per second of user time, adjusted.
    pub speed: f64,
    /// Jobs that speed is made of, if the scheduler tells; below 7 it is a guess.
    pub samples: Option<u64>,
    /// Load, 0 to 1000.
    pub load: u32,
    /// Load averages over 1, 5 and 15 minutes.
    pub averages: Option<[f64; 3]>,
    /// Free memory in MiB.
    pub free_memory_mb: Option<u32>,
    /// Colour and letter, below 24.
    pub mark: u8,
    /// How it confines compilers, if it tells.
    pub sandbox: Option<String>,
    /// What it wants people to know.
    pub remark: Option<String>,
    /// Jobs running over the last two minutes, one value for each two seconds, the newest last; left out of changes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub strip: Vec<u32>,
    /// As a worker, own jobs included, local ones not.
    pub as_server: TallyRow,
    /// As a submitter.
    pub as_client: TallyRow,
    /// Every other line the scheduler told.
    pub others: BTreeMap<String, String>,
    /// The job in each lane.
    pub lanes: Vec<Option<JobId>>,
}

/// Jobs of one role.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TallyRow {
    /// Jobs that ended.
    pub jobs: u64,
    /// Of these, failed ones.
    pub failed: u64,
    /// Of these, lost ones.
    pub lost: u64,
    /// Mean duration of finished jobs.
    pub mean_ms: Option<f64>,
    /// Median of the last.
    pub p50_ms: Option<u32>,
    /// What 95 percent of the last did not exceed.
    pub p95_ms: Option<u32>,
}

/// One host.
pub fn host(from: &Cluster, id: HostId, now: u64) -> Option<HostRow> {
    from.host(id).map(|host| row(now, id, host))
}

/// All hosts that are remembered, in the order in which they were first seen.
pub fn hosts(from: &Cluster, now: u64) -> Vec<HostRow> {
    from.hosts().map(|(id, host)| row(now, id, host)).collect()
}

fn row(now: u64, id: HostId, host: &Host) -> HostRow {
    let facts = &host.facts;
    let mut others = facts.others.clone();
    let mut word = |key: &str| others.remove(key).filter(|value| !value.is_empty());
    let (software, sandbox, remark) = (word("Software"), word("Sandbox"), word("Remark"));
    let accepting = word("Accepting").map(|said| said != "false");
    for told in ["Blocked", "Draining", "Installing", "Samples"] {
        others.remove(told);
    }
    HostRow {
        id,
        number: host.number,
        name: facts.name.clone(),
        ip: facts.ip.clone(),
        platform: facts.platform.clone(),
        protocol: facts.protocol,
        software,
        features: facts.features.clone(),
        here: host.is_here(),
        since: host.since,
        left: host.left_at(),
        no_remote: facts.no_remote,
        available: host.is_available(),
        accepting,
        blocked: host.says("Blocked"),
        draining: host.says("Draining"),
        installing: host.said_number("Installing"),
        slots: host.slots(),
        running: host.busy(),
        busy_local: host.busy_local(),
        submitted: host.submitted_running().len(),
        waiting: host.waiting().len(),
        jobs_in: host.jobs_in,
        jobs_out: host.jobs_out,
        jobs_own: host.jobs_own,
        jobs_local: host.jobs_local,
        speed: rounded(facts.speed),
        samples: host.said_number("Samples"),
        load: facts.load,
        averages: facts
            .averages
            .map(|all| all.map(|one| f64::from(one) / 1000.0)),
        free_memory_mb: facts.free_memory,
        mark: host.mark,
        sandbox,
        remark,
        strip: in_pairs(&host.busy_strip().last(now, HOST_STRIP)),
        as_server: tally(&host.as_server),
        as_client: tally(&host.as_client),
        others,
        lanes: host.lanes().iter().take(MOST_LANES).copied().collect(),
    }
}

fn tally(of: &Tally) -> TallyRow {
    TallyRow {
        jobs: of.finished + of.failed + of.lost,
        failed: of.failed,
        lost: of.lost,
        mean_ms: of.mean().map(rounded),
        p50_ms: of.quantile(0.5),
        p95_ms: of.quantile(0.95),
    }
}
