//! The screen: lines about the whole, what is wrong, the page, what is being typed, the names of pages.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::figures::{span, sparkline};
use super::lines::Lines;
use super::page::{self, Page};
use super::table::{self, Key};
use super::ui::{Detail, Ui};
use super::{about_build, about_host, about_job, alerts, dialog, style, timeline, toolchains, why};
use crate::model::{Cluster, Kind, State};
use crate::view::{self, ClusterRow, LinkWord};

/// The smallest screen on which everything has its place.
const SMALLEST: (u16, u16) = (40, 10);

/// Lines of a panel below a table.
const PANEL: u16 = 7;

/// Values of the strip of the whole cluster beside the bar.
const STRIP: u16 = 20;

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
    let banner = alerts::banner(cluster, ui, moment);
    let pause = paused.as_ref().map(|(_, since)| now.saturating_sub(*since));
    let status = status(ui, pause);
    let [head, wrong, page, said, foot] = Layout::vertical([
        Constraint::Length(4),
        Constraint::Length(u16::from(banner.is_some())),
        Constraint::Fill(1),
        Constraint::Length(u16::from(status.is_some())),
        Constraint::Length(1),
    ])
    .areas(area);
    let row = view::cluster(cluster, moment);
    for (line, place) in head_lines(cluster, &row, ui, area.width, moment)
        .into_iter()
        .zip(head.rows())
    {
        frame.render_widget(line, place);
    }
    if let Some(banner) = banner {
        frame.render_widget(banner, wrong);
    }
    ui.body = usize::from(page.height);
    ui.drawn = table::Drawn::default();
    match ui.detail.clone() {
        Some(detail) => draw_detail(frame, page, cluster, ui, &detail, moment),
        None => draw_page(frame, page, cluster, ui, &row, moment),
    }
    if let Some(status) = status {
        frame.render_widget(status, said);
    }
    draw_foot(frame, foot, ui, view::alerts(cluster, moment).len());
    dialog::draw(frame, page, &ui.dialog);
    ui.keep_pause(paused);
}

/// The lines about the whole as text, for scripts.
pub(super) fn head_text(cluster: &Cluster, ui: &Ui, width: u16, now: u64) -> String {
    let row = view::cluster(cluster, now);
    let lines = head_lines(cluster, &row, ui, width, now);
    let lines = lines
        .iter()
        .map(|line| line.to_string().trim_end().to_owned() + "\n");
    lines.collect()
}

fn head_lines(
    cluster: &Cluster,
    row: &ClusterRow,
    ui: &Ui,
    width: u16,
    now: u64,
) -> [Line<'static>; 4] {
    let since = row.link_since.map_or(0, |since| now.saturating_sub(since));
    let link = match row.link {
        LinkWord::Searching => Line::raw("Looking for a scheduler"),
        LinkWord::Up => scheduler_line(row, since, now),
        LinkWord::Down => {
            let reason = row.link_reason.as_deref().unwrap_or_default();
            let text = format!("NO SCHEDULER for {}: {reason}", span(since));
            Line::styled(text, ui.palette.warning())
        }
    };
    let begun = begun(row, usize::from(width));
    [
        link,
        Line::raw(machines(row)),
        Line::raw(begun),
        occupancy_bar(cluster, row, ui, width),
    ]
}

/// What began and how it ended; on a narrow screen great numbers push the blanks out first.
fn begun(row: &ClusterRow, width: usize) -> String {
    let totals = &row.totals;
    let share = row.local_percent;
    let share = share.map_or_else(String::new, |share| format!(" ({share:.0}% here)"));
    let text = format!(
        "So far: remote {}  own {}  local {}{share}  failed {}  lost {}  cancelled {}",
        totals.remote, totals.own, totals.local, totals.failed, totals.lost, totals.cancelled
    );
    if text.chars().count() <= width {
        return text;
    }
    text.replace("So far: ", "")
        .replace("  ", " ")
        .replace("cancelled", "cancel")
}

fn scheduler_line(row: &ClusterRow, since: u64, now: u64) -> Line<'static> {
    let mut text = format!("Scheduler {}", row.scheduler.as_deref().unwrap_or("?"));
    if let Some(netname) = &row.netname {
        text += &format!("  network {netname}");
    }
    match (&row.version, &row.algorithm) {
        (Some(version), Some(algorithm)) => text += &format!("  {version}, {algorithm}"),
        (Some(version), None) => text += &format!("  {version}"),
        (None, _) => {
            if let Some(protocol) = row.protocol {
                text += &format!("  protocol {protocol}");
            }
        }
    }
    text += &match row.started {
        Some(started) => format!("  up {}", span(now.saturating_sub(started))),
        None => format!("  heard for {}", span(since)),
    };
    Line::raw(text)
}

fn machines(row: &ClusterRow) -> String {
    let platforms = match row.platforms.as_slice() {
        [] | [_] => String::new(),
        many => {
            let each = many.iter().take(4);
            let each = each.map(|row| format!("{} {}/{}", row.platform, row.busy, row.slots));
            format!(" ({})", each.collect::<Vec<_>>().join(", "))
        }
    };
    format!(
        "Hosts {} ({} available, {} active)   Slots {}/{}   Waiting {}{}",
        row.hosts,
        row.available,
        row.active,
        row.running,
        row.slots,
        row.queued,
        if platforms.is_empty() {
            String::new()
        } else {
            format!("  {platforms}")
        }
    )
}

/// One place for each slot, `=` for remote jobs and `%` for others in the submitter's colour; `{}` in place of `[]` if there are
/// fewer places than slots or jobs. On the right the last five minutes.
fn occupancy_bar(cluster: &Cluster, row: &ClusterRow, ui: &Ui, width: u16) -> Line<'static> {
    let beside = if width >= 80 { STRIP + 8 } else { 0 };
    let places = usize::from(width.saturating_sub(2 + beside));
    let whole = row.slots.max(row.running) as usize;
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
    if beside > 0 {
        let blank = places - total;
        let group = row.busy_strip.len().div_ceil(usize::from(STRIP)).max(1);
        let levels: Vec<f64> = row
            .busy_strip
            .chunks(group)
            .map(|chunk| chunk.iter().copied().map(f64::from).sum::<f64>() / chunk.len() as f64)
            .collect();
        let strip = sparkline(&levels, f64::from(row.slots.max(1)));
        spans.push(Span::styled(
            format!("{}  5 min ", " ".repeat(blank)),
            style::faint(),
        ));
        spans.push(Span::raw(strip));
    }
    Line::from(spans)
}

fn draw_page(
    frame: &mut Frame,
    area: Rect,
    cluster: &Cluster,
    ui: &mut Ui,
    whole: &ClusterRow,
    now: u64,
) {
    if ui.page() == Page::Timeline {
        return timeline::draw(frame, area, cluster, ui, now);
    }
    let rows = page::rows(cluster, ui, now);
    ui.keys = rows.iter().map(|row| row.key.clone()).collect();
    ui.view_mut().settle(&rows);
    let panel = panel(cluster, ui, now, area.width);
    let height = match &panel {
        Some(lines) => (lines.len() as u16 + 1).min(PANEL).min(area.height / 2),
        None => 0,
    };
    let [body, below] =
        Layout::vertical([Constraint::Fill(1), Constraint::Length(height)]).areas(area);
    ui.drawn = table::draw(frame, body, ui.page().columns(), &rows, ui.view());
    if rows.is_empty() && body.height > 2 {
        let place = Rect {
            y: body.y + 2,
            height: 1,
            ..body
        };
        frame.render_widget(Line::styled(nothing(ui, whole), style::faint()), place);
    }
    let lines = panel.unwrap_or_default();
    for (line, place) in lines.into_iter().zip(below.rows().skip(1)) {
        frame.render_widget(line, place);
    }
}

/// Why a table is empty.
fn nothing(ui: &Ui, whole: &ClusterRow) -> &'static str {
    if !ui.filter().is_empty() {
        return "Nothing passes the filter; Esc shows all again.";
    }
    match ui.page() {
        Page::Hosts => "No host is known yet.",
        Page::Jobs => "No job was seen yet.",
        Page::Builds => "No build was seen yet.",
        Page::Slowest => "No file was compiled yet.",
        Page::Why if !whole.has_records => {
            "Nobody told a reason yet; only Gelato's clients and scheduler do."
        }
        Page::Why => "Every job was done elsewhere so far.",
        Page::Toolchains => "No toolchain is told of.",
        Page::Alerts => "No alerts.",
        Page::People => "Nobody has used the cluster yet.",
        Page::Timeline => "",
    }
}

/// Lines below the table about its selected row.
fn panel(cluster: &Cluster, ui: &Ui, now: u64, width: u16) -> Option<Vec<Line<'static>>> {
    let word = match &ui.view().key {
        Some(Key::Word(word)) => Some(word.as_str()),
        _ => None,
    };
    let lines: Lines = match ui.page() {
        Page::Why => why::panel(cluster, word, width),
        Page::Alerts => alerts::panel(cluster, word, now, width),
        Page::Toolchains => toolchains::panel(cluster, width),
        _ => return None,
    };
    Some(lines.into_lines())
}

fn draw_detail(
    frame: &mut Frame,
    area: Rect,
    cluster: &Cluster,
    ui: &mut Ui,
    detail: &Detail,
    now: u64,
) {
    let lines = match &detail.key {
        Key::Host(host) => about_host::lines(cluster, ui, *host, now, area.width),
        Key::Job(job) => about_job::lines(cluster, ui, *job, now, area.width),
        Key::Build(build) => about_build::lines(cluster, ui, *build, now, area.width),
        Key::Word(_) => Lines::new(area.width),
    };
    let lines = lines.into_lines();
    let most = lines.len().saturating_sub(usize::from(area.height));
    let first = detail.first.min(most);
    if let Some(detail) = &mut ui.detail {
        detail.first = first;
    }
    let is_cut = first < most;
    for (line, place) in lines.into_iter().skip(first).zip(area.rows()) {
        frame.render_widget(line, place);
    }
    let sign = match (first > 0, is_cut) {
        (false, false) => return,
        (false, true) => "more ↓",
        (true, true) => "more ↑↓",
        (true, false) => "more ↑",
    };
    let width = sign.chars().count() as u16;
    let place = Rect {
        x: area.x + area.width.saturating_sub(width),
        width,
        height: 1,
        ..area
    };
    frame.render_widget(Line::styled(sign, style::faint()), place);
}

/// What is being typed, was said, holds; `None` on most days.
fn status(ui: &Ui, paused_for: Option<u64>) -> Option<Line<'static>> {
    let mut spans: Vec<Span> = Vec::new();
    if let Some(ms) = paused_for {
        spans.push(Span::styled(
            format!("PAUSED {}  ", span(ms)),
            ui.palette.warning(),
        ));
    }
    if ui.is_typing() {
        spans.push(Span::raw(format!("/{}_   ", ui.filter())));
        spans.push(Span::styled(
            "Enter: keep it   Esc: all rows",
            style::faint(),
        ));
    } else if !ui.filter().is_empty() {
        spans.push(Span::styled(
            format!("/{}  ", ui.filter()),
            style::heading(),
        ));
        spans.push(Span::styled(
            format!("{} rows  ", ui.keys.len()),
            style::faint(),
        ));
    }
    if let (1.., name) = ui.window()
        && matches!(ui.page(), Page::Jobs | Page::Builds)
    {
        spans.push(Span::raw(format!("last {name}  ")));
    }
    if let Some(message) = &ui.message {
        spans.push(Span::raw(message.clone()));
    }
    (!spans.is_empty()).then(|| Line::from(spans))
}

fn draw_foot(frame: &mut Frame, area: Rect, ui: &mut Ui, alerts: usize) {
    let mut spans = Vec::new();
    let mut x = area.x;
    ui.tabs.clear();
    ui.tab_line = area.y;
    for (key, page) in (1..).zip(Page::ALL) {
        let name = match (page, alerts) {
            (Page::Alerts, 1..) => format!("{key}:{}!", page.name()),
            _ => format!("{key}:{}", page.name()),
        };
        let look = match (page == ui.page(), page, alerts) {
            (true, ..) => style::selected(),
            (false, Page::Alerts, 1..) => ui.palette.warning(),
            _ => Style::new(),
        };
        let width = name.chars().count() as u16;
        ui.tabs.push((x, x + width, page));
        x += width + 1;
        spans.extend([Span::styled(name, look), Span::raw(" ")]);
    }
    spans.push(Span::styled("?:help", style::faint()));
    frame.render_widget(Line::from(spans), area);
}
