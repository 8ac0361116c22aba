// SPDX-License-Identifier: MIT
//! The peer of a fork: the system calls that no overlay can do without, and nothing else.
//!
//! Two new directories, an overlay with the options of ours, and its mount moved to a place that was there before, as ours is.

use std::fs::{self, DirBuilder};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::CWD;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, UnmountFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, unmount,
};

/// Who forks one directory by bare system calls.
pub(super) struct Bare {
    lower: String,
    /// The mount that `lower` refers to, if it is one.
    _image: Option<OwnedFd>,
    dir: PathBuf,
    place: PathBuf,
    is_privileged: bool,
    forks: u64,
}

/// One such fork, until it is ended.
pub(super) struct Fork {
    upper: PathBuf,
    work: PathBuf,
    _mount: OwnedFd,
}

fn mount_image(image: &Path) -> OwnedFd {
    let fs = fsopen("erofs", FsOpenFlags::FSOPEN_CLOEXEC).expect("erofs");
    fsconfig_set_string(&fs, "source", image).expect("a source");
    fsconfig_set_flag(&fs, "ro").expect("an option");
    fsconfig_create(&fs).expect("an image");
    fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty()).expect("a mount")
}

impl Bare {
    /// Forks what a base of ours holds, an image or a tree of files, in a new directory.
    pub(super) fn new(base: &Path, dir: PathBuf, is_privileged: bool) -> Self {
        let place = dir.join("place");
        fs::create_dir_all(&place).expect("a directory");
        let image = base.join("image");
        let _image = image.exists().then(|| mount_image(&image));
        let lower = match &_image {
            Some(mount) => format!("/proc/self/fd/{}/.", mount.as_raw_fd()),
            None => base.join("tree").into_os_string().into_string().expect("a path of text"),
        };
        Self { lower, _image, dir, place, is_privileged, forks: 0 }
    }

    pub(super) fn place(&self) -> &Path {
        &self.place
    }

    pub(super) fn fork(&mut self) -> Fork {
        let upper = self.dir.join(format!("{}.upper", self.forks));
        let work = self.dir.join(format!("{}.work", self.forks));
        self.forks += 1;
        DirBuilder::new().create(&upper).expect("a directory");
        DirBuilder::new().create(&work).expect("a directory");
        let fs = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).expect("overlayfs");
        fsconfig_set_string(&fs, "lowerdir+", &self.lower).expect("a lower layer");
        fsconfig_set_string(&fs, "upperdir", &upper).expect("an upper layer");
        fsconfig_set_string(&fs, "workdir", &work).expect("a work directory");
        fsconfig_set_string(&fs, "index", "off").expect("an option");
        if self.is_privileged {
            fsconfig_set_string(&fs, "redirect_dir", "on").expect("an option");
            fsconfig_set_string(&fs, "metacopy", "on").expect("an option");
            fsconfig_set_string(&fs, "xino", "on").expect("an option");
        } else {
            fsconfig_set_flag(&fs, "userxattr").expect("an option");
        }
        fsconfig_set_flag(&fs, "volatile").expect("an option");
        fsconfig_create(&fs).expect("an overlay");
        let mount = fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty());
        let mount = mount.expect("a mount");
        move_mount(&mount, "", CWD, &self.place, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
            .expect("the mount can be moved");
        Fork { upper, work, _mount: mount }
    }

    pub(super) fn end(&self, fork: Fork) {
        let Fork { upper, work, _mount } = fork;
        drop(_mount);
        unmount(&self.place, UnmountFlags::NOFOLLOW).expect("it can be unmounted");
        fs::remove_dir_all(upper).expect("it can be removed");
        fs::remove_dir_all(work).expect("it can be removed");
    }
}
