//! What there is to build on: this machine and its daemon, a scheduler on the network, and the machines it knows.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use gelato_monitor::Cluster;
use gelato_monitor::glance::glance;
use gelato_monitor::slots::Machine;
use gelato_net::Limits;
use gelato_net::discovery::{self, Wanted, WantedError};
use gelato_net::stream::Connection;
use gelato_settings::{Origin, Settings, keys};
use gelato_wire::ByteString;
use serde_json::{Value, json};

use crate::cli::ask::{self, Daemon};

/// How long schedulers have to answer the broadcast. A build that finds none loses this much.
const SEARCH: Duration = Duration::from_secs(1);

/// The scheduler the settings name, else the best one that answers on the network.
///
/// # Errors
/// The settings name something that is no scheduler's address.
pub(crate) async fn scheduler(settings: &Settings<'_>) -> Result<Option<SocketAddr>, WantedError> {
    // That nobody could be asked is the same to a build as that nobody answered.
    Ok(discovery::find(&wanted(settings, None, None)?)
        .await
        .ok()
        .map(|found| found.address))
}

/// The scheduler that options name, else the settings, else whoever answers.
///
/// # Errors
/// They name something that is no scheduler's address.
pub(crate) fn wanted(
    settings: &Settings<'_>,
    host: Option<&str>,
    netname: Option<&str>,
) -> Result<Wanted, WantedError> {
    let text = |key| settings.text(key).and_then(|text| text.into_string().ok());
    // Variables are read with their own forgiveness.
    let in_file = matches!(settings.find(&keys::SCHEDULER).origin, Origin::File(..));
    let host = match host {
        Some(host) => Some(host.to_owned()),
        None => in_file.then(|| text(&keys::SCHEDULER)).flatten(),
    };
    let netname = netname.map(str::to_owned).or_else(|| text(&keys::NETNAME));
    Ok(Wanted {
        wait: SEARCH,
        ..Wanted::from_environment(host.as_deref(), netname.as_deref())?
    })
}

/// How long to wait for the scheduler's answer; a build does not wait for a slow one.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a scheduler tells of its machines. `None` if it does not answer in time.
pub(crate) async fn picture(scheduler: SocketAddr) -> Option<Cluster> {
    glance(at(scheduler), PATIENCE).await.ok()
}

/// This scheduler and no other.
pub(crate) fn at(scheduler: SocketAddr) -> Wanted {
    Wanted {
        netname: ByteString::default(),
        place: discovery::Place::Host {
            name: scheduler.ip().to_string(),
            port: scheduler.port(),
        },
        wait: SEARCH,
    }
}

/// This machine.
#[derive(Debug)]
pub(crate) struct Here {
    /// What slots are counted for.
    pub(crate) machine: Machine,
    /// The scheduler its daemon is connected to.
    pub(crate) scheduler: Option<SocketAddr>,
}

/// What this machine's daemon, if it runs one, tells of it.
///
/// Blocks for as long as [`ask`] does.
pub(crate) fn here(socket: Option<&PathBuf>) -> Here {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let platform = gelato_toolchain::names::platform();
    let mut machine = Machine {
        node: None,
        platform,
        processors: u32::try_from(processors).unwrap_or(u32::MAX),
        joins: false,
        jobs_per_processor: None,
    };
    let mut scheduler = None;
    match ask::ask(socket, &json!({ "ask": "status" })) {
        Daemon::Gelato { answer, .. } => {
            let link = &answer["scheduler"];
            scheduler = link["address"]
                .as_str()
                .filter(|_| link["connected"] == true)
                .and_then(|address| address.parse().ok());
            machine.node = answer["node"].as_str().map(str::to_owned);
            let records = ask::ask(socket, &json!({ "ask": "records", "last": MEASURED }));
            if let Daemon::Gelato { answer, .. } = records {
                machine.jobs_per_processor = jobs_per_processor(&answer["records"]);
            }
        }
        // Its node has the host's name unless its administrator gave it another one.
        Daemon::Other { .. } | Daemon::Mute { .. } => {
            let name = rustix::system::uname();
            machine.node = Some(name.nodename().to_string_lossy().into_owned());
        }
        Daemon::Absent { .. } => {}
    }
    Here { machine, scheduler }
}

/// Records by which it is measured how many jobs a processor of this machine keeps going.
const MEASURED: usize = 200;

/// Fewer say nothing.
const FEWEST: usize = 20;

/// How many jobs elsewhere went on for each processor that was busy here with preprocessing and sending them.
fn jobs_per_processor(records: &Value) -> Option<f64> {
    let remote = records.as_array()?.iter().filter(|record| {
        record["verdict"] == "remote" && record["cpu"].as_u64().is_some_and(|cpu| cpu > 0)
    });
    let mut count = 0;
    let (mut busy, mut whole) = (0_u64, 0_u64);
    for record in remote {
        let phase = |name: &str| record["phases"][name].as_u64().unwrap_or(0);
        // Waiting is no work for anybody, and would ask for even more jobs where there are too many.
        let waiting = phase("wait")
            .saturating_add(phase("slot"))
            .saturating_add(phase("install"));
        let wall = record["wall"].as_u64().unwrap_or(0);
        busy = busy.saturating_add(record["cpu"].as_u64().unwrap_or(0));
        whole = whole.saturating_add(wall.saturating_sub(waiting));
        count += 1;
    }
    (count >= FEWEST && busy > 0).then(|| whole as f64 / busy as f64)
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
    fn work_here_and_there_is_compared_without_the_waiting() {
        let record = json!({
            "verdict": "remote", "cpu": 100, "wall": 2_500, "phases": { "wait": 400, "install": 100 },
        });
        let local = json!({ "verdict": "local", "cpu": 900, "wall": 900 });
        let mut records = vec![record; FEWEST - 1];
        records.push(local);
        assert_eq!(jobs_per_processor(&json!(records)), None);
        records.push(records[0].clone());
        assert_eq!(jobs_per_processor(&json!(records)), Some(20.0));
        assert_eq!(jobs_per_processor(&json!("nonsense")), None);
        let absurd = json!({
            "verdict": "remote", "cpu": u64::MAX, "wall": u64::MAX, "phases": { "wait": u64::MAX, "slot": 1 },
        });
        assert_eq!(jobs_per_processor(&json!(vec![absurd; FEWEST])), Some(0.0));
    }
}
