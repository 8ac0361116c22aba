// SPDX-License-Identifier: MIT
//! What a snapshot is said to refer to is what its readers read, no more and no less; and where something is missing, damaged or
//! hostile, that is said, and all the rest is still found.
#![cfg(all(feature = "alloc", feature = "sha256"))]

use std::cell::RefCell;
use std::collections::BTreeSet;

use cascow_core::blob::{self, Blob, BlobId, BlobIndex, BlobReader};
use cascow_core::entry::{Entry, EntryKind, Note};
use cascow_core::hash::{ContentHash, HashKind};
use cascow_core::reach::{Fault, Reach, Visitor};
use cascow_core::record::{self, SnapshotRecord};
use cascow_core::snapshot::{State, Value};
use cascow_core::store::{MemoryStore, ObjectInfo, ObjectStore, Put, StoreError};
use cascow_core::workspace;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

const KIND: HashKind = HashKind::Sha256;

type Names = BTreeSet<ContentHash>;

/// A store that remembers which objects were read.
struct Recording<'s> {
    store: &'s MemoryStore,
    read: RefCell<Vec<ContentHash>>,
}

impl ObjectStore for Recording<'_> {
    fn hash_kind(&self) -> HashKind {
        self.store.hash_kind()
    }

    fn put(&self, bytes: &[u8]) -> Result<Put, StoreError> {
        self.store.put(bytes)
    }

    fn get_within(&self, hash: &ContentHash, limit: u64) -> Result<Vec<u8>, StoreError> {
        self.read.borrow_mut().push(*hash);
        self.store.get_within(hash, limit)
    }

    fn exists(&self, hash: &ContentHash) -> Result<bool, StoreError> {
        self.store.exists(hash)
    }

    fn delete(&self, hash: &ContentHash) -> Result<bool, StoreError> {
        self.store.delete(hash)
    }

    fn for_each(
        &self,
        visit: &mut dyn FnMut(ObjectInfo) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.store.for_each(visit)
    }
}

/// Takes down what it is told.
struct Told<'s> {
    store: &'s dyn ObjectStore,
    objects: Names,
    faults: Vec<Fault>,
}

impl Visitor for Told<'_> {
    fn object(&mut self, hash: &ContentHash) -> Result<(), StoreError> {
        if !self.store.exists(hash)? {
            return Err(StoreError::Missing { hash: *hash });
        }
        self.objects.insert(*hash);
        Ok(())
    }

    fn fault(&mut self, fault: &Fault) -> Result<(), StoreError> {
        self.faults.push(fault.clone());
        Ok(())
    }
}

/// What the walk of these snapshots tells.
fn told(store: &dyn ObjectStore, snapshots: &[ContentHash]) -> (Names, Vec<Fault>) {
    let mut reach = Reach::new(store, Told { store, objects: Names::new(), faults: Vec::new() });
    for snapshot in snapshots {
        reach.snapshot(snapshot).unwrap();
    }
    let Told { objects, faults, .. } = reach.into_visitor();
    (objects, faults)
}

/// What reading these snapshots and all their files reads.
fn read(store: &MemoryStore, snapshots: &[ContentHash]) -> Names {
    let recording = Recording { store, read: RefCell::default() };
    for snapshot in snapshots {
        let mut next = Some(*snapshot);
        while let Some(snapshot) = next {
            let record = record::read(&recording, &snapshot).unwrap();
            let state = record::read_state(&recording, &record).unwrap();
            for (path, value) in state.iter() {
                let entry = workspace::decode(path, value).unwrap();
                if let Some(id) = entry.entry.content() {
                    let blob = Blob { id: *id, index: entry.note.index };
                    let mut chunks = BlobReader::new(&recording, blob).unwrap();
                    while chunks.next_chunk().unwrap().is_some() {}
                }
            }
            next = record.parent;
        }
    }
    recording.read.into_inner().into_iter().collect()
}

fn note(index: Option<BlobIndex>) -> Note {
    Note { mtime_secs: 0, mtime_nanos: 0, uid: 0, gid: 0, index }
}

fn file_of(blob: Blob) -> Value {
    let entry =
        Entry { kind: EntryKind::File(blob.id), mode: 0o644, xattrs: Vec::new(), links: None };
    Value { bytes: entry.encode().into(), note: note(blob.index).encode().into() }
}

fn file(store: &MemoryStore, bytes: &[u8]) -> Value {
    file_of(blob::write(store, bytes).unwrap().0)
}

/// Bytes that do not repeat.
fn noise(seed: u32, len: usize) -> Vec<u8> {
    let block = |n: u32| *KIND.hash(&[seed.to_le_bytes(), n.to_le_bytes()].concat()).as_bytes();
    (0..).flat_map(block).take(len).collect()
}

/// A state of so many files, some long, and their names long enough that the listing has many chunks.
fn state(store: &MemoryStore, seeds: impl IntoIterator<Item = u32>) -> State {
    let entry = |seed: u32| {
        let len = match seed % 16 {
            0 => 40_000,
            1 => 0,
            _ => 100,
        };
        let path = format!("some directory/a file with quite a long name {seed:08}");
        (path.into_bytes(), file(store, &noise(seed / 2, len)))
    };
    seeds.into_iter().map(entry).collect()
}

fn saved(store: &MemoryStore, state: &State, parent: Option<ContentHash>) -> ContentHash {
    record::write(store, state, parent).unwrap().snapshot
}

/// Snapshots that share most of what they have, some of them one after the other.
fn history(store: &MemoryStore, edits: &[(u32, bool)]) -> Vec<ContentHash> {
    let mut seeds: BTreeSet<u32> = (0..300).collect();
    let mut snapshots = vec![saved(store, &state(store, seeds.iter().copied()), None)];
    for (seed, has_parent) in edits {
        if !seeds.remove(seed) {
            seeds.insert(*seed);
        }
        let parent = snapshots.last().copied().filter(|_| *has_parent);
        snapshots.push(saved(store, &state(store, seeds.iter().copied()), parent));
    }
    snapshots
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn a_walk_tells_of_exactly_what_reading_reads(
        edits in vec((0_u32..400, any::<bool>()), 0..6),
        starts in vec(any::<Index>(), 1..4),
    ) {
        let store = MemoryStore::new(KIND);
        let snapshots = history(&store, &edits);
        let starts: Vec<_> = starts.iter().map(|start| *start.get(&snapshots)).collect();
        let (objects, faults) = told(&store, &starts);
        prop_assert_eq!(faults, []);
        prop_assert_eq!(objects, read(&store, &starts));
    }

    #[test]
    fn whatever_is_missing_is_told_or_lies_behind_what_is(
        edits in vec((0_u32..400, any::<bool>()), 0..3),
        missing in vec(any::<Index>(), 1..8),
    ) {
        let store = MemoryStore::new(KIND);
        let snapshots = history(&store, &edits);
        let all: Vec<_> = read(&store, &snapshots).into_iter().collect();
        let missing: Names = missing.iter().map(|nth| *nth.get(&all)).collect();
        let mut lost: Vec<(ContentHash, Vec<u8>)> =
            missing.iter().map(|hash| (*hash, store.get(hash).unwrap())).collect();
        for hash in &missing {
            store.delete(hash).unwrap();
        }
        // Mended as it is told, all of it comes to light.
        while !lost.is_empty() {
            let (objects, faults) = told(&store, &snapshots);
            let name = |fault: &Fault| match fault {
                Fault::Missing { hash } => Some(*hash),
                _ => None,
            };
            let told: Option<Names> = faults.iter().map(name).collect();
            prop_assert!(told.is_some(), "{:?}", faults);
            let told = told.unwrap_or_default();
            prop_assert!(!told.is_empty());
            prop_assert!(lost.iter().all(|(hash, _)| !objects.contains(hash)));
            prop_assert!(told.iter().all(|hash| lost.iter().any(|(name, _)| name == hash)));
            lost.retain(|(hash, bytes)| {
                let stays = !told.contains(hash);
                if !stays {
                    store.put(bytes).unwrap();
                }
                stays
            });
        }
        prop_assert_eq!(told(&store, &snapshots), (read(&store, &snapshots), vec![]));
    }
}

#[test]
fn all_that_is_missing_of_contents_is_told_in_one_walk() {
    let store = MemoryStore::new(KIND);
    let long = noise(7, 3 << 20);
    let (blob, _) = blob::write(&store, &long).unwrap();
    assert_eq!(blob.index.map(|index| index.depth), Some(2));
    let state: State = [(b"long".to_vec(), file_of(blob))].into_iter().collect();
    let snapshot = saved(&store, &state, None);
    let recording = Recording { store: &store, read: RefCell::default() };
    blob::read(&recording, &blob, 4 << 20).unwrap();
    let names = recording.read.into_inner();
    let mut chunks = Vec::new();
    let mut reader = BlobReader::new(&store, blob).unwrap();
    while let Some(chunk) = reader.next_chunk().unwrap() {
        chunks.push(KIND.hash(&chunk));
    }
    // The first list that is read is the top; the third is one in the middle.
    let lists: Vec<_> = names.iter().filter(|hash| !chunks.contains(hash)).copied().collect();
    assert!(lists.len() > 4, "{}", lists.len());
    // Chunks at both ends, and a list in between.
    let missing: Names = [chunks[0], lists[2], chunks[chunks.len() - 1]].into_iter().collect();
    for hash in &missing {
        store.delete(hash).unwrap();
    }
    let (objects, faults) = told(&store, &[snapshot]);
    let told: Names = faults
        .iter()
        .map(|fault| match fault {
            Fault::Missing { hash } => *hash,
            fault => panic!("{fault}"),
        })
        .collect();
    assert_eq!(told, missing);
    // What the other lists name was found, in spite of the records that the missing one cut.
    assert!(objects.len() + 300 > names.len(), "{} of {}", objects.len(), names.len());
    assert!(objects.contains(&chunks[chunks.len() - 2]));
    assert!(objects.iter().all(|hash| store.exists(hash).unwrap()));
}

/// A file may hold the very bytes of a list, a listing or a record, and must not keep them from being walked as such.
#[test]
fn files_with_the_bytes_of_lists_and_records_hide_nothing() {
    let store = MemoryStore::new(KIND);
    let (long, _) = blob::write(&store, &noise(1, 50_000)).unwrap();
    let inner = saved(&store, &state(&store, 0..100), None);
    let listing = record::read(&store, &inner).unwrap().listing;
    let top_bytes = store.get(&long.index.unwrap().top).unwrap();
    let state: State = [
        (b"a".to_vec(), file(&store, &top_bytes)),
        (b"b".to_vec(), file(&store, &store.get(&inner).unwrap())),
        (b"c".to_vec(), file_of(listing)),
        (b"d".to_vec(), file_of(long)),
    ]
    .into_iter()
    .collect();
    let first = saved(&store, &state, None);
    let (objects, faults) = told(&store, &[first, inner]);
    assert_eq!(faults, []);
    assert_eq!(objects, read(&store, &[first, inner]));
}

#[test]
fn a_listing_that_another_shares_is_not_read_again() {
    let store = MemoryStore::new(KIND);
    let first = saved(&store, &state(&store, 0..2000), None);
    let second = saved(&store, &state(&store, (0..2000).filter(|seed| *seed != 1000)), None);
    let recording = Recording { store: &store, read: RefCell::default() };
    let mut reach =
        Reach::new(&recording, Told { store: &store, objects: Names::new(), faults: Vec::new() });
    reach.snapshot(&first).unwrap();
    let first_reads = recording.read.borrow().len();
    reach.snapshot(&second).unwrap();
    let second_reads = recording.read.borrow().len() - first_reads;
    assert!(second_reads * 5 < first_reads, "{second_reads} beside {first_reads}");
}

/// Snapshots by a stranger: each is told as what it is, and none keeps a walk from its end.
#[test]
fn hostile_snapshots_are_told_as_faults() {
    let store = MemoryStore::new(KIND);
    let good = saved(&store, &state(&store, 0..20), None);
    let record = record::read(&store, &good).unwrap();
    let put = |record: &SnapshotRecord| {
        let mut bytes = store.get(&good).unwrap()[..8].to_vec();
        bytes.extend(postcard::to_allocvec(record).unwrap());
        store.put(&bytes).unwrap().hash
    };
    let fault_of = |snapshot: ContentHash| {
        let (_, faults) = told(&store, &[snapshot]);
        assert_eq!(faults.len(), 1, "{faults:?}");
        faults.into_iter().next().unwrap()
    };
    let (long, _) = blob::write(&store, &noise(3, 100_000)).unwrap();
    let index = long.index.unwrap();
    let with_listing = |listing: Blob| put(&SnapshotRecord { listing, ..record.clone() });

    // A listing of noise, one without its index, one that is too deep, one whose lists are no lists.
    assert!(matches!(fault_of(with_listing(long)), Fault::Listing { .. }));
    assert!(matches!(fault_of(with_listing(Blob { index: None, ..long })), Fault::Listing { .. }));
    for depth in [0, 2, 9, 255] {
        let index = Some(BlobIndex { depth, ..index });
        assert!(matches!(fault_of(with_listing(Blob { index, ..long })), Fault::Listing { .. }));
    }
    // The same for a file.
    let with_file = |blob: Blob| {
        let state: State = [(b"file".to_vec(), file_of(blob))].into_iter().collect();
        saved(&store, &state, None)
    };
    assert!(matches!(fault_of(with_file(Blob { index: None, ..long })), Fault::Value { .. }));
    for depth in [0, 2, 8, 9, 255] {
        let index = Some(BlobIndex { depth, ..index });
        assert!(matches!(fault_of(with_file(Blob { index, ..long })), Fault::Value { .. }));
    }
    // A value that says it is shorter, or longer, than its list: what there is of the shorter one is bounded by what it says.
    let BlobId::List { root, len } = long.id else { panic!("a long value") };
    for len in [1, len - 1, len + 1, u64::MAX] {
        let id = BlobId::List { root, len };
        assert!(matches!(fault_of(with_file(Blob { id, ..long })), Fault::Value { .. }));
    }
    // And a true one after these is walked as if nothing had been.
    let (liar, honest) =
        (with_file(Blob { id: BlobId::List { root, len: 1 }, ..long }), with_file(long));
    let (objects, _) = told(&store, &[liar, honest]);
    assert!(objects.is_superset(&read(&store, &[honest])));

    // No entry, and no snapshot.
    let no_entry: State = [(b"x".to_vec(), Value { bytes: (*b"?").into(), note: (*b"").into() })]
        .into_iter()
        .collect();
    assert!(matches!(fault_of(saved(&store, &no_entry, None)), Fault::Entry { .. }));
    assert!(matches!(fault_of(store.put(b"words").unwrap().hash), Fault::NotASnapshot { .. }));
    let mut newer = store.get(&good).unwrap();
    newer[4] += 1;
    assert!(matches!(fault_of(store.put(&newer).unwrap().hash), Fault::Unsupported { .. }));
    let nowhere = ContentHash::from_bytes([7; 32]);
    assert_eq!(fault_of(nowhere), Fault::Missing { hash: nowhere });
    let orphan = put(&SnapshotRecord { parent: Some(nowhere), ..record.clone() });
    assert_eq!(fault_of(orphan), Fault::Missing { hash: nowhere });
}

/// Eight lists, each of which names the next one many times: more chunks in all than anybody could count, in eight objects.
#[test]
fn a_bomb_of_lists_costs_no_more_than_the_length_that_it_claims() {
    let store = MemoryStore::new(KIND);
    let chunk = noise(1, 8192);
    let mut name = store.put(&chunk).unwrap().hash;
    for _ in 0..8 {
        let mut list = Vec::new();
        for _ in 0..227 {
            list.extend_from_slice(name.as_bytes());
            list.extend_from_slice(&8172_u32.to_le_bytes());
        }
        assert_eq!(list.len(), 8172);
        name = store.put(&list).unwrap().hash;
    }
    let id = BlobId::List { root: "00".repeat(32).parse().unwrap(), len: 1 << 20 };
    let blob = Blob { id, index: Some(BlobIndex { depth: 8, top: name }) };
    let state: State = [(b"bomb".to_vec(), file_of(blob))].into_iter().collect();
    let (objects, faults) = told(&store, &[saved(&store, &state, None)]);
    assert!(matches!(faults[..], [Fault::Value { .. }]), "{faults:?}");
    assert!(objects.len() < 20);
}
