//! The daemon of every machine: serves local wrappers, holds the machine's slots, and runs jobs for others.
//!
//! One task, the dispatcher, owns all state and never waits for anybody. Around it, each with a bounded queue:
//!
//! - `connection`: one task per client; carries messages to the dispatcher and orders back, and does that client's long work
//! - `access`: who is let in, how much one machine may take up, and who is avoided
//! - `worker`: toolchains coming in and jobs of other machines, run by the client's own task
//! - `link`: the connection to the scheduler, renewed when lost
//! - `native`: archives of this machine's compilers, on request
//! - `records`: what this machine's wrappers tell of jobs that are over
//!
//! All decisions are in `core` (with `slots`, `load` and `courtesy`, fed by `readings`): events in, actions out, no I/O. [`run`] takes its
//! configuration and the wish to stop from the caller; it installs no signal handlers, forks nothing, prints nothing.

mod access;
mod config;
mod connection;
mod core;
mod courtesy;
mod dispatcher;
mod error;
mod ids;
mod link;
mod load;
mod native;
mod notice;
mod outside;
mod readings;
mod records;
mod shutdown;
mod slots;
mod start;
mod summary;
mod worker;

pub use access::{Access, AccessReport, Offence, Operators, PeerReport};
pub use config::{Config, Inherited, JobLimits, Reconnect, Remote};
pub use courtesy::{CourtesyTerms, Hours, HoursError, MemoryTerms, WhileInUse};
pub use error::DaemonError;
pub use readings::cpus;
pub use records::recall;
pub use shutdown::{Shutdown, ShutdownTrigger, shutdown};
pub use start::{Daemon, run};
pub use summary::Summary;
