//! What can go wrong with a connection, always with the peer's name in it.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use gelato_wire::{EncodeError, ProtocolError};
use thiserror::Error;

use crate::peer::Peer;

/// Why a connection, a wait or a listener failed.
#[derive(Debug, Error)]
pub enum NetError {
    /// The peer ended the connection between two messages.
    #[error("{peer} closed the connection while we waited for {waiting_for}")]
    Closed {
        /// Who.
        peer: Peer,
        /// What we waited for.
        waiting_for: &'static str,
    },
    /// The peer ended the connection before it said anything. Schedulers try every minute in this
    /// way whether a daemon can be reached: no reason to worry on an accepted connection.
    #[error("{peer} closed the connection before it said anything")]
    NeverSpoke {
        /// Who.
        peer: Peer,
    },
    /// The connection ended in the middle of a message or of the version exchange.
    #[error("{peer} closed the connection in the middle of {waiting_for}")]
    CutOff {
        /// Who.
        peer: Peer,
        /// What we waited for.
        waiting_for: &'static str,
    },
    /// Nothing came for too long.
    #[error("nothing from {peer} for {after:?} while we waited for {waiting_for}")]
    TimedOut {
        /// Who.
        peer: Peer,
        /// What we waited for.
        waiting_for: &'static str,
        /// How long.
        after: Duration,
    },
    /// The peer took no byte of what we send for too long.
    #[error("{peer} took nothing for {after:?} while we sent {message}")]
    Stalled {
        /// Who.
        peer: Peer,
        /// What we sent.
        message: &'static str,
        /// How long.
        after: Duration,
    },
    /// The peer sent what is no message.
    #[error("{peer} broke the protocol: {error}")]
    Protocol {
        /// Who.
        peer: Peer,
        /// How.
        error: ProtocolError,
    },
    /// Our message cannot be said to this peer.
    #[error("cannot send to {peer}: {error}")]
    Encode {
        /// To whom.
        peer: Peer,
        /// Why.
        error: EncodeError,
    },
    /// The connection could not be made.
    #[error("cannot connect to {peer}: {error}")]
    Connect {
        /// To whom.
        peer: Peer,
        /// Why.
        error: io::Error,
    },
    /// The connection broke.
    #[error("the connection to {peer} failed while we waited for {waiting_for}: {error}")]
    Receive {
        /// Who.
        peer: Peer,
        /// What we waited for.
        waiting_for: &'static str,
        /// How.
        error: io::Error,
    },
    /// The connection broke while we sent.
    #[error("the connection to {peer} failed while we sent {message}: {error}")]
    Send {
        /// Who.
        peer: Peer,
        /// What we sent.
        message: &'static str,
        /// How.
        error: io::Error,
    },
    /// No socket can be opened at an address of ours.
    #[error("cannot listen on {transport} port {} of {}: {error}; {}", .address.port(), .address.ip(), what_to_do(.error))]
    Listen {
        /// `TCP` or `UDP`.
        transport: &'static str,
        /// Where.
        address: SocketAddr,
        /// Why not.
        error: io::Error,
    },
    /// No unix socket can be opened at a path.
    #[error("cannot listen on {path}: {error}", path = .path.display())]
    ListenUnix {
        /// Where.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
}

impl NetError {
    /// Who it happened with; nobody for failures of our own listeners.
    pub fn peer(&self) -> Option<&Peer> {
        match self {
            NetError::Closed { peer, .. }
            | NetError::NeverSpoke { peer }
            | NetError::CutOff { peer, .. }
            | NetError::TimedOut { peer, .. }
            | NetError::Stalled { peer, .. }
            | NetError::Protocol { peer, .. }
            | NetError::Encode { peer, .. }
            | NetError::Connect { peer, .. }
            | NetError::Receive { peer, .. }
            | NetError::Send { peer, .. } => Some(peer),
            NetError::Listen { .. } | NetError::ListenUnix { .. } => None,
        }
    }

    /// Whether the peer simply ended the connection, in good order.
    pub fn is_closed(&self) -> bool {
        matches!(self, NetError::Closed { .. } | NetError::NeverSpoke { .. })
    }

    /// Whether a limit ran out: one of ours, or the system's own for data the peer does not take.
    pub fn is_timeout(&self) -> bool {
        match self {
            NetError::TimedOut { .. } | NetError::Stalled { .. } => true,
            NetError::Connect { error, .. }
            | NetError::Receive { error, .. }
            | NetError::Send { error, .. } => error.kind() == io::ErrorKind::TimedOut,
            _ => false,
        }
    }

    /// Whether we gave up ourselves, because the descriptor that interrupts became readable.
    pub fn is_interrupted(&self) -> bool {
        match self {
            NetError::Connect { error, .. }
            | NetError::Receive { error, .. }
            | NetError::Send { error, .. } => error.kind() == io::ErrorKind::Interrupted,
            _ => false,
        }
    }
}

fn what_to_do(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another program uses it: stop that program or choose another port with -p"
        }
        io::ErrorKind::PermissionDenied => "ports below 1024 need root; choose another with -p",
        io::ErrorKind::NotFound => "`ip address` lists the interfaces of this machine",
        io::ErrorKind::AddrNotAvailable => "no interface of this machine has that address",
        _ => "choose another port with -p",
    }
}
