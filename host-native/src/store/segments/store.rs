// SPDX-License-Identifier: MIT
//! The store of segments: changes gathered in memory, published in batches, read back from either.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use cascow_core::frame::{self, Frame, HEADER_LEN};
use cascow_core::hash::{ContentHash, HashKind};
use cascow_core::store::{ObjectInfo, ObjectStore, Put, StoreError};

use super::batch::{Batch, Change};
use super::index::{Entry, Index};
use super::reader::SegmentReader;
use super::recovery;
use super::writer::{self, SegmentWriter};
use crate::Error;

/// Bytes of records after which a batch is published by itself. What a process may hold in memory is twice this, and an object of
/// each thread that puts.
const BATCH_LEN: usize = 16 << 20;

/// Changes after which a batch is published by itself, whatever their length.
const BATCH_CHANGES: usize = 1 << 16;

/// Entries listed at once.
const LISTED: usize = 4096;

/// When a put counts as done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// Published objects survive the end of the process, but segments are not synced: after a loss of power, some may be damaged,
    /// and putting them again mends them.
    None,
    /// Objects are durable after [`SegmentStore::sync`].
    Batch,
    /// Each object is durable when its put returns. Puts of several threads share a sync.
    Each,
}

/// Objects in segments. Any number of processes and threads may use it at once.
///
/// Other processes see what was put when it is published: after [`SegmentStore::sync`], when a batch is full, or when the store
/// is dropped, which cannot tell of errors.
#[derive(Debug)]
pub struct SegmentStore {
    kind: HashKind,
    durability: Durability,
    segments: PathBuf,
    index: Arc<Index>,
    reader: SegmentReader,
    gathered: RwLock<Gathered>,
    /// Held while a batch is published. `None` before the first, and after a failure: a segment that could not be synced is not
    /// trusted to be synced the next time.
    writer: Mutex<Option<SegmentWriter>>,
    /// Keeps others from making the index anew.
    _lock: File,
}

#[derive(Debug, Default)]
struct Gathered {
    /// What changes go to.
    open: Batch,
    /// What is being published, or could not be.
    closed: Option<Arc<Batch>>,
}

/// Where an object is.
enum Place {
    /// In memory, as this frame.
    Gathered(Vec<u8>),
    Indexed(Entry),
}

impl SegmentStore {
    /// Opens the store in an existing directory, or makes it there. O(1); if its index is missing or damaged, O(size).
    ///
    /// # Errors
    /// [`Error::NotARepository`] if a newer version or another hash function wrote it, or if its index is damaged and other
    /// processes keep using it; [`Error::Io`].
    pub fn open(
        kind: HashKind,
        dir: impl AsRef<Path>,
        durability: Durability,
    ) -> Result<Self, Error> {
        let dir = dir.as_ref();
        let (lock, index) = recovery::open(dir, kind, now())?;
        let segments = dir.join("segments");
        Ok(Self {
            kind,
            durability,
            index,
            reader: SegmentReader::new(segments.clone()),
            segments,
            gathered: RwLock::default(),
            writer: Mutex::default(),
            _lock: lock,
        })
    }

    /// Publishes all that was put and deleted so far. Unless the store's durability is [`Durability::None`], it then survives a
    /// loss of power. One sync of a segment and one transaction, whatever the number of objects.
    ///
    /// # Errors
    /// [`Error::Io`] if the disk fails or is full. Nothing is lost as long as the process lives: the next call tries again.
    pub fn sync(&self) -> Result<(), Error> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        // First what an earlier call could not publish.
        let closed = self.gathered().closed.clone();
        if let Some(batch) = closed {
            self.publish(&mut writer, &batch)?;
        }
        let batch = {
            let mut gathered = self.gathered_mut();
            if gathered.open.changes.is_empty() {
                return Ok(());
            }
            let batch = Arc::new(std::mem::take(&mut gathered.open));
            gathered.closed = Some(Arc::clone(&batch));
            batch
        };
        self.publish(&mut writer, &batch)
    }

    /// Data, sync, index, in this order.
    fn publish(&self, writer: &mut Option<SegmentWriter>, batch: &Batch) -> Result<(), Error> {
        let synced = self.durability != Durability::None;
        let placed = match batch.records.is_empty() {
            true => None,
            false => {
                // Taken out: after an error it is not used again.
                let mut segment = match writer.take() {
                    Some(segment) if !segment.is_full()? => segment,
                    _ => SegmentWriter::open(&self.segments, self.kind)?,
                };
                let placed = segment.append(&batch.records)?;
                if synced {
                    segment.sync()?;
                }
                *writer = Some(segment);
                Some(placed)
            }
        };
        if synced {
            self.sync_found(batch)?;
        }
        self.index.publish(batch, placed, now(), synced)?;
        self.gathered_mut().closed = None;
        Ok(())
    }

    /// Syncs what others wrote without a sync, and we were asked to put.
    fn sync_found(&self, batch: &Batch) -> Result<(), Error> {
        let unsynced = |change: &Change| match change {
            Change::Refresh(entry) if !entry.synced => Some(entry.segment),
            _ => None,
        };
        let mut segments: Vec<_> = batch.changes.values().filter_map(unsynced).collect();
        segments.sort_unstable();
        segments.dedup();
        segments.into_iter().try_for_each(|number| writer::sync(&self.segments, number))
    }

    /// Publishes if it is time to.
    fn settle(&self, is_full: bool) -> Result<(), Error> {
        match is_full || self.durability == Durability::Each {
            true => self.sync(),
            false => Ok(()),
        }
    }

    // A panic leaves whole batches: what may panic under the lock is allocation, before anything changes.
    fn gathered(&self) -> RwLockReadGuard<'_, Gathered> {
        self.gathered.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn gathered_mut(&self) -> RwLockWriteGuard<'_, Gathered> {
        self.gathered.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of an object in memory, newest first; `None` if nothing is.
    fn with_change<T>(
        &self,
        hash: &ContentHash,
        seen: impl FnOnce(&Batch, Change) -> T,
    ) -> Option<T> {
        let gathered = self.gathered();
        let batches = std::iter::once(&gathered.open).chain(gathered.closed.as_deref());
        for batch in batches {
            if let Some(change) = batch.changes.get(hash) {
                return Some(seen(batch, *change));
            }
        }
        None
    }

    fn place(&self, hash: &ContentHash) -> Result<Option<Place>, Error> {
        let known = self.with_change(hash, |batch, change| match change {
            Change::Put { at, stored_len, .. } => {
                Some(Place::Gathered(batch.frame(at, stored_len).to_vec()))
            }
            Change::Refresh(entry) => Some(Place::Indexed(entry)),
            Change::Delete(_) => None,
        });
        match known {
            Some(place) => Ok(place),
            None => Ok(self.index.entry(hash)?.map(Place::Indexed)),
        }
    }

    /// The object that lies there, verified.
    fn read(&self, hash: &ContentHash, entry: &Entry, limit: u64) -> Result<Vec<u8>, StoreError> {
        // As of any frame, no more than an object of the limit can have.
        let len = u64::from(entry.stored_len).min(limit.saturating_add(HEADER_LEN as u64));
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let bytes = self.reader.read(entry.segment, entry.offset, len)?;
        self.open_frame(hash, &bytes, limit)
    }

    fn open_frame(
        &self,
        hash: &ContentHash,
        frame: &[u8],
        limit: u64,
    ) -> Result<Vec<u8>, StoreError> {
        let open = || Frame::parse(frame)?.within(limit)?.open(self.kind, hash);
        open().map_err(|error| StoreError::Frame { hash: *hash, error })
    }

    fn put_named(&self, hash: ContentHash, bytes: &[u8]) -> Result<Put, StoreError> {
        let found = match self.place(&hash)? {
            // It is of this process, and cannot be damaged.
            Some(Place::Gathered(_)) => {
                self.settle(false)?;
                return Ok(Put { hash, added: None });
            }
            Some(Place::Indexed(entry)) => Some(entry),
            None => None,
        };
        if let Some(entry) = found {
            // A hit is believed only as far as it can be read: what is acknowledged must be there.
            match self.read(&hash, &entry, bytes.len() as u64) {
                Ok(_) => {
                    self.refresh(hash, entry)?;
                    return Ok(Put { hash, added: None });
                }
                Err(StoreError::Frame { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let frame = frame::encode(bytes).map_err(|error| StoreError::Frame { hash, error })?;
        let lens = (frame_len(frame.len())?, frame_len(bytes.len())?);
        let mends = found.is_some();
        let (is_new, is_full) = {
            let mut gathered = self.gathered_mut();
            (gathered.open.put(hash, &frame, lens, mends), is_full(&gathered.open))
        };
        self.settle(is_full)?;
        Ok(Put { hash, added: (is_new && !mends).then_some(frame.len() as u64) })
    }

    /// A dedup hit is a write, though not one for each hit.
    fn refresh(&self, hash: ContentHash, entry: Entry) -> Result<(), Error> {
        let is_stale = entry.is_stale(now(), self.durability != Durability::None);
        let mut is_full_now = false;
        if is_stale {
            let mut gathered = self.gathered_mut();
            gathered.open.refresh(hash, entry);
            is_full_now = is_full(&gathered.open);
        }
        self.settle(is_full_now)
    }
}

impl Drop for SegmentStore {
    fn drop(&mut self) {
        // Who wants to know of errors calls it first.
        _ = self.sync();
    }
}

impl ObjectStore for SegmentStore {
    fn hash_kind(&self) -> HashKind {
        self.kind
    }

    fn put(&self, bytes: &[u8]) -> Result<Put, StoreError> {
        self.put_named(self.kind.hash(bytes), bytes)
    }

    fn put_many(&self, objects: &[&[u8]]) -> Result<Vec<Put>, StoreError> {
        let named = self.kind.hash_all(objects).into_iter().zip(objects);
        named.map(|(name, bytes)| self.put_named(name, bytes)).collect()
    }

    fn get_within(&self, hash: &ContentHash, limit: u64) -> Result<Vec<u8>, StoreError> {
        match self.place(hash)? {
            Some(Place::Gathered(frame)) => self.open_frame(hash, &frame, limit),
            Some(Place::Indexed(entry)) => self.read(hash, &entry, limit),
            None => Err(StoreError::Missing { hash: *hash }),
        }
    }

    fn exists(&self, hash: &ContentHash) -> Result<bool, StoreError> {
        let known = self.with_change(hash, |_, change| !matches!(change, Change::Delete(_)));
        match known {
            Some(is_there) => Ok(is_there),
            None => Ok(self.index.entry(hash)?.is_some()),
        }
    }

    /// Takes the object out of the index, with the next batch; whoever puts it until then keeps it. Its bytes stay in their segment.
    fn delete(&self, hash: &ContentHash) -> Result<bool, StoreError> {
        // What was put must be in the index first: only there can it be seen whether another put it too.
        if self.with_change(hash, |_, change| !matches!(change, Change::Delete(_))) == Some(true) {
            self.sync()?;
        }
        let Some(Place::Indexed(entry)) = self.place(hash)? else { return Ok(false) };
        let is_full = {
            let mut gathered = self.gathered_mut();
            gathered.open.changes.insert(*hash, Change::Delete(entry));
            is_full(&gathered.open)
        };
        self.settle(is_full)?;
        Ok(true)
    }

    fn for_each(
        &self,
        visit: &mut dyn FnMut(ObjectInfo) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.sync()?;
        let mut last = None;
        loop {
            // In parts, and without a transaction while the visitor works: it may put and delete.
            let entries = self.index.entries_after(last, LISTED)?;
            for (hash, entry) in &entries {
                visit(ObjectInfo {
                    hash: *hash,
                    stored_len: u64::from(entry.stored_len),
                    raw_len: u64::from(entry.raw_len),
                })?;
            }
            match entries.last() {
                Some((hash, _)) => last = Some(*hash),
                None => return Ok(()),
            }
        }
    }
}

fn is_full(batch: &Batch) -> bool {
    batch.records.len() >= BATCH_LEN || batch.changes.len() >= BATCH_CHANGES
}

/// A length as the formats hold it: frames are bounded far below.
fn frame_len(len: usize) -> Result<u32, Error> {
    u32::try_from(len).map_err(|_| Error::Misuse("an object is longer than 4 GiB".to_owned()))
}

/// Seconds since 1970; 0 for a clock before.
fn now() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
}
