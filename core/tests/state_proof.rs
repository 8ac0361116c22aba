// SPDX-License-Identifier: MIT
//! Proofs: complete (every key, held or not, has one), sound (nothing altered is accepted), and of one encoding; against a
//! naive verifier that reads a proof into a structure, writes it again, and recomputes the root recursively.
#![cfg(all(feature = "alloc", feature = "sha256", feature = "blake3"))]

#[allow(dead_code, reason = "each test uses what it needs of the second implementation")]
mod naive;
#[path = "naive/single.rs"]
mod naive_single;

use cascow_core::hash::HashKind;
use cascow_core::merkle::{ProofError, ProveError, StateRoot, Statement, verify};
use cascow_core::snapshot::State;
use naive::{Digest, KINDS, Map};
use naive_single::{Proof, Terminal, naive_verify};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::Index;

/// Both verifiers' answer, which must be the same.
fn agreed<'a>(bytes: &'a [u8], root: &StateRoot) -> Result<Statement<'a>, ProofError> {
    let ours = verify(bytes, root);
    let theirs = naive_verify(bytes, root.as_bytes());
    match (&ours, &theirs) {
        (Ok(statement), Some(proof)) => {
            let value = match &proof.terminal {
                Terminal::Present(value) => Some(&value[..]),
                _ => None,
            };
            let key = &proof.key[..];
            let expected = Statement { kind: proof.kind, entries: proof.entries, key, value };
            assert_eq!(*statement, expected);
        }
        (Err(_), None) => {}
        _ => panic!("verifiers disagree: {ours:?}, {theirs:?}"),
    }
    ours
}

fn state(map: &Map) -> State {
    map.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn squares(count: u32) -> Map {
    (0..count).map(|n| (n.to_string().into(), (n * n).to_string().into())).collect()
}

/// A proof of what `map` holds under `key`, and the root.
fn prove(kind: HashKind, map: &Map, key: &[u8]) -> (Vec<u8>, StateRoot) {
    let trie = state(map).trie(kind);
    (trie.prove(key, map.get(key).map(|value| &value[..])).unwrap(), trie.root())
}

/// One proof of each shape: of inclusion, of absence at an empty place and at another leaf, deep and at the very top.
fn shapes(kind: HashKind) -> Vec<(&'static str, Vec<u8>, StateRoot)> {
    let many = squares(40);
    let absent = |is_meant: fn(&Terminal) -> bool| {
        let key = |n: &u32| {
            let (proof, _) = prove(kind, &many, n.to_string().as_bytes());
            is_meant(&Proof::decode(&proof).unwrap().terminal)
        };
        (40u32..).find(key).unwrap().to_string()
    };
    let empty = absent(|terminal| *terminal == Terminal::Empty);
    let other = absent(|terminal| matches!(terminal, Terminal::Other(..)));
    [
        ("inclusion", many.clone(), "7"),
        ("absence at an empty place", many.clone(), &empty),
        ("absence at another leaf", many, &other),
        ("inclusion in one entry", squares(1), "0"),
        ("absence from one entry", squares(1), "1"),
        ("absence from the empty state", squares(0), "0"),
    ]
    .map(|(name, map, key)| {
        let (proof, root) = prove(kind, &map, key.as_bytes());
        (name, proof, root)
    })
    .into()
}

/// Compares what a proof of one of the shapes' states says with that state.
fn assert_true(statement: &Statement<'_>, shape: &str) {
    let map = squares(u32::try_from(statement.entries).unwrap());
    assert_eq!(statement.value, map.get(statement.key).map(|value| &value[..]), "{shape}");
}

#[test]
fn the_shapes_are_what_they_are_called() {
    for kind in KINDS {
        let proofs = shapes(kind).into_iter().map(|(_, proof, _)| Proof::decode(&proof).unwrap());
        let [inclusion, empty, other, one, not_one, none] =
            <[Proof; 6]>::try_from(proofs.collect::<Vec<_>>()).unwrap();
        assert!(matches!(inclusion.terminal, Terminal::Present(_)) && inclusion.siblings.len() > 2);
        assert!(empty.terminal == Terminal::Empty && empty.siblings.len() > 2);
        assert!(matches!(other.terminal, Terminal::Other(..)) && other.siblings.len() > 2);
        assert!(matches!(one.terminal, Terminal::Present(_)) && one.siblings.is_empty());
        assert!(matches!(not_one.terminal, Terminal::Other(..)) && not_one.siblings.is_empty());
        assert!(none.terminal == Terminal::Empty && none.siblings.is_empty() && none.entries == 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_key_has_a_proof_that_says_what_the_state_holds(
        map in btree_map(vec(any::<u8>(), 0..4), vec(any::<u8>(), 0..8), 0..60),
        absent in vec(vec(any::<u8>(), 0..4), 40),
    ) {
        for kind in KINDS {
            let trie = state(&map).trie(kind);
            let root = StateRoot::from_bytes(naive::root(kind, &map));
            for key in map.keys().chain(&absent) {
                let value = map.get(key).map(|value| &value[..]);
                let proof = trie.prove(key, value).unwrap();
                let expected = Statement { kind, entries: map.len() as u64, key, value };
                prop_assert_eq!(agreed(&proof, &root), Ok(expected));
            }
        }
    }

    #[test]
    fn nothing_false_can_be_proved(
        map in btree_map(vec(any::<u8>(), 0..4), vec(any::<u8>(), 0..8), 1..30),
        at in any::<Index>(),
        absent in vec(any::<u8>(), 5),
    ) {
        let (key, value) = map.iter().nth(at.index(map.len())).unwrap();
        let lie = [value, &b"!"[..]].concat();
        for kind in KINDS {
            let trie = state(&map).trie(kind);
            prop_assert_eq!(trie.prove(key, Some(&lie)), Err(ProveError::Value));
            prop_assert_eq!(trie.prove(key, None), Err(ProveError::Value));
            prop_assert_eq!(trie.prove(&absent, Some(value)), Err(ProveError::Value));
        }
    }

    #[test]
    fn a_proof_for_another_state_is_not_accepted(
        map in btree_map(vec(any::<u8>(), 0..3), vec(any::<u8>(), 0..3), 0..30),
        other in btree_map(vec(any::<u8>(), 0..3), vec(any::<u8>(), 0..3), 0..30),
        key in vec(any::<u8>(), 0..3),
    ) {
        prop_assume!(map != other);
        for kind in KINDS {
            let (proof, found) = prove(kind, &other, &key);
            let expected = state(&map).root(kind);
            prop_assert_eq!(agreed(&proof, &expected), Err(ProofError::Root { expected, found }));
        }
    }

    /// Fields are forged, not bytes: what is accepted must be the very proof.
    #[test]
    fn no_fact_has_a_second_encoding(
        map in btree_map(vec(any::<u8>(), 0..2), vec(any::<u8>(), 0..2), 0..40),
        key in vec(any::<u8>(), 0..2),
        forgery in 0..10,
        at in any::<Index>(),
        digest in any::<Digest>(),
    ) {
        for kind in KINDS {
            let (bytes, root) = prove(kind, &map, &key);
            let honest = Proof::decode(&bytes).unwrap();
            prop_assert_eq!(&honest.encode(), &bytes);
            let mut forged = honest.clone();
            let depth = forged.siblings.len();
            let here = if depth == 0 { 0 } else { at.index(depth) };
            match forgery {
                0 => forged.siblings.push(None),
                1 => forged.siblings.insert(here, None),
                2 => forged.siblings.insert(here, Some(digest)),
                3 => forged.siblings.insert(here, Some([0; 32])),
                4 if depth > 0 => _ = forged.siblings.remove(here),
                5 if depth > 0 => forged.siblings[here] = match honest.siblings[here] {
                    None => Some([0; 32]),
                    Some(_) => None,
                },
                6 if depth > 1 => forged.siblings.swap(here, depth - 1),
                7 => forged.terminal = Terminal::Empty,
                8 => forged.terminal = match map.iter().nth(here) {
                    // A leaf that the state does hold, but somewhere else; or the key's own, as if it were another's.
                    Some((key, value)) => Terminal::Other(
                        naive::key_digest(kind, key),
                        naive::hash(kind, &[&[0x11], value]),
                    ),
                    None => Terminal::Other(digest, digest),
                },
                _ => forged.entries += 1,
            }
            let accepted = agreed(&forged.encode(), &root).is_ok();
            prop_assert_eq!(accepted, forged == honest, "{:?}", forged);
        }
    }

    #[test]
    fn arbitrary_bytes_are_no_proof_and_no_panic(
        start in prop::sample::select(vec![&b""[..], b"CCSP", b"CCSP\x01\x01", b"CCSP\x01\x02\x00\x00", b"CCSP\x01\x01\x02\x00"]),
        rest in vec(any::<u8>(), 0..300),
        root in any::<Digest>(),
    ) {
        let root = StateRoot::from_bytes(root);
        prop_assert!(agreed(&[start, &rest].concat(), &root).is_err());
    }

    #[test]
    fn a_splice_of_proofs_is_accepted_only_as_the_truth(
        cut in any::<Index>(),
        join in any::<Index>(),
        kind in prop::sample::select(KINDS.to_vec()),
    ) {
        let shapes = shapes(kind);
        for (shape, head, root) in &shapes {
            for (_, tail, _) in &shapes {
                let head = &head[..cut.index(head.len())];
                let spliced = [head, &tail[join.index(tail.len())..]].concat();
                if let Ok(statement) = agreed(&spliced, root) {
                    assert_true(&statement, shape);
                }
            }
        }
    }
}

#[test]
fn no_proof_with_a_flipped_bit_is_accepted() {
    for kind in KINDS {
        for (shape, proof, root) in shapes(kind) {
            for bit in 0..proof.len() * 8 {
                let mut altered = proof.clone();
                altered[bit / 8] ^= 1 << (bit % 8);
                assert!(agreed(&altered, &root).is_err(), "{shape}, bit {bit}");
            }
        }
    }
}

#[test]
fn no_proof_cut_short_or_made_longer_is_accepted() {
    for kind in KINDS {
        for (shape, proof, root) in shapes(kind) {
            for len in 0..proof.len() {
                let error = agreed(&proof[..len], &root).unwrap_err();
                assert_eq!(error, ProofError::Truncated, "{shape}, cut to {len}");
            }
            for tail in [&[0][..], &[0xff], &[0; 32], &proof] {
                let error = agreed(&[&proof, tail].concat(), &root).unwrap_err();
                assert_eq!(error, ProofError::Trailing { bytes: tail.len() }, "{shape}");
            }
        }
    }
}

#[test]
fn every_flipped_bit_of_the_root_is_noticed() {
    for kind in KINDS {
        for (shape, proof, found) in shapes(kind) {
            for bit in 0..256 {
                let mut root = *found.as_bytes();
                root[bit / 8] ^= 1 << (bit % 8);
                let expected = StateRoot::from_bytes(root);
                let error = agreed(&proof, &expected).unwrap_err();
                assert_eq!(error, ProofError::Root { expected, found }, "{shape}, bit {bit}");
            }
        }
    }
}

/// The bytes before the siblings, at their fixed places.
#[test]
fn each_field_that_no_proof_holds_has_its_error() {
    let (proof, root) = prove(HashKind::Sha256, &squares(10), b"3");
    let with = |at: usize, bytes: &[u8]| {
        let mut altered = proof.clone();
        altered[at..at + bytes.len()].copy_from_slice(bytes);
        agreed(&altered, &root).unwrap_err()
    };
    assert_eq!(with(0, b"X"), ProofError::Magic);
    assert_eq!(with(4, &[0]), ProofError::Version { found: 0 });
    assert_eq!(with(4, &[2]), ProofError::Version { found: 2 });
    assert_eq!(with(5, &[0]), ProofError::HashKind { found: 0 });
    assert_eq!(with(5, &[3]), ProofError::HashKind { found: 3 });
    assert_eq!(with(6, &[3]), ProofError::NotCanonical);
    assert_eq!(with(7, &[1]), ProofError::NotCanonical);
    for key_len in [u32::MAX, u32::MAX - 16, 1 << 31, 1 << 16] {
        assert_eq!(with(16, &key_len.to_le_bytes()), ProofError::Truncated, "key of {key_len}");
        assert_eq!(with(21, &key_len.to_le_bytes()), ProofError::Truncated, "value of {key_len}");
    }
    let depth_at = 16 + 4 + 1 + 4 + 1;
    for depth in [257u16, 1000, u16::MAX] {
        assert_eq!(with(depth_at, &depth.to_le_bytes()), ProofError::NotCanonical, "depth {depth}");
    }
    assert_eq!(with(depth_at, &256u16.to_le_bytes()), ProofError::Truncated);
    assert_eq!(with(depth_at + 2, &[0xff]), ProofError::NotCanonical, "marks beyond the depth");
}

#[test]
fn a_depth_beyond_the_digest_is_refused_even_when_all_is_there() {
    let (bytes, root) = prove(HashKind::Sha256, &squares(10), b"3");
    let mut proof = Proof::decode(&bytes).unwrap();
    for depth in [256, 257, 300, 65_535] {
        proof.siblings.resize(depth, Some([7; 32]));
        let error = agreed(&proof.encode(), &root).unwrap_err();
        assert_eq!(
            matches!(error, ProofError::Root { .. }),
            depth <= 256,
            "depth {depth}: {error}"
        );
    }
}

#[test]
fn a_leaf_off_the_path_proves_no_absence() {
    let map = squares(40);
    let (bytes, root) = prove(HashKind::Sha256, &map, b"7");
    let key = naive::key_digest(HashKind::Sha256, b"7");
    for (other, value) in map {
        // The key's own leaf shown as another's, and every other leaf of the state in the key's place.
        let mut proof = Proof::decode(&bytes).unwrap();
        let digest = naive::key_digest(HashKind::Sha256, &other);
        proof.terminal = Terminal::Other(digest, naive::hash(HashKind::Sha256, &[&[0x11], &value]));
        let error = agreed(&proof.encode(), &root).unwrap_err();
        let shared = naive::bits(&digest)[..proof.siblings.len()]
            == naive::bits(&key)[..proof.siblings.len()];
        if !shared || digest == key {
            assert_eq!(error, ProofError::NotCanonical);
        } else {
            assert!(matches!(error, ProofError::Root { .. }));
        }
    }
}

#[test]
fn a_proof_names_its_key_and_stands_for_no_other() {
    for kind in KINDS {
        for (shape, bytes, root) in shapes(kind) {
            let mut proof = Proof::decode(&bytes).unwrap();
            let statement = agreed(&bytes, &root).unwrap();
            assert_eq!(statement.key, proof.key, "{shape}");
            if shape.starts_with("inclusion") {
                proof.key = b"another".into();
                assert!(agreed(&proof.encode(), &root).is_err(), "{shape}");
            }
        }
    }
}

/// Two entries whose digests share 16 bits, so that their proofs pass that many empty siblings.
fn together(kind: HashKind) -> Map {
    let prefix = |key: &[u8]| naive::key_digest(kind, key)[..2].to_vec();
    let keys = (0u32..).map(u32::to_le_bytes).filter(|key| prefix(key) == prefix(b"together"));
    keys.take(2).map(|key| (key.to_vec(), b"value".to_vec())).collect()
}

/// One bit each, and not 32 bytes.
#[test]
fn empty_siblings_cost_a_bit() {
    for kind in KINDS {
        let map = together(kind);
        for key in map.keys() {
            let (bytes, root) = prove(kind, &map, key);
            assert!(agreed(&bytes, &root).is_ok());
            let siblings = Proof::decode(&bytes).unwrap().siblings;
            assert!(siblings.len() > 16);
            assert_eq!(siblings.iter().flatten().count(), 1);
            assert!(bytes.len() < 16 + 8 + 9 + 2 + 32 + 32);
        }
        // A stranger who leaves their common path on the way meets nothing.
        let (bytes, root) = prove(kind, &map, b"elsewhere");
        assert_eq!(agreed(&bytes, &root).unwrap().value, None);
        assert_eq!(Proof::decode(&bytes).unwrap().terminal, Terminal::Empty);
    }
}

#[test]
fn a_sibling_is_marked_exactly_if_it_is_not_empty() {
    for kind in KINDS {
        let map = together(kind);
        let (bytes, root) = prove(kind, &map, map.keys().next().unwrap());
        let honest = Proof::decode(&bytes).unwrap();
        for depth in 0..honest.siblings.len() {
            let mut forged = honest.clone();
            let sibling = &mut forged.siblings[depth];
            let is_empty = sibling.is_none();
            *sibling = if is_empty { Some([0; 32]) } else { None };
            let error = agreed(&forged.encode(), &root).unwrap_err();
            assert_eq!(error == ProofError::NotCanonical, is_empty, "depth {depth}: {error}");
        }
    }
}
