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

use super::proof::{Fault, Input, Path, ProofError, seal};
use super::state::{self, EMPTY, Subtree};
use super::{KeyDigest, StateRoot};
use crate::hash::HashKind;

const MAGIC: [u8; 4] = *b"CCSP";
const TERMINAL_EMPTY: u8 = 0;
const TERMINAL_PRESENT: u8 = 1;
const TERMINAL_OTHER: u8 = 2;

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
        key: &'a Subtree,
        /// Its value's digest.
        value: &'a Subtree,
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
/// ```
/// # #[cfg(all(feature = "alloc", feature = "sha256"))] {
/// use cascow_core::hash::HashKind;
/// use cascow_core::merkle::{StateTrie, verify};
///
/// let state = [(&b"board"[..], &b"x.o"[..]), (b"turn", b"x")];
/// let trie = StateTrie::new(HashKind::Sha256, state);
/// let proof = trie.prove(b"turn", Some(b"x")).unwrap();
/// let statement = verify(&proof, &trie.root()).unwrap();
/// assert_eq!((statement.key, statement.value), (&b"turn"[..], Some(&b"x"[..])));
/// # }
/// ```
///
/// # Errors
/// [`ProofError::Root`] if the proof is not one for this root; every other [`ProofError`] if the bytes are no proof.
pub fn verify<'a>(proof: &'a [u8], root: &StateRoot) -> Result<Statement<'a>, ProofError> {
    let (statement, found) = read(proof)?;
    if found != *root {
        return Err(ProofError::Root { expected: *root, found });
    }
    Ok(statement)
}

/// What the proof says, and the root that it leads to.
fn read(proof: &[u8]) -> Result<(Statement<'_>, StateRoot), Fault> {
    let (mut input, kind) = Input::open(proof, MAGIC)?;
    let Header { kind, entries, key, digest, terminal } = read_header(&mut input, kind)?;
    let path = Path::read(&mut input)?;
    input.finish()?;

    let (mut subtree, value) = match terminal {
        Terminal::Empty => (EMPTY, None),
        Terminal::Present { value } => (
            state::leaf(kind, digest.as_bytes(), state::value_digest(kind, value).as_bytes()),
            Some(value),
        ),
        Terminal::Other { key, value } => {
            if state::common_bits(key, digest.as_bytes()) < path.levels()
                || key == digest.as_bytes()
            {
                return Err(Fault::NotCanonical);
            }
            (state::leaf(kind, key, value), None)
        }
    };
    for (depth, sibling) in path.upwards() {
        subtree = state::parent(kind, &digest, depth, &subtree, sibling.unwrap_or(&EMPTY));
    }
    Ok((Statement { kind, entries, key, value }, state::root(kind, entries, &subtree)))
}

fn read_header<'a>(input: &mut Input<'a>, kind: HashKind) -> Result<Header<'a>, Fault> {
    let [terminal, zero] = *input.array()?;
    if zero != 0 {
        return Err(Fault::NotCanonical);
    }
    let entries = input.u64()?;
    let key = input.prefixed()?;
    let digest = state::key_digest(kind, key);
    if terminal != TERMINAL_PRESENT && input.array()? != seal(&digest) {
        return Err(Fault::NotCanonical);
    }
    let terminal = match terminal {
        TERMINAL_EMPTY => Terminal::Empty,
        TERMINAL_PRESENT => Terminal::Present { value: input.prefixed()? },
        TERMINAL_OTHER => Terminal::Other { key: input.array()?, value: input.array()? },
        _ => return Err(Fault::NotCanonical),
    };
    Ok(Header { kind, entries, key, digest, terminal })
}

/// Writes a proof: siblings from the deepest up. `None` if a length does not fit its field.
#[cfg(feature = "alloc")]
pub(super) fn encode(header: &Header<'_>, upwards: &[Subtree]) -> Option<alloc::vec::Vec<u8>> {
    use super::proof::{begin, put_path, put_prefixed};

    let terminal = match header.terminal {
        Terminal::Empty => TERMINAL_EMPTY,
        Terminal::Present { .. } => TERMINAL_PRESENT,
        Terminal::Other { .. } => TERMINAL_OTHER,
    };
    let mut proof = begin(MAGIC, header.kind);
    proof.extend_from_slice(&[terminal, 0]);
    proof.extend_from_slice(&header.entries.to_le_bytes());
    put_prefixed(&mut proof, header.key)?;
    match &header.terminal {
        Terminal::Empty => proof.extend_from_slice(seal(&header.digest)),
        Terminal::Present { value } => put_prefixed(&mut proof, value)?,
        Terminal::Other { key, value } => {
            proof.extend_from_slice(seal(&header.digest));
            proof.extend_from_slice(*key);
            proof.extend_from_slice(*value);
        }
    }
    put_path(&mut proof, upwards)?;
    Some(proof)
}
