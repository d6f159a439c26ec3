//! The hosts of the demo and what is said of them.

use crate::event::{Event, HostFacts};

const NAMES: [&str; 8] = [
    "ada", "barbara", "charles", "dennis", "edsger", "frances", "grace", "hedy",
];

#[derive(Clone, Debug)]
pub(super) struct DemoHost {
    pub(super) number: u32,
    pub(super) name: String,
    pub(super) slots: u32,
    pub(super) busy: u32,
    pub(super) here: bool,
    /// Whether jobs fail on it that succeed elsewhere.
    pub(super) faulty: bool,
    /// Percent of the usual time that a job takes on it.
    pub(super) pace: u32,
    pub(super) samples: u32,
    index: usize,
}

impl DemoHost {
    pub(super) fn invented(random: &mut fastrand::Rng, index: usize) -> DemoHost {
        let round = index / NAMES.len();
        let name = NAMES[index % NAMES.len()];
        DemoHost {
            number: index as u32 + 1,
            name: match round {
                0 => name.to_owned(),
                _ => format!("{name}{round}"),
            },
            slots: 2 + random.u32(..15),
            busy: 0,
            here: true,
            faulty: index % 40 == 5,
            pace: [60, 80, 100, 100, 140][index % 5],
            samples: 5 * index as u32,
            index,
        }
    }

    pub(super) fn takes_jobs(&self) -> bool {
        !self.no_remote() && !self.is_closed() && self.platform() == "x86_64"
    }

    pub(super) fn no_remote(&self) -> bool {
        self.index % 7 == 6
    }

    /// Behind a firewall.
    fn is_closed(&self) -> bool {
        self.index % 100 == 8
    }

    pub(super) fn platform(&self) -> &'static str {
        match self.index % 11 {
            10 => "aarch64",
            _ => "x86_64",
        }
    }

    pub(super) fn describe(&self) -> Event {
        let (slots, busy) = (self.slots, self.busy);
        let mut others = vec![
            ("Scheduler", "gelato/2".to_owned()),
            ("Algorithm", "finish".to_owned()),
            ("Samples", self.samples.to_string()),
            ("Environments", (1 + self.index % 4).to_string()),
            ("Sandbox", "namespaces".to_owned()),
        ];
        others.push((
            "Software",
            match self.index % 100 {
                7 => "0.0.9",
                _ => "0.1.0",
            }
            .to_owned(),
        ));
        if self.is_closed() {
            others.push(("Accepting", "false".to_owned()));
        }
        if self.index % 13 == 4 && busy > 0 {
            others.push(("Installing", "1".to_owned()));
        }
        if self.index % 9 == 2 {
            others.push(("Remark", "paused while its owner works".to_owned()));
        }
        let free_memory = match self.index % 50 {
            9 => 150,
            _ => 16_000_u32.saturating_sub(busy * 300),
        };
        let others = others.into_iter();
        Event::Host {
            host: self.number,
            facts: HostFacts {
                name: self.name.clone(),
                ip: format!("10.0.{}.{}", self.index / 250, self.index % 250 + 1),
                slots: slots as i32,
                no_remote: self.no_remote(),
                platform: self.platform().to_owned(),
                protocol: 44,
                features: vec!["env_xz".to_owned(), "env_zstd".to_owned()],
                speed: 24_000.0 / f64::from(self.pace),
                load: (busy * 1000 / slots).min(990),
                averages: Some([busy * 1000, busy * 900, busy * 800]),
                free_memory: Some(free_memory),
                others: others.map(|(key, value)| (key.to_owned(), value)).collect(),
            },
        }
    }
}
