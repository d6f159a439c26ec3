//! Why jobs were not done elsewhere, summed up.

use std::collections::BTreeMap;

use gelato_record::{JobRecord, Verdict};

/// Different reasons that are counted apart; there are about eighty.
const MOST_REASONS: usize = 200;

/// The word for a job of whose reason nothing was told.
pub const NOT_TOLD: &str = "not-told";

/// Jobs of one reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reason {
    /// How many.
    pub count: u64,
    /// When it was last told.
    pub last: u64,
    /// The newest of them: its file, and what the reason is about.
    pub example: String,
}

/// All reasons, by their codes.
#[derive(Clone, Debug, Default)]
pub(super) struct Reasons {
    all: BTreeMap<String, Reason>,
    told: u64,
    told_here: u64,
}

impl Reasons {
    pub(super) fn count(&mut self, now: u64, record: &JobRecord) -> bool {
        self.told += 1;
        let here = !matches!(record.verdict, Verdict::Remote | Verdict::Refused);
        self.told_here += u64::from(here);
        let Some(code) = &record.reason else {
            return false;
        };
        if self.all.len() >= MOST_REASONS && !self.all.contains_key(code) {
            return false;
        }
        let reason = self.all.entry(code.clone()).or_default();
        reason.count += 1;
        reason.last = now;
        reason.example = match &record.subject {
            Some(subject) => format!("{} ({subject})", record.file),
            None => record.file.clone(),
        };
        true
    }

    /// Records that were counted, those without a reason included.
    pub(super) fn told(&self) -> u64 {
        self.told
    }

    /// Of these, of jobs that ran on their submitter's machine.
    pub(super) fn told_here(&self) -> u64 {
        self.told_here
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &Reason)> {
        self.all
            .iter()
            .map(|(code, reason)| (code.as_str(), reason))
    }
}
