// SPDX-License-Identifier: MIT
//! Columns of atomic words: the memory of a graph that several threads read and write without a lock.
//!
//! A column grows only while nobody else uses it (`&mut self`), by chunks that never move, so nothing is copied and a
//! reader needs no more than a shared reference. Words are 32 bits, since that is what every host has atomics of.

use alloc::{boxed::Box, vec::Vec};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Rows of `stride` words each, in chunks of 2^`shift` rows.
pub(super) struct Column {
    chunks: Vec<Box<[AtomicU32]>>,
    stride: usize,
    shift: u32,
}

impl Column {
    pub(super) const fn new(stride: usize, shift: u32) -> Self {
        Self { chunks: Vec::new(), stride, shift }
    }

    /// Rows that there is memory for.
    pub(super) fn capacity(&self) -> u32 {
        u32::try_from(self.chunks.len() << self.shift).unwrap_or(u32::MAX)
    }

    /// Rows in a chunk.
    pub(super) const fn chunk_len(&self) -> u32 {
        1 << self.shift
    }

    pub(super) const fn stride(&self) -> usize {
        self.stride
    }

    /// Adds a chunk of zeros.
    pub(super) fn grow(&mut self) {
        let words = self.stride << self.shift;
        self.chunks.push(bytemuck::zeroed_slice_box(words));
    }

    /// The row at `index`, which is below the capacity.
    #[inline]
    pub(super) fn row(&self, index: u32) -> &[AtomicU32] {
        self.rows(index, 1)
    }

    /// The row at `index` of a column whose rows are four words in chunks of 2^`SHIFT` rows: the same, but known to the compiler.
    #[inline]
    pub(super) fn quad<const SHIFT: u32>(&self, index: u32) -> &[AtomicU32; 4] {
        debug_assert!((self.stride, self.shift) == (4, SHIFT));
        let (quads, _) = self.chunks[(index >> SHIFT) as usize].as_chunks();
        &quads[(index & ((1 << SHIFT) - 1)) as usize]
    }

    /// From the row at `index` to the end of its chunk, of a column of single words in chunks of 2^`SHIFT`.
    #[inline]
    pub(super) fn tail<const SHIFT: u32>(&self, index: u32) -> &[AtomicU32] {
        debug_assert!((self.stride, self.shift) == (1, SHIFT));
        &self.chunks[(index >> SHIFT) as usize][(index & ((1 << SHIFT) - 1)) as usize..]
    }

    /// Asks for the row at `index`, if there is one; of a column of single words in chunks of 2^`SHIFT`.
    #[inline]
    pub(super) fn prefetch<const SHIFT: u32>(&self, index: u32) {
        debug_assert!((self.stride, self.shift) == (1, SHIFT));
        if let Some(chunk) = self.chunks.get((index >> SHIFT) as usize) {
            prefetch(chunk, (index & ((1 << SHIFT) - 1)) as usize);
        }
    }

    /// `len` rows from `index` on, all of which lie in one chunk.
    #[inline]
    pub(super) fn rows(&self, index: u32, len: usize) -> &[AtomicU32] {
        let chunk = &self.chunks[(index >> self.shift) as usize];
        let start = (index & ((1 << self.shift) - 1)) as usize * self.stride;
        &chunk[start..start + len * self.stride]
    }
}

/// Asks the processor for what is at `index`, which is read soon. Changes nothing but when it is at hand.
#[inline]
pub(super) fn prefetch<T>(words: &[T], index: usize) {
    #[cfg(feature = "std")]
    prefetch_index::prefetch_index(words, index);
    #[cfg(not(feature = "std"))]
    let _ = (words, index);
}

/// Adds to a counter and returns what it was. Alone, without the cost of an atomic addition.
#[inline]
pub(super) fn add<const SHARED: bool>(counter: &AtomicU32, amount: u32) -> u32 {
    if SHARED {
        counter.fetch_add(amount, Relaxed)
    } else {
        let before = counter.load(Relaxed);
        counter.store(before.wrapping_add(amount), Relaxed);
        before
    }
}
