//! Recorded traffic of Icecream's programs, decoded, compared field by field with what an independent
//! decoder found, and encoded again to the same bytes. See `README.md` beside this file.

mod archive;
mod datagrams;
mod fields;
mod refusals;

use std::collections::BTreeSet;

use archive::{Archive, Recording};
use gelato_wire::chunk::ChunkError;
use gelato_wire::control::{Command, GOOD_BYE, HELP, Lines};
use gelato_wire::msg::ChunkCodec;
use gelato_wire::{Message, ProtocolError, ProtocolVersion, Session};
use refusals::{Outcome, REFUSALS};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// What came out of one side's bytes.
struct Heard {
    messages: Vec<Message>,
    error: Option<ProtocolError>,
    partial: bool,
    version: Option<ProtocolVersion>,
    answer: Vec<u8>,
}

fn listen(own: ProtocolVersion, monitor: bool, bytes: &[u8], piece: usize) -> Heard {
    let mut session = if monitor {
        Session::new_monitor(own)
    } else {
        Session::new(own)
    };
    let mut messages = Vec::new();
    let mut error = None;
    'feeding: for part in bytes.chunks(piece) {
        if let Err(refused) = session.receive(part) {
            error = Some(refused);
            break;
        }
        loop {
            match session.next_message() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(refused) => {
                    error = Some(refused);
                    break 'feeding;
                }
            }
        }
    }
    Heard {
        messages,
        error,
        partial: session.has_partial_input(),
        version: session.version(),
        answer: std::mem::take(session.output()),
    }
}

/// As [`listen`], in pieces of several sizes, which must not matter.
fn listen_in_pieces(own: ProtocolVersion, monitor: bool, bytes: &[u8]) -> Heard {
    let whole = listen(own, monitor, bytes, bytes.len().max(1));
    for piece in [1, 3, 7, 61, 4099] {
        let pieces = listen(own, monitor, bytes, piece);
        assert_eq!(pieces.messages, whole.messages, "in pieces of {piece}");
        assert_eq!(pieces.error, whole.error, "in pieces of {piece}");
        assert_eq!(pieces.partial, whole.partial, "in pieces of {piece}");
    }
    whole
}

fn own_version(bytes: &[u8]) -> ProtocolVersion {
    let claimed = bytes
        .first_chunk::<4>()
        .map_or(0, |word| u32::from_le_bytes(*word));
    ProtocolVersion::NEWEST
        .agree(claimed)
        .unwrap_or(ProtocolVersion::NEWEST)
}

#[test]
fn every_recorded_message_is_read_and_written_as_recorded() {
    let archive = Archive::load();
    let (mut connections, mut messages) = (0, 0);
    for recording in archive.recordings() {
        connections += 1;
        if refusal(&recording).is_some() {
            continue;
        }
        println!("{}", recording.name);
        let monitor = recording.notes["from_connector"][0]["msg"] == "MON_LOGIN";
        messages += check_side(&recording, true, false);
        messages += check_side(&recording, false, monitor);
    }
    assert_eq!(connections, 255);
    assert_eq!(messages, 2016);
}

/// Returns how many messages there were, the incomplete one included.
fn check_side(recording: &Recording<'_>, connector: bool, monitor: bool) -> usize {
    let (sent, received, side) = if connector {
        (
            recording.from_connector,
            recording.from_acceptor,
            "from_connector",
        )
    } else {
        (
            recording.from_acceptor,
            recording.from_connector,
            "from_acceptor",
        )
    };
    let heard = listen_in_pieces(own_version(received), monitor, sent);
    assert_eq!(heard.error, None);
    // The listener is the other side, so what it answers in the exchange is on record too.
    if received.len() >= heard.answer.len()
        && received.first() <= Some(&44)
        && received[1..4] == [0; 3]
    {
        assert_eq!(heard.answer, received[..heard.answer.len()]);
    }
    let none = Vec::new();
    let expected = recording.notes[side].as_array().unwrap_or(&none);
    let (complete, incomplete): (Vec<_>, Vec<_>) = expected
        .iter()
        .partition(|notes| notes["msg"] != "(incomplete)");
    assert_eq!(heard.messages.len(), complete.len());
    assert_eq!(
        heard.partial && heard.version.is_some(),
        !incomplete.is_empty()
    );
    for (message, notes) in heard.messages.iter().zip(complete) {
        let version = heard.version.expect("messages come after the exchange");
        assert_eq!(version.number(), recording.notes["protocol"]);
        check_fields(message, notes);
        check_bytes(message, notes, version, sent);
    }
    expected.len()
}

fn check_fields(message: &Message, notes: &Value) {
    assert_eq!(message.name(), notes["msg"]);
    let found = fields::fields(message);
    for (field, value) in &found {
        match notes.get(field) {
            Some(expected) => assert_eq!(value, expected, "{}.{field}", message.name()),
            None => assert!(fields::is_default(value), "{}.{field}", message.name()),
        }
    }
    for noted in notes.as_object().unwrap().keys() {
        let known = ["at", "type", "msg", "payload_sha256", "payload_hex"]
            .contains(&noted.as_str())
            || found.iter().any(|(field, _)| field == noted);
        assert!(known, "{}.{noted} was not read", message.name());
    }
    if let Message::FileChunk(chunk) = message {
        let data = chunk.decompress().unwrap();
        assert_eq!(hex(&Sha256::digest(&data)), notes["payload_sha256"]);
        match notes.get("payload_hex") {
            Some(expected) => assert_eq!(hex(&data), *expected),
            None => assert!(data.len() > 48),
        }
    }
}

fn check_bytes(message: &Message, notes: &Value, version: ProtocolVersion, sent: &[u8]) {
    let mut written = Vec::new();
    message.encode(version, &mut written).unwrap();
    let at = usize::try_from(notes["at"].as_u64().unwrap()).unwrap();
    let mut on_the_wire = sent[at..at + written.len()].to_vec();
    let number = u32::from_be_bytes(on_the_wire[4..8].try_into().unwrap());
    assert_eq!(number, notes["type"]);
    if number != message.type_number() {
        // The development version's numbers towards monitors, which we understand and do not write.
        assert!(matches!(
            (number, message.type_number()),
            (71, 83) | (77, 85)
        ));
        on_the_wire[4..8].copy_from_slice(&message.type_number().to_be_bytes());
    }
    assert_eq!(written, on_the_wire, "{}", message.name());
}

fn refusal<'a>(recording: &Recording<'_>) -> Option<&'a (&'static str, Outcome, Outcome)> {
    let probe = recording.name.strip_prefix("probes-44/")?;
    REFUSALS
        .iter()
        .find(|(number, ..)| probe.starts_with(number))
}

#[test]
fn wrong_bytes_are_refused_for_the_right_reason() {
    let archive = Archive::load();
    let mut seen = BTreeSet::new();
    for recording in archive.recordings() {
        let listed = refusal(&recording);
        if recording.notes["decode_error"] == true {
            assert!(listed.is_some(), "{} is not listed", recording.name);
        }
        let Some((number, connector, acceptor)) = listed else {
            continue;
        };
        seen.insert(number);
        for (sent, received, outcome) in [
            (recording.from_connector, recording.from_acceptor, connector),
            (recording.from_acceptor, recording.from_connector, acceptor),
        ] {
            let heard = listen_in_pieces(own_version(received), false, sent);
            let names: Vec<_> = heard.messages.iter().map(Message::name).collect();
            assert_eq!(names, outcome.messages, "{}", recording.name);
            assert_eq!(heard.error, outcome.error, "{}", recording.name);
        }
    }
    assert_eq!(seen.len(), REFUSALS.len());
}

#[test]
fn a_chunk_that_does_not_decompress_is_an_error() {
    let archive = Archive::load();
    let sent = archive.file("probes-44/50-peer-nodeb.c2s.bin");
    let heard = listen(ProtocolVersion::NEWEST, false, sent, sent.len());
    let outcomes: Vec<_> = heard
        .messages
        .iter()
        .filter_map(|message| match message {
            Message::FileChunk(chunk) => Some(chunk.decompress()),
            _ => None,
        })
        .collect();
    assert_eq!(
        outcomes,
        [
            Ok(b"int x;".to_vec()),
            Err(ChunkError::Damaged {
                codec: ChunkCodec::Zstd
            }),
            Ok(b"int y;".to_vec()),
        ]
    );
}

#[test]
fn old_strings_are_read_as_icecream_reads_them() {
    let archive = Archive::load();
    for (name, nodename) in [("25", ""), ("26", "ab")] {
        let sent = archive.file(&format!("probes-44/{name}-peer-scheduler.c2s.bin"));
        let heard = listen(ProtocolVersion::NEWEST, false, sent, sent.len());
        let Some(Message::Login(login)) = heard.messages.first() else {
            panic!("a LOGIN was sent");
        };
        assert_eq!(login.nodename, nodename);
    }
}

#[test]
fn both_codecs_and_every_version_are_on_record() {
    let archive = Archive::load();
    let mut versions = BTreeSet::new();
    let (mut lzo, mut zstd, mut elided) = (0, 0, 0);
    for recording in archive.recordings() {
        versions.extend(recording.notes["protocol"].as_u64());
        elided += usize::from(recording.notes.get("elided_env_chunks").is_some());
        for sent in [recording.from_connector, recording.from_acceptor] {
            let heard = listen(ProtocolVersion::NEWEST, true, sent, sent.len().max(1));
            for message in &heard.messages {
                match message {
                    Message::FileChunk(chunk) if chunk.codec == ChunkCodec::Lzo => lzo += 1,
                    Message::FileChunk(_) => zstd += 1,
                    _ => {}
                }
            }
        }
    }
    assert!(versions.into_iter().eq(21..=44));
    assert!(lzo > 50 && zstd > 50, "{lzo} LZO, {zstd} zstd");
    assert_eq!(elided, 2);
}

#[test]
fn a_control_session_is_understood() {
    let archive = Archive::load();
    let mut lines = Lines::new();
    let mut commands = Vec::new();
    for typed in archive
        .file("v44-stub/control-session.c2s.txt")
        .split_inclusive(|&b| b == b'\n')
    {
        lines.receive(typed).unwrap();
        commands.extend(std::iter::from_fn(|| lines.next_line()).map(|line| Command::parse(&line)));
    }
    let other = |line: &str| matches!(Command::parse(line), Command::Other { .. });
    assert!(other("foo bar") && other(""));
    assert_eq!(
        commands,
        [
            Command::ListCs,
            Command::ListJobs,
            Command::Help,
            Command::Internals(vec!["nodeb".into()]),
            Command::parse("foo bar"),
            Command::parse(""),
            Command::Quit,
        ]
    );
    let answers = String::from_utf8_lossy(archive.file("v44-stub/control-session.s2c.txt"));
    assert!(answers.contains(HELP));
    assert!(answers.ends_with(GOOD_BYE));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
