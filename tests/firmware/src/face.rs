// SPDX-License-Identifier: MIT
//! One function for each verifier, under a name that tools find in an image, and never inlined: where measuring begins.

use core::ops::Range;

use cascow_core::merkle::log::{LogEntry, TreeHead, verify_consistency, verify_inclusion};
use cascow_core::merkle::multi::{Statements, verify_many_in};
use cascow_core::merkle::range::{RangeError, RangeReader, verify_range_in};
use cascow_core::merkle::{ListRoot, LogRoot, ProofError, Slot, StateRoot, Statement, verify};

/// As [`verify`].
#[inline(never)]
pub fn face_state<'a>(proof: &'a [u8], root: &StateRoot) -> Result<Statement<'a>, ProofError> {
    verify(proof, root)
}

/// As [`verify_many_in`].
#[inline(never)]
pub fn face_many<'a>(
    proof: &'a [u8],
    root: &StateRoot,
    slots: &mut [Slot],
) -> Result<Statements<'a>, ProofError> {
    verify_many_in(proof, root, slots)
}

/// As [`verify_range_in`].
#[inline(never)]
pub fn face_range<'a>(
    proof: &'a [u8],
    root: &ListRoot,
    range: Range<u64>,
    slots: &mut [Slot],
) -> Result<RangeReader<'a>, RangeError> {
    verify_range_in(proof, root, range, slots)
}

/// As [`RangeReader::accept`].
#[inline(never)]
pub fn face_chunk<'c>(
    reader: &mut RangeReader<'_>,
    chunk: &'c [u8],
) -> Result<&'c [u8], RangeError> {
    reader.accept(chunk)
}

/// As [`verify_inclusion`].
#[inline(never)]
pub fn face_inclusion<'a>(
    proof: &'a [u8],
    head: &TreeHead,
) -> Result<LogEntry<'a>, ProofError<LogRoot>> {
    verify_inclusion(proof, head)
}

/// As [`verify_consistency`].
#[inline(never)]
pub fn face_consistency(
    proof: &[u8],
    old: &TreeHead,
    new: &TreeHead,
) -> Result<(), ProofError<LogRoot>> {
    verify_consistency(proof, old, new)
}

/// What a verifier is given, and what it says, as far as the compiler knows: anything.
pub fn unknown<T>(value: T) -> T {
    core::hint::black_box(value)
}
