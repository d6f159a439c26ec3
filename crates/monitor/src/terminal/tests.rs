use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::*;
use crate::demo::{Demo, STEP};
use crate::event::Event;

const START: u64 = 1_700_000_000_000;

fn demo(steps: u64) -> (Cluster, u64) {
    let mut demo = Demo::new(12, 6, START);
    let mut cluster = Cluster::new();
    for step in 0..steps {
        for event in demo.step() {
            cluster.apply(START + step * STEP, event);
        }
    }
    (cluster, START + steps * STEP)
}

struct Screen {
    terminal: Terminal<TestBackend>,
    ui: Ui,
    cluster: Cluster,
    now: u64,
}

impl Screen {
    fn new(width: u16, height: u16, (cluster, now): (Cluster, u64)) -> Screen {
        Screen {
            terminal: Terminal::new(TestBackend::new(width, height)).unwrap(),
            ui: Ui::new(Palette::None),
            cluster,
            now,
        }
    }

    fn press(&mut self, code: KeyCode) {
        let key = KeyEvent::new(code, KeyModifiers::NONE);
        self.ui.press(key, &self.cluster, self.now);
        self.text();
    }

    fn type_text(&mut self, text: &str) {
        for letter in text.chars() {
            self.press(KeyCode::Char(letter));
        }
    }

    fn text(&mut self) -> String {
        let drawn = self
            .terminal
            .draw(|frame| draw(frame, &self.cluster, &mut self.ui, self.now))
            .unwrap();
        let buffer = drawn.buffer;
        let width = usize::from(buffer.area.width);
        let cells: Vec<&str> = buffer.content().iter().map(|cell| cell.symbol()).collect();
        let lines = cells
            .chunks(width)
            .map(|line| line.concat().trim_end().to_owned());
        lines.collect::<Vec<_>>().join("\n")
    }

    fn line(&mut self, beginning: &str) -> String {
        let text = self.text();
        let line = text.lines().find(|line| line.starts_with(beginning));
        line.unwrap_or_else(|| panic!("no line begins with {beginning:?}:\n{text}"))
            .to_owned()
    }
}

#[test]
fn numbers_on_the_screen_are_those_of_the_picture() {
    let mut screen = Screen::new(80, 24, demo(300));
    let (sum, totals) = (screen.cluster.occupancy(), screen.cluster.totals());
    let text = screen.text();
    assert!(
        text.contains(&format!("Slots {}/{}", sum.running, sum.slots)),
        "{text}"
    );
    assert!(text.contains(&format!("Waiting {}", sum.queued)), "{text}");
    assert!(
        text.contains(&format!(
            "remote {}  own {}  local {}",
            totals.remote, totals.own, totals.local
        )),
        "{text}"
    );
    for (_, host) in screen.cluster.hosts() {
        assert!(text.contains(&host.facts.name), "{text}");
    }
    let bar = text.lines().nth(3).unwrap();
    let jobs = bar.chars().filter(|sign| matches!(sign, '=' | '%')).count();
    assert_eq!(jobs as u32, sum.running, "{bar}");
}

#[test]
fn every_page_fits_the_smallest_usual_screen_and_survives_others() {
    for (width, height) in [(80, 24), (200, 60), (40, 8), (20, 3), (1, 1)] {
        let mut screen = Screen::new(width, height, demo(120));
        for page in '1'..='5' {
            screen.press(KeyCode::Char(page));
            let text = screen.text();
            if height >= 24 {
                let page = screen.ui.page().name().to_owned();
                assert!(text.lines().last().unwrap().contains(&page), "{text}");
                assert!(text.lines().count() > 8, "{text}");
            }
        }
        screen.press(KeyCode::Char('?'));
        screen.text();
    }
}

#[test]
fn every_column_can_be_reached_on_80_columns() {
    let mut screen = Screen::new(80, 24, demo(120));
    let mut seen = String::new();
    for _ in 0..hosts::COLUMNS.len() {
        seen.push_str(screen.text().lines().nth(4).unwrap());
        screen.press(KeyCode::Tab);
    }
    for column in hosts::COLUMNS {
        assert!(
            seen.contains(column.title),
            "{} was never shown",
            column.title
        );
    }
    assert!(screen.line("↑NAME").contains("CUR"), "Tab goes round");
}

#[test]
fn every_title_has_room_for_its_arrow() {
    let pages = [
        &hosts::COLUMNS[..],
        &jobs::COLUMNS,
        &builds::COLUMNS,
        &slowest::COLUMNS,
    ];
    for column in pages.into_iter().flatten() {
        assert!(
            column.title.len() < usize::from(column.width),
            "{}",
            column.title
        );
    }
}

#[test]
fn details_show_slots_and_all_that_was_said() {
    let mut screen = Screen::new(80, 100, demo(120));
    screen.press(KeyCode::Char(' '));
    let text = screen.text();
    assert!(
        text.contains("slot 1") && text.contains("Sandbox: namespaces"),
        "{text}"
    );
    screen.press(KeyCode::Enter);
    assert!(!screen.text().contains("slot 1"));
    screen.press(KeyCode::Char('a'));
    let text = screen.text();
    let first = |line: &&str| line.split_whitespace().take(2).eq(["slot", "1"]);
    assert!(text.lines().filter(first).count() > 1, "{text}");
}

#[test]
fn filter_keeps_what_matches() {
    let mut screen = Screen::new(80, 24, demo(300));
    screen.press(KeyCode::Char('2'));
    screen.press(KeyCode::Char('/'));
    screen.type_text("LEXER");
    screen.press(KeyCode::Enter);
    let text = screen.text();
    let rows: Vec<&str> = text
        .lines()
        .skip(5)
        .take(18)
        .filter(|line| !line.is_empty())
        .collect();
    assert!(
        !rows.is_empty() && rows.iter().all(|row| row.contains("/lexer.")),
        "{text}"
    );
    screen.press(KeyCode::Esc);
    let text = screen.text();
    let others = text.lines().skip(5).filter(|line| !line.contains("/lexer."));
    assert!(others.count() > 5, "{text}");
}

#[test]
fn a_held_picture_stands_still_and_says_so() {
    let mut screen = Screen::new(80, 24, demo(100));
    screen.press(KeyCode::Char('p'));
    let held = screen
        .text()
        .lines()
        .take(23)
        .collect::<Vec<_>>()
        .join("\n");
    (screen.cluster, screen.now) = demo(200);
    let text = screen.text();
    assert!(
        text.starts_with(&held) && text.contains("PAUSED 20.0s"),
        "{text}"
    );
    screen.press(KeyCode::Char('p'));
    assert!(!screen.text().starts_with(&held));
}

#[test]
fn a_lost_scheduler_leaves_the_last_picture_and_its_age() {
    let (mut cluster, now) = demo(100);
    let reason = "127.0.0.1:8765 closed the connection".to_owned();
    let first = "it closed the connection".to_owned();
    for (at, reason) in [(now, first), (now + 2_000, reason)] {
        cluster.apply(at, Event::Lost { reason });
    }
    let mut screen = Screen::new(80, 24, (cluster, now + 7_000));
    let text = screen.text();
    assert!(
        text.starts_with("NO SCHEDULER for 7.0s: 127.0.0.1:8765"),
        "{text}"
    );
    assert!(text.contains("ada"), "{text}");
}

#[test]
fn timeline_shows_bars_with_their_submitters_letter() {
    let mut screen = Screen::new(100, 40, demo(300));
    screen.press(KeyCode::Char('4'));
    let text = screen.text();
    assert!(text.contains('█') && text.contains('░'), "{text}");
    assert!(text.contains("one minute ago"), "{text}");
}

#[test]
fn cursor_stays_in_sight_below_the_first_screen() {
    let mut demo = Demo::new(1, 60, START);
    let mut cluster = Cluster::new();
    for event in demo.step() {
        cluster.apply(START, event);
    }
    let mut screen = Screen::new(80, 24, (cluster, START));
    screen.text();
    screen.press(KeyCode::End);
    let (_, last) = screen
        .cluster
        .hosts()
        .max_by_key(|(_, host)| host.facts.name.clone())
        .unwrap();
    let name = last.facts.name.clone();
    assert!(screen.text().contains(&name));
}
