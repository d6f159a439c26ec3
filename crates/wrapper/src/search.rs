//! Finds the program behind us in `PATH`.
//!
//! The wrapper usually stands before the compiler in `PATH` under the same name, as a link, a hard link or a copy, perhaps through further links. So every
//! candidate is resolved to the end and compared with ourselves by device and number, by name, and by content. What comes after us is preferred over what comes
//! before, because that is what would run without us.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use gelato_compiler::names::base_name;

/// Where to look if `PATH` is unset, as the C library does.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

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

    /// Whether `candidate` would start us, or another wrapper of our kind, again.
    fn is(&self, candidate: &Path, metadata: &Metadata) -> bool {
        let by_name = fs::canonicalize(candidate).is_ok_and(|path| {
            matches!(
                base_name(path.as_os_str()),
                b"icecc" | b"icerun" | b"gelato"
            )
        });
        if by_name {
            return true;
        }
        let Some((path, own)) = &self.file else {
            return false;
        };
        if (own.dev(), own.ino()) == (metadata.dev(), metadata.ino()) {
            return true;
        }
        own.len() == metadata.len()
            && matches!((fs::read(path), fs::read(candidate)), (Ok(a), Ok(b)) if a == b)
    }
}

/// The program `name` stands for. A name with a slash is taken as it is, unless it leads back to us: then it is searched by its last component.
pub(crate) fn find(name: &OsStr, path: Option<&OsStr>, own: &Own) -> Option<PathBuf> {
    if name.as_bytes().contains(&b'/') {
        let candidate = Path::new(name);
        return match fs::metadata(candidate) {
            Ok(metadata) if own.is(candidate, &metadata) => {
                in_path(OsStr::from_bytes(base_name(name)), path, own)
            }
            _ => Some(candidate.to_owned()),
        };
    }
    in_path(name, path, own)
}

fn in_path(name: &OsStr, path: Option<&OsStr>, own: &Own) -> Option<PathBuf> {
    if name.is_empty() {
        return None;
    }
    let default = OsString::from(DEFAULT_PATH);
    let mut after_us = false;
    let mut best = None;
    for folder in env::split_paths(path.unwrap_or(&default)) {
        let folder = if folder.as_os_str().is_empty() {
            PathBuf::from(".")
        } else {
            folder
        };
        let candidate = folder.join(name);
        let Ok(metadata) = fs::metadata(&candidate) else {
            continue;
        };
        if !metadata.is_file() || !is_executable(&metadata) {
            continue;
        }
        if own.is(&candidate, &metadata) {
            after_us = true;
            continue;
        }
        if after_us {
            if is_other_wrapper(&candidate) {
                continue;
            }
            return Some(candidate);
        }
        best.get_or_insert(candidate);
    }
    best
}

/// Wrappers that distribute as well: behind us they would send our local jobs elsewhere.
fn is_other_wrapper(candidate: &Path) -> bool {
    fs::canonicalize(candidate).is_ok_and(|path| {
        matches!(
            base_name(path.as_os_str()),
            b"distcc" | b"colorgcc" | b"tbcompiler"
        )
    })
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
            assert_eq!(found, Some(at("real/gcc")), "{kind}");
            let itself = find(at(kind).join("gcc").as_os_str(), Some(&path), &own);
            assert_eq!(itself, Some(at("real/gcc")), "{kind} by path");
        }
        let only_before = env::join_paths([at("early"), at("copy")]).expect("PATH");
        assert_eq!(
            find(OsStr::new("gcc"), Some(&only_before), &own),
            Some(at("early/gcc"))
        );
        let nothing = env::join_paths([at("copy")]).expect("PATH");
        assert_eq!(find(OsStr::new("gcc"), Some(&nothing), &own), None);
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
            find(OsStr::new("gcc"), Some(&path), &own),
            Some(at("c/gcc"))
        );
        assert!(find(OsStr::new("sh"), None, &own).is_some());
    }
}
