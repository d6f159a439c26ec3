//! How environment variables are read: Icecream's with Icecream's forgiveness, ours by the kind of their setting.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use crate::value::Value;

/// A variable a setting may come from.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// How its text is read.
    pub reading: Reading,
}

/// How the text of a variable is read.
#[derive(Clone, Copy, Debug)]
pub enum Reading {
    /// By the kind of the setting. Empty means unset; what does not fit is a problem.
    Checked,
    /// Whatever the text is, it is no problem, as with Icecream. `None`: as if unset.
    Forgiving(fn(&OsStr) -> Option<Value>),
}

/// A variable whose text must fit the setting.
pub(crate) const fn checked(name: &'static str) -> Variable {
    Variable {
        name,
        reading: Reading::Checked,
    }
}

/// A variable that takes any text.
pub(crate) const fn forgiving(name: &'static str, read: fn(&OsStr) -> Option<Value>) -> Variable {
    Variable {
        name,
        reading: Reading::Forgiving(read),
    }
}

/// Any text but none.
pub(crate) fn some_text(value: &OsStr) -> Option<Value> {
    (!value.is_empty()).then(|| Value::Text(value.to_owned()))
}

/// Being set is enough.
pub(crate) fn is_set(_: &OsStr) -> Option<Value> {
    Some(Value::Switch(true))
}

/// On if the first character is `1`.
pub(crate) fn begins_with_one(value: &OsStr) -> Option<Value> {
    Some(Value::Switch(value.as_bytes().first() == Some(&b'1')))
}

/// `ICECC`: `no` or `disable`; other words are for those who want to override a file.
pub(crate) fn distribution(value: &OsStr) -> Option<Value> {
    if value.is_empty() {
        None
    } else if value.eq_ignore_ascii_case("no") {
        Some(Value::Word("no"))
    } else if value.eq_ignore_ascii_case("disable") {
        Some(Value::Word("disable"))
    } else {
        Some(Value::Word("yes"))
    }
}

/// `ICECC_REMOTE_CPP`: empty or beginning with `0` means all of it here.
pub(crate) fn preprocessing(value: &OsStr) -> Option<Value> {
    Some(match value.as_bytes().first() {
        None | Some(b'0') => Value::Word("full"),
        Some(_) => Value::Word("merge"),
    })
}

/// `ICECC_DEBUG`: a level; any other word means everything.
pub(crate) fn level(value: &OsStr) -> Option<Value> {
    let is = |name: &str| value.eq_ignore_ascii_case(name);
    Some(Value::Word(if is("error") || is("errors") {
        "error"
    } else if is("warning") || is("warnings") {
        "warning"
    } else if is("info") {
        "info"
    } else {
        "debug"
    }))
}

/// `ICECC_REQUIRE_REMOTE`: `1` requires, anything else says nothing.
pub(crate) fn requirement(value: &OsStr) -> Option<Value> {
    (value.as_bytes().first() == Some(&b'1')).then_some(Value::Word("require"))
}

/// `ICECC_COMPRESSION`: a number, in any notation of C.
pub(crate) fn integer(value: &OsStr) -> Option<Value> {
    value
        .to_str()
        .and_then(parse_integer)
        .map(|number| Value::Integer(i64::from(number)))
}

/// `ICECC_REPEAT_RATE`: a number of a thousand.
pub(crate) fn per_mille(value: &OsStr) -> Option<Value> {
    let number = value.to_str().and_then(parse_integer)?;
    Some(Value::Integer(i64::from(number.clamp(0, 1000))))
}

/// `ICECC_EXTRAFILES`: separated by colons. Empty entries stay, because Icecream takes them for files that are missing.
pub(crate) fn colon_list(value: &OsStr) -> Option<Value> {
    let items = value.as_bytes().split(|&b| b == b':');
    Some(Value::List(
        items
            .map(|item| OsStr::from_bytes(item).to_owned())
            .collect(),
    ))
}

/// `ICECC_VERSION`: separated by commas. Set but empty is a list without a toolchain.
pub(crate) fn comma_list(value: &OsStr) -> Option<Value> {
    let items = value.as_bytes().split(|&b| b == b',');
    Some(Value::List(
        items
            .filter(|item| !item.is_empty())
            .map(|item| OsStr::from_bytes(item).to_owned())
            .collect(),
    ))
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
    use super::*;

    fn word(read: fn(&OsStr) -> Option<Value>, text: &str) -> Option<&'static str> {
        match read(OsStr::new(text)) {
            Some(Value::Word(word)) => Some(word),
            None => None,
            other => panic!("{other:?}"),
        }
    }

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
        assert_eq!(per_mille(OsStr::new("2000")), Some(Value::Integer(1000)));
        assert_eq!(per_mille(OsStr::new("-1")), Some(Value::Integer(0)));
        assert_eq!(integer(OsStr::new("fast")), None);
    }

    #[test]
    fn t26_every_level_is_known_and_other_words_mean_everything() {
        for (text, expected) in [
            ("info", "info"),
            ("Warnings", "warning"),
            ("warning", "warning"),
            ("error", "error"),
            ("ERRORS", "error"),
            ("debug", "debug"),
            ("", "debug"),
            ("1", "debug"),
        ] {
            assert_eq!(word(level, text), Some(expected), "{text:?}");
        }
    }

    #[test]
    fn words_of_icecream() {
        for (text, expected) in [
            ("no", Some("no")),
            ("NO", Some("no")),
            ("Disable", Some("disable")),
            ("yes", Some("yes")),
            ("anything", Some("yes")),
            ("", None),
        ] {
            assert_eq!(word(distribution, text), expected, "{text:?}");
        }
        for (text, expected) in [
            ("", "full"),
            ("0", "full"),
            ("0x", "full"),
            ("1", "merge"),
            ("no", "merge"),
        ] {
            assert_eq!(word(preprocessing, text), Some(expected), "{text:?}");
        }
        for (text, expected) in [
            ("1", Some("require")),
            ("0", None),
            ("", None),
            ("yes", None),
        ] {
            assert_eq!(word(requirement, text), expected, "{text:?}");
        }
        for (text, expected) in [
            ("1", true),
            ("10", true),
            ("0", false),
            ("", false),
            ("yes", false),
        ] {
            assert_eq!(
                begins_with_one(OsStr::new(text)),
                Some(Value::Switch(expected))
            );
        }
    }

    #[test]
    fn lists() {
        let list = |items: &[&str]| Some(Value::List(items.iter().map(Into::into).collect()));
        assert_eq!(colon_list(OsStr::new("/a:b:")), list(&["/a", "b", ""]));
        assert_eq!(colon_list(OsStr::new("")), list(&[""]));
        assert_eq!(comma_list(OsStr::new("a,,b=c")), list(&["a", "b=c"]));
        assert_eq!(comma_list(OsStr::new("")), list(&[]));
    }
}
