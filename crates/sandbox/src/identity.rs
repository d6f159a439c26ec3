//! Who we are, who a name is, and giving up root for good.
//!
//! [`drop_privileges`] is for the daemon's start, before it has threads. Jobs change their identity in the jail step with
//! [`become_job`].

use std::ffi::{CStr, CString, OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use rustix::process::{getegid, geteuid};

use crate::capabilities;
use crate::job::Identity;

/// An entry of the user database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// The user's primary group.
    pub gid: u32,
    /// Login name.
    pub name: OsString,
    /// Home directory.
    pub home: PathBuf,
}

impl User {
    /// What a job needs to know of it.
    pub fn identity(&self) -> Identity {
        Identity {
            uid: self.uid,
            gid: self.gid,
        }
    }
}

/// Looks a login name up in the user database. A missing user, an unusable name and a database that cannot be asked are all
/// `None`: for the caller they mean the same.
pub fn lookup_user(name: impl AsRef<OsStr>) -> Option<User> {
    let name = CString::new(name.as_ref().as_bytes()).ok()?;
    let mut space: Vec<libc::c_char> = vec![0; 1024];
    loop {
        let mut entry = MaybeUninit::<libc::passwd>::uninit();
        let mut found = std::ptr::null_mut();
        // SAFETY: all pointers are valid for the call, and the length is that of the buffer.
        let errno = unsafe {
            libc::getpwnam_r(
                name.as_ptr(),
                entry.as_mut_ptr(),
                space.as_mut_ptr(),
                space.len(),
                &mut found,
            )
        };
        if errno == libc::ERANGE && space.len() < 1 << 20 {
            space.resize(space.len() * 4, 0);
            continue;
        }
        if errno != 0 || found.is_null() {
            return None;
        }
        // SAFETY: the call succeeded and `found` is not null, so the entry is filled in and its strings lie in `space`.
        let entry = unsafe { entry.assume_init() };
        // SAFETY: as above; both are NUL-terminated strings in `space`, which is not touched meanwhile.
        let (name, home) = unsafe { (CStr::from_ptr(entry.pw_name), CStr::from_ptr(entry.pw_dir)) };
        return Some(User {
            uid: entry.pw_uid,
            gid: entry.pw_gid,
            name: OsString::from_vec(name.to_bytes().to_vec()),
            home: OsString::from_vec(home.to_bytes().to_vec()).into(),
        });
    }
}

/// Whether the effective user is root.
pub fn is_root() -> bool {
    geteuid().is_root()
}

/// The effective user and group.
pub fn current() -> Identity {
    Identity {
        uid: geteuid().as_raw(),
        gid: getegid().as_raw(),
    }
}

/// Turns a root process into the given user's for good: group, no supplementary groups, user, and no way back. With
/// `keep_chroot` exactly `CAP_SYS_CHROOT` is kept (permitted, effective, inheritable, ambient and bounding), so that the jail
/// step can use it; otherwise every set is empty, bounding included.
///
/// Call it before any thread is started: capabilities belong to threads, and only the calling one is changed.
pub fn drop_privileges(user: &User, keep_chroot: bool) -> io::Result<()> {
    capabilities::clear_bounding(keep_chroot)?;
    if keep_chroot {
        rustix::thread::set_keep_capabilities(true)?;
    }
    set_ids(user.identity())?;
    capabilities::keep_only(if keep_chroot {
        capabilities::CHROOT
    } else {
        capabilities::NONE
    })?;
    if keep_chroot {
        capabilities::raise_ambient_chroot()?;
        rustix::thread::set_keep_capabilities(false)?;
    }
    Ok(())
}

/// The jail step's change of user, single-threaded and still root. Every capability is lost with it.
pub(crate) fn become_job(identity: Identity) -> io::Result<()> {
    set_ids(identity)
}

fn set_ids(identity: Identity) -> io::Result<()> {
    let Identity { uid, gid } = identity;
    // SAFETY: an empty list, whose pointer is not read.
    check(unsafe { libc::setgroups(0, std::ptr::null()) })?;
    // SAFETY: plain integers.
    check(unsafe { libc::setresgid(gid, gid, gid) })?;
    // SAFETY: plain integers.
    check(unsafe { libc::setresuid(uid, uid, uid) })
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_found_and_nonsense_is_not() {
        let root = lookup_user("root").expect("every system has it");
        assert_eq!((root.uid, root.gid), (0, 0));
        assert_eq!(root.name, "root");
        assert!(root.home.is_absolute());
        assert_eq!(lookup_user("no-such-user-here"), None);
        assert_eq!(lookup_user("nul\0inside"), None);
        assert_eq!(lookup_user(""), None);
    }
}
