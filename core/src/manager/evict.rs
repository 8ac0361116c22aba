// SPDX-License-Identifier: MIT
//! How states go, and which could.
//!
//! A snapshot is a delta to its parent's, so a state can go only when none of its children is resident: states go from the leaves
//! up, and the cache knows those that could go next. Where the host has a store they go there; otherwise, if the game can
//! do the action again, they are just forgotten; otherwise they stay.

use core::ops::Deref;

use super::nodes::{Keyed, Place};
use super::{Cache, Clock, Replay, StateManager, encode_delta};
use crate::snapshot::SnapshotId;
use crate::store::ObjectStore;

impl<S, R, K, C> StateManager<S, R, K, C>
where
    S: Deref<Target: ObjectStore>,
    R: Replay,
    K: Clock,
    C: Cache,
{
    /// Evicts until what is resident is within the limit, or nothing more can go.
    pub(super) fn evict_excess(&mut self) {
        while self.counts.resident_bytes > self.limits.resident_bytes {
            let Some(node) = self.host.cache.victim() else { return };
            self.host.cache.remove(node);
            // Whatever a host's policy names, nothing goes that must stay. One that names such a node is asked again later.
            let slot = self.nodes.check(node).ok().filter(|slot| self.is_evictable(*slot));
            let Some(slot) = slot else { return };
            if !self.evict(slot) {
                // The store is full or broken: it will refuse the others too.
                self.offer(slot);
                return;
            }
        }
    }

    /// Enters a snapshot as a node's state.
    pub(super) fn settle(&mut self, slot: u32, snapshot: SnapshotId) {
        let bytes = self.tree.bytes(snapshot).map_or(0, |bytes| bytes as u64);
        self.counts.resident_bytes += bytes;
        self.set_place(slot, Place::Resident { snapshot, bytes, children: 0 });
        if let Some(parent) = self.nodes.parent(slot)
            && let Some(Keyed { place: Place::Resident { children, .. }, .. }) =
                self.nodes.keyed_mut(parent)
        {
            *children += 1;
            if *children == 1 {
                self.host.cache.remove(self.nodes.id(parent));
            }
        }
    }

    /// Tells the cache of a state, if it could go.
    pub(super) fn offer(&mut self, slot: u32) {
        if let Some(Keyed { place: Place::Resident { bytes, .. }, .. }) = self.nodes.keyed(slot)
            && self.is_evictable(slot)
        {
            self.host.cache.insert(self.nodes.id(slot), *bytes);
        }
    }

    /// Keeps a resident state in memory in place of the one before.
    pub(super) fn set_current(&mut self, slot: u32) {
        if let Some(before) = self.current.replace(slot)
            && before != slot
        {
            self.offer(before);
        }
        self.host.cache.remove(self.nodes.id(slot));
    }

    /// The parent of a state that is no longer resident has one such child less.
    pub(super) fn leave_parent(&mut self, parent: u32) {
        if let Some(Keyed { place: Place::Resident { children, .. }, .. }) =
            self.nodes.keyed_mut(parent)
        {
            *children -= 1;
            if *children == 0 {
                self.offer(parent);
            }
        }
    }

    fn is_evictable(&self, slot: u32) -> bool {
        let place = self.nodes.keyed(slot).map(|keyed| keyed.place);
        let is_leaf = matches!(place, Some(Place::Resident { children: 0, .. }));
        let is_wanted = self.current == Some(slot) || self.pins.contains_key(&slot);
        is_leaf && !is_wanted && (self.host.store.is_some() || self.can_replay(slot))
    }

    /// Evicts a state that could go. False if it stays because the store refuses it.
    fn evict(&mut self, slot: u32) -> bool {
        // By its root the state is known when it is met again, and a replay is checked.
        let (Some(_), Some(snapshot)) = (self.known_root(slot), self.snapshot(slot)) else {
            return false;
        };
        let place = match self.stored(snapshot) {
            Some(stored) => stored,
            None if self.can_replay(slot) => Place::Replayable,
            None => return false,
        };
        self.discard(snapshot);
        self.set_place(slot, place);
        self.counts.evictions += 1;
        if let Some(parent) = self.nodes.parent(slot) {
            self.leave_parent(parent);
        }
        true
    }

    /// Puts a snapshot's delta into the store.
    fn stored(&mut self, snapshot: SnapshotId) -> Option<Place> {
        let store = self.host.store.as_ref()?;
        let bytes = self.tree.edits(snapshot).ok().and_then(encode_delta);
        let put = bytes.map(|bytes| store.put(&bytes).map(|put| (put.hash, bytes.len() as u64)));
        match put {
            Some(Ok((object, len))) => return Some(Place::Stored { object, len }),
            Some(Err(error)) => self.store_error = Some(error),
            None => {}
        }
        self.counts.failed_stores += 1;
        None
    }

    /// Moves a state in the books. Its snapshot and object are the caller's to see to.
    pub(super) fn set_place(&mut self, slot: u32, place: Place) {
        let Some(keyed) = self.nodes.keyed_mut(slot) else { return };
        match core::mem::replace(&mut keyed.place, place) {
            Place::Resident { bytes, .. } => self.counts.resident_bytes -= bytes,
            Place::Stored { len, .. } => self.counts.stored_bytes -= len,
            Place::Replayable => {}
        }
        if let Place::Stored { len, .. } = place {
            self.counts.stored_bytes += len;
        }
    }
}
