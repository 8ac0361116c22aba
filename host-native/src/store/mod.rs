// SPDX-License-Identifier: MIT
//! Where a repository keeps its objects: a file each, or together in segments.
//!
//! Both stores verify what they read, may be used by any number of processes and threads at once, and lose nothing that a `sync`
//! has acknowledged. [`FilesystemStore`] is the simple one; [`SegmentStore`] is for many small objects. Which one a repository has
//! is written in its `format` file; [`Store`] is either.

mod cache;
mod files;
mod names;
mod segments;

use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use cascow_core::frame::FrameError;
use cascow_core::hash::{ContentHash, HashKind};
use cascow_core::store::{ObjectInfo, ObjectStore, Put, StoreError};

use crate::Error;
use crate::disk::{Disk, LinuxDisk};

pub use cache::{CacheStats, Cached, ObjectCache};
use files::FileMarks;
pub use files::FilesystemStore;
use segments::SegmentMarks;
pub use segments::{Durability, SegmentStore};

/// The kinds of store that a repository can have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreKind {
    /// A file for each object.
    Files,
    /// Objects one after another in segments, with an index.
    #[default]
    Segments,
}

impl StoreKind {
    /// What it is called on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Segments => "segments",
        }
    }
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for StoreKind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        match name {
            "files" => Ok(Self::Files),
            "segments" => Ok(Self::Segments),
            _ => Err(Error::Misuse(format!("{name:?} is no kind of store: files or segments"))),
        }
    }
}

/// What a collection keeps: filled by marking, then handed to [`Store::sweep`].
pub trait Marks {
    /// Marks an object; true if it was not marked before.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if it is not there, [`StoreError::Host`] if the host cannot tell.
    fn mark(&mut self, hash: &ContentHash) -> Result<bool, StoreError>;

    /// Whether an object was marked.
    ///
    /// # Errors
    /// [`StoreError::Host`] if the host cannot tell.
    fn is_marked(&self, hash: &ContentHash) -> Result<bool, StoreError>;
}

/// Marks of whichever store.
#[derive(Debug)]
pub struct StoreMarks<'s>(MarksOf<'s>);

#[derive(Debug)]
enum MarksOf<'s> {
    Files(FileMarks<'s>),
    Segments(SegmentMarks<'s>),
}

impl Marks for StoreMarks<'_> {
    fn mark(&mut self, hash: &ContentHash) -> Result<bool, StoreError> {
        match &mut self.0 {
            MarksOf::Files(marks) => marks.mark(hash),
            MarksOf::Segments(marks) => marks.mark(hash),
        }
    }

    fn is_marked(&self, hash: &ContentHash) -> Result<bool, StoreError> {
        match &self.0 {
            MarksOf::Files(marks) => marks.is_marked(hash),
            MarksOf::Segments(marks) => marks.is_marked(hash),
        }
    }
}

/// What a sweep may remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// Only objects that were put last before this, in seconds since 1970.
    pub before: u64,
    /// Whether to count only.
    pub dry_run: bool,
}

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Objects that stay.
    pub live: u64,
    /// Objects that were removed.
    pub removed: u64,
    /// Their bytes, as stored.
    pub reclaimed_bytes: u64,
}

/// An object that is not as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The object.
    pub hash: ContentHash,
    /// What is wrong with it.
    pub what: DamageKind,
}

/// What is wrong with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DamageKind {
    /// It is there, but not whole.
    Frame(FrameError),
    /// It is not there.
    Missing,
    /// Something other than a file stands in its place.
    NotAFile,
}

impl fmt::Display for DamageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame(error) => error.fmt(f),
            Self::Missing => f.write_str("missing"),
            Self::NotAFile => f.write_str("something other than a file stands in its place"),
        }
    }
}

/// What a repair did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repaired {
    /// Objects that are whole again.
    pub recovered: Vec<ContentHash>,
    /// Objects of which no whole copy is left; what there is of them was moved away.
    pub quarantined: Vec<ContentHash>,
}

/// Moves what is damaged into the directory for such things, under a name that is not taken there; says where it is.
pub(crate) fn quarantine(
    disk: &dyn Disk,
    path: &Path,
    dir: &Path,
    name: &str,
) -> Result<PathBuf, Error> {
    disk.create_dir_all(dir).map_err(Error::io("create", dir))?;
    let mut number = 0_u32;
    loop {
        let place = match number {
            0 => dir.join(name),
            _ => dir.join(format!("{name}.{number}")),
        };
        match disk.stat(&place) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                disk.rename(path, &place).map_err(Error::io("move", path))?;
                disk.sync_dir(dir).map_err(Error::io("sync", dir))?;
                return Ok(place);
            }
            Err(error) => return Err(Error::io("look for", &place)(error)),
            Ok(_) => number += 1,
        }
    }
}

/// A repository's store.
#[derive(Debug)]
#[non_exhaustive]
pub enum Store {
    /// A file for each object.
    Files(FilesystemStore),
    /// Objects in segments.
    Segments(Box<SegmentStore>),
}

impl Store {
    /// The store of this kind in an existing directory. What is put there is durable after [`Store::sync`].
    ///
    /// # Errors
    /// Those of [`SegmentStore::open`].
    pub fn open(kind: StoreKind, hash: HashKind, dir: &Path) -> Result<Self, Error> {
        Self::open_on(LinuxDisk::shared(), kind, hash, dir)
    }

    /// As [`Store::open`], on a disk.
    ///
    /// # Errors
    /// Those of [`Store::open`].
    pub fn open_on(
        disk: Arc<dyn Disk>,
        kind: StoreKind,
        hash: HashKind,
        dir: &Path,
    ) -> Result<Self, Error> {
        match kind {
            StoreKind::Files => Ok(Self::Files(FilesystemStore::open_on(disk, hash, dir))),
            StoreKind::Segments => {
                let store = SegmentStore::open_on(disk, hash, dir, Durability::Batch)?;
                Ok(Self::Segments(Box::new(store)))
            }
        }
    }

    /// Makes everything put so far survive a loss of power, and seen by other processes.
    ///
    /// # Errors
    /// Those of [`FilesystemStore::sync`] and [`SegmentStore::sync`].
    pub fn sync(&self) -> Result<(), Error> {
        match self {
            Self::Files(store) => store.sync(),
            Self::Segments(store) => store.sync(),
        }
    }

    /// Makes everything put so far survive the end of this process, however it ends; not a loss of power. Costs a write.
    ///
    /// # Errors
    /// Those of [`SegmentStore::flush`].
    pub fn flush(&self) -> Result<(), Error> {
        match self {
            // Each object has a file by the time it was put.
            Self::Files(_) => Ok(()),
            Self::Segments(store) => store.flush(),
        }
    }

    /// An empty set of marks, of those objects that are there.
    ///
    /// # Errors
    /// [`Error::Io`] if the store cannot be read.
    pub fn marks(&self) -> Result<StoreMarks<'_>, Error> {
        Ok(StoreMarks(match self {
            Self::Files(store) => MarksOf::Files(store.marks()),
            Self::Segments(store) => MarksOf::Segments(store.marks()?),
        }))
    }

    /// Removes what is not marked and was put last before a time. Who puts an object meanwhile keeps it.
    ///
    /// # Errors
    /// [`Error::Misuse`] if the marks are another store's, [`Error::Io`]; some objects may then be removed.
    pub fn sweep(&self, marks: &StoreMarks<'_>, sweep: &Sweep) -> Result<Swept, Error> {
        match (self, &marks.0) {
            (Self::Files(store), MarksOf::Files(marks)) => store.sweep(marks, sweep),
            (Self::Segments(store), MarksOf::Segments(marks)) => store.sweep(marks, sweep),
            _ => Err(Error::Misuse("these are the marks of another store".to_owned())),
        }
    }

    /// Gives back the space of what earlier sweeps removed, unless a process that is at work may still name it: `leases_since` is
    /// when the oldest of those began, looked up after the sweep.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn give_back(&self, leases_since: Option<u64>) -> Result<(), Error> {
        match self {
            // A file is gone as soon as it is removed.
            Self::Files(_) => Ok(()),
            Self::Segments(store) => store.give_back(leases_since),
        }
    }

    /// When an object was put last, in seconds since 1970; `None` if it is not there. What is being put counts as put at the end of
    /// time.
    ///
    /// # Errors
    /// [`Error::Io`] if the store cannot be read.
    pub fn put_last(&self, hash: &ContentHash) -> Result<Option<u64>, Error> {
        match self {
            Self::Files(store) => store.put_last(hash),
            Self::Segments(store) => store.put_last(hash),
        }
    }

    /// Says when the lease began under which objects are put from now on, in seconds since 1970: what is found again is made at
    /// least as young.
    pub fn lease_from(&self, start: u64) {
        match self {
            // Each hit makes a file young.
            Self::Files(_) => {}
            Self::Segments(store) => store.lease_from(start),
        }
    }

    /// Reads and verifies every object, and shows the damaged ones; says how many objects there are.
    ///
    /// # Errors
    /// [`Error::Io`] if the disk fails.
    pub fn check(&self, found: &mut dyn FnMut(Damage)) -> Result<u64, Error> {
        match self {
            Self::Files(store) => store.check(found),
            Self::Segments(store) => store.check(found),
        }
    }

    /// Makes damaged objects whole from other copies of them, and moves to `quarantine` what is left of those that have none.
    ///
    /// # Errors
    /// [`Error::Io`]; some may then be repaired.
    pub fn repair(&self, damaged: &[ContentHash], quarantine: &Path) -> Result<Repaired, Error> {
        match self {
            Self::Files(store) => store.repair(damaged, quarantine),
            Self::Segments(store) => store.repair(damaged, quarantine),
        }
    }

    fn inner(&self) -> &dyn ObjectStore {
        match self {
            Self::Files(store) => store,
            Self::Segments(store) => &**store,
        }
    }
}

impl ObjectStore for Store {
    fn hash_kind(&self) -> HashKind {
        self.inner().hash_kind()
    }

    fn put(&self, bytes: &[u8]) -> Result<Put, StoreError> {
        self.inner().put(bytes)
    }

    fn put_many(&self, objects: &[&[u8]]) -> Result<Vec<Put>, StoreError> {
        self.inner().put_many(objects)
    }

    fn get_within(&self, hash: &ContentHash, limit: u64) -> Result<Vec<u8>, StoreError> {
        self.inner().get_within(hash, limit)
    }

    fn exists(&self, hash: &ContentHash) -> Result<bool, StoreError> {
        self.inner().exists(hash)
    }

    fn delete(&self, hash: &ContentHash) -> Result<bool, StoreError> {
        self.inner().delete(hash)
    }

    fn for_each(
        &self,
        visit: &mut dyn FnMut(ObjectInfo) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.inner().for_each(visit)
    }
}
