//! What can be found out about this machine and its cluster within two seconds. Judges nothing.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use gelato_net::Limits;
use gelato_net::discovery::{self, FindError, Wanted};
use gelato_net::stream::Connection;
use gelato_sandbox::{Jailer, Level, Probe};
use gelato_settings::{Origin, keys};
use gelato_wire::datagram::{Reply, request};
use gelato_wire::{Message, ProtocolVersion};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::cli::ask::{self, Daemon};

/// How long schedulers have to answer.
const SEARCH: Duration = Duration::from_millis(500);

/// How long the scheduler has for everything it is asked.
const QUESTIONS: Duration = Duration::from_millis(600);

/// After this much silence the list of machines is complete.
const SILENCE: Duration = Duration::from_millis(200);

/// Machines that are looked at.
const MOST_HOSTS: usize = 4096;

/// What the checks judge by.
#[derive(Debug)]
pub(super) struct Facts {
    /// Who answers on this machine; a Gelato's answer is its status.
    pub(super) daemon: Daemon,
    /// The network this machine should be in.
    pub(super) netname: String,
    /// What looking for a scheduler found.
    pub(super) search: Search,
    /// What the scheduler tells monitors, if it was reached.
    pub(super) hosts: Option<Vec<Host>>,
    /// How far the scheduler's clock is ahead of this machine's, in seconds, if it could be found out.
    pub(super) clock: Option<i64>,
    /// Whether other machines could connect: to the address the scheduler knows this machine by.
    pub(super) port: Option<Result<SocketAddr, (SocketAddr, String)>>,
    /// What namespaces of a job this user may have.
    pub(super) namespaces: Probe,
    /// `PATH`.
    pub(super) path: OsString,
}

/// What looking for a scheduler found.
#[derive(Debug)]
pub(super) enum Search {
    /// One that is wanted.
    Found(SocketAddr),
    /// None, but these networks.
    OtherNetworks(Vec<String>),
    /// Nobody answered.
    Nobody(String),
}

/// A machine as monitors see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Host(BTreeMap<String, String>);

impl Host {
    /// From lines `Key:value`; none if the machine has left.
    pub(super) fn parse(text: &str) -> Option<Host> {
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        let host = Host(
            lines
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
        );
        (host.get("State") != "Offline").then_some(host)
    }

    /// A value; empty if it is not there.
    pub(super) fn get(&self, key: &str) -> &str {
        self.0.get(key).map_or("", String::as_str)
    }
}

impl Facts {
    /// Looks at everything.
    ///
    /// # Errors
    /// Settings that make no sense, or a system that gives us nothing to work with.
    pub(super) fn gather(socket: Option<&PathBuf>) -> anyhow::Result<Facts> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start")?;
        // Nothing but this thread exists yet, which the step that tries namespaces likes best.
        let namespaces = Jailer::current_exe().probe(Some(Level::UserNamespace));
        let (mut wanted, mut netname) = wanted()?;
        let daemon = ask::ask(socket, &json!({ "ask": "status" }));
        let facts = runtime.block_on(async {
            let status = status_of(&daemon);
            if let Some(name) = status.and_then(|status| status["netname"].as_str()) {
                netname = name.to_owned();
                wanted.netname = name.into();
            }
            let connected = status
                .and_then(|status| status["scheduler"]["address"].as_str()?.parse().ok())
                .filter(|_| status.is_some_and(|status| status["scheduler"]["connected"] == true));
            let search = match connected {
                Some(address) => Search::Found(address),
                None => search(&wanted).await,
            };
            let scheduler = match search {
                Search::Found(address) => Some(address),
                _ => None,
            };
            let (hosts, clock, port) = tokio::join!(
                within(async { hosts(scheduler?).await }),
                within(async { clock(scheduler?).await }),
                within(own_port(status)),
            );
            anyhow::Ok(Facts {
                daemon,
                netname,
                search,
                hosts,
                clock,
                port,
                namespaces,
                path: std::env::var_os("PATH").unwrap_or_default(),
            })
        })?;
        runtime.shutdown_background();
        Ok(facts)
    }

    /// The answer of Gelato's daemon.
    pub(super) fn status(&self) -> Option<&Value> {
        status_of(&self.daemon)
    }

    /// This machine among the hosts.
    pub(super) fn own_host(&self) -> Option<&Host> {
        let node = self.status()?["node"].as_str()?;
        self.hosts
            .as_ref()?
            .iter()
            .find(|host| host.get("Name") == node)
    }

    /// The other machines.
    pub(super) fn other_hosts(&self) -> Option<Vec<&Host>> {
        let own = self.own_host();
        let hosts = self.hosts.as_ref()?;
        Some(hosts.iter().filter(|host| Some(*host) != own).collect())
    }
}

/// What the scheduler tells monitors of this machine, for daemons that cannot be asked themselves: its address, and lines
/// `Key:value`. A node has the host's name unless its administrator gave it another one.
pub(crate) fn told_by_scheduler() -> Option<(SocketAddr, Vec<(String, String)>)> {
    let (wanted, _) = wanted().ok()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .ok()?;
    let found = runtime.block_on(async {
        let Search::Found(address) = search(&wanted).await else {
            return None;
        };
        Some((address, within(hosts(address)).await?))
    });
    runtime.shutdown_background();
    let (address, hosts) = found?;
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let host = hosts.into_iter().find(|host| host.get("Name") == name)?;
    Some((address, host.0.into_iter().collect()))
}

fn status_of(daemon: &Daemon) -> Option<&Value> {
    match daemon {
        Daemon::Gelato { answer, .. } if ask::refusal(answer).is_none() => Some(answer),
        _ => None,
    }
}

/// The scheduler that settings and variables name, and the network's name.
fn wanted() -> anyhow::Result<(Wanted, String)> {
    let settings = crate::cli::settings::load();
    let text = |key| settings.text(key).and_then(|text| text.into_string().ok());
    // Variables are read with their own forgiveness.
    let in_file = matches!(settings.find(&keys::SCHEDULER).origin, Origin::File(..));
    let host = in_file.then(|| text(&keys::SCHEDULER)).flatten();
    let netname = text(&keys::NETNAME).unwrap_or_else(|| discovery::DEFAULT_NETNAME.to_owned());
    let wanted = Wanted {
        wait: SEARCH,
        ..Wanted::from_environment(host.as_deref(), Some(&netname))?
    };
    Ok((wanted, netname))
}

async fn search(wanted: &Wanted) -> Search {
    match timeout(SEARCH * 2, discovery::find(wanted)).await {
        Ok(Ok(found)) => Search::Found(found.address),
        Ok(Err(FindError::NotFound { others, .. })) if !others.is_empty() => Search::OtherNetworks(
            others
                .iter()
                .map(|name| name.to_string_lossy().into_owned())
                .collect(),
        ),
        Ok(Err(error)) => Search::Nobody(error.to_string()),
        Err(_) => Search::Nobody("the scheduler's name could not be resolved in time".to_owned()),
    }
}

/// `None` if it takes too long.
async fn within<T>(work: impl Future<Output = Option<T>>) -> Option<T> {
    timeout(QUESTIONS, work).await.ok().flatten()
}

/// As a monitor would ask.
async fn hosts(scheduler: SocketAddr) -> Option<Vec<Host>> {
    let limits = Limits {
        connect: QUESTIONS,
        handshake: QUESTIONS,
        ..Limits::default()
    };
    let mut connection = Connection::connect_as_monitor(scheduler, limits)
        .await
        .ok()?;
    connection.send(&Message::MonLogin).await.ok()?;
    let mut hosts = BTreeMap::new();
    while let Ok(message) = connection
        .receive(Some(SILENCE), "the list of machines")
        .await
    {
        if let Message::MonStats(stats) = message {
            match Host::parse(&stats.statmsg.to_string_lossy()) {
                Some(host) if hosts.len() < MOST_HOSTS => hosts.insert(stats.host_id, host),
                _ => hosts.remove(&stats.host_id),
            };
        }
    }
    Some(hosts.into_values().collect())
}

/// The protocol has no clock. But a scheduler says when it began by its own clock, and how long that is ago.
async fn clock(scheduler: SocketAddr) -> Option<i64> {
    let (began, uptime) = tokio::join!(began(scheduler), uptime(scheduler));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
    let theirs = began?.checked_add(uptime?)?;
    i64::try_from(theirs)
        .ok()?
        .checked_sub(i64::try_from(now).ok()?)
}

async fn began(scheduler: SocketAddr) -> Option<u64> {
    let any: SocketAddr = match scheduler {
        SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        SocketAddr::V6(_) => ([0u16; 8], 0).into(),
    };
    let socket = UdpSocket::bind(any).await.ok()?;
    socket.connect(scheduler).await.ok()?;
    let own = ProtocolVersion::NEWEST;
    socket.send(&request(own)).await.ok()?;
    let mut buffer = [0; 512];
    let length = socket.recv(&mut buffer).await.ok()?;
    let reply = Reply::decode(own, buffer.get(..length)?).ok()?;
    (reply.start_time > 0).then_some(reply.start_time)
}

/// From the greeting of the text port: `200-ICECC 1.4: 17s uptime, …`.
async fn uptime(scheduler: SocketAddr) -> Option<u64> {
    let port = scheduler.port().checked_add(1)?;
    let mut stream = TcpStream::connect((scheduler.ip(), port)).await.ok()?;
    let mut greeting = Vec::new();
    let mut buffer = [0; 256];
    while !greeting.contains(&b'\n') && greeting.len() < 4096 {
        match stream.read(&mut buffer).await.ok()? {
            0 => break,
            length => greeting.extend_from_slice(buffer.get(..length)?),
        }
    }
    uptime_in(&String::from_utf8_lossy(&greeting))
}

fn uptime_in(greeting: &str) -> Option<u64> {
    let (before, _) = greeting.split_once("s uptime")?;
    before.rsplit(' ').next()?.parse().ok()
}

/// Connects to this machine as the scheduler would.
async fn own_port(status: Option<&Value>) -> Option<Result<SocketAddr, (SocketAddr, String)>> {
    let status = status?;
    let port = u16::try_from(status["port"].as_u64()?).ok()?;
    let address = status["scheduler"]["known_as"].as_str()?.parse().ok()?;
    if port == 0 {
        return None;
    }
    let address = SocketAddr::new(address, port);
    let connected = timeout(QUESTIONS / 2, TcpStream::connect(address)).await;
    Some(match connected {
        Ok(Ok(_)) => Ok(address),
        Ok(Err(error)) => Err((address, error.to_string())),
        Err(_) => Err((address, "no answer".to_owned())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greetings_say_for_how_long() {
        let greeting =
            "200-ICECC 1.4: 17s uptime, 2 hosts, 0 jobs in queue (0 total).\n200 Use 'help'\n";
        assert_eq!(uptime_in(greeting), Some(17));
        assert_eq!(uptime_in("200 hello"), None);
        assert_eq!(uptime_in("99999999999999999999999s uptime"), None);
    }

    #[test]
    fn hosts_are_lines() {
        let host = Host::parse("Name:a\nRemark:paused: ten\nnonsense\n").unwrap();
        assert_eq!(host.get("Remark"), "paused: ten");
        assert_eq!(host.get("Load"), "");
        assert_eq!(Host::parse("State:Offline\n"), None);
    }
}
