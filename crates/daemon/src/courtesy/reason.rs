//! Why this machine takes no jobs of others, or fewer than it could: stable codes for programs, a sentence for people that says
//! what to change, and a few words for a submitter.

use std::fmt;

/// One reason. Codes and meanings do not change; docs/courtesy.md lists them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reason {
    /// The daemon is being stopped.
    Stopping,
    /// Somebody paused it.
    Paused {
        /// When that ends by itself, in seconds since 1970.
        until: Option<u64>,
        /// What the person said.
        why: String,
    },
    /// Somebody wants it idle.
    Draining,
    /// The schedule says no.
    OutsideHours {
        /// The schedule as it was written.
        hours: String,
        /// The next moment it says yes, as `Mon 19:00`.
        opens: Option<String>,
    },
    /// Electricity is short.
    OnBattery,
    /// Somebody sits at this machine.
    InUse {
        /// Whether that means no jobs at all.
        refuse: bool,
    },
    /// Programs that are not the cluster's use the processors.
    OwnerBusy {
        /// Of all processors, per cent.
        percent: u32,
    },
    /// The processors are throttled or close to their limit.
    Hot,
    /// Less memory is available than is to be left.
    MemoryLow {
        /// Bytes available.
        available: u64,
        /// Bytes to be left.
        reserve: u64,
    },
    /// Programs wait for memory (pressure stall information).
    MemoryPressure {
        /// Share of the last ten seconds, per cent.
        percent: u32,
    },
    /// Programs wait for disks (pressure stall information).
    IoPressure {
        /// Share of the last ten seconds, per cent.
        percent: u32,
    },
    /// No room for toolchains and jobs.
    DiskFull,
    /// Jobs need so much memory that fewer fit than there are slots.
    MemoryPerJob {
        /// What most jobs stay below, in bytes.
        typical: u64,
    },
    /// This process may use fewer processors than it has slots.
    CpuLimit {
        /// Processors it may use.
        cpus: f64,
    },
}

impl Reason {
    /// The word that names it for programs.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Reason::Stopping => "stopping",
            Reason::Paused { .. } => "paused",
            Reason::Draining => "draining",
            Reason::OutsideHours { .. } => "outside-hours",
            Reason::OnBattery => "on-battery",
            Reason::InUse { .. } => "in-use",
            Reason::OwnerBusy { .. } => "owner-busy",
            Reason::Hot => "hot",
            Reason::MemoryLow { .. } => "memory-low",
            Reason::MemoryPressure { .. } => "memory-pressure",
            Reason::IoPressure { .. } => "io-pressure",
            Reason::DiskFull => "disk-full",
            Reason::MemoryPerJob { .. } => "memory-per-job",
            Reason::CpuLimit { .. } => "cpu-limit",
        }
    }

    /// Whether no jobs are taken at all; otherwise only fewer.
    pub(crate) fn refuses(&self) -> bool {
        match self {
            Reason::Stopping
            | Reason::Paused { .. }
            | Reason::Draining
            | Reason::OutsideHours { .. }
            | Reason::OnBattery
            | Reason::MemoryLow { .. }
            | Reason::MemoryPressure { .. }
            | Reason::DiskFull => true,
            Reason::InUse { refuse } => *refuse,
            Reason::OwnerBusy { .. }
            | Reason::Hot
            | Reason::IoPressure { .. }
            | Reason::MemoryPerJob { .. }
            | Reason::CpuLimit { .. } => false,
        }
    }

    /// Whether somebody decided it, so that a job which comes nevertheless goes back at once; the other reasons may be
    /// over in a moment, for which a job can wait.
    pub(crate) fn is_decision(&self) -> bool {
        self.refuses()
            && !matches!(
                self,
                Reason::MemoryLow { .. } | Reason::MemoryPressure { .. } | Reason::DiskFull
            )
    }

    /// What a submitter is told whose job comes back.
    pub(crate) fn brief(&self) -> &'static str {
        match self {
            Reason::Stopping => "the worker is being stopped",
            Reason::Paused { .. } => "the worker is paused",
            Reason::Draining => "the worker takes no new jobs",
            Reason::OutsideHours { .. } => "the worker takes jobs at other hours",
            Reason::OnBattery => "the worker runs on battery",
            Reason::InUse { .. } => "somebody uses the worker",
            Reason::OwnerBusy { .. } => "the worker is busy with its owner's work",
            Reason::Hot => "the worker is too hot",
            Reason::MemoryLow { .. } | Reason::MemoryPressure { .. } => {
                "the worker has too little memory left"
            }
            Reason::IoPressure { .. } => "the worker's disks are busy",
            Reason::DiskFull => "the disk of the worker is full",
            Reason::MemoryPerJob { .. } => "the worker has no memory for another job",
            Reason::CpuLimit { .. } => "the worker has no processor for it",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: &u64| bytes >> 20;
        match self {
            Reason::Stopping => write!(
                f,
                "the daemon is being stopped; start it again to take jobs"
            ),
            Reason::Paused { until, why } => {
                write!(f, "paused")?;
                if !why.is_empty() {
                    write!(f, " ({why})")?;
                }
                match until.and_then(clock) {
                    Some(until) => write!(f, " until {until}")?,
                    None => write!(f, " until resumed")?,
                }
                write!(f, "; `gelato resume` ends it")
            }
            Reason::Draining => write!(
                f,
                "drained: running jobs are finished and no others taken; `gelato resume` ends it"
            ),
            Reason::OutsideHours { hours, opens } => {
                write!(f, "jobs are taken \"{hours}\" only")?;
                if let Some(opens) = opens {
                    write!(f, ", next from {opens}")?;
                }
                write!(f, "; change worker.hours for other times")
            }
            Reason::OnBattery => write!(
                f,
                "this machine runs on battery; plug it in, or set worker.on-battery = \"allow\""
            ),
            Reason::InUse { refuse: true } => write!(
                f,
                "somebody uses this machine; set worker.while-in-use = \"fewer\" or \"ignore\" to take jobs meanwhile"
            ),
            Reason::InUse { refuse: false } => write!(
                f,
                "half of the slots while somebody uses this machine; set worker.while-in-use = \"ignore\" to offer all"
            ),
            Reason::OwnerBusy { percent } => write!(
                f,
                "other programs of this machine use {percent} % of its processors; set worker.yield = false to offer all slots nevertheless"
            ),
            Reason::Hot => write!(
                f,
                "half of the slots while the processors are slowed down by heat; clean or cool this machine, or lower daemon.max-processes"
            ),
            Reason::MemoryLow { available, reserve } => write!(
                f,
                "{} MiB of memory are available and {} MiB are to be left; end programs, or lower worker.memory-reserve",
                mib(available),
                mib(reserve)
            ),
            Reason::MemoryPressure { percent } => write!(
                f,
                "programs waited for memory {percent} % of the last ten seconds; end programs, or lower daemon.max-processes"
            ),
            Reason::IoPressure { percent } => write!(
                f,
                "half of the slots while programs wait for disks {percent} % of the time; put daemon.env-basedir on another disk, or set worker.yield = false"
            ),
            Reason::DiskFull => write!(
                f,
                "there is hardly room for jobs in daemon.env-basedir; free some, or name another folder"
            ),
            Reason::MemoryPerJob { typical } => write!(
                f,
                "jobs need up to {} MiB of memory each, so fewer fit than there are slots; add memory, or raise worker.memory if it is set",
                mib(typical)
            ),
            Reason::CpuLimit { cpus } => write!(
                f,
                "this process may use {cpus:.1} processors; raise its affinity or the quota of its control group"
            ),
        }
    }
}

/// A moment on this machine's clock, for people.
fn clock(unix: u64) -> Option<String> {
    let moment = jiff::Timestamp::from_second(i64::try_from(unix).ok()?).ok()?;
    let local = moment.to_zoned(jiff::tz::TimeZone::system());
    Some(local.strftime("%a %H:%M").to_string())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn all() -> Vec<Reason> {
        vec![
            Reason::Stopping,
            Reason::Paused {
                until: Some(1_700_000_000),
                why: "exam".to_owned(),
            },
            Reason::Draining,
            Reason::OutsideHours {
                hours: "Sat-Sun".to_owned(),
                opens: Some("Sat 00:00".to_owned()),
            },
            Reason::OnBattery,
            Reason::InUse { refuse: true },
            Reason::OwnerBusy { percent: 40 },
            Reason::Hot,
            Reason::MemoryLow {
                available: 1 << 30,
                reserve: 2 << 30,
            },
            Reason::MemoryPressure { percent: 30 },
            Reason::IoPressure { percent: 50 },
            Reason::DiskFull,
            Reason::MemoryPerJob { typical: 1 << 30 },
            Reason::CpuLimit { cpus: 1.5 },
        ]
    }

    #[test]
    fn codes_are_plain_and_all_different() {
        let codes: BTreeSet<&str> = all().iter().map(Reason::code).collect();
        assert_eq!(codes.len(), all().len());
        let plain = |c: char| c.is_ascii_lowercase() || c == '-';
        assert!(codes.iter().all(|code| code.chars().all(plain)));
    }

    #[test]
    fn the_documentation_has_every_code() {
        let page = include_str!("../../../../docs/courtesy.md");
        for reason in all() {
            let row = format!("| `{}` |", reason.code());
            assert!(page.contains(&row), "{row}");
        }
    }

    #[test]
    fn every_sentence_says_what_to_do() {
        for reason in all() {
            let text = reason.to_string();
            assert!(text.contains("; "), "{text}");
            assert!(!text.ends_with('.') && !reason.brief().is_empty(), "{text}");
        }
    }

    #[test]
    fn a_decision_refuses() {
        for reason in all() {
            assert!(!reason.is_decision() || reason.refuses(), "{reason:?}");
        }
    }
}
