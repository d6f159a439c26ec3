//! The mail between the dispatcher and the tasks around it.

use std::net::IpAddr;

use gelato_wire::{Message, ProtocolVersion};
use tokio::sync::mpsc;

use crate::access::Offence;
use crate::core::vocabulary::{Event, JobRequest, Origin, Toolchain};
use crate::ids::{ClientId, Generation};
use crate::worker::reason::Reason;

/// To the dispatcher.
#[derive(Debug)]
pub(crate) enum Notice {
    /// A client is there and takes orders.
    Hello {
        /// Its number.
        id: ClientId,
        /// Where it sits.
        origin: Origin,
        /// The agreed version.
        version: ProtocolVersion,
        /// Where orders go.
        orders: mpsc::Sender<Order>,
    },
    /// A scheduler is there and takes messages.
    Link {
        /// Which connection.
        generation: Generation,
        /// The agreed version.
        version: ProtocolVersion,
        /// Our address as the scheduler's machine sees it.
        own_address: IpAddr,
        /// Where messages go; dropping it ends the connection.
        messages: mpsc::Sender<Message>,
    },
    /// Something happened.
    Event(Box<Event>),
}

impl From<Event> for Notice {
    fn from(event: Event) -> Notice {
        Notice::Event(Box::new(event))
    }
}

/// To the task of one client.
#[derive(Debug)]
pub(crate) enum Order {
    /// Send a message.
    Send(Message),
    /// Send what is queued, then leave.
    Close,
    /// Take a toolchain.
    Receive(Toolchain),
    /// Look whether a toolchain runs here, and tell the client.
    Verify(Toolchain),
    /// Take in a job and wait for [`Order::Start`].
    Admit(Box<JobRequest>),
    /// Start the admitted job.
    Start,
    /// Give the job back to the submitter; kill it if it runs.
    HandBack(Reason),
    /// Kill the job and leave.
    Abort,
    /// Remember what the peer did.
    Misbehaved(Offence),
}
