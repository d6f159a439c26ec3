//! The page of toolchains on hosts, and of what there is of a cache.

use super::hosts::named;
use super::lines::Lines;
use super::table::{Cell, Column, Key, Row, left, right};
use super::ui::Ui;
use crate::model::Cluster;
use crate::view;

pub(super) const COLUMNS: [Column; 4] = [
    left("HOST", 16),
    left("PLATFORM", 12),
    right("TOOLCHAINS", 11),
    right("INSTALLING", 11),
];

pub(super) fn rows(cluster: &Cluster, ui: &Ui) -> Vec<Row> {
    let toolchains = view::toolchains(cluster).into_iter();
    toolchains
        .flat_map(|toolchain| {
            let platform = toolchain.platform;
            let hosts = toolchain.hosts.into_iter();
            hosts.map(move |host| (platform.clone(), host))
        })
        .map(|(platform, host)| {
            let cells = vec![
                named(cluster, ui, Some(host.host)),
                Cell::word(platform),
                Cell::number(host.count as f64),
                Cell::number(host.installing as f64),
            ];
            Row::new(Key::Host(host.host), cells)
        })
        .collect()
}

/// What the numbers do not say.
pub(super) fn panel(cluster: &Cluster, width: u16) -> Lines {
    let mut lines = Lines::new(width);
    if view::toolchains(cluster).is_empty() {
        lines.said(
            "",
            "This scheduler does not tell how many toolchains its hosts have; Gelato's does.",
        );
    } else {
        lines.said(
            "",
            "Toolchains are packed compilers that submitters sent; a worker keeps them until it needs the room.",
        );
    }
    lines.said(
        "",
        "Results are not kept: this release has no result cache, so no job is ever answered from one.",
    );
    lines
}
