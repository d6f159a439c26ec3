//! The screen: three lines about the whole, the page, one line about keys.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::figures::span;
use super::table::{self, Column, Row};
use super::ui::{Page, Ui};
use super::{builds, hosts, jobs, slowest, style, timeline};
use crate::model::{Cluster, Kind, Link, State};

/// The smallest screen on which everything has its place.
const SMALLEST: (u16, u16) = (40, 8);

/// Draws everything.
pub fn draw(frame: &mut Frame, live: &Cluster, ui: &mut Ui, now: u64) {
    let paused = ui.take_pause();
    let (cluster, moment) = match &paused {
        Some((cluster, moment)) => (&**cluster, *moment),
        None => (live, now),
    };
    let area = frame.area();
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        frame.render_widget("The terminal is too small.", area);
        ui.keep_pause(paused);
        return;
    }
    let [head, page, foot] = Layout::vertical([
        Constraint::Length(4),
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(area);
    draw_head(frame, head, cluster, ui, moment);
    if ui.help {
        draw_help(frame, page);
    } else {
        draw_page(frame, page, cluster, ui, moment);
    }
    let pause = paused.as_ref().map(|(_, since)| now.saturating_sub(*since));
    draw_foot(frame, foot, ui, pause);
    ui.keep_pause(paused);
}

fn draw_head(frame: &mut Frame, area: Rect, cluster: &Cluster, ui: &Ui, now: u64) {
    let sum = cluster.occupancy();
    let totals = cluster.totals();
    let (link, link_style) = match cluster.link() {
        Link::Searching => ("Looking for a scheduler".to_owned(), Style::new()),
        Link::Up {
            scheduler,
            netname,
            since,
            ..
        } => {
            let network = netname
                .as_ref()
                .map_or_else(String::new, |name| format!("  network {name}"));
            let age = span(now.saturating_sub(*since));
            (
                format!("Scheduler {scheduler}{network}  heard for {age}"),
                Style::new(),
            )
        }
        Link::Down { reason, since } => {
            let age = span(now.saturating_sub(*since));
            (
                format!("NO SCHEDULER for {age}: {reason}"),
                ui.palette.warning(),
            )
        }
    };
    let machines = format!(
        "Hosts {} ({} available, {} active)   Slots {}/{}   Waiting {}",
        sum.hosts, sum.available, sum.active, sum.running, sum.slots, sum.queued
    );
    let begun = format!(
        "Jobs so far: remote {}  own {}  local {}   failed {}  lost {}  cancelled {}",
        totals.remote, totals.own, totals.local, totals.failed, totals.lost, totals.cancelled
    );
    let lines = [
        Line::styled(link, link_style),
        Line::raw(machines),
        Line::raw(begun),
        occupancy_bar(cluster, ui, area.width),
    ];
    for (line, row) in lines.into_iter().zip(area.rows()) {
        frame.render_widget(line, row);
    }
}

/// One place for each slot, `=` for remote jobs and `%` for others in the submitter's colour; `{}` in place of `[]` if there are
/// fewer places than slots or jobs.
fn occupancy_bar(cluster: &Cluster, ui: &Ui, width: u16) -> Line<'static> {
    let sum = cluster.occupancy();
    let places = usize::from(width.saturating_sub(2));
    let whole = sum.slots.max(sum.running) as usize;
    let is_scaled = whole > places;
    let [open, close] = if is_scaled { ["{", "}"] } else { ["[", "]"] };
    let mut running: Vec<(Kind, Option<u8>)> = cluster
        .jobs()
        .filter(|(_, job)| job.state == State::Running)
        .map(|(_, job)| {
            let client = job.client.and_then(|client| cluster.host(client));
            (job.kind, client.map(|client| client.mark))
        })
        .collect();
    running.sort_by_key(|(kind, mark)| (*kind != Kind::Remote, *mark));
    let total = if is_scaled { places } else { whole };
    let mut spans = vec![Span::raw(open)];
    for place in 0..total {
        let index = if is_scaled {
            place * whole / places
        } else {
            place
        };
        spans.push(match running.get(index) {
            Some((kind, mark)) => {
                let sign = if *kind == Kind::Remote { "=" } else { "%" };
                let style = mark.map_or(Style::new(), |mark| ui.palette.mark(mark));
                Span::styled(sign, style)
            }
            None => Span::raw(" "),
        });
    }
    spans.push(Span::raw(close));
    Line::from(spans)
}

fn draw_page(frame: &mut Frame, area: Rect, cluster: &Cluster, ui: &mut Ui, now: u64) {
    match ui.page() {
        Page::Hosts => {
            let rows = hosts::rows(cluster, ui, now);
            draw_table(frame, area, ui, &hosts::COLUMNS, &rows);
        }
        Page::Jobs => {
            let rows = jobs::rows(cluster, ui, now);
            draw_table(frame, area, ui, &jobs::COLUMNS, &rows);
        }
        Page::Builds => {
            let rows = builds::rows(cluster, ui, now);
            draw_table(frame, area, ui, &builds::COLUMNS, &rows);
        }
        Page::Slowest => {
            let rows = slowest::rows(cluster, ui, now);
            draw_table(frame, area, ui, &slowest::COLUMNS, &rows);
        }
        Page::Timeline => timeline::draw(frame, area, cluster, ui, now),
    }
}

fn draw_table<K>(frame: &mut Frame, area: Rect, ui: &mut Ui, columns: &[Column], rows: &[Row<K>]) {
    ui.extent = (columns.len(), rows.len());
    let view = ui.view_mut();
    view.selected = view.selected.min(rows.len().saturating_sub(1));
    let view = *view;
    table::draw(frame, area, columns, rows, view);
}

fn draw_foot(frame: &mut Frame, area: Rect, ui: &Ui, paused_for: Option<u64>) {
    let mut spans = Vec::new();
    if ui.is_typing() {
        spans.push(Span::raw(format!(
            "/{}_  (Enter keeps, Esc drops)",
            ui.filter()
        )));
    } else {
        for (key, page) in (1..).zip(Page::ALL) {
            let name = format!("{key}:{}", page.name());
            let style = if page == ui.page() {
                style::selected()
            } else {
                Style::new()
            };
            spans.extend([Span::styled(name, style), Span::raw(" ")]);
        }
        spans.push(Span::raw(" /:filter p:pause ?:help q:quit"));
        if !ui.filter().is_empty() {
            spans.push(Span::styled(
                format!("  [/{}]", ui.filter()),
                style::heading(),
            ));
        }
    }
    if let Some(ms) = paused_for {
        spans.insert(
            0,
            Span::styled(format!("PAUSED {} ", span(ms)), ui.palette.warning()),
        );
    }
    frame.render_widget(Line::from(spans), area);
}

fn draw_help(frame: &mut Frame, area: Rect) {
    const HELP: [&str; 15] = [
        "1 to 5            pages: hosts, jobs, builds, timeline, slowest files",
        "j k, up and down  move; also PgUp, PgDn, Home, End",
        "h l, left, right  choose the column to sort by; Tab goes round; r reverses",
        "space, Enter      details of the host; a: of all hosts",
        "/                 show only rows with this text; Esc: all again",
        "p                 hold the picture, and let it go on",
        "q                 leave",
        "",
        "remote: on another machine than the submitter's.  own: on the submitter's, by the",
        "scheduler's choice.  local: on the submitter's, because it cannot travel.",
        "CUR: running here, of any kind.  MAX: slots.  IN: remote jobs begun here.",
        "OUT: jobs of this host begun elsewhere.  ACTIVE: running anywhere.  WAIT: in the queue.",
        "SPEED: as the scheduler has it.  MEAN, P95: wall time of compilations here.",
        "",
        "Any key goes back.",
    ];
    for (line, row) in HELP.into_iter().zip(area.rows()) {
        frame.render_widget(Line::raw(line), row);
    }
}

/// Whether any cell of a row has the filter's text in it.
pub(super) fn passes<K>(row: &Row<K>, filter: &str) -> bool {
    let wanted = filter.to_lowercase();
    wanted.is_empty()
        || row
            .cells
            .iter()
            .any(|cell| cell.text.to_lowercase().contains(&wanted))
}
