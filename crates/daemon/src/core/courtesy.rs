//! What this machine offers to others as it changes: samples and words of its people in, a new number of slots or a full load
//! to the scheduler, jobs that go back to their submitters.

use std::time::Duration;

use gelato_wire::Message;
use tracing::{info, warn};

use super::Core;
use super::client::State;
use super::vocabulary::Action;
use crate::courtesy::{MemoryLook, Mode, Sample};
use crate::ids::ClientId;
use crate::load::Readings;
use crate::worker::reason::Reason;

/// What the submitter is told of the job that had to end when memory ran out.
const NO_MEMORY: &str = "the worker ran out of memory";

impl Core {
    pub(super) fn on_sample(&mut self, mut readings: Readings) {
        let now = self.now.instant;
        readings.memory = readings
            .memory
            .map(|memory| self.courtesy.memory.within_terms(memory));
        let free = self.slots.capacity().saturating_sub(self.slots.used());
        self.meter.sample(&readings, free, now);
        let sample = Sample {
            around: readings.around,
            owner: self.meter.owner_share(),
            disk_full: self.meter.disk_full(),
        };
        self.courtesy.sample(sample, now);
        if self.courtesy.wake(u64::from(self.now.unix), now) {
            info!("the pause is over");
            self.actions.push(Action::KeepMode(Mode::Running));
        }
        self.offer();
    }

    pub(super) fn on_look(&mut self, look: &MemoryLook) {
        let victim = self.courtesy.look(look, self.now.instant);
        if let Some(id) = victim {
            self.end_for_memory(id);
        }
        self.offer();
    }

    pub(super) fn on_operate(&mut self, mode: Mode) {
        if *self.courtesy.mode() == mode {
            return;
        }
        info!("told to be {mode}");
        self.actions.push(Action::KeepMode(mode.clone()));
        self.courtesy.operate(mode, self.now.instant);
        self.offer();
    }

    /// The newest job goes back so that the others can go on.
    fn end_for_memory(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        let Some(job) = &mut client.foreign else {
            return;
        };
        if client.state != State::WaitForChild || job.handed_back {
            return;
        }
        warn!(
            "memory runs out: job {} goes back to its submitter",
            job.request.job_id
        );
        job.handed_back = true;
        self.desk.counters.handed_back();
        // Its slot is free when its processes are gone.
        self.actions
            .push(Action::HandBack(id, Reason::shortage(NO_MEMORY)));
    }

    /// A job needs its memory no more.
    pub(super) fn memory_is_free(&mut self, id: ClientId, peak: u64, complete: bool) {
        self.courtesy.memory.over(id, peak, complete);
        if self.is_somebody_queued() {
            self.actions.push(Action::Look);
        }
    }

    /// How long the last look at the memory is good for; nothing while no job of others runs.
    pub(crate) fn look_again(&self) -> Option<Duration> {
        let waiting = self.is_somebody_queued();
        self.courtesy.memory.look_again(waiting)
    }

    /// Tells those concerned what is offered now, if it is not what they know.
    fn offer(&mut self) {
        let capacity = self.courtesy.capacity();
        let (slots, decision) = (
            capacity.slots,
            capacity.decision().map(|reason| reason.brief()),
        );
        if let Some(changes) = self.courtesy.news() {
            info!("{changes}");
        }
        if let Some(reason) = decision {
            self.hand_back_queued(reason);
        }
        if slots != self.announced && slots > 0 {
            self.announced = slots;
            if self.link.is_some() {
                let login = self.first_login();
                self.actions.push(Action::Login(login));
            }
        }
        self.note_node();
        self.report_load();
    }

    pub(super) fn report_load(&mut self) {
        if self.link.is_none() {
            return;
        }
        let refused = !self.courtesy.capacity().accepting;
        if let Some(stats) = self.meter.due(refused, self.now.instant) {
            self.report(Message::Stats(stats));
        }
    }
}
