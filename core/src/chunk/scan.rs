// SPDX-License-Identifier: MIT
//! The hot path: rolls the gear hash over bytes until a mask finds nothing but zeros in it.
//!
//! The hash after a byte is `(hash << 1) + GEAR[byte]`, wrapping, so it depends on the last 64 bytes only. Bytes are
//! taken in pairs ("rolling two bytes each time", section 3.5 of the paper): one shift serves two bytes, and the hash
//! between the two, which is shifted once too far, is tested with the mask shifted likewise.

use core::ops::ControlFlow;

use super::gear::{GEAR, GEAR_SHIFTED};

/// Offset of the first byte after which `hash & mask` is zero, or the hash after all of them.
///
/// An odd last byte is not looked at: the algorithm tests whole pairs. The highest bit of `mask` must be clear.
#[inline]
pub(super) fn scan(mut hash: u64, bytes: &[u8], mask: u64) -> ControlFlow<usize, u64> {
    let shifted_mask = mask << 1;
    let (quads, rest) = bytes.as_chunks::<4>();
    let mut at = 0;
    for &[a, b, c, d] in quads {
        let (a, b) = (GEAR_SHIFTED[usize::from(a)], GEAR[usize::from(b)]);
        let (c, d) = (GEAR_SHIFTED[usize::from(c)], GEAR[usize::from(d)]);
        // What the four bytes add does not wait for the hash, so a quad costs the chain of hashes one shift, one sum.
        let quad = (a.wrapping_add(b) << 2).wrapping_add(c).wrapping_add(d);

        let after_a = (hash << 2).wrapping_add(a);
        if after_a & shifted_mask == 0 {
            return ControlFlow::Break(at);
        }
        let after_b = after_a.wrapping_add(b);
        if after_b & mask == 0 {
            return ControlFlow::Break(at + 1);
        }
        let after_c = (after_b << 2).wrapping_add(c);
        if after_c & shifted_mask == 0 {
            return ControlFlow::Break(at + 2);
        }
        hash = (hash << 4).wrapping_add(quad);
        if hash & mask == 0 {
            return ControlFlow::Break(at + 3);
        }
        at += 4;
    }
    if let [a, b, ..] = *rest {
        for byte in [a, b] {
            hash = (hash << 1).wrapping_add(GEAR[usize::from(byte)]);
            if hash & mask == 0 {
                return ControlFlow::Break(at);
            }
            at += 1;
        }
    }
    ControlFlow::Continue(hash)
}
