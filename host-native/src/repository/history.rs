// SPDX-License-Identifier: MIT
//! The file `snapshots`: the names of all snapshots in the order in which they were saved. It only grows,
//! until a collection takes snapshots away.
//!
//! Eight bytes of header (magic `CCSL`, version 1, three zero bytes), then 32 bytes a name. A crash may leave part of a name
//! at the end: fewer bytes than one has, or, after a loss of power, zeros in place of those that lie in one sector of 512 bytes. It
//! is not read, and who appends next writes the file anew: a name over part of another could be torn to a mixture of both.

use std::collections::HashSet;
use std::path::Path;

use cascow_core::hash::{ContentHash, HASH_LEN};

use crate::Error;
use crate::disk::{Access, Disk, replace};

const HEADER: [u8; 8] = *b"CCSL\x01\0\0\0";

/// What a disk writes wholly or not at all. Those of 4 KiB are made up of it.
const SECTOR_LEN: usize = 512;

/// What the file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct History {
    /// The names of the snapshots.
    pub(super) names: Vec<ContentHash>,
    /// Bytes at the end that are no whole name, which a crash has left.
    pub(super) torn: usize,
}

impl History {
    /// Whether it names no snapshot, not even in part.
    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty() && self.torn == 0
    }
}

pub(super) fn create(disk: &dyn Disk, path: &Path) -> Result<(), Error> {
    replace(disk, path, &HEADER)
}

pub(super) fn read(disk: &dyn Disk, path: &Path) -> Result<History, Error> {
    let refuse = |reason| Error::NotARepository { path: path.to_owned(), reason };
    let bytes = match disk.read(path, usize::MAX) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(refuse("the history of snapshots is missing"));
        }
        Err(error) => return Err(Error::io("read", path)(error)),
    };
    let names =
        bytes.strip_prefix(&HEADER).ok_or_else(|| refuse("the history of snapshots is damaged"))?;
    let (names, torn) = names.as_chunks::<HASH_LEN>();
    let mut whole = names.len();
    while let Some(name) = whole.checked_sub(1).and_then(|last| names.get(last))
        && is_torn(name, whole - 1)
    {
        whole -= 1;
    }
    let torn = torn.len() + (names.len() - whole) * HASH_LEN;
    let names = names.iter().take(whole).map(|name| ContentHash::from_bytes(*name)).collect();
    Ok(History { names, torn })
}

/// Whether a part of a name that lies in one sector is zeros. Of 2^64 whole names one in sixteen would be taken for torn.
fn is_torn(name: &[u8; HASH_LEN], position: usize) -> bool {
    let offset = HEADER.len() + position * HASH_LEN;
    let (before, after) = name.split_at((SECTOR_LEN - offset % SECTOR_LEN).min(HASH_LEN));
    let is_zeros = |part: &[u8]| !part.is_empty() && part.iter().all(|byte| *byte == 0);
    is_zeros(before) || is_zeros(after)
}

/// Appends a name, durably, unless it is there. The caller holds the repository's lock.
pub(super) fn append(disk: &dyn Disk, path: &Path, snapshot: &ContentHash) -> Result<(), Error> {
    let History { mut names, torn } = read(disk, path)?;
    if torn > 0 {
        if !names.contains(snapshot) {
            names.push(*snapshot);
        }
        return write(disk, path, names.iter());
    }
    let file = disk.open(path, Access::Write).map_err(Error::io("open", path))?;
    // One that is there is written again: who wrote it may have been killed before it was synced, or the sync may have failed,
    // and only what is written anew is sure to be synced.
    let position = names.iter().position(|name| name == snapshot).unwrap_or(names.len());
    let at = (HEADER.len() + position * HASH_LEN) as u64;
    file.write_all_at(snapshot.as_bytes(), at).map_err(Error::io("write", path))?;
    file.sync().map_err(Error::io("sync", path))?;
    // And its name: a collector may have been killed when it had just put this file in the place of another.
    let dir = path.parent().unwrap_or(path);
    disk.sync_dir(dir).map_err(Error::io("sync", dir))
}

/// Appends names, durably, those that are not there, all at once; says how many these are. The caller holds the repository's lock.
pub(super) fn append_all(
    disk: &dyn Disk,
    path: &Path,
    snapshots: &[ContentHash],
) -> Result<u64, Error> {
    let mut names = read(disk, path)?.names;
    let before = names.len();
    let mut known: HashSet<ContentHash> = names.iter().copied().collect();
    names.extend(snapshots.iter().filter(|name| known.insert(**name)));
    // Anew even if all are there, since they may not be synced; and not in place, since of several sectors a loss of power may leave
    // zeros in the first and names behind them.
    write(disk, path, names.iter())?;
    Ok((names.len() - before) as u64)
}

/// Takes names out, durably, all at once; the order of the others stays, and a torn end goes. The caller holds the repository's lock.
pub(super) fn remove(
    disk: &dyn Disk,
    path: &Path,
    removed: &HashSet<ContentHash>,
) -> Result<(), Error> {
    let History { names, .. } = read(disk, path)?;
    write(disk, path, names.iter().filter(|name| !removed.contains(name)))
}

/// Writes the file anew, at once and durably.
fn write<'a>(
    disk: &dyn Disk,
    path: &Path,
    names: impl Iterator<Item = &'a ContentHash>,
) -> Result<(), Error> {
    let mut bytes = HEADER.to_vec();
    names.for_each(|name| bytes.extend_from_slice(name.as_bytes()));
    replace(disk, path, &bytes)
}
