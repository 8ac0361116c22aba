// SPDX-License-Identifier: MIT
//! Logs against the `ct-merkle` crate, against the definitions of RFC 9162 written down word by word, and against the known
//! answers of the certificate-transparency project; and what is altered is refused.
#![cfg(all(feature = "alloc", feature = "sha256", feature = "blake3"))]

#[allow(dead_code, reason = "each test uses what it needs of the second implementation")]
mod naive;
#[allow(dead_code, reason = "this test has other verifiers to compare with")]
#[path = "naive/log.rs"]
mod naive_log;

use cascow_core::hash::HashKind;
use cascow_core::merkle::log::{LogEntry, LogTree, TreeHead, verify_consistency, verify_inclusion};
use cascow_core::merkle::{LogRoot, ProofError, ProveError};
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use naive::{Digest, KINDS};
use naive_log::{consistency, inclusion, mth, path, subproof};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use sha2::Sha256;

const KIND: HashKind = HashKind::Sha256;

/// Bytes before the path: of a proof of inclusion, without its leaf; of a proof of consistency.
const INCLUSION_HEADER: usize = 26;
const CONSISTENCY_HEADER: usize = 22;

fn leaves(count: u64) -> Vec<Vec<u8>> {
    (0..count).map(|n| format!("leaf {n}").into_bytes()).collect()
}

fn log<L: AsRef<[u8]>>(kind: HashKind, leaves: &[L]) -> LogTree {
    let mut log = LogTree::new(kind);
    log.extend(leaves);
    log
}

fn head(size: u64, root: Digest) -> TreeHead {
    TreeHead { size, root: LogRoot::from_bytes(root) }
}

fn digest(hex: &str) -> Digest {
    *hex.parse::<LogRoot>().unwrap().as_bytes()
}

/// Compares all about one size with the oracle: the root, the path of the leaf at `index`, the proof from size `old`.
fn compare_with_ct_merkle(leaves: &[Vec<u8>], index: u64, old: u64) {
    let size = leaves.len() as u64;
    let ours = log(KIND, leaves);
    let mut theirs = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    leaves.iter().for_each(|leaf| theirs.push(leaf.clone()));
    assert_eq!(ours.head().root.as_bytes()[..], theirs.root().as_bytes()[..], "{size} leaves");

    let leaf = &leaves[usize::try_from(index).unwrap()];
    let proof = ours.prove_inclusion(index, leaf, size).unwrap();
    let at = usize::try_from(index).unwrap();
    assert_eq!(
        proof[INCLUSION_HEADER + leaf.len()..],
        *theirs.prove_inclusion(at).as_bytes(),
        "leaf {index} of {size}"
    );
    let entry = LogEntry { kind: KIND, index, leaf };
    assert_eq!(verify_inclusion(&proof, &ours.head()), Ok(entry));

    if old == 0 || old == size {
        return;
    }
    let proof = ours.prove_consistency(old, size).unwrap();
    let added = usize::try_from(size - old).unwrap();
    assert_eq!(
        proof[CONSISTENCY_HEADER..],
        *theirs.prove_consistency(added).as_bytes(),
        "from {old} to {size}"
    );
    let before = log(KIND, &leaves[..usize::try_from(old).unwrap()]).head();
    assert_eq!(verify_consistency(&proof, &before, &ours.head()), Ok(()));
}

#[test]
fn all_proofs_of_all_small_logs_are_those_of_ct_merkle() {
    for size in 1..=130 {
        let leaves = leaves(size);
        for index in 0..size {
            compare_with_ct_merkle(&leaves, index, index);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn proofs_of_larger_logs_are_those_of_ct_merkle(size in 131..5_000u64, at in any::<Index>(), old in any::<Index>()) {
        let size_index = usize::try_from(size).unwrap();
        compare_with_ct_merkle(&leaves(size), at.index(size_index) as u64, old.index(size_index) as u64);
    }
}

#[test]
fn all_proofs_of_small_logs_are_those_of_the_rfc() {
    for kind in KINDS {
        for size in 0..=40u64 {
            let leaves = leaves(size);
            let log = log(kind, &leaves);
            let now = log.head();
            assert_eq!(now, head(size, mth(kind, &leaves)), "{size} leaves");
            for (index, leaf) in (0..).zip(&leaves) {
                let at = usize::try_from(index).unwrap();
                let proof = log.prove_inclusion(index, leaf, size).unwrap();
                let expected = inclusion(kind, index, size, leaf, &path(kind, at, &leaves));
                assert_eq!(proof, expected, "leaf {index} of {size}");
                assert_eq!(verify_inclusion(&proof, &now), Ok(LogEntry { kind, index, leaf }));
            }
            for old in 1..size {
                let first = usize::try_from(old).unwrap();
                let proof = log.prove_consistency(old, size).unwrap();
                let expected = consistency(kind, old, size, &subproof(kind, first, &leaves, true));
                assert_eq!(proof, expected, "from {old} to {size}");
                let before = head(old, mth(kind, &leaves[..first]));
                assert_eq!(verify_consistency(&proof, &before, &now), Ok(()));
            }
        }
    }
}

/// The leaves, roots and proofs by which implementations of certificate transparency are checked.
#[test]
fn the_known_answers_of_certificate_transparency_are_ours() {
    let leaves: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    let roots = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    for (size, root) in roots.iter().enumerate() {
        assert_eq!(log(KIND, &leaves[..size]).head(), head(size as u64, digest(root)));
    }

    let [l0, l1, l4] = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ];
    let [n01, n23, n45, n67] = [
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
    ];
    let [n03, n47] = [
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ];
    let head_at = |size: u64| head(size, digest(roots[usize::try_from(size).unwrap()]));
    let log = log(KIND, &leaves);
    let inclusions: [(u64, u64, &[&str]); 5] = [
        (0, 1, &[]),
        (0, 8, &[l1, n23, n47]),
        (5, 8, &[l4, n67, n03]),
        (2, 3, &[n01]),
        (1, 5, &[l0, n23, l4]),
    ];
    for (index, size, path) in inclusions {
        let leaf = leaves[usize::try_from(index).unwrap()];
        let path: Vec<Digest> = path.iter().map(|hex| digest(hex)).collect();
        let proof = inclusion(KIND, index, size, leaf, &path);
        assert_eq!(verify_inclusion(&proof, &head_at(size)).unwrap().index, index);
        assert_eq!(log.prove_inclusion(index, leaf, size), Ok(proof));
    }
    let consistencies: [(u64, u64, &[&str]); 3] =
        [(1, 8, &[l1, n23, n47]), (6, 8, &[n45, n67, n03]), (2, 5, &[n23, l4])];
    for (old, new, path) in consistencies {
        let path: Vec<Digest> = path.iter().map(|hex| digest(hex)).collect();
        let proof = consistency(KIND, old, new, &path);
        assert_eq!(verify_consistency(&proof, &head_at(old), &head_at(new)), Ok(()));
        assert_eq!(log.prove_consistency(old, new), Ok(proof));
    }
}

#[test]
fn what_the_log_does_not_hold_is_not_proved() {
    let leaves = leaves(5);
    let log = log(KIND, &leaves);
    assert_eq!(log.prove_inclusion(1, &leaves[2], 5), Err(ProveError::Value));
    assert_eq!(log.prove_inclusion(1, b"", 5), Err(ProveError::Value));
    for (index, size) in
        [(0, 0), (5, 5), (3, 3), (0, 6), (0, u64::MAX), (u64::MAX, 5), (u64::MAX, u64::MAX)]
    {
        assert_eq!(log.prove_inclusion(index, &leaves[0], size), Err(ProveError::Size));
    }
    for (old, new) in
        [(0, 0), (0, 5), (5, 5), (4, 3), (1, 6), (u64::MAX, 5), (1, u64::MAX), (u64::MAX, u64::MAX)]
    {
        assert_eq!(log.prove_consistency(old, new), Err(ProveError::Size), "{old} {new}");
    }
}

/// Two proofs about a log, and the heads that they are verified with.
struct Sample {
    inclusion: Vec<u8>,
    consistency: Vec<u8>,
    old: TreeHead,
    new: TreeHead,
}

fn samples(kind: HashKind) -> Vec<Sample> {
    [(0, 1, 2), (2, 3, 5), (3, 4, 8), (6, 6, 7), (9, 4, 13)]
        .map(|(index, old, size)| {
            let leaves = leaves(size);
            let log = log(kind, &leaves);
            let leaf = &leaves[usize::try_from(index).unwrap()];
            Sample {
                inclusion: log.prove_inclusion(index, leaf, size).unwrap(),
                consistency: log.prove_consistency(old, size).unwrap(),
                old: head(old, mth(kind, &leaves[..usize::try_from(old).unwrap()])),
                new: log.head(),
            }
        })
        .into()
}

#[test]
fn no_proof_with_a_flipped_bit_is_accepted() {
    for kind in KINDS {
        for Sample { inclusion, consistency, old, new } in samples(kind) {
            for bit in 0..inclusion.len() * 8 {
                let mut altered = inclusion.clone();
                altered[bit / 8] ^= 1 << (bit % 8);
                assert!(verify_inclusion(&altered, &new).is_err(), "bit {bit}");
            }
            for bit in 0..consistency.len() * 8 {
                let mut altered = consistency.clone();
                altered[bit / 8] ^= 1 << (bit % 8);
                assert!(verify_consistency(&altered, &old, &new).is_err(), "bit {bit}");
            }
            for bit in 0..256 {
                let flip = |head: &TreeHead| {
                    let mut root = *head.root.as_bytes();
                    root[bit / 8] ^= 1 << (bit % 8);
                    TreeHead { size: head.size, root: LogRoot::from_bytes(root) }
                };
                assert!(verify_inclusion(&inclusion, &flip(&new)).is_err());
                assert!(verify_consistency(&consistency, &flip(&old), &new).is_err());
                assert!(verify_consistency(&consistency, &old, &flip(&new)).is_err());
            }
        }
    }
}

#[test]
fn no_proof_cut_short_or_made_longer_is_accepted() {
    for kind in KINDS {
        for Sample { inclusion, consistency, old, new } in samples(kind) {
            for len in 0..inclusion.len() {
                let error = verify_inclusion(&inclusion[..len], &new).unwrap_err();
                assert_eq!(error, ProofError::Truncated);
            }
            for len in 0..consistency.len() {
                let error = verify_consistency(&consistency[..len], &old, &new).unwrap_err();
                assert_eq!(error, ProofError::Truncated);
            }
            for tail in [&[0][..], &[0; 32], &[7; 64]] {
                let expected = ProofError::Trailing { bytes: tail.len() };
                let longer = [&inclusion, tail].concat();
                assert_eq!(verify_inclusion(&longer, &new), Err(expected));
                let longer = [&consistency, tail].concat();
                assert_eq!(verify_consistency(&longer, &old, &new), Err(expected));
            }
        }
    }
}

#[test]
fn siblings_that_changed_places_are_not_accepted() {
    let leaves = leaves(13);
    let log = log(KIND, &leaves);
    let now = log.head();
    for index in 0..13u64 {
        let at = usize::try_from(index).unwrap();
        let honest = path(KIND, at, &leaves);
        for (one, other) in
            (0..honest.len()).flat_map(|one| (0..one).map(move |other| (one, other)))
        {
            let mut swapped = honest.clone();
            swapped.swap(one, other);
            let proof = inclusion(KIND, index, 13, &leaves[at], &swapped);
            assert!(matches!(verify_inclusion(&proof, &now), Err(ProofError::Root { .. })));
        }
        // The path of another leaf, and another leaf on the path.
        for other in (0..13).filter(|other| *other != at) {
            let path = path(KIND, other, &leaves);
            assert!(
                verify_inclusion(&inclusion(KIND, index, 13, &leaves[at], &path), &now).is_err()
            );
            let proof = inclusion(KIND, index, 13, &leaves[other], &honest);
            assert!(matches!(verify_inclusion(&proof, &now), Err(ProofError::Root { .. })));
        }
    }
    for old in 1..13u64 {
        let first = usize::try_from(old).unwrap();
        let before = head(old, mth(KIND, &leaves[..first]));
        let honest = subproof(KIND, first, &leaves, true);
        for (one, other) in
            (0..honest.len()).flat_map(|one| (0..one).map(move |other| (one, other)))
        {
            let mut swapped = honest.clone();
            swapped.swap(one, other);
            let proof = consistency(KIND, old, 13, &swapped);
            assert!(matches!(
                verify_consistency(&proof, &before, &now),
                Err(ProofError::Root { .. })
            ));
        }
    }
}

/// Numbers that lie, alone and together with a head that lies the same: the RFC's roots do not commit the size, so a head
/// is trusted as a whole, and what is left for the verifier is not to be led astray.
#[test]
fn sizes_that_lie_are_refused() {
    let leaves = leaves(13);
    let log = log(KIND, &leaves);
    let now = log.head();
    let numbers = [0, 1, 2, 3, 7, 8, 11, 12, 13, 14, 16, 1 << 32, 1 << 63, u64::MAX - 1, u64::MAX];
    for (index, size) in numbers.into_iter().flat_map(|one| numbers.map(|other| (one, other))) {
        let path = path(KIND, 11, &leaves);
        let proof = inclusion(KIND, index, size, &leaves[11], &path);
        let accepted = verify_inclusion(&proof, &now);
        match accepted {
            Ok(_) => assert_eq!((index, size), (11, 13)),
            Err(error) if index >= size => assert_eq!(error, ProofError::NotCanonical),
            Err(ProofError::Size { expected, found }) => assert_eq!((expected, found), (13, size)),
            Err(_) => {}
        }
        // A head that lies too: an answer, whatever it is, and no panic.
        _ = verify_inclusion(&proof, &TreeHead { size, root: now.root });

        let before = head(11, mth(KIND, &leaves[..11]));
        let proof = consistency(KIND, index, size, &subproof(KIND, 11, &leaves, true));
        match verify_consistency(&proof, &before, &now) {
            Ok(()) => assert_eq!((index, size), (11, 13)),
            Err(error) if index == 0 || index >= size => {
                assert_eq!(error, ProofError::NotCanonical);
            }
            Err(ProofError::Size { expected, found }) => {
                assert!((expected, found) == (11, index) || (expected, found) == (13, size));
            }
            Err(_) => {}
        }
        let lying = [index, size].map(|size| TreeHead { size, root: now.root });
        _ = verify_consistency(&proof, &lying[0], &lying[1]);
    }
}

/// As deep as the format goes: made by climbing, since no such log can be built.
#[test]
fn logs_as_long_as_can_be_are_verified() {
    for index in [0, 1, u64::MAX / 2, u64::MAX - 1] {
        let siblings = [[7; 32]; 64];
        let error = |path: &[Digest]| {
            let proof = inclusion(KIND, index, u64::MAX, b"leaf", path);
            verify_inclusion(&proof, &head(u64::MAX, [0; 32])).unwrap_err()
        };
        let len = (0..=64).find(|len| !matches!(error(&siblings[..*len]), ProofError::Truncated));
        let len = len.unwrap();
        let ProofError::Root { found, .. } = error(&siblings[..len]) else { panic!("{len}") };
        let proof = inclusion(KIND, index, u64::MAX, b"leaf", &siblings[..len]);
        let now = TreeHead { size: u64::MAX, root: found };
        assert_eq!(verify_inclusion(&proof, &now).unwrap().index, index);
        if len < 64 {
            assert_eq!(error(&siblings[..=len]), ProofError::Trailing { bytes: 32 });
        }
    }
}

#[test]
fn each_field_that_no_proof_holds_has_its_error() {
    let leaves = leaves(5);
    let log = log(KIND, &leaves);
    let now = log.head();
    let before = head(3, mth(KIND, &leaves[..3]));
    let inclusion = log.prove_inclusion(1, &leaves[1], 5).unwrap();
    let consistency = log.prove_consistency(3, 5).unwrap();
    let with = |at: usize, bytes: &[u8]| {
        let alter = |proof: &[u8]| {
            let mut altered = proof.to_vec();
            altered[at..at + bytes.len()].copy_from_slice(bytes);
            altered
        };
        let errors = (
            verify_inclusion(&alter(&inclusion), &now).unwrap_err(),
            verify_consistency(&alter(&consistency), &before, &now).unwrap_err(),
        );
        assert_eq!(errors.0, errors.1);
        errors.0
    };
    assert_eq!(with(0, b"CCSP"), ProofError::Magic);
    assert_eq!(with(4, &[0]), ProofError::Version { found: 0 });
    assert_eq!(with(5, &[9]), ProofError::HashKind { found: 9 });
    assert_eq!(with(6, &u64::MAX.to_le_bytes()), ProofError::NotCanonical);
    assert_eq!(verify_inclusion(&consistency, &now), Err(ProofError::Magic));
    assert_eq!(verify_consistency(&inclusion, &before, &now), Err(ProofError::Magic));
    let mut longer = inclusion;
    longer[22..26].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(verify_inclusion(&longer, &now), Err(ProofError::Truncated));
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_no_proof_and_no_panic(
        start in prop::sample::select(vec![&b""[..], b"CCLI", b"CCLI\x01\x01", b"CCLC\x01\x02", b"CCLC\x01\x01"]),
        rest in vec(any::<u8>(), 0..300),
        heads in any::<[(u64, Digest); 2]>(),
    ) {
        let bytes = [start, &rest].concat();
        let [old, new] = heads.map(|(size, root)| head(size, root));
        prop_assert!(verify_inclusion(&bytes, &old).is_err());
        prop_assert!(verify_consistency(&bytes, &old, &new).is_err());
    }

    /// Whatever the sizes and digests, what is accepted says what it was read from.
    #[test]
    fn what_is_accepted_encodes_to_the_same_bytes(
        index in any::<u64>(),
        size in prop_oneof![1..20u64, any::<u64>()],
        leaf in vec(any::<u8>(), 0..50),
        path in vec(any::<Digest>(), 0..70),
    ) {
        let index = index % size;
        let proof = inclusion(KIND, index, size, &leaf, &path);
        let accepted = match verify_inclusion(&proof, &head(size, [0; 32])) {
            Err(ProofError::Root { found, .. }) => TreeHead { size, root: found },
            Err(ProofError::Truncated | ProofError::Trailing { .. }) => return Ok(()),
            other => panic!("{other:?}"),
        };
        let entry = verify_inclusion(&proof, &accepted).unwrap();
        prop_assert_eq!(inclusion(entry.kind, entry.index, size, entry.leaf, &path), proof);
    }
}
