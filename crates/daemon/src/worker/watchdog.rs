//! Ends jobs that run, write or stay silent longer than any compilation would.
//!
//! Looks once a second, so that an ordinary job is over before the first look. Everything here errs on the side of the job:
//! what cannot be looked at counts as nothing.

use std::fs;
use std::future::pending;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::pulse::{Look, Pulse};
use super::reason::Reason;
use crate::config::JobLimits;

/// Between two looks.
const PERIOD: Duration = Duration::from_secs(1);

/// Files and folders looked at: whoever makes more has gone too far.
const MOST_ENTRIES: usize = 100_000;

/// What watches over one job.
#[derive(Debug)]
pub(crate) struct Watchdog {
    limits: JobLimits,
    folder: PathBuf,
    pulse: Arc<Pulse>,
    /// The job's outermost process.
    process: Option<u32>,
    started: Instant,
}

/// How a folder went too far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Excess {
    Bytes,
    Entries,
}

impl Watchdog {
    /// A watchdog over a job that starts now, writes to `folder`, and has this outermost process.
    pub(crate) fn new(
        limits: JobLimits,
        folder: &Path,
        pulse: Arc<Pulse>,
        process: Option<u32>,
    ) -> Watchdog {
        Watchdog {
            limits,
            folder: folder.to_owned(),
            pulse,
            process,
            started: Instant::now(),
        }
    }

    /// Waits until the job has gone too far, and says how.
    pub(crate) async fn bark(self) -> Reason {
        let mut ticks = interval_at(self.started + PERIOD, PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = (self.started, Look::Unknown);
        loop {
            let now = ticks.tick().await;
            if now.duration_since(self.started) >= self.limits.time {
                return Reason::limit("the job took longer than this worker allows");
            }
            let (folder, most) = (self.folder.clone(), self.limits.disk);
            let (pulse, process) = (Arc::clone(&self.pulse), self.process);
            let looking = spawn_blocking(move || (excess(&folder, most), pulse.look(process)));
            let look = match looking.await {
                Ok((Some(Excess::Bytes), _)) => {
                    return Reason::limit("the job wrote more than this worker allows");
                }
                Ok((Some(Excess::Entries), _)) => {
                    return Reason::limit("the job made more files than this worker allows");
                }
                Ok((None, look)) => look,
                // The daemon is ending.
                Err(_) => pending().await,
            };
            if look == Look::Unknown || look != last.1 {
                last = (now, look);
            } else if now.duration_since(last.0) >= self.limits.silence {
                return Reason::limit("the job did nothing for longer than this worker allows");
            }
        }
    }
}

/// Whether there is more in a folder than so many bytes on disk, or than anybody needs.
fn excess(folder: &Path, most: u64) -> Option<Excess> {
    let mut folders = vec![folder.to_owned()];
    let (mut bytes, mut entries) = (0u64, 0);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            entries += 1;
            // Not following links.
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            bytes = bytes.saturating_add(metadata.blocks().saturating_mul(512));
            if metadata.is_dir() {
                folders.push(entry.path());
            }
            if bytes > most {
                return Some(Excess::Bytes);
            }
            if entries > MOST_ENTRIES {
                return Some(Excess::Entries);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn counts_what_lies_deep_and_not_what_links_lead_to() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("a/b")).unwrap();
        fs::write(folder.path().join("a/b/c"), vec![1; 100_000]).unwrap();
        symlink("/usr", folder.path().join("link")).unwrap();
        assert_eq!(excess(folder.path(), 90_000), Some(Excess::Bytes));
        assert_eq!(excess(folder.path(), 1_000_000), None);
        assert_eq!(excess(Path::new("/nowhere"), 0), None);
    }

    #[tokio::test(start_paused = true)]
    async fn time_is_up_and_not_before() {
        let limits = JobLimits {
            time: Duration::from_secs(90),
            ..JobLimits::default()
        };
        let folder = tempfile::tempdir().unwrap();
        let begin = Instant::now();
        let watchdog = Watchdog::new(limits, folder.path(), Arc::default(), None);
        let reason = watchdog.bark().await.to_string();
        assert!(reason.contains("took longer"), "{reason}");
        assert_eq!(begin.elapsed().as_secs(), 90);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_noticed_and_only_silence() {
        let limits = JobLimits {
            time: Duration::from_secs(90),
            silence: Duration::from_secs(20),
            ..JobLimits::default()
        };
        let folder = tempfile::tempdir().unwrap();
        let mut sleeper = std::process::Command::new("/bin/sleep")
            .arg("1000")
            .spawn()
            .unwrap();
        let pulse = Arc::<Pulse>::default();
        let watchdog = || {
            let process = Some(sleeper.id());
            Watchdog::new(limits, folder.path(), Arc::clone(&pulse), process)
        };
        let begin = Instant::now();
        let reason = watchdog().bark().await.to_string();
        assert!(reason.contains("did nothing"), "{reason}");
        assert_eq!(begin.elapsed().as_secs(), 21);
        // What prints is alive, and who waits for its submitter is not to blame.
        let talking = async {
            loop {
                tokio::time::sleep(Duration::from_secs(15)).await;
                pulse.beat(1);
            }
        };
        let reason = tokio::select! {
            reason = watchdog().bark() => reason.to_string(),
            () = talking => unreachable!(),
        };
        assert!(reason.contains("took longer"), "{reason}");
        pulse.waits_for_source(true);
        let reason = watchdog().bark().await.to_string();
        assert!(reason.contains("took longer"), "{reason}");
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
    }
}
