//! The folder of one job on the host: made before it, searched for its results, removed after it.
//!
//! What a job leaves there is hostile: results are opened beneath the folder without following any link, and only regular
//! files count. With a plain chroot other jobs of the same user reach it too, so folders are made and given away through
//! descriptors, never by path. Everything here blocks.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use gelato_sandbox::{Identity, Level};
use rustix::fs::{CWD, Gid, Mode, OFlags, ResolveFlags, Uid, fchown, mkdirat, openat, openat2};
use rustix::io::Errno;
use tracing::warn;

/// The folder of one job. Removed with everything in it when dropped.
#[derive(Debug)]
pub(crate) struct Scratch {
    host: PathBuf,
    inside: PathBuf,
    owner: Option<Identity>,
}

/// A result of a job.
#[derive(Debug)]
pub(crate) struct Output {
    /// Open for reading.
    pub(crate) file: File,
    /// Bytes in it.
    pub(crate) size: u64,
}

impl Scratch {
    /// Makes the folder `name` of a job in the toolchain at `root`. With namespaces it lies in `jobs` and becomes the
    /// job's `/tmp`; with a plain chroot it must lie inside the root; where the root does not change, it lies in `jobs`. `owner` is the user the job runs under, if it is not ours.
    pub(crate) fn make(
        level: Level,
        jobs: &Path,
        root: &Path,
        name: &str,
        owner: Option<Identity>,
    ) -> io::Result<Scratch> {
        let (above, inside) = match level {
            // Chosen by the administrator, who may use links.
            Level::UserNamespace => (open_folder(CWD, jobs)?, PathBuf::from("/tmp")),
            // Nothing is called otherwise inside.
            Level::Landlock | Level::None => (open_folder(CWD, jobs)?, jobs.join(name)),
            Level::Chroot => {
                let root = open_folder(CWD, root)?;
                (
                    open_unlinked(&root, OsStr::new("tmp"))?,
                    Path::new("/tmp").join(name),
                )
            }
        };
        let host = match level {
            Level::UserNamespace | Level::Landlock | Level::None => jobs.join(name),
            Level::Chroot => root.join("tmp").join(name),
        };
        mkdirat(&above, name, Mode::RWXU)?;
        let scratch = Scratch {
            host,
            inside,
            owner,
        };
        scratch.give_away(&open_unlinked(&above, OsStr::new(name))?)?;
        Ok(scratch)
    }

    /// Where it is on the host.
    pub(crate) fn host(&self) -> &Path {
        &self.host
    }

    /// Where the job sees it.
    pub(crate) fn inside(&self) -> &Path {
        &self.inside
    }

    /// Makes a folder in it, with those above. The path must be relative and without `..`.
    pub(crate) fn make_folders(&self, path: &Path) -> io::Result<()> {
        let mut at = open_folder_itself(&self.host)?;
        for part in path.components() {
            let name = match part {
                Component::Normal(name) => name,
                Component::CurDir => continue,
                _ => return Err(Errno::INVAL.into()),
            };
            at = match mkdirat(&at, name, Mode::RWXU) {
                Ok(()) => {
                    let made = open_unlinked(&at, name)?;
                    self.give_away(&made)?;
                    made
                }
                Err(Errno::EXIST) => open_unlinked(&at, name)?,
                Err(error) => return Err(error.into()),
            };
        }
        Ok(())
    }

    /// Makes a folder the job's own.
    fn give_away(&self, folder: &OwnedFd) -> io::Result<()> {
        if let Some(Identity { uid, gid }) = self.owner {
            fchown(folder, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
        }
        Ok(())
    }

    /// A regular, non-empty file the job left.
    pub(crate) fn output(&self, path: &Path) -> Option<Output> {
        let file = File::from(self.open(path).ok()?);
        let meta = file.metadata().ok()?;
        (meta.is_file() && meta.len() > 0).then_some(Output {
            file,
            size: meta.len(),
        })
    }

    fn open(&self, path: &Path) -> io::Result<OwnedFd> {
        let folder = open_folder_itself(&self.host)?;
        // A named pipe instead of a file must not make us wait.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let resolve =
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        Ok(openat2(&folder, path, flags, Mode::empty(), resolve)?)
    }

    /// Free bytes where it lies.
    pub(crate) fn disk_free(&self) -> Option<u64> {
        rustix::fs::statvfs(&self.host)
            .ok()
            .map(|fs| fs.f_bavail.saturating_mul(fs.f_frsize))
    }
}

fn open_folder(at: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(openat(at, path, flags, Mode::empty())?)
}

/// Opens a folder unless its last name is a link.
fn open_folder_itself(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    Ok(openat(CWD, path, flags, Mode::empty())?)
}

/// Opens the folder of this single name unless it is a link.
fn open_unlinked(at: &OwnedFd, name: &OsStr) -> io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    Ok(openat(at, name, flags, Mode::empty())?)
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = gelato_toolchain::unpack::remove_tree(&self.host)
            && error.kind() != io::ErrorKind::NotFound
        {
            warn!(
                "cannot remove the folder {} of a job: {error}",
                self.host.display()
            );
        }
    }
}

/// Makes `folder` and removes what jobs of an earlier run left in it.
pub(crate) fn sweep(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if let Err(error) = gelato_toolchain::unpack::remove_tree(&path) {
            warn!(
                "cannot remove {} of an earlier job: {error}",
                path.display()
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn scratch(folder: &Path) -> Scratch {
        Scratch::make(
            Level::UserNamespace,
            folder,
            Path::new("/nowhere"),
            "job-1",
            None,
        )
        .unwrap()
    }

    #[test]
    fn only_regular_files_with_content_are_results() {
        let folder = tempfile::tempdir().unwrap();
        let scratch = scratch(folder.path());
        fs::write(scratch.host().join("secret"), "x").unwrap();
        symlink("secret", scratch.host().join("link.o")).unwrap();
        symlink("/etc/passwd", scratch.host().join("away.o")).unwrap();
        fs::write(scratch.host().join("empty.o"), "").unwrap();
        fs::create_dir(scratch.host().join("folder.o")).unwrap();
        symlink("/etc", scratch.host().join("etc")).unwrap();
        for name in [
            "link.o",
            "away.o",
            "empty.o",
            "folder.o",
            "missing.o",
            "etc/passwd",
            "../x",
            "/etc/passwd",
        ] {
            assert!(scratch.output(Path::new(name)).is_none(), "{name}");
        }
        fs::write(scratch.host().join("good.o"), "object").unwrap();
        assert_eq!(
            scratch
                .output(Path::new("good.o"))
                .map(|output| output.size),
            Some(6)
        );
    }

    #[test]
    fn folders_are_made_through_no_link() {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let scratch = scratch(folder.path());
        symlink(elsewhere.path(), scratch.host().join("link")).unwrap();
        for path in ["link", "link/a", "../a", "/a", "b/../../a"] {
            assert!(scratch.make_folders(Path::new(path)).is_err(), "{path}");
        }
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
        assert!(!folder.path().join("a").exists());
        scratch.make_folders(Path::new("c/d")).unwrap();
        scratch.make_folders(Path::new("c/e")).unwrap();
        assert!(scratch.host().join("c/e").is_dir());
    }

    #[test]
    fn a_toolchain_whose_tmp_is_a_link_leads_nowhere() {
        let root = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let make = || {
            Scratch::make(
                Level::Chroot,
                Path::new("/nowhere"),
                root.path(),
                "job-1",
                None,
            )
        };
        symlink(elsewhere.path(), root.path().join("tmp")).unwrap();
        assert!(make().is_err());
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
        fs::remove_file(root.path().join("tmp")).unwrap();
        fs::create_dir(root.path().join("tmp")).unwrap();
        let scratch = make().unwrap();
        assert_eq!(scratch.inside(), Path::new("/tmp/job-1"));
        assert!(root.path().join("tmp/job-1").is_dir());
    }

    #[test]
    fn it_is_gone_afterwards_whatever_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let scratch = scratch(folder.path());
        scratch.make_folders(Path::new("d/a/b")).unwrap();
        scratch.make_folders(Path::new("d/a/c")).unwrap();
        let locked = scratch.host().join("d/a");
        fs::set_permissions(&locked, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
        let path = scratch.host().to_owned();
        drop(scratch);
        assert!(!path.exists());
        fs::write(folder.path().join("left over"), "").unwrap();
        sweep(folder.path()).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
