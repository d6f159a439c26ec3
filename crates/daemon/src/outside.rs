//! What the daemon's own memory cannot tell of its state: free disk, memory of running jobs, last uses of toolchains, peers.
//! Added to the answer of [`crate::core::operator`] by a few quick looks.

use std::path::Path;
use std::time::UNIX_EPOCH;

use serde_json::{Value, json};

use crate::access::gate::Gate;
use crate::ids::ClientId;

/// Where to look.
pub(crate) struct Outside<'a> {
    /// The daemon's folder.
    pub(crate) base: &'a Path,
    /// Who is let in.
    pub(crate) gate: &'a Gate,
    /// Memory of running jobs, in bytes.
    pub(crate) jobs: Vec<(ClientId, u64)>,
}

impl Outside<'_> {
    /// Adds what is missing.
    pub(crate) fn complete(&self, mut status: Value) -> Value {
        let disk = rustix::fs::statvfs(self.base).ok();
        status["disk_free"] = json!(disk.map(|fs| fs.f_bavail.saturating_mul(fs.f_frsize)));
        status["access"] = self.access();
        if let Some(jobs) = status["jobs"].as_array_mut() {
            for job in jobs {
                let number = job["client"].as_u64();
                let found = self
                    .jobs
                    .iter()
                    .find(|(id, _)| Some(u64::from(id.number())) == number);
                job["memory"] = json!(found.map(|(_, memory)| memory));
            }
        }
        if let Some(list) = status["toolchains"]["list"].as_array_mut() {
            for toolchain in list {
                toolchain["last_use"] = json!(self.last_use(toolchain));
            }
        }
        status
    }

    /// The store notes a use in the time of a file.
    fn last_use(&self, toolchain: &Value) -> Option<u64> {
        let folder = self.base.join("toolchains");
        let meta = folder
            .join(toolchain["platform"].as_str()?)
            .join(toolchain["name"].as_str()?)
            .join("meta");
        let used = std::fs::metadata(meta).ok()?.modified().ok()?;
        Some(used.duration_since(UNIX_EPOCH).ok()?.as_secs())
    }

    fn access(&self) -> Value {
        let report = self.gate.report();
        let peers: Vec<Value> = report
            .peers
            .iter()
            .map(|peer| {
                json!({
                    "address": peer.address.to_string(),
                    "connections": peer.connections,
                    "points": peer.points,
                    "avoided_for": peer.avoided_for.map(|left| left.as_secs()),
                    "offence": peer.offence.map(|offence| offence.description()),
                })
            })
            .collect();
        json!({
            "connections": report.connections,
            "refused": report.refused,
            "peers": peers,
        })
    }
}
