// SPDX-License-Identifier: MIT
//! The power is lost at any call of any work on a repository: whatever a filesystem may legally leave, all that was acknowledged
//! is there, and the next process works.
//!
//! Each scenario runs once on a simulated machine. Before every call, [`Outage`] shows the machines that may be found if the power
//! fails now; on each of them the repository is opened, held against the ledger, used, and held against it again. And at every
//! call the process is killed instead, the next one does its work upon what is left in memory, and then the power fails.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use cascow_core::hash::HashKind;
use cascow_native::Error;
use cascow_native::disk::Disk;
use cascow_native::repository::Repository;
use cascow_native::store::StoreKind;
use cascow_tests::ledger::{Files, Ledger, Worker, noise};
use cascow_tests::simulated::{Outage, SimulatedDisk};

const SEED: u64 = 20_260_714;

/// Machines that are looked at for each call, where more are possible.
const MOST: usize = 400;

/// As above, after a kill.
const MOST_AFTER_KILL: usize = 40;

/// Far from 0, so that what is put before can be old.
const CLOCK: u64 = 1_000_000_000;

fn top() -> &'static Path {
    Path::new("/top")
}

/// Files of a tree: some short, one of more than a page that nothing compresses, one long enough for a list of chunks.
fn tree(version: u8) -> Files {
    let shared = noise(1, 5000);
    [
        ("a", vec![version; 30]),
        ("b", shared),
        ("c", noise(u64::from(version) + 100, 600)),
        ("empty", Vec::new()),
    ]
    .map(|(path, bytes)| (path.to_owned(), bytes))
    .into()
}

fn objects(first: u64) -> Vec<Vec<u8>> {
    (first..first + 4).map(|nth| noise(nth, 1000 + 1500 * usize::from(nth % 4 == 3))).collect()
}

/// A process that does something in a repository that is open.
type Work = fn(&Worker) -> Result<(), Error>;

struct Scenario {
    name: &'static str,
    /// What is done, and durable, before the power may fail.
    before: Work,
    /// What it may fail in.
    during: Work,
    /// How far the clock goes in between.
    pause: u64,
}

fn nothing(_: &Worker) -> Result<(), Error> {
    Ok(())
}

fn put(worker: &Worker) -> Result<(), Error> {
    worker.put(&objects(10))?;
    // Some of them again, which are dedup hits.
    worker.put(&objects(12))
}

fn save(worker: &Worker) -> Result<(), Error> {
    let first = worker.save(&tree(1), None, None)?;
    let second = worker.save(&tree(2), Some(first), Some("second"))?;
    worker.save(&tree(3), Some(second), Some("third")).map(drop)
}

fn label(worker: &Worker) -> Result<(), Error> {
    let saved = worker.repository().snapshots()?;
    worker.label("moves", saved.first().copied())?;
    worker.label("moves", saved.last().copied())?;
    worker.label("stays", saved.last().copied())?;
    worker.label("moves", None)
}

/// What any process must be able to do: new things, and the same things again as one that died.
fn next_run(worker: &Worker) -> Result<(), Error> {
    worker.put(&objects(10))?;
    let snapshot = worker.save(&tree(9), None, Some("next"))?;
    worker.label("moves", Some(snapshot))
}

/// The same again as one that died in `save` did, and did not get to say.
fn save_again(worker: &Worker) -> Result<(), Error> {
    worker.save(&tree(1), None, Some("again")).map(drop)
}

const SCENARIOS: [Scenario; 3] = [
    Scenario { name: "put", before: nothing, during: put, pause: 0 },
    Scenario { name: "save", before: nothing, during: save, pause: 0 },
    Scenario { name: "label", before: save, during: label, pause: 0 },
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
fn run(kind: StoreKind, scenario: &Scenario, outage: &Shared<Outage>) {
    let name = format!("{} in {kind}", scenario.name);
    let machine = SimulatedDisk::new(CLOCK);
    let ledger = Shared::<Ledger>::default();
    let disk = machine.process();
    disk.create_dir_all(top()).unwrap();
    drop(Repository::init_on(disk.clone(), top(), HashKind::Sha256, kind).unwrap());
    (scenario.before)(&open(&machine, &ledger).unwrap()).unwrap();
    disk.sync_all(Path::new("/")).unwrap();
    machine.set_clock(CLOCK + scenario.pause);

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
        killed(&place, &struck, &machine, &ledger);
    });
    machine.before_each_call(move |call| (hook.lock().unwrap())(call.operation, call.path));
    let worker = open(&machine, &ledger).unwrap();
    (scenario.during)(&worker).unwrap();
    drop(worker);
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
fn killed(place: &str, outage: &Shared<Outage>, machine: &SimulatedDisk, ledger: &Ledger) {
    let machine = machine.copy();
    let ledger = Arc::new(Mutex::new(ledger.clone()));
    {
        let worker = open(&machine, &ledger).unwrap();
        let done = save_again(&worker).and_then(|()| next_run(&worker));
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
    let (start, mut machines) = (Instant::now(), 0);
    for kind in [StoreKind::Files] {
        for scenario in &SCENARIOS {
            let outage = Arc::new(Mutex::new(Outage::new(SEED, MOST)));
            run(kind, scenario, &outage);
            let found = outage.lock().unwrap().machines();
            println!("{} in {kind}: {found} machines, {:?}", scenario.name, start.elapsed());
            machines += found;
        }
    }
    println!("seed {SEED}: {machines} machines, no two of a scenario alike");
    assert!(machines >= 10_000, "{machines} machines");
}

#[test]
fn power_lost_while_a_repository_is_made_leaves_one_or_room_for_one() {
    for kind in [StoreKind::Files] {
        let machine = SimulatedDisk::new(CLOCK);
        let outage = Arc::new(Mutex::new(Outage::new(SEED, MOST)));
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
