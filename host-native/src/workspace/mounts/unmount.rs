// SPDX-License-Identifier: MIT
//! Taking a mount away, with what was changed in it or without.
//!
//! What still writes or is still used is left as it is. Changes are sealed while the mount is frozen but there, and the new
//! snapshot is entered in the history when the mount is gone; so what fails in between loses nothing.

use std::path::{Path, PathBuf};

use cascow_core::hash::{ContentHash, HashKind};
use cascow_core::merkle::StateRoot;
use cascow_core::store::{ObjectInfo, ObjectStore, Put, StoreError};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::UnmountFlags;

use super::super::entries::Entries;
use super::super::overlay::decode::{self, Decoded};
use super::super::overlay::{mount, patiently};
use super::super::{holders, mountinfo};
use super::registry::{Presence, Registered, Registry};
use super::{must_be_allowed, place};
use crate::Error;
use crate::directory::Skipped;
use crate::repository::{Label, Repository};

/// What becomes of the changes in a mount.
#[derive(Clone, Copy, Debug)]
pub enum Fate<'a> {
    /// They are a new snapshot, named if that is wished. Of a read-only mount, it is the one that it showed.
    Saved(Option<&'a Label>),
    /// They are thrown away.
    Discarded,
}

/// What taking a mount away gave.
#[derive(Debug)]
pub struct Unmounted {
    /// Where it was.
    pub dir: PathBuf,
    /// The snapshot that it showed.
    pub parent: ContentHash,
    /// The snapshot that its content is now, if it was saved.
    pub saved: Option<Saved>,
    /// How many paths were changed in it; `None` if that could not be found out.
    pub changes: Option<usize>,
    /// What could not be part of a state.
    pub skipped: Vec<Skipped>,
}

/// A snapshot that a mount's content is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Saved {
    /// Its name.
    pub snapshot: ContentHash,
    /// Its state's root.
    pub root: StateRoot,
}

/// Takes a mount of the repository away. If it is gone already and what was changed in it is still there, that is dealt with as
/// if it were not. Costs what was changed, and O(size) to save it.
///
/// # Errors
/// [`Error::NotFound`] if no mount of this repository is there; [`Error::Unavailable`] if something writes in it or uses it, or
/// without the right to unmount; [`Error::Io`]. The mount and what was changed in it are then as they were.
pub fn unmount(repository: &Repository, dir: &Path, fate: Fate<'_>) -> Result<Unmounted, Error> {
    let not_ours = |place: &Path| Error::NotFound {
        kind: "mount of this repository",
        name: place.to_string_lossy().into_owned(),
    };
    let place = match place(dir) {
        Ok((place, _)) => place,
        // Gone, with what it was in: then it is looked for by its name.
        Err(_) => std::path::absolute(dir).map_err(Error::io("find", dir))?,
    };
    let Some(registry) = Registry::lock_if_any(repository)? else { return Err(not_ours(&place)) };
    let (found, is_mounted) = find(&registry, &place)?.ok_or_else(|| not_ours(&place))?;
    if !is_mounted {
        let sealed = Sealed::of(&found, repository, fate)?;
        return sealed.finish(&registry, &found, repository, fate, place);
    }
    must_be_allowed("unmount")?;
    if mountinfo::read()?.iter().rfind(|mount| mount.point == place).map(|mount| &mount.source)
        != Some(&found.source().into_bytes())
    {
        return Err(Error::Unavailable(format!(
            "something else is mounted over {place:?}; unmount that first"
        )));
    }
    freeze(&found, &place, true).map_err(|errno| match errno {
        Errno::BUSY => {
            let who = holders::of(&place);
            let who = who.as_deref().unwrap_or("a process");
            Error::Unavailable(format!("{who} still writes in {place:?}; nothing was changed"))
        }
        errno => Error::io("freeze", &place)(errno),
    })?;
    let taken = Sealed::of(&found, repository, fate).and_then(|sealed| {
        let away = patiently(|| rustix::mount::unmount(&place, UnmountFlags::NOFOLLOW));
        away.map(|()| sealed).map_err(|errno| match errno {
            Errno::BUSY => {
                let who = holders::of(&place);
                let who = who.as_deref().unwrap_or("a process, or by what is mounted in it");
                Error::Unavailable(format!("{place:?} is in use by {who}; nothing was changed"))
            }
            errno => Error::io("unmount", &place)(errno),
        })
    });
    match taken {
        Ok(sealed) => sealed.finish(&registry, &found, repository, fate, place),
        Err(error) => {
            // The error says more than that this failed as well.
            let _ = freeze(&found, &place, false);
            Err(error)
        }
    }
}

/// The mount at a place, and whether it is there; else the one that was there.
fn find(registry: &Registry<'_>, place: &Path) -> Result<Option<(Registered, bool)>, Error> {
    let (mut gone, mut is_elsewhere) = (None, false);
    for found in registry.list()?.mounts {
        let was_here = found.record.dir == place;
        match found.presence() {
            Presence::Mounted(points) if points.iter().any(|point| point == place) => {
                return Ok(Some((found, true)));
            }
            Presence::Gone if was_here => gone = Some((found, false)),
            Presence::Elsewhere if was_here => is_elsewhere = true,
            _ => {}
        }
    }
    if gone.is_none() && is_elsewhere {
        return Err(Error::Unavailable(format!(
            "what was mounted on {place:?} is not there, but still used by a process or in another mount namespace; end that, or unmount it there"
        )));
    }
    Ok(gone)
}

/// Lets nobody write to a writable mount, or lets them again.
fn freeze(found: &Registered, place: &Path, freeze: bool) -> Result<(), Errno> {
    if !found.record.is_writable {
        return Ok(());
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let root = rustix::fs::open(place, flags, Mode::empty())?;
    patiently(|| mount::freeze(&root, freeze))
}

/// What was changed, and stored if it is to be.
struct Sealed {
    saved: Option<Saved>,
    changes: Option<usize>,
    skipped: Vec<Skipped>,
}

impl Sealed {
    fn of(found: &Registered, repository: &Repository, fate: Fate<'_>) -> Result<Self, Error> {
        let parent = found.record.snapshot;
        match fate {
            Fate::Saved(_) if !found.record.is_writable => {
                repository.pin(&parent)?;
                let saved = Saved { snapshot: parent, root: repository.record(&parent)?.root };
                Ok(Self { saved: Some(saved), changes: Some(0), skipped: Vec::new() })
            }
            Fate::Saved(_) => {
                // And nothing that is stored from here on is collected.
                repository.pin(&parent)?;
                let mut entries = Entries::new(&repository.state(&parent)?)?;
                let decoded = decoded(found, &entries, repository.store())?;
                entries.apply(&decoded.delta);
                let written = repository.write_snapshot(&entries.state(), Some(parent))?;
                let saved = Saved { snapshot: written.snapshot, root: written.record.root };
                let (changes, skipped) = (Some(decoded.delta.len()), decoded.skipped);
                Ok(Self { saved: Some(saved), changes, skipped })
            }
            Fate::Discarded if !found.has_edits() => {
                Ok(Self { saved: None, changes: Some(0), skipped: Vec::new() })
            }
            Fate::Discarded => {
                // What cannot be counted can be thrown away all the same.
                let count = || {
                    let entries = Entries::new(&repository.state(&parent)?)?;
                    let nowhere = Nowhere(repository.store().hash_kind());
                    Ok::<_, Error>(decoded(found, &entries, &nowhere)?.delta.len())
                };
                Ok(Self { saved: None, changes: count().ok(), skipped: Vec::new() })
            }
        }
    }

    /// Enters in the history what was saved of a mount that is gone, and forgets the mount.
    fn finish(
        self,
        registry: &Registry<'_>,
        found: &Registered,
        repository: &Repository,
        fate: Fate<'_>,
        dir: PathBuf,
    ) -> Result<Unmounted, Error> {
        if let (Some(saved), Fate::Saved(label)) = (&self.saved, fate) {
            repository.publish(&saved.snapshot, label)?;
        }
        registry.forget(found)?;
        let Self { saved, changes, skipped } = self;
        Ok(Unmounted { dir, parent: found.record.snapshot, saved, changes, skipped })
    }
}

/// What was changed in a mount that nobody writes to any more.
fn decoded<S: ObjectStore + Sync>(
    found: &Registered,
    below: &Entries,
    store: &S,
) -> Result<Decoded, Error> {
    decode::decode(&found.upper(), below, found.marks(), false, store)
}

/// A store that keeps nothing: for who wants to know names only.
struct Nowhere(HashKind);

impl ObjectStore for Nowhere {
    fn hash_kind(&self) -> HashKind {
        self.0
    }

    fn put(&self, bytes: &[u8]) -> Result<Put, StoreError> {
        Ok(Put { hash: self.0.hash(bytes), added: None })
    }

    fn get_within(&self, hash: &ContentHash, _limit: u64) -> Result<Vec<u8>, StoreError> {
        Err(StoreError::Missing { hash: *hash })
    }

    fn exists(&self, _hash: &ContentHash) -> Result<bool, StoreError> {
        Ok(false)
    }

    fn delete(&self, _hash: &ContentHash) -> Result<bool, StoreError> {
        Ok(false)
    }

    fn for_each(
        &self,
        _visit: &mut dyn FnMut(ObjectInfo) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        Ok(())
    }
}
