//! The same handle for both kinds of connection and both kinds of socket, and a peer made of bytes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

use gelato_net::{Limits, NetError, blocking, stream};
use gelato_wire::msg::StatusText;
use gelato_wire::{Message, ProtocolVersion};
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub(crate) const SHORT: Duration = Duration::from_millis(60);
pub(crate) const LONG: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Flavour {
    Blocking,
    Stream,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Transport {
    Tcp,
    Unix,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Role {
    Connecting,
    Accepting,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Case {
    pub(crate) flavour: Flavour,
    pub(crate) transport: Transport,
    pub(crate) role: Role,
}

impl Case {
    pub(crate) fn all() -> impl Iterator<Item = Case> {
        let mut cases = Vec::new();
        for flavour in [Flavour::Blocking, Flavour::Stream] {
            for transport in [Transport::Tcp, Transport::Unix] {
                for role in [Role::Connecting, Role::Accepting] {
                    cases.push(Case {
                        flavour,
                        transport,
                        role,
                    });
                }
            }
        }
        cases.into_iter()
    }

    /// Our end, made while `peer` runs at the other end with a plain socket.
    pub(crate) fn meet<T: Send>(
        self,
        limits: Limits,
        peer: impl FnOnce(Raw) -> T + Send,
        ours: impl FnOnce(Result<Connection, NetError>),
    ) -> T {
        let place = Place::new(self.transport);
        std::thread::scope(|scope| {
            let place = &place;
            let peer = scope.spawn(move || match self.role {
                Role::Connecting => peer(place.accept()),
                Role::Accepting => peer(place.connect()),
            });
            ours(match self.role {
                Role::Connecting => Connection::connect(self.flavour, place, limits),
                Role::Accepting => Connection::accept(self.flavour, place.accept(), limits),
            });
            peer.join().unwrap()
        })
    }
}

/// A listener of either kind.
pub(crate) struct Place {
    listener: PlaceKind,
    _folder: TempDir,
}

enum PlaceKind {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

impl Place {
    pub(crate) fn new(transport: Transport) -> Place {
        let folder = tempfile::tempdir().unwrap();
        let listener = match transport {
            Transport::Tcp => PlaceKind::Tcp(TcpListener::bind("127.0.0.1:0").unwrap()),
            Transport::Unix => {
                let path = folder.path().join("socket");
                PlaceKind::Unix(UnixListener::bind(&path).unwrap(), path)
            }
        };
        Place {
            listener,
            _folder: folder,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        match &self.listener {
            PlaceKind::Tcp(listener) => listener.local_addr().unwrap(),
            PlaceKind::Unix(..) => panic!("a unix socket has no address"),
        }
    }

    pub(crate) fn accept(&self) -> Raw {
        match &self.listener {
            PlaceKind::Tcp(listener) => Raw::Tcp(listener.accept().unwrap().0),
            PlaceKind::Unix(listener, _) => Raw::Unix(listener.accept().unwrap().0),
        }
    }

    pub(crate) fn connect(&self) -> Raw {
        match &self.listener {
            PlaceKind::Tcp(listener) => {
                Raw::Tcp(TcpStream::connect(listener.local_addr().unwrap()).unwrap())
            }
            PlaceKind::Unix(_, path) => Raw::Unix(UnixStream::connect(path).unwrap()),
        }
    }
}

/// A plain socket.
pub(crate) enum Raw {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Raw {
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        match self {
            Raw::Tcp(stream) => {
                // What the system holds back is lost if the connection is reset.
                stream.set_nodelay(true).unwrap();
                stream.write_all(bytes).unwrap();
            }
            Raw::Unix(stream) => stream.write_all(bytes).unwrap(),
        }
    }

    /// False when the other end has closed.
    pub(crate) fn try_write(&mut self, bytes: &[u8]) -> bool {
        match self {
            Raw::Tcp(stream) => stream.write_all(bytes).is_ok(),
            Raw::Unix(stream) => stream.write_all(bytes).is_ok(),
        }
    }

    pub(crate) fn read(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        match self {
            Raw::Tcp(stream) => stream.read_exact(&mut bytes).unwrap(),
            Raw::Unix(stream) => stream.read_exact(&mut bytes).unwrap(),
        }
        bytes
    }

    /// All until the other end closes.
    pub(crate) fn read_to_end(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        // A reset ends it as well.
        let _ = match self {
            Raw::Tcp(stream) => stream.read_to_end(&mut bytes),
            Raw::Unix(stream) => stream.read_to_end(&mut bytes),
        };
        bytes
    }

    /// The version exchange, both sides 44.
    pub(crate) fn shake_hands(mut self) -> Raw {
        self.write(b"\x2c\0\0\0\x2c\0\0\0");
        assert_eq!(self.read(8), b"\x2c\0\0\0\x2c\0\0\0");
        self
    }
}

impl AsFd for Raw {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Raw::Tcp(stream) => stream.as_fd(),
            Raw::Unix(stream) => stream.as_fd(),
        }
    }
}

/// Our end, of either flavour.
pub(crate) enum Connection {
    Blocking(blocking::Connection),
    Stream(Runtime, stream::Connection),
}

impl Connection {
    pub(crate) fn connect(
        flavour: Flavour,
        place: &Place,
        limits: Limits,
    ) -> Result<Connection, NetError> {
        match (flavour, &place.listener) {
            (Flavour::Blocking, PlaceKind::Tcp(_)) => {
                blocking::Connection::connect_tcp(place.address(), limits).map(Self::Blocking)
            }
            (Flavour::Blocking, PlaceKind::Unix(_, path)) => {
                blocking::Connection::connect_unix(path, limits).map(Self::Blocking)
            }
            (Flavour::Stream, PlaceKind::Tcp(_)) => {
                Self::with_runtime(stream::Connection::connect_tcp(place.address(), limits))
            }
            (Flavour::Stream, PlaceKind::Unix(_, path)) => {
                Self::with_runtime(stream::Connection::connect_unix(path, limits))
            }
        }
    }

    pub(crate) fn accept(
        flavour: Flavour,
        socket: Raw,
        limits: Limits,
    ) -> Result<Connection, NetError> {
        match (flavour, socket) {
            (Flavour::Blocking, Raw::Tcp(socket)) => {
                blocking::Connection::accept_tcp(socket, limits).map(Self::Blocking)
            }
            (Flavour::Blocking, Raw::Unix(socket)) => {
                blocking::Connection::accept_unix(socket, limits).map(Self::Blocking)
            }
            (Flavour::Stream, Raw::Tcp(socket)) => Self::with_runtime(async {
                socket.set_nonblocking(true).unwrap();
                let socket = tokio::net::TcpStream::from_std(socket).unwrap();
                stream::Connection::accept(socket, limits).await
            }),
            (Flavour::Stream, Raw::Unix(socket)) => Self::with_runtime(async {
                socket.set_nonblocking(true).unwrap();
                let socket = tokio::net::UnixStream::from_std(socket).unwrap();
                stream::Connection::accept(socket, limits).await
            }),
        }
    }

    fn with_runtime(
        made: impl Future<Output = Result<stream::Connection, NetError>>,
    ) -> Result<Connection, NetError> {
        let runtime = runtime();
        let made = runtime.block_on(made)?;
        Ok(Self::Stream(runtime, made))
    }

    pub(crate) fn version(&self) -> ProtocolVersion {
        match self {
            Self::Blocking(connection) => connection.version(),
            Self::Stream(_, connection) => connection.version(),
        }
    }

    pub(crate) fn peer_maximum(&self) -> u32 {
        match self {
            Self::Blocking(connection) => connection.peer_maximum(),
            Self::Stream(_, connection) => connection.peer_maximum(),
        }
    }

    pub(crate) fn send(&mut self, message: &Message) -> Result<(), NetError> {
        match self {
            Self::Blocking(connection) => connection.send(message),
            Self::Stream(runtime, connection) => runtime.block_on(connection.send(message)),
        }
    }

    pub(crate) fn receive(&mut self, silence: Duration) -> Result<Message, NetError> {
        match self {
            Self::Blocking(connection) => connection.receive(silence, "the answer"),
            Self::Stream(runtime, connection) => {
                runtime.block_on(connection.receive(Some(silence), "the answer"))
            }
        }
    }

    pub(crate) fn try_receive(&mut self) -> Result<Option<Message>, NetError> {
        match self {
            Self::Blocking(connection) => connection.try_receive(),
            Self::Stream(_, connection) => connection.try_receive(),
        }
    }

    pub(crate) fn last_words(&mut self, limit: Duration) -> Option<String> {
        match self {
            Self::Blocking(connection) => connection.last_words(limit),
            Self::Stream(runtime, connection) => runtime.block_on(connection.last_words(limit)),
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Blocking(connection) => connection.as_fd(),
            Self::Stream(_, connection) => connection.as_fd(),
        }
    }
}

pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

pub(crate) fn text(length: usize, fill: u8) -> Message {
    Message::StatusText(StatusText {
        text: gelato_wire::ByteString::from_bytes(vec![fill; length]),
    })
}

pub(crate) fn frame(message: &Message) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.encode(ProtocolVersion::NEWEST, &mut bytes).unwrap();
    bytes
}
