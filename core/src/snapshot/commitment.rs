// SPDX-License-Identifier: MIT
//! The commitment that a cursor carries: the trie of its state, brought up to date when it is asked for.

use alloc::vec::Vec;

use super::keys::KeyId;
use crate::hash::HashKind;
use crate::merkle::{IncrementalTrie, Leaf, state};

/// Keys of an update whose memory is kept for the next.
const SMALL_UPDATE: usize = 1024;

#[derive(Clone, Debug)]
pub(super) struct Commitment {
    trie: IncrementalTrie,
    /// Keys whose values may have changed since the trie was up to date, each once.
    stale: Vec<KeyId>,
    /// By key number.
    known: Vec<Known>,
    /// The changes of one update, kept for its memory alone.
    changes: Vec<(u32, Option<Leaf>)>,
}

/// What is known of a key number.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    is_stale: bool,
    /// Which key the trie has under the number: it need not be hashed again.
    version: u64,
}

/// An entry that may have changed, as the cursor's snapshot has it.
pub(super) struct Current<'a> {
    pub(super) key: &'a [u8],
    /// Which key the number stands for.
    pub(super) version: u64,
    pub(super) value: &'a [u8],
}

impl Commitment {
    /// Of the empty state.
    pub(super) const fn new(kind: HashKind) -> Self {
        Self {
            trie: IncrementalTrie::new(kind),
            stale: Vec::new(),
            known: Vec::new(),
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
        if key.index() >= self.known.len() {
            self.known.resize(key.index() + 1, Known::default());
        }
        if !core::mem::replace(&mut self.known[key.index()].is_stale, true) {
            self.stale.push(key);
        }
    }

    /// Hashes what changed, looking up what each touched key is now.
    pub(super) fn update<'a>(&mut self, current: impl Fn(KeyId) -> Option<Current<'a>>) {
        let kind = self.kind();
        for number in self.stale.drain(..) {
            let known = &mut self.known[number.index()];
            known.is_stale = false;
            let leaf = current(number).map(|Current { key, version, value }| {
                let same = self.trie.key(number.0).filter(|_| known.version == version);
                known.version = version;
                Leaf {
                    key: same.unwrap_or_else(|| state::key_digest(kind, key)),
                    value: state::value_digest(kind, value),
                }
            });
            self.changes.push((number.0, leaf));
        }
        self.trie.update(&self.changes);
        self.changes.clear();
        // What a whole state took at first is not needed again.
        self.changes.shrink_to(SMALL_UPDATE);
        self.stale.shrink_to(SMALL_UPDATE);
        self.trie.rehash();
    }
}
