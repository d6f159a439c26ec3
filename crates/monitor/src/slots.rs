//! How many jobs a build of one machine may run at once: what the scheduler would grant it, and what the machine itself can keep
//! going. Asks nobody: the picture and the machine's own facts come in as arguments.

use serde::Serialize;

use crate::model::{Cluster, Host};

/// Jobs elsewhere that one processor is believed to keep going before any were measured: preprocessing and sending a file takes
/// about a tenth of the time its compilation takes.
pub const JOBS_PER_PROCESSOR: f64 = 10.0;

/// Measured values outside of this are no better than the guess.
const BELIEVED: std::ops::RangeInclusive<f64> = 2.0..=100.0;

/// A load that keeps every scheduler from placing jobs.
const FULL: u32 = 1000;

/// The machine a build would run on.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    /// Its name among the hosts, if it has a daemon.
    pub node: Option<String>,
    /// Its platform, for instance `x86_64`.
    pub platform: String,
    /// Processors it may use.
    pub processors: u32,
    /// Whether it is not among the hosts yet, and will be for the time of the build.
    pub joins: bool,
    /// Jobs elsewhere for each busy processor here, as measured.
    pub jobs_per_processor: Option<f64>,
}

/// Why a host does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// Its programs are of another platform.
    Platform(String),
    /// It takes no jobs of others.
    NoRemote,
    /// It offers no slot.
    NoSlots,
    /// An operator blocked it.
    Blocked,
    /// It finishes what it has, and takes no more.
    Draining,
    /// The scheduler cannot connect to it.
    Unreachable,
    /// It does not answer the scheduler.
    Silent,
    /// Its load is full: it is paused, short of memory or disk, or busy with something else.
    Loaded,
}

impl Obstacle {
    /// Whether it may pass without anybody doing anything.
    pub fn may_pass(&self) -> bool {
        matches!(
            self,
            Obstacle::Unreachable | Obstacle::Silent | Obstacle::Loaded
        )
    }

    /// The stable word.
    pub fn code(&self) -> &'static str {
        match self {
            Obstacle::Platform(_) => "platform",
            Obstacle::NoRemote => "no-remote",
            Obstacle::NoSlots => "no-slots",
            Obstacle::Blocked => "blocked",
            Obstacle::Draining => "draining",
            Obstacle::Unreachable => "unreachable",
            Obstacle::Silent => "silent",
            Obstacle::Loaded => "loaded",
        }
    }

    /// What it means, as a fragment of a sentence.
    pub fn explanation(&self) -> String {
        match self {
            Obstacle::Platform(platform) => format!("runs programs of {platform}"),
            Obstacle::NoRemote => "takes no jobs of others".to_owned(),
            Obstacle::NoSlots => "offers no slot".to_owned(),
            Obstacle::Blocked => "blocked by an operator".to_owned(),
            Obstacle::Draining => "finishes what it has and takes no more".to_owned(),
            Obstacle::Unreachable => "the scheduler cannot connect to it".to_owned(),
            Obstacle::Silent => "does not answer the scheduler".to_owned(),
            Obstacle::Loaded => "its load is full".to_owned(),
        }
    }
}

/// One host and what it gives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// Its name.
    pub name: String,
    /// Its slots.
    pub slots: u32,
    /// Jobs that run there now.
    pub running: u32,
    /// Whether it is the machine that asks.
    pub own: bool,
    /// Why it does not count; `None` if it does.
    pub obstacle: Option<&'static str>,
    /// The same in words.
    pub explanation: Option<String>,
    /// Whether it may count later by itself.
    pub may_pass: bool,
}

/// What keeps the number from being greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// The hosts have no more slots.
    Slots,
    /// The own machine could not preprocess and send for more.
    Preprocessing,
    /// Nobody else compiles: the own machine's processors.
    Alone,
}

/// The number and its grounds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Slots {
    /// The platform asked for.
    pub platform: String,
    /// Slots the scheduler would grant now, busy ones included, those of the own machine for its own jobs included.
    pub now: u32,
    /// The same when every host is back that may come back by itself.
    pub best: u32,
    /// Jobs that run on these hosts now, of anybody; `None` from a scheduler that tells a newcomer only what begins later.
    pub busy: Option<u32>,
    /// The number for `-j`.
    pub suggestion: u32,
    /// What keeps it from being greater.
    pub bound: Bound,
    /// The own machine's processors.
    pub processors: u32,
    /// Whether the own machine joins for the build, and its processors are among the slots.
    pub joins: bool,
    /// Jobs elsewhere that each of them keeps going.
    pub jobs_per_processor: f64,
    /// Whether that was measured.
    pub measured: bool,
    /// Every host, in the order of their names.
    pub hosts: Vec<Place>,
}

/// Adds it up.
pub fn of(cluster: &Cluster, machine: &Machine) -> Slots {
    let mut hosts: Vec<Place> = cluster
        .hosts()
        .filter(|(_, host)| host.is_here())
        .map(|(_, host)| place(host, machine))
        .collect();
    hosts.sort_by(|one, two| one.name.cmp(&two.name));
    let sum = |counts: fn(&Place) -> bool, what: fn(&Place) -> u32| {
        let hosts = hosts.iter().filter(|place| counts(place));
        hosts.fold(0u32, |sum, place| sum.saturating_add(what(place)))
    };
    let joined = if machine.joins { machine.processors } else { 0 };
    let counted = sum(|place| place.obstacle.is_none(), |place| place.slots);
    let possible = sum(
        |place| place.obstacle.is_none() || place.may_pass,
        |place| place.slots,
    );
    let busy = cluster
        .hosts()
        .any(|(_, host)| host.facts.others.contains_key("Scheduler"))
        .then(|| sum(|place| place.obstacle.is_none(), |place| place.running));
    let measured = machine
        .jobs_per_processor
        .filter(|value| BELIEVED.contains(value));
    let each = measured.unwrap_or(JOBS_PER_PROCESSOR);
    let kept = (f64::from(machine.processors) * each).floor() as u32;
    let now = counted.saturating_add(joined);
    let (suggestion, bound) = if counted == 0 {
        (machine.processors.max(1), Bound::Alone)
    } else if now <= kept.max(1) {
        (now, Bound::Slots)
    } else {
        (kept.max(1), Bound::Preprocessing)
    };
    Slots {
        platform: machine.platform.clone(),
        now,
        best: possible.saturating_add(joined),
        busy,
        suggestion,
        bound,
        processors: machine.processors,
        joins: machine.joins,
        jobs_per_processor: each,
        measured: measured.is_some(),
        hosts,
    }
}

fn place(host: &Host, machine: &Machine) -> Place {
    let own = machine.node.as_ref() == Some(&host.facts.name);
    let obstacle = obstacle(host, &machine.platform, own);
    Place {
        name: host.facts.name.clone(),
        slots: host.slots(),
        running: host.busy(),
        own,
        obstacle: obstacle.as_ref().map(Obstacle::code),
        explanation: obstacle.as_ref().map(Obstacle::explanation),
        may_pass: obstacle.as_ref().is_some_and(Obstacle::may_pass),
    }
}

/// What keeps a host from getting jobs built for `platform`. Its `own` ones it may do whatever others may not ask of it.
pub fn obstacle(host: &Host, platform: &str, own: bool) -> Option<Obstacle> {
    let facts = &host.facts;
    let says = |key: &str, value: &str| facts.others.get(key).is_some_and(|said| said == value);
    if !runs_on(platform, &facts.platform) {
        Some(Obstacle::Platform(facts.platform.clone()))
    } else if facts.slots == 0 {
        Some(Obstacle::NoSlots)
    } else if facts.slots < 0 {
        // Schedulers turn the sign while they wait for a sign of life.
        Some(Obstacle::Silent)
    } else if own {
        None
    } else if facts.no_remote {
        Some(Obstacle::NoRemote)
    } else if says("Blocked", "true") {
        Some(Obstacle::Blocked)
    } else if says("Draining", "true") {
        Some(Obstacle::Draining)
    } else if says("Accepting", "false") {
        Some(Obstacle::Unreachable)
    } else if facts.load >= FULL {
        Some(Obstacle::Loaded)
    } else {
        None
    }
}

/// Whether programs for platform `of` run on a machine of platform `on`; Icecream's table.
pub fn runs_on(of: &str, on: &str) -> bool {
    let wider: &[&str] = match of {
        "i386" => &["i486", "i586", "i686", "x86_64"],
        "i486" => &["i586", "i686", "x86_64"],
        "i586" => &["i686", "x86_64"],
        "i686" => &["x86_64"],
        "ppc" => &["ppc64"],
        "s390" => &["s390x"],
        _ => &[],
    };
    of == on || wider.contains(&on)
}

impl Slots {
    /// The grounds, a line each, the last one saying what decided.
    pub fn reasoning(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let width = self.hosts.iter().map(|place| place.name.chars().count());
        let width = width.max().unwrap_or(0).clamp(4, 30);
        for place in self.hosts.iter().filter(|place| place.obstacle.is_none()) {
            let mut line = format!("{:<width$}  {:>3} slots", place.name, place.slots);
            if place.running > 0 {
                line += &format!(", {} busy", place.running);
            }
            if place.own {
                line += ", this machine, for its own jobs";
            }
            lines.push(line);
        }
        if self.joins && !self.hosts.is_empty() {
            lines.push(format!(
                "{:<width$}  {:>3} slots, this machine once it joins",
                "-", self.processors
            ));
        }
        for place in &self.hosts {
            if let Some(why) = &place.explanation {
                let later = if place.may_pass { "; it may later" } else { "" };
                lines.push(format!(
                    "{:<width$}  not counted ({} slots): {why}{later}",
                    place.name, place.slots
                ));
            }
        }
        let busy = self
            .busy
            .map_or_else(String::new, |busy| format!(" ({busy} busy)"));
        lines.push(format!(
            "slots for {}: {} now{busy}, {} at best",
            self.platform, self.now, self.best
        ));
        let ground = if self.measured {
            "measured"
        } else {
            "a guess, nothing was measured yet"
        };
        lines.push(format!(
            "this machine: {} processors, each keeps about {:.0} jobs going elsewhere ({ground})",
            self.processors, self.jobs_per_processor
        ));
        lines.push(match self.bound {
            Bound::Slots => format!("{}: all slots there are", self.suggestion),
            Bound::Preprocessing => format!(
                "{}: this machine could not preprocess and send for all {} slots",
                self.suggestion, self.now
            ),
            Bound::Alone => format!(
                "{}: the processors of this machine, as no other compiles for it",
                self.suggestion
            ),
        });
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, HostFacts};

    fn cluster(texts: &[&str]) -> Cluster {
        let mut cluster = Cluster::new();
        for (host, text) in (1..).zip(texts) {
            let text = format!("{text}\nIP:10.0.0.{host}");
            let facts = HostFacts::read(&text).unwrap();
            cluster.apply(1, Event::Host { host, facts });
        }
        cluster
    }

    fn machine() -> Machine {
        Machine {
            node: Some("own".to_owned()),
            platform: "x86_64".to_owned(),
            processors: 4,
            joins: false,
            jobs_per_processor: None,
        }
    }

    const MIXED: [&str; 10] = [
        "Name:a\nMaxJobs:8\nPlatform:x86_64",
        "Name:b\nMaxJobs:4\nPlatform:x86_64\nNoRemote:true",
        "Name:c\nMaxJobs:16\nPlatform:aarch64",
        "Name:d\nMaxJobs:-2\nPlatform:x86_64",
        "Name:e\nMaxJobs:6\nPlatform:x86_64\nLoad:1000",
        "Name:f\nMaxJobs:5\nPlatform:x86_64\nAccepting:false",
        "Name:g\nMaxJobs:5\nPlatform:x86_64\nBlocked:true",
        "Name:h\nMaxJobs:5\nPlatform:x86_64\nDraining:true",
        "Name:i\nMaxJobs:0\nPlatform:x86_64",
        "Name:own\nMaxJobs:3\nPlatform:x86_64\nNoRemote:true\nLoad:1000",
    ];

    #[test]
    fn hosts_count_that_would_get_jobs() {
        let slots = of(&cluster(&MIXED), &machine());
        assert_eq!((slots.now, slots.best), (8 + 3, 8 + 3 + 2 + 6 + 5));
        assert_eq!((slots.suggestion, slots.bound), (11, Bound::Slots));
        let why: Vec<_> = slots.hosts.iter().map(|place| place.obstacle).collect();
        let words = [
            None,
            Some("no-remote"),
            Some("platform"),
            Some("silent"),
            Some("loaded"),
            Some("unreachable"),
            Some("blocked"),
            Some("draining"),
            Some("no-slots"),
            None,
        ];
        assert_eq!(why, words);
        let lines = slots.reasoning().join("\n");
        assert!(lines.contains("c     not counted (16 slots): runs programs of aarch64\n"));
        assert!(lines.contains("e     not counted (6 slots): its load is full; it may later\n"));
        assert!(lines.ends_with("11: all slots there are"), "{lines}");
    }

    #[test]
    fn the_own_machine_bounds_a_great_cluster() {
        let cluster = cluster(&["Name:a\nMaxJobs:200\nPlatform:x86_64"]);
        let guessed = of(&cluster, &machine());
        assert_eq!(
            (guessed.suggestion, guessed.bound),
            (40, Bound::Preprocessing)
        );
        let with = |measured| {
            let machine = Machine {
                jobs_per_processor: Some(measured),
                ..machine()
            };
            of(&cluster, &machine).suggestion
        };
        assert_eq!([with(25.0), with(60.0)], [100, 200]);
        assert_eq!(with(f64::NAN), 40);
    }

    #[test]
    fn alone_it_is_the_processors() {
        let alone = of(&Cluster::new(), &machine());
        assert_eq!((alone.suggestion, alone.bound), (4, Bound::Alone));
        let joins = Machine {
            node: None,
            joins: true,
            ..machine()
        };
        assert_eq!(of(&Cluster::new(), &joins).suggestion, 4);
        let one = cluster(&["Name:a\nMaxJobs:8\nPlatform:x86_64"]);
        assert_eq!(of(&one, &joins).suggestion, 12);
    }

    #[test]
    fn old_platforms_run_on_newer_ones() {
        assert!(runs_on("i686", "x86_64") && runs_on("riscv64", "riscv64"));
        assert!(!runs_on("x86_64", "i686") && !runs_on("x86_64", "aarch64"));
    }
}
