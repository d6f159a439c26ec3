//! The receiving half of a connection, without waiting: what both flavours do with a readable socket.
//!
//! Bytes go into the session when its messages are wanted. While we send, a peer that sends as well
//! must not be left blocked, so its bytes are put aside (`stash`), up to a bound; they are decoded
//! when the next message is asked for.

use std::mem::{self, MaybeUninit};
use std::os::fd::BorrowedFd;

use gelato_wire::{Message, ProtocolError, Session};
use rustix::io::Errno;
use rustix::net::RecvFlags;

use crate::error::NetError;
use crate::peer::Peer;

/// Undecoded input that is kept before a connection stops reading, in bytes: four messages of the
/// largest size. Nobody sends that much unasked.
pub(crate) const LARGEST_STASH: usize = 4 << 20;

const LARGEST_READ: usize = 64 * 1024;

/// What was received and not yet handed out.
#[derive(Debug)]
pub(crate) struct Inbox {
    session: Session,
    stash: Vec<u8>,
    heard: bool,
    end: Option<End>,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Closed,
    Failed(Errno),
}

/// What one read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Bytes.
    Some,
    /// Nothing now.
    None,
    /// Nothing ever again.
    End,
}

impl Inbox {
    pub(crate) fn new(session: Session) -> Inbox {
        Inbox {
            session,
            stash: Vec::new(),
            heard: false,
            end: None,
        }
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    pub(crate) fn session_mut(&mut self) -> &mut Session {
        &mut self.session
    }

    /// The next message that is complete.
    pub(crate) fn next_message(&mut self) -> Result<Option<Message>, ProtocolError> {
        if let Some(message) = self.session.next_message()? {
            return Ok(Some(message));
        }
        if self.stash.is_empty() {
            return Ok(None);
        }
        let stash = mem::take(&mut self.stash);
        self.session.receive(&stash)?;
        self.session.next_message()
    }

    /// One read into the session. To be called when [`next_message`](Self::next_message) has
    /// nothing, so that the session never holds more than one incomplete message and one read.
    pub(crate) fn read(&mut self, socket: BorrowedFd<'_>) -> Result<Progress, ProtocolError> {
        let mut buffer = [MaybeUninit::uninit(); LARGEST_READ];
        match self.read_raw(socket, &mut buffer) {
            Ok(bytes) => {
                self.session.receive(bytes)?;
                Ok(Progress::Some)
            }
            Err(progress) => Ok(progress),
        }
    }

    /// One read into the stash, for the time in which we send.
    pub(crate) fn put_aside(&mut self, socket: BorrowedFd<'_>) -> Progress {
        let mut buffer = [MaybeUninit::uninit(); LARGEST_READ];
        match self.read_raw(socket, &mut buffer) {
            Ok(bytes) => {
                self.stash.extend_from_slice(bytes);
                Progress::Some
            }
            Err(progress) => progress,
        }
    }

    /// Whether more may be put aside.
    pub(crate) fn has_room(&self) -> bool {
        self.end.is_none() && self.stash.len() < LARGEST_STASH
    }

    /// What the end of the stream means for somebody who waits.
    pub(crate) fn end_error(&self, peer: &Peer, waiting_for: &'static str) -> NetError {
        let peer = peer.clone();
        match self.end {
            _ if !self.heard => NetError::NeverSpoke { peer },
            Some(End::Failed(errno)) => NetError::Receive {
                peer,
                waiting_for,
                error: errno.into(),
            },
            _ if self.session.has_partial_input() || self.session.version().is_none() => {
                NetError::CutOff { peer, waiting_for }
            }
            _ => NetError::Closed { peer, waiting_for },
        }
    }

    fn read_raw<'b>(
        &mut self,
        socket: BorrowedFd<'_>,
        buffer: &'b mut [MaybeUninit<u8>],
    ) -> Result<&'b [u8], Progress> {
        if self.end.is_some() {
            return Err(Progress::End);
        }
        match rustix::net::recv(socket, buffer, RecvFlags::DONTWAIT) {
            Ok(((bytes, _), _)) if !bytes.is_empty() => {
                self.heard = true;
                Ok(bytes)
            }
            Ok(_) => {
                self.end = Some(End::Closed);
                Err(Progress::End)
            }
            Err(Errno::AGAIN) => Err(Progress::None),
            Err(errno) => {
                self.end = Some(End::Failed(errno));
                Err(Progress::End)
            }
        }
    }
}
