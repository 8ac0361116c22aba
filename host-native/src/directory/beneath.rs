// SPDX-License-Identifier: MIT
//! Opening paths beneath one directory and nowhere else: `openat2` with `RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS`, which the kernel
//! (5.6 or later) enforces for every component of the path.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::Error;

/// An open directory below which paths are opened.
#[derive(Debug)]
pub(crate) struct Beneath {
    fd: OwnedFd,
    path: PathBuf,
}

impl Beneath {
    /// Opens the directory, following links to it: it is the caller's choice.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(Error::io("open", path))?;
        Ok(Self { fd, path: path.to_owned() })
    }

    /// Opens the directory at a relative path; the empty path is the top.
    pub(crate) fn directory(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        let path = if path.is_empty() { b"." } else { path };
        let resolve =
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        loop {
            match rustix::fs::openat2(&self.fd, path, flags, Mode::empty(), resolve) {
                // A rename elsewhere raced with the lookup: the kernel asks to try again.
                Err(Errno::AGAIN | Errno::INTR) => {}
                opened => return opened,
            }
        }
    }

    /// The path as a person knows it, for messages.
    pub(crate) fn full_path(&self, path: &[u8]) -> PathBuf {
        self.path.join(super::os_path(path))
    }

    /// For `map_err`: what was tried on which path.
    pub(crate) fn fail(
        &self,
        operation: &'static str,
        path: &[u8],
    ) -> impl FnOnce(Errno) -> Error + use<> {
        Error::io(operation, self.full_path(path))
    }
}

impl AsFd for Beneath {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Opens the directories that hold a sequence of paths. Keeps the last one: the next path is often there too.
#[derive(Debug)]
pub(crate) struct Parents<'a> {
    top: &'a Beneath,
    current: Option<(Vec<u8>, OwnedFd)>,
}

impl<'a> Parents<'a> {
    pub(crate) fn new(top: &'a Beneath) -> Self {
        Self { top, current: None }
    }

    /// The directory at a relative path; the empty path is the top.
    pub(crate) fn open(&mut self, path: &[u8]) -> Result<&OwnedFd, Errno> {
        if self.current.as_ref().is_none_or(|(current, _)| current != path) {
            self.current = Some((path.to_vec(), self.top.directory(path)?));
        }
        // UNWRAP: set just above.
        Ok(&self.current.as_ref().expect("the directory is open").1)
    }
}
