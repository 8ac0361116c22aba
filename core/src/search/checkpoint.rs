// SPDX-License-Identifier: MIT
//! A search as objects: saved, and loaded as it was.
//!
//! The graph is saved as it lies in memory, in pages that are objects; equal pages are stored once, so that saving again
//! stores what changed. What commits them is the *checkpoint*, an object too:
//!
//! | offset | bytes | field |
//! |-------:|------:|-------|
//! | 0 | 4 | magic `CCSE` |
//! | 4 | 1 | version, 3 |
//! | 5 | 1 | words of a packed state |
//! | 6 | 2 | flags that a reader must understand: none yet, zero |
//! | 8 | … | settings, counts, the generator, what room there is, and the pages' names, in canonical `postcard`, to the end |
//!
//! A page is a chunk of one column, up to where it is used: 32-bit little-endian words. A search that goes on from a checkpoint
//! does what it would have done without: the same edges in the same order, the same nodes forgotten.
//!
//! A checkpoint is believed no further than it can be checked: every place, number and count is within its bounds, and what
//! edges lead to is there, before anything is read through it. What the values are is the writer's word.

use alloc::{boxed::Box, vec::Vec};
use core::fmt;
use core::marker::PhantomData;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use hashbrown::HashSet;
use rand_xoshiro::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};

use super::column::Column;
use super::engine::Counts;
use super::facts::Facts;
use super::gains::Gains;
use super::graph::{Edges, Graph, Link, Place, Spare};
use super::settings::Settings;
use super::worker::Worker;
use super::{Game, Generator, Packed, Repetition, Search};
use crate::hash::ContentHash;
use crate::order;
use crate::store::{ObjectStore, StoreError};

const MAGIC: [u8; 4] = *b"CCSE";
const VERSION: u8 = 3;
const HEADER_LEN: usize = 8;

/// Pages put at once: a few MiB.
const BATCH: usize = 32;

/// A search that was saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Saved {
    /// The checkpoint's name.
    pub checkpoint: ContentHash,
    /// Objects that it consists of.
    pub objects: u64,
    /// Of these, those that were not in the store before.
    pub new_objects: u64,
    /// Bytes that these added to the store.
    pub new_bytes: u64,
}

/// Why a search could not be loaded.
#[derive(Debug)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The store failed, or a page is missing or damaged.
    Store(StoreError),
    /// The object is not a checkpoint, or not one that this build can have written.
    NotACheckpoint {
        /// The object.
        object: ContentHash,
    },
    /// The checkpoint is of a version, or has flags, that this build does not read.
    Unsupported {
        /// The object.
        object: ContentHash,
    },
    /// The checkpoint is of another game: its states or its rule of repetition are not this one's.
    OtherGame {
        /// The object.
        object: ContentHash,
    },
    /// The pages contradict each other or the checkpoint.
    Inconsistent {
        /// The object.
        object: ContentHash,
        /// What is wrong.
        what: &'static str,
    },
}

impl fmt::Display for CheckpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => write!(f, "the saved search cannot be read: {error}"),
            Self::NotACheckpoint { object } => write!(f, "object {object} is not a saved search"),
            Self::Unsupported { object } => {
                write!(f, "saved search {object} is of a version that this build does not read")
            }
            Self::OtherGame { object } => write!(f, "saved search {object} is of another game"),
            Self::Inconsistent { object, what } => {
                write!(f, "saved search {object} contradicts itself: {what}")
            }
        }
    }
}

impl core::error::Error for CheckpointError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Store(error) => Some(error),
            _ => None,
        }
    }
}

impl From<StoreError> for CheckpointError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

#[derive(Serialize, Deserialize)]
struct Manifest {
    settings: Settings,
    repetition: Repetition,
    root: u32,
    best: u32,
    counts: Counts,
    generator: [u8; 32],
    idle: u64,
    /// Chunks that there is memory for, of nodes and of edges, and the length of the index: when room is made depends on them.
    room: [u32; 3],
    nodes_end: u32,
    edges_end: u32,
    spare_blocks: Vec<(u32, Vec<u32>)>,
    gains: Vec<(u32, f64, u32)>,
    hot: Vec<ContentHash>,
    cold: Vec<ContentHash>,
    edges: Vec<ContentHash>,
}

impl Manifest {
    fn read(store: &impl ObjectStore, object: ContentHash) -> Result<(u8, Self), CheckpointError> {
        let bytes = store.get(&object)?;
        let not = CheckpointError::NotACheckpoint { object };
        let Some((header, body)) = bytes.split_first_chunk::<HEADER_LEN>() else { return Err(not) };
        let [m0, m1, m2, m3, version, state_words, flags @ ..] = *header;
        if [m0, m1, m2, m3] != MAGIC {
            return Err(not);
        }
        if version != VERSION || flags != [0, 0] {
            return Err(CheckpointError::Unsupported { object });
        }
        let Ok(manifest) = postcard::from_bytes::<Self>(body) else { return Err(not) };
        // One encoding for each checkpoint, with nothing left over.
        match postcard::to_allocvec(&manifest) {
            Ok(again) if again == body => Ok((state_words, manifest)),
            _ => Err(not),
        }
    }

    fn pages(&self) -> impl Iterator<Item = &ContentHash> {
        self.hot.iter().chain(&self.cold).chain(&self.edges)
    }
}

/// The objects that a checkpoint consists of, besides itself: what a collector must keep with it.
///
/// # Errors
/// [`CheckpointError`]: there is no checkpoint of that name that can be read.
pub fn pages_of(
    store: &impl ObjectStore,
    checkpoint: ContentHash,
) -> Result<Vec<ContentHash>, CheckpointError> {
    Manifest::read(store, checkpoint).map(|(_, manifest)| manifest.pages().copied().collect())
}

impl<S: Packed> Search<S> {
    /// Saves the search: its graph, statistics, settings and generator. What workers are finding out meanwhile is saved as not
    /// known. O(bytes) hashing; stores the pages that changed since they were last stored.
    ///
    /// # Errors
    /// [`StoreError`]: the store failed; what was saved before stays.
    pub fn save(&self, store: &impl ObjectStore) -> Result<Saved, StoreError> {
        let graph = &self.shared.graph;
        let nodes_end = graph.nodes_end.load(Relaxed);
        let edges_end = graph.edges_end.load(Relaxed);
        let mut saved = Saved {
            checkpoint: store.hash_kind().hash(&[]),
            objects: 0,
            new_objects: 0,
            new_bytes: 0,
        };
        let claimed = graph.claimed();
        let hot = put_pages(store, &graph.hot, nodes_end, &claimed.nodes, &mut saved)?;
        let cold = put_pages(store, &graph.cold, nodes_end, &HashSet::new(), &mut saved)?;
        let edges = put_pages(store, &graph.edges, edges_end, &claimed.edges, &mut saved)?;
        let spare_blocks =
            graph.spare_blocks.iter().map(|(len, spare)| (*len, spare.left().to_vec()));
        let manifest = Manifest {
            settings: self.shared.settings,
            repetition: self.shared.repetition,
            root: self.shared.root,
            best: self.best,
            counts: self.counts,
            generator: self.own.generator.state(),
            idle: self.own.idle,
            room: [
                graph.hot.capacity() / graph.hot.chunk_len(),
                graph.edges.capacity() / graph.edges.chunk_len(),
                u32::try_from(graph.index_len()).unwrap_or(u32::MAX),
            ],
            nodes_end,
            edges_end,
            spare_blocks: spare_blocks.filter(|(_, left)| !left.is_empty()).collect(),
            gains: self.shared.gains.list(),
            hot,
            cold,
            edges,
        };
        // A packed state has at most 16 words.
        let state_words = u8::try_from(S::WORDS).unwrap_or(u8::MAX);
        let header = [MAGIC.as_slice(), &[VERSION, state_words, 0, 0]].concat();
        let object = postcard::to_extend(&manifest, header)
            .map_err(|error| StoreError::Host(Box::new(error)))?;
        let put = store.put(&object)?;
        saved.checkpoint = put.hash;
        saved.add(put.added);
        Ok(saved)
    }

    /// Loads the search that was saved as `checkpoint`, of a game of the type `G`. O(bytes) hashing.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub fn load<G: Game<State = S>>(
        store: &impl ObjectStore,
        checkpoint: ContentHash,
    ) -> Result<Self, CheckpointError> {
        let (state_words, manifest) = Manifest::read(store, checkpoint)?;
        if usize::from(state_words) != S::WORDS || manifest.repetition != G::REPETITION {
            return Err(CheckpointError::OtherGame { object: checkpoint });
        }
        let wrong = |what| CheckpointError::Inconsistent { object: checkpoint, what };
        let Manifest { settings, repetition, generator, .. } = manifest;
        if settings.validate::<core::convert::Infallible>(repetition).is_err() {
            return Err(wrong("settings out of range"));
        }
        let mut own = Worker::new(settings.seed, 0);
        own.generator = Generator::from_seed(generator);
        own.idle = manifest.idle;
        let mut search = Self::empty(settings, repetition, own);
        let graph = &mut search.shared.graph;
        // Checked against the pages, which are there, before memory is asked for.
        manifest.check_room(graph).map_err(wrong)?;
        graph.fill(store, &manifest).map_err(|error| match error {
            Fill::Store(error) => CheckpointError::Store(error),
            Fill::Wrong(what) => wrong(what),
        })?;
        graph.check(&manifest).map_err(wrong)?;
        graph.reindex();
        search.shared.gains = Gains::from_list(manifest.gains);
        search.shared.root = manifest.root;
        search.best = manifest.best;
        search.counts = manifest.counts;
        search.state = PhantomData;
        Ok(search)
    }
}

impl Saved {
    fn add(&mut self, added: Option<u64>) {
        self.objects += 1;
        self.new_objects += u64::from(added.is_some());
        self.new_bytes += added.unwrap_or(0);
    }
}

/// Words that say that somebody is at work, by their places.
#[derive(Default)]
struct Claimed {
    nodes: HashSet<(u32, usize)>,
    edges: HashSet<(u32, usize)>,
}

/// Puts the rows of a column below `end`, but zero for the words at `claimed`.
fn put_pages(
    store: &impl ObjectStore,
    column: &Column,
    end: u32,
    claimed: &HashSet<(u32, usize)>,
    saved: &mut Saved,
) -> Result<Vec<ContentHash>, StoreError> {
    let mut names = Vec::new();
    let mut starts = (0..end).step_by(column.chunk_len() as usize);
    loop {
        let pages: Vec<Vec<u8>> = starts
            .by_ref()
            .take(BATCH)
            .map(|start| {
                let rows = (end - start).min(column.chunk_len());
                let words = column.rows(start, rows as usize);
                let mut page = Vec::with_capacity(4 * words.len());
                for (at, word) in words.iter().enumerate() {
                    let mut word = word.load(Relaxed);
                    if !claimed.is_empty() {
                        // A row's number is below `end`.
                        let row = start + u32::try_from(at / column.stride()).unwrap_or(u32::MAX);
                        if claimed.contains(&(row, at % column.stride())) {
                            word = 0;
                        }
                    }
                    page.extend_from_slice(&word.to_le_bytes());
                }
                page
            })
            .collect();
        if pages.is_empty() {
            return Ok(names);
        }
        let pages: Vec<&[u8]> = pages.iter().map(Vec::as_slice).collect();
        for put in store.put_many(&pages)? {
            names.push(put.hash);
            saved.add(put.added);
        }
    }
}

enum Fill {
    Store(StoreError),
    Wrong(&'static str),
}

impl Manifest {
    fn check_room(&self, graph: &Graph) -> Result<(), &'static str> {
        let [nodes, edges, index] = self.room;
        let chunks = |end: u32, len: u32| end.div_ceil(len) as usize;
        let fits = |pages: &[ContentHash], end, len, room: u32| {
            // A sixteenth more than is used, or a chunk or two, is what was asked for in advance.
            let most = chunks(end, len) + chunks(end, len) / 16 + 4;
            pages.len() == chunks(end, len) && (pages.len()..=most).contains(&(room as usize))
        };
        let node_len = graph.hot.chunk_len();
        let indexed = u64::from(nodes) * u64::from(node_len) * 8;
        if !fits(&self.hot, self.nodes_end, node_len, nodes)
            || !fits(&self.cold, self.nodes_end, node_len, nodes)
            || !fits(&self.edges, self.edges_end, graph.edges.chunk_len(), edges)
            || self.nodes_end > Link::NODES
            || self.edges_end < Place::FIRST
        {
            return Err("another number of pages than of nodes and edges");
        }
        if !index.is_power_of_two()
            || u64::from(index) > indexed.max(1 << 16)
            || u64::from(index) / 4 * 3 < u64::from(self.nodes_end)
        {
            return Err("an index of another size than its nodes");
        }
        Ok(())
    }
}

impl Graph {
    fn claimed(&self) -> Claimed {
        let mut claimed = Claimed::default();
        for node in self.nodes() {
            match self.place(node) {
                Place::Unasked => {}
                Place::Claimed => {
                    claimed.nodes.insert((node, Graph::PLACE));
                }
                Place::At(_) => {
                    // UNWRAP: it has a place.
                    let edges = self.edges(node).expect("edges have a place");
                    for (index, edge) in (0..).zip(edges.iter()) {
                        if edge.link() == Link::Claimed {
                            claimed.edges.insert((edges.place(index), 0));
                        }
                    }
                }
            }
        }
        claimed
    }

    fn fill(&mut self, store: &impl ObjectStore, manifest: &Manifest) -> Result<(), Fill> {
        let [nodes, edges, index] = manifest.room;
        let grow = |column: &mut Column, chunks: u32| {
            while column.capacity() / column.chunk_len() < chunks {
                column.grow();
            }
        };
        grow(&mut self.hot, nodes);
        grow(&mut self.cold, nodes);
        grow(&mut self.edges, edges);
        self.begin_index(index as usize);
        self.nodes_end = AtomicU32::new(manifest.nodes_end).into();
        self.edges_end = AtomicU32::new(manifest.edges_end).into();
        let columns = [
            (&self.hot, &manifest.hot, manifest.nodes_end),
            (&self.cold, &manifest.cold, manifest.nodes_end),
            (&self.edges, &manifest.edges, manifest.edges_end),
        ];
        for (column, pages, end) in columns {
            let starts = (0..end).step_by(column.chunk_len() as usize);
            for (page, start) in pages.iter().zip(starts) {
                let rows = (end - start).min(column.chunk_len());
                let words = column.rows(start, rows as usize);
                let bytes = store.get_within(page, 4 * words.len() as u64).map_err(Fill::Store)?;
                if bytes.len() != 4 * words.len() {
                    return Err(Fill::Wrong("a page of another length than its rows"));
                }
                for (word, bytes) in words.iter().zip(bytes.as_chunks::<4>().0) {
                    word.store(u32::from_le_bytes(*bytes), Relaxed);
                }
            }
        }
        Ok(())
    }

    /// Whether all that is read through a place or a number of this graph is there.
    fn check(&mut self, manifest: &Manifest) -> Result<(), &'static str> {
        let is_node = |node: u32| node < manifest.nodes_end && self.facts(node) != Facts::FREE;
        if !is_node(manifest.root) || !is_node(manifest.best) {
            return Err("a root that is no node");
        }
        let mut blocks: Vec<(u32, u32)> = Vec::new();
        for node in 0..manifest.nodes_end {
            let (value, facts) = self.value_and_facts(node);
            if facts == Facts::FREE {
                continue;
            }
            let evaluation = self.evaluation(node);
            if facts.weight() == 0
                || !(0.0..=1.0).contains(&value)
                || !(0.0..=1.0).contains(&evaluation)
                || !(0.0..=1.0).contains(&self.best(node))
            {
                return Err("a value out of range");
            }
            match self.place(node) {
                Place::Unasked => {}
                Place::Claimed => return Err("a node that somebody is working on"),
                Place::At(offset) => blocks.push((offset, self.check_block(node, offset)?)),
            }
        }
        for (len, places) in &manifest.spare_blocks {
            blocks.extend(places.iter().map(|place| (*place, *len)));
        }
        // Blocks lie apart, within their chunks and what is used of them.
        order::distinct_by(&mut blocks, Ord::cmp);
        let chunk = self.edges.chunk_len();
        let mut end = Place::FIRST;
        for (place, len) in blocks {
            let fits = len > 0
                && place >= end
                && len <= chunk - place % chunk
                && u64::from(place) + u64::from(len) <= u64::from(manifest.edges_end);
            if !fits {
                return Err("edges that lie over others");
            }
            end = place + len;
        }
        self.check_links(is_node)?;
        if self.layout.wide {
            self.check_kin()?;
        }
        let spare = |list: &Vec<u32>| Spare { list: list.clone(), taken: AtomicU32::new(0).into() };
        self.spare_blocks =
            manifest.spare_blocks.iter().map(|(len, list)| (*len, spare(list))).collect();
        let free = (0..manifest.nodes_end).filter(|node| self.facts(*node) == Facts::FREE);
        self.spare_nodes = spare(&free.collect());
        Ok(())
    }

    /// The length of the block at `offset`, which lies in its chunk.
    fn check_block(&self, node: u32, offset: u32) -> Result<u32, &'static str> {
        let chunk = self.edges.chunk_len();
        if offset >= self.edges_end.load(Relaxed) {
            return Err("edges beyond the last");
        }
        let len = self.block_len_at(offset);
        match u32::try_from(len) {
            Ok(len) if len <= chunk - offset % chunk => {}
            _ => return Err("more edges than a node can have"),
        }
        let edges = self.edges_at(offset);
        for edge in edges.iter() {
            if edge.prior().is_some_and(|prior| !(0.0..=1.0).contains(&prior)) {
                return Err("a prior out of range");
            }
            if edge.repeats() > edge.visits() {
                return Err("more repetitions than visits");
            }
            if edge.kin().is_some_and(|[owner, _]| owner.load(Relaxed) != node) {
                return Err("an edge of another node");
            }
        }
        Ok(u32::try_from(len).unwrap_or(u32::MAX))
    }

    fn check_links(&self, is_node: impl Fn(u32) -> bool) -> Result<(), &'static str> {
        for node in self.nodes() {
            for edge in self.edges(node).into_iter().flat_map(Edges::iter) {
                match edge.link() {
                    Link::Node(child) if !is_node(child) => {
                        return Err("an edge to a node that is not there");
                    }
                    Link::Claimed => return Err("an edge that somebody is trying"),
                    Link::Forgotten { value, .. } if !(0.0..=1.0).contains(&value) => {
                        return Err("a value out of range");
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Whether the edges that lead to a node are chained as they should: each once, none else.
    fn check_kin(&self) -> Result<(), &'static str> {
        let mut places: HashSet<(u32, u32)> = HashSet::new();
        for node in self.nodes() {
            let Some(edges) = self.edges(node) else { continue };
            for (index, edge) in (0..).zip(edges.iter()) {
                if let Link::Node(child) = edge.link() {
                    places.insert((child, edges.kin_place(index)));
                }
            }
        }
        for node in self.nodes() {
            let mut next = self.first_kin(node);
            while next != 0 {
                if !places.remove(&(node, next)) {
                    return Err("parents that lead elsewhere");
                }
                next = self.edges.row(next + 1)[0].load(Relaxed);
            }
        }
        if places.is_empty() { Ok(()) } else { Err("an edge that its child does not know") }
    }
}
