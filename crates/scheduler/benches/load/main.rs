//! Schedulers under load: `cargo bench -p gelato-scheduler`, or with arguments
//! `cargo bench -p gelato-scheduler --bench load -- [ours|icecream] [DAEMONS]...`.
//!
//! A scheduler runs in a process of its own; all its daemons are connections of this one, on loopback. Every daemon asks and
//! every daemon works, as in a build that everybody takes part in; about half of the slots are in use. The main figure is
//! the processor time the scheduler needs for a job with its request, answer, begin and end: it holds on a machine that does other things,
//! too. Times from request to answer do not, and are the better the quieter the machine is.
//!
//! Icecream's scheduler is run by the same generator if it is installed, up to a thousand daemons: beyond, it takes minutes.

mod cluster;
mod measure;

use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use gelato_net::discovery::Reach;
use gelato_scheduler::{Algorithm, Config, Scheduler};

use crate::cluster::Cluster;
use crate::measure::{Spread, Usage};

const ICECREAM: &str = "/usr/sbin/icecc-scheduler";
/// Most daemons Icecream's scheduler is tried with.
const ICECREAM_UP_TO: usize = 1000;
/// Jobs per second of the test with a given rate.
const RATES: [u32; 2] = [5_000, 20_000];

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
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let Ok(runtime) = runtime else {
        return ExitCode::FAILURE;
    };
    for size in sizes {
        for program in [Program::Ours, Program::Icecream] {
            let too_large = program == Program::Icecream
                && (size > ICECREAM_UP_TO || !Path::new(ICECREAM).exists());
            if wanted(program.name()) && !too_large {
                runtime.block_on(run(program, size));
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
            if let Ok(scheduler) = Scheduler::bind(config).await {
                scheduler.run(std::future::pending()).await;
            }
        });
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

async fn run(program: Program, size: usize) {
    let started = free_port().and_then(|port| Ok((port, program.start(port)?)));
    let (port, mut child) = match started {
        Ok(started) => started,
        Err(error) => {
            println!("{}: {error}", program.name());
            return;
        }
    };
    measure(program, size, port, child.id()).await;
    if let Ok(Some(status)) = child.try_wait() {
        println!("{}: it ended before its time, {status}", program.name());
    }
    let _ = child.kill();
    let _ = child.wait();
}

async fn measure(program: Program, size: usize, port: u16, pid: u32) {
    let Some(mut cluster) = Cluster::connect(port, size).await else {
        println!(
            "{:9} {size:8}  could not log all of them in",
            program.name()
        );
        return;
    };
    let jobs = match program {
        Program::Ours => 20_000,
        Program::Icecream => 2_000,
    };
    cluster.fill((size * 4).min(4000)).await;
    // Everybody is known by then.
    cluster.work(jobs.min(size * 20), 64).await;

    let single = cluster.work(jobs / 10, 1).await;
    let before = Usage::of(pid);
    let busy = cluster.work(jobs, 64).await;
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
    if program == Program::Ours {
        for rate in RATES {
            let before = Usage::of(pid);
            let steady = cluster.work_at(rate, Duration::from_secs(2)).await;
            let used = Usage::of(pid).since(before);
            report_rate(rate, &steady.answer, steady.took, used);
        }
    }
}

fn report_rate(rate: u32, answer: &Spread, took: Duration, used: Duration) {
    println!(
        "          at {rate} jobs/s wanted: {:6.0} jobs/s, request to answer p50 {:5.2} ms, p99 {:5.2} ms, {:3.0} % of a core",
        answer.count() as f64 / took.as_secs_f64(),
        answer.at(50) * 1e3,
        answer.at(99) * 1e3,
        used.as_secs_f64() / took.as_secs_f64() * 100.0
    );
}

fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}
