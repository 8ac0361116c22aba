// SPDX-License-Identifier: MIT
//! Every input up to a bound, not a sample: no verifier panics or overflows, and each agrees with the naive implementation.
//!
//! What is compared, and how, is that of the fuzz targets, which look beyond the bounds. These tests are built with overflow
//! checks.
#![cfg(all(feature = "alloc", feature = "sha256", feature = "blake3"))]

#[allow(dead_code, reason = "each test uses what it needs of the second implementation")]
mod naive;
#[allow(dead_code, reason = "as `naive`")]
#[path = "naive/log.rs"]
mod naive_log;
#[allow(dead_code, reason = "as `naive`")]
#[path = "naive/multi.rs"]
mod naive_multi;
#[allow(dead_code, reason = "as `naive`")]
#[path = "naive/range.rs"]
mod naive_range;
#[allow(dead_code, reason = "as `naive`")]
#[path = "naive/single.rs"]
mod naive_single;
#[allow(unreachable_pub, reason = "it is the fuzz crate's face")]
#[path = "../../tests/fuzz/src/proofs.rs"]
mod proofs;

use cascow_core::hash::HashKind;
use naive::Digest;
use naive_log::{Consistency, Inclusion};
use naive_multi::{End, MultiProof, Record};
use naive_single::{Proof, Terminal};

const KIND: HashKind = HashKind::Sha256;

/// What looks at the bytes of a kind of proof.
type Compare = fn(&[u8]);

const TARGETS: [(&[u8; 4], Compare); 5] = [
    (b"CCSP", proofs::state),
    (b"CCMP", proofs::multi),
    (b"CCBR", range),
    (b"CCLI", proofs::inclusion),
    (b"CCLC", proofs::consistency),
];

/// A proof of a range that some bytes may be.
fn range(proof: &[u8]) {
    proofs::range(&[&10u64.to_le_bytes()[..], &12u64.to_le_bytes(), proof].concat());
}

#[test]
fn every_input_of_two_bytes_and_every_two_bytes_after_a_header_are_read() {
    for (magic, compare) in TARGETS {
        for header in [vec![], [&magic[..], &[1, 1]].concat(), [&magic[..], &[1, 2]].concat()] {
            compare(&header);
            for one in 0..=u8::MAX {
                compare(&[&header[..], &[one]].concat());
                for two in 0..=u8::MAX {
                    compare(&[&header[..], &[one, two]].concat());
                }
            }
        }
    }
}

/// The least proofs that have every field, by their magic.
fn small() -> Vec<(Compare, Vec<u8>)> {
    let state = Proof {
        kind: KIND,
        entries: 2,
        key: b"a".into(),
        terminal: Terminal::Present(b"1".into()),
        siblings: vec![Some([7; 32])],
    };
    let mut absent = Proof { terminal: Terminal::Other([0x50; 32], [3; 32]), ..state.clone() };
    absent.siblings = vec![None];
    let record = |key: &[u8], end, path| Record { key: key.to_vec(), end, path };
    let multi = MultiProof {
        kind: KIND,
        entries: 3,
        records: vec![
            record(b"a", End::Own(b"1".into()), Some(vec![Some([7; 32])])),
            record(b"b", End::Own(b"2".into()), Some(vec![None])),
        ],
    };
    let range_proof = naive_range::Proof {
        kind: KIND,
        offset: 9,
        left: vec![([7; 32], 0)],
        chunks: vec![([8; 32], 5, 1)],
        right: vec![([9; 32], 1)],
    };
    let inclusion =
        Inclusion { kind: KIND, index: 1, size: 2, leaf: b"x".into(), path: vec![[7; 32]] };
    let consistency = Consistency { kind: KIND, old: 3, new: 4, path: vec![[7; 32]; 3] };
    vec![
        (proofs::state, state.encode()),
        (proofs::state, absent.encode()),
        (proofs::multi, multi.encode()),
        (range, range_proof.encode()),
        (proofs::inclusion, inclusion.encode()),
        (proofs::consistency, consistency.encode()),
    ]
}

#[test]
fn the_small_proofs_are_proofs() {
    for (compare, proof) in small() {
        compare(&proof);
    }
    let accepted = |root: Option<Digest>| assert!(root.is_some());
    for (at, (_, proof)) in small().into_iter().enumerate() {
        match at {
            0 | 1 => accepted(Proof::decode(&proof).unwrap().root()),
            2 => accepted(MultiProof::decode(&proof).unwrap().root()),
            3 => accepted(naive_range::Proof::decode(&proof).unwrap().root()),
            4 => accepted(Inclusion::decode(&proof).unwrap().root()),
            _ => assert!(Consistency::decode(&proof).unwrap().roots(&[0; 32]).is_some()),
        }
    }
}

/// Every byte with every value; every two bytes with every two of the values at which numbers turn.
#[test]
fn small_proofs_with_any_byte_altered_and_with_any_two_are_read() {
    const TURNS: [u8; 6] = [0, 1, 2, 0x7f, 0x80, 0xff];
    for (compare, proof) in small() {
        let mut altered = proof.clone();
        for one in 0..proof.len() {
            for value in 0..=u8::MAX {
                altered[one] = value;
                compare(&altered);
            }
            for value in TURNS {
                altered[one] = value;
                for two in 0..one {
                    for value in TURNS {
                        altered[two] = value;
                        compare(&altered);
                    }
                    altered[two] = proof[two];
                }
            }
            altered[one] = proof[one];
        }
    }
}

/// Marks of every pattern up to nine levels, at every end, and nothing and every number of levels beyond.
#[test]
fn every_path_of_nine_levels_is_read_at_every_end() {
    let key = naive::key_digest(KIND, b"a");
    let mut near = key;
    near[1] ^= 1; // parts at the last bit of the second byte
    let ends = [
        Terminal::Empty,
        Terminal::Present(b"1".into()),
        Terminal::Other(near, [3; 32]),
        Terminal::Other(key, [3; 32]),
    ];
    for terminal in ends {
        for levels in 0..=9usize {
            for marks in 0..1u32 << levels {
                let siblings = (0..levels).map(|at| (marks >> at & 1 == 1).then_some([7; 32]));
                let siblings = siblings.collect();
                let (key, terminal) = (b"a".to_vec(), terminal.clone());
                proofs::state(&Proof { kind: KIND, entries: 9, key, terminal, siblings }.encode());
            }
        }
        for levels in 10..300 {
            let (key, terminal) = (b"a".to_vec(), terminal.clone());
            let siblings = vec![Some([7; 32]); levels];
            proofs::state(&Proof { kind: KIND, entries: 9, key, terminal, siblings }.encode());
        }
    }
}

/// Three keys in order, each with every end, joined or with every path of two levels.
#[test]
fn every_proof_of_three_keys_with_short_paths_is_read() {
    let mut keys: Vec<Vec<u8>> = (0..6u8).map(|n| vec![n]).collect();
    keys.sort_by_cached_key(|key| naive::key_digest(KIND, key));
    let other = naive::key_digest(KIND, b"other");
    let ends = [End::Nothing, End::Own(vec![1]), End::Other(other, [3; 32]), End::Neighbours];
    let mut choices: Vec<(End, Option<Vec<Option<Digest>>>)> = Vec::new();
    for end in ends {
        let again = if let End::Other(..) = end { End::OtherAgain } else { end.clone() };
        choices.push((again, None));
        for levels in 0..=2usize {
            for marks in 0..1u32 << levels {
                let path =
                    (0..levels).map(|at| (marks >> at & 1 == 1).then_some([7; 32])).collect();
                choices.push((end.clone(), Some(path)));
            }
        }
    }
    for first in 0..3 {
        for count in 1..=3u32 {
            for number in 0..choices.len().pow(count) {
                let mut rest = number;
                let mut record = |at: usize| {
                    let (end, path) = choices[rest % choices.len()].clone();
                    rest /= choices.len();
                    Record { key: keys[first + at].clone(), end, path }
                };
                let records = (0..usize::try_from(count).unwrap()).map(&mut record).collect();
                proofs::multi(&MultiProof { kind: KIND, entries: 3, records }.encode());
            }
            if first > 0 && count == 2 {
                break; // three keys once: the rest differs in where they part
            }
        }
    }
}

/// Two subtrees on each side and three chunks at most, each with up to two joins.
#[test]
fn every_small_tree_of_a_range_is_read() {
    for (left, chunks, right) in (0..27).map(|n| (n % 3, n / 3 % 3 + 1, n / 9)) {
        let ends = left + chunks + right;
        for number in 0..3u32.pow(ends) {
            let joins = |at: u32| u8::try_from(number / 3u32.pow(at) % 3).unwrap();
            let bare = |at: u32| ([7; 32], joins(at));
            let proof = naive_range::Proof {
                kind: KIND,
                offset: 9,
                left: (0..left).map(bare).collect(),
                chunks: (left..left + chunks).map(|at| ([8; 32], 5, joins(at))).collect(),
                right: (left + chunks..ends).map(bare).collect(),
            };
            range(&proof.encode());
        }
    }
}

/// Sizes up to 17 with every index and old size, and those at which numbers of 64 bits turn, each with every length of path.
#[test]
fn every_shape_of_a_log_is_read() {
    let turns = |n: u32| [(1u64 << n) - 1, 1 << n, (1 << n) + 1];
    let sizes: Vec<u64> = (0..=17)
        .chain([31, 32, 63].into_iter().flat_map(turns))
        .chain([u64::MAX - 1, u64::MAX])
        .collect();
    let leaf = b"leaf".to_vec();
    for size in &sizes {
        for index in &sizes {
            for len in (0..8).chain([31, 32, 33, 62, 63, 64, 65]) {
                let path = vec![[7; 32]; len];
                let (index, size) = (*index, *size);
                let proof =
                    Inclusion { kind: KIND, index, size, leaf: leaf.clone(), path: path.clone() };
                proofs::inclusion(&proof.encode());
                proofs::consistency(
                    &Consistency { kind: KIND, old: index, new: size, path }.encode(),
                );
            }
        }
    }
}
