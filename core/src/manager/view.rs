// SPDX-License-Identifier: MIT
//! A state to be read.

use crate::snapshot::{Cursor, SnapshotTree, TreeError, ValueRef};

/// One state, readable until the manager is used again.
///
/// An inline state reads as the one value under the empty key, which is also how its root is computed.
#[derive(Clone, Copy, Debug)]
pub struct View<'m>(Source<'m>);

#[derive(Clone, Copy, Debug)]
enum Source<'m> {
    Bytes(&'m [u8]),
    Keys { tree: &'m SnapshotTree, cursor: &'m Cursor },
}

impl<'m> View<'m> {
    pub(super) const fn of_bytes(bytes: &'m [u8]) -> Self {
        Self(Source::Bytes(bytes))
    }

    /// The cursor stands on a snapshot of the tree that is there.
    pub(super) const fn of_keys(tree: &'m SnapshotTree, cursor: &'m Cursor) -> Self {
        Self(Source::Keys { tree, cursor })
    }

    /// The bytes of an inline state; `None` of another.
    pub const fn bytes(&self) -> Option<&'m [u8]> {
        match self.0 {
            Source::Bytes(bytes) => Some(bytes),
            Source::Keys { .. } => None,
        }
    }

    /// What `key` maps to. O(1).
    #[inline]
    pub fn get(&self, key: &[u8]) -> Option<ValueRef<'m>> {
        match self.0 {
            Source::Bytes(bytes) => key.is_empty().then_some(bytes.into()),
            Source::Keys { tree, cursor } => standing(cursor.get(tree, key)),
        }
    }

    /// The entries, ascending by key. O(n log n) for n keys before the first step.
    pub fn iter(&self) -> impl Iterator<Item = (&'m [u8], ValueRef<'m>)> + use<'m> {
        let (bytes, keys) = match self.0 {
            Source::Bytes(bytes) => (Some((&[][..], bytes.into())), None),
            Source::Keys { tree, cursor } => (None, Some(standing(cursor.iter(tree)))),
        };
        bytes.into_iter().chain(keys.into_iter().flatten())
    }
}

/// What a view's cursor reads.
#[inline]
fn standing<T>(read: Result<T, TreeError>) -> T {
    // UNWRAP: see `View::of_keys`; while the view borrows tree and cursor, that cannot change.
    read.expect("a view's snapshot is there")
}
