// SPDX-License-Identifier: MIT
//! Reading ahead: has bytes brought near the processor before they are scanned.
//!
//! A processor foresees a sequence, but a chunker reads in leaps: it skips the least length of a chunk, scans some lines, and
//! leaps again from a place that it does not know before. So one byte of each line is read in sequence, ahead of the scan and
//! through what it skips, which leaves the processor one sequence to foresee and the scan nothing to wait for. The
//! benchmark of chunking shows it on a value larger than the caches. What the bytes are makes no difference to any cut.

use core::hint::black_box;

/// Bytes that come together, in most processors with caches. Where lines are longer, some are asked for twice.
pub(super) const LINE: usize = 64;

/// Asks for the line of the byte at `position`, if there is one.
#[inline(always)]
pub(super) fn fetch(bytes: &[u8], position: usize) {
    if let Some(byte) = bytes.get(position) {
        black_box(*byte);
    }
}

/// Asks for the lines of the first `len` bytes, or of as many as there are.
#[inline]
pub(super) fn fetch_all(bytes: &[u8], len: usize) {
    black_box(bytes.iter().take(len).step_by(LINE).fold(0, |all, byte| all | byte));
}
