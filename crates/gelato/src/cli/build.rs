//! `gelato build`: runs a build command over the cluster.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus};
use std::time::Instant;

use anyhow::{Context as _, bail};
use gelato_monitor::{Cluster, slots};
use gelato_settings::{Settings, keys};
use rustix::process::{Pid, Signal};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use super::status::words;
use crate::build::private::{Private, Scheduler};
use crate::build::summary::{Summary, count};
use crate::build::{aftermath, cluster, command, masquerade};

/// Options of `gelato build`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Jobs to run at once; as many as the cluster has slots unless given
    #[arg(short = 'j', long = "jobs", value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Say what is set up, and at the end why jobs were local
    #[arg(short, long)]
    verbose: bool,
    /// What to do with a compilation that would be local: do it, try harder elsewhere first, or fail
    /// [default: as the settings say]
    #[arg(long, value_name = "POLICY", value_parser = ["auto", "prefer", "require"])]
    policy: Option<String>,
    /// The build command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// The variable that tells wrappers which build they are part of.
const BUILD_ID: &str = "GELATO_BUILD_ID";
/// The status of a shell for a command that is not there.
const NOT_FOUND: u8 = 127;
/// The status of a shell for a command that cannot be started.
const NOT_STARTED: u8 = 126;

/// Runs the build and exits as it did.
pub(crate) fn run(args: Args) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("gelato build: the build cannot be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(build(args)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("gelato build: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn build(args: Args) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let scratch = Scratch::new()?;
    let build_log = scratch.path().join("jobs");
    let settings = super::settings::load();
    let mut place = Place::find(&settings).await?;
    let required = match args.policy.as_deref() {
        Some(policy) => policy == "require",
        None => settings.word(&keys::POLICY) == Some("require"),
    };
    if required && place.has_no_workers() {
        bail!(
            "the policy is require, and there is no other machine to compile on: {}",
            place.description
        );
    }
    let private = match place.private.take() {
        None => None,
        Some(scheduler) => match Private::start(scheduler, scratch.path()).await {
            Ok(private) => Some(private),
            Err(error) => {
                eprintln!("gelato build: {error:#}; compiling here without it");
                place.alone = true;
                None
            }
        },
    };
    if args.verbose {
        eprintln!("gelato: {}", place.description);
    }
    let jobs = args.jobs.map_or(place.jobs, usize::from);

    let makeflags = std::env::var_os("MAKEFLAGS");
    let plan = command::plan(&args.command, jobs, makeflags.as_deref());
    let Some((program, arguments)) = plan.command.split_first() else {
        bail!("no command to run");
    };
    let mut child = Command::new(program);
    child.args(arguments).envs(plan.variables);
    child.env("GELATO_BUILD_LOG", &build_log);
    // A build within a build is a part of it.
    let name = std::env::var(BUILD_ID)
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(aftermath::name);
    child.env(BUILD_ID, &name);
    match &private {
        Some(private) => {
            child.env("GELATO_SOCKET", private.socket());
        }
        // Nobody listens there, so the wrappers share the processors among themselves.
        None if place.alone => {
            child.env("GELATO_SOCKET", scratch.path().join("socket"));
        }
        None => {}
    }
    if place.alone {
        child.env("ICECC", "no");
    }
    if let Some(policy) = &args.policy {
        child.env("GELATO_POLICY", policy);
    }
    let path = compilers_first(scratch.path())?;
    child.env("PATH", &path.path);
    for (variable, value) in &path.compilers {
        child.env(variable, value);
    }
    if args.verbose {
        eprintln!(
            "gelato: at most {jobs} jobs at once, compilers of {}",
            path.folder.display()
        );
    }

    // ^C reaches the build from the terminal by itself; we stay to sum up what was done.
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut terminations = signal(SignalKind::terminate())?;
    let mut hangups = signal(SignalKind::hangup())?;
    let mut child = match child.spawn() {
        Ok(child) => child,
        Err(error) => {
            eprintln!("gelato build: cannot run {}: {error}", program.display());
            let missing = error.kind() == std::io::ErrorKind::NotFound;
            return Ok(ExitCode::from(if missing {
                NOT_FOUND
            } else {
                NOT_STARTED
            }));
        }
    };
    let status = loop {
        tokio::select! {
            status = child.wait() => break status.context("the build command cannot be waited for")?,
            _ = interrupts.recv() => {}
            _ = terminations.recv() => pass_on(&child, Signal::TERM),
            _ = hangups.recv() => pass_on(&child, Signal::HUP),
        }
    };
    let socket = private.as_ref().map(|private| private.socket().to_owned());
    let mut records = match place.alone && private.is_none() {
        true => Vec::new(),
        false => aftermath::records(socket, name).await,
    };
    if place.alone {
        aftermath::without_cluster(&mut records);
    }
    if let Some(private) = private {
        private.stop().await;
        aftermath::keep(&records);
    }
    // No job at all leaves no log.
    let log = std::fs::read(&build_log).unwrap_or_default();
    let mut summary = Summary::read(&log);
    if place.alone {
        summary = summary.without_cluster();
    }
    if args.verbose {
        for line in summary.explanations() {
            eprintln!("{line}");
        }
    }
    for refusal in summary.refusals() {
        eprintln!("gelato: {refusal}");
    }
    if !place.alone
        && let Some(verdict) = aftermath::verdict(&records, place.slots)
    {
        eprintln!("gelato: {}", verdict.sentence);
        if args.verbose {
            for evidence in &verdict.evidence {
                eprintln!("{}", words::evidence(evidence));
            }
        }
    }
    // Last, as scripts expect it.
    eprintln!("{}", summary.line(started.elapsed()));
    Ok(exit_code(status))
}

fn pass_on(child: &Child, signal: Signal) {
    let pid = child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // It may have ended just now.
        let _ = rustix::process::kill_process(pid, signal);
    }
}

fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

/// Where the build's jobs will run.
struct Place {
    /// What a daemon for this build alone is to use; `None` if this machine runs one.
    private: Option<Scheduler>,
    /// Nobody else can take a job.
    alone: bool,
    jobs: usize,
    /// Slots of the cluster for this machine's jobs.
    slots: u32,
    description: String,
}

impl Place {
    /// Whether every job would be local. A daemon that runs may know a scheduler that did not answer us.
    fn has_no_workers(&self) -> bool {
        self.alone || matches!(self.private, Some(Scheduler::Own))
    }

    async fn find(settings: &Settings<'_>) -> anyhow::Result<Place> {
        let scheduler = cluster::scheduler(settings).await?;
        let daemon = cluster::daemon_answers(settings).await;
        let picture = match scheduler {
            Some(address) => cluster::picture(address).await.unwrap_or_default(),
            None => Cluster::new(),
        };
        let mut machine = tokio::task::spawn_blocking(|| cluster::here(None).machine).await?;
        machine.joins = !daemon;
        let slots = slots::of(&picture, &machine);
        let counted = slots.hosts.iter().filter(|host| host.obstacle.is_none());
        let machines = counted.clone().count() as u64;
        let there = format!(
            "{} with {}",
            count(machines, "machine", "machines"),
            count(
                counted.map(|host| u64::from(host.slots)).sum(),
                "slot",
                "slots"
            )
        );
        let jobs = slots.suggestion as usize;
        let (private, description) = match (scheduler, daemon) {
            (Some(address), true) => (None, format!("scheduler {address}, {there}")),
            (Some(address), false) => (
                Some(Scheduler::Found(address)),
                format!(
                    "scheduler {address}, {there}; \
                     this machine runs no daemon, so one was started for this build"
                ),
            ),
            (None, true) => (
                None,
                "the daemon of this machine; no scheduler was found on the network".to_owned(),
            ),
            (None, false) => (
                Some(Scheduler::Own),
                "no cluster was found on the network, so this machine compiles alone".to_owned(),
            ),
        };
        Ok(Place {
            private,
            alone: scheduler.is_none() && !daemon,
            jobs,
            slots: slots.now,
            description,
        })
    }
}

/// The environment that leads to the wrapper.
struct Compilers {
    folder: PathBuf,
    path: OsString,
    compilers: Vec<(&'static str, OsString)>,
}

fn compilers_first(scratch: &Path) -> anyhow::Result<Compilers> {
    let folder = masquerade::folder(std::env::var_os("XDG_DATA_HOME"), std::env::var_os("HOME"))
        .unwrap_or_else(|| scratch.join("compilers"));
    let own = std::env::current_exe().context("cannot find the own program")?;
    let beside = own.with_file_name("icecc");
    let wrapper = if beside.is_file() { beside } else { own };
    let path = std::env::var_os("PATH").unwrap_or_default();
    masquerade::update(&folder, &wrapper, &path)
        .with_context(|| format!("cannot keep the compilers' links in {}", folder.display()))?;
    let folders = std::iter::once(folder.clone()).chain(std::env::split_paths(&path));
    let path = std::env::join_paths(folders)
        .with_context(|| format!("{} cannot stand in PATH", folder.display()))?;
    // A compiler named without a path is found in the folder; one with a path is not.
    let compilers = ["CC", "CXX"]
        .into_iter()
        .filter_map(|variable| Some((variable, std::env::var_os(variable)?)))
        .filter(|(_, value)| needs_wrapper(value))
        .map(|(variable, value)| {
            let mut wrapped = wrapper.clone().into_os_string();
            wrapped.push(" ");
            wrapped.push(value);
            (variable, wrapped)
        })
        .collect();
    Ok(Compilers {
        folder,
        path,
        compilers,
    })
}

/// Whether the compiler in `CC` or `CXX` would not be found through `PATH`.
fn needs_wrapper(value: &OsStr) -> bool {
    let value = value.to_string_lossy();
    let program = value.split_whitespace().next().unwrap_or_default();
    program.contains('/')
        && gelato_compiler::names::parse(OsStr::new(program)).is_some()
        && !std::fs::canonicalize(program).is_ok_and(|real| {
            real.file_name()
                .is_some_and(|name| name == "icecc" || name == "gelato")
        })
}

/// A folder for one build, gone afterwards.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> anyhow::Result<Scratch> {
        let base = std::env::var_os("XDG_RUNTIME_DIR")
            .map(PathBuf::from)
            .filter(|path| path.is_dir())
            .unwrap_or_else(std::env::temp_dir);
        let path = base.join(format!("gelato-build-{}", std::process::id()));
        let mut builder = std::fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        match builder.create(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                // Left behind by a build that was killed and had the same process number.
                std::fs::remove_dir_all(&path)
                    .and_then(|()| builder.create(&path))
                    .with_context(|| format!("cannot make {} anew", path.display()))?;
            }
            other => other.with_context(|| format!("cannot make {}", path.display()))?,
        }
        Ok(Scratch(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn what_follows_the_command_is_the_commands() {
        for (line, jobs, command) in [
            ("build -j4 -- make -k", Some(4), "make -k"),
            ("build -j 4 make -k -j9 -v", Some(4), "make -k -j9 -v"),
            ("build -v ninja -C out", None, "ninja -C out"),
        ] {
            let args = Line::try_parse_from(line.split(' ')).unwrap().args;
            assert_eq!(args.jobs, jobs, "{line}");
            assert!(args.command.iter().eq(command.split(' ')), "{line}");
        }
        assert!(Line::try_parse_from(["build", "-x4", "--", "make"]).is_err());
    }

    #[test]
    fn only_compilers_named_by_path_need_the_wrapper() {
        assert!(needs_wrapper(OsStr::new("/usr/bin/gcc -m32")));
        assert!(!needs_wrapper(OsStr::new("gcc")));
        assert!(!needs_wrapper(OsStr::new("ccache gcc")));
        assert!(!needs_wrapper(OsStr::new("/usr/bin/false")));
        assert!(!needs_wrapper(OsStr::new("")));
    }

    #[test]
    fn a_command_ended_by_a_signal_exits_as_a_shell_says_it() {
        assert_eq!(exit_code(ExitStatus::from_raw(9)), ExitCode::from(137));
        assert_eq!(exit_code(ExitStatus::from_raw(3 << 8)), ExitCode::from(3));
    }
}
