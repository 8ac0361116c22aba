// SPDX-License-Identifier: MIT
//! A directory, read into a state.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use cascow_core::blob::{Added, BlobWriter};
use cascow_core::entry::{Entry, EntryKind, MODE_BITS, Note, SYMLINK_MODE, Xattr};
use cascow_core::snapshot::{State, Value};
use cascow_core::store::ObjectStore;
use cascow_core::workspace;
use globset::GlobSet;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::beneath::Beneath;
use super::{Observer, Progress, os_path};
use crate::Error;

/// Bytes read from a file at once.
const READ_LEN: usize = 256 * 1024;

/// What to leave out of a scan.
#[derive(Clone, Debug, Default)]
pub struct ScanOptions {
    /// Paths, relative to the directory, that are left out with all that is below them.
    pub exclude: GlobSet,
    /// Directories that are left out wherever they turn up: the repository that is written to, the place for results.
    pub outside: Vec<PathBuf>,
}

/// A directory as it was read.
#[derive(Clone, Debug, Default)]
pub struct Scan {
    /// Its state.
    pub state: State,
    /// Bytes of file contents.
    pub bytes: u64,
    /// What storing the contents added.
    pub added: Added,
    /// What could not be part of a state.
    pub skipped: Vec<Skipped>,
}

/// Something that was left out of a scan, other than by a wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its path.
    pub path: Vec<u8>,
    /// Why.
    pub reason: &'static str,
}

/// Reads a directory into a state and its files' contents into a store. O(size). Memory: the state and a few chunks.
///
/// A file or directory that vanishes while the scan runs is skipped and reported: it is not there any more. One that cannot
/// be read is an error, since leaving it out would lose it.
///
/// # Errors
/// [`Error::Io`] with the path that cannot be read, or whatever the store's `put` reports.
pub fn scan<S: ObjectStore>(
    dir: &Path,
    store: &S,
    options: &ScanOptions,
    observe: Observer<'_>,
) -> Result<Scan, Error> {
    let look = |path: &PathBuf| {
        let stat = rustix::fs::stat(path).map_err(Error::io("look at", path))?;
        Ok((stat.st_dev, stat.st_ino))
    };
    let outside = options.outside.iter().map(look).collect::<Result<_, Error>>()?;
    let mut scanner = Scanner {
        top: Beneath::open(dir)?,
        store,
        exclude: &options.exclude,
        outside,
        observe,
        buffer: vec![0; READ_LEN],
        scan: Scan::default(),
        groups: HashMap::new(),
        pending: vec![Vec::new()],
    };
    while let Some(path) = scanner.pending.pop() {
        scanner.directory(&path)?;
    }
    scanner.finish()
}

struct Scanner<'a, S> {
    top: Beneath,
    store: &'a S,
    exclude: &'a GlobSet,
    /// Directories to leave out, by device and inode.
    outside: HashSet<(u64, u64)>,
    observe: Observer<'a>,
    buffer: Vec<u8>,
    scan: Scan,
    /// Files with several names, by device and inode: the first one's entry, and all their paths.
    groups: HashMap<(u64, u64), Group>,
    /// Directories still to be read.
    pending: Vec<Vec<u8>>,
}

struct Group {
    entry: Entry,
    note: Note,
    paths: Vec<Vec<u8>>,
}

impl<S: ObjectStore> Scanner<'_, S> {
    fn directory(&mut self, path: &[u8]) -> Result<(), Error> {
        let dir = match self.top.directory(path) {
            Ok(dir) => dir,
            Err(errno) => return self.vanished_or(errno, "open", path),
        };
        if !path.is_empty() {
            let stat = rustix::fs::fstat(&dir).map_err(self.fail("look at", path))?;
            if self.outside.contains(&(stat.st_dev, stat.st_ino)) {
                return Ok(());
            }
            let xattrs = self.xattrs(&dir, path)?;
            let entry =
                Entry { kind: EntryKind::Directory, mode: mode(&stat), xattrs, links: None };
            self.insert(path, &entry, &note(&stat));
        }
        let listing = Dir::read_from(&dir).map_err(self.fail("list", path))?;
        for item in listing {
            let item = item.map_err(self.fail("list", path))?;
            let name = item.file_name().to_bytes();
            if name != b"." && name != b".." {
                let child = if path.is_empty() { name.to_vec() } else { [path, name].join(&b'/') };
                self.child(&dir, name, child)?;
            }
        }
        Ok(())
    }

    fn child(&mut self, dir: &OwnedFd, name: &[u8], path: Vec<u8>) -> Result<(), Error> {
        if self.exclude.is_match(os_path(&path)) {
            return Ok(());
        }
        if !workspace::is_path(&path) {
            let reason = "the path is longer than 4,095 bytes";
            return Err(Error::Misuse(format!(
                "cannot save {:?}: {reason}",
                self.top.full_path(&path)
            )));
        }
        let stat = match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(errno) => return self.vanished_or(errno, "look at", &path),
        };
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind == FileType::Directory {
            self.pending.push(path);
            return Ok(());
        }
        let inode = (stat.st_dev, stat.st_ino);
        if stat.st_nlink > 1
            && let Some(group) = self.groups.get_mut(&inode)
        {
            group.paths.push(path);
            return Ok(());
        }
        let found = match kind {
            FileType::RegularFile => self.file(dir, name, &path)?,
            FileType::Symlink => match rustix::fs::readlinkat(dir, name, Vec::new()) {
                Ok(target) => Some((
                    EntryKind::Symlink { target: target.into_bytes() },
                    Vec::new(),
                    note(&stat),
                )),
                Err(errno) => return self.vanished_or(errno, "read", &path),
            },
            FileType::Fifo => Some((EntryKind::Fifo, Vec::new(), note(&stat))),
            FileType::CharacterDevice | FileType::BlockDevice => {
                let (major, minor) =
                    (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
                let kind = if kind == FileType::BlockDevice {
                    EntryKind::BlockDevice { major, minor }
                } else {
                    EntryKind::CharacterDevice { major, minor }
                };
                Some((kind, Vec::new(), note(&stat)))
            }
            _ => {
                self.skip(
                    path,
                    if kind == FileType::Socket { "a socket" } else { "of unknown kind" },
                );
                return Ok(());
            }
        };
        let Some((kind, xattrs, note)) = found else { return Ok(()) };
        let mode =
            if matches!(kind, EntryKind::Symlink { .. }) { SYMLINK_MODE } else { mode(&stat) };
        let entry = Entry { kind, mode, xattrs, links: None };
        if stat.st_nlink > 1 {
            self.groups.insert(inode, Group { entry, note, paths: vec![path] });
        } else {
            self.insert(&path, &entry, &note);
        }
        Ok(())
    }

    /// A regular file's content, attributes and note; `None` if it vanished.
    fn file(
        &mut self,
        dir: &OwnedFd,
        name: &[u8],
        path: &[u8],
    ) -> Result<Option<(EntryKind, Vec<Xattr>, Note)>, Error> {
        // NONBLOCK: should a pipe have taken the file's place, opening it must not wait for a writer.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mut file = match rustix::fs::openat(dir, name, flags, Mode::empty()) {
            Ok(fd) => File::from(fd),
            Err(errno) => return self.vanished_or(errno, "open", path).map(|()| None),
        };
        let stat = rustix::fs::fstat(&file).map_err(self.fail("look at", path))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            self.skip(path.to_vec(), "changed its kind while it was read");
            return Ok(None);
        }
        let mut writer = BlobWriter::new(self.store);
        let mut len = 0;
        loop {
            let count = match file.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Error::io("read", self.top.full_path(path))(error)),
            };
            writer.write(&self.buffer[..count])?;
            len += count as u64;
            (self.observe)(Progress { entries: 0, bytes: count as u64 });
        }
        let (blob, added) = writer.finish()?;
        self.scan.bytes += len;
        self.scan.added += added;
        let xattrs = self.xattrs(&file, path)?;
        Ok(Some((EntryKind::File(blob.id), xattrs, Note { index: blob.index, ..note(&stat) })))
    }

    /// The `user.*` attributes, ascending by name; none where the filesystem has none.
    fn xattrs(&self, fd: &impl AsFd, path: &[u8]) -> Result<Vec<Xattr>, Error> {
        let fail = |errno| Err(self.fail("read the attributes of", path)(errno));
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

    fn insert(&mut self, path: &[u8], entry: &Entry, note: &Note) {
        self.scan
            .state
            .write(path, Value { bytes: entry.encode().into(), note: note.encode().into() });
        (self.observe)(Progress { entries: 1, bytes: 0 });
    }

    fn skip(&mut self, path: Vec<u8>, reason: &'static str) {
        self.scan.skipped.push(Skipped { path, reason });
    }

    fn fail(&self, operation: &'static str, path: &[u8]) -> impl FnOnce(Errno) -> Error + use<S> {
        Error::io(operation, self.top.full_path(path))
    }

    /// What was listed and is not there any more is skipped; any other failure is one.
    fn vanished_or(
        &mut self,
        errno: Errno,
        operation: &'static str,
        path: &[u8],
    ) -> Result<(), Error> {
        // NOTDIR, LOOP, XDEV: a directory of the path became a file or a link meanwhile.
        if matches!(errno, Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV)
            && !path.is_empty()
        {
            self.skip(path.to_vec(), "vanished while the directory was read");
            Ok(())
        } else {
            Err(self.fail(operation, path)(errno))
        }
    }

    /// Names each group of hard links after its first path.
    fn finish(mut self) -> Result<Scan, Error> {
        for (_, Group { entry, note, mut paths }) in std::mem::take(&mut self.groups) {
            paths.sort();
            // One path of several: the others are outside the directory.
            let links = if paths.len() > 1 { paths.first().cloned() } else { None };
            let entry = Entry { links, ..entry };
            for path in paths {
                self.insert(&path, &entry, &note);
            }
        }
        self.scan.skipped.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(self.scan)
    }
}

fn mode(stat: &Stat) -> u16 {
    u16::try_from(stat.st_mode & u32::from(MODE_BITS)).unwrap_or(MODE_BITS)
}

fn note(stat: &Stat) -> Note {
    Note {
        mtime_secs: stat.st_mtime,
        mtime_nanos: u32::try_from(stat.st_mtime_nsec).unwrap_or(0),
        uid: stat.st_uid,
        gid: stat.st_gid,
        index: None,
    }
}
