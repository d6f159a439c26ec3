//! The description of the daemon that `internals` on the scheduler's text port shows, in Icecream's shape.

use std::fmt::Write;

use gelato_wire::types::features;

use super::Core;
use super::client::{Client, Place};
use super::vocabulary::Origin;

impl Core {
    pub(super) fn internals(&self) -> String {
        let mut text = format!("Node Name: {}\n", self.node_name);
        let mut line = |content: String| {
            let _ = writeln!(text, "  {content}");
        };
        if let Some(link) = self.link {
            line(format!("Remote name: {}", link.own_address));
        }
        for client in self.clients.values() {
            line(format!("fd2client[{}] = {}", client.id, describe(client)));
        }
        for client in self.clients.values() {
            line(format!("client {}: {}", client.id, describe(client)));
        }
        let size: u64 = self.toolchains.iter().map(|toolchain| toolchain.size).sum();
        if size != 0 {
            line(format!("Cache Size: {size}"));
        }
        line(format!("Architecture: {}", self.settings.platform));
        if !self.toolchains.is_empty() {
            line(format!("Now: {}", self.now.unix));
            for installed in &self.toolchains {
                line(format!(
                    "ReceivedEnv[{}] last_use 0, size {}",
                    installed.toolchain, installed.size
                ));
            }
        }
        line(format!(
            "Current kids: {} (max: {})",
            self.slots.foreign(),
            self.slots.capacity()
        ));
        line(format!(
            "Supported features: {}",
            features::names(self.settings.features)
        ));
        if let Some(link) = self.link {
            line(format!("Scheduler protocol: {}", link.version));
        }
        let stats = self.meter.current();
        line(format!("cpu: {} idle, 0 nice", self.meter.cpu_idle()));
        line(format!(
            "load: {:.3}, icecream_load: {}",
            f64::from(stats.load_avg_1) / 1000.0,
            stats.load
        ));
        line(format!("memory: (free: {})", stats.free_mem));
        text
    }
}

fn describe(client: &Client) -> String {
    let state = client.state.name();
    let peer = match client.origin {
        Origin::Socket => "local unix domain socket".to_owned(),
        Origin::Loopback => "127.0.0.1".to_owned(),
        Origin::Network(address) => address.to_string(),
    };
    let mut text = format!("{state} {peer}: (B eof: 0) ClientID: {}", client.id);
    if let Some((outfile, full)) = &client.local {
        let _ = write!(
            text,
            " {outfile}{} PID: -1",
            if *full { " (full)" } else { "" }
        );
    }
    for job in &client.jobs {
        let host = match &job.place {
            Place::Elsewhere { host } => host.to_string(),
            Place::Here | Place::HereLater(_) => "127.0.0.1".to_owned(),
        };
        let _ = write!(text, " Job ID: {} CompileServer: {host}", job.id);
        if client.niceness != 0 {
            let _ = write!(text, " Nice: {}", client.niceness);
        }
    }
    if let Some(job) = &client.foreign {
        let _ = write!(text, " Job ID: {}", job.request.job_id);
    }
    if let Some(transfer) = &client.transfer {
        let _ = write!(text, " {transfer}");
    }
    if !client.native.is_empty() {
        let _ = write!(text, " {}", client.native);
    }
    text
}
