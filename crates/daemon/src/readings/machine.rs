//! Processors, memory and pressure as the kernel's texts under `/proc` have them.

use super::Sources;
use crate::courtesy::Pressure;
use crate::load::{CpuTicks, Memory};

/// Waiting for a disk counts as busy; guests are part of user and nice already.
pub(super) fn cpu_ticks(text: &str) -> Option<CpuTicks> {
    let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let fields: Vec<u64> = line
        .split_ascii_whitespace()
        .take(8)
        .map_while(|field| field.parse().ok())
        .collect();
    Some(CpuTicks {
        idle: *fields.get(3)?,
        total: fields
            .iter()
            .fold(0, |sum, field| sum.saturating_add(*field)),
        nice: *fields.get(1)?,
    })
}

/// What `/proc/meminfo` says.
pub(super) fn memory(text: &str) -> Option<Memory> {
    let bytes = |key: &str| -> Option<u64> {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        let kib: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
        kib.checked_mul(1024)
    };
    let total = bytes("MemTotal")?;
    let available = bytes("MemAvailable")
        .or_else(|| Some(bytes("MemFree")?.saturating_add(bytes("Cached")?)))?;
    Some(Memory { available, total })
}

pub(super) fn load_averages(text: &str) -> [f64; 3] {
    let mut fields = text
        .split_ascii_whitespace()
        .map(|field| field.parse().unwrap_or(0.0));
    [(); 3].map(|()| fields.next().unwrap_or(0.0))
}

/// How many processors the affinity leaves, from `/proc/self/status`.
pub(super) fn allowed_cpus(text: &str) -> Option<u32> {
    let list = text
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    let mut count = 0u32;
    for range in list.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        count = count.saturating_add(last.checked_sub(first)?.saturating_add(1));
    }
    Some(count)
}

/// Pressure of the last ten seconds; none where the kernel does not tell.
pub(super) fn pressure(sources: &Sources) -> Pressure {
    let some = |what: &str| some_avg10(&sources.text(format!("/proc/pressure/{what}")));
    Pressure {
        cpu: some("cpu"),
        memory: some("memory"),
        io: some("io"),
    }
}

fn some_avg10(text: &str) -> f64 {
    text.lines()
        .find_map(|line| line.strip_prefix("some "))
        .and_then(|line| {
            line.split_ascii_whitespace()
                .find_map(|field| field.strip_prefix("avg10="))
        })
        .and_then(|number| number.parse().ok())
        .filter(|number: &f64| number.is_finite())
        .map_or(0.0, |number| number.clamp(0.0, 100.0))
}

#[cfg(test)]
mod tests {
    use super::super::fake::Machine;
    use super::*;

    #[test]
    fn reads_the_kernels_texts() {
        let stat = "cpu  10 20 30 400 50 6 7 8 0 0\ncpu0 1 2 3 4\n";
        assert_eq!(
            cpu_ticks(stat),
            Some(CpuTicks {
                idle: 400,
                total: 531,
                nice: 20,
            })
        );
        let meminfo = "MemTotal:       16000 kB\nMemFree:         1000 kB\nMemAvailable:    8000 kB\nCached: 5 kB\n";
        assert_eq!(
            memory(meminfo),
            Some(Memory {
                available: 8000 << 10,
                total: 16000 << 10
            })
        );
        assert_eq!(
            load_averages("0.50 1.25 2.00 3/120 4711\n"),
            [0.5, 1.25, 2.0]
        );
        let status = "Name:\tx\nCpus_allowed:\tff\nCpus_allowed_list:\t0-3,8,10-11\n";
        assert_eq!(allowed_cpus(status), Some(7));
    }

    #[test]
    fn nonsense_is_left_out() {
        assert_eq!(cpu_ticks("intr 5\n"), None);
        assert_eq!(cpu_ticks("cpu  1 2\n"), None);
        assert_eq!(memory("MemTotal: x kB\n"), None);
        assert_eq!(memory("MemTotal: 99999999999999999999 kB\n"), None);
        assert_eq!(load_averages(""), [0.0; 3]);
        assert_eq!(allowed_cpus("Cpus_allowed_list:\t3-1\n"), None);
        assert_eq!(allowed_cpus("Cpus_allowed_list:\tx\n"), None);
        assert_eq!(some_avg10("some avg10=inf\n"), 0.0);
        assert_eq!(some_avg10("full avg10=5.00\n"), 0.0);
    }

    #[test]
    fn pressure_is_that_of_some_over_ten_seconds() {
        let machine = Machine::new(&[
            (
                "/proc/pressure/cpu",
                "some avg10=94.27 avg60=82.49 avg300=47.59 total=1\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
            ),
            (
                "/proc/pressure/io",
                "some avg10=3.96 avg60=2.13 avg300=0.89 total=4\n",
            ),
        ]);
        assert_eq!(
            pressure(&machine.sources()),
            Pressure {
                cpu: 94.27,
                memory: 0.0,
                io: 3.96
            }
        );
    }
}
