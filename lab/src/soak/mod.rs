//! Builds on a cluster in which everything fails at random: programs are killed, stopped, cut off, lose their disk.
//!
//! Whatever happens, no build may fail that was not itself killed, no object may differ from the local one, nothing may
//! hang, and nothing may be left behind. The troubles are made from a seed before anything runs ([`plan`]); a run that
//! goes wrong shows seed, plan, and what happened when. `GELATO_SOAK_SEED` repeats a plan, `GELATO_SOAK_SECONDS` makes it
//! longer. How the programs meet the plan still differs from run to run.

mod liar;
mod load;
pub mod plan;
mod project;
pub mod random;
mod stage;
mod tidy;
mod timeline;

use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};

use crate::cluster::Cluster;
use crate::programs::Flavour;
use crate::record::{JobRecord, Verdict};
use crate::spec::{DaemonSpec, Layout};
use liar::Liar;
use load::Builder;
use plan::{Cast, Fault};
use project::Project;
use stage::Stage;
use timeline::Timeline;

/// Who takes part.
pub(crate) const CAST: Cast = Cast {
    schedulers: 2,
    workers: 3,
    submitters: 2,
    builders: 4,
    can_pause: true,
};

/// Room for the toolchains of two compilers and little more.
const SMALL_DISK: u32 = 700;

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// What the plan is made from.
    pub seed: u64,
    /// How long things go wrong.
    pub span: Duration,
}

/// The seed of the plan that is carried out without a wish for another one.
const USUAL_SEED: u64 = 5;

impl Settings {
    /// From `GELATO_SOAK_SEED` (0: the time) and `GELATO_SOAK_SECONDS`; without them the seed is always the same one, because a gate
    /// is to judge the change and not the day, and the span is `span`.
    ///
    /// # Errors
    /// One of them is no number.
    pub fn from_environment(span: Duration) -> Result<Settings> {
        let number = |name: &str| -> Result<Option<u64>> {
            let Some(text) = std::env::var_os(name) else {
                return Ok(None);
            };
            let text = text.to_string_lossy();
            Ok(Some(text.parse().with_context(|| {
                format!("{name} is `{text}`, a number is needed")
            })?))
        };
        let clock = SystemTime::now().duration_since(UNIX_EPOCH)?;
        Ok(Settings {
            seed: match number("GELATO_SOAK_SEED")? {
                None => USUAL_SEED,
                Some(0) => clock.as_secs(),
                Some(seed) => seed,
            },
            span: number("GELATO_SOAK_SECONDS")?.map_or(span, Duration::from_secs),
        })
    }
}

/// Runs it, and says what it came to.
///
/// # Errors
/// Whatever went wrong. Plan and course are on standard error then.
pub fn run(settings: Settings) -> Result<String> {
    let faults = plan::generate(settings.seed, settings.span, &CAST);
    eprintln!(
        "soak: GELATO_SOAK_SEED={} GELATO_SOAK_SECONDS={}, {} faults",
        settings.seed,
        settings.span.as_secs(),
        faults.len()
    );
    let mut cluster = start()?;
    let folder = cluster.work_folder("project")?;
    let project = Project::create(&folder, cluster.submitter().host())?;
    let timeline = Timeline::start();
    let outcome = course(settings, &faults, &mut cluster, &project, &timeline);
    let jobs = jobs(&cluster)?;
    let mut failures = timeline.failures();
    failures.extend(outcome.err().map(|error| format!("{error:#}")));
    if failures.is_empty() {
        failures.extend(remarks(&jobs));
    }
    if failures.is_empty() {
        remove_leftovers_of_killed_compilers(&cluster)?;
        cluster.shut_down()?;
        return Ok(summary(&faults, &jobs, timeline.now()));
    }
    eprintln!("--- the plan, from seed {}", settings.seed);
    for fault in &faults {
        eprintln!("{fault}");
    }
    eprintln!("--- what happened\n{}", timeline.render(&jobs));
    bail!("{}", failures.join("\n"));
}

fn start() -> Result<Cluster> {
    let mut builder = Cluster::builder(Layout::Namespaces)
        .scheduler(Flavour::Gelato)
        .standby_schedulers(CAST.schedulers - 1)
        .strangers(1);
    for number in 0..CAST.submitters {
        // Without slots of its own: small jobs would be assigned to it.
        let name = format!("submitter{number}");
        builder = builder.daemon(DaemonSpec::submitter(&name, Flavour::Gelato).steady_load());
    }
    for number in 0..CAST.workers {
        let spec = DaemonSpec::worker(&format!("worker{number}"), Flavour::Gelato).steady_load();
        builder = builder.daemon(if number + 1 == CAST.workers {
            spec.small_disk(SMALL_DISK)
        } else {
            spec
        });
    }
    builder.start()
}

fn course(
    settings: Settings,
    faults: &[Fault],
    cluster: &mut Cluster,
    project: &Project,
    timeline: &Timeline,
) -> Result<()> {
    let builders: Vec<Builder> = (0..CAST.builders)
        .map(|index| {
            let daemon = &cluster.daemons()[index % CAST.submitters];
            Builder::new(index, daemon.host().clone(), daemon.wrapping())
        })
        .collect();
    all_build(&builders[..CAST.submitters], project, timeline).context("before the troubles")?;
    let before = tidy::quiet(cluster)?;
    let toolchains = tidy::toolchains(cluster.workers());
    let liar = Liar::start(&cluster.strangers()[0], toolchains, project);
    timeline.note("the troubles begin");
    let stop = AtomicBool::new(false);
    let begin = timeline.now();
    std::thread::scope(|scope| {
        for builder in &builders {
            let seed = settings.seed.wrapping_add(1 + builder.index as u64);
            let stop = &stop;
            scope.spawn(move || builder.work(project, timeline, stop, seed));
        }
        let mut stage = Stage::new(cluster, &builders, timeline, CAST.submitters, settings.seed);
        play(faults, begin, settings.span, &mut stage);
        stop.store(true, Ordering::Relaxed);
        timeline.note("the troubles are over");
    });
    ensure!(timeline.failures().is_empty(), "see above");
    timeline.note(format!("{} jobs were given to the liar", liar.told()));
    ensure!(liar.told() != 0, "nobody fell for the liar");
    drop(liar);
    cluster.wait_ready().context("after the troubles")?;
    timeline.note("everybody is logged in");
    all_build(&builders[..CAST.submitters], project, timeline).context("after the troubles")?;
    tidy::back_to(&before, cluster).context("after the troubles")?;
    timeline.note("all is as it was before");
    Ok(())
}

/// Between two looks at a fault that lasts.
const TURN: Duration = Duration::from_millis(150);

/// What to do about a fault, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Begin,
    GoOn(u32),
    End,
}

/// Everybody builds everything at once.
fn all_build(builders: &[Builder], project: &Project, timeline: &Timeline) -> Result<()> {
    let everything: Vec<String> = project.local.keys().cloned().collect();
    std::thread::scope(|scope| {
        let builds: Vec<_> = builders
            .iter()
            .map(|builder| scope.spawn(|| builder.build(project, timeline, &everything)))
            .collect();
        builds.into_iter().try_for_each(|build| {
            build
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    })
}

/// Begins and ends all faults at their times, or stops at the first that cannot be carried out.
fn play(faults: &[Fault], begin: Duration, span: Duration, stage: &mut Stage<'_>) {
    use std::cmp::Reverse;
    let mut steps: BinaryHeap<Reverse<(Duration, usize, Step)>> = BinaryHeap::new();
    for (index, fault) in faults.iter().enumerate() {
        steps.push(Reverse((fault.at, index, Step::Begin)));
    }
    let mut busy = BTreeSet::new();
    while let Some(Reverse((at, index, step))) = steps.pop() {
        crate::wait::until_moment(stage.timeline.moment(begin + at));
        stage.look_for_deaths();
        let fault = &faults[index];
        // After something went wrong, only what is broken is healed.
        if step == Step::Begin && !stage.timeline.failures().is_empty() {
            continue;
        }
        // Ending in order may take longer than planned.
        if step == Step::Begin && !busy.insert(fault.role) {
            stage.timeline.note(format!(
                "{}: no {:?}, there is other trouble",
                fault.role, fault.what
            ));
            continue;
        }
        let turn = at + TURN;
        let done = match step {
            Step::Begin => stage.begin(fault).map(|()| false),
            Step::GoOn(number) => stage.go_on(fault, number).map(|()| false),
            Step::End => stage.end(fault),
        };
        let next = match step {
            Step::Begin if turn < fault.end() => (turn, index, Step::GoOn(0)),
            Step::GoOn(number) if turn < fault.end() => (turn, index, Step::GoOn(number + 1)),
            Step::Begin | Step::GoOn(_) => (fault.end(), index, Step::End),
            Step::End => (turn, index, Step::End),
        };
        match done {
            Ok(true) => {
                busy.remove(&fault.role);
            }
            Ok(false) => steps.push(Reverse(next)),
            Err(error) => stage.timeline.fail(format!("{fault}: {error:#}")),
        }
    }
    if stage.timeline.failures().is_empty() {
        crate::wait::until_moment(stage.timeline.moment(begin + span));
    }
}

/// All jobs of all submitters, by name of the submitter.
fn jobs(cluster: &Cluster) -> Result<Vec<(String, JobRecord)>> {
    let mut jobs = Vec::new();
    for daemon in &cluster.daemons()[..CAST.submitters] {
        for job in daemon.jobs()? {
            jobs.push((daemon.name().to_owned(), job));
        }
    }
    Ok(jobs)
}

/// What a run without failures must still show.
fn remarks(jobs: &[(String, JobRecord)]) -> Vec<String> {
    let mut wrong = Vec::new();
    let remote = jobs
        .iter()
        .filter(|(_, job)| matches!(job.verdict, Verdict::Remote(_)))
        .count();
    if remote * 4 < jobs.len() {
        wrong.push(format!("only {remote} of {} jobs were remote", jobs.len()));
    }
    for (submitter, job) in jobs {
        if job
            .course
            .is_some_and(|course| course.took > load::JOB_BOUND)
        {
            wrong.push(format!("{submitter}: {} took too long: {job:?}", job.what));
        }
        let interrupted = job.course.is_some_and(|course| course.exit_code >= 128);
        if job.verdict == Verdict::FailedOver("-".to_owned()) && !interrupted {
            wrong.push(format!(
                "{submitter}: {} failed over for no reason",
                job.what
            ));
        }
    }
    wrong
}

fn summary(faults: &[Fault], jobs: &[(String, JobRecord)], wall: Duration) -> String {
    let mut verdicts: BTreeMap<String, usize> = BTreeMap::new();
    let mut longest = Duration::ZERO;
    for (_, job) in jobs {
        let name = match &job.verdict {
            Verdict::Remote(_) => "remote".to_owned(),
            Verdict::Local(reason) => format!("local ({reason})"),
            Verdict::FailedOver(reason) => format!("failed over ({reason})"),
        };
        *verdicts.entry(name).or_default() += 1;
        longest = longest.max(job.course.map_or(Duration::ZERO, |course| course.took));
    }
    let mut kinds: BTreeMap<plan::What, usize> = BTreeMap::new();
    for fault in faults {
        *kinds.entry(fault.what).or_default() += 1;
    }
    format!(
        "soak: {} jobs in {:.0} s under {} faults, the longest {:.1} s; {verdicts:?}; {kinds:?}",
        jobs.len(),
        wall.as_secs_f64(),
        faults.len(),
        longest.as_secs_f64()
    )
}

/// GCC cannot remove its temporary files when it is killed along with its wrapper, here as without one. On workers nothing may be left.
fn remove_leftovers_of_killed_compilers(cluster: &Cluster) -> Result<()> {
    for submitter in cluster.daemons().iter().take(CAST.submitters) {
        for entry in fs::read_dir(submitter.host().folder().join("tmp"))? {
            let file = entry?.path();
            if is_of_gcc(&file) {
                fs::remove_file(&file)?;
            }
        }
    }
    Ok(())
}

/// Whether a file is called as GCC calls its temporary ones: `ccXXXXXX` and a suffix.
fn is_of_gcc(file: &Path) -> bool {
    let stem = file.file_stem().and_then(OsStr::to_str).unwrap_or_default();
    let random = stem.strip_prefix("cc").unwrap_or_default();
    random.len() == 6 && random.bytes().all(|byte| byte.is_ascii_alphanumeric())
}
