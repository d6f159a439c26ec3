//! Schedulers under load: `cargo bench -p gelato-scheduler`, or with arguments
//! `cargo bench -p gelato-scheduler --bench load -- [ours|icecream] [DAEMONS]...`.
//!
//! A scheduler runs in a process of its own; all its daemons are connections of this one, on loopback. Every daemon asks and
//! every daemon works, as in a build that everybody takes part in; about half of the slots are in use. The main figure is
//! the processor time the scheduler needs for a job with its request, answer, begin and end: it holds on a machine that does other things,
//! too. Times from request to answer do not: on a busy machine requests are sent late, which is told, and what the system
//! does for connections between two processes (soft interrupts) waits for whoever else computes.
//!
//! Icecream's scheduler is run by the same generator if it is installed, up to a thousand daemons: beyond, it takes minutes.

mod cluster;
mod measure;

use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use gelato_net::discovery::Reach;
use gelato_scheduler::{Algorithm, Config, Scheduler};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::cluster::{Cluster, Work};
use crate::measure::Usage;

const ICECREAM: &str = "/usr/sbin/icecc-scheduler";
/// Most daemons Icecream's scheduler is tried with.
const ICECREAM_UP_TO: usize = 1000;
/// How long jobs come at a given rate.
const STEADY: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    // What cargo says.
    arguments.retain(|argument| argument != "--bench" && argument != "--test");
    if arguments.first().is_some_and(|first| first == "serve") {
        return serve(arguments.get(1).map(String::as_str));
    }
    raise_descriptor_limit();
    let mut sizes: Vec<usize> = arguments
        .iter()
        .filter_map(|one| one.parse().ok())
        .collect();
    if sizes.is_empty() {
        sizes = vec![10, 100, 1000, 10_000];
    }
    let wanted = |name: &str| {
        let named = arguments
            .iter()
            .any(|one| one == "ours" || one == "icecream");
        !named || arguments.iter().any(|one| one == name)
    };
    println!(
        "scheduler  daemons  us of CPU/job  jobs/s of CPU  one at a time: p50     p99   64 at a time: jobs/s     p99   MiB"
    );
    let places = Places::new();
    for size in sizes {
        for program in [Program::Ours, Program::Icecream] {
            let too_large = program == Program::Icecream
                && (size > ICECREAM_UP_TO || !Path::new(ICECREAM).exists());
            if wanted(program.name()) && !too_large {
                run(program, size, &places);
            }
        }
    }
    ExitCode::SUCCESS
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Program {
    Ours,
    Icecream,
}

impl Program {
    fn name(self) -> &'static str {
        match self {
            Program::Ours => "ours",
            Program::Icecream => "icecream",
        }
    }

    /// Jobs per second it is tried with.
    fn rates(self) -> &'static [u32] {
        match self {
            Program::Ours => &[1000, 5000, 20_000],
            Program::Icecream => &[1000],
        }
    }

    fn start(self, port: u16) -> std::io::Result<Child> {
        let mut command = match self {
            Program::Ours => {
                let mut command = Command::new(std::env::current_exe()?);
                command.arg("serve").arg(port.to_string());
                command
            }
            Program::Icecream => {
                let mut command = Command::new(ICECREAM);
                command.args(["-i", "lo", "-n", "load", "-p", &port.to_string()]);
                command
            }
        };
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()
    }
}

/// A port that is free, and the next, for control, most likely, too.
fn free_port() -> std::io::Result<u16> {
    let listener = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}

/// The scheduler's process: until it is killed.
fn serve(port: Option<&str>) -> ExitCode {
    raise_descriptor_limit();
    let Some(port) = port.and_then(|port| port.parse().ok()) else {
        return ExitCode::FAILURE;
    };
    let mut config = Config {
        port,
        interface: Some("lo".to_owned()),
        reach: Reach::Addresses(Vec::new()),
        ..Config::default()
    };
    if let Ok(name) = std::env::var("ALGORITHM")
        && let Some(algorithm) = Algorithm::from_name(&name)
    {
        config.core.algorithm = algorithm;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let served = runtime.map(|runtime| {
        runtime.block_on(async {
            let scheduler = Scheduler::bind(config).await?;
            scheduler.run(std::future::pending()).await;
            Ok::<(), gelato_scheduler::SchedulerError>(())
        })
    });
    match served {
        Ok(Ok(())) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn run(program: Program, size: usize, places: &Places) {
    pin(places.scheduler);
    let started = started(program);
    pin(places.generator);
    let (first, mut child) = match started {
        Ok(started) => started,
        Err(error) => {
            println!("{}: {error}", program.name());
            return;
        }
    };
    if let Err(error) = measure(program, size, first, child.id()) {
        println!("{:9} {size:8}  {error}", program.name());
    }
    if let Ok(Some(status)) = child.try_wait() {
        println!("{}: it ended before its time, {status}", program.name());
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// A scheduler that takes connections, and the first of them: Icecream's would take no other for a while if that one ended.
fn started(program: Program) -> std::io::Result<(TcpStream, Child)> {
    let mut tries = 5;
    loop {
        let port = free_port()?;
        let mut child = program.start(port)?;
        let status = loop {
            if let Ok(first) = cluster::first(port) {
                return Ok((first, child));
            }
            match child.try_wait()? {
                None => std::thread::sleep(Duration::from_millis(20)),
                Some(status) => break status,
            }
        };
        // The next port, for control, may have been in use.
        tries -= 1;
        if tries == 0 {
            return Err(std::io::Error::other(format!("it ended: {status}")));
        }
    }
}

fn measure(program: Program, size: usize, first: TcpStream, pid: u32) -> std::io::Result<()> {
    let mut cluster = Cluster::connect(first, size)?;
    let jobs = match program {
        Program::Ours => 20_000,
        Program::Icecream => 2_000,
    };
    cluster.fill((size * 4).min(4000))?;
    // Everybody is known by then.
    cluster.work(jobs.min(size * 20), 64)?;

    let single = cluster.work(jobs / 10, 1)?;
    let before = Usage::of(pid);
    let busy = cluster.work(jobs, 64)?;
    let used = Usage::of(pid).since(before);
    println!(
        "{:9} {size:8} {:14.1} {:14.0} {:15.0} us {:5.0} us {:20.0} {:5.1} ms {:5.0}",
        program.name(),
        used.as_secs_f64() * 1e6 / jobs as f64,
        jobs as f64 / used.as_secs_f64(),
        single.answer.at(50) * 1e6,
        single.answer.at(99) * 1e6,
        jobs as f64 / busy.took.as_secs_f64(),
        busy.answer.at(99) * 1e3,
        measure::memory(pid),
    );
    for rate in program.rates().iter().copied() {
        let (before, own) = (Usage::of(pid), Usage::of(std::process::id()));
        let steady = cluster.work_at(rate, STEADY)?;
        let used = Usage::of(pid).since(before);
        let own = Usage::of(std::process::id()).since(own);
        report_rate(rate, &steady, used, own);
    }
    Ok(())
}

fn report_rate(rate: u32, steady: &Work, used: Duration, own: Duration) {
    let share = |used: Duration| used.as_secs_f64() / steady.took.as_secs_f64() * 100.0;
    println!(
        "          at {rate} jobs/s wanted: {:6.0} jobs/s, request to answer p50 {:5.2} ms, p99 {:5.2} ms, {:3.0} % of a core \
         (generator {:3.0} %, requests late by p99 {:.2} ms)",
        steady.answer.count() as f64 / steady.took.as_secs_f64(),
        steady.answer.at(50) * 1e3,
        steady.answer.at(99) * 1e3,
        share(used),
        share(own),
        steady.late.at(99) * 1e3,
    );
}

fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}

/// A processor for each: left to itself, the system puts who talks so much to one another on the same.
struct Places {
    scheduler: Option<usize>,
    generator: Option<usize>,
}

impl Places {
    fn new() -> Places {
        let allowed = sched_getaffinity(None);
        let mut all = (0..CpuSet::MAX_CPU)
            .filter(|cpu| allowed.as_ref().is_ok_and(|allowed| allowed.is_set(*cpu)));
        let (scheduler, generator) = (all.next(), all.next_back());
        Places {
            scheduler: scheduler.filter(|_| generator.is_some()),
            generator,
        }
    }
}

/// What is started from now on is there, too.
fn pin(place: Option<usize>) {
    if let Some(place) = place {
        let mut set = CpuSet::new();
        set.set(place);
        let _ = sched_setaffinity(None, &set);
    }
}
