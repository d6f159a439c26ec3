//! Whether standard error is the journal, and how a line tells it its priority.

use rustix::fs::fstat;
use tracing::Level;

/// Whether standard error leads to the journal, which knows time and process by itself.
pub(crate) fn is_stderr() -> bool {
    let Ok(variable) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    fstat(rustix::stdio::stderr()).is_ok_and(|stat| names(&variable, stat.st_dev, stat.st_ino))
}

/// `JOURNAL_STREAM` is the device and the file number of the stream. Standard error may have been redirected since.
fn names(variable: &str, device: u64, file: u64) -> bool {
    variable
        .split_once(':')
        .is_some_and(|(its_device, its_file)| {
            its_device.parse() == Ok(device) && its_file.parse() == Ok(file)
        })
}

/// The text with the priority before each of its lines, as the journal takes it.
pub(crate) fn lines(level: Level, text: &str) -> String {
    let priority = match level {
        Level::ERROR => "<3>",
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        _ => "<7>",
    };
    let mut lines = String::with_capacity(text.len() + 8);
    for line in text.lines() {
        lines.push_str(priority);
        lines.push_str(line);
        lines.push('\n');
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_recognised_by_its_numbers() {
        assert!(names("8:1234", 8, 1234));
        for other in ["8:1235", "9:1234", "8", "", ":", "8:1234:1", "x:1234"] {
            assert!(!names(other, 8, 1234), "{other}");
        }
    }

    #[test]
    fn every_line_has_its_priority() {
        assert_eq!(lines(Level::WARN, "one\ntwo"), "<4>one\n<4>two\n");
        assert_eq!(lines(Level::ERROR, "one"), "<3>one\n");
        assert_eq!(lines(Level::INFO, "<3>one"), "<6><3>one\n");
        assert_eq!(lines(Level::DEBUG, "one"), "<7>one\n");
    }
}
