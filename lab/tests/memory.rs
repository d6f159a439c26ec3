//! Large jobs on a small worker: as many at a time as fit, none ended by the kernel, all objects right.
//!
//! The compiler of the toolchain is a real one behind a program that keeps 1.5 GB of memory in use while it compiles. Nothing
//! is known of such jobs when the first ones come, all at once.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use common::FIRST_JOB;
use gelato_lab::host::Running;
use gelato_lab::{Cluster, DaemonSpec, Flavour, JobRecord, Layout, Programs, Verdict, build};

/// One test at a time: a control group takes in the whole process, the other test and what it starts included.
static ALONE: Mutex<()> = Mutex::new(());

/// The worker's memory.
const LIMIT: u64 = 4 << 30;

/// Jobs that are sent at once.
const JOBS: usize = 10;

/// What the jobs of this test have on their command lines, so that they are told from what tries the toolchain.
const MARK: &str = "-frandom-seed=large";

/// Fills memory, compiles with the real compiler, and looks whether the memory still holds what was put there.
const LARGE: &str = r#"
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE (1500UL << 20)
#define STEP 4096UL

int main(int argc, char **argv) {
    int large = 0, status = 0;
    for (int i = 1; i < argc; i++) large |= !strcmp(argv[i], "-frandom-seed=large");
    argv[0] = "/usr/bin/gcc-behind";
    if (!large) {
        execv(argv[0], argv);
        return 127;
    }
    unsigned long *memory = mmap(0, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return 126;
    for (unsigned long at = 0; at < SIZE; at += STEP) memory[at / sizeof *memory] = at ^ 0x5bd1e995;
    pid_t child = fork();
    if (child == 0) {
        execv(argv[0], argv);
        _exit(127);
    }
    if (child < 0 || waitpid(child, &status, 0) < 0) return 125;
    for (unsigned long at = 0; at < SIZE; at += STEP)
        if (memory[at / sizeof *memory] != (at ^ 0x5bd1e995)) return 124;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 123;
}
"#;

/// A toolchain whose `gcc` is the large one.
fn toolchain(folder: &Path) -> Result<PathBuf> {
    let run = |program: &mut Command| -> Result<()> {
        let done = program.current_dir(folder).output()?;
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        ensure!(done.status.success(), "{program:?}: {said}");
        Ok(())
    };
    let programs = Programs::find(Flavour::Gelato, &folder.join("programs"))?;
    run(Command::new(programs.create_env).arg("/usr/bin/gcc"))?;
    let made = fs::read_dir(folder)?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.to_string_lossy().contains(".tar"))
        .context("no archive was made")?;
    fs::create_dir(folder.join("root"))?;
    run(Command::new("tar")
        .arg("-xf")
        .arg(&made)
        .args(["-C", "root"]))?;
    fs::remove_file(&made)?;
    fs::rename(
        folder.join("root/usr/bin/gcc"),
        folder.join("root/usr/bin/gcc-behind"),
    )?;
    let source = build::write(folder, "large.c", LARGE)?;
    run(Command::new("gcc")
        .args(["-O2", "-static", "-o", "root/usr/bin/gcc"])
        .arg(source))?;
    run(Command::new("tar").args(["-cf", "large.tar", "-C", "root", "."]))?;
    Ok(folder.join("large.tar"))
}

/// A control group with a limit of memory, which this process is in while it starts the worker. Removed when dropped.
struct Group {
    folder: PathBuf,
    home: PathBuf,
}

impl Group {
    /// Goes into a new group, where this machine has version 1 of them and lets us make one.
    fn enter() -> Result<Group> {
        let groups = fs::read_to_string("/proc/self/cgroup")?;
        let own = groups
            .lines()
            .find_map(|line| line.split_once(":memory:"))
            .context("no memory controller of version 1")?
            .1;
        let home = Path::new("/sys/fs/cgroup/memory").join(own.trim_start_matches('/'));
        let folder = home.join(format!("gelato-memory-{}", std::process::id()));
        fs::create_dir(&folder).context("no control group can be made")?;
        let group = Group { folder, home };
        fs::write(
            group.folder.join("memory.limit_in_bytes"),
            LIMIT.to_string(),
        )?;
        fs::write(group.folder.join("cgroup.procs"), "0")?;
        Ok(group)
    }

    fn leave(&self) -> Result<()> {
        Ok(fs::write(self.home.join("cgroup.procs"), "0")?)
    }

    fn number(&self, file: &str, key: Option<&str>) -> Result<u64> {
        let text = fs::read_to_string(self.folder.join(file))?;
        let number = match key {
            None => Some(text.trim()),
            Some(key) => text.lines().find_map(|line| line.strip_prefix(key)),
        };
        Ok(number.context("not in there")?.trim().parse()?)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _home = self.leave();
        // A daemon that has just ended may still be on its way out of it.
        for _ in 0..100 {
            remove_inner(&self.folder);
            match fs::remove_dir(&self.folder) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    std::thread::sleep(Duration::from_millis(50));
                }
                _ => break,
            }
        }
    }
}

/// Removes the groups inside one, the innermost first.
fn remove_inner(group: &Path) {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            remove_inner(&path);
            let _removed = fs::remove_dir(path);
        }
    }
}

/// Sends all jobs at once and waits for them.
fn compile_all(cluster: &Cluster, folder: &Path, archive: &Path) -> Result<()> {
    let submitter = cluster.submitter();
    let mut running: Vec<Running> = Vec::new();
    for number in 0..JOBS {
        let name = format!("f{number}.c");
        build::write(
            folder,
            &name,
            &format!("int f{number}(int x) {{ return x * {number} + 1; }}\n"),
        )?;
        let task = submitter
            .compile_task("gcc", &["-O2", MARK, "-c", &name], folder)
            .env("ICECC_VERSION", archive);
        running.push(submitter.host().start(&task)?);
    }
    for job in running {
        job.wait(FIRST_JOB)?.success()?;
    }
    let ours = build::files(folder, ".o")?;
    ensure!(ours.len() == JOBS, "{} objects", ours.len());
    for number in 0..JOBS {
        let done = Command::new("/usr/bin/gcc")
            .args(["-O2", MARK, "-c", &format!("f{number}.c")])
            .current_dir(folder)
            .status()?;
        ensure!(done.success());
    }
    build::same(&ours, &build::files(folder, ".o")?)
}

/// The worker never took more than it could carry: on a very busy machine some jobs may wait too long or be the newest when memory
/// runs out, and go back; most are compiled there.
fn none_was_too_much(cluster: &Cluster) -> Result<()> {
    let jobs = cluster.submitter().jobs()?;
    let (there, elsewhere): (Vec<_>, Vec<_>) = jobs
        .iter()
        .partition(|job| matches!(job.verdict, Verdict::Remote(_)));
    eprintln!("{} of {JOBS} compiled by the worker", there.len());
    let too_much = |job: &&JobRecord| !matches!(&job.verdict, Verdict::FailedOver(why) if why == "worker-busy" || why == "worker-out-of-memory");
    if jobs.len() != JOBS || there.len() < JOBS / 2 || elsewhere.iter().any(too_much) {
        let log = cluster.workers().first().map(|worker| worker.log().text());
        let log = log.unwrap_or_default();
        bail!(
            "{} jobs, not on the worker: {elsewhere:?}\n{log}",
            jobs.len()
        );
    }
    Ok(())
}

fn spec() -> gelato_lab::Builder {
    Cluster::builder(Layout::Loopback)
        .scheduler(Flavour::Gelato)
        .daemon(DaemonSpec::submitter("here", Flavour::Gelato))
}

fn worker() -> DaemonSpec {
    DaemonSpec::worker("small", Flavour::Gelato)
        .slots(u32::try_from(JOBS).unwrap_or(u32::MAX))
        .steady_load()
}

#[test]
fn ten_large_jobs_in_a_small_control_group() -> Result<()> {
    require!(Layout::Loopback, &[]);
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = common::readable_folder()?;
    let archive = toolchain(folder.path())?;
    let group = match Group::enter() {
        Ok(group) => group,
        Err(why) => {
            gelato_lab::skip(&format!("{why:#}"));
            return Ok(());
        }
    };
    let cluster = spec().daemon(worker()).start()?;
    group.leave()?;
    compile_all(&cluster, folder.path(), &archive)?;
    none_was_too_much(&cluster)?;
    let most = group.number("memory.max_usage_in_bytes", None)?;
    let refused = group.number("memory.failcnt", None)?;
    eprintln!(
        "at most {} MiB in use, {refused} times at the limit",
        most >> 20
    );
    ensure!(most > 2 << 30, "two jobs were never there together");
    let killed = group.number("memory.oom_control", Some("oom_kill "))?;
    ensure!(killed == 0, "the kernel killed {killed}");
    cluster.shut_down()?;
    Ok(())
}

#[test]
fn ten_large_jobs_within_what_the_settings_allow() -> Result<()> {
    require!(Layout::Loopback, &[]);
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = common::readable_folder()?;
    let archive = toolchain(folder.path())?;
    let file = build::write(
        folder.path(),
        "gelato.toml",
        &format!("[worker]\nmemory = {}\n", LIMIT >> 20),
    )?;
    let cluster = spec().daemon(worker().env("GELATO_CONFIG", file)).start()?;
    compile_all(&cluster, folder.path(), &archive)?;
    none_was_too_much(&cluster)?;
    cluster.shut_down()?;
    Ok(())
}
