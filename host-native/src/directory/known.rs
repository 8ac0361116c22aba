// SPDX-License-Identifier: MIT
//! What is known of files from an earlier scan, so that one that did not change need not be read again.
//!
//! A file is known by device and inode, and is taken as unchanged if its length and its times of modification and of change are
//! what they were. Nobody can set the time of change, and everything that makes an entry what it is moves it: contents,
//! permission bits, owner, attributes, links. Paths do not matter: a directory that moves takes what is known along.
//!
//! As in git's index, what changed shortly before a scan is not remembered: it could change again within the same tick of the
//! filesystem's clock and look the same. Not seen either is what a program writes through a mapping to a page that was dirty
//! already, since the kernel moves no time for it.
//!
//! # Format
//!
//! | bytes | field |
//! |------:|-------|
//! | 4 | magic `CCSC` |
//! | 4 | version 1, three zeros |
//! | 32 | BLAKE3 of all that follows |
//! | 32 | BLAKE3 of the directory's path |
//! | 32 | the snapshot that the scan became |
//! | … | files: device, inode, length (u64), modified, changed (i64 seconds, u32 nanoseconds), lengths of entry and note (u32), entry, note |
//!
//! All integers are little-endian. It is a cache: what cannot be read is nothing known, never an error.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use cascow_core::hash::{ContentHash, HASH_LEN, HashKind};
use cascow_core::snapshot::Value;

use super::file::Stamp;

const HEADER: [u8; 8] = *b"CCSC\x01\0\0\0";

/// What a filesystem whose times have fractions of a second may take to tell two changes apart: several ticks of the slowest
/// kernel's clock, 10 ms.
const FINE_TICK_NANOS: u32 = 50_000_000;

/// The same for one that counts in seconds, or in two of them, as FAT does.
const COARSE_TICK_SECS: i64 = 3;

/// Files as they were read, to be handed to a later scan.
#[derive(Clone, Debug, Default)]
pub struct Known {
    files: HashMap<(u64, u64), File>,
}

#[derive(Clone, Debug)]
struct File {
    stamp: Stamp,
    /// Entry and note, encoded; the entry without its group of hard links.
    value: Value,
}

impl Known {
    /// Number of files.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// A file's encoded entry and note, if it is as it was.
    pub(super) fn get(&self, stamp: &Stamp) -> Option<&Value> {
        let file = self.files.get(&(stamp.device, stamp.inode))?;
        (file.stamp == *stamp).then_some(&file.value)
    }

    /// Remembers a file that was read by a scan that began then, unless it changed shortly before.
    pub(super) fn insert(&mut self, stamp: Stamp, value: Value, began: Instant) {
        if began.is_long_after(stamp.modified) && began.is_long_after(stamp.changed) {
            self.files.insert((stamp.device, stamp.inode), File { stamp, value });
        }
    }

    pub(super) fn reserve(&mut self, files: usize) {
        self.files.reserve(files);
    }

    /// The bytes to be kept, for the directory at this absolute path and the snapshot that its scan became.
    pub fn encode(&self, dir: &Path, snapshot: &ContentHash) -> Vec<u8> {
        let mut body = Vec::with_capacity(2 * HASH_LEN + self.files.len() * 160);
        body.extend_from_slice(path_hash(dir).as_bytes());
        body.extend_from_slice(snapshot.as_bytes());
        for File { stamp, value } in self.files.values() {
            // A value's parts are bounded by a listing's limits, far below 32 bits.
            let (Ok(entry_len), Ok(note_len)) =
                (u32::try_from(value.bytes.len()), u32::try_from(value.note.len()))
            else {
                continue;
            };
            for number in [stamp.device, stamp.inode, stamp.len] {
                body.extend_from_slice(&number.to_le_bytes());
            }
            for (secs, nanos) in [stamp.modified, stamp.changed] {
                body.extend_from_slice(&secs.to_le_bytes());
                body.extend_from_slice(&nanos.to_le_bytes());
            }
            body.extend_from_slice(&entry_len.to_le_bytes());
            body.extend_from_slice(&note_len.to_le_bytes());
            body.extend_from_slice(&value.bytes);
            body.extend_from_slice(&value.note);
        }
        let mut bytes = Vec::with_capacity(HEADER.len() + HASH_LEN + body.len());
        bytes.extend_from_slice(&HEADER);
        bytes.extend_from_slice(HashKind::Blake3.hash(&body).as_bytes());
        bytes.extend_from_slice(&body);
        bytes
    }

    /// What bytes say of the directory at this absolute path, and the snapshot that it became; `None` if they are damaged, of
    /// another directory or of another version. What is known is to be used only while that snapshot is there: it is what
    /// keeps the files' contents in the store.
    pub fn decode(bytes: &[u8], dir: &Path) -> Option<(Self, ContentHash)> {
        let mut bytes = bytes.strip_prefix(&HEADER)?;
        let sum: [u8; HASH_LEN] = take(&mut bytes)?;
        if HashKind::Blake3.hash(bytes) != ContentHash::from_bytes(sum)
            || ContentHash::from_bytes(take(&mut bytes)?) != path_hash(dir)
        {
            return None;
        }
        let snapshot = ContentHash::from_bytes(take(&mut bytes)?);
        let mut known = Self::default();
        known.reserve(bytes.len() / 160);
        while !bytes.is_empty() {
            let stamp = Stamp {
                device: u64::from_le_bytes(take(&mut bytes)?),
                inode: u64::from_le_bytes(take(&mut bytes)?),
                len: u64::from_le_bytes(take(&mut bytes)?),
                modified: time(&mut bytes)?,
                changed: time(&mut bytes)?,
            };
            let mut lens = [0; 2];
            for len in &mut lens {
                *len = usize::try_from(u32::from_le_bytes(take(&mut bytes)?)).ok()?;
            }
            let [entry, note] = lens.map(|len| {
                let (part, rest) = bytes.split_at_checked(len)?;
                bytes = rest;
                Some(part.into())
            });
            let value = Value { bytes: entry?, note: note? };
            known.files.insert((stamp.device, stamp.inode), File { stamp, value });
        }
        Some((known, snapshot))
    }
}

/// The name under which what is known of a directory is kept.
pub(super) fn path_hash(dir: &Path) -> ContentHash {
    HashKind::Blake3.hash(dir.as_os_str().as_bytes())
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (field, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*field)
}

fn time(bytes: &mut &[u8]) -> Option<(i64, u32)> {
    Some((i64::from_le_bytes(take(bytes)?), u32::from_le_bytes(take(bytes)?)))
}

/// A moment of this machine's clock, since 1970.
#[derive(Clone, Copy, Debug)]
pub(super) struct Instant {
    secs: i64,
    nanos: u32,
}

impl Instant {
    /// Now. A local filesystem's clock is the same, but rounded down to its last tick; where another machine stamps the files,
    /// the two may be apart, and a change within the tick of that machine's clock may be missed.
    pub(super) fn now() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { secs: i64::try_from(now.as_secs()).unwrap_or(0), nanos: now.subsec_nanos() }
    }

    /// Whether a time of a file is so long past that a change from now on cannot have the same.
    fn is_long_after(self, (secs, nanos): (i64, u32)) -> bool {
        let (tick_secs, tick_nanos) =
            if nanos == 0 { (COARSE_TICK_SECS, 0) } else { (0, FINE_TICK_NANOS) };
        let in_nanos = |secs: i64, nanos: u32| i128::from(secs) * 1_000_000_000 + i128::from(nanos);
        in_nanos(secs, nanos) + in_nanos(tick_secs, tick_nanos) < in_nanos(self.secs, self.nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(inode: u64, changed: (i64, u32)) -> Stamp {
        Stamp { device: 1, inode, len: 3, modified: (-5, 7), changed }
    }

    fn value(bytes: &[u8]) -> Value {
        Value { bytes: bytes.into(), note: b"note"[..].into() }
    }

    const BEGAN: Instant = Instant { secs: 1000, nanos: 500 };

    fn some() -> Known {
        let mut known = Known::default();
        known.insert(stamp(1, (900, 1)), value(b"one"), BEGAN);
        known.insert(stamp(2, (900, 2)), value(b""), BEGAN);
        known
    }

    #[test]
    fn what_is_known_comes_back_for_the_same_directory_alone() {
        let snapshot = ContentHash::from_bytes([7; 32]);
        let dir = Path::new("/some/tree");
        let bytes = some().encode(dir, &snapshot);
        let (known, found) = Known::decode(&bytes, dir).unwrap();
        assert_eq!((known.len(), found), (2, snapshot));
        let one = known.get(&stamp(1, (900, 1))).unwrap();
        assert_eq!((&*one.bytes, &*one.note), (&b"one"[..], &b"note"[..]));
        assert_eq!(known.get(&stamp(1, (900, 2))).map(|_| ()), None, "another time");
        assert_eq!(known.get(&stamp(3, (900, 1))).map(|_| ()), None, "another inode");
        assert!(Known::decode(&bytes, Path::new("/some/other")).is_none());
    }

    #[test]
    fn every_cut_flipped_bit_and_other_version_is_nothing_known() {
        let dir = Path::new("/some/tree");
        let bytes = some().encode(dir, &ContentHash::from_bytes([7; 32]));
        for len in 0..bytes.len() {
            assert!(Known::decode(&bytes[..len], dir).is_none(), "cut to {len}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut altered = bytes.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert!(Known::decode(&altered, dir).is_none(), "bit {bit}");
        }
        // A sum that is right over records that are not.
        let mut longer = bytes[HEADER.len() + HASH_LEN..].to_vec();
        longer.extend_from_slice(&[0xff; 60]);
        let sum = HashKind::Blake3.hash(&longer);
        let all = [&HEADER[..], sum.as_bytes(), &longer].concat();
        assert!(Known::decode(&all, dir).is_none());
    }

    #[test]
    fn what_changed_shortly_before_the_scan_or_after_it_is_not_remembered() {
        for (changed, is_kept) in [
            ((999, 900_000_000), true),
            ((999, 999_999_999), false),
            ((1000, 499), false),
            ((1001, 1), false),
            ((i64::MAX, 1), false),
            ((i64::MIN, 1), true),
            // Whole seconds: the filesystem may not count finer.
            ((996, 0), true),
            ((998, 0), false),
        ] {
            let mut known = Known::default();
            known.insert(stamp(1, changed), value(b"one"), BEGAN);
            assert_eq!(!known.is_empty(), is_kept, "{changed:?}");
        }
        // Filesystems without a time of change give something else in its place: the time of modification counts as well.
        let modified_later = Stamp { modified: (2000, 0), ..stamp(1, (900, 1)) };
        let mut known = Known::default();
        known.insert(modified_later, value(b"one"), BEGAN);
        assert!(known.is_empty());
    }
}
