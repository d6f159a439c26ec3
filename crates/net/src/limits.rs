//! How long a connection waits, and how much it hands over at once.

use std::time::Duration;

/// Limits of one connection. The default holds Icecream's own numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Until the connection is made.
    pub connect: Duration,
    /// For the whole version exchange.
    pub handshake: Duration,
    /// While sending: time without a single byte being taken by the peer. Over TCP the system itself
    /// ends such a connection after about 9 s ([`USER_TIMEOUT_MS`](crate::options::USER_TIMEOUT_MS)),
    /// if the peer's buffer is full: whoever receives must not stop reading for longer than that.
    pub stall: Duration,
    /// Bytes handed to the system in one write.
    pub largest_write: usize,
}

impl Limits {
    /// For the version exchange with an Icecream scheduler, which on a quiet network accepts a
    /// connection only up to 36 s after it was made.
    pub const SLOW_ACCEPT: Duration = Duration::from_secs(40);

    /// Bytes in one write with `ICECC_SLOW_NETWORK=1`.
    pub const SLOW_NETWORK_WRITE: usize = 10 * 1024;

    /// The default, with small writes if `ICECC_SLOW_NETWORK` asks for them.
    pub fn from_environment() -> Limits {
        match std::env::var_os("ICECC_SLOW_NETWORK") {
            Some(value) if value.as_encoded_bytes().first() == Some(&b'1') => {
                Limits::default().for_slow_network()
            }
            _ => Limits::default(),
        }
    }

    /// The same limits with writes small enough for a slow network.
    #[must_use]
    pub fn for_slow_network(self) -> Limits {
        Limits {
            largest_write: Self::SLOW_NETWORK_WRITE,
            ..self
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connect: Duration::from_secs(10),
            handshake: Duration::from_secs(15),
            stall: Duration::from_secs(30),
            largest_write: 1024 * 1024,
        }
    }
}
