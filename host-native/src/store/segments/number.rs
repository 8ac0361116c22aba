// SPDX-License-Identifier: MIT
//! The names of segments: eight hexadecimal digits, each number used once.

use std::path::{Path, PathBuf};

use crate::Error;
use crate::disk::Disk;

/// A segment's number, which names its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SegmentNumber(pub(super) u32);

impl SegmentNumber {
    pub(super) fn path(self, dir: &Path) -> PathBuf {
        dir.join(format!("{:08x}", self.0))
    }
}

/// The segments in a directory, ascending.
pub(super) fn list(disk: &dyn Disk, dir: &Path) -> Result<Vec<SegmentNumber>, Error> {
    let mut numbers = Vec::new();
    for name in disk.list(dir).map_err(Error::io("list", dir))? {
        // What does not bear a name of ours is not ours.
        let Some(name) = name.to_str().filter(|name| name.len() == 8) else { continue };
        numbers.extend(u32::from_str_radix(name, 16).ok().map(SegmentNumber));
    }
    numbers.sort_unstable();
    Ok(numbers)
}
