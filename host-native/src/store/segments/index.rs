// SPDX-License-Identifier: MIT
//! Where each object lies: an LMDB environment with one database.
//!
//! Keys of 32 bytes are content hashes; their values are, little-endian:
//!
//! | offset | bytes | field |
//! |-------:|------:|-------|
//! | 0 | 4 | number of the segment |
//! | 4 | 4 | length of the frame, in bytes |
//! | 8 | 8 | where the frame begins in the segment |
//! | 16 | 4 | length of the object, in bytes |
//! | 20 | 4 | when it was put last, in seconds since 1970 |
//! | 24 | 4 | flags: 1, its bytes were synced; who does not know another must not change the entry |
//!
//! The key `CCSI` holds the format's own version, 1, the hash function, and two zero bytes. LMDB's transactions are what several
//! processes publish by and read by. A process may open an environment once only, so its stores share what is open here.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use cascow_core::hash::{ContentHash, HASH_LEN, HashKind};
use heed::types::Bytes;
use heed::{Database, Env, EnvOpenOptions, MdbError};
use rustix::fs::FallocateFlags;

use super::batch::{Batch, Change};
use super::writer::SegmentNumber;
use crate::Error;

const FORMAT_KEY: &[u8] = b"CCSI";
const VERSION: u8 = 1;
const ENTRY_LEN: usize = 28;
const SYNCED: u32 = 1;

/// Address space set aside for the index, and so its greatest length: about 600 million objects. It costs nothing until used.
const MAP_LEN: u64 = 64 << 30;

/// Threads that read at once, of all processes together. A slot is 64 bytes.
const MOST_READERS: u32 = 4096;

/// Ages are kept to so many seconds: putting an object again and again must not write its entry each time.
const AGE_STEP: u32 = 60;

/// The file within the environment that holds it all.
pub(super) const DATA_NAME: &str = "data.mdb";

/// What the index says of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) segment: SegmentNumber,
    pub(super) offset: u64,
    pub(super) stored_len: u32,
    pub(super) raw_len: u32,
    pub(super) put_at: u32,
    pub(super) synced: bool,
}

impl Entry {
    fn to_bytes(self) -> [u8; ENTRY_LEN] {
        let mut bytes = [0; ENTRY_LEN];
        bytes[..4].copy_from_slice(&self.segment.0.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.stored_len.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.offset.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.raw_len.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.put_at.to_le_bytes());
        bytes[24..].copy_from_slice(&(if self.synced { SYNCED } else { 0 }).to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; ENTRY_LEN] = bytes.try_into().ok()?;
        let word = |at: usize| {
            let word = bytes.get(at..)?.first_chunk()?;
            Some(u32::from_le_bytes(*word))
        };
        let flags = word(24)?;
        (flags & !SYNCED == 0).then_some(Self {
            segment: SegmentNumber(word(0)?),
            stored_len: word(4)?,
            offset: u64::from_le_bytes(*bytes.get(8..)?.first_chunk()?),
            raw_len: word(16)?,
            put_at: word(20)?,
            synced: flags == SYNCED,
        })
    }

    fn is_at_the_place_of(&self, other: &Self) -> bool {
        (self.segment, self.offset) == (other.segment, other.offset)
    }

    /// Whether an object with this entry that is put now needs its entry written.
    pub(super) fn is_stale(&self, now: u32, synced: bool) -> bool {
        now.saturating_sub(self.put_at) >= AGE_STEP || (synced && !self.synced)
    }
}

/// The open index.
#[derive(Debug)]
pub(super) struct Index {
    env: Env,
    entries: Database<Bytes, Bytes>,
    dir: PathBuf,
}

/// The environments that this process has open.
static OPEN: Mutex<Vec<(PathBuf, Weak<Index>)>> = Mutex::new(Vec::new());

impl Index {
    /// Opens the environment in an existing directory, or makes it there.
    pub(super) fn open(dir: &Path, kind: HashKind) -> Result<Arc<Self>, Error> {
        let dir = dir.canonicalize().map_err(Error::io("open", dir))?;
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|(_, index)| index.strong_count() > 0);
        let known = open.iter().find(|(path, _)| *path == dir);
        if let Some(index) = known.and_then(|(_, index)| index.upgrade()) {
            index.check_format(kind)?;
            return Ok(index);
        }
        // The last who had it open may just be closing it.
        if let Some(closing) = heed::env_closing_event(&dir) {
            closing.wait();
        }
        let env = open_env(&dir)?;
        // Before anything of it is read: that would be an access beyond the file's end.
        if missing_len(&env, &dir)?.is_some() {
            env.prepare_for_closing().wait();
            return Err(Error::NotARepository { path: dir, reason: DAMAGED });
        }
        let mut txn = env.write_txn().map_err(failed("open", &dir))?;
        let entries = env.create_database(&mut txn, None).map_err(failed("open", &dir))?;
        let index = Self { env: env.clone(), entries, dir: dir.clone() };
        let format = [VERSION, kind.id(), 0, 0];
        let is_empty = entries.is_empty(&txn).map_err(failed("read", &dir))?;
        if is_empty {
            entries.put(&mut txn, FORMAT_KEY, &format).map_err(failed("write", &dir))?;
            txn.commit().map_err(failed("write", &dir))?;
        } else {
            drop(txn);
        }
        index.check_format(kind)?;
        index.env.clear_stale_readers().map_err(failed("open", &dir))?;
        let index = Arc::new(index);
        open.push((dir, Arc::downgrade(&index)));
        Ok(index)
    }

    fn check_format(&self, kind: HashKind) -> Result<(), Error> {
        let txn = self.env.read_txn().map_err(failed("read", &self.dir))?;
        let format = self.entries.get(&txn, FORMAT_KEY).map_err(failed("read", &self.dir))?;
        let reason = match format {
            Some([VERSION, hash, 0, 0]) if *hash == kind.id() => return Ok(()),
            Some([VERSION, _, 0, 0]) => "it is an index by another hash function",
            _ => "it is an index of a version that this build does not read; a newer cascow may",
        };
        Err(Error::NotARepository { path: self.dir.clone(), reason })
    }

    /// What it says of an object. O(log n).
    pub(super) fn entry(&self, hash: &ContentHash) -> Result<Option<Entry>, Error> {
        let txn = self.env.read_txn().map_err(failed("read", &self.dir))?;
        let bytes = self.entries.get(&txn, hash.as_bytes()).map_err(failed("read", &self.dir))?;
        bytes.map(|bytes| self.parse(bytes)).transpose()
    }

    /// The next entries by name, at most `most`, that come after one. O(log n + most).
    pub(super) fn entries_after(
        &self,
        last: Option<ContentHash>,
        most: usize,
    ) -> Result<Vec<(ContentHash, Entry)>, Error> {
        use std::ops::Bound;
        let start = match &last {
            Some(hash) => Bound::Excluded(&hash.as_bytes()[..]),
            None => Bound::Unbounded,
        };
        let txn = self.env.read_txn().map_err(failed("read", &self.dir))?;
        let range = (start, Bound::Unbounded);
        let range = self.entries.range(&txn, &range).map_err(failed("read", &self.dir))?;
        let mut found = Vec::new();
        for item in range {
            let (key, bytes) = item.map_err(failed("read", &self.dir))?;
            // The format's own key is no object's.
            let Ok(hash) = <[u8; HASH_LEN]>::try_from(key) else { continue };
            found.push((ContentHash::from_bytes(hash), self.parse(bytes)?));
            if found.len() == most {
                break;
            }
        }
        Ok(found)
    }

    fn parse(&self, bytes: &[u8]) -> Result<Entry, Error> {
        Entry::from_bytes(bytes).ok_or_else(|| Error::NotARepository {
            path: self.dir.clone(),
            reason: "the index holds what this build does not understand",
        })
    }

    /// Publishes a batch in one transaction, durably. `placed` is where its records were appended, `now` the time, `synced`
    /// whether the bytes that it names were. O(k log n).
    pub(super) fn publish(
        &self,
        batch: &Batch,
        placed: Option<(SegmentNumber, u64)>,
        now: u32,
        synced: bool,
    ) -> Result<(), Error> {
        // In the order of the keys, neighbours share their pages.
        let mut changes: Vec<(&ContentHash, &Change)> = batch.changes.iter().collect();
        changes.sort_unstable_by_key(|(hash, _)| **hash);
        let write = || -> Result<(), heed::Error> {
            let mut txn = self.env.write_txn()?;
            for (hash, change) in changes {
                let key = &hash.as_bytes()[..];
                let (ours, mends) = match (*change, placed) {
                    (Change::Put { at, stored_len, raw_len, mends }, Some((segment, offset))) => {
                        let offset = offset + at as u64;
                        (Entry { segment, offset, stored_len, raw_len, put_at: now, synced }, mends)
                    }
                    // A batch with objects has records.
                    (Change::Put { .. }, None) => continue,
                    (Change::Refresh(entry), _) => {
                        (Entry { put_at: now, synced: synced || entry.synced, ..entry }, false)
                    }
                    (Change::Delete(seen), _) => {
                        // Who put it meanwhile, in whatever process, keeps it.
                        let found = self.entries.get(&txn, key)?.and_then(Entry::from_bytes);
                        if found == Some(seen) {
                            self.entries.delete(&mut txn, key)?;
                        }
                        continue;
                    }
                };
                let bytes = ours.to_bytes();
                let found = self.entries.get_or_put(&mut txn, key, &bytes)?;
                let Some(found) = found.map(Entry::from_bytes) else { continue };
                if let Some(entry) = settle(found, ours, mends) {
                    self.entries.put(&mut txn, key, &entry.to_bytes())?;
                }
            }
            txn.commit()
        };
        write().map_err(failed("write", &self.dir))?;
        self.fill_up()
    }

    /// LMDB does not write a page that it frees in the transaction that made it, were it the last of the file; then the file is
    /// as long as one that was cut off. Allocating never shortens it, whoever else lengthens it meanwhile.
    fn fill_up(&self) -> Result<(), Error> {
        if let Some(expected) = missing_len(&self.env, &self.dir)? {
            let path = self.dir.join(DATA_NAME);
            let file = std::fs::File::options().write(true).open(&path);
            let file = file.map_err(Error::io("open", &path))?;
            rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, expected)
                .map_err(Error::io("lengthen", &path))?;
        }
        Ok(())
    }

    /// Closes the environment, if nobody else in this process uses it.
    pub(super) fn close(self: Arc<Self>) {
        if let Some(index) = Arc::into_inner(self) {
            index.env.prepare_for_closing().wait();
        }
    }
}

/// How long the file should be, if it is shorter than what the index says of itself.
fn missing_len(env: &Env, dir: &Path) -> Result<Option<u64>, Error> {
    // By its own pages, not this machine's: the repository may come from another.
    let page_len = u64::from(env.stat().page_size);
    // In this order: others may lengthen it meanwhile, and then say so.
    let expected = (env.info().last_page_number as u64 + 1) * page_len;
    let found = env.real_disk_size().map_err(failed("look at", dir))?;
    Ok((found < expected).then_some(expected))
}

/// What to write where the index names an object already, in place of `found` (`None`: damaged).
fn settle(found: Option<Entry>, ours: Entry, mends: bool) -> Option<Entry> {
    let Some(found) = found else { return Some(ours) };
    // What others acknowledged as durable must stay so: ours takes its place if it is no less so.
    if found.is_at_the_place_of(&ours) || mends || (ours.synced && !found.synced) {
        return Some(Entry { synced: ours.synced || (found.synced && !mends), ..ours });
    }
    let put_at = found.put_at.max(ours.put_at);
    (put_at - found.put_at >= AGE_STEP).then_some(Entry { put_at, ..found })
}

#[expect(unsafe_code, reason = "heed maps a file into memory, which others could cut off")]
fn open_env(dir: &Path) -> Result<Env, Error> {
    let map_len = usize::try_from(MAP_LEN).map_err(|_| {
        Error::Unavailable("a store of segments needs a processor of 64 bits".to_owned())
    })?;
    let mut options = EnvOpenOptions::new();
    options.map_size(map_len).max_readers(MOST_READERS);
    // SAFETY: the file is changed by LMDB alone, under its own locks; that it is as long as it says is looked at before anything
    // of it is read. It is opened once in a process: `OPEN` is held, and `Index` keeps the environment.
    unsafe { options.open(dir) }.map_err(failed("open", dir))
}

/// For `map_err`: LMDB's errors, with what was tried on which index.
fn failed(operation: &'static str, dir: &Path) -> impl FnOnce(heed::Error) -> Error {
    let path = dir.to_owned();
    move |error| match error {
        heed::Error::Io(error) => Error::io(operation, path)(error),
        heed::Error::Mdb(
            MdbError::Corrupted | MdbError::PageNotFound | MdbError::Invalid | MdbError::Panic,
        ) => Error::NotARepository { path, reason: DAMAGED },
        error => Error::io(operation, path)(std::io::Error::other(error)),
    }
}

/// What is said of a damaged index.
pub(super) const DAMAGED: &str = "the index of the segments is damaged; without this directory, it is made again from the segments";

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(segment: u32, put_at: u32, synced: bool) -> Entry {
        let segment = SegmentNumber(segment);
        Entry { segment, offset: 48, stored_len: 20, raw_len: 4, put_at, synced }
    }

    #[test]
    fn an_entry_is_read_as_it_was_written_and_nothing_else_is() {
        for synced in [false, true] {
            let entry = entry(7, 1_700_000_000, synced);
            let bytes = entry.to_bytes();
            assert_eq!(Entry::from_bytes(&bytes), Some(entry));
            assert_eq!(Entry::from_bytes(&bytes[1..]), None);
        }
        let mut unknown = entry(7, 0, true).to_bytes();
        unknown[24] = 3;
        assert_eq!(Entry::from_bytes(&unknown), None, "a flag that is not known");
    }

    #[test]
    fn what_is_synced_is_never_replaced_by_what_is_not() {
        let (synced, unsynced) = (entry(1, 100, true), entry(2, 100, false));
        assert_eq!(settle(Some(synced), unsynced, false), None);
        assert_eq!(settle(Some(unsynced), synced, false), Some(synced));
        assert_eq!(
            settle(Some(entry(1, 100, true)), entry(1, 900, false), false),
            Some(entry(1, 900, true))
        );
        // What is damaged was no use, synced or not.
        assert_eq!(settle(Some(synced), unsynced, true), Some(unsynced));
        assert_eq!(settle(None, unsynced, false), Some(unsynced));
    }

    #[test]
    fn who_keeps_anothers_entry_makes_it_young() {
        let (old, ours) = (entry(1, 100, true), entry(2, 900, true));
        assert_eq!(settle(Some(old), ours, false), Some(entry(1, 900, true)));
        assert_eq!(settle(Some(old), entry(2, 159, true), false), None, "not each time");
    }
}
