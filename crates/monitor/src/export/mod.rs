//! Tables and builds in the formats of other programs: CSV, JSON, JSON lines, and Chrome's trace format, which Perfetto reads, too.
//!
//! - [`csv`]: rows as RFC 4180 wants them, with nothing a spreadsheet would run
//! - [`trace`](fn@trace): a build as a timeline
//! - here: which tables there are, and their columns

mod csv;
mod trace;

use serde::Serialize;
use serde_json::Value;

pub use trace::trace;

use crate::model::{Cluster, HostId};
use crate::view;

/// What can be exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// Jobs that are remembered, the oldest first.
    Jobs,
    /// Hosts.
    Hosts,
    /// Builds, the newest first.
    Builds,
    /// Files, the slowest first.
    Files,
    /// Why jobs are local.
    Reasons,
    /// Users.
    People,
    /// What each platform offers.
    Slots,
    /// Toolchains.
    Toolchains,
    /// What is wrong.
    Alerts,
}

/// As what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values with a line of titles.
    Csv,
    /// One JSON array.
    Json,
    /// One JSON object on each line.
    JsonLines,
}

impl Table {
    /// All tables.
    pub const ALL: [Table; 9] = [
        Table::Jobs,
        Table::Hosts,
        Table::Builds,
        Table::Files,
        Table::Reasons,
        Table::People,
        Table::Slots,
        Table::Toolchains,
        Table::Alerts,
    ];

    /// Its name, as in the names of files and in paths of the HTTP interface.
    pub const fn name(self) -> &'static str {
        match self {
            Table::Jobs => "jobs",
            Table::Hosts => "hosts",
            Table::Builds => "builds",
            Table::Files => "files",
            Table::Reasons => "reasons",
            Table::People => "people",
            Table::Slots => "slots",
            Table::Toolchains => "toolchains",
            Table::Alerts => "alerts",
        }
    }

    /// The table of this name.
    pub fn named(name: &str) -> Option<Table> {
        Table::ALL.into_iter().find(|table| table.name() == name)
    }

    /// Columns of the CSV in their order; a point stands between the names of a member and of a member of it.
    pub const fn columns(self) -> &'static [&'static str] {
        match self {
            Table::Jobs => JOBS,
            Table::Hosts => HOSTS,
            Table::Builds => BUILDS,
            Table::Files => &[
                "file",
                "jobs",
                "failed",
                "p50_ms",
                "max_ms",
                "mean_ms",
                "in_raw",
                "out_raw",
                "host",
                "host_name",
                "trend",
            ],
            Table::Reasons => &["code", "count", "explanation", "advice", "example"],
            Table::People => &[
                "user",
                "client",
                "client_name",
                "jobs",
                "running",
                "waiting",
                "wait_mean_ms",
                "share",
            ],
            Table::Slots => &["platform", "now", "best", "suggestion", "reasoning"],
            Table::Toolchains => &["name", "platform", "hosts", "size"],
            Table::Alerts => &[
                "id",
                "code",
                "severity",
                "subject",
                "since",
                "value",
                "threshold",
                "text",
                "advice",
            ],
        }
    }
}

const JOBS: &[&str] = &[
    "id",
    "number",
    "file",
    "language",
    "client",
    "client_name",
    "server",
    "server_name",
    "lane",
    "state",
    "kind",
    "build",
    "asked",
    "begun",
    "ended",
    "wait_ms",
    "duration_ms",
    "exit",
    "user_ms",
    "system_ms",
    "page_faults",
    "in_raw",
    "in_compressed",
    "out_raw",
    "out_compressed",
    "why",
    "waiting.position",
    "waiting.reason",
    "waiting.text",
    "record.end",
    "record.verdict",
    "record.reason",
    "record.detail",
    "record.subject",
    "record.file",
    "record.source",
    "record.folder",
    "record.compiler",
    "record.language",
    "record.build",
    "record.build_guessed",
    "record.job",
    "record.worker",
    "record.exit",
    "record.retries",
    "record.verified",
    "record.wall",
    "record.cpu",
    "record.phases.analyse",
    "record.phases.toolchain",
    "record.phases.wait",
    "record.phases.connect",
    "record.phases.install",
    "record.phases.preprocess",
    "record.phases.send",
    "record.phases.compile",
    "record.phases.receive",
    "record.phases.slot",
    "record.phases.local",
    "record.sent",
    "record.received",
    "record.source_bytes",
    "record.output_bytes",
    "record.user",
];

const HOSTS: &[&str] = &[
    "id",
    "number",
    "name",
    "ip",
    "platform",
    "protocol",
    "software",
    "features",
    "here",
    "since",
    "left",
    "no_remote",
    "available",
    "accepting",
    "blocked",
    "draining",
    "installing",
    "slots",
    "running",
    "busy_local",
    "submitted",
    "waiting",
    "jobs_in",
    "jobs_out",
    "jobs_own",
    "jobs_local",
    "speed",
    "samples",
    "load",
    "averages",
    "free_memory_mb",
    "mark",
    "sandbox",
    "remark",
    "as_server.jobs",
    "as_server.failed",
    "as_server.lost",
    "as_server.mean_ms",
    "as_server.p50_ms",
    "as_server.p95_ms",
    "as_client.jobs",
    "as_client.failed",
    "as_client.lost",
    "as_client.mean_ms",
    "as_client.p50_ms",
    "as_client.p95_ms",
    "others",
    "lanes",
    "strip",
];

const BUILDS: &[&str] = &[
    "id",
    "key",
    "guessed",
    "client",
    "client_name",
    "user",
    "begun",
    "last",
    "open",
    "jobs",
    "running",
    "remote",
    "own",
    "local",
    "failed_over",
    "refused",
    "failed",
    "lost",
    "files",
    "serial_ms",
    "wall_ms",
    "speed_up",
    "remote_percent",
    "sent",
    "received",
    "estimate_ms",
    "reasons",
    "parallel",
    "parallel_step_ms",
    "critical_path_ms",
    "critical_path_exact",
    "verdict.bound",
    "verdict.sentence",
    "verdict.evidence",
    "verdict.what_if",
];

impl Format {
    /// The format that the ending of a file's name says.
    pub fn named(ending: &str) -> Option<Format> {
        Some(match ending {
            "csv" => Format::Csv,
            "json" => Format::Json,
            "jsonl" => Format::JsonLines,
            _ => return None,
        })
    }

    /// Its media type.
    pub const fn media_type(self) -> &'static str {
        match self {
            Format::Csv => "text/csv; charset=utf-8; header=present",
            Format::Json => "application/json",
            Format::JsonLines => "application/jsonl",
        }
    }
}

/// A table at `now`. To the numbers of hosts their names are added.
pub fn table(from: &Cluster, table: Table, format: Format, now: u64) -> String {
    let rows = rows(from, table, now);
    match format {
        Format::Csv => csv::text(table.columns(), &rows),
        Format::Json => {
            let mut text = serde_json::to_string(&rows).unwrap_or_default();
            text.push('\n');
            text
        }
        Format::JsonLines => rows.iter().map(|row| format!("{row}\n")).collect(),
    }
}

fn rows(from: &Cluster, table: Table, now: u64) -> Vec<Value> {
    match table {
        Table::Jobs => values(from, view::jobs(from, now)),
        Table::Hosts => values(from, view::hosts(from, now)),
        Table::Builds => values(from, view::builds(from, now)),
        Table::Files => values(from, view::files(from)),
        Table::Reasons => values(from, view::reasons(from)),
        Table::People => values(from, view::people(from)),
        Table::Slots => values(from, view::slots(from)),
        Table::Toolchains => values(from, view::toolchains(from)),
        Table::Alerts => values(from, view::alerts(from, now)),
    }
}

fn values(from: &Cluster, rows: Vec<impl Serialize>) -> Vec<Value> {
    let values = rows.iter().filter_map(|row| serde_json::to_value(row).ok());
    values
        .map(|mut value| {
            name_hosts(from, &mut value);
            value
        })
        .collect()
}

fn name_hosts(from: &Cluster, row: &mut Value) {
    let Some(row) = row.as_object_mut() else {
        return;
    };
    for member in ["client", "server", "host"] {
        let Some(number) = row.get(member) else {
            continue;
        };
        let id = number
            .as_u64()
            .and_then(|number| u32::try_from(number).ok());
        let host = id.and_then(|id| from.host(HostId(id)));
        let name = host.map_or(Value::Null, |host| host.facts.name.clone().into());
        row.insert(format!("{member}_name"), name);
    }
}

#[cfg(test)]
mod tests;
