//! Ending a program with all it has started.
//!
//! A compiler driver that ends by a signal leaves the compiler proper running, which may wait for something that never comes.

use std::fs;
use std::process::Child;

use rustix::process::{Pid, Signal, kill_process};

/// Sends a signal to the process and to everything below it. The process hears of it first, or it would complain about its children.
pub(crate) fn signal_all(process: Pid, signal: Signal) {
    let below = descendants(process);
    for pid in std::iter::once(process).chain(below) {
        let _ = kill_process(pid, signal);
    }
}

/// Kills a child with everything below it and waits for its end. Nothing happens if that was done already.
pub(crate) fn kill_and_wait(child: &mut Child) {
    if !matches!(child.try_wait(), Ok(None)) {
        return;
    }
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        signal_all(pid, Signal::KILL);
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// The processes below this one, as far as the system lists them.
fn descendants(root: Pid) -> Vec<Pid> {
    let mut found = Vec::new();
    let mut next = Some(root);
    let mut read = 0;
    while let Some(pid) = next {
        let number = pid.as_raw_nonzero();
        let text = fs::read_to_string(format!("/proc/{number}/task/{number}/children"));
        found.extend(
            text.unwrap_or_default()
                .split_ascii_whitespace()
                .filter_map(|pid| Pid::from_raw(pid.parse().ok()?)),
        );
        next = found.get(read).copied();
        read += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::process::{Command, Stdio};

    #[test]
    fn grandchildren_end_as_well() {
        let mut child = Command::new("sh")
            .args(["-c", "sh -c 'echo ready; exec tail -f /dev/null' & wait"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut output = child.stdout.take().expect("a pipe");
        output.read_exact(&mut [0; 6]).expect("the grandchild runs");
        kill_and_wait(&mut child);
        // The grandchild had the other end.
        assert_eq!(output.read(&mut [0; 1]).expect("the end"), 0);
        kill_and_wait(&mut child);
    }
}
