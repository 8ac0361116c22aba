// SPDX-License-Identifier: MIT
//! What bounds a read: tables of the newest changes over many ancestors at once.
//!
//! A checkpoint belongs to a snapshot whose depth is a multiple of 16. It covers the 16 snapshots that end there; at multiples of
//! 64 it comes to cover 64 of them, then 256, 4,096, 65,536 and so on. A read steps from snapshot to snapshot up to the first
//! checkpoint, and from there from table to table: at most 3 of each of the small spans and 15 of each larger one. Where a table
//! over all keys is not much larger than one of the changes, it is made over all keys, and a read ends there.
//!
//! A checkpoint is made, or made larger, when a snapshot is added some way below it, a quarter of the span. So each has that many
//! snapshots to itself, and its table at most as many entries as its span and four times their changes: what checkpoints cost
//! is bounded by what the snapshots below them cost, whatever the tree's shape and however long a delta further up. In a tree
//! that is one long path it is about 30 bytes a snapshot. Snapshots near the leaves have none.
//!
//! A delta that is too long for the table ends the span early, and is read as it is: it is in order already.
//!
//! A checkpoint only remembers: it changes nothing of what a snapshot holds.

use alloc::boxed::Box;
use alloc::vec::Vec;

use slab::Slab;

use super::arena::{Arena, NONE};
use super::changes::{Place, Wanted};
use super::keys::KeyId;
use crate::order;

/// Snapshots that checkpoints of each size cover. Small steps first, where most reads are; each step is memory, so there are few.
const SPANS: [u32; 7] = [16, 64, 256, 4 << 10, 64 << 10, 1 << 20, 16 << 20];

/// Changes in the smallest table: one a snapshot. Their keys are one cache line.
const FEW: usize = SPANS[0] as usize;

/// How far below a checkpoint's snapshot one is added when it is made, for the span it covers.
const fn delay(span: u32) -> u32 {
    span / 4
}

#[derive(Clone, Debug)]
struct Checkpoint {
    table: Table,
    /// The snapshot above the span.
    start: u32,
    /// Its checkpoint, or [`NONE`].
    below: u32,
}

/// The newest change of each key over a span, as the snapshot that made it.
#[derive(Clone, Debug)]
enum Table {
    /// Of the smallest span, where it has at most 16 changes: their keys, the rest filled with [`NONE`]. Which snapshot it was is
    /// found by steps.
    Few([u32; FEW]),
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
    /// One of the snapshots of the span changed it.
    Somewhere,
    /// Not changed in the span.
    Silent,
    /// Never changed.
    Never,
}

impl Table {
    #[inline]
    fn find(&self, key: KeyId) -> Word {
        let node = match self {
            Self::Few(keys) => {
                // All are compared at once, without a branch for each: most often none is the key.
                let is_there = keys.iter().fold(false, |found, one| found | (*one == key.0));
                return if is_there { Word::Somewhere } else { Word::Silent };
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

    /// Its changes, the newest of a key before older ones. `at` is the checkpoint's snapshot, `start` the one above the span.
    fn collect(&self, arena: &Arena, at: u32, start: u32, into: &mut Vec<(u32, u32)>) {
        match self {
            Self::Few(_) => {
                let mut index = at;
                while index != start {
                    into.extend(arena.changes(index).iter().map(|(key, _)| (key.0, index)));
                    index = arena.link(index).parent;
                }
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

    /// Of the changes of the smallest span.
    fn smallest(mut newest: Vec<(u32, u32)>, bound: usize) -> Self {
        if newest.len() > FEW {
            return Self::new(newest, bound);
        }
        newest.resize(FEW, (NONE, NONE));
        Self::Few(core::array::from_fn(|n| newest[n].0))
    }

    /// Of changes, the newest of a key before older ones; `bound` is above all key numbers.
    fn new(mut newest: Vec<(u32, u32)>, bound: usize) -> Self {
        order::by_key(&mut newest, |(key, _)| *key);
        newest.dedup_by_key(|(key, _)| *key);
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

    /// Number of changes, or more.
    fn len(&self) -> usize {
        match self {
            Self::Few(_) => FEW,
            Self::Many { nodes, .. } | Self::Dense { nodes, .. } | Self::All(nodes) => nodes.len(),
        }
    }
}

/// The checkpoints of a tree.
#[derive(Clone, Debug, Default)]
pub(super) struct Checkpoints {
    slab: Slab<Checkpoint>,
    /// When so few are left, what trails is given back.
    trim_below: usize,
}

impl Checkpoints {
    /// The snapshot that changed the key last, from `start` up, and where in its delta.
    #[inline]
    pub(super) fn find(&self, arena: &Arena, start: u32, key: KeyId) -> Option<(u32, Place)> {
        let wanted = Wanted::new(key);
        let mut index = start;
        let mut depth = arena.node(start).depth;
        loop {
            // To the nearest that could have a checkpoint. It has none if the tree does not go on far enough below it.
            let steps = depth % SPANS[0];
            match find_by_steps(arena, index, steps, wanted) {
                Ok(found) => return Some(found),
                Err(end) => index = end,
            }
            depth -= steps;
            let mut checkpoint = arena.node(index).checkpoint;
            if checkpoint == NONE {
                // The root, or sixteen more.
                match find_by_steps(arena, index, SPANS[0].min(depth).max(1), wanted) {
                    Ok(found) => return Some(found),
                    Err(NONE) => return None,
                    Err(end) => index = end,
                }
                depth -= SPANS[0];
                checkpoint = arena.node(index).checkpoint;
            }
            if checkpoint == NONE {
                continue;
            }
            while let Some(next) = self.slab.get(checkpoint as usize) {
                match next.table.find(key) {
                    Word::Node(node) => return Some((node, arena.changes(node).find(key)?)),
                    Word::Somewhere => return find_by_steps(arena, index, SPANS[0], wanted).ok(),
                    Word::Never => return None,
                    Word::Silent => (checkpoint, index) = (next.below, next.start),
                }
            }
            depth = arena.node(index).depth;
        }
    }

    /// Makes the checkpoints that a new snapshot is far enough below of. `bound` is above all key numbers.
    #[inline]
    pub(super) fn extend(&mut self, arena: &mut Arena, index: u32, depth: u32, bound: usize) {
        if depth % SPANS[0] == delay(SPANS[0]) && depth > SPANS[0] {
            self.add_above(arena, index, bound);
        }
    }

    pub(super) fn remove(&mut self, checkpoint: u32) {
        self.slab.try_remove(checkpoint as usize);
        if self.slab.len() < self.trim_below {
            self.trim_below = self.slab.len() / 4;
            self.slab.shrink_to_fit();
        }
    }

    /// Seldom, and large: not to be copied into the way that every fork takes.
    #[cold]
    fn add_above(&mut self, arena: &mut Arena, index: u32, bound: usize) {
        let (mut at, mut below) = climb(arena, index, delay(SPANS[0]));
        if arena.node(at).checkpoint == NONE {
            self.add(arena, at, &below, bound);
        }
        // It may be what a larger one further up waited for.
        for larger in &SPANS[1..] {
            if arena.node(at).depth % larger != delay(*larger) || arena.node(at).depth < *larger {
                return;
            }
            let (up, climbed) = climb(arena, at, delay(*larger));
            (at, below) = (up, Load { changes: below.changes.saturating_add(climbed.changes) });
            if !self.widen(arena, at, *larger, &below, bound) {
                return;
            }
        }
    }

    /// Makes a snapshot's first checkpoint, if a table has room for its delta at least.
    fn add(&mut self, arena: &mut Arena, at: u32, below: &Load, bound: usize) {
        let room = below.room(SPANS[0]);
        let (mut newest, mut start) = (Vec::new(), at);
        for _ in 0..SPANS[0] {
            let changes = arena.changes(start);
            if newest.len().saturating_add(changes.len()) > room {
                break;
            }
            newest.extend(changes.iter().map(|(key, _)| (key.0, start)));
            start = arena.link(start).parent;
        }
        if start == at {
            return;
        }
        let table = if pays(bound, newest.len(), SPANS[0]) {
            self.all(arena, newest, start, bound)
        } else {
            Table::smallest(newest, bound)
        };
        let below = arena.node(start).checkpoint;
        // UNWRAP: there are fewer checkpoints than snapshots.
        let id = u32::try_from(self.slab.insert(Checkpoint { table, start, below }))
            .expect("an index fits in 32 bits");
        arena.node_mut(at).checkpoint = id;
        self.trim_below = self.trim_below.max(self.slab.len() / 4);
    }

    /// Makes a snapshot's checkpoint cover the larger span, of what those further up cover. False if it does, or cannot, so that
    /// no larger one waits for it.
    fn widen(&mut self, arena: &Arena, at: u32, span: u32, below: &Load, bound: usize) -> bool {
        let top = arena.node(at).depth - span;
        let (room, mut newest, mut start) = (below.room(span), Vec::new(), at);
        while let Some(next) = self.slab.get(arena.node(start).checkpoint as usize) {
            let is_whole = matches!(next.table, Table::All(_));
            let is_there = start == at && (is_whole || arena.node(next.start).depth <= top);
            if is_there {
                return false;
            }
            // What lies above one of all keys is never read.
            let is_too_long = newest.len().saturating_add(next.table.len()) > room;
            if is_whole || is_too_long || arena.node(start).depth <= top {
                break;
            }
            next.table.collect(arena, start, next.start, &mut newest);
            start = next.start;
        }
        if start == at {
            return false;
        }
        let table = if pays(bound, newest.len(), span) {
            self.all(arena, newest, start, bound)
        } else {
            Table::new(newest, bound)
        };
        let below = arena.node(start).checkpoint;
        self.slab[arena.node(at).checkpoint as usize] = Checkpoint { table, start, below };
        true
    }

    /// A table of all keys: of changes, the newest of a key before older ones, and of all further up from where they start.
    fn all(&self, arena: &Arena, newest: Vec<(u32, u32)>, start: u32, bound: usize) -> Table {
        let mut nodes = alloc::vec![NONE; bound];
        let mut note = |(key, node): (u32, u32)| {
            if let Some(newest) = nodes.get_mut(key as usize).filter(|newest| **newest == NONE) {
                *newest = node;
            }
        };
        newest.into_iter().for_each(&mut note);
        let (mut index, mut older) = (start, Vec::new());
        while index != NONE {
            match self.slab.get(arena.node(index).checkpoint as usize) {
                Some(next) => {
                    next.table.collect(arena, index, next.start, &mut older);
                    older.drain(..).for_each(&mut note);
                    if matches!(next.table, Table::All(_)) {
                        break;
                    }
                    index = next.start;
                }
                None => {
                    arena.changes(index).iter().for_each(|(key, _)| note((key.0, index)));
                    index = arena.link(index).parent;
                }
            }
        }
        Table::All(nodes.into())
    }
}

/// What the snapshots that a checkpoint has to itself have changed.
struct Load {
    changes: usize,
}

impl Load {
    /// How many changes a checkpoint over a span may have. Deltas of equal length just fit, being four times as many.
    fn room(&self, span: u32) -> usize {
        self.changes.saturating_mul(4).saturating_add(span as usize)
    }
}

/// Goes up some steps, and says what the snapshots that were left have changed.
fn climb(arena: &Arena, index: u32, steps: u32) -> (u32, Load) {
    let (mut index, mut changes) = (index, 0usize);
    for _ in 0..steps {
        changes = changes.saturating_add(arena.changes(index).len());
        index = arena.link(index).parent;
    }
    (index, Load { changes })
}

/// Whether a table of all keys is not much larger than one of so many changes over a span.
fn pays(bound: usize, changes: usize, span: u32) -> bool {
    // The smallest are many: there it must be no larger.
    let times = if span == SPANS[0] { 1 } else { 4 };
    bound <= times * changes.max(span as usize)
}

/// The nearest of `steps` snapshots up from `index` that changed the key, or where the steps lead if there is none: above
/// the root, [`NONE`].
#[inline]
fn find_by_steps(
    arena: &Arena,
    index: u32,
    steps: u32,
    wanted: Wanted,
) -> Result<(u32, Place), u32> {
    let mut index = index;
    for _ in 0..steps {
        let link = arena.link(index);
        if link.touched.may_include(wanted)
            && let Some(place) = arena.changes(index).find(wanted.key)
        {
            return Ok((index, place));
        }
        index = link.parent;
    }
    Err(index)
}
