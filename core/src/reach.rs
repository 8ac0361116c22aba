// SPDX-License-Identifier: MIT
//! What a snapshot refers to: its record, the chunks and lists of its listing, and those of every entry's content.
//!
//! [`Reach`] tells a [`Visitor`] of each object that reading the snapshot would read, without reading the contents themselves: a
//! collector keeps what it is told of, a check of the repository looks whether it is there. What is missing or damaged is told
//! as a [`Fault`], and the walk goes on with all that can still be found.
//!
//! # Guarantees
//!
//! * Every object that a reader of the snapshot would need is told of at least once, or a fault says why what lies behind it
//!   could not be found. That holds for a file whose content is another object's bytes, too: having been told of an object
//!   says nothing of what it was read as, so what was walked is remembered together with its role.
//! * Memory is bounded, whatever the data: some 30 MiB of what was walked, and what a reader of the longest entry holds.
//!   Where that memory is full, parts that snapshots share are walked again.
//! * Time is bounded by the lengths that values say they have, as a reader's is.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use hashbrown::{HashMap, HashSet};

use crate::blob::{Blob, BlobId, BlobIndex, MAX_DEPTH, RECORD_LEN};
use crate::chunk::ChunkSizes;
use crate::entry::{Entry, Note};
use crate::frame::FrameError;
use crate::hash::{ContentHash, HASH_LEN};
use crate::record::{self, LENGTHS_LEN, RecordError, entry_lens};
use crate::store::{ObjectStore, StoreError};

/// Long values and listings that are remembered as walked, at most: 16 bytes each, in a table of 2^20.
const MOST_WALKED: usize = (1 << 20) / 8 * 7;

/// Steps from one chunk of a listing to the next that are remembered, at most: 38 bytes each, in a table of 2^18.
const MOST_STEPS: usize = (1 << 18) / 8 * 7;

/// Bytes of a name that tell what was walked. To take one value for another, somebody would have to find a second one to a given
/// name of 120 bits.
const SHORT_LEN: usize = 15;

/// Who is told what a snapshot refers to.
pub trait Visitor {
    /// An object that is referred to; not for the first time, perhaps.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if it is not there: that becomes a fault. Any other error ends the walk.
    fn object(&mut self, hash: &ContentHash) -> Result<(), StoreError>;

    /// Something could not be found or understood.
    ///
    /// # Errors
    /// Any error ends the walk.
    fn fault(&mut self, fault: &Fault) -> Result<(), StoreError>;
}

impl<V: Visitor + ?Sized> Visitor for &mut V {
    fn object(&mut self, hash: &ContentHash) -> Result<(), StoreError> {
        (**self).object(hash)
    }

    fn fault(&mut self, fault: &Fault) -> Result<(), StoreError> {
        (**self).fault(fault)
    }
}

/// Why a part of a snapshot could not be walked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// An object is not there.
    Missing {
        /// Its name.
        hash: ContentHash,
    },
    /// An object that leads to others is damaged.
    Damaged {
        /// Its name.
        hash: ContentHash,
        /// What is wrong with it.
        error: FrameError,
    },
    /// What was named as a snapshot is none.
    NotASnapshot {
        /// The object.
        hash: ContentHash,
    },
    /// A snapshot is of a version or kind that this build does not read, so nobody knows what it refers to.
    Unsupported {
        /// The snapshot.
        hash: ContentHash,
    },
    /// The objects of a long value are there, but their lists do not make one up.
    Value {
        /// The value.
        id: BlobId,
    },
    /// A listing's chunks are there, but do not make up a listing.
    Listing {
        /// The listing.
        id: BlobId,
    },
    /// An entry of a listing is none of a directory tree's.
    Entry {
        /// Its key.
        key: Box<[u8]>,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { hash } => write!(f, "object {hash} is missing"),
            Self::Damaged { hash, error } => write!(f, "object {hash}: {error}"),
            Self::NotASnapshot { hash } => write!(f, "object {hash} is not a snapshot"),
            Self::Unsupported { hash } => {
                write!(f, "snapshot {hash} is of a version or kind that this build does not read")
            }
            Self::Value { id } => write!(f, "value {id} has no usable list of chunks"),
            Self::Listing { id } => write!(f, "listing {id} is malformed"),
            Self::Entry { key } => {
                write!(f, "entry \"{}\" is not one of a directory tree", key.escape_ascii())
            }
        }
    }
}

/// What was walked as a whole: the beginning of a name, and as what.
type Walked = [u8; SHORT_LEN + 1];

/// Where a walk of a listing stands between two chunks: behind which chunk, and where in it the entry begins that is not yet whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Place {
    chunk: ContentHash,
    rest: u16,
}

/// A step from a place over the next chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct StepFrom {
    chunk: [u8; SHORT_LEN],
    rest: u16,
    next: [u8; SHORT_LEN],
}

/// The end of a step.
#[derive(Clone, Copy, Debug)]
struct Stepped {
    /// Where in the chunk the entry begins that is not yet whole.
    rest: u16,
    /// The chunk's length.
    len: u16,
}

/// Walks snapshots, and no part of them twice while it remembers it.
#[derive(Debug)]
pub struct Reach<'s, S: ?Sized, V> {
    store: &'s S,
    visitor: V,
    snapshots: HashSet<ContentHash>,
    walked: HashSet<Walked>,
    /// What the chunk of each step was found to be: all entries from the place on that end in it were walked.
    steps: HashMap<StepFrom, Stepped>,
}

impl<'s, S: ObjectStore + ?Sized, V: Visitor> Reach<'s, S, V> {
    /// Has walked nothing yet.
    pub fn new(store: &'s S, visitor: V) -> Self {
        Self {
            store,
            visitor,
            snapshots: HashSet::new(),
            walked: HashSet::new(),
            steps: HashMap::new(),
        }
    }

    /// Who was told.
    pub fn visitor(&mut self) -> &mut V {
        &mut self.visitor
    }

    /// Who was told; what was walked is forgotten.
    pub fn into_visitor(self) -> V {
        self.visitor
    }

    /// Walks a snapshot and those that it comes from, as far as they were not walked. O(n) for what was not.
    ///
    /// # Errors
    /// [`StoreError::Host`] if the store cannot be read, or the visitor's.
    pub fn snapshot(&mut self, snapshot: &ContentHash) -> Result<(), StoreError> {
        let mut next = Some(*snapshot);
        while let Some(name) = next.filter(|name| !self.snapshots.contains(name)) {
            next = self.one_snapshot(&name)?;
        }
        Ok(())
    }

    /// Walks a snapshot alone, if it was not walked; says which it comes from, if it was and could be read.
    ///
    /// # Errors
    /// As [`Reach::snapshot`].
    pub fn one_snapshot(
        &mut self,
        snapshot: &ContentHash,
    ) -> Result<Option<ContentHash>, StoreError> {
        if !self.snapshots.insert(*snapshot) || !self.touch(snapshot)? {
            return Ok(None);
        }
        let record = match record::read(self.store, snapshot) {
            Ok(record) => record,
            Err(error) => {
                self.refuse(snapshot, error)?;
                return Ok(None);
            }
        };
        self.listing(&record.listing)?;
        Ok(record.parent)
    }

    fn refuse(&mut self, snapshot: &ContentHash, error: RecordError) -> Result<(), StoreError> {
        let hash = *snapshot;
        match error {
            RecordError::Blob(crate::blob::BlobError::Store(error)) => self.unreadable(error),
            RecordError::Unsupported { .. } => self.visitor.fault(&Fault::Unsupported { hash }),
            _ => self.visitor.fault(&Fault::NotASnapshot { hash }),
        }
    }

    /// Tells of an object; false if it is not there.
    fn touch(&mut self, hash: &ContentHash) -> Result<bool, StoreError> {
        match self.visitor.object(hash) {
            Ok(()) => Ok(true),
            Err(StoreError::Missing { .. }) => {
                self.visitor.fault(&Fault::Missing { hash: *hash })?;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// A chunk that leads to others, told of and read; `None` if it is not there or damaged.
    fn chunk(&mut self, hash: &ContentHash) -> Result<Option<Vec<u8>>, StoreError> {
        if !self.touch(hash)? {
            return Ok(None);
        }
        self.read(hash)
    }

    fn read(&mut self, hash: &ContentHash) -> Result<Option<Vec<u8>>, StoreError> {
        match self.store.get_within(hash, ChunkSizes::FORMAT.max() as u64) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) => self.unreadable(error).map(|()| None),
        }
    }

    fn unreadable(&mut self, error: StoreError) -> Result<(), StoreError> {
        match error {
            StoreError::Missing { hash } => self.visitor.fault(&Fault::Missing { hash }),
            StoreError::Frame { hash, error } => {
                self.visitor.fault(&Fault::Damaged { hash, error })
            }
            error => Err(error),
        }
    }

    /// All that a value of an entry refers to.
    fn content(&mut self, blob: &Blob) -> Result<(), StoreError> {
        let walked = match (blob.id, blob.index) {
            (BlobId::Chunk { hash, .. }, None) => return self.touch(&hash).map(|_| ()),
            (BlobId::List { .. }, Some(BlobIndex { depth, top })) => walked(&top, depth, false),
            _ => return self.visitor.fault(&Fault::Value { id: blob.id }),
        };
        if self.walked.contains(&walked) {
            return Ok(());
        }
        let mut names = Names::new(blob);
        let mut last = None;
        while let Some((hash, _)) = names.next(self)? {
            // Long runs of one chunk, as a sparse file has, are told of once.
            if last != Some(hash) {
                self.touch(&hash)?;
                last = Some(hash);
            }
        }
        match names.end {
            End::Whole => self.remember(walked),
            End::Unreadable => {}
            End::Malformed => self.visitor.fault(&Fault::Value { id: blob.id })?,
        }
        Ok(())
    }

    fn remember(&mut self, walked: Walked) {
        if self.walked.len() >= MOST_WALKED {
            self.walked.clear();
        }
        self.walked.insert(walked);
    }

    /// All that the entries of a listing refer to, and its own chunks.
    ///
    /// A listing is cut by its content, so entries lie across cuts. What is behind a cut can be passed over if the same step was
    /// made before: from the same chunk, with its rest from the same byte on, over the same chunk.
    fn listing(&mut self, listing: &Blob) -> Result<(), StoreError> {
        let whole = match (listing.id, listing.index) {
            (BlobId::Chunk { hash, .. }, None) => walked(&hash, 0, true),
            (BlobId::List { .. }, Some(BlobIndex { depth, top })) => walked(&top, depth, true),
            _ => return self.visitor.fault(&Fault::Listing { id: listing.id }),
        };
        if self.walked.contains(&whole) {
            return Ok(());
        }
        let mut names = Names::new(listing);
        let mut walk = ListingWalk::Between { place: Place::START, len: 0 };
        while let Some((hash, len)) = names.next(self)? {
            if names.end != End::Whole {
                walk = ListingWalk::Lost;
            }
            walk = self.step(walk, hash, len)?;
        }
        let is_whole = match walk {
            ListingWalk::Between { place, len } => u32::from(place.rest) == len,
            ListingWalk::Within { ref bytes, .. } => bytes.is_empty(),
            ListingWalk::Lost => return Ok(()),
            ListingWalk::Malformed => false,
        };
        match names.end {
            End::Whole if is_whole => self.remember(whole),
            End::Unreadable => {}
            _ => self.visitor.fault(&Fault::Listing { id: listing.id })?,
        }
        Ok(())
    }

    /// Walks the entries that end in the next chunk of a listing.
    fn step(
        &mut self,
        walk: ListingWalk,
        hash: ContentHash,
        len: u32,
    ) -> Result<ListingWalk, StoreError> {
        let place = match &walk {
            ListingWalk::Between { place, .. } => Some(*place),
            ListingWalk::Within { from, .. } => *from,
            // Where entries begin is not known any more: the chunks themselves can still be told of.
            ListingWalk::Lost | ListingWalk::Malformed => return self.touch(&hash).map(|_| walk),
        };
        let from = place.map(|Place { chunk, rest }| StepFrom {
            chunk: short(&chunk),
            rest,
            next: short(&hash),
        });
        // A list that lies about a length is not to be led over the chunk by another's steps.
        let known = from.and_then(|from| self.steps.get(&from));
        if let Some(Stepped { rest, .. }) = known.filter(|known| u32::from(known.len) == len) {
            return Ok(ListingWalk::Between { place: Place { chunk: hash, rest: *rest }, len });
        }
        let mut bytes = match walk {
            ListingWalk::Within { bytes, .. } => bytes,
            ListingWalk::Between { place, len: before } if u32::from(place.rest) < before => {
                match self.read(&place.chunk)? {
                    Some(mut chunk) => chunk.split_off(usize::from(place.rest).min(chunk.len())),
                    None => return self.touch(&hash).map(|_| ListingWalk::Lost),
                }
            }
            _ => Vec::new(),
        };
        let Some(chunk) = self.chunk(&hash)? else { return Ok(ListingWalk::Lost) };
        if chunk.len() as u64 != u64::from(len) {
            return Ok(ListingWalk::Malformed);
        }
        let carried = bytes.len();
        bytes.extend_from_slice(&chunk);
        let mut used = 0;
        while let Some(lens) = bytes[used..].first_chunk::<LENGTHS_LEN>() {
            let Some([key, value, note]) = entry_lens(lens) else {
                return Ok(ListingWalk::Malformed);
            };
            let start = used + LENGTHS_LEN;
            let Some(entry) = bytes.get(start..start + key + value + note) else { break };
            let (key, rest) = entry.split_at(key);
            let (value, note) = rest.split_at(value);
            used = start + entry.len();
            self.entry(key, value, note)?;
        }
        // Only a step that ends in the chunk itself can be told again by it.
        let rest = used.checked_sub(carried).and_then(|rest| u16::try_from(rest).ok());
        if let (Some(from), Some(rest), Ok(len)) = (from, rest, u16::try_from(len)) {
            if self.steps.len() >= MOST_STEPS {
                self.steps.clear();
            }
            self.steps.insert(from, Stepped { rest, len });
        }
        let place = rest.map(|rest| Place { chunk: hash, rest });
        bytes.drain(..used);
        Ok(ListingWalk::Within { from: place, bytes })
    }

    /// What one entry of a directory tree refers to: for entries that are kept elsewhere than in a listing.
    ///
    /// # Errors
    /// As [`Reach::snapshot`].
    pub fn entry(&mut self, key: &[u8], value: &[u8], note: &[u8]) -> Result<(), StoreError> {
        let fault = || Fault::Entry { key: key.into() };
        let Ok(entry) = Entry::decode(value) else { return self.visitor.fault(&fault()) };
        let index = match Note::decode(note) {
            Ok(note) => note.index,
            Err(_) => {
                self.visitor.fault(&fault())?;
                None
            }
        };
        match entry.content() {
            Some(id) => self.content(&Blob { id: *id, index }),
            None => Ok(()),
        }
    }
}

/// How far the walk of a listing is.
enum ListingWalk {
    /// Behind a chunk of this length, all of whose entries were walked before, up to a place in it.
    Between { place: Place, len: u32 },
    /// With the bytes of an entry that is not yet whole, which begin at a place in the last chunk, or in one before it.
    Within { from: Option<Place>, bytes: Vec<u8> },
    /// Behind a chunk that could not be read.
    Lost,
    /// Behind bytes that are no entry.
    Malformed,
}

impl Place {
    /// Before the first chunk.
    const START: Self = Self { chunk: ContentHash::from_bytes([0; HASH_LEN]), rest: 0 };
}

fn short(hash: &ContentHash) -> [u8; SHORT_LEN] {
    let mut short = [0; SHORT_LEN];
    short.copy_from_slice(&hash.as_bytes()[..SHORT_LEN]);
    short
}

fn walked(top: &ContentHash, depth: u8, is_listing: bool) -> Walked {
    let mut walked = [0; SHORT_LEN + 1];
    walked[..SHORT_LEN].copy_from_slice(&short(top));
    walked[SHORT_LEN] = (depth & 0x7f) | if is_listing { 0x80 } else { 0 };
    walked
}

/// How the names of a value's chunks came to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// All were named.
    Whole,
    /// A list was missing or damaged, and the fault was told.
    Unreadable,
    /// The lists make up no value.
    Malformed,
}

/// The names and lengths of a value's chunks, one after the other, telling of the lists on the way.
struct Names {
    id: BlobId,
    /// The top list's chunk, until it is read.
    top: Option<ContentHash>,
    /// The lists, the one that names the value's own chunks first.
    lists: Vec<List>,
    /// Bytes of the value that were named.
    named: u64,
    /// Nothing more comes.
    is_done: bool,
    end: End,
}

#[derive(Default)]
struct List {
    bytes: Vec<u8>,
    used: usize,
    /// Bytes to come that belong to a record whose beginning is lost.
    skipped: usize,
    /// A chunk below the least length was named, so it must be the last.
    ended: bool,
}

impl Names {
    fn new(blob: &Blob) -> Self {
        let mut names = Self {
            id: blob.id,
            top: None,
            lists: Vec::new(),
            named: 0,
            is_done: false,
            end: End::Whole,
        };
        match blob.index {
            Some(BlobIndex { depth: depth @ 1..=MAX_DEPTH, top }) => {
                names.top = Some(top);
                names.lists.resize_with(usize::from(depth), List::default);
            }
            Some(_) => names.stop(End::Malformed),
            None => {}
        }
        names
    }

    fn stop(&mut self, end: End) {
        self.is_done = true;
        // What was told of first stays.
        if self.end == End::Whole {
            self.end = end;
        }
    }

    /// The next chunk of the value.
    fn next<S: ObjectStore + ?Sized, V: Visitor>(
        &mut self,
        reach: &mut Reach<'_, S, V>,
    ) -> Result<Option<(ContentHash, u32)>, StoreError> {
        if self.is_done {
            return Ok(None);
        }
        if let BlobId::Chunk { hash, len } = self.id {
            self.is_done = true;
            return Ok(Some((hash, len)));
        }
        if let Some(top) = self.top.take() {
            match reach.chunk(&top)? {
                Some(bytes) => {
                    if let Some(list) = self.lists.last_mut() {
                        list.bytes = bytes;
                    }
                }
                None => {
                    self.stop(End::Unreadable);
                    return Ok(None);
                }
            }
        }
        let next = self.record(reach, 0)?;
        match next {
            Some((_, len)) => {
                self.named = self.named.saturating_add(u64::from(len));
                // Else a few objects could keep us busy without end for a short value.
                if self.named > self.id.len() {
                    self.stop(End::Malformed);
                    return Ok(None);
                }
            }
            None if !self.is_done => {
                // What an unreadable list named is not counted.
                let is_short = self.named != self.id.len() && self.end == End::Whole;
                self.stop(if is_short { End::Malformed } else { End::Whole });
            }
            None => {}
        }
        Ok(next)
    }

    /// The next record of the list at `level`, fetching more of it by the list above. Recursion is as deep as there are lists.
    fn record<S: ObjectStore + ?Sized, V: Visitor>(
        &mut self,
        reach: &mut Reach<'_, S, V>,
        level: usize,
    ) -> Result<Option<(ContentHash, u32)>, StoreError> {
        while self.lists[level].unused().len() < RECORD_LEN {
            let more =
                if level + 1 < self.lists.len() { self.record(reach, level + 1)? } else { None };
            let Some((hash, len)) = more else {
                if !self.is_done && !self.lists[level].unused().is_empty() {
                    self.stop(End::Malformed);
                }
                return Ok(None);
            };
            match reach.chunk(&hash)? {
                Some(bytes) if bytes.len() as u64 == u64::from(len) => {
                    self.lists[level].append(&bytes);
                }
                Some(_) => {
                    self.stop(End::Malformed);
                    return Ok(None);
                }
                // Records have one length, so where they go on behind a hole in the lowest list is known; in the others, the
                // hole is one of unknown length for the list below.
                None if level == 0 => {
                    self.end = End::Unreadable;
                    self.lists[level].lose(len);
                }
                None => {
                    self.stop(End::Unreadable);
                    return Ok(None);
                }
            }
        }
        let list = &mut self.lists[level];
        let Some((hash, rest)) = list.unused().split_first_chunk::<HASH_LEN>() else {
            return Ok(None);
        };
        let Some((len, _)) = rest.split_first_chunk::<4>() else { return Ok(None) };
        let (hash, len) = (ContentHash::from_bytes(*hash), u32::from_le_bytes(*len));
        list.used += RECORD_LEN;
        let is_chunk_len = u64::from(len) <= ChunkSizes::FORMAT.max() as u64;
        if list.ended || len == 0 || !is_chunk_len {
            self.stop(End::Malformed);
            return Ok(None);
        }
        list.ended = u64::from(len) < ChunkSizes::FORMAT.min() as u64;
        Ok(Some((hash, len)))
    }
}

impl List {
    fn unused(&self) -> &[u8] {
        &self.bytes[self.used..]
    }

    fn append(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.used);
        self.used = 0;
        let skipped = self.skipped.min(bytes.len());
        self.skipped -= skipped;
        self.bytes.extend_from_slice(&bytes[skipped..]);
    }

    /// Passes over bytes that cannot be read, and over what they cut off at both ends.
    fn lose(&mut self, len: u32) {
        let begun = self.unused().len() as u64 + u64::from(len);
        // What was still to be passed over lies within the hole, unless the hole is shorter.
        let begun = begun + (RECORD_LEN as u64 - self.skipped as u64) % RECORD_LEN as u64;
        let over = begun % RECORD_LEN as u64;
        self.bytes.clear();
        self.used = 0;
        // UNWRAP: it is below the length of a record.
        self.skipped = usize::try_from((RECORD_LEN as u64 - over) % RECORD_LEN as u64)
            .expect("less than a record");
    }
}
