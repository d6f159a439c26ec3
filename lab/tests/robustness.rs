//! Peers of the scheduler that read nothing, say nothing or are no longer there: builds of others go on, and who is gone is
//! noticed in seconds.

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use common::{FIRST_JOB, SOON};
use gelato_lab::host::Running;
use gelato_lab::record::tally;
use gelato_lab::{
    Cluster, DaemonSpec, Done, Flavour, Layout, Task, build, proc, programs, segment, wait,
};
use gelato_wire::{Message, ProtocolVersion, Session};
use rustix::process::Signal;

const UNITS: usize = 12;
const SLOTS: usize = 2;
const STUCK: usize = 2;
const UNPLUGGED: usize = 3;

#[test]
fn builds_go_on_beside_peers_that_read_and_say_nothing() -> Result<()> {
    require!(Layout::Namespaces, &[]);
    let worker = |name| DaemonSpec::worker(name, Flavour::Gelato).steady_load();
    let cluster = Cluster::builder(Layout::Namespaces)
        .scheduler(Flavour::Gelato)
        .daemon(DaemonSpec::submitter("submitter", Flavour::Gelato).steady_load())
        .daemon(worker("worker"))
        .daemon(worker("stuck"))
        .daemon(worker("unplugged"))
        .strangers(1)
        .start()?;
    let project = Project::new(&cluster)?;
    project.build(&cluster, 0)?;
    told("build with nobody in the way", project.build(&cluster, 0)?);

    let mute = mute_monitor(&cluster)?;
    let sundae = stopped_sundae(&cluster)?;
    let took = project.build(&cluster, 0)?;
    told("build beside two monitors that read nothing", took);

    // One process stands still while its system goes on acknowledging what it is sent; from the other machine nothing
    // comes any more, not even a good-bye.
    let stuck = cluster.daemons()[STUCK].process()?;
    let network = cluster.segment().context("no network")?;
    let number = cluster.daemon_number(UNPLUGGED);
    stuck.signal(Signal::STOP);
    network.unplug(number)?;
    let since = Instant::now();
    let took = project.build(&cluster, 2 * SLOTS)?;
    told("build that began with half of the workers", took);
    let mut noticed = [None; 2];
    wait::until_slowly(SOON, "the scheduler to notice both", || {
        for (noticed, name) in noticed.iter_mut().zip(["stuck", "unplugged"]) {
            if noticed.is_none() && !listed(&cluster, name)? {
                *noticed = Some(since.elapsed());
            }
        }
        Ok(noticed.iter().all(Option::is_some).then_some(()))
    })?;
    for (noticed, what) in noticed.iter().zip(["stands still", "is cut off"]) {
        told(
            &format!("noticed that one {what}, at the latest"),
            noticed.unwrap_or_default(),
        );
    }
    let took = project.build(&cluster, 0)?;
    told("build from then on", took);

    stuck.signal(Signal::CONT);
    network.plug(number)?;
    for name in ["stuck", "unplugged"] {
        wait::until_slowly(SOON, &format!("{name} at the scheduler"), || {
            Ok(listed(&cluster, name)?.then_some(()))
        })?;
    }
    told("build with everybody back", project.build(&cluster, 0)?);
    drop((mute, sundae));
    cluster.shut_down()
}

fn told(what: &str, took: Duration) {
    eprintln!("{what}: {:.1} s", took.as_secs_f64());
}

/// A few files, and what a compiler makes of them here.
struct Project {
    folder: PathBuf,
    local: build::Files,
}

impl Project {
    fn new(cluster: &Cluster) -> Result<Project> {
        let folder = cluster.work_folder("work")?;
        let names: Vec<String> = (0..UNITS).map(|number| format!("u{number}.o")).collect();
        for number in 0..UNITS {
            let text = format!("int unit{number}(int x) {{ return x * {number}; }}\n");
            build::write(&folder, &format!("u{number}.c"), &text)?;
        }
        let rule = "%.o: %.c\n\tgcc -O1 -c $< -o $@\n";
        let makefile = format!("all: {}\n{rule}", names.join(" "));
        build::write(&folder, "Makefile", &makefile)?;
        let host = cluster.submitter().host();
        host.run(&make(&folder), SOON)?.success()?;
        let local = build::files(&folder, ".o")?;
        Ok(Project { folder, local })
    }

    /// Makes everything anew; so many jobs at most may end up here, after a failed attempt elsewhere.
    fn build(&self, cluster: &Cluster, failed_over: usize) -> Result<Duration> {
        for name in self.local.keys() {
            fs::remove_file(self.folder.join(name))?;
        }
        let submitter = cluster.submitter();
        submitter.forget_jobs()?;
        let make = submitter.wrapped(make(&self.folder));
        let done: Done = submitter.host().run(&make, FIRST_JOB)?.success()?;
        build::same(&build::files(&self.folder, ".o")?, &self.local)?;
        let jobs = submitter.jobs()?;
        let counts = tally(&jobs);
        ensure!(
            counts.local == 0 && counts.failed_over <= failed_over,
            "{counts:?}: {jobs:?}"
        );
        Ok(done.wall)
    }
}

fn make(folder: &Path) -> Task {
    Task::new("make").arg("-j4").folder(folder)
}

/// A monitor that introduces itself and never reads again.
fn mute_monitor(cluster: &Cluster) -> Result<TcpStream> {
    let stranger = cluster.strangers().first().context("no stranger")?;
    let address = SocketAddr::new(IpAddr::V4(cluster.scheduler_host().address()), 8765);
    let mut stream = segment::inside(stranger.namespace(), || Ok(TcpStream::connect(address)?))?;
    stream.set_read_timeout(Some(SOON))?;
    let mut session = Session::new(ProtocolVersion::NEWEST);
    loop {
        let output = session.output();
        stream.write_all(output)?;
        output.clear();
        if session.version().is_some() {
            break;
        }
        let mut buffer = [0; 64];
        let length = stream.read(&mut buffer)?;
        ensure!(length > 0, "the scheduler closed a monitor's connection");
        session.receive(&buffer[..length])?;
    }
    session.send(&Message::MonLogin)?;
    stream.write_all(session.output())?;
    Ok(stream)
}

/// The distribution's monitor, connected and then stopped, if it is installed.
fn stopped_sundae(cluster: &Cluster) -> Result<Option<Running>> {
    if ["icecream-sundae", "script"]
        .iter()
        .any(|name| programs::in_path(name).is_none())
    {
        gelato_lab::skip("icecream-sundae or script is not installed");
        return Ok(None);
    }
    let stranger = cluster.strangers().first().context("no stranger")?;
    let address = cluster.scheduler_host().address().to_string();
    let screen = stranger.folder().join("screen");
    let task = Task::new("script")
        .args(["-qfc", &format!("exec icecream-sundae -s {address}")])
        .arg(&screen)
        .env("TERM", "xterm");
    let running = stranger.start(&task)?;
    wait::until(SOON, "a monitor that shows a host", || {
        let shown = fs::read(&screen).ok()?;
        String::from_utf8_lossy(&shown)
            .contains("worker")
            .then_some(())
    })?;
    for monitor in proc::descendants_named(running.pid(), &["icecream-sundae"]) {
        monitor.signal(Signal::STOP);
    }
    Ok(Some(running))
}

/// Whether it gets jobs.
fn listed(cluster: &Cluster, name: &str) -> Result<bool> {
    let nodes = cluster.control()?.nodes()?;
    Ok(nodes
        .iter()
        .any(|node| node.name == name && node.load < 1000 && !node.suspended))
}
