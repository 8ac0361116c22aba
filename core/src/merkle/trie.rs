// SPDX-License-Identifier: MIT
//! Builds a state's root and proofs from all of its entries.
//!
//! Flat: sorts the key digests once and hashes the trie bottom-up, without nodes in memory.

use alloc::vec::Vec;

use super::prove::{self, Leaf, ProveError, Shape, Trie};
use super::state::{self, EMPTY, Subtree};
use super::{KeyDigest, StateRoot, ValueDigest};
use crate::hash::HashKind;
use crate::order;

/// The entries of a state, hashed and sorted: 64 bytes each.
#[derive(Clone, Debug)]
pub struct StateTrie {
    kind: HashKind,
    /// Strictly ascending by key digest.
    leaves: Vec<Leaf>,
}

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
        let digests = entries
            .into_iter()
            .map(|(key, value)| (state::key_digest(kind, key), state::value_digest(kind, value)));
        Self::of_digests(kind, digests)
    }

    /// As [`StateTrie::new`], of the digests of keys and values.
    pub(crate) fn of_digests(
        kind: HashKind,
        digests: impl IntoIterator<Item = (KeyDigest, ValueDigest)>,
    ) -> Self {
        let mut leaves: Vec<Leaf> =
            digests.into_iter().map(|(key, value)| Leaf { key, value }).collect();
        order::distinct_by(&mut leaves, |a, b| a.key.cmp(&b.key));
        assert!(leaves.is_sorted_by(|a, b| a.key < b.key), "keys must be distinct");
        Self { kind, leaves }
    }

    /// The commitment to all entries. O(n) hashes.
    pub fn root(&self) -> StateRoot {
        state::root(self.kind, self.entries(), &self.digest(&self.leaves, 0))
    }

    /// A proof of what the state holds under `key`: `value`, or nothing. O(n) hashes.
    ///
    /// The encoding is described at [`verify`](mod@super::verify), whose function reads it.
    ///
    /// ```
    /// # #[cfg(feature = "sha256")] {
    /// use cascow_core::hash::HashKind;
    /// use cascow_core::merkle::{ProveError, StateTrie};
    ///
    /// let trie = StateTrie::new(HashKind::Sha256, [(&b"turn"[..], &b"x"[..])]);
    /// assert!(trie.prove(b"turn", Some(b"x")).is_ok());
    /// assert!(trie.prove(b"winner", None).is_ok());
    /// assert_eq!(trie.prove(b"turn", Some(b"o")), Err(ProveError::Value));
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ProveError::Value`] if the state holds something else; [`ProveError::TooLong`].
    pub fn prove(&self, key: &[u8], value: Option<&[u8]>) -> Result<Vec<u8>, ProveError> {
        prove::prove(&self, key, value)
    }

    /// One proof of what the state holds under each of several keys, in any order. O(n) hashes, however many keys.
    ///
    /// The encoding is described at [`multi`](super::multi), whose function [`verify_many`](super::verify_many) reads it.
    ///
    /// ```
    /// # #[cfg(feature = "sha256")] {
    /// use cascow_core::hash::HashKind;
    /// use cascow_core::merkle::{ProveError, StateTrie};
    ///
    /// let trie = StateTrie::new(HashKind::Sha256, [(&b"turn"[..], &b"x"[..])]);
    /// assert!(trie.prove_many([(&b"turn"[..], Some(&b"x"[..])), (b"winner", None)]).is_ok());
    /// assert_eq!(trie.prove_many([(&b"turn"[..], None)]), Err(ProveError::Value));
    /// assert_eq!(trie.prove_many([]), Err(ProveError::NoKeys));
    /// # }
    /// ```
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
}

/// A subtree is the run of leaves in it.
impl<'t> Trie for &'t StateTrie {
    type Node = &'t [Leaf];

    fn kind(&self) -> HashKind {
        self.kind
    }

    fn entries(&self) -> u64 {
        self.leaves.len() as u64
    }

    fn top(&self) -> &'t [Leaf] {
        &self.leaves
    }

    fn shape(&self, leaves: &'t [Leaf], depth: usize) -> Shape<&'t [Leaf]> {
        match leaves {
            [] => Shape::Empty,
            [leaf] => Shape::Leaf(*leaf),
            _ => {
                let (left, right) = halves(leaves, depth);
                Shape::Node(left, right)
            }
        }
    }

    fn digest(&self, leaves: &'t [Leaf], depth: usize) -> Subtree {
        match self.shape(leaves, depth) {
            Shape::Empty => EMPTY,
            Shape::Leaf(leaf) => state::leaf(self.kind, leaf.key.as_bytes(), leaf.value.as_bytes()),
            Shape::Node(left, right) => state::node(
                self.kind,
                &self.digest(left, depth + 1),
                &self.digest(right, depth + 1),
            ),
        }
    }
}

/// Splits leaves that go together down to `depth` by the next bit of their keys.
fn halves(leaves: &[Leaf], depth: usize) -> (&[Leaf], &[Leaf]) {
    leaves.split_at(leaves.partition_point(|leaf| !state::goes_right(&leaf.key, depth)))
}
