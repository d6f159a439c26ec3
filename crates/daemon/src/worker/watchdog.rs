//! Ends jobs that run, write or say more than any compilation would.
//!
//! Looks once a second, so that an ordinary job is over before the first look. Everything here errs on the side of the job:
//! what cannot be looked at counts as nothing.

use std::fs;
use std::future::pending;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

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
    started: Instant,
}

impl Watchdog {
    /// A watchdog over a job that starts now and writes to `folder`.
    pub(crate) fn new(limits: JobLimits, folder: &Path) -> Watchdog {
        Watchdog {
            limits,
            folder: folder.to_owned(),
            started: Instant::now(),
        }
    }

    /// Waits until the job has gone too far, and says how.
    pub(crate) async fn bark(self) -> &'static str {
        let mut ticks = interval_at(self.started + PERIOD, PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let now = ticks.tick().await;
            if now.duration_since(self.started) >= self.limits.time {
                return "the job took longer than this worker allows";
            }
            let (folder, most) = (self.folder.clone(), self.limits.disk);
            match spawn_blocking(move || exceeds(&folder, most)).await {
                Ok(true) => return "the job wrote more than this worker allows",
                Ok(false) => {}
                // The daemon is ending.
                Err(_) => pending().await,
            }
        }
    }
}

/// Whether there is more in a folder than so many bytes on disk, or than anybody needs.
fn exceeds(folder: &Path, most: u64) -> bool {
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
            if bytes > most || entries > MOST_ENTRIES {
                return true;
            }
        }
    }
    false
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
        assert!(exceeds(folder.path(), 90_000));
        assert!(!exceeds(folder.path(), 1_000_000));
        assert!(!exceeds(Path::new("/nowhere"), 0));
    }

    #[tokio::test(start_paused = true)]
    async fn time_is_up_and_not_before() {
        let limits = JobLimits {
            time: Duration::from_secs(90),
            ..JobLimits::default()
        };
        let folder = tempfile::tempdir().unwrap();
        let begin = Instant::now();
        let reason = Watchdog::new(limits, folder.path()).bark().await;
        assert!(reason.contains("longer"), "{reason}");
        assert_eq!(begin.elapsed().as_secs(), 90);
    }
}
