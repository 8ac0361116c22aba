// SPDX-License-Identifier: MIT
//! The root of a state against a naive second implementation, against its history, and against fixed vectors.
#![cfg(all(feature = "alloc", feature = "sha256", feature = "blake3"))]

#[allow(dead_code, reason = "each test uses what it needs of the second implementation")]
mod naive;

use cascow_core::hash::HashKind;
use cascow_core::merkle::StateTrie;
use cascow_core::snapshot::State;
use naive::{KINDS, Map};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::Index;

fn state(map: &Map) -> State {
    map.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn assert_roots_agree(map: &Map, what: &str) {
    for kind in KINDS {
        let ours = state(map).root(kind);
        assert_eq!(*ours.as_bytes(), naive::root(kind, map), "{what}, {}", kind.name());
    }
}

/// Bytes that could be confused: empty, prefixes of each other, tags of preimages, whole digests and pairs of them.
fn tricky_bytes() -> impl Strategy<Value = Vec<u8>> {
    let tags = || prop::sample::select(vec![0x00, 0x01, 0x10, 0x11, 0x12, 0x13, 0x14, 0xff]);
    prop_oneof![
        vec(tags(), 0..4),
        vec(any::<u8>(), 0..40),
        (tags(), vec(tags(), 64)).prop_map(|(tag, rest)| [&[tag], &rest[..]].concat()),
        any::<u8>().prop_map(|byte| naive::key_digest(HashKind::Sha256, &[byte]).to_vec()),
    ]
}

fn maps() -> impl Strategy<Value = Map> {
    btree_map(tricky_bytes(), tricky_bytes(), 0..200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_root_is_the_naive_root(map in maps()) {
        assert_roots_agree(&map, "random");
    }

    #[test]
    fn the_root_forgets_the_history(
        map in maps(),
        detour in vec((tricky_bytes(), tricky_bytes()), 0..50),
        order in any::<u64>(),
    ) {
        // Every entry, in an order of its own, after writing and removing what does not belong.
        let mut entries: Vec<_> = map.iter().collect();
        entries.sort_by_key(|(key, _)| naive::hash(HashKind::Blake3, &[&order.to_le_bytes(), key]));
        let mut wandered = State::new();
        for (key, value) in &detour {
            wandered.write(key.clone(), value.clone());
        }
        for (key, value) in &entries {
            wandered.write((*key).clone(), (*value).clone());
        }
        for (key, _) in detour.iter().filter(|(key, _)| !map.contains_key(key)) {
            wandered.remove(key);
        }
        for (key, value) in entries.iter().take(5) {
            wandered.remove(key);
            wandered.write((*key).clone(), (*value).clone());
        }
        for kind in KINDS {
            prop_assert_eq!(wandered.root(kind), state(&map).root(kind));
        }
    }

    #[test]
    fn any_single_change_changes_the_root(
        map in maps(),
        at in any::<Index>(),
        bit in any::<Index>(),
        extra in (tricky_bytes(), tricky_bytes()),
    ) {
        prop_assume!(!map.is_empty());
        let (key, value) = map.iter().nth(at.index(map.len())).unwrap();
        let flipped = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            if bytes.is_empty() {
                bytes.push(0);
            } else {
                let bit = bit.index(bytes.len() * 8);
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            bytes
        };
        let mut changed: Vec<Map> = Vec::new();
        let mut removed = map.clone();
        removed.remove(key);
        let with = |map: &Map, key: &[u8], value: &[u8]| {
            let mut map = map.clone();
            map.insert(key.to_vec(), value.to_vec());
            map
        };
        changed.push(with(&map, key, &flipped(value)));
        changed.push(with(&map, key, &[value, &[0][..]].concat()));
        changed.push(with(&removed, &flipped(key), value));
        changed.push(with(&removed, &[key, &[0][..]].concat(), value));
        changed.push(with(&map, &extra.0, &extra.1));
        changed.push(removed);
        for kind in KINDS {
            let root = state(&map).root(kind);
            for other in changed.iter().filter(|other| **other != map) {
                prop_assert_ne!(state(other).root(kind), root);
            }
        }
    }
}

#[test]
fn values_that_change_places_change_the_root() {
    let map = |a: &str, b: &str| Map::from([(b"a".into(), a.into()), (b"b".into(), b.into())]);
    for kind in KINDS {
        assert_ne!(state(&map("1", "2")).root(kind), state(&map("2", "1")).root(kind));
    }
}

#[test]
fn notes_do_not_change_the_root() {
    let mut value = cascow_core::snapshot::Value::from(*b"value");
    let plain: State = [(*b"key", value.clone())].into_iter().collect();
    value.note = (*b"kept beside it").into();
    let noted: State = [(*b"key", value)].into_iter().collect();
    for kind in KINDS {
        assert_eq!(plain.root(kind), noted.root(kind));
    }
}

#[test]
fn the_two_hash_functions_give_different_roots() {
    for map in [Map::new(), Map::from([(b"key".into(), b"value".into())])] {
        assert_ne!(
            state(&map).root(HashKind::Sha256).as_bytes(),
            state(&map).root(HashKind::Blake3).as_bytes()
        );
    }
}

/// Keys whose digests begin with the same 16 bits: above them stands a chain of nodes with one empty half.
#[test]
fn keys_that_go_together_for_long_have_the_naive_root() {
    for kind in KINDS {
        let prefix = |key: &[u8]| naive::key_digest(kind, key)[..2].to_vec();
        let keys = (0u32..).map(u32::to_le_bytes).filter(|key| prefix(key) == prefix(b"together"));
        let mut map: Map = keys.take(24).map(|key| (key.to_vec(), b"value".to_vec())).collect();
        assert_roots_agree(&map, "24 keys with one prefix");
        map.insert(b"elsewhere".into(), b"value".into());
        assert_roots_agree(&map, "24 keys with one prefix and one without");
        while map.len() > 1 {
            map.pop_last();
            assert_roots_agree(&map, "fewer keys with one prefix");
        }
    }
}

#[test]
#[should_panic(expected = "keys must be distinct")]
fn a_key_that_occurs_twice_is_the_callers_mistake() {
    let entries = [(&b"key"[..], &b"one"[..]), (b"other", b"value"), (b"key", b"two")];
    StateTrie::new(HashKind::Sha256, entries);
}

/// Entries `0 → 0`, `1 → 1`, `2 → 4`, and so on, in decimal digits.
fn squares(count: u32) -> Map {
    (0..count).map(|n| (n.to_string().into(), (n * n).to_string().into())).collect()
}

/// Fixed for ever: a change here is a change of the format.
#[test]
fn the_roots_are_the_published_vectors() {
    let vectors = [
        (0, HashKind::Sha256, "bd4a67558c5eba700bfbb89f8075e1492b566e96a4b9504b38e9bf07a1f452da"),
        (0, HashKind::Blake3, "7ab65a0c42fd4173f2ea25eb1a3077b3660eeb70b114c1664c10a7656f44ea26"),
        (1, HashKind::Sha256, "73ad603bfb6180e403c619e338551c86d049865a478baff3d46e767a83557abe"),
        (1, HashKind::Blake3, "cf416cd4d0791ca0304853c62397dacc88bad1cd06d543e4e6cf7420ea8f9b3b"),
        (2, HashKind::Sha256, "e1eadb56e0da1dba386b194b3626c11a7bc61c200d4b5bf000725edaca5b0414"),
        (2, HashKind::Blake3, "538bb67ce75be20ef150b7d42260432aa7ec4fc7df7f7ca6af945a482fc9f8ba"),
        (
            1000,
            HashKind::Sha256,
            "cf6482729d1081abd2e5d0d2e6c09dd3243f008d9c4f85fe5b684a1eba9c197b",
        ),
        (
            1000,
            HashKind::Blake3,
            "a3db86a70f30ef3719e3465517a82e64e8b28ebaeab31c7ca9f20e19d4e759fa",
        ),
    ];
    for (entries, kind, expected) in vectors {
        let map = squares(entries);
        let root = state(&map).root(kind);
        assert_eq!(root.to_string(), expected, "{entries} entries, {}", kind.name());
        assert_eq!(naive::root(kind, &map), *root.as_bytes());
    }
}
