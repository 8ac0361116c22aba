// SPDX-License-Identifier: MIT
//! What other writers appended and have not entered in the index yet.
//!
//! A writer acknowledges objects when their records are in its segment, and enters them in the index later, many at once. Until then
//! others find them here, by the records' headers. These are believed only until the object is read: a record that is not yet
//! whole, or of a writer that was killed, leads to an object that is not there. What is known is forgotten when the index knows it:
//! there is never more of it than the writers at work keep out of the index.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cascow_core::hash::{ContentHash, HashKind};

use super::format::{self, Trust};
use super::index::{Entry, Index};
use super::number::{self, SegmentNumber};
use crate::Error;
use crate::disk::{Access, Disk};

#[derive(Debug, Default)]
pub(super) struct Tails(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Up to where each segment was looked through.
    ends: HashMap<SegmentNumber, u64>,
    /// Up to where each was in the index then: what is before that is looked for there alone.
    indexed: HashMap<SegmentNumber, u64>,
    entries: HashMap<ContentHash, Entry>,
}

impl Tails {
    /// Looks for an object in what was appended to segments other than `ours`. O(number of segments), and what is new in them.
    pub(super) fn find(
        &self,
        disk: &dyn Disk,
        segments: &Path,
        kind: HashKind,
        index: &Index,
        ours: Option<SegmentNumber>,
        hash: &ContentHash,
    ) -> Result<Option<Entry>, Error> {
        let known = self.look(disk, segments, kind, index, ours)?;
        Ok(known.entries.get(hash).copied())
    }

    /// All that is known from tails; some of it may be in the index meanwhile.
    pub(super) fn all(
        &self,
        disk: &dyn Disk,
        segments: &Path,
        kind: HashKind,
        index: &Index,
        ours: Option<SegmentNumber>,
    ) -> Result<Vec<(ContentHash, Entry)>, Error> {
        let known = self.look(disk, segments, kind, index, ours)?;
        Ok(known.entries.iter().map(|(hash, entry)| (*hash, *entry)).collect())
    }

    /// Reads what was appended since the last look.
    fn look(
        &self,
        disk: &dyn Disk,
        segments: &Path,
        kind: HashKind,
        index: &Index,
        ours: Option<SegmentNumber>,
    ) -> Result<MutexGuard<'_, Known>, Error> {
        // Whoever panicked with the lock left entries that are right.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Known { ends, indexed, entries } = &mut *known;
        let mut numbers = number::list(disk, segments)?;
        numbers.retain(|number| Some(*number) != ours);
        let states = index.segments(&numbers)?;
        let now = numbers
            .iter()
            .zip(&states)
            .map(|(number, state)| (*number, state.map_or(0, |state| state.indexed)));
        let now: HashMap<SegmentNumber, u64> = now.collect();
        if now != *indexed {
            let is_behind = |entry: &Entry| {
                now.get(&entry.segment).is_some_and(|end| u64::from(entry.offset) >= *end)
            };
            entries.retain(|_, entry| is_behind(entry));
            *indexed = now;
        }
        for (number, state) in numbers.into_iter().zip(states) {
            let path = number.path(segments);
            let entered = state.unwrap_or_default().indexed;
            let start = entered.max(ends.get(&number).copied().unwrap_or_default());
            let file = match disk.open(&path, Access::Read) {
                Ok(file) => file,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(Error::io("open", &path)(error)),
            };
            if file.len().map_err(Error::io("look at", &path))? <= start {
                continue;
            }
            let end = format::scan(disk, &path, kind, start, Trust::Headers, &mut |found| {
                if let Some(entry) = found.entry(number, u32::MAX, u32::MAX) {
                    entries.insert(found.hash, entry);
                }
                Ok(())
            })?;
            ends.insert(number, end);
        }
        Ok(known)
    }
}
