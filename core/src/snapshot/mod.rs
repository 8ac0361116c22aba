// SPDX-License-Identifier: MIT
//! States, the deltas between them, and the tree of snapshots.
//!
//! A [`State`] maps keys to values. A [`Delta`] turns one state into another: upserts and whiteouts. A snapshot in a
//! [`SnapshotTree`] is its parent and a delta, and never changes. [`merge`] joins two descendants of one state.
//!
//! Keys and values are bytes of any meaning; a value may carry a note that is kept beside it and does not count: two values
//! with equal bytes are the same value, and the state's root commits the bytes alone. Nothing here does I/O; how a state is
//! stored is decided in [`crate::record`].

mod delta;
pub mod merge;
mod state;
mod tree;

use alloc::boxed::Box;

pub use delta::{Change, ChangeKind, Delta};
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

impl Value {
    /// Whether bytes and note are both the same.
    pub fn is_identical(&self, other: &Self) -> bool {
        self.bytes == other.bytes && self.note == other.note
    }
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
