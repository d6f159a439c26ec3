//! Whether this machine's clock agrees with the scheduler's. Objects and sources bear times, and so do recordings.

use super::facts::Facts;
use super::finding::Finding;

const CHECK: &str = "clock";

/// What the way of asking cannot tell, in seconds.
const TOLERANCE: u64 = 3;

pub(super) fn check(facts: &Facts) -> Vec<Finding> {
    let Some(ahead) = facts.clock else {
        return Vec::new();
    };
    let apart = ahead.unsigned_abs();
    if apart <= TOLERANCE {
        return vec![Finding::fine(CHECK, "agrees with the scheduler's")];
    }
    let direction = if ahead > 0 { "ahead of" } else { "behind" };
    vec![Finding::problem(
        CHECK,
        format!("the scheduler's clock is {apart} s {direction} this machine's"),
        "set both by NTP (timedatectl set-ntp true)",
    )]
}
