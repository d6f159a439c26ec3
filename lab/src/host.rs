//! One machine of a cluster: its folder, its place in the network, and starting programs on it.
//!
//! In a namespace a host has `/run` and `/tmp` of its own, so that programs use their ordinary socket paths and what
//! they leave in `/tmp` is seen. On loopback hosts share the machine and are told apart by variables.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Permissions};
use std::net::Ipv4Addr;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::proc::ProcessId;
use crate::wait;

/// As whom a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunAs {
    /// As the caller; if that is root, daemon and scheduler drop their rights by themselves.
    Caller,
    /// Without any rights: as uid and gid 65534 if the caller is root, else as the caller.
    Ordinary,
}

/// The ids of [`RunAs::Ordinary`].
const NOBODY: u32 = 65534;

/// Where a host is.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Namespace(String),
    Loopback,
}

/// One machine.
#[derive(Clone, Debug)]
pub struct Host {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    pub(crate) place: Place,
    pub(crate) address: Ipv4Addr,
    pub(crate) marker: String,
    pub(crate) run_as: RunAs,
    /// Counters of processor time that never advance, in place of `/proc/stat`.
    pub(crate) steady_load: bool,
    /// Gigabytes of memory programs are shown, if not those there are.
    pub(crate) memory: Option<u32>,
    /// The process whose mounts programs share, if they do not get mounts of their own.
    pub(crate) mounts_of: Option<i32>,
}

/// A program to run on a host.
#[derive(Clone, Debug)]
pub struct Task {
    program: OsString,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    folder: Option<PathBuf>,
}

/// A program started on a host; dropping it kills its process group.
#[derive(Debug)]
pub struct Running {
    child: Child,
    what: String,
    stdout: PathBuf,
    stderr: PathBuf,
    started: Instant,
}

/// A program that has ended.
#[derive(Debug)]
pub struct Done {
    /// How it ended.
    pub status: ExitStatus,
    /// All it wrote to standard output.
    pub stdout: Vec<u8>,
    /// All it wrote to standard error.
    pub stderr: Vec<u8>,
    /// From start to the moment its end was noticed.
    pub wall: Duration,
}

impl Host {
    pub(crate) fn create_folders(&self) -> Result<()> {
        for part in ["", "run", "run/icecc", "tmp", "home", "envs"] {
            let folder = self.folder.join(part);
            fs::create_dir_all(&folder)?;
            let mode = match part {
                "tmp" => 0o1777,
                // Where daemons that dropped their rights make sockets.
                "run/icecc" => 0o777,
                _ => 0o755,
            };
            fs::set_permissions(&folder, Permissions::from_mode(mode))?;
            self.give(&folder)?;
        }
        if let Some(gigabytes) = self.memory {
            let true_words = fs::read_to_string("/proc/meminfo")?;
            fs::write(self.folder.join("meminfo"), meminfo(&true_words, gigabytes))?;
        }
        // An unchanging copy: from its counters every share of processor time comes out as idle.
        fs::copy("/proc/stat", self.folder.join("stat"))?;
        Ok(())
    }

    /// Makes the ordinary user own `path`, if programs of this host run as that user.
    ///
    /// # Errors
    /// What the file system says.
    pub fn give(&self, path: &Path) -> Result<()> {
        if self.run_as == RunAs::Ordinary && rustix::process::geteuid().is_root() {
            chown(path, Some(NOBODY), Some(NOBODY)).with_context(|| path.display().to_string())?;
        }
        Ok(())
    }

    /// Like [`Host::give`] for `folder` and everything below it.
    ///
    /// # Errors
    /// What the file system says.
    pub fn give_all(&self, folder: &Path) -> Result<()> {
        self.give(folder)?;
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                self.give_all(&entry.path())?;
            } else if entry.file_type()?.is_file() {
                self.give(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Node name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Address other hosts reach it at.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Its folder: `tmp`, `home`, `run`, `envs` and logs.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Name of its network namespace, if it has one.
    pub fn namespace(&self) -> Option<&str> {
        match &self.place {
            Place::Namespace(name) => Some(name),
            Place::Loopback => None,
        }
    }

    /// Starts a program.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(&self, task: &Task) -> Result<Running> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let stdout = self.folder.join(format!("{number}.out"));
        let stderr = self.folder.join(format!("{number}.err"));
        let mut command = self.enter(&task.program);
        command
            .args(&task.args)
            .env_clear()
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .env("HOME", self.folder.join("home"))
            .env("LC_ALL", "C")
            // Settings of the machine the lab runs on are none of its business.
            .env("GELATO_CONFIG", "")
            .env("GELATO_LAB_ID", &self.marker)
            .current_dir(task.folder.as_deref().unwrap_or(&self.folder))
            .stdin(Stdio::null())
            .stdout(File::create(&stdout)?)
            .stderr(File::create(&stderr)?)
            .process_group(0);
        if let Place::Loopback = self.place {
            command.env("TMPDIR", self.folder.join("tmp"));
        }
        command.envs(task.env.iter().map(|(name, value)| (name, value)));
        let what = Path::new(&task.program)
            .file_name()
            .unwrap_or(&task.program)
            .to_string_lossy()
            .into_owned();
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {what} on {}", self.name))?;
        Ok(Running {
            child,
            what,
            stdout,
            stderr,
            started: Instant::now(),
        })
    }

    /// Runs a program to its end, which must come within `limit`.
    ///
    /// # Errors
    /// It cannot be started or does not end in time.
    pub fn run(&self, task: &Task, limit: Duration) -> Result<Done> {
        self.start(task)?.wait(limit)
    }

    /// The command that ends up as `program` in this host's network, mounts and user. Every step replaces the one
    /// before, so the process number is that of the program.
    fn enter(&self, program: &OsStr) -> Command {
        let mut words: Vec<OsString> = Vec::new();
        if let Place::Namespace(name) = &self.place {
            let mut mounts =
                String::from("mount --bind \"$0/run\" /run && mount --bind \"$0/tmp\" /tmp");
            if self.steady_load {
                mounts.push_str(" && mount --bind \"$0/stat\" /proc/stat");
            }
            if self.memory.is_some() {
                mounts.push_str(" && mount --bind \"$0/meminfo\" /proc/meminfo");
            }
            mounts.push_str(" && exec \"$@\"");
            let net = format!("--net={}", crate::segment::file(name).display());
            if let Some(pid) = self.mounts_of {
                let mounts = format!("--mount=/proc/{pid}/ns/mnt");
                words.extend(["nsenter", &net, &mounts, "--"].map(Into::into));
                return self.as_user(words, program);
            }
            words.extend(
                [
                    "nsenter",
                    &net,
                    "--",
                    "unshare",
                    "--mount",
                    "--propagation",
                    "private",
                    "--",
                ]
                .map(Into::into),
            );
            words.extend([
                "sh".into(),
                "-c".into(),
                mounts.into(),
                self.folder.clone().into_os_string(),
            ]);
        }
        self.as_user(words, program)
    }

    fn as_user(&self, mut words: Vec<OsString>, program: &OsStr) -> Command {
        if self.run_as == RunAs::Ordinary && rustix::process::geteuid().is_root() {
            let id = NOBODY.to_string();
            words.extend(
                [
                    "setpriv",
                    "--reuid",
                    &id,
                    "--regid",
                    &id,
                    "--clear-groups",
                    "--",
                ]
                .map(Into::into),
            );
        }
        // As from a terminal: whoever started the tests in the background may have had these ignored.
        words.extend(["env", "--default-signal=INT,QUIT"].map(Into::into));
        words.push(program.to_owned());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        command
    }
}

/// `/proc/meminfo` of a machine with so many gigabytes, half of them free.
fn meminfo(true_words: &str, gigabytes: u32) -> String {
    let kilobytes = u64::from(gigabytes) << 20;
    let mut text = String::new();
    for line in true_words.lines() {
        let name = line.split(':').next().unwrap_or_default();
        let value = match name {
            "MemTotal" => Some(kilobytes),
            "MemFree" | "MemAvailable" => Some(kilobytes / 2),
            "SwapTotal" | "SwapFree" | "Buffers" | "Cached" => Some(0),
            _ => None,
        };
        match value {
            Some(value) => text.push_str(&format!("{name}: {value:>14} kB\n")),
            None => text.push_str(&format!("{line}\n")),
        }
    }
    text
}

impl Task {
    /// Runs `program`, found in the standard `PATH` unless it has a slash.
    pub fn new(program: impl Into<OsString>) -> Task {
        Task {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            folder: None,
        }
    }

    /// Adds one word.
    #[must_use]
    pub fn arg(mut self, word: impl Into<OsString>) -> Task {
        self.args.push(word.into());
        self
    }

    /// Adds several words.
    #[must_use]
    pub fn args<T: Into<OsString>>(mut self, words: impl IntoIterator<Item = T>) -> Task {
        self.args.extend(words.into_iter().map(Into::into));
        self
    }

    /// Has `program OPTIONS FIRST` run the command instead: its words come after `first`.
    #[must_use]
    pub fn inside(mut self, program: &str, options: &[&str], first: &Path) -> Task {
        let mut words: Vec<OsString> = options.iter().map(Into::into).collect();
        words.push(first.into());
        words.push(std::mem::replace(&mut self.program, program.into()));
        words.append(&mut self.args);
        self.args = words;
        self
    }

    /// Sets a variable; the environment has nothing else but `PATH`, `HOME`, `LC_ALL` and the cluster's marker.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Task {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Sets the working folder.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Task {
        self.folder = Some(folder.into());
        self
    }
}

impl Running {
    /// Process number, which is also that of its process group.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap_or(i32::MAX)
    }

    /// The process, told apart from later ones with the same number.
    pub fn id(&self) -> Option<ProcessId> {
        ProcessId::of(self.pid())
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// The system cannot say.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// What it wrote to standard error so far.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.stderr).unwrap_or_default()).into_owned()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It does not end within `limit`; then its process group is killed.
    pub fn wait(mut self, limit: Duration) -> Result<Done> {
        let waited = wait::until_ok(limit, &format!("end of {}", self.what), || {
            Ok(self.child.try_wait()?)
        });
        let wall = self.started.elapsed();
        let done = |status| -> Result<Done> {
            Ok(Done {
                status,
                stdout: fs::read(&self.stdout)?,
                stderr: fs::read(&self.stderr)?,
                wall,
            })
        };
        match waited {
            Ok(status) => done(status),
            Err(error) => Err(error.context(format!("stderr so far: {}", self.stderr()))),
        }
    }

    /// Sends a signal to the process itself.
    pub fn signal(&self, signal: Signal) {
        if let Some(id) = self.id() {
            id.signal(signal);
        }
    }

    /// Does what ^C in its terminal would: its whole process group hears of it.
    pub fn interrupt(&self) {
        if let Some(pid) = Pid::from_raw(self.pid()) {
            let _ = kill_process_group(pid, Signal::INT);
        }
    }

    /// Kills its process group at once and waits for the process.
    pub fn kill_group(&mut self) {
        if let Some(pid) = Pid::from_raw(self.pid())
            && matches!(self.child.try_wait(), Ok(None))
        {
            let _ = kill_process_group(pid, Signal::KILL);
        }
        let _ = self.child.wait();
    }

    /// Kills the process alone at once and waits for it.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill_group();
        let _ = fs::remove_file(&self.stdout);
        let _ = fs::remove_file(&self.stderr);
    }
}

impl Done {
    /// Standard output as text.
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Itself if the exit status is 0.
    ///
    /// # Errors
    /// Any other end; the error holds what the program wrote.
    pub fn success(self) -> Result<Done> {
        if !self.status.success() {
            bail!(
                "{}\nstdout: {}\nstderr: {}",
                self.status,
                self.out(),
                self.err()
            );
        }
        Ok(self)
    }
}
