// SPDX-License-Identifier: MIT
//! The store of segments: records gathered in memory, written together, and entered in the index later, many at once.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use cascow_core::frame::FrameError;
use cascow_core::hash::{ContentHash, HashKind};
use cascow_core::store::{ObjectInfo, ObjectStore, Put, StoreError};

use super::format::{self, BLOCK_MOST_LEN, BLOCK_MOST_OBJECTS, Placed, Record};
use super::index::{Appended, Entry, Index, is_stale};
use super::number::SegmentNumber;
use super::reader::{self, DecodedBlock, SegmentReader};
use super::recovery::{self, Opened};
use super::tails::Tails;
use super::writer::SegmentWriter;
use crate::disk::{Disk, DiskFile, LinuxDisk};
use crate::store::names::{NameMap, NameSet};
use crate::store::{CacheStats, ObjectCache};
use crate::{Error, codec};

/// Bytes of records that are gathered before they are written, synced or not.
const GATHERED_LEN: usize = 1 << 20;

/// Objects that are kept out of the index until there are so many: one way down the tree and one write of a page then serve several
/// of them. A process that is killed leaves the next one as many to read.
const UNINDEXED: usize = 1 << 16;

/// Objects shorter than this have a record of their own, in bytes: who keeps many small states wants each without the others.
const SHORTEST_IN_BLOCK: usize = 512;

/// Objects longer than this have a record of their own.
const LONGEST_IN_BLOCK: usize = 32 << 10;

/// A segment that is this long is not appended to any more, so that rewriting one stays a small task. Records are never split, so one
/// can be longer by as many as are gathered.
const SEGMENT_LEN: u64 = 128 << 20;

/// Entries listed at once.
const LISTED: usize = 4096;

/// Moved objects whose new places the index names in one transaction: some 16 MB of it are in memory then.
const MOVED_AT_ONCE: usize = 1 << 12;

/// How often a place is looked up again because the collector moved what was there.
const LOOKS: usize = 3;

/// Bytes of decoded objects that a store keeps unless told otherwise.
const CACHE_LEN: u64 = 16 << 20;

/// When a put counts as done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// After [`SegmentStore::sync`], objects survive the end of the process, but not a loss of power.
    None,
    /// After [`SegmentStore::sync`], objects survive a loss of power.
    Batch,
    /// Each object survives a loss of power when its put returns. Puts of several threads share a sync.
    Each,
}

/// Objects in segments. Any number of processes and threads may use it at once.
///
/// Other processes see what was put after [`SegmentStore::sync`], and some of it before.
#[derive(Debug)]
pub struct SegmentStore {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) kind: HashKind,
    durability: Durability,
    pub(super) segments: PathBuf,
    pub(super) index: Index,
    pub(super) reader: SegmentReader,
    pub(super) cache: ObjectCache,
    tails: Tails,
    gathered: RwLock<Gathered>,
    /// Held while records are written, synced or entered in the index.
    writer: Mutex<Writer>,
    /// When the lease began under which objects are put, in seconds since 1970; 0 without one.
    lease: AtomicU32,
    is_writable: bool,
    segment_len: u64,
    /// Segments that are not appended to.
    avoided: Vec<SegmentNumber>,
    /// Keeps others from making the index anew.
    _lock: Option<Arc<dyn DiskFile>>,
}

/// What was put and is not in the index yet.
#[derive(Debug, Default)]
struct Gathered {
    /// The segment that it goes to; `None` before the first.
    segment: Option<SegmentNumber>,
    /// Records that are not written yet.
    records: Vec<u8>,
    /// Where in the segment they go.
    start: u64,
    /// The number of the next object in the segment.
    objects: u32,
    /// All bytes of records gathered so far, in all segments.
    total: u64,
    /// Objects that the index does not name yet.
    recent: NameMap<Appended>,
    /// Whether some of these take the place of damaged ones.
    mends: bool,
    /// Objects that it names, and that were put again.
    hits: NameMap<Entry>,
}

impl Gathered {
    /// The entry of the next object of a segment, in a record that begins there.
    fn entry(
        &mut self,
        segment: SegmentNumber,
        at: u64,
        object: &Placed,
        put_at: u32,
    ) -> Result<Entry, Error> {
        let offset = u32::try_from(at + object.offset as u64)
            .map_err(|_| Error::Unavailable("a segment is longer than 4 GiB".to_owned()))?;
        let ordinal = self.objects;
        self.objects = ordinal.saturating_add(1);
        let Placed { len, within, raw_len, share, .. } = *object;
        Ok(Entry { segment, ordinal, offset, len, within, raw_len, share, put_at })
    }
}

#[derive(Debug, Default)]
struct Writer {
    /// `None` before the first record.
    segment: Option<SegmentWriter>,
    /// How many of [`Gathered::total`] are synced.
    synced: u64,
    /// Up to where the index knows the segment.
    entered: u64,
    /// A sync failed: what is on the disk is not known any more.
    has_failed: bool,
}

/// Where an object is.
enum Place {
    /// In memory, with the bytes that its entry names.
    Gathered(Entry, Vec<u8>),
    Segment(Entry),
}

impl SegmentStore {
    /// Opens the store in an existing directory, or makes it there. O(1), and what a killed writer left; if its index is missing
    /// or damaged, O(size). Where nothing can be written, it can be read.
    ///
    /// # Errors
    /// [`Error::NotARepository`] if another version or another hash function wrote it, or if its index is damaged and other
    /// processes keep using it; [`Error::Io`].
    pub fn open(
        kind: HashKind,
        dir: impl AsRef<Path>,
        durability: Durability,
    ) -> Result<Self, Error> {
        Self::open_on(LinuxDisk::shared(), kind, dir, durability)
    }

    /// As [`SegmentStore::open`], on a disk.
    ///
    /// # Errors
    /// As [`SegmentStore::open`].
    pub fn open_on(
        disk: Arc<dyn Disk>,
        kind: HashKind,
        dir: impl AsRef<Path>,
        durability: Durability,
    ) -> Result<Self, Error> {
        let dir = dir.as_ref();
        let Opened { lock, index, is_writable, avoided } = recovery::open(&*disk, dir, kind)?;
        let segments = dir.join("segments");
        Ok(Self {
            kind,
            durability,
            index,
            reader: SegmentReader::new(Arc::clone(&disk), segments.clone()),
            cache: ObjectCache::new(CACHE_LEN),
            tails: Tails::default(),
            segments,
            disk,
            gathered: RwLock::default(),
            writer: Mutex::default(),
            lease: AtomicU32::new(0),
            is_writable,
            segment_len: SEGMENT_LEN,
            avoided,
            _lock: lock,
        })
    }

    /// The same store with a cache of so many bytes of decoded objects; without one if it is 0. What is read from a block is then
    /// decoded each time.
    #[must_use]
    pub fn with_cache(mut self, capacity_bytes: u64) -> Self {
        self.cache = ObjectCache::new(capacity_bytes);
        self
    }

    /// The same store with segments of so many bytes: shorter ones are given back sooner, and are more files. At most 1 GiB.
    #[must_use]
    pub fn with_segment_len(mut self, bytes: u64) -> Self {
        self.segment_len = bytes.min(1 << 30);
        self
    }

    /// What the cache of decoded objects has done so far.
    pub fn cache_stats(&self) -> CacheStats {
        self.cache.stats()
    }

    /// Says when the lease began under which objects are put from now on, in seconds since 1970: what is put or found again is
    /// then noted as put since.
    pub fn lease_from(&self, start: u64) {
        self.lease.store(u32::try_from(start).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    /// Makes all that was put so far as durable as the store was told, and seen by others. One write and one sync of a segment,
    /// whatever the number of objects; a transaction of the index if there is much to enter, or something was put again.
    ///
    /// # Errors
    /// [`Error::Io`] if the disk fails or is full. If it was full, nothing is lost as long as the process lives: the next call
    /// tries again. If a sync failed, what was put since the last success is to be put again, after opening anew.
    pub fn sync(&self) -> Result<(), Error> {
        let mut writer = self.writer()?;
        self.settle(&mut writer)?;
        let gathered = self.gathered();
        let is_due =
            !gathered.hits.is_empty() || gathered.mends || gathered.recent.len() >= UNINDEXED;
        drop(gathered);
        if is_due { self.publish(&mut writer) } else { Ok(()) }
    }

    /// Writes all that was put so far, so that it survives the end of this process, however it ends; who opens the store next finds
    /// it. A loss of power may take it.
    ///
    /// # Errors
    /// As [`SegmentStore::sync`].
    pub fn flush(&self) -> Result<(), Error> {
        let mut writer = self.writer()?;
        self.write(&mut writer)
    }

    /// Enters all that was put so far in the index.
    pub(super) fn enter(&self) -> Result<(), Error> {
        let mut writer = self.writer()?;
        self.publish(&mut writer)
    }

    /// Writes what is gathered, and syncs it if that was asked for.
    fn settle(&self, writer: &mut Writer) -> Result<(), Error> {
        self.write(writer)?;
        match self.durability {
            Durability::None => Ok(()),
            _ => self.sync_segment(writer),
        }
    }

    /// Writes what is gathered at the moment to its segment. Who reads meanwhile finds it in memory, then in the segment.
    fn write(&self, writer: &mut Writer) -> Result<(), Error> {
        let (len, end, objects) = {
            let gathered = self.gathered();
            if let Some(segment) = writer.segment.as_ref().filter(|_| !gathered.records.is_empty())
            {
                segment.write(&gathered.records, gathered.start)?;
            }
            let len = gathered.records.len();
            (len, gathered.start + len as u64, gathered.objects)
        };
        let mut gathered = self.gathered_mut();
        if gathered.records.len() == len {
            gathered.records.clear();
        } else {
            gathered.records.drain(..len);
        }
        gathered.start = end;
        drop(gathered);
        if let Some(segment) = &mut writer.segment {
            (segment.end, segment.objects) = (end, objects);
            if segment.is_full() {
                self.leave_segment(writer)?;
            }
        }
        Ok(())
    }

    /// Is done with a full segment. Nobody appends until a new one is begun, which takes the writer's lock.
    fn leave_segment(&self, writer: &mut Writer) -> Result<(), Error> {
        let Some(segment) = &mut writer.segment else { return Ok(()) };
        let mut gathered = self.gathered_mut();
        segment.write(&gathered.records, gathered.start)?;
        gathered.start += gathered.records.len() as u64;
        gathered.records.clear();
        gathered.segment = None;
        (segment.end, segment.objects) = (gathered.start, gathered.objects);
        drop(gathered);
        self.publish_written(writer)?;
        (writer.segment, writer.entered) = (None, 0);
        Ok(())
    }

    fn sync_segment(&self, writer: &mut Writer) -> Result<(), Error> {
        let gathered = self.gathered();
        let written = gathered.total - gathered.records.len() as u64;
        drop(gathered);
        if writer.synced < written {
            // A segment is left only when all of it is synced.
            if let Some(segment) = &mut writer.segment {
                let synced = segment.sync();
                writer.has_failed |= synced.is_err();
                synced?;
            }
            writer.synced = written;
        }
        Ok(())
    }

    fn publish(&self, writer: &mut Writer) -> Result<(), Error> {
        self.write(writer)?;
        self.publish_written(writer)
    }

    /// Data, sync, index, in this order.
    fn publish_written(&self, writer: &mut Writer) -> Result<(), Error> {
        self.sync_segment(writer)?;
        let segment =
            writer.segment.as_ref().map(|segment| (segment.number(), segment.end, segment.objects));
        let end = segment.map_or(0, |(_, end, _)| end);
        let gathered = self.gathered();
        // Records that are no puts, moved by the collector, are entered elsewhere, but the index must know how far it knows.
        if gathered.recent.is_empty() && gathered.hits.is_empty() && end == writer.entered {
            return Ok(());
        }
        drop(gathered);
        let gathered = self.gathered();
        let is_written = |appended: &Appended| u64::from(appended.entry.offset) < end;
        let mut recent: Vec<(ContentHash, Appended)> = gathered
            .recent
            .iter()
            .filter(|(_, appended)| is_written(appended))
            .map(|(hash, appended)| (*hash, *appended))
            .collect();
        let hits: Vec<(ContentHash, Entry)> =
            gathered.hits.iter().map(|(hash, entry)| (*hash, *entry)).collect();
        drop(gathered);
        // In the order of the keys, neighbours share their pages.
        recent.sort_unstable_by_key(|(hash, _)| *hash);
        let lost = self.index.publish(segment, &recent, &hits, self.now())?;
        writer.entered = end;
        let mut gathered = self.gathered_mut();
        gathered.recent.retain(|_, appended| !is_written(appended));
        gathered.mends = gathered.recent.values().any(|appended| appended.mends);
        for (hash, _) in hits {
            gathered.hits.remove(&hash);
        }
        match lost {
            None => Ok(()),
            Some(hash) => Err(Error::Unavailable(format!(
                "object {hash} was collected while it was put again; do what was done once more"
            ))),
        }
    }

    pub(super) fn now(&self) -> u32 {
        u32::try_from(self.disk.now()).unwrap_or(u32::MAX)
    }

    /// The right to write.
    fn writer(&self) -> Result<MutexGuard<'_, Writer>, Error> {
        // A panic under the lock leaves what is written and what is gathered as they are: what is in between is written again.
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if writer.has_failed {
            return Err(Error::Unavailable(format!(
                "the disk below {:?} failed to keep what was written; open the repository again",
                self.segments
            )));
        }
        Ok(writer)
    }

    // A panic leaves whole records: what may panic under the lock is allocation, before anything changes.
    fn gathered(&self) -> RwLockReadGuard<'_, Gathered> {
        self.gathered.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn gathered_mut(&self) -> RwLockWriteGuard<'_, Gathered> {
        self.gathered.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_writable(&self) -> bool {
        self.is_writable
    }

    pub(super) fn check_writable(&self) -> Result<(), Error> {
        match self.is_writable {
            true => Ok(()),
            false => Err(Error::Unavailable(format!(
                "{:?} can only be read here: no permission to write, or a medium that takes none",
                self.segments
            ))),
        }
    }

    /// Takes a segment to append to, if there is none.
    fn begin_segment(&self) -> Result<(), Error> {
        if self.gathered().segment.is_some() {
            return Ok(());
        }
        let mut writer = self.writer()?;
        if self.gathered().segment.is_some() {
            return Ok(());
        }
        // The last one could not be left: what is in it comes first.
        self.leave_segment(&mut writer)?;
        let recover =
            |number| recovery::enter(&*self.disk, &self.segments, self.kind, &self.index, number);
        let segment = SegmentWriter::open(
            &self.disk,
            &self.segments,
            self.kind,
            &self.index,
            self.segment_len,
            &self.avoided,
            &recover,
        )?;
        let mut gathered = self.gathered_mut();
        gathered.segment = Some(segment.number());
        gathered.start = segment.end;
        gathered.objects = segment.objects;
        // What a new segment has before its first record is nothing to enter.
        writer.entered = segment.end;
        writer.segment = Some(segment);
        Ok(())
    }

    /// Appends records, each with whether it mends what is damaged; says of each object, in order, whether it is new. Then does what is due.
    fn append(&self, records: &[(Record, bool)]) -> Result<Vec<bool>, Error> {
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let mut news = Vec::new();
        let (total, is_due, is_full) = loop {
            self.begin_segment()?;
            let mut gathered = self.gathered_mut();
            // It may have been full just now.
            let Some(segment) = gathered.segment else { continue };
            for (Record { bytes, objects }, mends) in records {
                let is_new = |object: &Placed| !gathered.recent.contains_key(&object.hash);
                let fresh: Vec<bool> = objects.iter().map(is_new).collect();
                if !fresh.contains(&true) {
                    news.extend(fresh);
                    continue;
                }
                let at = gathered.start + gathered.records.len() as u64;
                gathered.records.extend_from_slice(bytes);
                gathered.total += bytes.len() as u64;
                for (object, is_new) in objects.iter().zip(&fresh) {
                    // Each has a number, new or not: who reads the segment again counts them all.
                    let entry = gathered.entry(segment, at, object, 0)?;
                    if *is_new {
                        gathered.mends |= mends;
                        gathered.recent.insert(object.hash, Appended { entry, mends: *mends });
                    }
                }
                news.extend(fresh);
            }
            break (
                gathered.total,
                gathered.recent.len() >= UNINDEXED,
                gathered.records.len() >= GATHERED_LEN,
            );
        };
        self.do_what_is_due(total, is_due, is_full)?;
        Ok(news)
    }

    /// Writes, syncs and enters in the index what has to be by now; `total` is what the caller's own needs to be synced up to.
    fn do_what_is_due(&self, total: u64, is_due: bool, is_full: bool) -> Result<(), Error> {
        if self.durability == Durability::Each || is_due || is_full {
            let mut writer = self.writer()?;
            if self.durability == Durability::Each && writer.synced < total {
                self.settle(&mut writer)?;
            }
            // Another thread may have done it meanwhile.
            let gathered = self.gathered();
            let is_due = gathered.recent.len() >= UNINDEXED
                || (self.durability == Durability::Each
                    && (gathered.mends || !gathered.hits.is_empty()));
            let is_full = gathered.records.len() >= GATHERED_LEN;
            drop(gathered);
            if is_due {
                self.publish(&mut writer)?;
            } else if is_full {
                self.write(&mut writer)?;
            }
        }
        Ok(())
    }

    /// Whether this process put an object and has not entered it in the index.
    pub(super) fn is_gathered(&self, hash: &ContentHash) -> bool {
        self.gathered().recent.contains_key(hash)
    }

    /// Where an object is, by what is in memory.
    fn gathered_place(&self, hash: &ContentHash) -> Option<Place> {
        let gathered = self.gathered();
        let entry = gathered.recent.get(hash)?.entry;
        let at = u64::from(entry.offset).checked_sub(gathered.start);
        Some(match at.and_then(|at| usize::try_from(at).ok()) {
            Some(at) => {
                let len = usize::try_from(entry.len).unwrap_or(usize::MAX);
                let bytes = gathered.records.get(at..at.saturating_add(len)).unwrap_or_default();
                Place::Gathered(entry, bytes.to_vec())
            }
            None => Place::Segment(entry),
        })
    }

    fn place(&self, hash: &ContentHash) -> Result<Option<Place>, Error> {
        if let Some(place) = self.gathered_place(hash) {
            return Ok(Some(place));
        }
        if let Some(entry) = self.index.entry(hash)? {
            return Ok(Some(Place::Segment(entry)));
        }
        // Entered in the index, or written to its segment, between the two looks.
        if let Some(place) = self.gathered_place(hash) {
            return Ok(Some(place));
        }
        let found = self.in_tails(hash)?;
        match found {
            Some(entry) => Ok(Some(Place::Segment(entry))),
            None => Ok(self.index.entry(hash)?.map(Place::Segment)),
        }
    }

    /// What other writers appended and did not enter in the index.
    pub(super) fn in_tails(&self, hash: &ContentHash) -> Result<Option<Entry>, Error> {
        let ours = self.gathered().segment;
        self.tails.find(&*self.disk, &self.segments, self.kind, &self.index, ours, hash)
    }

    fn tails_now(&self) -> Result<Vec<(ContentHash, Entry)>, Error> {
        let ours = self.gathered().segment;
        self.tails.all(&*self.disk, &self.segments, self.kind, &self.index, ours)
    }

    /// The object that lies there, verified.
    fn read(&self, hash: &ContentHash, place: Place) -> Result<Vec<u8>, StoreError> {
        match place {
            Place::Gathered(entry, bytes) => {
                reader::open(self.kind, hash, &entry, bytes).map(|(object, _)| object)
            }
            Place::Segment(entry) => self.read_at(hash, &entry),
        }
    }

    pub(super) fn read_at(&self, hash: &ContentHash, entry: &Entry) -> Result<Vec<u8>, StoreError> {
        let bytes = self.reader.read(entry)?;
        let (object, block) = reader::open(self.kind, hash, entry, bytes)?;
        if let Some(block) = block.filter(|_| self.cache.is_on()) {
            self.keep_neighbours(hash, entry, &block)?;
        }
        Ok(object)
    }

    /// Keeps what else a block holds, for it is asked for next: what the index still names there.
    fn keep_neighbours(
        &self,
        hash: &ContentHash,
        entry: &Entry,
        block: &DecodedBlock,
    ) -> Result<(), Error> {
        let objects: Vec<(ContentHash, &[u8])> =
            block.objects().filter(|(name, _)| name != hash).collect();
        let names: Vec<ContentHash> = objects.iter().map(|(name, _)| *name).collect();
        let mut named = Vec::new();
        self.index.entries(&names, &mut |position, found| {
            if (found.segment, found.offset) == (entry.segment, entry.offset) {
                named.push(position);
            }
        })?;
        for (name, bytes) in named.into_iter().filter_map(|position| objects.get(position)) {
            if self.kind.hash(bytes) == *name {
                self.cache.insert(*name, bytes);
            }
        }
        Ok(())
    }

    /// An object, wherever it is, verified.
    fn find(&self, hash: &ContentHash, limit: u64) -> Result<Vec<u8>, StoreError> {
        let mut seen: Option<Entry> = None;
        for look in 1.. {
            let Some(place) = self.place(hash)? else { break };
            let entry = match &place {
                Place::Gathered(entry, _) | Place::Segment(entry) => *entry,
            };
            if u64::from(entry.raw_len) > limit {
                let error = FrameError::TooLong { declared: entry.raw_len.into(), limit };
                return Err(StoreError::Frame { hash: *hash, error });
            }
            match self.read(hash, place) {
                // What is found in a tail is there only if it can be read.
                Err(StoreError::Frame { .. }) if entry.put_at == u32::MAX => break,
                // The collector may have moved it.
                Err(StoreError::Frame { .. })
                    if look < LOOKS && seen.is_none_or(|seen| !seen.is_where(&entry)) =>
                {
                    self.reader.forget(entry.segment);
                    seen = Some(entry);
                }
                read => return read,
            }
        }
        Err(StoreError::Missing { hash: *hash })
    }

    /// What is known of objects before they are put: `None` if one is new, else whether it must be put all the same, being damaged.
    fn known(
        &self,
        names: &[ContentHash],
        objects: &[&[u8]],
    ) -> Result<Vec<Option<bool>>, StoreError> {
        let mut known = vec![None; names.len()];
        let mut unknown: Vec<ContentHash> = Vec::with_capacity(names.len());
        let mut positions: Vec<usize> = Vec::with_capacity(names.len());
        {
            let gathered = self.gathered();
            for (position, name) in names.iter().enumerate() {
                if gathered.recent.contains_key(name) {
                    known[position] = Some(false);
                } else {
                    unknown.push(*name);
                    positions.push(position);
                }
            }
        }
        let mut found = Vec::new();
        self.index.entries(&unknown, &mut |at, entry| found.push((positions[at], entry)))?;
        let (now, lease) = (self.now(), self.lease.load(Ordering::Relaxed));
        for (position, entry) in found {
            let name = &names[position];
            // A hit is believed only as far as it can be read: what is acknowledged must be there.
            let is_right = || match self.cache.fetch(name) {
                Some(bytes) => Ok(*bytes == *objects[position]),
                None => match self.read_at(name, &entry) {
                    Ok(bytes) => Ok(bytes == objects[position]),
                    Err(StoreError::Frame { .. }) => Ok(false),
                    Err(error) => Err(error),
                },
            };
            let is_right = is_right()?;
            known[position] = Some(!is_right);
            // A dedup hit is a write, though not one for each hit.
            if is_right && is_stale(entry.put_at, now, lease) {
                self.gathered_mut().hits.insert(*name, entry);
            }
        }
        Ok(known)
    }

    fn put_named(&self, names: &[ContentHash], objects: &[&[u8]]) -> Result<Vec<Put>, StoreError> {
        self.check_writable()?;
        let known = self.known(names, objects)?;
        let mut puts: Vec<Put> =
            names.iter().map(|hash| Put { hash: *hash, added: None }).collect();
        let mut records = Vec::new();
        // Where in `puts` the objects of the records are.
        let mut positions = Vec::new();
        let mut block: Vec<(ContentHash, &[u8])> = Vec::new();
        let mut block_positions: Vec<usize> = Vec::new();
        let mut block_len = 0;
        let mut seen = NameSet::default();
        for (position, (hash, bytes)) in names.iter().zip(objects).enumerate() {
            let mends = match known[position] {
                Some(false) => continue,
                Some(true) => true,
                None => false,
            };
            if names.len() > 1 && !seen.insert(*hash) {
                continue;
            }
            let is_for_block = !mends
                && names.len() > 1
                && (SHORTEST_IN_BLOCK..=LONGEST_IN_BLOCK).contains(&bytes.len());
            if !is_for_block {
                records.push((single(*hash, bytes)?, mends));
                positions.push(position);
                continue;
            }
            if block_len + bytes.len() > BLOCK_MOST_LEN || block.len() == BLOCK_MOST_OBJECTS {
                records.extend(together(&block)?.into_iter().map(|record| (record, false)));
                positions.append(&mut block_positions);
                block.clear();
                block_len = 0;
            }
            block.push((*hash, bytes));
            block_positions.push(position);
            block_len += bytes.len();
        }
        records.extend(together(&block)?.into_iter().map(|record| (record, false)));
        positions.append(&mut block_positions);

        let shares: Vec<u32> = records
            .iter()
            .flat_map(|(record, _)| &record.objects)
            .map(|object| object.share)
            .collect();
        let has_hits = records.is_empty() && self.durability == Durability::Each;
        let news = self.append(&records)?;
        for ((position, is_new), share) in positions.into_iter().zip(news).zip(shares) {
            if is_new && known[position].is_none() {
                puts[position].added = Some(share.into());
            }
        }
        if has_hits {
            let (total, is_due) = {
                let gathered = self.gathered();
                (gathered.total, !gathered.hits.is_empty())
            };
            self.do_what_is_due(total, is_due, false)?;
        }
        Ok(puts)
    }

    /// Appends objects that lie elsewhere once more, and has the index name the new places, unless something else became of them.
    pub(super) fn relocate(&self, objects: &[(ContentHash, Entry, Vec<u8>)]) -> Result<(), Error> {
        let mut writer = self.writer()?;
        // What is there already must not be taken for the new places.
        self.publish(&mut writer)?;
        drop(writer);
        let mut records = Vec::new();
        let mut block: Vec<(ContentHash, &[u8])> = Vec::new();
        let mut block_len = 0;
        let flush = |block: &mut Vec<(ContentHash, &[u8])>, records: &mut Vec<Record>| {
            records.extend(together(block).map_err(Error::from)?);
            block.clear();
            Ok::<(), Error>(())
        };
        for (hash, old, bytes) in objects {
            if old.within.is_none() {
                records.push(single(*hash, bytes)?);
                continue;
            }
            if block_len + bytes.len() > BLOCK_MOST_LEN || block.len() == BLOCK_MOST_OBJECTS {
                flush(&mut block, &mut records)?;
                block_len = 0;
            }
            block.push((*hash, bytes));
            block_len += bytes.len();
        }
        flush(&mut block, &mut records)?;
        self.append_moved(objects, records)
    }

    fn append_moved(
        &self,
        objects: &[(ContentHash, Entry, Vec<u8>)],
        records: Vec<Record>,
    ) -> Result<(), Error> {
        let olds: HashMap<ContentHash, Entry> =
            objects.iter().map(|(hash, entry, _)| (*hash, *entry)).collect();
        self.begin_segment()?;
        let mut moves = Vec::with_capacity(olds.len());
        let mut writer = self.writer()?;
        {
            let mut gathered = self.gathered_mut();
            // Another thread filled it just now: what could not be moved stays, and the next collection moves it.
            let Some(segment) = gathered.segment else { return Ok(()) };
            for Record { bytes, objects } in records {
                let at = gathered.start + gathered.records.len() as u64;
                gathered.records.extend_from_slice(&bytes);
                gathered.total += bytes.len() as u64;
                for object in objects {
                    let Some(old) = olds.get(&object.hash) else { continue };
                    let new = gathered.entry(segment, at, &object, old.put_at)?;
                    moves.push((object.hash, *old, new));
                }
            }
        }
        self.publish(&mut writer)?;
        moves.sort_unstable_by_key(|(hash, ..)| *hash);
        // Each is looked at for itself; a transaction holds a changed page in memory for nearly each.
        moves.chunks(MOVED_AT_ONCE).try_for_each(|moves| self.index.relocate(moves))
    }
}

fn info(hash: &ContentHash, entry: &Entry) -> ObjectInfo {
    ObjectInfo { hash: *hash, stored_len: entry.share.into(), raw_len: entry.raw_len.into() }
}

/// The record of an object alone.
fn single(hash: ContentHash, bytes: &[u8]) -> Result<Record, StoreError> {
    let fail = |error| StoreError::Frame { hash, error };
    let frame = codec::encode(bytes).map_err(fail)?;
    Ok(format::object_record(&hash, &frame, format::bounded(bytes.len())?)?)
}

/// The records of objects that were put together: a block, unless there is one only, or they do not compress.
fn together(objects: &[(ContentHash, &[u8])]) -> Result<Vec<Record>, StoreError> {
    if objects.len() > 1
        && let Some(record) = format::block_record(objects)?
    {
        return Ok(vec![record]);
    }
    objects.iter().map(|(hash, bytes)| single(*hash, bytes)).collect()
}

impl Drop for SegmentStore {
    fn drop(&mut self) {
        // Who wants to know of errors syncs first; what is not entered in the index is, by the next who opens the store.
        _ = self.enter();
    }
}

impl ObjectStore for SegmentStore {
    fn hash_kind(&self) -> HashKind {
        self.kind
    }

    fn put(&self, bytes: &[u8]) -> Result<Put, StoreError> {
        let name = self.kind.hash(bytes);
        let puts = self.put_named(&[name], &[bytes])?;
        Ok(puts.into_iter().next().unwrap_or(Put { hash: name, added: None }))
    }

    /// Stores objects as putting each in turn does. Those that are neither short nor long are compressed together.
    fn put_many(&self, objects: &[&[u8]]) -> Result<Vec<Put>, StoreError> {
        self.put_named(&self.kind.hash_all(objects), objects)
    }

    fn get_within(&self, hash: &ContentHash, limit: u64) -> Result<Vec<u8>, StoreError> {
        if !self.cache.is_on() {
            return self.find(hash, limit);
        }
        let bytes = self.cache.fetch_or_read(hash, || self.find(hash, limit))?;
        if bytes.len() as u64 <= limit {
            return Ok(bytes.to_vec());
        }
        let error = FrameError::TooLong { declared: bytes.len() as u64, limit };
        Err(StoreError::Frame { hash: *hash, error })
    }

    fn exists(&self, hash: &ContentHash) -> Result<bool, StoreError> {
        match self.place(hash)? {
            None => Ok(false),
            // Of what is found in a tail, the header alone was believed.
            Some(place @ Place::Segment(entry)) if entry.put_at == u32::MAX => {
                Ok(self.read(hash, place).is_ok())
            }
            Some(_) => Ok(true),
        }
    }

    /// Takes the object out of the index. Its bytes stay in their segment until the collector rewrites that. What another process
    /// has put and not yet entered in the index is not found.
    fn delete(&self, hash: &ContentHash) -> Result<bool, StoreError> {
        self.check_writable()?;
        self.enter()?;
        let mut was_there = false;
        while let Some(entry) = self.index.entry(hash)? {
            // Put again meanwhile: the caller wants it gone all the same.
            was_there = self.index.remove(&[(*hash, entry)])? == [true];
            if was_there {
                break;
            }
        }
        self.cache.remove(hash);
        Ok(was_there)
    }

    fn for_each(
        &self,
        visit: &mut dyn FnMut(ObjectInfo) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        if self.is_writable {
            self.enter()?;
        }
        let mut last = None;
        loop {
            // In parts, and without a transaction while the visitor works: it may put and delete.
            let entries = self.index.entries_after(last, LISTED)?;
            for (hash, entry) in &entries {
                visit(info(hash, entry))?;
            }
            match entries.last() {
                Some((hash, _)) => last = Some(*hash),
                None => break,
            }
        }
        // What others put and did not enter in the index.
        for (hash, entry) in self.tails_now()? {
            if self.index.entry(&hash)?.is_none() {
                visit(info(&hash, &entry))?;
            }
        }
        Ok(())
    }
}
