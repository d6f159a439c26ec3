//! Which scheduler to connect to, and the scheduler's side of being found.
//!
//! - [`wanted`]: what the user asked for, from options and environment variables
//! - [`choice`]: which of several answers to take, and when to stop waiting for more
//! - [`find`](fn@find) and [`survey`]: asking
//! - [`responder`]: answering and announcing
//! - [`interfaces`]: where to ask and to announce
//!
//! Nothing in a datagram is authenticated: what is found is confirmed by the TCP connection that follows.

pub mod choice;
mod find;
pub mod interfaces;
pub mod responder;
pub mod wanted;

pub use find::{FindError, Found, find, survey};
pub use interfaces::Reach;
pub use responder::{Heard, Identity, Responder};
pub use wanted::{Place, Wanted, WantedError};

/// The scheduler's port, TCP and UDP.
pub const SCHEDULER_PORT: u16 = 8765;

/// The network a scheduler serves and a daemon looks for unless told otherwise.
pub const DEFAULT_NETNAME: &str = "ICECREAM";
