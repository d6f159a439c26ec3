//! The daemon's decisions: events in, actions out, no sockets, clocks or threads. The sole owner of what is known about
//! clients, slots, the scheduler and the machine's load.
//!
//! - [`vocabulary`]: events and actions
//! - [`client`]: states of a client and what it may say in them
//! - `local`: requests of this machine's wrappers
//! - `foreign`: toolchains and jobs of other machines
//! - `courtesy`: what is offered to them
//! - `scheduler`: the link to the scheduler and what comes over it
//! - `internals`: the description of all this for people
//! - [`operator`]: the same for commands, and what they change
//! - `recovery`: what a scheduler is told that did not give out what runs

pub(crate) mod client;
mod courtesy;
mod foreign;
pub(crate) mod internals;
mod local;
pub(crate) mod operator;
mod recovery;
mod scheduler;
pub(crate) mod vocabulary;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use gelato_wire::msg::StatusText;
use gelato_wire::types::exit_codes;
use gelato_wire::{Message, ProtocolVersion};
use tracing::{error, info, warn};

use crate::access::Offence;
use crate::courtesy::{Courtesy, CourtesyTerms};
use crate::ids::{ClientId, Generation};
use crate::load::Meter;
use crate::slots::{Queue, Slots};
use crate::summary::Summary;
use client::{Client, State, allowed_from};
use vocabulary::{Action, Event, InstalledToolchain, Origin};

/// A job of another machine that got no slot in this time goes back to its submitter.
const LONGEST_QUEUE: Duration = Duration::from_secs(120);

/// The same while the machine is too loaded to start any.
const LONGEST_QUEUE_LOADED: Duration = Duration::from_secs(20);

/// What does not change while the daemon runs.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Slots announced to the scheduler; 0 is allowed.
    pub(crate) max_jobs: u32,
    /// CPUs of the machine.
    pub(crate) cpus: u32,
    /// This machine's platform.
    pub(crate) platform: String,
    /// TCP port; 0 if there is none.
    pub(crate) port: u16,
    /// Bits of the compressions of toolchains that are taken.
    pub(crate) features: u32,
    /// Whether jobs of others can be run safely.
    pub(crate) can_jail: bool,
    /// Whether jobs of others are refused.
    pub(crate) no_remote: bool,
    /// Whether jobs of others run with lower priority than everything else.
    pub(crate) niced: bool,
    /// What is considered before jobs of others are taken.
    pub(crate) courtesy: CourtesyTerms,
    /// Jobs of one machine that run or wait here; a share of what all may have if not set.
    pub(crate) peer_jobs: Option<usize>,
    /// Toolchains on their way from one machine.
    pub(crate) peer_transfers: usize,
    /// What is told about the daemon.
    pub(crate) about: operator::About,
}

/// The moment an event is handled at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    /// For waiting.
    pub(crate) instant: Instant,
    /// For messages: seconds since 1970.
    pub(crate) unix: u32,
}

/// A connection to a scheduler that took us in.
#[derive(Clone, Copy, Debug)]
struct Link {
    generation: Generation,
    version: ProtocolVersion,
    /// Our address as the scheduler's machine sees it.
    own_address: IpAddr,
}

/// Everything the daemon knows.
#[derive(Debug)]
pub(crate) struct Core {
    settings: Settings,
    clients: BTreeMap<ClientId, Client>,
    slots: Slots,
    meter: Meter,
    /// What is offered to others, and why not more.
    pub(crate) courtesy: Courtesy,
    /// Slots the scheduler was told of.
    announced: u32,
    link: Option<Link>,
    node_name: String,
    toolchains: Vec<InstalledToolchain>,
    draining: bool,
    /// The connection to a scheduler that was told of what it did not give out.
    told_running: Option<Generation>,
    desk: operator::Desk,
    now: Now,
    actions: Vec<Action>,
}

impl Core {
    /// A daemon without clients and without a scheduler.
    pub(crate) fn new(settings: Settings, now: Now) -> Core {
        Core {
            slots: Slots::new(settings.max_jobs),
            meter: Meter::new(settings.cpus, settings.niced, now.instant),
            courtesy: Courtesy::new(settings.courtesy.clone(), settings.max_jobs),
            announced: settings.max_jobs,
            settings,
            clients: BTreeMap::new(),
            link: None,
            node_name: String::new(),
            toolchains: Vec::new(),
            draining: false,
            told_running: None,
            desk: operator::Desk::default(),
            now,
            actions: Vec::new(),
        }
    }

    /// Takes in what happened and says what to do, in this order.
    pub(crate) fn handle(&mut self, now: Now, event: Event) -> Vec<Action> {
        self.now = now;
        match event {
            Event::Connected {
                id,
                origin,
                version,
            } => {
                self.clients.insert(id, Client::new(id, origin, version));
                if self.draining {
                    self.end(id, exit_codes::DROPPED);
                }
            }
            Event::Message { id, message } => self.on_message(id, message),
            Event::Ask { id, asker, request } => self.on_ask(id, asker, &request),
            Event::Sought(found) => self.desk.sought(found),
            Event::Gone { id, broken } => {
                if let Some(reason) = broken {
                    warn!("client {id}: {reason}");
                }
                self.end(id, exit_codes::CLIENT_VANISHED);
            }
            Event::NativeArchive { id, result } => self.on_native_archive(id, result),
            Event::Received {
                id,
                result,
                toolchains,
            } => {
                self.toolchains = toolchains;
                self.on_received(id, result);
            }
            Event::Verified { id } => self.set_state(id, State::Unknown),
            Event::JobOver { id, report } => self.on_job_over(id, report),
            Event::Toolchains(toolchains) => {
                if toolchains != self.toolchains {
                    self.toolchains = toolchains;
                    self.announce_toolchains();
                }
            }
            Event::LinkUp {
                generation,
                version,
                own_address,
            } => self.on_link_up(generation, version, own_address),
            Event::LinkDown { generation } => self.on_link_down(generation),
            Event::Scheduler {
                generation,
                message,
            } => {
                if self.link.is_some_and(|link| link.generation == generation) {
                    self.on_scheduler_message(message);
                }
            }
            Event::Sample(readings) => self.on_sample(readings),
            Event::Look(look) => self.on_look(&look),
            Event::Operate(mode) => self.on_operate(mode),
            Event::Deadline => {}
            Event::Drain => self.drain(),
            Event::HandBackAll => self.hand_back_all(),
        }
        self.run_slots();
        std::mem::take(&mut self.actions)
    }

    /// When [`Event::Deadline`] is to come, if nothing else happens before.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let queued = self
            .clients
            .values()
            .filter(|client| client.state == State::ToCompile)
            .filter_map(|client| client.foreign.as_ref())
            .filter(|job| !job.handed_back)
            .map(|job| self.gives_up_at(job.since))
            .min();
        queued.into_iter().chain(self.slots.deadline()).min()
    }

    /// The name under which the node logs in.
    pub(crate) fn set_node_name(&mut self, name: String) {
        self.node_name = name;
    }

    /// Clients connected.
    pub(crate) fn client_count(&self) -> u32 {
        u32::try_from(self.clients.len()).unwrap_or(u32::MAX)
    }

    /// Jobs of other machines that run, wait or send their result.
    pub(crate) fn foreign_clients(&self) -> usize {
        self.clients
            .values()
            .filter(|client| client.foreign.is_some())
            .count()
    }

    /// What goes on, in short.
    pub(crate) fn summary(&self) -> Summary {
        Summary {
            connected: self.link.is_some(),
            used: self.slots.used(),
            slots: self.slots.capacity(),
            foreign: self.foreign_clients(),
            draining: self.draining,
            looks: 0,
        }
    }

    fn on_message(&mut self, id: ClientId, message: Message) {
        let Some(client) = self.clients.get(&id) else {
            return;
        };
        let (state, origin) = (client.state, client.origin);
        if !allowed_from(origin, &message) {
            let Origin::Network(address) = origin else {
                return;
            };
            warn!(
                "refused {} from {address}: only programs of this machine may ask for that",
                message.name()
            );
            return self.violation(id);
        }
        if !state.accepts(&message) {
            error!(
                "client {id} sent {} in state {}; closing its connection",
                message.name(),
                state.name()
            );
            return self.violation(id);
        }
        match message {
            Message::GetNativeEnv(request) => self.on_get_native_env(id, request),
            Message::GetCs(request) => self.on_get_cs(id, request),
            Message::JobLocalBegin(request) => self.on_local_begin(id, request),
            Message::JobDone(report) => self.on_client_job_done(id, report),
            Message::BlacklistHostEnv(complaint) => {
                self.report(Message::BlacklistHostEnv(complaint))
            }
            Message::CompileFile(job) if job.environment == client::OWN_COMPILE => {
                self.on_own_compile(id, job)
            }
            Message::CompileFile(job) => self.on_compile_file(id, job),
            Message::TransferEnv(request) => self.on_transfer(id, request),
            Message::VerifyEnv(request) => self.on_verify(id, request),
            Message::End => self.end(id, exit_codes::ENDED_EARLY),
            other => {
                error!("client {id} sent {}, which has no place here", other.name());
                self.violation(id);
            }
        }
    }

    /// Refuses a message: the peer is told with `END`.
    fn violation(&mut self, id: ClientId) {
        self.actions
            .push(Action::Misbehaved(id, Offence::Forbidden));
        self.actions.push(Action::Send(id, Message::End));
        self.end(id, exit_codes::PROTOCOL_ERROR);
    }

    /// Refuses with a text for the user, where the peer can read one.
    fn refuse(&mut self, id: ClientId, code: i32, text: String) {
        warn!("client {id}: {text}");
        if self
            .clients
            .get(&id)
            .is_some_and(|client| client.version.at_least(22))
        {
            self.actions.push(Action::Send(
                id,
                Message::StatusText(StatusText { text: text.into() }),
            ));
        }
        self.end(id, code);
    }

    /// Everything of a client ends: its slot, its job, its connection; the scheduler hears what it must.
    fn end(&mut self, id: ClientId, code: i32) {
        let Some(client) = self.clients.remove(&id) else {
            return;
        };
        self.slots.forget(id);
        self.desk.counters.ended(&client);
        if client.foreign.is_some() {
            self.memory_is_free(id, 0, false);
            self.actions.push(Action::Abort(id));
        } else {
            self.actions.push(Action::Close(id));
        }
        if let Some(link) = self.link {
            let messages =
                client.farewell(code, link.generation, link.version, self.client_count());
            self.actions
                .extend(messages.into_iter().map(Action::Report));
        }
    }

    fn set_state(&mut self, id: ClientId, state: State) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.state = state;
        }
    }

    /// Sends to the scheduler, if there is one.
    fn report(&mut self, message: Message) {
        if self.link.is_some() {
            self.actions.push(Action::Report(message));
        }
    }

    fn generation(&self) -> Option<Generation> {
        self.link.map(|link| link.generation)
    }

    /// When a job of others that has waited since then goes back.
    fn gives_up_at(&self, since: Instant) -> Instant {
        let late = since + LONGEST_QUEUE;
        match self.courtesy.refused_since() {
            Some(refused) => late.min(since.max(refused) + LONGEST_QUEUE_LOADED),
            None => late,
        }
    }

    /// Hands out slots until nothing fits, and gives up on jobs that have waited too long.
    fn run_slots(&mut self) {
        self.give_up_waiting();
        while let Some((id, queue)) = self.grant() {
            match queue {
                Queue::Local => self.start_local(id),
                Queue::Own => self.start_own(id),
                Queue::Foreign => self.start_foreign(id),
            }
        }
        self.meter
            .slots_in_use(self.slots.used(), self.slots.foreign(), self.now.instant);
    }

    fn grant(&mut self) -> Option<(ClientId, Queue)> {
        let now = self.now.instant;
        let capacity = self.courtesy.capacity();
        let limit = if capacity.accepting {
            capacity.slots.max(1)
        } else {
            0
        };
        let (clients, courtesy) = (&self.clients, &self.courtesy);
        self.slots.grant(now, limit, |id| {
            let job = clients.get(&id).and_then(|client| client.foreign.as_ref());
            job.is_some_and(|job| courtesy.admits(&job.request.kind()))
        })
    }

    fn drain(&mut self) {
        info!("stopping: no new work is taken");
        self.draining = true;
        self.courtesy.stop(self.now.instant);
        self.note_node();
        self.report_load();
        let waiting: Vec<ClientId> = self
            .clients
            .values()
            .filter(|client| client.foreign.is_none())
            .map(|client| client.id)
            .collect();
        for id in waiting {
            self.end(id, exit_codes::DROPPED);
        }
        self.hand_back_queued("the worker is being stopped");
    }
}

#[cfg(test)]
mod tests;
