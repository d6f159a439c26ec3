//! A seeded generator (SplitMix64), so that equal seeds and events give equal decisions. Not for secrets.
//!
//! Simulations take theirs from here, too.

/// Numbers from a seed.
#[derive(Debug, Clone)]
pub struct Generator(u64);

impl Generator {
    /// Equal seeds give equal numbers.
    pub fn new(seed: u64) -> Self {
        Generator(seed)
    }

    /// The next number: all 64 bits are equally good.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 if `bound` is 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.number()) * bound as u128) >> 64) as usize
    }

    /// True in `percent` of 100 cases.
    pub(crate) fn percent(&mut self, percent: u32) -> bool {
        percent > 0 && self.below(100) < percent as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_below_the_bound_and_reaches_everything() {
        let mut generator = Generator::new(1);
        let mut seen = [0u32; 7];
        for _ in 0..700 {
            seen[generator.below(7)] += 1;
        }
        assert!(seen.iter().all(|&n| n > 60), "{seen:?}");
        assert_eq!(generator.below(0), 0);
    }

    #[test]
    fn percent_is_about_right() {
        let mut generator = Generator::new(2);
        let hits = (0..10_000).filter(|_| generator.percent(5)).count();
        assert!((400..600).contains(&hits), "{hits}");
        assert!(!(0..1000).any(|_| generator.percent(0)));
    }
}
