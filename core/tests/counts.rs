// SPDX-License-Identifier: MIT
//! What counts its things is empty exactly while it counts none.
#![cfg(all(feature = "alloc", feature = "sha256"))]

use cascow_core::hash::HashKind;
use cascow_core::merkle::list::ListHasher;
use cascow_core::snapshot::{Delta, SnapshotTree, State};
use cascow_core::store::{MemoryStore, ObjectStore};

#[test]
fn emptiness_follows_the_count() {
    fn agree(is_empty: bool, count: usize, expected: usize) -> bool {
        count == expected && is_empty == (expected == 0)
    }

    let mut state = State::new();
    assert!(agree(state.is_empty(), state.len(), 0));
    state.write(*b"key", *b"value");
    assert!(agree(state.is_empty(), state.len(), 1));
    state.remove(b"key");
    assert!(agree(state.is_empty(), state.len(), 0));

    let mut tree = SnapshotTree::new();
    assert!(agree(tree.is_empty(), tree.len(), 0));
    tree.create(&Delta::new()).unwrap();
    assert!(agree(tree.is_empty(), tree.len(), 1));

    let store = MemoryStore::new(HashKind::Sha256);
    assert!(agree(store.is_empty(), store.len(), 0));
    let name = store.put(b"").unwrap().hash;
    assert!(agree(store.is_empty(), store.len(), 1) && store.exists(&name).unwrap());
    assert!(store.delete(&name).unwrap() && !store.delete(&name).unwrap());
    assert!(agree(store.is_empty(), store.len(), 0) && !store.exists(&name).unwrap());

    // A chunk of no bytes is a chunk.
    let mut list = ListHasher::new(HashKind::Sha256);
    assert_eq!((list.is_empty(), list.leaves(), list.len()), (true, 0, 0));
    list.push(&name, 0);
    assert_eq!((list.is_empty(), list.leaves(), list.len()), (false, 1, 0));
}
