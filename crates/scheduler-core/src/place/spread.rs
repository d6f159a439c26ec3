//! The algorithms that look at no speed.

use std::cmp::Ordering;

use crate::place::Eligible;
use crate::rng::Generator;

/// The one whose last job is longest ago; the first of equals.
pub(super) fn round_robin<'a>(eligible: &[Eligible<'a>]) -> Option<Eligible<'a>> {
    eligible
        .iter()
        .min_by_key(|one| one.node.last_placement)
        .copied()
}

/// The smallest ratio of jobs to slots; of equals the one that has waited longest.
pub(super) fn least_busy<'a>(eligible: &[Eligible<'a>]) -> Option<Eligible<'a>> {
    eligible.iter().copied().min_by(|a, b| {
        let (a, b) = (a.node, b.node);
        let left = u128::from(a.occupied()) * u128::from(b.slots);
        let right = u128::from(b.occupied()) * u128::from(a.slots);
        match left.cmp(&right) {
            Ordering::Equal => a.last_placement.cmp(&b.last_placement),
            order => order,
        }
    })
}

/// Any.
pub(super) fn random<'a>(
    eligible: &[Eligible<'a>],
    random: &mut Generator,
) -> Option<Eligible<'a>> {
    eligible.get(random.below(eligible.len())).copied()
}
