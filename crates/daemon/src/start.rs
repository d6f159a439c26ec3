//! Putting the daemon together: folders, toolchains, sockets, then the tasks.

use std::fs::{self, Permissions};
use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use gelato_net::NetError;
use gelato_net::discovery::survey;
use gelato_net::listener::Listener;
use gelato_toolchain::store::{Store, StoreError};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinSet, spawn_blocking};
use tracing::{debug, info, warn};

use crate::access::gate::Gate;
use crate::config::{Config, Inherited, Remote};
use crate::connection::{Surroundings, serve};
use crate::core::Settings;
use crate::core::operator::About;
use crate::core::vocabulary::Event;
use crate::dispatcher::{Dispatcher, Mailbox, Shared};
use crate::error::DaemonError;
use crate::ids::ClientIds;
use crate::link;
use crate::native::NativeArchives;
use crate::readings::{self, Sources};
use crate::records::Shelf;
use crate::records::socket::Intake;
use crate::shutdown::Shutdown;
use crate::summary::Summary;
use crate::worker::{Terms, Worker};
use gelato_wire::types::features;

/// Notices on their way to the dispatcher.
const NOTICES: usize = 1024;

/// How long a daemon that is being stopped may have jobs, and a little more: 20 s to finish them, 10 s to hand them back.
const LAST_JOBS: Duration = Duration::from_secs(40);

/// Between two looks whether it has ended.
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// How long to listen for names of networks at the start.
const SURVEY: Duration = Duration::from_millis(200);

/// The smallest cache of toolchains, in bytes.
const SMALLEST_CACHE: u64 = 5 << 30;

/// The smallest limit of memory of a job, in bytes.
const SMALLEST_MEMORY: u64 = 4 << 30;

/// A daemon that listens and does not serve yet.
pub struct Daemon {
    config: Config,
    listeners: Vec<Listener>,
    address: Option<SocketAddr>,
    worker: Option<Arc<Worker>>,
    intake: Option<Intake>,
    summary: watch::Sender<Summary>,
}

/// Starts the daemon and serves until `shutdown`.
///
/// # Errors
/// [`DaemonError`], all before anything is served.
pub async fn run(config: Config, shutdown: Shutdown) -> Result<(), DaemonError> {
    Daemon::start(config).await?.serve(shutdown).await;
    Ok(())
}

impl Daemon {
    /// Prepares folders and toolchains, and opens the sockets.
    ///
    /// # Errors
    /// [`DaemonError`].
    pub async fn start(config: Config) -> Result<Daemon, DaemonError> {
        Self::start_with(config, Inherited::default()).await
    }

    /// The same with sockets that listen already.
    ///
    /// # Errors
    /// [`DaemonError`].
    pub async fn start_with(config: Config, inherited: Inherited) -> Result<Daemon, DaemonError> {
        let prepared = config.clone();
        let own_socket = inherited.unix.is_empty();
        let preparing = spawn_blocking(move || prepare(&prepared, own_socket));
        let worker = match preparing.await {
            Ok(worker) => worker?,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        let mut listeners = if config.remote.is_some() {
            network_listeners(&config, inherited.tcp).await?
        } else {
            if !inherited.tcp.is_empty() {
                warn!(
                    "no jobs of other machines are taken: the TCP sockets of the service manager are closed"
                );
            }
            Vec::new()
        };
        let address = listeners.first().and_then(Listener::local_addr);
        if inherited.unix.is_empty() {
            listeners.push(Listener::bind_unix(&config.socket)?);
            let mode = Permissions::from_mode(config.socket_mode);
            fs::set_permissions(&config.socket, mode).map_err(|reason| {
                DaemonError::SocketMode {
                    path: config.socket.clone(),
                    reason,
                }
            })?;
        }
        let intake = take_records(&config, &inherited.unix);
        for socket in inherited.unix {
            let listener = Listener::from_unix(socket);
            listeners.push(listener.map_err(|reason| DaemonError::Inherited { reason })?);
        }
        Ok(Daemon {
            config,
            listeners,
            address,
            worker,
            intake,
            summary: watch::Sender::default(),
        })
    }

    /// What the daemon does, from when it serves.
    #[must_use]
    pub fn summary(&self) -> watch::Receiver<Summary> {
        self.summary.subscribe()
    }

    /// Where other machines reach the daemon; `None` without remote jobs.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Serves until `shutdown`, then drains.
    pub async fn serve(self, shutdown: Shutdown) {
        let Daemon {
            config,
            listeners,
            address,
            worker,
            intake,
            summary,
        } = self;
        let (sender, notices) = mpsc::channel(NOTICES);
        let (departures, departed) = mpsc::unbounded_channel();
        let gate = Arc::new(Gate::new(config.access.clone()));
        let cache_limit = config
            .cache_limit
            .unwrap_or_else(|| default_cache(&config.base));
        let about = about(&config, cache_limit);
        let surroundings = Surroundings {
            ids: Arc::new(ClientIds::default()),
            notices: sender.clone(),
            departures,
            worker: worker.clone(),
            limits: config.limits,
            gate: Arc::clone(&gate),
        };
        info!("allowing up to {} active jobs", config.max_jobs);
        let features = config.remote.as_ref().map_or(0, |remote| remote.features);
        info!("supported features: {}", features::names(features));
        let names = survey(&config.scheduler, SURVEY).await;
        let names: Vec<_> = names.iter().map(|name| name.to_string_lossy()).collect();
        info!("Netnames: {}", names.join(" "));
        if let Some(worker) = &worker {
            // The queue is empty yet.
            let _room = sender.try_send(Event::Toolchains(worker.toolchains()).into());
        }
        let mut tasks = JoinSet::new();
        for listener in listeners {
            tasks.spawn(accept(listener, surroundings.clone()));
        }
        let records = Shelf::default();
        let intake = intake.map(|intake| tokio::spawn(intake.serve(records.clone())));
        let link = tokio::spawn(link::maintain(
            config.scheduler,
            config.reconnect,
            config.limits,
            sender.clone(),
        ));
        let settings = Settings {
            max_jobs: config.max_jobs,
            cpus: readings::cpus(),
            platform: config.platform,
            port: address.map_or(0, |address| address.port()),
            features,
            can_jail: worker.is_some(),
            no_remote: worker.is_none(),
            niced: config.remote.as_ref().is_some_and(|remote| remote.nice > 0),
            courtesy: config.courtesy,
            peer_jobs: config.access.peer_jobs,
            peer_transfers: config.access.peer_transfers,
            about,
        };
        let native = Arc::new(NativeArchives::new(&config.base, cache_limit));
        let mailbox = Mailbox {
            notices,
            departures: departed,
            sender,
        };
        let live = worker.map_or_else(Arc::default, |worker| Arc::clone(&worker.live));
        let dispatcher = Dispatcher::new(
            settings,
            mailbox,
            native,
            config.node_name,
            config.base,
            Shared {
                live,
                gate,
                records,
            },
            summary,
        );
        dispatcher
            .run(shutdown, config.grace, || tasks.abort_all())
            .await;
        link.abort();
        if let Some(intake) = intake {
            intake.abort();
            // It removes its socket.
            let _cancelled = intake.await;
        }
        debug!("ended");
    }
}

/// Records are taken beside the local socket. Builds go on without them.
fn take_records(config: &Config, inherited: &[UnixListener]) -> Option<Intake> {
    let (beside, mode) = match inherited.first() {
        None => (config.socket.clone(), config.socket_mode),
        Some(socket) => {
            let path = socket.local_addr().ok()?.as_pathname()?.to_owned();
            let mode = fs::metadata(&path).map_or(0o600, |metadata| metadata.mode() & 0o777);
            (path, mode)
        }
    };
    Intake::bind(&beside, mode)
        .inspect_err(|error| {
            let path = gelato_record::socket_beside(&beside);
            warn!(
                "no records of this machine's jobs are taken, so gelato why knows nothing: {}: {error}",
                path.display()
            );
        })
        .ok()
}

/// The first is the one whose port is announced.
async fn network_listeners(
    config: &Config,
    inherited: Vec<std::net::TcpListener>,
) -> Result<Vec<Listener>, DaemonError> {
    if !inherited.is_empty() {
        let listeners = inherited.into_iter().map(Listener::from_tcp);
        return listeners
            .collect::<Result<_, _>>()
            .map_err(|reason| DaemonError::Inherited { reason });
    }
    let mut listeners: Vec<Listener> = Vec::new();
    for &wanted in &config.listen {
        let first = listeners.first().and_then(Listener::local_addr);
        let port = first.map_or(wanted.port(), |first| first.port());
        match Listener::bind_tcp(SocketAddr::new(wanted.ip(), port), config.retry).await {
            Ok(listener) => listeners.push(listener),
            Err(NetError::Listen { error, .. })
                if first.is_some()
                    && wanted.ip() == Ipv6Addr::UNSPECIFIED
                    && error.kind() != io::ErrorKind::AddrInUse =>
            {
                debug!("not listening on IPv6: {error}");
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(listeners)
}

async fn accept(mut listener: Listener, surroundings: Surroundings) {
    loop {
        let socket = listener.accept().await;
        // A peer that has left already needs no serving.
        let Ok(peer) = socket.peer() else { continue };
        let ticket = match peer.address() {
            None => None,
            Some(address) => match surroundings.gate.admit(address.ip()) {
                Some(ticket) => Some(ticket),
                None => continue,
            },
        };
        tokio::spawn(serve(socket, ticket, surroundings.clone()));
    }
}

/// A daemon that is being stopped has its toolchains in use while its last jobs run; the one that takes its place waits that
/// long. `may_serve` tells whether the other one is not being stopped at all. Blocks.
fn open_store(
    config: &Config,
    limit: u64,
    may_serve: impl Fn() -> bool,
) -> Result<Store, StoreError> {
    let start = Instant::now();
    let mut told = false;
    loop {
        match Store::open(&config.base, limit) {
            Err(StoreError::Locked(_)) if start.elapsed() < LAST_JOBS && !may_serve() => {
                if !told {
                    info!("waiting for the daemon before this one, which still has jobs");
                    told = true;
                }
                std::thread::sleep(LOCK_PAUSE);
            }
            result => return result,
        }
    }
}

/// Blocks. `own_socket`: nobody opened the local socket for us.
fn prepare(config: &Config, own_socket: bool) -> Result<Option<Arc<Worker>>, DaemonError> {
    let unusable = |reason| DaemonError::Base {
        path: config.base.clone(),
        reason,
    };
    fs::create_dir_all(&config.base).map_err(unusable)?;
    let Some(remote) = &config.remote else {
        return Ok(None);
    };
    let limit = config
        .cache_limit
        .unwrap_or_else(|| default_cache(&config.base));
    let serves = || own_socket && UnixStream::connect(&config.socket).is_ok();
    let store =
        open_store(config, limit, serves).map_err(|reason| DaemonError::Store { reason })?;
    let worker = Worker::open(store, &config.base, terms(remote, config)).map_err(unusable)?;
    Ok(Some(Arc::new(worker)))
}

fn terms(remote: &Remote, config: &Config) -> Terms {
    let of_machine =
        readings::memory(&Sources::default()).map(|memory| memory.total.max(SMALLEST_MEMORY));
    let memory = remote.limits.memory.or(of_machine);
    Terms {
        level: remote.level,
        jailer: remote.jailer.clone(),
        identity: remote.identity,
        nice: remote.nice,
        memory,
        compression: config.compression,
        limits: remote.limits,
    }
}

/// What the daemon can tell of itself.
fn about(config: &Config, cache_limit: u64) -> About {
    let force = config
        .remote
        .as_ref()
        .map(|remote| remote.jailer.force(remote.level));
    let mut layers = Vec::new();
    if let Some(force) = force {
        layers.extend(force.landlock.then_some("Landlock"));
        layers.extend(force.system_call_filter.then_some("system call filter"));
    }
    let obstacles = config.obstacles.clone();
    let started = SystemTime::now().duration_since(UNIX_EPOCH);
    About {
        version: env!("CARGO_PKG_VERSION"),
        netname: config.scheduler.netname.to_string_lossy().into_owned(),
        sandbox: force.map(|force| force.to_string()),
        layers,
        remote_wanted: config.remote.is_some() || !obstacles.is_empty(),
        obstacles,
        cache_limit,
        base: config.base.display().to_string(),
        user: rustix::process::geteuid().as_raw(),
        operators: config.access.operators,
        started: u32::try_from(started.unwrap_or_default().as_secs()).unwrap_or(u32::MAX),
    }
}

/// A tenth of the disk.
fn default_cache(base: &Path) -> u64 {
    let total = rustix::fs::statvfs(base).map_or(0, |fs| fs.f_blocks.saturating_mul(fs.f_frsize));
    (total / 10).max(SMALLEST_CACHE)
}
