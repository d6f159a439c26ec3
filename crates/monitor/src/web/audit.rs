//! What operators did, kept: one JSON object a line, only ever appended.
//!
//! When the file has grown to [`LONGEST_FILE`] bytes it becomes `audit.jsonl.1`, and the one that was that is forgotten.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Its name in the state folder.
const FILE: &str = "audit.jsonl";

/// Bytes of a file.
const LONGEST_FILE: u64 = 8 << 20;

/// Entries that are shown.
const SHOWN: usize = 1000;

/// Bytes at the end of the file that are read at the start, enough for what is shown.
const TAIL: u64 = 1 << 20;

/// One thing that was done or tried.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct AuditEntry {
    /// When, in ms since 1970.
    pub(super) at: u64,
    /// From where: an address, or what did it by itself.
    pub(super) who: String,
    /// `block` and so on, or the command of the text port.
    pub(super) action: String,
    /// The host it was about.
    pub(super) host: String,
    /// Why, in the operator's words.
    pub(super) reason: String,
    /// For how many seconds, if not for good.
    pub(super) for_s: Option<u64>,
    /// What came of it.
    pub(super) result: String,
    /// Whether it was done.
    pub(super) ok: bool,
}

/// The newest entries, and the file.
#[derive(Debug)]
pub(super) struct Audit {
    path: Option<PathBuf>,
    newest: VecDeque<AuditEntry>,
}

impl Audit {
    /// What earlier runs left in the folder; only in memory without one.
    pub(super) fn open(folder: Option<&Path>) -> Audit {
        let path = folder.map(|folder| folder.join(FILE));
        let newest = match path.as_deref().map(tail) {
            Some(Ok(text)) => text
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok())
                .collect(),
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!("the audit log {FILE} cannot be read: {error}");
                VecDeque::new()
            }
            _ => VecDeque::new(),
        };
        let mut audit = Audit { path, newest };
        audit.trim();
        audit
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// The file cannot be written; the entry is shown all the same.
    pub(super) fn add(&mut self, entry: AuditEntry) -> io::Result<()> {
        let mut line = serde_json::to_vec(&entry)?;
        line.push(b'\n');
        self.newest.push_back(entry);
        self.trim();
        let Some(path) = &self.path else {
            return Ok(());
        };
        let mut file = open(path)?;
        if file.metadata()?.len() >= LONGEST_FILE {
            fs::rename(path, path.with_extension("jsonl.1"))?;
            file = open(path)?;
        }
        // What a crash or a full disk left of a line would spoil this one, too.
        if is_torn(&mut file)? {
            line.insert(0, b'\n');
        }
        file.write_all(&line)?;
        file.sync_data()
    }

    /// The newest first.
    pub(super) fn entries(&self) -> impl Iterator<Item = &AuditEntry> {
        self.newest.iter().rev()
    }

    fn trim(&mut self) {
        let surplus = self.newest.len().saturating_sub(SHOWN);
        self.newest.drain(..surplus);
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
}

/// Whether the last line has no end.
fn is_torn(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

fn tail(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(at: u64) -> AuditEntry {
        AuditEntry {
            at,
            who: "127.0.0.1".to_owned(),
            action: "block".to_owned(),
            host: "beta".to_owned(),
            reason: "new\nmemory".to_owned(),
            ..AuditEntry::default()
        }
    }

    #[test]
    fn entries_outlive_the_process_and_a_torn_end() {
        let folder = tempfile::tempdir().unwrap();
        let mut audit = Audit::open(Some(folder.path()));
        for at in 0..3 {
            audit.add(entry(at)).unwrap();
        }
        let file = folder.path().join(FILE);
        let mut whole = fs::read(&file).unwrap();
        assert_eq!(whole.iter().filter(|byte| **byte == b'\n').count(), 3);
        whole.truncate(whole.len() - 5);
        fs::write(&file, &whole).unwrap();
        let mut again = Audit::open(Some(folder.path()));
        let seen = |audit: &Audit| audit.entries().map(|entry| entry.at).collect::<Vec<_>>();
        assert_eq!(seen(&again), [1, 0]);
        assert_eq!(again.entries().next(), Some(&entry(1)));
        for at in [7, 8] {
            again.add(entry(at)).unwrap();
        }
        assert_eq!(seen(&Audit::open(Some(folder.path()))), [8, 7, 1, 0]);
    }

    #[test]
    fn the_file_is_bounded_and_so_is_what_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        File::create(&file).unwrap().set_len(LONGEST_FILE).unwrap();
        let mut audit = Audit::open(Some(folder.path()));
        for at in 0..SHOWN as u64 + 5 {
            audit.newest.push_back(entry(at));
        }
        audit.add(entry(9)).unwrap();
        assert!(fs::metadata(&file).unwrap().len() < 1000);
        assert!(folder.path().join("audit.jsonl.1").exists());
        assert_eq!(audit.entries().count(), SHOWN);
    }

    #[test]
    fn without_a_folder_it_is_kept_in_memory() {
        let mut audit = Audit::open(None);
        audit.add(entry(1)).unwrap();
        assert_eq!(audit.entries().count(), 1);
    }
}
