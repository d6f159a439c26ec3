use crossterm::event::{KeyCode, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};

use super::page::Page;
use super::screen::{START, Screen, demo};
use crate::demo::Demo;
use crate::event::Event;
use crate::model::Cluster;

#[test]
fn every_page_survives_every_size() {
    for (width, height) in [(80, 24), (200, 60), (40, 10), (20, 3), (1, 1)] {
        let mut screen = Screen::new(width, height, demo(120));
        for page in '1'..='9' {
            screen.press(KeyCode::Char(page));
            let text = screen.text();
            if height >= 24 {
                let page = screen.ui.page().name().to_owned();
                assert!(text.lines().last().unwrap().contains(&page), "{text}");
                assert!(text.lines().count() > 8, "{text}");
            }
            screen.keys("\n\x1b");
        }
        for dialog in ["c", "s", "t", "g", "e", "?"] {
            screen.keys(dialog);
            screen.keys("\x1b");
        }
    }
}

#[test]
fn the_screen_follows_the_window() {
    let mut screen = Screen::new(80, 24, demo(120));
    for (width, height) in [(120, 40), (40, 10), (30, 5), (80, 24)] {
        screen.resize(width, height);
        let text = screen.text();
        if height >= 10 {
            assert_eq!(text.lines().count(), usize::from(height), "{text}");
            let is_narrow = |line: &str| line.chars().count() <= usize::from(width);
            assert!(text.lines().all(is_narrow), "{text}");
        }
    }
    screen.has(&["NAME", "1:hosts"]);
}

#[test]
fn every_title_has_room_for_its_arrow() {
    for page in Page::ALL {
        for column in page.columns() {
            assert!(
                column.title.chars().count() < usize::from(column.width),
                "{}",
                column.title
            );
        }
    }
}

#[test]
fn space_opens_in_place_and_a_opens_all() {
    let mut screen = Screen::new(80, 120, demo(120));
    screen.keys(" ");
    screen.has(&["slot 1", "Sandbox: namespaces"]);
    screen.keys(" ");
    assert!(!screen.text().contains("slot 1"));
    screen.keys("a");
    assert!(screen.text().matches("slot 2").count() > 1);
}

#[test]
fn filter_keeps_what_matches() {
    let mut screen = Screen::new(80, 24, demo(300));
    screen.keys("2/LEXER\n");
    let text = screen.text();
    let rows: Vec<&str> = text
        .lines()
        .skip_while(|line| !line.starts_with("FILE"))
        .skip(1)
        .take_while(|line| !line.starts_with('/'))
        .filter(|line| !line.is_empty())
        .collect();
    assert!(
        !rows.is_empty() && rows.iter().all(|row| row.contains("lexer.")),
        "{text}"
    );
    screen.keys("\x1b");
    screen.has(&["parser."]);
}

#[test]
fn a_held_picture_stands_still_and_says_so() {
    let mut screen = Screen::new(80, 24, demo(100));
    screen.keys("p");
    let first = |text: String| text.lines().take(20).collect::<Vec<_>>().join("\n");
    let held = first(screen.text());
    (screen.cluster, screen.now) = demo(200);
    let text = screen.text();
    assert!(text.contains("PAUSED 20.0s"), "{text}");
    assert_eq!(first(text), held);
    screen.keys("p");
    assert_ne!(first(screen.text()), held);
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
    let name = screen.cluster.hosts().next().unwrap().1.facts.name.clone();
    screen.has(&[&name]);
    // It recovers without a key.
    let now = screen.now;
    screen.cluster.apply(
        now,
        Event::Connected {
            scheduler: "127.0.0.1:8765".to_owned(),
            netname: None,
            protocol: 44,
        },
    );
    screen.has(&["Scheduler 127.0.0.1:8765"]);
}

#[test]
fn the_cursor_stays_in_sight_below_the_first_screen() {
    let mut demo = Demo::new(1, 60, START);
    let mut cluster = Cluster::new();
    for event in demo.step() {
        cluster.apply(START, event);
    }
    let mut screen = Screen::new(80, 24, (cluster, START));
    screen.press(KeyCode::End);
    let (_, last) = screen
        .cluster
        .hosts()
        .max_by_key(|(_, host)| host.facts.name.clone())
        .unwrap();
    let name = last.facts.name.clone();
    screen.has(&[&name]);
}

#[test]
fn following_stays_on_the_newest_and_moving_ends_it() {
    let mut screen = Screen::new(80, 24, demo(100));
    screen.keys("2");
    assert_eq!(screen.ui.view().selected, 0);
    (screen.cluster, screen.now) = demo(120);
    screen.text();
    assert_eq!(screen.ui.view().selected, 0, "the newest");
    screen.keys("j");
    let key = screen.ui.view().key.clone();
    (screen.cluster, screen.now) = demo(140);
    screen.text();
    assert_eq!(screen.ui.view().key, key, "the cursor goes with its job");
    assert!(screen.ui.view().selected > 1);
    screen.keys("f");
    assert_eq!(screen.ui.view().selected, 0);
}

fn mouse(kind: MouseEventKind, column: u16, row: u16) -> MouseEvent {
    MouseEvent {
        kind,
        column,
        row,
        modifiers: KeyModifiers::NONE,
    }
}

#[test]
fn the_mouse_moves_and_chooses() {
    let mut screen = Screen::new(80, 24, demo(100));
    let titles = screen
        .text()
        .lines()
        .position(|line| line.contains("↑NAME"))
        .unwrap() as u16;
    screen.ui.point(mouse(MouseEventKind::ScrollDown, 3, 10));
    screen.text();
    assert_eq!(screen.ui.view().selected, 3);
    screen.ui.point(mouse(
        MouseEventKind::Down(MouseButton::Left),
        3,
        titles + 2,
    ));
    screen.text();
    assert_eq!(screen.ui.view().selected, 1);
    screen
        .ui
        .point(mouse(MouseEventKind::Down(MouseButton::Left), 3, titles));
    screen.has(&["↓NAME"]);
    screen
        .ui
        .point(mouse(MouseEventKind::Down(MouseButton::Left), 10, 23));
    assert_eq!(screen.ui.page(), Page::Jobs);
}

#[test]
fn columns_are_hidden_moved_and_sorted_by() {
    let mut screen = Screen::new(80, 24, demo(100));
    screen.keys("cj ");
    screen.has(&["[ ] STATE"]);
    screen.keys("j+\x1b");
    let line = screen.line("↑NAME");
    assert!(!line.contains("STATE"), "{line}");
    assert!(
        line.find("CUR").unwrap() < line.find(" IN ").unwrap(),
        "{line}"
    );
    screen.keys("sj\n");
    screen.has(&["↑CUR"]);
    screen.keys("sj\n");
    screen.has(&["↑IN"]);
}
