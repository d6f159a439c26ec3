//! What every test needs: the situations, a root to run jobs in, and bounded ways to look at a job.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use gelato_sandbox::identity::{self, User};
use gelato_sandbox::{Identity, Jailer, JobSpec, Level, Limits, Outcome, Running, SandboxError};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::thread::CapabilitySet;

/// No wait of a test is longer.
const PATIENCE: Timespec = Timespec {
    tv_sec: 60,
    tv_nsec: 0,
};

/// The ordinary user of the tests, on every system there.
const NOBODY: u32 = 65534;

/// Programs of the test root.
const PROGRAMS: [&str; 16] = [
    "cat", "chmod", "dd", "dash", "env", "head", "id", "ls", "mkfifo", "nice", "seq", "setsid",
    "sleep", "true", "uname", "wc",
];

/// What the daemon is and which level it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Situation {
    /// Root all the time, user namespaces.
    RootUser,
    /// Root all the time, chroot: gets namespaces as well.
    RootChroot,
    /// Root in a container that withholds `CAP_SYS_ADMIN`, chroot: nothing but a changed root directory.
    ContainerChroot,
    /// Started as root, became a service user with `CAP_SYS_CHROOT`; user namespaces.
    ServiceUser,
    /// The same, chroot: nothing but a changed root directory.
    ServiceChroot,
    /// Ordinary user, user namespaces.
    Ordinary,
}

impl Situation {
    pub(crate) const ALL: [Situation; 6] = [
        Situation::RootUser,
        Situation::RootChroot,
        Situation::ContainerChroot,
        Situation::ServiceUser,
        Situation::ServiceChroot,
        Situation::Ordinary,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Situation::RootUser => "root_userns",
            Situation::RootChroot => "root_chroot",
            Situation::ContainerChroot => "container_chroot",
            Situation::ServiceUser => "service_userns",
            Situation::ServiceChroot => "service_chroot",
            Situation::Ordinary => "ordinary_userns",
        }
    }

    pub(crate) fn named(name: &str) -> Situation {
        Self::ALL
            .into_iter()
            .find(|situation| situation.name() == name)
            .expect("a situation's name")
    }

    pub(crate) fn level(self) -> Level {
        match self {
            Situation::RootChroot | Situation::ContainerChroot | Situation::ServiceChroot => {
                Level::Chroot
            }
            _ => Level::UserNamespace,
        }
    }

    /// Whether jobs get namespaces.
    pub(crate) fn namespaces(self) -> bool {
        !matches!(self, Situation::ServiceChroot | Situation::ContainerChroot)
    }

    pub(crate) fn root(self) -> bool {
        matches!(
            self,
            Situation::RootUser | Situation::RootChroot | Situation::ContainerChroot
        )
    }

    /// Whether the harness can get there.
    pub(crate) fn reachable(self, from_root: bool) -> bool {
        from_root || self == Situation::Ordinary
    }
}

/// The folder of one test on the host, with a root and a job's folder in it. Removed when dropped.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn make(situation: Situation) -> Folder {
        let folder = Folder(
            tempfile::Builder::new()
                .prefix("gelato-jail-")
                .tempdir()
                .expect("temporary folder"),
        );
        set_mode(folder.path(), 0o755);
        let root = folder.path().join("root");
        make_root(&root);
        let job = match situation.level() {
            Level::Chroot => root.join("tmp/job"),
            _ => folder.path().join("job"),
        };
        fs::create_dir(&job).expect("job folder");
        set_mode(&job, 0o700);
        if identity::is_root() {
            chown(&job, Some(NOBODY), Some(NOBODY)).expect("chown");
        }
        folder
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn assert_no_mounts(&self) {
        let mounts = fs::read_to_string("/proc/self/mounts").expect("mount table");
        let path = self.path().to_str().expect("plain name");
        let left: Vec<&str> = mounts.lines().filter(|line| line.contains(path)).collect();
        assert!(left.is_empty(), "mounts left behind: {left:?}");
    }
}

fn make_root(root: &Path) {
    for folder in ["", "usr", "usr/bin", "tmp", "dev", "proc"] {
        let folder = root.join(folder);
        fs::create_dir(&folder).expect("folder of the root");
        set_mode(&folder, 0o755);
    }
    // As careless as a toolchain can be.
    let open = root.join("usr/open");
    fs::create_dir(&open).expect("folder of the root");
    set_mode(&open, 0o777);
    symlink("usr/bin", root.join("bin")).expect("link");
    symlink("dash", root.join("usr/bin/sh")).expect("link");
    let mut libraries = BTreeSet::new();
    let own = env::current_exe().expect("own executable");
    let programs = PROGRAMS.map(|program| (program, Path::new("/usr/bin").join(program)));
    for (program, host) in programs.into_iter().chain([("probe", own)]) {
        let copy = root.join("usr/bin").join(program);
        if program != "probe" || fs::hard_link(&host, &copy).is_err() {
            fs::copy(&host, &copy).expect("program of the host");
        }
        let listing = Command::new("ldd").arg(&host).output().expect("ldd");
        let listing = String::from_utf8(listing.stdout).expect("plain text");
        libraries.extend(
            listing
                .split_whitespace()
                .filter(|word| word.starts_with('/'))
                .map(PathBuf::from),
        );
    }
    for library in libraries {
        let copy = root.join(library.strip_prefix("/").expect("absolute"));
        fs::create_dir_all(copy.parent().expect("not the root")).expect("library folder");
        fs::copy(&library, copy).expect("library");
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("mode");
}

/// A test's own view, after the process has become what the situation says.
pub(crate) struct Fixture {
    pub(crate) situation: Situation,
    pub(crate) folder: PathBuf,
    pub(crate) root: PathBuf,
    /// The job's folder on the host.
    pub(crate) job: PathBuf,
    /// The same inside.
    pub(crate) inside: &'static str,
}

impl Fixture {
    /// Gives up what the situation does not have; the process has one thread.
    pub(crate) fn enter(situation: Situation, folder: &Path) -> Fixture {
        let user = User {
            uid: NOBODY,
            gid: NOBODY,
            name: "nobody".into(),
            home: "/".into(),
        };
        if identity::is_root() && !situation.root() {
            identity::drop_privileges(&user, situation != Situation::Ordinary)
                .expect("giving up root");
            assert!(!identity::is_root());
        }
        if situation == Situation::ContainerChroot {
            // The jail step, being root, gets after its exec what the bounding set holds.
            rustix::thread::remove_capability_from_bounding_set(CapabilitySet::SYS_ADMIN)
                .expect("CAP_SETPCAP");
        }
        let root = folder.join("root");
        let (job, inside) = match situation.level() {
            Level::Chroot => (root.join("tmp/job"), "/tmp/job"),
            _ => (folder.join("job"), "/tmp"),
        };
        Fixture {
            situation,
            folder: folder.to_owned(),
            root,
            job,
            inside,
        }
    }

    pub(crate) fn spec(&self, program: &str, args: &[&str]) -> JobSpec {
        JobSpec {
            level: self.situation.level(),
            root: self.root.clone(),
            tmp: self.job.clone(),
            program: program.into(),
            args: args.iter().map(OsString::from).collect(),
            env: vec![
                ("PATH".into(), "/usr/bin".into()),
                ("JOB".into(), self.inside.into()),
            ],
            cwd: self.inside.into(),
            nice: 0,
            limits: Limits::default(),
            identity: self.situation.root().then_some(Identity {
                uid: NOBODY,
                gid: NOBODY,
            }),
        }
    }

    pub(crate) fn shell(&self, script: &str) -> JobSpec {
        self.spec("/usr/bin/sh", &["-c", script])
    }

    /// Runs a script to its end.
    pub(crate) fn run(&self, script: &str) -> Finished {
        run(&self.shell(script))
    }

    /// A pipe with a name in the job's folder: whoever holds it inside keeps it from its end.
    pub(crate) fn fifo(&self, name: &str) -> PathBuf {
        let path = self.job.join(name);
        let made = Command::new("mkfifo")
            .args(["-m", "666"])
            .arg(&path)
            .status()
            .expect("mkfifo");
        assert!(made.success());
        path
    }
}

/// Output and end of a job.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) outcome: Outcome,
}

pub(crate) fn start(spec: &JobSpec) -> Result<Running, SandboxError> {
    Jailer::current_exe().spawn(spec)
}

pub(crate) fn run(spec: &JobSpec) -> Finished {
    feed(spec, Vec::new())
}

/// Runs a job with this input.
pub(crate) fn feed(spec: &JobSpec, input: Vec<u8>) -> Finished {
    let mut job = start(spec).expect("job");
    let stdin = job.stdin.take().expect("not taken yet");
    let writer = thread::spawn(move || {
        let _ = File::from(stdin).write_all(&input);
    });
    let stderr = job.stderr.take().expect("not taken yet");
    let errors = thread::spawn(move || read_to_end(stderr));
    let stdout = read_to_end(job.stdout.take().expect("not taken yet"));
    await_readable(&job.pidfd, "the end of the job");
    writer.join().expect("writer");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Finished {
        stdout: text(stdout),
        stderr: text(errors.join().expect("reader")),
        outcome: job.wait().expect("outcome"),
    }
}

/// Reads until every holder of the other end is gone.
pub(crate) fn read_to_end(stream: OwnedFd) -> Vec<u8> {
    let mut stream = File::from(stream);
    let mut all = Vec::new();
    let mut part = vec![0; 1 << 16];
    loop {
        await_readable(&stream, "data or end of file");
        match stream.read(&mut part).expect("read") {
            0 => return all,
            count => all.extend_from_slice(&part[..count]),
        }
    }
}

/// Reads one line, byte by byte, from a stream that goes on.
pub(crate) fn read_line(stream: &mut File) -> String {
    let mut line = Vec::new();
    let mut byte = [0];
    loop {
        await_readable(&*stream, "a line");
        assert_eq!(
            stream.read(&mut byte).expect("read"),
            1,
            "end of file after {:?}",
            String::from_utf8_lossy(&line)
        );
        if byte == *b"\n" {
            return String::from_utf8(line).expect("plain text");
        }
        line.push(byte[0]);
    }
}

pub(crate) fn await_readable(what: impl std::os::fd::AsFd, meaning: &str) {
    let ready = poll(&mut [PollFd::new(&what, PollFlags::IN)], Some(&PATIENCE)).expect("poll");
    assert_eq!(ready, 1, "waited in vain for {meaning}");
}
