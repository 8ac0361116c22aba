// SPDX-License-Identifier: MIT
//! What bounds a read: tables of the newest changes over many ancestors at once.
//!
//! A checkpoint belongs to a snapshot whose depth is a multiple of 16. It covers the 16 snapshots that end there; at multiples
//! of 256 it comes to cover 256 of them, and so on by powers of 16. A read steps from snapshot to snapshot up to the first
//! checkpoint, and from there from table to table: at most 15 of each size. Where a table over all keys is not much
//! larger than one of the changes, it is made over all keys, and a read ends there.
//!
//! A checkpoint is made when a snapshot is added some way below it: a quarter of the span it covers. So each has that many
//! snapshots to itself, and whatever the tree's shape, checkpoints cost at most four entries of eight bytes a snapshot and
//! size, and one in a tree that is one long path. Snapshots near the leaves have none.
//!
//! A checkpoint only remembers: it changes nothing of what a snapshot holds.

use alloc::boxed::Box;
use alloc::vec::Vec;

use slab::Slab;

use super::arena::{Arena, NONE};
use super::changes::Wanted;
use super::keys::KeyId;

/// Snapshots that the smallest checkpoint covers, and how many of one size the next larger one covers. Their keys are one cache
/// line.
const FAN: u32 = 16;

/// How far below a checkpoint's snapshot one is added when it is made, as a part of its span.
const DELAY: u32 = FAN / 4;

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
    /// At most 16 changes, in no order; the rest is filled with [`NONE`].
    Few { keys: [u32; FAN as usize], nodes: [u32; FAN as usize] },
    /// Changes ascending by key.
    Many { keys: Box<[u32]>, nodes: Box<[u32]> },
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
                // Without a branch for each: the compiler compares all at once.
                let hits = keys
                    .iter()
                    .enumerate()
                    .fold(0u32, |hits, (n, found)| hits | u32::from(*found == key.0) << n);
                nodes.get(hits.trailing_zeros() as usize)
            }
            Self::Many { keys, nodes } => {
                keys.binary_search(&key.0).ok().and_then(|at| nodes.get(at))
            }
            Self::All(nodes) => match nodes.get(key.index()) {
                Some(node) if *node != NONE => Some(node),
                _ => return Word::Never,
            },
        };
        node.map_or(Word::Silent, |node| Word::Node(*node))
    }

    /// Its changes, in the order of nothing.
    fn iter(&self) -> impl Iterator<Item = (u32, u32)> {
        let (few, many, all) = match self {
            Self::Few { keys, nodes } => (Some((keys, nodes)), None, None),
            Self::Many { keys, nodes } => (None, Some((keys, nodes)), None),
            Self::All(nodes) => (None, None, Some(nodes)),
        };
        let few = few
            .into_iter()
            .flat_map(|(keys, nodes)| keys.iter().copied().zip(nodes.iter().copied()));
        let many = many
            .into_iter()
            .flat_map(|(keys, nodes)| keys.iter().copied().zip(nodes.iter().copied()));
        let all = all.into_iter().flat_map(|nodes| (0..).zip(nodes.iter().copied()));
        few.chain(many).chain(all).filter(|(_, node)| *node != NONE)
    }

    /// Of changes from the newest to the oldest.
    fn new(mut newest: Vec<(u32, u32)>) -> Self {
        newest.sort_by_key(|(key, _)| *key);
        newest.dedup_by_key(|(key, _)| *key);
        if newest.len() <= FAN as usize {
            let (mut keys, mut nodes) = ([NONE; FAN as usize], [NONE; FAN as usize]);
            for (n, (key, node)) in newest.into_iter().enumerate() {
                (keys[n], nodes[n]) = (key, node);
            }
            return Self::Few { keys, nodes };
        }
        let (keys, nodes): (Vec<u32>, Vec<u32>) = newest.into_iter().unzip();
        Self::Many { keys: keys.into(), nodes: nodes.into() }
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
        // The nearest multiple of 16 has no checkpoint yet if the tree does not go on far enough below it; the next has.
        for steps in [depth % FAN, FAN.min(depth - depth % FAN)] {
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
        if depth % FAN == DELAY && depth > FAN {
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
        let at = (0..DELAY).fold(index, |index, _| arena.link(index).parent);
        if arena.node(at).checkpoint != NONE {
            return;
        }
        let mut newest = Vec::new();
        let mut start = at;
        for _ in 0..FAN {
            newest.extend(arena.changes(start).iter().map(|(key, _)| (key.0, start)));
            start = arena.link(start).parent;
        }
        let below = arena.node(start).checkpoint;
        let new = Checkpoint { table: Table::new(newest), below, start };
        // UNWRAP: there are fewer checkpoints than snapshots.
        let mut id = u32::try_from(self.slab.insert(new)).expect("an index fits in 32 bits");
        arena.node_mut(at).checkpoint = id;
        let (mut depth, mut span) = (arena.node(at).depth, FAN);
        self.complete(arena, id, span, bound);

        // It may be what a larger one further up waited for. Beyond one of all keys nobody reads.
        while depth / span % FAN == DELAY && depth / span > FAN {
            for _ in 0..DELAY {
                if self.is_whole(id) {
                    return;
                }
                id = self.slab[id as usize].below;
            }
            if self.is_whole(id) {
                return;
            }
            depth -= DELAY * span;
            span *= FAN;
            self.widen(id);
            self.complete(arena, id, span, bound);
        }
    }

    fn is_whole(&self, id: u32) -> bool {
        matches!(self.slab[id as usize].table, Table::All(_))
    }

    /// Makes a checkpoint cover what 16 of its size cover, or all if one of them does.
    fn widen(&mut self, id: u32) {
        let mut newest = Vec::new();
        let (mut below, mut start) = (id, NONE);
        for _ in 0..FAN {
            if self.is_whole(below) {
                break;
            }
            let next = &self.slab[below as usize];
            newest.extend(next.table.iter());
            (below, start) = (next.below, next.start);
        }
        self.slab[id as usize] = Checkpoint { table: Table::new(newest), below, start };
    }

    /// Makes a checkpoint's table one of all keys, if that is not much larger.
    fn complete(&mut self, arena: &Arena, id: u32, span: u32, bound: usize) {
        let changes = match &self.slab[id as usize].table {
            Table::Few { .. } => FAN as usize,
            Table::Many { keys, .. } => keys.len(),
            Table::All(_) => return,
        };
        if bound > 4 * changes.max(span as usize) {
            return;
        }
        let mut nodes = alloc::vec![NONE; bound];
        let mut note = |(key, node): (u32, u32)| {
            if let Some(newest) = nodes.get_mut(key as usize).filter(|newest| **newest == NONE) {
                *newest = node;
            }
        };
        let mut next = id;
        while let Some(checkpoint) = self.slab.get(next as usize) {
            checkpoint.table.iter().for_each(&mut note);
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
