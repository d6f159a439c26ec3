//! Projects nobody here wrote: almost every translation unit is compiled by workers, every object is byte for byte the
//! local one, and the linked programs work.

mod common;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use common::SOON;
use gelato_lab::record::tally;
use gelato_lab::{Cluster, DaemonSpec, Flavour, Layout, Task, build, sources};

/// A whole build on a busy machine.
const BUILD: Duration = Duration::from_secs(600);

/// A project and how to build and try it.
struct Project {
    /// Source packages with the folder each goes to.
    packages: &'static [(&'static str, &'static str)],
    /// A makefile of ours, for a project whose own needs more programs.
    makefile: Option<&'static str>,
    make: &'static [&'static str],
    clean: &'static [&'static str],
    /// A command whose output must contain a text.
    try_it: &'static [&'static str],
    expected: &'static str,
}

const LUA: Project = Project {
    packages: &[("lua5.4", "lua")],
    makefile: None,
    make: &["-C", "lua/src", "posix"],
    clean: &["-C", "lua/src", "clean"],
    try_it: &[
        "lua/src/lua",
        "-e",
        "local t = {} for i = 1, 10 do t[i] = i * i end print(table.concat(t, ' '))",
    ],
    expected: "1 4 9 16 25 36 49 64 81 100",
};

/// The library and those of its own tests that fit into one program, with the test framework they use. Without warnings,
/// because Icecream's wrapper compiles a second time locally whenever the remote compiler says something. Optimised,
/// because otherwise the headers have a `#pragma GCC optimize`, with which our jobs stay local.
const FMT: Project = Project {
    packages: &[("fmtlib", "fmt"), ("googletest", "gtest")],
    makefile: Some(
        "
CXX = g++
CXXFLAGS = -O1 -w -std=c++17 -DGTEST_HAS_PTHREAD=0
CPPFLAGS = -Ifmt/include -Igtest/googletest/include -Igtest/googletest -Igtest/googlemock/include -Igtest/googlemock
TESTS = args assert color core ostream printf scan unicode
OBJECTS = $(TESTS:%=fmt/test/%-test.o) fmt/src/format.o fmt/src/os.o fmt/test/gtest-extra.o fmt/test/util.o \\
    fmt/test/test-main.o gtest/googletest/src/gtest-all.o gtest/googlemock/src/gmock-all.o
suite: $(OBJECTS)
\t$(CXX) -o $@ $(OBJECTS)
fmt/src/%.o: CXXFLAGS += -O2
%.o: %.cc
\t$(CXX) $(CPPFLAGS) $(CXXFLAGS) -c -o $@ $<
clean:
\trm -f suite $(OBJECTS)
",
    ),
    make: &["suite"],
    clean: &["clean"],
    try_it: &["./suite"],
    expected: "[  PASSED  ]",
};

impl Project {
    fn unpack(&self, to: &Path) -> Result<()> {
        for (package, folder) in self.packages {
            sources::copy(&sources::fetch(package)?, &to.join(folder))?;
        }
        if let Some(makefile) = self.makefile {
            build::write(to, "Makefile", makefile)?;
        }
        Ok(())
    }
}

fn builds_through(project: &Project, cluster: &Cluster) -> Result<()> {
    let folder = cluster.work_folder("project")?;
    project.unpack(&folder)?;
    let submitter = cluster.submitter();
    submitter.host().give_all(&folder)?;
    let make = |words: &[&str]| Task::new("make").arg("-j6").args(words).folder(&folder);
    submitter
        .host()
        .run(&make(project.make), BUILD)?
        .success()
        .context("the local build")?;
    let local = build::files(&folder, ".o")?;
    submitter
        .host()
        .run(&make(project.clean), SOON)?
        .success()?;
    ensure!(
        build::files(&folder, ".o")?.is_empty(),
        "objects left by make clean"
    );

    let done = submitter
        .host()
        .run(&submitter.wrapped(make(project.make)), BUILD)?
        .success()?;
    let jobs = submitter.jobs()?;
    let counts = tally(&jobs);
    let units = local.len();
    let compiled: usize = cluster
        .workers()
        .iter()
        .map(gelato_lab::Daemon::compiled)
        .sum();
    eprintln!(
        "{units} translation units in {:?}: {counts:?}, {compiled} by the workers' logs",
        done.wall
    );
    ensure!(
        counts.remote * 100 >= units * 95,
        "too many local jobs: {jobs:#?}"
    );
    ensure!(
        compiled >= counts.remote,
        "workers know of {compiled} jobs only"
    );
    build::same(&build::files(&folder, ".o")?, &local)?;

    let tried = submitter.host().run(
        &Task::new(project.try_it[0])
            .args(&project.try_it[1..])
            .folder(&folder),
        SOON,
    )?;
    let tried = tried.success().context("the built program")?;
    ensure!(
        tried.out().contains(project.expected),
        "the built program says {}",
        tried.out()
    );
    Ok(())
}

fn available(project: &Project) -> bool {
    project
        .packages
        .iter()
        .all(|(package, _)| match sources::fetch(package) {
            Ok(_) => true,
            Err(error) => {
                gelato_lab::skip(&format!(
                    "source package {package} cannot be had: {error:#}"
                ));
                false
            }
        })
}

fn in_namespaces(project: &Project, flavour: Flavour) -> Result<()> {
    require!(Layout::Namespaces, &[flavour]);
    if !available(project) {
        return Ok(());
    }
    let cluster = Cluster::builder(Layout::Namespaces)
        .scheduler(flavour)
        .daemon(DaemonSpec::submitter("submitter", flavour))
        .daemon(DaemonSpec::worker("one", flavour).slots(3))
        .daemon(DaemonSpec::worker("two", flavour).slots(3))
        .start()?;
    builds_through(project, &cluster)?;
    cluster.shut_down()
}

fn as_ordinary_user(project: &Project) -> Result<()> {
    if !available(project) {
        return Ok(());
    }
    let cluster = Cluster::builder(Layout::Loopback)
        .ordinary_user()
        .scheduler(Flavour::Gelato)
        .daemon(DaemonSpec::submitter("submitter", Flavour::Gelato))
        .daemon(DaemonSpec::worker("one", Flavour::Gelato).slots(3))
        .daemon(DaemonSpec::worker("two", Flavour::Gelato).slots(3))
        .start()?;
    builds_through(project, &cluster)?;
    cluster.shut_down()
}

#[test]
fn icecream_builds_lua() -> Result<()> {
    in_namespaces(&LUA, Flavour::Icecream)
}

#[test]
fn icecream_builds_fmt_and_its_tests() -> Result<()> {
    in_namespaces(&FMT, Flavour::Icecream)
}

#[test]
fn gelato_builds_lua() -> Result<()> {
    in_namespaces(&LUA, Flavour::Gelato)
}

#[test]
fn gelato_builds_fmt_and_its_tests() -> Result<()> {
    in_namespaces(&FMT, Flavour::Gelato)
}

#[test]
fn gelato_without_root_builds_lua() -> Result<()> {
    as_ordinary_user(&LUA)
}

#[test]
fn gelato_without_root_builds_fmt_and_its_tests() -> Result<()> {
    as_ordinary_user(&FMT)
}
