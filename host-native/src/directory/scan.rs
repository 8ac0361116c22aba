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
use rustix::fs::{AtFlags, FileType, RawDir};
use rustix::io::Errno;

use super::beneath::Beneath;
use super::file::{FileReader, Outcome, Stamp, VANISHED, is_gone, mode, note, xattrs};
use super::known::{Instant, Known};
use super::{LISTING_LEN, Observer, Progress, os_path, workers};
use crate::Error;

/// What to leave out of a scan, and what it knows beforehand.
#[derive(Clone, Debug, Default)]
pub struct ScanOptions {
    /// Paths, relative to the directory, that are left out with all that is below them.
    pub exclude: GlobSet,
    /// Directories that are left out wherever they turn up: the repository that is written to, the place for results.
    pub outside: Vec<PathBuf>,
    /// What an earlier scan of the directory into the same store knew, of which nothing was deleted since; empty for a first one.
    /// With `None`, nothing is remembered either.
    pub known: Option<Known>,
}

/// A directory as it was read.
#[derive(Clone, Debug, Default)]
pub struct Scan {
    /// Its state.
    pub state: State,
    /// Bytes of file contents.
    pub bytes: u64,
    /// Files that were read, because they were not known or had changed.
    pub read: u64,
    /// What storing the contents added.
    pub added: Added,
    /// What could not be part of a state.
    pub skipped: Vec<Skipped>,
    /// Files that changed each time they were read, ascending: what the state has of each may be of several moments.
    pub unsettled: Vec<Vec<u8>>,
    /// What a later scan need not read again, if it was asked for.
    pub known: Known,
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
/// O(size); a `stat` for each file that is known. Memory: the state and its paths once more, what is known, and some 400 KiB a
/// thread, whatever the files' lengths.
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
    let walk = Walk { top: &top, options, outside };
    let mut scanner = Scanner {
        top: &top,
        known: options.known.as_ref().map(|_| Known::default()),
        began: Instant::now(),
        observe,
        scan: Scan::default(),
        entries: Vec::new(),
        groups: HashMap::new(),
        files: Vec::new(),
    };
    scanner.walk(&walk)?;
    let bytes = total_len(&scanner.files);
    (scanner.observe)(Progress::Total { bytes });
    while !scanner.files.is_empty() {
        scanner.read_files(store)?;
    }
    Ok(scanner.finish())
}

/// Where a walk goes.
struct Walk<'a> {
    top: &'a Beneath,
    options: &'a ScanOptions,
    /// Directories to leave out, by device and inode.
    outside: HashSet<(u64, u64)>,
}

/// What a directory holds.
#[derive(Default)]
struct Listed {
    /// Its own value; the top has none.
    own: Option<Value>,
    /// Paths of the directories in it.
    directories: Vec<Vec<u8>>,
    /// All that is in it and no directory.
    items: Vec<Item>,
    skipped: Vec<Skipped>,
}

/// Something that is no directory.
struct Item {
    path: Vec<u8>,
    stamp: Stamp,
    is_file: bool,
    is_linked: bool,
    /// Its value, without a group of hard links; `None` for a file that is to be read.
    value: Option<Value>,
}

impl Walk<'_> {
    /// Looks at all that a directory holds.
    fn directory(&self, path: &[u8], buffer: &mut Vec<u8>) -> Result<Listed, Error> {
        let mut listed = Listed::default();
        let dir = match self.top.directory(path) {
            Ok(dir) => dir,
            Err(errno) => {
                return self.vanished_or(errno, "open", path, &mut listed).map(|()| listed);
            }
        };
        if !path.is_empty() {
            let stat = rustix::fs::fstat(&dir).map_err(self.top.fail("look at", path))?;
            if self.outside.contains(&(stat.st_dev, stat.st_ino)) {
                return Ok(listed);
            }
            let xattrs = xattrs(&dir, self.top, path)?;
            let entry =
                Entry { kind: EntryKind::Directory, mode: mode(&stat), xattrs, links: None };
            listed.own = Some(encode(&entry, &note(&stat)));
        }
        let mut listing = RawDir::new(&dir, buffer.spare_capacity_mut());
        while let Some(item) = listing.next() {
            let item = match item {
                Ok(item) => item,
                // Removed since it was opened: there is nothing more in it.
                Err(Errno::NOENT) => break,
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(self.top.fail("list", path)(errno)),
            };
            let name = item.file_name().to_bytes();
            if name != b"." && name != b".." {
                let child = if path.is_empty() { name.to_vec() } else { [path, name].join(&b'/') };
                self.child(&dir, name, child, &mut listed)?;
            }
        }
        Ok(listed)
    }

    fn child(
        &self,
        dir: &OwnedFd,
        name: &[u8],
        path: Vec<u8>,
        listed: &mut Listed,
    ) -> Result<(), Error> {
        let exclude = &self.options.exclude;
        if !exclude.is_empty() && exclude.is_match(os_path(&path)) {
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
            Err(errno) => return self.vanished_or(errno, "look at", &path, listed),
        };
        let (stamp, is_linked) = (Stamp::of(&stat), stat.st_nlink > 1);
        let file_type = FileType::from_raw_mode(stat.st_mode);
        let kind = match file_type {
            FileType::Directory => {
                listed.directories.push(path);
                return Ok(());
            }
            FileType::RegularFile => {
                let value = self.options.known.as_ref().and_then(|known| known.get(&stamp));
                // A member of a group is decoded later.
                let is_usable = |value: &&Value| !is_linked || Entry::decode(&value.bytes).is_ok();
                let value = value.filter(is_usable).cloned();
                listed.items.push(Item { path, stamp, is_file: true, is_linked, value });
                return Ok(());
            }
            FileType::Symlink => match rustix::fs::readlinkat(dir, name, Vec::new()) {
                Ok(target) => EntryKind::Symlink { target: target.into_bytes() },
                Err(errno) => return self.vanished_or(errno, "read", &path, listed),
            },
            FileType::Fifo => EntryKind::Fifo,
            FileType::CharacterDevice | FileType::BlockDevice => {
                let (major, minor) =
                    (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
                if file_type == FileType::BlockDevice {
                    EntryKind::BlockDevice { major, minor }
                } else {
                    EntryKind::CharacterDevice { major, minor }
                }
            }
            FileType::Socket => {
                listed.skipped.push(Skipped { path, reason: "a socket" });
                return Ok(());
            }
            _ => {
                listed.skipped.push(Skipped { path, reason: "of unknown kind" });
                return Ok(());
            }
        };
        let mode =
            if matches!(kind, EntryKind::Symlink { .. }) { SYMLINK_MODE } else { mode(&stat) };
        let entry = Entry { kind, mode, xattrs: Vec::new(), links: None };
        let value = Some(encode(&entry, &note(&stat)));
        listed.items.push(Item { path, stamp, is_file: false, is_linked, value });
        Ok(())
    }

    /// What was listed and is not there any more is skipped; any other failure is one.
    fn vanished_or(
        &self,
        errno: Errno,
        operation: &'static str,
        path: &[u8],
        listed: &mut Listed,
    ) -> Result<(), Error> {
        if is_gone(errno) && !path.is_empty() {
            listed.skipped.push(Skipped { path: path.to_vec(), reason: VANISHED });
            Ok(())
        } else {
            Err(self.top.fail(operation, path)(errno))
        }
    }
}

fn encode(entry: &Entry, note: &Note) -> Value {
    Value { bytes: entry.encode().into(), note: note.encode().into() }
}

struct Scanner<'a> {
    top: &'a Beneath,
    /// What the next scan is to know, if anything.
    known: Option<Known>,
    began: Instant,
    observe: Observer<'a>,
    scan: Scan,
    /// What the state is to hold, in no order.
    entries: Vec<(Vec<u8>, Value)>,
    /// What has several names, by device and inode.
    groups: HashMap<(u64, u64), Group>,
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
    value: Option<Value>,
}

impl Scanner<'_> {
    /// Takes in all but the files that are to be read, and lists those. Goes down level by level, each level by all threads.
    fn walk(&mut self, walk: &Walk<'_>) -> Result<(), Error> {
        let mut level = vec![Vec::new()];
        while !level.is_empty() {
            let listed = workers::map(
                workers::threads_for(level.len(), 0),
                &level,
                || Vec::with_capacity(LISTING_LEN),
                |buffer, path, _| walk.directory(path, buffer),
                self.observe,
            )?;
            let mut below = Vec::new();
            for (path, listed) in mem::take(&mut level).into_iter().zip(listed) {
                if let Some(value) = listed.own {
                    self.insert(path, value);
                }
                below.extend(listed.directories);
                self.scan.skipped.extend(listed.skipped);
                for item in listed.items {
                    self.item(item);
                }
            }
            level = below;
        }
        Ok(())
    }

    fn item(&mut self, Item { path, stamp, is_file, is_linked, value }: Item) {
        if is_linked {
            let inode = (stamp.device, stamp.inode);
            if let Some(group) = self.groups.get_mut(&inode) {
                group.paths.push(path);
                return;
            }
            self.groups.insert(inode, Group { paths: vec![path.clone()], value: None });
        }
        match value {
            Some(value) => {
                if is_file {
                    self.scan.bytes += stamp.len;
                    self.remember(stamp, &value);
                }
                (self.observe)(Progress::Step { entries: 1, bytes: 0 });
                self.place(path, stamp, is_linked, value);
            }
            None => self.files.push(FoundFile { path, stamp, is_linked }),
        }
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
        match outcome {
            Outcome::Read { stamp: read, value, len, added, is_settled } => {
                self.scan.read += 1;
                self.scan.added += added;
                self.scan.bytes += len;
                if is_settled {
                    self.remember(read, &value);
                } else {
                    self.scan.unsettled.push(path.clone());
                }
                self.place(path, stamp, is_linked, value);
            }
            Outcome::Gone(reason) => {
                if is_linked && let Some(group) = self.groups.get_mut(&(stamp.device, stamp.inode))
                {
                    group.paths.remove(0);
                    if let Some(next) = group.paths.first() {
                        self.files.push(FoundFile { path: next.clone(), stamp, is_linked });
                    }
                }
                self.scan.skipped.push(Skipped { path, reason });
            }
        }
    }

    fn remember(&mut self, stamp: Stamp, value: &Value) {
        if let Some(known) = &mut self.known {
            known.insert(stamp, value.clone(), self.began);
        }
    }

    /// Enters what something is under its path, or in its group of hard links.
    fn place(&mut self, path: Vec<u8>, stamp: Stamp, is_linked: bool, value: Value) {
        match self.groups.get_mut(&(stamp.device, stamp.inode)) {
            Some(group) if is_linked => group.value = Some(value),
            _ => self.entries.push((path, value)),
        }
    }

    fn insert(&mut self, path: Vec<u8>, value: Value) {
        self.entries.push((path, value));
        (self.observe)(Progress::Step { entries: 1, bytes: 0 });
    }

    /// Names each group of hard links after its first path.
    fn finish(mut self) -> Scan {
        for (_, Group { mut paths, value }) in mem::take(&mut self.groups) {
            let Some(value) = value else { continue };
            paths.sort();
            // One path of several: the others are outside the directory.
            let links = if paths.len() > 1 { paths.first().cloned() } else { None };
            // UNWRAP: encoded by this scan, or decoded before it was taken from what is known.
            let entry = Entry::decode(&value.bytes).expect("a member of a group is an entry");
            let value = Value { bytes: Entry { links, ..entry }.encode().into(), ..value };
            self.entries.extend(paths.into_iter().map(|path| (path, value.clone())));
        }
        self.scan.state = self.entries.into_iter().collect();
        self.scan.known = self.known.unwrap_or_default();
        self.scan.skipped.sort_by(|a, b| a.path.cmp(&b.path));
        self.scan.unsettled.sort();
        self.scan
    }
}
