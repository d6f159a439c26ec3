//! The settings of `[worker]` that say how far one job of others may go.

use std::time::Duration;

use gelato_daemon::JobLimits;
use gelato_settings::{Key, Settings, keys};

/// What the settings say, and the rest as it is by itself.
pub(super) fn limits(settings: &Settings<'_>) -> JobLimits {
    let number = |key: &Key| settings.integer(key).and_then(|n| u64::try_from(n).ok());
    let megabytes = |key: &Key| number(key).map(|n| n.saturating_mul(1 << 20));
    let seconds = |key: &Key| number(key).map(Duration::from_secs);
    let usual = JobLimits::default();
    JobLimits {
        time: seconds(&keys::WORKER_JOB_TIME).unwrap_or(usual.time),
        silence: seconds(&keys::WORKER_JOB_SILENCE).unwrap_or(usual.silence),
        disk: megabytes(&keys::WORKER_JOB_DISK).unwrap_or(usual.disk),
        printed: megabytes(&keys::WORKER_JOB_OUTPUT).unwrap_or(usual.printed),
        memory: megabytes(&keys::WORKER_JOB_MEMORY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: &str) -> JobLimits {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gelato.toml");
        std::fs::write(&file, text).unwrap();
        let settings = Settings::load(
            |name| (name == "GELATO_CONFIG").then(|| file.clone().into_os_string()),
            0,
        );
        assert_eq!(settings.problems(&["worker"]), []);
        limits(&settings)
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
