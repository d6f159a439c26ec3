//! Who uses the cluster: users of submitters, as far as records tell them apart.

use std::collections::BTreeMap;

use gelato_record::{JobRecord, Verdict};

use super::HostId;

/// People that are remembered.
const MOST_PEOPLE: usize = 1_000;

/// What one user of one submitter did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Person {
    /// Jobs that are over.
    pub jobs: u64,
    /// Of these, jobs done by other machines.
    pub remote: u64,
    /// Wall time of all jobs in ms.
    pub wall_ms: u64,
    /// Wall time of the jobs done by other machines, in ms.
    pub remote_wall_ms: u64,
    /// CPU time these cost on the submitter, in ms.
    pub remote_cpu_ms: u64,
    /// Time waited for workers in ms.
    pub wait_ms: u64,
    /// When a job of theirs was last over.
    pub last: u64,
}

/// All of them, by submitter and number of the user there.
#[derive(Clone, Debug, Default)]
pub(super) struct People {
    all: BTreeMap<(HostId, Option<u32>), Person>,
}

impl People {
    pub(super) fn count(&mut self, now: u64, host: HostId, record: &JobRecord) {
        let key = (host, record.user);
        if self.all.len() >= MOST_PEOPLE && !self.all.contains_key(&key) {
            let oldest = self.all.iter().min_by_key(|(_, person)| person.last);
            if let Some(oldest) = oldest.map(|(key, _)| *key) {
                self.all.remove(&oldest);
            }
        }
        let person = self.all.entry(key).or_default();
        person.jobs += 1;
        person.remote += u64::from(record.verdict == Verdict::Remote);
        person.wall_ms = person.wall_ms.saturating_add(record.wall);
        person.wait_ms = person.wait_ms.saturating_add(record.phases.wait);
        if record.verdict == Verdict::Remote {
            person.remote_wall_ms = person.remote_wall_ms.saturating_add(record.wall);
            person.remote_cpu_ms = person.remote_cpu_ms.saturating_add(record.cpu);
        }
        person.last = now;
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (HostId, Option<u32>, &Person)> {
        let all = self.all.iter();
        all.map(|((host, user), person)| (*host, *user, person))
    }
}
