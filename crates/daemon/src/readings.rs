//! Reads what [`load`](crate::load) needs from the operating system. Everything that cannot be read is left out.
//!
//! This is the only place that looks at `/proc`; another system gets another [`take`].

use std::fs;
use std::path::Path;

use crate::load::{CpuTicks, Memory, Readings};

/// One reading; `folder` is where toolchains and jobs live. Quick enough for the event loop: a few small files of `/proc`.
pub(crate) fn take(folder: &Path) -> Readings {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let mut memory = parse_meminfo(&read("/proc/meminfo"));
    if let Some(memory) = &mut memory {
        limit_to_group(memory);
    }
    Readings {
        cpu: parse_stat(&read("/proc/stat")),
        memory,
        disk_free: rustix::fs::statvfs(folder)
            .ok()
            .map(|fs| fs.f_bavail.saturating_mul(fs.f_frsize)),
        averages: parse_loadavg(&read("/proc/loadavg")),
    }
}

/// CPUs this process may use.
pub fn cpus() -> u32 {
    std::thread::available_parallelism()
        .map_or(1, |cpus| u32::try_from(cpus.get()).unwrap_or(u32::MAX))
}

/// Waiting for a disk counts as busy; guests are part of user and nice already.
fn parse_stat(text: &str) -> Option<CpuTicks> {
    let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let fields: Vec<u64> = line
        .split_ascii_whitespace()
        .take(8)
        .map_while(|field| field.parse().ok())
        .collect();
    let idle = *fields.get(3)?;
    Some(CpuTicks {
        idle,
        total: fields.iter().sum(),
    })
}

fn parse_meminfo(text: &str) -> Option<Memory> {
    let kib = |key: &str| -> Option<u64> {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        line.split_ascii_whitespace().next()?.parse().ok()
    };
    let total = kib("MemTotal")? << 10;
    let available = kib("MemAvailable").or_else(|| Some(kib("MemFree")? + kib("Cached")?))? << 10;
    Some(Memory { available, total })
}

/// A control group may allow less than the machine has (version 2 only).
fn limit_to_group(memory: &mut Memory) {
    let Some(group) = fs::read_to_string("/proc/self/cgroup")
        .ok()
        .and_then(|text| {
            text.lines()
                .find_map(|line| line.strip_prefix("0::").map(str::to_owned))
        })
    else {
        return;
    };
    let value = |file: &str| -> Option<u64> {
        fs::read_to_string(format!("/sys/fs/cgroup{group}/{file}"))
            .ok()?
            .trim()
            .parse()
            .ok()
    };
    if let Some(limit) = value("memory.max").filter(|limit| *limit < memory.total) {
        let used = value("memory.current").unwrap_or(0);
        memory.total = limit;
        memory.available = memory.available.min(limit.saturating_sub(used));
    }
}

fn parse_loadavg(text: &str) -> [f64; 3] {
    let mut fields = text
        .split_ascii_whitespace()
        .map(|field| field.parse().unwrap_or(0.0));
    [(); 3].map(|()| fields.next().unwrap_or(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_kernels_texts() {
        let stat = "cpu  10 20 30 400 50 6 7 8 0 0\ncpu0 1 2 3 4\n";
        assert_eq!(
            parse_stat(stat),
            Some(CpuTicks {
                idle: 400,
                total: 531
            })
        );
        let meminfo = "MemTotal:       16000 kB\nMemFree:         1000 kB\nMemAvailable:    8000 kB\nCached: 5 kB\n";
        assert_eq!(
            parse_meminfo(meminfo),
            Some(Memory {
                available: 8000 << 10,
                total: 16000 << 10
            })
        );
        assert_eq!(
            parse_loadavg("0.50 1.25 2.00 3/120 4711\n"),
            [0.5, 1.25, 2.0]
        );
    }

    #[test]
    fn nonsense_is_left_out() {
        assert_eq!(parse_stat("intr 5\n"), None);
        assert_eq!(parse_stat("cpu  1 2\n"), None);
        assert_eq!(parse_meminfo("MemTotal: x kB\n"), None);
        assert_eq!(parse_loadavg(""), [0.0; 3]);
    }

    #[test]
    fn this_machine_has_cpu_time_and_a_disk() {
        let readings = take(Path::new("/"));
        assert!(readings.disk_free.is_some());
        assert!(cpus() >= 1);
        if cfg!(target_os = "linux") {
            assert!(readings.cpu.is_some_and(|cpu| cpu.total >= cpu.idle));
        }
    }
}
