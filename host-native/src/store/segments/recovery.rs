// SPDX-License-Identifier: MIT
//! Opening: what killed writers left is entered in the index, and an index that is missing, cut off or invalid is made again from the
//! segments.
//!
//! Who uses a store holds its lock together with others; who makes the index anew holds it alone, so nobody reads or writes an
//! index that is about to be replaced.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use cascow_core::hash::{ContentHash, HashKind};

use super::format::{self, HEADER_LEN, Trust};
use super::index::{Appended, DAMAGED, Index};
use super::number::{self, SegmentNumber};
use super::writer;
use crate::Error;
use crate::disk::{Access, Disk, DiskFile, Lock};

/// How long to wait for others who use the store while its index must be made anew, and how often to look.
const WAIT: Duration = Duration::from_millis(20);
const WAITS: usize = 250;

/// Entries written at once when a segment is entered in the index. Names are random, so a transaction holds a changed page of 4 KiB in
/// memory for nearly each: 16 MB. An index made anew gets more at once, which is faster, and takes up to 256 MB.
const BATCH: usize = 1 << 12;
const REBUILT_BATCH: usize = 1 << 16;

/// A store that was opened.
#[derive(Debug)]
pub(super) struct Opened {
    /// Keeps others from replacing the index, or, of who may only read it, from using it. There is none on a medium that takes no
    /// writes.
    pub(super) lock: Option<Arc<dyn DiskFile>>,
    pub(super) index: Index,
    pub(super) is_writable: bool,
    /// Segments that could not be entered in the index, and are not to be appended to.
    pub(super) avoided: Vec<SegmentNumber>,
}

/// The store's index, with the lock that keeps others from replacing it.
pub(super) fn open(disk: &dyn Disk, dir: &Path, kind: HashKind) -> Result<Opened, Error> {
    match open_to_write(disk, dir, kind) {
        Err(Error::Io { source, .. }) if is_read_only(&source) => {
            open_to_read(disk, dir, kind, source.kind() == io::ErrorKind::PermissionDenied)
        }
        opened => opened,
    }
}

fn is_read_only(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied)
}

/// Where others may write and we may not, they are kept from it while we read: without the right to write, LMDB cannot be told of
/// readers.
fn open_to_read(
    disk: &dyn Disk,
    dir: &Path,
    kind: HashKind,
    others_may_write: bool,
) -> Result<Opened, Error> {
    let index = dir.join("index");
    let lock = if others_may_write { Some(lock_alone(disk, &dir.join("lock"))?) } else { None };
    match Index::open(disk, &index, kind, Access::Read)? {
        Some(index) => Ok(Opened { lock, index, is_writable: false, avoided: Vec::new() }),
        None => Err(Error::NotARepository { path: index, reason: DAMAGED }),
    }
}

fn lock_alone(disk: &dyn Disk, path: &Path) -> Result<Arc<dyn DiskFile>, Error> {
    let lock = disk.open(path, Access::Read).map_err(Error::io("open", path))?;
    for _ in 0..WAITS {
        if lock.lock(Lock::Exclusive, false).map_err(Error::io("lock", path))? {
            return Ok(lock);
        }
        thread::sleep(WAIT);
    }
    Err(Error::Unavailable(format!(
        "others use the store of {path:?}, and who may only read it has to wait until they do not"
    )))
}

fn open_to_write(disk: &dyn Disk, dir: &Path, kind: HashKind) -> Result<Opened, Error> {
    let (segments, index_dir) = (dir.join("segments"), dir.join("index"));
    for path in [&segments, &index_dir] {
        disk.create_dir_all(path).map_err(Error::io("create", path))?;
    }
    let path = dir.join("lock");
    let failed = |operation| Error::io(operation, &path);
    let lock = match disk.create(&path, 0o666) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            disk.open(&path, Access::Write).map_err(failed("open"))?
        }
        created => created.map_err(failed("create"))?,
    };
    for _ in 0..WAITS {
        lock.lock(Lock::Shared, true).map_err(failed("lock"))?;
        if let Some(index) = Index::open(disk, &index_dir, kind, Access::Write)? {
            let mut avoided = Vec::new();
            for number in number::list(disk, &segments)? {
                match take_over(disk, &segments, kind, &index, number) {
                    // A full disk, say. Readers find in the segment itself what the index does not name, and the next to open
                    // the store tries again. Not we: after a sync that failed, one that succeeds proves nothing.
                    Err(Error::Io { .. }) => avoided.push(number),
                    taken => taken?,
                }
            }
            return Ok(Opened { lock: Some(lock), index, is_writable: true, avoided });
        }
        if lock.lock(Lock::Exclusive, false).map_err(failed("lock"))? {
            // Another may have made it meanwhile.
            if Index::open(disk, &index_dir, kind, Access::Write)?.is_none() {
                rebuild(disk, dir, &segments, &index_dir, kind)?;
            }
        } else {
            thread::sleep(WAIT);
        }
    }
    Err(Error::NotARepository { path: index_dir, reason: DAMAGED })
}

/// Enters what a killed writer left in the index, and removes a segment whose removal was begun.
fn take_over(
    disk: &dyn Disk,
    segments: &Path,
    kind: HashKind,
    index: &Index,
    number: SegmentNumber,
) -> Result<(), Error> {
    let path = number.path(segments);
    let len = match disk.stat(&path) {
        Ok(found) => found.len,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io("look at", &path)(error)),
    };
    let state = index.segment(number)?.unwrap_or_default();
    if len <= state.indexed.max(HEADER_LEN as u64) && !state.is_dead {
        return Ok(());
    }
    let Some(_lock) = writer::take(disk, segments, number)? else { return Ok(()) };
    // Another may have done it meanwhile.
    if index.segment(number)?.unwrap_or_default().is_dead {
        return remove(disk, segments, index, number);
    }
    enter(disk, segments, kind, index, number)
}

/// Enters a segment's records in the index from where it was entered last. The caller holds the segment's lock, or the store's alone.
pub(super) fn enter(
    disk: &dyn Disk,
    segments: &Path,
    kind: HashKind,
    index: &Index,
    number: SegmentNumber,
) -> Result<(), Error> {
    enter_by(BATCH, disk, segments, kind, index, number)
}

fn enter_by(
    batch: usize,
    disk: &dyn Disk,
    segments: &Path,
    kind: HashKind,
    index: &Index,
    number: SegmentNumber,
) -> Result<(), Error> {
    let path = number.path(segments);
    let state = index.segment(number)?.unwrap_or_default();
    let len = disk.stat(&path).map_err(Error::io("look at", &path))?.len;
    if len <= state.indexed.max(HEADER_LEN as u64) {
        return Ok(());
    }
    let _sparing = index.spare();
    // The index never names what a loss of power could take.
    writer::sync(disk, segments, number)?;
    let now = u32::try_from(disk.now()).unwrap_or(u32::MAX);
    let mut objects = state.objects;
    let mut found: Vec<(ContentHash, Appended)> = Vec::new();
    let publish = |found: &mut Vec<(ContentHash, Appended)>, indexed, objects| {
        found.sort_unstable_by_key(|(hash, _)| *hash);
        // Nothing is put again here that could be gone.
        let _none = index.publish(Some((number, indexed, objects)), found, &[], now)?;
        found.clear();
        Ok::<(), Error>(())
    };
    let end = format::scan(disk, &path, kind, state.indexed, Trust::Nothing, &mut |object| {
        let Some(entry) = object.entry(number, objects, now) else { return Ok(()) };
        objects = objects.saturating_add(1);
        found.push((object.hash, Appended { entry, mends: false }));
        if found.len() >= batch { publish(&mut found, 0, objects) } else { Ok(()) }
    })?;
    publish(&mut found, end, objects)
}

/// Removes a condemned segment. The caller holds its lock.
pub(super) fn remove(
    disk: &dyn Disk,
    segments: &Path,
    index: &Index,
    number: SegmentNumber,
) -> Result<(), Error> {
    let path = number.path(segments);
    match disk.unlink(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Error::io("remove", &path)(error));
        }
        _ => {}
    }
    disk.sync_dir(segments).map_err(Error::io("sync", segments))?;
    index.forget_segment(number)
}

/// Makes the index from the segments and puts it in its place, whole. The caller holds the lock alone.
fn rebuild(
    disk: &dyn Disk,
    dir: &Path,
    segments: &Path,
    index_dir: &Path,
    kind: HashKind,
) -> Result<(), Error> {
    let new = dir.join("index.new");
    remove_dir(disk, &new)?;
    disk.create_dir_all(&new).map_err(Error::io("create", &new))?;
    let index = Index::create(disk, &new, kind)?;
    for number in number::list(disk, segments)? {
        enter_by(REBUILT_BATCH, disk, segments, kind, &index, number)?;
    }
    drop(index);
    remove_dir(disk, index_dir)?;
    disk.rename(&new, index_dir).map_err(Error::io("replace", index_dir))?;
    disk.sync_dir(dir).map_err(Error::io("sync", dir))
}

fn remove_dir(disk: &dyn Disk, dir: &Path) -> Result<(), Error> {
    match disk.remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::io("remove", dir)(error))
        }
        _ => Ok(()),
    }
}
