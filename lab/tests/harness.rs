//! The lab itself: what a cluster leaves behind is seen, and a failing test leaves nothing.

mod common;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use common::SOON;
use gelato_lab::{Cluster, DaemonSpec, Flavour, Layout, Task, segment, wait};

fn empty(layout: Layout) -> Result<Cluster> {
    Cluster::builder(layout).empty()
}

fn complaint(cluster: Cluster) -> String {
    cluster
        .shut_down()
        .expect_err("what was left goes unnoticed")
        .to_string()
}

#[test]
fn an_empty_cluster_leaves_nothing() -> Result<()> {
    empty(Layout::Loopback)?.shut_down()?;
    require!(Layout::Namespaces, &[]);
    empty(Layout::Namespaces)?.shut_down()
}

#[test]
fn a_temporary_file_is_seen() -> Result<()> {
    let cluster = empty(Layout::Loopback)?;
    let script = "touch \"$TMPDIR/forgotten\"";
    cluster
        .scheduler_host()
        .run(&Task::new("sh").args(["-c", script]), SOON)?
        .success()?;
    ensure!(complaint(cluster).contains("forgotten"));
    require!(Layout::Namespaces, &[]);
    let cluster = empty(Layout::Namespaces)?;
    cluster
        .scheduler_host()
        .run(&Task::new("touch").arg("/tmp/forgotten"), SOON)?
        .success()?;
    ensure!(complaint(cluster).contains("forgotten"));
    Ok(())
}

/// In a session of its own, with an environment that has nothing of ours: only its working folder tells.
#[test]
fn a_process_that_hid_itself_is_seen_and_ended() -> Result<()> {
    let cluster = empty(Layout::Loopback)?;
    let script = "setsid env -i tail -f /dev/null >/dev/null 2>&1 & echo $!";
    let done = cluster
        .scheduler_host()
        .run(&Task::new("sh").args(["-c", script]), SOON)?
        .success()?;
    let pid: i32 = done.out().trim().parse()?;
    let text = complaint(cluster);
    ensure!(text.contains("process left"), "{text}");
    ensure!(
        gelato_lab::proc::ProcessId::of(pid).is_none_or(|id| !id.is_alive()),
        "it still runs"
    );
    Ok(())
}

#[test]
fn a_panicking_test_leaves_no_namespace_and_no_folder() -> Result<()> {
    require!(Layout::Namespaces, &[]);
    let cluster = empty(Layout::Namespaces)?;
    let folder: PathBuf = cluster.scheduler_host().folder().to_owned();
    let name = cluster
        .scheduler_host()
        .namespace()
        .unwrap_or_default()
        .to_owned();
    ensure!(segment::existing(&name).len() == 1, "no namespace was made");
    let panicked = std::thread::spawn(move || {
        let _cluster = cluster;
        panic!("on purpose");
    });
    ensure!(panicked.join().is_err());
    ensure!(
        segment::existing(&name).is_empty() && !folder.exists(),
        "left behind"
    );
    Ok(())
}

/// Not a test of its own: what [`a_killed_test_leaves_no_process_and_no_folder`] starts and kills.
#[test]
fn victim() -> Result<()> {
    let Some(report) = std::env::var_os("GELATO_LAB_VICTIM") else {
        return Ok(());
    };
    let layout = if common::obstacle(Layout::Namespaces, &[]).is_none() {
        Layout::Namespaces
    } else {
        Layout::Loopback
    };
    let cluster = empty(layout)?;
    let running = cluster
        .scheduler_host()
        .start(&Task::new("tail").args(["-f", "/dev/null"]))?;
    let host = cluster.scheduler_host();
    let text = format!(
        "{} {} {}\n",
        running.pid(),
        host.folder().display(),
        host.namespace().unwrap_or("none")
    );
    std::fs::write(report, text)?;
    running.wait(SOON)?;
    Ok(())
}

#[test]
fn a_killed_test_leaves_no_process_and_no_folder() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let report = folder.path().join("report");
    let mut victim = std::process::Command::new(std::env::current_exe()?)
        .args(["--exact", "victim", "--nocapture"])
        .env("GELATO_LAB_VICTIM", &report)
        .stdout(std::process::Stdio::null())
        .spawn()?;
    let text = wait::until(SOON, "the victim's cluster", || {
        std::fs::read_to_string(&report)
            .ok()
            .filter(|text| text.ends_with('\n'))
    })?;
    victim.kill()?;
    victim.wait()?;
    let words: Vec<&str> = text.split_whitespace().collect();
    let id = gelato_lab::proc::ProcessId::of(words[0].parse()?);
    wait::until(SOON, "the guard to clear everything away", || {
        let alive = id
            .as_ref()
            .is_some_and(gelato_lab::proc::ProcessId::is_alive);
        let left = PathBuf::from(words[1]).exists() || !segment::existing(words[2]).is_empty();
        (!alive && !left).then_some(())
    })
}

/// Whatever a job leaves on loopback with Icecream's programs is seen too; needs no namespaces, but a worker needs root.
#[test]
fn icecream_logs_in_on_loopback() -> Result<()> {
    require!(Layout::Namespaces, &[Flavour::Icecream]);
    let mut cluster = Cluster::builder(Layout::Loopback)
        .scheduler(Flavour::Icecream)
        .daemon(DaemonSpec::submitter("submitter", Flavour::Icecream).slots(1))
        .daemon(DaemonSpec::worker("worker", Flavour::Icecream))
        .quick_reconnect()
        .start_logged_in()?;
    let nodes = cluster.control()?.nodes()?;
    ensure!(
        nodes.len() == 2
            && nodes
                .iter()
                .any(|node| node.name == "worker" && node.slots == 2),
        "{nodes:?}"
    );
    cluster.kill_daemon(1);
    cluster.shut_down()
}
