//! How a level changed over a whole build, in a bounded number of points: the longer it lasts the wider they are.

/// Most points of a curve.
pub const POINTS: usize = 120;

/// Milliseconds of a point at first.
const NARROWEST: u64 = 250;

/// A level over time, from the first one on.
#[derive(Clone, Debug, Default)]
pub struct Curve {
    /// Level times milliseconds of each point.
    sums: Vec<u64>,
    width: u64,
    begun: u64,
    until: u64,
    level: u32,
}

impl Curve {
    /// From `now` on the level is `level`.
    pub fn set(&mut self, now: u64, level: u32) {
        self.advance(now);
        self.level = level;
    }

    /// Milliseconds that one point covers.
    pub fn width(&self) -> u64 {
        self.width.max(NARROWEST)
    }

    /// The mean level of each point up to the last change.
    pub fn points(&self) -> Vec<f64> {
        let width = self.width();
        let last = self.sums.len().saturating_sub(1);
        let covered = |index: usize| {
            if index == last {
                let open = (self.until - self.begun).saturating_sub(last as u64 * width);
                open.max(1)
            } else {
                width
            }
        };
        let points = self.sums.iter().enumerate();
        points
            .map(|(index, sum)| *sum as f64 / covered(index) as f64)
            .collect()
    }

    fn advance(&mut self, now: u64) {
        if self.width == 0 {
            self.width = NARROWEST;
            self.begun = now;
            self.until = now;
        }
        if now <= self.until {
            return;
        }
        while now - self.begun > self.width * POINTS as u64 {
            self.widen();
        }
        while self.until < now {
            let index = ((self.until - self.begun) / self.width) as usize;
            let end = self.begun + (index as u64 + 1) * self.width;
            let upto = end.min(now);
            if self.sums.len() <= index {
                self.sums.resize(index + 1, 0);
            }
            self.sums[index] += u64::from(self.level) * (upto - self.until);
            self.until = upto;
        }
    }

    fn widen(&mut self) {
        self.width = self.width.saturating_mul(2);
        let pairs = self.sums.chunks(2);
        self.sums = pairs.map(|pair| pair.iter().sum()).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn points_are_means_and_widen_with_time() {
        let mut curve = Curve::default();
        curve.set(1_000, 4);
        curve.set(1_125, 0);
        curve.set(1_500, 0);
        assert_eq!(curve.points(), [2.0, 0.0]);
        curve.set(61_000, 0);
        assert!(curve.points().len() <= POINTS && curve.width() == 500);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_nothing_grows(steps in proptest::collection::vec((0..100_000u64, 0..50u32), 1..60)) {
            let mut curve = Curve::default();
            let (mut now, mut level, mut whole) = (1_000_000, 0, 0);
            for (pause, next) in steps {
                whole += pause * u64::from(level);
                now += pause;
                curve.set(now, next);
                level = next;
                // A clock that jumps back.
                curve.set(now - 500, next);
            }
            prop_assert!(curve.points().len() <= POINTS);
            prop_assert_eq!(curve.sums.iter().sum::<u64>(), whole);
        }
    }
}
