//! The jobs that wait, and whose turn it is.
//!
//! A group holds the jobs of one submitter at one niceness. Jobs with equal needs form a class, and those of one group in
//! one class a lane: if the head of a lane cannot be placed, neither can the rest of it, and mostly neither can the other
//! lanes of the class, so a few attempts try every job. No job waits behind one that cannot be placed.
//!
//! Whose turn it is depends on the [`Discipline`]. Within one submitter the lower niceness always comes first.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;

use crate::event::Request;
use crate::ids::{JobId, NodeId, Time};
use crate::job::{Job, Needs};
use crate::table::Table;

/// How submitters share the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Discipline {
    /// Icecream's: the lower niceness first whoever asks, submitters of one niceness in turns.
    #[default]
    Turns,
    /// Who has the least work under way comes first; four steps of niceness halve a share.
    Shares,
}

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Queue {
    discipline: Discipline,
    classes: BTreeMap<Class, Waiting>,
    groups: BTreeMap<Owner, Group>,
    /// Jobs that each submitter has on the machines of others.
    running: Table<NodeId, u64>,
    jobs: usize,
    next_position: u64,
    /// Needs that were asked for lately, for equal ones to share.
    recent: Vec<Arc<Needs>>,
    next_recent: usize,
}

/// Needs remembered for equal ones.
const RECENT: usize = 16;

/// Submitter and niceness.
type Owner = (NodeId, u8);

/// What a lane's jobs have in common, whoever asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Class {
    pub(crate) needs: Arc<Needs>,
    /// How much memory they are expected to take, see [`crate::admission`].
    pub(crate) memory: u8,
}

impl Ord for Class {
    fn cmp(&self, other: &Self) -> Ordering {
        // Jobs of a class share their needs, so mostly there is nothing to compare.
        let needs = if Arc::ptr_eq(&self.needs, &other.needs) {
            Ordering::Equal
        } else {
            self.needs.cmp(&other.needs)
        };
        needs.then(self.memory.cmp(&other.memory))
    }
}

impl PartialOrd for Class {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Place of a group in the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
struct Turn {
    rank: u64,
    position: u64,
}

#[derive(Debug, Clone)]
struct Group {
    turn: Turn,
    classes: BTreeSet<Class>,
}

/// All waiting jobs of one class.
#[derive(Debug, Clone, Default)]
struct Waiting {
    lanes: BTreeMap<Turn, Lane>,
    /// The last pass in which nobody of this class could be served.
    closed_in_pass: u64,
    /// Until when nothing is to be sent ahead.
    ahead_again: Time,
}

#[derive(Debug, Clone, Default)]
struct Lane {
    /// By urgency, then by arrival.
    jobs: BTreeMap<(i64, u64), JobId>,
    /// By expected work, for [`Discipline::Shares`].
    by_work: BTreeSet<(u64, u64, JobId)>,
    /// The last pass in which the head could not be placed.
    failed_in_pass: u64,
    /// The state of the cluster for which it is known that somebody could take these jobs some day.
    hopeful_at: Option<u64>,
}

/// First job of a lane, to be tried now.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    turn: Turn,
    pub(crate) class: Class,
    pub(crate) job: JobId,
    pub(crate) hopeful_at: Option<u64>,
    pub(crate) ahead_again: Time,
    /// It stands in the queue.
    pub(crate) queued: bool,
}

/// The lanes to try in one pass, the first in turn first. Placing a job only ever moves lanes back, so what has become out
/// of date is noticed when it comes up.
#[derive(Debug)]
pub(crate) struct Line {
    pass: u64,
    /// Only the lanes of this submitter, whether their classes are closed or not.
    of: Option<NodeId>,
    heads: BinaryHeap<Reverse<Standby>>,
    /// The one that was taken out last: it may have another job.
    last: Option<Standby>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Standby {
    turn: Turn,
    /// Of the lane's first job.
    place: (i64, u64),
    class: Class,
    owner: Option<Owner>,
}

/// Who else cannot be served if the head of a lane cannot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The reason is the submitter's own.
    Lane,
    /// Nobody of the class can, but for machines that take only their own jobs.
    Class,
}

impl Queue {
    pub(crate) fn new(discipline: Discipline) -> Self {
        Queue {
            discipline,
            classes: BTreeMap::new(),
            groups: BTreeMap::new(),
            running: Table::new(),
            jobs: 0,
            next_position: 0,
            recent: Vec::new(),
            next_recent: 0,
        }
    }

    /// What a request demands. Mostly somebody has just demanded the same.
    pub(crate) fn needs_of(&mut self, request: &Request, ipv6: bool) -> Arc<Needs> {
        let same = |needs: &&Arc<Needs>| {
            needs.minimal_version == request.minimal_version
                && needs.features == request.features
                && needs.ipv6 == ipv6
                && needs.environments[..] == request.environments[..]
                && needs.target == request.target
                && needs.preferred_host == request.preferred_host
        };
        if let Some(needs) = self.recent.iter().find(same) {
            return Arc::clone(needs);
        }
        let needs = Needs {
            mark: 0,
            environments: request.environments.as_slice().into(),
            target: request.target.clone(),
            preferred_host: request.preferred_host.clone(),
            minimal_version: request.minimal_version,
            features: request.features,
            ipv6,
        }
        .marked();
        match self.recent.get_mut(self.next_recent) {
            Some(old) => *old = Arc::clone(&needs),
            None => self.recent.push(Arc::clone(&needs)),
        }
        self.next_recent = (self.next_recent + 1) % RECENT;
        needs
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.jobs == 0
    }

    /// How many jobs wait.
    pub(crate) fn len(&self) -> usize {
        self.jobs
    }

    /// Adds a job behind those of its group, a new group behind those of its rank. Gives back the needs the class shares,
    /// for the job to keep.
    pub(crate) fn push(&mut self, job: &Job) -> Arc<Needs> {
        let owner = (job.submitter, job.niceness);
        let turn = match self.groups.get(&owner) {
            Some(group) => group.turn,
            None => {
                let turn = self.new_turn(owner);
                let classes = BTreeSet::new();
                self.groups.insert(owner, Group { turn, classes });
                turn
            }
        };
        let mut class = class_of(job);
        if let Some((shared, _)) = self.classes.get_key_value(&class) {
            class = shared.clone();
        }
        if let Some(group) = self.groups.get_mut(&owner)
            && !group.classes.contains(&class)
        {
            group.classes.insert(class.clone());
        }
        let needs = Arc::clone(&class.needs);
        let waiting = self.classes.entry(class).or_default();
        let lane = waiting.lanes.entry(turn).or_default();
        if lane.jobs.insert(place_of(job), job.id).is_none() {
            self.jobs += 1;
        }
        if self.discipline == Discipline::Shares {
            lane.by_work.insert(work_of(job));
        }
        needs
    }

    /// Takes a job out, wherever it stands.
    pub(crate) fn remove(&mut self, job: &Job) {
        let owner = (job.submitter, job.niceness);
        let class = class_of(job);
        let Some(group) = self.groups.get_mut(&owner) else {
            return;
        };
        let Some(waiting) = self.classes.get_mut(&class) else {
            return;
        };
        let Some(lane) = waiting.lanes.get_mut(&group.turn) else {
            return;
        };
        if lane.jobs.remove(&place_of(job)).is_some() {
            self.jobs -= 1;
        }
        lane.by_work.remove(&work_of(job));
        if lane.jobs.is_empty() {
            waiting.lanes.remove(&group.turn);
            group.classes.remove(&class);
        }
        if waiting.lanes.is_empty() {
            self.classes.remove(&class);
        }
        if group.classes.is_empty() {
            self.groups.remove(&owner);
        }
    }

    /// Takes out a job that has been placed: its group has had its turn.
    pub(crate) fn placed(&mut self, job: &Job) {
        self.remove(job);
        self.end_turn((job.submitter, job.niceness));
    }

    /// The submitter has so many jobs on the machines of others now.
    pub(crate) fn set_running(&mut self, submitter: NodeId, jobs: u64) {
        if self.discipline == Discipline::Turns {
            return;
        }
        if jobs == 0 {
            self.running.remove(&submitter);
        } else {
            self.running.insert(submitter, jobs);
        }
        if self.jobs == 0 {
            return;
        }
        let owners: [Option<Owner>; 21] = {
            let mut groups = self
                .groups
                .range((submitter, u8::MIN)..=(submitter, u8::MAX));
            std::array::from_fn(|_| groups.next().map(|(owner, _)| *owner))
        };
        for owner in owners.into_iter().flatten() {
            let rank = self.rank(owner);
            if let Some(group) = self.groups.get(&owner)
                && group.turn.rank != rank
            {
                let position = group.turn.position;
                self.move_to(owner, Turn { rank, position });
            }
        }
    }

    /// What is to be tried in this pass: the first lane of each class, and then its others.
    pub(crate) fn line(&self, pass: u64) -> Line {
        let first = Turn::default();
        let open = self
            .classes
            .keys()
            .filter_map(|class| self.standby(class, first, pass));
        Line {
            pass,
            of: None,
            heads: open.map(Reverse).collect(),
            last: None,
        }
    }

    /// As [`Queue::line`], for the lanes of one submitter, even if their classes are closed.
    pub(crate) fn line_of(&self, submitter: NodeId, pass: u64) -> Line {
        let groups = self
            .groups
            .range((submitter, u8::MIN)..=(submitter, u8::MAX));
        let open = groups.flat_map(|(owner, group)| {
            let classes = group.classes.iter();
            classes.filter_map(|class| self.own_standby(class, *owner, pass))
        });
        Line {
            pass,
            of: Some(submitter),
            heads: open.map(Reverse).collect(),
            last: None,
        }
    }

    /// The next job to try.
    pub(crate) fn next(&self, line: &mut Line) -> Option<Head> {
        let mut again = line.last.take();
        loop {
            if let Some(old) = again {
                let now = match old.owner {
                    None => self.standby(&old.class, old.turn, line.pass),
                    Some(owner) => self.own_standby(&old.class, owner, line.pass),
                };
                line.heads.extend(now.map(Reverse));
            }
            let Reverse(first) = line.heads.pop()?;
            let waiting = self.classes.get(&first.class);
            let lane = waiting.and_then(|waiting| Some((waiting, waiting.lanes.get(&first.turn)?)));
            if let Some((waiting, lane)) = lane
                && (line.of.is_some() || waiting.closed_in_pass != line.pass)
                && lane.failed_in_pass != line.pass
                && let Some((place, job)) = lane.jobs.first_key_value()
                && *place == first.place
            {
                let head = Head {
                    turn: first.turn,
                    class: first.class.clone(),
                    job: *job,
                    hopeful_at: lane.hopeful_at,
                    ahead_again: waiting.ahead_again,
                    queued: true,
                };
                line.last = Some(first);
                return Some(head);
            }
            again = Some(first);
        }
    }

    /// The first job of the lane of a job, if that lane has not been tried in this pass.
    pub(crate) fn head_of(&self, job: &Job, pass: u64) -> Option<Head> {
        let group = self.groups.get(&(job.submitter, job.niceness))?;
        let class = class_of(job);
        let (class, waiting) = self.classes.get_key_value(&class)?;
        let lane = waiting.lanes.get(&group.turn)?;
        if lane.failed_in_pass == pass {
            return None;
        }
        let (_, job) = lane.jobs.first_key_value()?;
        Some(Head {
            turn: group.turn,
            class: class.clone(),
            job: *job,
            hopeful_at: lane.hopeful_at,
            ahead_again: waiting.ahead_again,
            queued: true,
        })
    }

    /// A job that is not in the queue yet, if there it would be the first of its lane.
    pub(crate) fn newcomer(&self, job: &Job) -> Option<Head> {
        let class = class_of(job);
        let turn = self.groups.get(&(job.submitter, job.niceness));
        let turn = turn.map_or_else(Turn::default, |group| group.turn);
        let (class, ahead_again) = match self.classes.get_key_value(&class) {
            Some((_, waiting)) if waiting.lanes.contains_key(&turn) => return None,
            Some((shared, waiting)) => (shared.clone(), waiting.ahead_again),
            None => (class, Time(0)),
        };
        Some(Head {
            turn,
            class,
            job: job.id,
            hopeful_at: None,
            ahead_again,
            queued: false,
        })
    }

    /// The first lane of a class, from `turn` on, that has not been tried in this pass.
    fn standby(&self, class: &Class, turn: Turn, pass: u64) -> Option<Standby> {
        let (class, waiting) = self.classes.get_key_value(class)?;
        if waiting.closed_in_pass == pass {
            return None;
        }
        let mut lanes = waiting.lanes.range(turn..);
        let (turn, lane) = lanes.find(|(_, lane)| lane.failed_in_pass != pass)?;
        Some(Standby {
            turn: *turn,
            place: *lane.jobs.first_key_value()?.0,
            class: class.clone(),
            owner: None,
        })
    }

    fn own_standby(&self, class: &Class, owner: Owner, pass: u64) -> Option<Standby> {
        let turn = self.groups.get(&owner)?.turn;
        let lane = self.classes.get(class)?.lanes.get(&turn)?;
        if lane.failed_in_pass == pass {
            return None;
        }
        Some(Standby {
            turn,
            place: *lane.jobs.first_key_value()?.0,
            class: class.clone(),
            owner: Some(owner),
        })
    }

    /// The waiting job of the same submitter, niceness and needs that is expected to take least, if it is another.
    pub(crate) fn shortest(&self, than: &Job) -> Option<Head> {
        let group = self.groups.get(&(than.submitter, than.niceness))?;
        let all = Class {
            needs: Arc::clone(&than.needs),
            memory: u8::MIN,
        };
        let same = group.classes.range(all..);
        let same = same.take_while(|class| class.needs == than.needs);
        let (job, class, lane, ahead_again) = same
            .filter_map(|class| {
                let waiting = self.classes.get(class)?;
                let lane = waiting.lanes.get(&group.turn)?;
                Some((lane.by_work.first()?, class, lane, waiting.ahead_again))
            })
            .min_by_key(|(job, ..)| **job)?;
        (job.2 != than.id).then(|| Head {
            turn: group.turn,
            class: class.clone(),
            job: job.2,
            hopeful_at: lane.hopeful_at,
            ahead_again,
            queued: true,
        })
    }

    /// Nothing of this class is to be sent ahead before then.
    pub(crate) fn not_ahead_before(&mut self, class: &Class, at: Time) {
        if let Some(waiting) = self.classes.get_mut(class) {
            waiting.ahead_again = at;
        }
    }

    /// Notes that the lane cannot be served in this pass, but that there is hope in this state of the cluster.
    pub(crate) fn wait(&mut self, head: &Head, pass: u64, reach: Reach, hopeful_at: u64) {
        let Some(waiting) = self.classes.get_mut(&head.class) else {
            return;
        };
        if reach == Reach::Class {
            waiting.closed_in_pass = pass;
        }
        if let Some(lane) = waiting.lanes.get_mut(&head.turn) {
            lane.failed_in_pass = pass;
            lane.hopeful_at = Some(hopeful_at);
        }
    }

    /// How many different needs the waiting jobs of a submitter have.
    pub(crate) fn lanes_of(&self, submitter: NodeId) -> usize {
        if self.jobs == 0 {
            return 0;
        }
        let groups = self
            .groups
            .range((submitter, u8::MIN)..=(submitter, u8::MAX));
        groups
            .map(|(_, group)| {
                let classes = || group.classes.iter();
                let steps = classes().zip(classes().skip(1));
                group.classes.len() - steps.filter(|(a, b)| a.needs == b.needs).count()
            })
            .sum()
    }

    fn rank(&self, (submitter, niceness): Owner) -> u64 {
        match self.discipline {
            Discipline::Turns => u64::from(niceness),
            Discipline::Shares => {
                let running = self.running.get(&submitter).copied().unwrap_or(0);
                let weight = NICENESS_WEIGHT.get(usize::from(niceness)).copied();
                (running + 1).saturating_mul(weight.unwrap_or(u64::MAX))
            }
        }
    }

    fn new_turn(&mut self, owner: Owner) -> Turn {
        self.next_position += 1;
        Turn {
            rank: self.rank(owner),
            position: self.next_position,
        }
    }

    fn end_turn(&mut self, owner: Owner) {
        if self.groups.contains_key(&owner) {
            let turn = self.new_turn(owner);
            self.move_to(owner, turn);
        }
    }

    fn move_to(&mut self, owner: Owner, turn: Turn) {
        let Some(group) = self.groups.get_mut(&owner) else {
            return;
        };
        let old = std::mem::replace(&mut group.turn, turn);
        for class in &group.classes {
            if let Some(waiting) = self.classes.get_mut(class)
                && let Some(lane) = waiting.lanes.remove(&old)
            {
                waiting.lanes.insert(turn, lane);
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn jobs(&self) -> Vec<JobId> {
        let lanes = self.classes.values().flat_map(|class| class.lanes.values());
        let mut jobs: Vec<JobId> = lanes.flat_map(|lane| lane.jobs.values().copied()).collect();
        jobs.sort();
        assert_eq!(jobs.len(), self.jobs);
        jobs
    }
}

/// How much more one running job counts at each niceness: 2^(n/4), in 64ths.
const NICENESS_WEIGHT: [u64; 21] = [
    64, 76, 91, 108, 128, 152, 181, 215, 256, 304, 362, 431, 512, 609, 724, 861, 1024, 1218, 1448,
    1722, 2048,
];

fn place_of(job: &Job) -> (i64, u64) {
    (job.urgency, job.arrival)
}

fn work_of(job: &Job) -> (u64, u64, JobId) {
    (job.forecast.work_ms as u64, job.arrival, job.id)
}

fn class_of(job: &Job) -> Class {
    Class {
        needs: Arc::clone(&job.needs),
        memory: job.memory,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{ClientId, Text};
    use crate::job::State;

    fn job(id: u32, submitter: u32, niceness: u8, target: &str) -> Job {
        Job {
            id: JobId(id),
            client: ClientId(id),
            submitter: NodeId(submitter),
            state: State::Queued,
            needs: Arc::new(Needs {
                mark: 0,
                environments: [].into(),
                target: Text::from(target),
                preferred_host: Text::default(),
                minimal_version: 0,
                features: 0,
                ipv6: false,
            }),
            arg_flags: 0,
            file: Text::default(),
            language: 0,
            niceness,
            arrival: u64::from(id),
            memory: 0,
            kind: crate::history::Kind::default(),
            forecast: crate::history::Forecast::default(),
            placed_at: Time(0),
            begun_at: None,
            expected_ms: 0.0,
            straight: false,
            crowded: false,
            held: None,
            urgency: 0,
            siblings: None,
            requested_at: Time(0),
        }
    }

    fn next(queue: &Queue, pass: u64) -> Option<Head> {
        queue.next(&mut queue.line(pass))
    }

    fn next_of(queue: &Queue, submitter: u32) -> Option<Head> {
        queue.next(&mut queue.line_of(NodeId(submitter), 1))
    }

    #[test]
    fn one_line_gives_what_asking_anew_each_time_would() {
        let mut jobs = Vec::new();
        for id in 0..60 {
            let needs = ["x", "y", "rare"][id as usize % 3];
            jobs.push(job(id, id % 7, (id % 2) as u8 * 5, needs));
        }
        let serve = |anew: bool| {
            let mut queue = Queue::new(Discipline::Shares);
            for job in &jobs {
                queue.push(job);
            }
            let mut order = Vec::new();
            let mut line = queue.line(1);
            let mut running = [0; 7];
            loop {
                if anew {
                    line = queue.line(1);
                }
                let Some(head) = queue.next(&mut line) else {
                    break;
                };
                order.push(head.job.0);
                let job = jobs.iter().find(|job| job.id == head.job).unwrap();
                match job.needs.target.as_bytes() {
                    b"rare" => queue.wait(&head, 1, Reach::Lane, 0),
                    b"y" if order.len() > 20 => queue.wait(&head, 1, Reach::Class, 0),
                    _ => {
                        queue.placed(job);
                        let who = &mut running[job.submitter.0 as usize];
                        *who += 1;
                        queue.set_running(job.submitter, *who);
                    }
                }
            }
            order
        };
        assert_eq!(serve(false), serve(true));
        assert!(serve(false).len() > 40);
    }

    #[test]
    fn submitters_take_turns_and_niceness_is_strict() {
        let jobs: Vec<Job> = [
            (1, 1, 0),
            (2, 1, 0),
            (3, 1, 0),
            (4, 3, 10),
            (5, 2, 0),
            (6, 2, 0),
            (7, 3, 10),
        ]
        .map(|(id, submitter, nice)| job(id, submitter, nice, "x"))
        .into();
        let mut queue = Queue::new(Discipline::default());
        for job in &jobs {
            queue.push(job);
        }
        let mut order = Vec::new();
        while let Some(head) = next(&queue, 1) {
            order.push(head.job.0);
            queue.placed(jobs.iter().find(|job| job.id == head.job).unwrap());
        }
        assert_eq!(order, [1, 5, 2, 6, 3, 4, 7]);
        assert!(queue.is_empty() && queue.groups.is_empty() && queue.classes.is_empty());
    }

    #[test]
    fn a_lane_that_cannot_be_served_is_passed_by() {
        let jobs = [
            job(1, 1, 0, "rare"),
            job(2, 1, 0, "rare"),
            job(3, 1, 0, "x"),
            job(4, 2, 0, "x"),
        ];
        let mut queue = Queue::new(Discipline::default());
        for job in &jobs {
            queue.push(job);
        }
        let mut tried = Vec::new();
        while let Some(head) = next(&queue, 1) {
            tried.push(head.job.0);
            queue.wait(&head, 1, Reach::Lane, 7);
        }
        assert_eq!(tried, [1, 3, 4]);
        let again = next(&queue, 2).unwrap();
        assert_eq!((again.job, again.hopeful_at), (JobId(1), Some(7)));
        queue.remove(&jobs[0]);
        assert_eq!(next(&queue, 2).unwrap().job, JobId(2));
    }

    #[test]
    fn a_closed_class_is_passed_by_but_for_the_submitter_itself() {
        let jobs = [
            job(1, 1, 0, "x"),
            job(2, 2, 0, "x"),
            job(3, 2, 0, "y"),
            job(4, 2, 0, "x"),
        ];
        let mut queue = Queue::new(Discipline::default());
        for job in &jobs {
            queue.push(job);
        }
        let head = next(&queue, 1).unwrap();
        queue.wait(&head, 1, Reach::Class, 0);
        let head = next(&queue, 1).unwrap();
        assert_eq!(head.job, JobId(3));
        queue.wait(&head, 1, Reach::Class, 0);
        assert!(next(&queue, 1).is_none());
        assert!(next_of(&queue, 1).is_none(), "it was tried itself");
        assert_eq!(next_of(&queue, 2).unwrap().job, JobId(2));
    }

    #[test]
    fn shares_follow_what_is_under_way_and_niceness_weighs() {
        let mut queue = Queue::new(Discipline::Shares);
        let mut jobs = Vec::new();
        for id in 0..40 {
            jobs.push(job(id, 1, 0, "x"));
            jobs.push(job(100 + id, 2, 4, "x"));
            jobs.push(job(200 + id, 2, 0, "x"));
        }
        for job in &jobs {
            queue.push(job);
        }
        queue.set_running(NodeId(1), 6);
        let mut running = [0, 6, 0];
        let mut order = Vec::new();
        for _ in 0..12 {
            let head = next(&queue, 1).unwrap();
            let job = jobs.iter().find(|job| job.id == head.job).unwrap();
            queue.placed(job);
            let who = job.submitter.0 as usize;
            running[who] += 1;
            queue.set_running(job.submitter, running[who]);
            assert_eq!(job.niceness, 0, "its own nice jobs wait for the others");
            order.push(who);
        }
        assert_eq!(order, [2, 2, 2, 2, 2, 2, 1, 2, 1, 2, 1, 2]);
        assert_eq!(queue.len(), 108);
    }
}
