// SPDX-License-Identifier: MIT
//! What only a tree of snapshots does: moving a cursor through it, and telling two snapshots apart.

use std::hint::black_box;

use cascow_benches::measure::{alone, repeated, singles};
use cascow_benches::report::{Report, Row, Target};
use cascow_core::snapshot::{Cursor, Edit, SnapshotId, SnapshotTree};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

/// Snapshots of the tree that a cursor moves in.
const SNAPSHOTS: usize = 100_000;
const MOVES: u32 = 50_000;

pub(crate) fn run(report: &mut Report) {
    for keys in [1024, 65_536] {
        moves(report, keys);
    }
    for keys in [1000, 1_000_000] {
        diff(report, keys);
    }
}

/// A tree in which each snapshot is forked from any before it, with one key changed.
fn random_tree(keys: u64) -> (SnapshotTree, Vec<SnapshotId>) {
    let (mut tree, base) = state(keys);
    let mut random = Xoshiro256PlusPlus::seed_from_u64(keys);
    let mut ids = vec![base];
    while ids.len() < SNAPSHOTS {
        let parent = any(&mut random, &ids);
        ids.push(change(&mut tree, parent, random.next_u64() % keys, random.next_u64()));
    }
    (tree, ids)
}

fn moves(report: &mut Report, keys: u64) {
    let (mut tree, ids) = random_tree(keys);
    let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
    let pairs: Vec<[SnapshotId; 2]> = (0..1000)
        .map(|_| {
            let parent = any(&mut random, &ids);
            [1, 2].map(|value| change(&mut tree, parent, random.next_u64() % keys, value))
        })
        .collect();
    let mut cursor = Cursor::at(&tree, ids[0]).expect("it is there");
    // To and fro between two siblings some times, then to another pair, which is not timed.
    let mut figures = (0u32, [0.0f64; 2]);
    for pair in &pairs {
        cursor.move_to(&tree, pair[0]).expect("it is there");
        let figure = singles(100, |number| cursor.move_to(&tree, pair[number as usize % 2]));
        figures.0 += 1;
        figures.1 = [figures.1[0] + figure.p50, figures.1[1] + figure.p95];
    }
    let [p50, p95] = figures.1.map(|sum| sum / f64::from(figures.0));
    report.row(Row {
        work: format!(
            "move a cursor between two siblings, in a tree of {SNAPSHOTS} snapshots of {keys} keys \
             (mean of 1,000 pairs' percentiles)"
        ),
        cascow: format!("p50 {p50:.0} ns, p95 {p95:.0} ns"),
        target: Some(Target::at_most(p95, 250.0, "p95 ≤ 250 ns")),
        ..Row::default()
    });

    let targets: Vec<SnapshotId> = (0..MOVES).map(|_| any(&mut random, &ids)).collect();
    let levels = targets.windows(2).map(|pair| f64::from(distance(&tree, pair[0], pair[1])));
    let mean = levels.sum::<f64>() / f64::from(MOVES - 1);
    let figure = singles(MOVES, |number| cursor.move_to(&tree, targets[number as usize]));
    report.row(Row {
        work: format!(
            "move a cursor between two random snapshots of the same tree, {mean:.1} levels apart on average"
        ),
        cascow: format!("p50 {:.0} ns, p95 {:.0} ns", figure.p50, figure.p95),
        ..Row::default()
    });
}

/// Deltas on the way from one snapshot to the other.
fn distance(tree: &SnapshotTree, a: SnapshotId, b: SnapshotId) -> u32 {
    let depth = |id| tree.depth(id).expect("it is there");
    let base = tree.common_ancestor(a, b).expect("one root");
    depth(a) + depth(b) - 2 * depth(base)
}

fn diff(report: &mut Report, keys: u64) {
    let (mut tree, base) = state(keys);
    let [mut a, mut b] = [base; 2];
    for number in 0..5 {
        a = change(&mut tree, a, number * 7919 % keys, 1);
        b = change(&mut tree, b, (number * 104_729 + 50) % keys, 2);
    }
    let changes = tree.diff(a, b).expect("related").len();
    assert_eq!(changes, 10, "the work is what it says");
    let time = alone(repeated(|| tree.diff(black_box(a), black_box(b))));
    report.time(
        format!("diff of two snapshots 10 changes apart, in a state of {keys} keys"),
        &time,
        Some(20_000.0),
    );
}

/// A tree with one snapshot of so many keys.
fn state(keys: u64) -> (SnapshotTree, SnapshotId) {
    let keys: Vec<[u8; 8]> = (0..keys).map(u64::to_le_bytes).collect();
    let mut tree = SnapshotTree::new();
    let base = tree.create(keys.iter().map(|key| Edit::write(key, &[0; 32])));
    (tree, base.expect("a new tree has room"))
}

fn change(tree: &mut SnapshotTree, parent: SnapshotId, key: u64, value: u64) -> SnapshotId {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&value.to_le_bytes());
    tree.fork(parent, [Edit::write(&key.to_le_bytes(), &bytes)]).expect("the tree has room")
}

fn any(random: &mut Xoshiro256PlusPlus, ids: &[SnapshotId]) -> SnapshotId {
    ids[usize::try_from(random.next_u64() % ids.len() as u64).unwrap_or(0)]
}
