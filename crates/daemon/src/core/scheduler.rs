//! The link to the scheduler: logging in, its answers, and carrying on without one.

use std::net::IpAddr;
use std::time::Duration;

use gelato_wire::msg::{JobDone, Login, NoCs, StatusText, UseCs};
use gelato_wire::types::{exit_codes, job_done_flags};
use gelato_wire::{ByteString, Environment, Message, ProtocolVersion};
use tracing::{debug, info, warn};

use super::client::{Place, PlacedJob};
use super::vocabulary::Action;
use super::{Core, Link};
use crate::ids::{ClientId, Generation};

/// What tells a wrapper to compile by itself.
const YOURSELF: &str = "127.0.0.1";

/// The shortest and longest time between samples a scheduler may ask for, in seconds.
const SAMPLE_RANGE: (u32, u32) = (1, 60);

impl Core {
    pub(super) fn on_link_up(
        &mut self,
        generation: Generation,
        version: ProtocolVersion,
        own_address: IpAddr,
    ) {
        info!("Connected to scheduler (I am known as {own_address})");
        self.link = Some(Link {
            generation,
            version,
            own_address,
        });
        self.desk.link_up(self.now.unix);
        self.announced = self.courtesy.capacity().slots;
        let login = self.first_login();
        self.actions.push(Action::Login(login));
        // The scheduler gives this machine no job before it knows the load, nor shall it before it knows of jobs that are
        // here already. One that does not answer the login hears of the load with the next sample.
        self.meter.forget_sent();
        if !self.has_unknown_work() {
            self.report_load();
        }
    }

    /// Nothing is interrupted: waiting clients compile here, everything else goes on unreported.
    pub(super) fn on_link_down(&mut self, generation: Generation) {
        if self.link.is_none_or(|link| link.generation != generation) {
            return;
        }
        self.link = None;
        self.desk.link_down(self.now.unix);
        let port = u32::from(self.settings.port);
        let waiting: Vec<(ClientId, ByteString)> = self
            .clients
            .values_mut()
            .filter_map(|client| {
                client
                    .awaited
                    .take()
                    .map(|_| (client.id, client.target.clone()))
            })
            .collect();
        for (id, target) in waiting {
            let answer = UseCs {
                job_id: id.number(),
                port,
                hostname: YOURSELF.into(),
                host_platform: target,
                got_env: true,
                client_id: 1,
                matched_job_id: 0,
            };
            self.place_here(id, answer, None);
        }
    }

    pub(super) fn on_scheduler_message(&mut self, message: Message) {
        let Some(link) = self.link else { return };
        match message {
            Message::UseCs(answer) => self.on_use_cs(link, answer),
            Message::NoCs(answer) => self.on_no_cs(link, answer),
            Message::CsConf(config) => {
                let (least, most) = SAMPLE_RANGE;
                let seconds = config.max_scheduler_pong.clamp(least, most);
                self.actions
                    .push(Action::SampleEvery(Duration::from_secs(u64::from(seconds))));
                self.desk.greeted(&config.bench_source);
                self.tell_running(link);
                self.note_node();
                self.report_load();
            }
            Message::GetInternals => {
                let text = self.internals();
                debug!("{text}");
                self.report(Message::StatusText(StatusText { text: text.into() }));
            }
            // Icecream's asks only daemons below protocol 27; ours whoever says that it answers.
            Message::Ping => self.report(Message::Ping),
            other => {
                let reason = format!("the scheduler sent {}, which it must not", other.name());
                self.actions.push(Action::DropLink(reason));
            }
        }
    }

    fn on_use_cs(&mut self, link: Link, answer: UseCs) {
        let id = ClientId::new(answer.client_id);
        if !self.take_answer(link, id, answer.job_id) {
            return;
        }
        let here = answer.hostname == link.own_address.to_string().as_str()
            && answer.port == u32::from(self.settings.port);
        if here {
            let answer = UseCs {
                hostname: YOURSELF.into(),
                got_env: true,
                client_id: 1,
                ..answer
            };
            return self.place_here(id, answer, Some(link.generation));
        }
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        client.jobs.push(PlacedJob {
            id: answer.job_id,
            generation: Some(link.generation),
            place: Place::Elsewhere {
                host: answer.hostname.clone(),
            },
        });
        client.settle();
        self.actions.push(Action::Send(id, Message::UseCs(answer)));
    }

    fn on_no_cs(&mut self, link: Link, answer: NoCs) {
        let id = ClientId::new(answer.client_id);
        if !self.take_answer(link, id, answer.job_id) {
            return;
        }
        let answer = UseCs {
            job_id: answer.job_id,
            port: u32::from(self.settings.port),
            hostname: YOURSELF.into(),
            host_platform: ByteString::default(),
            got_env: true,
            client_id: 1,
            matched_job_id: 0,
        };
        self.place_here(id, answer, Some(link.generation));
    }

    /// Whether the client still waits for an answer. If not, the scheduler must take the job back.
    fn take_answer(&mut self, link: Link, id: ClientId, job_id: u32) -> bool {
        let expected = self
            .clients
            .get_mut(&id)
            .is_some_and(|client| match client.awaited {
                Some((generation, left)) if generation == link.generation => {
                    client.awaited = (left > 1).then_some((generation, left - 1));
                    true
                }
                _ => false,
            });
        if !expected {
            warn!("the scheduler has a place for job {job_id} of client {id}, who is gone");
            self.report(Message::JobDone(JobDone {
                job_id,
                exitcode: exit_codes::CLIENT_GONE,
                flags: job_done_flags::FROM_SUBMITTER,
                client_count: self.client_count(),
                ..JobDone::default()
            }));
        }
        expected
    }

    /// Everything about this machine. Also when only the number of slots has changed: Icecream's scheduler ignores all but the
    /// toolchains then, ours takes the number from a login that names the platform.
    pub(super) fn first_login(&self) -> Login {
        Login {
            port: u32::from(self.settings.port),
            max_kids: self.announced,
            host_platform: self.settings.platform.as_str().into(),
            ..self.login()
        }
    }

    /// The fields that a first login and the later ones have in common.
    fn login(&self) -> Login {
        Login {
            environments: self
                .toolchains
                .iter()
                .map(|installed| Environment {
                    platform: installed.toolchain.platform.as_str().into(),
                    name: installed.toolchain.name.as_str().into(),
                })
                .collect(),
            nodename: self.node_name.as_str().into(),
            chroot_possible: self.settings.can_jail,
            noremote: self.settings.no_remote,
            supported_features: self.settings.features,
            ..Login::default()
        }
    }

    /// Tells the scheduler what is installed. Only the list counts in a repeated login.
    pub(super) fn announce_toolchains(&mut self) {
        if self.link.is_some() {
            let login = self.login();
            self.actions.push(Action::Login(login));
        }
    }
}
