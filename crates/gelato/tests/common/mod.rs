//! What tests with real daemons and schedulers share.

use std::net::{TcpListener, UdpSocket};
use std::time::{Duration, Instant};

/// Nothing here takes this long unless it hangs.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// Between two looks for something that cannot be waited for otherwise.
const LOOK: Duration = Duration::from_millis(30);

/// What `look` finds, once it does.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < LONG, "{what} did not come");
        std::thread::sleep(LOOK);
    }
}

/// The first of two neighbouring ports nobody uses.
pub(crate) fn free_ports() -> u16 {
    loop {
        let first = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = first.local_addr().unwrap().port();
        let next = port
            .checked_add(1)
            .and_then(|next| TcpListener::bind(("127.0.0.1", next)).ok());
        if next.is_some() && UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
