// SPDX-License-Identifier: MIT
//! Finding what is damaged in a store of segments, and mending it by what the segments still hold.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use cascow_core::hash::ContentHash;
use cascow_core::store::{ObjectStore, StoreError};

use super::format::{self, Trust};
use super::index::Entry;
use super::number::{self, SegmentNumber};
use super::reader::DecodedBlock;
use super::store::SegmentStore;
use crate::Error;
use crate::disk;
use crate::store::{Damage, DamageKind, Repaired};

/// Entries that are looked through at once, in the order of the segments: neighbours are read together. Some 40 MB.
const WINDOW: usize = 1 << 19;

impl SegmentStore {
    /// Reads and verifies every object, and shows the damaged ones; says how many there are. O(size), nearly in the order in which
    /// the bytes lie.
    pub(crate) fn check(&self, found: &mut dyn FnMut(Damage)) -> Result<u64, Error> {
        if self.is_writable() {
            self.enter()?;
        }
        let (mut last, mut count) = (None, 0);
        let mut block = CheckedBlock::default();
        loop {
            let mut entries = self.index.entries_after(last, WINDOW)?;
            let Some((name, _)) = entries.last() else { break };
            last = Some(*name);
            count += entries.len() as u64;
            entries.sort_unstable_by_key(|(_, entry)| (entry.segment, entry.offset, entry.within));
            for (hash, entry) in &entries {
                if !block.holds(self, hash, entry)? {
                    self.check_one(hash, entry, found)?;
                }
            }
            self.index.trim();
        }
        Ok(count)
    }

    fn check_one(
        &self,
        hash: &ContentHash,
        entry: &Entry,
        found: &mut dyn FnMut(Damage),
    ) -> Result<(), Error> {
        match self.read_at(hash, entry) {
            Ok(_) => Ok(()),
            Err(StoreError::Frame { error, .. }) => {
                // The collector may have moved it meanwhile.
                match self.index.entry(hash)? {
                    None => {}
                    Some(now) if !now.is_where(entry) => self.check_one(hash, &now, found)?,
                    Some(_) => found(Damage { hash: *hash, what: DamageKind::Frame(error) }),
                }
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Makes damaged and missing objects whole from other copies in the segments. What has none is copied to `quarantine` as it
    /// is, and its entry taken away.
    pub(crate) fn repair(
        &self,
        damaged: &[ContentHash],
        quarantine: &Path,
    ) -> Result<Repaired, Error> {
        self.check_writable()?;
        self.enter()?;
        let wanted: HashSet<ContentHash> = damaged.iter().copied().collect();
        let mut copies: HashMap<ContentHash, Entry> = HashMap::new();
        for number in number::list(&*self.disk, &self.segments)? {
            let path = number.path(&self.segments);
            format::scan(&*self.disk, &path, self.kind, 0, Trust::Nothing, &mut |found| {
                if wanted.contains(&found.hash)
                    && let Some(entry) = found.entry(number, 0, 0)
                {
                    copies.insert(found.hash, entry);
                }
                Ok(())
            })?;
        }
        let mut repaired = Repaired::default();
        for hash in wanted {
            self.cache.remove(&hash);
            let copy = copies.get(&hash).map(|entry| self.read_at(&hash, entry));
            if let Some(Ok(bytes)) = copy {
                // A put mends what it finds damaged.
                self.put(&bytes)?;
                repaired.recovered.push(hash);
                continue;
            }
            let Some(entry) = self.index.entry(&hash)? else { continue };
            let bytes = self.reader.read(&entry)?;
            self.disk.create_dir_all(quarantine).map_err(Error::io("create", quarantine))?;
            disk::replace(&*self.disk, &quarantine.join(hash.to_string()), &bytes)?;
            self.index.remove(&[(hash, entry)])?;
            repaired.quarantined.push(hash);
        }
        self.sync()?;
        repaired.recovered.sort_unstable();
        repaired.quarantined.sort_unstable();
        Ok(repaired)
    }
}

/// The block that was read last, since its objects follow each other.
#[derive(Default)]
struct CheckedBlock {
    /// Where it is.
    place: Option<(SegmentNumber, u32)>,
    /// Its objects that have their names, by where they begin.
    whole: HashMap<u32, ContentHash>,
}

impl CheckedBlock {
    /// Whether an object is in a block, and whole.
    fn holds(
        &mut self,
        store: &SegmentStore,
        hash: &ContentHash,
        entry: &Entry,
    ) -> Result<bool, Error> {
        let Some(within) = entry.within else { return Ok(false) };
        if self.place != Some((entry.segment, entry.offset)) {
            self.place = Some((entry.segment, entry.offset));
            self.whole.clear();
            if let Some(block) = DecodedBlock::new(store.reader.read(entry)?) {
                let mut start = 0_u32;
                for (name, bytes) in block.objects() {
                    if store.kind.hash(bytes) == name {
                        self.whole.insert(start, name);
                    }
                    start = start.saturating_add(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
                }
            }
        }
        Ok(self.whole.get(&within) == Some(hash))
    }
}
