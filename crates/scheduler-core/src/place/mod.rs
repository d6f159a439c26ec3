//! Choosing among the nodes that could take a job now.
//!
//! [`finish`] is ours; the others are there by name. Each policy says what makes a node better than another ([`score`]); the index finds the best few by that; the policy
//! then looks at those few closely. Only [`compat`] looks at all, as what it reproduces does.
//!
//! One rule stands above the plain policies: a node that would have to queue the job (preload) is chosen only if
//! no eligible node has a free slot.

mod compat;
mod fastest;
pub(crate) mod finish;
mod spread;

use crate::config::{Algorithm, Config};
use crate::eligible::{Question, Usable};
use crate::estimate::ClusterMean;
use crate::explain::{CANDIDATES, Candidate, Candidates, Why};
use crate::ids::{NodeId, Text, Time};
use crate::index::{Index, Key, Order, Part, Room, Standing, Wanted};
use crate::node::Node;
use crate::place::finish::Outlook;
use crate::rng::Generator;
use crate::table::Table;

/// How many of the best of each sort are looked at closely.
const CLOSELY: usize = 4;

/// A node that could take the job.
#[derive(Clone, Copy)]
pub(crate) struct Eligible<'a> {
    pub(crate) node: &'a Node,
    pub(crate) usable: Usable<'a>,
    pub(crate) free: bool,
    /// Expected time to the end; 0 where the policy does not ask.
    pub(crate) expected_ms: f32,
    /// Of that, until a slot is free.
    pub(crate) wait_ms: f32,
    /// Of that, until job and toolchain are there.
    pub(crate) send_ms: f32,
}

/// What choosing depends on.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) question: Question<'a>,
    pub(crate) config: &'a Config,
    pub(crate) cluster: &'a ClusterMean,
    pub(crate) index: &'a Index,
    pub(crate) nodes: &'a Table<NodeId, Node>,
    /// Nodes with the preferred host's name or address, in order of login.
    pub(crate) preferred: &'a [NodeId],
}

/// What comes of choosing.
pub(crate) enum Outcome<'a> {
    /// A node.
    Take(Box<Choice<'a>>),
    /// The job is better off waiting for a busy node, but is to be looked at again then.
    Hold { until: Time, better: NodeId },
    /// Nobody can take it now. It is to be looked at again then, if a time is given.
    Nobody { again: Option<Time> },
}

/// The chosen node with its ground, and what it was chosen from.
pub(crate) struct Choice<'a> {
    pub(crate) chosen: Eligible<'a>,
    pub(crate) why: Why,
    pub(crate) candidates: Candidates,
    /// A job that takes less had better go there.
    pub(crate) for_short: bool,
    /// How many nodes had room.
    pub(crate) eligible: usize,
}

/// Where a node stands among those with room, by the policy in force.
pub(crate) fn standing(node: &Node, config: &Config, cluster: &ClusterMean) -> Standing {
    let open = !node.suspended
        && !node.is_draining()
        && node.load < crate::config::LOAD_FULL
        && !node.no_remote
        && node.chroot
        && node.is_reachable()
        && node.has_room();
    if !open {
        return Standing::Closed;
    }
    let key = Key {
        score: score(node, config, cluster).max(1),
        waited: u64::MAX - node.last_placement,
        memory: node.memory.left(),
        count: 1,
    };
    if node.has_free_slot() {
        Standing::Free(key)
    } else {
        Standing::Full(key)
    }
}

fn score(node: &Node, config: &Config, cluster: &ClusterMean) -> u64 {
    match config.algorithm {
        Algorithm::Finish => finish::score(node),
        Algorithm::Fastest => fastest::score(node, cluster),
        Algorithm::LeastBusy => spread::score(node),
        Algorithm::RoundRobin | Algorithm::Random => u64::MAX - node.last_placement,
        Algorithm::Compat => u64::MAX - u64::from(node.id.0),
    }
}

/// An order-preserving number for a speed, with room for a tie-breaker.
fn ordered(speed: f32) -> u64 {
    u64::from(speed.max(0.0).to_bits())
}

/// Chooses a node with room, if there is one.
pub(crate) fn choose<'a>(
    context: &Context<'a>,
    outlook: &Outlook<'a>,
    random: &mut Generator,
) -> Outcome<'a> {
    let choice = if !context.question.needs.preferred_host.is_empty() {
        preferred(context)
    } else {
        match context.config.algorithm {
            Algorithm::Finish => return finish::choose(context, outlook, random),
            Algorithm::Compat => compat::choose(context, random),
            Algorithm::Fastest
            | Algorithm::RoundRobin
            | Algorithm::LeastBusy
            | Algorithm::Random => plainly(context, random),
        }
    };
    match choice {
        Some(choice) => Outcome::Take(Box::new(choice)),
        None => Outcome::Nobody { again: None },
    }
}

fn plainly<'a>(context: &Context<'a>, random: &mut Generator) -> Option<Choice<'a>> {
    let parts: Vec<Part> = context.index.parts(context.question.needs).collect();
    for room in [Room::Free, Room::Full] {
        let mut found = Found::new(context, room);
        found.own();
        let counted: usize = parts
            .iter()
            .map(|part| context.index.count(*part, room))
            .sum();
        if counted > 0 {
            found.best(&parts, Order::Score, CLOSELY);
        }
        let Some(first) = found.eligible.first().copied() else {
            continue;
        };
        let eligible = counted.max(found.eligible.len());
        let (chosen, why) = if eligible == 1 {
            (first, Why::OnlyOne)
        } else {
            match context.config.algorithm {
                Algorithm::Fastest | Algorithm::Compat | Algorithm::Finish => {
                    fastest::choose(context, &mut found, &parts, random)?
                }
                Algorithm::RoundRobin => (spread::round_robin(&found.eligible)?, Why::RoundRobin),
                Algorithm::LeastBusy => (spread::least_busy(&found.eligible)?, Why::LeastBusy),
                Algorithm::Random => (found.drawn(&parts, random)?, Why::Random),
            }
        };
        return Some(Choice {
            chosen,
            why,
            for_short: false,
            eligible,
            candidates: candidates(&found.eligible),
        });
    }
    None
}

/// The first node that answers to the name the submitter gave, one with a free slot before others.
fn preferred<'a>(context: &Context<'a>) -> Option<Choice<'a>> {
    let eligible: Vec<Eligible<'a>> = context
        .preferred
        .iter()
        .filter_map(|id| context.eligible(*id))
        .collect();
    let chosen = eligible
        .iter()
        .find(|one| one.free)
        .or(eligible.first())
        .copied()?;
    Some(Choice {
        chosen,
        why: Why::Preferred,
        for_short: false,
        eligible: eligible.len(),
        candidates: candidates(&eligible),
    })
}

impl<'a> Context<'a> {
    fn eligible(&self, id: NodeId) -> Option<Eligible<'a>> {
        let node = self.nodes.get(&id)?;
        self.eligible_with(node, self.question.now(node).ok()?)
    }

    /// As [`Context::eligible`], for a node that is known to have the only toolchain offered.
    fn eligible_having(&self, id: NodeId) -> Option<Eligible<'a>> {
        let node = self.nodes.get(&id)?;
        self.eligible_with(node, self.question.now_having(node).ok()?)
    }

    fn eligible_with(&self, node: &'a Node, usable: Usable<'a>) -> Option<Eligible<'a>> {
        Some(Eligible {
            node,
            usable,
            free: node.has_free_slot(),
            expected_ms: 0.0,
            wait_ms: 0.0,
            send_ms: 0.0,
        })
    }
}

/// The eligible nodes looked at closely.
pub(crate) struct Found<'c, 'a> {
    context: &'c Context<'a>,
    room: Room,
    /// MiB that must be left.
    memory: u32,
    /// How many of each sort are looked at closely.
    closely: usize,
    pub(crate) eligible: Vec<Eligible<'a>>,
}

impl<'c, 'a> Found<'c, 'a> {
    fn new(context: &'c Context<'a>, room: Room) -> Self {
        Found {
            context,
            room,
            memory: 0,
            closely: CLOSELY,
            eligible: Vec::with_capacity(CANDIDATES + 1),
        }
    }

    /// The submitter itself, which may take its own jobs even if it is not in the index.
    fn own(&mut self) {
        let own = self.context.question.submitter;
        if (self.room == Room::Free) == own.has_free_slot()
            && let Some(one) = self.context.eligible(own.id)
        {
            self.eligible.push(one);
        }
    }

    /// The best of those that have a toolchain, and the best of all.
    fn best(&mut self, parts: &[Part], order: Order, limit: usize) {
        let needs = self.context.question.needs;
        for offered in needs.environments.iter() {
            self.search(parts, order, limit, Some((&offered.name, &needs.target)));
        }
        self.search(parts, order, limit, None);
    }

    /// The best of those that have a toolchain; if there are none, or the job takes longer than sending one, of all.
    fn best_for(&mut self, parts: &[Part], work_ms: f32) {
        let needs = self.context.question.needs;
        for offered in needs.environments.iter() {
            let toolchain = Some((&offered.name, &needs.target));
            self.search(parts, Order::Score, self.closely, toolchain);
        }
        let own = self.context.question.submitter.id;
        let nobody = self.eligible.iter().all(|one| one.node.id == own);
        if nobody || work_ms > self.context.config.transfer_cost_ms as f32 {
            self.search(parts, Order::Score, self.closely, None);
        }
    }

    fn search(
        &mut self,
        parts: &[Part],
        order: Order,
        limit: usize,
        toolchain: Option<(&Text, &Text)>,
    ) {
        let wanted = Wanted {
            order,
            room: self.room,
            toolchain,
            memory: self.memory,
        };
        let mut best = Vec::with_capacity(limit + 1);
        let context = self.context;
        let known = self.eligible.len();
        let eligible = &mut self.eligible;
        let having = toolchain.is_some() && context.question.needs.environments.len() == 1;
        for part in parts {
            context.index.best(
                *part,
                &wanted,
                limit,
                |id| {
                    if eligible.iter().any(|one| one.node.id == id) {
                        return false;
                    }
                    let one = if having {
                        context.eligible_having(id)
                    } else {
                        context.eligible(id)
                    };
                    eligible.extend(one);
                    one.is_some()
                },
                &mut best,
            );
        }
        // Accepted ones that better ones have pushed out go again, the others stand in order.
        let mut at = known;
        while let Some(one) = eligible.get(at) {
            if best.iter().any(|(_, id)| *id == one.node.id) {
                at += 1;
            } else {
                eligible.swap_remove(at);
            }
        }
        if let Some(found) = eligible.get_mut(known..) {
            found.sort_by_key(|one| best.iter().position(|(_, id)| *id == one.node.id));
        }
    }

    /// Any of the nodes with room, each as likely as the others.
    fn drawn(&mut self, parts: &[Part], random: &mut Generator) -> Option<Eligible<'a>> {
        const ATTEMPTS: usize = 16;
        let context = self.context;
        let counts: Vec<usize> = parts
            .iter()
            .map(|part| context.index.count(*part, self.room))
            .collect();
        let own = context.question.submitter.id;
        let own_only = self
            .eligible
            .iter()
            .find(|one| one.node.id == own && !one.node.is_listed());
        let total = counts.iter().sum::<usize>() + usize::from(own_only.is_some());
        for _ in 0..ATTEMPTS {
            let mut place = random.below(total);
            let mut drawn = own_only.copied();
            for (part, count) in parts.iter().zip(&counts) {
                if place < *count {
                    let id = context.index.nth(*part, self.room, place);
                    drawn = id.and_then(|id| context.eligible(id));
                    break;
                }
                place -= count;
            }
            if drawn.is_some() {
                return drawn;
            }
        }
        self.eligible
            .get(random.below(self.eligible.len()))
            .copied()
    }
}

/// For explanation: the few with the earliest expected finish.
fn candidates(eligible: &[Eligible<'_>]) -> Candidates {
    let mut best = Candidates::default();
    for one in eligible {
        best.add(Candidate {
            node: one.node.id,
            free: one.free,
            installed: one.usable.installed,
            expected_ms: one.expected_ms,
            wait_ms: one.wait_ms,
            send_ms: one.send_ms,
        });
    }
    best
}
