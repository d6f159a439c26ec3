//! Mistakes of a user: the compiler's own complaint, once; and one sentence for what our programs cannot do.

mod common;

use std::net::TcpListener;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use common::{FIRST_JOB, SOON};
use gelato_lab::{Cluster, DaemonSpec, Done, Flavour, Layout, Programs, Task, Verdict, build};

const BROKEN: [(&str, &str, &str); 5] = [
    (
        "gcc",
        "type.c",
        "int f(void) { return \"text\" + 1.0; }\nint g(void) { return missing; }\n",
    ),
    ("gcc", "syntax.c", "int f(void) {\n"),
    (
        "g++",
        "template.cc",
        "#include <vector>\nstruct S { S(const S&) = delete; };\nstd::vector<S> v(3);\n",
    ),
    ("gcc", "include.c", "#include \"no-such-file.h\"\nint x;\n"),
    ("gcc", "hash.c", "#if 1\n#error this is the end\n#endif\n"),
];

const WARNED: [(&str, &str, &str); 2] = [
    (
        "gcc",
        "unused.c",
        "static int never(void) { return 1; }\nint f(int x) { int y; return x; }\n",
    ),
    (
        "g++",
        "sign.cc",
        "#include <vector>\nbool f(std::vector<int> v) { int n = 3; return v.size() < n; }\n",
    ),
];

fn cluster(flavour: Flavour) -> Result<Cluster> {
    Cluster::builder(Layout::Namespaces)
        .scheduler(flavour)
        .daemon(DaemonSpec::submitter("submitter", flavour))
        .daemon(DaemonSpec::worker("worker", flavour))
        .start()
}

fn equal(ours: &Done, local: &Done, what: &str) -> Result<()> {
    ensure!(
        ours.status.code() == local.status.code()
            && ours.stdout == local.stdout
            && ours.stderr == local.stderr,
        "{what}: local {} and through the cluster {}\nlocal stdout: {}\nlocal stderr: {}\nstdout: {}\nstderr: {}",
        local.status,
        ours.status,
        local.out(),
        local.err(),
        ours.out(),
        ours.err()
    );
    Ok(())
}

fn says_what_the_compiler_says(
    flavour: Flavour,
    sources: &[(&str, &str, &str)],
    succeeds: bool,
) -> Result<()> {
    require!(Layout::Namespaces, &[flavour]);
    let cluster = cluster(flavour)?;
    let folder = cluster.work_folder("work")?;
    let submitter = cluster.submitter();
    for (compiler, name, text) in sources {
        build::write(&folder, name, text)?;
        let args = ["-O1", "-Wall", "-Wextra", "-c", name, "-o", "object.o"];
        let local = submitter
            .host()
            .run(&Task::new(*compiler).args(args).folder(&folder), SOON)?;
        ensure!(
            local.status.success() == succeeds,
            "{name}: locally {}",
            local.status
        );
        let _ = std::fs::remove_file(folder.join("object.o"));
        submitter.forget_jobs()?;
        let ours = submitter.compile(compiler, &args, &folder, FIRST_JOB)?;
        equal(&ours, &local, name)?;
        let jobs = submitter.jobs()?;
        let elsewhere = matches!(&jobs[..], [job] if !matches!(job.verdict, Verdict::Local(_)));
        // What the preprocessor finds, it finds here.
        ensure!(
            elsewhere || text.contains("#error") || text.contains("no-such-file"),
            "{name} was never sent to a worker: {jobs:?}"
        );
        ensure!(
            folder.join("object.o").exists() == succeeds,
            "{name}: object"
        );
    }
    cluster.shut_down()
}

#[test]
fn icecream_repeats_the_warnings_of_the_compiler() -> Result<()> {
    says_what_the_compiler_says(Flavour::Icecream, &WARNED, true)
}

/// Not with Icecream: its wrapper prints a missing include twice, with a line of its own in between.
#[test]
fn gelato_repeats_the_errors_of_the_compiler() -> Result<()> {
    says_what_the_compiler_says(Flavour::Gelato, &BROKEN, false)
}

#[test]
fn icecream_repeats_the_errors_of_the_compiler() -> Result<()> {
    says_what_the_compiler_says(Flavour::Icecream, &BROKEN[..3], false)
}

#[test]
fn gelato_repeats_the_warnings_of_the_compiler() -> Result<()> {
    says_what_the_compiler_says(Flavour::Gelato, &WARNED, true)
}

/// Runs a program that must refuse to start: soon, with one sentence on stderr that holds `words`, and a status other than
/// 0 and those of crashes.
fn refuses(task: &Task, words: &[&str]) -> Result<()> {
    let cluster = Cluster::builder(Layout::Loopback).empty()?;
    let done = cluster.scheduler_host().run(task, SOON)?;
    let text = done.err();
    let code = done
        .status
        .code()
        .with_context(|| format!("{task:?}: {}", done.status))?;
    ensure!(
        code != 0 && code != 101 && code < 128,
        "{task:?}: {}",
        done.status
    );
    ensure!(!text.contains("panicked"), "{text}");
    let lines = text.lines().filter(|line| !line.trim().is_empty()).count();
    ensure!((1..=6).contains(&lines), "{task:?}: {lines} lines: {text}");
    for word in words {
        ensure!(
            text.contains(word),
            "{task:?}: nothing of {word:?} in: {text}"
        );
    }
    cluster.shut_down()
}

fn gelato(folder: &Path) -> Result<Programs> {
    Programs::find(Flavour::Gelato, folder)
}

#[test]
fn gelato_names_an_unknown_option() -> Result<()> {
    let folder = common::readable_folder()?;
    let programs = gelato(folder.path())?;
    refuses(
        &Task::new(&programs.daemon).arg("--no-such-option"),
        &["--no-such-option"],
    )?;
    refuses(
        &Task::new(&programs.scheduler).arg("--no-such-option"),
        &["--no-such-option"],
    )
}

#[test]
fn gelato_names_an_unusable_value() -> Result<()> {
    let folder = common::readable_folder()?;
    let programs = gelato(folder.path())?;
    refuses(&Task::new(&programs.daemon).args(["-p", "http"]), &["http"])?;
    refuses(&Task::new(&programs.daemon).args(["-m", "many"]), &["many"])?;
    refuses(
        &Task::new(&programs.scheduler).args(["-p", "70000"]),
        &["70000"],
    )?;
    refuses(
        &Task::new(&programs.scheduler).args(["-i", "nosuchif0"]),
        &["nosuchif0"],
    )?;
    refuses(
        &Task::new(&programs.scheduler).args(["-l", "/no/such/folder/log"]),
        &["/no/such/folder/log"],
    )?;
    refuses(
        &Task::new(&programs.daemon).args(["-b", "/proc/envs"]),
        &["/proc/envs"],
    )
}

#[test]
fn gelato_names_a_busy_port() -> Result<()> {
    let folder = common::readable_folder()?;
    let programs = gelato(folder.path())?;
    let taken = TcpListener::bind("0.0.0.0:0")?;
    let port = taken.local_addr()?.port().to_string();
    refuses(
        &Task::new(&programs.scheduler).args(["-p", &port]),
        &[&port],
    )?;
    let base = folder.path().join("envs");
    let socket = folder.path().join("socket");
    let task = Task::new(&programs.daemon)
        .args(["-p", &port, "-b"])
        .arg(base)
        .env("ICECC_TEST_SOCKET", socket);
    refuses(&task, &[&port])
}

#[test]
fn gelato_compiles_locally_with_an_unreadable_archive() -> Result<()> {
    require!(Layout::Namespaces, &[]);
    let cluster = cluster(Flavour::Gelato)?;
    let folder = cluster.work_folder("work")?;
    build::write(&folder, "a.c", "int a;\n")?;
    build::write(&folder, "small.tar.gz", "not an archive")?;
    let submitter = cluster.submitter();
    for archive in ["/no/such/archive.tar.gz", "small.tar.gz"] {
        submitter.forget_jobs()?;
        let task = submitter
            .compile_task("gcc", &["-c", "a.c"], &folder)
            .env("ICECC_VERSION", archive);
        submitter.host().run(&task, SOON)?.success()?;
        let jobs = submitter.jobs()?;
        ensure!(
            matches!(&jobs[..], [job] if matches!(&job.verdict, Verdict::Local(why) if why != "-")),
            "{jobs:?}"
        );
    }
    cluster.shut_down()
}
