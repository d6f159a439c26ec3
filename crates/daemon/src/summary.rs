//! The daemon in one line, for service managers and the like. Changes are published as they happen, and every look at the
//! machine counts, so that who watches this sees that the daemon is alive.

use std::fmt;

/// What the daemon does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Whether a scheduler is connected.
    pub connected: bool,
    /// Slots in use, by local jobs and those of others.
    pub used: u32,
    /// All slots.
    pub slots: u32,
    /// Jobs of other machines that run, wait or send their result.
    pub foreign: usize,
    /// Whether the daemon is being stopped.
    pub draining: bool,
    /// Looks at the machine so far.
    pub looks: u64,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.draining {
            return write!(f, "Stopping; {} of other machines left", jobs(self.foreign));
        }
        let scheduler = if self.connected {
            "Connected to a scheduler"
        } else {
            "Looking for a scheduler"
        };
        write!(
            f,
            "{scheduler}; {} of {} slots in use, {} of other machines",
            self.used,
            self.slots,
            jobs(self.foreign)
        )
    }
}

fn jobs(count: usize) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} job{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_one_sentence() {
        let mut summary = Summary {
            connected: true,
            used: 2,
            slots: 8,
            foreign: 1,
            ..Summary::default()
        };
        assert_eq!(
            summary.to_string(),
            "Connected to a scheduler; 2 of 8 slots in use, 1 job of other machines"
        );
        summary.draining = true;
        assert_eq!(
            summary.to_string(),
            "Stopping; 1 job of other machines left"
        );
    }
}
