// SPDX-License-Identifier: MIT
//! Objects as files: `objects/xx/yy/hash`, each holding one frame.
//!
//! A name appears only when all of its bytes are written (an unnamed file is linked into place; where the filesystem has
//! none, a temporary one is), and an object that is there is never replaced, unless it is damaged. Bytes are on the disk after
//! [`FilesystemStore::sync`]: one call for a whole batch, made before anything refers to it.
//!
//! An object's age is its file's time of last change. A collector that takes an object away moves its file aside first,
//! to `.gone-hash`, and looks at the time once more: who puts the object until then has either touched the file, and the collector
//! puts it back, or found no file, and writes a new one. Readers look aside too, so that nobody misses an object on the way back,
//! nor one that a killed collector left there.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cascow_core::frame::{Frame, FrameError, HEADER_LEN, MAX_OBJECT_LEN};
use cascow_core::hash::{ContentHash, HashKind};
use cascow_core::store::{ObjectInfo, ObjectStore, Put, StoreError};

use super::{Damage, DamageKind, Marks, Repaired, Sweep, Swept};
use crate::Error;
use crate::codec;
use crate::disk::{Access, Disk, DiskFile, LinuxDisk, Stat, is_temporary, temporary};

/// An object's permissions: whoever may enter the repository may read it, and nobody is invited to write.
const OBJECT_MODE: u32 = 0o444;

/// What stands before the name of an object that a collector is taking away.
const ASIDE: &str = ".gone-";

/// Is shown a directory that holds objects, and the names in it.
type VisitDirectory<'a> = dyn FnMut(&Path, Vec<OsString>) -> Result<(), StoreError> + 'a;

/// Objects under a directory. Any number of processes may use it at once.
#[derive(Debug)]
pub struct FilesystemStore {
    disk: Arc<dyn Disk>,
    kind: HashKind,
    dir: PathBuf,
    /// A sync failed: what is on the disk is not known any more.
    has_failed: AtomicBool,
}

impl FilesystemStore {
    /// The store in an existing directory.
    pub fn new(kind: HashKind, dir: impl Into<PathBuf>) -> Self {
        Self::open_on(LinuxDisk::shared(), kind, dir)
    }

    /// The store in an existing directory of a disk.
    pub fn open_on(disk: Arc<dyn Disk>, kind: HashKind, dir: impl Into<PathBuf>) -> Self {
        Self { disk, kind, dir: dir.into(), has_failed: AtomicBool::new(false) }
    }

    /// Makes everything put so far survive a loss of power. One `syncfs`, whatever the number of objects.
    ///
    /// # Errors
    /// [`Error::Io`] if the disk fails.
    pub fn sync(&self) -> Result<(), Error> {
        if self.has_failed.load(Ordering::Relaxed) {
            return Err(Error::Unavailable(format!(
                "the disk below {:?} failed to keep what was written; open the repository again",
                self.dir
            )));
        }
        let synced = self.disk.sync_all(&self.dir).map_err(Error::io("sync", &self.dir));
        // The kernel may have dropped what it could not write: that the next sync succeeds would prove nothing.
        self.has_failed.fetch_or(synced.is_err(), Ordering::Relaxed);
        synced
    }

    fn path(&self, hash: &ContentHash) -> PathBuf {
        let name = hash.to_string();
        self.dir.join(&name[..2]).join(&name[2..4]).join(name)
    }

    /// Sets an object's age to now; false if there is no such object.
    fn refresh(&self, path: &Path) -> Result<bool, Error> {
        match self.disk.touch(path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Error::io("refresh", path)(error)),
        }
    }

    fn put_named(&self, hash: ContentHash, bytes: &[u8]) -> Result<Put, StoreError> {
        let path = self.path(&hash);
        let encode = || codec::encode(bytes).map_err(|error| StoreError::Frame { hash, error });
        if self.refresh(&path)? {
            // A hit is believed only as far as it can be read: a loss of power before a sync may have left a name with nothing
            // behind it, and what is acknowledged must be there. Not aside: what is there may be on its way out.
            if let Some(file) = self.open_object(&path)? {
                let limit = bytes.len() as u64;
                let found = read_frame(&file, &path, limit)?;
                if self.open_frame(&hash, &found, limit).is_err() {
                    self.replace(&path, &encode()?)?;
                }
                return Ok(Put { hash, added: None });
            }
            // Removed meanwhile: it is put as any other.
        }
        let frame = encode()?;
        let is_new = self.publish(&path, &frame)?;
        Ok(Put { hash, added: is_new.then_some(frame.len() as u64) })
    }

    fn open_frame(
        &self,
        hash: &ContentHash,
        frame: &[u8],
        limit: u64,
    ) -> Result<Vec<u8>, StoreError> {
        let open = || codec::open(&Frame::parse(frame)?.within(limit)?, self.kind, hash);
        open().map_err(|error| StoreError::Frame { hash: *hash, error })
    }

    /// The file of that name; `None` if there is none.
    fn open_object(&self, path: &Path) -> Result<Option<Arc<dyn DiskFile>>, Error> {
        match self.disk.open(path, Access::Read) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                let reason = "something other than a file stands in an object's place";
                Err(Error::NotARepository { path: path.to_owned(), reason })
            }
            Err(error) => Err(Error::io("open", path)(error)),
        }
    }

    /// An object's file, wherever it is; `None` if there is none.
    fn find(&self, path: &Path) -> Result<Option<Arc<dyn DiskFile>>, Error> {
        // The second look in its place is for what was put back between the first two.
        for place in [path, &aside(path), path] {
            if let Some(file) = self.open_object(place)? {
                return Ok(Some(file));
            }
        }
        Ok(None)
    }

    /// Gives the bytes their name, all of them at once; false if the name was there already.
    fn publish(&self, path: &Path, bytes: &[u8]) -> Result<bool, Error> {
        let dir = directory_of(path);
        let unnamed = match self.disk.create_unnamed(dir, OBJECT_MODE) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.disk.create_dir_all(dir).map_err(Error::io("write in", dir))?;
                self.disk.create_unnamed(dir, OBJECT_MODE)
            }
            made => made,
        };
        match unnamed {
            Ok(file) => {
                file.write_all_at(bytes, 0).map_err(Error::io("write", path))?;
                match linked(file.link(path)) {
                    Err(error) if error.kind() == ErrorKind::Unsupported => {}
                    linked => return linked.map_err(Error::io("create", path)),
                }
            }
            Err(error) if error.kind() == ErrorKind::Unsupported => {}
            Err(error) => return Err(Error::io("write in", dir)(error)),
        }
        let make = || temporary(&*self.disk, dir, bytes, OBJECT_MODE, false);
        let temporary = match make() {
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
                self.disk.create_dir_all(dir).map_err(Error::io("write in", dir))?;
                make()?
            }
            made => made?,
        };
        let is_new = match linked(self.disk.link(&temporary, path)) {
            // A filesystem without hard links. Renaming may replace what another has just put, which is the same bytes.
            Err(error) if is_unlinkable(&error) => {
                return match self.disk.rename(&temporary, path) {
                    Ok(()) => Ok(true),
                    Err(error) => {
                        let _ = self.disk.unlink(&temporary);
                        Err(Error::io("create", path)(error))
                    }
                };
            }
            linked => linked.map_err(Error::io("create", path)),
        };
        // Of no use any more; what cannot be removed goes with a later collection.
        let _ = self.disk.unlink(&temporary);
        is_new
    }

    /// Puts whole bytes in a damaged object's place, all of them at once.
    fn replace(&self, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        let temporary = temporary(&*self.disk, directory_of(path), bytes, OBJECT_MODE, false)?;
        self.disk.rename(&temporary, path).map_err(|error| {
            let _ = self.disk.unlink(&temporary);
            Error::io("replace", path)(error)
        })
    }

    /// Shows the directories that hold objects, with the names in each.
    fn for_each_directory(&self, visit: &mut VisitDirectory<'_>) -> Result<(), StoreError> {
        for first in self.directories(&self.dir)? {
            for second in self.directories(&first)? {
                let names = self.list(&second)?;
                visit(&second, names)?;
            }
        }
        Ok(())
    }

    /// The directories in a directory: what else is there is not ours.
    fn directories(&self, dir: &Path) -> Result<Vec<PathBuf>, Error> {
        let is_dir = |path: &PathBuf| self.disk.stat(path).is_ok_and(|stat| stat.is_dir);
        Ok(self.list(dir)?.into_iter().map(|name| dir.join(name)).filter(is_dir).collect())
    }

    fn list(&self, dir: &Path) -> Result<Vec<OsString>, Error> {
        let mut names = self.disk.list(dir).map_err(Error::io("list", dir))?;
        names.sort_unstable();
        Ok(names)
    }

    /// An empty set of marks: 32 bytes an object that is marked.
    pub(crate) fn marks(&self) -> FileMarks<'_> {
        FileMarks { store: self, marked: HashSet::new() }
    }

    /// Removes what is not marked and was put last before a time, and what killed writers left. O(n) looks at files.
    ///
    /// # Errors
    /// [`Error::Io`]; some objects may then be removed.
    pub(crate) fn sweep(&self, marks: &FileMarks<'_>, sweep: &Sweep) -> Result<Swept, Error> {
        let mut swept = Swept::default();
        let work = &mut |dir: &Path, names: Vec<OsString>| {
            for name in names.iter().filter_map(|name| name.to_str()) {
                let path = dir.join(name);
                if is_temporary(name) {
                    if !sweep.dry_run && self.is_old(&path, sweep)?.is_some() {
                        self.unlink(&path)?;
                    }
                    continue;
                }
                let Some(hash) = object_of(name) else { continue };
                let is_aside = name.starts_with(ASIDE);
                if is_aside && names.iter().any(|other| *other == *hash.to_string()) {
                    // A killed collector was about to remove it, or to remove this name of it.
                    if !sweep.dry_run {
                        self.unlink(&path)?;
                    }
                    continue;
                }
                let place = directory_path(dir, &hash);
                if is_aside && !sweep.dry_run {
                    // Where it was: it goes from there, or stays.
                    self.put_back(&path, &place)?;
                }
                let there = if is_aside && sweep.dry_run { &path } else { &place };
                let old = match marks.is_marked(&hash)? {
                    true => None,
                    false => self.is_old(there, sweep)?,
                };
                match old {
                    Some((_, len)) if sweep.dry_run => {
                        swept.removed += 1;
                        swept.reclaimed_bytes += len;
                    }
                    Some((modified, len)) if self.take_away(&place, modified)? => {
                        swept.removed += 1;
                        swept.reclaimed_bytes += len;
                    }
                    _ => swept.live += 1,
                }
            }
            Ok(())
        };
        self.for_each_directory(work)?;
        if swept.removed > 0 && !sweep.dry_run {
            self.sync()?;
        }
        Ok(swept)
    }

    /// When an object was put last; `None` if it is not there.
    pub(crate) fn put_last(&self, hash: &ContentHash) -> Result<Option<u64>, Error> {
        let path = self.path(hash);
        for place in [&path, &aside(&path), &path] {
            match self.disk.stat(place) {
                Ok(stat) => return Ok(Some(stat.modified)),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(Error::io("look at", place)(error)),
            }
        }
        Ok(None)
    }

    /// When a file was put last, if that is before the time of the sweep, and its length; `None` if it is younger, or not there.
    fn is_old(&self, path: &Path, sweep: &Sweep) -> Result<Option<(u64, u64)>, Error> {
        match self.disk.stat(path) {
            Ok(Stat { modified, len, .. }) => {
                Ok((modified < sweep.before).then_some((modified, len)))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("look at", path)(error)),
        }
    }

    /// Removes an object that nobody has put since that time; false if somebody has.
    fn take_away(&self, path: &Path, modified: u64) -> Result<bool, Error> {
        let aside = aside(path);
        match self.disk.rename(path, &aside) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(Error::io("move aside", path)(error)),
        }
        // Nobody finds it in its place any more, so nobody touches it from here on: who did so before is seen now, whatever
        // that one's clock says.
        let now = self.disk.stat(&aside).map_err(Error::io("look at", &aside))?.modified;
        if now == modified {
            self.unlink(&aside)?;
            return Ok(true);
        }
        self.put_back(&aside, path)?;
        Ok(false)
    }

    /// Moves an object back into its place, unless it was put there again.
    fn put_back(&self, aside: &Path, path: &Path) -> Result<(), Error> {
        match linked(self.disk.link(aside, path)) {
            Ok(_) => self.unlink(aside),
            Err(error) if is_unlinkable(&error) => {
                self.disk.rename(aside, path).map_err(Error::io("put back", path))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(Error::io("put back", path)(error)),
        }
    }

    fn unlink(&self, path: &Path) -> Result<(), Error> {
        match self.disk.unlink(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(Error::io("remove", path)(error))
            }
            _ => Ok(()),
        }
    }

    /// Reads and verifies every object, and shows the damaged ones; says how many objects there are.
    ///
    /// # Errors
    /// [`Error::Io`] if the disk fails.
    pub(crate) fn check(&self, found: &mut dyn FnMut(Damage)) -> Result<u64, Error> {
        let mut objects = 0;
        self.for_each_directory(&mut |_, names| {
            for hash in objects_of(&names) {
                match self.get(&hash) {
                    Ok(_) => {}
                    // Deleted meanwhile.
                    Err(StoreError::Missing { .. }) => continue,
                    Err(StoreError::Frame { error, .. }) => {
                        found(Damage { hash, what: DamageKind::Frame(error) });
                    }
                    Err(StoreError::Host(host)) => match host.downcast::<Error>() {
                        // Something other than a file is no object, and no reason not to look at the others.
                        Ok(error) if matches!(*error, Error::NotARepository { .. }) => {
                            found(Damage { hash, what: DamageKind::NotAFile });
                        }
                        Ok(error) => return Err((*error).into()),
                        Err(host) => return Err(StoreError::Host(host)),
                    },
                    Err(error) => return Err(error),
                }
                objects += 1;
            }
            Ok(())
        })?;
        Ok(objects)
    }

    /// Puts a whole copy that lies aside in a damaged object's place; without one, moves the damaged file to `quarantine`.
    ///
    /// # Errors
    /// [`Error::Io`]; some may then be moved.
    pub(crate) fn repair(
        &self,
        damaged: &[ContentHash],
        quarantine: &Path,
    ) -> Result<Repaired, Error> {
        let mut repaired = Repaired::default();
        for hash in damaged {
            let path = self.path(hash);
            let whole = |place: &Path| -> Result<Option<bool>, Error> {
                match self.open_object(place) {
                    Ok(Some(file)) => {
                        let frame = read_frame(&file, place, MAX_OBJECT_LEN)?;
                        Ok(Some(self.open_frame(hash, &frame, MAX_OBJECT_LEN).is_ok()))
                    }
                    Ok(None) => Ok(None),
                    Err(Error::NotARepository { .. }) => Ok(Some(false)),
                    Err(error) => Err(error),
                }
            };
            let aside = aside(&path);
            let mut moved = false;
            for place in [&path, &aside] {
                if whole(place)? == Some(false) {
                    super::quarantine(&*self.disk, place, quarantine, &hash.to_string())?;
                    moved = true;
                }
            }
            if whole(&aside)? == Some(true) {
                self.put_back(&aside, &path)?;
            }
            if whole(&path)? == Some(true) {
                repaired.recovered.push(*hash);
            } else if moved {
                repaired.quarantined.push(*hash);
            }
        }
        self.sync()?;
        Ok(repaired)
    }
}

/// The marks of a collection of a [`FilesystemStore`].
#[derive(Debug)]
pub(crate) struct FileMarks<'a> {
    store: &'a FilesystemStore,
    marked: HashSet<ContentHash>,
}

impl Marks for FileMarks<'_> {
    fn mark(&mut self, hash: &ContentHash) -> Result<bool, StoreError> {
        if self.marked.contains(hash) {
            return Ok(false);
        }
        if !self.store.exists(hash)? {
            return Err(StoreError::Missing { hash: *hash });
        }
        Ok(self.marked.insert(*hash))
    }

    fn is_marked(&self, hash: &ContentHash) -> Result<bool, StoreError> {
        Ok(self.marked.contains(hash))
    }
}

impl ObjectStore for FilesystemStore {
    fn hash_kind(&self) -> HashKind {
        self.kind
    }

    fn put(&self, bytes: &[u8]) -> Result<Put, StoreError> {
        self.put_named(self.kind.hash(bytes), bytes)
    }

    fn put_many(&self, objects: &[&[u8]]) -> Result<Vec<Put>, StoreError> {
        let named = self.kind.hash_all(objects).into_iter().zip(objects);
        named.map(|(name, bytes)| self.put_named(name, bytes)).collect()
    }

    fn get_within(&self, hash: &ContentHash, limit: u64) -> Result<Vec<u8>, StoreError> {
        let path = self.path(hash);
        let Some(file) = self.find(&path)? else {
            return Err(StoreError::Missing { hash: *hash });
        };
        self.open_frame(hash, &read_frame(&file, &path, limit)?, limit)
    }

    fn exists(&self, hash: &ContentHash) -> Result<bool, StoreError> {
        let path = self.path(hash);
        for place in [&path, &aside(&path), &path] {
            match self.disk.stat(place) {
                Ok(_) => return Ok(true),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(Error::io("look for", place)(error).into()),
            }
        }
        Ok(false)
    }

    fn delete(&self, hash: &ContentHash) -> Result<bool, StoreError> {
        let path = self.path(hash);
        let mut was_there = false;
        for place in [&path, &aside(&path)] {
            match self.disk.unlink(place) {
                Ok(()) => was_there = true,
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(Error::io("remove", place)(error).into()),
            }
        }
        Ok(was_there)
    }

    fn for_each(
        &self,
        visit: &mut dyn FnMut(ObjectInfo) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.for_each_directory(&mut |_, names| {
            for hash in objects_of(&names) {
                let path = self.path(&hash);
                let Some(file) = self.find(&path)? else { continue };
                let stored_len = file.len().map_err(Error::io("look at", &path))?;
                let mut header = [0; HEADER_LEN];
                let found = file.read_full_at(&mut header, 0).map_err(Error::io("read", &path))?;
                let fail = |error| StoreError::Frame { hash, error };
                if found < HEADER_LEN {
                    return Err(fail(FrameError::Truncated { found }));
                }
                let payload_len = stored_len.saturating_sub(HEADER_LEN as u64);
                let raw_len = Frame::declared_len(&header, payload_len).map_err(fail)?;
                visit(ObjectInfo { hash, stored_len, raw_len })?;
            }
            Ok(())
        })
    }
}

/// The object that a file name stands for. What does not bear a name of ours is not ours: a temporary file of a writer, say.
fn object_of(name: &str) -> Option<ContentHash> {
    name.strip_prefix(ASIDE).unwrap_or(name).parse().ok()
}

/// The objects in a directory, each once.
fn objects_of(names: &[OsString]) -> Vec<ContentHash> {
    let mut objects: Vec<_> =
        names.iter().filter_map(|name| name.to_str()).filter_map(object_of).collect();
    objects.sort_unstable();
    objects.dedup();
    objects
}

fn directory_path(dir: &Path, hash: &ContentHash) -> PathBuf {
    dir.join(hash.to_string())
}

fn directory_of(path: &Path) -> &Path {
    // UNWRAP: an object's path has two directories above it.
    path.parent().expect("objects lie in directories")
}

/// Where an object lies while a collector takes it away.
fn aside(path: &Path) -> PathBuf {
    let mut name = OsString::from(ASIDE);
    name.push(path.file_name().unwrap_or_default());
    path.with_file_name(name)
}

/// Whether a new name was made: false if it was there already.
fn linked(linked: io::Result<()>) -> io::Result<bool> {
    match linked {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether a filesystem refuses second names altogether.
fn is_unlinkable(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::PermissionDenied)
}

/// The bytes of a frame whose object has at most `limit`, and of a longer one the beginning.
fn read_frame(file: &Arc<dyn DiskFile>, path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
    let len = file.len().map_err(Error::io("look at", path))?;
    let len = len.min(limit.saturating_add(HEADER_LEN as u64));
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
    let found = file.read_full_at(&mut bytes, 0).map_err(Error::io("read", path))?;
    bytes.truncate(found);
    Ok(bytes)
}
