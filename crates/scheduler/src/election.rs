//! Other schedulers of the same network. The better one (newer protocol, then longer running) keeps the daemons.
//!
//! An announcement is one unauthenticated datagram, so it only makes us look: nobody is sent away before a scheduler
//! has answered at that address with the protocol version it claims.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use gelato_net::Limits;
use gelato_net::discovery::{Heard, Responder};
use gelato_net::stream::Connection;
use gelato_wire::ProtocolVersion;
use gelato_wire::datagram::Announcement;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::config::Config;
use crate::hub::Input;

/// How long the other scheduler has to answer. Icecream's accept late on a quiet network.
const ANSWER: Duration = Duration::from_secs(45);

/// A claim that was found wrong is not looked at again for so long.
const NOT_AGAIN_FOR: Duration = Duration::from_secs(60);

/// Wrong claims remembered.
const REMEMBERED: usize = 64;

/// Answers those who look for a scheduler, announces this one, and gives way to a better one. For ever.
pub(crate) async fn listen(mut responder: Responder, config: Config, hub: mpsc::Sender<Input>) {
    let port = responder.port();
    let own = Announcement {
        version: ProtocolVersion::NEWEST.number(),
        start_time: config.start_time,
        netname: config.netname.as_str().into(),
    };
    let mut wrong: VecDeque<(IpAddr, Instant)> = VecDeque::new();
    let mut checking = None;
    loop {
        let heard = tokio::select! {
            heard = responder.next() => heard,
            (heard, confirmed) = finished(&mut checking) => {
                checking = None;
                if confirmed {
                    give_way(&heard, &hub).await;
                } else {
                    tracing::warn!("ignored the announcement from {}: no such scheduler answers there", heard.from);
                    if wrong.len() == REMEMBERED {
                        wrong.pop_front();
                    }
                    wrong.push_back((heard.from.ip(), Instant::now()));
                }
                continue;
            }
        };
        tracing::debug!(
            "Received scheduler announcement from {} (version {}, netname {})",
            heard.from,
            heard.announcement.version,
            heard.announcement.netname
        );
        wrong.retain(|(_, since)| since.elapsed() < NOT_AGAIN_FOR);
        let known_wrong = wrong.iter().any(|(from, _)| *from == heard.from.ip());
        if own.yields_to(&heard.announcement)
            && !config.persistent_clients
            && !known_wrong
            && checking.is_none()
        {
            let ports = ports_of(&heard, &config.announce_to, port);
            checking = Some(tokio::spawn(async move {
                let confirmed = exists(&heard, &ports).await;
                (heard, confirmed)
            }));
        }
    }
}

async fn finished(checking: &mut Option<tokio::task::JoinHandle<(Heard, bool)>>) -> (Heard, bool) {
    if let Some(task) = checking
        && let Ok(result) = task.await
    {
        return result;
    }
    std::future::pending().await
}

async fn give_way(heard: &Heard, hub: &mpsc::Sender<Input>) {
    tracing::info!(
        "Scheduler from {} (version {}) has announced itself as a preferred scheduler, disconnecting all connections.",
        heard.from,
        heard.announcement.version
    );
    let _ = hub.send(Input::Superseded).await;
}

/// Where the scheduler that was heard may listen. Ours announce from their own port. Icecream's do not, but schedulers
/// hear announcements on their own port, so theirs is ours, or one of those announcements are sent to.
fn ports_of(heard: &Heard, announce_to: &[u16], own: u16) -> Vec<u16> {
    let mut ports = vec![heard.from.port(), own];
    ports.extend_from_slice(announce_to);
    ports.dedup();
    ports
}

/// Whether a scheduler with the claimed version answers there.
async fn exists(heard: &Heard, ports: &[u16]) -> bool {
    for port in ports {
        let address = SocketAddr::new(heard.from.ip(), *port);
        let limits = Limits {
            handshake: ANSWER,
            ..Limits::default()
        };
        if let Ok(connection) = Connection::connect_tcp(address, limits).await
            && connection.peer_maximum() == heard.announcement.version
        {
            return true;
        }
    }
    false
}
