// SPDX-License-Identifier: MIT
//! The bytes of a segment.
//!
//! | offset | bytes | field |
//! |-------:|------:|-------|
//! | 0 | 4 | magic `CCSG` |
//! | 4 | 1 | version, 2 |
//! | 5 | 1 | hash function: 1 SHA-256, 2 BLAKE3 |
//! | 6 | 2 | flags that a reader must understand: none yet, zero |
//! | 8 | … | records |
//!
//! The record of one object, little-endian:
//!
//! | offset | bytes | field |
//! |-------:|------:|-------|
//! | 0 | 4 | magic `CCSR` |
//! | 4 | 4 | length of the frame, in bytes |
//! | 8 | 32 | content hash |
//! | 40 | … | the object's [frame](cascow_core::frame) |
//!
//! The record of a block, objects that were put together and are compressed together, because neighbours are alike:
//!
//! | offset | bytes | field |
//! |-------:|------:|-------|
//! | 0 | 4 | magic `CCSB` |
//! | 4 | 4 | length of all that follows these eight bytes |
//! | 8 | 4 | number of objects: 1 to 64 |
//! | 12 | 36 each | content hash and length, 4 bytes, of each object |
//! | … | … | the objects' bytes, one after the other, at most 128 KiB: a zstd frame, to the end |
//!
//! There is no checksum: the content hashes are. Between records there may be anything, the torn end of a writer that was killed
//! for instance; a record counts only if its objects have their names, so [`scan`] can look for the next magic anywhere.

use std::path::Path;

use cascow_core::frame::{self, Frame};
use cascow_core::hash::{ContentHash, HASH_LEN, HashKind};

use super::index::Entry;
use super::number::SegmentNumber;
use crate::disk::{Access, Disk, DiskFile};
use crate::{Error, codec};

const MAGIC: [u8; 4] = *b"CCSG";
const VERSION: u8 = 2;
const OBJECT_MAGIC: [u8; 4] = *b"CCSR";
const BLOCK_MAGIC: [u8; 4] = *b"CCSB";

/// Bytes before a segment's first record.
pub(super) const HEADER_LEN: usize = 8;
/// Bytes of a record before its hash, or its number of objects.
const RECORD_START_LEN: usize = 8;
/// Bytes of an object's record before its frame.
pub(super) const OBJECT_HEADER_LEN: usize = RECORD_START_LEN + HASH_LEN;
const BLOCK_HEADER_LEN: usize = RECORD_START_LEN + 4;
const MEMBER_LEN: usize = HASH_LEN + 4;

/// Most bytes of objects in a block: who wants one of them decodes what is before it too. Readers refuse more.
pub(super) const BLOCK_MOST_LEN: usize = 128 << 10;
/// Most objects in a block. Readers refuse more.
pub(super) const BLOCK_MOST_OBJECTS: usize = 64;

/// Bytes of a block's record, at most: it is a block only where that is shorter than its objects.
pub(super) const BLOCK_RECORD_MOST_LEN: usize =
    BLOCK_HEADER_LEN + BLOCK_MOST_OBJECTS * MEMBER_LEN + BLOCK_MOST_LEN;

/// Bytes read at once by a scan.
const WINDOW: usize = 1 << 20;

/// A segment's first bytes.
pub(super) const fn header(kind: HashKind) -> [u8; HEADER_LEN] {
    let [m0, m1, m2, m3] = MAGIC;
    [m0, m1, m2, m3, VERSION, kind.id(), 0, 0]
}

/// Why a segment that begins with other bytes than [`header`] must not be read or appended to; `None` if they are merely damaged,
/// which its records may have outlived.
fn foreign(found: [u8; HEADER_LEN], kind: HashKind) -> Option<&'static str> {
    let [m0, m1, m2, m3, version, hash, f0, f1] = found;
    if [m0, m1, m2, m3] != MAGIC {
        return None;
    }
    if version != VERSION || [f0, f1] != [0, 0] {
        return Some("a segment of a version that this build does not read; a newer cascow may");
    }
    (HashKind::from_id(hash).is_ok_and(|hash| hash != kind))
        .then_some("a segment with another hash function than the repository's")
}

/// An object within a record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    pub(super) hash: ContentHash,
    /// From the record's beginning.
    pub(super) offset: usize,
    pub(super) len: u32,
    pub(super) within: Option<u32>,
    pub(super) raw_len: u32,
    pub(super) share: u32,
}

/// A record that is to be appended.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) bytes: Vec<u8>,
    /// Its objects.
    pub(super) objects: Vec<Placed>,
}

/// The record of one object.
pub(super) fn object_record(
    hash: &ContentHash,
    frame: &[u8],
    raw_len: u32,
) -> Result<Record, Error> {
    let len = bounded(frame.len())?;
    let mut bytes = Vec::with_capacity(OBJECT_HEADER_LEN + frame.len());
    bytes.extend_from_slice(&OBJECT_MAGIC);
    bytes.extend_from_slice(&len.to_le_bytes());
    bytes.extend_from_slice(hash.as_bytes());
    bytes.extend_from_slice(frame);
    let share = bounded(bytes.len())?;
    let offset = OBJECT_HEADER_LEN;
    let object = Placed { hash: *hash, offset, len, within: None, raw_len, share };
    Ok(Record { bytes, objects: vec![object] })
}

/// The record of a block; `None` if its objects do not get shorter by it. There are at most
/// [`BLOCK_MOST_OBJECTS`], of [`BLOCK_MOST_LEN`] bytes together.
pub(super) fn block_record(objects: &[(ContentHash, &[u8])]) -> Result<Option<Record>, Error> {
    let mut raw = Vec::with_capacity(objects.iter().map(|(_, bytes)| bytes.len()).sum());
    objects.iter().for_each(|(_, bytes)| raw.extend_from_slice(bytes));
    // Without memory to compress in, they are kept as they are.
    let Some(payload) = codec::compress(&raw).ok().filter(|payload| payload.len() < raw.len())
    else {
        return Ok(None);
    };
    let len = bounded(4 + objects.len() * MEMBER_LEN + payload.len())?;
    let mut bytes =
        Vec::with_capacity(RECORD_START_LEN + 4 + objects.len() * MEMBER_LEN + payload.len());
    bytes.extend_from_slice(&BLOCK_MAGIC);
    bytes.extend_from_slice(&len.to_le_bytes());
    bytes.extend_from_slice(&bounded(objects.len())?.to_le_bytes());
    for (hash, object) in objects {
        bytes.extend_from_slice(hash.as_bytes());
        bytes.extend_from_slice(&bounded(object.len())?.to_le_bytes());
    }
    bytes.extend_from_slice(&payload);
    let objects =
        members_of(objects.iter().map(|(hash, object)| (*hash, object.len())), bytes.len())?;
    Ok(Some(Record { bytes, objects }))
}

/// The places of a block's objects in a record of this length.
fn members_of(
    objects: impl ExactSizeIterator<Item = (ContentHash, usize)>,
    record_len: usize,
) -> Result<Vec<Placed>, Error> {
    let len = bounded(record_len)?;
    // What they share is divided evenly, and what is left falls to the first.
    let count = bounded(objects.len())?.max(1);
    let mut start = 0_usize;
    let mut members = Vec::with_capacity(objects.len());
    for (hash, raw_len) in objects {
        let share = len / count + if start == 0 && members.is_empty() { len % count } else { 0 };
        let (within, raw_len_short) = (Some(bounded(start)?), bounded(raw_len)?);
        members.push(Placed { hash, offset: 0, len, within, raw_len: raw_len_short, share });
        start = start.saturating_add(raw_len);
    }
    Ok(members)
}

/// A length as the formats hold it: all are bounded far below.
pub(super) fn bounded(len: usize) -> Result<u32, Error> {
    u32::try_from(len).map_err(|_| Error::Misuse("an object is longer than 4 GiB".to_owned()))
}

/// A checked view of a block's record. What its objects are is not verified.
#[derive(Debug)]
pub(super) struct Block<'a> {
    members: &'a [[u8; MEMBER_LEN]],
    payload: &'a [u8],
    raw_len: usize,
}

impl<'a> Block<'a> {
    /// `None` if it is none.
    pub(super) fn parse(record: &'a [u8]) -> Option<Self> {
        let (start, rest) = record.split_first_chunk::<RECORD_START_LEN>()?;
        let (magic, len) = start.split_first_chunk::<4>()?;
        if *magic != BLOCK_MAGIC || number(len)? != rest.len() {
            return None;
        }
        let (count, rest) = rest.split_first_chunk::<4>()?;
        let count = number(count)?;
        if !(1..=BLOCK_MOST_OBJECTS).contains(&count) {
            return None;
        }
        let (members, payload) = rest.split_at_checked(count * MEMBER_LEN)?;
        let (members, _) = members.as_chunks::<MEMBER_LEN>();
        let mut raw_len = 0_usize;
        for member in members {
            raw_len = raw_len.checked_add(number(member.get(HASH_LEN..)?)?)?;
        }
        (raw_len <= BLOCK_MOST_LEN).then_some(Self { members, payload, raw_len })
    }

    /// Names and lengths.
    fn objects(&self) -> impl ExactSizeIterator<Item = (ContentHash, usize)> + use<'a> {
        let members = self.members;
        members.iter().map(|member| {
            let (hash, len) = member.split_at(HASH_LEN);
            // UNWRAP: a member is a hash and four bytes, which `parse` has read.
            let hash = hash.try_into().expect("a member begins with a hash");
            (ContentHash::from_bytes(hash), number(len).unwrap_or_default())
        })
    }

    /// All objects' bytes, one after the other.
    pub(super) fn decode(&self) -> Option<Vec<u8>> {
        codec::decompress(self.payload, self.raw_len)
    }

    /// The objects in their decoded bytes. None is verified.
    pub(super) fn split<'b>(
        &self,
        decoded: &'b [u8],
    ) -> impl Iterator<Item = (ContentHash, &'b [u8])> + use<'a, 'b> {
        let mut rest = decoded;
        self.objects().map_while(move |(hash, len)| {
            let (object, after) = rest.split_at_checked(len)?;
            rest = after;
            Some((hash, object))
        })
    }
}

fn number(bytes: &[u8]) -> Option<usize> {
    let bytes = bytes.first_chunk::<4>()?;
    usize::try_from(u32::from_le_bytes(*bytes)).ok()
}

/// An object as a scan found it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) hash: ContentHash,
    offset: u64,
    len: u32,
    within: Option<u32>,
    raw_len: u32,
    share: u32,
}

impl Found {
    /// Its entry; `None` if it lies where no entry can say.
    pub(super) fn entry(&self, segment: SegmentNumber, ordinal: u32, put_at: u32) -> Option<Entry> {
        let Self { offset, len, within, raw_len, share, .. } = *self;
        let offset = u32::try_from(offset).ok()?;
        Some(Entry { segment, ordinal, offset, len, within, raw_len, share, put_at })
    }
}

/// Whether a scan reads the objects or believes the records' headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// Objects are decoded and hashed; what is between records is stepped over.
    Nothing,
    /// Records are believed; the first that is none ends the scan. For what a living writer has just written.
    Headers,
}

/// Shows the objects of a segment's records from a place on, in order; gives where it ended. O(length). Memory: a window, or the
/// longest record.
pub(super) fn scan(
    disk: &dyn Disk,
    path: &Path,
    kind: HashKind,
    start: u64,
    trust: Trust,
    visit: &mut dyn FnMut(Found) -> Result<(), Error>,
) -> Result<u64, Error> {
    let file = disk.open(path, Access::Read).map_err(Error::io("open", path))?;
    let end = file.len().map_err(Error::io("look at", path))?;
    let mut window = Window { file: &*file, path, end, start: 0, bytes: Vec::new() };
    if let Some(found) = window.at(0, HEADER_LEN)?.and_then(|bytes| bytes.first_chunk())
        && let Some(reason) = foreign(*found, kind)
    {
        return Err(Error::NotARepository { path: path.to_owned(), reason });
    }
    let mut at = start.max(HEADER_LEN as u64);
    let mut found = Vec::new();
    while window.at(at, RECORD_START_LEN)?.is_some() {
        found.clear();
        let next = window.record(at, kind, trust, &mut found)?;
        found.drain(..).try_for_each(&mut *visit)?;
        at = match (next, trust) {
            (Some(next), _) => next,
            (None, Trust::Nothing) => window.next_magic(at + 1)?,
            (None, Trust::Headers) => return Ok(at),
        };
    }
    Ok(match trust {
        Trust::Nothing => end.max(at),
        Trust::Headers => at,
    })
}

/// The part of a segment that is in memory.
struct Window<'a> {
    file: &'a dyn DiskFile,
    path: &'a Path,
    end: u64,
    start: u64,
    bytes: Vec<u8>,
}

impl Window<'_> {
    /// So many bytes from there; `None` if the segment ends before.
    fn at(&mut self, at: u64, len: usize) -> Result<Option<&[u8]>, Error> {
        if at.saturating_add(len as u64) > self.end {
            return Ok(None);
        }
        let within = |window: &Self| {
            let from = usize::try_from(at.checked_sub(window.start)?).ok()?;
            (from.checked_add(len)? <= window.bytes.len()).then_some(from)
        };
        let from = match within(self) {
            Some(from) => from,
            None => {
                let left = usize::try_from(self.end - at).unwrap_or(usize::MAX);
                self.bytes.resize(len.max(WINDOW).min(left), 0);
                self.start = at;
                let filled = self
                    .file
                    .read_full_at(&mut self.bytes, at)
                    .map_err(Error::io("read", self.path))?;
                self.bytes.truncate(filled);
                0
            }
        };
        Ok(self.bytes.get(from..from + len))
    }

    /// The objects of the record that begins there, and where the next one may; `None` if there is none.
    fn record(
        &mut self,
        at: u64,
        kind: HashKind,
        trust: Trust,
        found: &mut Vec<Found>,
    ) -> Result<Option<u64>, Error> {
        let Some(start) = self.at(at, RECORD_START_LEN)? else { return Ok(None) };
        let Some((magic, len)) = start.split_first_chunk::<4>() else { return Ok(None) };
        let (magic, len) = (*magic, number(len).unwrap_or(usize::MAX));
        let read = match magic {
            OBJECT_MAGIC => self.object(at, len, kind, trust, found)?,
            BLOCK_MAGIC => self.block(at, len, kind, trust, found)?,
            _ => None,
        };
        Ok(read.map(|len| at.saturating_add(len as u64)))
    }

    /// The length of the record of one object.
    fn object(
        &mut self,
        at: u64,
        len: usize,
        kind: HashKind,
        trust: Trust,
        found: &mut Vec<Found>,
    ) -> Result<Option<usize>, Error> {
        // The frame's own header first: what only looks like a record must not cost a read of what it claims.
        let Some(payload_len) = len.checked_sub(frame::HEADER_LEN) else { return Ok(None) };
        let Some(headers) = self.at(at, OBJECT_HEADER_LEN + frame::HEADER_LEN)? else {
            return Ok(None);
        };
        let (hash, frame_header) =
            headers[RECORD_START_LEN..].split_first_chunk::<HASH_LEN>().unwrap_or((&[0; 32], &[]));
        let hash = ContentHash::from_bytes(*hash);
        let declared = frame_header
            .first_chunk()
            .and_then(|header| Frame::declared_len(header, payload_len as u64).ok());
        let Some(raw_len) = declared.and_then(|len| u32::try_from(len).ok()) else {
            return Ok(None);
        };
        let Some(record_len) = len.checked_add(OBJECT_HEADER_LEN) else { return Ok(None) };
        let offset = at + OBJECT_HEADER_LEN as u64;
        if offset.saturating_add(len as u64) > self.end {
            return Ok(None);
        }
        if trust == Trust::Nothing {
            let Some(bytes) = self.at(offset, len)? else { return Ok(None) };
            let opened = Frame::parse(bytes).and_then(|frame| codec::open(&frame, kind, &hash));
            if opened.is_err() {
                return Ok(None);
            }
        }
        let (Ok(len), Ok(share)) = (bounded(len), bounded(record_len)) else { return Ok(None) };
        found.push(Found { hash, offset, len, within: None, raw_len, share });
        Ok(Some(record_len))
    }

    /// The length of the record of a block.
    fn block(
        &mut self,
        at: u64,
        len: usize,
        kind: HashKind,
        trust: Trust,
        found: &mut Vec<Found>,
    ) -> Result<Option<usize>, Error> {
        // A block is never longer than what it holds: what only looks like one must not cost more.
        if len > BLOCK_RECORD_MOST_LEN - RECORD_START_LEN {
            return Ok(None);
        }
        let record_len = RECORD_START_LEN + len;
        let Some(record) = self.at(at, record_len)? else { return Ok(None) };
        let Some(block) = Block::parse(record) else { return Ok(None) };
        let members = members_of(block.objects(), record_len)?;
        let decoded = match trust {
            Trust::Headers => None,
            Trust::Nothing => match block.decode() {
                Some(decoded) => Some(decoded),
                None => return Ok(None),
            },
        };
        let mut objects = decoded.as_deref().map(|decoded| block.split(decoded));
        for Placed { hash, len, within, raw_len, share, .. } in members {
            // Each is judged by itself.
            let object = objects.as_mut().map(|objects| objects.next());
            if object.is_none_or(|found| found.is_some_and(|(_, bytes)| kind.hash(bytes) == hash)) {
                found.push(Found { hash, offset: at, len, within, raw_len, share });
            }
        }
        Ok(Some(record_len))
    }

    /// Where the next record may begin, from there on; the end if nowhere.
    fn next_magic(&mut self, mut at: u64) -> Result<u64, Error> {
        const LEN: usize = OBJECT_MAGIC.len();
        while self.at(at, LEN)?.is_some() {
            let from = usize::try_from(at - self.start).unwrap_or(usize::MAX);
            let rest = self.bytes.get(from..).unwrap_or_default();
            let is_magic = |bytes: &[u8]| bytes == OBJECT_MAGIC || bytes == BLOCK_MAGIC;
            match rest.windows(LEN).position(is_magic) {
                Some(ahead) => return Ok(at + ahead as u64),
                // The last three bytes may begin one.
                None => at += (rest.len().max(LEN) - (LEN - 1)) as u64,
            }
        }
        Ok(self.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::LinuxDisk;

    const KIND: HashKind = HashKind::Sha256;

    fn record(object: &[u8]) -> Vec<u8> {
        let frame = codec::encode(object).unwrap();
        object_record(&KIND.hash(object), &frame, bounded(object.len()).unwrap()).unwrap().bytes
    }

    fn block(objects: &[&[u8]]) -> Vec<u8> {
        let named: Vec<_> = objects.iter().map(|bytes| (KIND.hash(bytes), *bytes)).collect();
        block_record(&named).unwrap().unwrap().bytes
    }

    fn found(bytes: &[u8]) -> Vec<ContentHash> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let mut found = Vec::new();
        let end = scan(&LinuxDisk, file.path(), KIND, 0, Trust::Nothing, &mut |object| {
            found.push(object.hash);
            Ok(())
        });
        assert_eq!(end.unwrap(), (bytes.len() as u64).max(8));
        found
    }

    #[test]
    fn whole_records_are_found_whatever_lies_between_them() {
        let long = b"second ".repeat(200);
        let longer = b"third ".repeat(300);
        let (first, second) = (record(b"first"), block(&[&long, &longer]));
        let names = [KIND.hash(b"first"), KIND.hash(&long), KIND.hash(&longer)];
        for len in 0..first.len().min(second.len()) {
            let torn = [&header(KIND)[..], &first, &second[..len], &first[..len], &second].concat();
            assert_eq!(found(&torn), names, "torn after {len} bytes");
        }
        // More than a window without a record.
        let zeros = vec![0; WINDOW + WINDOW / 2 + 1];
        assert_eq!(found(&[&header(KIND)[..], &first, &zeros, &second].concat()), names);
    }

    #[test]
    fn a_flipped_bit_costs_no_more_than_its_own_record() {
        let text = b"hit, hit, hit and ".repeat(20);
        let records = [record(b"before"), block(&[&text, b"too"]), record(b"after")];
        let whole = [&header(KIND)[..], &records.concat()].concat();
        let names = found(&whole);
        assert_eq!(names.len(), 4);
        let start = HEADER_LEN + records[0].len();
        for bit in start * 8..(start + records[1].len()) * 8 {
            let mut altered = whole.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            let found = found(&altered);
            assert!(found.contains(&names[0]) && found.contains(&names[3]), "bit {bit}");
            assert!(found.iter().all(|name| names.contains(name)), "bit {bit}");
        }
    }

    #[test]
    fn records_that_are_believed_end_where_one_is_none() {
        let (first, second) = (record(b"first"), record(b"second"));
        for len in 0..second.len() {
            let bytes = [&header(KIND)[..], &first, &second[..len]].concat();
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), &bytes).unwrap();
            let mut count = 0;
            let end = scan(&LinuxDisk, file.path(), KIND, 0, Trust::Headers, &mut |_| {
                count += 1;
                Ok(())
            });
            assert_eq!((end.unwrap(), count), ((HEADER_LEN + first.len()) as u64, 1));
        }
    }

    #[test]
    fn a_block_says_where_its_objects_are() {
        let objects: [&[u8]; 3] = [&b"one ".repeat(50), b"", &b"three ".repeat(40)];
        let named: Vec<_> = objects.iter().map(|bytes| (KIND.hash(bytes), *bytes)).collect();
        let Record { bytes, objects: placed } = block_record(&named).unwrap().unwrap();
        let block = Block::parse(&bytes).unwrap();
        let decoded = block.decode().unwrap();
        for (place, object) in placed.iter().zip(objects) {
            let start = place.within.unwrap() as usize;
            assert_eq!(&decoded[start..start + place.raw_len as usize], object);
        }
        let shares: u32 = placed.iter().map(|place| place.share).sum();
        assert_eq!(shares as usize, bytes.len());
        for len in 0..bytes.len() {
            assert!(Block::parse(&bytes[..len]).is_none(), "cut to {len}");
        }
    }
}
