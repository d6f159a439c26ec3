//! From tar bytes to entries. Reads old, POSIX and GNU headers with long names in either dialect.
//!
//! Headers are taken one by one and their extensions are interpreted here, because a general tar reader believes the
//! sizes in them. Anything two readers could understand differently is refused: sizes in extended headers that
//! contradict the header, sparse files, several volumes. Knows nothing of the file system.

use tar::{EntryType, Header};

use super::decode::Decoded;
use super::{Limits, UnpackError};

const BLOCK: usize = 512;
/// Largest extended header: far above any list of names and times, far below what would hurt.
const MAX_EXTENSION: u64 = 64 << 10;

/// Bits of a mode that give a program another user or group.
const SET_ID: u32 = 0o6000;

/// One entry; the content of a file is still in [`Entries::read`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) path: Vec<u8>,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    File { size: u64, executable: bool },
    Directory,
    Symlink(Vec<u8>),
    HardLink(Vec<u8>),
}

pub(super) struct Entries<'a> {
    input: Decoded<'a>,
    limits: Limits,
    count: u64,
    /// Content of the current file not yet read.
    content: u64,
    /// Padding after it.
    padding: usize,
}

/// What extended headers say about the entry after them.
#[derive(Default)]
struct Extension {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
}

impl<'a> Entries<'a> {
    pub(super) fn new(input: Decoded<'a>, limits: Limits) -> Self {
        Self {
            input,
            limits,
            count: 0,
            content: 0,
            padding: 0,
        }
    }

    /// The next entry, or `None` at the archive's end mark. Content that was not read is skipped.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, UnpackError> {
        self.skip_content()?;
        let mut extension = Extension::default();
        loop {
            let mut block = [0; BLOCK];
            self.input
                .read_exact(&mut block, "a header or before its end mark")?;
            if block.iter().all(|&byte| byte == 0) {
                return Ok(None);
            }
            check_sum(&block)?;
            let header = Header::from_byte_slice(&block);
            self.count += 1;
            if self.count > self.limits.entries {
                return Err(UnpackError::TooLarge {
                    limit: self.limits.entries,
                    unit: "entries",
                });
            }
            let size = header
                .entry_size()
                .map_err(|_| UnpackError::Damaged("a header has an impossible size".to_owned()))?;
            match header.entry_type() {
                EntryType::GNULongName => extension.path = Some(self.long_name(size)?),
                EntryType::GNULongLink => extension.link = Some(self.long_name(size)?),
                EntryType::XHeader => {
                    let data = self.extension(size)?;
                    extension.merge(&data)?;
                }
                EntryType::XGlobalHeader => {
                    let mut global = Extension::default();
                    let data = self.extension(size)?;
                    global.merge(&data)?;
                    if global.path.is_some() || global.link.is_some() || global.size.is_some() {
                        return Err(UnpackError::Damaged(
                            "a global header names or sizes every entry".to_owned(),
                        ));
                    }
                }
                _ => return self.entry(header, size, extension).map(Some),
            }
        }
    }

    /// Reads from the current file's content; 0 at its end.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, UnpackError> {
        let most = usize::try_from(self.content).unwrap_or(usize::MAX);
        let length = buffer.len().min(most);
        let count = self
            .input
            .read(buffer.get_mut(..length).unwrap_or_default())?;
        if count == 0 && length > 0 {
            return Err(UnpackError::Truncated("a file"));
        }
        self.content -= count as u64;
        Ok(count)
    }

    /// Reads to the end of the compressed data, so that its checksums are looked at.
    pub(super) fn drain(&mut self) -> Result<(), UnpackError> {
        let mut buffer = [0; 16 << 10];
        while self.input.read(&mut buffer)? > 0 {}
        Ok(())
    }

    fn skip_content(&mut self) -> Result<(), UnpackError> {
        let mut buffer = [0; 16 << 10];
        while self.content > 0 {
            self.read(&mut buffer)?;
        }
        let padding = std::mem::take(&mut self.padding);
        let padding = buffer.get_mut(..padding).unwrap_or_default();
        self.input.read_exact(padding, "a file's padding")
    }

    fn entry(
        &mut self,
        header: &Header,
        size: u64,
        extension: Extension,
    ) -> Result<Entry, UnpackError> {
        let path = extension
            .path
            .unwrap_or_else(|| header.path_bytes().into_owned());
        if extension.size.is_some_and(|claimed| claimed != size) {
            return Err(UnpackError::refused(
                &path,
                "its two headers disagree about its size",
            ));
        }
        let link = extension
            .link
            .or_else(|| header.link_name_bytes().map(|link| link.into_owned()));
        if path.len() > self.limits.path_bytes
            || link
                .as_ref()
                .is_some_and(|link| link.len() > self.limits.path_bytes)
        {
            return Err(UnpackError::TooLarge {
                limit: self.limits.path_bytes as u64,
                unit: "bytes in a name",
            });
        }
        let kind = match header.entry_type() {
            EntryType::Regular | EntryType::Continuous if !path.ends_with(b"/") => {
                // A mode that cannot be read makes no program.
                let mode = header.mode().unwrap_or(0);
                if mode & SET_ID != 0 {
                    let why = "it would run as another user or group (set-user-id, set-group-id)";
                    return Err(UnpackError::refused(&path, why));
                }
                Kind::File {
                    size,
                    executable: mode & 0o111 != 0,
                }
            }
            EntryType::Regular | EntryType::Directory => Kind::Directory,
            EntryType::Symlink => Kind::Symlink(link.unwrap_or_default()),
            EntryType::Link => Kind::HardLink(link.unwrap_or_default()),
            EntryType::Char | EntryType::Block => {
                return Err(UnpackError::refused(&path, "it is a device"));
            }
            EntryType::Fifo => return Err(UnpackError::refused(&path, "it is a fifo")),
            _ => {
                return Err(UnpackError::refused(
                    &path,
                    "it is of a kind toolchains do not need",
                ));
            }
        };
        match &kind {
            Kind::File { .. } => {
                self.content = size;
                self.padding = padding_after(size);
            }
            _ if size != 0 => {
                return Err(UnpackError::refused(&path, "it has content but is no file"));
            }
            Kind::Symlink(target) | Kind::HardLink(target) if target.is_empty() => {
                return Err(UnpackError::refused(&path, "it is a link to nothing"));
            }
            _ => {}
        }
        Ok(Entry { path, kind })
    }

    fn long_name(&mut self, size: u64) -> Result<Vec<u8>, UnpackError> {
        let mut name = self.extension(size)?;
        let end = name.iter().position(|&byte| byte == 0);
        name.truncate(end.unwrap_or(name.len()));
        Ok(name)
    }

    fn extension(&mut self, size: u64) -> Result<Vec<u8>, UnpackError> {
        if size > MAX_EXTENSION {
            return Err(UnpackError::TooLarge {
                limit: MAX_EXTENSION,
                unit: "bytes in an extended header",
            });
        }
        // Bounded just above, so it fits.
        let length = usize::try_from(size).unwrap_or_default();
        let mut data = vec![0; length + padding_after(size)];
        self.input.read_exact(&mut data, "an extended header")?;
        data.truncate(length);
        Ok(data)
    }
}

impl Extension {
    /// Takes what matters out of POSIX records `length key=value\n`.
    fn merge(&mut self, mut records: &[u8]) -> Result<(), UnpackError> {
        let damaged = || UnpackError::Damaged("an extended header cannot be read".to_owned());
        while !records.is_empty() {
            let blank = records
                .iter()
                .take(10)
                .position(|&byte| byte == b' ')
                .ok_or_else(damaged)?;
            let length: usize = decimal(records.get(..blank).unwrap_or_default())
                .and_then(|length| usize::try_from(length).ok())
                .ok_or_else(damaged)?;
            let record = records.get(blank + 1..length).ok_or_else(damaged)?;
            let record = record.strip_suffix(b"\n").ok_or_else(damaged)?;
            let equals = record
                .iter()
                .position(|&byte| byte == b'=')
                .ok_or_else(damaged)?;
            let (key, value) = record.split_at(equals);
            let value = value.get(1..).unwrap_or_default();
            if key == b"path" {
                self.path = Some(value.to_vec());
            } else if key == b"linkpath" {
                self.link = Some(value.to_vec());
            } else if key == b"size" {
                self.size = Some(decimal(value).ok_or_else(damaged)?);
            } else if key.starts_with(b"GNU.sparse.") {
                return Err(UnpackError::Damaged("it holds a sparse file".to_owned()));
            }
            records = records.get(length..).unwrap_or_default();
        }
        Ok(())
    }
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn padding_after(size: u64) -> usize {
    let last = usize::try_from(size % BLOCK as u64).unwrap_or_default();
    (BLOCK - last) % BLOCK
}

fn check_sum(block: &[u8; BLOCK]) -> Result<(), UnpackError> {
    let sum: u32 = block
        .iter()
        .enumerate()
        .map(|(at, &byte)| {
            if (148..156).contains(&at) {
                u32::from(b' ')
            } else {
                u32::from(byte)
            }
        })
        .sum();
    match Header::from_byte_slice(block).cksum() {
        Ok(claimed) if claimed == sum => Ok(()),
        _ => Err(UnpackError::Damaged(
            "a header's checksum is wrong, or this is no tar archive".to_owned(),
        )),
    }
}
