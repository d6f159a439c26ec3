//! Compiling through a cluster and beside it, and comparing the two.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::daemon::Daemon;
use crate::host::{Done, Place, Task};
use crate::log::LogFile;
use crate::programs::Flavour;
use crate::record::{self, JobRecord};

/// Files below a folder by their path in it.
pub type Files = BTreeMap<PathBuf, Vec<u8>>;

impl Daemon {
    /// Adds to `task` what makes wrappers in it speak to this daemon and record their jobs.
    ///
    /// The masquerade folder comes first in `PATH`, so a plain `gcc` in a makefile is the wrapper.
    pub fn wrapped(&self, task: Task) -> Task {
        self.wrapping()
            .into_iter()
            .fold(task, |task, (name, value)| task.env(name, value))
    }

    /// The variables of [`Daemon::wrapped`].
    pub fn wrapping(&self) -> Vec<(OsString, OsString)> {
        let mut path = self.programs().masquerade.clone().into_os_string();
        path.push(":/usr/local/bin:/usr/bin:/bin");
        let mut variables: Vec<(OsString, OsString)> = vec![
            ("PATH".into(), path),
            ("ICECC_DEBUG".into(), "debug".into()),
            ("ICECC_LOGFILE".into(), self.wrapper_log().path().into()),
            ("GELATO_BUILD_LOG".into(), self.build_log().path().into()),
        ];
        if matches!(self.host().place, Place::Loopback) {
            variables.extend([
                ("ICECC_TESTS".into(), "1".into()),
                ("ICECC_TEST_SOCKET".into(), self.socket().into()),
                ("ICECC_TEST_REMOTEBUILD".into(), "1".into()),
            ]);
        }
        variables
    }

    /// Runs `icecc COMPILER ARGS` in `folder`.
    ///
    /// # Errors
    /// It cannot be started or does not end within `limit`.
    pub fn compile(
        &self,
        compiler: &str,
        args: &[&str],
        folder: &Path,
        limit: Duration,
    ) -> Result<Done> {
        self.host()
            .run(&self.compile_task(compiler, args, folder), limit)
    }

    /// The task of [`Daemon::compile`].
    pub fn compile_task(&self, compiler: &str, args: &[&str], folder: &Path) -> Task {
        self.wrapped(
            Task::new(self.programs().icecc.clone())
                .arg(compiler)
                .args(args)
                .folder(folder),
        )
    }

    /// Where each job of this daemon's wrappers ran, since the last [`Daemon::forget_jobs`].
    ///
    /// # Errors
    /// The record has a form nobody knows.
    pub fn jobs(&self) -> Result<Vec<JobRecord>> {
        match self.programs().flavour {
            Flavour::Gelato => record::from_build_log(&self.build_log().text()),
            Flavour::Icecream => Ok(record::from_icecream_log(&self.wrapper_log().text())),
        }
    }

    /// Empties the records.
    ///
    /// # Errors
    /// What the file system says.
    pub fn forget_jobs(&self) -> Result<()> {
        self.wrapper_log().clear()?;
        self.build_log().clear()?;
        Ok(())
    }

    /// Log of this daemon's wrappers.
    pub fn wrapper_log(&self) -> LogFile {
        LogFile::new(self.host().folder().join("wrapper.log"))
    }

    fn build_log(&self) -> LogFile {
        LogFile::new(self.host().folder().join("build.log"))
    }
}

/// Writes `text` to `name` in `folder`, readable for everybody.
///
/// # Errors
/// What the file system says.
pub fn write(folder: &Path, name: &str, text: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(&path, text).with_context(|| path.display().to_string())?;
    Ok(path)
}

/// All files below `folder` whose name ends in `suffix`.
///
/// # Errors
/// What the file system says.
pub fn files(folder: &Path, suffix: &str) -> Result<Files> {
    let mut found = Files::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next)? {
            let path = entry?.path();
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
            } else if path
                .as_os_str()
                .as_encoded_bytes()
                .ends_with(suffix.as_bytes())
            {
                found.insert(path.strip_prefix(folder)?.to_owned(), fs::read(&path)?);
            }
        }
    }
    Ok(found)
}

/// Checks that both have the same files with the same bytes, and at least one.
///
/// # Errors
/// They differ; the error names the files.
pub fn same(ours: &Files, local: &Files) -> Result<()> {
    if local.is_empty() {
        bail!("nothing to compare");
    }
    let differing: Vec<String> = ours
        .keys()
        .chain(local.keys())
        .filter(|path| ours.get(*path) != local.get(*path))
        .map(|path| path.display().to_string())
        .collect();
    if !differing.is_empty() {
        bail!("differing from the local build: {}", differing.join(", "));
    }
    Ok(())
}

/// A C source whose compilation with `-O2` takes a second or more, so that things can happen in the middle.
pub fn slow_source() -> String {
    let mut text = String::from("#include <math.h>\n");
    for number in 0..120 {
        text.push_str(&format!(
            "double f{number}(double *a, int n) {{\n  double s = {number};\n  for (int i = 1; i < n; i++) \
             {{ s += a[i] * sin(a[i - 1]) + {number}; if (s > a[i]) s /= 3; else a[i] = s * {number}; }}\n  \
             for (int i = 1; i < n; i++) a[i] += a[i - 1] * s;\n  return s;\n}}\n"
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differing_and_missing_files() {
        let file = |name: &str, text: &str| (PathBuf::from(name), text.as_bytes().to_vec());
        let local = Files::from([file("a.o", "1"), file("b.o", "2"), file("c.o", "3")]);
        let ours = Files::from([file("a.o", "1"), file("b.o", "x")]);
        let error = same(&ours, &local).unwrap_err().to_string();
        assert!(
            !error.contains("a.o") && error.contains("b.o") && error.contains("c.o"),
            "{error}"
        );
        assert!(same(&local, &local).is_ok());
        assert!(same(&Files::new(), &Files::new()).is_err());
    }
}
