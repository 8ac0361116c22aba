// SPDX-License-Identifier: MIT
//! Maps and sets of content hashes, which need no hashing: a name's bytes are as good as random.
//!
//! Who chooses contents can make some names begin alike, at the price of millions of hashes for each; all that it gains is that
//! these are looked up more slowly.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use cascow_core::hash::ContentHash;

/// What a name hashes to: its first eight bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NameHasher(u64);

impl Hasher for NameHasher {
    fn write(&mut self, bytes: &[u8]) {
        // The length of an array is written before the array, which is written last.
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

pub(super) type BuildNameHasher = BuildHasherDefault<NameHasher>;
pub(super) type NameMap<V> = HashMap<ContentHash, V, BuildNameHasher>;
pub(super) type NameSet = HashSet<ContentHash, BuildNameHasher>;
