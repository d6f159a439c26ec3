//! Shows a cluster at work on this machine: a scheduler and three daemons on the loopback interface, without root, and a
//! small project compiled through them. Everything it starts and writes is gone when it ends.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use gelato_lab::{Cluster, DaemonSpec, Flavour, JobRecord, Layout, Task, Verdict, build};

/// Of a project this small; a build that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(120);
const PARTS: usize = 6;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gelato-demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    println!(
        "Starting a scheduler, a submitter and two workers on this machine, all as an ordinary user ..."
    );
    let cluster = Cluster::builder(Layout::Loopback)
        .ordinary_user()
        .scheduler(Flavour::Gelato)
        .daemon(DaemonSpec::submitter("submitter", Flavour::Gelato))
        .daemon(DaemonSpec::worker("worker-1", Flavour::Gelato))
        .daemon(DaemonSpec::worker("worker-2", Flavour::Gelato))
        .start()?;
    let folder = cluster.work_folder("project")?;
    write_project(&folder)?;
    let submitter = cluster.submitter();
    submitter.host().give_all(&folder)?;
    let make = |target: &str| {
        Task::new("make")
            .args(["-s", "-j6", target])
            .folder(&folder)
    };

    println!(
        "Compiling {} files with the local compilers, to have something to compare with ...",
        2 * PARTS + 1
    );
    let local = submitter
        .host()
        .run(&make("program"), PATIENCE)?
        .success()
        .context("the local build")?;
    let objects = build::files(&folder, ".o")?;
    submitter.host().run(&make("clean"), PATIENCE)?.success()?;

    println!(
        "Compiling them through the cluster, with the same makefile and the masquerade folder first in PATH."
    );
    println!("The first job also packs the toolchain and sends it to the workers ...");
    let ours = submitter
        .host()
        .run(&submitter.wrapped(make("program")), PATIENCE)?
        .success()?;
    println!();
    let jobs = submitter.jobs()?;
    let remote = show(&cluster, &jobs);
    println!();

    build::same(&build::files(&folder, ".o")?, &objects)?;
    println!(
        "All {} objects are byte for byte those of the local build.",
        objects.len()
    );
    let said = submitter
        .host()
        .run(&Task::new("./program").folder(&folder), PATIENCE)?
        .success()?;
    println!("The program made of them says: {}", said.out().trim());
    println!(
        "Local build {:.1} s, through the cluster {:.1} s, toolchain included (on one machine there is nothing to gain).",
        local.wall.as_secs_f64(),
        ours.wall.as_secs_f64()
    );
    if remote == 0 {
        cluster.show_logs();
        bail!("no job ran on a worker; the ends of the logs are above");
    }
    println!("Ending everything ...");
    cluster.shut_down()?;
    println!("Nothing is left behind: no process, no mount, no file.");
    Ok(())
}

/// Prints where each job ran; gives the number of remote ones.
fn show(cluster: &Cluster, jobs: &[JobRecord]) -> usize {
    let nodes: BTreeMap<String, &str> = cluster
        .workers()
        .iter()
        .map(|daemon| {
            (
                format!("{}:{}", daemon.host().address(), daemon.port()),
                daemon.host().name(),
            )
        })
        .collect();
    let mut remote = 0;
    for job in jobs {
        let name = job.what.rsplit('/').next().unwrap_or(&job.what);
        match &job.verdict {
            Verdict::Remote(address) => {
                remote += 1;
                let node = nodes.get(address).copied().unwrap_or(address);
                println!("  {name:<14} on worker {node}");
            }
            Verdict::Local(why) => println!("  {name:<14} here: {why}"),
            Verdict::FailedOver(why) => println!("  {name:<14} here, after a worker failed: {why}"),
        }
    }
    println!("  {remote} of {} jobs ran on workers.", jobs.len());
    remote
}

fn write_project(folder: &std::path::Path) -> Result<()> {
    let mut objects = String::from("main.o");
    let mut calls = String::new();
    let mut declarations = String::new();
    for number in 1..=PARTS {
        build::write(
            folder,
            &format!("sum{number}.c"),
            &format!(
                "#include <stdio.h>\nunsigned sum{number}(unsigned n) {{\n    unsigned s = {number};\n    \
                 for (unsigned i = 1; i <= n; i++) s = s * 31 + i;\n    return s;\n}}\n"
            ),
        )?;
        build::write(
            folder,
            &format!("words{number}.cc"),
            &format!(
                "#include <algorithm>\n#include <map>\n#include <string>\n#include <vector>\nunsigned words{number}(unsigned n) {{\n    \
                 std::map<std::string, std::vector<unsigned>> seen;\n    \
                 for (unsigned i = 0; i < n; i++) seen[std::to_string(i % ({number} + 3))].push_back(i);\n    \
                 unsigned most = 0;\n    for (auto &[word, at] : seen) most = std::max(most, unsigned(at.size()));\n    \
                 return most;\n}}\n"
            ),
        )?;
        objects.push_str(&format!(" sum{number}.o words{number}.o"));
        declarations.push_str(&format!(
            "extern \"C\" unsigned sum{number}(unsigned);\nunsigned words{number}(unsigned);\n"
        ));
        calls.push_str(&format!(
            "    total += sum{number}(100) % 1000 + words{number}(100);\n"
        ));
    }
    build::write(
        folder,
        "main.cc",
        &format!(
            "#include <cstdio>\n{declarations}int main() {{\n    unsigned total = 0;\n{calls}    \
             std::printf(\"%u\\n\", total);\n}}\n"
        ),
    )?;
    build::write(
        folder,
        "Makefile",
        &format!(
            "CC = gcc\nCXX = g++\nCFLAGS = -O2\nCXXFLAGS = -O2 -std=c++17\nprogram: {objects}\n\t$(CXX) -o $@ $^\n\
             clean:\n\trm -f program *.o\n"
        ),
    )?;
    Ok(())
}
