// SPDX-License-Identifier: MIT
//! What all proofs have in common: how they begin, how they are read without a panic, and why one is not accepted.
//!
//! Every proof begins with a magic of four bytes, its version and the number of its hash function. Numbers are little-endian,
//! bytes of any length stand behind their length in four bytes, and nothing may follow.

use core::fmt;

use super::state::{EMPTY, MAX_DEPTH, Subtree};
use super::{KeyDigest, StateRoot};
use crate::hash::{HASH_LEN, HashKind};

/// The version of every kind of proof so far.
const VERSION: u8 = 1;

/// Bytes in a key's seal: an altered key passes once in 2^64.
pub(super) const SEAL_LEN: usize = 8;

/// Why a proof is not accepted. `R` is the root that it was to be verified with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProofError<R = StateRoot> {
    /// The bytes end before the proof does.
    Truncated,
    /// The first four bytes are not those of such a proof.
    Magic,
    /// A version this build does not read.
    Version {
        /// The version found; 1 is read.
        found: u8,
    },
    /// A hash function this build does not know.
    HashKind {
        /// The number found.
        found: u8,
    },
    /// A field holds what no proof holds there: the encoding is not the one of its fact.
    NotCanonical,
    /// Bytes follow the proof.
    Trailing {
        /// How many.
        bytes: usize,
    },
    /// The verifier was lent too few [`Slot`](super::Slot)s for this proof: it may be right. Only of
    /// [`verify_many_in`](super::multi::verify_many_in) and [`verify_range_in`](super::range::verify_range_in).
    Slots {
        /// How many it was lent.
        lent: usize,
    },
    /// The proof is about a log of another size.
    Size {
        /// Number of leaves in the log it was to be verified with.
        expected: u64,
        /// Number of leaves it says.
        found: u64,
    },
    /// The proof leads to another root: it is forged, altered, or about something else.
    Root {
        /// The root it was to be verified with.
        expected: R,
        /// The root it leads to.
        found: R,
    },
}

impl<R: fmt::Display> fmt::Display for ProofError<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("proof cut off"),
            Self::Magic => f.write_str("not a proof: wrong magic"),
            Self::Version { found } => {
                write!(f, "proof of version {found}; this build reads version {VERSION}")
            }
            Self::HashKind { found } => {
                write!(f, "proof with hash function {found}, which this build does not know")
            }
            Self::NotCanonical => f.write_str("proof is not in its one canonical encoding"),
            Self::Trailing { bytes } => write!(f, "{bytes} bytes follow the proof"),
            Self::Slots { lent } => {
                write!(f, "proof needs room for more digests than the {lent} lent to its verifier")
            }
            Self::Size { expected, found } => {
                write!(f, "proof is about a log of {found} leaves, not of {expected}")
            }
            Self::Root { expected, found } => {
                write!(f, "proof leads to root {found}, not to {expected}")
            }
        }
    }
}

impl<R: fmt::Debug + fmt::Display> core::error::Error for ProofError<R> {}

/// Why bytes are no proof, whatever root they were to be verified with: what readers give. Eight bytes, where a [`ProofError`] has
/// two roots: a verifier's stack would otherwise hold one for each call that can fail.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    Truncated,
    Magic,
    Version(u8),
    HashKind(u8),
    NotCanonical,
    Trailing(usize),
    Slots(usize),
}

impl<R> From<Fault> for ProofError<R> {
    #[inline(never)]
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Truncated => Self::Truncated,
            Fault::Magic => Self::Magic,
            Fault::Version(found) => Self::Version { found },
            Fault::HashKind(found) => Self::HashKind { found },
            Fault::NotCanonical => Self::NotCanonical,
            Fault::Trailing(bytes) => Self::Trailing { bytes },
            Fault::Slots(lent) => Self::Slots { lent },
        }
    }
}

/// What is left of a proof.
#[derive(Clone, Debug)]
pub(super) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// Reads the beginning that all proofs have.
    pub(super) fn open(proof: &'a [u8], magic: [u8; 4]) -> Result<(Self, HashKind), Fault> {
        let mut input = Self(proof);
        if *input.array()? != magic {
            return Err(Fault::Magic);
        }
        let [version, kind] = *input.array()?;
        if version != VERSION {
            return Err(Fault::Version(version));
        }
        let kind = HashKind::from_id(kind).map_err(|error| Fault::HashKind(error.id))?;
        Ok((input, kind))
    }

    /// Refuses what follows a proof.
    pub(super) fn finish(self) -> Result<(), Fault> {
        match self.0.len() {
            0 => Ok(()),
            bytes => Err(Fault::Trailing(bytes)),
        }
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], Fault> {
        let (array, rest) = self.0.split_first_chunk().ok_or(Fault::Truncated)?;
        self.0 = rest;
        Ok(array)
    }

    pub(super) fn bytes(&mut self, len: usize) -> Result<&'a [u8], Fault> {
        let (bytes, rest) = self.0.split_at_checked(len).ok_or(Fault::Truncated)?;
        self.0 = rest;
        Ok(bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Fault> {
        self.array().copied().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Fault> {
        self.array().copied().map(u64::from_le_bytes)
    }

    /// Bytes behind their length in four bytes.
    pub(super) fn prefixed(&mut self) -> Result<&'a [u8], Fault> {
        let len = self.u32()?;
        self.bytes(usize::try_from(len).map_err(|_| Fault::Truncated)?)
    }
}

/// What ties a proof of absence to its key: the end of the digest, since the beginning is what absent keys share.
pub(super) fn seal(digest: &KeyDigest) -> &[u8; SEAL_LEN] {
    // UNWRAP: a digest is longer than a seal.
    digest.as_bytes().last_chunk().expect("a seal is part of a digest")
}

/// Siblings along a way through the trie, the empty ones left out: their number in two bytes; a bit for each, from the lowest
/// of the first byte and the topmost sibling, set if it is not empty; and those, the deepest first.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Path<'a> {
    levels: usize,
    marks: &'a [u8],
    siblings: &'a [Subtree],
}

impl<'a> Path<'a> {
    pub(super) fn read(input: &mut Input<'a>) -> Result<Self, Fault> {
        let levels = usize::from(u16::from_le_bytes(*input.array()?));
        if levels > MAX_DEPTH {
            return Err(Fault::NotCanonical);
        }
        let marks = input.bytes(levels.div_ceil(8))?;
        let used = levels % 8;
        if used != 0 && marks.last().is_some_and(|last| last >> used != 0) {
            return Err(Fault::NotCanonical);
        }
        let count: u32 = marks.iter().map(|byte| byte.count_ones()).sum();
        let count = usize::try_from(count).map_err(|_| Fault::NotCanonical)?;
        let (siblings, _) = input.bytes(count * HASH_LEN)?.as_chunks();
        if siblings.contains(&EMPTY) {
            return Err(Fault::NotCanonical);
        }
        Ok(Self { levels, marks, siblings })
    }

    /// Number of siblings, the empty ones too.
    pub(super) const fn levels(&self) -> usize {
        self.levels
    }

    /// The siblings from the deepest up, each with its place from the topmost; `None` is the empty subtree.
    pub(super) fn upwards(self) -> impl Iterator<Item = (usize, Option<&'a Subtree>)> {
        let mut siblings = self.siblings.iter();
        (0..self.levels).rev().map(move |level| {
            let is_marked = |marks: &u8| marks & (1 << (level % 8)) != 0;
            let is_marked = self.marks.get(level / 8).is_some_and(is_marked);
            (level, if is_marked { siblings.next() } else { None })
        })
    }
}

#[cfg(feature = "alloc")]
pub(super) use writing::{begin, put_path, put_prefixed};

#[cfg(feature = "alloc")]
mod writing {
    use alloc::vec::Vec;

    use super::{EMPTY, HashKind, Subtree, VERSION};

    /// The beginning that all proofs have.
    pub(in super::super) fn begin(magic: [u8; 4], kind: HashKind) -> Vec<u8> {
        let mut proof = Vec::from(magic);
        proof.extend_from_slice(&[VERSION, kind.id()]);
        proof
    }

    /// `None` if the length does not fit its field.
    pub(in super::super) fn put_prefixed(proof: &mut Vec<u8>, bytes: &[u8]) -> Option<()> {
        proof.extend_from_slice(&u32::try_from(bytes.len()).ok()?.to_le_bytes());
        proof.extend_from_slice(bytes);
        Some(())
    }

    /// Siblings from the deepest up. `None` if there are more than any trie has.
    pub(in super::super) fn put_path(proof: &mut Vec<u8>, upwards: &[Subtree]) -> Option<()> {
        proof.extend_from_slice(&u16::try_from(upwards.len()).ok()?.to_le_bytes());
        let marks_at = proof.len();
        proof.resize(marks_at + upwards.len().div_ceil(8), 0);
        for (level, _) in upwards.iter().rev().enumerate().filter(|(_, sibling)| **sibling != EMPTY)
        {
            proof[marks_at + level / 8] |= 1 << (level % 8);
        }
        for sibling in upwards.iter().filter(|sibling| **sibling != EMPTY) {
            proof.extend_from_slice(sibling);
        }
        Some(())
    }
}
