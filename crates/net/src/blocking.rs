//! A connection for programs without a runtime: the compiler wrapper.
//!
//! The socket never blocks; waiting is poll(2) with a limit, so a peer can keep us for as long as the
//! caller allows and no longer. One thread uses a connection at a time.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use gelato_wire::{Message, ProtocolVersion, Session};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, sockopt};

use crate::error::NetError;
use crate::inbox::{Inbox, Progress};
use crate::limits::Limits;
use crate::options::{self, Side};
use crate::peer::Peer;

const HANDSHAKE: &str = "the version exchange";

/// A connection after the version exchange.
#[derive(Debug)]
pub struct Connection {
    socket: OwnedFd,
    peer: Peer,
    version: ProtocolVersion,
    inbox: Inbox,
    limits: Limits,
    /// A write failed; what was sent last may have arrived in part.
    broken: bool,
}

impl Connection {
    /// Connects over TCP and exchanges versions.
    ///
    /// # Errors
    /// The peer cannot be reached, does not answer within the limits, or speaks something else.
    pub fn connect_tcp(address: SocketAddr, limits: Limits) -> Result<Connection, NetError> {
        Self::connect_tcp_unless(address, limits, None)
    }

    /// As [`connect_tcp`](Self::connect_tcp), but gives up as soon as `interrupt` becomes readable.
    ///
    /// # Errors
    /// Also [`NetError::is_interrupted`].
    pub fn connect_tcp_unless(
        address: SocketAddr,
        limits: Limits,
        interrupt: Option<BorrowedFd<'_>>,
    ) -> Result<Connection, NetError> {
        let peer = Peer::Address(address);
        match connect_tcp(address, limits.connect, interrupt) {
            Ok(socket) => Self::open(socket, peer, limits, Side::Connecting, interrupt),
            Err(error) => Err(connect_error(peer, error, limits)),
        }
    }

    /// Connects to a unix socket and exchanges versions.
    ///
    /// # Errors
    /// As [`connect_tcp`](Self::connect_tcp).
    pub fn connect_unix(path: &Path, limits: Limits) -> Result<Connection, NetError> {
        Self::connect_unix_unless(path, limits, None)
    }

    /// As [`connect_unix`](Self::connect_unix), but gives up as soon as `interrupt` becomes readable.
    ///
    /// # Errors
    /// Also [`NetError::is_interrupted`].
    pub fn connect_unix_unless(
        path: &Path,
        limits: Limits,
        interrupt: Option<BorrowedFd<'_>>,
    ) -> Result<Connection, NetError> {
        let peer = Peer::Socket(path.to_owned());
        match connect_unix(path, limits.connect) {
            Ok(socket) => Self::open(socket, peer, limits, Side::Connecting, interrupt),
            Err(error) => Err(connect_error(peer, error, limits)),
        }
    }

    /// Exchanges versions over a connection somebody else made.
    ///
    /// # Errors
    /// The peer leaves, does not answer within the limit, or speaks something else.
    pub fn accept_tcp(socket: TcpStream, limits: Limits) -> Result<Connection, NetError> {
        match socket.peer_addr() {
            Ok(address) => Self::open(socket.into(), address.into(), limits, Side::Accepting, None),
            Err(error) => {
                let peer = Peer::Local {
                    pid: None,
                    user: None,
                };
                Err(NetError::Connect { peer, error })
            }
        }
    }

    /// As [`accept_tcp`](Self::accept_tcp) for a unix socket.
    ///
    /// # Errors
    /// As [`accept_tcp`](Self::accept_tcp).
    pub fn accept_unix(socket: UnixStream, limits: Limits) -> Result<Connection, NetError> {
        let peer = Peer::local(&socket);
        Self::open(socket.into(), peer, limits, Side::Accepting, None)
    }

    /// The agreed version.
    pub fn version(&self) -> ProtocolVersion {
        self.version
    }

    /// The version the peer claimed.
    pub fn peer_maximum(&self) -> u32 {
        self.inbox.session().peer_maximum().unwrap_or_default()
    }

    /// Who is at the other end.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Sends one message; returns when the system has all of it. What the peer sends meanwhile is
    /// put aside, so two peers that send much at the same time do not wait for each other.
    ///
    /// After an error nothing more can be sent, but what the peer said last can still be
    /// received, or asked for with [`last_words`](Self::last_words).
    ///
    /// # Errors
    /// The peer took nothing for [`Limits::stall`], the connection broke, or the message cannot
    /// be encoded (then the connection is still good).
    pub fn send(&mut self, message: &Message) -> Result<(), NetError> {
        self.send_unless(message, None)
    }

    /// As [`send`](Self::send), but gives up as soon as `interrupt` becomes readable while the peer
    /// takes nothing.
    ///
    /// # Errors
    /// Also [`NetError::is_interrupted`].
    pub fn send_unless(
        &mut self,
        message: &Message,
        interrupt: Option<BorrowedFd<'_>>,
    ) -> Result<(), NetError> {
        let name = message.name();
        if self.broken {
            return Err(self.send_error(name, Errno::PIPE.into()));
        }
        let mut output = Vec::new();
        if let Err(error) = message.encode(self.version, &mut output) {
            let peer = self.peer.clone();
            return Err(NetError::Encode { peer, error });
        }
        let result = self.write_out(&output, name, interrupt);
        self.broken = result.is_err();
        result
    }

    /// The next message. `silence` is how long the peer may say nothing; it starts anew with every
    /// byte. `waiting_for` completes the sentence "while we waited for ...".
    ///
    /// # Errors
    /// [`NetError::Closed`] when the peer ended the connection between messages, [`NetError::CutOff`]
    /// in the middle of one; silence for too long; bytes that are no message. After an error other than
    /// a time-out the connection is of no use.
    pub fn receive(
        &mut self,
        silence: Duration,
        waiting_for: &'static str,
    ) -> Result<Message, NetError> {
        self.receive_before(None, silence, waiting_for)
    }

    /// A message that is there already, without waiting. `None` also after the end of the
    /// stream; [`receive`](Self::receive) tells.
    ///
    /// # Errors
    /// Bytes that are no message.
    pub fn try_receive(&mut self) -> Result<Option<Message>, NetError> {
        loop {
            if let Some(message) = self.decode()? {
                return Ok(Some(message));
            }
            if self.read()? != Progress::Some {
                return Ok(None);
            }
        }
    }

    /// After a failed [`send`](Self::send): why the peer left, if it said so in a STATUS_TEXT that has
    /// arrived or arrives within `limit`. Other messages are dropped. Icecream gives it 2 s.
    pub fn last_words(&mut self, limit: Duration) -> Option<String> {
        let deadline = Instant::now().checked_add(limit)?;
        loop {
            match self.receive_before(Some(deadline), limit, "the reason") {
                Ok(Message::StatusText(status)) => {
                    return Some(status.text.to_string_lossy().into_owned());
                }
                Ok(_) => {}
                Err(_) => return None,
            }
        }
    }

    fn open(
        socket: OwnedFd,
        peer: Peer,
        limits: Limits,
        side: Side,
        interrupt: Option<BorrowedFd<'_>>,
    ) -> Result<Connection, NetError> {
        if let Err(error) = rustix::io::ioctl_fionbio(&socket, true) {
            let error = error.into();
            return Err(NetError::Connect { peer, error });
        }
        options::set_for_messages(&socket, side);
        let mut connection = Connection {
            socket,
            peer,
            version: ProtocolVersion::OLDEST,
            inbox: Inbox::new(Session::new(ProtocolVersion::NEWEST)),
            limits,
            broken: false,
        };
        connection.exchange_versions(interrupt)?;
        Ok(connection)
    }

    /// [`receive`](Self::receive), but not beyond a moment however often bytes arrive.
    fn receive_before(
        &mut self,
        end: Option<Instant>,
        silence: Duration,
        waiting_for: &'static str,
    ) -> Result<Message, NetError> {
        let next_deadline = || match (Instant::now().checked_add(silence), end) {
            (Some(deadline), Some(end)) => Some(deadline.min(end)),
            (deadline, end) => deadline.or(end),
        };
        let mut deadline = next_deadline();
        loop {
            if let Some(message) = self.decode()? {
                return Ok(message);
            }
            let timed_out = match self.read()? {
                Progress::Some => {
                    deadline = next_deadline();
                    end.is_some_and(|end| Instant::now() >= end)
                }
                Progress::End => return Err(self.inbox.end_error(&self.peer, waiting_for)),
                Progress::None => !wait(&self.socket, PollFlags::IN, deadline, None)
                    .map_err(|error| self.receive_error(waiting_for, error))?
                    .is_ready(),
            };
            if timed_out {
                return Err(NetError::TimedOut {
                    peer: self.peer.clone(),
                    waiting_for,
                    after: silence,
                });
            }
        }
    }

    fn exchange_versions(&mut self, interrupt: Option<BorrowedFd<'_>>) -> Result<(), NetError> {
        let deadline = Instant::now().checked_add(self.limits.handshake);
        loop {
            self.write_handshake();
            let session = self.inbox.session_mut();
            let mut interest = PollFlags::IN;
            match (session.version(), session.output().is_empty()) {
                (Some(version), true) => {
                    self.version = version;
                    return Ok(());
                }
                (_, true) => {}
                (_, false) => interest |= PollFlags::OUT,
            }
            match self.read()? {
                Progress::Some => {}
                Progress::End => return Err(self.inbox.end_error(&self.peer, HANDSHAKE)),
                Progress::None => {
                    if !wait(&self.socket, interest, deadline, interrupt)
                        .map_err(|error| self.receive_error(HANDSHAKE, error))?
                        .is_ready()
                    {
                        return Err(NetError::TimedOut {
                            peer: self.peer.clone(),
                            waiting_for: HANDSHAKE,
                            after: self.limits.handshake,
                        });
                    }
                }
            }
        }
    }

    /// Writes what it can; a peer that is gone is noticed by the next read.
    fn write_handshake(&mut self) {
        let output = self.inbox.session_mut().output();
        match write(self.socket.as_fd(), output) {
            Ok(written) => {
                output.drain(..written);
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => output.clear(),
        }
    }

    fn write_out(
        &mut self,
        mut rest: &[u8],
        message: &'static str,
        interrupt: Option<BorrowedFd<'_>>,
    ) -> Result<(), NetError> {
        let mut deadline = Instant::now().checked_add(self.limits.stall);
        while !rest.is_empty() {
            let piece = &rest[..rest.len().min(self.limits.largest_write.max(1))];
            match write(self.socket.as_fd(), piece) {
                Ok(written) => {
                    rest = rest.get(written..).unwrap_or_default();
                    deadline = Instant::now().checked_add(self.limits.stall);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    let mut interest = PollFlags::OUT;
                    if self.inbox.has_room() {
                        interest |= PollFlags::IN;
                    }
                    let ready = wait(&self.socket, interest, deadline, interrupt)
                        .map_err(|error| self.send_error(message, error))?;
                    if !ready.is_ready() {
                        return Err(NetError::Stalled {
                            peer: self.peer.clone(),
                            message,
                            after: self.limits.stall,
                        });
                    }
                    if ready.readable && self.inbox.has_room() {
                        self.inbox.put_aside(self.socket.as_fd());
                    }
                }
                Err(errno) => return Err(self.send_error(message, errno.into())),
            }
        }
        Ok(())
    }

    fn decode(&mut self) -> Result<Option<Message>, NetError> {
        self.inbox.next_message().map_err(|error| {
            let peer = self.peer.clone();
            NetError::Protocol { peer, error }
        })
    }

    fn read(&mut self) -> Result<Progress, NetError> {
        self.inbox.read(self.socket.as_fd()).map_err(|error| {
            let peer = self.peer.clone();
            NetError::Protocol { peer, error }
        })
    }

    fn receive_error(&self, waiting_for: &'static str, error: io::Error) -> NetError {
        NetError::Receive {
            peer: self.peer.clone(),
            waiting_for,
            error,
        }
    }

    fn send_error(&self, message: &'static str, error: io::Error) -> NetError {
        NetError::Send {
            peer: self.peer.clone(),
            message,
            error,
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// What a wait ended with; nothing of both when the time was over.
#[derive(Clone, Copy, Debug)]
struct Ready {
    readable: bool,
    writable: bool,
}

impl Ready {
    fn is_ready(self) -> bool {
        self.readable || self.writable
    }
}

/// Waits until the socket is ready or the deadline has passed (`None`: too far away to matter). An
/// error or hang-up of the socket counts as ready for whatever was asked: the next call reports it.
///
/// # Errors
/// [`io::ErrorKind::Interrupted`] if `interrupt` is readable.
fn wait(
    socket: impl AsFd,
    interest: PollFlags,
    deadline: Option<Instant>,
    interrupt: Option<BorrowedFd<'_>>,
) -> Result<Ready, io::Error> {
    let socket = socket.as_fd();
    loop {
        let timeout = deadline
            .map(|deadline| deadline.saturating_duration_since(Instant::now()))
            .and_then(|left| Timespec::try_from(left).ok());
        // Without an interrupt the socket stands twice, the second time for nothing.
        let mut fds = [
            PollFd::from_borrowed_fd(socket, interest),
            match interrupt {
                Some(fd) => PollFd::from_borrowed_fd(fd, PollFlags::IN),
                None => PollFd::from_borrowed_fd(socket, PollFlags::empty()),
            },
        ];
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) if interrupt.is_some() && !fds[1].revents().is_empty() => {
                return Err(io::ErrorKind::Interrupted.into());
            }
            Ok(_) => {
                let events = fds[0].revents();
                let failed = events.intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL);
                return Ok(Ready {
                    readable: events.contains(PollFlags::IN) || failed,
                    writable: events.contains(PollFlags::OUT) || failed,
                });
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Without SIGPIPE, whatever the program has set.
fn write(socket: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, Errno> {
    if bytes.is_empty() {
        return Ok(0);
    }
    rustix::net::send(socket, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)
}

fn connect_tcp(
    address: SocketAddr,
    limit: Duration,
    interrupt: Option<BorrowedFd<'_>>,
) -> io::Result<OwnedFd> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    match rustix::net::connect(&socket, &address) {
        Ok(()) => return Ok(socket),
        // A connection attempt goes on after a signal.
        Err(Errno::INPROGRESS | Errno::INTR) => {}
        Err(errno) => return Err(errno.into()),
    }
    let deadline = Instant::now().checked_add(limit.max(Duration::from_millis(1)));
    if !wait(&socket, PollFlags::OUT, deadline, interrupt)?.is_ready() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    sockopt::socket_error(&socket)??;
    Ok(socket)
}

/// A unix socket connects at once or, while the listener's queue is full, after the send timeout.
fn connect_unix(path: &Path, limit: Duration) -> io::Result<OwnedFd> {
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    let limit = limit.max(Duration::from_millis(1));
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(limit))?;
    let address = SocketAddrUnix::new(path)?;
    loop {
        match rustix::net::connect(&socket, &address) {
            Ok(()) => return Ok(UnixStream::from(socket).into()),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Err(io::ErrorKind::TimedOut.into()),
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn connect_error(peer: Peer, error: io::Error, limits: Limits) -> NetError {
    if error.kind() == io::ErrorKind::TimedOut {
        return NetError::TimedOut {
            peer,
            waiting_for: "the connection",
            after: limits.connect,
        };
    }
    NetError::Connect { peer, error }
}
