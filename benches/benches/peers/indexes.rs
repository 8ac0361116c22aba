// SPDX-License-Identifier: MIT
//! The index of the store of segments on LMDB, as it is, beside the same store with its index on redb and on fjall.
//!
//! All are the same code over a table; only what keeps the table differs. Each of its transactions is durable before it counts.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use bumpalo::Bump;
use cascow_benches::measure::{Contestant, repeated, waited};
use cascow_benches::report::{Duel, Report, Row, Unit};
use cascow_core::hash::{ContentHash, HashKind};
use cascow_core::store::ObjectStore;
use cascow_native::disk::{Access, Disk, DiskFile, LinuxDisk, Stat, Table, TableWriter};
use cascow_native::store::{Durability, SegmentStore};
use fjall::Readable as _;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use redb::{ReadableDatabase as _, ReadableTable as _};
use tempfile::TempDir;

const KIND: HashKind = HashKind::Sha256;
const LEN: usize = 256;

/// Objects between two syncs.
const BATCH: usize = 10_000;

/// Objects that are there before gets are timed, and by which the index's size is compared.
const HELD: usize = 500_000;

const PAIRS: redb::TableDefinition<'_, &[u8], &[u8]> = redb::TableDefinition::new("pairs");

fn failed(error: impl fmt::Display) -> io::Error {
    io::Error::other(error.to_string())
}

#[derive(Debug)]
struct RedbTable(redb::Database);

impl RedbTable {
    fn open(dir: &Path) -> io::Result<Arc<dyn Table>> {
        let database = redb::Database::create(dir.join("index.redb")).map_err(failed)?;
        let txn = database.begin_write().map_err(failed)?;
        txn.open_table(PAIRS).map_err(failed)?;
        txn.commit().map_err(failed)?;
        Ok(Arc::new(Self(database)))
    }
}

impl Table for RedbTable {
    fn get_many(&self, keys: &[&[u8]], found: &mut dyn FnMut(usize, &[u8])) -> io::Result<()> {
        let txn = self.0.begin_read().map_err(failed)?;
        let pairs = txn.open_table(PAIRS).map_err(failed)?;
        for (position, key) in keys.iter().enumerate() {
            if let Some(value) = pairs.get(*key).map_err(failed)? {
                found(position, value.value());
            }
        }
        Ok(())
    }

    fn scan(
        &self,
        after: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> io::Result<()> {
        let txn = self.0.begin_read().map_err(failed)?;
        let pairs = txn.open_table(PAIRS).map_err(failed)?;
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        for pair in pairs.range::<&[u8]>((start, Bound::Unbounded)).map_err(failed)? {
            let (key, value) = pair.map_err(failed)?;
            if !visit(key.value(), value.value()) {
                break;
            }
        }
        Ok(())
    }

    fn write(
        &self,
        work: &mut dyn FnMut(&mut dyn TableWriter) -> io::Result<()>,
    ) -> io::Result<()> {
        let txn = self.0.begin_write().map_err(failed)?;
        let pairs = txn.open_table(PAIRS).map_err(failed)?;
        let mut writer = RedbWriter { pairs, shown: Bump::new() };
        work(&mut writer)?;
        drop(writer);
        txn.commit().map_err(failed)
    }
}

struct RedbWriter<'a> {
    pairs: redb::Table<'a, &'static [u8], &'static [u8]>,
    /// Values that were asked for, which live as long as the transaction.
    shown: Bump,
}

impl TableWriter for RedbWriter<'_> {
    fn get(&self, key: &[u8]) -> io::Result<Option<&[u8]>> {
        let found = self.pairs.get(key).map_err(failed)?;
        Ok(found.map(|value| &*self.shown.alloc_slice_copy(value.value())))
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        self.pairs.insert(key, value).map(drop).map_err(failed)
    }

    fn delete(&mut self, key: &[u8]) -> io::Result<bool> {
        self.pairs.remove(key).map(|found| found.is_some()).map_err(failed)
    }
}

struct FjallTable {
    database: fjall::SingleWriterTxDatabase,
    pairs: fjall::SingleWriterTxKeyspace,
}

impl fmt::Debug for FjallTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FjallTable").finish_non_exhaustive()
    }
}

impl FjallTable {
    fn open(dir: &Path) -> io::Result<Arc<dyn Table>> {
        let dir = dir.join("index.fjall");
        let database = fjall::SingleWriterTxDatabase::builder(dir).open().map_err(failed)?;
        let pairs = database.keyspace("pairs", Default::default).map_err(failed)?;
        Ok(Arc::new(Self { database, pairs }))
    }
}

impl Table for FjallTable {
    fn get_many(&self, keys: &[&[u8]], found: &mut dyn FnMut(usize, &[u8])) -> io::Result<()> {
        let txn = self.database.read_tx();
        for (position, key) in keys.iter().enumerate() {
            if let Some(value) = txn.get(&self.pairs, key).map_err(failed)? {
                found(position, &value);
            }
        }
        Ok(())
    }

    fn scan(
        &self,
        after: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> io::Result<()> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let txn = self.database.read_tx();
        for pair in txn.range::<&[u8], _>(&self.pairs, (start, Bound::Unbounded)) {
            let (key, value) = pair.into_inner().map_err(failed)?;
            if !visit(&key, &value) {
                break;
            }
        }
        Ok(())
    }

    fn write(
        &self,
        work: &mut dyn FnMut(&mut dyn TableWriter) -> io::Result<()>,
    ) -> io::Result<()> {
        let txn = self.database.write_tx().durability(Some(fjall::PersistMode::SyncAll));
        let mut writer = FjallWriter { txn, pairs: &self.pairs, shown: Bump::new() };
        work(&mut writer)?;
        writer.txn.commit().map_err(failed)
    }
}

struct FjallWriter<'a> {
    txn: fjall::SingleWriterWriteTx<'a>,
    pairs: &'a fjall::SingleWriterTxKeyspace,
    /// Values that were asked for, which live as long as the transaction.
    shown: Bump,
}

impl TableWriter for FjallWriter<'_> {
    fn get(&self, key: &[u8]) -> io::Result<Option<&[u8]>> {
        let found = self.txn.get(self.pairs, key).map_err(failed)?;
        Ok(found.map(|value| &*self.shown.alloc_slice_copy(&value)))
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        self.txn.insert(self.pairs, key, value);
        Ok(())
    }

    fn delete(&mut self, key: &[u8]) -> io::Result<bool> {
        let found = self.txn.contains_key(self.pairs, key).map_err(failed)?;
        self.txn.remove(self.pairs, key);
        Ok(found)
    }
}

/// How a table is opened in a directory.
type Open = fn(&Path) -> io::Result<Arc<dyn Table>>;

/// The machine's files, with tables of another kind.
struct OtherTables {
    files: Arc<dyn Disk>,
    open: Open,
    /// What is open: neither redb nor fjall opens one twice.
    tables: Mutex<HashMap<PathBuf, Weak<dyn Table>>>,
}

impl OtherTables {
    fn new(open: Open) -> Self {
        Self { files: LinuxDisk::shared(), open, tables: Mutex::default() }
    }
}

impl fmt::Debug for OtherTables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtherTables").finish_non_exhaustive()
    }
}

impl Disk for OtherTables {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        self.files.open(path, access)
    }

    fn create(&self, path: &Path, mode: u32) -> io::Result<Arc<dyn DiskFile>> {
        self.files.create(path, mode)
    }

    fn create_unnamed(&self, dir: &Path, mode: u32) -> io::Result<Arc<dyn DiskFile>> {
        self.files.create_unnamed(dir, mode)
    }

    fn link(&self, path: &Path, new: &Path) -> io::Result<()> {
        self.files.link(path, new)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.files.rename(from, to)
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        self.files.unlink(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.files.create_dir_all(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.files.remove_dir_all(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        self.files.list(dir)
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        self.files.stat(path)
    }

    fn touch(&self, path: &Path) -> io::Result<()> {
        self.files.touch(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.files.sync_dir(dir)
    }

    fn sync_all(&self, dir: &Path) -> io::Result<()> {
        self.files.sync_all(dir)
    }

    fn table(&self, dir: &Path, _: Access) -> io::Result<Arc<dyn Table>> {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(table) = tables.get(dir).and_then(Weak::upgrade) {
            return Ok(table);
        }
        let table = (self.open)(dir)?;
        tables.insert(dir.to_owned(), Arc::downgrade(&table));
        Ok(table)
    }

    fn now(&self) -> u64 {
        self.files.now()
    }
}

/// A store, filled.
struct Filled {
    store: SegmentStore,
    dir: TempDir,
}

fn filled(disk: Arc<dyn Disk>, objects: &[&[u8]]) -> Filled {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let store = SegmentStore::open_on(disk, KIND, dir.path(), Durability::Batch).expect("a store");
    // What is read is to be looked up in the index each time.
    let store = store.with_cache(0);
    for batch in objects.chunks(BATCH) {
        store.put_many(batch).expect("objects are stored");
        store.sync().expect("they are synced");
    }
    Filled { store, dir }
}

/// Puts new objects, a batch at a time.
fn puts<'a>(store: &'a SegmentStore) -> Contestant<'a> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(256);
    let mut noise = vec![0; BATCH * LEN];
    Box::new(move |batches| {
        let put = |_| {
            random.fill_bytes(&mut noise);
            let objects: Vec<&[u8]> = noise.chunks(LEN).collect();
            waited(|| {
                store.put_many(&objects).expect("objects are stored");
                store.sync().expect("they are synced");
            })
        };
        (0..batches).map(put).sum::<Duration>()
    })
}

/// Looks up objects, in no order.
fn looks<'a, T>(
    held: &'a [ContentHash],
    mut look: impl FnMut(&ContentHash) -> T + 'a,
) -> Contestant<'a> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(512);
    repeated(move || {
        let position = random.next_u64() % held.len() as u64;
        look(&held[usize::try_from(position).unwrap_or_default()])
    })
}

/// Bytes on the disk of all that is not a segment.
fn index_size(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let blocks = |file: &PathBuf| fs::metadata(file).map_or(0, |found| found.blocks());
    let is_index = |file: &&PathBuf| !file.iter().any(|part| part == "segments");
    crate::sources::files(dir).iter().filter(is_index).map(blocks).sum::<u64>() * 512
}

pub(crate) fn run(report: &mut Report) {
    report.note(format!(
        "Stores of {HELD} objects of {LEN} B, put {BATCH} at a time with a sync each. Of the three, LMDB alone lets several \
         processes write and read at once, which the store is for; redb and fjall lock what they have open."
    ));
    let noise = crate::noise(3, HELD * LEN);
    let objects: Vec<&[u8]> = noise.chunks(LEN).collect();
    let held = KIND.hash_all(&objects);
    let peers: [(&str, Open); 2] = [
        ("the index on redb 4", |dir| RedbTable::open(dir)),
        ("the index on fjall 3", |dir| FjallTable::open(dir)),
    ];
    for (name, open) in peers {
        let ours = filled(LinuxDisk::shared(), &objects);
        let peer = filled(Arc::new(OtherTables::new(open)), &objects);
        let (our_size, peer_size) = (index_size(ours.dir.path()), index_size(peer.dir.path()));
        let duel =
            |work: &str| Duel { work: work.into(), peer: name, unit: Unit::Time, at_least: None };
        let get = |of: &Filled, name: &ContentHash| of.store.get(name).expect("an object is there");
        let has = |of: &Filled, name: &ContentHash| of.store.exists(name).expect("it can tell");
        report.duel(
            &duel("get an object of 256 B, warm and verified, without a cache, one thread"),
            looks(&held, |name| get(&ours, name)),
            looks(&held, |name| get(&peer, name)),
        );
        report.duel(
            &duel("say whether an object is there, one thread"),
            looks(&held, |name| has(&ours, name)),
            looks(&held, |name| has(&peer, name)),
        );
        report.duel(
            &duel("put 10,000 objects of 256 B and sync, by the wall, one thread"),
            puts(&ours.store),
            puts(&peer.store),
        );
        report.row(Row {
            work: format!("size of the index of {HELD} objects on the disk"),
            cascow: show(our_size),
            peer: format!("{} ({name})", show(peer_size)),
            ratio: ratio(peer_size, our_size),
            ..Row::default()
        });
    }
}

fn show(bytes: u64) -> String {
    format!("{} B an object", bytes / HELD as u64)
}

#[expect(clippy::cast_precision_loss, reason = "an index is far below 2^52 bytes")]
fn ratio(of: u64, by: u64) -> String {
    format!("{:.2}", of as f64 / by as f64)
}
