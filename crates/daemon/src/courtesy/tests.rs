//! The whole of courtesy against made-up readings: each rule, and a day of an office machine.

use std::time::Duration;

use proptest::prelude::*;

use super::hold::{Steady, Switch};
use super::*;
use crate::load::Memory;

const SECOND: Duration = Duration::from_secs(1);
const SAMPLE: Duration = Duration::from_secs(3);

fn all_on() -> CourtesyTerms {
    CourtesyTerms {
        hours: None,
        refuse_on_battery: true,
        while_in_use: WhileInUse::Fewer,
        yield_to_owner: true,
        follow_cpus: true,
        memory: MemoryTerms::default(),
    }
}

/// A machine whose readings a test sets.
struct Machine {
    courtesy: Courtesy,
    sample: Sample,
    now: Instant,
}

impl Machine {
    fn new(terms: CourtesyTerms, slots: u32) -> Machine {
        Machine {
            courtesy: Courtesy::new(terms, slots),
            sample: Sample {
                around: Surroundings {
                    cpus: Some(f64::from(slots)),
                    ..Surroundings::default()
                },
                ..Sample::default()
            },
            now: Instant::now(),
        }
    }

    /// The same readings for so long.
    fn pass(&mut self, time: Duration) -> (u32, bool, Vec<&'static str>) {
        let end = self.now + time;
        while self.now < end {
            self.now += SAMPLE;
            self.courtesy.sample(self.sample, self.now);
        }
        self.offer()
    }

    fn offer(&self) -> (u32, bool, Vec<&'static str>) {
        let capacity = self.courtesy.capacity();
        let codes = capacity.reasons.iter().map(Reason::code).collect();
        (capacity.slots, capacity.accepting, codes)
    }
}

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn an_idle_machine_offers_everything() {
    let mut machine = Machine::new(all_on(), 8);
    assert_eq!(machine.offer(), (8, true, vec![]));
    assert_eq!(machine.pass(MINUTE), (8, true, vec![]));
}

#[test]
fn slots_fall_with_the_owners_work_and_come_back() {
    let mut machine = Machine::new(all_on(), 8);
    machine.pass(MINUTE);
    machine.sample.owner = 0.5;
    assert_eq!(machine.pass(2 * MINUTE), (4, true, vec!["owner-busy"]));
    machine.sample.owner = 1.0;
    assert_eq!(
        machine.pass(2 * MINUTE),
        (1, true, vec!["owner-busy"]),
        "busy processors alone leave one"
    );
    machine.sample.owner = 0.0;
    assert_eq!(machine.pass(3 * MINUTE), (8, true, vec![]));
    machine.courtesy.terms.yield_to_owner = false;
    machine.sample.owner = 1.0;
    assert_eq!(machine.pass(3 * MINUTE), (8, true, vec![]));
}

#[test]
fn a_moment_of_work_changes_nothing() {
    let mut machine = Machine::new(all_on(), 8);
    machine.pass(MINUTE);
    for _ in 0..20 {
        machine.sample.owner = 0.3;
        machine.pass(SAMPLE);
        machine.sample.owner = 0.0;
        assert_eq!(machine.pass(10 * SAMPLE).0, 8);
    }
}

#[test]
fn fewer_processors_fewer_slots_unless_somebody_chose() {
    let mut machine = Machine::new(all_on(), 8);
    machine.sample.around.cpus = Some(1.5);
    assert_eq!(machine.pass(MINUTE), (2, true, vec!["cpu-limit"]));
    machine.courtesy.terms.follow_cpus = false;
    assert_eq!(machine.pass(MINUTE), (8, true, vec![]));
}

#[test]
fn heat_and_waiting_for_disks_halve() {
    let mut machine = Machine::new(all_on(), 8);
    machine.sample.around.throttled = Some(10);
    machine.pass(MINUTE);
    assert_eq!(machine.offer().0, 8, "what was before does not count");
    machine.sample.around.throttled = Some(11);
    assert_eq!(machine.pass(4 * SAMPLE), (4, true, vec!["hot"]));
    assert_eq!(machine.pass(3 * MINUTE).0, 8, "it has cooled down");
    machine.sample.around.pressure.io = 45.0;
    assert_eq!(machine.pass(MINUTE), (4, true, vec!["io-pressure"]));
    machine.sample.around.pressure.io = 30.0;
    assert_eq!(machine.pass(MINUTE).0, 4);
    machine.sample.around.pressure.io = 5.0;
    assert_eq!(machine.pass(MINUTE).0, 8);
}

#[test]
fn on_battery_nothing_and_with_a_pause_before_more() {
    let mut machine = Machine::new(all_on(), 8);
    machine.sample.around.on_battery = true;
    assert_eq!(machine.pass(SAMPLE), (8, false, vec!["on-battery"]));
    machine.sample.around.on_battery = false;
    assert!(!machine.pass(Switch::RELEASE - SAMPLE).1);
    assert_eq!(machine.pass(SAMPLE), (8, true, vec![]));
    machine.courtesy.terms.refuse_on_battery = false;
    machine.sample.around.on_battery = true;
    assert!(machine.pass(SAMPLE).1);
}

#[test]
fn somebody_at_the_machine() {
    let mut machine = Machine::new(all_on(), 8);
    machine.sample.around.in_use = true;
    assert_eq!(machine.pass(MINUTE), (4, true, vec!["in-use"]));
    machine.courtesy.terms.while_in_use = WhileInUse::Refuse;
    assert_eq!(machine.pass(MINUTE), (8, false, vec!["in-use"]));
    machine.courtesy.terms.while_in_use = WhileInUse::Ignore;
    assert_eq!(machine.pass(MINUTE), (8, true, vec![]));
    let mut single = Machine::new(all_on(), 1);
    single.sample.around.in_use = true;
    assert_eq!(single.pass(MINUTE), (1, true, vec![]));
}

#[test]
fn memory_pressure_and_a_full_disk_refuse_without_being_decisions() {
    let mut machine = Machine::new(all_on(), 8);
    machine.sample.around.pressure.memory = 30.0;
    machine.sample.disk_full = true;
    assert_eq!(
        machine.pass(SAMPLE),
        (8, false, vec!["memory-pressure", "disk-full"])
    );
    assert!(machine.courtesy.capacity().decision().is_none());
    assert!(machine.courtesy.refused_since().is_some());
    machine.sample.around.pressure.memory = 5.0;
    machine.sample.disk_full = false;
    assert!(machine.pass(SAMPLE).1);
    assert!(machine.courtesy.refused_since().is_none());
}

#[test]
fn people_decide() {
    let mut machine = Machine::new(all_on(), 8);
    let now = machine.now;
    machine
        .courtesy
        .operate(Mode::paused(Some(500), "exam"), now);
    assert_eq!(machine.offer(), (8, false, vec!["paused"]));
    assert!(!machine.courtesy.wake(499, now));
    assert!(machine.courtesy.wake(500, now));
    assert_eq!(machine.offer(), (8, true, vec![]));
    machine.courtesy.operate(Mode::Draining, now);
    assert_eq!(machine.offer(), (8, false, vec!["draining"]));
    machine.courtesy.stop(now);
    assert_eq!(machine.offer(), (8, false, vec!["stopping", "draining"]));
    assert_eq!(
        machine.courtesy.capacity().decision(),
        Some(&Reason::Stopping)
    );
}

#[test]
fn a_machine_without_slots_stays_without() {
    let mut machine = Machine::new(all_on(), 0);
    machine.sample.owner = 1.0;
    machine.sample.around.in_use = true;
    assert_eq!(machine.pass(MINUTE), (0, true, vec![]));
}

#[test]
fn the_log_hears_of_each_change_once() {
    let mut machine = Machine::new(all_on(), 8);
    assert_eq!(machine.courtesy.news(), None);
    machine.sample.around.on_battery = true;
    machine.pass(MINUTE);
    let news = machine.courtesy.news().unwrap();
    assert!(news.contains("battery"), "{news}");
    assert_eq!(machine.courtesy.news(), None);
}

#[test]
fn large_jobs_take_several_places() {
    let mut machine = Machine::new(all_on(), 8);
    let kind = Kind {
        toolchain: crate::core::vocabulary::Toolchain {
            platform: "x86_64".to_owned(),
            name: "gcc".to_owned(),
        },
        language: "c++",
    };
    let free = MemoryLook {
        memory: Some(Memory {
            available: 8 << 30,
            total: 8 << 30,
        }),
        jobs: Vec::new(),
    };
    for number in 0..4 {
        let id = ClientId::new(number);
        machine.courtesy.memory.start(id, kind.clone(), machine.now);
        machine.courtesy.memory.over(id, 3 << 30, true);
    }
    machine.courtesy.look(&free, machine.now);
    assert_eq!(machine.pass(MINUTE), (2, true, vec!["memory-per-job"]));
    assert!(machine.courtesy.admits(&kind));
}

/// A working day of an office machine with eight processors, sample by sample: what the owner does, and what that leaves.
#[test]
fn a_day() {
    let mut terms = all_on();
    terms.hours = Some(
        "Mon-Fri 12:00-14:00, Mon-Fri 18:00-09:00, Sat-Sun"
            .parse()
            .unwrap(),
    );
    let mut machine = Machine::new(terms, 8);
    let (mut changes, mut last) = (0, machine.offer());
    let mut served = [0u32; 24];
    for second in (0..24 * 3600u32).step_by(3) {
        let minute = u16::try_from(second / 60).unwrap();
        machine.sample.around.clock = Some(WallClock { weekday: 1, minute });
        let hour = minute / 60;
        let noise = f64::from(second * 7919 % 100) / 1000.0;
        machine.sample.around.in_use = (9..12).contains(&hour) || (14..18).contains(&hour);
        machine.sample.owner = match hour {
            // Compiles for a quarter of an hour at lunch.
            12 if minute % 60 < 15 => 0.9,
            // A backup at night, on half of the machine.
            2 => 0.5,
            _ => noise,
        };
        // Goes home with it.
        machine.sample.around.on_battery = hour == 19;
        machine.now += SAMPLE;
        machine.courtesy.sample(machine.sample, machine.now);
        let offer = machine.offer();
        if offer != last {
            changes += 1;
            last = offer.clone();
        }
        if offer.1 && minute % 60 == 10 {
            served[usize::from(hour)] = offer.0;
        }
    }
    let mut expected = [8; 24];
    expected[2] = 4;
    for hour in (9..12).chain(14..18) {
        expected[hour] = 0;
    }
    expected[12] = 1;
    expected[19] = 0;
    assert_eq!(served, expected);
    assert!(changes < 40, "{changes} changes in a day");
}

proptest! {
    #[test]
    fn whatever_is_read_the_offer_is_sound(
        readings in prop::collection::vec((-1.0f64..2.0, 0.0f64..100.0, any::<bool>(), any::<bool>(), 0.0f64..16.0), 1..100),
        slots in 0u32..65,
    ) {
        let mut machine = Machine::new(all_on(), slots);
        let mut changes = 0;
        for (owner, pressure, battery, in_use, cpus) in readings.iter().copied() {
            let before = machine.offer().0;
            machine.sample.owner = owner;
            machine.sample.around = Surroundings {
                cpus: Some(cpus),
                pressure: Pressure { cpu: pressure, memory: pressure, io: pressure },
                on_battery: battery,
                in_use,
                throttled: None,
                too_hot: battery,
                clock: None,
            };
            let (now, accepting, codes) = machine.pass(SECOND);
            prop_assert!(now <= slots && (now > 0) == (slots > 0));
            prop_assert_eq!(accepting, machine.courtesy.capacity().refusal().is_none());
            prop_assert!(now == slots || !codes.is_empty(), "fewer without a reason");
            changes += u32::from(now != before);
        }
        let most = readings.len() as u128 * SAMPLE.as_millis() / Steady::FALL.as_millis() + 1;
        prop_assert!(u128::from(changes) <= most);
    }
}
