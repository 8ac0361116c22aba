// SPDX-License-Identifier: MIT
//! Workspaces: private forks of a state, as directories that commands may change.
//!
//! A [`Workshop`] is one process's place for its workspaces, inside a repository. It is locked while the process lives; the kernel
//! gives the lock back however the process ends, and the next workshop clears away what is no longer locked. An [`Origin`] is a
//! state that workspaces are forked from; sealing a workspace gives the next one, and the delta between them. Nothing that
//! happens in a workspace reaches the state it was forked from.
//!
//! Two materialisers make directories of states, with the same results: *overlay* mounts layers by the kernel's overlayfs, and
//! forks a tree of any size in some hundred microseconds; *copy* writes every file out.
//!
//! # What it does not do
//!
//! A workspace keeps *files* apart. Processes, memory, network and devices are shared with everything else: this is no sandbox.

mod copy;
mod entries;
mod holders;
mod materialize;
mod mountinfo;
pub mod mounts;
mod namespace;
mod overlay;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use cascow_core::hash::ContentHash;
use cascow_core::snapshot::{Delta, State};
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use tempfile::TempDir;

use crate::Error;
use crate::directory::{self, Skipped};
use crate::repository::Repository;
use crate::store::Store;

use copy::Copied;
use entries::Entries;
pub use materialize::{Materialize, Materializer};
use overlay::{Mounted, Overlay, SealedMount, Stack};

/// Bytes that layers may take which are not in use, unless told otherwise: what was evicted is written again when it is wanted.
const LAYER_BYTES: u64 = 4 << 30;

/// Ancestors of a snapshot that are looked at for a base that is written out already.
const ANCESTORS: usize = 64;

/// One process's place for workspaces.
#[derive(Debug)]
pub struct Workshop<'r> {
    repository: &'r Repository,
    means: Means,
    /// Why overlays cannot be had, if a caller would have taken them.
    obstacle: Option<String>,
    dir: PathBuf,
    _lock: File,
}

#[derive(Debug)]
enum Means {
    Overlay(Box<Overlay>),
    Copy,
}

/// A state that workspaces are forked from. A clone costs nothing.
#[derive(Clone, Debug)]
pub struct Origin {
    entries: Entries,
    stack: Option<Stack>,
}

impl Origin {
    /// The whole state. O(n).
    pub fn state(&self) -> State {
        self.entries.state()
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The length of the longest file: so much room does an overlay need for a change of one byte in it. O(n).
    pub(crate) fn longest_file_len(&self) -> u64 {
        self.entries.longest_file_len()
    }
}

impl<'r> Workshop<'r> {
    /// Opens a workshop in a repository, and clears away those of processes that are no more.
    ///
    /// Where overlays may be used, the calling thread enters a mount namespace of its own, and threads and processes begun by it
    /// afterwards are in it too; only they see the workspaces. Without privileges that takes a process of one thread.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if overlays are wished for and cannot be had, with the reason; [`Error::Io`].
    pub fn open(repository: &'r Repository, wish: Materialize) -> Result<Self, Error> {
        // Here, where the caller's mounts still show. What cannot be swept must not keep others from working.
        let _ = mounts::sweep(repository);
        let work_dir = &repository.work_dir();
        // Held until the new workshop is locked, so that nobody takes it for an abandoned one.
        let all = lock(work_dir, FlockOperation::LockExclusive)?;
        for entry in fs::read_dir(work_dir).map_err(Error::io("list", work_dir))? {
            let path = entry.map_err(Error::io("list", work_dir))?.path();
            let lock = lock(&path, FlockOperation::NonBlockingLockExclusive);
            if lock.is_ok() && namespace::detach_below(&path) {
                // What cannot be removed must not keep others from working.
                let _ = directory::remove(&path);
            }
        }
        let dir = TempDir::with_prefix_in("", work_dir).map_err(Error::io("write in", work_dir))?;
        let own = lock(dir.path(), FlockOperation::NonBlockingLockExclusive)?;
        drop(all);
        let dir = dir.keep();
        let mut workshop = Self { repository, means: Means::Copy, obstacle: None, dir, _lock: own };
        let open = || Overlay::open(&workshop.dir, repository, LAYER_BYTES);
        let (overlay, obstacle) = match wish {
            Materialize::Copy => {
                namespace::enter_if_privileged();
                (None, None)
            }
            Materialize::Overlay => (Some(open()?), None),
            Materialize::Auto => match open() {
                Ok(overlay) => (Some(overlay), None),
                Err(error) => (None, Some(error.to_string())),
            },
        };
        workshop.means = overlay.map_or(Means::Copy, |overlay| Means::Overlay(Box::new(overlay)));
        workshop.obstacle = obstacle;
        Ok(workshop)
    }

    /// How states become directories here.
    pub const fn materializer(&self) -> Materializer {
        match &self.means {
            Means::Overlay(_) => Materializer::Overlay,
            Means::Copy => Materializer::Copy,
        }
    }

    /// Why states are written out, if overlays would have been taken.
    pub fn obstacle(&self) -> Option<&str> {
        self.obstacle.as_deref()
    }

    /// Lets layers that are not in use take no more than so many bytes; what is removed is written again when it is wanted.
    pub fn keep_layers_within(&self, bytes: u64) {
        if let Means::Overlay(overlay) = &self.means {
            overlay.keep_layers_within(bytes);
        }
    }

    /// A state to fork workspaces from. If it is a snapshot's, what is written out for it is kept in the repository and found
    /// again, for it and for those that come from it. O(size), or what differs from an ancestor's that is there.
    ///
    /// # Errors
    /// [`Error::Workspace`] if it is not a directory tree, [`Error::Unavailable`] if overlays cannot show it, and those of
    /// [`directory::checkout`].
    pub fn origin(&self, state: &State, snapshot: Option<&ContentHash>) -> Result<Origin, Error> {
        let entries = Entries::new(state)?;
        let stack = match &self.means {
            Means::Copy => None,
            Means::Overlay(overlay) => Some(self.stack(overlay, state, &entries, snapshot)?),
        };
        Ok(Origin { entries, stack })
    }

    /// A state that differs by a delta from one to fork from, to fork from in its turn. O(k log n) for k changes; what has to be
    /// written out is written when a workspace is first forked from it.
    pub fn derive(&self, origin: &Origin, delta: &Delta) -> Origin {
        let mut entries = origin.entries.clone();
        entries.apply(delta);
        let stack = match (&self.means, &origin.stack) {
            (Means::Overlay(overlay), Some(stack)) => {
                Some(overlay.stack_above(stack, &entries, delta))
            }
            _ => None,
        };
        Origin { entries, stack }
    }

    fn stack(
        &self,
        overlay: &Overlay,
        state: &State,
        entries: &Entries,
        snapshot: Option<&ContentHash>,
    ) -> Result<Stack, Error> {
        let Some(snapshot) = snapshot else { return overlay.stack(entries, None, self.store()) };
        let mut ancestor = Some(*snapshot);
        for _ in 0..ANCESTORS {
            let Some(name) = ancestor else { break };
            if overlay.has_base(&name.to_string()) {
                if name == *snapshot {
                    break;
                }
                let below = self.repository.state(&name)?;
                let delta = below.delta_to(state);
                // Much of it would have to be written in any case: then better whole, for others to find.
                if delta.len() <= state.len() / 8 {
                    let key = name.to_string();
                    let below = overlay.stack(&Entries::new(&below)?, Some(&key), self.store())?;
                    return Ok(overlay.stack_above(&below, entries, &delta));
                }
                break;
            }
            ancestor = self.repository.record(&name)?.parent;
        }
        overlay.stack(entries, Some(&snapshot.to_string()), self.store())
    }

    /// A private fork. It is a record until it is [touched](Workspace::path).
    pub fn fork(&self, origin: &Origin) -> Workspace<'_> {
        Workspace { workshop: self, origin: origin.clone(), place: None }
    }

    /// Waits until what workspaces left that have ended is removed, which otherwise happens beside everything else.
    pub fn settle(&self) {
        if let Means::Overlay(overlay) = &self.means {
            overlay.settle();
        }
    }

    fn store(&self) -> &'r Store {
        self.repository.store()
    }
}

impl Drop for Workshop<'_> {
    fn drop(&mut self) {
        self.settle();
        // Never through a mount that a command left. What cannot be removed now is cleared away by the next workshop.
        if namespace::detach_below(&self.dir) {
            let _ = directory::remove(&self.dir);
        }
    }
}

/// Locks a directory, and nothing that stands in its place.
fn lock(dir: &Path, operation: FlockOperation) -> Result<File, Error> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::open(dir, flags, Mode::empty()).map_err(Error::io("open", dir))?;
    let file = File::from(file);
    loop {
        match rustix::fs::flock(&file, operation) {
            Ok(()) => return Ok(file),
            Err(Errno::INTR) => {}
            Err(error) => return Err(Error::io("lock", dir)(error)),
        }
    }
}

/// A private fork of a state. What was changed in it goes when it is dropped.
#[derive(Debug)]
pub struct Workspace<'w> {
    workshop: &'w Workshop<'w>,
    origin: Origin,
    /// Where it is, once it was touched.
    place: Option<Place<'w>>,
}

#[derive(Debug)]
enum Place<'w> {
    Overlay(Mounted<'w>),
    Copy(Copied),
}

/// What sealing a workspace gave.
#[derive(Debug)]
pub struct Sealed {
    /// The new state, to be forked from in its turn.
    pub origin: Origin,
    /// How it differs from the state that the workspace was forked from, notes included.
    pub delta: Delta,
    /// What could not be part of a state.
    pub skipped: Vec<Skipped>,
}

impl Workspace<'_> {
    /// Its directory. The first call makes it: a mount, or O(size) where states are written out.
    ///
    /// # Errors
    /// Those of [`directory::checkout`]; [`Error::Unavailable`] if an overlay cannot be mounted.
    pub fn path(&mut self) -> Result<&Path, Error> {
        let place = match self.place.take() {
            Some(place) => place,
            None => self.touch()?,
        };
        Ok(match self.place.insert(place) {
            Place::Overlay(mounted) => mounted.path(),
            Place::Copy(copied) => copied.path(),
        })
    }
}

impl<'w> Workspace<'w> {
    fn touch(&self) -> Result<Place<'w>, Error> {
        let Self { workshop, origin, .. } = self;
        match (&workshop.means, &origin.stack) {
            (Means::Overlay(overlay), Some(stack)) => {
                Ok(Place::Overlay(overlay.mount(stack, &origin.entries, workshop.store())?))
            }
            (Means::Copy, _) => {
                let (above, state) = (&workshop.dir, origin.state());
                Ok(Place::Copy(Copied::new(above, &state, workshop.store())?))
            }
            (Means::Overlay(_), None) => Err(Error::Misuse(
                "a workspace is forked from what its own workshop made".to_owned(),
            )),
        }
    }

    /// Makes a state of what the directory holds now, and ends the workspace. Costs what was changed, with overlays; O(size)
    /// where states are written out.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if a process still writes in it, or it was moved away; [`Error::Io`] if something in it cannot be
    /// read, or the store's.
    pub fn seal(self) -> Result<Sealed, Error> {
        let Self { workshop, origin, place } = self;
        let store = workshop.store();
        match (place, &origin.stack) {
            (Some(Place::Overlay(mounted)), Some(stack)) => {
                let SealedMount { entries, stack, delta, skipped } =
                    mounted.seal(&origin.entries, stack, store)?;
                Ok(Sealed { origin: Origin { entries, stack: Some(stack) }, delta, skipped })
            }
            (Some(Place::Copy(copied)), _) => {
                let scan = copied.scan(store)?;
                let delta = origin.state().delta_to(&scan.state);
                let mut entries = origin.entries;
                entries.apply(&delta);
                Ok(Sealed { origin: Origin { entries, stack: None }, delta, skipped: scan.skipped })
            }
            // Nobody was there.
            _ => Ok(Sealed { origin, delta: Delta::new(), skipped: Vec::new() }),
        }
    }
}
