// SPDX-License-Identifier: MIT
//! The copy materialiser: a fork is a plain directory, every file written out; sealing reads it back.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use cascow_core::snapshot::State;
use cascow_core::store::ObjectStore;
use tempfile::TempDir;

use super::namespace;
use crate::Error;
use crate::directory::{self, Scan, ScanOptions};

/// A private directory with a state's content, removed when it is dropped.
#[derive(Debug)]
pub(super) struct Copied {
    /// `None` only while it is being dropped.
    dir: Option<TempDir>,
    /// The directory itself, whatever stands under its name later.
    inode: (u64, u64),
}

impl Copied {
    /// Writes a state out. O(size).
    pub(super) fn new<S: ObjectStore + Sync>(
        above: &Path,
        state: &State,
        store: &S,
    ) -> Result<Self, Error> {
        let dir = TempDir::with_prefix_in("", above).map_err(Error::io("write in", above))?;
        let inode = inode(dir.path())?;
        let copied = Self { dir: Some(dir), inode };
        directory::checkout(state, store, copied.path(), &mut |_| {})?;
        Ok(copied)
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.as_ref().map_or(Path::new(""), TempDir::path)
    }

    /// Reads the directory as it is now. O(size).
    pub(super) fn scan<S: ObjectStore + Sync>(&self, store: &S) -> Result<Scan, Error> {
        // A link or another directory in its place is not what was forked, and may lead anywhere.
        if inode(self.path()).ok() != Some(self.inode) {
            return Err(Error::Unavailable(
                "the command moved or removed its workspace; nothing was kept".to_owned(),
            ));
        }
        // What the command mounted is not of the workspace.
        if !namespace::detach_below(self.path()) {
            return Err(Error::Unavailable(
                "the command left something mounted in its workspace; nothing was kept: unmount it in the command"
                    .to_owned(),
            ));
        }
        let scan = directory::scan(self.path(), store, &ScanOptions::default(), &mut |_| {})?;
        match scan.unsettled.first() {
            None => Ok(scan),
            Some(path) => Err(Error::Unavailable(format!(
                "something that the command left behind still writes {:?}; nothing was kept: end it in the command",
                directory::os_path(path)
            ))),
        }
    }
}

/// Device and number of what stands under a name, a link not followed.
fn inode(path: &Path) -> Result<(u64, u64), Error> {
    let stat = fs::symlink_metadata(path).map_err(Error::io("look at", path))?;
    Ok((stat.dev(), stat.ino()))
}

impl Drop for Copied {
    fn drop(&mut self) {
        if let Some(dir) = self.dir.take() {
            let dir = dir.keep();
            // Never through a mount: what is behind it may be anything. What cannot be removed now goes with the workshop.
            if namespace::detach_below(&dir) {
                let _ = directory::remove(&dir);
            }
        }
    }
}
