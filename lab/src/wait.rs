//! Waiting for something to become true, with a deadline.
//!
//! This is the only place of the lab that lets time pass: tests name an event (a log line, a logged-in daemon, a
//! process that is gone) and the longest time it may take. Conditions that no system call can wait for are looked at
//! every few milliseconds.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

const PAUSE: Duration = Duration::from_millis(5);

/// Calls `probe` until it gives a value, at most for `limit`.
///
/// # Errors
/// When the time is over: the sentence names `what` was waited for.
pub fn until<T>(limit: Duration, what: &str, mut probe: impl FnMut() -> Option<T>) -> Result<T> {
    until_ok(limit, what, || Ok(probe()))
}

/// Like [`until`] for a probe that can fail for good: its error ends the wait at once.
///
/// # Errors
/// The probe's own error, or the time is over.
pub fn until_ok<T>(
    limit: Duration,
    what: &str,
    probe: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    repeat(limit, PAUSE, what, probe)
}

/// Like [`until_ok`] for a probe that costs those who are asked something: it is tried a few times a second.
///
/// # Errors
/// As [`until_ok`].
pub fn until_slowly<T>(
    limit: Duration,
    what: &str,
    probe: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    repeat(limit, 60 * PAUSE, what, probe)
}

fn repeat<T>(
    limit: Duration,
    pause: Duration,
    what: &str,
    mut probe: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(value) = probe()? {
            return Ok(value);
        }
        if Instant::now() >= end {
            bail!("{what}: not within {limit:?}");
        }
        std::thread::sleep(pause);
    }
}

/// Returns at `moment`: for what shall happen at a given time, not for what is waited for.
pub fn until_moment(moment: Instant) {
    std::thread::sleep(moment.saturating_duration_since(Instant::now()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_the_value_of_the_probe() {
        let mut calls = 0;
        let value = until(Duration::from_secs(5), "three calls", || {
            calls += 1;
            (calls == 3).then_some(calls)
        });
        assert_eq!(value.unwrap(), 3);
    }

    #[test]
    fn names_what_did_not_happen() {
        let error = until(Duration::ZERO, "the moon to rise", || None::<()>).unwrap_err();
        assert!(error.to_string().starts_with("the moon to rise"), "{error}");
    }
}
