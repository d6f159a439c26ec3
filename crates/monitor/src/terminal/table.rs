//! Tables that are wider and longer than the screen: the first column stays, the rest moves so that the chosen column is seen.

use std::cmp::Ordering;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

use super::style;

/// How a column stands in its width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// One column of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) title: &'static str,
    pub(super) width: u16,
    pub(super) align: Align,
}

/// A column of words.
pub(super) const fn left(title: &'static str, width: u16) -> Column {
    Column {
        title,
        width,
        align: Align::Left,
    }
}

/// A column of numbers.
pub(super) const fn right(title: &'static str, width: u16) -> Column {
    Column {
        title,
        width,
        align: Align::Right,
    }
}

/// What a cell shows and is sorted by.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) order: Order,
    pub(super) style: Style,
}

/// What a cell is sorted by.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Order {
    Word(String),
    Number(f64),
}

impl Cell {
    pub(super) fn word(text: impl Into<String>) -> Cell {
        let text = text.into();
        Cell {
            order: Order::Word(text.to_lowercase()),
            text,
            style: Style::new(),
        }
    }

    pub(super) fn number(value: impl Into<f64>) -> Cell {
        let value = value.into();
        Cell::shown(format!("{value}"), value)
    }

    /// A number that is shown in another way.
    pub(super) fn shown(text: impl Into<String>, value: impl Into<f64>) -> Cell {
        Cell {
            text: text.into(),
            order: Order::Number(value.into()),
            style: Style::new(),
        }
    }

    pub(super) fn styled(mut self, style: Style) -> Cell {
        self.style = style;
        self
    }
}

impl Order {
    fn compare(&self, other: &Order) -> Ordering {
        match (self, other) {
            (Order::Word(one), Order::Word(two)) => one.cmp(two),
            (Order::Number(one), Order::Number(two)) => one.total_cmp(two),
            (Order::Word(_), Order::Number(_)) => Ordering::Greater,
            (Order::Number(_), Order::Word(_)) => Ordering::Less,
        }
    }
}

/// One row, with lines that belong to it when it is opened.
#[derive(Clone, Debug)]
pub(super) struct Row<K> {
    pub(super) key: K,
    pub(super) cells: Vec<Cell>,
    pub(super) details: Vec<String>,
}

/// Sorts by one column; rows that are equal there keep their order.
pub(super) fn sort<K>(rows: &mut [Row<K>], column: usize, reversed: bool) {
    rows.sort_by(|one, two| {
        let order = match (one.cells.get(column), two.cells.get(column)) {
            (Some(one), Some(two)) => one.order.compare(&two.order),
            _ => Ordering::Equal,
        };
        if reversed { order.reverse() } else { order }
    });
}

/// Where a table stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    /// Row under the cursor.
    pub(super) selected: usize,
    /// Column by which it is sorted.
    pub(super) sorted: usize,
    /// Greatest first.
    pub(super) reversed: bool,
}

/// Draws titles and as many rows as fit around the selected one.
pub(super) fn draw<K>(
    frame: &mut Frame,
    area: Rect,
    columns: &[Column],
    rows: &[Row<K>],
    view: View,
) {
    let shown = shown_columns(columns, view.sorted, area.width);
    let titles = shown.iter().flat_map(|&index| {
        let column = columns[index];
        let arrow = match (index == view.sorted, view.reversed) {
            (false, _) => "",
            (true, false) => "↑",
            (true, true) => "↓",
        };
        let title = format!("{arrow}{}", column.title);
        let style = if index == view.sorted {
            style::heading().add_modifier(Modifier::UNDERLINED)
        } else {
            style::heading()
        };
        [Span::styled(fit(&title, column), style), Span::raw(" ")]
    });
    let mut lines = vec![Line::from_iter(titles)];
    let mut selected_at = 0;
    for (index, row) in rows.iter().enumerate() {
        let is_selected = index == view.selected;
        if is_selected {
            selected_at = lines.len();
        }
        let cells = shown.iter().flat_map(|&index| {
            let text = row.cells.get(index).map_or("", |cell| cell.text.as_str());
            let style = row.cells.get(index).map_or(Style::new(), |cell| cell.style);
            [
                Span::styled(fit(text, columns[index]), style),
                Span::raw(" "),
            ]
        });
        let mut line = Line::from_iter(cells);
        if is_selected {
            line = line.patch_style(style::selected());
        }
        lines.push(line);
        lines.extend(
            row.details
                .iter()
                .map(|detail| Line::styled(format!("    {detail}"), style::faint())),
        );
    }
    let height = usize::from(area.height);
    // The title stays; below it, the selected row with what is opened below it as far as there is room.
    let body = height.saturating_sub(1).max(1);
    let after = rows.get(view.selected).map_or(0, |row| row.details.len());
    let wanted = (selected_at + after).min(selected_at + body - 1);
    let skipped = wanted.saturating_sub(body);
    let visible = lines.into_iter().enumerate();
    let visible = visible.filter(|(index, _)| *index == 0 || *index > skipped);
    for (offset, (_, line)) in visible.take(height).enumerate() {
        let place = Rect {
            y: area.y + offset as u16,
            height: 1,
            ..area
        };
        frame.render_widget(line, place);
    }
}

/// The first column, and those after it that fit, such that the chosen one is among them.
fn shown_columns(columns: &[Column], chosen: usize, width: u16) -> Vec<usize> {
    let wide =
        |indices: &[usize]| -> u16 { indices.iter().map(|&index| columns[index].width + 1).sum() };
    let mut first = 1;
    loop {
        let mut shown = vec![0];
        for index in first..columns.len() {
            shown.push(index);
            // The blank after the last column need not fit.
            if wide(&shown) > width + 1 {
                shown.pop();
                break;
            }
        }
        if chosen == 0 || shown.contains(&chosen) || first >= columns.len() {
            return shown;
        }
        first += 1;
    }
}

/// The text in the width of a column: words lose their beginning, where file names are least distinct.
fn fit(text: &str, column: Column) -> String {
    let width = usize::from(column.width);
    let count = text.chars().count();
    let text: String = if count > width {
        let tail = text.chars().skip(count - width.saturating_sub(1));
        std::iter::once('…').chain(tail).collect()
    } else {
        text.to_owned()
    };
    match column.align {
        Align::Left => format!("{text:<width$}"),
        Align::Right => format!("{text:>width$}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 4] = [left("NAME", 5), right("A", 3), right("B", 3), right("C", 3)];

    #[test]
    fn chosen_column_is_always_seen_beside_the_first() {
        assert_eq!(shown_columns(&COLUMNS, 0, 80), [0, 1, 2, 3]);
        assert_eq!(shown_columns(&COLUMNS, 1, 13), [0, 1, 2]);
        assert_eq!(shown_columns(&COLUMNS, 3, 13), [0, 2, 3]);
        assert_eq!(shown_columns(&COLUMNS, 3, 1), [0]);
    }

    #[test]
    fn long_words_keep_their_end() {
        assert_eq!(fit("src/a.cpp", left("", 6)), "…a.cpp");
        assert_eq!(fit("7", right("", 3)), "  7");
    }

    #[test]
    fn numbers_are_sorted_as_numbers() {
        let row = |value: f64| Row {
            key: (),
            cells: vec![Cell::number(value)],
            details: Vec::new(),
        };
        let mut rows = [row(10.0), row(9.0), row(100.0)];
        sort(&mut rows, 0, true);
        let texts: Vec<&str> = rows.iter().map(|row| row.cells[0].text.as_str()).collect();
        assert_eq!(texts, ["100", "10", "9"]);
    }
}
