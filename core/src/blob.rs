// SPDX-License-Identifier: MIT
//! Blobs: values of any length, cut into chunks and kept in a store.
//!
//! A value that is one chunk is named by that chunk's content hash; a longer one by the root of the Merkle list over its chunks
//! ([`crate::merkle::list`]). A [`BlobId`] always says which kind it is. Writing and reading stream with bounded memory: some
//! KiB a level.
//!
//! The list of a long value's chunks is itself a sequence of bytes, 36 a chunk (name 32 ‖ length u32, little-endian), and is
//! stored as any other: cut into content-defined chunks, their list cut again, until a list is one chunk. That top chunk and
//! the number of lists above the value make the [`BlobIndex`]. So a change of one byte stores one or two chunks a level, whatever
//! the value's length. The index says where the chunks are; the [`BlobId`] says which they must be: a reader checks every
//! chunk's name and, at the end, the list root and length.

use alloc::vec::Vec;
use core::fmt;
use core::mem;
use core::ops::Range;

use serde::{Deserialize, Serialize};

use crate::chunk::ChunkSizes;
use crate::executor::Executor;
use crate::hash::{ContentHash, HASH_LEN};
use crate::merkle::ListRoot;
use crate::merkle::list::ListHasher;
use crate::merkle::range::RangeProver;
use crate::store::{ObjectStore, Put, StoreError};

/// Lists above a value, at most: at least 56 chunks' names fit in a chunk of 2 KiB, so eight levels hold more than 2^46 chunks.
/// Readers refuse more.
pub(crate) const MAX_DEPTH: u8 = 8;

/// A chunk's name and length, as lists hold it.
pub(crate) const RECORD_LEN: usize = HASH_LEN + 4;

/// Chunks that are given to the store together: enough for it to name several at once nearly all the time.
const BATCH: usize = 16;

/// Bytes of a value that are gathered before they are cut, so that batches are full on average.
const GATHERED_LEN: usize = BATCH * ChunkSizes::FORMAT.avg();

/// What a value is: committed by state roots, equal for equal bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum BlobId {
    /// One chunk, or no bytes at all.
    Chunk {
        /// The chunk's name: the hash of the value's bytes.
        hash: ContentHash,
        /// Its length in bytes.
        len: u32,
    },
    /// Two chunks or more.
    List {
        /// The Merkle list root over the chunks.
        root: ListRoot,
        /// The value's length in bytes.
        len: u64,
    },
}

impl BlobId {
    /// The value's length in bytes.
    pub const fn len(&self) -> u64 {
        match self {
            Self::Chunk { len, .. } => *len as u64,
            Self::List { len, .. } => *len,
        }
    }

    /// Whether the value has no bytes.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The content hash of a short value, the list root of a long one, in hex.
impl fmt::Display for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chunk { hash, .. } => hash.fmt(f),
            Self::List { root, .. } => root.fmt(f),
        }
    }
}

/// Where a long value's list of chunks is stored. Follows from the bytes, but is not committed by roots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobIndex {
    /// How many lists stand above the value: 1 if the list of its chunks is one chunk itself.
    pub depth: u8,
    /// The one chunk of the topmost list.
    pub top: ContentHash,
}

/// A stored value: what it is, and where its list is if it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blob {
    /// What the value is.
    pub id: BlobId,
    /// Where its list is; `None` for a single chunk.
    pub index: Option<BlobIndex>,
}

/// Why a blob could not be written or read.
#[derive(Debug)]
#[non_exhaustive]
pub enum BlobError {
    /// The store failed, or holds a chunk missing or damaged.
    Store(StoreError),
    /// The chunks are there, but do not make up the value.
    Corrupt {
        /// The value.
        id: BlobId,
        /// What is wrong with it.
        problem: BlobProblem,
    },
    /// The range has no bytes, or not all of them are the value's.
    Range {
        /// The first byte asked for.
        start: u64,
        /// The byte behind the last.
        end: u64,
        /// The value's length in bytes.
        len: u64,
    },
    /// The value is one chunk: it is its own proof, by its name.
    OneChunk {
        /// The chunk.
        hash: ContentHash,
    },
    /// The range touches more chunks than a proof can count, 2^32 - 1.
    TooLong,
}

/// What is wrong with a blob whose chunks are whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BlobProblem {
    /// A long value without a list, a short one with one, or more levels than there can be.
    Index,
    /// A list that ends within a record, or names a chunk of no bytes, of too many, or of too few with another behind it.
    List,
    /// A chunk has another length than its list says.
    ChunkLen,
    /// The chunks together have another length than the value.
    Len {
        /// The value's length in bytes.
        expected: u64,
        /// Bytes found when that was clear.
        found: u64,
    },
    /// The chunks lead to another list root.
    Root {
        /// The root found.
        found: ListRoot,
    },
}

impl fmt::Display for BlobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Corrupt { id, problem } => {
                write!(f, "value {id} damaged: ")?;
                match problem {
                    BlobProblem::Index => f.write_str("it has no usable list of chunks"),
                    BlobProblem::List => f.write_str("its list of chunks is malformed"),
                    BlobProblem::ChunkLen => {
                        f.write_str("a chunk has another length than its list says")
                    }
                    BlobProblem::Len { expected, found } => {
                        write!(f, "expected {expected} bytes, found {found}")
                    }
                    BlobProblem::Root { found } => write!(f, "its chunks have list root {found}"),
                }
            }
            Self::Range { start, end, len } => {
                write!(f, "bytes {start} to {end} are no range of a value of {len} bytes")
            }
            Self::OneChunk { hash } => write!(f, "the value is the one chunk {hash}"),
            Self::TooLong => f.write_str("the range touches more chunks than a proof can count"),
        }
    }
}

impl core::error::Error for BlobError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Store(error) => Some(error),
            _ => None,
        }
    }
}

impl From<StoreError> for BlobError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// What writing a blob added to the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Added {
    /// Objects that were not there before.
    pub objects: u64,
    /// Their bytes, as stored.
    pub bytes: u64,
}

impl core::ops::AddAssign for Added {
    fn add_assign(&mut self, other: Self) {
        self.objects += other.objects;
        self.bytes += other.bytes;
    }
}

/// Stores a value that is in memory. O(n).
///
/// # Errors
/// Whatever the store's `put` reports.
pub fn write<S: ObjectStore + ?Sized>(
    store: &S,
    bytes: &[u8],
) -> Result<(Blob, Added), StoreError> {
    let mut writer = BlobWriter::new(store);
    writer.write(bytes)?;
    writer.finish()
}

/// Stores values that are in memory, each as [`write()`] does, as many at once as the executor can. O(n) for n bytes in all.
///
/// The blobs and the objects are those of one after the other, and so is the sum of what was added; which of two values is said
/// to have added a chunk that both have is the threads' race. A long value is not divided among threads. Values longer than
/// memory are written likewise, by jobs with a [`BlobWriter`] each on the same store.
///
/// # Errors
/// The error of the first value that could not be stored, in the order of the values; others may then be stored.
pub fn write_all<S: ObjectStore + Sync + ?Sized>(
    store: &S,
    values: &[&[u8]],
    executor: &impl Executor,
) -> Result<Vec<(Blob, Added)>, StoreError> {
    executor.map(values, |value| write(store, value)).into_iter().collect()
}

/// Reads a whole value into memory: at most `limit` bytes.
///
/// # Errors
/// [`BlobError::Corrupt`] with [`BlobProblem::Len`] if it is longer than `limit`; else as [`BlobReader::next_chunk`].
pub fn read<S: ObjectStore + ?Sized>(
    store: &S,
    blob: &Blob,
    limit: u64,
) -> Result<Vec<u8>, BlobError> {
    let len = blob.id.len();
    if len > limit {
        return Err(BlobError::Corrupt {
            id: blob.id,
            problem: BlobProblem::Len { expected: limit, found: len },
        });
    }
    let mut reader = BlobReader::new(store, *blob)?;
    let mut bytes = Vec::new();
    while let Some(chunk) = reader.next_chunk()? {
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// A proof that the chunks which a range of bytes touches are the value's: [`verify_range`] reads it and has an example. Reads
/// the lists of chunks, and none of the value's own. Two hashes a chunk of the value; memory for the chunks of the range.
///
/// ```
/// # #[cfg(feature = "sha256")] {
/// use cascow_core::blob::{self, BlobError};
/// use cascow_core::hash::HashKind;
/// use cascow_core::store::MemoryStore;
///
/// let store = MemoryStore::new(HashKind::Sha256);
/// let (long, _) = blob::write(&store, &[7; 20_000]).unwrap();
/// assert!(blob::prove_range(&store, &long, 5_000..6_000).is_ok());
/// let (short, _) = blob::write(&store, &[7; 20]).unwrap();
/// assert!(matches!(blob::prove_range(&store, &short, 5..6), Err(BlobError::OneChunk { .. })));
/// # }
/// ```
///
/// [`verify_range`]: crate::merkle::range::verify_range
///
/// # Errors
/// [`BlobError::Range`] and [`BlobError::OneChunk`] if there is no such proof; else as [`BlobReader::next_chunk`].
pub fn prove_range<S: ObjectStore + ?Sized>(
    store: &S,
    blob: &Blob,
    range: Range<u64>,
) -> Result<Vec<u8>, BlobError> {
    let len = blob.id.len();
    if range.is_empty() || range.end > len {
        return Err(BlobError::Range { start: range.start, end: range.end, len });
    }
    let mut reader = BlobReader::new(store, *blob)?;
    let root = match blob.id {
        BlobId::Chunk { hash, .. } => return Err(BlobError::OneChunk { hash }),
        BlobId::List { root, .. } => root,
    };
    let mut prover = RangeProver::new(store.hash_kind(), range);
    // The value may be shorter or longer than it says; the longer is not read to its end.
    while prover.len() <= len
        && let Some((hash, len)) = reader.next_record(0)?
    {
        prover.push(&hash, len);
    }
    if prover.len() != len {
        return Err(reader.corrupt(BlobProblem::Len { expected: len, found: prover.len() }));
    }
    let (found, proof) = prover.finish();
    if found != root {
        return Err(reader.corrupt(BlobProblem::Root { found }));
    }
    proof.ok_or(BlobError::TooLong)
}

/// Writes a value that arrives in pieces. Holds at most 64 KiB of the value, and two chunks' bytes, 16 KiB, of each list
/// above it.
#[derive(Debug)]
pub struct BlobWriter<'s, S: ?Sized> {
    store: &'s S,
    levels: Vec<Level>,
    list: ListHasher,
    added: Added,
    /// Bytes were lost on the way to the store.
    has_failed: bool,
}

/// The bytes of one level that are not yet stored: of the value (level 0), or of the list of the chunks of the level below.
#[derive(Debug, Default)]
struct Level {
    pending: Vec<u8>,
    chunks: u64,
    /// The chunk stored last: the only one, if there is one only.
    last: Option<(ContentHash, u32)>,
}

impl<'s, S: ObjectStore + ?Sized> BlobWriter<'s, S> {
    /// Begins a value.
    pub fn new(store: &'s S) -> Self {
        let list = ListHasher::new(store.hash_kind());
        Self {
            store,
            levels: alloc::vec![Level::default()],
            list,
            added: Added::default(),
            has_failed: false,
        }
    }

    /// Appends bytes. O(n): each byte is chunked, hashed, compressed. The more bytes at a time, the fewer are copied: a
    /// value that is written at once nearly none.
    ///
    /// # Errors
    /// Whatever the store's `put_many` reports; the value is then to be given up.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let written = self.append(bytes);
        self.has_failed |= written.is_err();
        written
    }

    /// Stores what is left and names the value.
    ///
    /// # Errors
    /// Whatever the store's `put` reports; [`StoreError::Host`] if writing failed before, for then bytes are missing.
    pub fn finish(mut self) -> Result<(Blob, Added), StoreError> {
        if self.has_failed {
            return Err(StoreError::Host("a value whose writing failed cannot be finished".into()));
        }
        let mut level = 0;
        loop {
            self.cut(level, 1)?;
            if self.levels[level].chunks == 0 {
                let put = self.store.put(&[])?; // the empty value is an object of no bytes
                self.list_put(0, put, 0)?;
            }
            match self.levels[level] {
                Level { chunks: 1, last: Some((hash, len)), .. } => {
                    let blob = match u8::try_from(level) {
                        Ok(depth @ 1..) => Blob {
                            id: BlobId::List { root: self.list.root(), len: self.list.len() },
                            index: Some(BlobIndex { depth, top: hash }),
                        },
                        _ => Blob { id: BlobId::Chunk { hash, len }, index: None },
                    };
                    return Ok((blob, self.added));
                }
                _ => level += 1,
            }
        }
    }

    fn append(&mut self, mut bytes: &[u8]) -> Result<(), StoreError> {
        while !bytes.is_empty() {
            if self.levels[0].pending.is_empty() {
                bytes = self.put_chunks(0, bytes, ChunkSizes::FORMAT.max())?;
            }
            let pending = &mut self.levels[0].pending;
            let (piece, after) = bytes.split_at(bytes.len().min(GATHERED_LEN - pending.len()));
            pending.extend_from_slice(piece);
            bytes = after;
            if pending.len() == GATHERED_LEN {
                self.cut(0, ChunkSizes::FORMAT.max())?;
            }
        }
        Ok(())
    }

    /// Stores chunks of a level while at least `enough` bytes are pending there, or in the levels above because of that.
    fn cut(&mut self, level: usize, enough: usize) -> Result<(), StoreError> {
        let mut pending = mem::take(&mut self.levels[level].pending);
        let rest = self.put_chunks(level, &pending, enough)?.len();
        pending.drain(..pending.len() - rest);
        self.levels[level].pending = pending;
        Ok(())
    }

    /// Stores chunks of `bytes` while at least `enough` of them are left, and gives back the rest.
    fn put_chunks<'b>(
        &mut self,
        level: usize,
        bytes: &'b [u8],
        enough: usize,
    ) -> Result<&'b [u8], StoreError> {
        let mut rest = bytes;
        while rest.len() >= enough {
            let mut batch = Vec::new();
            while rest.len() >= enough && batch.len() < BATCH {
                let (chunk, after) = rest.split_at(ChunkSizes::FORMAT.cut(rest));
                batch.push(chunk);
                rest = after;
            }
            let puts = self.store.put_many(&batch)?;
            if puts.len() != batch.len() {
                let reason = "the store did not answer for each object that it was given";
                return Err(StoreError::Host(reason.into()));
            }
            for (put, chunk) in puts.into_iter().zip(batch) {
                // UNWRAP: a chunk is at most 8 KiB.
                let len = u32::try_from(chunk.len()).expect("a chunk's length fits in 32 bits");
                self.list_put(level, put, len)?;
            }
        }
        Ok(rest)
    }

    /// Takes a chunk that was stored into the level's account, and into the list above.
    fn list_put(&mut self, level: usize, put: Put, len: u32) -> Result<(), StoreError> {
        if let Some(bytes) = put.added {
            self.added += Added { objects: 1, bytes };
        }
        if level == 0 {
            self.list.push(&put.hash, len);
        }
        self.levels[level].chunks += 1;
        if let Some(first) = self.levels[level].last.replace((put.hash, len)) {
            // A second chunk: from here on this level needs a list, which begins with the first.
            if self.levels[level].chunks == 2 {
                if self.levels.len() == level + 1 {
                    self.levels.push(Level::default());
                }
                self.list_chunk(level + 1, first)?;
            }
            self.list_chunk(level + 1, (put.hash, len))?;
        }
        Ok(())
    }

    fn list_chunk(
        &mut self,
        level: usize,
        (hash, len): (ContentHash, u32),
    ) -> Result<(), StoreError> {
        let pending = &mut self.levels[level].pending;
        pending.extend_from_slice(hash.as_bytes());
        pending.extend_from_slice(&len.to_le_bytes());
        self.cut(level, ChunkSizes::FORMAT.max())
    }
}

/// Reads a value chunk by chunk. Holds at most two chunks' bytes a level.
#[derive(Debug)]
pub struct BlobReader<'s, S: ?Sized> {
    store: &'s S,
    blob: Blob,
    /// The lists, the one that names the value's own chunks first. Empty for a single chunk.
    lists: Vec<List>,
    seen: ListHasher,
    finished: bool,
}

/// Bytes of a list that were read and not yet used.
#[derive(Debug, Default)]
struct List {
    bytes: Vec<u8>,
    used: usize,
    /// A chunk below the least length was named, so it must be the last.
    ended: bool,
}

impl List {
    fn unused(&self) -> &[u8] {
        &self.bytes[self.used..]
    }

    fn append(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.used);
        self.used = 0;
        self.bytes.extend_from_slice(bytes);
    }
}

impl<'s, S: ObjectStore + ?Sized> BlobReader<'s, S> {
    /// Begins to read. Fetches the top of the list, if there is one.
    ///
    /// # Errors
    /// As [`BlobReader::next_chunk`].
    pub fn new(store: &'s S, blob: Blob) -> Result<Self, BlobError> {
        let seen = ListHasher::new(store.hash_kind());
        let mut reader = Self { store, blob, lists: Vec::new(), seen, finished: false };
        match (blob.id, blob.index) {
            (BlobId::Chunk { len, .. }, None) if is_chunk_len(u64::from(len)) => {}
            (BlobId::List { .. }, Some(BlobIndex { depth: depth @ 1..=MAX_DEPTH, top })) => {
                reader.lists.resize_with(usize::from(depth), List::default);
                let top = reader.object(&top)?;
                if let Some(list) = reader.lists.last_mut() {
                    list.append(&top);
                }
            }
            _ => return Err(reader.corrupt(BlobProblem::Index)),
        }
        Ok(reader)
    }

    /// The value's next chunk; `None` after the last, when all of the value was found to be right.
    ///
    /// # Errors
    /// [`BlobError::Store`] if an object is missing or damaged, [`BlobError::Corrupt`] if the chunks do not make up the
    /// value; the chunks given before are then not to be used.
    pub fn next_chunk(&mut self) -> Result<Option<Vec<u8>>, BlobError> {
        if self.finished {
            return Ok(None);
        }
        let next = match self.blob.id {
            BlobId::Chunk { hash, len } => {
                self.finished = true;
                Some((hash, len))
            }
            BlobId::List { .. } => self.next_record(0)?,
        };
        let Some((hash, len)) = next else {
            self.finished = true;
            return self.check_end().map(|()| None);
        };
        let bytes = self.object(&hash)?;
        if bytes.len() as u64 != u64::from(len) {
            return Err(self.corrupt(BlobProblem::ChunkLen));
        }
        self.seen.push(&hash, len);
        if self.seen.len() > self.blob.id.len() {
            return Err(self.corrupt_len());
        }
        Ok(Some(bytes))
    }

    fn check_end(&self) -> Result<(), BlobError> {
        let BlobId::List { root, len } = self.blob.id else { return Ok(()) };
        if self.seen.len() != len {
            return Err(self.corrupt_len());
        }
        let found = self.seen.root();
        if found != root {
            return Err(self.corrupt(BlobProblem::Root { found }));
        }
        if self.seen.leaves() < 2 {
            return Err(self.corrupt(BlobProblem::Index));
        }
        Ok(())
    }

    /// The next record of the list at `level`, fetching more of it by the list above.
    fn next_record(&mut self, level: usize) -> Result<Option<(ContentHash, u32)>, BlobError> {
        while self.lists[level].unused().len() < RECORD_LEN {
            let more =
                if level + 1 < self.lists.len() { self.next_record(level + 1)? } else { None };
            match more {
                Some((hash, len)) => {
                    let bytes = self.object(&hash)?;
                    if bytes.len() as u64 != u64::from(len) {
                        return Err(self.corrupt(BlobProblem::ChunkLen));
                    }
                    self.lists[level].append(&bytes);
                }
                None if self.lists[level].unused().is_empty() => return Ok(None),
                None => return Err(self.corrupt(BlobProblem::List)),
            }
        }
        let list = &mut self.lists[level];
        let Some((hash, rest)) = list.unused().split_first_chunk::<HASH_LEN>() else {
            return Ok(None);
        };
        let Some((len, _)) = rest.split_first_chunk::<4>() else { return Ok(None) };
        let (hash, len) = (ContentHash::from_bytes(*hash), u32::from_le_bytes(*len));
        list.used += RECORD_LEN;
        // Were many short chunks allowed, a few objects could keep a reader busy without end for a short value.
        if list.ended || len == 0 || !is_chunk_len(u64::from(len)) {
            return Err(self.corrupt(BlobProblem::List));
        }
        list.ended = u64::from(len) < ChunkSizes::FORMAT.min() as u64;
        Ok(Some((hash, len)))
    }

    /// A chunk, of the value or of a list. Nothing longer than a chunk is taken from the store.
    fn object(&self, hash: &ContentHash) -> Result<Vec<u8>, BlobError> {
        self.store.get_within(hash, ChunkSizes::FORMAT.max() as u64).map_err(BlobError::Store)
    }

    fn corrupt(&self, problem: BlobProblem) -> BlobError {
        BlobError::Corrupt { id: self.blob.id, problem }
    }

    fn corrupt_len(&self) -> BlobError {
        self.corrupt(BlobProblem::Len { expected: self.blob.id.len(), found: self.seen.len() })
    }
}

/// Whether one chunk can have this length, in bytes.
const fn is_chunk_len(len: u64) -> bool {
    len <= ChunkSizes::FORMAT.max() as u64
}
