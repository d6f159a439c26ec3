//! Archives made for the submitters of this machine, kept for as long as what is in them does not change.
//!
//! Below `<base>/native` lie the archives, readable by everybody, and in `index` a text file per request that says which
//! files, links and absent files an archive depends on. A request costs some `stat` calls if all of them are as they
//! were. The same request made by several at once builds once; a failure is remembered for a while, because a
//! build asks for every file it compiles.

mod index;

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::Compression;
use crate::create::{CreateError, Request, create};
use crate::names::c_sibling;
use index::Entry;

/// How long a failure is answered without trying again.
const FAILURE_MEMORY: Duration = Duration::from_secs(60);
/// An archive used more recently is not removed: somebody may be about to open it.
const SETTLED: Duration = Duration::from_secs(600);
/// Requests remembered; a machine has a handful of compilers, but extra files are anybody's choice.
const MAX_REQUESTS: usize = 256;

/// The cache of one daemon. Clones share it.
#[derive(Clone)]
pub struct Natives {
    inner: Arc<Inner>,
}

/// Why there is no archive.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NativeError {
    /// It could not be made.
    #[error(transparent)]
    Create(Arc<CreateError>),
    /// It could not be made a short while ago, for this reason, and nothing changed since.
    #[error("{reason} (tried {} s ago)", .ago.as_secs())]
    FailedBefore {
        /// The error of then.
        reason: Arc<CreateError>,
        /// How long that is.
        ago: Duration,
    },
    /// The cache's own folder.
    #[error("cannot use {path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: Arc<std::io::Error>,
    },
}

impl Natives {
    /// Opens the cache below `base`, which is made if missing, and reads its index. `limit_bytes` bounds the archives
    /// kept, except those just used.
    ///
    /// # Errors
    /// If the folders cannot be made or read.
    pub fn open(base: &Path, limit_bytes: u64) -> Result<Self, NativeError> {
        let folder = base.join("native");
        let index = folder.join("index");
        fs::create_dir_all(&index).map_err(|error| io_error(&index, error))?;
        remove_unfinished(&folder)?;
        let entries = index::read_all(&index).map_err(|error| io_error(&index, error))?;
        let slots = entries
            .into_iter()
            .map(|(key, entry)| {
                let slot = Slot {
                    entry: Some(entry),
                    failure: None,
                };
                (key, Arc::new(Mutex::new(slot)))
            })
            .collect();
        Ok(Self {
            inner: Arc::new(Inner {
                folder,
                index,
                limit_bytes,
                slots: Mutex::new(slots),
            }),
        })
    }

    /// The archive of a compiler with some extra files, made if there is none that is up to date. Blocks while it is
    /// made, here or by another caller: some seconds, with xz a minute. A C++ compiler's name stands for its C compiler.
    ///
    /// # Errors
    /// See [`NativeError`].
    pub fn archive_for(
        &self,
        compiler: &Path,
        extra_files: &[PathBuf],
        compression: Compression,
    ) -> Result<PathBuf, NativeError> {
        let c_compiler = c_sibling(compiler);
        let known = c_compiler.exists();
        let key = Key {
            compiler: if known {
                c_compiler
            } else {
                compiler.to_owned()
            },
            extra_files: extra_files.to_vec(),
            compression,
        };
        let slot = self.inner.slot(&key);
        // Held while building: whoever wants the same waits here and finds it done.
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = &slot.entry {
            let path = self.inner.folder.join(&entry.archive);
            if entry.is_current(&path) {
                touch(&path);
                return Ok(path);
            }
        }
        let inputs = inputs_now(&key);
        if let Some(failure) = &slot.failure {
            let ago = failure.when.elapsed();
            if ago < FAILURE_MEMORY && failure.inputs == inputs {
                let reason = Arc::clone(&failure.reason);
                return Err(NativeError::FailedBefore { reason, ago });
            }
        }
        match self.inner.build(&key) {
            Ok((path, entry)) => {
                slot.entry = Some(entry);
                slot.failure = None;
                drop(slot);
                self.inner.tidy();
                Ok(path)
            }
            Err(reason) => {
                let reason = Arc::new(reason);
                slot.entry = None;
                slot.failure = Some(Failure {
                    when: Instant::now(),
                    inputs,
                    reason: Arc::clone(&reason),
                });
                Err(NativeError::Create(reason))
            }
        }
    }

    /// Bytes of all archives kept.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        let archives = self.inner.archives();
        archives.iter().map(|archive| archive.size).sum()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    compiler: PathBuf,
    extra_files: Vec<PathBuf>,
    compression: Compression,
}

#[derive(Default)]
struct Slot {
    entry: Option<Entry>,
    failure: Option<Failure>,
}

struct Failure {
    when: Instant,
    inputs: Vec<Option<crate::create::Stamp>>,
    reason: Arc<CreateError>,
}

struct Inner {
    folder: PathBuf,
    index: PathBuf,
    limit_bytes: u64,
    slots: Mutex<HashMap<Key, Arc<Mutex<Slot>>>>,
}

struct Kept {
    path: PathBuf,
    size: u64,
    unused: Duration,
}

impl Inner {
    fn slot(&self, key: &Key) -> Arc<Mutex<Slot>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= MAX_REQUESTS && !slots.contains_key(key) {
            // Somebody who holds one right now keeps it alive; the index on disk is only forgotten, not wrong.
            slots.retain(|_, slot| Arc::strong_count(slot) > 1);
        }
        Arc::clone(slots.entry(key.clone()).or_default())
    }

    fn build(&self, key: &Key) -> Result<(PathBuf, Entry), CreateError> {
        let request = Request {
            compilers: vec![key.compiler.clone()],
            extra_files: key.extra_files.clone(),
            compression: key.compression,
        };
        let archive = create(&request, &self.folder)?;
        let entry = Entry::of(&archive);
        // Without an index file it is made again after a restart, nothing worse.
        let _forgotten = File::open(&archive.path)
            .and_then(|file| file.sync_all())
            .and_then(|()| index::write(&self.index, key, &entry));
        Ok((archive.path, entry))
    }

    /// Removes archives nobody asked for lately: those no longer up to date, and the oldest while there are too many.
    fn tidy(&self) {
        let wanted: Vec<PathBuf> = {
            let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            let entries = slots.values().filter_map(|slot| {
                let slot = slot.try_lock().ok()?;
                Some(self.folder.join(&slot.entry.as_ref()?.archive))
            });
            entries.collect()
        };
        let mut archives = self.archives();
        archives.sort_by_key(|archive| std::cmp::Reverse(archive.unused));
        let total: u64 = archives.iter().map(|archive| archive.size).sum();
        let mut excess = total.saturating_sub(self.limit_bytes);
        for archive in archives {
            let stale = !wanted.contains(&archive.path);
            if archive.unused > SETTLED
                && (stale || excess > 0)
                && fs::remove_file(&archive.path).is_ok()
            {
                excess = excess.saturating_sub(archive.size);
            }
        }
    }

    fn archives(&self) -> Vec<Kept> {
        let now = SystemTime::now();
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| {
                let metadata = entry.metadata().ok().filter(fs::Metadata::is_file)?;
                let used = metadata.modified().ok()?;
                Some(Kept {
                    path: entry.path(),
                    size: metadata.len(),
                    unused: now.duration_since(used).unwrap_or_default(),
                })
            })
            .filter(|archive| crate::names::name_of_archive(&archive.path).is_some())
            .collect()
    }
}

fn io_error(path: &Path, source: std::io::Error) -> NativeError {
    NativeError::Io {
        path: path.to_owned(),
        source: Arc::new(source),
    }
}

/// What a crash left of archives in the making.
fn remove_unfinished(folder: &Path) -> Result<(), NativeError> {
    let entries = fs::read_dir(folder).map_err(|error| io_error(folder, error))?;
    for entry in entries.flatten() {
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(b".gelato-") {
            let _cleared_another_time = fs::remove_file(entry.path());
        }
    }
    Ok(())
}

fn touch(path: &Path) {
    let _not_worth_an_error =
        File::open(path).and_then(|file| file.set_modified(SystemTime::now()));
}

/// What a failure may have been due to, as far as the request names it.
fn inputs_now(key: &Key) -> Vec<Option<crate::create::Stamp>> {
    [&key.compiler]
        .into_iter()
        .chain(&key.extra_files)
        .map(|path| Some(crate::create::Stamp::of(&fs::metadata(path).ok()?)))
        .collect()
}

#[cfg(test)]
mod tests;
