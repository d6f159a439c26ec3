//! Stories told to the core from outside, and random ones with what must always hold.

mod failures;
mod finishing;
mod kills;
mod placing;
mod random;
mod recovered;
mod waiting;

use std::net::{IpAddr, Ipv4Addr};

use crate::*;

/// A core with a clock, and short ways to say what happens.
pub(super) struct World {
    pub(super) core: Core,
    pub(super) now: Time,
    connections: u64,
}

/// A worker told to a submitter: job and node; the submitter itself if it was told to compile.
pub(super) type Told = (u32, u32);

impl World {
    pub(super) fn new() -> Self {
        World::with(Config {
            seed: 7,
            algorithm: Algorithm::Fastest,
            exploration_percent: 0,
            ..Config::default()
        })
    }

    pub(super) fn with(config: Config) -> Self {
        World {
            core: Core::new(config),
            now: Time(0),
            connections: 0,
        }
    }

    pub(super) fn event(&mut self, event: Event) -> Vec<Action> {
        let actions = self.core.handle(self.now, event);
        self.core.check();
        actions
    }

    pub(super) fn pass(&mut self, seconds: u64) -> Vec<Action> {
        let end = self.now.plus_seconds(seconds);
        let mut actions = Vec::new();
        while let Some(at) = self.core.next_deadline()
            && at <= end
        {
            self.now = at.max(self.now);
            actions.extend(self.event(Event::Tick));
        }
        self.now = end;
        actions.extend(self.event(Event::Tick));
        actions
    }

    pub(super) fn login_form(&mut self, slots: u32) -> Login {
        self.connections += 1;
        let number = self.connections as u8;
        Login {
            connection: ConnectionId(self.connections),
            address: IpAddr::V4(Ipv4Addr::new(10, 0, 0, number)),
            local_address: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 254)),
            port: 10245,
            slots,
            environments: Vec::new(),
            name: Text::from(format!("n{number}")),
            platform: Text::from("x86_64"),
            chroot: true,
            no_remote: false,
            features: 3,
            agreed_version: 44,
            own_version: 44,
        }
    }

    /// A node with a changed form, ready for work.
    pub(super) fn node_with(&mut self, slots: u32, change: impl FnOnce(&mut Login)) -> NodeId {
        let mut form = self.login_form(slots);
        change(&mut form);
        let actions = self.event(Event::Login(Box::new(form)));
        let node = accepted(&actions);
        self.load(node, 0);
        node
    }

    /// A node that has the toolchain, ready for work.
    pub(super) fn worker(&mut self, slots: u32) -> NodeId {
        self.node_with(slots, |form| {
            form.environments = vec![Environment::new("x86_64", "gcc")];
        })
    }

    /// A node that only asks.
    pub(super) fn asker(&mut self) -> NodeId {
        self.node_with(0, |form| form.no_remote = true)
    }

    pub(super) fn load(&mut self, node: NodeId, load: u32) -> Vec<Action> {
        self.event(Event::Stats {
            node,
            load,
            readings: Readings::default(),
        })
    }

    pub(super) fn request_form(&self) -> Request {
        Request {
            environments: vec![Environment::new("x86_64", "gcc")],
            file: Text::from("/src/one.cpp"),
            language: 1,
            count: 1,
            target: Text::from("x86_64"),
            arg_flags: 0,
            client: ClientId(1),
            preferred_host: Text::default(),
            minimal_version: 21,
            features: 0,
            source_bytes: 0,
            niceness: 0,
            client_count: 0,
        }
    }

    pub(super) fn ask_with(
        &mut self,
        node: NodeId,
        change: impl FnOnce(&mut Request),
    ) -> Vec<Action> {
        let mut request = self.request_form();
        change(&mut request);
        self.event(Event::Request {
            node,
            request: Box::new(request),
        })
    }

    pub(super) fn ask(&mut self, node: NodeId) -> Vec<Told> {
        told(&self.ask_with(node, |_| ()))
    }

    pub(super) fn finish_with(&mut self, job: u32, result: JobResult) -> Vec<Action> {
        let worker = self.core.job(JobId(job)).unwrap().worker().unwrap();
        self.event(Event::Done {
            node: worker,
            which: DoneJob::Id(JobId(job)),
            by_submitter: false,
            result,
            client_count: None,
        })
    }

    /// The worker reports an object of 100 kB after `user_ms`.
    pub(super) fn finish(&mut self, job: u32, user_ms: u32) -> Vec<Told> {
        told(&self.finish_with(job, result(user_ms)))
    }

    /// Gives `node` a known speed.
    pub(super) fn teach(&mut self, asker: NodeId, node: NodeId, user_ms: u32) {
        let name = self.core.node(node).unwrap().name().clone();
        for _ in 0..8 {
            let answers =
                told(&self.ask_with(asker, |request| request.preferred_host = name.clone()));
            assert_eq!(answers[0].1, node.0);
            self.finish(answers[0].0, user_ms);
        }
    }
}

pub(super) fn result(user_ms: u32) -> JobResult {
    JobResult {
        out_uncompressed: 100_000,
        user_ms,
        real_ms: user_ms,
        ..JobResult::default()
    }
}

pub(super) fn accepted(actions: &[Action]) -> NodeId {
    actions
        .iter()
        .find_map(|action| match action {
            Action::Accept { node, .. } => Some(*node),
            _ => None,
        })
        .expect("login accepted")
}

pub(super) fn told(actions: &[Action]) -> Vec<Told> {
    actions
        .iter()
        .filter_map(|action| match action {
            Action::UseWorker { answer, .. } => Some((answer.job.0, answer.worker.0)),
            Action::CompileYourself { node, job, .. } => Some((job.0, node.0)),
            _ => None,
        })
        .collect()
}

pub(super) fn answer(actions: &[Action]) -> Answer {
    actions
        .iter()
        .find_map(|action| match action {
            Action::UseWorker { answer, .. } => Some((**answer).clone()),
            _ => None,
        })
        .expect("a worker was told")
}

pub(super) fn monitored(actions: &[Action]) -> Vec<MonitorEvent> {
    actions
        .iter()
        .filter_map(|action| match action {
            Action::Monitor { event, .. } => Some(event.clone()),
            _ => None,
        })
        .collect()
}

pub(super) fn dropped(actions: &[Action]) -> Vec<(NodeId, Dropped)> {
    actions
        .iter()
        .filter_map(|action| match action {
            Action::Disconnect { node, reason } => Some((*node, reason.clone())),
            _ => None,
        })
        .collect()
}

impl Core {
    /// What must hold between any two events.
    pub(super) fn check(&self) {
        let (mut open, mut free) = (0, 0);
        let job = |id: &JobId| self.jobs.get(id).expect("a live job");
        let node = |id: &NodeId| self.nodes.get(id).expect("a node that is here");
        for node in self.nodes() {
            for id in &node.jobs {
                assert_eq!(job(id).worker(), Some(node.id));
            }
            for id in &node.submitted {
                assert_eq!(job(id).submitter, node.id);
            }
            let standing = crate::place::standing(node, &self.config, &self.cluster);
            let indexed = node.seat.as_ref().unwrap().standing;
            let sort = std::mem::discriminant::<crate::index::Standing>;
            assert_eq!(sort(&indexed), sort(&standing), "node {}", node.id);
            match indexed {
                crate::index::Standing::Closed => {}
                crate::index::Standing::Free(_) => (open, free) = (open + 1, free + 1),
                crate::index::Standing::Full(_) => open += 1,
            }
            for host in node.blacklist.keys() {
                assert!(self.nodes.contains_key(host));
            }
            if let Some(installing) = &node.installing {
                assert!(node.jobs.contains(&installing.job));
            }
        }
        assert_eq!((self.index.open(), self.index.free()), (open, free));
        for (_, id, _) in &self.alarms {
            assert!(self.nodes.contains_key(id));
        }
        let mut queued = Vec::new();
        for job in self.jobs() {
            assert!(node(&job.submitter).submitted.contains(&job.id));
            match job.worker() {
                Some(worker) => assert!(node(&worker).jobs.contains(&job.id)),
                None => queued.push(job.id),
            }
        }
        assert_eq!(self.queue.jobs(), queued);
    }

    /// Nothing of departed nodes is left.
    pub(super) fn check_empty(&self) {
        assert!(self.nodes.is_empty() && self.jobs.is_empty() && self.queue.is_empty());
        assert!(self.index.open() == 0 && self.hosts.is_empty() && self.alarms.is_empty());
    }
}
