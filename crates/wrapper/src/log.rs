//! Messages for people and for scripts that match them, in Icecream's form: `ICECC[pid] date time: text`.
//!
//! Only errors are shown unless the setting `debug` (`ICECC_DEBUG`) asks for more. They go to `ICECC_LOGFILE`, else to the descriptor ccache names in `UNCACHED_ERR_FD`, else to
//! standard error. A message that cannot be written is lost; nothing here may fail a build.

use std::ffi::OsString;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::process;
use std::time::Instant;

use crate::variables::Variables;

/// How important a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Error,
    Warning,
    Info,
    Debug,
}

/// Where messages go.
#[derive(Debug)]
pub(crate) struct Log {
    level: Level,
    sink: Sink,
}

#[derive(Debug)]
enum Sink {
    StandardError,
    File(File),
}

impl Log {
    pub(crate) fn open(variables: &Variables) -> Log {
        let mut log = Log {
            level: variables.level,
            sink: Sink::StandardError,
        };
        if let Some(path) = &variables.log_file
            && let Ok(file) = OpenOptions::new().append(true).create(true).open(path)
        {
            log.sink = Sink::File(file);
        } else if let Some(number) = &variables.message_descriptor {
            match inherited(number) {
                Some(file) => log.sink = Sink::File(file),
                // Ordinary: ccache closes it but leaves the variable when it hands over a command it does not cache.
                None => log.warning(format_args!(
                    "UNCACHED_ERR_FD provides an invalid file descriptor, using stderr"
                )),
            }
        }
        log
    }

    pub(crate) fn wants(&self, level: Level) -> bool {
        level <= self.level
    }

    pub(crate) fn error(&self, text: fmt::Arguments<'_>) {
        self.write(Level::Error, text);
    }

    /// An error in place of what the compiler would have said: on standard error in any case.
    pub(crate) fn verdict(&self, text: fmt::Arguments<'_>) {
        self.error(text);
        if let Sink::File(_) = self.sink {
            eprintln!("icecc: {text}");
        }
    }

    pub(crate) fn warning(&self, text: fmt::Arguments<'_>) {
        self.write(Level::Warning, text);
    }

    pub(crate) fn info(&self, text: fmt::Arguments<'_>) {
        self.write(Level::Info, text);
    }

    pub(crate) fn debug(&self, text: fmt::Arguments<'_>) {
        self.write(Level::Debug, text);
    }

    /// A pair of lines around a piece of work, the second with its duration.
    pub(crate) fn block<T>(&self, name: &str, work: impl FnOnce() -> T) -> T {
        let begin = Instant::now();
        self.info(format_args!("<{name}>"));
        let result = work();
        self.info(format_args!("</{name}: {}ms>", begin.elapsed().as_millis()));
        result
    }

    fn write(&self, level: Level, text: fmt::Arguments<'_>) {
        if !self.wants(level) {
            return;
        }
        let now = jiff::Zoned::now().strftime("%Y-%m-%d %H:%M:%S").to_string();
        let line = format!("ICECC[{}] {now}: {text}\n", process::id());
        // One write a line, so that lines of several processes do not mix.
        let _ = match &self.sink {
            Sink::StandardError => std::io::stderr().write_all(line.as_bytes()),
            Sink::File(file) => {
                let mut file = file;
                file.write_all(line.as_bytes())
            }
        };
    }
}

/// The descriptor with this number, if it is open for writing.
fn inherited(number: &OsString) -> Option<File> {
    let number: u32 = number.to_str()?.parse().ok()?;
    OpenOptions::new()
        .append(true)
        .open(format!("/dev/fd/{number}"))
        .ok()
}
