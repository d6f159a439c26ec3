//! Daemons and monitors: accepting their connections at once, and the two tasks of each.
//!
//! Until a connection has said what it is it costs a task and nothing else, and not for long.

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use gelato_net::stream::{Connection, Reader, Socket};
use gelato_net::{Limits, NetError, options};
use gelato_scheduler_core::ConnectionId;
use gelato_wire::Message;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use crate::door::Door;
use crate::hub::{Arrival, Input};
use crate::outbox::{outbox, write};
use crate::watchers::Topics;

/// Connections that may be about to introduce themselves.
const STRANGERS: usize = 4096;

/// Accepts for ever. `alive` is held as long as something is still to be written.
pub(crate) async fn accept(
    mut door: Door,
    login_limit: Duration,
    heartbeat: Duration,
    hub: mpsc::Sender<Input>,
    alive: mpsc::Sender<()>,
) {
    let strangers = Arc::new(Semaphore::new(STRANGERS));
    let mut last = 0;
    loop {
        let socket = door.accept().await;
        let Ok(permit) = Arc::clone(&strangers).try_acquire_owned() else {
            tracing::warn!("closing a connection: {STRANGERS} others have not logged in yet");
            continue;
        };
        last += 1;
        let connection = ConnectionId(last);
        let (hub, alive) = (hub.clone(), alive.clone());
        tokio::spawn(async move {
            let introduced = introduction(socket, login_limit).await;
            drop(permit);
            if let Some((link, first)) = introduced {
                watch(&link, heartbeat);
                serve(connection, link, first, hub, alive).await;
            }
        });
    }
}

/// Has the system ask the peer whether it is still there after so long without a word. What follows is the same for all
/// connections, see [`gelato_net::options`].
fn watch(link: impl AsFd, heartbeat: Duration) {
    // One that cannot be watched so closely is found later.
    let _ = rustix::net::sockopt::set_tcp_keepidle(link, heartbeat);
}

/// Version exchange and first message.
async fn introduction(socket: Socket, limit: Duration) -> Option<(Connection, Message)> {
    let mut peer = String::from("a connection");
    let limits = Limits {
        handshake: limit,
        ..Limits::from_environment()
    };
    let exchange = async {
        let mut link = Connection::accept(socket, limits).await?;
        peer = link.peer().to_string();
        if let Some(address) = link.peer().address() {
            tracing::debug!("accepted {}", address.ip());
        }
        let first = link.receive(None, "its login").await?;
        Ok::<_, NetError>((link, first))
    };
    match timeout(limit, exchange).await {
        Ok(Ok(introduced)) => Some(introduced),
        Ok(Err(error)) => {
            tracing::debug!("{error}");
            None
        }
        Err(_) => {
            tracing::debug!("{peer} did not log in within {limit:?}");
            None
        }
    }
}

async fn serve(
    connection: ConnectionId,
    link: Connection,
    first: Message,
    hub: mpsc::Sender<Input>,
    alive: mpsc::Sender<()>,
) {
    let unknown = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let (outbox, outgoing) = outbox();
    let arrival = Arrival {
        connection,
        address: link.peer().address().map_or(unknown, |peer| peer.ip()),
        local_address: link.local_addr().map_or(unknown, |own| own.ip()),
        version: link.version(),
        own_version: link.peer_maximum(),
        outbox,
    };
    let monitor = matches!(first, Message::MonLogin);
    let input = match first {
        Message::Login(login) => {
            // Answers to many clients follow one another; none should wait for the acknowledgement of the one before.
            let _ = rustix::net::sockopt::set_tcp_nodelay(&link, true);
            Input::Daemon {
                arrival,
                login: Box::new(login),
            }
        }
        Message::MonLogin => {
            options::set_for_monitor(&link);
            Input::Monitor { arrival }
        }
        other => {
            tracing::info!("Invalid first message {}", other.name());
            return;
        }
    };
    let (reader, writer) = link.split();
    if hub.send(input).await.is_err() {
        return;
    }
    tokio::spawn(async move {
        write(writer, outgoing).await;
        drop(alive);
    });
    if monitor {
        attend(connection, reader, &hub).await;
    } else {
        listen(connection, reader, &hub).await;
    }
    // If the hub has ended nobody needs to know.
    let _ = hub.send(Input::Closed { connection }).await;
}

/// Passes on what a daemon says until its connection ends.
async fn listen(connection: ConnectionId, mut reader: Reader, hub: &mpsc::Sender<Input>) {
    loop {
        match reader.receive(None, "its next message").await {
            Ok(message) => {
                let input = Input::Message {
                    connection,
                    message: Box::new(message),
                };
                if hub.send(input).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                if error.is_closed() {
                    tracing::debug!("{error}");
                } else {
                    tracing::warn!("{error}");
                }
                return;
            }
        }
    }
}

/// Monitors only say what they subscribe to; reading tells when they leave.
async fn attend(connection: ConnectionId, mut reader: Reader, hub: &mpsc::Sender<Input>) {
    let mut wanted = Topics::default();
    while let Ok(message) = reader.receive(None, "its end").await {
        if let Message::NodeNote(note) = message {
            let topics = wanted.and(Topics::parse(&note.text));
            // Repetitions never reach the hub.
            if topics != wanted {
                wanted = topics;
                let input = Input::Subscribed { connection, topics };
                if hub.send(input).await.is_err() {
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gelato_net::options::{Side, set_for_messages};
    use rustix::net::sockopt::{socket_keepalive, tcp_keepidle};

    #[test]
    fn a_silent_peer_is_asked_after_the_heartbeat() {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        set_for_messages(&peer, Side::Accepting);
        watch(&peer, Duration::from_secs(4));
        assert!(socket_keepalive(&peer).unwrap());
        assert_eq!(tcp_keepidle(&peer).unwrap(), Duration::from_secs(4));
    }
}
