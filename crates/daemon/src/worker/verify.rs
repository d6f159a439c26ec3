//! Whether a toolchain runs on this machine: its `true` and an empty unit through each of its compilers, in the sandbox.
//!
//! The answer is remembered as long as the toolchain stays. Usual reasons for a no: a kernel too old for its C library,
//! or a toolchain built for other CPUs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gelato_sandbox::Exit;
use gelato_toolchain::verify::{Check, programs_to_check};
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::{debug, info, warn};

use super::process::{attach, reap};
use super::{Task, Worker, WorkerError};
use crate::core::vocabulary::Toolchain;

/// One program of a check may take this long on a busy machine.
const LONGEST_CHECK: Duration = Duration::from_secs(20);

type Answer = Arc<OnceCell<Result<(), String>>>;

/// What is known so far.
#[derive(Debug, Default)]
pub(crate) struct Verified(Mutex<HashMap<Toolchain, Answer>>);

impl Verified {
    /// Whether it was looked at and does not work.
    pub(crate) fn has_failed(&self, toolchain: &Toolchain) -> bool {
        self.lock()
            .get(toolchain)
            .is_some_and(|answer| matches!(answer.get(), Some(Err(_))))
    }

    fn answer(&self, toolchain: &Toolchain) -> Answer {
        Arc::clone(self.lock().entry(toolchain.clone()).or_default())
    }

    fn forget(&self, toolchain: &Toolchain) {
        self.lock().remove(toolchain);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Toolchain, Answer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Worker {
    /// Whether a toolchain works, from memory or by trying. Many may ask at once; one tries.
    pub(crate) async fn verify(self: &Arc<Self>, toolchain: &Toolchain) -> Result<(), String> {
        let answer = self.verified.answer(toolchain);
        let result = answer
            .get_or_init(|| self.try_programs(toolchain))
            .await
            .clone();
        if self.acquire(toolchain).is_err() {
            // Not installed, or damaged: the next of that name is another one.
            self.verified.forget(toolchain);
        }
        result
    }

    /// As [`Worker::verify`], but trying again.
    pub(crate) async fn verify_anew(self: &Arc<Self>, toolchain: &Toolchain) -> Result<(), String> {
        self.verified.forget(toolchain);
        self.verify(toolchain).await
    }

    /// After a job that could not start its compiler: a toolchain that does not work any more is removed.
    pub(crate) async fn suspect(self: &Arc<Self>, toolchain: &Toolchain) {
        if let Err(reason) = self.verify_anew(toolchain).await {
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

    /// Makes room for what has just been installed.
    pub(crate) async fn evict(self: &Arc<Self>) {
        let worker = Arc::clone(self);
        let evicted = spawn_blocking(move || {
            for installed in worker.store.evict() {
                let toolchain = Toolchain {
                    platform: installed.platform,
                    name: installed.name,
                };
                info!(
                    "removed the toolchain {toolchain}, unused for longest, to stay within the cache limit"
                );
                worker.verified.forget(&toolchain);
            }
        });
        // A panic in there has been reported by itself.
        let _done = evicted.await;
    }

    async fn try_programs(self: &Arc<Self>, toolchain: &Toolchain) -> Result<(), String> {
        let result = self.try_all(toolchain).await;
        match &result {
            Ok(()) => info!("Verify environment done, success: {toolchain}"),
            Err(reason) => warn!("Verify environment done, failure: {toolchain}: {reason}"),
        }
        result
    }

    async fn try_all(self: &Arc<Self>, toolchain: &Toolchain) -> Result<(), String> {
        let worker = Arc::clone(self);
        let key = toolchain.clone();
        let acquired = spawn_blocking(move || {
            worker.acquire(&key).map(|in_use| {
                let checks = programs_to_check(in_use.root());
                (in_use, checks)
            })
        });
        let (in_use, checks) = acquired
            .await
            .map_err(|error| error.to_string())?
            .map_err(|error| error.to_string())?;
        let in_use = Arc::new(in_use);
        for check in checks {
            let program = check.program;
            let root = in_use.root().to_owned();
            match timeout(LONGEST_CHECK, self.try_one(root, check)).await {
                Ok(Ok(Exit::Code(0))) => {}
                Ok(Ok(Exit::Code(code))) => {
                    return Err(format!("{program} exits with status {code}"));
                }
                Ok(Ok(Exit::Signal(signal))) => {
                    return Err(format!("{program} is killed by signal {signal}"));
                }
                Ok(Err(error)) => return Err(format!("{program}: {error}")),
                Err(_) => return Err(format!("{program} does not end within {LONGEST_CHECK:?}")),
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
        let started = spawn_blocking(move || {
            let scratch = worker.scratch(&root)?;
            let task = Task {
                program: check.program.into(),
                args: check.args.iter().map(Into::into).collect(),
                cwd: scratch.inside().to_owned(),
            };
            let running = worker.spawn(&root, &scratch, task)?;
            Ok::<_, WorkerError>((running, scratch))
        });
        let (mut running, scratch) = started.await.map_err(|_| WorkerError::Interrupted)??;
        let (mut source, ending) = attach(&mut running)?;
        source.close();
        let said = ending.collect().await;
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
