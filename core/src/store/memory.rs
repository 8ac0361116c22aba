// SPDX-License-Identifier: MIT
//! Objects in memory: the browser's working set, and the reference for every other store.
//!
//! Holds frames, not bare bytes, so that reading exercises the same decoding and verification as any other store.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::RefCell;

use hashbrown::HashMap;

use super::{ObjectInfo, ObjectStore, Put, StoreError};
use crate::frame::{self, Frame};
use crate::hash::{ContentHash, HashKind};

/// Objects in memory. Not `Sync`: one thread at a time.
#[derive(Clone, Debug)]
pub struct MemoryStore {
    kind: HashKind,
    frames: RefCell<HashMap<ContentHash, Box<[u8]>>>,
}

impl MemoryStore {
    /// An empty store whose objects are named by `kind`.
    pub fn new(kind: HashKind) -> Self {
        Self { kind, frames: RefCell::default() }
    }

    /// Number of objects. O(1).
    pub fn len(&self) -> usize {
        self.frames.borrow().len()
    }

    /// Whether there is no object.
    pub fn is_empty(&self) -> bool {
        self.frames.borrow().is_empty()
    }

    fn put_named(&self, hash: ContentHash, bytes: &[u8]) -> Result<Put, StoreError> {
        if self.frames.borrow().contains_key(&hash) {
            return Ok(Put { hash, added: None });
        }
        let frame = frame::encode(bytes).map_err(|error| StoreError::Frame { hash, error })?;
        let added = Some(frame.len() as u64);
        self.frames.borrow_mut().insert(hash, frame.into_boxed_slice());
        Ok(Put { hash, added })
    }
}

impl ObjectStore for MemoryStore {
    fn hash_kind(&self) -> HashKind {
        self.kind
    }

    fn put(&self, bytes: &[u8]) -> Result<Put, StoreError> {
        self.put_named(self.kind.hash(bytes), bytes)
    }

    fn put_many(&self, objects: &[&[u8]]) -> Result<Vec<Put>, StoreError> {
        let named = self.kind.hash_all(objects).into_iter().zip(objects);
        named.map(|(name, bytes)| self.put_named(name, bytes)).collect()
    }

    fn get_within(&self, hash: &ContentHash, limit: u64) -> Result<Vec<u8>, StoreError> {
        let frames = self.frames.borrow();
        let bytes = frames.get(hash).ok_or(StoreError::Missing { hash: *hash })?;
        let open = || Frame::parse(bytes)?.within(limit)?.open(self.kind, hash);
        open().map_err(|error| StoreError::Frame { hash: *hash, error })
    }

    fn exists(&self, hash: &ContentHash) -> Result<bool, StoreError> {
        Ok(self.frames.borrow().contains_key(hash))
    }

    fn delete(&self, hash: &ContentHash) -> Result<bool, StoreError> {
        Ok(self.frames.borrow_mut().remove(hash).is_some())
    }

    fn for_each(
        &self,
        visit: &mut dyn FnMut(ObjectInfo) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        // A copy of the names and lengths: the visitor may put and delete.
        let infos: Vec<ObjectInfo> = self
            .frames
            .borrow()
            .iter()
            .map(|(hash, bytes)| {
                let frame = Frame::parse(bytes)
                    .map_err(|error| StoreError::Frame { hash: *hash, error })?;
                Ok(ObjectInfo {
                    hash: *hash,
                    stored_len: bytes.len() as u64,
                    raw_len: frame.raw_len(),
                })
            })
            .collect::<Result<_, StoreError>>()?;
        infos.into_iter().try_for_each(visit)
    }
}
