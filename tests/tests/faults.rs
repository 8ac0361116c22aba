// SPDX-License-Identifier: MIT
//! Every call of the disk fails once, in everything that a repository does: nothing that was acknowledged is lost, the message says
//! what failed and where, and the next process works.

use std::sync::{Arc, Mutex};

use cascow_core::hash::HashKind;
use cascow_native::Error;
use cascow_native::disk::{Disk, LinuxDisk};
use cascow_native::repository::Repository;
use cascow_native::store::StoreKind;
use cascow_tests::ledger::{Files, Ledger, Worker, noise};
use cascow_tests::simulated::{Fault, FaultyDisk, SimulatedDisk};

const CLOCK: u64 = 1_000_000_000;

/// `ENOSPC`, `EIO`, `EMFILE`, and what interrupts or cuts short.
const FAULTS: [Fault; 6] = [
    Fault::Errno(28),
    Fault::Errno(5),
    Fault::Errno(24),
    Fault::Interrupted,
    Fault::Short,
    Fault::ShortThenFull,
];

/// No scenario makes so many calls.
const MOST_CALLS: u64 = 5000;

fn tree(version: u8) -> Files {
    [("a", vec![version; 30]), ("b", noise(1, 5000)), ("c", noise(u64::from(version) + 9, 700))]
        .map(|(path, bytes)| (path.to_owned(), bytes))
        .into()
}

fn objects(first: u64) -> Vec<Vec<u8>> {
    (first..first + 4).map(|seed| noise(seed, 900)).collect()
}

type Work = fn(&Worker) -> Result<(), Error>;

fn put(worker: &Worker) -> Result<(), Error> {
    worker.put(&objects(10))?;
    worker.put(&objects(12))
}

fn save(worker: &Worker) -> Result<(), Error> {
    let first = worker.save(&tree(1), None, None)?;
    worker.save(&tree(2), Some(first), Some("second")).map(drop)
}

fn label(worker: &Worker) -> Result<(), Error> {
    let snapshot = worker.save(&tree(3), None, None)?;
    worker.label("moves", Some(snapshot))?;
    worker.label("moves", None)
}

fn collect(worker: &Worker) -> Result<(), Error> {
    worker.collect(100).map(drop)
}

fn save_and_forget(worker: &Worker) -> Result<(), Error> {
    for version in 1..4 {
        worker.save(&tree(version), None, Some("last"))?;
    }
    worker.put(&objects(20))
}

const SCENARIOS: [(&str, Work, Work); 4] = [
    ("put", |_| Ok(()), put),
    ("save", put, save),
    ("label", save, label),
    ("collect", save_and_forget, collect),
];

/// Whether a message says what was tried on which path.
fn is_clear(error: &Error) -> bool {
    let message = error.to_string();
    !message.contains('\n') && message.contains("cannot ") && message.contains("\"/")
}

/// A machine on which a scenario runs, and what is done with its clock.
struct Place {
    disk: Box<dyn Fn() -> Arc<dyn Disk>>,
    top: std::path::PathBuf,
    later: Box<dyn Fn()>,
    _removed: Option<tempfile::TempDir>,
}

fn simulated() -> Place {
    let machine = SimulatedDisk::new(CLOCK);
    let clock = Arc::clone(&machine);
    Place {
        disk: Box::new(move || machine.process()),
        top: "/top".into(),
        later: Box::new(move || clock.set_clock(CLOCK + 1000)),
        _removed: None,
    }
}

fn real() -> Place {
    let dir = tempfile::tempdir().unwrap();
    Place {
        disk: Box::new(LinuxDisk::shared),
        top: dir.path().to_owned(),
        later: Box::new(|| ()),
        _removed: Some(dir),
    }
}

/// Runs a scenario with one fault; false if it was over before the call came.
fn run(
    place: &Place,
    kind: StoreKind,
    (name, before, during): (&str, Work, Work),
    fault: Fault,
    at: u64,
) -> bool {
    let (disk, top) = ((place.disk)(), place.top.as_path());
    let what = format!("{name} in {kind}, {fault:?} at call {at}");
    disk.create_dir_all(top).unwrap();
    drop(Repository::init_on(disk, top, HashKind::Sha256, kind).unwrap());
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let open = |disk| Worker::open(disk, top, &ledger);
    before(&open((place.disk)()).unwrap()).unwrap();
    (place.later)();

    let faulty = FaultyDisk::new((place.disk)(), fault, at);
    let done = open(faulty.clone()).and_then(|worker| during(&worker));
    let has_failed = faulty.has_failed();
    match &done {
        Ok(()) => {}
        Err(error) => {
            assert!(has_failed, "{what}: {error}");
            assert!(!matches!(fault, Fault::Interrupted | Fault::Short), "{what}: {error}");
            assert!(is_clear(error), "{what}: unclear: {error}");
        }
    }
    drop(done);
    drop(faulty);

    let check = |worker: &Worker, when: &str| {
        let checked = ledger.lock().unwrap().check(worker.repository());
        checked.unwrap_or_else(|problem| panic!("{what}, {when}: {problem}"));
    };
    let next = open((place.disk)()).unwrap_or_else(|error| panic!("{what}: opening: {error}"));
    check(&next, "afterwards");
    let again = during(&next).and_then(|()| next.save(&tree(7), None, Some("next")));
    again.unwrap_or_else(|error| panic!("{what}: the next run: {error}"));
    drop(next);
    check(&open((place.disk)()).unwrap(), "after the next run");
    has_failed
}

/// Makes each call of these scenarios fail; says how many did.
fn every_call_fails_once(
    place: impl Fn() -> Place,
    scenarios: &[(&str, Work, Work)],
    faults: &[Fault],
) -> u64 {
    let mut failed = 0;
    for kind in [StoreKind::Files, StoreKind::Segments] {
        for scenario in scenarios {
            for fault in faults {
                let fails = |at: &u64| run(&place(), kind, *scenario, *fault, *at);
                let calls = (0..MOST_CALLS).take_while(fails).count() as u64;
                println!("{} in {kind}, {fault:?}: {calls} calls failed", scenario.0);
                assert!(calls < MOST_CALLS);
                failed += calls;
            }
        }
    }
    println!("{failed} calls failed");
    failed
}

#[test]
fn each_call_that_fails_once_loses_nothing_and_says_what_failed() {
    assert!(every_call_fails_once(simulated, &SCENARIOS, &FAULTS) > 1000);
}

#[test]
fn each_call_that_fails_once_on_the_real_machine_loses_nothing() {
    // Each run syncs a whole filesystem several times, so this is the one scenario that has most in it.
    let faults = [Fault::Errno(28), Fault::ShortThenFull];
    assert!(every_call_fails_once(real, &SCENARIOS[1..2], &faults) > 100);
}

#[test]
fn a_failed_making_of_a_repository_can_be_done_again() {
    for kind in [StoreKind::Files, StoreKind::Segments] {
        for fault in FAULTS {
            let mut at = 0;
            loop {
                let place = simulated();
                let faulty = FaultyDisk::new((place.disk)(), fault, at);
                let made = Repository::init_on(faulty.clone(), &place.top, HashKind::Sha256, kind);
                if let Err(error) = &made {
                    assert!(is_clear(error), "{fault:?} at call {at}: {error}");
                    let open = Repository::open_on((place.disk)(), &place.top);
                    if open.is_err() {
                        let again = (place.disk)();
                        Repository::init_on(again, &place.top, HashKind::Sha256, kind).unwrap();
                    }
                }
                if !faulty.has_failed() {
                    break;
                }
                at += 1;
            }
            assert!(at > 1, "{at} calls");
        }
    }
}
