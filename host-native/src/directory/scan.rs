// SPDX-License-Identifier: MIT
//! A directory, read into a state.

use std::collections::HashMap;
use std::mem;
use std::path::{Path, PathBuf};

use cascow_core::blob::Added;
use cascow_core::entry::Entry;
use cascow_core::snapshot::{State, Value};
use cascow_core::store::ObjectStore;
use globset::GlobSet;

use super::beneath::Beneath;
use super::file::{FileReader, Outcome, Stamp};
use super::known::{Known, Learned};
use super::walk::{Item, Met, Walk};
use super::{Observer, Progress, workers};
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
    /// What a later scan need not read again, beside what this one knew, if it was told anything.
    pub learned: Learned,
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
/// O(size); a `stat` for each file that is known. Memory: the state, the paths of files to be read, what is known, and some
/// 400 KiB a thread, whatever the files' lengths.
///
/// A file or directory that vanishes while the scan runs is skipped and reported: it is not there any more. One that cannot
/// be read is an error, since leaving it out would lose it. All directories are walked before the first file is read.
///
/// # Errors
/// [`Error::Io`] with the path that cannot be read, or whatever the store's `put` reports: of several, the first in the order of
/// paths, directories before files.
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
        options,
        observe,
        // What changes from here on is not remembered.
        scan: Scan::default(),
        entries: Vec::new(),
        groups: HashMap::new(),
        files: Vec::new(),
    };
    let met = walk.all(scanner.observe)?;
    scanner.take_in(met);
    let bytes = total_len(&scanner.files);
    (scanner.observe)(Progress::Total { bytes });
    while !scanner.files.is_empty() {
        scanner.read_files(store)?;
    }
    Ok(scanner.finish())
}

struct Scanner<'a> {
    top: &'a Beneath,
    options: &'a ScanOptions,
    observe: Observer<'a>,
    scan: Scan,
    /// What the state is to hold, ascending by path in a few long runs: so a state is made of them without much sorting.
    entries: Vec<(Box<[u8]>, Value)>,
    /// What has several names, by device and inode.
    groups: HashMap<(u64, u64), Group>,
    /// Files still to be read, ascending by path.
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
    /// All paths, ascending. A file is read by the first.
    paths: Vec<Vec<u8>>,
    /// What they all are; `None` until the file is read.
    value: Option<Value>,
}

impl Scanner<'_> {
    /// Takes in what a walk met, and lists the files that are to be read.
    fn take_in(&mut self, met: Met) {
        self.entries = met.entries;
        self.scan.learned.keep(met.kept);
        self.scan.bytes = met.kept_bytes;
        self.scan.skipped = met.skipped;
        let mut items = met.items;
        // Which thread met what must not show: not in the order of reading, hence of failures, nor in who is read for a group.
        items.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        for item in items {
            self.item(item);
        }
    }

    fn item(&mut self, Item { path, stamp, is_linked, value, place }: Item) {
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
                if let Some(place) = place {
                    self.scan.bytes = self.scan.bytes.saturating_add(stamp.len);
                    self.scan.learned.keep([place]);
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
        if self.options.known.is_some() {
            self.scan.learned.remember(stamp, value.clone());
        }
    }

    /// Enters what something is under its path, or in its group of hard links.
    fn place(&mut self, path: Vec<u8>, stamp: Stamp, is_linked: bool, value: Value) {
        match self.groups.get_mut(&(stamp.device, stamp.inode)) {
            Some(group) if is_linked => group.value = Some(value),
            _ => self.entries.push((path.into(), value)),
        }
    }

    /// Names each group of hard links after its first path.
    fn finish(mut self) -> Scan {
        for (_, Group { paths, value }) in mem::take(&mut self.groups) {
            let Some(value) = value else { continue };
            // One path of several: the others are outside the directory.
            let links = if paths.len() > 1 { paths.first().cloned() } else { None };
            // UNWRAP: encoded by this scan, or decoded before it was taken from what is known.
            let entry = Entry::decode(&value.bytes).expect("a member of a group is an entry");
            let value = Value { bytes: Entry { links, ..entry }.encode().into(), ..value };
            self.entries.extend(paths.into_iter().map(|path| (path.into(), value.clone())));
        }
        self.scan.state = self.entries.into_iter().collect();
        self.scan.skipped.sort_by(|a, b| a.path.cmp(&b.path));
        self.scan.unsettled.sort();
        self.scan
    }
}
