// SPDX-License-Identifier: MIT
//! Objects into a bundle's bytes.

use alloc::vec::Vec;

use super::{BundleError, HEADER_LEN, MAGIC, MAX_HEADS, MAX_OBJECT_LEN, VERSION};
use crate::frame::{self, FrameError};
use crate::hash::{ContentHash, HASH_LEN, HashKind, Hasher};
use crate::order;

/// Writes a bundle piece by piece: each call appends the next bytes to a buffer of the caller's, who takes them from there.
#[derive(Debug)]
pub struct Encoder {
    hasher: Hasher,
    objects: u64,
}

impl Encoder {
    /// Begins a bundle that brings these snapshots, in any order. O(n log n).
    ///
    /// # Errors
    /// [`BundleError::Heads`] if there are none, or more than [`MAX_HEADS`].
    pub fn new(
        kind: HashKind,
        heads: &[ContentHash],
        out: &mut Vec<u8>,
    ) -> Result<Self, BundleError> {
        let mut heads = heads.to_vec();
        order::distinct_by(&mut heads, Ord::cmp);
        heads.dedup();
        let count = u32::try_from(heads.len()).ok().filter(|count| (1..=MAX_HEADS).contains(count));
        let count = count.ok_or(BundleError::Heads { found: heads.len() as u64 })?;
        let mut encoder = Self { hasher: kind.hasher(), objects: 0 };
        let mut begin = Vec::with_capacity(HEADER_LEN + heads.len() * HASH_LEN);
        begin.extend_from_slice(&MAGIC);
        begin.extend_from_slice(&[VERSION, kind.id(), 0, 0]);
        begin.extend_from_slice(&count.to_le_bytes());
        heads.iter().for_each(|head| begin.extend_from_slice(head.as_bytes()));
        encoder.append(&begin, out);
        Ok(encoder)
    }

    /// Appends an object. The caller gives each one once. O(n) hashing and compression.
    ///
    /// # Errors
    /// [`BundleError::Frame`] if it is longer than [`MAX_OBJECT_LEN`]; nothing is appended then.
    pub fn object(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), BundleError> {
        let object = self.objects;
        let framed = |error| BundleError::Frame { object, error };
        if bytes.len() > MAX_OBJECT_LEN {
            let (declared, limit) = (bytes.len() as u64, MAX_OBJECT_LEN as u64);
            return Err(framed(FrameError::TooLong { declared, limit }));
        }
        let frame = frame::encode(bytes).map_err(framed)?;
        let len = u32::try_from(frame.len())
            .map_err(|_| BundleError::FrameLen { object, found: frame.len() as u64 })?;
        self.append(&len.to_le_bytes(), out);
        self.append(&frame, out);
        self.objects += 1;
        Ok(())
    }

    /// Appends the end; says how many objects the bundle has.
    pub fn finish(mut self, out: &mut Vec<u8>) -> u64 {
        self.append(&0_u32.to_le_bytes(), out);
        self.append(&self.objects.to_le_bytes(), out);
        out.extend_from_slice(self.hasher.finish().as_bytes());
        self.objects
    }

    fn append(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        self.hasher.update(bytes);
        out.extend_from_slice(bytes);
    }
}
