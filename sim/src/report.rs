//! The table of all scenarios: ours, Icecream's ranking, and the bound.

use std::fmt::Write as _;

use gelato_scheduler_core::Algorithm;

use crate::bound::lower_bound_ms;
use crate::scenario::{Scenario, all, two_users};
use crate::world::{Outcome, run};

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
