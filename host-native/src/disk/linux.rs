// SPDX-License-Identifier: MIT
//! The real machine: each call is a system call or two.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{
    AtFlags, CWD, FlockOperation, Mode, OFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT,
};
use rustix::io::Errno;

use super::lmdb::LmdbTable;
use super::{Access, Disk, DiskFile, Lock, Stat, Table};

/// Linux, with tables in LMDB.
#[derive(Clone, Copy, Debug, Default)]
pub struct LinuxDisk;

impl LinuxDisk {
    /// The machine that this runs on.
    pub fn shared() -> Arc<dyn Disk> {
        Arc::new(Self)
    }
}

impl Disk for LinuxDisk {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let file = File::options()
            .read(true)
            .write(access == Access::Write)
            // Should a pipe stand in a file's place, opening it must not wait for its other end.
            .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
            .open(path)?;
        if !file.metadata()?.is_file() {
            let what = "something other than a file stands in its place";
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        Ok(Arc::new(LinuxFile(file)))
    }

    fn create(&self, path: &Path, mode: u32) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = File::options();
        options.read(true).write(true).create_new(true).mode(mode);
        Ok(Arc::new(LinuxFile(options.open(path)?)))
    }

    fn create_unnamed(&self, dir: &Path, mode: u32) -> io::Result<Arc<dyn DiskFile>> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        match rustix::fs::open(dir, flags, Mode::from_raw_mode(mode)) {
            Ok(file) => Ok(Arc::new(LinuxFile(file.into()))),
            // Kernels and filesystems that do not know the flag see an attempt to write to a directory.
            Err(Errno::ISDIR | Errno::OPNOTSUPP | Errno::INVAL) => {
                Err(io::ErrorKind::Unsupported.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn link(&self, path: &Path, new: &Path) -> io::Result<()> {
        fs::hard_link(path, new)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name())).collect()
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        let found = fs::metadata(path)?;
        Ok(Stat {
            is_file: found.is_file(),
            is_dir: found.is_dir(),
            len: found.len(),
            modified: u64::try_from(found.mtime()).unwrap_or(0),
        })
    }

    fn touch(&self, path: &Path) -> io::Result<()> {
        let times = Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
            last_modification: Timespec { tv_sec: 0, tv_nsec: UTIME_NOW },
        };
        Ok(rustix::fs::utimensat(CWD, path, &times, AtFlags::empty())?)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn sync_all(&self, dir: &Path) -> io::Result<()> {
        Ok(rustix::fs::syncfs(File::open(dir)?)?)
    }

    fn table(&self, dir: &Path, access: Access) -> io::Result<Arc<dyn Table>> {
        LmdbTable::open(dir, access).map(|table| table as Arc<dyn Table>)
    }

    fn now(&self) -> u64 {
        // A clock before 1970 is as good as none.
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
    }
}

#[derive(Debug)]
struct LinuxFile(File);

impl DiskFile for LinuxFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        match self.0.read_at(bytes, offset) {
            // An offset beyond what a file can have: there is nothing.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(0),
            read => read,
        }
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.0.write_at(bytes, offset)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn link(&self, path: &Path) -> io::Result<()> {
        let unnamed = format!("/proc/self/fd/{}", self.0.as_raw_fd());
        match rustix::fs::linkat(CWD, unnamed.as_str(), CWD, path, AtFlags::SYMLINK_FOLLOW) {
            // No /proc, or a filesystem that cannot link.
            Err(Errno::NOENT | Errno::XDEV | Errno::OPNOTSUPP | Errno::PERM) => {
                Err(io::ErrorKind::Unsupported.into())
            }
            linked => Ok(linked?),
        }
    }

    fn lock(&self, lock: Lock, wait: bool) -> io::Result<bool> {
        let operation = match (lock, wait) {
            (Lock::Shared, true) => FlockOperation::LockShared,
            (Lock::Shared, false) => FlockOperation::NonBlockingLockShared,
            (Lock::Exclusive, true) => FlockOperation::LockExclusive,
            (Lock::Exclusive, false) => FlockOperation::NonBlockingLockExclusive,
        };
        loop {
            match rustix::fs::flock(&self.0, operation) {
                Ok(()) => return Ok(true),
                Err(Errno::WOULDBLOCK) => return Ok(false),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
