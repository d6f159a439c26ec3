//! Archives named in `ICECC_VERSION`, and compilers that daemons package by themselves, through a cluster of our programs.

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use common::FIRST_JOB;
use gelato_lab::{Cluster, Daemon, DaemonSpec, Flavour, Layout, Task, Verdict, build};

fn cluster() -> Result<Cluster> {
    Cluster::builder(Layout::Namespaces)
        .scheduler(Flavour::Gelato)
        .daemon(DaemonSpec::submitter("submitter", Flavour::Gelato))
        .daemon(DaemonSpec::worker("worker", Flavour::Gelato))
        .start()
}

/// Compiles with this list; where the job ran.
fn compile(submitter: &Daemon, folder: &Path, list: &str) -> Result<Verdict> {
    submitter.forget_jobs()?;
    let task = submitter
        .compile_task("gcc", &["-c", "a.c"], folder)
        .env("ICECC_VERSION", list);
    submitter.host().run(&task, FIRST_JOB)?.success()?;
    let mut jobs = submitter.jobs()?;
    let job = jobs.pop().context("no job was recorded")?;
    Ok(job.verdict)
}

fn is_remote(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Remote(_))
}

#[test]
fn lists_of_archives_are_understood_and_each_refusal_has_its_reason() -> Result<()> {
    require!(Layout::Namespaces, &[]);
    let cluster = cluster()?;
    let submitter = cluster.submitter();
    let folder = cluster.work_folder("work")?;
    build::write(&folder, "a.c", "int a;\n")?;
    let packed = Task::new(submitter.programs().create_env.clone())
        .args(["gcc", "--compression", "zstd"])
        .folder(&folder);
    submitter.host().run(&packed, FIRST_JOB)?.success()?;
    let archives = build::files(&folder, ".tar.zst")?;
    let (name, content) = archives.iter().next().context("no archive was made")?;
    let archive = folder.join(name);

    // Links, and paths with the list's own separators.
    let odd = folder.join("a:b=c,d");
    fs::create_dir(&odd)?;
    symlink(&archive, odd.join("current.tar.zst"))?;
    let odd = format!("{}/current.tar.zst", odd.display()).replace(',', "\\,");
    let list = format!("ia64:{},{odd}", archive.display());
    let verdict = compile(submitter, &folder, &list)?;
    ensure!(
        is_remote(&verdict),
        "{verdict:?}: {}",
        submitter.wrapper_log().tail(30)
    );
    let worker = cluster.workers().first().context("no worker")?;
    let sent = |words: &str| worker.log().count(words);
    let stem = name.display().to_string().replace(".tar.zst", "");
    ensure!(sent(&stem) > 0, "the link's own name was sent");

    // An archive that is made anew under a name somebody chose is another one.
    let chosen = folder.join("mine.tar.zst");
    fs::write(&chosen, content)?;
    let list = chosen.display().to_string();
    ensure!(is_remote(&compile(submitter, &folder, &list)?));
    fs::write(&chosen, &content[..content.len() / 2])?;
    let verdict = compile(submitter, &folder, &list)?;
    ensure!(matches!(verdict, Verdict::FailedOver(_)), "{verdict:?}");
    let log = submitter.wrapper_log();
    ensure!(log.count("archive is truncated") > 0, "{}", log.tail(30));

    // A name that says another content.
    let wrong = folder.join(format!("gelato-{}.tar.zst", "0".repeat(40)));
    fs::write(&wrong, content)?;
    let verdict = compile(submitter, &folder, &wrong.display().to_string())?;
    ensure!(matches!(verdict, Verdict::FailedOver(_)), "{verdict:?}");
    let log = submitter.wrapper_log();
    ensure!(log.count("not what its name says") > 0, "{}", log.tail(30));

    // Nothing for this compiler.
    let list = format!("{}=arm-eabi,/no/such.tar.gz", archive.display());
    let verdict = compile(submitter, &folder, &list)?;
    ensure!(matches!(verdict, Verdict::Local(_)), "{verdict:?}");
    let log = submitter.wrapper_log();
    for reason in ["is for compilers for arm-eabi", "No such file"] {
        ensure!(log.count(reason) > 0, "{}", log.tail(30));
    }
    cluster.shut_down()
}

#[test]
fn a_compiler_that_cannot_be_packed_is_local_with_the_daemons_reason() -> Result<()> {
    require!(Layout::Namespaces, &[]);
    let cluster = cluster()?;
    let submitter = cluster.submitter();
    let folder = cluster.work_folder("work")?;
    build::write(&folder, "a.c", "int a;\n")?;
    let broken = build::write(&folder, "plugin.so", "\u{7f}ELF and nothing more")?;
    let task = submitter
        .compile_task("gcc", &["-c", "a.c"], &folder)
        .env("ICECC_EXTRAFILES", &broken);
    submitter.host().run(&task, FIRST_JOB)?.success()?;
    let jobs = submitter.jobs()?;
    let log = submitter.wrapper_log();
    ensure!(
        matches!(&jobs[..], [job] if !is_remote(&job.verdict))
            && log.count("plugin.so cannot be understood") > 0,
        "{jobs:?}: {}",
        log.tail(30)
    );
    cluster.shut_down()
}
