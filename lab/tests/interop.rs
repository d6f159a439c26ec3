//! Every combination of our programs and Icecream's compiles remotely, and the object is the local one.

mod common;

use anyhow::{Context, Result, ensure};
use common::{FIRST_JOB, SOON};
use gelato_lab::{Cluster, DaemonSpec, Flavour, Layout, Task, Verdict, build, programs};

const C: &str = r#"
#include <stdio.h>
#define TWICE(x) ((x) * 2)
static int depth;
int walk(const char *path) {
    printf("%s at %d\n", path, TWICE(depth++));
    return depth > 3 ? depth : walk(path);
}
"#;

const CXX: &str = r#"
#include <map>
#include <string>
#include <vector>
std::map<std::string, std::vector<int>> index(const std::vector<std::string> &words) {
    std::map<std::string, std::vector<int>> found;
    int at = 0;
    for (const auto &word : words) found[word].push_back(at++);
    return found;
}
"#;

/// A compiler, how its toolchain is packed, its source file, and options of which some stay here and some travel.
const JOBS: [(&str, &str, &str, &[&str]); 6] = [
    ("gcc", "gzip", "walk.c", &["-O2", "-Wall", "-DUNUSED=1"]),
    ("g++", "gzip", "index.cc", &["-O2", "-std=c++17", "-fPIC"]),
    (
        "gcc",
        "gzip",
        "walk.c",
        &["-O0", "-ffunction-sections", "-MD"],
    ),
    ("g++", "gzip", "index.cc", &["-O1", "-fno-exceptions"]),
    ("clang", "zstd", "walk.c", &["-O2", "-Wall"]),
    ("clang++", "zstd", "index.cc", &["-O2", "-std=c++17"]),
];

fn compiles_remotely(submitter: Flavour, scheduler: Flavour, worker: Flavour) -> Result<()> {
    require!(Layout::Namespaces, &[submitter, scheduler, worker]);
    let cluster = Cluster::builder(Layout::Namespaces)
        .scheduler(scheduler)
        .daemon(DaemonSpec::submitter("submitter", submitter))
        .daemon(DaemonSpec::worker("worker", worker))
        .start()?;
    let folder = cluster.work_folder("work")?;
    build::write(&folder, "walk.c", C)?;
    build::write(&folder, "index.cc", CXX)?;
    let (submitter, worker) = (cluster.submitter(), &cluster.workers()[0]);
    for (number, (compiler, packing, source, options)) in JOBS.into_iter().enumerate() {
        if programs::in_path(compiler).is_none() {
            eprintln!("{compiler} is not installed, left out");
            continue;
        }
        let object = "object.o";
        let args = [options, &["-c", source, "-o", object]].concat();
        submitter
            .host()
            .run(&Task::new(compiler).args(&args).folder(&folder), SOON)?
            .success()?;
        let local = build::files(&folder, ".o")?;
        std::fs::remove_file(folder.join(object))?;

        submitter.forget_jobs()?;
        let compiled = worker.compiled();
        let task = submitter
            .compile_task(compiler, &args, &folder)
            .env("ICECC_ENV_COMPRESSION", packing);
        let done = submitter.host().run(&task, FIRST_JOB)?.success()?;
        let jobs = submitter.jobs()?;
        let what = format!("job {number} with {compiler}: {jobs:?} {}", done.err());
        ensure!(
            matches!(jobs[..], [ref job] if matches!(job.verdict, Verdict::Remote(_))),
            "not remote: {what}"
        );
        ensure!(
            worker.compiled() == compiled + 1,
            "the worker knows nothing of it: {what}"
        );
        build::same(&build::files(&folder, ".o")?, &local).context(what)?;
    }
    cluster.shut_down()
}

macro_rules! combinations {
    ($($name:ident: $submitter:ident $scheduler:ident $worker:ident;)*) => {
        $(#[test]
        fn $name() -> Result<()> {
            compiles_remotely(Flavour::$submitter, Flavour::$scheduler, Flavour::$worker)
        })*
    };
}

combinations! {
    icecream_submits_to_icecream_under_icecream: Icecream Icecream Icecream;
    icecream_submits_to_gelato_under_icecream: Icecream Icecream Gelato;
    icecream_submits_to_icecream_under_gelato: Icecream Gelato Icecream;
    icecream_submits_to_gelato_under_gelato: Icecream Gelato Gelato;
    gelato_submits_to_icecream_under_icecream: Gelato Icecream Icecream;
    gelato_submits_to_gelato_under_icecream: Gelato Icecream Gelato;
    gelato_submits_to_icecream_under_gelato: Gelato Gelato Icecream;
    gelato_submits_to_gelato_under_gelato: Gelato Gelato Gelato;
}
