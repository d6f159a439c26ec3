use gelato_record::{Phases, Verdict};
use proptest::prelude::*;

use super::*;

/// The facts of all builds here.
const FACTS: Facts = Facts {
    processors: 8,
    slots: 16,
};

fn compiled(begin: u64, phases: Phases, cpu: u64) -> JobRecord {
    let wall: u64 = phases.parts().iter().map(|(_, ms)| ms).sum();
    JobRecord {
        end: 1_000_000 + begin + wall,
        verdict: Verdict::Remote,
        language: Some("c++".to_owned()),
        file: format!("f{begin}.o"),
        wall,
        cpu,
        phases,
        sent: 100_000,
        source_bytes: 1_000_000,
        ..JobRecord::default()
    }
}

fn linked(begin: u64, ms: u64) -> JobRecord {
    JobRecord {
        end: 1_000_000 + begin + ms,
        verdict: Verdict::Local,
        reason: Some("no-compile-step".to_owned()),
        wall: ms,
        cpu: ms,
        phases: Phases {
            local: ms,
            ..Phases::default()
        },
        ..JobRecord::default()
    }
}

/// Jobs in `lanes` lanes, one after the other in each.
fn lanes(lanes: u64, each: u64, job: impl Fn(u64) -> JobRecord) -> Vec<JobRecord> {
    let mut records = Vec::new();
    for lane in 0..lanes {
        let mut at = lane * 7;
        for _ in 0..each {
            let record = job(at);
            at += record.wall;
            records.push(record);
        }
    }
    records
}

fn usual() -> Phases {
    Phases {
        preprocess: 60,
        send: 20,
        compile: 900,
        receive: 20,
        ..Phases::default()
    }
}

fn bound_of(records: &[JobRecord]) -> Bound {
    let verdict = of(records, FACTS);
    assert!(!verdict.sentence.is_empty() && !verdict.evidence.is_empty());
    verdict.bound
}

#[test]
fn processors_of_the_submitter() {
    let phases = Phases {
        slot: 300,
        preprocess: 400,
        send: 20,
        compile: 200,
        receive: 10,
        ..Phases::default()
    };
    assert_eq!(
        bound_of(&lanes(16, 10, |at| compiled(at, phases, 390))),
        Bound::SubmitterCpu
    );
    // Without a queue of our own for processors: everybody preprocesses, slowly.
    let phases = Phases {
        slot: 0,
        preprocess: 900,
        ..phases
    };
    assert_eq!(
        bound_of(&lanes(16, 10, |at| compiled(at, phases, 450))),
        Bound::SubmitterCpu
    );
}

#[test]
fn processors_that_others_use_too() {
    // As seen: one processor, of which the preprocessors got a quarter, and sources that pack to almost nothing.
    let record = |at| JobRecord {
        sent: 4_600,
        received: 1_000,
        ..compiled(
            at,
            Phases {
                slot: 2_000,
                preprocess: 1_000,
                send: 10,
                compile: 50,
                ..Phases::default()
            },
            256,
        )
    };
    let facts = Facts {
        processors: 1,
        slots: 5,
    };
    let verdict = of(&lanes(4, 2, record), facts);
    assert_eq!(verdict.bound, Bound::SubmitterCpu);
    let walls: Vec<u64> = verdict.what_if.iter().map(|row| row.wall_ms).collect();
    assert_eq!(walls[1], walls[3], "more slots are no help");
}

#[test]
fn the_network() {
    let phases = Phases {
        preprocess: 60,
        send: 900,
        compile: 200,
        receive: 300,
        wait: 100,
        ..Phases::default()
    };
    assert_eq!(
        bound_of(&lanes(16, 10, |at| compiled(at, phases, 55))),
        Bound::Network
    );
    // The source is sent while it is preprocessed, and the preprocessor waits for the network.
    let slow = |at| JobRecord {
        wall: 1_200,
        end: 1_000_000 + at + 1_200,
        ..compiled(
            at,
            Phases {
                preprocess: 880,
                send: 900,
                compile: 200,
                receive: 100,
                ..Phases::default()
            },
            55,
        )
    };
    assert_eq!(bound_of(&lanes(16, 10, slow)), Bound::Network);
}

#[test]
fn slots() {
    let phases = Phases {
        wait: 800,
        ..usual()
    };
    let records = lanes(32, 10, |at| compiled(at, phases, 50));
    let verdict = of(&records, FACTS);
    assert_eq!(verdict.bound, Bound::Slots);
    let walls: Vec<u64> = verdict.what_if.iter().map(|row| row.wall_ms).collect();
    assert!(walls.is_sorted_by(|more, less| more > less), "{walls:?}");
    // Nobody waits because -j is what there is.
    assert_eq!(
        bound_of(&lanes(16, 10, |at| compiled(at, usual(), 50))),
        Bound::Slots
    );
}

#[test]
fn room_for_more() {
    assert_eq!(
        bound_of(&lanes(4, 10, |at| compiled(at, usual(), 50))),
        Bound::Nothing
    );
    assert_eq!(bound_of(&[]), Bound::Nothing);
}

#[test]
fn the_first_build_with_a_compiler() {
    let phases = Phases {
        toolchain: 5_000,
        install: 2_000,
        ..usual()
    };
    let verdict = of(&lanes(16, 1, |at| compiled(at, phases, 50)), FACTS);
    assert_eq!(verdict.bound, Bound::Nothing);
    assert!(
        verdict.sentence.contains("next build"),
        "{}",
        verdict.sentence
    );
}

#[test]
fn links() {
    let mut records = lanes(8, 3, |at| compiled(at, usual(), 50));
    records.extend([linked(3_100, 2_000), linked(5_200, 3_000)]);
    assert_eq!(bound_of(&records), Bound::Links);
    let works: Vec<Work> = records.iter().map(Work::of).collect();
    assert_eq!(critical_path(&works), 1_000 + 2_000 + 3_000);
}

#[test]
fn one_long_file_and_one_slow_worker() {
    let mut records = lanes(12, 4, |at| compiled(at, usual(), 50));
    let long = Phases {
        compile: 8_000,
        ..usual()
    };
    let mut last = compiled(3_500, long, 50);
    assert_eq!(last.source_bytes, 1_000_000);
    records.push(last.clone());
    assert_eq!(
        bound_of(&records),
        Bound::Stragglers,
        "no larger than others"
    );
    last.source_bytes = 9_000_000;
    *records.last_mut().unwrap() = last;
    assert_eq!(bound_of(&records), Bound::CriticalPath);
}

proptest! {
    #[test]
    fn all_time_is_under_some_heading(
        jobs in proptest::collection::vec((any::<[u16; 11]>(), 0..20_000u64, any::<u32>(), any::<bool>()), 0..40),
        processors in 0..9u32, slots in 0..9u32,
    ) {
        let records: Vec<JobRecord> = jobs.iter().map(|(parts, begin, wall, local)| {
            let [analyse, toolchain, wait, connect, install, preprocess, send, compile, receive, slot, local_ms] =
                parts.map(u64::from);
            let phases = Phases {
                analyse, toolchain, wait, connect, install, preprocess, send, compile, receive, slot, local: local_ms,
            };
            JobRecord {
                verdict: if *local { Verdict::Local } else { Verdict::Remote },
                wall: u64::from(*wall % 500_000),
                end: begin + 600_000,
                ..compiled(*begin, phases, (*wall).into())
            }
        }).collect();
        let works: Vec<Work> = records.iter().map(Work::of).collect();
        let facts = Facts { processors, slots };
        let times = Times::of(&works, facts);
        let headings = [
            Heading::SubmitterCpu, Heading::Network, Heading::Slots, Heading::Links, Heading::Tail,
            Heading::Toolchain, Heading::Working, Heading::Nothing,
        ];
        let sum: u64 = headings.iter().map(|heading| times.of_heading(*heading)).sum();
        prop_assert!(sum <= times.wall);
        let verdict = of(&records, facts);
        prop_assert!(!verdict.sentence.is_empty());
    }
}
