//! What a hostile program does inside: the executable of the tests, copied into the root of a job.

use std::io;
use std::process::ExitCode;

/// A call with its name and the error it must end with.
type Attempt = (&'static str, fn() -> libc::c_long, i32);

const ATTEMPTS: &[Attempt] = &[
    (
        "socket of the internet",
        || inet(libc::AF_INET),
        libc::EAFNOSUPPORT,
    ),
    (
        "socket of the machine",
        || inet(libc::AF_UNIX),
        libc::EAFNOSUPPORT,
    ),
    ("netlink", || inet(libc::AF_NETLINK), libc::EAFNOSUPPORT),
    ("crypto socket", || inet(libc::AF_ALG), libc::EAFNOSUPPORT),
    (
        "ptrace",
        || call(libc::SYS_ptrace, [libc::PTRACE_TRACEME.into(), 0, 0]),
        libc::EPERM,
    ),
    (
        "unshare",
        || call(libc::SYS_unshare, [libc::CLONE_NEWUSER.into(), 0, 0]),
        libc::EPERM,
    ),
    (
        "clone",
        || {
            call(
                libc::SYS_clone,
                [(libc::CLONE_NEWUSER | libc::SIGCHLD).into(), 0, 0],
            )
        },
        libc::EPERM,
    ),
    ("clone3", || call(libc::SYS_clone3, [0, 0, 0]), libc::ENOSYS),
    ("keyctl", || call(libc::SYS_keyctl, [0, -3, 0]), libc::EPERM),
    ("bpf", || call(libc::SYS_bpf, [0, 0, 0]), libc::EPERM),
    (
        "io_uring",
        || call(libc::SYS_io_uring_setup, [1, 0, 0]),
        libc::ENOSYS,
    ),
    ("mount", || call(libc::SYS_mount, [0, 0, 0]), libc::EPERM),
    (
        "chroot",
        || call(libc::SYS_chroot, [c"/tmp".as_ptr() as libc::c_long, 0, 0]),
        libc::EPERM,
    ),
    (
        "handles",
        || call(libc::SYS_open_by_handle_at, [0, 0, 0]),
        libc::EPERM,
    ),
    (
        "userfaultfd",
        || call(libc::SYS_userfaultfd, [0, 0, 0]),
        libc::EPERM,
    ),
    (
        "perf",
        || call(libc::SYS_perf_event_open, [0, 0, 0]),
        libc::EPERM,
    ),
    (
        "shared memory",
        || call(libc::SYS_shmget, [0, 4096, 0o1600]),
        libc::EPERM,
    ),
    (
        "a call of the future",
        || call(5000, [0, 0, 0]),
        libc::ENOSYS,
    ),
];

/// Makes the attempts of this name; success means that every one was refused as it should be.
pub(crate) fn main(name: &str) -> ExitCode {
    assert_eq!(name, "calls");
    for (name, attempt, expected) in ATTEMPTS {
        let result = attempt();
        let error = io::Error::last_os_error();
        if result != -1 || error.raw_os_error() != Some(*expected) {
            eprintln!("{name}: {result}, {error}");
            return ExitCode::FAILURE;
        }
    }
    // What programs do need.
    let pair = std::os::unix::net::UnixStream::pair();
    let thread = std::thread::spawn(|| 7).join();
    let child = std::process::Command::new("/usr/bin/true").status();
    match (pair, thread, child) {
        (Ok(_), Ok(7), Ok(status)) if status.success() => ExitCode::SUCCESS,
        other => {
            eprintln!("{other:?}");
            ExitCode::FAILURE
        }
    }
}

fn inet(family: libc::c_int) -> libc::c_long {
    call(
        libc::SYS_socket,
        [family.into(), libc::SOCK_DGRAM.into(), 0],
    )
}

fn call(number: libc::c_long, [a, b, c]: [libc::c_long; 3]) -> libc::c_long {
    // SAFETY: each call is meant to be refused before it looks at its arguments; none of them points to memory of ours that could change.
    unsafe { libc::syscall(number, a, b, c) }
}
