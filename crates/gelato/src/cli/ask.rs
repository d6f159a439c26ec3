//! Asking the daemon of this machine: where it may be, who answers there, and what is answered.

use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use gelato_net::blocking::Connection;
use gelato_net::{Limits, NetError};
use gelato_settings::keys;
use gelato_wire::Message;
use gelato_wire::msg::Ask;
use serde_json::Value;

/// For connecting within this machine and for the version exchange.
const HANDSHAKE: Duration = Duration::from_millis(500);

/// Until a daemon has answered; it answers from memory.
const ANSWER: Duration = Duration::from_millis(700);

/// Where a daemon listens without a socket.
const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 10245);

/// Who is there.
#[derive(Debug)]
pub(crate) enum Daemon {
    /// Gelato's daemon, with its answer.
    Gelato {
        /// The socket.
        place: String,
        /// A JSON object.
        answer: Value,
    },
    /// A daemon that knows no questions: Icecream's, or a Gelato that is too old.
    Other {
        /// The socket.
        place: String,
        /// The newest protocol it speaks.
        protocol: u32,
    },
    /// Somebody accepts and does not answer.
    Mute {
        /// The socket.
        place: String,
        /// What was waited for.
        error: String,
    },
    /// Nobody.
    Absent {
        /// What was tried, and how it failed.
        tried: Vec<(String, NotThere)>,
    },
}

/// Why nobody is at a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotThere {
    /// There is no socket.
    Missing,
    /// There is one, and no process behind it.
    Stale,
    /// This user may not use it.
    Forbidden,
    /// Something else.
    Failed(String),
}

/// Asks the first daemon that is there.
pub(crate) fn ask(socket: Option<&PathBuf>, request: &Value) -> Daemon {
    let limits = Limits {
        connect: HANDSHAKE,
        handshake: HANDSHAKE,
        stall: ANSWER,
        ..Limits::default()
    };
    let only = socket.cloned().or_else(chosen_socket);
    let mut tried = Vec::new();
    let sockets = match &only {
        Some(path) => vec![path.clone()],
        None => crate::build::cluster::daemon_sockets(None),
    };
    for path in sockets {
        let place = path.display().to_string();
        match Connection::connect_unix(&path, limits) {
            Ok(connection) => return question(connection, place, request),
            Err(error) => match not_there(&error) {
                Some(reason) => tried.push((place, reason)),
                None => {
                    let error = error.to_string();
                    return Daemon::Mute { place, error };
                }
            },
        }
    }
    // Where Icecream's wrappers look last.
    if only.is_none() {
        let place = LOOPBACK.to_string();
        match Connection::connect_tcp(LOOPBACK, limits) {
            Ok(connection) => return question(connection, place, request),
            Err(error) => tried.push((
                place,
                not_there(&error).unwrap_or_else(|| NotThere::Failed(error.to_string())),
            )),
        }
    }
    Daemon::Absent { tried }
}

/// The socket that variables or files name.
fn chosen_socket() -> Option<PathBuf> {
    let settings = super::settings::load();
    let text = |key| {
        settings
            .text(key)
            .filter(|text: &OsString| !text.is_empty())
    };
    text(&keys::SOCKET)
        .or_else(|| std::env::var_os("ICECC_TEST_SOCKET"))
        .or_else(|| text(&keys::DAEMON_SOCKET))
        .map(PathBuf::from)
}

fn not_there(error: &NetError) -> Option<NotThere> {
    let NetError::Connect { error, .. } = error else {
        return None;
    };
    Some(match error.kind() {
        io::ErrorKind::NotFound => NotThere::Missing,
        io::ErrorKind::ConnectionRefused => NotThere::Stale,
        io::ErrorKind::PermissionDenied => NotThere::Forbidden,
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => return None,
        _ => NotThere::Failed(error.to_string()),
    })
}

fn question(mut connection: Connection, place: String, request: &Value) -> Daemon {
    let protocol = connection.peer_maximum();
    let ask = Message::Ask(Ask {
        request: request.to_string().into(),
    });
    if let Err(error) = connection.send(&ask) {
        return match error {
            // It is too old for the message, so nothing was sent.
            NetError::Encode { .. } => Daemon::Other { place, protocol },
            error => Daemon::Mute {
                place,
                error: error.to_string(),
            },
        };
    }
    match connection.receive(ANSWER, "the daemon's answer") {
        Ok(Message::Answer(answer)) => match serde_json::from_slice(answer.text.as_bytes()) {
            Ok(answer @ Value::Object(_)) => Daemon::Gelato { place, answer },
            Ok(_) => Daemon::Mute {
                place,
                error: "its answer is no JSON object".to_owned(),
            },
            Err(error) => Daemon::Mute {
                place,
                error: format!("its answer is no JSON: {error}"),
            },
        },
        Err(error) if error.is_timeout() => Daemon::Mute {
            place,
            error: error.to_string(),
        },
        // Icecream's daemons end a connection at what they do not know.
        Ok(_) | Err(_) => Daemon::Other { place, protocol },
    }
}

impl Daemon {
    /// One or two sentences for a command that needs Gelato's daemon and has not found it; `None` if it is there.
    pub(crate) fn complaint(&self) -> Option<String> {
        match self {
            Daemon::Gelato { .. } => None,
            Daemon::Other { place, protocol } => Some(format!(
                "{} answers at {place} (protocol {protocol}). It serves builds, but cannot be asked; all that is \
                 known of it is what its scheduler tells monitors",
                other_name(*protocol)
            )),
            Daemon::Mute { place, error } => Some(format!(
                "something listens at {place} and does not answer: {error}. Restart the daemon"
            )),
            Daemon::Absent { tried } => {
                let mut text = "no daemon answers on this machine".to_owned();
                for (place, reason) in tried {
                    text += &match reason {
                        NotThere::Missing => format!("\n  {place}: not there"),
                        NotThere::Stale => format!("\n  {place}: nobody behind it"),
                        NotThere::Forbidden => format!("\n  {place}: this user may not connect"),
                        NotThere::Failed(error) => format!("\n  {place}: {error}"),
                    };
                }
                text += "\nStart one with: gelato daemon";
                Some(text)
            }
        }
    }
}

/// Whose daemon it may be that knows no questions.
pub(crate) fn other_name(protocol: u32) -> &'static str {
    if protocol < 44 {
        "an Icecream daemon"
    } else {
        "an Icecream daemon (development version) or an older Gelato"
    }
}

/// The reason in an answer that is a refusal.
pub(crate) fn refusal(answer: &Value) -> Option<&str> {
    answer.get("error")?.get("text")?.as_str()
}
