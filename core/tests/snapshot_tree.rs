// SPDX-License-Identifier: MIT
//! The snapshot tree against a whole map for each snapshot: reading, iterating, diffing, merging.
#![cfg(all(feature = "alloc", feature = "sha256", feature = "blake3"))]

use std::collections::{BTreeMap, BTreeSet};

use cascow_core::hash::HashKind;
use cascow_core::snapshot::merge::{Conflict, ConflictKind, Policy, merge};
use cascow_core::snapshot::{
    Change, ChangeKind, Delta, SnapshotId, SnapshotTree, State, TreeError, Value, ValueRef,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

/// A state as the model holds it. Few keys and values, so that histories meet often.
type Map = BTreeMap<u8, u8>;

/// Changes in the order they are recorded; `None` is a whiteout, also of what is not there.
type Changes = Vec<(u8, Option<u8>)>;

#[derive(Clone, Debug)]
enum Step {
    Create(Changes),
    Fork(Index, Changes),
}

fn changes() -> impl Strategy<Value = Changes> {
    vec((0..10u8, prop::option::weighted(0.7, 0..4u8)), 0..6)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        1 => changes().prop_map(Step::Create),
        9 => (any::<Index>(), changes()).prop_map(|(parent, changes)| Step::Fork(parent, changes)),
    ];
    vec(step, 1..24)
}

fn delta(changes: &Changes) -> Delta {
    let mut delta = Delta::new();
    for (key, value) in changes {
        match value {
            Some(value) => delta.write([*key], [*value]),
            None => delta.whiteout([*key]),
        };
    }
    delta
}

/// The tree, and of each snapshot its id, its parent and its whole map.
#[derive(Default)]
struct Pair {
    tree: SnapshotTree,
    models: Vec<(SnapshotId, Option<usize>, Map)>,
}

impl Pair {
    fn run(steps: &[Step]) -> Self {
        let mut pair = Self::default();
        for step in steps {
            let (parent, changes) = match step {
                Step::Fork(at, changes) if !pair.models.is_empty() => {
                    (Some(at.index(pair.models.len())), changes)
                }
                Step::Create(changes) | Step::Fork(_, changes) => (None, changes),
            };
            let mut map = parent.map(|at| pair.models[at].2.clone()).unwrap_or_default();
            for (key, value) in changes {
                match value {
                    Some(value) => map.insert(*key, *value),
                    None => map.remove(key),
                };
            }
            let id = match parent {
                Some(at) => pair.tree.fork(pair.models[at].0, &delta(changes)),
                None => pair.tree.create(&delta(changes)),
            };
            pair.models.push((id.unwrap(), parent, map));
        }
        pair
    }

    fn ancestry(&self, at: usize) -> Vec<usize> {
        std::iter::successors(Some(at), |at| self.models[*at].1).collect()
    }

    fn common_ancestor(&self, a: usize, b: usize) -> Option<usize> {
        let of_b = self.ancestry(b);
        self.ancestry(a).into_iter().find(|ancestor| of_b.contains(ancestor))
    }

    fn pairs(&self) -> impl Iterator<Item = (usize, usize)> {
        let len = self.models.len();
        (0..len).flat_map(move |a| (0..len).map(move |b| (a, b)))
    }
}

fn model(state: &State) -> Map {
    state.iter().map(|(key, value)| (key[0], value.bytes[0])).collect()
}

fn state(map: &Map) -> State {
    map.iter().map(|(key, value)| ([*key], [*value])).collect()
}

fn naive_diff(a: &Map, b: &Map) -> Vec<Change> {
    let keys: BTreeSet<u8> = a.keys().chain(b.keys()).copied().collect();
    let change = |key: u8| {
        let kind = match (a.get(&key), b.get(&key)) {
            (None, Some(_)) => ChangeKind::Added,
            (Some(_), None) => ChangeKind::Deleted,
            (a, b) if a != b => ChangeKind::Modified,
            _ => return None,
        };
        Some(Change { key: [key].into(), kind })
    };
    keys.into_iter().filter_map(change).collect()
}

/// Three-way merge from its definition, key by key over all three.
fn naive_merge(base: &Map, ours: &Map, theirs: &Map, policy: Policy) -> (Map, Vec<Conflict>) {
    let keys: BTreeSet<u8> =
        [base, ours, theirs].iter().flat_map(|map| map.keys().copied()).collect();
    let (mut merged, mut conflicts) = (Map::new(), Vec::new());
    for key in keys {
        let (base, our, their) = (base.get(&key), ours.get(&key), theirs.get(&key));
        let value = if our == their || their == base {
            our
        } else if our == base {
            their
        } else {
            let kind = match (base, our, their) {
                (None, _, _) => ConflictKind::AddedAdded,
                (_, None, _) => ConflictKind::DeletedModified,
                (_, _, None) => ConflictKind::ModifiedDeleted,
                _ => ConflictKind::ModifiedModified,
            };
            match policy {
                Policy::Report => conflicts.push(Conflict { key: [key].into(), kind }),
                Policy::Ours | Policy::Theirs => {}
            }
            if policy == Policy::Theirs { their } else { our }
        };
        value.map(|value| merged.insert(key, *value));
    }
    (merged, conflicts)
}

const POLICIES: [Policy; 3] = [Policy::Report, Policy::Ours, Policy::Theirs];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_snapshot_reads_as_its_map_after_all_later_ones(steps in steps()) {
        let Pair { tree, models } = Pair::run(&steps);
        prop_assert_eq!(tree.len(), models.len());
        for (id, parent, map) in &models {
            prop_assert_eq!(tree.parent(*id).unwrap(), parent.map(|at| models[at].0));
            for key in 0..12 {
                let value = tree.get(*id, &[key]).unwrap().map(|value| value.bytes[0]);
                prop_assert_eq!(value, map.get(&key).copied());
            }
            let entries: Vec<(u8, u8)> =
                tree.iter(*id).unwrap().map(|(key, value)| (key[0], value.bytes[0])).collect();
            prop_assert_eq!(entries, map.clone().into_iter().collect::<Vec<_>>());
            prop_assert_eq!(model(&tree.state(*id).unwrap()), map.clone());
        }
    }

    #[test]
    fn any_two_snapshots_differ_as_their_maps_do(steps in steps()) {
        let pair = Pair::run(&steps);
        for (a, b) in pair.pairs() {
            let (id_a, _, map_a) = &pair.models[a];
            let (id_b, _, map_b) = &pair.models[b];
            let unrelated = TreeError::Unrelated { a: *id_a, b: *id_b };
            let ancestor = pair.common_ancestor(a, b).map(|at| pair.models[at].0);
            prop_assert_eq!(pair.tree.common_ancestor(*id_a, *id_b), ancestor.ok_or(unrelated));
            let diff = ancestor.map(|_| naive_diff(map_a, map_b));
            prop_assert_eq!(pair.tree.diff(*id_a, *id_b), diff.ok_or(unrelated));
        }
    }

    #[test]
    fn any_two_snapshots_merge_as_their_maps_do(steps in steps()) {
        let pair = Pair::run(&steps);
        for (a, b) in pair.pairs() {
            let (id_a, _, ours) = &pair.models[a];
            let (id_b, _, theirs) = &pair.models[b];
            for policy in POLICIES {
                let found = pair.tree.merge(*id_a, *id_b, policy);
                let Some(base) = pair.common_ancestor(a, b) else {
                    let unrelated = TreeError::Unrelated { a: *id_a, b: *id_b };
                    prop_assert_eq!(found.unwrap_err(), unrelated);
                    continue;
                };
                let (merged, conflicts) = naive_merge(&pair.models[base].2, ours, theirs, policy);
                let found = found.unwrap();
                let mut state = state(ours);
                state.apply(found.delta);
                prop_assert_eq!(model(&state), merged);
                prop_assert_eq!(found.conflicts, conflicts);
            }
        }
    }

    #[test]
    fn whole_states_diff_and_merge_as_their_maps_do(
        base in prop::collection::btree_map(0..10u8, 0..3u8, 0..8),
        ours in prop::collection::btree_map(0..10u8, 0..3u8, 0..8),
        theirs in prop::collection::btree_map(0..10u8, 0..3u8, 0..8),
    ) {
        prop_assert_eq!(state(&base).diff(&state(&ours)), naive_diff(&base, &ours));
        let mut moved = state(&base);
        moved.apply(state(&base).delta_to(&state(&ours)));
        prop_assert_eq!(&model(&moved), &ours);
        for policy in POLICIES {
            let found = merge(&state(&base), &state(&ours), &state(&theirs), policy);
            let mut merged = state(&ours);
            merged.apply(found.delta);
            let (expected, conflicts) = naive_merge(&base, &ours, &theirs, policy);
            prop_assert_eq!(model(&merged), expected);
            prop_assert_eq!(found.conflicts, conflicts);
        }
    }

    #[test]
    fn snapshots_have_equal_roots_exactly_if_their_maps_are_equal(steps in steps()) {
        let pair = Pair::run(&steps);
        for kind in [HashKind::Sha256, HashKind::Blake3] {
            let root = |at: usize| pair.tree.state(pair.models[at].0).unwrap().root(kind);
            let roots: Vec<_> = (0..pair.models.len()).map(root).collect();
            for (a, b) in pair.pairs() {
                prop_assert_eq!(roots[a] == roots[b], pair.models[a].2 == pair.models[b].2);
            }
        }
    }
}

/// What both sides did to a key, and what comes of it under each policy: `Report` leaves ours.
#[test]
fn each_pair_of_changes_merges_by_its_rule() {
    use ConflictKind::*;
    let (one, two, three) = (Some(1), Some(2), Some(3));
    // base, ours, theirs, the conflict, merged by Ours, merged by Theirs
    let table = [
        (one, one, one, None, one, one),
        (one, two, one, None, two, two),
        (one, one, two, None, two, two),
        (one, two, two, None, two, two),
        (one, two, three, Some(ModifiedModified), two, three),
        (one, two, None, Some(ModifiedDeleted), two, None),
        (one, None, two, Some(DeletedModified), None, two),
        (one, None, one, None, None, None),
        (one, one, None, None, None, None),
        (one, None, None, None, None, None),
        (None, one, None, None, one, one),
        (None, None, one, None, one, one),
        (None, one, one, None, one, one),
        (None, one, two, Some(AddedAdded), one, two),
    ];
    for (base, ours, theirs, conflict, by_ours, by_theirs) in table {
        let mut tree = SnapshotTree::new();
        let base = tree.create(&delta(&vec![(7, base)])).unwrap();
        let ours = tree.fork(base, &delta(&vec![(7, ours)])).unwrap();
        let theirs = tree.fork(base, &delta(&vec![(7, theirs)])).unwrap();
        for (policy, expected) in
            [(Policy::Report, by_ours), (Policy::Ours, by_ours), (Policy::Theirs, by_theirs)]
        {
            let merge = tree.merge(ours, theirs, policy).unwrap();
            let merged = tree.fork(ours, &merge.delta).unwrap();
            let found = tree.get(merged, &[7]).unwrap().map(|value| value.bytes[0]);
            assert_eq!(found, expected, "{policy:?}: {conflict:?}");
            let reported: Vec<ConflictKind> = merge.conflicts.iter().map(|c| c.kind).collect();
            let is_reported = policy == Policy::Report;
            assert_eq!(reported, conflict.filter(|_| is_reported).into_iter().collect::<Vec<_>>());
        }
    }
}

/// A change that was taken back is no change, though their delta speaks of the key.
#[test]
fn what_they_wrote_back_as_it_was_does_not_conflict() {
    let mut tree = SnapshotTree::new();
    let base = tree.create(&delta(&vec![(1, Some(1))])).unwrap();
    let ours = tree.fork(base, &delta(&vec![(1, Some(2)), (2, Some(2))])).unwrap();
    let away = tree.fork(base, &delta(&vec![(1, Some(3)), (2, Some(3))])).unwrap();
    let back = tree.fork(away, &delta(&vec![(1, Some(1)), (2, None)])).unwrap();
    for policy in POLICIES {
        let merge = tree.merge(ours, back, policy).unwrap();
        assert_eq!((merge.delta, merge.conflicts), (Delta::new(), vec![]), "{policy:?}");
    }
}

#[test]
fn an_id_beyond_the_tree_is_unknown_to_every_method() {
    let mut larger = SnapshotTree::new();
    let known = larger.create(&Delta::new()).unwrap();
    let id = larger.fork(known, &Delta::new()).unwrap();
    let mut tree = SnapshotTree::new();
    assert_eq!(tree.create(&Delta::new()), Ok(known));
    let unknown = TreeError::Unknown { id };
    assert_eq!(tree.fork(id, &Delta::new()), Err(unknown));
    assert_eq!(tree.parent(id), Err(unknown));
    assert_eq!(tree.get(id, b"key"), Err(unknown));
    assert_eq!(tree.iter(id).map(Iterator::count), Err(unknown));
    assert_eq!(tree.state(id), Err(unknown));
    for (a, b) in [(id, known), (known, id), (id, id)] {
        assert_eq!(tree.common_ancestor(a, b), Err(unknown));
        assert_eq!(tree.diff(a, b), Err(unknown));
        assert_eq!(tree.merge(a, b, Policy::Ours).map(|merge| merge.delta), Err(unknown));
    }
    assert_eq!(tree.len(), 1, "a refused fork leaves nothing behind");
}

#[test]
fn the_last_word_on_a_key_is_what_a_delta_says() {
    let mut delta = Delta::new();
    delta.write(*b"a", *b"1").whiteout(*b"a").write(*b"b", *b"1").write(*b"b", *b"2");
    assert_eq!(delta.get(b"a"), Some(None));
    assert_eq!(delta.get(b"b"), Some(Some(&Value::from(*b"2"))));
    assert_eq!(delta.get(b"c"), None);
    assert_eq!((delta.len(), delta.is_empty()), (2, false));
}

#[test]
fn notes_travel_with_deltas_and_are_no_difference() {
    let noted = |note: &[u8]| Value { bytes: (*b"value").into(), note: note.into() };
    let mut tree = SnapshotTree::new();
    let mut delta = Delta::new();
    delta.write(*b"key", noted(b"old"));
    let old = tree.create(&delta).unwrap();
    let mut delta = Delta::new();
    delta.write(*b"key", noted(b"new"));
    let new = tree.fork(old, &delta).unwrap();

    assert_eq!(tree.diff(old, new), Ok(vec![]));
    assert_eq!(tree.get(new, b"key").unwrap().unwrap().note, b"new");
    assert_eq!(tree.get(old, b"key").unwrap().unwrap().note, b"old");
    let (old, new) = (tree.state(old).unwrap(), tree.state(new).unwrap());
    assert_eq!(old, new);
    let delta = old.delta_to(&new);
    assert!({
        let (found, expected) = (delta.get(b"key").unwrap().unwrap(), noted(b"new"));
        ValueRef::from(found).is_identical(&(&expected).into())
    });
    assert!(new.delta_to(&new).is_empty());
}
