//! Who is at the other end of a connection, for messages.

use std::fmt;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::PathBuf;

/// The other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Peer {
    /// A TCP address.
    Address(SocketAddr),
    /// The unix socket we connected to.
    Socket(PathBuf),
    /// A program of this machine that connected to our unix socket.
    Local {
        /// Its process number when it connected, where the system tells.
        pid: Option<i32>,
        /// The user it runs as, where the system tells.
        user: Option<u32>,
    },
}

impl Peer {
    /// The program at the other end of an accepted unix socket.
    pub fn local(socket: impl AsFd) -> Peer {
        let credentials = rustix::net::sockopt::socket_peercred(socket).ok();
        Peer::Local {
            pid: credentials.map(|credentials| credentials.pid.as_raw_nonzero().get()),
            user: credentials.map(|credentials| credentials.uid.as_raw()),
        }
    }

    /// The user a program of this machine runs as, where the system tells.
    pub fn user(&self) -> Option<u32> {
        match self {
            Peer::Local { user, .. } => *user,
            Peer::Address(_) | Peer::Socket(_) => None,
        }
    }

    /// The address, if the connection is over TCP.
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Peer::Address(address) => Some(*address),
            Peer::Socket(_) | Peer::Local { .. } => None,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Address(address) => address.fmt(f),
            Peer::Socket(path) => path.display().fmt(f),
            Peer::Local { pid: Some(pid), .. } => write!(f, "local process {pid}"),
            Peer::Local { pid: None, .. } => f.write_str("a local process"),
        }
    }
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        Peer::Address(address)
    }
}
