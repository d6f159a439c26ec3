//! What is typed: the subcommands of `gelato`, and their old names.

pub(crate) mod build;
pub(crate) mod daemon;
pub(crate) mod detach;
pub(crate) mod scheduler;
pub(crate) mod toolchain;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Compiler farm: spreads C and C++ builds over the machines of a network.
#[derive(Parser)]
#[command(name = "gelato", version, disable_help_subcommand = true)]
#[command(after_help = "Start with: gelato build -- make\n\n\
    The compiler wrapper is a program of its own, `icecc`; see `icecc --help`.")]
struct Gelato {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a build command over the cluster, or over this machine alone if there is none
    Build(build::Args),
    /// Serve this machine's builds and run jobs of others (also called iceccd)
    Daemon(daemon::Args),
    /// Decide which machine compiles what (also called icecc-scheduler)
    Scheduler(scheduler::Args),
    /// Package a compiler for other machines (also called icecc-create-env)
    Toolchain(toolchain::ToolchainArgs),
}

/// The program under its own name.
pub(crate) fn main(arguments: Vec<OsString>) -> ExitCode {
    match Gelato::parse_from(arguments).command {
        Command::Build(args) => build::run(args),
        Command::Daemon(args) => daemon::run(args),
        Command::Scheduler(args) => scheduler::run(args),
        Command::Toolchain(args) => toolchain::run(args),
    }
}

/// A subcommand under the name Icecream gave the program.
pub(crate) fn old_name<A: clap::Args>(
    name: &'static str,
    arguments: Vec<OsString>,
    run: impl FnOnce(A) -> ExitCode,
) -> ExitCode {
    let command = A::augment_args(clap::Command::new(name))
        .version(env!("CARGO_PKG_VERSION"))
        .arg_required_else_help(false);
    let matches = command.get_matches_from(arguments);
    match A::from_arg_matches(&matches) {
        Ok(args) => run(args),
        Err(error) => error.exit(),
    }
}
