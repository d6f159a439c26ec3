//! The pages: their names, columns and rows.

use super::filter::Filter;
use super::table::{self, Column, Row};
use super::ui::Ui;
use super::{alerts, builds, hosts, jobs, people, slowest, toolchains, why};
use crate::model::Cluster;

/// What a screen is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// Machines.
    Hosts,
    /// Jobs, the newest first.
    Jobs,
    /// Builds, the newest first.
    Builds,
    /// What ran where.
    Timeline,
    /// Files by how long they take.
    Slowest,
    /// Why jobs were not done elsewhere.
    Why,
    /// Toolchains on hosts, and what there is of a cache.
    Toolchains,
    /// What is wrong.
    Alerts,
    /// Who uses it.
    People,
}

impl Page {
    /// In the order of their keys, from 1.
    pub const ALL: [Page; 9] = [
        Page::Hosts,
        Page::Jobs,
        Page::Builds,
        Page::Timeline,
        Page::Slowest,
        Page::Why,
        Page::Toolchains,
        Page::Alerts,
        Page::People,
    ];

    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Page::Hosts => "hosts",
            Page::Jobs => "jobs",
            Page::Builds => "builds",
            Page::Timeline => "gantt",
            Page::Slowest => "slow",
            Page::Why => "why",
            Page::Toolchains => "tools",
            Page::Alerts => "alerts",
            Page::People => "people",
        }
    }

    pub(super) fn index(self) -> usize {
        Page::ALL.iter().position(|page| *page == self).unwrap_or(0)
    }

    /// None of a page that is no table.
    pub(super) fn columns(self) -> &'static [Column] {
        match self {
            Page::Hosts => &hosts::COLUMNS,
            Page::Jobs => &jobs::COLUMNS,
            Page::Builds => &builds::COLUMNS,
            Page::Timeline => &[],
            Page::Slowest => &slowest::COLUMNS,
            Page::Why => &why::COLUMNS,
            Page::Toolchains => &toolchains::COLUMNS,
            Page::Alerts => &alerts::COLUMNS,
            Page::People => &people::COLUMNS,
        }
    }

    /// How a table stands at first: the newest, longest, most frequent first.
    pub(super) fn first_view(self) -> table::View {
        let (sorted, reversed) = match self {
            Page::Hosts | Page::Timeline | Page::Toolchains => (0, false),
            Page::Jobs => (1, true),
            Page::Builds => (0, true),
            Page::Slowest => (3, true),
            Page::Why => (1, true),
            Page::Alerts => (0, false),
            Page::People => (2, true),
        };
        let mut view = table::View::new(self.columns().len(), sorted, reversed);
        view.follows = matches!(self, Page::Jobs | Page::Builds);
        view
    }
}

/// The rows of the page, filtered and sorted.
pub(super) fn rows(cluster: &Cluster, ui: &Ui, now: u64) -> Vec<Row> {
    let mut rows = match ui.page() {
        Page::Hosts => hosts::rows(cluster, ui, now),
        Page::Jobs => jobs::rows(cluster, ui, now),
        Page::Builds => builds::rows(cluster, ui, now),
        Page::Timeline => Vec::new(),
        Page::Slowest => slowest::rows(cluster, ui),
        Page::Why => why::rows(cluster),
        Page::Toolchains => toolchains::rows(cluster, ui),
        Page::Alerts => alerts::rows(cluster, ui, now),
        Page::People => people::rows(cluster, ui),
    };
    let filter = Filter::new(ui.filter(), ui.page().columns());
    rows.retain(|row| filter.passes(row));
    let view = ui.view();
    table::sort(&mut rows, view.sorted, view.reversed);
    rows
}
