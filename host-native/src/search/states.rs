// SPDX-License-Identifier: MIT
//! The states that a search knows.
//!
//! Which states are one, what their roots are, how they differ and which are still needed is the business of the core's
//! [`StateManager`]. It is lent neither a store nor a game: a directory is not made of a state's keys and values but of an
//! [`Origin`], which shares all that did not change with those around it, so every state of the search has one, and none
//! would come back from being evicted any cheaper. What is lost on disk is made again by running its action again.
//!
//! A position is a state and which `once` actions were used up on the way to it. The engine knows it by a handle.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use cascow_core::hash::HashKind;
use cascow_core::manager::{Action, Host, Limits, ManagerError, NodeId, StateManager};
use cascow_core::merkle::StateRoot;
use cascow_core::snapshot::{Change, Delta, State, Value};

use super::Score;
use crate::Error;
use crate::workspace::Origin;

/// A state of the search.
pub(super) type StateId = NodeId;

/// A position, as the engine knows it.
pub(super) type Handle = u32;

/// Which actions are used up.
pub(super) type Used = Arc<BTreeSet<u32>>;

/// Bytes that a state takes besides its delta: its part of the map from paths to entries that is shared with its parent's, and its
/// places in tables. Measured once over states of one changed file among 10,000; a rule of thumb, on which no result depends
/// but what a search of few bytes forgets first.
const STATE_BYTES: u64 = 4608;

/// A position.
#[derive(Clone, Debug)]
pub(super) struct Position {
    pub(super) state: StateId,
    pub(super) root: StateRoot,
    pub(super) used: Used,
}

/// How a path differs between two states.
#[derive(Debug)]
pub(super) struct Difference {
    pub(super) change: Change,
    pub(super) before: Option<Value>,
    pub(super) after: Option<Value>,
}

/// All states, positions and scores.
#[derive(Debug)]
pub(super) struct States {
    manager: StateManager,
    base: StateId,
    origins: HashMap<StateId, Origin>,
    scores: HashMap<StateId, Score>,
    /// What can be made again neither from objects nor by its action, and why.
    lost: HashMap<StateId, String>,
    positions: HashMap<Handle, Position>,
    handles: HashMap<(StateId, Used), Handle>,
    next: Handle,
}

impl States {
    /// With the state that a search begins with, at the position that has its handle.
    pub(super) fn new(
        kind: HashKind,
        base: &State,
        origin: Origin,
    ) -> Result<(Self, Handle), Error> {
        let mut manager = StateManager::new(Limits::default(), Host::new(kind));
        let base = manager.create_root(&State::new().delta_to(base)).map_err(refused)?.node;
        let mut states = Self {
            manager,
            base,
            origins: HashMap::from([(base, origin)]),
            scores: HashMap::new(),
            lost: HashMap::new(),
            positions: HashMap::new(),
            handles: HashMap::new(),
            next: 0,
        };
        let handle = states.handle(base, Used::default())?;
        Ok((states, handle))
    }

    pub(super) const fn base(&self) -> StateId {
        self.base
    }

    /// The state that an action makes of another by a delta. What makes its origin is called if it was not met before.
    pub(super) fn enter(
        &mut self,
        from: StateId,
        action: u32,
        delta: &Delta,
        origin: impl FnOnce(&Origin) -> Origin,
    ) -> Result<(StateId, StateRoot), Error> {
        let created = self.manager.create_node(from, Action(action), delta).map_err(refused)?;
        let root = self.root(created.node)?;
        if !self.origins.contains_key(&created.node) {
            let origin = origin(self.origin(from)?);
            self.origins.insert(created.node, origin);
        }
        Ok((created.node, root))
    }

    /// What a state's directories are made of.
    pub(super) fn origin(&self, state: StateId) -> Result<&Origin, Error> {
        self.origins.get(&state).ok_or_else(|| unknown(&state))
    }

    /// Puts another origin in the place of one that is of no use any more.
    pub(super) fn replace_origin(&mut self, state: StateId, origin: Origin) {
        self.origins.insert(state, origin);
    }

    pub(super) fn root(&mut self, state: StateId) -> Result<StateRoot, Error> {
        self.manager.root(state).map_err(|error| refused(error.into()))
    }

    /// The state that has a root, if it is known.
    pub(super) fn find(&mut self, root: &StateRoot) -> Option<StateId> {
        self.manager.find(root)
    }

    /// The state that another was first made of, with the action.
    pub(super) fn parent(&self, state: StateId) -> Result<Option<(StateId, u32)>, Error> {
        let parent = self.manager.parent(state).map_err(|error| refused(error.into()))?;
        Ok(parent.map(|(parent, action)| (parent, action.0)))
    }

    /// The whole state. O(n log n).
    pub(super) fn state(&mut self, state: StateId) -> Result<State, Error> {
        let view = self.manager.backtrack_to(state).map_err(refused)?;
        Ok(view.iter().collect())
    }

    /// How two states differ, ascending by path.
    pub(super) fn differences(&mut self, a: StateId, b: StateId) -> Result<Vec<Difference>, Error> {
        let changes = self.manager.state_diff(a, b).map_err(refused)?;
        let mut sides = Vec::with_capacity(2);
        for state in [a, b] {
            let view = self.manager.backtrack_to(state).map_err(refused)?;
            let values = changes.iter().map(|change| view.get(&change.key).map(Value::from));
            sides.push(values.collect::<Vec<_>>());
        }
        let after = sides.pop().unwrap_or_default();
        let before = sides.pop().unwrap_or_default();
        let sides = before.into_iter().zip(after);
        let difference = |(change, (before, after))| Difference { change, before, after };
        Ok(changes.into_iter().zip(sides).map(difference).collect())
    }

    /// What a state maps a path to.
    pub(super) fn value(&mut self, state: StateId, path: &[u8]) -> Result<Option<Value>, Error> {
        Ok(self.manager.backtrack_to(state).map_err(refused)?.get(path).map(Value::from))
    }

    /// What is known of a state, once it was scored.
    pub(super) fn score(&self, state: StateId) -> Option<&Score> {
        self.scores.get(&state)
    }

    pub(super) fn set_score(&mut self, state: StateId, score: Score) {
        self.scores.insert(state, score);
    }

    /// Why a state is lost, if it is.
    pub(super) fn loss(&self, state: StateId) -> Option<&str> {
        self.lost.get(&state).map(String::as_str)
    }

    pub(super) fn lose(&mut self, state: StateId, reason: String) {
        self.lost.insert(state, reason);
    }

    pub(super) fn lost_len(&self) -> usize {
        self.lost.len()
    }

    /// The position that a handle, which came from here, stands for.
    pub(super) fn position(&self, handle: Handle) -> Result<&Position, Error> {
        self.positions.get(&handle).ok_or_else(|| {
            Error::Damaged(format!(
                "the search has no position {handle}; its journal does not fit it"
            ))
        })
    }

    /// The handle of a state with these actions used up.
    pub(super) fn handle(&mut self, state: StateId, used: Used) -> Result<Handle, Error> {
        let key = (state, Arc::clone(&used));
        if let Some(handle) = self.handles.get(&key) {
            return Ok(*handle);
        }
        let root = self.root(state)?;
        let handle = self.next;
        self.next = handle.checked_add(1).ok_or_else(|| {
            Error::Misuse("a search has fewer than 2^32 positions; begin another".to_owned())
        })?;
        self.handles.insert(key, handle);
        self.positions.insert(handle, Position { state, root, used });
        Ok(handle)
    }

    /// Bytes of memory that the states take, about. What only a running search has does not count, so that one that was resumed
    /// forgets the same.
    pub(super) fn bytes(&self) -> u64 {
        let statistics = self.manager.statistics();
        statistics.bytes.resident + STATE_BYTES * statistics.nodes
    }

    /// Forgets all positions but these, and the states that none of them needs, nor the base and `best`.
    pub(super) fn retain(&mut self, handles: &HashSet<Handle>, best: StateId) -> Result<(), Error> {
        self.positions.retain(|handle, _| handles.contains(handle));
        self.handles.retain(|_, handle| handles.contains(handle));
        let live = self.positions.values().map(|position| position.state);
        let live: Vec<StateId> = live.chain([self.base, best]).collect();
        self.manager.prune_unreachable(live).map_err(|error| refused(error.into()))?;
        let Self { manager, origins, scores, lost, .. } = self;
        let stays = |state: &StateId| manager.parent(*state).is_ok();
        origins.retain(|state, _| stays(state));
        scores.retain(|state, _| stays(state));
        lost.retain(|state, _| stays(state));
        Ok(())
    }
}

fn unknown(state: &StateId) -> Error {
    Error::Damaged(format!("the search has no state {state}; its journal does not fit it"))
}

fn refused(error: ManagerError<std::convert::Infallible>) -> Error {
    match error {
        ManagerError::Tree(error) => Error::Tree(error),
        // Its ids come from a journal, which may be anybody's.
        error => Error::Damaged(format!("the search's states do not fit: {error}")),
    }
}
