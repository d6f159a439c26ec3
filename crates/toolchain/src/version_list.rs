//! The grammar of `ICECC_VERSION`: `[platform:]file[=target],...`.
//!
//! Pure. Icecream's grammar cannot name every file: a platform ends at the first `:` and a target begins at the first `=`.
//! Here neither may hold a `/`, and a target has no archive's suffix, so paths with these characters are files, as long
//! as they have a slash before a colon (`./a:b.tar`). A comma in a path is written `\,`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::names::name_of_archive;

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
    /// Offers for other compilers, with the target they are for; empty for compilers without any.
    pub other_targets: Vec<(Offer, String)>,
    /// Entries without a file, as written.
    pub without_file: Vec<String>,
}

struct Entry {
    offer: Offer,
    target: Option<Vec<u8>>,
}

/// Reads an `ICECC_VERSION` list for one compiler name (a path or a base name).
///
/// Targets matter only if the list has one at all. An entry with a target is for compilers with that prefix, one without
/// for compilers without prefix. Icecream takes as prefix whatever is before the last `-`, so `gcc-12` has the
/// prefix `gcc`; this reading comes first. If it leaves nothing, the whole name counts, and then its target triple
/// (`x86_64-linux-gnu` for `x86_64-linux-gnu-gcc-12`, none for `gcc-12`).
#[must_use]
pub fn parse_version_list(list: &OsStr, own_platform: &str, compiler: &OsStr) -> Offers {
    let compiler = Path::new(compiler)
        .file_name()
        .unwrap_or_default()
        .as_bytes();
    let mut offers = Offers::default();
    let mut entries = Vec::new();
    for text in split(list.as_bytes()) {
        match parse_entry(&text, own_platform) {
            Some(entry) => entries.push(entry),
            None if text.is_empty() => {}
            None => offers
                .without_file
                .push(String::from_utf8_lossy(&text).into_owned()),
        }
    }
    let prefix = if entries.iter().any(|entry| entry.target.is_some()) {
        let triple = target_triple(compiler);
        let readings = [before_last_dash(compiler), compiler, triple];
        let fits_some = |prefix: &&[u8]| entries.iter().any(|entry| entry.is_for(prefix));
        // Without any that fits, the triple is what people mean by a target.
        Some(readings.into_iter().find(fits_some).unwrap_or(triple))
    } else {
        None
    };
    for entry in entries {
        if prefix.is_some_and(|prefix| !entry.is_for(prefix)) {
            let target = entry.target.unwrap_or_default();
            let target = String::from_utf8_lossy(&target).into_owned();
            offers.other_targets.push((entry.offer, target));
            continue;
        }
        let mut usable = offers.usable.iter();
        if usable.any(|kept| kept.platform == entry.offer.platform) {
            offers.repeated.push(entry.offer);
        } else {
            offers.usable.push(entry.offer);
        }
    }
    offers
}

impl Entry {
    fn is_for(&self, prefix: &[u8]) -> bool {
        self.target.as_deref().unwrap_or_default() == prefix
    }
}

/// The entries of a list, with commas in them as such.
fn split(list: &[u8]) -> Vec<Vec<u8>> {
    let mut entries = vec![Vec::new()];
    let mut rest = list;
    while let Some((&first, after)) = rest.split_first() {
        let last = entries.last_mut();
        match (first, after.first()) {
            (b'\\', Some(b',')) => {
                last.into_iter().for_each(|entry| entry.push(b','));
                rest = after.get(1..).unwrap_or_default();
                continue;
            }
            (b',', _) => entries.push(Vec::new()),
            _ => last.into_iter().for_each(|entry| entry.push(first)),
        }
        rest = after;
    }
    entries
}

fn parse_entry(entry: &[u8], own_platform: &str) -> Option<Entry> {
    let (rest, target) = match target_of(entry) {
        Some((rest, target)) => (rest, Some(target.to_vec())),
        None => (entry, None),
    };
    let colon = rest.iter().position(|&byte| byte == b':');
    let platform = colon
        .and_then(|at| Some((rest.get(..at)?, rest.get(at + 1..)?)))
        .filter(|(platform, _)| !platform.contains(&b'/'));
    let (platform, file) = match platform {
        Some((platform, file)) => (String::from_utf8_lossy(platform).into_owned(), file),
        None => (own_platform.to_owned(), rest),
    };
    if file.is_empty() {
        return None;
    }
    let archive = PathBuf::from(OsString::from_vec(file.to_vec()));
    let offer = Offer { platform, archive };
    Some(Entry { offer, target })
}

/// What is before and after the `=` of a target.
fn target_of(entry: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = entry.iter().rposition(|&byte| byte == b'=')?;
    let (rest, target) = (entry.get(..at)?, entry.get(at + 1..)?);
    let goes_on =
        target.contains(&b'/') || name_of_archive(OsStr::from_bytes(target).as_ref()).is_some();
    (!goes_on).then_some((rest, target))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(list: &str, compiler: &str) -> Offers {
        parse_version_list(OsStr::new(list), "x86_64", OsStr::new(compiler))
    }

    fn offers(list: &str, compiler: &str) -> Vec<String> {
        let offers = parse(list, compiler).usable.into_iter();
        offers
            .map(|offer| format!("{}:{}", offer.platform, offer.archive.display()))
            .collect()
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
        let found = parse("a.tgz,b.tgz", "gcc");
        assert_eq!(found.usable.len(), 1);
        assert_eq!(found.repeated.len(), 1);
        assert_eq!(found.repeated[0].archive, Path::new("b.tgz"));
    }

    #[test]
    fn nothing_is_skipped_in_silence() {
        let found = parse("a.tgz=arm,ia64:,b.tgz,c.tgz", "gcc");
        assert_eq!(found.without_file, ["ia64:"]);
        let targets: Vec<&str> = found
            .other_targets
            .iter()
            .map(|(_, to)| to.as_str())
            .collect();
        assert_eq!(targets, ["arm"]);
        assert_eq!(found.repeated.len(), 1);
        let found = parse("b.tgz,a.tgz=arm", "sparc-gcc");
        assert_eq!((found.usable.len(), found.other_targets.len()), (0, 2));
    }

    #[test]
    fn t18_targets_select_by_icecreams_prefix_then_by_name_then_by_triple() {
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
        let two = "c.tgz,a.tgz=gcc-11,b.tgz=gcc-12";
        assert_eq!(offers(two, "gcc-12"), ["x86_64:b.tgz"]);
    }

    #[test]
    fn t27_paths_may_hold_the_separators() {
        assert_eq!(offers("/a:b/c.tgz", "gcc"), ["x86_64:/a:b/c.tgz"]);
        assert_eq!(offers("ia64:/a:b/c.tgz", "gcc"), ["ia64:/a:b/c.tgz"]);
        assert_eq!(offers("./a:b.tgz", "gcc"), ["x86_64:./a:b.tgz"]);
        assert_eq!(offers("/a=b/c.tgz", "gcc"), ["x86_64:/a=b/c.tgz"]);
        assert_eq!(offers("/a/b=c.tgz", "gcc"), ["x86_64:/a/b=c.tgz"]);
        assert_eq!(offers("/a=b/c.tgz=arm", "arm-gcc"), ["x86_64:/a=b/c.tgz"]);
        assert_eq!(
            offers("/a\\,b/c.tgz,ia64:d\\e.tgz", "gcc"),
            ["x86_64:/a,b/c.tgz", "ia64:d\\e.tgz"]
        );
    }
}
