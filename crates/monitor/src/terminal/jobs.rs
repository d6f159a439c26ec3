//! The page of jobs.

use super::hosts::named;
use super::table::{Cell, Column, Key, Row, left, right};
use super::ui::Ui;
use crate::model::{Cluster, Kind, State};
use crate::view::{self, JobRow};

pub(super) const COLUMNS: [Column; 26] = [
    left("FILE", 22),
    right("NUMBER", 7),
    left("STATE", 9),
    left("CLIENT", 9),
    left("SERVER", 9),
    right("TIME", 6),
    right("WAIT", 6),
    left("REASON", 16),
    right("EXIT", 5),
    left("LANGUAGE", 9),
    right("BUILD", 6),
    right("USER", 6),
    right("SYSTEM", 7),
    right("SOURCE", 7),
    right("SENT", 7),
    right("OBJECT", 7),
    right("RECEIVED", 9),
    right("RATIO", 6),
    right("FAULTS", 7),
    right("RETRIES", 8),
    right("PLACE", 6),
    left("KIND", 7),
    right("ASKED", 6),
    right("SLOT", 5),
    left("WAITS FOR", 16),
    left("WHY THERE", 24),
];

pub(super) fn rows(cluster: &Cluster, ui: &Ui, now: u64) -> Vec<Row> {
    let (window, _) = ui.window();
    let start = now.saturating_sub(window);
    let jobs = cluster
        .jobs()
        .filter(|(_, job)| window == 0 || job.ended.is_none_or(|ended| ended >= start));
    let rows = jobs.filter_map(|(id, _)| view::job(cluster, id, now));
    rows.map(|job| row(cluster, ui, now, &job)).collect()
}

fn row(cluster: &Cluster, ui: &Ui, now: u64, job: &JobRow) -> Row {
    let number = |value: Option<u32>| value.map_or_else(Cell::unknown, Cell::number);
    let size =
        |count: Option<u32>| count.map_or_else(Cell::unknown, |count| Cell::bytes(count.into()));
    let span = |ms: Option<u32>| ms.map_or_else(Cell::unknown, |ms| Cell::span(ms.into()));
    let record = job.record.as_ref();
    let waiting = job.waiting.as_ref().filter(|_| job.state == State::Queued);
    let cells = vec![
        Cell::word(&*job.file),
        Cell::shown(job.number.to_string(), job.id.0 as f64),
        Cell::word(word(job)).styled(ui.palette.state(job.state)),
        named(cluster, ui, job.client),
        named(cluster, ui, job.server),
        job.duration_ms.map_or_else(Cell::unknown, Cell::span),
        Cell::span(job.wait_ms),
        Cell::word(reason(job).unwrap_or_default()),
        match job.exit {
            Some(exit) => Cell::number(exit),
            None => Cell::unknown(),
        },
        Cell::word(job.language.as_deref().unwrap_or_default()),
        match job.build {
            Some(build) => Cell::number(build as f64),
            None => Cell::unknown(),
        },
        span(job.user_ms),
        span(job.system_ms),
        size(job.in_raw),
        size(job.in_compressed),
        size(job.out_raw),
        size(job.out_compressed),
        ratio(job),
        number(job.page_faults),
        match record {
            Some(record) => Cell::number(record.retries),
            None => Cell::unknown(),
        },
        match waiting {
            Some(wait) => Cell::number(wait.position),
            None => Cell::unknown(),
        },
        Cell::word(kind(job.kind)),
        Cell::span(now.saturating_sub(job.asked)),
        match job.server {
            Some(_) => Cell::number(job.lane + 1),
            None => Cell::unknown(),
        },
        Cell::word(waiting.map_or("", |wait| wait.reason.as_str())),
        Cell::word(job.why.as_deref().unwrap_or_default()),
    ];
    Row::new(Key::Job(job.id), cells)
}

/// Bytes sent among bytes of source, in percent.
fn ratio(job: &JobRow) -> Cell {
    match (job.in_raw, job.in_compressed) {
        (Some(raw @ 1..), Some(sent)) => {
            let percent = 100.0 * f64::from(sent) / f64::from(raw);
            Cell::shown(format!("{percent:.0}%"), percent)
        }
        _ => Cell::unknown(),
    }
}

/// Why it was not done elsewhere, as a code.
pub(super) fn reason(job: &JobRow) -> Option<&str> {
    job.record.as_ref()?.reason.as_deref()
}

pub(super) fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Remote => "remote",
        Kind::Own => "own",
        Kind::Local => "local",
    }
}

/// What became of it; while it runs, where.
pub(super) fn word(job: &JobRow) -> &'static str {
    match job.state {
        State::Queued => "waiting",
        State::Running => kind(job.kind),
        State::Finished => "finished",
        State::Failed => "FAILED",
        State::Lost => "LOST",
        State::Cancelled => "cancelled",
    }
}
