//! The system call filter of a job: what no compiler needs and what has most often opened a kernel to those inside.
//!
//! A list of refusals, not of permissions, because nobody knows every program a toolchain may hold. Calls newer than the
//! list are answered as an older kernel would, so that what is not known here is not reached, and programs fall back. The
//! filter also covers 32-bit programs on x86-64; any other foreign call ends the process.

use std::io;

use rustix::io::Errno;

use crate::error::{At, Failed, Step};

/// One instruction of the kernel's packet filter machine.
type Instruction = libc::sock_filter;

/// A call by its number on this architecture and, on x86-64, that of 32-bit programs.
struct Call {
    native: libc::c_long,
    #[cfg_attr(
        not(target_arch = "x86_64"),
        expect(dead_code, reason = "no 32-bit programs there")
    )]
    ia32: u32,
    errno: i32,
}

macro_rules! refused {
    ($($(#[$on:meta])* $name:ident, $ia32:literal => $errno:ident;)+) => {
        &[$($(#[$on])* Call { native: libc::$name, ia32: $ia32, errno: libc::$errno },)+]
    };
}

/// Refused with this error. The numbers of 32-bit programs are those of Linux's i386 table.
#[rustfmt::skip]
const REFUSED: &[Call] = refused! {
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

/// Refused to 32-bit programs only: gates to several calls at once, and predecessors of calls above.
#[cfg(target_arch = "x86_64")]
const REFUSED_IA32: &[(u32, i32)] = &[
    (22, libc::EPERM),         // umount
    (102, libc::EAFNOSUPPORT), // socketcall
    (117, libc::ENOSYS),       // ipc
    (113, libc::EPERM),        // vm86old
    (166, libc::EPERM),        // vm86
];

/// From here on calls are unknown to this list; the last one looked at is removexattrat of Linux 6.13. The other
/// set of numbers of x86-64 (x32) lies above, too.
const FIRST_UNKNOWN: u32 = 467;

/// `clone` with any of these makes a namespace.
const NEW_NAMESPACES: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET)
    .cast_unsigned();

/// `AUDIT_ARCH_…` of linux/audit.h.
#[cfg(target_arch = "x86_64")]
const NATIVE: Option<u32> = Some(0xc000_003e);
#[cfg(target_arch = "aarch64")]
const NATIVE: Option<u32> = Some(0xc000_00b7);
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const NATIVE: Option<u32> = None;
#[cfg(target_arch = "x86_64")]
const IA32: u32 = 0x4000_0003;

/// Offsets in `struct seccomp_data` of linux/seccomp.h, the last one in little-endian order.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const FIRST_ARGUMENT: u32 = 16;

/// A filter ready to be put in force: nothing is allocated after [`Filter::new`].
pub(crate) struct Filter(Vec<Instruction>);

impl Filter {
    /// The filter for jobs on this machine; `None` on architectures it has no table for.
    pub(crate) fn new() -> Option<Filter> {
        let native = block(
            REFUSED
                .iter()
                .filter_map(|call| Some((u32::try_from(call.native).ok()?, call.errno))),
            libc::SYS_clone.try_into().ok()?,
        );
        let mut program = vec![
            load(ARCHITECTURE),
            jump_if_equal(NATIVE?, 1, 0),
            jump(u32::try_from(native.len()).ok()?),
        ];
        program.extend(native);
        #[cfg(target_arch = "x86_64")]
        {
            /// `clone` of 32-bit programs.
            const CLONE: u32 = 120;
            program.extend([
                jump_if_equal(IA32, 1, 0),
                answer(libc::SECCOMP_RET_KILL_PROCESS),
            ]);
            let refused = REFUSED.iter().map(|call| (call.ia32, call.errno));
            program.extend(block(refused.chain(REFUSED_IA32.iter().copied()), CLONE));
        }
        #[cfg(not(target_arch = "x86_64"))]
        program.push(answer(libc::SECCOMP_RET_KILL_PROCESS));
        Some(Filter(program))
    }

    /// Puts the filter in force for this process and all it will start. Needs `no_new_privs`. A kernel without filters is let pass.
    pub(crate) fn install(&mut self) -> Result<(), Failed> {
        let program = libc::sock_fprog {
            len: self.0.len().try_into().unwrap_or(libc::c_ushort::MAX),
            filter: self.0.as_mut_ptr(),
        };
        // Before Linux 5.16 a filter slows down speculation of the whole process, unless told otherwise.
        match set_filter(&program, libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW) {
            Err(Errno::INVAL) => match set_filter(&program, 0) {
                Err(Errno::INVAL | Errno::NOSYS) => Ok(()),
                result => result,
            },
            Err(Errno::NOSYS) => Ok(()),
            result => result,
        }
        .at(Step::SystemCallFilter)
    }
}

/// Whether this kernel takes filters.
pub(crate) fn supported() -> bool {
    let action = libc::SECCOMP_RET_ERRNO;
    // SAFETY: the third argument points to a u32 that the kernel reads.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_GET_ACTION_AVAIL,
            0,
            &raw const action,
        )
    };
    NATIVE.is_some() && result == 0
}

fn set_filter(program: &libc::sock_fprog, flags: libc::c_ulong) -> rustix::io::Result<()> {
    // SAFETY: `program` and the instructions it points to outlive the call; the kernel checks and copies them.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            std::ptr::from_ref(program),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::INVAL))
    }
}

/// The rules for one architecture.
fn block(refused: impl Iterator<Item = (u32, i32)>, clone: u32) -> Vec<Instruction> {
    let mut block = vec![
        load(NUMBER),
        instruction(
            libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K,
            0,
            1,
            FIRST_UNKNOWN,
        ),
        error(libc::ENOSYS),
    ];
    for (number, errno) in refused {
        block.extend([jump_if_equal(number, 0, 1), error(errno)]);
    }
    block.extend([
        jump_if_equal(clone, 0, 3),
        load(FIRST_ARGUMENT),
        instruction(
            libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K,
            0,
            1,
            NEW_NAMESPACES,
        ),
        error(libc::EPERM),
        answer(libc::SECCOMP_RET_ALLOW),
    ]);
    block
}

fn load(offset: u32) -> Instruction {
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, offset)
}

fn jump(distance: u32) -> Instruction {
    instruction(libc::BPF_JMP | libc::BPF_JA, 0, 0, distance)
}

fn jump_if_equal(value: u32, then: u8, otherwise: u8) -> Instruction {
    instruction(
        libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
        then,
        otherwise,
        value,
    )
}

fn error(errno: i32) -> Instruction {
    answer(libc::SECCOMP_RET_ERRNO | errno.cast_unsigned())
}

fn answer(action: u32) -> Instruction {
    instruction(libc::BPF_RET | libc::BPF_K, 0, 0, action)
}

fn instruction(code: u32, then: u8, otherwise: u8, value: u32) -> Instruction {
    Instruction {
        // The kernel's codes fit into their field.
        code: code as u16,
        jt: then,
        jf: otherwise,
        k: value,
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    /// What the kernel would do with the program.
    fn decide(program: &[Instruction], architecture: u32, number: u32, argument: u32) -> u32 {
        let (mut at, mut value) = (0, 0);
        loop {
            let Instruction { code, jt, jf, k } = program[at];
            at += 1;
            match u32::from(code) {
                0x20 => {
                    value = match k {
                        NUMBER => number,
                        ARCHITECTURE => architecture,
                        FIRST_ARGUMENT => argument,
                        other => panic!("load from {other}"),
                    }
                }
                0x05 => at += k as usize,
                0x06 => return k,
                jump => {
                    let holds = match jump {
                        0x15 => value == k,
                        0x35 => value >= k,
                        0x45 => value & k != 0,
                        other => panic!("code {other:#x}"),
                    };
                    at += usize::from(if holds { jt } else { jf });
                }
            }
        }
    }

    #[test]
    fn each_architecture_has_its_own_numbers() {
        let program = Filter::new().expect("x86-64").0;
        let native = |number: libc::c_long, argument| {
            decide(&program, NATIVE.expect("x86-64"), number as u32, argument)
        };
        let ia32 = |number, argument| decide(&program, IA32, number, argument);
        let refused = |errno: i32| libc::SECCOMP_RET_ERRNO | errno as u32;
        for call in REFUSED {
            assert_eq!(native(call.native, 0), refused(call.errno));
            assert_eq!(ia32(call.ia32, 0), refused(call.errno));
        }
        for number in [libc::SYS_read, libc::SYS_execve, libc::SYS_socketpair, 466] {
            assert_eq!(
                native(number, u32::MAX),
                libc::SECCOMP_RET_ALLOW,
                "{number}"
            );
        }
        // read, execve, and what native programs call mount.
        for number in [3, 11, 165] {
            assert_eq!(ia32(number, u32::MAX), libc::SECCOMP_RET_ALLOW, "{number}");
        }
        assert_eq!(native(467, 0), refused(libc::ENOSYS));
        assert_eq!(native(0x4000_0000, 0), refused(libc::ENOSYS));
        let thread = (libc::CLONE_VM | libc::CLONE_THREAD) as u32;
        let user = libc::CLONE_NEWUSER as u32;
        for clone in [native(libc::SYS_clone, thread), ia32(120, thread)] {
            assert_eq!(clone, libc::SECCOMP_RET_ALLOW);
        }
        for clone in [native(libc::SYS_clone, user), ia32(120, user | thread)] {
            assert_eq!(clone, refused(libc::EPERM));
        }
        let arm = 0x4000_0028;
        assert_eq!(decide(&program, arm, 0, 0), libc::SECCOMP_RET_KILL_PROCESS);
    }

    #[test]
    fn fits_into_the_kernel() {
        let longest = 4096;
        assert!(Filter::new().expect("x86-64").0.len() <= longest);
        assert!(supported());
    }
}
