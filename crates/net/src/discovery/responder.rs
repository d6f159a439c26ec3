//! The scheduler's UDP side: answers those who look for one, announces itself, hears the announcements of others.
//!
//! What an announcement means is decided by the scheduler, which confirms it over TCP first. The socket takes
//! datagrams on all interfaces, since one bound to a single address gets no broadcasts; see [`Filter`].

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use gelato_wire::datagram::{Announcement, Datagram, Reply};
use gelato_wire::{ByteString, ProtocolVersion};
use tokio::net::UdpSocket;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep};

use super::interfaces::{Filter, Reach};
use super::wanted::{WantedError, test_ports};
use crate::access::Rules;
use crate::error::NetError;

/// How often a scheduler announces itself.
pub const ANNOUNCEMENT_INTERVAL: Duration = Duration::from_secs(120);

/// No datagram of ours has more than 268 bytes; one more tells longer ones from them.
const BUFFER: usize = 269;

/// What a scheduler says about itself, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The network it serves.
    pub netname: ByteString,
    /// When it started, Unix time in seconds.
    pub start_time: u64,
    /// Its TCP port, which is its UDP port, too. 0 takes any free UDP port.
    pub port: u16,
    /// Which interfaces it answers and announces on.
    pub reach: Reach,
    /// Ports it announces itself to; its own if there are none.
    pub announce_to: Vec<u16>,
}

impl Identity {
    /// A scheduler on all interfaces or the given one; `ICECC_TESTS` keeps it on loopback and
    /// `ICECC_TEST_SCHEDULER_PORTS` adds ports to announce to.
    ///
    /// # Errors
    /// The latter variable does not hold two ports.
    pub fn from_environment(
        netname: impl Into<ByteString>,
        start_time: u64,
        port: u16,
        interface: Option<&str>,
    ) -> Result<Identity, WantedError> {
        let variable = |name: &str| std::env::var(name).ok();
        let reach = match (Reach::from_environment(variable), interface) {
            (Reach::Everywhere, Some(name)) => Reach::Interface(name.to_owned()),
            (reach, _) => reach,
        };
        let announce_to = match variable("ICECC_TEST_SCHEDULER_PORTS") {
            Some(value) if !value.is_empty() => test_ports(&value)?,
            _ => Vec::new(),
        };
        Ok(Identity {
            netname: netname.into(),
            start_time,
            port,
            reach,
            announce_to,
        })
    }

    /// As an announcement says it.
    pub fn announcement(&self) -> Announcement {
        Announcement {
            version: ProtocolVersion::NEWEST.number(),
            start_time: self.start_time,
            netname: self.netname.clone(),
        }
    }

    fn reply(&self) -> Reply {
        Reply {
            version: ProtocolVersion::NEWEST.number(),
            start_time: self.start_time,
            netname: self.netname.clone(),
        }
    }
}

/// Another scheduler announced itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Where the datagram came from. Icecream announces from a port of no meaning: the scheduler's
    /// port is the one it announced to.
    pub from: SocketAddr,
    /// What it said.
    pub announcement: Announcement,
}

/// The UDP side of one scheduler. It works while somebody waits in [`next`](Self::next).
#[derive(Debug)]
pub struct Responder {
    socket: UdpSocket,
    identity: Identity,
    filter: Filter,
    access: Option<Rules>,
    clock: Interval,
}

impl Responder {
    /// Answers, and listens to, only these.
    #[must_use]
    pub fn answering(mut self, access: Rules) -> Responder {
        self.access = Some(access);
        self
    }

    /// Opens the scheduler's UDP port.
    ///
    /// # Errors
    /// [`NetError::Listen`]: the port is in use, or there is no such interface.
    pub async fn bind(mut identity: Identity) -> Result<Responder, NetError> {
        let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, identity.port));
        let failed = |error| NetError::Listen {
            transport: "UDP",
            address,
            error,
        };
        let filter = identity.reach.filter().map_err(failed)?;
        let socket = UdpSocket::bind(address).await.map_err(failed)?;
        socket.set_broadcast(true).map_err(failed)?;
        // Sending never waits here, so the runtime must know already that the socket takes datagrams.
        socket.writable().await.map_err(failed)?;
        identity.port = socket.local_addr().map_err(failed)?.port();
        if identity.announce_to.is_empty() {
            identity.announce_to.push(identity.port);
        }
        let mut clock = interval(ANNOUNCEMENT_INTERVAL);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Responder {
            socket,
            identity,
            filter,
            access: None,
            clock,
        })
    }

    /// The port that is open.
    pub fn port(&self) -> u16 {
        self.identity.port
    }

    /// The next announcement of another scheduler. Until then requests are answered and announcements
    /// sent, the first one at once. Cancel safe.
    pub async fn next(&mut self) -> Heard {
        let mut buffer = [0; BUFFER];
        loop {
            tokio::select! {
                _ = self.clock.tick() => self.announce(),
                received = self.socket.recv_from(&mut buffer) => match received {
                    Ok((length, from)) => {
                        let bytes = buffer.get(..length).unwrap_or_default();
                        if let Some(heard) = self.take(bytes, from) {
                            return heard;
                        }
                    }
                    Err(error) => {
                        tracing::warn!("UDP port {}: {error}", self.identity.port);
                        sleep(Duration::from_millis(100)).await;
                    }
                },
            }
        }
    }

    fn take(&self, bytes: &[u8], from: SocketAddr) -> Option<Heard> {
        if !self.filter.admits(from) {
            tracing::debug!("ignored from {from}: it is not on our interface");
            return None;
        }
        if self
            .access
            .as_ref()
            .is_some_and(|rules| !rules.permits(from.ip()))
        {
            tracing::debug!("ignored from {from}: it is in no network that may connect");
            return None;
        }
        match Datagram::decode(bytes) {
            Ok(Datagram::Request { asker }) => {
                tracing::info!("broadcast from {from} (version {asker})");
                self.send(&self.identity.reply().encode(asker), from);
                None
            }
            // Our own announcement comes back to us; another scheduler may have started in the same second.
            Ok(Datagram::Announcement(announcement))
                if announcement == self.identity.announcement() && self.is_own(from) =>
            {
                None
            }
            Ok(Datagram::Announcement(announcement)) => Some(Heard { from, announcement }),
            Ok(Datagram::OldAnnouncement(_)) => None,
            Err(error) => {
                tracing::debug!("ignored from {from}: {error}");
                None
            }
        }
    }

    /// Whether this is our address, as one sees it that sends to `from`: what we announce goes out from our port.
    fn is_own(&self, from: SocketAddr) -> bool {
        let own = || {
            let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
            // Sends nothing, but chooses the way.
            socket.connect(from)?;
            socket.local_addr()
        };
        from.port() == self.identity.port && own().is_ok_and(|own| own.ip() == from.ip())
    }

    fn announce(&mut self) {
        // Interfaces come and go.
        if let Ok(filter) = self.identity.reach.filter() {
            self.filter = filter;
        }
        let destinations = match self.identity.reach.destinations() {
            Ok(destinations) => destinations,
            Err(error) => {
                tracing::warn!("cannot announce the scheduler: {error}");
                return;
            }
        };
        let announcement = self.identity.announcement();
        let forms = [announcement.encode_old(), announcement.encode()];
        for address in destinations {
            for &port in &self.identity.announce_to {
                for form in &forms {
                    self.send(form, (address, port).into());
                }
            }
        }
    }

    /// A datagram the system does not take is lost, as on the way.
    fn send(&self, bytes: &[u8], to: SocketAddr) {
        if let Err(error) = self.socket.try_send_to(bytes, to) {
            tracing::debug!("cannot send to {to}: {error}");
        }
    }
}
