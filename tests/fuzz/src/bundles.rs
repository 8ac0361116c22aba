// SPDX-License-Identifier: MIT
//! Bundles, against the naive implementation; and imports of what is one.

use std::collections::BTreeSet;

use cascow_core::bundle::{self, BundleError, Decoder, Part, WalkError};
use cascow_core::hash::ContentHash;
use cascow_core::store::{MemoryStore, ObjectStore, StoreError};

use crate::naive_bundle::Bundle;

/// A bundle, and the same with a right end.
pub fn bundle(data: &[u8]) {
    compare_bundle(data);
    let ended = || Bundle::decode(&[data, &[0; 4]].concat());
    if let Some(mut bundle) = Bundle::decode(data).or_else(ended) {
        compare_bundle(&bundle.encode());
        bundle.heads.sort_unstable();
        bundle.heads.dedup();
        compare_bundle(&bundle.encode());
    }
}

fn compare_bundle(bytes: &[u8]) {
    let found = decode(bytes, usize::MAX);
    // As many bytes at a time as one of them says.
    let at_once = bytes.last().map_or(1, |len| usize::from(*len).max(1));
    assert_eq!(decode(bytes, at_once), found);
    let Some(naive) = Bundle::read(bytes) else {
        return assert!(found.is_err());
    };
    let parts = found.expect("the naive reader accepts it");
    let names = |heads: &[[u8; 32]]| heads.iter().copied().map(ContentHash::from_bytes).collect();
    let heads: Vec<ContentHash> = names(&naive.heads);
    let objects = naive.objects().expect("it is sound");
    let mut expected = vec![Part::Heads { kind: naive.kind, heads: heads.clone() }];
    expected.extend(objects.iter().cloned().map(Part::Object));
    expected.push(Part::End { objects: objects.len() as u64, len: bytes.len() as u64 });
    assert_eq!(parts, expected);

    let store = MemoryStore::new(naive.kind);
    for object in &objects {
        store.put(object).expect("memory");
    }
    import(&store, &heads);
}

fn decode(bytes: &[u8], at_once: usize) -> Result<Vec<Part>, BundleError> {
    let (mut decoder, mut parts) = (Decoder::new(), Vec::new());
    for mut piece in bytes.chunks(at_once) {
        while let Some(part) = decoder.next(&mut piece)? {
            parts.push(part);
        }
        assert!(piece.is_empty(), "what is not understood yet is held");
    }
    decoder.finish().map(|()| parts)
}

/// What is whole can be exported, and what was exported is whole.
fn import(store: &MemoryStore, heads: &[ContentHash]) {
    let (mut seen, mut out) = (BTreeSet::new(), Vec::new());
    let exported =
        bundle::export(store, heads, &mut |name| first(store, &mut seen, name), &mut |bytes| {
            out.extend_from_slice(bytes);
            Ok(())
        });
    let snapshots = match (check(store, heads), exported) {
        (Ok(snapshots), Ok(exported)) => {
            assert_eq!(exported.snapshots, snapshots.len() as u64);
            assert_eq!((exported.len, exported.objects), (out.len() as u64, seen.len() as u64));
            snapshots
        }
        // Nothing is missing, but a record lies.
        (Err(WalkError::State { .. }), _) => return,
        (Err(WalkError::Fault { .. }), Err(WalkError::Fault { .. })) => return,
        (checked, exported) => panic!("{checked:?} and {exported:?}"),
    };
    let again = MemoryStore::new(store.hash_kind());
    for part in decode(&out, 1000).expect("we wrote it") {
        if let Part::Object(bytes) = part {
            assert!(again.put(&bytes).expect("memory").added.is_some(), "each object once");
        }
    }
    assert_eq!(check(&again, heads).expect("it is whole"), snapshots);
}

fn first(
    store: &MemoryStore,
    seen: &mut BTreeSet<ContentHash>,
    name: &ContentHash,
) -> Result<bool, StoreError> {
    is_there(store, name).map(|()| seen.insert(*name))
}

fn is_there(store: &MemoryStore, name: &ContentHash) -> Result<(), StoreError> {
    if store.exists(name)? { Ok(()) } else { Err(StoreError::Missing { hash: *name }) }
}

fn check(store: &MemoryStore, heads: &[ContentHash]) -> Result<Vec<ContentHash>, WalkError> {
    bundle::check(store, heads, &mut |_| false, &mut |name| is_there(store, name))
}
