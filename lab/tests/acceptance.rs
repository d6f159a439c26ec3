//! What a daemon has to stand besides compiling: being ended under load, a scheduler that sleeps, machines of different
//! size, restarts, and peers that say anything at any time.

mod common;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use common::{FIRST_JOB, SOON};
use gelato_lab::record::tally;
use gelato_lab::{Cluster, Daemon, DaemonSpec, Flavour, Layout, Task, Verdict, build, wait};
use rustix::process::Signal;

/// For a build of twenty slow files on a busy machine.
const BUILD: Duration = Duration::from_secs(240);

/// Wrappers would wait four minutes for a scheduler that is silent and still there.
const ASLEEP: Duration = Duration::from_secs(10);

/// Writes `count` slow sources of which no two are alike, and a makefile for them.
fn slow_project(folder: &Path, count: usize) -> Result<()> {
    let all = build::slow_source();
    let functions: Vec<&str> = all.split_inclusive("\n}\n").take(25).collect();
    let mut names = Vec::new();
    for number in 0..count {
        let text = format!("{}int unit{number} = {number};\n", functions.concat());
        build::write(folder, &format!("u{number}.c"), &text)?;
        names.push(format!("u{number}.o"));
    }
    let rule = "%.o: %.c\n\tgcc -O2 -c $< -o $@\n";
    build::write(
        folder,
        "Makefile",
        &format!("all: {}\n{rule}", names.join(" ")),
    )?;
    Ok(())
}

/// Objects of a build without wrappers, which are then removed.
fn local_objects(daemon: &Daemon, folder: &Path) -> Result<build::Files> {
    let make = Task::new("make").arg("-j2").folder(folder);
    daemon.host().run(&make, BUILD)?.success()?;
    let objects = build::files(folder, ".o")?;
    for name in objects.keys() {
        fs::remove_file(folder.join(name))?;
    }
    Ok(objects)
}

/// Where worker daemons keep what they were sent, one folder a toolchain.
fn installed(daemon: &Daemon) -> Result<Vec<(PathBuf, u64)>> {
    let folder = daemon
        .base_dir()
        .join("toolchains")
        .join(std::env::consts::ARCH);
    let mut found = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let inode = fs::metadata(&path)?.ino();
        found.push((path, inode));
    }
    found.sort();
    Ok(found)
}

/// Icecream's own wrapper knows nothing of workers that end: it is told to do the job again.
#[test]
fn a_worker_ends_under_twenty_jobs_of_icecreams_client() -> Result<()> {
    require!(Layout::Namespaces, &[Flavour::Icecream]);
    let mut cluster = Cluster::builder(Layout::Namespaces)
        .scheduler(Flavour::Icecream)
        .daemon(DaemonSpec::submitter("submitter", Flavour::Icecream))
        .daemon(
            DaemonSpec::worker("worker", Flavour::Gelato)
                .slots(20)
                .steady_load(),
        )
        .start()?;
    let folder = cluster.work_folder("work")?;
    slow_project(&folder, 20)?;
    let local = local_objects(cluster.submitter(), &folder)?;
    let make = cluster
        .submitter()
        .wrapped(Task::new("make").arg("-j20").folder(&folder));
    let building = cluster.submitter().host().start(&make)?;
    let worker = cluster.workers()[0].process()?.pid();
    wait::until(FIRST_JOB, "five compilers at once on the worker", || {
        (gelato_lab::proc::descendants_named(worker, &["cc1"]).len() >= 5).then_some(())
    })?;
    let mut ending = cluster.release_daemon(1).context("no worker")?;
    ending.signal(Signal::TERM);
    building.wait(BUILD)?.success()?;
    build::same(&build::files(&folder, ".o")?, &local)?;
    wait::until_ok(SOON, "end of the worker", || ending.ended())?;
    cluster.shut_down()
}

/// It does not answer for a while, and its connections stay open: what waits, waits; what runs here, runs.
#[test]
fn a_scheduler_that_sleeps_fails_no_build_and_stops_no_local_job() -> Result<()> {
    require!(Layout::Namespaces, &[]);
    let cluster = Cluster::builder(Layout::Namespaces)
        .scheduler(Flavour::Gelato)
        .daemon(DaemonSpec::worker("submitter", Flavour::Gelato).remote(false))
        .daemon(DaemonSpec::worker("worker", Flavour::Gelato).steady_load())
        .start()?;
    let folder = cluster.work_folder("work")?;
    slow_project(&folder, 6)?;
    let submitter = cluster.submitter();
    let local = local_objects(submitter, &folder)?;
    submitter
        .compile(
            "gcc",
            &["-c", "u0.c", "-o", "/dev/null"],
            &folder,
            FIRST_JOB,
        )?
        .success()?;
    submitter.forget_jobs()?;

    let pipe = folder.join("pipe");
    let script = "mkfifo pipe && read word < pipe && echo $word";
    let waiting = Task::new(submitter.programs().icerun.clone()).args(["sh", "-c", script]);
    let waiting = submitter
        .host()
        .start(&submitter.wrapped(waiting.folder(&folder)))?;
    wait::until(SOON, "the local job", || pipe.exists().then_some(()))?;
    let make = submitter.wrapped(Task::new("make").arg("-j3").folder(&folder));
    let building = submitter.host().start(&make)?;
    wait::until_ok(BUILD, "a first job", || {
        Ok((!submitter.jobs()?.is_empty()).then_some(()))
    })?;
    let scheduler = cluster.scheduler().context("no scheduler")?;
    scheduler.signal(Signal::STOP);
    let mut building = building;
    let asleep = Instant::now();
    wait::until_ok(BUILD, "ten seconds, or the end of the build", || {
        Ok((building.ended()?.is_some() || asleep.elapsed() > ASLEEP).then_some(()))
    })?;
    scheduler.signal(Signal::CONT);
    building.wait(BUILD)?.success()?;
    build::same(&build::files(&folder, ".o")?, &local)?;
    fs::write(&pipe, "uninterrupted\n")?;
    let done = waiting.wait(SOON)?.success()?;
    ensure!(done.out().trim() == "uninterrupted", "{}", done.out());
    cluster.shut_down()
}

/// What a worker believes to have of memory must not be seen in what it makes.
#[test]
fn machines_of_different_size_make_the_same_object() -> Result<()> {
    require!(Layout::Namespaces, &[]);
    let sizes = [("small", 2), ("middle", 16), ("large", 512)];
    let mut builder = Cluster::builder(Layout::Namespaces)
        .scheduler(Flavour::Gelato)
        .daemon(DaemonSpec::submitter("submitter", Flavour::Gelato));
    for (name, gigabytes) in sizes {
        let worker = DaemonSpec::worker(name, Flavour::Gelato);
        builder = builder.daemon(worker.steady_load().memory(gigabytes));
    }
    let cluster = builder.start()?;
    let folder = cluster.work_folder("work")?;
    build::write(&folder, "x.c", &build::slow_source())?;
    let submitter = cluster.submitter();
    let options = ["-g", "-O2", "-c", "x.c", "-o"];
    let bare = Task::new("gcc")
        .args(options)
        .arg("local.o")
        .folder(&folder);
    submitter.host().run(&bare, SOON)?.success()?;
    let local = fs::read(folder.join("local.o"))?;
    for (name, _) in sizes {
        submitter.forget_jobs()?;
        let object = format!("{name}.o");
        let words = [&options[..], &[&object]].concat();
        let task = submitter
            .compile_task("gcc", &words, &folder)
            .env("ICECC_PREFERRED_HOST", name);
        submitter.host().run(&task, FIRST_JOB)?.success()?;
        let jobs = submitter.jobs()?;
        ensure!(tally(&jobs).remote == 1, "not by {name}: {jobs:?}");
        ensure!(
            fs::read(folder.join(&object))? == local,
            "{name} makes another object"
        );
    }
    ensure!(
        cluster
            .workers()
            .iter()
            .all(|worker| worker.compiled() == 1),
        "not every worker had its job"
    );
    cluster.shut_down()
}

/// The job that runs is finished first, and nothing has to be sent again afterwards.
#[test]
fn a_restart_keeps_toolchains_and_finishes_jobs() -> Result<()> {
    require!(Layout::Namespaces, &[]);
    let mut cluster = Cluster::builder(Layout::Namespaces)
        .scheduler(Flavour::Gelato)
        .daemon(DaemonSpec::submitter("submitter", Flavour::Gelato))
        .daemon(DaemonSpec::worker("worker", Flavour::Gelato).steady_load())
        .quick_reconnect()
        .start()?;
    let folder = cluster.work_folder("work")?;
    slow_project(&folder, 1)?;
    let local = local_objects(cluster.submitter(), &folder)?;
    let compile = |cluster: &Cluster| {
        let submitter = cluster.submitter();
        let task = submitter.compile_task("gcc", &["-O2", "-c", "u0.c", "-o", "u0.o"], &folder);
        submitter.host().start(&task)
    };
    compile(&cluster)?.wait(FIRST_JOB)?.success()?;
    let before = installed(&cluster.workers()[0])?;
    ensure!(before.len() == 1, "{before:?}");

    let running = compile(&cluster)?;
    let held = cluster.hold_job(1, SOON)?;
    let mut ending = cluster.release_daemon(1).context("no worker")?;
    let position = cluster.workers()[0].log().position();
    ending.signal(Signal::TERM);
    wait::until(SOON, "the worker to hear of it", || {
        let said = cluster.workers()[0].log().text_since(position);
        (!said.is_empty()).then_some(())
    })?;
    held.release();
    running.wait(SOON)?.success()?;
    wait::until_ok(SOON, "end of the worker", || ending.ended())?;
    build::same(&build::files(&folder, ".o")?, &local)?;

    cluster.start_daemon(1)?;
    cluster.wait_ready()?;
    compile(&cluster)?.wait(SOON)?.success()?;
    ensure!(
        installed(&cluster.workers()[0])? == before,
        "the toolchain was sent again"
    );
    let jobs = cluster.submitter().jobs()?;
    ensure!(
        jobs.iter()
            .all(|job| matches!(job.verdict, Verdict::Remote(_))),
        "not all remote: {jobs:?}"
    );
    cluster.shut_down()
}

/// A worker that nobody gave any rights takes jobs all the same, and ends them when they are given up.
#[test]
fn an_ordinary_user_works_for_others_and_leaves_nothing() -> Result<()> {
    require!(Layout::Namespaces, &[]);
    let mut cluster = Cluster::builder(Layout::Namespaces)
        .ordinary_user()
        .scheduler(Flavour::Gelato)
        .daemon(DaemonSpec::submitter("submitter", Flavour::Gelato))
        .daemon(DaemonSpec::worker("worker", Flavour::Gelato).steady_load())
        .start()?;
    let folder = cluster.work_folder("work")?;
    slow_project(&folder, 2)?;
    let local = local_objects(cluster.submitter(), &folder)?;
    let make = |cluster: &Cluster| {
        let task = Task::new("make").arg("-j2").folder(&folder);
        let submitter = cluster.submitter();
        submitter.host().start(&submitter.wrapped(task))
    };
    make(&cluster)?.wait(FIRST_JOB)?.success()?;
    build::same(&build::files(&folder, ".o")?, &local)?;
    let jobs = cluster.submitter().jobs()?;
    ensure!(tally(&jobs).remote == 2, "{jobs:?}");
    for name in local.keys() {
        fs::remove_file(folder.join(name))?;
    }
    let running = make(&cluster)?;
    let held = cluster.hold_job(1, SOON)?;
    running.interrupt();
    let done = running.wait(SOON)?;
    ensure!(!done.status.success(), "{}", done.status);
    held.wait_gone(SOON)?;
    ensure!(
        build::files(&folder, ".o")?.is_empty(),
        "an object of an interrupted build"
    );
    cluster.shut_down()
}
