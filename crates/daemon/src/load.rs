//! How busy this machine is for others: readings in, the load figure of `STATS` out. Pure.
//!
//! Time in which a CPU was idle or worked for the cluster counts as available. CPUs alone never make a machine unusable:
//! foreign jobs run niced, so that part ends at [`BUSIEST_CPU`]. The full figure of [`FULL`] is kept for what nicing
//! does not help against: no memory, no disk, shutting down.

use std::time::{Duration, Instant};

use gelato_wire::msg::Stats;

use crate::courtesy::Surroundings;

/// The load that says "no jobs, please".
pub(crate) const FULL: u32 = 1000;

/// What busy CPUs alone amount to at most.
const BUSIEST_CPU: u32 = 990;

/// Free disk space wanted for each slot not in use, and once more.
const DISK_PER_SLOT: u64 = 25 << 20;

/// A change of the load that is worth a message.
const WORTH_SENDING: u32 = 100;

/// Without a change worth sending the load goes out this often.
const RESEND: Duration = Duration::from_secs(30);

/// What the operating system says at one moment. Whatever it does not say is at its default.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Readings {
    /// CPU time since boot in ticks: idle, and everything.
    pub(crate) cpu: Option<CpuTicks>,
    /// Memory that could be had without swapping, and all memory, in bytes.
    pub(crate) memory: Option<Memory>,
    /// Free bytes for toolchains and jobs.
    pub(crate) disk_free: Option<u64>,
    /// Load averages over 1, 5 and 15 minutes.
    pub(crate) averages: [f64; 3],
    /// What else there is to consider.
    pub(crate) around: Surroundings,
}

/// CPU time since boot, summed over all CPUs, in ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct CpuTicks {
    /// Nothing to do.
    pub(crate) idle: u64,
    /// All of it, idle included.
    pub(crate) total: u64,
    /// Spent on programs of low priority, which jobs of others are.
    pub(crate) nice: u64,
}

/// Memory in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Memory {
    /// What new programs could use.
    pub(crate) available: u64,
    /// What the machine or the control group has.
    pub(crate) total: u64,
}

/// The state between two samples, and what was sent last.
#[derive(Debug)]
pub(crate) struct Meter {
    cpus: u32,
    previous: Option<CpuTicks>,
    /// Slots in use integrated over time since the last sample, in slot-seconds.
    slot_time: f64,
    /// The part of it that jobs of others had.
    foreign_time: f64,
    slots_used: u32,
    slots_foreign: u32,
    slots_since: Instant,
    sampled_at: Instant,
    /// Whether jobs of others run with lower priority than everything else.
    niced: bool,
    current: Stats,
    cpu_idle: u32,
    owner: f64,
    disk_full: bool,
    sent: Option<(u32, Instant)>,
}

impl Meter {
    /// For a machine with `cpus` CPUs. `niced` says whether jobs of others run with lower priority than everything else.
    pub(crate) fn new(cpus: u32, niced: bool, now: Instant) -> Meter {
        Meter {
            cpus: cpus.max(1),
            previous: None,
            slot_time: 0.0,
            foreign_time: 0.0,
            slots_used: 0,
            slots_foreign: 0,
            slots_since: now,
            sampled_at: now,
            niced,
            current: Stats::default(),
            cpu_idle: 1000,
            owner: 0.0,
            disk_full: false,
            sent: None,
        }
    }

    /// From now on `used` slots are in use, `foreign` of them by jobs of others.
    pub(crate) fn slots_in_use(&mut self, used: u32, foreign: u32, now: Instant) {
        let elapsed = now.duration_since(self.slots_since).as_secs_f64();
        self.slot_time += f64::from(self.slots_used) * elapsed;
        self.foreign_time += f64::from(self.slots_foreign) * elapsed;
        self.slots_since = now;
        self.slots_used = used;
        self.slots_foreign = foreign;
    }

    /// Takes a sample. `free_slots` is how many more jobs may start.
    pub(crate) fn sample(&mut self, readings: &Readings, free_slots: u32, now: Instant) {
        self.slots_in_use(self.slots_used, self.slots_foreign, now);
        let elapsed = now.duration_since(self.sampled_at).as_secs_f64();
        let of_all = |time: f64| {
            if elapsed > 0.0 {
                time / (f64::from(self.cpus) * elapsed)
            } else {
                0.0
            }
        };
        let (slots, foreign) = (of_all(self.slot_time), of_all(self.foreign_time));
        self.slot_time = 0.0;
        self.foreign_time = 0.0;
        self.sampled_at = now;

        let (idle, nice) = match (self.previous, readings.cpu) {
            (Some(before), Some(after)) => shares(before, after),
            _ => (1.0, 0.0),
        };
        // A job of low priority has its slot all the time and a processor only when nobody else wants it.
        let own = if self.niced {
            slots - foreign + foreign.min(nice)
        } else {
            slots
        };
        self.previous = readings.cpu.or(self.previous);
        self.cpu_idle = per_mille(idle);
        self.owner = (1.0 - idle - own).clamp(0.0, 1.0);
        let cpu_part = (FULL - per_mille(idle + own)).min(BUSIEST_CPU);
        let memory_part = readings.memory.map_or(0, memory_load);
        let disk_wanted = (u64::from(free_slots) + 1) * DISK_PER_SLOT;
        self.disk_full = readings.disk_free.is_some_and(|free| free < disk_wanted);
        let [one, five, fifteen] = readings
            .averages
            .map(|average| (average.max(0.0) * 1000.0) as u32);
        self.current = Stats {
            load: if self.disk_full {
                FULL
            } else {
                cpu_part.max(memory_part)
            },
            load_avg_1: one,
            load_avg_5: five,
            load_avg_10: fifteen,
            free_mem: readings.memory.map_or(0, |memory| {
                u32::try_from(memory.available >> 20).unwrap_or(u32::MAX)
            }),
        };
    }

    /// The last sample.
    pub(crate) fn current(&self) -> &Stats {
        &self.current
    }

    /// Idle time of the CPUs during the last sample, per mille.
    pub(crate) fn cpu_idle(&self) -> u32 {
        self.cpu_idle
    }

    /// Of all processor time during the last sample, what was neither idle nor spent on work of the cluster; 0 to 1.
    pub(crate) fn owner_share(&self) -> f64 {
        self.owner
    }

    /// Whether the last sample found too little room on the disk.
    pub(crate) fn disk_full(&self) -> bool {
        self.disk_full
    }

    /// The message for the scheduler, if the last sample differs enough from what was sent last or that is long ago.
    /// While jobs are `refused` the load is the full one.
    pub(crate) fn due(&mut self, refused: bool, now: Instant) -> Option<Stats> {
        let load = if refused { FULL } else { self.current.load };
        let due = match self.sent {
            None => true,
            Some((sent, at)) => {
                load.abs_diff(sent) >= WORTH_SENDING
                    || (load >= FULL) != (sent >= FULL)
                    || now.duration_since(at) >= RESEND
            }
        };
        due.then(|| {
            self.sent = Some((load, now));
            Stats {
                load,
                ..self.current.clone()
            }
        })
    }

    /// A new scheduler knows nothing of what was sent before.
    pub(crate) fn forget_sent(&mut self) {
        self.sent = None;
    }
}

/// Idle time and time of programs of low priority, of all time.
fn shares(before: CpuTicks, after: CpuTicks) -> (f64, f64) {
    let total = after.total.saturating_sub(before.total);
    if total <= 10 {
        return (1.0, 0.0);
    }
    let share = |before: u64, after: u64| after.saturating_sub(before) as f64 / total as f64;
    (
        share(before.idle, after.idle),
        share(before.nice, after.nice),
    )
}

fn memory_load(memory: Memory) -> u32 {
    if memory.total == 0 {
        return 0;
    }
    FULL - per_mille(memory.available as f64 / memory.total as f64)
}

fn per_mille(share: f64) -> u32 {
    (share.clamp(0.0, 1.0) * 1000.0).round() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn readings(idle: u64, total: u64) -> Readings {
        Readings {
            cpu: Some(CpuTicks {
                idle,
                total,
                nice: 0,
            }),
            memory: Some(Memory {
                available: 8 << 30,
                total: 16 << 30,
            }),
            disk_free: Some(1 << 40),
            averages: [0.5, 0.25, 0.125],
            around: Surroundings::default(),
        }
    }

    fn meter_with(cpus: u32, now: Instant) -> Meter {
        let mut meter = Meter::new(cpus, false, now);
        meter.sample(&readings(0, 0), 1, now);
        meter
    }

    #[test]
    fn the_first_sample_does_not_look_back_to_boot() {
        let now = Instant::now();
        let mut meter = Meter::new(4, false, now);
        meter.sample(&readings(100, 1_000_000), 4, now);
        assert_eq!(meter.current().load, 500, "memory alone");
        assert_eq!(meter.current().free_mem, 8192);
        assert_eq!(meter.current().load_avg_1, 500);
    }

    #[test]
    fn foreign_work_counts_and_own_does_not() {
        let now = Instant::now();
        let mut meter = meter_with(2, now);
        meter.sample(&readings(100, 1000), 1, now + SECOND);
        assert_eq!(meter.current().load, 900);
        meter.slots_in_use(2, 2, now + SECOND);
        meter.sample(&readings(100, 2000), 1, now + SECOND * 2);
        assert_eq!(
            meter.current().load,
            500,
            "both CPUs worked for the cluster"
        );
        meter.slots_in_use(1, 1, now + SECOND * 2);
        meter.sample(&readings(100, 3000), 1, now + SECOND * 3);
        assert_eq!(meter.current().load, 500, "one of two");
    }

    #[test]
    fn the_owners_programs_go_before_niced_jobs_and_are_seen() {
        let now = Instant::now();
        let niced = |idle, total, nice| {
            let mut readings = readings(idle, total);
            readings.cpu = Some(CpuTicks { idle, total, nice });
            readings
        };
        let mut meter = Meter::new(2, true, now);
        meter.sample(&niced(0, 0, 0), 1, now);
        meter.slots_in_use(2, 2, now);
        meter.sample(&niced(0, 1000, 1000), 1, now + SECOND);
        assert_eq!(meter.owner_share(), 0.0, "jobs alone");
        meter.sample(&niced(0, 2000, 1200), 1, now + SECOND * 2);
        assert_eq!(meter.owner_share(), 0.8, "jobs got what was left over");
        assert_eq!(meter.current().load, 800);
        meter.slots_in_use(1, 0, now + SECOND * 2);
        meter.sample(&niced(500, 3000, 1200), 1, now + SECOND * 3);
        assert_eq!(meter.owner_share(), 0.0, "a local job with a slot");
    }

    #[test]
    fn busy_cpus_alone_are_not_full_but_disk_is() {
        let now = Instant::now();
        let mut meter = meter_with(2, now);
        meter.sample(&readings(0, 1000), 1, now + SECOND);
        assert_eq!(meter.current().load, BUSIEST_CPU);
        let mut full = readings(1000, 2000);
        full.disk_free = Some(3 * DISK_PER_SLOT - 1);
        meter.sample(&full, 2, now + SECOND * 2);
        assert_eq!(meter.current().load, FULL);
        full.disk_free = Some(3 * DISK_PER_SLOT);
        meter.sample(&full, 2, now + SECOND * 3);
        assert!(meter.current().load < FULL);
    }

    #[test]
    fn d23_a_slow_drift_is_reported() {
        let mut now = Instant::now();
        let mut meter = meter_with(1, now);
        let mut known = meter
            .due(false, now)
            .expect("the first is always sent")
            .load;
        let (mut idle, mut total) = (0, 0);
        for step in 1..=9u64 {
            now += SECOND;
            total += 1000;
            idle += 1000 - step * 100;
            meter.sample(&readings(idle, total), 1, now);
            if let Some(stats) = meter.due(false, now) {
                known = stats.load;
            }
            assert!(known.abs_diff(meter.current().load) < WORTH_SENDING);
        }
        assert_eq!(meter.due(false, now), None);
        assert!(
            meter.due(false, now + RESEND).is_some(),
            "said again after a while"
        );
        meter.forget_sent();
        assert!(
            meter.due(false, now).is_some(),
            "a new scheduler is told at once"
        );
    }
}
