//! The settings of `[worker]` that say how far one job of others may go.

use std::time::Duration;

use gelato_daemon::JobLimits;
use gelato_settings::{Key, Settings, keys};

/// What the settings say, and the rest as it is by itself.
pub(super) fn limits(settings: &Settings<'_>) -> JobLimits {
    let megabytes = |key: &Key| megabytes(settings, key);
    let seconds = |key: &Key| number(settings, key).map(Duration::from_secs);
    let usual = JobLimits::default();
    JobLimits {
        time: seconds(&keys::WORKER_JOB_TIME).unwrap_or(usual.time),
        silence: seconds(&keys::WORKER_JOB_SILENCE).unwrap_or(usual.silence),
        disk: megabytes(&keys::WORKER_JOB_DISK).unwrap_or(usual.disk),
        printed: megabytes(&keys::WORKER_JOB_OUTPUT).unwrap_or(usual.printed),
        memory: megabytes(&keys::WORKER_JOB_MEMORY),
    }
}

fn number(settings: &Settings<'_>, key: &Key) -> Option<u64> {
    u64::try_from(settings.integer(key)?).ok()
}

/// Bytes, of a setting in megabytes.
pub(super) fn megabytes(settings: &Settings<'_>, key: &Key) -> Option<u64> {
    Some(number(settings, key)?.saturating_mul(1 << 20))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// What is read from a file with this text, in which nothing is wrong.
    pub(in super::super) fn read<T>(text: &str, reader: impl FnOnce(&Settings<'_>) -> T) -> T {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gelato.toml");
        std::fs::write(&file, text).unwrap();
        let settings = Settings::load(
            |name| (name == "GELATO_CONFIG").then(|| file.clone().into_os_string()),
            0,
        );
        assert_eq!(settings.problems(&["worker"]), []);
        reader(&settings)
    }

    fn with(text: &str) -> JobLimits {
        read(text, limits)
    }

    #[test]
    fn the_table_has_the_limits_that_hold_without_it() {
        assert_eq!(with(""), JobLimits::default());
    }

    #[test]
    fn each_limit_can_be_set() {
        let text = "[worker]\njob-time = 7\njob-silence = 6\njob-disk = 5\njob-output = 4\njob-memory = 300\n";
        let set = JobLimits {
            time: Duration::from_secs(7),
            silence: Duration::from_secs(6),
            disk: 5 << 20,
            printed: 4 << 20,
            memory: Some(300 << 20),
        };
        assert_eq!(with(text), set);
    }
}
