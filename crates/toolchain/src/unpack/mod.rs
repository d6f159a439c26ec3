//! Unpacking a toolchain archive that somebody else made.
//!
//! Everything in the archive is hostile. It may name nothing outside the root it is unpacked into, neither by name nor
//! by link; it may hold files, directories and links only; it may not outgrow its [`Limits`]. Three steps, each blind
//! to the others' concerns: `decode` turns compressed bytes into tar bytes and measures them, `entries` turns tar bytes
//! into entries, `tree` decides where an entry goes and writes it.
//!
//! The caller gives an empty private folder and removes it on error. The result is read-only, has the mount points a
//! sandbox needs, and can be deleted by [`remove_tree`] whatever its modes are.

mod decode;
mod entries;
mod remove;
mod tree;

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use remove::remove_tree;

use crate::names::is_content_name;

/// What an archive may use up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Tar bytes after decompression.
    pub unpacked_bytes: u64,
    /// Entries of all kinds.
    pub entries: u64,
    /// Bytes of one name or link target.
    pub path_bytes: usize,
    /// Bytes of all names and link targets together, which are kept in memory.
    pub names_bytes: u64,
    /// Components of one name, after links are followed.
    pub depth: usize,
    /// Unpacked bytes per compressed byte, once more than `ratio_floor` bytes are unpacked.
    pub ratio: u64,
    /// Bytes that may be unpacked whatever the ratio.
    pub ratio_floor: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            unpacked_bytes: 4 << 30,
            entries: 200_000,
            path_bytes: 4096,
            names_bytes: 64 << 20,
            depth: 128,
            ratio: 200,
            ratio_floor: 100 << 20,
        }
    }
}

/// What was unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unpacked {
    /// Bytes in regular files.
    pub bytes: u64,
    /// Files, directories and links.
    pub entries: u64,
}

/// Why an archive was not unpacked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum UnpackError {
    /// The archive ends too early.
    #[error("archive is truncated: it ends within {0}")]
    Truncated(&'static str),
    /// Not an archive, or a damaged one.
    #[error("archive is damaged: {0}")]
    Damaged(String),
    /// A name or link that leads outside, a kind of file a toolchain does not need, or entries that contradict.
    #[error("archive entry `{entry}` is refused: {why}")]
    Refused {
        /// Its name in the archive.
        entry: String,
        /// The rule it breaks.
        why: &'static str,
    },
    /// More than [`Limits`] allow.
    #[error("archive is too large: more than {limit} {unit}")]
    TooLarge {
        /// The limit passed.
        limit: u64,
        /// What it counts.
        unit: &'static str,
    },
    /// An archive without the programs every toolchain has.
    #[error("archive holds no toolchain: {0} is missing or not executable")]
    NotAToolchain(&'static str),
    /// An archive under the name of another content.
    #[error("archive is not what its name says: sent as {name}, it {found}; make it anew")]
    OtherContent {
        /// The name it came under.
        name: String,
        /// What it holds instead.
        found: String,
    },
    /// The sender went away before the end.
    #[error("transfer was given up before its end")]
    Aborted,
    /// Trouble on this machine.
    #[error("cannot write {path}: {source}")]
    Io {
        /// What was to be written.
        path: PathBuf,
        /// The system's reason.
        source: Arc<io::Error>,
    },
}

impl UnpackError {
    fn io(path: &Path, source: io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            source: Arc::new(source),
        }
    }

    fn refused(entry: &[u8], why: &'static str) -> Self {
        let mut entry = String::from_utf8_lossy(entry).into_owned();
        if let Some((end, _)) = entry.char_indices().nth(200) {
            entry.truncate(end);
        }
        Self::Refused {
            entry: entry.escape_debug().to_string(),
            why,
        }
    }
}

/// Unpacks an archive (tar, plain or compressed, told by its first bytes) into `root`, an empty folder nobody else
/// writes to. Afterwards `tmp`, `dev` and `proc` exist, and nothing but `tmp` is writable.
///
/// If the archive comes under a `name` that says its content, it must hold just that; other names are anybody's choice.
///
/// # Errors
/// See [`UnpackError`]; the folder then holds a part of the archive. An error of `input` of kind
/// [`io::ErrorKind::ConnectionAborted`] becomes [`UnpackError::Aborted`].
pub fn unpack(
    input: impl Read,
    name: Option<&str>,
    root: &Path,
    limits: Limits,
) -> Result<Unpacked, UnpackError> {
    let name = name.filter(|name| is_content_name(name));
    let decoded = decode::Decoded::new(input, limits)?;
    let mut entries = entries::Entries::new(decoded, limits);
    let mut tree = tree::Tree::new(root, limits, name.is_some());
    while let Some(entry) = entries.next()? {
        tree.add(&entry, &mut entries)?;
    }
    entries.drain()?;
    if let Some(name) = name {
        tree.require_content(name)?;
    }
    tree.finish()
}

#[cfg(test)]
mod tests;
