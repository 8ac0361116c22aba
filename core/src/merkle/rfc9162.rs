// SPDX-License-Identifier: MIT
//! The Merkle tree of RFC 9162, section 2.1, whatever its leaves are: its hashes, its root while leaves go by, and the way
//! from a leaf to the root.
//!
//! The tree's left half is the largest perfect one that leaves a leaf for the right half. Nothing here allocates.

use crate::hash::{HASH_LEN, HashKind};

const TAG_LEAF: u8 = 0x00;
const TAG_NODE: u8 = 0x01;

/// Enough for 2^64 leaves: one perfect subtree a level.
const MAX_LEVELS: usize = 64;

/// The digest of a leaf or a node.
pub(super) type Digest = [u8; HASH_LEN];

/// The digest of a leaf of any bytes.
pub(super) fn leaf(kind: HashKind, bytes: &[u8]) -> Digest {
    kind.digest(&[&[TAG_LEAF], bytes])
}

/// The digest of a leaf of three parts, whose seams the caller makes unambiguous.
pub(super) fn leaf_of_parts(kind: HashKind, [a, b, c]: [&[u8]; 3]) -> Digest {
    kind.digest(&[&[TAG_LEAF], a, b, c])
}

pub(super) fn node(kind: HashKind, left: &Digest, right: &Digest) -> Digest {
    kind.digest_pair(TAG_NODE, left, right)
}

/// The tree of no leaves: the hash of nothing.
pub(super) fn empty(kind: HashKind) -> Digest {
    kind.digest(&[])
}

/// The perfect subtrees that the leaves so far fill, the largest first: one for each bit of their number. `T` is what is known
/// of a subtree, its digest at least.
#[derive(Clone, Debug)]
pub(super) struct Peaks<T> {
    peaks: [T; MAX_LEVELS],
    leaves: u64,
}

impl<T: Copy> Peaks<T> {
    /// No leaves; `unused` stands where no subtree is.
    pub(super) const fn new(unused: T) -> Self {
        Self { peaks: [unused; MAX_LEVELS], leaves: 0 }
    }

    pub(super) const fn leaves(&self) -> u64 {
        self.leaves
    }

    /// Appends a leaf, joining each two subtrees of one size. One join on average.
    pub(super) fn push(&mut self, leaf: T, mut join: impl FnMut(&T, &T) -> T) {
        let mut subtree = leaf;
        let mut count = self.as_slice().len();
        // Each trailing one bit of the number is a subtree that the new leaf completes to one twice as large.
        for _ in 0..self.leaves.trailing_ones() {
            count -= 1;
            subtree = join(&self.peaks[count], &subtree);
        }
        self.peaks[count] = subtree;
        self.leaves += 1;
    }

    /// The whole tree, if it has a leaf. O(log n).
    pub(super) fn whole(&self, mut join: impl FnMut(&T, &T) -> T) -> Option<T> {
        let (last, rest) = self.as_slice().split_last()?;
        Some(rest.iter().rev().fold(*last, |right, left| join(left, &right)))
    }

    pub(super) fn as_slice(&self) -> &[T] {
        &self.peaks[..self.leaves.count_ones() as usize]
    }

    #[cfg(feature = "alloc")]
    pub(super) fn as_mut_slice(&mut self) -> &mut [T] {
        &mut self.peaks[..self.leaves.count_ones() as usize]
    }
}

/// The way from a node to the root, with the names and steps of section 2.1.3.2.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ascent {
    /// The node's number on its level.
    fn_: u64,
    /// The number of the level's last node.
    sn: u64,
}

impl Ascent {
    pub(super) const fn new(index: u64, last: u64) -> Self {
        Self { fn_: index, sn: last }
    }

    /// Goes up to the next sibling, and says whether it stands to the left; `None` at the root.
    pub(super) const fn step(&mut self) -> Option<bool> {
        if self.sn == 0 {
            return None;
        }
        let is_left = self.fn_ & 1 == 1 || self.fn_ == self.sn;
        if is_left {
            // A last node without a right neighbour is taken up as it is.
            while self.fn_ & 1 == 0 && self.fn_ != 0 {
                self.up(1);
            }
        }
        self.up(1);
        Some(is_left)
    }

    /// Goes up some levels without a sibling.
    pub(super) const fn up(&mut self, levels: u32) {
        self.fn_ >>= levels;
        self.sn >>= levels;
    }
}
