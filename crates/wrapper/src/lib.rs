//! The program a build starts in place of the compiler: `icecc`, `icerun`, and every compiler name linked to them.
//!
//! Straight-line blocking code from the command line to the exit code; no threads, no runtime. The way of a job:
//!
//! 1. [`invocation`]: who are we called as, which program and words are meant; [`search`] finds the program behind us, [`nested`] is for those who
//!    start us again;
//! 2. [`understand`]: what compiler that is ([`behind`], [`script`], [`shown`], [`probe`]), and whether the command line may travel (crate `compiler`);
//! 3. [`remote`]: toolchain, worker, source, result ([`daemon`], [`worker`], [`source`], [`output`]);
//! 4. [`local`]: everything else, and the answer to every failure, under a slot of the daemon or a lock ([`locks`]).
//!    [`policy`] says when that is not wanted.
//!
//! The rules: the user sees the compiler's own text once, and its own exit code. If anything of ours fails, the job is done here and the reason is recorded
//! ([`record`], which the daemon gets through [`mailbox`]). Local runs get the command line exactly as typed.

mod behind;
mod children;
mod daemon;
mod failure;
mod files;
mod help;
mod invocation;
mod job;
mod local;
mod locks;
mod log;
mod mailbox;
mod native;
mod nested;
mod notice;
mod output;
mod policy;
mod probe;
mod producer;
mod record;
mod remote;
mod script;
mod search;
mod shown;
mod signals;
mod source;
mod toolchains;
mod understand;
mod usage;
mod variables;
mod verify;
mod waiting;
mod whole;
mod worker;

use std::ffi::OsString;
use std::process::ExitCode;

use crate::invocation::Request;
use crate::variables::Variables;

/// Statuses of our own, with Icecream's numbers.
mod status {
    /// The wrapper called itself in a circle.
    pub(crate) const RECURSION: u8 = 111;
    /// The program is not in `PATH`.
    pub(crate) const NOT_FOUND: u8 = 115;
    /// `ICECC_TEST_SOCKET` leads to no daemon.
    pub(crate) const TEST_SOCKET: u8 = 119;
    /// The policy `require` forbids to compile here. Icecream ends at 119.
    pub(crate) const REFUSED: u8 = 120;
    /// The program cannot be executed.
    pub(crate) const NOT_EXECUTABLE: u8 = 126;
    /// The program does not exist.
    pub(crate) const NO_SUCH_PROGRAM: u8 = 127;
}

/// The whole program behind `argv[0]`.
pub fn run(argv: Vec<OsString>) -> ExitCode {
    let variables = Variables::read();
    match invocation::read(&argv) {
        Request::Help(text) => {
            help::print(text);
            ExitCode::SUCCESS
        }
        Request::Version(line) => {
            help::print(line);
            ExitCode::SUCCESS
        }
        Request::BuildNative(words) => local::build_native(&variables, &words),
        Request::Nothing(name) => {
            eprintln!("{name}: no command given; try '{name} --help'");
            ExitCode::from(if name == "icerun" {
                status::NOT_FOUND
            } else {
                status::RECURSION
            })
        }
        Request::Run(run) => job::run(&variables, run),
    }
}
