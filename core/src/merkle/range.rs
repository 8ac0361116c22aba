// SPDX-License-Identifier: MIT
//! Proofs that some chunks are certain bytes of a long value, and their verification while the chunks arrive.
//!
//! What is trusted is a value's list root. The proof holds the names and lengths of the chunks that a range of bytes touches,
//! and what leads from them to the root; the chunks themselves come after it, from anyone. What the verifier hands back of each
//! is what lies in the range, and is right as soon as it is handed back. Constant memory, no allocator.
//!
//! A value of one chunk needs no proof: its name is the hash of its bytes, so whoever has the chunk has hashed it.
//!
//! # Encoding, version 1
//!
//! | bytes | field |
//! |------:|-------|
//! | 4 | magic `CCBR` |
//! | 1 | version, 1 |
//! | 1 | hash function: 1 SHA-256, 2 BLAKE3 |
//! | 8 | offset of the first chunk in the value |
//! | 1 | number of subtrees to the left of the chunks |
//! | 4 | number of chunks, at least 1 |
//! | 1 | number of subtrees to the right of the chunks |
//! | 33 each | a subtree to the left: its digest, its joins |
//! | 37 each | a chunk: its name, its length (4 bytes, not 0), its joins |
//! | 33 each | a subtree to the right: its digest, its joins |
//!
//! Numbers are little-endian. Nothing may follow.
//!
//! These are the ends of the list's tree with everything cut off that no chunk of the range is below, from left to right. An
//! end's *joins* (1 byte) is the number of nodes of which it is the last below: so many times, the two subtrees completed
//! last become one. At the end there is one. No node joins two subtrees that are there as digests: it would be there itself.
//!
//! So the encoding says neither how many chunks the value has nor which number these have: a list root does not commit it, so
//! it could be a lie. What a chunk is of the value follows from its offset, which its leaf commits. The range asked for is not
//! in the proof either: all ranges that touch the same chunks have one proof, and who verifies it says which bytes it is about.
//!
//! Length: 20 bytes, 37 a chunk, and at most 33 for each of two subtrees a level.

use core::fmt;
use core::ops::Range;

use super::proof::{Fault, Input, ProofError};
use super::rfc9162::{self, Digest};
use super::{ListRoot, Slot, list};
use crate::hash::{ContentHash, HashKind};

const MAGIC: [u8; 4] = *b"CCBR";

/// Subtrees that can wait to be joined, at most: one on each level of a list of 2^64 chunks, and the one at hand.
const MAX_WAITING: usize = 65;

/// What a slot notes of a subtree that is there as a digest alone.
const BARE: u8 = 1;

/// Why bytes are not accepted as those of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RangeError {
    /// The proof is none, or not one for this value.
    Proof(ProofError<ListRoot>),
    /// The range asked for has no bytes.
    Empty,
    /// The proof is one for this value, but its chunks are not those that the range touches.
    Range {
        /// Where the proof's chunks begin in the value.
        start: u64,
        /// Where they end.
        end: u64,
    },
    /// A chunk has another length than it should.
    ChunkLen {
        /// The length it should have, in bytes.
        expected: u32,
        /// Bytes found.
        found: usize,
    },
    /// A chunk is not the one that was to come.
    Chunk {
        /// The name of the one that was.
        expected: ContentHash,
        /// The name of the one that came.
        found: ContentHash,
    },
    /// A chunk came after the last.
    Complete,
}

impl fmt::Display for RangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Proof(error) => error.fmt(f),
            Self::Empty => f.write_str("a range without bytes"),
            Self::Range { start, end } => {
                write!(f, "proof is about the chunks of bytes {start} to {end}, not of this range")
            }
            Self::ChunkLen { expected, found } => {
                write!(f, "expected a chunk of {expected} bytes, found {found}")
            }
            Self::Chunk { expected, found } => {
                write!(f, "expected chunk {expected}, found {found}")
            }
            Self::Complete => f.write_str("a chunk follows the last of the range"),
        }
    }
}

impl core::error::Error for RangeError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Proof(error) => error.source(),
            _ => None,
        }
    }
}

impl From<ProofError<ListRoot>> for RangeError {
    fn from(error: ProofError<ListRoot>) -> Self {
        Self::Proof(error)
    }
}

/// A verified proof, waiting for the chunks: at each time it knows which chunk comes next. See [`verify_range`].
#[derive(Clone, Debug)]
pub struct RangeReader<'a> {
    kind: HashKind,
    /// Verified: the chunks that are still to come, and what follows them.
    ends: Input<'a>,
    chunks: u32,
    /// Where the next chunk begins in the value.
    offset: u64,
    range: Range<u64>,
}

/// Verifies a proof that the chunks which `range` touches, and no others, are those that it names. Borrows the proof, allocates
/// nothing; two hashes a chunk and one a sibling, 2.2 KiB on the stack; [`verify_range_in`] asks for less.
///
/// ```
/// # #[cfg(all(feature = "alloc", feature = "sha256"))] {
/// use cascow_core::blob::{self, BlobId};
/// use cascow_core::hash::HashKind;
/// use cascow_core::merkle::range::verify_range;
/// use cascow_core::store::{MemoryStore, ObjectStore};
///
/// let value: Vec<u8> = (0..50_000u32).flat_map(u32::to_le_bytes).collect();
/// let store = MemoryStore::new(HashKind::Sha256);
/// let (blob, _) = blob::write(&store, &value).unwrap();
/// let proof = blob::prove_range(&store, &blob, 70_000..90_000).unwrap();
///
/// let BlobId::List { root, .. } = blob.id else { unreachable!("a long value") };
/// let mut reader = verify_range(&proof, &root, 70_000..90_000).unwrap();
/// let mut bytes = Vec::new();
/// while let Some((name, _)) = reader.wanted() {
///     let chunk = store.get(&name).unwrap(); // or from anyone else
///     bytes.extend_from_slice(reader.accept(&chunk).unwrap());
/// }
/// assert_eq!(bytes, value[70_000..90_000]);
/// # }
/// ```
///
/// # Errors
/// [`RangeError::Proof`], [`RangeError::Range`], [`RangeError::Empty`].
pub fn verify_range<'a>(
    proof: &'a [u8],
    root: &ListRoot,
    range: Range<u64>,
) -> Result<RangeReader<'a>, RangeError> {
    verify_range_in(proof, root, range, &mut [Slot::new(); MAX_WAITING])
}

/// [`verify_range`] in memory that the caller lends: a slot for each level of the value's list, and one. The list of n chunks has
/// log2(n) levels, rounded up: 16 slots, half a KiB, do for 32,768 chunks, which are 100 MiB or more; 65 always do.
///
/// ```
/// # #[cfg(all(feature = "alloc", feature = "sha256"))] {
/// # use cascow_core::blob::{self, BlobId};
/// # use cascow_core::hash::HashKind;
/// # use cascow_core::merkle::range::verify_range_in;
/// # use cascow_core::merkle::Slot;
/// # use cascow_core::store::MemoryStore;
/// let value = [7; 20_000]; // three chunks: two levels
/// let store = MemoryStore::new(HashKind::Sha256);
/// let (blob, _) = blob::write(&store, &value).unwrap();
/// let proof = blob::prove_range(&store, &blob, 10_000..20_000).unwrap();
/// # let BlobId::List { root, .. } = blob.id else { unreachable!("a long value") };
/// assert!(verify_range_in(&proof, &root, 10_000..20_000, &mut [Slot::new(); 3]).is_ok());
/// # }
/// ```
///
/// # Errors
/// [`ProofError::Slots`] if the proof needs more; else those of [`verify_range`].
pub fn verify_range_in<'a>(
    proof: &'a [u8],
    root: &ListRoot,
    range: Range<u64>,
    slots: &mut [Slot],
) -> Result<RangeReader<'a>, RangeError> {
    if range.is_empty() {
        return Err(RangeError::Empty);
    }
    let mut found = ListRoot::from_bytes([0; 32]);
    let named = read(proof, slots, &mut found).map_err(ProofError::from)?;
    if found != *root {
        return Err(RangeError::Proof(ProofError::Root { expected: *root, found }));
    }
    let Named { kind, ends, chunks, first, last, end } = named;
    if !first.contains(&range.start) || range.end <= last || range.end > end {
        return Err(RangeError::Range { start: first.start, end });
    }
    Ok(RangeReader { kind, ends, chunks, offset: first.start, range })
}

/// The chunks that a verified proof names.
struct Named<'a> {
    kind: HashKind,
    ends: Input<'a>,
    chunks: u32,
    /// The bytes of the first.
    first: Range<u64>,
    /// Where the last begins.
    last: u64,
    /// Where it ends.
    end: u64,
}

/// What the proof names, and the root that it leads to.
fn read<'a>(proof: &'a [u8], slots: &mut [Slot], found: &mut ListRoot) -> Result<Named<'a>, Fault> {
    let (mut input, kind) = Input::open(proof, MAGIC)?;
    let start = input.u64()?;
    let [left] = *input.array()?;
    let chunks = input.u32()?;
    let [right] = *input.array()?;
    let mut ends = Ends { kind, slots, count: 0 };
    for _ in 0..left {
        ends.read_subtree(&mut input)?;
    }
    let more = chunks.checked_sub(1).ok_or(Fault::NotCanonical)?;
    let chunks_from = input.clone();
    let first = start..ends.read_chunk(&mut input, start)?;
    let (mut last, mut end) = (start, first.end);
    for _ in 0..more {
        last = end;
        end = ends.read_chunk(&mut input, last)?;
    }
    for _ in 0..right {
        ends.read_subtree(&mut input)?;
    }
    input.finish()?;
    *found = ListRoot::from_bytes(*ends.whole()?);
    Ok(Named { kind, ends: chunks_from, chunks, first, last, end })
}

impl<'a> RangeReader<'a> {
    fn record(ends: &mut Input<'a>) -> Result<(ContentHash, u32), Fault> {
        let name = ContentHash::from_bytes(*ends.array()?);
        let len = ends.u32()?;
        ends.array::<1>()?;
        Ok((name, len))
    }

    /// The name of the chunk that comes next, and its length in bytes; `None` when all of the range is there. O(1).
    ///
    /// ```
    /// # #[cfg(all(feature = "alloc", feature = "sha256"))] {
    /// # use cascow_core::blob::{self, BlobId};
    /// # use cascow_core::chunk::chunks;
    /// # use cascow_core::hash::HashKind;
    /// # use cascow_core::merkle::range::verify_range;
    /// # use cascow_core::store::MemoryStore;
    /// let value = [7; 20_000]; // chunks of 8,192, 8,192 and 3,616 bytes
    /// let store = MemoryStore::new(HashKind::Sha256);
    /// let (blob, _) = blob::write(&store, &value).unwrap();
    /// let proof = blob::prove_range(&store, &blob, 10_000..20_000).unwrap();
    /// # let BlobId::List { root, .. } = blob.id else { unreachable!("a long value") };
    /// let mut reader = verify_range(&proof, &root, 10_000..20_000).unwrap();
    /// let second = chunks(&value).nth(1).unwrap();
    /// assert_eq!(reader.wanted(), Some((HashKind::Sha256.hash(second), 8_192)));
    /// # }
    /// ```
    pub fn wanted(&self) -> Option<(ContentHash, u32)> {
        if self.chunks == 0 {
            return None;
        }
        Self::record(&mut self.ends.clone()).ok()
    }

    /// Bytes of the range that are still to come. O(1).
    ///
    /// ```
    /// # #[cfg(all(feature = "alloc", feature = "sha256"))] {
    /// # use cascow_core::blob::{self, BlobId};
    /// # use cascow_core::chunk::chunks;
    /// # use cascow_core::hash::HashKind;
    /// # use cascow_core::merkle::range::verify_range;
    /// # use cascow_core::store::MemoryStore;
    /// let value = [7; 20_000]; // chunks of 8,192, 8,192 and 3,616 bytes
    /// # let store = MemoryStore::new(HashKind::Sha256);
    /// # let (blob, _) = blob::write(&store, &value).unwrap();
    /// let proof = blob::prove_range(&store, &blob, 10_000..20_000).unwrap();
    /// # let BlobId::List { root, .. } = blob.id else { unreachable!("a long value") };
    /// let mut reader = verify_range(&proof, &root, 10_000..20_000).unwrap();
    /// assert_eq!(reader.remaining(), 10_000);
    /// reader.accept(chunks(&value).nth(1).unwrap()).unwrap();
    /// assert_eq!(reader.remaining(), 3_616);
    /// # }
    /// ```
    pub fn remaining(&self) -> u64 {
        if self.chunks == 0 {
            return 0;
        }
        self.range.end - self.offset.max(self.range.start)
    }

    /// Takes the next chunk's bytes and gives the part of them that lies in the range. One hash over the chunk. A chunk that is
    /// refused changes nothing: the right one may still come.
    ///
    /// ```
    /// # #[cfg(all(feature = "alloc", feature = "sha256"))] {
    /// # use cascow_core::blob::{self, BlobId};
    /// # use cascow_core::chunk::chunks;
    /// # use cascow_core::hash::HashKind;
    /// # use cascow_core::merkle::range::{RangeError, verify_range};
    /// # use cascow_core::store::MemoryStore;
    /// let value = [7; 20_000]; // chunks of 8,192, 8,192 and 3,616 bytes
    /// # let store = MemoryStore::new(HashKind::Sha256);
    /// # let (blob, _) = blob::write(&store, &value).unwrap();
    /// let proof = blob::prove_range(&store, &blob, 19_000..19_003).unwrap();
    /// # let BlobId::List { root, .. } = blob.id else { unreachable!("a long value") };
    /// let mut reader = verify_range(&proof, &root, 19_000..19_003).unwrap();
    /// assert!(matches!(reader.accept(&[0; 3_616]), Err(RangeError::Chunk { .. })));
    /// assert_eq!(reader.accept(&[7; 3_616]), Ok(&[7; 3][..]));
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`RangeError::ChunkLen`] or [`RangeError::Chunk`] if it is another chunk, [`RangeError::Complete`] if none is to come.
    pub fn accept<'c>(&mut self, chunk: &'c [u8]) -> Result<&'c [u8], RangeError> {
        let (expected, len) = self.wanted().ok_or(RangeError::Complete)?;
        if chunk.len() as u64 != u64::from(len) {
            return Err(RangeError::ChunkLen { expected: len, found: chunk.len() });
        }
        let found = self.kind.hash(chunk);
        if found != expected {
            return Err(RangeError::Chunk { expected, found });
        }
        let within = |at: u64| {
            let at = at.saturating_sub(self.offset);
            usize::try_from(at).map_or(chunk.len(), |at| at.min(chunk.len()))
        };
        let part = within(self.range.start)..within(self.range.end);
        // A range that was verified reaches into each of its chunks, so the part is there.
        let part = chunk.get(part).ok_or(RangeError::Complete)?;
        self.offset += u64::from(len);
        self.chunks -= 1;
        // The record is there: it was read above.
        _ = Self::record(&mut self.ends);
        Ok(part)
    }
}

/// Subtrees that wait to be joined, from left to right, each with whether it is there as a digest alone.
struct Ends<'s> {
    kind: HashKind,
    slots: &'s mut [Slot],
    count: usize,
}

/// What the documentation promises of [`verify_range`], but for some hundred bytes of its own and of the hash function.
const _: () = assert!(size_of::<[Slot; MAX_WAITING]>() <= 2_200);

impl Ends<'_> {
    fn read_subtree(&mut self, input: &mut Input<'_>) -> Result<(), Fault> {
        let digest = *input.array()?;
        self.push(digest, true, *input.array()?)
    }

    /// Reads a chunk that begins at `offset`; gives where it ends.
    fn read_chunk(&mut self, input: &mut Input<'_>, offset: u64) -> Result<u64, Fault> {
        let name = input.array()?;
        let len = input.u32()?;
        let end = offset.checked_add(u64::from(len)).filter(|end| *end > offset);
        self.push(list::leaf(self.kind, name, offset, len), false, *input.array()?)?;
        end.ok_or(Fault::NotCanonical)
    }

    fn push(
        &mut self,
        mut digest: Digest,
        mut is_bare: bool,
        [joins]: [u8; 1],
    ) -> Result<(), Fault> {
        for _ in 0..joins {
            let last = self.count.checked_sub(1).ok_or(Fault::NotCanonical)?;
            let left = self.slots.get(last).ok_or(Fault::NotCanonical)?;
            if is_bare && left.note == BARE {
                return Err(Fault::NotCanonical);
            }
            digest = rfc9162::node(self.kind, &left.digest, &digest);
            is_bare = false;
            self.count = last;
        }
        // More than any list has: then it is the proof that asks for too much.
        if self.count >= MAX_WAITING {
            return Err(Fault::NotCanonical);
        }
        let lent = self.slots.len();
        let slot = self.slots.get_mut(self.count).ok_or(Fault::Slots(lent))?;
        slot.digest = digest;
        slot.note = if is_bare { BARE } else { 0 };
        self.count += 1;
        Ok(())
    }

    fn whole(&self) -> Result<&Digest, Fault> {
        match (self.count, self.slots.first()) {
            (1, Some(whole)) => Ok(&whole.digest),
            _ => Err(Fault::NotCanonical),
        }
    }
}

#[cfg(feature = "alloc")]
pub(crate) use prover::RangeProver;

#[cfg(feature = "alloc")]
mod prover {
    use alloc::vec::Vec;
    use core::ops::Range;

    use super::super::proof::begin;
    use super::super::rfc9162::{self, Digest, Peaks};
    use super::{ContentHash, HashKind, ListRoot, MAGIC, list};

    /// Makes a proof while the names of a value's chunks go by. Holds what the proof will hold, and a digest a level.
    #[derive(Debug)]
    pub(crate) struct RangeProver {
        kind: HashKind,
        range: Range<u64>,
        peaks: Peaks<Part>,
        /// Bytes of the value so far.
        len: u64,
        /// Where the first chunk of the range begins.
        start: u64,
        ends: Vec<End>,
    }

    /// A subtree. It is open if a chunk of the range is below it: then its ends are in the list of ends.
    #[derive(Clone, Copy, Debug)]
    struct Part {
        digest: Digest,
        is_open: bool,
    }

    #[derive(Debug)]
    struct End {
        digest: Digest,
        /// `None` for a subtree.
        chunk_len: Option<u32>,
        joins: u8,
    }

    impl RangeProver {
        pub(crate) const fn new(kind: HashKind, range: Range<u64>) -> Self {
            let unused = Part { digest: [0; 32], is_open: false };
            Self { kind, range, peaks: Peaks::new(unused), len: 0, start: 0, ends: Vec::new() }
        }

        /// Bytes of the value so far.
        pub(crate) const fn len(&self) -> u64 {
            self.len
        }

        /// The value's next chunk. Two hashes on average.
        pub(crate) fn push(&mut self, chunk: &ContentHash, len: u32) {
            let start = self.len;
            self.len = self.len.saturating_add(u64::from(len));
            let is_open = start < self.range.end && self.range.start < self.len;
            if is_open {
                if self.ends.is_empty() {
                    self.start = start;
                    for peak in self.peaks.as_mut_slice() {
                        self.ends.push(End { digest: peak.digest, chunk_len: None, joins: 0 });
                        peak.is_open = true;
                    }
                }
                self.ends.push(End { digest: *chunk.as_bytes(), chunk_len: Some(len), joins: 0 });
            }
            let part =
                Part { digest: list::leaf(self.kind, chunk.as_bytes(), start, len), is_open };
            self.peaks.push(part, |left, right| join(self.kind, &mut self.ends, left, right));
        }

        /// The list root of the chunks that went by, and the proof. `None` for the proof if there are more chunks in it than it
        /// can count.
        pub(crate) fn finish(mut self) -> (ListRoot, Option<Vec<u8>>) {
            let (kind, ends) = (self.kind, &mut self.ends);
            let whole = self.peaks.whole(|left, right| join(kind, ends, left, right));
            let digest = whole.map_or_else(|| rfc9162::empty(kind), |whole| whole.digest);
            (ListRoot::from_bytes(digest), self.encode())
        }

        fn encode(&self) -> Option<Vec<u8>> {
            let is_chunk = |end: &End| end.chunk_len.is_some();
            let left = self.ends.iter().take_while(|end| !is_chunk(end)).count();
            let chunks = self.ends.iter().filter(|end| is_chunk(end)).count();
            let right = self.ends.len() - left - chunks;
            let mut proof = begin(MAGIC, self.kind);
            proof.extend_from_slice(&self.start.to_le_bytes());
            proof.push(u8::try_from(left).ok()?);
            proof.extend_from_slice(&u32::try_from(chunks).ok()?.to_le_bytes());
            proof.push(u8::try_from(right).ok()?);
            for End { digest, chunk_len, joins } in &self.ends {
                proof.extend_from_slice(digest);
                if let Some(len) = chunk_len {
                    proof.extend_from_slice(&len.to_le_bytes());
                }
                proof.push(*joins);
            }
            Some(proof)
        }
    }

    /// Joins two neighbours. Whatever stands to the left of the range was opened when the range began, so an open right half
    /// has an open left half.
    fn join(kind: HashKind, ends: &mut Vec<End>, left: &Part, right: &Part) -> Part {
        if left.is_open {
            if !right.is_open {
                ends.push(End { digest: right.digest, chunk_len: None, joins: 0 });
            }
            if let Some(last) = ends.last_mut() {
                last.joins += 1;
            }
        }
        Part { digest: rfc9162::node(kind, &left.digest, &right.digest), is_open: left.is_open }
    }
}
