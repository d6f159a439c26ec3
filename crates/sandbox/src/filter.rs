//! The system call filter of a job: what no compiler needs and what has most often opened a kernel to those inside.
//!
//! A list of refusals, not of permissions, because nobody knows every program a toolchain may hold. Calls newer than the
//! list are answered as an older kernel would, so that what is not known here is not reached, and programs fall back. The
//! filter also covers 32-bit programs on x86-64; any other foreign call ends the process.
//!
//! Jobs that live among the host's processes and files get longer lists ([`Around`]): they must not change the modes of files they may only
//! read, nor the limits and priorities of other processes of their user, nor, where Landlock does not see to that, send signals.

mod table;

use std::io;

use libc::{ENOSYS, EPERM};
use rustix::io::Errno;

use crate::error::{At, Failed, Step};
use table::{
    Call, ONLY_ITSELF, REFUSED, REFUSED_ON_HOST, REMOVE_ATTRIBUTE_AT, SET_ATTRIBUTE_AT, SIGNALLING,
    SIGNALLING_REQUESTS, SIGNALS,
};
#[cfg(target_arch = "x86_64")]
use table::{REFUSED_IA32, REFUSED_IA32_ON_HOST};

/// One instruction of the kernel's packet filter machine.
type Instruction = libc::sock_filter;

/// What a job has around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Around {
    /// Nothing of the host, or whatever its user may do is accepted.
    Nothing,
    /// The host's files and processes; `scoped` if Landlock keeps its signals to itself.
    Host { scoped: bool },
}

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
const SECOND_ARGUMENT: u32 = 24;

/// A filter ready to be put in force: nothing is allocated after [`Filter::new`].
pub(crate) struct Filter(Vec<Instruction>);

impl Filter {
    /// The filter for jobs on this machine; `None` on architectures it has no table for.
    pub(crate) fn new(around: Around) -> Option<Filter> {
        let native = native_rules(around)?;
        let mut program = vec![
            load(ARCHITECTURE),
            jump_if_equal(NATIVE?, 1, 0),
            jump(u32::try_from(native.len()).ok()?),
        ];
        program.extend(native);
        #[cfg(target_arch = "x86_64")]
        {
            program.extend([
                jump_if_equal(IA32, 1, 0),
                answer(libc::SECCOMP_RET_KILL_PROCESS),
            ]);
            program.extend(ia32_rules(around));
        }
        #[cfg(not(target_arch = "x86_64"))]
        program.push(answer(libc::SECCOMP_RET_KILL_PROCESS));
        Some(Filter(program))
    }

    /// Puts the filter in force for this process and all it will start. Needs `no_new_privs`. A kernel without filters is let pass
    /// unless the filter is `needed`.
    pub(crate) fn install(&mut self, needed: bool) -> Result<(), Failed> {
        let program = libc::sock_fprog {
            len: self.0.len().try_into().unwrap_or(libc::c_ushort::MAX),
            filter: self.0.as_mut_ptr(),
        };
        // Before Linux 5.16 a filter slows down speculation of the whole process, unless told otherwise.
        match set_filter(&program, libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW) {
            Err(Errno::INVAL) => match set_filter(&program, 0) {
                Err(Errno::INVAL | Errno::NOSYS) if !needed => Ok(()),
                result => result,
            },
            Err(Errno::NOSYS) if !needed => Ok(()),
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

/// The lists that hold for a job: calls refused whatever their arguments, and those that may only name the caller.
fn lists(around: Around) -> (Vec<&'static Call>, &'static [Call]) {
    let mut refused: Vec<&Call> = REFUSED.iter().collect();
    match around {
        Around::Nothing => (refused, &[]),
        Around::Host { scoped } => {
            refused.extend(REFUSED_ON_HOST);
            if !scoped {
                refused.extend(SIGNALS);
            }
            (refused, ONLY_ITSELF)
        }
    }
}

fn native_rules(around: Around) -> Option<Vec<Instruction>> {
    let number = |call: libc::c_long| u32::try_from(call).ok();
    let pair = |call: &Call| Some((number(call.native)?, call.errno));
    let (refused, itself) = lists(around);
    let mut refused: Vec<_> = refused.into_iter().filter_map(pair).collect();
    if around != Around::Nothing {
        refused.extend([SET_ATTRIBUTE_AT, REMOVE_ATTRIBUTE_AT].map(|call| (call, EPERM)));
    }
    Some(block(&Rules {
        refused,
        itself: itself.iter().filter_map(pair).collect(),
        signalling: match around {
            Around::Host { scoped: false } => vec![
                (number(libc::SYS_fcntl)?, &SIGNALLING),
                (number(libc::SYS_ioctl)?, &SIGNALLING_REQUESTS),
            ],
            _ => Vec::new(),
        },
        clone: number(libc::SYS_clone)?,
    }))
}

#[cfg(target_arch = "x86_64")]
fn ia32_rules(around: Around) -> Vec<Instruction> {
    /// `clone`, `fcntl`, `fcntl64` and `ioctl` of 32-bit programs.
    const CLONE: u32 = 120;
    const FCNTL: [u32; 2] = [55, 221];
    const IOCTL: u32 = 54;
    let pair = |call: &Call| (call.ia32, call.errno);
    let (refused, itself) = lists(around);
    let mut refused: Vec<_> = refused.into_iter().map(pair).collect();
    refused.extend(REFUSED_IA32);
    if around != Around::Nothing {
        refused.extend(REFUSED_IA32_ON_HOST);
        refused.extend([SET_ATTRIBUTE_AT, REMOVE_ATTRIBUTE_AT].map(|call| (call, EPERM)));
    }
    block(&Rules {
        refused,
        itself: itself.iter().map(pair).collect(),
        signalling: match around {
            Around::Host { scoped: false } => vec![
                (FCNTL[0], &SIGNALLING),
                (FCNTL[1], &SIGNALLING),
                (IOCTL, &SIGNALLING_REQUESTS),
            ],
            _ => Vec::new(),
        },
        clone: CLONE,
    })
}

/// The rules for one architecture, by its numbers.
struct Rules {
    /// Refused with this error.
    refused: Vec<(u32, i32)>,
    /// Refused with this error unless the first argument is 0.
    itself: Vec<(u32, i32)>,
    /// Refused if the second argument is one of these.
    signalling: Vec<(u32, &'static [u32])>,
    /// Refused with the flags of namespaces.
    clone: u32,
}

fn block(rules: &Rules) -> Vec<Instruction> {
    let mut block = vec![
        load(NUMBER),
        instruction(
            libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K,
            0,
            1,
            FIRST_UNKNOWN,
        ),
        error(ENOSYS),
    ];
    for &(number, errno) in &rules.refused {
        block.extend([jump_if_equal(number, 0, 1), error(errno)]);
    }
    for &(number, errno) in &rules.itself {
        block.extend([
            jump_if_equal(number, 0, 4),
            load(FIRST_ARGUMENT),
            jump_if_equal(0, 0, 1),
            allow(),
            error(errno),
        ]);
    }
    for &(number, values) in &rules.signalling {
        // The lists have a handful of values.
        let length = 2 * values.len() as u8;
        block.extend([jump_if_equal(number, 0, length + 2), load(SECOND_ARGUMENT)]);
        for &value in values {
            block.extend([jump_if_equal(value, 0, 1), error(EPERM)]);
        }
        block.push(allow());
    }
    block.extend([
        jump_if_equal(rules.clone, 0, 3),
        load(FIRST_ARGUMENT),
        instruction(
            libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K,
            0,
            1,
            NEW_NAMESPACES,
        ),
        error(EPERM),
        allow(),
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

fn allow() -> Instruction {
    answer(libc::SECCOMP_RET_ALLOW)
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
                        // Tests give the argument that is looked at, whichever it is.
                        FIRST_ARGUMENT | SECOND_ARGUMENT => argument,
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
        let program = Filter::new(Around::Nothing).expect("x86-64").0;
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
        assert_eq!(native(467, 0), refused(ENOSYS));
        assert_eq!(native(0x4000_0000, 0), refused(ENOSYS));
        let thread = (libc::CLONE_VM | libc::CLONE_THREAD) as u32;
        let user = libc::CLONE_NEWUSER as u32;
        for clone in [native(libc::SYS_clone, thread), ia32(120, thread)] {
            assert_eq!(clone, libc::SECCOMP_RET_ALLOW);
        }
        for clone in [native(libc::SYS_clone, user), ia32(120, user | thread)] {
            assert_eq!(clone, refused(EPERM));
        }
        let arm = 0x4000_0028;
        assert_eq!(decide(&program, arm, 0, 0), libc::SECCOMP_RET_KILL_PROCESS);
    }

    #[test]
    fn fits_into_the_kernel() {
        let longest = 4096;
        for scoped in [true, false] {
            let filter = Filter::new(Around::Host { scoped }).expect("x86-64");
            assert!(filter.0.len() <= longest);
        }
        assert!(supported());
    }

    #[test]
    fn jobs_on_the_host_leave_its_files_and_processes_alone() {
        let native = |around, number: libc::c_long, argument| {
            let program = Filter::new(around).expect("x86-64").0;
            decide(&program, NATIVE.expect("x86-64"), number as u32, argument)
        };
        let ia32 = |around, number, argument| {
            let program = Filter::new(around).expect("x86-64").0;
            decide(&program, IA32, number, argument)
        };
        let refused = libc::SECCOMP_RET_ERRNO | EPERM as u32;
        let allowed = libc::SECCOMP_RET_ALLOW;
        let on_host = Around::Host { scoped: true };
        for (number, old) in [
            (libc::SYS_setpriority, 97),
            (libc::SYS_setxattr, 226),
            (libc::SYS_truncate, 193),
        ] {
            assert_eq!(native(Around::Nothing, number, 0), allowed);
            assert_eq!(native(on_host, number, 0), refused);
            assert_eq!(ia32(on_host, old, 0), refused);
            assert_eq!(ia32(Around::Nothing, old, 0), allowed);
        }
        let pretended = libc::SECCOMP_RET_ERRNO;
        for (number, old) in [(libc::SYS_chmod, 15), (libc::SYS_fchown, 95)] {
            assert_eq!(native(on_host, number, 0), pretended);
            assert_eq!(ia32(on_host, old, 0), pretended);
        }
        for call in ONLY_ITSELF {
            assert_eq!(native(Around::Nothing, call.native, 7), allowed);
            assert_eq!(native(on_host, call.native, 7), refused);
            assert_eq!(native(on_host, call.native, 0), allowed);
            assert_eq!(ia32(on_host, call.ia32, 7), refused);
            assert_eq!(ia32(on_host, call.ia32, 0), allowed);
        }
        let unscoped = Around::Host { scoped: false };
        assert_eq!(native(on_host, libc::SYS_kill, 7), allowed);
        assert_eq!(native(unscoped, libc::SYS_kill, 7), refused);
        for operation in SIGNALLING {
            assert_eq!(native(unscoped, libc::SYS_fcntl, operation), refused);
            assert_eq!(ia32(unscoped, 221, operation), refused);
            assert_eq!(native(on_host, libc::SYS_fcntl, operation), allowed);
        }
        assert_eq!(native(unscoped, libc::SYS_fcntl, 3), allowed);
        assert_eq!(native(unscoped, libc::SYS_ioctl, 0x8901), refused);
        assert_eq!(native(unscoped, libc::SYS_ioctl, 0x5401), allowed);
        assert_eq!(native(unscoped, libc::SYS_read, 8), allowed);
    }
}
