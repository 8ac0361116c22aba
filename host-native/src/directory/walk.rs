// SPDX-License-Identifier: MIT
//! All that a directory holds, looked at but not read: what it is where a look says so, and which files must be read for it.

use std::collections::HashSet;
use std::os::fd::OwnedFd;

use cascow_core::entry::{Entry, EntryKind, Note, SYMLINK_MODE};
use cascow_core::snapshot::Value;
use cascow_core::workspace;
use rustix::fs::{AtFlags, FileType, RawDir};
use rustix::io::Errno;

use super::beneath::Beneath;
use super::file::{Stamp, VANISHED, is_gone, mode, note, xattrs};
use super::scan::{ScanOptions, Skipped};
use super::{LISTING_LEN, Observer, descent, os_path};
use crate::Error;

/// Where a walk goes.
pub(super) struct Walk<'a> {
    pub(super) top: &'a Beneath,
    pub(super) options: &'a ScanOptions,
    /// Directories to leave out, by device and inode.
    pub(super) outside: HashSet<(u64, u64)>,
}

/// What a walk met.
#[derive(Default)]
pub(super) struct Met {
    /// What needs no more than its own entry: a look or what is known gives it, and it has one name. Ascending by
    /// path, in as many runs as there were threads.
    pub(super) entries: Vec<(Box<[u8]>, Value)>,
    /// What else is no directory, in no order.
    pub(super) items: Vec<Item>,
    /// Files among the entries that are as they were, by their places in what is known, in no order, and bytes of their contents.
    pub(super) kept: Vec<usize>,
    pub(super) kept_bytes: u64,
    pub(super) skipped: Vec<Skipped>,
}

/// A file that is to be read, or something that has several names.
pub(super) struct Item {
    pub(super) path: Vec<u8>,
    pub(super) stamp: Stamp,
    pub(super) is_linked: bool,
    /// Its value, without a group of hard links; `None` for a file that is to be read.
    pub(super) value: Option<Value>,
    /// Its place in what is known, for a file that need not be read.
    pub(super) place: Option<usize>,
}

impl Walk<'_> {
    /// Looks at all that is in the directory and below it, by all threads.
    ///
    /// # Errors
    /// [`Error::Io`] with the path that cannot be looked at: of several, one in the directory with the least path.
    pub(super) fn all(&self, observe: Observer<'_>) -> Result<Met, Error> {
        let worker = || (Met::default(), Vec::with_capacity(LISTING_LEN));
        let visit = |(met, buffer): &mut (Met, Vec<u8>), path: &[u8], below: &mut Vec<_>| {
            let before = met.entries.len();
            self.directory(path, buffer, met, below)?;
            Ok((met.entries.len() - before) as u64)
        };
        // Whoever makes a state of the entries sorts them: that is little work where each thread has sorted its own.
        let finish = |(mut met, _): (Met, Vec<u8>)| {
            met.entries.sort_unstable_by(|a, b| a.0.cmp(&b.0));
            met
        };
        let mut parts = descent::descend(worker, visit, finish, observe)?.into_iter();
        let mut all = parts.next().unwrap_or_default();
        for mut part in parts {
            all.entries.append(&mut part.entries);
            all.items.append(&mut part.items);
            all.kept.append(&mut part.kept);
            all.kept_bytes = all.kept_bytes.saturating_add(part.kept_bytes);
            all.skipped.append(&mut part.skipped);
        }
        Ok(all)
    }

    /// Looks at all that a directory holds; the directories in it are added to those below.
    fn directory(
        &self,
        path: &[u8],
        buffer: &mut Vec<u8>,
        met: &mut Met,
        below: &mut Vec<Vec<u8>>,
    ) -> Result<(), Error> {
        let dir = match self.top.directory(path) {
            Ok(dir) => dir,
            Err(errno) => return self.vanished_or(errno, "open", path, met),
        };
        if !path.is_empty() {
            let stat = rustix::fs::fstat(&dir).map_err(self.top.fail("look at", path))?;
            if self.outside.contains(&(stat.st_dev, stat.st_ino)) {
                return Ok(());
            }
            let xattrs = xattrs(&dir, self.top, path)?;
            let entry =
                Entry { kind: EntryKind::Directory, mode: mode(&stat), xattrs, links: None };
            met.entries.push((path.into(), encode(&entry, &note(&stat))));
        }
        let mut listing = RawDir::new(&dir, buffer.spare_capacity_mut());
        while let Some(item) = listing.next() {
            let item = match item {
                Ok(item) => item,
                // Removed since it was opened: there is nothing more in it.
                Err(Errno::NOENT) => break,
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(self.top.fail("list", path)(errno)),
            };
            let name = item.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let child = if path.is_empty() { name.to_vec() } else { [path, name].join(&b'/') };
            if !self.is_wanted(&child)? {
                continue;
            }
            // Most filesystems say in the listing what is a directory. It is looked at when it is open.
            if item.file_type() == FileType::Directory {
                below.push(child);
            } else {
                self.child(&dir, name, child, met, below)?;
            }
        }
        Ok(())
    }

    fn is_wanted(&self, path: &[u8]) -> Result<bool, Error> {
        let exclude = &self.options.exclude;
        if !exclude.is_empty() && exclude.is_match(os_path(path)) {
            return Ok(false);
        }
        if !workspace::is_path(path) {
            let reason = "the path is longer than 4,095 bytes";
            return Err(Error::Misuse(format!(
                "cannot save {:?}: {reason}",
                self.top.full_path(path)
            )));
        }
        Ok(true)
    }

    fn child(
        &self,
        dir: &OwnedFd,
        name: &[u8],
        path: Vec<u8>,
        met: &mut Met,
        below: &mut Vec<Vec<u8>>,
    ) -> Result<(), Error> {
        let stat = match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(errno) => return self.vanished_or(errno, "look at", &path, met),
        };
        let (stamp, is_linked) = (Stamp::of(&stat), stat.st_nlink > 1);
        let file_type = FileType::from_raw_mode(stat.st_mode);
        let kind = match file_type {
            FileType::Directory => {
                below.push(path);
                return Ok(());
            }
            FileType::RegularFile => {
                self.file(path, stamp, is_linked, met);
                return Ok(());
            }
            FileType::Symlink => match rustix::fs::readlinkat(dir, name, Vec::new()) {
                Ok(target) => EntryKind::Symlink { target: target.into_bytes() },
                Err(errno) => return self.vanished_or(errno, "read", &path, met),
            },
            FileType::Fifo => EntryKind::Fifo,
            FileType::CharacterDevice | FileType::BlockDevice => {
                let (major, minor) =
                    (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
                if file_type == FileType::BlockDevice {
                    EntryKind::BlockDevice { major, minor }
                } else {
                    EntryKind::CharacterDevice { major, minor }
                }
            }
            FileType::Socket => {
                met.skipped.push(Skipped { path, reason: "a socket" });
                return Ok(());
            }
            _ => {
                met.skipped.push(Skipped { path, reason: "of unknown kind" });
                return Ok(());
            }
        };
        let mode =
            if matches!(kind, EntryKind::Symlink { .. }) { SYMLINK_MODE } else { mode(&stat) };
        let entry = Entry { kind, mode, xattrs: Vec::new(), links: None };
        let value = encode(&entry, &note(&stat));
        if is_linked {
            met.items.push(Item { path, stamp, is_linked, value: Some(value), place: None });
        } else {
            met.entries.push((path.into(), value));
        }
        Ok(())
    }

    fn file(&self, path: Vec<u8>, stamp: Stamp, is_linked: bool, met: &mut Met) {
        let found = self.options.known.as_ref().and_then(|known| known.find(&stamp));
        // A member of a group is decoded later.
        let found = found.filter(|it| !is_linked || Entry::decode(it.value.bytes).is_ok());
        match found {
            Some(found) if !is_linked => {
                met.kept.push(found.place);
                met.kept_bytes = met.kept_bytes.saturating_add(stamp.len);
                met.entries.push((path.into(), found.value.into()));
            }
            _ => {
                let (value, place) = found.map(|it| (it.value.into(), it.place)).unzip();
                met.items.push(Item { path, stamp, is_linked, value, place });
            }
        }
    }

    /// What was listed and is not there any more is skipped; any other failure is one.
    fn vanished_or(
        &self,
        errno: Errno,
        operation: &'static str,
        path: &[u8],
        met: &mut Met,
    ) -> Result<(), Error> {
        if is_gone(errno) && !path.is_empty() {
            met.skipped.push(Skipped { path: path.to_vec(), reason: VANISHED });
            Ok(())
        } else {
            Err(self.top.fail(operation, path)(errno))
        }
    }
}

fn encode(entry: &Entry, note: &Note) -> Value {
    Value { bytes: entry.encode().into(), note: note.encode().into() }
}
