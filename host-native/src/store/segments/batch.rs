// SPDX-License-Identifier: MIT
//! Changes that are gathered in memory until they are published together.

use std::collections::HashMap;

use cascow_core::hash::ContentHash;

use super::format::push_record;
use super::index::Entry;

/// What is to become of an object.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    /// Its frame is in the batch.
    Put {
        /// Where, from the batch's beginning.
        at: usize,
        stored_len: u32,
        raw_len: u32,
        /// Whether what the index names is damaged and must be replaced.
        mends: bool,
    },
    /// It lies there already, and was put again.
    Refresh(Entry),
    /// It is to go, if it still lies there and was not put again.
    Delete(Entry),
}

/// Changes by object, and the records of those that are new.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) records: Vec<u8>,
    pub(super) changes: HashMap<ContentHash, Change>,
}

impl Batch {
    /// Adds an object; false if it is in the batch already.
    pub(super) fn put(
        &mut self,
        hash: ContentHash,
        frame: &[u8],
        lens: (u32, u32),
        mends: bool,
    ) -> bool {
        if matches!(self.changes.get(&hash), Some(Change::Put { .. })) {
            return false;
        }
        let (stored_len, raw_len) = lens;
        let at = push_record(&mut self.records, &hash, frame, stored_len);
        self.changes.insert(hash, Change::Put { at, stored_len, raw_len, mends });
        true
    }

    /// Notes that an object was put again; that it was to go is then void.
    pub(super) fn refresh(&mut self, hash: ContentHash, entry: Entry) {
        if !matches!(self.changes.get(&hash), Some(Change::Put { .. })) {
            self.changes.insert(hash, Change::Refresh(entry));
        }
    }

    /// The frame of an object that is new in this batch.
    pub(super) fn frame(&self, at: usize, stored_len: u32) -> &[u8] {
        let len = usize::try_from(stored_len).unwrap_or(usize::MAX);
        self.records.get(at..at.saturating_add(len)).unwrap_or_default()
    }
}
