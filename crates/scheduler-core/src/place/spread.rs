//! The algorithms that look at no speed.

use std::cmp::Ordering;

use crate::node::Node;
use crate::place::Eligible;

/// For `least_busy`: the smaller share of slots in use first, of equals the one that has waited longest.
pub(super) fn score(node: &Node) -> u64 {
    const WAITED_BITS: u32 = 40;
    let share = (node.occupied() << 16) / u64::from(node.slots.max(1));
    let waited = (1u64 << WAITED_BITS) - 1 - (node.last_placement & ((1 << WAITED_BITS) - 1));
    (0xff_ffff - share.min(0xff_ffff)) << WAITED_BITS | waited
}

/// The one whose last job is longest ago; the first of equals.
pub(super) fn round_robin<'a>(eligible: &[Eligible<'a>]) -> Option<Eligible<'a>> {
    eligible
        .iter()
        .min_by_key(|one| (one.node.last_placement, one.node.id))
        .copied()
}

/// The smallest ratio of jobs to slots; of equals the one that has waited longest.
pub(super) fn least_busy<'a>(eligible: &[Eligible<'a>]) -> Option<Eligible<'a>> {
    eligible.iter().copied().min_by(|a, b| {
        let (a, b) = (a.node, b.node);
        let left = u128::from(a.occupied()) * u128::from(b.slots);
        let right = u128::from(b.occupied()) * u128::from(a.slots);
        match left.cmp(&right) {
            Ordering::Equal => (a.last_placement, a.id).cmp(&(b.last_placement, b.id)),
            order => order,
        }
    })
}
