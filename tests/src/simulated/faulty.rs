// SPDX-License-Identifier: MIT
//! A disk of which one call fails.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use cascow_native::disk::{Access, Disk, DiskFile, Lock, Stat, Table, TableWriter};

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// With this number of the system's: `ENOSPC`, `EIO`, `EMFILE`.
    Errno(i32),
    /// A read or write is interrupted; no other call is touched.
    Interrupted,
    /// A read or write does half of what it should, at least a byte of it; no other call is touched.
    Short,
    /// A write does half of what it should, and the next write says that there is no space left.
    ShortThenFull,
}

/// A disk that hands everything to another, except that one call fails, once.
#[derive(Debug)]
pub struct FaultyDisk {
    disk: Arc<dyn Disk>,
    plan: Arc<Plan>,
}

#[derive(Debug)]
struct Plan {
    fault: Fault,
    at: u64,
    next: AtomicU64,
    is_over: AtomicBool,
    is_full: AtomicBool,
}

/// What a call is to the faults.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Read,
    Write,
    Other,
}

impl FaultyDisk {
    /// A disk of which the call of this number fails, from 0.
    pub fn new(disk: Arc<dyn Disk>, fault: Fault, at: u64) -> Arc<Self> {
        let (next, is_over, is_full) = Default::default();
        Arc::new(Self { disk, plan: Arc::new(Plan { fault, at, next, is_over, is_full }) })
    }

    /// Whether the call has failed.
    pub fn has_failed(&self) -> bool {
        self.plan.is_over.load(Ordering::Relaxed)
    }

    fn file(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(FaultyFile { file, plan: Arc::clone(&self.plan) })
    }
}

/// How much of its bytes a read or write may do.
enum Part {
    All,
    Half,
}

impl Plan {
    fn part(&self, kind: Kind) -> io::Result<Part> {
        if kind == Kind::Write && self.is_full.swap(false, Ordering::Relaxed) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let is_touched = match self.fault {
            Fault::Errno(_) => true,
            Fault::Interrupted | Fault::Short => kind != Kind::Other,
            Fault::ShortThenFull => kind == Kind::Write,
        };
        if !is_touched || self.next.fetch_add(1, Ordering::Relaxed) != self.at {
            return Ok(Part::All);
        }
        self.is_over.store(true, Ordering::Relaxed);
        match self.fault {
            Fault::Errno(number) => Err(io::Error::from_raw_os_error(number)),
            Fault::Interrupted => Err(io::ErrorKind::Interrupted.into()),
            Fault::Short => Ok(Part::Half),
            Fault::ShortThenFull => {
                self.is_full.store(true, Ordering::Relaxed);
                Ok(Part::Half)
            }
        }
    }

    fn call(&self) -> io::Result<()> {
        self.part(Kind::Other).map(drop)
    }
}

fn half(len: usize) -> usize {
    len.div_ceil(2)
}

impl Disk for FaultyDisk {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        self.plan.call()?;
        self.disk.open(path, access).map(|file| self.file(file))
    }

    fn create(&self, path: &Path, mode: u32) -> io::Result<Arc<dyn DiskFile>> {
        self.plan.call()?;
        self.disk.create(path, mode).map(|file| self.file(file))
    }

    fn create_unnamed(&self, dir: &Path, mode: u32) -> io::Result<Arc<dyn DiskFile>> {
        self.plan.call()?;
        self.disk.create_unnamed(dir, mode).map(|file| self.file(file))
    }

    fn link(&self, path: &Path, new: &Path) -> io::Result<()> {
        self.plan.call()?;
        self.disk.link(path, new)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.plan.call()?;
        self.disk.rename(from, to)
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        self.plan.call()?;
        self.disk.unlink(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.plan.call()?;
        self.disk.create_dir_all(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.plan.call()?;
        self.disk.remove_dir_all(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        self.plan.call()?;
        self.disk.list(dir)
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        self.plan.call()?;
        self.disk.stat(path)
    }

    fn touch(&self, path: &Path) -> io::Result<()> {
        self.plan.call()?;
        self.disk.touch(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.plan.call()?;
        self.disk.sync_dir(dir)
    }

    fn sync_all(&self, dir: &Path) -> io::Result<()> {
        self.plan.call()?;
        self.disk.sync_all(dir)
    }

    fn table(&self, dir: &Path, access: Access) -> io::Result<Arc<dyn Table>> {
        self.plan.call()?;
        let (table, plan) = (self.disk.table(dir, access)?, Arc::clone(&self.plan));
        Ok(Arc::new(FaultyTable { table, plan }))
    }

    fn now(&self) -> u64 {
        self.disk.now()
    }
}

#[derive(Debug)]
struct FaultyFile {
    file: Arc<dyn DiskFile>,
    plan: Arc<Plan>,
}

impl DiskFile for FaultyFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let len = match self.plan.part(Kind::Read)? {
            Part::All => bytes.len(),
            Part::Half => half(bytes.len()),
        };
        self.file.read_at(&mut bytes[..len], offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let len = match self.plan.part(Kind::Write)? {
            Part::All => bytes.len(),
            Part::Half => half(bytes.len()),
        };
        self.file.write_at(&bytes[..len], offset)
    }

    fn len(&self) -> io::Result<u64> {
        self.plan.call()?;
        self.file.len()
    }

    fn sync(&self) -> io::Result<()> {
        self.plan.call()?;
        self.file.sync()
    }

    fn link(&self, path: &Path) -> io::Result<()> {
        self.plan.call()?;
        self.file.link(path)
    }

    fn lock(&self, lock: Lock, wait: bool) -> io::Result<bool> {
        self.plan.call()?;
        self.file.lock(lock, wait)
    }
}

/// A transaction fails when it begins, at any of its calls, or when it is committed.
#[derive(Debug)]
struct FaultyTable {
    table: Arc<dyn Table>,
    plan: Arc<Plan>,
}

impl Table for FaultyTable {
    fn get_many(&self, keys: &[&[u8]], found: &mut dyn FnMut(usize, &[u8])) -> io::Result<()> {
        self.plan.call()?;
        self.table.get_many(keys, found)
    }

    fn scan(
        &self,
        after: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> io::Result<()> {
        self.plan.call()?;
        self.table.scan(after, visit)
    }

    fn write(
        &self,
        work: &mut dyn FnMut(&mut dyn TableWriter) -> io::Result<()>,
    ) -> io::Result<()> {
        self.plan.call()?;
        self.table.write(&mut |writer| {
            work(&mut FaultyWriter { writer, plan: &self.plan })?;
            // In place of the commit, which has nothing done then.
            self.plan.call()
        })
    }

    fn trim(&self) {
        self.table.trim();
    }
}

struct FaultyWriter<'a> {
    writer: &'a mut dyn TableWriter,
    plan: &'a Plan,
}

impl TableWriter for FaultyWriter<'_> {
    fn get(&self, key: &[u8]) -> io::Result<Option<&[u8]>> {
        self.plan.call()?;
        self.writer.get(key)
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        self.plan.call()?;
        self.writer.put(key, value)
    }

    fn delete(&mut self, key: &[u8]) -> io::Result<bool> {
        self.plan.call()?;
        self.writer.delete(key)
    }
}
