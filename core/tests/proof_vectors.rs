// SPDX-License-Identifier: MIT
//! The frozen vectors of proofs: the crate says of each what it said when they were written, no attack is accepted, and no kind
//! of proof lacks one.
//!
//! The other readers of the same files are the verifier in Python, the firmware and the fuzz targets.
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
mod vectors;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

fn file(name: &str) -> String {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/proofs");
    fs::read_to_string(dir.join(name)).unwrap()
}

/// Not a byte of the files changes, lest somebody else's verifier be held against something else.
#[test]
fn the_files_are_frozen() {
    for (file_name, name) in [
        ("vectors.json", "2e0e23c49ff087a0b3d0df8bd948ab38f8580ca26092a3172fb613478b252f42"),
        ("million.json", "4e8b2dab081b7a2528956b5f54166863fd4c1c1dcce2dcb3cb4feec0c07fc8aa"),
    ] {
        assert_eq!(vectors::name(file(file_name).as_bytes()).to_string(), name, "{file_name}");
    }
}

/// So the verdicts in the files are this build's, and what made the files can be read to understand them.
#[test]
fn what_is_frozen_is_what_the_naive_implementation_makes_and_the_crate_says_of_it() {
    let made = vectors::document(None, &vectors::all());
    for (line, (made, frozen)) in made.lines().zip(file("vectors.json").lines()).enumerate() {
        assert_eq!(made, frozen, "line {}", line + 1);
    }
    assert_eq!(made, file("vectors.json"));
}

#[test]
fn both_implementations_refuse_every_attack_and_accept_every_honest_proof() {
    for vector in vectors::all() {
        let is_honest = vector.attack.is_empty();
        assert_eq!(vector.verdict().is_ok(), is_honest, "{}: {}", vector.attack, vector.what);
        // Chunks that arrive are no matter of the naive implementation.
        if vector.attack != "wrong chunk" {
            assert_eq!(vector.naive_verdict(), is_honest, "{}: {}", vector.attack, vector.what);
        }
    }
}

#[test]
fn every_kind_of_proof_is_attacked_in_every_way_that_it_can_be() {
    let document: Value = serde_json::from_str(&file("vectors.json")).unwrap();
    let there: BTreeSet<[&str; 3]> = document["vectors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|vector| ["about", "hash", "attack"].map(|field| vector[field].as_str().unwrap()))
        .collect();
    let any =
        ["", "truncated", "trailing bytes", "flipped bit", "hash confusion", "version confusion"];
    let state = [
        "second preimage",
        "absence by a shorter path",
        "swapped siblings",
        "reused sibling",
        "left out",
        "foreign key",
        "non-canonical",
        "counts that lie",
        "wrong root",
    ];
    let multi = [
        "second preimage",
        "absence by a shorter path",
        "reused sibling",
        "left out",
        "duplicated leaf",
        "wrong index",
        "foreign key",
        "non-canonical",
        "counts that lie",
    ];
    let range = [
        "second preimage",
        "swapped siblings",
        "reused sibling",
        "left out",
        "duplicated leaf",
        "wrong index",
        "wrong range",
        "wrong chunk",
        "non-canonical",
        "counts that lie",
    ];
    let inclusion = [
        "second preimage",
        "swapped siblings",
        "reused sibling",
        "left out",
        "duplicated leaf",
        "wrong index",
        "wrong size",
        "foreign key",
        "counts that lie",
    ];
    let consistency = [
        "second preimage",
        "swapped siblings",
        "reused sibling",
        "left out",
        "duplicated leaf",
        "wrong index",
        "wrong size",
        "wrong root",
        "non-canonical",
    ];
    let kinds: [(&str, &[&str]); 5] = [
        ("state", &state),
        ("multi", &multi),
        ("range", &range),
        ("inclusion", &inclusion),
        ("consistency", &consistency),
    ];
    for (about, attacks) in kinds {
        for hash in ["sha256", "blake3"] {
            for attack in any.iter().chain(attacks) {
                assert!(there.contains(&[about, hash, attack]), "{about}, {hash}: {attack}");
            }
        }
    }
}

/// Of 2^20 entries: 720 bytes for a key, and 100 keys in at most 72 % of what they take one by one.
#[test]
fn proofs_of_a_large_state_are_small() {
    let (figures, made) = vectors::million();
    assert_eq!(vectors::document(Some(&figures), &made), file("million.json"));
    for vector in made {
        assert!(vector.verdict().is_ok());
    }
    let figure = |name: &str| figures[name].as_u64().unwrap();
    assert!(figure("median_bytes") <= 720);
    assert!(figure("multi_proof_bytes") * 100 <= figure("single_proofs_bytes") * 72);
}
