//! The picture in, once a second; what is to be kept out, every ten. Pure: the time comes in.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use super::sample::{Batch, FileSum, Sample};
use super::store::PastBuild;
use crate::model::{Cluster, Host, Job, JobId, Kind, Link, State, Totals};
use crate::view;

/// Milliseconds of a batch.
const STEP: u64 = 10_000;

/// The same in seconds, of a host's strip.
const STEP_SECONDS: usize = 10;

/// A longer time between two looks says nothing about what was in between, in ms.
const LONGEST_GAP: u64 = 5_000;

/// Different files of a batch.
const MOST_FILES: usize = 5_000;

/// Jobs that are known to have been counted; more than the picture keeps.
const MOST_COUNTED: usize = 20_000;

/// What was seen since the last batch.
#[derive(Debug, Default)]
pub struct Sampler {
    looked: Option<u64>,
    revision: u64,
    totals: Totals,
    sample: Sample,
    files: HashMap<String, FileSum>,
    counted: HashSet<JobId>,
    order: VecDeque<JobId>,
    /// Builds that are kept already.
    builds: BTreeSet<u64>,
}

impl Sampler {
    /// Nothing seen yet.
    pub fn new() -> Sampler {
        Sampler::default()
    }

    /// Looks at the picture; what is to be kept if ten seconds are full.
    pub fn look(&mut self, cluster: &Cluster, now: u64) -> Option<Batch> {
        let before = self.looked.replace(now)?;
        self.count_levels(cluster, now.saturating_sub(before));
        self.count_totals(cluster.totals());
        self.count_jobs(cluster, now);
        let is_full = now / STEP != before / STEP;
        is_full.then(|| self.batch(cluster, before - before % STEP, now))
    }

    fn count_levels(&mut self, cluster: &Cluster, passed: u64) {
        // Without a scheduler nothing is known, which is not the same as nothing.
        if passed == 0 || passed > LONGEST_GAP || !matches!(cluster.link(), Link::Up { .. }) {
            return;
        }
        let level = cluster.occupancy();
        self.sample.add(&Sample {
            seconds: passed as f64 / 1000.0,
            slots: f64::from(level.slots),
            busy: f64::from(level.running),
            queued: f64::from(level.queued),
            hosts: level.hosts as f64,
            ..Sample::default()
        });
    }

    fn count_totals(&mut self, totals: Totals) {
        let before = std::mem::replace(&mut self.totals, totals);
        self.sample.add(&Sample {
            remote: totals.remote.saturating_sub(before.remote),
            own: totals.own.saturating_sub(before.own),
            local: totals.local.saturating_sub(before.local),
            failed: totals.failed.saturating_sub(before.failed),
            lost: totals.lost.saturating_sub(before.lost),
            cancelled: totals.cancelled.saturating_sub(before.cancelled),
            ..Sample::default()
        });
    }

    fn count_jobs(&mut self, cluster: &Cluster, now: u64) {
        let changed = cluster.changes_since(self.revision);
        self.revision = changed.revision;
        for id in changed.jobs {
            let Some(job) = cluster.job(id) else { continue };
            if !job.is_over() || job.kind == Kind::Local || !self.is_new(id) {
                continue;
            }
            if job.begun.is_some() {
                self.sample.waited_ms = self.sample.waited_ms.saturating_add(job.wait(now));
                self.sample.waits += 1;
            }
            if matches!(job.state, State::Finished | State::Failed) && !job.file.is_empty() {
                self.count_file(cluster, job, now);
            }
        }
    }

    /// A job changes after its end as well, when its record comes.
    fn is_new(&mut self, id: JobId) -> bool {
        if !self.counted.insert(id) {
            return false;
        }
        self.order.push_back(id);
        if self.order.len() > MOST_COUNTED
            && let Some(oldest) = self.order.pop_front()
        {
            self.counted.remove(&oldest);
        }
        true
    }

    fn count_file(&mut self, cluster: &Cluster, job: &Job, now: u64) {
        if self.files.len() >= MOST_FILES && !self.files.contains_key(&job.file) {
            return;
        }
        let took = job.duration(now);
        let server = job.server.and_then(|server| cluster.host(server));
        self.files
            .entry(job.file.clone())
            .or_default()
            .add(&FileSum {
                jobs: 1,
                failed: u64::from(job.state == State::Failed),
                total_ms: took,
                max_ms: took,
                host: server.map_or_else(String::new, |host| host.facts.name.clone()),
            });
    }

    fn batch(&mut self, cluster: &Cluster, at: u64, now: u64) -> Batch {
        let is_up = matches!(cluster.link(), Link::Up { .. });
        let here = cluster.hosts().filter(|(_, host)| is_up && host.is_here());
        Batch {
            at,
            sample: std::mem::take(&mut self.sample),
            hosts: here
                .map(|(_, host)| (host.facts.name.clone(), share_of(host, now)))
                .collect(),
            builds: self.builds(cluster, now),
            files: self.files.drain().collect(),
        }
    }

    fn builds(&mut self, cluster: &Cluster, now: u64) -> Vec<PastBuild> {
        let numbers: BTreeSet<u64> = cluster.builds().map(|build| build.number).collect();
        self.builds.retain(|number| numbers.contains(number));
        let mut ended = Vec::new();
        for number in numbers.difference(&self.builds.clone()) {
            let Some(row) = view::build(cluster, *number, now).filter(|row| !row.open) else {
                continue;
            };
            self.builds.insert(*number);
            let client = cluster.host(row.client);
            ended.push(PastBuild {
                client_name: client.map_or_else(String::new, |host| host.facts.name.clone()),
                row,
            });
        }
        ended
    }
}

/// Busy slots of all slots in the last ten seconds.
fn share_of(host: &Host, now: u64) -> f64 {
    let levels = host.busy_strip().last(now, STEP_SECONDS);
    let slots = f64::from(host.slots().max(1));
    levels.iter().sum::<f64>() / levels.len().max(1) as f64 / slots
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::{Demo, STEP as DEMO_STEP};
    use crate::history::Store;
    use crate::{Event, HostFacts};

    fn host(number: u32) -> Event {
        Event::Host {
            host: number,
            facts: HostFacts {
                name: format!("h{number}"),
                slots: 4,
                ..HostFacts::default()
            },
        }
    }

    fn connected() -> Event {
        Event::Connected {
            scheduler: "s".to_owned(),
            netname: None,
            protocol: 44,
        }
    }

    #[test]
    fn ten_seconds_are_kept_as_they_were() {
        let mut cluster = Cluster::new();
        cluster.apply(100_000, connected());
        cluster.apply(100_000, host(1));
        cluster.apply(100_000, host(2));
        let queued = Event::Queued {
            job: 1,
            client: 1,
            file: "a.c".to_owned(),
            language: 0,
        };
        cluster.apply(100_000, queued);
        cluster.apply(100_500, Event::Begun { job: 1, host: 2 });
        let mut sampler = Sampler::new();
        let mut batches = Vec::new();
        for second in 0..21 {
            let now = 100_000 + second * 1000;
            if second == 10 {
                let figures = Default::default();
                cluster.apply(now, Event::Done { job: 1, figures });
            }
            batches.extend(sampler.look(&cluster, now));
        }
        assert_eq!(batches.len(), 2);
        let first = &batches[0];
        assert_eq!((first.at, first.sample.seconds), (100_000, 10.0));
        assert_eq!((first.sample.remote, first.sample.slots), (1, 8.0));
        assert_eq!(first.sample.busy, 0.9);
        let share = |name: &str| first.hosts.iter().find(|(host, _)| host == name).unwrap().1;
        assert_eq!(share("h1"), 0.0);
        assert!((share("h2") - 0.24).abs() < 0.02, "{}", share("h2"));
        assert_eq!((first.files[0].1.jobs, first.sample.waited_ms), (1, 500));
        assert_eq!((batches[1].sample.remote, batches[1].files.len()), (0, 0));
    }

    #[test]
    fn a_lost_scheduler_leaves_a_gap() {
        let mut cluster = Cluster::new();
        cluster.apply(0, connected());
        cluster.apply(0, host(1));
        let reason = "gone".to_owned();
        cluster.apply(5_000, Event::Lost { reason });
        let mut sampler = Sampler::new();
        let batches: Vec<Batch> = (0..21)
            .filter_map(|second| sampler.look(&cluster, second * 1000))
            .collect();
        assert_eq!(
            (batches[0].sample.seconds, batches[0].hosts.len()),
            (0.0, 0)
        );
    }

    #[test]
    fn clocks_that_jump_do_no_harm() {
        let cluster = Cluster::new();
        let mut sampler = Sampler::new();
        for now in [5_000, 9_000, 1_000, 500_000_000, 2_000, u64::MAX, 0] {
            if let Some(batch) = sampler.look(&cluster, now) {
                assert!(batch.sample.seconds <= 10.0);
            }
        }
    }

    #[test]
    fn a_day_of_the_demo_is_kept_and_every_ended_job_counted_once() {
        let mut demo = Demo::new(3, 5, 1_000_000_000);
        let mut cluster = Cluster::new();
        let mut sampler = Sampler::new();
        let store = Store::in_memory().unwrap();
        let mut files = 0;
        for step in 0..3_000 {
            let now = demo.now();
            for event in demo.step() {
                cluster.apply(now, event);
            }
            if step % (1000 / DEMO_STEP) == 0
                && let Some(batch) = sampler.look(&cluster, now)
            {
                files += batch.files.iter().map(|(_, sum)| sum.jobs).sum::<u64>();
                store.add(&batch).unwrap();
            }
        }
        let ended = cluster.jobs().filter(|(_, job)| {
            matches!(job.state, State::Finished | State::Failed) && job.kind != Kind::Local
        });
        let ended = ended.count() as u64;
        assert!(
            files > 100 && files <= ended && ended - files < 200,
            "{files} of {ended}"
        );
        let now = demo.now();
        let kept = store.files(now).unwrap();
        assert_eq!(kept.iter().map(|file| file.jobs).sum::<u64>(), files);
    }
}
