//! What is shown and what keys do. The keys of icecream-sundae mean what they mean there.

use std::collections::BTreeSet;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::style::Palette;
use super::{hosts, table};
use crate::model::{Cluster, HostId};

/// Longest filter that is taken.
const LONGEST_FILTER: usize = 80;

/// What a screen is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// Machines.
    Hosts,
    /// Jobs, the newest first.
    Jobs,
    /// Builds, the newest first.
    Builds,
    /// What ran where in the last minute.
    Timeline,
    /// Files by how long they take.
    Slowest,
}

impl Page {
    /// In the order of their keys, from 1.
    pub const ALL: [Page; 5] = [
        Page::Hosts,
        Page::Jobs,
        Page::Builds,
        Page::Timeline,
        Page::Slowest,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Page::Hosts => "hosts",
            Page::Jobs => "jobs",
            Page::Builds => "builds",
            Page::Timeline => "timeline",
            Page::Slowest => "slowest",
        }
    }

    fn index(self) -> usize {
        Page::ALL.iter().position(|page| *page == self).unwrap_or(0)
    }
}

/// Where the user is.
#[derive(Debug)]
pub struct Ui {
    pub(super) palette: Palette,
    page: Page,
    views: [table::View; Page::ALL.len()],
    /// Columns and rows of the page as drawn last: what the cursor can move in.
    pub(super) extent: (usize, usize),
    filter: String,
    is_typing: bool,
    pub(super) help: bool,
    open: BTreeSet<HostId>,
    all_open: bool,
    /// The picture at the moment of the pause, and that moment.
    paused: Option<(Box<Cluster>, u64)>,
    over: bool,
}

impl Ui {
    /// The first page.
    pub fn new(palette: Palette) -> Ui {
        let view = |sorted, reversed| table::View {
            selected: 0,
            sorted,
            reversed,
        };
        Ui {
            palette,
            page: Page::Hosts,
            // Hosts by name; jobs, builds by number and files by duration, greatest first.
            views: [
                view(0, false),
                view(1, true),
                view(0, true),
                view(0, false),
                view(2, true),
            ],
            extent: (1, 0),
            filter: String::new(),
            is_typing: false,
            help: false,
            open: BTreeSet::new(),
            all_open: false,
            paused: None,
            over: false,
        }
    }

    /// Whether the user wants to leave.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// What the screen is about.
    pub fn page(&self) -> Page {
        self.page
    }

    pub(super) fn view(&self) -> table::View {
        self.views[self.page.index()]
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

    pub(super) fn take_pause(&mut self) -> Option<(Box<Cluster>, u64)> {
        self.paused.take()
    }

    pub(super) fn keep_pause(&mut self, paused: Option<(Box<Cluster>, u64)>) {
        self.paused = paused;
    }

    /// A key was pressed while `cluster` was shown at `now`.
    pub fn press(&mut self, key: KeyEvent, cluster: &Cluster, now: u64) {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            self.over |= key.code == KeyCode::Char('c');
            return;
        }
        if self.is_typing {
            self.type_filter(key.code);
            return;
        }
        if self.help {
            self.help = false;
            return;
        }
        match key.code {
            KeyCode::Char('q') => self.over = true,
            KeyCode::Char('?') => self.help = true,
            KeyCode::Char('/') => {
                self.is_typing = true;
                self.filter.clear();
            }
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Char(digit @ '1'..='5') => {
                self.page = Page::ALL[usize::from(digit as u8 - b'1')];
            }
            KeyCode::Char('p') => {
                self.paused = match self.paused.take() {
                    None => Some((Box::new(cluster.clone()), now)),
                    Some(_) => None,
                };
            }
            KeyCode::Char('a') => {
                self.all_open = !self.all_open;
                self.open.clear();
            }
            KeyCode::Char(' ') | KeyCode::Enter => self.open_selected(cluster, now),
            code => self.walk(code),
        }
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
            KeyCode::Char(letter) if self.filter.len() < LONGEST_FILTER => self.filter.push(letter),
            _ => {}
        }
        self.view_mut().selected = 0;
    }

    /// Moves over rows and columns.
    fn walk(&mut self, code: KeyCode) {
        const PAGE: usize = 10;
        let (columns, rows) = self.extent;
        let last = rows.saturating_sub(1);
        let view = self.view_mut();
        let columns = columns.max(1);
        match code {
            KeyCode::Down | KeyCode::Char('j') => view.selected = (view.selected + 1).min(last),
            KeyCode::Up | KeyCode::Char('k') => view.selected = view.selected.saturating_sub(1),
            KeyCode::PageDown => view.selected = (view.selected + PAGE).min(last),
            KeyCode::PageUp => view.selected = view.selected.saturating_sub(PAGE),
            KeyCode::Home => view.selected = 0,
            KeyCode::End => view.selected = last,
            KeyCode::Right | KeyCode::Char('l') => view.sorted = (view.sorted + 1).min(columns - 1),
            KeyCode::Left | KeyCode::Char('h') => view.sorted = view.sorted.saturating_sub(1),
            KeyCode::Tab => view.sorted = (view.sorted + 1) % columns,
            KeyCode::Char('r') => view.reversed = !view.reversed,
            _ => {}
        }
    }

    fn open_selected(&mut self, cluster: &Cluster, now: u64) {
        if self.page != Page::Hosts {
            return;
        }
        let rows = match &self.paused {
            Some((cluster, now)) => hosts::rows(cluster, self, *now),
            None => hosts::rows(cluster, self, now),
        };
        let Some(host) = rows.get(self.view().selected).map(|row| row.key) else {
            return;
        };
        if self.all_open {
            // Closing one of all leaves the others open.
            self.all_open = false;
            self.open = rows.iter().map(|row| row.key).collect();
        }
        if !self.open.remove(&host) {
            self.open.insert(host);
        }
    }
}
