// SPDX-License-Identifier: MIT
//! Where a repository keeps its objects: a file each, or together in segments.
//!
//! Both stores verify what they read, may be used by any number of processes and threads at once, and lose nothing that a `sync`
//! has acknowledged. [`FilesystemStore`] is the simple one; [`SegmentStore`] is for many small objects. Which one a repository has
//! is written in its `format` file; [`Store`] is either.

mod cache;
mod files;
mod segments;

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use cascow_core::hash::{ContentHash, HashKind};
use cascow_core::store::{ObjectInfo, ObjectStore, Put, StoreError};

use crate::Error;

pub use cache::{CacheStats, Cached, ObjectCache};
pub use files::FilesystemStore;
pub use segments::{Durability, SegmentStore};

/// The kinds of store that a repository can have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreKind {
    /// A file for each object.
    #[default]
    Files,
    /// Objects one after another in segments, with an index.
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
        match kind {
            StoreKind::Files => Ok(Self::Files(FilesystemStore::new(hash, dir))),
            StoreKind::Segments => {
                let store = SegmentStore::open(hash, dir, Durability::Batch)?;
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
