// SPDX-License-Identifier: MIT
//! A state, written into a directory.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Place;
use std::fs::{self, File};
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use cascow_core::blob::{Blob, BlobId, BlobReader};
use cascow_core::entry::{Entry, EntryKind, Note, Xattr};
use cascow_core::snapshot::State;
use cascow_core::store::ObjectStore;
use cascow_core::workspace::{self, WorkspaceEntry};
use rustix::fs::{
    AtFlags, Dev, FileType, Gid, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags,
};
use rustix::io::Errno;

use super::beneath::{Beneath, Parents};
use super::{Observer, Progress, file, split, workers};
use crate::Error;

/// Bytes written to a file at once, at most.
const WRITE_LEN: usize = 256 * 1024;

/// Bytes from which on a file's blocks are worth sharing: a block of most filesystems.
const SHORTEST_CLONED: u64 = 4096;

/// What a checkout wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checkout {
    /// Entries.
    pub entries: u64,
    /// Bytes of file contents.
    pub bytes: u64,
}

/// Writes a state into a new or empty directory. The whole state is checked before anything is written; if writing fails, what
/// was written is removed again. A thread for each core, if there is enough to do. O(size).
///
/// # Errors
/// [`Error::Workspace`] if the state is not a directory tree, [`Error::Misuse`] if the directory holds something,
/// [`Error::Blob`] if a content is missing or damaged, [`Error::Io`].
pub fn checkout<S: ObjectStore + Sync>(
    state: &State,
    store: &S,
    dir: &Path,
    observe: Observer<'_>,
) -> Result<Checkout, Error> {
    write_tree(&workspace::entries(state)?, store, dir, observe)
}

/// As [`checkout`], of entries that are known to be a directory tree, ascending by path.
///
/// # Errors
/// Those of [`checkout`], but for [`Error::Workspace`].
pub(crate) fn write_tree<S: ObjectStore + Sync>(
    entries: &[WorkspaceEntry<'_>],
    store: &S,
    dir: &Path,
    observe: Observer<'_>,
) -> Result<Checkout, Error> {
    let is_new = claim(dir)?;
    let written = write_all(dir, store, entries, observe);
    if written.is_err() {
        // The first error is the one to tell; what cannot be removed either stays behind.
        let _ = if is_new { super::remove(dir) } else { super::remove::remove_contents(dir) };
    }
    written
}

/// Makes the directory, or makes sure that it is empty. True if it was made.
fn claim(dir: &Path) -> Result<bool, Error> {
    match fs::create_dir(dir) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let mut entries = fs::read_dir(dir).map_err(Error::io("list", dir))?;
            match entries.next() {
                None => Ok(false),
                Some(_) => Err(Error::Misuse(format!(
                    "{dir:?} is not empty; a checkout needs a new or empty directory"
                ))),
            }
        }
        Err(error) => Err(Error::io("create", dir)(error)),
    }
}

/// Writes all entries. Directories are made first and get their own mode and times last, when all that they hold is written;
/// what is in them is written by several threads in between. Of several errors, the first in this order is told.
fn write_all<S: ObjectStore + Sync>(
    dir: &Path,
    store: &S,
    entries: &[WorkspaceEntry<'_>],
    observe: Observer<'_>,
) -> Result<Checkout, Error> {
    let top = Beneath::open(dir)?;
    let mut directories = Vec::new();
    let mut links = Vec::new();
    let mut others = Vec::new();
    // Files whose content another one has too, with that one's path.
    let mut copies = Vec::new();
    let mut firsts: HashMap<&BlobId, &[u8]> = HashMap::new();
    for entry in entries {
        match &entry.entry {
            Entry { links: Some(first), .. } if first != entry.path => links.push(entry),
            Entry { kind: EntryKind::Directory, .. } => directories.push(entry),
            Entry { kind: EntryKind::File(id), .. } if id.len() >= SHORTEST_CLONED => {
                match firsts.entry(id) {
                    Place::Occupied(first) => copies.push((entry, Some(*first.get()))),
                    Place::Vacant(place) => {
                        place.insert(entry.path);
                        others.push((entry, None));
                    }
                }
            }
            _ => others.push((entry, None)),
        }
    }
    // A hostile state may claim any lengths.
    let lens = |files: &[(&WorkspaceEntry<'_>, Option<&[u8]>)]| {
        let lens = files.iter().filter_map(|(entry, _)| entry.entry.content()).map(BlobId::len);
        lens.fold(0, u64::saturating_add)
    };
    let bytes = lens(&others).saturating_add(lens(&copies));
    observe(Progress::Total { bytes });
    let step = Progress::Step { entries: 1, bytes: 0 };

    let can_clone = AtomicBool::new(true);
    let mut writer = Writer::new(&top, store, &can_clone);
    for entry in &directories {
        writer.write(entry, None, observe)?;
        observe(step);
    }
    let job = |writer: &mut Writer<'_, S>,
               (entry, first): &(&WorkspaceEntry<'_>, Option<&[u8]>),
               observe: Observer<'_>| {
        writer.write(entry, *first, observe)?;
        observe(step);
        Ok(())
    };
    // What is copied is there first.
    for files in [others, copies] {
        let threads = workers::threads_for(files.len(), lens(&files));
        workers::map(threads, &files, || Writer::new(&top, store, &can_clone), job, observe)?;
    }
    for entry in &links {
        writer.link(entry)?;
        observe(step);
    }
    for WorkspaceEntry { path, entry, note } in directories.into_iter().rev() {
        let fd = top.directory(path).map_err(top.fail("open", path))?;
        writer.dresser.dress(&fd, path, entry, note)?;
    }
    Ok(Checkout { entries: entries.len() as u64, bytes })
}

/// One thread's means of writing entries.
struct Writer<'a, S> {
    top: &'a Beneath,
    parents: Parents<'a>,
    store: &'a S,
    dresser: Dresser<'a>,
    /// Whether the filesystem was not seen to refuse to share a file's blocks with another.
    can_clone: &'a AtomicBool,
    /// Bytes of the file that is written, so that its chunks need not be written one by one.
    buffer: Vec<u8>,
}

impl<'a, S: ObjectStore> Writer<'a, S> {
    fn new(top: &'a Beneath, store: &'a S, can_clone: &'a AtomicBool) -> Self {
        Self {
            top,
            parents: Parents::new(top),
            store,
            dresser: Dresser::new(top),
            can_clone,
            buffer: Vec::with_capacity(WRITE_LEN),
        }
    }

    /// Makes a hard link to the group's first path, which is there.
    fn link(
        &mut self,
        WorkspaceEntry { path, entry, .. }: &WorkspaceEntry<'_>,
    ) -> Result<(), Error> {
        let first = entry.links.as_deref().unwrap_or_default();
        let (first_parent, first_name) = split(first);
        let first_dir = self.top.directory(first_parent).map_err(self.top.fail("open", path))?;
        let (parent, name) = split(path);
        let dir = self.parents.open(parent).map_err(self.top.fail("open", parent))?;
        rustix::fs::linkat(&first_dir, first_name, dir, name, AtFlags::empty())
            .map_err(self.top.fail("link", path))
    }

    /// Shares the blocks of a file that was written with a new one: a reflink. False where that cannot be.
    fn clone(&self, file: &File, first: &[u8]) -> bool {
        if !self.can_clone.load(Ordering::Relaxed) {
            return false;
        }
        let (parent, name) = split(first);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // One that may not be read by its owner is no reason to give up on others.
        let Ok(first) = self
            .top
            .directory(parent)
            .and_then(|dir| rustix::fs::openat(dir, name, flags, Mode::empty()))
        else {
            return false;
        };
        let cloned = rustix::fs::ioctl_ficlone(file, first);
        if cloned.is_err() {
            self.can_clone.store(false, Ordering::Relaxed);
        }
        cloned.is_ok()
    }

    /// Writes what is no further name of something; a file like the one at the path `first`, if there is one. A directory stays
    /// to be dressed.
    fn write(
        &mut self,
        whole: &WorkspaceEntry<'_>,
        first: Option<&[u8]>,
        observe: Observer<'_>,
    ) -> Result<(), Error> {
        let WorkspaceEntry { path, entry, note } = whole;
        let (top, dresser) = (self.top, &self.dresser);
        let (parent, name) = split(path);
        let dir = self.parents.open(parent).map_err(self.top.fail("open", parent))?;
        match &entry.kind {
            // Until it is dressed at the end, only we may enter it.
            EntryKind::Directory => {
                rustix::fs::mkdirat(dir, name, Mode::RWXU).map_err(top.fail("create", path))
            }
            EntryKind::File(id) => {
                let flags = OFlags::WRONLY
                    | OFlags::CREATE
                    | OFlags::EXCL
                    | OFlags::NOFOLLOW
                    | OFlags::CLOEXEC;
                let fd = rustix::fs::openat(dir, name, flags, dresser.first_mode(entry, note))
                    .map_err(top.fail("create", path))?;
                let mut file = File::from(fd);
                if first.is_some_and(|first| self.clone(&file, first)) {
                    observe(Progress::Step { entries: 0, bytes: id.len() });
                    return self.dresser.dress(&file, path, entry, note);
                }
                let mut content = BlobReader::new(self.store, Blob { id: *id, index: note.index })?;
                let mut flush = |bytes: &mut Vec<u8>| {
                    file.write_all(bytes).map_err(Error::io("write", top.full_path(path)))?;
                    observe(Progress::Step { entries: 0, bytes: bytes.len() as u64 });
                    bytes.clear();
                    Ok::<(), Error>(())
                };
                self.buffer.clear();
                while let Some(chunk) = content.next_chunk()? {
                    if self.buffer.len() + chunk.len() > WRITE_LEN {
                        flush(&mut self.buffer)?;
                    }
                    self.buffer.extend_from_slice(&chunk);
                }
                if !self.buffer.is_empty() {
                    flush(&mut self.buffer)?;
                }
                dresser.dress(&file, path, entry, note)
            }
            EntryKind::Symlink { target } => {
                rustix::fs::symlinkat(target.as_slice(), dir, name)
                    .map_err(top.fail("create", path))?;
                dresser.dress_unopened(dir, name, path, None, note)
            }
            EntryKind::Fifo => dresser.node(dir, name, whole, FileType::Fifo, 0),
            EntryKind::CharacterDevice { major, minor } => {
                let device = rustix::fs::makedev(*major, *minor);
                dresser.node(dir, name, whole, FileType::CharacterDevice, device)
            }
            EntryKind::BlockDevice { major, minor } => {
                let device = rustix::fs::makedev(*major, *minor);
                dresser.node(dir, name, whole, FileType::BlockDevice, device)
            }
        }
    }
}

/// Gives what was made its attributes, owner, mode and times.
struct Dresser<'a> {
    top: &'a Beneath,
    /// Whose files we make.
    uid: Uid,
    gid: Gid,
}

impl<'a> Dresser<'a> {
    fn new(top: &'a Beneath) -> Self {
        let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
        Self { top, uid, gid }
    }

    /// The mode to make a file with. What stays ours has its permission bits from the beginning, as far as the user's mask lets
    /// it, which mostly is all there is to do; what is to be another's is nobody else's until it is. Attributes can only be set on
    /// what may be written to.
    fn first_mode(&self, entry: &Entry, note: &Note) -> Mode {
        let private = Mode::RUSR | Mode::WUSR;
        let is_ours = (note.uid, note.gid) == (self.uid.as_raw(), self.gid.as_raw());
        if is_ours && entry.xattrs.is_empty() {
            Mode::from_raw_mode((entry.mode & 0o777).into())
        } else {
            private
        }
    }

    /// A pipe or device.
    fn node(
        &self,
        dir: &OwnedFd,
        name: &[u8],
        WorkspaceEntry { path, entry, note }: &WorkspaceEntry<'_>,
        kind: FileType,
        device: Dev,
    ) -> Result<(), Error> {
        rustix::fs::mknodat(dir, name, kind, Mode::empty(), device)
            .map_err(self.top.fail("create", path))?;
        self.dress_unopened(dir, name, path, Some(entry.mode), note)
    }

    /// Gives an open file or directory its attributes, owner, mode and times: the owner before the mode, because changing it
    /// takes set-id bits away, and the times last. To look costs much less than to set what is so already.
    fn dress(&self, fd: &impl AsFd, path: &[u8], entry: &Entry, note: &Note) -> Result<(), Error> {
        for Xattr { name, value } in &entry.xattrs {
            rustix::fs::fsetxattr(fd, name.as_slice(), value, XattrFlags::CREATE)
                .map_err(self.top.fail("set the attributes of", path))?;
        }
        let stat = rustix::fs::fstat(fd).map_err(self.top.fail("look at", path))?;
        let is_owned = (stat.st_uid, stat.st_gid) == (note.uid, note.gid);
        if !is_owned {
            self.own(path, note, |uid, gid| rustix::fs::fchown(fd, uid, gid))?;
        }
        if !is_owned || file::mode(&stat) != entry.mode {
            rustix::fs::fchmod(fd, Mode::from_raw_mode(entry.mode.into()))
                .map_err(self.top.fail("set the mode of", path))?;
        }
        rustix::fs::futimens(fd, &times(note)).map_err(self.top.fail("set the times of", path))
    }

    /// The same for what is not opened, since that might follow a link, wait, or do something. Nobody else writes here while
    /// the directory is ours alone: the name still is what was just made.
    fn dress_unopened(
        &self,
        dir: &OwnedFd,
        name: &[u8],
        path: &[u8],
        mode: Option<u16>,
        note: &Note,
    ) -> Result<(), Error> {
        let nofollow = AtFlags::SYMLINK_NOFOLLOW;
        self.own(path, note, |uid, gid| rustix::fs::chownat(dir, name, uid, gid, nofollow))?;
        if let Some(mode) = mode {
            rustix::fs::chmodat(dir, name, Mode::from_raw_mode(mode.into()), AtFlags::empty())
                .map_err(self.top.fail("set the mode of", path))?;
        }
        rustix::fs::utimensat(dir, name, &times(note), nofollow)
            .map_err(self.top.fail("set the times of", path))
    }

    /// Sets the owner, if we are root: no one else may give files away.
    fn own(
        &self,
        path: &[u8],
        note: &Note,
        chown: impl FnOnce(Option<Uid>, Option<Gid>) -> Result<(), Errno>,
    ) -> Result<(), Error> {
        // The number of all ones means "leave it" to the kernel, and is nobody's.
        if !self.uid.is_root() || note.uid == u32::MAX || note.gid == u32::MAX {
            return Ok(());
        }
        chown(Some(Uid::from_raw(note.uid)), Some(Gid::from_raw(note.gid)))
            .map_err(self.top.fail("set the owner of", path))
    }
}

fn times(note: &Note) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: note.mtime_secs, tv_nsec: note.mtime_nanos.into() },
    }
}
