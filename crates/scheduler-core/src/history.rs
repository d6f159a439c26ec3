//! What jobs will take, from what equal jobs took: processor work and memory by file and flags, else by size and language.
//!
//! Work is in milliseconds on a worker of speed 1 (see [`crate::pace`]). Bounded: what has not been asked for in a long
//! time is forgotten. Plain data goes out and comes in, so that a caller can keep it across restarts.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::event::{JobResult, Request};
use crate::ids::Text;

/// Flag bits that make an optimised job.
const OPTIMISED: u32 = 4 | 8 | 16;
/// Languages told apart: C, C++, others.
pub(crate) const LANGUAGES: usize = 3;
/// Languages, optimised or not.
const CLASSES: usize = 2 * LANGUAGES;
/// How much a new measurement of a known file counts.
const NEWEST: f32 = 0.4;
/// How much a new job counts in the mean of its class.
const CLASS_WEIGHT: f32 = 1.0 / 32.0;
/// The highest memory seen in a class fades by this with every job.
const PEAK_FADES: f32 = 0.998;
/// Work of a job nothing is known of, in milliseconds.
const UNKNOWN_WORK: f32 = 1000.0;
/// Memory of a job nothing is known of, in MiB.
const UNKNOWN_MEMORY: u32 = 96;
/// Longest work believed, in milliseconds.
const LONGEST: f32 = 86_400_000.0;
/// Most memory believed, in MiB: what the largest number of page faults amounts to.
const LARGEST: u32 = u32::MAX / FAULTS_PER_MIB;
/// Page faults of 4 KiB.
const FAULTS_PER_MIB: u32 = 256;

/// What a job is expected to take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forecast {
    /// Milliseconds on a worker of speed 1.
    pub work_ms: f32,
    /// MiB.
    pub memory: u32,
    /// Where that comes from.
    pub basis: Basis,
}

impl Default for Forecast {
    fn default() -> Self {
        Forecast {
            work_ms: UNKNOWN_WORK,
            memory: 0,
            basis: Basis::Nothing,
        }
    }
}

/// Where a forecast comes from, from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// The same file was compiled with such flags.
    File,
    /// Its size, and what jobs of its language take per byte.
    Size,
    /// The mean of its language.
    Language,
    /// Nothing.
    Nothing,
}

impl std::fmt::Display for Basis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Basis::File => "earlier runs of this file",
            Basis::Size => "its size and language",
            Basis::Language => "its language",
            Basis::Nothing => "nothing known",
        })
    }
}

/// One file's past, as plain data.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PastFile {
    /// A hash of file name, flags, language and target.
    pub key: u64,
    /// Milliseconds on a worker of speed 1.
    pub work_ms: f32,
    /// MiB; 0 if never measured.
    pub memory: u32,
}

/// What jobs of one language took on average, optimised ones apart, as plain data.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PastLanguage {
    /// Twice the language (0 C, 1 C++, 2 others), one more if optimised.
    pub class: u8,
    /// Milliseconds on a worker of speed 1.
    pub work_ms: f32,
    /// Milliseconds per byte of source; 0 if never measured.
    pub rate: f32,
    /// MiB of the largest; 0 if never measured.
    pub peak_memory: f32,
}

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct History {
    /// Asked for since the last change of generations, and those from before it.
    young: HashMap<u64, PastFile>,
    old: HashMap<u64, PastFile>,
    limit: usize,
    classes: [Class; CLASSES],
}

#[derive(Debug, Clone, Copy, Default)]
struct Class {
    known: bool,
    work_ms: f32,
    /// Milliseconds per byte of source.
    rate: f32,
    peak_memory: f32,
}

/// What identifies a job in the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Kind {
    key: u64,
    class: u8,
    source_bytes: u32,
}

impl Kind {
    pub(crate) fn of(request: &Request) -> Self {
        let optimised = request.arg_flags & OPTIMISED != 0;
        Kind {
            key: key(
                &request.file,
                request.arg_flags,
                request.language,
                &request.target,
            ),
            class: (language_class(request.language) * 2 + usize::from(optimised)) as u8,
            source_bytes: request.source_bytes,
        }
    }

    /// Its language, as workers' speeds are told apart.
    pub(crate) fn language(self) -> usize {
        usize::from(self.class) / 2
    }
}

impl History {
    /// Remembers about `limit` files.
    pub(crate) fn new(limit: usize) -> Self {
        History {
            young: HashMap::new(),
            old: HashMap::new(),
            limit,
            classes: [Class::default(); CLASSES],
        }
    }

    pub(crate) fn forecast(&mut self, kind: Kind) -> Forecast {
        let class = self.class(kind);
        let by_class = |basis, work_ms: f32| Forecast {
            work_ms: work_ms.clamp(1.0, LONGEST),
            memory: class_memory(class),
            basis,
        };
        if let Some(past) = self.find(kind.key) {
            return Forecast {
                work_ms: past.work_ms,
                memory: match past.memory {
                    0 => class_memory(class),
                    known => known + known / 16,
                },
                basis: Basis::File,
            };
        }
        if !class.known {
            return by_class(Basis::Nothing, UNKNOWN_WORK);
        }
        if kind.source_bytes > 0 && class.rate > 0.0 {
            return by_class(Basis::Size, class.rate * kind.source_bytes as f32);
        }
        by_class(Basis::Language, class.work_ms)
    }

    /// What the job should have taken, as far as can be told without its own time: for learning how fast its worker is.
    pub(crate) fn expected(&mut self, kind: Kind, result: &JobResult) -> f32 {
        let bytes = match result.in_uncompressed {
            0 => kind.source_bytes,
            told => told,
        };
        let sized = Kind {
            source_bytes: bytes,
            ..kind
        };
        self.forecast(sized).work_ms
    }

    /// A job took this: `work_ms` milliseconds of a worker of speed 1.
    pub(crate) fn learn(&mut self, kind: Kind, work_ms: f32, result: &JobResult) {
        let work_ms = work_ms.clamp(1.0, LONGEST);
        let memory = memory_of(result);
        let past = match self.find(kind.key) {
            Some(past) => PastFile {
                key: kind.key,
                work_ms: past.work_ms + (work_ms - past.work_ms) * NEWEST,
                memory: memory.max(past.memory - past.memory / 16),
            },
            None => PastFile {
                key: kind.key,
                work_ms,
                memory,
            },
        };
        self.keep(past);
        let Some(class) = self.classes.get_mut(usize::from(kind.class)) else {
            return;
        };
        let bytes = match result.in_uncompressed {
            0 => kind.source_bytes,
            told => told,
        };
        let rate = if bytes == 0 {
            class.rate
        } else {
            work_ms / bytes as f32
        };
        if class.known {
            class.work_ms += (work_ms - class.work_ms) * CLASS_WEIGHT;
            if class.rate > 0.0 {
                class.rate += (rate - class.rate) * CLASS_WEIGHT;
            } else {
                class.rate = rate;
            }
        } else {
            (class.known, class.work_ms, class.rate) = (true, work_ms, rate);
        }
        class.peak_memory = (class.peak_memory * PEAK_FADES).max(memory as f32);
    }

    /// All files, by key.
    pub(crate) fn snapshot(&self) -> Vec<PastFile> {
        let old = self
            .old
            .values()
            .filter(|past| !self.young.contains_key(&past.key));
        let mut all: Vec<PastFile> = self.young.values().chain(old).copied().collect();
        all.sort_unstable_by_key(|past| past.key);
        all
    }

    /// All languages something is known of.
    pub(crate) fn languages(&self) -> Vec<PastLanguage> {
        let known = self.classes.iter().zip(0u8..).filter(|(is, _)| is.known);
        known
            .map(|(is, class)| PastLanguage {
                class,
                work_ms: is.work_ms,
                rate: is.rate,
                peak_memory: is.peak_memory,
            })
            .collect()
    }

    /// Takes in what a snapshot held; values no snapshot can hold are left out.
    pub(crate) fn restore(&mut self, files: Vec<PastFile>, languages: Vec<PastLanguage>) {
        let believable = |work: f32| work > 0.0 && work <= LONGEST;
        for past in files {
            if believable(past.work_ms) && past.memory <= LARGEST {
                self.keep(past);
            }
        }
        for past in languages {
            if let Some(class) = self.classes.get_mut(usize::from(past.class))
                && believable(past.work_ms)
                && (0.0..=LONGEST).contains(&past.rate)
                && (0.0..=LARGEST as f32).contains(&past.peak_memory)
            {
                *class = Class {
                    known: true,
                    work_ms: past.work_ms,
                    rate: past.rate,
                    peak_memory: past.peak_memory,
                };
            }
        }
    }

    fn class(&self, kind: Kind) -> Class {
        let class = self.classes.get(usize::from(kind.class));
        class.copied().unwrap_or_default()
    }

    fn find(&mut self, key: u64) -> Option<PastFile> {
        if let Some(past) = self.young.get(&key) {
            return Some(*past);
        }
        let past = self.old.get(&key).copied()?;
        self.keep(past);
        Some(past)
    }

    fn keep(&mut self, past: PastFile) {
        if self.young.len() >= self.limit.div_ceil(2) && !self.young.contains_key(&past.key) {
            self.old = std::mem::take(&mut self.young);
        }
        if self.limit > 0 {
            self.young.insert(past.key, past);
        }
    }
}

/// The class whose worker speeds are told apart: 0 C, 1 C++, 2 anything else.
fn language_class(language: u32) -> usize {
    (language as usize).min(LANGUAGES - 1)
}

fn class_memory(class: Class) -> u32 {
    if class.peak_memory > 0.0 {
        (class.peak_memory * 1.125) as u32
    } else {
        UNKNOWN_MEMORY
    }
}

/// Memory a job took, in MiB. The protocol tells page faults only, which for a compiler, that frees little, are a good
/// measure of what it touched.
fn memory_of(result: &JobResult) -> u32 {
    result.page_faults.div_ceil(FAULTS_PER_MIB)
}

/// FNV-1a, for it must be the same after a restart.
fn key(file: &Text, flags: u32, language: u32, target: &Text) -> u64 {
    let numbers = [flags.to_le_bytes(), language.to_le_bytes()].concat();
    let parts = [file.as_bytes(), b"\0", target.as_bytes(), b"\0", &numbers];
    parts
        .into_iter()
        .flatten()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(key: u64, bytes: u32) -> Kind {
        Kind {
            key,
            class: 2,
            source_bytes: bytes,
        }
    }

    fn took(bytes: u32, mib: u32) -> JobResult {
        JobResult {
            in_uncompressed: bytes,
            page_faults: mib * 256,
            ..JobResult::default()
        }
    }

    #[test]
    fn a_file_is_known_then_its_size_then_its_language() {
        let mut history = History::new(100);
        let nothing = history.forecast(kind(1, 500));
        assert_eq!((nothing.basis, nothing.work_ms), (Basis::Nothing, 1000.0));
        history.learn(kind(1, 0), 4000.0, &took(2000, 300));
        let same = history.forecast(kind(1, 0));
        assert_eq!((same.basis, same.work_ms), (Basis::File, 4000.0));
        assert!((300..400).contains(&same.memory));
        let sized = history.forecast(kind(2, 500));
        assert_eq!((sized.basis, sized.work_ms), (Basis::Size, 1000.0));
        let other = history.forecast(kind(3, 0));
        assert_eq!((other.basis, other.work_ms), (Basis::Language, 4000.0));
        assert!(
            other.memory >= 300,
            "an unknown job may be like the largest"
        );
    }

    #[test]
    fn it_is_bounded_and_forgets_what_nobody_asks_for() {
        let mut history = History::new(100);
        for file in 0..1000 {
            history.learn(kind(file, 0), 10.0, &took(0, 0));
            history.forecast(kind(0, 0));
        }
        assert!(history.snapshot().len() <= 100);
        assert_eq!(history.forecast(kind(0, 0)).basis, Basis::File);
        assert_eq!(history.forecast(kind(500, 0)).basis, Basis::Language);
    }

    #[test]
    fn it_survives_a_restart_and_takes_no_nonsense() {
        let mut before = History::new(100);
        before.learn(kind(7, 0), 123.0, &took(0, 20));
        let mut after = History::new(100);
        let mut files = before.snapshot();
        for (work_ms, memory) in [(f32::NAN, 0), (-1.0, 0), (1e30, 0), (1.0, u32::MAX)] {
            files.push(PastFile {
                key: 8,
                work_ms,
                memory,
            });
        }
        let mut languages = before.languages();
        for (class, rate) in [(200, 1.0), (0, f32::NAN), (0, -1.0)] {
            languages.push(PastLanguage {
                class,
                rate,
                ..languages[0]
            });
        }
        after.restore(files, languages);
        assert_eq!(after.snapshot(), before.snapshot());
        assert_eq!(after.languages(), before.languages());
        assert_eq!(after.forecast(kind(7, 0)).work_ms, 123.0);
        assert_eq!(after.forecast(kind(9, 0)).basis, Basis::Language);
    }

    #[test]
    fn every_part_of_a_job_counts() {
        let x = Text::from("x86_64");
        let base = key(&Text::from("a/b.c"), 8, 0, &x);
        assert_ne!(base, key(&Text::from("a/c.c"), 8, 0, &x));
        assert_ne!(base, key(&Text::from("a/b.c"), 4, 0, &x));
        assert_ne!(base, key(&Text::from("a/b.c"), 8, 1, &x));
        assert_ne!(base, key(&Text::from("a/b.c"), 8, 0, &Text::from("arm")));
    }
}
