// SPDX-License-Identifier: MIT
//! Whom to evict: the policy, apart from how it is done.
//!
//! A cache knows ids only. The manager puts in those nodes whose states could go now (resident, not pinned, without resident
//! children, not in view), and takes them out when that changes; so whatever a policy answers, no state is lost by it.

use core::fmt;

use lru::LruCache;

use super::NodeId;

/// Decides which of the states that could go is evicted next.
pub trait Cache {
    /// A state could go from now on: it was put into memory or left just now. It is `bytes` long in memory.
    fn insert(&mut self, node: NodeId, bytes: u64);

    /// A state that could go was used.
    fn touch(&mut self, node: NodeId);

    /// A state can no longer go, or is gone. It may be one that was never inserted.
    fn remove(&mut self, node: NodeId);

    /// The state to go next; `None` if there is none. It is removed before another is asked for.
    fn victim(&mut self) -> Option<NodeId>;
}

/// The least recently used goes first. O(1) a call; some 60 bytes for each state that could go.
pub struct Lru(LruCache<NodeId, ()>);

impl Default for Lru {
    fn default() -> Self {
        // The manager counts bytes and asks for victims by them.
        Self(LruCache::unbounded())
    }
}

impl fmt::Debug for Lru {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lru").field("len", &self.0.len()).finish()
    }
}

impl Cache for Lru {
    fn insert(&mut self, node: NodeId, _bytes: u64) {
        self.0.put(node, ());
    }

    fn touch(&mut self, node: NodeId) {
        self.0.promote(&node);
    }

    fn remove(&mut self, node: NodeId) {
        self.0.pop(&node);
    }

    fn victim(&mut self) -> Option<NodeId> {
        self.0.peek_lru().map(|(node, ())| *node)
    }
}
