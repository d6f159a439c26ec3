//! Finds the program behind us in `PATH`.
//!
//! The wrapper usually stands before the compiler in `PATH` under the same name, as a link, a hard link or a copy, perhaps through further links. So every
//! candidate is resolved to the end and compared with ourselves by device and number, by name, and by content. What comes after us is preferred over what comes
//! before, because that is what would run without us.
//!
//! Nothing is started here and nothing read but our own size of program: what a program found is, beyond its name, is the business of `behind` and `probe`.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use gelato_compiler::names::base_name;

/// Where to look if `PATH` is unset, as the C library does.
const DEFAULT_PATH: &str = "/bin:/usr/bin";
/// As many links as the system follows.
const LONGEST_CHAIN: usize = 40;

/// A program found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// As `PATH` or the user gave it: what is run.
    pub(crate) path: PathBuf,
    /// The file itself, behind all links; `path` if there is none.
    pub(crate) real: PathBuf,
}

impl Found {
    /// See [`is_launcher`].
    pub(crate) fn is_launcher(&self) -> bool {
        is_launcher(&self.real)
    }
}

/// Whether this file, links resolved, starts the next compiler of the name it goes by: a compiler cache, or a wrapper that distributes or colours.
pub(crate) fn is_launcher(real: &Path) -> bool {
    matches!(base_name(real.as_os_str()), b"ccache" | b"sccache") || is_other_wrapper(real)
}

/// Why there is no program; reads well in parentheses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Missing {
    /// What has the name and will not do, in the order of `PATH`.
    passed_over: Vec<(PathBuf, &'static str)>,
    path_is_unset: bool,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path_is_unset {
            write!(f, "PATH is not set, {DEFAULT_PATH} was searched")?;
        }
        for (index, (path, why)) in self.passed_over.iter().enumerate() {
            let comma = if index > 0 || self.path_is_unset {
                ", "
            } else {
                ""
            };
            write!(f, "{comma}{} {why}", path.display())?;
        }
        Ok(())
    }
}

impl Missing {
    /// For the end of a sentence; nothing if there is nothing to say.
    pub(crate) fn in_parentheses(&self) -> String {
        match self.to_string() {
            text if text.is_empty() => text,
            text => format!(" ({text})"),
        }
    }
}

/// Our own executable, to be recognised.
pub(crate) struct Own {
    file: Option<(PathBuf, Metadata)>,
}

impl Own {
    pub(crate) fn find() -> Own {
        let file = env::current_exe()
            .ok()
            .and_then(|path| fs::metadata(&path).ok().map(|metadata| (path, metadata)));
        Own { file }
    }

    /// Whether the file `real` would start us, or another wrapper of our kind, again.
    pub(crate) fn is(&self, real: &Path, metadata: &Metadata) -> bool {
        if matches!(
            base_name(real.as_os_str()),
            b"icecc" | b"icerun" | b"gelato"
        ) {
            return true;
        }
        let Some((path, own)) = &self.file else {
            return false;
        };
        if (own.dev(), own.ino()) == (metadata.dev(), metadata.ino()) {
            return true;
        }
        own.len() == metadata.len()
            && matches!((fs::read(path), fs::read(real)), (Ok(a), Ok(b)) if a == b)
    }
}

/// The program `name` stands for. A name with a slash is taken as it is, unless it leads back to us: then it is searched by its last component.
pub(crate) fn find(name: &OsStr, path: Option<&OsStr>, own: &Own) -> Result<Found, Missing> {
    look(name, path, own, false)
}

/// Like [`find`], but for the compiler itself: what leads to a launcher is passed over like ourselves.
pub(crate) fn find_compiler(
    name: &OsStr,
    path: Option<&OsStr>,
    own: &Own,
) -> Result<Found, Missing> {
    look(name, path, own, true)
}

/// The program a shell starts for `name`: the first in `PATH`. If that is us, the compiler behind us, which is what we become then.
pub(crate) fn as_the_shell(
    name: &OsStr,
    path: Option<&OsStr>,
    own: &Own,
) -> Result<Found, Missing> {
    let default = OsString::from(DEFAULT_PATH);
    let is_program = |file: &PathBuf| {
        fs::metadata(file).is_ok_and(|metadata| metadata.is_file() && is_executable(&metadata))
    };
    let first = if name.as_bytes().contains(&b'/') {
        Some(PathBuf::from(name))
    } else {
        env::split_paths(path.unwrap_or(&default))
            .map(|folder| Path::new(".").join(folder).join(name))
            .find(is_program)
    };
    let first = first.ok_or_else(Missing::default)?;
    let real = fs::canonicalize(&first).unwrap_or_else(|_| first.clone());
    let is_us = fs::metadata(&real).is_ok_and(|metadata| own.is(&real, &metadata));
    if is_us {
        return find_compiler(OsStr::from_bytes(base_name(name)), path, own);
    }
    Ok(Found { path: first, real })
}

fn look(
    name: &OsStr,
    path: Option<&OsStr>,
    own: &Own,
    pass_launchers: bool,
) -> Result<Found, Missing> {
    if !name.as_bytes().contains(&b'/') {
        return in_path(name, path, own, pass_launchers);
    }
    let candidate = Path::new(name);
    let real = fs::canonicalize(candidate).unwrap_or_else(|_| candidate.to_owned());
    let is_other = match fs::metadata(candidate) {
        Ok(metadata) => own.is(&real, &metadata) || (pass_launchers && is_launcher(&real)),
        Err(_) => false,
    };
    if is_other {
        return in_path(
            OsStr::from_bytes(base_name(name)),
            path,
            own,
            pass_launchers,
        );
    }
    Ok(Found {
        path: candidate.to_owned(),
        real,
    })
}

fn in_path(
    name: &OsStr,
    path: Option<&OsStr>,
    own: &Own,
    pass_launchers: bool,
) -> Result<Found, Missing> {
    let default = OsString::from(DEFAULT_PATH);
    let mut missing = Missing {
        path_is_unset: path.is_none(),
        ..Missing::default()
    };
    let mut after_us = false;
    let mut best = None;
    for folder in env::split_paths(path.unwrap_or(&default)) {
        if name.is_empty() {
            break;
        }
        let folder = if folder.as_os_str().is_empty() {
            PathBuf::from(".")
        } else {
            folder
        };
        let candidate = folder.join(name);
        let Ok(metadata) = fs::metadata(&candidate) else {
            if candidate.is_symlink() {
                missing.passed_over.push((candidate, "leads nowhere"));
            }
            continue;
        };
        let problem = if metadata.is_dir() {
            Some("is a folder")
        } else if !metadata.is_file() {
            Some("is no program")
        } else if !is_executable(&metadata) {
            Some("is not executable")
        } else {
            None
        };
        if let Some(problem) = problem {
            missing.passed_over.push((candidate, problem));
            continue;
        }
        let real = fs::canonicalize(&candidate).unwrap_or_else(|_| candidate.clone());
        if own.is(&real, &metadata) {
            after_us = true;
            missing.passed_over.push((candidate, "is this wrapper"));
            continue;
        }
        if pass_launchers && is_launcher(&real) {
            missing
                .passed_over
                .push((candidate, "is a launcher of compilers"));
            continue;
        }
        if after_us && is_other_wrapper(&real) {
            missing
                .passed_over
                .push((candidate, "is another distributing wrapper"));
            continue;
        }
        let found = Found {
            path: candidate,
            real,
        };
        if after_us {
            return Ok(found);
        }
        best.get_or_insert(found);
    }
    best.ok_or(missing)
}

/// Wrappers that distribute as well: behind us they would send our local jobs elsewhere.
fn is_other_wrapper(real: &Path) -> bool {
    matches!(
        base_name(real.as_os_str()),
        b"distcc" | b"colorgcc" | b"tbcompiler"
    )
}

/// Whether `name`, as we were called, leads to us through a link named `icerun`: tools other than compilers are wrapped that way. The shell passes names without
/// the folder it found them in, so that is looked for again.
pub(crate) fn is_link_to_icerun(name: &OsStr, path: Option<&OsStr>) -> bool {
    let mut link = if name.as_bytes().contains(&b'/') {
        PathBuf::from(name)
    } else {
        let folders = path.into_iter().flat_map(env::split_paths);
        let mut candidates = folders.map(|folder| folder.join(name));
        let executable = |file: &PathBuf| {
            fs::metadata(file).is_ok_and(|metadata| metadata.is_file() && is_executable(&metadata))
        };
        match candidates.find(executable) {
            Some(first) => first,
            None => return false,
        }
    };
    for _ in 0..LONGEST_CHAIN {
        let Ok(target) = fs::read_link(&link) else {
            return false;
        };
        if base_name(target.as_os_str()) == b"icerun" {
            return true;
        }
        link = link.parent().unwrap_or(Path::new("")).join(target);
    }
    false
}

/// Whether anybody may execute the file.
pub(crate) fn is_executable(metadata: &Metadata) -> bool {
    metadata.permissions().mode() & 0o111 != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn program(path: &Path, content: &str) {
        fs::create_dir_all(path.parent().expect("a folder")).expect("folder");
        fs::write(path, content).expect("program");
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("mode");
    }

    fn path_of(found: Result<Found, Missing>) -> Option<PathBuf> {
        found.ok().map(|found| found.path)
    }

    #[test]
    fn we_are_recognised_as_link_chain_hard_link_and_copy() {
        let folder = tempfile::tempdir().expect("folder");
        let at = |name: &str| folder.path().join(name);
        program(&at("own/wrapper"), "the wrapper");
        program(&at("real/gcc"), "the compiler");
        program(&at("early/gcc"), "something before us");
        for kind in ["chain", "hard", "copy", "name"] {
            fs::create_dir_all(at(kind)).expect("folder");
        }
        symlink(at("own/wrapper"), at("own/link")).expect("link");
        symlink(at("own/link"), at("chain/gcc")).expect("link");
        fs::hard_link(at("own/wrapper"), at("hard/gcc")).expect("link");
        fs::copy(at("own/wrapper"), at("copy/gcc")).expect("copy");
        program(&at("other/icecc"), "another wrapper");
        symlink(at("other/icecc"), at("name/gcc")).expect("link");
        let own = Own {
            file: fs::metadata(at("own/wrapper"))
                .ok()
                .map(|metadata| (at("own/wrapper"), metadata)),
        };
        for kind in ["chain", "hard", "copy", "name"] {
            let path = env::join_paths([at("early"), at(kind), at("real")]).expect("PATH");
            let found = find(OsStr::new("gcc"), Some(&path), &own);
            assert_eq!(path_of(found), Some(at("real/gcc")), "{kind}");
            let itself = find(at(kind).join("gcc").as_os_str(), Some(&path), &own);
            assert_eq!(path_of(itself), Some(at("real/gcc")), "{kind} by path");
        }
        let only_before = env::join_paths([at("early"), at("copy")]).expect("PATH");
        assert_eq!(
            path_of(find(OsStr::new("gcc"), Some(&only_before), &own)),
            Some(at("early/gcc"))
        );
        let nothing = env::join_paths([at("copy")]).expect("PATH");
        let missing = find(OsStr::new("gcc"), Some(&nothing), &own).expect_err("nothing");
        assert_eq!(
            missing.to_string(),
            format!("{} is this wrapper", at("copy/gcc").display())
        );
    }

    #[test]
    fn only_executable_files_count() {
        let folder = tempfile::tempdir().expect("folder");
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("a/gcc")).expect("folder");
        fs::create_dir_all(at("b")).expect("folder");
        fs::write(at("b/gcc"), "no program").expect("file");
        program(&at("c/gcc"), "program");
        let own = Own { file: None };
        let path = env::join_paths([at("a"), at("b"), at("c")]).expect("PATH");
        assert_eq!(
            path_of(find(OsStr::new("gcc"), Some(&path), &own)),
            Some(at("c/gcc"))
        );
        assert!(find(OsStr::new("sh"), None, &own).is_ok());
        symlink("nowhere", at("b/g++")).expect("link");
        let path = env::join_paths([at("a"), at("b")]).expect("PATH");
        let reasons = |name: &str| {
            let missing = find(OsStr::new(name), Some(&path), &own).expect_err("nothing");
            missing
                .to_string()
                .replace(&format!("{}/", folder.path().display()), "")
        };
        assert_eq!(reasons("gcc"), "a/gcc is a folder, b/gcc is not executable");
        assert_eq!(reasons("g++"), "b/g++ leads nowhere");
        assert_eq!(reasons("clang"), "");
    }

    #[test]
    fn launchers_are_passed_over_for_the_compiler_itself() {
        let folder = tempfile::tempdir().expect("folder");
        let at = |name: &str| folder.path().join(name);
        program(&at("bin/ccache"), "a cache");
        program(&at("real/gcc"), "the compiler");
        fs::create_dir(at("cached")).expect("folder");
        symlink(at("bin/ccache"), at("cached/gcc")).expect("link");
        program(&at("bin/distcc"), "another wrapper");
        fs::create_dir(at("sent")).expect("folder");
        symlink(at("bin/distcc"), at("sent/gcc")).expect("link");
        let own = Own { file: None };
        let path = env::join_paths([at("cached"), at("sent"), at("real")]).expect("PATH");
        let found = find(OsStr::new("gcc"), Some(&path), &own).expect("a cache");
        assert!(found.is_launcher());
        assert_eq!(found.path, at("cached/gcc"));
        for name in [OsStr::new("gcc"), at("cached/gcc").as_os_str()] {
            let found = find_compiler(name, Some(&path), &own).expect("a compiler");
            assert_eq!(found.path, at("real/gcc"));
        }
    }

    #[test]
    fn links_to_icerun_are_seen_along_the_chain() {
        let folder = tempfile::tempdir().expect("folder");
        let at = |name: &str| folder.path().join(name);
        program(&at("bin/icecc"), "the wrapper");
        symlink("icecc", at("bin/icerun")).expect("link");
        symlink("bin/icerun", at("moc")).expect("link");
        symlink("moc", at("moc-5")).expect("link");
        symlink("bin/icecc", at("gcc")).expect("link");
        let path = folder.path().as_os_str();
        for (name, expected) in [
            ("moc", true),
            ("moc-5", true),
            ("gcc", false),
            ("no", false),
        ] {
            let with_folder = at(name);
            assert_eq!(is_link_to_icerun(with_folder.as_os_str(), None), expected);
            assert_eq!(
                is_link_to_icerun(OsStr::new(name), Some(path)),
                expected,
                "{name}"
            );
        }
    }
}
