//! Icecream's wire protocol, versions 21 to 44, and three messages of our own, as typed values and bytes; no sockets,
//! clocks or threads.
//!
//! - [`msg`]: every message as a type, one file a family, with the versions in which each field exists
//! - [`session`]: one connection: version exchange and framing as a state machine over buffers
//! - [`prim`]: bounds-checked reading and writing of the primitive types
//! - [`chunk`]: compression of file chunks (LZO1X and zstd); [`lzo`] is our encoder
//! - [`datagram`]: discovery requests, replies and announcements, and which scheduler is preferred
//! - [`control`]: the text of the control port
//! - [`version`], [`types`]: protocol numbers, languages, flag bits, exit codes
//!
//! Everything a peer sends is checked here before anybody else sees it: a length is compared with
//! the bytes that are really there before anything is allocated for it, and every refusal names the
//! message and field at fault.

pub mod chunk;
pub mod control;
pub mod datagram;
pub mod lzo;
pub mod msg;
pub mod prim;
pub mod session;
pub mod types;
pub mod version;

pub use msg::{DecodeError, EncodeError, Message};
pub use prim::{ByteString, Environment};
pub use session::{ProtocolError, Session};
pub use version::ProtocolVersion;
