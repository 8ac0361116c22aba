// SPDX-License-Identifier: MIT
//! Makes proofs of a state, from any trie that can show its nodes.
//!
//! What a proof holds follows from the set of entries alone, so every trie over the same entries makes the same proofs.

use alloc::vec::Vec;
use core::fmt;

use super::multi::{self, Claim, Record};
use super::state::{self, EMPTY, Subtree};
use super::verify::{self, Header, Terminal};
use super::{KeyDigest, ValueDigest};
use crate::hash::HashKind;
use crate::order;

/// Why no proof can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProveError {
    /// The value is not what the state holds under the key, or the leaf not what stands in the log there.
    Value,
    /// A field is longer than a proof can carry, 2^32 - 1 bytes, or there are more keys than that.
    TooLong,
    /// No key was asked for: there is nothing to show.
    NoKeys,
    /// A key was asked for twice.
    DuplicateKey,
    /// The log has no such leaf, or no such size.
    Size,
}

impl fmt::Display for ProveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Value => "the state does not hold this value under this key",
            Self::TooLong => "the key or value is longer than a proof can carry (2^32 - 1 bytes)",
            Self::NoKeys => "a proof of no keys shows nothing",
            Self::DuplicateKey => "a key was asked for twice",
            Self::Size => "the log has no such leaf or size",
        })
    }
}

impl core::error::Error for ProveError {}

/// A trie as proofs see it: opened from the top, one node at a time.
pub(super) trait Trie {
    /// A handle to a subtree.
    type Node: Copy;

    fn kind(&self) -> HashKind;

    fn entries(&self) -> u64;

    fn top(&self) -> Self::Node;

    /// What a subtree at `depth` is.
    fn shape(&self, node: Self::Node, depth: usize) -> Shape<Self::Node>;

    /// The digest of a subtree at `depth`.
    fn digest(&self, node: Self::Node, depth: usize) -> Subtree;
}

pub(super) enum Shape<N> {
    Empty,
    Leaf(Leaf),
    Node(N, N),
}

/// An entry, hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leaf {
    pub(crate) key: KeyDigest,
    pub(crate) value: ValueDigest,
}

/// A proof of one key.
pub(super) fn prove(
    trie: &impl Trie,
    key: &[u8],
    value: Option<&[u8]>,
) -> Result<Vec<u8>, ProveError> {
    let kind = trie.kind();
    let digest = state::key_digest(kind, key);
    let mut siblings = Vec::new();
    let mut node = trie.top();
    let found = loop {
        let depth = siblings.len();
        let (left, right) = match trie.shape(node, depth) {
            Shape::Empty => break None,
            Shape::Leaf(leaf) => break Some(leaf),
            Shape::Node(left, right) => (left, right),
        };
        let (ours, sibling) =
            if state::goes_right(&digest, depth) { (right, left) } else { (left, right) };
        siblings.push(trie.digest(sibling, depth + 1));
        node = ours;
    };
    siblings.reverse();
    let terminal = match (&found, value) {
        (Some(leaf), Some(value))
            if leaf.key == digest && leaf.value == state::value_digest(kind, value) =>
        {
            Terminal::Present { value }
        }
        (Some(leaf), None) if leaf.key != digest => {
            Terminal::Other { key: leaf.key.as_bytes(), value: leaf.value.as_bytes() }
        }
        (None, None) => Terminal::Empty,
        _ => return Err(ProveError::Value),
    };
    let header = Header { kind, entries: trie.entries(), key, digest, terminal };
    verify::encode(&header, &siblings).ok_or(ProveError::TooLong)
}

/// A proof of many keys.
pub(super) fn prove_many<'a>(
    trie: &impl Trie,
    keys: impl IntoIterator<Item = (&'a [u8], Option<&'a [u8]>)>,
) -> Result<Vec<u8>, ProveError> {
    let kind = trie.kind();
    let mut questions: Vec<Question<'_>> = keys
        .into_iter()
        .map(|(key, value)| Question { key, value, digest: state::key_digest(kind, key) })
        .collect();
    order::distinct_by(&mut questions, |a, b| a.digest.cmp(&b.digest));
    if questions.is_empty() {
        return Err(ProveError::NoKeys);
    }
    if !questions.is_sorted_by(|one, next| one.digest < next.digest) {
        return Err(ProveError::DuplicateKey);
    }
    let mut answers = Vec::with_capacity(questions.len());
    answer(trie, trie.top(), 0, &questions, &mut answers)?;
    multi::encode(kind, trie.entries(), &answers).ok_or(ProveError::TooLong)
}

struct Question<'a> {
    key: &'a [u8],
    value: Option<&'a [u8]>,
    digest: KeyDigest,
}

/// Answers the questions that lead through `node`, in order. The last of them that ends at a place of its own climbs to the
/// node, and is given what it meets on the way.
fn answer<'a, T: Trie>(
    trie: &T,
    node: T::Node,
    depth: usize,
    questions: &[Question<'a>],
    answers: &mut Vec<Record<'a, Vec<Subtree>, Leaf>>,
) -> Result<(), ProveError> {
    let (left, right) = match trie.shape(node, depth) {
        Shape::Empty => return end(trie.kind(), None, questions, answers),
        Shape::Leaf(leaf) => return end(trie.kind(), Some(leaf), questions, answers),
        Shape::Node(left, right) => (left, right),
    };
    let split = questions.partition_point(|question| !state::goes_right(&question.digest, depth));
    let met = match questions.split_at(split) {
        (questions, []) => {
            answer(trie, left, depth + 1, questions, answers)?;
            trie.digest(right, depth + 1)
        }
        ([], questions) => {
            answer(trie, right, depth + 1, questions, answers)?;
            trie.digest(left, depth + 1)
        }
        (lesser, greater) => {
            answer(trie, left, depth + 1, lesser, answers)?;
            answer(trie, right, depth + 1, greater, answers)?;
            EMPTY // the verifier has the left half already
        }
    };
    if let Some(path) = answers.iter_mut().rev().find_map(|record| record.path.as_mut()) {
        path.push(met);
    }
    Ok(())
}

/// Answers the questions that end at one place.
fn end<'a>(
    kind: HashKind,
    leaf: Option<Leaf>,
    questions: &[Question<'a>],
    answers: &mut Vec<Record<'a, Vec<Subtree>, Leaf>>,
) -> Result<(), ProveError> {
    let is_leaf = |question: &Question<'_>| leaf.is_some_and(|leaf| leaf.key == question.digest);
    let is_leaf_asked = questions.iter().any(is_leaf);
    for (index, question) in questions.iter().enumerate() {
        let claim = match (leaf, question.value) {
            (None, None) => Claim::Empty,
            (Some(leaf), Some(value))
                if leaf.key == question.digest
                    && leaf.value == state::value_digest(kind, value) =>
            {
                Claim::Present { value }
            }
            (Some(_), None) if !is_leaf(question) && is_leaf_asked => Claim::Neighbour,
            (Some(leaf), None) if !is_leaf(question) => Claim::Other((index == 0).then_some(leaf)),
            _ => return Err(ProveError::Value),
        };
        let path = (index == 0).then(Vec::new);
        answers.push(Record { key: question.key, claim, path });
    }
    Ok(())
}
