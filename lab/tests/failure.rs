//! Things break in the middle of a build: it succeeds all the same, in bounded time, with the right object, and nothing
//! is left behind.

mod common;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use common::{FIRST_JOB, SOON};
use gelato_lab::record::tally;
use gelato_lab::{
    Builder, Cluster, DaemonSpec, Done, Flavour, Layout, Tally, Task, Verdict, build,
};

/// Icecream notices a dead peer at once if the connection is closed; what takes time is compiling again.
const AGAIN: Duration = Duration::from_secs(120);

/// A cluster that has already compiled something, so that the toolchain is in place.
struct Warm {
    cluster: Cluster,
    folder: PathBuf,
    local: build::Files,
}

impl Warm {
    fn new(flavour: Flavour) -> Result<Warm> {
        Warm::of(
            Cluster::builder(Layout::Namespaces)
                .scheduler(flavour)
                .daemon(DaemonSpec::submitter("submitter", flavour))
                .daemon(DaemonSpec::worker("worker", flavour))
                .quick_reconnect(),
        )
    }

    fn of(builder: Builder) -> Result<Warm> {
        let warm = Warm::cold(builder)?;
        let submitter = warm.cluster.submitter();
        submitter
            .compile(
                "gcc",
                &["-c", "small.c", "-o", "small.o"],
                &warm.folder,
                FIRST_JOB,
            )?
            .success()?;
        ensure!(
            tally(&submitter.jobs()?).remote == 1,
            "the first job is not remote: {:?}",
            submitter.jobs()?
        );
        fs::remove_file(warm.folder.join("small.o"))?;
        submitter.forget_jobs()?;
        Ok(warm)
    }

    fn cold(builder: Builder) -> Result<Warm> {
        let cluster = builder.start()?;
        let folder = cluster.work_folder("work")?;
        build::write(&folder, "small.c", "int small(int x) { return x + 1; }\n")?;
        build::write(&folder, "slow.c", &build::slow_source())?;
        let host = cluster.submitter().host();
        host.run(&Task::new("gcc").args(SLOW).folder(&folder), SOON)?
            .success()?;
        let local = build::files(&folder, ".o")?;
        fs::remove_file(folder.join("slow.o"))?;
        Ok(Warm {
            cluster,
            folder,
            local,
        })
    }

    /// The object of the slow source is there and right.
    fn check(&self, done: Result<Done>) -> Result<Tally> {
        done?.success()?;
        build::same(&build::files(&self.folder, ".o")?, &self.local)?;
        Ok(tally(&self.cluster.submitter().jobs()?))
    }

    fn start_slow(&self) -> Result<gelato_lab::host::Running> {
        let submitter = self.cluster.submitter();
        submitter
            .host()
            .start(&submitter.compile_task("gcc", &SLOW, &self.folder))
    }

    fn compile_slow(&self) -> Result<Done> {
        self.start_slow()?.wait(AGAIN)
    }
}

const SLOW: [&str; 5] = ["-O2", "-c", "slow.c", "-o", "slow.o"];

macro_rules! both {
    ($($name:ident: $what:ident;)*) => {
        mod icecream {
            use super::*;
            $(#[test] fn $name() -> Result<()> { require!(Layout::Namespaces, &[Flavour::Icecream]); super::$what(Flavour::Icecream) })*
        }
        mod gelato {
            use super::*;
            $(#[test] fn $name() -> Result<()> { require!(Layout::Namespaces, &[Flavour::Gelato]); super::$what(Flavour::Gelato) })*
        }
    };
}

both! {
    survives_a_worker_killed_in_the_middle_of_a_job: worker_killed;
    survives_a_scheduler_killed_and_started_again: scheduler_killed;
    works_without_a_scheduler: no_scheduler;
    works_without_a_daemon: no_daemon;
    works_when_the_worker_refuses: worker_refuses;
    works_with_half_a_toolchain_archive: half_an_archive;
}

fn worker_killed(flavour: Flavour) -> Result<()> {
    let mut warm = Warm::new(flavour)?;
    let running = warm.start_slow()?;
    let _held = warm.cluster.hold_job(1, SOON)?;
    warm.cluster.kill_daemon(1);
    let counts = warm.check(running.wait(AGAIN))?;
    ensure!(
        counts
            == Tally {
                failed_over: 1,
                ..Tally::default()
            },
        "{counts:?}"
    );
    warm.cluster.shut_down()
}

fn scheduler_killed(flavour: Flavour) -> Result<()> {
    let mut warm = Warm::new(flavour)?;
    let running = warm.start_slow()?;
    let held = warm.cluster.hold_job(1, SOON)?;
    warm.cluster.kill_scheduler();
    held.release();
    let counts = warm.check(running.wait(AGAIN))?;
    ensure!(
        counts.remote == 1,
        "a job that was under way does not need the scheduler: {counts:?}"
    );
    fs::remove_file(warm.folder.join("slow.o"))?;
    warm.check(warm.compile_slow())
        .context("while there is no scheduler")?;
    fs::remove_file(warm.folder.join("slow.o"))?;

    warm.cluster.start_scheduler(flavour)?;
    warm.cluster.wait_ready()?;
    warm.cluster.submitter().forget_jobs()?;
    let counts = warm
        .check(warm.compile_slow())
        .context("after the scheduler is back")?;
    ensure!(
        counts.remote == 1,
        "not remote although the scheduler is back: {counts:?}"
    );
    warm.cluster.shut_down()
}

fn no_scheduler(flavour: Flavour) -> Result<()> {
    let builder =
        Cluster::builder(Layout::Namespaces).daemon(DaemonSpec::submitter("submitter", flavour));
    let warm = Warm::cold(builder)?;
    let submitter = warm.cluster.submitter();
    let done = submitter.host().run(
        &submitter.compile_task("gcc", &SLOW, &warm.folder),
        FIRST_JOB,
    );
    let counts = warm.check(done)?;
    ensure!(
        counts
            == Tally {
                local: 1,
                ..Tally::default()
            },
        "{counts:?}"
    );
    warm.cluster.shut_down()
}

fn no_daemon(flavour: Flavour) -> Result<()> {
    let builder =
        Cluster::builder(Layout::Namespaces).daemon(DaemonSpec::submitter("submitter", flavour));
    let mut warm = Warm::cold(builder)?;
    warm.cluster.kill_daemon(0);
    let counts = warm.check(warm.compile_slow())?;
    ensure!(
        counts
            == Tally {
                local: 1,
                ..Tally::default()
            },
        "{counts:?}"
    );
    warm.cluster.shut_down()
}

/// The worker can no longer install anything.
fn worker_refuses(flavour: Flavour) -> Result<()> {
    let builder = Cluster::builder(Layout::Namespaces)
        .scheduler(flavour)
        .daemon(DaemonSpec::submitter("submitter", flavour))
        .daemon(DaemonSpec::worker("worker", flavour));
    let warm = Warm::cold(builder)?;
    let base = warm.cluster.workers()[0].base_dir();
    spoil(&base)?;
    let submitter = warm.cluster.submitter();
    let done = submitter.host().run(
        &submitter.compile_task("gcc", &SLOW, &warm.folder),
        FIRST_JOB,
    );
    let counts = warm.check(done)?;
    ensure!(
        counts.remote == 0 && counts.failed_over + counts.local == 1,
        "{counts:?}"
    );
    warm.cluster.shut_down()
}

/// Removes a folder and puts an empty file in its place: nothing can be written there, not even by root.
fn spoil(folder: &std::path::Path) -> Result<()> {
    fs::remove_dir_all(folder)?;
    fs::write(folder, "")?;
    fs::set_permissions(folder, Permissions::from_mode(0o444))?;
    Ok(())
}

fn half_an_archive(flavour: Flavour) -> Result<()> {
    let warm = Warm::new(flavour)?;
    let submitter = warm.cluster.submitter();
    let packed = Task::new(submitter.programs().create_env.clone())
        .arg("gcc")
        .folder(&warm.folder);
    submitter.host().run(&packed, FIRST_JOB)?.success()?;
    let archives = build::files(&warm.folder, ".tar.gz")?;
    let (name, bytes) = archives.iter().next().context("no archive was made")?;
    let half = warm.folder.join("0123456789abcdef0123456789abcdef.tar.gz");
    fs::write(&half, &bytes[..bytes.len() / 2])?;

    let with = |archive: &std::path::Path| {
        let task = submitter
            .compile_task("gcc", &SLOW, &warm.folder)
            .env("ICECC_VERSION", archive);
        submitter.host().run(&task, FIRST_JOB)
    };
    let counts = warm.check(with(&half))?;
    ensure!(
        counts
            == Tally {
                failed_over: 1,
                ..Tally::default()
            },
        "{counts:?}"
    );
    fs::remove_file(warm.folder.join("slow.o"))?;

    // The worker is none the worse for it.
    submitter.forget_jobs()?;
    let counts = warm.check(with(&warm.folder.join(name)))?;
    ensure!(counts.remote == 1, "with the whole archive: {counts:?}");
    warm.cluster.shut_down()
}

/// Only ours: if its main process alone dies, Icecream's daemon leaves a child that finishes the job.
#[test]
fn gelato_leaves_no_compiler_when_only_the_daemon_is_killed() -> Result<()> {
    require!(Layout::Namespaces, &[]);
    let mut warm = Warm::new(Flavour::Gelato)?;
    let running = warm.start_slow()?;
    let held = warm.cluster.hold_job(1, SOON)?;
    warm.cluster.kill_daemon_alone(1);
    held.wait_gone(SOON)?;
    let counts = warm.check(running.wait(AGAIN))?;
    ensure!(
        counts
            == Tally {
                failed_over: 1,
                ..Tally::default()
            },
        "{counts:?}"
    );
    warm.cluster.shut_down()
}

/// A user presses ^C: wrapper and remote compiler end, no object appears.
#[test]
fn gelato_ends_the_remote_job_of_an_interrupted_wrapper() -> Result<()> {
    require!(Layout::Namespaces, &[]);
    let mut warm = Warm::new(Flavour::Gelato)?;
    let running = warm.start_slow()?;
    let held = warm.cluster.hold_job(1, SOON)?;
    running.signal(rustix::process::Signal::INT);
    let done = running.wait(SOON)?;
    ensure!(!done.status.success(), "{}", done.status);
    held.wait_gone(SOON)?;
    ensure!(
        build::files(&warm.folder, ".o")?.is_empty(),
        "an object of an interrupted job"
    );
    warm.cluster.shut_down()
}

/// The cable of the worker is pulled: the wrapper notices by the silence and compiles locally.
#[test]
fn gelato_survives_a_worker_that_falls_silent() -> Result<()> {
    require!(Layout::Namespaces, &[]);
    let mut warm = Warm::new(Flavour::Gelato)?;
    let running = warm.start_slow()?;
    let _held = warm.cluster.hold_job(1, SOON)?;
    let segment = warm.cluster.segment().context("no network")?;
    segment.unplug(3)?;
    let counts = warm.check(running.wait(AGAIN))?;
    ensure!(matches!(counts, Tally { failed_over: 1, .. }), "{counts:?}");
    ensure!(
        warm.cluster
            .submitter()
            .jobs()?
            .iter()
            .all(|job| job.verdict != Verdict::FailedOver("-".into())),
        "no reason given"
    );
    segment.plug(3)?;
    warm.cluster.shut_down()
}
