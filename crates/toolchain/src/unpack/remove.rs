//! Deleting a tree that a stranger made, or a job that may still have friends.
//!
//! Every step goes through an open folder and follows no link, so a folder that is exchanged for a link meanwhile leads
//! nowhere. Folders below are first moved up beside their parents, so that neither the depth of the tree nor the
//! length of its paths matters: a job may have nested folders deeper than any path can name.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Dir, Mode, OFlags, chmod, fchmod, openat, renameat, statat, unlinkat,
};
use rustix::io::Errno;
use rustix::path::Arg;

/// What a folder needs to be emptied.
const ALL: Mode = Mode::RWXU;

/// Deletes a tree even if its directories forbid it. Links are removed, not followed. A missing tree is fine.
///
/// # Errors
/// The first thing that could not be removed.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    Ok(remove(path)?)
}

fn remove(path: &Path) -> rustix::io::Result<()> {
    let top = match open_folder(CWD, path) {
        Ok(top) => top,
        Err(Errno::NOENT) => return Ok(()),
        Err(Errno::NOTDIR | Errno::LOOP) => return unlinkat(CWD, path, AtFlags::empty()),
        Err(errno) => return Err(errno),
    };
    let mut moved = 0;
    loop {
        let names = names_in(&top)?;
        if names.is_empty() {
            return unlinkat(CWD, path, AtFlags::REMOVEDIR);
        }
        for name in names {
            remove_or_flatten(&top, &name, &mut moved)?;
        }
    }
}

/// Removes an entry of the top folder, after moving the folders in it up.
fn remove_or_flatten(top: &OwnedFd, name: &CStr, moved: &mut u64) -> rustix::io::Result<()> {
    let folder = match open_folder(top, name) {
        Ok(folder) => folder,
        Err(Errno::NOENT) => return Ok(()),
        Err(Errno::NOTDIR | Errno::LOOP) => return unlinkat(top, name, AtFlags::empty()),
        Err(errno) => return Err(errno),
    };
    for entry in names_in(&folder)? {
        match unlinkat(&folder, &entry, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => continue,
            // Linux says the first of a folder, POSIX the second.
            Err(Errno::ISDIR | Errno::PERM) => {}
            Err(errno) => return Err(errno),
        }
        match unlinkat(&folder, &entry, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(_) => move_up(&folder, &entry, top, moved)?,
        }
    }
    unlinkat(top, name, AtFlags::REMOVEDIR)
}

fn move_up(
    folder: &OwnedFd,
    entry: &CStr,
    top: &OwnedFd,
    moved: &mut u64,
) -> rustix::io::Result<()> {
    // A folder that changes its parent must be writable itself.
    drop(open_folder(folder, entry)?);
    loop {
        *moved += 1;
        let name = format!("moved-{moved}");
        match statat(top, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return renameat(folder, entry, top, &name),
            Err(errno) => return Err(errno),
            Ok(_) => {}
        }
    }
}

fn names_in(folder: &OwnedFd) -> rustix::io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(entry.file_name().to_owned());
        }
    }
    Ok(names)
}

/// Opens a folder, never what a link leads to, and takes all rights to it.
fn open_folder(parent: impl AsFd, name: impl Arg + Copy) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let parent = parent.as_fd();
    let folder = match openat(parent, name, flags | OFlags::RDONLY, Mode::empty()) {
        Err(Errno::ACCESS) => {
            allow(&openat(parent, name, flags | OFlags::PATH, Mode::empty())?)?;
            openat(parent, name, flags | OFlags::RDONLY, Mode::empty())?
        }
        opened => opened?,
    };
    fchmod(&folder, ALL)?;
    Ok(folder)
}

/// A descriptor that may not even be read cannot be changed through itself, only by its name in `/proc`.
fn allow(folder: &OwnedFd) -> rustix::io::Result<()> {
    chmod(format!("/proc/self/fd/{}", folder.as_raw_fd()), ALL)
}
