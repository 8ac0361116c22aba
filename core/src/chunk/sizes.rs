// SPDX-License-Identifier: MIT
//! The sizes of a chunker, and the cut they lead to.

use core::fmt;
use core::num::Wrapping;
use core::ops::ControlFlow;

use super::ahead::fetch_all;
use super::scan::scan;

/// The least, the average and the greatest length of a chunk, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkSizes {
    min: usize,
    avg: usize,
    max: usize,
    /// Tested below the average: one bit more than the average has, so cuts are rarer there.
    strict: u64,
    /// Tested from the average on: one bit less, so cuts are likelier there.
    loose: u64,
}

/// Why three sizes make no chunker. Each variant carries what was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChunkSizesError {
    /// The minimum is odd, below 64 B or above 1 MiB.
    Min(usize),
    /// The average is not a power of two from 256 B to 4 MiB.
    Avg(usize),
    /// The maximum is odd, below 1 KiB or above 16 MiB.
    Max(usize),
    /// The sizes do not ascend strictly.
    Order {
        /// The minimum, in bytes.
        min: usize,
        /// The average, in bytes.
        avg: usize,
        /// The maximum, in bytes.
        max: usize,
    },
}

impl fmt::Display for ChunkSizesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Min(found) => {
                write!(f, "minimum chunk size {found} is not an even number from 64 to 1048576")
            }
            Self::Avg(found) => {
                write!(f, "average chunk size {found} is not a power of two from 256 to 4194304")
            }
            Self::Max(found) => {
                write!(f, "maximum chunk size {found} is not an even number from 1024 to 16777216")
            }
            Self::Order { min, avg, max } => {
                write!(f, "chunk sizes {min}, {avg}, {max} do not ascend")
            }
        }
    }
}

impl core::error::Error for ChunkSizesError {}

impl ChunkSizes {
    /// 2 KiB, 4 KiB, 8 KiB: the sizes every blob is cut with. Roots depend on them, so they are part of the format.
    pub const FORMAT: Self = match Self::new(2 << 10, 4 << 10, 8 << 10) {
        Ok(sizes) => sizes,
        // UNWRAP: evaluated while compiling; sizes out of range would not build.
        Err(_) => panic!("the compiler checks this"),
    };

    /// Sizes in bytes: an even minimum from 64 B to 1 MiB, an average that is a power of two from 256 B to 4 MiB, an
    /// even maximum from 1 KiB to 16 MiB, in strictly ascending order.
    ///
    /// Even, because the algorithm looks at pairs of bytes; a power of two, because the average is the number of bits
    /// in a mask.
    ///
    /// # Errors
    ///
    /// [`ChunkSizesError`] names the first size that is not legal.
    pub const fn new(min: usize, avg: usize, max: usize) -> Result<Self, ChunkSizesError> {
        const KIB: usize = 1 << 10;
        const MIB: usize = 1 << 20;
        if !min.is_multiple_of(2) || min < 64 || min > MIB {
            return Err(ChunkSizesError::Min(min));
        }
        if !avg.is_power_of_two() || avg < SMALLEST_AVG || avg > 4 * MIB {
            return Err(ChunkSizesError::Avg(avg));
        }
        if !max.is_multiple_of(2) || max < KIB || max > 16 * MIB {
            return Err(ChunkSizesError::Max(max));
        }
        if min >= avg || avg >= max {
            return Err(ChunkSizesError::Order { min, avg, max });
        }
        // Normalisation level 1 of the paper: one bit to either side of the average. At most 14, so nothing is cut off.
        let row = (avg / SMALLEST_AVG).ilog2() as usize;
        Ok(Self { min, avg, max, strict: MASKS[row + 2], loose: MASKS[row] })
    }

    /// Least length of a chunk, in bytes; only the last chunk of a value may be shorter.
    #[must_use]
    pub const fn min(&self) -> usize {
        self.min
    }

    /// Length around which chunks gather, in bytes.
    #[must_use]
    pub const fn avg(&self) -> usize {
        self.avg
    }

    /// Greatest length of a chunk, in bytes.
    #[must_use]
    pub const fn max(&self) -> usize {
        self.max
    }

    /// Length of the first chunk of `bytes`, in bytes; zero for empty input only.
    ///
    /// `bytes` must hold the whole rest of the value, or at least [`max`](Self::max) bytes of it: no cut looks
    /// further ahead, so a caller with a buffer that is refilled before it falls below `max` cuts as a caller with the
    /// whole value does. O(length - min): the first `min` bytes are not scanned, and no more than a byte in 64 is read
    /// beyond the cut.
    ///
    /// ```
    /// use cascow_core::chunk::ChunkSizes;
    ///
    /// let value = [7; 20_000];
    /// assert_eq!(ChunkSizes::FORMAT.cut(&value), 8192);
    /// assert_eq!(ChunkSizes::FORMAT.cut(&value[16_384..]), 3616);
    /// ```
    #[must_use]
    pub fn cut(&self, bytes: &[u8]) -> usize {
        let end = bytes.len().min(self.max);
        if end <= self.min {
            return end;
        }
        let centre = self.avg.min(end);
        // The least length ahead: wherever the cut falls, the lines up to the next chunk's scan were asked for just once.
        let after = |position: usize| bytes.get(position + self.min..).unwrap_or_default();
        fetch_all(after(0), self.min);
        let below = &bytes[self.min..centre];
        match scan(Wrapping(0), below, self.strict, after(self.min)) {
            ControlFlow::Break(at) => self.min + at,
            ControlFlow::Continue(hash) => {
                let above = &bytes[centre..end];
                match scan(hash, above, self.loose, after(centre)) {
                    ControlFlow::Break(at) => centre + at,
                    ControlFlow::Continue(_) => end,
                }
            }
        }
    }
}

/// The smallest legal average, in bytes; its neighbours below and above are the first and the third of [`MASKS`].
const SMALLEST_AVG: usize = 256;

/// The masks for averages of 128 B, 256 B and so on up to 8 MiB: each has one bit more than the one before, so that
/// random bytes satisfy it half as often.
///
/// Taken from the reference implementations (destor; restic's for the largest), because cut points depend on which bits
/// are tested. Changing one breaks the format.
const MASKS: [u64; 17] = [
    0x0000_0000_1803_5100, // 128 B
    0x0000_0018_0003_5300,
    0x0000_0190_0035_3000,
    0x0000_5900_0353_0000, // 1 KiB
    0x0000_d900_0353_0000,
    0x0000_d901_0353_0000, // 4 KiB
    0x0000_d903_0353_0000,
    0x0000_d903_1353_0000,
    0x0000_d90f_0353_0000, // 32 KiB
    0x0000_d903_0353_7000,
    0x0000_d907_0353_7000,
    0x0000_d907_0753_7000, // 256 KiB
    0x0000_d917_0753_7000,
    0x0000_d917_4753_7000, // 1 MiB
    0x0000_d917_6753_7000,
    0x0000_d937_6753_7000,
    0x0000_d937_7753_7000, // 8 MiB
];

#[cfg(test)]
mod tests {
    use super::{ChunkSizes, ChunkSizesError, MASKS, SMALLEST_AVG};

    #[test]
    fn each_mask_has_one_bit_more_than_the_one_before() {
        let bits_of_first = (SMALLEST_AVG / 2).ilog2();
        for (bits, mask) in (bits_of_first..).zip(MASKS) {
            assert_eq!(mask.count_ones(), bits, "{mask:#x}");
        }
    }

    #[test]
    fn sizes_at_the_limits_are_legal() {
        for (min, avg, max) in
            [(64, 256, 1024), (254, 256, 1024), (1 << 20, 4 << 20, 16 << 20), (64, 512, 16 << 20)]
        {
            let sizes = ChunkSizes::new(min, avg, max).unwrap();
            assert_eq!((sizes.min(), sizes.avg(), sizes.max()), (min, avg, max));
        }
    }

    #[test]
    fn sizes_beyond_the_limits_are_refused() {
        use ChunkSizesError::{Avg, Max, Min, Order};

        for min in [0, 1, 62, 65, (1 << 20) + 2, usize::MAX] {
            assert_eq!(ChunkSizes::new(min, 4096, 8192), Err(Min(min)));
        }
        for avg in [0, 128, 4095, 4098, 8 << 20, usize::MAX] {
            assert_eq!(ChunkSizes::new(64, avg, 8192), Err(Avg(avg)));
        }
        for max in [0, 1022, 8191, (16 << 20) + 2, usize::MAX] {
            assert_eq!(ChunkSizes::new(64, 256, max), Err(Max(max)));
        }
        for (min, avg, max) in [(4096, 4096, 8192), (2048, 4096, 4096), (8192, 4096, 2048)] {
            assert_eq!(ChunkSizes::new(min, avg, max), Err(Order { min, avg, max }));
        }
    }
}
