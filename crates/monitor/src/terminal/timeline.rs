//! The page of the last minute, or of another window: a row for each slot of each host, time from left to right, jobs as bars with their submitter's
//! colour and letter.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

use super::style;
use super::table::Key;
use super::ui::Ui;
use crate::model::{Cluster, Host, HostId, Job, Kind, State};

/// What the page covers if no window was chosen, in ms.
const WINDOW: u64 = 60_000;

/// Columns of the host's name.
const NAME: usize = 14;

/// Most rows of one host.
const MOST_LANES: usize = 256;

pub(super) fn draw(frame: &mut Frame, area: Rect, cluster: &Cluster, ui: &mut Ui, now: u64) {
    let width = usize::from(area.width).saturating_sub(NAME + 1).max(1);
    let (window, ago) = match ui.window() {
        (0, _) => (WINDOW, "1 minute"),
        chosen => chosen,
    };
    let mut lines = Vec::new();
    for (id, host) in cluster.hosts() {
        if !ui.filter().is_empty() && !host.facts.name.contains(ui.filter()) {
            continue;
        }
        if host.is_here() || host.busy() > 0 {
            lines.extend(host_lines(cluster, ui, now, window, id, host, width));
        }
    }
    let body = usize::from(area.height).saturating_sub(1);
    let most = lines.len().saturating_sub(body);
    // What the cursor can move in: the lines the page can begin with.
    ui.keys = vec![Key::Build(0); most + 1];
    let view = ui.view_mut();
    view.selected = view.selected.min(most);
    let skipped = view.selected;
    let title = format!(
        "{:<NAME$} {:<half$}{:>rest$}",
        "HOST",
        format!("{ago} ago"),
        "now",
        half = width / 2,
        rest = width - width / 2
    );
    frame.render_widget(
        Line::styled(title, style::heading()),
        Rect { height: 1, ..area },
    );
    for (offset, line) in lines.into_iter().skip(skipped).take(body).enumerate() {
        let place = Rect {
            y: area.y + 1 + offset as u16,
            height: 1,
            ..area
        };
        frame.render_widget(line, place);
    }
}

fn host_lines(
    cluster: &Cluster,
    ui: &Ui,
    now: u64,
    window: u64,
    id: HostId,
    host: &Host,
    width: usize,
) -> Vec<Line<'static>> {
    let start = now.saturating_sub(window);
    let shown: Vec<&Job> = cluster
        .jobs()
        .map(|(_, job)| job)
        .filter(|job| job.server == Some(id) && job.begun.is_some())
        .filter(|job| job.ended.is_none_or(|ended| ended > start))
        .collect();
    let used = shown
        .iter()
        .map(|job| usize::from(job.lane) + 1)
        .max()
        .unwrap_or(0);
    let count = used.max(host.slots() as usize).clamp(1, MOST_LANES);
    let mut lanes = vec![vec![(' ', Style::new()); width]; count];
    for (index, job) in shown.iter().enumerate() {
        let Some(lane) = lanes.get_mut(usize::from(job.lane)) else {
            continue;
        };
        let column =
            |at: u64| (at.saturating_sub(start) as usize * width / window as usize).min(width - 1);
        let from = column(job.begun.unwrap_or(start));
        let to = column(job.ended.unwrap_or(now)).max(from);
        let mark = job
            .client
            .and_then(|client| cluster.host(client))
            .map(|client| client.mark);
        let mut look = mark.map_or(Style::new(), |mark| ui.palette.mark(mark));
        // Neighbours of the same submitter are told apart.
        if index % 2 == 1 {
            look = look.add_modifier(Modifier::DIM);
        }
        for (offset, cell) in lane[from..=to].iter_mut().enumerate() {
            *cell = (sign(job, offset, mark), look);
        }
    }
    lanes
        .into_iter()
        .enumerate()
        .map(|(lane, cells)| {
            let name = if lane == 0 {
                let name: String = host.facts.name.chars().take(NAME - 2).collect();
                Span::styled(
                    format!("{:<NAME$} ", format!("{} {name}", style::letter(host.mark))),
                    ui.palette.mark(host.mark),
                )
            } else {
                Span::raw(" ".repeat(NAME + 1))
            };
            let bars = cells
                .into_iter()
                .map(|(letter, style)| Span::styled(letter.to_string(), style));
            Line::from_iter(std::iter::once(name).chain(bars))
        })
        .collect()
}

/// A bar begins with its submitter's letter; its body says what kind of job it is.
fn sign(job: &Job, offset: usize, mark: Option<u8>) -> char {
    match (job.state, job.kind) {
        _ if offset == 0 => mark.map_or('?', style::letter),
        (State::Failed | State::Lost, _) => '!',
        (_, Kind::Remote) => '█',
        (_, Kind::Own) => '▓',
        (_, Kind::Local) => '░',
    }
}
