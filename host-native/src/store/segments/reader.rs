// SPDX-License-Identifier: MIT
//! Segments open for reading, a bounded number of them, and objects out of them.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use cascow_core::frame::{self, Codec, Frame, FrameError};
use cascow_core::hash::{ContentHash, HashKind};
use cascow_core::store::StoreError;

use super::format::{BLOCK_RECORD_MOST_LEN, Block};
use super::index::Entry;
use super::number::SegmentNumber;
use crate::disk::{Access, Disk, DiskFile};
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
        // No more than such an object can take, whatever a damaged index says.
        let most = match entry.within {
            Some(_) => BLOCK_RECORD_MOST_LEN,
            None => usize::try_from(entry.raw_len)
                .unwrap_or(usize::MAX)
                .saturating_add(frame::HEADER_LEN),
        };
        let len = usize::try_from(entry.len).unwrap_or(usize::MAX).min(most);
        let mut bytes = Vec::new();
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

/// A block and its objects' bytes. None of them is verified.
#[derive(Debug)]
pub(super) struct DecodedBlock {
    record: Vec<u8>,
    decoded: Vec<u8>,
}

impl DecodedBlock {
    /// `None` if it is none, or does not decode.
    pub(super) fn new(record: Vec<u8>) -> Option<Self> {
        let decoded = Block::parse(&record)?.decode()?;
        Some(Self { record, decoded })
    }

    /// Its objects, in order.
    pub(super) fn objects(&self) -> impl Iterator<Item = (ContentHash, &[u8])> {
        Block::parse(&self.record).into_iter().flat_map(|block| block.split(&self.decoded))
    }
}

/// The object of this name in the bytes that its entry names: decoded, verified; and the block that it is in, if it is in one.
pub(super) fn open(
    kind: HashKind,
    hash: &ContentHash,
    entry: &Entry,
    mut bytes: Vec<u8>,
) -> Result<(Vec<u8>, Option<DecodedBlock>), StoreError> {
    let fail = |error| StoreError::Frame { hash: *hash, error };
    let Some(within) = entry.within else {
        let frame = Frame::parse(&bytes).map_err(fail)?;
        let is_bare = frame.codec() == Codec::Raw
            && frame.raw_len() == (bytes.len() - frame::HEADER_LEN) as u64;
        if !is_bare {
            return Ok((codec::open(&frame, kind, hash).map_err(fail)?, None));
        }
        // The bytes are there already, behind the header.
        verify(kind, hash, &bytes[frame::HEADER_LEN..])?;
        bytes.drain(..frame::HEADER_LEN);
        return Ok((bytes, None));
    };
    let found = bytes.len();
    let block = DecodedBlock::new(bytes).ok_or_else(|| {
        fail(if found == 0 { FrameError::Truncated { found } } else { FrameError::Payload })
    })?;
    let range = || {
        let start = usize::try_from(within).ok()?;
        block.decoded.get(start..start.checked_add(usize::try_from(entry.raw_len).ok()?)?)
    };
    let object = range().ok_or_else(|| fail(FrameError::Payload))?.to_vec();
    verify(kind, hash, &object)?;
    Ok((object, Some(block)))
}

fn verify(kind: HashKind, hash: &ContentHash, bytes: &[u8]) -> Result<(), StoreError> {
    let found = kind.hash(bytes);
    if found == *hash {
        return Ok(());
    }
    Err(StoreError::Frame { hash: *hash, error: FrameError::Mismatch { expected: *hash, found } })
}
