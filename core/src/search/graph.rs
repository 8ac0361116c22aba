// SPDX-License-Identifier: MIT
//! The graph in memory: one node for each distinct state, edges with visit counts.
//!
//! A node is four words that a descent reads together (value, facts, evaluation, and where its edges stand), apart from what only
//! the node's own turn needs (its state). A node's edges are a block of columns, links and visits first, since these are all that a
//! choice among them reads as a rule. Edges are made when a node is first entered, not when it is met: most nodes of a search
//! are met once. All words are atomic, so threads share a graph without a lock; what makes room for
//! more, and what forgets, needs it alone. What values mean is left to the backup.
//!
//! A key names one node: equal states are found by an open-addressed index over the nodes' own words.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::{AtomicU32, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

use crossbeam_utils::CachePadded;

use super::column::{Column, add, prefetch};
use super::facts::{Bounds, Facts};
use super::game::{Choice, MAX_WORDS, Packed};
use super::settings::MOST_AT_ONCE;

/// Names a node of one search. The number of a node that was forgotten is given to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(super) u32);

impl NodeId {
    /// The node's number.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }
}

/// Names an edge: the node it leaves, and its place among that node's edges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EdgeId {
    /// The node that the edge leaves.
    pub parent: NodeId,
    /// Its place among the node's edges.
    pub index: u32,
}

/// What a graph keeps of each node and edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) state_words: usize,
    /// Nodes know their parents, their depth and the best that is below them.
    pub(super) wide: bool,
    /// Edges count how often they led back to where the search had come from.
    pub(super) repeats: bool,
}

impl Layout {
    const fn cold_words(self) -> usize {
        self.state_words + if self.wide { 3 } else { 0 }
    }

    const fn edge_words(self, uniform: bool) -> usize {
        3 + if uniform { 0 } else { 1 }
            + if self.repeats { 1 } else { 0 }
            + if self.wide { 2 } else { 0 }
    }

    /// A header, then the edges.
    const fn block_len(self, count: usize, uniform: bool) -> usize {
        1 + count * self.edge_words(uniform)
    }
}

/// Where a node's edges stand, or why there are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Nobody asked for them yet.
    Unasked,
    /// Somebody is asking.
    Claimed,
    At(u32),
}

impl Place {
    const UNASKED: u32 = 0;
    const CLAIMED: u32 = 1;
    /// Blocks begin behind the two numbers that are no places.
    pub(super) const FIRST: u32 = 2;

    const fn of(word: u32) -> Self {
        match word {
            Self::UNASKED => Self::Unasked,
            Self::CLAIMED => Self::Claimed,
            at => Self::At(at),
        }
    }
}

/// Where an edge leads, in a word.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Link {
    Untried,
    /// Somebody is trying it.
    Claimed,
    Closed,
    Node(u32),
    /// A node that was forgotten: what it was worth, and whether nothing was left to learn there.
    Forgotten {
        value: f64,
        bounds: Bounds,
        complete: bool,
    },
}

impl Link {
    const UNTRIED: u32 = 0;
    const CLAIMED: u32 = 1;
    const CLOSED: u32 = 2;
    const FIRST_NODE: u32 = 3;
    const FORGOTTEN: u32 = 1 << 31;
    /// Bits of a forgotten node's value: finer than an f32 near one.
    const VALUE_BITS: u32 = 26;
    const VALUE_MASK: u32 = (1 << Self::VALUE_BITS) - 1;
    const WAS_COMPLETE: u32 = 1 << 30;
    /// Above every node's number.
    pub(super) const NODES: u32 = Self::FORGOTTEN - Self::FIRST_NODE;

    /// The node that an edge leads to, if it leads to one: what the link says, in short.
    #[inline]
    pub(super) fn node(word: &AtomicU32) -> Option<u32> {
        let node = word.load(Acquire).wrapping_sub(Self::FIRST_NODE);
        (node < Self::NODES).then_some(node)
    }

    pub(super) fn of(word: u32) -> Self {
        match word {
            Self::UNTRIED => Self::Untried,
            Self::CLAIMED => Self::Claimed,
            Self::CLOSED => Self::Closed,
            word if word & Self::FORGOTTEN != 0 => Self::Forgotten {
                value: f64::from(word & Self::VALUE_MASK) / f64::from(Self::VALUE_MASK),
                bounds: Facts::bounds_of(word >> Self::VALUE_BITS),
                complete: word & Self::WAS_COMPLETE != 0,
            },
            word => Self::Node(word - Self::FIRST_NODE),
        }
    }

    pub(super) fn word(self) -> u32 {
        match self {
            Self::Untried => Self::UNTRIED,
            Self::Claimed => Self::CLAIMED,
            Self::Closed => Self::CLOSED,
            Self::Node(node) => node + Self::FIRST_NODE,
            Self::Forgotten { value, bounds, complete } => {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "at most the mask"
                )]
                let value = libm::round(value * f64::from(Self::VALUE_MASK)) as u32;
                let complete = if complete { Self::WAS_COMPLETE } else { 0 };
                Self::FORGOTTEN | complete | Facts::bits_of(bounds) << Self::VALUE_BITS | value
            }
        }
    }
}

/// The edges of one node: columns one after the other, of links, visits, actions, and then as the layout has them of priors, of
/// repeats, and of pairs of kin.
#[derive(Clone, Copy)]
pub(super) struct Edges<'g> {
    words: &'g [AtomicU32],
    count: usize,
    uniform: bool,
    layout: Layout,
    offset: u32,
}

/// One action at one node.
#[derive(Clone, Copy)]
pub(super) struct EdgeRef<'g> {
    link: &'g AtomicU32,
    visits: &'g AtomicU32,
    edges: Edges<'g>,
    index: usize,
}

impl<'g> Edges<'g> {
    /// Words that they take, with their header.
    pub(super) fn block_len(self) -> usize {
        1 + self.words.len()
    }

    #[inline]
    pub(super) fn iter(self) -> impl ExactSizeIterator<Item = EdgeRef<'g>> {
        let (links, visits) = self.columns();
        let pairs = links.iter().zip(visits).enumerate();
        pairs.map(move |(index, (link, visits))| EdgeRef { link, visits, edges: self, index })
    }

    /// Its edge at `index`, which is below its length.
    #[inline]
    pub(super) fn at(self, index: u32) -> EdgeRef<'g> {
        let index = index as usize;
        let (links, rest) = self.words.split_at(self.count);
        EdgeRef { link: &links[index], visits: &rest[index], edges: self, index }
    }

    /// The columns of links and visits.
    #[inline]
    pub(super) fn columns(self) -> (&'g [AtomicU32], &'g [AtomicU32]) {
        let (links, rest) = self.words.split_at(self.count);
        (links, &rest[..self.count])
    }

    /// Visits of all of them.
    #[inline]
    pub(super) fn visits(self) -> u64 {
        self.columns().1.iter().map(|visits| u64::from(visits.load(Relaxed))).sum()
    }

    /// Whether none is preferred.
    #[inline]
    pub(super) const fn is_uniform(self) -> bool {
        self.uniform
    }

    /// The share of each, where none is preferred.
    #[inline]
    pub(super) fn even_share(self) -> f64 {
        1.0 / self.count as f64
    }

    /// The place of an edge's link in the whole column.
    pub(super) fn place(self, index: u32) -> u32 {
        // A block lies in a column of 32-bit places.
        self.offset + 1 + index
    }

    /// The place of an edge's kin, two words: in a wide graph, the node that it leaves and the next edge with the same child.
    pub(super) fn kin_place(self, index: u32) -> u32 {
        self.offset + 1 + place(self.kin_at()) + 2 * index
    }

    const fn kin_at(self) -> usize {
        let columns =
            3 + if self.uniform { 0 } else { 1 } + if self.layout.repeats { 1 } else { 0 };
        columns * self.count
    }
}

impl<'g> EdgeRef<'g> {
    #[inline]
    pub(super) fn link(self) -> Link {
        Link::of(self.link.load(Acquire))
    }

    pub(super) fn set_link(self, link: Link) {
        self.link.store(link.word(), Release);
    }

    /// Takes the edge to try it, unless somebody was faster.
    #[inline]
    pub(super) fn claim<const SHARED: bool>(self, from: Link) -> bool {
        if SHARED {
            let (from, to) = (from.word(), Link::CLAIMED);
            self.link.compare_exchange(from, to, Acquire, Relaxed).is_ok()
        } else {
            self.set_link(Link::Claimed);
            true
        }
    }

    #[inline]
    pub(super) fn visits(self) -> u32 {
        self.visits.load(Relaxed)
    }

    /// Counts visits, as far as 32 bits go.
    #[inline]
    pub(super) fn visit<const SHARED: bool>(self, visits: u32) {
        if self.visits() < u32::MAX - visits {
            add::<SHARED>(self.visits, visits);
        }
    }

    /// Takes visits back.
    pub(super) fn unvisit<const SHARED: bool>(self, visits: u32) {
        add::<SHARED>(self.visits, visits.wrapping_neg());
    }

    /// Its word in one of the columns.
    #[inline]
    fn word(self, column: usize) -> &'g AtomicU32 {
        &self.edges.words[column * self.edges.count + self.index]
    }

    #[inline]
    pub(super) fn action(self) -> u32 {
        self.word(2).load(Relaxed)
    }

    /// Its prior, unless all are equal.
    #[inline]
    pub(super) fn prior(self) -> Option<f64> {
        (!self.edges.uniform).then(|| f64::from(f32::from_bits(self.word(3).load(Relaxed))))
    }

    fn repeats_word(self) -> Option<&'g AtomicU32> {
        self.edges.layout.repeats.then(|| self.word(if self.edges.uniform { 3 } else { 4 }))
    }

    /// How many of the visits led back to where the search had come from.
    #[inline]
    pub(super) fn repeats(self) -> u32 {
        self.repeats_word().map_or(0, |word| word.load(Relaxed))
    }

    pub(super) fn repeat<const SHARED: bool>(self) {
        if let Some(word) = self.repeats_word() {
            add::<SHARED>(word, 1);
        }
    }

    /// The node it leaves and the place of the next edge with the same child, in a wide graph.
    pub(super) fn kin(self) -> Option<[&'g AtomicU32; 2]> {
        let at = self.edges.kin_at() + 2 * self.index;
        match self.edges.words.get(at..at + 2)? {
            [owner, next] => Some([owner, next]),
            _ => None,
        }
    }
}

/// Numbers that were given up, for others to take.
#[derive(Default)]
pub(super) struct Spare {
    pub(super) list: Vec<u32>,
    pub(super) taken: CachePadded<AtomicU32>,
}

impl Spare {
    fn take<const SHARED: bool>(&self) -> Option<u32> {
        let taken = self.taken.load(Relaxed);
        if taken as usize >= self.list.len() {
            return None;
        }
        self.list.get(add::<SHARED>(&self.taken, 1) as usize).copied()
    }

    fn is_empty(&self) -> bool {
        self.taken.load(Relaxed) as usize >= self.list.len()
    }

    /// Those that are left, in the order in which they will be taken.
    pub(super) fn left(&self) -> &[u32] {
        self.list.get(self.taken.load(Relaxed) as usize..).unwrap_or_default()
    }

    pub(super) fn give(&mut self, number: u32) {
        let taken = core::mem::take(self.taken.get_mut()) as usize;
        self.list.drain(..taken.min(self.list.len()));
        self.list.push(number);
    }
}

pub(super) struct Graph {
    pub(super) layout: Layout,
    /// Value, facts, evaluation, place of the edges.
    pub(super) hot: Column,
    /// State, and in a wide graph: best, depth, place of the first edge that leads here.
    pub(super) cold: Column,
    pub(super) edges: Column,
    /// By the hash of their states, numbers of nodes, one more than they are, or 0 where there is none; and the hash, or 0 while it is
    /// not yet known, so that states that are not alike need not be read.
    index: Vec<[AtomicU32; 2]>,
    /// Above every number ever given to a node.
    pub(super) nodes_end: CachePadded<AtomicU32>,
    pub(super) spare_nodes: Spare,
    /// Numbers below that end which no node was made of, since another worker was faster; until the graph is swept.
    pub(super) unused: CachePadded<AtomicU32>,
    /// Above every place ever given to a block of edges.
    pub(super) edges_end: CachePadded<AtomicU32>,
    /// Blocks that were given up, by their length.
    pub(super) spare_blocks: BTreeMap<u32, Spare>,
}

/// The most words that a block of edges may have: what makes a chunk of their column.
const BLOCK_SHIFT: u32 = 16;
/// Nodes in a chunk.
const NODE_SHIFT: u32 = 12;
const UNIFORM: u32 = 1 << 31;

impl Graph {
    pub(super) fn new(layout: Layout) -> Self {
        let mut graph = Self {
            layout,
            hot: Column::new(4, NODE_SHIFT),
            cold: Column::new(layout.cold_words(), NODE_SHIFT),
            edges: Column::new(1, BLOCK_SHIFT),
            index: Vec::new(),
            nodes_end: AtomicU32::new(0).into(),
            spare_nodes: Spare::default(),
            unused: AtomicU32::new(0).into(),
            edges_end: AtomicU32::new(Place::FIRST).into(),
            spare_blocks: BTreeMap::new(),
        };
        graph.make_room();
        graph
    }

    // --- Nodes ---

    /// Where a node's row has the place of its edges.
    pub(super) const PLACE: usize = 3;

    /// A node's row: value, facts, evaluation, place of the edges.
    #[inline]
    fn head(&self, node: u32) -> &[AtomicU32; 4] {
        self.hot.quad::<NODE_SHIFT>(node)
    }

    #[inline]
    pub(super) fn facts(&self, node: u32) -> Facts {
        Facts(self.head(node)[1].load(Relaxed))
    }

    #[inline]
    pub(super) fn value_and_facts(&self, node: u32) -> (f64, Facts) {
        let row = self.head(node);
        (f64::from(f32::from_bits(row[0].load(Relaxed))), Facts(row[1].load(Relaxed)))
    }

    #[inline]
    pub(super) fn set_value(&self, node: u32, value: f64) {
        self.head(node)[0].store(bits(value), Relaxed);
    }

    /// Adds facts; none is taken back.
    #[inline]
    pub(super) fn add_facts<const SHARED: bool>(&self, node: u32, bits: u32) {
        let word = &self.head(node)[1];
        if SHARED {
            word.fetch_or(bits, Relaxed);
        } else {
            word.store(word.load(Relaxed) | bits, Relaxed);
        }
    }

    /// Says whether a node is complete, which may be taken back where depths are limited.
    pub(super) fn set_complete(&self, node: u32, complete: bool) {
        let word = &self.head(node)[1];
        let facts = word.load(Relaxed) & !Facts::COMPLETE;
        word.store(facts | if complete { Facts::COMPLETE } else { 0 }, Relaxed);
    }

    #[inline]
    pub(super) fn evaluation(&self, node: u32) -> f64 {
        f64::from(f32::from_bits(self.head(node)[2].load(Relaxed)))
    }

    #[inline]
    pub(super) fn place(&self, node: u32) -> Place {
        Place::of(self.head(node)[Self::PLACE].load(Acquire))
    }

    /// Takes a node to ask for its edges, unless somebody was faster.
    pub(super) fn claim_edges<const SHARED: bool>(&self, node: u32) -> bool {
        let word = &self.head(node)[Self::PLACE];
        if SHARED {
            word.compare_exchange(Place::UNASKED, Place::CLAIMED, Acquire, Relaxed).is_ok()
        } else {
            word.store(Place::CLAIMED, Relaxed);
            true
        }
    }

    pub(super) fn unclaim_edges(&self, node: u32) {
        self.head(node)[Self::PLACE].store(Place::UNASKED, Release);
    }

    #[inline]
    pub(super) fn state<S: Packed>(&self, node: u32) -> S {
        let mut words = [0; MAX_WORDS];
        let row = self.cold.row(node);
        for (word, atomic) in words.iter_mut().zip(&row[..S::WORDS]) {
            *word = atomic.load(Relaxed);
        }
        S::unpack(&words[..S::WORDS])
    }

    fn has_state(&self, node: u32, words: &[u32]) -> bool {
        let row = self.cold.row(node);
        words.iter().zip(row).all(|(word, atomic)| *word == atomic.load(Relaxed))
    }

    fn wide(&self, node: u32, field: usize) -> Option<&AtomicU32> {
        self.layout.wide.then(|| &self.cold.row(node)[self.layout.state_words + field])
    }

    /// The best evaluation below a node, in a wide graph.
    pub(super) fn best(&self, node: u32) -> f64 {
        self.wide(node, 0).map_or(0.0, |word| f64::from(f32::from_bits(word.load(Relaxed))))
    }

    pub(super) fn set_best(&self, node: u32, best: f64) {
        if let Some(word) = self.wide(node, 0) {
            word.store(bits(best), Relaxed);
        }
    }

    /// A node's shortest known distance from the root, in a wide graph.
    pub(super) fn depth(&self, node: u32) -> u32 {
        self.wide(node, 1).map_or(0, |word| word.load(Relaxed))
    }

    pub(super) fn set_depth(&self, node: u32, depth: u32) {
        if let Some(word) = self.wide(node, 1) {
            word.store(depth, Relaxed);
        }
    }

    /// The place of the edge that was last linked to a node, or 0; of a wide graph.
    pub(super) fn first_kin(&self, node: u32) -> u32 {
        self.wide(node, 2).map_or(0, |word| word.load(Relaxed))
    }

    /// The nodes that an edge to this one leaves, the last linked first; of a wide graph.
    pub(super) fn parents(&self, node: u32) -> impl Iterator<Item = u32> {
        let mut next = self.first_kin(node);
        core::iter::from_fn(move || {
            let at = next.checked_sub(Place::FIRST).map(|_| next)?;
            let [owner, sibling] = self.edges.rows(at, 2) else { return None };
            next = sibling.load(Relaxed);
            Some(owner.load(Relaxed))
        })
    }

    /// Notes that an edge leads to `child`, in a wide graph.
    pub(super) fn adopt(&self, edges: Edges<'_>, index: u32, child: u32) {
        let (Some([_, next]), Some(first)) = (edges.at(index).kin(), self.wide(child, 2)) else {
            return;
        };
        next.store(first.load(Relaxed), Relaxed);
        first.store(edges.kin_place(index), Relaxed);
    }

    /// Forgets who leads to `child`, in a wide graph.
    pub(super) fn orphan(&self, child: u32) {
        if let Some(first) = self.wide(child, 2) {
            first.store(0, Relaxed);
        }
    }

    /// The numbers of all nodes, ascending.
    pub(super) fn nodes(&self) -> impl Iterator<Item = u32> {
        (0..self.nodes_end.load(Relaxed)).filter(|node| self.facts(*node) != Facts::FREE)
    }

    /// Number of nodes.
    pub(super) fn len(&self) -> usize {
        let unused = self.unused.load(Relaxed) as usize;
        self.nodes_end.load(Relaxed) as usize - self.spare_nodes.left().len() - unused
    }

    // --- Edges ---

    #[inline]
    pub(super) fn edges_at(&self, offset: u32) -> Edges<'_> {
        let block = self.edges.tail::<BLOCK_SHIFT>(offset);
        let header = block[0].load(Relaxed);
        let uniform = header & UNIFORM != 0;
        let count = (header & !UNIFORM) as usize;
        let words = &block[1..][..count * self.layout.edge_words(uniform)];
        Edges { words, count, uniform, layout: self.layout, offset }
    }

    /// Words of the block at `offset`, by its header alone.
    pub(super) fn block_len_at(&self, offset: u32) -> usize {
        let header = self.edges.row(offset)[0].load(Relaxed);
        self.layout.block_len((header & !UNIFORM) as usize, header & UNIFORM != 0)
    }

    /// Asks for the edges of a node that may be entered next, if it has any: what is asked for in vain is cheap.
    #[inline]
    pub(super) fn prefetch_edges(&self, node: u32) {
        self.edges.prefetch::<BLOCK_SHIFT>(self.head(node)[Self::PLACE].load(Relaxed));
    }

    /// A node's edges, if it was entered.
    #[inline]
    pub(super) fn edges(&self, node: u32) -> Option<Edges<'_>> {
        match self.place(node) {
            Place::At(offset) => Some(self.edges_at(offset)),
            Place::Unasked | Place::Claimed => None,
        }
    }

    /// The most edges that a node can have.
    pub(super) const fn most_edges(&self) -> usize {
        ((1 << BLOCK_SHIFT) - 1) / self.layout.edge_words(false)
    }

    /// Lays out the edges of a node, of which there are no more than there can be, unless there is no room. They are its own once they are
    /// [given](Self::give) to it.
    pub(super) fn lay_edges<const SHARED: bool>(
        &self,
        node: u32,
        choices: &[Choice],
    ) -> Option<Edges<'_>> {
        let uniform = choices.windows(2).all(|pair| pair[0].prior == pair[1].prior);
        let len = self.layout.block_len(choices.len(), uniform);
        let offset = self.take_block::<SHARED>(place(len))?;
        let header = place(choices.len()) | if uniform { UNIFORM } else { 0 };
        self.edges.row(offset)[0].store(header, Relaxed);
        let sum: f64 = choices.iter().map(|choice| f64::from(choice.prior)).sum();
        let edges = self.edges_at(offset);
        edges.words.iter().for_each(|word| word.store(0, Relaxed));
        for (edge, choice) in edges.iter().zip(choices) {
            edge.word(2).store(choice.action.0, Relaxed);
            if !uniform {
                edge.word(3).store(bits(f64::from(choice.prior) / sum), Relaxed);
            }
            if let Some([owner, _]) = edge.kin() {
                owner.store(node, Relaxed);
            }
        }
        Some(edges)
    }

    /// Gives a node the edges that were laid out for it, for all to see.
    pub(super) fn give(&self, node: u32, edges: Edges<'_>) {
        self.head(node)[Self::PLACE].store(edges.offset, Release);
    }

    /// Gives the edges of a node that is gone back. Returns how many words they were.
    pub(super) fn give_edges(&mut self, node: u32) {
        if let Place::At(offset) = self.place(node) {
            let edges = self.edges_at(offset);
            let len = place(edges.block_len());
            self.spare_blocks.entry(len).or_default().give(offset);
        }
    }

    fn take_block<const SHARED: bool>(&self, len: u32) -> Option<u32> {
        if let Some(spare) = self.spare_blocks.get(&len).and_then(Spare::take::<SHARED>) {
            return Some(spare);
        }
        let chunk = self.edges.chunk_len();
        let mut end = self.edges_end.load(Relaxed);
        loop {
            // A block lies within a chunk.
            let start = if end % chunk + len > chunk { end.next_multiple_of(chunk) } else { end };
            let after = start.checked_add(len).filter(|after| *after <= self.edges.capacity())?;
            if !SHARED {
                self.edges_end.store(after, Relaxed);
                return Some(start);
            }
            match self.edges_end.compare_exchange_weak(end, after, Relaxed, Relaxed) {
                Ok(_) => return Some(start),
                Err(other) => end = other,
            }
        }
    }

    // --- States ---

    /// The node of a state, if it was met.
    #[inline]
    pub(super) fn find<S: Packed>(&self, state: &S) -> Option<u32> {
        let mut words = [0; MAX_WORDS];
        let words = &mut words[..S::WORDS];
        state.pack(words);
        self.probe(hash(words), words).ok()
    }

    /// The node of a state, or the place in the index where it would be entered.
    fn probe(&self, hash: u32, words: &[u32]) -> Result<u32, usize> {
        let mask = self.index.len() - 1;
        let mut at = slot(hash, mask);
        loop {
            let [node, known] = &self.index[at];
            let Some(node) = node.load(Acquire).checked_sub(1) else { return Err(at) };
            let known = known.load(Relaxed);
            if (known == hash || known == 0) && self.has_state(node, words) {
                return Ok(node);
            }
            at = (at + 1) & mask;
        }
    }

    /// Asks for where a state would be found, which costs nothing where others can be looked at meanwhile, so that it is at hand later.
    #[inline]
    pub(super) fn prefetch<S: Packed>(&self, state: &S) {
        let mut words = [0; MAX_WORDS];
        let words = &mut words[..S::WORDS];
        state.pack(words);
        prefetch(&self.index, slot(hash(words), self.index.len() - 1));
    }

    /// Makes a state a node, unless it is one: then that is the error. `None` if there is no room.
    pub(super) fn insert<const SHARED: bool, S: Packed>(
        &self,
        state: &S,
        facts: Facts,
        evaluation: f64,
        depth: u32,
        numbers: &mut Range<u32>,
    ) -> Option<Result<u32, u32>> {
        let mut packed = [0; MAX_WORDS];
        let words = &mut packed[..S::WORDS];
        state.pack(words);
        let hash = hash(words);
        let mut at = match self.probe(hash, words) {
            Ok(other) => return Some(Err(other)),
            Err(at) => at,
        };
        let node = match numbers.next() {
            Some(number) => number,
            None => self.take_node::<SHARED>()?,
        };
        for (atomic, word) in self.cold.row(node).iter().zip(&*words) {
            atomic.store(*word, Relaxed);
        }
        let [value, kept_facts, kept_evaluation, place] = self.head(node);
        value.store(bits(evaluation), Relaxed);
        kept_evaluation.store(bits(evaluation), Relaxed);
        place.store(Place::UNASKED, Relaxed);
        self.set_best(node, evaluation);
        self.set_depth(node, depth);
        self.orphan(node);
        kept_facts.store(facts.0, Relaxed);
        if !SHARED {
            self.enter(at, node, hash);
            return Some(Ok(node));
        }
        while self.index[at][0].compare_exchange(0, node + 1, Release, Relaxed).is_err() {
            match self.probe(hash, words) {
                Ok(other) => {
                    // Somebody was faster just now.
                    kept_facts.store(Facts::FREE.0, Relaxed);
                    self.leave_numbers(1);
                    return Some(Err(other));
                }
                Err(next) => at = next,
            }
        }
        self.index[at][1].store(hash, Relaxed);
        Some(Ok(node))
    }

    /// Enters a node at a free place of the index that nobody else may take.
    fn enter(&self, at: usize, node: u32, hash: u32) {
        let [number, known] = &self.index[at];
        known.store(hash, Relaxed);
        number.store(node + 1, Release);
    }

    /// Numbers that were never given, for so many nodes at once; none if there is no room for all, or while there are spare ones.
    pub(super) fn take_numbers<const SHARED: bool>(&self, count: u32) -> Range<u32> {
        let mut end = self.nodes_end.load(Relaxed);
        while self.spare_nodes.is_empty() && end.saturating_add(count) <= self.room() {
            if !SHARED {
                self.nodes_end.store(end + count, Relaxed);
                return end..end + count;
            }
            match self.nodes_end.compare_exchange_weak(end, end + count, Relaxed, Relaxed) {
                Ok(_) => return end..end + count,
                Err(other) => end = other,
            }
        }
        0..0
    }

    /// Leaves so many numbers that were taken, of which no node was made. They are taken up again when the graph is next swept.
    pub(super) fn leave_numbers(&self, count: u32) {
        if count > 0 {
            self.unused.fetch_add(count, Relaxed);
        }
    }

    fn take_node<const SHARED: bool>(&self) -> Option<u32> {
        if let Some(spare) = self.spare_nodes.take::<SHARED>() {
            return Some(spare);
        }
        self.take_numbers::<SHARED>(1).next()
    }

    /// How many nodes there is memory for, with an index that is at most three quarters full.
    fn room(&self) -> u32 {
        let indexed = u32::try_from(self.index.len() / 4 * 3).unwrap_or(u32::MAX);
        self.hot.capacity().min(indexed).min(Link::NODES)
    }

    // --- Room ---

    /// Whether a thread that is alone should make room before it goes on.
    #[inline]
    pub(super) fn is_tight(&self) -> bool {
        let nodes = self.room() - self.nodes_end.load(Relaxed).min(self.room());
        let words = self.edges.capacity() - self.edges_end.load(Relaxed);
        // A step makes so many nodes and a block at most, which may begin in the next chunk.
        nodes <= MOST_AT_ONCE || words < 2 * self.edges.chunk_len()
    }

    /// Makes room for a sixteenth more, at least a chunk of each column.
    pub(super) fn make_room(&mut self) {
        self.make_room_for(self.nodes_end.load(Relaxed) / 16);
    }

    /// Makes room for so many nodes more and for as many edges as such nodes have had, at least a chunk of each column.
    pub(super) fn make_room_for(&mut self, more: u32) {
        let nodes = self.nodes_end.load(Relaxed);
        let wanted = nodes.saturating_add(more.max(self.hot.chunk_len()));
        while self.hot.capacity() < wanted.min(Link::NODES) {
            self.hot.grow();
            self.cold.grow();
        }
        let end = u64::from(self.edges_end.load(Relaxed));
        // Of a graph that has just begun, few nodes were entered.
        let of_each = (end / u64::from(nodes.max(1))).max(4);
        // Two chunks more, with which it is not yet tight.
        let wanted = end + u64::from(more) * of_each + 2 * u64::from(self.edges.chunk_len());
        while u64::from(self.edges.capacity()) < wanted
            && self.edges.capacity() <= u32::MAX - self.edges.chunk_len()
        {
            self.edges.grow();
        }
        let wanted = (self.hot.capacity() as usize / 3 * 4 + 4).next_power_of_two();
        if self.index.len() < wanted {
            let before = core::mem::take(&mut self.index);
            self.begin_index(wanted);
            // Ascending by hash, so that the places are looked at in turn, both of the old and of the new.
            for [number, hash] in before {
                if let Some(node) = number.into_inner().checked_sub(1) {
                    let hash = hash.into_inner();
                    self.enter(self.free_place(hash), node, hash);
                }
            }
        }
    }

    /// Whether nothing more can be named, however much memory there is.
    pub(super) fn is_full(&self) -> bool {
        self.is_tight()
            && (self.nodes_end.load(Relaxed) >= Link::NODES - MOST_AT_ONCE
                || self.edges.capacity() > u32::MAX - self.edges.chunk_len())
    }

    /// Makes the index one of so many places, a power of two, all free.
    pub(super) fn begin_index(&mut self, places: usize) {
        self.index = bytemuck::zeroed_vec(places);
    }

    /// Places of the index.
    pub(super) fn index_len(&self) -> usize {
        self.index.len()
    }

    /// Enters all nodes in the index anew.
    pub(super) fn reindex(&mut self) {
        self.index.iter_mut().flatten().for_each(|word| *word.get_mut() = 0);
        for node in self.nodes() {
            let mut words = [0; MAX_WORDS];
            let words = &mut words[..self.layout.state_words];
            for (word, atomic) in words.iter_mut().zip(self.cold.row(node)) {
                *word = atomic.load(Relaxed);
            }
            let hash = hash(words);
            self.enter(self.free_place(hash), node, hash);
        }
    }

    /// The place where a hash that is not in the index yet would be entered.
    fn free_place(&self, hash: u32) -> usize {
        let mask = self.index.len() - 1;
        let mut at = slot(hash, mask);
        while self.index[at][0].load(Relaxed) != 0 {
            at = (at + 1) & mask;
        }
        at
    }

    /// Bytes in use: of nodes, edges and the index. What was given up and not taken again does not count.
    pub(super) fn bytes(&self) -> u64 {
        let node_words = self.hot.stride() + self.cold.stride();
        let spare = self
            .spare_blocks
            .iter()
            .map(|(len, spare)| u64::from(*len) * spare.left().len() as u64);
        let edge_words = u64::from(self.edges_end.load(Relaxed)) - spare.sum::<u64>();
        4 * (self.len() as u64 * node_words as u64 + edge_words + 2 * self.index.len() as u64)
    }
}

/// A length within the column of edges, whose places have 32 bits.
fn place(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// A value as it is kept.
#[expect(clippy::cast_possible_truncation, reason = "rounded to 24 bits")]
fn bits(value: f64) -> u32 {
    (value as f32).to_bits()
}

/// Where a state's place in the index is looked for first.
fn slot(hash: u32, mask: usize) -> usize {
    // The upper bits, so that a larger index has its places in the same order. An index has no more places than a node numbers.
    ((u64::from(hash) * (mask as u64 + 1)) >> 32) as usize
}

/// Spreads a state's words over 32 bits, never 0: multiplications by an odd constant, as in Knuth's TAOCP 3, section 6.4. States come from
/// the game that is searched, not from a stranger, so nobody is kept from making them collide.
fn hash(words: &[u32]) -> u32 {
    let mut hash = 0x9E37_79B9_7F4A_7C15_u64;
    for pair in words.chunks(2) {
        let low = pair.first().copied().map_or(0, u64::from);
        let high = pair.get(1).copied().map_or(0, u64::from);
        hash = (hash ^ (high << 32 | low)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        hash ^= hash >> 32;
    }
    hash = hash.wrapping_mul(0xD6E8_FEB8_6659_FD93);
    (hash >> 32) as u32 | 1
}
