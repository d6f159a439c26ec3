//! Init and the job: the two processes that live inside the jail.
//!
//! Init (pid 1 where there is a PID namespace) builds the root, gives up every privilege, forks the job, reaps, and reports the
//! job's end after everything else inside has been killed. It exists because a program that is pid 1 itself would ignore
//! signals without a handler and inherit every orphan. The job sets what is its own (session, signals, limits, streams)
//! and executes the program.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{
    DumpableBehavior, Pid, Signal, chdir, chroot, getpid, getppid, set_child_subreaper,
    set_dumpable_behavior, set_parent_process_death_signal, setsid, umask,
};

use crate::capabilities;
use crate::cgroup::Kind;
use crate::check::inside;
use crate::child::Isolation;
use crate::confine::{self, Readable};
use crate::error::{At, Failed, Step};
use crate::filter::{Around, Filter};
use crate::identity;
use crate::job::{Exit, Level};
use crate::mounts;
use crate::namespaces;
use crate::recipe::{Recipe, Report, Usage};
use crate::rlimit;

/// Everything init starts from.
pub(crate) struct Init<'a> {
    pub(crate) recipe: &'a Recipe,
    pub(crate) isolation: Isolation,
    /// The job's standard input, output and error.
    pub(crate) streams: [OwnedFd; 3],
    /// The way into the job's control group.
    pub(crate) doors: Vec<OwnedFd>,
    pub(crate) socket: &'a UnixStream,
    /// Becomes readable when the jail step dies.
    pub(crate) jail_step: OwnedFd,
}

/// Init's whole life, in a process just forked.
pub(crate) fn run(init: Init<'_>) -> ! {
    let socket = init.socket;
    let report = match live(init) {
        Ok((exit, usage)) => Report::Ended { exit, usage },
        Err(Failed { step, errno }) => Report::Failed { step, errno },
    };
    let _ = report.write(socket);
    process::exit(0)
}

fn live(init: Init<'_>) -> Result<(Exit, Usage), Failed> {
    let Init {
        recipe,
        isolation,
        streams,
        mut doors,
        socket,
        jail_step,
    } = init;
    // While the host's `/proc` is there, and before it says that it is not ours.
    rlimit::die_first();
    enter_root(recipe, isolation)?;
    give_up_privileges(recipe)?;
    die_with(&jail_step)?;
    drop(jail_step);
    let (verdict, verdict_write) = pipe_with(PipeFlags::CLOEXEC).at(Step::Supervise)?;
    let own = getpid();
    if isolation == Isolation::Bare {
        // As pid 1 would: what has ended is reaped while the job goes on.
        set_child_subreaper(Some(own)).at(Step::Supervise)?;
    }
    // SAFETY: this process has one thread.
    let job = match unsafe { fork_into(recipe.cgroup, &mut doors) } {
        -1 => return Err(io::Error::last_os_error()).at(Step::Supervise),
        0 => become_job(recipe, isolation, own, streams, doors, verdict_write),
        pid => Pid::from_raw(pid).ok_or(Errno::SRCH).at(Step::Supervise)?,
    };
    drop((streams, doors, verdict_write));
    // The writing end closes with the exec. A job killed before that counts as started and ended by the signal.
    match Report::read(File::from(verdict)) {
        Ok(Some(Report::Failed { step, errno })) => return Err(Failed { step, errno }),
        Ok(_) => {}
        Err(error) => return Err(error).at(Step::Supervise),
    }
    // Nobody there to read it: the jail step sees the same and ends all this.
    let _ = Report::Started.write(socket);
    let (exit, own_usage) = reap_until(job).at(Step::Supervise)?;
    if isolation == Isolation::Bare || own.as_raw_pid() != 1 {
        // Orphans go to the jail step, which kills them after our end.
        return Ok((exit, own_usage));
    }
    // SAFETY: plain integers. As pid 1 this reaches the processes of the own PID namespace and nobody else.
    unsafe { libc::kill(-1, libc::SIGKILL) };
    while wait_any().is_ok() {}
    Ok((exit, usage_of_children()))
}

fn enter_root(recipe: &Recipe, isolation: Isolation) -> Result<(), Failed> {
    match isolation {
        Isolation::Namespaces => {
            let place = match recipe.level {
                Level::Chroot => {
                    mounts::Place::Below(inside(&recipe.root, &recipe.tmp).unwrap_or(&recipe.tmp))
                }
                _ => mounts::Place::Tmp,
            };
            mounts::build(&recipe.root, &recipe.tmp, place)?;
            namespaces::set_host_name().at(Step::HostName)
        }
        Isolation::Bare if recipe.level.changes_root() => {
            chdir(&recipe.root).at(Step::Chroot)?;
            chroot(".").at(Step::Chroot)
        }
        Isolation::Bare => Ok(()),
    }
}

fn give_up_privileges(recipe: &Recipe) -> Result<(), Failed> {
    capabilities::clear_bounding(false).at(Step::DropCapabilities)?;
    // With user namespaces it has happened before they were made.
    if let (Some(identity), true) = (recipe.identity, identity::is_root())
        && recipe.level != Level::UserNamespace
    {
        identity::become_job(identity).at(Step::SwitchIdentity)?;
    }
    capabilities::keep_only(capabilities::NONE).at(Step::DropCapabilities)?;
    rustix::thread::set_no_new_privs(true).at(Step::NoNewPrivileges)?;
    // The job runs under the same user: it shall not trace us, nor look through `/proc` at what we hold.
    set_dumpable_behavior(DumpableBehavior::NotDumpable).at(Step::DropCapabilities)
}

/// Asks the kernel to end us with the jail step. Comes after the change of user, which would undo it.
fn die_with(jail_step: &OwnedFd) -> Result<(), Failed> {
    set_parent_process_death_signal(Some(Signal::KILL)).at(Step::Supervise)?;
    let mut ended = [PollFd::new(jail_step, PollFlags::IN)];
    match poll(
        &mut ended,
        Some(&Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        }),
    ) {
        Ok(0) => Ok(()),
        _ => process::exit(1),
    }
}

/// The job's side of the fork: never returns.
fn become_job(
    recipe: &Recipe,
    isolation: Isolation,
    init: Pid,
    streams: [OwnedFd; 3],
    doors: Vec<OwnedFd>,
    verdict: OwnedFd,
) -> ! {
    let prepared = enter_group(doors).and_then(|()| prepare(recipe, isolation, init, &streams));
    let Failed { step, errno } = match prepared {
        Ok(Some(program)) => program.execute(),
        Ok(None) => process::exit(0),
        Err(failed) => failed,
    };
    let _ = Report::Failed { step, errno }.write(File::from(verdict));
    process::exit(127)
}

/// As `fork`, and the child is in the job's control group of version 2 from the first moment, which costs nothing; moving a process
/// in takes the kernel milliseconds. The doors that are left in the child are still to be gone through.
///
/// # Safety
///
/// The process has one thread.
unsafe fn fork_into(kind: Option<Kind>, doors: &mut Vec<OwnedFd>) -> libc::pid_t {
    /// `struct clone_args` of linux/sched.h.
    #[repr(C)]
    #[derive(Default)]
    struct Arguments {
        flags: u64,
        pidfd: u64,
        child_tid: u64,
        parent_tid: u64,
        exit_signal: u64,
        stack: u64,
        stack_size: u64,
        tls: u64,
        set_tid: u64,
        set_tid_size: u64,
        cgroup: u64,
    }
    /// `CLONE_INTO_CGROUP`, since Linux 5.7.
    const INTO_GROUP: u64 = 1 << 33;
    if kind == Some(Kind::V2) && !doors.is_empty() {
        let folder = doors.remove(0);
        let arguments = Arguments {
            flags: INTO_GROUP,
            exit_signal: libc::SIGCHLD as u64,
            cgroup: folder.as_raw_fd() as u64,
            ..Arguments::default()
        };
        // SAFETY: without a stack of its own the child goes on as after `fork`; there is one thread, so no lock is held.
        let pid = unsafe {
            libc::syscall(
                libc::SYS_clone3,
                &raw const arguments,
                size_of::<Arguments>(),
            )
        };
        if pid >= 0 {
            if pid == 0 {
                doors.clear();
            }
            return pid as libc::pid_t;
        }
    }
    // SAFETY: the caller's promise.
    unsafe { libc::fork() }
}

/// Moves this process into the job's control group.
fn enter_group(doors: Vec<OwnedFd>) -> Result<(), Failed> {
    for door in doors {
        // The kernel takes 0 for the writer.
        rustix::io::write(&door, b"0").at(Step::ControlGroup)?;
    }
    Ok(())
}

fn prepare(
    recipe: &Recipe,
    isolation: Isolation,
    init: Pid,
    streams: &[OwnedFd; 3],
) -> Result<Option<Program>, Failed> {
    setsid().at(Step::Supervise)?;
    reset_signals();
    umask(Mode::from_raw_mode(0o022));
    if isolation == Isolation::Bare {
        set_parent_process_death_signal(Some(Signal::KILL)).at(Step::Supervise)?;
        if getppid() != Some(init) {
            process::exit(1);
        }
    }
    let [stdin, stdout, stderr] = streams;
    rustix::stdio::dup2_stdin(stdin).at(Step::Streams)?;
    rustix::stdio::dup2_stdout(stdout).at(Step::Streams)?;
    rustix::stdio::dup2_stderr(stderr).at(Step::Streams)?;
    chdir(&recipe.cwd).at(Step::WorkingDirectory)?;
    rlimit::step_back(recipe.nice)?;
    let readable = match (isolation, recipe.level) {
        (Isolation::Namespaces, _) => Some(Readable::Root),
        (Isolation::Bare, Level::None) => None,
        (Isolation::Bare, Level::Landlock) => Some(Readable::Only(&recipe.root)),
        (Isolation::Bare, _) => Some(Readable::RootWithoutNeighbours),
    };
    let around = match (isolation, readable) {
        (Isolation::Bare, Some(_)) => Around::Host {
            scoped: confine::scopes_signals(),
        },
        _ => Around::Nothing,
    };
    if let Some(readable) = readable {
        confine::restrict(&folder_inside(recipe), readable)?;
    }
    let program = Program::of(recipe)?;
    let filter = Filter::new(around);
    rlimit::apply(&recipe.limits, recipe.level)?;
    let needed = recipe.level == Level::Landlock;
    match filter {
        Some(mut filter) => filter.install(needed)?,
        None if needed => return Err(Errno::NOSYS).at(Step::SystemCallFilter),
        None => {}
    }
    Ok(program)
}

/// Where the job finds its own folder.
fn folder_inside(recipe: &Recipe) -> PathBuf {
    match recipe.level {
        Level::UserNamespace => PathBuf::from("/tmp"),
        Level::Chroot => {
            Path::new("/").join(inside(&recipe.root, &recipe.tmp).unwrap_or(&recipe.tmp))
        }
        Level::Landlock | Level::None => recipe.tmp.clone(),
    }
}

/// Every signal to its default, none blocked: the caller's dispositions survive an exec otherwise.
fn reset_signals() {
    // The kernel's `struct sigaction`, all zero: SIG_DFL, no flags, no mask. Larger than it is on any architecture.
    let default = [0u64; 8];
    for signal in 1..=64 {
        // The C library's function refuses the two signals it uses itself, and a parent may have left them ignored.
        // SAFETY: the structure outlives the call and installs no handler. Signals that cannot be changed say EINVAL.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                std::ptr::null_mut::<u64>(),
                8usize,
            )
        };
    }
    let mut none = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset fills the set in before sigprocmask reads it; this process has one thread.
    unsafe {
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut());
    }
}

/// Arguments of execve, allocated before the memory limit is set.
struct Program {
    path: CString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
}

impl Program {
    fn of(recipe: &Recipe) -> Result<Option<Program>, Failed> {
        let Some(program) = &recipe.program else {
            return Ok(None);
        };
        let text = |bytes: &[u8]| CString::new(bytes).map_err(io::Error::from).at(Step::Exec);
        let variable =
            |name: &OsStr, value: &OsStr| text(&[name.as_bytes(), b"=", value.as_bytes()].concat());
        let arguments: Result<Vec<_>, _> = std::iter::once(&recipe.name)
            .chain(&recipe.args)
            .map(|arg| text(arg.as_bytes()))
            .collect();
        let environment: Result<Vec<_>, _> = recipe
            .env
            .iter()
            .map(|(name, value)| variable(name, value))
            .collect();
        Ok(Some(Program {
            path: text(program.as_bytes())?,
            arguments: arguments?,
            environment: environment?,
        }))
    }

    /// Returns only if it fails.
    fn execute(self) -> Failed {
        let pointers = |texts: &[CString]| -> Vec<*const libc::c_char> {
            texts
                .iter()
                .map(|text| text.as_ptr())
                .chain(std::iter::once(std::ptr::null()))
                .collect()
        };
        let (arguments, environment) = (pointers(&self.arguments), pointers(&self.environment));
        // SAFETY: both lists end with null and point to NUL-terminated strings that live until the end of this function.
        unsafe { libc::execve(self.path.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
        let errno = io::Error::last_os_error()
            .raw_os_error()
            .unwrap_or(libc::EINVAL);
        Failed {
            step: Step::Exec,
            errno,
        }
    }
}

/// Waits for one child and tells how it ended and what it and the children it waited for used.
pub(crate) fn wait_for(child: Pid) -> io::Result<(Exit, Usage)> {
    wait4(child.as_raw_pid()).map(|(_, exit, usage)| (exit, usage))
}

fn wait_any() -> io::Result<libc::pid_t> {
    wait4(-1).map(|(pid, ..)| pid)
}

fn reap_until(job: Pid) -> io::Result<(Exit, Usage)> {
    loop {
        let (pid, exit, usage) = wait4(-1)?;
        if pid == job.as_raw_pid() {
            return Ok((exit, usage));
        }
    }
}

fn wait4(which: libc::pid_t) -> io::Result<(libc::pid_t, Exit, Usage)> {
    let mut status = 0;
    let mut used = MaybeUninit::<libc::rusage>::zeroed();
    loop {
        // SAFETY: both pointers are valid for the call.
        let pid = unsafe { libc::wait4(which, &mut status, 0, used.as_mut_ptr()) };
        if pid < 0 {
            let error = io::Error::last_os_error();
            if error.kind() == io::ErrorKind::Interrupted {
                continue;
            }
            return Err(error);
        }
        let exit = if libc::WIFSIGNALED(status) {
            Exit::Signal(libc::WTERMSIG(status))
        } else {
            Exit::Code(libc::WEXITSTATUS(status))
        };
        // SAFETY: zeroed is a valid value already, and the call filled it in.
        return Ok((pid, exit, usage(unsafe { used.assume_init_ref() })));
    }
}

fn usage_of_children() -> Usage {
    let mut used = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is valid for the call.
    unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, used.as_mut_ptr()) };
    // SAFETY: zeroed is a valid value, filled in or not.
    usage(unsafe { used.assume_init_ref() })
}

fn usage(used: &libc::rusage) -> Usage {
    let micros = |time: libc::timeval| {
        u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000
            + u64::try_from(time.tv_usec).unwrap_or(0)
    };
    let count = |value: libc::c_long| u64::try_from(value).unwrap_or(0);
    Usage {
        user_micros: micros(used.ru_utime),
        system_micros: micros(used.ru_stime),
        page_faults: count(used.ru_majflt) + count(used.ru_minflt),
        max_rss_bytes: count(used.ru_maxrss) * 1024,
    }
}
