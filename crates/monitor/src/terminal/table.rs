//! Tables that are wider and longer than the screen: the first column stays, the others move sideways under it; rows move so that
//! the cursor is seen.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

use super::style;
use crate::model::{HostId, JobId};

/// Columns for the signs that a table goes on to either side.
const SIGNS: u16 = 2;

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
    /// Milliseconds.
    Span(f64),
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

    /// A time in ms.
    pub(super) fn span(ms: u64) -> Cell {
        Cell {
            text: super::figures::span(ms),
            order: Order::Span(ms as f64),
            style: Style::new(),
        }
    }

    /// A number of bytes.
    pub(super) fn bytes(count: u64) -> Cell {
        Cell::shown(super::figures::bytes(count), count as f64)
    }

    /// What is not known; below everything that is.
    pub(super) fn unknown() -> Cell {
        Cell {
            text: "-".to_owned(),
            order: Order::Number(-1.0),
            style: style::faint(),
        }
    }

    pub(super) fn styled(mut self, style: Style) -> Cell {
        self.style = style;
        self
    }
}

impl Order {
    fn rank(&self) -> Option<f64> {
        match self {
            Order::Word(_) => None,
            Order::Number(value) | Order::Span(value) => Some(*value),
        }
    }

    fn compare(&self, other: &Order) -> Ordering {
        match (self.rank(), other.rank()) {
            (Some(one), Some(two)) => one.total_cmp(&two),
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (None, None) => match (self, other) {
                (Order::Word(one), Order::Word(two)) => one.cmp(two),
                _ => Ordering::Equal,
            },
        }
    }
}

/// What a row is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Host(HostId),
    Job(JobId),
    Build(u64),
    Word(String),
}

/// One row, with lines that belong to it when it is opened.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) key: Key,
    pub(super) cells: Vec<Cell>,
    pub(super) details: Vec<Line<'static>>,
}

impl Row {
    pub(super) fn new(key: Key, cells: Vec<Cell>) -> Row {
        Row {
            key,
            cells,
            details: Vec::new(),
        }
    }
}

/// Sorts by one column; rows that are equal there keep their order.
pub(super) fn sort(rows: &mut [Row], column: usize, reversed: bool) {
    rows.sort_by(|one, two| {
        let order = match (one.cells.get(column), two.cells.get(column)) {
            (Some(one), Some(two)) => one.order.compare(&two.order),
            _ => Ordering::Equal,
        };
        if reversed { order.reverse() } else { order }
    });
}

/// Where a table stands.
#[derive(Clone, Debug)]
pub(super) struct View {
    /// Row under the cursor.
    pub(super) selected: usize,
    /// What that row is about: the cursor goes with it.
    pub(super) key: Option<Key>,
    /// Column by which it is sorted.
    pub(super) sorted: usize,
    /// Greatest first.
    pub(super) reversed: bool,
    /// The cursor stays on the first row, whatever comes there.
    pub(super) follows: bool,
    /// How far it was moved sideways by hand.
    pub(super) moved: Option<usize>,
    /// All columns as they stand.
    pub(super) order: Vec<usize>,
    /// Columns that are not shown.
    pub(super) hidden: BTreeSet<usize>,
}

impl View {
    pub(super) fn new(columns: usize, sorted: usize, reversed: bool) -> View {
        View {
            selected: 0,
            key: None,
            sorted,
            reversed,
            follows: false,
            moved: None,
            order: (0..columns).collect(),
            hidden: BTreeSet::new(),
        }
    }

    /// Columns that are shown, as they stand.
    pub(super) fn columns(&self) -> Vec<usize> {
        let shown = |column: &usize| !self.hidden.contains(column);
        self.order.iter().copied().filter(shown).collect()
    }

    /// The next or previous shown column becomes the one to sort by.
    pub(super) fn step_sort(&mut self, forward: bool, wraps: bool) {
        let columns = self.columns();
        let Some(last) = columns.len().checked_sub(1) else {
            return;
        };
        let at = columns.iter().position(|column| *column == self.sorted);
        let next = match (at, forward) {
            (None, _) => 0,
            (Some(at), true) if at == last => {
                if wraps {
                    0
                } else {
                    last
                }
            }
            (Some(at), true) => at + 1,
            (Some(at), false) => at.saturating_sub(1),
        };
        self.sorted = columns[next];
        self.moved = None;
    }

    /// Puts the cursor where it belongs among `rows`.
    pub(super) fn settle(&mut self, rows: &[Row]) {
        if self.follows {
            self.selected = 0;
        } else if let Some(key) = &self.key
            && let Some(at) = rows.iter().position(|row| row.key == *key)
        {
            self.selected = at;
        }
        self.selected = self.selected.min(rows.len().saturating_sub(1));
        self.key = rows.get(self.selected).map(|row| row.key.clone());
    }
}

/// Where a column begins and ends on the screen, and which it is.
pub(super) type Extent = (u16, u16, usize);

/// Where things were drawn, for the mouse.
#[derive(Clone, Debug, Default)]
pub(super) struct Drawn {
    /// The line of titles, and for each column where it begins and ends.
    pub(super) titles: Option<(u16, Vec<Extent>)>,
    /// The row of the table on each line of the screen.
    pub(super) lines: Vec<(u16, usize)>,
}

/// Draws titles and as many rows as fit around the selected one.
pub(super) fn draw(
    frame: &mut Frame,
    area: Rect,
    columns: &[Column],
    rows: &[Row],
    view: &View,
) -> Drawn {
    let mut drawn = Drawn::default();
    let chosen = view.columns();
    let (shown, widths) = shown_columns(columns, &chosen, view, area.width, rows);
    let mut x = area.x;
    let mut places = Vec::new();
    let mut titles = Vec::new();
    for (&index, &width) in shown.iter().zip(&widths) {
        let arrow = match (index == view.sorted, view.reversed) {
            (false, _) => "",
            (true, false) => "↑",
            (true, true) => "↓",
        };
        let title = format!("{arrow}{}", columns[index].title);
        let look = if index == view.sorted {
            style::heading().add_modifier(Modifier::UNDERLINED)
        } else {
            style::heading()
        };
        let text = fit(&title, width, columns[index].align);
        titles.extend([Span::styled(text, look), Span::raw(" ")]);
        places.push((x, x + width, index));
        x += width + 1;
    }
    drawn.titles = Some((area.y, places));
    frame.render_widget(Line::from(titles), Rect { height: 1, ..area });
    mark_hidden(frame, area, &chosen, &shown);

    let height = usize::from(area.height).saturating_sub(1);
    // The selected row with what is opened below it as far as there is room.
    let tall = |row: &Row| 1 + row.details.len();
    let before: usize = rows.iter().take(view.selected).map(tall).sum();
    let wanted = before + rows.get(view.selected).map_or(1, tall).min(height.max(1));
    let mut skip = wanted.saturating_sub(height);
    let mut y = 1;
    for (at, row) in rows.iter().enumerate() {
        let lines = tall(row);
        if skip >= lines {
            skip -= lines;
            continue;
        }
        for part in skip..lines {
            if y > height {
                return drawn;
            }
            let line = if part == 0 {
                row_line(columns, row, &shown, &widths, at == view.selected)
            } else {
                row.details[part - 1].clone()
            };
            let place = Rect {
                y: area.y + y as u16,
                height: 1,
                ..area
            };
            frame.render_widget(line, place);
            if part == 0 && at == view.selected {
                frame.buffer_mut().set_style(place, style::selected());
            }
            drawn.lines.push((place.y, at));
            y += 1;
        }
        skip = 0;
    }
    drawn
}

fn row_line(
    columns: &[Column],
    row: &Row,
    shown: &[usize],
    widths: &[u16],
    is_selected: bool,
) -> Line<'static> {
    let cells = shown.iter().zip(widths).flat_map(|(&index, &width)| {
        let cell = row.cells.get(index);
        let text = cell.map_or("", |cell| cell.text.as_str());
        let look = cell.map_or(Style::new(), |cell| cell.style);
        // On the cursor's bar colours would be hard to read.
        let look = if is_selected { Style::new() } else { look };
        [
            Span::styled(fit(text, width, columns[index].align), look),
            Span::raw(" "),
        ]
    });
    Line::from_iter(cells)
}

/// Signs at the right end of the titles that there is more to either side.
fn mark_hidden(frame: &mut Frame, area: Rect, chosen: &[usize], shown: &[usize]) {
    let skipped = shown
        .get(1)
        .is_some_and(|first| chosen.get(1) != Some(first));
    let cut = shown.last() != chosen.last();
    let sign = match (skipped, cut) {
        (false, false) => return,
        (true, false) => "‹",
        (false, true) => "›",
        (true, true) => "‹›",
    };
    let width = sign.chars().count() as u16;
    if area.width > width {
        let place = Rect {
            x: area.x + area.width - width,
            width,
            height: 1,
            ..area
        };
        frame.render_widget(Line::styled(sign, style::heading()), place);
    }
}

/// The first column and those after it that fit, with their widths: moved sideways by hand, else such that the one sorted by is
/// among them. What is left of the width goes to words that need it.
fn shown_columns(
    columns: &[Column],
    chosen: &[usize],
    view: &View,
    width: u16,
    rows: &[Row],
) -> (Vec<usize>, Vec<u16>) {
    let wide = |shown: &[usize]| -> u16 {
        let widths = shown.iter().map(|&index| columns[index].width + 1);
        widths.sum::<u16>().saturating_sub(1)
    };
    // Signs that there is more stand at the right end.
    let width = if wide(chosen) > width {
        width.saturating_sub(SIGNS)
    } else {
        width
    };
    let from = |first: usize| {
        let mut shown: Vec<usize> = chosen.first().copied().into_iter().collect();
        for &index in chosen.iter().skip(first.max(1)) {
            shown.push(index);
            if wide(&shown) > width {
                shown.pop();
                break;
            }
        }
        shown
    };
    let last = chosen.len().saturating_sub(1).max(1);
    let shown = match view.moved {
        Some(moved) => from((1 + moved).min(last)),
        None => (1..=last)
            .map(from)
            .find(|shown| shown.contains(&view.sorted) || !chosen.contains(&view.sorted))
            .unwrap_or_else(|| from(1)),
    };
    let mut widths: Vec<u16> = shown.iter().map(|&index| columns[index].width).collect();
    let mut left = width.saturating_sub(wide(&shown));
    for (place, &index) in shown.iter().enumerate() {
        if left == 0 || columns[index].align == Align::Right {
            continue;
        }
        let cells = rows.iter().filter_map(|row| row.cells.get(index));
        let longest = cells
            .map(|cell| cell.text.chars().count())
            .max()
            .unwrap_or(0);
        let more = u16::try_from(longest)
            .unwrap_or(u16::MAX)
            .saturating_sub(widths[place])
            .min(left);
        widths[place] += more;
        left -= more;
    }
    (shown, widths)
}

/// The text in the width of a column: words lose their beginning, where file names are least distinct.
fn fit(text: &str, width: u16, align: Align) -> String {
    let width = usize::from(width);
    let count = text.chars().count();
    let text: String = if count > width {
        let tail = text.chars().skip(count - width.saturating_sub(1));
        std::iter::once('…').chain(tail).collect()
    } else {
        text.to_owned()
    };
    match align {
        Align::Left => format!("{text:<width$}"),
        Align::Right => format!("{text:>width$}"),
    }
}

/// All of a table as plain text, every column as wide as it needs.
pub(super) fn plain(columns: &[Column], rows: &[Row], view: &View) -> String {
    let shown = view.columns();
    let width = |index: usize| {
        let cells = rows.iter().filter_map(|row| row.cells.get(index));
        let longest = cells.map(|cell| cell.text.trim_end().chars().count()).max();
        let title = columns[index].title.chars().count();
        title.max(longest.unwrap_or(0)) as u16
    };
    let widths: Vec<u16> = shown.iter().map(|&index| width(index)).collect();
    let line = |text: &dyn Fn(usize) -> String| {
        let cells = shown.iter().zip(&widths);
        let cells = cells.map(|(&index, &width)| fit(&text(index), width, columns[index].align));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    let mut all = line(&|index| columns[index].title.to_owned());
    for row in rows {
        all += &line(&|index| {
            let cell = row.cells.get(index);
            cell.map_or(String::new(), |cell| cell.text.trim_end().to_owned())
        });
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 4] = [left("NAME", 5), right("A", 3), right("B", 3), right("C", 3)];

    fn shown(sorted: usize, moved: Option<usize>, width: u16) -> Vec<usize> {
        let mut view = View::new(4, sorted, false);
        view.moved = moved;
        shown_columns(&COLUMNS, &view.columns(), &view, width, &[]).0
    }

    #[test]
    fn chosen_column_is_always_seen_beside_the_first() {
        assert_eq!(shown(0, None, 80), [0, 1, 2, 3]);
        assert_eq!(shown(1, None, 15), [0, 1, 2]);
        assert_eq!(shown(3, None, 15), [0, 2, 3]);
        assert_eq!(shown(3, None, 1), [0]);
    }

    #[test]
    fn columns_move_by_hand_and_never_out_of_sight() {
        assert_eq!(shown(0, Some(1), 15), [0, 2, 3]);
        assert_eq!(shown(0, Some(99), 15), [0, 3]);
    }

    #[test]
    fn hidden_columns_are_passed_over() {
        let mut view = View::new(4, 0, false);
        view.hidden.insert(1);
        view.order = vec![0, 3, 1, 2];
        assert_eq!(view.columns(), [0, 3, 2]);
        view.step_sort(true, true);
        assert_eq!(view.sorted, 3);
        view.step_sort(true, true);
        view.step_sort(true, true);
        assert_eq!(view.sorted, 0, "it goes round");
    }

    #[test]
    fn long_words_keep_their_end_and_get_room_that_is_left() {
        assert_eq!(fit("src/a.cpp", 6, Align::Left), "…a.cpp");
        assert_eq!(fit("7", 3, Align::Right), "  7");
        let row = Row::new(Key::Build(1), vec![Cell::word("longer")]);
        let view = View::new(4, 0, false);
        let widths =
            |width| shown_columns(&COLUMNS, &[0, 1], &view, width, std::slice::from_ref(&row)).1;
        assert_eq!((widths(9), widths(20)), (vec![5, 3], vec![6, 3]));
    }

    #[test]
    fn numbers_are_sorted_as_numbers() {
        let row = |value: f64| Row::new(Key::Build(0), vec![Cell::number(value)]);
        let mut rows = [row(10.0), row(9.0), row(100.0)];
        sort(&mut rows, 0, true);
        let texts: Vec<&str> = rows.iter().map(|row| row.cells[0].text.as_str()).collect();
        assert_eq!(texts, ["100", "10", "9"]);
    }

    #[test]
    fn the_cursor_goes_with_its_row() {
        let row = |number| Row::new(Key::Build(number), Vec::new());
        let mut view = View::new(1, 0, false);
        view.selected = 1;
        view.settle(&[row(1), row(2)]);
        view.settle(&[row(3), row(1), row(2)]);
        assert_eq!(view.selected, 2);
        view.follows = true;
        view.settle(&[row(4), row(2)]);
        assert_eq!((view.selected, view.key), (0, Some(Key::Build(4))));
    }
}
