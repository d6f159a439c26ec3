//! What the control groups this process is in allow: memory and processor time, of its own group and all around it, in
//! version 1 and 2 and in containers.

use std::path::{Component, Path, PathBuf};

use super::Sources;
use crate::load::Memory;

/// Groups inside each other; nobody nests them deeper.
const DEEPEST: usize = 64;

/// The folders of a process's control groups, the innermost first.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Groups {
    memory: Vec<PathBuf>,
    cpu: Vec<PathBuf>,
    unified: Vec<PathBuf>,
}

impl Groups {
    /// Those of this process.
    pub(super) fn find(sources: &Sources) -> Groups {
        let groups = sources.text("/proc/self/cgroup");
        let mounts = sources.text("/proc/self/mountinfo");
        let chain = |controller: &str| {
            path_of(&groups, controller)
                .and_then(|group| {
                    mounts
                        .lines()
                        .filter_map(Mount::parse)
                        .find_map(|mount| mount.folders(controller, group))
                })
                .unwrap_or_default()
        };
        Groups {
            memory: chain("memory"),
            cpu: chain("cpu"),
            unified: chain(""),
        }
    }

    /// The machine's memory, cut down to what the groups allow. Files that are only cached could be had.
    pub(super) fn limit_memory(&self, sources: &Sources, memory: Memory) -> Memory {
        let unified = Files {
            limit: "memory.max",
            used: "memory.current",
            inactive: "inactive_file",
            active: "active_file",
        };
        let classic = Files {
            limit: "memory.limit_in_bytes",
            used: "memory.usage_in_bytes",
            inactive: "total_inactive_file",
            active: "total_active_file",
        };
        let folders = self.unified.iter().map(|folder| (folder, &unified));
        let folders = folders.chain(self.memory.iter().map(|folder| (folder, &classic)));
        folders.fold(memory, |memory, (folder, files)| {
            files.limit(sources, folder, memory)
        })
    }

    /// Processors, cut down to the quotas of the groups.
    pub(super) fn limit_cpus(&self, sources: &Sources, cpus: f64) -> f64 {
        let unified = self
            .unified
            .iter()
            .filter_map(|folder| quota(&sources.text(folder.join("cpu.max"))));
        let classic = self.cpu.iter().filter_map(|folder| {
            let quota = sources.text(folder.join("cpu.cfs_quota_us"));
            let period = sources.text(folder.join("cpu.cfs_period_us"));
            self::quota(&format!("{} {}", quota.trim(), period.trim()))
        });
        unified.chain(classic).fold(cpus, f64::min)
    }
}

/// `150000 100000`: microseconds in how many. No number or a negative one is no limit.
fn quota(text: &str) -> Option<f64> {
    let mut fields = text.split_ascii_whitespace();
    let quota: f64 = fields.next()?.parse().ok()?;
    let period: f64 = fields.next()?.parse().ok()?;
    let cpus = quota / period;
    (cpus.is_finite() && cpus > 0.0).then_some(cpus)
}

/// Names of one version.
struct Files {
    limit: &'static str,
    used: &'static str,
    inactive: &'static str,
    active: &'static str,
}

impl Files {
    fn limit(&self, sources: &Sources, folder: &Path, memory: Memory) -> Memory {
        let number = |file: &str| sources.text(folder.join(file)).trim().parse::<u64>().ok();
        let Some(limit) = number(self.limit).filter(|limit| *limit < memory.total) else {
            return memory;
        };
        let statistics = sources.text(folder.join("memory.stat"));
        let cached = |key: &str| -> u64 {
            statistics
                .lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))
                .and_then(|number| number.trim().parse().ok())
                .unwrap_or(0)
        };
        let cached = cached(self.inactive).saturating_add(cached(self.active));
        let used = number(self.used).unwrap_or(0).saturating_sub(cached);
        Memory {
            total: limit,
            available: memory.available.min(limit.saturating_sub(used)),
        }
    }
}

/// The path of this process's group in `/proc/self/cgroup`, for a controller of version 1 or, without a name, in version 2.
fn path_of<'a>(groups: &'a str, controller: &str) -> Option<&'a str> {
    groups.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        controllers
            .split(',')
            .any(|name| name == controller)
            .then_some(path)
    })
}

/// A line of `/proc/self/mountinfo`.
struct Mount<'a> {
    root: &'a str,
    point: &'a str,
    kind: &'a str,
    options: &'a str,
}

impl<'a> Mount<'a> {
    fn parse(line: &'a str) -> Option<Mount<'a>> {
        let (before, after) = line.split_once(" - ")?;
        let mut before = before.split(' ').skip(3);
        let mut after = after.split(' ');
        Some(Mount {
            root: before.next()?,
            point: before.next()?,
            kind: after.next()?,
            options: after.nth(1)?,
        })
    }

    /// The folders of a group and those around it, if this mount has that controller.
    fn folders(&self, controller: &str, group: &str) -> Option<Vec<PathBuf>> {
        let fits = match self.kind {
            "cgroup2" => controller.is_empty(),
            "cgroup" => self.options.split(',').any(|option| option == controller),
            _ => false,
        };
        if !fits {
            return None;
        }
        let group = Path::new(group);
        // In a container only a part of the tree is mounted, and the path may still be that of the host.
        let inside = group.strip_prefix(self.root).unwrap_or(group);
        let plain: PathBuf = inside
            .components()
            .filter(|part| matches!(part, Component::Normal(_)))
            .collect();
        let innermost = Path::new(self.point).join(plain);
        let folders = innermost
            .ancestors()
            .take_while(|folder| folder.starts_with(self.point));
        Some(folders.take(DEEPEST).map(Path::to_owned).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::Machine;
    use super::*;

    const GIB: u64 = 1 << 30;
    const MACHINE: Memory = Memory {
        available: 12 * GIB,
        total: 16 * GIB,
    };

    fn limits(machine: &Machine) -> (Memory, f64) {
        let sources = machine.sources();
        let groups = Groups::find(&sources);
        (
            groups.limit_memory(&sources, MACHINE),
            groups.limit_cpus(&sources, 8.0),
        )
    }

    #[test]
    fn version_two_with_all_groups_around() {
        let machine = Machine::new(&[
            ("/proc/self/cgroup", "0::/user.slice/app\n"),
            (
                "/proc/self/mountinfo",
                "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n",
            ),
            ("/sys/fs/cgroup/user.slice/app/memory.max", "max\n"),
            ("/sys/fs/cgroup/user.slice/memory.max", "4294967296\n"),
            ("/sys/fs/cgroup/user.slice/memory.current", "3221225472\n"),
            (
                "/sys/fs/cgroup/user.slice/memory.stat",
                "anon 5\ninactive_file 1073741824\nactive_file 1073741824\n",
            ),
            ("/sys/fs/cgroup/user.slice/app/cpu.max", "150000 100000\n"),
            ("/sys/fs/cgroup/user.slice/cpu.max", "max 100000\n"),
        ]);
        let expected = Memory {
            available: 3 * GIB,
            total: 4 * GIB,
        };
        assert_eq!(limits(&machine), (expected, 1.5));
    }

    #[test]
    fn version_one() {
        let machine = Machine::new(&[
            (
                "/proc/self/cgroup",
                "4:memory:/a/b\n1:cpu,cpuacct:/a\n0::/\n",
            ),
            (
                "/proc/self/mountinfo",
                "33 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                 32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n",
            ),
            (
                "/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes",
                "9223372036854771712\n",
            ),
            (
                "/sys/fs/cgroup/memory/a/memory.limit_in_bytes",
                "2147483648\n",
            ),
            (
                "/sys/fs/cgroup/memory/a/memory.usage_in_bytes",
                "1073741824\n",
            ),
            ("/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "200000\n"),
            ("/sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n"),
            ("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"),
            ("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
        ]);
        let expected = Memory {
            available: GIB,
            total: 2 * GIB,
        };
        assert_eq!(limits(&machine), (expected, 2.0));
    }

    #[test]
    fn a_container_sees_a_part_of_the_tree() {
        let machine = Machine::new(&[
            ("/proc/self/cgroup", "4:memory:/docker/abc\n"),
            (
                "/proc/self/mountinfo",
                "33 31 0:32 /docker/abc /sys/fs/cgroup/memory ro master:7 - cgroup cgroup rw,memory\n",
            ),
            (
                "/sys/fs/cgroup/memory/memory.limit_in_bytes",
                "1073741824\n",
            ),
            (
                "/sys/fs/cgroup/memory/memory.usage_in_bytes",
                "2147483648\n",
            ),
        ]);
        let expected = Memory {
            available: 0,
            total: GIB,
        };
        assert_eq!(limits(&machine), (expected, 8.0));
    }

    #[test]
    fn without_groups_or_with_nonsense_nothing_is_cut() {
        assert_eq!(limits(&Machine::new(&[])), (MACHINE, 8.0));
        let machine = Machine::new(&[
            ("/proc/self/cgroup", "0::/../../../etc\nx\n4:\n"),
            (
                "/proc/self/mountinfo",
                "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\nshort\n - \n",
            ),
            ("/sys/fs/cgroup/etc/memory.max", "-7\n"),
            ("/sys/fs/cgroup/etc/cpu.max", "0 0\n"),
        ]);
        assert_eq!(limits(&machine), (MACHINE, 8.0));
    }
}
