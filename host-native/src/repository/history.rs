// SPDX-License-Identifier: MIT
//! The file `snapshots`: the names of all snapshots in the order in which they were saved. It only grows.
//!
//! Eight bytes of header (magic `CCSL`, version 1, three zero bytes), then 32 bytes a name. A crash may leave part of a name
//! at the end; it is not read, and the next append overwrites it.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use cascow_core::hash::{ContentHash, HASH_LEN};

use crate::Error;
use crate::replace::replace;

const HEADER: [u8; 8] = *b"CCSL\x01\0\0\0";

pub(super) fn create(path: &Path) -> Result<(), Error> {
    replace(path, &HEADER)
}

pub(super) fn read(path: &Path) -> Result<Vec<ContentHash>, Error> {
    let refuse = |reason| Error::NotARepository { path: path.to_owned(), reason };
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(refuse("the history of snapshots is missing"));
        }
        Err(error) => return Err(Error::io("read", path)(error)),
    };
    let names =
        bytes.strip_prefix(&HEADER).ok_or_else(|| refuse("the history of snapshots is damaged"))?;
    let (names, _torn) = names.as_chunks::<HASH_LEN>();
    Ok(names.iter().map(|name| ContentHash::from_bytes(*name)).collect())
}

/// Appends a name, durably, unless it is there. The caller holds the repository's lock.
pub(super) fn append(path: &Path, snapshot: &ContentHash) -> Result<(), Error> {
    let names = read(path)?;
    if names.contains(snapshot) {
        return Ok(());
    }
    let end = (HEADER.len() + names.len() * HASH_LEN) as u64;
    let file = File::options().write(true).open(path).map_err(Error::io("open", path))?;
    file.write_all_at(snapshot.as_bytes(), end).map_err(Error::io("write", path))?;
    file.sync_data().map_err(Error::io("sync", path))
}
