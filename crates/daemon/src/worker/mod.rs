//! What this machine does for others: taking toolchains and running jobs in them.
//!
//! - [`transfer`]: one toolchain coming in
//! - [`job`]: one job from its first message to the end of its result
//! - [`command`], [`verdict`]: what to run, and whose fault a failure is (pure)
//! - [`process`]: the compiler's process and its streams
//! - [`displaced`]: what to run where the toolchain is not the root
//! - [`scratch`]: the folder of one job
//! - [`verify`]: whether a toolchain runs here
//! - [`watchdog`], [`pulse`]: the end of jobs that go too far
//! - [`reason`]: why a job goes back to its submitter
//!
//! [`Worker`] holds what they share. Everything that blocks runs on the runtime's blocking threads.

pub(crate) mod command;
pub(crate) mod displaced;
pub(crate) mod job;
pub(crate) mod process;
mod pulse;
pub(crate) mod reason;
pub(crate) mod result;
pub(crate) mod scratch;
pub(crate) mod transfer;
pub(crate) mod verdict;
pub(crate) mod verify;
pub(crate) mod watchdog;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gelato_sandbox::{Identity, Jailer, JobSpec, Level, Limits, Running, SandboxError};
use gelato_toolchain::store::{InUse, Store, StoreError};
use tokio::task::spawn_blocking;
use tracing::{info, warn};

use crate::config::JobLimits;
use crate::core::vocabulary::{InstalledToolchain, Toolchain};
use crate::readings::jobs::Live;
use displaced::{Displaced, displace};
use scratch::Scratch;
use verify::{Doubt, Verified};

/// Processes and threads of one job.
const MOST_PROCESSES: u64 = 512;

/// The largest file a job may write, in bytes.
const LARGEST_FILE: u64 = 4 << 30;

/// How jobs are run on this machine.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    /// How they are kept apart.
    pub(crate) level: Level,
    /// What starts them.
    pub(crate) jailer: Jailer,
    /// Whom they run as, if not as the daemon's own user.
    pub(crate) identity: Option<Identity>,
    /// Added to the daemon's niceness.
    pub(crate) nice: i32,
    /// Address space of each process, in bytes.
    pub(crate) memory: Option<u64>,
    /// zstd level of results.
    pub(crate) compression: i32,
    /// What one job may use up.
    pub(crate) limits: JobLimits,
}

/// What everything done for others shares.
pub(crate) struct Worker {
    terms: Terms,
    store: Store,
    jobs: PathBuf,
    verified: Verified,
    next_job: AtomicU64,
    /// Processes of running jobs.
    pub(crate) live: Arc<Live>,
}

/// Why a job or a check of a toolchain could not begin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkerError {
    /// The toolchain cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No folder for the job.
    #[error("cannot make a folder for a job: {0}")]
    Scratch(#[source] io::Error),
    /// It was looked at and does not work on this machine.
    #[error("the toolchain does not run here: {0}")]
    DoesNotRun(String),
    /// Nobody knows whether it works on this machine.
    #[error("the toolchain could not be tried: {0}")]
    NotTried(String),
    /// The submitter's folders cannot be mirrored.
    #[error(transparent)]
    Paths(#[from] command::UnusablePaths),
    /// Only a level of the sandbox that changes the root can carry it out.
    #[error("this worker's sandbox does not change the root: {0}")]
    NotAtThisLevel(String),
    /// The sandbox refused.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// A blocking step panicked or the daemon is stopping.
    #[error("the job's set-up was interrupted")]
    Interrupted,
}

impl WorkerError {
    /// Whether the toolchain or the request is to blame, and trying here again is of no use.
    fn is_toolchains_fault(&self) -> bool {
        match self {
            WorkerError::Sandbox(SandboxError::Exec { source, .. }) => !verify::is_shortage(source),
            WorkerError::Store(_)
            | WorkerError::DoesNotRun(_)
            | WorkerError::Paths(_)
            | WorkerError::Sandbox(SandboxError::BadSpec(_)) => true,
            _ => false,
        }
    }
}

impl From<Doubt> for WorkerError {
    fn from(doubt: Doubt) -> WorkerError {
        match doubt {
            Doubt::Bad(reason) => WorkerError::DoesNotRun(reason),
            Doubt::Unknown(reason) => WorkerError::NotTried(reason),
        }
    }
}

/// A program to run in a toolchain.
#[derive(Debug)]
pub(crate) struct Task {
    /// Absolute path inside.
    pub(crate) program: OsString,
    /// Its arguments.
    pub(crate) args: Vec<OsString>,
    /// Working folder inside.
    pub(crate) cwd: PathBuf,
}

impl Worker {
    /// A worker with the toolchains of `store` and its jobs' folders in `base`. Removes what jobs of an earlier run left.
    pub(crate) fn open(store: Store, base: &Path, terms: Terms) -> io::Result<Worker> {
        let jobs = base.join("jobs");
        scratch::sweep(&jobs)?;
        if terms.level == Level::Chroot {
            for installed in store.installed() {
                if let Ok(toolchain) = store.acquire(&installed.platform, &installed.name) {
                    let tmp = toolchain.root().join("tmp");
                    if let Err(error) = scratch::sweep(&tmp) {
                        warn!("cannot clear {}: {error}", tmp.display());
                    }
                }
            }
        }
        if let Some(memory) = terms.memory {
            info!("Compile job memory limit set to {} megabytes", memory >> 20);
        }
        Ok(Worker {
            terms,
            store,
            jobs,
            verified: Verified::default(),
            next_job: AtomicU64::new(0),
            live: Arc::default(),
        })
    }

    /// The toolchains to announce: installed, and not known to be unusable here.
    pub(crate) fn toolchains(&self) -> Vec<InstalledToolchain> {
        self.store
            .installed()
            .into_iter()
            .map(|installed| InstalledToolchain {
                toolchain: Toolchain {
                    platform: installed.platform,
                    name: installed.name,
                },
                size: installed.size,
            })
            .filter(|installed| !self.verified.has_failed(&installed.toolchain))
            .collect()
    }

    /// Keeps a toolchain in place for a job. Blocks.
    fn acquire(&self, toolchain: &Toolchain) -> Result<InUse, StoreError> {
        self.store.acquire(&toolchain.platform, &toolchain.name)
    }

    /// Keeps a toolchain in place while a job for it waits. `None` if it is not there; the job hears of that later.
    async fn hold(self: &Arc<Self>, toolchain: &Toolchain) -> Option<InUse> {
        let worker = Arc::clone(self);
        let toolchain = toolchain.clone();
        let held = spawn_blocking(move || worker.acquire(&toolchain).ok());
        held.await.ok().flatten()
    }

    /// A new folder for a job in the toolchain at `root`. Blocks.
    fn scratch(&self, root: &Path) -> Result<Scratch, WorkerError> {
        let number = self.next_job.fetch_add(1, Ordering::Relaxed);
        let name = format!("job-{}-{number}", std::process::id());
        Scratch::make(
            self.terms.level,
            &self.jobs,
            root,
            &name,
            self.terms.identity,
        )
        .map_err(WorkerError::Scratch)
    }

    /// Starts a program in a toolchain. Blocks for the few milliseconds a sandbox takes.
    fn spawn(&self, root: &Path, scratch: &Scratch, task: Task) -> Result<Running, WorkerError> {
        let variable = |name: &str, value: OsString| (OsString::from(name), value);
        let Displaced {
            task,
            path,
            variables,
        } = if self.terms.level.changes_root() {
            Displaced {
                task,
                path: "/usr/bin".into(),
                variables: Vec::new(),
            }
        } else {
            displace(root, task)?
        };
        let mut env = vec![
            variable("PATH", path.into()),
            variable("LC_ALL", "C".into()),
            variable("TMPDIR", scratch.inside().into()),
        ];
        env.extend(variables);
        let running = self.terms.jailer.spawn(&JobSpec {
            level: self.terms.level,
            root: root.to_owned(),
            tmp: scratch.host().to_owned(),
            program: task.program,
            args: task.args,
            env,
            cwd: task.cwd,
            nice: self.terms.nice,
            limits: Limits {
                memory_bytes: self.terms.memory,
                job_memory_bytes: self.terms.memory,
                processes: Some(MOST_PROCESSES),
                file_size: Some(LARGEST_FILE),
                cpu_seconds: None,
            },
            identity: self.terms.identity,
        })?;
        if let Some(why) = &running.ungrouped {
            warn!("a job runs without a control group and is watched instead: {why}");
        }
        Ok(running)
    }
}
