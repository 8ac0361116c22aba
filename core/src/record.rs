// SPDX-License-Identifier: MIT
//! Snapshots as they are stored: a small record that names a state's listing, and the listing.
//!
//! A snapshot is named by the content hash of its record, so its name follows from its parent, its state and the notes kept
//! beside it, and from nothing else: no clock, no author.
//!
//! The record is an object:
//!
//! | offset | bytes | field |
//! |-------:|------:|-------|
//! | 0 | 4 | magic `CCSN` |
//! | 4 | 1 | version, 1 |
//! | 5 | 1 | hash function of the state root |
//! | 6 | 2 | flags that a reader must understand: none yet, zero |
//! | 8 | … | [`SnapshotRecord`] in canonical `postcard`, to the end |
//!
//! The listing is a blob (cut into content-defined chunks as any other, so two listings share what they have in common): for
//! each entry, strictly ascending by key, the lengths of key, value and note (u32 each, little-endian), then the three.
//! Reading it checks order and lengths as it goes, and at the end that the state has the root that the record says.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::blob::{Added, Blob, BlobError, BlobReader, BlobWriter};
use crate::hash::{ContentHash, HashKind};
use crate::merkle::{StateRoot, StateTrie, state};
use crate::snapshot::{State, Value};
use crate::store::{ObjectStore, StoreError};

const MAGIC: [u8; 4] = *b"CCSN";
const VERSION: u8 = 1;
const HEADER_LEN: usize = 8;

/// Bounds on what one entry of a listing may hold, in bytes: far above a path (4,095), a symbolic link's entry or a dozen of
/// the longest extended attributes (64 KiB each), and small enough to allocate on a stranger's word. Readers refuse more.
const MAX_KEY_LEN: u32 = 1 << 16;
const MAX_VALUE_LEN: u32 = 1 << 20;
const MAX_NOTE_LEN: u32 = 1 << 16;

/// Longest record, in bytes: three times what version 1 fills. It also tells a file's content from a record early.
const MAX_RECORD_LEN: u64 = 512;

/// A stored snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotRecord {
    /// The snapshot it came from.
    pub parent: Option<ContentHash>,
    /// The commitment to its state.
    pub root: StateRoot,
    /// Number of entries.
    pub entries: u64,
    /// Where the listing of its state is.
    pub listing: Blob,
}

/// Why a snapshot could not be written or read.
#[derive(Debug)]
#[non_exhaustive]
pub enum RecordError {
    /// The store failed, or the record or a part of the listing is missing or damaged.
    Blob(BlobError),
    /// The object is not a snapshot's record.
    NotASnapshot {
        /// The object.
        snapshot: ContentHash,
    },
    /// The record is of a version, or has flags or a hash function, that this build does not read.
    Unsupported {
        /// The object.
        snapshot: ContentHash,
    },
    /// The listing is malformed: cut off, out of order, or with a length out of bounds.
    Listing {
        /// Entries read before.
        after: u64,
    },
    /// The listing has another number of entries than the record says.
    Entries {
        /// What the record says.
        expected: u64,
        /// Entries found when that was clear.
        found: u64,
    },
    /// The listing's state is not the one that the record commits to.
    Root {
        /// What the record says.
        expected: StateRoot,
        /// What the listing gives.
        found: StateRoot,
    },
    /// An entry is longer than a listing can hold.
    TooLong {
        /// Its key.
        key: Box<[u8]>,
    },
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blob(error) => error.fmt(f),
            Self::NotASnapshot { snapshot } => write!(f, "object {snapshot} is not a snapshot"),
            Self::Unsupported { snapshot } => {
                write!(
                    f,
                    "snapshot {snapshot} is of a version or kind that this build does not read"
                )
            }
            Self::Listing { after } => {
                write!(f, "snapshot's listing is malformed after entry {after}")
            }
            Self::Entries { expected, found } => {
                write!(f, "snapshot's listing has {found} entries, its record says {expected}")
            }
            Self::Root { expected, found } => {
                write!(f, "snapshot's state has root {found}, its record says {expected}")
            }
            Self::TooLong { key } => {
                write!(f, "entry {} is too long to be stored", key.escape_ascii())
            }
        }
    }
}

impl core::error::Error for RecordError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Blob(error) => Some(error),
            _ => None,
        }
    }
}

impl From<StoreError> for RecordError {
    fn from(error: StoreError) -> Self {
        Self::Blob(BlobError::Store(error))
    }
}

impl From<BlobError> for RecordError {
    fn from(error: BlobError) -> Self {
        Self::Blob(error)
    }
}

/// A snapshot that was just stored.
#[derive(Clone, Debug)]
pub struct Written {
    /// Its name.
    pub snapshot: ContentHash,
    /// Its record.
    pub record: SnapshotRecord,
    /// What storing it added, listing and record.
    pub added: Added,
}

/// Stores a state as a snapshot. O(n) hashes; adds what no earlier listing has.
///
/// # Errors
/// [`RecordError::TooLong`], or whatever the store's `put` reports.
pub fn write<S: ObjectStore + ?Sized>(
    store: &S,
    state: &State,
    parent: Option<ContentHash>,
) -> Result<Written, RecordError> {
    let listing = write_listing(store, state)?;
    write_record(store, state, state.root(store.hash_kind()), listing, parent)
}

/// Stores a state's listing: half of [`write()`], for a host that computes the root meanwhile. O(n) hashes.
///
/// # Errors
/// As [`write()`].
pub fn write_listing<S: ObjectStore + ?Sized>(
    store: &S,
    state: &State,
) -> Result<(Blob, Added), RecordError> {
    let mut listing = BlobWriter::new(store);
    for (key, value) in state.iter() {
        let parts =
            [(key, MAX_KEY_LEN), (&value.bytes, MAX_VALUE_LEN), (&value.note, MAX_NOTE_LEN)];
        for (part, limit) in parts {
            let len = u32::try_from(part.len()).ok().filter(|len| *len <= limit);
            listing.write(
                &len.ok_or_else(|| RecordError::TooLong { key: key.into() })?.to_le_bytes(),
            )?;
        }
        for (part, _) in parts {
            listing.write(part)?;
        }
    }
    Ok(listing.finish()?)
}

/// Stores the record of a state whose root and listing are known: the other half. A root that is not the state's makes a snapshot
/// that nobody can read.
///
/// # Errors
/// Whatever the store's `put` reports.
pub fn write_record<S: ObjectStore + ?Sized>(
    store: &S,
    state: &State,
    root: StateRoot,
    (listing, mut added): (Blob, Added),
    parent: Option<ContentHash>,
) -> Result<Written, RecordError> {
    let record = SnapshotRecord { parent, root, entries: state.len() as u64, listing };
    let put = store.put(&encode(store.hash_kind(), &record))?;
    if let Some(bytes) = put.added {
        added += Added { objects: 1, bytes };
    }
    Ok(Written { snapshot: put.hash, record, added })
}

/// Reads a snapshot's record.
///
/// # Errors
/// [`RecordError::NotASnapshot`], [`RecordError::Unsupported`], or whatever the store's `get` reports.
pub fn read<S: ObjectStore + ?Sized>(
    store: &S,
    snapshot: &ContentHash,
) -> Result<SnapshotRecord, RecordError> {
    let snapshot = *snapshot;
    let bytes = store.get_within(&snapshot, MAX_RECORD_LEN)?;
    let Some(([m0, m1, m2, m3, version, kind, f0, f1], body)) =
        bytes.split_first_chunk::<HEADER_LEN>()
    else {
        return Err(RecordError::NotASnapshot { snapshot });
    };
    if [*m0, *m1, *m2, *m3] != MAGIC {
        return Err(RecordError::NotASnapshot { snapshot });
    }
    if *version != VERSION || *kind != store.hash_kind().id() || [*f0, *f1] != [0, 0] {
        return Err(RecordError::Unsupported { snapshot });
    }
    let record = postcard::from_bytes(body).map_err(|_| RecordError::NotASnapshot { snapshot })?;
    // Postcard reads padded integers and ignores what follows; a record has one encoding.
    if encode(store.hash_kind(), &record) == bytes {
        Ok(record)
    } else {
        Err(RecordError::NotASnapshot { snapshot })
    }
}

/// Reads a snapshot's whole state and checks that it has the recorded root. O(n) hashes.
///
/// # Errors
/// [`RecordError::Listing`], [`RecordError::Entries`], [`RecordError::Root`], or whatever reading the listing reports.
pub fn read_state<S: ObjectStore + ?Sized>(
    store: &S,
    record: &SnapshotRecord,
) -> Result<State, RecordError> {
    let mut state = State::new();
    each_entry(store, record, |key, value| state.write(key, value))?;
    match_root(record, state.root(store.hash_kind()))?;
    Ok(state)
}

/// Checks that [`read_state`] would succeed, in less memory: some hundred bytes an entry, however long the entries are. O(n) hashes.
///
/// # Errors
/// As [`read_state`].
pub fn check_state<S: ObjectStore + ?Sized>(
    store: &S,
    record: &SnapshotRecord,
) -> Result<(), RecordError> {
    let kind = store.hash_kind();
    let mut digests = Vec::new();
    each_entry(store, record, |key, value| {
        digests.push((state::key_digest(kind, &key), state::value_digest(kind, &value.bytes)));
    })?;
    match_root(record, StateTrie::of_digests(kind, digests).root())
}

fn match_root(record: &SnapshotRecord, found: StateRoot) -> Result<(), RecordError> {
    match found == record.root {
        true => Ok(()),
        false => Err(RecordError::Root { expected: record.root, found }),
    }
}

/// Shows the entries of a snapshot's listing, whose keys ascend and which are as many as its record says.
fn each_entry<S: ObjectStore + ?Sized>(
    store: &S,
    record: &SnapshotRecord,
    mut show: impl FnMut(Box<[u8]>, Value),
) -> Result<(), RecordError> {
    let mut listing =
        Listing { chunks: BlobReader::new(store, record.listing)?, bytes: Vec::new(), used: 0 };
    let mut found = 0;
    // One buffer for all keys, since this is what every reading of a state goes through.
    let mut last = Vec::new();
    while let Some((key, value)) = listing.next(found)? {
        if found > 0 && *last >= *key {
            return Err(RecordError::Listing { after: found });
        }
        last.clear();
        last.extend_from_slice(&key);
        show(key, value);
        found += 1;
        if found > record.entries {
            break;
        }
    }
    match found == record.entries {
        true => Ok(()),
        false => Err(RecordError::Entries { expected: record.entries, found }),
    }
}

fn encode(kind: HashKind, record: &SnapshotRecord) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&[VERSION, kind.id(), 0, 0]);
    // UNWRAP: postcard fails on sequences of unknown length and on full buffers; there is neither here.
    postcard::to_extend(record, bytes).expect("a record encodes")
}

/// Bytes before each entry of a listing: the lengths of key, value and note.
pub(crate) const LENGTHS_LEN: usize = 12;

/// The lengths of an entry's key, value and note; `None` if one is out of bounds.
pub(crate) fn entry_lens(bytes: &[u8; LENGTHS_LEN]) -> Option<[usize; 3]> {
    let (fields, _) = bytes.as_chunks::<4>();
    let mut lens = [0; 3];
    let limits = [MAX_KEY_LEN, MAX_VALUE_LEN, MAX_NOTE_LEN];
    for ((len, field), limit) in lens.iter_mut().zip(fields).zip(limits) {
        let found = u32::from_le_bytes(*field);
        *len = usize::try_from(found).ok().filter(|_| found <= limit)?;
    }
    Some(lens)
}

type KeyValue = (Box<[u8]>, Value);

/// A listing, read entry by entry.
struct Listing<'s, S: ?Sized> {
    chunks: BlobReader<'s, S>,
    bytes: Vec<u8>,
    used: usize,
}

impl<S: ObjectStore + ?Sized> Listing<'_, S> {
    fn next(&mut self, after: u64) -> Result<Option<KeyValue>, RecordError> {
        let malformed = || RecordError::Listing { after };
        if !self.fill(LENGTHS_LEN)? {
            return if self.bytes.len() == self.used { Ok(None) } else { Err(malformed()) };
        }
        let lens = self.take(LENGTHS_LEN).first_chunk().and_then(entry_lens);
        let lens = lens.ok_or_else(malformed)?;
        if !self.fill(lens.iter().sum())? {
            return Err(malformed());
        }
        let [key, bytes, note] = lens.map(|len| self.take(len).into());
        Ok(Some((key, Value { bytes, note })))
    }

    /// Reads until `len` bytes are at hand; false if the listing ends before.
    fn fill(&mut self, len: usize) -> Result<bool, RecordError> {
        while self.bytes.len() - self.used < len {
            let Some(chunk) = self.chunks.next_chunk()? else { return Ok(false) };
            self.bytes.drain(..self.used);
            self.used = 0;
            self.bytes.extend_from_slice(&chunk);
        }
        Ok(true)
    }

    /// The next bytes, which [`Listing::fill`] has brought.
    fn take(&mut self, len: usize) -> &[u8] {
        self.used += len;
        &self.bytes[self.used - len..self.used]
    }
}
