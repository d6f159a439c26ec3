//! Discovery and announcement datagrams: finding a scheduler by broadcast, and schedulers finding each other.
//!
//! An asker broadcasts one byte, its protocol version. Every scheduler answers, in one of four
//! layouts that depend on that byte; the asker collects the answers and takes the [`better`] one.
//! Schedulers also announce themselves, in an old form (`ICE`) and a new one (`ICF`).
//!
//! Sockets, interfaces and waiting are not here. None of this is authenticated: whoever acts on an
//! announcement confirms it over TCP first.

use thiserror::Error;

use crate::prim::{ByteString, Reader};
use crate::version::ProtocolVersion;

/// Versions travel in one byte that Icecream's peers take as signed; they ignore what is negative.
pub const LARGEST_VERSION: u32 = 127;

/// The longest network name a reply in the newest layout holds, in bytes. Longer ones are cut, and of
/// announced names no more than this counts.
pub const MAX_NETNAME: usize = 254;

/// The first scheduler version that takes part in elections.
const ELECTS_SINCE: u32 = 36;

const NEW_LENGTH: usize = 268;
/// What a reply without a version counts as: the last one that sent such replies.
const UNSTATED_VERSION: u32 = 32;
const OLD_MAGIC: &[u8; 3] = b"ICE";
const NEW_MAGIC: &[u8; 3] = b"ICF";
/// Magic, version and start time of an old announcement; all that schedulers from 33 to 35 send.
const OLD_HEAD: usize = 12;

/// Why a datagram means nothing to us. Such datagrams are ignored.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum DatagramError {
    /// Neither length nor first byte are those of anything we know.
    #[error("a datagram of {length} bytes beginning with {first:?} is none of ours")]
    Unknown {
        /// Its length in bytes.
        length: usize,
        /// Its first byte.
        first: Option<u8>,
    },
    /// A version no peer can have.
    #[error("protocol version {version} in a datagram, 1 to {LARGEST_VERSION} are possible")]
    Version {
        /// What was read.
        version: u32,
    },
    /// The asker is older than any peer we speak to.
    #[error(
        "an asker with protocol version {version}, we answer {} to {LARGEST_VERSION}",
        ProtocolVersion::OLDEST
    )]
    Asker {
        /// What was read; above 127 the asker means a negative number.
        version: u32,
    },
}

/// The datagram that asks for schedulers, to be broadcast to the scheduler port.
pub fn request(own: ProtocolVersion) -> [u8; 1] {
    // A protocol version is at most 44.
    [own.number() as u8]
}

/// What arrives at a scheduler's UDP port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Datagram {
    /// Somebody looks for schedulers: answer with [`Reply::encode`] from this very port.
    Request {
        /// Protocol version of the asker, 21 to 127.
        asker: u32,
    },
    /// A scheduler announces itself in the new form.
    Announcement(Announcement),
    /// A scheduler announces itself in the old form, which schedulers from version 38 on ignore.
    OldAnnouncement(Announcement),
}

impl Datagram {
    /// Reads what arrived at a scheduler's port. The lengths are exact.
    pub fn decode(bytes: &[u8]) -> Result<Datagram, DatagramError> {
        if let [asker] = *bytes {
            let version = u32::from(asker);
            return if (ProtocolVersion::OLDEST.number()..=LARGEST_VERSION).contains(&version) {
                Ok(Datagram::Request { asker: version })
            } else {
                Err(DatagramError::Asker { version })
            };
        }
        match bytes.first_chunk::<3>() {
            Some(NEW_MAGIC) => Announcement::decode_new(bytes).map(Datagram::Announcement),
            Some(OLD_MAGIC) => Announcement::decode_old(bytes).map(Datagram::OldAnnouncement),
            _ => Err(unknown(bytes)),
        }
    }
}

/// A scheduler's answer to a request. Its TCP port is the port the datagram came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// Protocol version of the scheduler; 32 if the reply does not say.
    pub version: u32,
    /// When it started, Unix time in seconds; 0 if the reply does not say.
    pub start_time: u64,
    /// The network it serves.
    pub netname: ByteString,
}

impl Reply {
    /// The reply to an asker of version `asker`, as [`Datagram::Request`] gave it.
    pub fn encode(&self, asker: u32) -> Vec<u8> {
        let (length, own_plus) = match asker {
            ..=32 => (16, 1),
            33..=35 => (32, 2),
            36..=37 => (NEW_LENGTH, 2),
            _ => (NEW_LENGTH, 3),
        };
        let mut out = Vec::with_capacity(length);
        out.push(asker.wrapping_add(own_plus) as u8);
        match own_plus {
            1 => {}
            // These peers never agreed on a byte order: they send what lies in their memory.
            2 => {
                out.extend_from_slice(&self.version.to_ne_bytes());
                out.extend_from_slice(&self.start_time.to_ne_bytes());
            }
            _ => {
                out.extend_from_slice(&self.version.to_be_bytes());
                out.extend_from_slice(&self.start_time.to_be_bytes());
            }
        }
        push_netname(&mut out, &self.netname, length);
        out
    }

    /// Reads a reply to a request made as version `own`.
    pub fn decode(own: ProtocolVersion, bytes: &[u8]) -> Result<Reply, DatagramError> {
        let damaged = |_| unknown(bytes);
        let mut from = Reader::new(bytes);
        let [first] = take(&mut from).map_err(damaged)?;
        let above = u32::from(first).checked_sub(own.number());
        let (version, start_time) = match (bytes.len(), above) {
            (16, Some(1)) => (UNSTATED_VERSION, 0),
            (32 | NEW_LENGTH, Some(2)) => (
                u32::from_ne_bytes(take(&mut from).map_err(damaged)?),
                u64::from_ne_bytes(take(&mut from).map_err(damaged)?),
            ),
            (NEW_LENGTH, Some(3)) => (
                u32::from_be_bytes(take(&mut from).map_err(damaged)?),
                u64::from_be_bytes(take(&mut from).map_err(damaged)?),
            ),
            _ => return Err(unknown(bytes)),
        };
        Ok(Reply {
            version: possible(version)?,
            start_time,
            netname: terminated(from.rest()),
        })
    }

    /// Whether this scheduler serves the network `wanted`; the case of ASCII letters does not matter.
    pub fn serves(&self, wanted: &ByteString) -> bool {
        self.netname
            .as_bytes()
            .eq_ignore_ascii_case(wanted.as_bytes())
    }
}

/// Whether an asker prefers scheduler `a` to scheduler `b`: the higher version, then the earlier
/// start. Of two equal ones neither is better, and the first that answered stays.
pub fn better(a: &Reply, b: &Reply) -> bool {
    precedes((a.version, a.start_time), (b.version, b.start_time))
}

/// A scheduler's announcement of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Announcement {
    /// Protocol version of the scheduler.
    pub version: u32,
    /// When it started, Unix time in seconds.
    pub start_time: u64,
    /// The network it serves.
    pub netname: ByteString,
}

impl Announcement {
    /// The form all schedulers since version 38 understand.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(NEW_LENGTH);
        out.extend_from_slice(NEW_MAGIC);
        out.push(version_byte(self.version));
        out.extend_from_slice(&self.start_time.to_be_bytes());
        push_netname(&mut out, &self.netname, NEW_LENGTH);
        out
    }

    /// The form for schedulers before version 38. It loses the last byte of the network name, as it
    /// does from every scheduler since 36.
    ///
    /// Schedulers of version 36 and 37 exit on such a datagram if its length is not exactly 13 plus
    /// its length byte, so it is computed from what is really put in.
    pub fn encode_old(&self) -> Vec<u8> {
        let name = cut(self.netname.as_bytes(), MAX_NETNAME);
        let mut out = Vec::with_capacity(OLD_HEAD + 1 + name.len());
        out.extend_from_slice(OLD_MAGIC);
        out.push(version_byte(self.version));
        out.extend_from_slice(&self.start_time.to_ne_bytes());
        // The name was cut to less than 256 bytes.
        out.push(name.len() as u8);
        if let Some((_, kept)) = name.split_last() {
            out.extend_from_slice(kept);
            out.push(0);
        }
        out
    }

    fn decode_new(bytes: &[u8]) -> Result<Announcement, DatagramError> {
        if bytes.len() != NEW_LENGTH {
            return Err(unknown(bytes));
        }
        let damaged = |_| unknown(bytes);
        let mut from = Reader::new(bytes);
        let [_, _, _, version] = take(&mut from).map_err(damaged)?;
        let start_time = u64::from_be_bytes(take(&mut from).map_err(damaged)?);
        Ok(Announcement {
            version: possible(version.into())?,
            start_time,
            netname: terminated(from.rest()),
        })
    }

    fn decode_old(bytes: &[u8]) -> Result<Announcement, DatagramError> {
        let damaged = |_| unknown(bytes);
        let mut from = Reader::new(bytes);
        let [_, _, _, version] = take(&mut from).map_err(damaged)?;
        let start_time = u64::from_ne_bytes(take(&mut from).map_err(damaged)?);
        let name = match from.rest() {
            [] => &[],
            [length, name @ ..] if name.len() == usize::from(*length) => name,
            _ => return Err(unknown(bytes)),
        };
        Ok(Announcement {
            version: possible(version.into())?,
            start_time,
            netname: ByteString::from_bytes(name),
        })
    }

    /// Whether a scheduler that announces itself as `self` must leave the network to the one that
    /// announced `heard`: same network, case included, and a higher version or an earlier start.
    ///
    /// Our own announcement, which comes back to us, never asks us to.
    pub fn yields_to(&self, heard: &Announcement) -> bool {
        heard.version >= ELECTS_SINCE
            && cut(self.netname.as_bytes(), MAX_NETNAME)
                == cut(heard.netname.as_bytes(), MAX_NETNAME)
            && precedes(
                (heard.version, heard.start_time),
                (self.version, self.start_time),
            )
    }
}

fn precedes(a: (u32, u64), b: (u32, u64)) -> bool {
    a.0 > b.0 || (a.0 == b.0 && a.1 < b.1)
}

fn unknown(bytes: &[u8]) -> DatagramError {
    DatagramError::Unknown {
        length: bytes.len(),
        first: bytes.first().copied(),
    }
}

fn possible(version: u32) -> Result<u32, DatagramError> {
    if (1..=LARGEST_VERSION).contains(&version) {
        Ok(version)
    } else {
        Err(DatagramError::Version { version })
    }
}

fn version_byte(version: u32) -> u8 {
    version.min(LARGEST_VERSION) as u8
}

fn cut(name: &[u8], longest: usize) -> &[u8] {
    &name[..name.len().min(longest)]
}

/// Appends the name and zeros up to `length`, at least one of them and never more name than fits.
fn push_netname(out: &mut Vec<u8>, name: &ByteString, length: usize) {
    let room = length.saturating_sub(out.len() + 1);
    out.extend_from_slice(cut(name.as_bytes(), room));
    out.resize(length, 0);
}

/// The name in a field whose last byte counts as NUL whatever it is.
fn terminated(field: &[u8]) -> ByteString {
    let (_, name) = field.split_last().unwrap_or((&0, &[]));
    ByteString::from_bytes(name)
}

fn take<const N: usize>(from: &mut Reader<'_>) -> Result<[u8; N], ()> {
    from.bytes(N)
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(number: u32) -> ProtocolVersion {
        ProtocolVersion::new(number).unwrap()
    }

    fn reply(version: u32, start_time: u64, netname: &str) -> Reply {
        Reply {
            version,
            start_time,
            netname: netname.into(),
        }
    }

    #[test]
    fn requests_from_21_to_127_are_answered() {
        for byte in 0..=255 {
            let answered = matches!(Datagram::decode(&[byte]), Ok(Datagram::Request { asker }) if asker == u32::from(byte));
            assert_eq!(answered, (21..=127).contains(&byte), "{byte}");
        }
        assert_eq!(request(ProtocolVersion::NEWEST), [44]);
    }

    #[test]
    fn every_asker_can_read_its_reply() {
        let sent = reply(44, 0x1_6b00_bfbb, "ICECREAM");
        for asker in ProtocolVersion::all() {
            let bytes = sent.encode(asker.number());
            let expected = match asker.number() {
                ..=32 => reply(32, 0, "ICECREAM"),
                _ => sent.clone(),
            };
            assert_eq!(Reply::decode(asker, &bytes), Ok(expected));
            let mut longer = bytes.clone();
            longer.push(0);
            assert!(Reply::decode(asker, &longer).is_err());
            assert!(Reply::decode(asker, &bytes[..bytes.len() - 1]).is_err());
            if let Some(other) = ProtocolVersion::new(asker.number() + 1) {
                assert!(
                    Reply::decode(other, &bytes).is_err(),
                    "not meant for {other}"
                );
            }
        }
    }

    #[test]
    fn long_names_are_cut_and_always_terminated() {
        let name = "n".repeat(300);
        for (asker, longest) in [(32, 14), (33, 18), (36, 254), (44, 254)] {
            let bytes = reply(44, 1, &name).encode(asker);
            assert_eq!(bytes.last(), Some(&0));
            let read = Reply::decode(version(asker), &bytes).unwrap();
            assert_eq!(read.netname.len(), longest);
        }
        let mut unterminated = reply(44, 1, &name).encode(44);
        unterminated[NEW_LENGTH - 1] = b'x';
        let read = Reply::decode(version(44), &unterminated).unwrap();
        assert_eq!(read.netname.len(), 254);
    }

    #[test]
    fn versions_a_byte_cannot_hold_are_refused() {
        for wrong in [0, 128, u32::MAX] {
            let bytes = reply(wrong, 1, "ICECREAM").encode(44);
            assert_eq!(
                Reply::decode(version(44), &bytes),
                Err(DatagramError::Version { version: wrong })
            );
        }
    }

    #[test]
    fn the_choice_is_version_then_age_then_order() {
        let first = reply(44, 100, "a");
        assert!(better(&reply(45, 200, "a"), &first));
        assert!(!better(&reply(43, 50, "a"), &first));
        assert!(better(&reply(44, 99, "a"), &first));
        assert!(!better(&reply(44, 101, "a"), &first));
        assert!(!better(&first, &first));
        assert!(reply(44, 1, "IceCream").serves(&"ICECREAM".into()));
        assert!(!reply(44, 1, "ICECREAM2").serves(&"ICECREAM".into()));
    }

    #[test]
    fn announcements_come_back() {
        let sent = Announcement {
            version: 44,
            start_time: 0x6b00_bfbb,
            netname: "ICECREAM".into(),
        };
        assert_eq!(
            Datagram::decode(&sent.encode()),
            Ok(Datagram::Announcement(sent.clone()))
        );
        let without_last = Announcement {
            netname: "ICECREA".into(),
            ..sent.clone()
        };
        assert_eq!(
            Datagram::decode(&sent.encode_old()),
            Ok(Datagram::OldAnnouncement(without_last))
        );
    }

    #[test]
    fn an_old_announcement_always_has_the_length_it_claims() {
        for length in [0, 1, 2, 254, 255, 256, 70_000] {
            let bytes = Announcement {
                version: 300,
                start_time: u64::MAX,
                netname: "x".repeat(length).into(),
            }
            .encode_old();
            assert_eq!(bytes.len(), 13 + usize::from(bytes[12]));
            assert!(Datagram::decode(&bytes).is_ok());
            let mut longer = bytes.clone();
            longer.push(0);
            assert!(Datagram::decode(&longer).is_err());
        }
        assert!(Datagram::decode(b"ICE\x2100000000").is_ok());
        assert!(Datagram::decode(b"ICE\x210000000").is_err());
    }

    #[test]
    fn elections_follow_version_age_and_exact_name() {
        let own = Announcement {
            version: 44,
            start_time: 100,
            netname: "ICECREAM".into(),
        };
        let heard = |version, start_time, netname: &str| Announcement {
            version,
            start_time,
            netname: netname.into(),
        };
        assert!(!own.yields_to(&own));
        assert!(own.yields_to(&heard(44, 99, "ICECREAM")));
        assert!(!own.yields_to(&heard(44, 101, "ICECREAM")));
        assert!(own.yields_to(&heard(45, 101, "ICECREAM")));
        assert!(!own.yields_to(&heard(43, 1, "ICECREAM")));
        assert!(!own.yields_to(&heard(45, 1, "icecream")));
        let ancient = heard(33, 100, "ICECREAM");
        assert!(!ancient.yields_to(&heard(35, 1, "ICECREAM")));
    }
}
