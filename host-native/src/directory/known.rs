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

use std::cmp::Ordering;
use std::io::{self, BufWriter, ErrorKind, Seek, SeekFrom, Write};
use std::iter;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use cascow_core::hash::{ContentHash, HASH_LEN, HashKind, Hasher};
use cascow_core::snapshot::{Value, ValueRef};

use super::file::Stamp;

const HEADER: [u8; 8] = *b"CCSC\x02\0\0\0";

/// Bytes before the files: header, sum, path, snapshot, number of files.
const PREFIX_LEN: usize = HEADER.len() + 3 * HASH_LEN + 8;

/// Bytes that are hashed and written at once.
const WRITE_LEN: usize = 64 * 1024;

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

    /// Writes what is to be kept for the next scan of the directory at this absolute path, after one that knew this learned that
    /// much more and became that snapshot. O(n log n) for n files that stay or were read; memory for their places alone.
    ///
    /// # Errors
    /// Those of the target.
    pub fn write_renewed(
        &self,
        mut learned: Learned,
        target: &mut (impl Write + Seek),
        dir: &Path,
        snapshot: &ContentHash,
    ) -> io::Result<()> {
        // A file with several names is met several times.
        learned.kept.sort_unstable();
        learned.kept.dedup();
        learned.read.sort_by_key(|(stamp, _)| key(stamp));
        // An inode that was given to another file meanwhile: whichever of the two it is taken for, its stamp tells next time.
        learned.read.dedup_by_key(|(stamp, _)| key(stamp));
        let files = || self.renewed(&learned);

        target.write_all(&HEADER)?;
        let sum_at = target.stream_position()?;
        target.write_all(&[0; HASH_LEN])?;
        let summed = Summed { target: &mut *target, hasher: HashKind::Blake3.hasher() };
        let mut body = BufWriter::with_capacity(WRITE_LEN, summed);
        body.write_all(path_hash(dir).as_bytes())?;
        body.write_all(snapshot.as_bytes())?;
        body.write_all(&(files().count() as u64).to_le_bytes())?;
        let mut offset = 0;
        for (stamp, value) in files() {
            let lens = value_lens(&value).ok_or(ErrorKind::InvalidInput)?;
            Record { stamp, offset, lens }.write(&mut body)?;
            offset += value.bytes.len() as u64 + value.note.len() as u64;
        }
        for (_, value) in files() {
            body.write_all(value.bytes)?;
            body.write_all(value.note)?;
        }
        let sum = body.into_inner()?.hasher.finish();
        target.seek(SeekFrom::Start(sum_at))?;
        target.write_all(sum.as_bytes())
    }

    /// The files that the next scan is to know, ascending by device and inode: what stayed and what was read, both in order.
    fn renewed<'a>(&'a self, learned: &'a Learned) -> impl Iterator<Item = (Stamp, ValueRef<'a>)> {
        let records = self.records();
        let kept = learned.kept.iter().filter_map(|place| {
            let record = Record::parse(records.get(*place)?)?;
            Some((record.stamp, self.value(&record)?))
        });
        let read = learned.read.iter().map(|(stamp, value)| (*stamp, ValueRef::from(value)));
        let (mut kept, mut read) = (kept.peekable(), read.peekable());
        let merged = iter::from_fn(move || match (kept.peek(), read.peek()) {
            (Some((kept_stamp, _)), Some((read_stamp, _))) => {
                match key(kept_stamp).cmp(&key(read_stamp)) {
                    Ordering::Less => kept.next(),
                    Ordering::Equal => kept.next().and(read.next()),
                    Ordering::Greater => read.next(),
                }
            }
            (Some(_), None) => kept.next(),
            (None, _) => read.next(),
        });
        merged.filter(|(stamp, _)| learned.is_sure_of(stamp))
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
        let [entry_len, note_len] = record.lens.map(usize::try_from);
        let value = values.get(usize::try_from(record.offset).ok()?..)?;
        let (bytes, rest) = value.split_at_checked(entry_len.ok()?)?;
        Some(ValueRef { bytes, note: rest.get(..note_len.ok()?)? })
    }
}

/// What a scan found out for the next one.
#[derive(Clone, Debug)]
pub struct Learned {
    /// Files that are as they were known, by their places.
    kept: Vec<usize>,
    /// Files that were read.
    read: Vec<(Stamp, Value)>,
    /// When the scan began.
    began: Instant,
}

impl Default for Learned {
    /// Nothing, at this moment.
    fn default() -> Self {
        Self { kept: Vec::new(), read: Vec::new(), began: Instant::now() }
    }
}

impl Learned {
    /// Number of files that were known and are as they were.
    pub fn kept(&self) -> usize {
        self.kept.len()
    }

    /// Files at these places are as they were known.
    pub(super) fn keep(&mut self, places: impl IntoIterator<Item = usize>) {
        self.kept.extend(places);
    }

    /// Remembers a file that was read.
    pub(super) fn remember(&mut self, stamp: Stamp, value: Value) {
        if self.is_sure_of(&stamp) && value_lens(&(&value).into()).is_some() {
            self.read.push((stamp, value));
        }
    }

    /// Whether the stamp tells all versions of a file apart from now on: it did not change shortly before the scan, or after.
    fn is_sure_of(&self, stamp: &Stamp) -> bool {
        self.began.is_long_after(stamp.modified) && self.began.is_long_after(stamp.changed)
    }
}

/// Passes bytes on and hashes them.
struct Summed<'a, W> {
    target: &'a mut W,
    hasher: Hasher,
}

impl<W: Write> Write for Summed<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.target.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.target.flush()
    }
}

/// What files are found by.
fn key(stamp: &Stamp) -> (u64, u64) {
    (stamp.device, stamp.inode)
}

/// Lengths of entry and note. A listing's limits are far below 32 bits; a value beyond has none and is not remembered.
fn value_lens(value: &ValueRef<'_>) -> Option<[u32; 2]> {
    Some([u32::try_from(value.bytes.len()).ok()?, u32::try_from(value.note.len()).ok()?])
}

/// A file as it lies in the cache, without its value.
struct Record {
    stamp: Stamp,
    /// Where its value begins among the values.
    offset: u64,
    /// Of entry and note.
    lens: [u32; 2],
}

impl Record {
    fn write(&self, target: &mut impl Write) -> io::Result<()> {
        let Stamp { device, inode, len, modified, changed } = self.stamp;
        for number in [device, inode, len] {
            target.write_all(&number.to_le_bytes())?;
        }
        for (secs, nanos) in [modified, changed] {
            target.write_all(&secs.to_le_bytes())?;
            target.write_all(&nanos.to_le_bytes())?;
        }
        target.write_all(&self.offset.to_le_bytes())?;
        self.lens.iter().try_for_each(|len| target.write_all(&len.to_le_bytes()))
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
            lens: [u32::from_le_bytes(take(&mut rest)?), u32::from_le_bytes(take(&mut rest)?)],
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
    use std::io::Cursor;

    use super::*;

    fn stamp(inode: u64, changed: (i64, u32)) -> Stamp {
        Stamp { device: 1, inode, len: 3, modified: (-5, 7), changed }
    }

    fn value(bytes: &[u8]) -> Value {
        Value { bytes: bytes.into(), note: b"note"[..].into() }
    }

    const BEGAN: Instant = Instant { secs: 1000, nanos: 500 };

    const SNAPSHOT: ContentHash = ContentHash::from_bytes([7; HASH_LEN]);

    fn dir() -> &'static Path {
        Path::new("/some/tree")
    }

    fn learned(kept: Vec<usize>, read: Vec<(Stamp, Value)>) -> Learned {
        let mut learned = Learned { kept, read: Vec::new(), began: BEGAN };
        read.into_iter().for_each(|(stamp, value)| learned.remember(stamp, value));
        learned
    }

    fn encode(known: &Known, learned: Learned) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        known.write_renewed(learned, &mut bytes, dir(), &SNAPSHOT).unwrap();
        bytes.into_inner()
    }

    fn known(files: Vec<(Stamp, Value)>) -> Known {
        Known::decode(encode(&Known::default(), learned(Vec::new(), files)), dir()).unwrap().0
    }

    /// The bytes of two files, in another order than theirs.
    fn some() -> Vec<u8> {
        let files = vec![(stamp(2, (900, 2)), value(b"")), (stamp(1, (900, 1)), value(b"one"))];
        encode(&Known::default(), learned(Vec::new(), files))
    }

    #[test]
    fn what_is_known_comes_back_for_the_same_directory_alone() {
        let bytes = some();
        let (known, found) = Known::decode(bytes.clone(), dir()).unwrap();
        assert_eq!((known.len(), found), (2, SNAPSHOT));
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
        let is_kept = |inode: u64| inode.is_multiple_of(3);
        let is_read = |inode: u64| inode % 5 == 1 && !is_kept(inode);
        let place = |inode: &u64| old.find(&stamp(*inode, at(*inode))).unwrap().place;
        let mut kept: Vec<usize> =
            before.iter().filter(|inode| is_kept(**inode)).map(place).collect();
        // A file with two names.
        kept.push(kept[0]);
        let read = (0..200).rev().filter(|inode| is_read(*inode));
        let read = read.map(|inode| (stamp(inode, (901, 1)), text(inode + 1000))).collect();
        let (new, _) = Known::decode(encode(&old, learned(kept, read)), dir()).unwrap();
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
        let bytes = some();
        for len in 0..bytes.len() {
            assert!(Known::decode(bytes[..len].to_vec(), dir()).is_none(), "cut to {len}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut altered = bytes.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert!(Known::decode(altered, dir()).is_none(), "bit {bit}");
        }
    }

    /// The bytes of [`some`], with one of them made another and the sum made right again.
    fn forged(at: usize, byte: u8) -> Option<Known> {
        let mut bytes = some();
        bytes[at] = byte;
        let (before, after) = bytes.split_at_mut(HEADER.len() + HASH_LEN);
        before[HEADER.len()..].copy_from_slice(HashKind::Blake3.hash(after).as_bytes());
        Known::decode(bytes, dir()).map(|(known, _)| known)
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
            assert_eq!(known.renewed(&learned(vec![place], Vec::new())).count(), 0);
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
