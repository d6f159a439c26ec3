//! How quick a scenario could be at best, whoever decides.
//!
//! The bound is the largest of these, none of which any placement can beat:
//!
//! - **work**: all compilations spread perfectly, until the workers have done them, and after the last of them at
//!   least the links that follow it. At any time the workers do no more than their slots give with as many jobs as
//!   submitters keep under way ([`Host::rate_of_each`]: crowded ones give less), those that are there (a dead one gives
//!   nothing), and those that have the toolchain: it is sent to one after the other over the submitter's uplink, the
//!   fastest first, and unpacked;
//! - **memory**: what jobs take of slots and memory together, see [`by_memory`];
//! - **chains**: the longest chain of each build, on the fastest worker.
//!
//! Left out, so that the bound is a little too good for anybody: that jobs cannot be divided, that their times are not
//! known exactly, sending sources and objects, work lost with a dying worker.

use crate::scenario::{Build, Host, Job, Scenario};
use crate::world::{TOOLCHAIN_BYTES, UNPACK_MS};

/// Milliseconds from the start of the first build to the end of the last that no scheduler can go below.
pub fn lower_bound_ms(scenario: &Scenario) -> f64 {
    let after_work = scenario
        .builds
        .iter()
        .map(|build| shortest_end_ms(scenario, build))
        .fold(f64::INFINITY, f64::min);
    let chains = scenario
        .builds
        .iter()
        .map(|build| build.start_ms as f64 + longest_chain_ms(scenario, build))
        .fold(0.0, f64::max);
    let work = by_work(scenario).max(by_memory(scenario));
    (work + after_work).max(chains)
}

/// All that is not a link.
fn compilations(scenario: &Scenario) -> impl Iterator<Item = &Job> {
    let jobs = scenario.builds.iter().flat_map(|build| &build.jobs);
    jobs.filter(|job| !job.local)
}

/// When the work can be done, if it could be divided at will.
fn by_work(scenario: &Scenario) -> f64 {
    let mut left: f64 = compilations(scenario).map(|job| job.work_ms).sum();
    let there = toolchain_there_at(scenario);
    let mut times: Vec<f64> = there.clone();
    for host in &scenario.hosts {
        let (dies, back) = host.dies.unwrap_or((0, 0));
        times.extend([dies as f64, back as f64]);
    }
    times.retain(|time| time.is_finite());
    times.sort_by(f64::total_cmp);
    let mut now = 0.0;
    for next in times.into_iter().chain([f64::INFINITY]) {
        let hosts = scenario.hosts.iter().zip(&there);
        let working = hosts.filter(|(host, there)| {
            let dead = host
                .dies
                .is_some_and(|(dies, back)| dies as f64 <= now && now < back as f64);
            **there <= now && !dead
        });
        let working: Vec<&Host> = working.map(|(host, _)| host).collect();
        let capacity = capacity(&working, scenario);
        if left <= capacity * (next - now) {
            return now + left / capacity;
        }
        left -= capacity * (next - now);
        now = next;
    }
    now
}

/// The most these do per time with as many jobs as there may be.
fn capacity(hosts: &[&Host], scenario: &Scenario) -> f64 {
    let parallel: usize = scenario.builds.iter().map(|build| build.parallel).sum();
    let gives = |host: &Host, jobs: usize| jobs as f64 * host.rate_of_each(jobs);
    // Every further job on a host gives less than the one before, so the best next one is best in the end.
    let mut gains: Vec<f64> = hosts
        .iter()
        .flat_map(|host| {
            (1..=host.slots as usize).map(|jobs| gives(host, jobs) - gives(host, jobs - 1))
        })
        .filter(|gain| *gain > 0.0)
        .collect();
    gains.sort_by(|a, b| b.total_cmp(a));
    gains.iter().take(parallel).sum()
}

/// When each host can have the toolchain.
fn toolchain_there_at(scenario: &Scenario) -> Vec<f64> {
    let mut there = vec![0.0; scenario.hosts.len()];
    if scenario.warm {
        return there;
    }
    let submitters: Vec<usize> = scenario
        .builds
        .iter()
        .map(|build| build.submitter)
        .collect();
    let needs = |at: &usize| {
        let installed = scenario.hosts.get(*at).is_some_and(|host| host.installed);
        !installed && !submitters.contains(at)
    };
    let mut cold: Vec<usize> = (0..scenario.hosts.len()).filter(needs).collect();
    let strength = |at: usize| {
        let host = scenario.hosts.get(at);
        host.map_or(0.0, |host| host.speed * f64::from(host.slots))
    };
    cold.sort_by(|a, b| strength(*b).total_cmp(&strength(*a)));
    let mut sent = 0.0;
    for at in cold {
        let host = scenario.hosts.get(at);
        // Several submitters send at a time.
        let links = submitters
            .iter()
            .filter_map(|from| scenario.hosts.get(*from));
        let bandwidth: f64 = links
            .map(|from| from.bandwidth.min(host.map_or(0.0, |host| host.bandwidth)))
            .sum();
        sent += TOOLCHAIN_BYTES / bandwidth.max(1e-9);
        if let Some(there) = there.get_mut(at) {
            *there = sent + UNPACK_MS as f64;
        }
    }
    there
}

/// When the work can be done if each job takes a slot and memory for its time, and both are shared out at will.
///
/// A linear programme's dual: with prices `a` for the slots and `b` for the memory of each worker, chosen such that all
/// that is there costs 1 per millisecond, no way to do the work costs less than doing each job where it is cheapest. Any
/// prices give a bound; these are improved step by step.
fn by_memory(scenario: &Scenario) -> f64 {
    let hosts: Vec<&Host> = scenario
        .hosts
        .iter()
        .filter(|host| host.slots > 0)
        .collect();
    let jobs: Vec<(f64, f64)> = compilations(scenario)
        .map(|job| (job.work_ms, f64::from(job.memory)))
        .collect();
    let mut largest: Vec<f64> = jobs.iter().map(|(_, memory)| *memory).collect();
    largest.sort_by(|a, b| b.total_cmp(a));
    let scarce = hosts.iter().any(|host| {
        let most: f64 = largest.iter().take(host.slots as usize).sum();
        most > f64::from(host.memory)
    });
    if !scarce {
        return 0.0;
    }
    let most = |host: &Host| capacity(&[host], scenario) / host.speed;
    let all: Vec<f64> = hosts
        .iter()
        .flat_map(|host| [most(host), f64::from(host.memory)])
        .collect();
    let value = |prices: &[f64]| -> f64 {
        let total: f64 = prices
            .iter()
            .zip(&all)
            .map(|(price, all)| price * all)
            .sum();
        let cost = |&(work, memory): &(f64, f64)| {
            let each = hosts.iter().zip(prices.chunks(2));
            let each = each.map(|(host, price)| {
                work / host.speed
                    * (price.first().unwrap_or(&0.0) + memory * price.last().unwrap_or(&0.0))
            });
            each.fold(f64::INFINITY, f64::min)
        };
        jobs.iter().map(cost).sum::<f64>() / total
    };
    // At first only slots cost anything, as much as what they do is worth.
    let mut prices: Vec<f64> = hosts.iter().flat_map(|host| [host.speed, 0.0]).collect();
    let mut best = value(&prices);
    let mut step = 0.1;
    while step > 0.002 {
        let before = best;
        for (host, at) in (0..prices.len()).map(|at| (at / 2, at)) {
            // Memory for a job of a GiB is priced in the measure of a slot.
            let scale = hosts.get(host).map_or(1.0, |host| host.speed);
            let scale = if at % 2 == 0 { scale } else { scale / 1024.0 };
            for change in [step * scale, -step * scale] {
                let mut other = prices.clone();
                other[at] = (other[at] + change).max(0.0);
                let found = value(&other);
                if found > best {
                    (best, prices) = (found, other);
                }
            }
        }
        if best <= before * 1.0001 {
            step /= 2.0;
        }
    }
    best
}

/// What must at least be linked after the last compilation of a build, whichever that is.
fn shortest_end_ms(scenario: &Scenario, build: &Build) -> f64 {
    let own = scenario
        .hosts
        .get(build.submitter)
        .map_or(1.0, |host| host.speed);
    let mut after = vec![0.0_f64; build.jobs.len()];
    for (at, job) in build.jobs.iter().enumerate().rev() {
        let from_here = after[at] + if job.local { job.work_ms / own } else { 0.0 };
        for before in &job.after {
            after[*before] = after[*before].max(from_here);
        }
    }
    let ends = build.jobs.iter().zip(after).filter(|(job, _)| !job.local);
    ends.map(|(_, after)| after).fold(f64::INFINITY, f64::min)
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
