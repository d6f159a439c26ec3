//! Daemons, wrappers, links and compilers around one core, event by event.
//!
//! A step of a build goes this way: the submitter asks; told a worker, it sends the toolchain if that is missing and the
//! source over its uplink, which serves one transfer at a time; the worker starts it when a slot is free; the result
//! travels back; the steps that waited for it are asked for. A step whose worker dies is asked for again.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};

use gelato_scheduler_core::{
    Action, Algorithm, ClientId, Config, ConnectionId, Core, DoneJob, Environment, Event, JobId,
    JobResult, Login, NodeId, Past, Readings, Request, Text, Time, Why,
};

use crate::rng::Rng;
use crate::scenario::{Host, Job, Scenario};

/// Bytes of a toolchain archive.
pub(crate) const TOOLCHAIN_BYTES: f64 = 60e6;
/// Milliseconds to unpack one.
pub(crate) const UNPACK_MS: u64 = 1500;
/// Bytes of compressed source per millisecond of work; a fourth comes back as object.
const BYTES_PER_WORK: f64 = 120.0;
/// Milliseconds a wrapper takes to preprocess before it sends.
const PREPARE_MS: u64 = 30;
/// How much longer a job takes that begins on a worker without memory for it.
const PAGING: f64 = 3.0;
/// Milliseconds between readings of a worker.
const READINGS_EVERY: u64 = 3000;
/// Milliseconds between the warming round and the measured one.
const PAUSE: u64 = 10_000;
/// A round that takes longer is stuck.
const LONGEST_ROUND: u64 = 3_600_000;

/// What came of a scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// From the start of the first build to the end of the last.
    pub makespan_ms: u64,
    /// Each build, from its own start.
    pub build_ms: Vec<u64>,
    /// How often a worker had more memory in use than it has.
    pub overcommits: usize,
    /// Compilations begun in the measured round.
    pub begun: usize,
    /// Decisions by their ground, in the measured round.
    pub grounds: BTreeMap<String, usize>,
    /// What must never happen, and did.
    pub violations: Vec<String>,
    /// Placements that gave one submitter more than its share while another waited.
    pub unfair: usize,
    /// Stands for everything that happened: equal runs have equal marks.
    pub mark: u64,
    /// What the core learned.
    pub past: Past,
}

/// Plays a scenario with an algorithm.
pub fn run(scenario: &Scenario, algorithm: Algorithm) -> Outcome {
    run_knowing(scenario, algorithm, Past::default())
}

/// As [`run`], with what an earlier scheduler had learned.
pub fn run_knowing(scenario: &Scenario, algorithm: Algorithm, past: Past) -> Outcome {
    let mut world = World::new(scenario, algorithm, past);
    if scenario.warm {
        world.round(false);
        world.begin_again();
    }
    world.round(true);
    world.outcome()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    Start(usize),
    /// A step's source is at the worker.
    Arrived {
        host: usize,
        life: u32,
        step: usize,
    },
    Installed {
        host: usize,
        life: u32,
    },
    /// The first of a host's running steps should be done, if nothing has begun or ended there since.
    Finished {
        host: usize,
        life: u32,
        change: u64,
    },
    /// The result is back at the submitter.
    Returned(usize),
    Again(usize),
    Readings {
        host: usize,
        life: u32,
    },
    Dies(usize),
    Back(usize),
}

struct Machine<'a> {
    host: &'a Host,
    node: Option<NodeId>,
    /// Counts deaths, so that what was on its way to an earlier life is lost.
    life: u32,
    installed: bool,
    queue: VecDeque<usize>,
    running: Vec<usize>,
    /// Counts beginnings and ends.
    change: u64,
    /// How fast each of them goes, and since when.
    rate: f64,
    since: u64,
    memory: u32,
    /// When its uplink is free again.
    uplink: u64,
    next_client: u32,
}

struct Step<'a> {
    spec: &'a Job,
    build: usize,
    waits_for: usize,
    then: Vec<usize>,
    job: Option<JobId>,
    client: ClientId,
    worker: Option<usize>,
    begun: u32,
    /// Milliseconds it has still to run at speed 1.
    left_ms: f64,
    begun_at: u64,
    lost: u32,
    done: bool,
}

struct Running {
    started_at: u64,
    ended_at: Option<u64>,
    ready: VecDeque<usize>,
    under_way: usize,
    left: usize,
}

struct World<'a> {
    scenario: &'a Scenario,
    core: Core,
    now: u64,
    round_began: u64,
    sequence: u64,
    coming: BinaryHeap<Reverse<(u64, u64, Happening)>>,
    machines: Vec<Machine<'a>>,
    steps: Vec<Step<'a>>,
    builds: Vec<Running>,
    step_of: BTreeMap<JobId, usize>,
    asked: BTreeMap<(NodeId, ClientId), usize>,
    rng: Rng,
    measured: bool,
    overcommits: usize,
    begun: usize,
    unfair: usize,
    grounds: BTreeMap<String, usize>,
    violations: Vec<String>,
    mark: u64,
}

impl<'a> World<'a> {
    fn new(scenario: &'a Scenario, algorithm: Algorithm, past: Past) -> Self {
        let mut core = Core::new(Config {
            seed: scenario.seed,
            algorithm,
            ..Config::default()
        });
        core.remember(past);
        let machines = scenario.hosts.iter().map(|host| Machine {
            host,
            node: None,
            life: 0,
            installed: host.installed,
            queue: VecDeque::new(),
            running: Vec::new(),
            change: 0,
            rate: 0.0,
            since: 0,
            memory: 0,
            uplink: 0,
            next_client: 0,
        });
        let mut world = World {
            scenario,
            core,
            now: 0,
            round_began: 0,
            sequence: 0,
            coming: BinaryHeap::new(),
            machines: machines.collect(),
            steps: Vec::new(),
            builds: Vec::new(),
            step_of: BTreeMap::new(),
            asked: BTreeMap::new(),
            rng: Rng::new(scenario.seed ^ 0x5eed),
            measured: false,
            overcommits: 0,
            begun: 0,
            unfair: 0,
            grounds: BTreeMap::new(),
            violations: Vec::new(),
            mark: 0,
        };
        for host in 0..scenario.hosts.len() {
            world.log_in(host);
        }
        world
    }

    /// Runs all builds once.
    fn round(&mut self, measured: bool) {
        self.measured = measured;
        self.round_began = self.now;
        self.steps.clear();
        self.builds.clear();
        for (number, build) in self.scenario.builds.iter().enumerate() {
            let first = self.steps.len();
            for spec in &build.jobs {
                self.steps.push(Step {
                    spec,
                    build: number,
                    waits_for: spec.after.len(),
                    then: Vec::new(),
                    job: None,
                    client: ClientId(0),
                    worker: None,
                    begun: 0,
                    left_ms: 0.0,
                    begun_at: 0,
                    lost: 0,
                    done: false,
                });
            }
            for (at, spec) in build.jobs.iter().enumerate() {
                for before in &spec.after {
                    self.steps[first + before].then.push(first + at);
                }
            }
            let ready = (first..self.steps.len()).filter(|at| self.steps[*at].waits_for == 0);
            self.builds.push(Running {
                started_at: self.now + build.start_ms,
                ended_at: None,
                ready: ready.collect(),
                under_way: 0,
                left: build.jobs.len(),
            });
            self.at(build.start_ms, Happening::Start(number));
        }
        if measured {
            for (host, spec) in self.scenario.hosts.iter().enumerate() {
                if let Some((dies, back)) = spec.dies {
                    self.at(dies, Happening::Dies(host));
                    self.at(back, Happening::Back(host));
                }
            }
        }
        while self.builds.iter().any(|build| build.left > 0) {
            if !self.advance() {
                break;
            }
        }
        self.look_back();
    }

    /// Lets a pause pass.
    fn begin_again(&mut self) {
        let until = self.now + PAUSE;
        while self.coming.peek().is_some_and(|next| next.0.0 <= until) && self.advance() {}
        self.now = until;
        self.grounds.clear();
        self.overcommits = 0;
        self.unfair = 0;
        self.begun = 0;
    }

    fn advance(&mut self) -> bool {
        if self.now > self.round_began + LONGEST_ROUND {
            self.violations.push("a build never ends".to_owned());
            return false;
        }
        let next = self.coming.peek().map(|next| next.0.0);
        if let Some(deadline) = self.core.next_deadline()
            && next.is_none_or(|next| deadline.0 <= next)
        {
            self.now = self.now.max(deadline.0);
            self.tell(Event::Tick);
            return true;
        }
        let Some(Reverse((at, _, happening))) = self.coming.pop() else {
            self.violations.push("nothing happens any more".to_owned());
            return false;
        };
        self.now = at;
        self.happen(happening);
        true
    }

    fn at(&mut self, after: u64, happening: Happening) {
        self.sequence += 1;
        let entry = (self.now + after, self.sequence, happening);
        self.coming.push(Reverse(entry));
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Start(build) => self.ask_for_more(build),
            Happening::Arrived { host, life, step } => {
                if self.machines[host].life == life {
                    self.machines[host].queue.push_back(step);
                    self.start_queued(host);
                }
            }
            Happening::Installed { host, life } => {
                let machine = &mut self.machines[host];
                if machine.life == life {
                    machine.installed = true;
                    if let Some(node) = machine.node {
                        let environments = vec![toolchain()];
                        self.tell(Event::Relogin {
                            node,
                            slots: 0,
                            environments,
                        });
                    }
                }
            }
            Happening::Finished { host, life, change } => {
                let machine = &self.machines[host];
                if machine.life == life && machine.change == change {
                    self.some_finished(host);
                }
            }
            Happening::Returned(step) => self.step_done(step),
            Happening::Again(step) => self.ask(step),
            Happening::Readings { host, life } => {
                if self.machines[host].life == life && self.machines[host].node.is_some() {
                    self.send_readings(host);
                    self.at(READINGS_EVERY, Happening::Readings { host, life });
                }
            }
            Happening::Dies(host) => self.dies(host),
            Happening::Back(host) => self.log_in(host),
        }
    }

    fn log_in(&mut self, host: usize) {
        let machine = &self.machines[host];
        let environments = if machine.installed {
            vec![toolchain()]
        } else {
            Vec::new()
        };
        let login = Login {
            connection: ConnectionId(host as u64),
            address: IpAddr::V4(Ipv4Addr::from(0x0a00_0001 + host as u32)),
            local_address: IpAddr::V4(Ipv4Addr::new(10, 255, 0, 1)),
            port: 10245,
            slots: machine.host.slots,
            environments,
            name: Text::from(machine.host.name.as_str()),
            platform: Text::from("x86_64"),
            chroot: true,
            no_remote: machine.host.slots == 0,
            features: 3,
            agreed_version: 44,
            own_version: 44,
        };
        let life = machine.life;
        self.tell(Event::Login(Box::new(login)));
        self.send_readings(host);
        self.at(READINGS_EVERY, Happening::Readings { host, life });
    }

    fn send_readings(&mut self, host: usize) {
        let machine = &self.machines[host];
        let Some(node) = machine.node else { return };
        let free_memory = machine.host.memory.saturating_sub(machine.memory).max(1);
        self.tell(Event::Stats {
            node,
            load: 0,
            readings: Readings {
                free_memory,
                ..Readings::default()
            },
        });
    }

    fn dies(&mut self, host: usize) {
        let machine = &mut self.machines[host];
        machine.life += 1;
        machine.memory = 0;
        machine.queue.clear();
        machine.running.clear();
        let Some(node) = machine.node.take() else {
            return;
        };
        let lost: Vec<usize> = (0..self.steps.len())
            .filter(|at| {
                let step = &self.steps[*at];
                step.worker == Some(host) && step.job.is_some() && !step.done
            })
            .collect();
        self.tell(Event::Left { node });
        for at in lost {
            let step = &mut self.steps[at];
            step.lost += 1;
            step.worker = None;
            if let Some(job) = step.job.take() {
                self.step_of.remove(&job);
            }
            self.at(200, Happening::Again(at));
        }
    }

    fn ask_for_more(&mut self, build: usize) {
        let parallel = self.scenario.builds[build].parallel;
        while self.builds[build].under_way < parallel
            && let Some(step) = self.builds[build].ready.pop_front()
        {
            self.builds[build].under_way += 1;
            self.ask(step);
        }
    }

    fn ask(&mut self, at: usize) {
        let build = &self.scenario.builds[self.steps[at].build];
        let machine = &mut self.machines[build.submitter];
        let Some(node) = machine.node else { return };
        machine.next_client += 1;
        let client = ClientId(machine.next_client);
        let client_count = self.builds[self.steps[at].build].under_way as u32;
        let step = &mut self.steps[at];
        step.client = client;
        if step.spec.local {
            let file = Text::from(step.spec.file.as_str());
            self.tell(Event::LocalBegin {
                node,
                client,
                file,
                start_time: (self.now / 1000) as u32,
                full: false,
            });
            let took = (self.steps[at].spec.work_ms / machine_speed(build, self.scenario)) as u64;
            self.at(took, Happening::Returned(at));
            return;
        }
        let request = Request {
            environments: vec![toolchain()],
            file: Text::from(step.spec.file.as_str()),
            language: 1,
            count: 1,
            target: Text::from("x86_64"),
            arg_flags: 8,
            client,
            preferred_host: Text::default(),
            minimal_version: 21,
            features: 0,
            source_bytes: 0,
            niceness: build.niceness,
            client_count,
        };
        self.asked.insert((node, client), at);
        self.tell(Event::Request {
            node,
            request: Box::new(request),
        });
    }

    fn tell(&mut self, event: Event) {
        let actions = self.core.handle(Time(self.now), event);
        for action in actions {
            match action {
                Action::Accept { connection, node } => {
                    if let Some(machine) = self.machines.get_mut(connection.0 as usize) {
                        machine.node = Some(node);
                    }
                }
                Action::TestReachability { node, .. } => self.tell(Event::Reachability {
                    node,
                    reachable: true,
                }),
                Action::UseWorker { node, answer } => {
                    self.answered(
                        node,
                        answer.client,
                        answer.job,
                        answer.worker,
                        answer.installed,
                    );
                }
                Action::CompileYourself { node, job, client } => {
                    self.answered(node, client, job, node, true);
                }
                Action::Refuse { reason, .. } => self.violations.push(format!("refused: {reason}")),
                Action::Disconnect { reason, .. } => {
                    self.violations.push(format!("disconnected: {reason}"));
                }
                Action::Configure { .. }
                | Action::Ping { .. }
                | Action::Monitor { .. }
                | Action::Note(_) => {}
            }
        }
        self.check();
    }

    fn answered(
        &mut self,
        submitter: NodeId,
        client: ClientId,
        job: JobId,
        worker: NodeId,
        installed: bool,
    ) {
        self.mix(u64::from(job.0) << 32 | u64::from(worker.0));
        let Some(at) = self.asked.remove(&(submitter, client)) else {
            self.violations
                .push(format!("job {job} was answered twice"));
            return;
        };
        let Some(host) = self.machines.iter().position(|m| m.node == Some(worker)) else {
            self.violations
                .push(format!("job {job} was given to a host that is gone"));
            return;
        };
        match self.core.decision(job) {
            Some(decision) if decision.worker == worker => {
                *self.grounds.entry(decision.why.to_string()).or_default() += 1;
                let fair = !matches!(decision.why, Why::OwnSlot | Why::OwnMachine | Why::SmallJob);
                if fair && worker != submitter {
                    self.judge_fairness(submitter);
                }
            }
            _ => self.violations.push(format!("job {job} is not explained")),
        }
        self.step_of.insert(job, at);
        let step = &mut self.steps[at];
        step.job = Some(job);
        step.worker = Some(host);
        let work = step.spec.work_ms;
        let own = submitter == worker;
        let life = self.machines[host].life;
        if own {
            self.at(
                0,
                Happening::Arrived {
                    host,
                    life,
                    step: at,
                },
            );
            return;
        }
        let from = self.scenario.builds[self.steps[at].build].submitter;
        let bandwidth = self.machines[from]
            .host
            .bandwidth
            .min(self.machines[host].host.bandwidth);
        let latency = self.machines[from].host.latency_ms + self.machines[host].host.latency_ms;
        let mut ready = self.now + 2 * latency + PREPARE_MS;
        if !installed {
            ready = ready.max(self.machines[from].uplink) + (TOOLCHAIN_BYTES / bandwidth) as u64;
            self.machines[from].uplink = ready;
            ready += UNPACK_MS;
            self.at(ready - self.now, Happening::Installed { host, life });
        }
        let start = ready.max(self.machines[from].uplink);
        let end = start + (work * BYTES_PER_WORK / bandwidth).ceil() as u64;
        if installed {
            self.machines[from].uplink = end;
        }
        self.at(
            end - self.now,
            Happening::Arrived {
                host,
                life,
                step: at,
            },
        );
    }

    /// What is running has run until now.
    fn settle(&mut self, host: usize) {
        let machine = &mut self.machines[host];
        let done = (self.now - machine.since) as f64 * machine.rate;
        machine.since = self.now;
        for at in &machine.running {
            self.steps[*at].left_ms -= done;
        }
    }

    /// Something has begun or ended: all that run there go slower or faster from now on.
    fn changed(&mut self, host: usize) {
        let machine = &mut self.machines[host];
        machine.rate = machine.host.rate_of_each(machine.running.len());
        machine.change += 1;
        let left = machine.running.iter().map(|at| self.steps[*at].left_ms);
        let first = left.fold(f64::INFINITY, f64::min);
        if first.is_finite() {
            let (life, change) = (machine.life, machine.change);
            let after = (first / machine.rate).ceil().max(0.0) as u64;
            self.at(after, Happening::Finished { host, life, change });
        }
    }

    fn some_finished(&mut self, host: usize) {
        self.settle(host);
        let running = self.machines[host].running.iter().copied();
        let done: Vec<usize> = running
            .filter(|at| self.steps[*at].left_ms <= 1e-6)
            .collect();
        for at in done {
            self.finished(host, at);
        }
        self.changed(host);
    }

    fn start_queued(&mut self, host: usize) {
        self.settle(host);
        let before = self.machines[host].running.len();
        while self.machines[host].running.len() < self.machines[host].host.slots as usize
            && let Some(at) = self.machines[host].queue.pop_front()
        {
            let Some(job) = self.steps[at].job else {
                continue;
            };
            let machine = &mut self.machines[host];
            machine.running.push(at);
            machine.memory += self.steps[at].spec.memory;
            let over = machine.memory > machine.host.memory;
            if over {
                self.overcommits += 1;
            }
            let noise = self.rng.between(0.95, 1.05);
            let paging = if over { PAGING } else { 1.0 };
            self.steps[at].left_ms = (self.steps[at].spec.work_ms * noise * paging).max(1.0);
            let node = machine.node;
            self.begun += 1;
            self.steps[at].begun += 1;
            if self.steps[at].begun > 1 + self.steps[at].lost {
                self.violations
                    .push(format!("{} was begun twice", self.steps[at].spec.file));
            }
            self.steps[at].begun_at = self.now;
            if let Some(node) = node {
                self.tell(Event::Begin {
                    node,
                    job,
                    start_time: (self.now / 1000) as u32,
                    client_count: None,
                });
            }
        }
        if self.machines[host].running.len() != before {
            self.changed(host);
        }
    }

    fn finished(&mut self, host: usize, at: usize) {
        let machine = &mut self.machines[host];
        machine.running.retain(|running| *running != at);
        let spec = self.steps[at].spec;
        machine.memory -= spec.memory;
        let Some(node) = machine.node else { return };
        // The result is on its way, whatever becomes of the host now.
        let Some(job) = self.steps[at].job.take() else {
            return;
        };
        let took = (self.now - self.steps[at].begun_at) as u32;
        let bytes = spec.work_ms * BYTES_PER_WORK;
        let result = JobResult {
            exit_code: 0,
            real_ms: took,
            user_ms: took,
            sys_ms: 0,
            page_faults: spec.memory * 256,
            in_compressed: bytes as u32,
            in_uncompressed: (bytes * 4.0) as u32,
            out_compressed: (bytes / 4.0) as u32,
            out_uncompressed: bytes as u32,
        };
        let back = (bytes / 4.0 / machine.host.bandwidth) as u64 + 2 * machine.host.latency_ms;
        self.step_of.remove(&job);
        self.tell(Event::Done {
            node,
            which: DoneJob::Id(job),
            by_submitter: false,
            result,
            client_count: None,
        });
        self.at(back, Happening::Returned(at));
        self.start_queued(host);
    }

    fn step_done(&mut self, at: usize) {
        if std::mem::replace(&mut self.steps[at].done, true) {
            self.violations
                .push(format!("{} was done twice", self.steps[at].spec.file));
            return;
        }
        let number = self.steps[at].build;
        if self.steps[at].spec.local {
            let submitter = self.scenario.builds[number].submitter;
            let client = self.steps[at].client;
            if let Some(node) = self.machines[submitter].node {
                self.tell(Event::LocalDone { node, client });
            }
        }
        for next in self.steps[at].then.clone() {
            self.steps[next].waits_for -= 1;
            if self.steps[next].waits_for == 0 {
                // Links come first, as make starts what has become possible.
                self.builds[number].ready.push_front(next);
            }
        }
        let build = &mut self.builds[number];
        build.under_way -= 1;
        build.left -= 1;
        if build.left == 0 {
            build.ended_at = Some(self.now);
        }
        self.ask_for_more(number);
    }

    /// A submitter got one more while another, that has fewer and asked at the same niceness, waits.
    fn judge_fairness(&mut self, submitter: NodeId) {
        let mut running: BTreeMap<NodeId, usize> = BTreeMap::new();
        let mut waiting: BTreeMap<NodeId, usize> = BTreeMap::new();
        for job in self.core.jobs() {
            let count = match job.worker() {
                Some(_) => &mut running,
                None => &mut waiting,
            };
            *count.entry(job.submitter()).or_default() += 1;
        }
        let mine = running.get(&submitter).copied().unwrap_or(0);
        let wronged = waiting
            .keys()
            .any(|other| running.get(other).copied().unwrap_or(0) + 1 < mine);
        self.unfair += usize::from(wronged);
    }

    /// What must hold after every event.
    fn check(&mut self) {
        for node in self.core.nodes() {
            let slots = node.shown_slots().unsigned_abs();
            let most = slots + 1 + slots / 4;
            // Links start whatever the scheduler does.
            let placed = node.jobs().count() as u64;
            if slots > 0 && placed > most {
                self.violations.push(format!(
                    "{} has {placed} jobs for {slots} slots at {} ms",
                    node.name(),
                    self.now
                ));
            }
        }
    }

    /// What must hold after a round.
    fn look_back(&mut self) {
        for step in &self.steps {
            if !step.done {
                self.violations.push(format!("{} was lost", step.spec.file));
            }
        }
        let live = self.core.job_count();
        if live > 0 {
            self.violations.push(format!("{live} jobs are left over"));
        }
    }

    fn mix(&mut self, what: u64) {
        self.mark = (self.mark ^ what ^ (self.now << 16))
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(31);
    }

    fn outcome(self) -> Outcome {
        let end = |build: &Running| build.ended_at.unwrap_or(self.now);
        let last = self.builds.iter().map(end).max().unwrap_or(self.now);
        let build_ms = self
            .builds
            .iter()
            .map(|build| end(build) - build.started_at);
        Outcome {
            makespan_ms: last - self.round_began,
            build_ms: build_ms.collect(),
            overcommits: self.overcommits,
            begun: self.begun,
            unfair: self.unfair,
            mark: self.mark,
            past: self.core.past(),
            grounds: self.grounds,
            violations: self.violations,
        }
    }
}

fn machine_speed(build: &crate::scenario::Build, scenario: &Scenario) -> f64 {
    scenario
        .hosts
        .get(build.submitter)
        .map_or(1.0, |host| host.speed)
}

fn toolchain() -> Environment {
    Environment::new("x86_64", "gcc-12")
}
