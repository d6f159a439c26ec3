//! What is known of one daemon. Keeps its own counters consistent; decides nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::action::NodeStats;
use crate::admission::Memory;
use crate::config::{LOAD_FULL, limits};
use crate::estimate::{Requested, Statistics, shown_speed};
use crate::event::{Login, Readings};
use crate::ids::{ClientId, Environment, JobId, NodeId, Text, Time};
use crate::index::{Seat, Standing};
use crate::pace::Pace;
use crate::recovered::{Inherited, Rescued};

/// What sending a job is taken to cost until it has been measured, in milliseconds.
const UNKNOWN_SEND_MS: f32 = 50.0;

/// A logged-in daemon.
#[derive(Debug, Clone)]
pub struct Node {
    pub(crate) id: NodeId,
    pub(crate) name: Text,
    pub(crate) address: IpAddr,
    pub(crate) local_address: IpAddr,
    pub(crate) port: u32,
    pub(crate) platform: Text,
    pub(crate) slots: u32,
    pub(crate) chroot: bool,
    pub(crate) no_remote: bool,
    pub(crate) features: u32,
    pub(crate) agreed_version: u32,
    pub(crate) own_version: u32,
    pub(crate) environments: Toolchains,
    pub(crate) load: u32,
    pub(crate) readings: Option<Readings>,
    pub(crate) client_count: u32,
    /// Jobs placed here.
    pub(crate) jobs: BTreeSet<JobId>,
    /// Live jobs asked for by this node.
    pub(crate) submitted: BTreeSet<JobId>,
    pub(crate) local: BTreeMap<ClientId, LocalJob>,
    full_local: u32,
    /// Jobs of another scheduler.
    pub(crate) inherited: Inherited,
    /// Counts placements of the whole cluster; the last one that was made here. 0 if none.
    pub(crate) last_placement: u64,
    /// Placements made here.
    pub(crate) placements: u64,
    pub(crate) compiled: Statistics,
    pub(crate) requested: Requested,
    /// What this submitter found not to work on which worker, by the platform the toolchain runs on.
    pub(crate) blacklist: BTreeMap<NodeId, BTreeSet<Environment>>,
    /// Toolchains this worker failed to install lately, and until when they are not offered to it.
    pub(crate) avoided: BTreeMap<Environment, Time>,
    pub(crate) installing: Option<Installing>,
    pub(crate) reach: Reach,
    /// It was sent PING and has not answered.
    pub(crate) suspended: bool,
    /// It is to be disconnected once idle.
    pub(crate) draining: bool,
    /// An operator wants it to take nothing new.
    pub(crate) resting: bool,
    pub(crate) last_heard: Time,
    /// It says that it answers PING.
    pub(crate) answers: bool,
    /// It was sent PING since.
    pub(crate) asked: bool,
    /// By kind, see the timers.
    pub(crate) alarms: [Option<Time>; 4],
    /// How fast it is, as we have seen.
    pub(crate) pace: Pace,
    /// Milliseconds from placing a job to its begin, where nothing was in the way.
    pub(crate) send_ms: f32,
    /// Milliseconds that sending and unpacking a toolchain takes.
    pub(crate) install_ms: f32,
    pub(crate) memory: Memory,
    pub(crate) last_placed_at: Time,
    /// Its jobs that are on other machines.
    pub(crate) away: u64,
    /// Its jobs that ended since it last asked for one: many at the end of a build.
    pub(crate) ended_since_asked: u32,
    /// When a slot is expected to be free, as long as none is.
    pub(crate) next_free_at: Time,
    /// Its part of what all workers do.
    pub(crate) contributes: f64,
    /// The slots that does it with.
    pub(crate) contributes_slots: f64,
    /// Where it stands in the index of nodes with room.
    pub(crate) seat: Option<Seat>,
}

/// The toolchains a node has: what each is called, and the platforms it compiles for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Toolchains(BTreeMap<Text, Vec<Text>>);

impl Toolchains {
    /// One of this name, for this target, is there.
    pub(crate) fn has(&self, name: &Text, target: &Text) -> bool {
        self.0
            .get(name)
            .is_some_and(|targets| targets.contains(target))
    }

    pub(crate) fn has_name(&self, name: &Text) -> bool {
        self.0.contains_key(name)
    }

    pub(crate) fn insert(&mut self, environment: Environment) {
        let targets = self.0.entry(environment.name).or_default();
        if !targets.contains(&environment.platform) {
            targets.push(environment.platform);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Environment> + '_ {
        self.0.iter().flat_map(|(name, targets)| {
            targets.iter().map(|target| Environment {
                platform: target.clone(),
                name: name.clone(),
            })
        })
    }
}

impl FromIterator<Environment> for Toolchains {
    fn from_iter<T: IntoIterator<Item = Environment>>(environments: T) -> Self {
        let mut toolchains = Toolchains::default();
        for environment in environments {
            toolchains.insert(environment);
        }
        toolchains
    }
}

/// A job a node runs for itself.
#[derive(Debug, Clone)]
pub(crate) struct LocalJob {
    pub(crate) id: JobId,
    pub(crate) full: bool,
    pub(crate) file: Text,
    pub(crate) start_time: u32,
}

/// A toolchain on its way to a worker.
#[derive(Debug, Clone)]
pub(crate) struct Installing {
    pub(crate) environment: Environment,
    /// The job whose submitter sends it.
    pub(crate) job: JobId,
    pub(crate) since: Time,
}

/// Whether others can connect to a node, as far as tests tell.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reach {
    /// Failed tests in a row; 0 means reachable.
    pub(crate) failures: u32,
    /// A test is under way.
    pub(crate) testing: bool,
    /// A test has failed at some time.
    pub(crate) ever_failed: bool,
}

impl Node {
    pub(crate) fn new(id: NodeId, login: Login, now: Time) -> Self {
        Node {
            id,
            name: login.name,
            address: login.address,
            local_address: login.local_address,
            port: login.port,
            platform: login.platform,
            slots: login.slots.min(limits::SLOTS),
            chroot: login.chroot,
            no_remote: login.no_remote,
            features: login.features,
            agreed_version: login.agreed_version,
            own_version: login.own_version,
            environments: login.environments.into_iter().collect(),
            load: LOAD_FULL,
            readings: None,
            client_count: 0,
            jobs: BTreeSet::new(),
            submitted: BTreeSet::new(),
            local: BTreeMap::new(),
            full_local: 0,
            inherited: Inherited::default(),
            last_placement: 0,
            placements: 0,
            compiled: Statistics::default(),
            requested: Requested::default(),
            blacklist: BTreeMap::new(),
            avoided: BTreeMap::new(),
            installing: None,
            reach: Reach::default(),
            suspended: false,
            draining: false,
            resting: false,
            last_heard: now,
            answers: false,
            asked: false,
            alarms: [None; 4],
            pace: Pace::new(1.0),
            send_ms: UNKNOWN_SEND_MS,
            install_ms: 0.0,
            memory: Memory::default(),
            last_placed_at: now,
            away: 0,
            ended_since_asked: 0,
            next_free_at: now,
            contributes: 0.0,
            contributes_slots: 0.0,
            seat: None,
        }
    }

    /// Its number.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// Its name; its address if it gave none.
    pub fn name(&self) -> &Text {
        &self.name
    }

    /// Its address as the scheduler sees it.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Where it accepts jobs.
    pub fn port(&self) -> u32 {
        self.port
    }

    /// What it runs on.
    pub fn platform(&self) -> &Text {
        &self.platform
    }

    /// How many jobs it runs at a time; negative while it does not answer.
    pub fn shown_slots(&self) -> i64 {
        let slots = i64::from(self.slots);
        if self.suspended { -slots } else { slots }
    }

    /// 0 to 1000.
    pub fn load(&self) -> u32 {
        self.load
    }

    /// Protocol version of its connection.
    pub fn agreed_version(&self) -> u32 {
        self.agreed_version
    }

    /// Bytes of object per millisecond, as people are shown it.
    pub fn speed(&self) -> f32 {
        shown_speed(self)
    }

    /// Jobs placed here, in order of their numbers.
    pub fn jobs(&self) -> impl Iterator<Item = JobId> + '_ {
        self.jobs.iter().copied()
    }

    /// Jobs of another scheduler that run here.
    pub fn recovered(&self) -> impl Iterator<Item = &Rescued> {
        self.inherited.running()
    }

    /// Since when a toolchain is being installed.
    pub fn installing_since(&self) -> Option<Time> {
        self.installing.as_ref().map(|installing| installing.since)
    }

    /// How many finished jobs its shown speed comes from.
    pub fn samples(&self) -> usize {
        self.compiled.len()
    }

    /// How many toolchains it has, those for several targets counted once each.
    pub fn toolchains(&self) -> usize {
        self.environments.iter().count()
    }

    /// It takes nothing new.
    pub fn is_draining(&self) -> bool {
        self.draining || self.resting
    }

    /// Slots in use: jobs placed here, those of another scheduler, and local ones, a full one counting as the whole machine.
    pub fn occupied(&self) -> u64 {
        self.jobs.len() as u64 + self.inherited.occupied() + self.local_load()
    }

    pub(crate) fn local_load(&self) -> u64 {
        let full = u64::from(self.full_local);
        full * u64::from(self.slots) + self.local.len() as u64 - full
    }

    /// A job placed here now would start now.
    pub(crate) fn has_free_slot(&self) -> bool {
        self.occupied() < u64::from(self.slots)
    }

    /// A job placed here now would start now or be the next.
    pub(crate) fn has_room(&self) -> bool {
        let slots = u64::from(self.slots);
        let preload = 1 + slots / 4;
        slots > 0
            && (self.has_free_slot()
                || (self.occupied() < slots + preload && self.local_load() < slots))
    }

    /// With one more job, more than half of its slots are in use.
    pub(crate) fn crowded_with_one_more(&self) -> bool {
        (self.occupied() + 1) * 2 > u64::from(self.slots)
    }

    /// It will most likely ask for another job when one ends.
    pub(crate) fn keeps_asking(&self) -> bool {
        self.ended_since_asked < 4
    }

    /// How much of the machine its owner leaves to jobs, 0 to 1.
    pub(crate) fn share_of_machine(&self) -> f32 {
        LOAD_FULL.saturating_sub(self.load).max(50) as f32 / LOAD_FULL as f32
    }

    /// How much of the machine is left for its own jobs by the clients that prepare others: each takes a core for a while.
    pub(crate) fn share_left_by_clients(&self) -> f32 {
        let clients = match self.client_count {
            0 => self.submitted.len() as u64,
            counted => u64::from(counted),
        };
        let slots = u64::from(self.slots.max(1));
        if clients > slots {
            0.5
        } else if clients * 2 > slots {
            0.8
        } else {
            1.0
        }
    }

    /// Others may find it in the index, but a job would have to wait.
    pub(crate) fn is_full(&self) -> bool {
        let standing = self.seat.as_ref().map(|seat| seat.standing);
        matches!(standing, Some(Standing::Full(_)))
    }

    /// Others may find it in the index now.
    pub(crate) fn is_listed(&self) -> bool {
        self.seat
            .as_ref()
            .is_some_and(|seat| seat.standing != Standing::Closed)
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.jobs.is_empty()
            && self.submitted.is_empty()
            && self.local.is_empty()
            && self.inherited.is_empty()
    }

    pub(crate) fn is_reachable(&self) -> bool {
        self.reach.failures == 0
    }

    /// Whether this is its name or address, as an operator or a preferred host may give it.
    pub fn answers_to(&self, host: &[u8]) -> bool {
        self.name.as_bytes() == host || self.has_address(host)
    }

    /// The addresses it is handed out with, as far as we know which ones those are.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let other = self.address.is_loopback().then_some(self.local_address);
        std::iter::once(self.address).chain(other)
    }

    fn has_address(&self, host: &[u8]) -> bool {
        let Ok(host) = std::str::from_utf8(host).unwrap_or("").parse::<IpAddr>() else {
            return false;
        };
        self.addresses().any(|address| address == host)
    }

    /// Where `submitter` should connect to. A daemon on the scheduler's own machine that came through loopback is
    /// reached from elsewhere at the address that other connected to.
    pub(crate) fn address_for(&self, submitter: &Node) -> IpAddr {
        if self.address.is_loopback() && !submitter.address.is_loopback() {
            submitter.local_address
        } else {
            self.address
        }
    }

    pub(crate) fn add_local(&mut self, client: ClientId, job: LocalJob) -> Option<LocalJob> {
        self.full_local += u32::from(job.full);
        let replaced = self.local.insert(client, job);
        self.full_local -= u32::from(replaced.as_ref().is_some_and(|job| job.full));
        replaced
    }

    pub(crate) fn remove_local(&mut self, client: ClientId) -> Option<LocalJob> {
        let removed = self.local.remove(&client);
        self.full_local -= u32::from(removed.as_ref().is_some_and(|job| job.full));
        removed
    }

    pub(crate) fn stats(&self, readings: Option<Readings>) -> NodeStats {
        NodeStats {
            node: self.id,
            name: self.name.clone(),
            address: self.address,
            slots: self.shown_slots(),
            no_remote: self.no_remote,
            platform: self.platform.clone(),
            version: self.own_version,
            features: self.features,
            speed: self.speed(),
            load: self.load,
            readings,
            accepting: self.reach.ever_failed.then(|| self.is_reachable()),
        }
    }
}

/// A node name fit for display: control characters would forge lines in texts for people and monitors.
pub(crate) fn printable(name: &Text) -> Text {
    if name
        .as_bytes()
        .iter()
        .any(|byte| *byte < b' ' || *byte == 0x7f)
    {
        let clean: Vec<u8> = name
            .as_bytes()
            .iter()
            .map(|byte| {
                if *byte < b' ' || *byte == 0x7f {
                    b'?'
                } else {
                    *byte
                }
            })
            .collect();
        Text::from(clean)
    } else {
        name.clone()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::ids::ConnectionId;
    use std::net::Ipv4Addr;

    pub(crate) fn node(id: u32, slots: u32) -> Node {
        let login = Login {
            connection: ConnectionId(u64::from(id)),
            address: IpAddr::V4(Ipv4Addr::new(10, 0, 0, id as u8)),
            local_address: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 254)),
            port: 10245,
            slots,
            environments: Vec::new(),
            name: Text::from(format!("n{id}")),
            platform: Text::from("x86_64"),
            chroot: true,
            no_remote: false,
            features: 0,
            agreed_version: 44,
            own_version: 44,
        };
        Node::new(NodeId(id), login, Time(0))
    }

    fn local(id: u32, full: bool) -> LocalJob {
        LocalJob {
            id: JobId(id),
            full,
            file: Text::default(),
            start_time: 0,
        }
    }

    #[test]
    fn a_full_local_job_takes_the_whole_machine() {
        let mut node = node(1, 4);
        node.add_local(ClientId(1), local(1, false));
        assert_eq!(node.occupied(), 1);
        assert!(node.has_free_slot());
        node.add_local(ClientId(2), local(2, true));
        assert_eq!(node.occupied(), 5);
        assert!(!node.has_room());
        node.add_local(ClientId(2), local(3, false));
        assert_eq!(node.occupied(), 2);
        node.remove_local(ClientId(2));
        node.remove_local(ClientId(9));
        assert_eq!(node.occupied(), 1);
    }

    #[test]
    fn preload_is_a_quarter_and_one_and_not_for_local_jobs() {
        let mut node = node(1, 4);
        for job in 0..5 {
            assert!(node.has_room());
            node.jobs.insert(JobId(job));
        }
        assert!(!node.has_free_slot());
        assert!(node.has_room());
        node.jobs.insert(JobId(5));
        assert!(!node.has_room());
        node.jobs.clear();
        for client in 0..4 {
            node.add_local(ClientId(client), local(client, false));
        }
        assert!(!node.has_room());
        node.slots = 0;
        assert!(!node.has_room());
    }

    #[test]
    fn loopback_is_handed_to_others_as_the_address_they_know() {
        let mut worker = node(1, 4);
        let mut submitter = node(2, 4);
        assert_eq!(worker.address_for(&submitter), worker.address);
        worker.address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        assert_eq!(worker.address_for(&submitter), submitter.local_address);
        submitter.address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        assert_eq!(worker.address_for(&submitter), worker.address);
    }

    #[test]
    fn names_lose_control_characters() {
        assert_eq!(
            printable(&Text::from("a\nState:Offline")).as_bytes(),
            b"a?State:Offline"
        );
        assert_eq!(
            printable(&Text::from("bücher")).as_bytes(),
            "bücher".as_bytes()
        );
    }
}
