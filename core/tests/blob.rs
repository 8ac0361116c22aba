// SPDX-License-Identifier: MIT
//! Blobs: what is written is read, a value has one name, a small edit is a small write, and a hostile store is refused.
#![cfg(all(feature = "alloc", feature = "sha256", feature = "blake3"))]

use std::cell::Cell;

use cascow_core::blob::{
    self, Added, Blob, BlobError, BlobId, BlobIndex, BlobProblem, BlobReader, BlobWriter,
};
use cascow_core::chunk::{ChunkSizes, chunks};
use cascow_core::frame::{self, Frame, FrameError};
use cascow_core::hash::{ContentHash, HashKind};
use cascow_core::merkle::ListRoot;
use cascow_core::merkle::list::ListHasher;
use cascow_core::store::{MemoryStore, ObjectInfo, ObjectStore, Put, StoreError};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use sha2::{Digest as _, Sha256};

const KIND: HashKind = HashKind::Sha256;

fn random(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    Xoshiro256PlusPlus::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}

fn write(store: &MemoryStore, bytes: &[u8]) -> Blob {
    blob::write(store, bytes).unwrap().0
}

fn len_u64(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap()
}

#[test]
fn values_of_every_length_come_back_however_they_were_written() {
    for (seed, len) in (1..).zip([0, 1, 2047, 2048, 2049, 8191, 8192, 8193, 100_000, 3_000_000]) {
        for bytes in [random(seed, len), vec![7; len]] {
            for kind in [HashKind::Sha256, HashKind::Blake3] {
                let store = MemoryStore::new(kind);
                let blob = write(&store, &bytes);
                assert_eq!(blob.id.len(), len_u64(&bytes));
                assert_eq!(blob.id.is_empty(), len == 0);
                assert_eq!(blob::read(&store, &blob, blob.id.len()).unwrap(), bytes, "{len} bytes");
                let objects = store.len();
                for piece in [1, 1000, 8192, 8193, 1_000_000] {
                    // Byte by byte only where that is quick.
                    if len / piece > 200_000 {
                        continue;
                    }
                    let mut writer = BlobWriter::new(&store);
                    bytes.chunks(piece).for_each(|piece| writer.write(piece).unwrap());
                    let (again, added) = writer.finish().unwrap();
                    assert_eq!(again, blob, "{len} bytes in pieces of {piece}");
                    assert_eq!(added, Added::default());
                }
                assert_eq!(store.len(), objects);
            }
        }
    }
}

#[test]
fn a_value_of_one_chunk_is_named_by_its_content_hash() {
    for len in [0, 1, 2048, 2049] {
        let bytes = random(3, len);
        let expected = BlobId::Chunk { hash: KIND.hash(&bytes), len: u32::try_from(len).unwrap() };
        let blob = write(&MemoryStore::new(KIND), &bytes);
        assert_eq!(blob, Blob { id: expected, index: None });
        assert_eq!(blob.id.to_string(), KIND.hash(&bytes).to_string());
    }
}

/// RFC 9162, section 2.1.1, word by word.
fn naive_list_root(leaves: &[Vec<u8>]) -> [u8; 32] {
    let hash = |parts: &[&[u8]]| Sha256::digest(parts.concat()).into();
    match leaves {
        [] => hash(&[]),
        [leaf] => hash(&[&[0], leaf]),
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            hash(&[&[1], &naive_list_root(left), &naive_list_root(right)])
        }
    }
}

#[test]
fn a_long_value_is_named_by_the_list_root_over_its_chunks() {
    for len in [8193, 20_000, 100_000, 1_000_000] {
        let bytes = random(5, len);
        let mut offset = 0u64;
        let mut leaves = Vec::new();
        for chunk in chunks(&bytes) {
            let chunk_len = u32::try_from(chunk.len()).unwrap().to_le_bytes();
            leaves.push([&Sha256::digest(chunk)[..], &offset.to_le_bytes(), &chunk_len].concat());
            offset += len_u64(chunk);
        }
        let root = ListRoot::from_bytes(naive_list_root(&leaves));
        let blob = write(&MemoryStore::new(KIND), &bytes);
        assert_eq!(blob.id, BlobId::List { root, len: len_u64(&bytes) }, "{len} bytes");
        assert_eq!(blob.id.to_string(), root.to_string());
    }
}

#[test]
fn one_changed_byte_of_64_mib_stores_a_few_chunks() {
    let mut bytes = random(64, 64 << 20);
    let store = MemoryStore::new(KIND);
    let (before, _) = blob::write(&store, &bytes).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let (after, added) = blob::write(&store, &bytes).unwrap();
    assert_ne!(before.id, after.id);
    assert!(added.bytes < 64 << 10, "{added:?}");
    assert!(added.objects <= 12, "{added:?}");
}

#[test]
fn what_a_write_added_is_what_the_store_grew_by() {
    let store = MemoryStore::new(KIND);
    let stored = || {
        let mut total = Added::default();
        store
            .for_each(&mut |object| {
                total += Added { objects: 1, bytes: object.stored_len };
                Ok(())
            })
            .unwrap();
        total
    };
    let mut expected = Added::default();
    for bytes in [random(1, 100_000), vec![0; 100_000], random(1, 100_000), vec![0; 300_000]] {
        expected += blob::write(&store, &bytes).unwrap().1;
        assert_eq!(stored(), expected);
    }
}

/// A store that counts what is read from it, in which one object may be damaged, and whose next `put_many` may go wrong.
struct Probe<'a> {
    store: &'a MemoryStore,
    damaged: Option<ContentHash>,
    gets: Cell<u64>,
    fault: Cell<Option<Fault>>,
}

#[derive(Clone, Copy)]
enum Fault {
    Fails,
    AnswersForFewer,
}

impl<'a> Probe<'a> {
    fn new(store: &'a MemoryStore) -> Self {
        Self { store, damaged: None, gets: Cell::new(0), fault: Cell::new(None) }
    }
}

impl ObjectStore for Probe<'_> {
    fn hash_kind(&self) -> HashKind {
        self.store.hash_kind()
    }

    fn put(&self, bytes: &[u8]) -> Result<Put, StoreError> {
        self.store.put(bytes)
    }

    fn put_many(&self, objects: &[&[u8]]) -> Result<Vec<Put>, StoreError> {
        match self.fault.take() {
            None => self.store.put_many(objects),
            Some(Fault::Fails) => Err(StoreError::Host("no room".into())),
            Some(Fault::AnswersForFewer) => self.store.put_many(&objects[1..]),
        }
    }

    fn get_within(&self, hash: &ContentHash, limit: u64) -> Result<Vec<u8>, StoreError> {
        self.gets.set(self.gets.get() + 1);
        let mut bytes = self.store.get_within(hash, limit)?;
        if self.damaged == Some(*hash) {
            bytes[0] ^= 1;
        }
        let frame = frame::encode(&bytes).unwrap();
        let open = || Frame::parse(&frame)?.open(self.hash_kind(), hash);
        open().map_err(|error| StoreError::Frame { hash: *hash, error })
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

fn objects(store: &MemoryStore) -> Vec<ContentHash> {
    let mut names = Vec::new();
    store
        .for_each(&mut |object| {
            names.push(object.hash);
            Ok(())
        })
        .unwrap();
    names
}

#[test]
fn every_missing_object_is_named() {
    // Two levels of lists, and one chunk alone.
    for len in [1_500_000, 1000] {
        let store = MemoryStore::new(KIND);
        let blob = write(&store, &random(8, len));
        for hash in objects(&store) {
            let bytes = store.get(&hash).unwrap();
            assert!(store.delete(&hash).unwrap());
            let error = blob::read(&store, &blob, u64::MAX).unwrap_err();
            assert!(
                matches!(error, BlobError::Store(StoreError::Missing { hash: h }) if h == hash),
                "{error}"
            );
            store.put(&bytes).unwrap();
        }
    }
}

#[test]
fn every_damaged_object_is_named() {
    for len in [300_000, 1000] {
        let store = MemoryStore::new(KIND);
        let blob = write(&store, &random(9, len));
        let mut probe = Probe::new(&store);
        for hash in objects(&store) {
            probe.damaged = Some(hash);
            let error = blob::read(&probe, &blob, u64::MAX).unwrap_err();
            let BlobError::Store(StoreError::Frame { hash: named, error }) = error else {
                panic!("{error}")
            };
            assert_eq!(named, hash);
            assert!(matches!(error, FrameError::Mismatch { expected, .. } if expected == hash));
        }
        probe.damaged = None;
        assert!(blob::read(&probe, &blob, u64::MAX).is_ok());
    }
}

/// One record of a list.
type Record = (ContentHash, u32);

fn chunk(store: &MemoryStore, bytes: &[u8]) -> Record {
    (store.put(bytes).unwrap().hash, u32::try_from(bytes.len()).unwrap())
}

fn list(records: &[Record]) -> Vec<u8> {
    records
        .iter()
        .flat_map(|(hash, len)| [&hash.as_bytes()[..], &len.to_le_bytes()].concat())
        .collect()
}

fn id(records: &[Record]) -> BlobId {
    let mut list = ListHasher::new(KIND);
    records.iter().for_each(|(hash, len)| list.push(hash, *len));
    BlobId::List { root: list.root(), len: list.len() }
}

/// A blob that claims to be `id`, with a list of one level.
fn claim(store: &MemoryStore, id: BlobId, list: &[u8]) -> Blob {
    Blob { id, index: Some(BlobIndex { depth: 1, top: store.put(list).unwrap().hash }) }
}

fn problem(store: &MemoryStore, blob: Blob) -> BlobProblem {
    match blob::read(store, &blob, u64::MAX) {
        Err(BlobError::Corrupt { id, problem }) if id == blob.id => problem,
        Err(other) => panic!("{other:?}"),
        Ok(bytes) => panic!("{} bytes were accepted", bytes.len()),
    }
}

/// A store with a value of several chunks, the records of these, and the value's blob.
fn value_of_chunks() -> (MemoryStore, Vec<Record>, Blob) {
    let store = MemoryStore::new(KIND);
    let bytes = random(11, 60_000);
    let records: Vec<Record> = chunks(&bytes).map(|bytes| chunk(&store, bytes)).collect();
    let blob = write(&store, &bytes);
    assert_eq!(blob, claim(&store, id(&records), &list(&records)), "the list is as documented");
    assert!(records.len() > 4);
    (store, records, blob)
}

#[test]
fn chunks_that_are_not_the_values_own_are_refused() {
    let (store, records, blob) = value_of_chunks();
    let swapped = [&[records[1], records[0]], &records[2..]].concat();
    let BlobId::List { root, len } = id(&swapped) else { unreachable!() };
    assert_eq!(
        problem(&store, claim(&store, blob.id, &list(&swapped))),
        BlobProblem::Root { found: root }
    );
    assert_eq!(len, blob.id.len());

    let fewer = &records[..records.len() - 1];
    let found = id(fewer).len();
    let expected = BlobProblem::Len { expected: blob.id.len(), found };
    assert_eq!(problem(&store, claim(&store, blob.id, &list(fewer))), expected);

    let repeated = [&records[..1], &records[..]].concat();
    let problem_found = problem(&store, claim(&store, blob.id, &list(&repeated)));
    assert!(
        matches!(problem_found, BlobProblem::Len { expected, found } if found > expected),
        "{problem_found:?}"
    );

    let other = write(&store, &random(12, 60_000));
    let crossed = Blob { id: blob.id, index: other.index };
    assert!(matches!(problem(&store, crossed), BlobProblem::Len { .. } | BlobProblem::Root { .. }));
    let nothing = BlobProblem::Len { expected: blob.id.len(), found: 0 };
    assert_eq!(problem(&store, claim(&store, blob.id, b"")), nothing);
}

#[test]
fn a_length_that_lies_is_refused() {
    let (store, _, blob) = value_of_chunks();
    let BlobId::List { root, len } = blob.id else { unreachable!() };
    for lie in [0, 1, len - 1, len + 1, u64::MAX] {
        let lying = Blob { id: BlobId::List { root, len: lie }, ..blob };
        match problem(&store, lying) {
            BlobProblem::Len { expected, found } => {
                assert_eq!(expected, lie);
                assert!(found > 0 && found <= len);
            }
            other => panic!("{other:?}"),
        }
    }
    let short = write(&store, b"short");
    let BlobId::Chunk { hash, .. } = short.id else { unreachable!() };
    for len in [0, 4, 6, 8192] {
        let lying = Blob { id: BlobId::Chunk { hash, len }, index: None };
        assert_eq!(problem(&store, lying), BlobProblem::ChunkLen);
    }
}

#[test]
fn a_malformed_list_is_refused() {
    let (store, records, blob) = value_of_chunks();
    let whole = list(&records);
    for cut in [1, 35, 36 * records.len() - 1] {
        assert_eq!(
            problem(&store, claim(&store, blob.id, &whole[..cut])),
            BlobProblem::List,
            "{cut} bytes"
        );
    }
    let mut longer = whole;
    longer.push(0);
    assert_eq!(problem(&store, claim(&store, blob.id, &longer)), BlobProblem::List);
    for len in [0, 8193, u32::MAX] {
        let mut lying = records.clone();
        lying[1].1 = len;
        assert_eq!(
            problem(&store, claim(&store, blob.id, &list(&lying))),
            BlobProblem::List,
            "{len}"
        );
    }
    let mut lying = records;
    lying[1].1 += 1;
    assert_eq!(problem(&store, claim(&store, blob.id, &list(&lying))), BlobProblem::ChunkLen);
}

#[test]
fn an_index_of_the_wrong_kind_or_depth_is_refused() {
    let (store, _, blob) = value_of_chunks();
    let index = blob.index.unwrap();
    let deep = |depth| Blob { index: Some(BlobIndex { depth, ..index }), ..blob };
    for depth in [0, 9, 255] {
        assert_eq!(problem(&store, deep(depth)), BlobProblem::Index, "depth {depth}");
    }
    // Read one level deeper, the value's chunks are taken for lists.
    assert!(blob::read(&store, &deep(2), u64::MAX).is_err());
    assert_eq!(problem(&store, Blob { index: None, ..blob }), BlobProblem::Index);
    let short = write(&store, b"short");
    assert_eq!(problem(&store, Blob { index: Some(index), ..short }), BlobProblem::Index);
}

/// One value has one name: a short value's is its content hash, and a long value's its list root.
#[test]
fn a_value_under_the_other_kind_of_name_is_refused() {
    let store = MemoryStore::new(KIND);
    let long = vec![7; 8193];
    let (hash, len) = chunk(&store, &long);
    let as_chunk = Blob { id: BlobId::Chunk { hash, len }, index: None };
    assert_eq!(problem(&store, as_chunk), BlobProblem::Index);

    let records = [chunk(&store, b"short")];
    let as_list = claim(&store, id(&records), &list(&records));
    assert_eq!(problem(&store, as_list), BlobProblem::Index);
    let of_nothing = claim(&store, id(&[]), b"");
    assert_eq!(problem(&store, of_nothing), BlobProblem::Index);
}

#[test]
fn a_value_longer_than_the_limit_is_not_even_looked_for() {
    let store = MemoryStore::new(KIND);
    let mut blob = write(&store, &random(13, 100_000));
    let probe = Probe::new(&store);
    for (len, limit) in [(100_000, 99_999), (u64::MAX, 1 << 40)] {
        let BlobId::List { root, .. } = blob.id else { unreachable!() };
        blob.id = BlobId::List { root, len };
        let error = blob::read(&probe, &blob, limit).unwrap_err();
        let expected = BlobProblem::Len { expected: limit, found: len };
        assert!(matches!(error, BlobError::Corrupt { problem, .. } if problem == expected));
    }
    assert_eq!(probe.gets.get(), 0);
}

/// Nine objects whose lists name one object over and over: 8 KiB at the bottom of 227^8 chunks.
#[test]
fn a_small_store_that_expands_without_end_is_read_no_further_than_its_declared_length() {
    let store = MemoryStore::new(KIND);
    let mut below = chunk(&store, &[0; 8192]);
    for _ in 0..8 {
        below = chunk(&store, &list(&[below; 227]));
    }
    let declared = 1 << 20;
    let id = BlobId::List { root: ListRoot::from_bytes([0; 32]), len: declared };
    let blob = Blob { id, index: Some(BlobIndex { depth: 8, top: below.0 }) };
    let probe = Probe::new(&store);
    let error = blob::read(&probe, &blob, declared).unwrap_err();
    let expected = BlobProblem::Len { expected: declared, found: declared + 8192 };
    assert!(matches!(error, BlobError::Corrupt { problem, .. } if problem == expected), "{error}");
    assert!(probe.gets.get() < 128 + 2 + 8, "{} reads", probe.gets.get());
}

/// A list cut into pieces of a byte takes 36 reads a record; lists of such lists take 36 times as many, each level.
#[test]
fn a_list_in_crumbs_is_refused_before_it_multiplies() {
    let store = MemoryStore::new(KIND);
    let mut bytes = list(&[chunk(&store, &[0; 8192])]);
    let cut = |bytes: &[u8], len| -> Vec<u8> {
        list(&bytes.chunks(len).map(|piece| chunk(&store, piece)).collect::<Vec<Record>>())
    };
    for len in [1, 1, 8192] {
        bytes = cut(&bytes, len);
    }
    let id = BlobId::List { root: ListRoot::from_bytes([0; 32]), len: 1 << 20 };
    let top = store.put(&bytes).unwrap().hash;
    let blob = Blob { id, index: Some(BlobIndex { depth: 4, top }) };
    let probe = Probe::new(&store);
    let error = blob::read(&probe, &blob, 1 << 20).unwrap_err();
    assert!(matches!(error, BlobError::Corrupt { problem: BlobProblem::List, .. }), "{error}");
    assert!(probe.gets.get() < 10, "{} reads", probe.gets.get());
}

#[test]
fn a_top_longer_than_a_chunk_is_refused() {
    let (store, records, blob) = value_of_chunks();
    let long: Vec<Record> = records.iter().cycle().copied().take(228).collect();
    let error = blob::read(&store, &claim(&store, blob.id, &list(&long)), u64::MAX).unwrap_err();
    let expected = FrameError::TooLong { declared: 228 * 36, limit: 8192 };
    assert!(
        matches!(error, BlobError::Store(StoreError::Frame { error, .. }) if error == expected)
    );
}

#[test]
fn only_the_last_chunk_may_be_short() {
    let (store, mut records, blob) = value_of_chunks();
    let min = u32::try_from(ChunkSizes::FORMAT.min()).unwrap();
    records.insert(1, chunk(&store, b"short"));
    assert!(records[0].1 >= min);
    assert_eq!(problem(&store, claim(&store, id(&records), &list(&records))), BlobProblem::List);
    assert!(blob::read(&store, &blob, u64::MAX).is_ok());
}

#[test]
fn a_reader_gives_the_chunks_and_then_nothing() {
    let (store, records, blob) = value_of_chunks();
    let mut reader = BlobReader::new(&store, blob).unwrap();
    for (hash, len) in records {
        let bytes = reader.next_chunk().unwrap().unwrap();
        assert_eq!((KIND.hash(&bytes), bytes.len()), (hash, usize::try_from(len).unwrap()));
    }
    assert_eq!(reader.next_chunk().unwrap(), None);
    assert_eq!(reader.next_chunk().unwrap(), None);
}

/// What a writer lost cannot be missed by whoever goes on regardless.
#[test]
fn a_value_whose_writing_failed_is_never_finished() {
    let store = MemoryStore::new(HashKind::Sha256);
    for fault in [Fault::Fails, Fault::AnswersForFewer] {
        let faulty = Probe::new(&store);
        let mut writer = BlobWriter::new(&faulty);
        writer.write(&random(1, 100_000)).unwrap();
        faulty.fault.set(Some(fault));
        assert!(matches!(writer.write(&random(2, 200_000)), Err(StoreError::Host(_))));
        writer.write(&random(3, 1000)).unwrap();
        assert!(matches!(writer.finish(), Err(StoreError::Host(_))));

        let mut writer = BlobWriter::new(&faulty);
        writer.write(&random(1, 1000)).unwrap();
        faulty.fault.set(Some(fault));
        assert!(matches!(writer.finish(), Err(StoreError::Host(_))));
    }
}
