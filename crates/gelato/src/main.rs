//! The one program behind every name: `argv[0]` decides first, then the subcommand.
//!
//! A compiler's name, `icecc` and `icerun` lead straight into the wrapper, before anything else is
//! looked at. `gelato` itself has subcommands; the old names of the long-lived programs are the same
//! subcommands with Icecream's spelling.

mod build;
mod cli;
mod log;
mod systemd;

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let name = arguments
        .first()
        .and_then(|argument| Path::new(argument).file_name())
        .map(|name| name.as_bytes().to_vec())
        .unwrap_or_default();
    match name.as_slice() {
        b"iceccd" => cli::old_name::<cli::daemon::Args>(
            cli::Program::Daemon,
            "iceccd",
            "Serves this machine's builds and runs jobs of others",
            arguments,
            cli::daemon::run,
        ),
        b"icecc-scheduler" => cli::old_name::<cli::scheduler::Args>(
            cli::Program::Scheduler,
            "icecc-scheduler",
            "Decides which machine compiles what",
            arguments,
            cli::scheduler::run,
        ),
        b"icecc-create-env" => cli::toolchain::create_env_main(arguments),
        b"icecc-test-env" => cli::toolchain_test::main(arguments),
        // `exe` is how the daemon starts the step below, through `/proc/self/exe`.
        name if name == b"exe" || name.starts_with(b"gelato") => {
            // The step that cages a job; re-executed by the daemon, never typed.
            if arguments.get(1).is_some_and(|first| first == "__jail") {
                gelato_sandbox::jail_main();
            }
            cli::main(arguments)
        }
        _ => gelato_wrapper::run(arguments),
    }
}
