//! The page of jobs.

use super::draw::passes;
use super::figures::{bytes, span};
use super::table::{self, Cell, Column, Row, left, right};
use super::ui::Ui;
use crate::model::{Cluster, HostId, Job, JobId, Kind, State};

pub(super) const COLUMNS: [Column; 14] = [
    left("FILE", 24),
    right("NUMBER", 7),
    left("STATE", 9),
    left("CLIENT", 10),
    left("SERVER", 10),
    right("WAIT", 6),
    right("TIME", 6),
    right("EXIT", 5),
    right("USER", 6),
    right("SYSTEM", 7),
    right("SOURCE", 7),
    right("SENT", 7),
    right("OBJECT", 7),
    right("FAULTS", 7),
];

pub(super) fn rows(cluster: &Cluster, ui: &Ui, now: u64) -> Vec<Row<JobId>> {
    let mut rows: Vec<Row<JobId>> = cluster
        .jobs()
        .map(|(id, job)| row(cluster, ui, now, id, job))
        .filter(|row| passes(row, ui.filter()))
        .collect();
    let view = ui.view();
    table::sort(&mut rows, view.sorted.min(COLUMNS.len() - 1), view.reversed);
    rows
}

fn row(cluster: &Cluster, ui: &Ui, now: u64, id: JobId, job: &Job) -> Row<JobId> {
    let host = |id: Option<HostId>| match id.and_then(|id| cluster.host(id)) {
        Some(host) => Cell::word(&*host.facts.name).styled(ui.palette.mark(host.mark)),
        None => Cell::word("-"),
    };
    let figures = &job.figures;
    let size = |count: u32| Cell::shown(bytes(count.into()), count);
    let is_over = job.is_over();
    let cells = vec![
        Cell::word(&*job.file),
        Cell::number(job.number),
        Cell::word(word(job)).styled(ui.palette.state(job.state)),
        host(job.client),
        host(job.server),
        Cell::shown(span(job.wait(now)), job.wait(now) as f64),
        Cell::shown(span(job.duration(now)), job.duration(now) as f64),
        match is_over && job.kind != Kind::Local {
            true => Cell::number(figures.exit),
            false => Cell::shown("", -1.0),
        },
        Cell::shown(span(figures.user_ms.into()), figures.user_ms),
        Cell::shown(span(figures.system_ms.into()), figures.system_ms),
        size(figures.in_raw),
        size(figures.in_compressed),
        size(figures.out_raw),
        Cell::number(figures.page_faults),
    ];
    Row {
        key: id,
        cells,
        details: Vec::new(),
    }
}

fn word(job: &Job) -> &'static str {
    match (job.state, job.kind) {
        (State::Queued, _) => "waiting",
        (State::Running, Kind::Remote) => "remote",
        (State::Running, Kind::Own) => "own",
        (State::Running, Kind::Local) => "local",
        (State::Finished, _) => "finished",
        (State::Failed, _) => "FAILED",
        (State::Lost, _) => "LOST",
        (State::Cancelled, _) => "cancelled",
    }
}
