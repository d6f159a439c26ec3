//! A worker's owner comes first: what others compile has the lowest priority, and only at the hours the owner allows.

mod common;

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use common::{FIRST_JOB, SOON};
use gelato_lab::{Cluster, DaemonSpec, Flavour, Layout, Verdict, build, proc, wait};

/// Nice value, memory score and disk priority of a process, if it is still there.
fn priorities(pid: i32) -> Option<(i32, i32, String)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let nice = stat.rsplit_once(')')?.1.split_whitespace().nth(16)?;
    let score = fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).ok()?;
    let disk = Command::new("ionice")
        .args(["-p", &pid.to_string()])
        .output()
        .ok()?;
    let disk = String::from_utf8(disk.stdout).ok()?;
    let seen = (
        nice.parse().ok()?,
        score.trim().parse().ok()?,
        disk.trim().to_owned(),
    );
    (!seen.2.is_empty()).then_some(seen)
}

#[test]
fn jobs_of_others_have_the_lowest_priority() -> Result<()> {
    require!(Layout::Loopback, &[]);
    let cluster = Cluster::builder(Layout::Loopback)
        .scheduler(Flavour::Gelato)
        .daemon(DaemonSpec::submitter("here", Flavour::Gelato))
        .daemon(DaemonSpec::worker("there", Flavour::Gelato).steady_load())
        .start()?;
    let folder = cluster.work_folder("priorities")?;
    build::write(&folder, "slow.c", &build::slow_source())?;
    let submitter = cluster.submitter();
    let task = submitter.compile_task("gcc", &["-O2", "-c", "slow.c"], &folder);
    let job = submitter.host().start(&task)?;
    let daemon = cluster.workers()[0].process()?.pid();
    let (nice, score, disk) = wait::until(FIRST_JOB, "a compiler on the worker", || {
        let compilers = proc::descendants_named(daemon, &["cc1"]);
        compilers.iter().find_map(|id| priorities(id.pid))
    })?;
    job.wait(SOON)?.success()?;
    ensure!(nice >= 5, "nice {nice}");
    ensure!(score > 0, "oom_score_adj {score}");
    ensure!(disk == "best-effort: prio 7", "disk: {disk}");
    cluster.shut_down()?;
    Ok(())
}

#[test]
fn outside_its_hours_a_worker_takes_nothing() -> Result<()> {
    require!(Layout::Loopback, &[]);
    let folder = common::readable_folder()?;
    // Everything but an hour on either side of now, whatever day it is by the time the test is over.
    let hour = hour_of_the_day()?;
    let hours = format!("{:02}:00-{:02}:00", (hour + 3) % 24, (hour + 23) % 24);
    let file = build::write(
        folder.path(),
        "gelato.toml",
        &format!("[worker]\nhours = \"{hours}\"\n"),
    )?;
    let cluster = Cluster::builder(Layout::Loopback)
        .scheduler(Flavour::Gelato)
        .daemon(DaemonSpec::worker("here", Flavour::Gelato).remote(false))
        .daemon(
            DaemonSpec::worker("there", Flavour::Gelato)
                .steady_load()
                .env("GELATO_CONFIG", file),
        )
        .start_logged_in()?;
    build::write(folder.path(), "x.c", "int x;\n")?;
    let submitter = cluster.submitter();
    submitter
        .compile("gcc", &["-c", "x.c"], folder.path(), FIRST_JOB)?
        .success()?;
    let jobs = submitter.jobs()?;
    let all_here = jobs
        .iter()
        .all(|job| !matches!(job.verdict, Verdict::Remote(_)));
    ensure!(!jobs.is_empty() && all_here, "{jobs:?}");
    let log = cluster.workers()[0].log().text();
    let said = format!("jobs are taken \"{hours}\" only");
    ensure!(log.contains(&said), "{log}");
    cluster.shut_down()?;
    Ok(())
}

/// The hour on this machine's wall.
fn hour_of_the_day() -> Result<u32> {
    let said = Command::new("date").arg("+%H").output()?;
    let text = String::from_utf8(said.stdout)?;
    text.trim().parse().context("date does not say the hour")
}
