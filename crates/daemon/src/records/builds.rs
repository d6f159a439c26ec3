//! Jobs summed up by build.
//!
//! A build has the name its jobs bring along, or it is guessed: jobs of one user without longer pauses between them are one. Pure.

use std::collections::{BTreeMap, VecDeque};

use gelato_record::{JobRecord, Verdict};
use serde_json::{Value, json};

/// Builds of one user that are remembered.
const MOST: usize = 32;

/// Different reasons that are counted; the codes come from outside.
const MOST_REASONS: usize = 100;

/// Bytes of such a code; longer ones are none.
const LONGEST_REASON: usize = 40;

/// Jobs further apart than this, in ms, are of different builds.
const PAUSE: u64 = 10_000;

/// What the jobs of one build come to. Times in ms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Build {
    /// Its name.
    pub(crate) id: String,
    /// Whether the name was made up here.
    pub(crate) guessed: bool,
    user: u32,
    /// When its first job began, since 1970.
    begun: u64,
    /// When its last job ended.
    pub(crate) last: u64,
    jobs: u64,
    remote: u64,
    own: u64,
    local: u64,
    failed_over: u64,
    refused: u64,
    /// Jobs whose exit status is not 0.
    failed: u64,
    reasons: BTreeMap<String, u64>,
    wall: u64,
    cpu: u64,
    sent: u64,
    received: u64,
}

/// Builds of one user, the one that had a job last at the end.
#[derive(Debug, Default)]
pub(crate) struct Builds(VecDeque<Build>);

impl Builds {
    /// Counts a job, and names its build in the record if it names none.
    pub(crate) fn add(&mut self, record: &mut JobRecord, user: u32) {
        let begun = record.end.saturating_sub(record.wall);
        let id = record.build.clone().filter(|id| !id.is_empty());
        record.build_guessed = id.is_none();
        let at = self.0.iter().rposition(|build| match &id {
            Some(id) => !build.guessed && build.id == *id,
            None => build.guessed && begun <= build.last.saturating_add(PAUSE),
        });
        let mut build = match at.and_then(|at| self.0.remove(at)) {
            Some(build) => build,
            None => Build {
                id: id.unwrap_or_else(|| format!("guess-{user}-{}", begun / 1000)),
                guessed: record.build_guessed,
                user,
                begun,
                ..Build::default()
            },
        };
        build.count(record, begun);
        record.build = Some(build.id.clone());
        if self.0.len() >= MOST {
            self.0.pop_front();
        }
        self.0.push_back(build);
    }

    /// In the order of their last jobs.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Build> {
        self.0.iter()
    }
}

impl Build {
    fn count(&mut self, record: &JobRecord, begun: u64) {
        self.begun = self.begun.min(begun);
        self.last = self.last.max(record.end);
        self.jobs += 1;
        let counter = match record.verdict {
            Verdict::Remote => &mut self.remote,
            Verdict::Own => &mut self.own,
            Verdict::Local => &mut self.local,
            Verdict::FailedOver => &mut self.failed_over,
            Verdict::Refused => &mut self.refused,
        };
        *counter += 1;
        self.failed += u64::from(record.exit != 0);
        if let Some(reason) = &record.reason
            && reason.len() <= LONGEST_REASON
            && (self.reasons.len() < MOST_REASONS || self.reasons.contains_key(reason))
        {
            *self.reasons.entry(reason.clone()).or_default() += 1;
        }
        for (sum, part) in [
            (&mut self.wall, record.wall),
            (&mut self.cpu, record.cpu),
            (&mut self.sent, record.sent),
            (&mut self.received, record.received),
        ] {
            *sum = sum.saturating_add(part);
        }
    }

    /// For programs.
    pub(crate) fn json(&self) -> Value {
        json!({
            "build": self.id,
            "guessed": self.guessed,
            "user": self.user,
            "begun": self.begun,
            "last": self.last,
            "jobs": self.jobs,
            "remote": self.remote,
            "own": self.own,
            "local": self.local,
            "failed_over": self.failed_over,
            "refused": self.refused,
            "failed": self.failed,
            "reasons": self.reasons,
            "wall": self.wall,
            "cpu": self.cpu,
            "sent": self.sent,
            "received": self.received,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(builds: &mut Builds, build: Option<&str>, begun: u64, wall: u64) -> JobRecord {
        let mut record = JobRecord {
            build: build.map(str::to_owned),
            end: begun + wall,
            wall,
            cpu: 2,
            reason: Some("no-compile-step".to_owned()),
            ..JobRecord::default()
        };
        builds.add(&mut record, 7);
        record
    }

    #[test]
    fn a_pause_ends_a_build_that_has_no_name() {
        let mut builds = Builds::default();
        let first = job(&mut builds, None, 1_000_000, 500);
        assert_eq!(first.build.as_deref(), Some("guess-7-1000"));
        assert!(first.build_guessed);
        // A long job that began in time belongs to it however late it ends.
        let second = job(&mut builds, None, 1_010_000, 60_000);
        let third = job(&mut builds, None, 1_005_000, 10);
        assert_eq!((&second.build, &third.build), (&first.build, &first.build));
        let later = job(&mut builds, None, 1_070_000 + PAUSE + 1, 10);
        assert_ne!(later.build, first.build);
        let counted: Vec<u64> = builds.iter().map(|build| build.jobs).collect();
        assert_eq!(counted, [3, 1]);
        let build = builds.iter().next().unwrap();
        assert_eq!((build.begun, build.last), (1_000_000, 1_070_000));
        assert_eq!((build.wall, build.cpu), (60_510, 6));
        assert_eq!(build.json()["reasons"]["no-compile-step"], 3);
    }

    #[test]
    fn names_keep_builds_apart_whatever_the_pauses() {
        let mut builds = Builds::default();
        for begun in [0, 100_000, 5] {
            let one = job(&mut builds, Some("one"), begun, 1);
            assert!(!one.build_guessed);
            job(&mut builds, Some("two"), begun, 1);
        }
        assert_eq!(builds.iter().count(), 2);
        assert!(
            builds
                .iter()
                .all(|build| build.jobs == 3 && build.begun == 0)
        );
        // A guess never joins a build that has a name, even that of a guess.
        job(&mut builds, Some("guess-7-100"), 100_000, 1);
        job(&mut builds, None, 100_000, 1);
        assert_eq!(builds.iter().count(), 4);
    }

    #[test]
    fn builds_and_their_reasons_are_bounded() {
        let mut builds = Builds::default();
        for number in 0..1000 {
            job(&mut builds, Some(&format!("b{number}")), number, 1);
        }
        assert_eq!(builds.iter().count(), MOST);
        for number in 0..1000 {
            let mut record = JobRecord {
                build: Some("odd".to_owned()),
                reason: Some(format!("r{number}")),
                wall: u64::MAX,
                ..JobRecord::default()
            };
            builds.add(&mut record, 7);
        }
        let odd = builds.iter().last().unwrap();
        assert_eq!(
            (odd.reasons.len(), odd.jobs, odd.wall),
            (MOST_REASONS, 1000, u64::MAX)
        );
    }
}
