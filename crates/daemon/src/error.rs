//! Why the daemon cannot start.

use std::io;
use std::path::PathBuf;

use gelato_net::NetError;
use gelato_toolchain::store::StoreError;

/// Why the daemon cannot start; each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// No socket.
    #[error(transparent)]
    Listen(#[from] NetError),
    /// The base folder cannot be used.
    #[error("cannot use the base folder {}: {reason}; choose another with -b", .path.display())]
    Base {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: io::Error,
    },
    /// The toolchains in the base folder cannot be used.
    #[error("{reason} (another is chosen with -b)")]
    Store {
        /// Why.
        reason: StoreError,
    },
    /// A socket that was opened for us is of no use.
    #[error("cannot use a socket of the service manager: {reason}")]
    Inherited {
        /// Why.
        reason: io::Error,
    },
    /// The permissions of the local socket cannot be set.
    #[error("cannot open {} to other users: {reason}; choose another socket with --socket", .path.display())]
    SocketMode {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: io::Error,
    },
}
