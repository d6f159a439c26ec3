//! What tests need: a screen without a terminal, a picture of the recorded cluster, keys.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write as _};
use std::path::PathBuf;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::{Palette, Ui, draw};
use crate::demo::{Demo, STEP};
use crate::model::Cluster;
use crate::recording::{Entries, Recorder};

pub(super) const START: u64 = 1_700_000_000_000;

/// Length of the recording in ms.
const RECORDED: u64 = 90_000;

/// The first `steps` steps of the demo.
pub(super) fn demo(steps: u64) -> (Cluster, u64) {
    let mut demo = Demo::new(12, 6, START);
    let mut cluster = Cluster::new();
    for step in 0..steps {
        for event in demo.step() {
            cluster.apply(START + step * STEP, event);
        }
    }
    (cluster, START + steps * STEP)
}

/// A file of this crate.
pub(super) fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(name)
}

/// Whether files are to be written in place of being compared.
pub(super) fn writes() -> bool {
    std::env::var_os("GELATO_WRITE_GOLDEN").is_some()
}

/// The picture after the recording in the repository, and the time of its last event.
pub(super) fn recorded() -> (Cluster, u64) {
    let path = file("recordings/cluster.jsonl");
    if !path.exists() && writes() {
        record(&path);
    }
    let file = BufReader::new(
        File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())),
    );
    let mut cluster = Cluster::new();
    let mut now = 0;
    for entry in Entries::open(file).unwrap() {
        let entry = entry.unwrap();
        now = entry.at;
        cluster.apply(now, entry.event);
    }
    cluster.tick(now);
    (cluster, now)
}

/// Made once with the demo, and kept: later demos may tell another story.
fn record(path: &PathBuf) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut recorder = Recorder::begin(BufWriter::new(File::create(path).unwrap())).unwrap();
    let mut demo = Demo::new(7, 8, START);
    while demo.now() < START + RECORDED {
        let at = demo.now();
        for event in demo.step() {
            recorder.add(at, &event).unwrap();
        }
    }
    recorder.flush().unwrap();
}

pub(super) struct Screen {
    terminal: Terminal<TestBackend>,
    pub(super) ui: Ui,
    pub(super) cluster: Cluster,
    pub(super) now: u64,
}

impl Screen {
    pub(super) fn new(width: u16, height: u16, (cluster, now): (Cluster, u64)) -> Screen {
        let mut screen = Screen {
            terminal: Terminal::new(TestBackend::new(width, height)).unwrap(),
            ui: Ui::new(Palette::None),
            cluster,
            now,
        };
        screen.text();
        screen
    }

    pub(super) fn press(&mut self, code: KeyCode) {
        let key = KeyEvent::new(code, KeyModifiers::NONE);
        self.ui.press(key, &self.cluster, self.now);
        self.text();
    }

    /// Presses each letter; `\n` is Enter, `\x1b` Esc.
    pub(super) fn keys(&mut self, text: &str) {
        for letter in text.chars() {
            self.press(match letter {
                '\n' => KeyCode::Enter,
                '\x1b' => KeyCode::Esc,
                '\t' => KeyCode::Tab,
                letter => KeyCode::Char(letter),
            });
        }
    }

    pub(super) fn resize(&mut self, width: u16, height: u16) {
        self.terminal.backend_mut().resize(width, height);
    }

    pub(super) fn text(&mut self) -> String {
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

    /// The line with this text in it, but not the one about alerts.
    pub(super) fn line(&mut self, part: &str) -> String {
        let text = self.text();
        let line = text
            .lines()
            .find(|line| line.contains(part) && !line.starts_with('!'));
        line.unwrap_or_else(|| panic!("{part:?} is not there:\n{text}"))
            .to_owned()
    }

    #[track_caller]
    pub(super) fn has(&mut self, parts: &[&str]) {
        let text = self.text();
        for part in parts {
            assert!(text.contains(part), "{part:?} is not there:\n{text}");
        }
    }
}

/// Compares a text with a file, or writes it.
pub(super) fn golden(name: &str, text: &str) {
    let path = file(name);
    if writes() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        File::create(&path)
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        return;
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    let mut part = String::new();
    for (number, (is, should)) in text.lines().zip(wanted.lines()).enumerate() {
        if is.starts_with("=== ") {
            part = is.to_owned();
        }
        assert!(
            is == should,
            "{name} line {}, {part}:\n  is     {is:?}\n  should {should:?}\nIf that is meant: \
             GELATO_WRITE_GOLDEN=1 cargo test -p gelato-monitor golden",
            number + 1
        );
    }
    assert_eq!(text.lines().count(), wanted.lines().count(), "{name}");
}
