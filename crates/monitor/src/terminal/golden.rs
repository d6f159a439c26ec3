//! Every pane of a recorded cluster as text, at two sizes, compared with what it was.

use crossterm::event::KeyCode;

use super::screen::{Screen, golden, recorded};
use super::{Network, Outcome};
use crate::event::Event;
use crate::model::Kind;

/// Each pane and the keys that lead to it from the first page.
const PANES: [(&str, &str); 22] = [
    ("hosts", ""),
    ("hosts, one opened in place", "j "),
    ("hosts, the columns further right", ">>>>>>>>>>>"),
    ("all about a host", "jj\n"),
    ("jobs", "2"),
    ("jobs that failed", "2/state:failed\n"),
    ("all about a job", "2/reason: exit:0 remote\n\n"),
    ("all about a job that stayed here", "2/reason:native\n\n"),
    ("builds", "3"),
    ("all about a build", "3/state:over\n\n"),
    ("gantt", "4"),
    ("slowest files", "5"),
    ("why", "6"),
    ("jobs behind a reason", "6j\n"),
    ("toolchains", "7"),
    ("alerts", "8"),
    ("people", "9"),
    ("choosing columns", "2cjj "),
    ("choosing the order", "2s"),
    ("choosing the window", "2t"),
    ("before a host is blocked", "jb"),
    ("keys", "?"),
];

fn panes(width: u16, height: u16) -> String {
    let recorded = recorded();
    let mut all = String::new();
    let mut add = |name: &str, screen: &mut Screen| {
        all += &format!("=== {name}\n{}\n", screen.text());
    };
    for (name, keys) in PANES {
        let mut screen = Screen::new(width, height, recorded.clone());
        screen.keys(keys);
        add(name, &mut screen);
    }
    let mut screen = Screen::new(width, height, recorded.clone());
    screen.press(KeyCode::Char('g'));
    screen.ui.hear(Outcome::Networks(vec![Network {
        name: "ICECREAM".to_owned(),
        address: "10.0.0.1:8765".to_owned(),
        about: "protocol 44, up 2d03h".to_owned(),
    }]));
    add("choosing a network", &mut screen);

    let mut screen = Screen::new(width, height, recorded.clone());
    screen.press(KeyCode::Char('p'));
    screen.now += 12_000;
    add("paused", &mut screen);

    let mut screen = Screen::new(width, height, recorded);
    let reason = "10.0.0.1:8765 closed the connection".to_owned();
    screen.cluster.apply(screen.now, Event::Lost { reason });
    screen.now += 7_000;
    add("without a scheduler", &mut screen);
    all
}

#[test]
fn golden_panes_of_80_columns() {
    golden("golden/80x24.txt", &panes(80, 24));
}

#[test]
fn golden_panes_of_160_columns() {
    golden("golden/160x50.txt", &panes(160, 50));
}

/// What the panes are to show must be in the recording.
#[test]
fn the_recording_has_all_that_panes_show() {
    let (cluster, _) = recorded();
    assert!(cluster.records_told() > 20);
    for kind in [Kind::Remote, Kind::Own, Kind::Local] {
        assert!(cluster.jobs().any(|(_, job)| job.kind == kind), "{kind:?}");
    }
    assert!(cluster.jobs().any(|(_, job)| job.why.is_some()));
    assert!(cluster.builds().count() > 1);
}
