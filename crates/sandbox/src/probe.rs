//! What this machine and this user can do, found out by doing it.

use std::env;
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::confine;
use crate::error::SandboxError;
use crate::filter;
use crate::identity;
use crate::job::{Exit, Identity, Level, Limits};
use crate::recipe::Recipe;
use crate::spawn::Jailer;

/// The strongest level that works, and why nothing stronger does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// `None`: this process cannot run foreign jobs.
    pub level: Option<Level>,
    /// One sentence for each stronger level, with what to change, and one if control groups do not work.
    pub obstacles: Vec<String>,
    /// Whether a job of this level was in a control group of its own.
    pub grouped: bool,
}

/// What the kernel adds to every level, whether or not a job runs now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layers {
    /// File access and reach restricted by Landlock.
    pub landlock: bool,
    /// Dangerous system calls refused.
    pub system_call_filter: bool,
}

/// What this kernel adds to every level.
pub fn layers() -> Layers {
    Layers {
        landlock: confine::supported(),
        system_call_filter: filter::supported(),
    }
}

/// Tries the wanted level, or all from the strongest down to [`Level::Chroot`] until one works, in a child that goes through every step
/// but executing a program. Takes a few milliseconds. A root process tries with an unprivileged identity, as its jobs will have.
pub fn probe(wanted: Option<Level>) -> Probe {
    Jailer::current_exe().probe(wanted)
}

impl Jailer {
    /// See [`probe()`].
    pub fn probe(&self, wanted: Option<Level>) -> Probe {
        match wanted {
            Some(level) => self.probe_each(&[level]),
            None => self.probe_down_to(Level::Chroot),
        }
    }

    /// Tries all levels from the strongest down to this one until one works. [`Level::None`] is tried only if it is the weakest
    /// that is accepted.
    pub fn probe_down_to(&self, weakest: Level) -> Probe {
        let accepted = Level::ALL.into_iter().filter(|&level| level <= weakest);
        self.probe_each(&accepted.collect::<Vec<_>>())
    }

    fn probe_each(&self, levels: &[Level]) -> Probe {
        let mut obstacles = Vec::new();
        for &level in levels {
            match self.rehearse(level) {
                Ok(ungrouped) => {
                    let grouped = self.has_cgroups() && ungrouped.is_none();
                    obstacles.extend(ungrouped);
                    return Probe {
                        level: Some(level),
                        obstacles,
                        grouped,
                    };
                }
                Err(error) => obstacles.push(format!("no {level} sandbox: {error}")),
            }
        }
        Probe {
            level: None,
            obstacles,
            grouped: false,
        }
    }

    /// A job without a program, in an empty root. Gives the reason why it had no control group, if it should have had one.
    fn rehearse(&self, level: Level) -> Result<Option<String>, SandboxError> {
        let root = EmptyRoot::make().map_err(|source| SandboxError::Start {
            program: env::temp_dir(),
            source,
        })?;
        let recipe = Recipe {
            level,
            root: root.0.clone(),
            tmp: root.0.join("tmp/job"),
            program: None,
            name: OsString::new(),
            args: Vec::new(),
            env: Vec::new(),
            cwd: if level.changes_root() {
                "/".into()
            } else {
                root.0.join("tmp/job")
            },
            nice: 0,
            limits: Limits::default(),
            identity: identity::is_root().then_some(NOBODY),
            cgroup: None,
        };
        let mut running = self.start(recipe)?;
        let ungrouped = running.ungrouped.take();
        match running.wait()?.exit {
            Exit::Code(0) => Ok(ungrouped),
            _ => Err(SandboxError::Lost),
        }
    }
}

/// The conventional unprivileged user, for the rehearsal of a root process.
const NOBODY: Identity = Identity {
    uid: 65534,
    gid: 65534,
};

/// A temporary folder with the places a root has; removed when dropped.
struct EmptyRoot(PathBuf);

impl EmptyRoot {
    fn make() -> io::Result<EmptyRoot> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("gelato-probe-{}-{count}", process::id());
        let base = env::temp_dir().canonicalize()?.join(name);
        // Exclusive: an existing entry of that name is somebody else's.
        fs::create_dir(&base)?;
        let root = EmptyRoot(base);
        for folder in ["dev", "proc", "tmp", "tmp/job"] {
            fs::create_dir(root.0.join(folder))?;
        }
        // Whatever the umask is: the rehearsal may run as another user.
        fs::set_permissions(&root.0, Permissions::from_mode(0o755))?;
        fs::set_permissions(root.0.join("tmp"), Permissions::from_mode(0o755))?;
        Ok(root)
    }
}

impl Drop for EmptyRoot {
    fn drop(&mut self) {
        // Folder by folder, so that nothing is ever removed but what was made above.
        for folder in ["tmp/job", "tmp", "proc", "dev", ""] {
            let _ = fs::remove_dir(self.0.join(folder));
        }
    }
}
