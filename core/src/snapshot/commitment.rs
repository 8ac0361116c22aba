// SPDX-License-Identifier: MIT
//! The commitment that a cursor carries: the trie of its state, brought up to date when it is asked for.

use alloc::vec::Vec;

use super::keys::KeyId;
use crate::hash::HashKind;
use crate::merkle::{IncrementalTrie, Leaf, state};

#[derive(Clone, Debug)]
pub(super) struct Commitment {
    trie: IncrementalTrie,
    /// Keys whose values may have changed since the trie was up to date, each once.
    stale: Vec<KeyId>,
    is_stale: Vec<bool>,
    /// The changes of one update, kept for its memory alone.
    changes: Vec<(u32, Option<Leaf>)>,
}

impl Commitment {
    /// Of the empty state.
    pub(super) const fn new(kind: HashKind) -> Self {
        Self {
            trie: IncrementalTrie::new(kind),
            stale: Vec::new(),
            is_stale: Vec::new(),
            changes: Vec::new(),
        }
    }

    pub(super) const fn kind(&self) -> HashKind {
        self.trie.kind()
    }

    /// As of the last update.
    pub(super) const fn trie(&self) -> &IncrementalTrie {
        &self.trie
    }

    /// Notes that a key's value may have changed. O(1).
    #[inline]
    pub(super) fn touch(&mut self, key: KeyId) {
        if key.index() >= self.is_stale.len() {
            self.is_stale.resize(key.index() + 1, false);
        }
        if !core::mem::replace(&mut self.is_stale[key.index()], true) {
            self.stale.push(key);
        }
    }

    /// Hashes what changed, looking up what each touched key and its value are now.
    pub(super) fn update<'a>(&mut self, entry: impl Fn(KeyId) -> Option<(&'a [u8], &'a [u8])>) {
        let kind = self.kind();
        let hashed = |(key, value): (&[u8], &[u8])| Leaf {
            key: state::key_digest(kind, key),
            value: state::value_digest(kind, value),
        };
        for key in &self.stale {
            self.is_stale[key.index()] = false;
        }
        self.changes.extend(self.stale.drain(..).map(|key| (key.0, entry(key).map(hashed))));
        self.trie.update(&self.changes);
        self.changes.clear();
        self.trie.rehash();
    }
}
