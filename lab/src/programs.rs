//! Where the programs of each role come from: the distribution's Icecream, or our own in an install prefix.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, bail};

/// Whose program plays a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flavour {
    /// Ours.
    Gelato,
    /// The distribution's Icecream.
    Icecream,
}

impl Flavour {
    /// Both of them.
    pub const BOTH: [Flavour; 2] = [Flavour::Gelato, Flavour::Icecream];
}

/// Compiler names found in a masquerade folder.
pub const MASQUERADED: [&str; 6] = ["gcc", "g++", "cc", "c++", "clang", "clang++"];

/// The programs of one flavour.
#[derive(Clone, Debug)]
pub struct Programs {
    /// Whose they are.
    pub flavour: Flavour,
    /// The wrapper.
    pub icecc: PathBuf,
    /// The wrapper for any command.
    pub icerun: PathBuf,
    /// The daemon.
    pub daemon: PathBuf,
    /// The scheduler.
    pub scheduler: PathBuf,
    /// Packs toolchain archives.
    pub create_env: PathBuf,
    /// Folder whose compiler names start the wrapper.
    pub masquerade: PathBuf,
    /// The one program of ours.
    pub gelato: Option<PathBuf>,
}

impl Programs {
    /// Finds the programs; what has to be laid out goes below `folder`.
    ///
    /// # Errors
    /// Something is missing; the sentence says what to install.
    pub fn find(flavour: Flavour, folder: &Path) -> Result<Programs> {
        match flavour {
            Flavour::Icecream => Programs::of_distribution(folder),
            Flavour::Gelato => Ok(Programs::of_prefix(&install_prefix(folder)?)),
        }
    }

    fn of_distribution(folder: &Path) -> Result<Programs> {
        let find = |name: &str| {
            in_path(name).ok_or_else(|| {
                anyhow!("{name} is not installed: install the distribution's package icecc")
            })
        };
        let icecc = find("icecc")?;
        let masquerade = folder.join("icecream-bin");
        fs::create_dir_all(&masquerade)?;
        for name in MASQUERADED {
            let link = masquerade.join(name);
            if !link.is_symlink() {
                symlink(&icecc, link)?;
            }
        }
        Ok(Programs {
            flavour: Flavour::Icecream,
            icerun: find("icerun")?,
            daemon: find("iceccd")?,
            scheduler: find("icecc-scheduler")?,
            create_env: find("icecc-create-env")?,
            masquerade,
            icecc,
            gelato: None,
        })
    }

    fn of_prefix(prefix: &Path) -> Programs {
        Programs {
            flavour: Flavour::Gelato,
            icecc: prefix.join("bin/icecc"),
            icerun: prefix.join("bin/icerun"),
            daemon: prefix.join("sbin/iceccd"),
            scheduler: prefix.join("sbin/icecc-scheduler"),
            create_env: prefix.join("bin/icecc-create-env"),
            masquerade: prefix.join("libexec/icecc/bin"),
            gelato: Some(prefix.join("bin/gelato")),
        }
    }
}

/// An install prefix of ours below `folder`, readable by every user: a copy of `$GELATO_PREFIX` if set, else laid out
/// from the programs that cargo builds beside the running one.
///
/// # Errors
/// The build fails, or files cannot be made.
pub fn install_prefix(folder: &Path) -> Result<PathBuf> {
    let prefix = folder.join("prefix");
    if prefix.exists() {
        return Ok(prefix);
    }
    if let Some(installed) = std::env::var_os("GELATO_PREFIX") {
        let installed = PathBuf::from(installed);
        if !installed.join("bin/gelato").is_file() {
            bail!("GELATO_PREFIX={}: no bin/gelato there", installed.display());
        }
        crate::sources::copy(&installed, &prefix)?;
        return Ok(prefix);
    }
    let built = built_programs()?;
    for part in ["bin", "sbin", "libexec/icecc/bin"] {
        fs::create_dir_all(prefix.join(part))?;
    }
    for name in ["gelato", "icecc"] {
        let to = prefix.join("bin").join(name);
        copy(&built.join(name), &to)?;
    }
    for (link, to) in [
        ("bin/icerun", "icecc"),
        ("bin/icecc-create-env", "gelato"),
        ("sbin/iceccd", "../bin/gelato"),
        ("sbin/icecc-scheduler", "../bin/gelato"),
    ] {
        symlink(to, prefix.join(link))?;
    }
    for name in MASQUERADED {
        symlink(
            "../../../bin/icecc",
            prefix.join("libexec/icecc/bin").join(name),
        )?;
    }
    Ok(prefix)
}

/// A hard link where possible: the programs of a debug build are large and every cluster has a prefix.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if fs::hard_link(from, to).is_err() {
        fs::copy(from, to).with_context(|| format!("{} to {}", from.display(), to.display()))?;
    }
    fs::set_permissions(to, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// The folder with freshly built `gelato` and `icecc`.
fn built_programs() -> Result<PathBuf> {
    static BUILT: OnceLock<std::result::Result<PathBuf, String>> = OnceLock::new();
    BUILT
        .get_or_init(|| build().map_err(|error| format!("{error:#}")))
        .clone()
        .map_err(|error| anyhow!(error))
}

/// Has cargo build them into the folder the running program comes from: nothing to do when they are fresh.
fn build() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let mut profile = own.parent().context("program without a folder")?;
    if profile
        .file_name()
        .is_some_and(|name| name == "deps" || name == "examples")
    {
        profile = profile
            .parent()
            .context("program without a target folder")?;
    }
    let name = profile
        .file_name()
        .and_then(OsStr::to_str)
        .context("target folder without a name")?;
    let target = profile.parent().context("target folder without a parent")?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("no workspace folder")?;
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(root)
        .args([
            "build",
            "--quiet",
            "-p",
            "gelato",
            "-p",
            "gelato-wrapper",
            "--bins",
            "--profile",
        ])
        .arg(if name == "debug" { "dev" } else { name })
        .arg("--target-dir")
        .arg(target)
        .output()
        .context("cannot start cargo to build gelato; set GELATO_PREFIX to an installed one")?;
    if !output.status.success() {
        bail!(
            "gelato does not build: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    for program in ["gelato", "icecc"] {
        if !profile.join(program).is_file() {
            bail!("cargo built no program {program} in {}", profile.display());
        }
    }
    Ok(profile.to_owned())
}

/// The first `name` in `PATH` and the folders of system programs.
pub fn in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|file| {
            file.metadata()
                .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_only_programs() {
        assert!(in_path("sh").is_some());
        assert!(in_path("no-such-program-anywhere").is_none());
    }
}
