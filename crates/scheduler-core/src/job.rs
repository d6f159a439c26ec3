//! Life of one compile job: queued, placed, compiling, gone.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use crate::history::{Forecast, Kind};
use crate::ids::{ClientId, Environment, JobId, NodeId, Text, Time};

/// A live job.
#[derive(Debug, Clone)]
pub struct Job {
    pub(crate) id: JobId,
    pub(crate) client: ClientId,
    pub(crate) submitter: NodeId,
    pub(crate) state: State,
    pub(crate) needs: Arc<Needs>,
    pub(crate) arg_flags: u32,
    pub(crate) file: Text,
    pub(crate) language: u32,
    pub(crate) niceness: u8,
    /// Order of arrival.
    pub(crate) arrival: u64,
    /// Memory it is expected to take, as a step of [`crate::admission`].
    pub(crate) memory: u8,
    pub(crate) kind: Kind,
    pub(crate) forecast: Forecast,
    pub(crate) placed_at: Time,
    /// When its worker said that it began, on our clock.
    pub(crate) begun_at: Option<Time>,
    /// Milliseconds it should run where it was placed.
    pub(crate) expected_ms: f32,
    /// Its worker had a free slot and the toolchain.
    pub(crate) straight: bool,
    /// More than half of its worker's slots were taken.
    pub(crate) crowded: bool,
    /// Lower comes first within a lane.
    pub(crate) urgency: i64,
    /// Since when, and for whom, it waits although somebody slower is free.
    pub(crate) held: Option<(Time, NodeId)>,
    /// All jobs of the same request, if there are several: they must use one toolchain.
    pub(crate) siblings: Option<Arc<[JobId]>>,
    pub(crate) requested_at: Time,
}

/// Where a job is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Waiting for a worker.
    Queued,
    /// The submitter has been told.
    Placed {
        /// Where.
        worker: NodeId,
    },
    /// The worker has begun.
    Compiling {
        /// Where.
        worker: NodeId,
        /// On the worker's clock.
        start_time: u32,
    },
}

/// What a job demands of a worker. Jobs with equal needs of one submitter are placeable, or not, together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Needs {
    /// A hash of the rest, looked at first: different needs are told apart without looking at their names.
    pub(crate) mark: u64,
    pub(crate) environments: Arc<[Environment]>,
    pub(crate) target: Text,
    pub(crate) preferred_host: Text,
    pub(crate) minimal_version: u32,
    pub(crate) features: u32,
    /// Its submitter knows addresses of IPv6, else of IPv4.
    pub(crate) ipv6: bool,
}

impl Needs {
    /// These needs, marked.
    pub(crate) fn marked(mut self) -> Arc<Needs> {
        let mut hasher = DefaultHasher::new();
        self.environments.hash(&mut hasher);
        (&self.target, &self.preferred_host).hash(&mut hasher);
        (self.minimal_version, self.features, self.ipv6).hash(&mut hasher);
        self.mark = hasher.finish();
        Arc::new(self)
    }
}

impl Job {
    /// Its number.
    pub fn id(&self) -> JobId {
        self.id
    }

    /// Who asked for it.
    pub fn submitter(&self) -> NodeId {
        self.submitter
    }

    /// Where it is in its life.
    pub fn state(&self) -> State {
        self.state
    }

    /// The file name as the submitter sent it.
    pub fn file(&self) -> &Text {
        &self.file
    }

    /// When it was asked for.
    pub fn requested_at(&self) -> Time {
        self.requested_at
    }

    /// The busy worker it waits for, because it would be done there before it was done by anyone who is free.
    pub fn held_for(&self) -> Option<NodeId> {
        self.held.map(|(_, node)| node)
    }

    /// What it is expected to take.
    pub fn forecast(&self) -> Forecast {
        self.forecast
    }

    /// Where it has been placed, if it has.
    pub fn worker(&self) -> Option<NodeId> {
        match self.state {
            State::Queued => None,
            State::Placed { worker } | State::Compiling { worker, .. } => Some(worker),
        }
    }
}

/// A file name as monitors are shown it: the last three components, with the oddity of Icecream's own senders that a
/// rooted name of one or two components keeps only the last.
pub(crate) fn short_name(file: &Text) -> Text {
    let bytes = file.as_bytes();
    let mut slashes = (0..bytes.len()).rev().filter(|at| bytes[*at] == b'/');
    let cut = match (slashes.next(), slashes.next(), slashes.next()) {
        (_, _, Some(third)) => third + 1,
        (Some(last), Some(0), None) | (Some(last @ 0), None, None) => last + 1,
        _ => return file.clone(),
    };
    Text::from(&bytes[cut..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_cut_as_icecream_cuts_them() {
        let cut = |name: &str| short_name(&Text::from(name)).to_string();
        assert_eq!(cut("/a/b/c/d/x.cpp"), "c/d/x.cpp");
        assert_eq!(cut("/tmp/lib.so"), "lib.so");
        assert_eq!(cut("/a/b/x.cpp"), "a/b/x.cpp");
        assert_eq!(cut("/a"), "a");
        assert_eq!(cut("a/b/c"), "a/b/c");
        assert_eq!(cut("x.c"), "x.c");
        assert_eq!(cut(""), "");
        assert_eq!(cut("////"), "//");
    }
}
