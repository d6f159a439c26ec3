//! The text in which monitors are told about a daemon: lines `Key:value`, in Icecream's order.
//!
//! Monitors want every key up to `Load` in each text. The rest is ours, and monitors that do not know it pass it by:
//! `Accepting` appears once a daemon could not be connected to; `Scheduler` says that more can be had
//! ([`crate::watchers`]) and `Algorithm` how workers are chosen; `Samples` says how many jobs the speed comes from,
//! `Environments` how many toolchains there are and `Installing` how many are on their way; `Blocked` and `Draining` appear
//! only if true; `Software`, `Sandbox` and `Remark` are what Gelato's daemons tell about themselves.

use gelato_scheduler_core::{Algorithm, Node, NodeStats};
use gelato_wire::types::features;
use gelato_wire::{ByteString, msg};

use crate::about::About;
use crate::translate::EXTENSION;

/// What is said of a daemon that left.
pub(crate) const OFFLINE: &str = "State:Offline\n";

/// What Icecream's texts lack.
#[derive(Debug, Clone, Default)]
pub(crate) struct More<'a> {
    /// How workers are chosen.
    pub(crate) algorithm: Algorithm,
    /// What the scheduler knows of the daemon.
    pub(crate) known: Known,
    /// What the daemon told about itself.
    pub(crate) about: Option<&'a About>,
}

/// What the scheduler knows of a daemon.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Known {
    /// It may not log in again.
    pub(crate) blocked: bool,
    /// It takes nothing new.
    pub(crate) draining: bool,
    /// Finished jobs its speed comes from.
    pub(crate) samples: usize,
    /// Toolchains on their way to it.
    pub(crate) installing: usize,
    /// Toolchains it has.
    pub(crate) environments: usize,
}

impl Known {
    pub(crate) fn of(node: &Node, blocked: bool) -> Known {
        Known {
            blocked,
            draining: node.is_draining(),
            samples: node.samples(),
            installing: usize::from(node.installing_since().is_some()),
            environments: node.toolchains(),
        }
    }
}

/// The lines about one daemon.
pub(crate) fn render(stats: &NodeStats, more: &More<'_>) -> ByteString {
    let mut text = Vec::with_capacity(256);
    let mut line = |key: &str, value: &[u8]| {
        text.extend_from_slice(key.as_bytes());
        text.push(b':');
        text.extend_from_slice(value);
        text.push(b'\n');
    };
    line("Name", stats.name.as_bytes());
    line("IP", stats.address.to_string().as_bytes());
    line("MaxJobs", stats.slots.to_string().as_bytes());
    line("NoRemote", yes_or_no(stats.no_remote));
    line("Platform", stats.platform.as_bytes());
    line("Version", stats.version.to_string().as_bytes());
    line("Features", features::names(stats.features).as_bytes());
    line("Speed", format!("{:.6}", stats.speed).as_bytes());
    line("Load", stats.load.to_string().as_bytes());
    if let Some(readings) = &stats.readings {
        let [one, five, fifteen] = readings.load_averages;
        line("LoadAvg1", one.to_string().as_bytes());
        line("LoadAvg5", five.to_string().as_bytes());
        line("LoadAvg10", fifteen.to_string().as_bytes());
        line("FreeMem", readings.free_memory.to_string().as_bytes());
    }
    if let Some(accepting) = stats.accepting {
        line("Accepting", yes_or_no(accepting));
    }
    let software = format!("{}{EXTENSION}", msg::GELATO_SCHEDULER);
    line("Scheduler", software.as_bytes());
    let algorithm = more.algorithm.name().to_ascii_lowercase();
    line("Algorithm", algorithm.as_bytes());
    let known = more.known;
    line("Samples", known.samples.to_string().as_bytes());
    line("Environments", known.environments.to_string().as_bytes());
    if known.installing > 0 {
        line("Installing", known.installing.to_string().as_bytes());
    }
    for (key, value) in [("Blocked", known.blocked), ("Draining", known.draining)] {
        if value {
            line(key, yes_or_no(value));
        }
    }
    if let Some(about) = more.about {
        for (key, value) in [
            ("Software", &about.software),
            ("Sandbox", &about.sandbox),
            ("Remark", &about.remark),
        ] {
            if !value.is_empty() {
                line(key, value.as_bytes());
            }
        }
    }
    ByteString::from_bytes(text)
}

fn yes_or_no(value: bool) -> &'static [u8] {
    if value { b"true" } else { b"false" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gelato_scheduler_core::{NodeId, Readings, Text};

    fn stats() -> NodeStats {
        NodeStats {
            node: NodeId(1),
            name: Text::from("alpha"),
            address: "10.77.0.2".parse().unwrap(),
            slots: 4,
            no_remote: false,
            platform: Text::from("x86_64"),
            version: 44,
            features: 3,
            speed: 238.628,
            load: 1000,
            readings: None,
            accepting: None,
        }
    }

    #[test]
    fn keys_and_order_are_what_monitors_expect() {
        assert_eq!(
            render(&stats(), &More::default()),
            "Name:alpha\nIP:10.77.0.2\nMaxJobs:4\nNoRemote:false\nPlatform:x86_64\nVersion:44\n\
             Features:env_xz env_zstd\nSpeed:238.628006\nLoad:1000\n\
             Scheduler:gelato/2\nAlgorithm:finish\nSamples:0\nEnvironments:0\n"
        );
        let about = About {
            software: "0.1.0".to_owned(),
            sandbox: String::new(),
            remark: "paused".to_owned(),
            answers_ping: true,
        };
        let full = NodeStats {
            slots: -2,
            no_remote: true,
            features: 0,
            speed: 0.0,
            readings: Some(Readings {
                load_averages: [1, 2, 3],
                free_memory: 4,
            }),
            accepting: Some(false),
            ..stats()
        };
        let more = More {
            algorithm: Algorithm::LeastBusy,
            known: Known {
                blocked: true,
                draining: true,
                samples: 9,
                installing: 1,
                environments: 2,
            },
            about: Some(&about),
        };
        assert_eq!(
            render(&full, &more),
            "Name:alpha\nIP:10.77.0.2\nMaxJobs:-2\nNoRemote:true\nPlatform:x86_64\nVersion:44\n\
             Features:--\nSpeed:0.000000\nLoad:1000\nLoadAvg1:1\nLoadAvg5:2\nLoadAvg10:3\nFreeMem:4\n\
             Accepting:false\nScheduler:gelato/2\nAlgorithm:least_busy\nSamples:9\nEnvironments:2\nInstalling:1\n\
             Blocked:true\nDraining:true\nSoftware:0.1.0\nRemark:paused\n"
        );
    }
}
