//! What a program or library asks of the loader, read from its own headers.
//!
//! Only headers are read, not the file. Damaged ones are errors, never panics: extra files are anybody's.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use object::elf;
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::{Endianness, FileKind, ReadCache, ReadRef};

use super::CreateError;

/// What only fits together if it is equal: word size, byte order and machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Abi {
    is_64: bool,
    is_big_endian: bool,
    pub(super) machine: u16,
}

/// A file for the loader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Elf {
    pub(super) abi: Abi,
    pub(super) interpreter: Option<PathBuf>,
    pub(super) needed: Vec<Vec<u8>>,
    /// The name by which others need it; empty if it has none.
    pub(super) soname: Vec<u8>,
    /// `DT_RPATH`; empty if there is a `DT_RUNPATH`, which makes loaders ignore it.
    pub(super) rpath: Vec<u8>,
    pub(super) runpath: Vec<u8>,
}

/// Reads the headers of a file; `None` if it is something else than ELF.
pub(super) fn read(path: &Path) -> Result<Option<Elf>, CreateError> {
    let unreadable = |source| CreateError::Missing {
        path: path.to_owned(),
        source,
    };
    let mut file = super::open_regular(path)?;
    let mut magic = Vec::new();
    file.by_ref()
        .take(4)
        .read_to_end(&mut magic)
        .map_err(unreadable)?;
    if magic != b"\x7fELF" {
        return Ok(None);
    }
    let cache = ReadCache::new(file);
    let bad = |why: String| CreateError::BadElf {
        path: path.to_owned(),
        why,
    };
    let elf = match FileKind::parse(&cache).map_err(|error| bad(error.to_string()))? {
        FileKind::Elf32 => parse::<elf::FileHeader32<Endianness>, _>(&cache),
        _ => parse::<elf::FileHeader64<Endianness>, _>(&cache),
    };
    elf.map(Some).map_err(bad)
}

fn parse<'data, H, R>(data: R) -> Result<Elf, String>
where
    H: FileHeader<Endian = Endianness>,
    R: ReadRef<'data>,
{
    let text = |error: object::Error| error.to_string();
    let header = H::parse(data).map_err(text)?;
    let endian = header.endian().map_err(text)?;
    let segments = header.program_headers(endian, data).map_err(text)?;
    let mut found = Elf {
        abi: Abi {
            is_64: header.is_class_64(),
            is_big_endian: header.is_big_endian(),
            machine: header.e_machine(endian).0,
        },
        interpreter: None,
        needed: Vec::new(),
        soname: Vec::new(),
        rpath: Vec::new(),
        runpath: Vec::new(),
    };
    let mut entries = Vec::new();
    for segment in segments {
        if let Some(name) = segment.interpreter(endian, data).map_err(text)? {
            found.interpreter = Some(PathBuf::from(OsStr::from_bytes(name)));
        }
        if let Some(dynamic) = segment.dynamic(endian, data).map_err(text)? {
            entries = dynamic
                .iter()
                .map(|entry| (entry.tag(endian), entry.val(endian)))
                .take_while(|&(tag, _)| tag != elf::DT_NULL)
                .collect();
        }
    }
    let value = |wanted| {
        let entry = entries.iter().find(|&&(tag, _)| tag == wanted);
        entry.map(|&(_, value)| value)
    };
    let Some(strings) = value(elf::DT_STRTAB) else {
        return Ok(found);
    };
    let size = value(elf::DT_STRSZ).unwrap_or(0);
    let table =
        file_offset::<H>(segments, endian, strings).ok_or("its string table lies nowhere")?;
    let string = |offset: u64| -> Result<Vec<u8>, String> {
        let start = table.checked_add(offset);
        let end = table.checked_add(size);
        start
            .zip(end)
            .and_then(|(start, end)| data.read_bytes_at_until(start..end, 0).ok())
            .map(<[u8]>::to_vec)
            .ok_or_else(|| "a string lies outside of its table".to_owned())
    };
    for &(tag, offset) in &entries {
        match tag {
            elf::DT_NEEDED => found.needed.push(string(offset)?),
            elf::DT_SONAME => found.soname = string(offset)?,
            elf::DT_RPATH => found.rpath = string(offset)?,
            elf::DT_RUNPATH => found.runpath = string(offset)?,
            _ => {}
        }
    }
    if !found.runpath.is_empty() {
        found.rpath.clear();
    }
    Ok(found)
}

fn file_offset<H: FileHeader>(
    segments: &[H::ProgramHeader],
    endian: H::Endian,
    address: u64,
) -> Option<u64> {
    segments
        .iter()
        .filter(|segment| segment.p_type(endian) == elf::PT_LOAD)
        .find_map(|segment| {
            let start: u64 = segment.p_vaddr(endian).into();
            let size: u64 = segment.p_filesz(endian).into();
            let within = address.checked_sub(start).filter(|&within| within < size)?;
            let offset: u64 = segment.p_offset(endian).into();
            offset.checked_add(within)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_program_has_a_loader_and_a_c_library() {
        let elf = read(&std::env::current_exe().unwrap()).unwrap().unwrap();
        assert!(elf.interpreter.is_some());
        assert!(elf.needed.iter().any(|name| name.starts_with(b"libc.")));
    }

    #[test]
    fn other_files_are_no_programs_and_damaged_ones_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x");
        for text in [&b""[..], b"\x7f", b"#!/bin/sh\n", b"\x7fELE"] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(read(&file).unwrap(), None);
        }
        let whole = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        for length in [4, 16, 63, 64, 200, 1000] {
            std::fs::write(&file, &whole[..length]).unwrap();
            assert!(
                matches!(read(&file), Err(CreateError::BadElf { .. })),
                "{length}"
            );
        }
    }
}
