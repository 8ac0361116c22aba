// SPDX-License-Identifier: MIT
//! Results that are written where the user says, whole or not at all.

use std::fs::{self, File, Permissions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::Error;
use crate::disk::{self, LinuxDisk};

/// Gives a file its content at once and durably, as [`disk::replace`] does. What is there and is no regular file (a terminal, a
/// pipe) is written to instead.
///
/// # Errors
/// [`Error::Io`]; a file that was there is then as it was.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        return fs::write(path, bytes).map_err(Error::io("write", path));
    }
    disk::replace(&LinuxDisk, path, bytes)
}

/// As [`replace`], of a content that is written as it is made; what `write` gives is given back.
///
/// # Errors
/// [`Error::Io`], and those of `write`; a file that was there is then as it was.
pub fn replace_with<T>(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<T, Error>,
) -> Result<T, Error> {
    if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        let file = File::options().write(true).open(path).map_err(Error::io("open", path))?;
        let mut out = BufWriter::new(file);
        let done = write(&mut out)?;
        return out.flush().map(|()| done).map_err(Error::io("write", path));
    }
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    // Permissions as any program makes files: the user's mask takes away what it must. The name is as those of `disk::replace`.
    let mut temporary = tempfile::Builder::new();
    temporary.prefix(".tmp-").permissions(Permissions::from_mode(0o666));
    let mut temporary = temporary.tempfile_in(dir).map_err(Error::io("write in", dir))?;
    let mut out = BufWriter::new(temporary.as_file_mut());
    let done = write(&mut out)?;
    out.flush().map_err(Error::io("write", path))?;
    drop(out);
    temporary.as_file().sync_all().map_err(Error::io("sync", path))?;
    temporary.persist(path).map_err(|error| Error::io("replace", path)(error.error))?;
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(Error::io("sync", dir))?;
    Ok(done)
}
