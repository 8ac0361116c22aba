// SPDX-License-Identifier: MIT
//! Segments open for reading, a bounded number of them, and objects out of them.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use cascow_core::frame::{self, Codec, Frame, FrameError};
use cascow_core::hash::{ContentHash, HashKind};
use cascow_core::store::StoreError;

use super::format::Block;
use super::index::Entry;
use super::number::SegmentNumber;
use crate::disk::{Access, Disk, DiskFile};
use crate::store::ObjectCache;
use crate::{Error, codec};

/// A process may hold 1,024 open files on most systems, and has others to open.
const MOST_OPEN: usize = 128;

/// Reads parts of segments. Any number of threads may at once.
#[derive(Debug)]
pub(super) struct SegmentReader {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    open: RwLock<HashMap<SegmentNumber, Arc<dyn DiskFile>>>,
}

impl SegmentReader {
    pub(super) fn new(disk: Arc<dyn Disk>, dir: PathBuf) -> Self {
        Self { disk, dir, open: RwLock::default() }
    }

    /// As many of the bytes that an entry names as there are: none if the segment is gone.
    pub(super) fn read(&self, entry: &Entry) -> Result<Vec<u8>, Error> {
        let Some(file) = self.file(entry.segment)? else { return Ok(Vec::new()) };
        // The path is made for an error alone.
        let failed = |error| Error::io("read", entry.segment.path(&self.dir))(error);
        let len = usize::try_from(entry.len).unwrap_or(usize::MAX);
        let mut bytes = Vec::new();
        // A length from a damaged index must be no reason to give up.
        if bytes.try_reserve_exact(len).is_err() {
            return Err(failed(std::io::Error::from(ErrorKind::OutOfMemory)));
        }
        bytes.resize(len, 0);
        let filled = file.read_full_at(&mut bytes, entry.offset.into()).map_err(failed)?;
        bytes.truncate(filled);
        Ok(bytes)
    }

    /// Forgets a segment that is gone.
    pub(super) fn forget(&self, number: SegmentNumber) {
        self.open.write().unwrap_or_else(PoisonError::into_inner).remove(&number);
    }

    fn file(&self, number: SegmentNumber) -> Result<Option<Arc<dyn DiskFile>>, Error> {
        // Whoever panicked with the lock left a map of open files, which is right whatever it holds.
        let known = self.open.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = known.get(&number) {
            return Ok(Some(Arc::clone(file)));
        }
        drop(known);
        let path = number.path(&self.dir);
        let file = match self.disk.open(&path, Access::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("open", &path)(error)),
        };
        let mut known = self.open.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_OPEN {
            known.clear();
        }
        known.insert(number, Arc::clone(&file));
        Ok(Some(file))
    }
}

/// The object of this name in the bytes that its entry names: decoded, verified. What else a block holds goes into the cache, for
/// it is asked for next.
pub(super) fn open(
    kind: HashKind,
    hash: &ContentHash,
    entry: &Entry,
    mut bytes: Vec<u8>,
    cache: &ObjectCache,
) -> Result<Vec<u8>, StoreError> {
    let fail = |error| StoreError::Frame { hash: *hash, error };
    let Some(within) = entry.within else {
        let frame = Frame::parse(&bytes).map_err(fail)?;
        let is_bare = frame.codec() == Codec::Raw
            && frame.raw_len() == (bytes.len() - frame::HEADER_LEN) as u64;
        if !is_bare {
            return codec::open(&frame, kind, hash).map_err(fail);
        }
        // The bytes are there already, behind the header.
        let found = kind.hash(&bytes[frame::HEADER_LEN..]);
        if found != *hash {
            return Err(fail(FrameError::Mismatch { expected: *hash, found }));
        }
        bytes.drain(..frame::HEADER_LEN);
        return Ok(bytes);
    };
    let block =
        Block::parse(&bytes).ok_or_else(|| fail(FrameError::Truncated { found: bytes.len() }))?;
    let decoded = block.decode().ok_or_else(|| fail(FrameError::Payload))?;
    let range = || {
        let start = usize::try_from(within).ok()?;
        decoded.get(start..start.checked_add(usize::try_from(entry.raw_len).ok()?)?)
    };
    let object = range().ok_or_else(|| fail(FrameError::Payload))?;
    let found = kind.hash(object);
    if found != *hash {
        return Err(fail(FrameError::Mismatch { expected: *hash, found }));
    }
    if cache.is_on() {
        for (name, bytes) in block.split(&decoded) {
            if name != *hash && kind.hash(bytes) == name {
                cache.insert(name, bytes);
            }
        }
    }
    Ok(object.to_vec())
}
