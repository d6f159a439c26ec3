//! Projects to compile that nobody here wrote: source packages of the distribution.
//!
//! They are fetched with the machine's own package sources, but with lists and caches of our own, so that the machine's
//! configuration stays as it is. What was fetched stays in the target folder.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use rustix::fs::FlockOperation;

/// Source packages the tests compile.
pub const PACKAGES: [&str; 5] = ["lua5.4", "fmtlib", "googletest", "zlib", "tinyxml2"];

/// The unpacked source of `package`, fetched if it is not there yet, and then the others with it: reading the lists takes
/// longer than the packages.
///
/// # Errors
/// No package manager, no network, no such package.
pub fn fetch(package: &str) -> Result<PathBuf> {
    let cache = cache()?;
    fs::create_dir_all(&cache)?;
    let lock = File::open(&cache)?;
    rustix::fs::flock(&lock, FlockOperation::LockExclusive)?;
    let done = cache.join(package);
    if done.is_dir() {
        return Ok(done);
    }
    let work = tempfile::Builder::new()
        .prefix("fetch-")
        .tempdir_in(&cache)?;
    let apt = Apt::new(work.path())?;
    apt.run(&["update"])?;
    get(&apt, &cache, package)?;
    for other in PACKAGES {
        if !cache.join(other).is_dir() {
            // Whoever wants it will try again and say why it cannot be had.
            let _ = get(&apt, &cache, other);
        }
    }
    Ok(done)
}

/// Downloads `package` and unpacks its archive into the cache.
fn get(apt: &Apt, cache: &Path, package: &str) -> Result<()> {
    let before = apt.archives()?;
    apt.run(&["source", "--download-only", package])?;
    let archive = apt
        .archives()?
        .into_iter()
        .find(|path| !before.contains(path))
        .with_context(|| format!("source package {package} without a source archive"))?;
    let unpacked = apt.folder.join(format!("unpacked-{package}"));
    fs::create_dir(&unpacked)?;
    let mut tar = Command::new("tar");
    tar.args([
        "--extract",
        "--strip-components=1",
        "--no-same-owner",
        "--file",
    ])
    .arg(archive)
    .arg("-C")
    .arg(&unpacked);
    run(&mut tar)?;
    fs::rename(&unpacked, cache.join(package))?;
    Ok(())
}

/// A copy of `from` at `to`.
///
/// # Errors
/// `cp` fails.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    let mut cp = Command::new("cp");
    cp.args(["--recursive", "--no-dereference", "--no-target-directory"])
        .arg(from)
        .arg(to);
    run(&mut cp)
}

/// `lab-sources` in the target folder of the running program.
fn cache() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let target = own
        .ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").is_file())
        .context("the running program is not in a target folder")?;
    Ok(target.join("lab-sources"))
}

/// The package manager with every file it writes in a folder of ours.
struct Apt {
    folder: PathBuf,
}

impl Apt {
    fn new(folder: &Path) -> Result<Apt> {
        for part in ["parts", "lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(folder.join(part))?;
        }
        let mut any = false;
        let system = Path::new("/etc/apt");
        let lists = fs::read_dir(system.join("sources.list.d"))
            .into_iter()
            .flatten()
            .flatten();
        for path in lists
            .map(|entry| entry.path())
            .chain([system.join("sources.list")])
        {
            let Ok(text) = fs::read_to_string(&path) else {
                continue;
            };
            let text = match path.extension().and_then(|end| end.to_str()) {
                Some("sources") => sources_of_stanzas(&text),
                Some("list") => sources_of_lines(&text),
                _ => continue,
            };
            let name = path.file_name().context("a list without a name")?;
            fs::write(folder.join("parts").join(name), text)?;
            any = true;
        }
        if !any {
            bail!("this machine has no package sources for apt-get");
        }
        Ok(Apt {
            folder: folder.to_owned(),
        })
    }

    /// The archives of upstream sources downloaded so far.
    fn archives(&self) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path
                .file_name()
                .is_some_and(|name| name.to_string_lossy().contains(".orig.tar."))
            {
                found.push(path);
            }
        }
        Ok(found)
    }

    fn run(&self, words: &[&str]) -> Result<()> {
        let folder = self.folder.display();
        let mut command = Command::new("apt-get");
        command.current_dir(&self.folder).arg("--quiet");
        for option in [
            "Dir::Etc::SourceList=/dev/null".to_owned(),
            format!("Dir::Etc::SourceParts={folder}/parts"),
            format!("Dir::State::Lists={folder}/lists"),
            format!("Dir::Cache={folder}/cache"),
            "APT::Sandbox::User=root".to_owned(),
            "Acquire::Languages=none".to_owned(),
            "Acquire::http::Timeout=20".to_owned(),
            "Acquire::https::Timeout=20".to_owned(),
        ] {
            command.arg("-o").arg(option);
        }
        run(command.args(words))
    }
}

/// Lines of the one-line form, asking for sources in place of packages.
fn sources_of_lines(text: &str) -> String {
    text.lines()
        .filter_map(|line| line.strip_prefix("deb "))
        .map(|rest| format!("deb-src {rest}\n"))
        .collect()
}

/// Stanzas of the deb822 form, asking for sources in place of packages.
fn sources_of_stanzas(text: &str) -> String {
    text.lines()
        .map(|line| {
            if line.starts_with("Types:") {
                "Types: deb-src\n".to_owned()
            } else {
                format!("{line}\n")
            }
        })
        .collect()
}

fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .with_context(|| format!("cannot start {name}"))?;
    if !output.status.success() {
        bail!(
            "{name}: {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_for_sources_in_both_forms() {
        assert_eq!(
            sources_of_lines("# x\ndeb [signed-by=/k] http://a b main\ndeb-src http://a b main\n"),
            "deb-src [signed-by=/k] http://a b main\n"
        );
        assert_eq!(
            sources_of_stanzas("Types: deb\nURIs: http://a\n\nTypes: deb deb-src\n"),
            "Types: deb-src\nURIs: http://a\n\nTypes: deb-src\n"
        );
    }
}
