//! `gelato slots` names the number of jobs that run at once when a cluster is full, with either scheduler.

mod common;

use anyhow::{Context, Result, ensure};
use common::{FIRST_JOB, SOON};
use gelato_lab::{Cluster, DaemonSpec, Done, Flavour, Layout, Task, build, proc, wait};
use rustix::process::Signal;

const COMPILERS: [&str; 1] = ["cc1"];

fn slots(cluster: &Cluster, options: &[&str]) -> Result<Done> {
    let submitter = cluster.submitter();
    let gelato = submitter.programs().gelato.clone().context("no gelato")?;
    let address = cluster.scheduler_host().address().to_string();
    let socket = submitter.socket().display().to_string();
    let task = Task::new(gelato)
        .args(["slots", "-s", &address, "--socket", &socket])
        .args(options.iter().copied());
    submitter.host().run(&task, SOON)?.success()
}

fn number(cluster: &Cluster) -> Result<usize> {
    let out = slots(cluster, &[])?.out();
    out.trim().parse().with_context(|| format!("{out:?}"))
}

#[test]
fn the_number_is_what_our_scheduler_grants() -> Result<()> {
    granted(Flavour::Gelato)
}

#[test]
fn the_number_is_what_icecreams_scheduler_grants() -> Result<()> {
    granted(Flavour::Icecream)
}

fn granted(flavour: Flavour) -> Result<()> {
    require!(Layout::Namespaces, &[flavour]);
    let worker = |name, slots| {
        DaemonSpec::worker(name, Flavour::Gelato)
            .slots(slots)
            .steady_load()
    };
    let cluster = Cluster::builder(Layout::Namespaces)
        .scheduler(flavour)
        .daemon(DaemonSpec::submitter("submitter", Flavour::Gelato).steady_load())
        .daemon(worker("three", 3))
        .daemon(worker("two", 2))
        .daemon(worker("selfish", 4).remote(false))
        .start()?;
    let folder = cluster.work_folder("work")?;
    build::write(&folder, "slow.c", &build::slow_source())?;
    ensure!(number(&cluster)? == 5);

    // Workers try a new toolchain, and that must not be taken for a job.
    let submitter = cluster.submitter();
    build::write(&folder, "small.c", "int small(int x) { return x + 1; }\n")?;
    for worker in ["three", "two"] {
        let task = submitter.compile_task("gcc", &["-c", "small.c"], &folder);
        let task = task.env("ICECC_PREFERRED_HOST", worker);
        submitter.host().run(&task, FIRST_JOB)?.success()?;
    }
    let jobs = (0..7).map(|job| {
        let object = format!("slow{job}.o");
        let task = submitter.compile_task("gcc", &["-O2", "-c", "slow.c", "-o", &object], &folder);
        submitter.host().start(&task)
    });
    let jobs = jobs.collect::<Result<Vec<_>>>()?;
    // Compilers stand still as soon as they are there: none ends, and none costs anything.
    let mut most = 0;
    wait::until(SOON, "as many compilers as there are slots", || {
        most = most.max(hold(&cluster));
        (most >= 5).then_some(())
    })?;
    // Icecream's scheduler does not tell newcomers what runs.
    if flavour == Flavour::Gelato {
        wait::until(SOON, "the scheduler to know them", || {
            let shown = slots(&cluster, &["--json"]).ok()?.out();
            shown.contains("\"busy\": 5").then_some(())
        })?;
    }
    let shown = slots(&cluster, &["-v"])?;
    most = most.max(hold(&cluster));
    ensure!(shown.out() == "5\n", "{:?}", shown.out());
    ensure!(most == 5, "{most} compilers at once\n{}", shown.err());
    let lines = match flavour {
        Flavour::Gelato => [
            "three        3 slots, 3 busy",
            "two          2 slots, 2 busy",
            ": 5 now (5 busy), 5 at best",
        ],
        Flavour::Icecream => [
            "three        3 slots",
            "two          2 slots",
            ": 5 now, 5 at best",
        ],
    };
    for line in lines
        .into_iter()
        .chain(["selfish    not counted (4 slots): takes no jobs of others"])
    {
        ensure!(shown.err().contains(line), "{}", shown.err());
    }
    // Nobody needs their objects.
    for mut job in jobs {
        job.kill_group();
    }
    for compiler in cluster.workers().iter().flat_map(compilers) {
        compiler.signal(Signal::CONT);
    }
    cluster.shut_down()
}

fn compilers(worker: &gelato_lab::Daemon) -> Vec<proc::ProcessId> {
    let process = worker.process().map(|process| process.pid());
    process.map_or_else(
        |_| Vec::new(),
        |pid| proc::descendants_named(pid, &COMPILERS),
    )
}

/// Stops all compilers of the workers and counts them.
fn hold(cluster: &Cluster) -> usize {
    let all = cluster.workers().iter().flat_map(compilers);
    all.inspect(|compiler| compiler.signal(Signal::STOP))
        .count()
}
