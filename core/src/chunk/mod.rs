// SPDX-License-Identifier: MIT
//! Content-defined chunking: cuts a value where its content says so, so that an edit changes the chunks around it and
//! leaves all others as they were.
//!
//! The algorithm is FastCDC 2020: Xia et al., "The Design of Fast Content-Defined Chunking for Data Deduplication Based
//! Storage Systems", IEEE TPDS 31 (9), 2020, with two bytes per step and normalisation level 1. Cut points equal those
//! of the `fastcdc` crate's `v2020` exactly. It needs neither an allocator nor floating point.
//!
//! Guarantee: the chunks of a value joined are the value; cuts depend on its bytes and the sizes alone, never on how the
//! bytes arrived; every chunk but the last is from [`min`](ChunkSizes::min) to [`max`](ChunkSizes::max) bytes long.
//! Buffering a stream, hashing chunks and listing them are left to the blob layer.

mod ahead;
mod gear;
mod scan;
mod sizes;

use core::iter::FusedIterator;

pub use self::sizes::{ChunkSizes, ChunkSizesError};

/// The chunks of a whole value, in order, cut with [`ChunkSizes::FORMAT`]. O(length), of which about half is scanned.
///
/// ```
/// use cascow_core::chunk::chunks;
///
/// let value = [7; 20_000];
/// assert!(chunks(&value).map(<[u8]>::len).eq([8192, 8192, 3616]));
/// ```
#[must_use]
pub fn chunks(bytes: &[u8]) -> Chunks<'_> {
    Chunks { rest: bytes }
}

/// Iterator over the chunks of a value; see [`chunks`].
#[derive(Clone, Debug)]
pub struct Chunks<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Chunks<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let (chunk, rest) = self.rest.split_at(ChunkSizes::FORMAT.cut(self.rest));
        self.rest = rest;
        Some(chunk)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let len = self.rest.len();
        (len.div_ceil(ChunkSizes::FORMAT.max()), Some(len.div_ceil(ChunkSizes::FORMAT.min())))
    }
}

impl FusedIterator for Chunks<'_> {}

#[cfg(test)]
mod tests {
    use rand_xoshiro::SplitMix64;
    use rand_xoshiro::rand_core::{Rng, SeedableRng};

    use super::chunks;

    /// Frozen: the format's cuts must outlive a change of the oracle.
    #[test]
    fn known_bytes_have_known_chunks() {
        let mut bytes = [0; 40_000];
        SplitMix64::seed_from_u64(0).fill_bytes(&mut bytes);
        let lengths = [3843, 3403, 3389, 5370, 5299, 2125, 4827, 3802, 6375, 1567];
        assert!(chunks(&bytes).map(<[u8]>::len).eq(lengths), "seed 0");
    }

    #[test]
    fn nothing_has_no_chunks_and_a_little_has_one() {
        assert_eq!(chunks(b"").next(), None);
        assert!(chunks(b"a").eq([b"a"]));
        assert!(chunks(&[1; 2048]).eq([&[1; 2048]]));
    }
}
