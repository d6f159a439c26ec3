//! Which nodes have room, best first, without looking at all of them.
//!
//! Nodes that others may use are grouped by kind: platform, protocol version, features and sort of address, which are few in any cluster. A
//! kind keeps tournament trees, so that "the best" takes a logarithmic number of steps, and a change to a node, too. The
//! toolchains asked for first divide a kind into groups of nodes that have the same of them, each with a tree of its own:
//! a node is in one group whatever it has, and a question looks at a few groups. Further toolchains have
//! trees beside those. They come into being with the first question and give way to others after a while.
//!
//! What makes a node better than another is [`crate::place`]'s business: here it is a number.

use std::collections::BTreeMap;

use crate::eligible::runs_on;
use crate::ids::{NodeId, Text};
use crate::job::Needs;
use crate::node::Node;
use crate::table::Table;

/// Toolchains that can be asked for, per kind.
const TOOLCHAINS: usize = 64;
/// So many of them divide the kind into groups, of which there are two to the power of this at most.
const DIVIDING: usize = 5;

/// How a node, or the best of several, compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Key {
    /// Higher is better; never 0 for a node.
    pub(crate) score: u64,
    /// Higher has waited longer; never 0 for a node.
    pub(crate) waited: u64,
    /// Memory nobody has been promised, in MiB.
    pub(crate) memory: u32,
    /// How many nodes this stands for: 1 for a node.
    pub(crate) count: u32,
}

impl Key {
    const NONE: Key = Key {
        score: 0,
        waited: 0,
        memory: 0,
        count: 0,
    };

    fn with(self, other: Key) -> Key {
        Key {
            score: self.score.max(other.score),
            waited: self.waited.max(other.waited),
            memory: self.memory.max(other.memory),
            count: self.count + other.count,
        }
    }

    fn by(self, order: Order) -> u64 {
        match order {
            Order::Score => self.score,
            Order::Waited => self.waited,
        }
    }
}

/// What "best" means in a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// The highest score.
    Score,
    /// The longest time without a new job.
    Waited,
}

/// Whether a node takes jobs of others now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It does not.
    Closed,
    /// A job would start at once.
    Free(Key),
    /// A job would be the next.
    Full(Key),
}

/// Which of the nodes with room are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// Those where a job would start at once.
    Free,
    /// Those where it would be the next.
    Full,
}

/// Where a node stands in the index.
#[derive(Debug, Clone)]
pub(crate) struct Seat {
    kind: usize,
    group: usize,
    position: usize,
    held: Vec<Held>,
    capacity: u32,
    pub(crate) standing: Standing,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    slot: usize,
    /// Tells a toolchain from a later one in the same slot.
    stamp: u64,
    position: usize,
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub(crate) struct Index {
    kinds: Vec<Option<Kind>>,
    /// Nodes that are not closed.
    open: usize,
    /// Nodes with a free slot.
    free: usize,
    stamp: u64,
}

#[derive(Debug, Clone)]
struct Kind {
    platform: Text,
    version: u32,
    features: u32,
    /// Only for submitters that know addresses of IPv6, or of IPv4; none: for both.
    ipv6: Option<bool>,
    members: usize,
    /// Memory of the members, in MiB, and how many have so much.
    capacities: BTreeMap<u32, usize>,
    groups: Vec<Group>,
    toolchains: Vec<Toolchain>,
}

/// Nodes that have the same of the dividing toolchains.
#[derive(Debug, Clone)]
struct Group {
    /// By slot.
    mask: u32,
    set: Set,
}

#[derive(Debug, Clone)]
struct Toolchain {
    name: Text,
    target: Text,
    stamp: u64,
    used: u64,
    /// Unused if the toolchain is a dividing one.
    set: Set,
}

/// A question's part of the index: one kind that can run the job.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part(usize);

impl Index {
    /// How many nodes have room, if only for later.
    pub(crate) fn open(&self) -> usize {
        self.open
    }

    /// How many nodes have a free slot.
    pub(crate) fn free(&self) -> usize {
        self.free
    }

    /// Takes in a node that has just come.
    pub(crate) fn enter(&mut self, node: &mut Node) {
        let same = |kind: &Kind| {
            kind.version == node.own_version
                && kind.features == node.features
                && kind.ipv6 == known_by(node)
                && kind.platform == node.platform
        };
        let at = match self
            .kinds
            .iter()
            .position(|kind| kind.as_ref().is_some_and(same))
        {
            Some(at) => at,
            None => {
                let kind = Some(Kind {
                    platform: node.platform.clone(),
                    version: node.own_version,
                    features: node.features,
                    ipv6: known_by(node),
                    members: 0,
                    capacities: BTreeMap::new(),
                    groups: Vec::new(),
                    toolchains: Vec::new(),
                });
                match self.kinds.iter().position(Option::is_none) {
                    Some(at) => {
                        self.kinds[at] = kind;
                        at
                    }
                    None => {
                        self.kinds.push(kind);
                        self.kinds.len() - 1
                    }
                }
            }
        };
        let Some(Some(kind)) = self.kinds.get_mut(at) else {
            return;
        };
        kind.members += 1;
        let capacity = for_others(node, u32::MAX);
        *kind.capacities.entry(capacity).or_default() += 1;
        let group = kind.group(kind.mask_of(node));
        node.seat = Some(Seat {
            kind: at,
            group,
            position: kind.groups[group].set.join(node.id),
            held: Vec::new(),
            capacity,
            standing: Standing::Closed,
        });
        self.toolchains_changed(node);
    }

    /// Forgets a node.
    pub(crate) fn leave(&mut self, node: &mut Node) {
        self.update(node, Standing::Closed);
        let Some(seat) = node.seat.take() else {
            return;
        };
        let Some(slot) = self.kinds.get_mut(seat.kind) else {
            return;
        };
        if let Some(kind) = slot {
            kind.groups[seat.group]
                .set
                .part(seat.position, seat.standing);
            for held in &seat.held {
                if let Some(toolchain) = kind.held(held) {
                    toolchain.set.part(held.position, seat.standing);
                }
            }
            kind.uncount(seat.capacity);
            kind.members -= 1;
            if kind.members == 0 {
                *slot = None;
            }
        }
    }

    /// The node has other toolchains than before.
    pub(crate) fn toolchains_changed(&mut self, node: &mut Node) {
        let Some(kind) = node.seat.as_ref().map(|seat| seat.kind) else {
            return;
        };
        let Some(Some(kind)) = self.kinds.get_mut(kind) else {
            return;
        };
        let mask = kind.mask_of(node);
        kind.move_to(node, mask);
        let Some(seat) = &mut node.seat else { return };
        for held in seat.held.drain(..) {
            if let Some(toolchain) = kind.held(&held) {
                toolchain.set.part(held.position, seat.standing);
            }
        }
        for (slot, toolchain) in kind.toolchains.iter_mut().enumerate().skip(DIVIDING) {
            if node.environments.has(&toolchain.name, &toolchain.target) {
                let position = toolchain.set.join(node.id);
                toolchain
                    .set
                    .update(position, Standing::Closed, seat.standing);
                seat.held.push(Held {
                    slot,
                    stamp: toolchain.stamp,
                    position,
                });
            }
        }
    }

    /// The node's standing may have changed.
    pub(crate) fn update(&mut self, node: &mut Node, standing: Standing) {
        let Some(seat) = &mut node.seat else { return };
        if seat.standing == standing {
            return;
        }
        let counted = |standing: Standing| match standing {
            Standing::Closed => (0, 0),
            Standing::Free(_) => (1, 1),
            Standing::Full(_) => (1, 0),
        };
        let (old, new) = (counted(seat.standing), counted(standing));
        self.open = self.open + new.0 - old.0;
        self.free = self.free + new.1 - old.1;
        let before = std::mem::replace(&mut seat.standing, standing);
        let Some(Some(kind)) = self.kinds.get_mut(seat.kind) else {
            return;
        };
        kind.groups[seat.group]
            .set
            .update(seat.position, before, standing);
        seat.held.retain(|held| match kind.held(held) {
            Some(toolchain) => {
                toolchain.set.update(held.position, before, standing);
                true
            }
            None => false,
        });
    }

    /// The node has so much memory for jobs, in MiB.
    pub(crate) fn set_capacity(&mut self, node: &mut Node, capacity: u32) {
        let capacity = for_others(node, capacity);
        let Some(seat) = &mut node.seat else { return };
        if let Some(Some(kind)) = self.kinds.get_mut(seat.kind) {
            kind.uncount(seat.capacity);
            *kind.capacities.entry(capacity).or_default() += 1;
            seat.capacity = capacity;
        }
    }

    /// The memory of the node of this part that has most.
    pub(crate) fn largest(&self, part: Part) -> u32 {
        let kind = self.kinds.get(part.0).and_then(Option::as_ref);
        kind.and_then(|kind| kind.capacities.last_key_value())
            .map_or(0, |(capacity, _)| *capacity)
    }

    /// The kinds on which a job could run.
    pub(crate) fn parts<'a>(&'a self, needs: &'a Needs) -> impl Iterator<Item = Part> + 'a {
        self.kinds.iter().enumerate().filter_map(|(at, kind)| {
            let kind = kind.as_ref()?;
            let able = kind.version >= needs.minimal_version
                && kind.ipv6.is_none_or(|ipv6| ipv6 == needs.ipv6)
                && needs.features & !kind.features == 0
                && needs
                    .environments
                    .iter()
                    .any(|offered| runs_on(&offered.platform, &kind.platform));
            able.then_some(Part(at))
        })
    }

    /// Sees to it that there is a tree for each toolchain of the job.
    pub(crate) fn prepare(&mut self, needs: &Needs, nodes: &mut Table<NodeId, Node>) {
        let parts: [Option<Part>; 4] = {
            let mut parts = self.parts(needs);
            std::array::from_fn(|_| parts.next())
        };
        for part in parts.into_iter().flatten() {
            for offered in needs.environments.iter() {
                self.activate(part, &offered.platform, &offered.name, &needs.target, nodes);
            }
        }
    }

    fn activate(
        &mut self,
        part: Part,
        platform: &Text,
        name: &Text,
        target: &Text,
        nodes: &mut Table<NodeId, Node>,
    ) {
        let Some(Some(kind)) = self.kinds.get_mut(part.0) else {
            return;
        };
        self.stamp += 1;
        let stamp = self.stamp;
        if let Some(toolchain) = kind
            .toolchains
            .iter_mut()
            .find(|toolchain| toolchain.name == *name && toolchain.target == *target)
        {
            toolchain.used = stamp;
            return;
        }
        if !runs_on(platform, &kind.platform) {
            return;
        }
        let mut toolchain = Toolchain {
            name: name.clone(),
            target: target.clone(),
            stamp,
            used: stamp,
            set: Set::default(),
        };
        let slot = if kind.toolchains.len() < TOOLCHAINS {
            kind.toolchains.len()
        } else {
            let oldest = kind
                .toolchains
                .iter()
                .enumerate()
                .min_by_key(|(_, toolchain)| toolchain.used);
            oldest.map_or(0, |(slot, _)| slot)
        };
        let members: Vec<NodeId> = kind
            .groups
            .iter()
            .flat_map(|group| group.set.members())
            .collect();
        if slot < DIVIDING {
            match kind.toolchains.get_mut(slot) {
                Some(old) => *old = toolchain,
                None => kind.toolchains.push(toolchain),
            }
            for id in members {
                if let Some(node) = nodes.get_mut(&id)
                    && let Some(seat) = &node.seat
                {
                    let others = kind.groups[seat.group].mask & !(1 << slot);
                    let has = node.environments.has(name, target);
                    kind.move_to(node, others | u32::from(has) << slot);
                }
            }
            return;
        }
        for id in members {
            let Some(node) = nodes.get_mut(&id) else {
                continue;
            };
            let has = node.environments.has(name, target);
            let Some(seat) = &mut node.seat else { continue };
            seat.held.retain(|held| held.slot != slot);
            if has {
                let position = toolchain.set.join(id);
                toolchain
                    .set
                    .update(position, Standing::Closed, seat.standing);
                seat.held.push(Held {
                    slot,
                    stamp,
                    position,
                });
            }
        }
        match kind.toolchains.get_mut(slot) {
            Some(old) => *old = toolchain,
            None => kind.toolchains.push(toolchain),
        }
    }

    /// The best `limit` nodes of a part with room, that have this much memory and are accepted, best first, added to
    /// `found`.
    pub(crate) fn best(
        &self,
        part: Part,
        wanted: &Wanted,
        limit: usize,
        mut accept: impl FnMut(NodeId) -> bool,
        found: &mut Vec<(u64, NodeId)>,
    ) {
        let Some(Some(kind)) = self.kinds.get(part.0) else {
            return;
        };
        let mask = match wanted.toolchain.map(|toolchain| kind.slot(toolchain)) {
            None => 0,
            Some(None) => return,
            Some(Some(slot)) if slot < DIVIDING => 1 << slot,
            Some(Some(slot)) => {
                let set = &kind.toolchains[slot].set;
                set.search(set.tree(wanted.room), 1, wanted, limit, &mut accept, found);
                return;
            }
        };
        for group in &kind.groups {
            if group.mask & mask == mask {
                let set = &group.set;
                set.search(set.tree(wanted.room), 1, wanted, limit, &mut accept, found);
            }
        }
    }

    /// How many nodes of a part have room of this sort.
    pub(crate) fn count(&self, part: Part, room: Room) -> usize {
        let kind = self.kinds.get(part.0).and_then(Option::as_ref);
        let groups = kind.into_iter().flat_map(|kind| &kind.groups);
        groups
            .map(|group| group.set.tree(room).key(1).count as usize)
            .sum()
    }

    /// One of those nodes, by its place among them.
    pub(crate) fn nth(&self, part: Part, room: Room, mut place: usize) -> Option<NodeId> {
        let kind = self.kinds.get(part.0)?.as_ref()?;
        let set = kind.groups.iter().map(|group| &group.set).find(|set| {
            let count = set.tree(room).key(1).count as usize;
            let here = place < count;
            place -= if here { 0 } else { count };
            here
        })?;
        let tree = set.tree(room);
        let mut at = 1;
        while at < tree.leaves() {
            let left = tree.key(2 * at).count as usize;
            if place < left {
                at *= 2;
            } else {
                place -= left;
                at = 2 * at + 1;
            }
        }
        set.ids.get(at.checked_sub(tree.leaves())?).copied()?
    }
}

/// Whose addresses it is handed out with. On the scheduler's own machine those by which the submitter knows the scheduler.
fn known_by(node: &Node) -> Option<bool> {
    (!node.address.is_loopback()).then(|| node.address.is_ipv6())
}

/// Memory that others cannot use does not count.
fn for_others(node: &Node, capacity: u32) -> u32 {
    if node.slots > 0 && node.chroot && !node.no_remote {
        capacity
    } else {
        0
    }
}

/// What is searched for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) order: Order,
    pub(crate) room: Room,
    /// Name and target of the toolchain that must be there; none if any node will do.
    pub(crate) toolchain: Option<(&'a Text, &'a Text)>,
    /// MiB.
    pub(crate) memory: u32,
}

impl Kind {
    fn uncount(&mut self, capacity: u32) {
        if let Some(count) = self.capacities.get_mut(&capacity) {
            *count -= 1;
            if *count == 0 {
                self.capacities.remove(&capacity);
            }
        }
    }

    fn slot(&self, (name, target): (&Text, &Text)) -> Option<usize> {
        self.toolchains
            .iter()
            .position(|toolchain| toolchain.name == *name && toolchain.target == *target)
    }

    /// Which of the dividing toolchains a node has.
    fn mask_of(&self, node: &Node) -> u32 {
        let dividing = self.toolchains.iter().take(DIVIDING).enumerate();
        dividing.fold(0, |mask, (slot, toolchain)| {
            let has = node.environments.has(&toolchain.name, &toolchain.target);
            mask | u32::from(has) << slot
        })
    }

    /// The group of the nodes that have these. One that stands empty serves, too.
    fn group(&mut self, mask: u32) -> usize {
        if let Some(at) = self.groups.iter().position(|group| group.mask == mask) {
            return at;
        }
        let empty = self.groups.iter().position(|group| group.set.is_empty());
        let at = empty.unwrap_or(self.groups.len());
        let set = Set::default();
        match self.groups.get_mut(at) {
            Some(group) => *group = Group { mask, set },
            None => self.groups.push(Group { mask, set }),
        }
        at
    }

    fn move_to(&mut self, node: &mut Node, mask: u32) {
        let Some(seat) = &mut node.seat else { return };
        if self.groups[seat.group].mask == mask {
            return;
        }
        self.groups[seat.group]
            .set
            .part(seat.position, seat.standing);
        seat.group = self.group(mask);
        let set = &mut self.groups[seat.group].set;
        seat.position = set.join(node.id);
        set.update(seat.position, Standing::Closed, seat.standing);
    }

    fn held(&mut self, held: &Held) -> Option<&mut Toolchain> {
        self.toolchains
            .get_mut(held.slot)
            .filter(|toolchain| toolchain.stamp == held.stamp)
    }
}

/// Nodes in two trees over the same positions.
#[derive(Debug, Clone, Default)]
struct Set {
    ids: Vec<Option<NodeId>>,
    vacant: Vec<usize>,
    free: Tree,
    full: Tree,
}

impl Set {
    fn join(&mut self, id: NodeId) -> usize {
        match self.vacant.pop() {
            Some(position) => {
                self.ids[position] = Some(id);
                position
            }
            None => {
                self.ids.push(Some(id));
                self.free.grow(self.ids.len());
                self.full.grow(self.ids.len());
                self.ids.len() - 1
            }
        }
    }

    fn part(&mut self, position: usize, standing: Standing) {
        self.update(position, standing, Standing::Closed);
        self.ids[position] = None;
        self.vacant.push(position);
    }

    fn is_empty(&self) -> bool {
        self.vacant.len() == self.ids.len()
    }

    fn update(&mut self, position: usize, before: Standing, standing: Standing) {
        match (before, standing) {
            (_, Standing::Free(key)) => self.free.set(position, key),
            (Standing::Free(_), _) => self.free.set(position, Key::NONE),
            _ => {}
        }
        match (before, standing) {
            (_, Standing::Full(key)) => self.full.set(position, key),
            (Standing::Full(_), _) => self.full.set(position, Key::NONE),
            _ => {}
        }
    }

    fn tree(&self, room: Room) -> &Tree {
        match room {
            Room::Free => &self.free,
            Room::Full => &self.full,
        }
    }

    fn members(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.ids.iter().copied().flatten()
    }

    fn search(
        &self,
        tree: &Tree,
        at: usize,
        wanted: &Wanted,
        limit: usize,
        accept: &mut impl FnMut(NodeId) -> bool,
        found: &mut Vec<(u64, NodeId)>,
    ) {
        let key = tree.key(at);
        let score = key.by(wanted.order);
        if key.count == 0 || key.memory < wanted.memory {
            return;
        }
        if found.len() >= limit && found.last().is_some_and(|(worst, _)| score <= *worst) {
            return;
        }
        if at >= tree.leaves() {
            let id = self.ids.get(at - tree.leaves()).copied().flatten();
            if let Some(id) = id
                && accept(id)
            {
                let place = found.partition_point(|(other, _)| *other >= score);
                found.insert(place, (score, id));
                found.truncate(limit);
            }
            return;
        }
        let (left, right) = (2 * at, 2 * at + 1);
        let (first, second) = if tree.key(right).by(wanted.order) > tree.key(left).by(wanted.order)
        {
            (right, left)
        } else {
            (left, right)
        };
        self.search(tree, first, wanted, limit, accept, found);
        self.search(tree, second, wanted, limit, accept, found);
    }
}

/// A complete binary tree in an array: the root at 1, the children of `n` at `2n` and `2n+1`, leaves in the second half.
#[derive(Debug, Clone, Default)]
struct Tree {
    keys: Vec<Key>,
}

impl Tree {
    fn leaves(&self) -> usize {
        self.keys.len() / 2
    }

    fn key(&self, at: usize) -> Key {
        self.keys.get(at).copied().unwrap_or(Key::NONE)
    }

    fn set(&mut self, position: usize, key: Key) {
        let mut at = self.leaves() + position;
        if self.key(at) == key {
            return;
        }
        self.keys[at] = key;
        while at > 1 {
            at /= 2;
            let best = self.keys[2 * at].with(self.keys[2 * at + 1]);
            if self.keys[at] == best {
                return;
            }
            self.keys[at] = best;
        }
    }

    fn grow(&mut self, members: usize) {
        if members <= self.leaves() {
            return;
        }
        let old = self.leaves();
        let leaves = members.next_power_of_two();
        let mut keys = vec![Key::NONE; 2 * leaves];
        keys[leaves..leaves + old].copy_from_slice(&self.keys[old..]);
        for at in (1..leaves).rev() {
            keys[at] = keys[2 * at].with(keys[2 * at + 1]);
        }
        self.keys = keys;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn best(set: &Set, memory: u32, limit: usize, odd_only: bool) -> Vec<u64> {
        let mut found = Vec::new();
        let mut accept = |id: NodeId| !odd_only || id.0 % 2 == 1;
        let wanted = Wanted {
            order: Order::Score,
            room: Room::Free,
            toolchain: None,
            memory,
        };
        set.search(&set.free, 1, &wanted, limit, &mut accept, &mut found);
        found.into_iter().map(|(score, _)| score).collect()
    }

    proptest! {
        #[test]
        fn a_search_finds_what_looking_at_all_finds(
            changes in proptest::collection::vec((0u32..40, 0u64..50, 0u32..4, any::<bool>()), 0..200),
            memory in 0u32..4,
            limit in 1usize..6,
            odd_only in any::<bool>(),
        ) {
            let mut set = Set::default();
            let mut there: Vec<(u32, usize, Key)> = Vec::new();
            for (id, score, memory, leaves) in changes {
                let key = Key {
                    score: score + 1,
                    waited: 1,
                    memory,
                    count: 1,
                };
                match there.iter().position(|(known, ..)| *known == id) {
                    Some(at) if leaves => {
                        let (_, position, before) = there.remove(at);
                        set.part(position, Standing::Free(before));
                    }
                    Some(at) => {
                        let before = std::mem::replace(&mut there[at].2, key);
                        set.update(there[at].1, Standing::Free(before), Standing::Free(key));
                    }
                    None => {
                        let position = set.join(NodeId(id));
                        set.update(position, Standing::Closed, Standing::Free(key));
                        there.push((id, position, key));
                    }
                }
            }
            let mut expected: Vec<u64> = there
                .iter()
                .filter(|(id, _, key)| {
                    key.memory >= memory && (!odd_only || id % 2 == 1)
                })
                .map(|(.., key)| key.score)
                .collect();
            expected.sort_by(|a, b| b.cmp(a));
            expected.truncate(limit);
            prop_assert_eq!(best(&set, memory, limit, odd_only), expected);
        }
    }
}
