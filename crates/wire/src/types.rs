//! Values inside messages: languages, flag bits, features, exit codes, shortened file names.

use crate::prim::ByteString;

/// The language of a translation unit, as `GET_CS` and `COMPILE_FILE` carry it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Language {
    /// C.
    C,
    /// C++.
    Cxx,
    /// Objective-C.
    ObjectiveC,
    /// Objective-C++.
    ObjectiveCxx,
    /// Anything else; never compiled remotely.
    Custom,
}

impl Language {
    /// The number on the wire.
    pub fn number(self) -> u32 {
        match self {
            Language::C => 0,
            Language::Cxx => 1,
            Language::ObjectiveC => 2,
            Language::ObjectiveCxx => 3,
            Language::Custom => 4,
        }
    }

    /// The language of a number on the wire; `None` if no such language exists.
    pub fn from_number(number: u32) -> Option<Language> {
        Some(match number {
            0 => Language::C,
            1 => Language::Cxx,
            2 => Language::ObjectiveC,
            3 => Language::ObjectiveCxx,
            4 => Language::Custom,
            _ => return None,
        })
    }

    /// What follows `-x` on the compiler's command line; `None` for [`Language::Custom`].
    pub fn dash_x(self) -> Option<&'static str> {
        Some(match self {
            Language::C => "c",
            Language::Cxx => "c++",
            Language::ObjectiveC => "objective-c",
            Language::ObjectiveCxx => "objective-c++",
            Language::Custom => return None,
        })
    }
}

/// Bits of `GET_CS.arg_flags`; only the scheduler's speed estimate uses them.
pub mod arg_flags {
    /// `-g`.
    pub const DEBUG: u32 = 1;
    /// `-g3`.
    pub const DEBUG3: u32 = 2;
    /// `-O` or `-O1`.
    pub const OPTIMISE1: u32 = 4;
    /// `-O2`.
    pub const OPTIMISE2: u32 = 8;
    /// Any other level but `-O0`.
    pub const OPTIMISE_OTHER: u32 = 16;
}

/// Bits of `LOGIN.supported_features` and `GET_CS.required_features`.
pub mod features {
    /// Can unpack `.tar.xz` toolchains.
    pub const ENV_XZ: u32 = 1;
    /// Can unpack `.tar.zst` toolchains.
    pub const ENV_ZSTD: u32 = 2;

    /// The features by name, as Icecream's programs show them; `--` if there are none.
    pub fn names(bits: u32) -> String {
        let names: Vec<&str> = [(ENV_XZ, "env_xz"), (ENV_ZSTD, "env_zstd")]
            .into_iter()
            .filter(|(bit, _)| bits & bit != 0)
            .map(|(_, name)| name)
            .collect();
        if names.is_empty() {
            "--".to_owned()
        } else {
            names.join(" ")
        }
    }
}

/// Bits of `JOB_DONE.flags`.
pub mod job_done_flags {
    /// Sent by the submitter's daemon; else by the worker's.
    pub const FROM_SUBMITTER: u32 = 1;
    /// `job_id` is a client id: the submitter never learned the job id.
    pub const UNKNOWN_JOB_ID: u32 = 2;
}

/// Codes in `COMPILE_RESULT.status` and `JOB_DONE.exitcode` that are not the compiler's.
pub mod exit_codes {
    /// The worker could not do the job for a reason of its own.
    pub const GENERAL_FAILURE: i32 = 100;
    /// The compiler stopped reading the source.
    pub const INPUT_REFUSED: i32 = 104;
    /// Memory or disk ran out, the source did not arrive, or a signal ended the compiler.
    pub const OUT_OF_MEMORY: i32 = 105;
    /// The answer of the scheduler came for a client that is gone.
    pub const CLIENT_GONE: i32 = 107;
    /// The toolchain or its compiler is missing.
    pub const TOOLCHAIN_MISSING: i32 = 110;
    /// All clients were dropped.
    pub const DROPPED: i32 = 116;
    /// The compile process could not be started.
    pub const NOT_STARTED: i32 = 117;
    /// The client went away.
    pub const CLIENT_VANISHED: i32 = 118;
    /// `END` while the client held a local slot.
    pub const ENDED_EARLY: i32 = 119;
    /// The client sent a message that has no place there.
    pub const PROTOCOL_ERROR: i32 = 120;
    /// Below version 39: `job_id` is a client id.
    pub const UNKNOWN_JOB_ID: i32 = 200;
    /// To monitors: a daemon involved in the job disconnected.
    pub const DAEMON_LOST: i32 = 255;
}

/// The file name every sender puts into `GET_CS`, `MON_GET_CS` and `MON_LOCAL_JOB_BEGIN`: all up to
/// and including the third slash from the right is dropped.
///
/// A name with exactly two slashes, one of them leading, keeps only its last component; Icecream has
/// always sent it so, and monitors show what is sent.
pub fn shorten(path: &ByteString) -> ByteString {
    let bytes = path.as_bytes();
    let mut slashes = bytes
        .iter()
        .enumerate()
        .rev()
        .filter(|&(_, &b)| b == b'/')
        .map(|(at, _)| at);
    let (last, second, third) = (slashes.next(), slashes.next(), slashes.next());
    let from = match (last, second, third) {
        (_, _, Some(third)) => third + 1,
        (Some(last), Some(0), None) => last + 1,
        (Some(0), None, None) => 1,
        _ => 0,
    };
    ByteString::from_bytes(&bytes[from..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_three_components() {
        for (long, short) in [
            ("/a/b/c/d/x.cpp", "c/d/x.cpp"),
            ("/-O2/-c/home/u/x.c", "home/u/x.c"),
            ("/dev/null", "null"),
            ("/a", "a"),
            ("a/b", "a/b"),
            ("a/b/c", "a/b/c"),
            ("x.c", "x.c"),
            ("", ""),
        ] {
            assert_eq!(shorten(&long.into()), short, "{long}");
        }
    }

    #[test]
    fn languages_round_trip() {
        for number in 0..=4 {
            assert_eq!(Language::from_number(number).unwrap().number(), number);
        }
        assert_eq!(Language::from_number(5), None);
    }
}
