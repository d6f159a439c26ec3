//! The caller's side of a job: start the jail step, hand it the recipe and the job's streams, kill, wait.
//!
//! Safe to call from any thread of a threaded program: the child is made by `posix_spawn` (no code of ours runs between fork
//! and exec) and everything dangerous happens after the exec. The jail step hears of the caller's death through the
//! socket, not through a parent-death signal: that one fires when the *thread* that made the child ends, and the blocking
//! threads of an async runtime come and go.

use std::ffi::OsString;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Stdio};
use std::time::Duration;

use rustix::fs::{Gid, Uid, fchown};
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::cgroup::{self, Group, Readings};
use crate::check::{check, check_identity};
use crate::error::{SandboxError, Step};
use crate::identity;
use crate::job::{Exit, Force, Identity, JobSpec, Level, Outcome};
use crate::launcher::{Command, Launcher};
use crate::namespaces;
use crate::probe::layers;
use crate::recipe::{Recipe, Report, Seen, Usage};

/// A jail takes milliseconds; one that is not made after this time hangs on a dead file system.
const SETUP_TIMEOUT: Duration = Duration::from_secs(30);

/// Descriptors that travel with a recipe: three streams and the doors of at most three hierarchies.
pub(crate) const MOST_DESCRIPTORS: usize = 6;

/// Starts a job through the running executable, which must call [`crate::jail_main`] for its first argument `__jail`.
/// Returns when the program has been executed (a few milliseconds), so failures of the set-up are errors here.
pub fn spawn(spec: &JobSpec) -> Result<Running, SandboxError> {
    Jailer::current_exe().spawn(spec)
}

/// Which executable becomes the jail step.
#[derive(Debug, Clone)]
pub struct Jailer {
    program: PathBuf,
    arguments: Vec<OsString>,
    cgroups: Option<cgroup::Home>,
}

impl Jailer {
    /// The running executable with the argument `__jail`. It is named through `/proc`, so an upgrade of the file
    /// on disk does not mix versions.
    pub fn current_exe() -> Jailer {
        Jailer::new("/proc/self/exe", ["__jail"])
    }

    /// Another executable, which calls [`crate::jail_main`] when started with these arguments.
    pub fn new(
        program: impl Into<PathBuf>,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Jailer {
        Jailer {
            program: program.into(),
            arguments: arguments.into_iter().map(Into::into).collect(),
            cgroups: None,
        }
    }

    /// Gives each job a control group there.
    pub fn with_cgroups(self, home: cgroup::Home) -> Jailer {
        Jailer {
            cgroups: Some(home),
            ..self
        }
    }

    pub(crate) fn has_cgroups(&self) -> bool {
        self.cgroups.is_some()
    }

    /// What will be in force for jobs of this level.
    pub fn force(&self, level: Level) -> Force {
        let layers = layers();
        Force {
            level,
            cgroup: self.cgroups.as_ref().map(cgroup::Home::kind),
            landlock: layers.landlock && level != Level::None,
            system_call_filter: layers.system_call_filter,
        }
    }

    /// Starts a job; see [`spawn`].
    pub fn spawn(&self, spec: &JobSpec) -> Result<Running, SandboxError> {
        check(spec)?;
        let command = if spec.level.changes_root() {
            Command {
                program: spec.program.clone(),
                name: spec.program.clone(),
                args: spec.args.clone(),
            }
        } else {
            let program = Path::new(&spec.program);
            Launcher::find(&spec.root, program)
                .map_err(|source| SandboxError::Exec {
                    program: program.to_owned(),
                    source,
                })?
                .command(&spec.args)
        };
        self.start(Recipe::of_job(spec, command))
    }

    /// Starts the jail step on any recipe, rehearsals included.
    ///
    /// A control group is an addition: without it the job is watched, and [`Running::ungrouped`] says why.
    pub(crate) fn start(&self, mut recipe: Recipe) -> Result<Running, SandboxError> {
        check_identity(recipe.identity)?;
        let Some(home) = &self.cgroups else {
            return self.start_in(&recipe, None);
        };
        let why = match home.group(&recipe.limits) {
            Ok(group) => {
                recipe.cgroup = Some(group.kind());
                match self.start_in(&recipe, Some(group)) {
                    Err(
                        error @ SandboxError::Setup {
                            step: Step::ControlGroup,
                            ..
                        },
                    ) => error.to_string(),
                    result => return result,
                }
            }
            Err(error) => {
                let errno = error.raw_os_error().unwrap_or(libc::EIO);
                failure(&recipe, Step::ControlGroup, errno).to_string()
            }
        };
        recipe.cgroup = None;
        let mut running = self.start_in(&recipe, None)?;
        running.ungrouped = Some(why);
        Ok(running)
    }

    fn start_in(&self, recipe: &Recipe, group: Option<Group>) -> Result<Running, SandboxError> {
        let doors = match &group {
            Some(group) => group.doors().map_err(|error| {
                let errno = error.raw_os_error().unwrap_or(libc::EIO);
                failure(recipe, Step::ControlGroup, errno)
            })?,
            None => Vec::new(),
        };
        let failed = |source: io::Error| SandboxError::Start {
            program: self.program.clone(),
            source,
        };
        let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(|errno| failed(errno.into()));
        let (stdin_read, stdin) = pipe()?;
        let (stdout, stdout_write) = pipe()?;
        let (stderr, stderr_write) = pipe()?;
        if let (Some(Identity { uid, gid }), true) = (recipe.identity, identity::is_root()) {
            // So that the job may open its own streams again, as `/dev/stdout`.
            for pipe in [&stdin_read, &stdout_write, &stderr_write] {
                let owner = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
                fchown(pipe, owner.0, owner.1).map_err(|errno| failed(errno.into()))?;
            }
        }
        let (socket, jail_socket) = UnixStream::pair().map_err(failed)?;
        let child = process::Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .stdin(Stdio::from(OwnedFd::from(jail_socket)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed)?;
        // From here on dropping `job` ends and reaps the child.
        let mut job = Job {
            child,
            socket,
            group,
        };
        let pidfd = Pid::from_raw(job.child.id().cast_signed())
            .ok_or(Errno::SRCH)
            .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()))
            .map_err(|errno| failed(errno.into()))?;
        let mut descriptors = vec![stdin_read, stdout_write, stderr_write];
        descriptors.extend(doors);
        send_recipe(&job.socket, recipe, descriptors).map_err(|_| SandboxError::Lost)?;
        job.await_start(recipe)?;
        Ok(Running {
            stdin: Some(stdin),
            stdout: Some(stdout),
            stderr: Some(stderr),
            pidfd,
            ungrouped: None,
            job,
        })
    }
}

/// A started job. Dropping it kills everything in the job and waits for the end of it (a few milliseconds).
#[derive(Debug)]
pub struct Running {
    /// Writing end of the job's standard input; take it, and drop it for end of file.
    pub stdin: Option<OwnedFd>,
    /// Reading end of the job's standard output. End of file comes when the last process that holds it ends.
    pub stdout: Option<OwnedFd>,
    /// Reading end of the job's standard error.
    pub stderr: Option<OwnedFd>,
    /// Becomes readable when everything of the job is over, and [`Running::wait`] will not block any more.
    pub pidfd: OwnedFd,
    /// Why the job has no control group although the jailer has a home for it: it is watched instead.
    pub ungrouped: Option<String>,
    job: Job,
}

impl Running {
    /// Kills every process of the job. Returns at once; the end shows as usual, with [`Exit::Signal`] of 9 unless the program
    /// had already ended. Harmless when repeated or late.
    pub fn kill(&self) {
        self.job.kill();
    }

    /// Waits for the end of every process of the job. Streams that were not taken are closed first.
    pub fn wait(self) -> Result<Outcome, SandboxError> {
        let Running {
            stdin,
            stdout,
            stderr,
            pidfd: _,
            ungrouped: _,
            mut job,
        } = self;
        drop((stdin, stdout, stderr));
        job.outcome()
    }
}

/// The jail step seen from outside.
#[derive(Debug)]
struct Job {
    child: Child,
    socket: UnixStream,
    /// Gone when the job's end has been told.
    group: Option<Group>,
}

impl Job {
    fn await_start(&mut self, recipe: &Recipe) -> Result<(), SandboxError> {
        self.socket
            .set_read_timeout(Some(SETUP_TIMEOUT))
            .map_err(SandboxError::Wait)?;
        match Report::read(&self.socket) {
            Ok(Some(Report::Started)) => {}
            Ok(Some(Report::Failed { step, errno })) => return Err(failure(recipe, step, errno)),
            Ok(_) => return Err(SandboxError::Lost),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                ) =>
            {
                // It may hang where it cannot hear the socket.
                self.child.kill().map_err(SandboxError::Wait)?;
                return Err(SandboxError::NoAnswer {
                    after: SETUP_TIMEOUT,
                });
            }
            Err(_) => return Err(SandboxError::Lost),
        }
        self.socket
            .set_read_timeout(None)
            .map_err(SandboxError::Wait)
    }

    fn kill(&self) {
        // The jail step takes the end of our half for the order to kill. An error means that it is gone already.
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    fn outcome(&mut self) -> Result<Outcome, SandboxError> {
        let mut end = None;
        let mut gone = None;
        while let Some(report) = Report::read(&self.socket).map_err(SandboxError::Wait)? {
            match report {
                Report::Ended { exit, usage } => end = Some((exit, usage)),
                Report::Gone { usage, seen } => gone = Some((usage, seen)),
                Report::Started | Report::Failed { .. } => {}
            }
        }
        // It fails only if somebody else reaped the child; what it reported counts all the same.
        let _ = self.child.wait();
        let readings = match self.group.take() {
            Some(group) => {
                // Nothing is left in it but what hid from the jail step.
                group.kill();
                group.readings()
            }
            None => Readings::default(),
        };
        let (usage, seen) = gone.unwrap_or_default();
        let (exit, usage) = match end {
            Some(end) => end,
            None if gone.is_some() || readings.out_of_memory => {
                (Exit::Signal(libc::SIGKILL), usage)
            }
            None => return Err(SandboxError::Lost),
        };
        Ok(outcome(exit, usage, seen, readings))
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.kill();
        let _ = self.child.wait();
    }
}

fn outcome(exit: Exit, usage: Usage, seen: Seen, readings: Readings) -> Outcome {
    let killed = exit == Exit::Signal(libc::SIGKILL);
    Outcome {
        exit,
        user: Duration::from_micros(usage.user_micros),
        system: Duration::from_micros(usage.system_micros),
        page_faults: usage.page_faults,
        max_rss_bytes: usage.max_rss_bytes,
        out_of_memory: seen.out_of_memory
            || readings.out_of_memory
            || (readings.at_limit && killed),
        peak_memory: readings
            .peak
            .or(Some(seen.peak.max(usage.max_rss_bytes)).filter(|&peak| peak > 0)),
    }
}

fn failure(recipe: &Recipe, step: Step, errno: i32) -> SandboxError {
    let source = io::Error::from_raw_os_error(errno);
    match (step, &recipe.program) {
        (Step::Exec, Some(program)) => SandboxError::Exec {
            program: program.into(),
            source,
        },
        _ => SandboxError::Setup {
            step,
            source,
            hint: namespaces::hint(step, errno),
        },
    }
}

/// The job's ends of its streams and what else it needs open travel beside the recipe's first byte.
fn send_recipe(socket: &UnixStream, recipe: &Recipe, descriptors: Vec<OwnedFd>) -> io::Result<()> {
    let bytes = recipe.encode();
    let descriptors: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
    let mut space =
        [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut sent = rustix::net::sendmsg(
        socket,
        &[IoSlice::new(&bytes)],
        &mut control,
        SendFlags::NOSIGNAL,
    )?;
    while let Some(rest) = bytes.get(sent..).filter(|rest| !rest.is_empty()) {
        sent += rustix::io::retry_on_intr(|| rustix::net::send(socket, rest, SendFlags::NOSIGNAL))?;
    }
    Ok(())
}
