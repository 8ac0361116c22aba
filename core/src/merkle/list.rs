// SPDX-License-Identifier: MIT
//! The Merkle list over a long value's chunks: the tree of RFC 9162, section 2.1.1, computed while the chunks go by.
//!
//! A leaf commits a chunk's name, its offset in the value and its length. The offset is there so that one day a proof of a few
//! leaves can say *which bytes* of the value they are: lengths alone would not tell where a leaf begins.
//! Allocates nothing: O(log n) digests on the stack.

use super::ListRoot;
use crate::hash::{ContentHash, HASH_LEN, HashKind};

const TAG_LEAF: u8 = 0x00;
const TAG_NODE: u8 = 0x01;

/// Enough for 2^64 leaves: one digest a level.
const MAX_LEVELS: usize = 64;

/// The running root of a list of chunks.
#[derive(Clone, Debug)]
pub struct ListHasher {
    kind: HashKind,
    /// Roots of the perfect subtrees that the leaves so far fill, the largest first: one for each bit of `leaves`.
    peaks: [[u8; HASH_LEN]; MAX_LEVELS],
    leaves: u64,
    len: u64,
}

impl ListHasher {
    /// An empty list.
    pub const fn new(kind: HashKind) -> Self {
        Self { kind, peaks: [[0; HASH_LEN]; MAX_LEVELS], leaves: 0, len: 0 }
    }

    /// Number of chunks so far.
    pub const fn leaves(&self) -> u64 {
        self.leaves
    }

    /// Bytes of the value so far.
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Whether no chunk was pushed yet.
    pub const fn is_empty(&self) -> bool {
        self.leaves == 0
    }

    /// Appends the value's next chunk. Two hashes on average.
    pub fn push(&mut self, chunk: &ContentHash, len: u32) {
        let offset = self.len.to_le_bytes();
        let mut digest =
            self.kind.digest(&[&[TAG_LEAF], chunk.as_bytes(), &offset, &len.to_le_bytes()]);
        let mut peaks = self.peak_count();
        // Each trailing one bit of the count is a perfect subtree that the new leaf completes to one twice as large.
        for _ in 0..self.leaves.trailing_ones() {
            peaks -= 1;
            digest = self.node(&self.peaks[peaks], &digest);
        }
        self.peaks[peaks] = digest;
        self.leaves += 1;
        self.len = self.len.saturating_add(u64::from(len));
    }

    /// The root: RFC 9162's Merkle tree hash; of no chunks, the hash of nothing. O(log n).
    pub fn root(&self) -> ListRoot {
        let Some((last, rest)) = self.peaks[..self.peak_count()].split_last() else {
            return ListRoot::from_bytes(self.kind.digest(&[]));
        };
        ListRoot::from_bytes(rest.iter().rev().fold(*last, |right, left| self.node(left, &right)))
    }

    fn node(&self, left: &[u8; HASH_LEN], right: &[u8; HASH_LEN]) -> [u8; HASH_LEN] {
        self.kind.digest(&[&[TAG_NODE], left, right])
    }

    const fn peak_count(&self) -> usize {
        self.leaves.count_ones() as usize
    }
}

#[cfg(all(test, feature = "std", feature = "sha256"))]
mod tests {
    use super::*;
    use std::vec::Vec;

    const KIND: HashKind = HashKind::Sha256;

    /// RFC 9162, section 2.1.1, word by word.
    fn naive(leaves: &[Vec<u8>]) -> [u8; 32] {
        match leaves {
            [] => KIND.digest(&[]),
            [leaf] => KIND.digest(&[&[0], leaf]),
            _ => {
                let split = leaves.len().next_power_of_two() / 2;
                KIND.digest(&[&[1], &naive(&leaves[..split]), &naive(&leaves[split..])])
            }
        }
    }

    #[test]
    fn the_running_root_is_the_recursive_one_at_every_length() {
        let mut hasher = ListHasher::new(KIND);
        let mut leaves = Vec::new();
        let mut offset = 0u64;
        for n in 0..130u32 {
            assert_eq!(*hasher.root().as_bytes(), naive(&leaves), "{n} leaves");
            let (chunk, len) = (KIND.hash(&n.to_le_bytes()), 2048 + n);
            hasher.push(&chunk, len);
            leaves
                .push([&chunk.as_bytes()[..], &offset.to_le_bytes(), &len.to_le_bytes()].concat());
            offset += u64::from(len);
            assert_eq!((hasher.leaves(), hasher.len()), (u64::from(n) + 1, offset));
        }
    }
}
