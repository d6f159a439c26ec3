//! The calls a job is refused, as data: to be read and reviewed as a table.

use libc::{EAFNOSUPPORT, ENOSYS, EPERM};

/// A call by its number on this architecture and, on x86-64, that of 32-bit programs.
pub(super) struct Call {
    pub(super) native: libc::c_long,
    #[cfg_attr(
        not(target_arch = "x86_64"),
        expect(dead_code, reason = "no 32-bit programs there")
    )]
    pub(super) ia32: u32,
    pub(super) errno: i32,
}

macro_rules! refused {
    ($($(#[$on:meta])* $name:ident, $ia32:literal => $errno:ident;)+) => {
        &[$($(#[$on])* Call { native: libc::$name, ia32: $ia32, errno: $errno },)+]
    };
}

/// Refused with this error. The numbers of 32-bit programs are those of Linux's i386 table.
#[rustfmt::skip]
pub(super) const REFUSED: &[Call] = refused! {
    // Other processes, and what the kernel knows of them.
    SYS_ptrace, 26 => EPERM;
    SYS_process_vm_readv, 347 => EPERM;
    SYS_process_vm_writev, 348 => EPERM;
    SYS_kcmp, 349 => EPERM;
    SYS_pidfd_getfd, 438 => EPERM;
    SYS_process_madvise, 440 => EPERM;
    SYS_move_pages, 317 => EPERM;
    SYS_migrate_pages, 294 => EPERM;
    SYS_perf_event_open, 336 => EPERM;
    SYS_syslog, 103 => EPERM;
    // Namespaces, mounts and roots.
    SYS_unshare, 310 => EPERM;
    SYS_setns, 346 => EPERM;
    SYS_mount, 21 => EPERM;
    SYS_umount2, 52 => EPERM;
    SYS_pivot_root, 217 => EPERM;
    SYS_chroot, 61 => EPERM;
    SYS_open_tree, 428 => EPERM;
    SYS_move_mount, 429 => EPERM;
    SYS_fsopen, 430 => EPERM;
    SYS_fsconfig, 431 => EPERM;
    SYS_fsmount, 432 => EPERM;
    SYS_fspick, 433 => EPERM;
    SYS_mount_setattr, 442 => EPERM;
    SYS_name_to_handle_at, 341 => EPERM;
    SYS_open_by_handle_at, 342 => EPERM;
    SYS_fanotify_init, 338 => EPERM;
    // Large, young or privileged parts of the kernel.
    SYS_bpf, 357 => EPERM;
    SYS_userfaultfd, 374 => EPERM;
    SYS_io_uring_setup, 425 => ENOSYS;
    SYS_io_uring_enter, 426 => ENOSYS;
    SYS_io_uring_register, 427 => ENOSYS;
    SYS_add_key, 286 => EPERM;
    SYS_request_key, 287 => EPERM;
    SYS_keyctl, 288 => EPERM;
    SYS_init_module, 128 => EPERM;
    SYS_finit_module, 350 => EPERM;
    SYS_delete_module, 129 => EPERM;
    SYS_kexec_load, 283 => EPERM;
    SYS_reboot, 88 => EPERM;
    SYS_swapon, 87 => EPERM;
    SYS_swapoff, 115 => EPERM;
    SYS_acct, 51 => EPERM;
    SYS_quotactl, 131 => EPERM;
    SYS_quotactl_fd, 443 => EPERM;
    #[cfg(target_arch = "x86_64")] SYS_iopl, 110 => EPERM;
    #[cfg(target_arch = "x86_64")] SYS_ioperm, 101 => EPERM;
    #[cfg(target_arch = "x86_64")] SYS_modify_ldt, 123 => EPERM;
    // The network and everything else that is shared without a file. Pairs of sockets stay possible.
    SYS_socket, 359 => EAFNOSUPPORT;
    SYS_shmget, 395 => EPERM;
    SYS_shmat, 397 => EPERM;
    SYS_semget, 393 => EPERM;
    SYS_msgget, 399 => EPERM;
    SYS_mq_open, 277 => EPERM;
    // With its flags in memory, where a filter cannot read them; C libraries then use the older call.
    SYS_clone3, 435 => ENOSYS;
};

/// Said to have been done, and not done.
pub(super) const PRETENDED: i32 = 0;

/// Refused besides to jobs among the host's files and processes. Landlock has no say in any of these: what a job may open for
/// reading, such as its toolchain, it could change the mode or the times of, if it belongs to the same user. Modes, owners and times
/// are pretended to be set, because tools that copy files set them, and nobody looks at those of a job's folder.
#[rustfmt::skip]
pub(super) const REFUSED_ON_HOST: &[Call] = refused! {
    #[cfg(target_arch = "x86_64")] SYS_chmod, 15 => PRETENDED;
    SYS_fchmod, 94 => PRETENDED;
    SYS_fchmodat, 306 => PRETENDED;
    SYS_fchmodat2, 452 => ENOSYS;
    #[cfg(target_arch = "x86_64")] SYS_chown, 212 => PRETENDED;
    SYS_fchown, 207 => PRETENDED;
    #[cfg(target_arch = "x86_64")] SYS_lchown, 198 => PRETENDED;
    SYS_fchownat, 298 => PRETENDED;
    #[cfg(target_arch = "x86_64")] SYS_utime, 30 => PRETENDED;
    #[cfg(target_arch = "x86_64")] SYS_utimes, 271 => PRETENDED;
    #[cfg(target_arch = "x86_64")] SYS_futimesat, 299 => PRETENDED;
    SYS_utimensat, 320 => PRETENDED;
    SYS_setxattr, 226 => EPERM;
    SYS_lsetxattr, 227 => EPERM;
    SYS_fsetxattr, 228 => EPERM;
    SYS_removexattr, 235 => EPERM;
    SYS_lremovexattr, 236 => EPERM;
    SYS_fremovexattr, 237 => EPERM;
    // By path; Landlock sees to it since Linux 6.2 only. What is open for writing can still be cut.
    SYS_truncate, 92 => EPERM;
    SYS_setpriority, 97 => EPERM;
    SYS_ioprio_set, 289 => EPERM;
};

/// Numbers of setxattrat and removexattrat, which are the same everywhere.
pub(super) const SET_ATTRIBUTE_AT: u32 = 463;
pub(super) const REMOVE_ATTRIBUTE_AT: u32 = 466;

/// Refused to the same jobs unless their first argument, a process, is 0, which means the caller itself.
#[rustfmt::skip]
pub(super) const ONLY_ITSELF: &[Call] = refused! {
    SYS_prlimit64, 340 => EPERM;
    SYS_sched_setaffinity, 241 => EPERM;
    SYS_sched_setscheduler, 156 => EPERM;
    SYS_sched_setparam, 154 => EPERM;
    SYS_sched_setattr, 351 => EPERM;
};

/// Refused to the same jobs where Landlock cannot keep signals inside (before Linux 6.12). A program that aborts ends all the same.
#[rustfmt::skip]
pub(super) const SIGNALS: &[Call] = refused! {
    SYS_kill, 37 => EPERM;
    SYS_tkill, 238 => EPERM;
    SYS_tgkill, 270 => EPERM;
    SYS_rt_sigqueueinfo, 178 => EPERM;
    SYS_rt_tgsigqueueinfo, 335 => EPERM;
    SYS_pidfd_send_signal, 424 => EPERM;
};

/// Operations of `fcntl` that name a process to be signalled, or the signal: `F_SETOWN`, `F_SETSIG`, `F_SETOWN_EX`.
pub(super) const SIGNALLING: [u32; 3] = [8, 10, 15];

/// Requests of `ioctl` that do the same: `FIOSETOWN` and `SIOCSPGRP`.
pub(super) const SIGNALLING_REQUESTS: [u32; 2] = [0x8901, 0x8902];

/// Refused to 32-bit programs only: gates to several calls at once, and predecessors of calls above.
#[cfg(target_arch = "x86_64")]
pub(super) const REFUSED_IA32: &[(u32, i32)] = &[
    (22, EPERM),         // umount
    (102, EAFNOSUPPORT), // socketcall
    (117, ENOSYS),       // ipc
    (113, EPERM),        // vm86old
    (166, EPERM),        // vm86
];

/// The same for jobs on the host: the calls above with shorter numbers or longer times.
#[cfg(target_arch = "x86_64")]
pub(super) const REFUSED_IA32_ON_HOST: &[(u32, i32)] = &[
    (16, PRETENDED),  // lchown with 16 bits
    (95, PRETENDED),  // fchown with 16 bits
    (182, PRETENDED), // chown with 16 bits
    (193, EPERM),     // truncate64
    (412, PRETENDED), // utimensat_time64
];
