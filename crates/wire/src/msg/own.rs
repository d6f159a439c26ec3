//! Messages that only Gelato's programs send to one another.
//!
//! Icecream's programs end a connection at a message they do not know, so these are sent only where the other end is known
//! to be Gelato's: `ASK` on the own machine's daemon socket, `NODE_NOTE` to a scheduler whose `CS_CONF` names it
//! ([`GELATO_SCHEDULER`]). Their texts are JSON; what is in them is the business of those who send and read them.

use super::message;
use crate::prim::ByteString;

/// How `CS_CONF.bench_source` begins if the scheduler is Gelato's; Icecream's daemons do not look at that field. What follows
/// is the number of the newest extension the scheduler knows.
pub const GELATO_SCHEDULER: &str = "gelato/";

message! {
    /// Operator's command to the daemon of this machine; `ANSWER` comes back.
    Ask = "ASK" {
        /// JSON: an object with a member `ask`.
        request: ByteString,
    }
}

message! {
    /// The daemon's answer to `ASK`, or one of several.
    Answer = "ANSWER" {
        /// JSON: an object.
        text: ByteString,
    }
}

message! {
    /// Daemon to scheduler: what people should know of the node; sent again when it changes.
    NodeNote = "NODE_NOTE" {
        /// JSON: an object.
        text: ByteString,
    }
}

message! {
    /// Daemon to scheduler that knows extension [`RECORDS_SINCE`]: jobs of this submitter that are over.
    JobRecords = "JOB_RECORDS" {
        /// JSON: an array of records.
        text: ByteString,
    }
}

message! {
    /// Scheduler to a monitor that subscribed with `NODE_NOTE`: something Icecream's messages cannot say.
    MonNews = "MON_NEWS" {
        /// JSON: an object with a member `event`.
        text: ByteString,
    }
}

/// The first extension number, after [`GELATO_SCHEDULER`], of schedulers that take `JOB_RECORDS`.
pub const RECORDS_SINCE: u32 = 2;
