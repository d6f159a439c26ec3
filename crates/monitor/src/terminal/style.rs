//! Colours of a terminal, or none. A colour is never the only sign: every mark has a letter, every state a word.

use ratatui::style::{Color, Modifier, Style};

use crate::model::{MARKS, State};

/// What the terminal can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Palette {
    /// 256 colours.
    Full,
    /// The sixteen of old.
    Few,
    /// None: `NO_COLOR` is set, or the terminal is dumb.
    None,
}

/// One of 256 for each mark: told apart on light and dark ground, neighbours differ in lightness for colour-blind readers.
const FULL: [u8; MARKS as usize] = [
    33, 208, 35, 170, 178, 39, 160, 71, 99, 214, 37, 204, 142, 69, 166, 78, 134, 220, 31, 197, 107,
    141, 172, 44,
];

const FEW: [Color; 6] = [
    Color::Blue,
    Color::Yellow,
    Color::Green,
    Color::Magenta,
    Color::Cyan,
    Color::Red,
];

impl Palette {
    /// What the variables `NO_COLOR`, `TERM` and `COLORTERM` say.
    pub fn from_variables(
        no_color: Option<&str>,
        term: Option<&str>,
        colorterm: Option<&str>,
    ) -> Palette {
        let term = term.unwrap_or_default();
        if no_color.is_some_and(|value| !value.is_empty()) || term.is_empty() || term == "dumb" {
            Palette::None
        } else if term.contains("256color") || colorterm.is_some_and(|value| !value.is_empty()) {
            Palette::Full
        } else {
            Palette::Few
        }
    }

    pub(super) fn mark(self, mark: u8) -> Style {
        let index = usize::from(mark % MARKS);
        match self {
            Palette::Full => Style::new().fg(Color::Indexed(FULL[index])),
            Palette::Few => Style::new().fg(FEW[index % FEW.len()]),
            Palette::None => Style::new(),
        }
    }

    pub(super) fn state(self, state: State) -> Style {
        match (self, state) {
            (Palette::None, _) => Style::new(),
            (_, State::Failed | State::Lost) => Style::new().fg(Color::Red),
            (_, State::Queued | State::Cancelled) => Style::new().fg(Color::Yellow),
            _ => Style::new(),
        }
    }

    /// What goes well.
    pub(super) fn good(self) -> Style {
        match self {
            Palette::None => Style::new(),
            _ => Style::new().fg(Color::Green),
        }
    }

    /// What somebody should know.
    pub(super) fn notice(self) -> Style {
        match self {
            Palette::None => Style::new(),
            _ => Style::new().fg(Color::Yellow),
        }
    }

    /// What there should be none of.
    pub(super) fn bad(self) -> Style {
        match self {
            Palette::None => Style::new(),
            _ => Style::new().fg(Color::Red),
        }
    }

    pub(super) fn warning(self) -> Style {
        match self {
            Palette::None => Style::new().add_modifier(Modifier::BOLD),
            _ => Style::new().fg(Color::Red).add_modifier(Modifier::BOLD),
        }
    }
}

/// The letter of a mark.
pub(super) fn letter(mark: u8) -> char {
    char::from(b'a' + mark % MARKS)
}

/// Titles of columns and names of pages.
pub(super) fn heading() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

/// The line the cursor is on.
pub(super) fn selected() -> Style {
    Style::new().add_modifier(Modifier::REVERSED)
}

/// What is less important.
pub(super) fn faint() -> Style {
    Style::new().add_modifier(Modifier::DIM)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_decide() {
        let palette = Palette::from_variables;
        assert_eq!(
            palette(Some("1"), Some("xterm-256color"), None),
            Palette::None
        );
        assert_eq!(
            palette(Some(""), Some("xterm-256color"), None),
            Palette::Full
        );
        assert_eq!(
            palette(None, Some("xterm"), Some("truecolor")),
            Palette::Full
        );
        assert_eq!(palette(None, Some("linux"), None), Palette::Few);
        assert_eq!(palette(None, Some("dumb"), None), Palette::None);
        assert_eq!(palette(None, None, None), Palette::None);
    }
}
