//! What happens to jobs that take more memory or processes than they may: with control groups, and where they are watched.
//!
//! The executable is its own jail step (`__jail`) and its own greedy program (`__take memory|processes`). The host's `/` stands for the toolchain.
//! Control groups need root; without it those trials say that they were skipped.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use gelato_sandbox::cgroup::Home;
use gelato_sandbox::{Exit, Identity, Jailer, JobSpec, Level, Limits, Outcome, Running, identity};
use libtest_mimic::{Arguments, Failed, Trial};

const NOBODY: Identity = Identity {
    uid: 65534,
    gid: 65534,
};

/// What a job may take.
const MEMORY: u64 = 96 << 20;
const PROCESSES: u64 = 20;

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    let words: Vec<&str> = args.iter().filter_map(|arg| arg.to_str()).collect();
    match words.as_slice() {
        [_, "__jail"] => gelato_sandbox::jail_main(),
        [_, "__take", what] => take(what),
        _ => {
            let result = libtest_mimic::run(&Arguments::from_args(), trials());
            let left = groups();
            assert!(left.is_empty(), "groups left behind: {left:?}");
            result.exit_code()
        }
    }
}

fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for level in [Level::UserNamespace, Level::Landlock, Level::None] {
        for grouped in [false, true] {
            let how = if grouped { "cgroup" } else { "watched" };
            let mut add = |name: &str, run: fn(&Place)| {
                trials.push(Trial::test(format!("{level}::{how}::{name}"), move || {
                    with_place(level, grouped, run)
                }));
            };
            add("modest_jobs_are_left_alone", modest);
            add("memory_of_all_processes_counts", memory);
            add("processes_are_limited", processes);
        }
    }
    trials.extend([
        Trial::test(
            "version_2::jobs_are_made_inside_and_killed_through_it",
            version_2,
        ),
        Trial::test("daemons_leave_each_other_alone", two_homes),
        Trial::test("jobs_run_without_a_group_that_cannot_be_made", without),
    ]);
    trials
}

/// The jobs' folder of a home of version 2 somewhere in the machine's hierarchy, with no controller, which is what is there beside
/// version 1.
fn version_2() -> Result<(), Failed> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let mount = mounts.lines().find_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (point, kind) = (words.next()?, words.next()?);
        (kind == "cgroup2").then(|| Path::new(point).to_owned())
    });
    let (true, Some(mount)) = (identity::is_root(), mount) else {
        eprintln!("skipped: no root, or no hierarchy of version 2");
        return Ok(());
    };
    let folder = mount.join(format!("gelato-test-{}", std::process::id()));
    fs::create_dir(&folder)?;
    let run = || {
        let job = tempfile::tempdir().expect("folder");
        chown(job.path(), Some(NOBODY.uid), Some(NOBODY.gid)).expect("root");
        let place = Place {
            level: Level::Landlock,
            jailer: Jailer::current_exe().with_cgroups(Home::prepared(&folder)),
            job,
        };
        let running = place.start("sleep 60 & sleep 60", Limits::default());
        assert_eq!(running.ungrouped, None);
        let group = fs::read_dir(&folder)
            .expect("hierarchy")
            .flatten()
            .find(|entry| entry.path().is_dir())
            .expect("the job's group");
        let procs = || fs::read_to_string(group.path().join("cgroup.procs")).unwrap_or_default();
        assert!(!procs().is_empty(), "the job is inside when it is started");
        fs::write(group.path().join("cgroup.kill"), "1").expect("all of it");
        let outcome = running.wait().expect("outcome");
        assert_eq!(outcome.exit, Exit::Signal(9));
        assert!(!group.path().exists());
    };
    let result = std::panic::catch_unwind(run);
    fs::remove_dir(&folder)?;
    result.map_err(|_| "see above".into())
}

/// A second daemon that starts cleans up, but not what the first one uses.
fn two_homes() -> Result<(), Failed> {
    with_place(Level::Landlock, true, |place| {
        let second = Home::find(None);
        modest(place);
        drop(second);
        modest(place);
    })
}

fn without() -> Result<(), Failed> {
    let job = tempfile::tempdir()?;
    if identity::is_root() {
        chown(job.path(), Some(NOBODY.uid), Some(NOBODY.gid))?;
    }
    let place = Place {
        level: Level::UserNamespace,
        jailer: Jailer::current_exe().with_cgroups(Home::prepared(Path::new("/nowhere"))),
        job,
    };
    let probe = place.jailer.probe(None);
    assert_eq!(probe.level, Some(Level::UserNamespace), "{probe:?}");
    assert!(!probe.grouped && probe.obstacles.len() == 1, "{probe:?}");
    let running = place.start("exit 7", Limits::default());
    assert!(running.ungrouped.is_some());
    assert_eq!(running.wait().expect("outcome").exit, Exit::Code(7));
    Ok(())
}

/// Where and how the jobs of one trial run.
struct Place {
    level: Level,
    jailer: Jailer,
    job: tempfile::TempDir,
}

fn with_place(level: Level, grouped: bool, run: fn(&Place)) -> Result<(), Failed> {
    let jailer = Jailer::current_exe();
    let jailer = match grouped {
        false => jailer,
        true if !identity::is_root() => {
            eprintln!("skipped: control groups are made by root");
            return Ok(());
        }
        true => match Home::find(None) {
            Ok(home) => jailer.with_cgroups(home),
            Err(why) => {
                eprintln!("skipped: {why}");
                return Ok(());
            }
        },
    };
    let job = tempfile::tempdir()?;
    if identity::is_root() {
        chown(job.path(), Some(NOBODY.uid), Some(NOBODY.gid))?;
    }
    // For the program, which lies where only root may look otherwise.
    fs::copy("/proc/self/exe", job.path().join("take"))?;
    fs::set_permissions(job.path().join("take"), fs::Permissions::from_mode(0o755))?;
    run(&Place { level, jailer, job });
    Ok(())
}

impl Place {
    /// What becomes of the greedy program.
    fn run(&self, what: &str, limits: Limits) -> Outcome {
        let script = format!("exec {}/take __take {what}", self.inside().display());
        let running = self.start(&script, limits);
        assert_eq!(running.ungrouped, None);
        running.wait().expect("outcome")
    }

    /// The job's folder as the job sees it.
    fn inside(&self) -> &Path {
        if self.level.changes_root() {
            Path::new("/tmp")
        } else {
            self.job.path()
        }
    }

    fn start(&self, script: &str, limits: Limits) -> Running {
        self.jailer
            .spawn(&JobSpec {
                level: self.level,
                root: "/".into(),
                tmp: self.job.path().to_owned(),
                program: "/bin/sh".into(),
                args: vec!["-c".into(), script.into()],
                env: Vec::new(),
                cwd: self.inside().to_owned(),
                nice: 0,
                limits,
                identity: identity::is_root().then_some(NOBODY),
            })
            .expect("job")
    }
}

fn modest(place: &Place) {
    let limits = Limits {
        job_memory_bytes: Some(MEMORY),
        processes: Some(PROCESSES),
        ..Limits::default()
    };
    let outcome = place.run("little", limits);
    assert_eq!(outcome.exit, Exit::Code(0), "{outcome:?}");
    assert!(!outcome.out_of_memory, "{outcome:?}");
    let peak = outcome.peak_memory.expect("counted or seen");
    assert!((1 << 20..MEMORY).contains(&peak), "{outcome:?}");
}

/// Several processes, none of which has too much by itself.
fn memory(place: &Place) {
    let limits = Limits {
        job_memory_bytes: Some(MEMORY),
        ..Limits::default()
    };
    let outcome = place.run("memory", limits);
    assert_ne!(outcome.exit, Exit::Code(0), "{outcome:?}");
    assert!(outcome.out_of_memory, "{outcome:?}");
    let peak = outcome.peak_memory.expect("counted or seen");
    assert!(peak > MEMORY / 2, "{outcome:?}");
}

fn processes(place: &Place) {
    let limits = Limits {
        processes: Some(PROCESSES),
        ..Limits::default()
    };
    let outcome = place.run("processes", limits);
    assert_ne!(outcome.exit, Exit::Code(0), "{outcome:?}");
    assert!(!outcome.out_of_memory, "{outcome:?}");
}

/// The greedy program. It gives up by itself after a while, so that a limit that does not hold is a failure and no catastrophe.
fn take(what: &str) -> ExitCode {
    let again = |what: &str| {
        Command::new("/proc/self/exe")
            .args(["__take", what])
            .stdin(Stdio::null())
            .spawn()
    };
    let own = std::env::current_exe().unwrap_or_default();
    let again =
        |what: &str| again(what).or_else(|_| Command::new(&own).args(["__take", what]).spawn());
    match what {
        "little" => {
            std::hint::black_box(vec![1u8; 4 << 20]);
            ExitCode::SUCCESS
        }
        "part" => {
            let memory = std::hint::black_box(vec![1u8; (MEMORY / 3) as usize]);
            std::thread::sleep(Duration::from_secs(2));
            drop(memory);
            ExitCode::SUCCESS
        }
        "sleep" => {
            std::thread::sleep(Duration::from_secs(2));
            ExitCode::SUCCESS
        }
        "memory" | "processes" => {
            let (part, count) = if what == "memory" {
                ("part", 4)
            } else {
                ("sleep", 2 * PROCESSES)
            };
            let children: Vec<_> = (0..count).map(|_| again(part)).collect();
            let mut failed = false;
            for child in children {
                failed |= !child
                    .and_then(|mut child| child.wait())
                    .is_ok_and(|end| end.success());
            }
            ExitCode::from(u8::from(failed))
        }
        _ => ExitCode::from(2),
    }
}

/// Groups of jobs of this process, wherever they are.
fn groups() -> Vec<String> {
    let found = Command::new("find")
        .args(["/sys/fs/cgroup", "-type", "d", "-name"])
        .arg(format!("gelato-job-{}-*", std::process::id()))
        .stderr(Stdio::null())
        .output();
    let listing = found.map(|found| found.stdout).unwrap_or_default();
    String::from_utf8_lossy(&listing)
        .lines()
        .map(str::to_owned)
        .collect()
}
