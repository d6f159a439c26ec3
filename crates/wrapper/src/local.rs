//! Runs a program here: as the decision about a job, or as the answer to every failure.
//!
//! The command line is what the user typed. With nothing left to do afterwards the wrapper becomes the program (exec): the slot then is a descriptor that the program
//! inherits and that ends with it. Commands that are no compilers may leave servers behind, which would keep such a slot for ever, so these are supervised instead, and so is
//! everything whose end must be recorded or reported. The standard library gives children the default action for SIGPIPE back, which it changed for us.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::time::{Duration, Instant};

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
use crate::search::{self, Own};
use crate::signals::Signals;
use crate::status;
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

/// What a program that ran here used.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) real: Duration,
    pub(crate) user: Duration,
    pub(crate) system: Duration,
    pub(crate) page_faults: u64,
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
    note_start(job);
    // Through exec, and should we be killed while the compiler runs on: it counts as long as it runs.
    if !job.custom
        && let Some(fd) = slot.fd()
    {
        let _ = fcntl_setfd(fd, FdFlags::empty());
    }
    if job.custom || job.variables.build_log.is_some() {
        let lent = match (&slot, job.custom) {
            (Slot::Daemon(_) | Slot::Lock(_), true) => Lent::new(job.variables),
            _ => None,
        };
        let code = match supervise(job, lent.as_ref(), signals) {
            Ok((code, usage)) => {
                job.record.cpu_time = usage.user + usage.system;
                code
            }
            Err(error) => i32::from(cannot_run(job, &error)),
        };
        job.finish(code);
        drop((lent, slot));
        signals.die_if_caught();
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
) -> io::Result<(i32, Usage)> {
    signals.install();
    let begin = Instant::now();
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
    let mut usage = usage_of(child.id());
    let status = child.wait()?;
    usage.real = begin.elapsed();
    Ok((code_of(status), usage))
}

/// Until the child has ended; it is not waited for, so that its usage can still be read.
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

/// Processor time and page faults of an ended child and its own children.
fn usage_of(pid: u32) -> Usage {
    fs::read(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|text| parse_stat(&text, rustix::param::clock_ticks_per_second()))
        .unwrap_or_default()
}

fn parse_stat(text: &[u8], ticks_per_second: u64) -> Option<Usage> {
    // The second field is the program's name in parentheses and may contain anything.
    let end_of_name = text.iter().rposition(|&b| b == b')')?;
    let rest = std::str::from_utf8(text.get(end_of_name + 1..)?).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |field: usize| -> Option<u64> { fields.get(field - 3)?.parse().ok() };
    let time = |own: usize, children: usize| -> Option<Duration> {
        let ticks = number(own)?.saturating_add(number(children)?);
        Some(Duration::from_millis(
            ticks.saturating_mul(1000) / ticks_per_second.max(1),
        ))
    };
    Some(Usage {
        real: Duration::ZERO,
        user: time(14, 16)?,
        system: time(15, 17)?,
        page_faults: number(10)? + number(11)? + number(12)? + number(13)?,
    })
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

fn code_of(status: ExitStatus) -> i32 {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_from_a_stat_line() {
        let line = b"77 (a ) b) Z 1 77 77 0 -1 4 10 20 3 4 50 60 70 80 20 0 1 0\n";
        let usage = parse_stat(line, 100).expect("a line");
        assert_eq!(usage.user, Duration::from_millis(1200));
        assert_eq!(usage.system, Duration::from_millis(1400));
        assert_eq!(usage.page_faults, 37);
        assert!(parse_stat(b"77 (x", 100).is_none());
        assert!(parse_stat(b"77 (x) Z 1", 100).is_none());
    }
}
