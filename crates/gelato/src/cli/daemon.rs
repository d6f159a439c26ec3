//! `gelato daemon`, also called `iceccd`: Icecream's options, the start as a service, signals.
//!
//! Order matters here: everything that needs root (run folder, log, pid file, base folder) comes before giving it up, and that
//! comes before any thread. What the daemon then does is in the crate `gelato_daemon`.

pub(super) mod access;
mod check;
mod courtesy;
mod limits;
mod sandbox;
mod service;

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use gelato_daemon::{Config, Daemon, Inherited, Reconnect, Remote, Summary};
use gelato_net::discovery::{Wanted, interfaces};
use gelato_net::listener::Retry;
use gelato_sandbox::identity;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info, warn};

use crate::cli::detach::{self, Detached};
use crate::systemd::activation::Sockets;
use crate::systemd::notify::Notifier;
use access::AccessArgs;
use sandbox::{Found, Sandbox, Weakest};
use service::Service;

/// Options of the daemon; all but the last three are Icecream's.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Name of the network to join [default: ICECREAM]
    #[arg(short = 'n', long, value_name = "NAME")]
    netname: Option<String>,
    /// Jobs at the same time; negative: one for each CPU
    #[arg(short = 'm', long, value_name = "N", allow_negative_numbers = true)]
    #[arg(value_parser = clap::value_parser!(i32).range(..=4096))]
    max_processes: Option<i32>,
    /// Take no jobs of other machines
    #[arg(long)]
    no_remote: bool,
    /// Go into the background
    #[arg(short = 'd', long)]
    daemonize: bool,
    /// Append the log to a file instead of standard error
    #[arg(short = 'l', long, value_name = "FILE")]
    log_file: Option<PathBuf>,
    /// Host of the scheduler, perhaps with its port [default: ask the network]
    #[arg(short = 's', long, value_name = "HOST[:PORT]")]
    scheduler_host: Option<String>,
    /// Log warnings; twice: information; three times: everything
    #[arg(short = 'v', long, action = clap::ArgAction::Count)]
    pub(super) verbose: u8,
    /// User to become when started as root [default: icecc]
    #[arg(short = 'u', long, value_name = "USER")]
    user_uid: Option<OsString>,
    /// Folder for toolchains
    /// [default: /var/tmp/gelato-envs as root, gelato/envs in the user's cache folder otherwise]
    #[arg(short = 'b', long, value_name = "FOLDER")]
    env_basedir: Option<PathBuf>,
    /// Megabytes of toolchains to keep [default: a tenth of the disk, at least 5120]
    #[arg(long, value_name = "MB")]
    cache_limit: Option<u64>,
    /// Name of this node [default: the host name]
    #[arg(short = 'N', long, value_name = "NAME")]
    name: Option<String>,
    /// Network interface to listen on [default: all]
    #[arg(short = 'i', long, value_name = "INTERFACE")]
    interface: Option<String>,
    /// TCP port
    #[arg(short = 'p', long, value_name = "PORT", default_value_t = 10245)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// Niceness of jobs of other machines
    #[arg(long, value_name = "N", default_value_t = 5)]
    #[arg(value_parser = clap::value_parser!(i32).range(0..=19))]
    nice: i32,
    /// The local socket, and the only one
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// How jobs of other machines are kept apart
    #[arg(long, value_enum, default_value_t = Sandbox::Auto)]
    sandbox: Sandbox,
    /// The weakest way to keep them apart that may be chosen automatically
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t = Weakest::Chroot)]
    weakest_sandbox: Weakest,
    #[command(flatten)]
    access: AccessArgs,
    /// Say what would keep a daemon with these options and files from serving, and start none
    #[arg(long)]
    pub(super) check: bool,
    #[command(flatten)]
    detached: Detached,
}

/// Where the daemon listens for local programs without root.
const HOME_SOCKET: &str = ".iceccd.socket";

/// Folders that must not come to belong to the service user.
const SHARED_FOLDERS: &[&str] = &[
    "/",
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/home",
    "/lib",
    "/lib64",
    "/media",
    "/mnt",
    "/opt",
    "/proc",
    "/root",
    "/run",
    "/sbin",
    "/srv",
    "/sys",
    "/tmp",
    "/usr",
    "/usr/bin",
    "/usr/lib",
    "/usr/local",
    "/usr/sbin",
    "/var",
    "/var/cache",
    "/var/lib",
    "/var/log",
    "/var/run",
    "/var/tmp",
];

/// How long running jobs may go on after the first signal.
const GRACE: Duration = Duration::from_secs(20);

/// The longest time from the first signal to the end: running jobs, handing back the rest, last reports.
const LONGEST_STOP: Duration = Duration::from_secs(35);

/// Between two lines for the service manager about what we do.
const STATUS_PAUSE: Duration = Duration::from_secs(1);

/// A scheduler may have the daemon look at its machine only once a minute, and each look is a sign of life.
const SHORTEST_WATCHDOG: Duration = Duration::from_secs(120);

/// The daemon from its options to its end.
pub(crate) fn run(args: Args) -> ExitCode {
    if args.check {
        return check::run(&args);
    }
    let outcome = match Sockets::take() {
        Err(error) => Err(error),
        Ok(sockets) if args.daemonize && !sockets.is_empty() => Err(anyhow::anyhow!(
            "a service manager gave sockets to this process, which -d would leave: start it without -d"
        )),
        Ok(_) if args.daemonize && !args.detached.is_child() => detach::start_child(),
        Ok(sockets) => start(&args, sockets),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("iceccd: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(args: &Args, sockets: Sockets) -> anyhow::Result<()> {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    super::raise_descriptor_limit();
    let scheduler = wanted_scheduler(args)?;
    let tests = std::env::var_os("ICECC_TESTS").is_some();
    let courtesy = courtesy::terms(
        &super::settings::load(),
        args.max_processes.is_some_and(|slots| slots >= 0),
        tests,
    )?;
    let listen = listen_addresses(args)?;
    let as_root = identity::is_root();
    let base = base_folder(args, as_root)?;
    let service = if as_root {
        Some(Service::find(args.user_uid.as_deref())?)
    } else {
        None
    };
    let log_file = log_file(args, service.as_ref())?;
    crate::log::init(args.verbose, log_file.as_deref()).with_context(|| {
        format!(
            "cannot open the log {}",
            log_file.clone().unwrap_or_default().display()
        )
    })?;
    args.detached.leave_session();
    let nice = args.nice;
    info!(
        "ICECREAM daemon {} starting up (nice level {nice})",
        env!("CARGO_PKG_VERSION")
    );
    let owner = service.as_ref().map(Service::identity);
    let groups = (!args.no_remote).then(|| sandbox::groups(owner));
    let pid_file = match &service {
        Some(service) => service.become_it(&base, args.log_file.as_deref())?,
        None => None,
    };
    let found = groups.map(|groups| sandbox::find(args.sandbox, args.weakest_sandbox, groups));
    let (remote, obstacles) = found.map_or_else(Default::default, |found| remote(args, found));
    let (socket, socket_mode) = local_socket(args, as_root)?;
    let config = Config {
        node_name: args.name.clone(),
        platform: gelato_toolchain::names::platform(),
        max_jobs: slots(args.max_processes),
        scheduler,
        reconnect: if tests {
            Reconnect::EAGER
        } else {
            Reconnect::PATIENT
        },
        listen,
        retry: Retry::DAEMON,
        socket,
        socket_mode,
        base,
        cache_limit: args
            .cache_limit
            .map(|megabytes| megabytes.saturating_mul(1 << 20)),
        remote,
        obstacles,
        grace: GRACE,
        courtesy,
        compression: compression_level(),
        limits: args.access.limits(),
        access: args.access.access()?,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(
            usize::try_from(gelato_daemon::cpus())
                .unwrap_or(1)
                .clamp(1, 4),
        )
        .enable_all()
        .build()
        .context("cannot start the event loop")?;
    let inherited = Inherited {
        unix: sockets.unix,
        tcp: sockets.tcp,
    };
    let result = runtime.block_on(serve(config, inherited, &args.detached, log_file.is_some()));
    // A thread that still unpacks or packs must not keep the daemon from ending.
    runtime.shutdown_background();
    if let Some(pid_file) = pid_file {
        pid_file.remove();
    }
    result
}

async fn serve(
    config: Config,
    inherited: Inherited,
    detached: &Detached,
    to_file: bool,
) -> anyhow::Result<()> {
    let notifier = Notifier::from_environment();
    let (trigger, shutdown) = gelato_daemon::shutdown();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut alarm = signal(SignalKind::alarm())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let starting = Daemon::start_with(config, inherited);
    let daemon = starting.await.inspect_err(|error| {
        // Said on the terminal anyway.
        if to_file {
            error!("{error}");
        }
    })?;
    detached.ready();
    notifier.ready();
    let mut pulse = Pulse::new(notifier);
    let mut summary = daemon.summary();
    let serving = daemon.serve(shutdown);
    tokio::pin!(serving);
    loop {
        let stop = tokio::select! {
            () = &mut serving => return Ok(()),
            Ok(()) = summary.changed() => {
                pulse.feel(*summary.borrow_and_update());
                false
            }
            _ = terminate.recv() => true,
            _ = interrupt.recv() => true,
            _ = alarm.recv() => true,
            _ = hangup.recv() => {
                pulse.notifier.reloading();
                reopen_log();
                pulse.notifier.ready();
                false
            }
        };
        if stop {
            pulse.notifier.stopping(LONGEST_STOP);
            trigger.stop();
        }
    }
}

/// What the service manager hears of the daemon: a sign of life with every look it takes at the machine, and what it does when
/// that changes.
struct Pulse {
    notifier: Notifier,
    looks: u64,
    said: Option<(String, Instant)>,
}

impl Pulse {
    fn new(notifier: Notifier) -> Pulse {
        if notifier
            .watchdog()
            .is_some_and(|time| time < SHORTEST_WATCHDOG)
        {
            warn!(
                "the watchdog is shorter than the daemon's pulse: set WatchdogSec={} or more",
                SHORTEST_WATCHDOG.as_secs()
            );
        }
        Pulse {
            notifier,
            looks: 0,
            said: None,
        }
    }

    fn feel(&mut self, summary: Summary) {
        if self.looks != summary.looks {
            self.looks = summary.looks;
            self.notifier.alive();
        }
        let text = summary.to_string();
        let is_due = self
            .said
            .as_ref()
            .is_none_or(|(said, at)| *said != text && at.elapsed() >= STATUS_PAUSE);
        if is_due {
            self.notifier.status(&text);
            self.said = Some((text, Instant::now()));
        }
    }
}

/// The scheduler asked for by options and variables.
fn wanted_scheduler(args: &Args) -> anyhow::Result<Wanted> {
    let mut scheduler =
        Wanted::from_environment(args.scheduler_host.as_deref(), args.netname.as_deref())?;
    if scheduler.netname.is_empty() {
        scheduler.netname = gelato_net::discovery::DEFAULT_NETNAME.into();
    }
    Ok(scheduler)
}

fn reopen_log() {
    match crate::log::reopen() {
        Ok(()) => info!("reopened the log"),
        Err(error) => warn!("the old log stays in use, the new one cannot be opened: {error}"),
    }
    if let Some(path) = std::env::var_os("ICECC_TEST_FLUSH_LOG_MARK")
        && let Ok(text) = std::fs::read_to_string(path)
    {
        error!(
            "flush log mark: {}",
            text.lines().next().unwrap_or_default()
        );
    }
    if let Some(path) = std::env::var_os("ICECC_TEST_LOG_HEADER")
        && let Ok(text) = std::fs::read_to_string(path)
        && !text.is_empty()
    {
        let header: Vec<&str> = text.lines().take(3).collect();
        error!("{}", header.join("\n"));
    }
}

/// How jobs of others are run, if they can be, and why it is not done better.
fn remote(args: &Args, found: Found) -> (Option<Remote>, Vec<String>) {
    let jailer = found.jailer;
    let remote = found.level.map(|level| Remote {
        level,
        jailer,
        identity: None,
        nice: args.nice,
        features: features(args),
        limits: limits::limits(&super::settings::load()),
    });
    (remote, found.obstacles)
}

fn listen_addresses(args: &Args) -> anyhow::Result<Vec<SocketAddr>> {
    if args.no_remote {
        return Ok(Vec::new());
    }
    let addresses = match &args.interface {
        None => vec![
            IpAddr::from(Ipv4Addr::UNSPECIFIED),
            IpAddr::from(Ipv6Addr::UNSPECIFIED),
        ],
        Some(interface) => {
            let mut addresses = interfaces::addresses(interface)
                .context("cannot list the addresses of this machine")?;
            if addresses.is_empty() {
                bail!(
                    "no address at the interface {interface}: name one that `ip address` lists with -i"
                );
            }
            // The scheduler is told one address of each kind; local wrappers use the loopback.
            addresses.dedup_by_key(|address| address.is_ipv4());
            if addresses.iter().all(|address| !address.is_loopback()) {
                addresses.push(Ipv4Addr::LOCALHOST.into());
            }
            addresses
        }
    };
    Ok(addresses
        .into_iter()
        .map(|address| SocketAddr::new(address, args.port))
        .collect())
}

fn slots(wanted: Option<i32>) -> u32 {
    wanted
        .and_then(|wanted| u32::try_from(wanted).ok())
        .unwrap_or_else(gelato_daemon::cpus)
}

fn base_folder(args: &Args, as_root: bool) -> anyhow::Result<PathBuf> {
    if let Some(folder) = &args.env_basedir {
        let folder = std::path::absolute(folder)
            .with_context(|| format!("unusable base folder {}", folder.display()))?;
        let plain: PathBuf = folder.components().collect();
        if SHARED_FOLDERS
            .iter()
            .any(|shared| plain == Path::new(shared))
        {
            bail!(
                "{} is not for toolchains alone, and the base folder becomes the daemon's own: choose one below it with -b",
                folder.display()
            );
        }
        return Ok(folder);
    }
    if as_root {
        return Ok("/var/tmp/gelato-envs".into());
    }
    let cache = match (std::env::var_os("XDG_CACHE_HOME"), std::env::var_os("HOME")) {
        (Some(cache), _) if !cache.is_empty() => PathBuf::from(cache),
        (_, Some(home)) if !home.is_empty() => PathBuf::from(home).join(".cache"),
        _ => bail!("there is no HOME to keep toolchains in: choose a base folder with -b"),
    };
    Ok(cache.join("gelato/envs"))
}

fn log_file(args: &Args, service: Option<&Service>) -> anyhow::Result<Option<PathBuf>> {
    match (&args.log_file, service) {
        (Some(file), _) => {
            let file = std::path::absolute(file)
                .with_context(|| format!("unusable log {}", file.display()))?;
            Ok(Some(file))
        }
        (None, Some(service)) if args.daemonize => service.default_log().map(Some),
        (None, _) => Ok(None),
    }
}

fn local_socket(args: &Args, as_root: bool) -> anyhow::Result<(PathBuf, u32)> {
    const FOR_ALL: u32 = 0o777;
    const FOR_OWNER: u32 = 0o755;
    if let Some(socket) = &args.socket {
        return Ok((socket.clone(), if as_root { FOR_ALL } else { FOR_OWNER }));
    }
    if let Some(socket) = std::env::var_os("ICECC_TEST_SOCKET") {
        return Ok((socket.into(), FOR_ALL));
    }
    // Also for a service manager that starts us as the service user and made the folder.
    if as_root || service::may_write(service::RUN_FOLDER) {
        return Ok((
            PathBuf::from(service::RUN_FOLDER).join("iceccd.socket"),
            FOR_ALL,
        ));
    }
    match std::env::var_os("HOME") {
        Some(home) if !home.is_empty() => Ok((PathBuf::from(home).join(HOME_SOCKET), FOR_OWNER)),
        _ => bail!("there is no HOME to put the local socket in: choose its path with --socket"),
    }
}

/// The compressions of toolchains that are taken. Icecream's own tests want a node that knows only the old ones.
fn features(args: &Args) -> u32 {
    if std::env::var_os("ICECC_TESTS").is_some() && args.name.as_deref() == Some("remoteice2") {
        return 0;
    }
    gelato_wire::types::features::ENV_XZ | gelato_wire::types::features::ENV_ZSTD
}

/// The level of zstd, from `ICECC_COMPRESSION` or a file.
fn compression_level() -> i32 {
    super::settings::load()
        .integer(&gelato_settings::keys::DAEMON_COMPRESSION)
        .and_then(|level| i32::try_from(level).ok())
        .unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        args: Args,
    }

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Program::try_parse_from(std::iter::once("iceccd").chain(line.split_whitespace()))
            .map(|program| program.args)
    }

    #[test]
    fn icecreams_options_are_understood() {
        let args = parse(
            "-d -l /tmp/log --nice 7 -s host:1234 -n net -m 3 -u icecc -b /base -vvv --no-remote -N node -i eth0 -p 99 \
             --cache-limit 4096",
        )
        .unwrap();
        assert!(args.daemonize && args.no_remote);
        assert_eq!(
            (args.verbose, args.port, args.nice, args.cache_limit),
            (3, 99, 7, Some(4096))
        );
        assert_eq!(slots(args.max_processes), 3);
        assert!(slots(parse("-m -1").unwrap().max_processes) >= 1);
        assert_eq!(slots(parse("-m 0").unwrap().max_processes), 0);
        let long = "--max-processes=2 --daemonize --log-file=x --scheduler-host=h --user-uid=u --env-basedir=b --name=n \
                    --interface=i --port=1 --netname=n";
        assert!(parse(long).is_ok());
    }

    #[test]
    fn d25_numbers_are_checked() {
        for line in [
            "-p 0",
            "-p 99999",
            "-p x",
            "-m x",
            "--nice 20",
            "--nice x",
            "--cache-limit -1",
            "--unknown",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
