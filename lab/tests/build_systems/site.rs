//! One project, built first as if we did not exist and then in each of several ways through the cluster, always at the same
//! place, and the comparison of what comes out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use gelato_lab::record::from_build_log;
use gelato_lab::{Cluster, Daemon, Done, JobRecord, Task, Verdict, sources};

use crate::tree::{self, Tree};

/// One step of a build on a busy machine.
const STEP: Duration = Duration::from_secs(240);
/// What the wrapper's own messages begin with.
const OUR_WORDS: &str = "ICECC[";

/// Jobs of a build that no worker could do: links, ccache's preprocessing, questions about the compiler.
const EXPECTED_HERE: [&str; 3] = ["no-compile-step", "preprocess-only", "driver-query"];

/// How a build comes to the wrapper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Not at all.
    Plain,
    /// The masquerade folder stands first in `PATH`.
    Masquerade,
    /// `CC="icecc gcc" CXX="icecc g++"`.
    Named,
    /// `CC=icecc CXX="icecc g++"`.
    Bare,
    /// As launcher of CMake.
    Launcher,
    /// `CCACHE_PREFIX=icecc`, and ccache in front of the compiler or as launcher of CMake.
    CcachePrefix,
    /// `gelato build -- COMMAND`.
    GelatoBuild,
}

/// What a build system's own words depend on.
pub(crate) struct Words {
    way: Way,
    icecc: String,
}

impl Words {
    /// `CC=…` and `CXX=…` for a command line.
    pub(crate) fn compilers(&self) -> Vec<String> {
        let (cc, cxx) = self.compiler_values();
        vec![format!("CC={cc}"), format!("CXX={cxx}")]
    }

    /// CMake's options for launchers.
    pub(crate) fn launchers(&self) -> Vec<String> {
        let launcher = match self.way {
            Way::Launcher => self.icecc.as_str(),
            Way::CcachePrefix => "ccache",
            _ => return Vec::new(),
        };
        ["C", "CXX"]
            .iter()
            .map(|language| format!("-DCMAKE_{language}_COMPILER_LAUNCHER={launcher}"))
            .collect()
    }

    fn compiler_values(&self) -> (String, String) {
        let icecc = &self.icecc;
        match self.way {
            Way::Named => (format!("{icecc} gcc"), format!("{icecc} g++")),
            Way::Bare => (icecc.clone(), format!("{icecc} g++")),
            Way::CcachePrefix => ("ccache gcc".to_owned(), "ccache g++".to_owned()),
            _ => ("gcc".to_owned(), "g++".to_owned()),
        }
    }
}

/// A project with its build system.
pub(crate) struct System {
    /// Folder of `tests/data/projects`, or a source package.
    pub(crate) project: &'static str,
    /// Programs it needs besides compilers.
    pub(crate) needs: &'static [&'static str],
    /// Done once in the source folder `../source`, before all builds.
    pub(crate) prepare: &'static [&'static str],
    /// The command line that configures the empty build folder; none if there is nothing to configure.
    pub(crate) configure: fn(&Words) -> Vec<String>,
    /// The command line that builds.
    pub(crate) build: fn(&Words) -> Vec<String>,
    /// A header, in the source folder, whose change leads to some compilations but not all.
    pub(crate) touch: &'static str,
    /// A command, and what it must say.
    pub(crate) try_it: (&'static [&'static str], &'static str),
    /// Why, and how often at most, jobs of the build proper stay here, beside [`EXPECTED_HERE`].
    pub(crate) local: &'static [(&'static str, usize)],
    /// How many objects they make at most.
    pub(crate) local_objects: usize,
}

/// What one build led to.
struct Outcome {
    configure_output: Vec<String>,
    build_output: Vec<String>,
    tree: Tree,
    /// What ninja knows of dependencies.
    ninja: BTreeSet<String>,
    objects: usize,
    rebuilt: BTreeSet<PathBuf>,
    configure_jobs: Counts,
    jobs: Counts,
    jobs_of_nothing: Counts,
    jobs_of_rebuild: Counts,
}

/// Jobs by what became of them: `remote`, `failed-over`, or the reason to be local.
type Counts = BTreeMap<String, usize>;

/// Builds `system` plainly and in every way, and compares.
pub(crate) fn check(cluster: &Cluster, system: &System, ways: &[Way]) -> Result<()> {
    let site = Site::new(cluster, system, ways)?;
    let plain = site.carry_out(Way::Plain).context("the plain build")?;
    for way in ways {
        let begin = SystemTime::now();
        site.carry_out(*way)
            .and_then(|ours| {
                eprintln!(
                    "{} {way:?}: {} objects; configure {:?}, build {:?}, rebuilt after {} {:?}; {:.1} s",
                    system.project,
                    ours.objects,
                    ours.configure_jobs,
                    ours.jobs,
                    system.touch,
                    ours.jobs_of_rebuild,
                    begin.elapsed().unwrap_or_default().as_secs_f32()
                );
                ours.compare(&plain, *way, system)
            })
            .with_context(|| format!("{way:?}"))?;
    }
    Ok(())
}

/// Where the builds take place.
struct Site<'a> {
    submitter: &'a Daemon,
    system: &'a System,
    /// Whether the builds to be compared with the plain one name their compilers.
    compilers_named: bool,
    folder: PathBuf,
}

impl<'a> Site<'a> {
    fn new(cluster: &'a Cluster, system: &'a System, ways: &[Way]) -> Result<Site<'a>> {
        static COUNT: AtomicU16 = AtomicU16::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = cluster.work_folder(&format!("{}-{number}", system.project))?;
        let own = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/data/projects")
            .join(system.project);
        let from = if own.is_dir() {
            own
        } else {
            sources::fetch(system.project)?
        };
        sources::copy(&from, &folder.join("source"))?;
        let site = Site {
            submitter: cluster.submitter(),
            system,
            compilers_named: ways.contains(&Way::Named),
            folder,
        };
        for part in ["build", "tmp"] {
            fs::create_dir(site.folder.join(part))?;
        }
        site.submitter.host().give_all(&site.folder)?;
        if let Some((program, words)) = system.prepare.split_first() {
            let task = Task::new(program)
                .args(words)
                .env("TMPDIR", site.folder.join("tmp"))
                .folder(site.folder.join("source"));
            site.submitter.host().run(&task, STEP)?.success()?;
        }
        Ok(site)
    }

    fn carry_out(&self, way: Way) -> Result<Outcome> {
        let words = Words {
            way,
            icecc: self.submitter.programs().icecc.display().to_string(),
        };
        let build = self.folder.join("build");
        fs::remove_dir_all(&build)?;
        fs::create_dir(&build)?;
        self.submitter.host().give(&build)?;
        let plain = |text: &str| self.without_us(text, way);

        let mut configure_output = Vec::new();
        let mut configure_jobs = Counts::new();
        let line = (self.system.configure)(&words);
        if !line.is_empty() {
            let done = self.step(&words, &line)?;
            configure_jobs = self.counts(way, &done)?;
            configure_output = messages(&plain(&format!("{}{}", done.out(), errors(way, &done))));
        }
        let line = (self.system.build)(&words);
        let done = self.step(&words, &line).context("build")?;
        let jobs = self.counts(way, &done)?;
        let build_output = messages(&plain(&format!("{}{}", done.out(), errors(way, &done))));
        let first = tree::objects(&build)?;
        let tree = tree::read(&build, &plain)?;
        let ninja = self.ninja_dependencies()?;
        self.try_it()?;

        let done = self.step(&words, &line).context("second build")?;
        let jobs_of_nothing = self.counts(way, &done)?;
        let second = tree::objects(&build)?;
        ensure!(
            tree::rewritten(&first, &second).is_empty(),
            "a second build compiles again"
        );
        let header = self.folder.join("source").join(self.system.touch);
        fs::File::options()
            .append(true)
            .open(&header)
            .and_then(|file| file.set_modified(SystemTime::now()))
            .with_context(|| header.display().to_string())?;
        let done = self.step(&words, &line).context("rebuild")?;
        let jobs_of_rebuild = self.counts(way, &done)?;
        let third = tree::objects(&build)?;
        let told = tree::diaries_with(&build, OUR_WORDS)?;
        ensure!(told.is_empty(), "the wrapper's own words are in {told:?}");
        Ok(Outcome {
            configure_output,
            build_output,
            tree,
            ninja,
            objects: first.len(),
            rebuilt: tree::rewritten(&second, &third),
            configure_jobs,
            jobs,
            jobs_of_nothing,
            jobs_of_rebuild,
        })
    }

    /// Runs a command line in the build folder.
    fn step(&self, words: &Words, line: &[String]) -> Result<Done> {
        let programs = self.submitter.programs();
        let mut path = programs.masquerade.clone().into_os_string();
        path.push(":/usr/bin:/bin");
        let mut line = line.to_vec();
        if words.way == Way::GelatoBuild {
            let gelato = programs.gelato.as_ref().context("gelato is ours")?;
            let before = [&gelato.display().to_string(), "build", "-j4", "--"];
            line.splice(0..0, before.map(str::to_owned));
        }
        let (program, arguments) = line.split_first().context("no command")?;
        let mut task = Task::new(program)
            .args(arguments)
            .folder(self.folder.join("build"))
            .env("SOURCE_DATE_EPOCH", "1000000000")
            .env("TMPDIR", self.folder.join("tmp"))
            .env(
                "CCACHE_DIR",
                self.folder.join(format!("ccache-{:?}", words.way)),
            )
            .env(
                "PATH",
                match words.way {
                    Way::Masquerade => path,
                    _ => "/usr/bin:/bin".into(),
                },
            );
        if words.way != Way::Plain {
            let _ = fs::remove_file(self.build_log());
            task = task
                .env("ICECC_TEST_SOCKET", self.submitter.socket())
                .env("ICECC_TEST_REMOTEBUILD", "1")
                .env("GELATO_BUILD_LOG", self.build_log())
                // Nobody there: the daemon is enough.
                .env("USE_SCHEDULER", "127.0.0.1:1");
        }
        if words.way == Way::CcachePrefix {
            task = task.env("CCACHE_PREFIX", &words.icecc);
        }
        let named = match words.way {
            // Meson takes ccache by itself unless the compiler is named.
            Way::Plain => self.compilers_named,
            way => way == Way::Named,
        };
        if named {
            let (cc, cxx) = words.compiler_values();
            task = task.env("CC", cc).env("CXX", cxx);
        }
        self.submitter
            .host()
            .run(&task, STEP)?
            .success()
            .with_context(|| line.join(" "))
    }

    /// What became of the jobs of the last step.
    fn counts(&self, way: Way, done: &Done) -> Result<Counts> {
        match way {
            Way::Plain => Ok(Counts::new()),
            Way::GelatoBuild => summary(&done.err()),
            _ => {
                let text = fs::read_to_string(self.build_log()).unwrap_or_default();
                Ok(counts(&from_build_log(&text)?))
            }
        }
    }

    fn build_log(&self) -> PathBuf {
        self.folder.join("build.log")
    }

    /// `text` as a build that knows nothing of us would have written it.
    fn without_us(&self, text: &str, way: Way) -> String {
        let programs = self.submitter.programs();
        let masquerade = format!("{}/", programs.masquerade.display());
        let own = self.submitter.host().folder();
        let kept = format!("{}/home/.local/share/gelato/compilers/", own.display());
        let icecc = programs.icecc.display();
        let text = text
            .replace(&masquerade, "/usr/bin/")
            .replace(&kept, "/usr/bin/");
        let text = match way {
            Way::Launcher | Way::CcachePrefix => text
                .replace(&format!("{icecc} "), "")
                .replace("= ccache ", "= ")
                .replace("ccache /usr/bin/", "/usr/bin/")
                .replace("ccache g", "g"),
            Way::Named | Way::Bare => text
                .replace(&format!("{icecc} g"), "g")
                .replace(&format!("\"{icecc}\", "), "")
                .replace(&icecc.to_string(), "gcc"),
            Way::Plain | Way::Masquerade | Way::GelatoBuild => text,
        };
        // Configure scripts quote words with spaces in them. CMake's cache has launchers with a remark and an empty line.
        text.replace(r"'\''", "")
            .lines()
            .filter(|line| {
                !line.is_empty()
                    && !line.contains("COMPILER_LAUNCHER")
                    && *line != "//No help, variable specified on the command line."
            })
            .map(|line| format!("{line}\n"))
            .collect()
    }

    /// Ninja's own record of dependencies, without times, if there is one.
    fn ninja_dependencies(&self) -> Result<BTreeSet<String>> {
        let build = self.folder.join("build");
        if !build.join(".ninja_deps").exists() {
            return Ok(BTreeSet::new());
        }
        let file = if build.join("build.ninja").exists() {
            "build.ninja"
        } else {
            "../source/build.ninja"
        };
        let task = Task::new("ninja")
            .args(["-f", file, "-t", "deps"])
            .folder(&build);
        let done = self.submitter.host().run(&task, STEP)?.success()?;
        Ok(done
            .out()
            .split("\n\n")
            .map(|block| {
                let without_time = |line: &str| match line.split_once(", deps mtime ") {
                    Some((start, _)) => start.to_owned(),
                    None => line.to_owned(),
                };
                block
                    .lines()
                    .map(without_time)
                    .collect::<Vec<_>>()
                    .join("\n")
            })
            .collect())
    }

    fn try_it(&self) -> Result<()> {
        let (words, expected) = self.system.try_it;
        let (program, words) = words.split_first().context("nothing to try")?;
        let build = self.folder.join("build");
        let task = Task::new(program)
            .args(words)
            .env("TMPDIR", self.folder.join("tmp"))
            .folder(&build);
        let done = self.submitter.host().run(&task, STEP)?;
        let done = done.success().context("the built program")?;
        ensure!(done.out().contains(expected), "it says {}", done.out());
        Ok(())
    }
}

impl Outcome {
    fn compare(&self, plain: &Outcome, way: Way, system: &System) -> Result<()> {
        same_lines(&self.configure_output, &plain.configure_output)
            .context("what the configuration printed")?;
        same_lines(&self.build_output, &plain.build_output).context("what the build printed")?;
        tree::same(&self.tree, &plain.tree)?;
        ensure!(self.ninja == plain.ninja, "ninja knows other dependencies");
        ensure!(self.objects > 0 && self.objects == plain.objects, "objects");

        let count = |jobs: &Counts, what: &str| jobs.get(what).copied().unwrap_or(0);
        ensure!(
            count(&self.configure_jobs, "remote") == 0,
            "tests of the configuration went to workers: {:?}",
            self.configure_jobs
        );
        let as_expected = self.jobs.iter().all(|(what, number)| {
            what == "remote"
                || EXPECTED_HERE.contains(&what.as_str())
                || system
                    .local
                    .iter()
                    .any(|(reason, most)| reason == what && number <= most)
        });
        ensure!(
            as_expected && count(&self.jobs, "remote") + system.local_objects >= self.objects,
            "of {} objects: {:?}",
            self.objects,
            self.jobs
        );
        ensure!(
            self.jobs_of_nothing.is_empty(),
            "{:?}",
            self.jobs_of_nothing
        );
        ensure!(
            !self.rebuilt.is_empty() && self.rebuilt == plain.rebuilt,
            "after touching {} rebuilt {:?} in place of {:?}",
            system.touch,
            self.rebuilt,
            plain.rebuilt
        );
        // Only the time of the header is new, and ccache goes by content.
        let ccache = way == Way::CcachePrefix || count(&self.jobs, "preprocess-only") > 0;
        let compiled = if ccache { 0 } else { self.rebuilt.len() };
        ensure!(
            count(&self.jobs_of_rebuild, "remote") + system.local_objects >= compiled,
            "of {compiled} objects again: {:?}",
            self.jobs_of_rebuild
        );
        Ok(())
    }
}

/// The lines of an output, sorted because jobs end in any order, without those that count steps.
fn messages(output: &str) -> Vec<String> {
    let mut lines: Vec<String> = output
        .lines()
        .filter(|line| !line.starts_with('['))
        .map(str::to_owned)
        .collect();
    lines.sort();
    lines
}

fn same_lines(ours: &[String], plain: &[String]) -> Result<()> {
    let count = |lines: &[String], line: &String| lines.iter().filter(|l| *l == line).count();
    let more = |in_these: &[String], than_those: &[String]| -> Vec<String> {
        let mut found = in_these.to_vec();
        found.dedup();
        found.retain(|line| count(in_these, line) > count(than_those, line));
        found
    };
    if ours != plain {
        bail!(
            "too much: {:#?}\nmissing: {:#?}",
            more(ours, plain),
            more(plain, ours)
        );
    }
    Ok(())
}

/// Standard error without the line `gelato build` ends with.
fn errors(way: Way, done: &Done) -> String {
    let text = done.err();
    if way == Way::GelatoBuild {
        text.lines()
            .filter(|line| !line.starts_with("gelato: "))
            .map(|line| format!("{line}\n"))
            .collect()
    } else {
        text
    }
}

fn counts(jobs: &[JobRecord]) -> Counts {
    let mut counts = Counts::new();
    for job in jobs {
        let what = match &job.verdict {
            Verdict::Remote(_) => "remote",
            Verdict::FailedOver(_) => "failed-over",
            Verdict::Local(reason) => reason,
        };
        *counts.entry(what.to_owned()).or_default() += 1;
    }
    counts
}

/// Counts from the line `gelato build` ends with: `gelato: 7 jobs: 5 remote on 2 workers, 2 local, 0 failed over (1 REASON, …); …`.
fn summary(stderr: &str) -> Result<Counts> {
    let line = stderr.lines().last().unwrap_or_default();
    let rest = line
        .split_once(": ")
        .and_then(|(_, rest)| rest.split_once(": "))
        .map(|(_, rest)| rest)
        .with_context(|| format!("no summary: {line}"))?;
    let rest = rest.split(';').next().unwrap_or_default();
    let mut counts = Counts::new();
    for part in rest.split([',', '(', ')']) {
        let mut words = part.split_whitespace();
        if let (Some(Ok(number)), Some(what)) =
            (words.next().map(str::parse::<usize>), words.next())
            && number > 0
            && what != "local"
        {
            let what = if what == "failed" {
                "failed-over"
            } else {
                what
            };
            counts.insert(what.to_owned(), number);
        }
    }
    Ok(counts)
}
