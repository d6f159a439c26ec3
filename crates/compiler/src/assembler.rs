//! `-Wa,A,B` and `-Xassembler A`: options for the assembler, which runs where the compiler runs.
//!
//! Only options known to change nothing but the object may travel; files among them are sent along under absolute names.

/// What one word for the assembler means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Changes nothing but the object.
    Harmless,
    /// The name of a file it reads.
    File,
    /// Writes something, reads something, or is not known.
    Unknown,
}

/// Reads words for the assembler one after the other.
#[derive(Debug, Default)]
pub(crate) struct AssemblerWords {
    value_follows: bool,
}

impl AssemblerWords {
    pub(crate) fn next(&mut self, part: &[u8]) -> Part {
        if std::mem::take(&mut self.value_follows) {
            return Part::Harmless;
        }
        self.value_follows = part == b"--defsym" || part == b"--debug-prefix-map";
        if self.value_follows || is_harmless(part) {
            Part::Harmless
        } else if part.is_empty() || part.starts_with(b"-") || part.starts_with(b"@") {
            Part::Unknown
        } else {
            Part::File
        }
    }

    /// An option still waits for its value.
    pub(crate) fn is_unfinished(&self) -> bool {
        self.value_follows
    }
}

/// The file of a listing option: `-al=FILE`.
pub(crate) fn listing_file(option: &[u8]) -> Option<&[u8]> {
    let letters = option.strip_prefix(b"-a")?;
    let equals = memchr::memchr(b'=', letters)?;
    let (letters, file) = letters.split_at(equals);
    letters
        .iter()
        .all(u8::is_ascii_lowercase)
        .then(|| file.get(1..).unwrap_or_default())
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
