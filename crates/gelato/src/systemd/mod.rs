//! What a service manager hands over and is told, in systemd's conventions.
//!
//! - [`activation`]: sockets it opened for us
//! - [`notify`]: that we serve, reload, stop, are alive
//! - [`journal`]: whether standard error is its journal
//!
//! All of it is environment variables, so each part does nothing where nobody set them.

pub(crate) mod activation;
pub(crate) mod journal;
pub(crate) mod notify;
