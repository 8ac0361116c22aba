// SPDX-License-Identifier: MIT
//! Deltas: what changed between two states.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, btree_map};

use super::{Value, ValueRef};

/// One upsert or whiteout, borrowed from wherever it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edit<'a> {
    /// The key.
    pub key: &'a [u8],
    /// What it maps to from here on; `None` is a whiteout.
    pub value: Option<ValueRef<'a>>,
}

impl<'a> Edit<'a> {
    /// `key` maps to `value`.
    pub fn write(key: &'a [u8], value: impl Into<ValueRef<'a>>) -> Self {
        Self { key, value: Some(value.into()) }
    }

    /// `key` maps to nothing.
    pub const fn whiteout(key: &'a [u8]) -> Self {
        Self { key, value: None }
    }
}

/// Upserts and whiteouts, by key. Whiteouts exist here only: a state does not remember what it does not hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    changes: BTreeMap<Box<[u8]>, Option<Value>>,
}

impl Delta {
    /// No change.
    pub fn new() -> Self {
        Self::default()
    }

    /// Records that `key` maps to `value`, whatever was recorded for it before. O(log n).
    pub fn write(&mut self, key: impl Into<Box<[u8]>>, value: impl Into<Value>) -> &mut Self {
        self.changes.insert(key.into(), Some(value.into()));
        self
    }

    /// Records that `key` maps to nothing, whatever was recorded for it before. O(log n).
    pub fn whiteout(&mut self, key: impl Into<Box<[u8]>>) -> &mut Self {
        self.changes.insert(key.into(), None);
        self
    }

    /// What the delta says of `key`: nothing, a whiteout (`Some(None)`), or a value. O(log n).
    pub fn get(&self, key: &[u8]) -> Option<Option<&Value>> {
        self.changes.get(key).map(Option::as_ref)
    }

    /// The changes, ascending by key.
    pub fn iter(&self) -> Edits<'_> {
        Edits(self.changes.iter())
    }

    /// Number of keys changed.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

impl IntoIterator for Delta {
    type Item = (Box<[u8]>, Option<Value>);
    type IntoIter = btree_map::IntoIter<Box<[u8]>, Option<Value>>;

    fn into_iter(self) -> Self::IntoIter {
        self.changes.into_iter()
    }
}

/// The changes of a delta, ascending by key.
#[derive(Clone, Debug)]
pub struct Edits<'a>(btree_map::Iter<'a, Box<[u8]>, Option<Value>>);

impl<'a> Iterator for Edits<'a> {
    type Item = Edit<'a>;

    fn next(&mut self) -> Option<Edit<'a>> {
        let (key, value) = self.0.next()?;
        Some(Edit { key, value: value.as_ref().map(ValueRef::from) })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<'a> IntoIterator for &'a Delta {
    type Item = Edit<'a>;
    type IntoIter = Edits<'a>;

    fn into_iter(self) -> Edits<'a> {
        self.iter()
    }
}

/// One difference between two states. Notes are no difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The key.
    pub key: Box<[u8]>,
    /// How it differs.
    pub kind: ChangeKind,
}

/// How a key differs between two states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// Only the second state holds it.
    Added,
    /// Both hold it, with different values.
    Modified,
    /// Only the first state holds it.
    Deleted,
}

impl ChangeKind {
    /// The kind's name in messages and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Modified => "modified",
            Self::Deleted => "deleted",
        }
    }

    /// How what a key maps to went from `before` to `after`; `None` if it did not.
    pub fn between(before: Option<ValueRef<'_>>, after: Option<ValueRef<'_>>) -> Option<Self> {
        match (before, after) {
            (None, Some(_)) => Some(Self::Added),
            (Some(_), None) => Some(Self::Deleted),
            (Some(before), Some(after)) if before != after => Some(Self::Modified),
            _ => None,
        }
    }
}
