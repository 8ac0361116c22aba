// SPDX-License-Identifier: MIT
//! The collector's part in segments: marks, the removal of entries, and the rewriting of segments of which little lives.
//!
//! A mark is a bit an object, by the object's number within its segment: ten million objects take little more than a megabyte. Entries
//! are removed a few thousand a transaction, so that writers wait for none of them long; each is looked at again in the
//! transaction, and stays if anybody put it again.
//!
//! A segment is given back in steps, and whoever is killed in between leaves it to the next collection. What lives in it is
//! appended elsewhere and the index names the new places. It is *retired*: nothing in it is named. Who found an object there
//! again before its entry was removed may still name it, as long as a lease of that time is held. Afterwards it is *condemned*,
//! if nothing in it was named meanwhile, and then its file is removed.

use std::collections::{HashMap, HashSet};

use cascow_core::hash::ContentHash;
use cascow_core::store::StoreError;

use super::format::{self, Trust};
use super::index::{Entry, Sparing};
use super::number::{self, SegmentNumber};
use super::recovery;
use super::store::SegmentStore;
use super::writer;
use crate::Error;
use crate::store::{Marks, Sweep, Swept};

/// Entries that are looked through at once, and removed in one transaction at most.
const WINDOW: usize = 1 << 12;

/// Bytes of objects that are moved at once.
const MOVED_LEN: usize = 8 << 20;

/// Objects that one segment can have, generously: a greater number in an entry is damage, and what has it is kept.
const MOST_OBJECTS: u32 = 1 << 24;

/// What is to be kept of a store of segments.
#[derive(Debug)]
pub(crate) struct SegmentMarks<'s> {
    store: &'s SegmentStore,
    bits: HashMap<SegmentNumber, Vec<u64>>,
    /// Objects that their writer has not entered in the index: they are young, and no sweep sees them.
    unindexed: HashSet<ContentHash>,
    /// Marking looks up all that is kept.
    _sparing: Sparing<'s>,
}

impl SegmentMarks<'_> {
    fn has(&self, entry: &Entry) -> bool {
        let (word, bit) = (entry.ordinal / 64, entry.ordinal % 64);
        let word = usize::try_from(word).ok().and_then(|at| self.bits.get(&entry.segment)?.get(at));
        entry.ordinal >= MOST_OBJECTS || word.is_some_and(|word| word & (1 << bit) != 0)
    }

    fn set(&mut self, entry: &Entry) {
        let (word, bit) = (entry.ordinal / 64, entry.ordinal % 64);
        let Ok(word) = usize::try_from(word) else { return };
        if entry.ordinal >= MOST_OBJECTS {
            return;
        }
        let words = self.bits.entry(entry.segment).or_default();
        if words.len() <= word {
            words.resize(word + 1, 0);
        }
        words[word] |= 1 << bit;
    }
}

impl Marks for SegmentMarks<'_> {
    fn mark(&mut self, hash: &ContentHash) -> Result<bool, StoreError> {
        if let Some(entry) = self.store.index.entry(hash)? {
            let is_new = !self.has(&entry);
            self.set(&entry);
            return Ok(is_new);
        }
        match self.store.in_tails(hash)? {
            Some(_) => Ok(self.unindexed.insert(*hash)),
            // Entered in the index between the two looks.
            None => match self.store.index.entry(hash)? {
                Some(entry) => {
                    let is_new = !self.has(&entry);
                    self.set(&entry);
                    Ok(is_new)
                }
                None => Err(StoreError::Missing { hash: *hash }),
            },
        }
    }

    fn is_marked(&self, hash: &ContentHash) -> Result<bool, StoreError> {
        let entry = self.store.index.entry(hash)?;
        Ok(entry.is_some_and(|entry| self.has(&entry)) || self.unindexed.contains(hash))
    }
}

impl SegmentStore {
    /// Marks for a collection, none set. All that this process has put is in the index then.
    pub(crate) fn marks(&self) -> Result<SegmentMarks<'_>, Error> {
        self.enter()?;
        let (bits, unindexed) = (HashMap::new(), HashSet::new());
        Ok(SegmentMarks { store: self, bits, unindexed, _sparing: self.index.spare() })
    }

    /// When an object was put last, in seconds since 1970; `None` if it is not there. What is not in the index is being put.
    pub(crate) fn put_last(&self, hash: &ContentHash) -> Result<Option<u64>, Error> {
        if self.is_gathered(hash) {
            return Ok(Some(u64::MAX));
        }
        if let Some(entry) = self.index.entry(hash)? {
            return Ok(Some(u64::from(entry.put_at)));
        }
        if self.in_tails(hash)?.is_some() {
            return Ok(Some(u64::MAX));
        }
        // Entered in the index between the two looks.
        Ok(self.index.entry(hash)?.map(|entry| u64::from(entry.put_at)))
    }

    /// Removes what is not marked and old enough, and empties segments of which little lives.
    pub(crate) fn sweep(&self, marks: &SegmentMarks<'_>, sweep: &Sweep) -> Result<Swept, Error> {
        let mut swept = Swept::default();
        let mut last = None;
        loop {
            let entries = self.index.entries_after(last, WINDOW)?;
            let Some((name, _)) = entries.last() else { break };
            last = Some(*name);
            let is_garbage =
                |entry: &Entry| u64::from(entry.put_at) < sweep.before && !marks.has(entry);
            let (garbage, live): (Vec<_>, Vec<_>) =
                entries.into_iter().partition(|(_, entry)| is_garbage(entry));
            swept.live += live.len() as u64;
            let gone = match sweep.dry_run || garbage.is_empty() {
                true => vec![true; garbage.len()],
                false => self.index.remove(&garbage)?,
            };
            for ((hash, entry), is_gone) in garbage.iter().zip(gone) {
                if is_gone {
                    swept.removed += 1;
                    swept.reclaimed_bytes += u64::from(entry.share);
                    if !sweep.dry_run {
                        self.cache.remove(hash);
                    }
                } else {
                    swept.live += 1;
                }
            }
            self.index.trim();
        }
        if !sweep.dry_run {
            self.rewrite_segments()?;
        }
        Ok(swept)
    }

    /// Moves what lives out of segments of which less than half does, and retires them.
    fn rewrite_segments(&self) -> Result<(), Error> {
        for number in number::list(&*self.disk, &self.segments)? {
            let Some(state) = self.index.segment(number)? else { continue };
            let is_worth_it = state.live_bytes < state.indexed / 2 && state.retired_at == 0;
            if !is_worth_it || state.is_dead {
                continue;
            }
            // Held until it is retired: nobody appends to it meanwhile.
            let Some(_lock) = writer::take(&*self.disk, &self.segments, number)? else { continue };
            // Its writer may have died, and left something.
            recovery::enter(&*self.disk, &self.segments, self.kind, &self.index, number)?;
            if state.live > 0 {
                self.move_out(number)?;
            }
            self.index.retire(number, self.now())?;
        }
        Ok(())
    }

    /// Appends what lives in a segment elsewhere. What cannot be read stays where it is, and the segment with it.
    fn move_out(&self, number: SegmentNumber) -> Result<(), Error> {
        let path = number.path(&self.segments);
        let mut moved: Vec<(ContentHash, Entry, Vec<u8>)> = Vec::new();
        let mut len = 0;
        format::scan(&*self.disk, &path, self.kind, 0, Trust::Nothing, &mut |found| {
            let Some(there) = found.entry(number, 0, 0) else { return Ok(()) };
            let Some(entry) = self.index.entry(&found.hash)?.filter(|entry| entry.is_where(&there))
            else {
                return Ok(());
            };
            let Ok(bytes) = self.read_at(&found.hash, &entry) else { return Ok(()) };
            len += bytes.len();
            moved.push((found.hash, entry, bytes));
            if len >= MOVED_LEN {
                self.relocate(&moved)?;
                moved.clear();
                len = 0;
            }
            Ok(())
        })?;
        self.relocate(&moved)
    }

    /// Removes segments that were retired before the oldest lease began, of those that are held now.
    pub(crate) fn give_back(&self, leases_since: Option<u64>) -> Result<(), Error> {
        for number in number::list(&*self.disk, &self.segments)? {
            let Some(state) = self.index.segment(number)? else { continue };
            let is_leased = leases_since.is_some_and(|start| u64::from(state.retired_at) >= start);
            if state.retired_at == 0 || is_leased {
                continue;
            }
            let Some(_lock) = writer::take(&*self.disk, &self.segments, number)? else { continue };
            if state.is_dead || self.index.condemn(number)? {
                recovery::remove(&*self.disk, &self.segments, &self.index, number)?;
                self.reader.forget(number);
            }
        }
        Ok(())
    }
}
