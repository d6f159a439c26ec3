//! Runs a program here: as the decision about a job, or as the answer to every failure.
//!
//! The command line is what the user typed. What is recorded or reported at its end is supervised. With nothing left to do afterwards the wrapper becomes the program (exec):
//! the slot then is a descriptor that the program inherits and that ends with it. Commands that are no compilers may leave servers behind, which would keep such a slot for
//! ever, so these are always supervised. The standard library gives children the default action for SIGPIPE back, which it changed for us.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::time::Instant;

use gelato_compiler::names;
use rustix::event::PollFlags;
use rustix::io::{Errno, FdFlags, fcntl_setfd};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use crate::behind;
use crate::children;
use crate::daemon::Daemon;
use crate::failure::Stop;
use crate::job::Job;
use crate::locks::{self, CpuLock, Lent};
use crate::nested::STARTED;
use crate::record::milliseconds;
use crate::search::{self, Own};
use crate::signals::{self, Signals};
use crate::status;
use crate::usage::Usage;
use crate::variables::{DEPTH, Variables};
use crate::waiting;

/// The right to run one more job here.
enum Slot {
    Daemon(Daemon),
    Lock(CpuLock),
    None,
}

impl Slot {
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Slot::Daemon(daemon) => Some(daemon.as_fd()),
            Slot::Lock(lock) => Some(lock.file.as_fd()),
            Slot::None => None,
        }
    }
}

/// How the caller lets the job run.
pub(crate) enum Under {
    /// A slot of this daemon, a lock if it gives none.
    Daemon(Daemon),
    /// A lock.
    Lock,
    /// Nothing: it is over at once.
    Nothing,
}

/// Runs the job and returns its exit code, if at all.
pub(crate) fn run(job: &mut Job<'_>, under: Under, signals: &Signals) -> ExitCode {
    if job.is_recorded() {
        signals.install();
    }
    let asked = Instant::now();
    let slot = match take_slot(job, under, signals) {
        Ok(slot) => slot,
        Err(Stop::Interrupted | Stop::Failed(_)) => {
            if let Some(signal) = signals.caught() {
                job.finish(128 + signal);
            }
            signals.die_if_caught();
            Slot::None
        }
    };
    job.record.phases.slot += milliseconds(asked.elapsed());
    note_start(job);
    // Through exec, and should we be killed while the compiler runs on: it counts as long as it runs.
    if !job.custom
        && let Some(fd) = slot.fd()
    {
        let _ = fcntl_setfd(fd, FdFlags::empty());
    }
    if job.custom || job.is_recorded() {
        let lent = match (&slot, job.custom) {
            (Slot::Daemon(_) | Slot::Lock(_), true) => Lent::new(job.variables),
            _ => None,
        };
        let (code, signal) = match supervise(job, lent.as_ref(), signals) {
            Ok((status, usage)) => {
                job.record.cpu_time = usage.cpu();
                job.record.phases.local += milliseconds(usage.real);
                (code_of(status), status.signal())
            }
            Err(error) => (i32::from(cannot_run(job, &error)), None),
        };
        job.finish(code);
        drop((lent, slot));
        signals.die_if_caught();
        if let Some(signal) = signal.filter(|_| !job.custom) {
            signals::die_by(signal);
        }
        return exit_code(code);
    }
    let Ok(error) = signals.unguarded(|| command(job).exec()) else {
        signals.die_if_caught();
        return ExitCode::FAILURE;
    };
    ExitCode::from(cannot_run(job, &error))
}

fn take_slot(job: &Job<'_>, under: Under, signals: &Signals) -> Result<Slot, Stop> {
    let lock = || match locks::acquire(job.variables, job.log, signals)? {
        Some(lock) => Ok(Slot::Lock(lock)),
        None => Ok(Slot::None),
    };
    match under {
        Under::Nothing => Ok(Slot::None),
        Under::Lock => lock(),
        Under::Daemon(mut daemon) => {
            if let Some(lock) = locks::acquire_lent(job.variables, signals)? {
                return Ok(Slot::Lock(lock));
            }
            let output = match &job.output {
                Some(output) => job.working_directory.join(output).into_os_string(),
                None => OsString::new(),
            };
            match daemon.local_slot(&output, job.full_job, signals) {
                Ok(()) => Ok(Slot::Daemon(daemon)),
                Err(Stop::Interrupted) => Err(Stop::Interrupted),
                Err(Stop::Failed(failure)) => {
                    job.log
                        .warning(format_args!("no slot from the daemon: {}", failure.line()));
                    lock()
                }
            }
        }
    }
}

/// Runs the job as a child and waits for it; signals are passed on.
pub(crate) fn supervise(
    job: &Job<'_>,
    lent: Option<&Lent>,
    signals: &Signals,
) -> io::Result<(ExitStatus, Usage)> {
    signals.install();
    let begin = Instant::now();
    let before = Usage::of_children();
    let mut command = command(job);
    if let Some(lent) = lent {
        let (name, value) = lent.variable();
        command.env(name, value);
    }
    let mut child = match command.spawn() {
        Ok(child) => child,
        // No room for one more process: the compiler may have ours.
        Err(error)
            if matches!(
                error.raw_os_error().map(Errno::from_raw_os_error),
                Some(Errno::AGAIN | Errno::NOMEM)
            ) =>
        {
            return Err(signals.unguarded(|| command.exec()).unwrap_or(error));
        }
        Err(error) => return Err(error),
    };
    wait_for(&child, signals, !job.custom);
    let status = child.wait()?;
    let usage = Usage {
        real: begin.elapsed(),
        ..Usage::of_children().since(before)
    };
    Ok((status, usage))
}

/// Until the child has ended.
fn wait_for(child: &Child, signals: &Signals, with_descendants: bool) {
    let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) else {
        return;
    };
    let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else {
        return;
    };
    let wanted = [(pidfd.as_fd(), PollFlags::IN)];
    if waiting::wait(&wanted, None, signals).is_ok() {
        return;
    }
    if let Some(signal) = signals.caught().and_then(Signal::from_named_raw) {
        match with_descendants {
            true => children::signal_all(pid, signal),
            false => {
                let _ = kill_process(pid, signal);
            }
        }
    }
    let _ = waiting::wait(&wanted, None, &Signals::default());
}

fn command(job: &Job<'_>) -> Command {
    let mut command = Command::new(program_path(&job.program));
    command.args(job.words);
    command.env(DEPTH, job.depth_for_child().to_string());
    command.env(STARTED, behind::absolute(&job.program));
    command
}

/// Without a slash the name would be searched in `PATH` again, where we stand.
pub(crate) fn program_path(program: &Path) -> PathBuf {
    if program.as_os_str().as_encoded_bytes().contains(&b'/') {
        program.to_owned()
    } else {
        Path::new(".").join(program)
    }
}

fn note_start(job: &Job<'_>) {
    if !job.log.wants(crate::log::Level::Info) {
        return;
    }
    let mut line = job.program.as_os_str().to_owned();
    for word in job.words {
        line.push(" ");
        line.push(word);
    }
    job.log.info(format_args!("<building_local>"));
    job.log.info(format_args!("invoking: {}", line.display()));
}

fn cannot_run(job: &Job<'_>, error: &io::Error) -> u8 {
    job.log.error(format_args!(
        "cannot run {}: {error}",
        job.program.display()
    ));
    if error.kind() == io::ErrorKind::NotFound {
        status::NO_SUCH_PROGRAM
    } else {
        status::NOT_EXECUTABLE
    }
}

/// The exit status, or 128 and the signal.
pub(crate) fn code_of(status: ExitStatus) -> i32 {
    match (status.code(), status.signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => 128 + signal,
        (None, None) => i32::from(status::NOT_EXECUTABLE),
    }
}

/// As the system would report it.
pub(crate) fn exit_code(code: i32) -> ExitCode {
    ExitCode::from((code & 0xff) as u8)
}

/// `icecc --build-native`: hands over to the program that packages toolchains.
pub(crate) fn build_native(variables: &Variables, words: &[OsString]) -> ExitCode {
    let own = Own::find();
    let path = variables.path.as_deref();
    let mut files: &[OsString] = words;
    let mut compiler = OsString::from("gcc");
    if let Some((first, rest)) = words.split_first() {
        let is_plain_file =
            fs::metadata(first).is_ok_and(|m| m.is_file() && !search::is_executable(&m));
        if !is_plain_file {
            compiler = names::c_sibling(first);
            files = rest;
        }
    }
    let compiler = match search::find_compiler(&compiler, path, &own) {
        Ok(found) => found.path,
        Err(missing) => {
            eprintln!(
                "icecc: compiler {} not found in PATH{}",
                Path::new(&compiler).display(),
                missing.in_parentheses()
            );
            return ExitCode::FAILURE;
        }
    };
    let beside = std::env::current_exe()
        .ok()
        .map(|own| own.with_file_name("icecc-create-env"))
        .filter(|path| path.exists());
    let creator = match beside {
        Some(creator) => creator,
        None => PathBuf::from("icecc-create-env"),
    };
    let mut command = Command::new(&creator);
    command.arg(compiler);
    for file in files {
        command.args([OsStr::new("--addfile"), file]);
    }
    if let Some(compression) = &variables.toolchain_compression {
        command.args([OsStr::new("--compression"), compression]);
    }
    let error = command.exec();
    eprintln!("icecc: cannot run {}: {error}", creator.display());
    ExitCode::FAILURE
}
