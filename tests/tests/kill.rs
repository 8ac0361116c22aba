// SPDX-License-Identifier: MIT
//! Several processes write into one store of segments and are killed at any moment: all that they acknowledged is there.

use std::fs;
use std::io::{BufRead, BufReader};
use std::ops::Range;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use cascow_core::hash::HashKind;
use cascow_core::store::{ObjectStore, StoreError};
use cascow_native::store::{Durability, SegmentStore};
use cascow_tests::object;

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
