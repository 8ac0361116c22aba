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
pub(super) struct Beneath {
    fd: OwnedFd,
    path: PathBuf,
}

impl Beneath {
    /// Opens the directory, following links to it: it is the caller's choice.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(Error::io("open", path))?;
        Ok(Self { fd, path: path.to_owned() })
    }

    /// Opens the directory at a relative path; the empty path is the top.
    pub(super) fn directory(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
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
    pub(super) fn full_path(&self, path: &[u8]) -> PathBuf {
        self.path.join(super::os_path(path))
    }
}

impl AsFd for Beneath {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
