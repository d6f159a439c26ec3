//! Numbers that name things for as long as the daemon runs.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};

/// One client connection. Starts at 1: in the protocol 0 means "none".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ClientId(u32);

impl ClientId {
    /// The client with this number.
    pub(crate) fn new(number: u32) -> ClientId {
        ClientId(number)
    }

    /// The number on the wire.
    pub(crate) fn number(self) -> u32 {
        self.0
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Hands out client numbers; one per daemon.
#[derive(Debug, Default)]
pub(crate) struct ClientIds(AtomicU32);

impl ClientIds {
    /// The next number, never 0.
    pub(crate) fn next(&self) -> ClientId {
        loop {
            let number = self.0.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
            if number != 0 {
                return ClientId(number);
            }
        }
    }
}

/// Which connection to a scheduler something belongs to: jobs of one are never reported to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Generation(pub(crate) u64);
