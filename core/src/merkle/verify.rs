// SPDX-License-Identifier: MIT
//! Proofs of what a state holds under a key, and their verification in constant memory, without an allocator.
//!
//! One function answers both questions: the statement of a proof is "under this key the state holds this value" or "… holds
//! nothing". What follows from an accepted proof is exactly that, for the root the caller trusts. A proof says itself which
//! key it is about: a caller who asked for a certain key compares it.
//!
//! # Encoding, version 1
//!
//! | bytes | field |
//! |------:|-------|
//! | 4 | magic `CCSP` |
//! | 1 | version, 1 |
//! | 1 | hash function: 1 SHA-256, 2 BLAKE3 |
//! | 1 | terminal: 0 nothing stands at the path's end, 1 the key's own leaf, 2 another key's leaf |
//! | 1 | zero |
//! | 8 | number of entries in the state |
//! | 4 + n | length of the key, the key |
//! | 4 + n | terminal 1: length of the value, the value |
//! | 8 | terminal 0 and 2: seal of the key, the last eight bytes of its digest |
//! | 64 | terminal 2: the other leaf's key digest and value digest |
//! | 2 | depth: number of siblings, 0 to 256 |
//! | (depth + 7) / 8 | bit i, from the lowest of the first byte: the sibling at depth i (0 is the topmost) is not empty; the rest zero |
//! | 32 each | the siblings that are not empty, the deepest first |
//!
//! Numbers are little-endian. Nothing may follow. Each fact has one encoding: a sibling marked as not empty must not be the
//! empty digest, and another key's leaf must lie on the path and not be the key's own.
//!
//! Why the seal: what shows that one key is absent often shows it of other keys too, namely of all whose digests begin alike.
//! Without the seal, damage to the key would turn a proof into a true one about a key that nobody asked for; with it, a proof
//! with any one bit changed is not accepted. (It is no protection against forgery, and need not be: forged or not, an accepted
//! statement is true.)

use core::fmt;

use super::state::{self, EMPTY, MAX_DEPTH, Subtree};
use super::{KeyDigest, StateRoot, ValueDigest};
use crate::hash::{HASH_LEN, HashKind};

const MAGIC: [u8; 4] = *b"CCSP";
const VERSION: u8 = 1;
const TERMINAL_EMPTY: u8 = 0;
const TERMINAL_PRESENT: u8 = 1;
const TERMINAL_OTHER: u8 = 2;

/// Bytes of a key's seal: an altered key passes once in 2^64.
const SEAL_LEN: usize = 8;

/// What an accepted proof says of the state under the root it was verified with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statement<'a> {
    /// The hash function of the state's commitment.
    pub kind: HashKind,
    /// Number of entries in the state.
    pub entries: u64,
    /// The key that the proof is about.
    pub key: &'a [u8],
    /// What the state holds under the key; `None` if nothing.
    pub value: Option<&'a [u8]>,
}

/// Why a proof is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProofError {
    /// The bytes end before the proof does.
    Truncated,
    /// The first four bytes are not a proof's.
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
    /// The proof leads to another root: it is forged, altered, or about another state.
    Root {
        /// The root it was to be verified with.
        expected: StateRoot,
        /// The root it leads to.
        found: StateRoot,
    },
}

impl fmt::Display for ProofError {
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
            Self::Root { expected, found } => {
                write!(f, "proof leads to root {found}, not to {expected}")
            }
        }
    }
}

impl core::error::Error for ProofError {}

/// What stands at the end of the key's path.
pub(super) enum Terminal<'a> {
    /// Nothing.
    Empty,
    /// The key's own leaf.
    Present {
        /// Its value.
        value: &'a [u8],
    },
    /// A leaf whose key has the same first bits.
    Other {
        /// That key's digest.
        key: KeyDigest,
        /// Its value's digest.
        value: ValueDigest,
    },
}

/// Everything in a proof but the siblings.
pub(super) struct Header<'a> {
    pub(super) kind: HashKind,
    pub(super) entries: u64,
    pub(super) key: &'a [u8],
    /// The key's digest.
    pub(super) digest: KeyDigest,
    pub(super) terminal: Terminal<'a>,
}

/// Verifies a proof and says what it states. Borrows the proof, allocates nothing, at most 260 hashes besides those of key
/// and value, constant memory.
///
/// # Errors
/// [`ProofError::Root`] if the proof is not one for this root; every other [`ProofError`] if the bytes are no proof.
pub fn verify<'a>(proof: &'a [u8], root: &StateRoot) -> Result<Statement<'a>, ProofError> {
    let mut input = Input(proof);
    let Header { kind, entries, key, digest, terminal } = read_header(&mut input)?;
    let depth = usize::from(u16::from_le_bytes(*input.array()?));
    if depth > MAX_DEPTH {
        return Err(ProofError::NotCanonical);
    }
    let marks = input.bytes(depth.div_ceil(8))?;
    let is_marked = |bit: usize| marks[bit / 8] & (1 << (bit % 8)) != 0;
    if (depth..marks.len() * 8).any(is_marked) {
        return Err(ProofError::NotCanonical);
    }

    let (mut subtree, value) = match terminal {
        Terminal::Empty => (EMPTY, None),
        Terminal::Present { value } => {
            (state::leaf(kind, &digest, &state::value_digest(kind, value)), Some(value))
        }
        Terminal::Other { key, value } => {
            let shares_path = (0..depth)
                .all(|bit| state::goes_right(&key, bit) == state::goes_right(&digest, bit));
            if key == digest || !shares_path {
                return Err(ProofError::NotCanonical);
            }
            (state::leaf(kind, &key, &value), None)
        }
    };
    for bit in (0..depth).rev() {
        let sibling: &Subtree = if is_marked(bit) { input.array()? } else { &EMPTY };
        if is_marked(bit) && *sibling == EMPTY {
            return Err(ProofError::NotCanonical);
        }
        subtree = if state::goes_right(&digest, bit) {
            state::node(kind, sibling, &subtree)
        } else {
            state::node(kind, &subtree, sibling)
        };
    }
    if !input.0.is_empty() {
        return Err(ProofError::Trailing { bytes: input.0.len() });
    }
    let found = state::root(kind, entries, &subtree);
    if found != *root {
        return Err(ProofError::Root { expected: *root, found });
    }
    Ok(Statement { kind, entries, key, value })
}

fn read_header<'a>(input: &mut Input<'a>) -> Result<Header<'a>, ProofError> {
    if *input.array()? != MAGIC {
        return Err(ProofError::Magic);
    }
    let [version, kind, terminal, zero] = *input.array()?;
    if version != VERSION {
        return Err(ProofError::Version { found: version });
    }
    let kind = HashKind::from_id(kind).map_err(|error| ProofError::HashKind { found: error.id })?;
    if zero != 0 {
        return Err(ProofError::NotCanonical);
    }
    let entries = u64::from_le_bytes(*input.array()?);
    let key = input.prefixed()?;
    let digest = state::key_digest(kind, key);
    if terminal != TERMINAL_PRESENT && input.array()? != seal(&digest) {
        return Err(ProofError::NotCanonical);
    }
    let terminal = match terminal {
        TERMINAL_EMPTY => Terminal::Empty,
        TERMINAL_PRESENT => Terminal::Present { value: input.prefixed()? },
        TERMINAL_OTHER => Terminal::Other {
            key: KeyDigest::from_bytes(*input.array::<HASH_LEN>()?),
            value: ValueDigest::from_bytes(*input.array::<HASH_LEN>()?),
        },
        _ => return Err(ProofError::NotCanonical),
    };
    Ok(Header { kind, entries, key, digest, terminal })
}

/// What ties a proof of absence to its key: the end of the digest, since the beginning is what absent keys share.
fn seal(digest: &KeyDigest) -> &[u8; SEAL_LEN] {
    // UNWRAP: a digest is longer than a seal.
    digest.as_bytes().last_chunk().expect("a seal is part of a digest")
}

/// What is left of a proof.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], ProofError> {
        let (array, rest) = self.0.split_first_chunk().ok_or(ProofError::Truncated)?;
        self.0 = rest;
        Ok(array)
    }

    fn bytes(&mut self, len: usize) -> Result<&'a [u8], ProofError> {
        let (bytes, rest) = self.0.split_at_checked(len).ok_or(ProofError::Truncated)?;
        self.0 = rest;
        Ok(bytes)
    }

    /// Bytes behind their length in four bytes.
    fn prefixed(&mut self) -> Result<&'a [u8], ProofError> {
        let len = u32::from_le_bytes(*self.array()?);
        self.bytes(usize::try_from(len).map_err(|_| ProofError::Truncated)?)
    }
}

/// Writes a proof: `siblings` topmost first. `None` if a length does not fit its field.
#[cfg(feature = "alloc")]
pub(super) fn encode(header: &Header<'_>, siblings: &[Subtree]) -> Option<alloc::vec::Vec<u8>> {
    let prefix = |bytes: &[u8]| u32::try_from(bytes.len()).ok().map(u32::to_le_bytes);
    let terminal = match header.terminal {
        Terminal::Empty => TERMINAL_EMPTY,
        Terminal::Present { .. } => TERMINAL_PRESENT,
        Terminal::Other { .. } => TERMINAL_OTHER,
    };
    let mut proof = alloc::vec::Vec::new();
    proof.extend_from_slice(&MAGIC);
    proof.extend_from_slice(&[VERSION, header.kind.id(), terminal, 0]);
    proof.extend_from_slice(&header.entries.to_le_bytes());
    proof.extend_from_slice(&prefix(header.key)?);
    proof.extend_from_slice(header.key);
    match &header.terminal {
        Terminal::Empty => proof.extend_from_slice(seal(&header.digest)),
        Terminal::Present { value } => {
            proof.extend_from_slice(&prefix(value)?);
            proof.extend_from_slice(value);
        }
        Terminal::Other { key, value } => {
            proof.extend_from_slice(seal(&header.digest));
            proof.extend_from_slice(key.as_bytes());
            proof.extend_from_slice(value.as_bytes());
        }
    }
    proof.extend_from_slice(&u16::try_from(siblings.len()).ok()?.to_le_bytes());
    let marks = siblings.chunks(8).map(|eight| {
        eight
            .iter()
            .enumerate()
            .fold(0, |byte, (bit, sibling)| byte | u8::from(*sibling != EMPTY) << bit)
    });
    proof.extend(marks);
    for sibling in siblings.iter().rev().filter(|sibling| **sibling != EMPTY) {
        proof.extend_from_slice(sibling);
    }
    Some(proof)
}
