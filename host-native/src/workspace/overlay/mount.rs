// SPDX-License-Identifier: MIT
//! Overlay mounts by the kernel's newer mount calls (`fsopen(2)` and its kin; Documentation/filesystems/overlayfs.rst).
//!
//! A mount is made detached: it is a file descriptor, and shows nowhere until it is moved into place. Layers are named through the
//! descriptor of a directory, `/proc/self/fd/N/…`, because the kernel takes no more than 255 bytes for each, and reads
//! backslashes in some of them as something else.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, FsPickFlags, MountAttrFlags, MoveMountFlags, UnmountFlags,
    fsconfig_create, fsconfig_reconfigure, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen,
    fspick, move_mount, unmount,
};

use super::super::namespace::Marks;

/// What an overlay is made of. Paths are relative to an open directory each.
#[derive(Debug)]
pub(in super::super) struct Layout<'a> {
    /// Read-only layers, the topmost first; at most 500.
    pub(in super::super) lowers: Vec<(BorrowedFd<'a>, &'a str)>,
    /// Where changes go, and the kernel's own room beside it, both on one filesystem; nowhere for a read-only mount, which takes two
    /// lower layers.
    pub(in super::super) upper: Option<(BorrowedFd<'a>, &'a str, &'a str)>,
    /// Whether the kernel is to keep the names of a hard-linked file together when it is first written to.
    pub(in super::super) has_index: bool,
    /// Whether what is written may be lost with the machine's power; it costs nothing to sync it then.
    pub(in super::super) is_volatile: bool,
    /// If others are to see it, what the list of mounts calls it. Then nothing in it gives anybody rights (set-user-id programs,
    /// devices), whoever made the state.
    pub(in super::super) shared_as: Option<&'a str>,
}

/// A step of mounting that the kernel refused.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Refused {
    /// What it was about.
    pub(in super::super) step: &'static str,
    pub(in super::super) errno: Errno,
}

fn refused(step: &'static str) -> impl FnOnce(Errno) -> Refused {
    move |errno| Refused { step, errno }
}

/// Makes a detached overlay.
pub(in super::super) fn overlay(layout: &Layout<'_>, marks: Marks) -> Result<OwnedFd, Refused> {
    let fs = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).map_err(refused("open overlayfs"))?;
    let path =
        |dir: &BorrowedFd<'_>, name: &str| format!("/proc/self/fd/{}/{name}", dir.as_raw_fd());
    let set =
        |key: &'static str, value: &str| fsconfig_set_string(&fs, key, value).map_err(refused(key));
    if let Some(source) = layout.shared_as {
        set("source", source)?;
    }
    for (dir, name) in &layout.lowers {
        set("lowerdir+", &path(dir, name))?;
    }
    if let Some((dir, upper, work)) = &layout.upper {
        set("upperdir", &path(dir, upper))?;
        set("workdir", &path(dir, work))?;
    }
    set("index", if layout.has_index { "on" } else { "off" })?;
    match marks {
        // Without it the kernel refuses to rename directories of lower layers, and copies a file to change its mode.
        Marks::Trusted => {
            set("redirect_dir", "on")?;
            set("metacopy", "on")?;
            // A base may be a filesystem of its own. Without this its files would seem to lie on another device than the
            // directories that they are in, and tools that stay on one device leave such files out.
            set("xino", "on")?;
        }
        // The kernel does not offer either with marks that the user could set.
        Marks::User => fsconfig_set_flag(&fs, "userxattr").map_err(refused("userxattr"))?,
    }
    if layout.is_volatile {
        fsconfig_set_flag(&fs, "volatile").map_err(refused("volatile"))?;
    }
    fsconfig_create(&fs).map_err(refused("create"))?;
    let mut attributes = MountAttrFlags::empty();
    if layout.upper.is_none() {
        attributes |= MountAttrFlags::MOUNT_ATTR_RDONLY;
    }
    if layout.shared_as.is_some() {
        attributes |= MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    }
    fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, attributes).map_err(refused("mount"))
}

/// Whether this process may mount where it is.
pub(in super::super) fn is_allowed() -> bool {
    // The kernel asks for the right to mount before anything else.
    !matches!(fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC), Err(Errno::PERM))
}

/// Puts a detached mount where others can see it, as far as this thread's namespace reaches.
pub(in super::super) fn attach(mount: impl AsFd, place: &Path) -> Result<(), Errno> {
    move_mount(mount, "", CWD, place, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

/// Makes a whole filesystem read-only, or writable again, in whatever namespaces it is mounted.
///
/// # Errors
/// [`Errno::BUSY`] while a process has a file of it open for writing, or mapped so.
pub(in super::super) fn freeze(mount: impl AsFd, read_only: bool) -> Result<(), Errno> {
    let flags = FsPickFlags::FSPICK_EMPTY_PATH | FsPickFlags::FSPICK_CLOEXEC;
    let fs = fspick(mount, "", flags)?;
    fsconfig_set_flag(&fs, if read_only { "ro" } else { "rw" })?;
    fsconfig_reconfigure(&fs)
}

/// Takes all that is mounted at a place away, with what was mounted in it. True if it was one mount, and nobody uses it any more.
pub(super) fn detach(place: &Path) -> Result<bool, Errno> {
    let mut mounts = 0;
    let mut is_unused = true;
    loop {
        match unmount(place, UnmountFlags::NOFOLLOW) {
            Ok(()) => mounts += 1,
            Err(Errno::BUSY) => {
                unmount(place, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)?;
                mounts += 1;
                is_unused = false;
            }
            // Nothing is mounted there: a command may have put something on top, or taken ours away.
            Err(Errno::INVAL) => return Ok(is_unused && mounts == 1),
            Err(errno) => return Err(errno),
        }
    }
}
