//! The thread that keeps the history: whoever has something to keep never waits for the disk.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::sample::Batch;
use super::store::{HistoryError, Store};

/// Batches that wait for the disk; the next ones are dropped.
const WAITING: usize = 16;

/// Between two tries to use a file that failed.
const RETRY: Duration = Duration::from_secs(60);

/// Milliseconds between two looks for what is too old, on the clock of the batches.
const PRUNE: u64 = 60_000;

/// The history of a cluster, kept by a thread.
#[derive(Debug)]
pub struct History {
    to: Mutex<Option<SyncSender<Batch>>>,
    ended: Mutex<Receiver<()>>,
    slot: Arc<Mutex<Slot>>,
}

/// The file at the moment.
#[derive(Debug)]
enum Slot {
    Open(Arc<Store>),
    /// Not, and why.
    Closed(String),
}

impl History {
    /// Keeps it in a file, which is opened by the thread: that may take a while after a crash.
    pub fn in_file(path: PathBuf) -> History {
        let slot = Slot::Closed("the history is being opened".to_owned());
        History::start(slot, move || Store::open(&path))
    }

    /// Keeps it in memory, beginning with a past that is made up by the thread.
    pub fn in_memory(
        past: impl Fn(&Store) -> Result<(), HistoryError> + Send + 'static,
    ) -> History {
        let slot = Slot::Closed("the past is being made up".to_owned());
        History::start(slot, move || {
            let store = Store::in_memory()?;
            past(&store)?;
            Ok(store)
        })
    }

    fn start(
        slot: Slot,
        open: impl Fn() -> Result<Store, HistoryError> + Send + 'static,
    ) -> History {
        let slot = Arc::new(Mutex::new(slot));
        let (to, batches) = sync_channel(WAITING);
        let (alive, ended) = sync_channel(0);
        let shared = Arc::clone(&slot);
        let started = thread::Builder::new()
            .name("history".to_owned())
            .spawn(move || {
                keep(&shared, &batches, open);
                drop(alive);
            });
        if let Err(error) = started {
            *lock(&slot) = Slot::Closed(format!("no thread for the history: {error}"));
        }
        History {
            to: Mutex::new(Some(to)),
            ended: Mutex::new(ended),
            slot,
        }
    }

    /// Keeps a batch, or drops it if the disk is too slow.
    pub fn add(&self, batch: Batch) {
        if let Some(to) = &*lock(&self.to)
            && let Err(TrySendError::Full(_)) = to.try_send(batch)
        {
            tracing::debug!("the history is behind: ten seconds are lost");
        }
    }

    /// Looks into it; may wait for the disk.
    ///
    /// # Errors
    /// It is not open, or cannot be read.
    pub fn ask<T>(
        &self,
        question: impl FnOnce(&Store) -> Result<T, HistoryError>,
    ) -> Result<T, HistoryError> {
        let store = match &*lock(&self.slot) {
            Slot::Open(store) => Arc::clone(store),
            Slot::Closed(why) => return Err(HistoryError::Closed(why.clone())),
        };
        question(&store)
    }

    /// Writes what is still to be written and closes the file, unless that takes too long.
    pub fn close(&self, patience: Duration) {
        drop(lock(&self.to).take());
        // Nobody ever sends: this ends when the thread does.
        let _: Result<(), RecvTimeoutError> = lock(&self.ended).recv_timeout(patience);
    }
}

fn keep(
    slot: &Mutex<Slot>,
    batches: &Receiver<Batch>,
    open: impl Fn() -> Result<Store, HistoryError>,
) {
    let mut tried = None;
    let mut pruned = 0;
    if store_in(slot).is_none() {
        tried = Some(Instant::now());
        set(slot, open());
    }
    while let Ok(batch) = batches.recv() {
        if store_in(slot).is_none() {
            if tried.is_some_and(|tried| tried.elapsed() < RETRY) {
                continue;
            }
            tried = Some(Instant::now());
            set(slot, open());
        }
        let Some(store) = store_in(slot) else {
            continue;
        };
        let mut written = store.add(&batch);
        if written.is_ok() && batch.at.abs_diff(pruned) >= PRUNE {
            pruned = batch.at;
            written = store.prune(batch.at);
        }
        if let Err(error) = written {
            drop(store);
            tried = Some(Instant::now());
            set(slot, Err(error));
        }
    }
    set_quietly(slot, Slot::Closed("the history is closed".to_owned()));
}

fn store_in(slot: &Mutex<Slot>) -> Option<Arc<Store>> {
    match &*lock(slot) {
        Slot::Open(store) => Some(Arc::clone(store)),
        Slot::Closed(_) => None,
    }
}

fn set(slot: &Mutex<Slot>, opened: Result<Store, HistoryError>) {
    let next = match opened {
        Ok(store) => Slot::Open(Arc::new(store)),
        Err(error) => {
            let why = error.to_string();
            // Once for each reason, and not every minute.
            if !matches!(&*lock(slot), Slot::Closed(before) if *before == why) {
                tracing::warn!("no history is kept: {why}");
            }
            Slot::Closed(why)
        }
    };
    set_quietly(slot, next);
}

fn set_quietly(slot: &Mutex<Slot>, next: Slot) {
    let before = std::mem::replace(&mut *lock(slot), next);
    // The file is closed here, without the lock.
    drop(before);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Question, Sample};

    fn batch(at: u64) -> Batch {
        Batch {
            at,
            sample: Sample {
                seconds: 10.0,
                busy: 1.0,
                ..Sample::default()
            },
            ..Batch::default()
        }
    }

    #[test]
    fn what_was_added_is_in_the_file_after_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.redb");
        let history = History::in_file(path.clone());
        for number in 0..5 {
            history.add(batch(number * 10_000));
        }
        history.close(Duration::from_secs(60));
        let question = Question::new(Some(0), Some(50_000), Some(10_000), 50_000);
        assert!(history.ask(|store| store.range(&question)).is_err());
        let past = Store::open(&path).unwrap().range(&question).unwrap();
        assert_eq!(past.points.len(), 5);
    }

    #[test]
    fn without_a_usable_file_nothing_happens_but_words() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.redb");
        std::fs::write(&path, "something else").unwrap();
        let history = History::in_file(path.clone());
        for number in 0..100 {
            history.add(batch(number * 10_000));
        }
        history.close(Duration::from_secs(60));
        assert!(history.ask(|store| store.files(0)).is_err());
        // It was not touched: somebody may want it.
        assert_eq!(std::fs::read(&path).unwrap(), b"something else");
        let nowhere = History::in_file(folder.path().join("no/such/folder"));
        nowhere.add(batch(0));
        nowhere.close(Duration::from_secs(60));
    }
}
