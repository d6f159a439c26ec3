//! Going to the background: this program is started once more in a session of its own, and tells when it serves.
//!
//! No fork: the child is an ordinary process from its first instruction on. Until it is ready its complaints go to the
//! terminal, and its failure is ours.

use std::io::{Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use anyhow::Context as _;
use rustix::stdio::{dup2_stderr, dup2_stdout};

/// Says to the new process what it is.
const FLAG: &str = "--detached-child";

/// To be flattened into the arguments of a program that goes to the background.
#[derive(clap::Args)]
pub(crate) struct Detached {
    #[arg(long = "detached-child", hide = true)]
    child: bool,
}

impl Detached {
    /// Whether this is the process in the background.
    pub(crate) fn is_child(&self) -> bool {
        self.child
    }

    /// Leaves the session of whoever started us, and the folder they were in. To be called before any thread is started.
    pub(crate) fn leave_session(&self) {
        if self.child {
            let _ = rustix::process::setsid();
            let _ = std::env::set_current_dir("/");
        }
    }

    /// Tells the process in the foreground that it may leave, and lets go of the terminal.
    pub(crate) fn ready(&self) {
        if !self.child {
            return;
        }
        let mut stdout = std::io::stdout();
        let _ = stdout.write_all(b".").and_then(|()| stdout.flush());
        if let Ok(null) = std::fs::OpenOptions::new().write(true).open("/dev/null") {
            let _ = dup2_stdout(&null);
            let _ = dup2_stderr(&null);
        }
    }
}

/// Starts the same command in the background and waits until it is ready.
///
/// # Errors
/// It cannot be started, or ended before it was ready; then it has said why.
pub(crate) fn start_child() -> anyhow::Result<()> {
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    let program = std::env::current_exe().context("cannot find this program")?;
    let mut child = Command::new(program)
        .arg0(name)
        .args(arguments)
        .arg(FLAG)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start in the background")?;
    let mut ready = Vec::new();
    if let Some(mut stdout) = child.stdout.take() {
        // The pipe ends when the child points its output elsewhere or ends.
        stdout
            .read_to_end(&mut ready)
            .context("cannot hear from the process in the background")?;
    }
    if ready.is_empty() {
        let status = child
            .wait()
            .context("cannot wait for the process in the background")?;
        // It has said what is wrong; its status is all that is left to pass on.
        std::process::exit(status.code().filter(|code| *code != 0).unwrap_or(1));
    }
    Ok(())
}
