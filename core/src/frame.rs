// SPDX-License-Identifier: MIT
//! Frames: objects as they are stored, with a header that says how.
//!
//! | offset | bytes | field |
//! |-------:|------:|-------|
//! | 0 | 4 | magic `CCOF` |
//! | 4 | 1 | version, 1 |
//! | 5 | 1 | codec: 0 raw, 1 deflate (RFC 1951, no zlib header), 2 zstd (RFC 8878, whole frames, no dictionary) |
//! | 6 | 2 | flags that a reader must understand: none yet, zero |
//! | 8 | 8 | length of the object's bytes, little-endian |
//! | 16 | … | payload, to the end |
//!
//! [`Frame::parse`] gives a checked view of the header; only [`Frame::open`] gives the object of a name, after decoding within the
//! declared length and comparing the hash. Bytes that came from outside cannot cause a panic, nor an allocation beyond
//! what the codec can hold in so many bytes: about a thousand times as much for deflate, 2^15 times for zstd, and never more
//! than a reader's own limit ([`Frame::within`]). Where frames live is a store's business.
//!
//! The core reads and writes raw and deflate. zstd has no decoder without C that is as fast as it is chosen for, so a host
//! brings its own ([`Frame::open_with`], [`with_payload`]); the checks are the same.

use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};

use crate::hash::{ContentHash, HashKind};

/// The longest object, in bytes: what a reader must be ready to hold in memory. Values of any length are cut into chunks
/// first (see [`crate::blob`]); this bounds objects put by hand. Readers of version 1 refuse more.
pub const MAX_OBJECT_LEN: u64 = 1 << 30;

const MAGIC: [u8; 4] = *b"CCOF";
const VERSION: u8 = 1;
/// Bytes of a frame before its payload, and so the most that a frame is longer than its object.
pub const HEADER_LEN: usize = 16;

/// Deflate cannot grow a byte to more than this many: 258 bytes from two bits, rounded up (zlib's technical notes give 1032).
const DEFLATE_MAX_RATIO: u64 = 1032;

/// Zstd cannot either: a block holds at most 128 KiB and takes at least four bytes, a header of three and the byte that it
/// repeats (RFC 8878, section 3.1.1.2).
const ZSTD_MAX_RATIO: u64 = (128 << 10) / 4;

/// Level 1 of `miniz_oxide`: chunks are small and written once per new state, so time matters more than the last percent.
/// Changing it breaks nothing: names are made from uncompressed bytes.
const DEFLATE_LEVEL: u8 = 1;

/// Objects shorter than this stay raw, in bytes: a compressor's start costs more than all else that is done with them, and a
/// filesystem gives a short file a whole block. Changing it breaks nothing either.
const SHORTEST_DEFLATED: usize = 512;

/// How a frame's payload holds the object's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Codec {
    /// The bytes themselves.
    Raw,
    /// A deflate stream, RFC 1951.
    Deflate,
    /// Zstd frames, RFC 8878: known to the core, decoded by hosts.
    Zstd,
}

impl Codec {
    const fn id(self) -> u8 {
        match self {
            Self::Raw => 0,
            Self::Deflate => 1,
            Self::Zstd => 2,
        }
    }
}

/// Why bytes are not the frame of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameError {
    /// The header is cut off.
    Truncated {
        /// Bytes found; a header has 16.
        found: usize,
    },
    /// The first four bytes are not a frame's.
    Magic,
    /// A version this build does not read.
    Version {
        /// The version found; 1 is read.
        found: u8,
    },
    /// Flags this build does not understand.
    Flags {
        /// The flags found; 0 is understood.
        found: u16,
    },
    /// A codec this build does not decode.
    Codec {
        /// The codec's number.
        found: u8,
    },
    /// The declared length is beyond the format's limit, or beyond what such a payload can hold.
    TooLong {
        /// The declared length, in bytes.
        declared: u64,
        /// The limit it passes, in bytes.
        limit: u64,
    },
    /// The payload does not decode to exactly the declared length.
    Payload,
    /// The bytes are whole, but not those of the name.
    Mismatch {
        /// The name asked for.
        expected: ContentHash,
        /// The name of the bytes found.
        found: ContentHash,
    },
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { found } => {
                write!(f, "frame cut off: {found} bytes, a header has {HEADER_LEN}")
            }
            Self::Magic => f.write_str("not a frame: wrong magic"),
            Self::Version { found } => {
                write!(f, "frame of version {found}; this build reads version {VERSION}")
            }
            Self::Flags { found } => {
                write!(f, "frame with unknown flags {found:#06x}; a newer cascow may read it")
            }
            Self::Codec { found } => {
                write!(f, "frame with codec {found}, which this build does not decode")
            }
            Self::TooLong { declared, limit } => {
                write!(f, "frame declares {declared} bytes, but at most {limit} are possible here")
            }
            Self::Payload => f.write_str("frame's payload does not decode to its declared length"),
            Self::Mismatch { expected, found } => {
                write!(f, "object damaged: expected {expected}, found {found}")
            }
        }
    }
}

impl core::error::Error for FrameError {}

/// A checked view of a frame's header over borrowed bytes. The payload is not verified yet: see [`Frame::open`].
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    codec: Codec,
    raw_len: u64,
    payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Checks the header. O(1).
    ///
    /// # Errors
    /// Every [`FrameError`] but `Payload` and `Mismatch`.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FrameError> {
        let Some((header, payload)) = bytes.split_first_chunk::<HEADER_LEN>() else {
            return Err(FrameError::Truncated { found: bytes.len() });
        };
        let (codec, raw_len) = read_header(header, payload.len() as u64)?;
        Ok(Self { codec, raw_len, payload })
    }

    /// The length that a header declares for its object, if it can be with a payload of `payload_len` bytes: for who counts
    /// objects and reads none. O(1).
    ///
    /// # Errors
    /// As [`Frame::parse`].
    pub fn declared_len(header: &[u8; HEADER_LEN], payload_len: u64) -> Result<u64, FrameError> {
        read_header(header, payload_len).map(|(_, raw_len)| raw_len)
    }
    /// The frame, if its object is no longer than `limit` bytes.
    ///
    /// # Errors
    /// [`FrameError::TooLong`].
    pub const fn within(self, limit: u64) -> Result<Self, FrameError> {
        if self.raw_len > limit {
            return Err(FrameError::TooLong { declared: self.raw_len, limit });
        }
        Ok(self)
    }

    /// How the payload is encoded.
    pub const fn codec(&self) -> Codec {
        self.codec
    }

    /// The declared length of the object, in bytes: at most [`MAX_OBJECT_LEN`].
    pub const fn raw_len(&self) -> u64 {
        self.raw_len
    }

    /// The object's bytes, decoded and compared with its name. O(n).
    ///
    /// # Errors
    /// [`FrameError::Payload`] if the payload does not decode to exactly the declared length, [`FrameError::Mismatch`] if
    /// the bytes are others than the name's, [`FrameError::Codec`] if it is zstd, which takes a host to decode.
    pub fn open(&self, kind: HashKind, name: &ContentHash) -> Result<Vec<u8>, FrameError> {
        if self.codec == Codec::Zstd {
            return Err(FrameError::Codec { found: Codec::Zstd.id() });
        }
        self.open_with(kind, name, |_, _| None)
    }

    /// As [`Frame::open`], with a host's decoder for zstd. It gets the payload and the declared length, and must not make more
    /// bytes than that; what it makes is checked. O(n).
    ///
    /// # Errors
    /// As [`Frame::open`], without `Codec`; `Payload` also if the decoder gives nothing.
    pub fn open_with(
        &self,
        kind: HashKind,
        name: &ContentHash,
        zstd: impl FnOnce(&[u8], usize) -> Option<Vec<u8>>,
    ) -> Result<Vec<u8>, FrameError> {
        let bytes = self.decode_with(zstd)?;
        let found = kind.hash(&bytes);
        if found != *name {
            return Err(FrameError::Mismatch { expected: *name, found });
        }
        Ok(bytes)
    }

    /// The bytes that the payload decodes to, for who was told no name and will call them what they hash to. O(n).
    ///
    /// # Errors
    /// As [`Frame::open`], without `Mismatch`.
    pub fn decode(&self) -> Result<Vec<u8>, FrameError> {
        if self.codec == Codec::Zstd {
            return Err(FrameError::Codec { found: Codec::Zstd.id() });
        }
        self.decode_with(|_, _| None)
    }

    fn decode_with(
        &self,
        zstd: impl FnOnce(&[u8], usize) -> Option<Vec<u8>>,
    ) -> Result<Vec<u8>, FrameError> {
        let raw_len = usize::try_from(self.raw_len).map_err(|_| FrameError::Payload)?;
        match self.codec {
            Codec::Raw if self.payload.len() == raw_len => Ok(self.payload.to_vec()),
            Codec::Raw => Err(FrameError::Payload),
            Codec::Deflate => inflate(self.payload, raw_len),
            Codec::Zstd => zstd(self.payload, raw_len)
                .filter(|bytes| bytes.len() == raw_len)
                .ok_or(FrameError::Payload),
        }
    }
}

/// Checks a header that stands before a payload of this length.
fn read_header(header: &[u8; HEADER_LEN], payload_len: u64) -> Result<(Codec, u64), FrameError> {
    let [m0, m1, m2, m3, version, codec, f0, f1, raw_len @ ..] = *header;
    if [m0, m1, m2, m3] != MAGIC {
        return Err(FrameError::Magic);
    }
    if version != VERSION {
        return Err(FrameError::Version { found: version });
    }
    let flags = u16::from_le_bytes([f0, f1]);
    if flags != 0 {
        return Err(FrameError::Flags { found: flags });
    }
    let raw_len = u64::from_le_bytes(raw_len);
    let (codec, possible) = match codec {
        0 => (Codec::Raw, payload_len),
        1 => (Codec::Deflate, payload_len.saturating_mul(DEFLATE_MAX_RATIO)),
        2 => (Codec::Zstd, payload_len.saturating_mul(ZSTD_MAX_RATIO)),
        found => return Err(FrameError::Codec { found }),
    };
    let limit = possible.min(MAX_OBJECT_LEN);
    if raw_len > limit {
        return Err(FrameError::TooLong { declared: raw_len, limit });
    }
    Ok((codec, raw_len))
}

/// Decodes one deflate stream that must use up the whole payload and fill exactly `raw_len` bytes.
fn inflate(payload: &[u8], raw_len: usize) -> Result<Vec<u8>, FrameError> {
    let mut bytes = vec![0; raw_len];
    let flags = inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
    let (status, consumed, produced) =
        decompress(&mut DecompressorOxide::new(), payload, &mut bytes, 0, flags);
    if status == TINFLStatus::Done && consumed == payload.len() && produced == raw_len {
        Ok(bytes)
    } else {
        Err(FrameError::Payload)
    }
}

/// Frames an object: deflated where that is shorter and the object is not short itself, raw where it is not. O(n).
///
/// # Errors
/// [`FrameError::TooLong`] for more than [`MAX_OBJECT_LEN`] bytes.
pub fn encode(bytes: &[u8]) -> Result<Vec<u8>, FrameError> {
    let raw_len = bytes.len() as u64;
    if raw_len > MAX_OBJECT_LEN {
        return Err(FrameError::TooLong { declared: raw_len, limit: MAX_OBJECT_LEN });
    }
    let deflated = (bytes.len() >= SHORTEST_DEFLATED)
        .then(|| miniz_oxide::deflate::compress_to_vec(bytes, DEFLATE_LEVEL))
        .filter(|deflated| deflated.len() < bytes.len());
    let (codec, payload) = match &deflated {
        Some(deflated) => (Codec::Deflate, deflated.as_slice()),
        None => (Codec::Raw, bytes),
    };
    with_payload(codec, raw_len, payload)
}

/// Frames a payload that a host made of an object of `raw_len` bytes. That it decodes to the object is the host's word: readers
/// check it. O(payload).
///
/// # Errors
/// [`FrameError::TooLong`] if no reader would take it: an object of more than [`MAX_OBJECT_LEN`] bytes, or of more than such a
/// payload can hold.
pub fn with_payload(codec: Codec, raw_len: u64, payload: &[u8]) -> Result<Vec<u8>, FrameError> {
    let mut header = [0; HEADER_LEN];
    header[..4].copy_from_slice(&MAGIC);
    header[4..6].copy_from_slice(&[VERSION, codec.id()]);
    header[8..].copy_from_slice(&raw_len.to_le_bytes());
    read_header(&header, payload.len() as u64)?;
    let mut frame = Vec::with_capacity(HEADER_LEN + payload.len());
    frame.extend_from_slice(&header);
    frame.extend_from_slice(payload);
    Ok(frame)
}

#[cfg(all(test, feature = "sha256"))]
mod tests {
    use super::*;

    const KIND: HashKind = HashKind::Sha256;

    fn open(frame: &[u8], name: &ContentHash) -> Result<Vec<u8>, FrameError> {
        Frame::parse(frame)?.open(KIND, name)
    }

    #[test]
    fn text_is_deflated_noise_and_what_is_short_are_raw_and_all_come_back() {
        let text = b"the same words, ".repeat(64);
        let noise: Vec<u8> = (0..32u8).flat_map(|n| *KIND.hash(&[n]).as_bytes()).collect();
        for (bytes, codec) in [
            (&text[..], Codec::Deflate),
            (&noise[..], Codec::Raw),
            (&text[..256], Codec::Raw),
            (&b""[..], Codec::Raw),
        ] {
            let frame = encode(bytes).unwrap();
            assert_eq!(Frame::parse(&frame).unwrap().codec(), codec);
            assert_eq!(Frame::parse(&frame).unwrap().raw_len(), bytes.len() as u64);
            assert_eq!(open(&frame, &KIND.hash(bytes)).unwrap(), bytes);
        }
    }

    #[test]
    fn no_truncated_or_altered_frame_gives_other_bytes() {
        for bytes in [&b"abc"[..], &[7; 600]] {
            let (frame, name) = (encode(bytes).unwrap(), KIND.hash(bytes));
            for len in 0..frame.len() {
                assert!(open(&frame[..len], &name).is_err(), "cut to {len}");
            }
            for bit in 0..frame.len() * 8 {
                let mut altered = frame.clone();
                altered[bit / 8] ^= 1 << (bit % 8);
                // Deflate can say the same in several ways, so that some flips are harmless: but none is believed wrongly.
                if let Ok(found) = open(&altered, &name) {
                    assert_eq!(found, bytes, "bit {bit} flipped");
                    assert!(bit / 8 >= HEADER_LEN, "bit {bit} of the header flipped");
                }
            }
            let mut longer = frame.clone();
            longer.push(0);
            assert_eq!(open(&longer, &name), Err(FrameError::Payload), "one byte too many");
        }
    }

    #[test]
    fn a_length_that_lies_is_refused_before_anything_is_allocated() {
        let mut frame = encode(&[7; 300]).unwrap();
        for declared in [u64::MAX, MAX_OBJECT_LEN + 1, MAX_OBJECT_LEN] {
            frame[8..16].copy_from_slice(&declared.to_le_bytes());
            assert!(
                matches!(Frame::parse(&frame), Err(FrameError::TooLong { declared: d, .. }) if d == declared)
            );
        }
    }

    #[test]
    fn zstd_is_known_and_left_to_a_host_whose_decoder_is_checked() {
        let name = KIND.hash(b"abc");
        let bytes = with_payload(Codec::Zstd, 3, b"payload").unwrap();
        let frame = Frame::parse(&bytes).unwrap();
        assert_eq!((frame.codec(), frame.raw_len()), (Codec::Zstd, 3));
        assert_eq!(frame.open(KIND, &name), Err(FrameError::Codec { found: 2 }));
        let decoded = frame.open_with(KIND, &name, |payload, raw_len| {
            assert_eq!((payload, raw_len), (&b"payload"[..], 3));
            Some(b"abc".to_vec())
        });
        assert_eq!(decoded.unwrap(), b"abc");
        for (made, error) in [
            (None, FrameError::Payload),
            (Some(b"abcd".to_vec()), FrameError::Payload),
            (
                Some(b"abd".to_vec()),
                FrameError::Mismatch { expected: name, found: KIND.hash(b"abd") },
            ),
        ] {
            assert_eq!(frame.open_with(KIND, &name, |_, _| made), Err(error));
        }
    }

    #[test]
    fn a_payload_that_cannot_hold_the_object_is_not_framed() {
        assert!(with_payload(Codec::Zstd, 5 << 15, b"12345").is_ok());
        for (codec, raw_len) in
            [(Codec::Zstd, (5 << 15) + 1), (Codec::Deflate, 5 * 1032 + 1), (Codec::Raw, 6)]
        {
            let refused = with_payload(codec, raw_len, b"12345");
            assert!(matches!(refused, Err(FrameError::TooLong { .. })), "{codec:?}");
        }
    }

    #[test]
    fn the_errors_name_what_was_found() {
        let frame = encode(b"abc").unwrap();
        let with = |at: usize, byte: u8| {
            let mut altered = frame.clone();
            altered[at] = byte;
            Frame::parse(&altered).unwrap_err()
        };
        assert_eq!(with(0, b'X'), FrameError::Magic);
        assert_eq!(with(4, 2), FrameError::Version { found: 2 });
        assert_eq!(with(5, 9), FrameError::Codec { found: 9 });
        assert_eq!(with(6, 1), FrameError::Flags { found: 1 });
        assert_eq!(Frame::parse(&frame[..9]).unwrap_err(), FrameError::Truncated { found: 9 });
        let other = KIND.hash(b"abd");
        let expected = FrameError::Mismatch { expected: other, found: KIND.hash(b"abc") };
        assert_eq!(open(&frame, &other), Err(expected));
    }
}
