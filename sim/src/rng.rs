//! The distributions builds need, from a seed.

use gelato_scheduler_core::Generator;

#[derive(Debug, Clone)]
pub(crate) struct Rng(Generator);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Rng(Generator::new(seed))
    }

    /// From 0 up to 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.0.number() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// About normal, mean 0 and deviation 1.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }

    /// Log-normal with this median: many small, few large, as compile times are.
    pub(crate) fn skewed(&mut self, median: f64, spread: f64) -> f64 {
        median * (self.normal() * spread).exp()
    }
}
