//! Monitors in a terminal, connected to a scheduler, show the hosts and the jobs that are really there: `gelato top` with either
//! scheduler, and the distribution's `icecream-sundae` with ours.

mod common;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use common::{FIRST_JOB, SOON};
use gelato_lab::host::Host;
use gelato_lab::{Cluster, DaemonSpec, Flavour, Layout, Task, build, programs, wait};

/// Icecream's scheduler takes a new connection in only when something else wakes it, at the latest after 36 s.
const SLOW_ACCEPT: Duration = Duration::from_secs(90);

/// A program in a terminal of its own.
struct Terminal<'a> {
    host: &'a Host,
    name: &'static str,
}

impl Terminal<'_> {
    fn open<'a>(host: &'a Host, name: &'static str, words: &[&str]) -> Result<Terminal<'a>> {
        let terminal = Terminal { host, name };
        let start = [
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            "120",
            "-y",
            "45",
        ];
        terminal.tmux(&start, words)?;
        Ok(terminal)
    }

    fn tmux(&self, first: &[&str], then: &[&str]) -> Result<String> {
        let task = Task::new("tmux")
            .args(["-L", self.name])
            .args(first.iter().copied())
            .args(then.iter().copied())
            .env("TMUX_TMPDIR", self.host.folder())
            .env("TERM", "xterm-256color")
            .env("NO_COLOR", "1");
        Ok(self.host.run(&task, SOON)?.success()?.out())
    }

    fn press(&self, keys: &[&str]) -> Result<()> {
        self.tmux(&["send-keys"], keys).map(drop)
    }

    /// Waits until the screen shows all of this.
    fn shows(&self, wanted: &[&str], limit: Duration) -> Result<String> {
        let mut last = String::new();
        wait::until(limit, "the screen", || {
            last = self.tmux(&["capture-pane", "-p"], &[]).ok()?;
            wanted.iter().all(|text| last.contains(text)).then_some(())
        })
        .with_context(|| format!("{}: {wanted:?} is not on this screen:\n{last}", self.name))?;
        Ok(last)
    }
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        let _ = self.tmux(&["kill-server"], &[]);
    }
}

#[test]
fn what_runs_is_shown_with_our_scheduler() -> Result<()> {
    shown(Flavour::Gelato)
}

#[test]
fn what_runs_is_shown_with_icecreams_scheduler() -> Result<()> {
    shown(Flavour::Icecream)
}

fn shown(flavour: Flavour) -> Result<()> {
    require!(Layout::Namespaces, &[flavour]);
    for program in ["tmux", "icecream-sundae"] {
        if programs::in_path(program).is_none() {
            gelato_lab::skip(&format!("{program} is not installed"));
            return Ok(());
        }
    }
    let mut cluster = Cluster::builder(Layout::Namespaces)
        .scheduler(flavour)
        .daemon(DaemonSpec::submitter("submitter", Flavour::Gelato).steady_load())
        .daemon(DaemonSpec::worker("worker", Flavour::Gelato).steady_load())
        .start()?;
    let folder = cluster.work_folder("work")?;
    build::write(&folder, "small.c", "int small(int x) { return x + 1; }\n")?;
    build::write(&folder, "slow.c", &build::slow_source())?;
    let submitter = cluster.submitter();
    submitter
        .compile("gcc", &["-c", "small.c"], &folder, FIRST_JOB)?
        .success()?;
    let host = submitter.host().clone();
    let gelato = submitter.programs().gelato.clone().context("no gelato")?;
    let gelato = gelato.display().to_string();
    let address = cluster.scheduler_host().address().to_string();

    let top = Terminal::open(&host, "top", &[&gelato, "top", "-s", &address])?;
    top.shows(
        &["Hosts 2 (1 available, 0 active)", "submitter", "worker"],
        SLOW_ACCEPT,
    )?;
    // The distribution's monitor asks ours only: from a quiet scheduler of its own it may hear nothing for a minute.
    let sundae = match flavour {
        Flavour::Gelato => Some(Terminal::open(
            &host,
            "sundae",
            &["icecream-sundae", "-s", &address],
        )?),
        Flavour::Icecream => None,
    };
    if let Some(sundae) = &sundae {
        sundae.shows(
            &[
                "Servers: Total:2 Available:1 Active:0",
                "submitter",
                "worker",
            ],
            SOON,
        )?;
    }

    let task = submitter.compile_task("gcc", &["-O2", "-c", "slow.c"], &folder);
    let running = host.start(&task)?;
    let held = cluster.hold_job(1, SOON)?;
    top.shows(
        &["Hosts 2 (1 available, 1 active)", "Slots 1/2   Waiting 0"],
        SOON,
    )?;
    top.press(&["2"])?;
    let jobs = top.shows(&["slow.c", "remote"], SOON)?;
    let job = jobs
        .lines()
        .find(|line| line.contains("slow.c"))
        .unwrap_or_default();
    ensure!(
        job.contains("submitter") && job.contains("worker"),
        "{jobs}"
    );
    if let Some(sundae) = &sundae {
        sundae.press(&["a"])?;
        sundae.shows(
            &[
                "Total: Remote:1 Local:0",
                "Active:1 Local:0 Pending:0",
                "slow.c",
            ],
            SOON,
        )?;
    }

    held.release();
    running.wait(SOON)?.success()?;
    let jobs = top.shows(&["Slots 0/2", "finished"], SOON)?;
    ensure!(!jobs.contains("FAILED") && !jobs.contains("LOST"), "{jobs}");
    if let Some(sundae) = &sundae {
        sundae.shows(
            &["Total: Remote:1 Local:0", "Active:0 Local:0 Pending:0"],
            SOON,
        )?;
    }

    // What stays here has a reason, if the scheduler passes records on.
    let kept = ["-save-temps", "-c", "small.c"];
    cluster
        .submitter()
        .compile("gcc", &kept, &folder, FIRST_JOB)?
        .success()?;
    top.press(&["6"])?;
    match flavour {
        Flavour::Gelato => top.shows(&["side-files", "What to do"], SOON)?,
        Flavour::Icecream => top.shows(&["not-told", "The submitter does not tell why"], SOON)?,
    };
    top.press(&["8"])?;
    top.shows(&["SEVERITY", "8:alerts"], SOON)?;
    let once = |options: &[&str]| -> Result<String> {
        let task = Task::new(&gelato)
            .args(["top", "--once", "-s", &address])
            .args(options.iter().copied());
        Ok(host.run(&task, SLOW_ACCEPT)?.success()?.out())
    };
    let json = once(&["--json", "--page", "hosts"])?;
    ensure!(
        json.contains("\"hosts\": 2") && json.contains("\"name\": \"worker\""),
        "{json}"
    );
    let strangers = once(&["--anonymize"])?;
    ensure!(
        strangers.contains("Hosts 2 (1 available") && !strangers.contains("worker"),
        "{strangers}"
    );

    // A scheduler that dies leaves the last picture; another one is found without a key.
    top.press(&["2"])?;
    cluster.kill_scheduler();
    top.shows(&["NO SCHEDULER", "slow.c"], SOON)?;
    cluster.start_scheduler(flavour)?;
    top.press(&["1"])?;
    top.shows(
        &["Hosts 2 (1 available, 0 active)", "Scheduler "],
        SLOW_ACCEPT,
    )?;
    top.press(&["q"])?;
    drop((top, sundae));
    cluster.shut_down()
}

/// A scheduler that is killed in the middle of a job and started again takes the job's slot for taken, shows the job to who
/// connects then, and sees its end.
#[test]
fn a_scheduler_started_again_shows_what_runs() -> Result<()> {
    require!(Layout::Namespaces, &[]);
    if programs::in_path("tmux").is_none() {
        gelato_lab::skip("tmux is not installed");
        return Ok(());
    }
    let mut cluster = Cluster::builder(Layout::Namespaces)
        .scheduler(Flavour::Gelato)
        .daemon(DaemonSpec::submitter("submitter", Flavour::Gelato).steady_load())
        .daemon(DaemonSpec::worker("worker", Flavour::Gelato).steady_load())
        .quick_reconnect()
        .start()?;
    let folder = cluster.work_folder("work")?;
    build::write(&folder, "small.c", "int small(int x) { return x + 1; }\n")?;
    let all = build::slow_source();
    let functions: Vec<&str> = all.split_inclusive("\n}\n").take(10).collect();
    build::write(&folder, "slow.c", &functions.concat())?;
    let submitter = cluster.submitter();
    submitter
        .compile("gcc", &["-c", "small.c"], &folder, FIRST_JOB)?
        .success()?;
    let host = submitter.host().clone();
    let gelato = submitter.programs().gelato.clone().context("no gelato")?;
    let gelato = gelato.display().to_string();
    let address = cluster.scheduler_host().address().to_string();
    let task = submitter.compile_task("gcc", &["-O2", "-c", "slow.c"], &folder);
    let running = host.start(&task)?;
    let held = cluster.hold_job(1, SOON)?;

    cluster.kill_scheduler();
    let position = cluster.scheduler_log().position();
    cluster.start_scheduler(Flavour::Gelato)?;
    cluster.wait_ready()?;
    let listed = cluster.control()?.command("listcs")?;
    ensure!(
        listed.contains(" COMP sub:submitter on:worker ") && listed.contains(" jobs=1/"),
        "not recovered: {listed}"
    );
    let top = Terminal::open(&host, "top", &[&gelato, "top", "-s", &address])?;
    top.shows(&["(1 available, 1 active)", "Slots 1/2   Waiting 0"], SOON)?;

    held.release();
    running.wait(SOON)?.success()?;
    top.shows(&["(1 available, 0 active)", "Slots 0/2   Waiting 0"], SOON)?;
    wait::until(SOON, "the end in the scheduler's log", || {
        let said = cluster.scheduler_log().text_since(position);
        let end = said.lines().find(|line| line.contains(" END "))?;
        let told = end.contains("status=0 ") && end.ends_with("server=worker");
        (told && !end.contains("real=0 ")).then_some(())
    })?;
    drop(top);
    cluster.shut_down()
}
