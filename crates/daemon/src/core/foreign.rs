//! Toolchains and jobs of other machines: checking every name before it becomes a path, queueing, starting, reporting.

use gelato_toolchain::names::{is_safe_name, is_safe_platform};
use gelato_wire::msg::{CompileFile, JobBegin, JobDone, TransferEnv, VerifyEnv};
use gelato_wire::types::{Language, exit_codes};
use gelato_wire::{ByteString, Message};
use tracing::{debug, error, info};

use super::Core;
use super::client::{Client, ForeignJob, State};
use super::vocabulary::{
    Action, JobCommand, JobReport, JobRequest, Origin, Toolchain, arguments_and_compiler,
};
use crate::access::Offence;
use crate::ids::ClientId;
use crate::slots::Queue;
use crate::worker::reason::Reason;

/// Jobs that may wait for each slot. The scheduler sends hardly more than there are slots.
const MOST_QUEUED_PER_SLOT: usize = 4;

/// Jobs that may wait on a machine with few slots.
const FEWEST_QUEUED: usize = 16;

/// What a submitter is told that sends more toolchains at once than one machine may.
const TOO_MANY_TRANSFERS: &str =
    "the worker takes no more toolchains of this machine before one of those on their way is there";

/// The longest name of a compiler.
const LONGEST_COMPILER: usize = 64;

impl Core {
    pub(super) fn on_transfer(&mut self, id: ClientId, request: TransferEnv) {
        if let Err(reason) = self.accepts_transfers() {
            return self.refuse(id, exit_codes::GENERAL_FAILURE, reason.to_owned());
        }
        if self.of_same_machine(id, |client| client.transfer.is_some())
            >= self.settings.peer_transfers
        {
            self.refuse(
                id,
                exit_codes::GENERAL_FAILURE,
                TOO_MANY_TRANSFERS.to_owned(),
            );
            return self.announce_toolchains();
        }
        match self.toolchain(&request.target, &request.name) {
            Ok(toolchain) => {
                info!("client {id} sends the toolchain {toolchain}");
                if let Some(client) = self.clients.get_mut(&id) {
                    client.state = State::ToInstall;
                    client.transfer = Some(toolchain.clone());
                }
                self.actions.push(Action::Receive(id, toolchain));
            }
            Err(reason) => {
                self.actions
                    .push(Action::Misbehaved(id, Offence::Forbidden));
                self.refuse(id, exit_codes::PROTOCOL_ERROR, reason);
                self.announce_toolchains();
            }
        }
    }

    pub(super) fn on_received(&mut self, id: ClientId, result: Result<(), String>) {
        let transfer = self.clients.get_mut(&id).and_then(|client| {
            client.state = State::Unknown;
            client.transfer.take()
        });
        let name = transfer
            .map(|toolchain| toolchain.to_string())
            .unwrap_or_default();
        match result {
            Ok(()) => info!("handle_env_install_child_done for {name} status: success"),
            Err(reason) => {
                error!("handle_env_install_child_done for {name} status: failed: {reason}");
            }
        }
        // Also after a failure: the scheduler considers this machine busy until it hears of its toolchains.
        self.announce_toolchains();
    }

    pub(super) fn on_verify(&mut self, id: ClientId, request: VerifyEnv) {
        match self.toolchain(&request.target, &request.environment) {
            Ok(toolchain) => {
                self.set_state(id, State::Verifying);
                self.actions.push(Action::Verify(id, toolchain));
            }
            Err(reason) => self.refuse(id, exit_codes::PROTOCOL_ERROR, reason),
        }
    }

    pub(super) fn on_compile_file(&mut self, id: ClientId, job: CompileFile) {
        if let Err(reason) = self.accepts_foreign_work() {
            return self.refuse(id, exit_codes::GENERAL_FAILURE, reason.to_owned());
        }
        let Some(client) = self.clients.get(&id) else {
            return;
        };
        let request = match self.check_job(&job, client) {
            Ok(request) => Box::new(request),
            Err(reason) => {
                let failed = self.job_done(job.job_id, exit_codes::TOOLCHAIN_MISSING);
                self.report(failed);
                return self.refuse(id, exit_codes::TOOLCHAIN_MISSING, reason);
            }
        };
        let generation = self.generation();
        let since = self.now.instant;
        let queue_is_full = self.queue_is_full();
        let has_its_share = self.has_its_share(id);
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        client.state = State::ToCompile;
        client.foreign = Some(ForeignJob {
            request: request.clone(),
            generation,
            since,
            handed_back: false,
            told: None,
        });
        self.actions.push(Action::Admit(id, request));
        // Every submitter understands a job that comes back; not every one a text.
        if let Some(reason) = self
            .courtesy
            .capacity()
            .decision()
            .map(|reason| reason.brief())
        {
            return self.hand_back(id, reason);
        }
        if queue_is_full {
            return self.hand_back(id, "too many jobs wait at the worker");
        }
        if has_its_share {
            return self.hand_back(
                id,
                "the worker has as many jobs of this machine as it takes of one",
            );
        }
        self.slots.enqueue(id, Queue::Foreign, 0, false, since);
    }

    /// Sources of jobs that wait are kept in memory.
    fn queue_is_full(&self) -> bool {
        let queued = self.clients.values().filter(|client| is_queued(client));
        queued.count() >= self.longest_line()
    }

    fn longest_line(&self) -> usize {
        self.slot_count()
            .saturating_mul(MOST_QUEUED_PER_SLOT)
            .max(FEWEST_QUEUED)
    }

    fn slot_count(&self) -> usize {
        usize::try_from(self.slots.capacity()).unwrap_or(usize::MAX)
    }

    /// Whether the machine of this client has as many jobs here as one may have, so that there is room for others.
    fn has_its_share(&self, id: ClientId) -> bool {
        let all = self.longest_line().saturating_add(self.slot_count());
        let most = self.settings.peer_jobs.unwrap_or(all / 4 * 3);
        self.of_same_machine(id, |client| {
            is_queued(client) || client.state == State::WaitForChild
        }) >= most
    }

    /// Clients of the same other machine as this one; 0 for clients of this machine, which has no share but all of it.
    fn of_same_machine(&self, id: ClientId, counts: impl Fn(&Client) -> bool) -> usize {
        match self.clients.get(&id).map(|client| client.origin) {
            Some(origin @ Origin::Network(_)) => self
                .clients
                .values()
                .filter(|client| client.origin == origin && counts(client))
                .count(),
            _ => 0,
        }
    }

    pub(super) fn start_foreign(&mut self, id: ClientId) {
        let client_count = self.client_count();
        let start_time = self.now.unix;
        let link = self.generation();
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        client.state = State::WaitForChild;
        let Some(job) = &client.foreign else { return };
        let job_id = job.request.job_id;
        let known = job.generation.is_some() && job.generation == link;
        let now = self.now.instant;
        self.courtesy.memory.start(id, job.request.kind(), now);
        self.actions.push(Action::StartJob(id));
        if known {
            self.report(Message::JobBegin(JobBegin {
                job_id,
                start_time,
                client_count,
            }));
        }
    }

    /// The slot is free from here on, although the result may still be on its way.
    pub(super) fn on_job_over(&mut self, id: ClientId, report: JobReport) {
        self.slots.forget(id);
        self.memory_is_free(id, report.peak_memory, report.exit_code == 0);
        let link = self.generation();
        let client_count = self.client_count();
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        let Some(job) = &client.foreign else { return };
        let known = job.generation.is_some() && job.generation == link;
        let told = job.told.is_some() && job.told == link;
        let job_id = job.request.job_id;
        if !job.handed_back {
            self.desk.counters.foreign_over(&report);
        }
        // Its end has been reported: what happens to the connection from now on is nobody's business.
        client.state = State::JobDone;
        debug!("job {job_id} is over with {}", report.exit_code);
        let done = job_done(job_id, &report, client_count);
        if known {
            self.report(Message::JobDone(done));
        } else if told {
            self.report(super::recovery::ended(&done));
        }
    }

    /// Gives back what has waited too long for a slot.
    pub(super) fn give_up_waiting(&mut self) {
        let now = self.now.instant;
        let late: Vec<ClientId> = self
            .clients
            .values()
            .filter(|client| is_queued(client))
            .filter(|client| {
                client
                    .foreign
                    .as_ref()
                    .is_some_and(|job| now >= self.gives_up_at(job.since))
            })
            .map(|client| client.id)
            .collect();
        let refusal = self.courtesy.capacity().refusal();
        let reason = refusal.map_or("the worker has no time for it", |reason| reason.brief());
        for id in late {
            self.hand_back(id, reason);
        }
    }

    /// Gives back everything that waits for a slot.
    pub(super) fn hand_back_queued(&mut self, reason: &'static str) {
        let queued: Vec<ClientId> = self
            .clients
            .values()
            .filter(|client| is_queued(client))
            .map(|client| client.id)
            .collect();
        for id in queued {
            self.hand_back(id, reason);
        }
    }

    /// Whether a job waits for a slot.
    pub(super) fn is_somebody_queued(&self) -> bool {
        self.clients.values().any(is_queued)
    }

    /// Stops what runs and gives it back.
    pub(super) fn hand_back_all(&mut self) {
        let all: Vec<ClientId> = self
            .clients
            .values()
            .filter(|client| client.foreign.is_some() && client.state == State::WaitForChild)
            .map(|client| client.id)
            .collect();
        for id in all {
            self.desk.counters.handed_back();
            let client = self.clients.get_mut(&id);
            if let Some(job) = client.and_then(|client| client.foreign.as_mut()) {
                job.handed_back = true;
            }
            self.actions.push(Action::HandBack(
                id,
                Reason::busy("the worker is being stopped"),
            ));
        }
    }

    fn hand_back(&mut self, id: ClientId, reason: &'static str) {
        self.slots.forget(id);
        if let Some(job) = self
            .clients
            .get_mut(&id)
            .and_then(|client| client.foreign.as_mut())
        {
            info!(
                "job {} goes back to its submitter: {reason}",
                job.request.job_id
            );
            job.handed_back = true;
            self.desk.counters.handed_back();
            self.actions
                .push(Action::HandBack(id, Reason::busy(reason)));
        }
    }

    fn accepts_transfers(&self) -> Result<(), &'static str> {
        self.accepts_foreign_work()?;
        match self.courtesy.capacity().decision() {
            Some(reason) => Err(reason.brief()),
            None => Ok(()),
        }
    }

    fn accepts_foreign_work(&self) -> Result<(), &'static str> {
        if self.draining {
            Err("this machine takes no jobs: its daemon is being stopped")
        } else if self.settings.no_remote {
            Err("this machine takes no jobs of others")
        } else {
            Ok(())
        }
    }

    /// The toolchain of these names, which become a path: everything but plain names is refused.
    fn toolchain(&self, platform: &ByteString, name: &ByteString) -> Result<Toolchain, String> {
        let platform = if platform.is_empty() {
            self.settings.platform.clone()
        } else {
            platform.to_string_lossy().into_owned()
        };
        let name = name.to_string_lossy().into_owned();
        if !is_safe_platform(&platform) {
            return Err(format!("unusable platform {platform:?}"));
        }
        if !is_safe_name(&name) {
            return Err(format!("unusable toolchain name {name:?}"));
        }
        Ok(Toolchain { platform, name })
    }

    fn check_job(&self, job: &CompileFile, client: &Client) -> Result<JobRequest, String> {
        let toolchain = self.toolchain(&job.target, &job.environment)?;
        let language = Language::from_number(job.language)
            .and_then(Language::dash_x)
            .ok_or_else(|| format!("language {} not supported", job.language))?;
        let (args, compiler) = arguments_and_compiler(job, client.version);
        let compiler = compiler.to_string_lossy().into_owned();
        if !is_safe_compiler(&compiler) {
            return Err(format!("unusable compiler name {compiler:?}"));
        }
        Ok(JobRequest {
            job_id: job.job_id,
            toolchain,
            command: JobCommand {
                language,
                compiler,
                args,
                input_file: job.input_file.clone(),
                working_directory: job.working_directory.clone(),
                output_file: job.output_file.clone(),
                split_dwarf: job.dwarf_fission,
            },
            version: client.version,
        })
    }

    fn job_done(&self, job_id: u32, exit_code: i32) -> Message {
        let report = JobReport {
            exit_code,
            ..JobReport::default()
        };
        Message::JobDone(job_done(job_id, &report, self.client_count()))
    }
}

fn is_queued(client: &Client) -> bool {
    client.state == State::ToCompile && client.foreign.as_ref().is_some_and(|job| !job.handed_back)
}

fn is_safe_compiler(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "+-._".contains(c);
    !name.is_empty()
        && name.len() <= LONGEST_COMPILER
        && !name.starts_with(['.', '-'])
        && name.chars().all(plain)
}

fn job_done(job_id: u32, report: &JobReport, client_count: u32) -> JobDone {
    let word = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    let msec = |time: std::time::Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
    JobDone {
        job_id,
        exitcode: report.exit_code,
        real_msec: msec(report.real),
        user_msec: msec(report.user),
        sys_msec: msec(report.system),
        page_faults: word(report.page_faults),
        in_compressed: word(report.in_compressed),
        in_uncompressed: word(report.in_uncompressed),
        out_compressed: word(report.out_uncompressed),
        out_uncompressed: word(report.out_uncompressed),
        flags: 0,
        client_count,
    }
}
