//! The daemon over real sockets: the tests play wrappers, the scheduler and other machines, and the compilers are real.
//!
//! The executable is its own jail step (`__jail`). As root the daemon runs its jobs as an ordinary user; one trial starts the
//! executable anew without root.

#[path = "escape/mod.rs"]
mod escape;
#[path = "daemon/fixture.rs"]
mod fixture;
#[path = "daemon/jobs.rs"]
mod jobs;
#[path = "daemon/limits.rs"]
mod limits;
#[path = "daemon/local.rs"]
mod local;
#[path = "daemon/pressure.rs"]
mod pressure;
#[path = "daemon/records.rs"]
mod records;
#[path = "daemon/synthetic.rs"]
mod synthetic;
#[path = "daemon/toolchains.rs"]
mod toolchains;

use std::path::Path;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    match args
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .as_slice()
    {
        [_, "__jail"] => gelato_sandbox::jail_main(),
        [_, "__escape", situation, group, folder] => {
            return escape::child(situation, group, Path::new(folder));
        }
        _ => {}
    }
    let trials = local::TRIALS
        .iter()
        .chain(toolchains::TRIALS)
        .chain(jobs::TRIALS)
        .chain(limits::TRIALS)
        .chain(pressure::TRIALS)
        .chain(records::TRIALS);
    let trials = trials
        .map(|&(name, trial)| Trial::test(name, move || run(trial)))
        .chain(escape::trials())
        .collect();
    let code = libtest_mimic::run(&Arguments::from_args(), trials).exit_code();
    escape::clear();
    code
}

type Case = fn() -> std::pin::Pin<Box<dyn Future<Output = ()>>>;

fn run(case: Case) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let finished = runtime.block_on(async { tokio::time::timeout(fixture::LONG, case()).await });
    // Whatever still runs is killed by the end of its task.
    runtime.shutdown_timeout(fixture::SHORT);
    fixture::clear_folders();
    finished.map_err(|_| Failed::from("not finished in time"))
}

/// A table of trials from the names of async functions.
macro_rules! trials {
    ($($name:ident),* $(,)?) => {
        pub(crate) const TRIALS: &[(&str, crate::Case)] = &[$((stringify!($name), || Box::pin($name()))),*];
    };
}
pub(crate) use trials;
