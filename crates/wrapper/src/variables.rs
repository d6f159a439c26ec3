//! The environment variables that steer the wrapper, read once.
//!
//! Names and meanings are Icecream's, except those that begin with `GELATO_`. What the compilers read themselves is none of our business here.

use std::env;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// What `ICECC` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Unset, or a word we do not know.
    Distribute,
    /// `no`: never on another machine, but under the daemon's slots.
    LocalOnly,
    /// `disable`: no daemon at all.
    NoDaemon,
}

/// The variables, as far as they are set.
#[derive(Clone, Debug)]
pub(crate) struct Variables {
    pub(crate) wish: Wish,
    /// `ICECC_VERSION`
    pub(crate) toolchains: Option<OsString>,
    /// `ICECC_CC`
    pub(crate) cc: Option<OsString>,
    /// `ICECC_CXX`
    pub(crate) cxx: Option<OsString>,
    /// `ICECC_EXTRAFILES`
    pub(crate) extra_files: Option<OsString>,
    /// `ICECC_COMPRESSION`: zstd level of what we send.
    pub(crate) compression_level: i32,
    /// `ICECC_ENV_COMPRESSION`
    pub(crate) toolchain_compression: Option<OsString>,
    /// `ICECC_PREFERRED_HOST`
    pub(crate) preferred_host: Option<OsString>,
    /// `ICECC_IGNORE_UNVERIFIED`
    pub(crate) only_verifying_workers: bool,
    /// `ICECC_REPEAT_RATE`: of a thousand jobs of GCC, how many are compiled by several workers and compared.
    #[expect(dead_code, reason = "for verification")]
    pub(crate) repeat_rate: u32,
    /// `GELATO_VERIFY_RATE`: the same for all compilers, by two workers.
    #[expect(dead_code, reason = "for verification")]
    pub(crate) verify_rate: u32,
    /// `ICECC_CARET_WORKAROUND`: whatever a remote GCC prints leads to a compilation here, which quotes source lines.
    #[expect(dead_code, reason = "for the judgement of remote output")]
    pub(crate) caret_workaround: bool,
    /// `ICECC_TEST_REMOTEBUILD`
    pub(crate) test_remote_build: bool,
    /// `ICECC_TEST_SOCKET`
    pub(crate) test_socket: Option<PathBuf>,
    /// `GELATO_SOCKET`
    pub(crate) socket: Option<PathBuf>,
    /// `GELATO_BUILD_LOG`
    pub(crate) build_log: Option<PathBuf>,
    /// `HOME`
    pub(crate) home: Option<PathBuf>,
    /// `XDG_CACHE_HOME`, if absolute.
    pub(crate) cache_home: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`, if absolute.
    pub(crate) runtime_dir: Option<PathBuf>,
    /// `PATH`
    pub(crate) path: Option<OsString>,
    /// `_ICECC_SAFEGUARD`: how deep we are in programs started by ourselves.
    pub(crate) depth: u32,
}

/// Name of the variable that counts the depth.
pub(crate) const DEPTH: &str = "_ICECC_SAFEGUARD";

impl Variables {
    pub(crate) fn read() -> Variables {
        let path = |name| {
            env::var_os(name)
                .filter(|v| !v.is_empty())
                .map(PathBuf::from)
        };
        let absolute = |name| path(name).filter(|p: &PathBuf| p.is_absolute());
        let per_mille = |name| {
            let rate = env::var(name).ok().and_then(|text| parse_integer(&text));
            rate.unwrap_or(0).clamp(0, 1000).unsigned_abs()
        };
        Variables {
            wish: match env::var_os("ICECC") {
                Some(word) if word.eq_ignore_ascii_case("no") => Wish::LocalOnly,
                Some(word) if word.eq_ignore_ascii_case("disable") => Wish::NoDaemon,
                _ => Wish::Distribute,
            },
            toolchains: env::var_os("ICECC_VERSION"),
            cc: env::var_os("ICECC_CC").filter(|v| !v.is_empty()),
            cxx: env::var_os("ICECC_CXX").filter(|v| !v.is_empty()),
            extra_files: env::var_os("ICECC_EXTRAFILES"),
            compression_level: env::var("ICECC_COMPRESSION")
                .ok()
                .and_then(|text| parse_integer(&text))
                .unwrap_or(1),
            toolchain_compression: env::var_os("ICECC_ENV_COMPRESSION"),
            preferred_host: env::var_os("ICECC_PREFERRED_HOST"),
            only_verifying_workers: env::var_os("ICECC_IGNORE_UNVERIFIED").is_some(),
            repeat_rate: per_mille("ICECC_REPEAT_RATE"),
            verify_rate: per_mille("GELATO_VERIFY_RATE"),
            caret_workaround: env::var_os("ICECC_CARET_WORKAROUND")
                .is_none_or(|value| value.as_bytes().first() == Some(&b'1')),
            test_remote_build: env::var_os("ICECC_TEST_REMOTEBUILD").is_some(),
            test_socket: env::var_os("ICECC_TEST_SOCKET").map(PathBuf::from),
            socket: path("GELATO_SOCKET"),
            build_log: path("GELATO_BUILD_LOG"),
            home: absolute("HOME"),
            cache_home: absolute("XDG_CACHE_HOME"),
            runtime_dir: absolute("XDG_RUNTIME_DIR"),
            path: env::var_os("PATH"),
            depth: match env::var_os(DEPTH) {
                None => 0,
                Some(value) => match value.as_bytes() {
                    [digit @ b'0'..=b'9', ..] => u32::from(digit - b'0'),
                    _ => 1,
                },
            },
        }
    }
}

/// An integer as strtol reads it with base 0: decimal, `0x…` or `0…`, nothing behind it.
fn parse_integer(text: &str) -> Option<i32> {
    let text = text.trim_start();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let value = if let Some(hex) = digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"))
    {
        i32::from_str_radix(hex, 16)
    } else if digits.len() > 1 && digits.starts_with('0') {
        i32::from_str_radix(digits, 8)
    } else {
        digits.parse()
    };
    Some(sign * value.ok()?)
}

#[cfg(test)]
mod tests {
    use super::parse_integer;

    #[test]
    fn integers_like_strtol() {
        for (text, expected) in [
            ("3", Some(3)),
            (" 0x10", Some(16)),
            ("010", Some(8)),
            ("-5", Some(-5)),
            ("0", Some(0)),
            ("", None),
            ("3x", None),
            ("--3", None),
        ] {
            assert_eq!(parse_integer(text), expected, "{text:?}");
        }
    }
}
