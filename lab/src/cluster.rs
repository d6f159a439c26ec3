//! A cluster of real processes: a scheduler, a submitter and workers, each of either flavour.
//!
//! [`Builder::start`](crate::spec::Builder::start) returns when every daemon is logged in and may get jobs. [`Cluster::shut_down`] ends everything in
//! order and says what was left behind; dropping a cluster without that, as a failing test does, ends everything by force
//! and shows the end of every log.

use std::collections::HashSet;
use std::fs::{self, Permissions};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::control::Control;
use crate::daemon::Daemon;
use crate::guard::Guard;
use crate::host::{Host, Place, RunAs, Running, Task};
use crate::leak;
use crate::log::LogFile;
use crate::proc::{self, ProcessId};
use crate::programs::{Flavour, Programs};
use crate::segment::{self, Segment};
use crate::spec::{Builder, Layout};
use crate::wait;

/// A daemon logs in within a second or, if the scheduler is Icecream's, six; the rest is for a busy machine.
const LOGIN: Duration = Duration::from_secs(90);
/// An orderly end: ours gives running jobs 20 s, Icecream's daemon waits for its compilers.
const END: Duration = Duration::from_secs(45);
/// The service user of the distribution's package.
const SERVICE_USER: &str = "icecc";

/// The cluster.
#[derive(Debug)]
pub struct Cluster {
    id: String,
    marker: String,
    layout: Layout,
    quick_reconnect: bool,
    /// The first is the one daemons are told of, unless there are others.
    schedulers: Vec<Scheduler>,
    scheduler_port: u16,
    daemons: Vec<Daemon>,
    strangers: Vec<Host>,
    /// Every process seen below one of ours; none may outlive the cluster.
    family: HashSet<ProcessId>,
    down: bool,
    segment: Option<Segment>,
    folder: TempDir,
    _guard: Guard,
}

/// One scheduler, running or not.
#[derive(Debug)]
struct Scheduler {
    host: Host,
    log: LogFile,
    process: Option<Running>,
}

impl Scheduler {
    fn on(host: Host) -> Scheduler {
        Scheduler {
            log: LogFile::new(host.folder.join("scheduler.log")),
            process: None,
            host,
        }
    }
}

impl Cluster {
    /// A cluster with nothing in it.
    pub fn builder(layout: Layout) -> Builder {
        Builder {
            layout,
            run_as: RunAs::Caller,
            scheduler: None,
            daemons: Vec::new(),
            standbys: 0,
            strangers: 0,
            quick_reconnect: false,
        }
    }

    pub(crate) fn prepare(builder: &Builder) -> Result<Cluster> {
        static COUNT: AtomicU16 = AtomicU16::new(0);
        let id = format!(
            "gl{}x{}h",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let marker = format!("GELATO_LAB_ID={id}.");
        let folder = tempfile::Builder::new().prefix("gelato-lab-").tempdir_in(
            std::env::var_os("GELATO_LAB_DIR")
                .map_or_else(|| PathBuf::from("/var/tmp"), PathBuf::from),
        )?;
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
        let count = builder.daemons.len() + 1 + builder.standbys + builder.strangers;
        let count = u8::try_from(count).context("too many hosts")?;
        if builder.standbys != 0 && builder.layout == Layout::Loopback {
            bail!("several schedulers need hosts of their own: they all answer at one port");
        }
        let segment = match builder.layout {
            Layout::Namespaces => Some(Segment::new(&id, count)?),
            Layout::Loopback => None,
        };
        let names = segment.as_ref().map(Segment::names).unwrap_or_default();
        let guard = Guard::new(&marker, folder.path(), &names)?;
        let host = |number: u8, name: &str, shown: (bool, Option<u32>)| -> Result<Host> {
            let (steady_load, memory) = shown;
            let host = Host {
                name: name.to_owned(),
                folder: folder.path().join(name),
                place: segment.as_ref().map_or(Place::Loopback, |segment| {
                    Place::Namespace(segment.name(number))
                }),
                address: if segment.is_some() {
                    Segment::address(number)
                } else {
                    Ipv4Addr::LOCALHOST
                },
                marker: format!("{id}."),
                run_as: builder.run_as,
                steady_load,
                memory,
                mounts_of: None,
            };
            host.create_folders()?;
            Ok(host)
        };
        let mut schedulers = vec![Scheduler::on(host(1, "scheduler", (false, None))?)];
        let mut daemons = Vec::new();
        for (number, spec) in (2..).zip(&builder.daemons) {
            // All hosts share this machine's processors, and a busy Icecream worker gets no job at all.
            let steady_load = spec.steady_load || spec.flavour == Flavour::Icecream;
            let host = host(number, &spec.name, (steady_load, spec.memory))?;
            daemons.push(Daemon {
                log: LogFile::new(host.folder.join("daemon.log")),
                port: if segment.is_some() {
                    10245
                } else {
                    free_ports()?
                },
                programs: Programs::find(spec.flavour, folder.path())?,
                spec: spec.clone(),
                process: None,
                disk: None,
                host,
            });
        }
        let first_standby = u8::try_from(builder.daemons.len() + 2)?;
        for (number, standby) in (first_standby..).zip(2..builder.standbys + 2) {
            let host = host(number, &format!("scheduler{standby}"), (false, None))?;
            schedulers.push(Scheduler::on(host));
        }
        let mut strangers = Vec::new();
        for number in 0..builder.strangers {
            let place = builder.daemons.len() + 2 + builder.standbys + number;
            strangers.push(host(
                u8::try_from(place)?,
                &format!("stranger{number}"),
                (false, None),
            )?);
        }
        Ok(Cluster {
            scheduler_port: if segment.is_some() {
                8765
            } else {
                free_ports()?
            },
            layout: builder.layout,
            quick_reconnect: builder.quick_reconnect,
            family: HashSet::new(),
            down: false,
            id,
            marker,
            schedulers,
            strangers,
            daemons,
            segment,
            folder,
            _guard: guard,
        })
    }

    /// Starts the scheduler, or starts it again.
    ///
    /// # Errors
    /// It is not ready in time.
    pub fn start_scheduler(&mut self, flavour: Flavour) -> Result<()> {
        self.start_scheduler_at(0, flavour)
    }

    /// Starts scheduler `index`, or starts it again; 0 is the one that is no standby.
    ///
    /// # Errors
    /// It is not ready in time.
    pub fn start_scheduler_at(&mut self, index: usize, flavour: Flavour) -> Result<()> {
        if self.schedulers.len() > 1 {
            next_second()?;
        }
        let position = self.schedulers[index].log.position();
        self.launch_scheduler(index, flavour)?;
        let Scheduler { log, process, .. } = &mut self.schedulers[index];
        let process = process.as_mut().context("it was started just now")?;
        wait_for_line(process, log, position, "scheduler ready")
    }

    /// Starts scheduler `index` without waiting for it.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn launch_scheduler(&mut self, index: usize, flavour: Flavour) -> Result<()> {
        let programs = Programs::find(flavour, self.folder.path())?;
        let scheduler = &mut self.schedulers[index];
        prepare_log(&scheduler.log, &scheduler.host)?;
        let mut task = Task::new(programs.scheduler)
            .args(["-vvv", "-p", &self.scheduler_port.to_string(), "-l"])
            .arg(scheduler.log.path())
            // What it learns here is nobody else's.
            .env("STATE_DIRECTORY", scheduler.host.folder.join("state"));
        if self.layout == Layout::Loopback {
            task = task.args(["-i", "lo"]).env("ICECC_TESTS", "1");
        }
        scheduler.process = Some(scheduler.host.start(&task)?);
        Ok(())
    }

    /// Starts daemon `index`, or starts it again.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start_daemon(&mut self, index: usize) -> Result<()> {
        self.prepare_disk(index)?;
        let scheduler = format!("{}:{}", self.scheduler_host().address, self.scheduler_port);
        let one_scheduler = self.schedulers.len() == 1;
        let daemon = &mut self.daemons[index];
        prepare_log(&daemon.log, &daemon.host)?;
        let base = daemon.host.folder.join("envs");
        if daemon.host.run_as == RunAs::Caller && rustix::process::geteuid().is_root() {
            give_to_service_user(&base)?;
        }
        let mut task = Task::new(daemon.programs.daemon.clone())
            .args([
                "-vvv",
                "-N",
                &daemon.spec.name,
                "-m",
                &daemon.spec.slots.to_string(),
            ])
            .args(["-p", &daemon.port.to_string(), "-l"])
            .arg(daemon.log.path())
            .arg("-b")
            .arg(base);
        if one_scheduler {
            task = task.args(["-s", &scheduler]);
        }
        if daemon.spec.no_remote {
            task = task.arg("--no-remote");
        }
        if self.layout == Layout::Loopback {
            task = task.env("ICECC_TEST_SOCKET", daemon.socket());
        }
        if self.layout == Layout::Loopback || self.quick_reconnect {
            task = task.env("ICECC_TESTS", "1");
        }
        for (name, value) in &daemon.spec.env {
            task = task.env(name, value);
        }
        task = task.args(daemon.spec.args.clone());
        daemon.process = Some(daemon.host.start(&task)?);
        Ok(())
    }

    /// Waits until every running daemon is logged in with a load below 1000.
    ///
    /// # Errors
    /// Not in time; the error says what the scheduler lists.
    pub fn wait_ready(&mut self) -> Result<()> {
        self.wait_listed("all daemons to log in and report a load", 999)
    }

    pub(crate) fn wait_listed(&mut self, what: &str, most_load: u32) -> Result<()> {
        let mut controls = Vec::new();
        for index in 0..self.schedulers.len() {
            if self.schedulers[index].process.is_some() {
                controls.push(self.control_of(index)?);
            }
        }
        let mut last = Vec::new();
        wait::until_ok(LOGIN, what, || {
            last.clear();
            for control in &mut controls {
                last.extend(control.nodes()?);
            }
            let mut ready = true;
            for daemon in &mut self.daemons {
                let Some(process) = &mut daemon.process else {
                    continue;
                };
                if let Some(status) = process.ended()? {
                    bail!(
                        "daemon {} ended: {status}: {}",
                        daemon.spec.name,
                        process.stderr()
                    );
                }
                ready &= last
                    .iter()
                    .any(|node| node.name == daemon.spec.name && node.load <= most_load);
            }
            Ok(ready.then_some(()))
        })
        .with_context(|| format!("the scheduler lists {last:?}"))
    }

    /// Waits until every daemon is up, without a scheduler to ask.
    pub(crate) fn wait_started(&mut self) -> Result<()> {
        for daemon in &mut self.daemons {
            if let Some(process) = &mut daemon.process {
                wait_for_line(process, &daemon.log, 0, "Netnames:")?;
            }
        }
        Ok(())
    }

    /// A new connection to the scheduler's text port.
    ///
    /// # Errors
    /// There is no scheduler.
    pub fn control(&self) -> Result<Control> {
        self.control_of(0)
    }

    /// The same for scheduler `index`.
    ///
    /// # Errors
    /// It does not run.
    pub fn control_of(&self, index: usize) -> Result<Control> {
        let host = &self.schedulers[index].host;
        let address = SocketAddr::new(IpAddr::V4(host.address), self.scheduler_port + 1);
        Control::connect(host.namespace(), address)
    }

    /// The first daemon.
    pub fn submitter(&self) -> &Daemon {
        &self.daemons[0]
    }

    /// The other daemons.
    pub fn workers(&self) -> &[Daemon] {
        &self.daemons[1..]
    }

    /// All daemons, the submitter first.
    pub fn daemons(&self) -> &[Daemon] {
        &self.daemons
    }

    /// Machines with nothing of ours.
    pub fn strangers(&self) -> &[Host] {
        &self.strangers
    }

    /// The scheduler's log.
    pub fn scheduler_log(&self) -> &LogFile {
        &self.schedulers[0].log
    }

    /// The running scheduler.
    pub fn scheduler(&self) -> Option<&Running> {
        self.scheduler_at(0)
    }

    /// Scheduler `index`, if it runs.
    pub fn scheduler_at(&self, index: usize) -> Option<&Running> {
        self.schedulers[index].process.as_ref()
    }

    /// How many schedulers there are, running or not.
    pub fn scheduler_count(&self) -> usize {
        self.schedulers.len()
    }

    /// The scheduler's machine.
    pub fn scheduler_host(&self) -> &Host {
        &self.schedulers[0].host
    }

    /// Number of the host of scheduler `index` in the network.
    pub fn scheduler_number(&self, index: usize) -> u8 {
        let number = if index == 0 {
            1
        } else {
            self.daemons.len() + 1 + index
        };
        u8::try_from(number).unwrap_or(u8::MAX)
    }

    /// Number of the host of daemon `index` in the network.
    pub fn daemon_number(&self, index: usize) -> u8 {
        u8::try_from(index + 2).unwrap_or(u8::MAX)
    }

    /// The network, if hosts have namespaces.
    pub fn segment(&self) -> Option<&Segment> {
        self.segment.as_ref()
    }

    /// A folder below the cluster's own that its programs can write to.
    ///
    /// # Errors
    /// What the file system says.
    pub fn work_folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.folder.path().join(name);
        fs::create_dir_all(&folder)?;
        self.submitter().host.give(&folder)?;
        Ok(folder)
    }

    /// Kills the scheduler without warning.
    pub fn kill_scheduler(&mut self) {
        self.kill_scheduler_at(0);
    }

    /// The same for scheduler `index`.
    pub fn kill_scheduler_at(&mut self, index: usize) {
        if let Some(mut scheduler) = self.schedulers[index].process.take() {
            scheduler.kill();
        }
    }

    /// Programs that should run and have ended, with how they ended. Each is told once.
    pub fn unexpected_ends(&mut self) -> Vec<(String, String)> {
        let mut ended = Vec::new();
        for (name, process) in self.running() {
            if let Ok(Some(status)) = process.ended() {
                ended.push((name, format!("{status}: {}", process.stderr())));
            }
        }
        for daemon in &mut self.daemons {
            if ended.iter().any(|(name, _)| *name == daemon.spec.name) {
                daemon.process = None;
            }
        }
        for scheduler in &mut self.schedulers {
            if ended.iter().any(|(name, _)| *name == scheduler.host.name) {
                scheduler.process = None;
            }
        }
        ended
    }

    /// Takes the process of daemon `index` out of the cluster's hands, without doing anything to it.
    pub fn release_daemon(&mut self, index: usize) -> Option<Running> {
        self.note_family();
        self.daemons[index].process.take()
    }

    /// Takes the process of scheduler `index` out of the cluster's hands, without doing anything to it.
    pub fn release_scheduler(&mut self, index: usize) -> Option<Running> {
        self.schedulers[index].process.take()
    }

    /// Kills a daemon and all it started without warning.
    pub fn kill_daemon(&mut self, index: usize) {
        self.note_family();
        if let Some(mut process) = self.daemons[index].process.take() {
            process.kill_group();
        }
    }

    /// Kills the daemon's process alone; what it started has to notice by itself.
    pub fn kill_daemon_alone(&mut self, index: usize) {
        self.note_family();
        if let Some(mut process) = self.daemons[index].process.take() {
            process.kill();
        }
    }

    /// Waits until a compiler runs on worker `index` (1 is the first after the submitter) and stops it in its tracks, so
    /// the job stays in the middle until [`HeldJob::release`] or the compiler's death.
    ///
    /// # Errors
    /// No compiler appears in time.
    pub fn hold_job(&mut self, index: usize, limit: Duration) -> Result<HeldJob> {
        let daemon = self.daemons[index].process()?.pid();
        let held = wait::until(limit, "a compiler on the worker", || {
            let found = proc::descendants_named(daemon, &["cc1", "cc1plus", "clang", "clang-14"]);
            let held: Vec<ProcessId> = found
                .into_iter()
                .inspect(|id| id.signal(Signal::STOP))
                .collect();
            held.iter().any(ProcessId::is_stopped).then_some(held)
        })?;
        self.note_family();
        Ok(HeldJob { held })
    }

    /// Ends everything in order and checks that nothing is left: no process, mount, namespace or temporary file.
    ///
    /// # Errors
    /// A program does not end by itself, or something is left; the error lists it.
    pub fn shut_down(mut self) -> Result<()> {
        let mut complaints = Vec::new();
        self.note_family();
        for (name, process) in self.running() {
            process.signal(Signal::TERM);
            if let Err(error) = wait::until_ok(END, &format!("end of {name}"), || process.ended()) {
                complaints.push(format!("{error:#}"));
            }
        }
        let family: Vec<ProcessId> = self.family.iter().cloned().collect();
        let gone = wait::until(END, "end of all that was started", || {
            family.iter().all(|id| !id.is_alive()).then_some(())
        });
        if gone.is_err() {
            complaints.extend(
                family
                    .iter()
                    .filter(|id| id.is_alive())
                    .map(|id| format!("process left: {}", id.describe())),
            );
        }
        self.remove_small_disks();
        let hosts: Vec<&Host> = self.hosts().collect();
        complaints.extend(leak::find(&self.marker, self.folder.path(), &hosts));
        if !complaints.is_empty() {
            self.show_logs();
        }
        self.end();
        complaints.extend(
            segment::existing(&self.id)
                .into_iter()
                .map(|name| format!("namespace left: {name}")),
        );
        if !complaints.is_empty() {
            bail!(
                "the cluster left something behind:\n{}",
                complaints.join("\n")
            );
        }
        Ok(())
    }

    /// The end of every log, for people.
    pub fn show_logs(&self) {
        let logs = self
            .daemons
            .iter()
            .flat_map(|daemon| {
                [
                    daemon.log.clone(),
                    LogFile::new(daemon.host.folder.join("wrapper.log")),
                ]
            })
            .chain(
                self.schedulers
                    .iter()
                    .map(|scheduler| scheduler.log.clone()),
            );
        for log in logs {
            eprintln!("--- end of {}\n{}", log.path().display(), log.tail(40));
        }
    }

    fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.daemons
            .iter()
            .map(|daemon| &daemon.host)
            .chain(self.schedulers.iter().map(|scheduler| &scheduler.host))
            .chain(&self.strangers)
    }

    fn running(&mut self) -> Vec<(String, &mut Running)> {
        let daemons = self
            .daemons
            .iter_mut()
            .filter_map(|daemon| Some((daemon.spec.name.clone(), daemon.process.as_mut()?)));
        let mut all: Vec<(String, &mut Running)> = daemons.collect();
        all.extend(self.schedulers.iter_mut().filter_map(|scheduler| {
            Some((scheduler.host.name.clone(), scheduler.process.as_mut()?))
        }));
        all
    }

    /// Ends those who hold the small disks.
    fn remove_small_disks(&mut self) {
        for daemon in &mut self.daemons {
            daemon.disk = None;
        }
    }

    /// A small disk is a file system in a mount namespace of its own, which lasts as long as one sleeping process: a
    /// mount where everybody sees it would end up in the namespaces of programs that have nothing to do with us.
    fn prepare_disk(&mut self, index: usize) -> Result<()> {
        let daemon = &mut self.daemons[index];
        let (Some(megabytes), None) = (daemon.spec.disk, &daemon.disk) else {
            return Ok(());
        };
        let base = daemon.host.folder.join("envs");
        let script = format!(
            "mount -t tmpfs -o size={megabytes}m,mode=755 gelato-lab \"$0\" && chown --reference=\"$1\" \"$0\" && \
             touch \"$0/.ready\" && exec tail -f /dev/null"
        );
        if daemon.host.run_as == RunAs::Caller && rustix::process::geteuid().is_root() {
            give_to_service_user(&base)?;
        }
        let like = daemon.host.folder.join("like-envs");
        fs::write(&like, "")?;
        let meta = fs::metadata(&base)?;
        chown(
            &like,
            Some(std::os::unix::fs::MetadataExt::uid(&meta)),
            Some(std::os::unix::fs::MetadataExt::gid(&meta)),
        )?;
        let task = Task::new("sh").args(["-c", &script]).arg(&base).arg(&like);
        let mut holder = daemon.host.start(&task)?;
        let ready = proc::root_of(holder.pid())
            .join(base.strip_prefix("/")?)
            .join(".ready");
        wait::until_ok(LOGIN, "a small disk", || {
            if let Some(status) = holder.ended()? {
                bail!("it could not be mounted: {status}: {}", holder.stderr());
            }
            Ok(ready.exists().then_some(()))
        })?;
        fs::remove_file(ready)?;
        daemon.host.mounts_of = Some(holder.pid());
        daemon.disk = Some(holder);
        Ok(())
    }

    /// Remembers everything that runs below our programs now.
    fn note_family(&mut self) {
        let roots: Vec<i32> = self
            .running()
            .into_iter()
            .map(|(_, process)| process.pid())
            .collect();
        for root in roots {
            self.family.extend(ProcessId::of(root));
            self.family.extend(proc::descendants(root));
        }
    }

    /// Ends everything by force.
    fn end(&mut self) {
        if std::mem::replace(&mut self.down, true) {
            return;
        }
        self.note_family();
        for (_, process) in self.running() {
            process.kill_group();
        }
        let strays = proc::belonging_to(&self.marker, self.folder.path());
        for id in self.family.iter().chain(&strays) {
            id.signal(Signal::KILL);
        }
        let all: Vec<ProcessId> = self.family.iter().cloned().chain(strays).collect();
        let _ = wait::until(END, "end of all that was killed", || {
            all.iter().all(|id| !id.is_alive()).then_some(())
        });
        self.segment = None;
        self.remove_small_disks();
        if std::env::var_os("GELATO_LAB_KEEP").is_some() {
            eprintln!("kept: {}", self.folder.path().display());
            self.folder.disable_cleanup(true);
        } else {
            leak::make_removable(self.folder.path());
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if !self.down {
            self.show_logs();
        }
        self.end();
    }
}

/// A stopped compiler; it stays stopped when this is dropped, and ends with its cluster at the latest.
#[derive(Debug)]
pub struct HeldJob {
    held: Vec<ProcessId>,
}

impl HeldJob {
    /// Lets it go on.
    pub fn release(&self) {
        for id in &self.held {
            id.signal(Signal::CONT);
        }
    }

    /// Waits until somebody has ended it.
    ///
    /// # Errors
    /// It is still there when the time is over.
    pub fn wait_gone(&self, limit: Duration) -> Result<()> {
        wait::until(limit, "end of the held compiler", || {
            self.held.iter().all(|id| !id.is_alive()).then_some(())
        })
    }
}

/// Waits for a line in the log of a program that has just been started, as long as it runs.
fn wait_for_line(process: &mut Running, log: &LogFile, position: usize, words: &str) -> Result<()> {
    wait::until_ok(
        LOGIN,
        &format!("{words:?} in {}", log.path().display()),
        || {
            if let Some(status) = process.ended()? {
                bail!("it ended: {status}: {}", process.stderr());
            }
            Ok(log
                .text_since(position)
                .lines()
                .any(|line| line.contains(words))
                .then_some(()))
        },
    )
    .with_context(|| format!("end of that log:\n{}", log.tail(15)))
}

/// Programs that drop their rights open their log afterwards, so it must exist and be writable for anyone.
fn prepare_log(log: &LogFile, host: &Host) -> Result<()> {
    fs::File::options()
        .append(true)
        .create(true)
        .open(log.path())?;
    fs::set_permissions(log.path(), Permissions::from_mode(0o666))?;
    host.give(log.path())
}

/// Schedulers elect the one that started first, by the second.
fn next_second() -> Result<()> {
    let second = || {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |since| since.as_secs())
    };
    let now = second();
    wait::until(LOGIN, "the next second", || (second() != now).then_some(()))
}

/// Hands `path` to the service user, if there is one.
fn give_to_service_user(path: &Path) -> Result<()> {
    let users = fs::read_to_string("/etc/passwd")?;
    let ids = users.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        (fields.first() == Some(&SERVICE_USER))
            .then(|| Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?)))?
    });
    let (user, group) = ids.unwrap_or((65534, 65534));
    chown(path, Some(user), Some(group)).with_context(|| path.display().to_string())
}

/// A port that is free together with the next one, for TCP and UDP.
fn free_ports() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Below the range the system takes ports for connections from; the start differs between processes.
    let start = u16::try_from(std::process::id() % 600)? * 20;
    for _ in 0..6000 {
        let port = 20_000 + (start + NEXT.fetch_add(2, Ordering::Relaxed)) % 12_000;
        let free = |port| {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
                && UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
        };
        if free(port) && free(port + 1) {
            return Ok(port);
        }
    }
    bail!("no free ports")
}
