//! The face in a terminal: pages over one picture, drawn anew when something changed, at most ten times a second.
//!
//! - `ui`: what is shown and what keys do; knows no terminal
//! - `draw`: the screen: head, alerts, page, foot; `dialog`: what lies over it
//! - `page`: the pages, each in a file: `hosts`, `jobs`, `builds`, `timeline`, `slowest`, `why`, `toolchains`, `alerts`, `people`
//! - `about_host`, `about_job`, `about_build`: pages about one thing
//! - `table`, `filter`, `lines`, `figures`, `style`: what pages are made of
//! - `once`: a page for scripts; `work`: what is done outside of the screen

mod about_build;
mod about_host;
mod about_job;
mod alerts;
mod builds;
mod dialog;
mod draw;
mod figures;
mod filter;
mod hosts;
mod jobs;
mod lines;
pub mod once;
mod page;
mod people;
mod slowest;
mod style;
mod table;
mod timeline;
mod toolchains;
mod ui;
mod why;
mod work;

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crossterm::event::{
    self, DisableMouseCapture, EnableMouseCapture, Event as Typed, KeyEventKind,
};
use gelato_net::discovery::Wanted;
use tokio::sync::mpsc::Receiver;
use tokio::sync::mpsc::error::TryRecvError;

pub use dialog::{Action, Format, Order};
pub use draw::draw;
pub use page::Page;
pub use style::Palette;
pub use ui::{Network, Outcome, Request, Ui};

use crate::feed;
use crate::model::Cluster;
use crate::recording::Entry;
use crate::web::Token;
use work::{Job, Worker};

/// Shortest time between two pictures.
const FRAME: Duration = Duration::from_millis(100);

/// Without any event the screen is drawn this often, for what counts seconds.
const IDLE: Duration = Duration::from_secs(1);

/// A picture may take this share of the time at most: one that is costly is drawn less often.
const SHARE: u32 = 4;

/// Events taken in between two looks at the keyboard.
const MOST_EVENTS: usize = 50_000;

/// What the face asks of its program: whether events from a file say what time it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// This machine's.
    Wall,
    /// That of the last event.
    Events,
}

/// Starts to listen to another scheduler.
pub type Watch = Box<dyn Fn(Wanted) -> io::Result<Receiver<Entry>>>;

/// What a face is given.
pub struct Options {
    /// Colours.
    pub palette: Palette,
    /// What time it is.
    pub clock: Clock,
    /// The first page.
    pub page: Page,
    /// Where schedulers are looked for, and how another one is watched; `None` if what is shown is no cluster, or is being recorded.
    pub networks: Option<(Wanted, Watch)>,
    /// The control token.
    pub token: Option<Token>,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("palette", &self.palette)
            .field("clock", &self.clock)
            .field("page", &self.page)
            .finish_non_exhaustive()
    }
}

/// Shows what is received until the user leaves. Takes the terminal over and gives it back in every case.
///
/// # Errors
/// If the terminal cannot be used.
pub fn run(events: Receiver<Entry>, options: Options) -> io::Result<()> {
    let mut terminal = ratatui::try_init()?;
    // A terminal without a mouse is one, too.
    let _ = crossterm::execute!(io::stdout(), EnableMouseCapture);
    let outcome = Face::new(events, options).show(&mut terminal);
    let _ = crossterm::execute!(io::stdout(), DisableMouseCapture);
    ratatui::try_restore()?;
    outcome
}

struct Face {
    events: Receiver<Entry>,
    options: Options,
    cluster: Cluster,
    ui: Ui,
    worker: Worker,
    last_event: u64,
}

impl Face {
    fn new(events: Receiver<Entry>, options: Options) -> Face {
        Face {
            events,
            cluster: Cluster::new(),
            ui: Ui::new(options.palette).at(options.page),
            worker: Worker::start(),
            last_event: 0,
            options,
        }
    }

    fn show(mut self, terminal: &mut ratatui::DefaultTerminal) -> io::Result<()> {
        let mut next = Instant::now();
        let mut idle_until = next;
        let mut changed = true;
        loop {
            changed |= self.take_events();
            while let Some(outcome) = self.worker.heard() {
                self.ui.hear(outcome);
                changed = true;
            }
            let started = Instant::now();
            if started >= next && (changed || started >= idle_until) {
                let now = self.now();
                self.cluster.tick(now);
                terminal.draw(|frame| draw(frame, &self.cluster, &mut self.ui, now))?;
                next = started + FRAME.max(started.elapsed() * SHARE);
                idle_until = started + IDLE;
                changed = false;
            }
            let wait = next.saturating_duration_since(Instant::now());
            let wait = if changed { wait } else { wait.max(FRAME) };
            if event::poll(wait)? {
                changed |= self.take_key()?;
            }
            while let Some(request) = self.ui.next_request() {
                self.serve(request);
                changed = true;
            }
            if self.ui.is_over() {
                return Ok(());
            }
        }
    }

    fn now(&self) -> u64 {
        match self.options.clock {
            Clock::Wall => feed::now(),
            Clock::Events => self.last_event,
        }
    }

    fn take_events(&mut self) -> bool {
        for taken in 0..MOST_EVENTS {
            match self.events.try_recv() {
                Ok(entry) => {
                    self.last_event = entry.at;
                    self.cluster.apply(entry.at, entry.event);
                }
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return taken > 0,
            }
        }
        true
    }

    fn take_key(&mut self) -> io::Result<bool> {
        match event::read()? {
            Typed::Key(key) if key.kind != KeyEventKind::Release => {
                let now = self.now();
                self.ui.press(key, &self.cluster, now);
            }
            Typed::Mouse(mouse) => self.ui.point(mouse),
            Typed::Resize(..) => {}
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn serve(&mut self, request: Request) {
        let said = match request {
            Request::Search => self.search(),
            Request::Watch(address) => self.watch(&address),
            Request::Operate { order, token } => self.operate(order, token),
            Request::Export(page, format) => Some(self.export(page, &format)),
        };
        if let Some(text) = said {
            self.ui.hear(Outcome::Said(text));
        }
    }

    fn search(&mut self) -> Option<String> {
        match &self.options.networks {
            Some((wanted, _)) => {
                self.worker.ask(Job::Search(wanted.clone()));
                None
            }
            None => {
                self.ui.hear(Outcome::Networks(Vec::new()));
                Some(NOT_LIVE.to_owned())
            }
        }
    }

    fn watch(&mut self, address: &str) -> Option<String> {
        let Some((_, watch)) = &self.options.networks else {
            return Some(NOT_LIVE.to_owned());
        };
        let wanted = match Wanted::new(Some(address), None, |_| None) {
            Ok(wanted) => wanted,
            Err(error) => return Some(error.to_string()),
        };
        match watch(wanted) {
            Ok(events) => {
                self.events = events;
                self.cluster = Cluster::new();
                Some(format!("now watching {address}"))
            }
            Err(error) => Some(error.to_string()),
        }
    }

    fn operate(&mut self, order: Order, typed: Option<String>) -> Option<String> {
        let address = self
            .cluster
            .scheduler()
            .map(|scheduler| scheduler.address.parse());
        let Some(Ok(scheduler)) = address else {
            return Some("there is no scheduler to tell that".to_owned());
        };
        let scheduler: SocketAddr = scheduler;
        let token = match typed.as_deref().map(Token::parse) {
            None => self.options.token.clone(),
            Some(Ok(token)) => Some(token),
            Some(Err(error)) => return Some(error.to_string()),
        };
        self.worker.ask(Job::Operate {
            scheduler,
            order,
            token,
        });
        None
    }

    fn export(&self, page: Page, format: &Format) -> String {
        let now = self.now();
        let (ending, text) = match format {
            Format::Csv => ("csv", once::csv(&self.cluster, page, now)),
            Format::Json => (
                "json",
                format!("{:#}\n", once::json(&self.cluster, page, now)),
            ),
        };
        let name = format!("gelato-{}-{}.{ending}", page.name(), now / 1000);
        let file = OpenOptions::new().write(true).create_new(true).open(&name);
        match file.and_then(|mut file| file.write_all(text.as_bytes())) {
            Ok(()) => format!("written to {name}"),
            Err(error) => format!("{name} cannot be written: {error}"),
        }
    }
}

/// Why there is no other network to watch.
const NOT_LIVE: &str =
    "a recording or the demo is shown, or what is shown is recorded: there is nothing to change to";

#[cfg(test)]
mod checklist;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod screen;
#[cfg(test)]
mod tests;
