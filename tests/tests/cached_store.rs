// SPDX-License-Identifier: MIT
//! A store with a cache in front of it is a store like any other; what it answers from memory is what the store holds.

use cascow_core::frame::MAX_OBJECT_LEN;
use cascow_core::hash::HashKind;
use cascow_core::store::{MemoryStore, ObjectStore, StoreError};
use cascow_native::store::{Cached, Durability, FilesystemStore, SegmentStore};
use cascow_tests::store_conformance::conforms;

const KIND: HashKind = HashKind::Sha256;

#[test]
fn a_cached_store_conforms_with_room_for_all_for_some_and_for_nothing() {
    for capacity in [1 << 30, 8192, 0] {
        conforms(&Cached::new(MemoryStore::new(KIND), capacity));
        conforms(&Cached::new(MemoryStore::new(HashKind::Blake3), capacity));
        let dir = tempfile::tempdir().unwrap();
        conforms(&Cached::new(FilesystemStore::new(KIND, dir.path()), capacity));
        let dir = tempfile::tempdir().unwrap();
        let store = SegmentStore::open(KIND, dir.path(), Durability::Batch).unwrap();
        conforms(&Cached::new(store, capacity));
    }
}

#[test]
fn a_second_read_does_not_reach_the_store() {
    let store = Cached::new(MemoryStore::new(KIND), 1 << 20);
    let name = store.put(b"once").unwrap().hash;
    assert_eq!(store.get(&name).unwrap(), b"once");
    // Behind the cache's back: now only the cache has it.
    assert!(store.store().delete(&name).unwrap());
    assert_eq!(store.get(&name).unwrap(), b"once");
    assert_eq!((store.stats().hits, store.stats().misses), (1, 1));
}

#[test]
fn what_is_deleted_through_the_cache_is_missing_at_once() {
    let store = Cached::new(MemoryStore::new(KIND), 1 << 20);
    let name = store.put(b"gone").unwrap().hash;
    store.get(&name).unwrap();
    assert!(store.delete(&name).unwrap());
    assert!(matches!(store.get(&name), Err(StoreError::Missing { hash }) if hash == name));
}

#[test]
fn a_put_reaches_the_store_even_if_the_cache_has_the_object() {
    let store = Cached::new(MemoryStore::new(KIND), 1 << 20);
    let name = store.put(b"again").unwrap().hash;
    store.get(&name).unwrap();
    store.store().delete(&name).unwrap();
    assert!(store.put(b"again").unwrap().added.is_some());
    assert!(store.store().exists(&name).unwrap());
}

#[test]
fn an_object_beyond_the_readers_limit_is_refused_also_from_the_cache() {
    let store = Cached::new(MemoryStore::new(KIND), 1 << 20);
    let name = store.put(&[7; 1000]).unwrap().hash;
    for _ in 0..2 {
        let within = store.get_within(&name, 999);
        assert!(matches!(within, Err(StoreError::Frame { hash, .. }) if hash == name));
        assert_eq!(store.get_within(&name, MAX_OBJECT_LEN).unwrap(), [7; 1000]);
    }
}
