//! One connection without its socket: the version exchange, then frames.
//!
//! Bytes read go in through [`Session::receive`], messages come out of [`Session::next_message`];
//! messages sent go in through [`Session::send`], bytes to write come out of [`Session::output`].
//! Both sides of a connection behave alike, so there is no client and no server here.

use thiserror::Error;

use crate::msg::{DecodeError, EncodeError, MAX_FRAME, Message};
use crate::version::{LARGEST_CLAIM, ProtocolVersion};

/// What a connection may keep of its input buffer while nothing is in it, in bytes: enough for all
/// messages but file chunks.
const QUIET_CAPACITY: usize = 16 * 1024;

/// What the peer did wrong. The connection is dead afterwards.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ProtocolError {
    /// The peer is too old, or does not speak this protocol.
    #[error(
        "the peer offers protocol version {claimed}, we need {} to {LARGEST_CLAIM}",
        ProtocolVersion::OLDEST
    )]
    Version {
        /// What the peer claims.
        claimed: u32,
    },
    /// The second word of the exchange is not what both sides must come to.
    #[error("the peer settled on protocol version {theirs}, it must be {ours}")]
    Disagreement {
        /// What we computed.
        ours: u32,
        /// What the peer sent.
        theirs: u32,
    },
    /// A frame longer than any message may be.
    #[error("a frame of {length} bytes, {MAX_FRAME} are allowed")]
    FrameTooLong {
        /// What the length word says.
        length: u32,
    },
    /// A frame that is no message.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

/// One connection without its socket.
#[derive(Debug)]
pub struct Session {
    own: ProtocolVersion,
    state: State,
    monitor: bool,
    peer_maximum: Option<u32>,
    input: Vec<u8>,
    /// How much of `input` has been consumed.
    taken: usize,
    output: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    AwaitVersion,
    AwaitAgreement(ProtocolVersion),
    Open(ProtocolVersion),
    Dead(ProtocolError),
}

impl Session {
    /// A new connection; our version is in the output already.
    pub fn new(own: ProtocolVersion) -> Session {
        Session {
            own,
            state: State::AwaitVersion,
            monitor: false,
            peer_maximum: None,
            input: Vec::new(),
            taken: 0,
            output: own.number().to_le_bytes().to_vec(),
        }
    }

    /// As [`new`](Self::new), for a monitor talking to a scheduler: accepts the numbers some
    /// schedulers use there (see [`Message::decode_for_monitor`]).
    pub fn new_monitor(own: ProtocolVersion) -> Session {
        Session {
            monitor: true,
            ..Session::new(own)
        }
    }

    /// Takes what was read from the peer. An error is final.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<(), ProtocolError> {
        if let State::Dead(error) = self.state {
            return Err(error);
        }
        if self.taken == self.input.len() {
            self.forget_input();
        } else if self.taken > self.input.len() / 2 {
            self.input.drain(..self.taken);
            self.taken = 0;
        }
        self.input.extend_from_slice(bytes);
        self.exchange_versions()
    }

    /// The next complete message, or `None` until more bytes arrive. An error is final.
    pub fn next_message(&mut self) -> Result<Option<Message>, ProtocolError> {
        let version = match self.state {
            State::Open(version) => version,
            State::Dead(error) => return Err(error),
            State::AwaitVersion | State::AwaitAgreement(_) => return Ok(None),
        };
        let rest = &self.input[self.taken..];
        let Some((word, body)) = rest.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*word);
        if length as usize > MAX_FRAME {
            return self.die(ProtocolError::FrameTooLong { length });
        }
        let Some(frame) = body.get(..length as usize) else {
            return Ok(None);
        };
        let decoded = if self.monitor {
            Message::decode_for_monitor(version, frame)
        } else {
            Message::decode(version, frame)
        };
        match decoded {
            Ok(message) => {
                self.taken += 4 + length as usize;
                if self.taken == self.input.len() {
                    self.forget_input();
                }
                Ok(Some(message))
            }
            Err(error) => self.die(error.into()),
        }
    }

    /// Appends a message to the output. Nothing is appended on an error.
    pub fn send(&mut self, message: &Message) -> Result<(), EncodeError> {
        match self.version() {
            Some(version) => message.encode(version, &mut self.output),
            None => Err(EncodeError::NotConnected {
                message: message.name(),
            }),
        }
    }

    /// Bytes to be written to the peer; whoever writes them removes them.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// The agreed version, once the exchange is over.
    pub fn version(&self) -> Option<ProtocolVersion> {
        match self.state {
            State::Open(version) => Some(version),
            _ => None,
        }
    }

    /// The version the peer claimed, which may be newer than any we know.
    pub fn peer_maximum(&self) -> Option<u32> {
        self.peer_maximum
    }

    /// Whether part of a message has arrived and the rest has not. After the end of the stream this
    /// tells a cut connection from a closed one.
    pub fn has_partial_input(&self) -> bool {
        self.taken < self.input.len()
    }

    /// Keeps no large buffer for a connection that has gone quiet.
    fn forget_input(&mut self) {
        self.taken = 0;
        self.input.clear();
        self.input.shrink_to(QUIET_CAPACITY);
    }

    fn exchange_versions(&mut self) -> Result<(), ProtocolError> {
        loop {
            match self.state {
                State::AwaitVersion => {
                    let Some(claimed) = self.take_word() else {
                        return Ok(());
                    };
                    let Some(agreed) = self.own.agree(claimed) else {
                        return self.die(ProtocolError::Version { claimed });
                    };
                    self.peer_maximum = Some(claimed);
                    self.output
                        .extend_from_slice(&agreed.number().to_le_bytes());
                    self.state = State::AwaitAgreement(agreed);
                }
                State::AwaitAgreement(agreed) => {
                    let Some(theirs) = self.take_word() else {
                        return Ok(());
                    };
                    if theirs != agreed.number() {
                        return self.die(ProtocolError::Disagreement {
                            ours: agreed.number(),
                            theirs,
                        });
                    }
                    self.state = State::Open(agreed);
                }
                State::Open(_) | State::Dead(_) => return Ok(()),
            }
        }
    }

    /// The version exchange is little-endian, unlike all that follows.
    fn take_word(&mut self) -> Option<u32> {
        let word = self.input[self.taken..].first_chunk::<4>()?;
        self.taken += 4;
        Some(u32::from_le_bytes(*word))
    }

    fn die<T>(&mut self, error: ProtocolError) -> Result<T, ProtocolError> {
        self.state = State::Dead(error);
        self.input = Vec::new();
        self.taken = 0;
        Err(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connect(a: &mut Session, b: &mut Session) {
        for _ in 0..2 {
            let from_a = std::mem::take(a.output());
            let from_b = std::mem::take(b.output());
            a.receive(&from_b).unwrap();
            b.receive(&from_a).unwrap();
        }
    }

    #[test]
    fn two_sessions_agree_and_talk() {
        let mut new = Session::new(ProtocolVersion::NEWEST);
        let mut old = Session::new(ProtocolVersion::new(32).unwrap());
        connect(&mut new, &mut old);
        assert_eq!(new.version(), ProtocolVersion::new(32));
        assert_eq!(old.version(), ProtocolVersion::new(32));
        assert_eq!(old.peer_maximum(), Some(44));
        new.send(&Message::End).unwrap();
        let bytes = std::mem::take(new.output());
        for byte in bytes {
            old.receive(&[byte]).unwrap();
        }
        assert_eq!(old.next_message(), Ok(Some(Message::End)));
        assert_eq!(old.next_message(), Ok(None));
        assert!(!old.has_partial_input());
    }

    #[test]
    fn everything_in_one_packet_is_understood() {
        let mut session = Session::new(ProtocolVersion::NEWEST);
        session
            .receive(b"\x2c\0\0\0\x2c\0\0\0\0\0\0\x04\0\0\0\x52")
            .unwrap();
        assert_eq!(session.next_message(), Ok(Some(Message::MonLogin)));
    }

    #[test]
    fn impossible_versions_end_the_connection() {
        for claimed in [0, 20, (1 << 20) + 1] {
            let mut session = Session::new(ProtocolVersion::NEWEST);
            assert_eq!(
                session.receive(&u32::to_le_bytes(claimed)),
                Err(ProtocolError::Version { claimed })
            );
            assert_eq!(session.output().len(), 4, "nothing more is sent");
            assert!(session.receive(b"x").is_err());
        }
        let mut session = Session::new(ProtocolVersion::NEWEST);
        assert_eq!(
            session.receive(b"\x1e\0\0\0\x1f\0\0\0"),
            Err(ProtocolError::Disagreement {
                ours: 30,
                theirs: 31
            })
        );
    }

    #[test]
    fn an_oversized_frame_is_refused_by_its_length_word() {
        let mut session = Session::new(ProtocolVersion::NEWEST);
        session
            .receive(b"\x2c\0\0\0\x2c\0\0\0\0\x10\0\x01")
            .unwrap();
        assert_eq!(
            session.next_message(),
            Err(ProtocolError::FrameTooLong { length: 0x100001 })
        );
    }

    #[test]
    fn nothing_can_be_sent_before_the_exchange() {
        let mut session = Session::new(ProtocolVersion::NEWEST);
        assert!(matches!(
            session.send(&Message::End),
            Err(EncodeError::NotConnected { .. })
        ));
    }
}
