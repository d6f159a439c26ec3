//! Clears a cluster away when the program that made it is killed and can no longer do so itself.
//!
//! A shell of its own process group holds the other end of a pipe. If the pipe closes without a last word, the program is
//! gone: the guard kills the cluster's processes and removes its namespaces and folder.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use std::os::unix::process::CommandExt;

use anyhow::{Context, Result};

/// Arguments: marker, folder, names of namespaces. Processes are found as in [`crate::proc::belonging_to`].
const SCRIPT: &str = r#"
read -r word && [ "$word" = over ] && exit 0
marker=$1; folder=$2; shift 2
# Mounts that we see ourselves tell nothing: everybody may see them.
mounts=mountinfo
if grep -qsF -e "$folder/" /proc/self/mountinfo; then mounts=none; fi
for round in 1 2 3; do
    for process in /proc/[0-9]*; do
        if grep -qsF -e "$marker" "$process/environ" || grep -qsF -e "$folder/" "$process/$mounts"; then
            kill -9 "${process#/proc/}"
        fi
    done
    case $(readlink /proc/[0-9]*/cwd) in *"$folder"*) ;; *) break ;; esac
done
for name in "$@"; do ip netns del "$name"; done
rm -rf "$folder"
"#;

/// The watching shell; dropping it tells it that all is in order.
#[derive(Debug)]
pub(crate) struct Guard {
    shell: Child,
}

impl Guard {
    /// Starts to watch over a cluster.
    pub(crate) fn new(marker: &str, folder: &Path, namespaces: &[String]) -> Result<Guard> {
        let shell = Command::new("sh")
            .args(["-c", SCRIPT, "sh", marker])
            .arg(folder)
            .args(namespaces)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("cannot start sh")?;
        Ok(Guard { shell })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(mut pipe) = self.shell.stdin.take() {
            let _ = pipe.write_all(b"over\n");
        }
        let _ = self.shell.wait();
    }
}
