//! A table of real command lines, each run with the bare compiler and through a cluster, with everything it leaves compared.
//!
//! A case is a shell line in a folder of its own. It is run twice from the same state of the same path, because paths end up in objects: once with the bare compilers,
//! once with the wrapper's names first in `PATH`. Exit code, both output streams, and every file's content, mode and kind must be the same. What the bare compiler itself
//! does by chance is made equal by the rules of the table, which must be shown to be needed.

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
use crate::host::Task;
use crate::log::LogFile;
use crate::programs::Flavour;
use crate::record;

/// For one line, through a cluster that may have to pack a toolchain first.
const PATIENCE: Duration = Duration::from_secs(240);
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
    let before = Snapshot::of(&bench.template_folder())?;
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
    // Its files are linked, not copied, into the folder of every case.
    if before != Snapshot::of(&bench.template_folder())? {
        bail!("a case changes the files all begin with");
    }
    Ok(Report { outcomes })
}

struct Bench<'a> {
    table: &'a Table,
    submitter: &'a Daemon,
    folder: &'a Path,
}

/// What one run of a line left.
struct Ran {
    status: String,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
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
        let folder = self.folder.join(&case.name);
        fs::create_dir(&folder)?;
        self.submitter.host().give(&folder)?;
        let log = LogFile::new(folder.join("jobs.log"));
        let done = self
            .submitter
            .host()
            .run(&self.script(case, &folder, &log), PATIENCE)?;
        outcome.wall = done.wall;
        if !done.status.success() {
            bail!("{}\n{}{}", done.status, done.out(), done.err());
        }
        let local = Ran::read(&folder, "local")?;
        if !case.rules.is_empty() {
            let again = Ran::read(&folder, "again")?;
            if differences(&local, &again, Leave::default()).is_empty() {
                bail!("needs no rule: two runs of the bare compiler are the same");
            }
            let left = differences(&local, &again, Leave::of(case));
            if !left.is_empty() {
                bail!("the bare compiler alone: {left:?}");
            }
        }
        outcome.differences = differences(&local, &Ran::read(&folder, "ours")?, Leave::of(case));
        outcome.jobs = match self.submitter.programs().flavour {
            Flavour::Gelato => record::from_build_log(&log.text())?,
            Flavour::Icecream => record::from_icecream_log(&log.text()),
        };
        let elsewhere = |job: &record::JobRecord| matches!(job.verdict, record::Verdict::Remote(_));
        let entirely = !outcome.jobs.is_empty() && outcome.jobs.iter().all(elsewhere);
        outcome.not_remote = case.remote && !entirely;
        if std::env::var_os("GELATO_LAB_KEEP").is_none() {
            fs::remove_dir_all(&folder)?;
        }
        Ok(outcome)
    }

    /// All runs of one case in one go: entering a host costs more than a small compilation.
    fn script(&self, case: &Case, folder: &Path, log: &LogFile) -> Task {
        let task = self.submitter.wrapped(Task::new("sh"));
        // Without variables for its log ours is as users have it: whatever it says of its own shows. Only the debug log of Icecream's says what became of a job.
        let (quiet, task) = match self.submitter.programs().flavour {
            Flavour::Gelato => (
                "unset ICECC_DEBUG ICECC_LOGFILE",
                task.env("GELATO_BUILD_LOG", log.path()),
            ),
            Flavour::Icecream => (":", task.env("ICECC_LOGFILE", log.path())),
        };
        let again = if case.rules.is_empty() {
            ":"
        } else {
            "run again \"$bare\""
        };
        let script = format!(
            "template=$1 line=$2 bare={BARE_PATH}; shift 2
            run() {{
                cp -al \"$base\" work && cd work || exit
                PATH=$2 sh -c \"$line\" >../\"$1\".out 2>../\"$1\".err
                echo $? >../\"$1\".status
                cd .. && mv work \"$1\" || exit
            }}
            base=$template
            if [ $# != 0 ]; then
                cp -al \"$template\" work && cd work || exit
                for prepare; do PATH=$bare sh -c \"$prepare\" || exit; done
                cd .. && mv work base || exit
                base=base
            fi
            run local \"$bare\"
            {again}
            {quiet}
            run ours \"$PATH\""
        );
        task.args(["-c", &script, "corpus"])
            .arg(self.template_folder())
            .arg(&case.run)
            .args(&case.prepare)
            .folder(folder)
    }
}

impl Ran {
    fn read(folder: &Path, name: &str) -> Result<Ran> {
        let part = |suffix: &str| -> Result<Vec<u8>> {
            let file = folder.join(format!("{name}.{suffix}"));
            fs::read(&file).with_context(|| file.display().to_string())
        };
        Ok(Ran {
            status: String::from_utf8_lossy(&part("status")?).trim().to_owned(),
            stdout: part("out")?,
            stderr: part("err")?,
            files: Snapshot::of(&folder.join(name))?,
        })
    }
}

fn differences(local: &Ran, ours: &Ran, leave: Leave<'_>) -> Vec<Difference> {
    let mut found = Vec::new();
    if local.status != ours.status {
        found.push(Difference::Exit {
            local: local.status.clone(),
            ours: ours.status.clone(),
        });
    }
    for (stream, local, ours) in [
        ("stdout", &local.stdout, &ours.stdout),
        ("stderr", &local.stderr, &ours.stderr),
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
