//! What the people in charge of this machine have said: go on, pause, or finish and stay idle. Pure, with the text that keeps a
//! pause over a restart.

use std::fmt::{self, Write as _};

/// Whether jobs of other machines are wanted at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    /// As the settings and the state of the machine allow.
    #[default]
    Running,
    /// None for now. What runs is finished; this machine's own work goes on. Survives a restart of the daemon.
    Paused {
        /// Ends by itself at this moment, in seconds since 1970.
        until: Option<u64>,
        /// What the person who paused it had to say; may be empty. Printable, at most [`Mode::LONGEST_WHY`] characters.
        why: String,
    },
    /// None until told otherwise or restarted. What runs is finished.
    Draining,
}

/// The first line of a kept pause.
const KEPT: &str = "gelato-pause 1";

impl Mode {
    /// Characters of a reason given by a person.
    pub(crate) const LONGEST_WHY: usize = 200;

    /// A pause with a reason brought into shape.
    pub(crate) fn paused(until: Option<u64>, why: &str) -> Mode {
        let why: String = why
            .chars()
            .filter(|c| !c.is_control())
            .take(Mode::LONGEST_WHY)
            .collect();
        Mode::Paused {
            until,
            why: why.trim().to_owned(),
        }
    }

    /// One word: `running`, `paused` or `draining`.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Mode::Running => "running",
            Mode::Paused { .. } => "paused",
            Mode::Draining => "draining",
        }
    }

    /// Whether this is a pause whose time is over.
    pub(crate) fn has_ended(&self, unix: u64) -> bool {
        matches!(self, Mode::Paused { until: Some(until), .. } if *until <= unix)
    }

    /// What to keep over a restart; nothing for what a restart ends.
    pub(crate) fn kept(&self) -> Option<String> {
        let Mode::Paused { until, why } = self else {
            return None;
        };
        let mut text = format!("{KEPT}\n");
        match until {
            Some(until) => {
                let _ = writeln!(text, "until {until}");
            }
            None => text.push_str("until resumed\n"),
        }
        text.push_str(why);
        text.push('\n');
        Some(text)
    }

    /// The pause in a text made by [`Mode::kept`]. A damaged text is a pause without end: somebody wanted one.
    pub(crate) fn from_kept(text: &str) -> Mode {
        let mut lines = text.lines();
        if lines.next() != Some(KEPT) {
            return Mode::paused(None, "");
        }
        let until = lines
            .next()
            .and_then(|line| line.strip_prefix("until ")?.parse().ok());
        Mode::paused(until, lines.next().unwrap_or_default())
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_kept_and_nothing_else() {
        for mode in [
            Mode::paused(None, ""),
            Mode::paused(Some(1_700_000_000), "exam until noon"),
        ] {
            assert_eq!(Mode::from_kept(&mode.kept().unwrap()), mode);
        }
        assert_eq!(Mode::Running.kept(), None);
        assert_eq!(Mode::Draining.kept(), None);
    }

    #[test]
    fn a_damaged_text_still_pauses() {
        for text in ["", "nonsense", "gelato-pause 1", "gelato-pause 1\nuntil x"] {
            assert_eq!(Mode::from_kept(text), Mode::paused(None, ""), "{text:?}");
        }
    }

    #[test]
    fn reasons_of_people_are_one_bounded_line() {
        let long = format!("a\nb\u{7}{}", "x".repeat(1000));
        let Mode::Paused { why, .. } = Mode::paused(None, &long) else {
            panic!("no pause");
        };
        assert_eq!(why.len(), Mode::LONGEST_WHY);
        assert!(why.starts_with("abx"));
    }

    #[test]
    fn a_pause_with_an_end_ends() {
        let mode = Mode::paused(Some(100), "");
        assert!(!mode.has_ended(99) && mode.has_ended(100));
        assert!(!Mode::paused(None, "").has_ended(u64::MAX));
        assert!(!Mode::Draining.has_ended(u64::MAX));
    }
}
