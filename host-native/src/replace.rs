// SPDX-License-Identifier: MIT
//! Files that are written whole or not at all.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::Error;

/// Gives a file its content at once and durably: a new file, synced, renamed over what was there, the directory synced. What is
/// there and is no regular file (a terminal, a pipe) is written to instead.
///
/// # Errors
/// [`Error::Io`]; a file that was there is then as it was.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        return fs::write(path, bytes).map_err(Error::io("write", path));
    }
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    let mut file = tempfile::Builder::new()
        // As any program makes files: the user's mask takes away what it must.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(dir)
        .map_err(Error::io("write in", dir))?;
    file.write_all(bytes).map_err(Error::io("write", path))?;
    file.as_file().sync_all().map_err(Error::io("sync", path))?;
    file.persist(path).map_err(|error| Error::io("replace", path)(error.error))?;
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(Error::io("sync", dir))
}
