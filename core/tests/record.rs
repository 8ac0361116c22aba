// SPDX-License-Identifier: MIT
//! Stored snapshots: what is written is read, names follow from content, and hostile records and listings are refused.
#![cfg(all(feature = "alloc", feature = "sha256", feature = "blake3"))]

use cascow_core::blob::{self, Blob, BlobError, BlobId, BlobIndex, BlobProblem};
use cascow_core::hash::{ContentHash, HashKind};
use cascow_core::merkle::StateRoot;
use cascow_core::record::{self, RecordError, SnapshotRecord};
use cascow_core::snapshot::{State, Value};
use cascow_core::store::{MemoryStore, ObjectStore, StoreError};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::Index;

const KIND: HashKind = HashKind::Sha256;

fn value(bytes: impl Into<Box<[u8]>>, note: impl Into<Box<[u8]>>) -> Value {
    Value { bytes: bytes.into(), note: note.into() }
}

fn numbered(count: u32) -> State {
    (0..count)
        .map(|n| (format!("key {n:06}").into_bytes(), value(n.to_le_bytes(), *b"note")))
        .collect()
}

fn identical(a: &State, b: &State) -> bool {
    a == b && a.delta_to(b).is_empty()
}

/// The state that a record leads to.
fn reread(store: &MemoryStore, snapshot: &ContentHash) -> Result<State, RecordError> {
    record::read_state(store, &record::read(store, snapshot)?)
}

fn states() -> impl Strategy<Value = State> {
    let bytes = || vec(any::<u8>(), 0..300);
    btree_map(vec(any::<u8>(), 0..12), (bytes(), bytes()), 0..80).prop_map(|map| {
        map.into_iter().map(|(key, (bytes, note))| (key, value(bytes, note))).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn states_come_back_with_their_notes(state in states(), parent in any::<Option<[u8; 32]>>()) {
        for kind in [HashKind::Sha256, HashKind::Blake3] {
            let store = MemoryStore::new(kind);
            let parent = parent.map(ContentHash::from_bytes);
            let written = record::write(&store, &state, parent).unwrap();
            prop_assert_eq!(written.record.root, state.root(kind));
            prop_assert_eq!(written.record.entries, u64::try_from(state.len()).unwrap());
            prop_assert_eq!(written.record.parent, parent);
            prop_assert_eq!(&record::read(&store, &written.snapshot).unwrap(), &written.record);
            prop_assert!(identical(&reread(&store, &written.snapshot).unwrap(), &state));
        }
    }

    #[test]
    fn arbitrary_bytes_are_no_record(start in 0..9usize, rest in vec(any::<u8>(), 0..200)) {
        let store = MemoryStore::new(KIND);
        let object = store.put(&[&b"CCSN\x01\x01\x00\x00"[..start.min(8)], &rest].concat()).unwrap().hash;
        match record::read(&store, &object) {
            Ok(record) => prop_assert!(record::read_state(&store, &record).is_err()),
            Err(RecordError::NotASnapshot { snapshot } | RecordError::Unsupported { snapshot }) => {
                prop_assert_eq!(snapshot, object);
            }
            Err(error) => prop_assert!(false, "{}", error),
        }
    }

    /// With its own root and the right number of entries, a listing that reads is one that `write` makes of its state.
    #[test]
    fn an_altered_listing_is_refused_or_canonical(state in states(), at in any::<Index>(), byte: u8, cut: bool) {
        let mut bytes = listing(&entries(&state));
        prop_assume!(!bytes.is_empty());
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        let store = MemoryStore::new(KIND);
        let record = claim(&store, &bytes, &state);
        match record::read_state(&store, &record) {
            Ok(found) => {
                prop_assert_eq!(found.root(KIND), state.root(KIND));
                prop_assert_eq!(listing(&entries(&found)), bytes);
            }
            Err(
                RecordError::Listing { .. }
                | RecordError::Entries { .. }
                | RecordError::Root { .. },
            ) => {}
            Err(error) => prop_assert!(false, "{}", error),
        }
    }

    #[test]
    fn arbitrary_bytes_are_no_listing(bytes in vec(prop_oneof![Just(0), any::<u8>()], 1..400)) {
        let store = MemoryStore::new(KIND);
        // The record says that there are none.
        match record::read_state(&store, &claim(&store, &bytes, &State::new())) {
            Err(RecordError::Listing { after: 0 } | RecordError::Entries { expected: 0, found: 1 }) => {}
            other => prop_assert!(false, "{:?}", other),
        }
    }
}

#[test]
fn the_same_state_notes_and_parent_have_the_same_name() {
    let (store, again) = (MemoryStore::new(KIND), MemoryStore::new(KIND));
    let name = |store, state: &State, parent| record::write(store, state, parent).unwrap().snapshot;
    let state = numbered(1000);
    let mut wandered: State = state.iter().rev().map(|(key, value)| (key, value.clone())).collect();
    wandered.write(*b"other", *b"value");
    wandered.remove(b"other");
    let first = name(&store, &state, None);
    assert_eq!(name(&store, &state, None), first);
    assert_eq!(name(&again, &wandered, None), first);

    let mut renoted = state.clone();
    renoted.write(*b"key 000000", value(0u32.to_le_bytes(), *b"other note"));
    assert_eq!(renoted.root(KIND), state.root(KIND));
    assert_ne!(name(&store, &renoted, None), first, "notes are part of a snapshot");
    assert_ne!(name(&store, &state, Some(first)), first, "so is the parent");
}

#[test]
fn storing_a_snapshot_again_adds_nothing() {
    let store = MemoryStore::new(KIND);
    record::write(&store, &numbered(1000), None).unwrap();
    let again = record::write(&store, &numbered(1000), None).unwrap();
    assert_eq!((again.added.objects, again.added.bytes), (0, 0));
}

#[test]
fn one_changed_entry_of_10_000_adds_a_few_chunks() {
    let store = MemoryStore::new(KIND);
    let mut state = numbered(10_000);
    let first = record::write(&store, &state, None).unwrap();
    state.write(*b"key 005000", value(*b"changed", *b"note"));
    let second = record::write(&store, &state, Some(first.snapshot)).unwrap();
    assert!(second.added.bytes < 64 << 10, "{:?}", second.added);
    assert!(second.added.objects <= 8, "{:?}", second.added);
    assert!(identical(&reread(&store, &second.snapshot).unwrap(), &state));
}

#[test]
fn entries_up_to_the_limits_are_stored_and_longer_ones_are_not() {
    let longest = (vec![1; 1 << 16], value(vec![2; 1 << 20], vec![3; 1 << 16]));
    let store = MemoryStore::new(KIND);
    let state: State = [longest.clone()].into_iter().collect();
    let written = record::write(&store, &state, None).unwrap();
    assert!(identical(&reread(&store, &written.snapshot).unwrap(), &state));

    let (key, whole) = longest;
    let longer = |bytes: &[u8]| [bytes, &[0]].concat();
    for (key, value) in [
        (longer(&key), whole.clone()),
        (key.clone(), value(longer(&whole.bytes), whole.note.clone())),
        (key.clone(), value(whole.bytes.clone(), longer(&whole.note))),
    ] {
        let state: State = [(key.clone(), value)].into_iter().collect();
        let error = record::write(&store, &state, None).unwrap_err();
        assert!(matches!(error, RecordError::TooLong { key: k } if *k == *key));
    }
}

/// Key, value, note.
type Entry = (Vec<u8>, Vec<u8>, Vec<u8>);

fn entries(state: &State) -> Vec<Entry> {
    state
        .iter()
        .map(|(key, value)| (key.into(), value.bytes.to_vec(), value.note.to_vec()))
        .collect()
}

/// A listing as documented, of any entries in any order.
fn listing(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (key, value, note) in entries {
        for part in [key, value, note] {
            bytes.extend(u32::try_from(part.len()).unwrap().to_le_bytes());
        }
        for part in [key, value, note] {
            bytes.extend(part);
        }
    }
    bytes
}

/// A record that claims `bytes` to be the listing of `state`.
fn claim(store: &MemoryStore, bytes: &[u8], state: &State) -> SnapshotRecord {
    let (listing, _) = blob::write(store, bytes).unwrap();
    let entries = u64::try_from(state.len()).unwrap();
    SnapshotRecord { parent: None, root: state.root(KIND), entries, listing }
}

#[test]
fn the_listing_is_as_documented() {
    let (store, state) = (MemoryStore::new(KIND), numbered(1000));
    let written = record::write(&store, &state, None).unwrap();
    assert_eq!(written.record, claim(&store, &listing(&entries(&state)), &state));
}

#[test]
fn a_malformed_listing_is_refused_where_it_goes_wrong() {
    let (store, state) = (MemoryStore::new(KIND), numbered(5));
    let honest = entries(&state);
    let refused = |bytes: &[u8], expected: u64| match record::read_state(
        &store,
        &claim(&store, bytes, &state),
    ) {
        Err(RecordError::Listing { after }) => assert_eq!(after, expected),
        other => panic!("{other:?}"),
    };
    let mut swapped = honest.clone();
    swapped.swap(1, 2);
    refused(&listing(&swapped), 2);
    let mut doubled = honest.clone();
    doubled.insert(3, honest[2].clone());
    refused(&listing(&doubled), 3);

    let whole = listing(&honest);
    let one = whole.len() / honest.len();
    for cut in (1..whole.len()).filter(|cut| cut % one != 0) {
        refused(&whole[..cut], u64::try_from(cut / one).unwrap());
    }
    refused(&[&whole[..], &[0]].concat(), 5);
    refused(&[&whole[..], &[0; 11]].concat(), 5);
    refused(&[&whole[..], &[0; 12]].concat(), 5); // an empty key after others

    // Lengths beyond the limits, of key, value and note in turn.
    for (field, limit) in [(0, 1u32 << 16), (4, 1 << 20), (8, 1 << 16)] {
        for len in [limit + 1, u32::MAX, limit] {
            let mut lying = whole.clone();
            lying[one + field..][..4].copy_from_slice(&len.to_le_bytes());
            refused(&lying, 1);
        }
    }
}

#[test]
fn a_listing_of_another_state_is_refused() {
    let (store, state) = (MemoryStore::new(KIND), numbered(5));
    let honest = entries(&state);
    let (mut changed, mut renamed) = (honest.clone(), honest);
    changed[2].1 = b"changed".into();
    renamed[4].0 = b"renamed".into();
    for other in [changed, renamed] {
        match record::read_state(&store, &claim(&store, &listing(&other), &state)) {
            Err(RecordError::Root { expected, found }) => {
                assert_eq!(expected, state.root(KIND));
                assert_ne!(found, expected);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_number_of_entries_that_lies_is_refused_as_such() {
    let (store, state) = (MemoryStore::new(KIND), numbered(5));
    for lie in [0, 4, 6, u64::MAX] {
        let honest = record::write(&store, &state, None).unwrap().record;
        let lying = SnapshotRecord { entries: lie, ..honest };
        match record::read_state(&store, &lying) {
            Err(RecordError::Entries { expected, found }) => {
                assert_eq!(expected, lie);
                assert_eq!(found, if lie < 5 { lie + 1 } else { 5 });
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_damaged_or_missing_listing_is_the_blobs_error() {
    let (store, state) = (MemoryStore::new(KIND), numbered(2000));
    let written = record::write(&store, &state, None).unwrap();
    let Some(BlobIndex { top, .. }) = written.record.listing.index else {
        panic!("a long listing")
    };
    store.delete(&top).unwrap();
    let error = reread(&store, &written.snapshot).unwrap_err();
    assert!(matches!(
        error,
        RecordError::Blob(BlobError::Store(StoreError::Missing { hash })) if hash == top
    ));

    let BlobId::List { root, len } = written.record.listing.id else { panic!("a long listing") };
    let other = blob::write(&store, &vec![0; usize::try_from(len).unwrap()]).unwrap().0;
    let crossed = Blob { id: BlobId::List { root, len }, index: other.index };
    let record = SnapshotRecord { listing: crossed, ..written.record };
    // Its zeros are a state with one empty key, and then that key again.
    let error = record::read_state(&store, &record).unwrap_err();
    assert!(matches!(error, RecordError::Listing { after: 1 }), "{error}");
    let empty = State::new();
    let record = SnapshotRecord {
        listing: Blob { id: BlobId::List { root, len: 0 }, index: other.index },
        ..claim(&store, b"", &empty)
    };
    let error = record::read_state(&store, &record).unwrap_err();
    let RecordError::Blob(BlobError::Corrupt { problem, .. }) = error else { panic!("{error}") };
    assert!(matches!(problem, BlobProblem::Len { expected: 0, .. }));
}

#[test]
fn only_the_bytes_that_write_makes_are_a_record() {
    let store = MemoryStore::new(KIND);
    let parent = record::write(&store, &State::new(), None).unwrap().snapshot;
    let written = record::write(&store, &numbered(5000), Some(parent)).unwrap();
    let whole = store.get(&written.snapshot).unwrap();
    let read = |bytes: &[u8]| {
        let snapshot = store.put(bytes).unwrap().hash;
        match record::read(&store, &snapshot) {
            Ok(record) => Ok(record),
            Err(RecordError::NotASnapshot { snapshot: s }) if s == snapshot => {
                Err("not a snapshot")
            }
            Err(RecordError::Unsupported { snapshot: s }) if s == snapshot => Err("unsupported"),
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(read(&whole), Ok(written.record));
    for len in 0..whole.len() {
        assert_eq!(read(&whole[..len]), Err("not a snapshot"), "cut to {len}");
    }
    for tail in [&[0][..], &whole] {
        assert_eq!(read(&[&whole, tail].concat()), Err("not a snapshot"));
    }
    let with = |at: usize, byte: u8| {
        let mut bytes = whole.clone();
        bytes[at] = byte;
        read(&bytes)
    };
    assert_eq!(with(0, b'X'), Err("not a snapshot"));
    for (at, byte) in [(4, 0), (4, 2), (5, 0), (5, 2), (5, 9), (6, 1), (7, 0x80)] {
        assert_eq!(with(at, byte), Err("unsupported"), "byte {at} set to {byte}");
    }
    assert_eq!(with(8, 2), Err("not a snapshot"), "an option that is neither none nor some");
    // The number of entries, 5000, in three bytes where two do.
    let at = 8 + 1 + 32 + 32;
    assert_eq!(whole[at..at + 2], [0x88, 0x27]);
    let padded = [&whole[..at], &[0x88, 0xa7, 0x00], &whole[at + 2..]].concat();
    assert_eq!(read(&padded), Err("not a snapshot"));
}

#[test]
fn a_record_for_another_hash_function_is_not_read() {
    let blake3 = MemoryStore::new(HashKind::Blake3);
    let written = record::write(&blake3, &numbered(3), None).unwrap();
    let sha256 = MemoryStore::new(HashKind::Sha256);
    let moved = sha256.put(&blake3.get(&written.snapshot).unwrap()).unwrap().hash;
    assert!(matches!(record::read(&sha256, &moved), Err(RecordError::Unsupported { .. })));
    let missing = ContentHash::from_bytes([0; 32]);
    let error = record::read(&sha256, &missing).unwrap_err();
    assert!(matches!(error, RecordError::Blob(BlobError::Store(StoreError::Missing { .. }))));
}

#[test]
fn a_root_that_lies_is_named_with_the_one_found() {
    let (store, state) = (MemoryStore::new(KIND), numbered(5));
    let honest = record::write(&store, &state, None).unwrap().record;
    let root = StateRoot::from_bytes([7; 32]);
    let error = record::read_state(&store, &SnapshotRecord { root, ..honest }).unwrap_err();
    assert!(matches!(
        error,
        RecordError::Root { expected, found } if expected == root && found == state.root(KIND)
    ));
}
