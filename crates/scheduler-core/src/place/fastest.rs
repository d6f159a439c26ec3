//! Earliest expected finish: waiting for a slot, sending the toolchain if it is missing, compiling at the speed the node
//! showed so far, under its present load.
//!
//! What is unknown has to be learned: a worker nothing is known of gets a job while it is idle, and now and then the one
//! that has waited longest is measured again.

use crate::config::Config;
use crate::estimate::speed_for;
use crate::explain::Why;
use crate::place::{Context, Eligible, spread};
use crate::rng::Generator;

/// A worker that has had so many jobs and still no speed is not "new" any more: it may be one that fails them all.
const NEW_UNTIL: u64 = 4;

pub(super) fn choose<'a>(
    context: &Context<'a>,
    eligible: &mut [Eligible<'a>],
    random: &mut Generator,
) -> Option<(Eligible<'a>, Why)> {
    if context.cluster.is_unknown() {
        return Some((spread::random(eligible, random)?, Why::NothingKnown));
    }
    for one in eligible.iter_mut() {
        one.expected_ms = expected_ms(context, one);
    }
    if let Some(new) = new_worker(eligible) {
        return Some((new, Why::NewWorker));
    }
    if random.percent(context.config.exploration_percent)
        && let Some(waiting) = longest_waiting(context, eligible)
    {
        return Some((waiting, Why::Exploration));
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

/// An idle worker without a speed; one that has the toolchain comes before one that has not.
fn new_worker<'a>(eligible: &[Eligible<'a>]) -> Option<Eligible<'a>> {
    eligible
        .iter()
        .filter(|one| {
            one.node.compiled.is_empty()
                && one.node.occupied() == 0
                && one.node.placements < NEW_UNTIL
        })
        .min_by_key(|one| !one.usable.installed)
        .copied()
}

fn longest_waiting<'a>(context: &Context<'a>, eligible: &[Eligible<'a>]) -> Option<Eligible<'a>> {
    eligible
        .iter()
        .filter(|one| one.free && !context.question.is_submitter(one.node))
        .min_by_key(|one| one.node.last_placement)
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
