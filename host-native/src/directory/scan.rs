// SPDX-License-Identifier: MIT
//! A directory, read into a state.

use std::collections::{HashMap, HashSet};
use std::mem;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use cascow_core::blob::Added;
use cascow_core::entry::{Entry, EntryKind, Note, SYMLINK_MODE};
use cascow_core::snapshot::{State, Value};
use cascow_core::store::ObjectStore;
use cascow_core::workspace;
use globset::GlobSet;
use rustix::fs::{AtFlags, Dir, FileType};
use rustix::io::Errno;

use super::beneath::Beneath;
use super::file::{FileReader, Outcome, Stamp, VANISHED, Version, is_gone, mode, note, xattrs};
use super::{Observer, Progress, os_path, workers};
use crate::Error;

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
    /// Files that changed each time they were read, ascending: what the state has of each may be of several moments.
    pub unsettled: Vec<Vec<u8>>,
}

/// Something that was left out of a scan, other than by a wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its path.
    pub path: Vec<u8>,
    /// Why.
    pub reason: &'static str,
}

/// Reads a directory into a state and its files' contents into a store, with a thread for each core if there is enough to do.
/// O(size). Memory: the state and its paths once more, and some 400 KiB a thread, whatever the files' lengths.
///
/// A file or directory that vanishes while the scan runs is skipped and reported: it is not there any more. One that cannot
/// be read is an error, since leaving it out would lose it. All directories are walked before the first file is read.
///
/// # Errors
/// [`Error::Io`] with the path that cannot be read, or whatever the store's `put` reports: of several, what the walk met first.
pub fn scan<S: ObjectStore + Sync>(
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
    let top = Beneath::open(dir)?;
    let mut scanner = Scanner {
        top: &top,
        exclude: &options.exclude,
        outside,
        observe,
        scan: Scan::default(),
        groups: HashMap::new(),
        pending: vec![Vec::new()],
        files: Vec::new(),
    };
    scanner.walk()?;
    let bytes = total_len(&scanner.files);
    (scanner.observe)(Progress::Total { bytes });
    while !scanner.files.is_empty() {
        scanner.read_files(store)?;
    }
    Ok(scanner.finish())
}

struct Scanner<'a> {
    top: &'a Beneath,
    exclude: &'a GlobSet,
    /// Directories to leave out, by device and inode.
    outside: HashSet<(u64, u64)>,
    observe: Observer<'a>,
    scan: Scan,
    /// What has several names, by device and inode.
    groups: HashMap<(u64, u64), Group>,
    /// Directories still to be walked.
    pending: Vec<Vec<u8>>,
    /// Files still to be read, in the order in which they were met.
    files: Vec<FoundFile>,
}

/// A regular file that the walk met.
struct FoundFile {
    path: Vec<u8>,
    stamp: Stamp,
    is_linked: bool,
}

/// Bytes of files together, as far as 64 bits go: sparse files may claim any lengths.
fn total_len(files: &[FoundFile]) -> u64 {
    files.iter().map(|file| file.stamp.len).fold(0, u64::saturating_add)
}

/// A group of hard links.
struct Group {
    /// All paths, in the order in which they were met. A file is read by the first.
    paths: Vec<Vec<u8>>,
    /// What they all are; `None` until the file is read.
    content: Option<(Entry, Note)>,
}

impl Scanner<'_> {
    /// Takes in all that is no regular file, and lists the files.
    fn walk(&mut self) -> Result<(), Error> {
        while let Some(path) = self.pending.pop() {
            self.directory(&path)?;
        }
        Ok(())
    }

    fn directory(&mut self, path: &[u8]) -> Result<(), Error> {
        let dir = match self.top.directory(path) {
            Ok(dir) => dir,
            Err(errno) => return self.vanished_or(errno, "open", path),
        };
        if !path.is_empty() {
            let stat = rustix::fs::fstat(&dir).map_err(self.top.fail("look at", path))?;
            if self.outside.contains(&(stat.st_dev, stat.st_ino)) {
                return Ok(());
            }
            let xattrs = xattrs(&dir, self.top, path)?;
            let entry =
                Entry { kind: EntryKind::Directory, mode: mode(&stat), xattrs, links: None };
            self.insert(path, &entry, &note(&stat));
        }
        let listing = Dir::read_from(&dir).map_err(self.top.fail("list", path))?;
        for item in listing {
            let item = item.map_err(self.top.fail("list", path))?;
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
        let is_linked = stat.st_nlink > 1;
        if is_linked && let Some(group) = self.groups.get_mut(&inode) {
            group.paths.push(path);
            return Ok(());
        }
        let kind = match kind {
            FileType::RegularFile => {
                if is_linked {
                    self.groups.insert(inode, Group { paths: vec![path.clone()], content: None });
                }
                self.files.push(FoundFile { path, stamp: Stamp::of(&stat), is_linked });
                return Ok(());
            }
            FileType::Symlink => match rustix::fs::readlinkat(dir, name, Vec::new()) {
                Ok(target) => EntryKind::Symlink { target: target.into_bytes() },
                Err(errno) => return self.vanished_or(errno, "read", &path),
            },
            FileType::Fifo => EntryKind::Fifo,
            FileType::CharacterDevice | FileType::BlockDevice => {
                let (major, minor) =
                    (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
                if kind == FileType::BlockDevice {
                    EntryKind::BlockDevice { major, minor }
                } else {
                    EntryKind::CharacterDevice { major, minor }
                }
            }
            FileType::Socket => {
                self.skip(path, "a socket");
                return Ok(());
            }
            _ => {
                self.skip(path, "of unknown kind");
                return Ok(());
            }
        };
        let mode =
            if matches!(kind, EntryKind::Symlink { .. }) { SYMLINK_MODE } else { mode(&stat) };
        let entry = Entry { kind, mode, xattrs: Vec::new(), links: None };
        let note = note(&stat);
        if is_linked {
            self.groups.insert(inode, Group { paths: vec![path], content: Some((entry, note)) });
        } else {
            self.insert(&path, &entry, &note);
        }
        Ok(())
    }

    /// Reads the files that are listed. Should a hard link's first path have vanished, the next one is listed in its place.
    fn read_files<S: ObjectStore + Sync>(&mut self, store: &S) -> Result<(), Error> {
        let files = mem::take(&mut self.files);
        let outcomes = workers::map(
            workers::threads_for(files.len(), total_len(&files)),
            &files,
            || FileReader::new(self.top, store),
            |reader, file, observe| reader.read(&file.path, observe),
            self.observe,
        )?;
        for (file, outcome) in files.into_iter().zip(outcomes) {
            self.take(file, outcome);
        }
        Ok(())
    }

    fn take(&mut self, FoundFile { path, stamp, is_linked }: FoundFile, outcome: Outcome) {
        let inode = (stamp.device, stamp.inode);
        match outcome {
            Outcome::Read { version, added, is_settled } => {
                let Version { entry, note, .. } = *version;
                self.scan.added += added;
                self.scan.bytes += entry.content().map_or(0, |content| content.len());
                if !is_settled {
                    self.scan.unsettled.push(path.clone());
                }
                match self.groups.get_mut(&inode) {
                    Some(group) if is_linked => group.content = Some((entry, note)),
                    _ => self.write(&path, &entry, &note),
                }
            }
            Outcome::Gone(reason) => {
                if is_linked && let Some(group) = self.groups.get_mut(&inode) {
                    group.paths.remove(0);
                    if let Some(next) = group.paths.first() {
                        self.files.push(FoundFile { path: next.clone(), stamp, is_linked });
                    }
                }
                self.skip(path, reason);
            }
        }
    }

    fn insert(&mut self, path: &[u8], entry: &Entry, note: &Note) {
        self.write(path, entry, note);
        (self.observe)(Progress::Step { entries: 1, bytes: 0 });
    }

    fn write(&mut self, path: &[u8], entry: &Entry, note: &Note) {
        let value = Value { bytes: entry.encode().into(), note: note.encode().into() };
        self.scan.state.write(path, value);
    }

    fn skip(&mut self, path: Vec<u8>, reason: &'static str) {
        self.scan.skipped.push(Skipped { path, reason });
    }

    /// What was listed and is not there any more is skipped; any other failure is one.
    fn vanished_or(
        &mut self,
        errno: Errno,
        operation: &'static str,
        path: &[u8],
    ) -> Result<(), Error> {
        if is_gone(errno) && !path.is_empty() {
            self.skip(path.to_vec(), VANISHED);
            Ok(())
        } else {
            Err(self.top.fail(operation, path)(errno))
        }
    }

    /// Names each group of hard links after its first path.
    fn finish(mut self) -> Scan {
        for (_, Group { mut paths, content }) in mem::take(&mut self.groups) {
            let Some((entry, note)) = content else { continue };
            paths.sort();
            // One path of several: the others are outside the directory.
            let links = if paths.len() > 1 { paths.first().cloned() } else { None };
            let entry = Entry { links, ..entry };
            for path in paths {
                self.write(&path, &entry, &note);
            }
        }
        self.scan.skipped.sort_by(|a, b| a.path.cmp(&b.path));
        self.scan.unsettled.sort();
        self.scan
    }
}
