// SPDX-License-Identifier: MIT
//! Removing a directory tree, also where its own permissions stand against it.

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::Error;

/// Removes a directory and all that is in it. That it is gone already is no error.
///
/// # Errors
/// [`Error::Io`].
pub fn remove(dir: &Path) -> Result<(), Error> {
    let mut removed = fs::remove_dir_all(dir);
    if removed.as_ref().is_err_and(|error| error.kind() == ErrorKind::PermissionDenied) {
        unlock(dir);
        removed = fs::remove_dir_all(dir);
    }
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io("remove", dir)(error)),
        _ => Ok(()),
    }
}

/// Removes all that is in a directory.
pub(super) fn remove_contents(dir: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(dir).map_err(Error::io("list", dir))? {
        let entry = entry.map_err(Error::io("list", dir))?;
        let kind = entry.file_type().map_err(Error::io("look at", dir))?;
        let path = entry.path();
        if kind.is_dir() {
            remove(&path)?;
        } else {
            fs::remove_file(&path).map_err(Error::io("remove", &path))?;
        }
    }
    Ok(())
}

/// Lets us into every directory of a tree that is ours, as far as we may.
fn unlock(dir: &Path) {
    if !fs::symlink_metadata(dir).is_ok_and(|there| there.is_dir()) {
        return; // a link in its place leads to what is not ours
    }
    // What cannot be unlocked cannot be removed: removing reports it.
    let _ = fs::set_permissions(dir, Permissions::from_mode(0o700));
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            unlock(&entry.path());
        }
    }
}
