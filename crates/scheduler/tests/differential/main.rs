//! `compat` beside the scheduler it takes after: both get the same daemons and the same jobs, in the same order, and must
//! choose the same workers and show the same speeds.
//!
//! The distribution's scheduler is release 1.4.0, `compat` is what came after it. Where the two differ is kept out of the
//! way: every daemon has compiled something before choices are compared, none goes without a job for long (1.4.0 then gives it
//! one), and nobody compiles for itself unasked. Where Icecream's is known to be wrong is kept out, too: nothing waits behind a
//! full preferred host, a toolchain that is sent arrives at once, and no reading comes between a request and its answer.

mod elections;
mod pair;

use std::path::Path;

use pair::{Answer, Pair};

const ICECREAM: &str = "/usr/sbin/icecc-scheduler";
/// Jobs of one run.
const JOBS: u32 = 150;
/// Slots of the daemons, in the order in which they log in.
const SLOTS: [u32; 6] = [4, 2, 8, 1, 3, 6];

#[test]
fn compat_chooses_as_icecreams_scheduler() {
    if is_missing() {
        return;
    }
    let mut compared = 0;
    for seed in 100..106 {
        compared += run(seed);
    }
    assert!(compared >= 900, "only {compared} choices were compared");
}

/// Whether there is nothing to compare with.
fn is_missing() -> bool {
    let missing = !Path::new(ICECREAM).exists();
    if missing {
        let required = std::env::var_os("GELATO_LAB_REQUIRE").is_some();
        assert!(!required, "{ICECREAM} is missing");
        eprintln!("SKIPPED: {ICECREAM} is not installed");
    }
    missing
}

/// One story; how many choices were compared.
fn run(seed: u64) -> usize {
    let mut random = Random(seed);
    let mut pair = Pair::start(&SLOTS);
    let mut running: Vec<(u32, usize)> = Vec::new();
    let mut occupied = SLOTS.map(|_| 0);
    let mut loads = SLOTS.map(|_| 0);
    for daemon in 0..SLOTS.len() {
        pair.stats(daemon, 0);
    }
    let mut compared = 0;
    let mut next_preferred = 0;
    let place = |answer: &Answer, running: &mut Vec<_>, occupied: &mut [u32; 6]| {
        running.push((answer.job, answer.worker));
        occupied[answer.worker] += 1;
    };
    // Everybody's speed becomes known.
    for daemon in 0..SLOTS.len() {
        let answer = pair.ask((daemon + 1) % SLOTS.len(), Some(daemon), 0, 1);
        assert_eq!(answer.worker, daemon);
        pair.begin(daemon, answer.job);
        pair.done(daemon, answer.job, 0, 1000 + random.below(2000), 50_000);
    }
    for number in 0..JOBS {
        if random.below(3) == 0 {
            let daemon = random.index(SLOTS.len());
            loads[daemon] = random.below(10) * 100;
            pair.stats(daemon, loads[daemon]);
        }
        while running.len() > 10 || random.below(2) == 0 && !running.is_empty() {
            let (job, worker) = running.swap_remove(random.index(running.len()));
            occupied[worker] -= 1;
            pair.begin(worker, job);
            let exit_code = u32::from(random.below(10) == 0);
            let size = 2000 + random.below(200_000);
            pair.done(worker, job, exit_code, 100 + random.below(4000), size);
        }
        let submitter = random.index(SLOTS.len());
        let flags = [0, 1, 2, 4, 8, 9, 16][random.index(7)];
        let clients = 1 + random.below(8);
        let mut preferred = None;
        // Not a random one: 1.4.0 gives a job to who has not had one for 120 jobs.
        if number % 5 == 0 {
            next_preferred = (next_preferred + 1) % SLOTS.len();
            if occupied[next_preferred] < SLOTS[next_preferred] {
                preferred = Some(next_preferred);
            }
        }
        let before = if number % 25 == 0 {
            pair.shown()
        } else {
            String::new()
        };
        let answer = pair.ask(submitter, preferred, flags, clients);
        assert_eq!(
            answer.ours, answer.theirs,
            "seed {seed}, job {}: asked by d{submitter} with {clients} clients, preferred {preferred:?}\n{before}",
            answer.job
        );
        place(&answer, &mut running, &mut occupied);
        compared += 1;
    }
    pair.shown();
    compared
}

/// Numbers from a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u32) -> u32 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 32) as u32 % bound
    }

    fn index(&mut self, bound: usize) -> usize {
        self.below(bound as u32) as usize
    }
}
