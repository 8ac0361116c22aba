// SPDX-License-Identifier: MIT
//! Proofs of every kind, against the naive implementation.

use cascow_core::merkle::log::{TreeHead, verify_consistency, verify_inclusion};
use cascow_core::merkle::multi::verify_many_in;
use cascow_core::merkle::range::{RangeError, verify_range, verify_range_in};
use cascow_core::merkle::{ListRoot, LogRoot, ProofError, Slot, StateRoot, verify, verify_many};

use crate::naive::{self, Digest};
use crate::naive_log::{Consistency, Inclusion};
use crate::naive_multi::{End, MultiProof};
use crate::naive_range;
use crate::naive_single::{Proof, Terminal};

/// No digest is known to be this: a root that no proof leads to.
const NOWHERE: Digest = [0; 32];

/// A proof of one key.
pub fn state(data: &[u8]) {
    compare_state(data);
    if let Some(proof) = Proof::decode(data) {
        compare_state(&proof.encode());
    }
}

fn compare_state(bytes: &[u8]) {
    let proof = Proof::decode(bytes).filter(|proof| proof.encode() == bytes);
    let expected = proof.as_ref().and_then(Proof::root);
    let (Some(proof), Some(root)) = (proof, expected) else {
        return refused(verify(bytes, &StateRoot::from_bytes(NOWHERE)).err());
    };
    let root = StateRoot::from_bytes(root);
    leads_to(verify(bytes, &StateRoot::from_bytes(NOWHERE)).err(), root);
    let statement = verify(bytes, &root).expect("the naive verifier accepts it");
    assert_eq!((statement.kind, statement.entries), (proof.kind, proof.entries));
    let value = match &proof.terminal {
        Terminal::Present(value) => Some(&value[..]),
        _ => None,
    };
    assert_eq!((statement.key, statement.value), (&proof.key[..], value));
}

/// A proof of many keys, and the same with its keys in order.
pub fn multi(data: &[u8]) {
    compare_multi(data);
    if let Some(mut proof) = MultiProof::decode(data) {
        compare_multi(&proof.encode());
        let kind = proof.kind;
        proof.records.sort_by_cached_key(|record| naive::key_digest(kind, &record.key));
        proof.records.dedup_by(|one, other| one.key == other.key);
        compare_multi(&proof.encode());
    }
}

fn compare_multi(bytes: &[u8]) {
    let proof = MultiProof::decode(bytes).filter(|proof| proof.encode() == bytes);
    let expected = proof.as_ref().and_then(MultiProof::root);
    let (Some(proof), Some(root)) = (proof, expected) else {
        return refused(verify_many(bytes, &StateRoot::from_bytes(NOWHERE)).err());
    };
    let root = StateRoot::from_bytes(root);
    leads_to(verify_many(bytes, &StateRoot::from_bytes(NOWHERE)).err(), root);
    let statements = verify_many(bytes, &root).expect("the naive verifier accepts it");
    assert_eq!(statements.len(), proof.records.len());
    for (statement, record) in statements.zip(&proof.records) {
        assert_eq!((statement.kind, statement.entries), (proof.kind, proof.entries));
        let value = match &record.end {
            End::Own(value) => Some(&value[..]),
            _ => None,
        };
        assert_eq!((statement.key, statement.value), (&record.key[..], value));
    }
    match verify_many_in(bytes, &root, &mut [Slot::new(); 2]).err() {
        None | Some(ProofError::Slots { lent: 2 }) => {}
        Some(error) => panic!("in two slots: {error}"),
    }
}

/// A range in sixteen bytes, and a proof of it.
pub fn range(data: &[u8]) {
    let Some((bounds, bytes)) = data.split_first_chunk::<16>() else { return };
    let [start, end] = [0, 8].map(|at| u64::from_le_bytes(std::array::from_fn(|n| bounds[at + n])));
    compare_range(bytes, start, end);
    if let Some(proof) = naive_range::Proof::decode(bytes) {
        compare_range(&proof.encode(), start, end);
        // The bytes that its chunks are, so that ranges are met.
        if let Some(seams) = proof.seams() {
            compare_range(&proof.encode(), seams[0], seams[seams.len() - 1]);
        }
    }
}

fn compare_range(bytes: &[u8], start: u64, end: u64) {
    let nowhere = ListRoot::from_bytes(NOWHERE);
    if start >= end {
        return assert_eq!(
            verify_range(bytes, &nowhere, start..end).err(),
            Some(RangeError::Empty)
        );
    }
    let proof = naive_range::Proof::decode(bytes).filter(|proof| proof.encode() == bytes);
    let expected = proof.as_ref().and_then(|proof| Some((proof.seams()?, proof.root()?)));
    let unproven = |error| match error {
        Some(RangeError::Proof(error)) => Some(error),
        error => panic!("{error:?}"),
    };
    let found = unproven(verify_range(bytes, &nowhere, start..end).err());
    let (Some(proof), Some((seams, root))) = (proof, expected) else { return refused(found) };
    let root = ListRoot::from_bytes(root);
    leads_to(found, root);
    let [first, .., last, whole] = seams[..] else {
        let [first, whole] = seams[..] else { panic!("there is a chunk") };
        return check_range(&proof, bytes, &root, [start, end], [first, whole, first, whole]);
    };
    check_range(&proof, bytes, &root, [start, end], [first, seams[1], last, whole]);
}

/// Accepted exactly if the range begins in the first chunk and ends in the last.
fn check_range(
    proof: &naive_range::Proof,
    bytes: &[u8],
    root: &ListRoot,
    [start, end]: [u64; 2],
    [first, first_end, last, last_end]: [u64; 4],
) {
    let fits = (first..first_end).contains(&start) && last < end && end <= last_end;
    match verify_range(bytes, root, start..end) {
        Ok(mut reader) => {
            assert!(fits);
            assert_eq!(reader.remaining(), end - start);
            let (name, len) = reader.wanted().expect("there is a chunk");
            assert_eq!((*name.as_bytes(), len), (proof.chunks[0].0, proof.chunks[0].1));
            // No chunk is known to have an arbitrary name.
            assert!(reader.accept(&bytes[..bytes.len().min(64)]).is_err());
        }
        Err(RangeError::Range { start, end }) => {
            assert!(!fits);
            assert_eq!((start, end), (first, last_end));
        }
        Err(error) => panic!("{error}"),
    }
    match verify_range_in(bytes, root, start..end, &mut [Slot::new(); 2]).err() {
        None
        | Some(RangeError::Proof(ProofError::Slots { lent: 2 }) | RangeError::Range { .. }) => {}
        Some(error) => panic!("in two slots: {error}"),
    }
}

/// A proof that a leaf stands in a log.
pub fn inclusion(data: &[u8]) {
    compare_inclusion(data);
    if let Some(proof) = Inclusion::decode(data) {
        compare_inclusion(&proof.encode());
    }
}

fn compare_inclusion(bytes: &[u8]) {
    let proof = Inclusion::decode(bytes).filter(|proof| proof.encode() == bytes);
    let size = proof.as_ref().map_or(0, |proof| proof.size);
    let head = |root| TreeHead { size, root: LogRoot::from_bytes(root) };
    let expected = proof.as_ref().and_then(Inclusion::root);
    let found = verify_inclusion(bytes, &head(NOWHERE)).err();
    let (Some(proof), Some(root)) = (proof, expected) else { return refused(found) };
    leads_to(found, LogRoot::from_bytes(root));
    let entry = verify_inclusion(bytes, &head(root)).expect("the naive verifier accepts it");
    assert_eq!((entry.kind, entry.index, entry.leaf), (proof.kind, proof.index, &proof.leaf[..]));
    let longer = TreeHead { size: size.wrapping_add(1), ..head(root) };
    assert!(matches!(verify_inclusion(bytes, &longer), Err(ProofError::Size { .. })));
}

/// A proof that a log continues another.
pub fn consistency(data: &[u8]) {
    compare_consistency(data);
    if let Some(proof) = Consistency::decode(data) {
        compare_consistency(&proof.encode());
    }
}

fn compare_consistency(bytes: &[u8]) {
    let proof = Consistency::decode(bytes).filter(|proof| proof.encode() == bytes);
    let (old, new) = proof.as_ref().map_or((0, 0), |proof| (proof.old, proof.new));
    let heads = |first: Digest, second: Digest| {
        let head = |size, root| TreeHead { size, root: LogRoot::from_bytes(root) };
        verify_consistency(bytes, &head(old, first), &head(new, second)).err()
    };
    // Of a perfect old log, the proof leads to the old root whatever that is, and from it to the new one.
    let Some((first, second)) = proof.and_then(|proof| {
        let (first, _) = proof.roots(&NOWHERE)?;
        proof.roots(&first)
    }) else {
        return refused(heads(NOWHERE, NOWHERE));
    };
    assert_eq!(heads(first, second), None);
    leads_to(heads(first, [1; 32]), LogRoot::from_bytes(second));
    if !old.is_power_of_two() {
        leads_to(heads([1; 32], second), LogRoot::from_bytes(first));
    }
}

/// Refused for what it is, not for where it leads.
fn refused<R: std::fmt::Debug>(error: Option<ProofError<R>>) {
    match error {
        None
        | Some(ProofError::Root { .. } | ProofError::Size { .. } | ProofError::Slots { .. }) => {
            panic!("the naive verifier refuses it, this one says {error:?}")
        }
        Some(_) => {}
    }
}

fn leads_to<R: std::fmt::Debug + PartialEq>(error: Option<ProofError<R>>, root: R) {
    match error {
        Some(ProofError::Root { found, .. }) => assert_eq!(found, root),
        other => panic!("the naive verifier is led to {root:?}, this one says {other:?}"),
    }
}
