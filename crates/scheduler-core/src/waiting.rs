//! What a waiting job waits for, told in one word with the numbers behind it. For people; decides nothing.

use std::collections::BTreeMap;

use crate::core::Core;
use crate::eligible::{Obstacle, Question};
use crate::ids::{JobId, NodeId, Text, Time};
use crate::job::Job;

/// The one thing a waiting job lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lack {
    /// Whoever could take it is busy.
    Slot,
    /// Whoever could take it still receives a toolchain.
    Install,
    /// The host it asked for.
    PreferredHost,
    /// Nobody has, or could get, a toolchain for it.
    Platform,
    /// There are free slots, but not the memory it is expected to take.
    Memory,
    /// Its submitter has its part of the slots; the next are for others.
    FairShare,
}

impl Lack {
    /// The stable word for it.
    pub const fn code(self) -> &'static str {
        match self {
            Lack::Slot => "slot",
            Lack::Install => "install",
            Lack::PreferredHost => "preferred-host",
            Lack::Platform => "platform",
            Lack::Memory => "memory",
            Lack::FairShare => "fair-share",
        }
    }
}

/// Why a job waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// In one word.
    pub lack: Lack,
    /// The only host it wants, if it named one.
    pub preferred: Option<Text>,
    /// A busy worker that it is better off waiting for.
    pub held_for: Option<NodeId>,
    /// Hosts that could take it but for their memory, and the MiB it needs.
    pub short_of_memory: (usize, u32),
    /// How many hosts cannot take it now, by what keeps them.
    pub obstacles: Vec<(Obstacle, usize)>,
    /// Jobs its submitter has on other machines, and how many submitters share those.
    pub share: (u64, usize),
}

impl Core {
    /// Why a job waits at `now`; `None` if it does not. Looks at every node.
    pub fn waiting(&self, job: JobId, now: Time) -> Option<Waiting> {
        let job = self.job(job).filter(|job| job.worker().is_none())?;
        let submitter = self.node(job.submitter())?;
        let question = Question {
            needs: &job.needs,
            submitter,
            now,
        };
        let mut tally: BTreeMap<Obstacle, usize> = BTreeMap::new();
        let (mut free, mut short, mut away, mut submitters) = (0, 0, 0, 0);
        for node in self.nodes_in_any_order() {
            away += node.away;
            submitters += usize::from(!node.submitted.is_empty());
            match question.obstacle(node) {
                Some(obstacle) => *tally.entry(obstacle).or_default() += 1,
                None if node.memory.left() < job.forecast.memory => short += 1,
                None => free += 1,
            }
        }
        let count = |obstacle| tally.get(&obstacle).copied().unwrap_or(0);
        let busy = count(Obstacle::Full) + count(Obstacle::Loaded);
        // More than its part, by at least one job.
        let sated = submitters > 1 && submitter.away > away / submitters as u64 + 1;
        let lack = if !job.needs.preferred_host.is_empty() {
            Lack::PreferredHost
        } else if job.held_for().is_some() {
            Lack::Slot
        } else if sated && busy + free > 0 {
            Lack::FairShare
        } else if short > 0 {
            Lack::Memory
        } else if busy + free > 0 {
            Lack::Slot
        } else if count(Obstacle::Installing) > 0 {
            Lack::Install
        } else {
            Lack::Platform
        };
        Some(Waiting {
            lack,
            preferred: preferred_of(job),
            held_for: job.held_for(),
            short_of_memory: (short, job.forecast.memory),
            obstacles: tally.into_iter().collect(),
            share: (submitter.away, submitters),
        })
    }
}

fn preferred_of(job: &Job) -> Option<Text> {
    let preferred = &job.needs.preferred_host;
    (!preferred.is_empty()).then(|| preferred.clone())
}
