// SPDX-License-Identifier: MIT
//! The segment that a process appends to, held by a kernel lock as long as it does.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cascow_core::hash::HashKind;

use super::format::{HEADER_LEN, header};
use super::index::Index;
use super::number::{self, SegmentNumber};
use crate::Error;
use crate::disk::{Access, Disk, DiskFile, Lock};

/// How many segments a writer tries to go on with before it begins one of its own: as many as writers may have been killed at
/// once.
const CANDIDATES: usize = 16;

/// Permissions of segments: the user's mask takes away what it must.
const MODE: u32 = 0o666;

/// Makes a segment's bytes survive a loss of power, and the names of all.
pub(super) fn sync(disk: &dyn Disk, dir: &Path, number: SegmentNumber) -> Result<(), Error> {
    let path = number.path(dir);
    disk.open(&path, Access::Read)
        .and_then(|file| file.sync())
        .map_err(Error::io("sync", &path))?;
    disk.sync_dir(dir).map_err(Error::io("sync", dir))
}

/// Locks a segment for its collector or next writer; `None` if a writer holds it, or it is gone or another user's.
pub(super) fn take(
    disk: &dyn Disk,
    dir: &Path,
    number: SegmentNumber,
) -> Result<Option<Arc<dyn DiskFile>>, Error> {
    let path = number.path(dir);
    let file = match disk.open(&path, Access::Write) {
        Ok(file) => file,
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => return Ok(None),
            _ => return Err(Error::io("open", &path)(error)),
        },
    };
    let is_ours = file.lock(Lock::Exclusive, false).map_err(Error::io("lock", &path))?;
    Ok(is_ours.then_some(file))
}

/// A segment with its lock.
#[derive(Debug)]
pub(super) struct SegmentWriter {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    number: SegmentNumber,
    /// How long a segment is that is not appended to any more.
    full: u64,
    /// Where the next record goes: behind whatever is there.
    pub(super) end: u64,
    /// The number of the next object.
    pub(super) objects: u32,
    /// Whether the segment's name is known to survive: another may have made it, and been killed before it did.
    is_named: bool,
}

impl SegmentWriter {
    /// Goes on with a segment that nobody holds and that has room, or begins one. All that is in it must be in the index first:
    /// `recover` sees to that for a segment whose lock is held.
    pub(super) fn open(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        kind: HashKind,
        index: &Index,
        full: u64,
        avoided: &[SegmentNumber],
        recover: &dyn Fn(SegmentNumber) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        let numbers = number::list(&**disk, dir)?;
        let candidates = numbers.iter().rev().filter(|number| !avoided.contains(number));
        for number in candidates.take(CANDIDATES) {
            if let Some(writer) = Self::resume(disk, dir, kind, index, full, recover, *number)? {
                return Ok(writer);
            }
        }
        let mut number = numbers.last().map_or(0, |number| number.0).max(index.last_removed()?);
        loop {
            number = number.checked_add(1).ok_or_else(|| Error::NotARepository {
                path: dir.to_owned(),
                reason: "there is no number left for another segment",
            })?;
            if let Some(writer) = Self::begin(disk, dir, kind, full, SegmentNumber(number))? {
                return Ok(writer);
            }
        }
    }

    fn resume(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        kind: HashKind,
        index: &Index,
        full: u64,
        recover: &dyn Fn(SegmentNumber) -> Result<(), Error>,
        number: SegmentNumber,
    ) -> Result<Option<Self>, Error> {
        let path = number.path(dir);
        let look = |file: &dyn DiskFile| file.len().map_err(Error::io("look at", &path));
        let Some(file) = take(&**disk, dir, number)? else { return Ok(None) };
        if look(&*file)? >= full {
            return Ok(None);
        }
        let mut found = [0; HEADER_LEN];
        let filled = file.read_full_at(&mut found, 0).map_err(Error::io("read", &path))?;
        if filled < HEADER_LEN && index.segment(number)?.is_none() {
            // Who began it was killed, or the disk was full.
            file.write_all_at(&header(kind), 0).map_err(Error::io("write", &path))?;
        } else if found != header(kind) {
            return Ok(None);
        }
        recover(number)?;
        let state = index.segment(number)?.unwrap_or_default();
        // Emptied by the collector: its end is near. Or cut off: what is appended where the index knows something else is found by
        // nobody.
        if state.is_dead || state.retired_at > 0 || look(&*file)? < state.indexed {
            return Ok(None);
        }
        let (end, objects) = (look(&*file)?, state.objects);
        let (disk, dir) = (Arc::clone(disk), dir.to_owned());
        Ok(Some(Self { disk, dir, path, file, number, full, end, objects, is_named: false }))
    }

    /// `None` if another process was first.
    fn begin(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        kind: HashKind,
        full: u64,
        number: SegmentNumber,
    ) -> Result<Option<Self>, Error> {
        let path = number.path(dir);
        let file = match disk.create(&path, MODE) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
            Err(error) => return Err(Error::io("create", &path)(error)),
        };
        if !file.lock(Lock::Exclusive, false).map_err(Error::io("lock", &path))? {
            return Ok(None);
        }
        // Another process may have gone on with it, and be done, before we had the lock.
        if !file.is_empty().map_err(Error::io("look at", &path))? {
            return Ok(None);
        }
        file.write_all_at(&header(kind), 0).map_err(Error::io("write", &path))?;
        let (disk, dir, end) = (Arc::clone(disk), dir.to_owned(), HEADER_LEN as u64);
        Ok(Some(Self { disk, dir, path, file, number, full, end, objects: 0, is_named: false }))
    }

    pub(super) fn number(&self) -> SegmentNumber {
        self.number
    }

    pub(super) fn is_full(&self) -> bool {
        self.end >= self.full
    }

    /// Writes bytes at a place behind the end. What a failed call wrote is written over by the next.
    pub(super) fn write(&self, bytes: &[u8], at: u64) -> Result<(), Error> {
        self.file.write_all_at(bytes, at).map_err(Error::io("write", &self.path))
    }

    /// Makes what was written survive a loss of power.
    pub(super) fn sync(&mut self) -> Result<(), Error> {
        self.file.sync().map_err(Error::io("sync", &self.path))?;
        if !self.is_named {
            self.disk.sync_dir(&self.dir).map_err(Error::io("sync", &self.dir))?;
            self.is_named = true;
        }
        Ok(())
    }
}
