// SPDX-License-Identifier: MIT
//! Objects as files: `objects/xx/yy/hash`, each holding one frame.
//!
//! A name appears only when all of its bytes are written (an unnamed file is linked into place; where the filesystem has
//! none, a temporary one is renamed), and an object that is there is never replaced, unless it is damaged. Bytes are on the disk after
//! [`FilesystemStore::sync`]: one call for a whole batch, made before anything refers to it.

use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use cascow_core::frame::{self, Frame, FrameError, HEADER_LEN};
use cascow_core::hash::{ContentHash, HashKind};
use cascow_core::store::{ObjectInfo, ObjectStore, Put, StoreError};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};
use rustix::io::Errno;
use tempfile::NamedTempFile;

use crate::Error;

/// An object's permissions: whoever may enter the repository may read it, and nobody is invited to write.
const OBJECT_MODE: u32 = 0o444;

/// Objects under a directory. Any number of processes may use it at once.
#[derive(Debug)]
pub struct FilesystemStore {
    kind: HashKind,
    dir: PathBuf,
}

impl FilesystemStore {
    /// The store in an existing directory.
    pub fn new(kind: HashKind, dir: impl Into<PathBuf>) -> Self {
        Self { kind, dir: dir.into() }
    }

    /// Makes everything put so far survive a loss of power. One `syncfs`, whatever the number of objects.
    ///
    /// # Errors
    /// [`Error::Io`] if the disk fails.
    pub fn sync(&self) -> Result<(), Error> {
        let dir = File::open(&self.dir).map_err(Error::io("open", &self.dir))?;
        rustix::fs::syncfs(dir).map_err(Error::io("sync", &self.dir))
    }

    fn path(&self, hash: &ContentHash) -> PathBuf {
        let name = hash.to_string();
        self.dir.join(&name[..2]).join(&name[2..4]).join(name)
    }

    /// Sets an object's age to now; false if there is no such object.
    fn refresh(&self, path: &Path) -> Result<bool, Error> {
        let omit = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        let times = Timestamps {
            last_access: omit,
            last_modification: Timespec { tv_sec: 0, tv_nsec: UTIME_NOW },
        };
        match rustix::fs::utimensat(CWD, path, &times, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(Error::io("refresh", path)(error)),
        }
    }

    fn put_named(&self, hash: ContentHash, bytes: &[u8]) -> Result<Put, StoreError> {
        let path = self.path(&hash);
        let encode = || frame::encode(bytes).map_err(|error| StoreError::Frame { hash, error });
        if self.refresh(&path)? {
            // A hit is believed only as far as it can be read: a loss of power before a sync may have left a name with nothing
            // behind it, and what is acknowledged must be there.
            match self.get_within(&hash, bytes.len() as u64) {
                Ok(_) => return Ok(Put { hash, added: None }),
                Err(StoreError::Frame { .. }) => {
                    replace(&path, &encode()?)?;
                    return Ok(Put { hash, added: None });
                }
                // Removed meanwhile: it is put as any other.
                Err(StoreError::Missing { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let frame = encode()?;
        let is_new = publish(&path, &frame)?;
        Ok(Put { hash, added: is_new.then_some(frame.len() as u64) })
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
        let Some(bytes) = read_frame(&self.path(hash), limit)? else {
            return Err(StoreError::Missing { hash: *hash });
        };
        let open = || Frame::parse(&bytes)?.within(limit)?.open(self.kind, hash);
        open().map_err(|error| StoreError::Frame { hash: *hash, error })
    }

    fn exists(&self, hash: &ContentHash) -> Result<bool, StoreError> {
        let path = self.path(hash);
        Ok(path.try_exists().map_err(Error::io("look for", &path))?)
    }

    fn delete(&self, hash: &ContentHash) -> Result<bool, StoreError> {
        let path = self.path(hash);
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Error::io("remove", &path)(error).into()),
        }
    }

    fn for_each(
        &self,
        visit: &mut dyn FnMut(ObjectInfo) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        for first in directories(&self.dir)? {
            for second in directories(&first)? {
                for path in list(&second)? {
                    let name = path.file_name().and_then(|name| name.to_str());
                    // What does not bear a name of ours is not ours: a temporary file of a writer, say.
                    let Some(hash) = name.and_then(|name| name.parse::<ContentHash>().ok()) else {
                        continue;
                    };
                    let Some((header, stored_len)) = read_header(&path)? else { continue };
                    let fail = |error| StoreError::Frame { hash, error };
                    let Some(header) = header.first_chunk() else {
                        return Err(fail(FrameError::Truncated { found: header.len() }));
                    };
                    let payload_len = stored_len.saturating_sub(HEADER_LEN as u64);
                    let raw_len = Frame::declared_len(header, payload_len).map_err(fail)?;
                    visit(ObjectInfo { hash, stored_len, raw_len })?;
                }
            }
        }
        Ok(())
    }
}

/// The directories in a directory: what else is there is not ours.
fn directories(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    Ok(list(dir)?.into_iter().filter(|path| path.is_dir()).collect())
}

fn list(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = fs::read_dir(dir).map_err(Error::io("list", dir))?;
    entries.map(|entry| Ok(entry.map_err(Error::io("list", dir))?.path())).collect()
}

/// An object's file; `None` if there is none.
fn open(path: &Path) -> Result<Option<File>, Error> {
    // NONBLOCK: should a pipe stand in an object's place, opening it must not wait for a writer.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(fd) => File::from(fd),
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(Error::io("open", path)(error)),
    };
    if !file.metadata().map_err(Error::io("look at", path))?.is_file() {
        let reason = "something other than a file stands in an object's place";
        return Err(Error::NotARepository { path: path.to_owned(), reason });
    }
    Ok(Some(file))
}

/// The bytes of a frame whose object has at most `limit`, and of a longer one the beginning; `None` if there is no such file.
fn read_frame(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, Error> {
    let Some(file) = open(path)? else { return Ok(None) };
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(HEADER_LEN as u64))
        .read_to_end(&mut bytes)
        .map_err(Error::io("read", path))?;
    Ok(Some(bytes))
}

/// The beginning of a frame, as far as its header goes, and the length of it all; `None` if there is no such file.
fn read_header(path: &Path) -> Result<Option<(Vec<u8>, u64)>, Error> {
    let Some(file) = open(path)? else { return Ok(None) };
    let stored_len = file.metadata().map_err(Error::io("look at", path))?.len();
    let mut header = Vec::new();
    file.take(HEADER_LEN as u64).read_to_end(&mut header).map_err(Error::io("read", path))?;
    Ok(Some((header, stored_len)))
}

/// Gives the bytes their name, all of them at once; false if the name was there already.
fn publish(path: &Path, bytes: &[u8]) -> Result<bool, Error> {
    // UNWRAP: an object's path has two directories above it.
    let dir = path.parent().expect("objects lie in directories");
    match unnamed_file(dir) {
        Ok(mut file) => {
            file.write_all(bytes).map_err(Error::io("write", path))?;
            let unnamed = format!("/proc/self/fd/{}", file.as_raw_fd());
            match rustix::fs::linkat(CWD, unnamed.as_str(), CWD, path, AtFlags::SYMLINK_FOLLOW) {
                Ok(()) => return Ok(true),
                Err(Errno::EXIST) => return Ok(false),
                // No /proc, or a filesystem that cannot link: the other way works there.
                Err(Errno::NOENT | Errno::XDEV | Errno::OPNOTSUPP | Errno::PERM) => {}
                Err(error) => return Err(Error::io("create", path)(error)),
            }
        }
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {}
        Err(error) => return Err(Error::io("write in", dir)(error)),
    }
    let file = named_file(dir, path, bytes)?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(true),
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(Error::io("create", path)(error.error)),
    }
}

/// Puts whole bytes in a damaged object's place, all of them at once.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    // UNWRAP: an object's path has two directories above it.
    let dir = path.parent().expect("objects lie in directories");
    let file = named_file(dir, path, bytes)?;
    file.persist(path).map(drop).map_err(|error| Error::io("replace", path)(error.error))
}

/// A temporary file with an object's bytes.
fn named_file(dir: &Path, path: &Path, bytes: &[u8]) -> Result<NamedTempFile, Error> {
    let mut file = tempfile::Builder::new()
        .permissions(Permissions::from_mode(OBJECT_MODE))
        .tempfile_in(dir)
        .map_err(Error::io("write in", dir))?;
    file.write_all(bytes).map_err(Error::io("write", path))?;
    Ok(file)
}

/// A file without a name in a directory, which is made if need be.
fn unnamed_file(dir: &Path) -> Result<File, Errno> {
    let open = || {
        rustix::fs::open(
            dir,
            OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC,
            Mode::from_raw_mode(OBJECT_MODE),
        )
        .map(File::from)
    };
    match open() {
        Err(Errno::NOENT) => {
            fs::create_dir_all(dir)
                .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
            open()
        }
        opened => opened,
    }
}
