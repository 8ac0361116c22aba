// SPDX-License-Identifier: MIT
//! Append-only logs: the Merkle tree of RFC 9162, section 2.1, over leaves of any bytes, such as the names of a repository's
//! snapshots; proofs that a leaf stands in a log, and that one log is the beginning of another.
//!
//! What is trusted is a [`TreeHead`]: a root says nothing of a log without its size. With the head, an accepted proof of
//! inclusion says "this leaf stands in this log at this index", and one of consistency "the first leaves of the new log are the
//! old log". Verification is that of sections 2.1.3.2 and 2.1.4.2, step by step, in constant memory without an allocator.
//!
//! # Encoding of a proof of inclusion, version 1
//!
//! | bytes | field |
//! |------:|-------|
//! | 4 | magic `CCLI` |
//! | 1 | version, 1 |
//! | 1 | hash function: 1 SHA-256, 2 BLAKE3 |
//! | 8 | the leaf's index, from 0 |
//! | 8 | number of leaves in the log |
//! | 4 + n | length of the leaf, the leaf |
//! | 32 each | the path of section 2.1.3.1: siblings, the deepest first |
//!
//! # Encoding of a proof of consistency, version 1
//!
//! | bytes | field |
//! |------:|-------|
//! | 4 | magic `CCLC` |
//! | 1 | version, 1 |
//! | 1 | hash function: 1 SHA-256, 2 BLAKE3 |
//! | 8 | number of leaves in the old log, at least 1 |
//! | 8 | number of leaves in the new log, more |
//! | 32 each | the proof of section 2.1.4.1 |
//!
//! Numbers are little-endian. How many digests there are follows from the sizes; nothing may follow them.
//!
//! As in the RFC, there is no proof of consistency where nothing is to be proved: logs of one size are the same exactly if
//! their roots are, and a log without leaves is the beginning of every log.
//!
//! No bit of a proof can be changed, but for one case that follows from the RFC: where equal leaves stand side by side, a proof
//! of one with the index of the other is a proof of the other, and true.

use super::LogRoot;
use super::proof::{Fault, Input, ProofError};
use super::rfc9162::{self, Ascent, Digest};
use crate::hash::HashKind;

const MAGIC_INCLUSION: [u8; 4] = *b"CCLI";
const MAGIC_CONSISTENCY: [u8; 4] = *b"CCLC";

/// A log at one time: what its keeper publishes and a verifier trusts. RFC 9162, section 4.10, without time and signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TreeHead {
    /// Number of leaves.
    pub size: u64,
    /// The commitment to them.
    pub root: LogRoot,
}

/// What an accepted proof of inclusion says of the log whose head it was verified with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEntry<'a> {
    /// The hash function of the log.
    pub kind: HashKind,
    /// Where the leaf stands, from 0.
    pub index: u64,
    /// What stands there.
    pub leaf: &'a [u8],
}

/// Verifies that a leaf stands in a log: RFC 9162, section 2.1.3.2. Borrows the proof, allocates nothing, at most 65 hashes.
///
/// ```
/// # #[cfg(all(feature = "alloc", feature = "sha256"))] {
/// use cascow_core::hash::HashKind;
/// use cascow_core::merkle::log::{LogTree, verify_inclusion};
///
/// let mut log = LogTree::new(HashKind::Sha256);
/// log.extend(["first", "second", "third"]);
/// let proof = log.prove_inclusion(1, b"second", 3).unwrap();
/// let entry = verify_inclusion(&proof, &log.head()).unwrap();
/// assert_eq!((entry.index, entry.leaf), (1, &b"second"[..]));
/// # }
/// ```
///
/// # Errors
/// [`ProofError::Root`] or [`ProofError::Size`] if the proof is not one for this log; every other [`ProofError`] if the bytes
/// are no proof.
pub fn verify_inclusion<'a>(
    proof: &'a [u8],
    head: &TreeHead,
) -> Result<LogEntry<'a>, ProofError<LogRoot>> {
    let (entry, size, root) = read_inclusion(proof)?;
    check(head, size, &root)?;
    Ok(entry)
}

/// What the proof says, and of which log.
fn read_inclusion(proof: &[u8]) -> Result<(LogEntry<'_>, u64, Digest), Fault> {
    let (mut input, kind) = Input::open(proof, MAGIC_INCLUSION)?;
    let (index, size) = (input.u64()?, input.u64()?);
    let leaf = input.prefixed()?;
    let last = size.checked_sub(1).filter(|last| index <= *last);
    let mut ascent = Ascent::new(index, last.ok_or(Fault::NotCanonical)?);
    let mut root = rfc9162::leaf(kind, leaf);
    while let Some(is_left) = ascent.step() {
        let sibling = input.array()?;
        root = if is_left {
            rfc9162::node(kind, sibling, &root)
        } else {
            rfc9162::node(kind, &root, sibling)
        };
    }
    input.finish()?;
    Ok((LogEntry { kind, index, leaf }, size, root))
}

/// Verifies that one log is the beginning of another: RFC 9162, section 2.1.4.2. Borrows the proof, allocates nothing, at most
/// 130 hashes.
///
/// ```
/// # #[cfg(all(feature = "alloc", feature = "sha256"))] {
/// use cascow_core::hash::HashKind;
/// use cascow_core::merkle::log::{LogTree, verify_consistency};
///
/// let mut log = LogTree::new(HashKind::Sha256);
/// log.extend(["first", "second"]);
/// let old = log.head();
/// log.extend(["third"]);
/// let proof = log.prove_consistency(2, 3).unwrap();
/// assert_eq!(verify_consistency(&proof, &old, &log.head()), Ok(()));
/// assert!(verify_consistency(&proof, &log.head(), &old).is_err());
/// # }
/// ```
///
/// # Errors
/// [`ProofError::Root`] or [`ProofError::Size`] if the proof is not one for these logs; every other [`ProofError`] if the bytes
/// are no proof.
pub fn verify_consistency(
    proof: &[u8],
    old: &TreeHead,
    new: &TreeHead,
) -> Result<(), ProofError<LogRoot>> {
    let [(first, first_root), (second, second_root)] = read_consistency(proof, &old.root)?;
    check(old, first, &first_root)?;
    check(new, second, &second_root)
}

/// The logs that the proof leads to from the old one's root, if that is perfect; else whatever that is.
fn read_consistency(proof: &[u8], old: &LogRoot) -> Result<[(u64, Digest); 2], Fault> {
    let (mut input, kind) = Input::open(proof, MAGIC_CONSISTENCY)?;
    let (first, second) = (input.u64()?, input.u64()?);
    if first == 0 || first >= second {
        return Err(Fault::NotCanonical);
    }
    let mut ascent = Ascent::new(first - 1, second - 1);
    ascent.up((first - 1).trailing_ones());
    // The old log is a perfect tree exactly if its size is a power of two; then it is where the way begins.
    let start = if first.is_power_of_two() { old.as_bytes() } else { input.array()? };
    let (mut first_root, mut second_root) = (*start, *start);
    while let Some(is_left) = ascent.step() {
        let sibling = input.array()?;
        if is_left {
            first_root = rfc9162::node(kind, sibling, &first_root);
            second_root = rfc9162::node(kind, sibling, &second_root);
        } else {
            second_root = rfc9162::node(kind, &second_root, sibling);
        }
    }
    input.finish()?;
    Ok([(first, first_root), (second, second_root)])
}

fn check(head: &TreeHead, size: u64, root: &Digest) -> Result<(), ProofError<LogRoot>> {
    if head.size != size {
        return Err(ProofError::Size { expected: head.size, found: size });
    }
    let found = LogRoot::from_bytes(*root);
    if head.root != found {
        return Err(ProofError::Root { expected: head.root, found });
    }
    Ok(())
}

#[cfg(feature = "alloc")]
pub use tree::LogTree;

#[cfg(feature = "alloc")]
mod tree {
    use alloc::vec::Vec;

    use super::super::ProveError;
    use super::super::proof::{begin, put_prefixed};
    use super::super::rfc9162::{self, Digest, Peaks};
    use super::{LogRoot, MAGIC_CONSISTENCY, MAGIC_INCLUSION, TreeHead};
    use crate::hash::HashKind;

    /// A log from which proofs are made: 32 bytes a leaf.
    #[derive(Clone, Debug)]
    pub struct LogTree {
        kind: HashKind,
        leaves: Vec<Digest>,
    }

    /// Appends leaves. One hash each.
    impl<L: AsRef<[u8]>> Extend<L> for LogTree {
        fn extend<T: IntoIterator<Item = L>>(&mut self, leaves: T) {
            let kind = self.kind;
            let leaves = leaves.into_iter().map(|leaf| rfc9162::leaf(kind, leaf.as_ref()));
            self.leaves.extend(leaves);
        }
    }

    impl LogTree {
        /// A log without leaves.
        ///
        /// ```
        /// # #[cfg(feature = "sha256")] {
        /// use cascow_core::hash::HashKind;
        /// use cascow_core::merkle::log::LogTree;
        ///
        /// // RFC 9162, section 2.1.1: the hash of an empty list is the hash of nothing.
        /// let root = LogTree::new(HashKind::Sha256).head().root;
        /// assert_eq!(root.as_bytes(), HashKind::Sha256.hash(b"").as_bytes());
        /// # }
        /// ```
        pub const fn new(kind: HashKind) -> Self {
            Self { kind, leaves: Vec::new() }
        }

        /// The log as it is. O(n) hashes.
        ///
        /// ```
        /// # #[cfg(feature = "sha256")] {
        /// use cascow_core::hash::HashKind;
        /// use cascow_core::merkle::log::LogTree;
        ///
        /// let mut log = LogTree::new(HashKind::Sha256);
        /// log.extend(["first", "second"]);
        /// assert_eq!(log.head().size, 2);
        /// # }
        /// ```
        pub fn head(&self) -> TreeHead {
            let root = LogRoot::from_bytes(self.hash(&self.leaves));
            TreeHead { size: self.leaves.len() as u64, root }
        }

        /// A proof that `leaf` stands at `index` in the log of the first `size` leaves: section 2.1.3.1. O(size) hashes.
        ///
        /// ```
        /// # #[cfg(feature = "sha256")] {
        /// use cascow_core::hash::HashKind;
        /// use cascow_core::merkle::ProveError;
        /// use cascow_core::merkle::log::LogTree;
        ///
        /// let mut log = LogTree::new(HashKind::Sha256);
        /// log.extend(["first", "second"]);
        /// assert!(log.prove_inclusion(0, b"first", 2).is_ok());
        /// assert_eq!(log.prove_inclusion(1, b"first", 2), Err(ProveError::Value));
        /// assert_eq!(log.prove_inclusion(2, b"third", 2), Err(ProveError::Size));
        /// # }
        /// ```
        ///
        /// # Errors
        /// [`ProveError::Size`] if there is no such index or size, [`ProveError::Value`] if another leaf stands there,
        /// [`ProveError::TooLong`].
        pub fn prove_inclusion(
            &self,
            index: u64,
            leaf: &[u8],
            size: u64,
        ) -> Result<Vec<u8>, ProveError> {
            let leaves = self.first(size)?;
            let at = usize::try_from(index).map_err(|_| ProveError::Size)?;
            let found = leaves.get(at).ok_or(ProveError::Size)?;
            if *found != rfc9162::leaf(self.kind, leaf) {
                return Err(ProveError::Value);
            }
            let mut proof = begin(MAGIC_INCLUSION, self.kind);
            proof.extend_from_slice(&index.to_le_bytes());
            proof.extend_from_slice(&size.to_le_bytes());
            put_prefixed(&mut proof, leaf).ok_or(ProveError::TooLong)?;
            self.put_path(&mut proof, at, leaves);
            Ok(proof)
        }

        /// A proof that the log of the first `old` leaves is the beginning of that of the first `new`: section 2.1.4.1.
        /// O(new) hashes.
        ///
        /// ```
        /// # #[cfg(feature = "sha256")] {
        /// use cascow_core::hash::HashKind;
        /// use cascow_core::merkle::ProveError;
        /// use cascow_core::merkle::log::LogTree;
        ///
        /// let mut log = LogTree::new(HashKind::Sha256);
        /// log.extend(["first", "second", "third"]);
        /// assert!(log.prove_consistency(1, 3).is_ok());
        /// assert_eq!(log.prove_consistency(3, 3), Err(ProveError::Size));
        /// # }
        /// ```
        ///
        /// # Errors
        /// [`ProveError::Size`] if there is no such size, or if `old` is not less than `new` and more than 0.
        pub fn prove_consistency(&self, old: u64, new: u64) -> Result<Vec<u8>, ProveError> {
            let leaves = self.first(new)?;
            let first = usize::try_from(old).map_err(|_| ProveError::Size)?;
            if first == 0 || first >= leaves.len() {
                return Err(ProveError::Size);
            }
            let mut proof = begin(MAGIC_CONSISTENCY, self.kind);
            proof.extend_from_slice(&old.to_le_bytes());
            proof.extend_from_slice(&new.to_le_bytes());
            self.put_subproof(&mut proof, first, leaves, true);
            Ok(proof)
        }

        fn first(&self, size: u64) -> Result<&[Digest], ProveError> {
            usize::try_from(size)
                .ok()
                .and_then(|size| self.leaves.get(..size))
                .ok_or(ProveError::Size)
        }

        /// `PATH(m, D_n)` of the RFC.
        fn put_path(&self, proof: &mut Vec<u8>, index: usize, leaves: &[Digest]) {
            if leaves.len() == 1 {
                return;
            }
            let (left, right) = halves(leaves);
            if index < left.len() {
                self.put_path(proof, index, left);
                proof.extend_from_slice(&self.hash(right));
            } else {
                self.put_path(proof, index - left.len(), right);
                proof.extend_from_slice(&self.hash(left));
            }
        }

        /// `SUBPROOF(m, D_n, b)` of the RFC.
        fn put_subproof(
            &self,
            proof: &mut Vec<u8>,
            first: usize,
            leaves: &[Digest],
            is_known: bool,
        ) {
            if first == leaves.len() {
                if !is_known {
                    proof.extend_from_slice(&self.hash(leaves));
                }
                return;
            }
            let (left, right) = halves(leaves);
            if first <= left.len() {
                self.put_subproof(proof, first, left, is_known);
                proof.extend_from_slice(&self.hash(right));
            } else {
                self.put_subproof(proof, first - left.len(), right, false);
                proof.extend_from_slice(&self.hash(left));
            }
        }

        /// `MTH(D_n)` of the RFC.
        fn hash(&self, leaves: &[Digest]) -> Digest {
            let join = |left: &Digest, right: &Digest| rfc9162::node(self.kind, left, right);
            let mut peaks = Peaks::new(Digest::default());
            leaves.iter().for_each(|leaf| peaks.push(*leaf, join));
            peaks.whole(join).unwrap_or_else(|| rfc9162::empty(self.kind))
        }
    }

    /// Two leaves or more, cut at the largest power of two that is less than their number.
    fn halves(leaves: &[Digest]) -> (&[Digest], &[Digest]) {
        leaves.split_at(leaves.len().next_power_of_two() / 2)
    }
}
