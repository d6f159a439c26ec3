//! Earliest expected finish by Icecream's own measure: waiting for a slot, sending the toolchain if it is missing,
//! compiling a job of mean size at the speed the node showed so far, under its present load.
//!
//! What is unknown has to be learned: a worker nothing is known of gets a job while it is idle, and now and then the one
//! that has waited longest is measured again.

use crate::config::Config;
use crate::estimate::{ClusterMean, speed_for};
use crate::explain::Why;
use crate::index::{Order, Part, Room};
use crate::node::Node;
use crate::place::{Context, Eligible, Found, ordered};
use crate::rng::Generator;

/// A worker that has had so many jobs and still no speed is not "new" any more: it may be one that fails them all.
const NEW_UNTIL: u64 = 4;

/// New workers first, then by speed.
pub(super) fn score(node: &Node, cluster: &ClusterMean) -> u64 {
    if is_new(node) {
        return u64::MAX;
    }
    ordered(speed_for(node, false, cluster))
}

pub(super) fn choose<'a>(
    context: &Context<'a>,
    found: &mut Found<'_, 'a>,
    parts: &[Part],
    random: &mut Generator,
) -> Option<(Eligible<'a>, Why)> {
    if context.cluster.is_unknown() {
        return Some((found.drawn(parts, random)?, Why::NothingKnown));
    }
    if random.percent(context.config.exploration_percent)
        && found.room == Room::Free
        && !found.eligible.iter().any(|one| is_new(one.node))
    {
        found.search(parts, Order::Waited, 1, None);
        estimate(context, found);
        let own = context.question.submitter.id;
        let waiting = found
            .eligible
            .iter()
            .filter(|one| one.node.id != own)
            .min_by_key(|one| one.node.last_placement)
            .copied();
        if let Some(waiting) = waiting {
            return Some((waiting, Why::Exploration));
        }
    }
    estimate(context, found);
    let eligible = &found.eligible;
    if let Some(new) = new_worker(eligible) {
        return Some((new, Why::NewWorker));
    }
    let best = |own: bool| {
        eligible
            .iter()
            .filter(|one| own == context.question.is_submitter(one.node))
            .min_by(|a, b| a.expected_ms.total_cmp(&b.expected_ms))
            .copied()
    };
    match (best(true), best(false)) {
        (Some(own), Some(remote)) if keeps_own(context.config, &own, &remote) => {
            Some((own, Why::OwnMachine))
        }
        (Some(own), Some(remote)) if own.expected_ms <= remote.expected_ms => {
            Some((own, Why::EarliestFinish))
        }
        (own, remote) => Some((remote.or(own)?, Why::EarliestFinish)),
    }
}

fn estimate(context: &Context<'_>, found: &mut Found<'_, '_>) {
    for one in &mut found.eligible {
        one.expected_ms = expected_ms(context, one);
    }
}

/// Time to the end of a job of mean size, in milliseconds.
fn expected_ms(context: &Context<'_>, one: &Eligible<'_>) -> f32 {
    let own = context.question.is_submitter(one.node);
    let speed = speed_for(one.node, own, context.cluster).max(1e-3);
    let compile = context.cluster.size() / speed;
    let transfer = if one.usable.installed {
        0.0
    } else {
        context.config.transfer_cost_ms as f32
    };
    let wait = if one.free {
        0.0
    } else {
        let slots = u64::from(one.node.slots.max(1));
        let ahead = one.node.occupied().saturating_sub(slots) + 1;
        compile * ahead as f32 / slots as f32
    };
    wait + transfer + compile
}

fn is_new(node: &Node) -> bool {
    node.compiled.is_empty() && node.occupied() == 0 && node.placements < NEW_UNTIL
}

/// An idle worker without a speed; one that has the toolchain comes before one that has not.
fn new_worker<'a>(eligible: &[Eligible<'a>]) -> Option<Eligible<'a>> {
    eligible
        .iter()
        .filter(|one| is_new(one.node))
        .min_by_key(|one| (!one.usable.installed, one.node.id))
        .copied()
}

/// A submitter with nothing else in flight does the job itself unless another is a good deal faster.
fn keeps_own(config: &Config, own: &Eligible<'_>, remote: &Eligible<'_>) -> bool {
    let percent = config.own_machine_percent;
    percent > 0
        && own.node.submitted.len() <= 1
        && own.node.occupied() == 0
        && own.expected_ms * percent as f32 <= remote.expected_ms * 100.0
}
