//! Log lines as Icecream writes them, because scripts read them: `[pid] YYYY-MM-DD HH:MM:SS: text`.
//!
//! One line an event, to standard error or appended to a file. [`reopen`] opens the file anew by
//! name, which is what SIGHUP asks for after a rotation. The journal gets the text with its priority and nothing else.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::Registry;

use crate::systemd::journal;

/// Where lines go. The logger of a process is global by nature; this is all of it.
static SINK: OnceLock<Mutex<Sink>> = OnceLock::new();

enum Sink {
    Stderr,
    Journal,
    File { path: PathBuf, file: File },
}

/// Starts logging. `verbosity` counts `-v`: 0 errors, 1 warnings, 2 information, 3 and more debugging.
///
/// # Errors
/// The log file cannot be opened for appending.
pub(crate) fn init(verbosity: u8, file: Option<&Path>) -> io::Result<()> {
    let sink = match file {
        None if journal::is_stderr() => Sink::Journal,
        None => Sink::Stderr,
        Some(path) => Sink::File {
            path: path.to_owned(),
            file: open(path)?,
        },
    };
    let level = match verbosity {
        0 => LevelFilter::ERROR,
        1 => LevelFilter::WARN,
        2 => LevelFilter::INFO,
        _ => LevelFilter::DEBUG,
    };
    if SINK.set(Mutex::new(sink)).is_ok() {
        let subscriber = Registry::default().with(Lines.with_filter(level));
        // Fails only if somebody set one before us, which nobody does.
        let _ = tracing::subscriber::set_global_default(subscriber);
    }
    Ok(())
}

/// Opens the log file anew by its name; the old one stays in use if that fails.
///
/// # Errors
/// The file cannot be opened.
pub(crate) fn reopen() -> io::Result<()> {
    let Some(sink) = SINK.get() else {
        return Ok(());
    };
    let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
    if let Sink::File { path, file } = &mut *sink {
        *file = open(path)?;
    }
    Ok(())
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

struct Lines;

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        let Some(sink) = SINK.get() else { return };
        let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
        let line = if let Sink::Journal = &*sink {
            journal::lines(*event.metadata().level(), &text.0)
        } else {
            let now = jiff::Zoned::now().strftime("%Y-%m-%d %H:%M:%S");
            format!("[{}] {now}: {}\n", std::process::id(), text.0)
        };
        // Nobody is left to be told when the log itself cannot be written.
        let _ = match &mut *sink {
            Sink::Stderr | Sink::Journal => io::stderr().write_all(line.as_bytes()),
            Sink::File { file, .. } => file.write_all(line.as_bytes()),
        };
    }
}

/// The message, then the other fields as ` name=value`.
#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            let rest = std::mem::take(&mut self.0);
            let _ = write!(self.0, "{value:?}{rest}");
        } else {
            let _ = write!(self.0, " {}={value:?}", field.name());
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.0.insert_str(0, value);
        } else {
            let _ = write!(self.0, " {}={value}", field.name());
        }
    }
}
