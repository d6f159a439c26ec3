//! Runs the corpus of command lines through a cluster of ours or of the distribution's Icecream and says what was different.
//!
//! `gelato-lab-corpus [gelato|icecream] [PART OF A NAME]...`. Ends with failure if ours differs anywhere; for Icecream the report is all. With `GELATO_CORPUS_JOBS` in the
//! environment it says of every case what became of its jobs.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};
use gelato_lab::{Cluster, DaemonSpec, Flavour, Layout, corpus, segment};

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("gelato-lab-corpus: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode> {
    let mut words = std::env::args().skip(1);
    let flavour = match words.next().as_deref() {
        None | Some("gelato") => Flavour::Gelato,
        Some("icecream") => Flavour::Icecream,
        Some(other) => bail!("{other}: say gelato or icecream"),
    };
    let wanted: Vec<String> = words.collect();
    let layout = match segment::obstacle() {
        None => Layout::Namespaces,
        Some(_) => Layout::Loopback,
    };
    let table = corpus::load()?;
    let cluster = Cluster::builder(layout)
        .scheduler(flavour)
        .daemon(DaemonSpec::submitter("submitter", flavour))
        .daemon(DaemonSpec::worker("one", flavour).slots(3))
        .daemon(DaemonSpec::worker("two", flavour).slots(3))
        .start()?;
    let folder = cluster.work_folder("corpus")?;
    let begin = Instant::now();
    let report = corpus::run(&table, cluster.submitter(), &folder, 3, |name| {
        wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str()))
    })?;
    println!("{report}");
    println!("{:.1} s", begin.elapsed().as_secs_f64());
    if std::env::var_os("GELATO_CORPUS_JOBS").is_some() {
        for outcome in &report.outcomes {
            println!("{} ({:?}): {:?}", outcome.name, outcome.wall, outcome.jobs);
        }
    }
    let ended = cluster.shut_down();
    if flavour == Flavour::Icecream {
        return Ok(ExitCode::SUCCESS);
    }
    ended?;
    Ok(match report.failures().next() {
        None => ExitCode::SUCCESS,
        Some(_) => ExitCode::FAILURE,
    })
}
