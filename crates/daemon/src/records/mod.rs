//! Records of this machine's jobs: the recent ones, and sums of them by build.
//!
//! - this file: the store. Pure; whoever adds a record brings the clock
//! - [`builds`]: builds, as their jobs name them or as they are guessed
//! - [`socket`]: where wrappers send records
//! - [`desk`]: what operators may ask about them
//!
//! Everybody on the machine may send records, so everything is bounded, and nobody can push out the records of others: when the store is full, the
//! oldest record of the user who has most of them goes.

pub(crate) mod builds;
pub(crate) mod desk;
pub(crate) mod socket;

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gelato_record::JobRecord;
use tokio::sync::Notify;

use builds::{Build, Builds};

/// Records that are kept.
const MOST: usize = 10_000;

/// Bytes they may take up, as JSON.
const MOST_BYTES: usize = 16 << 20;

/// Users who are told apart.
const MOST_USERS: usize = 256;

/// Records on their way to the scheduler; more are not sent.
const MOST_UNSENT: usize = 1024;

/// Records in one message to the scheduler.
const MOST_IN_MESSAGE: usize = 64;

/// Bytes of one message to the scheduler.
const LONGEST_MESSAGE: usize = 64 << 10;

/// Messages that go to the scheduler at once. More than machines need, and few enough that a flood holds up nothing else on the way there.
const MOST_AT_ONCE: usize = 8;

/// Codes of reasons: the scheduler chose this machine, and there is none that could.
const ASSIGNED_HERE: &str = "assigned-here";
const NO_SCHEDULER: &str = "no-scheduler";

/// A clock that differs this much from ours, in ms, is not believed.
const CLOCK_SLACK: u64 = 60_000;

/// The longest job that is believed, in ms: a week.
const LONGEST_JOB: u64 = 7 * 86_400_000;

/// One record, with its place among all.
#[derive(Debug)]
struct Kept {
    number: u64,
    record: Arc<JobRecord>,
    size: usize,
}

/// What is known of one user.
#[derive(Debug, Default)]
struct User {
    records: VecDeque<Kept>,
    bytes: usize,
    builds: Builds,
    /// Number of the last record.
    last: u64,
}

/// All records.
#[derive(Debug, Default)]
pub(crate) struct Records {
    users: BTreeMap<u32, User>,
    count: usize,
    bytes: usize,
    next: u64,
    /// As JSON, the oldest first.
    unsent: VecDeque<String>,
}

impl Records {
    /// Takes in a record of a job of `user` that arrived at `now`, in ms since 1970.
    pub(crate) fn add(&mut self, mut record: JobRecord, user: u32, now: u64) {
        record.user = Some(user);
        if record.end.abs_diff(now) > CLOCK_SLACK {
            record.end = now;
        }
        record.wall = record.wall.min(LONGEST_JOB);
        self.next += 1;
        let number = self.next;
        let owner = self.users.entry(user).or_default();
        owner.last = number;
        owner.builds.add(&mut record, user);
        let json = record.to_json();
        let size = json.len();
        owner.bytes += size;
        owner.records.push_back(Kept {
            number,
            record: Arc::new(record),
            size,
        });
        self.count += 1;
        self.bytes += size;
        if self.unsent.len() >= MOST_UNSENT {
            self.unsent.pop_front();
        }
        self.unsent.push_back(json);
        self.make_room();
    }

    fn make_room(&mut self) {
        while self.count > MOST || self.bytes > MOST_BYTES {
            let Some(user) = self.users.values_mut().max_by_key(|user| user.bytes) else {
                return;
            };
            let Some(gone) = user.records.pop_front() else {
                return;
            };
            user.bytes -= gone.size;
            self.count -= 1;
            self.bytes -= gone.size;
        }
        while self.users.len() > MOST_USERS {
            let quietest = self.users.iter().min_by_key(|(_, user)| user.last);
            let Some((&number, _)) = quietest else { return };
            if let Some(user) = self.users.remove(&number) {
                self.count -= user.records.len();
                self.bytes -= user.bytes;
            }
        }
    }

    /// Records, the newest first: those of `user`, or of everybody.
    pub(crate) fn newest(&self, user: Option<u32>) -> impl Iterator<Item = &Arc<JobRecord>> {
        let mut chosen: Vec<&Kept> = self
            .users
            .iter()
            .filter(|(number, _)| user.is_none_or(|user| user == **number))
            .flat_map(|(_, user)| &user.records)
            .collect();
        chosen.sort_unstable_by_key(|kept| std::cmp::Reverse(kept.number));
        chosen.into_iter().map(|kept| &kept.record)
    }

    /// Builds of everybody, the latest first.
    pub(crate) fn builds(&self) -> Vec<&Build> {
        let mut builds: Vec<&Build> = self
            .users
            .values()
            .flat_map(|user| user.builds.iter())
            .collect();
        builds.sort_by_key(|build| std::cmp::Reverse(build.last));
        builds
    }

    /// The next messages for the scheduler, and whether there are more.
    pub(crate) fn next_messages(&mut self) -> (Vec<String>, bool) {
        let messages = std::iter::from_fn(|| self.next_message());
        let messages = messages.take(MOST_AT_ONCE).collect();
        (messages, !self.unsent.is_empty())
    }

    /// A JSON array.
    fn next_message(&mut self) -> Option<String> {
        let mut message = String::from("[");
        let mut count = 0;
        while let Some(json) = self.unsent.front() {
            let fits = message.len() + json.len() + 2 <= LONGEST_MESSAGE;
            if count == MOST_IN_MESSAGE || (count > 0 && !fits) {
                break;
            }
            if count > 0 {
                message.push(',');
            }
            message.push_str(json);
            self.unsent.pop_front();
            count += 1;
        }
        message.push(']');
        (count > 0).then_some(message)
    }

    /// Nobody is to hear of what has not been sent.
    pub(crate) fn forget_unsent(&mut self) {
        self.unsent.clear();
    }
}

/// Answers a request for records or builds, as a daemon would that had these records: for those that no daemon has any more.
#[must_use]
pub fn recall(records: Vec<JobRecord>, request: &serde_json::Value) -> serde_json::Value {
    let shelf = Shelf::default();
    for record in records {
        let (user, end) = (record.user.unwrap_or_default(), record.end);
        shelf.open().add(record, user, end);
    }
    match desk::Question::read(request, None) {
        Ok(question) => question.answer(&shelf),
        Err(text) => serde_json::json!({ "error": { "code": "malformed", "text": text } }),
    }
}

/// The store as the tasks share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shelf {
    records: Arc<Mutex<Records>>,
    /// Whether there is a scheduler.
    connected: Arc<AtomicBool>,
    /// Something is to be sent.
    added: Arc<Notify>,
}

impl Shelf {
    /// To look or to change; held for moments only.
    pub(crate) fn open(&self) -> MutexGuard<'_, Records> {
        // Nothing in there is left half done.
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is a scheduler now.
    pub(crate) fn connected(&self, connected: bool) {
        self.connected.store(connected, Ordering::Relaxed);
    }

    /// See [`Records::add`]. Wrappers cannot tell whether the scheduler gave them this machine, or we did for want of one.
    pub(crate) fn add(&self, mut record: JobRecord, user: u32, now: u64) {
        if record.reason.as_deref() == Some(ASSIGNED_HERE)
            && !self.connected.load(Ordering::Relaxed)
        {
            record.reason = Some(NO_SCHEDULER.to_owned());
        }
        self.open().add(record, user, now);
        self.added.notify_one();
    }

    /// Until a record was added since the last call.
    pub(crate) async fn added(&self) {
        self.added.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gelato_record::{LONGEST, Verdict};

    const NOW: u64 = 1_700_000_000_000;

    fn record(file: &str) -> JobRecord {
        JobRecord {
            file: file.to_owned(),
            end: NOW,
            ..JobRecord::default()
        }
    }

    fn files(records: &Records, user: Option<u32>) -> Vec<String> {
        let newest = records.newest(user);
        newest.map(|record| record.file.clone()).collect()
    }

    #[test]
    fn the_newest_come_first_and_belong_to_their_user() {
        let mut records = Records::default();
        for (file, user) in [("a", 1), ("b", 2), ("c", 1)] {
            records.add(record(file), user, NOW);
        }
        assert_eq!(files(&records, None), ["c", "b", "a"]);
        assert_eq!(files(&records, Some(1)), ["c", "a"]);
        assert_eq!(files(&records, Some(3)), [""; 0]);
        assert!(records.newest(Some(2)).all(|r| r.user == Some(2)));
    }

    #[test]
    fn who_floods_the_store_pushes_out_his_own() {
        let mut records = Records::default();
        records.add(record("precious"), 1000, NOW);
        for number in 0..MOST + 500 {
            records.add(record(&format!("{number}")), 666, NOW);
        }
        assert_eq!(records.count, MOST);
        assert_eq!(files(&records, Some(1000)), ["precious"]);
        assert!(records.unsent.len() <= MOST_UNSENT);
        // Few, but as long as may be.
        for _ in 0..MOST_BYTES / LONGEST * 2 {
            let wide = JobRecord {
                folder: "\u{1F368}".repeat(900),
                source: "\u{1F368}".repeat(900),
                ..record("wide")
            };
            records.add(wide, 666, NOW);
        }
        assert!(records.bytes <= MOST_BYTES && records.count <= MOST);
        assert_eq!(files(&records, Some(1000)), ["precious"]);
        let sum: usize = records.users.values().map(|user| user.bytes).sum();
        assert_eq!(sum, records.bytes);
    }

    #[test]
    fn many_users_are_forgotten_one_by_one() {
        let mut records = Records::default();
        for user in 0..2000 {
            records.add(record("x"), user, NOW);
        }
        assert_eq!(records.users.len(), MOST_USERS);
        assert_eq!((records.count, files(&records, Some(1999)).len()), (256, 1));
    }

    #[test]
    fn what_the_sender_says_of_himself_and_of_time_is_not_believed() {
        let mut records = Records::default();
        let lie = JobRecord {
            user: Some(0),
            end: u64::MAX,
            wall: u64::MAX,
            verdict: Verdict::Remote,
            ..JobRecord::default()
        };
        records.add(lie, 1000, NOW);
        let kept = records.newest(None).next().unwrap();
        assert_eq!(
            (kept.user, kept.end, kept.wall),
            (Some(1000), NOW, LONGEST_JOB)
        );
    }

    #[test]
    fn without_a_scheduler_nobody_was_assigned_to_this_machine() {
        let shelf = Shelf::default();
        let own = JobRecord {
            reason: Some(ASSIGNED_HERE.to_owned()),
            ..record("x")
        };
        shelf.add(own.clone(), 1, NOW);
        shelf.connected(true);
        shelf.add(own, 1, NOW);
        let reasons: Vec<_> = shelf
            .open()
            .newest(None)
            .map(|r| r.reason.clone())
            .collect();
        assert_eq!(
            reasons,
            [
                Some(ASSIGNED_HERE.to_owned()),
                Some(NO_SCHEDULER.to_owned())
            ]
        );
    }

    #[test]
    fn messages_to_the_scheduler_are_bounded_and_complete() {
        let mut records = Records::default();
        assert_eq!(records.next_message(), None);
        for number in 0..100 {
            records.add(record(&format!("{number}")), 1, NOW);
        }
        for _ in 0..200 {
            let long = JobRecord {
                source: "s".repeat(900),
                folder: "\u{1F368}".repeat(1000),
                ..record("long")
            };
            records.add(long, 1, NOW);
        }
        let mut all = Vec::new();
        let mut rounds = 0;
        loop {
            let (messages, more) = records.next_messages();
            rounds += 1;
            assert!((1..=MOST_AT_ONCE).contains(&messages.len()));
            for message in messages {
                assert!(message.len() <= LONGEST_MESSAGE, "{}", message.len());
                let list: Vec<serde_json::Value> = serde_json::from_str(&message).unwrap();
                assert!((1..=MOST_IN_MESSAGE).contains(&list.len()));
                all.extend(list);
            }
            if !more {
                break;
            }
        }
        assert!(rounds > 1);
        assert_eq!(all.len(), 300);
        assert_eq!((&all[0]["file"], &all[0]["user"]), (&"0".into(), &1.into()));
        assert_eq!(all[299]["file"], "long");
    }
}
