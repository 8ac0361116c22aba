// SPDX-License-Identifier: MIT
//! The frozen repositories of version 1, read from frame to root and written again, in builds of either hash function or both.
#![cfg(feature = "alloc")]

use std::fs;
use std::path::{Path, PathBuf};

use cascow_core::bundle::{self, Decoder, Part};
use cascow_core::frame::Frame;
use cascow_core::hash::{ContentHash, HashKind};
use cascow_core::merkle::verify;
use cascow_core::record;
use cascow_core::store::{MemoryStore, ObjectStore};

/// Hash function, snapshot, root.
const FROZEN: [(u8, &str, &str); 2] = [
    (
        1,
        "b2373bafae799525c0bcc111cf3ac3e002bcbca8efce480014e1283869180cc2",
        "017b5824e91259326bf6806f23ab0a72a803f424e611daa623154d1e5beeed13",
    ),
    (
        2,
        "aba5d51256d08920be68cf808df3a48b25086780e9b3a006f52faaba5cd952ec",
        "682ceff3397a6f39992f6c5e5edc521f0cc5de173b62b5d34609d931bb70bdbe",
    ),
];

/// See [`FROZEN_BUNDLES`].
type FrozenBundle = (u8, &'static str, u64, [&'static str; 2], [&'static str; 2]);

/// A bundle, its objects, the snapshot that it was made of, and the one that this comes from, with their roots.
const FROZEN_BUNDLES: [FrozenBundle; 4] = [
    (
        1,
        "sha256",
        12,
        [
            "aa0664700df4c5c428e448d0ca23051570051c9f4a3ff65573336ca32e67a4a2",
            "c851203f09ac0635e253ada0ad9e076f2de4a38b11a5f8d9abda6bbd7270ac87",
        ],
        [
            "994708094ddc33a817721b9cff7958d31738458a144e71f93ea6ce62b784a4ec",
            "8444c77fc390cf9f5463dcef2adfbd824615eb123bae19b94a77633317fa7aaf",
        ],
    ),
    (
        1,
        "sha256-small",
        7,
        [
            "4a1cdec537c907b743ed3c8e973083e5eccdf300d747f8705d311258c3c8522b",
            "e9762628aa18976afbc401b86567f6f45479c47994e0da92b7983aad28f2aa5a",
        ],
        [
            "0c4e91ebfba136c19691df06991db484ea941a87a81ce2f857ffb38a07e69c45",
            "39f20240c13e9cac1c6096b3543f1af945b158ca6dd2ce3a47aa6a980afa458d",
        ],
    ),
    (
        2,
        "blake3",
        12,
        [
            "04ebbe9a77c788319e9a531e04ccea95d2320f70b4e4d81d505a213e315a5fa9",
            "de5beee9dae3d3cea71e510f9740f0019a7acc8215bd4464506372a17ea1264e",
        ],
        [
            "a30110d0e5e78799721a5f776b06da39060d03a4f7af6710c97e3da03bf50bc5",
            "b51dfe8c43552030c5663b02f1fa210ca6037e96278db93ee2938fd55eafb2ad",
        ],
    ),
    (
        2,
        "blake3-small",
        7,
        [
            "f7a63d3ccb9935d11d1735184e77f5b7901105f2f000b59a1aaf2146333e72e5",
            "dbe4b941287790a1f4aec531cb7e7f380fc372f7ca42d1ff4e0ad826817edec1",
        ],
        [
            "88283531444806cfe86746d5674d44754199c61443ea3638f90276edc1c5c1d6",
            "fbcbc11175d4a2999325a500f0db61cbda0156eae53d23d2e779e82a37cf420f",
        ],
    ),
];

/// The files below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// A store with the objects of a frozen repository, each named by its file.
fn store(kind: HashKind) -> MemoryStore {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/v1");
    let store = MemoryStore::new(kind);
    for path in files(&fixtures.join(kind.name()).join("objects")) {
        let name: ContentHash = path.file_name().unwrap().to_str().unwrap().parse().unwrap();
        let frame = fs::read(path).unwrap();
        let bytes = Frame::parse(&frame).unwrap().open(kind, &name).unwrap();
        assert_eq!(store.put(&bytes).unwrap().hash, name);
    }
    store
}

#[test]
fn what_version_1_wrote_is_read_proved_and_written_again_by_each_hash_function_alone() {
    let mut read = Vec::new();
    for (id, snapshot, root) in FROZEN {
        let Ok(kind) = HashKind::from_id(id) else { continue };
        let store = store(kind);
        let record = record::read(&store, &snapshot.parse().unwrap()).unwrap();
        assert_eq!((record.root.to_string().as_str(), record.entries), (root, 9));
        let state = record::read_state(&store, &record).unwrap();
        let trie = state.trie(kind);
        assert_eq!(trie.root(), record.root);
        for (key, value) in state.iter() {
            let proof = trie.prove(key, Some(&value.bytes)).unwrap();
            assert_eq!(verify(&proof, &record.root).unwrap().value, Some(&*value.bytes));
        }
        let again = record::write(&MemoryStore::new(kind), &state, None).unwrap();
        assert_eq!(again.snapshot.to_string(), snapshot);
        read.push(kind.name());
    }
    // Were a hash function lost, nothing would be read, and nothing found wrong.
    assert_eq!(read.contains(&"sha256"), cfg!(feature = "sha256"));
    assert_eq!(read.contains(&"blake3"), cfg!(feature = "blake3"));
}

/// The objects of a bundle, in their order.
fn objects(bundle: &[u8]) -> Vec<Vec<u8>> {
    let (mut decoder, mut objects, mut rest) = (Decoder::new(), Vec::new(), bundle);
    while let Some(part) = decoder.next(&mut rest).unwrap() {
        if let Part::Object(bytes) = part {
            objects.push(bytes);
        }
    }
    objects
}

#[test]
fn bundles_of_version_1_are_read_found_whole_and_written_again() {
    for (id, file, count, snapshots, roots) in FROZEN_BUNDLES {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/v1");
        let bytes = fs::read(fixtures.join(format!("{file}.bundle"))).unwrap();
        let (mut decoder, mut rest) = (Decoder::new(), &bytes[..]);
        let Ok(kind) = HashKind::from_id(id) else {
            let unknown = bundle::BundleError::HashKind { found: id };
            assert_eq!(decoder.next(&mut rest), Err(unknown));
            continue;
        };
        let snapshots = snapshots.map(|name| name.parse::<ContentHash>().unwrap());
        let store = MemoryStore::new(kind);
        while let Some(part) = decoder.next(&mut rest).unwrap() {
            match part {
                Part::Heads { kind: found, heads } => {
                    assert_eq!((found, &heads[..]), (kind, &snapshots[..1]));
                }
                Part::Object(bytes) => assert!(store.put(&bytes).unwrap().added.is_some()),
                Part::End { objects, len } => {
                    assert_eq!((objects, len), (count, bytes.len() as u64));
                }
            }
        }
        decoder.finish().unwrap();
        let looked = &mut |name: &ContentHash| {
            assert!(store.exists(name)?, "{name}");
            Ok(())
        };
        let whole = bundle::check(&store, &snapshots[..1], &mut |_| false, looked).unwrap();
        assert_eq!(whole, [snapshots[1], snapshots[0]]);
        for (snapshot, root) in snapshots.iter().zip(roots) {
            assert_eq!(record::read(&store, snapshot).unwrap().root.to_string(), root);
        }
        // The same objects in the same order; how they are compressed is nobody's promise.
        let (mut seen, mut again) = (Vec::new(), Vec::new());
        let mut first = |name: &ContentHash| {
            let is_first = !seen.contains(name);
            seen.push(*name);
            Ok(is_first)
        };
        let mut sink = |bytes: &[u8]| {
            again.extend_from_slice(bytes);
            Ok(())
        };
        bundle::export(&store, &snapshots[..1], &mut first, &mut sink).unwrap();
        assert_eq!(objects(&again), objects(&bytes), "{file}");
    }
}
