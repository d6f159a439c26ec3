//! Asking the network for schedulers, or resolving the name of a given one.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use gelato_wire::datagram::{Reply, request};
use gelato_wire::{ByteString, ProtocolVersion};
use thiserror::Error;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout, timeout_at};

use super::choice::Choice;
use super::interfaces::Reach;
use super::wanted::{Place, Wanted};

/// The largest reply has 268 bytes; one more tells a longer datagram from it.
const BUFFER: usize = 269;

/// The question is asked this often within the wait, as long as nobody suitable has answered: datagrams get lost.
const QUESTIONS: u32 = 3;

/// How long the system may take to resolve a name.
const RESOLVE_LIMIT: Duration = Duration::from_secs(10);

/// A scheduler to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its TCP address.
    pub address: SocketAddr,
    /// What it said about itself; `None` if it was not asked because the host was given.
    pub reply: Option<Reply>,
}

/// Why there is no scheduler to connect to.
#[derive(Debug, Error)]
pub enum FindError {
    /// The given host's name has no address.
    #[error("cannot resolve the scheduler's host name `{host}`: {error}")]
    Resolve {
        /// The name.
        host: String,
        /// Why.
        error: io::Error,
    },
    /// No question could be sent.
    #[error("cannot ask for a scheduler by broadcast: {error}; name its host with -s")]
    Ask {
        /// Why.
        error: io::Error,
    },
    /// Nobody suitable answered.
    #[error("no scheduler of network `{netname}` answered within {wait:?} on UDP port {}{}", Listed(.ports), Others(.others))]
    NotFound {
        /// The network's name.
        netname: ByteString,
        /// Where we asked.
        ports: Vec<u16>,
        /// How long we waited.
        wait: Duration,
        /// Networks that did answer.
        others: Vec<ByteString>,
    },
}

/// The scheduler that is wanted: the best one that answers, or the given host, which is not asked anything.
///
/// Takes at most the wait in `wanted` and, as a rule, 300 ms after the first suitable answer. Returns at once if
/// nothing can be asked: who repeats this paces himself.
///
/// # Errors
/// Nobody suitable answered, nobody could be asked, or the host's name has no address.
pub async fn find(wanted: &Wanted) -> Result<Found, FindError> {
    match &wanted.place {
        Place::Host { name, port } => {
            let address = resolve(name, *port).await?;
            Ok(Found {
                address,
                reply: None,
            })
        }
        Place::Network { ports, reach } => {
            let mut choice = Choice::new(wanted.netname.clone(), wanted.wait);
            ask(ports, reach, &mut choice, Choice::deadline).await?;
            match choice.best() {
                Some((address, reply)) => Ok(Found {
                    address: *address,
                    reply: Some(reply.clone()),
                }),
                None => Err(FindError::NotFound {
                    netname: wanted.netname.clone(),
                    ports: ports.clone(),
                    wait: wanted.wait,
                    others: choice.others().to_vec(),
                }),
            }
        }
    }
}

/// Names of the networks that answer within `wait`, in the order of their answers. Empty if the scheduler's host is
/// given, or if nobody can be asked.
pub async fn survey(wanted: &Wanted, wait: Duration) -> Vec<ByteString> {
    let Place::Network { ports, reach } = &wanted.place else {
        return Vec::new();
    };
    let mut names = Choice::new(ByteString::default(), wait);
    if let Err(error) = ask(ports, reach, &mut names, |_| wait).await {
        tracing::debug!("{error}");
    }
    names.others().to_vec()
}

/// Asks and collects answers until the deadline that the answers so far allow.
async fn ask(
    ports: &[u16],
    reach: &Reach,
    choice: &mut Choice,
    deadline: impl Fn(&Choice) -> Duration,
) -> Result<(), FindError> {
    let failed = |error| FindError::Ask { error };
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))
        .await
        .map_err(failed)?;
    socket.set_broadcast(true).map_err(failed)?;
    let start = Instant::now();
    send_question(&socket, ports, reach).await.map_err(failed)?;
    let pause = deadline(choice) / QUESTIONS;
    let mut next_question = Some(pause);
    let mut buffer = [0; BUFFER];
    loop {
        let end = deadline(choice);
        let until = match next_question {
            Some(next) if choice.best().is_none() => next.min(end),
            _ => end,
        };
        let Some(until) = start.checked_add(until) else {
            return Ok(());
        };
        match timeout_at(until, socket.recv_from(&mut buffer)).await {
            Ok(Ok((length, from))) => {
                let bytes = buffer.get(..length).unwrap_or_default();
                match Reply::decode(ProtocolVersion::NEWEST, bytes) {
                    Ok(reply) => choice.offer(from, reply, start.elapsed()),
                    Err(error) => tracing::debug!("ignored from {from}: {error}"),
                }
            }
            Ok(Err(error)) => return Err(failed(error)),
            Err(_) if start.elapsed() >= deadline(choice) => return Ok(()),
            Err(_) => {
                if let Err(error) = send_question(&socket, ports, reach).await {
                    tracing::debug!("cannot ask again for a scheduler: {error}");
                }
                next_question = next_question.and_then(|next| next.checked_add(pause));
            }
        }
        // Garbage that never stops must not keep us beyond the deadline.
        if start.elapsed() >= deadline(choice) {
            return Ok(());
        }
    }
}

/// One byte to each destination and port; an error only if nothing could be sent.
async fn send_question(socket: &UdpSocket, ports: &[u16], reach: &Reach) -> io::Result<()> {
    let mut failure = io::Error::new(
        io::ErrorKind::NotFound,
        "no network interface of this machine can broadcast",
    );
    let mut sent = false;
    for address in reach.destinations()? {
        for &port in ports {
            match socket
                .send_to(&request(ProtocolVersion::NEWEST), (address, port))
                .await
            {
                Ok(_) => sent = true,
                Err(error) => {
                    tracing::debug!("cannot ask {address}:{port} for a scheduler: {error}");
                    failure = error;
                }
            }
        }
    }
    if sent { Ok(()) } else { Err(failure) }
}

/// The first IPv4 address of a host, or else its first address.
async fn resolve(host: &str, port: u16) -> Result<SocketAddr, FindError> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, port));
    }
    let failed = |error| FindError::Resolve {
        host: host.to_owned(),
        error,
    };
    let addresses = match timeout(RESOLVE_LIMIT, tokio::net::lookup_host((host, port))).await {
        Ok(Ok(addresses)) => addresses,
        Ok(Err(error)) => return Err(failed(error)),
        Err(_) => return Err(failed(io::ErrorKind::TimedOut.into())),
    };
    prefer_ipv4(addresses)
        .ok_or_else(|| failed(io::Error::new(io::ErrorKind::NotFound, "it has no address")))
}

fn prefer_ipv4(addresses: impl Iterator<Item = SocketAddr>) -> Option<SocketAddr> {
    let mut first = None;
    for address in addresses {
        if address.is_ipv4() {
            return Some(address);
        }
        first.get_or_insert(address);
    }
    first
}

/// Ports as a sentence has them.
struct Listed<'a>(&'a [u16]);

impl std::fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, port) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { " or " };
            write!(f, "{separator}{port}")?;
        }
        Ok(())
    }
}

/// A hint at a wrong name.
struct Others<'a>(&'a [ByteString]);

impl std::fmt::Display for Others<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, name) in self.0.iter().enumerate() {
            let separator = if index == 0 {
                "; other networks did: "
            } else {
                ", "
            };
            write!(f, "{separator}`{name}`")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv4_comes_first() {
        let v4: SocketAddr = "10.0.0.1:1".parse().unwrap();
        let v6: SocketAddr = "[::1]:1".parse().unwrap();
        assert_eq!(prefer_ipv4([v6, v4].into_iter()), Some(v4));
        assert_eq!(prefer_ipv4([v6].into_iter()), Some(v6));
        assert_eq!(prefer_ipv4([].into_iter()), None);
    }

    #[test]
    fn the_error_names_network_ports_and_what_was_heard() {
        let error = FindError::NotFound {
            netname: "lab".into(),
            ports: vec![8765, 8767],
            wait: Duration::from_secs(3),
            others: vec!["ICECREAM".into(), "x".into()],
        };
        assert_eq!(
            error.to_string(),
            "no scheduler of network `lab` answered within 3s on UDP port 8765 or 8767; \
             other networks did: `ICECREAM`, `x`"
        );
    }
}
