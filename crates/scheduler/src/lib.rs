//! The scheduler: sockets, timers and the control port around [`gelato_scheduler_core`].
//!
//! - [`config`], [`error`]: what the caller chooses, and why it cannot be had
//! - `hub`: the one task that owns the core; everything else only sends it what was read and takes what is to be sent
//! - `door`: a port, and who may come in
//! - `links`: accepting, and the two tasks of each connection
//! - `outbox`: what waits to be written to one peer, bounded
//! - `translate`: messages to events, actions to messages
//! - `watchers`: the monitors, and what each subscribed to
//! - `stats_text`, `notes`, `news`: the texts monitors and logs get
//! - `recovery`: jobs of before, as their daemons tell it
//! - `records`: jobs that are over, as their daemons tell it
//! - `waiting`: telling why jobs wait, now and then
//! - `control`: the text port; [`token`]: who may change things over it from elsewhere
//! - `reach`: whether a daemon can be connected to
//! - `past`: what was learned, kept across restarts
//! - `election`: other schedulers on the network
//!
//! No peer can delay another: readers wait for the hub, the hub waits for nobody.

mod about;
pub mod config;
mod control;
mod door;
mod election;
pub mod error;
mod hub;
mod links;
mod news;
mod notes;
mod outbox;
mod past;
mod pen;
mod reach;
mod records;
mod recovery;
mod server;
mod stats_text;
pub mod token;
mod translate;
mod waiting;
mod watchers;

pub use config::Config;
pub use error::SchedulerError;
pub use gelato_scheduler_core::Algorithm;
pub use server::{Scheduler, run};
pub use token::Token;
