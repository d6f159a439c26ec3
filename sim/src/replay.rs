//! A trace of a real scheduler, played again.
//!
//! Told the same, a core of the same release decides the same: [`play`] says whether it does, and where not. From what the
//! trace says of machines and jobs it also makes a [`Scenario`], to see what another algorithm would have made of that
//! day. What a trace does not say is assumed: links as of [`crate::scenario::host`], no dependencies between the jobs of a build but the
//! number that ran at a time, memory enough.

use std::collections::BTreeMap;
use std::io::BufRead;

use gelato_scheduler_core::trace::{Placed, Trace, TraceError};
use gelato_scheduler_core::{
    Action, ClientId, Core, DoneJob, Event, JobId, NodeId, Past, Text, Time,
};

use crate::scenario::{Build, Host, Job, Scenario, host};

/// A pause of a submitter after which its next job belongs to another build, in ms.
const PAUSE: u64 = 10_000;

/// What came of playing a trace.
#[derive(Debug)]
pub struct Replay {
    /// Release of the scheduler that was traced.
    pub release: String,
    /// Events in the trace.
    pub events: usize,
    /// Decisions in the trace.
    pub decisions: usize,
    /// The first event at which the core decided otherwise.
    pub difference: Option<Difference>,
    /// Milliseconds from the first request to the last end.
    pub recorded_ms: u64,
    /// The cluster and its builds, as far as can be told.
    pub scenario: Scenario,
    /// What the traced scheduler had learned at its beginning.
    pub past: Past,
}

/// Where two runs part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The event, counted from 1.
    pub event: usize,
    /// Milliseconds on the scheduler's clock.
    pub at: u64,
    /// What it decided: job and worker, by number.
    pub recorded: Vec<Placed>,
    /// What the core decides now.
    pub replayed: Vec<Placed>,
}

/// Plays a trace.
///
/// # Errors
/// If the trace cannot be read to its end.
pub fn play<R: BufRead>(trace: Trace<R>) -> Result<Replay, TraceError> {
    let beginning = trace.beginning().clone();
    let mut core = Core::new(beginning.config.clone());
    core.remember(beginning.past.clone());
    let mut day = Day::default();
    let mut replay = Replay {
        release: beginning.release,
        events: 0,
        decisions: 0,
        difference: None,
        recorded_ms: 0,
        scenario: Scenario {
            name: "recorded",
            hosts: Vec::new(),
            builds: Vec::new(),
            warm: false,
            seed: beginning.config.seed,
        },
        past: beginning.past,
    };
    for step in trace {
        let step = step?;
        replay.events += 1;
        replay.decisions += step.placed.len();
        day.told(step.at, &step.event);
        let actions = core.handle(Time(step.at), step.event);
        let placed = Placed::among(&actions);
        if placed != step.placed && replay.difference.is_none() {
            replay.difference = Some(Difference {
                event: replay.events,
                at: step.at,
                recorded: step.placed,
                replayed: placed,
            });
        }
        day.done(&actions);
    }
    day.fill(&core.past(), &mut replay.scenario);
    replay.recorded_ms = day.last.saturating_sub(day.first.unwrap_or(0));
    Ok(replay)
}

/// A job as the trace has it.
#[derive(Debug)]
struct Seen {
    submitter: NodeId,
    file: Text,
    asked: u64,
    niceness: u32,
    local: bool,
    worker: Option<NodeId>,
    ended: Option<u64>,
    took_ms: u32,
}

/// All machines and jobs of a trace.
#[derive(Debug, Default)]
struct Day {
    /// By name: what was said last.
    hosts: BTreeMap<Text, Host>,
    names: BTreeMap<NodeId, Text>,
    logging_in: Option<(Text, Host)>,
    jobs: Vec<Seen>,
    asked: BTreeMap<(NodeId, ClientId), usize>,
    placed: BTreeMap<JobId, usize>,
    local: BTreeMap<(NodeId, ClientId), usize>,
    first: Option<u64>,
    last: u64,
}

impl Day {
    fn told(&mut self, at: u64, event: &Event) {
        match event {
            Event::Login(login) => {
                let name = if login.name.is_empty() {
                    Text::from(login.address.to_string())
                } else {
                    login.name.clone()
                };
                let slots = if login.no_remote { 0 } else { login.slots };
                let mut machine = host(&name.to_string(), slots, 1.0);
                machine.installed = !login.environments.is_empty();
                self.logging_in = Some((name, machine));
            }
            Event::Request { node, request } => {
                self.first.get_or_insert(at);
                self.asked.insert((*node, request.client), self.jobs.len());
                self.jobs.push(Seen {
                    submitter: *node,
                    file: request.file.clone(),
                    asked: at,
                    niceness: request.niceness,
                    local: false,
                    worker: None,
                    ended: None,
                    took_ms: 0,
                });
            }
            Event::Done {
                which: DoneJob::Id(job),
                result,
                ..
            } => {
                if let Some(seen) = self.placed.remove(job).and_then(|at| self.jobs.get_mut(at)) {
                    seen.ended = Some(at);
                    seen.took_ms = result.real_ms;
                    self.last = at;
                }
            }
            Event::LocalBegin {
                node, client, file, ..
            } => {
                self.first.get_or_insert(at);
                self.local.insert((*node, *client), self.jobs.len());
                self.jobs.push(Seen {
                    submitter: *node,
                    file: file.clone(),
                    asked: at,
                    niceness: 0,
                    local: true,
                    worker: Some(*node),
                    ended: None,
                    took_ms: 0,
                });
            }
            Event::LocalDone { node, client } => {
                let ended = self.local.remove(&(*node, *client));
                if let Some(seen) = ended.and_then(|at| self.jobs.get_mut(at)) {
                    seen.ended = Some(at);
                    seen.took_ms = u32::try_from(at - seen.asked).unwrap_or(u32::MAX);
                    self.last = at;
                }
            }
            _ => {}
        }
    }

    fn done(&mut self, actions: &[Action]) {
        for action in actions {
            match action {
                Action::Accept { node, .. } => {
                    if let Some((name, machine)) = self.logging_in.take() {
                        self.names.insert(*node, name.clone());
                        self.hosts.insert(name, machine);
                    }
                }
                Action::UseWorker { node, answer } => {
                    self.placed(*node, answer.client, answer.job, answer.worker);
                }
                Action::CompileYourself { node, job, client } => {
                    self.placed(*node, *client, *job, *node);
                }
                _ => {}
            }
        }
    }

    /// Of a request for several workers the first answer counts.
    fn placed(&mut self, submitter: NodeId, client: ClientId, job: JobId, worker: NodeId) {
        if let Some(at) = self.asked.remove(&(submitter, client))
            && let Some(seen) = self.jobs.get_mut(at)
        {
            seen.worker = Some(worker);
            self.placed.insert(job, at);
        }
    }

    fn fill(&self, past: &Past, scenario: &mut Scenario) {
        let speeds: BTreeMap<&Text, f64> = past
            .workers
            .iter()
            .filter(|worker| worker.speed > 0.0)
            .map(|worker| (&worker.name, f64::from(worker.speed)))
            .collect();
        let mut place = BTreeMap::new();
        for (name, machine) in &self.hosts {
            place.insert(name, scenario.hosts.len());
            scenario.hosts.push(Host {
                speed: speeds.get(name).copied().unwrap_or(1.0),
                ..machine.clone()
            });
        }
        let host_of = |node: NodeId| {
            self.names
                .get(&node)
                .and_then(|name| place.get(name))
                .copied()
        };
        let mut open: BTreeMap<usize, (usize, Vec<u64>)> = BTreeMap::new();
        let begin = self.first.unwrap_or(0);
        for seen in &self.jobs {
            let (Some(ended), Some(submitter), Some(worker)) = (
                seen.ended.filter(|_| seen.took_ms > 0),
                host_of(seen.submitter),
                seen.worker.and_then(host_of),
            ) else {
                continue;
            };
            let (at, ends) = open.entry(submitter).or_insert((usize::MAX, Vec::new()));
            let latest = ends.iter().max().copied().unwrap_or(0);
            if *at == usize::MAX || seen.asked > latest.saturating_add(PAUSE) {
                *at = scenario.builds.len();
                ends.clear();
                scenario.builds.push(Build {
                    submitter,
                    start_ms: seen.asked - begin,
                    parallel: 1,
                    niceness: seen.niceness,
                    jobs: Vec::new(),
                });
            }
            ends.retain(|end| *end > seen.asked);
            ends.push(ended);
            let Some(build) = scenario.builds.get_mut(*at) else {
                continue;
            };
            build.parallel = build.parallel.max(ends.len());
            let speed = scenario.hosts.get(worker).map_or(1.0, |host| host.speed);
            build.jobs.push(Job {
                file: seen.file.to_string(),
                work_ms: f64::from(seen.took_ms) * speed,
                memory: 0,
                after: Vec::new(),
                local: seen.local,
            });
        }
    }
}
