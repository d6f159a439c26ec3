//! How jobs of other machines are kept apart: which level is wanted, which works, and what is said about it.
//!
//! Control groups are looked for while the daemon still is root ([`groups`]), the level is tried after it gave that up ([`find`]): jobs run as
//! whom the daemon became.

use clap::ValueEnum;
use gelato_sandbox::cgroup::Home;
use gelato_sandbox::{Identity, Jailer, Level, Probe};
use tracing::{info, warn};

/// What `--sandbox` offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Sandbox {
    /// The strongest that works here, never none
    Auto,
    /// Namespaces of their own; needs no root
    #[value(alias = "userns")]
    Namespaces,
    /// Landlock and a system call filter; needs no root
    Landlock,
    /// A root folder of their own; needs root at the start
    Chroot,
    /// Nothing: whoever may submit a job may do whatever this daemon's user may
    None,
}

/// The weakest level `auto` may choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Weakest {
    Namespaces,
    Landlock,
    Chroot,
}

impl Sandbox {
    fn level(self) -> Option<Level> {
        match self {
            Sandbox::Auto => None,
            Sandbox::Namespaces => Some(Level::UserNamespace),
            Sandbox::Landlock => Some(Level::Landlock),
            Sandbox::Chroot => Some(Level::Chroot),
            Sandbox::None => Some(Level::None),
        }
    }
}

impl Weakest {
    fn level(self) -> Level {
        match self {
            Weakest::Namespaces => Level::UserNamespace,
            Weakest::Landlock => Level::Landlock,
            Weakest::Chroot => Level::Chroot,
        }
    }
}

/// What was found.
pub(super) struct Found {
    pub(super) jailer: Jailer,
    /// `None`: this machine takes no jobs.
    pub(super) level: Option<Level>,
    /// Why it is not a stronger one, each with what to do about it.
    pub(super) obstacles: Vec<String>,
}

/// Looks for control groups, and gives them to `owner`, whom the daemon is going to become.
pub(super) fn groups(owner: Option<Identity>) -> Result<Home, String> {
    Home::find(owner)
}

/// Tries what is wanted.
pub(super) fn probe(jailer: &Jailer, wanted: Sandbox, weakest: Weakest) -> Probe {
    match wanted.level() {
        Some(level) => jailer.probe(Some(level)),
        None => jailer.probe_down_to(weakest.level()),
    }
}

/// Finds the level, and says in the log what it is and what is in the way of a stronger one.
pub(super) fn find(wanted: Sandbox, weakest: Weakest, groups: Result<Home, String>) -> Found {
    let (jailer, ungrouped) = match groups {
        Ok(home) => (Jailer::current_exe().with_cgroups(home), None),
        Err(why) => (Jailer::current_exe(), Some(why)),
    };
    let probe = probe(&jailer, wanted, weakest);
    let mut obstacles = probe.obstacles;
    obstacles.extend(ungrouped);
    let jailer = if probe.grouped {
        jailer
    } else {
        Jailer::current_exe()
    };
    match probe.level {
        Some(level) => {
            for obstacle in &obstacles {
                info!("{obstacle}");
            }
            if level == Level::None {
                warn!(
                    "jobs of other machines run WITHOUT A SANDBOX, because the settings say so: whoever reaches this daemon can do \
                     here whatever its user may"
                );
            } else {
                let force = jailer.force(level);
                info!("jobs of other machines run in the sandbox {force}");
            }
        }
        None => {
            // Icecream's words, which scripts look for.
            warn!("Cannot use chroot, no remote jobs accepted.");
            for obstacle in &obstacles {
                warn!("{obstacle}");
            }
        }
    }
    Found {
        jailer,
        level: probe.level,
        obstacles,
    }
}
