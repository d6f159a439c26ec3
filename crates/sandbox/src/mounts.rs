//! The root of a job inside its own mount namespace, read as a recipe in [`build`].
//!
//! Everything is attached through descriptors opened without following links, so a hostile toolchain whose `tmp` or `dev` is a
//! symlink cannot lead a mount elsewhere. What is missing in the toolchain or refused by the machine and not
//! essential (`/dev`, `/proc`) is left out; a root, a job's folder and the loss of the old root are essential.
//! Needs Linux 5.2; from 5.12 on flags reach mounts inside the toolchain too, before that there must be none.

use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    CWD, Dir, FileType, Mode, OFlags, StatVfsMountFlags, fstat, fstatvfs, mkdirat, openat,
    readlinkat, symlinkat,
};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags,
    OpenTreeFlags, UnmountFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen,
    mount_change, mount_remount, move_mount, open_tree, unmount,
};
use rustix::path::Arg;
use rustix::process::{chdir, fchdir, pivot_root};

use crate::error::{At, Failed, Step};

/// Devices a compiler may open; each is the host's own node.
const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];

/// Usual names in `/dev` that lead into `/proc`.
const DEVICE_LINKS: [(&str, &str); 4] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];

/// A toolchain has a handful of entries at its top; thousands are an attack on the mount table.
const MAX_TOP_ENTRIES: usize = 256;

/// Folders of the root we mount on.
const MOUNT_POINTS: [&str; 3] = ["tmp", "dev", "proc"];

const READ_ONLY: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_RDONLY
    .union(MountAttrFlags::MOUNT_ATTR_NOSUID)
    .union(MountAttrFlags::MOUNT_ATTR_NODEV);

/// Of linux/fcntl.h; missing in the libc crate.
const AT_RECURSIVE: libc::c_int = 0x8000;

/// Where the job's folder appears.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place<'a> {
    /// As `/tmp`.
    Tmp,
    /// At this path below the root, where it lies on the host too; other jobs' folders beside it are hidden.
    Below(&'a Path),
}

/// Makes `root` the root directory of this process, read-only, with the job's folder in its place, and forgets the old root.
/// The process must be alone in a mount namespace in which it has `CAP_SYS_ADMIN`.
pub(crate) fn build(root: &Path, tmp: &Path, place: Place<'_>) -> Result<(), Failed> {
    // Nothing mounted here may show on the host.
    mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )
    .at(Step::PrivateMounts)?;
    // Taken before the root becomes read-only, because it may lie inside it.
    let job_folder = open_folder(CWD, tmp)
        .and_then(|tmp| clone_mount(tmp, ""))
        .at(Step::MountTmp)?;
    let toolchain = open_folder(CWD, root).at(Step::BindRoot)?;
    let new_root = if has_mount_points(&toolchain, place) {
        bind_toolchain(&toolchain)?
    } else {
        copy_top(&toolchain)?
    };
    mount_job_folder(&new_root, &job_folder, place).at(Step::MountTmp)?;
    // A machine or a toolchain that refuses these has jobs without them, as Icecream's jobs are.
    let _ = mount_devices(&new_root);
    let _ = mount_proc(&new_root);
    // The trick of pivot_root(2): the old root lies on top of the new one and is then taken away.
    fchdir(&new_root).at(Step::PivotRoot)?;
    pivot_root(".", ".").at(Step::PivotRoot)?;
    unmount(".", UnmountFlags::DETACH).at(Step::DetachOldRoot)?;
    chdir("/").at(Step::DetachOldRoot)
}

fn has_mount_points(toolchain: &OwnedFd, place: Place<'_>) -> bool {
    match place {
        Place::Tmp => MOUNT_POINTS
            .iter()
            .all(|&name| open_folder(toolchain, name).is_ok()),
        // The job's folder is there, being inside; the others are not essential.
        Place::Below(_) => true,
    }
}

/// The usual way: the toolchain itself, mounted over itself.
fn bind_toolchain(toolchain: &OwnedFd) -> Result<OwnedFd, Failed> {
    let root = clone_mount(toolchain, "").at(Step::BindRoot)?;
    attach(&root, toolchain).at(Step::BindRoot)?;
    restrict(&root, READ_ONLY).at(Step::ReadOnlyRoot)?;
    Ok(root)
}

/// For a toolchain without the folders we mount on: an empty root in memory, into which its top entries are mounted.
fn copy_top(toolchain: &OwnedFd) -> Result<OwnedFd, Failed> {
    let root = new_tmpfs().at(Step::BindRoot)?;
    attach(&root, toolchain).at(Step::BindRoot)?;
    for name in top_entries(toolchain).at(Step::BindRoot)? {
        copy_entry(toolchain, &root, &name).at(Step::BindRoot)?;
    }
    for name in MOUNT_POINTS {
        // Of another kind than a folder: the toolchain's business, and the job's folder cannot be mounted then.
        match mkdirat(&root, name, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno).at(Step::BindRoot),
        }
    }
    restrict(&root, READ_ONLY).at(Step::ReadOnlyRoot)?;
    Ok(root)
}

fn top_entries(toolchain: &OwnedFd) -> rustix::io::Result<Vec<CString>> {
    let listing = openat(
        toolchain,
        ".",
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let mut names = Vec::new();
    for entry in Dir::read_from(listing)? {
        let name = entry?.file_name().to_owned();
        if name.to_bytes() == b"." || name.to_bytes() == b".." {
            continue;
        }
        if names.len() == MAX_TOP_ENTRIES {
            return Err(Errno::TOOBIG);
        }
        names.push(name);
    }
    Ok(names)
}

fn copy_entry(toolchain: &OwnedFd, root: &OwnedFd, name: &CStr) -> rustix::io::Result<()> {
    let source = openat(
        toolchain,
        name,
        OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    match FileType::from_raw_mode(fstat(&source)?.st_mode) {
        FileType::Directory => mkdirat(root, name, Mode::from_raw_mode(0o755))?,
        FileType::RegularFile => create_file(root, name)?,
        FileType::Symlink => {
            return symlinkat(readlinkat(toolchain, name, Vec::new())?, root, name);
        }
        _ => return Ok(()),
    }
    let target = openat(
        root,
        name,
        OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let entry = clone_mount(&source, "")?;
    attach(&entry, &target)?;
    restrict(&entry, READ_ONLY)
}

fn mount_job_folder(root: &OwnedFd, folder: &OwnedFd, place: Place<'_>) -> rustix::io::Result<()> {
    match place {
        Place::Tmp => attach(folder, &open_folder(root, "tmp")?)?,
        Place::Below(path) => attach(folder, &hide_neighbours(root, path)?)?,
    }
    restrict(
        folder,
        MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV,
    )
}

/// Covers the first folder on the path with an empty one that holds nothing but the rest of the path; gives the end of it.
fn hide_neighbours(root: &OwnedFd, path: &Path) -> rustix::io::Result<OwnedFd> {
    let mut names = path.iter();
    let top = open_folder(root, names.next().ok_or(Errno::INVAL)?)?;
    let Some(next) = names.next() else {
        return Ok(top);
    };
    let cover = new_tmpfs()?;
    attach(&cover, &top)?;
    let mut folder = make_folder(&cover, next)?;
    for name in names {
        folder = make_folder(&folder, name)?;
    }
    restrict(&cover, READ_ONLY)?;
    Ok(folder)
}

fn make_folder(parent: &OwnedFd, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    mkdirat(parent, name, Mode::from_raw_mode(0o755))?;
    open_folder(parent, name)
}

fn mount_devices(root: &OwnedFd) -> rustix::io::Result<()> {
    let target = open_folder(root, "dev")?;
    let folder = new_tmpfs()?;
    attach(&folder, &target)?;
    for name in DEVICES {
        let _ = bind_device(&folder, name);
    }
    for (name, leads_to) in DEVICE_LINKS {
        symlinkat(leads_to, &folder, name)?;
    }
    // The devices are mounts of their own and stay writable.
    restrict_one(&folder, READ_ONLY)
}

fn bind_device(folder: &OwnedFd, name: &str) -> rustix::io::Result<()> {
    let path = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let device = openat(CWD, Path::new("/dev").join(name), path, Mode::empty())?;
    if FileType::from_raw_mode(fstat(&device)?.st_mode) != FileType::CharacterDevice {
        return Err(Errno::NODEV);
    }
    create_file(folder, name)?;
    attach(
        &clone_mount(&device, "")?,
        &openat(folder, name, path, Mode::empty())?,
    )
}

/// Shows the processes of the new PID namespace only, and lets nothing be changed. Containers that cover parts of their own
/// `/proc` refuse it; then a regular file the toolchain may carry, such as `proc/cpuinfo`, stays visible.
fn mount_proc(root: &OwnedFd) -> rustix::io::Result<()> {
    let target = open_folder(root, "proc")?;
    let system = fsopen("proc", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(&system)?;
    let flags = READ_ONLY | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    attach(
        &fsmount(&system, FsMountFlags::FSMOUNT_CLOEXEC, flags)?,
        &target,
    )
}

/// A file system in memory that is meant to hold nothing but mount points.
fn new_tmpfs() -> rustix::io::Result<OwnedFd> {
    let system = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in [("mode", "755"), ("size", "256k"), ("nr_inodes", "1k")] {
        fsconfig_set_string(&system, key, value)?;
    }
    fsconfig_create(&system)?;
    let flags = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    fsmount(&system, FsMountFlags::FSMOUNT_CLOEXEC, flags)
}

fn create_file(folder: &OwnedFd, name: impl Arg) -> rustix::io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(folder, name, flags, Mode::from_raw_mode(0o444)).map(drop)
}

/// A folder itself, never what a link leads to.
fn open_folder(parent: impl AsFd, name: impl Arg) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(parent, name, flags, Mode::empty())
}

/// A detached copy of the mount at this place, with those inside it where their flags can be set.
fn clone_mount(at: impl AsFd, path: impl Arg) -> rustix::io::Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    if can_set_attributes() {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    open_tree(at, path, flags)
}

fn attach(mount: &OwnedFd, target: &OwnedFd) -> rustix::io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount, "", target, "", flags)
}

/// Adds flags to an attached mount and all inside it.
fn restrict(mount: &OwnedFd, flags: MountAttrFlags) -> rustix::io::Result<()> {
    if !can_set_attributes() {
        return remount(mount, flags);
    }
    set_attributes(Some(mount), flags, libc::AT_EMPTY_PATH | AT_RECURSIVE)
}

/// Adds flags to one attached mount.
fn restrict_one(mount: &OwnedFd, flags: MountAttrFlags) -> rustix::io::Result<()> {
    if !can_set_attributes() {
        return remount(mount, flags);
    }
    set_attributes(Some(mount), flags, libc::AT_EMPTY_PATH)
}

/// Linux 5.12, and not withheld by a system call filter.
fn can_set_attributes() -> bool {
    set_attributes(None, READ_ONLY, libc::AT_EMPTY_PATH) == Err(Errno::BADF)
}

/// `mount_setattr`, which rustix lacks; without a mount it only tells whether the call exists.
fn set_attributes(
    mount: Option<&OwnedFd>,
    flags: MountAttrFlags,
    how: libc::c_int,
) -> rustix::io::Result<()> {
    /// `struct mount_attr` of linux/mount.h.
    #[repr(C)]
    struct Attributes {
        set: u64,
        clear: u64,
        propagation: u64,
        user_namespace: u64,
    }
    let attributes = Attributes {
        set: u64::from(flags.bits()),
        clear: 0,
        propagation: 0,
        user_namespace: 0,
    };
    let descriptor = mount.map_or(-1, AsRawFd::as_raw_fd);
    // SAFETY: the path is NUL-terminated, the structure is that of the kernel, and both outlive the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            descriptor,
            c"".as_ptr(),
            how,
            &raw const attributes,
            size_of::<Attributes>(),
        )
    };
    if result == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    Err(Errno::from_io_error(&error).unwrap_or(Errno::INVAL))
}

/// The old way, for one mount. Flags it has must be repeated: a user namespace may not take them away.
fn remount(mount: &OwnedFd, flags: MountAttrFlags) -> rustix::io::Result<()> {
    let present = fstatvfs(mount)?.f_flag;
    let pairs = [
        (
            StatVfsMountFlags::RDONLY,
            MountAttrFlags::MOUNT_ATTR_RDONLY,
            MountFlags::RDONLY,
        ),
        (
            StatVfsMountFlags::NOSUID,
            MountAttrFlags::MOUNT_ATTR_NOSUID,
            MountFlags::NOSUID,
        ),
        (
            StatVfsMountFlags::NODEV,
            MountAttrFlags::MOUNT_ATTR_NODEV,
            MountFlags::NODEV,
        ),
        (
            StatVfsMountFlags::NOEXEC,
            MountAttrFlags::MOUNT_ATTR_NOEXEC,
            MountFlags::NOEXEC,
        ),
        (
            StatVfsMountFlags::NOATIME,
            MountAttrFlags::MOUNT_ATTR_NOATIME,
            MountFlags::NOATIME,
        ),
        (
            StatVfsMountFlags::NODIRATIME,
            MountAttrFlags::MOUNT_ATTR_NODIRATIME,
            MountFlags::NODIRATIME,
        ),
        (
            StatVfsMountFlags::RELATIME,
            MountAttrFlags::empty(),
            MountFlags::RELATIME,
        ),
    ];
    let mut wanted = MountFlags::BIND;
    for (has, asked, flag) in pairs {
        if present.contains(has) || (!asked.is_empty() && flags.contains(asked)) {
            wanted |= flag;
        }
    }
    // Through the host's `/proc`, because a file cannot be a working directory and a path could be a link.
    mount_remount(format!("/proc/self/fd/{}", mount.as_raw_fd()), wanted, c"")
}
