//! What a check says.

use serde_json::{Value, json};

use crate::cli::status::words::hang;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    /// As it should be.
    Fine,
    /// Works, but could be better, or could not be looked at.
    Note,
    /// Something does not work.
    Problem,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            State::Fine => "ok",
            State::Note => "note",
            State::Problem => "problem",
        }
    }
}

/// One sentence about one thing, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// What was looked at, as a word that does not change.
    pub(super) check: &'static str,
    /// How bad it is.
    pub(super) state: State,
    /// What was found.
    pub(super) text: String,
    /// What to do.
    pub(super) fix: Option<String>,
}

impl Finding {
    /// All is well.
    pub(super) fn fine(check: &'static str, text: impl Into<String>) -> Finding {
        Finding {
            check,
            state: State::Fine,
            text: text.into(),
            fix: None,
        }
    }

    /// Could be better.
    pub(super) fn note(
        check: &'static str,
        text: impl Into<String>,
        fix: impl Into<String>,
    ) -> Finding {
        Finding {
            check,
            state: State::Note,
            text: text.into(),
            fix: Some(fix.into()),
        }
    }

    /// Does not work.
    pub(super) fn problem(
        check: &'static str,
        text: impl Into<String>,
        fix: impl Into<String>,
    ) -> Finding {
        Finding {
            state: State::Problem,
            ..Finding::note(check, text, fix)
        }
    }

    /// For people.
    pub(super) fn lines(&self) -> Vec<String> {
        let first = format!("{:<8}{:<12}", self.state.name(), self.check);
        let mut lines = hang(&first, &self.text);
        if let Some(fix) = &self.fix {
            lines.extend(hang(&format!("{:<20}fix: ", ""), fix));
        }
        lines
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        json!({
            "check": self.check,
            "state": self.state.name(),
            "text": self.text,
            "fix": self.fix,
        })
    }
}
