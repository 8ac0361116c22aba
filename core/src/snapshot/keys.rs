// SPDX-License-Identifier: MIT
//! The keys of a tree, each kept once and numbered.
//!
//! A snapshot then names a key in four bytes, two keys are compared as numbers, and a cursor finds a key's value by its
//! number in an array. A key is held by every change that names it, and forgotten with the last of them; its number is then
//! given to another.

use alloc::vec::Vec;
use core::hash::{BuildHasher, Hasher};

use hashbrown::{DefaultHashBuilder, HashTable};
use smallvec::SmallVec;

/// A key's number in its tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct KeyId(pub(super) u32);

impl KeyId {
    /// Two bits of 32 are for [`super::changes::Touched`] to use: 2^30 keys at a time.
    pub(super) const LIMIT: u32 = 1 << 30;

    pub(super) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Keys that memory is kept for anyway.
const MIN_CAPACITY: usize = 64;

/// Keys of up to 16 bytes stand in their slot; a slot is no larger than it would be without.
const INLINE_LEN: usize = 16;

#[derive(Clone, Debug, Default)]
struct Key {
    bytes: SmallVec<[u8; INLINE_LEN]>,
    /// How many changes name it; at most one a snapshot.
    holders: u32,
    /// Which of the tree's keys it is, of all that there ever were.
    version: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Keys {
    keys: Vec<Key>,
    limit: u32,
    free: Vec<KeyId>,
    /// How many keys there ever were.
    versions: u64,
    by_bytes: HashTable<KeyId>,
    hashing: DefaultHashBuilder,
}

impl Keys {
    /// Knows at most `limit` keys at a time, which is at most [`KeyId::LIMIT`].
    pub(super) fn new(limit: u32) -> Self {
        Self {
            keys: Vec::new(),
            limit,
            free: Vec::new(),
            versions: 0,
            by_bytes: HashTable::new(),
            hashing: DefaultHashBuilder::default(),
        }
    }

    /// The key's number, if any snapshot names it.
    #[inline]
    pub(super) fn find(&self, bytes: &[u8]) -> Option<KeyId> {
        self.by_bytes.find(self.hash(bytes), |id| are_equal(self.bytes(*id), bytes)).copied()
    }

    /// The key's number, held once more; `None` if there are as many keys as there can be.
    #[inline]
    pub(super) fn hold(&mut self, bytes: &[u8]) -> Option<KeyId> {
        if let Some(id) = self.find(bytes) {
            self.keys[id.index()].holders += 1;
            return Some(id);
        }
        self.add(bytes)
    }

    /// Takes back one [`Keys::hold`].
    pub(super) fn release(&mut self, id: KeyId) {
        let key = &mut self.keys[id.index()];
        key.holders -= 1;
        if key.holders == 0 {
            let bytes = core::mem::take(&mut key.bytes);
            if let Ok(entry) = self.by_bytes.find_entry(self.hash(&bytes), |held| *held == id) {
                entry.remove();
            }
            if id.index() + 1 == self.keys.len() {
                self.trim();
            } else {
                self.free.push(id);
            }
        }
    }

    /// Gives up the numbers above the last in use, and memory of which little is used.
    fn trim(&mut self) {
        while self.keys.pop_if(|key| key.holders == 0).is_some() {}
        let len = self.keys.len();
        if self.free.len() > len {
            self.free.retain(|id| id.index() < len);
        }
        // Growth doubles, so this gives back half at least, and seldom.
        if self.keys.capacity() > 4 * len.max(MIN_CAPACITY) {
            self.keys.shrink_to(2 * len);
            self.free.shrink_to(2 * len);
            let Self { keys, by_bytes, hashing, .. } = self;
            by_bytes.shrink_to(2 * len, |id| hash(hashing, &keys[id.index()].bytes));
        }
    }

    /// Which key the number stands for: while this stays, so does the key.
    pub(super) fn version(&self, id: KeyId) -> u64 {
        self.keys[id.index()].version
    }

    pub(super) fn bytes(&self, id: KeyId) -> &[u8] {
        &self.keys[id.index()].bytes
    }

    /// Memory of the tables, in bytes.
    pub(super) fn table_bytes(&self) -> usize {
        self.keys.capacity() * size_of::<Key>()
            + self.free.capacity() * size_of::<KeyId>()
            + self.by_bytes.allocation_size()
    }

    /// Above every number in use.
    pub(super) fn bound(&self) -> usize {
        self.keys.len()
    }

    fn add(&mut self, bytes: &[u8]) -> Option<KeyId> {
        let key = Key { bytes: SmallVec::from_slice(bytes), holders: 1, version: self.versions };
        // A number that was given up since is not free, or again in use.
        let free = core::iter::from_fn(|| self.free.pop());
        let free =
            free.skip_while(|id| self.keys.get(id.index()).is_none_or(|key| key.holders > 0));
        let id = match { free }.next() {
            Some(id) => {
                self.keys[id.index()] = key;
                id
            }
            None => {
                let next = u32::try_from(self.keys.len()).ok().filter(|id| *id < self.limit)?;
                self.keys.push(key);
                KeyId(next)
            }
        };
        self.versions += 1;
        let Self { keys, by_bytes, hashing, .. } = self;
        let hash = |id: &KeyId| hash(hashing, &keys[id.index()].bytes);
        by_bytes.insert_unique(hash(&id), id, hash);
        Some(id)
    }

    fn hash(&self, bytes: &[u8]) -> u64 {
        hash(&self.hashing, bytes)
    }
}

fn hash(hashing: &DefaultHashBuilder, bytes: &[u8]) -> u64 {
    let mut hasher = hashing.build_hasher();
    hasher.write(bytes);
    hasher.finish()
}

/// Equality without a call for the shortest keys, numbers most often: the call would cost as much as the rest of a look-up.
#[inline]
fn are_equal(a: &[u8], b: &[u8]) -> bool {
    match (a.as_array::<8>(), b.as_array::<8>()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}
