//! Requests of this machine's wrappers: archives, a worker, a slot for local work.

use std::path::PathBuf;

use gelato_wire::msg::{
    CompileFile, GetCs, GetNativeEnv, JobBegin, JobDone, JobLocalBegin, JobLocalDone, NativeEnv,
    StatusText, UseCs,
};
use gelato_wire::types::{exit_codes, job_done_flags, shorten};
use gelato_wire::{ByteString, Message};
use std::os::unix::ffi::OsStrExt;
use tracing::{debug, error, info};

use super::Core;
use super::client::{Place, PlacedJob, State};
use super::vocabulary::Action;
use crate::ids::ClientId;
use crate::slots::Queue;

/// What tells a wrapper to compile by itself.
const YOURSELF: &str = "127.0.0.1";

/// The largest niceness the scheduler knows.
const NICEST: u32 = 20;

/// More answers to one question than any wrapper asks for.
const MOST_ANSWERS: u32 = 16;

impl Core {
    pub(super) fn on_get_native_env(&mut self, id: ClientId, request: GetNativeEnv) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        client.state = State::WaitCreateEnv;
        client.native = format!("{}:{}", request.compression, request.compiler);
        self.actions.push(Action::BuildNative(id, request));
    }

    pub(super) fn on_native_archive(&mut self, id: ClientId, result: Result<PathBuf, String>) {
        if self
            .clients
            .get(&id)
            .is_none_or(|client| client.state != State::WaitCreateEnv)
        {
            return;
        }
        match result {
            Ok(path) => {
                let path = ByteString::from_bytes(path.as_os_str().as_bytes());
                self.actions
                    .push(Action::Send(id, Message::NativeEnv(NativeEnv { path })));
                self.set_state(id, State::GotNative);
            }
            Err(reason) => {
                error!("no toolchain archive for client {id}: {reason}");
                self.actions.push(Action::Send(id, Message::End));
                // After the end: Icecream's wrappers do not expect it and have hung up by then.
                let text = StatusText {
                    text: reason.as_str().into(),
                };
                self.actions
                    .push(Action::Send(id, Message::StatusText(text)));
                self.end(id, exit_codes::GENERAL_FAILURE);
            }
        }
    }

    pub(super) fn on_get_cs(&mut self, id: ClientId, mut request: GetCs) {
        let client_count = self.client_count();
        let generation = self.generation();
        let port = u32::from(self.settings.port);
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        // A negative nice value arrives as a large number.
        client.niceness = match i32::try_from(request.niceness) {
            Ok(nice) => u32::try_from(nice).unwrap_or(0).min(NICEST),
            Err(_) => 0,
        };
        client.target = request.target.clone();
        let Some(generation) = generation else {
            let answer = UseCs {
                job_id: id.number(),
                port,
                hostname: YOURSELF.into(),
                host_platform: request.target,
                got_env: true,
                client_id: 1,
                matched_job_id: 0,
            };
            return self.place_here(id, answer, None);
        };
        client.state = State::WaitForCs;
        // Whoever asks for no answer still waits for one.
        request.count = request.count.clamp(1, MOST_ANSWERS);
        client.awaited = Some((generation, request.count));
        request.niceness = client.niceness;
        request.client_id = id.number();
        request.client_count = client_count;
        request.filename = shorten(&request.filename);
        client.file = request.filename.clone();
        self.report(Message::GetCs(request));
    }

    /// A compilation of a local client is to happen here, once there is a slot.
    pub(super) fn place_here(
        &mut self,
        id: ClientId,
        answer: UseCs,
        generation: Option<crate::ids::Generation>,
    ) {
        let now = self.now.instant;
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        client.jobs.push(PlacedJob {
            id: answer.job_id,
            generation,
            place: Place::HereLater(answer),
        });
        client.settle();
        let niceness = client.niceness;
        if self.slots.holds(id) {
            self.start_own(id);
        } else {
            self.slots.enqueue(id, Queue::Own, niceness, false, now);
        }
    }

    /// The client has its slot: send the answers held back.
    pub(super) fn start_own(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        for job in &mut client.jobs {
            if let Place::HereLater(answer) = &job.place {
                let answer = Message::UseCs(answer.clone());
                job.place = Place::Here;
                self.actions.push(Action::Send(id, answer));
            }
        }
        client.settle();
    }

    pub(super) fn on_own_compile(&mut self, id: ClientId, job: CompileFile) {
        let client_count = self.client_count();
        let start_time = self.now.unix;
        let link = self.generation();
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        let Some(placed) = client
            .jobs
            .iter()
            .find(|placed| placed.id == job.job_id && matches!(placed.place, Place::Here))
        else {
            error!(
                "client {id} compiles job {} on its own, which it was not given",
                job.job_id
            );
            return self.violation(id);
        };
        let known = placed.generation.is_some() && placed.generation == link;
        if known {
            self.report(Message::JobBegin(JobBegin {
                job_id: job.job_id,
                start_time,
                client_count,
            }));
        } else {
            self.report_as_local(id);
        }
    }

    pub(super) fn on_client_job_done(&mut self, id: ClientId, mut report: JobDone) {
        let link = self.generation();
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        let Some(at) = client
            .jobs
            .iter()
            .position(|job| job.id == report.job_id && !matches!(job.place, Place::HereLater(_)))
        else {
            error!(
                "client {id} reports the end of job {}, which is not its own",
                report.job_id
            );
            return self.violation(id);
        };
        let job = client.jobs.remove(at);
        self.desk.counters.own_over(&job.place);
        client.settle();
        let as_local = client.local.is_none() && link.is_some() && client.local_reported == link;
        if !client
            .jobs
            .iter()
            .any(|job| !matches!(job.place, Place::Elsewhere { .. }))
        {
            self.slots.forget(id);
            if as_local {
                client.local_reported = None;
                let job_id = id.number();
                self.report(Message::JobLocalDone(JobLocalDone { job_id }));
            }
        }
        if job.generation.is_some() && job.generation == link {
            report.flags = job_done_flags::FROM_SUBMITTER;
            report.client_count = self.client_count();
            self.report(Message::JobDone(report));
        }
    }

    pub(super) fn on_local_begin(&mut self, id: ClientId, request: JobLocalBegin) {
        let now = self.now.instant;
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        client.state = State::LinkJob;
        client.local = Some((request.outfile, request.full_job));
        self.slots
            .enqueue(id, Queue::Local, 0, request.full_job, now);
    }

    pub(super) fn start_local(&mut self, id: ClientId) {
        let generation = self.generation();
        let start_time = self.now.unix;
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        let (outfile, full_job) = client.local.clone().unwrap_or_default();
        self.desk.counters.local_begun();
        client.state = State::ClientWork;
        client.local_reported = generation;
        if full_job {
            info!("pushed full local job {id} {outfile}");
        } else {
            debug!("pushed local job {id} {outfile}");
        }
        let go = JobLocalBegin {
            start_time,
            ..JobLocalBegin::default()
        };
        self.actions
            .push(Action::Send(id, Message::JobLocalBegin(go)));
        let begun = JobLocalBegin {
            start_time,
            outfile,
            id: id.number(),
            full_job,
        };
        self.report(Message::JobLocalBegin(begun));
    }
}
