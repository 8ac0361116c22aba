// SPDX-License-Identifier: MIT
//! A disk whose clock goes wrong by as much as a test wants: what is done through it was done that long ago, or will be.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cascow_native::disk::{Access, Disk, DiskFile, LinuxDisk, Stat, Table};

/// The machine's own disk, by a clock that is apart from the machine's. Files are stamped by that clock too.
#[derive(Clone, Copy, Debug)]
pub struct AgedDisk {
    /// By how many seconds its clock is behind; ahead if that is negative.
    pub behind_secs: i64,
}

impl AgedDisk {
    /// The disk as it was so long ago.
    pub fn behind(secs: i64) -> Arc<dyn Disk> {
        Arc::new(Self { behind_secs: secs })
    }

    fn stamp(self, path: &Path) -> io::Result<()> {
        let apart = Duration::from_secs(self.behind_secs.unsigned_abs());
        let now = SystemTime::now();
        let time = if self.behind_secs < 0 { now + apart } else { now - apart };
        File::open(path)?.set_modified(time)
    }
}

impl Disk for AgedDisk {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        LinuxDisk.open(path, access)
    }

    fn create(&self, path: &Path, mode: u32) -> io::Result<Arc<dyn DiskFile>> {
        let file = LinuxDisk.create(path, mode)?;
        self.stamp(path)?;
        Ok(file)
    }

    fn create_unnamed(&self, _: &Path, _: u32) -> io::Result<Arc<dyn DiskFile>> {
        // So that every file has a name when it is stamped.
        Err(io::ErrorKind::Unsupported.into())
    }

    fn link(&self, path: &Path, new: &Path) -> io::Result<()> {
        // Stamped before anybody can see it.
        self.stamp(path)?;
        LinuxDisk.link(path, new)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        LinuxDisk.rename(from, to)
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        LinuxDisk.unlink(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        LinuxDisk.create_dir_all(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        LinuxDisk.remove_dir_all(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        LinuxDisk.list(dir)
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        LinuxDisk.stat(path)
    }

    fn touch(&self, path: &Path) -> io::Result<()> {
        self.stamp(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        LinuxDisk.sync_dir(dir)
    }

    fn sync_all(&self, dir: &Path) -> io::Result<()> {
        LinuxDisk.sync_all(dir)
    }

    fn table(&self, dir: &Path, access: Access) -> io::Result<Arc<dyn Table>> {
        LinuxDisk.table(dir, access)
    }

    fn now(&self) -> u64 {
        LinuxDisk.now().saturating_add_signed(-self.behind_secs)
    }
}
