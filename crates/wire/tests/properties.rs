//! What must hold for every message at every version, whatever is in its fields.

#[path = "golden/fields.rs"]
mod fields;

use std::ops::RangeInclusive;

use fields::{fields, is_default};
use gelato_wire::msg::*;
use gelato_wire::{ByteString, DecodeError, Environment, Message, ProtocolVersion, Session};
use proptest::prelude::*;

/// Turns random bytes into values; all zeros once they are used up.
struct Entropy<'a>(&'a [u8]);

impl Entropy<'_> {
    fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((&byte, rest)) => {
                self.0 = rest;
                byte
            }
            None => 0,
        }
    }
}

trait Draw {
    fn draw(from: &mut Entropy<'_>) -> Self;
}

impl Draw for u32 {
    fn draw(from: &mut Entropy<'_>) -> Self {
        match from.byte() {
            0 => 0,
            1 => u32::MAX,
            2 => 1 << 31,
            _ => u32::from_be_bytes([from.byte(), from.byte(), from.byte(), from.byte()]),
        }
    }
}

impl Draw for i32 {
    fn draw(from: &mut Entropy<'_>) -> Self {
        u32::draw(from).cast_signed()
    }
}

impl Draw for bool {
    fn draw(from: &mut Entropy<'_>) -> Self {
        from.byte() % 2 == 1
    }
}

impl Draw for ByteString {
    fn draw(from: &mut Entropy<'_>) -> Self {
        let length = from.byte() % 12;
        let bytes: Vec<u8> = (0..length).map(|_| from.byte().max(1)).collect();
        ByteString::from_bytes(bytes)
    }
}

impl Draw for Environment {
    fn draw(from: &mut Entropy<'_>) -> Self {
        Environment {
            platform: Draw::draw(from),
            name: Draw::draw(from),
        }
    }
}

impl<T: Draw> Draw for Vec<T> {
    fn draw(from: &mut Entropy<'_>) -> Self {
        let count = from.byte() % 4;
        (0..count).map(|_| T::draw(from)).collect()
    }
}

macro_rules! draw {
    ($from:ident, $name:ident: $($field:ident)*) => { $name { $($field: Draw::draw($from)),* } };
}

fn job_done(from: &mut Entropy<'_>) -> JobDone {
    draw!(from, JobDone: job_id exitcode real_msec user_msec sys_msec page_faults in_compressed in_uncompressed
        out_compressed out_uncompressed flags client_count)
}

/// One of each message.
fn draw_all(from: &mut Entropy<'_>) -> Vec<Message> {
    vec![
        Message::Ping,
        Message::End,
        Message::MonLogin,
        Message::GetInternals,
        Message::GetNativeEnv(draw!(from, GetNativeEnv: compiler extra_files compression)),
        Message::NativeEnv(draw!(from, NativeEnv: path)),
        Message::GetCs(
            draw!(from, GetCs: environments filename language count target arg_flags client_id
            preferred_host ignore_unverified minimal_host_version client_count required_features niceness),
        ),
        Message::UseCs(
            draw!(from, UseCs: job_id port hostname host_platform got_env client_id matched_job_id),
        ),
        Message::CompileFile(
            draw!(from, CompileFile: language job_id args remote_args rest_args environment target
            compiler_name input_file working_directory output_file dwarf_fission),
        ),
        Message::FileChunk(FileChunk {
            uncompressed_len: u32::draw(from) % (MAX_CHUNK as u32 + 1),
            codec: ChunkCodec::Lzo,
            data: vec![from.byte(); 1 + usize::from(from.byte())],
        }),
        Message::CompileResult(
            draw!(from, CompileResult: stderr stdout status out_of_memory have_dwo),
        ),
        Message::JobBegin(draw!(from, JobBegin: job_id start_time client_count)),
        Message::JobDone(job_done(from)),
        Message::MonJobDone(job_done(from)),
        Message::JobLocalBegin(draw!(from, JobLocalBegin: start_time outfile id full_job)),
        Message::JobLocalDone(draw!(from, JobLocalDone: job_id)),
        Message::Login(
            draw!(from, Login: port max_kids environments nodename host_platform chroot_possible
            noremote supported_features),
        ),
        Message::Stats(draw!(from, Stats: load load_avg_1 load_avg_5 load_avg_10 free_mem)),
        Message::MonGetCs(
            draw!(from, MonGetCs: environments filename language count target arg_flags client_id
            preferred_host job_id host_id),
        ),
        Message::MonJobBegin(draw!(from, MonJobBegin: job_id start_time host_id)),
        Message::MonLocalJobBegin(draw!(from, MonLocalJobBegin: host_id job_id start_time file)),
        Message::MonStats(draw!(from, MonStats: host_id statmsg)),
        Message::TransferEnv(draw!(from, TransferEnv: name target)),
        Message::StatusText(draw!(from, StatusText: text)),
        Message::CsConf(draw!(from, CsConf: max_scheduler_pong max_scheduler_ping bench_source)),
        Message::VerifyEnv(draw!(from, VerifyEnv: environment target)),
        Message::VerifyEnvResult(draw!(from, VerifyEnvResult: ok)),
        Message::BlacklistHostEnv(draw!(from, BlacklistHostEnv: environment target hostname)),
        Message::NoCs(draw!(from, NoCs: job_id client_id)),
        Message::Ask(draw!(from, Ask: request)),
        Message::Answer(draw!(from, Answer: text)),
        Message::NodeNote(draw!(from, NodeNote: text)),
        Message::JobRecords(draw!(from, JobRecords: text)),
        Message::MonNews(draw!(from, MonNews: text)),
    ]
}

/// Where a field or a whole message (no field) exists; all else exists everywhere. Kept apart from
/// the code on purpose.
const EXISTS: &[(&str, &str, RangeInclusive<u32>)] = &[
    ("GET_NATIVE_ENV", "compiler", 32..=44),
    ("GET_NATIVE_ENV", "extra_files", 32..=44),
    ("GET_NATIVE_ENV", "compression", 42..=44),
    ("GET_CS", "preferred_host", 22..=44),
    ("GET_CS", "ignore_unverified", 31..=44),
    ("GET_CS", "minimal_host_version", 34..=44),
    ("GET_CS", "client_count", 39..=44),
    ("GET_CS", "required_features", 42..=44),
    ("GET_CS", "niceness", 43..=44),
    ("USE_CS", "matched_job_id", 28..=44),
    ("COMPILE_FILE", "args", 41..=44),
    ("COMPILE_FILE", "remote_args", 21..=40),
    ("COMPILE_FILE", "rest_args", 21..=40),
    ("COMPILE_FILE", "compiler_name", 30..=44),
    ("COMPILE_FILE", "input_file", 34..=44),
    ("COMPILE_FILE", "working_directory", 34..=44),
    ("COMPILE_FILE", "output_file", 35..=44),
    ("COMPILE_FILE", "dwarf_fission", 35..=44),
    ("COMPILE_RESULT", "have_dwo", 35..=44),
    ("JOB_BEGIN", "client_count", 39..=44),
    ("JOB_DONE", "client_count", 39..=44),
    ("MON_JOB_DONE", "client_count", 39..=44),
    ("JOB_LOCAL_BEGIN", "full_job", 44..=44),
    ("LOGIN", "noremote", 26..=44),
    ("LOGIN", "supported_features", 42..=44),
    ("MON_GET_CS", "environments", 21..=28),
    ("MON_GET_CS", "count", 21..=28),
    ("MON_GET_CS", "target", 21..=28),
    ("MON_GET_CS", "arg_flags", 21..=28),
    ("MON_GET_CS", "client_id", 21..=28),
    ("MON_GET_CS", "preferred_host", 22..=28),
    ("CS_CONF", "", 24..=44),
    ("VERIFY_ENV", "", 31..=44),
    ("VERIFY_ENV_RESULT", "", 31..=44),
    ("BLACKLIST_HOST_ENV", "", 31..=44),
    ("NO_CS", "", 37..=44),
    ("ASK", "", 44..=44),
    ("ANSWER", "", 44..=44),
    ("NODE_NOTE", "", 44..=44),
    ("JOB_RECORDS", "", 44..=44),
    ("MON_NEWS", "", 44..=44),
];

fn exists(message: &str, field: &str, version: ProtocolVersion) -> bool {
    EXISTS
        .iter()
        .filter(|row| row.0 == message && row.1 == field)
        .all(|row| row.2.contains(&version.number()))
}

fn encoded(message: &Message, version: ProtocolVersion) -> Vec<u8> {
    let mut out = Vec::new();
    message.encode(version, &mut out).unwrap();
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_message_round_trips_at_every_version(entropy in prop::collection::vec(any::<u8>(), 0..900)) {
        for message in draw_all(&mut Entropy(&entropy)) {
            for version in ProtocolVersion::all() {
                check_round_trip(&message, version);
            }
        }
    }

    #[test]
    fn any_split_gives_the_same_messages(
        entropy in prop::collection::vec(any::<u8>(), 0..900),
        version in 21..=44u32,
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
    ) {
        let version = ProtocolVersion::new(version).unwrap();
        let mut sender = Session::new(version);
        sender.receive(&ProtocolVersion::NEWEST.number().to_le_bytes()).unwrap();
        sender.receive(&version.number().to_le_bytes()).unwrap();
        let sent: Vec<_> = draw_all(&mut Entropy(&entropy))
            .into_iter()
            .filter(|message| exists(message.name(), "", version))
            .collect();
        for message in &sent {
            sender.send(message).unwrap();
        }
        let stream = std::mem::take(sender.output());
        let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len())).collect();
        places.push(stream.len());
        places.sort_unstable();
        let mut receiver = Session::new(ProtocolVersion::NEWEST);
        let mut received = Vec::new();
        let mut from = 0;
        for to in places {
            receiver.receive(&stream[from..to]).unwrap();
            from = to;
            while let Some(message) = receiver.next_message().unwrap() {
                received.push(message);
            }
        }
        prop_assert!(!receiver.has_partial_input());
        prop_assert_eq!(receiver.version(), Some(version));
        prop_assert_eq!(received.len(), sent.len());
        for (received, sent) in received.iter().zip(&sent) {
            prop_assert_eq!(encoded(received, version), encoded(sent, version));
        }
    }
}

fn check_round_trip(message: &Message, version: ProtocolVersion) {
    let name = message.name();
    let mut frame = Vec::new();
    if !exists(name, "", version) {
        assert!(message.encode(version, &mut frame).is_err(), "{name}");
        assert!(frame.is_empty());
        let bare = message.type_number().to_be_bytes();
        assert!(matches!(
            Message::decode(version, &bare),
            Err(DecodeError::WrongVersion { .. })
        ));
        return;
    }
    message.encode(version, &mut frame).unwrap();
    assert_eq!(frame[..4], (frame.len() as u32 - 4).to_be_bytes());
    assert_eq!(frame[4..8], message.type_number().to_be_bytes());
    let read = Message::decode(version, &frame[4..]).unwrap();
    for ((field, sent), (_, got)) in fields(message).into_iter().zip(fields(&read)) {
        if !exists(name, field, version) {
            assert!(is_default(&got), "{name}.{field} at {version}");
        } else if field == "exitcode" && got != sent {
            // Told in the exit code before there was a flag for it.
            assert!(name == "JOB_DONE" && version.number() < 39 && got == 200);
        } else {
            assert_eq!(got, sent, "{name}.{field} at {version}");
        }
    }
    // Neither a byte less nor a byte more is the same message.
    assert!(Message::decode(version, &frame[4..frame.len() - 1]).is_err());
    frame.push(0);
    assert!(Message::decode(version, &frame[4..]).is_err());
}

#[test]
fn counts_and_lengths_near_the_largest_number_are_refused_at_once() {
    for message in draw_all(&mut Entropy(&[3; 900])) {
        for version in ProtocolVersion::all() {
            if !exists(message.name(), "", version) {
                continue;
            }
            let frame = encoded(&message, version);
            // Wherever a length or count stands, a huge one must not be believed.
            for at in 8..frame.len().saturating_sub(3) {
                for huge in [
                    u32::MAX,
                    u32::MAX - 1,
                    0x8000_0000,
                    0x7fff_ffff,
                    0x0010_0001,
                ] {
                    let mut wrong = frame.clone();
                    wrong[at..at + 4].copy_from_slice(&huge.to_be_bytes());
                    drop(Message::decode(version, &wrong[4..]));
                }
            }
        }
    }
    let mut login = 80u32.to_be_bytes().to_vec();
    login.extend([0; 8]);
    login.extend(u32::MAX.to_be_bytes());
    login.extend([0; 4]);
    assert!(matches!(
        Message::decode(ProtocolVersion::NEWEST, &login),
        Err(DecodeError::Field {
            message: "LOGIN",
            field: "environments",
            ..
        })
    ));
}

#[test]
fn the_largest_frame_passes_and_the_next_larger_one_does_not() {
    let text = |length: usize| {
        Message::StatusText(StatusText {
            text: "x".repeat(length).into(),
        })
    };
    let version = ProtocolVersion::NEWEST;
    // Type, length of the string, final NUL.
    let longest = MAX_FRAME - 4 - 4 - 1;
    let frame = encoded(&text(longest), version);
    assert_eq!(frame.len(), 4 + MAX_FRAME);
    let mut session = Session::new(version);
    session.receive(b"\x2c\0\0\0\x2c\0\0\0").unwrap();
    session.receive(&frame).unwrap();
    assert_eq!(session.next_message(), Ok(Some(text(longest))));
    assert!(text(longest + 1).encode(version, &mut Vec::new()).is_err());
}
