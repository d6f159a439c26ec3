//! Toolchains received from submitters, ready to run.
//!
//! On disk below the base folder:
//!
//! ```text
//! lock                                held while a store is open: one daemon per base
//! tmp/                                what is being unpacked or deleted; emptied when a store is opened
//! toolchains/<platform>/<name>/root   the toolchain, read-only but for its tmp
//!                              meta   its size, the boot it was installed in, and whether all has reached the disk;
//!                                     the file's time is that of the last use
//! ```
//!
//! This is not Icecream's layout (`target=<platform>/<name>`) on purpose: those folders are writable by jobs and are
//! wiped at every start, so neither program may mistake the other's for its own.
//!
//! A toolchain appears by one rename and disappears by one rename, so a crash leaves something in `tmp` only. It
//! survives restarts; after a power failure those not known to be on disk are dropped. While a guard of it exists
//! it is neither evicted nor removed. Nothing here runs what was installed: the caller verifies.

mod disk;
mod install;
mod spool;

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub use install::{Install, Kept};

use crate::names;
use crate::unpack::{Limits, UnpackError};
use install::Arrival;

/// Toolchains being received at the same time; each may hold [`Limits::unpacked_bytes`] of disk.
pub const MAX_ARRIVING: usize = 16;

/// The store of one daemon. Clones share it.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

/// A toolchain in the store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Installed {
    /// The platform its programs run on, as sent.
    pub platform: String,
    /// Its name, as sent.
    pub name: String,
    /// Bytes in its files.
    pub size: u64,
}

/// Why the store did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The name cannot be a file name here.
    #[error("`{}` is no name for a {what}: use printable ASCII without blanks and slashes", .name.escape_debug())]
    BadName {
        /// `toolchain` or `platform`.
        what: &'static str,
        /// As received.
        name: String,
    },
    /// No such toolchain, or no longer.
    #[error("toolchain {platform}/{name} is not installed")]
    NotInstalled {
        /// As asked for.
        platform: String,
        /// As asked for.
        name: String,
    },
    /// It was installed, but lacks what makes it one; it is no longer listed.
    #[error("toolchain {platform}/{name} is damaged: usr/bin/as is missing or not executable")]
    Damaged {
        /// As asked for.
        platform: String,
        /// As asked for.
        name: String,
    },
    /// Jobs run in it.
    #[error("toolchain {platform}/{name} is in use")]
    InUse {
        /// As asked for.
        platform: String,
        /// As asked for.
        name: String,
    },
    /// Too many transfers at once.
    #[error("{MAX_ARRIVING} toolchains are being received already: try again later")]
    Busy,
    /// Somebody else is sending the same toolchain and does not come to an end.
    #[error("another transfer of this toolchain does not end")]
    OtherTransferStuck,
    /// The archive was not acceptable, or could not be written.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// Another process has this base open.
    #[error("{0} is in use by another daemon: give each its own base folder")]
    Locked(PathBuf),
    /// Trouble on this machine.
    #[error("cannot use {path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: Arc<io::Error>,
    },
}

impl StoreError {
    fn io(path: &Path, source: io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            source: Arc::new(source),
        }
    }
}

impl Store {
    /// Opens the store below `base`, which is made if missing: clears what a crash left, and finds what is installed.
    /// `limit_bytes` is what [`Store::retire`] keeps to.
    ///
    /// # Errors
    /// If the folders cannot be made or read, or another process has this base open.
    pub fn open(base: &Path, limit_bytes: u64) -> Result<Self, StoreError> {
        Self::open_with(base, limit_bytes, Limits::default())
    }

    /// As [`Store::open`], with limits of its own for the archives it takes.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_with(base: &Path, limit_bytes: u64, limits: Limits) -> Result<Self, StoreError> {
        let disk = disk::Disk::open(base)?;
        let mut state = State::default();
        for found in disk.scan()? {
            let key = Key {
                platform: found.platform,
                name: found.name,
            };
            let last_use = state.tick();
            state.installed.insert(
                key,
                Entry {
                    size: found.size,
                    last_use,
                    users: 0,
                    retired: None,
                },
            );
        }
        Ok(Self {
            inner: Arc::new(Inner {
                disk,
                limit_bytes,
                limits,
                room: spool::Room::new(limits.unpacked_bytes),
                state: Mutex::new(state),
            }),
        })
    }

    /// Everything installed and not retired, sorted by platform and name.
    #[must_use]
    pub fn installed(&self) -> Vec<Installed> {
        let state = self.inner.lock();
        let mut all: Vec<Installed> = state
            .installed
            .iter()
            .filter(|(_, entry)| entry.retired.is_none())
            .map(|(key, entry)| key.installed(entry.size))
            .collect();
        all.sort();
        all
    }

    /// Bytes of all installed toolchains but retired ones.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.inner.lock().used_bytes()
    }

    /// Keeps a toolchain in place while the guard lives, and counts as a use of it.
    ///
    /// # Errors
    /// [`StoreError::NotInstalled`]; [`StoreError::Damaged`], after which it is no longer listed;
    /// [`StoreError::BadName`].
    pub fn acquire(&self, platform: &str, name: &str) -> Result<InUse, StoreError> {
        let key = Key::checked(platform, name)?;
        let guard = self.inner.acquire(&key)?;
        if disk::has_assembler(&guard.root) {
            return Ok(guard);
        }
        drop(guard);
        // Others may still run in it; then it stays until they are done and somebody asks again.
        let _still_in_use = self.remove(platform, name);
        Err(key.damaged())
    }

    /// Begins to receive a toolchain: write the archive's bytes into the result and call [`Install::finish`].
    /// If it is installed already, the bytes are discarded and the answer is the same. If somebody is sending it, the answer
    /// is that one's unless it fails: then these bytes are used.
    ///
    /// # Errors
    /// [`StoreError::BadName`], [`StoreError::Busy`], or no room for a temporary folder.
    pub fn begin_install(&self, platform: &str, name: &str) -> Result<Install, StoreError> {
        let key = Key::checked(platform, name)?;
        Install::begin(&self.inner, key)
    }

    /// Removes a toolchain.
    ///
    /// # Errors
    /// [`StoreError::NotInstalled`], [`StoreError::InUse`], [`StoreError::BadName`], or a failed rename.
    pub fn remove(&self, platform: &str, name: &str) -> Result<(), StoreError> {
        let key = Key::checked(platform, name)?;
        let trash = {
            let mut state = self.inner.lock();
            match state.installed.get(&key) {
                None => return Err(key.not_installed()),
                Some(entry) if entry.users > 0 => return Err(key.in_use()),
                Some(_) => {}
            }
            state.installed.remove(&key);
            self.inner.disk.move_away(&key)?
        };
        disk::delete(&trash)
    }

    /// Retires what was not used for longest until the rest fits into the limit, and says what. What is in use stays, and
    /// so does what was used last, even if it is over the limit all by itself. A retired toolchain is not listed any more,
    /// but works until [`Store::purge`] removes it: jobs that were sent here because it was listed may be on the way. A use
    /// brings it back.
    pub fn retire(&self) -> Vec<Installed> {
        let mut state = self.inner.lock();
        let mut excess = state.used_bytes().saturating_sub(self.inner.limit_bytes);
        let newest = state.installed.values().map(|entry| entry.last_use).max();
        let mut idle: Vec<(&Key, &mut Entry)> = state
            .installed
            .iter_mut()
            .filter(|(_, entry)| entry.retired.is_none() && entry.users == 0)
            .filter(|(_, entry)| Some(entry.last_use) != newest)
            .collect();
        idle.sort_by_key(|(_, entry)| entry.last_use);
        let mut retired = Vec::new();
        for (key, entry) in idle {
            if excess == 0 {
                break;
            }
            entry.retired = Some(Instant::now());
            excess = excess.saturating_sub(entry.size);
            retired.push(key.installed(entry.size));
        }
        retired
    }

    /// Removes what was retired that long ago or longer, and says what.
    pub fn purge(&self, age: Duration) -> Vec<Installed> {
        let mut purged = Vec::new();
        let mut trash = Vec::new();
        {
            let mut state = self.inner.lock();
            let State { installed, .. } = &mut *state;
            installed.retain(|key, entry| {
                let is_old = entry.retired.is_some_and(|since| since.elapsed() >= age);
                if !is_old || entry.users > 0 {
                    return true;
                }
                // What cannot be renamed stays: it is still there and works.
                let Ok(moved) = self.inner.disk.move_away(key) else {
                    return true;
                };
                trash.push(moved);
                purged.push(key.installed(entry.size));
                false
            });
        }
        for path in trash {
            // What remains lies in `tmp`, which is cleared at the next start.
            let _cleared_later = disk::delete(&path);
        }
        purged.sort();
        purged
    }

    /// [`Store::retire`] and [`Store::purge`] in one.
    pub fn evict(&self) -> Vec<Installed> {
        let retired = self.retire();
        self.purge(Duration::ZERO);
        retired
    }
}

/// Keeps a toolchain from being removed.
pub struct InUse {
    inner: Arc<Inner>,
    key: Key,
    root: PathBuf,
}

impl InUse {
    /// The folder that becomes `/` for a job. Read-only but for its `tmp`; `tmp`, `dev` and `proc` exist.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        let mut state = self.inner.lock();
        let now = state.tick();
        if let Some(entry) = state.installed.get_mut(&self.key) {
            entry.users = entry.users.saturating_sub(1);
            entry.last_use = now;
        }
        drop(state);
        self.inner.disk.touch(&self.key);
    }
}

struct Inner {
    disk: disk::Disk,
    limit_bytes: u64,
    limits: Limits,
    /// For what is kept of senders who wait for others.
    room: spool::Room,
    state: Mutex<State>,
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn acquire(self: &Arc<Self>, key: &Key) -> Result<InUse, StoreError> {
        self.hold(&mut self.lock(), key)
    }

    /// As `acquire`, for callers that hold the lock already. The guard takes it when dropped.
    fn hold(self: &Arc<Self>, state: &mut State, key: &Key) -> Result<InUse, StoreError> {
        let now = state.tick();
        let entry = state
            .installed
            .get_mut(key)
            .ok_or_else(|| key.not_installed())?;
        entry.users += 1;
        entry.last_use = now;
        entry.retired = None;
        Ok(InUse {
            inner: Arc::clone(self),
            key: key.clone(),
            root: self.disk.root_of(key),
        })
    }
}

#[derive(Default)]
struct State {
    installed: HashMap<Key, Entry>,
    arriving: HashMap<Key, Arc<Arrival>>,
    /// Archives being unpacked; with senders that are stuck more than are arriving.
    unpacking: usize,
    /// Counts uses; orders them better than a wall clock.
    uses: u64,
}

impl State {
    fn tick(&mut self) -> u64 {
        self.uses += 1;
        self.uses
    }

    fn used_bytes(&self) -> u64 {
        self.installed
            .values()
            .filter(|entry| entry.retired.is_none())
            .map(|entry| entry.size)
            .sum()
    }
}

struct Entry {
    size: u64,
    last_use: u64,
    users: usize,
    /// Since when it is not listed any more.
    retired: Option<Instant>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    platform: String,
    name: String,
}

impl Key {
    fn checked(platform: &str, name: &str) -> Result<Self, StoreError> {
        let bad = |what, name: &str| StoreError::BadName {
            what,
            name: name.chars().take(names::MAX_NAME).collect(),
        };
        if !names::is_safe_platform(platform) {
            return Err(bad("platform", platform));
        }
        if !names::is_safe_name(name) {
            return Err(bad("toolchain", name));
        }
        Ok(Self {
            platform: platform.to_owned(),
            name: name.to_owned(),
        })
    }

    fn installed(&self, size: u64) -> Installed {
        Installed {
            platform: self.platform.clone(),
            name: self.name.clone(),
            size,
        }
    }

    fn not_installed(&self) -> StoreError {
        StoreError::NotInstalled {
            platform: self.platform.clone(),
            name: self.name.clone(),
        }
    }

    fn damaged(&self) -> StoreError {
        StoreError::Damaged {
            platform: self.platform.clone(),
            name: self.name.clone(),
        }
    }

    fn in_use(&self) -> StoreError {
        StoreError::InUse {
            platform: self.platform.clone(),
            name: self.name.clone(),
        }
    }
}

/// Held while a store is open.
struct BaseLock {
    _file: File,
}

#[cfg(test)]
mod tests;
