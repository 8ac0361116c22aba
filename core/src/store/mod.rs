// SPDX-License-Identifier: MIT
//! Object stores: where immutable bytes live under their content hash.
//!
//! A store guarantees that what [`ObjectStore::get`] returns was verified against its name, and that putting bytes which
//! are there already counts as a write (their age is refreshed). It knows nothing of what objects mean or who refers to
//! them. [`MemoryStore`] is the reference that every other store is compared with.

mod memory;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

use crate::frame::{FrameError, MAX_OBJECT_LEN};
use crate::hash::{ContentHash, HashKind};

pub use memory::MemoryStore;

/// What [`ObjectStore::put`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Put {
    /// The object's name.
    pub hash: ContentHash,
    /// Bytes that this put added to the store, as stored; `None` if the object was there already.
    pub added: Option<u64>,
}

/// One object as [`ObjectStore::for_each`] shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectInfo {
    /// The object's name.
    pub hash: ContentHash,
    /// Its length as stored, frame and all, in bytes.
    pub stored_len: u64,
    /// Its length uncompressed, in bytes, as its frame declares it.
    pub raw_len: u64,
}

/// Immutable objects under their content hash. Methods take `&self`: a store is shared by its readers and writers.
pub trait ObjectStore {
    /// The hash function that names this store's objects.
    fn hash_kind(&self) -> HashKind;

    /// Stores an object, or refreshes its age if it is there. O(n) hashing and compression.
    ///
    /// # Errors
    /// [`StoreError::Frame`] if it is longer than an object may be, [`StoreError::Host`] if the host cannot write.
    fn put(&self, bytes: &[u8]) -> Result<Put, StoreError>;

    /// Stores objects as putting each in turn does, and says of each what that did, in the same order. A store that names several
    /// at once ([`HashKind::hash_each`]) is faster so than by [`ObjectStore::put`]. O(n) hashing and compression.
    ///
    /// # Errors
    /// As [`ObjectStore::put`]; some of the objects may then be stored.
    fn put_many(&self, objects: &[&[u8]]) -> Result<Vec<Put>, StoreError> {
        objects.iter().map(|bytes| self.put(bytes)).collect()
    }

    /// The object's bytes, verified. O(n).
    ///
    /// # Errors
    /// As [`ObjectStore::get_within`].
    fn get(&self, hash: &ContentHash) -> Result<Vec<u8>, StoreError> {
        self.get_within(hash, MAX_OBJECT_LEN)
    }

    /// The object's bytes, verified, if they are no more than `limit`: for a reader who knows how long they may be, and does
    /// not want to hold more on a stranger's word. O(limit).
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::Frame`] if it is damaged or longer than `limit`, [`StoreError::Host`] if the
    /// host cannot read.
    fn get_within(&self, hash: &ContentHash, limit: u64) -> Result<Vec<u8>, StoreError>;

    /// Whether the object is there, without reading it.
    ///
    /// # Errors
    /// [`StoreError::Host`] if the host cannot tell.
    fn exists(&self, hash: &ContentHash) -> Result<bool, StoreError>;

    /// Removes an object; says whether it was there.
    ///
    /// # Errors
    /// [`StoreError::Host`] if the host cannot remove it.
    fn delete(&self, hash: &ContentHash) -> Result<bool, StoreError>;

    /// Shows every object once, in no particular order, until the visitor returns an error.
    ///
    /// # Errors
    /// The visitor's error, or the store's if the host cannot list.
    fn for_each(
        &self,
        visit: &mut dyn FnMut(ObjectInfo) -> Result<(), StoreError>,
    ) -> Result<(), StoreError>;
}

/// Why a store could not do what was asked.
#[derive(Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// No object of this name is there.
    Missing {
        /// The name asked for.
        hash: ContentHash,
    },
    /// The object is there, but damaged; or it is too long to be one.
    Frame {
        /// The object's name.
        hash: ContentHash,
        /// What is wrong with it.
        error: FrameError,
    },
    /// The host refused: the path and operation are in its error.
    Host(Box<dyn core::error::Error + Send + Sync>),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { hash } => write!(f, "object {hash} is missing"),
            Self::Frame { hash, error } => write!(f, "object {hash}: {error}"),
            Self::Host(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Missing { .. } => None,
            Self::Frame { error, .. } => Some(error),
            Self::Host(error) => error.source(),
        }
    }
}
