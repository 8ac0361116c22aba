// SPDX-License-Identifier: MIT
//! Files of records that only grow, and of which a crash loses the end at most.
//!
//! Eight bytes of header say what the file is of. Each record then is its length (u32, little-endian), a check of 8 bytes, and
//! its bytes. The check is the beginning of the SHA-256 of the check before it, the length and the bytes: so a record counts
//! only behind those that it was written behind, and what a crash left of a longer end is never taken for a continuation.
//! The first record that does not verify is where the next one is written.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cascow_core::hash::HashKind;

use crate::Error;
use crate::disk::DiskFile;

/// Bytes of the header.
const HEADER_LEN: usize = 8;

/// Bytes before each record's own.
const FRAME_LEN: usize = 12;

/// Longest record, in bytes. Readers refuse more before they allocate; what is written here is far below.
const MAX_RECORD_LEN: usize = 256 << 20;

/// Bytes that are read at once.
const READ_LEN: usize = 1 << 20;

type Check = [u8; 8];

/// A file of records, and how far it was read or written.
#[derive(Debug)]
pub(crate) struct Records {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    end: u64,
    last: Check,
}

impl Records {
    /// A file with this header, which an empty one is given. Stands before the first record.
    ///
    /// # Errors
    /// [`Error::NotARepository`] if it has another header, [`Error::Io`].
    pub(crate) fn open(
        file: Arc<dyn DiskFile>,
        path: &Path,
        header: [u8; HEADER_LEN],
        may_write: bool,
    ) -> Result<Self, Error> {
        let mut found = [0; HEADER_LEN];
        let len = file.read_full_at(&mut found, 0).map_err(Error::io("read", path))?;
        if len < HEADER_LEN && header.starts_with(&found[..len]) {
            // What a crash left of a file that was being made.
            if may_write {
                file.write_all_at(&header, 0).map_err(Error::io("write", path))?;
            }
        } else if found != header {
            let reason = "it is of another kind or version, or damaged";
            return Err(Error::NotARepository { path: path.to_owned(), reason });
        }
        let end = HEADER_LEN as u64;
        Ok(Self { file, path: path.to_owned(), end, last: header })
    }

    /// Shows the records from here to the end, and stands there then.
    ///
    /// # Errors
    /// The visitor's, [`Error::Io`].
    pub(crate) fn read(
        &mut self,
        visit: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut bytes: Vec<u8> = Vec::new();
        let mut used = 0;
        loop {
            match split(&bytes[used..], self.last) {
                Split::Whole { record, check } => {
                    visit(record)?;
                    let len = FRAME_LEN + record.len();
                    used += len;
                    self.end += len as u64;
                    self.last = check;
                }
                Split::Torn => return Ok(()),
                Split::Short { wanted } => {
                    bytes.drain(..used);
                    used = 0;
                    let have = bytes.len();
                    let len = self.file.len().map_err(Error::io("read", &self.path))?;
                    let there = len.saturating_sub(self.end);
                    // A length that the file does not have is not allocated for.
                    if u64::try_from(wanted).unwrap_or(u64::MAX) > there {
                        return Ok(());
                    }
                    bytes.resize(wanted.max(READ_LEN), 0);
                    let at = self.end + have as u64;
                    let found = self.file.read_full_at(&mut bytes[have..], at);
                    let found = found.map_err(Error::io("read", &self.path))?;
                    bytes.truncate(have + found);
                    if bytes.len() < wanted {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Writes a record where this stands, with one call of the system: it survives the end of the process from then on. After an
    /// error the place is the same, and what may have been written of it does not count.
    ///
    /// # Errors
    /// [`Error::Misuse`] for one that is too long, [`Error::Io`].
    pub(crate) fn append(&mut self, record: &[u8]) -> Result<(), Error> {
        let len = u32::try_from(record.len()).ok().filter(|_| record.len() <= MAX_RECORD_LEN);
        let len = len.ok_or_else(|| {
            Error::Misuse(format!("a record of {} bytes is too long to be kept", record.len()))
        })?;
        let check = check(self.last, len, record);
        let mut frame = Vec::with_capacity(FRAME_LEN + record.len());
        frame.extend_from_slice(&len.to_le_bytes());
        frame.extend_from_slice(&check);
        frame.extend_from_slice(record);
        self.file.write_all_at(&frame, self.end).map_err(Error::io("write", &self.path))?;
        self.end += frame.len() as u64;
        self.last = check;
        Ok(())
    }

    /// Makes all of it survive a loss of power.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(crate) fn sync(&self) -> Result<(), Error> {
        self.file.sync().map_err(Error::io("sync", &self.path))
    }
}

enum Split<'b> {
    Whole { record: &'b [u8], check: Check },
    Torn,
    Short { wanted: usize },
}

fn split(bytes: &[u8], last: Check) -> Split<'_> {
    let Some((len, rest)) = bytes.split_first_chunk::<4>() else {
        return Split::Short { wanted: FRAME_LEN };
    };
    let Some((found, rest)) = rest.split_first_chunk::<8>() else {
        return Split::Short { wanted: FRAME_LEN };
    };
    let len = u32::from_le_bytes(*len);
    let Some(record_len) = usize::try_from(len).ok().filter(|len| *len <= MAX_RECORD_LEN) else {
        return Split::Torn;
    };
    match rest.get(..record_len) {
        Some(record) if check(last, len, record) == *found => {
            Split::Whole { record, check: *found }
        }
        Some(_) => Split::Torn,
        None => Split::Short { wanted: FRAME_LEN + record_len },
    }
}

fn check(last: Check, len: u32, record: &[u8]) -> Check {
    let mut hasher = HashKind::Sha256.hasher();
    hasher.update(&last);
    hasher.update(&len.to_le_bytes());
    hasher.update(record);
    let hash = hasher.finish();
    let mut check = Check::default();
    check.copy_from_slice(&hash.as_bytes()[..8]);
    check
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Access, Disk, LinuxDisk};

    const HEADER: [u8; 8] = *b"CCTT\x01\0\0\0";

    fn open(path: &Path) -> Records {
        if !path.exists() {
            LinuxDisk.create(path, 0o600).unwrap();
        }
        Records::open(LinuxDisk.open(path, Access::Write).unwrap(), path, HEADER, true).unwrap()
    }

    fn read(path: &Path) -> (Records, Vec<Vec<u8>>) {
        let (mut records, mut found) = (open(path), Vec::new());
        records
            .read(&mut |record| {
                found.push(record.to_vec());
                Ok(())
            })
            .unwrap();
        (records, found)
    }

    #[test]
    fn whatever_a_crash_leaves_of_the_end_the_whole_records_before_it_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records");
        let mut records = open(&path);
        let wanted: Vec<Vec<u8>> = (0..5_u8).map(|n| vec![n; 100 * usize::from(n)]).collect();
        wanted.iter().for_each(|record| records.append(record).unwrap());
        assert_eq!(read(&path).1, wanted);
        let bytes = std::fs::read(&path).unwrap();
        for len in 0..bytes.len() {
            std::fs::write(&path, &bytes[..len]).unwrap();
            let (mut records, found) = read(&path);
            assert_eq!(found, wanted[..found.len()], "cut to {len}");
            records.append(b"next").unwrap();
            let mut continued = found;
            continued.push(b"next".to_vec());
            assert_eq!(read(&path).1, continued, "cut to {len}");
        }
        for at in 8..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            std::fs::write(&path, &damaged).unwrap();
            let (_, found) = read(&path);
            assert!(found.len() < wanted.len() && found == wanted[..found.len()], "{at}");
        }
    }

    #[test]
    fn what_was_written_behind_a_lost_record_is_no_continuation_of_another() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records");
        let mut records = open(&path);
        for record in [b"one", b"two", b"end"] {
            records.append(record).unwrap();
        }
        // The second was lost with the power, the third was not; then another of the same length takes the second's place.
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[8 + 15 + 12] = b'T';
        std::fs::write(&path, &bytes).unwrap();
        let (mut records, found) = read(&path);
        assert_eq!(found, [b"one".to_vec()]);
        records.append(b"new").unwrap();
        assert_eq!(read(&path).1, [b"one".to_vec(), b"new".to_vec()]);
    }

    #[test]
    fn a_file_of_another_kind_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records");
        std::fs::write(&path, "something else").unwrap();
        let file = LinuxDisk.open(&path, Access::Write).unwrap();
        assert!(Records::open(file, &path, HEADER, true).is_err());
    }
}
