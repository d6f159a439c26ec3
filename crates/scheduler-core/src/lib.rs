//! Who compiles what, where and when: a pure state machine.
//!
//! [`Core::handle`] takes a clock value and an [`Event`] and gives back [`Action`]s; nothing else changes the state. There
//! are no sockets, clocks or randomness in here (the generator is seeded by the caller), so equal events give equal
//! actions, a recorded run can be replayed, and the simulator, the tests and the scheduler itself all use the same code.
//!
//! The vocabulary is in `ids`, `event` and `action`; what is known lies in `node` and `job`; `queue` says whose turn it is,
//! `index` who has room, `eligible` who may take a job, `place` who should, `estimate` and `pace` how fast everybody
//! is, `history` what jobs take, `admission` how much is too much, `explain` why it went that way, `waiting` why it did not, `recovered` what was there before us, `trace` all that happened on paper. The files below `core` apply the events.

mod action;
mod admission;
mod config;
mod core;
mod eligible;
mod estimate;
mod event;
mod explain;
mod history;
mod hosts;
mod ids;
mod index;
mod job;
mod node;
mod pace;
mod place;
mod queue;
mod recovered;
mod rng;
mod table;
pub mod trace;
mod waiting;

pub use crate::action::{Action, Answer, Audience, Dropped, MonitorEvent, NodeStats, Note};
pub use crate::config::{Algorithm, Config, limits};
pub use crate::core::{Core, Past, PastWorker};
pub use crate::eligible::Obstacle;
pub use crate::event::{DoneJob, Event, JobResult, Login, Readings, Request};
pub use crate::explain::{Candidate, Candidates, Decision, Why};
pub use crate::history::{Basis, Forecast, PastFile, PastLanguage};
pub use crate::ids::{ClientId, ConnectionId, Environment, JobId, NodeId, Text, Time};
pub use crate::job::{Job, State};
pub use crate::node::Node;
pub use crate::recovered::{Abroad, Rescued, Running};
pub use crate::rng::Generator;
pub use crate::waiting::{Lack, Waiting};
