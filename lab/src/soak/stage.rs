//! Carries faults out on a cluster, and heals them.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::Signal;

use super::load::Builder;
use super::plan::{Fault, Role, What};
use super::random::Random;
use super::timeline::Timeline;
use crate::cluster::Cluster;
use crate::host::{Running, Task};
use crate::proc::{self, ProcessId};
use crate::programs::Flavour;

/// After SIGTERM: running jobs have 20 s, then everything must be over.
const DRAIN: Duration = Duration::from_secs(45);

/// Names of compilers, as the kernel shows them.
const COMPILERS: [&str; 4] = ["cc1", "cc1plus", "clang", "clang-14"];

/// The cluster with what is wrong with it at the moment.
pub(crate) struct Stage<'a> {
    pub(crate) cluster: &'a mut Cluster,
    pub(crate) builders: &'a [Builder],
    pub(crate) timeline: &'a Timeline,
    pub(crate) submitters: usize,
    random: Random,
    /// Stopped processes, by the role they belong to.
    stopped: Vec<(Role, ProcessId)>,
    /// Programs that were asked to end, by role, and since when.
    ending: Vec<(Role, Running, Duration)>,
}

impl<'a> Stage<'a> {
    pub(crate) fn new(
        cluster: &'a mut Cluster,
        builders: &'a [Builder],
        timeline: &'a Timeline,
        submitters: usize,
        seed: u64,
    ) -> Stage<'a> {
        Stage {
            cluster,
            builders,
            timeline,
            submitters,
            random: Random::new(seed),
            stopped: Vec::new(),
            ending: Vec::new(),
        }
    }

    /// Lets the fault happen.
    pub(crate) fn begin(&mut self, fault: &Fault) -> Result<()> {
        let Fault { role, what, .. } = *fault;
        let mut remark = String::new();
        match what {
            What::Kill | What::KillAlone => self.kill(role, what),
            What::Terminate | What::Forget => self.terminate(role)?,
            What::Stop => {
                let id = self.process(role)?.id().context("it is gone")?;
                id.signal(Signal::STOP);
                self.stopped.push((role, id));
            }
            What::Cut => self.segment()?.unplug(self.number(role))?,
            What::Flicker => self.segment()?.unplug(self.number(role))?,
            What::Reboot => {
                self.segment()?.unplug(self.number(role))?;
                self.kill(role, What::Kill);
            }
            What::FillDisk => remark = format!("{} bytes", fill(&self.filler(role)?)?),
            What::KillCompiler | What::StopCompiler => {
                let daemon = self.process(role)?.pid();
                let mut found = proc::descendants_named(daemon, &COMPILERS);
                if what == What::KillCompiler {
                    found.truncate(1);
                }
                for id in &found {
                    if what == What::KillCompiler {
                        id.signal(Signal::KILL);
                    } else {
                        id.signal(Signal::STOP);
                        self.stopped.push((role, id.clone()));
                    }
                }
                remark = format!("{} compilers", found.len());
            }
            What::Pause => remark = self.operate(role, "pause")?,
            What::KillWrapper | What::StopWrappers | What::KillBuild | What::Interrupt => {
                let Role::Builder(index) = role else {
                    bail!("{role} builds nothing");
                };
                let hit = self.builders[index].disturb(what, &mut self.random);
                remark = match &hit {
                    Some(hit) => format!("{:?}", hit.iter().map(|id| id.pid).collect::<Vec<_>>()),
                    None => "nobody there".to_owned(),
                };
                if what == What::StopWrappers {
                    let hit = hit.unwrap_or_default();
                    self.stopped.extend(hit.into_iter().map(|id| (role, id)));
                }
            }
        }
        self.timeline.note(format!("{role}: {what:?} {remark}"));
        Ok(())
    }

    /// What happens while a fault lasts, if anything does: turn `number` of it.
    pub(crate) fn go_on(&self, fault: &Fault, number: u32) -> Result<()> {
        let host = self.number(fault.role);
        match (fault.what, number % 2) {
            (What::Flicker, 0) => self.segment()?.plug(host),
            (What::Flicker, _) => self.segment()?.unplug(host),
            _ => Ok(()),
        }
    }

    /// Heals it; false if that takes longer, and shall be tried again.
    pub(crate) fn end(&mut self, fault: &Fault) -> Result<bool> {
        let Fault { role, what, .. } = *fault;
        match what {
            What::Kill | What::KillAlone => self.start(role)?,
            What::Terminate | What::Forget => {
                if !self.has_ended(role)? {
                    return Ok(false);
                }
                if what == What::Forget {
                    self.empty_base(role)?;
                }
                self.start(role)?;
            }
            What::Stop | What::StopCompiler | What::StopWrappers => {
                self.stopped.retain(|(whose, id)| {
                    if *whose == role {
                        id.signal(Signal::CONT);
                    }
                    *whose != role
                });
            }
            What::Cut | What::Flicker => self.segment()?.plug(self.number(role))?,
            What::Reboot => {
                self.start(role)?;
                self.segment()?.plug(self.number(role))?;
            }
            What::FillDisk => fs::remove_file(self.filler(role)?)?,
            What::Pause => {
                self.operate(role, "resume")?;
            }
            What::KillCompiler | What::KillWrapper | What::KillBuild | What::Interrupt => {
                return Ok(true);
            }
        }
        self.timeline.note(format!("{role}: {what:?} is over"));
        Ok(true)
    }

    /// Complains of programs that ended although nobody wanted it.
    pub(crate) fn look_for_deaths(&mut self) {
        for (name, status) in self.cluster.unexpected_ends() {
            self.timeline
                .fail(format!("{name} ended by itself: {status}"));
        }
    }

    fn kill(&mut self, role: Role, what: What) {
        match (role, self.daemon(role)) {
            (Role::Scheduler(index), _) => self.cluster.kill_scheduler_at(index),
            (_, Some(index)) if what == What::KillAlone => self.cluster.kill_daemon_alone(index),
            (_, Some(index)) => self.cluster.kill_daemon(index),
            _ => {}
        }
    }

    fn terminate(&mut self, role: Role) -> Result<()> {
        self.process(role)?.signal(Signal::TERM);
        let process = match (role, self.daemon(role)) {
            (Role::Scheduler(index), _) => self.cluster.release_scheduler(index),
            (_, Some(index)) => self.cluster.release_daemon(index),
            _ => None,
        };
        let process = process.context("it does not run")?;
        self.ending.push((role, process, self.timeline.now()));
        Ok(())
    }

    fn has_ended(&mut self, role: Role) -> Result<bool> {
        let Some(place) = self.ending.iter().position(|(whose, ..)| *whose == role) else {
            return Ok(true);
        };
        let (_, process, since) = &mut self.ending[place];
        let Some(status) = process.ended()? else {
            if self.timeline.now() > *since + DRAIN {
                bail!("{role} does not end after SIGTERM");
            }
            return Ok(false);
        };
        if !status.success() {
            self.timeline
                .fail(format!("{role} ended after SIGTERM with {status}"));
        }
        self.ending.remove(place);
        Ok(true)
    }

    fn start(&mut self, role: Role) -> Result<()> {
        match (role, self.daemon(role)) {
            (Role::Scheduler(index), _) => self.cluster.launch_scheduler(index, Flavour::Gelato),
            (_, Some(index)) => self.cluster.start_daemon(index),
            _ => Ok(()),
        }
    }

    /// Toolchains and all else the daemon keeps; some of it is read-only.
    fn empty_base(&self, role: Role) -> Result<()> {
        let base = self.base(role)?;
        crate::leak::make_removable(&base);
        for entry in fs::read_dir(&base)? {
            let path = entry?.path();
            if path.is_dir() {
                fs::remove_dir_all(path)?;
            } else {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    fn operate(&self, role: Role, verb: &str) -> Result<String> {
        let daemon = &self.cluster.daemons()[self.daemon(role).context("no daemon")?];
        let program = daemon.programs().gelato.clone().context("not ours")?;
        let mut task = Task::new(program).arg(verb);
        for (name, value) in daemon.wrapping() {
            task = task.env(name, value);
        }
        let done = daemon.host().run(&task, Duration::from_secs(20))?;
        let text = format!("{} {}{}", done.status, done.out().trim(), done.err().trim());
        if !done.status.success() {
            bail!("gelato {verb}: {text}");
        }
        Ok(text)
    }

    fn base(&self, role: Role) -> Result<PathBuf> {
        let index = self.daemon(role).context("no daemon")?;
        Ok(self.cluster.daemons()[index].base_dir())
    }

    fn filler(&self, role: Role) -> Result<PathBuf> {
        Ok(self.base(role)?.join("filler"))
    }

    fn segment(&self) -> Result<&crate::segment::Segment> {
        self.cluster.segment().context("no network")
    }

    fn process(&self, role: Role) -> Result<&Running> {
        match (role, self.daemon(role)) {
            (Role::Scheduler(index), _) => {
                self.cluster.scheduler_at(index).context("it does not run")
            }
            (_, Some(index)) => self.cluster.daemons()[index].process(),
            _ => bail!("{role} is no program"),
        }
    }

    /// Index of the role's daemon in the cluster.
    fn daemon(&self, role: Role) -> Option<usize> {
        match role {
            Role::Submitter(index) => Some(index),
            Role::Worker(index) => Some(self.submitters + index),
            Role::Scheduler(_) | Role::Builder(_) => None,
        }
    }

    /// Number of the role's host.
    fn number(&self, role: Role) -> u8 {
        match (role, self.daemon(role)) {
            (Role::Scheduler(index), _) => self.cluster.scheduler_number(index),
            (_, Some(index)) => self.cluster.daemon_number(index),
            _ => 0,
        }
    }
}

/// Writes until the disk is full; how much that was.
fn fill(path: &std::path::Path) -> Result<u64> {
    let mut file = File::create(path)?;
    let mut written = 0;
    for size in [1 << 20, 4096] {
        let block = vec![0; size];
        while let Ok(part @ 1..) = file.write(&block) {
            written += part as u64;
        }
    }
    Ok(written)
}
