//! What a scheduler is told of jobs it did not give out and that still run: it was started again, or is another one. Without
//! that it would fill slots that are taken. Jobs keep the numbers they had; their ends are told by notes, because the new
//! scheduler may have given the same numbers to others.

use std::net::{IpAddr, Ipv4Addr};

use gelato_wire::msg::{JobDone, JobLocalBegin, NodeNote};
use gelato_wire::types::Language;
use gelato_wire::{ByteString, Message};
use serde_json::{Value, json};

use super::client::{Client, Place, State};
use super::vocabulary::Origin;
use super::{Core, Link};
use crate::ids::{ClientId, Generation};

/// Jobs that are told of; there are hardly more than slots.
const MOST_TOLD: usize = 1000;

impl Core {
    /// Whether something runs that the scheduler does not know of.
    pub(super) fn has_unknown_work(&self) -> bool {
        let link = self.generation();
        self.clients
            .values()
            .any(|client| is_running(client, link) || !abroad(client, link).is_empty())
    }

    /// Tells a scheduler of ours about it, once. Every scheduler is told about what runs here for this machine.
    pub(super) fn tell_running(&mut self, link: Link) {
        let generation = Some(link.generation);
        if self.told_running == generation {
            return;
        }
        self.told_running = generation;
        if self.scheduler_takes_records() {
            let now = self.now.instant;
            let running: Vec<(ClientId, Value)> = self
                .clients
                .values()
                .filter(|client| is_running(client, generation))
                .filter_map(|client| {
                    let job = client.foreign.as_ref()?;
                    let since = now.saturating_duration_since(job.since).as_millis();
                    let value = json!({
                        "job": job.request.job_id,
                        "client": address_of(client).to_string(),
                        "file": job.request.command.input_file.to_string_lossy(),
                        "language": number_of(job.request.command.language),
                        "since_ms": u64::try_from(since).unwrap_or(u64::MAX),
                    });
                    Some((client.id, value))
                })
                .take(MOST_TOLD)
                .collect();
            let away: Vec<Value> = self
                .clients
                .values()
                .flat_map(|client| abroad(client, generation))
                .map(|(job, host)| json!({ "job": job, "host": host.to_string_lossy() }))
                .take(MOST_TOLD)
                .collect();
            if !running.is_empty() || !away.is_empty() {
                let mut told = Vec::new();
                for (id, value) in running {
                    told.push(value);
                    let client = self.clients.get_mut(&id);
                    if let Some(job) = client.and_then(|client| client.foreign.as_mut()) {
                        job.told = generation;
                    }
                }
                self.report(note(&json!({ "running": told, "away": away })));
            }
        }
        let here: Vec<ClientId> = self
            .clients
            .values()
            .filter(|client| is_here(client, generation))
            .map(|client| client.id)
            .collect();
        for id in here {
            self.report_as_local(id);
        }
    }

    /// Something runs here that the scheduler did not give out: for it this is a local job.
    pub(super) fn report_as_local(&mut self, id: ClientId) {
        let link = self.generation();
        let start_time = self.now.unix;
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        if link.is_none() || client.local_reported == link {
            return;
        }
        client.local_reported = link;
        let own = || (client.file.clone(), false);
        let (outfile, full_job) = client.local.clone().unwrap_or_else(own);
        self.report(Message::JobLocalBegin(JobLocalBegin {
            start_time,
            outfile,
            id: id.number(),
            full_job,
        }));
    }
}

/// The note about the end of a job.
pub(super) fn ended(done: &JobDone) -> Message {
    note(&json!({ "ended": [{
        "job": done.job_id,
        "exit": done.exitcode,
        "real_ms": done.real_msec,
        "user_ms": done.user_msec,
        "sys_ms": done.sys_msec,
        "page_faults": done.page_faults,
        "in_compressed": done.in_compressed,
        "in_uncompressed": done.in_uncompressed,
        "out_compressed": done.out_compressed,
        "out_uncompressed": done.out_uncompressed,
    }] }))
}

fn note(note: &Value) -> Message {
    let text = note.to_string().as_str().into();
    Message::NodeNote(NodeNote { text })
}

/// A job of another machine runs or waits for its slot, and `link` knows nothing of it.
fn is_running(client: &Client, link: Option<Generation>) -> bool {
    matches!(client.state, State::ToCompile | State::WaitForChild)
        && client
            .foreign
            .as_ref()
            .is_some_and(|job| !job.handed_back && job.generation != link && job.told != link)
}

/// A job of this machine has a slot, and `link` knows nothing of it.
fn is_here(client: &Client, link: Option<Generation>) -> bool {
    let own = |place: &Place| matches!(place, Place::Here);
    client.state == State::ClientWork
        && client.local_reported != link
        && (client.local.is_some()
            || client
                .jobs
                .iter()
                .any(|job| own(&job.place) && job.generation != link))
}

/// Jobs of a client on other machines that `link` knows nothing of.
fn abroad(client: &Client, link: Option<Generation>) -> Vec<(u32, &ByteString)> {
    client
        .jobs
        .iter()
        .filter(|job| job.generation != link)
        .filter_map(|job| match &job.place {
            Place::Elsewhere { host } => Some((job.id, host)),
            Place::HereLater(_) | Place::Here => None,
        })
        .collect()
}

fn number_of(language: &str) -> u32 {
    let is =
        |number: &u32| Language::from_number(*number).and_then(Language::dash_x) == Some(language);
    (0..16).find(is).unwrap_or_default()
}

fn address_of(client: &Client) -> IpAddr {
    match client.origin {
        Origin::Network(address) => address,
        Origin::Socket | Origin::Loopback => Ipv4Addr::LOCALHOST.into(),
    }
}
