// SPDX-License-Identifier: MIT
//! What bounds a read: tables of the newest changes over many ancestors at once.
//!
//! A checkpoint belongs to a snapshot whose depth is a multiple of 8. It covers the 8 snapshots that end there; at multiples of
//! 64 it comes to cover 64 of them, then 512, 8,192, 131,072 and so on. A read steps from snapshot to snapshot up to the
//! first checkpoint, and from there from table to table: at most 7 of each of the small spans and 15 of each larger one. Where
//! a table over all keys is not much larger than one of the changes, it is made over all keys, and a read ends there.
//!
//! A checkpoint is made when a snapshot is added some way below it: a quarter of the span it covers. So each has that many
//! snapshots to itself, and whatever the tree's shape, checkpoints cost at most four entries of eight bytes a snapshot and
//! span, and one in a tree that is one long path. Snapshots near the leaves have none.
//!
//! A checkpoint only remembers: it changes nothing of what a snapshot holds.

use alloc::boxed::Box;
use alloc::vec::Vec;

use slab::Slab;

use super::arena::{Arena, NONE};
use super::changes::Wanted;
use super::keys::KeyId;

/// Snapshots that checkpoints of each size cover. Small steps first, where most reads are; each step is memory, so there are few.
const SPANS: [u32; 7] = [8, 64, 512, 8 << 10, 128 << 10, 2 << 20, 32 << 20];

/// Snapshots that the smallest checkpoint covers.
const FEW: usize = SPANS[0] as usize;

/// How far below a checkpoint's snapshot one is added when it is made, for the span it covers.
const fn delay(span: u32) -> u32 {
    span / 4
}

#[derive(Clone, Debug)]
struct Checkpoint {
    table: Table,
    /// The checkpoint where the span begins; [`NONE`] if that is the tree's root.
    below: u32,
    /// The snapshot where the span begins.
    start: u32,
}

/// The newest change of each key over a span, as the snapshot that made it.
#[derive(Clone, Debug)]
enum Table {
    /// At most 8 changes, in no order; the rest is filled with [`NONE`].
    Few { keys: [u32; FEW], nodes: [u32; FEW] },
    /// Changes ascending by key.
    Many { keys: Box<[u32]>, nodes: Box<[u32]> },
    /// Changes ascending by key, where there are many of all the keys: for each 32 keys, which of them changed, and how many
    /// changes stand before.
    Dense { marks: Box<[(u32, u32)]>, nodes: Box<[u32]> },
    /// By key number, for all keys that there were, from the root on: [`NONE`] for those never written.
    All(Box<[u32]>),
}

/// What a table says of a key.
enum Word {
    /// This snapshot changed it last.
    Node(u32),
    /// Not changed in the span.
    Silent,
    /// Never changed.
    Never,
}

impl Table {
    #[inline]
    fn find(&self, key: KeyId) -> Word {
        let node = match self {
            Self::Few { keys, nodes } => {
                // All are compared at once, without a branch for each: most often none is the key.
                let is_there = keys.iter().fold(false, |found, one| found | (*one == key.0));
                let at = is_there.then(|| keys.iter().position(|one| *one == key.0)).flatten();
                at.and_then(|at| nodes.get(at))
            }
            Self::Many { keys, nodes } => {
                keys.binary_search(&key.0).ok().and_then(|at| nodes.get(at))
            }
            Self::Dense { marks, nodes } => {
                marks.get(key.index() / 32).and_then(|(bits, before)| {
                    let bit = 1 << (key.0 % 32);
                    let at = before + (bits & (bit - 1)).count_ones();
                    (bits & bit != 0).then(|| nodes.get(at as usize)).flatten()
                })
            }
            Self::All(nodes) => match nodes.get(key.index()) {
                Some(node) if *node != NONE => Some(node),
                _ => return Word::Never,
            },
        };
        node.map_or(Word::Silent, |node| Word::Node(*node))
    }

    /// Its changes, in no order.
    fn collect(&self, into: &mut Vec<(u32, u32)>) {
        match self {
            Self::Few { keys, nodes } => {
                let used = keys.iter().zip(nodes).filter(|(key, _)| **key != NONE);
                into.extend(used.map(|(key, node)| (*key, *node)));
            }
            Self::Many { keys, nodes } => {
                into.extend(keys.iter().copied().zip(nodes.iter().copied()));
            }
            Self::Dense { marks, nodes } => {
                let bits = |(word, (bits, _)): (u32, &(u32, u32))| {
                    let bits = *bits;
                    (0..32)
                        .filter(move |bit| bits & (1 << bit) != 0)
                        .map(move |bit| 32 * word + bit)
                };
                let keys = (0..).zip(marks.iter()).flat_map(bits);
                into.extend(keys.zip(nodes.iter().copied()));
            }
            Self::All(nodes) => {
                let known = (0..).zip(nodes.iter().copied()).filter(|(_, node)| *node != NONE);
                into.extend(known);
            }
        }
    }

    /// Of changes from the newest to the oldest; `bound` is above all key numbers.
    fn new(mut newest: Vec<(u32, u32)>, bound: usize) -> Self {
        newest.sort_by_key(|(key, _)| *key);
        newest.dedup_by_key(|(key, _)| *key);
        if newest.len() <= FEW {
            let (mut keys, mut nodes) = ([NONE; FEW], [NONE; FEW]);
            for (n, (key, node)) in newest.into_iter().enumerate() {
                (keys[n], nodes[n]) = (key, node);
            }
            return Self::Few { keys, nodes };
        }
        let (keys, nodes): (Vec<u32>, Vec<u32>) = newest.into_iter().unzip();
        // About where the marks take as much memory as the keys would.
        if bound > 20 * keys.len() {
            return Self::Many { keys: keys.into(), nodes: nodes.into() };
        }
        let mut marks = alloc::vec![(0u32, 0u32); bound.div_ceil(32)];
        for key in keys {
            marks[key as usize / 32].0 |= 1 << (key % 32);
        }
        let mut before = 0;
        for (bits, rank) in &mut marks {
            *rank = before;
            before += bits.count_ones();
        }
        Self::Dense { marks: marks.into(), nodes: nodes.into() }
    }

    fn len(&self) -> usize {
        match self {
            Self::Few { .. } => FEW,
            Self::Many { nodes, .. } | Self::Dense { nodes, .. } | Self::All(nodes) => nodes.len(),
        }
    }
}

/// The checkpoints of a tree.
#[derive(Clone, Debug, Default)]
pub(super) struct Checkpoints {
    slab: Slab<Checkpoint>,
}

impl Checkpoints {
    /// The snapshot that changed the key last, from `start` up.
    #[inline]
    pub(super) fn find(&self, arena: &Arena, start: u32, key: KeyId) -> Option<u32> {
        let wanted = Wanted::new(key);
        let mut index = start;
        let mut checkpoint = NONE;
        let depth = arena.node(start).depth;
        // The nearest that could have a checkpoint has none if the tree does not go on far enough below it; the next has.
        let to_first = depth % SPANS[0];
        for steps in [to_first, SPANS[0].min(depth - to_first)] {
            for _ in 0..steps {
                let link = arena.link(index);
                if link.touched.may_include(wanted) && arena.changes(index).find(key).is_some() {
                    return Some(index);
                }
                index = link.parent;
            }
            checkpoint = arena.node(index).checkpoint;
            if checkpoint != NONE {
                break;
            }
        }
        while let Some(found) = self.slab.get(checkpoint as usize) {
            match found.table.find(key) {
                Word::Node(node) => return Some(node),
                Word::Never => return None,
                Word::Silent => {}
            }
            (checkpoint, index) = (found.below, found.start);
        }
        arena.changes(index).find(key).map(|_| index)
    }

    /// Makes the checkpoints that a new snapshot is far enough below of. `bound` is above all key numbers.
    #[inline]
    pub(super) fn extend(&mut self, arena: &mut Arena, index: u32, bound: usize) {
        let depth = arena.node(index).depth;
        if depth % SPANS[0] == delay(SPANS[0]) && depth > SPANS[0] {
            self.add_above(arena, index, bound);
        }
    }

    pub(super) fn remove(&mut self, checkpoint: u32) {
        self.slab.try_remove(checkpoint as usize);
        if self.slab.is_empty() {
            self.slab = Slab::new();
        }
    }

    fn add_above(&mut self, arena: &mut Arena, index: u32, bound: usize) {
        let at = (0..delay(SPANS[0])).fold(index, |index, _| arena.link(index).parent);
        if arena.node(at).checkpoint != NONE {
            return;
        }
        let mut newest = Vec::new();
        let mut start = at;
        for _ in 0..SPANS[0] {
            newest.extend(arena.changes(start).iter().map(|(key, _)| (key.0, start)));
            start = arena.link(start).parent;
        }
        let below = arena.node(start).checkpoint;
        let new = Checkpoint { table: Table::new(newest, bound), below, start };
        // UNWRAP: there are fewer checkpoints than snapshots.
        let mut id = u32::try_from(self.slab.insert(new)).expect("an index fits in 32 bits");
        arena.node_mut(at).checkpoint = id;
        self.complete(arena, id, SPANS[0], bound);

        // It may be what a larger one further up waited for.
        let mut depth = arena.node(at).depth;
        for sizes in SPANS.windows(2) {
            let &[span, larger] = sizes else { return };
            if depth % larger != delay(larger) || depth < larger {
                return;
            }
            for _ in 0..delay(larger) / span {
                // Beyond one of all keys nobody reads.
                if self.is_whole(id) {
                    return;
                }
                id = self.slab[id as usize].below;
            }
            if self.is_whole(id) {
                return;
            }
            depth -= delay(larger);
            // Another branch below it has seen to it already, and to the larger ones.
            if depth - arena.node(self.slab[id as usize].start).depth > span {
                return;
            }
            self.widen(id, larger / span, bound);
            self.complete(arena, id, larger, bound);
        }
    }

    fn is_whole(&self, id: u32) -> bool {
        matches!(self.slab[id as usize].table, Table::All(_))
    }

    /// Makes a checkpoint cover what it and those below it cover, `count` in all.
    fn widen(&mut self, id: u32, count: u32, bound: usize) {
        let mut newest = Vec::new();
        let (mut below, mut start) = (id, NONE);
        for _ in 0..count {
            if self.is_whole(below) {
                break;
            }
            let next = &self.slab[below as usize];
            next.table.collect(&mut newest);
            (below, start) = (next.below, next.start);
        }
        self.slab[id as usize] = Checkpoint { table: Table::new(newest, bound), below, start };
    }

    /// Makes a checkpoint's table one of all keys, if that is not much larger.
    fn complete(&mut self, arena: &Arena, id: u32, span: u32, bound: usize) {
        if bound > 4 * self.slab[id as usize].table.len().max(span as usize) || self.is_whole(id) {
            return;
        }
        let mut nodes = alloc::vec![NONE; bound];
        let mut note = |(key, node): (u32, u32)| {
            if let Some(newest) = nodes.get_mut(key as usize).filter(|newest| **newest == NONE) {
                *newest = node;
            }
        };
        let (mut next, mut changes) = (id, Vec::new());
        while let Some(checkpoint) = self.slab.get(next as usize) {
            checkpoint.table.collect(&mut changes);
            changes.drain(..).for_each(&mut note);
            if self.is_whole(next) {
                break;
            }
            next = checkpoint.below;
            if next == NONE {
                let root = checkpoint.start;
                arena.changes(root).iter().for_each(|(key, _)| note((key.0, root)));
            }
        }
        self.slab[id as usize].table = Table::All(nodes.into());
    }
}
