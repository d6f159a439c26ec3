//! What Gelato's daemons tell about themselves for people: release, sandbox, and why they take no jobs or fewer. Icecream's
//! say nothing of this. A word of a daemon about itself is shown and not believed, but that it answers PING.

use gelato_wire::ByteString;
use serde_json::Value;

/// A note longer than this is not looked at.
const LONGEST_NOTE: usize = 16 * 1024;

/// Characters of a remark that are kept.
const LONGEST_REMARK: usize = 300;

/// Characters of the other words.
const LONGEST_WORD: usize = 40;

/// What a daemon tells about itself; each is one line without control characters, and empty if it was not told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct About {
    /// Release of the program.
    pub(crate) software: String,
    /// The sandbox in force.
    pub(crate) sandbox: String,
    /// Why it takes no jobs of others, or fewer.
    pub(crate) remark: String,
    /// It answers PING.
    pub(crate) answers_ping: bool,
}

impl About {
    /// Reads a note; `None` if it makes no sense.
    pub(crate) fn parse(note: &ByteString) -> Option<About> {
        if note.as_bytes().len() > LONGEST_NOTE {
            return None;
        }
        let note: Value = serde_json::from_slice(note.as_bytes()).ok()?;
        let word = |name: &str| line(note.get(name).and_then(Value::as_str), LONGEST_WORD);
        let remarks: Vec<&str> = note
            .get("remarks")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        note.as_object()?;
        let answers = note.get("answers").and_then(Value::as_array);
        Some(About {
            software: word("version"),
            sandbox: word("sandbox"),
            remark: line(Some(&remarks.join("; ")), LONGEST_REMARK),
            answers_ping: answers.is_some_and(|all| all.iter().any(|one| one == "ping")),
        })
    }

    /// What goes to the end of its line in `listcs`.
    pub(crate) fn suffix(&self) -> String {
        let mut suffix = String::new();
        if !self.sandbox.is_empty() {
            suffix += &format!(" sandbox={}", self.sandbox.replace(' ', "_"));
        }
        if !self.remark.is_empty() {
            suffix += &format!(" ({})", self.remark);
        }
        suffix
    }
}

fn line(text: Option<&str>, most: usize) -> String {
    let kept = text.unwrap_or_default().chars().take(most);
    kept.map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_become_short_lines() {
        let note = "{\"version\":\"0.1.0\",\"sandbox\":\"landlock\",\"remarks\":[\"a\\nLoad:0\",\"b\"],\"answers\":[1,\"ping\"],\"new\":1}";
        let about = About::parse(&note.into()).unwrap();
        assert!(about.answers_ping);
        assert_eq!(about.remark, "a Load:0; b");
        assert_eq!(about.suffix(), " sandbox=landlock (a Load:0; b)");
        let long = format!("{{\"remarks\":[\"{}\"]}}", "x".repeat(9000));
        assert_eq!(
            About::parse(&long.as_str().into()).unwrap().remark.len(),
            300
        );
    }

    #[test]
    fn nonsense_is_no_note() {
        let huge = format!("{{\"remarks\":[\"{}\"]}}", "x".repeat(99_000));
        for text in ["", "{", "[]", "7", &"[".repeat(9000), &huge] {
            assert_eq!(About::parse(&text.into()), None);
        }
        let odd = About::parse(&"{\"version\":7,\"remarks\":{\"a\":1}}".into());
        assert_eq!(odd, Some(About::default()));
    }
}
