//! Jobs that were under way when the connection to the scheduler ended. The next one tells of them again, under other numbers if
//! the scheduler is another: they are known again by client and file, and wait a while for that before they count as lost.

use super::{Cluster, Figures, Job, JobId, MOST_LIVE, State};

/// Milliseconds after a new connection in which daemons come back and tell what they run.
const PATIENCE: u64 = 15_000;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Orphans {
    jobs: Vec<JobId>,
    since: u64,
}

impl Cluster {
    /// A scheduler counts anew: what is under way has no number for now.
    pub(super) fn orphan_all(&mut self, now: u64) {
        let live = self.live.drain().map(|(_, job)| job);
        self.orphans.jobs.extend(live);
        self.orphans.jobs.sort_unstable();
        self.orphans.since = now;
        self.numbered.clear();
        // A connection that comes and goes leaves no more behind than could be under way at once.
        let surplus = self.orphans.jobs.len().saturating_sub(MOST_LIVE);
        let oldest: Vec<JobId> = self.orphans.jobs.drain(..surplus).collect();
        for job in oldest {
            self.end(now, job, State::Lost, Figures::default());
        }
    }

    /// Whether `new` is one of those that were under way; it then has its number.
    pub(super) fn adopt(&mut self, now: u64, new: &Job) -> bool {
        if self.orphans.jobs.is_empty() || new.client.is_none() {
            return false;
        }
        let known = |id: &JobId| {
            self.jobs.get(id).is_some_and(|job| {
                let same_kind = job.state == State::Queued
                    || (job.kind == new.kind && new.state != State::Queued)
                    || (job.kind != super::Kind::Local && new.state == State::Queued);
                same_kind && job.client == new.client && name(&job.file) == name(&new.file)
            })
        };
        let Some(place) = self.orphans.jobs.iter().position(known) else {
            return false;
        };
        let id = self.orphans.jobs.remove(place);
        self.renumber(now, new.number, id);
        true
    }

    /// Gives up those nobody has told of again.
    pub(super) fn give_up_orphans(&mut self, now: u64) {
        if self.orphans.jobs.is_empty() || now.saturating_sub(self.orphans.since) < PATIENCE {
            return;
        }
        for job in std::mem::take(&mut self.orphans.jobs) {
            self.end(now, job, State::Lost, Figures::default());
        }
    }

    fn renumber(&mut self, now: u64, number: u32, id: JobId) {
        if let Some(previous) = self.live.insert(number, id) {
            self.end(now, previous, State::Lost, Figures::default());
        }
        self.numbered.insert(number, id);
        if let Some(job) = self.jobs.get_mut(&id) {
            job.number = number;
        }
        self.changes.job(id);
    }
}

/// A worker that tells what it runs knows the file without its folder.
fn name(file: &str) -> &str {
    file.rsplit('/').next().unwrap_or(file)
}
