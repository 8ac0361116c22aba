// SPDX-License-Identifier: MIT
//! A collector beside processes that save what it is about to remove, rely on it, label it, and drop it, in the order that a
//! seeded scheduler chooses at every call of the disk: nothing that was acknowledged and is named is lost.
//!
//! Each process is a thread of the `shuttle` crate with a repository of its own, on one simulated machine. Schedulers: any order,
//! and few but decisive changes of priority (PCT, Burckhardt and others, ASPLOS 2010). That these tests can fail is tested
//! too, with disks that lose what the protocol relies on.

use std::ffi::OsString;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex};

use cascow_core::hash::{ContentHash, HashKind};
use cascow_native::Error;
use cascow_native::disk::{Access, Disk, DiskFile, Stat, Table, TableWriter};
use cascow_native::repository::Repository;
use cascow_native::store::StoreKind;
use cascow_tests::ledger::{Files, Ledger, Worker, noise};
use cascow_tests::simulated::SimulatedDisk;
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::sync::atomic::{AtomicU64, Ordering};
use shuttle::{Config, FailurePersistence, Runner};

const SEED: u64 = 20_260_714;

/// Orders that are tried, of each scheduler with each store.
const ORDERS: usize = 2000;

/// Orders in which a broken disk must be found out.
const ORDERS_TO_FAIL: usize = 5000;

/// Changes of priority in an order by PCT.
const DEPTH: usize = 3;

const CLOCK: u64 = 1_000_000_000;
const GRACE: u64 = 100;

/// Files of objects and segments that collections removed.
static REMOVED: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

fn top() -> &'static Path {
    Path::new("/top")
}

fn tree(version: u8) -> Files {
    [("a", noise(u64::from(version), 600)), ("b", noise(100 + u64::from(version), 50))]
        .map(|(path, bytes)| (path.to_owned(), bytes))
        .into()
}

/// A machine with a repository as it is before a collection, everything in it long past its time of grace.
struct Before {
    machine: Arc<SimulatedDisk>,
    ledger: Ledger,
    /// Nothing keeps it.
    unnamed: ContentHash,
}

fn before(kind: StoreKind) -> Before {
    let (machine, ledger) = (SimulatedDisk::new(CLOCK), Arc::new(Mutex::new(Ledger::default())));
    drop(Repository::init_on(machine.process(), top(), HashKind::Sha256, kind).unwrap());
    let worker = Worker::open(machine.process(), top(), &ledger).unwrap();
    let unnamed = worker.save(&tree(1), None, None).unwrap();
    worker.save(&tree(2), None, Some("dropped")).unwrap();
    worker.save(&tree(3), None, Some("moved")).unwrap();
    for version in 10..14 {
        worker.save(&tree(version), None, None).unwrap();
    }
    drop(worker);
    machine.set_clock(CLOCK + 1000);
    let ledger = ledger.lock().unwrap().clone();
    Before { machine, ledger, unnamed }
}

/// Makes a disk of a process's.
type Wrap = fn(Arc<dyn Disk>) -> Arc<dyn Disk>;

/// What one order is tried with.
#[derive(Clone)]
struct Race {
    machine: Arc<SimulatedDisk>,
    ledger: Arc<Mutex<Ledger>>,
    unnamed: ContentHash,
    wrap: Wrap,
}

impl Race {
    fn worker(&self) -> Worker {
        Worker::open((self.wrap)(self.machine.process()), top(), &self.ledger).unwrap()
    }

    /// Twice, the second long after the first: only leases protect what the others are doing.
    fn collect(&self) {
        self.worker().collect(GRACE).unwrap();
        self.machine.set_clock(CLOCK + 2000);
        self.worker().collect(GRACE).unwrap();
    }

    /// Saves what is there and kept by nothing, and what another stops keeping.
    fn save_again(&self) {
        let worker = self.worker();
        for (version, label) in [(1, "again"), (2, "and again")] {
            loop {
                match worker.save(&tree(version), None, Some(label)) {
                    Ok(_) => break,
                    // It says that an object was collected just now, and that the same should be done once more.
                    Err(Error::Unavailable(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }

    /// Goes on from a snapshot that nothing keeps, if it is still there.
    fn go_on(&self) {
        let worker = self.worker();
        match worker.repository().pin(&self.unnamed) {
            Ok(()) => {
                let files = cascow_tests::ledger::files(worker.repository(), &self.unnamed);
                assert_eq!(files.unwrap(), tree(1), "what is pinned is whole");
                worker.save(&tree(4), Some(self.unnamed), Some("child")).unwrap();
                let files = cascow_tests::ledger::files(worker.repository(), &self.unnamed);
                assert_eq!(files.unwrap(), tree(1), "what is pinned stays whole");
            }
            Err(Error::Absent { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// Moves a label to the snapshot that nothing keeps, if it is still there, and drops another.
    fn label(&self) {
        let worker = self.worker();
        for label in ["dropped", "moved"] {
            self.ledger.lock().unwrap().release_named_by(label);
        }
        worker.label("dropped", None).unwrap();
        match worker.label("moved", Some(self.unnamed)) {
            Ok(()) | Err(Error::Absent { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }

    fn run(&self) {
        let tasks: [fn(&Self); 4] = [Self::collect, Self::save_again, Self::go_on, Self::label];
        let tasks = tasks.map(|task| {
            let race = self.clone();
            shuttle::thread::spawn(move || task(&race))
        });
        for task in tasks {
            task.join().unwrap();
        }
        self.machine.without_hooks();
        // By a disk that loses nothing.
        let worker = Worker::open(self.machine.process(), top(), &self.ledger).unwrap();
        let checked = self.ledger.lock().unwrap().check(worker.repository());
        checked.unwrap_or_else(|problem| panic!("{problem}"));
    }
}

/// Tries orders; panics in the first that loses something.
fn try_orders(kind: StoreKind, wrap: Wrap, scheduler: impl Scheduler + 'static) -> usize {
    let before = before(kind);
    let mut config = Config::new();
    // A repository is opened, and objects are compressed, on each thread's stack.
    config.stack_size = 1 << 20;
    config.failure_persistence = FailurePersistence::None;
    config.silence_warnings = true;
    Runner::new(scheduler, config).run(move || {
        let machine = before.machine.copy();
        let calls = Arc::new(AtomicU64::new(0));
        // Any operation of shuttle's is a place at which another thread may go on.
        machine.before_each_call(move |call| {
            calls.fetch_add(1, Ordering::SeqCst);
            let is_object = call.path.components().any(|part| part.as_os_str() == "objects");
            if call.operation == "unlink" && is_object {
                REMOVED.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
        });
        machine.while_waiting(shuttle::thread::yield_now);
        let ledger = Arc::new(Mutex::new(before.ledger.clone()));
        Race { machine, ledger, unnamed: before.unnamed, wrap }.run();
    })
}

fn random(orders: usize) -> RandomScheduler {
    RandomScheduler::new_from_seed(SEED, orders)
}

#[test]
fn whatever_the_order_nothing_that_is_named_is_lost() {
    for kind in [StoreKind::Files, StoreKind::Segments] {
        let removed = || REMOVED.load(std::sync::atomic::Ordering::Relaxed);
        let before = removed();
        let any = try_orders(kind, |disk| disk, random(ORDERS));
        let pct = PctScheduler::new_from_seed(SEED, DEPTH, ORDERS);
        let few = try_orders(kind, |disk| disk, pct);
        println!("{kind}: {any} orders at random, {few} by PCT of depth {DEPTH}, seed {SEED}");
        assert_eq!((any, few), (ORDERS, ORDERS));
        // Other tests, which may run at the same time, remove some too, but not so many.
        assert!(removed() - before > ORDERS, "collections removed what they should");
    }
}

/// Whether something is lost in any of many orders.
fn is_found_out(kind: StoreKind, wrap: Wrap) -> bool {
    let fails = |tried: &dyn Fn() -> usize| catch_unwind(AssertUnwindSafe(tried)).is_err();
    fails(&|| try_orders(kind, wrap, random(ORDERS_TO_FAIL)))
        || fails(&|| {
            let pct = PctScheduler::new_from_seed(SEED, DEPTH, ORDERS_TO_FAIL);
            try_orders(kind, wrap, pct)
        })
}

#[test]
fn a_dedup_hit_that_does_not_refresh_a_file_is_found_out() {
    let wrap: Wrap = |disk| Arc::new(Forgetful { disk, what: Forgotten::Touch });
    assert!(is_found_out(StoreKind::Files, wrap));
}

#[test]
fn a_dedup_hit_that_does_not_refresh_an_entry_is_found_out() {
    let wrap: Wrap = |disk| Arc::new(Forgetful { disk, what: Forgotten::Refresh });
    assert!(is_found_out(StoreKind::Segments, wrap));
}

#[test]
fn leases_that_are_not_seen_are_found_out() {
    let wrap: Wrap = |disk| Arc::new(Forgetful { disk, what: Forgotten::Leases });
    for kind in [StoreKind::Files, StoreKind::Segments] {
        assert!(is_found_out(kind, wrap), "{kind}");
    }
}

/// What a broken disk forgets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Forgotten {
    /// To set a file's time.
    Touch,
    /// To write an entry of a table of which only one number changes.
    Refresh,
    /// To list leases.
    Leases,
}

/// A disk that says that it did what it did not.
#[derive(Debug)]
struct Forgetful {
    disk: Arc<dyn Disk>,
    what: Forgotten,
}

impl Disk for Forgetful {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.open(path, access)
    }

    fn create(&self, path: &Path, mode: u32) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.create(path, mode)
    }

    fn create_unnamed(&self, dir: &Path, mode: u32) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.create_unnamed(dir, mode)
    }

    fn link(&self, path: &Path, new: &Path) -> io::Result<()> {
        self.disk.link(path, new)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        self.disk.unlink(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir_all(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_dir_all(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        match self.what == Forgotten::Leases && dir.ends_with("leases") {
            true => Ok(Vec::new()),
            false => self.disk.list(dir),
        }
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        self.disk.stat(path)
    }

    fn touch(&self, path: &Path) -> io::Result<()> {
        match self.what {
            Forgotten::Touch => self.disk.stat(path).map(drop),
            _ => self.disk.touch(path),
        }
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }

    fn sync_all(&self, dir: &Path) -> io::Result<()> {
        self.disk.sync_all(dir)
    }

    fn table(&self, dir: &Path, access: Access) -> io::Result<Arc<dyn Table>> {
        let table = self.disk.table(dir, access)?;
        match self.what {
            Forgotten::Refresh => Ok(Arc::new(ForgetfulTable(table))),
            _ => Ok(table),
        }
    }

    fn now(&self) -> u64 {
        self.disk.now()
    }
}

#[derive(Debug)]
struct ForgetfulTable(Arc<dyn Table>);

impl Table for ForgetfulTable {
    fn get_many(&self, keys: &[&[u8]], found: &mut dyn FnMut(usize, &[u8])) -> io::Result<()> {
        self.0.get_many(keys, found)
    }

    fn scan(
        &self,
        after: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> io::Result<()> {
        self.0.scan(after, visit)
    }

    fn write(
        &self,
        work: &mut dyn FnMut(&mut dyn TableWriter) -> io::Result<()>,
    ) -> io::Result<()> {
        self.0.write(&mut |writer| work(&mut ForgetfulWriter(writer)))
    }
}

struct ForgetfulWriter<'a>(&'a mut dyn TableWriter);

/// How many numbers of 32 bits differ; `None` if the lengths do.
fn differing(one: &[u8], other: &[u8]) -> Option<usize> {
    let numbers = || one.chunks(4).zip(other.chunks(4));
    (one.len() == other.len()).then(|| numbers().filter(|(one, other)| one != other).count())
}

impl TableWriter for ForgetfulWriter<'_> {
    fn get(&self, key: &[u8]) -> io::Result<Option<&[u8]>> {
        self.0.get(key)
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        let found = self.0.get(key)?;
        // Those of objects, whose keys are hashes.
        match key.len() == 32 && found.and_then(|found| differing(found, value)) == Some(1) {
            true => Ok(()),
            false => self.0.put(key, value),
        }
    }

    fn delete(&mut self, key: &[u8]) -> io::Result<bool> {
        self.0.delete(key)
    }
}
