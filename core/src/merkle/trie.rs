// SPDX-License-Identifier: MIT
//! Builds a state's root and proofs from all of its entries.
//!
//! Flat: sorts the key digests once and hashes the trie bottom-up, without nodes in memory.

use alloc::vec::Vec;
use core::fmt;

use super::state::{self, EMPTY, MAX_DEPTH, Subtree};
use super::verify::{Header, Terminal};
use super::{KeyDigest, StateRoot, ValueDigest};
use crate::hash::HashKind;

/// The entries of a state, hashed and sorted: 64 bytes each.
#[derive(Clone, Debug)]
pub struct StateTrie {
    kind: HashKind,
    /// Strictly ascending by key digest.
    leaves: Vec<Leaf>,
}

#[derive(Clone, Copy, Debug)]
struct Leaf {
    key: KeyDigest,
    value: ValueDigest,
}

/// Why no proof can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProveError {
    /// The value is not what the state holds under the key.
    Value,
    /// The key or the value is longer than a proof can carry, 2^32 - 1 bytes.
    TooLong,
}

impl fmt::Display for ProveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Value => "the state does not hold this value under this key",
            Self::TooLong => "the key or value is longer than a proof can carry (2^32 - 1 bytes)",
        })
    }
}

impl core::error::Error for ProveError {}

impl StateTrie {
    /// Hashes the entries, in any order; keys must be distinct. O(n log n), three hashes an entry at the first [`root`].
    ///
    /// # Panics
    /// If a key occurs twice: there is no state that holds it with two values.
    ///
    /// [`root`]: StateTrie::root
    pub fn new<'a>(
        kind: HashKind,
        entries: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Self {
        let mut leaves: Vec<Leaf> = entries
            .into_iter()
            .map(|(key, value)| Leaf {
                key: state::key_digest(kind, key),
                value: state::value_digest(kind, value),
            })
            .collect();
        leaves.sort_unstable_by_key(|leaf| leaf.key);
        assert!(leaves.is_sorted_by(|a, b| a.key < b.key), "keys must be distinct");
        Self { kind, leaves }
    }

    /// The commitment to all entries. O(n) hashes.
    pub fn root(&self) -> StateRoot {
        state::root(self.kind, self.entries(), &self.subtree(&self.leaves, 0))
    }

    /// A proof of what the state holds under `key`: `value`, or nothing. O(n) hashes.
    ///
    /// The encoding is described at [`verify`](super::verify::verify), which reads it.
    ///
    /// # Errors
    /// [`ProveError::Value`] if the state holds something else.
    pub fn prove(&self, key: &[u8], value: Option<&[u8]>) -> Result<Vec<u8>, ProveError> {
        let digest = state::key_digest(self.kind, key);
        let (siblings, found) = self.descend(&digest);
        let terminal = match (found, value) {
            (Some(leaf), Some(value))
                if leaf.key == digest && leaf.value == state::value_digest(self.kind, value) =>
            {
                Terminal::Present { value }
            }
            (Some(leaf), None) if leaf.key != digest => {
                Terminal::Other { key: leaf.key, value: leaf.value }
            }
            (None, None) => Terminal::Empty,
            _ => return Err(ProveError::Value),
        };
        let header = Header { kind: self.kind, entries: self.entries(), key, digest, terminal };
        super::verify::encode(&header, &siblings).ok_or(ProveError::TooLong)
    }

    fn entries(&self) -> u64 {
        self.leaves.len() as u64
    }

    /// The siblings along a key's path, topmost first, and the leaf at its end if there is one.
    fn descend(&self, key: &KeyDigest) -> (Vec<Subtree>, Option<Leaf>) {
        let mut siblings = Vec::new();
        let mut leaves = &self.leaves[..];
        while leaves.len() > 1 && siblings.len() < MAX_DEPTH {
            let depth = siblings.len();
            let (left, right) = halves(leaves, depth);
            let (ours, sibling) =
                if state::goes_right(key, depth) { (right, left) } else { (left, right) };
            siblings.push(self.subtree(sibling, depth + 1));
            leaves = ours;
        }
        (siblings, leaves.first().copied())
    }

    fn subtree(&self, leaves: &[Leaf], depth: usize) -> Subtree {
        match leaves {
            [] => EMPTY,
            [leaf] => state::leaf(self.kind, &leaf.key, &leaf.value),
            _ => {
                let (left, right) = halves(leaves, depth);
                state::node(
                    self.kind,
                    &self.subtree(left, depth + 1),
                    &self.subtree(right, depth + 1),
                )
            }
        }
    }
}

/// Splits leaves that go together down to `depth` by the next bit of their keys.
fn halves(leaves: &[Leaf], depth: usize) -> (&[Leaf], &[Leaf]) {
    leaves.split_at(leaves.partition_point(|leaf| !state::goes_right(&leaf.key, depth)))
}
