// SPDX-License-Identifier: MIT
//! Proofs of many keys: complete, sound, of one encoding, and smaller than proofs of one key together; against a naive prover
//! and verifier that share no code with the crate.
#![cfg(all(feature = "alloc", feature = "sha256", feature = "blake3"))]

#[allow(dead_code, reason = "each test uses what it needs of the second implementation")]
mod naive;
#[path = "naive/multi.rs"]
mod naive_multi;

use std::collections::BTreeSet;

use cascow_core::hash::HashKind;
use cascow_core::merkle::multi::verify_many_in;
use cascow_core::merkle::{
    ProofError, ProveError, Slot, StateRoot, StateTrie, Statement, Statements, verify, verify_many,
};
use naive::{Digest, KINDS, Map};
use naive_multi::{End, MultiProof, Record};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;
use proptest::sample::Index;

type Keys = BTreeSet<Vec<u8>>;

fn trie(kind: HashKind, map: &Map) -> StateTrie {
    StateTrie::new(kind, map.iter().map(|(key, value)| (&key[..], &value[..])))
}

fn prove(kind: HashKind, map: &Map, keys: &Keys) -> (Vec<u8>, StateRoot) {
    let trie = trie(kind, map);
    let keys = keys.iter().map(|key| (&key[..], map.get(key).map(|value| &value[..])));
    (trie.prove_many(keys).unwrap(), trie.root())
}

fn squares(count: u32) -> Map {
    (0..count).map(|n| (n.to_string().into(), (n * n).to_string().into())).collect()
}

fn digits(keys: impl IntoIterator<Item = u32>) -> Keys {
    keys.into_iter().map(|key| key.to_string().into()).collect()
}

/// Both verifiers' answer, which must be the same.
fn agreed<'a>(bytes: &'a [u8], root: &StateRoot) -> Result<Statements<'a>, ProofError> {
    let ours = verify_many(bytes, root);
    let theirs = MultiProof::decode(bytes)
        .filter(|proof| proof.encode() == bytes && proof.root() == Some(*root.as_bytes()));
    match (&ours, &theirs) {
        (Ok(statements), Some(proof)) => {
            assert_eq!(statements.len(), proof.records.len());
            for (statement, record) in statements.clone().zip(&proof.records) {
                let value = match &record.end {
                    End::Own(value) => Some(&value[..]),
                    _ => None,
                };
                let MultiProof { kind, entries, .. } = *proof;
                assert_eq!(statement, Statement { kind, entries, key: &record.key, value });
            }
        }
        (Err(_), None) => {}
        _ => panic!("verifiers disagree: {ours:?}, {theirs:?}"),
    }
    ours
}

/// Proofs of every shape that ends of paths have.
fn shapes(kind: HashKind) -> Vec<(Vec<u8>, StateRoot)> {
    [
        prove(kind, &squares(12), &digits([3, 5, 7, 50, 51, 52, 53, 54, 55, 56])),
        prove(kind, &squares(2), &digits([0, 7, 8, 9])),
        prove(kind, &squares(1), &digits([0, 1, 2])),
        prove(kind, &squares(1), &digits([1, 2])),
        prove(kind, &squares(0), &digits([1, 2])),
        prove(kind, &squares(3), &digits([2])),
    ]
    .into()
}

#[test]
fn the_shapes_have_every_end_alone_and_joined() {
    for kind in KINDS {
        let mut tags = BTreeSet::new();
        for (proof, _) in shapes(kind) {
            for Record { end, path, .. } in MultiProof::decode(&proof).unwrap().records {
                let end = match end {
                    End::Nothing => 0,
                    End::Own(_) => 1,
                    End::Other(..) | End::OtherAgain => 2,
                    End::Neighbours => 3,
                };
                tags.insert((end, path.is_some()));
            }
        }
        assert_eq!(tags.len(), 8, "{tags:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_keys_have_the_naive_proof_and_it_says_what_the_state_holds(
        map in btree_map(vec(any::<u8>(), 0..2), vec(any::<u8>(), 0..8), 0..60),
        keys in btree_set(vec(any::<u8>(), 0..2), 1..60),
    ) {
        for kind in KINDS {
            let (proof, root) = prove(kind, &map, &keys);
            prop_assert_eq!(*root.as_bytes(), naive::root(kind, &map));
            let listed: Vec<_> = keys.iter().cloned().collect();
            prop_assert_eq!(&proof, &naive_multi::prove(kind, &map, &listed).encode());
            let statements = agreed(&proof, &root).unwrap();
            let said: Keys = statements.clone().map(|statement| statement.key.to_vec()).collect();
            prop_assert_eq!(&said, &keys);
            for statement in statements {
                prop_assert_eq!(statement.value, map.get(statement.key).map(|value| &value[..]));
                prop_assert_eq!((statement.kind, statement.entries), (kind, map.len() as u64));
            }
        }
    }

    #[test]
    fn nothing_false_can_be_proved(
        map in btree_map(vec(any::<u8>(), 0..2), vec(any::<u8>(), 0..4), 1..30),
        keys in btree_set(vec(any::<u8>(), 0..2), 1..30),
        at in any::<Index>(),
    ) {
        let keys: Vec<_> = keys.into_iter().collect();
        let lie_at = at.index(keys.len());
        for kind in KINDS {
            let trie = trie(kind, &map);
            let lie = match map.get(&keys[lie_at]) {
                Some(_) => None,
                None => Some(&b"no such value"[..]),
            };
            let told = keys.iter().enumerate().map(|(index, key)| {
                (&key[..], if index == lie_at { lie } else { map.get(key).map(|value| &value[..]) })
            });
            prop_assert_eq!(trie.prove_many(told.clone()), Err(ProveError::Value));
            let twice = told.filter(|(key, _)| *key != &keys[lie_at][..]);
            let key = (&keys[lie_at][..], map.get(&keys[lie_at]).map(|value| &value[..]));
            prop_assert_eq!(
                trie.prove_many(twice.chain([key, key])),
                Err(ProveError::DuplicateKey)
            );
        }
    }

    /// Fields are forged, not bytes: what is accepted must be the very proof.
    #[test]
    fn no_fact_has_a_second_encoding(
        map in btree_map(vec(any::<u8>(), 0..2), vec(any::<u8>(), 0..2), 0..40),
        keys in btree_set(vec(any::<u8>(), 0..2), 1..20),
        forgery in 0..16,
        at in any::<(Index, Index)>(),
        digest in any::<Digest>(),
    ) {
        for kind in KINDS {
            let (bytes, root) = prove(kind, &map, &keys);
            let honest = MultiProof::decode(&bytes).unwrap();
            prop_assert_eq!(&honest.encode(), &bytes);
            let mut forged = honest.clone();
            let count = honest.records.len();
            let index = at.0.index(count);
            let other = at.1.index(count);
            let empty_path = || Some(Vec::new());
            let record = &mut forged.records[index];
            let levels = record.path.as_ref().map_or(0, Vec::len);
            let level = at.1.index(levels.max(1));
            match (forgery, &mut record.path) {
                (0, Some(path)) => path.push(None),
                (1, Some(path)) => path.insert(level, None),
                (2, Some(path)) => path.insert(level, Some(digest)),
                (3, Some(path)) if levels > 0 => _ = path.remove(level),
                (4, Some(path)) if levels > 0 => path[level] = match path[level] {
                    None => Some(digest),
                    Some(_) => None,
                },
                (5, Some(path)) if levels > 0 => path[level] = Some([0; 32]),
                (6, Some(path)) if levels > 1 => path.swap(level, levels - 1),
                (7, path) => *path = if path.is_some() { None } else { empty_path() },
                (8, _) => record.end = End::Nothing,
                (9, _) => record.end = End::Neighbours,
                (10, _) => record.end = match map.iter().nth(level) {
                    Some((key, value)) => End::Other(
                        naive::key_digest(kind, key),
                        naive::hash(kind, &[&[0x11], value]),
                    ),
                    None => End::Other(digest, digest),
                },
                (11, _) => record.end = End::Own(b"forged".into()),
                (12, _) => forged.records.swap(index, other),
                (13, _) => _ = forged.records.remove(index),
                (14, _) => {
                    let again = forged.records[other].clone();
                    forged.records.insert(index, again);
                }
                _ => forged.entries = !forged.entries,
            }
            // `OtherAgain` and `Other` are one number of an end, and only a path tells them apart.
            let bytes = forged.encode();
            if agreed(&bytes, &root).is_ok() {
                // Without one of the keys, it may still be true: then it is the proof of the others.
                let listed: Vec<_> = forged.records.iter().map(|record| record.key.clone()).collect();
                prop_assert_eq!(bytes, naive_multi::prove(kind, &map, &listed).encode());
            }
        }
    }

    #[test]
    fn arbitrary_bytes_are_no_proof_and_no_panic(
        start in prop::sample::select(vec![&b""[..], b"CCMP", b"CCMP\x01\x01", b"CCMP\x01\x02"]),
        rest in vec(any::<u8>(), 0..300),
        root in any::<Digest>(),
    ) {
        prop_assert!(agreed(&[start, &rest].concat(), &StateRoot::from_bytes(root)).is_err());
    }

    /// Well-formed fields with arbitrary contents go deeper than arbitrary bytes.
    #[test]
    fn arbitrary_records_are_no_proof_and_no_panic(
        records in vec(
            (
                vec(any::<u8>(), 0..2),
                prop_oneof![
                    Just(End::Nothing),
                    Just(End::Neighbours),
                    Just(End::OtherAgain),
                    Just(End::Own(b"1".into())),
                    any::<Digest>().prop_map(|digest| End::Other(digest, digest)),
                ],
                proptest::option::of(vec(proptest::option::of(any::<Digest>()), 0..5)),
                0..260usize,
            ),
            0..8,
        ),
        is_sorted in any::<bool>(),
        kind in prop::sample::select(KINDS.to_vec()),
        root in any::<Digest>(),
    ) {
        let mut records: Vec<Record> = records
            .into_iter()
            .map(|(key, end, mut path, levels)| {
                if let Some(path) = &mut path && levels > 200 {
                    path.resize(levels, None);
                }
                Record { key, end, path }
            })
            .collect();
        if is_sorted {
            records.sort_by_key(|record| naive::key_digest(kind, &record.key));
        }
        let proof = MultiProof { kind, entries: records.len() as u64, records };
        let bytes = proof.encode();
        // The root that the proof leads to, where it leads anywhere, is accepted by both or by none.
        let found = MultiProof::decode(&bytes).and_then(|proof| proof.root()).unwrap_or(root);
        _ = agreed(&bytes, &StateRoot::from_bytes(found));
    }
}

#[test]
fn no_proof_with_a_flipped_bit_is_accepted() {
    for kind in KINDS {
        for (shape, (proof, root)) in shapes(kind).into_iter().enumerate() {
            assert!(agreed(&proof, &root).is_ok());
            for bit in 0..proof.len() * 8 {
                let mut altered = proof.clone();
                altered[bit / 8] ^= 1 << (bit % 8);
                assert!(agreed(&altered, &root).is_err(), "shape {shape}, bit {bit}");
            }
        }
    }
}

#[test]
fn no_proof_cut_short_or_made_longer_is_accepted() {
    for kind in KINDS {
        for (proof, root) in shapes(kind) {
            for len in 0..proof.len() {
                assert_eq!(agreed(&proof[..len], &root).unwrap_err(), ProofError::Truncated);
            }
            for tail in [&[0][..], &[0xff], &[0; 32], &proof] {
                let error = agreed(&[&proof, tail].concat(), &root).unwrap_err();
                assert_eq!(error, ProofError::Trailing { bytes: tail.len() });
            }
        }
    }
}

#[test]
fn a_proof_for_another_state_is_not_accepted() {
    for kind in KINDS {
        let (proof, found) = prove(kind, &squares(20), &digits([1, 30]));
        let expected = trie(kind, &squares(21)).root();
        assert_eq!(agreed(&proof, &expected).unwrap_err(), ProofError::Root { expected, found });
    }
}

/// The bytes of the header, and numbers at their fixed places.
#[test]
fn each_field_that_no_proof_holds_has_its_error() {
    let (proof, root) = prove(HashKind::Sha256, &squares(10), &digits([3]));
    let with = |at: usize, bytes: &[u8]| {
        let mut altered = proof.clone();
        altered[at..at + bytes.len()].copy_from_slice(bytes);
        agreed(&altered, &root).unwrap_err()
    };
    assert_eq!(with(0, b"CCSP"), ProofError::Magic);
    assert_eq!(with(4, &[2]), ProofError::Version { found: 2 });
    assert_eq!(with(5, &[3]), ProofError::HashKind { found: 3 });
    assert!(matches!(with(6, &u64::MAX.to_le_bytes()), ProofError::Root { .. }));
    assert_eq!(with(14, &u32::MAX.to_le_bytes()), ProofError::Truncated);
    assert_eq!(with(14, &[2]), ProofError::Truncated);
    assert_eq!(with(18, &[8]), ProofError::NotCanonical, "a tag");
    assert_eq!(with(18, &[5]), ProofError::NotCanonical, "joined to nothing");
    assert_eq!(with(19, &u32::MAX.to_le_bytes()), ProofError::Truncated, "a key's length");
    assert_eq!(with(24, &u32::MAX.to_le_bytes()), ProofError::Truncated, "a value's length");
    let levels_at = 24 + 4 + 1;
    assert_eq!(with(levels_at, &257u16.to_le_bytes()), ProofError::NotCanonical);
    assert_eq!(with(levels_at, &u16::MAX.to_le_bytes()), ProofError::NotCanonical);
    assert_eq!(with(levels_at, &256u16.to_le_bytes()), ProofError::Truncated);
    let mut marks = [proof[levels_at + 2]];
    assert!(proof[levels_at] < 8, "a mark is left over");
    marks[0] |= 0x80;
    assert_eq!(with(levels_at + 2, &marks), ProofError::NotCanonical);
}

/// Fixed for ever: a change here is a change of the format.
#[test]
fn the_bytes_of_a_proof_are_frozen() {
    let frozen = [
        (HashKind::Sha256, "4f5f8c53f1090e2ec8cefd64a2daa9bd914fb8dcfc692019fae9407a8993dc97"),
        (HashKind::Blake3, "a85065438a36748a3c63e70e6830f14445d477697cb27e76a2ea2017d60509a6"),
    ];
    for (kind, expected) in frozen {
        let (proof, _) = prove(kind, &squares(100), &digits(90..110));
        assert_eq!(HashKind::Sha256.hash(&proof).to_string(), expected, "{}", kind.name());
    }
}

#[test]
fn no_keys_have_no_proof() {
    let trie = trie(HashKind::Sha256, &squares(10));
    assert_eq!(trie.prove_many([]), Err(ProveError::NoKeys));
    let none = MultiProof { kind: HashKind::Sha256, entries: 10, records: Vec::new() };
    assert_eq!(agreed(&none.encode(), &trie.root()).unwrap_err(), ProofError::NotCanonical);
}

/// Keys with digests that are equal for long, so that paths pass empty siblings and ends lie deep.
#[test]
fn keys_that_go_together_for_long_are_proved() {
    for kind in KINDS {
        let prefix = |key: &[u8]| naive::key_digest(kind, key)[..2].to_vec();
        let mut together = (0u32..)
            .map(|n| n.to_string().into())
            .filter(|key: &Vec<u8>| prefix(key) == prefix(b"x"));
        let map: Map = together.by_ref().take(3).map(|key| (key, b"value".to_vec())).collect();
        let absent: Keys = together.take(3).collect();
        for keys in [
            map.keys().cloned().collect(),
            absent.clone(),
            &absent | &map.keys().cloned().collect(),
        ] {
            let (proof, root) = prove(kind, &map, &keys);
            assert_eq!(agreed(&proof, &root).unwrap().len(), keys.len());
        }
    }
}

/// In too few slots it is refused for that alone; in enough, whatever was in them before, it says what it says in 256.
#[test]
fn a_proof_is_verified_in_as_many_slots_as_keys_wait_for_others_and_no_fewer() {
    for kind in KINDS {
        let map = squares(200);
        let (other, other_root) = prove(kind, &squares(50), &digits(0..50));
        for keys in [1, 2, 3, 10, 200] {
            let (proof, root) = prove(kind, &map, &digits(0..keys));
            let expected: Vec<_> = verify_many(&proof, &root).unwrap().collect();
            let mut slots = [Slot::new(); 256];
            let is_enough =
                |lent: usize| match verify_many_in(&proof, &root, &mut vec![Slot::new(); lent]) {
                    Ok(statements) => {
                        assert_eq!(statements.collect::<Vec<_>>(), expected);
                        true
                    }
                    Err(error) => {
                        assert_eq!(error, ProofError::Slots { lent });
                        false
                    }
                };
            let needed = (0..256).find(|lent| is_enough(*lent)).unwrap();
            assert!((needed..256).all(is_enough));
            assert!(
                needed < usize::try_from(keys).unwrap() && needed < 20,
                "{needed} for {keys} keys"
            );
            assert_eq!(needed == 0, keys == 1);
            verify_many_in(&other, &other_root, &mut slots).unwrap();
            assert_eq!(
                verify_many_in(&proof, &root, &mut slots).unwrap().collect::<Vec<_>>(),
                expected
            );
        }
    }
}

/// Counted, not timed: 100 keys of 10,000 share what their ways have in common.
#[test]
fn one_proof_is_smaller_than_many_and_of_the_length_that_is_documented() {
    let map = squares(10_000);
    for kind in KINDS {
        let trie = trie(kind, &map);
        let root = trie.root();
        for keys in [1, 10, 100, 1_000, 10_000u32] {
            let present: Vec<_> =
                (0..keys).map(|n| (n * (10_000 / keys)).to_string().into_bytes()).collect();
            let questions = || present.iter().map(|key| (&key[..], Some(&map[key][..])));
            let proof = trie.prove_many(questions()).unwrap();
            assert_eq!(verify_many(&proof, &root).unwrap().len(), present.len());
            let siblings: usize = MultiProof::decode(&proof)
                .unwrap()
                .records
                .iter()
                .map(|record| record.path.iter().flatten().flatten().count())
                .sum();
            let share = f64::from(10_000 / keys);
            let expected = f64::from(keys) * (share.log2() - 0.5);
            println!(
                "{} of 10,000 keys: {siblings} siblings, expected {expected:.0}, {} bytes",
                keys,
                proof.len()
            );
            if (10..10_000).contains(&keys) {
                let found = f64::from(u32::try_from(siblings).unwrap());
                assert!(
                    (0.85..1.15).contains(&(found / expected)),
                    "{found} siblings, not {expected}"
                );
            }
            if keys == 100 {
                let single = questions().map(|(key, value)| {
                    let proof = trie.prove(key, value).unwrap();
                    assert!(verify(&proof, &root).is_ok());
                    proof.len()
                });
                let together: usize = single.sum();
                println!("100 single proofs: {together} bytes");
                assert!(proof.len() * 100 < together * 60, "{} of {together} bytes", proof.len());
            }
        }
    }
}
