// SPDX-License-Identifier: MIT
//! A whole state in memory: a sorted map.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::{Change, ChangeKind, Delta, Value, ValueRef};
use crate::hash::HashKind;
use crate::merkle::{StateRoot, StateTrie};

/// All entries of a state. Equality is that of keys and values; notes do not count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    entries: BTreeMap<Box<[u8]>, Value>,
}

impl State {
    /// The state without entries.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What `key` maps to. O(log n).
    pub fn get(&self, key: &[u8]) -> Option<&Value> {
        self.entries.get(key)
    }

    /// Maps `key` to `value`. O(log n).
    pub fn write(&mut self, key: impl Into<Box<[u8]>>, value: impl Into<Value>) {
        self.entries.insert(key.into(), value.into());
    }

    /// Maps `key` to nothing. O(log n).
    pub fn remove(&mut self, key: &[u8]) {
        self.entries.remove(key);
    }

    /// The entry with the greatest key. O(log n).
    pub fn last(&self) -> Option<(&[u8], &Value)> {
        self.entries.last_key_value().map(|(key, value)| (&**key, value))
    }

    /// The entries, ascending by key.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&[u8], &Value)> {
        self.entries.iter().map(|(key, value)| (&**key, value))
    }

    /// Applies a delta. O(k log n) for k changes.
    pub fn apply(&mut self, delta: Delta) {
        for (key, change) in delta {
            match change {
                Some(value) => self.write(key, value),
                None => self.remove(&key),
            }
        }
    }

    /// The delta that turns this state into `other`, notes included. O(n).
    pub fn delta_to(&self, other: &Self) -> Delta {
        let mut delta = Delta::new();
        for (key, before, after) in self.zip(other) {
            match (before, after) {
                (Some(before), Some(after)) if before.is_identical(&after) => {}
                (_, Some(after)) => _ = delta.write(key, after),
                (_, None) => _ = delta.whiteout(key),
            }
        }
        delta
    }

    /// How `other` differs from this state, ascending by key. O(n).
    pub fn diff(&self, other: &Self) -> Vec<Change> {
        self.zip(other)
            .filter_map(|(key, before, after)| {
                ChangeKind::between(before, after).map(|kind| Change { key: key.into(), kind })
            })
            .collect()
    }

    /// The entries hashed, for roots and proofs. O(n) hashes.
    pub fn trie(&self, kind: HashKind) -> StateTrie {
        StateTrie::new(kind, self.iter().map(|(key, value)| (key, &*value.bytes)))
    }

    /// The commitment to this state. O(n) hashes.
    pub fn root(&self, kind: HashKind) -> StateRoot {
        self.trie(kind).root()
    }

    /// Every key of either state, ascending, with what each state holds under it.
    fn zip<'a>(
        &'a self,
        other: &'a Self,
    ) -> impl Iterator<Item = (&'a [u8], Option<ValueRef<'a>>, Option<ValueRef<'a>>)> {
        let mut ours = self.iter().peekable();
        let mut theirs = other.iter().peekable();
        core::iter::from_fn(move || {
            let key = match (ours.peek(), theirs.peek()) {
                (Some((ours, _)), Some((theirs, _))) => (*ours).min(*theirs),
                (Some((key, _)), None) | (None, Some((key, _))) => *key,
                (None, None) => return None,
            };
            let ours = ours.next_if(|entry| entry.0 == key).map(|entry| entry.1.into());
            let theirs = theirs.next_if(|entry| entry.0 == key).map(|entry| entry.1.into());
            Some((key, ours, theirs))
        })
    }
}

impl<K: Into<Box<[u8]>>, V: Into<Value>> FromIterator<(K, V)> for State {
    fn from_iter<T: IntoIterator<Item = (K, V)>>(entries: T) -> Self {
        Self {
            entries: entries.into_iter().map(|(key, value)| (key.into(), value.into())).collect(),
        }
    }
}
