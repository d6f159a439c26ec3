//! Real command lines leave through a cluster exactly what the bare compiler leaves. The table and the files are in `data/corpus`.

mod common;

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use gelato_lab::{Cluster, DaemonSpec, Flavour, Layout, Verdict, corpus, segment};

/// As many lines are entirely done by workers, at least: a verdict that grows cautious by mistake shows.
const ENTIRELY_REMOTE: usize = 180;

#[test]
fn gelato_leaves_what_the_bare_compilers_leave() -> Result<()> {
    let missing: Vec<&str> = ["gcc", "g++", "clang", "clang++", "script"]
        .into_iter()
        .filter(|name| gelato_lab::programs::in_path(name).is_none())
        .collect();
    if !missing.is_empty() {
        gelato_lab::skip(&format!("not installed: {}", missing.join(", ")));
        return Ok(());
    }
    let layout = match segment::obstacle() {
        None => Layout::Namespaces,
        Some(_) => Layout::Loopback,
    };
    let cluster = Cluster::builder(layout)
        .scheduler(Flavour::Gelato)
        .daemon(DaemonSpec::submitter("submitter", Flavour::Gelato))
        .daemon(DaemonSpec::worker("one", Flavour::Gelato).slots(3))
        .daemon(DaemonSpec::worker("two", Flavour::Gelato).slots(3))
        .start()?;
    let table = corpus::load()?;
    let folder = cluster.work_folder("corpus")?;
    let report = corpus::run(&table, cluster.submitter(), &folder, 3, |_| true)?;
    println!("{report}");
    let wrong: Vec<&str> = report.failures().map(|case| case.name.as_str()).collect();
    ensure!(wrong.is_empty(), "{}\n{report}", wrong.join(", "));
    ensure!(
        report.entirely_remote() >= ENTIRELY_REMOTE,
        "only {} cases were entirely remote\n{report}",
        report.entirely_remote()
    );

    // Whatever a worker compiled is on record, be it used or compiled here again.
    let finished: usize = cluster
        .workers()
        .iter()
        .flat_map(|worker| {
            worker
                .log()
                .text()
                .lines()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .filter(|line| {
            line.contains("Remote compilation completed with exit code")
                || line.contains("Remote compilation exited with exit code")
        })
        .count();
    let sent = report
        .jobs()
        .filter(|job| !matches!(job.verdict, Verdict::Local(_)))
        .count();
    ensure!(
        finished <= sent,
        "workers finished {finished} compilations, but only {sent} are on record\n{report}"
    );
    let reasons: BTreeSet<&str> = report
        .jobs()
        .filter_map(|job| match &job.verdict {
            Verdict::Remote(_) => None,
            Verdict::Local(reason) | Verdict::FailedOver(reason) => Some(reason.as_str()),
        })
        .collect();
    ensure!(
        !reasons.contains("-"),
        "a job is local for no reason\n{report}"
    );
    cluster.shut_down()
}
