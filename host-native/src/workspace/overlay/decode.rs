// SPDX-License-Identifier: MIT
//! What a frozen upper layer changed, as a delta. Costs what was changed, whatever the size of the tree.
//!
//! The upper layer says what became of each path that was touched; what it does not mention is as in the state below. Directories
//! that were renamed refer to their former place, and whole files may refer to content below.
//!
//! Names of one file are told by its inode. Those of a group that was below already share an inode only where the kernel has
//! copied them up, so a group that was touched in part is to be copied up whole first: [`Decoded::untouched`] says which
//! names are left.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path as FsPath, PathBuf};

use cascow_core::entry::{Entry, EntryKind, Note, SYMLINK_MODE};
use cascow_core::snapshot::{Delta, Value, ValueRef};
use cascow_core::store::ObjectStore;
use cascow_core::workspace as core_workspace;
use rustix::fs::{AtFlags, FileType, RawDir, Stat};
use rustix::io::Errno;

use super::super::entries::Entries;
use super::super::namespace::Marks;
use super::layer::INODE_BYTES;
use super::marks::{self, Found, Unreadable};
use crate::Error;
use crate::directory::beneath::Beneath;
use crate::directory::file::{self, FileReader, Outcome};
use crate::directory::{LISTING_LEN, Skipped, workers};

/// What an upper layer comes to.
#[derive(Debug, Default)]
pub(in super::super) struct Decoded {
    pub(in super::super) delta: Delta,
    /// What could not be part of a state.
    pub(in super::super) skipped: Vec<Skipped>,
    /// Bytes that the layer takes on disk, about.
    pub(in super::super) bytes: u64,
    /// Names of hard-linked files that still are the lower layers', while other names of theirs are not any more.
    pub(in super::super) untouched: Vec<Vec<u8>>,
}

/// One file's identity: paths with the same one are names of one file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Identity {
    /// In the upper layer, by inode.
    Upper(u64),
    /// In the state below, by the path that names its group.
    Lower(Vec<u8>),
}

/// What a path holds now.
#[derive(Clone, Debug)]
struct Now {
    entry: Entry,
    note: Note,
    /// What it may share with other paths.
    identity: Option<Identity>,
}

/// A file of the upper layer whose content is to be read.
struct ToRead {
    /// Its names, one or more.
    paths: Vec<Vec<u8>>,
    found: Found,
    stat: Stat,
}

/// Reads an upper layer that nobody writes to any more. `has_copies` says whether the kernel has copied hard-linked files up,
/// which shows through those of their names that still are the lower layers'.
///
/// # Errors
/// [`Error::Io`]; [`Error::Unavailable`] if the kernel left marks in it that this version does not know.
pub(in super::super) fn decode<S: ObjectStore + Sync>(
    upper: &FsPath,
    below: &Entries,
    marks: Marks,
    has_copies: bool,
    store: &S,
) -> Result<Decoded, Error> {
    let top = Beneath::open(upper)?;
    let mut decoder = Decoder {
        top: &top,
        below,
        marks,
        has_copies,
        changes: BTreeMap::new(),
        to_read: Vec::new(),
        linked: HashMap::new(),
        decoded: Decoded::default(),
    };
    let root = top.directory(b"").map_err(top.fail("open", b""))?;
    decoder.directory(&root, b"", Some(Vec::new()))?;
    decoder.read_files(store)?;
    decoder.regroup()?;
    Ok(decoder.finish())
}

struct Decoder<'a> {
    top: &'a Beneath,
    below: &'a Entries,
    marks: Marks,
    has_copies: bool,
    /// What was touched; `None` is nothing there. May hold what did not change after all.
    changes: BTreeMap<Vec<u8>, Option<Now>>,
    to_read: Vec<ToRead>,
    /// Where in that list a file of several names is, by inode.
    linked: HashMap<u64, usize>,
    decoded: Decoded,
}

impl Decoder<'_> {
    /// Takes in what an upper directory holds. `lower` is the directory of the state below that shows through it, if one does.
    fn directory(
        &mut self,
        dir: &OwnedFd,
        path: &[u8],
        lower: Option<Vec<u8>>,
    ) -> Result<(), Error> {
        let mut names = Vec::new();
        let mut buffer = Vec::with_capacity(LISTING_LEN);
        let mut listing = RawDir::new(dir, buffer.spare_capacity_mut());
        while let Some(item) = listing.next() {
            match item {
                Ok(item) => {
                    let name = item.file_name().to_bytes();
                    if name != b"." && name != b".." {
                        names.push(name.to_vec());
                    }
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(self.top.fail("list", path)(errno)),
            }
        }
        for name in names {
            let child = if path.is_empty() { name.clone() } else { [path, &name].join(&b'/') };
            if !core_workspace::is_path(&child) {
                let full = self.top.full_path(&child);
                return Err(Error::Misuse(format!(
                    "cannot seal {full:?}: the path is longer than 4,095 bytes"
                )));
            }
            let under = lower.as_deref().map(|lower| join(lower, &name));
            self.child(dir, &name, child, under, lower.as_deref())?;
        }
        Ok(())
    }

    /// Takes in one thing of an upper directory. `under` is its path in the state below, `lower` that of the directory.
    fn child(
        &mut self,
        dir: &OwnedFd,
        name: &[u8],
        path: Vec<u8>,
        under: Option<Vec<u8>>,
        lower: Option<&[u8]>,
    ) -> Result<(), Error> {
        let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(self.top.fail("look at", &path))?;
        let found = marks::read(dir.as_fd(), name, self.marks).map_err(|error| match error {
            Unreadable::Io(errno) => self.top.fail("read the attributes of", &path)(errno),
            Unreadable::Unknown(mark) => Error::Unavailable(format!(
                "the kernel left a mark at {:?} that this version of cascow does not know: {}; use --materialize copy",
                path.escape_ascii().to_string(),
                mark.escape_ascii()
            )),
        })?;
        self.decoded.bytes += INODE_BYTES;
        let kind = FileType::from_raw_mode(stat.st_mode);
        let is_device = matches!(kind, FileType::CharacterDevice | FileType::BlockDevice);
        let (major, minor) = if is_device {
            (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev))
        } else {
            (0, 0)
        };
        if found.is_whiteout || kind == FileType::CharacterDevice && (major, minor) == (0, 0) {
            self.clear(&path);
            return Ok(());
        }
        if kind == FileType::Directory {
            return self.subdirectory(&path, &stat, &found, under, lower);
        }
        self.clear(&path);
        let kind = match kind {
            FileType::RegularFile => {
                if found.is_metacopy {
                    return self.metacopy(path, &stat, &found, under, lower);
                }
                let at = self.to_read.len();
                let first = match stat.st_nlink > 1 {
                    true => *self.linked.entry(stat.st_ino).or_insert(at),
                    false => at,
                };
                match self.to_read.get_mut(first) {
                    Some(file) => file.paths.push(path),
                    None => self.to_read.push(ToRead { paths: vec![path], found, stat }),
                }
                return Ok(());
            }
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(dir, name, Vec::new())
                    .map_err(self.top.fail("read", &path))?;
                EntryKind::Symlink { target: target.into_bytes() }
            }
            FileType::Fifo => EntryKind::Fifo,
            FileType::CharacterDevice => EntryKind::CharacterDevice { major, minor },
            FileType::BlockDevice => EntryKind::BlockDevice { major, minor },
            FileType::Socket => {
                self.decoded.skipped.push(Skipped { path, reason: "a socket" });
                return Ok(());
            }
            _ => {
                self.decoded.skipped.push(Skipped { path, reason: "of unknown kind" });
                return Ok(());
            }
        };
        let mode = if matches!(kind, EntryKind::Symlink { .. }) {
            SYMLINK_MODE
        } else {
            file::mode(&stat)
        };
        let entry = Entry { kind, mode, xattrs: Vec::new(), links: None };
        self.place(path, entry, file::note(&stat), &stat);
        Ok(())
    }

    fn subdirectory(
        &mut self,
        path: &[u8],
        stat: &Stat,
        found: &Found,
        under: Option<Vec<u8>>,
        lower: Option<&[u8]>,
    ) -> Result<(), Error> {
        let opened = self.top.directory(path).map_err(self.top.fail("open", path))?;
        let origin = match &found.redirect {
            _ if found.is_opaque => None,
            Some(redirect) => Some(self.resolve(path, redirect, lower)?),
            None => under,
        };
        // Only a directory shows through a directory.
        let origin = match origin {
            Some(origin) => self
                .below
                .decoded(&origin)?
                .is_some_and(|below| below.entry.kind == EntryKind::Directory)
                .then_some(origin),
            None => None,
        };
        if origin.as_deref() != Some(path) {
            self.clear(path);
            if let Some(origin) = &origin {
                self.move_here(origin, path)?;
            }
        }
        let xattrs = file::xattrs(&opened, self.top, path)?;
        let xattrs = marks::unmarked(xattrs, found, self.marks);
        let entry =
            Entry { kind: EntryKind::Directory, mode: file::mode(stat), xattrs, links: None };
        let now = Now { entry, note: file::note(stat), identity: None };
        self.changes.insert(path.to_vec(), Some(now));
        self.directory(&opened, path, origin)
    }

    /// Where in the state below a redirected directory or file comes from.
    fn resolve(
        &self,
        path: &[u8],
        redirect: &[u8],
        lower: Option<&[u8]>,
    ) -> Result<Vec<u8>, Error> {
        let target = match (redirect.strip_prefix(b"/"), lower) {
            (Some(absolute), _) => absolute.to_vec(),
            (None, Some(lower)) => join(lower, redirect),
            (None, None) => Vec::new(),
        };
        if core_workspace::is_path(&target) {
            Ok(target)
        } else {
            Err(Error::Damaged(format!(
                "the layer {:?} says that {:?} comes from {:?}, which is nowhere",
                self.top.full_path(b""),
                path.escape_ascii().to_string(),
                redirect.escape_ascii().to_string()
            )))
        }
    }

    /// A file whose attributes changed and whose content did not.
    fn metacopy(
        &mut self,
        path: Vec<u8>,
        stat: &Stat,
        found: &Found,
        under: Option<Vec<u8>>,
        lower: Option<&[u8]>,
    ) -> Result<(), Error> {
        let origin = match &found.redirect {
            Some(redirect) => Some(self.resolve(&path, redirect, lower)?),
            None => under,
        };
        let below = match &origin {
            Some(origin) => self.below.decoded(origin)?,
            None => None,
        };
        let Some((kind @ EntryKind::File(_), index)) =
            below.map(|below| (below.entry.kind, below.note.index))
        else {
            return Err(Error::Damaged(format!(
                "the layer {:?} says that the content of {:?} is below it, where no file is",
                self.top.full_path(b""),
                path.escape_ascii().to_string()
            )));
        };
        let file = self.open(&path)?;
        let xattrs = marks::unmarked(file::xattrs(&file, self.top, &path)?, found, self.marks);
        let entry = Entry { kind, mode: file::mode(stat), xattrs, links: None };
        self.place(path, entry, Note { index, ..file::note(stat) }, stat);
        Ok(())
    }

    fn open(&self, path: &[u8]) -> Result<std::fs::File, Error> {
        let (parent, name) = crate::directory::split(path);
        let opened = self.top.directory(parent).and_then(|dir| file::open(&dir, name));
        opened.map_err(self.top.fail("open", path))
    }

    fn place(&mut self, path: Vec<u8>, entry: Entry, note: Note, stat: &Stat) {
        let identity = (stat.st_nlink > 1).then_some(Identity::Upper(stat.st_ino));
        self.changes.insert(path, Some(Now { entry, note, identity }));
    }

    /// Records that nothing is at a path or below it, until something is found there.
    fn clear(&mut self, path: &[u8]) {
        let end = [path, b"0"].concat();
        let start = [path, b"/"].concat();
        for (_, now) in self.changes.range_mut(start..end) {
            *now = None;
        }
        self.changes.insert(path.to_vec(), None);
        for (below, _) in self.below.below(path) {
            self.changes.insert(below.to_vec(), None);
        }
    }

    /// Records all that is below a directory of the state below as being below a path.
    fn move_here(&mut self, origin: &[u8], path: &[u8]) -> Result<(), Error> {
        for (from, value) in self.below.below(origin) {
            let to = [path, &from[origin.len()..]].concat();
            let mut whole = core_workspace::decode(from, value)?;
            let identity = whole.entry.links.take().map(Identity::Lower);
            self.changes.insert(to, Some(Now { entry: whole.entry, note: whole.note, identity }));
        }
        Ok(())
    }

    /// Reads the contents of all files that have some.
    fn read_files<S: ObjectStore + Sync>(&mut self, store: &S) -> Result<(), Error> {
        let files = std::mem::take(&mut self.to_read);
        let lens = files.iter().map(|file| u64::try_from(file.stat.st_size).unwrap_or(0));
        let bytes = lens.fold(0, u64::saturating_add);
        self.decoded.bytes = self.decoded.bytes.saturating_add(bytes);
        let top = self.top;
        let outcomes = workers::map(
            workers::threads_for(files.len(), bytes),
            &files,
            || FileReader::new(top, store),
            |reader, file, observe| reader.read(&file.paths[0], observe),
            &mut |_| {},
        )?;
        for (ToRead { paths, found, stat }, outcome) in files.into_iter().zip(outcomes) {
            match outcome {
                Outcome::Read { value, is_settled: true, .. } => {
                    let mut whole = core_workspace::decode(&paths[0], &value)?;
                    let xattrs = std::mem::take(&mut whole.entry.xattrs);
                    whole.entry.xattrs = marks::unmarked(xattrs, &found, self.marks);
                    let (entry, note) = (whole.entry, whole.note);
                    for path in paths {
                        self.place(path, entry.clone(), note, &stat);
                    }
                }
                _ => {
                    let path: PathBuf = self.top.full_path(&paths[0]);
                    return Err(Error::Unavailable(format!(
                        "{path:?} changed while it was sealed; nothing was kept"
                    )));
                }
            }
        }
        Ok(())
    }

    /// Names the groups of hard links that were touched.
    fn regroup(&mut self) -> Result<(), Error> {
        // Groups of the state below that lost a name, or have one elsewhere now.
        let mut touched: BTreeSet<Vec<u8>> = BTreeSet::new();
        if self.below.has_links() {
            for path in self.changes.keys() {
                let below = self.below.decoded(path)?;
                touched.extend(below.and_then(|below| below.entry.links));
            }
        }
        let mut names: HashMap<Identity, Vec<Vec<u8>>> = HashMap::new();
        for (path, now) in &self.changes {
            if let Some(Now { identity: Some(identity), .. }) = now {
                if let Identity::Lower(first) = identity {
                    touched.insert(first.clone());
                }
                names.entry(identity.clone()).or_default().push(path.clone());
            }
        }
        for first in touched {
            let members: Vec<Vec<u8>> =
                self.below.group(&first).map(|path| path.to_vec()).collect();
            for path in members {
                if self.changes.contains_key(&path) {
                    continue;
                }
                let Some(mut whole) = self.below.decoded(&path)? else { continue };
                whole.entry.links = None;
                let identity = Identity::Lower(first.clone());
                names.entry(identity.clone()).or_default().push(path.clone());
                let now = Now { entry: whole.entry, note: whole.note, identity: Some(identity) };
                self.changes.insert(path, Some(now));
            }
            // The copy may be in the upper layer under any name or, replaced by another file, under none. Bringing names up that
            // nothing was copied for does no harm.
            if self.has_copies
                && let Some(left) = names.get(&Identity::Lower(first))
            {
                self.decoded.untouched.extend(left.iter().cloned());
            }
        }
        for paths in names.into_values().filter(|paths| paths.len() > 1) {
            let first = paths.iter().min().cloned();
            for path in &paths {
                if let Some(Some(now)) = self.changes.get_mut(path) {
                    now.entry.links.clone_from(&first);
                }
            }
        }
        Ok(())
    }

    /// What differs from the state below.
    fn finish(mut self) -> Decoded {
        for (path, now) in self.changes {
            let below = self.below.get(&path);
            match now {
                Some(Now { entry, note, .. }) => {
                    let value = Value { bytes: entry.encode().into(), note: note.encode().into() };
                    let is_same = below.is_some_and(|below| {
                        ValueRef::from(below).is_identical(&ValueRef::from(&value))
                    });
                    if !is_same {
                        self.decoded.delta.write(path, value);
                    }
                }
                None if below.is_some() => _ = self.decoded.delta.whiteout(path),
                None => {}
            }
        }
        self.decoded.skipped.sort_by(|a, b| a.path.cmp(&b.path));
        self.decoded
    }
}

fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    if dir.is_empty() { name.to_vec() } else { [dir, name].join(&b'/') }
}
