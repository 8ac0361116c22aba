// SPDX-License-Identifier: MIT
//! Variations of a state, and how much of them a store finds again.
//!
//! A state here is one value of noise: bytes that repeat nothing, so that all that is found again comes from the state varied.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;

use cascow_core::blob;
use cascow_core::chunk::chunks;
use cascow_core::hash::{ContentHash, HashKind};
use cascow_core::store::{ObjectInfo, ObjectStore, Put, StoreError};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

/// Where the changed bytes of a variation are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Changes {
    /// In one run, anywhere.
    Clustered,
    /// One by one, anywhere.
    Scattered,
}

/// What was given to a store and what of it the store had to keep, in bytes before compression.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// Bytes given.
    pub(crate) offered: u64,
    /// Bytes that were not there.
    pub(crate) added: u64,
}

impl Count {
    fn add(&mut self, bytes: &[u8], is_new: bool) {
        self.offered += len_u64(bytes);
        self.added += if is_new { len_u64(bytes) } else { 0 };
    }

    /// The part of the bytes that was there, in tenths of a per mille, rounded down.
    pub(crate) fn found_of_10_000(&self) -> u64 {
        10_000 * (self.offered - self.added) / self.offered
    }
}

/// How much of some variations was found again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Of the variations' own bytes.
    pub(crate) state: Count,
    /// Of these and of the lists of their chunks.
    pub(crate) with_lists: Count,
}

/// Stores a state of `len` bytes, and then so many variations of it, each with `changed` bytes replaced by noise. The same
/// figures for the same seed.
pub(crate) fn found_again(
    seed: u64,
    len: usize,
    variations: u32,
    changed: usize,
    changes: Changes,
) -> Found {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut state = vec![0; len];
    rng.fill_bytes(&mut state);
    let store = NameStore::default();
    blob::write(&store, &state).expect("names are kept");
    store.count.take();

    let mut count = Count::default();
    for _ in 0..variations {
        let mut variation = state.clone();
        match changes {
            Changes::Clustered => {
                let start = below(&mut rng, len - changed + 1);
                rng.fill_bytes(&mut variation[start..start + changed]);
            }
            Changes::Scattered => {
                for _ in 0..changed {
                    let at = below(&mut rng, len);
                    rng.fill_bytes(&mut variation[at..=at]);
                }
            }
        }
        for chunk in chunks(&variation) {
            let is_new = !store.names.borrow().contains(&store.hash_kind().hash(chunk));
            count.add(chunk, is_new);
        }
        blob::write(&store, &variation).expect("names are kept");
    }
    Found { state: count, with_lists: store.count.get() }
}

fn len_u64(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).expect("a length fits in 64 bits")
}

/// A number below `end`; what it prefers by the remainder is beyond notice for any length of a value in memory.
fn below(rng: &mut Xoshiro256PlusPlus, end: usize) -> usize {
    let end = u64::try_from(end).expect("a length fits in 64 bits");
    usize::try_from(rng.next_u64() % end).expect("smaller than a length")
}

/// A store of names alone, which counts the bytes that they stand for.
#[derive(Default)]
struct NameStore {
    names: RefCell<HashSet<ContentHash>>,
    count: Cell<Count>,
}

impl ObjectStore for NameStore {
    fn hash_kind(&self) -> HashKind {
        HashKind::Sha256
    }

    fn put(&self, bytes: &[u8]) -> Result<Put, StoreError> {
        let hash = self.hash_kind().hash(bytes);
        let is_new = self.names.borrow_mut().insert(hash);
        let mut count = self.count.get();
        count.add(bytes, is_new);
        self.count.set(count);
        Ok(Put { hash, added: is_new.then(|| len_u64(bytes)) })
    }

    fn get_within(&self, hash: &ContentHash, _limit: u64) -> Result<Vec<u8>, StoreError> {
        Err(StoreError::Missing { hash: *hash })
    }

    fn exists(&self, hash: &ContentHash) -> Result<bool, StoreError> {
        Ok(self.names.borrow().contains(hash))
    }

    fn delete(&self, hash: &ContentHash) -> Result<bool, StoreError> {
        Ok(self.names.borrow_mut().remove(hash))
    }

    fn for_each(
        &self,
        _visit: &mut dyn FnMut(ObjectInfo) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        Ok(())
    }
}
