//! Whether others could connect to a daemon: a connection is made and closed at once, without a byte.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a daemon has to accept.
const LIMIT: Duration = Duration::from_secs(5);

/// True if the connection was established. A refusal is a failure like silence.
pub(crate) async fn can_connect(address: IpAddr, port: u32) -> bool {
    let Ok(port) = u16::try_from(port) else {
        return false;
    };
    let connect = TcpStream::connect(SocketAddr::new(address, port));
    matches!(timeout(LIMIT, connect).await, Ok(Ok(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_listener_is_reachable_and_a_closed_port_is_not() {
        let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let listener = TcpListener::bind((local, 0)).await.unwrap();
        let port = u32::from(listener.local_addr().unwrap().port());
        assert!(can_connect(local, port).await);
        drop(listener);
        assert!(!can_connect(local, port).await);
        assert!(!can_connect(local, port + 65536).await);
    }
}
