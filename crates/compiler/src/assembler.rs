//! `-Wa,A,B`: options for the assembler, which runs where the compiler runs.
//!
//! Only options known to change nothing but the object may travel; files among them are sent along under absolute names.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// One `-Wa,` word as understood.
#[derive(Debug)]
pub(crate) struct AssemblerList {
    /// Nothing in it must be done here.
    pub(crate) harmless: bool,
    /// The word with absolute names.
    pub(crate) word: OsString,
    /// The files in it.
    pub(crate) files: Vec<PathBuf>,
}

/// Reads what follows `-Wa,`.
pub(crate) fn read(
    list: &OsStr,
    absolute: impl Fn(&OsStr) -> PathBuf,
    is_regular: impl Fn(&Path) -> bool,
) -> AssemblerList {
    let mut harmless = true;
    let mut word = OsString::from("-Wa");
    let mut files = Vec::new();
    let mut parts = list.as_bytes().split(|&b| b == b',');
    while let Some(part) = parts.next() {
        let text = OsStr::from_bytes(part);
        word.push(",");
        if part == b"--defsym" || part == b"--debug-prefix-map" {
            word.push(text);
            match parts.next() {
                Some(value) => {
                    word.push(",");
                    word.push(OsStr::from_bytes(value));
                }
                None => harmless = false,
            }
        } else if is_harmless(part) {
            word.push(text);
        } else if !part.starts_with(b"-") && !part.starts_with(b"@") && is_regular(&absolute(text))
        {
            let file = absolute(text);
            harmless &= !file.as_os_str().as_bytes().contains(&b',');
            word.push(&file);
            files.push(file);
        } else {
            harmless = false;
        }
    }
    AssemblerList {
        harmless,
        word,
        files,
    }
}

fn is_harmless(option: &[u8]) -> bool {
    const EXACT: &[&[u8]] = &[
        b"--32",
        b"--64",
        b"--x32",
        b"--execstack",
        b"--fatal-warnings",
        b"--keep-locals",
        b"--no-pad-sections",
        b"--no-warn",
        b"--noexecstack",
        b"--nocompress-debug-sections",
        b"--reduce-memory-overheads",
        b"--strip-local-absolute",
        b"--warn",
        b"-L",
        b"-W",
        b"-g",
        b"-gen-debug",
    ];
    const PREFIX: &[&[u8]] = &[
        b"-m",
        b"--compress-debug-sections",
        b"--elf-stt-common=",
        b"--gdwarf-",
        b"--generate-missing-build-notes=",
        b"--size-check=",
        b"-gdwarf",
    ];
    EXACT.contains(&option) || PREFIX.iter().any(|start| option.starts_with(start))
}
