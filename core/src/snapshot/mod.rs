// SPDX-License-Identifier: MIT
//! States, the deltas between them, and the tree of snapshots.
//!
//! A [`State`] maps keys to values. A [`Delta`] turns one state into another: upserts and whiteouts. A snapshot in a
//! [`SnapshotTree`] is its parent and a delta, and never changes; a [`Cursor`] follows a search through the tree. [`merge`]
//! joins two descendants of one state.
//!
//! Keys and values are bytes of any meaning; a value may carry a note that is kept beside it and does not count: two values
//! with equal bytes are the same value, and the state's root commits the bytes alone. Nothing here does I/O; how a state is
//! stored is decided in [`crate::record`].

mod arena;
mod changes;
mod checkpoint;
mod commitment;
mod cursor;
mod delta;
mod keys;
pub mod merge;
mod state;
mod tree;

use alloc::boxed::Box;

pub use cursor::Cursor;
pub use delta::{Change, ChangeKind, Delta, Edit, Edits};
pub use state::State;
pub use tree::{SnapshotId, SnapshotTree, TreeError};

/// What a key maps to.
///
/// Equality is that of the bytes: notes do not count.
#[derive(Clone, Debug, Default)]
pub struct Value {
    /// What the state holds; committed by its root.
    pub bytes: Box<[u8]>,
    /// What is kept beside it; not committed.
    pub note: Box<[u8]>,
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Value {}

impl<T: Into<Box<[u8]>>> From<T> for Value {
    fn from(bytes: T) -> Self {
        Self { bytes: bytes.into(), note: Box::default() }
    }
}

impl From<ValueRef<'_>> for Value {
    fn from(value: ValueRef<'_>) -> Self {
        Self { bytes: value.bytes.into(), note: value.note.into() }
    }
}

/// A [`Value`] that stands somewhere else: in a tree, a state, a buffer. Equality is that of the bytes.
#[derive(Clone, Copy, Debug)]
pub struct ValueRef<'a> {
    /// What the state holds; committed by its root.
    pub bytes: &'a [u8],
    /// What is kept beside it; not committed.
    pub note: &'a [u8],
}

impl ValueRef<'_> {
    /// Whether bytes and note are both the same.
    pub fn is_identical(&self, other: &ValueRef<'_>) -> bool {
        self.bytes == other.bytes && self.note == other.note
    }
}

impl PartialEq for ValueRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for ValueRef<'_> {}

impl<'a> From<&'a [u8]> for ValueRef<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self { bytes, note: &[] }
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for ValueRef<'a> {
    fn from(bytes: &'a [u8; N]) -> Self {
        Self { bytes, note: &[] }
    }
}

impl<'a> From<&'a Value> for ValueRef<'a> {
    fn from(value: &'a Value) -> Self {
        Self { bytes: &value.bytes, note: &value.note }
    }
}
