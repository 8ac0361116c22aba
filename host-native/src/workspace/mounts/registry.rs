// SPDX-License-Identifier: MIT
//! Which mounts a repository has, and what became of them.
//!
//! `mounts/ID/` holds a mount's [record](MountRecord), and in `rooms/`, which only its owner may enter, its upper and work
//! directories. The kernel's list of mounts calls it `cascow-ID`, so it is known again wherever it was moved to. The directory
//! `mounts/` is locked while anything in it changes: what is found there under the lock and is not mounted is nobody's.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::super::lock;
use super::super::mountinfo;
use super::super::namespace::{self, Marks, NamespaceId};
use super::super::overlay::mount::{self, Layout, Refused};
use crate::Error;
use crate::directory;
use crate::disk::{Disk, LinuxDisk};
use crate::repository::Repository;
use crate::repository::mounts::{self, MountRecord};

/// The registry of a repository, locked.
#[derive(Debug)]
pub(super) struct Registry<'r> {
    repository: &'r Repository,
    _lock: File,
}

/// A mount that is recorded.
#[derive(Debug)]
pub(super) struct Registered {
    dir: PathBuf,
    pub(super) record: MountRecord,
}

/// What the registry holds.
#[derive(Debug, Default)]
pub(super) struct Listed {
    /// With a record.
    pub(super) mounts: Vec<Registered>,
    /// Not recorded yet when their process ended.
    unrecorded: Vec<PathBuf>,
    /// Those whose record cannot be read.
    unreadable: Vec<Error>,
}

/// Where a recorded mount is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// Here, at these places.
    Mounted(Vec<PathBuf>),
    /// Not here, and perhaps in another mount namespace, or still in use after it was taken away.
    Elsewhere,
    /// Nowhere any more.
    Gone,
}

/// What a sweep found and left as it is.
#[derive(Debug)]
#[non_exhaustive]
pub enum Left {
    /// A writable mount that is gone, with edits that were not saved.
    Edits {
        /// Where it was.
        dir: PathBuf,
    },
    /// A record that cannot be read.
    Unreadable(Error),
}

impl<'r> Registry<'r> {
    /// The registry, made if there is none. Waits for whoever has it.
    pub(super) fn lock(repository: &'r Repository) -> Result<Self, Error> {
        let dir = repository.mounts_dir();
        if !dir.is_dir() {
            fs::create_dir_all(&dir).map_err(Error::io("create", &dir))?;
            let above = repository.dir();
            LinuxDisk.sync_dir(above).map_err(Error::io("sync", above))?;
        }
        Ok(Self { repository, _lock: lock(&dir, FlockOperation::LockExclusive)? })
    }

    /// The registry, if there is one.
    pub(super) fn lock_if_any(repository: &'r Repository) -> Result<Option<Self>, Error> {
        match repository.mounts_dir().is_dir() {
            true => Self::lock(repository).map(Some),
            false => Ok(None),
        }
    }

    pub(super) fn list(&self) -> Result<Listed, Error> {
        let mut listed = Listed::default();
        for dir in mounts::list(&LinuxDisk, &self.repository.mounts_dir())? {
            match MountRecord::read(&LinuxDisk, &dir) {
                Ok(Some(record)) => listed.mounts.push(Registered { dir, record }),
                Ok(None) => listed.unrecorded.push(dir),
                Err(error) => listed.unreadable.push(error),
            }
        }
        Ok(listed)
    }

    /// Empty rooms for a mount that is to be made here and now. Nobody's, until it is [recorded](Registry::record).
    pub(super) fn prepare(
        &self,
        record: impl FnOnce((u64, u64), String) -> MountRecord,
    ) -> Result<Registered, Error> {
        let above = self.repository.mounts_dir();
        let NamespaceId(device, number) = NamespaceId::current()?;
        let record = record((device, number), namespace::boot_id().unwrap_or_default());
        // Others must be able to read the record: it keeps their collections and evictions from the mount.
        let permissions = fs::Permissions::from_mode(0o755);
        let mut name = tempfile::Builder::new();
        name.prefix("").rand_bytes(16).permissions(permissions);
        let dir = name.tempdir_in(&above).map_err(Error::io("write in", &above))?;
        let registered = Registered { dir: dir.path().to_owned(), record };
        for (path, mode) in [
            (registered.rooms(), 0o700),
            (registered.upper(), 0o755),
            (registered.rooms().join("work"), 0o755),
        ] {
            fs::DirBuilder::new().mode(mode).create(&path).map_err(Error::io("create", &path))?;
            // Whatever the user's mask takes away: the upper layer's directory is the mount's.
            fs::set_permissions(&path, fs::Permissions::from_mode(mode))
                .map_err(Error::io("set the mode of", &path))?;
        }
        let _ = dir.keep();
        Ok(registered)
    }

    /// Records a mount, durably.
    pub(super) fn record(&self, registered: &Registered) -> Result<(), Error> {
        let (rooms, above) = (registered.rooms(), self.repository.mounts_dir());
        LinuxDisk.sync_dir(&rooms).map_err(Error::io("sync", &rooms))?;
        registered.record.write(&LinuxDisk, &registered.dir)?;
        LinuxDisk.sync_dir(&above).map_err(Error::io("sync", &above))
    }

    /// Takes a mount that is gone out of the registry, and what was changed in it.
    pub(super) fn forget(&self, registered: &Registered) -> Result<(), Error> {
        // Durably first: what stays without a record is nobody's, but half an upper layer with one would be taken for a whole.
        let record = registered.dir.join("record");
        match fs::remove_file(&record) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(Error::io("remove", &record)(error));
            }
            _ => {}
        }
        LinuxDisk.sync_dir(&registered.dir).map_err(Error::io("sync", &registered.dir))?;
        if registered.record.made_dir {
            // Somebody may have put something there since; then it is theirs.
            let _ = fs::remove_dir(&registered.record.dir);
        }
        directory::remove(&registered.dir)
    }
}

impl Registered {
    pub(super) fn rooms(&self) -> PathBuf {
        self.dir.join("rooms")
    }

    /// Where changes go.
    pub(super) fn upper(&self) -> PathBuf {
        self.rooms().join("upper")
    }

    pub(super) fn marks(&self) -> Marks {
        if self.record.has_user_marks { Marks::User } else { Marks::Trusted }
    }

    /// What the kernel's list of mounts calls it.
    pub(super) fn source(&self) -> String {
        let id = self.dir.file_name().unwrap_or_default();
        format!("cascow-{}", id.to_string_lossy())
    }

    /// Whether there may be something in it that is nowhere else.
    pub(super) fn has_edits(&self) -> bool {
        self.record.is_writable
            // What cannot be looked into may hold anything.
            && fs::read_dir(self.upper()).map_or(true, |mut names| names.next().is_some())
    }

    pub(super) fn presence(&self) -> Presence {
        let Ok(mounts) = mountinfo::read() else { return Presence::Elsewhere };
        let source = self.source().into_bytes();
        let here: Vec<PathBuf> =
            mounts.into_iter().filter(|it| it.source == source).map(|it| it.point).collect();
        if !here.is_empty() {
            return Presence::Mounted(here);
        }
        // No mount outlives the machine's run.
        if namespace::boot_id().is_some_and(|boot| boot != self.record.boot) {
            return Presence::Gone;
        }
        let (device, number) = self.record.namespace;
        let made_in = NamespaceId(device, number);
        let is_reachable =
            NamespaceId::current().ok() != Some(made_in) && made_in.may_have_processes();
        if is_reachable || self.is_in_use() { Presence::Elsewhere } else { Presence::Gone }
    }

    /// Whether the kernel still has the upper layer in a mount, wherever that is or if it was detached with somebody in it. False
    /// if that cannot be asked.
    fn is_in_use(&self) -> bool {
        if !self.record.is_writable {
            return false;
        }
        let rooms = self.rooms();
        let Ok(dir) = File::open(&rooms) else { return false };
        let layout = Layout {
            lowers: vec![(dir.as_fd(), ".")],
            upper: Some((dir.as_fd(), "upper", "work")),
            // With an index the kernel refuses to use a directory twice; without one it only warns.
            has_index: true,
            is_volatile: false,
            shared_as: None,
        };
        matches!(mount::overlay(&layout, self.marks()), Err(Refused { errno: Errno::BUSY, .. }))
    }
}

/// Takes away what is left of mounts that are gone: all of it, except edits that nobody saved or threw away. Says what it left.
/// If somebody is at work on mounts, does nothing.
///
/// # Errors
/// [`Error::Io`].
pub fn sweep(repository: &Repository) -> Result<Vec<Left>, Error> {
    let dir = repository.mounts_dir();
    if !dir.is_dir() {
        return Ok(Vec::new());
    }
    let Ok(lock) = lock(&dir, FlockOperation::NonBlockingLockExclusive) else {
        return Ok(Vec::new());
    };
    let registry = Registry { repository, _lock: lock };
    let Listed { mut mounts, unrecorded, unreadable } = registry.list()?;
    for dir in unrecorded {
        directory::remove(&dir)?;
    }
    let mut left: Vec<Left> = unreadable.into_iter().map(Left::Unreadable).collect();
    // The deepest first: a directory that was made for one may lie in one that was made for another.
    mounts.sort_by_key(|found| std::cmp::Reverse(depth(&found.record.dir)));
    for found in mounts {
        if found.presence() != Presence::Gone {
            continue;
        }
        if found.has_edits() {
            left.push(Left::Edits { dir: found.record.dir });
        } else {
            registry.forget(&found)?;
        }
    }
    Ok(left)
}

fn depth(dir: &Path) -> usize {
    dir.components().count()
}
