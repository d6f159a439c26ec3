//! Names of toolchains and platforms, and the grammar of `ICECC_VERSION`.
//!
//! Pure: nothing here opens a file, except [`check_archive`], which looks at one, and [`platform`], which asks the
//! kernel for its machine name. This module is all the wrapper needs of the crate, so it uses no other module.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
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
    name.strip_prefix(CONTENT_PREFIX).is_some_and(|digits| {
        digits.len() == CONTENT_DIGITS
            && digits
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
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

/// One archive that `ICECC_VERSION` offers for a compiler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The platform the programs inside run on.
    pub platform: String,
    /// The archive as written, perhaps relative to the working directory.
    pub archive: PathBuf,
}

/// What `ICECC_VERSION` says for one compiler.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offers {
    /// At most one per platform, in the order written. Empty means: build locally.
    pub usable: Vec<Offer>,
    /// Offers left out because an earlier one has the same platform.
    pub repeated: Vec<Offer>,
}

/// Reads an `ICECC_VERSION` list, `[platform:]file[=target],...`, for one compiler name (a path or a base name).
///
/// Targets matter only if the list contains a `=` at all. An entry with a target is for compilers with that prefix,
/// one without for compilers without prefix. Icecream takes as prefix whatever is before the last `-`, so `gcc-12`
/// has the prefix `gcc`; this reading comes first, and if it leaves nothing, the target triple of the name
/// counts (`x86_64-linux-gnu` for `x86_64-linux-gnu-gcc-12`, none for `gcc-12`).
#[must_use]
pub fn parse_version_list(list: &OsStr, own_platform: &str, compiler: &OsStr) -> Offers {
    let bytes = list.as_bytes();
    let compiler = Path::new(compiler)
        .file_name()
        .unwrap_or_default()
        .as_bytes();
    let entries: Vec<(Offer, Option<&[u8]>)> = bytes
        .split(|&byte| byte == b',')
        .filter_map(|entry| parse_entry(entry, own_platform))
        .collect();
    if !bytes.contains(&b'=') {
        return without_repetitions(entries.into_iter().map(|(offer, _)| offer));
    }
    for prefix in [before_last_dash(compiler), target_triple(compiler)] {
        let fitting = entries
            .iter()
            .filter(|(_, target)| target.unwrap_or_default() == prefix);
        let offers = without_repetitions(fitting.map(|(offer, _)| offer.clone()));
        if !offers.usable.is_empty() {
            return offers;
        }
    }
    Offers::default()
}

fn parse_entry<'a>(entry: &'a [u8], own_platform: &str) -> Option<(Offer, Option<&'a [u8]>)> {
    let (rest, target) = match entry.iter().position(|&byte| byte == b'=') {
        Some(at) => (entry.get(..at)?, Some(entry.get(at + 1..)?)),
        None => (entry, None),
    };
    let (platform, file) = match rest.iter().position(|&byte| byte == b':') {
        Some(at) => (
            String::from_utf8_lossy(rest.get(..at)?).into_owned(),
            rest.get(at + 1..)?,
        ),
        None => (own_platform.to_owned(), rest),
    };
    if file.is_empty() {
        return None;
    }
    let archive = PathBuf::from(OsString::from_vec(file.to_vec()));
    Some((Offer { platform, archive }, target))
}

fn without_repetitions(offers: impl Iterator<Item = Offer>) -> Offers {
    let mut sorted = Offers::default();
    for offer in offers {
        let seen = sorted
            .usable
            .iter()
            .any(|kept| kept.platform == offer.platform);
        if seen {
            sorted.repeated.push(offer);
        } else {
            sorted.usable.push(offer);
        }
    }
    sorted
}

fn before_last_dash(name: &[u8]) -> &[u8] {
    let dash = name.iter().rposition(|&byte| byte == b'-');
    dash.and_then(|at| name.get(..at)).unwrap_or_default()
}

/// What stands before the tool's own name: `arm-eabi` in `arm-eabi-g++-12`.
fn target_triple(name: &[u8]) -> &[u8] {
    const TOOLS: [&[u8]; 6] = [b"gcc", b"g++", b"clang", b"clang++", b"cc", b"c++"];
    let mut start = 0;
    for word in name.split(|&byte| byte == b'-') {
        if TOOLS.contains(&word) {
            return name.get(..start.max(1) - 1).unwrap_or_default();
        }
        start += word.len() + 1;
    }
    &[]
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

/// Looks at a file named in `ICECC_VERSION` and returns the name of its toolchain. Symbolic links are followed, and
/// the name is that of the file as written.
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
    let name = name_of_archive(file).ok_or(ArchiveProblem::UnknownSuffix)?;
    if !is_safe_name(&name) {
        return Err(ArchiveProblem::UnsafeName);
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offers(list: &str, compiler: &str) -> Vec<String> {
        parse_version_list(OsStr::new(list), "x86_64", OsStr::new(compiler))
            .usable
            .iter()
            .map(|offer| format!("{}:{}", offer.platform, offer.archive.display()))
            .collect()
    }

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
    fn a_list_without_targets_ignores_the_compiler() {
        assert_eq!(offers("a.tgz", "arm-eabi-gcc"), ["x86_64:a.tgz"]);
        assert_eq!(
            offers(",,ia64:/x/b.tar,,c.tgz,", "gcc"),
            ["ia64:/x/b.tar", "x86_64:c.tgz"]
        );
        assert_eq!(offers("", "gcc"), [""; 0]);
        assert_eq!(offers("ia64:", "gcc"), [""; 0]);
    }

    #[test]
    fn the_first_archive_of_a_platform_wins() {
        let found = parse_version_list(OsStr::new("a.tgz,b.tgz"), "x86_64", OsStr::new("gcc"));
        assert_eq!(found.usable.len(), 1);
        assert_eq!(found.repeated.len(), 1);
        assert_eq!(found.repeated[0].archive, Path::new("b.tgz"));
    }

    #[test]
    fn targets_select_by_icecreams_prefix_first_and_by_triple_then() {
        assert_eq!(offers("a.tgz=foo-bar", "gcc"), [""; 0]);
        assert_eq!(
            offers("a.tgz=arm-eabi,b.tgz", "/opt/bin/arm-eabi-gcc"),
            ["x86_64:a.tgz"]
        );
        assert_eq!(offers("a.tgz=arm-eabi,b.tgz", "gcc"), ["x86_64:b.tgz"]);
        assert_eq!(offers("a.tgz=gcc,b.tgz", "gcc-12"), ["x86_64:a.tgz"]);
        assert_eq!(offers("b.tgz,a.tgz=gcc", "gcc-12"), ["x86_64:a.tgz"]);
        assert_eq!(offers("a.tgz=arm-eabi,b.tgz", "gcc-12"), ["x86_64:b.tgz"]);
        let debian = "x86_64-linux-gnu-gcc-12";
        assert_eq!(
            offers("a.tgz=x86_64-linux-gnu,b.tgz", debian),
            ["x86_64:a.tgz"]
        );
        assert_eq!(
            offers("m:a.tgz=arm-eabi,n:c.tar=arm-eabi", "arm-eabi-g++"),
            ["m:a.tgz", "n:c.tar"]
        );
        assert_eq!(offers("a.tgz=", "gcc"), ["x86_64:a.tgz"]);
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
        assert_eq!(check_archive(&link).as_deref(), Ok("other"));
        let odd = folder.path().join("tc.zip");
        std::fs::write(&odd, [0; 500]).unwrap();
        assert_eq!(check_archive(&odd), Err(ArchiveProblem::UnknownSuffix));
        let blank = folder.path().join("t c.tar");
        std::fs::write(&blank, [0; 500]).unwrap();
        assert_eq!(check_archive(&blank), Err(ArchiveProblem::UnsafeName));
        assert_eq!(check_archive(folder.path()), Err(ArchiveProblem::NotAFile));
    }
}
