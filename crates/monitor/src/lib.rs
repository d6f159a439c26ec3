//! What everybody who watches a cluster shares: the events a scheduler tells, and the picture they add up to.
//!
//! Pure: bytes, events and the time come in as arguments, nothing is drawn and nothing is connected to. Made for faces
//! that show the same numbers because they ask the same [`Cluster`].
//!
//! - [`event`]: what can be told, from any Icecream scheduler or ours
//! - [`model`]: hosts, jobs and totals, and what each number means
//! - [`recording`]: events kept in a file, line by line
//! - [`demo`]: an invented cluster, the same each time for the same seed

pub mod demo;
pub mod event;
pub mod model;
pub mod recording;
mod text;

pub use event::{Event, HostFacts};
pub use model::{Cluster, Host, Job};
