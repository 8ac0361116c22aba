// SPDX-License-Identifier: MIT
//! The manager: nodes are made, gone to, compared and pinned. How states go and come back is in its neighbours.

use alloc::vec::Vec;
use core::ops::Deref;

use hashbrown::HashMap;

use super::cost::Costs;
use super::fingerprint::{Fingerprint, Fingerprints};
use super::nodes::{Form, Inline, Keyed, Nodes, Place};
use super::statistics::Counts;
use super::{
    Action, Cache, Clock, Footprint, Host, Latencies, Lru, ManagerError, NoClock, NoReplay,
    NoStore, NodeId, Replay, Statistics, UnknownNode, View,
};
use crate::hash::ContentHash;
use crate::merkle::StateRoot;
use crate::snapshot::{
    Change, ChangeKind, Cursor, Delta, Edit, SnapshotId, SnapshotTree, State, TreeError,
};
use crate::store::{ObjectStore, StoreError};

/// What a manager may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Memory of resident states, in bytes. Over it, states are evicted; those in view and pinned stay, and those above
    /// resident ones.
    pub resident_bytes: u64,
    /// Number of nodes.
    pub nodes: u32,
}

impl Default for Limits {
    /// Whatever there is.
    fn default() -> Self {
        Self { resident_bytes: u64::MAX, nodes: u32::MAX }
    }
}

/// A new node's state: bytes that say all of it, or what changed since its parent's.
#[derive(Clone, Copy, Debug)]
pub enum Content<'a> {
    /// All of an inline state: at most [`INLINE_LEN`](super::INLINE_LEN) bytes.
    Bytes(&'a [u8]),
    /// Changes, of which the last to a key counts.
    Edits(&'a [Edit<'a>]),
    /// Changes.
    Delta(&'a Delta),
}

impl<'a> From<&'a [u8]> for Content<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(bytes)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Content<'a> {
    fn from(bytes: &'a [u8; N]) -> Self {
        Self::Bytes(bytes)
    }
}

impl<'a> From<&'a [Edit<'a>]> for Content<'a> {
    fn from(edits: &'a [Edit<'a>]) -> Self {
        Self::Edits(edits)
    }
}

impl<'a, const N: usize> From<&'a [Edit<'a>; N]> for Content<'a> {
    fn from(edits: &'a [Edit<'a>; N]) -> Self {
        Self::Edits(edits)
    }
}

impl<'a> From<&'a Delta> for Content<'a> {
    fn from(delta: &'a Delta) -> Self {
        Self::Delta(delta)
    }
}

/// What became of a state that was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Created {
    /// Its node.
    pub node: NodeId,
    /// Whether it was met for the first time. If not, the node's parent and action are those of that time.
    pub is_new: bool,
}

/// States as nodes of a forest. See [the module](super).
///
/// ```
/// # #[cfg(feature = "sha256")] {
/// use cascow_core::hash::HashKind;
/// use cascow_core::manager::{Action, Host, Limits, ManagerError, StateManager};
/// use cascow_core::snapshot::Edit;
///
/// let mut states = StateManager::new(Limits::default(), Host::new(HashKind::Sha256));
/// let start = states.create_root(&[Edit::write(b"x", b"0"), Edit::write(b"y", b"0")])?.node;
/// let right = states.create_node(start, Action(0), &[Edit::write(b"x", b"1")])?.node;
/// let up = states.create_node(start, Action(1), &[Edit::write(b"y", b"1")])?.node;
///
/// // The same place by two ways is one node.
/// let one = states.create_node(right, Action(1), &[Edit::write(b"y", b"1")])?;
/// let other = states.create_node(up, Action(0), &[Edit::write(b"x", b"1")])?;
/// assert!(one.is_new && !other.is_new && one.node == other.node);
///
/// assert_eq!(states.backtrack_to(right)?.get(b"y").unwrap().bytes, b"0");
/// assert_eq!(states.state_diff(right, up)?.len(), 2);
/// # }
/// # Ok::<(), cascow_core::manager::ManagerError>(())
/// ```
#[derive(Debug)]
pub struct StateManager<S = NoStore, R = NoReplay, K = NoClock, C = Lru> {
    pub(super) limits: Limits,
    pub(super) host: Host<S, R, K, C>,
    pub(super) nodes: Nodes,
    fingerprints: Fingerprints,
    pub(super) tree: SnapshotTree,
    /// Wherever it was needed last; its snapshot may be gone.
    pub(super) cursor: Option<Cursor>,
    /// The keyed node in view, which stays resident.
    pub(super) current: Option<u32>,
    /// How often a slot is pinned.
    pub(super) pins: HashMap<u32, u32>,
    pub(super) costs: Costs,
    pub(super) counts: Counts,
    pub(super) store_error: Option<StoreError>,
}

impl<S, R, K, C> StateManager<S, R, K, C>
where
    S: Deref<Target: ObjectStore>,
    R: Replay,
    K: Clock,
    C: Cache,
{
    /// A manager without nodes.
    pub fn new(limits: Limits, host: Host<S, R, K, C>) -> Self {
        Self {
            limits,
            nodes: Nodes::new(limits.nodes, host.kind),
            host,
            fingerprints: Fingerprints::default(),
            tree: SnapshotTree::new(),
            cursor: None,
            current: None,
            pins: HashMap::new(),
            costs: Costs::default(),
            counts: Counts::default(),
            store_error: None,
        }
    }

    /// Adds a node without a parent; edits are changes to the empty state. Cost of [`StateManager::create_node`].
    ///
    /// # Errors
    /// As [`StateManager::create_node`].
    pub fn create_root<'a>(
        &mut self,
        state: impl Into<Content<'a>>,
    ) -> Result<Created, ManagerError<R::Error>> {
        self.create(None, Action::default(), state.into())
    }

    /// Adds the state that `action` leads to, unless it is a node already. O(1) for bytes. For k edits O(k log k), once the
    /// parent's state is restored and read; and the comparison of two states if there is a node that could be the same. No
    /// root is computed, unless for that it must be compared with one that was evicted. A new keyed state stays in memory
    /// as if it were in view.
    ///
    /// # Errors
    /// [`ManagerError::Unknown`], [`ManagerError::Full`], [`ManagerError::TooLong`], [`ManagerError::Form`],
    /// [`ManagerError::Tree`], and those of restoring the parent's state: [`StateManager::backtrack_to`].
    pub fn create_node<'a>(
        &mut self,
        parent: NodeId,
        action: Action,
        state: impl Into<Content<'a>>,
    ) -> Result<Created, ManagerError<R::Error>> {
        let parent = self.nodes.check(parent)?;
        self.create(Some(parent), action, state.into())
    }

    /// A node's state, to be read. O(1) for an inline one. For one that is resident, the deltas between it and the state read
    /// last; for another, first the deltas to the nearest ancestor that is, each by the way that is expected to be cheaper.
    /// The state stays in memory at least as long as it is in view, until another is.
    ///
    /// If it fails, no node is changed. A delta that cannot be loaded is replayed if there is a game; the error is then the
    /// game's.
    ///
    /// # Errors
    /// [`ManagerError::Unknown`], [`ManagerError::Lost`], [`ManagerError::Replay`], [`ManagerError::Nondeterministic`],
    /// [`ManagerError::Tree`].
    #[inline]
    pub fn backtrack_to(&mut self, node: NodeId) -> Result<View<'_>, ManagerError<R::Error>> {
        let slot = self.nodes.check(node)?;
        if let Form::Inline(_) = self.nodes.form(slot) {
            self.counts.hits += 1;
        } else {
            self.reach(slot)?;
        }
        Ok(self.view(slot))
    }

    /// How the state of `b` differs from that of `a`, ascending by key. For keyed states under one root, the deltas between
    /// them, once they are restored; otherwise both states. An inline state is one value under the empty key.
    ///
    /// # Errors
    /// As [`StateManager::backtrack_to`].
    pub fn state_diff(
        &mut self,
        a: NodeId,
        b: NodeId,
    ) -> Result<Vec<Change>, ManagerError<R::Error>> {
        let sides = [self.nodes.check(a)?, self.nodes.check(b)?];
        if let [Form::Inline(a), Form::Inline(b)] = sides.map(|slot| *self.nodes.form(slot)) {
            let kind = ChangeKind::between(Some(a.bytes().into()), Some(b.bytes().into()));
            return Ok(kind.map(|kind| Change { key: [].into(), kind }).into_iter().collect());
        }
        // Nothing is evicted before both were read.
        let mut snapshots = [None; 2];
        for (slot, snapshot) in sides.into_iter().zip(&mut snapshots) {
            if self.nodes.keyed(slot).is_some() {
                *snapshot = Some(self.restore(slot)?.snapshot);
                self.host.cache.touch(self.nodes.id(slot));
            }
        }
        let related = match snapshots {
            [Some(a), Some(b)] => match self.tree.diff(a, b) {
                Err(TreeError::Unrelated { .. }) => None,
                diff => Some(diff?),
            },
            _ => None,
        };
        let changes = match related {
            Some(changes) => changes,
            None => {
                let [a, b] = [(sides[0], snapshots[0]), (sides[1], snapshots[1])]
                    .map(|(slot, snapshot)| self.whole_state(slot, snapshot));
                a?.diff(&b?)
            }
        };
        self.evict_excess();
        Ok(changes)
    }

    /// The commitment to a node's state. For a keyed one, the hashes of [`Cursor::trie`] the first time, O(1) from then on;
    /// four hashes for an inline one, which is committed to as the one value under the empty key.
    ///
    /// # Errors
    /// [`UnknownNode`].
    pub fn root(&mut self, node: NodeId) -> Result<StateRoot, UnknownNode> {
        let slot = self.nodes.check(node)?;
        if let Form::Inline(inline) = self.nodes.form(slot) {
            return Ok(inline.root(self.host.kind));
        }
        self.known_root(slot).ok_or(UnknownNode { node })
    }

    /// The node whose state has a root. O(1) if it was asked for its root or evicted before; otherwise all roots that are not
    /// known are computed first.
    pub fn find(&mut self, root: &StateRoot) -> Option<NodeId> {
        if self.nodes.find_root(root).is_none() && !self.nodes.is_indexed() {
            for slot in self.nodes.slots() {
                match self.nodes.form(slot) {
                    Form::Inline(inline) => {
                        let root = inline.root(self.host.kind);
                        self.nodes.index_root(slot, root);
                    }
                    _ => _ = self.known_root(slot),
                }
            }
        }
        self.nodes.find_root(root).map(|slot| self.nodes.id(slot))
    }

    /// The node whose inline state is these bytes. O(1), no hash.
    pub fn find_bytes(&self, bytes: &[u8]) -> Option<NodeId> {
        self.nodes.find_bytes(bytes).map(|slot| self.nodes.id(slot))
    }

    /// The node that `node` was first reached from, with the action that led from there; `None` of a root, and of an inline
    /// node whose parent was pruned. O(1).
    ///
    /// # Errors
    /// [`UnknownNode`].
    pub fn parent(&self, node: NodeId) -> Result<Option<(NodeId, Action)>, UnknownNode> {
        let slot = self.nodes.check(node)?;
        let parent = self.nodes.parent(slot);
        Ok(parent.map(|parent| (self.nodes.id(parent), self.nodes.action(slot))))
    }

    /// Whether a node's state is at hand: inline or resident. O(1).
    ///
    /// # Errors
    /// [`UnknownNode`].
    pub fn is_resident(&self, node: NodeId) -> Result<bool, UnknownNode> {
        let slot = self.nodes.check(node)?;
        let place = self.nodes.keyed(slot).map(|keyed| keyed.place);
        Ok(place.is_none_or(|place| matches!(place, Place::Resident { .. })))
    }

    /// Keeps a node from being pruned, and its state, if it is resident or once it is, from being evicted; as often as it is
    /// pinned it must be unpinned. O(1).
    ///
    /// # Errors
    /// [`UnknownNode`].
    pub fn pin(&mut self, node: NodeId) -> Result<(), UnknownNode> {
        let slot = self.nodes.check(node)?;
        let count = self.pins.entry(slot).or_insert(0);
        *count = count.saturating_add(1);
        self.host.cache.remove(node);
        Ok(())
    }

    /// Takes back one [`StateManager::pin`]. O(1), but for what is evicted now.
    ///
    /// # Errors
    /// [`ManagerError::Unknown`], [`ManagerError::NotPinned`].
    pub fn unpin(&mut self, node: NodeId) -> Result<(), ManagerError<R::Error>> {
        let slot = self.nodes.check(node)?;
        let count = self.pins.get_mut(&slot).ok_or(ManagerError::NotPinned { node })?;
        *count -= 1;
        if *count == 0 {
            self.pins.remove(&slot);
            self.offer(slot);
            self.evict_excess();
        }
        Ok(())
    }

    /// The objects that stored states are in, of some more than once: what a collector of the store must keep.
    pub fn objects(&self) -> impl Iterator<Item = ContentHash> {
        self.nodes.slots().filter_map(|slot| match self.nodes.keyed(slot)?.place {
            Place::Stored { object, .. } => Some(object),
            _ => None,
        })
    }

    /// Why the store last refused an evicted state, which has then stayed in memory or is replayed.
    pub const fn store_error(&self) -> Option<&StoreError> {
        self.store_error.as_ref()
    }

    /// What the manager holds and has done. O(1).
    pub fn statistics(&self) -> Statistics {
        let counts = &self.counts;
        let inline = Nodes::SLOT_BYTES as u64 * u64::from(self.nodes.inline_len());
        Statistics {
            nodes: u64::from(self.nodes.len()),
            hits: counts.hits,
            misses: counts.misses,
            replays: counts.replays,
            loads: counts.loads,
            failed_loads: counts.failed_loads,
            evictions: counts.evictions,
            failed_stores: counts.failed_stores,
            transpositions: counts.transpositions,
            is_limit_exceeded: counts.resident_bytes > self.limits.resident_bytes,
            bytes: Footprint {
                inline,
                resident: counts.resident_bytes,
                stored: counts.stored_bytes,
                index: (self.nodes.index_bytes() + self.tree.key_table_bytes()) as u64,
            },
            latencies: Latencies {
                resident: counts.resident.latency(),
                loaded: counts.loaded.latency(),
                replayed: counts.replayed.latency(),
            },
        }
    }

    fn create(
        &mut self,
        parent: Option<u32>,
        action: Action,
        state: Content<'_>,
    ) -> Result<Created, ManagerError<R::Error>> {
        let is_inline = matches!(state, Content::Bytes(_));
        if let Some(parent) = parent
            && matches!(self.nodes.form(parent), Form::Inline(_)) != is_inline
        {
            return Err(ManagerError::Form { parent: self.nodes.id(parent) });
        }
        let (slot, is_new) = match state {
            Content::Bytes(bytes) => self.create_inline(parent, action, bytes)?,
            Content::Edits(edits) => self.create_keyed(parent, action, edits.iter().copied())?,
            Content::Delta(delta) => self.create_keyed(parent, action, delta.iter())?,
        };
        self.counts.transpositions += u64::from(!is_new);
        Ok(Created { node: self.nodes.id(slot), is_new })
    }

    fn create_inline(
        &mut self,
        parent: Option<u32>,
        action: Action,
        bytes: &[u8],
    ) -> Result<(u32, bool), ManagerError<R::Error>> {
        let state = Inline::new(bytes).ok_or(ManagerError::TooLong { found: bytes.len() })?;
        if let Some(known) = self.nodes.find_bytes(bytes) {
            return Ok((known, false));
        }
        self.check_room()?;
        Ok((self.nodes.add_inline(parent, action, state), true))
    }

    fn create_keyed<'a>(
        &mut self,
        parent: Option<u32>,
        action: Action,
        edits: impl Iterator<Item = Edit<'a>>,
    ) -> Result<(u32, bool), ManagerError<R::Error>> {
        let mut above = None;
        if let Some(parent) = parent {
            let snapshot = self.restore(parent)?.snapshot;
            self.stand_on(snapshot)?;
            self.set_current(parent);
            above = self.nodes.keyed(parent).map(|keyed| (snapshot, keyed.fingerprint));
        }
        let snapshot = self.attach(above.map(|(snapshot, _)| snapshot), edits)?;
        let fingerprint = self.fingerprint(above.map(|(_, fingerprint)| fingerprint), snapshot)?;
        for known in self.nodes.find_keyed(fingerprint) {
            if self.is_state_of(known, snapshot)? {
                self.discard(snapshot);
                self.evict_excess();
                return Ok((known, false));
            }
        }
        if let Err(full) = self.check_room() {
            self.discard(snapshot);
            return Err(full);
        }
        let edits = self.tree.edits_len(snapshot)? as u64;
        let state = Keyed { fingerprint, root: None, edits, place: Place::Replayable };
        let slot = self.nodes.add_keyed(parent, action, state);
        self.settle(slot, snapshot);
        self.set_current(slot);
        self.evict_excess();
        Ok((slot, true))
    }

    /// The fingerprint of a new snapshot, from that of its parent's state, on which the cursor stands.
    fn fingerprint(
        &self,
        above: Option<Fingerprint>,
        snapshot: SnapshotId,
    ) -> Result<Fingerprint, TreeError> {
        let mut fingerprint = above.unwrap_or_default();
        for Edit { key, value } in self.tree.edits(snapshot)? {
            let before = match (&self.cursor, above) {
                (Some(cursor), Some(_)) => cursor.get(&self.tree, key)?,
                _ => None,
            };
            fingerprint = self.fingerprints.change(fingerprint, key, before, value);
        }
        Ok(fingerprint)
    }

    /// Whether a snapshot's state is that of a keyed node.
    fn is_state_of(&mut self, slot: u32, snapshot: SnapshotId) -> Result<bool, TreeError> {
        let Some(known) = self.snapshot(slot) else {
            let root = self.known_root(slot);
            return Ok(Some(self.root_of(snapshot)?) == root);
        };
        match self.tree.diff(known, snapshot) {
            Err(TreeError::Unrelated { .. }) => {
                Ok(self.tree.state(known)? == self.tree.state(snapshot)?)
            }
            diff => Ok(diff?.is_empty()),
        }
    }

    /// The root of a keyed node's state, computed if it is not known yet. `None` of an inline node.
    pub(super) fn known_root(&mut self, slot: u32) -> Option<StateRoot> {
        let root = self.nodes.keyed(slot)?.root;
        if root.is_some() {
            return root;
        }
        let snapshot = self.snapshot(slot)?;
        let root = self.root_of(snapshot).ok()?;
        self.nodes.index_root(slot, root);
        Some(root)
    }

    fn check_room(&self) -> Result<(), ManagerError<R::Error>> {
        if self.nodes.is_full() {
            return Err(ManagerError::Full { nodes: self.nodes.len() });
        }
        Ok(())
    }

    /// The view of a node that is inline, or on whose snapshot the cursor stands.
    #[inline]
    fn view(&self, slot: u32) -> View<'_> {
        match (self.nodes.form(slot), &self.cursor) {
            (Form::Inline(inline), _) => View::of_bytes(inline.bytes()),
            (_, Some(cursor)) => View::of_keys(&self.tree, cursor),
            // Keyed nodes are there only after the cursor was made.
            (_, None) => View::of_bytes(&[]),
        }
    }

    fn whole_state(
        &self,
        slot: u32,
        snapshot: Option<SnapshotId>,
    ) -> Result<State, ManagerError<R::Error>> {
        match (snapshot, self.nodes.form(slot)) {
            (Some(snapshot), _) => Ok(self.tree.state(snapshot)?),
            (None, Form::Inline(inline)) => {
                Ok(core::iter::once((&[][..], inline.bytes())).collect())
            }
            (None, _) => Ok(State::new()),
        }
    }

    /// Lets the cursor stand on a snapshot of the tree.
    pub(super) fn stand_on(&mut self, snapshot: SnapshotId) -> Result<&mut Cursor, TreeError> {
        match &mut self.cursor {
            Some(cursor) => {
                cursor.move_to(&self.tree, snapshot)?;
                Ok(cursor)
            }
            none => Ok(none.insert(Cursor::at(&self.tree, snapshot)?)),
        }
    }
}

#[cfg(all(test, feature = "std", feature = "sha256"))]
mod tests {
    use super::*;
    use crate::hash::HashKind;
    use crate::store::MemoryStore;

    /// The states of a square of bits, each of which is met by as many ways as it has bits.
    fn square(bits: u32, limit: u64) -> (u64, u64) {
        let store = MemoryStore::new(HashKind::Sha256);
        let limits = Limits { resident_bytes: limit, ..Limits::default() };
        let mut states = StateManager::new(limits, Host::new(HashKind::Sha256).store(&store));
        states.fingerprints = Fingerprints::of_bits(bits);
        let mut row = std::vec![states.create_root(&Delta::new()).unwrap().node];
        for _ in 0..4 {
            let mut next = Vec::new();
            for node in row {
                for key in [b"a", b"b", b"c", b"d"] {
                    if states.backtrack_to(node).unwrap().get(key).is_none() {
                        let edits = [Edit::write(key, b"1")];
                        let created = states.create_node(node, Action(0), &edits).unwrap();
                        next.extend(created.is_new.then_some(created.node));
                    }
                }
            }
            row = next;
        }
        let statistics = states.statistics();
        (statistics.nodes, statistics.transpositions)
    }

    #[test]
    fn states_of_one_fingerprint_are_told_apart() {
        for bits in [0, 1, 3, 63] {
            for limit in [0, u64::MAX] {
                assert_eq!(square(bits, limit), (16, 17), "{bits} bits, {limit} bytes");
            }
        }
    }

    #[test]
    fn a_way_back_that_ends_halfway_leaves_no_snapshot_in_the_tree() {
        let store = MemoryStore::new(HashKind::Sha256);
        let limits = Limits { resident_bytes: 0, ..Limits::default() };
        let mut states = StateManager::new(limits, Host::new(HashKind::Sha256).store(&store));
        let root = states.create_root(&[Edit::write(b"a", b"0")]).unwrap().node;
        let middle = states.create_node(root, Action(0), &[Edit::write(b"a", b"1")]).unwrap().node;
        let end = states.create_node(middle, Action(0), &[Edit::write(b"a", b"2")]).unwrap().node;
        states.backtrack_to(root).unwrap();
        assert_eq!(states.tree.len(), 1);
        let last = states.objects().last().unwrap();
        store.delete(&last).unwrap();
        assert!(
            matches!(states.backtrack_to(end), Err(ManagerError::Lost { node, .. }) if node == end)
        );
        assert_eq!(states.tree.len(), 1, "the one in view");
    }
}
