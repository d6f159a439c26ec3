//! What lies about on the host for the probes: a secret, folders open to all, the hostile program and its toolchain.
//!
//! Made once by the process of the tests, before anything gives up root, and removed by it at the end.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use tempfile::TempDir;

/// The folder of this process, once it has been asked for.
static MADE: Mutex<Option<TempDir>> = Mutex::new(None);

/// Tells this run's secrets from those of another one at the same time.
pub(crate) fn nonce() -> String {
    format!("{:x}-gelato", std::process::id())
}

/// The folder, made at the first call.
pub(crate) fn folder() -> PathBuf {
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    made.get_or_insert_with(|| make().expect("bait"))
        .path()
        .to_owned()
}

/// Removes the folder, if there is one.
pub(crate) fn clear() {
    drop(MADE.lock().unwrap_or_else(PoisonError::into_inner).take());
}

/// Names in the folder.
pub(crate) struct Bait(PathBuf);

impl Bait {
    pub(crate) fn at(folder: &Path) -> Bait {
        Bait(folder.to_owned())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name)
            .to_str()
            .expect("plain temporary folder")
            .to_owned()
    }

    pub(crate) fn hostile(&self) -> PathBuf {
        self.path("toolchain/usr/bin/gcc")
    }

    /// The hostile toolchain as an archive.
    pub(crate) fn archive(&self) -> Vec<u8> {
        fs::read(self.path("toolchain.tar")).expect("archive")
    }
}

fn make() -> io::Result<TempDir> {
    let folder = tempfile::Builder::new()
        .prefix("gelato-escape-")
        .tempdir_in("/var/tmp")?;
    let at = folder.path();
    mode(at, 0o755)?;
    for name in [
        "toolchain",
        "toolchain/usr",
        "toolchain/usr/bin",
        "toolchain/bin",
        "bin",
    ] {
        fs::create_dir(at.join(name))?;
    }
    fs::create_dir(at.join("drop"))?;
    mode(&at.join("drop"), 0o777)?;
    fs::write(at.join("secret"), format!("secret_{}\n", nonce()))?;
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/escape/hostile.c");
    let hostile = at.join("toolchain/usr/bin/gcc");
    run(Command::new("gcc")
        .args(["-O1", "-static", "-no-pie", "-o"])
        .args([&hostile, &source]))?;
    for name in ["bin/true", "usr/bin/as", "usr/bin/cc1"] {
        fs::copy(&hostile, at.join("toolchain").join(name))?;
    }
    super::options::prepare(at)?;
    fs::copy(&hostile, at.join("root"))?;
    mode(&at.join("root"), 0o4755)?;
    run(Command::new("tar")
        .args(["--sort=name", "--owner=0", "--group=0", "-cf"])
        .arg(at.join("toolchain.tar"))
        .arg("-C")
        .arg(at.join("toolchain"))
        .args(["bin", "usr"]))?;
    Ok(folder)
}

pub(crate) fn run(command: &mut Command) -> io::Result<()> {
    let output = command.output()?;
    match output.status.success() {
        true => Ok(()),
        false => Err(io::Error::other(format!(
            "{command:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        ))),
    }
}

pub(crate) fn mode(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode))
}
