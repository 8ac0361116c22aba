// SPDX-License-Identifier: MIT
//! The state manager: each form of a state, going and coming back, what is refused, and all of it against whole maps.
#![cfg(all(feature = "alloc", feature = "sha256"))]

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use cascow_core::frame::{self, Frame};
use cascow_core::hash::{ContentHash, HashKind};
use cascow_core::manager::{
    Action, Cache, Clock, DeltaObject, Host, INLINE_LEN, Limits, LoadError, Lru, ManagerError,
    NoClock, NodeId, Pruned, Replay, StateManager, View, encode_delta,
};
use cascow_core::snapshot::{ChangeKind, Delta, Edit, State, TreeError, ValueRef};
use cascow_core::store::{MemoryStore, ObjectInfo, ObjectStore, Put, StoreError};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

const KIND: HashKind = HashKind::Sha256;

/// Room for nothing: whatever can go is evicted at once.
const TINY: Limits = Limits { resident_bytes: 0, nodes: u32::MAX };

fn write(key: &'static str, value: &'static str) -> Edit<'static> {
    Edit::write(key.as_bytes(), value.as_bytes())
}

fn read(view: View<'_>) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    view.iter().map(|(key, value)| (text(key), text(value.bytes))).collect()
}

/// A game whose action n writes n under "at", and twice n under "double".
#[derive(Clone, Default)]
struct Doubling {
    replays: Rc<Cell<u32>>,
    /// Added to what is written: a game that is not deterministic.
    drift: Rc<Cell<u32>>,
    fails: Rc<Cell<bool>>,
}

#[derive(Debug)]
struct Stuck;

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the game is stuck")
    }
}

impl std::error::Error for Stuck {}

impl Doubling {
    fn delta(action: Action) -> Delta {
        let mut delta = Delta::new();
        delta
            .write(*b"at", action.0.to_string().into_bytes())
            .write(*b"double", (2 * action.0).to_string().into_bytes())
            .whiteout(*b"gone");
        delta
    }
}

impl Replay for Doubling {
    type Error = Stuck;

    fn replay(&mut self, state: View<'_>, action: Action, delta: &mut Delta) -> Result<(), Stuck> {
        self.replays.set(self.replays.get() + 1);
        assert_eq!(state.get(b"always").unwrap().bytes, b"here", "the parent's state is readable");
        if self.fails.get() {
            return Err(Stuck);
        }
        *delta = Self::delta(Action(action.0 + self.drift.get()));
        Ok(())
    }
}

/// A store whose objects can be lost, damaged, exchanged, or refused.
#[derive(Default)]
struct Shelf {
    frames: RefCell<BTreeMap<ContentHash, Vec<u8>>>,
    is_full: Cell<bool>,
    /// Returned for every object, as no store should.
    instead: RefCell<Option<Vec<u8>>>,
}

impl Shelf {
    fn lose_all(&self) {
        self.frames.borrow_mut().clear();
    }

    fn flip_all(&self) {
        self.frames.borrow_mut().values_mut().for_each(|frame| *frame.last_mut().unwrap() ^= 1);
    }
}

impl ObjectStore for Shelf {
    fn hash_kind(&self) -> HashKind {
        KIND
    }

    fn put(&self, bytes: &[u8]) -> Result<Put, StoreError> {
        if self.is_full.get() {
            return Err(StoreError::Host("no space left on device".into()));
        }
        let hash = KIND.hash(bytes);
        self.frames.borrow_mut().insert(hash, frame::encode(bytes).unwrap());
        Ok(Put { hash, added: None })
    }

    fn get_within(&self, hash: &ContentHash, limit: u64) -> Result<Vec<u8>, StoreError> {
        if let Some(instead) = &*self.instead.borrow() {
            return Ok(instead.clone());
        }
        let frames = self.frames.borrow();
        let bytes = frames.get(hash).ok_or(StoreError::Missing { hash: *hash })?;
        let open = || Frame::parse(bytes)?.within(limit)?.open(KIND, hash);
        open().map_err(|error| StoreError::Frame { hash: *hash, error })
    }

    fn exists(&self, hash: &ContentHash) -> Result<bool, StoreError> {
        Ok(self.frames.borrow().contains_key(hash))
    }

    fn delete(&self, hash: &ContentHash) -> Result<bool, StoreError> {
        Ok(self.frames.borrow_mut().remove(hash).is_some())
    }

    fn for_each(
        &self,
        _: &mut dyn FnMut(ObjectInfo) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        Ok(())
    }
}

/// A root and two children by actions 1 and 2, and a grandchild by 3 below the first.
fn family<S, R, K, C>(states: &mut StateManager<S, R, K, C>) -> [NodeId; 4]
where
    S: std::ops::Deref<Target: ObjectStore>,
    R: Replay,
    K: Clock,
    C: Cache,
{
    let root = states.create_root(&[write("always", "here"), write("gone", "soon")]).unwrap().node;
    let mut child = |parent, action| {
        states.create_node(parent, Action(action), &Doubling::delta(Action(action))).unwrap().node
    };
    let first = child(root, 1);
    let second = child(root, 2);
    [root, first, second, child(first, 3)]
}

fn family_states() -> [Vec<(String, String)>; 4] {
    let pairs = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
    };
    [
        pairs(&[("always", "here"), ("gone", "soon")]),
        pairs(&[("always", "here"), ("at", "1"), ("double", "2")]),
        pairs(&[("always", "here"), ("at", "2"), ("double", "4")]),
        pairs(&[("always", "here"), ("at", "3"), ("double", "6")]),
    ]
}

#[test]
fn an_inline_state_is_its_node_and_is_met_again_by_its_bytes() {
    let mut states = StateManager::new(TINY, Host::new(KIND));
    let start = states.create_root(b"....").unwrap();
    let left = states.create_node(start.node, Action(1), b"x...").unwrap();
    let right = states.create_node(start.node, Action(2), &b"..x."[..]).unwrap();
    let both = states.create_node(left.node, Action(2), b"x.x.").unwrap();
    let again = states.create_node(right.node, Action(1), b"x.x.").unwrap();
    assert!(start.is_new && left.is_new && right.is_new && both.is_new);
    assert_eq!((again.is_new, again.node), (false, both.node));
    assert_eq!(states.create_root(b"....").unwrap().node, start.node);
    assert_eq!(states.parent(both.node), Ok(Some((left.node, Action(2)))), "the first way counts");
    assert_eq!(states.parent(start.node), Ok(None));

    let view = states.backtrack_to(left.node).unwrap();
    assert_eq!(view.bytes(), Some(&b"x..."[..]));
    assert_eq!((view.get(b"").unwrap().bytes, view.get(b"x")), (&b"x..."[..], None));
    assert_eq!(read(view), [(String::new(), "x...".to_owned())]);
    assert_eq!(states.find_bytes(b"..x."), Some(right.node));
    assert_eq!(states.find_bytes(b"x"), None);
    assert_eq!(states.is_resident(left.node), Ok(true));

    let statistics = states.statistics();
    assert_eq!((statistics.nodes, statistics.hits, statistics.transpositions), (4, 1, 2));
    assert_eq!(statistics.bytes.inline, 4 * 48);
    assert_eq!((statistics.bytes.resident, statistics.is_limit_exceeded), (0, false));
}

#[test]
fn an_inline_state_has_the_root_of_one_value_under_the_empty_key_and_is_found_by_it() {
    let mut states = StateManager::new(Limits::default(), Host::new(KIND));
    let root_of = |bytes: &[u8]| State::from_iter([(&b""[..], bytes)]).root(KIND);
    let a = states.create_root(b"a").unwrap().node;
    assert_eq!(states.root(a), Ok(root_of(b"a")));
    assert_eq!(states.find(&root_of(b"b")), None);
    let b = states.create_node(a, Action(0), b"b").unwrap().node;
    let empty = states.create_root(b"").unwrap().node;
    for (node, bytes) in [(a, &b"a"[..]), (b, b"b"), (empty, b"")] {
        assert_eq!(states.find(&root_of(bytes)), Some(node));
    }
    states.prune_unreachable([b]).unwrap();
    assert_eq!((states.find(&root_of(b"a")), states.find(&root_of(b"b"))), (None, Some(b)));
}

#[test]
fn an_inline_state_of_more_than_32_bytes_is_refused() {
    let mut states = StateManager::new(Limits::default(), Host::new(KIND));
    assert!(states.create_root(&[0; INLINE_LEN]).unwrap().is_new);
    let error = states.create_root(&[0; INLINE_LEN + 1]).unwrap_err();
    assert!(matches!(error, ManagerError::TooLong { found: 33 }));
    assert!(error.to_string().contains("at most 32 bytes, this has 33"), "{error}");
    assert_eq!(states.statistics().nodes, 1);
}

#[test]
fn a_child_is_of_its_parents_form() {
    let mut states = StateManager::new(Limits::default(), Host::new(KIND));
    let inline = states.create_root(b"a").unwrap().node;
    let keyed = states.create_root(&[write("a", "1")]).unwrap().node;
    for error in [
        states.create_node(inline, Action(0), &[write("a", "2")]).unwrap_err(),
        states.create_node(keyed, Action(0), b"b").unwrap_err(),
    ] {
        assert!(matches!(error, ManagerError::Form { .. }), "{error}");
        assert!(error.to_string().contains("must both be given"), "{error}");
    }
    assert_eq!(states.statistics().nodes, 2);
}

#[test]
fn keyed_states_are_met_again_by_their_root_and_leave_nothing_behind() {
    let mut states = StateManager::new(Limits::default(), Host::new(KIND));
    let start = states.create_root(&[write("x", "0"), write("y", "0")]).unwrap().node;
    let right = states.create_node(start, Action(0), &[write("x", "1")]).unwrap().node;
    let up = states.create_node(start, Action(1), &[write("y", "1")][..]).unwrap().node;
    let corner = states.create_node(right, Action(1), &[write("y", "1")]).unwrap().node;
    let before = states.statistics();
    let again = states.create_node(up, Action(0), &[write("x", "1")]).unwrap();
    assert_eq!((again.node, again.is_new), (corner, false));
    let back = states.create_node(corner, Action(2), &[write("x", "0"), write("y", "0")]).unwrap();
    assert_eq!((back.node, back.is_new), (start, false), "a way back is a cycle, not a node");
    let after = states.statistics();
    assert_eq!(after.bytes, before.bytes);
    assert_eq!((after.nodes, after.transpositions), (4, 2));

    for (node, x, y) in [(start, "0", "0"), (right, "1", "0"), (up, "0", "1"), (corner, "1", "1")] {
        let expected = State::from_iter([(&b"x"[..], x.as_bytes()), (b"y", y.as_bytes())]);
        let view = states.backtrack_to(node).unwrap();
        assert_eq!(view.get(b"x"), Some(x.as_bytes().into()));
        assert_eq!(view.get(b"z"), None);
        assert_eq!(view.bytes(), None);
        assert_eq!(read(view), [("x".into(), x.into()), ("y".into(), y.into())]);
        assert_eq!(states.root(node), Ok(expected.root(KIND)));
        assert_eq!(states.find(&expected.root(KIND)), Some(node));
    }
}

#[test]
fn evicted_states_come_back_from_the_store() {
    let store = MemoryStore::new(KIND);
    let mut states = StateManager::new(TINY, Host::new(KIND).store(&store));
    let nodes = family(&mut states);
    for _ in 0..3 {
        for (node, expected) in nodes.into_iter().zip(family_states()) {
            assert_eq!(read(states.backtrack_to(node).unwrap()), expected);
        }
    }
    let statistics = states.statistics();
    assert!(statistics.loads >= 6 && statistics.misses >= 6, "{statistics:?}");
    assert_eq!((statistics.replays, statistics.failed_loads), (0, 0));
    assert!(statistics.is_limit_exceeded, "what is in view stays");
    assert!(statistics.bytes.stored > 0);
    assert_eq!(states.objects().filter(|object| store.exists(object).unwrap()).count(), 1);
    assert_eq!(states.is_resident(nodes[2]), Ok(false));
    // Three objects: the grandchild's, the children's; the root was needed all the time.
    assert_eq!(store.len(), 3);
}

#[test]
fn evicted_states_are_replayed_where_there_is_no_store() {
    let game = Doubling::default();
    let mut states = StateManager::new(TINY, Host::new(KIND).replay(game.clone()));
    let nodes = family(&mut states);
    for (node, expected) in nodes.into_iter().zip(family_states()) {
        assert_eq!(read(states.backtrack_to(node).unwrap()), expected);
    }
    let statistics = states.statistics();
    assert!(statistics.replays >= 3, "{statistics:?}");
    assert_eq!(statistics.replays, u64::from(game.replays.get()));
    assert_eq!((statistics.loads, statistics.bytes.stored), (0, 0));
    assert_eq!(states.objects().count(), 0);
}

#[test]
fn states_that_cannot_come_back_do_not_go_and_the_limit_is_reported_as_exceeded() {
    let mut states = StateManager::new(TINY, Host::new(KIND));
    let nodes = family(&mut states);
    for node in nodes {
        assert_eq!(states.is_resident(node), Ok(true));
    }
    let statistics = states.statistics();
    assert!(statistics.is_limit_exceeded);
    assert_eq!((statistics.evictions, statistics.misses), (0, 0));
}

#[test]
fn the_least_recently_used_state_goes_first() {
    let store = MemoryStore::new(KIND);
    let probe = {
        let mut states = StateManager::new(Limits::default(), Host::new(KIND));
        family(&mut states);
        states.statistics().bytes.resident
    };
    let limits = Limits { resident_bytes: probe, ..Limits::default() };
    let mut states = StateManager::new(limits, Host::new(KIND).store(&store));
    let [root, first, second, third] = family(&mut states);
    assert_eq!(states.statistics().evictions, 0);
    for node in [second, third, root] {
        states.backtrack_to(node).unwrap();
    }
    let fourth = states.create_node(root, Action(4), &Doubling::delta(Action(4))).unwrap().node;
    let resident =
        [root, first, second, third, fourth].map(|node| states.is_resident(node).unwrap());
    assert_eq!(resident, [true, true, false, true, true], "the second was left before the third");
    // A comparison is a use too.
    states.backtrack_to(root).unwrap();
    states.state_diff(third, root).unwrap();
    states.backtrack_to(second).unwrap();
    let resident =
        [root, first, second, third, fourth].map(|node| states.is_resident(node).unwrap());
    assert_eq!(resident, [true, true, true, true, false]);
    assert!(!states.statistics().is_limit_exceeded);
}

#[test]
fn the_cheaper_way_back_is_taken_by_the_hosts_clock() {
    // The clock of a host whose store is slow and whose game is fast, or the other way round.
    for (store_micros, replay_micros) in [(10_000, 1), (1, 10_000)] {
        let now = Rc::new(Cell::new(0u64));
        struct Slow(MemoryStore, Rc<Cell<u64>>, u64);
        impl ObjectStore for Slow {
            fn hash_kind(&self) -> HashKind {
                KIND
            }
            fn put(&self, bytes: &[u8]) -> Result<Put, StoreError> {
                self.0.put(bytes)
            }
            fn get_within(&self, hash: &ContentHash, limit: u64) -> Result<Vec<u8>, StoreError> {
                self.1.set(self.1.get() + self.2);
                self.0.get_within(hash, limit)
            }
            fn exists(&self, hash: &ContentHash) -> Result<bool, StoreError> {
                self.0.exists(hash)
            }
            fn delete(&self, hash: &ContentHash) -> Result<bool, StoreError> {
                self.0.delete(hash)
            }
            fn for_each(
                &self,
                visit: &mut dyn FnMut(ObjectInfo) -> Result<(), StoreError>,
            ) -> Result<(), StoreError> {
                self.0.for_each(visit)
            }
        }
        struct Timed(Doubling, Rc<Cell<u64>>, u64);
        impl Replay for Timed {
            type Error = Stuck;
            fn replay(
                &mut self,
                state: View<'_>,
                action: Action,
                delta: &mut Delta,
            ) -> Result<(), Stuck> {
                self.1.set(self.1.get() + self.2);
                self.0.replay(state, action, delta)
            }
        }
        let clock = {
            let now = now.clone();
            move || now.get()
        };
        let store = Slow(MemoryStore::new(KIND), now.clone(), store_micros);
        let game = Timed(Doubling::default(), now.clone(), replay_micros);
        let host = Host::new(KIND).store(&store).replay(game).clock(clock);
        let mut states = StateManager::new(TINY, host);
        let nodes = family(&mut states);
        for _ in 0..100 {
            for (node, expected) in nodes.into_iter().zip(family_states()) {
                assert_eq!(read(states.backtrack_to(node).unwrap()), expected);
            }
        }
        let statistics = states.statistics();
        let (loads, replays) = (statistics.loads, statistics.replays);
        let (cheap, dear) = if store_micros == 1 { (loads, replays) } else { (replays, loads) };
        assert!(cheap > 20 * dear.max(1), "{statistics:?}");
        let cheap = if store_micros == 1 {
            statistics.latencies.loaded
        } else {
            statistics.latencies.replayed
        };
        assert!(cheap.p50_micros <= 4 && cheap.count > 100, "{cheap:?}");
        assert_eq!(statistics.latencies.resident.count, statistics.hits);
    }
}

#[test]
fn without_a_clock_what_is_stored_is_loaded_and_the_choice_is_the_same_each_time() {
    let run = || {
        let store = MemoryStore::new(KIND);
        let host = Host::new(KIND).store(&store).replay(Doubling::default());
        let mut states = StateManager::new(TINY, host);
        let nodes = family(&mut states);
        for _ in 0..10 {
            nodes.into_iter().for_each(|node| _ = states.backtrack_to(node).unwrap());
        }
        let statistics = states.statistics();
        (statistics.loads, statistics.replays, statistics.evictions, statistics.latencies)
    };
    assert_eq!(run(), run());
    assert!(run().0 > 0);
    assert_eq!((run().1, run().3.loaded.count), (0, 0));
}

#[test]
fn a_lost_or_damaged_object_is_replayed_and_counted() {
    for damage in [Shelf::lose_all, Shelf::flip_all] {
        let shelf = Rc::new(Shelf::default());
        let host = Host::new(KIND).store(shelf.clone()).replay(Doubling::default());
        let mut states = StateManager::new(TINY, host);
        let [_, first, second, third] = family(&mut states);
        states.backtrack_to(second).unwrap();
        damage(&shelf);
        assert_eq!(read(states.backtrack_to(third).unwrap()), family_states()[3]);
        let statistics = states.statistics();
        assert_eq!((statistics.failed_loads, statistics.replays), (2, 2));
        assert_eq!(read(states.backtrack_to(first).unwrap()), family_states()[1]);
    }
}

#[test]
fn a_lost_or_damaged_object_without_a_game_is_an_error_that_names_the_node_and_changes_nothing() {
    for damage in [Shelf::lose_all, Shelf::flip_all] {
        let shelf = Rc::new(Shelf::default());
        let mut states = StateManager::new(TINY, Host::new(KIND).store(shelf.clone()));
        let [root, first, second, third] = family(&mut states);
        states.backtrack_to(second).unwrap();
        let whole = shelf.frames.borrow().clone();
        damage(&shelf);
        let before = states.statistics();
        let error = states.backtrack_to(third).unwrap_err();
        let ManagerError::Lost { node, error: LoadError::Store(_) } = &error else {
            panic!("{error}")
        };
        assert_eq!(*node, first, "the one above it that is lost");
        assert!(error.to_string().starts_with("the state of node 1.0 is lost: object "), "{error}");
        assert!(std::error::Error::source(&error).is_some());
        assert!(states.state_diff(second, third).is_err());
        assert!(states.create_node(third, Action(9), &[write("a", "b")]).is_err());
        let after = states.statistics();
        assert_eq!((after.bytes, after.nodes, after.hits), (before.bytes, 4, before.hits));
        assert_eq!(after.failed_loads, 3);
        assert_eq!(read(states.backtrack_to(root).unwrap()), family_states()[0]);
        // The store is mended: nothing was given up.
        *shelf.frames.borrow_mut() = whole;
        assert_eq!(read(states.backtrack_to(third).unwrap()), family_states()[3]);
    }
}

#[test]
fn a_way_back_that_ends_halfway_leaves_no_state_behind() {
    let shelf = Rc::new(Shelf::default());
    let mut states = StateManager::new(TINY, Host::new(KIND).store(shelf.clone()));
    let [_, _, second, third] = family(&mut states);
    states.backtrack_to(second).unwrap();
    let objects: Vec<ContentHash> = states.objects().collect();
    assert_eq!(objects.len(), 2);
    shelf.delete(&objects[1]).unwrap();
    let before = states.statistics();
    assert!(
        matches!(states.backtrack_to(third), Err(ManagerError::Lost { node, .. }) if node == third)
    );
    let after = states.statistics();
    assert_eq!(after.bytes, before.bytes);
    assert_eq!((after.loads - before.loads, after.misses), (1, before.misses));
    assert_eq!(read(states.backtrack_to(second).unwrap()), family_states()[2]);
}

#[test]
fn an_object_that_is_no_delta_is_refused() {
    let shelf = Rc::new(Shelf::default());
    let mut states = StateManager::new(TINY, Host::new(KIND).store(shelf.clone()));
    let [_, first, second, _] = family(&mut states);
    states.backtrack_to(second).unwrap();
    *shelf.instead.borrow_mut() = Some(b"something else".to_vec());
    let error = states.backtrack_to(first).unwrap_err();
    assert!(matches!(&error, ManagerError::Lost { error: LoadError::Malformed(_), .. }), "{error}");
    assert!(error.to_string().ends_with("stored delta is malformed after edit 0"), "{error}");
    let load = std::error::Error::source(&error).unwrap();
    assert!(load.source().is_some());
}

#[test]
fn a_replay_with_another_outcome_is_reported_and_changes_nothing() {
    let game = Doubling::default();
    let mut states = StateManager::new(TINY, Host::new(KIND).replay(game.clone()));
    let [root, first, second, third] = family(&mut states);
    states.backtrack_to(second).unwrap();
    let before = states.statistics();
    game.drift.set(10);
    let error = states.backtrack_to(third).unwrap_err();
    let ManagerError::Nondeterministic { node, expected, found } = error else { panic!("{error}") };
    assert_eq!((node, Ok(expected)), (first, states.root(first)));
    let state = [("always", "here"), ("at", "11"), ("double", "22")];
    let state = State::from_iter(state.map(|(key, value)| (key.as_bytes(), value.as_bytes())));
    assert_eq!(found, state.root(KIND));
    let message = error.to_string();
    assert!(message.contains("not deterministic") && message.contains("give the manager a store"));
    let after = states.statistics();
    assert_eq!((after.bytes, after.nodes, after.misses), (before.bytes, 4, before.misses));
    assert_eq!(states.find(&found), None);
    assert_eq!(read(states.backtrack_to(root).unwrap()), family_states()[0]);

    game.drift.set(0);
    game.fails.set(true);
    let error = states.backtrack_to(third).unwrap_err();
    assert!(matches!(error, ManagerError::Replay { node, error: Stuck } if node == first));
    assert!(error.to_string().ends_with("cannot be done again: the game is stuck"), "{error}");
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "the game is stuck");
    game.fails.set(false);
    assert_eq!(read(states.backtrack_to(third).unwrap()), family_states()[3]);
}

#[test]
fn errors_say_what_they_come_from() {
    type Error = ManagerError<Stuck>;
    let mut states = StateManager::new(Limits::default(), Host::new(KIND));
    let node = states.create_root(b"").unwrap().node;
    states.prune_unreachable([]).unwrap();
    let unknown = states.root(node).unwrap_err();
    for (error, has_source) in [
        (Error::from(unknown), true),
        (Error::from(TreeError::Foreign), true),
        (Error::NotPinned { node }, false),
    ] {
        let source = std::error::Error::source(&error).map(|source| source.to_string());
        assert_eq!(source.is_some(), has_source);
        assert!(source.is_none_or(|source| source == error.to_string()), "{error}");
    }
    let missing = LoadError::Store(StoreError::Missing { hash: KIND.hash(b"") });
    assert_eq!(std::error::Error::source(&missing).unwrap().to_string(), missing.to_string());
}

#[test]
fn a_full_store_loses_nothing_and_is_asked_again() {
    let shelf = Rc::new(Shelf::default());
    shelf.is_full.set(true);
    let mut states = StateManager::new(TINY, Host::new(KIND).store(shelf.clone()));
    let nodes = family(&mut states);
    let statistics = states.statistics();
    assert!(statistics.is_limit_exceeded && statistics.failed_stores > 0);
    assert_eq!(statistics.evictions, 0);
    assert_eq!(states.store_error().unwrap().to_string(), "no space left on device");
    shelf.is_full.set(false);
    states.backtrack_to(nodes[0]).unwrap();
    assert_eq!(states.statistics().evictions, 3);
    for (node, expected) in nodes.into_iter().zip(family_states()) {
        assert_eq!(read(states.backtrack_to(node).unwrap()), expected);
    }
}

#[test]
fn a_full_store_leaves_what_can_be_replayed_to_the_game() {
    let shelf = Rc::new(Shelf::default());
    shelf.is_full.set(true);
    let host = Host::new(KIND).store(shelf).replay(Doubling::default());
    let mut states = StateManager::new(TINY, host);
    let nodes = family(&mut states);
    assert!(states.statistics().evictions > 0 && states.store_error().is_some());
    for (node, expected) in nodes.into_iter().zip(family_states()) {
        assert_eq!(read(states.backtrack_to(node).unwrap()), expected);
    }
    assert!(states.statistics().replays > 0);
}

#[test]
fn pinned_states_stay_resident_and_are_not_pruned_until_each_pin_is_taken_back() {
    let store = MemoryStore::new(KIND);
    let mut states = StateManager::new(TINY, Host::new(KIND).store(&store));
    let [root, first, second, third] = family(&mut states);
    states.pin(third).unwrap();
    states.pin(third).unwrap();
    states.backtrack_to(second).unwrap();
    assert_eq!(states.is_resident(third), Ok(true));
    assert_eq!(states.prune_unreachable([]).unwrap().nodes, 1, "the pinned one needs two more");
    assert_eq!(read(states.backtrack_to(third).unwrap()), family_states()[3]);
    states.unpin(third).unwrap();
    states.backtrack_to(root).unwrap();
    assert_eq!(states.is_resident(third), Ok(true), "pinned once still");
    states.unpin(third).unwrap();
    assert_eq!(states.is_resident(third), Ok(false));
    let error = states.unpin(third).unwrap_err();
    assert!(matches!(error, ManagerError::NotPinned { node } if node == third));
    assert_eq!(error.to_string(), format!("node {third} is not pinned"));
    assert_eq!(states.prune_unreachable([first]).unwrap().nodes, 1);
    assert!(states.pin(third).is_err() && states.unpin(third).is_err());
}

#[test]
fn pruning_keeps_what_is_live_with_all_that_its_state_is_made_of() {
    for limits in [Limits::default(), TINY] {
        let store = MemoryStore::new(KIND);
        let mut states = StateManager::new(limits, Host::new(KIND).store(&store));
        let [root, first, second, third] = family(&mut states);
        let before = states.statistics();
        let was_resident = states.is_resident(second).unwrap();
        let pruned = states.prune_unreachable([third, third]).unwrap();
        let after = states.statistics();
        assert_eq!(pruned.nodes, 1);
        let freed = before.bytes.resident - after.bytes.resident;
        assert_eq!((pruned.bytes, freed > 48), (48 + freed, was_resident));
        assert_eq!(after.nodes, 3);
        for (node, at) in [(root, 0), (first, 1), (third, 3)] {
            assert_eq!(read(states.backtrack_to(node).unwrap()), family_states()[at]);
        }
        let error = states.backtrack_to(second).unwrap_err();
        assert!(matches!(error, ManagerError::Unknown(unknown) if unknown.node == second));
        assert!(error.to_string().contains("it was pruned"), "{error}");
        assert!(states.prune_unreachable([root, second]).is_err());
        assert_eq!(states.statistics().nodes, 3, "nothing is removed when a live node is unknown");

        // A state that was pruned is new when it is met again, under an id of its own.
        let again = states.create_node(root, Action(2), &Doubling::delta(Action(2))).unwrap();
        assert!(again.is_new && again.node != second);
        assert!(states.root(second).is_err() && states.parent(second).is_err());
        assert!(states.is_resident(second).is_err());
        assert!(states.create_node(second, Action(0), b"").is_err());
        assert!(
            states.state_diff(root, second).is_err() && states.state_diff(second, root).is_err()
        );

        assert_eq!(states.prune_unreachable([]).unwrap().nodes, 4);
        let nothing = states.statistics();
        assert_eq!((nothing.nodes, nothing.bytes.resident, nothing.bytes.stored), (0, 0, 0));
        assert_eq!(states.prune_unreachable([]), Ok(Pruned::default()));
        let nodes = family(&mut states);
        assert_eq!(read(states.backtrack_to(nodes[3]).unwrap()), family_states()[3]);
    }
}

#[test]
fn an_inline_node_outlives_its_parent() {
    let mut states = StateManager::new(Limits::default(), Host::new(KIND));
    let a = states.create_root(b"a").unwrap().node;
    let b = states.create_node(a, Action(1), b"b").unwrap().node;
    let c = states.create_node(b, Action(2), b"c").unwrap().node;
    assert_eq!(states.prune_unreachable([c]), Ok(Pruned { nodes: 2, bytes: 96 }));
    assert_eq!(states.parent(c), Ok(None));
    let d = states.create_root(b"d").unwrap().node;
    assert_eq!(states.parent(c), Ok(None), "not even once the slot is another's");
    assert_eq!(states.backtrack_to(d).unwrap().bytes(), Some(&b"d"[..]));
    assert_eq!(states.statistics().bytes.inline, 96);
}

#[test]
fn as_many_nodes_as_the_limit_says_can_be_there_at_a_time() {
    for is_inline in [true, false] {
        let limits = Limits { nodes: 2, ..Limits::default() };
        let mut states = StateManager::new(limits, Host::new(KIND));
        let root = match is_inline {
            true => states.create_root(b"0"),
            false => states.create_root(&[write("a", "0")]),
        };
        let root = root.unwrap().node;
        let values = [Edit::write(b"a", b"1"), Edit::write(b"a", b"2")];
        let child = |states: &mut StateManager, n: u8| match is_inline {
            true => states.create_node(root, Action(n.into()), &[n]),
            false => states.create_node(root, Action(n.into()), &values[n.into()..][..1]),
        };
        let first = child(&mut states, 0).unwrap().node;
        let before = states.statistics();
        let error = child(&mut states, 1).unwrap_err();
        assert!(matches!(error, ManagerError::Full { nodes: 2 }), "{error}");
        assert!(error.to_string().contains("prune some"), "{error}");
        assert_eq!(states.statistics(), before, "nothing is left behind");
        assert_eq!(child(&mut states, 0).unwrap().node, first, "what is there is still met");
        states.prune_unreachable([root]).unwrap();
        assert!(child(&mut states, 1).unwrap().is_new);
    }
}

#[test]
fn differences_are_told_between_any_two_nodes() {
    let store = MemoryStore::new(KIND);
    let mut states = StateManager::new(TINY, Host::new(KIND).store(&store));
    let [root, first, second, third] = family(&mut states);
    let mut told = |a, b| -> Vec<(String, ChangeKind)> {
        let changes = states.state_diff(a, b).unwrap();
        let told = changes.into_iter().map(|change| (change.key.to_vec(), change.kind));
        told.map(|(key, kind)| (String::from_utf8(key).unwrap(), kind)).collect()
    };
    use ChangeKind::{Added, Deleted, Modified};
    let own = |changes: &[(&str, ChangeKind)]| -> Vec<(String, ChangeKind)> {
        changes.iter().map(|(key, kind)| (key.to_string(), *kind)).collect()
    };
    assert_eq!(told(second, third), own(&[("at", Modified), ("double", Modified)]));
    assert_eq!(told(first, root), own(&[("at", Deleted), ("double", Deleted), ("gone", Added)]));
    assert_eq!(told(third, third), []);

    let other = states.create_root(&[write("always", "here"), write("at", "3")]).unwrap().node;
    let inline = states.create_root(b"a").unwrap().node;
    let another = states.create_root(b"b").unwrap().node;
    let mut told = |a, b| {
        let changes = states.state_diff(a, b).unwrap();
        changes.iter().map(|change| (change.key.len(), change.kind)).collect::<Vec<_>>()
    };
    assert_eq!(told(third, other), [(6, Deleted)], "of two roots");
    assert_eq!(told(inline, another), [(0, Modified)]);
    assert_eq!(told(inline, inline), []);
    assert_eq!(told(other, inline), [(0, Added), (6, Deleted), (2, Deleted)]);
}

/// Names whomever it likes.
struct Wild(Vec<NodeId>);

impl Cache for Wild {
    fn insert(&mut self, node: NodeId, bytes: u64) {
        assert!(bytes > 0);
        self.0.push(node);
    }
    fn touch(&mut self, _: NodeId) {}
    fn remove(&mut self, _: NodeId) {}
    fn victim(&mut self) -> Option<NodeId> {
        self.0.first().copied()
    }
}

#[test]
fn a_policy_that_names_what_must_stay_loses_no_state() {
    let store = MemoryStore::new(KIND);
    let mut states = StateManager::new(TINY, Host::new(KIND).store(&store).cache(Wild(vec![])));
    let nodes = family(&mut states);
    for _ in 0..3 {
        for (node, expected) in nodes.into_iter().zip(family_states()) {
            assert_eq!(read(states.backtrack_to(node).unwrap()), expected);
        }
    }
    assert_eq!(format!("{:?}", Lru::default()), "Lru { len: 0 }");
}

/// The least recently used, in a list that a test can read.
#[derive(Clone, Default)]
struct Listed(Rc<RefCell<Vec<NodeId>>>);

impl Cache for Listed {
    fn insert(&mut self, node: NodeId, _: u64) {
        self.remove(node);
        self.0.borrow_mut().push(node);
    }
    fn touch(&mut self, _: NodeId) {}
    fn remove(&mut self, node: NodeId) {
        self.0.borrow_mut().retain(|listed| *listed != node);
    }
    fn victim(&mut self) -> Option<NodeId> {
        self.0.borrow().first().copied()
    }
}

#[test]
fn a_policy_knows_the_states_that_could_go_and_no_others() {
    let (store, listed) = (MemoryStore::new(KIND), Listed::default());
    let mut states =
        StateManager::new(Limits::default(), Host::new(KIND).store(&store).cache(listed.clone()));
    let [root, first, second, third] = family(&mut states);
    let is_listed = |nodes: [NodeId; 4]| nodes.map(|node| listed.0.borrow().contains(&node));
    let all = [root, first, second, third];
    assert_eq!(is_listed(all), [false, false, true, false], "the third is in view");
    states.backtrack_to(root).unwrap();
    assert_eq!(is_listed(all), [false, false, true, true]);
    states.pin(second).unwrap();
    states.prune_unreachable([first]).unwrap();
    assert_eq!(*listed.0.borrow(), [first]);
    states.unpin(second).unwrap();
    assert_eq!(*listed.0.borrow(), [first, second]);
}

#[test]
fn a_state_below_which_another_came_back_makes_way_for_others_that_can_go() {
    let room_for_four = {
        let mut states = StateManager::new(Limits::default(), Host::new(KIND));
        family(&mut states);
        states.statistics().bytes.resident
    };
    let store = MemoryStore::new(KIND);
    let limits = Limits { resident_bytes: room_for_four, ..Limits::default() };
    let listed = Listed::default();
    let mut states = StateManager::new(limits, Host::new(KIND).store(&store).cache(listed.clone()));
    let [root, first, second, third] = family(&mut states);
    states.backtrack_to(second).unwrap();
    let fourth = states.create_node(root, Action(4), &Doubling::delta(Action(4))).unwrap().node;
    assert_eq!(states.is_resident(third), Ok(false), "left first, and the first could go now");
    assert_eq!(*listed.0.borrow(), [second, first]);
    states.backtrack_to(third).unwrap();
    assert_eq!(*listed.0.borrow(), [fourth], "the first is needed again");
    let statistics = states.statistics();
    assert!(!statistics.is_limit_exceeded, "{statistics:?}");
    assert_eq!([second, fourth].map(|node| states.is_resident(node).unwrap()), [false, true]);
}

#[test]
fn a_manager_can_be_sent_to_another_thread() {
    fn check<T: Send>() {}
    check::<StateManager>();
    struct Ticks;
    impl Clock for Ticks {
        fn micros(&self) -> u64 {
            0
        }
    }
    check::<StateManager<std::sync::Arc<Never>, cascow_core::manager::NoReplay, Ticks>>();
    check::<Host<std::sync::Arc<Never>, cascow_core::manager::NoReplay, NoClock, Lru>>();
    enum Never {}
}

#[test]
fn a_deltas_object_is_read_as_it_was_written_and_only_so() {
    let noted = ValueRef { bytes: b"bytes", note: b"note" };
    let edits = [
        Edit::write(b"b", b"1"),
        Edit::whiteout(b"a"),
        Edit { key: b"", value: Some(noted) },
        Edit::write(b"c", b""),
    ];
    let bytes = encode_delta(edits.iter().copied()).unwrap();
    let found: Vec<Edit<'_>> = DeltaObject::parse(&bytes).unwrap().edits().collect();
    assert_eq!(found, [edits[2], edits[1], edits[0], edits[3]]);
    assert_eq!(found[0].value.unwrap().note, b"note");
    assert_eq!(encode_delta(found.into_iter()).unwrap(), bytes);
    assert_eq!(
        DeltaObject::parse(&encode_delta([].into_iter()).unwrap()).unwrap().edits().count(),
        0
    );

    let swapped = [&bytes[..8], &bytes[22 + 7..], &bytes[8..22 + 7]].concat();
    assert!(DeltaObject::parse(&swapped).is_err(), "out of order");
    let twice = [&bytes[..], &bytes[8..]].concat();
    assert_eq!(DeltaObject::parse(&twice).unwrap_err().after, 4, "a key again");
    for end in 0..bytes.len() {
        // Cut off between two edits it is a shorter delta, which has another name.
        if let Ok(shorter) = DeltaObject::parse(&bytes[..end]) {
            assert_eq!(encode_delta(shorter.edits()).unwrap(), bytes[..end]);
        }
    }
}

/// The delta of an action, small enough that states are met again.
type Changes = Vec<(u8, Option<u8>)>;

#[derive(Clone, Debug)]
enum Op {
    Create(Index, Changes),
    Root(Changes),
    Inline(Option<Index>, u8),
    Go(Index),
    Diff(Index, Index),
    Pin(Index),
    Unpin(Index),
    Prune(Vec<Index>),
    Lose,
}

fn changes() -> impl Strategy<Value = Changes> {
    vec((0..6u8, prop::option::weighted(0.7, 0..3u8)), 0..4)
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        8 => (any::<Index>(), changes()).prop_map(|(at, changes)| Op::Create(at, changes)),
        1 => changes().prop_map(Op::Root),
        2 => (prop::option::weighted(0.8, any::<Index>()), 0..20u8)
            .prop_map(|(at, byte)| Op::Inline(at, byte)),
        6 => any::<Index>().prop_map(Op::Go),
        2 => (any::<Index>(), any::<Index>()).prop_map(|(a, b)| Op::Diff(a, b)),
        1 => any::<Index>().prop_map(Op::Pin),
        1 => any::<Index>().prop_map(Op::Unpin),
        1 => vec(any::<Index>(), 0..6).prop_map(Op::Prune),
        1 => Just(Op::Lose),
    ];
    vec(op, 1..60)
}

/// A game that does what was done under the action's number.
struct Script(Rc<RefCell<Vec<Changes>>>);

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

impl Replay for Script {
    type Error = Stuck;

    fn replay(&mut self, _: View<'_>, action: Action, into: &mut Delta) -> Result<(), Stuck> {
        *into = delta(self.0.borrow().get(action.0 as usize).ok_or(Stuck)?);
        Ok(())
    }
}

struct ModelNode {
    id: NodeId,
    parent: Option<NodeId>,
    is_inline: bool,
    state: BTreeMap<Vec<u8>, Vec<u8>>,
    pins: u32,
}

/// What the states do by the book: all of them as whole maps.
struct Model {
    nodes: Vec<ModelNode>,
    gone: Vec<NodeId>,
}

impl Model {
    fn pick(&self, at: &Index, is_inline: bool) -> Option<usize> {
        let fitting: Vec<usize> =
            (0..self.nodes.len()).filter(|at| self.nodes[*at].is_inline == is_inline).collect();
        (!fitting.is_empty()).then(|| fitting[at.index(fitting.len())])
    }

    fn any(&self, at: &Index) -> Option<&ModelNode> {
        (!self.nodes.is_empty()).then(|| &self.nodes[at.index(self.nodes.len())])
    }

    fn meet(&mut self, created: cascow_core::manager::Created, node: ModelNode) {
        let known = self
            .nodes
            .iter()
            .find(|known| known.is_inline == node.is_inline && known.state == node.state);
        assert_eq!(created.is_new, known.is_none());
        match known {
            Some(known) => assert_eq!(known.id, created.node),
            None => self.nodes.push(node),
        }
    }

    /// Every node that a keyed live one needs, by the links alone.
    fn needed(&self, live: &[NodeId]) -> Vec<NodeId> {
        let pinned = self.nodes.iter().filter(|node| node.pins > 0).map(|node| node.id);
        let mut needed: Vec<NodeId> = Vec::new();
        for id in live.iter().copied().chain(pinned) {
            let mut next = Some(id);
            while let Some(id) = next {
                needed.push(id);
                let node = self.nodes.iter().find(|node| node.id == id).unwrap();
                next = node.parent.filter(|_| !node.is_inline);
            }
        }
        needed
    }
}

fn whole(state: &BTreeMap<Vec<u8>, Vec<u8>>) -> State {
    state.iter().map(|(key, value)| (&key[..], &value[..])).collect()
}

fn entries(view: View<'_>) -> BTreeMap<Vec<u8>, Vec<u8>> {
    view.iter().map(|(key, value)| (key.to_vec(), value.bytes.to_vec())).collect()
}

/// Does the same with a manager and with whole maps, and compares all that can be seen.
fn run(ops: &[Op], limit: u64, with_store: bool, with_game: bool) {
    let shelf = Rc::new(Shelf::default());
    let script = Rc::new(RefCell::new(Vec::new()));
    let limits = Limits { resident_bytes: limit, ..Limits::default() };
    // One type for all combinations: what is left out refuses.
    shelf.is_full.set(!with_store);
    let host = Host::new(KIND).store(shelf.clone());
    if with_game {
        let states = StateManager::new(limits, host.replay(Script(script.clone())));
        drive(ops, states, &shelf, &script, true);
    } else {
        drive(ops, StateManager::new(limits, host), &shelf, &script, false);
    }
}

fn drive<R: Replay>(
    ops: &[Op],
    mut states: StateManager<Rc<Shelf>, R>,
    shelf: &Shelf,
    script: &RefCell<Vec<Changes>>,
    can_replay: bool,
) {
    let mut model = Model { nodes: Vec::new(), gone: Vec::new() };
    let apply = |state: &mut BTreeMap<Vec<u8>, Vec<u8>>, changes: &Changes| {
        for (key, value) in changes {
            match value {
                Some(value) => state.insert(vec![*key], vec![*value]),
                None => state.remove(&vec![*key]),
            };
        }
    };
    for op in ops {
        let action = Action(u32::try_from(script.borrow().len()).unwrap());
        match op {
            Op::Create(at, changes) => {
                let Some(at) = model.pick(at, false) else { continue };
                script.borrow_mut().push(changes.clone());
                let parent = model.nodes[at].id;
                let created = states.create_node(parent, action, &delta(changes)).unwrap();
                let mut state = model.nodes[at].state.clone();
                apply(&mut state, changes);
                let parent = Some(parent);
                let node = ModelNode { id: created.node, parent, is_inline: false, state, pins: 0 };
                model.meet(created, node);
            }
            Op::Root(changes) => {
                let created = states.create_root(&delta(changes)).unwrap();
                let mut state = BTreeMap::new();
                apply(&mut state, changes);
                let node =
                    ModelNode { id: created.node, parent: None, is_inline: false, state, pins: 0 };
                model.meet(created, node);
            }
            Op::Inline(at, byte) => {
                let parent =
                    at.as_ref().and_then(|at| model.pick(at, true)).map(|at| model.nodes[at].id);
                let created = match parent {
                    Some(parent) => states.create_node(parent, action, &[*byte]).unwrap(),
                    None => states.create_root(&[*byte]).unwrap(),
                };
                let state = BTreeMap::from([(vec![], vec![*byte])]);
                let node = ModelNode { id: created.node, parent, is_inline: true, state, pins: 0 };
                model.meet(created, node);
            }
            Op::Go(at) => {
                let Some(node) = model.any(at) else { continue };
                let view = states.backtrack_to(node.id).unwrap();
                assert_eq!(entries(view), node.state);
                assert_eq!(view.bytes().is_some(), node.is_inline);
                for (key, value) in &node.state {
                    assert_eq!(view.get(key).unwrap().bytes, value);
                }
                let root = whole(&node.state).root(KIND);
                assert_eq!(states.root(node.id), Ok(root));
                let found = states.find(&root).unwrap();
                assert_eq!(states.root(found), Ok(root));
            }
            Op::Diff(a, b) => {
                let (Some(a), Some(b)) = (model.any(a), model.any(b)) else { continue };
                let expected = whole(&a.state).diff(&whole(&b.state));
                assert_eq!(states.state_diff(a.id, b.id).unwrap(), expected);
            }
            Op::Pin(at) | Op::Unpin(at) if model.nodes.is_empty() => _ = at,
            Op::Pin(at) => {
                let at = at.index(model.nodes.len());
                model.nodes[at].pins += 1;
                states.pin(model.nodes[at].id).unwrap();
            }
            Op::Unpin(at) => {
                let at = at.index(model.nodes.len());
                let is_pinned = model.nodes[at].pins > 0;
                assert_eq!(states.unpin(model.nodes[at].id).is_ok(), is_pinned);
                model.nodes[at].pins = model.nodes[at].pins.saturating_sub(1);
            }
            Op::Prune(live) => {
                let live: Vec<NodeId> =
                    live.iter().filter_map(|at| Some(model.any(at)?.id)).collect();
                let needed = model.needed(&live);
                let before = model.nodes.len();
                model.nodes.retain(|node| {
                    let stays = needed.contains(&node.id);
                    if !stays {
                        model.gone.push(node.id);
                    }
                    stays
                });
                for node in &mut model.nodes {
                    node.parent = node.parent.filter(|parent| needed.contains(parent));
                }
                let pruned = states.prune_unreachable(live).unwrap();
                assert_eq!(pruned.nodes, (before - model.nodes.len()) as u64);
            }
            // What was stored must not be the only thing that is left of a state.
            Op::Lose if can_replay => {
                let is_root = |object: &ContentHash| {
                    let Ok(bytes) = shelf.get(object) else { return false };
                    let state = DeltaObject::parse(&bytes).unwrap();
                    let state: State =
                        state.edits().filter_map(|edit| Some((edit.key, edit.value?))).collect();
                    model
                        .nodes
                        .iter()
                        .any(|node| node.parent.is_none() && whole(&node.state) == state)
                };
                let lost: Vec<ContentHash> =
                    states.objects().filter(|object| !is_root(object)).collect();
                lost.iter().for_each(|object| _ = shelf.delete(object).unwrap());
            }
            Op::Lose => {}
        }
        for node in &model.nodes {
            let parent = states.parent(node.id).unwrap().map(|(parent, _)| parent);
            assert_eq!(parent, node.parent);
        }
        for node in &model.gone {
            assert!(states.backtrack_to(*node).is_err(), "the id of a pruned node");
        }
        let statistics = states.statistics();
        assert_eq!(statistics.nodes, model.nodes.len() as u64);
    }
    // In the end all is still there, and nothing is once it is pruned.
    for node in &model.nodes {
        assert_eq!(entries(states.backtrack_to(node.id).unwrap()), node.state);
        (0..node.pins).for_each(|_| states.unpin(node.id).unwrap());
    }
    states.prune_unreachable([]).unwrap();
    let bytes = states.statistics().bytes;
    assert_eq!((bytes.inline, bytes.resident, bytes.stored), (0, 0, 0));
}

proptest! {
    #[test]
    fn whatever_is_done_states_are_those_of_whole_maps(
        ops in ops(),
        limit in prop_oneof![Just(0), 0..2000u64, Just(u64::MAX)],
        with_store in any::<bool>(),
        with_game in any::<bool>(),
    ) {
        run(&ops, limit, with_store, with_game);
    }

    #[test]
    fn any_bytes_are_refused_or_are_the_one_encoding_of_a_delta(
        edits in prop::collection::btree_map(vec(any::<u8>(), 0..4), prop::option::of(vec(any::<u8>(), 0..4)), 0..5),
        at in any::<Index>(),
        byte in any::<u8>(),
    ) {
        let edits = edits.iter().map(|(key, value)| match value {
            Some(value) => Edit::write(key, &value[..]),
            None => Edit::whiteout(key),
        });
        let mut bytes = encode_delta(edits.clone()).unwrap();
        prop_assert!(DeltaObject::parse(&bytes).unwrap().edits().eq(edits));
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(delta) = DeltaObject::parse(&bytes) {
            prop_assert_eq!(encode_delta(delta.edits()).unwrap(), bytes);
        }
    }
}
