//! The table of all scenarios: ours, Icecream's ranking, and the bound.

use std::fmt::Write as _;
use std::ops::RangeInclusive;

use gelato_scheduler_core::Algorithm;

use crate::bound::lower_bound_ms;
use crate::replay::Replay;
use crate::scenario::{Scenario, all, two_users};
use crate::world::{Outcome, run, run_knowing};

/// One scenario with both rankings.
#[derive(Debug, Clone)]
pub struct Row {
    /// Which.
    pub name: &'static str,
    /// Compilations and links.
    pub jobs: usize,
    /// No scheduler can be quicker.
    pub bound_ms: f64,
    /// Ours.
    pub finish: Outcome,
    /// Icecream's.
    pub compat: Outcome,
}

impl Row {
    /// Plays a scenario with both.
    pub fn of(scenario: &Scenario) -> Row {
        Row {
            name: scenario.name,
            jobs: scenario.builds.iter().map(|build| build.jobs.len()).sum(),
            bound_ms: lower_bound_ms(scenario),
            finish: run(scenario, Algorithm::Finish),
            compat: run(scenario, Algorithm::Compat),
        }
    }

    /// Our makespan as a multiple of the bound.
    pub fn over_bound(&self) -> f64 {
        self.finish.makespan_ms as f64 / self.bound_ms
    }

    /// Our makespan as a share of Icecream's.
    pub fn of_compat(&self) -> f64 {
        self.finish.makespan_ms as f64 / self.compat.makespan_ms as f64
    }
}

/// How long the short build of [`two_users`] takes, as a multiple of its fair time: what it takes alone on half of every
/// worker.
pub fn short_build_ratio(algorithm: Algorithm, seed: u64) -> f64 {
    let both = two_users(seed);
    let together = run(&both, algorithm);
    let mut alone = both;
    alone.builds.remove(0);
    for host in &mut alone.hosts {
        host.slots /= 2;
    }
    if let Some(build) = alone.builds.first_mut() {
        build.start_ms = 0;
    }
    let fair = run(&alone, algorithm);
    let short = together.build_ms.last().copied().unwrap_or(0);
    short as f64 / fair.makespan_ms.max(1) as f64
}

/// How a scenario went with many seeds.
#[derive(Debug, Clone)]
pub struct Many {
    /// Which.
    pub name: &'static str,
    /// Our makespans as multiples of the bound, smallest first.
    pub over_bound: Vec<f64>,
    /// Our makespans as shares of Icecream's, smallest first.
    pub of_compat: Vec<f64>,
    /// Rules broken, and jobs begun without the memory they need, by ours.
    pub faults: usize,
}

/// Plays every scenario with each of these seeds.
pub fn many(seeds: RangeInclusive<u64>) -> Vec<Many> {
    let mut all_of_them: Vec<Many> = Vec::new();
    for seed in seeds {
        for (at, scenario) in all(seed).iter().enumerate() {
            let row = Row::of(scenario);
            if all_of_them.len() == at {
                all_of_them.push(Many {
                    name: row.name,
                    over_bound: Vec::new(),
                    of_compat: Vec::new(),
                    faults: 0,
                });
            }
            if let Some(many) = all_of_them.get_mut(at) {
                many.over_bound.push(row.over_bound());
                many.of_compat.push(row.of_compat());
                many.faults += row.finish.violations.len() + row.finish.overcommits;
            }
        }
    }
    for many in &mut all_of_them {
        many.over_bound.sort_by(f64::total_cmp);
        many.of_compat.sort_by(f64::total_cmp);
    }
    all_of_them
}

/// The smallest, the middle and the largest of sorted numbers.
pub fn spread(sorted: &[f64]) -> [f64; 3] {
    let at = |place: usize| sorted.get(place).copied().unwrap_or(f64::NAN);
    [
        at(0),
        at(sorted.len() / 2),
        at(sorted.len().saturating_sub(1)),
    ]
}

/// The table of many seeds, for people.
pub fn table_of_many(seeds: RangeInclusive<u64>) -> String {
    let mut text = format!(
        "seeds {} to {}          our makespan / bound       our makespan / compat's\n{:24} {:>8} {:>8} {:>8}  {:>8} {:>8} {:>8}  faults\n",
        seeds.start(),
        seeds.end(),
        "scenario",
        "least",
        "median",
        "most",
        "least",
        "median",
        "most"
    );
    for row in many(seeds) {
        let (bound, compat) = (spread(&row.over_bound), spread(&row.of_compat));
        let _ = write!(text, "{:24}", row.name);
        for ratio in bound {
            let _ = write!(text, " {ratio:>8.3}");
        }
        text.push(' ');
        for ratio in compat {
            let _ = write!(text, " {ratio:>8.3}");
        }
        let _ = writeln!(text, "  {:>6}", row.faults);
    }
    text
}

/// What came of playing a trace, for people: whether the same was decided, and how long each algorithm would have taken.
pub fn replayed(replay: &Replay) -> String {
    let mut text = format!(
        "{} events and {} decisions of release {}: ",
        replay.events, replay.decisions, replay.release
    );
    match &replay.difference {
        None => text.push_str("decided the same again\n"),
        Some(difference) => {
            let _ = writeln!(
                text,
                "decided otherwise from event {} on ({} ms): {:?} was {:?}",
                difference.event, difference.at, difference.replayed, difference.recorded
            );
        }
    }
    let jobs: usize = replay
        .scenario
        .builds
        .iter()
        .map(|build| build.jobs.len())
        .sum();
    let _ = writeln!(
        text,
        "{jobs} jobs that ended, {} builds, {} machines; recorded {:.1} s",
        replay.scenario.builds.len(),
        replay.scenario.hosts.len(),
        replay.recorded_ms as f64 / 1000.0
    );
    if jobs == 0 {
        return text;
    }
    let _ = writeln!(
        text,
        "bound       {:>8.1} s",
        lower_bound_ms(&replay.scenario) / 1000.0
    );
    for algorithm in Algorithm::ALL {
        let outcome = run_knowing(&replay.scenario, algorithm, replay.past.clone());
        let _ = writeln!(
            text,
            "{:11} {:>8.1} s",
            algorithm.name(),
            outcome.makespan_ms as f64 / 1000.0
        );
    }
    text
}

/// The table, for people.
pub fn table(seed: u64) -> String {
    let scenarios = all(seed);
    let mut text = format!(
        "{:24} {:>5} {:>8} {:>8} {:>8} {:>8} {:>8} {:>7}\n",
        "scenario", "jobs", "bound s", "finish s", "/bound", "compat s", "/compat", "memory"
    );
    for scenario in &scenarios {
        let row = Row::of(scenario);
        let _ = writeln!(
            text,
            "{:24} {:>5} {:>8.1} {:>8.1} {:>8.3} {:>8.1} {:>8.3} {:>3}/{}",
            row.name,
            row.jobs,
            row.bound_ms / 1000.0,
            row.finish.makespan_ms as f64 / 1000.0,
            row.over_bound(),
            row.compat.makespan_ms as f64 / 1000.0,
            row.of_compat(),
            row.finish.overcommits,
            row.compat.overcommits,
        );
        for (who, outcome) in [("finish", &row.finish), ("compat", &row.compat)] {
            for violation in outcome.violations.iter().take(5) {
                let _ = writeln!(text, "    {who}: {violation}");
            }
        }
    }
    for algorithm in [Algorithm::Finish, Algorithm::Compat] {
        let _ = writeln!(
            text,
            "short build of the second user, {}: {:.2} x its fair time",
            algorithm.name(),
            short_build_ratio(algorithm, seed)
        );
    }
    text.push_str("memory: jobs begun on a worker that had too little left, finish/compat\n");
    text
}
