// SPDX-License-Identifier: MIT
//! What every build does, down to one hash function without an allocator: known hashes, and the frozen proofs of version 1
//! verified, whole and damaged.

use cascow_core::hash::{ContentHash, HashKind, HexError, UnknownHashKind, UnknownHashName};
use cascow_core::merkle::list::ListHasher;
use cascow_core::merkle::{ProofError, StateRoot, verify};

/// A hash function's number and name, its digests of `abc` (FIPS 180-4's first example; the `b3sum` program's) and of nothing,
/// the root of the frozen state, and the frozen proofs about it with the kind of terminal that each ends at.
struct Known {
    id: u8,
    name: &'static str,
    abc: &'static str,
    nothing: &'static str,
    root: &'static str,
    proofs: [(u8, &'static [u8]); 3],
}

macro_rules! frozen_proofs {
    ($name:literal) => {
        [
            (0, include_bytes!(concat!("../../tests/fixtures/v1/", $name, "-empty.proof"))),
            (1, include_bytes!(concat!("../../tests/fixtures/v1/", $name, "-present.proof"))),
            (2, include_bytes!(concat!("../../tests/fixtures/v1/", $name, "-other.proof"))),
        ]
    };
}

const KNOWN: [Known; 2] = [
    Known {
        id: 1,
        name: "sha256",
        abc: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        nothing: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        root: "017b5824e91259326bf6806f23ab0a72a803f424e611daa623154d1e5beeed13",
        proofs: frozen_proofs!("sha256"),
    },
    Known {
        id: 2,
        name: "blake3",
        abc: "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85",
        nothing: "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
        root: "682ceff3397a6f39992f6c5e5edc521f0cc5de173b62b5d34609d931bb70bdbe",
        proofs: frozen_proofs!("blake3"),
    },
];

/// The hash functions of this build, and those left out.
fn known() -> (Vec<(HashKind, Known)>, Vec<Known>) {
    let (mut present, mut absent) = (Vec::new(), Vec::new());
    for known in KNOWN {
        match HashKind::from_id(known.id) {
            Ok(kind) => present.push((kind, known)),
            Err(UnknownHashKind { id }) => {
                assert_eq!(id, known.id);
                absent.push(known);
            }
        }
    }
    (present, absent)
}

fn root(known: &Known) -> StateRoot {
    known.root.parse().unwrap()
}

#[test]
fn a_build_has_exactly_the_hash_functions_of_its_features() {
    let (present, absent) = known();
    let names: Vec<&str> = present.iter().map(|(kind, _)| kind.name()).collect();
    let mut expected = Vec::new();
    if cfg!(feature = "sha256") {
        expected.push("sha256");
    }
    if cfg!(feature = "blake3") {
        expected.push("blake3");
    }
    assert_eq!(names, expected);
    for known in absent {
        assert_eq!(known.name.parse::<HashKind>(), Err(UnknownHashName));
    }
}

#[test]
fn published_inputs_have_their_published_hashes_at_once_and_streamed() {
    for (kind, known) in known().0 {
        assert_eq!((kind.name(), known.name.parse()), (known.name, Ok(kind)));
        assert_eq!(kind.hash(b"abc").to_string(), known.abc);
        assert_eq!(kind.hash(b"").to_string(), known.nothing);
        let mut hasher = kind.hasher();
        b"abc".iter().for_each(|byte| hasher.update(&[*byte]));
        assert_eq!(hasher.finish().to_string(), known.abc);
        assert_eq!(ListHasher::new(kind).root().to_string(), known.nothing, "an empty list");
    }
}

#[test]
fn a_name_is_64_digits_and_nothing_else() {
    let digits = KNOWN[0].abc;
    assert_eq!(digits.parse::<ContentHash>().unwrap().to_string(), digits);
    assert_eq!(digits[1..].parse::<ContentHash>(), Err(HexError::Length { found: 63 }));
    let spoiled = digits.replacen('b', "x", 1);
    assert_eq!(spoiled.parse::<ContentHash>(), Err(HexError::Digit { position: 0 }));
}

#[test]
fn proofs_of_version_1_are_accepted_for_their_root_and_no_other() {
    for (kind, known) in known().0 {
        let root = root(&known);
        for (terminal, proof) in known.proofs {
            let statement = verify(proof, &root).unwrap();
            assert_eq!((statement.kind, statement.entries), (kind, 9));
            assert_eq!(statement.value.is_some(), terminal == 1);
            let expected = StateRoot::from_bytes([7; 32]);
            let error = ProofError::Root { expected, found: root };
            assert_eq!(verify(proof, &expected), Err(error));
        }
    }
}

#[test]
fn a_proof_by_a_hash_function_left_out_is_refused_by_its_number() {
    for known in known().1 {
        for (_, proof) in known.proofs {
            let error = ProofError::HashKind { found: known.id };
            assert_eq!(verify(proof, &root(&known)), Err(error));
        }
    }
}

#[test]
fn a_frozen_proof_damaged_in_any_bit_cut_short_or_made_longer_is_refused() {
    for (_, known) in known().0 {
        let root = root(&known);
        for (_, proof) in known.proofs {
            let mut altered = proof.to_vec();
            for bit in 0..proof.len() * 8 {
                altered[bit / 8] ^= 1 << (bit % 8);
                assert!(verify(&altered, &root).is_err(), "{}, bit {bit}", known.name);
                altered[bit / 8] ^= 1 << (bit % 8);
            }
            for len in 0..proof.len() {
                assert_eq!(verify(&proof[..len], &root), Err(ProofError::Truncated));
            }
            altered.push(0);
            assert_eq!(verify(&altered, &root), Err(ProofError::Trailing { bytes: 1 }));
        }
    }
}
