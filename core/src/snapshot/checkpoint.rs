// SPDX-License-Identifier: MIT
//! What bounds a read: tables of the newest changes over many ancestors at once.
//!
//! A checkpoint belongs to a snapshot whose depth is a multiple of 16. It covers the 16 snapshots that end there; at multiples of
//! 64 it comes to cover 64 of them, then 256, 4,096, 65,536 and so on. A read steps from snapshot to snapshot up to the first
//! checkpoint, and from there from table to table: at most 3 of each of the small spans and 15 of each larger one. Where a table
//! over all keys is not much larger than one of the changes, it is made over all keys, and a read ends there.
//!
//! A checkpoint is made, or made larger, when a snapshot is added some way below it, a quarter of the span (for the smallest, two
//! steps). So each has that many snapshots to itself, and checkpoints cost a bounded number of bytes a snapshot whatever the
//! tree's shape, and about 30 in a tree that is one long path. Snapshots near the leaves have none.
//!
//! A checkpoint only remembers: it changes nothing of what a snapshot holds.

use alloc::boxed::Box;
use alloc::vec::Vec;

use slab::Slab;

use super::arena::{Arena, NONE};
use super::changes::{Place, Wanted};
use super::keys::KeyId;

/// Snapshots that checkpoints of each size cover. Small steps first, where most reads are; each step is memory, so there are few.
const SPANS: [u32; 7] = [16, 64, 256, 4 << 10, 64 << 10, 1 << 20, 16 << 20];

/// Changes in the smallest table: one a snapshot. Their keys are one cache line.
const FEW: usize = SPANS[0] as usize;

/// How far below a checkpoint's snapshot one is added when it is made, for the span it covers.
const fn delay(span: u32) -> u32 {
    if span == SPANS[0] { 2 } else { span / 4 }
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
    Some,
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
                return if is_there { Word::Some } else { Word::Silent };
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

    /// Its changes, the newest of a key before older ones. `index` is the checkpoint's snapshot.
    fn collect(&self, arena: &Arena, index: u32, into: &mut Vec<(u32, u32)>) {
        match self {
            Self::Few(_) => collect_steps(arena, index, into),
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

    /// Of the changes of the smallest span, as [`collect_steps`] gives them.
    fn smallest(mut newest: Vec<(u32, u32)>, bound: usize) -> Self {
        if newest.len() > FEW {
            return Self::new(newest, bound);
        }
        newest.resize(FEW, (NONE, NONE));
        Self::Few(core::array::from_fn(|n| newest[n].0))
    }

    /// Of changes, the newest of a key before older ones; `bound` is above all key numbers.
    fn new(mut newest: Vec<(u32, u32)>, bound: usize) -> Self {
        newest.sort_by_key(|(key, _)| *key);
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
}

/// The changes of the snapshots of the smallest span that ends with `index`, from the newest to the oldest.
fn collect_steps(arena: &Arena, index: u32, into: &mut Vec<(u32, u32)>) {
    let mut index = index;
    for _ in 0..SPANS[0] {
        into.extend(arena.changes(index).iter().map(|(key, _)| (key.0, index)));
        index = arena.link(index).parent;
    }
}

/// The checkpoints of a tree.
#[derive(Clone, Debug, Default)]
pub(super) struct Checkpoints {
    slab: Slab<Checkpoint>,
}

impl Checkpoints {
    /// The snapshot that changed the key last, from `start` up, and where in its delta.
    #[inline]
    pub(super) fn find(&self, arena: &Arena, start: u32, key: KeyId) -> Option<(u32, Place)> {
        let wanted = Wanted::new(key);
        let mut index = start;
        let mut checkpoint = NONE;
        let depth = arena.node(start).depth;
        // The nearest that could have a checkpoint has none if the tree does not go on far enough below it; the next has.
        let to_first = depth % SPANS[0];
        for steps in [to_first, SPANS[0].min(depth - to_first)] {
            match find_by_steps(arena, index, steps, wanted) {
                Ok(found) => return Some(found),
                Err(end) => index = end,
            }
            checkpoint = arena.node(index).checkpoint;
            if checkpoint != NONE {
                break;
            }
        }
        while let Some(next) = self.slab.get(checkpoint as usize) {
            match next.table.find(key) {
                Word::Node(node) => return Some((node, arena.changes(node).find(key)?)),
                Word::Some => return find_by_steps(arena, index, SPANS[0], wanted).ok(),
                Word::Never => return None,
                Word::Silent => (checkpoint, index) = (next.below, next.start),
            }
        }
        Some((index, arena.changes(index).find(key)?))
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
        if self.slab.is_empty() {
            self.slab = Slab::new();
        }
    }

    /// Seldom, and large: not to be copied into the way that every fork takes.
    #[cold]
    fn add_above(&mut self, arena: &mut Arena, index: u32, bound: usize) {
        let mut at = (0..delay(SPANS[0])).fold(index, |index, _| arena.link(index).parent);
        if arena.node(at).checkpoint != NONE {
            return;
        }
        let mut newest = Vec::new();
        collect_steps(arena, at, &mut newest);
        let start = (0..SPANS[0]).fold(at, |index, _| arena.link(index).parent);
        let table = if pays(bound, newest.len(), SPANS[0]) {
            self.all(arena, newest, start, bound)
        } else {
            Table::smallest(newest, bound)
        };
        let below = arena.node(start).checkpoint;
        // UNWRAP: there are fewer checkpoints than snapshots.
        let id = u32::try_from(self.slab.insert(Checkpoint { table, below, start }))
            .expect("an index fits in 32 bits");
        arena.node_mut(at).checkpoint = id;

        // It may be what a larger one further up waited for.
        for sizes in SPANS.windows(2) {
            let &[span, larger] = sizes else { return };
            let depth = arena.node(at).depth;
            if depth % larger != delay(larger) || depth < larger {
                return;
            }
            for _ in 0..delay(larger) / span {
                // Beyond one of all keys nobody reads.
                if self.is_whole(arena, at) {
                    return;
                }
                at = self.of(arena, at).start;
            }
            let depth = arena.node(at).depth;
            // It may be larger already, because of another branch below it; so are those further up, then.
            let covered = depth - arena.node(self.of(arena, at).start).depth;
            if self.is_whole(arena, at) || covered > span {
                return;
            }
            self.widen(arena, at, span, larger, bound);
        }
    }

    /// The checkpoint of a snapshot that has one.
    fn of(&self, arena: &Arena, index: u32) -> &Checkpoint {
        &self.slab[arena.node(index).checkpoint as usize]
    }

    fn is_whole(&self, arena: &Arena, index: u32) -> bool {
        matches!(self.of(arena, index).table, Table::All(_))
    }

    /// Makes a snapshot's checkpoint cover the larger span, of what those of the smaller one cover.
    fn widen(&mut self, arena: &Arena, index: u32, span: u32, larger: u32, bound: usize) {
        let mut newest = Vec::new();
        let mut start = index;
        for _ in 0..larger / span {
            // What lies below one of all keys is never read.
            if self.is_whole(arena, start) {
                break;
            }
            let next = self.of(arena, start);
            next.table.collect(arena, start, &mut newest);
            start = next.start;
        }
        let table = if pays(bound, newest.len(), larger) {
            self.all(arena, newest, start, bound)
        } else {
            Table::new(newest, bound)
        };
        let below = arena.node(start).checkpoint;
        self.slab[arena.node(index).checkpoint as usize] = Checkpoint { table, below, start };
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
        let (mut start, mut older) = (start, Vec::new());
        while let Some(checkpoint) = self.slab.get(arena.node(start).checkpoint as usize) {
            checkpoint.table.collect(arena, start, &mut older);
            older.drain(..).for_each(&mut note);
            if matches!(checkpoint.table, Table::All(_)) {
                return Table::All(nodes.into());
            }
            start = checkpoint.start;
        }
        arena.changes(start).iter().for_each(|(key, _)| note((key.0, start)));
        Table::All(nodes.into())
    }
}

/// Whether a table of all keys is not much larger than one of so many changes over a span.
fn pays(bound: usize, changes: usize, span: u32) -> bool {
    bound <= 4 * changes.max(span as usize)
}

/// The nearest of `steps` snapshots up from `index` that changed the key, or where the steps lead if there is none.
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
