// SPDX-License-Identifier: MIT
//! The hot path: rolls the gear hash over bytes until a mask finds only zeros in it.
//!
//! The hash after a byte is `(hash << 1) + GEAR[byte]`. Bytes are taken in pairs, the paper's "rolling two bytes each
//! time": one shift serves both, and the hash between them, which is then shifted once too far, is tested with the mask
//! shifted likewise.

use core::num::Wrapping;
use core::ops::ControlFlow;

use super::ahead::{LINE, fetch};
use super::gear::{GEAR, GEAR_SHIFTED, GearHash};

/// Offset of the first byte after which `mask` finds only zeros in the hash, or the hash after all bytes.
///
/// Tests whole pairs: an odd last byte is left out of both. The highest bit of `mask` must be clear. With each line of `bytes`,
/// the line of `after` at the same offset is asked for.
#[inline(always)] // A copy for each mask is faster than one for both.
pub(super) fn scan(
    mut hash: GearHash,
    bytes: &[u8],
    mask: u64,
    after: &[u8],
) -> ControlFlow<usize, GearHash> {
    let masks = [mask << 1, mask].map(Wrapping);
    let (lines, rest) = bytes.as_chunks::<LINE>();
    for (line, bytes) in lines.iter().enumerate() {
        fetch(after, LINE * line);
        for (block, bytes) in bytes.as_chunks().0.iter().enumerate() {
            match scan_eight(hash, bytes, masks) {
                ControlFlow::Break(at) => return ControlFlow::Break(LINE * line + 8 * block + at),
                ControlFlow::Continue(after_block) => hash = after_block,
            }
        }
    }
    for (pair, bytes) in rest.as_chunks().0.iter().enumerate() {
        match scan_two(hash, bytes, masks) {
            ControlFlow::Break(at) => {
                return ControlFlow::Break(LINE * lines.len() + 2 * pair + at);
            }
            ControlFlow::Continue(after_pair) => hash = after_pair,
        }
    }
    ControlFlow::Continue(hash)
}

#[inline(always)]
fn scan_eight(
    hash: GearHash,
    &[a, b, c, d, e, f, g, h]: &[u8; 8],
    [odd, even]: [GearHash; 2],
) -> ControlFlow<usize, GearHash> {
    let [a, c, e, g] = [a, c, e, g].map(|byte| GEAR_SHIFTED[usize::from(byte)]);
    let [b, d, f, h] = [b, d, f, h].map(|byte| GEAR[usize::from(byte)]);
    // What four bytes add is summed apart from the hash before them, so that the next four wait for one shift and one sum
    // only: else the chain of hashes would bound the speed.
    let abcd = ((a + b) << 2) + c + d;
    let efgh = ((e + f) << 2) + g + h;

    let after_b = (hash << 2) + a + b;
    let after_d = (hash << 4) + abcd;
    let after_f = (after_d << 2) + e + f;
    let after_h = (after_d << 4) + efgh;
    let hashes = [
        (hash << 2) + a,
        after_b,
        (after_b << 2) + c,
        after_d,
        (after_d << 2) + e,
        after_f,
        (after_f << 2) + g,
        after_h,
    ];
    let masks = [odd, even, odd, even, odd, even, odd, even];
    match hashes.iter().zip(masks).position(|(hash, mask)| (hash & mask).0 == 0) {
        Some(at) => ControlFlow::Break(at),
        None => ControlFlow::Continue(after_h),
    }
}

#[inline(always)]
fn scan_two(
    hash: GearHash,
    &[a, b]: &[u8; 2],
    [odd, even]: [GearHash; 2],
) -> ControlFlow<usize, GearHash> {
    let after_a = (hash << 2) + GEAR_SHIFTED[usize::from(a)];
    let after_b = after_a + GEAR[usize::from(b)];
    match [after_a & odd, after_b & even].iter().position(|hash| hash.0 == 0) {
        Some(at) => ControlFlow::Break(at),
        None => ControlFlow::Continue(after_b),
    }
}
