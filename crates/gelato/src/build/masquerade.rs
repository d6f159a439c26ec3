//! A folder of links named like the machine's compilers, all leading to the wrapper.
//!
//! It comes first in `PATH` during the build. It stays where it is afterwards, because configuration
//! tools write the absolute path of the compiler they found into their caches; the links work
//! without any cluster too.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use gelato_compiler::names;

/// The folder for the user with these variables: below `$XDG_DATA_HOME`, else below `$HOME`.
pub(crate) fn folder(data_home: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    let data = data_home
        .filter(|path| Path::new(path).is_absolute())
        .map(PathBuf::from)
        .or_else(|| {
            home.filter(|path| Path::new(path).is_absolute())
                .map(|home| Path::new(&home).join(".local/share"))
        })?;
    Some(data.join("gelato/compilers"))
}

/// Makes `folder` hold a link to `wrapper` for every compiler found in `path`, and no other link.
///
/// # Errors
/// The folder cannot be made or changed.
pub(crate) fn update(folder: &Path, wrapper: &Path, path: &OsStr) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let wanted = compilers(path, folder);
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let right = wanted.contains(&entry.file_name())
            && fs::read_link(entry.path()).is_ok_and(|target| target == wrapper);
        if !right && entry.file_type()?.is_symlink() {
            fs::remove_file(entry.path())?;
        }
    }
    for name in wanted {
        match symlink(wrapper, folder.join(&name)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => other?,
        }
    }
    Ok(())
}

/// The names of all compilers in the folders of `path`, but for `own`.
fn compilers(path: &OsStr, own: &Path) -> BTreeSet<OsString> {
    let mut found = BTreeSet::new();
    for folder in std::env::split_paths(path).filter(|folder| folder != own) {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let executable = || {
                fs::metadata(entry.path())
                    .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
            };
            if names::parse(&name).is_some() && executable() {
                found.insert(name);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_in(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn the_folder_follows_the_compilers_of_the_machine() {
        let place = tempfile::tempdir().unwrap();
        let bin = place.path().join("bin");
        fs::create_dir(&bin).unwrap();
        for name in ["gcc", "g++-12", "clang", "make", "gcc-ar"] {
            fs::write(bin.join(name), "").unwrap();
            fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        let folder = place.path().join("links");
        update(&folder, Path::new("/x/icecc"), bin.as_os_str()).unwrap();
        assert_eq!(names_in(&folder), ["clang", "g++-12", "gcc"]);
        fs::remove_file(bin.join("clang")).unwrap();
        update(&folder, Path::new("/y/icecc"), bin.as_os_str()).unwrap();
        assert_eq!(names_in(&folder), ["g++-12", "gcc"]);
        assert_eq!(
            fs::read_link(folder.join("gcc")).unwrap(),
            Path::new("/y/icecc")
        );
    }

    #[test]
    fn relative_homes_are_not_used() {
        assert_eq!(folder(Some("data".into()), None), None);
        assert_eq!(
            folder(None, Some("/home/u".into())),
            Some("/home/u/.local/share/gelato/compilers".into())
        );
    }
}
