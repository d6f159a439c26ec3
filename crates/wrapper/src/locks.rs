//! As many locks as there are processors, for what no daemon counts: preprocessing, and local jobs without a daemon.
//!
//! Each lock is a file in a folder of this user alone; holding it is an flock on an open file, which lasts through exec for as long as somebody has the
//! descriptor. Any problem with the folder means that we go on without a lock: too many processes at once are better than a failed build.
//!
//! A command under `icerun` may start wrappers in its turn (`icerun make`), and waits for them while it has a slot: with all slots taken by such commands everybody would
//! wait for ever. So it lends its slot: a lock of its own, named in the environment, under which the wrappers below it do their local work one after the other.
//!
//! How many processors we may use (affinity, control group) costs a dozen system calls, so it is only asked if the first lock is taken already: that one exists
//! however many there are.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

use crate::log::Log;
use crate::signals::{Interrupted, Signals};
use crate::variables::Variables;

/// Names the lock of the command we were started by.
const LENT: &str = "_GELATO_SLOT";

/// One lock, held until dropped or, if handed on, until the last process that has it ends.
#[derive(Debug)]
pub(crate) struct CpuLock {
    pub(crate) file: File,
}

/// Waits for a free lock. `None` if locks cannot be used here. A signal that arrives during the wait ends the program: nothing must need cleaning up.
pub(crate) fn acquire(
    variables: &Variables,
    log: &Log,
    signals: &Signals,
) -> Result<Option<CpuLock>, Interrupted> {
    match signals.unguarded(|| try_acquire(variables))? {
        Ok(lock) => Ok(Some(lock)),
        Err(error) => {
            log.warning(format_args!("working without a lock: {error}"));
            Ok(None)
        }
    }
}

/// Waits for the slot that the command above us lends; `None` if there is none.
pub(crate) fn acquire_lent(
    variables: &Variables,
    signals: &Signals,
) -> Result<Option<CpuLock>, Interrupted> {
    let Some(name) = lent_name() else {
        return Ok(None);
    };
    signals.unguarded(|| {
        let folder = Folder::of_this_user(variables).ok()?;
        let file = File::options().write(true).open(folder.0.join(name)).ok()?;
        lock(file).ok()
    })
}

/// A slot of ours that is lent to the wrappers below the command we start.
#[derive(Debug)]
pub(crate) struct Lent {
    path: PathBuf,
}

impl Lent {
    /// `None`: they have to find slots of their own.
    pub(crate) fn new(variables: &Variables) -> Option<Lent> {
        let folder = Folder::of_this_user(variables).ok()?;
        let name = format!("slot-{}", std::process::id());
        folder.open(&name).ok()?;
        Some(Lent {
            path: folder.0.join(name),
        })
    }

    /// The variable for the command.
    pub(crate) fn variable(&self) -> (&'static str, &OsStr) {
        (LENT, self.path.file_name().unwrap_or_default())
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn lent_name() -> Option<OsString> {
    env::var_os(LENT).filter(|name| {
        name.as_bytes()
            .strip_prefix(b"slot-")
            .is_some_and(|number| !number.is_empty() && number.iter().all(u8::is_ascii_digit))
    })
}

fn try_acquire(variables: &Variables) -> io::Result<CpuLock> {
    let folder = Folder::of_this_user(variables)?;
    if let Some(lock) = folder.try_lock(0)? {
        return Ok(lock);
    }
    let count = variables.local_jobs.unwrap_or_else(count).max(1);
    let start = std::process::id() as usize % count;
    for index in (0..count).map(|step| (start + step) % count) {
        if let Some(lock) = folder.try_lock(index)? {
            return Ok(lock);
        }
    }
    // Those who have the locks may wait for us.
    if let Some(name) = lent_name()
        && let Ok(file) = File::options().write(true).open(folder.0.join(name))
    {
        return lock(file);
    }
    folder.lock(start)
}

/// Another file beside the locks, made if it is not there.
pub(crate) fn file(variables: &Variables, name: &str) -> io::Result<File> {
    Folder::of_this_user(variables)?.open(name)
}

/// The number of locks, unless a setting says otherwise.
fn count() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// A folder of this user alone, for what must not come from anybody else.
pub(crate) fn folder(variables: &Variables) -> Option<PathBuf> {
    Folder::of_this_user(variables).ok().map(|folder| folder.0)
}

/// A folder that belongs to this user and nobody else can write to.
struct Folder(PathBuf);

impl Folder {
    fn of_this_user(variables: &Variables) -> io::Result<Folder> {
        let user = rustix::process::getuid().as_raw();
        let folder = match &variables.runtime_dir {
            Some(runtime) if is_ours(runtime, user) => runtime.join("gelato"),
            _ => PathBuf::from(format!("/tmp/.gelato-{user}")),
        };
        if is_ours(&folder, user) {
            return Ok(Folder(folder));
        }
        match DirBuilder::new().mode(0o700).create(&folder) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(named(&folder, &error)),
        }
        if !is_ours(&folder, user) {
            return Err(io::Error::other(format!(
                "{} is no folder of this user alone; remove it",
                folder.display()
            )));
        }
        Ok(Folder(folder))
    }

    /// `None` if somebody has it.
    fn try_lock(&self, index: usize) -> io::Result<Option<CpuLock>> {
        let file = self.open(&format!("cpu-{index}"))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(CpuLock { file })),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(named(&self.0, &errno.into())),
        }
    }

    fn lock(&self, index: usize) -> io::Result<CpuLock> {
        let file = self.open(&format!("cpu-{index}"))?;
        lock(file).map_err(|error| named(&self.0, &error))
    }

    fn open(&self, name: &str) -> io::Result<File> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(self.0.join(name))
            .map_err(|error| named(&self.0, &error))
    }
}

fn lock(file: File) -> io::Result<CpuLock> {
    loop {
        match flock(&file, FlockOperation::LockExclusive) {
            Ok(()) => return Ok(CpuLock { file }),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn is_ours(folder: &Path, user: u32) -> bool {
    fs::symlink_metadata(folder)
        .is_ok_and(|m| m.is_dir() && m.uid() == user && m.mode() & 0o022 == 0)
}

fn named(folder: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", folder.display()))
}
