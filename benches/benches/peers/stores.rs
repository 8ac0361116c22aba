// SPDX-License-Identifier: MIT
//! Objects of 256 B put durably in batches, and read back warm and verified: a store of segments beside key-value stores that hold
//! the objects themselves, under the same names.
//!
//! Puts are timed by the wall, since they wait for the disk, and since fjall works in threads of its own. Each peer hashes what it
//! puts and what it gets, as cascow does. None of the objects compresses.

use std::time::Duration;

use cascow_benches::measure::{Contestant, Spread, alone, repeated, waited};
use cascow_benches::report::{Duel, Report, Unit};
use cascow_core::hash::{ContentHash, HASH_LEN, HashKind};
use cascow_core::store::ObjectStore;
use cascow_native::store::{Durability, SegmentStore};
use heed::types::Bytes;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use tempfile::TempDir;

const KIND: HashKind = HashKind::Sha256;
const LEN: usize = 256;

/// Objects between two syncs.
const BATCH: usize = 10_000;

/// Batches that are there before gets are timed.
const HELD: usize = 10;

/// Address space for LMDB: more than all rounds need.
const MAP_LEN: usize = 16 << 30;

const TABLE: redb::TableDefinition<'_, &[u8], &[u8]> = redb::TableDefinition::new("objects");

/// What a store does here. All of it panics on errors: a store that fails has not been measured.
trait Contender {
    /// Stores the objects and makes them durable.
    fn put(&self, objects: &[&[u8]]);
    /// An object's bytes, verified.
    fn get(&self, name: &ContentHash) -> Vec<u8>;
}

struct Segments {
    store: SegmentStore,
    _dir: TempDir,
}

impl Segments {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let store = SegmentStore::open(KIND, dir.path(), Durability::Batch).expect("a store");
        // What is read is read, decoded and hashed each time, as the peers do.
        Self { store: store.with_cache(0), _dir: dir }
    }
}

impl Contender for Segments {
    fn put(&self, objects: &[&[u8]]) {
        self.store.put_many(objects).expect("objects are stored");
        self.store.sync().expect("they are synced");
    }

    fn get(&self, name: &ContentHash) -> Vec<u8> {
        self.store.get(name).expect("an object is there")
    }
}

struct Lmdb {
    env: heed::Env,
    objects: heed::Database<Bytes, Bytes>,
    _dir: TempDir,
}

impl Lmdb {
    #[expect(unsafe_code, reason = "heed maps a file into memory")]
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut options = heed::EnvOpenOptions::new();
        options.map_size(MAP_LEN);
        // SAFETY: nobody else knows the directory.
        let env = unsafe { options.open(dir.path()) }.expect("an environment");
        let mut txn = env.write_txn().expect("a transaction");
        let objects = env.create_database(&mut txn, None).expect("a database");
        txn.commit().expect("a commit");
        Self { env, objects, _dir: dir }
    }
}

impl Contender for Lmdb {
    fn put(&self, objects: &[&[u8]]) {
        let mut txn = self.env.write_txn().expect("a transaction");
        for (name, object) in names(objects).iter().zip(objects) {
            self.objects.put(&mut txn, name.as_bytes(), object).expect("an object is stored");
        }
        txn.commit().expect("a commit");
    }

    fn get(&self, name: &ContentHash) -> Vec<u8> {
        let txn = self.env.read_txn().expect("a transaction");
        let found = self.objects.get(&txn, name.as_bytes()).expect("a read");
        verified(name, found.expect("an object is there").to_vec())
    }
}

struct Redb {
    database: redb::Database,
    _dir: TempDir,
}

impl Redb {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let database = redb::Database::create(dir.path().join("redb")).expect("a database");
        Self { database, _dir: dir }
    }
}

impl Contender for Redb {
    fn put(&self, objects: &[&[u8]]) {
        // Its transactions are durable unless told otherwise.
        let txn = self.database.begin_write().expect("a transaction");
        {
            let mut table = txn.open_table(TABLE).expect("a table");
            for (name, object) in names(objects).iter().zip(objects) {
                table.insert(&name.as_bytes()[..], *object).expect("an object is stored");
            }
        }
        txn.commit().expect("a commit");
    }

    fn get(&self, name: &ContentHash) -> Vec<u8> {
        use redb::ReadableDatabase as _;
        let txn = self.database.begin_read().expect("a transaction");
        let table = txn.open_table(TABLE).expect("a table");
        let found = table.get(&name.as_bytes()[..]).expect("a read");
        verified(name, found.expect("an object is there").value().to_vec())
    }
}

struct Fjall {
    database: fjall::Database,
    objects: fjall::Keyspace,
    _dir: TempDir,
}

impl Fjall {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let database = fjall::Database::builder(dir.path()).open().expect("a database");
        let objects = database.keyspace("objects", Default::default).expect("a keyspace");
        Self { database, objects, _dir: dir }
    }
}

impl Contender for Fjall {
    fn put(&self, objects: &[&[u8]]) {
        for (name, object) in names(objects).iter().zip(objects) {
            self.objects.insert(name.as_bytes(), *object).expect("an object is stored");
        }
        self.database.persist(fjall::PersistMode::SyncAll).expect("they are synced");
    }

    fn get(&self, name: &ContentHash) -> Vec<u8> {
        let found = self.objects.get(name.as_bytes()).expect("a read");
        verified(name, found.expect("an object is there").to_vec())
    }
}

fn verified(name: &ContentHash, bytes: Vec<u8>) -> Vec<u8> {
    assert_eq!(KIND.hash(&bytes), *name);
    bytes
}

fn names(objects: &[&[u8]]) -> Vec<ContentHash> {
    let mut names = vec![ContentHash::from_bytes([0; HASH_LEN]); objects.len()];
    KIND.hash_each(objects, |position, name| names[position] = name);
    names
}

/// Puts new objects, a batch at a time.
fn puts<'a>(contender: &'a dyn Contender) -> Contestant<'a> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(256);
    let mut noise = vec![0; BATCH * LEN];
    Box::new(move |batches| {
        let put = |_| {
            random.fill_bytes(&mut noise);
            let objects: Vec<&[u8]> = noise.chunks(LEN).collect();
            waited(|| contender.put(&objects))
        };
        (0..batches).map(put).sum::<Duration>()
    })
}

/// Gets objects that are there, in no order.
fn gets<'a>(contender: &'a dyn Contender, held: &'a [ContentHash]) -> Contestant<'a> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(512);
    repeated(move || {
        let position = random.next_u64() % held.len() as u64;
        contender.get(&held[usize::try_from(position).unwrap_or_default()])
    })
}

/// A peer's name, and how it is begun.
type Peer = (&'static str, fn() -> Box<dyn Contender>);

pub(crate) fn run(report: &mut Report) {
    let noise = crate::noise(1, HELD * BATCH * LEN);
    let objects: Vec<&[u8]> = noise.chunks(LEN).collect();
    let held = names(&objects);
    let peers: [Peer; 3] = [
        ("LMDB alone", || Box::new(Lmdb::new())),
        ("redb 4", || Box::new(Redb::new())),
        ("fjall 3", || Box::new(Fjall::new())),
    ];
    for (name, peer) in peers {
        // New ones for each peer, so that both are as full as each other.
        let (ours, peer) = (Segments::new(), peer());
        for batch in objects.chunks(BATCH) {
            ours.put(batch);
            peer.put(batch);
        }
        let get = Duel {
            work: "get an object of 256 B of 100,000, warm and verified, one thread".into(),
            peer: name,
            unit: Unit::Time,
            at_least: None,
        };
        let got = report.duel(&get, gets(&ours, &held), gets(&*peer, &held));
        let put = Duel {
            work: "put 10,000 objects of 256 B and sync, by the wall, one thread".into(),
            peer: name,
            unit: Unit::Time,
            at_least: Some(1.0),
        };
        let done = report.duel(&put, puts(&ours), puts(&*peer));
        report.time("one of these puts; 300,000 a second", &each(done.ours), Some(1e9 / 3e5));
        report.time("one of these gets; 600,000 a second", &got.ours, Some(1e9 / 6e5));
    }
    cached(report, &objects, &held);
    crate::mixed::run(report);
}

/// Gets from the store's cache: of a tenth of the objects, as a search comes back to some states; and of all, which is more than
/// processors cache.
fn cached(report: &mut Report, objects: &[&[u8]], held: &[ContentHash]) {
    let dir = tempfile::tempdir().expect("a directory");
    let store = SegmentStore::open(KIND, dir.path(), Durability::Batch).expect("a store");
    let store = store.with_cache(64 << 20);
    store.put_many(objects).expect("objects are stored");
    store.sync().expect("they are synced");
    for (part, at_most) in [(held.len() / 10, Some(1e9 / 3e6)), (held.len(), None)] {
        let read = &held[..part];
        for name in read {
            store.get(name).expect("an object is there");
        }
        let misses = store.cache_stats().misses;
        let mut random = Xoshiro256PlusPlus::seed_from_u64(512);
        let time = alone(repeated(|| {
            let position = random.next_u64() % read.len() as u64;
            let name = &read[usize::try_from(position).unwrap_or_default()];
            store.get(name).expect("an object is there")
        }));
        assert_eq!(store.cache_stats().misses, misses, "all are from the cache");
        report.time(
            format!("get an object of 256 B from the cache, any of {part}, one thread; 3,000,000 a second"),
            &time,
            at_most,
        );
    }
}

/// What one object of a batch takes.
fn each(batch: Spread) -> Spread {
    let share = |nanos: f64| nanos / BATCH as f64;
    Spread { low: share(batch.low), median: share(batch.median), high: share(batch.high) }
}
