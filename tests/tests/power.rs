// SPDX-License-Identifier: MIT
//! The power is lost at any call of any work on a repository: whatever a filesystem may legally leave, all that was acknowledged
//! is there, and the next process works.
//!
//! Each scenario runs once on a simulated machine. Before every call, [`Outage`] shows the machines that may be found if the power
//! fails now; on each of them the repository is opened, held against the ledger, used, and held against it again. And at every
//! call the process is killed instead, the next one does its work upon what is left in memory, and then the power fails.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use cascow_core::hash::HashKind;
use cascow_core::store::ObjectStore;
use cascow_native::Error;
use cascow_native::disk::Disk;
use cascow_native::repository::Repository;
use cascow_native::store::{Durability, SegmentStore, StoreKind};
use cascow_tests::ledger::{Files, Ledger, Worker, noise};
use cascow_tests::simulated::{Outage, SimulatedDisk};

const SEED: u64 = 20_260_714;

/// Machines that are looked at after each kill, where more are possible.
const MOST_AFTER_KILL: usize = 40;

/// Far from 0, so that what is put before can be old.
const CLOCK: u64 = 1_000_000_000;

fn top() -> &'static Path {
    Path::new("/top")
}

/// Files of a tree: some short, one of more than a page that nothing compresses, and an empty one.
fn tree(variant: u64, version: u8) -> Files {
    let seed = variant * 1000 + u64::from(version);
    [
        ("a", vec![version; 30]),
        ("b", noise(variant, 5000)),
        ("c", noise(seed, 600 + 37 * len(variant) % 3000)),
        ("empty", Vec::new()),
    ]
    .map(|(path, bytes)| (path.to_owned(), bytes))
    .into()
}

fn len(number: u64) -> usize {
    // UNWRAP: it is small.
    usize::try_from(number).unwrap()
}

/// Objects of lengths that differ from variant to variant; those of the numbers that are the same are the same.
fn objects(variant: u64, numbers: Range<u64>) -> Vec<Vec<u8>> {
    let object = |number: u64| {
        let seed = variant * 1000 + number;
        noise(seed, 1 + len(seed * 7919 % 4000))
    };
    numbers.map(object).collect()
}

/// Where something is done.
struct Scene<'a> {
    machine: &'a Arc<SimulatedDisk>,
    ledger: &'a Shared<Ledger>,
    /// A process that has the repository open.
    worker: &'a Worker,
    /// Numbers what is done, so that two variants do not do the same.
    variant: u64,
}

impl Scene<'_> {
    /// The directory of the store.
    fn store_dir(&self) -> PathBuf {
        self.worker.repository().dir().join("objects")
    }

    /// A store of segments in another process.
    fn segments(&self, durability: Durability) -> Result<SegmentStore, Error> {
        let disk = self.machine.process();
        SegmentStore::open_on(disk, HashKind::Sha256, self.store_dir(), durability)
    }
}

type Work = fn(&Scene<'_>) -> Result<(), Error>;

struct Scenario {
    name: &'static str,
    /// The stores in which it makes sense.
    kinds: &'static [StoreKind],
    /// How often it is done, each time with other objects.
    variants: u64,
    /// Machines that are looked at for each call, where more are possible.
    most: usize,
    /// What is done, and durable, before the power may fail.
    before: Work,
    /// What it may fail in.
    during: Work,
}

const BOTH: &[StoreKind] = &[StoreKind::Files, StoreKind::Segments];

fn nothing(_: &Scene<'_>) -> Result<(), Error> {
    Ok(())
}

/// Batches, of which the later hit what is in the earlier.
fn put(scene: &Scene<'_>) -> Result<(), Error> {
    scene.worker.put(&objects(scene.variant, 0..6))?;
    scene.worker.put(&objects(scene.variant, 4..9))?;
    scene.worker.put(&objects(scene.variant, 7..8))
}

/// Two processes at once, of which one syncs what the other needs too, and has not.
fn put_by_two(scene: &Scene<'_>) -> Result<(), Error> {
    let other = open(scene.machine, scene.ledger)?;
    let store = scene.worker.repository().store();
    for object in objects(scene.variant, 0..4) {
        store.put(&object)?;
    }
    other.put(&objects(scene.variant, 2..6))?;
    scene.worker.put(&objects(scene.variant, 0..4))
}

/// Each object is durable when its put returns.
fn put_each(scene: &Scene<'_>) -> Result<(), Error> {
    let store = scene.segments(Durability::Each)?;
    for object in objects(scene.variant, 0..4) {
        store.put(&object)?;
        scene.ledger.lock().unwrap().hold_objects([object]);
    }
    Ok(())
}

/// Nothing is promised, but nobody must take a part for the whole; and who promises must not rely on it.
fn put_none(scene: &Scene<'_>) -> Result<(), Error> {
    let store = scene.segments(Durability::None)?;
    for batch in [0..4, 3..6] {
        for object in objects(scene.variant, batch) {
            store.put(&object)?;
        }
        store.sync()?;
    }
    drop(store);
    scene.worker.put(&objects(scene.variant, 2..4))
}

fn save(scene: &Scene<'_>) -> Result<(), Error> {
    let (worker, variant) = (scene.worker, scene.variant);
    let first = worker.save(&tree(variant, 1), None, None)?;
    let second = worker.save(&tree(variant, 2), Some(first), Some("second"))?;
    worker.save(&tree(variant, 3), Some(second), Some("third")).map(drop)
}

/// So many snapshots that the next names cross a sector of the history.
fn fill_history(scene: &Scene<'_>) -> Result<(), Error> {
    for version in 0..14 {
        let files = [("a".to_owned(), vec![version; 100])].into();
        scene.worker.save(&files, None, None)?;
    }
    Ok(())
}

fn label(scene: &Scene<'_>) -> Result<(), Error> {
    let saved = scene.worker.repository().snapshots()?;
    scene.worker.label("moves", saved.first().copied())?;
    scene.worker.label("moves", saved.last().copied())?;
    scene.worker.label("stays", saved.last().copied())?;
    scene.worker.label("moves", None)
}

/// The index is made again from the segments when the store is opened, and used.
fn lose_index(scene: &Scene<'_>) -> Result<(), Error> {
    put(scene)?;
    let index = scene.store_dir().join("index");
    let disk = scene.machine.process();
    disk.remove_dir_all(&index).map_err(Error::io("remove", &index))
}

/// Garbage between what is kept: in segments, so much that they are rewritten.
fn save_and_forget(scene: &Scene<'_>) -> Result<(), Error> {
    let (worker, variant) = (scene.worker, scene.variant);
    for version in 1..5 {
        worker.save(&tree(variant, version), None, Some("last"))?;
    }
    worker.put(&objects(variant, 20..30))?;
    // An object's age counts from when the index learns of it, and who lists all objects has it learn of them.
    worker.repository().store().for_each(&mut |_| Ok(()))?;
    scene.machine.set_clock(CLOCK + 1000);
    Ok(())
}

fn collect(scene: &Scene<'_>) -> Result<(), Error> {
    let collected = scene.worker.collect(100)?;
    assert!(collected.swept.removed > 10, "{collected:?}");
    // What was just removed is put again, and what was retired is removed.
    scene.worker.save(&tree(scene.variant, 2), None, Some("second"))?;
    scene.machine.set_clock(CLOCK + 2000);
    scene.worker.collect(100).map(drop)
}

/// The first segment is retired and removed, unless who collects appends to it: so that is another process.
fn rewrite(scene: &Scene<'_>) -> Result<(), Error> {
    let first = scene.store_dir().join("segments/00000001");
    let disk = scene.machine.process();
    assert!(disk.stat(&first).is_ok());
    for later in 1..4 {
        open(scene.machine, scene.ledger)?.collect(100)?;
        scene.machine.set_clock(CLOCK + 1000 * later);
    }
    assert!(disk.stat(&first).is_err(), "a segment of garbage is removed");
    put_more(scene)
}

fn put_more(scene: &Scene<'_>) -> Result<(), Error> {
    scene.worker.put(&objects(scene.variant, 8..12))
}

/// What any process must be able to do.
fn next_run(worker: &Worker) -> Result<(), Error> {
    // What a scenario may have been putting when it died, and something new.
    worker.put(&objects(0, 2..5))?;
    worker.put(&objects(u64::from(u32::MAX), 0..1))?;
    let snapshot = worker.save(&tree(0, 9), None, Some("next"))?;
    worker.label("moves", Some(snapshot))
}

/// The same again as one did that died, and did not get to say so.
fn again(worker: &Worker, variant: u64) -> Result<(), Error> {
    worker.put(&objects(variant, 3..7))?;
    worker.save(&tree(variant, 1), None, Some("again")).map(drop)
}

const fn both(
    name: &'static str,
    variants: u64,
    most: usize,
    before: Work,
    during: Work,
) -> Scenario {
    Scenario { name, kinds: BOTH, variants, most, before, during }
}

const fn segments(name: &'static str, variants: u64, before: Work, during: Work) -> Scenario {
    Scenario { name, kinds: &[StoreKind::Segments], variants, most: 400, before, during }
}

const SCENARIOS: &[Scenario] = &[
    both("put", 4, 400, nothing, put),
    both("put by two", 4, 400, nothing, put_by_two),
    segments("put each", 20, nothing, put_each),
    segments("put none", 20, nothing, put_none),
    both("save", 2, 300, nothing, save),
    segments("history", 1, fill_history, save),
    both("label", 2, 400, save, label),
    // Hundreds of calls, each on a file of its own.
    both("collect", 1, 30, save_and_forget, collect),
    segments("rewrite", 3, save_and_forget, rewrite),
    segments("index lost", 10, lose_index, put_more),
];

type Shared<T> = Arc<Mutex<T>>;

fn open(machine: &Arc<SimulatedDisk>, ledger: &Shared<Ledger>) -> Result<Worker, Error> {
    Worker::open(machine.process(), top(), ledger)
}

/// Opens what is left, looks whether all is there, uses it, and looks again.
fn survives(left: &Arc<SimulatedDisk>, ledger: &Ledger) -> Result<(), String> {
    let ledger = Arc::new(Mutex::new(ledger.clone()));
    {
        let worker = open(left, &ledger).map_err(|error| format!("opening: {error}"))?;
        ledger.lock().unwrap().check(worker.repository())?;
        next_run(&worker).map_err(|error| format!("the next run: {error}"))?;
    }
    let worker = open(left, &ledger).map_err(|error| format!("opening again: {error}"))?;
    let checked = ledger.lock().unwrap().check(worker.repository());
    checked.map_err(|error| format!("after the next run: {error}"))
}

/// Tries one scenario with one kind of store; what the outage has found is counted in it.
fn run(kind: StoreKind, scenario: &Scenario, variant: u64, outage: &Shared<Outage>) {
    let name = format!("{} in {kind}, variant {variant}", scenario.name);
    let machine = SimulatedDisk::new(CLOCK);
    let ledger = Shared::<Ledger>::default();
    let disk = machine.process();
    disk.create_dir_all(top()).unwrap();
    drop(Repository::init_on(disk.clone(), top(), HashKind::Sha256, kind).unwrap());
    {
        let worker = &open(&machine, &ledger).unwrap();
        let scene = Scene { machine: &machine, ledger: &ledger, worker, variant };
        (scenario.before)(&scene).unwrap();
    }
    disk.sync_all(Path::new("/")).unwrap();

    let (within, entered, struck) =
        (Arc::downgrade(&machine), Arc::clone(&ledger), Arc::clone(outage));
    let mut call = 0;
    let call_name = name.clone();
    let hook = Mutex::new(move |operation: &str, path: &Path| {
        // UNWRAP: the machine makes this call.
        let machine = within.upgrade().unwrap();
        call += 1;
        let place = format!("{call_name}, call {call}, {operation} {path:?}");
        let ledger = entered.lock().unwrap().clone();
        strike(&place, &struck, &machine, &ledger);
        killed(&place, &struck, &machine, &ledger, variant);
    });
    machine.before_each_call(move |call| (hook.lock().unwrap())(call.operation, call.path));
    {
        let worker = &open(&machine, &ledger).unwrap();
        let scene = Scene { machine: &machine, ledger: &ledger, worker, variant };
        (scenario.during)(&scene).unwrap();
    }
    machine.without_hooks();
    strike(&format!("{name}, when it is done"), outage, &machine, &ledger.lock().unwrap().clone());
}

fn strike(place: &str, outage: &Shared<Outage>, machine: &SimulatedDisk, ledger: &Ledger) {
    outage.lock().unwrap().strike(machine, ledger.promise(), &mut |left| {
        if let Err(problem) = survives(left, ledger) {
            panic!("power lost at {place}: {problem}");
        }
    });
}

/// The process is killed, another does its work, and the power is lost.
fn killed(
    place: &str,
    outage: &Shared<Outage>,
    machine: &SimulatedDisk,
    ledger: &Ledger,
    variant: u64,
) {
    let machine = machine.copy();
    let ledger = Arc::new(Mutex::new(ledger.clone()));
    {
        let worker = open(&machine, &ledger).unwrap();
        let done = again(&worker, variant).and_then(|()| next_run(&worker));
        done.unwrap_or_else(|error| panic!("killed at {place}: {error}"));
    }
    let ledger = ledger.lock().unwrap().clone();
    // A ledger that others do not share: its promises are numbered apart.
    let mut few = Outage::new(SEED, MOST_AFTER_KILL);
    few.strike(&machine, 0, &mut |left| {
        if let Err(problem) = survives(left, &ledger) {
            panic!("killed at {place}, power lost after the next run: {problem}");
        }
    });
    outage.lock().unwrap().add(&few);
}

#[test]
fn whatever_a_loss_of_power_leaves_holds_all_that_was_acknowledged() {
    let (start, mut all) = (Instant::now(), Outage::new(SEED, 0));
    for scenario in SCENARIOS {
        for kind in scenario.kinds {
            let outage = Arc::new(Mutex::new(Outage::new(SEED, scenario.most)));
            for variant in 0..scenario.variants {
                run(*kind, scenario, variant, &outage);
            }
            let outage = outage.lock().unwrap();
            let (name, found) = (scenario.name, outage.machines());
            println!("{name} in {kind}: {found} machines, {:?}", start.elapsed());
            all.add(&outage);
        }
    }
    println!("seed {SEED}: {} machines, no two alike", all.machines());
    assert!(all.machines() >= 100_000, "{} machines", all.machines());
}

#[test]
fn power_lost_while_a_repository_is_made_leaves_one_or_room_for_one() {
    for kind in [StoreKind::Files, StoreKind::Segments] {
        let machine = SimulatedDisk::new(CLOCK);
        let outage = Arc::new(Mutex::new(Outage::new(SEED, 400)));
        let disk = machine.process();
        disk.create_dir_all(top()).unwrap();
        disk.sync_all(Path::new("/")).unwrap();
        let strike = move |outage: &Shared<Outage>, machine: &SimulatedDisk, is_made: bool| {
            outage.lock().unwrap().strike(machine, u64::from(is_made), &mut |left| {
                let disk = left.process();
                match Repository::open_on(disk.clone(), top()) {
                    Ok(_) => {}
                    Err(error) => {
                        assert!(!is_made, "{error}");
                        Repository::init_on(disk, top(), HashKind::Sha256, kind).unwrap();
                    }
                }
                survives(left, &Ledger::default()).unwrap();
            });
        };
        let (within, struck) = (Arc::downgrade(&machine), Arc::clone(&outage));
        machine.before_each_call(move |_| strike(&struck, &within.upgrade().unwrap(), false));
        Repository::init_on(disk, top(), HashKind::Sha256, kind).unwrap();
        machine.without_hooks();
        strike(&outage, &machine, true);
        let machines = outage.lock().unwrap().machines();
        println!("made a repository of {kind}: {machines} machines");
        assert!(machines > 10);
    }
}
