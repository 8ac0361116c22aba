// SPDX-License-Identifier: MIT
//! The segment that a process appends to, held by a kernel lock as long as it does.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use cascow_core::hash::HashKind;
use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::format::{HEADER_LEN, header};
use crate::Error;

/// A segment that is this long is not appended to any more, so that rewriting one stays a small task. A batch is never split, so
/// one can be longer by as much.
const FULL: u64 = 128 << 20;

/// How many segments a writer tries to go on with before it begins one of its own: as many as writers may have been killed at
/// once.
const CANDIDATES: usize = 16;

/// A segment's number, which names its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SegmentNumber(pub(super) u32);

impl SegmentNumber {
    pub(super) fn path(self, dir: &Path) -> PathBuf {
        dir.join(format!("{:08x}", self.0))
    }
}

/// The segments in a directory, ascending.
pub(super) fn list(dir: &Path) -> Result<Vec<SegmentNumber>, Error> {
    let mut numbers = Vec::new();
    for file in fs::read_dir(dir).map_err(Error::io("list", dir))? {
        let name = file.map_err(Error::io("list", dir))?.file_name();
        // What does not bear a name of ours is not ours.
        let Some(name) = name.to_str().filter(|name| name.len() == 8) else { continue };
        numbers.extend(u32::from_str_radix(name, 16).ok().map(SegmentNumber));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Makes a segment's bytes survive a loss of power, and its name.
pub(super) fn sync(dir: &Path, number: SegmentNumber) -> Result<(), Error> {
    let path = number.path(dir);
    File::open(&path).and_then(|file| file.sync_data()).map_err(Error::io("sync", &path))?;
    sync_names(dir)
}

fn sync_names(dir: &Path) -> Result<(), Error> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(Error::io("sync", dir))
}

/// A segment with its lock.
#[derive(Debug)]
pub(super) struct SegmentWriter {
    dir: PathBuf,
    number: SegmentNumber,
    path: PathBuf,
    file: File,
    /// Whether the segment's name is known to survive: another may have made it, and been killed before it did.
    named: bool,
}

impl SegmentWriter {
    /// Goes on with a segment that nobody holds and that has room, or begins one.
    pub(super) fn open(dir: &Path, kind: HashKind) -> Result<Self, Error> {
        let numbers = list(dir)?;
        for number in numbers.iter().rev().take(CANDIDATES) {
            if let Some(writer) = Self::resume(dir, kind, *number)? {
                return Ok(writer);
            }
        }
        let mut number = numbers.last().map_or(0, |number| number.0);
        loop {
            number = number.checked_add(1).ok_or_else(|| Error::NotARepository {
                path: dir.to_owned(),
                reason: "there is no number left for another segment",
            })?;
            if let Some(writer) = Self::begin(dir, kind, SegmentNumber(number))? {
                return Ok(writer);
            }
        }
    }

    fn resume(dir: &Path, kind: HashKind, number: SegmentNumber) -> Result<Option<Self>, Error> {
        let path = number.path(dir);
        let file = match File::options().read(true).write(true).open(&path) {
            Ok(file) => file,
            // Gone meanwhile, or another user's.
            Err(error) => match error.kind() {
                std::io::ErrorKind::NotFound | std::io::ErrorKind::PermissionDenied => {
                    return Ok(None);
                }
                _ => return Err(Error::io("open", &path)(error)),
            },
        };
        if !lock(&file, &path)? || is_full(&file, &path)? {
            return Ok(None);
        }
        let mut found = [0; HEADER_LEN];
        // Shorter than a header: who began it was killed.
        let is_ours = file.read_exact_at(&mut found, 0).is_ok() && found == header(kind);
        Ok(is_ours.then(|| Self { dir: dir.to_owned(), number, path, file, named: false }))
    }

    /// `None` if another process was first.
    fn begin(dir: &Path, kind: HashKind, number: SegmentNumber) -> Result<Option<Self>, Error> {
        let path = number.path(dir);
        let file = match File::options().read(true).write(true).create_new(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Ok(None),
            Err(error) => return Err(Error::io("create", &path)(error)),
        };
        if !lock(&file, &path)? {
            return Ok(None);
        }
        file.write_all_at(&header(kind), 0).map_err(Error::io("write", &path))?;
        Ok(Some(Self { dir: dir.to_owned(), number, path, file, named: false }))
    }

    pub(super) fn is_full(&self) -> Result<bool, Error> {
        is_full(&self.file, &self.path)
    }

    /// Writes bytes at the end, behind whatever is there; gives their place.
    pub(super) fn append(&self, bytes: &[u8]) -> Result<(SegmentNumber, u64), Error> {
        let end = self.file.metadata().map_err(Error::io("look at", &self.path))?.len();
        self.file.write_all_at(bytes, end).map_err(Error::io("write", &self.path))?;
        Ok((self.number, end))
    }

    /// Makes what was appended survive a loss of power.
    pub(super) fn sync(&mut self) -> Result<(), Error> {
        self.file.sync_data().map_err(Error::io("sync", &self.path))?;
        if !self.named {
            sync_names(&self.dir)?;
            self.named = true;
        }
        Ok(())
    }
}

fn is_full(file: &File, path: &Path) -> Result<bool, Error> {
    Ok(file.metadata().map_err(Error::io("look at", path))?.len() >= FULL)
}

/// False if another process holds it.
fn lock(file: &File, path: &Path) -> Result<bool, Error> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(Error::io("lock", path)(error)),
    }
}
