//! What changed since when: every change gets the next number, and of each thing only the newest change is kept.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::Hash;

use super::{HostId, JobId};

/// Hosts that were forgotten and are still told as such.
const KEPT_GONE: usize = 1_000;

/// What is different from what somebody saw at an earlier change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// What to ask with next time.
    pub revision: u64,
    /// Hosts that are new or changed.
    pub hosts: Vec<HostId>,
    /// Hosts that were forgotten.
    pub hosts_gone: Vec<HostId>,
    /// Jobs that are new or changed.
    pub jobs: Vec<JobId>,
    /// Numbers of builds that are new or changed.
    pub builds: Vec<u64>,
    /// Whether the totals per reason changed.
    pub reasons: bool,
    /// Whether alerts came, went or changed.
    pub alerts: bool,
}

/// The newest change of each thing.
#[derive(Clone, Debug, Default)]
pub(super) struct Changes {
    revision: u64,
    hosts: Newest<HostId>,
    jobs: Newest<JobId>,
    builds: Newest<u64>,
    gone: VecDeque<(u64, HostId)>,
    reasons: u64,
    alerts: u64,
}

impl Changes {
    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    pub(super) fn since(&self, revision: u64) -> Changed {
        let gone = self.gone.iter().filter(|(at, _)| *at > revision);
        Changed {
            revision: self.revision,
            hosts: self.hosts.since(revision),
            hosts_gone: gone.map(|(_, host)| *host).collect(),
            jobs: self.jobs.since(revision),
            builds: self.builds.since(revision),
            reasons: self.reasons > revision,
            alerts: self.alerts > revision,
        }
    }

    pub(super) fn host(&mut self, host: HostId) {
        self.revision += 1;
        self.hosts.touch(self.revision, host);
    }

    pub(super) fn job(&mut self, job: JobId) {
        self.revision += 1;
        self.jobs.touch(self.revision, job);
    }

    pub(super) fn build(&mut self, build: u64) {
        self.revision += 1;
        self.builds.touch(self.revision, build);
    }

    pub(super) fn reasons(&mut self) {
        self.revision += 1;
        self.reasons = self.revision;
    }

    pub(super) fn alerts(&mut self) {
        self.revision += 1;
        self.alerts = self.revision;
    }

    pub(super) fn host_forgotten(&mut self, host: HostId) {
        self.revision += 1;
        self.hosts.forget(&host);
        if self.gone.len() >= KEPT_GONE {
            self.gone.pop_front();
        }
        self.gone.push_back((self.revision, host));
    }

    pub(super) fn job_forgotten(&mut self, job: JobId) {
        self.jobs.forget(&job);
    }

    pub(super) fn build_forgotten(&mut self, build: u64) {
        self.builds.forget(&build);
    }
}

#[derive(Clone, Debug)]
struct Newest<K> {
    at: BTreeMap<u64, K>,
    of: HashMap<K, u64>,
}

impl<K> Default for Newest<K> {
    fn default() -> Newest<K> {
        Newest {
            at: BTreeMap::new(),
            of: HashMap::new(),
        }
    }
}

impl<K: Copy + Eq + Hash> Newest<K> {
    fn touch(&mut self, revision: u64, key: K) {
        if let Some(earlier) = self.of.insert(key, revision) {
            self.at.remove(&earlier);
        }
        self.at.insert(revision, key);
    }

    fn forget(&mut self, key: &K) {
        if let Some(at) = self.of.remove(key) {
            self.at.remove(&at);
        }
    }

    fn since(&self, revision: u64) -> Vec<K> {
        let later = self.at.range(revision.saturating_add(1)..);
        later.map(|(_, key)| *key).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_is_told_once_to_those_who_have_not_seen_it() {
        let mut changes = Changes::default();
        let (a, b) = (HostId(1), HostId(2));
        changes.host(a);
        changes.host(b);
        changes.host(a);
        let all = changes.since(0);
        assert_eq!(all.hosts, [b, a]);
        changes.build(4);
        changes.host_forgotten(b);
        let later = changes.since(all.revision);
        assert_eq!(
            (later.hosts, later.hosts_gone, later.builds),
            (vec![], vec![b], vec![4])
        );
        assert!(!later.reasons);
        changes.reasons();
        assert!(changes.since(later.revision).reasons);
        assert_eq!(
            changes.since(changes.revision()),
            Changed {
                revision: changes.revision(),
                ..Changed::default()
            }
        );
    }
}
