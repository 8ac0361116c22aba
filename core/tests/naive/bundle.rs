// SPDX-License-Identifier: MIT
//! Bundles, read and written a second time from their description: the whole file at once, and a file is one if it is, byte for
//! byte, what its parts are written as. Frames are taken for what the core says of them.

use cascow_core::frame::{Codec, Frame};
use cascow_core::hash::HashKind;

use crate::naive::{Digest, KINDS, hash};

/// Longest object.
pub(crate) const MAX_OBJECT_LEN: u64 = 8192;

/// What a bundle is made of.
#[derive(Clone, Debug)]
pub(crate) struct Bundle {
    pub(crate) kind: HashKind,
    pub(crate) heads: Vec<Digest>,
    pub(crate) frames: Vec<Vec<u8>>,
}

impl Bundle {
    /// The parts of what may be a bundle, whatever its end says.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(b"CCBU\x01")?;
        let (kind, rest) = rest.split_first()?;
        let kind = KINDS.into_iter().find(|known| known.id() == *kind)?;
        let mut rest = rest.strip_prefix(&[0, 0])?;
        let mut heads = Vec::new();
        for _ in 0..length(&mut rest)? {
            let (head, after) = rest.split_first_chunk()?;
            heads.push(*head);
            rest = after;
        }
        let mut frames = Vec::new();
        loop {
            match usize::try_from(length(&mut rest)?).ok()? {
                0 => return Some(Self { kind, heads, frames }),
                len => {
                    let (frame, after) = rest.split_at_checked(len)?;
                    frames.push(frame.to_vec());
                    rest = after;
                }
            }
        }
    }

    /// The parts of a bundle.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        Self::decode(bytes).filter(|bundle| bundle.encode() == bytes && bundle.is_sound())
    }

    /// A bundle of these parts, whether they make sense or not.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = b"CCBU\x01".to_vec();
        bytes.extend([self.kind.id(), 0, 0]);
        bytes.extend(u32::try_from(self.heads.len()).unwrap().to_le_bytes());
        bytes.extend(self.heads.as_flattened());
        for frame in &self.frames {
            bytes.extend(u32::try_from(frame.len()).unwrap().to_le_bytes());
            bytes.extend(frame);
        }
        bytes.extend([0; 4]);
        bytes.extend((self.frames.len() as u64).to_le_bytes());
        self.sealed(bytes)
    }

    /// The hash of these bytes behind them.
    pub(crate) fn sealed(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        let seal = hash(self.kind, &[&bytes]);
        bytes.extend(seal);
        bytes
    }

    /// The objects, if all frames are such as a bundle may have.
    pub(crate) fn objects(&self) -> Option<Vec<Vec<u8>>> {
        let object = |frame: &Vec<u8>| {
            let frame = Frame::parse(frame).ok().filter(|frame| frame.codec() != Codec::Zstd)?;
            frame.within(MAX_OBJECT_LEN).ok()?.decode().ok()
        };
        let is_possible = |frame: &Vec<u8>| frame.len() as u64 <= 16 + MAX_OBJECT_LEN;
        self.frames.iter().map(|frame| object(frame).filter(|_| is_possible(frame))).collect()
    }

    fn is_sound(&self) -> bool {
        let ascends = self.heads.windows(2).all(|pair| pair[0] < pair[1]);
        (1..=65_536).contains(&self.heads.len()) && ascends && self.objects().is_some()
    }
}

/// The number in front, taken away.
fn length(rest: &mut &[u8]) -> Option<u32> {
    let (len, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(u32::from_le_bytes(*len))
}
