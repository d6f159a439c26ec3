//! Why a job went where it went. Every decision is kept for a while with the candidates it was made from.

use std::collections::VecDeque;

use crate::history::Forecast;
use crate::ids::{JobId, NodeId, Time};

/// Candidates recorded per decision.
pub(crate) const CANDIDATES: usize = 8;

/// A job got its worker.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// When.
    pub at: Time,
    /// Which job.
    pub job: JobId,
    /// Who asked.
    pub submitter: NodeId,
    /// Who got it; may be the submitter itself.
    pub worker: NodeId,
    /// On what ground.
    pub why: Why,
    /// The best of those that could have taken it at that moment, at most eight of them.
    pub candidates: Candidates,
    /// How many could have.
    pub eligible: usize,
    /// Out of how many nodes.
    pub nodes: usize,
    /// What the job was expected to take, if the policy asks.
    pub forecast: Option<Forecast>,
    /// Milliseconds from the request to the decision.
    pub waited_ms: u64,
}

/// The ground of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The submitter asked for this host.
    Preferred,
    /// Nobody else could take it.
    OnlyOne,
    /// Nothing is known of anybody: drawn.
    NothingKnown,
    /// Nothing is known of this worker, and it is idle.
    NewWorker,
    /// It has waited long and is measured again.
    Exploration,
    /// The earliest expected finish.
    EarliestFinish,
    /// The submitter has nothing else to do and is fast enough.
    OwnMachine,
    /// It is too small to travel, and the submitter has a free slot.
    SmallJob,
    /// All are busy and there is much to do: it will be the next there.
    SentAhead,
    /// It has waited longest.
    RoundRobin,
    /// It has the lowest share of its slots in use.
    LeastBusy,
    /// Drawn.
    Random,
    /// Nobody can take it now; the submitter has a free slot.
    OwnSlot,
    /// Nobody could ever take it.
    Nobody,
    /// The cluster moves to another scheduler.
    Draining,
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Why::Preferred => "it is the preferred host",
            Why::OnlyOne => "only this one could take it",
            Why::NothingKnown => "no speed is known yet, drawn by lot",
            Why::NewWorker => "its speed is not known yet",
            Why::Exploration => "it has waited long, its speed is measured again",
            Why::EarliestFinish => "earliest expected finish",
            Why::OwnMachine => "the submitter is idle and fast enough",
            Why::SmallJob => "too small to travel, the submitter has a free slot",
            Why::SentAhead => "all are busy, it is the next there",
            Why::RoundRobin => "it has waited longest",
            Why::LeastBusy => "lowest share of slots in use",
            Why::Random => "drawn by lot",
            Why::OwnSlot => "nobody can take it now, the submitter has a free slot",
            Why::Nobody => "no host could ever take it",
            Why::Draining => "another scheduler takes over",
        })
    }
}

/// A node that could have taken a job.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// Who.
    pub node: NodeId,
    /// It would have started at once.
    pub free: bool,
    /// It has the toolchain.
    pub installed: bool,
    /// Expected time to the end, in milliseconds; 0 if nothing is known.
    pub expected_ms: f32,
    /// Of that, milliseconds until a slot is free.
    pub wait_ms: f32,
    /// Of that, milliseconds until the job and a missing toolchain are there; this and the wait pass together.
    pub send_ms: f32,
}

impl Default for Candidate {
    fn default() -> Self {
        Candidate {
            node: NodeId(0),
            free: false,
            installed: false,
            expected_ms: 0.0,
            wait_ms: 0.0,
            send_ms: 0.0,
        }
    }
}

/// Some candidates, best first, in place: a decision is noted without asking for memory.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Candidates {
    list: [Candidate; CANDIDATES],
    length: usize,
}

impl Candidates {
    /// Adds one behind those that finish no later; of too many the last goes.
    pub(crate) fn add(&mut self, candidate: Candidate) {
        let at = self.partition_point(|other| other.expected_ms <= candidate.expected_ms);
        if at < CANDIDATES {
            self.length = (self.length + 1).min(CANDIDATES);
            if let Some(later) = self.list.get_mut(at..self.length) {
                later.rotate_right(1);
                later[0] = candidate;
            }
        }
    }
}

impl std::ops::Deref for Candidates {
    type Target = [Candidate];

    fn deref(&self) -> &[Candidate] {
        self.list.get(..self.length).unwrap_or_default()
    }
}

impl<'a> IntoIterator for &'a Candidates {
    type Item = &'a Candidate;
    type IntoIter = std::slice::Iter<'a, Candidate>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// The last decisions.
#[derive(Debug, Clone)]
pub(crate) struct Decisions {
    kept: usize,
    list: VecDeque<Decision>,
}

impl Decisions {
    pub(crate) fn new(kept: usize) -> Self {
        Decisions {
            kept,
            list: VecDeque::new(),
        }
    }

    pub(crate) fn add(&mut self, decision: Decision) {
        if self.kept == 0 {
            return;
        }
        if self.list.len() == self.kept {
            self.list.pop_front();
        }
        self.list.push_back(decision);
    }

    pub(crate) fn of(&self, job: JobId) -> Option<&Decision> {
        self.list.iter().rev().find(|decision| decision.job == job)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Decision> {
        self.list.iter()
    }
}
