// SPDX-License-Identifier: MIT
//! Gets and puts of 256 B in turn, by many threads of one process, and by several processes.
//!
//! Each worker gets objects that were there before and puts new ones, one after another, and syncs after 10,000 operations and at
//! its end. The time is by the wall, until the last worker's last object is synced. Afterwards every object that was put is
//! read back.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use cascow_benches::measure::{Spread, waited};
use cascow_benches::report::{Report, Row, Target};
use cascow_core::hash::{ContentHash, HashKind};
use cascow_core::store::ObjectStore;
use cascow_native::store::{Durability, SegmentStore};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

const KIND: HashKind = HashKind::Sha256;
const LEN: usize = 256;

/// Objects that are there before.
const HELD: usize = 100_000;

/// Operations of a worker between two syncs.
const BATCH: usize = 10_000;

/// Operations of all workers together; half of them are puts.
const OPERATIONS: usize = 800_000;

/// Odd, so that a median is one of them.
const ROUNDS: u64 = 5;

const THREADS: usize = 100;
const PROCESSES: usize = 8;

/// The word by which this program knows that it is one of the processes.
pub(crate) const CHILD: &str = "mixed-worker";

/// The objects of a seed, one after another.
struct Objects(Xoshiro256PlusPlus);

impl Objects {
    fn of(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    fn next(&mut self) -> [u8; LEN] {
        let mut object = [0; LEN];
        self.0.fill_bytes(&mut object);
        object
    }
}

/// The seed of what is there before.
const HELD_SEED: u64 = 0;

fn held_names() -> Vec<ContentHash> {
    let mut objects = Objects::of(HELD_SEED);
    (0..HELD).map(|_| KIND.hash(&objects.next())).collect()
}

fn open(dir: &Path) -> SegmentStore {
    SegmentStore::open(KIND, dir, Durability::Batch).expect("a store")
}

/// The seed of a worker in a round.
fn seed(round: u64, worker: usize) -> u64 {
    1 + round * 1000 + worker as u64
}

/// One worker of so many.
fn work(store: &SegmentStore, held: &[ContentHash], seed: u64, workers: usize) {
    let mut objects = Objects::of(seed);
    let mut choice = Xoshiro256PlusPlus::seed_from_u64(!seed);
    let operations = OPERATIONS / workers;
    for operation in 1..=operations {
        if operation % 2 == 0 {
            store.put(&objects.next()).expect("an object is stored");
        } else {
            let at = usize::try_from(choice.next_u64() % HELD as u64).expect("it is small");
            store.get(&held[at]).expect("an object is there");
        }
        if operation % BATCH == 0 {
            store.sync().expect("they are synced");
        }
    }
    store.sync().expect("they are synced");
}

/// Every object of the workers is there, and whole.
fn nothing_is_lost(store: &SegmentStore, round: u64, workers: usize) {
    for worker in 0..workers {
        let mut objects = Objects::of(seed(round, worker));
        for _ in 0..OPERATIONS / workers / 2 {
            let object = objects.next();
            let found = store.get(&KIND.hash(&object)).expect("what was put is there");
            assert!(found == object, "what was put is read");
        }
    }
}

/// What `cargo bench` is run as by [`by_processes`]: `DIR SEED WORKERS`. Says a line when it is ready, and begins at one.
pub(crate) fn child(args: &[String]) -> ExitCode {
    let [dir, seed, workers] = args else { return ExitCode::from(2) };
    let (Ok(seed), Ok(workers)) = (seed.parse(), workers.parse()) else { return ExitCode::from(2) };
    let (store, held) = (open(Path::new(dir)), held_names());
    println!("ready");
    std::io::stdin().read_line(&mut String::new()).expect("a line");
    work(&store, &held, seed, workers);
    println!("done");
    ExitCode::SUCCESS
}

/// One round by threads.
fn by_threads(dir: &Path, held: &[ContentHash], round: u64) -> Duration {
    let store = open(dir);
    let store = &store;
    let took = waited(|| {
        thread::scope(|scope| {
            for worker in 0..THREADS {
                scope.spawn(move || work(store, held, seed(round, worker), THREADS));
            }
        });
    });
    nothing_is_lost(store, round, THREADS);
    took
}

/// One round by processes: from the word to begin until the last says that it is done.
fn by_processes(dir: &Path, round: u64) -> Duration {
    let program = std::env::current_exe().expect("this program is a file");
    let children = (0..PROCESSES).map(|worker| {
        let mut child = Command::new(&program)
            .arg(CHILD)
            .arg(dir)
            .args([seed(round, worker).to_string(), PROCESSES.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let input = child.stdin.take().expect("it is piped");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        (child, input, output)
    });
    let mut children: Vec<_> = children.collect();
    for (_, _, output) in &mut children {
        let mut line = String::new();
        output.read_line(&mut line).expect("it says that it is ready");
        assert_eq!(line, "ready\n");
    }
    let took = waited(|| {
        for (_, input, _) in &mut children {
            input.write_all(b"begin\n").expect("it listens");
        }
        for (_, _, output) in &mut children {
            let mut rest = String::new();
            output.read_to_string(&mut rest).expect("it says that it is done");
            assert_eq!(rest, "done\n");
        }
    });
    for (child, _, _) in &mut children {
        assert!(child.wait().expect("it ends").success());
    }
    nothing_is_lost(&open(dir), round, PROCESSES);
    took
}

/// Operations a second, of one round each.
#[expect(clippy::cast_precision_loss, reason = "operations are far below 2^52")]
fn rates(mut round: impl FnMut(&Path, u64) -> Duration) -> Spread {
    let rate = |number| {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
        let store = open(dir.path());
        let mut objects = Objects::of(HELD_SEED);
        for _ in 0..HELD {
            store.put(&objects.next()).expect("an object is stored");
        }
        store.sync().expect("they are synced");
        drop(store);
        OPERATIONS as f64 / round(dir.path(), number).as_secs_f64()
    };
    Spread::of((0..ROUNDS).map(rate).collect())
}

pub(crate) fn run(report: &mut Report) {
    let held = held_names();
    let threads = rates(|dir, number| by_threads(dir, &held, number));
    let processes = rates(by_processes);
    for (by, rates) in [("100 threads of one process", threads), ("8 processes", processes)] {
        report.row(Row {
            work: format!(
                "get and put objects of 256 B in turn, {by}, by the wall; all that was put was read back afterwards"
            ),
            cascow: format!("{:.0}k/s", rates.median / 1e3),
            spread: format!("{:.0}k/s–{:.0}k/s", rates.low / 1e3, rates.high / 1e3),
            target: Some(Target::at_least(rates.median, 3e5, "≥ 300k/s")),
            ..Row::default()
        });
    }
}
