//! How long what is kept, and what goes first when there is too much of it.

/// Milliseconds of an hour.
const HOUR_MS: u64 = 3600 * 1000;

/// One fineness of samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tier {
    /// Name of the tables.
    pub(super) samples: &'static str,
    pub(super) hosts: &'static str,
    /// Milliseconds of a sample.
    pub(super) step: u64,
    /// Milliseconds for which samples are kept.
    pub(super) keep: u64,
}

/// From the finest to the coarsest.
pub(super) const TIERS: [Tier; 3] = [
    Tier {
        samples: "samples-10s",
        hosts: "hosts-10s",
        step: 10_000,
        keep: 24 * HOUR_MS,
    },
    Tier {
        samples: "samples-1m",
        hosts: "hosts-1m",
        step: 60_000,
        keep: 30 * 24 * HOUR_MS,
    },
    Tier {
        samples: "samples-1h",
        hosts: "hosts-1h",
        step: HOUR_MS,
        keep: 366 * 24 * HOUR_MS,
    },
];

/// Builds that are kept.
pub(super) const MOST_BUILDS: u64 = 10_000;

/// Milliseconds for which builds are kept.
pub(super) const KEEP_BUILDS: u64 = 366 * 24 * HOUR_MS;

/// Milliseconds over which files are summed up.
pub(super) const WEEK: u64 = 7 * 24 * HOUR_MS;

/// Weeks of such sums.
pub(super) const WEEKS: u64 = 53;

/// Files of a week: those that took the most time.
pub(super) const MOST_FILES: usize = 5_000;

/// Bytes of the file unless somebody says otherwise.
pub(super) const MOST_BYTES: u64 = 1 << 30;

/// If the file is too big, this part of the samples goes, the oldest of each fineness, again and again.
pub(super) const SURPLUS: u64 = 4;

/// The beginning of the span that a moment belongs to.
pub(super) fn begin(at: u64, step: u64) -> u64 {
    at - at % step
}

/// The finest samples that reach back to `from` and are no finer than needed for one value each `step`.
pub(super) fn tier_for(from: u64, step: u64, now: u64) -> Tier {
    let reaches = |tier: &&Tier| now.saturating_sub(from) <= tier.keep;
    let [_, _, last] = TIERS;
    let reaching = TIERS.iter().filter(reaches);
    // The coarsest of those that are fine enough; if none is, the finest there is.
    let fine_enough = reaching.clone().rfind(|tier| tier.step <= step);
    *fine_enough.or(reaching.clone().next()).unwrap_or(&last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_answered_from_samples_that_reach_back_and_are_fine_enough() {
        let now = 400 * 24 * HOUR_MS;
        let step_of = |back: u64, step| tier_for(now - back, step, now).step;
        assert_eq!(step_of(HOUR_MS, 10_000), 10_000);
        assert_eq!(step_of(HOUR_MS, 1), 10_000);
        assert_eq!(step_of(HOUR_MS, 60_000), 60_000);
        assert_eq!(step_of(48 * HOUR_MS, 10_000), 60_000);
        assert_eq!(step_of(48 * HOUR_MS, 2 * HOUR_MS), HOUR_MS);
        assert_eq!(step_of(90 * 24 * HOUR_MS, 60_000), HOUR_MS);
        assert_eq!(step_of(now, 10_000), HOUR_MS);
    }
}
