//! What goes wrong when: made from a seed alone, before anything runs.
//!
//! Faults come as cards from a shuffled deck that holds every kind, so that a run of a minute meets each of them. A role
//! is in one trouble at a time; several roles may be in trouble at once. Everything is healed within the span.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::random::Random;

/// Who is in trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// A scheduler, by its number in the cluster.
    Scheduler(usize),
    /// A worker, from 0.
    Worker(usize),
    /// A submitter's daemon, from 0.
    Submitter(usize),
    /// One who builds, from 0.
    Builder(usize),
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum What {
    /// SIGKILL for the program and all it started; started again when the fault is over.
    Kill,
    /// SIGKILL for the program alone; started again when the fault is over.
    KillAlone,
    /// SIGTERM; started again when the fault is over.
    Terminate,
    /// SIGSTOP, then SIGCONT.
    Stop,
    /// The network cable is pulled, then plugged in.
    Cut,
    /// A loose contact: the cable is out and in again several times a second.
    Flicker,
    /// The cable is pulled, the program killed and started again, the cable plugged in: its peers still hold connections
    /// to a machine that knows nothing of them.
    Reboot,
    /// Ended, all toolchains removed, started again.
    Forget,
    /// Not a byte is left on its disk.
    FillDisk,
    /// SIGKILL for a running compiler.
    KillCompiler,
    /// SIGSTOP for running compilers, then SIGCONT.
    StopCompiler,
    /// The owner wants the machine for himself: `gelato pause`, then `gelato resume`.
    Pause,
    /// SIGKILL for a wrapper. The build may fail.
    KillWrapper,
    /// SIGSTOP for all wrappers of a build, then SIGCONT.
    StopWrappers,
    /// SIGKILL for a whole build. It fails, of course.
    KillBuild,
    /// ^C. The build ends.
    Interrupt,
}

impl What {
    /// Whether a build that meets this may fail.
    pub fn excuses_the_build(self) -> bool {
        matches!(self, What::KillWrapper | What::KillBuild | What::Interrupt)
    }
}

/// One trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Since the beginning.
    pub at: Duration,
    /// How long it lasts.
    pub hold: Duration,
    /// Who.
    pub role: Role,
    /// What.
    pub what: What,
}

impl Fault {
    /// When it is over.
    pub fn end(&self) -> Duration {
        self.at + self.hold
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Role::Scheduler(index) => write!(f, "scheduler {index}"),
            Role::Worker(index) => write!(f, "worker {index}"),
            Role::Submitter(index) => write!(f, "submitter {index}"),
            Role::Builder(index) => write!(f, "builder {index}"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:7.3} s  {}: {:?}",
            self.at.as_secs_f64(),
            self.role,
            self.what
        )?;
        if !self.hold.is_zero() {
            write!(f, " for {:.3} s", self.hold.as_secs_f64())?;
        }
        Ok(())
    }
}

/// How many there are of each role.
#[derive(Clone, Copy, Debug)]
pub struct Cast {
    /// Schedulers.
    pub schedulers: usize,
    /// Workers. The last one has a small disk.
    pub workers: usize,
    /// Submitters.
    pub submitters: usize,
    /// Builders.
    pub builders: usize,
    /// Whether `gelato pause` is known.
    pub can_pause: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Scheduler,
    Worker,
    SmallWorker,
    Submitter,
    Builder,
}

/// Kind of role, fault, shortest and longest hold in milliseconds. The longest stop is shorter than the time after which
/// any of ours gives a silent peer up for other reasons than this one.
const CARDS: &[(Kind, What, u64, u64)] = &[
    (Kind::Scheduler, What::Kill, 100, 4000),
    (Kind::Scheduler, What::Terminate, 100, 3000),
    (Kind::Scheduler, What::Stop, 200, 5000),
    (Kind::Scheduler, What::Cut, 500, 5000),
    (Kind::Worker, What::Kill, 100, 3000),
    (Kind::Worker, What::Kill, 100, 3000),
    (Kind::Worker, What::KillAlone, 100, 2000),
    (Kind::Worker, What::Terminate, 100, 2000),
    (Kind::Worker, What::Terminate, 100, 2000),
    (Kind::Worker, What::Stop, 200, 6000),
    (Kind::Worker, What::Stop, 200, 1000),
    (Kind::Worker, What::Cut, 500, 6000),
    (Kind::Worker, What::Cut, 200, 1500),
    (Kind::Worker, What::Flicker, 2000, 5000),
    (Kind::Worker, What::Reboot, 200, 3000),
    (Kind::Worker, What::Forget, 100, 500),
    (Kind::Worker, What::KillCompiler, 0, 0),
    (Kind::Worker, What::KillCompiler, 0, 0),
    (Kind::Worker, What::StopCompiler, 500, 5000),
    (Kind::Worker, What::Pause, 500, 4000),
    (Kind::SmallWorker, What::FillDisk, 1000, 5000),
    (Kind::Submitter, What::Kill, 100, 2000),
    (Kind::Submitter, What::Terminate, 100, 2000),
    (Kind::Submitter, What::Stop, 200, 4000),
    (Kind::Submitter, What::Cut, 500, 4000),
    (Kind::Builder, What::KillWrapper, 0, 0),
    (Kind::Builder, What::StopWrappers, 200, 3000),
    (Kind::Builder, What::KillBuild, 0, 0),
    (Kind::Builder, What::Interrupt, 0, 0),
];

/// Shortest and longest time between two faults, in milliseconds.
const PAUSE: (u64, u64) = (300, 1300);

/// A role is left in peace this long after a fault.
const RECOVERY: Duration = Duration::from_millis(700);

/// The faults of a run, in their order. All are over within `span`.
pub fn generate(seed: u64, span: Duration, cast: &Cast) -> Vec<Fault> {
    let mut random = Random::new(seed);
    let mut deck: Vec<(Kind, What, u64, u64)> = Vec::new();
    let mut busy: BTreeMap<Role, Duration> = BTreeMap::new();
    let mut faults = Vec::new();
    let mut now = Duration::ZERO;
    loop {
        now += Duration::from_millis(random.between(PAUSE.0, PAUSE.1));
        if now >= span {
            return faults;
        }
        if deck.is_empty() {
            deck.extend(
                CARDS
                    .iter()
                    .filter(|(_, what, ..)| *what != What::Pause || cast.can_pause),
            );
            random.shuffle(&mut deck);
        }
        // The first card that can be played now.
        for index in (0..deck.len()).rev() {
            let (kind, what, shortest, longest) = deck[index];
            let hold = Duration::from_millis(random.between(shortest, longest));
            let mut free = roles(kind, cast);
            free.retain(|role| busy.get(role).is_none_or(|until| *until <= now));
            if free.is_empty() || now + hold >= span {
                continue;
            }
            let role = free[random.below(free.len())];
            deck.remove(index);
            busy.insert(role, now + hold + RECOVERY);
            faults.push(Fault {
                at: now,
                hold,
                role,
                what,
            });
            break;
        }
    }
}

fn roles(kind: Kind, cast: &Cast) -> Vec<Role> {
    match kind {
        Kind::Scheduler => (0..cast.schedulers).map(Role::Scheduler).collect(),
        Kind::Worker => (0..cast.workers).map(Role::Worker).collect(),
        Kind::SmallWorker => cast
            .workers
            .checked_sub(1)
            .map(Role::Worker)
            .into_iter()
            .collect(),
        Kind::Submitter => (0..cast.submitters).map(Role::Submitter).collect(),
        Kind::Builder => (0..cast.builders).map(Role::Builder).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soak::CAST;

    const SPAN: Duration = Duration::from_secs(40);

    #[test]
    fn a_seed_makes_the_same_plan_every_time() {
        assert_eq!(generate(5, SPAN, &CAST), generate(5, SPAN, &CAST));
        assert_ne!(generate(5, SPAN, &CAST), generate(6, SPAN, &CAST));
    }

    #[test]
    fn everything_is_healed_in_time_and_in_order() {
        for seed in 0..200 {
            let faults = generate(seed, SPAN, &CAST);
            assert!(faults.iter().all(|fault| fault.end() < SPAN));
            assert!(faults.is_sorted_by_key(|fault| fault.at));
        }
    }

    #[test]
    fn nobody_is_in_two_troubles_at_once() {
        for seed in 0..200 {
            let faults = generate(seed, SPAN, &CAST);
            for (index, first) in faults.iter().enumerate() {
                for second in &faults[index + 1..] {
                    assert!(
                        first.role != second.role || second.at >= first.end() + RECOVERY,
                        "seed {seed}: {first} and {second}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_minute_meets_every_kind_of_fault() {
        for seed in 0..50 {
            let faults = generate(seed, Duration::from_secs(60), &CAST);
            for (_, what, ..) in CARDS {
                assert!(
                    faults.iter().any(|fault| fault.what == *what),
                    "seed {seed} has no {what:?}"
                );
            }
        }
    }

    #[test]
    fn a_small_cast_is_no_reason_to_fail() {
        let none = Cast {
            schedulers: 0,
            workers: 0,
            submitters: 0,
            builders: 0,
            can_pause: false,
        };
        assert!(generate(1, SPAN, &none).is_empty());
        let one = Cast { workers: 1, ..none };
        assert!(
            generate(1, SPAN, &one)
                .iter()
                .all(|fault| fault.role == Role::Worker(0))
        );
    }
}
