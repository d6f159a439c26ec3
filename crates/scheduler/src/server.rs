//! Opening the sockets, and starting and ending everything that runs.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use gelato_net::NetError;
use gelato_net::discovery::{Identity, Responder, interfaces};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::config::Config;
use crate::control::{self, Gate};
use crate::door::Door;
use crate::election;
use crate::error::SchedulerError;
use crate::hub::Hub;
use crate::links;

/// Messages that wait for the hub. Readers wait when it is full, so it bounds what peers can make us hold.
const INPUTS: usize = 64;

/// With any free port wanted: how often to try for one that is free for TCP and UDP alike.
const PORT_TRIES: u32 = 50;

/// How long peers have at the end to take what is still to be said.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A scheduler whose sockets are open.
#[derive(Debug)]
pub struct Scheduler {
    config: Config,
    links: Door,
    control: Door,
    responder: Responder,
    address: SocketAddr,
    control_address: SocketAddr,
}

/// Runs a scheduler until `shutdown` is ready.
///
/// # Errors
/// Its sockets cannot be opened.
pub async fn run(
    config: Config,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), SchedulerError> {
    Scheduler::bind(config).await?.run(shutdown).await;
    Ok(())
}

impl Scheduler {
    /// Opens the sockets.
    ///
    /// # Errors
    /// A port is in use or not allowed, or there is no such interface.
    pub async fn bind(config: Config) -> Result<Scheduler, SchedulerError> {
        let ips = match &config.interface {
            None => (
                Ipv4Addr::UNSPECIFIED.into(),
                Some(Ipv6Addr::UNSPECIFIED.into()),
            ),
            Some(interface) => addresses_of(interface)?,
        };
        if config.port == u16::MAX {
            return Err(SchedulerError::NoControlPort { port: config.port });
        }
        let mut tries = if config.port == 0 { PORT_TRIES } else { 1 };
        loop {
            tries -= 1;
            match Self::bind_at(&config, ips).await {
                Err(_) if tries > 0 => {}
                result => return result,
            }
        }
    }

    /// Where daemons and monitors connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The text port.
    pub fn control_address(&self) -> SocketAddr {
        self.control_address
    }

    /// Serves until `shutdown` is ready.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) {
        let (sender, receiver) = mpsc::channel(INPUTS);
        let (alive, mut all_ended) = mpsc::channel::<()>(1);
        let hub = Hub::new(
            self.config.core.clone(),
            self.config.history.clone(),
            self.config.trace.as_deref(),
            sender.clone(),
        );
        tracing::info!(
            "ICECREAM scheduler {} starting up, port {}",
            release(),
            self.address.port()
        );
        if self.control_address.port() != self.address.port().wrapping_add(1) {
            tracing::info!("control port {}", self.control_address.port());
        }
        tracing::info!(
            "scheduler ready, algorithm: {}",
            self.config.core.algorithm.name()
        );
        let mut servers = JoinSet::new();
        servers.spawn(links::accept(
            self.links,
            self.config.login_limit,
            self.config.heartbeat,
            sender.clone(),
            alive.clone(),
        ));
        servers.spawn(control::accept(
            self.control,
            sender.clone(),
            Gate {
                access: self.config.control,
                token: self.config.control_token.clone(),
                token_required: self.config.token_required,
            },
        ));
        servers.spawn(election::listen(self.responder, self.config, sender));
        hub.run(receiver, shutdown).await;
        servers.shutdown().await;
        drop(alive);
        let _ = timeout(LAST_WORDS, all_ended.recv()).await;
    }

    async fn bind_at(
        config: &Config,
        (ip, second): (IpAddr, Option<IpAddr>),
    ) -> Result<Scheduler, SchedulerError> {
        let any_port = config.port == 0;
        let open = |port| Door::open(ip, second, port, config.access.clone());
        let links = open(config.port).await?;
        let address = address(&links)?;
        let next = address.port().checked_add(1).unwrap_or(0);
        let control = match open(next).await {
            Err(_) if any_port => open(0).await?,
            result => result?,
        };
        let responder = Responder::bind(Identity {
            netname: config.netname.as_str().into(),
            start_time: config.start_time,
            port: address.port(),
            reach: config.reach.clone(),
            announce_to: config.announce_to.clone(),
        })
        .await?
        .answering(config.access.clone());
        Ok(Scheduler {
            config: config.clone(),
            control_address: self::address(&control)?,
            links,
            control,
            responder,
            address,
        })
    }
}

/// As greetings and logs name this program.
pub(crate) fn release() -> &'static str {
    concat!("gelato-", env!("CARGO_PKG_VERSION"))
}

fn address(door: &Door) -> Result<SocketAddr, NetError> {
    let unknown = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
    Ok(door.address().unwrap_or(unknown))
}

/// The first address of IPv4, and that of IPv6 if there is one.
fn addresses_of(interface: &str) -> Result<(IpAddr, Option<IpAddr>), SchedulerError> {
    let addresses = interfaces::addresses(interface).unwrap_or_default();
    let first = |of_v6: bool| addresses.iter().copied().find(|ip| ip.is_ipv6() == of_v6);
    let v4 = first(false).ok_or_else(|| SchedulerError::Interface {
        interface: interface.to_owned(),
    })?;
    Ok((v4, first(true)))
}
