//! What is typed after `/`: words that a row must have, and conditions on single columns.
//!
//! `lexer` is anywhere in the row; `client:ada` in the column whose title begins so; `time>2`, `exit=1`, `sent<4k` compare numbers,
//! times in seconds unless `ms` stands behind. All must be true; `-` before one turns it round.

use super::table::{Column, Order, Row};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    Has,
    More,
    Less,
    Same,
}

/// One condition.
#[derive(Clone, Debug, PartialEq)]
struct Term {
    negative: bool,
    column: Option<usize>,
    sign: Sign,
    text: String,
}

/// All conditions of one filter.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter(Vec<Term>);

impl Filter {
    pub(super) fn new(text: &str, columns: &[Column]) -> Filter {
        Filter(
            text.split_whitespace()
                .map(|word| term(word, columns))
                .collect(),
        )
    }

    pub(super) fn passes(&self, row: &Row) -> bool {
        self.0.iter().all(|term| holds(term, row) != term.negative)
    }
}

fn term(word: &str, columns: &[Column]) -> Term {
    let (negative, word) = match word.strip_prefix('-') {
        Some(rest) if !rest.is_empty() => (true, rest),
        _ => (false, word),
    };
    let word = word.to_lowercase();
    let signs = [
        (':', Sign::Has),
        ('>', Sign::More),
        ('<', Sign::Less),
        ('=', Sign::Same),
    ];
    let split = word.find([':', '>', '<', '=']);
    if let Some(at) = split
        && let Some((_, sign)) = signs.iter().find(|(sign, _)| word[at..].starts_with(*sign))
        && let Some(column) = named(&word[..at], columns)
    {
        return Term {
            negative,
            column: Some(column),
            sign: *sign,
            text: word[at + 1..].to_owned(),
        };
    }
    Term {
        negative,
        column: None,
        sign: Sign::Has,
        text: word,
    }
}

/// The column with that title, else the first whose title begins so.
fn named(word: &str, columns: &[Column]) -> Option<usize> {
    if word.is_empty() {
        return None;
    }
    let find = |is: &dyn Fn(&str) -> bool| {
        let title = |column: &Column| column.title.to_lowercase();
        columns.iter().position(|column| is(&title(column)))
    };
    find(&|title| title == word).or_else(|| find(&|title| title.starts_with(word)))
}

fn holds(term: &Term, row: &Row) -> bool {
    let Some(column) = term.column else {
        return row
            .cells
            .iter()
            .any(|cell| cell.text.to_lowercase().contains(&term.text));
    };
    let Some(cell) = row.cells.get(column) else {
        return false;
    };
    let (value, scale) = match cell.order {
        Order::Word(_) => (None, 1.0),
        Order::Number(value) => (Some(value), 1.0),
        Order::Span(value) => (Some(value), 1000.0),
    };
    match (term.sign, value, number(&term.text, scale)) {
        (Sign::Has, ..) => cell.text.to_lowercase().contains(&term.text),
        (Sign::More, Some(value), Some(wanted)) => value > wanted,
        (Sign::Less, Some(value), Some(wanted)) => (0.0..wanted).contains(&value),
        (Sign::Same, Some(value), Some(wanted)) => value == wanted,
        (Sign::Same, ..) => cell.text.to_lowercase() == term.text,
        _ => false,
    }
}

/// A number with its unit; without one it is `scale` times as much.
fn number(text: &str, scale: f64) -> Option<f64> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "" => scale,
        "ms" => 1.0,
        "s" => 1000.0,
        "m" if scale > 1.0 => 60_000.0,
        "k" => 1024.0,
        "m" => 1_048_576.0,
        _ => return None,
    };
    Some(digits.parse::<f64>().ok()? * factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::table::{Cell, Key, left, right};

    const COLUMNS: [Column; 4] = [
        left("FILE", 9),
        right("TIME", 6),
        right("EXIT", 5),
        left("CLIENT", 7),
    ];

    fn passes(filter: &str) -> bool {
        let cells = vec![
            Cell::word("ui/Lexer.cpp"),
            Cell::span(2_500),
            Cell::number(1),
            Cell::word("ada"),
        ];
        Filter::new(filter, &COLUMNS).passes(&Row::new(Key::Build(1), cells))
    }

    #[test]
    fn words_and_conditions_must_all_hold() {
        for filter in [
            "",
            "lexer",
            "client:AD",
            "cl:ada",
            "time>2",
            "time<2600ms",
            "exit=1",
            "lexer -parser",
            "exit>0 ui",
        ] {
            assert!(passes(filter), "{filter}");
        }
        for filter in [
            "parser",
            "file:ada",
            "time>3s",
            "exit=0",
            "-lexer",
            "time<2",
            "client=ad",
            "time>x",
        ] {
            assert!(!passes(filter), "{filter}");
        }
    }

    #[test]
    fn what_names_no_column_is_a_word() {
        assert!(!passes("std::string") && !passes(":") && !passes(">"));
    }
}
