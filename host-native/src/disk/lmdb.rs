// SPDX-License-Identifier: MIT
//! Tables in LMDB: one environment with one database.
//!
//! Several processes read and write one, and a transaction is synced before it counts. LMDB's pages have no checksums; what can be
//! told of damage is told: a file that was cut off, a page that is none.
//!
//! A process may open an environment once only, so its tables share what is open here.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use heed::types::Bytes;
use heed::{Database, Env, EnvFlags, EnvOpenOptions, MdbError, RwTxn};
use rustix::fs::FallocateFlags;
use rustix::mm::Advice;

use super::{Access, Table, TableWriter};

/// Address space set aside for a table, and so its greatest length: about 600 million objects. It costs nothing until used.
/// Where a process may not have so much, the next is tried.
const MAP_LENS: [usize; 4] = [64 << 30, 16 << 30, 4 << 30, 1 << 30];

/// Threads that read at once, of all processes together. A slot is 64 bytes.
const MOST_READERS: u32 = 4096;

/// The file within the environment that holds it all.
const DATA_NAME: &str = "data.mdb";

/// An open table.
#[derive(Debug)]
pub(super) struct LmdbTable {
    env: Env,
    pairs: Database<Bytes, Bytes>,
    dir: PathBuf,
    /// Where the file is mapped, once somebody wanted to know; `None` if the system does not tell.
    mapping: OnceLock<Option<Range<usize>>>,
}

/// A table's directory, how it is open, and the table.
type Opened = (PathBuf, Access, Weak<LmdbTable>);

/// The environments that this process has open.
static OPEN: Mutex<Vec<Opened>> = Mutex::new(Vec::new());

impl LmdbTable {
    /// Opens the environment in an existing directory, or makes it there.
    pub(super) fn open(dir: &Path, access: Access) -> io::Result<Arc<Self>> {
        let dir = dir.canonicalize()?;
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|(_, _, table)| table.strong_count() > 0);
        let known = open.iter().find(|(path, as_what, _)| {
            // Whoever may write may read too.
            *path == dir && (*as_what == access || access == Access::Read)
        });
        if let Some(table) = known.and_then(|(_, _, table)| table.upgrade()) {
            return Ok(table);
        }
        // The last who had it open may just be closing it.
        if let Some(closing) = heed::env_closing_event(&dir) {
            closing.wait();
        }
        let is_new = access == Access::Write && !dir.join(DATA_NAME).exists();
        let env = open_env(&dir, access)?;
        if is_new {
            // LMDB makes its files, and leaves their names to us.
            std::fs::File::open(&dir)?.sync_all()?;
        }
        // Before anything of it is read: that would be an access beyond the file's end.
        match missing_len(&env) {
            Ok(None) => {}
            found => {
                env.prepare_for_closing().wait();
                return Err(found.err().unwrap_or_else(damaged));
            }
        }
        let pairs = match access {
            Access::Write => {
                let mut txn = env.write_txn().map_err(failed)?;
                let pairs = env.create_database(&mut txn, None).map_err(failed)?;
                // Only a new one is written.
                txn.commit().map_err(failed)?;
                env.clear_stale_readers().map_err(failed)?;
                pairs
            }
            Access::Read => {
                let txn = env.read_txn().map_err(failed)?;
                let pairs = env.open_database(&txn, None).map_err(failed)?;
                // The handle of a database is kept by committing.
                txn.commit().map_err(failed)?;
                pairs.ok_or_else(damaged)?
            }
        };
        let table = Arc::new(Self { env, pairs, dir: dir.clone(), mapping: OnceLock::new() });
        open.push((dir, access, Arc::downgrade(&table)));
        Ok(table)
    }

    /// LMDB does not write a page that it frees in the transaction that made it, were it the last of the file; then the file is
    /// as long as one that was cut off. Allocating never shortens it, whoever else lengthens it meanwhile.
    fn fill_up(&self) -> io::Result<()> {
        if let Some(expected) = missing_len(&self.env)? {
            let file = std::fs::File::options().write(true).open(self.dir.join(DATA_NAME))?;
            rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, expected)?;
        }
        Ok(())
    }

    /// Where the file is mapped. LMDB does not tell: the address that it gives is that of a fixed mapping, which this is none of, and
    /// null otherwise. But what it reads lies within.
    fn mapping(&self) -> io::Result<Option<Range<usize>>> {
        if let Some(known) = self.mapping.get() {
            return Ok(known.clone());
        }
        let txn = self.env.read_txn().map_err(failed)?;
        let Some((key, _)) = self.pairs.first(&txn).map_err(failed)? else { return Ok(None) };
        let found = mapping_of(key.as_ptr().addr());
        Ok(self.mapping.get_or_init(|| found).clone())
    }
}

impl Drop for LmdbTable {
    fn drop(&mut self) {
        // Who opens it next waits for this.
        drop(self.env.clone().prepare_for_closing());
    }
}

impl Table for LmdbTable {
    fn get_many(&self, keys: &[&[u8]], found: &mut dyn FnMut(usize, &[u8])) -> io::Result<()> {
        let txn = self.env.read_txn().map_err(failed)?;
        for (position, key) in keys.iter().enumerate() {
            if let Some(value) = self.pairs.get(&txn, key).map_err(failed)? {
                found(position, value);
            }
        }
        Ok(())
    }

    fn scan(
        &self,
        after: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> io::Result<()> {
        use std::ops::Bound;
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let txn = self.env.read_txn().map_err(failed)?;
        let range = (start, Bound::Unbounded);
        for pair in self.pairs.range(&txn, &range).map_err(failed)? {
            let (key, value) = pair.map_err(failed)?;
            if !visit(key, value) {
                break;
            }
        }
        Ok(())
    }

    fn write(
        &self,
        work: &mut dyn FnMut(&mut dyn TableWriter) -> io::Result<()>,
    ) -> io::Result<()> {
        let txn = self.env.write_txn().map_err(failed)?;
        let mut writer = LmdbWriter { txn, pairs: self.pairs };
        work(&mut writer)?;
        writer.txn.commit().map_err(failed)?;
        self.fill_up()
    }

    #[expect(unsafe_code, reason = "tells the kernel which pages are not needed in memory")]
    fn trim(&self) {
        let Ok(Some(mapping)) = self.mapping() else { return };
        let page_len = self.env.stat().page_size as usize;
        let used = self.env.info().last_page_number.saturating_add(1).saturating_mul(page_len);
        let len = used.min(mapping.len());
        // The kernel wants an address, and nothing is read or written by it here.
        let start = std::ptr::without_provenance_mut(mapping.start);
        // SAFETY: the range is within one mapping, in which LMDB reads: its own shared one of its file, which it neither moves nor
        // writes to and which lives as long as `env`. Pages that are given back are read from the page cache again when they
        // are touched, so nobody sees another byte.
        let trimmed = unsafe { rustix::mm::madvise(start, len, Advice::LinuxDontNeed) };
        // Where memory is locked the pages stay, and all else works.
        let _ = trimmed;
    }
}

struct LmdbWriter<'a> {
    txn: RwTxn<'a>,
    pairs: Database<Bytes, Bytes>,
}

impl TableWriter for LmdbWriter<'_> {
    fn get(&self, key: &[u8]) -> io::Result<Option<&[u8]>> {
        self.pairs.get(&self.txn, key).map_err(failed)
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        self.pairs.put(&mut self.txn, key, value).map_err(failed)
    }

    fn insert(&mut self, key: &[u8], value: &[u8]) -> io::Result<Option<Vec<u8>>> {
        // One way down the tree instead of two.
        let found = self.pairs.get_or_put(&mut self.txn, key, value).map_err(failed)?;
        Ok(found.map(<[u8]>::to_vec))
    }

    fn delete(&mut self, key: &[u8]) -> io::Result<bool> {
        self.pairs.delete(&mut self.txn, key).map_err(failed)
    }
}

/// The mapping of this process that holds an address; `None` where there is no `/proc`.
fn mapping_of(address: usize) -> Option<Range<usize>> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    maps.lines().find_map(|line| {
        let (start, end) = line.split_once(' ')?.0.split_once('-')?;
        let start = usize::from_str_radix(start, 16).ok()?;
        let range = start..usize::from_str_radix(end, 16).ok()?;
        range.contains(&address).then_some(range)
    })
}

/// How long the file should be, if it is shorter than what it says of itself.
fn missing_len(env: &Env) -> io::Result<Option<u64>> {
    // By its own pages, not this machine's: the repository may come from another.
    let page_len = u64::from(env.stat().page_size);
    // In this order: others may lengthen it meanwhile, and then say so.
    let expected = (env.info().last_page_number as u64 + 1) * page_len;
    let found = env.real_disk_size().map_err(failed)?;
    Ok((found < expected).then_some(expected))
}

fn open_env(dir: &Path, access: Access) -> io::Result<Env> {
    let flags = match access {
        Access::Write => EnvFlags::empty(),
        Access::Read => EnvFlags::READ_ONLY,
    };
    match open_env_with(dir, flags) {
        // Who may not write cannot lock either; the caller keeps writers away, as the trait demands.
        Err(error)
            if access == Access::Read
                && matches!(
                    error.kind(),
                    io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied
                ) =>
        {
            open_env_with(dir, flags | EnvFlags::NO_LOCK)
        }
        opened => opened,
    }
}

#[expect(unsafe_code, reason = "heed maps a file into memory, which others could cut off")]
fn open_env_with(dir: &Path, flags: EnvFlags) -> io::Result<Env> {
    let mut refused = None;
    for map_len in MAP_LENS {
        let mut options = EnvOpenOptions::new();
        options.map_size(map_len).max_readers(MOST_READERS);
        // SAFETY: the file is changed by LMDB alone, under its own locks, or by nobody while it is open, which whoever opens a table
        // to read without the right to write sees to; that it is as long as it says is looked at before anything of it is
        // read. It is opened once in a process: `OPEN` is held, and `LmdbTable` keeps the environment. No other flag is used
        // that gives up LMDB's guarantees.
        let opened = unsafe { options.flags(flags).open(dir) };
        match opened.map_err(failed) {
            Err(error) if error.kind() == io::ErrorKind::OutOfMemory => refused = Some(error),
            opened => return opened,
        }
    }
    Err(refused.unwrap_or_else(damaged))
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the table is damaged")
}

/// LMDB's errors as the system's.
fn failed(error: heed::Error) -> io::Error {
    match error {
        heed::Error::Io(error) => error,
        heed::Error::Mdb(MdbError::MapFull) => io::ErrorKind::StorageFull.into(),
        heed::Error::Mdb(
            MdbError::Corrupted | MdbError::PageNotFound | MdbError::Invalid | MdbError::Panic,
        ) => damaged(),
        error => io::Error::other(error),
    }
}
