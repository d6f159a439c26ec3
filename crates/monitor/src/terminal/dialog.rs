//! What lies over a page and takes the keys: menus, prompts, questions, help.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Padding};

use super::style;

/// What a menu is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    Columns,
    Sort,
    Window,
    Network,
    Export,
}

/// Lines of which one is chosen.
#[derive(Clone, Debug)]
pub(super) struct Menu {
    pub(super) choice: Choice,
    pub(super) title: &'static str,
    /// A sign and a text each.
    pub(super) items: Vec<(String, String)>,
    pub(super) cursor: usize,
    pub(super) hint: &'static str,
}

/// What is typed for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The address of a scheduler.
    Address,
    /// The control token, for an order.
    Token(Order),
}

/// Something is typed.
#[derive(Clone, Debug)]
pub(super) struct Prompt {
    pub(super) purpose: Purpose,
    pub(super) title: &'static str,
    pub(super) text: String,
    pub(super) hint: &'static str,
}

/// What is done to a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Disconnect it and refuse it from now on.
    Block,
    /// Accept it again.
    Unblock,
    /// Finish what it has, nothing new.
    Drain,
    /// Take jobs again.
    Undrain,
}

/// A change an operator wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// What.
    pub action: Action,
    /// The host's name.
    pub host: String,
}

impl Action {
    /// As the text port calls it.
    pub fn command(self) -> &'static str {
        match self {
            Action::Block => "blockcs",
            Action::Unblock => "unblockcs",
            Action::Drain => "drain",
            Action::Undrain => "undrain",
        }
    }

    fn question(self) -> [&'static str; 2] {
        match self {
            Action::Block => [
                "Block",
                "It is disconnected at once and refused from now on.",
            ],
            Action::Unblock => ["Unblock", "It may log in again."],
            Action::Drain => ["Drain", "It finishes what it has and gets nothing new."],
            Action::Undrain => ["Undrain", "It gets jobs again."],
        }
    }
}

/// A page's rows as a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// One line a row, after the names.
    Csv,
    /// An array of objects.
    Json,
}

/// What lies over the page.
#[derive(Clone, Debug, Default)]
pub(super) enum Dialog {
    #[default]
    None,
    /// The first line of it that is shown.
    Help(usize),
    Menu(Menu),
    Prompt(Prompt),
    Confirm(Order),
}

pub(super) fn draw(frame: &mut Frame, area: Rect, dialog: &Dialog) {
    let (title, hint, lines, cursor): (String, &str, Vec<Line>, Option<usize>) = match dialog {
        Dialog::None => return,
        Dialog::Help(first) => (
            "Keys".to_owned(),
            "any other key goes back",
            HELP.iter()
                .skip(*first)
                .map(|line| help_line(line))
                .collect(),
            None,
        ),
        Dialog::Menu(menu) => {
            let items = menu.items.iter().enumerate();
            let lines = items.map(|(at, (sign, text))| {
                let look = if at == menu.cursor {
                    style::selected()
                } else {
                    Style::new()
                };
                Line::styled(format!("{sign}{text}"), look)
            });
            (
                menu.title.to_owned(),
                menu.hint,
                lines.collect(),
                Some(menu.cursor),
            )
        }
        Dialog::Prompt(prompt) => {
            let text = match prompt.purpose {
                Purpose::Address => prompt.text.clone(),
                Purpose::Token(_) => "*".repeat(prompt.text.chars().count()),
            };
            (
                prompt.title.to_owned(),
                prompt.hint,
                vec![Line::raw(format!("{text}_"))],
                None,
            )
        }
        Dialog::Confirm(order) => {
            let [word, meaning] = order.action.question();
            let lines = vec![
                Line::styled(format!("{word} {}?", order.host), style::heading()),
                Line::raw(meaning),
            ];
            (
                format!("{word} a host"),
                "y: do it   any other key: no",
                lines,
                None,
            )
        }
    };
    let widest = lines.iter().map(Line::width).max().unwrap_or(0);
    let widest = widest
        .max(hint.chars().count())
        .max(title.chars().count() + 2)
        .max(30);
    let width = (widest as u16 + 4).min(area.width);
    let height = (lines.len() as u16 + 3).min(area.height);
    let place = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    frame.render_widget(Clear, place);
    let block = Block::bordered()
        .title(Span::styled(format!(" {title} "), style::heading()))
        .padding(Padding::horizontal(1));
    let inner = block.inner(place);
    frame.render_widget(block, place);
    let room = usize::from(inner.height).saturating_sub(1);
    let skip = cursor.map_or(0, |cursor| (cursor + 1).saturating_sub(room));
    for (row, line) in inner.rows().zip(lines.into_iter().skip(skip).take(room)) {
        frame.render_widget(line, row);
    }
    if let Some(last) = inner.rows().next_back() {
        frame.render_widget(Line::styled(hint.to_owned(), style::faint()), last);
    }
}

fn help_line(line: &'static str) -> Line<'static> {
    match line.split_at_checked(HELP_KEYS) {
        Some((keys, text)) => {
            Line::from(vec![Span::styled(keys, style::heading()), Span::raw(text)])
        }
        None => Line::raw(line),
    }
}

const HELP_KEYS: usize = 18;

pub(super) const HELP: [&str; 31] = [
    "1 to 9            pages",
    "j k, arrows       move; also PgUp, PgDn, Home, End, the mouse wheel",
    "h l, arrows, Tab  choose the column to sort by; Tab goes round",
    "r                 turn the order round",
    "s                 choose the column to sort by from a list",
    "c                 choose and move columns",
    "< >               move the table sideways",
    "space             open a host in place; a: all hosts",
    "Enter             all about the row; Esc: back",
    "/                 filter: words, client:ada, state:failed, time>2, exit=1,",
    "                  -word for rows without it; Esc: all rows again",
    "n N               next and previous row that passes the filter",
    "f                 stay on the newest row (jobs, builds)",
    "t                 time window of jobs, builds and the gantt page",
    "p                 hold the picture, and let it go on",
    "g                 watch another network or scheduler",
    "b u d             block, unblock, drain the host (again: undrain)",
    "e                 write the page into a file",
    "?                 this help; q: leave",
    "",
    "remote            on another machine than the submitter's",
    "own               on the submitter's, by the scheduler's choice",
    "local             on the submitter's, because it cannot travel",
    "CUR, MAX          jobs running here of any kind, slots",
    "IN, OUT           remote jobs begun here; jobs of this host begun elsewhere",
    "ACTIVE, WAIT      its jobs running anywhere; its jobs in the queue",
    "SPEED             kB of object per second as the scheduler has it; a ~ before it",
    "                  means fewer than seven jobs were measured",
    "MEAN, P50, P95    time of compilations here",
    "= %               in the bar: remote jobs; own and local ones",
    "lost              its worker or submitter vanished; not the compiler's failure",
];
