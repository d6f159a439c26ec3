//! Watching a cluster: the events a scheduler tells, the picture they add up to, and the faces that show it.
//!
//! All faces show the same numbers because they ask the same [`Cluster`]. Events, picture, recordings and demo are pure: bytes and
//! the time come in as arguments.
//!
//! - [`event`]: what can be told, from any Icecream scheduler or ours
//! - [`model`]: hosts, jobs and totals, and what each number means
//! - [`view`]: rows for pages, export and scripts, made from the picture
//! - [`alerts`]: what is wrong, for whom, since when, and what to do
//! - [`export`]: tables and builds in the formats of other programs
//! - [`metrics`]: numbers for Prometheus
//! - [`verdict`]: what bounded a build
//! - [`recording`]: events kept in a file, line by line
//! - [`demo`]: an invented cluster, the same each time for the same seed
//! - [`anonymous`]: events without names, for pictures to show around
//! - [`feed`]: events from a scheduler, for as long as somebody listens
//! - [`knock`]: connecting to a scheduler that may be asleep
//! - [`glance`]: one look, for commands that ask once
//! - [`slots`]: how many jobs a build may run at once
//! - [`terminal`]: the face in a terminal
//! - [`web`]: the face in a browser
//! - [`history`]: what was, in a file
//! - [`control`]: the text port of a scheduler, for what operators do

pub mod alerts;
pub mod anonymous;
mod control;
pub mod demo;
pub mod event;
pub mod export;
pub mod feed;
pub mod glance;
pub mod history;
pub mod knock;
pub mod metrics;
pub mod model;
pub mod recording;
pub mod slots;
pub mod terminal;
mod text;
pub mod verdict;
pub mod view;
pub mod web;

pub use event::{Event, HostFacts};
pub use model::{Cluster, Host, Job};
