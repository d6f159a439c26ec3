//! Where the loader of this machine finds a library: its cache, or the folders it would look in.
//!
//! Variants for newer processors (`glibc-hwcaps`) are passed over: the archive goes to machines of unknown kind.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use super::CreateError;
use super::elf::{self, Abi, Elf};

const CACHE_FILE: &str = "/etc/ld.so.cache";
const CACHE_MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
/// Looked in where there is no cache, after the configured folders.
const USUAL_FOLDERS: [&str; 6] = [
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
    "/usr/local/lib64",
    "/usr/local/lib",
];

/// The libraries of this machine.
pub(super) struct Libraries {
    cache: HashMap<Vec<u8>, Vec<PathBuf>>,
    folders: Vec<PathBuf>,
    known: BTreeMap<PathBuf, Option<Rc<Elf>>>,
}

impl Libraries {
    pub(super) fn new() -> Self {
        let cache = fs::read(CACHE_FILE).unwrap_or_default();
        let mut folders = configured_folders(Path::new("/etc/ld.so.conf"), 0);
        folders.extend(USUAL_FOLDERS.map(PathBuf::from));
        // Last, so that the variable completes but does not change what is packed.
        let variable = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
        folders.extend(std::env::split_paths(&variable).filter(|folder| folder.is_absolute()));
        Self {
            cache: parse_cache(&cache).unwrap_or_default(),
            folders,
            known: BTreeMap::new(),
        }
    }

    /// The headers of a file, read once.
    pub(super) fn headers(&mut self, path: &Path) -> Result<Option<Rc<Elf>>, CreateError> {
        if let Some(known) = self.known.get(path) {
            return Ok(known.clone());
        }
        let headers = elf::read(path)?.map(Rc::new);
        self.known.insert(path.to_owned(), headers.clone());
        Ok(headers)
    }

    /// Whether a file is a library for these programs.
    pub(super) fn fits(&mut self, path: &Path, abi: Abi) -> bool {
        path.is_file() && matches!(self.headers(path), Ok(Some(elf)) if elf.abi == abi)
    }

    /// Looks where the loader looks if a program names no folder of its own.
    pub(super) fn find(&mut self, name: &OsStr, abi: Abi) -> Option<PathBuf> {
        let cached = self.cache.get(name.as_bytes()).cloned();
        let in_folders = self.folders.iter().map(|folder| folder.join(name));
        let candidates: Vec<PathBuf> = cached.into_iter().flatten().chain(in_folders).collect();
        candidates.into_iter().find(|path| self.fits(path, abi))
    }

    /// The folder in which the loader looks unasked: where the C library is, for the loader could not find it
    /// otherwise.
    pub(super) fn home(&mut self, abi: Abi, interpreter: Option<&Path>) -> PathBuf {
        let loader = interpreter.and_then(Path::file_name).unwrap_or_default();
        if !loader.as_bytes().starts_with(b"ld-musl") {
            for name in ["libc.so.6", "libc.so.7", "libc.so.6.1"] {
                let found = self.find(OsStr::new(name), abi);
                if let Some(folder) = found.as_deref().and_then(Path::parent) {
                    return folder.to_owned();
                }
            }
        }
        PathBuf::from("/lib")
    }
}

/// The folders a `DT_RPATH` or `DT_RUNPATH` means, for a file in folder `origin`.
pub(super) fn expand(list: &[u8], origin: &Path) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for entry in list.split(|&byte| byte == b':') {
        let entry = replace(
            entry,
            &[b"$ORIGIN", b"${ORIGIN}"],
            origin.as_os_str().as_bytes(),
        );
        for lib in ["lib64", "lib"] {
            let folder = replace(&entry, &[b"$LIB", b"${LIB}"], lib.as_bytes());
            let folder = PathBuf::from(OsStr::from_bytes(&folder));
            if folder.is_absolute() && !folders.contains(&folder) {
                folders.push(folder);
            }
        }
    }
    folders
}

/// A path without `.` and `..`, by its text alone.
pub(super) fn normalise(path: &Path) -> PathBuf {
    let mut plain = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(part) => plain.push(part),
            Component::ParentDir => {
                plain.pop();
            }
            _ => {}
        }
    }
    plain
}

fn replace(text: &[u8], tokens: &[&[u8]], value: &[u8]) -> Vec<u8> {
    let mut result = Vec::new();
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        let token = tokens.iter().find_map(|token| rest.strip_prefix(*token));
        match token {
            Some(after) => {
                result.extend_from_slice(value);
                rest = after;
            }
            None => {
                result.push(first);
                rest = after;
            }
        }
    }
    result
}

/// Names and paths in the loader's cache, those for every processor first.
fn parse_cache(data: &[u8]) -> Option<HashMap<Vec<u8>, Vec<PathBuf>>> {
    let start = data
        .windows(CACHE_MAGIC.len())
        .position(|part| part == CACHE_MAGIC)?;
    let table = data.get(start..)?;
    let number = |at: usize| -> Option<u32> {
        let bytes = table.get(at..at.checked_add(4)?)?;
        Some(u32::from_ne_bytes(bytes.try_into().ok()?))
    };
    let string = |offset: u32| -> Option<&[u8]> {
        let text = table.get(usize::try_from(offset).ok()?..)?;
        text.split(|&byte| byte == 0).next()
    };
    let mut plain: HashMap<Vec<u8>, Vec<PathBuf>> = HashMap::new();
    let mut special = Vec::new();
    let count = usize::try_from(number(20)?).ok()?;
    for at in (48..).step_by(24).take(count) {
        let name = string(number(at + 4)?)?.to_vec();
        let path = PathBuf::from(OsStr::from_bytes(string(number(at + 8)?)?));
        if number(at + 16)? == 0 && number(at + 20)? == 0 {
            plain.entry(name).or_default().push(path);
        } else if !path
            .as_os_str()
            .as_bytes()
            .windows(13)
            .any(|part| part == b"/glibc-hwcaps")
        {
            special.push((name, path));
        }
    }
    for (name, path) in special {
        plain.entry(name).or_default().push(path);
    }
    Some(plain)
}

/// The folders of an `ld.so.conf`, with the files it includes.
fn configured_folders(file: &Path, depth: u32) -> Vec<PathBuf> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let mut folders = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some(patterns) = line.strip_prefix("include").filter(|_| depth < 4) {
            for pattern in patterns.split_whitespace() {
                let base = file.parent().unwrap_or(Path::new("/"));
                for included in matching(&base.join(pattern)) {
                    folders.extend(configured_folders(&included, depth + 1));
                }
            }
        } else if line.starts_with('/') {
            folders.push(PathBuf::from(line));
        }
    }
    folders
}

/// The files a pattern with at most one `*`, in its last component, stands for; sorted.
fn matching(pattern: &Path) -> Vec<PathBuf> {
    let name = pattern.file_name().and_then(OsStr::to_str);
    let Some((before, after)) = name.and_then(|name| name.split_once('*')) else {
        return vec![pattern.to_owned()];
    };
    let folder = pattern.parent().unwrap_or(Path::new("/"));
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
            name.strip_prefix(before)
                .is_some_and(|rest| rest.ends_with(after))
        })
        .collect();
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn search_lists_are_expanded_for_a_place() {
        let origin = Path::new("/opt/x/bin");
        let folders = |list: &str| expand(list.as_bytes(), origin);
        assert_eq!(folders("/a:/b"), [Path::new("/a"), Path::new("/b")]);
        assert_eq!(
            folders("$ORIGIN/../lib::relative"),
            [Path::new("/opt/x/bin/../lib")]
        );
        assert_eq!(folders("${ORIGIN}"), [origin]);
        assert_eq!(
            folders("/p/$LIB"),
            [Path::new("/p/lib64"), Path::new("/p/lib")]
        );
        assert_eq!(
            normalise(Path::new("/opt/x/bin/../lib/./y")),
            Path::new("/opt/x/lib/y")
        );
        assert_eq!(normalise(Path::new("/../../a")), Path::new("/a"));
    }

    #[test]
    fn damaged_caches_are_ignored() {
        assert!(parse_cache(b"").is_none());
        assert!(parse_cache(CACHE_MAGIC).is_none());
        let mut lying = CACHE_MAGIC.to_vec();
        lying.extend_from_slice(&[0xff; 60]);
        assert!(parse_cache(&lying).is_none());
    }

    #[test]
    fn configuration_files_include_others() {
        let folder = tempfile::tempdir().unwrap();
        let conf = folder.path().join("ld.so.conf");
        fs::create_dir(folder.path().join("d")).unwrap();
        fs::write(&conf, "# note\ninclude d/*.conf\n/z # last\n").unwrap();
        fs::write(folder.path().join("d/2.conf"), "/b\n").unwrap();
        fs::write(folder.path().join("d/1.conf"), "/a\n").unwrap();
        fs::write(folder.path().join("d/no"), "/no\n").unwrap();
        let expected = ["/a", "/b", "/z"].map(PathBuf::from);
        assert_eq!(configured_folders(&conf, 0), expected);
    }
}
