//! Every moment of a build under one heading: what kept it from going faster just then.

use super::Facts;
use super::work::{Doing, Work};

/// Share of the submitter's processors from which on they are said to be the limit while sources are shipped.
const BUSY_WHILE_SHIPPING: f64 = 0.5;

/// The same while jobs also wait for a processor.
const BUSY_WHILE_QUEUEING: f64 = 0.3;

/// The same at other times.
const BUSY: f64 = 0.8;

/// Bytes per millisecond that must move for the network to be the limit: less is not even the slowest link.
const MOVING: f64 = 32.0;

/// Share of the slots from which on all are said to be taken.
const TAKEN: f64 = 0.9;

/// What kept the build from going faster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heading {
    SubmitterCpu,
    Network,
    Slots,
    Links,
    /// Few jobs are left, and no other will begin.
    Tail,
    /// Most jobs wait until their toolchain is packed or installed.
    Toolchain,
    /// Jobs run, and there is room for more.
    Working,
    /// No job runs.
    Nothing,
}

const HEADINGS: [Heading; 8] = [
    Heading::SubmitterCpu,
    Heading::Network,
    Heading::Slots,
    Heading::Links,
    Heading::Tail,
    Heading::Toolchain,
    Heading::Working,
    Heading::Nothing,
];

/// How the time of a build was spent.
#[derive(Clone, Debug, Default)]
pub(super) struct Times {
    /// From the first beginning to the last end, in ms.
    pub(super) wall: u64,
    /// Most jobs that kept a slot of a worker at a time.
    pub(super) most_on_workers: u32,
    /// The compilation that ended last.
    pub(super) last: Option<usize>,
    by_heading: [u64; HEADINGS.len()],
}

impl Times {
    pub(super) fn of(works: &[Work], facts: Facts) -> Times {
        let begun = works.iter().map(Work::begun).min().unwrap_or(0);
        let end = works.iter().map(|work| work.end).max().unwrap_or(0);
        let compilations = || works.iter().filter(|work| work.compiles);
        let last_begun = compilations().map(Work::begun).max().unwrap_or(0);
        let last = (0..works.len())
            .filter(|&index| works[index].compiles)
            .max_by_key(|&index| works[index].end);
        let mut times = Times {
            wall: end.saturating_sub(begun),
            last,
            ..Times::default()
        };
        let steps = steps(works);
        let most_active = most_active(&steps);
        let mut level = Level::default();
        let mut at = begun;
        for step in &steps {
            if step.at > at {
                let is_tail = at >= last_begun;
                let heading = level.heading(facts, most_active, is_tail);
                times.by_heading[heading as usize] += step.at - at;
                times.most_on_workers = times.most_on_workers.max(level.on_workers());
                at = step.at;
            }
            level.apply(step);
        }
        times
    }

    /// Milliseconds under a heading.
    pub(super) fn of_heading(&self, heading: Heading) -> u64 {
        self.by_heading[heading as usize]
    }

    /// Share of the build under a heading.
    pub(super) fn share(&self, heading: Heading) -> f64 {
        self.of_heading(heading) as f64 / self.wall.max(1) as f64
    }

    /// Of the headings that bound a build the one with most time, and its share.
    pub(super) fn greatest(&self) -> (Heading, f64) {
        let bounding = HEADINGS[..6].iter();
        let greatest = bounding.max_by_key(|heading| self.of_heading(**heading));
        let heading = greatest.copied().unwrap_or(Heading::Nothing);
        (heading, self.share(heading))
    }
}

/// A change of what is going on.
struct Step {
    at: u64,
    doing: Doing,
    compiles: bool,
    /// Processors of the submitter it uses, on average.
    cpu: f64,
    /// Bytes per millisecond it sends and receives, on average.
    rate: f64,
    begins: bool,
}

fn steps(works: &[Work]) -> Vec<Step> {
    let mut steps = Vec::with_capacity(works.len() * 8);
    for work in works {
        let cpu = f64::from(work.cpu) / f64::from(work.active_here().max(1));
        let moving = u64::from(work.part(Doing::Shipping)) + u64::from(work.part(Doing::Receiving));
        let rate = f64::from(work.moved) / moving.max(1) as f64;
        for (doing, begin, end) in work.timeline() {
            let moves = matches!(doing, Doing::Shipping | Doing::Receiving);
            let uses = matches!(doing, Doing::Preparing | Doing::Shipping | Doing::Local);
            for (at, begins) in [(begin, true), (end, false)] {
                steps.push(Step {
                    at,
                    doing,
                    compiles: work.compiles,
                    cpu: if uses { cpu } else { 0.0 },
                    rate: if moves { rate } else { 0.0 },
                    begins,
                });
            }
        }
    }
    // Ends before beginnings, so that a job is never counted twice at its turns.
    steps.sort_by_key(|step| (step.at, step.begins));
    steps
}

fn most_active(steps: &[Step]) -> u32 {
    let mut level = Level::default();
    let mut most = 0;
    for step in steps {
        level.apply(step);
        most = most.max(level.active());
    }
    most
}

/// What is going on at one moment.
#[derive(Default)]
struct Level {
    preparing: u32,
    waiting: u32,
    queueing: u32,
    installing: u32,
    shipping: u32,
    compiling: u32,
    receiving: u32,
    /// Compilations on the submitter.
    here: u32,
    /// Links and other work of the submitter alone, also while they wait for a processor.
    links: u32,
    cpu: f64,
    rate: f64,
}

impl Level {
    fn apply(&mut self, step: &Step) {
        let count = match step.doing {
            _ if !step.compiles => &mut self.links,
            Doing::Preparing => &mut self.preparing,
            Doing::Waiting => &mut self.waiting,
            Doing::Queueing => &mut self.queueing,
            Doing::Installing => &mut self.installing,
            Doing::Shipping => &mut self.shipping,
            Doing::Compiling => &mut self.compiling,
            Doing::Receiving => &mut self.receiving,
            Doing::Local => &mut self.here,
        };
        if step.begins {
            *count += 1;
            self.cpu += step.cpu;
            self.rate += step.rate;
        } else {
            *count = count.saturating_sub(1);
            self.cpu = (self.cpu - step.cpu).max(0.0);
            self.rate = (self.rate - step.rate).max(0.0);
        }
    }

    fn on_workers(&self) -> u32 {
        self.installing + self.shipping + self.compiling + self.receiving
    }

    /// Compilations that get on.
    fn active(&self) -> u32 {
        self.preparing + self.on_workers() + self.here
    }

    fn heading(&self, facts: Facts, most_active: u32, is_tail: bool) -> Heading {
        let compilations = self.active() + self.waiting + self.queueing;
        if compilations == 0 {
            return if self.links > 0 {
                Heading::Links
            } else {
                Heading::Nothing
            };
        }
        if is_tail && compilations <= (most_active / 4).max(1) && most_active > 1 {
            return Heading::Tail;
        }
        if 2 * (self.preparing + self.installing) > compilations {
            return Heading::Toolchain;
        }
        let carried = self.shipping + self.receiving + self.queueing;
        if carried > self.compiling + self.here {
            // Programs besides the build take processors, too: where next to nothing moves it is not the network that is slow.
            let is_cpu = self.is_cpu_short(facts, BUSY_WHILE_SHIPPING) || self.rate < MOVING;
            return if is_cpu {
                Heading::SubmitterCpu
            } else {
                Heading::Network
            };
        }
        let taken = TAKEN * f64::from(facts.slots);
        if self.waiting > 0 {
            Heading::Slots
        } else if self.is_cpu_short(facts, BUSY) {
            Heading::SubmitterCpu
        } else if facts.slots > 0 && f64::from(self.on_workers()) >= taken {
            Heading::Slots
        } else {
            Heading::Working
        }
    }

    fn is_cpu_short(&self, facts: Facts, limit: f64) -> bool {
        if facts.processors == 0 {
            return self.queueing > 0;
        }
        let used = self.cpu / f64::from(facts.processors);
        used >= limit || self.queueing > 0 && used >= BUSY_WHILE_QUEUEING
    }
}
