//! Where this process stands in the control groups, from `/proc/self/cgroup` and `/proc/self/mountinfo`. Pure.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::Controller;

/// A mounted hierarchy as this process sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hierarchy {
    /// What it can limit. Empty for version 2, whose folders say it themselves.
    pub(super) controllers: Vec<Controller>,
    /// Where it is mounted.
    pub(super) mount: PathBuf,
    /// The folder of the group this process is in.
    pub(super) own: PathBuf,
}

/// All hierarchies that could be of use.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Hierarchies {
    pub(super) v2: Option<Hierarchy>,
    pub(super) v1: Vec<Hierarchy>,
}

/// Reads both files.
pub(super) fn hierarchies(cgroup: &str, mountinfo: &str) -> Hierarchies {
    let memberships: Vec<Membership<'_>> = cgroup.lines().filter_map(membership).collect();
    let mut found = Hierarchies::default();
    for mount in mountinfo.lines().filter_map(mount) {
        let controllers = Controller::listed(mount.options.split(','));
        let is_v2 = mount.kind == "cgroup2";
        if !is_v2 && controllers.is_empty() {
            continue;
        }
        let member = memberships.iter().find(|membership| {
            if is_v2 {
                membership.controllers.is_empty()
            } else {
                Controller::listed(membership.controllers.split(',')) == controllers
            }
        });
        let Some(member) = member else { continue };
        let Some(below) = below(&mount.root, Path::new(member.path)) else {
            continue;
        };
        let hierarchy = Hierarchy {
            controllers,
            own: mount.point.join(below),
            mount: mount.point,
        };
        if is_v2 {
            found.v2.get_or_insert(hierarchy);
        } else if !found
            .v1
            .iter()
            .any(|other| other.controllers == hierarchy.controllers)
        {
            found.v1.push(hierarchy);
        }
    }
    found
}

struct Membership<'a> {
    controllers: &'a str,
    path: &'a str,
}

/// `4:memory:/path`, `0::/path`.
fn membership(line: &str) -> Option<Membership<'_>> {
    let mut fields = line.splitn(3, ':');
    let (_number, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
    Some(Membership { controllers, path })
}

struct Mount<'a> {
    root: PathBuf,
    point: PathBuf,
    kind: &'a str,
    options: &'a str,
}

/// `35 31 0:32 ROOT POINT rw,relatime [optional…] - cgroup SOURCE rw,memory`.
fn mount(line: &str) -> Option<Mount<'_>> {
    let (place, system) = line.split_once(" - ")?;
    let mut place = place.split(' ').skip(3);
    let (root, point) = (place.next()?, place.next()?);
    let mut system = system.split(' ');
    let (kind, _source, options) = (system.next()?, system.next()?, system.next()?);
    matches!(kind, "cgroup" | "cgroup2").then(|| Mount {
        root: unescaped(root),
        point: unescaped(point),
        kind,
        options,
    })
}

/// The kernel writes blanks and backslashes as three octal digits.
fn unescaped(text: &str) -> PathBuf {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, others)) = rest.split_first() {
        let code = (first == b'\\')
            .then(|| others.get(..3))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(byte) => {
                bytes.push(byte);
                rest = others.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(first);
                rest = others;
            }
        }
    }
    OsStr::from_bytes(&bytes).into()
}

/// A group's place below what is mounted. A group outside of it (`/..` in a namespace) cannot be reached.
fn below(mounted: &Path, group: &Path) -> Option<PathBuf> {
    let below = group.strip_prefix(mounted).ok()?;
    below
        .components()
        .all(|part| matches!(part, Component::Normal(_)))
        .then(|| below.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hybrid_hosts_have_both() {
        let cgroup = "9:name=systemd:/\n8:pids:/\n4:memory:/a b/c\n2:cpu,cpuacct:/x\n0::/s.scope\n";
        let mountinfo = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/mem\\040ory rw,relatime - cgroup cgroup rw,memory
34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset
39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:1 master:2 - cgroup2 cgroup2 rw,nsdelegate
";
        let found = hierarchies(cgroup, mountinfo);
        assert_eq!(
            found.v2.expect("mounted").own,
            Path::new("/sys/fs/cgroup/unified/s.scope")
        );
        let owns: Vec<_> = found
            .v1
            .iter()
            .map(|hierarchy| (hierarchy.own.to_str().unwrap(), &hierarchy.controllers[..]))
            .collect();
        assert_eq!(
            owns,
            [
                ("/sys/fs/cgroup/cpu,cpuacct/x", &[Controller::Cpu][..]),
                ("/sys/fs/cgroup/mem ory/a b/c", &[Controller::Memory][..]),
                ("/sys/fs/cgroup/pids/", &[Controller::Pids][..]),
            ]
        );
    }

    #[test]
    fn containers_see_a_part() {
        let mountinfo = "1 2 0:1 /docker/1 /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
        let own = |cgroup| hierarchies(cgroup, mountinfo).v2.map(|found| found.own);
        assert_eq!(own("0::/docker/1/x\n"), Some("/sys/fs/cgroup/x".into()));
        assert_eq!(own("0::/elsewhere\n"), None);
        assert_eq!(own("0::/docker/1/../../x\n"), None);
        assert_eq!(own("nonsense\n"), None);
        assert_eq!(
            hierarchies("", "a b c - cgroup2\n\n- -"),
            Hierarchies::default()
        );
    }
}
