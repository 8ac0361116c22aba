// SPDX-License-Identifier: MIT
//! Pages: records of the browser's database, each with the frames of many objects, and its directory, a record of its own.
//!
//! A directory is a list of entries of 40 bytes, little-endian: the object's name, and where its frame begins and how long it is.
//! Opening a database reads the directories alone. Neither is believed: an object is what its bytes hash to.

use cascow_core::hash::{ContentHash, HASH_LEN};

const ENTRY_LEN: usize = HASH_LEN + 8;

/// The number of a page: its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PageNumber(pub(super) u32);

impl PageNumber {
    /// No page's.
    pub(super) const ZERO: Self = Self(0);

    pub(super) const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// One object of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(super) hash: ContentHash,
    pub(super) offset: u32,
    pub(super) len: u32,
}

/// A page that is to be written.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub(super) number: PageNumber,
    pub(super) entries: Vec<Entry>,
    pub(super) bytes: Vec<u8>,
}

impl Page {
    pub(super) const fn new(number: PageNumber) -> Self {
        Self { number, entries: Vec::new(), bytes: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn push(&mut self, hash: ContentHash, frame: &[u8]) {
        // A frame has less than 2^31 bytes, and only the first of a page may be longer than a page should be.
        let [offset, len] =
            [self.bytes.len(), frame.len()].map(|len| u32::try_from(len).unwrap_or(u32::MAX));
        self.entries.push(Entry { hash, offset, len });
        self.bytes.extend_from_slice(frame);
    }

    pub(super) fn directory(&self) -> Vec<u8> {
        let mut directory = Vec::with_capacity(ENTRY_LEN * self.entries.len());
        for entry in &self.entries {
            directory.extend_from_slice(entry.hash.as_bytes());
            directory.extend_from_slice(&entry.offset.to_le_bytes());
            directory.extend_from_slice(&entry.len.to_le_bytes());
        }
        directory
    }
}

/// Reads a directory. What is left over at its end, in a damaged one, is no entry.
pub(super) fn entries(directory: &[u8]) -> Vec<Entry> {
    let (entries, _) = directory.as_chunks::<ENTRY_LEN>();
    entries
        .iter()
        .map(|entry| {
            let word = |at: usize| {
                let mut word = [0; 4];
                word.copy_from_slice(&entry[at..at + 4]);
                u32::from_le_bytes(word)
            };
            let mut hash = [0; HASH_LEN];
            hash.copy_from_slice(&entry[..HASH_LEN]);
            Entry {
                hash: ContentHash::from_bytes(hash),
                offset: word(HASH_LEN),
                len: word(HASH_LEN + 4),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use cascow_core::hash::HashKind;

    use super::*;

    #[test]
    fn a_directory_says_where_each_frame_is() {
        let mut page = Page::new(PageNumber(7));
        for frame in [&b"one"[..], b"", b"three"] {
            page.push(HashKind::Sha256.hash(frame), frame);
        }
        assert_eq!(entries(&page.directory()), page.entries);
        for entry in &page.entries {
            let frame = &page.bytes[entry.offset as usize..][..entry.len as usize];
            assert_eq!(HashKind::Sha256.hash(frame), entry.hash);
        }
    }

    #[test]
    fn a_directory_that_is_cut_off_has_the_entries_before() {
        let mut page = Page::new(PageNumber(1));
        page.push(HashKind::Sha256.hash(b"a"), b"a");
        page.push(HashKind::Sha256.hash(b"b"), b"b");
        let directory = page.directory();
        for len in 0..directory.len() {
            assert_eq!(entries(&directory[..len]), page.entries[..len / ENTRY_LEN]);
        }
    }
}
