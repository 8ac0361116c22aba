// SPDX-License-Identifier: MIT
//! Ranges of a value: what is handed back is what a naive reader cuts out, and a proof that lies, of whatever, is refused; against
//! a naive prover that builds the whole tree and cuts it down.
#![cfg(all(feature = "alloc", feature = "sha256", feature = "blake3"))]

#[allow(dead_code, reason = "each test uses what it needs of the second implementation")]
mod naive;
#[allow(dead_code, reason = "this test makes proofs; what reads them is for others")]
#[path = "naive/range.rs"]
mod naive_range;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::Range;

use cascow_core::blob::{self, Blob, BlobError, BlobId, BlobIndex, BlobProblem};
use cascow_core::chunk::chunks;
use cascow_core::hash::{ContentHash, HashKind};
use cascow_core::merkle::list::ListHasher;
use cascow_core::merkle::range::{RangeError, verify_range, verify_range_in};
use cascow_core::merkle::{ListRoot, ProofError, Slot};
use cascow_core::store::{MemoryStore, ObjectInfo, ObjectStore, Put, StoreError};
use naive::{Digest, KINDS, hash};
use naive_range::{Named, Proof, naive_proof};
use proptest::collection::vec;
use proptest::prelude::*;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
const HEADER: usize = 20;

fn random(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    Xoshiro256PlusPlus::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}

fn len_u64(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap()
}

fn cut(value: &[u8], range: &Range<u64>) -> Vec<u8> {
    value[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()].to_vec()
}

fn named(kind: HashKind, value: &[u8]) -> Vec<Named> {
    let mut offset = 0;
    let name = |chunk: &[u8]| {
        let at = offset;
        offset += len_u64(chunk);
        Named { name: hash(kind, &[chunk]), offset: at, len: u32::try_from(chunk.len()).unwrap() }
    };
    chunks(value).map(name).collect()
}

fn written(kind: HashKind, value: &[u8]) -> (MemoryStore, Blob, ListRoot) {
    let store = MemoryStore::new(kind);
    let (blob, _) = blob::write(&store, value).unwrap();
    let BlobId::List { root, .. } = blob.id else { panic!("a value of one chunk") };
    (store, blob, root)
}

/// The range as it comes out of a verifier that is given the value's chunks, found by their names.
fn received(
    value: &[u8],
    kind: HashKind,
    proof: &[u8],
    root: &ListRoot,
    range: Range<u64>,
) -> Result<Vec<u8>, RangeError> {
    let by_name: BTreeMap<Digest, &[u8]> =
        chunks(value).map(|chunk| (hash(kind, &[chunk]), chunk)).collect();
    let mut reader = verify_range(proof, root, range.clone())?;
    let mut bytes = Vec::new();
    while let Some((name, len)) = reader.wanted() {
        assert_eq!(reader.remaining(), range.end - range.start - len_u64(&bytes));
        let chunk = by_name[name.as_bytes()];
        assert_eq!(len_u64(chunk), u64::from(len));
        let part = reader.accept(chunk)?;
        assert!(!part.is_empty(), "a chunk that the range does not touch");
        bytes.extend_from_slice(part);
    }
    assert_eq!(reader.remaining(), 0);
    assert_eq!(reader.accept(b"more"), Err(RangeError::Complete));
    Ok(bytes)
}

fn compare_with_naive(value: &[u8], range: Range<u64>, what: &str) {
    for kind in KINDS {
        let (store, blob, root) = written(kind, value);
        let proof = blob::prove_range(&store, &blob, range.clone()).unwrap();
        let leaves = named(kind, value);
        assert_eq!(proof, naive_proof(kind, &leaves, &range).encode(), "{what}, {range:?}");
        let bytes = received(value, kind, &proof, &root, range.clone()).unwrap();
        assert_eq!(bytes, cut(value, &range), "{what}, {range:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_range_of_any_value_is_what_a_naive_reader_cuts_out(
        seed in any::<u64>(),
        len in 8_193..300_000usize,
        ends in any::<(u64, u64)>(),
    ) {
        let len_bytes = len as u64;
        let (one, other) = (ends.0 % len_bytes, ends.1 % len_bytes);
        compare_with_naive(&random(seed, len), one.min(other)..one.max(other) + 1, "random");
    }

    /// Equal chunks have one name, and are told apart by their offsets.
    #[test]
    fn ranges_of_equal_chunks_are_told_apart(len in 16_385..200_000usize, ends in any::<(u64, u64)>()) {
        let len_bytes = len as u64;
        let (one, other) = (ends.0 % len_bytes, ends.1 % len_bytes);
        compare_with_naive(&vec![7; len], one.min(other)..one.max(other) + 1, "equal");
    }
}

#[test]
fn ranges_that_begin_and_end_at_every_boundary_and_beside_it_are_right() {
    let value = random(9, 40_000);
    let kind = HashKind::Sha256;
    let (store, blob, root) = written(kind, &value);
    let leaves = named(kind, &value);
    let len = len_u64(&value);
    assert!(leaves.len() > 5);
    let boundaries: Vec<u64> = leaves
        .iter()
        .map(|leaf| leaf.offset)
        .chain([len])
        .flat_map(|at| [at.saturating_sub(1), at, (at + 1).min(len)])
        .collect();
    let mut seen = 0;
    for start in &boundaries {
        for end in &boundaries {
            let range = *start..*end;
            let proof = blob::prove_range(&store, &blob, range.clone());
            if range.is_empty() {
                assert!(matches!(proof, Err(BlobError::Range { .. })));
                continue;
            }
            let proof = proof.unwrap();
            assert_eq!(proof, naive_proof(kind, &leaves, &range).encode(), "{range:?}");
            let bytes = received(&value, kind, &proof, &root, range.clone()).unwrap();
            assert_eq!(bytes, cut(&value, &range), "{range:?}");
            seen += 1;
        }
    }
    println!("{seen} ranges");
}

#[test]
fn what_is_no_range_of_the_value_has_no_proof() {
    let value = random(1, 30_000);
    let (store, blob, _) = written(HashKind::Sha256, &value);
    let reversed = Range { start: 5, end: 3 };
    for range in
        [0..0, 7..7, reversed, 0..30_001, 30_000..30_001, 0..u64::MAX, u64::MAX - 1..u64::MAX]
    {
        let error = blob::prove_range(&store, &blob, range.clone()).unwrap_err();
        assert!(
            matches!(error, BlobError::Range { start, end, len: 30_000 } if start == range.start && end == range.end),
            "{range:?}: {error}"
        );
    }
    let (blob, _) = blob::write(&store, b"short").unwrap();
    let error = blob::prove_range(&store, &blob, 1..3).unwrap_err();
    assert!(
        matches!(error, BlobError::OneChunk { hash } if hash == HashKind::Sha256.hash(b"short"))
    );
}

/// The chunks of one proof are those of many ranges; each range is cut for itself, and others are refused.
#[test]
fn a_proof_serves_the_ranges_that_touch_its_chunks_and_no_others() {
    let value = random(3, 40_000);
    let kind = HashKind::Sha256;
    let (store, blob, root) = written(kind, &value);
    let leaves = named(kind, &value);
    let (second, third) = (&leaves[1], &leaves[2]);
    let covered = second.offset..third.offset + u64::from(third.len);
    let proof = blob::prove_range(&store, &blob, covered.clone()).unwrap();
    let both =
        [covered.clone(), covered.start + 1..covered.end - 1, third.offset - 1..third.offset + 1];
    for range in both {
        let bytes = received(&value, kind, &proof, &root, range.clone()).unwrap();
        assert_eq!(bytes, cut(&value, &range));
    }
    let expected = RangeError::Range { start: covered.start, end: covered.end };
    for range in [
        covered.start - 1..covered.end,
        covered.start..covered.end + 1,
        covered.start..third.offset,
        third.offset..covered.end,
        0..1,
        0..u64::MAX,
        covered.start..u64::MAX,
        u64::MAX - 1..u64::MAX,
    ] {
        assert_eq!(verify_range(&proof, &root, range).unwrap_err(), expected);
    }
    for range in [0..0, covered.start..covered.start, Range { start: u64::MAX, end: 0 }] {
        assert_eq!(verify_range(&proof, &root, range).unwrap_err(), RangeError::Empty);
    }
}

/// A proof in the middle of a value, with subtrees on both sides, and its range.
fn sample(kind: HashKind) -> (Vec<u8>, Vec<u8>, ListRoot, Range<u64>) {
    let value = random(4, 60_000);
    let (store, blob, root) = written(kind, &value);
    let leaves = named(kind, &value);
    let range = leaves[5].offset + 10..leaves[6].offset + 10;
    let proof = blob::prove_range(&store, &blob, range.clone()).unwrap();
    let structure = naive_proof(kind, &leaves, &range);
    assert!(structure.left.len() > 1 && structure.right.len() > 1);
    (value, proof, root, range)
}

#[test]
fn no_proof_and_no_chunk_with_a_flipped_bit_is_accepted() {
    for kind in KINDS {
        let (value, proof, root, range) = sample(kind);
        for bit in 0..proof.len() * 8 {
            let mut altered = proof.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert!(verify_range(&altered, &root, range.clone()).is_err(), "bit {bit}");
        }
        for bit in 0..256 {
            let mut other = *root.as_bytes();
            other[bit / 8] ^= 1 << (bit % 8);
            let error =
                verify_range(&proof, &ListRoot::from_bytes(other), range.clone()).unwrap_err();
            assert!(matches!(error, RangeError::Proof(ProofError::Root { .. })), "bit {bit}");
        }
        let leaves = named(kind, &value);
        let mut reader = verify_range(&proof, &root, range.clone()).unwrap();
        for leaf in &leaves[5..=6] {
            let chunk = cut(&value, &(leaf.offset..leaf.offset + u64::from(leaf.len)));
            for bit in 0..chunk.len() * 8 {
                let mut altered = chunk.clone();
                altered[bit / 8] ^= 1 << (bit % 8);
                let expected = ContentHash::from_bytes(leaf.name);
                let found = ContentHash::from_bytes(hash(kind, &[&altered]));
                assert_eq!(reader.accept(&altered), Err(RangeError::Chunk { expected, found }));
            }
            // What was refused did not disturb the reader.
            reader.accept(&chunk).unwrap();
        }
        assert_eq!(reader.wanted(), None);
    }
}

/// Fixed for ever: a change here is a change of the format.
#[test]
fn the_bytes_of_a_proof_are_frozen() {
    let frozen = [
        (HashKind::Sha256, "ed1bd53910ae19f932ab3c8056e869bd73b3810854b526de5339457d517f87ed"),
        (HashKind::Blake3, "1eaffbd547f263bcd2c2b727f771f4023f58bcad74e3da1c6b100b81a3def549"),
    ];
    for (kind, expected) in frozen {
        let (_, proof, _, _) = sample(kind);
        assert_eq!(HashKind::Sha256.hash(&proof).to_string(), expected, "{}", kind.name());
    }
}

#[test]
fn a_chunk_too_short_too_long_or_out_of_turn_is_refused() {
    let kind = HashKind::Sha256;
    let (value, proof, root, range) = sample(kind);
    let leaves = named(kind, &value);
    let chunk = |leaf: &Named| cut(&value, &(leaf.offset..leaf.offset + u64::from(leaf.len)));
    let mut reader = verify_range(&proof, &root, range).unwrap();
    let first = chunk(&leaves[5]);
    for found in [&first[..first.len() - 1], b"", &[&first[..], b"x"].concat()] {
        let expected = RangeError::ChunkLen { expected: leaves[5].len, found: found.len() };
        assert_eq!(reader.accept(found), Err(expected));
    }
    assert!(reader.accept(&chunk(&leaves[6])).is_err());
    assert_eq!(reader.accept(&first).unwrap(), &first[10..]);
    assert!(reader.accept(&first).is_err());
    assert_eq!(reader.accept(&chunk(&leaves[6])).unwrap(), &chunk(&leaves[6])[..10]);
    assert_eq!(reader.accept(&chunk(&leaves[6])), Err(RangeError::Complete));
}

#[test]
fn no_proof_cut_short_or_made_longer_is_accepted() {
    for kind in KINDS {
        let (_, proof, root, range) = sample(kind);
        for len in 0..proof.len() {
            let error = verify_range(&proof[..len], &root, range.clone()).unwrap_err();
            assert_eq!(error, RangeError::Proof(ProofError::Truncated), "cut to {len}");
        }
        for tail in [&[0][..], &[0; 33], &proof] {
            let error = verify_range(&[&proof, tail].concat(), &root, range.clone()).unwrap_err();
            assert_eq!(error, RangeError::Proof(ProofError::Trailing { bytes: tail.len() }));
        }
    }
}

/// Every number of a proof, replaced by numbers that lie.
#[test]
fn offsets_lengths_counts_and_joins_that_lie_are_refused() {
    for kind in KINDS {
        let (value, bytes, root, range) = sample(kind);
        let honest = naive_proof(kind, &named(kind, &value), &range);
        let refused = |forged: &Proof| {
            assert_ne!(*forged, honest);
            let bytes = forged.encode();
            match verify_range(&bytes, &root, range.clone()) {
                Err(RangeError::Proof(error)) => error,
                other => panic!("{other:?}"),
            }
        };
        for offset in [0, honest.offset + 1, honest.offset - 1, 1 << 32, u64::MAX - 1, u64::MAX] {
            let error = refused(&Proof { offset, ..honest.clone() });
            let overflows = offset > u64::MAX - 10;
            assert_eq!(error == ProofError::NotCanonical, overflows, "{error}");
        }
        for len in [0, 1, honest.chunks[0].1 + 1, u32::MAX] {
            for at in 0..honest.chunks.len() {
                let mut forged = honest.clone();
                forged.chunks[at].1 = len;
                assert_eq!(refused(&forged) == ProofError::NotCanonical, len == 0);
            }
        }
        for joins in [0, 1, 2, 3, 4, 64, 65, 255] {
            let all = honest.left.len() + honest.chunks.len() + honest.right.len();
            for at in 0..all {
                let mut forged = honest.clone();
                let place = forged
                    .left
                    .iter_mut()
                    .map(|end| &mut end.1)
                    .chain(forged.chunks.iter_mut().map(|end| &mut end.2))
                    .chain(forged.right.iter_mut().map(|end| &mut end.1))
                    .nth(at)
                    .unwrap();
                if *place != joins {
                    *place = joins;
                    // The number of joins in all is one less than that of the ends.
                    assert_eq!(refused(&forged), ProofError::NotCanonical, "{at}: {joins}");
                }
            }
        }
        // The counts of ends, as bytes: what is read is then too short, too long or another end.
        for (at, numbers) in [
            (14, &[0u8, 1, 64, 65, 255][..]),
            (15, &[0, 1, 3, 255]),
            (18, &[1, 255]),
            (19, &[0, 1, 255]),
        ] {
            for number in numbers.iter().filter(|number| **number != bytes[at]) {
                let mut forged = bytes.clone();
                forged[at] = *number;
                assert!(verify_range(&forged, &root, range.clone()).is_err(), "{at}: {number}");
            }
        }
        for (at, expected) in [
            (0, ProofError::Magic),
            (4, ProofError::Version { found: 77 }),
            (5, ProofError::HashKind { found: 77 }),
        ] {
            let mut forged = bytes.clone();
            forged[at] = 77;
            let error = verify_range(&forged, &root, range.clone()).unwrap_err();
            assert_eq!(error, RangeError::Proof(expected));
        }
    }
}

/// What could be cut off must be; and what stands where moves nothing.
#[test]
fn no_fact_has_a_second_encoding() {
    for kind in KINDS {
        let (value, _, root, range) = sample(kind);
        let leaves = named(kind, &value);
        let honest = naive_proof(kind, &leaves, &range);
        // More chunks than the range touches: true, but not what was asked for.
        for wider in
            [leaves[4].offset..range.end, range.start..leaves[8].offset, 0..len_u64(&value)]
        {
            let proof = naive_proof(kind, &leaves, &wider).encode();
            assert!(verify_range(&proof, &root, wider).is_ok());
            let error = verify_range(&proof, &root, range.clone()).unwrap_err();
            assert!(matches!(error, RangeError::Range { .. }));
        }
        // A subtree that is there in two halves instead of as one.
        let left = hash(
            kind,
            &[&[0], &leaves[0].name, &leaves[0].offset.to_le_bytes(), &leaves[0].len.to_le_bytes()],
        );
        let mut forged = honest.clone();
        forged.left.insert(0, (left, 0));
        forged.left[1].1 += 1;
        let error = verify_range(&forged.encode(), &root, range.clone()).unwrap_err();
        assert_eq!(error, RangeError::Proof(ProofError::NotCanonical));
        // Ends that changed places.
        for (one, other) in [(0, 1), (1, 0)] {
            let mut forged = honest.clone();
            (forged.left[one].0, forged.left[other].0) = (honest.left[other].0, honest.left[one].0);
            let error = verify_range(&forged.encode(), &root, range.clone()).unwrap_err();
            assert!(matches!(error, RangeError::Proof(ProofError::Root { .. })));
            let mut forged = honest.clone();
            (forged.chunks[one].0, forged.chunks[other].0) =
                (honest.chunks[other].0, honest.chunks[one].0);
            assert!(verify_range(&forged.encode(), &root, range.clone()).is_err());
        }
        let mut forged = honest.clone();
        std::mem::swap(&mut forged.left, &mut forged.right);
        assert!(verify_range(&forged.encode(), &root, range.clone()).is_err());
    }
}

#[test]
fn ends_that_wait_without_end_are_refused() {
    let end = ([7; 32], 0);
    let proof = Proof {
        kind: HashKind::Sha256,
        offset: 0,
        left: vec![end; 255],
        chunks: vec![([7; 32], 1, 0)],
        right: Vec::new(),
    };
    let error = verify_range(&proof.encode(), &ListRoot::from_bytes([0; 32]), 0..1).unwrap_err();
    assert_eq!(error, RangeError::Proof(ProofError::NotCanonical));
}

/// In too few slots a proof is refused for that alone; in a slot for each level and one it is accepted.
#[test]
fn a_proof_is_verified_in_a_slot_for_each_level_and_one() {
    let value = random(9, 400_000);
    let (store, blob, root) = written(HashKind::Sha256, &value);
    let levels = named(HashKind::Sha256, &value).len().next_power_of_two().ilog2();
    let enough = usize::try_from(levels).unwrap() + 1;
    let mut most = 0;
    for start in (0..399_000).step_by(20_000) {
        let range = start..start + 1_000;
        let proof = blob::prove_range(&store, &blob, range.clone()).unwrap();
        let needed = (0..100).find(|lent| {
            match verify_range_in(&proof, &root, range.clone(), &mut vec![Slot::new(); *lent]) {
                Ok(_) => true,
                Err(error) => {
                    assert_eq!(error, RangeError::Proof(ProofError::Slots { lent: *lent }));
                    false
                }
            }
        });
        most = most.max(needed.unwrap());
    }
    assert!(2 < most && most <= enough, "{most} of {enough}");
}

/// A store that counts how many objects are read.
struct Counting(MemoryStore, Cell<usize>);

impl ObjectStore for Counting {
    fn hash_kind(&self) -> HashKind {
        self.0.hash_kind()
    }
    fn put(&self, bytes: &[u8]) -> Result<Put, StoreError> {
        self.0.put(bytes)
    }
    fn get_within(&self, hash: &ContentHash, limit: u64) -> Result<Vec<u8>, StoreError> {
        self.1.set(self.1.get() + 1);
        self.0.get_within(hash, limit)
    }
    fn exists(&self, hash: &ContentHash) -> Result<bool, StoreError> {
        self.0.exists(hash)
    }
    fn delete(&self, hash: &ContentHash) -> Result<bool, StoreError> {
        self.0.delete(hash)
    }
    fn for_each(
        &self,
        visit: &mut dyn FnMut(ObjectInfo) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.0.for_each(visit)
    }
}

#[test]
fn a_proof_is_made_without_reading_the_values_chunks() {
    let value = random(5, 2_000_000);
    let (store, blob, root) = written(HashKind::Sha256, &value);
    let mut found = 0;
    for chunk in chunks(&value) {
        found += usize::from(store.delete(&HashKind::Sha256.hash(chunk)).unwrap());
    }
    assert!(found > 300);
    let store = Counting(store, Cell::new(0));
    let range = 1_000_000..1_000_001;
    let proof = blob::prove_range(&store, &blob, range.clone()).unwrap();
    assert!(store.1.get() < 10, "{} objects read", store.1.get());
    assert!(verify_range(&proof, &root, range).is_ok());
    // One chunk and a sibling a level of 2^9 chunks.
    assert!(proof.len() < HEADER + 37 + 10 * 33, "{} bytes", proof.len());
}

#[test]
fn a_blob_that_is_not_what_it_says_has_no_proof() {
    let value = random(6, 50_000);
    let (store, blob, root) = written(HashKind::Sha256, &value);
    let prove = |blob: Blob| blob::prove_range(&store, &blob, 10_000..20_000).unwrap_err();
    for len in [20_000, 49_999, 50_001, u64::MAX] {
        let blob = Blob { id: BlobId::List { root, len }, ..blob };
        assert!(matches!(
            prove(blob),
            BlobError::Corrupt { problem: BlobProblem::Len { expected, .. }, .. } if expected == len
        ));
    }
    let other = ListRoot::from_bytes([9; 32]);
    let lying = Blob { id: BlobId::List { root: other, len: 50_000 }, ..blob };
    assert!(matches!(
        prove(lying),
        BlobError::Corrupt { problem: BlobProblem::Root { found }, .. } if found == root
    ));
    let no_index = Blob { index: None, ..blob };
    assert!(matches!(prove(no_index), BlobError::Corrupt { problem: BlobProblem::Index, .. }));
    let top = ContentHash::from_bytes([1; 32]);
    let missing = Blob { index: Some(BlobIndex { depth: 1, top }), ..blob };
    assert!(
        matches!(prove(missing), BlobError::Store(StoreError::Missing { hash }) if hash == top)
    );
}

/// Of equal chunks, each is proved at its own offset alone.
#[test]
fn a_chunk_shown_at_another_offset_is_refused() {
    let value = vec![7; 30_000];
    let kind = HashKind::Sha256;
    let (_, _, root) = written(kind, &value);
    let leaves = named(kind, &value);
    assert_eq!(leaves[0].name, leaves[1].name);
    let range = leaves[1].offset..leaves[1].offset + 1;
    let mut proof = naive_proof(kind, &leaves, &range);
    assert!(verify_range(&proof.encode(), &root, range).is_ok());
    proof.offset = 0;
    let error = verify_range(&proof.encode(), &root, 0..1).unwrap_err();
    assert!(matches!(error, RangeError::Proof(ProofError::Root { .. })));
}

#[test]
fn the_list_of_one_chunk_is_proved_by_its_leaf() {
    let mut list = ListHasher::new(HashKind::Sha256);
    let name = HashKind::Sha256.hash(b"chunk");
    list.push(&name, 5);
    let proof = Proof {
        kind: HashKind::Sha256,
        offset: 0,
        left: Vec::new(),
        chunks: vec![(*name.as_bytes(), 5, 0)],
        right: Vec::new(),
    };
    let bytes = proof.encode();
    let mut reader = verify_range(&bytes, &list.root(), 1..4).unwrap();
    assert_eq!(reader.accept(b"chunk"), Ok(&b"hun"[..]));
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_no_proof_and_no_panic(
        start in prop::sample::select(vec![&b""[..], b"CCBR", b"CCBR\x01\x01", b"CCBR\x01\x02"]),
        rest in vec(any::<u8>(), 0..300),
        root in any::<Digest>(),
        range in any::<(u64, u64)>(),
    ) {
        let bytes = [start, &rest].concat();
        let root = ListRoot::from_bytes(root);
        prop_assert!(verify_range(&bytes, &root, range.0..range.1).is_err());
    }

    /// Whatever the ends, what is accepted is what was encoded, and the same range of it.
    #[test]
    fn arbitrary_ends_are_no_panic_and_what_is_accepted_is_what_was_encoded(
        offset in prop_oneof![0..10u64, any::<u64>()],
        left in vec((any::<Digest>(), 0..3u8), 0..5),
        chunks in vec((any::<Digest>(), 0..5u32, 0..4u8), 0..5),
        right in vec((any::<Digest>(), 0..5u8), 0..5),
        range in (0..20u64, 0..20u64),
    ) {
        let proof = Proof { kind: HashKind::Sha256, offset, left, chunks, right };
        let bytes = proof.encode();
        let range = range.0..range.1.max(range.0 + 1);
        let found = match verify_range(&bytes, &ListRoot::from_bytes([0; 32]), range.clone()) {
            Err(RangeError::Proof(ProofError::Root { found, .. })) => found,
            Err(RangeError::Proof(ProofError::NotCanonical)) => return Ok(()),
            other => panic!("{other:?}"),
        };
        let ends = proof.left.len() + proof.chunks.len() + proof.right.len();
        let joins = proof.left.iter().chain(&proof.right).map(|end| usize::from(end.1)).sum::<usize>()
            + proof.chunks.iter().map(|end| usize::from(end.2)).sum::<usize>();
        prop_assert_eq!(joins, ends - 1);
        match verify_range(&bytes, &found, range) {
            Ok(reader) => {
                let (name, len) = reader.wanted().unwrap();
                prop_assert_eq!((*name.as_bytes(), len), (proof.chunks[0].0, proof.chunks[0].1));
            }
            Err(RangeError::Range { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}
