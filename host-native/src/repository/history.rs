// SPDX-License-Identifier: MIT
//! The file `snapshots`: the names of all snapshots in the order in which they were saved. It only grows,
//! until a collection takes snapshots away.
//!
//! Eight bytes of header (magic `CCSL`, version 1, three zero bytes), then 32 bytes a name. A crash may leave part of a name
//! at the end; it is not read, and the next append overwrites it.

use std::collections::HashSet;
use std::path::Path;

use cascow_core::hash::{ContentHash, HASH_LEN};

use crate::Error;
use crate::disk::{Access, Disk, replace};

const HEADER: [u8; 8] = *b"CCSL\x01\0\0\0";

/// What the file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct History {
    /// The names of the snapshots.
    pub(super) names: Vec<ContentHash>,
    /// Bytes of part of a name at the end, which a crash has left.
    pub(super) torn: usize,
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
    let names = names.iter().map(|name| ContentHash::from_bytes(*name)).collect();
    Ok(History { names, torn: torn.len() })
}

/// Appends a name, durably, unless it is there. The caller holds the repository's lock.
pub(super) fn append(disk: &dyn Disk, path: &Path, snapshot: &ContentHash) -> Result<(), Error> {
    let History { names, .. } = read(disk, path)?;
    if names.contains(snapshot) {
        return Ok(());
    }
    let end = (HEADER.len() + names.len() * HASH_LEN) as u64;
    let file = disk.open(path, Access::Write).map_err(Error::io("open", path))?;
    file.write_all_at(snapshot.as_bytes(), end).map_err(Error::io("write", path))?;
    file.sync().map_err(Error::io("sync", path))
}

/// Takes names out, durably, all at once; the order of the others stays, and a torn end goes. The caller holds the repository's lock.
pub(super) fn remove(
    disk: &dyn Disk,
    path: &Path,
    removed: &HashSet<ContentHash>,
) -> Result<(), Error> {
    let History { names, .. } = read(disk, path)?;
    let mut bytes = HEADER.to_vec();
    for name in names.iter().filter(|name| !removed.contains(name)) {
        bytes.extend_from_slice(name.as_bytes());
    }
    replace(disk, path, &bytes)
}
