//! The face in a terminal: pages over one picture, drawn anew when something changed, at most ten times a second.
//!
//! - `ui`: what is shown and what keys do; knows no terminal
//! - `draw`: the screen: head, page, foot
//! - `hosts`, `jobs`, `builds`, `timeline`, `slowest`: the pages
//! - `table`, `figures`, `style`: what pages are made of

mod builds;
mod draw;
mod figures;
mod hosts;
mod jobs;
mod slowest;
mod style;
mod table;
mod timeline;
mod ui;

use std::io;
use std::time::Duration;

use crossterm::event::{self, Event as Typed, KeyEventKind};
use tokio::sync::mpsc::Receiver;
use tokio::sync::mpsc::error::TryRecvError;

pub use draw::draw;
pub use style::Palette;
pub use ui::{Page, Ui};

use crate::feed;
use crate::model::Cluster;
use crate::recording::Entry;

/// How long to wait for a key before events are looked at.
const TICK: Duration = Duration::from_millis(100);

/// Without any event the screen is drawn this often, for what counts seconds.
const IDLE_TICKS: u32 = 10;

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

/// Shows what is received until the user leaves. Takes the terminal over and gives it back in every case.
///
/// # Errors
/// If the terminal cannot be used.
pub fn run(mut events: Receiver<Entry>, palette: Palette, clock: Clock) -> io::Result<()> {
    let mut terminal = ratatui::try_init()?;
    let outcome = show(&mut terminal, &mut events, palette, clock);
    ratatui::try_restore()?;
    outcome
}

fn show(
    terminal: &mut ratatui::DefaultTerminal,
    events: &mut Receiver<Entry>,
    palette: Palette,
    clock: Clock,
) -> io::Result<()> {
    let mut cluster = Cluster::new();
    let mut ui = Ui::new(palette);
    let mut last_event = 0;
    let mut idle = IDLE_TICKS;
    loop {
        let mut changed = false;
        for _ in 0..MOST_EVENTS {
            match events.try_recv() {
                Ok(entry) => {
                    last_event = entry.at;
                    cluster.apply(entry.at, entry.event);
                    changed = true;
                }
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
        }
        let now = match clock {
            Clock::Wall => feed::now(),
            Clock::Events => last_event,
        };
        idle += 1;
        if changed || idle >= IDLE_TICKS {
            idle = 0;
            terminal.draw(|frame| draw(frame, &cluster, &mut ui, now))?;
        }
        if event::poll(TICK)? {
            match event::read()? {
                Typed::Key(key) if key.kind != KeyEventKind::Release => {
                    ui.press(key, &cluster, now)
                }
                _ => {}
            }
            idle = IDLE_TICKS;
        }
        if ui.is_over() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests;
