//! Readings of daemons, and everything that happens because time passes: PING, reachability tests, installations that
//! take too long.

use crate::action::{Action, MonitorEvent, Note};
use crate::config::{
    ANSWER_TIME, AVOID_AFTER_TIMEOUT, INSTALL_TIMEOUT, LOAD_FULL, TEST_AGAIN, TEST_PAUSE_MAX,
    limits,
};
use crate::core::Core;
use crate::core::membership::{tell_all, within};
use crate::event::Readings;
use crate::ids::{Environment, NodeId, Text, Time};
use crate::{Dropped, node::Installing};

/// What a node may be woken for; at most one of each kind is set per node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Alarm {
    /// It has been silent too long.
    Silence,
    /// Its reachability is to be tested.
    Test,
    /// Its installation should be done by now.
    Install,
    /// It has had time enough to finish its jobs.
    Drain,
}

impl Alarm {
    pub(super) const ALL: [Alarm; 4] = [Alarm::Silence, Alarm::Test, Alarm::Install, Alarm::Drain];
}

impl Core {
    pub(super) fn stats(
        &mut self,
        id: NodeId,
        load: u32,
        readings: Readings,
        out: &mut Vec<Action>,
    ) {
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        node.load = load.min(LOAD_FULL);
        node.readings = Some(readings);
        node.memory.read(readings.free_memory);
        if let Some(capacity) = node.memory.capacity {
            self.index.set_capacity(node, capacity);
        }
        let stats = node.stats(Some(readings));
        out.push(tell_all(MonitorEvent::Stats(Box::new(stats))));
        self.refresh(id);
    }

    pub(super) fn heard_from(&mut self, id: NodeId, now: Time) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.last_heard = now;
            node.asked = false;
            if node.suspended {
                node.suspended = false;
                let patience = if node.answers {
                    self.config.heartbeat
                } else {
                    self.config.ping_after
                };
                self.set_alarm(id, Alarm::Silence, Some(now.plus_seconds(patience)));
                self.refresh(id);
            }
        }
    }

    pub(super) fn reachability(
        &mut self,
        now: Time,
        id: NodeId,
        reachable: bool,
        out: &mut Vec<Action>,
    ) {
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        if !node.reach.testing {
            return;
        }
        node.reach.testing = false;
        let before = node.is_reachable();
        let pause = if reachable {
            node.reach.failures = 0;
            TEST_AGAIN
        } else {
            node.reach.failures = node.reach.failures.saturating_add(1);
            node.reach.ever_failed = true;
            2u64.saturating_pow(node.reach.failures).min(TEST_PAUSE_MAX)
        };
        if before != reachable {
            out.push(Action::Note(Note::Reachability {
                node: node.name.clone(),
                reachable,
                failures: node.reach.failures,
            }));
            let stats = node.stats(node.readings);
            out.push(tell_all(MonitorEvent::Stats(Box::new(stats))));
            self.generation += 1;
            self.refresh(id);
        }
        self.set_alarm(id, Alarm::Test, Some(now.plus_seconds(pause)));
    }

    pub(super) fn test_reachability(&mut self, id: NodeId, out: &mut Vec<Action>) {
        if let Some(node) = self.nodes.get_mut(&id)
            && !node.reach.testing
        {
            node.reach.testing = true;
            out.push(Action::TestReachability {
                node: id,
                address: node.address,
                port: node.port,
            });
        }
    }

    pub(super) fn begin_installation(&mut self, id: NodeId, installing: Installing) {
        if let Some(node) = self.nodes.get_mut(&id) {
            let until = installing.since.plus_seconds(INSTALL_TIMEOUT);
            node.installing = Some(installing);
            self.set_alarm(id, Alarm::Install, Some(until));
        }
    }

    /// A toolchain has arrived: what that took counts as much as all before.
    pub(super) fn measure_installation(&mut self, id: NodeId, now: Time) {
        if let Some(node) = self.nodes.get_mut(&id)
            && let Some(installing) = &node.installing
        {
            let took = now.0.saturating_sub(installing.since.0) as f32;
            node.install_ms += (took - node.install_ms) / 2.0;
        }
    }

    pub(super) fn end_installation(&mut self, id: NodeId) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.installing = None;
            self.opened = true;
            self.set_alarm(id, Alarm::Install, None);
        }
    }

    pub(super) fn blacklist(
        &mut self,
        id: NodeId,
        environment: Environment,
        address: Text,
        out: &mut Vec<Action>,
    ) {
        let named = self.hosts.at(&address);
        let Some(submitter) = self.nodes.get_mut(&id) else {
            return;
        };
        let longest = environment.platform.len().max(environment.name.len());
        let noted: usize = submitter.blacklist.values().map(|pairs| pairs.len()).sum();
        let acceptable = within("bytes in an environment name", longest, limits::NAME).and(within(
            "blacklisted environments",
            noted + named.len(),
            limits::BLACKLIST,
        ));
        if let Err(reason) = acceptable {
            self.remove(id, Some(reason), out);
            return;
        }
        for node in named {
            submitter
                .blacklist
                .entry(node)
                .or_default()
                .insert(environment.clone());
        }
        out.push(Action::Note(Note::Blacklisting {
            address,
            environment,
        }));
        self.generation += 1;
    }

    pub(super) fn set_alarm(&mut self, id: NodeId, alarm: Alarm, at: Option<Time>) {
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        let slot = &mut node.alarms[alarm as usize];
        if let Some(old) = slot.take() {
            self.alarms.remove(&(old, id, alarm));
        }
        if let Some(at) = at {
            *slot = Some(at);
            self.alarms.insert((at, id, alarm));
        }
    }

    pub(super) fn ring_alarms(&mut self, now: Time, out: &mut Vec<Action>) {
        while let Some((at, id, alarm)) = self.alarms.first().copied()
            && at <= now
        {
            self.set_alarm(id, alarm, None);
            match alarm {
                Alarm::Silence => self.silence(now, id, out),
                Alarm::Test => self.test_reachability(id, out),
                Alarm::Install => self.installation_timed_out(now, id, out),
                Alarm::Drain => self.remove(id, Some(Dropped::Election), out),
            }
        }
    }

    /// From now on silence of this node counts, whatever its version.
    pub(super) fn watch(&mut self, now: Time, id: NodeId) {
        let due = now.plus_seconds(self.config.heartbeat);
        if let Some(node) = self.nodes.get_mut(&id)
            && !node.answers
        {
            node.answers = true;
            self.set_alarm(id, Alarm::Silence, Some(due));
        }
    }

    /// First it is asked; if it does not answer it gets no more jobs, and then it is given up.
    fn silence(&mut self, now: Time, id: NodeId, out: &mut Vec<Action>) {
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        let (patience, answer_time) = if node.answers {
            (self.config.heartbeat, ANSWER_TIME)
        } else {
            (self.config.ping_after, 0)
        };
        let more = match (node.suspended, node.asked) {
            (true, _) => answer_time + self.config.ping_grace,
            (false, true) => answer_time,
            (false, false) => 0,
        };
        let due = node.last_heard.plus_seconds(patience + more);
        if now < due {
            self.set_alarm(id, Alarm::Silence, Some(due));
            return;
        }
        if node.suspended {
            self.remove(id, Some(Dropped::Silent), out);
            return;
        }
        if !node.asked {
            node.asked = true;
            out.push(Action::Ping { node: id });
            if answer_time > 0 {
                self.set_alarm(id, Alarm::Silence, Some(now.plus_seconds(answer_time)));
                return;
            }
        }
        node.suspended = true;
        self.set_alarm(
            id,
            Alarm::Silence,
            Some(now.plus_seconds(self.config.ping_grace)),
        );
        self.refresh(id);
    }

    fn installation_timed_out(&mut self, now: Time, id: NodeId, out: &mut Vec<Action>) {
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        let Some(installing) = node.installing.take() else {
            return;
        };
        out.push(Action::Note(Note::InstallTimedOut {
            node: node.name.clone(),
            environment: installing.environment.clone(),
        }));
        node.avoided.retain(|_, until| *until > now);
        node.avoided.insert(
            installing.environment,
            now.plus_seconds(AVOID_AFTER_TIMEOUT),
        );
        self.generation += 1;
    }
}
