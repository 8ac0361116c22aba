// SPDX-License-Identifier: MIT
//! Bases: whole states written out, for overlays to stand on.
//!
//! Where the kernel mounts images that are plain files, a base is one image, `layers/NAME/image`; else, and where an image cannot
//! hold the state, a directory with all its files, `layers/NAME/tree`. Writing either takes as long as reading all contents from
//! the store, so a base is kept in the repository, for whoever forks that snapshot next. It is a cache: used only until the machine is started again (the name holds the kernel's boot id), since it is
//! written without a sync; and removed when bases need too much room, the one that was used longest ago first. Who uses one
//! holds a shared lock on it.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::SystemTime;

use cascow_core::store::ObjectStore;
use cascow_core::workspace::{self, WorkspaceEntry};
use rustix::fs::{FlockOperation, Timespec, Timestamps, UTIME_NOW};
use tempfile::TempDir;

use super::super::entries::Entries;
use super::super::lock;
use super::super::namespace::{self, Marks};
use super::erofs::{self, Image};
use super::mount::{self, Layout, Refused};
use super::{layer::INODE_BYTES, marks};
use crate::Error;
use crate::directory;
use crate::disk::LinuxDisk;
use crate::repository::{Repository, mounts};

/// Bytes that bases may take together, as near as their files' lengths tell, with those in use.
const BASES_BYTES: u64 = 8 << 30;

/// A state written out. Stays as long as this is held.
#[derive(Debug)]
pub(in super::super) struct Base {
    /// What others find it by, if they do.
    pub(in super::super) name: Option<String>,
    /// Its top directory: of a mount that shows nowhere and goes with the last who uses it, if the base is an image.
    tree: OwnedFd,
    _lock: Option<File>,
    /// Its directory, if nobody else is to find it.
    _own: Option<TempDir>,
}

impl Base {
    pub(in super::super) fn fd(&self) -> BorrowedFd<'_> {
        self.tree.as_fd()
    }

    fn open(dir: &Path, lock: Option<File>, own: Option<TempDir>) -> Result<Self, Error> {
        let (image, tree) = (dir.join("image"), dir.join("tree"));
        let tree = match File::open(&image) {
            Ok(file) => {
                let fail = |refused: Refused| Error::io("mount", &image)(refused.errno);
                erofs::mount(&file).map_err(fail)?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                File::open(&tree).map_err(Error::io("open", &tree))?.into()
            }
            Err(error) => return Err(Error::io("open", &image)(error)),
        };
        let name = dir.file_name().filter(|_| own.is_none());
        let name = name.map(|name| name.to_string_lossy().into_owned());
        Ok(Self { name, tree, _lock: lock, _own: own })
    }
}

/// Where a repository keeps bases.
#[derive(Debug)]
pub(in super::super) struct Bases {
    dir: PathBuf,
    /// Where mounts are recorded that stand on some of them without a process that could hold a lock.
    mounts: PathBuf,
    /// What names of bases end with: until when, and for whom, they are good.
    suffix: String,
    marks: Marks,
    /// Whether images can be mounted here, once that was tried.
    mounts_images: OnceLock<bool>,
}

impl Bases {
    pub(in super::super) fn new(repository: &Repository, marks: Marks) -> Self {
        // Where there is none, nothing tells one run of the machine from another, and names are never found again.
        let boot = namespace::boot_id().unwrap_or_else(|| std::process::id().to_string());
        let whose = match marks {
            Marks::Trusted => "trusted",
            Marks::User => "user",
        };
        Self {
            dir: repository.layers_dir(),
            mounts: repository.mounts_dir(),
            suffix: format!("{boot}.{whose}"),
            marks,
            mounts_images: OnceLock::new(),
        }
    }

    /// Whether the kernel mounts images that lie in a directory of the caller's, and takes them for layers: found by doing it.
    fn mounts_images<S: ObjectStore + Sync>(&self, own_dir: &Path, store: &S) -> bool {
        // Without privileges no kernel does.
        let try_it = || {
            let file = tempfile::tempfile_in(own_dir).ok()?;
            let image = Image::plan(&[], owner())?;
            image.write(store, &file, own_dir).ok()?;
            let (image, other) = (erofs::mount(&file).ok()?, File::open(own_dir).ok()?);
            let layout = Layout {
                lowers: vec![(image.as_fd(), "."), (other.as_fd(), ".")],
                upper: None,
                has_index: false,
                is_volatile: false,
                shared_as: None,
            };
            mount::overlay(&layout, self.marks).ok()
        };
        *self.mounts_images.get_or_init(|| self.marks == Marks::Trusted && try_it().is_some())
    }

    fn path(&self, key: &str) -> PathBuf {
        self.dir.join(format!("{key}.{}", self.suffix))
    }

    /// Whether there is a base of this name. It may be gone when it is asked for.
    pub(super) fn has(&self, key: &str) -> bool {
        self.path(key).is_dir()
    }

    /// The base of this name.
    pub(super) fn find(&self, key: &str) -> Result<Option<Base>, Error> {
        let path = self.path(key);
        // One that is being removed, or belongs to another user, is none.
        let Ok(held) = lock(&path, FlockOperation::NonBlockingLockShared) else { return Ok(None) };
        // Removed between opening and locking it: the name is gone or another's.
        let Ok(base) = Base::open(&path, Some(held), None) else { return Ok(None) };
        // For eviction, when it was last used. What cannot be noted is evicted sooner.
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        let now = Timestamps { last_access: now, last_modification: now };
        if let Some(held) = &base._lock {
            let _ = rustix::fs::futimens(held, &now);
        }
        Ok(Some(base))
    }

    /// The base of this name, for others too, written if it is not there.
    pub(in super::super) fn find_or_write<S: ObjectStore + Sync>(
        &self,
        entries: &Entries,
        key: &str,
        store: &S,
    ) -> Result<Base, Error> {
        for _ in 0..2 {
            if let Some(base) = self.find(key)? {
                return Ok(base);
            }
            let base = self.write(entries, Some(key), &self.dir, store)?;
            // Else another process was faster, and its base is there now.
            if base.name.is_some() {
                return Ok(base);
            }
        }
        Err(Error::Unavailable(format!(
            "{:?} is there and cannot be used: it may be another user's",
            self.path(key)
        )))
    }

    /// Writes a base: to be found again by its name, or for the caller alone, in a directory of their own.
    pub(super) fn write<S: ObjectStore + Sync>(
        &self,
        entries: &Entries,
        key: Option<&str>,
        own_dir: &Path,
        store: &S,
    ) -> Result<Base, Error> {
        let tree: Vec<WorkspaceEntry<'_>> = entries
            .below(b"")
            .map(|(path, value)| workspace::decode(path, value))
            .collect::<Result<_, _>>()?;
        let tree = marks::shown(tree, self.marks)?;
        let shared = key.and_then(|key| {
            fs::create_dir_all(&self.dir).ok()?;
            self.evict();
            TempDir::with_prefix_in("new.", &self.dir).ok().map(|dir| (dir, key))
        });
        let (dir, key) = match shared {
            Some((dir, key)) => (dir, Some(key)),
            // Not ours to write in, or no name: it goes with the caller.
            None => {
                let dir = TempDir::with_prefix_in("base.", own_dir);
                (dir.map_err(Error::io("write in", own_dir))?, None)
            }
        };
        let held = lock(dir.path(), FlockOperation::LockShared)?;
        let image =
            if self.mounts_images(own_dir, store) { Image::plan(&tree, owner()) } else { None };
        let bytes = if let Some(image) = image {
            let path = dir.path().join("image");
            let file = File::create_new(&path).map_err(Error::io("create", &path))?;
            image.write(store, &file, &path)?;
            image.len()
        } else {
            directory::write_tree(&tree, store, &dir.path().join("tree"), &mut |_| {})?;
            let bytes = tree.iter().map(|entry| {
                INODE_BYTES + entry.entry.content().map_or(0, cascow_core::blob::BlobId::len)
            });
            bytes.fold(0, u64::saturating_add)
        };
        let size = dir.path().join("bytes");
        fs::write(&size, bytes.to_string()).map_err(Error::io("write", &size))?;
        if let Some(key) = key {
            let path = self.path(key);
            // Another process may have been faster; then this one is ours alone.
            if fs::rename(dir.path(), &path).is_ok() {
                let _ = dir.keep();
                return Base::open(&path, Some(held), None);
            }
        }
        let path = dir.path().to_owned();
        Base::open(&path, Some(held), Some(dir))
    }

    /// Removes what nobody uses: bases of other runs of the machine, what killed writers left, and the oldest while there are too
    /// many bytes.
    fn evict(&self) {
        let mut kept = Vec::new();
        for entry in fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            let (name, path) = (entry.file_name(), entry.path());
            let name = name.to_string_lossy();
            let is_stale = !name.contains(self.boot());
            if is_stale {
                self.remove_unused(&path);
            } else if let Ok(stat) = entry.metadata() {
                let bytes = fs::read_to_string(path.join("bytes")).ok();
                let bytes: u64 = bytes.and_then(|text| text.parse().ok()).unwrap_or(0);
                kept.push((stat.modified().unwrap_or(SystemTime::UNIX_EPOCH), bytes, path));
            }
        }
        kept.sort();
        let mut total = kept.iter().map(|(_, bytes, _)| bytes).fold(0, |a, b| b.saturating_add(a));
        for (_, bytes, path) in kept {
            if total <= BASES_BYTES {
                return;
            }
            if self.remove_unused(&path) {
                total -= bytes;
            }
        }
    }

    fn boot(&self) -> &str {
        self.suffix.split('.').next().unwrap_or_default()
    }

    /// Removes a base unless somebody uses it: under a lock, so that nobody begins to meanwhile. What cannot be removed is nobody's
    /// loss.
    fn remove_unused(&self, path: &Path) -> bool {
        match lock(path, FlockOperation::NonBlockingLockExclusive) {
            // Who mounts holds a lock until the mount is recorded, so that is looked at under ours.
            Ok(_held) if !self.is_mounted(path) => directory::remove(path).is_ok(),
            _ => false,
        }
    }

    /// Whether a mount may stand on a base: all of them may, if that cannot be told.
    fn is_mounted(&self, path: &Path) -> bool {
        let Ok(records) = mounts::records(&LinuxDisk, &self.mounts) else { return true };
        records.iter().any(|record| path.file_name() == Some(record.base.as_ref()))
    }
}

/// Whose files we make.
fn owner() -> (u32, u32) {
    (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use cascow_core::hash::HashKind;
    use cascow_core::snapshot::State;

    use super::*;
    use crate::directory::ScanOptions;
    use crate::store::{Store, StoreKind};

    fn scan(dir: &Path, store: &Store) -> State {
        directory::scan(dir, store, &ScanOptions::default(), &mut |_| {}).unwrap().state
    }

    fn shown(base: &Base, store: &Store) -> State {
        scan(&PathBuf::from(format!("/proc/self/fd/{}/.", base.fd().as_raw_fd())), store)
    }

    /// A repository, and the state of a tree in it.
    fn setting() -> (TempDir, Repository, State) {
        let dir = tempfile::tempdir().unwrap();
        for name in ["own", "tree"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let tree = dir.path().join("tree");
        fs::create_dir(tree.join("directory")).unwrap();
        fs::write(tree.join("directory/file"), "content").unwrap();
        let repository =
            Repository::init(dir.path(), HashKind::Sha256, StoreKind::Segments).unwrap();
        let state = scan(&tree, repository.store());
        (dir, repository, state)
    }

    #[test]
    fn where_no_image_can_be_mounted_a_base_is_a_tree_and_found_again() {
        let (dir, repository, state) = setting();
        let store = repository.store();
        let own = dir.path().join("own");
        let bases = Bases::new(&repository, Marks::Trusted);
        bases.mounts_images.set(false).unwrap();
        let entries = Entries::new(&state).unwrap();
        let base = bases.write(&entries, Some("name"), &own, store).unwrap();
        assert!(bases.path("name").join("tree").is_dir());
        assert!(!bases.path("name").join("image").exists());
        assert!(shown(&base, store) == state);
        let found = bases.find("name").unwrap().unwrap();
        assert!(shown(&found, store) == state);
    }

    #[test]
    fn where_images_can_be_mounted_a_base_is_one_file_and_found_again() {
        if !rustix::process::geteuid().is_root() {
            println!(
                "privileged, not run: where_images_can_be_mounted_a_base_is_one_file_and_found_again: only root may mount"
            );
            return;
        }
        let (dir, repository, state) = setting();
        let store = repository.store();
        let own = dir.path().join("own");
        let bases = Bases::new(&repository, Marks::Trusted);
        if !bases.mounts_images(&own, store) {
            println!(
                "privileged, not run: where_images_can_be_mounted_a_base_is_one_file_and_found_again: this kernel mounts no image from a file"
            );
            return;
        }
        let entries = Entries::new(&state).unwrap();
        let base = bases.write(&entries, Some("name"), &own, store).unwrap();
        let len = fs::metadata(bases.path("name").join("image")).unwrap().len();
        assert_eq!(fs::read_to_string(bases.path("name").join("bytes")).unwrap(), len.to_string());
        assert!(!bases.path("name").join("tree").exists());
        assert!(shown(&base, store) == state);
        drop(base);
        let found = bases.find("name").unwrap().unwrap();
        assert!(shown(&found, store) == state);
        // One that is damaged is none.
        drop(found);
        File::options()
            .write(true)
            .open(bases.path("name").join("image"))
            .unwrap()
            .set_len(0)
            .unwrap();
        assert!(bases.find("name").unwrap().is_none());
    }
}
