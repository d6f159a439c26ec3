//! What is wrong: looked for once a second, kept with the time since when, and dropped only when it has been well for a while.
//!
//! - [`checks`]: what is looked at, with the thresholds
//! - here: what becomes of what was found

mod checks;

use std::collections::{BTreeMap, BTreeSet};

pub use checks::{Code, Thresholds};

use crate::model::Cluster;
use crate::view::{AlertRow, Severity};

/// Alerts that are kept at a time.
const MOST: usize = 500;

/// Something that a check found just now.
#[derive(Clone, Debug, PartialEq)]
struct Finding {
    code: Code,
    severity: Severity,
    subject: String,
    value: f64,
    threshold: f64,
    text: String,
}

/// What is wrong now.
#[derive(Clone, Debug, Default)]
pub struct Alerts {
    thresholds: Thresholds,
    active: BTreeMap<String, Active>,
    /// What was found, but has not lasted long enough, and since when.
    pending: BTreeMap<String, u64>,
    rows: Vec<AlertRow>,
}

#[derive(Clone, Debug)]
struct Active {
    row: AlertRow,
    seen: u64,
}

impl Alerts {
    /// What is wrong now, in no special order.
    pub fn rows(&self) -> &[AlertRow] {
        &self.rows
    }

    /// Looks at the cluster; whether anything came, went or changed.
    pub(crate) fn look(&mut self, cluster: &Cluster, now: u64) -> bool {
        let mut found = BTreeSet::new();
        for finding in checks::all(cluster, &self.thresholds, now) {
            let id = format!("{}:{}", finding.code.word(), finding.subject);
            found.insert(id.clone());
            self.take(id, finding, now);
        }
        self.pending.retain(|id, _| found.contains(id));
        let thresholds = &self.thresholds;
        self.active
            .retain(|_, active| now.saturating_sub(active.seen) < thresholds.well_after);
        let rows: Vec<AlertRow> = self
            .active
            .values()
            .map(|active| active.row.clone())
            .collect();
        let changed = rows != self.rows;
        self.rows = rows;
        changed
    }

    fn take(&mut self, id: String, finding: Finding, now: u64) {
        if let Some(active) = self.active.get_mut(&id) {
            active.seen = now;
            // Small movements are not news.
            let (was, is) = (active.row.value, finding.value);
            if (was - is).abs() > 0.1 * was.abs().max(1.0) {
                active.row.value = is;
                active.row.text = finding.text;
            }
            return;
        }
        let since = *self.pending.entry(id.clone()).or_insert(now);
        if now.saturating_sub(since) < finding.code.lasts() || self.active.len() >= MOST {
            return;
        }
        let row = AlertRow {
            id: id.clone(),
            code: finding.code.word().to_owned(),
            severity: finding.severity,
            subject: finding.subject,
            since,
            value: finding.value,
            threshold: finding.threshold,
            text: finding.text,
            advice: finding.code.advice().to_owned(),
        };
        self.active.insert(id, Active { row, seen: now });
    }
}

#[cfg(test)]
mod tests;
