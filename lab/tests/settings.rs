//! A file of settings in a real cluster: what it says holds, what is wrong in it is said.

mod common;

use std::fs;

use anyhow::{Context, Result, ensure};
use common::{FIRST_JOB, SOON};
use gelato_lab::record::tally;
use gelato_lab::{Cluster, DaemonSpec, Flavour, Layout, Task, build};

#[test]
fn a_file_may_require_other_machines() -> Result<()> {
    let mut cluster = Cluster::builder(Layout::Loopback)
        .scheduler(Flavour::Gelato)
        .daemon(DaemonSpec::submitter("submitter", Flavour::Gelato))
        .daemon(DaemonSpec::worker("worker", Flavour::Gelato))
        .start()?;
    let folder = cluster.work_folder("work")?;
    build::write(&folder, "a.c", "int a(void) { return 1; }\n")?;
    build::write(&folder, "main.c", "int main(void) { return 0; }\n")?;
    let file = build::write(
        &folder,
        "gelato.toml",
        "[wrapper]\npolicy = \"require\"\nnotices = true\n",
    )?;
    let compile = |cluster: &Cluster, args: &[&str], policy: &str| {
        let submitter = cluster.submitter();
        let task = submitter
            .compile_task("gcc", args, &folder)
            .env("GELATO_CONFIG", &file)
            .env("GELATO_POLICY", policy);
        submitter.host().run(&task, FIRST_JOB)
    };
    compile(&cluster, &["-c", "a.c"], "")?.success()?;
    compile(&cluster, &["main.c", "-o", "main"], "")?.success()?;
    let counts = tally(&cluster.submitter().jobs()?);
    ensure!((counts.remote, counts.local) == (1, 1), "{counts:?}");

    cluster.kill_daemon(1);
    fs::remove_file(folder.join("a.o"))?;
    let done = compile(&cluster, &["-c", "a.c"], "")?;
    let text = done.err();
    let origin = format!("{}:2", file.display());
    ensure!(done.status.code() == Some(120), "{:?}: {text}", done.status);
    ensure!(text.contains("a.o") && text.contains(&origin), "{text}");
    ensure!(!folder.join("a.o").exists(), "compiled nevertheless");
    compile(&cluster, &["-c", "a.c"], "prefer")?.success()?;
    ensure!(folder.join("a.o").exists(), "not compiled here");
    cluster.shut_down()
}

#[test]
fn a_service_does_not_start_with_settings_nobody_made() -> Result<()> {
    let cluster = Cluster::builder(Layout::Loopback)
        .scheduler(Flavour::Gelato)
        .daemon(DaemonSpec::submitter("submitter", Flavour::Gelato))
        .start()?;
    let submitter = cluster.submitter();
    let gelato = submitter.programs().gelato.clone().context("ours")?;
    let folder = cluster.work_folder("work")?;
    let file = build::write(&folder, "gelato.toml", "[daemon]\nprot = 4000\n")?;
    let run = |words: &[&str]| {
        let task = Task::new(&gelato).args(words.iter().copied());
        let task = task.env("GELATO_CONFIG", &file).folder(&folder);
        submitter.host().run(&task, SOON)
    };
    let mistake = format!(
        "{}:2:1: there is no setting daemon.prot; did you mean port?",
        file.display()
    );
    for words in [&["daemon"][..], &["config", "--check"]] {
        let done = run(words)?;
        ensure!(
            done.status.code() == Some(1),
            "{words:?}: {:?}",
            done.status
        );
        ensure!(done.err().contains(&mistake), "{words:?}: {}", done.err());
    }
    // It is none of a scheduler's business.
    let shown = run(&["config", "scheduler.port"])?.success()?;
    ensure!(shown.out().contains("port = 8765"), "{}", shown.out());
    cluster.shut_down()
}
