//! Messages for people and for scripts that match them, in Icecream's form: `ICECC[pid] date time: text`.
//!
//! Only errors are shown unless `ICECC_DEBUG` asks for more. They go to `ICECC_LOGFILE`, else to the descriptor ccache names in `UNCACHED_ERR_FD`, else to
//! standard error. A message that cannot be written is lost; nothing here may fail a build.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::process;
use std::time::Instant;

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
    pub(crate) fn from_environment() -> Log {
        let level = match env::var_os("ICECC_DEBUG") {
            None => Level::Error,
            Some(word) => level_named(&word),
        };
        if let Some(path) = env::var_os("ICECC_LOGFILE").filter(|path| !path.is_empty()) {
            let opened = OpenOptions::new()
                .append(true)
                .create(true)
                .open(PathBuf::from(path));
            if let Ok(file) = opened {
                return Log {
                    level,
                    sink: Sink::File(file),
                };
            }
        }
        let mut log = Log {
            level,
            sink: Sink::StandardError,
        };
        if let Some(number) = env::var_os("UNCACHED_ERR_FD") {
            match inherited(&number) {
                Some(file) => log.sink = Sink::File(file),
                None => log.error(format_args!(
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

fn level_named(word: &OsString) -> Level {
    let is = |name: &str| word.eq_ignore_ascii_case(name);
    if is("error") || is("errors") {
        Level::Error
    } else if is("warning") || is("warnings") {
        Level::Warning
    } else if is("info") {
        Level::Info
    } else {
        Level::Debug
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_levels_mean_everything() {
        for (word, level) in [
            ("info", Level::Info),
            ("Warnings", Level::Warning),
            ("error", Level::Error),
            ("debug", Level::Debug),
            ("", Level::Debug),
            ("1", Level::Debug),
        ] {
            assert_eq!(level_named(&OsString::from(word)), level);
        }
    }
}
