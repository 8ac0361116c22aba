// SPDX-License-Identifier: MIT
//! Nodes that nothing needs any more are forgotten.

use alloc::vec;
use core::ops::Deref;

use super::nodes::{Nodes, Place};
use super::{Cache, Clock, NodeId, Replay, StateManager, UnknownNode};
use crate::store::ObjectStore;

/// What pruning has removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Nodes, whose ids are refused from now on.
    pub nodes: u64,
    /// Memory of their slots and resident states, in bytes, which is free for others.
    pub bytes: u64,
}

impl<S, R, K, C> StateManager<S, R, K, C>
where
    S: Deref<Target: ObjectStore>,
    R: Replay,
    K: Clock,
    C: Cache,
{
    /// Removes every node that is not live, not pinned, and not needed by such a one. A keyed node needs all its ancestors,
    /// as its state is what changed since theirs; an inline one needs none, and has no parent once that is pruned. O(nodes),
    /// live or not, and a bit for each; no recursion.
    ///
    /// Objects of stored states stay in the store, where others may name them: its collector asks
    /// [`StateManager::objects`] for those that are needed.
    ///
    /// # Errors
    /// [`UnknownNode`] if one that is said to be live is not there. Nothing is removed then.
    pub fn prune_unreachable(
        &mut self,
        live: impl IntoIterator<Item = NodeId>,
    ) -> Result<Pruned, UnknownNode> {
        let mut needed = vec![false; self.nodes.bound()];
        for node in live {
            let slot = self.nodes.check(node)?;
            self.mark(slot, &mut needed);
        }
        for slot in self.pins.keys() {
            self.mark(*slot, &mut needed);
        }

        let mut pruned = Pruned::default();
        for slot in self.nodes.slots() {
            let is_needed = |slot: u32| needed.get(slot as usize).copied().unwrap_or(false);
            let orphaned = self.nodes.parent(slot).filter(|parent| !is_needed(*parent));
            match (is_needed(slot), orphaned) {
                (true, Some(_)) => self.nodes.orphan(slot),
                (true, None) => {}
                (false, _) => {
                    // Its parent may have been removed just now, but its place may not be taken yet.
                    let staying = self.nodes.parent(slot).filter(|parent| is_needed(*parent));
                    pruned.bytes += self.forget(slot, staying);
                    pruned.nodes += 1;
                }
            }
        }
        Ok(pruned)
    }

    /// Marks a node and what it needs.
    fn mark(&self, slot: u32, needed: &mut [bool]) {
        let mut next = Some(slot);
        while let Some(slot) = next {
            // Above one that is marked, all are.
            match needed.get_mut(slot as usize) {
                Some(mark) if !*mark => *mark = true,
                _ => return,
            }
            next = self.nodes.parent(slot).filter(|_| self.nodes.keyed(slot).is_some());
        }
    }

    /// Removes a node, and says how many bytes of memory that were. `parent` is its parent if that stays.
    fn forget(&mut self, slot: u32, parent: Option<u32>) -> u64 {
        let mut bytes = Nodes::SLOT_BYTES as u64;
        if self.current == Some(slot) {
            self.current = None;
        }
        self.host.cache.remove(self.nodes.id(slot));
        if let Some(Place::Resident { snapshot, bytes: resident, .. }) =
            self.nodes.keyed(slot).map(|keyed| keyed.place)
        {
            bytes += resident;
            // With all below it, which nothing needs either; it may have gone so itself.
            let _ = self.tree.prune(snapshot);
        }
        let was_resident = self.snapshot(slot).is_some();
        self.set_place(slot, Place::Replayable);
        if let (Some(parent), true) = (parent, was_resident) {
            self.leave_parent(parent);
        }
        self.nodes.remove(slot);
        bytes
    }
}
