//! One daemon of a cluster: its machine, log, socket and folders.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::host::{Host, Place, RunAs, Running};
use crate::log::LogFile;
use crate::proc;
use crate::programs::Programs;
use crate::spec::DaemonSpec;

/// A daemon of a cluster.
#[derive(Debug)]
pub struct Daemon {
    pub(crate) spec: DaemonSpec,
    pub(crate) host: Host,
    pub(crate) log: LogFile,
    pub(crate) port: u16,
    pub(crate) programs: Programs,
    pub(crate) process: Option<Running>,
    /// Holds the small disk.
    pub(crate) disk: Option<Running>,
}

impl Daemon {
    /// Its name in the cluster.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// The machine it is on.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Its log, at the most talkative level.
    pub fn log(&self) -> &LogFile {
        &self.log
    }

    /// Its flavour and the wrappers that go with it.
    pub fn programs(&self) -> &Programs {
        &self.programs
    }

    /// The running process.
    ///
    /// # Errors
    /// It was stopped or never started.
    pub fn process(&self) -> Result<&Running> {
        self.process
            .as_ref()
            .with_context(|| format!("daemon {} does not run", self.spec.name))
    }

    /// Jobs it compiled for others with success, by its log.
    pub fn compiled(&self) -> usize {
        self.log
            .count("Remote compilation completed with exit code 0")
    }

    /// Port it takes jobs at.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Folder of its environments, as seen from here.
    pub fn base_dir(&self) -> PathBuf {
        let base = self.host.folder.join("envs");
        match (&self.disk, base.strip_prefix("/")) {
            (Some(holder), Ok(relative)) => proc::root_of(holder.pid()).join(relative),
            _ => base,
        }
    }

    /// Its socket for wrappers.
    pub fn socket(&self) -> PathBuf {
        match (&self.host.place, self.host.run_as) {
            (Place::Loopback, _) => self.host.folder.join("run/icecc/socket"),
            (Place::Namespace(_), RunAs::Caller) => {
                self.host.folder.join("run/icecc/iceccd.socket")
            }
            (Place::Namespace(_), RunAs::Ordinary) => self.host.folder.join("home/.iceccd.socket"),
        }
    }
}
