// SPDX-License-Identifier: MIT
//! Results that are written where the user says, whole or not at all.

use std::fs;
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
