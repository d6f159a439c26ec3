//! The page of builds.

use super::draw::passes;
use super::figures::{bytes, span};
use super::table::{self, Cell, Column, Row, left, right};
use super::ui::Ui;
use crate::model::{Build, Cluster};

pub(super) const COLUMNS: [Column; 13] = [
    right("BUILD", 6),
    left("CLIENT", 12),
    left("STATE", 7),
    right("WALL", 6),
    right("RUN", 4),
    right("FILES", 6),
    right("REMOTE", 7),
    right("OWN", 5),
    right("LOCAL", 6),
    right("FAILED", 7),
    right("LOST", 5),
    right("SPEED-UP", 9),
    right("SENT", 7),
];

pub(super) fn rows(cluster: &Cluster, ui: &Ui, now: u64) -> Vec<Row<u64>> {
    let mut rows: Vec<Row<u64>> = cluster
        .builds()
        .map(|build| row(cluster, ui, now, build))
        .filter(|row| passes(row, ui.filter()))
        .collect();
    let view = ui.view();
    table::sort(&mut rows, view.sorted.min(COLUMNS.len() - 1), view.reversed);
    rows
}

fn row(cluster: &Cluster, ui: &Ui, now: u64, build: &Build) -> Row<u64> {
    let client = match cluster.host(build.client) {
        Some(host) => Cell::word(&*host.facts.name).styled(ui.palette.mark(host.mark)),
        None => Cell::word("-"),
    };
    let cells = vec![
        Cell::number(build.number as f64),
        client,
        Cell::word(if build.is_open(now) {
            "running"
        } else {
            "over"
        }),
        Cell::shown(span(build.wall()), build.wall() as f64),
        Cell::number(build.running),
        Cell::number(build.files() as f64),
        Cell::number(build.remote as f64),
        Cell::number(build.own as f64),
        Cell::number(build.local as f64),
        Cell::number(build.failed as f64),
        Cell::number(build.lost as f64),
        match build.speed_up() {
            Some(factor) => Cell::shown(format!("{factor:.1}x"), factor),
            None => Cell::shown("-", -1.0),
        },
        Cell::shown(bytes(build.sent), build.sent as f64),
    ];
    Row {
        key: build.number,
        cells,
        details: Vec::new(),
    }
}
