//! The jobs that wait, and whose turn it is.
//!
//! A group holds the jobs of one submitter at one niceness; groups of lower niceness come first, within one niceness they
//! take turns. Inside a group, jobs with equal needs form a lane: if the head of a lane cannot be placed, neither can the
//! rest of it, so one attempt per lane tries every job. No job waits behind one that cannot be placed.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::ids::{JobId, NodeId};
use crate::job::{Job, Needs};

/// See the module.
#[derive(Debug, Clone, Default)]
pub(crate) struct Queue {
    groups: BTreeMap<Turn, Group>,
    turns: BTreeMap<(NodeId, u8), Turn>,
    next_position: u64,
}

/// Place of a group in the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    niceness: u8,
    position: u64,
}

type Group = BTreeMap<Arc<Needs>, Lane>;

#[derive(Debug, Clone, Default)]
struct Lane {
    /// By arrival.
    jobs: BTreeMap<u64, JobId>,
    /// The last pass in which the head could not be placed.
    failed_in_pass: u64,
    /// The state of the cluster for which it is known that somebody could take these jobs some day.
    hopeful_at: Option<u64>,
}

/// First job of a lane, to be tried now.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    turn: Turn,
    pub(crate) needs: Arc<Needs>,
    pub(crate) job: JobId,
    pub(crate) hopeful_at: Option<u64>,
}

impl Queue {
    pub(crate) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Adds a job behind those of its group, a new group behind those of its niceness. Gives back the needs the lane
    /// shares, for the job to keep.
    pub(crate) fn push(&mut self, job: &Job) -> Arc<Needs> {
        let niceness = job.niceness;
        let turn = match self.turns.get(&(job.submitter, niceness)) {
            Some(turn) => *turn,
            None => {
                let turn = self.new_turn(niceness);
                self.turns.insert((job.submitter, niceness), turn);
                turn
            }
        };
        let group = self.groups.entry(turn).or_default();
        let needs = match group.get_key_value(&job.needs) {
            Some((shared, _)) => Arc::clone(shared),
            None => Arc::clone(&job.needs),
        };
        let lane = group.entry(Arc::clone(&needs)).or_default();
        lane.jobs.insert(job.arrival, job.id);
        needs
    }

    /// Takes a job out, wherever it stands.
    pub(crate) fn remove(&mut self, job: &Job) {
        let key = (job.submitter, job.niceness);
        let Some(turn) = self.turns.get(&key).copied() else {
            return;
        };
        let Some(group) = self.groups.get_mut(&turn) else {
            return;
        };
        if let Some(lane) = group.get_mut(&job.needs) {
            lane.jobs.remove(&job.arrival);
            if lane.jobs.is_empty() {
                group.remove(&job.needs);
            }
        }
        if group.is_empty() {
            self.groups.remove(&turn);
            self.turns.remove(&key);
        }
    }

    /// Takes out a job that has been placed: its group has had its turn.
    pub(crate) fn placed(&mut self, job: &Job) {
        self.remove(job);
        let key = (job.submitter, job.niceness);
        if let Some(old) = self.turns.get(&key).copied()
            && let Some(group) = self.groups.remove(&old)
        {
            let turn = self.new_turn(job.niceness);
            self.groups.insert(turn, group);
            self.turns.insert(key, turn);
        }
    }

    /// The next job to try in this pass.
    pub(crate) fn next(&self, pass: u64) -> Option<Head> {
        self.groups.iter().find_map(|(turn, group)| {
            group
                .iter()
                .filter(|(_, lane)| lane.failed_in_pass != pass)
                .filter_map(|(needs, lane)| {
                    let (arrival, job) = lane.jobs.first_key_value()?;
                    Some((arrival, job, needs, lane))
                })
                .min_by_key(|(arrival, ..)| **arrival)
                .map(|(_, job, needs, lane)| Head {
                    turn: *turn,
                    needs: Arc::clone(needs),
                    job: *job,
                    hopeful_at: lane.hopeful_at,
                })
        })
    }

    /// Notes that the lane cannot be served in this pass, but that there is hope in this state of the cluster.
    pub(crate) fn wait(&mut self, head: &Head, pass: u64, hopeful_at: u64) {
        if let Some(lane) = self
            .groups
            .get_mut(&head.turn)
            .and_then(|group| group.get_mut(&head.needs))
        {
            lane.failed_in_pass = pass;
            lane.hopeful_at = Some(hopeful_at);
        }
    }

    /// How many different needs the waiting jobs of a submitter have.
    pub(crate) fn lanes_of(&self, submitter: NodeId) -> usize {
        self.turns
            .range((submitter, u8::MIN)..=(submitter, u8::MAX))
            .filter_map(|(_, turn)| self.groups.get(turn))
            .map(BTreeMap::len)
            .sum()
    }

    fn new_turn(&mut self, niceness: u8) -> Turn {
        self.next_position += 1;
        Turn {
            niceness,
            position: self.next_position,
        }
    }

    #[cfg(test)]
    pub(crate) fn jobs(&self) -> Vec<JobId> {
        let lanes = self.groups.values().flat_map(BTreeMap::values);
        let mut jobs: Vec<JobId> = lanes.flat_map(|lane| lane.jobs.values().copied()).collect();
        jobs.sort();
        jobs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{ClientId, Text, Time};
    use crate::job::State;

    fn job(id: u32, submitter: u32, niceness: u8, target: &str) -> Job {
        Job {
            id: JobId(id),
            client: ClientId(id),
            submitter: NodeId(submitter),
            state: State::Queued,
            needs: Arc::new(Needs {
                environments: Vec::new(),
                target: Text::from(target),
                preferred_host: Text::default(),
                minimal_version: 0,
                features: 0,
            }),
            arg_flags: 0,
            file: Text::default(),
            language: 0,
            niceness,
            arrival: u64::from(id),
            siblings: None,
            requested_at: Time(0),
        }
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
        let mut queue = Queue::default();
        for job in &jobs {
            queue.push(job);
        }
        let mut order = Vec::new();
        while let Some(head) = queue.next(1) {
            order.push(head.job.0);
            queue.placed(jobs.iter().find(|job| job.id == head.job).unwrap());
        }
        assert_eq!(order, [1, 5, 2, 6, 3, 4, 7]);
        assert!(queue.is_empty() && queue.turns.is_empty());
    }

    #[test]
    fn a_lane_that_cannot_be_served_is_passed_by() {
        let jobs = [
            job(1, 1, 0, "rare"),
            job(2, 1, 0, "rare"),
            job(3, 1, 0, "x"),
            job(4, 2, 0, "x"),
        ];
        let mut queue = Queue::default();
        for job in &jobs {
            queue.push(job);
        }
        let mut tried = Vec::new();
        while let Some(head) = queue.next(1) {
            tried.push(head.job.0);
            queue.wait(&head, 1, 7);
        }
        assert_eq!(tried, [1, 3, 4]);
        let again = queue.next(2).unwrap();
        assert_eq!((again.job, again.hopeful_at), (JobId(1), Some(7)));
        queue.remove(&jobs[0]);
        assert_eq!(queue.next(2).unwrap().job, JobId(2));
    }
}
