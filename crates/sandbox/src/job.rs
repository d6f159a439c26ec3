//! What the caller says about a job and what it learns when the job is over: plain data, no system calls.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// How strongly a job is kept apart from the rest of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Level {
    /// User, mount, PID, network, IPC and UTS namespaces; needs no privilege where the kernel allows user namespaces.
    UserNamespace,
    /// `chroot`, for a daemon that is root or kept `CAP_SYS_CHROOT`. With `CAP_SYS_ADMIN` (still root, not in a
    /// restricted container) the same namespaces as above are added; without it the job shares network, processes
    /// and IPC with everything else that runs under the same user.
    Chroot,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::UserNamespace => "user namespace",
            Level::Chroot => "chroot",
        })
    }
}

/// User and group a job runs under when the daemon is still root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// User id on the host; 0 is refused.
    pub uid: u32,
    /// Group id on the host; 0 is refused. Supplementary groups are dropped.
    pub gid: u32,
}

/// Limits of one job; `None` leaves what the daemon itself has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// Address space of each process of the job, in bytes.
    pub memory_bytes: Option<u64>,
    /// Processes and threads of the job at the same time. Applied at [`Level::UserNamespace`] only: elsewhere the kernel
    /// counts per user, so that one job's limit would strike all jobs and the daemon. Before Linux 5.14 it counts
    /// per user there too.
    pub processes: Option<u64>,
    /// Largest file the job may write, in bytes.
    pub file_size: Option<u64>,
    /// CPU time of each process of the job, in seconds.
    pub cpu_seconds: Option<u64>,
}

/// One job: a program, where it runs and what it gets.
#[derive(Debug, Clone)]
pub struct JobSpec {
    /// How it is kept apart.
    pub level: Level,
    /// The toolchain, a folder on the host: the job's `/`.
    pub root: PathBuf,
    /// The job's own writable folder on the host, writable for the job's user. At [`Level::UserNamespace`] it becomes `/tmp`.
    /// At [`Level::Chroot`] it must lie inside `root` (by custom `root/tmp/JOB`) and keeps that place, with or without namespaces.
    pub tmp: PathBuf,
    /// Path of the program inside the root; absolute, it is not looked for in `PATH`.
    pub program: OsString,
    /// Arguments without the program's own name, which is always `program`.
    pub args: Vec<OsString>,
    /// The whole environment, exactly as given and in this order.
    pub env: Vec<(OsString, OsString)>,
    /// Working directory inside the root.
    pub cwd: PathBuf,
    /// Added to the daemon's niceness.
    pub nice: i32,
    /// Resource limits. Core files are always off.
    pub limits: Limits,
    /// Whom to become: needed if the daemon is root (a job never runs as root), else `None` or the daemon's own.
    pub identity: Option<Identity>,
}

/// How a job's process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It exited with this status, 0 to 255.
    Code(i32),
    /// This signal ended it; also what [`crate::Running::kill`] leads to.
    Signal(i32),
}

/// What is known when everything of a job has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// End of the program itself (not of its children).
    pub exit: Exit,
    /// User time of all its processes.
    pub user: Duration,
    /// System time of all its processes.
    pub system: Duration,
    /// Page faults of all its processes, with and without I/O.
    pub page_faults: u64,
    /// Largest resident set among its processes, in bytes.
    pub max_rss_bytes: u64,
}
