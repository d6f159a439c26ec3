//! Decoders of the wire protocol: none panics on any input, none allocates more than the input
//! justifies, and what was read can be written and read again.
//!
//! Used by the fuzz targets and by the wire crate's own tests.

use std::mem::size_of;

use gelato_wire::chunk::Compressor;
use gelato_wire::control::{self, Command, Lines, MAX_LINE, MAX_PENDING_LINES};
use gelato_wire::datagram::{Datagram, Reply, better};
use gelato_wire::msg::{ChunkCodec, FileChunk, MAX_CHUNK};
use gelato_wire::{
    ByteString, EncodeError, Environment, Message, ProtocolError, ProtocolVersion, Session, lzo,
};

/// A frame without its length word, at every version.
pub fn message(data: &[u8]) {
    for version in ProtocolVersion::all() {
        for read in [
            Message::decode(version, data),
            Message::decode_for_monitor(version, data),
        ] {
            let Ok(message) = read else { continue };
            assert!(
                reserved(&message) <= 8 * data.len(),
                "{message:?} takes more than its bytes justify"
            );
            check_written(version, &message);
        }
    }
}

fn check_written(version: ProtocolVersion, message: &Message) {
    let mut written = Vec::new();
    match message.encode(version, &mut written) {
        Ok(()) => {}
        // Strings of length 0 take a byte more when they are written again.
        Err(EncodeError::TooLong { .. }) => return,
        Err(error) => panic!("{message:?} was read and cannot be written: {error}"),
    }
    let again = Message::decode(version, &written[4..]).expect("what we write can be read");
    let changes_on_the_way =
        matches!(message, Message::JobDone(done) if done.job_id_is_client_id());
    assert!(changes_on_the_way || again == *message);
    let mut twice = Vec::new();
    again.encode(version, &mut twice).expect("it fitted before");
    assert_eq!(written, twice);
}

/// Bytes reserved for the lists of a message.
fn reserved(message: &Message) -> usize {
    fn list<T>(items: &Vec<T>) -> usize {
        items.capacity() * size_of::<T>()
    }
    let environments: fn(&Vec<Environment>) -> usize = list;
    let strings: fn(&Vec<ByteString>) -> usize = list;
    match message {
        Message::GetCs(m) => environments(&m.environments),
        Message::MonGetCs(m) => environments(&m.environments),
        Message::Login(m) => environments(&m.environments),
        Message::GetNativeEnv(m) => strings(&m.extra_files),
        Message::CompileFile(m) => {
            strings(&m.args) + strings(&m.remote_args) + strings(&m.rest_args)
        }
        Message::FileChunk(m) => m.data.capacity(),
        _ => 0,
    }
}

/// All a peer sends on one connection: whole and in pieces it must come to the same.
pub fn session(data: &[u8]) {
    for own in [ProtocolVersion::NEWEST, ProtocolVersion::OLDEST] {
        let whole = drain(Session::new(own), [data].into_iter());
        let in_pieces = drain(Session::new(own), pieces(data));
        assert_eq!(whole, in_pieces);
        let monitor = drain(Session::new_monitor(own), [data].into_iter());
        let monitor_in_pieces = drain(Session::new_monitor(own), pieces(data));
        assert_eq!(monitor, monitor_in_pieces);
    }
}

fn drain<'a>(
    mut session: Session,
    parts: impl Iterator<Item = &'a [u8]>,
) -> (Vec<Message>, Option<ProtocolError>) {
    let mut messages = Vec::new();
    let feed = |session: &mut Session| -> Result<(), ProtocolError> {
        for part in parts {
            session.receive(part)?;
            while let Some(message) = session.next_message()? {
                messages.push(message);
            }
        }
        Ok(())
    };
    let error = feed(&mut session).err();
    if let Some(error) = error {
        assert_eq!(session.receive(b"more"), Err(error), "an error is final");
        assert_eq!(session.next_message(), Err(error), "an error is final");
        assert!(session.send(&Message::End).is_err());
    }
    (messages, error)
}

/// Cuts the input at places that depend on the input.
fn pieces(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = data;
    let mut seed = data.len() as u32;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223) ^ u32::from(rest[0]);
        let size = 1 + (seed >> 16) as usize % 37;
        let (part, left) = rest.split_at(size.min(rest.len()));
        rest = left;
        Some(part)
    })
}

/// One byte of codec, three of length, then compressed data. The whole input is compressed too.
pub fn chunk(data: &[u8]) {
    if let [codec, a, b, c, packed @ ..] = data {
        let chunk = FileChunk {
            uncompressed_len: u32::from_be_bytes([0, *a, *b, *c]),
            codec: if codec % 2 == 0 {
                ChunkCodec::Lzo
            } else {
                ChunkCodec::Zstd
            },
            data: packed.to_vec(),
        };
        if let Ok(unpacked) = chunk.decompress() {
            assert_eq!(unpacked.len(), chunk.uncompressed_len as usize);
            assert!(unpacked.len() <= MAX_CHUNK);
        }
    }
    let data = &data[..data.len().min(MAX_CHUNK)];
    assert!(lzo::compress(data).len() <= lzo::bound(data.len()));
    for version in [ProtocolVersion::OLDEST, ProtocolVersion::NEWEST] {
        let mut compressor = Compressor::new(version, 1).expect("level 1 exists");
        let chunk = compressor
            .compress(data)
            .expect("anything can be compressed");
        assert_eq!(chunk.decompress().as_deref(), Ok(data));
    }
}

/// A datagram, as a scheduler and as an asker of every version would read it.
pub fn datagram(data: &[u8]) {
    match Datagram::decode(data) {
        Ok(Datagram::Request { asker }) => assert!((21..=127).contains(&asker)),
        Ok(Datagram::Announcement(heard)) => {
            assert!(!heard.yields_to(&heard));
            let again = Datagram::decode(&heard.encode());
            assert_eq!(again, Ok(Datagram::Announcement(heard)));
        }
        Ok(Datagram::OldAnnouncement(heard)) => {
            let written = heard.encode_old();
            assert_eq!(written.len(), 13 + usize::from(written[12]));
            assert!(matches!(
                Datagram::decode(&written),
                Ok(Datagram::OldAnnouncement(_))
            ));
        }
        Err(_) => {}
    }
    for own in ProtocolVersion::all() {
        let Ok(reply) = Reply::decode(own, data) else {
            continue;
        };
        assert!(!better(&reply, &reply) && reply.serves(&reply.netname));
        // Replies of older schedulers come in older layouts than we would write.
        let rewritten = Reply::decode(own, &reply.encode(own.number())).expect("ours can be read");
        assert!(own.number() < 33 || rewritten.start_time == reply.start_time);
    }
}

/// What somebody types at the control port, in readings of up to 37 bytes.
pub fn control(data: &[u8]) {
    let mut lines = Lines::new();
    for reading in pieces(data) {
        if lines.receive(reading).is_err() {
            break;
        }
        let mut taken = 0;
        while let Some(line) = lines.next_line() {
            taken += 1;
            assert!(line.len() <= MAX_LINE && line.bytes().all(|b| (b' '..=127).contains(&b)));
            let mut answer = Vec::new();
            match Command::parse(&line) {
                Command::RemoveCs(hosts) | Command::BlockCs(hosts) => {
                    for host in &hosts {
                        assert!(!host.is_empty() && !host.contains(' '));
                        answer.clear();
                        control::removing(&mut answer, host);
                    }
                }
                Command::Other { line, .. } => control::invalid(&mut answer, &line),
                _ => {}
            }
            assert!(answer.iter().filter(|&&b| b == b'\n').count() <= 1);
        }
        assert!(taken <= MAX_PENDING_LINES);
    }
}
