//! Who may run something heavy on this machine, and who is next: a pure ledger of slots.
//!
//! Three queues, served in this order: local work that cannot travel, compilations given back to this machine, jobs of other
//! machines. Within a queue the lower niceness goes first, then the lower client number; waiting makes less nice, so
//! nobody is overtaken for ever. A slot belongs to a client number and ends with [`Slots::forget`], whatever
//! the client was doing, so a slot cannot be lost.
//!
//! A *full job* uses the whole machine. It waits until it is alone and holds everybody else back meanwhile, but not
//! for longer than [`FULL_JOB_HOLD`]; then one free slot is enough.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::ids::ClientId;

/// How long a waiting full job may keep others from starting.
pub(crate) const FULL_JOB_HOLD: Duration = Duration::from_secs(30);

/// Waiting this long counts as one step of niceness.
const AGEING_STEP: Duration = Duration::from_secs(10);

/// The queues, in the order they are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Queue {
    /// Links, preprocessing and whatever else must run where it was started.
    Local,
    /// Compilations of this machine's users that the scheduler sent back here.
    Own,
    /// Jobs of other machines.
    Foreign,
}

#[derive(Clone, Debug)]
struct Waiting {
    queue: Queue,
    niceness: u32,
    full: bool,
    since: Instant,
}

/// All slots of this machine, who holds them and who waits.
#[derive(Debug)]
pub(crate) struct Slots {
    capacity: u32,
    held: BTreeMap<ClientId, (Queue, u32)>,
    waiting: BTreeMap<ClientId, Waiting>,
}

impl Slots {
    /// `max_jobs` slots, at least one: a machine that offers none still links its own programs.
    pub(crate) fn new(max_jobs: u32) -> Slots {
        Slots {
            capacity: max_jobs.max(1),
            held: BTreeMap::new(),
            waiting: BTreeMap::new(),
        }
    }

    /// Puts a client into a queue. One that waits or holds a slot already keeps its place.
    pub(crate) fn enqueue(
        &mut self,
        id: ClientId,
        queue: Queue,
        niceness: u32,
        full: bool,
        now: Instant,
    ) {
        if !self.held.contains_key(&id) {
            self.waiting.entry(id).or_insert(Waiting {
                queue,
                niceness,
                full,
                since: now,
            });
        }
    }

    /// Gives back the slot or the place in the queue, if there is one.
    pub(crate) fn forget(&mut self, id: ClientId) {
        self.held.remove(&id);
        self.waiting.remove(&id);
    }

    /// Whether the client holds a slot.
    pub(crate) fn holds(&self, id: ClientId) -> bool {
        self.held.contains_key(&id)
    }

    /// Slots in use. More than [`Slots::capacity`] while a full job shares the machine with jobs that began before it.
    pub(crate) fn used(&self) -> u32 {
        self.held.values().map(|(_, weight)| weight).sum()
    }

    /// Slots that jobs of other machines hold.
    pub(crate) fn foreign(&self) -> u32 {
        self.held
            .values()
            .filter(|(queue, _)| *queue == Queue::Foreign)
            .map(|(_, weight)| weight)
            .sum()
    }

    /// The number of slots.
    pub(crate) fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Grants the next slot, if anybody can have one. Jobs of others start only while less than `foreign_limit` slots
    /// are in use by anybody, and only if `admits` them; one that is not admitted is not overtaken by others behind
    /// it, which would keep a large one waiting for ever.
    pub(crate) fn grant(
        &mut self,
        now: Instant,
        foreign_limit: u32,
        admits: impl FnOnce(ClientId) -> bool,
    ) -> Option<(ClientId, Queue)> {
        let used = self.used();
        if used >= self.capacity {
            return None;
        }
        let foreign_allowed = used < foreign_limit;
        if used > 0 && self.full_job_holds(now) {
            return None;
        }
        let (&id, entry) = self
            .waiting
            .iter()
            .filter(|(_, entry)| entry.queue != Queue::Foreign || foreign_allowed)
            .min_by_key(|(id, entry)| (entry.queue, entry.rank(now), **id))?;
        let queue = entry.queue;
        if queue == Queue::Foreign && !admits(id) {
            return None;
        }
        let weight = if entry.full { self.capacity } else { 1 };
        self.waiting.remove(&id);
        self.held.insert(id, (queue, weight));
        Some((id, queue))
    }

    /// When [`Slots::grant`] may give another answer although nothing was released: the end of a full job's patience.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let used = self.used();
        if used == 0 || used >= self.capacity {
            return None;
        }
        self.waiting
            .values()
            .filter(|entry| entry.full)
            .map(|entry| entry.since + FULL_JOB_HOLD)
            .min()
    }

    /// Whether the next in line is a full job that still waits to be alone.
    fn full_job_holds(&self, now: Instant) -> bool {
        self.waiting
            .iter()
            .min_by_key(|(id, entry)| (entry.queue, entry.rank(now), **id))
            .is_some_and(|(_, next)| next.full && now.duration_since(next.since) < FULL_JOB_HOLD)
    }
}

impl Waiting {
    fn rank(&self, now: Instant) -> u64 {
        let steps = now.duration_since(self.since).as_secs() / AGEING_STEP.as_secs();
        u64::from(self.niceness).saturating_sub(steps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As many slots for jobs of others as there are.
    const ALL: u32 = u32::MAX;

    fn id(number: u32) -> ClientId {
        ClientId::new(number)
    }

    #[test]
    fn local_work_goes_before_own_before_foreign() {
        let now = Instant::now();
        let mut slots = Slots::new(1);
        slots.enqueue(id(1), Queue::Foreign, 0, false, now);
        slots.enqueue(id(2), Queue::Own, 0, false, now);
        slots.enqueue(id(3), Queue::Local, 0, false, now);
        let mut order = Vec::new();
        while let Some((client, _)) = slots.grant(now, ALL, |_| true) {
            order.push(client);
            assert!(
                slots.grant(now, ALL, |_| true).is_none(),
                "there is one slot"
            );
            slots.forget(client);
        }
        assert_eq!(order, [id(3), id(2), id(1)]);
    }

    #[test]
    fn niceness_then_number_decides_and_waiting_helps() {
        let now = Instant::now();
        let mut slots = Slots::new(1);
        slots.enqueue(id(1), Queue::Own, 10, false, now);
        slots.enqueue(id(3), Queue::Own, 0, false, now);
        slots.enqueue(id(2), Queue::Own, 0, false, now);
        assert_eq!(slots.grant(now, ALL, |_| true), Some((id(2), Queue::Own)));
        slots.forget(id(2));
        assert_eq!(slots.grant(now, ALL, |_| true), Some((id(3), Queue::Own)));
        slots.forget(id(3));
        let later = now + AGEING_STEP * 10;
        slots.enqueue(id(4), Queue::Own, 0, false, later);
        assert_eq!(
            slots.grant(later, ALL, |_| true),
            Some((id(1), Queue::Own)),
            "it has waited long enough"
        );
    }

    #[test]
    fn foreign_jobs_wait_while_the_machine_is_loaded() {
        let now = Instant::now();
        let mut slots = Slots::new(2);
        slots.enqueue(id(1), Queue::Foreign, 0, false, now);
        assert_eq!(slots.grant(now, 0, |_| true), None);
        assert_eq!(
            slots.grant(now, ALL, |_| true),
            Some((id(1), Queue::Foreign))
        );
        assert_eq!((slots.used(), slots.foreign()), (1, 1));
    }

    #[test]
    fn a_full_job_waits_until_it_is_alone_but_not_for_ever() {
        let now = Instant::now();
        let mut slots = Slots::new(4);
        slots.enqueue(id(1), Queue::Foreign, 0, false, now);
        assert!(slots.grant(now, ALL, |_| true).is_some());
        slots.enqueue(id(2), Queue::Local, 0, true, now);
        slots.enqueue(id(3), Queue::Own, 0, false, now);
        assert_eq!(
            slots.grant(now, ALL, |_| true),
            None,
            "the full job holds everybody back"
        );
        assert_eq!(slots.deadline(), Some(now + FULL_JOB_HOLD));
        let later = now + FULL_JOB_HOLD;
        assert_eq!(
            slots.grant(later, ALL, |_| true),
            Some((id(2), Queue::Local))
        );
        assert_eq!(
            slots.grant(later, ALL, |_| true),
            None,
            "it counts as the whole machine"
        );
        slots.forget(id(1));
        slots.forget(id(2));
        assert_eq!(slots.grant(later, ALL, |_| true), Some((id(3), Queue::Own)));
    }

    #[test]
    fn no_slot_is_counted_twice_and_none_is_lost() {
        let now = Instant::now();
        let mut slots = Slots::new(0);
        assert_eq!(slots.capacity(), 1);
        slots.enqueue(id(1), Queue::Local, 0, false, now);
        assert!(slots.grant(now, ALL, |_| true).is_some());
        slots.enqueue(id(1), Queue::Local, 0, false, now);
        assert_eq!(slots.used(), 1);
        slots.forget(id(1));
        slots.forget(id(1));
        assert_eq!(slots.used(), 0);
        assert!(
            slots.grant(now, ALL, |_| true).is_none(),
            "a holder is not queued a second time"
        );
    }
}
