//! The page of what is wrong, and the banner about it on every page.

use ratatui::style::Style;
use ratatui::text::Line;

use super::figures::span;
use super::lines::Lines;
use super::table::{Cell, Column, Key, Row, left, right};
use super::ui::Ui;
use crate::model::Cluster;
use crate::view::{self, AlertRow, Severity};

pub(super) const COLUMNS: [Column; 7] = [
    left("SEVERITY", 9),
    left("ALERT", 16),
    left("ABOUT", 12),
    right("SINCE", 6),
    left("WHAT", 30),
    right("VALUE", 8),
    right("LIMIT", 8),
];

pub(super) fn rows(cluster: &Cluster, ui: &Ui, now: u64) -> Vec<Row> {
    let alerts = view::alerts(cluster, now).into_iter();
    alerts
        .map(|alert| {
            // The worst first.
            let word = Cell {
                order: Cell::number(f64::from(u8::from(alert.severity == Severity::Warning))).order,
                ..Cell::word(word(&alert)).styled(look(ui, &alert))
            };
            let cells = vec![
                word,
                Cell::word(&*alert.code),
                Cell::word(&*alert.subject),
                Cell::span(now.saturating_sub(alert.since)),
                Cell::word(&*alert.text),
                Cell::shown(short(alert.value), alert.value),
                Cell::shown(short(alert.threshold), alert.threshold),
            ];
            Row::new(Key::Word(alert.id), cells)
        })
        .collect()
}

fn short(value: f64) -> String {
    if value.fract() == 0.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.1}")
    }
}

fn word(alert: &AlertRow) -> &'static str {
    match alert.severity {
        Severity::Warning => "warning",
        Severity::Critical => "CRITICAL",
    }
}

fn look(ui: &Ui, alert: &AlertRow) -> Style {
    match alert.severity {
        Severity::Warning => ui.palette.notice(),
        Severity::Critical => ui.palette.warning(),
    }
}

/// About the selected alert.
pub(super) fn panel(cluster: &Cluster, id: Option<&str>, now: u64, width: u16) -> Lines {
    let mut lines = Lines::new(width);
    let alerts = view::alerts(cluster, now);
    match alerts.iter().find(|alert| Some(alert.id.as_str()) == id) {
        Some(alert) => {
            lines.said("", &alert.text);
            lines.said("What to do: ", &alert.advice);
        }
        None => lines.said("", "Nothing is wrong, as far as this monitor can see."),
    }
    lines
}

/// One line for all pages; none if nothing is wrong.
pub(super) fn banner(cluster: &Cluster, ui: &Ui, now: u64) -> Option<Line<'static>> {
    let alerts = view::alerts(cluster, now);
    let worst = alerts.first()?;
    let which = match alerts.len() {
        1 => String::new(),
        count => format!("1 of {count}: "),
    };
    let age = span(now.saturating_sub(worst.since));
    let text = format!("! {which}{}  for {age}", worst.text.trim_end_matches('.'));
    Some(Line::styled(text, look(ui, worst)))
}
