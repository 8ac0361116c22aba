// SPDX-License-Identifier: MIT
//! SHA-256 by whole blocks, where the `sha2` crate's hasher would lose time to its buffer or to waiting for itself.
//!
//! Guarantees the digests of FIPS 180-4. The compression function is the crate's; what stands here is the initial state, the
//! padding, and the order in which blocks are compressed. Inputs whose bytes arrive in pieces are [`Hasher`]'s: the crate's own,
//! or without `alloc` a smaller one.

use core::slice;

use sha2::block_api::compress256;

use super::{HASH_LEN, SHORT_BUFFER_LEN};

#[cfg(feature = "alloc")]
pub(super) use buffered::Hasher;
#[cfg(not(feature = "alloc"))]
pub(super) use small::{Hasher, digest_pair, digest_small};

type State = [u32; 8];
type Block = [u8; BLOCK_LEN];

const BLOCK_LEN: usize = 64;

/// What padding adds at least: a byte 0x80, and the input's length in bits as eight bytes.
const PADDING_LEN: usize = 1 + 8;

/// FIPS 180-4, section 5.3.3.
const INITIAL: State = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// The digest of the first `len` bytes of `input`, at most [`super::SHORT_LEN`], behind which only zeros stand. One or two
/// compressions.
#[inline(always)] // So that a length that the caller knows is not asked for.
pub(super) fn digest_short(mut input: [u8; SHORT_BUFFER_LEN], len: usize) -> [u8; HASH_LEN] {
    let mut state = INITIAL;
    compress256(&mut state, pad(&mut input, len, len as u64));
    digest(&state)
}

/// The digest of 65 bytes: a tag and two digests. Two compressions.
///
/// The blocks are put together in registers, sixteen bytes at a time: bytes that were written to memory in other pieces than they
/// are read back in would be waited for, as long as a quarter of a compression.
#[cfg(feature = "alloc")]
#[inline(always)]
pub(super) fn digest_pair(
    tag: u8,
    left: &[u8; HASH_LEN],
    right: &[u8; HASH_LEN],
) -> [u8; HASH_LEN] {
    let words = |digest: &[u8; HASH_LEN]| {
        let (halves, _) = digest.as_chunks::<16>();
        [u128::from_le_bytes(halves[0]), u128::from_le_bytes(halves[1])]
    };
    let ([a, b], [c, d]) = (words(left), words(right));
    // Each word of sixteen bytes begins with the last byte of the one before.
    let after = |before: u128, word: u128| before >> 120 | word << 8;
    let first = [u128::from(tag) | a << 8, after(a, b), after(b, c), after(c, d)];
    let bits = u64::from(8 * (1 + 2 * 32u16)).swap_bytes();
    let second = [after(d, 0x80), 0, 0, u128::from(bits) << 64];
    let mut blocks = [[0; BLOCK_LEN]; 2];
    for (block, words) in blocks.iter_mut().zip([first, second]) {
        for (bytes, word) in block.as_chunks_mut().0.iter_mut().zip(words) {
            *bytes = word.to_le_bytes();
        }
    }
    let mut state = INITIAL;
    compress256(&mut state, &blocks);
    digest(&state)
}

/// Shows `finished` the digest of each input with its position, in the order in which they are ready.
///
/// A block waits for the one before it, and a processor's SHA instructions could do two such chains in the time of one. So the
/// blocks of two inputs are compressed in turn: a processor that looks far enough ahead works on both. Two chains and single
/// blocks were measured best: more chains, or more blocks at a time, only move the other chain out of its sight.
pub(super) fn digest_each(inputs: &[&[u8]], mut finished: impl FnMut(usize, [u8; HASH_LEN])) {
    let mut waiting = inputs.iter().enumerate().map(|(position, input)| Lane::new(position, input));
    let mut lanes = [waiting.next(), waiting.next()];
    while let [Some(one), Some(other)] = &mut lanes {
        one.advance_with(other);
        for lane in &mut lanes {
            if let Some(done) = lane.take_if(|lane| lane.blocks.is_empty()) {
                finished(done.position, done.finish());
                *lane = waiting.next();
            }
        }
    }
    for lane in lanes.into_iter().flatten() {
        finished(lane.position, lane.finish());
    }
}

/// An input on its way: the state after the blocks that are no longer here.
struct Lane<'a> {
    position: usize,
    len: u64,
    state: State,
    blocks: &'a [Block],
    /// What follows the last whole block.
    rest: &'a [u8],
}

impl<'a> Lane<'a> {
    fn new(position: usize, input: &'a [u8]) -> Self {
        let (blocks, rest) = input.as_chunks();
        Self { position, len: input.len() as u64, state: INITIAL, blocks, rest }
    }

    /// Compresses as many blocks of each as the shorter has.
    fn advance_with(&mut self, other: &mut Self) {
        let count = self.blocks.len().min(other.blocks.len());
        for (ours, theirs) in self.take(count).iter().zip(other.take(count)) {
            compress256(&mut self.state, slice::from_ref(ours));
            compress256(&mut other.state, slice::from_ref(theirs));
        }
    }

    fn take(&mut self, count: usize) -> &'a [Block] {
        let (taken, left) = self.blocks.split_at(count);
        self.blocks = left;
        taken
    }

    fn finish(mut self) -> [u8; HASH_LEN] {
        compress256(&mut self.state, self.blocks);
        let mut padded = [0; SHORT_BUFFER_LEN];
        padded[..self.rest.len()].copy_from_slice(self.rest);
        compress256(&mut self.state, pad(&mut padded, self.rest.len(), self.len));
        digest(&self.state)
    }
}

/// The last blocks of an input of `len` bytes, of which the last `end` stand at the beginning of `padded`, and zeros behind
/// them (FIPS 180-4, section 5.1.1). `end` is at most [`super::SHORT_LEN`].
#[inline(always)]
fn pad(padded: &mut [u8; SHORT_BUFFER_LEN], end: usize, len: u64) -> &[Block] {
    // FIPS 180-4 hashes fewer than 2^64 bits; slices are shorter.
    let bits = len.wrapping_mul(8).to_be_bytes();
    if let Some(mark) = padded.get_mut(end) {
        *mark = 0x80;
    }
    let count = if end + PADDING_LEN <= BLOCK_LEN { 1 } else { 2 };
    // Whatever `end` is, there are two blocks, and each has room for the length: nothing here can panic.
    let blocks = padded.as_chunks_mut::<BLOCK_LEN>().0.get_mut(..count).unwrap_or_default();
    if let Some(place) = blocks.last_mut().and_then(|last| last.last_chunk_mut()) {
        *place = bits;
    }
    blocks
}

fn digest(state: &State) -> [u8; HASH_LEN] {
    let mut digest = [0; HASH_LEN];
    for (bytes, word) in digest.as_chunks_mut().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    digest
}

/// The crate's hasher.
#[cfg(feature = "alloc")]
mod buffered {
    use sha2::Digest as _;

    use super::HASH_LEN;

    #[derive(Clone)]
    pub(in super::super) struct Hasher(sha2::Sha256);

    impl Hasher {
        pub(in super::super) fn new() -> Self {
            Self(sha2::Sha256::new())
        }

        pub(in super::super) fn update(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }

        pub(in super::super) fn finish(self) -> [u8; HASH_LEN] {
            self.0.finalize().into()
        }
    }
}

/// One block and the state: half of the crate's code, and half of the stack of a preimage that is joined first.
#[cfg(not(feature = "alloc"))]
mod small {
    use core::slice;

    use super::{BLOCK_LEN, Block, HASH_LEN, INITIAL, State, compress256, digest};

    /// The digest of the parts, one after the other.
    pub(in super::super) fn digest_small(parts: &[&[u8]]) -> [u8; HASH_LEN] {
        let mut hasher = Hasher::new();
        parts.iter().for_each(|part| hasher.update(part));
        hasher.finish()
    }

    /// The digest of a tag and two digests: as of parts, but with less stack.
    #[inline(never)]
    pub(in super::super) fn digest_pair(
        tag: u8,
        left: &[u8; HASH_LEN],
        right: &[u8; HASH_LEN],
    ) -> [u8; HASH_LEN] {
        let mut hasher = Hasher::new();
        hasher.put(tag);
        hasher.update(left);
        hasher.update(right);
        hasher.finish()
    }

    #[derive(Clone)]
    pub(in super::super) struct Hasher {
        state: State,
        block: Block,
        /// Bytes so far; what is more than whole blocks stands in the block.
        len: u64,
    }

    impl Hasher {
        pub(in super::super) const fn new() -> Self {
            Self { state: INITIAL, block: [0; BLOCK_LEN], len: 0 }
        }

        pub(in super::super) fn update(&mut self, bytes: &[u8]) {
            for byte in bytes {
                self.put(*byte);
            }
        }

        /// Bytes in the block.
        fn used(&self) -> usize {
            // The remainder is less than 64.
            usize::try_from(self.len % BLOCK_LEN as u64).unwrap_or(0)
        }

        #[inline(never)]
        fn put(&mut self, byte: u8) {
            let used = self.used();
            if let Some(place) = self.block.get_mut(used) {
                *place = byte;
            }
            self.len = self.len.wrapping_add(1);
            if self.used() == 0 {
                compress256(&mut self.state, slice::from_ref(&self.block));
            }
        }

        /// FIPS 180-4, section 5.1.1, where inputs are of fewer than 2^64 bits.
        pub(in super::super) fn finish(&mut self) -> [u8; HASH_LEN] {
            let bits = self.len.wrapping_mul(8).to_be_bytes();
            self.put(0x80);
            while self.used() != BLOCK_LEN - bits.len() {
                self.put(0);
            }
            bits.into_iter().for_each(|byte| self.put(byte));
            digest(&self.state)
        }
    }
}
