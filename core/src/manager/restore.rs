// SPDX-License-Identifier: MIT
//! How states come back: up to the nearest ancestor whose state is resident, and down again, step by step.
//!
//! A step is a delta that is loaded, or an action that is done again and whose outcome is compared with the recorded root. The
//! way takes effect as a whole or not at all.

use alloc::vec::Vec;
use core::ops::Deref;

use super::cost::Way;
use super::nodes::Place;
use super::{Cache, Clock, DeltaObject, LoadError, ManagerError, Replay, StateManager, View};
use crate::hash::ContentHash;
use crate::merkle::StateRoot;
use crate::snapshot::{Delta, Edit, SnapshotId, TreeError};
use crate::store::{ObjectStore, StoreError};

/// A keyed state that is resident now.
pub(super) struct Restored {
    pub(super) snapshot: SnapshotId,
    /// How it came back; a replay on the way counts more than a load. `None` if it had been there.
    way: Option<Way>,
}

impl<S, R, K, C> StateManager<S, R, K, C>
where
    S: Deref<Target: ObjectStore>,
    R: Replay,
    K: Clock,
    C: Cache,
{
    /// Brings a keyed node into view, counts how, and evicts what is too much then.
    pub(super) fn reach(&mut self, slot: u32) -> Result<(), ManagerError<R::Error>> {
        let begun = self.now();
        let restored = self.restore(slot)?;
        self.set_current(slot);
        // Before the cursor is where it is wanted: a root that is asked for on the way moves it.
        self.evict_excess();
        self.stand_on(restored.snapshot)?;
        let (count, latencies) = match restored.way {
            None => (&mut self.counts.hits, &mut self.counts.resident),
            Some(Way::Load) => (&mut self.counts.misses, &mut self.counts.loaded),
            Some(Way::Replay) => (&mut self.counts.misses, &mut self.counts.replayed),
        };
        *count += 1;
        if let (Some(clock), Some(begun)) = (&self.host.clock, begun) {
            latencies.add(clock.micros().saturating_sub(begun));
        }
        Ok(())
    }

    /// Makes a keyed node's state resident. Evicts nothing.
    pub(super) fn restore(&mut self, slot: u32) -> Result<Restored, ManagerError<R::Error>> {
        if let Some(snapshot) = self.snapshot(slot) {
            return Ok(Restored { snapshot, way: None });
        }
        let mut missing = Vec::new();
        let (mut at, mut above) = (Some(slot), None);
        while let Some(slot) = at {
            above = self.snapshot(slot);
            if above.is_some() {
                break;
            }
            missing.push(slot);
            at = self.nodes.parent(slot);
        }

        let mut made: Vec<(u32, SnapshotId)> = Vec::with_capacity(missing.len());
        let mut way = Way::Load;
        for slot in missing.into_iter().rev() {
            match self.step(slot, above) {
                Ok((snapshot, taken)) => {
                    made.push((slot, snapshot));
                    above = Some(snapshot);
                    if taken == Way::Replay {
                        way = taken;
                    }
                }
                Err(error) => {
                    // The others hang below the first.
                    if let Some((_, first)) = made.first() {
                        self.discard(*first);
                    }
                    return Err(error);
                }
            }
        }
        for (slot, snapshot) in made {
            self.settle(slot, snapshot);
        }
        self.offer(slot);
        // UNWRAP: the last step was the one to `slot`, which was missing itself.
        let snapshot = above.expect("the way ends at the node");
        Ok(Restored { snapshot, way: Some(way) })
    }

    /// Where a resident state stands.
    pub(super) fn snapshot(&self, slot: u32) -> Option<SnapshotId> {
        match self.nodes.keyed(slot)?.place {
            Place::Resident { snapshot, .. } => Some(snapshot),
            _ => None,
        }
    }

    /// Whether a state could be made again from its parent's.
    pub(super) fn can_replay(&self, slot: u32) -> bool {
        self.host.replay.is_some() && self.nodes.parent(slot).is_some()
    }

    /// The root of a snapshot that is in the tree.
    pub(super) fn root_of(&mut self, snapshot: SnapshotId) -> Result<StateRoot, TreeError> {
        self.stand_on(snapshot)?;
        let Self { cursor: Some(cursor), tree, host, .. } = self else {
            return Err(TreeError::Unknown { id: snapshot });
        };
        Ok(cursor.trie(tree, host.kind)?.root())
    }

    /// Takes back a snapshot that no node has, and all below it. The cursor may stand there: it can still be moved.
    pub(super) fn discard(&mut self, snapshot: SnapshotId) {
        let pruned = self.tree.prune(snapshot);
        debug_assert!(pruned.is_ok(), "{snapshot} was there");
    }

    fn now(&self) -> Option<u64> {
        self.host.clock.as_ref().map(Clock::micros)
    }

    /// Puts the snapshot of an evicted state into the tree again, below its parent's. No node knows of it yet.
    fn step(
        &mut self,
        slot: u32,
        above: Option<SnapshotId>,
    ) -> Result<(SnapshotId, Way), ManagerError<R::Error>> {
        let node = self.nodes.id(slot);
        let can_replay = self.can_replay(slot);
        // UNWRAP: only keyed nodes are evicted, and only their parents are above them.
        let keyed = *self.nodes.keyed(slot).expect("an evicted state is keyed");
        if let Place::Stored { object, len } = keyed.place
            && (!can_replay || self.costs.cheaper(keyed.edits) == Way::Load)
        {
            let begun = self.now();
            match self.load(&object, len) {
                Ok(bytes) => {
                    let edits = DeltaObject::parse(&bytes).into_iter().flat_map(DeltaObject::edits);
                    let snapshot = self.attach(above, edits)?;
                    self.counts.loads += 1;
                    self.learn(Way::Load, begun, keyed.edits);
                    return Ok((snapshot, Way::Load));
                }
                Err(error) => {
                    self.counts.failed_loads += 1;
                    if !can_replay {
                        return Err(ManagerError::Lost { node, error });
                    }
                }
            }
        }
        let begun = self.now();
        // UNWRAP: a state is evicted only once its root is known, and without an object only if it has a parent, whose
        // snapshot is there by now.
        let (expected, above) = keyed.root.zip(above).expect("the state can be replayed");
        let snapshot = self.replay(slot, above, expected)?;
        self.learn(Way::Replay, begun, keyed.edits);
        Ok((snapshot, Way::Replay))
    }

    /// The bytes of a stored delta, checked.
    fn load(&self, object: &ContentHash, len: u64) -> Result<Vec<u8>, LoadError> {
        let missing = || StoreError::Missing { hash: *object };
        let store = self.host.store.as_ref().ok_or_else(missing).map_err(LoadError::Store)?;
        let bytes = store.get_within(object, len).map_err(LoadError::Store)?;
        DeltaObject::parse(&bytes).map_err(LoadError::Malformed)?;
        Ok(bytes)
    }

    fn replay(
        &mut self,
        slot: u32,
        above: SnapshotId,
        expected: StateRoot,
    ) -> Result<SnapshotId, ManagerError<R::Error>> {
        let node = self.nodes.id(slot);
        let action = self.nodes.action(slot);
        self.stand_on(above)?;
        let mut delta = Delta::new();
        self.counts.replays += 1;
        if let Self { cursor: Some(cursor), tree, host, .. } = self
            && let Some(game) = &mut host.replay
        {
            game.replay(View::of_keys(tree, cursor), action, &mut delta)
                .map_err(|error| ManagerError::Replay { node, error })?;
        }
        let snapshot = self.attach(Some(above), delta.iter())?;
        let found = self.root_of(snapshot)?;
        if found != expected {
            self.discard(snapshot);
            return Err(ManagerError::Nondeterministic { node, expected, found });
        }
        Ok(snapshot)
    }

    /// Adds a snapshot that no node knows of yet.
    pub(super) fn attach<'a>(
        &mut self,
        above: Option<SnapshotId>,
        edits: impl Iterator<Item = Edit<'a>>,
    ) -> Result<SnapshotId, TreeError> {
        match above {
            Some(above) => self.tree.fork(above, edits),
            None => self.tree.create(edits),
        }
    }

    fn learn(&mut self, way: Way, begun: Option<u64>, edits: u64) {
        if let (Some(begun), Some(now)) = (begun, self.now()) {
            self.costs.learn(way, now.saturating_sub(begun), edits);
        }
    }
}
