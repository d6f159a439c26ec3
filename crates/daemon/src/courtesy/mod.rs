//! How this machine serves others without its owner noticing: readings and a clock value in, [`Capacity`] out. Pure.
//!
//! - [`mode`]: what people have said (pause, drain)
//! - [`hours`]: when jobs are taken
//! - [`ledger`], [`appetite`]: memory of jobs, promised and learnt
//! - [`hold`]: not following every twitch
//! - [`reason`]: why there are fewer jobs or none
//!
//! Slots fall with the processor time that other programs use, but never below one for that alone: jobs run with low priority, so
//! one more does no harm. None at all is left to decisions of people and to a lack of memory or disk.

pub(crate) mod appetite;
pub(crate) mod hold;
pub(crate) mod hours;
pub(crate) mod ledger;
pub(crate) mod mode;
pub(crate) mod reason;
#[cfg(test)]
mod tests;

use std::time::Instant;

use appetite::Kind;
use hold::{Band, Steady, Switch};
pub(crate) use hours::WallClock;
pub use hours::{Hours, HoursError};
pub use ledger::MemoryTerms;
pub(crate) use ledger::{Ledger, MemoryLook};
pub(crate) use mode::Mode;
pub(crate) use reason::Reason;

use crate::ids::ClientId;

/// What the settings say about jobs of others. The default leaves everything to the number of slots and to memory.
#[derive(Clone, Debug, Default)]
pub struct CourtesyTerms {
    /// When jobs are taken; always if not set.
    pub hours: Option<Hours>,
    /// Whether no jobs are taken on battery.
    pub refuse_on_battery: bool,
    /// What somebody at this machine changes.
    pub while_in_use: WhileInUse,
    /// Whether slots fall while other programs use processors or disks, or while processors are too hot.
    pub yield_to_owner: bool,
    /// Whether the number of slots follows the processors this process may use, because nobody chose a number.
    pub follow_cpus: bool,
    /// Memory.
    pub memory: MemoryTerms,
}

/// What somebody who sits at this machine changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhileInUse {
    /// Nothing.
    #[default]
    Ignore,
    /// Half of the slots.
    Fewer,
    /// No jobs.
    Refuse,
}

/// What is known of this machine besides load and memory. Whatever cannot be read is at its default.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Surroundings {
    /// Processors this process may use, by affinity and quotas.
    pub(crate) cpus: Option<f64>,
    /// Pressure stall information.
    pub(crate) pressure: Pressure,
    /// Running on a battery.
    pub(crate) on_battery: bool,
    /// Somebody sits at this machine.
    pub(crate) in_use: bool,
    /// How often processors have been throttled since boot, summed over all.
    pub(crate) throttled: Option<u64>,
    /// A sensor has reached the temperature from which the kernel slows processors down.
    pub(crate) too_hot: bool,
    /// What the clock on the wall shows.
    pub(crate) clock: Option<WallClock>,
}

/// Of the last ten seconds, how much at least one program waited, per cent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Pressure {
    /// For a processor.
    pub(crate) cpu: f64,
    /// For memory.
    pub(crate) memory: f64,
    /// For disks.
    pub(crate) io: f64,
}

/// What is offered to others.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Capacity {
    /// Jobs at the same time; 0 only if the settings say so.
    pub(crate) slots: u32,
    /// Whether new jobs are taken now.
    pub(crate) accepting: bool,
    /// Why not, or why fewer than the settings allow.
    pub(crate) reasons: Vec<Reason>,
}

impl Capacity {
    /// The first reason why no jobs are taken.
    pub(crate) fn refusal(&self) -> Option<&Reason> {
        self.reasons.iter().find(|reason| reason.refuses())
    }

    /// The first reason somebody decided on.
    pub(crate) fn decision(&self) -> Option<&Reason> {
        self.reasons.iter().find(|reason| reason.is_decision())
    }
}

/// One sample of everything but memory.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sample {
    /// The machine.
    pub(crate) around: Surroundings,
    /// Of all processor time since the last sample, what was neither idle nor spent on jobs; 0 to 1.
    pub(crate) owner: f64,
    /// Whether there is too little room on the disk.
    pub(crate) disk_full: bool,
}

/// The owner's share is averaged over about this time, in seconds.
const AVERAGED_OVER: f64 = 12.0;

/// Of a slot, how much the owner may take before it is gone; and the same while programs wait for processors.
const UNNOTICED: (f64, f64) = (0.5, 0.05);

/// Programs waiting for memory for this part of the time, per cent, stop new jobs, until they wait only for that part.
const MEMORY_PRESSURE: (f64, f64) = (25.0, 10.0);

/// The same for disks, which halves the slots.
const IO_PRESSURE: (f64, f64) = (40.0, 20.0);

/// From this pressure on processors the owner's share counts as it is, per cent.
const CPU_PRESSURE: f64 = 60.0;

/// Decides what is offered.
#[derive(Debug)]
pub(crate) struct Courtesy {
    terms: CourtesyTerms,
    /// Slots of the settings.
    configured: u32,
    mode: Mode,
    stopping: bool,
    pub(crate) memory: Ledger,
    last: Option<(Sample, Instant)>,
    owner: f64,
    throttled: Option<u64>,
    hot: Switch,
    battery: Switch,
    in_use: Switch,
    memory_pressure: Band,
    io_pressure: Band,
    steady: Steady,
    /// Reasons for fewer slots as of the last sample.
    fewer: Vec<Reason>,
    /// Switches as of the last sample.
    refusing: Refusing,
    capacity: Capacity,
    /// Since when no jobs are taken.
    refused_since: Option<Instant>,
    /// What the log knows: slots, whether jobs are taken, reasons.
    told: (u32, bool, Vec<&'static str>),
}

#[derive(Clone, Copy, Debug, Default)]
struct Refusing {
    battery: bool,
    in_use: bool,
    memory_pressure: Option<u32>,
}

impl Courtesy {
    /// A machine with so many slots of which nothing is known yet.
    pub(crate) fn new(terms: CourtesyTerms, configured: u32) -> Courtesy {
        Courtesy {
            memory: Ledger::new(terms.memory),
            terms,
            configured,
            mode: Mode::Running,
            stopping: false,
            last: None,
            owner: 0.0,
            throttled: None,
            hot: Switch::default(),
            battery: Switch::default(),
            in_use: Switch::default(),
            memory_pressure: Band::new(MEMORY_PRESSURE.0, MEMORY_PRESSURE.1),
            io_pressure: Band::new(IO_PRESSURE.0, IO_PRESSURE.1),
            steady: Steady::new(configured),
            fewer: Vec::new(),
            refusing: Refusing::default(),
            capacity: Capacity {
                slots: configured,
                accepting: true,
                reasons: Vec::new(),
            },
            refused_since: None,
            told: (configured, true, Vec::new()),
        }
    }

    /// What people have said.
    pub(crate) fn mode(&self) -> &Mode {
        &self.mode
    }

    /// What is offered.
    pub(crate) fn capacity(&self) -> &Capacity {
        &self.capacity
    }

    /// Since when no jobs have been taken, if none are.
    pub(crate) fn refused_since(&self) -> Option<Instant> {
        self.refused_since
    }

    /// A sentence for the log if the offer is another than at the last call.
    pub(crate) fn news(&mut self) -> Option<String> {
        let Capacity {
            slots,
            accepting,
            reasons,
        } = &self.capacity;
        let codes = reasons.iter().map(Reason::code).collect();
        let offer = (*slots, *accepting, codes);
        if self.told == offer {
            return None;
        }
        self.told = offer;
        let why: Vec<String> = reasons.iter().map(Reason::to_string).collect();
        Some(match (accepting, why.is_empty()) {
            (false, _) => format!("no jobs of others are taken: {}", why.join("; ")),
            (true, all) => {
                let plural = if *slots == 1 { "" } else { "s" };
                let colon = if all { "" } else { ": " };
                format!(
                    "{slots} slot{plural} for jobs of others{colon}{}",
                    why.join("; ")
                )
            }
        })
    }

    /// People say something else.
    pub(crate) fn operate(&mut self, mode: Mode, now: Instant) {
        self.mode = mode;
        self.settle(now);
    }

    /// The daemon ends.
    pub(crate) fn stop(&mut self, now: Instant) {
        self.stopping = true;
        self.settle(now);
    }

    /// Whether a pause has ended by itself; the mode is changed.
    pub(crate) fn wake(&mut self, unix: u64, now: Instant) -> bool {
        let ended = self.mode.has_ended(unix);
        if ended {
            self.operate(Mode::Running, now);
        }
        ended
    }

    /// Takes in a look at memory. Returns the job that has to end now, if one has to.
    pub(crate) fn look(&mut self, look: &MemoryLook, now: Instant) -> Option<ClientId> {
        let victim = self.memory.look(look, now);
        self.settle(now);
        victim
    }

    /// Whether a job of this kind may start now. The number of slots is somebody else's matter.
    pub(crate) fn admits(&self, kind: &Kind) -> bool {
        self.capacity.accepting && self.memory.fits(kind)
    }

    /// Takes in a sample.
    pub(crate) fn sample(&mut self, sample: Sample, now: Instant) {
        self.average(sample.owner, now);
        let around = &sample.around;
        let throttled = match (self.throttled, around.throttled) {
            (Some(before), Some(after)) => after > before,
            _ => false,
        };
        self.throttled = around.throttled.or(self.throttled);
        let hot = self.hot.update(throttled || around.too_hot, now);
        let in_use = self.in_use.update(around.in_use, now);
        self.refusing = Refusing {
            battery: self.battery.update(around.on_battery, now),
            in_use,
            memory_pressure: self
                .memory_pressure
                .update(around.pressure.memory)
                .then(|| percent(around.pressure.memory / 100.0)),
        };
        let waiting_for_disk = self.io_pressure.update(around.pressure.io);
        let (target, fewer) = self.target(around, hot, in_use, waiting_for_disk);
        self.fewer = fewer;
        self.steady.update(target, now);
        self.last = Some((sample, now));
        self.settle(now);
    }

    fn average(&mut self, owner: f64, now: Instant) {
        let owner = owner.clamp(0.0, 1.0);
        let elapsed = self
            .last
            .map_or(0.0, |(_, then)| now.duration_since(then).as_secs_f64());
        let fresh = 1.0 - (-elapsed / AVERAGED_OVER).exp();
        self.owner += (owner - self.owner) * fresh;
    }

    /// The slots this machine could serve by what is known now, and why not more.
    fn target(
        &self,
        around: &Surroundings,
        hot: bool,
        in_use: bool,
        waiting_for_disk: bool,
    ) -> (u32, Vec<Reason>) {
        let mut slots = self.configured;
        let mut reasons = Vec::new();
        if self.configured == 0 {
            return (0, reasons);
        }
        let mut lower = |limit: u32, reason: Reason| {
            let limit = limit.max(1);
            if limit < slots {
                slots = limit;
                reasons.push(reason);
            }
        };
        if let (true, Some(cpus)) = (self.terms.follow_cpus, around.cpus) {
            lower(cpus.round() as u32, Reason::CpuLimit { cpus });
        }
        if self.terms.yield_to_owner {
            let all = f64::from(self.configured);
            let unnoticed = if around.pressure.cpu >= CPU_PRESSURE {
                UNNOTICED.1
            } else {
                UNNOTICED.0
            };
            let percent = percent(self.owner);
            lower(
                (all * (1.0 - self.owner) + unnoticed) as u32,
                Reason::OwnerBusy { percent },
            );
            if waiting_for_disk {
                let percent = self::percent(around.pressure.io / 100.0);
                lower(self.configured / 2, Reason::IoPressure { percent });
            }
            if hot {
                lower(self.configured / 2, Reason::Hot);
            }
        }
        if in_use && self.terms.while_in_use == WhileInUse::Fewer {
            lower(self.configured / 2, Reason::InUse { refuse: false });
        }
        if let Some((jobs, typical)) = self.memory.room() {
            lower(jobs, Reason::MemoryPerJob { typical });
        }
        (slots, reasons)
    }

    /// Puts together what is offered.
    fn settle(&mut self, now: Instant) {
        let mut reasons = Vec::new();
        if self.stopping {
            reasons.push(Reason::Stopping);
        }
        match &self.mode {
            Mode::Running => {}
            Mode::Paused { until, why } => reasons.push(Reason::Paused {
                until: *until,
                why: why.clone(),
            }),
            Mode::Draining => reasons.push(Reason::Draining),
        }
        let around = self.last.map(|(sample, _)| sample.around);
        if let (Some(hours), Some(clock)) =
            (&self.terms.hours, around.and_then(|around| around.clock))
            && !hours.contains(clock)
        {
            reasons.push(Reason::OutsideHours {
                hours: hours.to_string(),
                opens: hours.opens(clock),
            });
        }
        if self.refusing.battery && self.terms.refuse_on_battery {
            reasons.push(Reason::OnBattery);
        }
        if self.refusing.in_use && self.terms.while_in_use == WhileInUse::Refuse {
            reasons.push(Reason::InUse { refuse: true });
        }
        if let Some((available, reserve)) = self.memory.is_low() {
            reasons.push(Reason::MemoryLow { available, reserve });
        }
        if let Some(percent) = self.refusing.memory_pressure {
            reasons.push(Reason::MemoryPressure { percent });
        }
        if self.last.is_some_and(|(sample, _)| sample.disk_full) {
            reasons.push(Reason::DiskFull);
        }
        let accepting = reasons.is_empty();
        let slots = self.steady.current();
        if slots < self.configured {
            reasons.extend(self.fewer.iter().cloned());
        }
        self.refused_since = match self.refused_since {
            _ if accepting => None,
            None => Some(now),
            since => since,
        };
        self.capacity = Capacity {
            slots,
            accepting,
            reasons,
        };
    }
}

fn percent(share: f64) -> u32 {
    (share.clamp(0.0, 1.0) * 100.0).round() as u32
}
