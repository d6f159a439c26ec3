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
    pub(crate) steady_load: bool,
    /// Gigabytes of memory it is shown.
    pub(crate) memory: Option<u32>,
    /// Megabytes of the file system the toolchains are on, if it is one of its own.
    pub(crate) disk: Option<u32>,
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
            steady_load: false,
            memory: None,
            disk: None,
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

    /// Takes jobs of other machines, or takes none.
    #[must_use]
    pub fn remote(mut self, remote: bool) -> DaemonSpec {
        self.no_remote = !remote;
        self
    }

    /// Has the daemon see a machine whose processors are idle for ever, however busy this one is.
    #[must_use]
    pub fn steady_load(mut self) -> DaemonSpec {
        self.steady_load = true;
        self
    }

    /// Shows the daemon a machine with this many gigabytes of memory, half of them free.
    #[must_use]
    pub fn memory(mut self, gigabytes: u32) -> DaemonSpec {
        self.memory = Some(gigabytes);
        self
    }

    /// Puts the toolchains and job folders on a file system of their own with this many megabytes; needs root.
    #[must_use]
    pub fn small_disk(mut self, megabytes: u32) -> DaemonSpec {
        self.disk = Some(megabytes);
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
    pub(crate) standbys: usize,
    pub(crate) strangers: usize,
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

    /// Adds further schedulers on hosts of their own; daemons then find the best one by asking the network.
    #[must_use]
    pub fn standby_schedulers(mut self, count: usize) -> Builder {
        self.standbys = count;
        self
    }

    /// Adds machines on the same network that have nothing of ours.
    #[must_use]
    pub fn strangers(mut self, count: usize) -> Builder {
        self.strangers = count;
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
            for index in 0..cluster.scheduler_count() {
                cluster.start_scheduler_at(index, flavour)?;
            }
        }
        for index in 0..self.daemons.len() {
            cluster.start_daemon(index)?;
        }
        Ok(cluster)
    }
}
