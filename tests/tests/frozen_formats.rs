// SPDX-License-Identifier: MIT
//! Formats hold: what version 1 wrote is read for ever, and written again to the same names.
//!
//! The bytes below `fixtures/v1` were written once and are never written again. Each repository holds the snapshot of one tree: a
//! directory, an empty one, files of no bytes, a few, and 40,000 (SHA-256 of a counter), a symbolic link, a pair of hard
//! links, a pipe, an attribute.

use std::fs;
use std::path::{Path, PathBuf};

use cascow_core::blob::{self, Blob};
use cascow_core::entry::EntryKind;
use cascow_core::hash::HashKind;
use cascow_core::merkle::{StateRoot, verify};
use cascow_core::record;
use cascow_core::store::{MemoryStore, ObjectStore};
use cascow_core::workspace;
use cascow_native::repository::Repository;

/// Hash function, snapshot, root.
const FROZEN: [(HashKind, &str, &str); 2] = [
    (
        HashKind::Sha256,
        "b2373bafae799525c0bcc111cf3ac3e002bcbca8efce480014e1283869180cc2",
        "017b5824e91259326bf6806f23ab0a72a803f424e611daa623154d1e5beeed13",
    ),
    (
        HashKind::Blake3,
        "aba5d51256d08920be68cf808df3a48b25086780e9b3a006f52faaba5cd952ec",
        "682ceff3397a6f39992f6c5e5edc521f0cc5de173b62b5d34609d931bb70bdbe",
    ),
];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/v1")
}

fn long_content() -> Vec<u8> {
    (0..1250_u32).flat_map(|n| *HashKind::Sha256.hash(&n.to_le_bytes()).as_bytes()).collect()
}

#[test]
fn a_repository_of_version_1_is_read() {
    for (kind, snapshot, root) in FROZEN {
        let repository = Repository::open(&fixtures().join(kind.name())).unwrap();
        assert_eq!(repository.store().hash_kind(), kind);
        assert_eq!(repository.resolve("frozen").unwrap().to_string(), snapshot);
        assert_eq!(repository.resolve(&snapshot[..6]).unwrap().to_string(), snapshot);

        let record = repository.record(&snapshot.parse().unwrap()).unwrap();
        assert_eq!((record.root.to_string().as_str(), record.entries), (root, 9));
        let state = record::read_state(repository.store(), &record).unwrap();
        let entries = workspace::entries(&state).unwrap();
        let paths: Vec<&str> =
            entries.iter().map(|entry| str::from_utf8(entry.path).unwrap()).collect();
        let expected = [
            "dir",
            "dir/empty",
            "dir/hello.txt",
            "dir/run-too.sh",
            "empty",
            "link",
            "long",
            "pipe",
            "run.sh",
        ];
        assert_eq!(paths, expected);
        assert_eq!(entries[1].entry.kind, EntryKind::Directory);
        assert_eq!(entries[2].entry.xattrs[0].name, b"user.note");
        assert_eq!(entries[2].note.mtime_nanos, 678_901_234);
        assert_eq!(entries[3].entry, entries[8].entry);
        assert_eq!(entries[3].entry.links.as_deref(), Some(&b"dir/run-too.sh"[..]));
        assert_eq!(entries[5].entry.kind, EntryKind::Symlink { target: b"dir/hello.txt".to_vec() });
        assert_eq!(entries[7].entry.kind, EntryKind::Fifo);

        let read = |at: usize| {
            let id = *entries[at].entry.content().unwrap();
            blob::read(repository.store(), &Blob { id, index: entries[at].note.index }, 1 << 20)
                .unwrap()
        };
        assert_eq!(read(2), b"hello\n");
        assert_eq!(read(4), b"");
        assert_eq!(read(6), long_content());
    }
}

#[test]
fn the_same_state_is_written_to_the_same_names() {
    for (kind, snapshot, _) in FROZEN {
        let repository = Repository::open(&fixtures().join(kind.name())).unwrap();
        let state = repository.state(&snapshot.parse().unwrap()).unwrap();
        let store = MemoryStore::new(kind);
        assert_eq!(record::write(&store, &state, None).unwrap().snapshot.to_string(), snapshot);
        let (long, _) = blob::write(&store, &long_content()).unwrap();
        let entry = workspace::decode(b"long", state.get(b"long").unwrap()).unwrap();
        assert_eq!(entry.entry.content(), Some(&long.id));
        assert_eq!(entry.note.index, long.index);
        // Every object of the frozen repository that the state needs was written again, under its name.
        store
            .for_each(&mut |info| {
                assert!(repository.store().exists(&info.hash)?, "{}", info.hash);
                Ok(())
            })
            .unwrap();
    }
}

#[test]
fn proofs_of_version_1_are_accepted_and_made_again() {
    for (kind, snapshot, root) in FROZEN {
        let root: StateRoot = root.parse().unwrap();
        let repository = Repository::open(&fixtures().join(kind.name())).unwrap();
        let state = repository.state(&snapshot.parse().unwrap()).unwrap();
        for (name, terminal) in [("empty", 0), ("present", 1), ("other", 2)] {
            let proof = fs::read(fixtures().join(format!("{}-{name}.proof", kind.name()))).unwrap();
            assert_eq!(proof[6], terminal, "{name}");
            let statement = verify(&proof, &root).unwrap();
            assert_eq!((statement.kind, statement.entries), (kind, 9));
            let value = state.get(statement.key).map(|value| &*value.bytes);
            assert_eq!(statement.value, value, "{name}");
            assert_eq!(value.is_some(), terminal == 1, "{name}");
            assert_eq!(state.trie(kind).prove(statement.key, value).unwrap(), proof, "{name}");
        }
    }
}
