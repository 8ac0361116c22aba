// SPDX-License-Identifier: MIT
//! What every object store must do, whatever it keeps objects in.
//!
//! One story told to a store through its trait alone. What a store does beyond it (ages, durability, several processes) is for
//! its own tests.

use std::collections::BTreeMap;

use cascow_core::hash::ContentHash;
use cascow_core::store::{ObjectInfo, ObjectStore, StoreError};

/// Puts an empty store through all that [`ObjectStore`] promises, and leaves it empty.
///
/// # Panics
/// If the store breaks a promise; the message says which.
pub fn conforms(store: &dyn ObjectStore) {
    assert_eq!(list(store), BTreeMap::new(), "the store under test begins empty");
    let objects = objects();

    for bytes in &objects {
        let name = store.hash_kind().hash(bytes);
        lacks(store, &name);

        let put = store.put(bytes).expect("an object is stored");
        assert_eq!(put.hash, name, "an object is named by the hash of its bytes");
        assert!(put.added.is_some(), "a first put adds");
        holds(store, &name, bytes);

        let again = store.put(bytes).expect("an object is stored again");
        assert_eq!((again.hash, again.added), (name, None), "a second put adds nothing");
        holds(store, &name, bytes);
    }
    lists_exactly(store, &objects);
    a_visitor_can_stop(store);
    several_are_put_as_each_in_turn(store, &objects);

    // Each object goes alone, and comes back as new.
    let (first, rest) = objects.split_first().expect("there are objects");
    let name = store.hash_kind().hash(first);
    assert!(store.delete(&name).expect("an object is deleted"), "a first delete finds the object");
    assert!(!store.delete(&name).expect("nothing is deleted"), "a second delete finds nothing");
    lacks(store, &name);
    lists_exactly(store, rest);
    assert!(store.put(first).expect("a deleted object is stored").added.is_some());
    holds(store, &name, first);
    lists_exactly(store, &objects);

    for bytes in &objects {
        assert!(store.delete(&store.hash_kind().hash(bytes)).expect("an object is deleted"));
    }
    assert_eq!(list(store), BTreeMap::new(), "what was deleted is not listed");
}

/// Objects that are there, some that are not, and each of them twice: all in one call.
fn several_are_put_as_each_in_turn(store: &dyn ObjectStore, objects: &[Vec<u8>]) {
    let absent = &objects[2..5];
    for bytes in absent {
        assert!(store.delete(&store.hash_kind().hash(bytes)).expect("an object is deleted"));
    }
    let twice: Vec<&[u8]> = objects.iter().chain(objects).map(Vec::as_slice).collect();
    let puts = store.put_many(&twice).expect("objects are stored");
    assert_eq!(puts.len(), twice.len(), "each put is told of");
    for (at, (put, bytes)) in puts.iter().zip(&twice).enumerate() {
        assert_eq!(put.hash, store.hash_kind().hash(bytes), "in the order of the objects");
        assert_eq!(put.added.is_some(), (2..5).contains(&at), "only what was not there is added");
        holds(store, &put.hash, bytes);
    }
    lists_exactly(store, objects);
    assert_eq!(store.put_many(&[]).expect("nothing is stored"), []);
}

/// No bytes, one, a text, zeros that compress well, noise that does not, 1 MiB of each; and two that differ by a bit.
fn objects() -> Vec<Vec<u8>> {
    let noise = |len: usize| {
        // Xorshift: anything that does not compress will do.
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        };
        (0..len).map(|_| next()).collect::<Vec<u8>>()
    };
    let mut sibling = noise(5000);
    sibling[4999] ^= 1;
    vec![
        vec![],
        vec![0],
        b"the same words, ".repeat(100),
        noise(5000),
        sibling,
        vec![0; 1 << 20],
        noise(1 << 20),
    ]
}

fn holds(store: &dyn ObjectStore, name: &ContentHash, bytes: &[u8]) {
    assert!(store.exists(name).expect("the store can tell"), "what was put exists");
    assert!(store.get(name).expect("what was put can be read") == bytes, "what was put is read");
}

fn lacks(store: &dyn ObjectStore, name: &ContentHash) {
    assert!(!store.exists(name).expect("the store can tell"), "what is not there does not exist");
    match store.get(name) {
        Err(StoreError::Missing { hash }) => {
            assert_eq!(hash, *name, "the error names what is missing");
        }
        Err(error) => panic!("a missing object is reported as: {error}"),
        Ok(bytes) => panic!("a missing object is read as {} bytes", bytes.len()),
    }
}

/// The listing by name, each once.
fn list(store: &dyn ObjectStore) -> BTreeMap<ContentHash, ObjectInfo> {
    let mut found = BTreeMap::new();
    store
        .for_each(&mut |object| {
            assert_eq!(found.insert(object.hash, object), None, "an object is listed once");
            Ok(())
        })
        .expect("a store can be listed");
    found
}

fn lists_exactly(store: &dyn ObjectStore, objects: &[Vec<u8>]) {
    let found = list(store);
    assert_eq!(found.len(), objects.len(), "as many objects are listed as were put");
    for bytes in objects {
        let object = found.get(&store.hash_kind().hash(bytes)).expect("what was put is listed");
        assert_eq!(u64::try_from(bytes.len()), Ok(object.raw_len), "with its own length");
        assert!(object.stored_len > 0, "and the length that it takes");
    }
}

fn a_visitor_can_stop(store: &dyn ObjectStore) {
    let mut seen = 0;
    let stopped = store.for_each(&mut |_| {
        seen += 1;
        Err(StoreError::Host("stop".into()))
    });
    assert!(matches!(stopped, Err(StoreError::Host(error)) if error.to_string() == "stop"));
    assert_eq!(seen, 1, "a visitor's error ends the listing");
}
