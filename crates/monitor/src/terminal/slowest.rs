//! The page of files by how long they take, over all jobs that are remembered.

use std::collections::HashMap;

use super::draw::passes;
use super::figures::{bytes, span};
use super::table::{self, Cell, Column, Row, left, right};
use super::ui::Ui;
use crate::model::{Cluster, Job, Kind, State};

pub(super) const COLUMNS: [Column; 7] = [
    left("FILE", 32),
    right("TIMES", 6),
    right("LONGEST", 8),
    right("MEDIAN", 7),
    right("ALL", 6),
    right("SOURCE", 7),
    right("OBJECT", 7),
];

pub(super) fn rows(cluster: &Cluster, ui: &Ui, now: u64) -> Vec<Row<()>> {
    let mut files: HashMap<&str, Vec<&Job>> = HashMap::new();
    let finished = cluster.jobs().map(|(_, job)| job).filter(|job| {
        job.state == State::Finished && job.kind != Kind::Local && !job.file.is_empty()
    });
    for job in finished {
        files.entry(&job.file).or_default().push(job);
    }
    let mut rows: Vec<Row<()>> = files
        .into_iter()
        .map(|(file, jobs)| row(now, file, &jobs))
        .filter(|row| passes(row, ui.filter()))
        .collect();
    // By name first, so that equal durations do not dance.
    table::sort(&mut rows, 0, false);
    let view = ui.view();
    table::sort(&mut rows, view.sorted.min(COLUMNS.len() - 1), view.reversed);
    rows
}

fn row(now: u64, file: &str, jobs: &[&Job]) -> Row<()> {
    let mut durations: Vec<u64> = jobs.iter().map(|job| job.duration(now)).collect();
    durations.sort_unstable();
    let shown = |ms: u64| Cell::shown(span(ms), ms as f64);
    let greatest = |size: fn(&Job) -> u32| {
        let size = jobs.iter().map(|job| size(job)).max().unwrap_or(0);
        Cell::shown(bytes(size.into()), size)
    };
    let cells = vec![
        Cell::word(file),
        Cell::number(jobs.len() as f64),
        shown(durations.last().copied().unwrap_or(0)),
        shown(durations.get(durations.len() / 2).copied().unwrap_or(0)),
        shown(durations.iter().sum()),
        greatest(|job| job.figures.in_raw),
        greatest(|job| job.figures.out_raw),
    ];
    Row {
        key: (),
        cells,
        details: Vec::new(),
    }
}
