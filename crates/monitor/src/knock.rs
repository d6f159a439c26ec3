//! Connecting to a scheduler as a monitor.
//!
//! Icecream's scheduler on a quiet network looks at a new connection only when something else wakes it, after up to 36 s. A
//! question by datagram wakes it, and whoever answers such questions anyway is not bothered by one more.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use gelato_net::stream::Connection;
use gelato_net::{Limits, NetError};
use gelato_wire::ProtocolVersion;
use gelato_wire::datagram::request;
use tokio::net::UdpSocket;
use tokio::time::sleep;

/// Between two questions; the first is not asked before that, since most schedulers need none.
const PAUSE: Duration = Duration::from_millis(250);

/// Connects and exchanges versions.
///
/// # Errors
/// As [`Connection::connect_as_monitor`].
pub async fn connect(scheduler: SocketAddr, limits: Limits) -> Result<Connection, NetError> {
    tokio::select! {
        connection = Connection::connect_as_monitor(scheduler, limits) => connection,
        never = wake(scheduler) => match never {},
    }
}

/// Asks again and again, and does not listen. Nothing depends on it, so errors are no news.
pub(crate) async fn wake(scheduler: SocketAddr) -> std::convert::Infallible {
    let any: SocketAddr = match scheduler {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await;
    loop {
        sleep(PAUSE).await;
        if let Ok(socket) = &socket {
            let _ = socket
                .send_to(&request(ProtocolVersion::NEWEST), scheduler)
                .await;
        }
    }
}
