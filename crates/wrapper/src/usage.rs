//! What programs that ran here used.

use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

/// Times and page faults.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// Wall time; nobody but the caller knows it.
    pub(crate) real: Duration,
    pub(crate) user: Duration,
    pub(crate) system: Duration,
    pub(crate) page_faults: u64,
}

impl Usage {
    /// Of all children that have ended and been waited for, and of theirs.
    pub(crate) fn of_children() -> Usage {
        let Ok(usage) = getrusage(UsageWho::RUSAGE_CHILDREN) else {
            return Usage::default();
        };
        let faults = usage
            .minor_page_faults()
            .saturating_add(usage.major_page_faults());
        Usage {
            real: Duration::ZERO,
            user: time(usage.user_time()),
            system: time(usage.system_time()),
            page_faults: u64::try_from(faults).unwrap_or(0),
        }
    }

    /// What was used since then.
    pub(crate) fn since(self, before: Usage) -> Usage {
        Usage {
            real: self.real.saturating_sub(before.real),
            user: self.user.saturating_sub(before.user),
            system: self.system.saturating_sub(before.system),
            page_faults: self.page_faults.saturating_sub(before.page_faults),
        }
    }

    /// Processor time.
    pub(crate) fn cpu(self) -> Duration {
        self.user + self.system
    }
}

fn time(value: TimeVal) -> Duration {
    let seconds = u64::try_from(value.tv_sec()).unwrap_or(0);
    let microseconds = u64::try_from(value.tv_usec()).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_micros(microseconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_child_counts_when_it_was_waited_for() {
        let before = Usage::of_children();
        let status = Command::new("sh")
            .args(["-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"])
            .status()
            .expect("a shell");
        assert!(status.success());
        let used = Usage::of_children().since(before);
        assert!(used.cpu() > Duration::ZERO && used.page_faults > 0);
    }
}
