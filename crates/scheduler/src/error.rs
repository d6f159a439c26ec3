//! Why a scheduler cannot start.

use std::io;

use gelato_net::NetError;
use thiserror::Error;

/// What went wrong; each text says what to do.
#[derive(Debug, Error)]
pub enum SchedulerError {
    /// A socket cannot be opened.
    #[error(transparent)]
    Listen(#[from] NetError),
    /// There is no such interface, or it has no IPv4 address.
    #[error(
        "no IP address found for interface {interface}: give one that `ip -4 address` lists, or leave -i out"
    )]
    Interface {
        /// As given.
        interface: String,
    },
    /// The control port would lie beyond the last port.
    #[error(
        "port {port} leaves no room for the control port, which is the next one: choose a lower one with -p"
    )]
    NoControlPort {
        /// As given.
        port: u16,
    },
    /// Sockets exist and cannot be used.
    #[error("cannot use the sockets: {0}")]
    Io(#[from] io::Error),
}
