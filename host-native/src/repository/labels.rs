// SPDX-License-Identifier: MIT
//! Labels: names for snapshots, a file each. The file's name is the label, percent-encoded where it must be; its content is the
//! snapshot's name in hex and a newline.

use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use cascow_core::hash::{ContentHash, HASH_LEN};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use crate::Error;
use crate::disk::{Disk, replace};

/// Longest label, in bytes: percent-encoded it is still a file name.
const MAX_LEN: usize = 80;

/// What cannot stand in a file name of ours: a leading dot marks temporary files.
const ENCODED: &AsciiSet = &CONTROLS.add(b'/').add(b'%').add(b'.').add(b' ');

/// A name for a snapshot: 1 to 80 bytes of text without control characters, not itself a hash, not beginning with `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Label(String);

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Label {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let refuse = |reason| Err(Error::Misuse(format!("{name:?} cannot be a label: {reason}")));
        if name.is_empty() || name.len() > MAX_LEN {
            return refuse("it must have 1 to 80 bytes");
        }
        if name.chars().any(char::is_control) {
            return refuse("it holds a control character");
        }
        if name.starts_with('-') {
            return refuse("it would look like an option");
        }
        if name.parse::<ContentHash>().is_ok() {
            return refuse("it would look like a snapshot's name");
        }
        Ok(Self(name.to_owned()))
    }
}

impl Label {
    pub(super) fn path(&self, dir: &Path) -> PathBuf {
        dir.join(utf8_percent_encode(&self.0, ENCODED).to_string())
    }
}

pub(super) fn get(
    disk: &dyn Disk,
    dir: &Path,
    label: &Label,
) -> Result<Option<ContentHash>, Error> {
    let path = label.path(dir);
    // One byte more than a label has, so that a longer one is noticed.
    let bytes = match disk.read(&path, 2 * HASH_LEN + 2) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("read", &path)(error)),
    };
    let text = std::str::from_utf8(&bytes).ok().and_then(|text| text.strip_suffix('\n'));
    let hash = text.and_then(|hex| hex.parse().ok());
    hash.map(Some)
        .ok_or(Error::NotARepository { path, reason: "the label does not hold a snapshot's name" })
}

/// All labels, ascending, readable or not.
pub(super) fn list(disk: &dyn Disk, dir: &Path) -> Result<Vec<Label>, Error> {
    let names = disk.list(dir).map_err(Error::io("list", dir))?;
    // What does not decode to a label is not ours: a temporary file of a writer, say.
    let decode = |name: &std::ffi::OsString| {
        let name = name.to_str().filter(|name| !name.starts_with('.'))?;
        percent_decode_str(name).decode_utf8().ok()?.parse::<Label>().ok()
    };
    let mut labels: Vec<Label> = names.iter().filter_map(decode).collect();
    labels.sort();
    labels.dedup();
    Ok(labels)
}

/// The caller holds the repository's lock.
pub(super) fn set(
    disk: &dyn Disk,
    dir: &Path,
    label: &Label,
    snapshot: &ContentHash,
) -> Result<(), Error> {
    replace(disk, &label.path(dir), format!("{snapshot}\n").as_bytes())
}

/// The caller holds the repository's lock.
pub(super) fn delete(disk: &dyn Disk, dir: &Path, label: &Label) -> Result<(), Error> {
    let path = label.path(dir);
    match disk.unlink(&path) {
        Ok(()) => disk.sync_dir(dir).map_err(Error::io("sync", dir)),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(Error::NotFound { kind: "label", name: label.to_string() })
        }
        Err(error) => Err(Error::io("remove", &path)(error)),
    }
}
