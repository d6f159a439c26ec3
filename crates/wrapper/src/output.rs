//! Writes the outputs a worker sent, so that nobody ever sees half a file.
//!
//! The content goes to a temporary file in the same folder, which then replaces the output. What becomes of the mode, the links and the twins of an output that exists
//! already is up to the [`Habit`] of the native program. In a folder that cannot be written to, the file is written in place.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process;
use std::time::{SystemTime, UNIX_EPOCH};

/// What the native program does to an output that exists already (watched with GCC 12, Clang 14 and GNU as 2.40).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Habit {
    /// GCC's `-S` keeps the file: its mode, symbolic and hard links.
    Rewrite,
    /// GNU as removes what is there and writes a new file; a symbolic link to nowhere is followed.
    Unlink,
    /// Clang puts a new file in the place of whatever is there.
    Rename,
}

/// Makes `content` the content of `output`.
pub(crate) fn write(output: &Path, content: &[u8], habit: Habit) -> io::Result<()> {
    let is_link = fs::symlink_metadata(output).is_ok_and(|m| m.is_symlink());
    let existing = fs::metadata(output).ok();
    if existing.as_ref().is_some_and(|m| !m.is_file()) {
        return in_place(output, content);
    }
    let (target, kept) = match (habit, existing) {
        // Opening a link to nowhere creates what it names.
        (Habit::Rewrite | Habit::Unlink, None) if is_link => return in_place(output, content),
        (Habit::Rewrite, Some(metadata)) => {
            if metadata.nlink() > 1 {
                return in_place(output, content);
            }
            (fs::canonicalize(output)?, Some(metadata))
        }
        _ => (output.to_owned(), None),
    };
    let (temporary, mut file) = match Temporary::create(&target) {
        Ok(pair) => pair,
        Err(error) if target.is_file() && is_about_the_folder(&error) => {
            return in_place(&target, content);
        }
        Err(error) => return Err(error),
    };
    file.write_all(content)?;
    if let Some(metadata) = kept {
        file.set_permissions(fs::Permissions::from_mode(metadata.mode() & 0o7777))?;
    }
    drop(file);
    temporary.replace(&target)
}

fn in_place(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)?;
    file.write_all(content)
}

fn is_about_the_folder(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
    )
}

/// A file that is gone when this is dropped, unless it has replaced another one.
struct Temporary(Option<PathBuf>);

impl Temporary {
    fn create(target: &Path) -> io::Result<(Temporary, File)> {
        let folder = match target.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut number = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.subsec_nanos());
        loop {
            let path = folder.join(format!(".icecc-{}-{number:x}.tmp", process::id()));
            let opened = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o666)
                .open(&path);
            match opened {
                Ok(file) => return Ok((Temporary(Some(path)), file)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    number = number.wrapping_add(1);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn replace(mut self, target: &Path) -> io::Result<()> {
        if let Some(path) = &self.0 {
            fs::rename(path, target)?;
            self.0 = None;
        }
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .expect("folder")
            .map(|entry| {
                entry
                    .expect("entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        names.sort();
        names
    }

    #[test]
    fn links_modes_and_twins_are_treated_as_by_the_native_program() {
        let habits = [Habit::Rewrite, Habit::Unlink, Habit::Rename];
        for habit in habits {
            let folder = tempfile::tempdir().expect("folder");
            let at = |name: &str| folder.path().join(name);
            let mode = |name: &str| fs::metadata(at(name)).expect("file").mode() & 0o777;
            let keeps = habit == Habit::Rewrite;
            fs::write(at("old.o"), "old").expect("file");
            fs::set_permissions(at("old.o"), fs::Permissions::from_mode(0o751)).expect("mode");
            symlink("old.o", at("link.o")).expect("link");
            write(&at("link.o"), b"new", habit).expect("written");
            assert_eq!(at("link.o").is_symlink(), keeps);
            assert_eq!(fs::read(at("link.o")).expect("file"), b"new");
            assert_eq!(fs::read(at("old.o")).expect("file") == b"new", keeps);
            write(&at("old.o"), b"newer", habit).expect("written");
            assert_eq!(mode("old.o") == 0o751, keeps);
            symlink("made.o", at("nowhere.o")).expect("link");
            write(&at("nowhere.o"), b"made", habit).expect("written");
            assert_eq!(at("nowhere.o").is_symlink(), habit != Habit::Rename);
            assert_eq!(at("made.o").is_file(), habit != Habit::Rename);
            write(&at("fresh.o"), b"fresh", habit).expect("written");
            fs::hard_link(at("fresh.o"), at("twin.o")).expect("link");
            write(&at("fresh.o"), b"both", habit).expect("written");
            assert_eq!(fs::read(at("fresh.o")).expect("file"), b"both");
            assert_eq!(fs::read(at("twin.o")).expect("file") == b"both", keeps);
            let mut expected = vec![
                "fresh.o",
                "link.o",
                "made.o",
                "nowhere.o",
                "old.o",
                "twin.o",
            ];
            expected.retain(|name| habit != Habit::Rename || *name != "made.o");
            assert_eq!(names(folder.path()), expected);
        }
    }

    #[test]
    fn a_failure_leaves_nothing_behind() {
        let folder = tempfile::tempdir().expect("folder");
        assert!(write(&folder.path().join("missing/x.o"), b"x", Habit::Unlink).is_err());
        fs::create_dir(folder.path().join("dir")).expect("folder");
        assert!(write(&folder.path().join("dir"), b"x", Habit::Unlink).is_err());
        assert_eq!(names(folder.path()), ["dir"]);
    }
}
