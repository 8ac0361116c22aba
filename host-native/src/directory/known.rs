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
//! | 4 | version 2, three zeros |
//! | 32 | BLAKE3 of all that follows |
//! | 32 | BLAKE3 of the directory's path |
//! | 32 | the snapshot that the scan became |
//! | 8 | number of files |
//! | 64 each | files, ascending by device and inode: device, inode, length (u64), modified, changed (i64 seconds, u32 nanoseconds), where in the values its entry begins (u64), lengths of entry and note (u32) |
//! | … | values: of each file its entry and its note |
//!
//! All integers are little-endian. It is a cache: what cannot be read is nothing known, never an error. It is used as it lies
//! there: a scan asks for each file once, and to make anything of ten thousand of them beforehand would take longer.

use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use cascow_core::hash::{ContentHash, HASH_LEN, HashKind};
use cascow_core::snapshot::{Value, ValueRef};

use super::file::Stamp;

const HEADER: [u8; 8] = *b"CCSC\x02\0\0\0";

/// Bytes before the files: header, sum, path, snapshot, number of files.
const PREFIX_LEN: usize = HEADER.len() + 3 * HASH_LEN + 8;

/// Bytes of a file without its value.
const RECORD_LEN: usize = 64;

/// What a filesystem whose times have fractions of a second may take to tell two changes apart: several ticks of the slowest
/// kernel's clock, 10 ms.
const FINE_TICK_NANOS: u32 = 50_000_000;

/// The same for one that counts in seconds, or in two of them, as FAT does.
const COARSE_TICK_SECS: i64 = 3;

/// Files as they were read, to be handed to a later scan.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Number of files.
    files: usize,
    /// Records, then values, as the format has them.
    body: Vec<u8>,
}

/// What is known of a file that is as it was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found<'a> {
    /// Its place among the files.
    pub(super) place: usize,
    /// Entry and note, encoded; the entry without its group of hard links.
    pub(super) value: ValueRef<'a>,
}

impl Known {
    /// Number of files.
    pub fn len(&self) -> usize {
        self.files
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.files == 0
    }

    /// A file's encoded entry and note, if it is as it was. O(log n).
    pub(super) fn find(&self, stamp: &Stamp) -> Option<Found<'_>> {
        let records = self.records();
        let place = records.binary_search_by_key(&Some(key(stamp)), Record::key).ok()?;
        let record = Record::parse(&records[place])?;
        if record.stamp != *stamp {
            return None;
        }
        Some(Found { place, value: self.value(&record)? })
    }

    /// What is known after a scan that began then: of the files here those at these places, and files that were read. What
    /// changed shortly before is left out. O(n log n) for n files that stay or were read.
    pub(super) fn renewed(
        &self,
        mut kept: Vec<usize>,
        read: Vec<(Stamp, Value)>,
        began: Instant,
    ) -> Self {
        // As they lie here, so that they need hardly be sorted; a file with several names is met several times.
        kept.sort_unstable();
        let all = self.records();
        let mut files: Vec<(Stamp, ValueRef<'_>)> = Vec::with_capacity(kept.len() + read.len());
        files.extend(kept.into_iter().filter_map(|place| {
            let record = Record::parse(all.get(place)?)?;
            Some((record.stamp, self.value(&record)?))
        }));
        files.extend(read.iter().map(|(stamp, value)| (*stamp, ValueRef::from(value))));
        files.retain(|(stamp, _)| {
            began.is_long_after(stamp.modified) && began.is_long_after(stamp.changed)
        });
        files.sort_by_key(|(stamp, _)| key(stamp));
        // An inode that was given to another file meanwhile: whichever of the two it is taken for, its stamp tells next time.
        files.dedup_by_key(|(stamp, _)| key(stamp));

        let len = |(_, value): &(Stamp, ValueRef<'_>)| value.bytes.len() + value.note.len();
        let values_len: usize = files.iter().map(len).sum();
        let mut body = Vec::with_capacity(files.len() * RECORD_LEN + values_len);
        let mut offset = 0;
        files.retain(|(stamp, value)| {
            // A value's parts are bounded by a listing's limits, far below 32 bits.
            let Some(record) = Record::new(*stamp, offset, value) else { return false };
            record.encode(&mut body);
            offset += u64::from(record.entry_len) + u64::from(record.note_len);
            true
        });
        for (_, value) in &files {
            body.extend_from_slice(value.bytes);
            body.extend_from_slice(value.note);
        }
        Self { files: files.len(), body }
    }

    /// Writes the bytes to be kept, for the directory at this absolute path and the snapshot that its scan became.
    ///
    /// # Errors
    /// Those of the target.
    pub fn write(
        &self,
        target: &mut impl Write,
        dir: &Path,
        snapshot: &ContentHash,
    ) -> io::Result<()> {
        let path = path_hash(dir);
        let files = (self.files as u64).to_le_bytes();
        let parts = [path.as_bytes(), snapshot.as_bytes(), &files[..], &self.body];
        let mut sum = HashKind::Blake3.hasher();
        parts.iter().for_each(|part| sum.update(part));
        target.write_all(&HEADER)?;
        target.write_all(sum.finish().as_bytes())?;
        parts.iter().try_for_each(|part| target.write_all(part))
    }

    /// What bytes say of the directory at this absolute path, and the snapshot that it became; `None` if they are damaged, of
    /// another directory or of another version. What is known is to be used only while that snapshot is there: it is what
    /// keeps the files' contents in the store.
    pub fn decode(mut bytes: Vec<u8>, dir: &Path) -> Option<(Self, ContentHash)> {
        let mut rest = bytes.strip_prefix(&HEADER)?;
        let sum: [u8; HASH_LEN] = take(&mut rest)?;
        if HashKind::Blake3.hash(rest) != ContentHash::from_bytes(sum)
            || ContentHash::from_bytes(take(&mut rest)?) != path_hash(dir)
        {
            return None;
        }
        let snapshot = ContentHash::from_bytes(take(&mut rest)?);
        let files = usize::try_from(u64::from_le_bytes(take(&mut rest)?)).ok()?;
        if files > rest.len() / RECORD_LEN {
            return None;
        }
        bytes.drain(..PREFIX_LEN);
        Some((Self { files, body: bytes }, snapshot))
    }

    fn records(&self) -> &[[u8; RECORD_LEN]] {
        &self.body.as_chunks().0[..self.files]
    }

    /// A file's value; `None` if its record points beyond the values, which a right sum does not exclude.
    fn value(&self, record: &Record) -> Option<ValueRef<'_>> {
        let values = &self.body[self.files * RECORD_LEN..];
        let value = values.get(usize::try_from(record.offset).ok()?..)?;
        let (bytes, rest) = value.split_at_checked(usize::try_from(record.entry_len).ok()?)?;
        Some(ValueRef { bytes, note: rest.get(..usize::try_from(record.note_len).ok()?)? })
    }
}

/// What files are found by.
fn key(stamp: &Stamp) -> (u64, u64) {
    (stamp.device, stamp.inode)
}

/// A file as it lies in the cache, without its value.
struct Record {
    stamp: Stamp,
    /// Where its value begins among the values.
    offset: u64,
    entry_len: u32,
    note_len: u32,
}

impl Record {
    fn new(stamp: Stamp, offset: u64, value: &ValueRef<'_>) -> Option<Self> {
        let entry_len = u32::try_from(value.bytes.len()).ok()?;
        let note_len = u32::try_from(value.note.len()).ok()?;
        Some(Self { stamp, offset, entry_len, note_len })
    }

    fn encode(&self, bytes: &mut Vec<u8>) {
        let Stamp { device, inode, len, modified, changed } = self.stamp;
        for number in [device, inode, len] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        for (secs, nanos) in [modified, changed] {
            bytes.extend_from_slice(&secs.to_le_bytes());
            bytes.extend_from_slice(&nanos.to_le_bytes());
        }
        bytes.extend_from_slice(&self.offset.to_le_bytes());
        bytes.extend_from_slice(&self.entry_len.to_le_bytes());
        bytes.extend_from_slice(&self.note_len.to_le_bytes());
    }

    /// Never `None`: the fields are as long as the record together.
    fn parse(record: &[u8; RECORD_LEN]) -> Option<Self> {
        let mut rest = &record[..];
        Some(Self {
            stamp: Stamp {
                device: u64::from_le_bytes(take(&mut rest)?),
                inode: u64::from_le_bytes(take(&mut rest)?),
                len: u64::from_le_bytes(take(&mut rest)?),
                modified: time(&mut rest)?,
                changed: time(&mut rest)?,
            },
            offset: u64::from_le_bytes(take(&mut rest)?),
            entry_len: u32::from_le_bytes(take(&mut rest)?),
            note_len: u32::from_le_bytes(take(&mut rest)?),
        })
    }

    /// What a record is found by, without the rest of it.
    fn key(record: &[u8; RECORD_LEN]) -> Option<(u64, u64)> {
        let mut rest = &record[..];
        Some((u64::from_le_bytes(take(&mut rest)?), u64::from_le_bytes(take(&mut rest)?)))
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

    fn known(files: Vec<(Stamp, Value)>) -> Known {
        Known::default().renewed(Vec::new(), files, BEGAN)
    }

    fn some() -> Known {
        known(vec![(stamp(2, (900, 2)), value(b"")), (stamp(1, (900, 1)), value(b"one"))])
    }

    fn encode(known: &Known, dir: &Path, snapshot: &ContentHash) -> Vec<u8> {
        let mut bytes = Vec::new();
        known.write(&mut bytes, dir, snapshot).unwrap();
        bytes
    }

    #[test]
    fn what_is_known_comes_back_for_the_same_directory_alone() {
        let snapshot = ContentHash::from_bytes([7; 32]);
        let dir = Path::new("/some/tree");
        let bytes = encode(&some(), dir, &snapshot);
        let (known, found) = Known::decode(bytes.clone(), dir).unwrap();
        assert_eq!((known.len(), found), (2, snapshot));
        let one = known.find(&stamp(1, (900, 1))).unwrap().value;
        assert_eq!((one.bytes, one.note), (&b"one"[..], &b"note"[..]));
        let two = known.find(&stamp(2, (900, 2))).unwrap().value;
        assert_eq!((two.bytes, two.note), (&b""[..], &b"note"[..]));
        assert!(known.find(&stamp(1, (900, 2))).is_none(), "another time");
        assert!(known.find(&stamp(3, (900, 1))).is_none(), "another inode");
        assert!(Known::decode(bytes, Path::new("/some/other")).is_none());
    }

    #[test]
    fn what_stays_and_what_was_read_are_known_and_nothing_else() {
        let before: Vec<u64> = (0..100).map(|at| at * 7 % 101).collect();
        let at = |inode: u64| (900, u32::try_from(inode).unwrap() + 1);
        let text = |inode: u64| value(inode.to_string().as_bytes());
        let old =
            known(before.iter().map(|inode| (stamp(*inode, at(*inode)), text(*inode))).collect());
        let is_kept = |inode: u64| inode % 3 == 0;
        let is_read = |inode: u64| inode % 5 == 1 && !is_kept(inode);
        let place = |inode: &u64| old.find(&stamp(*inode, at(*inode))).unwrap().place;
        let mut kept: Vec<usize> =
            before.iter().filter(|inode| is_kept(**inode)).map(place).collect();
        // A file with two names.
        kept.push(kept[0]);
        let read = (0..200).rev().filter(|inode| is_read(*inode));
        let new = old.renewed(
            kept,
            read.map(|inode| (stamp(inode, (901, 1)), text(inode + 1000))).collect(),
            BEGAN,
        );
        for inode in 0..200 {
            let found =
                |changed| new.find(&stamp(inode, changed)).map(|it| it.value.bytes.to_vec());
            let kept =
                (is_kept(inode) && before.contains(&inode)).then(|| text(inode).bytes.to_vec());
            let read = is_read(inode).then(|| text(inode + 1000).bytes.to_vec());
            assert_eq!((found(at(inode)), found((901, 1))), (kept, read), "{inode}");
        }
    }

    #[test]
    fn every_cut_flipped_bit_and_other_version_is_nothing_known() {
        let dir = Path::new("/some/tree");
        let bytes = encode(&some(), dir, &ContentHash::from_bytes([7; 32]));
        for len in 0..bytes.len() {
            assert!(Known::decode(bytes[..len].to_vec(), dir).is_none(), "cut to {len}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut altered = bytes.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert!(Known::decode(altered, dir).is_none(), "bit {bit}");
        }
    }

    /// The bytes of [`some`], with one of them made another and the sum made right again.
    fn forged(at: usize, byte: u8) -> Option<Known> {
        let dir = Path::new("/some/tree");
        let mut bytes = encode(&some(), dir, &ContentHash::from_bytes([7; 32]));
        bytes[at] = byte;
        let (before, after) = bytes.split_at_mut(HEADER.len() + HASH_LEN);
        before[HEADER.len()..].copy_from_slice(HashKind::Blake3.hash(after).as_bytes());
        Known::decode(bytes, dir).map(|(known, _)| known)
    }

    #[test]
    fn a_right_sum_over_lengths_that_are_wrong_is_nothing_known() {
        for byte in [4, 0xff] {
            assert!(forged(PREFIX_LEN - 8, byte).is_none(), "{byte} files");
            assert!(forged(PREFIX_LEN - 1, byte).is_none(), "{byte} << 56 files");
        }
        let one = stamp(1, (900, 1));
        let place = forged(0, HEADER[0]).unwrap().find(&one).unwrap().place;
        for field in [48, 55, 56, 59, 60, 63] {
            let known = forged(PREFIX_LEN + place * RECORD_LEN + field, 0xff).unwrap();
            assert!(known.find(&one).is_none(), "byte {field} of the record");
            assert!(known.renewed(vec![place], Vec::new(), BEGAN).is_empty());
        }
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
            let known = known(vec![(stamp(1, changed), value(b"one"))]);
            assert_eq!(!known.is_empty(), is_kept, "{changed:?}");
        }
        // Filesystems without a time of change give something else in its place: the time of modification counts as well.
        let modified_later = Stamp { modified: (2000, 0), ..stamp(1, (900, 1)) };
        let known = known(vec![(modified_later, value(b"one"))]);
        assert!(known.is_empty());
    }
}
