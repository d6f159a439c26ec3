//! What there is to build on: a daemon of this machine, a scheduler on the network, and how many
//! slots its machines have.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use gelato_net::Limits;
use gelato_net::discovery::{self, Wanted, WantedError};
use gelato_net::stream::Connection;
use gelato_settings::{Origin, Settings, keys};
use gelato_wire::Message;

/// The machines a scheduler knows.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Capacity {
    hosts: BTreeMap<u32, Host>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Host {
    slots: u32,
    accepts_jobs: bool,
    platform: String,
}

impl Capacity {
    /// Takes what a scheduler tells monitors of one machine: lines `Key:value`.
    fn learn(&mut self, host_id: u32, text: &str) {
        let mut host = Host {
            accepts_jobs: true,
            ..Host::default()
        };
        for line in text.lines() {
            match line.split_once(':') {
                Some(("MaxJobs", slots)) => host.slots = slots.parse().unwrap_or(0),
                Some(("NoRemote", value)) => host.accepts_jobs = value != "true",
                Some(("Platform", platform)) => host.platform = platform.to_owned(),
                Some(("State", "Offline")) => {
                    self.hosts.remove(&host_id);
                    return;
                }
                _ => {}
            }
        }
        self.hosts.insert(host_id, host);
    }

    /// Slots of the machines that take jobs of others and can run what is built here.
    pub(crate) fn slots(&self, platform: &str) -> usize {
        self.workers(platform).map(|host| host.slots as usize).sum()
    }

    /// How many such machines there are.
    pub(crate) fn machines(&self, platform: &str) -> usize {
        self.workers(platform).count()
    }

    fn workers<'a>(&'a self, platform: &'a str) -> impl Iterator<Item = &'a Host> {
        self.hosts
            .values()
            .filter(move |host| host.accepts_jobs && host.slots > 0 && host.platform == platform)
    }
}

/// How long schedulers have to answer the broadcast. A build that finds none loses this much.
const SEARCH: Duration = Duration::from_secs(1);

/// The scheduler the settings name, else the best one that answers on the network.
///
/// # Errors
/// The settings name something that is no scheduler's address.
pub(crate) async fn scheduler(settings: &Settings<'_>) -> Result<Option<SocketAddr>, WantedError> {
    let text = |key| settings.text(key).and_then(|text| text.into_string().ok());
    // Variables are read with their own forgiveness.
    let in_file = matches!(settings.find(&keys::SCHEDULER).origin, Origin::File(..));
    let host = in_file.then(|| text(&keys::SCHEDULER)).flatten();
    let wanted = Wanted {
        wait: SEARCH,
        ..Wanted::from_environment(host.as_deref(), text(&keys::NETNAME).as_deref())?
    };
    // That nobody could be asked is the same to a build as that nobody answered.
    Ok(discovery::find(&wanted)
        .await
        .ok()
        .map(|found| found.address))
}

/// How long to wait for the scheduler's answer. Icecream's accept late on a quiet network; the build
/// does not wait for that.
const PATIENCE: Duration = Duration::from_secs(2);

/// A newcomer is told of all machines at once; after this much silence the list is complete.
const SILENCE: Duration = Duration::from_millis(300);

/// Asks a scheduler, as a monitor would, which machines it has. `None` if it does not answer in time.
pub(crate) async fn capacity(scheduler: SocketAddr) -> Option<Capacity> {
    let deadline = Instant::now() + PATIENCE;
    let limits = Limits {
        connect: PATIENCE,
        handshake: PATIENCE,
        ..Limits::default()
    };
    let mut connection = Connection::connect_as_monitor(scheduler, limits)
        .await
        .ok()?;
    connection.send(&Message::MonLogin).await.ok()?;
    let mut capacity = Capacity::default();
    while Instant::now() < deadline {
        match connection
            .receive(Some(SILENCE), "the list of machines")
            .await
        {
            Ok(Message::MonStats(stats)) => {
                capacity.learn(stats.host_id, &stats.statmsg.to_string_lossy());
            }
            Ok(_) => {}
            Err(_) => break,
        }
    }
    Some(capacity)
}

/// Whether a daemon of this machine answers where the wrapper will look for one.
pub(crate) async fn daemon_answers(settings: &Settings<'_>) -> bool {
    let limits = Limits {
        connect: Duration::from_secs(1),
        handshake: Duration::from_secs(1),
        ..Limits::default()
    };
    let only = settings
        .text(&keys::SOCKET)
        .or_else(|| std::env::var_os("ICECC_TEST_SOCKET"));
    for socket in daemon_sockets(only.clone()) {
        if Connection::connect_unix(&socket, limits).await.is_ok() {
            return true;
        }
    }
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 10245));
    only.is_none() && Connection::connect_tcp(loopback, limits).await.is_ok()
}

/// Where the wrapper looks for the daemon, in its order.
pub(crate) fn daemon_sockets(only: Option<OsString>) -> Vec<PathBuf> {
    if let Some(path) = only {
        return vec![path.into()];
    }
    let mut sockets = vec![
        PathBuf::from("/var/run/icecc/iceccd.socket"),
        PathBuf::from("/var/run/iceccd.socket"),
    ];
    if let Some(home) = std::env::var_os("HOME") {
        sockets.push(PathBuf::from(home).join(".iceccd.socket"));
    }
    sockets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_of_usable_machines_are_counted() {
        let mut capacity = Capacity::default();
        capacity.learn(1, "Name:a\nMaxJobs:8\nNoRemote:false\nPlatform:x86_64\n");
        capacity.learn(2, "Name:b\nMaxJobs:4\nNoRemote:true\nPlatform:x86_64\n");
        capacity.learn(3, "Name:c\nMaxJobs:16\nNoRemote:false\nPlatform:aarch64\n");
        capacity.learn(4, "Name:d\nMaxJobs:-2\nNoRemote:false\nPlatform:x86_64\n");
        capacity.learn(5, "Name:e\nMaxJobs:2\nNoRemote:false\nPlatform:x86_64\n");
        capacity.learn(5, "State:Offline\n");
        assert_eq!(capacity.slots("x86_64"), 8);
        assert_eq!(capacity.machines("x86_64"), 1);
    }
}
