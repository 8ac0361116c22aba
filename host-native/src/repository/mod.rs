// SPDX-License-Identifier: MIT
//! Repositories: a directory `.cascow` with objects, the history of snapshots, and labels.
//!
//! | path | holds |
//! |---|---|
//! | `format` | what kind of repository this is; written last when one is made |
//! | `objects/` | the [store](crate::store) |
//! | `snapshots` | the names of all snapshots, in the order in which they were saved |
//! | `labels/` | names for snapshots, a file each |
//! | `work/` | workspaces of running processes |
//! | `mounts/` | mounts that outlive the process that made them, a directory each |
//! | `layers/` | states written out for workspaces to stand on: a cache |
//! | `leases/` | what running processes rely on, and since when |
//! | `searches/` | searches that can be resumed, a directory each |
//! | `scores/` | what score commands said of states, a file for each command |
//! | `stat-cache/` | what saves knew of the files they read, so that the next need not read them |
//! | `quarantine/` | what `fsck --repair` found damaged beyond repair |
//! | `lock` | held while history, labels, leases, scores or the list of searches change |
//! | `gc.lock` | held by the one collector |
//!
//! A snapshot is published in this order: its objects, a sync, its line in the history, a sync, its label. Whatever a crash
//! leaves is a repository in which everything that is referred to is there.

mod bundle;
mod collect;
mod format;
mod fsck;
mod history;
mod labels;
mod lease;
pub(crate) mod mounts;
pub(crate) mod searches;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use cascow_core::hash::{ContentHash, HashKind};
use cascow_core::record::{self, SnapshotRecord, Written};
use cascow_core::snapshot::State;
use cascow_core::store::ObjectStore;

use crate::Error;
use crate::disk::{Access, Disk, DiskFile, LinuxDisk, Lock};
use crate::store::{Store, StoreKind};

use lease::Lease;

pub use bundle::Imported;
pub use collect::{Collect, CollectProgress, Collected, GRACE_SECS};
pub use fsck::{Checked, DamagedLabel, DamagedObject, Fsck, FsckProgress, Mended};
pub use labels::Label;
pub use searches::KeptSearch;

/// Entries of a state whose root is worth a thread of its own: to start one takes as long as the hashes of a few hundred.
const WORTH_A_THREAD: usize = 2048;

/// The directory that a repository is, within the directory that it is for.
pub const DIR_NAME: &str = ".cascow";

/// Fewest hexadecimal digits that may stand for a snapshot.
pub const MIN_PREFIX_DIGITS: usize = 6;

/// Permissions of files that any program makes: the user's mask takes away what it must.
const FILE_MODE: u32 = 0o666;

/// A label, and the snapshot that it names or why it names none.
pub type FoundLabel = (Label, Result<ContentHash, Error>);

/// A repository on disk. Any number of processes may use it at once.
#[derive(Debug)]
pub struct Repository {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    store: Store,
    /// Given back last: the store still publishes when it is dropped.
    lease: Mutex<Option<Lease>>,
}

impl Repository {
    /// Makes the repository `dir/.cascow`, and `dir` if need be, with this kind of store.
    ///
    /// # Errors
    /// [`Error::Misuse`] if there is one already, [`Error::Io`].
    pub fn init(dir: &Path, kind: HashKind, store: StoreKind) -> Result<Self, Error> {
        Self::make(&LinuxDisk, dir, kind, store)?;
        Self::open(dir)
    }

    /// As [`Repository::init`], on a disk.
    ///
    /// # Errors
    /// Those of [`Repository::init`].
    pub fn init_on(
        disk: Arc<dyn Disk>,
        dir: &Path,
        kind: HashKind,
        store: StoreKind,
    ) -> Result<Self, Error> {
        Self::make(&*disk, dir, kind, store)?;
        Self::open_on(disk, dir)
    }

    fn make(disk: &dyn Disk, dir: &Path, kind: HashKind, store: StoreKind) -> Result<(), Error> {
        let dir = dir.join(DIR_NAME);
        let (format, history) = (dir.join("format"), dir.join("snapshots"));
        // The history counts as well: a repository that lost its format must not lose that too. One that names nothing is what
        // a crash left of a repository that was being made.
        let is_unused = || history::read(disk, &history).is_ok_and(|found| found.is_empty());
        if disk.stat(&format).is_ok() || disk.stat(&history).is_ok() && !is_unused() {
            return Err(Error::Misuse(format!("{dir:?} holds a repository already")));
        }
        // Directories that get a new name in them, up to the first that is there.
        let mut above = Vec::new();
        for path in dir.ancestors().skip(1) {
            let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
            above.push(path);
            if disk.stat(path).is_ok() {
                break;
            }
        }
        for path in [dir.join("objects"), dir.join("labels"), dir.join("work")] {
            disk.create_dir_all(&path).map_err(Error::io("create", &path))?;
        }
        history::create(disk, &history)?;
        format::write(disk, &format, kind, store)?;
        above.iter().try_for_each(|path| disk.sync_dir(path).map_err(Error::io("sync", path)))
    }

    /// Opens the repository that `dir` is or holds.
    ///
    /// # Errors
    /// [`Error::NoRepository`], [`Error::NotARepository`], [`Error::Io`].
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let inner = dir.join(DIR_NAME);
        let dir = if inner.is_dir() { inner } else { dir.to_owned() };
        let dir = dir.canonicalize().map_err(|error| match error.kind() {
            ErrorKind::NotFound => Error::NoRepository { path: dir.clone() },
            _ => Error::io("open", &dir)(error),
        })?;
        Self::open_on(LinuxDisk::shared(), &dir)
    }

    /// As [`Repository::open`], on a disk. Paths are then as they are given here.
    ///
    /// # Errors
    /// Those of [`Repository::open`].
    pub fn open_on(disk: Arc<dyn Disk>, dir: &Path) -> Result<Self, Error> {
        let inner = dir.join(DIR_NAME);
        let dir = match disk.stat(&inner) {
            Ok(stat) if stat.is_dir => inner,
            Err(error)
                if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                return Err(Error::io("look at", &inner)(error));
            }
            _ => dir.to_owned(),
        };
        let (hash, kind) = format::read(&*disk, &dir.join("format"))?;
        let store = Store::open_on(Arc::clone(&disk), kind, hash, &dir.join("objects"))?;
        Ok(Self { disk, dir, store, lease: Mutex::new(None) })
    }

    /// Opens the nearest repository from `start` upwards.
    ///
    /// # Errors
    /// [`Error::NoRepository`], [`Error::NotARepository`], [`Error::Io`].
    pub fn discover(start: &Path) -> Result<Self, Error> {
        match start.ancestors().find(|dir| dir.join(DIR_NAME).is_dir()) {
            Some(dir) => Self::open(dir),
            None => Err(Error::NoRepository { path: start.to_owned() }),
        }
    }

    /// The repository's own directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where its objects are.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Where its processes keep their workspaces.
    pub fn work_dir(&self) -> PathBuf {
        self.dir.join("work")
    }

    /// Where its processes keep states that are written out, for each other to find.
    pub fn layers_dir(&self) -> PathBuf {
        self.dir.join("layers")
    }

    /// Where mounts that outlive their process are recorded, with what is changed in them.
    pub fn mounts_dir(&self) -> PathBuf {
        self.dir.join("mounts")
    }

    /// Tells collectors that this process is at work: from now on until the repository is dropped, nothing that it puts is
    /// collected. To be called before the first put of what is to be published.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn lease(&self) -> Result<(), Error> {
        self.with_lease(|_| Ok(()))
    }

    /// Keeps a snapshot, with all that it comes from and refers to, from being collected until the repository is dropped.
    ///
    /// # Errors
    /// [`Error::Absent`] if the history does not name it, [`Error::Io`].
    pub fn pin(&self, snapshot: &ContentHash) -> Result<(), Error> {
        let _lock = self.lock()?;
        if !self.snapshots()?.contains(snapshot) {
            return Err(Error::Absent { snapshot: *snapshot });
        }
        self.with_locked_lease(|lease| lease.pin(snapshot))
    }

    /// As [`Repository::resolve`], and [pinned](Repository::pin).
    ///
    /// # Errors
    /// Those of both.
    pub fn resolve_pinned(&self, name: &str) -> Result<ContentHash, Error> {
        let snapshot = self.resolve(name)?;
        self.pin(&snapshot)?;
        Ok(snapshot)
    }

    /// As [`Repository::resolve_pinned`], for who only reads: where nothing can be written, the snapshot is not pinned, and who
    /// collects the repository meanwhile takes it away.
    ///
    /// # Errors
    /// Those of [`Repository::resolve`].
    pub fn resolve_to_read(&self, name: &str) -> Result<ContentHash, Error> {
        let snapshot = self.resolve(name)?;
        match self.pin(&snapshot) {
            Err(Error::Io { .. }) => Ok(snapshot),
            pinned => pinned.map(|()| snapshot),
        }
    }

    /// Begins this process's lease anew: for who works long and has just published all that it put. What it pinned stays.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn renew_lease(&self) -> Result<(), Error> {
        self.with_lease(Lease::renew)
    }

    fn with_lease(&self, work: impl FnOnce(&mut Lease) -> Result<(), Error>) -> Result<(), Error> {
        let _lock = self.lock()?;
        self.with_locked_lease(work)
    }

    /// The caller holds the repository's lock.
    fn with_locked_lease(
        &self,
        work: impl FnOnce(&mut Lease) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut held = self.held_lease();
        let lease = match &mut *held {
            Some(lease) => lease,
            None => held.insert(Lease::begin(&self.disk, &self.leases_dir())?),
        };
        let done = work(lease);
        self.store.lease_from(lease.start);
        done
    }

    /// When this process's lease began, in seconds since 1970; before all time if it has none.
    fn lease_start(&self) -> u64 {
        self.held_lease().as_ref().map_or(0, |lease| lease.start)
    }

    fn held_lease(&self) -> MutexGuard<'_, Option<Lease>> {
        // A lease is whole at any moment.
        self.lease.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores a state as a snapshot and makes it durable; not yet in the history. Under the process's lease.
    ///
    /// # Errors
    /// Those of [`record::write`] and [`Store::sync`].
    pub fn write_snapshot(
        &self,
        state: &State,
        parent: Option<ContentHash>,
    ) -> Result<Written, Error> {
        self.lease()?;
        let kind = self.store.hash_kind();
        let (root, listing) = thread::scope(|scope| {
            // The root takes about as long as the listing. A system that gives no more threads is worked with the one there is.
            let root = (state.len() >= WORTH_A_THREAD)
                .then(|| thread::Builder::new().spawn_scoped(scope, || state.root(kind)).ok())
                .flatten();
            let listing = record::write_listing(&self.store, state);
            let root = root.and_then(|root| root.join().ok()).unwrap_or_else(|| state.root(kind));
            (root, listing)
        });
        let written = record::write_record(&self.store, state, root, listing?, parent)?;
        self.store.sync()?;
        Ok(written)
    }

    /// Enters a stored snapshot in the history and, if asked, names it.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn publish(&self, snapshot: &ContentHash, label: Option<&Label>) -> Result<(), Error> {
        let _lock = self.lock()?;
        history::append(&*self.disk, &self.history_path(), snapshot)?;
        match label {
            Some(label) => labels::set(&*self.disk, &self.labels_dir(), label, snapshot),
            None => Ok(()),
        }
    }

    /// All snapshots, in the order in which they were saved. O(n).
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::NotARepository`] if the history is not one.
    pub fn snapshots(&self) -> Result<Vec<ContentHash>, Error> {
        Ok(history::read(&*self.disk, &self.history_path())?.names)
    }

    /// All labels and the snapshots they name, ascending by name. O(n).
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::NotARepository`] if one of them is damaged.
    pub fn labels(&self) -> Result<Vec<(Label, ContentHash)>, Error> {
        let found = |(label, snapshot): (Label, Result<_, _>)| snapshot.map(|it| (label, it));
        self.readable_labels()?.into_iter().map(found).collect()
    }

    /// All labels, ascending by name, each with the snapshot that it names or why it names none. O(n).
    ///
    /// # Errors
    /// [`Error::Io`] if they cannot be listed.
    pub fn readable_labels(&self) -> Result<Vec<FoundLabel>, Error> {
        let dir = self.labels_dir();
        let mut labels = Vec::new();
        for label in labels::list(&*self.disk, &dir)? {
            // One that is deleted meanwhile is none.
            if let Some(found) = labels::get(&*self.disk, &dir, &label).transpose() {
                labels.push((label, found));
            }
        }
        Ok(labels)
    }

    /// Names a snapshot, in place of what the label named before.
    ///
    /// # Errors
    /// [`Error::Absent`] if the history does not name it, [`Error::Io`].
    pub fn set_label(&self, label: &Label, snapshot: &ContentHash) -> Result<(), Error> {
        let _lock = self.lock()?;
        if !self.snapshots()?.contains(snapshot) {
            return Err(Error::Absent { snapshot: *snapshot });
        }
        labels::set(&*self.disk, &self.labels_dir(), label, snapshot)
    }

    /// Takes a name away; the snapshot stays.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Io`].
    pub fn delete_label(&self, label: &Label) -> Result<(), Error> {
        let _lock = self.lock()?;
        labels::delete(&*self.disk, &self.labels_dir(), label)
    }

    /// The snapshot that a text names: a hash of 64 digits, a label, or the beginning of a hash.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Absent`] for a hash and [`Error::Dangling`] for a label of what was collected, or never
    /// saved; [`Error::Ambiguous`], [`Error::Io`].
    pub fn resolve(&self, name: &str) -> Result<ContentHash, Error> {
        let not_found = || Error::NotFound { kind: "snapshot", name: name.to_owned() };
        let snapshots = self.snapshots()?;
        if let Ok(hash) = name.parse::<ContentHash>() {
            return match snapshots.contains(&hash) {
                true => Ok(hash),
                false => Err(Error::Absent { snapshot: hash }),
            };
        }
        let mut found: Vec<ContentHash> = Vec::new();
        if let Ok(label) = name.parse::<Label>()
            && let Some(snapshot) = labels::get(&*self.disk, &self.labels_dir(), &label)?
        {
            if !snapshots.contains(&snapshot) {
                return Err(Error::Dangling { label: label.to_string(), snapshot });
            }
            found.push(snapshot);
        }
        let is_prefix = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        if name.len() >= MIN_PREFIX_DIGITS && is_prefix(name) {
            let prefix = name.to_ascii_lowercase();
            found
                .extend(snapshots.into_iter().filter(|hash| hash.to_string().starts_with(&prefix)));
        }
        found.sort();
        found.dedup();
        match found[..] {
            [] => Err(not_found()),
            [hash] => Ok(hash),
            _ => Err(Error::Ambiguous { name: name.to_owned(), count: found.len() }),
        }
    }

    /// A snapshot's record.
    ///
    /// # Errors
    /// Those of [`record::read`].
    pub fn record(&self, snapshot: &ContentHash) -> Result<SnapshotRecord, Error> {
        Ok(record::read(&self.store, snapshot)?)
    }

    /// A snapshot's state, checked against its root.
    ///
    /// # Errors
    /// Those of [`record::read_state`].
    pub fn state(&self, snapshot: &ContentHash) -> Result<State, Error> {
        Ok(record::read_state(&self.store, &self.record(snapshot)?)?)
    }

    fn history_path(&self) -> PathBuf {
        self.dir.join("snapshots")
    }

    fn labels_dir(&self) -> PathBuf {
        self.dir.join("labels")
    }

    fn leases_dir(&self) -> PathBuf {
        self.dir.join("leases")
    }

    /// Where what is damaged beyond repair is moved.
    pub fn quarantine_dir(&self) -> PathBuf {
        self.dir.join("quarantine")
    }

    /// Waits until no other process changes history or labels. The kernel gives the lock back when the file is closed.
    fn lock(&self) -> Result<Arc<dyn DiskFile>, Error> {
        let path = self.dir.join("lock");
        let file = open_or_create(&*self.disk, &path)?;
        file.lock(Lock::Exclusive, true).map_err(Error::io("lock", &path))?;
        Ok(file)
    }
}

/// A file to be locked.
fn open_or_create(disk: &dyn Disk, path: &Path) -> Result<Arc<dyn DiskFile>, Error> {
    loop {
        match disk.open(path, Access::Write) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            opened => return opened.map_err(Error::io("open", path)),
        }
        match disk.create(path, FILE_MODE) {
            // Another process was faster.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            made => return made.map_err(Error::io("open", path)),
        }
    }
}
