// SPDX-License-Identifier: MIT
//! Bundles: what is put in comes out, however the bytes arrive; what is not a bundle to the last bit is refused; and snapshots count
//! as whole only if they are.
#![cfg(all(feature = "alloc", feature = "sha256", feature = "blake3"))]

#[allow(dead_code, reason = "other tests use the rest")]
mod naive;
#[path = "naive/bundle.rs"]
mod naive_bundle;

use std::cell::Cell;
use std::collections::BTreeSet;

use cascow_core::blob::{self, Blob, BlobId};
use cascow_core::bundle::{
    self, BundleError, Decoder, Encoder, Exported, MAX_HEADS, MAX_OBJECT_LEN, Part, WalkError,
};
use cascow_core::entry::{Entry, EntryKind, Note};
use cascow_core::frame::{self, Codec, FrameError};
use cascow_core::hash::{ContentHash, HashKind};
use cascow_core::merkle::StateRoot;
use cascow_core::reach::Fault;
use cascow_core::record::{self, RecordError, SnapshotRecord};
use cascow_core::snapshot::{State, Value};
use cascow_core::store::{MemoryStore, ObjectInfo, ObjectStore, Put, StoreError};
use naive::KINDS;
use naive_bundle::Bundle;
use proptest::collection::vec;
use proptest::prelude::*;

const KIND: HashKind = HashKind::Sha256;

/// What a decoder says of bytes that come in pieces of these lengths, the last length for all that is left.
fn decode(bytes: &[u8], lengths: &[usize]) -> Result<Vec<Part>, BundleError> {
    let (mut decoder, mut parts, mut rest) = (Decoder::new(), Vec::new(), bytes);
    let mut lengths = lengths.iter().copied();
    while !rest.is_empty() {
        let (mut piece, after) =
            rest.split_at(lengths.next().unwrap_or(rest.len()).min(rest.len()));
        while let Some(part) = decoder.next(&mut piece)? {
            parts.push(part);
        }
        assert!(piece.is_empty(), "what is not understood yet is held");
        rest = after;
    }
    decoder.finish()?;
    Ok(parts)
}

fn refused(bytes: &[u8]) -> BundleError {
    decode(bytes, &[]).expect_err("this is no bundle")
}

fn encode(kind: HashKind, heads: &[ContentHash], objects: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = Encoder::new(kind, heads, &mut out).unwrap();
    for object in objects {
        encoder.object(object, &mut out).unwrap();
    }
    assert_eq!(encoder.finish(&mut out), objects.len() as u64);
    out
}

fn name(seed: u8) -> ContentHash {
    ContentHash::from_bytes([seed; 32])
}

/// One head, a raw object, a deflated one and an empty one.
fn small() -> Bundle {
    let objects = [b"raw".to_vec(), b"the same words, ".repeat(64), Vec::new()];
    let frames = objects.iter().map(|object| frame::encode(object).unwrap()).collect();
    Bundle { kind: KIND, heads: vec![[7; 32]], frames }
}

// --- Bytes ---

#[test]
fn a_bundle_has_the_bytes_that_are_specified() {
    let mut expected = b"CCBU\x01\x01\0\0\x02\0\0\0".to_vec();
    expected.extend([[1; 32], [2; 32]].as_flattened());
    expected.extend(b"\x13\0\0\0CCOF\x01\0\0\0\x03\0\0\0\0\0\0\0abc");
    expected.extend(b"\0\0\0\0\x01\0\0\0\0\0\0\0");
    let seal = KIND.hash(&expected);
    expected.extend(seal.as_bytes());
    // In any order, and one of them twice.
    let heads = [name(2), name(1), name(2)];
    assert_eq!(encode(KIND, &heads, &[b"abc".to_vec()]), expected);
    let parts = [
        Part::Heads { kind: KIND, heads: vec![name(1), name(2)] },
        Part::Object(b"abc".to_vec()),
        Part::End { objects: 1, len: expected.len() as u64 },
    ];
    assert_eq!(decode(&expected, &[]).unwrap(), parts);
}

proptest! {
    #[test]
    fn what_is_put_in_comes_out_however_the_bytes_arrive(
        kind in prop::sample::select(&KINDS[..]),
        heads in vec(any::<[u8; 32]>(), 1..5),
        objects in vec((any::<u8>(), 0..=MAX_OBJECT_LEN, any::<bool>()), 0..8),
        lengths in vec(0_usize..3000, 0..40),
    ) {
        let objects: Vec<Vec<u8>> = objects
            .into_iter()
            .map(|(seed, len, is_noise)| {
                let noise = |n: usize| kind.hash(&[&[seed][..], &n.to_le_bytes()].concat()).as_bytes()[0];
                (0..len).map(|n| if is_noise { noise(n) } else { seed }).collect()
            })
            .collect();
        let mut heads: Vec<ContentHash> = heads.into_iter().map(ContentHash::from_bytes).collect();
        let bundle = encode(kind, &heads, &objects);
        heads.sort();
        heads.dedup();
        let mut expected = vec![Part::Heads { kind, heads }];
        expected.extend(objects.iter().cloned().map(Part::Object));
        expected.push(Part::End { objects: objects.len() as u64, len: bundle.len() as u64 });
        prop_assert_eq!(&decode(&bundle, &lengths).unwrap(), &expected);
        let naive = Bundle::read(&bundle).expect("it is one for the naive reader too");
        prop_assert_eq!(naive.objects().unwrap(), objects);
    }

    #[test]
    fn arbitrary_bytes_with_a_right_seal_are_refused_or_taken_as_the_naive_reader_does(
        heads in vec(any::<[u8; 32]>(), 0..4),
        frames in vec(vec(any::<u8>(), 1..60), 0..4),
        valid in vec(vec(any::<u8>(), 0..2000), 0..4),
        lengths in vec(0_usize..200, 0..40),
    ) {
        let valid = valid.iter().map(|object| frame::encode(object).unwrap());
        let mut bundle = Bundle { kind: KIND, heads, frames: valid.collect() };
        for frames in [Vec::new(), frames] {
            bundle.frames.extend(frames);
            let bytes = bundle.encode();
            let found = decode(&bytes, &lengths);
            prop_assert_eq!(&found, &decode(&bytes, &[]));
            prop_assert_eq!(found.is_ok(), Bundle::read(&bytes).is_some(), "{:?}", found);
            bundle.heads.sort();
        }
    }
}

#[test]
fn a_bundle_cut_anywhere_is_cut_off_and_one_byte_more_is_too_much() {
    let mut bytes = small().encode();
    for len in 0..bytes.len() {
        assert_eq!(refused(&bytes[..len]), BundleError::Truncated { len: len as u64 });
    }
    let len = bytes.len() as u64;
    for more in [0, 1, b'C'] {
        bytes.push(more);
        assert_eq!(refused(&bytes), BundleError::Trailing { len });
        bytes.pop();
    }
    let twice = bytes.repeat(2);
    assert_eq!(refused(&twice), BundleError::Trailing { len });
}

#[test]
fn no_bit_can_be_flipped() {
    let bytes = small().encode();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        refused(&flipped);
    }
}

#[test]
fn a_byte_that_only_the_seal_knows_of_is_found_by_it() {
    let bytes = small().encode();
    let mut altered = bytes.clone();
    // Within the name of the head.
    altered[20] ^= 1;
    let expected = *bytes.last_chunk::<32>().unwrap();
    let found = KIND.hash(&altered[..altered.len() - 32]);
    let expected = ContentHash::from_bytes(expected);
    assert_eq!(refused(&altered), BundleError::Mismatch { expected, found });
}

#[test]
fn each_unknown_version_flag_and_hash_function_is_refused_by_name() {
    let bytes = small().encode();
    let with = |at: usize, byte: u8| {
        let mut altered = bytes[..bytes.len() - 32].to_vec();
        altered[at] = byte;
        refused(&small().sealed(altered))
    };
    for at in 0..4 {
        assert_eq!(with(at, b'X'), BundleError::Magic);
    }
    for found in (0..=255).filter(|version| *version != 1) {
        assert_eq!(with(4, found), BundleError::Version { found });
    }
    for found in (0..=255).filter(|kind| !KINDS.iter().any(|known| known.id() == *kind)) {
        assert_eq!(with(5, found), BundleError::HashKind { found });
    }
    for bit in 0..16 {
        let expected = BundleError::Flags { found: 1 << bit };
        assert_eq!(with(6 + bit / 8, 1 << (bit % 8)), expected);
    }
    // Said to be made with the other function, it is none.
    assert!(matches!(with(5, 2), BundleError::Mismatch { .. }));
}

#[test]
fn numbers_that_lie_are_refused_under_a_right_seal() {
    let bundle = small();
    let bytes = bundle.encode();
    let bytes = &bytes[..bytes.len() - 32];
    let with = |at: usize, field: &[u8]| {
        let mut altered = bytes.to_vec();
        altered[at..at + field.len()].copy_from_slice(field);
        refused(&bundle.sealed(altered))
    };
    for found in [0, MAX_HEADS + 1, u32::MAX] {
        assert_eq!(with(8, &found.to_le_bytes()), BundleError::Heads { found: u64::from(found) });
    }
    let first = 12 + 32;
    for found in [1, 15, 8209, u32::MAX] {
        let expected = BundleError::FrameLen { object: 0, found: u64::from(found) };
        assert_eq!(with(first, &found.to_le_bytes()), expected);
    }
    // One byte less or more of a frame that is three bytes.
    for found in [18_u32, 20] {
        let error = FrameError::Payload;
        let error = match found {
            18 => FrameError::TooLong { declared: 3, limit: 2 },
            _ => error,
        };
        assert_eq!(with(first, &found.to_le_bytes()), BundleError::Frame { object: 0, error });
    }
    let count = bytes.len() - 8;
    for expected in [0, 2, 4, u64::MAX] {
        let error = BundleError::Objects { expected, found: 3 };
        assert_eq!(with(count, &expected.to_le_bytes()), error);
    }
    // An end in the middle, so that the rest is too much or the seal is not one.
    assert!(matches!(with(first, &[0; 4]), BundleError::Mismatch { .. }));
}

#[test]
fn heads_must_ascend_strictly() {
    let mut bundle = small();
    for (heads, at) in [
        (vec![[2; 32], [1; 32]], 1),
        (vec![[1; 32], [1; 32]], 1),
        (vec![[1; 32], [3; 32], [2; 32]], 2),
    ] {
        bundle.heads = heads;
        assert_eq!(refused(&bundle.encode()), BundleError::HeadOrder { at });
    }
}

#[test]
fn as_many_heads_as_there_can_be_are_read_and_one_more_is_not_written() {
    let mut heads: Vec<ContentHash> = (0..=MAX_HEADS)
        .map(|n| {
            let mut bytes = [0; 32];
            bytes[..4].copy_from_slice(&n.to_be_bytes());
            ContentHash::from_bytes(bytes)
        })
        .collect();
    let mut out = Vec::new();
    let found = u64::from(MAX_HEADS) + 1;
    let error = Encoder::new(KIND, &heads, &mut out).unwrap_err();
    assert_eq!((error, out.len()), (BundleError::Heads { found }, 0));
    let error = Encoder::new(KIND, &[], &mut out).unwrap_err();
    assert_eq!((error, out.len()), (BundleError::Heads { found: 0 }, 0));
    heads.pop();
    let parts = decode(&encode(KIND, &heads, &[]), &[1000]).unwrap();
    assert_eq!(parts[0], Part::Heads { kind: KIND, heads });
}

#[test]
fn objects_longer_than_a_chunk_and_frames_of_hosts_codecs_are_refused() {
    let mut out = Vec::new();
    let mut encoder = Encoder::new(KIND, &[name(1)], &mut out).unwrap();
    let begun = out.len();
    let long = vec![7; MAX_OBJECT_LEN + 1];
    let error = FrameError::TooLong { declared: 8193, limit: 8192 };
    let expected = Err(BundleError::Frame { object: 0, error });
    assert_eq!(encoder.object(&long, &mut out), expected);
    assert_eq!(out.len(), begun, "nothing of it is written");

    let mut bundle = small();
    // Deflated it is short enough to come, and then too long.
    bundle.frames = vec![frame::encode(&long).unwrap()];
    assert_eq!(refused(&bundle.encode()), BundleError::Frame { object: 0, error });
    bundle.frames = vec![frame::with_payload(Codec::Zstd, 3, b"payload").unwrap()];
    let error = FrameError::Codec { found: 2 };
    assert_eq!(refused(&bundle.encode()), BundleError::Frame { object: 0, error });
    // The longest that there is comes through raw.
    let noise: Vec<u8> =
        (0..256_u32).flat_map(|n| *KIND.hash(&n.to_le_bytes()).as_bytes()).collect();
    bundle.frames = vec![frame::encode(&noise).unwrap()];
    assert_eq!(bundle.frames[0].len(), 16 + MAX_OBJECT_LEN);
    assert_eq!(decode(&bundle.encode(), &[]).unwrap()[1], Part::Object(noise));
}

#[test]
fn the_same_object_twice_is_the_same_object() {
    let mut bundle = small();
    bundle.frames.push(bundle.frames[0].clone());
    let parts = decode(&bundle.encode(), &[]).unwrap();
    assert_eq!(parts[1], parts[4]);
    assert_eq!(parts[5], Part::End { objects: 4, len: bundle.encode().len() as u64 });
}

#[test]
fn after_an_error_a_decoder_reads_nothing_more() {
    let mut bytes = small().encode();
    bytes[12 + 32 + 4] = b'X';
    let error = BundleError::Frame { object: 0, error: FrameError::Magic };
    let mut decoder = Decoder::default();
    let mut rest = &bytes[..];
    assert!(matches!(decoder.next(&mut rest), Ok(Some(Part::Heads { .. }))));
    for _ in 0..3 {
        assert_eq!(decoder.next(&mut rest), Err(error));
    }
    assert_eq!(decoder.finish(), Err(error));
}

// --- Snapshots ---

/// Bytes that do not repeat.
fn noise(seed: u32, len: usize) -> Vec<u8> {
    let block = |n: u32| *KIND.hash(&[seed.to_le_bytes(), n.to_le_bytes()].concat()).as_bytes();
    (0..).flat_map(block).take(len).collect()
}

fn file(store: &MemoryStore, bytes: &[u8]) -> Value {
    let blob = blob::write(store, bytes).unwrap().0;
    let entry =
        Entry { kind: EntryKind::File(blob.id), mode: 0o644, xattrs: Vec::new(), links: None };
    let note = Note { mtime_secs: 0, mtime_nanos: 0, uid: 0, gid: 0, index: blob.index };
    Value { bytes: entry.encode().into(), note: note.encode().into() }
}

/// Files of these seeds, one of them long enough for a list.
fn state(store: &MemoryStore, seeds: impl IntoIterator<Item = u32>) -> State {
    let entry = |seed: u32| {
        let len = if seed.is_multiple_of(8) { 30_000 } else { 100 };
        (
            format!("a file with a long name {seed:08}").into_bytes(),
            file(store, &noise(seed / 2, len)),
        )
    };
    seeds.into_iter().map(entry).collect()
}

fn saved(store: &MemoryStore, state: &State, parent: Option<ContentHash>) -> ContentHash {
    record::write(store, state, parent).unwrap().snapshot
}

/// `root`, `left` and `right` that come from it, `tip` that comes from `left`, and `other` that comes from nothing.
struct History {
    store: MemoryStore,
    root: ContentHash,
    left: ContentHash,
    right: ContentHash,
    tip: ContentHash,
    other: ContentHash,
}

fn history() -> History {
    let store = MemoryStore::new(KIND);
    let root = saved(&store, &state(&store, 0..40), None);
    let left = saved(&store, &state(&store, 0..41), Some(root));
    let right = saved(&store, &state(&store, 1..40), Some(root));
    let tip = saved(&store, &state(&store, 2..50), Some(left));
    let other = saved(&store, &state(&store, 100..120), None);
    History { store, root, left, right, tip, other }
}

#[expect(clippy::result_large_err, reason = "made once, and ends the walk")]
fn export(store: &MemoryStore, heads: &[ContentHash]) -> Result<(Vec<u8>, Exported), WalkError> {
    let mut seen = BTreeSet::new();
    let mut out = Vec::new();
    let exported =
        bundle::export(store, heads, &mut |hash| Ok(seen.insert(*hash)), &mut |bytes| {
            out.extend_from_slice(bytes);
            Ok(())
        })?;
    Ok((out, exported))
}

/// A store with what a bundle brings, and the heads.
fn import(bundle: &[u8]) -> (MemoryStore, Vec<ContentHash>) {
    let store = MemoryStore::new(KIND);
    let mut found = Vec::new();
    for part in decode(bundle, &[700; 1000]).unwrap() {
        match part {
            Part::Heads { kind, heads } => {
                assert_eq!(kind, KIND);
                found = heads;
            }
            Part::Object(bytes) => assert!(store.put(&bytes).unwrap().added.is_some(), "once"),
            Part::End { .. } => {}
        }
    }
    (store, found)
}

#[expect(clippy::result_large_err, reason = "made once, and ends the walk")]
fn check(store: &MemoryStore, heads: &[ContentHash]) -> Result<Vec<ContentHash>, WalkError> {
    bundle::check(store, heads, &mut |_| false, &mut |hash| match store.exists(hash)? {
        true => Ok(()),
        false => Err(StoreError::Missing { hash: *hash }),
    })
}

fn names(store: &MemoryStore) -> Vec<ContentHash> {
    let mut names = Vec::new();
    let list = store.for_each(&mut |info| {
        names.push(info.hash);
        Ok(())
    });
    list.unwrap();
    names.sort();
    names
}

#[test]
fn a_bundle_brings_its_snapshots_with_all_they_come_from_and_nothing_else() {
    let History { store, root, left, right, tip, other } = history();
    let unrelated = store.put(b"nobody refers to this").unwrap().hash;
    let (bundle, exported) = export(&store, &[tip, right]).unwrap();
    assert_eq!((exported.snapshots, exported.len), (4, bundle.len() as u64));

    let (imported, heads) = import(&bundle);
    assert_eq!(exported.objects, imported.len() as u64);
    assert_eq!(heads.iter().collect::<BTreeSet<_>>(), BTreeSet::from([&tip, &right]));
    let mut snapshots = check(&imported, &heads).unwrap();
    for (name, before) in [(left, root), (right, root), (tip, left)] {
        let at = |name| snapshots.iter().position(|found| *found == name).unwrap();
        assert!(at(before) < at(name), "each comes after what it comes from");
    }
    snapshots.sort();
    assert_eq!(snapshots.len(), 4);
    for snapshot in snapshots {
        let read = |store| record::read_state(store, &record::read(store, &snapshot).unwrap());
        assert_eq!(read(&imported).unwrap(), read(&store).unwrap());
    }
    for left_out in [other, unrelated] {
        assert!(!imported.exists(&left_out).unwrap());
    }
    // All that it has is needed: without any one object, it is not whole.
    for needed in names(&imported) {
        let (imported, heads) = import(&bundle);
        imported.delete(&needed).unwrap();
        match check(&imported, &heads) {
            Err(WalkError::Fault { fault: Fault::Missing { hash }, .. }) => {
                assert_eq!(hash, needed);
            }
            found => panic!("{found:?}"),
        }
    }
}

#[test]
fn heads_that_come_from_each_other_are_walked_once() {
    let History { store, root, left, tip, .. } = history();
    for heads in [[root, left, tip], [tip, left, root], [left, tip, root]] {
        let (bundle, exported) = export(&store, &heads).unwrap();
        assert_eq!(exported.snapshots, 3);
        let (imported, heads) = import(&bundle);
        assert_eq!(check(&imported, &heads).unwrap(), [root, left, tip]);
    }
    // One that is named twice is one.
    assert_eq!(export(&store, &[root, root]).unwrap().1.snapshots, 1);
}

#[test]
fn of_what_is_not_whole_no_bundle_is_made() {
    let History { store, tip, .. } = history();
    let (bundle, _) = export(&store, &[tip]).unwrap();
    for needed in names(&import(&bundle).0) {
        let (store, _) = import(&bundle);
        store.delete(&needed).unwrap();
        let error = export(&store, &[tip]).unwrap_err();
        let WalkError::Fault { fault: Fault::Missing { hash }, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!(*hash, needed);
        assert!(error.to_string().contains(&needed.to_string()), "{error}");
    }
    let error = export(&store, &[]).unwrap_err();
    assert!(matches!(error, WalkError::Bundle(BundleError::Heads { found: 0 })), "{error}");
}

#[test]
fn a_content_longer_than_a_chunk_is_not_exported() {
    let store = MemoryStore::new(KIND);
    // By an entry that lies: no reader takes such a thing for a chunk.
    let long = store.put(&noise(1, MAX_OBJECT_LEN + 1)).unwrap().hash;
    let id = BlobId::Chunk { hash: long, len: 8192 };
    let entry = Entry { kind: EntryKind::File(id), mode: 0o644, xattrs: Vec::new(), links: None };
    let note = Note { mtime_secs: 0, mtime_nanos: 0, uid: 0, gid: 0, index: None };
    let value = Value { bytes: entry.encode().into(), note: note.encode().into() };
    let snapshot = saved(&store, &[(b"long".to_vec(), value)].into_iter().collect(), None);
    match export(&store, &[snapshot]) {
        Err(WalkError::Fault { fault: Fault::Damaged { hash, .. }, .. }) => assert_eq!(hash, long),
        found => panic!("{found:?}"),
    }
}

#[test]
fn what_the_host_says_ends_an_export_and_a_check() {
    let History { store, tip, .. } = history();
    let full = || StoreError::Host("the disk is full".into());
    let mut pieces = 0;
    let error = bundle::export(&store, &[tip], &mut |_| Ok(true), &mut |_| {
        pieces += 1;
        if pieces < 3 { Ok(()) } else { Err(full()) }
    });
    assert_eq!(error.unwrap_err().to_string(), "the disk is full");
    let error = bundle::export(&store, &[tip], &mut |_| Err(full()), &mut |_| Ok(()));
    assert_eq!(error.unwrap_err().to_string(), "the disk is full");
    let error = bundle::check(&store, &[tip], &mut |_| false, &mut |_| Err(full())).unwrap_err();
    assert!(matches!(error, WalkError::Store(StoreError::Host(_))), "{error}");
}

/// A store that fails after so many reads, as a disk does.
struct Failing<'s> {
    store: &'s MemoryStore,
    reads: Cell<usize>,
}

impl ObjectStore for Failing<'_> {
    fn hash_kind(&self) -> HashKind {
        self.store.hash_kind()
    }

    fn put(&self, bytes: &[u8]) -> Result<Put, StoreError> {
        self.store.put(bytes)
    }

    fn get_within(&self, hash: &ContentHash, limit: u64) -> Result<Vec<u8>, StoreError> {
        let left = self.reads.get().checked_sub(1);
        self.reads.set(left.ok_or_else(|| StoreError::Host("the disk failed".into()))?);
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

#[test]
fn a_disk_that_fails_is_told_from_a_snapshot_that_is_not_whole() {
    let History { store, tip, .. } = history();
    let mut reads = 0;
    loop {
        let failing = Failing { store: &store, reads: Cell::new(reads) };
        match bundle::check(&failing, &[tip], &mut |_| false, &mut |_| Ok(())) {
            Ok(snapshots) => break assert_eq!(snapshots.len(), 3),
            Err(WalkError::Store(error)) => assert_eq!(error.to_string(), "the disk failed"),
            Err(error) => panic!("{error}"),
        }
        reads += 1;
    }
    // The listing is read twice, to walk it and to compare the state.
    assert!(reads > 12, "{reads}");
}

#[test]
fn a_snapshot_that_is_not_its_root_s_state_is_not_whole() {
    let History { store, root, .. } = history();
    let honest = record::read(&store, &root).unwrap();
    let state = record::read_state(&store, &honest).unwrap();
    let lie = |state: &State, root, listing| {
        record::write_record(&store, state, root, (listing, Default::default()), None)
            .unwrap()
            .snapshot
    };
    let wrong_root = lie(&state, StateRoot::from_bytes([1; 32]), honest.listing);
    let fewer: State = state.iter().take(3).map(|(key, value)| (key, value.clone())).collect();
    let wrong_count = lie(&fewer, honest.root, honest.listing);
    for (snapshot, is_expected) in [
        (
            wrong_root,
            (|error| matches!(error, RecordError::Root { .. })) as fn(&RecordError) -> bool,
        ),
        (wrong_count, |error| matches!(error, RecordError::Entries { .. })),
    ] {
        match check(&store, &[snapshot]) {
            Err(WalkError::State { snapshot: found, error }) => {
                assert_eq!(found, snapshot);
                assert!(is_expected(&error), "{error}");
            }
            found => panic!("{found:?}"),
        }
        // One that comes from it is not whole either.
        let child = saved(&store, &state, Some(snapshot));
        assert!(matches!(check(&store, &[child]), Err(WalkError::State { .. })));
        // Its state is not read where it is known, and it is still told of.
        let mut told = 0;
        let known = bundle::check(&store, &[child], &mut |name| *name == snapshot, &mut |_| {
            told += 1;
            Ok(())
        });
        assert_eq!(known.unwrap(), [snapshot, child]);
        assert!(told > 40);
    }
}

#[test]
fn what_is_no_snapshot_or_of_a_later_kind_is_not_whole() {
    let History { store, root, .. } = history();
    let chunk = store.put(b"the content of a file").unwrap().hash;
    match check(&store, &[chunk]) {
        Err(WalkError::Fault { fault: Fault::NotASnapshot { hash }, .. }) => {
            assert_eq!(hash, chunk);
        }
        found => panic!("{found:?}"),
    }
    let mut later = store.get(&root).unwrap();
    later[4] = 2;
    let later = store.put(&later).unwrap().hash;
    match check(&store, &[later]) {
        Err(WalkError::Fault { fault: Fault::Unsupported { hash }, .. }) => assert_eq!(hash, later),
        found => panic!("{found:?}"),
    }
    // A listing of which only the record knows.
    let listing = Blob { id: BlobId::Chunk { hash: chunk, len: 21 }, index: None };
    let record = SnapshotRecord { listing, ..record::read(&store, &root).unwrap() };
    let written = record::write_record(
        &store,
        &State::new(),
        record.root,
        (listing, Default::default()),
        None,
    );
    match check(&store, &[written.unwrap().snapshot]) {
        Err(WalkError::Fault { fault: Fault::Listing { .. }, .. }) => {}
        found => panic!("{found:?}"),
    }
}

#[test]
fn errors_say_what_was_found() {
    let error = FrameError::Magic;
    let (expected, found) = (name(1), name(2));
    let errors: [(BundleError, &str); 12] = [
        (BundleError::Magic, "not a bundle"),
        (BundleError::Version { found: 9 }, "version 9"),
        (BundleError::Flags { found: 0x10 }, "0x0010"),
        (BundleError::HashKind { found: 7 }, "hash function 7"),
        (BundleError::Heads { found: 70_000 }, "70000"),
        (BundleError::HeadOrder { at: 5 }, "out of order at 5"),
        (BundleError::FrameLen { object: 3, found: 9999 }, "object 3 says that it has 9999"),
        (BundleError::Frame { object: 4, error }, "object 4: not a frame"),
        (BundleError::Objects { expected: 5, found: 6 }, "6 objects and says 5"),
        (BundleError::Mismatch { expected, found }, "0202"),
        (BundleError::Truncated { len: 12 }, "cut off after 12 bytes"),
        (BundleError::Trailing { len: 13 }, "more than its 13 bytes"),
    ];
    for (error, text) in errors {
        assert!(error.to_string().contains(text), "{error}");
        let source = std::error::Error::source(&error);
        assert_eq!(source.is_some(), matches!(error, BundleError::Frame { .. }));
        assert_eq!(WalkError::from(error).to_string(), error.to_string());
    }
    let state =
        WalkError::State { snapshot: name(3), error: Box::new(RecordError::Listing { after: 4 }) };
    assert!(state.to_string().contains("cannot be read"), "{state}");
    assert!(std::error::Error::source(&state).is_some());
    let fault = WalkError::Fault { snapshot: name(3), fault: Fault::Missing { hash: name(4) } };
    assert!(fault.to_string().contains("is not whole"), "{fault}");
    assert!(std::error::Error::source(&fault).is_none());
    assert!(
        std::error::Error::source(&WalkError::Bundle(BundleError::Frame { object: 1, error }))
            .is_some()
    );
    let missing = WalkError::from(StoreError::Missing { hash: name(5) });
    assert!(
        missing.to_string().contains("missing") && std::error::Error::source(&missing).is_none()
    );
}
