// SPDX-License-Identifier: MIT
//! Opening: an index that is missing, cut off or invalid is made again from the segments.
//!
//! Who uses a store holds its lock together with others; who makes the index anew holds it alone, so nobody reads or writes an
//! index that is about to be replaced.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use cascow_core::hash::HashKind;
use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::batch::{Batch, Change};
use super::format::{self, HEADER_LEN};
use super::index::{DAMAGED, DATA_NAME, Entry, Index};
use super::writer::{self, SegmentNumber};
use crate::Error;

/// How long to wait for others who use the store while its index must be made anew, and how often to look.
const WAIT: Duration = Duration::from_millis(20);
const WAITS: usize = 250;

/// Entries written at once when the index is made anew.
const BATCH: usize = 1 << 16;

/// The store's index, with the lock that keeps others from replacing it.
pub(super) fn open(dir: &Path, kind: HashKind, now: u32) -> Result<(File, Arc<Index>), Error> {
    let (segments, index_dir) = (dir.join("segments"), dir.join("index"));
    for path in [&segments, &index_dir] {
        fs::create_dir_all(path).map_err(Error::io("create", path))?;
    }
    let path = dir.join("lock");
    let lock = File::options().create(true).truncate(false).write(true).open(&path);
    let lock = lock.map_err(Error::io("open", &path))?;
    for _ in 0..WAITS {
        rustix::fs::flock(&lock, FlockOperation::LockShared).map_err(Error::io("lock", &path))?;
        if let Some(index) = usable(&index_dir, &segments, kind)? {
            return Ok((lock, index));
        }
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                // Another may have made it meanwhile.
                if let Some(index) = usable(&index_dir, &segments, kind)? {
                    index.close();
                } else {
                    rebuild(dir, &segments, &index_dir, kind, now)?;
                }
            }
            Err(Errno::WOULDBLOCK) => thread::sleep(WAIT),
            Err(error) => return Err(Error::io("lock", &path)(error)),
        }
    }
    Err(Error::NotARepository { path: index_dir, reason: DAMAGED })
}

/// The index, if it can be used.
fn usable(index: &Path, segments: &Path, kind: HashKind) -> Result<Option<Arc<Index>>, Error> {
    let data = index.join(DATA_NAME);
    // LMDB takes an empty file for a new one.
    let is_new = fs::metadata(&data).map_or(0, |data| data.len()) == 0;
    if is_new && holds_records(segments)? {
        return Ok(None);
    }
    match Index::open(index, kind) {
        Ok(index) => Ok(Some(index)),
        Err(Error::NotARepository { reason: DAMAGED, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn holds_records(segments: &Path) -> Result<bool, Error> {
    for number in writer::list(segments)? {
        let path = number.path(segments);
        let len = fs::metadata(&path).map_err(Error::io("look at", &path))?.len();
        if len > HEADER_LEN as u64 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Makes the index from the segments and puts it in its place, whole. The caller holds the lock alone.
fn rebuild(
    dir: &Path,
    segments: &Path,
    index_dir: &Path,
    kind: HashKind,
    now: u32,
) -> Result<(), Error> {
    let new = dir.join("index.new");
    remove(&new)?;
    fs::create_dir(&new).map_err(Error::io("create", &new))?;
    let index = Index::open(&new, kind)?;
    for number in writer::list(segments)? {
        writer::sync(segments, number)?;
        enter(&index, &number.path(segments), number, kind, now)?;
    }
    index.close();
    remove(index_dir)?;
    fs::rename(&new, index_dir).map_err(Error::io("replace", index_dir))?;
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(Error::io("sync", dir))
}

fn enter(
    index: &Index,
    path: &Path,
    segment: SegmentNumber,
    kind: HashKind,
    now: u32,
) -> Result<(), Error> {
    let mut batch = Batch::default();
    format::scan(path, kind, &mut |found| {
        let Ok(raw_len) = u32::try_from(found.raw_len) else { return Ok(()) };
        let (offset, stored_len) = (found.offset, found.stored_len);
        let entry = Entry { segment, offset, stored_len, raw_len, put_at: now, synced: true };
        batch.changes.insert(found.hash, Change::Refresh(entry));
        if batch.changes.len() == BATCH {
            index.publish(&batch, None, now, true)?;
            batch.changes.clear();
        }
        Ok(())
    })?;
    index.publish(&batch, None, now, true)
}

fn remove(dir: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io("remove", dir)(error))
        }
        _ => Ok(()),
    }
}
