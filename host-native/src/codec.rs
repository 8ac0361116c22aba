// SPDX-License-Identifier: MIT
//! Frames with zstd: what the core leaves to a host with C.
//!
//! [`encode`] and [`open`] are this host's counterparts of [`frame::encode`] and [`Frame::open`]; [`compress`] and [`decompress`]
//! are zstd alone, for who keeps lengths and checks elsewhere. Each thread keeps one compressor and one decompressor: to make one
//! costs more than to compress a chunk.
//!
//! Decoding allocates what the caller says the bytes are long, whatever a payload claims about itself: the output is one
//! buffer of that length, and zstd needs no window beside it.

use std::cell::RefCell;
use std::io;

use cascow_core::frame::{self, Codec, Frame, FrameError};
use cascow_core::hash::{ContentHash, HashKind};
use zstd::bulk::{Compressor, Decompressor};

/// Chunks are small and written once per new state, so time matters more than the last percent. Changing it breaks nothing.
const LEVEL: i32 = 1;

/// Objects shorter than this stay raw, in bytes, as in the core's frames. Changing it breaks nothing.
const SHORTEST_COMPRESSED: usize = 512;

thread_local! {
    // An error is kept as none: the caller then has an uncompressed object, or a payload that nobody can decode.
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = RefCell::new(Compressor::new(LEVEL).ok());
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = RefCell::new(Decompressor::new().ok());
}

/// Frames an object: zstd where that is shorter and the object is not short itself, raw where it is not. O(n).
///
/// # Errors
/// [`FrameError::TooLong`] for more than [`frame::MAX_OBJECT_LEN`] bytes.
pub fn encode(bytes: &[u8]) -> Result<Vec<u8>, FrameError> {
    let raw_len = bytes.len() as u64;
    if raw_len > frame::MAX_OBJECT_LEN {
        return Err(FrameError::TooLong { declared: raw_len, limit: frame::MAX_OBJECT_LEN });
    }
    let compressed = (bytes.len() >= SHORTEST_COMPRESSED)
        .then(|| compress(bytes).ok())
        .flatten()
        .filter(|compressed| compressed.len() < bytes.len());
    match &compressed {
        Some(compressed) => frame::with_payload(Codec::Zstd, raw_len, compressed),
        None => frame::with_payload(Codec::Raw, raw_len, bytes),
    }
}

/// The object's bytes, decoded by whichever codec and compared with its name. O(n).
///
/// # Errors
/// As [`Frame::open_with`].
pub fn open(frame: &Frame<'_>, kind: HashKind, name: &ContentHash) -> Result<Vec<u8>, FrameError> {
    frame.open_with(kind, name, decompress)
}

/// Compresses bytes into one zstd frame, which may be longer than they are. O(n).
///
/// # Errors
/// Out of memory.
pub fn compress(bytes: &[u8]) -> io::Result<Vec<u8>> {
    COMPRESSOR.with_borrow_mut(|compressor| match compressor {
        Some(compressor) => compressor.compress(bytes),
        None => Err(io::ErrorKind::OutOfMemory.into()),
    })
}

/// What zstd frames hold, if that is exactly `raw_len` bytes; allocates no more than them. O(n).
pub fn decompress(payload: &[u8], raw_len: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(raw_len).ok()?;
    DECOMPRESSOR.with_borrow_mut(|decompressor| {
        decompressor.as_mut()?.decompress_to_buffer(payload, &mut bytes).ok()
    })?;
    (bytes.len() == raw_len).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: HashKind = HashKind::Sha256;

    fn opened(frame: &[u8], name: &ContentHash) -> Result<Vec<u8>, FrameError> {
        open(&Frame::parse(frame)?, KIND, name)
    }

    fn noise(len: usize) -> Vec<u8> {
        (0..).flat_map(|n: u32| *KIND.hash(&n.to_le_bytes()).as_bytes()).take(len).collect()
    }

    #[test]
    fn text_is_compressed_noise_and_what_is_short_are_raw_and_all_come_back() {
        let text = b"the same words, ".repeat(64);
        let noise = noise(2048);
        for (bytes, codec) in [
            (&text[..], Codec::Zstd),
            (&noise[..], Codec::Raw),
            (&text[..256], Codec::Raw),
            (&b""[..], Codec::Raw),
        ] {
            let frame = encode(bytes).unwrap();
            assert_eq!(Frame::parse(&frame).unwrap().codec(), codec);
            assert_eq!(opened(&frame, &KIND.hash(bytes)).unwrap(), bytes);
            // And what the core wrote.
            assert_eq!(opened(&frame::encode(bytes).unwrap(), &KIND.hash(bytes)).unwrap(), bytes);
        }
    }

    #[test]
    fn no_truncated_or_altered_frame_gives_other_bytes() {
        let bytes = b"the same words, ".repeat(64);
        let (frame, name) = (encode(&bytes).unwrap(), KIND.hash(&bytes));
        for len in 0..frame.len() {
            assert!(opened(&frame[..len], &name).is_err(), "cut to {len}");
        }
        for bit in 0..frame.len() * 8 {
            let mut altered = frame.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            // The same can be said in several ways, so that some flips are harmless: but none is believed wrongly.
            if let Ok(found) = opened(&altered, &name) {
                assert_eq!(found, bytes, "bit {bit} flipped");
            }
        }
        let mut longer = frame;
        longer.push(0);
        assert_eq!(opened(&longer, &name), Err(FrameError::Payload), "one byte too many");
    }

    #[test]
    fn a_payload_gives_the_length_that_was_asked_for_or_nothing() {
        // 64 MiB in some thousand bytes: what it claims of itself must not count.
        let bomb = compress(&vec![7; 64 << 20]).unwrap();
        assert_eq!(decompress(&bomb, 100), None);
        assert_eq!(decompress(&bomb, (64 << 20) + 1), None);
        assert_eq!(decompress(&bomb, 64 << 20), Some(vec![7; 64 << 20]));
        assert_eq!(decompress(b"", 1), None);
        assert_eq!(decompress(b"no zstd", 7), None);
        // More than there is memory for is no panic either.
        assert_eq!(decompress(&bomb, usize::MAX), None);
    }

    #[test]
    fn a_failure_leaves_the_thread_able_to_go_on() {
        let good = compress(b"words words words words").unwrap();
        assert_eq!(decompress(&good[..good.len() - 1], 23), None);
        assert_eq!(decompress(&good, 23).as_deref(), Some(&b"words words words words"[..]));
    }
}
