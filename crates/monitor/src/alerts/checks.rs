//! What is looked at. A check says what it finds at this moment; how long it has to last is its [`Code`]'s business.

use std::collections::BTreeMap;

use super::Finding;
use crate::model::{Cluster, Host};
use crate::view::Severity;

/// From which values on something is wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// A host that left is reported for this long, in ms.
    pub lost_for: u64,
    /// Departures of a host within ten minutes.
    pub departures: usize,
    /// Share of the last jobs of a host that failed or were lost, in percent.
    pub failing: f64,
    /// The same as a multiple of what the other hosts have.
    pub failing_times: f64,
    /// Jobs whose toolchain did not reach a worker, within five minutes.
    pub not_installed: u32,
    /// How long installing may take, in ms.
    pub install: u64,
    /// Minutes in which no compilation went elsewhere.
    pub minutes_local: u64,
    /// Wait that 95 percent of the jobs of two minutes must not exceed, in ms.
    pub wait: u32,
    /// Milliseconds by which a host's clock may be wrong.
    pub clock: i64,
    /// Free memory of a host, in MiB.
    pub memory: u32,
    /// Free disk space of a host, in MiB.
    pub disk: u64,
    /// Schedulers heard within five minutes.
    pub schedulers: usize,
    /// How long something must have been well before it is forgotten, in ms.
    pub well_after: u64,
}

impl Default for Thresholds {
    fn default() -> Thresholds {
        Thresholds {
            lost_for: 10 * MINUTE,
            departures: 3,
            failing: 20.0,
            failing_times: 3.0,
            not_installed: 3,
            install: MINUTE,
            minutes_local: 5,
            wait: 5_000,
            clock: 2_000,
            memory: 200,
            disk: 1_024,
            schedulers: 2,
            well_after: 15_000,
        }
    }
}

const MINUTE: u64 = 60_000;

/// Jobs of a host that are too few to say that it fails.
const FEW_JOBS: u32 = 10;

/// Compilations that are too few to say that none went elsewhere.
const FEW_LOCAL: u32 = 10;

/// Waits that are too few to say how long jobs wait.
const FEW_WAITS: usize = 10;

/// Versions and the like that are named in a text.
const MOST_NAMED: usize = 5;

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// A host left and did not come back.
    HostLost,
    /// A host comes and goes.
    HostFlapping,
    /// Jobs fail on a host that do not elsewhere.
    HostFailing,
    /// The scheduler cannot connect to a host.
    HostUnreachable,
    /// Toolchains do not reach workers.
    InstallFailing,
    /// A toolchain takes long to install.
    InstallSlow,
    /// No compilation goes elsewhere.
    AllLocal,
    /// Jobs wait long for workers.
    QueueSlow,
    /// A clock is wrong.
    ClockApart,
    /// Hosts run different versions.
    VersionMix,
    /// A host is short of memory.
    MemoryLow,
    /// A host is short of disk space.
    DiskLow,
    /// There are several schedulers.
    TwoSchedulers,
}

impl Code {
    /// All of them.
    pub const ALL: [Code; 13] = [
        Code::HostLost,
        Code::HostFlapping,
        Code::HostFailing,
        Code::HostUnreachable,
        Code::InstallFailing,
        Code::InstallSlow,
        Code::AllLocal,
        Code::QueueSlow,
        Code::ClockApart,
        Code::VersionMix,
        Code::MemoryLow,
        Code::DiskLow,
        Code::TwoSchedulers,
    ];

    /// The stable word.
    pub const fn word(self) -> &'static str {
        match self {
            Code::HostLost => "host-lost",
            Code::HostFlapping => "host-flapping",
            Code::HostFailing => "host-failing",
            Code::HostUnreachable => "host-unreachable",
            Code::InstallFailing => "install-failing",
            Code::InstallSlow => "install-slow",
            Code::AllLocal => "all-local",
            Code::QueueSlow => "queue-slow",
            Code::ClockApart => "clock-apart",
            Code::VersionMix => "version-mix",
            Code::MemoryLow => "memory-low",
            Code::DiskLow => "disk-low",
            Code::TwoSchedulers => "two-schedulers",
        }
    }

    /// What to do.
    pub const fn advice(self) -> &'static str {
        match self {
            Code::HostLost => {
                "See whether the machine and its daemon run: gelato doctor there says what is missing."
            }
            Code::HostFlapping => {
                "Look at the network and the daemon's log of the host, or block it until it is stable."
            }
            Code::HostFailing => {
                "Drain or block the host; test its memory and disk, and compare its system with the others'."
            }
            Code::HostUnreachable => {
                "Open the daemon's port (10245 unless changed) in the firewall of the host."
            }
            Code::InstallFailing => {
                "See why: gelato why on the submitter, and the logs of its daemon and of the worker."
            }
            Code::InstallSlow => {
                "Look at the link to the host and its disk; toolchains without debug programs are smaller."
            }
            Code::AllLocal => {
                "See why: gelato why on the submitter, or the page of reasons; gelato doctor finds what is missing."
            }
            Code::QueueSlow => "More slots are wanted: add workers, or lower -j of the builds.",
            Code::ClockApart => "Synchronise the clock of the host, with NTP for instance.",
            Code::VersionMix => "Update the older hosts: everybody uses only what all know.",
            Code::MemoryLow => "Give the host fewer slots or more memory: its jobs may be killed.",
            Code::DiskLow => {
                "Free disk space on the host: toolchains cannot be installed when it is full."
            }
            Code::TwoSchedulers => {
                "Stop all schedulers of the network but one, or give them netnames of their own."
            }
        }
    }

    /// How long it must last before it is told, in ms.
    pub(super) const fn lasts(self) -> u64 {
        match self {
            Code::HostLost | Code::HostUnreachable | Code::ClockApart | Code::MemoryLow => 10_000,
            Code::InstallSlow => MINUTE,
            Code::QueueSlow | Code::VersionMix | Code::DiskLow => 30_000,
            Code::HostFlapping
            | Code::HostFailing
            | Code::InstallFailing
            | Code::AllLocal
            | Code::TwoSchedulers => 0,
        }
    }
}

/// All that is wrong at this moment.
pub(super) fn all(cluster: &Cluster, limits: &Thresholds, now: u64) -> Vec<Finding> {
    let mut found = Vec::new();
    let failing = Failing::of(cluster);
    for (_, host) in cluster.hosts() {
        found.extend(lost(host, limits, now));
        found.extend(flapping(host, limits, now));
        if host.is_here() {
            found.extend(failing.of_host(host, limits));
            found.extend(of_host(host, limits));
        }
    }
    found.extend(installs(cluster, limits, now));
    found.extend(all_local(cluster, limits, now));
    found.extend(waits(cluster, limits, now));
    found.extend(versions(cluster));
    found.extend(schedulers(cluster, limits, now));
    found
}

fn about(
    host: &Host,
    code: Code,
    severity: Severity,
    value: f64,
    threshold: f64,
    text: String,
) -> Finding {
    Finding {
        code,
        severity,
        subject: host.facts.name.clone(),
        value,
        threshold,
        text,
    }
}

fn lost(host: &Host, limits: &Thresholds, now: u64) -> Option<Finding> {
    // Departures count, and not that another scheduler has not seen it yet.
    let left = host.left_at().filter(|_| host.departures_since(0) > 0)?;
    let gone = now.saturating_sub(left);
    // One that took no jobs is a submitter that went home.
    let was_useful = !host.facts.no_remote && host.as_server.finished > 0;
    let code = Code::HostLost;
    (was_useful && gone < limits.lost_for).then(|| {
        let text = format!("{} left with its {} slots", host.facts.name, host.slots());
        about(
            host,
            code,
            Severity::Warning,
            gone as f64 / 1000.0,
            code.lasts() as f64 / 1000.0,
            text,
        )
    })
}

fn flapping(host: &Host, limits: &Thresholds, now: u64) -> Option<Finding> {
    let times = host.departures_since(now.saturating_sub(10 * MINUTE));
    (times >= limits.departures).then(|| {
        let text = format!("{} left {times} times within ten minutes", host.facts.name);
        about(
            host,
            Code::HostFlapping,
            Severity::Warning,
            times as f64,
            limits.departures as f64,
            text,
        )
    })
}

/// How often jobs fail, and how often on all hosts.
struct Failing {
    bad: u32,
    seen: u32,
}

impl Failing {
    fn of(cluster: &Cluster) -> Failing {
        let outcomes = cluster.hosts().map(|(_, host)| host.recent_outcomes());
        let (bad, seen) = outcomes.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        Failing { bad, seen }
    }

    fn of_host(&self, host: &Host, limits: &Thresholds) -> Option<Finding> {
        let (bad, seen) = host.recent_outcomes();
        let others = self.seen - seen;
        if seen < FEW_JOBS || others < FEW_JOBS {
            return None;
        }
        let percent = |bad: u32, seen: u32| 100.0 * f64::from(bad) / f64::from(seen.max(1));
        let (here, elsewhere) = (percent(bad, seen), percent(self.bad - bad, others));
        let limit = limits.failing.max(limits.failing_times * elsewhere);
        (here >= limit).then(|| {
            let text = format!(
                "{here:.0} % of the last {seen} jobs on {} failed, {elsewhere:.0} % on the others",
                host.facts.name
            );
            about(
                host,
                Code::HostFailing,
                Severity::Critical,
                here,
                limit,
                text,
            )
        })
    }
}

fn of_host(host: &Host, limits: &Thresholds) -> Vec<Finding> {
    let name = &host.facts.name;
    let mut found = Vec::new();
    let mut add = |code, severity, value: f64, threshold: f64, text| {
        found.push(about(host, code, severity, value, threshold, text));
    };
    if host
        .facts
        .others
        .get("Accepting")
        .is_some_and(|said| said == "false")
    {
        let text = format!(
            "the scheduler cannot connect to {name}: {} slots are lost",
            host.slots()
        );
        add(Code::HostUnreachable, Severity::Critical, 1.0, 1.0, text);
    }
    if let Some(count) = host.said_number("Installing").filter(|count| *count > 0) {
        let text = format!("{name} has been installing {count} toolchains for more than a minute");
        add(
            Code::InstallSlow,
            Severity::Warning,
            count as f64,
            1.0,
            text,
        );
    }
    if let Some(ahead) = host
        .clock_ahead()
        .filter(|ahead| ahead.abs() > limits.clock)
    {
        let word = if ahead > 0 { "ahead" } else { "behind" };
        let text = format!(
            "the clock of {name} is {:.1} s {word}",
            ahead.abs() as f64 / 1000.0
        );
        add(
            Code::ClockApart,
            Severity::Warning,
            ahead.abs() as f64,
            limits.clock as f64,
            text,
        );
    }
    if let Some(free) = host.facts.free_memory.filter(|free| *free < limits.memory) {
        let text = format!("{name} has {free} MiB of memory left");
        add(
            Code::MemoryLow,
            Severity::Warning,
            free.into(),
            limits.memory.into(),
            text,
        );
    }
    if let Some(free) = host
        .said_number("FreeDisk")
        .filter(|free| *free < limits.disk)
    {
        let text = format!("{name} has {free} MiB of disk space left");
        add(
            Code::DiskLow,
            Severity::Warning,
            free as f64,
            limits.disk as f64,
            text,
        );
    }
    found
}

fn whole(code: Code, severity: Severity, value: f64, threshold: f64, text: String) -> Finding {
    Finding {
        code,
        severity,
        subject: String::new(),
        value,
        threshold,
        text,
    }
}

fn installs(cluster: &Cluster, limits: &Thresholds, now: u64) -> Option<Finding> {
    let minutes = cluster.recent().minutes(now.saturating_sub(5 * MINUTE));
    let count: u32 = minutes.map(|minute| minute.not_installed).sum();
    (count >= limits.not_installed).then(|| {
        let text =
            format!("the toolchain of {count} jobs did not reach a worker within five minutes");
        whole(
            Code::InstallFailing,
            Severity::Critical,
            count.into(),
            limits.not_installed.into(),
            text,
        )
    })
}

fn all_local(cluster: &Cluster, limits: &Thresholds, now: u64) -> Option<Finding> {
    // Only if somebody else could do it.
    if cluster.occupancy().available < 2 {
        return None;
    }
    let since = now.saturating_sub(limits.minutes_local * MINUTE);
    let mut minutes = 0;
    let (mut remote, mut here) = (0, 0);
    for minute in cluster.recent().minutes(since) {
        remote += minute.remote;
        here += minute.here;
        minutes += u64::from(minute.here > 0);
    }
    // Work in most of these minutes, and not only in the last.
    (remote == 0 && here >= FEW_LOCAL && minutes >= limits.minutes_local).then(|| {
        let text = format!(
            "all {here} compilations of the last {} minutes stayed on their submitters",
            limits.minutes_local
        );
        whole(
            Code::AllLocal,
            Severity::Critical,
            here.into(),
            FEW_LOCAL.into(),
            text,
        )
    })
}

fn waits(cluster: &Cluster, limits: &Thresholds, now: u64) -> Option<Finding> {
    let (count, wait) = cluster
        .recent()
        .wait(now.saturating_sub(2 * MINUTE), 0.95)?;
    (count >= FEW_WAITS && wait > limits.wait).then(|| {
        let text = format!(
            "one job of twenty waits for more than {:.1} s for a worker",
            f64::from(wait) / 1000.0
        );
        whole(
            Code::QueueSlow,
            Severity::Warning,
            wait.into(),
            limits.wait.into(),
            text,
        )
    })
}

fn versions(cluster: &Cluster) -> Option<Finding> {
    let mut versions: BTreeMap<String, u32> = BTreeMap::new();
    for (_, host) in cluster.hosts().filter(|(_, host)| host.is_here()) {
        let version = match host.facts.others.get("Software") {
            Some(software) => software.clone(),
            None => format!("protocol {}", host.facts.protocol),
        };
        *versions.entry(version).or_default() += 1;
    }
    (versions.len() > 1).then(|| {
        let named = versions.iter().take(MOST_NAMED);
        let named: Vec<String> = named
            .map(|(version, count)| format!("{version} on {count}"))
            .collect();
        let text = format!(
            "hosts run {} versions: {}",
            versions.len(),
            named.join(", ")
        );
        whole(
            Code::VersionMix,
            Severity::Warning,
            versions.len() as f64,
            2.0,
            text,
        )
    })
}

fn schedulers(cluster: &Cluster, limits: &Thresholds, now: u64) -> Option<Finding> {
    let heard = cluster.recent().schedulers(now.saturating_sub(5 * MINUTE));
    (heard.len() >= limits.schedulers).then(|| {
        let text = format!(
            "within five minutes there were schedulers at {}",
            heard.join(" and ")
        );
        whole(
            Code::TwoSchedulers,
            Severity::Warning,
            heard.len() as f64,
            limits.schedulers as f64,
            text,
        )
    })
}
