// SPDX-License-Identifier: MIT
//! Objects that were read lately, decoded and verified, so that reading them again costs neither.
//!
//! # Guarantees
//!
//! * What a cache holds, all in all, is within its capacity in bytes; an object that would not fit is not kept.
//! * An object that was removed stays away: a read that began before is answered, but not kept.
//! * Objects that are read once, as in a scan, do not drive out those that are read again and again (Clock-PRO, much as
//!   S3-FIFO, is what `quick_cache` evicts by).
//!
//! # What it leaves to others
//!
//! What it is given is believed to be verified. What another process deletes is not noticed: objects never change, so such an
//! object is read for longer than it is there, never wrongly.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use cascow_core::hash::{ContentHash, HashKind};
use cascow_core::store::{ObjectInfo, ObjectStore, Put, StoreError};
use quick_cache::sync::{Cache, DefaultLifecycle, GuardResult};
use quick_cache::{OptionsBuilder, Weighter};

use super::names::BuildNameHasher;

/// What an object takes beside its bytes: its name, its place in the tables, which grow by doubling and remember names that were
/// driven out, and two allocations' heads. Changing it changes no format.
const OVERHEAD: u64 = 192;

/// Parts of a cache with a lock and a share of the capacity each: a power of two. More of them would wait less for each other,
/// and keep only shorter objects.
const SHARDS: usize = 16;

/// Bytes of an object, for lack of better knowledge, by which the tables are laid out.
const TYPICAL_LEN: u64 = 1024;

type Objects = Cache<ContentHash, Arc<[u8]>, Weight, BuildNameHasher>;

/// Decoded, verified objects by name. Any number of threads may use one.
pub struct ObjectCache {
    /// `None` without capacity.
    objects: Option<Objects>,
    capacity_bytes: u64,
    hits: Counter,
    misses: Counter,
}

/// What a cache has done so far, and what it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Objects that were asked for and there.
    pub hits: u64,
    /// Objects that were asked for and not there.
    pub misses: u64,
    /// What it holds, with what objects take beside their bytes.
    pub bytes: u64,
    /// What it may hold.
    pub capacity_bytes: u64,
}

impl ObjectCache {
    /// An empty cache of this capacity; of none, one that never holds anything.
    pub fn new(capacity_bytes: u64) -> Self {
        // The parts' shares are rounded up, so the whole is rounded down.
        let shared = capacity_bytes - capacity_bytes % SHARDS as u64;
        let items = usize::try_from(capacity_bytes / TYPICAL_LEN).unwrap_or(usize::MAX);
        let options = OptionsBuilder::new()
            .shards(SHARDS)
            .weight_capacity(shared)
            .estimated_items_capacity(items)
            .build()
            .ok()
            .filter(|_| shared > 0);
        let objects = options.map(|options| {
            let (hasher, lifecycle) = (BuildNameHasher::default(), DefaultLifecycle::default());
            Cache::with_options(options, Weight, hasher, lifecycle)
        });
        Self { objects, capacity_bytes, hits: Counter::default(), misses: Counter::default() }
    }

    /// Whether it can hold anything.
    pub fn is_on(&self) -> bool {
        self.objects.is_some()
    }

    /// An object that is there. O(1); counted.
    pub fn fetch(&self, hash: &ContentHash) -> Option<Arc<[u8]>> {
        let found = self.objects.as_ref().and_then(|objects| objects.get(hash));
        match found {
            Some(_) => self.hits.count(hash),
            None => self.misses.count(hash),
        }
        found
    }

    /// An object that is there, or as `read` finds it; then it is kept, unless it is removed meanwhile. Of several threads that
    /// ask for the same object, one reads it. Counted. `read` must not ask this cache.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn fetch_or_read<E>(
        &self,
        hash: &ContentHash,
        read: impl FnOnce() -> Result<Vec<u8>, E>,
    ) -> Result<Arc<[u8]>, E> {
        let Some(objects) = &self.objects else {
            self.misses.count(hash);
            return read().map(Arc::from);
        };
        let guard = match objects.get_value_or_guard(hash, None) {
            GuardResult::Value(found) => {
                self.hits.count(hash);
                return Ok(found);
            }
            GuardResult::Guard(guard) => Some(guard),
            // There is none: nobody set a time to wait.
            GuardResult::Timeout => None,
        };
        self.misses.count(hash);
        let bytes: Arc<[u8]> = read()?.into();
        // It is refused if the object was removed meanwhile, and that is right.
        _ = guard.map(|guard| guard.insert(Arc::clone(&bytes)));
        Ok(bytes)
    }

    /// Keeps an object that was verified, if there is room. O(n), and what is driven out.
    pub fn insert(&self, hash: ContentHash, bytes: &[u8]) {
        if let Some(objects) = &self.objects {
            objects.insert(hash, bytes.into());
        }
    }

    /// Forgets an object, and keeps reads of it that have begun from keeping it. O(1).
    pub fn remove(&self, hash: &ContentHash) {
        if let Some(objects) = &self.objects {
            objects.remove(hash);
        }
    }

    /// What it has done so far. Figures of one moment only if nobody uses it meanwhile.
    pub fn stats(&self) -> CacheStats {
        CacheStats {
            hits: self.hits.total(),
            misses: self.misses.total(),
            bytes: self.objects.as_ref().map_or(0, Cache::weight),
            capacity_bytes: self.capacity_bytes,
        }
    }
}

impl fmt::Debug for ObjectCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectCache").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug)]
struct Weight;

impl Weighter<ContentHash, Arc<[u8]>> for Weight {
    fn weight(&self, _: &ContentHash, bytes: &Arc<[u8]>) -> u64 {
        bytes.len() as u64 + OVERHEAD
    }
}

/// A number that many threads add to: in parts, lest their processors pass one cache line around.
#[derive(Debug, Default)]
struct Counter([Part; SHARDS]);

#[derive(Debug, Default)]
#[repr(align(64))]
struct Part(AtomicU64);

impl Counter {
    fn count(&self, hash: &ContentHash) {
        let part = usize::from(hash.as_bytes()[0]) % SHARDS;
        self.0[part].0.fetch_add(1, Relaxed);
    }

    fn total(&self) -> u64 {
        self.0.iter().map(|part| part.0.load(Relaxed)).sum()
    }
}

/// A store whose objects are read from a cache, if they were read lately.
#[derive(Debug)]
pub struct Cached<S> {
    store: S,
    cache: ObjectCache,
}

impl<S: ObjectStore> Cached<S> {
    /// A cache of this capacity in front of a store.
    pub fn new(store: S, capacity_bytes: u64) -> Self {
        Self { store, cache: ObjectCache::new(capacity_bytes) }
    }

    /// The store behind.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// What the cache has done so far.
    pub fn stats(&self) -> CacheStats {
        self.cache.stats()
    }

    /// The object's bytes, verified, shared with the cache: without a copy if they are there.
    ///
    /// # Errors
    /// As [`ObjectStore::get_within`].
    pub fn fetch_within(&self, hash: &ContentHash, limit: u64) -> Result<Arc<[u8]>, StoreError> {
        let found = self.cache.fetch_or_read(hash, || self.store.get_within(hash, limit))?;
        if found.len() as u64 <= limit {
            return Ok(found);
        }
        // It was read by one who allows more. The store says what is wrong, in its words.
        self.store.get_within(hash, limit).map(Arc::from)
    }
}

impl<S: ObjectStore> ObjectStore for Cached<S> {
    fn hash_kind(&self) -> HashKind {
        self.store.hash_kind()
    }

    /// Goes to the store whether the object is in the cache or not: there it must be, and be made young.
    fn put(&self, bytes: &[u8]) -> Result<Put, StoreError> {
        self.store.put(bytes)
    }

    fn put_many(&self, objects: &[&[u8]]) -> Result<Vec<Put>, StoreError> {
        self.store.put_many(objects)
    }

    fn get_within(&self, hash: &ContentHash, limit: u64) -> Result<Vec<u8>, StoreError> {
        self.fetch_within(hash, limit).map(|bytes| bytes.to_vec())
    }

    fn exists(&self, hash: &ContentHash) -> Result<bool, StoreError> {
        self.store.exists(hash)
    }

    fn delete(&self, hash: &ContentHash) -> Result<bool, StoreError> {
        let deleted = self.store.delete(hash);
        // Afterwards, so that a read that still found it cannot put it back; and even if the store failed half-way.
        self.cache.remove(hash);
        deleted
    }

    fn for_each(
        &self,
        visit: &mut dyn FnMut(ObjectInfo) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.store.for_each(visit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: HashKind = HashKind::Sha256;

    fn object(number: u32, len: usize) -> (ContentHash, Arc<[u8]>) {
        let mut bytes = vec![0; len.max(4)];
        bytes[..4].copy_from_slice(&number.to_le_bytes());
        (KIND.hash(&bytes), bytes.into())
    }

    #[test]
    fn what_is_held_stays_within_the_capacity() {
        // Also capacities that no number of parts divides.
        for capacity in [1, 191, 1000, 4097, 99_999, 1 << 20] {
            let cache = ObjectCache::new(capacity);
            for number in 0..5000 {
                let (name, bytes) = object(number, number as usize % 700);
                cache.insert(name, &bytes);
                assert!(cache.stats().bytes <= capacity, "{:?}", cache.stats());
            }
            assert_eq!(cache.stats().capacity_bytes, capacity);
            assert!(capacity < 4096 || cache.stats().bytes > capacity / 2, "{:?}", cache.stats());
        }
    }

    #[test]
    fn an_object_that_would_not_fit_is_read_but_not_kept() {
        let cache = ObjectCache::new(1 << 20);
        let (small, bytes) = object(0, 100);
        cache.insert(small, &bytes);
        let (large, long) = object(1, 2 << 20);
        cache.insert(large, &long);
        assert_eq!(cache.fetch(&large), None);
        let read = cache.fetch_or_read(&large, || Ok::<_, ()>(long.to_vec()));
        assert_eq!(read, Ok(long));
        assert_eq!(cache.fetch(&large), None);
        assert_eq!(cache.fetch(&small), Some(bytes), "and nothing had to go for it");
    }

    #[test]
    fn hits_and_misses_are_counted() {
        let cache = ObjectCache::new(1 << 20);
        let (name, bytes) = object(7, 100);
        assert_eq!(cache.fetch(&name), None);
        assert_eq!(cache.fetch_or_read(&name, || Err("unreadable")), Err("unreadable"));
        assert_eq!(cache.fetch_or_read(&name, || Ok::<_, ()>(bytes.to_vec())), Ok(bytes.clone()));
        assert_eq!(cache.fetch_or_read(&name, || Err("not asked")), Ok(bytes.clone()));
        assert_eq!(cache.fetch(&name), Some(bytes));
        let CacheStats { hits, misses, bytes, .. } = cache.stats();
        assert_eq!((hits, misses, bytes), (2, 3, 100 + OVERHEAD));
    }

    #[test]
    fn without_capacity_nothing_is_held_and_all_is_missed() {
        let cache = ObjectCache::new(0);
        let (name, bytes) = object(7, 100);
        cache.insert(name, &bytes);
        assert_eq!(cache.fetch(&name), None);
        assert_eq!(cache.fetch_or_read(&name, || Ok::<_, ()>(bytes.to_vec())), Ok(bytes));
        cache.remove(&name);
        assert_eq!(cache.stats(), CacheStats { misses: 2, ..CacheStats::default() });
    }

    #[test]
    fn a_read_does_not_keep_what_is_removed_before_it_ends() {
        let cache = ObjectCache::new(1 << 20);
        let (name, bytes) = object(7, 100);
        let read = cache.fetch_or_read(&name, || {
            // As a deletion by another thread at this moment.
            cache.remove(&name);
            Ok::<_, ()>(bytes.to_vec())
        });
        assert_eq!(read, Ok(bytes));
        assert_eq!(cache.fetch(&name), None);
    }

    #[test]
    fn objects_that_are_read_again_outlive_a_scan() {
        let cache = ObjectCache::new(1 << 20);
        let wanted: Vec<_> = (0..500).map(|number| object(number, 256)).collect();
        for (name, bytes) in &wanted {
            cache.insert(*name, bytes);
        }
        // Five times what the cache can hold passes once, while the wanted are read now and then.
        for number in 0..12_000 {
            let (name, bytes) = object(1_000_000 + number, 256);
            cache.insert(name, &bytes);
            _ = cache.fetch(&wanted[number as usize % 500].0);
        }
        let left = wanted.iter().filter(|(name, _)| cache.fetch(name).is_some()).count();
        assert!(left > 450, "{left} of 500 are left");
    }

    #[test]
    fn threads_get_the_right_bytes_and_every_question_is_counted() {
        let (threads, questions) = (8u32, 20_000u32);
        let cache = ObjectCache::new(256 << 10);
        let objects: Vec<_> = (0..2000).map(|number| object(number, 200)).collect();
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let (cache, objects) = (&cache, &objects);
                scope.spawn(move || {
                    let mut state = 0x9e37_79b9_u32.wrapping_mul(thread + 1);
                    for _ in 0..questions {
                        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        let (name, bytes) = &objects[state as usize % objects.len()];
                        let read = cache.fetch_or_read(name, || Ok::<_, ()>(bytes.to_vec()));
                        assert_eq!(read.as_ref(), Ok(bytes));
                        if state.is_multiple_of(64) {
                            cache.remove(name);
                        }
                    }
                });
            }
        });
        let stats = cache.stats();
        assert_eq!(stats.hits + stats.misses, u64::from(threads * questions));
        assert!(stats.hits > 0 && stats.misses > 0 && stats.bytes <= stats.capacity_bytes);
    }
}
