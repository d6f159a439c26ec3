//! In which situations a daemon runs jobs of others: a level of the sandbox, and as whom the daemon was started.

use std::fs;

use gelato_daemon::Remote;
use gelato_sandbox::identity::{self, User};
use gelato_sandbox::{Identity, Level, cgroup};
use rustix::thread::CapabilitySet;

/// The ordinary user of the tests, on every system there. Jobs of a daemon that is root run as this one, too.
pub(crate) const NOBODY: u32 = 65534;

/// Columns of the table, in the order of [`Claims`](super::probes::Claims).
pub(crate) const COLUMNS: [&str; 5] = [
    "namespaces+cgroup",
    "namespaces",
    "landlock",
    "chroot",
    "none",
];

/// As whom the daemon runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Starter {
    /// Root all the time.
    Root,
    /// Root in a container without `CAP_SYS_ADMIN`.
    Container,
    /// Started as root, became a service user that kept `CAP_SYS_CHROOT`.
    Service,
    /// An ordinary user.
    Ordinary,
}

/// A level and a starter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Situation {
    pub(crate) name: &'static str,
    pub(crate) level: Level,
    pub(crate) cgroup: bool,
    pub(crate) starter: Starter,
}

const fn situation(name: &'static str, level: Level, cgroup: bool, starter: Starter) -> Situation {
    Situation {
        name,
        level,
        cgroup,
        starter,
    }
}

/// All that are tried.
#[rustfmt::skip]
pub(crate) const SITUATIONS: [Situation; 11] = [
    situation("cgroup_root", Level::UserNamespace, true, Starter::Root),
    situation("cgroup_service", Level::UserNamespace, true, Starter::Service),
    situation("namespaces_root", Level::UserNamespace, false, Starter::Root),
    situation("namespaces_ordinary", Level::UserNamespace, false, Starter::Ordinary),
    situation("landlock_root", Level::Landlock, false, Starter::Root),
    situation("landlock_ordinary", Level::Landlock, false, Starter::Ordinary),
    situation("chroot_root", Level::Chroot, false, Starter::Root),
    situation("chroot_container", Level::Chroot, false, Starter::Container),
    situation("chroot_service", Level::Chroot, false, Starter::Service),
    situation("none_root", Level::None, false, Starter::Root),
    situation("none_ordinary", Level::None, false, Starter::Ordinary),
];

/// Those in which jobs ask for too much, one of each level: limits do not depend on who started the daemon, and it takes seconds.
pub(crate) const TIRELESS: [&str; 6] = [
    "cgroup_root",
    "namespaces_ordinary",
    "landlock_ordinary",
    "chroot_service",
    "none_ordinary",
    super::UNCONFINED,
];

/// Those in which archives and messages are sent: the daemon itself deals with them, before any sandbox.
pub(crate) const UNPACKING: [&str; 3] =
    ["namespaces_root", "namespaces_ordinary", super::UNCONFINED];

impl Situation {
    pub(crate) fn named(name: &str) -> Situation {
        SITUATIONS
            .into_iter()
            .find(|situation| situation.name == name)
            .expect("a situation's name")
    }

    /// Which claims hold.
    pub(crate) fn column(self) -> usize {
        match self.level {
            Level::UserNamespace if self.cgroup => 0,
            Level::UserNamespace => 1,
            Level::Landlock => 2,
            Level::Chroot => 3,
            Level::None => 4,
        }
    }

    /// Becomes what the situation says, and gives what the daemon needs from the time before. `Err`: why it cannot be had on
    /// this machine. The process has one thread.
    pub(crate) fn enter(self) -> Result<Option<cgroup::Home>, String> {
        if !identity::is_root() && self.starter != Starter::Ordinary {
            return Err("only root can try it".to_owned());
        }
        let owner = matches!(self.starter, Starter::Service).then_some(Identity {
            uid: NOBODY,
            gid: NOBODY,
        });
        let home = match self.cgroup {
            true => Some(cgroup::Home::find(owner)?),
            false => None,
        };
        if identity::is_root() {
            let user = User {
                uid: NOBODY,
                gid: NOBODY,
                name: "nobody".into(),
                home: "/".into(),
            };
            match self.starter {
                Starter::Root => {}
                Starter::Container => {
                    rustix::thread::remove_capability_from_bounding_set(CapabilitySet::SYS_ADMIN)
                        .map_err(|error| format!("no CAP_SETPCAP: {error}"))?;
                }
                Starter::Service => {
                    identity::drop_privileges(&user, true).map_err(|error| error.to_string())?;
                }
                Starter::Ordinary => {
                    identity::drop_privileges(&user, false).map_err(|error| error.to_string())?;
                }
            }
        }
        Ok(home)
    }

    /// Makes a daemon's terms those of the situation.
    pub(crate) fn apply(self, remote: &mut Remote, home: Option<cgroup::Home>) {
        remote.level = self.level;
        if let Some(home) = home {
            remote.jailer = remote.jailer.clone().with_cgroups(home);
        }
    }
}

/// Whether the kernel is at least this version.
pub(crate) fn kernel_is(major: u32, minor: u32) -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release
        .split(|character: char| !character.is_ascii_digit())
        .map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (major, minor)
}
