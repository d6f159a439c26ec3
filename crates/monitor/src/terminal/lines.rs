//! Lines of a page that is no table: headings, pairs of word and value, long sentences.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::style;

/// Columns of the words on the left.
const LEFT: usize = 12;

/// Lines as they come about, none wider than the screen.
#[derive(Debug)]
pub(super) struct Lines {
    width: usize,
    lines: Vec<Line<'static>>,
}

impl Lines {
    pub(super) fn new(width: u16) -> Lines {
        Lines {
            width: usize::from(width).max(20),
            lines: Vec::new(),
        }
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// A part begins.
    pub(super) fn heading(&mut self, text: impl Into<String>) {
        if !self.lines.is_empty() {
            self.lines.push(Line::default());
        }
        self.lines.push(Line::styled(text.into(), style::heading()));
    }

    /// A word on the left and what belongs to it, on as many lines as it needs. Nothing, if it is empty.
    pub(super) fn row(&mut self, left: &str, text: &str) {
        self.styled_row(left, text, Style::new());
    }

    /// The same in a style.
    pub(super) fn styled_row(&mut self, left: &str, text: &str, look: Style) {
        if text.is_empty() {
            return;
        }
        let column = LEFT.max(left.chars().count() + 1);
        let room = self.width.saturating_sub(column).max(8);
        for (at, part) in wrapped(text, room).into_iter().enumerate() {
            let left = if at == 0 { left } else { "" };
            self.lines.push(Line::from(vec![
                Span::styled(format!("{left:<column$}"), style::faint()),
                Span::styled(part, look),
            ]));
        }
    }

    /// A sentence behind a few words, on as many lines as it needs. Nothing, if it is empty.
    pub(super) fn said(&mut self, before: &str, text: &str) {
        if text.is_empty() {
            return;
        }
        let whole = format!("{before}{text}");
        for part in wrapped(&whole, self.width) {
            self.lines.push(Line::raw(part));
        }
    }

    /// A line as it is.
    pub(super) fn line(&mut self, line: Line<'static>) {
        self.lines.push(line);
    }

    pub(super) fn into_lines(self) -> Vec<Line<'static>> {
        self.lines
    }
}

/// The text in lines of at most `room` characters, broken between words where that goes.
fn wrapped(text: &str, room: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut length = 0;
    for word in text.split_whitespace() {
        let mut word: Vec<char> = word.chars().collect();
        if length > 0 && length + 1 + word.len() > room {
            lines.push(std::mem::take(&mut line));
            length = 0;
        }
        while word.len() > room {
            let rest = word.split_off(room);
            lines.push(word.into_iter().collect());
            word = rest;
        }
        if length > 0 {
            line.push(' ');
            length += 1;
        }
        length += word.len();
        line.extend(word);
    }
    if length > 0 || lines.is_empty() {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_wider_than_the_room() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(
            wrapped("/a/very/long/path x", 6),
            ["/a/ver", "y/long", "/path", "x"]
        );
        assert_eq!(wrapped("", 5), [""]);
    }
}
