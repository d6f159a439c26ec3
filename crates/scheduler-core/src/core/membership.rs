//! Daemons coming and going, monitors joining, operators' commands.

use crate::action::{Action, Audience, Dropped, MonitorEvent, Note};
use crate::config::{CONFIGURATION_VERSION, DRAIN_TIME, KEEPALIVE_VERSION, limits};
use crate::core::timers::Alarm;
use crate::core::{Core, named};
use crate::event::{JobResult, Login};
use crate::ids::{ConnectionId, Environment, NodeId, Text, Time};
use crate::job::{State, short_name};
use crate::node::{Node, printable};
use crate::pace::Pace;

impl Core {
    pub(super) fn login(&mut self, now: Time, mut login: Login, out: &mut Vec<Action>) {
        let connection = login.connection;
        self.last_node = self.last_node.wrapping_add(1);
        let id = NodeId(self.last_node);
        if login.name.is_empty() {
            login.name = Text::from(login.address.to_string());
        }
        login.name = printable(&login.name);
        login.platform = printable(&login.platform);
        if let Err(reason) = acceptable(&login) {
            out.push(Action::Refuse { connection, reason });
            return;
        }
        let address = Text::from(login.address.to_string());
        if self.blocked.contains(&login.name) || self.blocked.contains(&address) {
            out.push(tell_all(MonitorEvent::Offline(id)));
            out.push(Action::Refuse {
                connection,
                reason: Dropped::Blocked,
            });
            return;
        }
        let mut node = Node::new(id, login, now);
        node.resting = named(&self.resting, &node);
        out.push(Action::Accept {
            connection,
            node: id,
        });
        out.push(Action::Note(Note::Login {
            name: node.name.clone(),
            version: node.agreed_version,
            features: node.features,
            environments: node.environments.iter().collect(),
        }));
        out.push(tell_all(MonitorEvent::Stats(Box::new(node.stats(None)))));
        let mut stale = self.hosts.called(&node.name);
        stale.retain(|other| {
            let other = self.nodes.get(other);
            other.is_some_and(|other| other.address == node.address && other.name == node.name)
        });
        for old in stale {
            self.remove(old, Some(Dropped::Replaced), out);
        }
        let (version, no_remote) = (node.agreed_version, node.no_remote);
        if let Some(speed) = self.known_speeds.get(&node.name) {
            node.pace = Pace::new(*speed);
        }
        node.install_ms = self.config.transfer_cost_ms as f32;
        self.hosts.add(&node);
        self.index.enter(&mut node);
        self.nodes.insert(id, node);
        self.generation += 1;
        if version >= CONFIGURATION_VERSION {
            out.push(Action::Configure { node: id });
        }
        if version < KEEPALIVE_VERSION {
            self.set_alarm(
                id,
                Alarm::Silence,
                Some(now.plus_seconds(self.config.ping_after)),
            );
        }
        if !no_remote {
            self.test_reachability(id, out);
        }
    }

    pub(super) fn relogin(
        &mut self,
        now: Time,
        id: NodeId,
        slots: u32,
        environments: Vec<Environment>,
        out: &mut Vec<Action>,
    ) {
        if let Err(reason) = acceptable_environments(&environments, limits::INSTALLED) {
            self.remove(id, Some(reason), out);
            return;
        }
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        out.push(Action::Note(Note::Relogin {
            name: node.name.clone(),
            platform: node.platform.clone(),
            environments: environments.clone(),
        }));
        if node.agreed_version >= CONFIGURATION_VERSION {
            out.push(Action::Configure { node: id });
        }
        node.environments = environments.into_iter().collect();
        self.index.toolchains_changed(node);
        self.opened = true;
        let slots = slots.min(limits::SLOTS);
        // Icecream's daemons repeat the number they began with.
        if slots != 0 && slots != node.slots {
            node.slots = slots;
            self.generation += 1;
            let stats = node.stats(node.readings);
            out.push(tell_all(MonitorEvent::Stats(Box::new(stats))));
            if let Some(capacity) = node.memory.capacity {
                self.index.set_capacity(node, capacity);
            }
            self.refresh(id);
        }
        let Some(node) = self.nodes.get(&id) else {
            return;
        };
        // A list without the toolchain under way may be about another one that was evicted; then the end of the job
        // that sends it clears the mark. A second sender of the same toolchain would destroy the first one's.
        let arrived = node
            .installing
            .as_ref()
            .is_some_and(|installing| node.environments.has_name(&installing.environment.name));
        if arrived {
            self.measure_installation(id, now);
            self.end_installation(id);
        }
    }

    /// Forgets a node with all its jobs. With a reason its connection is to be closed, too.
    pub(crate) fn remove(&mut self, id: NodeId, reason: Option<Dropped>, out: &mut Vec<Action>) {
        let Some(mut node) = self.nodes.remove(&id) else {
            return;
        };
        self.hosts.remove(&node);
        self.index.leave(&mut node);
        self.backlog.capacity -= node.contributes;
        self.backlog.slots -= node.contributes_slots;
        if !node.pace.is_unknown() && self.known_speeds.len() < limits::PAST_WORKERS {
            self.known_speeds
                .insert(node.name.clone(), node.pace.general(false));
        }
        for (alarm, at) in Alarm::ALL.into_iter().zip(node.alarms) {
            if let Some(at) = at {
                self.alarms.remove(&(at, id, alarm));
            }
        }
        self.generation += 1;
        out.push(Action::Note(Note::RemoveDaemon {
            name: node.name.clone(),
        }));
        if let Some(reason) = reason {
            out.push(Action::Disconnect { node: id, reason });
        }
        out.push(tell_all(MonitorEvent::Offline(id)));
        for job in node.jobs.union(&node.submitted).copied() {
            let queued = self
                .jobs
                .get(&job)
                .is_some_and(|job| job.state == State::Queued);
            out.push(Action::Note(if queued {
                Note::StoppedWhileQueued { job }
            } else {
                Note::StoppedWhilePlaced { job }
            }));
            self.forget_job(job);
            out.push(tell_all(MonitorEvent::Done {
                job,
                result: JobResult {
                    exit_code: 255,
                    ..JobResult::default()
                },
                by_submitter: false,
                client_count: 0,
            }));
        }
        let inherited = std::mem::take(&mut node.inherited);
        self.disinherit(id, &inherited, out);
        for other in self.nodes.in_any_order_mut() {
            other.blacklist.remove(&id);
        }
    }

    pub(super) fn remove_host(&mut self, host: &Text, out: &mut Vec<Action>) {
        if let Some(id) = self.find(host.as_bytes()).map(Node::id) {
            self.remove(id, Some(Dropped::Removed), out);
        }
    }

    pub(super) fn block(&mut self, host: Text, out: &mut Vec<Action>) {
        if let Some(id) = self.find(host.as_bytes()).map(Node::id) {
            self.remove(id, Some(Dropped::Blocked), out);
        }
        if self.blocked.len() < limits::BLOCKED {
            self.blocked.insert(host);
        }
    }

    pub(super) fn rest(&mut self, host: Text, out: &mut Vec<Action>) {
        if self.resting.len() < limits::BLOCKED {
            self.resting.insert(host.clone());
        }
        self.look_who_rests(&host, out);
    }

    pub(super) fn resume(&mut self, host: &Text, out: &mut Vec<Action>) {
        self.resting.remove(host);
        self.look_who_rests(host, out);
    }

    fn look_who_rests(&mut self, host: &Text, out: &mut Vec<Action>) {
        for id in self.hosts.called(host) {
            let Some(node) = self.nodes.get_mut(&id) else {
                continue;
            };
            let resting = named(&self.resting, node);
            if node.resting != resting {
                node.resting = resting;
                self.generation += 1;
                let stats = node.stats(node.readings);
                out.push(tell_all(MonitorEvent::Stats(Box::new(stats))));
                self.refresh(id);
            }
        }
    }

    pub(super) fn drain(&mut self, now: Time) {
        self.draining = true;
        self.generation += 1;
        let ids: Vec<NodeId> = self.nodes().map(Node::id).collect();
        for id in ids {
            if let Some(node) = self.nodes.get_mut(&id)
                && !node.draining
            {
                node.draining = true;
                self.set_alarm(id, Alarm::Drain, Some(now.plus_seconds(DRAIN_TIME)));
                self.refresh(id);
            }
        }
    }

    /// Disconnects the nodes that were only kept for their jobs.
    pub(super) fn release_idle(&mut self, out: &mut Vec<Action>) {
        let idle: Vec<NodeId> = self
            .nodes()
            .filter(|node| node.draining && node.is_idle())
            .map(|node| node.id)
            .collect();
        for id in idle {
            self.remove(id, Some(Dropped::Election), out);
        }
        self.draining = self.nodes.in_any_order().any(|node| node.draining);
    }

    pub(super) fn stop(&mut self, out: &mut Vec<Action>) {
        let ids: Vec<NodeId> = self.nodes().map(Node::id).collect();
        for id in ids {
            self.remove(id, Some(Dropped::Stopping), out);
        }
    }

    /// Tells a new monitor what the others have heard already.
    pub(super) fn replay(&self, connection: ConnectionId, out: &mut Vec<Action>) {
        let mut tell = |event| {
            out.push(Action::Monitor {
                to: Audience::One(connection),
                event,
            });
        };
        for node in self.nodes() {
            tell(MonitorEvent::Stats(Box::new(node.stats(node.readings))));
        }
        for job in self.jobs() {
            tell(MonitorEvent::Requested {
                job: job.id,
                submitter: job.submitter,
                file: short_name(&job.file),
                language: job.language,
            });
            if let State::Compiling { worker, start_time } = job.state {
                tell(MonitorEvent::Begun {
                    job: job.id,
                    worker,
                    start_time,
                });
            }
        }
        self.replay_recovered(connection, out);
        let mut tell = |event| {
            out.push(Action::Monitor {
                to: Audience::One(connection),
                event,
            });
        };
        for node in self.nodes() {
            for local in node.local.values() {
                tell(MonitorEvent::LocalBegun {
                    node: node.id,
                    job: local.id,
                    start_time: local.start_time,
                    file: local.file.clone(),
                });
            }
        }
    }
}

pub(super) fn tell_all(event: MonitorEvent) -> Action {
    Action::Monitor {
        to: Audience::All,
        event,
    }
}

fn acceptable(login: &Login) -> Result<(), Dropped> {
    within("bytes in the node name", login.name.len(), limits::NAME)?;
    within("bytes in the platform", login.platform.len(), limits::NAME)?;
    acceptable_environments(&login.environments, limits::INSTALLED)
}

/// Bounds on a list of toolchains: how many, and how long their names are.
pub(super) fn acceptable_environments(
    environments: &[Environment],
    limit: usize,
) -> Result<(), Dropped> {
    within("environments", environments.len(), limit)?;
    for environment in environments {
        let longest = environment.platform.len().max(environment.name.len());
        within("bytes in an environment name", longest, limits::NAME)?;
    }
    Ok(())
}

pub(super) fn within(what: &'static str, number: usize, limit: usize) -> Result<(), Dropped> {
    if number > limit {
        Err(Dropped::TooMuch { what, limit })
    } else {
        Ok(())
    }
}
