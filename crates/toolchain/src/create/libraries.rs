//! Where the loaders of this machine find a library: their caches, or the folders they would look in.
//!
//! A compiler may bring a loader of its own, built for its own folders; that one is asked where it looks. Variants for
//! newer processors (`glibc-hwcaps`) are passed over: the archive goes to machines of unknown kind.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use super::CreateError;
use super::elf::{self, Abi, Elf};
use super::identify;

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
    loaders: BTreeMap<PathBuf, Rc<Loader>>,
    /// The loader of the first program of a kind; libraries by themselves are for it.
    usual: BTreeMap<Abi, Rc<Loader>>,
}

/// What a loader does for a library that no list of folders leads to.
pub(super) struct Loader {
    /// The folder of the archive in which it looks unasked.
    pub(super) home: PathBuf,
    /// Where one that is not the system's own looks on this machine.
    own: Option<Places>,
}

struct Places {
    cache: HashMap<Vec<u8>, Vec<PathBuf>>,
    folders: Vec<PathBuf>,
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
            loaders: BTreeMap::new(),
            usual: BTreeMap::new(),
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

    /// Looks where a loader looks if a program names no folder of its own.
    pub(super) fn find(&mut self, name: &OsStr, abi: Abi, loader: &Loader) -> Option<PathBuf> {
        let (cache, folders) = match &loader.own {
            Some(places) => (&places.cache, &places.folders),
            None => (&self.cache, &self.folders),
        };
        let cached = cache.get(name.as_bytes()).cloned();
        let in_folders = folders.iter().map(|folder| folder.join(name));
        let candidates: Vec<PathBuf> = cached.into_iter().flatten().chain(in_folders).collect();
        candidates.into_iter().find(|path| self.fits(path, abi))
    }

    /// The loader that brings a program or library to life.
    pub(super) fn loader(&mut self, elf: &Elf) -> Result<Rc<Loader>, CreateError> {
        let Some(interpreter) = &elf.interpreter else {
            return Ok(match self.usual.get(&elf.abi) {
                Some(loader) => Rc::clone(loader),
                None => Rc::new(self.system_loader(elf.abi, None)),
            });
        };
        let loader = match self.loaders.get(interpreter) {
            Some(loader) => Rc::clone(loader),
            None => Rc::new(self.look_at_loader(interpreter, elf.abi)?),
        };
        self.loaders.insert(interpreter.clone(), Rc::clone(&loader));
        self.usual
            .entry(elf.abi)
            .or_insert_with(|| Rc::clone(&loader));
        Ok(loader)
    }

    fn look_at_loader(&mut self, interpreter: &Path, abi: Abi) -> Result<Loader, CreateError> {
        let system = self.system_loader(abi, Some(interpreter));
        let folder = interpreter.parent().unwrap_or(Path::new("/"));
        if USUAL_FOLDERS.iter().any(|usual| folder == Path::new(usual)) || is_musl(interpreter) {
            return Ok(system);
        }
        let mut folders = unasked_folders(&identify::ask(interpreter, &["--help"], b"")?.stdout);
        if folders.contains(&system.home) {
            // A copy of the system's.
            return Ok(system);
        }
        if folders.is_empty() {
            // One too old to tell; C libraries are built to lie beside their loader.
            folders.push(folder.to_owned());
        }
        let with_c_library = folders
            .iter()
            .find(|folder| folder.join("libc.so.6").exists())
            .or(folders.first());
        let home = with_c_library.cloned().unwrap_or(system.home);
        let cache = fs::read(folder.join("../etc/ld.so.cache")).unwrap_or_default();
        Ok(Loader {
            home,
            own: Some(Places {
                cache: parse_cache(&cache).unwrap_or_default(),
                folders,
            }),
        })
    }

    /// Looks unasked where the C library is, for it could not find that otherwise.
    fn system_loader(&mut self, abi: Abi, interpreter: Option<&Path>) -> Loader {
        let mut loader = Loader {
            home: PathBuf::from("/lib"),
            own: None,
        };
        if !interpreter.is_some_and(is_musl) {
            for name in ["libc.so.6", "libc.so.7", "libc.so.6.1"] {
                let found = self.find(OsStr::new(name), abi, &loader);
                if let Some(folder) = found.as_deref().and_then(Path::parent) {
                    loader.home = folder.to_owned();
                    break;
                }
            }
        }
        loader
    }
}

fn is_musl(interpreter: &Path) -> bool {
    let name = interpreter.file_name().unwrap_or_default();
    name.as_bytes().starts_with(b"ld-musl")
}

/// The folders a loader says it looks in, for glibc since 2.33.
fn unasked_folders(help: &[u8]) -> Vec<PathBuf> {
    help.split(|&byte| byte == b'\n')
        .filter_map(|line| line.strip_suffix(b" (system search path)"))
        .map(|folder| PathBuf::from(OsStr::from_bytes(folder.trim_ascii_start())))
        .filter(|folder| folder.is_absolute())
        .collect()
}

/// A folder of a search list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    /// On this machine.
    pub(super) here: PathBuf,
    /// In the archive.
    pub(super) there: PathBuf,
    /// Whether it is given relative to the file that has the list.
    pub(super) by_origin: bool,
}

/// The folders a `DT_RPATH` or `DT_RUNPATH` means, for a file in folder `here` that comes to lie in folder `there`.
pub(super) fn expand(list: &[u8], here: &Path, there: &Path) -> Vec<Listed> {
    let mut folders: Vec<Listed> = Vec::new();
    for entry in list.split(|&byte| byte == b':') {
        for lib in ["lib64", "lib"] {
            let entry = replace(entry, &[b"$LIB", b"${LIB}"], lib.as_bytes());
            let at = |origin: &Path| {
                let origin = origin.as_os_str().as_bytes();
                let folder = replace(&entry, &[b"$ORIGIN", b"${ORIGIN}"], origin);
                PathBuf::from(OsStr::from_bytes(&folder))
            };
            let listed = Listed {
                here: at(here),
                there: normalise(&at(there)),
                by_origin: at(here).as_os_str().as_bytes() != entry,
            };
            if listed.here.is_absolute() && !folders.contains(&listed) {
                folders.push(listed);
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
        let listed = |list: &str| expand(list.as_bytes(), origin, Path::new("/usr/bin"));
        let here = |list: &str| -> Vec<PathBuf> {
            let listed = listed(list).into_iter();
            listed.map(|listed| listed.here).collect()
        };
        assert_eq!(here("/a:/b"), [Path::new("/a"), Path::new("/b")]);
        assert_eq!(
            here("$ORIGIN/../lib::relative"),
            [Path::new("/opt/x/bin/../lib")]
        );
        assert_eq!(here("${ORIGIN}"), [origin]);
        assert_eq!(
            here("/p/$LIB"),
            [Path::new("/p/lib64"), Path::new("/p/lib")]
        );
        // Two that are one in the archive are two here.
        let both = listed("$ORIGIN/../lib:/usr/lib");
        assert_eq!(both.len(), 2);
        assert!(
            both.iter()
                .all(|listed| listed.there == Path::new("/usr/lib"))
        );
        assert_eq!((both[0].by_origin, both[1].by_origin), (true, false));
        assert_eq!(
            normalise(Path::new("/opt/x/bin/../lib/./y")),
            Path::new("/opt/x/lib/y")
        );
        assert_eq!(normalise(Path::new("/../../a")), Path::new("/a"));
    }

    #[test]
    fn loaders_say_where_they_look() {
        let help = "Usage: ld.so\n\nShared library search path:\n  (libraries located via /c)\n  \
            /opt/x/lib (system search path)\n  /opt/x/my lib (system search path)\n  /l (LD_LIBRARY_PATH)\n";
        assert_eq!(
            unasked_folders(help.as_bytes()),
            [Path::new("/opt/x/lib"), Path::new("/opt/x/my lib")]
        );
        assert!(unasked_folders(b"musl libc\nVersion 1\n").is_empty());
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
