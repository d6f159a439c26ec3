//! What the picture answers.

use super::{
    Build, Changed, Cluster, Command, Durations, FileTally, Host, HostId, Job, JobId, Link,
    Occupancy, Person, Reason, Recent, Results, Scheduler, Strip, Totals,
};
use crate::verdict::Facts;
use crate::view::AlertRow;

impl Cluster {
    /// Milliseconds a build that runs will still take if it does as much as the submitter's last one of the same files; a guess.
    pub fn estimate(&self, build: &Build, now: u64) -> Option<u64> {
        let mut earlier = self.builds.all().rev();
        let like = earlier.find(|other| {
            other.number < build.number
                && other.client == build.client
                && !other.is_open(now)
                && build.resembles(other)
        })?;
        let share = build.serial_ms as f64 / like.serial_ms.max(1) as f64;
        let wall = now.saturating_sub(build.begun) as f64;
        (share > 0.02 && share < 1.0).then(|| (wall * (1.0 - share) / share) as u64)
    }

    /// What is wrong now.
    pub fn alerts(&self) -> &[AlertRow] {
        self.alerts.rows()
    }

    /// What a verdict on a build has to know of the cluster.
    pub fn facts_for(&self, build: &Build) -> Facts {
        let Some(client) = self.hosts.get(&build.client) else {
            return Facts::default();
        };
        let platform = &client.facts.platform;
        let workers = self
            .hosts
            .values()
            .filter(|host| host.is_available() && host.facts.platform == *platform);
        Facts {
            processors: client.slots(),
            slots: workers.map(Host::slots).fold(0, u32::saturating_add),
        }
    }

    /// What is different since a revision that an earlier answer named; from 0 on everything is.
    pub fn changes_since(&self, revision: u64) -> Changed {
        self.changes.since(revision)
    }

    /// The number of the newest change.
    pub fn revision(&self) -> u64 {
        self.changes.revision()
    }

    /// The scheduler that was heard last.
    pub fn scheduler(&self) -> Option<&Scheduler> {
        self.scheduler.as_ref()
    }

    /// Commands that were given over the control port, the oldest first.
    pub fn commands(&self) -> impl DoubleEndedIterator<Item = &Command> {
        self.commands.iter()
    }

    /// One build by its number.
    pub fn build(&self, number: u64) -> Option<&Build> {
        self.builds.get(number)
    }

    /// Why jobs were not done elsewhere, by code, as far as records tell.
    pub fn reasons(&self) -> impl Iterator<Item = (&str, &Reason)> {
        self.reasons.all()
    }

    /// Records that were told.
    pub fn records_told(&self) -> u64 {
        self.reasons.told()
    }

    /// Own and local jobs of whose reasons nothing was told.
    pub fn untold(&self) -> u64 {
        let here = self.totals.own + self.totals.local;
        here.saturating_sub(self.reasons.told_here())
    }

    /// How long each file takes.
    pub fn files(&self) -> impl Iterator<Item = (&str, &FileTally)> {
        self.files.all()
    }

    /// Users of submitters, as far as records tell.
    pub fn people(&self) -> impl Iterator<Item = (HostId, Option<u32>, &Person)> {
        self.people.all()
    }

    /// How long jobs, their waits and their phases took.
    pub fn durations(&self) -> &Durations {
        &self.durations
    }

    /// How jobs ended and what they moved.
    pub fn results(&self) -> &Results {
        &self.results
    }

    /// The last minutes.
    pub fn recent(&self) -> &Recent {
        &self.recent
    }

    /// Whether a scheduler is heard.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// All hosts in the order in which they were first seen, those that left included.
    pub fn hosts(&self) -> impl Iterator<Item = (HostId, &Host)> {
        self.hosts.iter().map(|(id, host)| (*id, host))
    }

    /// One host.
    pub fn host(&self, id: HostId) -> Option<&Host> {
        self.hosts.get(&id)
    }

    /// All jobs that are remembered, the oldest first.
    pub fn jobs(&self) -> impl DoubleEndedIterator<Item = (JobId, &Job)> {
        self.jobs.iter().map(|(id, job)| (*id, job))
    }

    /// One job.
    pub fn job(&self, id: JobId) -> Option<&Job> {
        self.jobs.get(&id)
    }

    /// Builds, the oldest first.
    pub fn builds(&self) -> impl DoubleEndedIterator<Item = &Build> {
        self.builds.all()
    }

    /// Sums since the beginning.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Busy slots of the whole cluster over time.
    pub fn busy(&self) -> &Strip {
        &self.busy
    }

    /// The whole at this moment.
    pub fn occupancy(&self) -> Occupancy {
        let mut sum = Occupancy {
            running: self.running,
            running_here: self.running_here,
            queued: self.queued,
            ..Occupancy::default()
        };
        for host in self.hosts.values().filter(|host| host.is_here()) {
            sum.hosts += 1;
            sum.active += usize::from(host.busy() > 0);
            if host.is_available() {
                sum.available += 1;
                sum.slots = sum.slots.saturating_add(host.slots());
            }
        }
        sum
    }
}
