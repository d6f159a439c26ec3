//! Choosing among the nodes that could take a job now.
//!
//! One rule stands above every algorithm: a node that would have to queue the job (preload) is chosen only if no eligible
//! node has a free slot.

mod fastest;
mod spread;

use crate::config::{Algorithm, Config};
use crate::eligible::{Question, Usable};
use crate::estimate::ClusterMean;
use crate::explain::{CANDIDATES, Candidate, Why};
use crate::node::Node;
use crate::rng::Generator;

/// A node that could take the job.
#[derive(Clone, Copy)]
pub(crate) struct Eligible<'a> {
    pub(crate) node: &'a Node,
    pub(crate) usable: Usable<'a>,
    pub(crate) free: bool,
    /// Set by [`fastest`]; 0 elsewhere.
    pub(crate) expected_ms: f32,
}

/// What choosing depends on, beside the nodes.
pub(crate) struct Context<'a> {
    pub(crate) question: Question<'a>,
    pub(crate) config: &'a Config,
    pub(crate) cluster: &'a ClusterMean,
}

/// The chosen node with its ground, and what it was chosen from.
pub(crate) struct Choice<'a> {
    pub(crate) chosen: Eligible<'a>,
    pub(crate) why: Why,
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) eligible: usize,
}

/// Chooses among `free` (a job would start at once), else among `preload`; both in order of login.
pub(crate) fn choose<'a>(
    context: &Context<'a>,
    free: impl Iterator<Item = &'a Node>,
    preload: impl Iterator<Item = &'a Node>,
    random: &mut Generator,
) -> Option<Choice<'a>> {
    let mut eligible = among(context, free, true);
    if eligible.is_empty() {
        eligible = among(context, preload, false);
    }
    let first = *eligible.first()?;
    let (chosen, why) = if !context.question.needs.preferred_host.is_empty() {
        (first, Why::Preferred)
    } else if eligible.len() == 1 {
        (first, Why::OnlyOne)
    } else {
        match context.config.algorithm {
            Algorithm::Fastest => fastest::choose(context, &mut eligible, random)?,
            Algorithm::RoundRobin => (spread::round_robin(&eligible)?, Why::RoundRobin),
            Algorithm::LeastBusy => (spread::least_busy(&eligible)?, Why::LeastBusy),
            Algorithm::Random => (spread::random(&eligible, random)?, Why::Random),
        }
    };
    Some(Choice {
        chosen,
        why,
        eligible: eligible.len(),
        candidates: best_of(&eligible),
    })
}

fn among<'a>(
    context: &Context<'a>,
    nodes: impl Iterator<Item = &'a Node>,
    free: bool,
) -> Vec<Eligible<'a>> {
    nodes
        .filter_map(|node| {
            let usable = context.question.now(node).ok()?;
            Some(Eligible {
                node,
                usable,
                free,
                expected_ms: 0.0,
            })
        })
        .collect()
}

/// For explanation: the few with the earliest expected finish.
fn best_of(eligible: &[Eligible<'_>]) -> Vec<Candidate> {
    let mut best: Vec<Candidate> = Vec::with_capacity(CANDIDATES + 1);
    for one in eligible {
        let at = best.partition_point(|other| other.expected_ms <= one.expected_ms);
        if at < CANDIDATES {
            best.insert(
                at,
                Candidate {
                    node: one.node.id,
                    free: one.free,
                    installed: one.usable.installed,
                    expected_ms: one.expected_ms,
                },
            );
            best.truncate(CANDIDATES);
        }
    }
    best
}
