//! Saying what a cluster shall be, and starting it.

use std::ffi::OsString;

use anyhow::Result;

use crate::cluster::Cluster;
use crate::host::RunAs;
use crate::programs::Flavour;

/// How hosts are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// A network namespace per host; needs root.
    Namespaces,
    /// Ports and sockets of this machine.
    Loopback,
}

/// What a daemon is like.
#[derive(Clone, Debug)]
pub struct DaemonSpec {
    pub(crate) name: String,
    pub(crate) flavour: Flavour,
    pub(crate) slots: u32,
    pub(crate) no_remote: bool,
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) args: Vec<OsString>,
}

impl DaemonSpec {
    /// A worker with two slots.
    pub fn worker(name: &str, flavour: Flavour) -> DaemonSpec {
        DaemonSpec {
            name: name.to_owned(),
            flavour,
            slots: 2,
            no_remote: false,
            env: Vec::new(),
            args: Vec::new(),
        }
    }

    /// A submitter: takes no jobs, not even its own, so that whatever comes back local is a mistake.
    pub fn submitter(name: &str, flavour: Flavour) -> DaemonSpec {
        DaemonSpec {
            slots: 0,
            no_remote: true,
            ..DaemonSpec::worker(name, flavour)
        }
    }

    /// Sets the number of slots.
    #[must_use]
    pub fn slots(mut self, slots: u32) -> DaemonSpec {
        self.slots = slots;
        self
    }

    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> DaemonSpec {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Adds a word to the command line.
    #[must_use]
    pub fn arg(mut self, word: impl Into<OsString>) -> DaemonSpec {
        self.args.push(word.into());
        self
    }
}

/// Says what a cluster shall be.
#[derive(Clone, Debug)]
pub struct Builder {
    pub(crate) layout: Layout,
    pub(crate) run_as: RunAs,
    pub(crate) scheduler: Option<Flavour>,
    pub(crate) daemons: Vec<DaemonSpec>,
    pub(crate) quick_reconnect: bool,
}

impl Builder {
    /// Everything as an ordinary user from now on; Icecream's daemon cannot be a worker then.
    #[must_use]
    pub fn ordinary_user(mut self) -> Builder {
        self.run_as = RunAs::Ordinary;
        self
    }

    /// Adds a scheduler.
    #[must_use]
    pub fn scheduler(mut self, flavour: Flavour) -> Builder {
        self.scheduler = Some(flavour);
        self
    }

    /// Adds a daemon; the first is the submitter.
    #[must_use]
    pub fn daemon(mut self, daemon: DaemonSpec) -> Builder {
        self.daemons.push(daemon);
        self
    }

    /// Has Icecream's daemons look for a lost scheduler after 3 s in place of 20 to 51 s.
    #[must_use]
    pub fn quick_reconnect(mut self) -> Builder {
        self.quick_reconnect = true;
        self
    }

    /// One machine with nothing running.
    ///
    /// # Errors
    /// Its folders cannot be made.
    pub fn empty(self) -> Result<Cluster> {
        Cluster::prepare(&self)
    }

    /// Starts everything and waits until every daemon may get jobs.
    ///
    /// # Errors
    /// Programs are missing, do not start, or do not find each other in time.
    pub fn start(self) -> Result<Cluster> {
        let mut cluster = self.launch()?;
        if self.scheduler.is_some() {
            cluster.wait_ready()?;
        } else {
            cluster.wait_started()?;
        }
        Ok(cluster)
    }

    /// Starts everything and waits until every daemon is logged in, however busy this machine is.
    ///
    /// # Errors
    /// As [`Builder::start`].
    pub fn start_logged_in(self) -> Result<Cluster> {
        let mut cluster = self.launch()?;
        cluster.wait_listed("all daemons to log in", u32::MAX)?;
        Ok(cluster)
    }

    fn launch(&self) -> Result<Cluster> {
        let mut cluster = Cluster::prepare(self)?;
        if let Some(flavour) = self.scheduler {
            cluster.start_scheduler(flavour)?;
        }
        for index in 0..self.daemons.len() {
            cluster.start_daemon(index)?;
        }
        Ok(cluster)
    }
}
