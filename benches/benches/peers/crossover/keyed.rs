// SPDX-License-Identifier: MIT
//! States that map keys to values, kept in six ways.
//!
//! The keys are the numbers from 0 on, so that an array may hold the values of those who copy or undo: nothing copies faster. A move
//! reads the value of each key that it changes, and makes the new one of it; so a state that was restored wrongly shows in all that
//! follow from it. A playout goes to a state, makes a move, keeps the new state to come back to, and values it by reading
//! [`READ`] of its keys.

use std::ops::Deref;
use std::rc::Rc;

use cascow_core::hash::HashKind;
use cascow_core::manager::{Action, Host, Limits, NoStore, NodeId, StateManager, View};
use cascow_core::snapshot::Edit;
use cascow_core::store::ObjectStore;
use cascow_native::store::{Store, StoreKind};
use imbl::OrdMap;
use tempfile::TempDir;

use super::Arm;
use super::path::{Path, Step};

const KIND: HashKind = HashKind::Sha256;

/// Bytes of a value. That is what a state's size is counted in; keys come on top where they are stored at all.
pub(crate) const VALUE_LEN: usize = 64;

/// Keys that are read to value a state.
pub(crate) const READ: u64 = 16;

type Value = [u8; VALUE_LEN];

/// The rules: how many keys there are, a power of two, and how many of them a move changes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) keys: u64,
    pub(crate) changed: u64,
}

impl Rules {
    /// The value that a key has at first.
    fn first(key: u64) -> Value {
        let mut value = [0; VALUE_LEN];
        for (place, bytes) in (0..).zip(value.as_chunks_mut().0) {
            *bytes = mixed(key ^ place << 56).to_le_bytes();
        }
        value
    }

    fn start(self) -> Vec<Value> {
        (0..self.keys).map(Self::first).collect()
    }

    /// The keys that a move changes, all different, in no order: an odd stride comes to each of a power of two.
    fn changes(self, seed: u64) -> impl Iterator<Item = u64> {
        let (first, stride) = (mixed(seed), mixed(!seed) | 1);
        (0..self.changed)
            .map(move |number| first.wrapping_add(number.wrapping_mul(stride)) & (self.keys - 1))
    }

    /// What a value becomes.
    fn change(seed: u64, value: &mut Value) {
        let (number, _) = value.split_first_chunk_mut().expect("a value is longer");
        *number = mixed(u64::from_le_bytes(*number) ^ seed).to_le_bytes();
    }

    /// What a state is worth.
    fn worth<'v>(self, seed: u64, value: impl Fn(u64) -> &'v [u8]) -> u64 {
        // Half of them are keys that the move has changed, if it has changed so many.
        let half = usize::try_from(READ / 2).unwrap_or(0);
        let any = (0..READ).map(|number| mixed(seed ^ mixed(number)) & (self.keys - 1));
        let keys = self.changes(seed).take(half).chain(any).take(2 * half);
        keys.fold(seed, |sum, key| {
            let number = value(key).first_chunk().expect("a value is longer");
            sum.rotate_left(7) ^ u64::from_le_bytes(*number)
        })
    }

    /// A number for a whole state.
    fn digest<'v>(self, value: impl Fn(u64) -> &'v [u8]) -> u64 {
        let words = |key| value(key).as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes));
        (0..self.keys).flat_map(words).fold(0, |sum, word| mixed(sum ^ word))
    }
}

/// A mixing of 64 bits that loses none (the finaliser of SplitMix64: Steele et al., "Fast splittable pseudorandom number generators",
/// 2014).
pub(crate) const fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}

fn place(key: u64) -> usize {
    usize::try_from(key).expect("a key is a place in memory")
}

fn change_all(rules: Rules, seed: u64, values: &mut [Value]) {
    rules.changes(seed).for_each(|key| Rules::change(seed, &mut values[place(key)]));
}

/// Each node has a state of its own.
pub(crate) struct Cloned {
    rules: Rules,
    states: Vec<Vec<Value>>,
}

impl Cloned {
    pub(crate) fn new(rules: Rules) -> Self {
        Self { rules, states: vec![rules.start()] }
    }
}

impl Arm for Cloned {
    fn playout(&mut self, Step { parent, seed }: Step) -> u64 {
        let mut state = self.states[parent].clone();
        change_all(self.rules, seed, &mut state);
        let worth = self.rules.worth(seed, |key| &state[place(key)]);
        self.states.push(state);
        worth
    }

    fn digest(&mut self, node: usize) -> u64 {
        let state = &self.states[node];
        self.rules.digest(|key| &state[place(key)])
    }
}

/// Nodes know the move that led to them; their states are made anew from the first, in the same memory each time.
pub(crate) struct Replayed {
    rules: Rules,
    start: Vec<Value>,
    state: Vec<Value>,
    path: Path,
}

impl Replayed {
    pub(crate) fn new(rules: Rules) -> Self {
        let start = rules.start();
        Self { rules, state: start.clone(), start, path: Path::new() }
    }
}

impl Replayed {
    fn go(&mut self, node: usize) {
        self.state.copy_from_slice(&self.start);
        for seed in self.path.way_to(node) {
            change_all(self.rules, seed, &mut self.state);
        }
    }
}

impl Arm for Replayed {
    fn playout(&mut self, step: Step) -> u64 {
        self.go(step.parent);
        change_all(self.rules, step.seed, &mut self.state);
        self.path.push(step);
        self.rules.worth(step.seed, |key| &self.state[place(key)])
    }

    fn digest(&mut self, node: usize) -> u64 {
        self.go(node);
        self.rules.digest(|key| &self.state[place(key)])
    }
}

/// One state, in which moves are made and taken back: from where it stands to the last node that both have in common, then on.
pub(crate) struct Undone {
    rules: Rules,
    state: Vec<Value>,
    path: Path,
    /// What the moves from the root to where the state stands have overwritten.
    undone: Vec<(u64, Value)>,
}

impl Undone {
    pub(crate) fn new(rules: Rules) -> Self {
        Self { rules, state: rules.start(), path: Path::new(), undone: Vec::new() }
    }
}

impl Undone {
    fn make(&mut self, seed: u64) {
        make(self.rules, seed, &mut self.state, &mut self.undone);
    }

    fn go(&mut self, node: usize) {
        let Self { rules, state, path, undone } = self;
        let (back, on) = path.go_to(node);
        for _ in 0..back * place(rules.changed) {
            let (key, value) = undone.pop().expect("as many as were made");
            state[place(key)] = value;
        }
        on.for_each(|seed| make(*rules, seed, state, undone));
    }
}

fn make(rules: Rules, seed: u64, state: &mut [Value], undone: &mut Vec<(u64, Value)>) {
    for key in rules.changes(seed) {
        let value = &mut state[place(key)];
        undone.push((key, *value));
        Rules::change(seed, value);
    }
}

impl Arm for Undone {
    fn playout(&mut self, step: Step) -> u64 {
        self.go(step.parent);
        self.make(step.seed);
        self.path.push_and_stand(step);
        self.rules.worth(step.seed, |key| &self.state[place(key)])
    }

    fn digest(&mut self, node: usize) -> u64 {
        self.go(node);
        self.rules.digest(|key| &self.state[place(key)])
    }
}

/// Each node has a map that shares with its parent's what is the same.
pub(crate) struct Imbl {
    rules: Rules,
    states: Vec<OrdMap<u64, Value>>,
}

impl Imbl {
    pub(crate) fn new(rules: Rules) -> Self {
        let start = (0..rules.keys).map(|key| (key, Rules::first(key)));
        Self { rules, states: vec![start.collect()] }
    }
}

impl Arm for Imbl {
    fn playout(&mut self, Step { parent, seed }: Step) -> u64 {
        let mut state = self.states[parent].clone();
        for key in self.rules.changes(seed) {
            Rules::change(seed, state.get_mut(&key).expect("all states have the same keys"));
        }
        let worth = self.rules.worth(seed, |key| &state[&key]);
        self.states.push(state);
        worth
    }

    fn digest(&mut self, node: usize) -> u64 {
        let state = &self.states[node];
        self.rules.digest(|key| &state[&key])
    }
}

/// A state manager, with or without a store.
pub(crate) struct Cascow<S> {
    rules: Rules,
    manager: StateManager<S>,
    nodes: Vec<NodeId>,
    changes: Vec<([u8; 8], Value)>,
    _dir: Option<TempDir>,
}

impl Cascow<NoStore> {
    /// All in memory.
    pub(crate) fn in_memory(rules: Rules) -> Self {
        Self::new(rules, StateManager::new(Limits::default(), Host::new(KIND)), None)
    }
}

impl Cascow<Rc<Store>> {
    /// Besides the first state, memory for a tenth of the new values that so many moves make; all else in a new store, not synced.
    pub(crate) fn on_disk(rules: Rules, moves: usize) -> Self {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
        let store = Store::open(StoreKind::Segments, KIND, dir.path()).expect("a store");
        let first = Cascow::in_memory(rules).manager.statistics().bytes.resident;
        let values = moves as u64 * rules.changed * (8 + VALUE_LEN as u64);
        let limits = Limits { resident_bytes: first + values / 10, ..Limits::default() };
        let manager = StateManager::new(limits, Host::new(KIND).store(Rc::new(store)));
        Self::new(rules, manager, Some(dir))
    }
}

impl<S: Deref<Target: ObjectStore>> Cascow<S> {
    fn new(rules: Rules, mut manager: StateManager<S>, dir: Option<TempDir>) -> Self {
        let start: Vec<([u8; 8], Value)> =
            (0..rules.keys).map(|key| (key.to_be_bytes(), Rules::first(key))).collect();
        let edits: Vec<Edit<'_>> =
            start.iter().map(|(key, value)| Edit::write(key, value)).collect();
        let root = manager.create_root(&edits[..]).expect("there is room").node;
        Self { rules, manager, nodes: vec![root], changes: Vec::new(), _dir: dir }
    }
}

impl<S: Deref<Target: ObjectStore>> Arm for Cascow<S> {
    fn playout(&mut self, Step { parent, seed }: Step) -> u64 {
        let parent = self.nodes[parent];
        let view = self.manager.backtrack_to(parent).expect("it is there");
        self.changes.clear();
        self.changes.extend(self.rules.changes(seed).map(|key| {
            let key = key.to_be_bytes();
            let mut value = bytes(&view, &key).try_into().expect("it has a value's length");
            Rules::change(seed, &mut value);
            (key, value)
        }));
        let edits: Vec<Edit<'_>> =
            self.changes.iter().map(|(key, value)| Edit::write(key, value)).collect();
        let created = self.manager.create_node(parent, Action(0), &edits[..]);
        let node = created.expect("there is room").node;
        self.nodes.push(node);
        let view = self.manager.backtrack_to(node).expect("it is there");
        self.rules.worth(seed, |key| bytes(&view, &key.to_be_bytes()))
    }

    fn digest(&mut self, node: usize) -> u64 {
        let view = self.manager.backtrack_to(self.nodes[node]).expect("it is there");
        self.rules.digest(|key| bytes(&view, &key.to_be_bytes()))
    }

    fn disk_bytes(&self) -> u64 {
        self.manager.statistics().bytes.stored
    }
}

fn bytes<'m>(view: &View<'m>, key: &[u8]) -> &'m [u8] {
    view.get(key).expect("all states have the same keys").bytes
}
