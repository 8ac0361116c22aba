// SPDX-License-Identifier: MIT
//! A bundle's bytes into objects: bytes come in pieces of any length, and no more is held than one frame or the heads.

use alloc::vec::Vec;
use core::mem;

use super::{
    BundleError, HEADER_LEN, LENGTH_LEN, MAGIC, MAX_FRAME_LEN, MAX_HEADS, MAX_OBJECT_LEN,
    TRAILER_LEN, VERSION,
};
use crate::frame::{self, Frame};
use crate::hash::{ContentHash, HASH_LEN, HashKind, Hasher};

/// What a bundle is made of, in the order in which it comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// First, once.
    Heads {
        /// The hash function that names its objects.
        kind: HashKind,
        /// The snapshots that it is to bring, ascending. Nobody knows yet whether it does.
        heads: Vec<ContentHash>,
    },
    /// An object's bytes. Its name is what they hash to.
    Object(Vec<u8>),
    /// Last, once: every byte so far is as it was written.
    End {
        /// Objects that came.
        objects: u64,
        /// The bundle's length, in bytes.
        len: u64,
    },
}

/// What the next bytes are.
#[derive(Clone, Copy, Debug)]
enum Stage {
    Header,
    /// So many names.
    Heads(u32),
    Length,
    /// So many bytes of a frame.
    Frame(usize),
    Trailer,
    Ended,
    Failed(BundleError),
}

/// Reads a bundle piece by piece.
///
/// ```
/// # #[cfg(feature = "sha256")] {
/// use cascow_core::bundle::{Decoder, Encoder, Part};
/// use cascow_core::hash::HashKind;
///
/// let kind = HashKind::Sha256;
/// let mut bundle = Vec::new();
/// let mut encoder = Encoder::new(kind, &[kind.hash(b"one")], &mut bundle)?;
/// encoder.object(b"one", &mut bundle)?;
/// encoder.finish(&mut bundle);
///
/// let (mut decoder, mut objects) = (Decoder::new(), Vec::new());
/// for mut piece in bundle.chunks(10) {
///     while let Some(part) = decoder.next(&mut piece)? {
///         if let Part::Object(bytes) = part {
///             objects.push(bytes);
///         }
///     }
/// }
/// decoder.finish()?;
/// assert_eq!(objects, [b"one"]);
/// # }
/// # Ok::<(), cascow_core::bundle::BundleError>(())
/// ```
#[derive(Debug)]
pub struct Decoder {
    stage: Stage,
    /// The beginning of what the next bytes are, as far as it came.
    held: Vec<u8>,
    /// Of all bytes of whole fields; there from the header on.
    hash: Option<(HashKind, Hasher)>,
    objects: u64,
    /// Bytes that came.
    len: u64,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// Nothing came yet.
    pub const fn new() -> Self {
        Self { stage: Stage::Header, held: Vec::new(), hash: None, objects: 0, len: 0 }
    }

    /// The next part, taking bytes from the front of `input`; `None` if it needs more than those, which are then all taken. O(part).
    ///
    /// # Errors
    /// Any [`BundleError`] but [`BundleError::Truncated`]; the same from then on.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Part>, BundleError> {
        let part = self.advance(input);
        if let Err(error) = part {
            self.stage = Stage::Failed(error);
        }
        part
    }

    /// Says that no more bytes come.
    ///
    /// # Errors
    /// [`BundleError::Truncated`] if the end was not reached, or the error that kept from reaching it.
    pub fn finish(self) -> Result<(), BundleError> {
        match self.stage {
            Stage::Ended => Ok(()),
            Stage::Failed(error) => Err(error),
            _ => Err(BundleError::Truncated { len: self.len }),
        }
    }

    fn advance(&mut self, input: &mut &[u8]) -> Result<Option<Part>, BundleError> {
        loop {
            let wanted = match self.stage {
                Stage::Header => HEADER_LEN,
                // At most 2^16 names.
                Stage::Heads(count) => usize::try_from(count).unwrap_or(usize::MAX) * HASH_LEN,
                Stage::Length => LENGTH_LEN,
                Stage::Frame(len) => len,
                Stage::Trailer => TRAILER_LEN,
                Stage::Ended if input.is_empty() => return Ok(None),
                Stage::Ended => return Err(BundleError::Trailing { len: self.len }),
                Stage::Failed(error) => return Err(error),
            };
            if !self.fill(wanted, input) {
                return Ok(None);
            }
            let field = mem::take(&mut self.held);
            let part = self.field(&field)?;
            // Its room is used again.
            self.held = field;
            self.held.clear();
            if part.is_some() {
                return Ok(part);
            }
        }
    }

    /// Takes bytes until `wanted` are held; false if there are not so many yet. What is allocated follows what came, not what was
    /// announced.
    fn fill(&mut self, wanted: usize, input: &mut &[u8]) -> bool {
        let missing = wanted.saturating_sub(self.held.len());
        let (taken, rest) = input.split_at(missing.min(input.len()));
        self.held.extend_from_slice(taken);
        self.len += taken.len() as u64;
        *input = rest;
        taken.len() == missing
    }

    /// Understands a whole field.
    fn field(&mut self, field: &[u8]) -> Result<Option<Part>, BundleError> {
        match self.stage {
            Stage::Header => {
                let (kind, heads) = header(field)?;
                self.hash = Some((kind, kind.hasher()));
                self.stage = Stage::Heads(heads);
                self.update(field);
            }
            Stage::Heads(_) => {
                let heads = heads(field)?;
                self.update(field);
                self.stage = Stage::Length;
                return Ok(self.hash.as_ref().map(|(kind, _)| Part::Heads { kind: *kind, heads }));
            }
            Stage::Length => {
                self.update(field);
                self.stage = match number(field) {
                    0 => Stage::Trailer,
                    found => match usize::try_from(found) {
                        Ok(len @ frame::HEADER_LEN..=MAX_FRAME_LEN) => Stage::Frame(len),
                        _ => return Err(BundleError::FrameLen { object: self.objects, found }),
                    },
                };
            }
            Stage::Frame(_) => {
                let decode = || Frame::parse(field)?.within(MAX_OBJECT_LEN as u64)?.decode();
                let bytes =
                    decode().map_err(|error| BundleError::Frame { object: self.objects, error })?;
                self.update(field);
                self.objects += 1;
                self.stage = Stage::Length;
                return Ok(Some(Part::Object(bytes)));
            }
            Stage::Trailer => {
                self.trailer(field)?;
                self.stage = Stage::Ended;
                return Ok(Some(Part::End { objects: self.objects, len: self.len }));
            }
            // Nothing is read in these.
            Stage::Ended | Stage::Failed(_) => {}
        }
        Ok(None)
    }

    fn trailer(&mut self, field: &[u8]) -> Result<(), BundleError> {
        let (objects, hash) = field.split_at(TRAILER_LEN - HASH_LEN);
        self.update(objects);
        // There since the header.
        let found = self.hash.take().map(|(_, hasher)| hasher.finish());
        let expected = hash.first_chunk().copied().map(ContentHash::from_bytes);
        if let (Some(expected), Some(found)) = (expected, found)
            && expected != found
        {
            return Err(BundleError::Mismatch { expected, found });
        }
        match number(objects) {
            expected if expected == self.objects => Ok(()),
            expected => Err(BundleError::Objects { expected, found: self.objects }),
        }
    }

    fn update(&mut self, field: &[u8]) {
        if let Some((_, hasher)) = &mut self.hash {
            hasher.update(field);
        }
    }
}

/// The hash function and the number of heads.
fn header(field: &[u8]) -> Result<(HashKind, u32), BundleError> {
    let Some(([m0, m1, m2, m3, version, kind, f0, f1], heads)) = field.split_first_chunk::<8>()
    else {
        return Err(BundleError::Magic);
    };
    if [*m0, *m1, *m2, *m3] != MAGIC {
        return Err(BundleError::Magic);
    }
    if *version != VERSION {
        return Err(BundleError::Version { found: *version });
    }
    let flags = u16::from_le_bytes([*f0, *f1]);
    if flags != 0 {
        return Err(BundleError::Flags { found: flags });
    }
    let kind = HashKind::from_id(*kind).map_err(|_| BundleError::HashKind { found: *kind })?;
    let found = number(heads);
    let count = u32::try_from(found).ok().filter(|count| (1..=MAX_HEADS).contains(count));
    Ok((kind, count.ok_or(BundleError::Heads { found })?))
}

fn heads(field: &[u8]) -> Result<Vec<ContentHash>, BundleError> {
    let (names, _) = field.as_chunks::<HASH_LEN>();
    for (at, pair) in (1..).zip(names.windows(2)) {
        if pair[0] >= pair[1] {
            return Err(BundleError::HeadOrder { at });
        }
    }
    Ok(names.iter().map(|name| ContentHash::from_bytes(*name)).collect())
}

/// A little-endian number of at most eight bytes.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The smallest hash function's number that this build has.
    fn kind() -> HashKind {
        // UNWRAP: the crate does not build without one.
        [1, 2].into_iter().find_map(|id| HashKind::from_id(id).ok()).expect("there is one")
    }

    #[test]
    fn what_is_announced_and_does_not_come_takes_no_room() {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&[VERSION, kind().id(), 0, 0]);
        bytes.extend_from_slice(&MAX_HEADS.to_le_bytes());
        bytes.extend_from_slice(&[1; 40]);
        let mut decoder = Decoder::new();
        assert_eq!(decoder.next(&mut &bytes[..]), Ok(None));
        assert_eq!(decoder.held.len(), 40);
        assert!(decoder.held.capacity() <= 128, "{}", decoder.held.capacity());
    }

    #[test]
    fn no_more_is_held_than_a_frame() {
        let mut bytes = Vec::new();
        let mut encoder =
            crate::bundle::Encoder::new(kind(), &[kind().hash(b"")], &mut bytes).unwrap();
        for number in 0..200_u8 {
            let noise: Vec<u8> = (0..=u8::MAX)
                .flat_map(|n| *kind().hash(&[number, n]).as_bytes())
                .take(MAX_OBJECT_LEN)
                .collect();
            encoder.object(&noise, &mut bytes).unwrap();
        }
        encoder.finish(&mut bytes);
        let mut decoder = Decoder::new();
        for mut piece in bytes.chunks(100_000) {
            while decoder.next(&mut piece).unwrap().is_some() {
                assert!(decoder.held.capacity() <= 2 * MAX_FRAME_LEN);
            }
        }
        assert_eq!(decoder.finish(), Ok(()));
    }
}
