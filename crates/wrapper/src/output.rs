//! Writes the outputs a worker sent, so that nobody ever sees half a file.
//!
//! The content goes to a temporary file in the same folder, which then replaces the output. What a native compiler keeps is kept: the mode of an existing output, and
//! a symbolic link, which is written through. Where replacing would break something (hard links, a folder that cannot be written to) the file is written in place.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process;
use std::time::{SystemTime, UNIX_EPOCH};

/// Makes `content` the content of `output`.
pub(crate) fn write(output: &Path, content: &[u8]) -> io::Result<()> {
    let target = match fs::symlink_metadata(output) {
        Ok(metadata) if metadata.is_symlink() => match fs::canonicalize(output) {
            Ok(target) => target,
            // A link to nowhere: opening creates what it names.
            Err(_) => return in_place(output, content),
        },
        _ => output.to_owned(),
    };
    let existing = fs::metadata(&target).ok();
    if existing
        .as_ref()
        .is_some_and(|m| m.nlink() > 1 || !m.is_file())
    {
        return in_place(&target, content);
    }
    let (temporary, mut file) = match Temporary::create(&target) {
        Ok(pair) => pair,
        Err(error) if existing.is_some() && is_about_the_folder(&error) => {
            return in_place(&target, content);
        }
        Err(error) => return Err(error),
    };
    file.write_all(content)?;
    if let Some(metadata) = existing {
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
    fn mode_links_and_names_are_kept() {
        let folder = tempfile::tempdir().expect("folder");
        let at = |name: &str| folder.path().join(name);
        fs::write(at("old.o"), "old").expect("file");
        fs::set_permissions(at("old.o"), fs::Permissions::from_mode(0o751)).expect("mode");
        symlink("old.o", at("link.o")).expect("link");
        symlink("made.o", at("nowhere.o")).expect("link");
        write(&at("link.o"), b"new").expect("written");
        write(&at("nowhere.o"), b"made").expect("written");
        write(&at("fresh.o"), b"fresh").expect("written");
        assert_eq!(fs::read(at("old.o")).expect("file"), b"new");
        assert_eq!(fs::read(at("made.o")).expect("file"), b"made");
        assert!(at("link.o").is_symlink());
        assert_eq!(
            fs::metadata(at("old.o")).expect("file").mode() & 0o777,
            0o751
        );
        fs::hard_link(at("fresh.o"), at("twin.o")).expect("link");
        write(&at("fresh.o"), b"both").expect("written");
        assert_eq!(fs::read(at("twin.o")).expect("file"), b"both");
        assert_eq!(
            names(folder.path()),
            [
                "fresh.o",
                "link.o",
                "made.o",
                "nowhere.o",
                "old.o",
                "twin.o"
            ]
        );
    }

    #[test]
    fn a_failure_leaves_nothing_behind() {
        let folder = tempfile::tempdir().expect("folder");
        assert!(write(&folder.path().join("missing/x.o"), b"x").is_err());
        fs::create_dir(folder.path().join("dir")).expect("folder");
        assert!(write(&folder.path().join("dir"), b"x").is_err());
        assert_eq!(names(folder.path()), ["dir"]);
    }
}
