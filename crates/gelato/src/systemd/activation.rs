//! Sockets opened by a service manager: `LISTEN_FDS`, `LISTEN_PID`.
//!
//! Which is which is told by their kind, so `LISTEN_FDNAMES` need not be set and is not read.

use std::net::TcpListener;
use std::os::unix::net::UnixListener;

use anyhow::bail;
use listenfd::ListenFd;

/// More sockets than anybody configures for one service.
const MOST: usize = 64;

/// The sockets.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    /// Local ones.
    pub(crate) unix: Vec<UnixListener>,
    /// Those for other machines, IPv4 or IPv6.
    pub(crate) tcp: Vec<TcpListener>,
}

impl Sockets {
    /// Takes over the sockets that are meant for this process. To be called before anything is opened, once.
    ///
    /// # Errors
    /// There are too many, or one is of no use.
    pub(crate) fn take() -> anyhow::Result<Sockets> {
        if !is_for_us(
            std::env::var("LISTEN_PID").ok().as_deref(),
            std::process::id(),
        ) {
            return Ok(Sockets::default());
        }
        if count(std::env::var("LISTEN_FDS").ok().as_deref()) > MOST {
            bail!(
                "the service manager hands over more than {MOST} sockets: name fewer in the socket unit"
            );
        }
        let mut inherited = ListenFd::from_env();
        let mut sockets = Sockets::default();
        for index in 0..inherited.len() {
            if let Ok(Some(socket)) = inherited.take_unix_listener(index) {
                sockets.unix.push(socket);
            } else if let Ok(Some(socket)) = inherited.take_tcp_listener(index) {
                sockets.tcp.push(socket);
            } else {
                bail!(
                    "socket {} of the service manager is neither a unix nor a TCP stream socket: use ListenStream= alone \
                     in the socket unit",
                    index + 1
                );
            }
        }
        Ok(sockets)
    }

    /// Whether there are any.
    pub(crate) fn is_empty(&self) -> bool {
        self.unix.is_empty() && self.tcp.is_empty()
    }
}

/// Variables for another process may have been inherited.
fn is_for_us(listen_pid: Option<&str>, pid: u32) -> bool {
    listen_pid.and_then(|text| text.parse().ok()) == Some(pid)
}

fn count(listen_fds: Option<&str>) -> usize {
    listen_fds
        .and_then(|text| text.parse().ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_others_do_not_count() {
        assert!(is_for_us(Some("77"), 77));
        for pid in [None, Some(""), Some("78"), Some("x"), Some("-77")] {
            assert!(!is_for_us(pid, 77), "{pid:?}");
        }
        assert_eq!(count(Some("3")), 3);
        assert_eq!(count(Some("-3")), 0);
        assert_eq!(count(None), 0);
    }
}
