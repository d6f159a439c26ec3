//! How fast a node is, learned from the jobs it finished: bytes of object per millisecond of user time, with Icecream's
//! corrections for debug information and optimisation, so that the numbers shown to people stay comparable.
//!
//! Deliberately narrow: what to make of the numbers is [`crate::place`]'s business.

use std::collections::VecDeque;

use crate::config::LOAD_FULL;
use crate::event::JobResult;
use crate::ids::JobId;
use crate::node::Node;

/// Finished jobs remembered per node.
const KEPT: usize = 200;
/// Objects below this many bytes say nothing about speed.
const SMALLEST_OUTPUT: u32 = 4096;
/// From this many jobs on a new one may not pull the mean about.
const SETTLED: usize = 7;
/// How far a job may be off the mean, then.
const SMOOTHING: f32 = 1.2;
/// More bytes than any real job has; what a peer claims beyond is not believed, so that sums cannot overflow.
const LARGEST_SAMPLE: u64 = 1 << 40;
/// How many old jobs are looked through for one two nodes have in common.
const MATCH_WINDOW: usize = 17;

/// The jobs one node has compiled.
#[derive(Debug, Clone, Default)]
pub(crate) struct Statistics {
    samples: VecDeque<Sample>,
    /// Their first jobs.
    oldest: Oldest,
    size: u64,
    user_ms: u64,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    job: JobId,
    size: u64,
    user_ms: u64,
}

impl Statistics {
    pub(crate) fn len(&self) -> usize {
        self.samples.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Adjusted bytes per millisecond; 0 if unknown.
    pub(crate) fn mean(&self) -> f32 {
        if self.user_ms == 0 {
            0.0
        } else {
            self.size as f32 / self.user_ms as f32
        }
    }

    /// Notes a job of `size` adjusted bytes that took `user_ms` (not 0); `present` is the node's speed as shown.
    pub(crate) fn add(&mut self, job: JobId, size: u64, user_ms: u32, present: f32) {
        let user = user_ms as f32;
        let speed = size as f32 / user;
        let smoothed = if self.samples.len() < SETTLED {
            size
        } else if speed / SMOOTHING > present {
            (present * SMOOTHING * user) as u64
        } else if speed * SMOOTHING < present {
            (present / SMOOTHING * user) as u64
        } else {
            size
        };
        let sample = Sample {
            job,
            size: smoothed.min(LARGEST_SAMPLE),
            user_ms: u64::from(user_ms),
        };
        self.size += sample.size;
        self.user_ms += sample.user_ms;
        self.samples.push_back(sample);
        self.oldest.add(sample.job);
        if self.samples.len() > KEPT
            && let Some(oldest) = self.samples.pop_front()
        {
            self.size -= oldest.size;
            self.user_ms -= oldest.user_ms;
            let next = self.samples.get(MATCH_WINDOW - 1);
            self.oldest.shift(next.map(|sample| sample.job));
        }
    }
}

/// The jobs one node has had compiled, by number only.
#[derive(Debug, Clone, Default)]
pub(crate) struct Requested {
    jobs: VecDeque<JobId>,
    oldest: Oldest,
}

/// The first of a list of jobs, side by side, for they are looked through with every decision.
#[derive(Debug, Clone, Copy, Default)]
struct Oldest {
    jobs: [u32; MATCH_WINDOW],
    length: usize,
}

impl Oldest {
    fn add(&mut self, job: JobId) {
        if let Some(place) = self.jobs.get_mut(self.length) {
            *place = job.0;
            self.length += 1;
        }
    }

    /// The first one is gone, and this one has come into the window.
    fn shift(&mut self, next: Option<JobId>) {
        self.jobs.rotate_left(1);
        self.length = self.length.saturating_sub(1);
        if let Some(next) = next {
            self.add(next);
        }
    }

    fn jobs(&self) -> &[u32] {
        self.jobs.get(..self.length).unwrap_or_default()
    }
}

impl Requested {
    pub(crate) fn add(&mut self, job: JobId) {
        self.jobs.push_back(job);
        self.oldest.add(job);
        if self.jobs.len() > KEPT {
            self.jobs.pop_front();
            self.oldest.shift(self.jobs.get(MATCH_WINDOW - 1).copied());
        }
    }

    /// The first old job the other node compiled for this one.
    pub(crate) fn matched(&self, worker: &Statistics) -> Option<JobId> {
        let theirs = worker.oldest.jobs();
        let mut ours = self.oldest.jobs().iter();
        ours.find(|job| theirs.contains(job)).copied().map(JobId)
    }
}

/// All jobs of the cluster, reduced to what an unknown job or node is taken to be like. Old ones fade.
#[derive(Debug, Clone, Default)]
pub(crate) struct ClusterMean {
    size: f32,
    speed: f32,
    known: bool,
}

impl ClusterMean {
    pub(crate) fn add(&mut self, size: u64, user_ms: u32) {
        const WEIGHT: f32 = 1.0 / 64.0;
        let (size, speed) = (size as f32, size as f32 / user_ms as f32);
        if self.known {
            self.size += (size - self.size) * WEIGHT;
            self.speed += (speed - self.speed) * WEIGHT;
        } else {
            (self.size, self.speed, self.known) = (size, speed, true);
        }
    }

    /// No job has ever counted.
    pub(crate) fn is_unknown(&self) -> bool {
        !self.known
    }

    pub(crate) fn size(&self) -> f32 {
        self.size
    }

    pub(crate) fn speed(&self) -> f32 {
        self.speed
    }
}

/// The size a finished job counts with, and its user time; nothing if it says nothing about speed.
///
/// A worker whose compiler was killed reports exit code 0 with all times 0, so those are left out.
pub(crate) fn countable(result: &JobResult, arg_flags: u32) -> Option<(u64, u32)> {
    if result.exit_code != 0 || result.out_uncompressed < SMALLEST_OUTPUT || result.user_ms == 0 {
        return None;
    }
    let mut size = u64::from(result.out_uncompressed);
    if arg_flags & 1 != 0 {
        size = size * 10 / 36;
    } else if arg_flags & 2 != 0 {
        size = size * 10 / 45;
    }
    if arg_flags & (4 | 8 | 16) != 0 {
        size = size * 58 / 35;
    }
    Some((size, result.user_ms))
}

/// The speed people are shown: the mean, with Icecream's bonus for nodes that are still little known.
pub(crate) fn shown_speed(node: &Node) -> f32 {
    let speed = node.compiled.mean();
    match node.compiled.len() {
        0 => 0.0,
        known if known < SETTLED => speed * (4.5 - 0.5 * known as f32),
        _ => speed,
    }
}

/// The speed one more job would see on `node` now, from its mean speed (or the cluster's, if it has none).
///
/// For the submitter itself load is not looked at: it is mostly the build. What counts is how many clients it serves.
pub(crate) fn speed_for(node: &Node, is_submitter: bool, cluster: &ClusterMean) -> f32 {
    let mut speed = match node.compiled.mean() {
        mean if mean > 0.0 => mean,
        _ => cluster.speed(),
    };
    speed *= share_for(node, is_submitter);
    let slots = u64::from(node.slots.max(1));
    let occupied = node.occupied() as f32 / slots as f32;
    speed * (1.0 - 0.5 * occupied.min(1.9))
}

/// How much of a node is left for a job, by Icecream's rule: its load says so, but for its own jobs its clients do.
pub(crate) fn share_for(node: &Node, is_submitter: bool) -> f32 {
    if !is_submitter {
        return LOAD_FULL.saturating_sub(node.load) as f32 / LOAD_FULL as f32;
    }
    let slots = u64::from(node.slots);
    let clients = match node.client_count {
        0 => node.submitted.len() as u64,
        counted => u64::from(counted),
    };
    if clients > slots {
        0.1
    } else if clients == slots {
        0.8
    } else if clients <= slots / 2 {
        1.1
    } else {
        1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(output: u32, user_ms: u32) -> JobResult {
        JobResult {
            out_uncompressed: output,
            user_ms,
            ..JobResult::default()
        }
    }

    #[test]
    fn sizes_are_corrected_for_debug_information_and_optimisation() {
        assert_eq!(countable(&done(36_000, 1000), 0), Some((36_000, 1000)));
        assert_eq!(countable(&done(36_000, 1000), 1), Some((10_000, 1000)));
        assert_eq!(countable(&done(45_000, 1000), 2), Some((10_000, 1000)));
        assert_eq!(countable(&done(36_000, 1000), 8), Some((59_657, 1000)));
        assert_eq!(
            countable(&done(36_000, 1000), 1 | 4),
            Some((10_000 * 58 / 35, 1000))
        );
    }

    #[test]
    fn jobs_that_say_nothing_do_not_count() {
        assert_eq!(countable(&done(4095, 1000), 0), None);
        assert_eq!(countable(&done(100_000, 0), 0), None);
        let failed = JobResult {
            exit_code: 1,
            ..done(100_000, 1000)
        };
        assert_eq!(countable(&failed, 0), None);
    }

    #[test]
    fn outliers_are_smoothed_once_the_mean_has_settled() {
        let mut statistics = Statistics::default();
        for job in 0..7 {
            statistics.add(JobId(job), 10_000, 1000, statistics.mean());
        }
        statistics.add(JobId(7), 100_000, 1000, 10.0);
        assert_eq!(statistics.size, 82_000);
        statistics.add(JobId(8), 10, 1000, 12.0);
        assert_eq!(statistics.size, 92_000);
    }

    #[test]
    fn lies_about_sizes_and_times_do_not_overflow() {
        let mut statistics = Statistics::default();
        let mut present = 0.0;
        for job in 0..500 {
            let lie = if job % 9 < 8 {
                done(u32::MAX, 1)
            } else {
                done(SMALLEST_OUTPUT, u32::MAX)
            };
            let (size, user_ms) = countable(&lie, 4).unwrap();
            statistics.add(JobId(job), size, user_ms, present);
            present = statistics.mean();
        }
        assert!(statistics.mean().is_finite());
    }

    #[test]
    fn only_the_last_200_count() {
        let mut statistics = Statistics::default();
        for job in 0..200 {
            statistics.add(JobId(job), 10_000, 1000, 10.0);
        }
        for job in 200..400 {
            statistics.add(JobId(job), 11_000, 1000, 10.0);
        }
        assert_eq!(statistics.len(), 200);
        assert_eq!(statistics.mean(), 11.0);
    }

    #[test]
    fn a_job_in_common_is_found_among_the_oldest_17() {
        let (mut requested, mut compiled) = (Requested::default(), Statistics::default());
        for job in 0..20 {
            requested.add(JobId(job));
            compiled.add(JobId(job + 16), 10_000, 1000, 10.0);
        }
        assert_eq!(requested.matched(&compiled), Some(JobId(16)));
        let mut late = Requested::default();
        for job in 100..117 {
            late.add(JobId(job));
        }
        late.add(JobId(16));
        assert_eq!(late.matched(&compiled), None);
    }
}
