//! Binding and accepting, for daemon and scheduler.
//!
//! Accepting never pauses unless the system is out of something (descriptors, memory); then it backs off, since the
//! connection that could not be accepted stays in the queue and would be reported again at once. The
//! version exchange is not done here: it belongs into the task of the connection, so that a peer that
//! says nothing delays nobody.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, UnixListener, UnixSocket};

use crate::error::NetError;
use crate::stream::Socket;

/// Connections the system keeps waiting for us, as Icecream's.
const BACKLOG: u32 = 1024;

const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How often to try a port that is in use: a program that has just been stopped may still hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Tries altogether; 0 counts as 1.
    pub tries: u32,
    /// Between two tries.
    pub pause: Duration,
}

impl Retry {
    /// Icecream's daemon: 5 tries, 2 s apart.
    pub const DAEMON: Retry = Retry {
        tries: 5,
        pause: Duration::from_secs(2),
    };
    /// Give up at once.
    pub const NEVER: Retry = Retry {
        tries: 1,
        pause: Duration::ZERO,
    };
}

/// A socket that accepts connections.
#[derive(Debug)]
pub struct Listener {
    inner: Inner,
    /// How long to pause if the next accept fails, too.
    pause: Duration,
}

#[derive(Debug)]
enum Inner {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// Listens on a TCP port (0: any free one) of an address of ours.
    ///
    /// # Errors
    /// [`NetError::Listen`], which says what to do about it.
    pub async fn bind_tcp(address: SocketAddr, retry: Retry) -> Result<Listener, NetError> {
        let mut left = retry.tries.max(1);
        loop {
            left -= 1;
            match bind_tcp(address) {
                Ok(listener) => return Ok(listener.into()),
                Err(error) if left > 0 && error.kind() == io::ErrorKind::AddrInUse => {
                    tracing::warn!("TCP port {} is in use, trying again", address.port());
                    tokio::time::sleep(retry.pause).await;
                }
                Err(error) => {
                    return Err(NetError::Listen {
                        transport: "TCP",
                        address,
                        error,
                    });
                }
            }
        }
    }

    /// Listens on a unix socket. A socket that is there already is replaced, any other file is not.
    /// Who may connect is up to the caller: permissions of the folder and of the new file.
    ///
    /// # Errors
    /// [`NetError::ListenUnix`].
    pub fn bind_unix(path: &Path) -> Result<Listener, NetError> {
        bind_unix(path)
            .map(Listener::from)
            .map_err(|error| NetError::ListenUnix {
                path: path.to_owned(),
                error,
            })
    }

    /// Takes over a TCP socket that listens already.
    ///
    /// # Errors
    /// The system's.
    pub fn from_tcp(listener: std::net::TcpListener) -> io::Result<Listener> {
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener).map(Listener::from)
    }

    /// Takes over a unix socket that listens already.
    ///
    /// # Errors
    /// The system's.
    pub fn from_unix(listener: std::os::unix::net::UnixListener) -> io::Result<Listener> {
        listener.set_nonblocking(true)?;
        UnixListener::from_std(listener).map(Listener::from)
    }

    /// The next connection. Cancel safe. It does not fail: what goes wrong is logged and tried again.
    pub async fn accept(&mut self) -> Socket {
        loop {
            let accepted = match &self.inner {
                Inner::Tcp(listener) => listener.accept().await.map(|(stream, _)| stream.into()),
                Inner::Unix(listener) => listener.accept().await.map(|(stream, _)| stream.into()),
            };
            match accepted {
                Ok(socket) => {
                    self.pause = FIRST_PAUSE;
                    return socket;
                }
                Err(error) if concerns_one_connection(&error) => {}
                Err(error) => {
                    if self.pause == FIRST_PAUSE {
                        tracing::warn!("cannot accept connections for the moment: {error}");
                    }
                    tokio::time::sleep(self.pause).await;
                    self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// Where we listen, with the port the system chose; `None` on a unix socket.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match &self.inner {
            Inner::Tcp(listener) => listener.local_addr().ok(),
            Inner::Unix(_) => None,
        }
    }
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Listener {
            inner: Inner::Tcp(listener),
            pause: FIRST_PAUSE,
        }
    }
}

impl From<UnixListener> for Listener {
    fn from(listener: UnixListener) -> Self {
        Listener {
            inner: Inner::Unix(listener),
            pause: FIRST_PAUSE,
        }
    }
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => {
            let socket = TcpSocket::new_v6()?;
            // IPv4 has a socket of its own, whatever the system's default is.
            rustix::net::sockopt::set_ipv6_v6only(&socket, true)?;
            socket
        }
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.file_type().is_socket() => std::fs::remove_file(path)?,
        Ok(_) => {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "a file that is no socket is in the way; remove it or choose another path",
            ));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let socket = UnixSocket::new_stream()?;
    socket.bind(path)?;
    socket.listen(BACKLOG)
}

/// Whether only the connection that would have been accepted has failed, and the next may be fine.
fn concerns_one_connection(error: &io::Error) -> bool {
    !matches!(
        rustix::io::Errno::from_io_error(error),
        Some(
            rustix::io::Errno::MFILE
                | rustix::io::Errno::NFILE
                | rustix::io::Errno::NOBUFS
                | rustix::io::Errno::NOMEM
                | rustix::io::Errno::INVAL
                | rustix::io::Errno::BADF
        ) | None
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    }

    #[test]
    fn a_busy_port_is_tried_again_and_then_named() {
        runtime().block_on(async {
            let first = Listener::bind_tcp("127.0.0.1:0".parse().unwrap(), Retry::NEVER)
                .await
                .unwrap();
            let address = first.local_addr().unwrap();
            let retry = Retry {
                tries: 3,
                pause: Duration::from_millis(1),
            };
            let error = Listener::bind_tcp(address, retry).await.unwrap_err();
            let text = error.to_string();
            assert!(
                text.starts_with(&format!(
                    "cannot listen on TCP port {} of 127.0.0.1: ",
                    address.port()
                )),
                "{text}"
            );
            assert!(text.ends_with("choose another port with -p"), "{text}");

            drop(first);
            Listener::bind_tcp(address, retry).await.unwrap();
        });
    }

    #[test]
    fn a_socket_left_behind_is_replaced_but_no_other_file() {
        let _guard = runtime();
        let _guard = _guard.enter();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        drop(Listener::bind_unix(&path).unwrap());
        assert!(path.exists());
        Listener::bind_unix(&path).unwrap();

        let file = folder.path().join("precious");
        std::fs::write(&file, "content").unwrap();
        let error = Listener::bind_unix(&file).unwrap_err();
        assert!(error.to_string().contains("precious"), "{error}");
        assert_eq!(std::fs::read(&file).unwrap(), b"content");
    }

    #[test]
    fn only_shortage_makes_accepting_pause() {
        for errno in [Errno::CONNABORTED, Errno::INTR, Errno::PROTO, Errno::PERM] {
            assert!(concerns_one_connection(&errno.into()), "{errno}");
        }
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM] {
            assert!(!concerns_one_connection(&errno.into()), "{errno}");
        }
    }
}
