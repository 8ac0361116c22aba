// SPDX-License-Identifier: MIT
//! The Merkle list over a long value's chunks: the tree of RFC 9162, section 2.1.1, computed while the chunks go by.
//!
//! A leaf commits a chunk's name, its offset in the value and its length. The offset is there so that a proof of a few leaves
//! ([`range`](super::range)) can say *which bytes* of the value they are: lengths alone would not tell where a leaf begins.
//! Allocates nothing: O(log n) digests on the stack.

use super::ListRoot;
use super::rfc9162::{self, Digest, Peaks};
use crate::hash::{ContentHash, HASH_LEN, HashKind};

/// The running root of a list of chunks.
///
/// ```
/// # #[cfg(feature = "sha256")] {
/// use cascow_core::hash::HashKind;
/// use cascow_core::merkle::list::ListHasher;
///
/// let mut list = ListHasher::new(HashKind::Sha256);
/// list.push(&HashKind::Sha256.hash(b"one chunk, "), 11);
/// list.push(&HashKind::Sha256.hash(b"and another"), 11);
/// assert_eq!((list.leaves(), list.len()), (2, 22));
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ListHasher {
    kind: HashKind,
    peaks: Peaks<Digest>,
    len: u64,
}

impl ListHasher {
    /// An empty list.
    pub const fn new(kind: HashKind) -> Self {
        Self { kind, peaks: Peaks::new([0; HASH_LEN]), len: 0 }
    }

    /// Number of chunks so far.
    pub const fn leaves(&self) -> u64 {
        self.peaks.leaves()
    }

    /// Bytes of the value so far.
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Whether no chunk was pushed yet.
    pub const fn is_empty(&self) -> bool {
        self.peaks.leaves() == 0
    }

    /// Appends the value's next chunk. Two hashes on average.
    pub fn push(&mut self, chunk: &ContentHash, len: u32) {
        let leaf = leaf(self.kind, chunk.as_bytes(), self.len, len);
        self.peaks.push(leaf, |left, right| rfc9162::node(self.kind, left, right));
        self.len = self.len.saturating_add(u64::from(len));
    }

    /// The root: RFC 9162's Merkle tree hash; of no chunks, the hash of nothing. O(log n).
    pub fn root(&self) -> ListRoot {
        let whole = self.peaks.whole(|left, right| rfc9162::node(self.kind, left, right));
        ListRoot::from_bytes(whole.unwrap_or_else(|| rfc9162::empty(self.kind)))
    }
}

/// The leaf of a chunk that begins at `offset` in its value.
pub(super) fn leaf(kind: HashKind, chunk: &Digest, offset: u64, len: u32) -> Digest {
    rfc9162::leaf_of_parts(kind, [chunk, &offset.to_le_bytes(), &len.to_le_bytes()])
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
