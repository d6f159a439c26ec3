//! The page of reasons why jobs were not done elsewhere.

use super::lines::Lines;
use super::table::{Cell, Column, Key, Row, left, right};
use crate::model::Cluster;
use crate::view;

pub(super) const COLUMNS: [Column; 4] = [
    left("REASON", 24),
    right("JOBS", 6),
    right("SHARE", 6),
    left("NEWEST", 20),
];

pub(super) fn rows(cluster: &Cluster) -> Vec<Row> {
    let reasons = view::reasons(cluster);
    let all: u64 = reasons.iter().map(|reason| reason.count).sum();
    reasons
        .into_iter()
        .map(|reason| {
            let share = 100.0 * reason.count as f64 / all.max(1) as f64;
            let cells = vec![
                Cell::word(&*reason.code),
                Cell::number(reason.count as f64),
                Cell::shown(format!("{share:.0}%"), share),
                Cell::word(reason.example),
            ];
            Row::new(Key::Word(reason.code), cells)
        })
        .collect()
}

/// About the selected reason.
pub(super) fn panel(cluster: &Cluster, code: Option<&str>, width: u16) -> Lines {
    let mut lines = Lines::new(width);
    let reasons = view::reasons(cluster);
    match reasons
        .iter()
        .find(|reason| Some(reason.code.as_str()) == code)
    {
        Some(reason) => {
            lines.said("", &reason.explanation);
            lines.said("What to do: ", &reason.advice);
            lines.said("Newest: ", &reason.example);
        }
        None => lines.said("", "Nothing was done on a submitter's own machine yet."),
    }
    lines
}
