//! Two ways of not following every twitch of a reading: a switch that goes off late, and a number that moves only when
//! the machine has meant it for a while. Pure.

use std::time::{Duration, Instant};

/// On at once, off only after [`Switch::RELEASE`] without cause.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Switch {
    seen: Option<Instant>,
}

impl Switch {
    /// How long a cause is remembered.
    pub(crate) const RELEASE: Duration = Duration::from_secs(30);

    /// Takes in whether there is a cause now, and says whether the switch is on.
    pub(crate) fn update(&mut self, cause: bool, now: Instant) -> bool {
        if cause {
            self.seen = Some(now);
        } else if self
            .seen
            .is_some_and(|seen| now.duration_since(seen) >= Self::RELEASE)
        {
            self.seen = None;
        }
        self.seen.is_some()
    }
}

/// On above one value, off below another: for readings that are averages already.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Band {
    /// On from here.
    pub(crate) on: f64,
    /// Off from here.
    pub(crate) off: f64,
    is_on: bool,
}

impl Band {
    /// A band that is off.
    pub(crate) fn new(on: f64, off: f64) -> Band {
        Band {
            on,
            off,
            is_on: false,
        }
    }

    /// Takes in a reading, and says whether the band is on.
    pub(crate) fn update(&mut self, reading: f64) -> bool {
        self.is_on = if self.is_on {
            reading > self.off
        } else {
            reading >= self.on
        };
        self.is_on
    }
}

/// A number of slots that falls soon and rises late, so that the scheduler does not hear a new one with every sample.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Steady {
    current: u32,
    /// What it would move to, and since when it wants to.
    wish: Option<(u32, Instant)>,
}

impl Steady {
    /// A lower number counts after this time.
    pub(crate) const FALL: Duration = Duration::from_secs(6);
    /// A higher one after this.
    pub(crate) const RISE: Duration = Duration::from_secs(30);

    /// Begins with this number.
    pub(crate) fn new(current: u32) -> Steady {
        Steady {
            current,
            wish: None,
        }
    }

    /// The number that counts.
    pub(crate) fn current(&self) -> u32 {
        self.current
    }

    /// Takes in what the number should be now. It moves as far as all wishes of the waiting time agree on.
    pub(crate) fn update(&mut self, target: u32, now: Instant) -> u32 {
        let up = target > self.current;
        self.wish = match self.wish {
            _ if target == self.current => None,
            Some((wish, since)) if (wish > self.current) == up => {
                let agreed = if up {
                    wish.min(target)
                } else {
                    wish.max(target)
                };
                Some((agreed, since))
            }
            _ => Some((target, now)),
        };
        if let Some((wish, since)) = self.wish {
            let wait = if up { Self::RISE } else { Self::FALL };
            if now.duration_since(since) >= wait {
                self.current = wish;
                self.wish = None;
            }
        }
        self.current
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_switch_goes_on_at_once_and_off_late() {
        let now = Instant::now();
        let mut switch = Switch::default();
        assert!(!switch.update(false, now));
        assert!(switch.update(true, now));
        assert!(switch.update(false, now + Switch::RELEASE - SECOND));
        assert!(!switch.update(false, now + Switch::RELEASE));
        assert!(!switch.update(false, now + Switch::RELEASE * 9));
    }

    #[test]
    fn a_band_needs_both_ends() {
        let mut band = Band::new(20.0, 10.0);
        let seen: Vec<bool> = [19.0, 20.0, 15.0, 11.0, 10.0, 19.0]
            .map(|x| band.update(x))
            .to_vec();
        assert_eq!(seen, [false, true, true, true, false, false]);
    }

    #[test]
    fn numbers_fall_soon_rise_late_and_not_for_a_twitch() {
        let mut now = Instant::now();
        let mut steady = Steady::new(8);
        assert_eq!(steady.update(2, now), 8);
        now += SECOND * 3;
        assert_eq!(steady.update(8, now), 8, "a twitch");
        now += SECOND * 3;
        assert_eq!(steady.update(2, now), 8);
        now += SECOND * 3;
        assert_eq!(steady.update(4, now), 8);
        now += SECOND * 3;
        assert_eq!(steady.update(3, now), 4, "as far as all agreed");
        now += SECOND;
        assert_eq!(steady.update(8, now), 4);
        now += SECOND * 29;
        assert_eq!(steady.update(7, now), 4);
        now += SECOND;
        assert_eq!(steady.update(8, now), 7);
    }

    proptest! {
        #[test]
        fn never_faster_than_promised(targets in prop::collection::vec(1u32..9, 1..200)) {
            let mut now = Instant::now();
            let mut steady = Steady::new(8);
            let mut changes = 0;
            for &target in &targets {
                let before = steady.current();
                let after = steady.update(target, now);
                changes += usize::from(before != after);
                prop_assert!((1..9).contains(&after));
                now += SECOND * 3;
            }
            prop_assert!(changes <= targets.len() / 2);
            for _ in 0..40 {
                steady.update(5, now);
                now += SECOND * 3;
            }
            prop_assert_eq!(steady.current(), 5, "a lasting wish is fulfilled");
        }
    }
}
