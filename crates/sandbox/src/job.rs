//! What the caller says about a job and what it learns when the job is over: plain data, no system calls.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// How strongly a job is kept apart from the rest of the machine, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// User, mount, PID, network, IPC and UTS namespaces; needs no privilege where the kernel allows user namespaces.
    UserNamespace,
    /// Landlock and a system call filter around a process that sees the host's root: it may read and execute its toolchain only, write
    /// to its folder only and open no socket. Needs no privilege, only Linux 5.13 with Landlock switched on.
    Landlock,
    /// `chroot`, for a daemon that is root or kept `CAP_SYS_CHROOT`. With `CAP_SYS_ADMIN` (still root, not in a
    /// restricted container) the same namespaces as above are added; without it the job shares network, processes
    /// and IPC with everything else that runs under the same user.
    Chroot,
    /// Nothing but limits, another process group and no new privileges: the job may do whatever its user may. Never chosen
    /// unless somebody asks for it by name.
    None,
}

impl Level {
    /// All levels, strongest first.
    pub const ALL: [Level; 4] = [
        Level::UserNamespace,
        Level::Landlock,
        Level::Chroot,
        Level::None,
    ];

    /// What users call it.
    pub fn name(self) -> &'static str {
        match self {
            Level::UserNamespace => "namespaces",
            Level::Landlock => "landlock",
            Level::Chroot => "chroot",
            Level::None => "none",
        }
    }

    /// The level of this name.
    pub fn named(name: &str) -> Option<Level> {
        Level::ALL.into_iter().find(|level| level.name() == name)
    }

    /// Whether the toolchain becomes the job's `/`. Elsewhere a job sees the host's paths, and so must its arguments and variables.
    pub fn changes_root(self) -> bool {
        matches!(self, Level::UserNamespace | Level::Chroot)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What holds a worker's jobs: shown to users as `namespaces+cgroup`, `namespaces`, `landlock`, `chroot` or `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Force {
    /// How they are kept apart.
    pub level: Level,
    /// Which control groups limit them; `None`: they are watched instead.
    pub cgroup: Option<crate::cgroup::Kind>,
    /// Whether Landlock restricts their reach, at whatever level.
    pub landlock: bool,
    /// Whether dangerous system calls are refused.
    pub system_call_filter: bool,
}

impl fmt::Display for Force {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.level.name())?;
        match self.cgroup {
            Some(_) => f.write_str("+cgroup"),
            None => Ok(()),
        }
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
    /// Memory of all processes of the job together, in bytes. A job that takes more is killed, and
    /// [`Outcome::out_of_memory`] says so. Without control groups its processes are looked at several times a second.
    pub job_memory_bytes: Option<u64>,
    /// Processes and threads of the job at the same time. The kernel refuses more with control groups and at
    /// [`Level::UserNamespace`]; elsewhere it counts per user, so that one job's limit would strike all jobs and the daemon, and a job
    /// that is seen to have more is killed. Before Linux 5.14 it counts per user at [`Level::UserNamespace`] too.
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
    /// At the other levels it stays where it is.
    pub tmp: PathBuf,
    /// Path of the program inside the root, at every level; absolute, it is not looked for in `PATH`. Where the root does not
    /// change, the program is started through the toolchain's own loader.
    pub program: OsString,
    /// Arguments without the program's own name, which is always `program`.
    pub args: Vec<OsString>,
    /// The whole environment, exactly as given and in this order.
    pub env: Vec<(OsString, OsString)>,
    /// Working directory as the job sees it: inside the root, or on the host where the root does not change.
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
    /// Whether the job, or a part of it, was killed because it took more memory than it may or than there was.
    pub out_of_memory: bool,
    /// Most memory of all its processes together at any time, in bytes: with control groups what the kernel counted, files it was
    /// the first to read included; else the most that was seen, which for a short job is [`Outcome::max_rss_bytes`].
    pub peak_memory: Option<u64>,
}
