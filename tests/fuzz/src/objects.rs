// SPDX-License-Identifier: MIT
//! Stored objects: what is accepted is what its fields encode to, and nothing reads more than it was given.

use cascow_core::blob::{self, Blob, BlobError, BlobId, BlobIndex, BlobReader};
use cascow_core::entry::{Entry, Note};
use cascow_core::frame::{self, Codec, Frame, FrameError};
use cascow_core::hash::{ContentHash, HashKind};
use cascow_core::manager::{DeltaObject, encode_delta};
use cascow_core::merkle::{ListRoot, StateRoot};
use cascow_core::record::{self, RecordError, SnapshotRecord};
use cascow_core::store::{MemoryStore, ObjectStore};

const KIND: HashKind = HashKind::Sha256;

/// A frame.
pub fn frame(data: &[u8]) {
    let Ok(frame) = Frame::parse(data) else { return };
    let payload = &data[frame::HEADER_LEN..];
    assert_eq!(frame::with_payload(frame.codec(), frame.raw_len(), payload).as_deref(), Ok(data));
    let nothing = ContentHash::from_bytes([0; 32]);
    match frame.open(KIND, &nothing) {
        Err(FrameError::Mismatch { found, .. }) => {
            let bytes = frame.open(KIND, &found).expect("it has the name that was found");
            assert_eq!((bytes.len() as u64, KIND.hash(&bytes)), (frame.raw_len(), found));
            let again = frame::encode(&bytes).expect("it was short enough");
            assert_eq!(Frame::parse(&again).unwrap().open(KIND, &found).as_ref(), Ok(&bytes));
        }
        Err(FrameError::Codec { .. }) => assert_eq!(frame.codec(), Codec::Zstd),
        Err(FrameError::Payload) => {}
        other => panic!("{other:?}"),
    }
}

/// An entry of a workspace, and a note.
pub fn entry(data: &[u8]) {
    if let Ok(entry) = Entry::decode(data) {
        assert_eq!(entry.encode(), data);
    }
    if let Ok(note) = Note::decode(data) {
        assert_eq!(note.encode(), data);
    }
}

/// The delta of a state that a manager put away, with and without its first eight bytes, which are seldom right by chance.
pub fn delta(data: &[u8]) {
    for data in [data, &[b"CCDL\x01\0\0\0", data].concat()] {
        if let Ok(delta) = DeltaObject::parse(data) {
            assert_eq!(encode_delta(delta.edits()).as_deref(), Some(data));
        }
    }
}

/// A snapshot's record; a listing, behind a number of entries; and a list of chunks that were not all there.
pub fn listing(data: &[u8]) {
    let store = MemoryStore::new(KIND);
    let name = store.put(data).expect("memory").hash;
    if let Ok(record) = record::read(&store, &name) {
        _ = record::read_state(&store, &record);
    }
    let Some(([entries, depth, len], bytes)) = data.split_first_chunk() else { return };
    read_listing(&store, bytes, u64::from(*entries));
    read_list(&store, bytes, *depth, u64::from(*len) << 8);
}

fn read_listing(store: &MemoryStore, bytes: &[u8], entries: u64) {
    let (listing, _) = blob::write(store, bytes).expect("memory");
    let root = StateRoot::from_bytes([0; 32]);
    let mut record = SnapshotRecord { parent: None, root, entries, listing };
    let Err(error) = record::read_state(store, &record) else { panic!("a root nobody has") };
    match error {
        RecordError::Root { found, .. } => record.root = found,
        RecordError::Entries { found, .. } if found < entries => {
            record.entries = found;
            return match record::read_state(store, &record) {
                Err(RecordError::Root { .. }) => {}
                other => panic!("{other:?}"),
            };
        }
        _ => return,
    }
    let state = record::read_state(store, &record).expect("it has the root that was found");
    let (again, _) = record::write_listing(store, &state).expect("it was short enough");
    assert_eq!(again, listing, "a state has one listing");
}

fn read_list(store: &MemoryStore, bytes: &[u8], depth: u8, len: u64) {
    // Names of chunks that are there, with the lengths that the bytes say.
    let mut list = Vec::new();
    for piece in bytes.chunks(64) {
        let name = store.put(piece).expect("memory").hash;
        list.extend_from_slice(name.as_bytes());
        list.extend_from_slice(&[piece[0], 0, 0, 0]);
    }
    let top = store.put(&list).expect("memory").hash;
    let id = BlobId::List { root: ListRoot::from_bytes([0; 32]), len };
    let blob = Blob { id, index: Some(BlobIndex { depth, top }) };
    let Ok(mut reader) = BlobReader::new(store, blob) else { return };
    loop {
        match reader.next_chunk() {
            Ok(Some(chunk)) => assert!(chunk.len() <= 64),
            Ok(None) => panic!("a root nobody has"),
            Err(BlobError::Store(_) | BlobError::Corrupt { .. }) => return,
            Err(error) => panic!("{error}"),
        }
    }
}
