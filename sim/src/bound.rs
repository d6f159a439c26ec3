//! How quick a scenario could be at best, whoever decides.

use crate::scenario::{Build, Scenario};

/// Milliseconds from the start of the first build to the end of the last that no scheduler can go below: all work spread
/// perfectly over the fastest slots, as many as there are jobs at a time, and the longest chain of each build on the fastest worker. Sending, toolchains, deaths and
/// crowding cost nothing here.
pub fn lower_bound_ms(scenario: &Scenario) -> f64 {
    let mut slots: Vec<f64> = scenario
        .hosts
        .iter()
        .flat_map(|host| {
            let speed = host.speed * up(host.dies, scenario);
            std::iter::repeat_n(speed, host.slots as usize)
        })
        .collect();
    slots.sort_by(|a, b| b.total_cmp(a));
    let parallel: usize = scenario.builds.iter().map(|build| build.parallel).sum();
    let capacity: f64 = slots.iter().take(parallel).sum();
    let work: f64 = scenario
        .builds
        .iter()
        .flat_map(|build| &build.jobs)
        .filter(|job| !job.local)
        .map(|job| job.work_ms)
        .sum();
    let last_link = scenario
        .builds
        .iter()
        .map(|build| last_link_ms(scenario, build))
        .fold(f64::INFINITY, f64::min);
    let chains = scenario
        .builds
        .iter()
        .map(|build| build.start_ms as f64 + longest_chain_ms(scenario, build))
        .fold(0.0, f64::max);
    (work / capacity + last_link).max(chains)
}

/// The share of the time a worker is there, if it dies: taken as if the builds ran at full capacity.
fn up(dies: Option<(u64, u64)>, scenario: &Scenario) -> f64 {
    let Some((from, to)) = dies else { return 1.0 };
    let capacity: f64 = scenario
        .hosts
        .iter()
        .map(|host| f64::from(host.slots) * host.speed)
        .sum();
    let jobs = scenario.builds.iter().flat_map(|build| &build.jobs);
    let work: f64 = jobs.map(|job| job.work_ms).sum();
    // Work is done at full capacity before, at less in between, and at full capacity after: at least this long.
    let total = work / capacity + (to - from) as f64;
    if total > to as f64 {
        (total - (to - from) as f64) / total
    } else {
        1.0
    }
}

fn last_link_ms(scenario: &Scenario, build: &Build) -> f64 {
    let speed = scenario
        .hosts
        .get(build.submitter)
        .map_or(1.0, |host| host.speed);
    let last = build.jobs.last().filter(|job| job.local);
    last.map_or(0.0, |job| job.work_ms / speed)
}

fn longest_chain_ms(scenario: &Scenario, build: &Build) -> f64 {
    let fastest = scenario
        .hosts
        .iter()
        .filter(|host| host.slots > 0)
        .map(|host| host.speed)
        .fold(0.0, f64::max);
    let own = scenario
        .hosts
        .get(build.submitter)
        .map_or(1.0, |host| host.speed);
    let mut ends: Vec<f64> = Vec::with_capacity(build.jobs.len());
    for job in &build.jobs {
        let ready = job.after.iter().filter_map(|before| ends.get(*before));
        let ready = ready.copied().fold(0.0, f64::max);
        ends.push(ready + job.work_ms / if job.local { own } else { fastest });
    }
    ends.into_iter().fold(0.0, f64::max)
}
