// SPDX-License-Identifier: MIT
//! Proofs and statements that a device keeps: received in pieces, in buffers of fixed capacity, without an allocator.
//!
//! A link carries [`Piece`]s, each in `postcard`; a [`ProofBuffer`] puts them together, and refuses what is out of turn, too
//! much, or about another proof. What comes out is bytes that nobody has verified: hand them to one of the verifiers. What
//! those say borrows the proof; [`OwnedStatement`] outlives it.
//!
//! Of proofs over an unreliable link: pieces must arrive in order, so the link repeats what it loses. A refused piece changes
//! nothing.

use core::fmt;

use heapless::Vec;
use serde::{Deserialize, Serialize};

use super::Statement;

/// A piece of a proof on its way. Its `postcard` is two variable-length numbers, a length and the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece<'a> {
    /// Length of the whole proof, in bytes.
    pub total: u32,
    /// Where the piece begins in it.
    pub offset: u32,
    /// The piece: not empty.
    pub bytes: &'a [u8],
}

/// Why a piece was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReceiveError {
    /// The bytes are not a piece, or something follows it.
    Malformed,
    /// The piece has no bytes, so it could come for ever.
    Empty,
    /// The buffer is too small for what is to come.
    TooLong {
        /// Bytes that are to come.
        len: usize,
        /// Bytes it can hold.
        capacity: usize,
    },
    /// Another piece was to come.
    OutOfTurn {
        /// Where that begins.
        expected: u32,
        /// Where the one that came does.
        found: u32,
    },
    /// The piece is of another proof, or reaches beyond the end of this one.
    Total {
        /// Length of the proof.
        expected: u32,
        /// What the piece says, or where it ends.
        found: u32,
    },
}

impl fmt::Display for ReceiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("not a piece of a proof"),
            Self::Empty => f.write_str("a piece without bytes"),
            Self::TooLong { len, capacity } => {
                write!(f, "{len} bytes are to be kept, there is room for {capacity}")
            }
            Self::OutOfTurn { expected, found } => {
                write!(f, "expected the piece from byte {expected}, found that from {found}")
            }
            Self::Total { expected, found } => {
                write!(f, "piece of a proof of {found} bytes, not of {expected}")
            }
        }
    }
}

impl core::error::Error for ReceiveError {}

impl<'a> Piece<'a> {
    /// Reads a piece, and nothing else.
    ///
    /// # Errors
    /// [`ReceiveError::Malformed`].
    pub fn decode(bytes: &'a [u8]) -> Result<Self, ReceiveError> {
        match postcard::take_from_bytes(bytes) {
            Ok((piece, [])) => Ok(piece),
            _ => Err(ReceiveError::Malformed),
        }
    }

    /// Writes it to the front of `buffer`, which takes at most 15 bytes more than the piece has.
    ///
    /// # Errors
    /// [`ReceiveError::TooLong`] if the buffer is too small.
    pub fn encode<'b>(&self, buffer: &'b mut [u8]) -> Result<&'b [u8], ReceiveError> {
        let (len, capacity) = (self.bytes.len(), buffer.len());
        match postcard::to_slice(self, buffer) {
            Ok(encoded) => Ok(encoded),
            Err(_) => Err(ReceiveError::TooLong { len, capacity }),
        }
    }
}

/// Puts a proof of at most `N` bytes together.
///
/// ```
/// # #[cfg(all(feature = "alloc", feature = "sha256"))] {
/// use cascow_core::hash::HashKind;
/// use cascow_core::merkle::owned::{OwnedStatement, Piece, ProofBuffer};
/// use cascow_core::merkle::{StateTrie, verify};
///
/// let trie = StateTrie::new(HashKind::Sha256, [(&b"valve"[..], &b"open"[..]), (b"pump", b"off")]);
/// let proof = trie.prove(b"valve", Some(b"open")).unwrap();
///
/// // At the other end: 24 bytes at a time.
/// let total = u32::try_from(proof.len()).unwrap();
/// let mut buffer = ProofBuffer::<512>::new();
/// for (at, bytes) in proof.chunks(24).enumerate() {
///     let (mut message, offset) = ([0; 64], u32::try_from(at * 24).unwrap());
///     let message = Piece { total, offset, bytes }.encode(&mut message).unwrap();
///     buffer.accept(&Piece::decode(message).unwrap()).unwrap();
/// }
/// let statement = verify(buffer.proof().unwrap(), &trie.root()).unwrap();
/// let kept = OwnedStatement::<16, 16>::new(&statement).unwrap();
/// assert_eq!((kept.key(), kept.value()), (&b"valve"[..], Some(&b"open"[..])));
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ProofBuffer<const N: usize> {
    bytes: Vec<u8, N>,
    total: u32,
}

impl<const N: usize> ProofBuffer<N> {
    /// An empty buffer.
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), total: 0 }
    }

    /// Takes the next piece; says whether the proof is whole. The first piece of another proof begins anew once this one is.
    ///
    /// # Errors
    /// Every [`ReceiveError`] but `Malformed`. Nothing is changed then.
    pub fn accept(&mut self, piece: &Piece<'_>) -> Result<bool, ReceiveError> {
        let is_first = self.bytes.is_empty() || self.is_whole();
        let held = if is_first { 0 } else { self.held() };
        if piece.bytes.is_empty() {
            return Err(ReceiveError::Empty);
        }
        if piece.offset != held {
            return Err(ReceiveError::OutOfTurn { expected: held, found: piece.offset });
        }
        let expected = if is_first { piece.total } else { self.total };
        if piece.total != expected {
            return Err(ReceiveError::Total { expected, found: piece.total });
        }
        let len = usize::try_from(expected).unwrap_or(usize::MAX);
        if len > N {
            return Err(ReceiveError::TooLong { len, capacity: N });
        }
        let end = u32::try_from(piece.bytes.len()).ok().and_then(|len| held.checked_add(len));
        let end = end.filter(|end| *end <= expected);
        let end = end.ok_or(ReceiveError::Total { expected, found: u32::MAX })?;
        if is_first {
            self.bytes.clear();
            self.total = expected;
        }
        // There is room: the end is not beyond the total, and that not beyond N.
        let too_long = |_| ReceiveError::TooLong { len, capacity: N };
        self.bytes.extend_from_slice(piece.bytes).map_err(too_long)?;
        Ok(end == expected)
    }

    /// The proof, once it is whole. It is not verified.
    pub fn proof(&self) -> Option<&[u8]> {
        self.is_whole().then_some(&self.bytes[..])
    }

    /// Forgets what was received.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.total = 0;
    }

    fn is_whole(&self) -> bool {
        !self.bytes.is_empty() && self.held() == self.total
    }

    fn held(&self) -> u32 {
        // What is held is not beyond the total, which is a u32.
        u32::try_from(self.bytes.len()).unwrap_or(u32::MAX)
    }
}

impl<const N: usize> Default for ProofBuffer<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// What an accepted proof of one key said, with a key of at most `K` bytes and a value of at most `V`, to be kept or sent on.
/// Whoever reads it from elsewhere believes whom it comes from, not a proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnedStatement<const K: usize, const V: usize> {
    entries: u64,
    key: Vec<u8, K>,
    value: Option<Vec<u8, V>>,
}

impl<const K: usize, const V: usize> OwnedStatement<K, V> {
    /// Copies a statement.
    ///
    /// # Errors
    /// [`ReceiveError::TooLong`] if key or value is.
    pub fn new(statement: &Statement<'_>) -> Result<Self, ReceiveError> {
        Ok(Self {
            entries: statement.entries,
            key: copied(statement.key)?,
            value: statement.value.map(copied).transpose()?,
        })
    }

    /// Number of entries in the state.
    pub const fn entries(&self) -> u64 {
        self.entries
    }

    /// The key.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// What the state holds under it; `None` if nothing.
    pub fn value(&self) -> Option<&[u8]> {
        self.value.as_deref()
    }
}

fn copied<const N: usize>(bytes: &[u8]) -> Result<Vec<u8, N>, ReceiveError> {
    Vec::from_slice(bytes).map_err(|_| ReceiveError::TooLong { len: bytes.len(), capacity: N })
}
