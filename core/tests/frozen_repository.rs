// SPDX-License-Identifier: MIT
//! The frozen repositories of version 1, read from frame to root and written again, in builds of either hash function or both.
#![cfg(feature = "alloc")]

use std::fs;
use std::path::{Path, PathBuf};

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
