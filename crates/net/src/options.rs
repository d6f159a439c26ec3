//! Socket options of every connection that carries messages.
//!
//! With these a peer that vanished without a word is noticed about 30 s after its last packet:
//! 27 s idle, one probe without an answer, and by the next probe the 9 s user timeout is over. The
//! numbers are Icecream's. On unix sockets the TCP options fail, and that is as it should be.

use std::os::fd::AsFd;
use std::time::Duration;

use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};
use rustix::net::sockopt;

/// Silence before the first keepalive probe.
pub const KEEPALIVE_IDLE: Duration = Duration::from_secs(27);
/// Between keepalive probes.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(3);
/// Unanswered probes that end the connection.
pub const KEEPALIVE_PROBES: u32 = 3;
/// How long sent data may stay unacknowledged, in milliseconds. Data that cannot be sent because the
/// peer does not read counts as well, so a receiver that pauses for longer loses its connection.
pub const USER_TIMEOUT_MS: u32 = 9000;
/// Send buffer towards and of monitors, in bytes.
pub const MONITOR_SEND_BUFFER: usize = 65536;

/// Which side made the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// We connected: small messages are sent at once (`TCP_NODELAY`).
    Connecting,
    /// We accepted: the system may gather small messages.
    Accepting,
}

/// Sets what both ends of a message connection have. Failures are ignored: each option only makes
/// a dead peer noticed sooner, and none exists on unix sockets.
pub fn set_for_messages(socket: impl AsFd, side: Side) {
    let socket = socket.as_fd();
    if let Ok(flags) = fcntl_getfd(socket)
        && !flags.contains(FdFlags::CLOEXEC)
    {
        let _ = fcntl_setfd(socket, flags | FdFlags::CLOEXEC);
    }
    let _ = sockopt::set_socket_keepalive(socket, true);
    let _ = sockopt::set_tcp_keepidle(socket, KEEPALIVE_IDLE);
    let _ = sockopt::set_tcp_keepintvl(socket, KEEPALIVE_INTERVAL);
    let _ = sockopt::set_tcp_keepcnt(socket, KEEPALIVE_PROBES);
    let _ = sockopt::set_tcp_user_timeout(socket, USER_TIMEOUT_MS);
    if side == Side::Connecting {
        let _ = sockopt::set_tcp_nodelay(socket, true);
    }
}

/// For both ends of a monitor's connection: one way, many small messages. Icecream also corks the
/// socket, which holds every event back for up to 200 ms; whoever sends here gathers messages
/// itself instead.
pub fn set_for_monitor(socket: impl AsFd) {
    let socket = socket.as_fd();
    let _ = sockopt::set_tcp_nodelay(socket, false);
    let _ = sockopt::set_socket_send_buffer_size(socket, MONITOR_SEND_BUFFER);
}
