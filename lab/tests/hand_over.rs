//! Three schedulers on one network, of which the one in office is killed again and again: builds go on, and soon elsewhere.

mod common;

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use common::FIRST_JOB;
use gelato_lab::record::tally;
use gelato_lab::{Cluster, DaemonSpec, Flavour, Layout, Task, build, wait};

const SCHEDULERS: usize = 3;
const UNITS: usize = 8;
/// Seconds on a quiet machine.
const BUILD: Duration = Duration::from_secs(180);

/// The scheduler at which all daemons are logged in and may get jobs, if there is one.
fn in_office(cluster: &Cluster) -> Option<usize> {
    (0..SCHEDULERS).find(|&index| {
        cluster.scheduler_at(index).is_some()
            && cluster
                .control_of(index)
                .and_then(|mut control| control.nodes())
                .is_ok_and(|nodes| {
                    let ready = |node: &&gelato_lab::control::Node| node.load < 1000;
                    nodes.iter().filter(ready).count() == cluster.daemons().len()
                })
    })
}

#[test]
fn builds_survive_one_scheduler_after_the_other() -> Result<()> {
    require!(Layout::Namespaces, &[]);
    let mut cluster = Cluster::builder(Layout::Namespaces)
        .scheduler(Flavour::Gelato)
        .standby_schedulers(SCHEDULERS - 1)
        .daemon(DaemonSpec::submitter("submitter", Flavour::Gelato).steady_load())
        .daemon(DaemonSpec::worker("worker1", Flavour::Gelato).steady_load())
        .daemon(DaemonSpec::worker("worker2", Flavour::Gelato).steady_load())
        .start()?;
    let folder = cluster.work_folder("work")?;
    let mut names = Vec::new();
    let all = build::slow_source();
    let functions: Vec<&str> = all.split_inclusive("\n}\n").take(15).collect();
    for number in 0..UNITS {
        let text = format!("{}int unit{number};\n", functions.concat());
        build::write(&folder, &format!("u{number}.c"), &text)?;
        names.push(format!("u{number}.o"));
    }
    let rule = "%.o: %.c\n\tgcc -O1 -c $< -o $@\n";
    build::write(
        &folder,
        "Makefile",
        &format!("all: {}\n{rule}", names.join(" ")),
    )?;
    let make = Task::new("make").arg("-j3").folder(&folder);
    let host = cluster.submitter().host().clone();
    host.run(&make, BUILD)?.success()?;
    let local = build::files(&folder, ".o")?;
    let clean = || {
        names
            .iter()
            .try_for_each(|name| fs::remove_file(folder.join(name)))
    };
    clean()?;
    let make = cluster.submitter().wrapped(make);
    host.run(&make, FIRST_JOB)?.success()?;
    build::same(&build::files(&folder, ".o")?, &local)?;

    for round in 1..=SCHEDULERS {
        clean()?;
        cluster.submitter().forget_jobs()?;
        let old = wait::until_slowly(BUILD, "a scheduler in office", || Ok(in_office(&cluster)))?;
        let building = host.start(&make)?;
        wait::until_ok(BUILD, "a first job", || {
            Ok((!cluster.submitter().jobs()?.is_empty()).then_some(()))
        })?;
        cluster.kill_scheduler_at(old);
        let began = Instant::now();
        let new = wait::until_slowly(BUILD, "another one in office", || Ok(in_office(&cluster)))?;
        eprintln!(
            "round {round}: from scheduler {old} to {new} in {:.1} s",
            began.elapsed().as_secs_f64()
        );
        building
            .wait(BUILD)?
            .success()
            .with_context(|| format!("round {round}"))?;
        build::same(&build::files(&folder, ".o")?, &local)?;
        cluster.submitter().forget_jobs()?;
        fs::remove_file(folder.join(&names[0]))?;
        host.run(&make, BUILD)?.success()?;
        let jobs = cluster.submitter().jobs()?;
        ensure!(
            tally(&jobs).remote == 1,
            "not remote after the hand-over: {jobs:?}"
        );
        cluster.start_scheduler_at(old, Flavour::Gelato)?;
    }
    cluster.shut_down()
}
