//! Jobs that began under another scheduler, or before this one was started again, and still run. Their workers and their
//! submitters tell of them, each by the number the job had then; here they get numbers of their own. They take slots like
//! any other; nothing is learned from them, for nobody knows what they asked for.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::action::{Action, Audience, Dropped, MonitorEvent, Note};
use crate::config::limits;
use crate::core::Core;
use crate::event::JobResult;
use crate::ids::{ConnectionId, JobId, NodeId, Text};
use crate::job::short_name;

/// A job that a worker runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// The number it had.
    pub number: u32,
    /// Address of its submitter as the worker sees it.
    pub client: Option<IpAddr>,
    /// For people.
    pub file: Text,
    /// Number of the language.
    pub language: u32,
    /// Unix seconds on the worker's clock.
    pub start_time: u32,
}

/// A job that a submitter has on another machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abroad {
    /// The number it had.
    pub number: u32,
    /// Its worker as it was handed out.
    pub host: Text,
}

/// What a daemon has in hand of another scheduler's.
#[derive(Debug, Clone, Default)]
pub(crate) struct Inherited {
    /// Runs here, by the number it had.
    running: BTreeMap<u32, Rescued>,
    /// Runs elsewhere for this submitter.
    abroad: BTreeMap<u32, Text>,
}

/// A job found again.
#[derive(Debug, Clone)]
pub struct Rescued {
    /// Its new number.
    pub id: JobId,
    /// Its submitter; until that is known no monitor is told of it.
    pub submitter: Option<NodeId>,
    /// For people.
    pub file: Text,
    language: u32,
    start_time: u32,
    client: Option<IpAddr>,
    /// Monitors were told that it is over, because its submitter left.
    over: bool,
}

impl Rescued {
    fn is_shown(&self) -> bool {
        self.submitter.is_some() && !self.over
    }

    /// What monitors are told of a job that runs.
    fn events(&self, worker: NodeId) -> Option<[MonitorEvent; 2]> {
        let submitter = self.submitter.filter(|_| !self.over)?;
        Some([
            MonitorEvent::Requested {
                job: self.id,
                submitter,
                file: short_name(&self.file),
                language: self.language,
            },
            MonitorEvent::Begun {
                job: self.id,
                worker,
                start_time: self.start_time,
            },
        ])
    }
}

impl Inherited {
    /// Slots in use by such jobs.
    pub(crate) fn occupied(&self) -> u64 {
        self.running.len() as u64
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    pub(crate) fn running(&self) -> impl Iterator<Item = &Rescued> {
        self.running.values()
    }
}

impl Core {
    /// A daemon tells what it has in hand. Told again, only what is new counts.
    pub(crate) fn recover(
        &mut self,
        id: NodeId,
        running: Vec<Running>,
        abroad: Vec<Abroad>,
        out: &mut Vec<Action>,
    ) {
        let Some(node) = self.node(id) else { return };
        let inherited = &node.inherited;
        if inherited.running.len() + running.len() > limits::INHERITED
            || inherited.abroad.len() + abroad.len() > limits::INHERITED
        {
            let (what, limit) = ("jobs of another scheduler", limits::INHERITED);
            return self.remove(id, Some(Dropped::TooMuch { what, limit }), out);
        }
        for job in running {
            let number = self.next_job();
            let Some(node) = self.node_mut(id) else {
                return;
            };
            node.inherited.running.entry(job.number).or_insert(Rescued {
                id: number,
                submitter: None,
                file: job.file,
                language: job.language,
                start_time: job.start_time,
                client: job.client,
                over: false,
            });
        }
        if let Some(node) = self.node_mut(id) {
            let abroad = abroad.into_iter().map(|job| (job.number, job.host));
            node.inherited.abroad.extend(abroad);
        }
        self.find_submitters_of(id, out);
        self.find_workers_of(id, out);
        self.refresh(id);
    }

    /// Who asked for what this worker runs.
    fn find_submitters_of(&mut self, worker: NodeId, out: &mut Vec<Action>) {
        let Some(node) = self.node(worker) else {
            return;
        };
        let mut found = Vec::new();
        for (number, job) in &node.inherited.running {
            if job.submitter.is_some() {
                continue;
            }
            let Some(client) = job.client else { continue };
            let candidates = self.called(&Text::from(client.to_string()));
            let submitter = candidates.into_iter().find(|id| {
                let host = self.node(*id).and_then(|s| s.inherited.abroad.get(number));
                host.is_some_and(|host| node.answers_to(host.as_bytes()))
            });
            found.extend(submitter.map(|submitter| (*number, submitter)));
        }
        for (number, submitter) in found {
            self.pair(worker, number, submitter, out);
        }
    }

    /// Who runs what this submitter asked for.
    fn find_workers_of(&mut self, submitter: NodeId, out: &mut Vec<Action>) {
        let Some(node) = self.node(submitter) else {
            return;
        };
        let mut found = Vec::new();
        for (number, host) in &node.inherited.abroad {
            let worker = self.called(host).into_iter().find(|id| {
                let worker = self.node(*id);
                let job = worker.and_then(|worker| worker.inherited.running.get(number));
                job.is_some_and(|job| {
                    let client = job.client.map(|client| client.to_string());
                    job.submitter.is_none()
                        && client.is_some_and(|client| node.answers_to(client.as_bytes()))
                })
            });
            found.extend(worker.map(|worker| (*number, worker)));
        }
        for (number, worker) in found {
            self.pair(worker, number, submitter, out);
        }
    }

    fn pair(&mut self, worker: NodeId, number: u32, submitter: NodeId, out: &mut Vec<Action>) {
        if let Some(node) = self.node_mut(submitter) {
            node.inherited.abroad.remove(&number);
        }
        let job = self
            .node_mut(worker)
            .and_then(|node| node.inherited.running.get_mut(&number));
        if let Some(job) = job {
            job.submitter = Some(submitter);
            out.push(Action::Note(Note::Recovered {
                job: job.id,
                number,
                file: job.file.clone(),
            }));
            let events = job.events(worker);
            out.extend(events.into_iter().flatten().map(tell_all));
        }
    }

    /// A worker tells how such a job ended.
    pub(crate) fn recovered_over(
        &mut self,
        worker: NodeId,
        number: u32,
        result: JobResult,
        out: &mut Vec<Action>,
    ) {
        let Some(node) = self.node_mut(worker) else {
            return;
        };
        let Some(job) = node.inherited.running.remove(&number) else {
            return;
        };
        let name = node.name().clone();
        out.push(Action::Note(Note::End {
            job: job.id,
            result,
            worker: Some(name),
        }));
        if job.is_shown() {
            out.push(tell_all(MonitorEvent::Done {
                job: job.id,
                result,
                by_submitter: false,
                client_count: 0,
            }));
        }
        self.refresh(worker);
    }

    /// A node left: what it ran is over, and so is, for monitors, what ran for it.
    pub(crate) fn disinherit(
        &mut self,
        gone: NodeId,
        inherited: &Inherited,
        out: &mut Vec<Action>,
    ) {
        let mut lost: Vec<JobId> = inherited
            .running()
            .filter(|job| job.is_shown())
            .map(|job| job.id)
            .collect();
        for node in self.nodes_in_any_order_mut() {
            for job in node.inherited.running.values_mut() {
                if job.submitter == Some(gone) && !job.over {
                    job.over = true;
                    lost.push(job.id);
                }
            }
        }
        lost.sort_unstable();
        out.extend(lost.into_iter().map(|job| {
            tell_all(MonitorEvent::Done {
                job,
                result: JobResult {
                    exit_code: 255,
                    ..JobResult::default()
                },
                by_submitter: false,
                client_count: 0,
            })
        }));
    }

    /// Tells a new monitor of them.
    pub(crate) fn replay_recovered(&self, connection: ConnectionId, out: &mut Vec<Action>) {
        for (worker, job) in self.recovered() {
            let events = job.events(worker);
            out.extend(events.into_iter().flatten().map(|event| Action::Monitor {
                to: Audience::One(connection),
                event,
            }));
        }
    }

    /// Jobs of before that still run, with their workers.
    pub fn recovered(&self) -> impl Iterator<Item = (NodeId, &Rescued)> {
        self.nodes()
            .flat_map(|node| node.inherited.running().map(|job| (node.id(), job)))
    }
}

fn tell_all(event: MonitorEvent) -> Action {
    Action::Monitor {
        to: Audience::All,
        event,
    }
}
