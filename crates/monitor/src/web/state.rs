//! What all requests share: the picture of the cluster with its clock, the keys, the live stream, and what operators may do.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use tokio::sync::Semaphore;

use super::Clock;
use super::auth::Keys;
use super::manage::Operator;
use super::stream::{Hub, frame};
use crate::event::Event;
use crate::feed;
use crate::history::History;
use crate::model::Cluster;
use crate::recording::Entry;
use crate::view;

/// How many may look into the history at a time: each takes memory, and a thread.
const READERS: usize = 4;

/// Everything handlers and tasks need.
#[derive(Debug)]
pub(super) struct Shared {
    /// Whether looking needs the token, too: the server is open to other machines.
    pub(super) needs_token: bool,
    pub(super) hub: Hub,
    pub(super) operator: Operator,
    /// None if it is not kept.
    pub(super) history: Option<Arc<History>>,
    /// Who looks into it.
    pub(super) readers: Arc<Semaphore>,
    keys: Mutex<Keys>,
    picture: Mutex<Picture>,
}

/// The cluster, and what time it is there.
#[derive(Debug)]
pub(super) struct Picture {
    pub(super) cluster: Cluster,
    /// Up to which revision browsers have been told; `None` while nobody looks.
    pub(super) told: Option<u64>,
    clock: Clock,
    last: u64,
}

impl Shared {
    pub(super) fn new(
        clock: Clock,
        needs_token: bool,
        keys: Keys,
        operator: Operator,
        history: Option<Arc<History>>,
    ) -> Shared {
        Shared {
            needs_token,
            hub: Hub::new(),
            operator,
            history,
            readers: Arc::new(Semaphore::new(READERS)),
            keys: Mutex::new(keys),
            picture: Mutex::new(Picture {
                cluster: Cluster::new(),
                told: None,
                clock,
                last: 0,
            }),
        }
    }

    /// The picture, for a short while.
    pub(super) fn picture(&self) -> MutexGuard<'_, Picture> {
        self.picture.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the cluster.
    pub(super) fn see<T>(&self, look: impl FnOnce(&Cluster, u64) -> T) -> T {
        let picture = self.picture();
        look(&picture.cluster, picture.now())
    }

    pub(super) fn keys(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes events in.
    pub(super) fn apply(&self, entries: impl IntoIterator<Item = Entry>) {
        let mut picture = self.picture();
        for entry in entries {
            if let Event::Operator {
                who,
                command,
                result,
            } = &entry.event
            {
                self.operator.heard(entry.at, who, command, result);
            }
            picture.apply(entry);
        }
    }

    /// All there is to see, and after which change of the stream.
    pub(super) fn snapshot(&self) -> (u64, Bytes) {
        let mut picture = self.picture();
        let revision = picture.cluster.revision();
        picture.told.get_or_insert(revision);
        self.hub.snapshot(|| {
            let (cluster, now) = (&picture.cluster, picture.now());
            frame("snapshot", &view::snapshot(cluster, now))
        })
    }
}

impl Picture {
    fn apply(&mut self, entry: Entry) {
        self.last = self.last.max(entry.at);
        self.cluster.apply(entry.at, entry.event);
    }

    /// The time of the picture.
    pub(super) fn now(&self) -> u64 {
        match self.clock {
            Clock::Wall => feed::now(),
            Clock::Events => self.last,
        }
    }
}
