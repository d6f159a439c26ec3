//! The page of machines.

use super::draw::passes;
use super::figures::{span, sparkline};
use super::style;
use super::table::{self, Cell, Column, Row, left, right};
use super::ui::Ui;
use crate::model::{Cluster, Host, HostId};

/// Seconds of activity in the table.
const ACTIVITY: usize = 10;

pub(super) const COLUMNS: [Column; 26] = [
    left("NAME", 14),
    right("IN", 5),
    right("CUR", 4),
    right("MAX", 4),
    left("LAST 10 s", ACTIVITY as u16),
    right("OUT", 5),
    right("OWN", 4),
    right("LOCAL", 6),
    right("ACTIVE", 7),
    right("WAIT", 5),
    right("SPEED", 7),
    right("LOAD", 5),
    right("MEAN", 6),
    right("P95", 6),
    right("FAILED", 7),
    left("STATE", 9),
    left("SANDBOX", 17),
    right("LOAD1", 6),
    right("LOAD5", 6),
    right("LOAD15", 7),
    right("MEMORY", 7),
    left("PLATFORM", 10),
    right("PROTO", 6),
    left("IP", 15),
    left("FEATURES", 16),
    right("ID", 5),
];

pub(super) fn rows(cluster: &Cluster, ui: &Ui, now: u64) -> Vec<Row<HostId>> {
    let mut rows: Vec<Row<HostId>> = cluster
        .hosts()
        .map(|(id, host)| row(cluster, ui, now, id, host))
        .filter(|row| passes(row, ui.filter()))
        .collect();
    let view = ui.view();
    table::sort(&mut rows, view.sorted.min(COLUMNS.len() - 1), view.reversed);
    rows
}

fn row(cluster: &Cluster, ui: &Ui, now: u64, id: HostId, host: &Host) -> Row<HostId> {
    let facts = &host.facts;
    let slots = host.slots();
    let activity = host.busy_strip().last(now, ACTIVITY);
    let duration = |ms: Option<f64>| match ms {
        Some(ms) => Cell::shown(span(ms as u64), ms),
        None => Cell::shown("-", -1.0),
    };
    let average = |index: usize| match facts.averages {
        Some(averages) => {
            let value = f64::from(averages[index]) / 1000.0;
            Cell::shown(format!("{value:.2}"), value)
        }
        None => Cell::shown("-", -1.0),
    };
    let memory = match facts.free_memory {
        Some(mib) => Cell::shown(format!("{mib}M"), mib),
        None => Cell::shown("-", -1.0),
    };
    let name = format!("{} {}", style::letter(host.mark), facts.name);
    let cells = vec![
        Cell {
            order: Cell::word(&*facts.name).order,
            ..Cell::word(name).styled(ui.palette.mark(host.mark))
        },
        Cell::number(host.jobs_in as f64),
        Cell::number(host.busy()),
        Cell::number(slots),
        Cell::shown(sparkline(&activity, f64::from(slots)), host.busy()),
        Cell::number(host.jobs_out as f64),
        Cell::number(host.jobs_own as f64),
        Cell::number(host.jobs_local as f64),
        Cell::number(host.submitted_running().len() as f64),
        Cell::number(host.waiting().len() as f64),
        Cell::shown(format!("{:.1}", facts.speed), facts.speed),
        Cell::number(facts.load),
        duration(host.as_server.mean()),
        duration(host.as_server.quantile(0.95).map(f64::from)),
        Cell::number((host.as_server.failed + host.as_server.lost) as f64),
        Cell::word(state(host)),
        Cell::word(facts.others.get("Sandbox").map_or("-", String::as_str)),
        average(0),
        average(1),
        average(2),
        memory,
        Cell::word(&*facts.platform),
        Cell::number(facts.protocol),
        Cell::word(&*facts.ip),
        Cell::word(facts.features.join(" ")),
        host.number.map_or(Cell::shown("-", -1.0), Cell::number),
    ];
    let details = if ui.is_open(id) {
        details(cluster, now, host)
    } else {
        Vec::new()
    };
    Row {
        key: id,
        cells,
        details,
    }
}

fn state(host: &Host) -> &'static str {
    if !host.is_here() {
        "gone"
    } else if host.facts.no_remote {
        "no-remote"
    } else if !host.is_available() {
        "closed"
    } else if host.facts.load >= 1000 {
        "full"
    } else {
        "open"
    }
}

/// A line for each slot, then all that was said of the host.
fn details(cluster: &Cluster, now: u64, host: &Host) -> Vec<String> {
    let places = host.lanes().len().max(host.slots() as usize).min(512);
    let mut lines: Vec<String> = (0..places)
        .map(|place| {
            let job = host.lanes().get(place).copied().flatten();
            match job.and_then(|job| cluster.job(job)) {
                Some(job) => {
                    let client = job.client.and_then(|client| cluster.host(client));
                    let client = client.map_or("?", |client| client.facts.name.as_str());
                    let age = span(job.duration(now));
                    format!("slot {:<3} {age:>6}  {}  ({client})", place + 1, job.file)
                }
                None => format!("slot {:<3}", place + 1),
            }
        })
        .collect();
    let tally = &host.as_client;
    if let Some(mean) = tally.mean() {
        lines.push(format!(
            "submitted: {} finished, {} failed, {} lost, {} each",
            tally.finished,
            tally.failed,
            tally.lost,
            span(mean as u64)
        ));
    }
    let others = host.facts.others.iter();
    lines.extend(others.map(|(key, value)| format!("{key}: {value}")));
    lines
}
