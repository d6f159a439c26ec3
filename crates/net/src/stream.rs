//! A connection under tokio: daemon, scheduler and monitors.
//!
//! An idle connection holds no buffers. A connection is a [`Reader`] and a [`Writer`] over one socket and can be
//! split into them; unsplit, sending also takes in what the peer sends meanwhile.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gelato_wire::{Message, ProtocolVersion, Session};
use rustix::net::{SendFlags, Shutdown};
use tokio::io::{Interest, Ready};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout, timeout_at};

use crate::error::NetError;
use crate::inbox::{Inbox, Progress};
use crate::limits::Limits;
use crate::options::{self, Side};
use crate::peer::Peer;

const HANDSHAKE: &str = "the version exchange";

/// Output that may stay allocated in an idle connection, in bytes.
const KEPT_OUTPUT: usize = 4096;

/// A connection after the version exchange.
#[derive(Debug)]
pub struct Connection {
    reader: Reader,
    writer: Writer,
}

/// The receiving half of a connection.
#[derive(Debug)]
pub struct Reader {
    socket: Arc<Socket>,
    peer: Peer,
    version: ProtocolVersion,
    inbox: Inbox,
}

/// The sending half of a connection. When it is dropped the peer sees the end of the stream.
#[derive(Debug)]
pub struct Writer {
    socket: Arc<Socket>,
    peer: Peer,
    version: ProtocolVersion,
    limits: Limits,
    output: Vec<u8>,
    /// How much of `output` has been written.
    written: usize,
    /// The name of the message queued last.
    last: &'static str,
    broken: bool,
}

/// A connected stream of either kind.
#[derive(Debug)]
pub enum Socket {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a unix socket.
    Unix(UnixStream),
}

impl Connection {
    /// Connects over TCP and exchanges versions.
    ///
    /// # Errors
    /// The peer cannot be reached, does not answer within the limits, or speaks something else.
    pub async fn connect_tcp(address: SocketAddr, limits: Limits) -> Result<Connection, NetError> {
        let session = Session::new(ProtocolVersion::NEWEST);
        let socket = connect_tcp(address, limits).await?;
        Self::open(socket, address.into(), session, limits, Side::Connecting).await
    }

    /// As [`connect_tcp`](Self::connect_tcp), for a monitor talking to a scheduler: understands the numbers
    /// some schedulers use on such connections.
    ///
    /// # Errors
    /// As [`connect_tcp`](Self::connect_tcp).
    pub async fn connect_as_monitor(
        address: SocketAddr,
        limits: Limits,
    ) -> Result<Connection, NetError> {
        let session = Session::new_monitor(ProtocolVersion::NEWEST);
        let socket = connect_tcp(address, limits).await?;
        let connection =
            Self::open(socket, address.into(), session, limits, Side::Connecting).await?;
        options::set_for_monitor(&connection);
        Ok(connection)
    }

    /// Connects to a unix socket and exchanges versions.
    ///
    /// # Errors
    /// As [`connect_tcp`](Self::connect_tcp).
    pub async fn connect_unix(path: &Path, limits: Limits) -> Result<Connection, NetError> {
        let session = Session::new(ProtocolVersion::NEWEST);
        let peer = Peer::Socket(path.to_owned());
        match timeout(limits.connect, connect_unix(path)).await {
            Ok(Ok(socket)) => {
                Self::open(socket.into(), peer, session, limits, Side::Connecting).await
            }
            Ok(Err(error)) => Err(NetError::Connect { peer, error }),
            Err(_) => Err(connect_timeout(peer, limits)),
        }
    }

    /// Exchanges versions over an accepted connection. [`NetError::NeverSpoke`] is no event: that is
    /// how a scheduler tries whether we can be reached.
    ///
    /// # Errors
    /// The peer leaves, does not answer within the limit, or speaks something else.
    pub async fn accept(socket: impl Into<Socket>, limits: Limits) -> Result<Connection, NetError> {
        let socket = socket.into();
        let peer = socket.peer()?;
        let session = Session::new(ProtocolVersion::NEWEST);
        Self::open(socket, peer, session, limits, Side::Accepting).await
    }

    /// The agreed version.
    pub fn version(&self) -> ProtocolVersion {
        self.reader.version
    }

    /// The version the peer claimed, which may be newer than any we know.
    pub fn peer_maximum(&self) -> u32 {
        self.reader.peer_maximum()
    }

    /// Who is at the other end.
    pub fn peer(&self) -> &Peer {
        &self.reader.peer
    }

    /// Our address on this connection; `None` on a unix socket.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.reader.socket.local_addr()
    }

    /// The next message; see [`Reader::receive`]. Cancel safe.
    ///
    /// # Errors
    /// As [`Reader::receive`].
    pub async fn receive(
        &mut self,
        silence: Option<Duration>,
        waiting_for: &'static str,
    ) -> Result<Message, NetError> {
        self.reader.receive(silence, waiting_for).await
    }

    /// A message that is there already; see [`Reader::try_receive`].
    ///
    /// # Errors
    /// As [`Reader::try_receive`].
    pub fn try_receive(&mut self) -> Result<Option<Message>, NetError> {
        self.reader.try_receive()
    }

    /// Sends one message, and takes in what the peer sends meanwhile, so that two peers that send much at
    /// the same time do not wait for each other.
    ///
    /// If it is cancelled, the rest of the message goes out with the next one. After an error (other
    /// than a message that cannot be encoded) nothing more can be sent, but what the peer said last
    /// can still be received.
    ///
    /// # Errors
    /// The peer took nothing for [`Limits::stall`], the connection broke, or the message cannot
    /// be encoded.
    pub async fn send(&mut self, message: &Message) -> Result<(), NetError> {
        self.writer.queue(message)?;
        self.writer.write_out(Some(&mut self.reader.inbox)).await
    }

    /// After a failed [`send`](Self::send): why the peer left, if it said so in a STATUS_TEXT that has
    /// arrived or arrives within `limit`. Other messages are dropped. Icecream gives it 2 s.
    pub async fn last_words(&mut self, limit: Duration) -> Option<String> {
        let search = async {
            loop {
                match self.reader.receive(None, "the reason").await {
                    Ok(Message::StatusText(status)) => {
                        return Some(status.text.to_string_lossy().into_owned());
                    }
                    Ok(_) => {}
                    Err(_) => return None,
                }
            }
        };
        timeout(limit, search).await.ok().flatten()
    }

    /// The two halves, for two tasks.
    pub fn split(self) -> (Reader, Writer) {
        (self.reader, self.writer)
    }

    async fn open(
        socket: Socket,
        peer: Peer,
        session: Session,
        limits: Limits,
        side: Side,
    ) -> Result<Connection, NetError> {
        options::set_for_messages(&socket, side);
        let mut inbox = Inbox::new(session);
        let exchange = exchange_versions(&socket, &mut inbox, &peer);
        let version = match timeout(limits.handshake, exchange).await {
            Ok(result) => result?,
            Err(_) => {
                return Err(NetError::TimedOut {
                    peer,
                    waiting_for: HANDSHAKE,
                    after: limits.handshake,
                });
            }
        };
        let socket = Arc::new(socket);
        Ok(Connection {
            reader: Reader {
                socket: Arc::clone(&socket),
                peer: peer.clone(),
                version,
                inbox,
            },
            writer: Writer {
                socket,
                peer,
                version,
                limits,
                output: Vec::new(),
                written: 0,
                last: "",
                broken: false,
            },
        })
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.socket.as_fd()
    }
}

impl Reader {
    /// The agreed version.
    pub fn version(&self) -> ProtocolVersion {
        self.version
    }

    /// The version the peer claimed, which may be newer than any we know.
    pub fn peer_maximum(&self) -> u32 {
        self.inbox.session().peer_maximum().unwrap_or_default()
    }

    /// Who is at the other end.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Our address on this connection; `None` on a unix socket.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.socket.local_addr()
    }

    /// The next message. `silence` is how long the peer may say nothing; it starts anew with every
    /// byte and with every call. `waiting_for` completes the sentence "while we waited for ...".
    ///
    /// Cancel safe: nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// [`NetError::Closed`] when the peer ended the connection between messages, [`NetError::CutOff`]
    /// in the middle of one; silence for too long; bytes that are no message. After an error other than
    /// a time-out the connection is of no use.
    pub async fn receive(
        &mut self,
        silence: Option<Duration>,
        waiting_for: &'static str,
    ) -> Result<Message, NetError> {
        // A peer that sends faster than we work must not keep the other tasks from running.
        tokio::task::coop::consume_budget().await;
        let mut deadline = far_or(silence);
        loop {
            if let Some(message) = self.decode()? {
                return Ok(message);
            }
            match self.read()? {
                Progress::Some => deadline = far_or(silence),
                Progress::End => return Err(self.inbox.end_error(&self.peer, waiting_for)),
                Progress::None => {
                    let ready = self.socket.ready(Interest::READABLE);
                    let ready = match (silence, deadline) {
                        (Some(after), Some(deadline)) => match timeout_at(deadline, ready).await {
                            Ok(ready) => ready,
                            Err(_) => {
                                return Err(NetError::TimedOut {
                                    peer: self.peer.clone(),
                                    waiting_for,
                                    after,
                                });
                            }
                        },
                        _ => ready.await,
                    };
                    if let Err(error) = ready {
                        return Err(NetError::Receive {
                            peer: self.peer.clone(),
                            waiting_for,
                            error,
                        });
                    }
                }
            }
        }
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

    fn decode(&mut self) -> Result<Option<Message>, NetError> {
        self.inbox.next_message().map_err(|error| {
            let peer = self.peer.clone();
            NetError::Protocol { peer, error }
        })
    }

    fn read(&mut self) -> Result<Progress, NetError> {
        read(&self.socket, &mut self.inbox, &self.peer)
    }
}

impl Writer {
    /// The agreed version.
    pub fn version(&self) -> ProtocolVersion {
        self.version
    }

    /// Who is at the other end.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Sends one message and everything queued before it.
    ///
    /// If it is cancelled, the rest goes out with the next call. After an error (other than a message
    /// that cannot be encoded) nothing more can be sent.
    ///
    /// # Errors
    /// The peer took nothing for [`Limits::stall`], the connection broke, or the message cannot
    /// be encoded.
    pub async fn send(&mut self, message: &Message) -> Result<(), NetError> {
        self.queue(message)?;
        self.flush().await
    }

    /// Appends a message to what [`flush`](Self::flush) or [`try_flush`](Self::try_flush) will send.
    ///
    /// # Errors
    /// The message cannot be encoded, or an earlier write failed.
    pub fn queue(&mut self, message: &Message) -> Result<(), NetError> {
        if self.broken {
            return Err(send_error(
                &self.peer,
                message.name(),
                io::ErrorKind::BrokenPipe.into(),
            ));
        }
        self.last = message.name();
        message
            .encode(self.version, &mut self.output)
            .map_err(|error| {
                let peer = self.peer.clone();
                NetError::Encode { peer, error }
            })
    }

    /// Bytes queued and not yet taken by the system.
    pub fn queued(&self) -> usize {
        self.output.len() - self.written
    }

    /// Sends what is queued; see [`send`](Self::send).
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn flush(&mut self) -> Result<(), NetError> {
        self.write_out(None).await
    }

    /// Sends as much of what is queued as the system takes now; true when nothing is left.
    ///
    /// # Errors
    /// The connection broke.
    pub fn try_flush(&mut self) -> Result<bool, NetError> {
        while self.queued() > 0 {
            if !self.write_some()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Ends the connection in both directions; a [`Reader`] that waits sees the end of the stream. What
    /// is queued is not sent.
    pub fn close(&mut self) {
        self.broken = true;
        self.forget();
        let _ = rustix::net::shutdown(&*self.socket, Shutdown::Both);
    }

    async fn write_out(&mut self, mut inbox: Option<&mut Inbox>) -> Result<(), NetError> {
        let mut deadline = far_or(Some(self.limits.stall));
        while self.queued() > 0 {
            if self.write_some()? {
                deadline = far_or(Some(self.limits.stall));
                continue;
            }
            let mut interest = Interest::WRITABLE;
            if inbox.as_ref().is_some_and(|inbox| inbox.has_room()) {
                interest |= Interest::READABLE;
            }
            let ready = self.socket.ready(interest);
            let ready = match deadline {
                Some(deadline) => timeout_at(deadline, ready).await,
                None => Ok(ready.await),
            };
            match ready {
                Ok(Ok(ready)) => {
                    if let Some(inbox) = &mut inbox
                        && ready.is_readable()
                        && inbox.has_room()
                    {
                        put_aside(&self.socket, inbox);
                    }
                }
                Ok(Err(error)) => return Err(self.fail(error)),
                Err(_) => {
                    self.broken = true;
                    self.forget();
                    return Err(NetError::Stalled {
                        peer: self.peer.clone(),
                        message: self.last,
                        after: self.limits.stall,
                    });
                }
            }
        }
        Ok(())
    }

    /// One write; false if the system takes nothing now.
    fn write_some(&mut self) -> Result<bool, NetError> {
        let rest = self.output.get(self.written..).unwrap_or_default();
        let piece = &rest[..rest.len().min(self.limits.largest_write.max(1))];
        match self.socket.write(piece) {
            Ok(written) => {
                self.written += written;
                if self.queued() == 0 {
                    self.forget();
                }
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
            Err(error) => Err(self.fail(error)),
        }
    }

    fn fail(&mut self, error: io::Error) -> NetError {
        self.broken = true;
        self.forget();
        send_error(&self.peer, self.last, error)
    }

    fn forget(&mut self) {
        self.written = 0;
        if self.output.capacity() > KEPT_OUTPUT {
            self.output = Vec::new();
        } else {
            self.output.clear();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = rustix::net::shutdown(&*self.socket, Shutdown::Write);
    }
}

impl Socket {
    /// Who is at the other end.
    ///
    /// # Errors
    /// The peer has left already.
    pub fn peer(&self) -> Result<Peer, NetError> {
        match self {
            Socket::Tcp(stream) => match stream.peer_addr() {
                // A socket for both kinds of addresses writes IPv4 ones as IPv6.
                Ok(address) => Ok(Peer::Address(canonical(address))),
                Err(_) => Err(NetError::NeverSpoke {
                    peer: Peer::Local {
                        pid: None,
                        user: None,
                    },
                }),
            },
            Socket::Unix(stream) => Ok(Peer::local(stream)),
        }
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Socket::Tcp(stream) => stream.local_addr().ok().map(canonical),
            Socket::Unix(_) => None,
        }
    }

    async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        match self {
            Socket::Tcp(stream) => stream.ready(interest).await,
            Socket::Unix(stream) => stream.ready(interest).await,
        }
    }

    fn try_io<R>(
        &self,
        interest: Interest,
        action: impl FnOnce() -> io::Result<R>,
    ) -> io::Result<R> {
        match self {
            Socket::Tcp(stream) => stream.try_io(interest, action),
            Socket::Unix(stream) => stream.try_io(interest, action),
        }
    }

    /// Without SIGPIPE, whatever the program has set.
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.try_io(Interest::WRITABLE, || {
            rustix::net::send(self, bytes, SendFlags::NOSIGNAL).map_err(io::Error::from)
        })
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Socket::Tcp(stream) => stream.as_fd(),
            Socket::Unix(stream) => stream.as_fd(),
        }
    }
}

impl From<TcpStream> for Socket {
    fn from(stream: TcpStream) -> Self {
        Socket::Tcp(stream)
    }
}

impl From<UnixStream> for Socket {
    fn from(stream: UnixStream) -> Self {
        Socket::Unix(stream)
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip if ip == address.ip() => address,
        ip => SocketAddr::new(ip, address.port()),
    }
}

async fn exchange_versions(
    socket: &Socket,
    inbox: &mut Inbox,
    peer: &Peer,
) -> Result<ProtocolVersion, NetError> {
    loop {
        let output = inbox.session_mut().output();
        if !output.is_empty() {
            match socket.write(output) {
                Ok(written) => {
                    output.drain(..written);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // A peer that is gone is noticed by the next read.
                Err(_) => output.clear(),
            }
        }
        let mut interest = Interest::READABLE;
        if !output.is_empty() {
            interest |= Interest::WRITABLE;
        } else if let Some(version) = inbox.session().version() {
            *inbox.session_mut().output() = Vec::new();
            return Ok(version);
        }
        match read(socket, inbox, peer)? {
            Progress::Some => {}
            Progress::End => return Err(inbox.end_error(peer, HANDSHAKE)),
            Progress::None => {
                if let Err(error) = socket.ready(interest).await {
                    let peer = peer.clone();
                    return Err(NetError::Receive {
                        peer,
                        waiting_for: HANDSHAKE,
                        error,
                    });
                }
            }
        }
    }
}

/// One read into the session, keeping tokio's idea of readiness right.
fn read(socket: &Socket, inbox: &mut Inbox, peer: &Peer) -> Result<Progress, NetError> {
    let mut result = Ok(Progress::None);
    let _ = socket.try_io(Interest::READABLE, || {
        result = inbox.read(socket.as_fd());
        block_on_nothing(&result)
    });
    result.map_err(|error| {
        let peer = peer.clone();
        NetError::Protocol { peer, error }
    })
}

/// One read into the stash, likewise.
fn put_aside(socket: &Socket, inbox: &mut Inbox) {
    let _ = socket.try_io(Interest::READABLE, || {
        let progress = inbox.put_aside(socket.as_fd());
        block_on_nothing::<()>(&Ok(progress))
    });
}

fn block_on_nothing<E>(result: &Result<Progress, E>) -> io::Result<()> {
    match result {
        Ok(Progress::None) => Err(io::ErrorKind::WouldBlock.into()),
        _ => Ok(()),
    }
}

async fn connect_tcp(address: SocketAddr, limits: Limits) -> Result<Socket, NetError> {
    let peer = Peer::Address(address);
    match timeout(limits.connect, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => Ok(stream.into()),
        Ok(Err(error)) => Err(NetError::Connect { peer, error }),
        Err(_) => Err(connect_timeout(peer, limits)),
    }
}

/// A unix socket whose listener's queue is full refuses at once; nothing tells when there is room.
async fn connect_unix(path: &Path) -> io::Result<UnixStream> {
    let mut pause = Duration::from_millis(1);
    loop {
        match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_millis(100));
            }
            result => return result,
        }
    }
}

fn connect_timeout(peer: Peer, limits: Limits) -> NetError {
    NetError::TimedOut {
        peer,
        waiting_for: "the connection",
        after: limits.connect,
    }
}

fn send_error(peer: &Peer, message: &'static str, error: io::Error) -> NetError {
    let peer = peer.clone();
    NetError::Send {
        peer,
        message,
        error,
    }
}

/// A moment so far in the future that it cannot be represented is no limit.
fn far_or(after: Option<Duration>) -> Option<Instant> {
    Instant::now().checked_add(after?)
}
