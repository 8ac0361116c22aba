// SPDX-License-Identifier: MIT
//! Several processes write into one store of segments, or save in one repository beside a collector, and are killed at any
//! moment: all that they acknowledged is there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::ops::Range;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use cascow_core::hash::HashKind;
use cascow_core::store::{ObjectStore, StoreError};
use cascow_native::repository::{Collect, Fsck, Repository};
use cascow_native::store::{Durability, SegmentStore, StoreKind};
use cascow_tests::ledger::{files, numbered_tree};
use cascow_tests::object;
use cascow_tests::program::program;
use tempfile::TempDir;

const ROUNDS: u32 = 1000;
const WRITERS: u32 = 3;
const LEVELS: [&str; 3] = ["batch", "each", "none"];

fn writer(dir: &Path, level: &str, seed: u32) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_put-objects"));
    command.arg(dir).args([level, &seed.to_string()]).stdout(Stdio::piped());
    command.spawn().unwrap()
}

/// Kills a writer; up to which number it had acknowledged its objects, exclusively.
fn killed(mut writer: Child) -> u32 {
    writer.kill().unwrap();
    let output = BufReader::new(writer.stdout.take().unwrap());
    // The last line may be cut off only where it was not written as a whole: it is one write of a few bytes.
    let last = output.lines().map(Result::unwrap).last();
    assert!(!writer.wait().unwrap().success());
    last.map_or(0, |number| number.parse::<u32>().unwrap() + 1)
}

fn open(dir: &Path) -> SegmentStore {
    SegmentStore::open(HashKind::Sha256, dir, Durability::Batch).unwrap()
}

fn holds(store: &SegmentStore, seed: u32, numbers: Range<u32>) {
    for number in numbers {
        let bytes = object(seed, number);
        let found = store.get(&HashKind::Sha256.hash(&bytes));
        assert!(found.unwrap() == bytes, "object {number} of writer {seed}");
    }
}

/// Whatever is listed can be read.
fn is_clean(store: &SegmentStore) -> usize {
    let mut names = Vec::new();
    let list = |names: &mut Vec<_>| {
        store.for_each(&mut |object| {
            names.push(object.hash);
            Ok::<(), StoreError>(())
        })
    };
    list(&mut names).unwrap();
    for name in &names {
        store.get(name).unwrap();
    }
    names.len()
}

#[test]
fn what_eight_processes_acknowledge_is_read_while_they_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut writers: Vec<(u32, Child)> =
        (1..=8).map(|seed| (seed, writer(dir.path(), "batch", seed))).collect();
    thread::scope(|scope| {
        for (seed, writer) in &mut writers {
            let (seed, store) = (*seed, &store);
            let output = BufReader::new(writer.stdout.take().unwrap());
            scope.spawn(move || {
                let mut start = 0;
                for line in output.lines().take(10) {
                    let end = line.unwrap().parse::<u32>().unwrap() + 1;
                    holds(store, seed, start..end);
                    start = end;
                }
            });
        }
    });
    for (_, mut writer) in writers {
        // It goes on until its pipe is broken, or it is killed.
        writer.kill().unwrap();
        writer.wait().unwrap();
    }
    is_clean(&store);
}

#[test]
fn what_killed_writers_acknowledged_is_there_and_verifies() {
    let mut dir = tempfile::tempdir().unwrap();
    let (mut written, mut total) = (Vec::new(), 0_u64);
    for round in 0..ROUNDS {
        let seeds = (1..=WRITERS).map(|nth| round * WRITERS + nth);
        let writers: Vec<(u32, Child)> = seeds
            .map(|seed| (seed, writer(dir.path(), LEVELS[seed as usize % LEVELS.len()], seed)))
            .collect();
        // From the first steps of opening to a few dozen batches; steps that share no factor with anything else.
        thread::sleep(Duration::from_micros(u64::from(round) * 7919 % 30_000));
        let mut ends: Vec<(u32, u32)> = Vec::new();
        for (seed, writer) in writers {
            ends.push((seed, killed(writer)));
        }
        let store = open(dir.path());
        for (seed, end) in &ends {
            holds(&store, *seed, 0..*end);
            total += u64::from(*end);
        }
        drop(store);
        written.extend(ends);
        if round % 100 == 99 {
            let objects = is_clean(&open(dir.path()));
            // The segments alone hold it all as well, and what the killed ones did not get to publish.
            fs::remove_dir_all(dir.path().join("index")).unwrap();
            let store = open(dir.path());
            assert!(is_clean(&store) >= objects);
            for (seed, end) in written.drain(..) {
                holds(&store, seed, 0..end);
            }
            dir = tempfile::tempdir().unwrap();
        }
    }
    // A machine on which nobody came to write anything has shown nothing.
    assert!(total > u64::from(ROUNDS), "{total} objects were acknowledged");
    println!("{ROUNDS} rounds of {WRITERS} writers, {total} objects acknowledged");
}

/// Rounds in which savers and a collector are killed; half of them with each kind of store.
const REPOSITORY_ROUNDS: u32 = 1000;

/// Rounds in one repository: it is several seconds old by then, so collections without a time of grace have something to remove.
const ROUNDS_EACH: u32 = 100;

/// Savers in a round, beside the program that saves, and the one that collects.
const SAVERS: u32 = 2;

/// Labels stay for so many rounds; then what they named is garbage.
const LABELLED_ROUNDS: u32 = 5;

/// Where a round's files are: in memory if that can be, since what is killed is processes and not disks.
fn fast_dir() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn user(dir: &Path, args: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_use-repository"));
    command.arg(dir).args(args).stdout(Stdio::piped()).spawn().unwrap()
}

fn saving_program(dir: &Path, tree: &Path, label: &str) -> Child {
    let mut command = Command::new(program());
    command.current_dir(dir).arg("save").arg(tree).args(["--label", label]);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Kills the program unless it has ended; whether it had, and with success.
fn killed_or_done(mut program: Child) -> bool {
    program.kill().unwrap();
    program.wait().unwrap().success()
}

/// What must be in a repository.
#[derive(Default)]
struct Saved {
    /// By seed, the number of the last tree that was acknowledged, or of the one that was found instead.
    trees: BTreeMap<u32, u32>,
    /// Labels of the program.
    labels: BTreeSet<String>,
}

impl Saved {
    /// Looks whether all of it is there; from then on, what was found is expected.
    fn check(&mut self, repository: &Repository) {
        for (seed, number) in &mut self.trees {
            let snapshot = repository.resolve(&format!("s{seed}")).unwrap();
            let found = files(repository, &snapshot).unwrap();
            let later: u32 = String::from_utf8_lossy(&found["number"]).parse().unwrap();
            assert!(later >= *number, "tree {number} of saver {seed} went back to {later}");
            assert!(found == numbered_tree(*seed, later), "tree {later} of saver {seed}");
            *number = later;
        }
        for label in &self.labels {
            files(repository, &repository.resolve(label).unwrap()).unwrap();
        }
    }
}

#[test]
fn what_killed_savers_acknowledged_stays_while_collectors_are_killed_too() {
    let program_tree = tempfile::tempdir().unwrap();
    let (mut saved_trees, mut collections, mut removed) = (0_u64, 0_u32, 0_usize);
    for first in (0..REPOSITORY_ROUNDS).step_by(ROUNDS_EACH as usize) {
        let kind = match (first / ROUNDS_EACH) % 2 {
            0 => StoreKind::Files,
            _ => StoreKind::Segments,
        };
        let dir = fast_dir();
        drop(Repository::init(dir.path(), HashKind::Sha256, kind).unwrap());
        let mut saved = Saved::default();
        for round in first..first + ROUNDS_EACH {
            fs::write(program_tree.path().join("file"), round.to_string()).unwrap();
            let seeds = (1..=SAVERS).map(|nth| round * SAVERS + nth);
            let savers: Vec<(u32, Child)> =
                seeds.map(|seed| (seed, user(dir.path(), &["save", &seed.to_string()]))).collect();
            let label = format!("p{round}");
            let saving = saving_program(dir.path(), program_tree.path(), &label);
            let collecting = user(dir.path(), &["collect"]);
            // From the first steps of opening on.
            thread::sleep(Duration::from_micros(u64::from(round) * 7919 % 60_000));
            collections += killed(collecting);
            for (seed, saver) in savers {
                if let Some(last) = killed(saver).checked_sub(1) {
                    saved.trees.insert(seed, last);
                    saved_trees += u64::from(last) + 1;
                }
            }
            if killed_or_done(saving) {
                saved.labels.insert(label);
            }
            let repository = Repository::open(dir.path()).unwrap();
            saved.check(&repository);
            if round % 5 == 4 {
                let checked = repository.fsck(Fsck::default(), &mut |_| {}).unwrap();
                assert!(checked.is_clean(), "round {round} in {kind}: {checked:?}");
            }
            // What is dropped is kept by nothing but its age.
            let is_old = |seed: &u32| *seed <= round.saturating_sub(LABELLED_ROUNDS) * SAVERS;
            for (seed, _) in saved.trees.extract_if(.., |seed, _| is_old(seed)) {
                repository.delete_label(&format!("s{seed}").parse().unwrap()).unwrap();
            }
            if round % ROUNDS_EACH == ROUNDS_EACH / 2 {
                let how = Collect { grace_secs: 0, dry_run: false };
                let collected = repository.collect(&how, &mut |_| {}).unwrap();
                removed += usize::try_from(collected.swept.removed).unwrap();
                saved.check(&repository);
            }
        }
        let repository = Repository::open(dir.path()).unwrap();
        saved.check(&repository);
    }
    println!(
        "{REPOSITORY_ROUNDS} rounds of {SAVERS} savers, the program saving, and a collector: {saved_trees} trees acknowledged, \
         {collections} collections done before they were killed, {removed} objects removed by those in between"
    );
    // A machine on which nobody came to do anything has shown nothing.
    assert!(saved_trees > u64::from(REPOSITORY_ROUNDS), "{saved_trees} trees were acknowledged");
    // Most collections are killed long before their end; those in between are not.
    assert!(removed > 1000, "{removed} objects were removed");
}
