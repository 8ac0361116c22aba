// SPDX-License-Identifier: MIT
//! A state's trie that is kept and changed: after k changes the root costs O(k log n) hashes.
//!
//! Entries are put in under numbers that the caller gives them. Changes only mark the nodes above them; the root hashes each
//! marked node once. A node keeps the digests of both its halves in one cache line, so that hashing it touches no other; what
//! leads from node to node stands apart, small enough to stay in the processor's caches.

use alloc::vec::Vec;
use core::hint::black_box;

use super::prove::{self, Leaf, ProveError, Shape, Trie};
use super::state::{self, EMPTY, Subtree};
use super::{KeyDigest, StateRoot, ValueDigest};
use crate::hash::HashKind;
use crate::order;

/// What stands below a node on one side: nothing, an entry, or a node whose digest may be out of date. In four bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Link(u32);

impl Link {
    const EMPTY: Self = Self(u32::MAX);
    const ENTRY: u32 = 1 << 31;
    const STALE: u32 = 1 << 30;

    const fn entry(number: u32) -> Self {
        Self(number | Self::ENTRY)
    }

    const fn stale_node(index: u32) -> Self {
        Self(index | Self::STALE)
    }

    const fn as_entry(self) -> Option<u32> {
        if self.0 != u32::MAX && self.0 & Self::ENTRY != 0 {
            Some(self.0 & !Self::ENTRY)
        } else {
            None
        }
    }

    const fn as_node(self) -> Option<u32> {
        if self.0 & Self::ENTRY == 0 { Some(self.0 & !Self::STALE) } else { None }
    }

    const fn is_stale(self) -> bool {
        self.0 & Self::ENTRY == 0 && self.0 & Self::STALE != 0
    }
}

/// The digests of a node's halves; out of date where the link is stale.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Digests([Subtree; 2]);

/// An entry, or the lack of one: its key's digest is then 32 zeros, which no key has.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Entry(Leaf);

impl Entry {
    const NONE: Self =
        Self(Leaf { key: KeyDigest::from_bytes(EMPTY), value: ValueDigest::from_bytes(EMPTY) });

    fn leaf(&self) -> Option<&Leaf> {
        if self.0.key == Self::NONE.0.key { None } else { Some(&self.0) }
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Half {
    link: Link,
    digest: Subtree,
}

impl Half {
    const EMPTY: Self = Self { link: Link::EMPTY, digest: EMPTY };
}

/// Where a half is: below a node, or the top.
#[derive(Clone, Copy)]
struct Position {
    /// `None` is the top.
    node: Option<u32>,
    side: usize,
}

/// The trie of a state that changes, with the digest of every node. A cursor over a snapshot tree carries one:
/// [`Cursor::trie`](crate::snapshot::Cursor::trie).
///
/// Memory: 72 bytes a node, of which there are about 1.44 an entry, and 64 for each number up to the greatest that an entry was
/// put in under.
#[derive(Clone, Debug)]
pub struct IncrementalTrie {
    kind: HashKind,
    top: Half,
    links: Vec<[Link; 2]>,
    digests: Vec<Digests>,
    free: Vec<u32>,
    /// By the caller's numbers.
    entries: Vec<Entry>,
    len: u64,
}

impl IncrementalTrie {
    pub(crate) const fn new(kind: HashKind) -> Self {
        Self {
            kind,
            top: Half::EMPTY,
            links: Vec::new(),
            digests: Vec::new(),
            free: Vec::new(),
            entries: Vec::new(),
            len: 0,
        }
    }

    pub(crate) const fn kind(&self) -> HashKind {
        self.kind
    }

    /// The key under a number, hashed.
    pub(crate) fn key(&self, number: u32) -> Option<KeyDigest> {
        Some(self.entry(number)?.key)
    }

    /// Puts entries under numbers below 2^30, in place of those that were there; `None` takes one out. O(log n) each, and one
    /// hash for each new entry. Afterwards no two numbers may have the same key.
    pub(crate) fn update(&mut self, changes: &[(u32, Option<Leaf>)]) {
        if self.len == 0 {
            return self.build(changes);
        }
        // A key may come under a new number in the same update in which its old one goes.
        for (number, entry) in changes {
            let before = self.entry(*number).map(|before| before.key);
            if let Some(key) = before.filter(|key| entry.is_none_or(|entry| entry.key != *key)) {
                self.remove(*number, &key);
            }
        }
        for (number, entry) in changes {
            if let Some(entry) = entry {
                self.put(*number, entry);
            }
        }
    }

    /// Makes the trie of entries that are there from the first. Nodes come to stand in the order of keys, those of a small
    /// subtree side by side, which makes later ways through the trie shorter in memory.
    fn build(&mut self, changes: &[(u32, Option<Leaf>)]) {
        let mut entries: Vec<(u32, Leaf)> =
            changes.iter().filter_map(|(number, entry)| Some((*number, (*entry)?))).collect();
        order::distinct_by(&mut entries, |(_, a), (_, b)| a.key.cmp(&b.key));
        // Nodes are about 1.44 an entry.
        self.links.reserve_exact(entries.len() + entries.len() / 2);
        self.digests.reserve_exact(entries.len() + entries.len() / 2);
        let numbers = entries.iter().map(|(number, _)| *number as usize + 1).max();
        self.entries.reserve_exact(numbers.unwrap_or(0).saturating_sub(self.entries.len()));
        for (number, entry) in &entries {
            *self.entry_mut(*number) = Entry(*entry);
        }
        self.len = entries.len() as u64;
        self.top = self.build_half(&entries, 0);
    }

    fn build_half(&mut self, entries: &[(u32, Leaf)], depth: usize) -> Half {
        match entries {
            [] => Half::EMPTY,
            [(number, entry)] => Half {
                link: Link::entry(*number),
                digest: state::leaf(self.kind, entry.key.as_bytes(), entry.value.as_bytes()),
            },
            _ => {
                let node = self.free_node();
                let right =
                    entries.partition_point(|(_, entry)| !state::goes_right(&entry.key, depth));
                let (left, right) = entries.split_at(right);
                for (side, half) in [left, right].into_iter().enumerate() {
                    let half = self.build_half(half, depth + 1);
                    self.set(Position { node: Some(node), side }, half);
                }
                Half { link: Link(node), digest: self.digest_of(node) }
            }
        }
    }

    /// Hashes what changed: a hash for each node above that. Roots and proofs are right only after it.
    pub(crate) fn rehash(&mut self) {
        if let Some(node) = self.top.link.as_node().filter(|_| self.top.link.is_stale()) {
            self.top = Half { link: Link(node), digest: self.rehash_below(node) };
        }
    }

    /// The commitment to all entries. One hash.
    pub fn root(&self) -> StateRoot {
        state::root(self.kind, self.len, &self.top.digest)
    }

    /// A proof of what the state holds under `key`: `value`, or nothing; as [`StateTrie::prove`](super::StateTrie::prove)
    /// makes it, byte for byte, but without hashing more than key and value. O(log n).
    ///
    /// # Errors
    /// [`ProveError::Value`] if the state holds something else; [`ProveError::TooLong`].
    pub fn prove(&self, key: &[u8], value: Option<&[u8]>) -> Result<Vec<u8>, ProveError> {
        prove::prove(&self, key, value)
    }

    /// One proof of what the state holds under each of several keys, in any order; as
    /// [`StateTrie::prove_many`](super::StateTrie::prove_many) makes it, byte for byte. O(m log n) for m keys.
    ///
    /// # Errors
    /// [`ProveError::Value`] if the state holds something else under one of them, [`ProveError::NoKeys`],
    /// [`ProveError::DuplicateKey`], [`ProveError::TooLong`].
    pub fn prove_many<'a>(
        &self,
        keys: impl IntoIterator<Item = (&'a [u8], Option<&'a [u8]>)>,
    ) -> Result<Vec<u8>, ProveError> {
        prove::prove_many(&self, keys)
    }

    /// Puts an entry, in place of one with its number and key if there is one.
    fn put(&mut self, number: u32, entry: &Leaf) {
        let before = core::mem::replace(self.entry_mut(number), Entry(*entry));
        match before.leaf() {
            Some(before) if before == entry => return,
            Some(_) => {}
            None => self.len += 1,
        }
        let digest = state::leaf(self.kind, entry.key.as_bytes(), entry.value.as_bytes());
        let mut position = Position { node: None, side: 0 };
        for depth in 0.. {
            let link = self.link(position);
            self.fetch(link);
            let node = match (link.as_node(), link.as_entry()) {
                (Some(node), _) => node,
                (None, Some(other)) if other != number => {
                    // UNWRAP: a number in the trie has an entry.
                    let key = self.key(other).expect("a linked entry is there");
                    self.split(position, &key, depth)
                }
                _ => {
                    self.set(position, Half { link: Link::entry(number), digest });
                    return;
                }
            };
            *self.link_mut(position) = Link::stale_node(node);
            position = Self::below(node, &entry.key, depth);
        }
    }

    /// Asks for a node's digests, which are hashed on the way back up, so that the memory of all levels is waited for at once.
    #[inline(always)]
    fn fetch(&self, link: Link) {
        if let Some(Digests([left, _])) =
            link.as_node().and_then(|node| self.digests.get(node as usize))
        {
            black_box(left[0]);
        }
    }

    /// A new node, with what stood at a position below it.
    fn split(&mut self, position: Position, key: &KeyDigest, depth: usize) -> u32 {
        let node = self.free_node();
        let half = self.half(position);
        self.set(Self::below(node, key, depth), half);
        let [below, other] = [0, 1].map(|side| Position { node: Some(node), side });
        self.set(if state::goes_right(key, depth) { below } else { other }, Half::EMPTY);
        node
    }

    /// A node that is none yet.
    fn free_node(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.links.push([Link::EMPTY; 2]);
            self.digests.push(Digests([EMPTY; 2]));
            // UNWRAP: 2^30 nodes are those of 700 million entries, and 77 GB.
            let index = u32::try_from(self.links.len() - 1).ok();
            index.filter(|index| *index < Link::STALE).expect("an index fits in 30 bits")
        })
    }

    /// Takes an entry out, and lets the one that remains alone in a subtree rise to its top.
    fn remove(&mut self, number: u32, key: &KeyDigest) {
        let mut way = Vec::new();
        let mut position = Position { node: None, side: 0 };
        for depth in 0.. {
            let Some(node) = self.link(position).as_node() else { break };
            *self.link_mut(position) = Link::stale_node(node);
            way.push((position, node));
            position = Self::below(node, key, depth);
        }
        debug_assert_eq!(self.link(position).as_entry(), Some(number), "it is in the trie");
        self.set(position, Half::EMPTY);
        *self.entry_mut(number) = Entry::NONE;
        self.len -= 1;
        while let Some((above, node)) = way.pop() {
            let side = match self.links[node as usize] {
                [Link::EMPTY, half] if half.as_node().is_none() => 1,
                [half, Link::EMPTY] if half.as_node().is_none() => 0,
                _ => return,
            };
            let alone = self.half(Position { node: Some(node), side });
            self.set(above, alone);
            self.free.push(node);
        }
    }

    /// The digest of a node, after those of its halves.
    fn rehash_below(&mut self, node: u32) -> Subtree {
        let at = node as usize;
        for side in 0..2 {
            let link = self.links[at][side];
            if let Some(below) = link.as_node().filter(|_| link.is_stale()) {
                let digest = self.rehash_below(below);
                self.links[at][side] = Link(below);
                self.digests[at].0[side] = digest;
            }
        }
        self.digest_of(node)
    }

    /// The digest of a node whose halves' are right.
    fn digest_of(&self, node: u32) -> Subtree {
        let Digests([left, right]) = &self.digests[node as usize];
        state::node(self.kind, left, right)
    }

    fn entry(&self, number: u32) -> Option<&Leaf> {
        self.entries.get(number as usize)?.leaf()
    }

    fn entry_mut(&mut self, number: u32) -> &mut Entry {
        let index = number as usize;
        if index >= self.entries.len() {
            self.entries.resize(index + 1, Entry::NONE);
        }
        &mut self.entries[index]
    }

    fn below(node: u32, key: &KeyDigest, depth: usize) -> Position {
        Position { node: Some(node), side: usize::from(state::goes_right(key, depth)) }
    }

    fn link(&self, position: Position) -> Link {
        match position.node {
            Some(node) => self.links[node as usize][position.side],
            None => self.top.link,
        }
    }

    fn link_mut(&mut self, position: Position) -> &mut Link {
        match position.node {
            Some(node) => &mut self.links[node as usize][position.side],
            None => &mut self.top.link,
        }
    }

    fn half(&self, position: Position) -> Half {
        match position.node {
            Some(node) => Half {
                link: self.links[node as usize][position.side],
                digest: self.digests[node as usize].0[position.side],
            },
            None => self.top,
        }
    }

    fn set(&mut self, position: Position, half: Half) {
        *self.link_mut(position) = half.link;
        match position.node {
            Some(node) => self.digests[node as usize].0[position.side] = half.digest,
            None => self.top.digest = half.digest,
        }
    }
}

/// A subtree is the half of the node above it.
impl Trie for &IncrementalTrie {
    type Node = Half;

    fn kind(&self) -> HashKind {
        self.kind
    }

    fn entries(&self) -> u64 {
        self.len
    }

    fn top(&self) -> Half {
        self.top
    }

    fn shape(&self, half: Half, _depth: usize) -> Shape<Half> {
        let entry = half.link.as_entry().and_then(|number| self.entry(number));
        match (half.link.as_node(), entry) {
            (Some(node), _) => {
                let [left, right] =
                    [0, 1].map(|side| self.half(Position { node: Some(node), side }));
                Shape::Node(left, right)
            }
            (None, Some(entry)) => Shape::Leaf(*entry),
            (None, None) => Shape::Empty,
        }
    }

    fn digest(&self, half: Half, _depth: usize) -> Subtree {
        half.digest
    }
}
