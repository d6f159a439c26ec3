//! The folder of one job on the host: made before it, searched for its results, removed after it.
//!
//! What a job leaves there is hostile: results are opened beneath the folder without following any link, and only regular
//! files count. Everything here blocks.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use gelato_sandbox::{Identity, Level};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
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
    /// job's `/tmp`; without, it must lie inside the root. `owner` is the user the job runs under, if it is not ours.
    pub(crate) fn make(
        level: Level,
        jobs: &Path,
        root: &Path,
        name: &str,
        owner: Option<Identity>,
    ) -> io::Result<Scratch> {
        let (host, inside) = match level {
            Level::UserNamespace => (jobs.join(name), PathBuf::from("/tmp")),
            Level::Chroot => (root.join("tmp").join(name), Path::new("/tmp").join(name)),
        };
        let scratch = Scratch {
            host,
            inside,
            owner,
        };
        scratch.make_one(&scratch.host)?;
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
        let mut at = self.host.clone();
        for part in path.components() {
            at.push(part);
            match self.make_one(&at) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                other => other?,
            }
        }
        Ok(())
    }

    fn make_one(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(path)?;
        match self.owner {
            Some(Identity { uid, gid }) => std::os::unix::fs::chown(path, Some(uid), Some(gid)),
            None => Ok(()),
        }
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
        let folder = openat(
            CWD,
            &self.host,
            OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW,
            Mode::empty(),
        )?;
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
