// SPDX-License-Identifier: MIT
//! A cursor: a state that follows a search from snapshot to snapshot.
//!
//! It knows for each key where the value stands that its snapshot sees, so that a read is one step; and what each delta on its
//! path overrode, so that it moves by undoing and redoing the deltas between two snapshots: cost by the path between them, not
//! by the state. The same holds for its hashed trie, once it was asked for: it costs hashes by what changed since. It
//! borrows nothing: the tree may grow, and be pruned, while cursors stand in it.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::arena::NONE;
use super::commitment::{Commitment, Current};
use super::keys::KeyId;
use super::tree::{At, TreeId};
use super::{SnapshotId, SnapshotTree, TreeError, ValueRef};
use crate::hash::HashKind;
use crate::merkle::IncrementalTrie;
use crate::order;

/// A view of one snapshot that can be moved to any other of the same tree.
///
/// All methods take the tree that it was made for, and refuse any other. Memory: 8 bytes for each key number of the tree,
/// 16 for each snapshot and 12 for each change on its path, twice that at most after growing.
///
/// ```
/// use cascow_core::snapshot::{Cursor, Edit, SnapshotTree};
///
/// let mut tree = SnapshotTree::new();
/// let start = tree.create([Edit::write(b"x", b"1")])?;
/// let mut cursor = Cursor::at(&tree, start)?;
///
/// let left = tree.fork(start, [Edit::write(b"x", b"2")])?;
/// cursor.move_to(&tree, left)?;
/// assert_eq!(cursor.get(&tree, b"x")?.unwrap().bytes, b"2");
/// cursor.move_to(&tree, start)?;
/// assert_eq!(cursor.get(&tree, b"x")?.unwrap().bytes, b"1");
/// # Ok::<(), cascow_core::snapshot::TreeError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Cursor {
    at: SnapshotId,
    /// Which tree it was made for.
    tree: TreeId,
    /// The snapshots from the root to where the cursor stands.
    path: Vec<Step>,
    /// What the deltas on the path overrode, but for the root's, which overrode nothing.
    overridden: Vec<(KeyId, At)>,
    /// By key number, where the value stands, or the whiteout, or nowhere.
    values: Vec<At>,
    /// Of the state at `at`, once it was asked for.
    commitment: Option<Box<Commitment>>,
    /// The way up from a target, kept for its memory alone.
    climb: Vec<SnapshotId>,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    snapshot: SnapshotId,
    /// How much was overridden before it.
    overridden: usize,
}

impl Cursor {
    /// A cursor that stands on a snapshot. Costs all changes above it.
    ///
    /// # Errors
    /// [`TreeError::Unknown`].
    pub fn at(tree: &SnapshotTree, id: SnapshotId) -> Result<Self, TreeError> {
        let mut cursor = Self {
            at: id,
            tree: tree.identity(),
            path: Vec::new(),
            overridden: Vec::new(),
            values: Vec::new(),
            commitment: None,
            climb: Vec::new(),
        };
        cursor.move_to(tree, id)?;
        Ok(cursor)
    }

    /// The snapshot that the cursor stands on. It may have been pruned since.
    pub const fn snapshot(&self) -> SnapshotId {
        self.at
    }

    /// What `key` maps to. O(1).
    ///
    /// # Errors
    /// [`TreeError::Unknown`] if the snapshot was pruned: the cursor must be moved first. [`TreeError::Foreign`].
    #[inline]
    pub fn get<'t>(
        &self,
        tree: &'t SnapshotTree,
        key: &[u8],
    ) -> Result<Option<ValueRef<'t>>, TreeError> {
        self.check(tree)?;
        Ok(tree.keys().find(key).and_then(|key| self.value(tree, key)))
    }

    /// The entries, ascending by key. O(n log n) for n keys before the first step.
    ///
    /// # Errors
    /// [`TreeError::Unknown`] if the snapshot was pruned: the cursor must be moved first. [`TreeError::Foreign`].
    pub fn iter<'t>(
        &self,
        tree: &'t SnapshotTree,
    ) -> Result<impl Iterator<Item = (&'t [u8], ValueRef<'t>)> + use<'t>, TreeError> {
        self.check(tree)?;
        Ok(self.entries(tree))
    }

    /// Moves to another snapshot of the tree. Costs the deltas between the two, each change O(1); a cursor whose snapshot was
    /// pruned moves as well. If it fails, the cursor stands where it stood.
    ///
    /// # Errors
    /// [`TreeError::Unknown`], [`TreeError::Foreign`].
    pub fn move_to(&mut self, tree: &SnapshotTree, id: SnapshotId) -> Result<(), TreeError> {
        self.check_tree(tree)?;
        let mut depth = tree.node(id)?.depth as usize;
        // Up from the target to the nearest snapshot that is on the path already.
        self.climb.clear();
        let mut step = id;
        let kept = loop {
            if self.path.get(depth).is_some_and(|on_path| on_path.snapshot == step) {
                break depth + 1;
            }
            self.climb.push(step);
            let parent = tree.arena().link(step.index).parent;
            if parent == NONE {
                break 0;
            }
            step = tree.id(parent);
            depth -= 1;
        };
        self.undo(tree, kept);
        self.values.resize(tree.keys().bound().max(self.values.len()), At::NOWHERE);
        while let Some(step) = self.climb.pop() {
            self.redo(tree, step);
        }
        self.at = id;
        Ok(())
    }

    /// The hashed trie of the state, for its root and for proofs. The first time O(n) hashes for n entries; from then on
    /// O(log n) for each key that changed on the way since the last time. It is kept, as large as [`IncrementalTrie`] says,
    /// by the tree's key numbers, with 16 bytes more for each of them.
    ///
    /// ```
    /// # #[cfg(feature = "sha256")] {
    /// use cascow_core::hash::HashKind;
    /// use cascow_core::merkle::verify;
    /// use cascow_core::snapshot::{Cursor, Edit, SnapshotTree};
    ///
    /// let mut tree = SnapshotTree::new();
    /// let start = tree.create([Edit::write(b"x", b"1")])?;
    /// let mut cursor = Cursor::at(&tree, start)?;
    /// let root = cursor.trie(&tree, HashKind::Sha256)?.root();
    /// let proof = cursor.trie(&tree, HashKind::Sha256)?.prove(b"x", Some(b"1")).unwrap();
    /// assert_eq!(verify(&proof, &root).unwrap().value, Some(&b"1"[..]));
    /// # }
    /// # Ok::<(), cascow_core::snapshot::TreeError>(())
    /// ```
    ///
    /// # Errors
    /// [`TreeError::Unknown`] if the snapshot was pruned: the cursor must be moved first. [`TreeError::Foreign`].
    pub fn trie(
        &mut self,
        tree: &SnapshotTree,
        kind: HashKind,
    ) -> Result<&IncrementalTrie, TreeError> {
        self.check(tree)?;
        let known = self.commitment.take().filter(|known| known.kind() == kind);
        let mut commitment = known.unwrap_or_else(|| {
            let mut new = Box::new(Commitment::new(kind));
            self.numbers().for_each(|key| new.touch(key));
            new
        });
        commitment.update(|number| {
            let value = self.value(tree, number)?.bytes;
            let keys = tree.keys();
            Some(Current { key: keys.bytes(number), version: keys.version(number), value })
        });
        Ok(self.commitment.insert(commitment).trie())
    }

    /// Whether the tree is the cursor's.
    #[inline]
    fn check_tree(&self, tree: &SnapshotTree) -> Result<(), TreeError> {
        if self.tree == tree.identity() { Ok(()) } else { Err(TreeError::Foreign) }
    }

    /// Whether the tree is the cursor's, and the snapshot still there.
    #[inline]
    fn check(&self, tree: &SnapshotTree) -> Result<(), TreeError> {
        self.check_tree(tree)?;
        tree.node(self.at).map(|_| ())
    }

    /// Leaves all but the first `kept` snapshots of the path.
    fn undo(&mut self, tree: &SnapshotTree, kept: usize) {
        let Some(step) = self.path.get(kept) else { return };
        for (key, before) in self.overridden.drain(step.overridden..).rev() {
            self.values[key.index()] = before;
            if let Some(commitment) = &mut self.commitment {
                commitment.touch(key);
            }
        }
        if kept == 0 {
            let root = self.path[0].snapshot;
            // A root that is still there names its keys; of one that was pruned, all that is known goes.
            match tree.node(root) {
                Ok(_) => tree.changes(root.index).for_each(|(key, _)| self.forget(key)),
                Err(_) => self.numbers().for_each(|key| self.forget(key)),
            }
        }
        self.path.truncate(kept);
    }

    fn forget(&mut self, key: KeyId) {
        self.values[key.index()] = At::NOWHERE;
        if let Some(commitment) = &mut self.commitment {
            commitment.touch(key);
        }
    }

    /// Enters a child of the last snapshot of the path, or a root.
    fn redo(&mut self, tree: &SnapshotTree, snapshot: SnapshotId) {
        let is_root = self.path.is_empty();
        self.path.push(Step { snapshot, overridden: self.overridden.len() });
        for (key, at) in tree.changes(snapshot.index) {
            let before = core::mem::replace(&mut self.values[key.index()], at);
            if !is_root {
                self.overridden.push((key, before));
            }
            if let Some(commitment) = &mut self.commitment {
                commitment.touch(key);
            }
        }
    }

    #[inline]
    fn value<'t>(&self, tree: &'t SnapshotTree, key: KeyId) -> Option<ValueRef<'t>> {
        let at = self.values.get(key.index()).filter(|at| **at != At::NOWHERE)?;
        tree.value(*at)
    }

    /// All key numbers that the cursor may know a value of.
    fn numbers(&self) -> impl Iterator<Item = KeyId> + Clone + use<> {
        (0..).map(KeyId).take(self.values.len())
    }

    pub(super) fn entries<'t>(
        &self,
        tree: &'t SnapshotTree,
    ) -> impl Iterator<Item = (&'t [u8], ValueRef<'t>)> + use<'t> {
        let keys = (0..).map(KeyId).take(self.values.len());
        let mut entries: Vec<(&[u8], ValueRef<'_>)> = keys
            .filter_map(|key| {
                let value = self.value(tree, key)?;
                Some((tree.keys().bytes(key), value))
            })
            .collect();
        order::distinct_by(&mut entries, |(a, _), (b, _)| a.cmp(b));
        entries.into_iter()
    }
}
