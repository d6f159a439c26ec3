//! The page of files by how long they take.

use super::hosts::{bad, duration, named};
use super::table::{Cell, Column, Key, Row, left, right};
use super::ui::Ui;
use crate::model::Cluster;
use crate::view;

pub(super) const COLUMNS: [Column; 10] = [
    left("FILE", 26),
    right("TIMES", 6),
    right("MEDIAN", 7),
    right("LONGEST", 8),
    right("MEAN", 6),
    left("ON", 9),
    right("TREND", 6),
    right("FAILED", 7),
    right("SOURCE", 7),
    right("OBJECT", 7),
];

pub(super) fn rows(cluster: &Cluster, ui: &Ui) -> Vec<Row> {
    let files = view::files(cluster).into_iter();
    files
        .map(|file| {
            let cells = vec![
                Cell::word(&*file.file),
                Cell::number(file.jobs as f64),
                Cell::span(file.p50_ms.into()),
                Cell::span(file.max_ms.into()),
                duration(Some(file.mean_ms)),
                named(cluster, ui, file.host),
                match file.trend {
                    Some(trend) => Cell::shown(format!("{trend:.2}x"), trend),
                    None => Cell::unknown(),
                },
                bad(ui, file.failed),
                Cell::bytes(file.in_raw.into()),
                Cell::bytes(file.out_raw.into()),
            ];
            Row::new(Key::Word(file.file), cells)
        })
        .collect()
}
