//! Those who build: one `make -j` after the other, each looked over when it ends.

use std::ffi::OsString;
use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};

use super::plan::What;
use super::project::Project;
use super::random::Random;
use super::timeline::Timeline;
use crate::host::{Host, Running};
use crate::proc::{self, ProcessId};
use crate::wait;

/// No job may take longer: no second worker is asked after a minute, silence of a dead machine is noticed within 40 s,
/// no fault is held longer than 6 s, and the rest is for compiling here on a busy machine.
pub(crate) const JOB_BOUND: Duration = Duration::from_secs(150);

/// After ^C, or after its wrapper was killed, nothing of a build may run on for longer.
const LAST_BREATH: Duration = Duration::from_secs(20);

/// In the environment of everything a build starts.
const VARIABLE: &str = "GELATO_SOAK_BUILD";

/// Jobs at once of each build, and in all.
const PARALLEL: usize = 3;
const JOBS: usize = 10;

/// One who builds.
#[derive(Debug)]
pub(crate) struct Builder {
    pub(crate) index: usize,
    pub(crate) host: Host,
    pub(crate) variables: Vec<(OsString, OsString)>,
    current: Mutex<Option<Current>>,
    builds: AtomicUsize,
}

#[derive(Debug)]
struct Current {
    make: ProcessId,
    disturbed: Option<What>,
}

impl Builder {
    pub(crate) fn new(index: usize, host: Host, variables: Vec<(OsString, OsString)>) -> Builder {
        Builder {
            index,
            host,
            variables,
            current: Mutex::default(),
            builds: AtomicUsize::default(),
        }
    }

    /// Builds until told to stop, or until something is wrong.
    pub(crate) fn work(
        &self,
        project: &Project,
        timeline: &Timeline,
        stop: &AtomicBool,
        seed: u64,
    ) {
        let mut random = Random::new(seed);
        while !stop.load(Ordering::Relaxed) && timeline.failures().is_empty() {
            let wanted = project.choose(&mut random, JOBS);
            if let Err(error) = self.build(project, timeline, &wanted) {
                timeline.fail(format!("builder {}: {error:#}", self.index));
            }
        }
    }

    /// One build of `wanted`, from an empty folder to the comparison.
    pub(crate) fn build(
        &self,
        project: &Project,
        timeline: &Timeline,
        wanted: &[String],
    ) -> Result<()> {
        let number = self.builds.fetch_add(1, Ordering::Relaxed);
        let out = format!("b{}-{number}", self.index);
        let folder = project.folder.join(&out);
        fs::create_dir_all(&folder)?;
        self.host.give(&folder)?;
        let task = self
            .variables
            .iter()
            .fold(
                project.make(&out, wanted, PARALLEL),
                |task, (name, value)| task.env(name, value),
            )
            .env(VARIABLE, &out);
        let mut running = self.host.start(&task)?;
        self.set_current(running.id().map(|make| Current {
            make,
            disturbed: None,
        }));
        let ended = self.watch(&mut running);
        let disturbed = self.set_current(None).and_then(|current| current.disturbed);
        ended?;
        let done = running.wait(JOB_BOUND)?;
        timeline.note(format!(
            "builder {}: {out} ended after {:.3} s: {}{}",
            self.index,
            done.wall.as_secs_f64(),
            done.status,
            disturbed.map_or(String::new(), |what| format!(" ({what:?})"))
        ));
        let complete = disturbed.is_none();
        if complete && !done.status.success() {
            bail!(
                "{out} failed: {}\n{}{}",
                done.status,
                done.out(),
                done.err()
            );
        }
        wait::until(
            LAST_BREATH,
            &format!("end of all that {out} started"),
            || proc::with_variable(VARIABLE, &out).is_empty().then_some(()),
        )
        .map_err(|error| {
            let left: Vec<String> = proc::with_variable(VARIABLE, &out)
                .iter()
                .map(ProcessId::describe)
                .collect();
            error.context(format!("still there: {}", left.join("; ")))
        })?;
        let mut wrong = project.judge(&out, wanted, complete)?;
        match disturbed {
            // Compilers that are killed leave half an object, with or without us.
            Some(What::KillBuild) => wrong.clear(),
            // Killed, a wrapper cannot tidy up.
            Some(What::KillWrapper) => wrong.retain(|line| !line.ends_with(".tmp was left behind")),
            _ => {}
        }
        if !wrong.is_empty() {
            bail!("{}", wrong.join("\n"));
        }
        fs::remove_dir_all(&folder)?;
        Ok(())
    }

    /// Until the build has ended, or one of its jobs takes too long.
    fn watch(&self, running: &mut Running) -> Result<()> {
        let mut last_look = Instant::now();
        // Far longer than a build with the slowest of jobs; the jobs themselves are watched.
        wait::until_ok(JOB_BOUND * 10, "end of a build", || {
            if running.ended()?.is_some() {
                return Ok(Some(()));
            }
            if last_look.elapsed() >= Duration::from_secs(1) {
                last_look = Instant::now();
                for job in self.wrappers(running.pid()) {
                    if job.age() > JOB_BOUND {
                        bail!("a job takes more than {JOB_BOUND:?}: {}", job.describe());
                    }
                }
            }
            Ok(None)
        })
    }

    fn wrappers(&self, make: i32) -> Vec<ProcessId> {
        proc::descendants(make)
            .into_iter()
            .filter(|id| id.runs("icecc"))
            .collect()
    }

    /// Does `what` to the build that runs now; `None` if none does, or it has no wrapper just now.
    pub(crate) fn disturb(&self, what: What, random: &mut Random) -> Option<Vec<ProcessId>> {
        let mut guard = self.lock();
        let current = guard.as_mut()?;
        let signal = match what {
            What::Interrupt => Signal::INT,
            What::KillBuild | What::KillWrapper => Signal::KILL,
            _ => Signal::STOP,
        };
        let mut hit = vec![current.make.clone()];
        if matches!(what, What::KillWrapper | What::StopWrappers) {
            hit = self.wrappers(current.make.pid);
            if what == What::KillWrapper {
                hit = hit
                    .get(random.below(hit.len()))
                    .cloned()
                    .into_iter()
                    .collect();
            }
            hit.first()?;
        }
        if what.excuses_the_build() {
            // A killed wrapper leaves more behind than an interrupted one.
            if current.disturbed != Some(What::KillWrapper) || what == What::KillBuild {
                current.disturbed = Some(what);
            }
        }
        for id in &hit {
            if matches!(what, What::Interrupt | What::KillBuild) {
                let group = Pid::from_raw(id.pid)?;
                let _ = kill_process_group(group, signal);
            } else {
                id.signal(signal);
            }
        }
        Some(hit)
    }

    fn set_current(&self, current: Option<Current>) -> Option<Current> {
        std::mem::replace(&mut *self.lock(), current)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Current>> {
        self.current
            .lock()
            .unwrap_or_else(|poison| poison.into_inner())
    }
}
