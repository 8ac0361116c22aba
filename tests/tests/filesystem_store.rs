// SPDX-License-Identifier: MIT
//! The store of files keeps every store's promises, and those that are its own: names appear whole, and nothing is replaced.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use cascow_core::hash::{ContentHash, HashKind};
use cascow_core::store::{ObjectStore, StoreError};
use cascow_native::store::FilesystemStore;
use cascow_tests::store_conformance::conforms;
use tempfile::TempDir;

fn store() -> (TempDir, FilesystemStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = FilesystemStore::new(HashKind::Sha256, dir.path());
    (dir, store)
}

fn path(dir: &Path, hash: &ContentHash) -> PathBuf {
    let name = hash.to_string();
    dir.join(&name[..2]).join(&name[2..4]).join(name)
}

#[test]
fn the_store_of_files_conforms_with_either_hash_function() {
    for kind in [HashKind::Sha256, HashKind::Blake3] {
        let dir = tempfile::tempdir().unwrap();
        conforms(&FilesystemStore::new(kind, dir.path()));
    }
}

#[test]
fn an_object_that_is_there_is_never_replaced() {
    let (dir, store) = store();
    let hash = store.put(b"kept").unwrap().hash;
    let before = fs::metadata(path(dir.path(), &hash)).unwrap();
    assert_eq!(store.put(b"kept").unwrap().added, None);
    let after = fs::metadata(path(dir.path(), &hash)).unwrap();
    assert_eq!((before.dev(), before.ino()), (after.dev(), after.ino()));
    assert_eq!(after.mode() & 0o222, 0, "nobody is invited to write into an object");
}

/// As a loss of power may leave it that came before a sync.
#[test]
fn putting_a_damaged_object_again_mends_it() {
    let (dir, store) = store();
    let hash = store.put(b"what is acknowledged must be there").unwrap().hash;
    let path = path(dir.path(), &hash);
    for damaged in [&b""[..], b"CCOF", b"something else altogether"] {
        fs::remove_file(&path).unwrap();
        fs::write(&path, damaged).unwrap();
        assert!(matches!(store.get(&hash), Err(StoreError::Frame { .. })));
        assert_eq!(store.put(b"what is acknowledged must be there").unwrap().hash, hash);
        assert_eq!(store.get(&hash).unwrap(), b"what is acknowledged must be there");
    }
}

#[test]
fn a_pipe_in_an_objects_place_is_an_error_and_no_wait() {
    let (dir, store) = store();
    let hash = store.put(b"replaced by a pipe").unwrap().hash;
    let path = path(dir.path(), &hash);
    fs::remove_file(&path).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    assert!(matches!(store.get(&hash), Err(StoreError::Host(_))));
    assert!(matches!(store.put(b"replaced by a pipe"), Err(StoreError::Host(_))));
}

#[test]
fn a_dedup_hit_refreshes_the_objects_age() {
    let (dir, store) = store();
    let hash = store.put(b"old").unwrap().hash;
    let path = path(dir.path(), &hash);
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    File::open(&path).unwrap().set_modified(long_ago).unwrap();

    store.get(&hash).unwrap();
    assert!(store.exists(&hash).unwrap());
    assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), long_ago, "reading is no write");

    let before = SystemTime::now() - Duration::from_secs(60);
    store.put(b"old").unwrap();
    assert!(fs::metadata(&path).unwrap().modified().unwrap() > before);
}

#[test]
fn what_does_not_bear_a_hash_as_its_name_is_not_listed() {
    let (dir, store) = store();
    let hash = store.put(b"listed").unwrap().hash;
    let beside = path(dir.path(), &hash);
    for name in [".tmpA1b2C3", "notes.txt", &"0".repeat(63)] {
        fs::write(beside.with_file_name(name), b"a writer's").unwrap();
    }
    let mut listed = Vec::new();
    store
        .for_each(&mut |object| {
            listed.push(object.hash);
            Ok(())
        })
        .unwrap();
    assert_eq!(listed, [hash]);
}

#[test]
fn damage_is_told_with_the_objects_name_and_never_returned_as_bytes() {
    let (dir, store) = store();
    let object = b"some words ".repeat(100);
    let hash = store.put(&object).unwrap().hash;
    let path = path(dir.path(), &hash);
    let frame = fs::read(&path).unwrap();
    let is_refused = |bytes: &[u8]| {
        fs::remove_file(&path).unwrap();
        fs::write(&path, bytes).unwrap();
        match store.get(&hash) {
            Err(StoreError::Frame { hash: named, .. }) => {
                assert_eq!(named, hash);
                true
            }
            Err(error) => panic!("{error}"),
            Ok(bytes) => {
                assert!(bytes == object, "damage was returned as bytes");
                false
            }
        }
    };
    for len in 0..frame.len() {
        assert!(is_refused(&frame[..len]), "cut to {len} bytes");
    }
    assert!(is_refused(&[&frame[..], b"\0"].concat()), "a byte follows");
    assert!(is_refused(&[&frame[..], &frame[..]].concat()), "a frame follows");
    let harmless = (0..frame.len() * 8).filter(|bit| {
        let mut flipped = frame.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        !is_refused(&flipped)
    });
    // Deflate fills its last byte with bits that mean nothing.
    assert!(harmless.count() < 8);
}
