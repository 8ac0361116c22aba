// SPDX-License-Identifier: MIT
//! What a tree of snapshots gives back when it is pruned, by an allocator that counts.

use cascow_benches::memory::{Counting, live};
use cascow_core::snapshot::{Edit, SnapshotId, SnapshotTree};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What a tree of a snapshot or two may hold, of the megabytes that it had: some pages of slots, a count for each page there was.
const LEFT_OVER: usize = 128 << 10;

fn fork(tree: &mut SnapshotTree, parent: SnapshotId, number: u64, value: &[u8]) -> SnapshotId {
    tree.fork(parent, [Edit::write(&number.to_le_bytes(), value)]).unwrap()
}

/// Bytes that a tree holds after some work on it, which is given its first snapshot.
fn held(work: impl FnOnce(&mut SnapshotTree, SnapshotId)) -> usize {
    let (_tree, bytes) = live(|| {
        let mut tree = SnapshotTree::new();
        let base = tree.create([]).unwrap();
        work(&mut tree, base);
        tree
    });
    bytes
}

fn import(tree: &mut SnapshotTree, parent: SnapshotId, keys: u32) -> SnapshotId {
    let keys: Vec<[u8; 4]> = (0..keys).map(u32::to_le_bytes).collect();
    tree.fork(parent, keys.iter().map(|key| Edit::write(key, b"x"))).unwrap()
}

/// One test, since the counter is one and tests run at once.
#[test]
fn pruning_gives_all_memory_back() {
    // Each fork gone before the next, each with a key of its own, some with a value of its own allocation.
    let bytes = held(|tree, base| {
        for number in 0..10_000_000 {
            let value = if number % 16 == 0 { &[0; 100][..] } else { &[0; 8] };
            let child = fork(tree, base, number, value);
            tree.prune(child).unwrap();
        }
    });
    assert!(bytes < LEFT_OVER, "{bytes} bytes after 10 million forks and prunes");

    // The same in a page that is full but for one slot.
    let bytes = held(|tree, base| {
        (0..254).for_each(|number| _ = fork(tree, base, number, b""));
        for number in 0..1_000_000 {
            let child = fork(tree, base, number, b"");
            tree.prune(child).unwrap();
        }
    });
    assert!(bytes < LEFT_OVER, "{bytes} bytes in a page that is nearly full");

    // A path with checkpoints, a fan from its oldest and from its newest leaf, a random tree.
    for shape in 0..4u64 {
        let bytes = held(|tree, base| {
            let top = tree.fork(base, []).unwrap();
            let mut ids = vec![top];
            for number in 0..200_000u64 {
                let parent = match shape {
                    0 => *ids.last().unwrap(),
                    1 | 2 => top,
                    _ => ids[usize::try_from(number * 7919 % ids.len() as u64).unwrap()],
                };
                ids.push(fork(tree, parent, number % 1000, &number.to_le_bytes()));
            }
            match shape {
                1 => ids.drain(1..).for_each(|leaf| _ = tree.prune(leaf).unwrap()),
                2 => ids.drain(1..).rev().for_each(|leaf| _ = tree.prune(leaf).unwrap()),
                _ => {}
            }
            tree.prune(top).unwrap();
        });
        assert!(bytes < LEFT_OVER, "{bytes} bytes after a tree of shape {shape}");
    }

    // A million keys.
    let bytes = held(|tree, base| {
        let import = import(tree, base, 1_000_000);
        tree.prune(import).unwrap();
    });
    assert!(bytes < LEFT_OVER, "{bytes} bytes after a million keys");

    // Checkpoints below a long delta are paid for by the snapshots below them, not by the delta.
    let above = |tree: &mut SnapshotTree, base| {
        let import = import(tree, base, 100_000);
        (2..16).fold(import, |at, _| tree.fork(at, []).unwrap())
    };
    let bytes = held(|tree, base| _ = above(tree, base));
    let more = held(|tree, base| {
        let at = above(tree, base);
        for branch in 0..300 {
            (0..6).fold(at, |at, _| fork(tree, at, branch, &[7; 32]));
        }
    });
    assert!((more - bytes) / 1800 < 200, "{} bytes a snapshot", (more - bytes) / 1800);
}
