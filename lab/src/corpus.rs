//! A table of real command lines, each run with the bare compiler and through a cluster, with everything it leaves compared.
//!
//! A case is a shell line in a folder of its own. It is run twice from the same state of the same path, because paths end up in objects: once with the bare compilers,
//! once with the wrapper's names first in `PATH`. Exit code, both output streams, and every file's content, mode and kind must be the same. What the bare compiler itself
//! does by chance is made equal by the rules of the table, which must be shown to be needed.

mod producer;
mod report;
mod snapshot;
mod table;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};

pub use report::{Difference, Outcome, Report};
pub use snapshot::{Leave, Snapshot};
pub use table::{Case, Rule, Table};

use crate::daemon::Daemon;
use crate::host::{Done, Task};
use crate::log::LogFile;
use crate::programs::Flavour;
use crate::record;

/// For one line, through a cluster that may have to pack a toolchain first.
const PATIENCE: Duration = Duration::from_secs(60);
/// All files of all cases are of this time, in Unix seconds: some of them ask.
const FILE_TIME: &str = "@1700000000";
const BARE_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The corpus of this repository.
///
/// # Errors
/// The table is missing or does not parse.
pub fn load() -> Result<Table> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/corpus");
    let file = folder.join("cases.txt");
    let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    Table::parse(&text, folder.join("tree")).with_context(|| file.display().to_string())
}

/// Runs the cases of `table` whose names `wanted` picks, `parallel` at a time, below `folder`, on the host of `submitter`.
///
/// # Errors
/// The files of the cases cannot be laid out; what goes wrong with a case is part of the report.
pub fn run(
    table: &Table,
    submitter: &Daemon,
    folder: &Path,
    parallel: usize,
    wanted: impl Fn(&str) -> bool,
) -> Result<Report> {
    let bench = Bench {
        table,
        submitter,
        folder,
    };
    bench.template()?;
    let cases: Vec<&Case> = table
        .cases
        .iter()
        .filter(|case| wanted(&case.name))
        .collect();
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..parallel.max(1) {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = bench.case(case).unwrap_or_else(|error| Outcome {
                        error: Some(format!("{error:#}")),
                        ..Outcome::new(&case.name)
                    });
                    if let Ok(mut outcomes) = outcomes.lock() {
                        outcomes.push(outcome);
                    }
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().unwrap_or_default();
    outcomes.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Report { outcomes })
}

struct Bench<'a> {
    table: &'a Table,
    submitter: &'a Daemon,
    folder: &'a Path,
}

/// What one run of a line left.
struct Ran {
    done: Done,
    files: Snapshot,
}

impl Bench<'_> {
    fn template_folder(&self) -> PathBuf {
        self.folder.join("template")
    }

    fn template(&self) -> Result<()> {
        let template = self.template_folder();
        command("cp", &["-R"], &[&self.table.tree, &template])?;
        command(
            "find",
            &[],
            &[
                &template,
                Path::new("-exec"),
                Path::new("touch"),
                Path::new("-d"),
                Path::new(FILE_TIME),
                Path::new("{}"),
                Path::new("+"),
            ],
        )?;
        self.submitter.host().give_all(&template)
    }

    fn case(&self, case: &Case) -> Result<Outcome> {
        let mut outcome = Outcome::new(&case.name);
        if let Some(missing) = case.needs.as_ref().filter(|file| !file.exists()) {
            outcome.left_out = Some(format!("{} is not there", missing.display()));
            return Ok(outcome);
        }
        let work = self.folder.join("work").join(&case.name);
        let base = self.folder.join("base").join(&case.name);
        for folder in [&work, &base] {
            fs::create_dir_all(folder.parent().context("folder of cases")?)?;
        }
        copy(&self.template_folder(), &work)?;
        for line in &case.prepare {
            let done = self.bare(line, &work)?;
            if !done.status.success() {
                bail!("{line}: {}\n{}{}", done.status, done.out(), done.err());
            }
        }
        fs::rename(&work, &base)?;
        let local = self.ran(&work, &base, || self.bare(&case.run, &work))?;
        if !case.rules.is_empty() {
            let again = self.ran(&work, &base, || self.bare(&case.run, &work))?;
            if differences(&local, &again, Leave::default()).is_empty() {
                bail!("needs no rule: two runs of the bare compiler are the same");
            }
            outcome.differences = differences(&local, &again, Leave::of(case));
            if !outcome.differences.is_empty() {
                bail!("the bare compiler alone: {:?}", outcome.differences);
            }
        }
        let log = LogFile::new(self.folder.join(format!("{}.log", case.name)));
        let ours = self.ran(&work, &base, || self.wrapped(&case.run, &work, &log))?;
        outcome.differences = differences(&local, &ours, Leave::of(case));
        outcome.jobs = match self.submitter.programs().flavour {
            Flavour::Gelato => record::from_build_log(&log.text())?,
            Flavour::Icecream => record::from_icecream_log(&log.text()),
        };
        let elsewhere = |job: &record::JobRecord| matches!(job.verdict, record::Verdict::Remote(_));
        if case.remote && !(outcome.jobs.iter().all(elsewhere) && !outcome.jobs.is_empty()) {
            outcome.not_remote = true;
        }
        fs::remove_dir_all(&base)?;
        Ok(outcome)
    }

    /// Runs a line in a fresh copy of `base` called `work`, and removes that.
    fn ran(&self, work: &Path, base: &Path, run: impl Fn() -> Result<Done>) -> Result<Ran> {
        copy(base, work)?;
        let done = run()?;
        let files = Snapshot::of(work)?;
        fs::remove_dir_all(work)?;
        Ok(Ran { done, files })
    }

    fn bare(&self, line: &str, folder: &Path) -> Result<Done> {
        let task = Task::new("sh")
            .args(["-c", line])
            .env("PATH", BARE_PATH)
            .folder(folder);
        self.submitter.host().run(&task, PATIENCE)
    }

    fn wrapped(&self, line: &str, folder: &Path, log: &LogFile) -> Result<Done> {
        let task = self.submitter.wrapped(Task::new("sh"));
        let task = match self.submitter.programs().flavour {
            // As users have it: whatever the wrapper says of its own shows.
            Flavour::Gelato => task
                .args(["-c", &format!("unset ICECC_DEBUG ICECC_LOGFILE; {line}")])
                .env("GELATO_BUILD_LOG", log.path()),
            // Only its debug log says what became of a job.
            Flavour::Icecream => task.args(["-c", line]).env("ICECC_LOGFILE", log.path()),
        };
        self.submitter.host().run(&task.folder(folder), PATIENCE)
    }
}

fn differences(local: &Ran, ours: &Ran, leave: Leave<'_>) -> Vec<Difference> {
    let mut found = Vec::new();
    if local.done.status != ours.done.status {
        found.push(Difference::Exit {
            local: local.done.status.to_string(),
            ours: ours.done.status.to_string(),
        });
    }
    for (stream, local, ours) in [
        ("stdout", &local.done.stdout, &ours.done.stdout),
        ("stderr", &local.done.stderr, &ours.done.stderr),
    ] {
        let local = Rule::apply_all(leave.rules, local);
        let ours = Rule::apply_all(leave.rules, ours);
        if local != ours {
            found.push(Difference::Output {
                stream,
                local: String::from_utf8_lossy(&local).into_owned(),
                ours: String::from_utf8_lossy(&ours).into_owned(),
            });
        }
    }
    found.extend(local.files.differences(&ours.files, leave));
    found
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    command("cp", &["-a"], &[from, to])
}

fn command(program: &str, options: &[&str], paths: &[&Path]) -> Result<()> {
    let output = Command::new(program)
        .args(options)
        .args(paths)
        .output()
        .with_context(|| format!("cannot start {program}"))?;
    if !output.status.success() {
        bail!(
            "{program} {paths:?}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}
