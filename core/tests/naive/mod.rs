// SPDX-License-Identifier: MIT
//! The commitment to a state, written a second time from its description: recursive, over strings of bits, slow, and sharing
//! no code with the crate. What the crate computes must equal what this computes.

use std::collections::BTreeMap;

use cascow_core::hash::HashKind;
use sha2::Digest as _;

pub(crate) type Digest = [u8; 32];

/// A state as a test writes it down.
pub(crate) type Map = BTreeMap<Vec<u8>, Vec<u8>>;

pub(crate) const KINDS: [HashKind; 2] = [HashKind::Sha256, HashKind::Blake3];

pub(crate) fn hash(kind: HashKind, parts: &[&[u8]]) -> Digest {
    let bytes = parts.concat();
    match kind {
        HashKind::Sha256 => sha2::Sha256::digest(&bytes).into(),
        HashKind::Blake3 => *blake3::hash(&bytes).as_bytes(),
        _ => panic!("a hash function that this oracle does not know"),
    }
}

pub(crate) fn key_digest(kind: HashKind, key: &[u8]) -> Digest {
    hash(kind, &[&[0x10], key])
}

pub(crate) fn leaf(kind: HashKind, key: &Digest, value: &[u8]) -> Digest {
    hash(kind, &[&[0x12], key, &hash(kind, &[&[0x11], value])])
}

pub(crate) fn node(kind: HashKind, left: &Digest, right: &Digest) -> Digest {
    hash(kind, &[&[0x13], left, right])
}

pub(crate) fn seal(kind: HashKind, entries: u64, top: &Digest) -> Digest {
    hash(kind, &[&[0x14, 1, kind.id()], &entries.to_le_bytes(), top])
}

/// The bits of a digest as a string of `0` and `1`, from the highest of the first byte.
pub(crate) fn bits(digest: &Digest) -> String {
    digest.iter().map(|byte| format!("{byte:08b}")).collect()
}

pub(crate) fn root(kind: HashKind, map: &Map) -> Digest {
    let leaves = map.iter().map(|(key, value)| {
        let key = key_digest(kind, key);
        (bits(&key), leaf(kind, &key, value))
    });
    seal(kind, map.len() as u64, &subtree(kind, &leaves.collect(), ""))
}

/// The subtree of the leaves whose bits begin with `prefix`.
pub(crate) fn subtree(kind: HashKind, leaves: &BTreeMap<String, Digest>, prefix: &str) -> Digest {
    let inside: BTreeMap<String, Digest> = leaves
        .iter()
        .filter(|(bits, _)| bits.starts_with(prefix))
        .map(|(bits, leaf)| (bits.clone(), *leaf))
        .collect();
    match inside.len() {
        0 => [0; 32],
        1 => inside.into_values().next().unwrap(),
        _ => {
            let half = |bit| subtree(kind, &inside, &format!("{prefix}{bit}"));
            node(kind, &half('0'), &half('1'))
        }
    }
}
