//! The state of the scheduler and the one way to change it. The handlers are in the files beside this one, by theme.

mod dispatch;
mod jobs;
mod membership;
mod timers;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::action::Action;
use crate::admission::Backlog;
use crate::config::{Algorithm, Config, limits};
use crate::core::timers::Alarm;
use crate::eligible::{Obstacle, Question};
use crate::estimate::ClusterMean;
use crate::event::Event;
use crate::explain::{Decision, Decisions};
use crate::history::{History, PastFile, PastLanguage};
use crate::hosts::Hosts;
use crate::ids::{JobId, NodeId, Text, Time};
use crate::index::{Index, Standing};
use crate::job::Job;
use crate::node::Node;
use crate::place;
use crate::queue::{Discipline, Head, Queue};
use crate::rng::Generator;
use crate::table::Table;

/// What a scheduler has learned, as plain data.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Past {
    /// By key.
    pub files: Vec<PastFile>,
    /// By name.
    pub workers: Vec<PastWorker>,
    /// By class.
    pub languages: Vec<PastLanguage>,
}

/// A worker as it was known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PastWorker {
    /// Its name.
    pub name: Text,
    /// Work per time; 1 is what an unknown worker is taken to do.
    pub speed: f32,
}

/// The scheduler, without the world around it.
#[derive(Debug, Clone)]
pub struct Core {
    config: Config,
    nodes: Table<NodeId, Node>,
    hosts: Hosts,
    jobs: Table<JobId, Job>,
    queue: Queue,
    /// Nodes that others may use now.
    index: Index,
    /// Nodes whose own waiting jobs are to be tried again.
    touched: Vec<NodeId>,
    /// A job that has just been asked for and is not in the queue.
    newcomer: Option<Head>,
    /// Jobs that have just been asked for and are.
    fresh: Vec<JobId>,
    /// The last pass was ended before all had been tried.
    unfinished: bool,
    /// Somebody may take a job who could not when all were tried.
    opened: bool,
    alarms: BTreeSet<(Time, NodeId, Alarm)>,
    cluster: ClusterMean,
    history: History,
    backlog: Backlog,
    /// Speeds of workers known before they came, by name.
    known_speeds: BTreeMap<Text, f32>,
    /// The time of the event.
    now: Time,
    /// When jobs that wait for somebody better are to be looked at again.
    retry_at: Option<Time>,
    random: Generator,
    decisions: Decisions,
    blocked: BTreeSet<Text>,
    /// Names and addresses of hosts that are to take nothing new.
    resting: BTreeSet<Text>,
    last_node: u32,
    last_job: u32,
    arrivals: u64,
    placements: u64,
    pass: u64,
    /// Changes whenever the answer to "could anybody ever take this job" may have become no.
    generation: u64,
    /// The generation in which all waiting jobs were tried.
    tried_at: u64,
    draining: bool,
}

impl Core {
    /// An empty cluster.
    pub fn new(config: Config) -> Self {
        let random = Generator::new(config.seed);
        let decisions = Decisions::new(config.decisions_kept);
        let history = History::new(config.history_kept);
        let discipline = match config.algorithm {
            Algorithm::Fastest
            | Algorithm::RoundRobin
            | Algorithm::LeastBusy
            | Algorithm::Random
            | Algorithm::Compat => Discipline::Turns,
            Algorithm::Finish => Discipline::Shares,
        };
        Core {
            config,
            nodes: Table::new(),
            hosts: Hosts::default(),
            jobs: Table::new(),
            queue: Queue::new(discipline),
            index: Index::default(),
            touched: Vec::new(),
            newcomer: None,
            fresh: Vec::new(),
            unfinished: false,
            opened: false,
            alarms: BTreeSet::new(),
            cluster: ClusterMean::default(),
            history,
            backlog: Backlog::default(),
            known_speeds: BTreeMap::new(),
            now: Time(0),
            retry_at: None,
            random,
            decisions,
            blocked: BTreeSet::new(),
            resting: BTreeSet::new(),
            last_node: 0,
            last_job: 0,
            arrivals: 0,
            placements: 0,
            pass: 0,
            generation: 0,
            tried_at: 0,
            draining: false,
        }
    }

    /// Applies what happened at `now` and says what is to be done, in this order. Events about nodes that are gone are
    /// ignored. `now` must not go back.
    pub fn handle(&mut self, now: Time, event: Event) -> Vec<Action> {
        let mut out = Vec::with_capacity(8);
        self.now = now;
        if let Some(node) = event_sender(&event) {
            if !self.nodes.contains_key(&node) {
                return out;
            }
            if !matches!(event, Event::Reachability { .. }) {
                self.heard_from(node, now);
            }
        }
        self.apply(now, event, &mut out);
        self.ring_alarms(now, &mut out);
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
            self.opened = true;
        }
        self.dispatch(now, &mut out);
        if self.draining {
            self.release_idle(&mut out);
        }
        out
    }

    /// How it chooses.
    pub fn algorithm(&self) -> Algorithm {
        self.config.algorithm
    }

    /// When to send [`Event::Tick`] at the latest.
    pub fn next_deadline(&self) -> Option<Time> {
        let alarm = self.alarms.first().map(|(at, ..)| *at);
        alarm.into_iter().chain(self.retry_at).min()
    }

    /// What is worth keeping across restarts: what files took and how fast workers are.
    pub fn past(&self) -> Past {
        let here = self
            .nodes
            .in_any_order()
            .filter(|node| !node.pace.is_unknown())
            .map(|node| (&node.name, node.pace.general(false)));
        let mut speeds: BTreeMap<&Text, f32> = here.collect();
        for (name, speed) in &self.known_speeds {
            if speeds.len() >= limits::PAST_WORKERS {
                break;
            }
            speeds.entry(name).or_insert(*speed);
        }
        let workers = speeds.into_iter().map(|(name, speed)| PastWorker {
            name: name.clone(),
            speed,
        });
        Past {
            files: self.history.snapshot(),
            workers: workers.take(limits::PAST_WORKERS).collect(),
            languages: self.history.languages(),
        }
    }

    /// Takes in what an earlier scheduler knew. Meant for the time before the first login.
    pub fn remember(&mut self, past: Past) {
        self.history.restore(past.files, past.languages);
        let workers = past.workers.into_iter().take(limits::PAST_WORKERS);
        let known = workers.filter(|worker| worker.speed.is_finite() && worker.speed > 0.0);
        self.known_speeds = known.map(|worker| (worker.name, worker.speed)).collect();
    }

    /// All daemons, in order of login.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.in_order()
    }

    pub(crate) fn nodes_in_any_order_mut(&mut self) -> impl Iterator<Item = &mut Node> {
        self.nodes.in_any_order_mut()
    }

    pub(crate) fn node_mut(&mut self, id: NodeId) -> Option<&mut Node> {
        self.nodes.get_mut(&id)
    }

    /// Those of this name or address, in order of login.
    pub(crate) fn called(&self, host: &Text) -> Vec<NodeId> {
        self.hosts.called(host)
    }

    pub(crate) fn nodes_in_any_order(&self) -> impl Iterator<Item = &Node> {
        self.nodes.in_any_order()
    }

    /// One daemon.
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(&id)
    }

    /// The first daemon with this name or address.
    pub fn find(&self, host: &[u8]) -> Option<&Node> {
        let called = self.hosts.called(&Text::from(host));
        called.first().and_then(|id| self.nodes.get(id))
    }

    /// All live compile jobs, by number.
    pub fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.jobs.in_order()
    }

    /// One live compile job.
    pub fn job(&self, id: JobId) -> Option<&Job> {
        self.jobs.get(&id)
    }

    /// How many compile jobs are live.
    pub fn job_count(&self) -> usize {
        self.jobs.len()
    }

    /// Number of the last job, local ones included.
    pub fn last_job(&self) -> u32 {
        self.last_job
    }

    /// Names and addresses that may not log in.
    pub fn blocked(&self) -> impl Iterator<Item = &Text> {
        self.blocked.iter()
    }

    /// Whether this daemon's name or address is among those.
    pub fn is_blocked(&self, node: &Node) -> bool {
        named(&self.blocked, node)
    }

    /// Names and addresses of hosts that take nothing new because an operator wants it so.
    pub fn resting(&self) -> impl Iterator<Item = &Text> {
        self.resting.iter()
    }

    /// Why a job went where it went, if that is not too long ago.
    pub fn decision(&self, job: JobId) -> Option<&Decision> {
        self.decisions.of(job)
    }

    /// The last decisions, oldest first.
    pub fn decisions(&self) -> impl Iterator<Item = &Decision> {
        self.decisions.iter()
    }

    /// What keeps each daemon from taking this queued job at `now`. Empty if the job is not queued.
    pub fn obstacles(&self, job: JobId, now: Time) -> Vec<(NodeId, Obstacle)> {
        let Some(job) = self.jobs.get(&job) else {
            return Vec::new();
        };
        let Some(submitter) = self.nodes.get(&job.submitter) else {
            return Vec::new();
        };
        if job.worker().is_some() {
            return Vec::new();
        }
        let question = Question {
            needs: &job.needs,
            submitter,
            now,
        };
        self.nodes
            .in_order()
            .filter_map(|node| Some((node.id, question.obstacle(node)?)))
            .collect()
    }

    fn apply(&mut self, now: Time, event: Event, out: &mut Vec<Action>) {
        match event {
            Event::Login(login) => self.login(now, *login, out),
            Event::Relogin {
                node,
                slots,
                environments,
            } => self.relogin(now, node, slots, environments, out),
            Event::Stats {
                node,
                load,
                readings,
            } => self.stats(node, load, readings, out),
            Event::Request { node, request } => self.request(now, node, *request, out),
            Event::Begin {
                node,
                job,
                start_time,
                client_count,
            } => self.begin(now, node, job, start_time, client_count, out),
            Event::Done {
                node,
                which,
                by_submitter,
                result,
                client_count,
            } => self.done(node, which, by_submitter, result, client_count, out),
            Event::LocalBegin {
                node,
                client,
                file,
                start_time,
                full,
            } => self.local_begin(node, client, &file, start_time, full, out),
            Event::LocalDone { node, client } => self.local_done(node, client, out),
            Event::Blacklist {
                node,
                environment,
                address,
            } => self.blacklist(node, environment, address, out),
            Event::Ping { .. } | Event::Tick => {}
            Event::Left { node } => self.remove(node, None, out),
            Event::Reachability { node, reachable } => {
                self.reachability(now, node, reachable, out);
            }
            Event::MonitorJoined { connection } => self.replay(connection, out),
            Event::Remove { host } => self.remove_host(&host, out),
            Event::Block { host } => self.block(host, out),
            Event::Unblock { host } => {
                self.blocked.remove(&host);
            }
            Event::Watch { node } => self.watch(now, node),
            Event::Recovered {
                node,
                running,
                abroad,
            } => self.recover(node, running, abroad, out),
            Event::RecoveredOver {
                node,
                number,
                result,
            } => self.recovered_over(node, number, result, out),
            Event::Rest { host } => self.rest(host, out),
            Event::Resume { host } => self.resume(&host, out),
            Event::Drain => self.drain(now),
            Event::Stop => self.stop(out),
        }
    }

    /// Brings the index up to date after a change to a node. Its own waiting jobs, and if it has room those of others,
    /// are tried again.
    pub(crate) fn refresh(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        let standing = place::standing(node, &self.config, &self.cluster);
        self.index.update(node, standing);
        let contributes = match standing {
            Standing::Closed => 0.0,
            Standing::Free(_) | Standing::Full(_) => {
                f64::from(node.pace.general(true) * node.share_of_machine()) * f64::from(node.slots)
            }
        };
        let slots = if contributes > 0.0 {
            f64::from(node.slots)
        } else {
            0.0
        };
        self.backlog.slots += slots - node.contributes_slots;
        self.backlog.capacity += contributes - node.contributes;
        (node.contributes, node.contributes_slots) = (contributes, slots);
        self.foresee(id);
        let Some(node) = self.nodes.get(&id) else {
            return;
        };
        self.opened |= standing != Standing::Closed;
        if !node.submitted.is_empty() {
            self.touched.push(id);
        }
    }
}

impl Core {
    /// Estimates anew when a busy node will have a slot.
    fn foresee(&mut self, id: NodeId) {
        if self.config.algorithm == Algorithm::Finish
            && let Some(node) = self.nodes.get_mut(&id)
            && node.is_full()
        {
            node.next_free_at = place::finish::next_free_at(node, &self.jobs, self.now);
        }
    }
}

/// Whether a daemon's name or address is in the list.
pub(super) fn named(list: &BTreeSet<Text>, node: &Node) -> bool {
    !list.is_empty()
        && (list.contains(&node.name) || list.contains(&Text::from(node.address.to_string())))
}

fn event_sender(event: &Event) -> Option<NodeId> {
    match event {
        Event::Relogin { node, .. }
        | Event::Stats { node, .. }
        | Event::Request { node, .. }
        | Event::Begin { node, .. }
        | Event::Done { node, .. }
        | Event::LocalBegin { node, .. }
        | Event::LocalDone { node, .. }
        | Event::Blacklist { node, .. }
        | Event::Ping { node }
        | Event::Watch { node }
        | Event::Recovered { node, .. }
        | Event::RecoveredOver { node, .. }
        | Event::Left { node }
        | Event::Reachability { node, .. } => Some(*node),
        Event::Login(_)
        | Event::MonitorJoined { .. }
        | Event::Remove { .. }
        | Event::Block { .. }
        | Event::Unblock { .. }
        | Event::Rest { .. }
        | Event::Resume { .. }
        | Event::Drain
        | Event::Stop
        | Event::Tick => None,
    }
}

#[cfg(test)]
mod tests;
