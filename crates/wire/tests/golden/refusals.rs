//! The recordings whose bytes are wrong on purpose, and what must become of each.

use gelato_wire::prim::FieldError;
use gelato_wire::{DecodeError, ProtocolError};

/// What one side's bytes come to: the messages before the end, and the error that is the end.
pub(crate) struct Outcome {
    pub(crate) messages: &'static [&'static str],
    pub(crate) error: Option<ProtocolError>,
}

const fn clean(messages: &'static [&'static str]) -> Outcome {
    Outcome {
        messages,
        error: None,
    }
}

const fn refused(messages: &'static [&'static str], error: ProtocolError) -> Outcome {
    Outcome {
        messages,
        error: Some(error),
    }
}

const fn unknown_type(messages: &'static [&'static str], number: u32) -> Outcome {
    refused(
        messages,
        ProtocolError::Decode(DecodeError::UnknownType { number }),
    )
}

const fn version(claimed: u32) -> Outcome {
    refused(&[], ProtocolError::Version { claimed })
}

/// Number of the recording in `probes-44`, what its connecting side sent, what the accepting side sent.
pub(crate) const REFUSALS: &[(&str, Outcome, Outcome)] = &[
    ("03", version(0), clean(&[])),
    ("04", version(20), clean(&[])),
    ("09", version(0x10_0001), clean(&[])),
    ("10", version(0x7fff_ffff), clean(&[])),
    ("11", version(0xffff_ffff), clean(&[])),
    (
        "12",
        refused(
            &[],
            ProtocolError::Disagreement {
                ours: 30,
                theirs: 31,
            },
        ),
        clean(&[]),
    ),
    (
        "14",
        refused(&[], ProtocolError::FrameTooLong { length: 0x10_0001 }),
        clean(&[]),
    ),
    ("16", unknown_type(&[], 200), clean(&[])),
    ("17", unknown_type(&[], 68), clean(&[])),
    (
        "18",
        refused(
            &[],
            ProtocolError::Decode(DecodeError::TrailingBytes {
                message: "LOGIN",
                left: 3,
            }),
        ),
        clean(&[]),
    ),
    // Icecream takes a missing last number for 0 if nothing follows at that moment; nobody sends it.
    (
        "19",
        refused(
            &[],
            ProtocolError::Decode(DecodeError::Field {
                message: "LOGIN",
                field: "supported_features",
                error: FieldError::Short { missing: 4 },
            }),
        ),
        clean(&["CS_CONF"]),
    ),
    // A text message, which is answered with text that is no frame.
    (
        "21",
        unknown_type(&["LOGIN", "PING"], 89),
        unknown_type(&["CS_CONF"], u32::from_be_bytes(*b"Inva")),
    ),
    // Strings of length 0, and with a NUL inside: read by everybody, though never written.
    (
        "25",
        clean(&["LOGIN", "GET_CS", "GET_CS", "JOB_BEGIN"]),
        clean(&["CS_CONF", "NO_CS", "NO_CS"]),
    ),
    ("26", clean(&["LOGIN", "JOB_DONE"]), clean(&["CS_CONF"])),
    ("27", version(20), clean(&[])),
    ("30", version(0x10_0001), clean(&[])),
    ("31", unknown_type(&[], 200), clean(&[])),
    // The second of the three chunks does not decompress.
    (
        "50",
        clean(&[
            "COMPILE_FILE",
            "FILE_CHUNK",
            "FILE_CHUNK",
            "FILE_CHUNK",
            "END",
        ]),
        clean(&["COMPILE_RESULT", "FILE_CHUNK", "END"]),
    ),
];
