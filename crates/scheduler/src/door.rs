//! A port of the scheduler: its sockets for IPv4 and IPv6, and who may come in.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use gelato_net::NetError;
use gelato_net::access::{Refusals, Rules};
use gelato_net::listener::{Listener, Retry};
use gelato_net::stream::Socket;

/// One port of all addresses the scheduler listens on.
#[derive(Debug)]
pub(crate) struct Door {
    first: Listener,
    second: Option<Listener>,
    rules: Rules,
    refusals: Refusals,
}

impl Door {
    /// Listens on a port (0: any free one) of the first address, and of the second where that can be had.
    pub(crate) async fn open(
        first: IpAddr,
        second: Option<IpAddr>,
        port: u16,
        rules: Rules,
    ) -> Result<Door, NetError> {
        let first = Listener::bind_tcp((first, port).into(), Retry::NEVER).await?;
        let port = first.local_addr().map_or(port, |address| address.port());
        let second = match second {
            None => None,
            Some(ip) => match Listener::bind_tcp((ip, port).into(), Retry::NEVER).await {
                Ok(listener) => Some(listener),
                // A machine without IPv6.
                Err(NetError::Listen { error, .. }) if error.kind() != io::ErrorKind::AddrInUse => {
                    tracing::debug!("not listening on {ip}: {error}");
                    None
                }
                Err(error) => return Err(error),
            },
        };
        Ok(Door {
            first,
            second,
            rules,
            refusals: Refusals::default(),
        })
    }

    /// The first address, with the port the system chose.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.first.local_addr()
    }

    /// The next connection of somebody who may come in. Cancel safe.
    pub(crate) async fn accept(&mut self) -> Socket {
        loop {
            let socket = match &mut self.second {
                None => self.first.accept().await,
                Some(second) => tokio::select! {
                    socket = self.first.accept() => socket,
                    socket = second.accept() => socket,
                },
            };
            // A peer that has left already needs no serving.
            let Ok(peer) = socket.peer() else { continue };
            let Some(address) = peer.address() else {
                return socket;
            };
            if self.rules.permits(address.ip()) {
                return socket;
            }
            if self.refusals.note(address.ip(), Instant::now()) {
                tracing::warn!(
                    "refused a connection from {}: it is in no network that may connect; the setting scheduler.allow says \
                     which may",
                    address.ip()
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use tokio::io::AsyncReadExt as _;
    use tokio::net::{TcpSocket, TcpStream};

    use super::*;

    async fn open(deny: &[&str]) -> Door {
        let (v4, v6) = (Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST);
        let rules = Rules::new(&["private"], deny).unwrap();
        Door::open(v4.into(), Some(v6.into()), 0, rules)
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn both_kinds_of_addresses_lead_in() {
        let mut door = open(&[]).await;
        let port = door.address().unwrap().port();
        for ip in ["127.0.0.1", "::1"] {
            let ip: IpAddr = ip.parse().unwrap();
            if door.second.is_none() && ip.is_ipv6() {
                continue;
            }
            let client = TcpStream::connect((ip, port)).await.unwrap();
            let socket = door.accept().await;
            let peer = socket.peer().unwrap().address();
            assert_eq!(peer, Some(client.local_addr().unwrap()));
        }
    }

    #[tokio::test]
    async fn who_may_not_come_in_is_sent_away_at_once() {
        let mut door = open(&["127.0.0.2"]).await;
        let address = door.address().unwrap();
        let refused = TcpSocket::new_v4().unwrap();
        refused.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        let mut refused = refused.connect(address).await.unwrap();
        let welcome = TcpStream::connect(address).await.unwrap();
        let socket = door.accept().await;
        let peer = socket.peer().unwrap().address();
        assert_eq!(peer, Some(welcome.local_addr().unwrap()));
        assert_eq!(refused.read(&mut [0]).await.unwrap(), 0);
    }
}
