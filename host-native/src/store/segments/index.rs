// SPDX-License-Identifier: MIT
//! Where each object lies: a [table](crate::disk::Table) with an entry for each object and one for each segment.
//!
//! Keys of 32 bytes are content hashes; their values are eight numbers of 32 bits, little-endian:
//!
//! | offset | field |
//! |-------:|-------|
//! | 0 | number of the segment |
//! | 4 | number of the object within its segment, in the order in which they were appended |
//! | 8 | where the frame begins in the segment; of an object in a block, where the block's record begins |
//! | 12 | how many bytes from there are to be read |
//! | 16 | where the object begins in the decoded block; all ones for an object with a frame of its own |
//! | 20 | length of the object, in bytes |
//! | 24 | its share of the segment's bytes |
//! | 28 | when it was put last, in seconds since 1970: when its process entered it here, which is somewhat later |
//!
//! A segment's key is `S` and its number, big-endian:
//!
//! | offset | bytes | field |
//! |-------:|------:|-------|
//! | 0 | 8 | up to where its records are in the index: what is behind is its writer's, or was |
//! | 8 | 4 | objects appended up to there |
//! | 12 | 4 | entries that name it |
//! | 16 | 8 | the shares of those, together |
//! | 24 | 4 | when the last of them was taken away by the collector, in seconds since 1970; 0 if it was not |
//! | 28 | 4 | 1 if its file is to be removed, else 0 |
//!
//! The key `CCSI` holds the format's own version, 2, the hash function, and two zero bytes; `CCSN` the greatest number that a
//! removed segment had, 4 bytes: numbers are not used again. The table's transactions are what several processes publish by
//! and read by.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use cascow_core::hash::{ContentHash, HASH_LEN, HashKind};

use super::number::SegmentNumber;
use crate::Error;
use crate::disk::{Access, Disk, Table, TableWriter};

const FORMAT_KEY: &[u8] = b"CCSI";
const REMOVED_KEY: &[u8] = b"CCSN";
const VERSION: u8 = 2;
const ENTRY_LEN: usize = 32;
const ALONE: u32 = u32::MAX;

/// Ages are kept to so many seconds: putting an object again and again must not write its entry each time.
const AGE_STEP: u32 = 60;

/// Looks after which memory is given back while it is spared. A look touches a page at each level of the tree, of which the lowest two
/// are seldom those of the look before, and the kernel maps sixteen pages of 4 KiB around each: 32 MB, and little more.
const SPARED: u32 = 1 << 8;

/// What the index says of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) segment: SegmentNumber,
    pub(super) ordinal: u32,
    pub(super) offset: u32,
    pub(super) len: u32,
    /// Where it begins in its decoded block, if it is in one.
    pub(super) within: Option<u32>,
    pub(super) raw_len: u32,
    pub(super) share: u32,
    pub(super) put_at: u32,
}

impl Entry {
    fn to_bytes(self) -> [u8; ENTRY_LEN] {
        let words = [
            self.segment.0,
            self.ordinal,
            self.offset,
            self.len,
            self.within.unwrap_or(ALONE),
            self.raw_len,
            self.share,
            self.put_at,
        ];
        let mut bytes = [0; ENTRY_LEN];
        for (place, word) in bytes.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; ENTRY_LEN] = bytes.try_into().ok()?;
        let (words, _) = bytes.as_chunks::<4>();
        let word = |at: usize| words.get(at).map(|word| u32::from_le_bytes(*word));
        Some(Self {
            segment: SegmentNumber(word(0)?),
            ordinal: word(1)?,
            offset: word(2)?,
            len: word(3)?,
            within: word(4).filter(|within| *within != ALONE),
            raw_len: word(5)?,
            share: word(6)?,
            put_at: word(7)?,
        })
    }

    /// Whether both say that the object lies in one place.
    pub(super) fn is_where(&self, other: &Self) -> bool {
        (self.segment, self.offset, self.within) == (other.segment, other.offset, other.within)
    }
}

/// What the index says of a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SegmentState {
    pub(super) indexed: u64,
    pub(super) objects: u32,
    pub(super) live: u32,
    pub(super) live_bytes: u64,
    /// When the collector emptied it; 0 if it did not.
    pub(super) retired_at: u32,
    pub(super) is_dead: bool,
}

impl SegmentState {
    fn to_bytes(self) -> [u8; ENTRY_LEN] {
        let mut bytes = [0; ENTRY_LEN];
        bytes[..8].copy_from_slice(&self.indexed.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.objects.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.live.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.live_bytes.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.retired_at.to_le_bytes());
        bytes[28..].copy_from_slice(&u32::from(self.is_dead).to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; ENTRY_LEN] = bytes.try_into().ok()?;
        let word = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
        let long = |at: usize| Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
        Some(Self {
            indexed: long(0)?,
            objects: word(8)?,
            live: word(12)?,
            live_bytes: long(16)?,
            retired_at: word(24)?,
            is_dead: word(28)? != 0,
        })
    }

    fn gain(&mut self, entry: &Entry) {
        self.live = self.live.saturating_add(1);
        self.live_bytes = self.live_bytes.saturating_add(u64::from(entry.share));
        self.retired_at = 0;
    }

    fn lose(&mut self, entry: &Entry) {
        self.live = self.live.saturating_sub(1);
        self.live_bytes = self.live_bytes.saturating_sub(u64::from(entry.share));
    }
}

fn segment_key(number: SegmentNumber) -> [u8; 5] {
    let [a, b, c, d] = number.0.to_be_bytes();
    [b'S', a, b, c, d]
}

/// A record that was appended, and is to be named.
#[derive(Clone, Copy, Debug)]
pub(super) struct Appended {
    pub(super) entry: Entry,
    /// Whether what the index names is damaged and must be replaced.
    pub(super) mends: bool,
}

/// The open index.
#[derive(Debug)]
pub(super) struct Index {
    table: Arc<dyn Table>,
    dir: PathBuf,
    /// How many want memory to be spared at the moment.
    sparing: AtomicU32,
    /// Looks since it was given back.
    looks: AtomicU32,
}

/// As long as it is held, the memory in which the index caches what is looked up is given back from time to time.
#[derive(Debug)]
pub(super) struct Sparing<'i>(&'i Index);

impl Drop for Sparing<'_> {
    fn drop(&mut self) {
        self.0.sparing.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Index {
    /// Opens the index in an existing directory, or makes it there. `None` if it has to be made anew from the segments: damaged,
    /// or without anything in it.
    pub(super) fn open(
        disk: &dyn Disk,
        dir: &Path,
        kind: HashKind,
        access: Access,
    ) -> Result<Option<Self>, Error> {
        let table = match disk.table(dir, access) {
            Ok(table) => table,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Ok(None),
            Err(error) => return Err(Error::io("open", dir)(error)),
        };
        let index = Self::of(table, dir);
        let refuse = |reason| Error::NotARepository { path: dir.to_owned(), reason };
        match index.value(FORMAT_KEY)?.as_deref() {
            Some([VERSION, hash, 0, 0]) if *hash == kind.id() => Ok(Some(index)),
            Some([VERSION, _, 0, 0]) => Err(refuse("it is an index by another hash function")),
            Some([1, ..]) => Err(refuse(
                "it is an index of version 1, which was never released; without this directory it is made again",
            )),
            Some(_) => Err(refuse(
                "it is an index of a version that this build does not read; a newer cascow may",
            )),
            None => Ok(None),
        }
    }

    /// Makes an index without entries, in a directory that has none.
    pub(super) fn create(disk: &dyn Disk, dir: &Path, kind: HashKind) -> Result<Self, Error> {
        let table = disk.table(dir, Access::Write).map_err(Error::io("create", dir))?;
        let index = Self::of(table, dir);
        index.write(&mut |txn| txn.put(FORMAT_KEY, &[VERSION, kind.id(), 0, 0]))?;
        Ok(index)
    }

    fn of(table: Arc<dyn Table>, dir: &Path) -> Self {
        let (sparing, looks) = (AtomicU32::new(0), AtomicU32::new(0));
        Self { table, dir: dir.to_owned(), sparing, looks }
    }

    fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let mut value = None;
        self.table
            .get_many(&[key], &mut |_, found| value = Some(found.to_vec()))
            .map_err(self.failed("read"))?;
        Ok(value)
    }

    /// What it says of an object. O(log n).
    pub(super) fn entry(&self, hash: &ContentHash) -> Result<Option<Entry>, Error> {
        let mut entry = None;
        self.entries(std::slice::from_ref(hash), &mut |_, found| entry = Some(found))?;
        Ok(entry)
    }

    /// What it says of objects, by their position; of one moment. O(k log n).
    pub(super) fn entries(
        &self,
        hashes: &[ContentHash],
        found: &mut dyn FnMut(usize, Entry),
    ) -> Result<(), Error> {
        self.look(hashes.len());
        let mut is_damaged = false;
        let mut show = |position, bytes: &[u8]| match Entry::from_bytes(bytes) {
            Some(entry) => found(position, entry),
            None => is_damaged = true,
        };
        match hashes {
            [hash] => self.table.get_many(&[hash.as_bytes()], &mut show),
            _ => {
                let keys: Vec<&[u8]> = hashes.iter().map(|hash| &hash.as_bytes()[..]).collect();
                self.table.get_many(&keys, &mut show)
            }
        }
        .map_err(self.failed("read"))?;
        if is_damaged { Err(self.damaged()) } else { Ok(()) }
    }

    /// The next entries by name, at most `most`, that come after one. O(log n + most).
    pub(super) fn entries_after(
        &self,
        last: Option<ContentHash>,
        most: usize,
    ) -> Result<Vec<(ContentHash, Entry)>, Error> {
        let (mut found, mut is_damaged) = (Vec::new(), false);
        let after = last.as_ref().map(|hash| &hash.as_bytes()[..]);
        self.table
            .scan(after, &mut |key, value| {
                // Other keys are not objects'.
                if let Ok(hash) = <[u8; HASH_LEN]>::try_from(key) {
                    match Entry::from_bytes(value) {
                        Some(entry) => found.push((ContentHash::from_bytes(hash), entry)),
                        None => is_damaged = true,
                    }
                }
                found.len() < most && !is_damaged
            })
            .map_err(self.failed("read"))?;
        if is_damaged { Err(self.damaged()) } else { Ok(found) }
    }

    /// What it says of segments; `None` of those that it does not know.
    pub(super) fn segments(
        &self,
        numbers: &[SegmentNumber],
    ) -> Result<Vec<Option<SegmentState>>, Error> {
        let keys: Vec<[u8; 5]> = numbers.iter().map(|number| segment_key(*number)).collect();
        let keys: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
        let mut states = vec![None; numbers.len()];
        self.table
            .get_many(&keys, &mut |at, value| states[at] = SegmentState::from_bytes(value))
            .map_err(self.failed("read"))?;
        Ok(states)
    }

    pub(super) fn segment(&self, number: SegmentNumber) -> Result<Option<SegmentState>, Error> {
        Ok(self.segments(&[number])?.pop().flatten())
    }

    /// The greatest number that a removed segment had.
    pub(super) fn last_removed(&self) -> Result<u32, Error> {
        let bytes = self.value(REMOVED_KEY)?;
        Ok(bytes.and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes))
    }

    /// Names what was appended to a segment up to `indexed` and what was put again, in one transaction, at the time `now`. The
    /// segment's bytes are synced. Says of one of those put again that it is gone, if any is. O(k log n).
    pub(super) fn publish(
        &self,
        segment: Option<(SegmentNumber, u64, u32)>,
        appended: &[(ContentHash, Appended)],
        hits: &[(ContentHash, Entry)],
        now: u32,
    ) -> Result<Option<ContentHash>, Error> {
        let mut lost = None;
        self.write(&mut |txn| {
            let mut states = States::default();
            lost = None;
            for (hash, Appended { entry, mends }) in appended {
                self.look(1);
                let ours = Entry { put_at: now, ..*entry };
                let key = &hash.as_bytes()[..];
                let Some(found) = txn.insert(key, &ours.to_bytes())? else {
                    states.of(txn, ours.segment)?.gain(&ours);
                    continue;
                };
                let found = Entry::from_bytes(&found);
                if let Some(found) = found.filter(|found| !mends || found.is_where(&ours)) {
                    // Who was first keeps its place, and is as young as ours.
                    refresh(txn, key, found, now)?;
                    continue;
                }
                if let Some(found) = found {
                    states.of(txn, found.segment)?.lose(&found);
                }
                txn.put(key, &ours.to_bytes())?;
                states.of(txn, ours.segment)?.gain(&ours);
            }
            for (hash, seen) in hits {
                let key = &hash.as_bytes()[..];
                if let Some(found) = txn.get(key)?.and_then(Entry::from_bytes) {
                    refresh(txn, key, found, now)?;
                } else {
                    // The collector took it away meanwhile, but not yet its bytes: they stay while who hit it holds a lease.
                    let state = states.of(txn, seen.segment)?;
                    if !state.is_dead && state.indexed > u64::from(seen.offset) {
                        state.gain(seen);
                        txn.put(key, &Entry { put_at: now, ..*seen }.to_bytes())?;
                    } else {
                        lost = Some(*hash);
                    }
                }
            }
            if let Some((number, indexed, objects)) = segment {
                let state = states.of(txn, number)?;
                state.indexed = state.indexed.max(indexed);
                state.objects = state.objects.max(objects);
            }
            states.write(txn)
        })?;
        Ok(lost)
    }

    /// Takes entries away that are still as they were seen. Says how many went.
    pub(super) fn remove(&self, seen: &[(ContentHash, Entry)]) -> Result<Vec<bool>, Error> {
        let mut gone = Vec::new();
        self.write(&mut |txn| {
            gone.clear();
            let mut states = States::default();
            for (hash, entry) in seen {
                let key = &hash.as_bytes()[..];
                let is_same = txn.get(key)?.and_then(Entry::from_bytes) == Some(*entry);
                if is_same {
                    txn.delete(key)?;
                    states.of(txn, entry.segment)?.lose(entry);
                }
                gone.push(is_same);
            }
            states.write(txn)
        })?;
        Ok(gone)
    }

    /// Names new places of objects whose entries still name the old ones. The new segment's bytes are synced.
    pub(super) fn relocate(&self, moves: &[(ContentHash, Entry, Entry)]) -> Result<(), Error> {
        self.write(&mut |txn| {
            let mut states = States::default();
            for (hash, old, new) in moves {
                self.look(1);
                let key = &hash.as_bytes()[..];
                let Some(found) = txn.get(key)?.and_then(Entry::from_bytes) else { continue };
                if found.is_where(old) {
                    txn.put(key, &Entry { put_at: found.put_at, ..*new }.to_bytes())?;
                    states.of(txn, found.segment)?.lose(&found);
                    states.of(txn, new.segment)?.gain(new);
                }
            }
            states.write(txn)
        })
    }

    /// Notes that nothing in a segment is named any more, at the time `now`, if that is so.
    pub(super) fn retire(&self, number: SegmentNumber, now: u32) -> Result<bool, Error> {
        let mut is_retired = false;
        self.write(&mut |txn| {
            let key = segment_key(number);
            let state = txn.get(&key)?.and_then(SegmentState::from_bytes);
            is_retired = state.is_some_and(|state| state.live == 0);
            match state.filter(|state| is_retired && state.retired_at == 0) {
                Some(state) => {
                    txn.put(&key, &SegmentState { retired_at: now.max(1), ..state }.to_bytes())
                }
                None => Ok(()),
            }
        })?;
        Ok(is_retired)
    }

    /// Condemns a retired segment's file, if nothing in it was named again: from here on nothing in it can be. Its number is not
    /// used again.
    pub(super) fn condemn(&self, number: SegmentNumber) -> Result<bool, Error> {
        let mut is_dead = false;
        self.write(&mut |txn| {
            let key = segment_key(number);
            let state = txn.get(&key)?.and_then(SegmentState::from_bytes);
            let Some(state) = state.filter(|state| state.live == 0 && state.retired_at > 0) else {
                is_dead = false;
                return Ok(());
            };
            is_dead = true;
            txn.put(&key, &SegmentState { is_dead: true, ..state }.to_bytes())?;
            let last = txn.get(REMOVED_KEY)?.and_then(|bytes| bytes.try_into().ok());
            let last = last.map_or(0, u32::from_le_bytes).max(number.0);
            txn.put(REMOVED_KEY, &last.to_le_bytes())
        })?;
        Ok(is_dead)
    }

    /// Forgets a segment whose file is gone.
    pub(super) fn forget_segment(&self, number: SegmentNumber) -> Result<(), Error> {
        self.write(&mut |txn| txn.delete(&segment_key(number)).map(drop))
    }

    /// Gives back the memory in which it caches what was looked up.
    pub(super) fn trim(&self) {
        self.table.trim();
    }

    /// For who looks up nearly everything, one after the other, and must not have all of the index in memory for that.
    pub(super) fn spare(&self) -> Sparing<'_> {
        self.sparing.fetch_add(1, Ordering::Relaxed);
        Sparing(self)
    }

    /// Before as many looks, within a transaction too: what that has changed is kept elsewhere.
    fn look(&self, looks: usize) {
        if self.sparing.load(Ordering::Relaxed) == 0 {
            return;
        }
        let looks = u32::try_from(looks).unwrap_or(SPARED).min(SPARED);
        if self.looks.fetch_add(looks, Ordering::Relaxed) >= SPARED {
            self.looks.store(0, Ordering::Relaxed);
            self.trim();
        }
    }

    fn write(
        &self,
        work: &mut dyn FnMut(&mut dyn TableWriter) -> io::Result<()>,
    ) -> Result<(), Error> {
        self.table.write(work).map_err(self.failed("write"))
    }

    fn damaged(&self) -> Error {
        Error::NotARepository { path: self.dir.clone(), reason: DAMAGED }
    }

    /// For `map_err`: what was tried.
    fn failed(&self, operation: &'static str) -> impl FnOnce(io::Error) -> Error {
        let path = self.dir.clone();
        move |error| match error.kind() {
            io::ErrorKind::InvalidData => Error::NotARepository { path, reason: DAMAGED },
            _ => Error::io(operation, path)(error),
        }
    }
}

/// Makes an entry young, unless it is nearly so.
fn refresh(txn: &mut dyn TableWriter, key: &[u8], found: Entry, now: u32) -> io::Result<()> {
    if now > found.put_at {
        txn.put(key, &Entry { put_at: now, ..found }.to_bytes())?;
    }
    Ok(())
}

/// Whether an object that was put last at one time and is put now needs its entry written: if it would be taken for old, by age
/// or because a lease began since.
pub(super) fn is_stale(put_at: u32, now: u32, lease: u32) -> bool {
    now.saturating_sub(put_at) >= AGE_STEP || put_at < lease
}

/// States of segments within a transaction, read once and written once.
#[derive(Default)]
struct States(Vec<(SegmentNumber, SegmentState)>);

impl States {
    fn of(
        &mut self,
        txn: &dyn TableWriter,
        number: SegmentNumber,
    ) -> io::Result<&mut SegmentState> {
        let at = match self.0.iter().position(|(known, _)| *known == number) {
            Some(at) => at,
            None => {
                let state = txn.get(&segment_key(number))?.and_then(SegmentState::from_bytes);
                self.0.push((number, state.unwrap_or_default()));
                self.0.len() - 1
            }
        };
        Ok(&mut self.0[at].1)
    }

    fn write(self, txn: &mut dyn TableWriter) -> io::Result<()> {
        for (number, state) in self.0 {
            // Of a segment whose file is gone nothing is said any more.
            if state != SegmentState::default() {
                txn.put(&segment_key(number), &state.to_bytes())?;
            }
        }
        Ok(())
    }
}

/// What is said of a damaged index.
pub(super) const DAMAGED: &str = "the index of the segments is damaged; without this directory, it is made again from the segments";
