//! Reads what [`load`](crate::load) and [`courtesy`](crate::courtesy) need from the operating system. Everything that cannot be
//! read is left out.
//!
//! - [`machine`]: processors, memory, pressure
//! - [`groups`]: what the control groups this process is in allow
//! - [`desktop`]: battery, heat, people
//! - [`jobs`]: memory of running jobs
//!
//! This is the only place that looks at `/proc` and `/sys` for that; another system gets another [`take`]. All paths are below a
//! root that tests choose.

mod desktop;
mod groups;
pub(crate) mod jobs;
mod machine;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use groups::Groups;

use crate::courtesy::{Surroundings, WallClock};
use crate::load::{Memory, Readings};

/// More of a file is not read.
const LONGEST: u64 = 256 << 10;

/// Somebody who typed so recently still sits there.
const RECENT: Duration = Duration::from_secs(5 * 60);

/// Where the files of the kernel and of the system's services are.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    root: PathBuf,
}

impl Default for Sources {
    fn default() -> Sources {
        Sources { root: "/".into() }
    }
}

impl Sources {
    /// A copy of them somewhere else.
    #[cfg(test)]
    pub(crate) fn below(root: &Path) -> Sources {
        Sources {
            root: root.to_owned(),
        }
    }

    /// An absolute path of the system.
    fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The text of a file, empty if it cannot be read.
    fn text(&self, path: impl AsRef<Path>) -> String {
        read(&self.path(path))
    }

    /// The names in a folder, in order.
    fn names(&self, path: impl AsRef<Path>) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(path)).into_iter().flatten();
        let mut names: Vec<String> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.sort_unstable();
        names
    }
}

fn read(path: &Path) -> String {
    let mut bytes = Vec::new();
    if let Ok(file) = File::open(path) {
        // What came before an error is better than nothing.
        let _rest = file.take(LONGEST).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// One reading; `folder` is where toolchains and jobs live. Quick enough for the event loop: small files that are not on a disk.
pub(crate) fn take(sources: &Sources, folder: &Path) -> Readings {
    let groups = Groups::find(sources);
    Readings {
        cpu: machine::cpu_ticks(&sources.text("/proc/stat")),
        memory: memory_within(sources, &groups),
        disk_free: rustix::fs::statvfs(folder)
            .ok()
            .map(|fs| fs.f_bavail.saturating_mul(fs.f_frsize)),
        averages: machine::load_averages(&sources.text("/proc/loadavg")),
        around: Surroundings {
            cpus: cpus_within(sources, &groups),
            pressure: machine::pressure(sources),
            on_battery: desktop::on_battery(sources),
            in_use: desktop::in_use(sources, SystemTime::now(), RECENT),
            throttled: desktop::throttled(sources),
            too_hot: desktop::too_hot(sources),
            clock: wall_clock(),
        },
    }
}

/// Memory alone.
pub(crate) fn memory(sources: &Sources) -> Option<Memory> {
    memory_within(sources, &Groups::find(sources))
}

/// Processors this process may use, at least one.
pub fn cpus() -> u32 {
    let sources = Sources::default();
    match cpus_within(&sources, &Groups::find(&sources)) {
        Some(cpus) => (cpus.round() as u32).max(1),
        None => std::thread::available_parallelism()
            .map_or(1, |cpus| u32::try_from(cpus.get()).unwrap_or(u32::MAX)),
    }
}

fn memory_within(sources: &Sources, groups: &Groups) -> Option<Memory> {
    let memory = machine::memory(&sources.text("/proc/meminfo"))?;
    Some(groups.limit_memory(sources, memory))
}

fn cpus_within(sources: &Sources, groups: &Groups) -> Option<f64> {
    let allowed = machine::allowed_cpus(&sources.text("/proc/self/status"))?;
    Some(groups.limit_cpus(sources, f64::from(allowed)))
}

fn wall_clock() -> Option<WallClock> {
    let now = jiff::Zoned::now();
    Some(WallClock {
        weekday: u8::try_from(now.weekday().to_monday_zero_offset()).ok()?,
        minute: u16::try_from(now.hour()).ok()? * 60 + u16::try_from(now.minute()).ok()?,
    })
}

/// Files of a machine made up by a test.
#[cfg(test)]
pub(crate) mod fake {
    use super::*;

    /// A folder with files.
    pub(crate) struct Machine {
        folder: tempfile::TempDir,
    }

    impl Machine {
        pub(crate) fn new(files: &[(&str, &str)]) -> Machine {
            let machine = Machine {
                folder: tempfile::tempdir().unwrap(),
            };
            for (path, text) in files {
                machine.write(path, text);
            }
            machine
        }

        pub(crate) fn write(&self, path: &str, text: &str) {
            let path = self.sources().path(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }

        pub(crate) fn sources(&self) -> Sources {
            Sources::below(self.folder.path())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::fake::Machine;
    use super::*;

    #[test]
    fn this_machine_has_cpu_time_and_a_disk() {
        let readings = take(&Sources::default(), Path::new("/"));
        assert!(readings.disk_free.is_some());
        assert!(cpus() >= 1);
        if cfg!(target_os = "linux") {
            assert!(readings.cpu.is_some_and(|cpu| cpu.total >= cpu.idle));
            let memory = readings.memory.unwrap();
            assert!(memory.available <= memory.total);
        }
        let clock = readings.around.clock.unwrap();
        assert!(clock.weekday < 7 && clock.minute < 1440);
    }

    #[test]
    fn an_empty_machine_says_nothing() {
        let machine = Machine::new(&[]);
        let readings = take(&machine.sources(), Path::new("/nowhere"));
        assert_eq!(
            readings,
            Readings {
                around: Surroundings {
                    clock: readings.around.clock,
                    ..Surroundings::default()
                },
                ..Readings::default()
            }
        );
    }

    #[test]
    fn endless_files_end() {
        let sources = Sources::default();
        let text = sources.text("/dev/zero");
        assert!(text.len() as u64 <= LONGEST);
    }
}
