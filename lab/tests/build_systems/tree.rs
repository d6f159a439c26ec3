//! Everything a build leaves in its folder, and what of it must be the same whoever compiled.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Result, bail};

/// Files by their path in the build folder.
pub(crate) type Tree = BTreeMap<PathBuf, Vec<u8>>;

/// Names of what differs from one build to the next even without us: diaries with times and temporary names, and what CMake
/// sorts by address. So do precompiled headers, which hold addresses.
const DIARIES: [&str; 13] = [
    ".ninja_log",
    ".ninja_deps",
    ".ninja_lock",
    "meson-log.txt",
    "meson.lock",
    "build.dat",
    "coredata.dat",
    "CMakeError.log",
    "CMakeOutput.log",
    "CMakeConfigureLog.yaml",
    "Makefile2",
    "config.log",
    "configure.log",
];

/// Reads everything below `folder` but the diaries. `plain` undoes in texts what the way of calling compilers changes.
pub(crate) fn read(folder: &Path, plain: &dyn Fn(&str) -> String) -> Result<Tree> {
    let mut tree = Tree::new();
    for path in paths(folder)? {
        let name = path.file_name().unwrap_or_default();
        if DIARIES.iter().any(|diary| name == *diary) || has_suffix(&path, ".gch") {
            continue;
        }
        let content = match fs::read_link(&path) {
            Ok(target) => target.into_os_string().into_encoded_bytes(),
            Err(_) => fs::read(&path)?,
        };
        let content = match String::from_utf8(content) {
            Ok(text) if !text.contains('\0') => plain(&text).into_bytes(),
            Ok(text) => text.into_bytes(),
            Err(bytes) => bytes.into_bytes(),
        };
        tree.insert(path.strip_prefix(folder)?.to_owned(), content);
    }
    Ok(tree)
}

/// The diaries below `folder` that contain `words`.
pub(crate) fn diaries_with(folder: &Path, words: &str) -> Result<Vec<PathBuf>> {
    let mut found = paths(folder)?;
    found.retain(|path| {
        let name = path.file_name().unwrap_or_default();
        DIARIES.iter().any(|diary| name == *diary)
            && fs::read(path).is_ok_and(|text| String::from_utf8_lossy(&text).contains(words))
    });
    Ok(found)
}

/// When each object was written.
pub(crate) fn objects(folder: &Path) -> Result<BTreeMap<PathBuf, SystemTime>> {
    let mut found = BTreeMap::new();
    for path in paths(folder)? {
        if !path.is_symlink() && (has_suffix(&path, ".o") || is_object_named_lo(&path)) {
            let time = path.metadata()?.modified()?;
            found.insert(path.strip_prefix(folder)?.to_owned(), time);
        }
    }
    Ok(found)
}

/// The objects that are new in `after`.
pub(crate) fn rewritten(
    before: &BTreeMap<PathBuf, SystemTime>,
    after: &BTreeMap<PathBuf, SystemTime>,
) -> BTreeSet<PathBuf> {
    after
        .iter()
        .filter(|(path, time)| before.get(*path) != Some(*time))
        .map(|(path, _)| path.clone())
        .collect()
}

/// Checks that both are the same.
///
/// What is to be compiled while linking has its own notes on where macros stood, so there what is linked counts.
pub(crate) fn same(ours: &Tree, plain: &Tree) -> Result<()> {
    let mut differing = BTreeSet::new();
    for path in ours.keys().chain(plain.keys()) {
        let (Some(ours), Some(plain)) = (ours.get(path), plain.get(path)) else {
            differing.insert(format!("{} is in one only", path.display()));
            continue;
        };
        if ours == plain {
            continue;
        }
        if is_object(ours) && is_object(plain) {
            if !(is_for_linker(ours) && is_for_linker(plain)) {
                differing.insert(path.display().to_string());
            }
        } else {
            let place = first_difference(ours, plain).unwrap_or_default();
            differing.insert(format!("{}{place}", path.display()));
        }
    }
    if !differing.is_empty() {
        let list: Vec<String> = differing.into_iter().collect();
        bail!("different from the plain build:\n{}", list.join("\n"));
    }
    Ok(())
}

/// A relocatable ELF file.
fn is_object(content: &[u8]) -> bool {
    content.starts_with(b"\x7fELF") && content.get(16) == Some(&1)
}

/// An object with code for link-time optimisation.
fn is_for_linker(object: &[u8]) -> bool {
    object.windows(9).any(|window| window == b".gnu.lto_")
}

/// Where two texts part.
fn first_difference(ours: &[u8], plain: &[u8]) -> Option<String> {
    let ours = std::str::from_utf8(ours).ok()?;
    let plain = std::str::from_utf8(plain).ok()?;
    let (ours, plain) = ours
        .lines()
        .zip(plain.lines())
        .find(|(ours, plain)| ours != plain)?;
    Some(format!(":\n  {ours}\n  in place of\n  {plain}"))
}

fn paths(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else {
                found.push(entry.path());
            }
        }
    }
    Ok(found)
}

fn has_suffix(path: &Path, suffix: &str) -> bool {
    path.file_name()
        .map(OsStr::as_bytes)
        .is_some_and(|name| name.ends_with(suffix.as_bytes()))
}

/// Hand-written makefiles call objects so, libtool calls descriptions of objects so.
fn is_object_named_lo(path: &Path) -> bool {
    has_suffix(path, ".lo") && fs::read(path).is_ok_and(|content| content.starts_with(b"\x7fELF"))
}
