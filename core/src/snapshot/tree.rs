// SPDX-License-Identifier: MIT
//! The tree of snapshots: an arena in which each snapshot is its parent and a delta.
//!
//! A snapshot never changes and forking one copies nothing. Reading walks from a snapshot towards its root until a delta
//! speaks of the key, so it costs the depth; two snapshots are compared through their nearest common ancestor, so that
//! costs the deltas between them and not the state.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::fmt;

use super::merge::{Merge, Policy, merge_keys};
use super::{Change, ChangeKind, Delta, State, Value};

/// A snapshot within its tree. 32 bits: four billion snapshots are more than memory holds, and a search keeps many ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotId(u32);

/// Why a tree could not do what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TreeError {
    /// The id is not one of this tree's.
    Unknown {
        /// The id.
        id: SnapshotId,
    },
    /// The two snapshots have no common ancestor.
    Unrelated {
        /// The first.
        a: SnapshotId,
        /// The second.
        b: SnapshotId,
    },
    /// All 2^32 ids are given out.
    Full,
}

impl fmt::Display for TreeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { id } => write!(f, "snapshot {} is not in this tree", id.0),
            Self::Unrelated { a, b } => {
                write!(f, "snapshots {} and {} have no common ancestor", a.0, b.0)
            }
            Self::Full => f.write_str("the tree holds 2^32 snapshots and no more"),
        }
    }
}

impl core::error::Error for TreeError {}

#[derive(Clone, Debug)]
struct Node {
    parent: Option<SnapshotId>,
    /// Number of ancestors.
    depth: u32,
    delta: Delta,
}

/// Snapshots in memory.
///
/// ```
/// use cascow_core::snapshot::{Delta, SnapshotTree};
///
/// let mut tree = SnapshotTree::new();
/// let mut delta = Delta::new();
/// delta.write(*b"board", *b"empty").write(*b"clock", *b"300");
/// let start = tree.create(delta)?;
///
/// let mut delta = Delta::new();
/// delta.write(*b"board", *b"e2-e4").whiteout(*b"clock");
/// let moved = tree.fork(start, delta)?;
///
/// assert_eq!(&*tree.get(start, b"board")?.unwrap().bytes, b"empty");
/// assert_eq!(&*tree.get(moved, b"board")?.unwrap().bytes, b"e2-e4");
/// assert_eq!(tree.get(moved, b"clock")?, None);
/// assert_eq!(tree.diff(start, moved)?.len(), 2);
/// # Ok::<(), cascow_core::snapshot::TreeError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct SnapshotTree {
    nodes: Vec<Node>,
}

impl SnapshotTree {
    /// A tree without snapshots.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of snapshots.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no snapshot.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Adds a snapshot without a parent: the delta on the empty state. O(1).
    ///
    /// # Errors
    /// [`TreeError::Full`].
    pub fn create(&mut self, delta: Delta) -> Result<SnapshotId, TreeError> {
        self.push(Node { parent: None, depth: 0, delta })
    }

    /// Adds a snapshot: the delta on `parent`. O(1): nothing of the parent is copied.
    ///
    /// # Errors
    /// [`TreeError::Unknown`], [`TreeError::Full`].
    pub fn fork(&mut self, parent: SnapshotId, delta: Delta) -> Result<SnapshotId, TreeError> {
        let depth = self.node(parent)?.depth + 1;
        self.push(Node { parent: Some(parent), depth, delta })
    }

    /// The snapshot that `id` was forked from.
    ///
    /// # Errors
    /// [`TreeError::Unknown`].
    pub fn parent(&self, id: SnapshotId) -> Result<Option<SnapshotId>, TreeError> {
        Ok(self.node(id)?.parent)
    }

    /// What `key` maps to in a snapshot. O(depth · log of a delta).
    ///
    /// # Errors
    /// [`TreeError::Unknown`].
    pub fn get(&self, id: SnapshotId, key: &[u8]) -> Result<Option<&Value>, TreeError> {
        self.node(id)?;
        Ok(self.lookup(id, key))
    }

    /// The entries of a snapshot, ascending by key. O(all changes above it) at the first step.
    ///
    /// # Errors
    /// [`TreeError::Unknown`].
    pub fn iter(&self, id: SnapshotId) -> Result<impl Iterator<Item = (&[u8], &Value)>, TreeError> {
        self.node(id)?;
        let mut newest: BTreeMap<&[u8], Option<&Value>> = BTreeMap::new();
        for ancestor in self.ancestry(id) {
            for (key, change) in self.nodes[ancestor.index()].delta.iter() {
                newest.entry(key).or_insert(change);
            }
        }
        Ok(newest.into_iter().filter_map(|(key, value)| Some((key, value?))))
    }

    /// A snapshot's whole state. Cost of [`SnapshotTree::iter`].
    ///
    /// # Errors
    /// [`TreeError::Unknown`].
    pub fn state(&self, id: SnapshotId) -> Result<State, TreeError> {
        Ok(self.iter(id)?.map(|(key, value)| (key, value.clone())).collect())
    }

    /// How `b` differs from `a`, ascending by key. Costs the changes between them and their common ancestor, each a read.
    ///
    /// # Errors
    /// [`TreeError::Unknown`], [`TreeError::Unrelated`].
    pub fn diff(&self, a: SnapshotId, b: SnapshotId) -> Result<Vec<Change>, TreeError> {
        let base = self.common_ancestor(a, b)?;
        let mut keys = self.changed_since(base, a);
        keys.append(&mut self.changed_since(base, b));
        let change = |key: &[u8]| {
            let kind = ChangeKind::between(self.lookup(a, key), self.lookup(b, key))?;
            Some(Change { key: key.into(), kind })
        };
        Ok(keys.into_iter().filter_map(change).collect())
    }

    /// Merges `theirs` into `ours` from their nearest common ancestor. Costs what they changed, each a read.
    ///
    /// # Errors
    /// [`TreeError::Unknown`], [`TreeError::Unrelated`]. Conflicts are no error: see [`Merge`].
    pub fn merge(
        &self,
        ours: SnapshotId,
        theirs: SnapshotId,
        policy: Policy,
    ) -> Result<Merge, TreeError> {
        let base = self.common_ancestor(ours, theirs)?;
        let changed: Vec<Box<[u8]>> =
            self.changed_since(base, theirs).into_iter().map(Box::from).collect();
        let side = |id| move |key: &[u8]| self.lookup(id, key);
        Ok(merge_keys(&changed, side(base), side(ours), side(theirs), policy))
    }

    /// The nearest snapshot that both descend from, or are. O(distance).
    ///
    /// # Errors
    /// [`TreeError::Unknown`], [`TreeError::Unrelated`].
    pub fn common_ancestor(&self, a: SnapshotId, b: SnapshotId) -> Result<SnapshotId, TreeError> {
        let (mut x, mut y) = (a, b);
        let (mut x_node, mut y_node) = (self.node(a)?, self.node(b)?);
        while x != y {
            let climb_x = x_node.depth >= y_node.depth;
            let climb_y = y_node.depth >= x_node.depth;
            if climb_x {
                x = x_node.parent.ok_or(TreeError::Unrelated { a, b })?;
                x_node = self.node(x)?;
            }
            if climb_y {
                y = y_node.parent.ok_or(TreeError::Unrelated { a, b })?;
                y_node = self.node(y)?;
            }
        }
        Ok(x)
    }

    fn push(&mut self, node: Node) -> Result<SnapshotId, TreeError> {
        let id = u32::try_from(self.nodes.len()).map_err(|_| TreeError::Full)?;
        self.nodes.push(node);
        Ok(SnapshotId(id))
    }

    fn node(&self, id: SnapshotId) -> Result<&Node, TreeError> {
        self.nodes.get(id.index()).ok_or(TreeError::Unknown { id })
    }

    /// Reads through the deltas, the newest first. `id` must be one of this tree's.
    fn lookup(&self, id: SnapshotId, key: &[u8]) -> Option<&Value> {
        self.ancestry(id).find_map(|id| self.nodes[id.index()].delta.get(key)).flatten()
    }

    /// A snapshot of this tree and its ancestors, the nearest first.
    fn ancestry(&self, id: SnapshotId) -> impl Iterator<Item = SnapshotId> {
        core::iter::successors(Some(id), |id| self.nodes[id.index()].parent)
    }

    fn changed_since(&self, ancestor: SnapshotId, id: SnapshotId) -> BTreeSet<&[u8]> {
        self.ancestry(id)
            .take_while(|id| *id != ancestor)
            .flat_map(|id| self.nodes[id.index()].delta.iter().map(|(key, _)| key))
            .collect()
    }
}

impl SnapshotId {
    const fn index(self) -> usize {
        self.0 as usize
    }
}
