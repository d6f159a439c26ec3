//! As many locks as there are processors, for what no daemon counts: preprocessing, and local jobs without a daemon.
//!
//! Each lock is a file in a folder of this user alone; holding it is an flock on an open file, which lasts through exec for as long as somebody has the
//! descriptor. Any problem with the folder means that we go on without a lock: too many processes at once are better than a failed build.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::thread;

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

use crate::log::Log;
use crate::variables::Variables;

/// One lock, held until dropped or, if handed on, until the last process that has it ends.
#[derive(Debug)]
pub(crate) struct CpuLock {
    pub(crate) file: File,
}

/// Waits for a free lock. `None` if locks cannot be used here.
pub(crate) fn acquire(variables: &Variables, log: &Log) -> Option<CpuLock> {
    match try_acquire(variables) {
        Ok(lock) => Some(lock),
        Err(error) => {
            log.warning(format_args!("working without a lock: {error}"));
            None
        }
    }
}

fn try_acquire(variables: &Variables) -> io::Result<CpuLock> {
    let folder = folder(variables)?;
    let count = thread::available_parallelism().map_or(1, usize::from);
    let start = std::process::id() as usize % count;
    for index in (0..count).map(|step| (start + step) % count) {
        let file = open(&folder, index)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(CpuLock { file }),
            Err(Errno::WOULDBLOCK) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    let file = open(&folder, start)?;
    loop {
        match flock(&file, FlockOperation::LockExclusive) {
            Ok(()) => return Ok(CpuLock { file }),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn open(folder: &std::path::Path, index: usize) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(folder.join(format!("cpu-{index}")))
}

/// A folder that belongs to this user and nobody else can write to.
fn folder(variables: &Variables) -> io::Result<PathBuf> {
    let user = rustix::process::getuid().as_raw();
    let folder = match &variables.runtime_dir {
        Some(runtime) if is_ours(runtime, user) => runtime.join("gelato"),
        _ => PathBuf::from(format!("/tmp/.gelato-{user}")),
    };
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
    Ok(folder)
}

fn is_ours(folder: &std::path::Path, user: u32) -> bool {
    fs::symlink_metadata(folder)
        .is_ok_and(|m| m.is_dir() && m.uid() == user && m.mode() & 0o022 == 0)
}

fn named(folder: &std::path::Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", folder.display()))
}
