// SPDX-License-Identifier: MIT
//! One regular file, read as one version of itself.
//!
//! Length and times are compared before and after reading: a file that changed meanwhile is read again, and one that goes on
//! changing is reported. What the filesystem's clock does not tell apart (two writes within one of its ticks, a write through
//! a mapping to a page that is dirty already) is not seen.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek};
use std::os::fd::{AsFd, OwnedFd};

use cascow_core::blob::{Added, Blob, BlobWriter};
use cascow_core::entry::{Entry, EntryKind, MODE_BITS, Note, Xattr};
use cascow_core::snapshot::Value;
use cascow_core::store::ObjectStore;
use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::beneath::{Beneath, Parents};
use super::{Observer, Progress, split};
use crate::Error;

/// Bytes read from a file at once.
const READ_LEN: usize = 256 * 1024;

/// How often a file that changes while it is read is read, in all.
const ATTEMPTS: u32 = 3;

/// What tells one version of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) len: u64,
    /// Seconds and nanoseconds.
    pub(crate) modified: (i64, u32),
    /// The same, of the inode: nobody can set it.
    pub(crate) changed: (i64, u32),
}

impl Stamp {
    pub(crate) fn of(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            len: u64::try_from(stat.st_size).unwrap_or(0),
            modified: (stat.st_mtime, nanos(stat.st_mtime_nsec)),
            changed: (stat.st_ctime, nanos(stat.st_ctime_nsec)),
        }
    }
}

/// What became of reading a file.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It was read.
    Read {
        /// The version it was read as.
        stamp: Stamp,
        /// Its entry, without a group of hard links, and its note, both encoded.
        value: Value,
        /// Bytes of its content.
        len: u64,
        added: Added,
        /// Whether it stayed as it was meanwhile.
        is_settled: bool,
    },
    /// It is not there any more, or something else is: why it is left out.
    Gone(&'static str),
}

/// One thread's means of reading files.
pub(crate) struct FileReader<'a, S> {
    top: &'a Beneath,
    parents: Parents<'a>,
    store: &'a S,
    buffer: Vec<u8>,
}

impl<'a, S: ObjectStore> FileReader<'a, S> {
    pub(crate) fn new(top: &'a Beneath, store: &'a S) -> Self {
        Self { top, parents: Parents::new(top), store, buffer: vec![0; READ_LEN] }
    }

    /// Reads a file and stores its content.
    ///
    /// # Errors
    /// [`Error::Io`] if it is there and cannot be read, [`Error::Store`].
    pub(crate) fn read(&mut self, path: &[u8], observe: Observer<'_>) -> Result<Outcome, Error> {
        let (parent, name) = split(path);
        let mut file = match self.parents.open(parent).and_then(|dir| open(dir, name)) {
            Ok(file) => file,
            Err(errno) if is_gone(errno) => return Ok(Outcome::Gone(VANISHED)),
            Err(errno) => return Err(self.top.fail("open", path)(errno)),
        };
        let mut stat = self.look(&file, path)?;
        let mut added = Added::default();
        let mut attempt = 1;
        loop {
            if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
                return Ok(Outcome::Gone("changed its kind while it was read"));
            }
            let len = Stamp::of(&stat).len;
            let blob = self.content(&mut file, path, len, &mut added, observe)?;
            let xattrs = xattrs(&file, self.top, path)?;
            let after = self.look(&file, path)?;
            let is_settled = Stamp::of(&after) == Stamp::of(&stat);
            if is_settled || attempt == ATTEMPTS {
                observe(Progress::Step { entries: 1, bytes: 0 });
                let kind = EntryKind::File(blob.id);
                let entry = Entry { kind, mode: mode(&stat), xattrs, links: None };
                let note = Note { index: blob.index, ..note(&stat) };
                return Ok(Outcome::Read {
                    stamp: Stamp::of(&stat),
                    value: Value { bytes: entry.encode().into(), note: note.encode().into() },
                    len: blob.id.len(),
                    added,
                    is_settled,
                });
            }
            file.rewind().map_err(Error::io("read", self.top.full_path(path)))?;
            stat = after;
            attempt += 1;
        }
    }

    fn look(&self, file: &File, path: &[u8]) -> Result<Stat, Error> {
        rustix::fs::fstat(file).map_err(self.top.fail("look at", path))
    }

    /// Stores the content of a file that was `len` bytes long just now. That it has grown meanwhile shows in its length after
    /// reading, so it need not be asked for more than that; a file of the kernel's that says nothing of its length is.
    fn content(
        &mut self,
        file: &mut File,
        path: &[u8],
        len: u64,
        added: &mut Added,
        observe: Observer<'_>,
    ) -> Result<Blob, Error> {
        let mut writer = BlobWriter::new(self.store);
        let mut done = 0;
        while len == 0 || done < len {
            let count = match file.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(Error::io("read", self.top.full_path(path))(error)),
            };
            writer.write(&self.buffer[..count])?;
            done += count as u64;
            observe(Progress::Step { entries: 0, bytes: count as u64 });
        }
        let (blob, more) = writer.finish()?;
        *added += more;
        Ok(blob)
    }
}

pub(crate) fn open(dir: &OwnedFd, name: &[u8]) -> Result<File, Errno> {
    // NONBLOCK: should a pipe have taken the file's place, opening it must not wait for a writer.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::openat(dir, name, flags, Mode::empty()).map(File::from)
}

/// Why something is left out that was listed and is not there any more.
pub(crate) const VANISHED: &str = "vanished while the directory was read";

/// Whether an error says that what was listed is not there any more.
pub(crate) fn is_gone(errno: Errno) -> bool {
    // NOTDIR, LOOP, XDEV: a directory of the path became a file or a link meanwhile.
    matches!(errno, Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV)
}

/// The `user.*` attributes, ascending by name; none where the filesystem has none.
pub(crate) fn xattrs(fd: &impl AsFd, top: &Beneath, path: &[u8]) -> Result<Vec<Xattr>, Error> {
    let fail = |errno| Err(top.fail("read the attributes of", path)(errno));
    let mut names = Vec::new();
    loop {
        match rustix::fs::flistxattr_query(fd) {
            Ok(0) | Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
            Ok(_) => {}
            Err(errno) => return fail(errno),
        }
        names.resize(64 * 1024, 0); // XATTR_LIST_MAX: no list is longer
        match rustix::fs::flistxattr(fd, &mut names[..]) {
            Ok(len) => {
                names.truncate(len);
                break;
            }
            Err(Errno::RANGE) => {}
            Err(errno) => return fail(errno),
        }
    }
    let mut xattrs = Vec::new();
    for name in names.split(|byte| *byte == 0).filter(|name| name.starts_with(b"user.")) {
        let mut value = vec![0; 64 * 1024]; // XATTR_SIZE_MAX: no value is longer
        match rustix::fs::fgetxattr(fd, name, &mut value[..]) {
            Ok(len) => value.truncate(len),
            Err(Errno::NODATA) => continue,
            Err(errno) => return fail(errno),
        }
        xattrs.push(Xattr { name: name.to_vec(), value });
    }
    xattrs.sort();
    Ok(xattrs)
}

pub(crate) fn mode(stat: &Stat) -> u16 {
    u16::try_from(stat.st_mode & u32::from(MODE_BITS)).unwrap_or(MODE_BITS)
}

pub(crate) fn note(stat: &Stat) -> Note {
    Note {
        mtime_secs: stat.st_mtime,
        mtime_nanos: nanos(stat.st_mtime_nsec),
        uid: stat.st_uid,
        gid: stat.st_gid,
        index: None,
    }
}

fn nanos(nanos: impl TryInto<u32>) -> u32 {
    nanos.try_into().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use cascow_core::blob;
    use cascow_core::hash::{ContentHash, HashKind};
    use cascow_core::store::{ObjectInfo, Put, StoreError};

    use super::*;
    use crate::directory::{ScanOptions, scan};
    use crate::store::FilesystemStore;

    /// A store that appends to a file before each of the first `times` puts: so the file changes while it is read.
    struct Meddler {
        store: FilesystemStore,
        file: PathBuf,
        times: AtomicUsize,
    }

    impl ObjectStore for Meddler {
        fn hash_kind(&self) -> HashKind {
            self.store.hash_kind()
        }

        fn put(&self, bytes: &[u8]) -> Result<Put, StoreError> {
            let left = |times: usize| times.checked_sub(1);
            if self.times.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).is_ok() {
                let mut file = File::options().append(true).open(&self.file).unwrap();
                file.write_all(b"+").unwrap();
            }
            self.store.put(bytes)
        }

        fn get_within(&self, hash: &ContentHash, limit: u64) -> Result<Vec<u8>, StoreError> {
            self.store.get_within(hash, limit)
        }

        fn exists(&self, hash: &ContentHash) -> Result<bool, StoreError> {
            self.store.exists(hash)
        }

        fn delete(&self, hash: &ContentHash) -> Result<bool, StoreError> {
            self.store.delete(hash)
        }

        fn for_each(
            &self,
            visit: &mut dyn FnMut(ObjectInfo) -> Result<(), StoreError>,
        ) -> Result<(), StoreError> {
            self.store.for_each(visit)
        }
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_is_one_version_or_reported() {
        for (times, is_settled) in [(0, true), (1, true), (2, true), (usize::MAX, false)] {
            let dir = tempfile::tempdir().unwrap();
            let (tree, objects) = (dir.path().join("tree"), dir.path().join("objects"));
            std::fs::create_dir(&tree).unwrap();
            std::fs::create_dir(&objects).unwrap();
            let file = tree.join("log");
            std::fs::write(&file, b"begin").unwrap();
            let store = FilesystemStore::new(HashKind::Sha256, objects);
            let store = Meddler { store, file: file.clone(), times: times.into() };
            let found = scan(&tree, &store, &ScanOptions::default(), &mut |_| {}).unwrap();
            let unsettled: &[&[u8]] = if is_settled { &[] } else { &[b"log"] };
            assert_eq!(found.unsettled, unsettled, "changed {times} times");
            if is_settled {
                let value = found.state.get(b"log").unwrap();
                let entry = Entry::decode(&value.bytes).unwrap();
                let note = Note::decode(&value.note).unwrap();
                let blob = Blob { id: *entry.content().unwrap(), index: note.index };
                let saved = blob::read(&store, &blob, 100).unwrap();
                assert_eq!(saved, std::fs::read(&file).unwrap(), "changed {times} times");
                assert_eq!(found.bytes, saved.len() as u64);
            }
        }
    }
}
