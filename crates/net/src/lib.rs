//! Connections that carry the wire protocol, and finding the scheduler to connect to.
//!
//! - [`blocking`]: a connection for the compiler wrapper: no threads, no runtime, every wait bounded
//! - [`stream`]: the same over tokio, for daemon, scheduler and monitors
//! - [`listener`]: binding and accepting, for daemon and scheduler
//! - [`access`]: which addresses may connect
//! - [`discovery`]: which scheduler, by name or by asking the network, and the scheduler's answers
//! - [`limits`], [`options`]: how long to wait, and the socket options both ends set
//! - [`peer`], [`error`]: who is at the other end, and what went wrong with them
//!
//! Both kinds of connection drive the same [`gelato_wire::Session`] and read through the same
//! `inbox`, so they accept and refuse the same bytes. What messages mean is decided by the callers.
//!
//! Without the feature `tokio` only `blocking` and what it needs are built.

pub mod access;
pub mod blocking;
#[cfg(feature = "tokio")]
pub mod discovery;
pub mod error;
mod inbox;
pub mod limits;
#[cfg(feature = "tokio")]
pub mod listener;
pub mod options;
pub mod peer;
#[cfg(feature = "tokio")]
pub mod stream;

pub use error::NetError;
pub use limits::Limits;
pub use peer::Peer;
