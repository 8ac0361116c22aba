// SPDX-License-Identifier: MIT
//! Mounts that outlive the process that makes them: a snapshot as a directory, in the mount namespace of whoever asks.
//!
//! A read-only mount shows the snapshot's base and nothing above it; nobody can make it writable. A writable one has an upper layer
//! of its own, which survives the machine: what is changed in it stays until it is sealed or thrown away by [`unmount`].
//!
//! A mount is recorded before it shows, so that a crash leaves none that nobody knows of, and what is recorded and
//! not there any more is [swept](sweep) by the next process that uses workspaces.
//!
//! # Why an upper layer can be sealed without its mount
//!
//! It says what became of each path that was touched, and all else is as in the snapshot, which the repository has; the base is not
//! needed for that. Only names of hard-linked files would be, if the kernel were to keep them together by its index. So files with
//! several names are written into the upper layer beforehand.

mod registry;
mod unmount;

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use cascow_core::hash::ContentHash;

use super::entries::Entries;
use super::namespace::Marks;
use super::overlay::mount::{self, Layout};
use super::overlay::{self, Base, Bases, layer};
use crate::Error;
use crate::repository::Repository;
use crate::repository::mounts::MountRecord;
use crate::store::Store;
use registry::{Presence, Registered, Registry};

pub use registry::{Left, sweep};
pub use unmount::{Fate, Saved, Unmounted, unmount};

/// Mounts a snapshot on a directory that is empty, or is made and then goes with the mount. O(size) unless the snapshot's base
/// is written out already. Says where, as an absolute path without links. The caller has
/// [pinned](Repository::pin) the snapshot.
///
/// # Errors
/// [`Error::Misuse`] if the directory cannot be mounted on, [`Error::NotFound`] if the one above it is not there;
/// [`Error::Unavailable`] without the right to mount, or if overlays cannot be had or cannot show the state; those of
/// [`directory::checkout`](crate::directory::checkout).
pub fn mount(
    repository: &Repository,
    snapshot: &ContentHash,
    dir: &Path,
    is_writable: bool,
) -> Result<PathBuf, Error> {
    must_be_allowed("mount")?;
    let (place, is_there) = place(dir)?;
    let is_free = |registry: &Registry<'_>| is_free(registry, &place, is_there);
    must_be_apart(&place, repository)?;
    // Before a base is written, which takes long, and again when nobody else can mount.
    is_free(&Registry::lock(repository)?)?;

    let store = repository.store();
    let entries = Entries::new(&repository.state(snapshot)?)?;
    if let Some(path) = overlay::hidden(&entries)? {
        return Err(Error::Unavailable(format!(
            "{path:?} is a character device 0:0, which overlayfs cannot show; use `cascow checkout`"
        )));
    }
    let marks = Marks::here();
    let base =
        Bases::new(repository, marks).find_or_write(&entries, &snapshot.to_string(), store)?;

    let registry = Registry::lock(repository)?;
    is_free(&registry)?;
    let base_name = base.name.clone().unwrap_or_default();
    let registered = registry.prepare(|namespace, boot| MountRecord {
        snapshot: *snapshot,
        is_writable,
        made_dir: !is_there,
        has_user_marks: marks == Marks::User,
        namespace,
        boot,
        base: base_name,
        dir: place.clone(),
    })?;
    let made = make(&registry, &registered, &base, &entries, marks, repository.store());
    if let Err(error) = made {
        // The error says more than what stays behind, and the next sweep takes that away.
        let _ = registry.forget(&registered);
        return Err(error);
    }
    Ok(place)
}

/// Makes a mount, and records it at the last moment: until then it goes with this process, and nothing in it can be anybody's edit.
fn make(
    registry: &Registry<'_>,
    registered: &Registered,
    base: &Base,
    entries: &Entries,
    marks: Marks,
    store: &Store,
) -> Result<(), Error> {
    let record = &registered.record;
    let rooms = registered.rooms();
    let rooms_dir = File::open(&rooms).map_err(Error::io("open", &rooms))?;
    let (fd, base) = (rooms_dir.as_fd(), (base.fd(), "."));
    let (lowers, upper) = if record.is_writable {
        if entries.has_links() {
            layer::write_links(entries, &registered.upper(), marks, store)?;
            // It is sealed with what is changed; what was lost of it would seem to be changed too.
            rustix::fs::syncfs(&rooms_dir).map_err(Error::io("sync", &rooms))?;
        }
        (vec![base], Some((fd, "upper", "work")))
    } else {
        // The kernel wants two layers; the topmost one is empty.
        (vec![(fd, "upper"), base], None)
    };
    let source = registered.source();
    let layout =
        Layout { lowers, upper, has_index: false, is_volatile: false, shared_as: Some(&source) };
    let mounted =
        mount::overlay(&layout, marks).map_err(|refused| overlay::explain(&rooms, refused))?;
    registry.record(registered)?;
    if record.made_dir {
        fs::create_dir(&record.dir).map_err(Error::io("create", &record.dir))?;
    }
    mount::attach(&mounted, &record.dir).map_err(Error::io("mount on", &record.dir))
}

/// Refuses whom the kernel would refuse, in words that help.
fn must_be_allowed(what: &str) -> Result<(), Error> {
    if mount::is_allowed() {
        return Ok(());
    }
    Err(Error::Unavailable(format!(
        "only root may {what} for others to see; `cascow checkout` writes a snapshot out, `cascow run` gives a command a private fork"
    )))
}

/// Where a directory is, absolute and without links, and whether it is there. If not, what it would be in is.
fn place(dir: &Path) -> Result<(PathBuf, bool), Error> {
    match dir.canonicalize() {
        Ok(place) => Ok((place, true)),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let Some(name) = dir.file_name() else {
                return Err(Error::io("open", dir)(error));
            };
            let above = match dir.parent() {
                Some(above) if !above.as_os_str().is_empty() => above,
                _ => Path::new("."),
            };
            let above = above.canonicalize().map_err(Error::io("open", above))?;
            Ok((above.join(name), false))
        }
        Err(error) => Err(Error::io("open", dir)(error)),
    }
}

/// A mount over the repository would hide it, and one inside would be taken for a part of it.
fn must_be_apart(place: &Path, repository: &Repository) -> Result<(), Error> {
    let own = repository.dir();
    if place.starts_with(own) {
        return Err(Error::Misuse(format!(
            "cannot mount on {place:?}: it is the repository itself or part of it"
        )));
    }
    if own.starts_with(place) {
        return Err(Error::Misuse(format!("cannot mount on {place:?}: the repository is in it")));
    }
    Ok(())
}

/// Whether nothing is in the way of a mount.
fn is_free(registry: &Registry<'_>, place: &Path, is_there: bool) -> Result<(), Error> {
    for found in registry.list()?.mounts {
        let is_here = match found.presence() {
            Presence::Mounted(places) => places.iter().any(|point| point == place),
            Presence::Elsewhere => false,
            Presence::Gone => {
                if found.record.dir == place && found.has_edits() {
                    return Err(Error::Misuse(format!(
                        "{place:?} has edits of a mount that is gone; `cascow umount` it first, with --save to keep them"
                    )));
                }
                false
            }
        };
        if is_here {
            return Err(Error::Misuse(format!(
                "{place:?} is a mount of snapshot {} already; `cascow umount` it first",
                found.record.snapshot
            )));
        }
    }
    if !is_there {
        return Ok(());
    }
    let mut names = fs::read_dir(place).map_err(Error::io("mount on", place))?;
    if names.next().is_some() {
        return Err(Error::Misuse(format!("cannot mount on {place:?}: it is not empty")));
    }
    Ok(())
}
