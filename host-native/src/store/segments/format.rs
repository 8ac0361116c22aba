// SPDX-License-Identifier: MIT
//! The bytes of a segment.
//!
//! | offset | bytes | field |
//! |-------:|------:|-------|
//! | 0 | 4 | magic `CCSG` |
//! | 4 | 1 | version, 1 |
//! | 5 | 1 | hash function: 1 SHA-256, 2 BLAKE3 |
//! | 6 | 2 | flags that a reader must understand: none yet, zero |
//! | 8 | … | records |
//!
//! A record, little-endian:
//!
//! | offset | bytes | field |
//! |-------:|------:|-------|
//! | 0 | 4 | magic `CCSR` |
//! | 4 | 4 | length of the frame, in bytes |
//! | 8 | 32 | content hash |
//! | 40 | … | the object's [frame](cascow_core::frame) |
//!
//! There is no checksum: the content hash is one. Between records there may be anything, the torn end of a writer that was killed
//! for instance; a record counts only if its object has its name, so [`scan`] can look for the next magic anywhere.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use cascow_core::frame::{self, Frame};
use cascow_core::hash::{ContentHash, HASH_LEN, HashKind};

use crate::Error;

const MAGIC: [u8; 4] = *b"CCSG";
const VERSION: u8 = 1;
const RECORD_MAGIC: [u8; 4] = *b"CCSR";

/// Bytes before a segment's first record.
pub(super) const HEADER_LEN: usize = 8;
/// Bytes of a record before its frame.
pub(super) const RECORD_HEADER_LEN: usize = 8 + HASH_LEN;

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
    if version > VERSION || [f0, f1] != [0, 0] {
        return Some("a segment of a newer version; a newer cascow may read it");
    }
    (HashKind::from_id(hash).is_ok_and(|hash| hash != kind))
        .then_some("a segment with another hash function than the repository's")
}

/// Appends a record's header and frame to a batch; gives the frame's place in it.
pub(super) fn push_record(
    bytes: &mut Vec<u8>,
    hash: &ContentHash,
    frame: &[u8],
    len: u32,
) -> usize {
    bytes.reserve(RECORD_HEADER_LEN + frame.len());
    bytes.extend_from_slice(&RECORD_MAGIC);
    bytes.extend_from_slice(&len.to_le_bytes());
    bytes.extend_from_slice(hash.as_bytes());
    let at = bytes.len();
    bytes.extend_from_slice(frame);
    at
}

fn read_record_header(header: &[u8; RECORD_HEADER_LEN]) -> Option<(ContentHash, u32)> {
    let (magic, rest) = header.split_first_chunk::<4>()?;
    let (len, hash) = rest.split_first_chunk::<4>()?;
    let hash = hash.first_chunk::<HASH_LEN>()?;
    (*magic == RECORD_MAGIC).then(|| (ContentHash::from_bytes(*hash), u32::from_le_bytes(*len)))
}

/// An object as a scan found it: verified.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) hash: ContentHash,
    /// Where its frame begins.
    pub(super) offset: u64,
    pub(super) stored_len: u32,
    pub(super) raw_len: u64,
}

/// Shows every whole object of a segment, in order. O(length): every object is decoded and hashed. Memory: a window, or the
/// longest object.
pub(super) fn scan(
    path: &Path,
    kind: HashKind,
    visit: &mut dyn FnMut(Found) -> Result<(), Error>,
) -> Result<(), Error> {
    let file = File::open(path).map_err(Error::io("open", path))?;
    let end = file.metadata().map_err(Error::io("look at", path))?.len();
    let mut window = Window { file: &file, path, end, start: 0, bytes: Vec::new() };
    if let Some(found) = window.at(0, HEADER_LEN)?.and_then(|bytes| bytes.first_chunk())
        && let Some(reason) = foreign(*found, kind)
    {
        return Err(Error::NotARepository { path: path.to_owned(), reason });
    }
    let mut at = HEADER_LEN as u64;
    while let Some(header) = window.at(at, RECORD_HEADER_LEN)? {
        let record = header.first_chunk().and_then(read_record_header);
        let offset = at + RECORD_HEADER_LEN as u64;
        if let Some((hash, stored_len)) = record
            && let Some(raw_len) = window.verified(offset, stored_len, kind, &hash)?
        {
            visit(Found { hash, offset, stored_len, raw_len })?;
            at = offset + u64::from(stored_len);
        } else {
            at = window.next_magic(at + 1)?;
        }
    }
    Ok(())
}

/// The part of a segment that is in memory.
struct Window<'a> {
    file: &'a File,
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
                self.file
                    .read_exact_at(&mut self.bytes, at)
                    .map_err(Error::io("read", self.path))?;
                0
            }
        };
        Ok(self.bytes.get(from..from + len))
    }

    /// The length of the object whose frame lies there; `None` if there is none of that name.
    fn verified(
        &mut self,
        offset: u64,
        stored_len: u32,
        kind: HashKind,
        hash: &ContentHash,
    ) -> Result<Option<u64>, Error> {
        // The frame's own header first: what only looks like a record must not cost a read of what it claims.
        let Some(payload_len) = u64::from(stored_len).checked_sub(frame::HEADER_LEN as u64) else {
            return Ok(None);
        };
        let header = self.at(offset, frame::HEADER_LEN)?.and_then(|bytes| bytes.first_chunk());
        if header.is_none_or(|header| Frame::declared_len(header, payload_len).is_err()) {
            return Ok(None);
        }
        let Ok(len) = usize::try_from(stored_len) else { return Ok(None) };
        let Some(bytes) = self.at(offset, len)? else { return Ok(None) };
        let opened = Frame::parse(bytes).and_then(|frame| frame.open(kind, hash));
        Ok(opened.ok().map(|bytes| bytes.len() as u64))
    }

    /// Where the next record may begin, from there on; the end if nowhere.
    fn next_magic(&mut self, mut at: u64) -> Result<u64, Error> {
        while let Some(bytes) = self.at(at, RECORD_MAGIC.len())? {
            let len = bytes.len();
            debug_assert_eq!(len, RECORD_MAGIC.len());
            let from = usize::try_from(at - self.start).unwrap_or(usize::MAX);
            let rest = self.bytes.get(from..).unwrap_or_default();
            match rest.windows(len).position(|bytes| bytes == RECORD_MAGIC) {
                Some(ahead) => return Ok(at + ahead as u64),
                // The last three bytes may begin one.
                None => at += (rest.len() - (len - 1)) as u64,
            }
        }
        Ok(self.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: HashKind = HashKind::Sha256;

    fn record(object: &[u8]) -> Vec<u8> {
        let frame = frame::encode(object).unwrap();
        let mut bytes = Vec::new();
        push_record(&mut bytes, &KIND.hash(object), &frame, u32::try_from(frame.len()).unwrap());
        bytes
    }

    fn found(bytes: &[u8]) -> Vec<ContentHash> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let mut found = Vec::new();
        scan(file.path(), KIND, &mut |object| {
            found.push(object.hash);
            Ok(())
        })
        .unwrap();
        found
    }

    #[test]
    fn whole_records_are_found_whatever_lies_between_them() {
        let (first, second) = (record(b"first"), record(&b"second ".repeat(200)));
        let names = [KIND.hash(b"first"), KIND.hash(&b"second ".repeat(200))];
        for len in 0..first.len() {
            let torn = [&header(KIND)[..], &first, &second[..len], &first[..len], &second].concat();
            assert_eq!(found(&torn), names, "torn after {len} bytes");
        }
        // More than a window without a record.
        let zeros = vec![0; WINDOW + WINDOW / 2 + 1];
        assert_eq!(found(&[&header(KIND)[..], &first, &zeros, &second].concat()), names);
    }

    #[test]
    fn a_flipped_bit_costs_no_more_than_its_own_record() {
        let records = [record(b"before"), record(b"hit"), record(b"after")];
        let whole = [&header(KIND)[..], &records.concat()].concat();
        let hit = HEADER_LEN + records[0].len()..HEADER_LEN + records[0].len() + records[1].len();
        for bit in hit.start * 8..hit.end * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let found = found(&flipped);
            assert_eq!(found, [KIND.hash(b"before"), KIND.hash(b"after")], "bit {bit}");
        }
    }

    #[test]
    fn a_segment_of_a_newer_version_or_another_hash_function_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (at, byte) in [(4, 2), (5, HashKind::Blake3.id()), (6, 1)] {
            let mut bytes = header(KIND);
            bytes[at] = byte;
            std::fs::write(file.path(), bytes).unwrap();
            let refused = scan(file.path(), KIND, &mut |_| Ok(()));
            assert!(matches!(refused, Err(Error::NotARepository { .. })), "byte {at}");
        }
    }
}
