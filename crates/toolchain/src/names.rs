//! Names of toolchains, platforms and compilers.
//!
//! Pure: nothing here opens a file, except [`check_archive`], which looks at one, and [`platform`], which asks the
//! kernel for its machine name.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Suffixes an archive may have. The name of a toolchain is its archive's file name without one of these.
pub const ARCHIVE_SUFFIXES: [&str; 6] =
    [".tar.xz", ".tar.zst", ".tar.bz2", ".tar.gz", ".tar", ".tgz"];

/// Longest name accepted from a peer, in bytes: leaves room for our own additions within a file name.
pub const MAX_NAME: usize = 240;

/// How the names of toolchains begin that say their content; see [`is_content_name`].
pub const CONTENT_PREFIX: &str = "gelato-";

/// Hexadecimal digits after [`CONTENT_PREFIX`].
const CONTENT_DIGITS: usize = 40;

/// Icecream takes nothing smaller for an archive.
const MIN_ARCHIVE_BYTES: u64 = 500;

/// The name of the toolchain in an archive file, `None` if the file has none of the known suffixes or nothing before it.
#[must_use]
pub fn name_of_archive(file: &Path) -> Option<String> {
    let name = file.file_name()?.to_str()?;
    ARCHIVE_SUFFIXES
        .iter()
        .find_map(|suffix| name.strip_suffix(suffix))
        .filter(|stem| !stem.is_empty())
        .map(str::to_owned)
}

/// The name of this machine's platform as Icecream spells it: `x86_64`, `aarch64`; on other systems than Linux with
/// the system's name before it (`FreeBSD_amd64`, `Darwin20_x86_64`).
#[must_use]
pub fn platform() -> String {
    let uname = rustix::system::uname();
    platform_from(
        &uname.sysname().to_string_lossy(),
        &uname.release().to_string_lossy(),
        &uname.machine().to_string_lossy(),
    )
}

fn platform_from(system: &str, release: &str, machine: &str) -> String {
    let whole = match system {
        "Linux" => machine.to_owned(),
        "Darwin" => format!(
            "Darwin{}_{machine}",
            release.split('.').next().unwrap_or_default()
        ),
        _ => format!("{system}_{machine}"),
    };
    whole.split_whitespace().collect()
}

/// Whether a toolchain's name may become a file name here: printable ASCII without blanks and `/`, neither `.` nor
/// `..`, at most [`MAX_NAME`] bytes.
#[must_use]
pub fn is_safe_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= MAX_NAME
        && name != "."
        && name != ".."
        && name
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'/')
}

/// Whether a name says what the toolchain holds, so that its receiver can verify it: [`CONTENT_PREFIX`] and 40 lowercase
/// hexadecimal digits. All archives we make have such a name.
#[must_use]
pub fn is_content_name(name: &str) -> bool {
    name.strip_prefix(CONTENT_PREFIX)
        .is_some_and(|digits| digits.len() == CONTENT_DIGITS && digits.bytes().all(is_digit))
}

/// Whether a platform's name may become a file name here: as [`is_safe_name`]. An empty platform, by which old peers
/// mean the receiver's own, is not safe: replace it by [`platform`] first.
#[must_use]
pub fn is_safe_platform(platform: &str) -> bool {
    is_safe_name(platform)
}

/// The C compiler that belongs to a compiler name: `clang++` → `clang`, `g++` → `gcc` (last occurrence, rest of the
/// file name kept), exactly `c++` → `cc`. Any other name is returned as it is.
#[must_use]
pub fn c_sibling(compiler: &Path) -> PathBuf {
    replace_in_name(
        compiler,
        &[("clang++", "clang"), ("g++", "gcc")],
        ("c++", "cc"),
    )
}

/// The C++ compiler that belongs to a compiler name: the reverse of [`c_sibling`].
#[must_use]
pub fn cxx_sibling(compiler: &Path) -> PathBuf {
    let name = compiler
        .file_name()
        .unwrap_or_default()
        .as_bytes()
        .windows(2);
    if name.into_iter().any(|pair| pair == b"++") {
        return compiler.to_owned();
    }
    replace_in_name(
        compiler,
        &[("clang", "clang++"), ("gcc", "g++")],
        ("cc", "c++"),
    )
}

fn replace_in_name(path: &Path, inside: &[(&str, &str)], whole: (&str, &str)) -> PathBuf {
    let Some(name) = path.file_name().map(OsStr::as_bytes) else {
        return path.to_owned();
    };
    if name == whole.0.as_bytes() {
        return path.with_file_name(whole.1);
    }
    for (from, to) in inside {
        let found = name
            .windows(from.len())
            .rposition(|part| part == from.as_bytes());
        if let Some(at) = found {
            let mut new = name.get(..at).unwrap_or_default().to_vec();
            new.extend_from_slice(to.as_bytes());
            new.extend_from_slice(name.get(at + from.len()..).unwrap_or_default());
            return path.with_file_name(OsStr::from_bytes(&new));
        }
    }
    path.to_owned()
}

/// Why a file cannot be used as an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArchiveProblem {
    /// Missing or not to be looked at; the system's own words.
    Unreadable(String),
    /// A directory, device or the like.
    NotAFile,
    /// Too small for an archive; the size in bytes.
    TooSmall(u64),
    /// No suffix that says the format, so the toolchain has no name either.
    UnknownSuffix,
    /// The name before the suffix would be refused by every worker.
    UnsafeName,
}

impl fmt::Display for ArchiveProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(why) => write!(f, "cannot be read: {why}"),
            Self::NotAFile => f.write_str("is not a regular file"),
            Self::TooSmall(size) => write!(f, "is too small for an archive ({size} bytes)"),
            Self::UnknownSuffix => {
                write!(f, "does not end in one of {}", ARCHIVE_SUFFIXES.join(", "))
            }
            Self::UnsafeName => f.write_str(
                "has a name workers refuse; use letters, digits and punctuation without blanks",
            ),
        }
    }
}

impl std::error::Error for ArchiveProblem {}

/// Looks at a file named in `ICECC_VERSION` and returns the name of its toolchain. Symbolic links are followed, and the
/// name is that of the file they lead to, if it can have one: a link may lead to another file tomorrow.
///
/// # Errors
/// The first [`ArchiveProblem`] found.
pub fn check_archive(file: &Path) -> Result<String, ArchiveProblem> {
    let opened =
        std::fs::File::open(file).map_err(|error| ArchiveProblem::Unreadable(error.to_string()))?;
    let metadata = opened
        .metadata()
        .map_err(|error| ArchiveProblem::Unreadable(error.to_string()))?;
    if !metadata.is_file() {
        return Err(ArchiveProblem::NotAFile);
    }
    if metadata.len() < MIN_ARCHIVE_BYTES {
        return Err(ArchiveProblem::TooSmall(metadata.len()));
    }
    let target = file.canonicalize().ok();
    let name = target
        .and_then(|target| name_of_archive(&target))
        .or_else(|| name_of_archive(file))
        .ok_or(ArchiveProblem::UnknownSuffix)?;
    if !is_safe_name(&name) {
        return Err(ArchiveProblem::UnsafeName);
    }
    Ok(name)
}

/// The name under which an archive that [`check_archive`] calls `name` is offered. Names that people choose say nothing of the
/// content, and workers would go on using what they have under a name after the archive was made anew: such a name gets
/// a mark of this very file behind it. Names by content, ours and Icecream's, stay.
///
/// # Errors
/// If the archive cannot be read.
pub fn offered_name(file: &Path, name: &str) -> Result<String, ArchiveProblem> {
    let is_icecreams = name.len() == 32 && name.bytes().all(is_digit);
    if is_content_name(name) || is_icecreams || name.len() + MARK_DIGITS >= MAX_NAME {
        return Ok(name.to_owned());
    }
    let mark = mark_of(file).map_err(|error| ArchiveProblem::Unreadable(error.to_string()))?;
    Ok(format!("{name}-{mark:0width$x}", width = MARK_DIGITS))
}

/// Hexadecimal digits of a mark.
const MARK_DIGITS: usize = 16;

/// Bytes read at each end of an archive.
const MARK_BYTES: u64 = 4096;

fn is_digit(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

/// What tells two versions of an archive apart, at no cost worth mentioning: its size, and its ends, where compressed
/// files have a checksum of the whole. A plain one has none, so its time counts too. The same on every machine for copies
/// of a compressed file.
fn mark_of(path: &Path) -> io::Result<u64> {
    let mut file = File::open(path)?;
    let metadata: Metadata = file.metadata()?;
    let mut ends = Vec::new();
    file.by_ref().take(MARK_BYTES).read_to_end(&mut ends)?;
    if metadata.len() > MARK_BYTES {
        let rest = metadata.len() - MARK_BYTES;
        file.seek(SeekFrom::End(
            -i64::try_from(rest.min(MARK_BYTES)).unwrap_or(0),
        ))?;
        file.take(MARK_BYTES).read_to_end(&mut ends)?;
    }
    // A plain archive begins with a name and has this further on.
    let is_plain = ends.get(257..262) == Some(b"ustar");
    let time = if is_plain {
        [metadata.mtime(), metadata.mtime_nsec()]
    } else {
        [0, 0]
    };
    let size = metadata.len().to_le_bytes();
    let times = time.map(i64::to_le_bytes).concat();
    let bytes = size.iter().chain(&times).chain(&ends);
    // FNV-1a: short, and nobody gains by making two files of the same mark.
    Ok(bytes.fold(0xcbf2_9ce4_8422_2325, |hash: u64, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archive_names_lose_exactly_one_known_suffix() {
        for suffix in ARCHIVE_SUFFIXES {
            let file = PathBuf::from(format!("/a/b.c/gcc-12{suffix}"));
            assert_eq!(name_of_archive(&file).as_deref(), Some("gcc-12"));
        }
        assert_eq!(
            name_of_archive(Path::new("x.tar.tar.gz")).as_deref(),
            Some("x.tar")
        );
        for bad in ["x.zip", "x", ".tar", ".tar.gz", "", "/", "x.tar.gz.old"] {
            assert_eq!(name_of_archive(Path::new(bad)), None, "{bad}");
        }
    }

    #[test]
    fn names_from_peers_are_single_harmless_path_components() {
        for good in ["0123abcd", "gcc-12_x", "...", "a..b", "~x!$"] {
            assert!(is_safe_name(good), "{good}");
        }
        let long = "x".repeat(MAX_NAME + 1);
        for bad in [
            "", ".", "..", "a/b", "/", "a b", "a\tb", "a\nb", "a\u{7f}", "é", &long,
        ] {
            assert!(!is_safe_name(bad), "{bad:?}");
            assert!(!is_safe_platform(bad), "{bad:?}");
        }
        assert!(is_safe_platform(&platform()));
    }

    #[test]
    fn platforms_are_spelled_as_icecream_spells_them() {
        assert_eq!(platform_from("Linux", "6.1.0", "x86_64"), "x86_64");
        assert_eq!(
            platform_from("FreeBSD", "14.1-RELEASE", "amd64"),
            "FreeBSD_amd64"
        );
        assert_eq!(
            platform_from("Darwin", "20.6.0", "x86_64"),
            "Darwin20_x86_64"
        );
        assert_eq!(platform_from("Odd OS", "1", "a b"), "OddOS_ab");
    }

    #[test]
    fn siblings_keep_prefix_version_and_folder() {
        for (cxx, c) in [
            ("/usr/bin/g++", "/usr/bin/gcc"),
            (
                "/usr/bin/x86_64-linux-gnu-g++-12",
                "/usr/bin/x86_64-linux-gnu-gcc-12",
            ),
            ("/opt/g++/bin/clang++-14", "/opt/g++/bin/clang-14"),
            ("/usr/bin/c++", "/usr/bin/cc"),
        ] {
            assert_eq!(c_sibling(Path::new(cxx)), Path::new(c));
            assert_eq!(cxx_sibling(Path::new(c)), Path::new(cxx));
            assert_eq!(c_sibling(Path::new(c)), Path::new(c));
            assert_eq!(cxx_sibling(Path::new(cxx)), Path::new(cxx));
        }
        assert_eq!(
            c_sibling(Path::new("/usr/bin/xc++")),
            Path::new("/usr/bin/xc++")
        );
        assert_eq!(c_sibling(Path::new("/")), Path::new("/"));
    }

    #[test]
    fn archives_are_looked_at_before_use() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tc.tar.gz");
        assert!(matches!(
            check_archive(&file),
            Err(ArchiveProblem::Unreadable(_))
        ));
        std::fs::write(&file, [0; 499]).unwrap();
        assert_eq!(check_archive(&file), Err(ArchiveProblem::TooSmall(499)));
        std::fs::write(&file, [0; 500]).unwrap();
        assert_eq!(check_archive(&file).as_deref(), Ok("tc"));
        let link = folder.path().join("other.tgz");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(check_archive(&link).as_deref(), Ok("tc"));
        let stored = folder.path().join("9f2c");
        std::fs::write(&stored, [0; 500]).unwrap();
        let link = folder.path().join("linked.tar");
        std::os::unix::fs::symlink(&stored, &link).unwrap();
        assert_eq!(check_archive(&link).as_deref(), Ok("linked"));
        let odd = folder.path().join("tc.zip");
        std::fs::write(&odd, [0; 500]).unwrap();
        assert_eq!(check_archive(&odd), Err(ArchiveProblem::UnknownSuffix));
        let blank = folder.path().join("t c.tar");
        std::fs::write(&blank, [0; 500]).unwrap();
        assert_eq!(check_archive(&blank), Err(ArchiveProblem::UnsafeName));
        assert_eq!(check_archive(folder.path()), Err(ArchiveProblem::NotAFile));
    }

    #[test]
    fn t12_chosen_names_change_with_the_archive() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("arm.tar.gz");
        let copy = folder.path().join("copy.tar.gz");
        let mut content = vec![7; 20_000];
        let mut offered = |change: Option<usize>| {
            if let Some(at) = change {
                content[at] += 1;
            }
            std::fs::write(&file, &content).unwrap();
            std::fs::write(&copy, &content).unwrap();
            let [name, same] = [&file, &copy].map(|file| offered_name(file, "arm").unwrap());
            assert_eq!(name, same);
            assert!(name.starts_with("arm-") && is_safe_name(&name), "{name}");
            name
        };
        let first = offered(None);
        assert_eq!(first, offered(None));
        assert_ne!(first, offered(Some(0)));
        assert_ne!(first, offered(Some(19_999)));
        let content = format!("{CONTENT_PREFIX}{}", "0".repeat(40));
        for name in ["0123456789abcdef0123456789abcdef", &content] {
            assert_eq!(offered_name(&file, name).as_deref(), Ok(name));
        }
    }
}
