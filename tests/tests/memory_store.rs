// SPDX-License-Identifier: MIT
//! The reference store keeps its own promises.

use cascow_core::hash::HashKind;
use cascow_core::store::{MemoryStore, ObjectStore};
use cascow_tests::store_conformance::conforms;

#[test]
fn the_memory_store_conforms_with_either_hash_function() {
    for kind in [HashKind::Sha256, HashKind::Blake3] {
        conforms(&MemoryStore::new(kind));
    }
}

#[test]
fn a_put_adds_what_the_listing_says_is_stored() {
    let store = MemoryStore::new(HashKind::Sha256);
    for bytes in [&b""[..], b"a", &[0; 10_000]] {
        let put = store.put(bytes).unwrap();
        let mut stored = None;
        store
            .for_each(&mut |object| {
                if object.hash == put.hash {
                    stored = Some(object.stored_len);
                }
                Ok(())
            })
            .unwrap();
        assert_eq!(put.added, stored);
    }
}

#[test]
fn a_visitor_may_change_the_store() {
    let store = MemoryStore::new(HashKind::Sha256);
    (0..10u8).for_each(|byte| _ = store.put(&[byte]).unwrap());
    store
        .for_each(&mut |object| {
            store.put(object.hash.as_bytes())?;
            assert!(store.delete(&object.hash)?);
            Ok(())
        })
        .unwrap();
    assert_eq!(store.len(), 10);
    assert!((0..10u8).all(|byte| !store.exists(&HashKind::Sha256.hash(&[byte])).unwrap()));
}
