//! Rows of everything smaller: reasons, files, slots, alerts, people, toolchains.

use std::collections::BTreeMap;

use gelato_compiler::LocalReason;
use serde::{Deserialize, Serialize};

use super::rounded;
use crate::model::{Cluster, Host, HostId, NOT_TOLD};

/// Most files of a table, the slowest first.
const MOST_FILES: usize = 2_000;

/// Why jobs were not done elsewhere: one reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReasonRow {
    /// The stable code, as in docs/local-reasons.md.
    pub code: String,
    /// Jobs.
    pub count: u64,
    /// What it means.
    pub explanation: String,
    /// What to do.
    pub advice: String,
    /// The newest of them.
    pub example: String,
}

/// One file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FileRow {
    /// Its name, shortened.
    pub file: String,
    /// Compilations.
    pub jobs: u64,
    /// Of these, failed ones.
    pub failed: u64,
    /// Median of the last.
    pub p50_ms: u32,
    /// The longest ever.
    pub max_ms: u32,
    /// Mean of all.
    pub mean_ms: f64,
    /// Largest source in bytes.
    pub in_raw: u32,
    /// Largest result in bytes.
    pub out_raw: u32,
    /// Where it took longest.
    pub host: Option<HostId>,
    /// How the last compare with all: 1.2 is a fifth slower.
    pub trend: Option<f64>,
}

/// What a number for `-j` is made of, for one platform.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotsRow {
    /// The platform.
    pub platform: String,
    /// Slots that would be granted now.
    pub now: u32,
    /// Slots if nobody else worked and all hosts were well.
    pub best: u32,
    /// The number.
    pub suggestion: u32,
    /// How it comes about, a line for each step.
    pub reasoning: Vec<String>,
}

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Work goes on, worse than it could.
    Warning,
    /// Somebody's work suffers.
    Critical,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlertRow {
    /// The same for as long as it lasts: the code, and whom it is about.
    pub id: String,
    /// A stable word for what it is.
    pub code: String,
    /// How bad.
    pub severity: Severity,
    /// Whom or what it is about; empty if the whole cluster.
    pub subject: String,
    /// Since when.
    pub since: u64,
    /// What was measured.
    pub value: f64,
    /// From which value on it is wrong.
    pub threshold: f64,
    /// What is wrong, in a sentence.
    pub text: String,
    /// What to do.
    pub advice: String,
}

/// One user of a submitter.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PersonRow {
    /// The number of the user on the submitter; none for jobs without records.
    pub user: Option<u32>,
    /// The submitter.
    pub client: HostId,
    /// Jobs that are over.
    pub jobs: u64,
    /// Jobs of the submitter that run now, in the row of its newest user.
    pub running: u32,
    /// Jobs of the submitter that wait now, in the row of its newest user.
    pub waiting: u32,
    /// Mean time waited for a worker; none without records.
    pub wait_mean_ms: Option<f64>,
    /// Of the time all jobs took, in percent.
    pub share: f64,
}

/// Toolchains, as far as the scheduler tells: how many each host of a platform has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolchainRow {
    /// Its name; none where only numbers are told.
    pub name: Option<String>,
    /// The platform.
    pub platform: String,
    /// Who has some.
    pub hosts: Vec<ToolchainHost>,
    /// Bytes, if told.
    pub size: Option<u64>,
}

/// Toolchains of one host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolchainHost {
    /// The host.
    pub host: HostId,
    /// Toolchains on it.
    pub count: u64,
    /// Toolchains being installed on it.
    pub installing: u64,
}

/// Reasons, the most frequent first.
pub fn reasons(from: &Cluster) -> Vec<ReasonRow> {
    let mut rows: Vec<ReasonRow> = from
        .reasons()
        .map(|(code, reason)| {
            let known = LocalReason::ALL.iter().find(|known| known.code() == code);
            ReasonRow {
                code: code.to_owned(),
                count: reason.count,
                explanation: known
                    .map_or("", |known| known.explanation().trim())
                    .to_owned(),
                advice: known.map_or("", |known| known.advice()).to_owned(),
                example: reason.example.clone(),
            }
        })
        .collect();
    let untold = from.untold();
    if untold > 0 {
        rows.push(ReasonRow {
            code: NOT_TOLD.to_owned(),
            count: untold,
            explanation:
                "The submitter does not tell why: its client is Icecream's, or older than records."
                    .to_owned(),
            advice: "Use Gelato's client and daemon on the submitter, and its scheduler."
                .to_owned(),
            example: String::new(),
        });
    }
    rows.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.code.cmp(&b.code)));
    rows
}

/// Files, the slowest first.
pub fn files(from: &Cluster) -> Vec<FileRow> {
    let mut rows: Vec<FileRow> = from
        .files()
        .map(|(name, file)| FileRow {
            file: name.to_owned(),
            jobs: file.jobs,
            failed: file.failed,
            p50_ms: file.median().unwrap_or(0),
            max_ms: file.max_ms,
            mean_ms: rounded(file.mean().unwrap_or(0.0)),
            in_raw: file.in_raw,
            out_raw: file.out_raw,
            host: file.slowest_on,
            trend: file.trend().map(rounded),
        })
        .collect();
    rows.sort_by(|a, b| b.p50_ms.cmp(&a.p50_ms).then_with(|| a.file.cmp(&b.file)));
    rows.truncate(MOST_FILES);
    rows
}

/// What is wrong now, the worst first.
pub fn alerts(from: &Cluster, _now: u64) -> Vec<AlertRow> {
    let mut rows = from.alerts().to_vec();
    rows.sort_by(|a, b| {
        b.severity
            .cmp(&a.severity)
            .then_with(|| a.since.cmp(&b.since))
    });
    rows
}

/// Users, those with most of the time first.
pub fn people(from: &Cluster) -> Vec<PersonRow> {
    let mut newest: BTreeMap<HostId, (u64, Option<u32>)> = BTreeMap::new();
    let mut recorded: BTreeMap<HostId, u64> = BTreeMap::new();
    let mut rows = Vec::new();
    for (client, user, person) in from.people() {
        *recorded.entry(client).or_default() += person.jobs;
        let last = newest.entry(client).or_default();
        if person.last >= last.0 {
            *last = (person.last, user);
        }
        let mean = person.wait_ms as f64 / person.jobs.max(1) as f64;
        rows.push((
            person.wall_ms as f64,
            PersonRow {
                user,
                client,
                jobs: person.jobs,
                wait_mean_ms: Some(rounded(mean)),
                ..PersonRow::default()
            },
        ));
    }
    for (client, host) in from.hosts() {
        let tally = &host.as_client;
        let all = tally.finished + tally.failed + tally.lost;
        let untold = all.saturating_sub(recorded.get(&client).copied().unwrap_or(0));
        let busy = host.submitted_running().len() + host.waiting().len() > 0;
        if !newest.contains_key(&client) && (untold > 0 || busy) {
            let wall = tally.mean().unwrap_or(0.0) * untold as f64;
            rows.push((
                wall,
                PersonRow {
                    client,
                    jobs: untold,
                    ..PersonRow::default()
                },
            ));
        }
    }
    let whole: f64 = rows.iter().map(|(wall, _)| wall).sum();
    for (wall, row) in &mut rows {
        row.share = rounded(100.0 * *wall / whole.max(1.0));
        if newest
            .get(&row.client)
            .is_none_or(|(_, user)| *user == row.user)
            && let Some(host) = from.host(row.client)
        {
            row.running = host.submitted_running().len() as u32;
            row.waiting = host.waiting().len() as u32;
        }
    }
    rows.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    rows.into_iter().map(|(_, row)| row).collect()
}

/// Toolchains by platform, if the scheduler tells of any.
pub fn toolchains(from: &Cluster) -> Vec<ToolchainRow> {
    let mut rows: BTreeMap<&str, ToolchainRow> = BTreeMap::new();
    for (id, host) in from.hosts().filter(|(_, host)| host.is_here()) {
        let (count, installing) = (
            host.said_number("Environments"),
            host.said_number("Installing"),
        );
        if count.is_none() && installing.is_none() {
            continue;
        }
        let row = rows.entry(&host.facts.platform).or_default();
        row.hosts.push(ToolchainHost {
            host: id,
            count: count.unwrap_or(0),
            installing: installing.unwrap_or(0),
        });
    }
    let named = rows.into_iter().map(|(platform, row)| ToolchainRow {
        platform: platform.to_owned(),
        ..row
    });
    named.collect()
}

/// What each platform offers to a submitter of which nothing is known, that with most slots first.
pub fn slots(from: &Cluster) -> Vec<SlotsRow> {
    let mut platforms: BTreeMap<&str, Vec<&Host>> = BTreeMap::new();
    for (_, host) in from.hosts().filter(|(_, host)| host.is_here()) {
        platforms
            .entry(&host.facts.platform)
            .or_default()
            .push(host);
    }
    let rows = platforms.into_iter();
    let mut rows: Vec<SlotsRow> = rows
        .map(|(platform, hosts)| slots_of(platform, &hosts))
        .collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.best));
    rows
}

fn slots_of(platform: &str, hosts: &[&Host]) -> SlotsRow {
    let sum = |of: &dyn Fn(&Host) -> bool| {
        let those = hosts.iter().filter(|host| of(host));
        those.map(|host| host.slots()).fold(0, u32::saturating_add)
    };
    let best = sum(&|host| !host.facts.no_remote);
    let now = sum(&|host| host.is_available());
    let closed = best.saturating_sub(now);
    let workers = hosts.iter().filter(|host| host.is_available()).count();
    let mut reasoning = vec![format!(
        "{best} slots of {platform} that take jobs of others"
    )];
    if closed > 0 {
        reasoning.push(format!(
            "{closed} of them on hosts that take none now: unreachable, blocked or draining"
        ));
    }
    reasoning.push(format!("{now} usable, on {workers} hosts"));
    reasoning.push(
        "what the submitter can preprocess is asked for on the submitter: gelato slots -v"
            .to_owned(),
    );
    SlotsRow {
        platform: platform.to_owned(),
        now,
        best,
        suggestion: now.max(1),
        reasoning,
    }
}
