//! The ranking of Icecream's own scheduler, for networks that rely on it and for comparisons.
//!
//! Reproduced as it behaves, oddities included: nodes are looked at in order of login, the first one seen stays best while
//! it is full, and a node without the toolchain is used only while it is new or nobody has it. What Icecream does when it
//! has nothing to go on is drawn by lot here, too, but from a seeded generator. Who is eligible, and that no job waits
//! behind another, follows our own rules.

use crate::estimate::{share_for, shown_speed};
use crate::explain::Why;
use crate::ids::NodeId;
use crate::index::{Order, Part, Room, Wanted};
use crate::node::Node;
use crate::place::{Choice, Context, Eligible, candidates};
use crate::rng::Generator;

pub(super) fn choose<'a>(context: &Context<'a>, random: &mut Generator) -> Option<Choice<'a>> {
    let eligible = everybody(context);
    let first = *eligible.first()?;
    let (chosen, why) = if eligible.len() == 1 {
        (first, Why::OnlyOne)
    } else if context.cluster.is_unknown() {
        let drawn = eligible.get(random.below(eligible.len())).copied();
        (drawn?, Why::NothingKnown)
    } else if let Some(new) = new_worker(&eligible) {
        (new, Why::NewWorker)
    } else {
        let own = context.question.submitter.id;
        let ranked: Vec<Ranked> = eligible.iter().map(|one| ranked(one, own)).collect();
        (*eligible.get(scan(&ranked)?)?, Why::EarliestFinish)
    };
    Some(Choice {
        chosen,
        why,
        for_short: false,
        eligible: eligible.len(),
        candidates: candidates(&eligible),
    })
}

/// All eligible nodes in order of login.
fn everybody<'a>(context: &Context<'a>) -> Vec<Eligible<'a>> {
    let parts: Vec<Part> = context.index.parts(context.question.needs).collect();
    let mut ids: Vec<(u64, NodeId)> = Vec::new();
    for room in [Room::Free, Room::Full] {
        let wanted = Wanted {
            order: Order::Score,
            room,
            toolchain: None,
            memory: 0,
        };
        for part in &parts {
            let index = context.index;
            index.best(*part, &wanted, usize::MAX, |_| true, &mut ids);
        }
    }
    let mut ids: Vec<NodeId> = ids.into_iter().map(|(_, id)| id).collect();
    ids.push(context.question.submitter.id);
    ids.sort_unstable();
    ids.dedup();
    ids.into_iter()
        .filter_map(|id| context.eligible(id))
        .collect()
}

/// The first idle node without statistics; a later one with the toolchain replaces it.
fn new_worker<'a>(eligible: &[Eligible<'a>]) -> Option<Eligible<'a>> {
    let mut new: Option<Eligible<'a>> = None;
    for one in eligible {
        let idle = one.node.compiled.is_empty() && one.node.occupied() == 0;
        if idle && (new.is_none() || one.usable.installed) {
            new = Some(*one);
        }
    }
    new
}

/// What the ranking looks at.
#[derive(Debug, Clone, Copy)]
struct Ranked {
    installed: bool,
    known: bool,
    speed: f32,
    free: bool,
}

fn ranked(one: &Eligible<'_>, submitter: NodeId) -> Ranked {
    Ranked {
        installed: one.usable.installed,
        known: !one.node.compiled.is_empty(),
        speed: speed(one.node, one.node.id == submitter),
        free: one.free,
    }
}

/// Which one the scan ends with.
fn scan(nodes: &[Ranked]) -> Option<usize> {
    let (mut best, mut best_without) = (None, None);
    for (at, node) in nodes.iter().enumerate() {
        let slot = if node.installed {
            &mut best
        } else {
            &mut best_without
        };
        let replace = match *slot {
            None => true,
            Some(present) => nodes
                .get(present)
                .is_some_and(|best: &Ranked| best.known && best.speed < node.speed && node.free),
        };
        if replace {
            *slot = Some(at);
        }
    }
    best.or(best_without)
}

/// The speed a job would see, by Icecream's formula; 0 if nothing is known.
fn speed(node: &Node, is_submitter: bool) -> f32 {
    let slots = u64::from(node.slots);
    if node.compiled.is_empty() || slots == 0 {
        return 0.0;
    }
    let mut factor = share_for(node, is_submitter);
    factor *= 1.0 - 0.5 * node.occupied() as f32 / slots as f32;
    shown_speed(node) * factor
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::JobId;
    use crate::node::tests::node;

    fn known(speed: f32, installed: bool, free: bool) -> Ranked {
        Ranked {
            installed,
            known: true,
            speed,
            free,
        }
    }

    #[test]
    fn the_scan_ends_as_icecreams() {
        let unknown = |installed| Ranked {
            installed,
            known: false,
            speed: 0.0,
            free: true,
        };
        let table: &[(&str, &[Ranked], usize)] = &[
            (
                "the faster",
                &[known(1.0, true, true), known(2.0, true, true)],
                1,
            ),
            (
                "the first of equals",
                &[known(1.0, true, true), known(1.0, true, true)],
                0,
            ),
            (
                "a full one does not replace",
                &[known(1.0, true, true), known(9.0, true, false)],
                0,
            ),
            (
                "a full one stays if it came first",
                &[known(9.0, true, false), known(1.0, true, true)],
                0,
            ),
            (
                "one with the toolchain before a faster one without",
                &[known(9.0, false, true), known(1.0, true, true)],
                1,
            ),
            (
                "without it if nobody has it",
                &[known(1.0, false, true), known(2.0, false, true)],
                1,
            ),
            (
                "an unknown first one is never replaced",
                &[unknown(true), known(9.0, true, true)],
                0,
            ),
            (
                "an unknown later one never replaces",
                &[known(1.0, true, true), unknown(true)],
                0,
            ),
        ];
        for (what, nodes, expected) in table {
            assert_eq!(scan(nodes), Some(*expected), "{what}");
        }
        assert_eq!(scan(&[]), None);
    }

    #[test]
    fn speeds_follow_the_formula() {
        let mut worker = node(1, 4);
        assert_eq!(speed(&worker, false), 0.0);
        for job in 0..7 {
            worker.compiled.add(JobId(job), 10_000, 1000, 10.0);
        }
        worker.load = 0;
        assert_eq!(speed(&worker, false), 10.0);
        worker.load = 250;
        assert_eq!(speed(&worker, false), 7.5);
        worker.jobs.insert(JobId(1));
        worker.jobs.insert(JobId(2));
        assert_eq!(speed(&worker, false), 7.5 * 0.75);
        let own = |clients: u32| {
            let mut worker = worker.clone();
            worker.client_count = clients;
            speed(&worker, true) / 7.5
        };
        assert_eq!(own(5), 0.1, "load does not count on one's own machine");
        assert_eq!(own(4), 0.8);
        assert_eq!(own(3), 1.0);
        assert_eq!(own(2), 1.1);
        let mut new = node(2, 4);
        new.load = 0;
        for (done, bonus) in [(1, 4.0), (2, 3.5), (6, 1.5)] {
            while new.compiled.len() < done {
                new.compiled.add(JobId(1), 10_000, 1000, 10.0);
            }
            assert_eq!(speed(&new, false), 10.0 * bonus, "{done} jobs");
        }
    }
}
