//! Whether a toolchain runs on this machine: its `true` and an empty unit through each of its compilers, in the sandbox.
//!
//! The answer is remembered as long as the toolchain stays. Usual reasons for a no: a kernel too old for its C library,
//! or a toolchain built for other CPUs. Trouble of this machine (no processes, no memory, no time) says nothing about a
//! toolchain and is not remembered.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gelato_sandbox::{Exit, SandboxError};
use gelato_toolchain::verify::{Check, programs_to_check};
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use super::process::{attach, reap};
use super::{Task, Worker, WorkerError};
use crate::core::vocabulary::Toolchain;

/// One program of a check may take this long on a busy machine.
const LONGEST_CHECK: Duration = Duration::from_secs(20);

/// How long a toolchain that has to go waits for jobs that the scheduler sent here while it was listed.
const RETIREMENT: Duration = Duration::from_secs(10);

/// With less free disk than this nothing waits.
const SHORT_OF_DISK: u64 = 4 << 30;

/// What a system that is short of memory does to a process.
const SIGKILL: i32 = 9;

/// Why a toolchain is not known to work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Doubt {
    /// It does not work here.
    #[error("{0}")]
    Bad(String),
    /// It could not be tried: the next to ask tries again.
    #[error("{0}")]
    Unknown(String),
}

type Answer = Arc<OnceCell<Result<(), Doubt>>>;

/// What is known so far.
#[derive(Debug, Default)]
pub(crate) struct Verified(Mutex<HashMap<Toolchain, Answer>>);

impl Verified {
    /// Whether it was looked at and does not work.
    pub(crate) fn has_failed(&self, toolchain: &Toolchain) -> bool {
        self.lock()
            .get(toolchain)
            .is_some_and(|answer| matches!(answer.get(), Some(Err(Doubt::Bad(_)))))
    }

    fn answer(&self, toolchain: &Toolchain) -> Answer {
        Arc::clone(self.lock().entry(toolchain.clone()).or_default())
    }

    fn forget(&self, toolchain: &Toolchain) {
        self.lock().remove(toolchain);
    }

    /// Forgets this answer, but not a later one.
    fn forget_answer(&self, toolchain: &Toolchain, answer: &Answer) {
        let mut answers = self.lock();
        if answers
            .get(toolchain)
            .is_some_and(|current| Arc::ptr_eq(current, answer))
        {
            answers.remove(toolchain);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Toolchain, Answer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Worker {
    /// Whether a toolchain works, from memory or by trying. Many may ask at once; one tries.
    pub(crate) async fn verify(self: &Arc<Self>, toolchain: &Toolchain) -> Result<(), Doubt> {
        let answer = self.verified.answer(toolchain);
        let result = answer
            .get_or_init(|| self.try_programs(toolchain))
            .await
            .clone();
        let worker = Arc::clone(self);
        let key = toolchain.clone();
        // Blocks: a damaged toolchain is removed at once.
        let there = spawn_blocking(move || worker.acquire(&key).is_ok()).await;
        // Not installed, or damaged: the next of that name is another one.
        let is_gone = matches!(there, Ok(false));
        if is_gone || matches!(result, Err(Doubt::Unknown(_))) {
            self.verified.forget_answer(toolchain, &answer);
        }
        result
    }

    /// As [`Worker::verify`], but trying again.
    pub(crate) async fn verify_anew(self: &Arc<Self>, toolchain: &Toolchain) -> Result<(), Doubt> {
        self.verified.forget(toolchain);
        self.verify(toolchain).await
    }

    /// After a job that could not start its compiler: a toolchain that does not work any more is removed.
    pub(crate) async fn suspect(self: &Arc<Self>, toolchain: &Toolchain) {
        if let Err(Doubt::Bad(reason)) = self.verify_anew(toolchain).await {
            warn!("removing the damaged toolchain {toolchain}: {reason}");
            self.remove(toolchain).await;
        }
    }

    /// Removes a toolchain unless jobs run in it.
    pub(crate) async fn remove(self: &Arc<Self>, toolchain: &Toolchain) {
        let worker = Arc::clone(self);
        let toolchain = toolchain.clone();
        let removed = spawn_blocking(move || {
            match worker.store.remove(&toolchain.platform, &toolchain.name) {
                Ok(()) => worker.verified.forget(&toolchain),
                Err(error) => debug!("not removed: {error}"),
            }
        });
        // A panic in there has been reported by itself.
        let _done = removed.await;
    }

    /// Makes room for what has just been installed: at once where the disk is short, else after the jobs that are on their
    /// way have had time to arrive. True if there is less to announce now.
    pub(crate) fn evict(self: &Arc<Self>) -> bool {
        let retired = self.store.retire();
        if retired.is_empty() {
            return false;
        }
        for one in retired {
            info!(
                "retired the toolchain {}/{}: unused for longest",
                one.platform, one.name
            );
        }
        let free =
            rustix::fs::statvfs(&self.jobs).map_or(0, |fs| fs.f_bavail.saturating_mul(fs.f_frsize));
        let age = if free < SHORT_OF_DISK {
            Duration::ZERO
        } else {
            RETIREMENT
        };
        let worker = Arc::clone(self);
        tokio::spawn(async move {
            sleep(age).await;
            let purged = spawn_blocking(move || {
                for one in worker.store.purge(age) {
                    let (platform, name) = (one.platform, one.name);
                    let toolchain = Toolchain { platform, name };
                    info!("removed the toolchain {toolchain} to stay within the cache limit");
                    worker.verified.forget(&toolchain);
                }
            });
            // A panic in there has been reported by itself.
            let _done = purged.await;
        });
        true
    }

    async fn try_programs(self: &Arc<Self>, toolchain: &Toolchain) -> Result<(), Doubt> {
        let result = self.try_all(toolchain).await;
        match &result {
            Ok(()) => info!("Verify environment done, success: {toolchain}"),
            Err(Doubt::Bad(reason)) => {
                warn!("Verify environment done, failure: {toolchain}: {reason}");
            }
            Err(Doubt::Unknown(reason)) => {
                warn!("cannot try the toolchain {toolchain} now: {reason}");
            }
        }
        result
    }

    async fn try_all(self: &Arc<Self>, toolchain: &Toolchain) -> Result<(), Doubt> {
        let worker = Arc::clone(self);
        let key = toolchain.clone();
        let acquired = spawn_blocking(move || {
            worker.acquire(&key).map(|in_use| {
                let checks = programs_to_check(in_use.root());
                let link = (!worker.terms.level.changes_root())
                    .then(|| gelato_sandbox::link_out_of(in_use.root()));
                (in_use, checks, link.transpose())
            })
        });
        let (in_use, checks, link) = acquired
            .await
            .map_err(|error| Doubt::Unknown(error.to_string()))?
            .map_err(|error| Doubt::Bad(error.to_string()))?;
        // Where the toolchain is not the root, the compiler would follow it to the host's files.
        if let Some(link) = link
            .map_err(|error| Doubt::Bad(error.to_string()))?
            .flatten()
        {
            return Err(Doubt::Bad(format!(
                "this worker's sandbox does not change the root, and the link {} leads out of the toolchain",
                link.display()
            )));
        }
        let in_use = Arc::new(in_use);
        for check in checks {
            let program = check.program;
            let root = in_use.root().to_owned();
            match timeout(LONGEST_CHECK, self.try_one(root, check)).await {
                Ok(tried) => judge(program, tried)?,
                Err(_) => {
                    let reason = format!("{program} does not end within {LONGEST_CHECK:?}");
                    return Err(Doubt::Unknown(reason));
                }
            }
        }
        Ok(())
    }

    async fn try_one(
        self: &Arc<Self>,
        root: std::path::PathBuf,
        check: Check,
    ) -> Result<Exit, WorkerError> {
        let worker = Arc::clone(self);
        let most_printed = worker.terms.limits.printed;
        let started = spawn_blocking(move || {
            let scratch = worker.scratch(&root)?;
            let task = Task {
                program: check.program.into(),
                args: check.args.iter().map(Into::into).collect(),
                cwd: scratch.inside().to_owned(),
            };
            let running = worker.spawn(&root, &scratch, task)?;
            Ok::<_, WorkerError>((scratch, running))
        });
        // Dropped from right to left: the program goes before its folder.
        let (scratch, mut running) = started.await.map_err(|_| WorkerError::Interrupted)??;
        let (mut source, ending) = attach(&mut running)?;
        source.close();
        let said = ending.collect(most_printed).await;
        let outcome = reap(running).await?;
        if outcome.exit != Exit::Code(0) {
            debug!(
                "{} says: {}",
                check.program,
                String::from_utf8_lossy(&said.stderr.bytes)
            );
        }
        let _removed = spawn_blocking(move || drop(scratch)).await;
        Ok(outcome.exit)
    }
}

/// What a program's end says about its toolchain.
fn judge(program: &str, tried: Result<Exit, WorkerError>) -> Result<(), Doubt> {
    match tried {
        Ok(Exit::Code(0)) => Ok(()),
        Ok(Exit::Code(code)) => Err(Doubt::Bad(format!("{program} exits with status {code}"))),
        Ok(Exit::Signal(SIGKILL)) => Err(Doubt::Unknown(format!("{program} is killed"))),
        Ok(Exit::Signal(signal)) => {
            let reason = format!("{program} is killed by signal {signal}");
            Err(Doubt::Bad(reason))
        }
        Err(WorkerError::Sandbox(SandboxError::Exec { source, .. })) if !is_shortage(&source) => {
            Err(Doubt::Bad(format!("{program}: {source}")))
        }
        Err(error) => Err(Doubt::Unknown(format!("{program}: {error}"))),
    }
}

/// Whether this machine lacks something for now.
pub(super) fn is_shortage(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let shortages = [
        Errno::AGAIN,
        Errno::NOMEM,
        Errno::MFILE,
        Errno::NFILE,
        Errno::INTR,
        Errno::IO,
        Errno::TXTBSY,
    ];
    Errno::from_io_error(error).is_some_and(|errno| shortages.contains(&errno))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustix::io::Errno;

    use super::*;

    fn exec(errno: Errno) -> Result<Exit, WorkerError> {
        Err(WorkerError::Sandbox(SandboxError::Exec {
            program: "/usr/bin/gcc".into(),
            source: errno.into(),
        }))
    }

    fn is_bad(tried: Result<Exit, WorkerError>) -> bool {
        matches!(judge("gcc", tried), Err(Doubt::Bad(_)))
    }

    fn is_unknown(tried: Result<Exit, WorkerError>) -> bool {
        matches!(judge("gcc", tried), Err(Doubt::Unknown(_)))
    }

    #[test]
    fn a_toolchain_is_bad_if_its_programs_fail() {
        assert_eq!(judge("gcc", Ok(Exit::Code(0))), Ok(()));
        assert!(is_bad(Ok(Exit::Code(1))));
        assert!(is_bad(Ok(Exit::Signal(4))));
        for errno in [Errno::NOENT, Errno::ACCESS, Errno::NOEXEC] {
            assert!(is_bad(exec(errno)), "{errno}");
        }
    }

    #[test]
    fn d13_our_own_trouble_condemns_no_toolchain() {
        let sandbox = |error| Err(WorkerError::Sandbox(error));
        assert!(is_unknown(Ok(Exit::Signal(SIGKILL))));
        assert!(is_unknown(exec(Errno::NOMEM)));
        assert!(is_unknown(sandbox(SandboxError::Start {
            program: "/proc/self/exe".into(),
            source: Errno::AGAIN.into(),
        })));
        assert!(is_unknown(sandbox(SandboxError::NoAnswer {
            after: Duration::from_secs(10),
        })));
        assert!(is_unknown(sandbox(SandboxError::Lost)));
        assert!(is_unknown(Err(WorkerError::Interrupted)));
        assert!(is_unknown(Err(WorkerError::Scratch(Errno::NOSPC.into()))));
    }

    #[test]
    fn only_a_bad_toolchain_counts_as_failed() {
        let toolchain = Toolchain {
            platform: "x86_64".into(),
            name: "abc".into(),
        };
        let verified = Verified::default();
        let first = verified.answer(&toolchain);
        first.set(Err(Doubt::Unknown("busy".into()))).unwrap();
        assert!(!verified.has_failed(&toolchain));
        verified.forget_answer(&toolchain, &first);
        let second = verified.answer(&toolchain);
        second.set(Err(Doubt::Bad("status 1".into()))).unwrap();
        verified.forget_answer(&toolchain, &first);
        assert!(verified.has_failed(&toolchain), "that was another answer");
        verified.forget_answer(&toolchain, &second);
        assert!(!verified.has_failed(&toolchain));
    }
}
