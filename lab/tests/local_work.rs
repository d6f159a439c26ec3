//! Work that stays on the submitter: never more at once than the machine has room for, whoever counts, whatever is killed.
//!
//! A shim plays the compiler: it notes its beginning and its end in one file. Each line is one write in append mode, so the order of the lines is the order of events,
//! and nothing has to be waited for.

mod common;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use common::{FIRST_JOB, SOON};
use gelato_lab::{
    Cluster, Daemon, DaemonSpec, Flavour, Layout, Programs, Task, Verdict, build, wait,
};

/// Starts a child, as a compiler driver does. The child says `+`, works or waits for `MEET` beginnings in all, and says `-`.
const SHIM: &str = r#"
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void note(const char *path, const char *line) {
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT, 0666);
    if (fd < 0 || write(fd, line, strlen(line)) < 0) _exit(9);
    close(fd);
}

static int beginnings(const char *path) {
    char text[65536];
    int fd = open(path, O_RDONLY), count = 0;
    ssize_t length = read(fd, text, sizeof text);
    close(fd);
    for (ssize_t i = 0; i < length; i++) count += text[i] == '+';
    return count;
}

int main(int argc, char **argv) {
    const char *path = getenv("COUNT");
    const char *meet = getenv("MEET");
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], "-###") || !strcmp(argv[i], "-v")) return 1;
    pid_t child = fork();
    if (child == 0) {
        char line[32];
        snprintf(line, sizeof line, "+ nice %d\n", getpriority(PRIO_PROCESS, 0));
        note(path, line);
        if (meet) {
            for (long turns = 0; beginnings(path) < atoi(meet) && turns < 10000000; turns++) sched_yield();
        } else {
            for (volatile int i = 0; i < 3000000; i++) {}
        }
        note(path, "-\n");
        _exit(0);
    }
    int status = 0;
    return child < 0 || waitpid(child, &status, 0) < 0 || status != 0;
}
"#;

/// Builds the shim as `gcc` in a folder of its own; the path of the program.
fn shim(folder: &Path) -> Result<PathBuf> {
    let source = build::write(folder, "shim.c", SHIM)?;
    let program = folder.join("shim/gcc");
    fs::create_dir_all(folder.join("shim"))?;
    let done = Command::new("gcc")
        .args(["-O1", "-w", "-o"])
        .arg(&program)
        .arg(&source)
        .status()?;
    ensure!(done.success(), "the shim does not compile");
    Ok(program)
}

/// How many began, and the most at once.
fn overlap(count: &Path) -> Result<(usize, usize)> {
    let text = fs::read_to_string(count)?;
    let (mut began, mut now, mut most) = (0, 0_usize, 0);
    for line in text.lines() {
        match line.as_bytes().first() {
            Some(b'+') => {
                began += 1;
                now += 1;
            }
            Some(b'-') => now = now.checked_sub(1).context("an end without a beginning")?,
            _ => anyhow::bail!("odd line {line:?}"),
        }
        most = most.max(now);
    }
    ensure!(now == 0, "{now} never ended");
    Ok((began, most))
}

/// A wrapper without any daemon, with locks of its own.
struct Alone {
    folder: tempfile::TempDir,
    programs: Programs,
    shim: PathBuf,
}

impl Alone {
    fn new() -> Result<Alone> {
        let folder = common::readable_folder()?;
        for name in ["home", "run", "work"] {
            fs::create_dir(folder.path().join(name))?;
        }
        fs::set_permissions(folder.path().join("run"), fs::Permissions::from_mode(0o700))?;
        build::write(folder.path(), "work/x.c", "int x;\n")?;
        Ok(Alone {
            programs: Programs::find(Flavour::Gelato, folder.path())?,
            shim: shim(folder.path())?,
            folder,
        })
    }

    fn count(&self) -> PathBuf {
        self.folder.path().join("count")
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.folder.path().join("home"))
            .env("XDG_RUNTIME_DIR", self.folder.path().join("run"))
            .env("GELATO_SOCKET", self.folder.path().join("no-socket"))
            .env("COUNT", self.count())
            .current_dir(self.folder.path().join("work"))
            .stdin(Stdio::null());
        command
    }
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[test]
fn two_hundred_jobs_without_a_daemon_take_turns() -> Result<()> {
    for build_log in [false, true] {
        let alone = Alone::new()?;
        let makefile = format!(
            ".PHONY: all\nall: $(addsuffix .o,$(shell seq 200)); @true\n%.o:\n\t@{} {} -c x.c -o $@\n",
            alone.programs.icecc.display(),
            alone.shim.display()
        );
        build::write(alone.folder.path(), "work/Makefile", &makefile)?;
        let mut make = alone.command(Path::new("make"));
        make.args(["-s", "-j200"]);
        if build_log {
            make.env("GELATO_BUILD_LOG", alone.folder.path().join("log"));
        }
        ensure!(make.status()?.success());
        let (began, most) = overlap(&alone.count())?;
        ensure!(began == 200, "{began} jobs");
        ensure!(most <= processors(), "{most} at once");
    }
    Ok(())
}

#[test]
fn killed_wrappers_free_nothing_that_is_still_in_use() -> Result<()> {
    for build_log in [false, true] {
        let alone = Alone::new()?;
        let mut wrappers = Vec::new();
        for number in 0..200 {
            let mut command = alone.command(&alone.programs.icecc);
            if build_log {
                command.env("GELATO_BUILD_LOG", alone.folder.path().join("log"));
            }
            let output = format!("{number}.o");
            let child = command
                .arg(&alone.shim)
                .args(["-c", "x.c", "-o", &output])
                .spawn()?;
            wrappers.push(child);
            // Half of them, wherever they are by now: waiting, becoming the compiler, watching over it.
            if number % 2 == 1
                && let Some(earlier) = wrappers.iter_mut().rev().nth(3)
            {
                earlier.kill()?;
            }
        }
        for mut child in wrappers {
            child.wait()?;
        }
        // Some compilers outlive their wrapper.
        wait::until(SOON, "the end of all compilers", || {
            overlap(&alone.count()).ok()
        })?;
        let (_, most) = overlap(&alone.count())?;
        ensure!(most <= processors(), "{most} at once");
    }
    Ok(())
}

#[test]
fn the_jobserver_of_make_and_the_niceness_reach_the_command() -> Result<()> {
    let alone = Alone::new()?;
    let makefile = format!(
        "all:\n\t+@{} $(MAKE) -s -f inner.mk\n",
        alone.programs.icerun.display()
    );
    build::write(alone.folder.path(), "work/Makefile", &makefile)?;
    let inner = format!(
        ".PHONY: all 1 2 3 4\nall: 1 2 3 4\n1 2 3 4:\n\t@{} {} -c x.c -o $@.o\n",
        alone.programs.icecc.display(),
        alone.shim.display()
    );
    build::write(alone.folder.path(), "work/inner.mk", &inner)?;
    let done = alone
        .command(Path::new("nice"))
        .args(["-n", "7", "make", "-s", "-j4"])
        .output()?;
    ensure!(done.status.success());
    let text = String::from_utf8_lossy(&done.stderr).into_owned();
    ensure!(!text.contains("jobserver"), "{text}");
    let notes = fs::read_to_string(alone.count())?;
    ensure!(notes.matches("+ nice 7\n").count() == 4, "{notes}");
    Ok(())
}

/// Each of these commands has a slot and waits for compilers that need one.
#[test]
fn commands_that_start_wrappers_do_not_wait_for_each_other() -> Result<()> {
    require!(Layout::Namespaces, &[]);
    let (cluster, folder) = two_slots(Flavour::Gelato, false)?;
    let daemon = cluster.submitter();
    let shim = shim(&folder)?;
    let script = format!(
        "for i in 1 2 3; do {0} {1} -c x.c -o $i.o & {0} {1} x.o -o $i & done; wait",
        daemon.programs().icecc.display(),
        shim.display()
    );
    let count = folder.join("count");
    let tasks = (0..4)
        .map(|_| {
            Task::new(daemon.programs().icerun.clone())
                .args(["sh", "-c", &script])
                .env("COUNT", &count)
                .folder(&folder)
        })
        .collect();
    at_once(daemon, tasks)?;
    let (began, most) = overlap(&count)?;
    ensure!(began == 24 && most <= 2, "{began} jobs, {most} at once");
    cluster.shut_down()
}

/// A daemon with two slots and nobody else.
fn two_slots(flavour: Flavour, scheduler: bool) -> Result<(Cluster, PathBuf)> {
    let mut builder =
        Cluster::builder(Layout::Namespaces).daemon(DaemonSpec::worker("only", flavour).slots(2));
    if scheduler {
        builder = builder.scheduler(flavour);
    }
    let cluster = builder.start()?;
    let folder = cluster.work_folder("work")?;
    build::write(&folder, "x.c", "int x;\n")?;
    Ok((cluster, folder))
}

/// Runs all at once and waits for all.
fn at_once(daemon: &Daemon, tasks: Vec<Task>) -> Result<()> {
    let running = tasks
        .iter()
        .map(|task| daemon.host().start(&daemon.wrapped(task.clone())))
        .collect::<Result<Vec<_>>>()?;
    for task in running {
        task.wait(FIRST_JOB)?.success()?;
    }
    Ok(())
}

#[test]
fn icerun_shares_the_slots_of_a_daemon() -> Result<()> {
    for (flavour, scheduler) in [
        (Flavour::Gelato, true),
        (Flavour::Gelato, false),
        (Flavour::Icecream, false),
    ] {
        require!(Layout::Namespaces, &[flavour]);
        let (cluster, folder) = two_slots(flavour, scheduler)?;
        let daemon = cluster.submitter();
        let shim = shim(&folder)?;
        // The wrapper is ours in any case.
        let icerun = Programs::find(Flavour::Gelato, &folder)?.icerun;
        symlink(&shim, folder.join("tool"))?;
        fs::create_dir(folder.join("links"))?;
        symlink(&icerun, folder.join("links/tool"))?;
        let forms: [(&Path, &[&str]); 4] = [
            (&icerun, &["shim/gcc"]),
            (&icerun, &["./tool"]),
            (&icerun, &["tool"]),
            (Path::new("tool"), &[]),
        ];
        let path = format!("{0}/links:{0}:/usr/bin:/bin", folder.display());
        for (number, (program, words)) in forms.into_iter().enumerate() {
            let count = folder.join(format!("count-{number}"));
            let task = |word: &[&str]| {
                Task::new(program)
                    .args(word)
                    .env("COUNT", &count)
                    // The first two wait for each other: if only one ran at a time, that would not end well.
                    .env("MEET", "2")
                    .folder(&folder)
            };
            let tasks = (0..10)
                .map(|_| {
                    let inner = task(words);
                    // `PATH` last, so that it is the one that counts.
                    daemon.wrapped(inner).env("PATH", &path)
                })
                .collect::<Vec<_>>();
            let running = tasks
                .iter()
                .map(|task| daemon.host().start(task))
                .collect::<Result<Vec<_>>>()?;
            for task in running {
                task.wait(FIRST_JOB)?.success()?;
            }
            ensure!(
                overlap(&count)? == (10, 2),
                "{flavour:?} {number}: {:?}",
                overlap(&count)?
            );
        }
        cluster.shut_down()?;
    }
    Ok(())
}

#[test]
fn parallel_links_have_the_machine_for_themselves() -> Result<()> {
    require!(Layout::Namespaces, &[]);
    let (cluster, folder) = two_slots(Flavour::Gelato, false)?;
    let daemon = cluster.submitter();
    let shim = shim(&folder)?;
    let links = |option: &'static str, count: &Path| {
        (0..4)
            .map(|_| {
                Task::new(daemon.programs().icecc.clone())
                    .arg(&shim)
                    .args([option, "x.o", "-o", "x"])
                    .env("COUNT", count)
                    .folder(&folder)
            })
            .collect()
    };
    fs::write(folder.join("x.o"), "")?;
    let count = folder.join("count-full");
    at_once(daemon, links("-flto=auto", &count))?;
    ensure!(overlap(&count)? == (4, 1), "{:?}", overlap(&count)?);
    let count = folder.join("count-plain");
    at_once(daemon, links("-O2", &count))?;
    let (began, most) = overlap(&count)?;
    ensure!(began == 4 && most <= 2, "{began} {most}");
    cluster.shut_down()
}

#[test]
fn without_own_slots_compilations_travel_and_links_stay() -> Result<()> {
    require!(Layout::Namespaces, &[]);
    let cluster = Cluster::builder(Layout::Namespaces)
        .scheduler(Flavour::Gelato)
        .daemon(DaemonSpec::submitter("submitter", Flavour::Gelato))
        .daemon(DaemonSpec::worker("worker", Flavour::Gelato))
        .start()?;
    let folder = cluster.work_folder("work")?;
    build::write(&folder, "x.c", "int main(void) { return 0; }\n")?;
    let submitter = cluster.submitter();
    for words in [&["-c", "x.c", "-o", "x.o"][..], &["x.o", "-o", "x"]] {
        submitter
            .compile("gcc", words, &folder, FIRST_JOB)?
            .success()?;
    }
    let jobs = submitter.jobs()?;
    ensure!(
        matches!(
            jobs.iter().map(|job| &job.verdict).collect::<Vec<_>>()[..],
            [Verdict::Remote(_), Verdict::Local(_)]
        ),
        "{jobs:?}"
    );
    cluster.shut_down()
}

/// A user presses ^C while make is in control of a build: everything it started ends, and no half file is left.
#[test]
fn an_interrupted_build_leaves_nothing_running() -> Result<()> {
    require!(Layout::Namespaces, &[]);
    let mut cluster = Cluster::builder(Layout::Namespaces)
        .scheduler(Flavour::Gelato)
        .daemon(DaemonSpec::submitter("submitter", Flavour::Gelato))
        .daemon(DaemonSpec::worker("worker", Flavour::Gelato))
        .start()?;
    let folder = cluster.work_folder("work")?;
    build::write(&folder, "slow.c", &build::slow_source())?;
    build::write(
        &folder,
        "Makefile",
        "all: 1.o 2.o 3.o 4.o\n%.o: slow.c\n\tgcc -O2 -MD -MF $*.d -c slow.c -o $@\n",
    )?;
    let submitter = cluster.submitter();
    // The toolchain is in place then, so what is held below is a job and not its check.
    build::write(&folder, "small.c", "int x;\n")?;
    submitter
        .compile("gcc", &["-c", "small.c"], &folder, FIRST_JOB)?
        .success()?;
    fs::remove_file(folder.join("small.o"))?;
    fs::remove_file(folder.join("small.c"))?;
    let make = submitter
        .host()
        .start(&submitter.wrapped(Task::new("make").arg("-j4").folder(&folder)))?;
    let held = cluster.hold_job(1, FIRST_JOB)?;
    let group = rustix::process::Pid::from_raw(make.pid()).context("a process")?;
    let family = gelato_lab::proc::descendants(make.pid());
    rustix::process::kill_process_group(group, rustix::process::Signal::INT)?;
    let done = make.wait(SOON)?;
    ensure!(!done.status.success(), "{}", done.status);
    held.wait_gone(SOON)?;
    wait::until(SOON, "the end of all wrappers", || {
        family.iter().all(|id| !id.is_alive()).then_some(())
    })?;
    for entry in fs::read_dir(&folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        ensure!(
            ["slow.c", "Makefile"].contains(&name.as_str()),
            "{name} was left"
        );
    }
    cluster.shut_down()
}
