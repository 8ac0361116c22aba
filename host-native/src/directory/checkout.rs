// SPDX-License-Identifier: MIT
//! A state, written into a directory.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use cascow_core::blob::{Blob, BlobReader};
use cascow_core::entry::{Entry, EntryKind, Note, Xattr};
use cascow_core::snapshot::State;
use cascow_core::store::ObjectStore;
use cascow_core::workspace::{self, WorkspaceEntry};
use rustix::fs::{
    AtFlags, Dev, FileType, Gid, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags,
};
use rustix::io::Errno;

use super::beneath::Beneath;
use super::{Observer, Progress, split};
use crate::Error;

/// What a checkout wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checkout {
    /// Entries.
    pub entries: u64,
    /// Bytes of file contents.
    pub bytes: u64,
}

/// Writes a state into a new or empty directory. The whole state is checked before anything is written; if writing fails, what
/// was written is removed again. O(size).
///
/// # Errors
/// [`Error::Workspace`] if the state is not a directory tree, [`Error::Misuse`] if the directory holds something,
/// [`Error::Blob`] if a content is missing or damaged, [`Error::Io`].
pub fn checkout<S: ObjectStore>(
    state: &State,
    store: &S,
    dir: &Path,
    observe: Observer<'_>,
) -> Result<Checkout, Error> {
    let entries = workspace::entries(state)?;
    let is_new = claim(dir)?;
    let written = Writer::new(dir, store, observe).and_then(|writer| writer.write_all(&entries));
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

struct Writer<'a, S> {
    top: Beneath,
    store: &'a S,
    observe: Observer<'a>,
    is_root: bool,
    /// The directory of the entry written last: the next one is often there too.
    current: Option<(Vec<u8>, OwnedFd)>,
    done: Checkout,
}

impl<'a, S: ObjectStore> Writer<'a, S> {
    fn new(dir: &Path, store: &'a S, observe: Observer<'a>) -> Result<Self, Error> {
        let is_root = rustix::process::geteuid().is_root();
        Ok(Self {
            top: Beneath::open(dir)?,
            store,
            observe,
            is_root,
            current: None,
            done: Checkout::default(),
        })
    }

    /// Parents come before what they hold, and get their own mode and times only when all of that is written.
    fn write_all(mut self, entries: &[WorkspaceEntry<'_>]) -> Result<Checkout, Error> {
        for entry in entries {
            self.create(entry)?;
            self.done.entries += 1;
            (self.observe)(Progress { entries: 1, bytes: 0 });
        }
        let directories =
            entries.iter().rev().filter(|entry| entry.entry.kind == EntryKind::Directory);
        for WorkspaceEntry { path, entry, note } in directories {
            let fd = self.top.directory(path).map_err(self.fail("open", path))?;
            self.dress(&fd, path, entry, note)?;
        }
        Ok(self.done)
    }

    fn create(&mut self, whole: &WorkspaceEntry<'_>) -> Result<(), Error> {
        let WorkspaceEntry { path, entry, note } = whole;
        let (parent, name) = split(path);
        if self.current.as_ref().is_none_or(|(current, _)| current != parent) {
            let fd = self.top.directory(parent).map_err(self.fail("open", parent))?;
            self.current = Some((parent.to_vec(), fd));
        }
        // UNWRAP: set just above.
        let dir = &self.current.as_ref().expect("the parent is open").1;
        let fail = |operation| self.fail(operation, path);
        if let Some(first) = entry.links.as_deref().filter(|first| first != path) {
            let (first_parent, first_name) = split(first);
            let first_dir = self.top.directory(first_parent).map_err(fail("open"))?;
            return rustix::fs::linkat(&first_dir, first_name, dir, name, AtFlags::empty())
                .map_err(fail("link"));
        }
        match &entry.kind {
            // Until it is dressed at the end, only we may enter it.
            EntryKind::Directory => {
                rustix::fs::mkdirat(dir, name, Mode::RWXU).map_err(fail("create"))
            }
            EntryKind::File(id) => {
                let flags = OFlags::WRONLY
                    | OFlags::CREATE
                    | OFlags::EXCL
                    | OFlags::NOFOLLOW
                    | OFlags::CLOEXEC;
                let fd = rustix::fs::openat(dir, name, flags, Mode::RUSR | Mode::WUSR)
                    .map_err(fail("create"))?;
                let mut file = File::from(fd);
                let mut content = BlobReader::new(self.store, Blob { id: *id, index: note.index })?;
                while let Some(chunk) = content.next_chunk()? {
                    file.write_all(&chunk).map_err(Error::io("write", self.top.full_path(path)))?;
                    self.done.bytes += chunk.len() as u64;
                    (self.observe)(Progress { entries: 0, bytes: chunk.len() as u64 });
                }
                self.dress(&file, path, entry, note)
            }
            EntryKind::Symlink { target } => {
                rustix::fs::symlinkat(target.as_slice(), dir, name).map_err(fail("create"))?;
                self.dress_unopened(dir, name, path, None, note)
            }
            EntryKind::Fifo => self.node(dir, name, whole, FileType::Fifo, 0),
            EntryKind::CharacterDevice { major, minor } => {
                let device = rustix::fs::makedev(*major, *minor);
                self.node(dir, name, whole, FileType::CharacterDevice, device)
            }
            EntryKind::BlockDevice { major, minor } => {
                let device = rustix::fs::makedev(*major, *minor);
                self.node(dir, name, whole, FileType::BlockDevice, device)
            }
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
            .map_err(self.fail("create", path))?;
        self.dress_unopened(dir, name, path, Some(entry.mode), note)
    }

    /// Gives an open file or directory its attributes, owner, mode and times: the owner before the mode, because changing it
    /// takes set-id bits away, and the times last.
    fn dress(&self, fd: &impl AsFd, path: &[u8], entry: &Entry, note: &Note) -> Result<(), Error> {
        for Xattr { name, value } in &entry.xattrs {
            rustix::fs::fsetxattr(fd, name.as_slice(), value, XattrFlags::CREATE)
                .map_err(self.fail("set the attributes of", path))?;
        }
        self.own(path, note, |uid, gid| rustix::fs::fchown(fd, uid, gid))?;
        rustix::fs::fchmod(fd, Mode::from_raw_mode(entry.mode.into()))
            .map_err(self.fail("set the mode of", path))?;
        rustix::fs::futimens(fd, &times(note)).map_err(self.fail("set the times of", path))
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
                .map_err(self.fail("set the mode of", path))?;
        }
        rustix::fs::utimensat(dir, name, &times(note), nofollow)
            .map_err(self.fail("set the times of", path))
    }

    /// Sets the owner, if we are root: no one else may give files away.
    fn own(
        &self,
        path: &[u8],
        note: &Note,
        chown: impl FnOnce(Option<Uid>, Option<Gid>) -> Result<(), Errno>,
    ) -> Result<(), Error> {
        // The number of all ones means "leave it" to the kernel, and is nobody's.
        if !self.is_root || note.uid == u32::MAX || note.gid == u32::MAX {
            return Ok(());
        }
        chown(Some(Uid::from_raw(note.uid)), Some(Gid::from_raw(note.gid)))
            .map_err(self.fail("set the owner of", path))
    }

    fn fail(&self, operation: &'static str, path: &[u8]) -> impl FnOnce(Errno) -> Error + use<S> {
        Error::io(operation, self.top.full_path(path))
    }
}

fn times(note: &Note) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: note.mtime_secs, tv_nsec: note.mtime_nanos.into() },
    }
}
