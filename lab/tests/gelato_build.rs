//! `gelato build` on machines with and without a daemon, a scheduler and workers.

mod common;

use std::path::Path;

use anyhow::{Context, Result, ensure};
use common::{FIRST_JOB, SOON};
use gelato_lab::{Cluster, Daemon, DaemonSpec, Done, Flavour, Layout, Task, build};

const PARTS: usize = 5;

/// Sources that make one program, and a makefile that leaves the compiler to make.
fn write_project(folder: &Path) -> Result<()> {
    let parts = 1..=PARTS;
    let main = format!(
        "#include <stdio.h>\n{}\nint main(void) {{ printf(\"%d\\n\", {}); return 0; }}\n",
        parts
            .clone()
            .map(|part| format!("int part{part}(int);"))
            .collect::<String>(),
        parts
            .clone()
            .map(|part| format!("part{part}(2)"))
            .collect::<Vec<_>>()
            .join(" + ")
    );
    build::write(folder, "main.c", &main)?;
    for part in parts {
        build::write(
            folder,
            &format!("part{part}.c"),
            &format!("int part{part}(int x) {{ return x * {part}; }}\n"),
        )?;
    }
    build::write(
        folder,
        "Makefile",
        "CFLAGS = -O2\nOBJECTS = $(patsubst %.c,%.o,$(wildcard *.c))\n\
         program: $(OBJECTS)\n\t$(CC) -o $@ $^\n\
         clean:\n\trm -f $(OBJECTS) program\n",
    )?;
    Ok(())
}

/// `gelato build OPTIONS -- make` in `folder`; the program it makes must work.
fn build_project(daemon: &Daemon, folder: &Path, options: &[&str]) -> Result<Done> {
    let gelato = daemon
        .programs()
        .gelato
        .as_ref()
        .context("gelato is ours")?;
    let task = Task::new(gelato)
        .arg("build")
        .args(options)
        .args(["--", "make", "-s"])
        .folder(folder);
    let done = daemon.host().run(&task, FIRST_JOB)?.success()?;
    let program = daemon
        .host()
        .run(&Task::new(folder.join("program")).folder(folder), SOON)?
        .success()?;
    ensure!(
        program.out() == "30\n",
        "the program says {:?}",
        program.out()
    );
    Ok(done)
}

fn project(cluster: &Cluster) -> Result<std::path::PathBuf> {
    let folder = cluster.work_folder("project")?;
    write_project(&folder)?;
    cluster.submitter().host().give_all(&folder)?;
    Ok(folder)
}

/// The last line, which sums up the build.
fn summary(done: &Done) -> String {
    done.err().lines().last().unwrap_or_default().to_owned()
}

#[test]
fn without_a_cluster_this_machine_compiles_alone() -> Result<()> {
    require!(Layout::Namespaces, &[Flavour::Gelato]);
    let cluster = Cluster::builder(Layout::Namespaces)
        .ordinary_user()
        .daemon(DaemonSpec::submitter("lonely", Flavour::Gelato))
        .empty()?;
    let folder = project(&cluster)?;
    let done = build_project(cluster.submitter(), &folder, &[])?;
    let line = summary(&done);
    ensure!(
        line.starts_with(
            "gelato: 7 jobs: 0 remote, 7 local, 0 failed over (6 no-cluster, 1 no-compile-step)"
        ),
        "{line}"
    );
    cluster.shut_down()
}

#[test]
fn the_exit_code_is_the_commands() -> Result<()> {
    require!(Layout::Namespaces, &[Flavour::Gelato]);
    let cluster = Cluster::builder(Layout::Namespaces)
        .ordinary_user()
        .daemon(DaemonSpec::submitter("lonely", Flavour::Gelato))
        .empty()?;
    let submitter = cluster.submitter();
    let gelato = submitter
        .programs()
        .gelato
        .as_ref()
        .context("gelato is ours")?;
    for (command, code) in [
        (&["sh", "-c", "exit 7"][..], 7),
        (&["sh", "-c", "kill -9 $$"], 128 + 9),
        (&["no-such-command"], 127),
        (&["/dev/null"], 126),
    ] {
        let task = Task::new(gelato)
            .args(["build", "--"])
            .args(command.to_vec());
        let done = submitter.host().run(&task, SOON)?;
        ensure!(
            done.status.code() == Some(code),
            "{command:?} ended with {:?}",
            done.status
        );
    }
    cluster.shut_down()
}

/// As an ordinary user, on a machine that runs nothing of ours.
#[test]
fn a_cluster_on_the_network_is_found_without_a_daemon() -> Result<()> {
    require!(Layout::Namespaces, &[Flavour::Gelato]);
    let mut cluster = Cluster::builder(Layout::Namespaces)
        .ordinary_user()
        .scheduler(Flavour::Gelato)
        .daemon(DaemonSpec::submitter("visitor", Flavour::Gelato))
        .daemon(DaemonSpec::worker("worker-1", Flavour::Gelato))
        .daemon(DaemonSpec::worker("worker-2", Flavour::Gelato))
        .start()?;
    cluster.kill_daemon(0);
    let folder = project(&cluster)?;
    let done = build_project(cluster.submitter(), &folder, &["-v"])?;
    ensure!(
        done.err().contains("2 machines with 4 slots"),
        "{}",
        done.err()
    );
    distributed(&cluster, &done, true)?;
    cluster.shut_down()
}

#[test]
fn the_daemon_of_the_machine_is_used() -> Result<()> {
    require!(Layout::Namespaces, &[Flavour::Gelato]);
    let cluster = Cluster::builder(Layout::Namespaces)
        .scheduler(Flavour::Gelato)
        .daemon(DaemonSpec::submitter("submitter", Flavour::Gelato))
        .daemon(DaemonSpec::worker("worker-1", Flavour::Gelato))
        .start()?;
    let folder = project(&cluster)?;
    let done = build_project(cluster.submitter(), &folder, &["-j", "3"])?;
    distributed(&cluster, &done, false)?;
    cluster.shut_down()
}

/// An unmodified Icecream cluster serves just as well.
#[test]
fn an_icecream_cluster_is_used() -> Result<()> {
    require!(Layout::Namespaces, &Flavour::BOTH);
    let mut cluster = Cluster::builder(Layout::Namespaces)
        .scheduler(Flavour::Icecream)
        .daemon(DaemonSpec::submitter("visitor", Flavour::Gelato))
        .daemon(DaemonSpec::worker("worker-1", Flavour::Icecream).steady_load())
        .start()?;
    cluster.kill_daemon(0);
    let folder = project(&cluster)?;
    let done = build_project(cluster.submitter(), &folder, &["-j", "3"])?;
    distributed(&cluster, &done, true)?;
    cluster.shut_down()
}

/// Everything but the link ran on workers, or here because the scheduler counts this machine's slots too if `own_slots`.
fn distributed(cluster: &Cluster, done: &Done, own_slots: bool) -> Result<()> {
    let line = summary(done);
    let remote: usize = cluster.workers().iter().map(Daemon::compiled).sum();
    let assigned_here = PARTS + 1 - remote;
    ensure!(remote >= 1 && (own_slots || assigned_here == 0), "{line}");
    let local = assigned_here + 1;
    ensure!(
        line.starts_with(&format!("gelato: 7 jobs: {remote} remote on "))
            && line.contains(&format!(", {local} local, 0 failed over"))
            && line.contains("1 no-compile-step"),
        "the workers compiled {remote}: {line}"
    );
    ensure!(
        assigned_here == 0 || line.contains(&format!("{assigned_here} assigned-here")),
        "{line}"
    );
    Ok(())
}
