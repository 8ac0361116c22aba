// SPDX-License-Identifier: MIT
//! The preimages of a state's commitment, in one place, for those who build it and those who verify it.
//!
//! The trie: an entry's leaf belongs at the path that its key digest's bits spell. A subtree without entries is 32 zeros; a
//! subtree with one entry *is* that entry's leaf, as far towards the top as it can go; any other subtree is a node over its
//! two halves. So each set of entries has exactly one shape. Expected depth of n entries: log2(n) + 1.33 (Knuth, TAOCP 3,
//! section 6.3).
//!
//! Why each part is there: tags keep leaves and nodes apart (second preimages); the leaf commits the whole key digest, so it
//! cannot be shown under another key or at another depth; the root commits the number of entries, the version and the hash
//! function, so that nothing can be read as what it is not.

use super::{KeyDigest, StateRoot, ValueDigest};
use crate::hash::{HASH_LEN, HashKind};

const TAG_KEY: u8 = 0x10;
const TAG_VALUE: u8 = 0x11;
const TAG_LEAF: u8 = 0x12;
const TAG_NODE: u8 = 0x13;
const TAG_ROOT: u8 = 0x14;

/// The version of this structure, committed by every root.
const VERSION: u8 = 1;

/// Depth below which no two different key digests go together.
pub(super) const MAX_DEPTH: usize = 8 * HASH_LEN;

/// The digest of a leaf, a node or an empty subtree.
pub(super) type Subtree = [u8; HASH_LEN];

/// Stands for a subtree without entries. No preimage with this digest is known or can be found.
pub(super) const EMPTY: Subtree = [0; HASH_LEN];

/// The digest of a key: one hash.
#[cfg_attr(not(feature = "alloc"), inline(never))]
pub fn key_digest(kind: HashKind, key: &[u8]) -> KeyDigest {
    KeyDigest::from_bytes(kind.digest(&[&[TAG_KEY], key]))
}

/// The digest of a value: one hash.
pub fn value_digest(kind: HashKind, value: &[u8]) -> ValueDigest {
    ValueDigest::from_bytes(kind.digest(&[&[TAG_VALUE], value]))
}

/// The leaf of a key's digest and a value's.
#[inline]
pub(super) fn leaf(kind: HashKind, key: &Subtree, value: &Subtree) -> Subtree {
    kind.digest_pair(TAG_LEAF, key, value)
}

#[inline]
pub(super) fn node(kind: HashKind, left: &Subtree, right: &Subtree) -> Subtree {
    kind.digest_pair(TAG_NODE, left, right)
}

#[cfg_attr(not(feature = "alloc"), inline(never))] // so that its stack is not the caller's
pub(super) fn root(kind: HashKind, entries: u64, top: &Subtree) -> StateRoot {
    StateRoot::from_bytes(kind.digest(&[
        &[TAG_ROOT, VERSION, kind.id()],
        &entries.to_le_bytes(),
        top,
    ]))
}

/// Which half of the trie a key goes to at a depth below [`MAX_DEPTH`]: bits count from the highest of the first byte.
pub(super) fn goes_right(key: &KeyDigest, depth: usize) -> bool {
    // Without an index that could be out of bounds: what verifies proofs is built without a way to panic.
    key.as_bytes().get(depth / 8).is_some_and(|byte| byte & (0x80 >> (depth % 8)) != 0)
}

/// The node at `depth` on a key's way, over the subtree that the way goes through and its sibling.
pub(super) fn parent(
    kind: HashKind,
    key: &KeyDigest,
    depth: usize,
    ours: &Subtree,
    sibling: &Subtree,
) -> Subtree {
    if goes_right(key, depth) { node(kind, sibling, ours) } else { node(kind, ours, sibling) }
}

/// How many bits two key digests have in common before they part.
pub(super) fn common_bits(one: &Subtree, other: &Subtree) -> usize {
    let mut bits = 0;
    for (one, other) in one.iter().zip(other) {
        let differing = one ^ other;
        if differing != 0 {
            return bits + (differing.leading_zeros() as usize);
        }
        bits += 8;
    }
    bits
}
