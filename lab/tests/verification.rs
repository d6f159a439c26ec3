//! Jobs compiled by two workers: honest ones agree on a whole project, and one whose compiler was tampered with is found.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use common::FIRST_JOB;
use gelato_lab::{Cluster, Daemon, DaemonSpec, Flavour, Layout, Task, build};

const UNITS: [(&str, &str); 5] = [
    (
        "a.c",
        "#include <stdio.h>\nint a(void) { return printf(\"a\\n\"); }\n",
    ),
    (
        "b.c",
        "static int q(int x) { return x * 3; }\nint b(int x) { return q(x) / 2; }\n",
    ),
    (
        "c.cc",
        "#include <vector>\nint c(int n) { std::vector<int> v(n, 2); return v.back(); }\n",
    ),
    (
        "d.cc",
        "#include <string>\nnamespace { std::string s = \"d\"; }\nint d() { return int(s.size()); }\n",
    ),
    (
        "e.cc",
        "template <int n> int f() { return n + f<n - 1>(); }\ntemplate <> int f<0>() { return 0; }\nint e() { return f<40>(); }\n",
    ),
];

const MAKEFILE: &str = "\
CC = gcc\nCXX = g++\n\
all: a.o b.o c.o d.o e.o f.o\n\
%.o: %.c\n\t$(CC) -O2 -c $< -o $@\n\
%.o: %.cc\n\t$(CXX) -O2 -c $< -o $@\n\
f.o: b.c\n\tclang -O2 -c $< -o $@\n";

/// Assembles, then changes the last byte of the object.
const LIAR: &str = r#"
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
int main(int argc, char **argv) {
    const char *output = "a.out";
    for (int i = 1; i + 1 < argc; i++) if (!strcmp(argv[i], "-o")) output = argv[i + 1];
    pid_t child = fork();
    if (child == 0) { execv("/usr/bin/as.honest", argv); _exit(127); }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) < 0 || status != 0) return 1;
    int fd = open(output, O_RDWR);
    char byte;
    off_t last = lseek(fd, -1, SEEK_END);
    if (last < 0 || pread(fd, &byte, 1, last) != 1) return 1;
    byte ^= 1;
    return pwrite(fd, &byte, 1, last) != 1;
}
"#;

/// Place and reason of every job.
fn places(daemon: &Daemon) -> Result<Vec<(String, String)>> {
    let text = fs::read_to_string(daemon.host().folder().join("build.log"))?;
    text.lines()
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            let field = |index: usize| fields.get(index).map(|&field| field.to_owned());
            field(2).zip(field(3)).with_context(|| line.to_owned())
        })
        .collect()
}

/// Replaces the assembler of every toolchain below `base`; how many there were.
fn tamper(base: &Path, liar: &Path) -> Result<usize> {
    let mut found = 0;
    let mut folders = vec![base.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
            } else if path.ends_with("usr/bin/as") {
                fs::rename(&path, path.with_file_name("as.honest"))?;
                fs::copy(liar, &path)?;
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
                found += 1;
            }
        }
    }
    Ok(found)
}

#[test]
fn honest_workers_agree_and_a_liar_is_found() -> Result<()> {
    require!(Layout::Namespaces, &[]);
    let cluster = Cluster::builder(Layout::Namespaces)
        .scheduler(Flavour::Gelato)
        .daemon(DaemonSpec::submitter("submitter", Flavour::Gelato))
        .daemon(DaemonSpec::worker("honest", Flavour::Gelato))
        .daemon(DaemonSpec::worker("other", Flavour::Gelato))
        .start()?;
    let folder = cluster.work_folder("work")?;
    for (name, text) in UNITS {
        build::write(&folder, name, text)?;
    }
    build::write(&folder, "Makefile", MAKEFILE)?;
    let submitter = cluster.submitter();
    let make = || Task::new("make").arg("-s").folder(&folder);
    submitter.host().run(&make(), FIRST_JOB)?.success()?;
    let local = build::files(&folder, ".o")?;
    let through = |words: &[(&str, &str)]| -> Result<String> {
        for name in local.keys() {
            fs::remove_file(folder.join(name))?;
        }
        submitter.forget_jobs()?;
        let mut task = submitter.wrapped(make());
        for (name, value) in words {
            task = task.env(name, value);
        }
        // What is said there belongs to the build.
        task = task.env("ICECC_LOGFILE", "").env("ICECC_DEBUG", "error");
        let done = submitter.host().run(&task, FIRST_JOB)?.success()?;
        build::same(&build::files(&folder, ".o")?, &local)?;
        Ok(done.err())
    };

    let text = through(&[("GELATO_VERIFY_RATE", "1000")])?;
    ensure!(text.is_empty(), "{text}");
    let jobs = places(submitter)?;
    ensure!(
        jobs.iter()
            .all(|job| *job == ("remote".to_owned(), "verified".to_owned())),
        "{jobs:?}"
    );

    let liar = folder.join("liar");
    let source = build::write(&folder, "liar.src", LIAR)?;
    let done = Command::new("gcc")
        .args(["-static", "-O1", "-x", "c", "-o"])
        .args([&liar, &source])
        .status()?;
    ensure!(done.success(), "the liar does not compile");
    let found = tamper(&cluster.workers()[1].base_dir(), &liar)?;
    ensure!(found > 0, "no assembler to replace");

    let text = through(&[("GELATO_VERIFY_RATE", "1000")])?;
    let jobs = places(submitter)?;
    for (job, unit) in jobs.iter().zip(["a", "b", "c", "d", "e", "f"]) {
        // Clang assembles by itself.
        let expected = match unit {
            "f" => ("remote", "verified"),
            _ => ("failed-over", "results-differ"),
        };
        ensure!(
            (job.0.as_str(), job.1.as_str()) == expected,
            "{unit}: {jobs:?}"
        );
    }
    for worker in cluster.workers() {
        ensure!(
            text.contains(&worker.host().address().to_string()),
            "{} is not named: {text}",
            worker.host().name()
        );
    }
    let evidence = submitter
        .host()
        .folder()
        .join("home/.cache/gelato/differing");
    let kept = fs::read_dir(&evidence)?.count();
    ensure!(kept == 5, "{kept} folders of evidence");

    cluster.shut_down()
}
