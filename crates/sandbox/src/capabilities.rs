//! Capability sets: keep one, or none.

use std::io;

use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

pub(crate) const NONE: CapabilitySet = CapabilitySet::empty();
/// Decides whether the chroot level gets namespaces.
pub(crate) const ADMIN: CapabilitySet = CapabilitySet::SYS_ADMIN;
pub(crate) const CHROOT: CapabilitySet = CapabilitySet::SYS_CHROOT;
/// What the jail step of a root daemon keeps: it must be able to kill processes of the job's user.
pub(crate) const KILL: CapabilitySet = CapabilitySet::KILL;

/// Whether this thread may use the capability now.
pub(crate) fn has(wanted: CapabilitySet) -> bool {
    capabilities(None).is_ok_and(|sets| sets.effective.contains(wanted))
}

/// Reduces permitted, effective and inheritable to `kept`, and empties the ambient set.
pub(crate) fn keep_only(kept: CapabilitySet) -> io::Result<()> {
    rustix::thread::clear_ambient_capability_set()?;
    set_capabilities(
        None,
        CapabilitySets {
            effective: kept,
            permitted: kept,
            inheritable: kept,
        },
    )?;
    Ok(())
}

/// Makes `CAP_SYS_CHROOT` survive the exec of the jail step.
pub(crate) fn raise_ambient_chroot() -> io::Result<()> {
    Ok(rustix::thread::configure_capability_in_ambient_set(
        CHROOT, true,
    )?)
}

/// Empties the bounding set, so that no file can give a capability back. Without `CAP_SETPCAP` there is nothing
/// to be done about it, and `no_new_privs` has the same effect.
pub(crate) fn clear_bounding(keep_chroot: bool) -> io::Result<()> {
    if !has(CapabilitySet::SETPCAP) {
        return Ok(());
    }
    for number in 0..u64::BITS {
        if keep_chroot && 1 << number == CHROOT.bits() {
            continue;
        }
        // SAFETY: plain integers, no memory involved.
        let result =
            unsafe { libc::prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(number), 0, 0, 0) };
        if result != 0 {
            let error = io::Error::last_os_error();
            // The first number this kernel does not know.
            return if error.raw_os_error() == Some(libc::EINVAL) {
                Ok(())
            } else {
                Err(error)
            };
        }
    }
    Ok(())
}
