// SPDX-License-Identifier: MIT
//! What the manager counts.

use super::Latency;
use super::latency::Histogram;

/// What a manager holds, and what it has done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Nodes of all forms.
    pub nodes: u64,
    /// States that were asked for and were at hand.
    pub hits: u64,
    /// States that were asked for and had to be restored.
    pub misses: u64,
    /// Actions that were done again.
    pub replays: u64,
    /// Deltas that were loaded.
    pub loads: u64,
    /// Deltas that could not be loaded: missing, damaged, or refused by the host.
    pub failed_loads: u64,
    /// States that were evicted.
    pub evictions: u64,
    /// Evictions that the store refused: see [`StateManager::store_error`](super::StateManager::store_error).
    pub failed_stores: u64,
    /// States that were met again and so are no node of their own.
    pub transpositions: u64,
    /// Whether more is resident than the limit allows, because nothing more can go.
    pub is_limit_exceeded: bool,
    /// Bytes by category.
    pub bytes: Footprint,
    /// How long going to a keyed state took. Inline states are not measured: reading the clock would take longer.
    pub latencies: Latencies,
}

/// Bytes by category. Not counted: checkpoints of the snapshot tree, some 30 bytes a snapshot, and the cursor with its trie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Memory of nodes with inline states.
    pub inline: u64,
    /// Memory of resident states; what the limit is for.
    pub resident: u64,
    /// Objects of stored states, uncompressed; equal ones are counted each. Not memory.
    pub stored: u64,
    /// Memory of what leads from states to nodes, of keyed nodes without their states, and of the keys' table.
    pub index: u64,
}

/// How long it took to go to a keyed state, by the way it came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latencies {
    /// The state was resident.
    pub resident: Latency,
    /// All that was missing was loaded.
    pub loaded: Latency,
    /// Some or all that was missing was replayed.
    pub replayed: Latency,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    pub(super) hits: u64,
    pub(super) misses: u64,
    pub(super) replays: u64,
    pub(super) loads: u64,
    pub(super) failed_loads: u64,
    pub(super) evictions: u64,
    pub(super) failed_stores: u64,
    pub(super) transpositions: u64,
    pub(super) resident_bytes: u64,
    pub(super) stored_bytes: u64,
    pub(super) resident: Histogram,
    pub(super) loaded: Histogram,
    pub(super) replayed: Histogram,
}
