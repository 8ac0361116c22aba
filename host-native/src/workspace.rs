// SPDX-License-Identifier: MIT
//! Workspaces: private forks of a state, as directories that commands may change.
//!
//! A [`Workshop`] is one process's place for its workspaces, inside a repository. It is locked while the process lives; the kernel
//! gives the lock back however the process ends, and the next workshop clears away what is no longer locked. Forking writes
//! the state out as a plain directory; sealing reads it back. Nothing that happens in a workspace reaches the state it was
//! forked from.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::str::FromStr;

use cascow_core::snapshot::State;
use cascow_core::store::ObjectStore;
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use tempfile::TempDir;

use crate::Error;
use crate::directory::{self, Scan, ScanOptions};

/// How a state becomes a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Materializer {
    /// As a plain directory: every file written out.
    Copy,
}

/// Which materialiser a caller wishes for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Materialize {
    /// The best there is.
    #[default]
    Auto,
    /// An overlayfs mount.
    Overlay,
    /// A plain directory.
    Copy,
}

impl FromStr for Materialize {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "auto" => Ok(Self::Auto),
            "overlay" => Ok(Self::Overlay),
            "copy" => Ok(Self::Copy),
            _ => Err("use auto, overlay or copy".to_owned()),
        }
    }
}

impl Materialize {
    /// The materialiser that this wish comes to.
    ///
    /// # Errors
    /// [`Error::Unavailable`] for overlayfs, which this version does not have.
    pub fn choose(self) -> Result<Materializer, Error> {
        match self {
            Self::Auto | Self::Copy => Ok(Materializer::Copy),
            Self::Overlay => Err(Error::Unavailable(
                "this version has no overlay materialiser; use --materialize copy or auto"
                    .to_owned(),
            )),
        }
    }
}

impl Materializer {
    /// Its name in options and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Copy => "copy",
        }
    }
}

/// One process's place for workspaces.
#[derive(Debug)]
pub struct Workshop {
    dir: TempDir,
    _lock: File,
}

impl Workshop {
    /// Opens a workshop in a repository's directory for workspaces, and clears away those of processes that are no more.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn open(work_dir: &Path) -> Result<Self, Error> {
        // Held until the new workshop is locked, so that nobody takes it for an abandoned one.
        let all = lock(work_dir, FlockOperation::LockExclusive)?;
        for entry in fs::read_dir(work_dir).map_err(Error::io("list", work_dir))? {
            let path = entry.map_err(Error::io("list", work_dir))?.path();
            if lock(&path, FlockOperation::NonBlockingLockExclusive).is_ok() {
                // What cannot be removed must not keep others from working.
                let _ = directory::remove(&path);
            }
        }
        let dir = TempDir::with_prefix_in("", work_dir).map_err(Error::io("write in", work_dir))?;
        let own = lock(dir.path(), FlockOperation::NonBlockingLockExclusive)?;
        drop(all);
        Ok(Self { dir, _lock: own })
    }

    /// A private directory with a state's content. O(size).
    ///
    /// # Errors
    /// Those of [`directory::checkout`].
    pub fn fork<S: ObjectStore + Sync>(
        &self,
        state: &State,
        store: &S,
    ) -> Result<Workspace, Error> {
        let dir = TempDir::with_prefix_in("", self.dir.path())
            .map_err(Error::io("write in", self.dir.path()))?;
        let inode = inode(dir.path())?;
        let workspace = Workspace { dir: Some(dir), inode };
        directory::checkout(state, store, workspace.path(), &mut |_| {})?;
        Ok(workspace)
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        // What cannot be removed now is cleared away by the next workshop.
        let _ = directory::remove(self.dir.path());
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

/// A private directory, removed when it is dropped.
#[derive(Debug)]
pub struct Workspace {
    /// `None` only while it is being dropped.
    dir: Option<TempDir>,
    /// The directory itself, whatever stands under its name later.
    inode: (u64, u64),
}

impl Workspace {
    /// Where it is.
    pub fn path(&self) -> &Path {
        self.dir.as_ref().map_or(Path::new(""), TempDir::path)
    }

    /// Reads the directory as it is now into a state. O(size).
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the directory is gone, else those of [`directory::scan`].
    pub fn seal<S: ObjectStore + Sync>(&self, store: &S) -> Result<Scan, Error> {
        // A link or another directory in its place is not what was forked, and may lead anywhere.
        if inode(self.path()).ok() != Some(self.inode) {
            return Err(Error::Unavailable(
                "the command moved or removed its workspace; nothing was kept".to_owned(),
            ));
        }
        directory::scan(self.path(), store, &ScanOptions::default(), &mut |_| {})
    }
}

/// Device and number of what stands under a name, a link not followed.
fn inode(path: &Path) -> Result<(u64, u64), Error> {
    let stat = fs::symlink_metadata(path).map_err(Error::io("look at", path))?;
    Ok((stat.dev(), stat.ino()))
}

impl Drop for Workspace {
    fn drop(&mut self) {
        if let Some(dir) = self.dir.take() {
            // What cannot be removed now goes with the workshop.
            let _ = directory::remove(&dir.keep());
        }
    }
}
