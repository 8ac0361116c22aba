// SPDX-License-Identifier: MIT
//! The file `format`: which repository this is and what a program must understand to use it.
//!
//! | offset | bytes | field |
//! |-------:|------:|-------|
//! | 0 | 6 | magic `CASCOW` |
//! | 6 | 1 | version, 1 |
//! | 7 | 1 | hash function: 1 SHA-256, 2 BLAKE3 |
//! | 8 | 1 | store: 1 files, 2 segments |
//! | 9 | 3 | zero |
//! | 12 | 4 | compatible features: may be ignored |
//! | 16 | 4 | read-only compatible features: who does not know one must not write |
//! | 20 | 4 | incompatible features: who does not know one must not read |
//!
//! Feature flags as in ext4. None is defined yet; since all that this build does may write, it refuses both of the latter.

use std::io::ErrorKind;
use std::path::Path;

use cascow_core::hash::HashKind;

use crate::Error;
use crate::disk::{Disk, replace};
use crate::store::StoreKind;

const MAGIC: [u8; 6] = *b"CASCOW";
const VERSION: u8 = 1;
const LEN: usize = 24;

const fn store_id(store: StoreKind) -> u8 {
    match store {
        StoreKind::Files => 1,
        StoreKind::Segments => 2,
    }
}

pub(super) fn write(
    disk: &dyn Disk,
    path: &Path,
    kind: HashKind,
    store: StoreKind,
) -> Result<(), Error> {
    let mut bytes = [0; LEN];
    bytes[..6].copy_from_slice(&MAGIC);
    bytes[6..9].copy_from_slice(&[VERSION, kind.id(), store_id(store)]);
    replace(disk, path, &bytes)
}

pub(super) fn read(disk: &dyn Disk, path: &Path) -> Result<(HashKind, StoreKind), Error> {
    // One byte more than it has, so that a longer one is noticed.
    let bytes = match disk.read(path, LEN + 1) {
        Ok(bytes) => bytes,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            if disk.stat(&path.with_file_name("snapshots")).is_ok() {
                let reason = "it has a history of snapshots, but this file is missing";
                return Err(Error::NotARepository { path: path.to_owned(), reason });
            }
            return Err(Error::NoRepository { path: path.parent().unwrap_or(path).to_owned() });
        }
        Err(error) => return Err(Error::io("read", path)(error)),
    };
    let refuse = |reason| Err(Error::NotARepository { path: path.to_owned(), reason });
    let Some(([m0, m1, m2, m3, m4, m5, version, kind, store, rest @ ..], [])) =
        bytes.split_first_chunk::<LEN>()
    else {
        return refuse("it does not have 24 bytes");
    };
    if [*m0, *m1, *m2, *m3, *m4, *m5] != MAGIC {
        return refuse("wrong magic");
    }
    if *version != VERSION {
        return refuse("a version that this build does not read; a newer cascow may");
    }
    let store =
        [StoreKind::Files, StoreKind::Segments].into_iter().find(|kind| store_id(*kind) == *store);
    let Some(store) = store else {
        return refuse("its kind of store is unknown to this build; a newer cascow may know it");
    };
    if rest[..3] != [0; 3] || rest[7..] != [0; 8] {
        return refuse("it uses features that this build does not know; a newer cascow may");
    }
    match HashKind::from_id(*kind) {
        Ok(kind) => Ok((kind, store)),
        Err(_) => refuse("unknown hash function"),
    }
}
