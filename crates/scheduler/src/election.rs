//! Other schedulers of the same network. The better one (newer protocol, then longer running, then the lower address, as
//! daemons choose) keeps the daemons.
//!
//! An announcement is one unauthenticated datagram, so it only makes us look: nobody is sent away before a scheduler
//! at that address has said the same of itself when asked, and has accepted a connection.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use gelato_net::Limits;
use gelato_net::discovery::{Heard, Responder};
use gelato_net::stream::Connection;
use gelato_wire::ProtocolVersion;
use gelato_wire::datagram::{Announcement, Reply, request};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use crate::config::Config;
use crate::hub::Input;

/// How long the other scheduler has to answer. Icecream's accept late on a quiet network.
const ANSWER: Duration = Duration::from_secs(45);

/// How long one question by datagram waits, and how often it is asked: datagrams get lost.
const REPLY: Duration = Duration::from_secs(1);
const ASKED: u32 = 3;

/// A claim that was found wrong is not looked at again for so long.
const NOT_AGAIN_FOR: Duration = Duration::from_secs(60);

/// Wrong claims remembered.
const REMEMBERED: usize = 64;

/// Claims that wait to be looked at.
const CLAIMS: usize = 8;

/// Answers those who look for a scheduler, announces this one, and gives way to a better one. For ever.
pub(crate) async fn listen(mut responder: Responder, config: Config, hub: mpsc::Sender<Input>) {
    let port = responder.port();
    let own = Announcement {
        version: ProtocolVersion::NEWEST.number(),
        start_time: config.start_time,
        netname: config.netname.as_str().into(),
    };
    let mut wrong: VecDeque<(SocketAddr, Announcement, Instant)> = VecDeque::new();
    let mut claims: VecDeque<Heard> = VecDeque::new();
    let mut checking = None;
    let look_at_next = |checking: &mut Option<Check>, claims: &mut VecDeque<Heard>| {
        if checking.is_none()
            && let Some(heard) = claims.pop_front()
        {
            let ports = ports_of(&heard, &config.announce_to, port);
            *checking = Some(tokio::spawn(async move {
                let confirmed = exists(&heard, &ports).await;
                (heard, confirmed)
            }));
        }
    };
    loop {
        let heard = tokio::select! {
            heard = responder.next() => heard,
            (heard, confirmed) = finished(&mut checking) => {
                checking = None;
                if let Some(other) = confirmed {
                    if heard.announcement != own || is_before_us(other, port).await {
                        give_way(&heard, &hub).await;
                    } else {
                        tracing::debug!("{other} started when we did, and gives way to us");
                    }
                } else {
                    tracing::warn!("ignored the announcement from {}: no such scheduler answers there", heard.from);
                    if wrong.len() == REMEMBERED {
                        wrong.pop_front();
                    }
                    wrong.push_back((heard.from, heard.announcement, Instant::now()));
                }
                look_at_next(&mut checking, &mut claims);
                continue;
            }
        };
        tracing::debug!(
            "Received scheduler announcement from {} (version {}, netname {})",
            heard.from,
            heard.announcement.version,
            heard.announcement.netname
        );
        wrong.retain(|(.., since)| since.elapsed() < NOT_AGAIN_FOR);
        let known_wrong = wrong.iter().any(|(from, announcement, _)| {
            *from == heard.from && *announcement == heard.announcement
        });
        let tie = heard.announcement == own;
        if (own.yields_to(&heard.announcement) || tie)
            && !config.persistent_clients
            && !known_wrong
            && !claims.contains(&heard)
        {
            // While one is looked at, the latest others wait.
            if claims.len() == CLAIMS {
                claims.pop_front();
            }
            claims.push_back(heard);
        }
        look_at_next(&mut checking, &mut claims);
    }
}

/// The other one, if it is what it says.
type Confirmed = Option<SocketAddr>;

/// A claim being looked at.
type Check = tokio::task::JoinHandle<(Heard, Confirmed)>;

async fn finished(checking: &mut Option<Check>) -> (Heard, Confirmed) {
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

/// Our address as `other` sees it.
async fn own_address(other: SocketAddr, port: u16) -> io::Result<SocketAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    // Sends nothing, but chooses the way.
    socket.connect(other).await?;
    Ok(SocketAddr::new(socket.local_addr()?.ip(), port))
}

/// Whether daemons that know both choose the other one, if both started in the same second.
async fn is_before_us(other: SocketAddr, port: u16) -> bool {
    matches!(own_address(other, port).await, Ok(own) if other < own)
}

/// Where a scheduler that claims the same answers, if one does.
async fn exists(heard: &Heard, ports: &[u16]) -> Confirmed {
    for port in ports {
        let address = SocketAddr::new(heard.from.ip(), *port);
        let limits = Limits {
            handshake: ANSWER,
            ..Limits::default()
        };
        if claims_the_same(address, &heard.announcement).await
            && Connection::connect_tcp(address, limits).await.is_ok()
        {
            return Some(address);
        }
    }
    None
}

/// Asks one scheduler what it is. Our own answer, if a forged announcement leads back to us, does not pass.
async fn claims_the_same(address: SocketAddr, announced: &Announcement) -> bool {
    let ask = async {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
        socket.connect(address).await?;
        let mut buffer = [0; 300];
        for _ in 0..ASKED {
            socket.send(&request(ProtocolVersion::NEWEST)).await?;
            if let Ok(length) = timeout(REPLY, socket.recv(&mut buffer)).await {
                let bytes = buffer.get(..length?).unwrap_or_default();
                return Ok(Reply::decode(ProtocolVersion::NEWEST, bytes).ok());
            }
        }
        Ok::<_, io::Error>(None)
    };
    matches!(ask.await, Ok(Some(reply)) if reply.version == announced.version
        && reply.start_time == announced.start_time
        && reply.netname == announced.netname)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announcement(version: u32, start_time: u64, netname: &str) -> Announcement {
        Announcement {
            version,
            start_time,
            netname: netname.into(),
        }
    }

    #[tokio::test]
    async fn only_the_same_claim_confirms_an_announcement() {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = socket.local_addr().unwrap();
        let answering = tokio::spawn(async move {
            let reply = Reply {
                version: 44,
                start_time: 10,
                netname: "here".into(),
            };
            let mut buffer = [0; 2];
            loop {
                let (_, from) = socket.recv_from(&mut buffer).await.unwrap();
                let bytes = reply.encode(u32::from(buffer[0]));
                socket.send_to(&bytes, from).await.unwrap();
            }
        });
        assert!(claims_the_same(address, &announcement(44, 10, "here")).await);
        assert!(!claims_the_same(address, &announcement(45, 10, "here")).await);
        assert!(!claims_the_same(address, &announcement(44, 9, "here")).await);
        assert!(!claims_the_same(address, &announcement(44, 10, "there")).await);
        // It says so by datagram, but accepts no connection.
        let heard = Heard {
            from: address,
            announcement: announcement(44, 10, "here"),
        };
        assert_eq!(exists(&heard, &[address.port()]).await, None);
        answering.abort();
    }

    #[tokio::test]
    async fn among_equals_the_lower_address_is_first() {
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        assert!(is_before_us(at(5000), 5001).await);
        assert!(!is_before_us(at(5001), 5000).await);
    }

    #[test]
    fn the_sender_is_asked_first() {
        let heard = Heard {
            from: (Ipv4Addr::LOCALHOST, 5000).into(),
            announcement: announcement(44, 10, "here"),
        };
        assert_eq!(ports_of(&heard, &[8767], 8765), [5000, 8765, 8767]);
        assert_eq!(ports_of(&heard, &[], 5000), [5000]);
    }
}
