//! Log files of running programs: counting lines, what came since, the end.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A file that some program appends lines to; it need not exist yet.
#[derive(Clone, Debug)]
pub struct LogFile {
    path: PathBuf,
}

impl LogFile {
    /// The log at `path`.
    pub fn new(path: impl Into<PathBuf>) -> LogFile {
        LogFile { path: path.into() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All of it; empty if it does not exist.
    pub fn text(&self) -> String {
        fs::read(&self.path)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Its length now, to look only at what comes later (see [`LogFile::text_since`]).
    pub fn position(&self) -> usize {
        fs::metadata(&self.path).map_or(0, |meta| usize::try_from(meta.len()).unwrap_or(usize::MAX))
    }

    /// What was written after `position`.
    pub fn text_since(&self, position: usize) -> String {
        let bytes = fs::read(&self.path).unwrap_or_default();
        String::from_utf8_lossy(bytes.get(position..).unwrap_or_default()).into_owned()
    }

    /// How many lines contain `words`.
    pub fn count(&self, words: &str) -> usize {
        self.text()
            .lines()
            .filter(|line| line.contains(words))
            .count()
    }

    /// The last `lines` lines.
    pub fn tail(&self, lines: usize) -> String {
        let text = self.text();
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    /// Makes the file empty.
    ///
    /// # Errors
    /// What the file system says.
    pub fn clear(&self) -> io::Result<()> {
        if self.path.exists() {
            fs::File::options()
                .write(true)
                .truncate(true)
                .open(&self.path)?;
        }
        Ok(())
    }
}
