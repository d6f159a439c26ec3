//! One cluster for all tests of this program that run at the same time: whoever comes first starts it, whoever leaves last
//! shuts it down.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use anyhow::{Context, Result};
use gelato_lab::{Cluster, DaemonSpec, Flavour, Layout};

static CLUSTER: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());

/// A submitter that compiles nothing itself and two workers, all ordinary users' processes.
pub(crate) struct Shared(Option<Arc<Cluster>>);

impl Shared {
    pub(crate) fn join() -> Result<Shared> {
        let mut current = CLUSTER.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cluster) = current.upgrade() {
            return Ok(Shared(Some(cluster)));
        }
        let cluster = Cluster::builder(Layout::Loopback)
            .ordinary_user()
            .scheduler(Flavour::Gelato)
            .daemon(DaemonSpec::submitter("submitter", Flavour::Gelato))
            .daemon(DaemonSpec::worker("one", Flavour::Gelato))
            .daemon(DaemonSpec::worker("two", Flavour::Gelato))
            .start()?;
        let cluster = Arc::new(cluster);
        *current = Arc::downgrade(&cluster);
        Ok(Shared(Some(cluster)))
    }

    pub(crate) fn cluster(&self) -> Result<&Cluster> {
        self.0.as_deref().context("the cluster has been left")
    }

    /// The last one out sees to it that nothing is left behind. A test that fails just drops its part.
    pub(crate) fn leave(mut self) -> Result<()> {
        let _current = CLUSTER.lock().unwrap_or_else(PoisonError::into_inner);
        match self.0.take().and_then(Arc::into_inner) {
            Some(cluster) => cluster.shut_down(),
            None => Ok(()),
        }
    }
}
