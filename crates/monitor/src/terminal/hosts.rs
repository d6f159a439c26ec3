//! The page of machines.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::figures::{span, sparkline};
use super::style;
use super::table::{Cell, Column, Key, Row, left, right};
use super::ui::Ui;
use crate::model::{Cluster, HostId};
use crate::view::{self, HostRow};

/// Values of a host's strip in the table, of two seconds each.
const ACTIVITY: usize = 10;

/// Jobs a speed should be made of.
const SURE: u64 = 7;

/// Slots of one host that are listed.
const MOST_SLOTS: usize = 512;

pub(super) const COLUMNS: [Column; 40] = [
    left("NAME", 13),
    left("STATE", 9),
    right("IN", 5),
    right("CUR", 4),
    right("MAX", 4),
    left("LAST 20 s", ACTIVITY as u16),
    right("OUT", 5),
    right("OWN", 4),
    right("LOCAL", 6),
    right("SPEED", 7),
    right("ACTIVE", 7),
    right("WAIT", 5),
    right("LOAD", 5),
    right("MEAN", 6),
    right("P50", 6),
    right("P95", 6),
    right("FAILED", 7),
    right("LOST", 5),
    right("LOAD1", 6),
    right("LOAD5", 6),
    right("LOAD15", 7),
    right("MEMORY", 7),
    left("PLATFORM", 10),
    left("SANDBOX", 10),
    left("SOFTWARE", 10),
    right("PROTO", 6),
    left("IP", 15),
    left("REMARK", 16),
    left("FEATURES", 16),
    right("SAMPLES", 8),
    right("INSTALLS", 9),
    right("HERE", 5),
    right("ID", 5),
    right("SUBMITTED", 10),
    right("C-MEAN", 7),
    right("C-P95", 6),
    right("C-FAILED", 9),
    left("NO-REMOTE", 10),
    right("SINCE", 6),
    left("COLOUR", 7),
];

pub(super) fn rows(cluster: &Cluster, ui: &Ui, now: u64) -> Vec<Row> {
    let hosts = view::hosts(cluster, now);
    hosts
        .iter()
        .map(|host| row(cluster, ui, now, host))
        .collect()
}

fn row(cluster: &Cluster, ui: &Ui, now: u64, host: &HostRow) -> Row {
    let average = |index: usize| match host.averages {
        Some(averages) => Cell::shown(format!("{:.2}", averages[index]), averages[index]),
        None => Cell::unknown(),
    };
    let server = &host.as_server;
    let client = &host.as_client;
    let mark = ui.palette.mark(host.mark);
    let cells = vec![
        name(ui, host),
        Cell::word(state(host)).styled(state_style(ui, host)),
        Cell::number(host.jobs_in as f64),
        Cell::number(host.running),
        Cell::number(host.slots),
        Cell::shown(activity(host), host.running).styled(mark),
        Cell::number(host.jobs_out as f64),
        Cell::number(host.jobs_own as f64),
        Cell::number(host.jobs_local as f64),
        speed(host),
        Cell::number(host.submitted as f64),
        Cell::number(host.waiting as f64),
        Cell::number(host.load),
        duration(server.mean_ms),
        duration(server.p50_ms.map(f64::from)),
        duration(server.p95_ms.map(f64::from)),
        bad(ui, server.failed),
        bad(ui, server.lost),
        average(0),
        average(1),
        average(2),
        match host.free_memory_mb {
            Some(mib) => Cell::shown(format!("{mib}M"), mib),
            None => Cell::unknown(),
        },
        Cell::word(&*host.platform),
        word(host.sandbox.as_deref()),
        word(host.software.as_deref()),
        Cell::number(host.protocol),
        Cell::word(&*host.ip),
        word(host.remark.as_deref()),
        Cell::word(host.features.join(" ")),
        match host.samples {
            Some(samples) => Cell::number(samples as f64),
            None => Cell::unknown(),
        },
        match host.installing {
            Some(count) => Cell::number(count as f64),
            None => Cell::unknown(),
        },
        Cell::number(host.busy_local),
        host.number.map_or_else(Cell::unknown, Cell::number),
        Cell::number(client.jobs as f64),
        duration(client.mean_ms),
        duration(client.p95_ms.map(f64::from)),
        bad(ui, client.failed + client.lost),
        Cell::word(if host.no_remote { "yes" } else { "no" }),
        Cell::span(now.saturating_sub(host.left.unwrap_or(host.since))),
        Cell::word(style::letter(host.mark).to_string()).styled(mark),
    ];
    let details = if ui.is_open(host.id) {
        details(cluster, now, host)
    } else {
        Vec::new()
    };
    Row {
        key: Key::Host(host.id),
        cells,
        details,
    }
}

/// The host's name with its letter, in its colour.
pub(super) fn name(ui: &Ui, host: &HostRow) -> Cell {
    let text = format!("{} {}", style::letter(host.mark), host.name);
    Cell {
        order: Cell::word(&*host.name).order,
        ..Cell::word(text).styled(ui.palette.mark(host.mark))
    }
}

/// The name of the host with that number.
pub(super) fn named(cluster: &Cluster, ui: &Ui, id: Option<HostId>) -> Cell {
    match id.and_then(|id| cluster.host(id)) {
        Some(host) => Cell::word(&*host.facts.name).styled(ui.palette.mark(host.mark)),
        None => Cell::word("-").styled(style::faint()),
    }
}

fn word(text: Option<&str>) -> Cell {
    match text {
        Some(text) => Cell::word(text),
        None => Cell::word("-").styled(style::faint()),
    }
}

pub(super) fn duration(ms: Option<f64>) -> Cell {
    ms.map_or_else(Cell::unknown, |ms| Cell::span(ms as u64))
}

/// A count of something there should be none of.
pub(super) fn bad(ui: &Ui, count: u64) -> Cell {
    let look = if count > 0 {
        ui.palette.bad()
    } else {
        Style::new()
    };
    Cell::number(count as f64).styled(look)
}

/// The scheduler's value; with few samples it is a guess.
fn speed(host: &HostRow) -> Cell {
    let is_guess = host.samples.is_some_and(|samples| samples < SURE);
    let sign = if is_guess && host.speed > 0.0 {
        "~"
    } else {
        ""
    };
    let look = if is_guess {
        style::faint()
    } else {
        Style::new()
    };
    Cell::shown(format!("{sign}{:.1}", host.speed), host.speed).styled(look)
}

pub(super) fn activity(host: &HostRow) -> String {
    let strip = &host.strip[host.strip.len().saturating_sub(ACTIVITY)..];
    let levels: Vec<f64> = strip.iter().map(|level| f64::from(*level)).collect();
    sparkline(&levels, f64::from(host.slots.max(1)))
}

/// In a word, whether it takes jobs, and why not.
pub(super) fn state(host: &HostRow) -> &'static str {
    if host.blocked {
        "blocked"
    } else if !host.here {
        "gone"
    } else if host.draining {
        "draining"
    } else if host.no_remote {
        "no-remote"
    } else if host.accepting == Some(false) {
        "unreached"
    } else if !host.available {
        "closed"
    } else if host.load >= 1000 {
        "full load"
    } else if host.running >= host.slots {
        "busy"
    } else {
        "open"
    }
}

fn state_style(ui: &Ui, host: &HostRow) -> Style {
    match state(host) {
        "open" | "busy" => Style::new(),
        "no-remote" => style::faint(),
        "gone" | "blocked" | "unreached" => ui.palette.bad(),
        _ => ui.palette.notice(),
    }
}

/// A line for each slot, then all that was said of the host.
fn details(cluster: &Cluster, now: u64, host: &HostRow) -> Vec<Line<'static>> {
    let mut lines = slots(cluster, now, host);
    if let Some(mean) = host.as_client.mean_ms {
        lines.push(format!(
            "submitted: {} jobs, {} failed, {} lost, {} each",
            host.as_client.jobs,
            host.as_client.failed,
            host.as_client.lost,
            span(mean as u64)
        ));
    }
    lines.extend(said(host));
    let faint = |line| Line::from(Span::styled(format!("    {line}"), style::faint()));
    lines.into_iter().map(faint).collect()
}

/// What each slot does.
pub(super) fn slots(cluster: &Cluster, now: u64, host: &HostRow) -> Vec<String> {
    let places = host.lanes.len().max(host.slots as usize).min(MOST_SLOTS);
    let line = |place: usize| {
        let job = host.lanes.get(place).copied().flatten();
        match job.and_then(|job| cluster.job(job)) {
            Some(job) => {
                let client = job.client.and_then(|client| cluster.host(client));
                let client = client.map_or("?", |client| client.facts.name.as_str());
                let age = span(job.duration(now));
                format!("slot {:<3} {age:>6}  {}  ({client})", place + 1, job.file)
            }
            None => format!("slot {:<3}", place + 1),
        }
    };
    (0..places).map(line).collect()
}

/// All that has no column, key by key.
pub(super) fn said(host: &HostRow) -> Vec<String> {
    let known = [
        ("Sandbox", &host.sandbox),
        ("Software", &host.software),
        ("Remark", &host.remark),
    ];
    let known = known
        .into_iter()
        .filter_map(|(key, value)| Some(format!("{key}: {}", value.as_ref()?)));
    let others = host
        .others
        .iter()
        .map(|(key, value)| format!("{key}: {value}"));
    known.chain(others).collect()
}
