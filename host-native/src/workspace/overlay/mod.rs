// SPDX-License-Identifier: MIT
//! The overlay materialiser: a fork is an overlayfs mount over layers that nobody changes any more.
//!
//! What a command changes goes into the mount's upper layer. Sealing makes the whole mount read-only (the kernel refuses while
//! anything still writes), reads the upper layer as a delta, and keeps it as the topmost layer of the new state. So forking
//! costs a mount, and sealing what was changed, whatever the tree's size.

mod base;
pub(super) mod decode;
mod erofs;
pub(super) mod layer;
mod marks;
pub(super) mod mount;
mod remover;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use cascow_core::snapshot::{Delta, Edit};
use cascow_core::store::ObjectStore;
use rustix::fs::{AtFlags, Timespec, Timestamps, UTIME_OMIT};
use rustix::io::Errno;

use super::entries::Entries;
use super::holders;
use super::namespace::{self, Marks, NamespaceId};
use crate::Error;
use crate::directory;
use crate::repository::Repository;

pub(super) use base::{Base, Bases};
use decode::Decoded;
use layer::{Layer, LayerDir, Shelf};
use mount::{Layout, Refused};

/// How long sealing waits for processes that were killed just now: their files are closed when they are gone.
const DYING: Duration = Duration::from_secs(2);

/// Overlay workspaces of one workshop.
#[derive(Debug)]
pub(super) struct Overlay {
    shelf: Arc<Shelf>,
    dir: PathBuf,
    bases: Bases,
    namespace: NamespaceId,
    /// Numbers of the places where workspaces are mounted, that are free again.
    free: Mutex<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    free: BTreeSet<u32>,
    made: u32,
}

/// The layers that show a state.
#[derive(Clone, Debug)]
pub(super) struct Stack(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    base: Arc<Base>,
    /// Above the base, the topmost first.
    layers: Vec<Arc<Layer>>,
    /// The same, joined where there are many; made when it is first forked from, and shared by all that come from it.
    compacted: OnceLock<Vec<Arc<Layer>>>,
}

impl Stack {
    fn new(base: Arc<Base>, layers: Vec<Arc<Layer>>) -> Self {
        Self(Arc::new(Inner { base, layers, compacted: OnceLock::new() }))
    }

    fn layers(&self) -> &[Arc<Layer>] {
        self.0.compacted.get_or_init(|| layer::compact(self.0.layers.clone()))
    }

    fn with(&self, top: Arc<Layer>) -> Self {
        let layers = [top].into_iter().chain(self.layers().iter().cloned()).collect();
        Self::new(Arc::clone(&self.0.base), layers)
    }
}

/// What sealing a mount gave.
pub(super) struct SealedMount {
    pub(super) entries: Entries,
    pub(super) stack: Stack,
    pub(super) delta: Delta,
    pub(super) skipped: Vec<directory::Skipped>,
}

impl Overlay {
    /// In an empty directory of a workshop, with bases kept in another. Enters a mount namespace with this thread, and really mounts
    /// and freezes something, so that whatever the system does not allow shows here.
    ///
    /// # Errors
    /// [`Error::Unavailable`] with the reason.
    pub(super) fn open(
        dir: &Path,
        repository: &Repository,
        layer_bytes: u64,
    ) -> Result<Self, Error> {
        let marks = namespace::enter()?;
        let overlay = Self {
            shelf: Arc::new(Shelf::new(dir.to_owned(), marks, layer_bytes)?),
            dir: dir.to_owned(),
            bases: Bases::new(repository, marks),
            namespace: NamespaceId::current()?,
            free: Mutex::default(),
        };
        overlay.probe()?;
        Ok(overlay)
    }

    fn probe(&self) -> Result<(), Error> {
        let lower = self.shelf.make("probe.lower".to_owned())?;
        for name in ["kept", "deleted"] {
            let path = lower.path().join(name);
            fs::write(&path, name).map_err(Error::io("write", &path))?;
        }
        let (upper, work) = self.rooms()?;
        let lowers = vec![(self.shelf.fd(), lower.name.as_str())];
        let mounted = self.mount_over(lowers, upper, work, false)?;
        let try_it = || {
            fs::remove_file(mounted.path.join("deleted"))?;
            let kept = fs::read(mounted.path.join("kept"))?;
            Ok::<_, std::io::Error>(kept == b"kept")
        };
        if try_it().map_err(Error::io("try an overlay in", &mounted.path))? {
            mounted.freeze()
        } else {
            Err(Error::Unavailable("an overlay does not show what is below it".to_owned()))
        }
    }

    /// The layers of a state: a base written out whole, or one that is there already for a state that differs in little. A
    /// base with a name is kept for other processes and times.
    pub(super) fn stack<S: ObjectStore + Sync>(
        &self,
        entries: &Entries,
        key: Option<&str>,
        store: &S,
    ) -> Result<Stack, Error> {
        if let Some(path) = hidden(entries)? {
            return Err(Error::Unavailable(format!(
                "{path:?} is a character device 0:0, which overlayfs cannot show; use --materialize copy"
            )));
        }
        let base = match key.map(|key| self.bases.find(key)).transpose()?.flatten() {
            Some(base) => base,
            None => self.bases.write(entries, key, &self.dir, store)?,
        };
        Ok(Stack::new(Arc::new(base), Vec::new()))
    }

    /// The layers of a state that differs from another, whose base is there, by a delta.
    pub(super) fn stack_above(&self, below: &Stack, entries: &Entries, delta: &Delta) -> Stack {
        let changed = layer::changed(delta.iter().map(|Edit { key, .. }| key));
        below.with(Arc::new(Layer::new(&self.shelf, 1, changed, entries.clone())))
    }

    /// Lets layers that are not in use take no more than so many bytes.
    pub(super) fn keep_layers_within(&self, bytes: u64) {
        self.shelf.keep_within(bytes);
    }

    /// Waits until what nobody needs any more is removed.
    pub(super) fn settle(&self) {
        self.shelf.settle();
    }

    /// Whether a base of this name is there.
    pub(super) fn has_base(&self, key: &str) -> bool {
        self.bases.has(key)
    }

    /// Mounts a fork.
    pub(super) fn mount<S: ObjectStore + Sync>(
        &self,
        stack: &Stack,
        entries: &Entries,
        store: &S,
    ) -> Result<Mounted<'_>, Error> {
        let dirs = stack.layers().iter().map(|layer| layer.dir(store));
        let dirs: Vec<Arc<LayerDir>> = dirs.collect::<Result<_, _>>()?;
        let layers = dirs.iter().map(|dir| (self.shelf.fd(), dir.name.as_str()));
        let lowers = layers.chain([(stack.0.base.fd(), ".")]).collect();
        let (upper, work) = self.rooms()?;
        let has_index = entries.has_links() && self.shelf.marks == Marks::Trusted;
        if entries.has_links() && !has_index {
            layer::write_links(entries, &upper.path(), self.shelf.marks, store)?;
        }
        let mut mounted = self.mount_over(lowers, upper, work, has_index)?;
        mounted.lowers = dirs;
        Ok(mounted)
    }

    /// New directories for what will be changed, and for the kernel's own use.
    fn rooms(&self) -> Result<(LayerDir, LayerDir), Error> {
        let number = self.shelf.number();
        Ok((
            self.shelf.make(format!("{number}.upper"))?,
            self.shelf.make(format!("{number}.work"))?,
        ))
    }

    fn mount_over(
        &self,
        lowers: Vec<(BorrowedFd<'_>, &str)>,
        upper: LayerDir,
        work: LayerDir,
        has_index: bool,
    ) -> Result<Mounted<'_>, Error> {
        if NamespaceId::current()? != self.namespace {
            return Err(Error::Unavailable(
                "a workshop's overlays show only to the thread that opened it and to those begun by it"
                    .to_owned(),
            ));
        }
        let layout = Layout {
            lowers,
            upper: Some((self.shelf.fd(), &upper.name, &work.name)),
            has_index,
            is_volatile: true,
            shared_as: None,
        };
        let fd = mount::overlay(&layout, self.shelf.marks)
            .map_err(|refused| explain(&self.dir, refused))?;
        let slot = self.slot()?;
        let path = self.place(slot);
        if let Err(errno) = mount::attach(&fd, &path) {
            self.give_back(slot);
            return Err(Error::io("mount on", &path)(errno));
        }
        let lowers = Vec::new();
        Ok(Mounted { overlay: self, fd: Some(fd), upper: Some(upper), work, lowers, path, slot })
    }

    /// A free place to mount on. Places are used again, so that commands find themselves at the same path more often than not.
    fn slot(&self) -> Result<u32, Error> {
        let mut slots = self.slots();
        if let Some(slot) = slots.free.pop_first() {
            return Ok(slot);
        }
        let slot = slots.made;
        let path = self.place(slot);
        fs::DirBuilder::new().mode(0o700).create(&path).map_err(Error::io("create", &path))?;
        slots.made += 1;
        Ok(slot)
    }

    fn give_back(&self, slot: u32) {
        self.slots().free.insert(slot);
    }

    fn slots(&self) -> std::sync::MutexGuard<'_, Slots> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self, slot: u32) -> PathBuf {
        self.dir.join(slot.to_string())
    }
}

/// What overlayfs would take for a whiteout and hide, if a state holds such a thing.
pub(super) fn hidden(entries: &Entries) -> Result<Option<String>, Error> {
    for (path, value) in entries.below(b"") {
        let entry = cascow_core::workspace::decode(path, value)?.entry;
        if marks::looks_like_whiteout(&entry) {
            return Ok(Some(path.escape_ascii().to_string()));
        }
    }
    Ok(None)
}

/// Tries again for a moment what something still keeps from being done: processes that were killed take as long to be gone.
pub(super) fn patiently(mut attempt: impl FnMut() -> Result<(), Errno>) -> Result<(), Errno> {
    let begin = Instant::now();
    loop {
        match attempt() {
            Err(Errno::BUSY) if begin.elapsed() < DYING => thread::sleep(Duration::from_millis(1)),
            done => return done,
        }
    }
}

/// Says why the kernel would not mount with an upper layer in a directory, as far as it can be found out.
pub(super) fn explain(dir: &Path, Refused { step, errno }: Refused) -> Error {
    const OVERLAYFS_MAGIC: u64 = 0x794c_7630;
    let kind = rustix::fs::statfs(dir).map(|stat| u64::try_from(stat.f_type).unwrap_or(0));
    let why = if errno == Errno::NODEV {
        "this kernel has no overlayfs".to_owned()
    } else if errno == Errno::NOSYS {
        "this kernel is too old; overlays need Linux 6.8".to_owned()
    } else if step == "lowerdir+" && errno == Errno::INVAL {
        "this kernel is too old to take layers one by one; overlays need Linux 6.8".to_owned()
    } else if kind == Ok(OVERLAYFS_MAGIC) {
        "the repository lies on an overlay itself, as a container's own files do; put it on a volume".to_owned()
    } else if matches!(errno, Errno::INVAL | Errno::OPNOTSUPP) {
        "the repository's filesystem lacks what an upper layer needs (extended attributes, RENAME_WHITEOUT)".to_owned()
    } else {
        std::io::Error::from(errno).kind().to_string()
    };
    Error::Unavailable(format!("cannot mount an overlay in {dir:?}: {why} ({step})"))
}

/// A mounted fork, taken away when it is dropped, with what was changed in it.
#[derive(Debug)]
pub(super) struct Mounted<'o> {
    overlay: &'o Overlay,
    fd: Option<OwnedFd>,
    upper: Option<LayerDir>,
    work: LayerDir,
    /// Layers that must stay while they show.
    lowers: Vec<Arc<LayerDir>>,
    path: PathBuf,
    slot: u32,
}

impl Mounted<'_> {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a state of what the workspace holds now, and ends it.
    pub(super) fn seal<S: ObjectStore + Sync>(
        mut self,
        below: &Entries,
        stack: &Stack,
        store: &S,
    ) -> Result<SealedMount, Error> {
        self.freeze()?;
        let marks = self.overlay.shelf.marks;
        let upper = self.upper.as_ref().map(LayerDir::path).unwrap_or_default();
        // There the kernel keeps a name for each hard-linked file that it copied up.
        let index = self.work.path().join("index");
        let has_copies = fs::read_dir(index).is_ok_and(|mut names| names.next().is_some());
        let mut decoded = decode::decode(&upper, below, marks, has_copies, store)?;
        if !decoded.untouched.is_empty() {
            self.copy_up(&decoded.untouched)?;
            decoded = decode::decode(&upper, below, marks, has_copies, store)?;
        }
        let Decoded { delta, skipped, bytes, .. } = decoded;
        let is_unused = self.unmount();
        if delta.is_empty() {
            return Ok(SealedMount {
                entries: below.clone(),
                stack: stack.clone(),
                delta,
                skipped,
            });
        }
        let mut entries = below.clone();
        entries.apply(&delta);
        let changed = layer::changed(delta.iter().map(|Edit { key, .. }| key));
        let layer = Arc::new(Layer::new(&self.overlay.shelf, 1, changed, entries.clone()));
        // A layer that somebody may still stand in is written anew, should it be wanted: the kernel would not take it.
        if is_unused
            && skipped.is_empty()
            && let Some(upper) = self.upper.take()
        {
            layer.adopt(upper, bytes);
        }
        Ok(SealedMount { entries, stack: stack.with(layer), delta, skipped })
    }

    /// Lets nobody write any more. Processes that were killed may take a moment to be gone.
    fn freeze(&self) -> Result<(), Error> {
        patiently(|| self.set_read_only(true)).map_err(|errno| match errno {
            Errno::BUSY => {
                let who = holders::of(&self.path);
                let who = who.as_deref().unwrap_or("a process");
                Error::Unavailable(format!(
                    "{who}, which the command left behind, still writes in its workspace; nothing was kept: end it in the command"
                ))
            }
            errno => Error::io("freeze", &self.path)(errno),
        })
    }

    fn set_read_only(&self, read_only: bool) -> Result<(), Errno> {
        // UNWRAP: taken by `unmount` alone, which comes after all else.
        let fd = self.fd.as_ref().expect("the workspace is mounted");
        mount::freeze(fd, read_only)
    }

    /// Has the kernel bring names of hard-linked files into the upper layer, where their other names are: setting a time to what
    /// it is does that.
    fn copy_up(&self, paths: &[Vec<u8>]) -> Result<(), Error> {
        self.set_read_only(false).map_err(Error::io("thaw", &self.path))?;
        let top = File::open(&self.path).map_err(Error::io("open", &self.path))?;
        for path in paths {
            let fail = || Error::io("copy up", self.path.join(directory::os_path(path)));
            let stat = rustix::fs::statat(&top, path.as_slice(), AtFlags::SYMLINK_NOFOLLOW)
                .map_err(fail())?;
            let last_modification = Timespec {
                tv_sec: stat.st_mtime,
                tv_nsec: i64::try_from(stat.st_mtime_nsec).unwrap_or(0),
            };
            let times = Timestamps {
                last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
                last_modification,
            };
            rustix::fs::utimensat(&top, path.as_slice(), &times, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(fail())?;
        }
        drop(top);
        self.freeze()
    }

    /// Takes the mount away. True if it is gone, and not kept by a process that still stands in it.
    fn unmount(&mut self) -> bool {
        if self.fd.take().is_none() {
            return true;
        }
        let detached = mount::detach(&self.path);
        // A place that something still covers is not used again.
        if detached.is_ok() {
            self.overlay.give_back(self.slot);
        }
        detached == Ok(true)
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        self.unmount();
    }
}
