// SPDX-License-Identifier: MIT
//! Merkle commitments: roots of states, lists and logs, and proofs of what they contain.
//!
//! Two structures, told apart by the first byte of every preimage:
//!
//! - [`state`]: the map from keys to values, as a binary trie over hashed keys. One shape for each set of entries.
//! - the Merkle tree of RFC 9162, section 2.1, over the chunks of a long value ([`list`]) or any leaves at all ([`log`]).
//!
//! | proof of | made by | verified by |
//! |---|---|---|
//! | what a state holds under a key | `StateTrie::prove`, `IncrementalTrie::prove` | [`verify()`](verify::verify) |
//! | … under many keys | `prove_many` of both | [`multi::verify_many`] |
//! | a leaf in a log | `LogTree::prove_inclusion` | [`log::verify_inclusion`] |
//! | a log that continues another | `LogTree::prove_consistency` | [`log::verify_consistency`] |
//! | bytes of a long value | `blob::prove_range` | [`range::verify_range`] |
//!
//! Preimages are typed by a tag and of fixed width but for a key, a value or a log's leaf, which stand last:
//!
//! | tag | preimage after the tag | bytes in all | digest |
//! |----:|---|---:|---|
//! | `00` | chunk name 32 ‖ offset u64 ‖ length u32 | 45 | list leaf |
//! | `00` | any bytes | 1 + n | log leaf |
//! | `01` | left 32 ‖ right 32 | 65 | node of a list or log |
//! | `10` | key | 1 + n | [`KeyDigest`] |
//! | `11` | value | 1 + n | [`ValueDigest`] |
//! | `12` | key digest 32 ‖ value digest 32 | 65 | state leaf |
//! | `13` | left 32 ‖ right 32 | 65 | state node |
//! | `14` | version u8 = 1 ‖ hash function u8 ‖ entries u64 ‖ top 32 | 43 | [`StateRoot`] |
//!
//! Numbers are little-endian. `00` and `01` are RFC 9162's own prefixes. No preimage of one row is one of another, but that a
//! list is also a log of its leaves: what a root of such a tree is about follows from where it is trusted, so [`ListRoot`] and
//! [`LogRoot`] are two types.
//!
//! Verifying stands on [`crate::hash`] alone, needs no allocator and has no way to panic; building roots and proofs needs `alloc`.
//! With the feature `owned`, devices receive proofs in pieces and keep statements, in buffers of fixed capacity: `owned`.
//! `PROOFS.md`, beside this crate's manifest, has all that a verifier in another language needs.

#[cfg(feature = "alloc")]
mod incremental;
pub mod list;
pub mod log;
pub mod multi;
#[cfg(feature = "owned")]
pub mod owned;
mod proof;
#[cfg(feature = "alloc")]
mod prove;
pub mod range;
mod rfc9162;
pub mod state;
#[cfg(feature = "alloc")]
mod trie;
pub mod verify;

#[cfg(feature = "alloc")]
pub use incremental::IncrementalTrie;
pub use multi::{Statements, verify_many};
pub use proof::ProofError;
#[cfg(feature = "alloc")]
pub(crate) use prove::Leaf;
#[cfg(feature = "alloc")]
pub use prove::ProveError;
#[cfg(feature = "alloc")]
pub use trie::StateTrie;
pub use verify::{Statement, verify};

use crate::hash::{HASH_LEN, digest};

/// Room for one digest that a verifier keeps while it works. Who has little memory lends as many as a proof can need:
/// [`verify_many_in`](multi::verify_many_in), [`verify_range_in`](range::verify_range_in). What was in it does not matter.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    digest: [u8; HASH_LEN],
    /// What the verifier knows of the digest besides: one byte, so that slots lie without gaps.
    note: u8,
}

impl Slot {
    /// An empty slot.
    pub const fn new() -> Self {
        Self { digest: [0; HASH_LEN], note: 0 }
    }
}

impl Default for Slot {
    fn default() -> Self {
        Self::new()
    }
}

digest! {
    /// The commitment to a whole state: equal for equal states, however they came about; different for different ones.
    StateRoot
}

digest! {
    /// The commitment to a long value's chunks, in order.
    ListRoot
}

digest! {
    /// The commitment to a log's leaves, in order. Together with their number, it is a [`TreeHead`](log::TreeHead).
    LogRoot
}

digest! {
    /// A key, hashed: its bits, from the highest of the first byte, lead from the top of the trie to the key's leaf.
    KeyDigest
}

digest! {
    /// A value, hashed.
    ValueDigest
}
