//! Periods of the past, as they are asked for: one value for each step, averages of levels and sums of counts.

use std::collections::HashMap;

use serde::Serialize;

use super::retention::{WEEK, begin, tier_for};
use super::sample::{HostUse, Sample, merge};
use super::store::{HistoryError, PastBuild, Store};

/// Values of an answer.
const MOST_POINTS: u64 = 2_000;

/// Values unless somebody says otherwise.
const USUAL_POINTS: u64 = 300;

/// Values of all hosts together; more hosts than fit are left out.
const MOST_CELLS: usize = 200_000;

/// Shortest step, in ms.
const SHORTEST_STEP: u64 = 10_000;

/// Longest step, in ms: more is never kept.
const LONGEST_STEP: u64 = 366 * 24 * 3600 * 1000;

/// The period if none is said, in ms.
const USUAL_PERIOD: u64 = 24 * 3600 * 1000;

/// Builds of an answer.
const MOST_BUILDS: usize = 500;

/// Files of an answer.
const MOST_FILES: usize = 200;

/// What is wanted. Times in ms since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    from: u64,
    to: u64,
    step: u64,
    now: u64,
}

impl Question {
    /// With what was not said filled in, and too much cut down.
    pub fn new(from: Option<u64>, to: Option<u64>, step: Option<u64>, now: u64) -> Question {
        let to = to.unwrap_or(now).min(now.saturating_add(USUAL_PERIOD));
        let from = from.unwrap_or(to.saturating_sub(USUAL_PERIOD)).min(to);
        let length = to - from;
        let step = step
            .unwrap_or(length / USUAL_POINTS)
            .max(length.div_ceil(MOST_POINTS))
            .clamp(SHORTEST_STEP, LONGEST_STEP);
        Question {
            from,
            to,
            step,
            now,
        }
    }
}

/// A period.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Past {
    /// Where it begins.
    pub from: u64,
    /// Where it ends.
    pub to: u64,
    /// Milliseconds of a value.
    pub step: u64,
    /// From the first value that is known to the last.
    pub points: Vec<Point>,
    /// The hosts, the busiest first.
    pub hosts: Vec<HostCurve>,
    /// Hosts that are left out.
    pub hosts_left_out: usize,
}

/// The cluster in one step; levels are `null` if nothing is known of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Point {
    /// Where the step begins.
    pub at: u64,
    /// Mean number of slots.
    pub slots: Option<f64>,
    /// Mean number of busy ones.
    pub busy: Option<f64>,
    /// Mean number of jobs that waited.
    pub queued: Option<f64>,
    /// Mean number of hosts.
    pub hosts: Option<f64>,
    /// Jobs begun elsewhere.
    pub remote: u64,
    /// Jobs begun on their submitter's own machine.
    pub own: u64,
    /// Local jobs begun.
    pub local: u64,
    /// Jobs that failed.
    pub failed: u64,
    /// Jobs that were lost.
    pub lost: u64,
    /// Jobs that ended before they began.
    pub cancelled: u64,
    /// Mean wait of jobs in ms.
    pub wait_ms: Option<f64>,
}

/// How busy a host was.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HostCurve {
    /// Its name.
    pub name: String,
    /// Busy slots of all slots for each point, `null` where it was not there.
    pub busy: Vec<Option<f64>>,
}

/// How long a file took in the last weeks.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PastFile {
    /// The file.
    pub file: String,
    /// Jobs this week and the one before.
    pub jobs: u64,
    /// Of these, failed ones.
    pub failed: u64,
    /// Mean wall time in ms.
    pub mean_ms: f64,
    /// The longest.
    pub max_ms: u64,
    /// All together.
    pub total_ms: u64,
    /// Where the longest was.
    pub host: String,
    /// Mean of this week to mean of the one before, if it was compiled in both.
    pub trend: Option<f64>,
}

impl Store {
    /// The cluster and its hosts over a period.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn range(&self, question: &Question) -> Result<Past, HistoryError> {
        let Question {
            from,
            to,
            step,
            now,
        } = *question;
        let tier = tier_for(from, step, now);
        let step = step.max(tier.step).next_multiple_of(tier.step);
        let (from, to) = (begin(from, step), to.next_multiple_of(step));
        let samples = self.samples(tier, from, to)?;
        let slot = |at: u64| usize::try_from((at - from) / step).unwrap_or(usize::MAX);
        let (Some((first, _)), Some((last, _))) = (samples.first(), samples.last()) else {
            return Ok(Past {
                from,
                to,
                step,
                points: Vec::new(),
                hosts: Vec::new(),
                hosts_left_out: 0,
            });
        };
        let (first, count) = (slot(*first), slot(*last) - slot(*first) + 1);
        let mut sums = vec![Sample::default(); count];
        for (at, sample) in &samples {
            if let Some(sum) = sums.get_mut(slot(*at) - first) {
                sum.add(sample);
            }
        }
        let mut uses = vec![Vec::new(); count];
        self.each_hosts(tier, from, to, |at, hosts| {
            let index = slot(at).checked_sub(first);
            if let Some(sum) = index.and_then(|index| uses.get_mut(index)) {
                *sum = merge(sum, hosts);
            }
        })?;
        let (hosts, hosts_left_out) = curves(&uses, &self.names()?);
        let points = (0..).zip(&sums).map(|(index, sum)| {
            let at = from + (first as u64 + index) * step;
            point(at, sum)
        });
        Ok(Past {
            from,
            to,
            step,
            points: points.collect(),
            hosts,
            hosts_left_out,
        })
    }

    /// Builds that began in a period, the newest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn builds(&self, question: &Question) -> Result<Vec<PastBuild>, HistoryError> {
        self.builds_between(
            question.from,
            question.to.saturating_add(1),
            MOST_BUILDS,
            |_| true,
        )
    }

    /// A build by its key.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn build(&self, key: &str) -> Result<Option<PastBuild>, HistoryError> {
        let is_it = |build: &PastBuild| build.row.key.as_deref() == Some(key);
        let mut found = self.builds_between(0, u64::MAX, 1, is_it)?;
        Ok(found.pop())
    }

    /// The files that took the most time this week and in the one before.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn files(&self, now: u64) -> Result<Vec<PastFile>, HistoryError> {
        let week = begin(now, WEEK);
        let mut all: HashMap<String, [super::FileSum; 2]> = HashMap::new();
        for (index, week) in [week, week.saturating_sub(WEEK)].into_iter().enumerate() {
            for (file, sum) in self.files_of(week)? {
                all.entry(file).or_default()[index].add(&sum);
            }
        }
        let mut files: Vec<PastFile> = all
            .into_iter()
            .map(|(file, [this, before])| {
                let mean = |sum: &super::FileSum| {
                    (sum.jobs > 0).then(|| sum.total_ms as f64 / sum.jobs as f64)
                };
                let trend = match (mean(&this), mean(&before)) {
                    (Some(this), Some(before)) if before > 0.0 => Some(rounded(this / before)),
                    _ => None,
                };
                let mut both = before;
                both.add(&this);
                PastFile {
                    file,
                    jobs: both.jobs,
                    failed: both.failed,
                    mean_ms: rounded(mean(&both).unwrap_or(0.0)),
                    max_ms: both.max_ms,
                    total_ms: both.total_ms,
                    host: both.host,
                    trend,
                }
            })
            .collect();
        files.sort_by(|a, b| {
            b.total_ms
                .cmp(&a.total_ms)
                .then_with(|| a.file.cmp(&b.file))
        });
        files.truncate(MOST_FILES);
        Ok(files)
    }
}

fn point(at: u64, sum: &Sample) -> Point {
    let level = |value: f64| (sum.seconds > 0.0).then(|| rounded(value));
    Point {
        at,
        slots: level(sum.slots),
        busy: level(sum.busy),
        queued: level(sum.queued),
        hosts: level(sum.hosts),
        remote: sum.remote,
        own: sum.own,
        local: sum.local,
        failed: sum.failed,
        lost: sum.lost,
        cancelled: sum.cancelled,
        wait_ms: (sum.waits > 0).then(|| rounded(sum.waited_ms as f64 / sum.waits as f64)),
    }
}

/// A curve for each host, the busiest first, as many as may be shown; and how many are left out.
fn curves(uses: &[Vec<HostUse>], names: &[(u32, String)]) -> (Vec<HostCurve>, usize) {
    let mut sums: HashMap<u32, f64> = HashMap::new();
    for of in uses.iter().flatten() {
        *sums.entry(of.host).or_default() += of.share;
    }
    let named = names.iter().filter_map(|(host, name)| {
        let sum = sums.get(host)?;
        Some((*sum, *host, name))
    });
    let mut named: Vec<(f64, u32, &String)> = named.collect();
    named.sort_by(|(a, _, x), (b, _, y)| b.total_cmp(a).then_with(|| x.cmp(y)));
    let most = MOST_CELLS / uses.len().max(1);
    let left_out = named.len().saturating_sub(most);
    named.truncate(most);
    let places: HashMap<u32, usize> = named.iter().map(|(_, host, _)| *host).zip(0..).collect();
    let mut curves: Vec<HostCurve> = named
        .into_iter()
        .map(|(_, _, name)| HostCurve {
            name: name.clone(),
            busy: vec![None; uses.len()],
        })
        .collect();
    for (index, hosts) in uses.iter().enumerate() {
        for of in hosts {
            let curve = places
                .get(&of.host)
                .and_then(|place| curves.get_mut(*place));
            if let Some(busy) = curve.and_then(|curve| curve.busy.get_mut(index)) {
                *busy = Some(rounded(of.share));
            }
        }
    }
    (curves, left_out)
}

fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::super::sample::{Batch, FileSum};
    use super::*;

    const HOUR: u64 = 3_600_000;

    fn store(batches: u64, from: u64) -> Store {
        let store = Store::in_memory().unwrap();
        for number in 0..batches {
            let batch = Batch {
                at: from + number * 10_000,
                sample: Sample {
                    seconds: 10.0,
                    slots: 10.0,
                    busy: if number % 2 == 0 { 10.0 } else { 0.0 },
                    remote: 1,
                    waited_ms: 30,
                    waits: 1,
                    ..Sample::default()
                },
                hosts: vec![("idle".to_owned(), 0.0), ("busy".to_owned(), 1.0)],
                ..Batch::default()
            };
            store.add(&batch).unwrap();
        }
        store
    }

    #[test]
    fn steps_are_averages_of_levels_and_sums_of_counts() {
        let store = store(30, HOUR);
        let question = Question::new(
            Some(HOUR),
            Some(HOUR + 300_000),
            Some(60_000),
            HOUR + 300_000,
        );
        let past = store.range(&question).unwrap();
        assert_eq!((past.step, past.points.len()), (60_000, 5));
        let point = &past.points[0];
        assert_eq!((point.at, point.busy, point.remote), (HOUR, Some(5.0), 6));
        assert_eq!(point.wait_ms, Some(30.0));
        let names: Vec<&str> = past.hosts.iter().map(|host| host.name.as_str()).collect();
        assert_eq!(names, ["busy", "idle"]);
        assert_eq!(past.hosts[0].busy, vec![Some(1.0); 5]);
    }

    #[test]
    fn what_is_not_known_is_null_and_not_nothing() {
        let store = store(6, HOUR);
        store
            .add(&Batch {
                at: HOUR + 180_000,
                sample: Sample {
                    seconds: 10.0,
                    ..Sample::default()
                },
                ..Batch::default()
            })
            .unwrap();
        let question = Question::new(Some(0), Some(2 * HOUR), Some(60_000), 2 * HOUR);
        let past = store.range(&question).unwrap();
        let busy: Vec<Option<f64>> = past.points.iter().map(|point| point.busy).collect();
        assert_eq!(busy, [Some(5.0), None, None, Some(0.0)]);
        assert_eq!(past.points[0].at, HOUR);
        assert_eq!(past.hosts[0].busy, [Some(1.0), None, None, None]);
        let nothing = Question::new(Some(0), Some(1000), None, 2 * HOUR);
        assert_eq!(store.range(&nothing).unwrap().points, []);
    }

    #[test]
    fn any_question_has_a_bounded_answer() {
        let store = store(3, HOUR);
        let extremes = [
            None,
            Some(0),
            Some(1),
            Some(HOUR),
            Some(u64::MAX / 2),
            Some(u64::MAX),
        ];
        for from in extremes {
            for to in extremes {
                for step in extremes {
                    let question = Question::new(from, to, step, 2 * HOUR);
                    assert!(question.from <= question.to);
                    let _ = store.builds(&question).unwrap();
                    let past = store.range(&question).unwrap();
                    assert!(past.points.len() as u64 <= MOST_POINTS + 1);
                }
            }
        }
    }

    #[test]
    fn a_file_that_became_slower_is_seen() {
        let store = Store::in_memory().unwrap();
        for (at, total_ms) in [(WEEK, 100), (2 * WEEK, 300)] {
            let sum = FileSum {
                jobs: 1,
                total_ms,
                max_ms: total_ms,
                ..FileSum::default()
            };
            let batch = Batch {
                at,
                files: vec![("a.c".to_owned(), sum)],
                ..Batch::default()
            };
            store.add(&batch).unwrap();
        }
        let files = store.files(2 * WEEK + 5).unwrap();
        assert_eq!(
            (files[0].trend, files[0].mean_ms, files[0].jobs),
            (Some(3.0), 200.0, 2)
        );
    }
}
