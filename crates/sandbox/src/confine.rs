//! Landlock: what a job may do with files, whatever the modes say, and whom it may reach.
//!
//! A second wall behind the namespaces, and at the bare chroot level the only one: there the toolchain is as writable as its
//! owner and modes say, folders of other jobs lie beside the job's own, and signals, abstract sockets and TCP would reach the host.
//! At the Landlock level it is the first: of the host's files the toolchain can be read and nothing else. The kernel's version decides
//! how much of it is in force (5.13 files, 6.7 TCP, 6.12 signals and sockets); the system call filter makes up for what is missing.

use std::fs;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};

use crate::error::{Failed, Step};

/// The newest rules asked for; older kernels take what they know.
const NEWEST: ABI = ABI::V6;

/// What may be written besides the job's folder.
const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];

/// Longer lists of top folders are cut: what is not listed is not readable.
const MAX_TOP_ENTRIES: usize = 256;

/// How much of the root a job may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readable<'a> {
    /// All: everything that is not the job's own has been taken out of the root.
    Root,
    /// All but the top folder that holds the job's folder, where those of other jobs are too.
    RootWithoutNeighbours,
    /// This folder of the host and nothing else. Fails if Landlock is not in force.
    Only(&'a Path),
}

/// Restricts this process for good: reads as said, writes below `folder` (both as seen from inside). Needs `no_new_privs`.
pub(crate) fn restrict(folder: &Path, readable: Readable<'_>) -> Result<(), Failed> {
    let failed = |errno| Failed {
        step: Step::Confine,
        errno,
    };
    let status = rules(folder, readable).map_err(|_| failed(libc::EPERM))?;
    if matches!(readable, Readable::Only(_)) && status == RulesetStatus::NotEnforced {
        return Err(failed(libc::EOPNOTSUPP));
    }
    Ok(())
}

/// Whether this kernel has Landlock.
pub(crate) fn supported() -> bool {
    version() > 0
}

/// Whether it keeps signals and abstract sockets inside.
pub(crate) fn scopes_signals() -> bool {
    version() >= 6
}

/// The version of Landlock of the running kernel, 0 without.
fn version() -> libc::c_long {
    /// `LANDLOCK_CREATE_RULESET_VERSION` of linux/landlock.h.
    const ASK_VERSION: libc::c_uint = 1;
    // SAFETY: with this flag the kernel wants no structure and only answers.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<libc::c_void>(),
            0usize,
            ASK_VERSION,
        )
    };
    answer.max(0)
}

fn rules(folder: &Path, readable: Readable<'_>) -> Result<RulesetStatus, RulesetError> {
    let all = AccessFs::from_all(NEWEST);
    let own = all & !(AccessFs::MakeChar | AccessFs::MakeBlock);
    let device = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::Truncate | AccessFs::IoctlDev;
    let mut ruleset = Ruleset::default()
        .handle_access(all)?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?;
    for path in readable_paths(folder, readable) {
        ruleset = allow(ruleset, &path, AccessFs::from_read(NEWEST))?;
    }
    ruleset = allow(ruleset, folder, own)?;
    for name in DEVICES {
        ruleset = allow(ruleset, &Path::new("/dev").join(name), device)?;
    }
    Ok(ruleset.restrict_self()?.ruleset)
}

fn readable_paths(folder: &Path, readable: Readable<'_>) -> Vec<PathBuf> {
    let root = PathBuf::from("/");
    match readable {
        Readable::Root => return vec![root],
        Readable::Only(toolchain) => return vec![toolchain.to_owned()],
        Readable::RootWithoutNeighbours => {}
    }
    let shared = folder.components().nth(1);
    let Ok(entries) = fs::read_dir(&root) else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| Some(root.join(entry.ok()?.file_name())))
        .filter(|path| path.components().nth(1) != shared)
        .take(MAX_TOP_ENTRIES)
        .collect()
}

/// What is not there needs no permission. Links are not followed: they lead to what has a rule of its own, or nowhere.
fn allow(
    ruleset: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    let is_link = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink());
    match PathFd::new(path) {
        Ok(opened) if !is_link => ruleset.add_rule(PathBeneath::new(opened, access)),
        _ => Ok(ruleset),
    }
}
