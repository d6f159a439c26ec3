//! The row of the whole.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{CLUSTER_STRIP, in_pairs, rounded};
use crate::model::{Cluster, Link, Totals};

/// Whether a scheduler is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkWord {
    /// None has been found yet.
    Searching,
    /// Yes.
    Up,
    /// Not any more: all else is as it was last.
    Down,
}

/// The whole at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClusterRow {
    /// Address of the scheduler that was heard last.
    pub scheduler: Option<String>,
    /// The network's name.
    pub netname: Option<String>,
    /// The agreed protocol version.
    pub protocol: Option<u32>,
    /// The scheduler's program and version, if it tells.
    pub version: Option<String>,
    /// How it chooses workers, if it tells.
    pub algorithm: Option<String>,
    /// When it started, if it tells.
    pub started: Option<u64>,
    /// Names and addresses of hosts that an operator blocked, if it tells.
    pub blocked: Vec<String>,
    /// Whether it is heard.
    pub link: LinkWord,
    /// Since when that is so.
    pub link_since: Option<u64>,
    /// Why it is not heard.
    pub link_reason: Option<String>,
    /// Hosts that are there.
    pub hosts: usize,
    /// Of these, hosts that take jobs of others.
    pub available: usize,
    /// Of these, hosts on which something runs.
    pub active: usize,
    /// Slots of available hosts.
    pub slots: u32,
    /// Jobs running anywhere, local ones included; may exceed the slots.
    pub running: u32,
    /// Of these, those on their submitter's own machine.
    pub running_here: u32,
    /// Jobs that wait for a worker.
    pub queued: u32,
    /// Sums since the picture began.
    pub totals: Totals,
    /// By platform, that with most slots first.
    pub platforms: Vec<PlatformRow>,
    /// Own and local jobs among all, in percent; none before the first.
    pub local_percent: Option<f64>,
    /// Whether records of jobs are told: without them reasons, phases and verdicts are not known.
    pub has_records: bool,
    /// The watcher's clock.
    pub now: u64,
    /// Jobs running over the last five minutes, one value for each two seconds, the newest last.
    pub busy_strip: Vec<u32>,
}

/// One platform.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlatformRow {
    /// Its name.
    pub platform: String,
    /// Slots of available hosts.
    pub slots: u32,
    /// Jobs running on hosts of it.
    pub busy: u32,
    /// Hosts that are there.
    pub hosts: usize,
}

/// The whole at `now`.
pub fn cluster(from: &Cluster, now: u64) -> ClusterRow {
    let (link, link_since, link_reason) = match from.link() {
        Link::Searching => (LinkWord::Searching, None, None),
        Link::Up { since, .. } => (LinkWord::Up, Some(*since), None),
        Link::Down { reason, since } => (LinkWord::Down, Some(*since), Some(reason.clone())),
    };
    let scheduler = from.scheduler();
    let sum = from.occupancy();
    let totals = from.totals();
    let here = totals.own + totals.local;
    let all = here + totals.remote;
    ClusterRow {
        scheduler: scheduler.map(|scheduler| scheduler.address.clone()),
        netname: scheduler.and_then(|scheduler| scheduler.netname.clone()),
        protocol: scheduler.map(|scheduler| scheduler.protocol),
        version: scheduler.and_then(|scheduler| scheduler.version.clone()),
        algorithm: scheduler.and_then(|scheduler| scheduler.algorithm.clone()),
        started: scheduler.and_then(|scheduler| scheduler.started),
        blocked: scheduler.map_or_else(Vec::new, |scheduler| scheduler.blocked.clone()),
        link,
        link_since,
        link_reason,
        hosts: sum.hosts,
        available: sum.available,
        active: sum.active,
        slots: sum.slots,
        running: sum.running,
        running_here: sum.running_here,
        queued: sum.queued,
        totals,
        platforms: platforms(from),
        local_percent: (all > 0).then(|| rounded(100.0 * here as f64 / all as f64)),
        has_records: from.records_told() > 0,
        now,
        busy_strip: in_pairs(&from.busy().last(now, CLUSTER_STRIP)),
    }
}

fn platforms(from: &Cluster) -> Vec<PlatformRow> {
    let mut rows: BTreeMap<&str, PlatformRow> = BTreeMap::new();
    for (_, host) in from.hosts().filter(|(_, host)| host.is_here()) {
        let row = rows.entry(&host.facts.platform).or_default();
        row.hosts += 1;
        row.busy += host.busy();
        if host.is_available() {
            row.slots = row.slots.saturating_add(host.slots());
        }
    }
    let named = rows.into_iter().map(|(platform, row)| PlatformRow {
        platform: platform.to_owned(),
        ..row
    });
    let mut rows: Vec<PlatformRow> = named.collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.slots));
    rows
}
