//! Ten thousand jobs of a program that does nothing, together over all situations: what setting up and tearing down costs, and
//! that nothing is left of them. The figures are printed and never asserted: `cargo test -p gelato-sandbox --test jail many -- --nocapture`.

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use gelato_sandbox::{Exit, Jailer, cgroup};

use super::fixture::{Fixture, Situation, await_readable};

/// Jobs at the same time.
const THREADS: usize = 2;

/// Where they run, how many, and whether each gets a control group if there are any.
const RUNS: [(Situation, u32, bool); 4] = [
    (Situation::RootUser, 6500, false),
    (Situation::RootUser, 1000, true),
    (Situation::RootChroot, 1000, false),
    (Situation::Ordinary, 1500, false),
];

/// Stands in the command line of every process of the jobs of one trial.
const MARK: &str = "__many";

/// Whether there is something to do in this situation.
pub(crate) fn applies(situation: Situation) -> bool {
    RUNS.iter().any(|(chosen, ..)| *chosen == situation)
}

/// The trial.
pub(crate) fn many_runs_leave_nothing(fixture: &Fixture) {
    for (situation, count, cgroup) in RUNS {
        if situation != fixture.situation {
            continue;
        }
        let mark = format!("{MARK}{}", std::process::id());
        let jailer = Jailer::new("/proc/self/exe", ["__jail", mark.as_str()]);
        let home = cgroup.then(|| cgroup::Home::find(None));
        let (jailer, force) = match home {
            Some(Ok(home)) => (jailer.with_cgroups(home), "with a control group each"),
            Some(Err(why)) => (jailer, why.leak() as &str),
            None => (jailer, "without control groups"),
        };
        run(fixture, &jailer, &mark, 1);
        let before = Counts::take(fixture, &mark);
        let (mut set_up, mut torn_down) = run(fixture, &jailer, &mark, count);
        assert_eq!(Counts::take(fixture, &mark), before, "something is left");
        println!(
            "{} {force}: {count} runs, set-up {}, tear-down {}",
            situation.name(),
            percentiles(&mut set_up),
            percentiles(&mut torn_down),
        );
    }
}

/// Runs jobs; gives for each the time until its program ran, and from its end until nothing was left of it.
fn run(
    fixture: &Fixture,
    jailer: &Jailer,
    mark: &str,
    count: u32,
) -> (Vec<Duration>, Vec<Duration>) {
    let spec = fixture.spec("/usr/bin/true", &[mark]);
    let started = AtomicU32::new(0);
    let one_thread = || {
        let mut times = Vec::new();
        while started.fetch_add(1, Ordering::Relaxed) < count {
            let begin = Instant::now();
            let mut job = jailer.spawn(&spec).expect("job");
            let set_up = begin.elapsed();
            let stdout = job.stdout.take().expect("not taken yet");
            // The last process that holds it ends with the program.
            await_readable(stdout.as_fd(), "the end of the program");
            let end = Instant::now();
            assert_eq!(job.wait().expect("outcome").exit, Exit::Code(0));
            times.push((set_up, end.elapsed()));
        }
        times
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(one_thread)).collect();
        let times = threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("thread"));
        times.unzip()
    })
}

fn percentiles(times: &mut [Duration]) -> String {
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1000.0;
    format!("p50 {:.2} ms p99 {:.2} ms", at(50), at(99))
}

/// Everything of which something might be left.
#[derive(Debug, PartialEq, Eq)]
struct Counts {
    /// Of this process.
    descriptors: usize,
    /// Command lines with our mark, zombies of ours.
    processes: Vec<String>,
    /// Mounts of this process' namespace; others may mount what they like elsewhere.
    mounts: Vec<String>,
    /// Namespaces of processes that are ours.
    namespaces: BTreeSet<String>,
    /// Groups of our jobs, in every hierarchy.
    groups: Vec<String>,
    /// Files and bytes below the folder of the test.
    disk: (usize, u64),
}

impl Counts {
    fn take(fixture: &Fixture, mark: &str) -> Counts {
        let folder = fixture.folder.to_str().expect("plain name");
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mounts");
        let (processes, namespaces) = ours(mark);
        let mut groups = Vec::new();
        let name = format!("gelato-job-{}-", std::process::id());
        find_folders(Path::new("/sys/fs/cgroup"), &name, 6, &mut groups);
        Counts {
            descriptors: fs::read_dir("/proc/self/fd").expect("descriptors").count(),
            processes,
            mounts: mounts
                .lines()
                .filter(|line| line.contains(folder))
                .map(str::to_owned)
                .collect(),
            namespaces,
            groups,
            disk: usage(&fixture.folder),
        }
    }
}

/// Processes with our mark or that are our children, and the namespaces they are in.
fn ours(mark: &str) -> (Vec<String>, BTreeSet<String>) {
    let own = std::process::id().to_string();
    let (mut found, mut namespaces) = (Vec::new(), BTreeSet::new());
    for entry in fs::read_dir("/proc").expect("/proc").flatten() {
        let path = entry.path();
        let line = fs::read(path.join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        let stat = fs::read_to_string(path.join("stat")).unwrap_or_default();
        let parent = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .nth(1)
            .map(str::to_owned);
        if !line.contains(mark) && parent.as_deref() != Some(&own) {
            continue;
        }
        found.push(line);
        for namespace in fs::read_dir(path.join("ns"))
            .into_iter()
            .flatten()
            .flatten()
        {
            let inode = fs::read_link(namespace.path()).unwrap_or_default();
            namespaces.insert(inode.display().to_string());
        }
    }
    (found, namespaces)
}

fn find_folders(at: &Path, name: &str, depth: u32, found: &mut Vec<String>) {
    for entry in fs::read_dir(at).into_iter().flatten().flatten() {
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        if entry.file_name().to_string_lossy().starts_with(name) {
            found.push(entry.path().display().to_string());
        } else if depth > 0 {
            find_folders(&entry.path(), name, depth - 1, found);
        }
    }
}

fn usage(folder: &Path) -> (usize, u64) {
    let (mut files, mut bytes) = (0, 0);
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let about = entry.metadata().expect("entry");
        files += 1;
        bytes += about.len();
        if about.is_dir() {
            let (more, larger) = usage(&entry.path());
            files += more;
            bytes += larger;
        }
    }
    (files, bytes)
}
