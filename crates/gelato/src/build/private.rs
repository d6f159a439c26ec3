//! A daemon, and if need be a scheduler, for one build: tasks of this process on sockets of its own.
//!
//! Nothing of it outlives the process, whatever ends it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use gelato_daemon::{Daemon, Reconnect, ShutdownTrigger};
use gelato_net::Limits;
use gelato_net::discovery::{Place, Reach, Wanted};
use gelato_net::listener::Retry;
use gelato_scheduler::config::ControlAccess;
use rustix::fs::FlockOperation;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long the build waits until the scheduler has taken its daemon in. Icecream's may need half a minute for that when nothing
/// goes on in its network: then the first jobs are compiled here.
const WELCOME: Duration = Duration::from_secs(10);

/// The scheduler a private daemon is to use.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scheduler {
    /// One that runs already.
    Found(SocketAddr),
    /// One of our own.
    Own,
}

/// The running parts.
pub(crate) struct Private {
    socket: PathBuf,
    daemon: JoinHandle<()>,
    stop_daemon: ShutdownTrigger,
    scheduler: Option<(JoinHandle<()>, oneshot::Sender<()>)>,
    /// Held as long as the toolchain folder is ours.
    _lock: Option<std::fs::File>,
}

impl Private {
    /// Starts what is needed, with the socket and, if it cannot be shared with other builds, the
    /// toolchains in `scratch`.
    pub(crate) async fn start(scheduler: Scheduler, scratch: &Path) -> anyhow::Result<Private> {
        let (address, scheduler) = match scheduler {
            Scheduler::Found(address) => (address, None),
            Scheduler::Own => {
                let (address, task, stop) = start_scheduler()
                    .await
                    .context("cannot start a scheduler for this build")?;
                (address, Some((task, stop)))
            }
        };
        let socket = scratch.join("socket");
        let (base, lock) = toolchain_folder(scratch);
        let daemon = Daemon::start(daemon_config(address, &socket, base))
            .await
            .context("cannot start a daemon for this build")?;
        let (stop_daemon, shutdown) = gelato_daemon::shutdown();
        let mut summary = daemon.summary();
        let daemon = tokio::spawn(daemon.serve(shutdown));
        // What is asked before the scheduler has taken us in would be compiled here.
        let _late = timeout(WELCOME, summary.wait_for(|now| now.connected)).await;
        Ok(Private {
            socket,
            daemon,
            stop_daemon,
            scheduler,
            _lock: lock,
        })
    }

    /// Where wrappers reach the daemon.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Ends everything.
    pub(crate) async fn stop(self) {
        // The build is over, so nobody waits for a grace period.
        self.stop_daemon.stop();
        self.stop_daemon.stop();
        // A task that panicked has nothing left to stop.
        let _ = self.daemon.await;
        if let Some((task, stop)) = self.scheduler {
            let _ = stop.send(());
            let _ = task.await;
        }
    }
}

async fn start_scheduler() -> anyhow::Result<(SocketAddr, JoinHandle<()>, oneshot::Sender<()>)> {
    let config = gelato_scheduler::Config {
        netname: format!("gelato-build-{}", std::process::id()),
        port: 0,
        interface: Some("lo".to_owned()),
        reach: Reach::Loopback,
        control: ControlAccess::Local,
        ..gelato_scheduler::Config::default()
    };
    let scheduler = gelato_scheduler::Scheduler::bind(config).await?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, scheduler.address().port()));
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(scheduler.run(async {
        // Dropping the other end asks for the same.
        let _ = stopped.await;
    }));
    Ok((address, task, stop))
}

fn daemon_config(scheduler: SocketAddr, socket: &Path, base: PathBuf) -> gelato_daemon::Config {
    let slots = std::thread::available_parallelism().map_or(1, usize::from);
    let level = crate::cli::settings::load()
        .integer(&gelato_settings::keys::DAEMON_COMPRESSION)
        .and_then(|level| i32::try_from(level).ok());
    gelato_daemon::Config {
        // A scheduler keeps one daemon of a name and address; there may be more builds, and the daemon of
        // another user.
        node_name: Some(format!(
            "{}-build-{}",
            rustix::system::uname().nodename().to_string_lossy(),
            std::process::id()
        )),
        platform: gelato_toolchain::names::platform(),
        max_jobs: u32::try_from(slots).unwrap_or(u32::MAX),
        scheduler: Wanted {
            netname: gelato_net::discovery::DEFAULT_NETNAME.into(),
            place: Place::Host {
                name: scheduler.ip().to_string(),
                port: scheduler.port(),
            },
            wait: Duration::from_secs(1),
        },
        reconnect: Reconnect::PATIENT,
        listen: Vec::new(),
        retry: Retry {
            tries: 1,
            pause: Duration::ZERO,
        },
        socket: socket.to_owned(),
        socket_mode: 0o600,
        base,
        cache_limit: None,
        remote: None,
        grace: Duration::ZERO,
        courtesy: gelato_daemon::CourtesyTerms::default(),
        obstacles: Vec::new(),
        compression: level.unwrap_or(gelato_wire::chunk::DEFAULT_LEVEL),
        access: gelato_daemon::Access::default(),
        limits: Limits::from_environment(),
    }
}

/// The user's folder for toolchains, so that the next build finds them made; the build's own if
/// another build is using it, or there is none.
fn toolchain_folder(scratch: &Path) -> (PathBuf, Option<std::fs::File>) {
    match shared_folder() {
        Some((folder, lock)) => (folder, Some(lock)),
        None => (scratch.join("toolchains"), None),
    }
}

/// Where things of builds are kept for this user.
pub(crate) fn cache() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))
        .filter(|path| path.is_absolute())?;
    Some(cache.join("gelato/build"))
}

fn shared_folder() -> Option<(PathBuf, std::fs::File)> {
    let folder = cache()?;
    std::fs::create_dir_all(&folder).ok()?;
    let lock = std::fs::File::create(folder.join("lock")).ok()?;
    rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).ok()?;
    Some((folder.join("envs"), lock))
}
