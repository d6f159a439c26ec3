//! The page of who uses the cluster.

use super::hosts::{duration, named};
use super::table::{Cell, Column, Key, Row, left, right};
use super::ui::Ui;
use crate::model::Cluster;
use crate::view;

pub(super) const COLUMNS: [Column; 7] = [
    left("CLIENT", 16),
    right("USER", 7),
    right("JOBS", 8),
    right("RUNNING", 8),
    right("WAITING", 8),
    right("MEAN WAIT", 10),
    right("SHARE", 7),
];

pub(super) fn rows(cluster: &Cluster, ui: &Ui) -> Vec<Row> {
    let people = view::people(cluster).into_iter();
    people
        .map(|person| {
            let key = format!("{} {:?}", person.client.0, person.user);
            let cells = vec![
                named(cluster, ui, Some(person.client)),
                match person.user {
                    Some(user) => Cell::number(user),
                    None => Cell::unknown(),
                },
                Cell::number(person.jobs as f64),
                Cell::number(person.running),
                Cell::number(person.waiting),
                duration(person.wait_mean_ms),
                Cell::shown(format!("{:.0}%", person.share), person.share),
            ];
            Row::new(Key::Word(key), cells)
        })
        .collect()
}
