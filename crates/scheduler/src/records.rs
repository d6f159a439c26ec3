//! Records of finished jobs as daemons send them: read within bounds, counted, and dropped where somebody sends too many.
//! Nothing is decided by them; they are passed on to monitors that want them.

use std::time::Duration;

use gelato_record::JobRecord;
use gelato_wire::ByteString;
use serde_json::Value;
use tokio::time::Instant;

/// Bytes of one message.
const LONGEST_BATCH: usize = 64 * 1024;

/// Records of one message.
const MOST_RECORDS: usize = 64;

/// What a record costs at least, in bytes: short ones become long ones when they are passed on.
const LEAST: usize = 768;

/// Bytes a daemon may send at once, and then each second: some 1000 records.
const FROM_ONE: Allowance = Allowance {
    most: 1024 * 1024,
    per_second: 768 * 1024,
};

/// The same for all daemons together.
const FROM_ALL: Allowance = Allowance {
    most: 4 * 1024 * 1024,
    per_second: 4 * 1024 * 1024,
};

/// How much of something may come.
#[derive(Debug, Clone, Copy)]
struct Allowance {
    most: usize,
    per_second: usize,
}

/// What is left of an allowance.
#[derive(Debug)]
pub(crate) struct Bucket {
    allowance: Allowance,
    left: usize,
    at: Instant,
}

impl Bucket {
    /// For one daemon.
    pub(crate) fn of_one(now: Instant) -> Bucket {
        Bucket::new(FROM_ONE, now)
    }

    /// For all together.
    pub(crate) fn of_all(now: Instant) -> Bucket {
        Bucket::new(FROM_ALL, now)
    }

    /// For `most` things at once and `per_second` afterwards.
    pub(crate) fn counting(most: usize, per_second: usize, now: Instant) -> Bucket {
        Bucket::new(Allowance { most, per_second }, now)
    }

    fn new(allowance: Allowance, now: Instant) -> Bucket {
        Bucket {
            allowance,
            left: allowance.most,
            at: now,
        }
    }

    /// Takes so much out, or nothing if that is not there.
    pub(crate) fn take(&mut self, amount: usize, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at);
        let more = passed.as_millis().min(1_000_000) as usize * self.allowance.per_second / 1000;
        if more > 0 {
            self.left = (self.left + more).min(self.allowance.most);
            self.at = now;
        }
        let enough = self.left >= amount;
        if enough {
            self.left -= amount;
        }
        enough
    }
}

/// What became of all records that were sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Taken.
    pub(crate) taken: u64,
    /// Dropped: too many, too long, or no records. A message that was not even read counts as one.
    pub(crate) dropped: u64,
}

/// The records of all daemons on their way.
#[derive(Debug)]
pub(crate) struct Intake {
    all: Bucket,
    tally: Tally,
    /// When somebody was last complained about.
    warned: Option<Instant>,
}

/// Between two complaints in the log.
const WARN_EVERY: Duration = Duration::from_secs(60);

impl Intake {
    pub(crate) fn new(now: Instant) -> Intake {
        Intake {
            all: Bucket::of_all(now),
            tally: Tally::default(),
            warned: None,
        }
    }

    pub(crate) fn tally(&self) -> Tally {
        self.tally
    }

    /// Reads a message of the daemon that `own` belongs to.
    pub(crate) fn take(
        &mut self,
        text: &ByteString,
        own: &mut Bucket,
        now: Instant,
    ) -> Vec<JobRecord> {
        let bytes = text.as_bytes();
        // Before anything is read: that costs, too.
        if bytes.len() > LONGEST_BATCH || !own.take(bytes.len(), now) {
            self.drop(1, now, "too many or too long ones");
            return Vec::new();
        }
        let Ok(Value::Array(list)) = serde_json::from_slice::<Value>(bytes) else {
            self.drop(1, now, "no array of records");
            return Vec::new();
        };
        let more = (list.len().min(MOST_RECORDS) * LEAST).saturating_sub(bytes.len());
        if !own.take(more, now) || !self.all.take(bytes.len() + more, now) {
            self.drop(list.len() as u64, now, "too many");
            return Vec::new();
        }
        let sent = list.len();
        let records: Vec<JobRecord> = list
            .into_iter()
            .take(MOST_RECORDS)
            .filter(Value::is_object)
            .filter_map(|record| serde_json::from_value::<JobRecord>(record).ok())
            .map(JobRecord::bounded)
            .collect();
        self.tally.taken += records.len() as u64;
        if records.len() < sent {
            let dropped = (sent - records.len()) as u64;
            self.drop(dropped, now, "some that are none");
        }
        records
    }

    fn drop(&mut self, records: u64, now: Instant, what: &str) {
        self.tally.dropped = self.tally.dropped.saturating_add(records);
        if self.warned.is_none_or(|at| now - at >= WARN_EVERY) {
            self.warned = Some(now);
            tracing::warn!(
                "dropped records of jobs ({what}); {} so far, {} taken",
                self.tally.dropped,
                self.tally.taken
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(intake: &mut Intake, own: &mut Bucket, text: &str, now: Instant) -> usize {
        intake.take(&text.into(), own, now).len()
    }

    #[test]
    fn what_is_no_record_is_dropped_and_counted() {
        let now = Instant::now();
        let (mut intake, mut own) = (Intake::new(now), Bucket::of_one(now));
        let many = format!("[{}]", vec!["{}"; 100].join(","));
        let deep = "[".repeat(50_000);
        let long = format!("[{{\"detail\":\"{}\"}}]", "x".repeat(70_000));
        for (text, taken, dropped) in [
            ("", 0, 1),
            ("{}", 0, 1),
            ("[]", 0, 0),
            ("[7,[],{\"end\":-1},{\"file\":\"a.o\"}]", 1, 3),
            (&many, 64, 36),
            (&deep, 0, 1),
            (&long, 0, 1),
        ] {
            let before = intake.tally();
            assert_eq!(take(&mut intake, &mut own, text, now), taken, "{text:.40}");
            let after = intake.tally();
            assert_eq!(after.dropped - before.dropped, dropped, "{text:.40}");
        }
    }

    #[test]
    fn who_sends_too_many_loses_them_and_others_do_not() {
        let now = Instant::now();
        let (mut intake, mut own) = (Intake::new(now), Bucket::of_one(now));
        let batch = format!("[{}]", vec!["{}"; 64].join(","));
        let mut taken = 0;
        for _ in 0..1000 {
            taken += take(&mut intake, &mut own, &batch, now);
        }
        assert!((1000..2000).contains(&taken), "{taken}");
        assert_eq!(intake.tally().taken, taken as u64);
        assert_eq!(
            take(&mut intake, &mut Bucket::of_one(now), &batch, now),
            64,
            "another daemon"
        );
        let later = now + Duration::from_secs(1);
        assert_eq!(take(&mut intake, &mut own, &batch, later), 64);
    }

    #[test]
    fn a_bucket_fills_again_but_never_over() {
        let now = Instant::now();
        let mut bucket = Bucket::counting(10, 2, now);
        assert!(bucket.take(10, now) && !bucket.take(1, now));
        let later = now + Duration::from_millis(600);
        assert!(bucket.take(1, later) && !bucket.take(1, later));
        let much_later = now + Duration::from_secs(86_400 * 365);
        assert!(bucket.take(10, much_later) && !bucket.take(1, much_later));
    }
}
