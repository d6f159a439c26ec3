//! What may be placed without harm: memory that is promised to jobs, and how much work waits.
//!
//! Jobs of like memory wait together, in steps, so that one that does not fit stands in the way of larger ones only.

use crate::node::Node;

/// Jobs below so many MiB need no thought.
const NEGLIGIBLE: u32 = 32;
/// Steps there are: each half as much again as the one below.
const STEPS: u8 = 24;

/// The step a job of so many MiB waits in.
pub(crate) fn step(memory: u32) -> u8 {
    let mut edge = NEGLIGIBLE;
    let mut step = 0;
    while memory > edge && step < STEPS {
        edge += edge / 2;
        step += 1;
    }
    step
}

/// What a worker has for jobs, by its readings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// MiB there would be without our jobs; nothing if it never said.
    pub(crate) capacity: Option<u32>,
    /// MiB promised to the jobs placed there.
    pub(crate) promised: u32,
}

impl Memory {
    /// A reading: so much is free, in MiB; 0 if the worker cannot tell. What running jobs have taken so far is not known,
    /// but it is between nothing and what they were promised.
    pub(crate) fn read(&mut self, free: u32) {
        if free == 0 {
            return;
        }
        let most = free.saturating_add(self.promised);
        self.capacity = Some(match self.capacity {
            Some(before) => before.clamp(free, most),
            None => free,
        });
    }

    pub(crate) fn promise(&mut self, memory: u32) {
        self.promised = self.promised.saturating_add(memory);
    }

    pub(crate) fn release(&mut self, memory: u32) {
        self.promised = self.promised.saturating_sub(memory);
    }

    /// MiB left for one more job.
    pub(crate) fn left(self) -> u32 {
        match self.capacity {
            Some(capacity) => capacity.saturating_sub(self.promised),
            None => u32::MAX,
        }
    }
}

/// Work that is waited for and work that is done, to tell how long all of it will take.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Backlog {
    /// Of jobs that wait, in ms at speed 1.
    pub(crate) waiting: f64,
    /// Of jobs that are placed.
    pub(crate) placed: f64,
    /// What all workers together do.
    pub(crate) capacity: f64,
    /// With how many slots.
    pub(crate) slots: f64,
}

impl Backlog {
    /// Milliseconds until everything known could be done if it were spread evenly. Placed jobs are taken to be half done.
    pub(crate) fn drained_in(&self) -> f32 {
        ((self.waiting.max(0.0) + self.placed.max(0.0) / 2.0) / self.capacity.max(0.01)) as f32
    }
}

impl Backlog {
    /// What one slot does on average.
    pub(crate) fn mean_speed(&self) -> f32 {
        (self.capacity / self.slots.max(1.0)) as f32
    }
}

/// Whether a job that was promised so much memory may go to this node, when the largest that could take it has `largest`.
pub(crate) fn fits(node: &Node, memory: u32, largest: u32) -> bool {
    node.memory.left() >= memory.min(largest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_of_like_memory_share_a_step() {
        assert_eq!((step(0), step(NEGLIGIBLE), step(33)), (0, 0, 1));
        assert!((step(1000)..=step(1000) + 1).contains(&step(1400)));
        assert!(step(2000) > step(1000) && step(60_000) < STEPS);
        assert_eq!(step(u32::MAX), STEPS);
    }

    #[test]
    fn capacity_is_kept_while_jobs_use_it() {
        let mut memory = Memory::default();
        assert_eq!(memory.left(), u32::MAX);
        memory.read(8000);
        memory.promise(3000);
        assert_eq!(memory.left(), 5000);
        memory.read(5500);
        assert_eq!(memory.capacity, Some(8000), "the jobs took it");
        memory.read(2000);
        assert_eq!(memory.capacity, Some(5000), "somebody else took the rest");
        memory.release(3000);
        memory.read(0);
        memory.read(8000);
        assert_eq!(memory.left(), 8000);
    }
}
