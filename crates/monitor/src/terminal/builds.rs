//! The page of builds.

use super::hosts::{bad, named};
use super::table::{Cell, Column, Key, Row, left, right};
use super::ui::Ui;
use crate::model::Cluster;
use crate::view::{self, Bound, BuildRow};

pub(super) const COLUMNS: [Column; 22] = [
    right("BUILD", 6),
    left("CLIENT", 10),
    left("STATE", 8),
    right("WALL", 6),
    right("JOBS", 5),
    right("RUN", 4),
    right("REMOTE", 7),
    right("OWN", 5),
    right("LOCAL", 6),
    right("SPEED-UP", 9),
    left("BOUND BY", 13),
    right("FAILED", 7),
    right("LOST", 5),
    right("FILES", 6),
    right("LEFT", 6),
    right("SENT", 7),
    right("RECEIVED", 9),
    right("SERIAL", 7),
    right("PATH", 6),
    right("OVER", 5),
    right("USER", 6),
    left("KEY", 16),
];

pub(super) fn rows(cluster: &Cluster, ui: &Ui, now: u64) -> Vec<Row> {
    let (window, _) = ui.window();
    let builds = view::builds(cluster, now).into_iter();
    let builds = builds.filter(|build| window == 0 || build.open || build.last + window >= now);
    builds.map(|build| row(cluster, ui, &build)).collect()
}

fn row(cluster: &Cluster, ui: &Ui, build: &BuildRow) -> Row {
    let cells = vec![
        Cell::number(build.id as f64),
        named(cluster, ui, Some(build.client)),
        Cell::word(state(build)).styled(if build.open {
            ui.palette.good()
        } else {
            Default::default()
        }),
        Cell::span(build.wall_ms),
        Cell::number(build.jobs as f64),
        Cell::number(build.running),
        Cell::number(build.remote as f64),
        Cell::number(build.own as f64),
        Cell::number(build.local as f64),
        match build.speed_up {
            Some(factor) => Cell::shown(format!("{factor:.1}x"), factor),
            None => Cell::unknown(),
        },
        Cell::word(
            build
                .verdict
                .as_ref()
                .map_or("", |verdict| bound(verdict.bound)),
        ),
        bad(ui, build.failed),
        bad(ui, build.lost),
        Cell::number(build.files as f64),
        build.estimate_ms.map_or_else(Cell::unknown, Cell::span),
        Cell::bytes(build.sent),
        Cell::bytes(build.received),
        Cell::span(build.serial_ms),
        Cell::span(build.critical_path_ms),
        Cell::number((build.failed_over + build.refused) as f64),
        match build.user {
            Some(user) => Cell::number(user),
            None => Cell::unknown(),
        },
        Cell::word(build.key.as_deref().unwrap_or_default()),
    ];
    Row::new(Key::Build(build.id), cells)
}

pub(super) fn state(build: &BuildRow) -> &'static str {
    match (build.open, build.running) {
        (true, 1..) => "running",
        (true, 0) => "pauses",
        (false, _) => "over",
    }
}

pub(super) fn bound(bound: Bound) -> &'static str {
    match bound {
        Bound::SubmitterCpu => "submitter CPU",
        Bound::Network => "network",
        Bound::Slots => "slots",
        Bound::Stragglers => "stragglers",
        Bound::CriticalPath => "critical path",
        Bound::Links => "links",
        Bound::Nothing => "nothing",
    }
}
