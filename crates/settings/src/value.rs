//! What a setting can be, and how a file may spell it.

use std::ffi::OsString;
use std::fmt;
use std::path::Path;

/// What values a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text that is not empty.
    Text,
    /// An absolute path; in a file it may begin with `~/`.
    Path,
    /// A whole number from the first to the second, both included.
    Integer(i64, i64),
    /// `true` or `false`.
    Switch,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A list of texts.
    List,
    /// A list of paths.
    Paths,
}

/// The value of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Of [`Kind::Text`] and [`Kind::Path`].
    Text(OsString),
    /// Of [`Kind::Integer`].
    Integer(i64),
    /// Of [`Kind::Switch`].
    Switch(bool),
    /// Of [`Kind::Word`].
    Word(&'static str),
    /// Of [`Kind::List`] and [`Kind::Paths`].
    List(Vec<OsString>),
}

impl Kind {
    /// What is expected, for messages: "a whole number from 0 to 19".
    pub fn expectation(self) -> String {
        match self {
            Kind::Text => "a text in quotes".to_owned(),
            Kind::Path => "an absolute path in quotes".to_owned(),
            Kind::Integer(least, i64::MAX) => format!("a whole number, at least {least}"),
            Kind::Integer(least, most) => format!("a whole number from {least} to {most}"),
            Kind::Switch => "true or false".to_owned(),
            Kind::Word(words) => {
                let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
                match quoted.split_last() {
                    Some((last, rest)) if !rest.is_empty() => {
                        format!("{} or {last}", rest.join(", "))
                    }
                    _ => quoted.concat(),
                }
            }
            Kind::List => "a list of texts: [\"…\", …]".to_owned(),
            Kind::Paths => "a list of absolute paths: [\"/…\", …]".to_owned(),
        }
    }

    /// A text as a value of this kind, as it stands in the table of defaults, in a variable of ours, or on a command line. Lists are
    /// separated by colons.
    pub fn parse(self, text: &str) -> Option<Value> {
        match self {
            Kind::Text | Kind::Path => (!text.is_empty()).then(|| Value::Text(text.into())),
            Kind::Integer(least, most) => text
                .trim()
                .parse()
                .ok()
                .filter(|number| (least..=most).contains(number))
                .map(Value::Integer),
            Kind::Switch => match text {
                "1" | "true" | "yes" | "on" => Some(Value::Switch(true)),
                "0" | "false" | "no" | "off" => Some(Value::Switch(false)),
                _ => None,
            },
            Kind::Word(words) => words
                .iter()
                .find(|word| word.eq_ignore_ascii_case(text))
                .map(|word| Value::Word(word)),
            Kind::List | Kind::Paths => {
                let items = text.split(':').filter(|item| !item.is_empty());
                Some(Value::List(items.map(OsString::from).collect()))
            }
        }
    }

    /// A value from a file. `Err` says what was expected.
    pub(crate) fn read_toml(
        self,
        value: &toml::de::DeValue<'_>,
        home: Option<&Path>,
    ) -> Result<Value, String> {
        let expected = || format!("{} is expected", self.expectation());
        let text = |value: &toml::de::DeValue<'_>| {
            value
                .as_str()
                .filter(|text| !text.is_empty() && !text.contains('\0'))
                .map(str::to_owned)
        };
        match self {
            Kind::Text => text(value).map(|t| Value::Text(t.into())),
            Kind::Path => match text(value) {
                Some(t) => return path(&t, home).map(Value::Text),
                None => None,
            },
            Kind::Integer(least, most) => value
                .as_integer()
                .and_then(|number| i64::from_str_radix(number.as_str(), number.radix()).ok())
                .filter(|number| (least..=most).contains(number))
                .map(Value::Integer),
            Kind::Switch => value.as_bool().map(Value::Switch),
            Kind::Word(words) => text(value)
                .and_then(|t| words.iter().find(|word| **word == t))
                .map(|word| Value::Word(word)),
            Kind::List | Kind::Paths => {
                let Some(items) = value.as_array() else {
                    return Err(expected());
                };
                let mut list = Vec::with_capacity(items.len());
                for item in items {
                    let item = text(item.get_ref()).ok_or_else(expected)?;
                    list.push(match self {
                        Kind::Paths => path(&item, home)?,
                        _ => item.into(),
                    });
                }
                Some(Value::List(list))
            }
        }
        .ok_or_else(expected)
    }
}

/// Relative paths would mean another file in every folder a build visits.
fn path(text: &str, home: Option<&Path>) -> Result<OsString, String> {
    if let Some(rest) = text.strip_prefix("~/") {
        return match home {
            Some(home) => Ok(home.join(rest).into_os_string()),
            None => Err("there is no HOME that ~ could stand for".to_owned()),
        };
    }
    if Path::new(text).is_absolute() {
        Ok(text.into())
    } else {
        Err(format!("\"{text}\" is not absolute; begin it with / or ~/"))
    }
}

impl fmt::Display for Value {
    /// As a file would spell it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) => quoted(f, &text.to_string_lossy()),
            Value::Integer(number) => write!(f, "{number}"),
            Value::Switch(on) => write!(f, "{on}"),
            Value::Word(word) => quoted(f, word),
            Value::List(items) => {
                f.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        f.write_str(", ")?;
                    }
                    quoted(f, &item.to_string_lossy())?;
                }
                f.write_str("]")
            }
        }
    }
}

fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for character in text.chars() {
        match character {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\t' => f.write_str("\\t")?,
            other if other.is_control() => write!(f, "\\u{:04X}", u32::from(other))?,
            other => write!(f, "{other}")?,
        }
    }
    f.write_str("\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_variables() {
        assert_eq!(Kind::Switch.parse("1"), Some(Value::Switch(true)));
        assert_eq!(Kind::Switch.parse("maybe"), None);
        assert_eq!(Kind::Integer(0, 9).parse("10"), None);
        assert_eq!(Kind::Integer(0, 9).parse("9"), Some(Value::Integer(9)));
        assert_eq!(Kind::Word(&["a", "b"]).parse("B"), Some(Value::Word("b")));
        assert_eq!(Kind::Text.parse(""), None);
        assert_eq!(
            Kind::Paths.parse("/a::/b"),
            Some(Value::List(vec!["/a".into(), "/b".into()]))
        );
    }

    #[test]
    fn expectations_are_sentences() {
        assert_eq!(
            Kind::Word(&["auto", "prefer", "require"]).expectation(),
            "\"auto\", \"prefer\" or \"require\""
        );
        assert_eq!(
            Kind::Integer(0, 19).expectation(),
            "a whole number from 0 to 19"
        );
    }

    #[test]
    fn values_are_shown_as_a_file_spells_them() {
        let value = Value::List(vec!["a\"b".into(), "c\u{1}\\".into()]);
        assert_eq!(value.to_string(), r#"["a\"b", "c\u0001\\"]"#);
    }
}
