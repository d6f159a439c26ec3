//! What the faces show of one and the same build, with either scheduler: own and local jobs count as local everywhere, and a
//! scheduler that is killed is shown as lost, found again, and knows with us what was running.

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use common::{FIRST_JOB, SOON};
use gelato_lab::host::Running;
use gelato_lab::{Cluster, Daemon, DaemonSpec, Flavour, Layout, Task, build, segment, wait};
use serde_json::Value;

const UNITS: usize = 6;
const BUILD: &str = "lab-faces";
/// Icecream's scheduler takes a new connection in only when something else wakes it, at the latest after 36 s.
const SLOW_ACCEPT: Duration = Duration::from_secs(90);

#[test]
fn faces_agree_with_our_scheduler() -> Result<()> {
    require!(Layout::Namespaces, &[]);
    let mut cluster = cluster(Flavour::Gelato)?;
    let mut monitor = Monitor::start(&cluster)?;
    agree(&cluster, &monitor)?;
    restart_in_the_middle_of_a_job(&mut cluster, &monitor)?;
    monitor.end()?;
    cluster.shut_down()
}

#[test]
fn faces_agree_with_icecreams_scheduler() -> Result<()> {
    require!(Layout::Namespaces, &[Flavour::Icecream]);
    let cluster = cluster(Flavour::Icecream)?;
    let mut monitor = Monitor::start(&cluster)?;
    agree(&cluster, &monitor)?;
    monitor.end()?;
    cluster.shut_down()
}

/// The submitter has a slot of its own, so that some jobs stay there by the scheduler's choice.
fn cluster(flavour: Flavour) -> Result<Cluster> {
    Cluster::builder(Layout::Namespaces)
        .scheduler(flavour)
        .daemon(
            DaemonSpec::worker("submitter", Flavour::Gelato)
                .slots(1)
                .steady_load(),
        )
        .daemon(DaemonSpec::worker("worker", Flavour::Gelato).steady_load())
        .start()
}

/// Builds something, and compares what the programs say about it.
fn agree(cluster: &Cluster, monitor: &Monitor) -> Result<()> {
    let folder = cluster.work_folder("work")?;
    build::write(&folder, "slow.c", &build::slow_source())?;
    let mut objects = String::new();
    for number in 0..UNITS {
        build::write(
            &folder,
            &format!("u{number}.c"),
            &format!("int u{number}(void) {{ return {number}; }}\n"),
        )?;
        objects += &format!(" u{number}.o");
    }
    build::write(&folder, "main.c", "int main(void) { return 0; }\n")?;
    let rules = "%.o: %.c\n\tgcc -c $< -o $@\n";
    build::write(
        &folder,
        "Makefile",
        &format!("program: main.o{objects}\n\tgcc -o $@ $^\n{rules}"),
    )?;
    let submitter = cluster.submitter();
    let gelato = gelato(submitter)?;
    let make = Task::new(gelato)
        .args(["build", "-j", "4", "--", "make", "-s"])
        .env("GELATO_BUILD_ID", BUILD)
        .folder(&folder);
    submitter.host().run(&make, FIRST_JOB)?.success()?;

    let told = json(submitter, &["why", "--build", BUILD, "--json"])?;
    let counts = |value: &Value| -> Option<[u64; 3]> {
        Some([
            value["remote"].as_u64()?,
            value["own"].as_u64()?,
            value["local"].as_u64()?,
        ])
    };
    let [remote, own, local] = counts(&told["build"]).context("no counts")?;
    ensure!(
        remote + own + local == UNITS as u64 + 2 && local >= 1 && told["build"]["failed"] == 0,
        "{told:#}"
    );
    let mut seen = Value::Null;
    wait::until_slowly(SLOW_ACCEPT, "the same counts in the browser", || {
        seen = monitor.get("/api/v1/cluster")?;
        Ok((counts(&seen["totals"]) == Some([remote, own, local])).then_some(()))
    })
    .with_context(|| format!("{seen:#}\nin place of\n{:#}", told["build"]))?;
    let percent = 100.0 * (own + local) as f64 / (remote + own + local) as f64;
    let shown = seen["local_percent"].as_f64().unwrap_or(-1.0);
    ensure!(
        (shown - percent).abs() < 0.1,
        "{shown} in place of {percent}"
    );
    eprintln!("{remote} remote, {own} own, {local} local: {shown} % local");
    let status = json(submitter, &["status", "--json"])?;
    ensure!(
        counts(&status["build"]) == Some([remote, own, local]),
        "{:#}",
        status["build"]
    );
    Ok(())
}

/// A job whose compiler is held goes on while the scheduler is killed and started again.
fn restart_in_the_middle_of_a_job(cluster: &mut Cluster, monitor: &Monitor) -> Result<()> {
    let folder = cluster.work_folder("work")?;
    let submitter = cluster.submitter();
    let slow = |output: &str| {
        submitter
            .compile_task("gcc", &["-O1", "-c", "slow.c", "-o", output], &folder)
            .env("ICECC_PREFERRED_HOST", "worker")
    };
    let running = submitter.host().start(&slow("slow.o"))?;
    let held = cluster.hold_job(1, SOON)?;
    let before =
        monitor.until("a job that runs", |cluster| cluster["running"] == 1)?["totals"].clone();
    cluster.kill_scheduler();
    let stale = monitor.until("a lost scheduler", |cluster| cluster["link"] == "down")?;
    ensure!(
        stale["totals"] == before && stale["hosts"] == 2,
        "a lost scheduler leaves the last picture: {stale:#}"
    );
    cluster.start_scheduler(Flavour::Gelato)?;
    let recovered = monitor.until("the job that runs, at the new scheduler", |cluster| {
        cluster["link"] == "up" && cluster["running"] == 1
    })?;
    ensure!(
        recovered["totals"]["own"] == before["own"],
        "what is over stays: {recovered:#}"
    );
    let listed = wait::until_slowly(SOON, "the job in the scheduler's list", || {
        let text = cluster.control()?.command("listcs")?;
        Ok(text.contains("jobs=1/2").then_some(text))
    })?;
    eprintln!("{listed}");
    held.release();
    running.wait(SOON)?.success()?;
    let end = monitor.until("the end of that job", |cluster| cluster["running"] == 0)?;
    ensure!(
        end["totals"] == before,
        "the job is counted once: {end:#}\nbefore: {before}"
    );
    fs::remove_file(folder.join("slow.o"))?;
    Ok(())
}

fn gelato(daemon: &Daemon) -> Result<&Path> {
    daemon.programs().gelato.as_deref().context("no gelato")
}

fn json(daemon: &Daemon, words: &[&str]) -> Result<Value> {
    let task = Task::new(gelato(daemon)?).args(words.iter().copied());
    let done = daemon.host().run(&task, SOON)?.success()?;
    Ok(serde_json::from_slice(&done.stdout)?)
}

/// `gelato monitor` on the submitter's machine.
struct Monitor {
    running: Running,
    namespace: Option<String>,
}

impl Monitor {
    fn start(cluster: &Cluster) -> Result<Monitor> {
        let submitter = cluster.submitter();
        let host = submitter.host();
        let task = Task::new(gelato(submitter)?)
            .args([
                "monitor",
                "-s",
                &cluster.scheduler_host().address().to_string(),
            ])
            .arg("--state-folder")
            .arg(host.folder().join("monitor"));
        let monitor = Monitor {
            running: host.start(&task)?,
            namespace: host.namespace().map(str::to_owned),
        };
        monitor.until("two hosts in the browser", |cluster| cluster["hosts"] == 2)?;
        Ok(monitor)
    }

    /// The cluster, as soon as it is as wanted.
    fn until(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let mut last = Value::Null;
        wait::until_slowly(SLOW_ACCEPT, what, || {
            if let Ok(now) = self.get("/api/v1/cluster") {
                last = now;
            }
            Ok(wanted(&last).then(|| last.clone()))
        })
        .with_context(|| format!("{last:#}\n{}", self.running.stderr()))
    }

    fn get(&self, path: &str) -> Result<Value> {
        let address = (Ipv4Addr::LOCALHOST, 8767);
        let mut stream = segment::inside(self.namespace.as_deref(), || {
            Ok(TcpStream::connect(address)?)
        })?;
        stream.set_read_timeout(Some(SOON))?;
        write!(
            stream,
            "GET {path} HTTP/1.0\r\nHost: 127.0.0.1:8767\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP")?;
        ensure!(head.contains(" 200 "), "{answer}");
        Ok(serde_json::from_str(body)?)
    }

    fn end(&mut self) -> Result<()> {
        self.running.signal(rustix::process::Signal::TERM);
        wait::until_ok(SOON, "end of the monitor", || self.running.ended()).map(drop)
    }
}
