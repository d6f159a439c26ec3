//! A discrete-event simulator around the scheduler's core.
//!
//! [`scenario`] says what cluster and which builds there are, [`world`] plays daemons, wrappers, links and compilers and
//! checks at every event what must always hold, [`bound`] says how quick it could have been, [`report`] puts it into a
//! table, [`replay`] plays what a real scheduler wrote down. Everything follows from the scenario and its seed; there is no clock and no network.
//!
//! What it does not do: speak the protocol, or model anything inside a compiler beyond work, memory and bytes.

pub mod bound;
pub mod replay;
pub mod report;
mod rng;
pub mod scenario;
pub mod world;

pub use scenario::Scenario;
pub use world::{Outcome, run};
