//! What an archive depends on, in memory and as a text file that survives restarts.
//!
//! One fact per line, a word and its values, blanks and odd bytes in paths written as `%20`. A file that cannot be
//! read is as good as none: the archive is made again.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::Key;
use crate::create::{Archive, Stamp};

const HEADER: &str = "gelato native archive 2";

/// An archive and what it was made from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Entry {
    /// File name of the archive.
    pub(super) archive: PathBuf,
    size: u64,
    files: Vec<(PathBuf, Stamp)>,
    links: Vec<(PathBuf, PathBuf)>,
    absent: Vec<PathBuf>,
}

impl Entry {
    pub(super) fn of(archive: &Archive) -> Self {
        let files = archive.files.iter().filter_map(|file| {
            let source = file.source.clone()?;
            Some((source, file.stamp))
        });
        Self {
            archive: archive
                .path
                .file_name()
                .map(PathBuf::from)
                .unwrap_or_default(),
            size: fs::metadata(&archive.path).map_or(0, |metadata| metadata.len()),
            files: files.chain(archive.scripts.iter().cloned()).collect(),
            links: archive.links.clone(),
            absent: archive.absent.clone(),
        }
    }

    /// Whether the archive is there and everything it was made from is as it was.
    pub(super) fn is_current(&self, archive: &Path) -> bool {
        let whole = fs::metadata(archive)
            .is_ok_and(|metadata| metadata.is_file() && metadata.len() == self.size);
        whole
            && self
                .files
                .iter()
                .all(|(path, stamp)| fs::metadata(path).is_ok_and(|now| Stamp::of(&now) == *stamp))
            && self
                .links
                .iter()
                .all(|(link, target)| link.canonicalize().is_ok_and(|now| now == *target))
            && self.absent.iter().all(|path| !path.exists())
    }
}

pub(super) fn write(folder: &Path, key: &Key, entry: &Entry) -> io::Result<()> {
    let mut text = format!("{HEADER}\n");
    let mut line = |word: &str, values: &[String]| {
        // Writing to a string does not fail.
        let _ok = writeln!(text, "{word} {}", values.join(" "));
    };
    line("compiler", &[encode(&key.compiler)]);
    line("compression", &[key.compression.word().to_owned()]);
    for path in &key.extra_files {
        line("extra", &[encode(path)]);
    }
    line("archive", &[encode(&entry.archive), entry.size.to_string()]);
    for (path, stamp) in &entry.files {
        let numbers = [
            stamp.size.to_string(),
            stamp.modified.0.to_string(),
            stamp.modified.1.to_string(),
            stamp.changed.0.to_string(),
            stamp.changed.1.to_string(),
            stamp.inode.0.to_string(),
            stamp.inode.1.to_string(),
        ];
        line("file", &[&[encode(path)][..], &numbers].concat());
    }
    for (link, target) in &entry.links {
        line("link", &[encode(link), encode(target)]);
    }
    for path in &entry.absent {
        line("absent", &[encode(path)]);
    }
    line("end", &[]);
    let path = folder.join(file_name(key));
    let new = path.with_extension("new");
    fs::write(&new, text)?;
    fs::rename(&new, &path)
}

/// Every entry that can be read; the other files are removed.
pub(super) fn read_all(folder: &Path) -> io::Result<Vec<(Key, Entry)>> {
    let mut entries = Vec::new();
    for file in fs::read_dir(folder)? {
        let path = file?.path();
        let read = fs::read_to_string(&path).ok();
        match read.as_deref().and_then(parse) {
            Some((key, entry)) if path.file_name() == Some(file_name(&key).as_ref()) => {
                entries.push((key, entry));
            }
            _ => {
                let _tried_again_next_time = fs::remove_file(&path);
            }
        }
    }
    Ok(entries)
}

fn parse(text: &str) -> Option<(Key, Entry)> {
    let mut lines = text.lines();
    if lines.next()? != HEADER {
        return None;
    }
    let mut key = Key {
        compiler: PathBuf::new(),
        extra_files: Vec::new(),
        compression: crate::Compression::None,
    };
    let mut entry = Entry::default();
    for line in lines {
        let words: Vec<&str> = line.split_whitespace().collect();
        match *words.as_slice() {
            ["compiler", path] => key.compiler = decode(path)?,
            ["compression", word] => key.compression = word.parse().ok()?,
            ["extra", path] => key.extra_files.push(decode(path)?),
            ["archive", path, size] => {
                entry.archive = decode(path)?;
                entry.size = size.parse().ok()?;
            }
            [
                "file",
                path,
                size,
                seconds,
                nanoseconds,
                changed,
                changed_nanoseconds,
                device,
                inode,
            ] => entry.files.push((
                decode(path)?,
                Stamp {
                    size: size.parse().ok()?,
                    modified: (seconds.parse().ok()?, nanoseconds.parse().ok()?),
                    changed: (changed.parse().ok()?, changed_nanoseconds.parse().ok()?),
                    inode: (device.parse().ok()?, inode.parse().ok()?),
                },
            )),
            ["link", link, target] => entry.links.push((decode(link)?, decode(target)?)),
            ["absent", path] => entry.absent.push(decode(path)?),
            ["end"] => return Some((key, entry)),
            _ => return None,
        }
    }
    // A torn file has no end.
    None
}

fn file_name(key: &Key) -> String {
    let mut digest = Sha256::new();
    digest.update(key.compression.word());
    for path in [&key.compiler].into_iter().chain(&key.extra_files) {
        digest.update(b"\0");
        digest.update(path.as_os_str().as_bytes());
    }
    let digest = digest.finalize();
    let shown = digest.get(..16).unwrap_or_default();
    shown.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn encode(path: &Path) -> String {
    let bytes = path.as_os_str().as_bytes();
    bytes.iter().fold(String::new(), |mut text, &byte| {
        if byte.is_ascii_graphic() && byte != b'%' {
            text.push(char::from(byte));
        } else {
            let _ok = write!(text, "%{byte:02x}");
        }
        text
    })
}

fn decode(text: &str) -> Option<PathBuf> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        if first == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = after.get(2..)?;
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    Some(PathBuf::from(OsString::from_vec(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_torn_files_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let key = Key {
            compiler: PathBuf::from("/usr/bin/gcc"),
            extra_files: vec![PathBuf::from("/a b/100%\n/ü"), PathBuf::from("/c")],
            compression: crate::Compression::Zstd,
        };
        let stamp = Stamp {
            size: 7,
            modified: (-1, 999_999_999),
            changed: (12, 34),
            inode: (u64::MAX, 3),
        };
        let entry = Entry {
            archive: PathBuf::from("0123.tar.zst"),
            size: 77,
            files: vec![(PathBuf::from("/x y"), stamp)],
            links: vec![(PathBuf::from("/l"), PathBuf::from("/t"))],
            absent: vec![PathBuf::from("/none")],
        };
        write(folder.path(), &key, &entry).unwrap();
        let expected = vec![(key.clone(), entry)];
        assert_eq!(read_all(folder.path()).unwrap(), expected);

        let file = folder.path().join(file_name(&key));
        let text = fs::read(&file).unwrap();
        for end in 0..text.len() - 2 {
            assert_eq!(parse(&String::from_utf8_lossy(&text[..end])), None, "{end}");
        }
        fs::write(&file, &text[..text.len() / 2]).unwrap();
        assert_eq!(read_all(folder.path()).unwrap(), []);
        assert!(!file.exists());
    }
}
