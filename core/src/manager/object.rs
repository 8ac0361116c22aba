// SPDX-License-Identifier: MIT
//! The delta of an evicted state as an object.
//!
//! | offset | bytes | field |
//! |-------:|------:|-------|
//! | 0 | 4 | magic `CCDL` |
//! | 4 | 1 | version, 1 |
//! | 5 | 3 | flags that a reader must understand: none yet, zero |
//! | 8 | … | the edits, strictly ascending by key, to the end |
//!
//! An edit is the lengths of key, value and note (u32 each, little-endian), then the three. A whiteout has the length
//! 2^32 - 1 for a value that it does not have, and no note. So a delta has one encoding, and anything else is refused. An
//! edit takes 12 bytes at least: what a reader allocates is bounded by what it was given.

use alloc::vec::Vec;
use core::fmt;

use crate::order;
use crate::snapshot::{Edit, ValueRef};

const HEADER: [u8; 8] = *b"CCDL\x01\0\0\0";
const WHITEOUT: u32 = u32::MAX;

/// A delta's bytes that were checked as a whole.
#[derive(Clone, Copy, Debug)]
pub struct DeltaObject<'a> {
    edits: &'a [u8],
}

/// The bytes are not a delta: of another kind or version, cut off, out of order, or with something left over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedDelta {
    /// Edits read before.
    pub after: u64,
}

impl fmt::Display for MalformedDelta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stored delta is malformed after edit {}", self.after)
    }
}

impl core::error::Error for MalformedDelta {}

/// Writes edits, in any order but one for each key, as a delta's object. O(k log k). `None` if a length does not fit.
pub fn encode_delta<'a>(edits: impl Iterator<Item = Edit<'a>>) -> Option<Vec<u8>> {
    let mut edits: Vec<Edit<'_>> = edits.collect();
    order::distinct_by(&mut edits, |a, b| a.key.cmp(b.key));
    let lens = |edit: &Edit<'_>| {
        let value = edit.value.map_or(0, |value| value.bytes.len() + value.note.len());
        12 + edit.key.len() + value
    };
    let mut bytes = Vec::with_capacity(HEADER.len() + edits.iter().map(lens).sum::<usize>());
    bytes.extend_from_slice(&HEADER);
    for Edit { key, value } in edits {
        let key_len = u32::try_from(key.len()).ok()?;
        let ValueRef { bytes: content, note } = value.unwrap_or(ValueRef::from(&[]));
        let value_len = match value {
            Some(_) => u32::try_from(content.len()).ok().filter(|len| *len != WHITEOUT)?,
            None => WHITEOUT,
        };
        let note_len = u32::try_from(note.len()).ok()?;
        for len in [key_len, value_len, note_len] {
            bytes.extend_from_slice(&len.to_le_bytes());
        }
        for part in [key, content, note] {
            bytes.extend_from_slice(part);
        }
    }
    Some(bytes)
}

impl<'a> DeltaObject<'a> {
    /// Checks all of the bytes. O(n); allocates nothing.
    ///
    /// # Errors
    /// [`MalformedDelta`] for everything that [`encode_delta`] does not write.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, MalformedDelta> {
        let edits = bytes.strip_prefix(&HEADER).ok_or(MalformedDelta { after: 0 })?;
        let (mut rest, mut last, mut after) = (edits, None, 0);
        while !rest.is_empty() {
            let (edit, behind) = split_edit(rest).ok_or(MalformedDelta { after })?;
            if last.is_some_and(|last| last >= edit.key) {
                return Err(MalformedDelta { after });
            }
            (rest, last, after) = (behind, Some(edit.key), after + 1);
        }
        Ok(Self { edits })
    }

    /// The edits, ascending by key.
    pub fn edits(self) -> impl Iterator<Item = Edit<'a>> {
        let mut rest = self.edits;
        core::iter::from_fn(move || {
            let (edit, behind) = split_edit(rest)?;
            rest = behind;
            Some(edit)
        })
    }
}

/// The first edit, and what stands behind it.
fn split_edit(bytes: &[u8]) -> Option<(Edit<'_>, &[u8])> {
    let (lens, rest) = bytes.split_first_chunk::<12>()?;
    let len = |at: usize| Some(u32::from_le_bytes(*lens.get(at..)?.first_chunk()?));
    let (key_len, value_len, note_len) = (len(0)?, len(4)?, len(8)?);
    let (key, rest) = rest.split_at_checked(usize::try_from(key_len).ok()?)?;
    if value_len == WHITEOUT {
        return (note_len == 0).then_some((Edit::whiteout(key), rest));
    }
    let (bytes, rest) = rest.split_at_checked(usize::try_from(value_len).ok()?)?;
    let (note, rest) = rest.split_at_checked(usize::try_from(note_len).ok()?)?;
    Some((Edit { key, value: Some(ValueRef { bytes, note }) }, rest))
}
