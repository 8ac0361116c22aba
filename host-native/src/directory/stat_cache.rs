// SPDX-License-Identifier: MIT
//! Where a repository keeps what its last saves knew of the files: `stat-cache/`, a file for each directory that was saved.
//!
//! A cache, outside all that a repository promises: it is written without a sync and apart from any transaction, and whatever
//! is damaged, cut off or missing means that files are read again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use cascow_core::hash::ContentHash;

use super::known::{Known, Learned, path_hash};
use crate::Error;
use crate::repository::Repository;

/// Directories that are remembered, at most: the one that was saved longest ago is forgotten first.
const MAX_DIRECTORIES: usize = 64;

/// What the last save of a directory knew: nothing, unless the snapshot that it made is still in the history, since that is
/// what keeps the files' contents from being collected. Also gives that snapshot, to be held on to while the scan runs.
///
/// # Errors
/// Those of [`Repository::snapshots`].
pub fn load_known(
    repository: &Repository,
    dir: &Path,
) -> Result<(Known, Option<ContentHash>), Error> {
    let read = || {
        let dir = dir.canonicalize().ok()?;
        Known::decode(fs::read(path(repository, &dir)).ok()?, &dir)
    };
    match read() {
        Some((known, base)) if repository.snapshots()?.contains(&base) => Ok((known, Some(base))),
        _ => Ok((Known::default(), None)),
    }
}

/// Keeps what is known of a directory after a scan that knew `known` before, and that was published as a snapshot.
///
/// # Errors
/// [`Error::Io`]; nothing depends on it but the time of the next save.
pub fn store_known(
    repository: &Repository,
    dir: &Path,
    known: &Known,
    learned: Learned,
    snapshot: &ContentHash,
) -> Result<(), Error> {
    let dir = dir.canonicalize().map_err(Error::io("open", dir))?;
    let path = path(repository, &dir);
    let caches = path.parent().unwrap_or(&path);
    fs::create_dir_all(caches).map_err(Error::io("create", caches))?;
    let write = || {
        let mut file = tempfile::Builder::new().tempfile_in(caches)?;
        known.write_renewed(learned, file.as_file_mut(), &dir, snapshot)?;
        file.persist(&path).map_err(|error| error.error)
    };
    write().map_err(Error::io("write", &path))?;
    forget_oldest(caches).map_err(Error::io("clear", caches))
}

fn path(repository: &Repository, dir: &Path) -> PathBuf {
    repository.dir().join("stat-cache").join(path_hash(dir).to_string())
}

/// Removes what is too many, and with it what killed writers left.
fn forget_oldest(caches: &Path) -> io::Result<()> {
    let mut files = Vec::new();
    for file in fs::read_dir(caches)? {
        let file = file?;
        // Another process may have removed it meanwhile.
        let modified = file.metadata().and_then(|file| file.modified());
        files.push((modified.unwrap_or(SystemTime::UNIX_EPOCH), file.path()));
    }
    files.sort();
    let too_many = files.len().saturating_sub(MAX_DIRECTORIES);
    for (_, path) in files.into_iter().take(too_many) {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
