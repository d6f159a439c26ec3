//! How busy something was, second by second: a level that changes now and then, integrated.

/// Seconds that are kept.
pub(super) const SECONDS: usize = 300;

/// The last five minutes of a level.
#[derive(Clone, Debug)]
pub struct Strip {
    /// Level times milliseconds for each second, at the second's number modulo the length.
    buckets: Box<[u64; SECONDS]>,
    level: u32,
    /// Up to here it has been integrated; 0 before the first level.
    until: u64,
}

impl Default for Strip {
    fn default() -> Strip {
        Strip {
            buckets: Box::new([0; SECONDS]),
            level: 0,
            until: 0,
        }
    }
}

impl Strip {
    /// From `now` on the level is `level`.
    pub fn set(&mut self, now: u64, level: u32) {
        self.advance(now);
        self.level = level;
    }

    /// The mean level of each of the last `seconds` whole seconds before `now`, the oldest first; never more than
    /// 299.
    pub fn last(&self, now: u64, seconds: usize) -> Vec<f64> {
        let mut upto_now = self.clone();
        upto_now.advance(now);
        let end = upto_now.until / 1000;
        let seconds = seconds.min(SECONDS - 1) as u64;
        (end.saturating_sub(seconds)..end)
            .map(|second| upto_now.buckets[(second % SECONDS as u64) as usize] as f64 / 1000.0)
            .collect()
    }

    fn advance(&mut self, now: u64) {
        if self.until == 0 {
            self.until = now;
        }
        // Longer silences than the strip: everything in it is the level of the silence.
        if now.saturating_sub(self.until) > 1000 * SECONDS as u64 {
            self.until = now - 1000 * SECONDS as u64;
            self.until -= self.until % 1000;
        }
        while self.until < now {
            let end = (self.until / 1000 + 1) * 1000;
            let slot = (self.until / 1000 % SECONDS as u64) as usize;
            if self.until.is_multiple_of(1000) {
                self.buckets[slot] = 0;
            }
            let upto = end.min(now);
            self.buckets[slot] += u64::from(self.level) * (upto - self.until);
            self.until = upto;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn level_is_a_mean_over_each_second() {
        let mut strip = Strip::default();
        strip.set(10_000, 2);
        strip.set(11_500, 4);
        assert_eq!(strip.last(13_000, 3), [2.0, 3.0, 4.0]);
    }

    #[test]
    fn a_long_silence_and_a_clock_that_jumps_back_are_survived() {
        let mut strip = Strip::default();
        strip.set(5_000, 1);
        strip.set(100_000_000, 3);
        assert!(
            strip
                .last(100_000_000, 10)
                .iter()
                .all(|level| *level == 1.0)
        );
        strip.set(50_000, 7);
        assert_eq!(strip.last(100_002_000, 2), [7.0, 7.0]);
    }

    #[test]
    fn what_is_older_than_the_strip_is_overwritten() {
        let mut strip = Strip::default();
        strip.set(1_000, 5);
        strip.set(2_000, 0);
        strip.set(400_000, 0);
        assert_eq!(strip.last(400_000, SECONDS).iter().sum::<f64>(), 0.0);
    }
}
