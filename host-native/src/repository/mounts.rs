// SPDX-License-Identifier: MIT
//! Records of mounts that outlive the process that made them: `mounts/ID/record`, written and synced before the mount is made.
//!
//! A record keeps its snapshot from being collected and its base from being evicted for as long as it is there. What lies beside
//! it in the directory is the mount's own.
//!
//! | offset | bytes | field |
//! |-------:|------:|-------|
//! | 0 | 8 | magic `CCMT`, version 1, three zero bytes |
//! | 8 | 32 | name of the snapshot |
//! | 40 | 4 | flags, little-endian: 1 writable, 2 the directory was made for it, 4 marks in `user.*`; others are unknown |
//! | 44 | 16 | device and number of the mount namespace, little-endian |
//! | 60 | 2 + n | length, little-endian, and text of the machine's boot id |
//! | | 2 + n | length, little-endian, and name of the base |
//! | | to the end | the directory: an absolute path |

use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use cascow_core::hash::{ContentHash, HASH_LEN};

use crate::Error;
use crate::disk::{Disk, replace};

const HEADER: [u8; 8] = *b"CCMT\x01\0\0\0";

/// More bytes than any record has: its path is within the system's limit of 4,096, and its texts are short.
const MAX_LEN: usize = 16 * 1024;

const WRITABLE: u32 = 1;
const MADE_DIR: u32 = 2;
const USER_MARKS: u32 = 4;

/// What is known of a mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MountRecord {
    /// The snapshot that it shows.
    pub(crate) snapshot: ContentHash,
    /// Whether it can be written to.
    pub(crate) is_writable: bool,
    /// Whether the directory was made for it, and goes with it.
    pub(crate) made_dir: bool,
    /// Whether overlayfs keeps its marks in `user.*`.
    pub(crate) has_user_marks: bool,
    /// The mount namespace that it was made in.
    pub(crate) namespace: (u64, u64),
    /// Which run of the machine that was; empty if nothing tells them apart.
    pub(crate) boot: String,
    /// The base that it stands on.
    pub(crate) base: String,
    /// Where it is, absolute.
    pub(crate) dir: PathBuf,
}

impl MountRecord {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = HEADER.to_vec();
        bytes.extend_from_slice(self.snapshot.as_bytes());
        let flag = |is_set: bool, flag: u32| if is_set { flag } else { 0 };
        let flags = flag(self.is_writable, WRITABLE)
            | flag(self.made_dir, MADE_DIR)
            | flag(self.has_user_marks, USER_MARKS);
        bytes.extend_from_slice(&flags.to_le_bytes());
        bytes.extend_from_slice(&self.namespace.0.to_le_bytes());
        bytes.extend_from_slice(&self.namespace.1.to_le_bytes());
        for text in [&self.boot, &self.base] {
            // Ours, and far shorter; one that was cut would name nothing.
            let len = u16::try_from(text.len()).unwrap_or(0);
            bytes.extend_from_slice(&len.to_le_bytes());
            bytes.extend_from_slice(&text.as_bytes()[..usize::from(len)]);
        }
        bytes.extend_from_slice(self.dir.as_os_str().as_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        const CUT: &str = "the record of a mount is cut off";
        let rest = bytes.strip_prefix(&HEADER).ok_or("this is no record of a mount")?;
        let (snapshot, rest) = rest.split_first_chunk::<HASH_LEN>().ok_or(CUT)?;
        let (flags, rest) = rest.split_first_chunk().ok_or(CUT)?;
        let flags = u32::from_le_bytes(*flags);
        if flags & !(WRITABLE | MADE_DIR | USER_MARKS) != 0 {
            return Err("the record of a mount has flags that this version does not know");
        }
        let (device, rest) = rest.split_first_chunk().ok_or(CUT)?;
        let (number, rest) = rest.split_first_chunk().ok_or(CUT)?;
        let text = |bytes: &[u8]| {
            let text = std::str::from_utf8(bytes);
            text.map(str::to_owned).map_err(|_| "the record of a mount holds what is no text")
        };
        let (boot, rest) = split_counted(rest).ok_or(CUT)?;
        let (base, dir) = split_counted(rest).ok_or(CUT)?;
        if !dir.starts_with(b"/") || dir.contains(&0) {
            return Err("the record of a mount does not say where it is");
        }
        Ok(Self {
            snapshot: ContentHash::from_bytes(*snapshot),
            is_writable: flags & WRITABLE != 0,
            made_dir: flags & MADE_DIR != 0,
            has_user_marks: flags & USER_MARKS != 0,
            namespace: (u64::from_le_bytes(*device), u64::from_le_bytes(*number)),
            boot: text(boot)?,
            base: text(base)?,
            dir: OsString::from_vec(dir.to_vec()).into(),
        })
    }

    /// Writes it into a mount's directory, durably.
    pub(crate) fn write(&self, disk: &dyn Disk, dir: &Path) -> Result<(), Error> {
        replace(disk, &dir.join("record"), &self.encode())
    }

    /// The record in a mount's directory, if the mount came so far as to have one.
    pub(crate) fn read(disk: &dyn Disk, dir: &Path) -> Result<Option<Self>, Error> {
        let path = dir.join("record");
        match disk.read(&path, MAX_LEN) {
            Ok(bytes) => Self::decode(&bytes)
                .map(Some)
                .map_err(|reason| Error::NotARepository { path, reason }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("read", &path)(error)),
        }
    }
}

fn split_counted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::from(u16::from_le_bytes(*len)))
}

/// The directories of all mounts, ascending.
pub(crate) fn list(disk: &dyn Disk, dir: &Path) -> Result<Vec<PathBuf>, Error> {
    match disk.list(dir) {
        Ok(mut names) => {
            names.sort();
            Ok(names.into_iter().map(|name| dir.join(name)).collect())
        }
        // Nobody has mounted anything yet.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(Error::io("list", dir)(error)),
    }
}

/// All records. One that cannot be read may say anything, so it is an error.
pub(crate) fn records(disk: &dyn Disk, dir: &Path) -> Result<Vec<MountRecord>, Error> {
    let read = |dir: &PathBuf| MountRecord::read(disk, dir).transpose();
    list(disk, dir)?.iter().filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> MountRecord {
        MountRecord {
            snapshot: ContentHash::from_bytes([7; HASH_LEN]),
            is_writable: true,
            made_dir: false,
            has_user_marks: true,
            namespace: (4, 0x0102_0304),
            boot: "boot".to_owned(),
            base: "base".to_owned(),
            dir: OsString::from_vec(b"/a\xff".to_vec()).into(),
        }
    }

    #[test]
    fn the_bytes_of_a_record_are_as_specified() {
        let expected = [
            &b"CCMT\x01\0\0\0"[..],
            &[7; 32],
            b"\x05\0\0\0",
            b"\x04\0\0\0\0\0\0\0\x04\x03\x02\x01\0\0\0\0",
            b"\x04\0boot\x04\0base/a\xff",
        ];
        let expected = expected.concat();
        assert_eq!(record().encode(), expected);
        assert_eq!(MountRecord::decode(&expected), Ok(record()));
    }

    #[test]
    fn what_is_no_record_is_refused() {
        let bytes = record().encode();
        // The directory is what is left: a record that lost all of it, or more, says so.
        for len in 0..bytes.len() - 2 {
            assert!(MountRecord::decode(&bytes[..len]).is_err(), "{len} bytes");
        }
        for (at, byte) in [(0, b'X'), (4, 2), (40, 0xFF), (60, 0xFF), (68, b'\xff'), (72, b'x')] {
            let mut damaged = bytes.clone();
            damaged[at] = byte;
            assert!(MountRecord::decode(&damaged).is_err(), "byte {at}");
        }
    }
}
