//! What is shown and what keys do. The keys of icecream-sundae mean what they mean there.
//!
//! Knows no terminal and does nothing itself: what has to be done outside is a [`Request`].

use std::collections::{BTreeSet, VecDeque};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};

use super::dialog::{Action, Choice, Dialog, Format, HELP, Menu, Order, Prompt, Purpose};
use super::page::Page;
use super::style::Palette;
use super::table::{self, Key};
use crate::model::{Cluster, HostId};
use crate::view;

/// Longest text that is typed.
const LONGEST_TEXT: usize = 200;

/// Rows the mouse wheel moves.
const WHEEL: usize = 3;

/// Lines a page key moves.
const PAGE: usize = 10;

/// Windows of time in ms; 0 is all that is remembered.
pub(super) const WINDOWS: [(u64, &str); 6] = [
    (0, "all that is remembered"),
    (15_000, "15 seconds"),
    (60_000, "1 minute"),
    (300_000, "5 minutes"),
    (900_000, "15 minutes"),
    (3_600_000, "1 hour"),
];

/// What a page of its own is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Detail {
    pub(super) key: Key,
    /// The first line that is shown.
    pub(super) first: usize,
}

/// A scheduler that answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// The name of its network.
    pub name: String,
    /// Its address.
    pub address: String,
    /// More about it, for people.
    pub about: String,
}

/// What the user wants done outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Look for schedulers.
    Search,
    /// Watch the scheduler at this address.
    Watch(String),
    /// Tell the scheduler something.
    Operate {
        /// What.
        order: Order,
        /// A token that was typed for it.
        token: Option<String>,
    },
    /// Write a page's rows into a file.
    Export(Page, Format),
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Schedulers that were found.
    Networks(Vec<Network>),
    /// A line for people.
    Said(String),
    /// The scheduler wants the control token.
    TokenWanted(Order),
}

/// Where the user is.
#[derive(Debug)]
pub struct Ui {
    pub(super) palette: Palette,
    page: Page,
    views: Vec<table::View>,
    pub(super) detail: Option<Detail>,
    pub(super) dialog: Dialog,
    /// The page as drawn last: what each row is about.
    pub(super) keys: Vec<Key>,
    pub(super) drawn: table::Drawn,
    /// Where the names of pages were drawn.
    pub(super) tabs: Vec<(u16, u16, Page)>,
    pub(super) tab_line: u16,
    pub(super) body: usize,
    filter: String,
    is_typing: bool,
    open: BTreeSet<HostId>,
    all_open: bool,
    /// Index into [`WINDOWS`].
    window: usize,
    networks: Vec<Network>,
    pub(super) message: Option<String>,
    requests: VecDeque<Request>,
    /// The picture at the moment of the pause, and that moment.
    paused: Option<(Box<Cluster>, u64)>,
    over: bool,
}

impl Ui {
    /// The first page.
    pub fn new(palette: Palette) -> Ui {
        Ui {
            palette,
            page: Page::Hosts,
            views: Page::ALL.iter().map(|page| page.first_view()).collect(),
            detail: None,
            dialog: Dialog::None,
            keys: Vec::new(),
            drawn: table::Drawn::default(),
            tabs: Vec::new(),
            tab_line: 0,
            body: 0,
            filter: String::new(),
            is_typing: false,
            open: BTreeSet::new(),
            all_open: false,
            window: 0,
            networks: Vec::new(),
            message: None,
            requests: VecDeque::new(),
            paused: None,
            over: false,
        }
    }

    /// Begins at a page.
    #[must_use]
    pub fn at(mut self, page: Page) -> Ui {
        self.page = page;
        self
    }

    /// Whether the user wants to leave.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// What the screen is about.
    pub fn page(&self) -> Page {
        self.page
    }

    /// What is to be done outside, once.
    pub fn next_request(&mut self) -> Option<Request> {
        self.requests.pop_front()
    }

    /// What came of it.
    pub fn hear(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Said(text) => self.message = Some(text),
            Outcome::TokenWanted(order) => {
                self.dialog = Dialog::Prompt(Prompt {
                    purpose: Purpose::Token(order),
                    title: "Control token of the scheduler",
                    text: String::new(),
                    hint: "Enter: go on   Esc: no",
                });
            }
            Outcome::Networks(found) => {
                self.networks = found;
                if let Dialog::Menu(menu) = &self.dialog
                    && menu.choice == Choice::Network
                {
                    self.dialog = self.network_menu(false);
                }
            }
        }
    }

    pub(super) fn view(&self) -> &table::View {
        &self.views[self.page.index()]
    }

    pub(super) fn view_mut(&mut self) -> &mut table::View {
        &mut self.views[self.page.index()]
    }

    pub(super) fn filter(&self) -> &str {
        &self.filter
    }

    pub(super) fn is_typing(&self) -> bool {
        self.is_typing
    }

    pub(super) fn is_open(&self, host: HostId) -> bool {
        self.all_open || self.open.contains(&host)
    }

    /// The time before `now` that is looked at: its beginning, and its name.
    pub(super) fn window(&self) -> (u64, &'static str) {
        WINDOWS[self.window]
    }

    pub(super) fn take_pause(&mut self) -> Option<(Box<Cluster>, u64)> {
        self.paused.take()
    }

    pub(super) fn keep_pause(&mut self, paused: Option<(Box<Cluster>, u64)>) {
        self.paused = paused;
    }

    fn selected(&self) -> Option<&Key> {
        self.keys.get(self.view().selected)
    }

    /// A key was pressed while `cluster` was shown at `now`.
    pub fn press(&mut self, key: KeyEvent, cluster: &Cluster, now: u64) {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            self.over |= key.code == KeyCode::Char('c');
            return;
        }
        self.message = None;
        if self.is_typing {
            return self.type_filter(key.code);
        }
        match std::mem::take(&mut self.dialog) {
            Dialog::None => {}
            Dialog::Help(first) => return self.press_in_help(first, key.code),
            Dialog::Menu(menu) => return self.press_in_menu(menu, key.code),
            Dialog::Prompt(prompt) => return self.press_in_prompt(prompt, key.code),
            Dialog::Confirm(order) => {
                if matches!(key.code, KeyCode::Char('y' | 'Y')) {
                    self.message = Some(format!("{} {} …", order.action.command(), order.host));
                    self.requests
                        .push_back(Request::Operate { order, token: None });
                }
                return;
            }
        }
        match key.code {
            KeyCode::Char('q') => self.over = true,
            KeyCode::Char('?') => self.dialog = Dialog::Help(0),
            KeyCode::Char('/') => {
                self.is_typing = true;
                self.detail = None;
                self.filter.clear();
            }
            KeyCode::Char('p') => {
                self.paused = match self.paused.take() {
                    None => Some((Box::new(cluster.clone()), now)),
                    Some(_) => None,
                };
            }
            KeyCode::Char('g') => {
                self.requests.push_back(Request::Search);
                self.dialog = self.network_menu(true);
            }
            KeyCode::Char('t') => self.dialog = self.window_menu(),
            KeyCode::Char('e') => self.dialog = export_menu(),
            KeyCode::Char(key @ ('b' | 'u' | 'd')) => self.ask_to_operate(key, cluster, now),
            KeyCode::Char(digit @ '1'..='9') => {
                self.turn_to(Page::ALL[usize::from(digit as u8 - b'1')]);
            }
            code if self.detail.is_some() => self.walk_detail(code),
            code => self.press_in_table(code),
        }
    }

    /// The mouse did something.
    pub fn point(&mut self, mouse: MouseEvent) {
        match mouse.kind {
            MouseEventKind::ScrollDown => self.scroll(true),
            MouseEventKind::ScrollUp => self.scroll(false),
            MouseEventKind::Down(MouseButton::Left) => self.click(mouse.column, mouse.row),
            _ => {}
        }
    }

    fn scroll(&mut self, down: bool) {
        let code = if down { KeyCode::Down } else { KeyCode::Up };
        for _ in 0..WHEEL {
            match &mut self.dialog {
                Dialog::None if self.detail.is_some() => self.walk_detail(code),
                Dialog::None => self.walk(code),
                Dialog::Help(first) if down => *first = (*first + 1).min(HELP.len() - 1),
                Dialog::Help(first) => *first = first.saturating_sub(1),
                Dialog::Menu(menu) => move_in_menu(menu, code),
                Dialog::Prompt(_) | Dialog::Confirm(_) => {}
            }
        }
    }

    fn click(&mut self, x: u16, y: u16) {
        if !matches!(self.dialog, Dialog::None) {
            return;
        }
        if y == self.tab_line {
            let tab = self
                .tabs
                .iter()
                .find(|(from, to, _)| (*from..*to).contains(&x));
            if let Some((_, _, page)) = tab {
                self.turn_to(*page);
            }
            return;
        }
        if self.detail.is_some() {
            return;
        }
        if let Some((line, titles)) = &self.drawn.titles
            && *line == y
        {
            let title = titles
                .iter()
                .find(|(from, to, _)| (*from..*to).contains(&x));
            if let Some(&(_, _, column)) = title {
                self.sort_by(column);
            }
            return;
        }
        let row = self.drawn.lines.iter().find(|(line, _)| *line == y);
        if let Some(&(_, row)) = row {
            self.select(row);
        }
    }

    fn turn_to(&mut self, page: Page) {
        self.page = page;
        self.detail = None;
        self.keys.clear();
    }

    /// Choosing the column that is chosen turns the order round.
    fn sort_by(&mut self, column: usize) {
        let view = self.view_mut();
        if view.sorted == column {
            view.reversed = !view.reversed;
        } else {
            view.sorted = column;
        }
        view.moved = None;
    }

    fn select(&mut self, row: usize) {
        let key = self.keys.get(row).cloned();
        let view = self.view_mut();
        view.follows = false;
        view.selected = row;
        view.key = key;
    }

    fn type_filter(&mut self, code: KeyCode) {
        match code {
            KeyCode::Enter => self.is_typing = false,
            KeyCode::Esc => {
                self.is_typing = false;
                self.filter.clear();
            }
            KeyCode::Backspace => {
                self.filter.pop();
            }
            KeyCode::Char(letter) if self.filter.len() < LONGEST_TEXT => self.filter.push(letter),
            _ => {}
        }
        let view = self.view_mut();
        view.selected = 0;
        view.key = None;
    }

    fn press_in_table(&mut self, code: KeyCode) {
        match code {
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Enter => self.enter(),
            KeyCode::Char(' ') => self.open_selected(),
            KeyCode::Char('a') => {
                self.all_open = !self.all_open;
                self.open.clear();
            }
            KeyCode::Char('f') => {
                let view = self.view_mut();
                view.follows = !view.follows;
            }
            KeyCode::Char('c') if self.page.columns().len() > 1 => {
                self.dialog = self.column_menu(0)
            }
            KeyCode::Char('s') if self.page.columns().len() > 1 => self.dialog = self.sort_menu(),
            KeyCode::Char('n') if !self.filter.is_empty() => self.step(true),
            KeyCode::Char('N') if !self.filter.is_empty() => self.step(false),
            code => self.walk(code),
        }
    }

    /// To the next row that passes the filter, round the end.
    fn step(&mut self, forward: bool) {
        let count = self.keys.len().max(1);
        let at = self.view().selected;
        let next = if forward { at + 1 } else { at + count - 1 };
        self.select(next % count);
    }

    /// Moves over rows and columns.
    fn walk(&mut self, code: KeyCode) {
        let last = self.keys.len().saturating_sub(1);
        let at = self.view().selected;
        match code {
            KeyCode::Down | KeyCode::Char('j') => self.select((at + 1).min(last)),
            KeyCode::Up | KeyCode::Char('k') => self.select(at.saturating_sub(1)),
            KeyCode::PageDown => self.select((at + PAGE).min(last)),
            KeyCode::PageUp => self.select(at.saturating_sub(PAGE)),
            KeyCode::Home => self.select(0),
            KeyCode::End => self.select(last),
            _ => {}
        }
        let view = self.view_mut();
        match code {
            KeyCode::Right | KeyCode::Char('l') => view.step_sort(true, false),
            KeyCode::Left | KeyCode::Char('h') => view.step_sort(false, false),
            KeyCode::Tab => view.step_sort(true, true),
            KeyCode::Char('r') => view.reversed = !view.reversed,
            KeyCode::Char('>') => view.moved = Some(view.moved.unwrap_or(0) + 1),
            KeyCode::Char('<') => view.moved = Some(view.moved.unwrap_or(0).saturating_sub(1)),
            _ => {}
        }
        let most = view.columns().len().saturating_sub(2);
        view.moved = view.moved.map(|moved| moved.min(most));
    }

    fn walk_detail(&mut self, code: KeyCode) {
        let body = self.body;
        let Some(detail) = &mut self.detail else {
            return;
        };
        let page = body.saturating_sub(1).max(1);
        detail.first = match code {
            KeyCode::Down | KeyCode::Char('j') => detail.first + 1,
            KeyCode::Up | KeyCode::Char('k') => detail.first.saturating_sub(1),
            KeyCode::PageDown | KeyCode::Char(' ') => detail.first + page,
            KeyCode::PageUp => detail.first.saturating_sub(page),
            KeyCode::Home => 0,
            KeyCode::End => usize::MAX,
            KeyCode::Esc
            | KeyCode::Enter
            | KeyCode::Backspace
            | KeyCode::Left
            | KeyCode::Char('h') => {
                self.detail = None;
                return;
            }
            _ => detail.first,
        };
    }

    /// All about the selected row: a page of its own, or the jobs behind it.
    fn enter(&mut self) {
        let Some(key) = self.selected().cloned() else {
            return;
        };
        match (self.page, key) {
            (Page::Why, Key::Word(code)) => self.show_jobs(format!("reason:{code}")),
            (Page::Slowest, Key::Word(file)) => self.show_jobs(format!("file:{file}")),
            (Page::Alerts, Key::Word(_)) => {}
            (Page::People, Key::Host(_)) => {}
            (_, Key::Word(_)) => {}
            (_, key) => self.detail = Some(Detail { key, first: 0 }),
        }
    }

    fn show_jobs(&mut self, filter: String) {
        self.turn_to(Page::Jobs);
        self.filter = filter;
    }

    fn open_selected(&mut self) {
        let Some(Key::Host(host)) = self.selected().cloned() else {
            return self.enter();
        };
        if self.all_open {
            // Closing one of all leaves the others open.
            self.all_open = false;
            let hosts = self.keys.iter().filter_map(|key| match key {
                Key::Host(host) => Some(*host),
                _ => None,
            });
            self.open = hosts.collect();
        }
        if !self.open.remove(&host) {
            self.open.insert(host);
        }
    }

    fn ask_to_operate(&mut self, key: char, cluster: &Cluster, now: u64) {
        let about = match &self.detail {
            Some(detail) => Some(detail.key.clone()),
            None => self.selected().cloned(),
        };
        let Some(Key::Host(host)) = about else {
            self.message =
                Some("blocking and draining is done on the page of hosts (1)".to_owned());
            return;
        };
        let Some(host) = view::host(cluster, host, now) else {
            return;
        };
        let action = match key {
            'b' => Action::Block,
            'u' if host.draining && !host.blocked => Action::Undrain,
            'u' => Action::Unblock,
            _ if host.draining => Action::Undrain,
            _ => Action::Drain,
        };
        self.dialog = Dialog::Confirm(Order {
            action,
            host: host.name,
        });
    }

    fn press_in_help(&mut self, first: usize, code: KeyCode) {
        self.dialog = match code {
            KeyCode::Down | KeyCode::Char('j') | KeyCode::PageDown => {
                Dialog::Help((first + 1).min(HELP.len() - 1))
            }
            KeyCode::Up | KeyCode::Char('k') | KeyCode::PageUp => {
                Dialog::Help(first.saturating_sub(1))
            }
            _ => Dialog::None,
        };
    }

    fn press_in_menu(&mut self, mut menu: Menu, code: KeyCode) {
        match (menu.choice, code) {
            (_, KeyCode::Esc | KeyCode::Char('q')) => {}
            (Choice::Columns, KeyCode::Char(' ')) => {
                self.toggle_column(menu.cursor);
                self.dialog = self.column_menu(menu.cursor);
            }
            (Choice::Columns, KeyCode::Char(key @ ('+' | '-'))) => {
                let cursor = self.move_column(menu.cursor, key == '+');
                self.dialog = self.column_menu(cursor);
            }
            (Choice::Columns, KeyCode::Enter) => {}
            (_, KeyCode::Enter | KeyCode::Char(' ')) => self.choose(menu.choice, menu.cursor),
            (_, code) => {
                move_in_menu(&mut menu, code);
                self.dialog = Dialog::Menu(menu);
            }
        }
    }

    fn choose(&mut self, choice: Choice, at: usize) {
        match choice {
            Choice::Columns => {}
            Choice::Sort => {
                if let Some(&column) = self.view().columns().get(at) {
                    self.sort_by(column);
                }
            }
            Choice::Window => self.window = at.min(WINDOWS.len() - 1),
            Choice::Export => {
                let format = if at == 0 { Format::Csv } else { Format::Json };
                self.requests.push_back(Request::Export(self.page, format));
            }
            Choice::Network => match self.networks.get(at) {
                Some(network) => {
                    let address = network.address.clone();
                    self.requests.push_back(Request::Watch(address));
                }
                None => {
                    self.dialog = Dialog::Prompt(Prompt {
                        purpose: Purpose::Address,
                        title: "Address of a scheduler",
                        text: String::new(),
                        hint: "HOST or HOST:PORT   Enter: watch it   Esc: no",
                    });
                }
            },
        }
    }

    fn press_in_prompt(&mut self, mut prompt: Prompt, code: KeyCode) {
        match code {
            KeyCode::Esc => return,
            KeyCode::Enter if prompt.text.is_empty() => return,
            KeyCode::Enter => {
                let request = match prompt.purpose {
                    Purpose::Address => Request::Watch(prompt.text),
                    Purpose::Token(order) => Request::Operate {
                        order,
                        token: Some(prompt.text),
                    },
                };
                return self.requests.push_back(request);
            }
            KeyCode::Backspace => {
                prompt.text.pop();
            }
            KeyCode::Char(letter) if prompt.text.len() < LONGEST_TEXT => prompt.text.push(letter),
            _ => {}
        }
        self.dialog = Dialog::Prompt(prompt);
    }

    /// The first column always stands.
    fn toggle_column(&mut self, at: usize) {
        let view = self.view_mut();
        if let Some(&column) = view.order.get(at)
            && at > 0
            && !view.hidden.remove(&column)
        {
            view.hidden.insert(column);
        }
    }

    fn move_column(&mut self, at: usize, down: bool) -> usize {
        let view = self.view_mut();
        let to = if down { at + 1 } else { at.saturating_sub(1) };
        if at == 0 || to == 0 || to >= view.order.len() {
            return at;
        }
        view.order.swap(at, to);
        to
    }

    fn column_menu(&self, cursor: usize) -> Dialog {
        let (columns, view) = (self.page.columns(), self.view());
        let items = view.order.iter().map(|&index| {
            let sign = if view.hidden.contains(&index) {
                "[ ] "
            } else {
                "[x] "
            };
            (sign.to_owned(), columns[index].title.to_owned())
        });
        Dialog::Menu(Menu {
            choice: Choice::Columns,
            title: "Columns",
            items: items.collect(),
            cursor,
            hint: "space: show or hide   + -: move   Esc: back",
        })
    }

    fn sort_menu(&self) -> Dialog {
        let (columns, view) = (self.page.columns(), self.view());
        let shown = view.columns();
        let items = shown.iter().map(|&index| {
            let sign = match (index == view.sorted, view.reversed) {
                (false, _) => "  ",
                (true, false) => "↑ ",
                (true, true) => "↓ ",
            };
            (sign.to_owned(), columns[index].title.to_owned())
        });
        Dialog::Menu(Menu {
            choice: Choice::Sort,
            title: "Sort by",
            items: items.collect(),
            cursor: shown
                .iter()
                .position(|&index| index == view.sorted)
                .unwrap_or(0),
            hint: "Enter: sort; again: turn round   Esc: back",
        })
    }

    fn window_menu(&self) -> Dialog {
        let items = WINDOWS.iter().enumerate().map(|(at, (_, name))| {
            let sign = if at == self.window { "* " } else { "  " };
            (sign.to_owned(), (*name).to_owned())
        });
        Dialog::Menu(Menu {
            choice: Choice::Window,
            title: "Time looked at",
            items: items.collect(),
            cursor: self.window,
            hint: "jobs, builds, gantt   Enter: choose   Esc: back",
        })
    }

    fn network_menu(&self, is_searching: bool) -> Dialog {
        let items = self.networks.iter().map(|network| {
            let text = format!(
                "{:<16} {:<21} {}",
                network.name, network.address, network.about
            );
            (String::new(), text)
        });
        Dialog::Menu(Menu {
            choice: Choice::Network,
            title: "Schedulers",
            items: items
                .chain([(String::new(), "another address …".to_owned())])
                .collect(),
            cursor: 0,
            hint: if is_searching {
                "looking for schedulers …   Esc: back"
            } else {
                "Enter: watch it   Esc: back"
            },
        })
    }
}

fn export_menu() -> Dialog {
    let items = ["CSV: a line for each row", "JSON: an array of objects"];
    Dialog::Menu(Menu {
        choice: Choice::Export,
        title: "Write this page into a file",
        items: items.map(|text| (String::new(), text.to_owned())).to_vec(),
        cursor: 0,
        hint: "in the folder top was started in   Esc: back",
    })
}

fn move_in_menu(menu: &mut Menu, code: KeyCode) {
    let last = menu.items.len().saturating_sub(1);
    menu.cursor = match code {
        KeyCode::Down | KeyCode::Char('j') => (menu.cursor + 1).min(last),
        KeyCode::Up | KeyCode::Char('k') => menu.cursor.saturating_sub(1),
        KeyCode::PageDown => (menu.cursor + PAGE).min(last),
        KeyCode::PageUp => menu.cursor.saturating_sub(PAGE),
        KeyCode::Home => 0,
        KeyCode::End => last,
        _ => menu.cursor,
    };
}
