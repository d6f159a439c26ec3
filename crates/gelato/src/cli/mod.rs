//! What is typed: the subcommands of `gelato`, and their old names.

pub(crate) mod ask;
pub(crate) mod build;
pub(crate) mod config;
pub(crate) mod daemon;
pub(crate) mod detach;
pub(crate) mod doctor;
pub(crate) mod monitor;
pub(crate) mod operate;
pub(crate) mod records;
pub(crate) mod scheduler;
pub(crate) mod settings;
pub(crate) mod slots;
pub(crate) mod source;
pub(crate) mod status;
pub(crate) mod toolchain;
pub(crate) mod toolchain_test;
pub(crate) mod top;
pub(crate) mod web;
pub(crate) mod why;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use rustix::process::{Resource, getrlimit, setrlimit};

pub(crate) use settings::Program;

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
    /// Watch the cluster in the terminal
    Top(top::Args),
    /// Show the cluster in a browser
    Monitor(monitor::Args),
    /// Say how many jobs a build on this machine may run at once: a number for -j
    Slots(slots::Args),
    /// Show every setting, what it is, and where it came from
    Config(config::Args),
    /// Show what the daemon of this machine is and does
    Status(status::Args),
    /// Say what became of a job and why: where it was done, on what grounds, what to change
    Why(why::Args),
    /// Look for what is wrong with this machine or its place in the cluster
    Doctor(doctor::Args),
    /// Take no jobs of other machines for a while
    Pause(operate::PauseArgs),
    /// Take jobs of other machines again
    Resume(operate::ResumeArgs),
    /// Finish the jobs of other machines, and take no more
    Drain(operate::DrainArgs),
}

/// How much a daemon or scheduler says that was typed under its new name: that it serves, and who
/// comes. Under the old names, which services use, only errors, as Icecream's.
const INFORMATION: u8 = 2;

/// The program under its own name.
pub(crate) fn main(arguments: Vec<OsString>) -> ExitCode {
    let typed = Gelato::command().get_matches_from(&arguments);
    let program = typed
        .subcommand()
        .and_then(|(name, typed)| Some((Program::of_subcommand(name)?, typed)));
    let matches = match program {
        None => typed,
        Some((program, typed_options)) => {
            match with_settings(program, typed_options, arguments, 2) {
                Ok(None) => typed,
                Ok(Some(arguments)) => Gelato::command().get_matches_from(arguments),
                Err(code) => return code,
            }
        }
    };
    let gelato = match Gelato::from_arg_matches(&matches) {
        Ok(gelato) => gelato,
        Err(error) => error.exit(),
    };
    match gelato.command {
        Command::Build(args) => build::run(args),
        Command::Daemon(mut args) => {
            args.verbose = args.verbose.max(INFORMATION);
            daemon::run(args)
        }
        Command::Scheduler(mut args) => {
            args.verbose = args.verbose.max(INFORMATION);
            scheduler::run(args)
        }
        Command::Toolchain(args) => toolchain::run(args),
        Command::Top(args) => top::run(&args),
        Command::Monitor(args) => monitor::run(&args),
        Command::Slots(args) => slots::run(&args),
        Command::Config(args) => config::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Why(args) => why::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Pause(args) => operate::pause(&args),
        Command::Resume(args) => operate::resume(&args),
        Command::Drain(args) => operate::drain(&args),
    }
}

/// The arguments with the settings of files put in at `at`; `None` if files say nothing new.
fn with_settings(
    program: Program,
    typed: &clap::ArgMatches,
    mut arguments: Vec<OsString>,
    at: usize,
) -> Result<Option<Vec<OsString>>, ExitCode> {
    let settings = settings::load();
    // A check of everything says it itself.
    let checks_all = program == Program::Daemon && typed.get_flag("check");
    if !checks_all {
        settings::check(program, &settings).map_err(|()| ExitCode::FAILURE)?;
    }
    let words = settings::words(program, &settings, typed);
    if words.is_empty() {
        return Ok(None);
    }
    arguments.splice(at..at, words);
    Ok(Some(arguments))
}

/// A subcommand under the name Icecream gave the program.
pub(crate) fn old_name<A: clap::Args>(
    program: Program,
    name: &'static str,
    about: &'static str,
    arguments: Vec<OsString>,
    run: impl FnOnce(A) -> ExitCode,
) -> ExitCode {
    let command = A::augment_args(clap::Command::new(name))
        .version(env!("CARGO_PKG_VERSION"))
        .about(about)
        .long_about(None);
    let mut matches = command.clone().get_matches_from(&arguments);
    match with_settings(program, &matches, arguments, 1) {
        Ok(None) => {}
        Ok(Some(arguments)) => matches = command.get_matches_from(arguments),
        Err(code) => return code,
    }
    match A::from_arg_matches(&matches) {
        Ok(args) => run(args),
        Err(error) => error.exit(),
    }
}

/// Every connection and every job needs descriptors; the usual soft limit is meant for programs of
/// another time.
fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!("cannot raise the limit of open files: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Options that are not for people, and those that explain themselves.
    fn is_left_out(option: &clap::Arg) -> bool {
        option.is_hide_set() || matches!(option.get_id().as_str(), "help" | "version")
    }

    #[test]
    fn every_option_is_in_its_man_page() {
        let pages = [
            ("build", include_str!("../../../../man/gelato.1")),
            ("daemon", include_str!("../../../../man/iceccd.8")),
            (
                "scheduler",
                include_str!("../../../../man/icecc-scheduler.8"),
            ),
            (
                "toolchain",
                include_str!("../../../../man/icecc-create-env.1"),
            ),
            ("top", include_str!("../../../../man/gelato-top.1")),
            ("monitor", include_str!("../../../../man/gelato-monitor.1")),
            ("slots", include_str!("../../../../man/gelato-slots.1")),
            ("config", include_str!("../../../../man/gelato.1")),
            ("status", include_str!("../../../../man/gelato-status.1")),
            ("why", include_str!("../../../../man/gelato-why.1")),
            ("doctor", include_str!("../../../../man/gelato-doctor.1")),
            ("pause", include_str!("../../../../man/gelato-pause.1")),
            ("resume", include_str!("../../../../man/gelato-pause.1")),
            ("drain", include_str!("../../../../man/gelato-pause.1")),
        ];
        let mut gelato = Gelato::command();
        gelato.build();
        for (name, page) in pages {
            let command = gelato.find_subcommand(name).unwrap();
            let commands = std::iter::once(command).chain(command.get_subcommands());
            for option in commands.flat_map(clap::Command::get_arguments) {
                if is_left_out(option) {
                    continue;
                }
                if let Some(long) = option.get_long() {
                    // In mdoc the second dash is part of the name, and other dashes may be escaped.
                    assert!(
                        page.contains(&format!("Fl -{long}")),
                        "--{long} is not in the man page of gelato {name}"
                    );
                }
            }
        }
    }

    #[test]
    fn subcommands_say_what_they_are_for() {
        let gelato = Gelato::command();
        for name in [
            "build",
            "daemon",
            "scheduler",
            "toolchain",
            "top",
            "slots",
            "config",
            "status",
            "why",
            "doctor",
            "pause",
            "resume",
            "drain",
        ] {
            let about = gelato.find_subcommand(name).unwrap().get_about().unwrap();
            assert!(!about.to_string().contains("rguments"), "{name}: {about}");
        }
    }
}
