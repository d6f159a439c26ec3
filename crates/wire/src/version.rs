//! Protocol numbers, and which Icecream release speaks which.
//!
//! | release | version |
//! |---|---|
//! | 1.0 | 32 |
//! | 1.1 | 37 |
//! | 1.2 | 39 |
//! | 1.3 | 42 |
//! | 1.4 | 43 |
//! | development branch | 44 |

use std::fmt;

/// The largest version a peer may claim in the exchange (2^20); beyond it the bytes are not a version.
pub const LARGEST_CLAIM: u32 = 1 << 20;

/// The agreed protocol version of one connection: the smaller of what both sides speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProtocolVersion(u32);

impl ProtocolVersion {
    /// The oldest version still accepted.
    pub const OLDEST: ProtocolVersion = ProtocolVersion(21);
    /// The newest version this crate speaks.
    pub const NEWEST: ProtocolVersion = ProtocolVersion(44);

    /// A version this crate speaks, or `None` outside [`OLDEST`](Self::OLDEST) to [`NEWEST`](Self::NEWEST).
    pub fn new(number: u32) -> Option<ProtocolVersion> {
        (Self::OLDEST.0..=Self::NEWEST.0)
            .contains(&number)
            .then_some(ProtocolVersion(number))
    }

    /// What we agree on with a peer that claims `peer`: `None` if it is too old or no version at all.
    pub fn agree(self, peer: u32) -> Option<ProtocolVersion> {
        if peer > LARGEST_CLAIM {
            return None;
        }
        ProtocolVersion::new(peer.min(self.0))
    }

    /// The number on the wire.
    pub fn number(self) -> u32 {
        self.0
    }

    /// Whether this version is `number` or newer.
    pub fn at_least(self, number: u32) -> bool {
        self.0 >= number
    }

    /// Every version from the oldest to the newest.
    pub fn all() -> impl Iterator<Item = ProtocolVersion> {
        (Self::OLDEST.0..=Self::NEWEST.0).map(ProtocolVersion)
    }
}

impl fmt::Display for ProtocolVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agreement_is_the_smaller_of_both() {
        let ours = ProtocolVersion::NEWEST;
        assert_eq!(ours.agree(32).map(ProtocolVersion::number), Some(32));
        assert_eq!(ours.agree(45), Some(ours));
        assert_eq!(ours.agree(LARGEST_CLAIM), Some(ours));
        assert_eq!(ours.agree(20), None);
        assert_eq!(ours.agree(0), None);
        assert_eq!(ours.agree(LARGEST_CLAIM + 1), None);
    }
}
