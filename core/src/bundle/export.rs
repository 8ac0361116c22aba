// SPDX-License-Identifier: MIT
//! What a bundle brings, out of a store.

use alloc::vec::Vec;

use super::check::Walk;
use super::{Encoder, MAX_OBJECT_LEN, WalkError};
use crate::hash::ContentHash;
use crate::store::{ObjectStore, StoreError};

/// What a bundle was made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exported {
    /// Snapshots: the heads, and those that they come from.
    pub snapshots: u64,
    /// Objects.
    pub objects: u64,
    /// The bundle's length, in bytes.
    pub len: u64,
}

/// Writes a bundle of snapshots, all that they come from, and all that any of them refers to, to `sink`, a piece at a time. `first`
/// says whether it is told of an object for the first time, so that each is written once. O(n).
///
/// # Errors
/// [`WalkError::Fault`] if the store does not have all of it, [`WalkError::Bundle`] for no heads or too many, [`WalkError::Store`]
/// with the error of `first` or `sink`, or if the store cannot be read. What was written is no bundle then.
#[expect(clippy::result_large_err, reason = "made once, and ends the walk")]
pub fn export<S: ObjectStore + ?Sized>(
    store: &S,
    heads: &[ContentHash],
    first: &mut dyn FnMut(&ContentHash) -> Result<bool, StoreError>,
    sink: &mut dyn FnMut(&[u8]) -> Result<(), StoreError>,
) -> Result<Exported, WalkError> {
    let mut out = Vec::new();
    let mut len = 0;
    let mut flush = |out: &mut Vec<u8>| {
        len += out.len() as u64;
        sink(out)?;
        out.clear();
        Ok::<(), StoreError>(())
    };
    let mut encoder = Encoder::new(store.hash_kind(), heads, &mut out)?;
    flush(&mut out)?;
    let mut object = |hash: &ContentHash| {
        if !first(hash)? {
            return Ok(());
        }
        let bytes = store.get_within(hash, MAX_OBJECT_LEN as u64)?;
        let encoded = encoder.object(&bytes, &mut out);
        // It is no longer than was asked for, so this does not happen.
        encoded.map_err(|error| StoreError::Host(error.into()))?;
        flush(&mut out)
    };
    let mut walk = Walk::new(store, &mut object);
    let mut snapshots = 0;
    for head in heads {
        let mut next = Some(*head);
        while let Some(snapshot) = next.filter(|name| walk.is_new(name)) {
            next = walk.snapshot(&snapshot)?;
            snapshots += 1;
        }
    }
    let objects = encoder.finish(&mut out);
    flush(&mut out)?;
    Ok(Exported { snapshots, objects, len })
}
