// SPDX-License-Identifier: MIT
//! Files that are written whole or not at all.

use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use super::Disk;
use crate::Error;

/// Permissions as any program makes files: the user's mask takes away what it must.
const MODE: u32 = 0o666;

/// Gives a file its content at once and durably: a new file, synced, renamed over what was there, the directory synced.
///
/// # Errors
/// [`Error::Io`]; a file that was there is then as it was, or has the new content.
pub fn replace(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    let temporary = temporary(disk, dir, bytes, MODE, true)?;
    if let Err(error) = disk.rename(&temporary, path) {
        // It is of no use to anybody; the first error is the one to tell.
        let _ = disk.unlink(&temporary);
        return Err(Error::io("replace", path)(error));
    }
    disk.sync_dir(dir).map_err(Error::io("sync", dir))
}

/// Whether a name is one of [`temporary`]'s.
pub(crate) fn is_temporary(name: &str) -> bool {
    name.starts_with(".tmp-")
}

/// A file of a new name in a directory, with these bytes. A leading dot marks it as nobody's: a crash may leave it behind.
pub(crate) fn temporary(
    disk: &dyn Disk,
    dir: &Path,
    bytes: &[u8],
    mode: u32,
    synced: bool,
) -> Result<PathBuf, Error> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = dir.join(format!(".tmp-{}-{number}", process::id()));
        let file = match disk.create(&path, mode) {
            Ok(file) => file,
            // One of the same number died here.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            Err(error) => return Err(Error::io("write in", dir)(error)),
        };
        let written = file.write_all_at(bytes, 0).map_err(Error::io("write", &path));
        let synced = || match synced {
            true => file.sync().map_err(Error::io("sync", &path)),
            false => Ok(()),
        };
        if let Err(error) = written.and_then(|()| synced()) {
            let _ = disk.unlink(&path);
            return Err(error);
        }
        return Ok(path);
    }
}
