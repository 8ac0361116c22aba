// SPDX-License-Identifier: MIT
//! The one way by which a repository reaches the machine: files, a table with transactions, locks, and the clock.
//!
//! Everything that must survive `kill -9` and loss of power goes through [`Disk`], so that tests can put a simulated machine in its
//! place: one that stops at any call, forgets what was not synced, fails when told to, or lets another process in between any
//! two calls. [`LinuxDisk`] is the real one. What a repository only reads from and writes into, the directories that are saved
//! and checked out, is the business of [`crate::directory`].
//!
//! # What a disk promises
//!
//! * After a loss of power a file has the bytes that were written before its last [`DiskFile::sync`], and of each later write
//!   any part or nothing. A name that was made, moved or removed before the last [`Disk::sync_dir`] of its directory, or before
//!   [`Disk::sync_all`], is as it was then; a later change of a name has happened or has not, apart from what is in the file.
//! * A [`Table`]'s transactions happen wholly or not at all, in order, and survive once they are committed.
//! * A lock goes with the process that holds it, however the process ends.

mod linux;
mod lmdb;
mod replace;

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

pub use linux::LinuxDisk;
pub use replace::replace;
pub(crate) use replace::{is_temporary, temporary};

/// What is looked for behind a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Whether it is a regular file.
    pub is_file: bool,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// Its length in bytes.
    pub len: u64,
    /// When it was last written to, or [touched](Disk::touch), in seconds since 1970.
    pub modified: u64,
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To read.
    Read,
    /// To read and write.
    Write,
}

/// How a file is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// Together with others.
    Shared,
    /// Alone.
    Exclusive,
}

/// Files by path. Links are followed: a repository is its owner's.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Opens a file that is there.
    ///
    /// # Errors
    /// `NotFound`, or what the system says.
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>>;

    /// Makes a file with these permission bits, as far as the process's mask leaves them.
    ///
    /// # Errors
    /// `AlreadyExists`, or what the system says.
    fn create(&self, path: &Path, mode: u32) -> io::Result<Arc<dyn DiskFile>>;

    /// Makes a file without a name in a directory, to be [given one](DiskFile::link) when it is whole.
    ///
    /// # Errors
    /// `Unsupported` where the filesystem has no such files, or what the system says.
    fn create_unnamed(&self, dir: &Path, mode: u32) -> io::Result<Arc<dyn DiskFile>>;

    /// Gives a file a second name.
    ///
    /// # Errors
    /// `AlreadyExists`, `NotFound`, or what the system says.
    fn link(&self, path: &Path, new: &Path) -> io::Result<()>;

    /// Moves a name, in place of what is there.
    ///
    /// # Errors
    /// `NotFound`, or what the system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Takes a file's name away.
    ///
    /// # Errors
    /// `NotFound`, or what the system says.
    fn unlink(&self, path: &Path) -> io::Result<()>;

    /// Makes a directory, and those above it; one that is there is left as it is.
    ///
    /// # Errors
    /// What the system says.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;

    /// Removes a directory with all that is in it.
    ///
    /// # Errors
    /// `NotFound`, or what the system says.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;

    /// The names in a directory, in no order.
    ///
    /// # Errors
    /// `NotFound`, or what the system says.
    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>>;

    /// What is behind a name.
    ///
    /// # Errors
    /// `NotFound`, or what the system says.
    fn stat(&self, path: &Path) -> io::Result<Stat>;

    /// Sets the time of a file's last change to now.
    ///
    /// # Errors
    /// `NotFound`, or what the system says.
    fn touch(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory survive a loss of power.
    ///
    /// # Errors
    /// What the system says.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Makes all that was done so far on the filesystem of a directory survive a loss of power.
    ///
    /// # Errors
    /// What the system says.
    fn sync_all(&self, dir: &Path) -> io::Result<()>;

    /// Opens the table in an existing directory; makes it there if it may be written to. Who opens it to read, where this process has
    /// no right to write, sees to it that nobody writes to it meanwhile.
    ///
    /// # Errors
    /// `InvalidData` if it is damaged, `ReadOnlyFilesystem` or `PermissionDenied` if it cannot be written to, or what the
    /// system says.
    fn table(&self, dir: &Path, access: Access) -> io::Result<Arc<dyn Table>>;

    /// Seconds since 1970.
    fn now(&self) -> u64;
}

/// An open file. Writes and reads may be short, as the system's are.
pub trait DiskFile: fmt::Debug + Send + Sync {
    /// Reads bytes from there; 0 at the end of the file.
    ///
    /// # Errors
    /// `Interrupted`, or what the system says.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes bytes there, and lengthens the file if need be.
    ///
    /// # Errors
    /// `Interrupted`, or what the system says.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Length in bytes.
    ///
    /// # Errors
    /// What the system says.
    fn len(&self) -> io::Result<u64>;

    /// Whether there is nothing in it.
    ///
    /// # Errors
    /// As [`DiskFile::len`].
    fn is_empty(&self) -> io::Result<bool> {
        self.len().map(|len| len == 0)
    }

    /// Makes its bytes survive a loss of power; not its name.
    ///
    /// # Errors
    /// What the system says. Bytes that were written since the last success may then be lost, whatever later calls say.
    fn sync(&self) -> io::Result<()>;

    /// Gives a file without a name one.
    ///
    /// # Errors
    /// `AlreadyExists`, `Unsupported` where the system cannot, or what the system says.
    fn link(&self, path: &Path) -> io::Result<()>;

    /// Locks the file, in place of a lock that is held by it; false if others hold it and it is not to be waited for.
    ///
    /// # Errors
    /// What the system says.
    fn lock(&self, lock: Lock, wait: bool) -> io::Result<bool>;
}

impl dyn DiskFile + '_ {
    /// Reads as many bytes as there are, or as fit; says how many.
    ///
    /// # Errors
    /// What the system says.
    pub fn read_full_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.read_at(rest, offset.saturating_add(filled as u64)) {
                Ok(0) => break,
                Ok(more) => filled += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    /// Writes all bytes.
    ///
    /// # Errors
    /// What the system says; some may then be written.
    pub fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut written = 0;
        while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
            match self.write_at(rest, offset.saturating_add(written as u64)) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(more) => written += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl dyn Disk + '_ {
    /// A whole file's bytes, at most `limit`; of a longer one the beginning.
    ///
    /// # Errors
    /// As [`Disk::open`].
    pub fn read(&self, path: &Path, limit: usize) -> io::Result<Vec<u8>> {
        let file = self.open(path, Access::Read)?;
        let len = usize::try_from(file.len()?).unwrap_or(usize::MAX).min(limit);
        let mut bytes = vec![0; len];
        let found = file.read_full_at(&mut bytes, 0)?;
        bytes.truncate(found);
        Ok(bytes)
    }
}

/// Pairs of short byte strings in the order of their keys, changed by transactions. Several processes and threads may use one.
pub trait Table: fmt::Debug + Send + Sync {
    /// Shows the values of those keys that are there, with their position among the keys, all of one moment.
    ///
    /// # Errors
    /// `InvalidData` if the table is damaged, or what the system says.
    fn get_many(&self, keys: &[&[u8]], found: &mut dyn FnMut(usize, &[u8])) -> io::Result<()>;

    /// Shows pairs in the order of their keys, from the first behind `after`, until the visitor says false, all of one moment.
    /// The visitor must not use the table.
    ///
    /// # Errors
    /// As [`Table::get_many`].
    fn scan(
        &self,
        after: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> io::Result<()>;

    /// Does all that `work` does in one transaction, which survives a loss of power; nothing of it if `work` fails. One
    /// transaction at a time, of all processes together.
    ///
    /// # Errors
    /// The work's error, or as [`Table::get_many`].
    fn write(&self, work: &mut dyn FnMut(&mut dyn TableWriter) -> io::Result<()>)
    -> io::Result<()>;

    /// Gives back the memory in which it caches what it has shown: for who goes through all of a large table once.
    fn trim(&self) {}
}

/// A transaction on a [`Table`].
pub trait TableWriter {
    /// A value as the transaction has it.
    ///
    /// # Errors
    /// As [`Table::get_many`].
    fn get(&self, key: &[u8]) -> io::Result<Option<&[u8]>>;

    /// Sets a value.
    ///
    /// # Errors
    /// What the system says.
    fn put(&mut self, key: &[u8], value: &[u8]) -> io::Result<()>;

    /// Sets a value unless there is one, and then shows that.
    ///
    /// # Errors
    /// What the system says.
    fn insert(&mut self, key: &[u8], value: &[u8]) -> io::Result<Option<Vec<u8>>> {
        if let Some(found) = self.get(key)? {
            return Ok(Some(found.to_vec()));
        }
        self.put(key, value)?;
        Ok(None)
    }

    /// Takes a key away; says whether it was there.
    ///
    /// # Errors
    /// What the system says.
    fn delete(&mut self, key: &[u8]) -> io::Result<bool>;
}
