// SPDX-License-Identifier: MIT
//! Cursors, pruning and deep trees against a whole map for each snapshot, over long random histories.
#![cfg(feature = "alloc")]

use std::collections::BTreeMap;

use cascow_core::hash::HashKind;
use cascow_core::snapshot::{Cursor, Edit, SnapshotId, SnapshotTree, State, TreeError, ValueRef};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

type Map = BTreeMap<Vec<u8>, (Vec<u8>, Vec<u8>)>;
type Changes = Vec<(Vec<u8>, Option<(Vec<u8>, Vec<u8>)>)>;

const KINDS: &[HashKind] = &[
    #[cfg(feature = "sha256")]
    HashKind::Sha256,
    #[cfg(feature = "blake3")]
    HashKind::Blake3,
];

struct Dice(Xoshiro256PlusPlus);

impl Dice {
    fn seeded(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    /// Below `bound`.
    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.0.next_u64() % bound as u64).unwrap()
    }

    /// Keys of 0 to 40 bytes: inside a slot and beyond it.
    fn key(&mut self, keys: usize) -> Vec<u8> {
        let n = self.below(keys);
        [n.to_string().into_bytes(), vec![b'k'; [0, 4, 16, 36][n % 4]]].concat()
    }

    /// Values of 0 to 100 bytes, some with a note.
    fn value(&mut self) -> (Vec<u8>, Vec<u8>) {
        let len = [0, 1, 8, 31, 32, 33, 100][self.below(7)];
        let mut bytes = vec![0; len];
        self.0.fill_bytes(&mut bytes);
        let note = if self.below(5) == 0 { bytes.iter().rev().copied().collect() } else { vec![] };
        (bytes, note)
    }

    fn changes(&mut self, keys: usize, most: usize) -> Changes {
        (0..self.below(most + 1))
            .map(|_| (self.key(keys), if self.below(4) == 0 { None } else { Some(self.value()) }))
            .collect()
    }
}

fn edits(changes: &Changes) -> impl Iterator<Item = Edit<'_>> {
    changes.iter().map(|(key, value)| Edit {
        key,
        value: value.as_ref().map(|(bytes, note)| ValueRef { bytes, note }),
    })
}

fn apply(map: &Map, changes: &Changes) -> Map {
    let mut map = map.clone();
    for (key, value) in changes {
        match value {
            Some(value) => map.insert(key.clone(), value.clone()),
            None => map.remove(key),
        };
    }
    map
}

fn entries<'a>(entries: impl Iterator<Item = (&'a [u8], ValueRef<'a>)>) -> Map {
    let entries: Vec<_> = entries.collect();
    assert!(entries.is_sorted_by(|a, b| a.0 < b.0), "keys ascend strictly");
    entries
        .into_iter()
        .map(|(key, value)| (key.to_vec(), (value.bytes.to_vec(), value.note.to_vec())))
        .collect()
}

fn owned(value: Option<ValueRef<'_>>) -> Option<(Vec<u8>, Vec<u8>)> {
    value.map(|value| (value.bytes.to_vec(), value.note.to_vec()))
}

struct Model {
    parent: Option<SnapshotId>,
    map: Map,
}

/// What a long history is made of.
struct Shape {
    steps: usize,
    keys: usize,
    changes: usize,
    /// Of 100 forks, how many go on from the newest snapshot: the more, the deeper the tree.
    deepen: usize,
    /// Of 1,000 steps, how many prune.
    prune: usize,
}

fn run(seed: u64, shape: &Shape) {
    let mut dice = Dice::seeded(seed);
    let mut tree = SnapshotTree::new();
    let mut live: BTreeMap<SnapshotId, Model> = BTreeMap::new();
    let mut gone: Vec<SnapshotId> = Vec::new();
    let mut newest = None;
    let mut cursors: Vec<Cursor> = Vec::new();

    for step in 0..shape.steps {
        let pick = |dice: &mut Dice, live: &BTreeMap<SnapshotId, Model>| {
            let at = dice.below(live.len());
            *live.keys().nth(at).unwrap()
        };
        if live.is_empty() || dice.below(200) == 0 {
            let changes = dice.changes(shape.keys, 2 * shape.keys);
            let id = tree.create(edits(&changes)).unwrap();
            live.insert(id, Model { parent: None, map: apply(&Map::new(), &changes) });
            newest = Some(id);
        } else if dice.below(1000) < shape.prune {
            let root = pick(&mut dice, &live);
            let mut subtree = vec![root];
            // Any order of children will do, but each must come after its parent.
            let mut at = 0;
            while let Some(parent) = subtree.get(at).copied() {
                subtree.extend(
                    live.iter().filter(|(_, m)| m.parent == Some(parent)).map(|(id, _)| *id),
                );
                at += 1;
            }
            assert_eq!(tree.prune(root), Ok(subtree.len()), "seed {seed}, step {step}");
            for id in subtree {
                live.remove(&id);
                gone.push(id);
            }
            newest = newest.filter(|id| live.contains_key(id));
        } else {
            let parent = match newest {
                Some(newest) if dice.below(100) < shape.deepen => newest,
                _ => pick(&mut dice, &live),
            };
            let changes = dice.changes(shape.keys, shape.changes);
            let id = tree.fork(parent, edits(&changes)).unwrap();
            let map = apply(&live[&parent].map, &changes);
            assert!(live.insert(id, Model { parent: Some(parent), map }).is_none());
            newest = Some(id);
        }
        assert_eq!(tree.len(), live.len());
        if live.is_empty() {
            continue;
        }

        // Reads without a cursor, and with cursors that moved anywhere, some from a snapshot that is gone.
        let id = pick(&mut dice, &live);
        if cursors.len() < 3 {
            cursors.push(Cursor::at(&tree, id).unwrap());
        }
        let at = dice.below(cursors.len());
        let cursor = &mut cursors[at];
        match live.get(&cursor.snapshot()) {
            Some(model) => {
                let key = dice.key(shape.keys + 1);
                let found = cursor.get(&tree, &key).unwrap();
                assert_eq!(owned(found), model.map.get(&key).cloned(), "seed {seed}, step {step}");
            }
            None => {
                let unknown = TreeError::Unknown { id: cursor.snapshot() };
                assert_eq!(cursor.get(&tree, b"0"), Err(unknown));
                assert_eq!(cursor.iter(&tree).map(Iterator::count), Err(unknown));
                assert_eq!(cursor.trie(&tree, KINDS[0]).map(|trie| trie.root()), Err(unknown));
            }
        }
        cursor.move_to(&tree, id).unwrap();
        let model = &live[&id];
        for _ in 0..4 {
            let key = dice.key(shape.keys + 1);
            let expected = model.map.get(&key).cloned();
            let found = tree.get(id, &key).unwrap();
            assert_eq!(owned(found), expected, "seed {seed}, step {step}");
            let found = cursor.get(&tree, &key).unwrap();
            assert_eq!(owned(found), expected, "seed {seed}, step {step}");
        }
        if step % 8 == 0 {
            let kind = KINDS[usize::from(step % 1024 == 512) % KINDS.len()];
            let whole: State = model.map.iter().map(|(k, (v, _))| (&k[..], &v[..])).collect();
            let trie = cursor.trie(&tree, kind).unwrap();
            assert_eq!(trie.root(), whole.root(kind), "seed {seed}, step {step}");
            // Any two keys, present or not: the proofs are those of the flat trie.
            let flat = whole.trie(kind);
            let mut keys = [dice.key(shape.keys + 1), dice.key(shape.keys + 1)].to_vec();
            keys.dedup();
            let claims: Vec<_> = keys
                .iter()
                .map(|key| (&key[..], model.map.get(key).map(|(value, _)| &value[..])))
                .collect();
            let (key, value) = claims[0];
            assert_eq!(trie.prove(key, value), flat.prove(key, value));
            assert!(trie.prove(key, Some(b"another value")).is_err());
            let many = trie.prove_many(claims.iter().copied());
            assert_eq!(many, flat.prove_many(claims.iter().copied()));
            assert!(many.is_ok(), "seed {seed}, step {step}");
        }
        if step % 64 == 0 {
            assert_eq!(entries(tree.iter(id).unwrap()), model.map, "seed {seed}, step {step}");
            assert_eq!(entries(cursor.iter(&tree).unwrap()), model.map, "seed {seed}");
            assert_eq!(tree.parent(id), Ok(model.parent));
        }
        if let Some(gone) = gone.last() {
            let unknown = TreeError::Unknown { id: *gone };
            assert_eq!(tree.get(*gone, b"0"), Err(unknown));
            assert_eq!(tree.prune(*gone), Err(unknown));
            let stands_on = cursor.snapshot();
            assert_eq!(cursor.move_to(&tree, *gone), Err(unknown));
            assert_eq!(cursor.snapshot(), stands_on, "a cursor that cannot move stays");
        }
    }
    // Everything goes, and what comes next reads as if nothing had been.
    for id in live.into_iter().filter(|(_, model)| model.parent.is_none()).map(|(id, _)| id) {
        tree.prune(id).unwrap();
    }
    assert!(tree.is_empty());
    let id = tree.create([Edit::whiteout(b"0")]).unwrap();
    cursors[0].move_to(&tree, id).unwrap();
    assert_eq!(entries(cursors[0].iter(&tree).unwrap()), Map::new());
}

#[test]
fn bushy_trees_read_as_their_maps_while_they_are_pruned() {
    for seed in 0..if cfg!(miri) { 1 } else { 2000 } {
        run(
            seed,
            &Shape {
                steps: if cfg!(miri) { 24 } else { 60 },
                keys: 12,
                changes: 3,
                deepen: 30,
                prune: 60,
            },
        );
    }
    for seed in 2000..if cfg!(miri) { 2000 } else { 2030 } {
        run(seed, &Shape { steps: 600, keys: 12, changes: 3, deepen: 30, prune: 30 });
    }
}

#[test]
fn deep_trees_read_as_their_maps_through_checkpoints_of_every_kind() {
    // Few keys make tables of all keys at once; more, only at the larger spans; very many, never.
    let all = [3, 40, 70, 300, 1100, 5000];
    for (seed, keys) in all.into_iter().enumerate().take(if cfg!(miri) { 0 } else { 6 }) {
        let seed = 100 + seed as u64;
        run(seed, &Shape { steps: 1500, keys, changes: 1, deepen: 99, prune: 1 });
        run(seed, &Shape { steps: 700, keys, changes: 25, deepen: 97, prune: 3 });
    }
}

/// Every snapshot of a path as long as several of the largest spans, and of branches at each boundary.
#[test]
fn a_path_of_20_000_snapshots_reads_right_from_everywhere() {
    for keys in [50u32, 700, 9000] {
        let mut dice = Dice::seeded(u64::from(keys));
        let mut tree = SnapshotTree::new();
        let key = |n: u32| n.to_le_bytes();
        let root = tree.create([]).unwrap();
        // For each key, at which depths it was written.
        let mut written: Vec<Vec<u32>> = vec![Vec::new(); keys as usize];
        let mut path = vec![root];
        for depth in 1..20_000u32 {
            let n = dice.below(keys as usize);
            written[n].push(depth);
            let value = depth.to_le_bytes();
            let key = key(u32::try_from(n).unwrap());
            path.push(tree.fork(path[path.len() - 1], [Edit::write(&key, &value)]).unwrap());
        }
        for depth in 0..20_000u32 {
            let n = dice.below(keys as usize);
            let newest = written[n].iter().copied().take_while(|at| *at <= depth).last();
            let found = tree.get(path[depth as usize], &key(u32::try_from(n).unwrap())).unwrap();
            let found = found.map(|value| u32::from_le_bytes(value.bytes.try_into().unwrap()));
            assert_eq!(found, newest, "key {n} of {keys} at depth {depth}");
        }
        // A branch at each depth around a boundary sees its own changes and what stands above it.
        for depth in [15, 16, 17, 255, 256, 257, 4095, 4096, 4097, 16_383, 16_384, 16_385] {
            let mut at = path[depth];
            for length in 0..40u32 {
                let value = length.to_le_bytes();
                at = tree.fork(at, [Edit::write(b"branch", &value)]).unwrap();
            }
            assert_eq!(tree.get(at, b"branch").unwrap().unwrap().bytes, 39u32.to_le_bytes());
            for n in 0..keys.min(300) {
                assert_eq!(tree.get(at, &key(n)), tree.get(path[depth], &key(n)));
            }
        }
    }
}

#[test]
fn ten_million_forks_and_prunes_leave_a_tree_that_works() {
    let mut tree = SnapshotTree::new();
    let start = tree.create([Edit::write(b"a", &[0; 8])]).unwrap();
    let mut stale = None;
    for n in 0..10_000_000u64 {
        let bytes = n.to_le_bytes();
        // A key of its own each time: keys must go too.
        let child = tree.fork(start, [Edit::write(&bytes, &bytes)]).unwrap();
        assert_ne!(Some(child), stale, "an id does not come back");
        assert_eq!(tree.prune(child), Ok(1));
        stale = Some(child);
    }
    assert_eq!(tree.len(), 1);
    assert_eq!(tree.get(start, b"a").unwrap().unwrap().bytes, [0; 8]);
}

/// Long deltas at odd depths, above light branches around every boundary.
#[test]
fn a_long_delta_above_light_ones_is_read_from_all_that_are_below() {
    let all = [5, 1, 15, 16, 17, 31, 40, 63, 64, 65];
    for heavy in all.into_iter().take(if cfg!(miri) { 1 } else { 10 }) {
        let mut tree = SnapshotTree::new();
        let mut path = vec![tree.create([Edit::write(b"root", b"r")]).unwrap()];
        let count = if cfg!(miri) { 40 } else { 500u32 };
        let keys: Vec<[u8; 4]> = (0..count).map(u32::to_le_bytes).collect();
        for depth in 1..if cfg!(miri) { 18 } else { 600usize } {
            let parent = path[path.len() - 1];
            path.push(if depth % 97 == heavy {
                let value = depth.to_le_bytes();
                tree.fork(parent, keys.iter().map(|key| Edit::write(key, &value))).unwrap()
            } else {
                tree.fork(parent, [Edit::write(&keys[depth % 7], b"light")]).unwrap()
            });
        }
        // Of each depth a branch as well, so that checkpoints are made anew for each.
        for (depth, at) in path.into_iter().enumerate().step_by(if cfg!(miri) { 8 } else { 1 }) {
            let mut at = at;
            for _ in 0..30 {
                at = tree.fork(at, [Edit::write(b"branch", b"b")]).unwrap();
            }
            let whole = entries(tree.iter(at).unwrap());
            assert_eq!(tree.get(at, b"root").unwrap(), Some(b"r".into()));
            for key in keys.iter().step_by(if cfg!(miri) { 13 } else { 3 }) {
                let expected = whole.get(&key[..]).map(|(value, _)| &value[..]);
                let found = tree.get(at, key).unwrap().map(|value| value.bytes);
                assert_eq!(found, expected, "long at {heavy}, branch at {depth}");
            }
        }
    }
}

/// The cursor's trie forgets in which order keys came, and that others were there.
#[test]
fn a_cursors_root_forgets_the_order_of_changes_and_what_was_deleted_again() {
    let mut dice = Dice::seeded(7);
    for kind in KINDS {
        let count = if cfg!(miri) { 8 } else { 60u64 };
        let mut keys: Vec<[u8; 8]> = (0..count).map(u64::to_le_bytes).collect();
        let whole: State = keys.iter().map(|key| (&key[..], &key[..])).collect();
        let mut tree = SnapshotTree::new();
        for _ in 0..if cfg!(miri) { 1 } else { 100 } {
            for at in (1..keys.len()).rev() {
                keys.swap(at, dice.below(at + 1));
            }
            let mut at = tree.create([]).unwrap();
            let mut cursor = Cursor::at(&tree, at).unwrap();
            for key in &keys {
                let detour = dice.key(1000);
                at = tree
                    .fork(at, [Edit::write(&detour, b"detour"), Edit::write(key, key)])
                    .unwrap();
                cursor.move_to(&tree, at).unwrap();
                if dice.below(4) == 0 {
                    _ = cursor.trie(&tree, *kind).unwrap().root();
                }
                at = tree.fork(at, [Edit::whiteout(&detour)]).unwrap();
                if dice.below(4) == 0 {
                    at = tree.fork(at, [Edit::whiteout(key)]).unwrap();
                    cursor.move_to(&tree, at).unwrap();
                    _ = cursor.trie(&tree, *kind).unwrap().root();
                    at = tree.fork(at, [Edit::write(key, key)]).unwrap();
                }
            }
            cursor.move_to(&tree, at).unwrap();
            assert_eq!(cursor.trie(&tree, *kind).unwrap().root(), whole.root(*kind));
        }
    }
}

#[test]
fn a_cursor_refuses_every_tree_but_its_own() {
    let mut tree = SnapshotTree::new();
    let id = tree.create([Edit::write(b"a", b"1"), Edit::write(b"b", b"2")]).unwrap();
    let mut cursor = Cursor::at(&tree, id).unwrap();
    let mut other = tree.clone();
    other.prune(id).unwrap();
    for foreign in [&other, &SnapshotTree::new(), &tree.clone()] {
        assert_eq!(cursor.get(foreign, b"a"), Err(TreeError::Foreign));
        assert_eq!(cursor.iter(foreign).map(Iterator::count), Err(TreeError::Foreign));
        assert_eq!(cursor.move_to(foreign, id), Err(TreeError::Foreign));
        let trie = cursor.trie(foreign, KINDS[0]).map(|trie| trie.root());
        assert_eq!(trie, Err(TreeError::Foreign));
    }
    assert_eq!(cursor.get(&tree, b"a"), Ok(Some(b"1".into())), "its own is as it was");
}

#[test]
fn of_two_changes_to_a_key_in_one_delta_the_last_counts() {
    let mut tree = SnapshotTree::new();
    let twice = [Edit::write(b"k", b"1"), Edit::whiteout(b"other"), Edit::write(b"k", b"2")];
    let id = tree.create(twice).unwrap();
    assert_eq!(tree.get(id, b"k").unwrap(), Some(b"2".into()));
    let id = tree.fork(id, [Edit::write(b"k", b"3"), Edit::whiteout(b"k")]).unwrap();
    assert_eq!(tree.get(id, b"k").unwrap(), None);
    assert_eq!(tree.prune(id), Ok(1));
    assert_eq!(tree.depth(id), Err(TreeError::Unknown { id }));
}

#[test]
fn a_tree_is_read_by_many_threads_at_once() {
    let mut tree = SnapshotTree::new();
    let mut path = vec![tree.create([]).unwrap()];
    for n in 0..2000u32 {
        let (key, value) = ((n % 97).to_le_bytes(), n.to_le_bytes());
        path.push(tree.fork(path[path.len() - 1], [Edit::write(&key, &value)]).unwrap());
    }
    let (tree, path) = (&tree, &path);
    let sums: Vec<u64> = std::thread::scope(|scope| {
        let read = |_| {
            scope.spawn(move || {
                let mut cursor = Cursor::at(tree, path[0]).unwrap();
                let mut sum = 0u64;
                for id in path.iter().rev().step_by(7) {
                    cursor.move_to(tree, *id).unwrap();
                    for key in 0..97u32 {
                        let found = cursor.get(tree, &key.to_le_bytes()).unwrap();
                        assert_eq!(found, tree.get(*id, &key.to_le_bytes()).unwrap());
                        sum += found.map_or(0, |value| u64::from(value.bytes[0]));
                    }
                }
                sum
            })
        };
        let threads: Vec<_> = (0..4).map(read).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(sums.iter().all(|sum| *sum == sums[0] && *sum > 0));
}

#[test]
fn trees_and_cursors_go_between_threads() {
    fn moves_and_is_shared<T: Send + Sync>() {}
    moves_and_is_shared::<SnapshotTree>();
    moves_and_is_shared::<Cursor>();
}
