//! How fast a worker is: work done per time, where 1 is what an unknown worker is taken to do. Learned per language, and
//! apart for a worker with few jobs and one with many, for cores share memory and caches. Old jobs fade.

use crate::history::LANGUAGES;

/// How much the past counts when a job is added.
const FADES: f32 = 0.98;
/// An unknown speed is taken to be the more general one, as if that had been measured for so long (ms).
const PRIOR: f32 = 4000.0;
/// Speeds beyond are not believed.
const FASTEST: f32 = 64.0;

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    cells: [[Cell; 2]; LANGUAGES],
    all: [Cell; 2],
    /// What the worker was known to do before, if it was.
    prior: f32,
}

#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    work: f32,
    time: f32,
}

impl Cell {
    fn add(&mut self, work: f32, time: f32) {
        self.work = self.work * FADES + work;
        self.time = self.time * FADES + time;
    }

    fn speed(self, prior: f32) -> f32 {
        (self.work + PRIOR * prior) / (self.time + PRIOR)
    }
}

impl Pace {
    pub(crate) fn new(prior: f32) -> Self {
        Pace {
            cells: [[Cell::default(); 2]; LANGUAGES],
            all: [Cell::default(); 2],
            prior: prior.clamp(1.0 / FASTEST, FASTEST),
        }
    }

    /// A job that should take `work` ms at speed 1 took `time` ms, on a worker that was crowded or not.
    pub(crate) fn learn(&mut self, language: usize, crowded: bool, work: f32, time: f32) {
        let time = time.max(1.0);
        let work = work.clamp(time / FASTEST, time * FASTEST);
        self.all[usize::from(crowded)].add(work, time);
        if let Some(cells) = self.cells.get_mut(language) {
            cells[usize::from(crowded)].add(work, time);
        }
    }

    /// Speed for jobs of a language.
    pub(crate) fn speed(&self, language: usize, crowded: bool) -> f32 {
        let general = self.general(crowded);
        match self.cells.get(language) {
            Some(cells) => cells[usize::from(crowded)].speed(general),
            None => general,
        }
    }

    /// Speed for any job.
    pub(crate) fn general(&self, crowded: bool) -> f32 {
        let [alone, together] = self.all;
        let both = Cell {
            work: alone.work + together.work,
            time: alone.time + together.time,
        };
        self.all[usize::from(crowded)].speed(both.speed(self.prior))
    }

    /// Nothing has been measured.
    pub(crate) fn is_unknown(&self) -> bool {
        self.all.iter().all(|cell| cell.time == 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_converge_and_differ_by_language_and_crowding() {
        let mut pace = Pace::new(1.0);
        assert!(pace.is_unknown());
        assert_eq!(pace.speed(0, false), 1.0);
        for _ in 0..200 {
            pace.learn(1, false, 2000.0, 500.0);
            pace.learn(1, true, 2000.0, 1000.0);
            pace.learn(0, false, 2000.0, 1000.0);
        }
        assert!((3.8..4.1).contains(&pace.speed(1, false)));
        assert!((1.9..2.3).contains(&pace.speed(1, true)));
        assert!((1.9..2.3).contains(&pace.speed(0, false)));
        let other = pace.speed(2, false);
        assert!(
            (2.0..4.0).contains(&other),
            "of no such jobs: as the others, {other}"
        );
    }

    #[test]
    fn what_was_long_ago_fades() {
        let mut pace = Pace::new(1.0);
        for _ in 0..500 {
            pace.learn(0, false, 4000.0, 1000.0);
        }
        for _ in 0..150 {
            pace.learn(0, false, 1000.0, 1000.0);
        }
        assert!(pace.speed(0, false) < 1.3);
    }

    #[test]
    fn lies_have_bounds() {
        let mut pace = Pace::new(f32::INFINITY);
        pace.learn(9, true, f32::INFINITY, 0.0);
        pace.learn(0, true, 0.0, f32::MAX);
        assert!(pace.speed(0, true).is_finite() && pace.speed(9, true) > 0.0);
    }
}
