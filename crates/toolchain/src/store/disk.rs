//! The folders of a store: what lies where, and the renames that make a toolchain appear and disappear.
//! Keeps no account of what is installed; that is the store's index.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use rustix::fs::FlockOperation;

use super::{BaseLock, Installed, Key, StoreError};
use crate::names;
use crate::unpack::{Unpacked, remove_tree};

const META_HEADER: &str = "gelato toolchain 1";
/// In `meta`: everything has reached the disk. Until then a `0` of the same length stands there.
const DURABLE: &str = "durable 1";
const NOT_YET_DURABLE: &str = "durable 0";

pub(super) struct Disk {
    toolchains: PathBuf,
    tmp: PathBuf,
    next: AtomicU64,
    _lock: BaseLock,
}

impl Disk {
    /// Makes the folders, takes the lock and empties `tmp`.
    pub(super) fn open(base: &Path) -> Result<Self, StoreError> {
        let toolchains = base.join("toolchains");
        let tmp = base.join("tmp");
        make_folder(base)?;
        let lock = lock_base(base)?;
        make_folder(&toolchains)?;
        make_folder(&tmp)?;
        for left in list(&tmp)? {
            // Something that cannot be deleted must not keep the daemon from starting.
            let _ignored = remove_tree(&left);
        }
        Ok(Self {
            toolchains,
            tmp,
            next: AtomicU64::new(0),
            _lock: lock,
        })
    }

    /// What is installed, least recently used first. Anything incomplete is removed.
    pub(super) fn scan(&self) -> Result<Vec<Installed>, StoreError> {
        let boot = boot_id();
        let mut found = Vec::new();
        for platform in list(&self.toolchains)? {
            for folder in list(&platform).unwrap_or_default() {
                match self.look_at(&folder, &boot) {
                    Some(entry) => found.push(entry),
                    None => {
                        let trash = self.fresh("left");
                        if fs::rename(&folder, &trash).is_ok() {
                            let _ignored = remove_tree(&trash);
                        }
                    }
                }
            }
        }
        found.sort_by_key(|(last_use, _)| *last_use);
        Ok(found.into_iter().map(|(_, installed)| installed).collect())
    }

    pub(super) fn root_of(&self, key: &Key) -> PathBuf {
        self.folder_of(key).join("root")
    }

    /// A new folder in `tmp` with an empty `root` in it.
    pub(super) fn prepare(&self) -> Result<PathBuf, StoreError> {
        let folder = self.fresh("arriving");
        let root = folder.join("root");
        let made = fs::create_dir(&folder).and_then(|()| {
            // Nobody else looks inside before everything is in place.
            fs::set_permissions(&folder, Permissions::from_mode(0o700))?;
            fs::create_dir(&root)
        });
        made.map_err(|error| {
            let _ignored = remove_tree(&folder);
            StoreError::io(&root, error)
        })?;
        Ok(folder)
    }

    /// Puts an unpacked folder into place.
    pub(super) fn publish(
        &self,
        folder: &Path,
        key: &Key,
        unpacked: Unpacked,
    ) -> Result<(), StoreError> {
        let meta = folder.join("meta");
        let text = format!(
            "{META_HEADER}\n{NOT_YET_DURABLE}\nboot {}\nbytes {}\nentries {}\n",
            boot_id(),
            unpacked.bytes,
            unpacked.entries
        );
        let mut file = File::create_new(&meta).map_err(|error| StoreError::io(&meta, error))?;
        file.write_all(text.as_bytes())
            .map_err(|error| StoreError::io(&meta, error))?;
        fs::set_permissions(folder, Permissions::from_mode(0o755))
            .map_err(|error| StoreError::io(folder, error))?;
        make_folder(&self.toolchains.join(&key.platform))?;
        let place = self.folder_of(key);
        if fs::symlink_metadata(&place).is_ok() {
            // Not in the index, so a leftover that could not be removed before.
            let trash = self.move_away(key)?;
            // It is out of the way; what remains of it is cleared at the next start.
            let _cleared_later = delete(&trash);
        }
        fs::rename(folder, &place).map_err(|error| StoreError::io(&place, error))?;
        mark_durable_later(file);
        Ok(())
    }

    /// Takes a toolchain out of its place; [`delete`] the result.
    pub(super) fn move_away(&self, key: &Key) -> Result<PathBuf, StoreError> {
        let place = self.folder_of(key);
        let trash = self.fresh("removed");
        match fs::rename(&place, &trash) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::io(&place, error))
            }
            _ => Ok(trash),
        }
    }

    /// Remembers a use for the next start. Not worth an error.
    pub(super) fn touch(&self, key: &Key) {
        let meta = self.folder_of(key).join("meta");
        let _ignored = File::open(meta).and_then(|file| file.set_modified(SystemTime::now()));
    }

    fn folder_of(&self, key: &Key) -> PathBuf {
        self.toolchains.join(&key.platform).join(&key.name)
    }

    /// A new name in `tmp`.
    pub(super) fn fresh(&self, what: &str) -> PathBuf {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.tmp.join(format!("{what}-{number}"))
    }

    fn look_at(&self, folder: &Path, boot: &str) -> Option<(SystemTime, Installed)> {
        let name = folder.file_name()?.to_str()?;
        let platform = folder.parent()?.file_name()?.to_str()?;
        if !names::is_safe_name(name) || !names::is_safe_platform(platform) {
            return None;
        }
        let meta = folder.join("meta");
        let text = fs::read_to_string(&meta).ok()?;
        let mut lines = text.lines();
        if lines.next() != Some(META_HEADER) {
            return None;
        }
        let durable = lines.next()? == DURABLE;
        let installed_in = lines.next()?.strip_prefix("boot ")?;
        let size = lines.next()?.strip_prefix("bytes ")?.parse().ok()?;
        let same_boot = !boot.is_empty() && installed_in == boot;
        if !same_boot && !durable {
            return None;
        }
        if !has_assembler(&folder.join("root")) {
            return None;
        }
        let last_use = fs::metadata(&meta).ok()?.modified().ok()?;
        let installed = Installed {
            platform: platform.to_owned(),
            name: name.to_owned(),
            size,
        };
        Some((last_use, installed))
    }
}

/// Whether this looks like a toolchain: Icecream's workers ask for this program before each job.
pub(super) fn has_assembler(root: &Path) -> bool {
    fs::metadata(root.join("usr/bin/as"))
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

pub(super) fn delete(trash: &Path) -> Result<(), StoreError> {
    remove_tree(trash).map_err(|error| StoreError::io(trash, error))
}

fn make_folder(path: &Path) -> Result<(), StoreError> {
    fs::create_dir_all(path).map_err(|error| StoreError::io(path, error))
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let failed = |error| StoreError::io(folder, error);
    fs::read_dir(folder)
        .map_err(failed)?
        .map(|entry| entry.map(|entry| entry.path()).map_err(failed))
        .collect()
}

fn lock_base(base: &Path) -> Result<BaseLock, StoreError> {
    let path = base.join("lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|error| StoreError::io(&path, error))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(BaseLock { _file: file }),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(StoreError::Locked(base.to_owned())),
        Err(error) => Err(StoreError::io(&path, error.into())),
    }
}

/// The kernel's name for the time since it started; empty where there is none.
fn boot_id() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

/// Waits for the disk in a thread of its own, because a submitter waits for the answer meanwhile. The mark goes into an
/// open file, so it makes no difference if the toolchain is removed at the same time.
fn mark_durable_later(meta: File) {
    // Without the mark it is used until the next boot and then dropped.
    let _ignored = std::thread::Builder::new()
        .name("toolchain-sync".to_owned())
        .spawn(move || -> io::Result<()> {
            let place = META_HEADER.len() as u64 + 1;
            sync(&meta)?;
            // The file's time stands for the last use, which this is not.
            let last_use = meta.metadata()?.modified()?;
            meta.write_all_at(DURABLE.as_bytes(), place)?;
            meta.set_modified(last_use)
        });
}

#[cfg(target_os = "linux")]
fn sync(file: &File) -> io::Result<()> {
    Ok(rustix::fs::syncfs(file)?)
}

#[cfg(not(target_os = "linux"))]
fn sync(_any: &File) -> io::Result<()> {
    rustix::fs::sync();
    Ok(())
}
