// SPDX-License-Identifier: MIT
//! Forking a state and changing one key, reading a key, and the memory of a million forks, beside the persistent maps that people
//! fork states with today.

use std::hint::black_box;

use cascow_benches::measure::{Contestant, kept, repeated, timed};
use cascow_benches::memory::live;
use cascow_benches::report::{Duel, Report, Row, Target, Unit};
use cascow_core::snapshot::{Cursor, Edit, SnapshotId, SnapshotTree};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use rpds::HashTrieMapSync;

use crate::Entry;

const SIZES: [u64; 3] = [64, 1024, 65_536];
const VERSIONS: u32 = 1_000_000;

/// Snapshots above the one that is read without a cursor.
const DEEP: u32 = 10_000;

type OrdMap = imbl::OrdMap<u64, [u8; 32]>;
type HashMap = imbl::HashMap<u64, [u8; 32]>;
type TrieMap = HashTrieMapSync<u64, [u8; 32]>;

pub(crate) fn run(report: &mut Report) {
    for keys in SIZES {
        let entries = crate::entries(keys);
        fork(report, &entries);
        read(report, &entries);
    }
    memory(report);
}

fn fork(report: &mut Report, entries: &[Entry]) {
    let keys = entries.len();
    let duel = |then, peer, at_least| Duel {
        work: format!(
            "fork a state of {keys} keys and change one (8-byte keys, 32-byte values), each fork {then}"
        ),
        peer,
        unit: Unit::Time,
        at_least,
    };
    let (ord, hash, trie) = (
        "imbl 7 OrdMap, clone + insert",
        "imbl 7 HashMap, clone + insert",
        "rpds 1 HashTrieMapSync, insert",
    );
    let then = "dropped at once";
    let ours = || pruned_forks(entries);
    report.duel(&duel(then, ord, Some(4.0)), ours(), repeated(forks::<OrdMap>(entries)));
    report.duel(&duel(then, hash, None), ours(), repeated(forks::<HashMap>(entries)));
    report.duel(&duel(then, trie, None), ours(), repeated(forks::<TrieMap>(entries)));
    // As a search keeps them: new memory each time.
    let then = "kept";
    let ours = || kept_forks(entries);
    report.duel(&duel(then, ord, Some(4.0)), ours(), kept(forks::<OrdMap>(entries)));
    report.duel(&duel(then, hash, None), ours(), kept(forks::<HashMap>(entries)));
    report.duel(&duel(then, trie, None), ours(), kept(forks::<TrieMap>(entries)));
}

fn read(report: &mut Report, entries: &[Entry]) {
    let keys = entries.len();
    let duel = |how, peer, at_least| Duel {
        work: format!("read a key of a state of {keys} keys, keys in no order, {how}"),
        peer,
        unit: Unit::Time,
        at_least,
    };
    let (ord, hash, trie) = ("imbl 7 OrdMap", "imbl 7 HashMap", "rpds 1 HashTrieMapSync");
    let how = "through a cursor";
    let ours = || cursor_reads(entries);
    report.duel(&duel(how, ord, None), ours(), reads::<OrdMap>(entries));
    report.duel(&duel(how, hash, Some(1.0)), ours(), reads::<HashMap>(entries));
    report.duel(&duel(how, trie, None), ours(), reads::<TrieMap>(entries));
    let how = "of any snapshot from 9,000 to 10,000 levels deep, without a cursor";
    report.duel(&duel(how, hash, Some(0.25)), deep_reads(entries), reads::<HashMap>(entries));
}

fn memory(report: &mut Report) {
    let entries = crate::entries(1024);
    let peers = [
        ("imbl 7 OrdMap", bytes_a_version::<OrdMap>(&entries)),
        ("imbl 7 HashMap", bytes_a_version::<HashMap>(&entries)),
        ("rpds 1 HashTrieMapSync", bytes_a_version::<TrieMap>(&entries)),
    ];
    let (_, ord) = peers[0];
    let header = bytes_a_snapshot(&entries, Shape::Fan, false);
    for (shape, name) in [
        (Shape::Fan, "all forked from one"),
        (Shape::Path, "each from the one before"),
        (Shape::Random, "each from any before"),
    ] {
        let bytes = bytes_a_snapshot(&entries, shape, true);
        // An 8-byte key and a 32-byte value, however they are kept.
        let beside = bytes - 40.0;
        report.row(Row {
            work: format!(
                "memory of a snapshot with one changed key of 1,024, one million of them, {name}"
            ),
            cascow: format!("{bytes:.1} B, that is {beside:.1} B beside key and value"),
            target: Some(Target::at_most(beside, 64.0, "≤ 64 B beside key and value")),
            ..Row::default()
        });
        report.row(Row {
            work: "the same beside its peers".into(),
            cascow: format!("{bytes:.1} B"),
            peer: peers.map(|(name, bytes)| format!("{bytes:.0} B ({name})")).join(", "),
            ratio: format!("{:.1}", ord / bytes),
            target: Some(Target::at_least(ord / bytes, 5.0, "≤ a fifth of OrdMap's")),
            ..Row::default()
        });
    }
    report.row(Row {
        work: "of these, a snapshot without any change, all forked from one: the header".into(),
        cascow: format!("{header:.1} B, with room for a value of up to 32 bytes"),
        ..Row::default()
    });
}

/// A tree with one snapshot that holds the entries.
fn tree(entries: &[Entry]) -> (SnapshotTree, SnapshotId) {
    let entries: Vec<([u8; 8], [u8; 32])> =
        entries.iter().map(|(key, value)| (key.to_le_bytes(), *value)).collect();
    let mut tree = SnapshotTree::new();
    let edits = entries.iter().map(|(key, value)| Edit::write(key, value));
    let base = tree.create(edits).expect("a new tree has room");
    (tree, base)
}

#[inline]
fn fork_one(tree: &mut SnapshotTree, parent: SnapshotId, (key, value): &Entry) -> SnapshotId {
    tree.fork(parent, [Edit::write(&key.to_le_bytes(), value)]).expect("the tree has room")
}

/// Forks of one snapshot, each pruned before the next.
fn pruned_forks(entries: &[Entry]) -> Contestant<'_> {
    let (mut tree, base) = tree(entries);
    let mut keys = keys(entries);
    repeated(move || {
        let fork = fork_one(&mut tree, base, keys.next_changed());
        tree.prune(fork)
    })
}

/// Forks of one snapshot, pruned when the clock has stopped.
fn kept_forks(entries: &[Entry]) -> Contestant<'_> {
    let (mut tree, base) = tree(entries);
    let mut keys = keys(entries);
    Box::new(move |times| {
        let mut forks = Vec::with_capacity(usize::try_from(times).unwrap_or(0));
        let time = timed(|| {
            let fork = |_| fork_one(&mut tree, base, keys.next_changed());
            forks.extend((0..times).map(fork));
        });
        forks.into_iter().for_each(|fork| _ = tree.prune(fork));
        time
    })
}

fn cursor_reads(entries: &[Entry]) -> Contestant<'_> {
    let (tree, base) = tree(entries);
    let cursor = Cursor::at(&tree, base).expect("it is there");
    let mut keys = keys(entries);
    repeated(move || {
        let key = black_box(keys.next_changed().0).to_le_bytes();
        cursor.get(&tree, &key).map(|value| value.is_some())
    })
}

/// Reads of the last thousand snapshots of a path on which each changed one key.
fn deep_reads(entries: &[Entry]) -> Contestant<'_> {
    let (mut tree, mut at) = tree(entries);
    let mut keys = keys(entries);
    let mut path = Vec::new();
    for _ in 0..DEEP {
        at = fork_one(&mut tree, at, keys.next_changed());
        path.push(at);
    }
    path.drain(..path.len() - 1000);
    let mut number = 0;
    repeated(move || {
        // A step that is prime to the number of snapshots: in no order, and none left out.
        number = (number + 389) % path.len();
        let key = black_box(keys.next_changed().0).to_le_bytes();
        tree.get(path[number], &key).map(|value| value.is_some())
    })
}

#[derive(Clone, Copy)]
enum Shape {
    Fan,
    Path,
    Random,
}

/// Bytes that a snapshot adds to a tree.
fn bytes_a_snapshot(entries: &[Entry], shape: Shape, with_change: bool) -> f64 {
    let (mut tree, base) = tree(entries);
    let mut keys = keys(entries);
    let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
    // What the benchmark itself remembers has its memory before the count begins.
    let mut ids = Vec::with_capacity(VERSIONS as usize + 1);
    ids.push(base);
    let ((), bytes) = live(|| {
        for _ in 0..VERSIONS {
            let parent = match shape {
                Shape::Fan => base,
                Shape::Path => ids[ids.len() - 1],
                Shape::Random => {
                    let at = random.next_u64() % ids.len() as u64;
                    ids[usize::try_from(at).unwrap_or(0)]
                }
            };
            ids.push(if with_change {
                fork_one(&mut tree, parent, keys.next_changed())
            } else {
                tree.fork(parent, []).expect("the tree has room")
            });
        }
    });
    bytes as f64 / f64::from(VERSIONS)
}

/// What the peers have in common.
trait Persistent: Clone + FromIterator<Entry> {
    /// A version with one entry changed.
    fn with(&self, entry: &Entry) -> Self;
    fn value(&self, key: u64) -> Option<&[u8; 32]>;
}

impl Persistent for OrdMap {
    fn with(&self, (key, value): &Entry) -> Self {
        self.update(*key, *value)
    }

    fn value(&self, key: u64) -> Option<&[u8; 32]> {
        self.get(&key)
    }
}

impl Persistent for HashMap {
    fn with(&self, (key, value): &Entry) -> Self {
        self.update(*key, *value)
    }

    fn value(&self, key: u64) -> Option<&[u8; 32]> {
        self.get(&key)
    }
}

impl Persistent for TrieMap {
    fn with(&self, (key, value): &Entry) -> Self {
        self.insert(*key, *value)
    }

    fn value(&self, key: u64) -> Option<&[u8; 32]> {
        self.get(&key)
    }
}

/// Forks of one state, each with another key changed.
fn forks<'a, M: Persistent + 'a>(entries: &'a [Entry]) -> impl FnMut() -> M + 'a {
    let map: M = entries.iter().copied().collect();
    let mut keys = keys(entries);
    move || map.with(keys.next_changed())
}

fn reads<'a, M: Persistent + 'a>(entries: &'a [Entry]) -> Contestant<'a> {
    let map: M = entries.iter().copied().collect();
    let mut keys = keys(entries);
    repeated(move || map.value(black_box(keys.next_changed().0)).is_some())
}

/// Bytes that a fork with one changed key adds: its own nodes, and the map itself as it lies in a vector.
fn bytes_a_version<M: Persistent>(entries: &[Entry]) -> f64 {
    let map: M = entries.iter().copied().collect();
    let mut keys = keys(entries);
    let (_versions, bytes) = live(|| {
        let mut versions = Vec::with_capacity(VERSIONS as usize);
        versions.extend((0..VERSIONS).map(|_| map.with(keys.next_changed())));
        versions
    });
    bytes as f64 / f64::from(VERSIONS)
}

/// Entries to change, round and round, in an order that is not the keys'. Made before the clock runs.
struct Keys {
    changed: Vec<Entry>,
    number: usize,
}

fn keys(entries: &[Entry]) -> Keys {
    let changed = entries.iter().map(|(key, value)| (*key, value.map(|byte| !byte)));
    Keys { changed: changed.collect(), number: 0 }
}

impl Keys {
    /// The next entry's key with a value that it did not have.
    fn next_changed(&mut self) -> &Entry {
        self.number = if self.number + 1 == self.changed.len() { 0 } else { self.number + 1 };
        &self.changed[self.number]
    }
}
