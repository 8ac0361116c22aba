// SPDX-License-Identifier: MIT
//! The tree of snapshots: an arena in which each snapshot is its parent and a delta.
//!
//! A snapshot never changes and forking one copies nothing. A read goes from a snapshot towards its root until a delta speaks of
//! the key, over checkpoints that bound its steps; a [`Cursor`](super::Cursor) reads without any. Two snapshots are compared
//! through their nearest common ancestor, so that costs the deltas between them and not the state. Pruning gives the memory
//! back at once.
//!
//! The tree starts no thread and holds no lock: it is `Send`, and many threads may read it while none changes it.

use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::{AtomicUsize, Ordering};

use super::arena::{Arena, Link, NONE, Node};
use super::changes::{self, MAX_LEN, Packed, Place, Touched};
use super::checkpoint::Checkpoints;
use super::keys::{KeyId, Keys};
use super::merge::{Merge, Policy, merge_keys};
use super::{Change, ChangeKind, Cursor, Edit, State, ValueRef};
use crate::order;

/// A snapshot within its tree: the slot it stands in, and which of those that ever stood there it is.
///
/// The tree itself links snapshots by 32 bits. The other half lets the id of a pruned snapshot be refused instead of taken
/// for the snapshot that has its slot now. An id means nothing in another tree, which cannot always tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotId {
    pub(super) index: u32,
    pub(super) generation: u32,
}

impl fmt::Display for SnapshotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.index, self.generation / 2)
    }
}

/// Why a tree could not do what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TreeError {
    /// The id is not one of this tree's, or its snapshot was pruned.
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
    /// The cursor was made for another tree. A clone is another tree.
    Foreign,
    /// There are as many snapshots, 2^32 less a few, or as many different keys, 2^30, as there can be at a time.
    Full,
    /// The delta is longer than 2^30 - 1 bytes.
    TooLong,
}

impl fmt::Display for TreeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { id } => write!(f, "snapshot {id} is not in this tree"),
            Self::Unrelated { a, b } => {
                write!(f, "snapshots {a} and {b} have no common ancestor")
            }
            Self::Foreign => f.write_str("the cursor was made for another tree: make one for this"),
            Self::Full => {
                f.write_str("the tree is full: prune snapshots that are no longer needed")
            }
            Self::TooLong => write!(f, "a delta has at most {MAX_LEN} bytes: split the change"),
        }
    }
}

impl core::error::Error for TreeError {}

/// Where in a tree a value stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At {
    node: u32,
    place: Place,
}

impl At {
    /// No place.
    pub(super) const NOWHERE: Self = Self { node: NONE, place: Place::ALONE };
}

/// Snapshots in memory.
///
/// ```
/// use cascow_core::snapshot::{Delta, SnapshotTree};
///
/// let mut tree = SnapshotTree::new();
/// let mut delta = Delta::new();
/// delta.write(*b"board", *b"empty").write(*b"clock", *b"300");
/// let start = tree.create(&delta)?;
///
/// let mut delta = Delta::new();
/// delta.write(*b"board", *b"e2-e4").whiteout(*b"clock");
/// let moved = tree.fork(start, &delta)?;
///
/// assert_eq!(tree.get(start, b"board")?.unwrap().bytes, b"empty");
/// assert_eq!(tree.get(moved, b"board")?.unwrap().bytes, b"e2-e4");
/// assert_eq!(tree.get(moved, b"clock")?, None);
/// assert_eq!(tree.diff(start, moved)?.len(), 2);
///
/// assert_eq!(tree.prune(moved)?, 1);
/// assert!(tree.get(moved, b"board").is_err());
/// # Ok::<(), cascow_core::snapshot::TreeError>(())
/// ```
#[derive(Debug)]
pub struct SnapshotTree {
    identity: TreeId,
    keys: Keys,
    arena: Arena,
    checkpoints: Checkpoints,
}

/// Tells trees apart for as long as the program runs; nothing else depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TreeId(usize);

impl TreeId {
    fn next() -> Self {
        static TREES: AtomicUsize = AtomicUsize::new(0);
        Self(TREES.fetch_add(1, Ordering::Relaxed))
    }
}

/// Another tree, with the same snapshots under the same ids. Cursors stay with the first.
impl Clone for SnapshotTree {
    fn clone(&self) -> Self {
        Self {
            identity: TreeId::next(),
            keys: self.keys.clone(),
            arena: self.arena.clone(),
            checkpoints: self.checkpoints.clone(),
        }
    }
}

impl Default for SnapshotTree {
    fn default() -> Self {
        Self::new()
    }
}

impl SnapshotTree {
    /// Room for a page of slots below the greatest index.
    const LIMIT: u32 = NONE - 256;

    /// A tree without snapshots.
    pub fn new() -> Self {
        Self::with_limits(Self::LIMIT, KeyId::LIMIT)
    }

    fn with_limits(snapshots: u32, keys: u32) -> Self {
        Self {
            identity: TreeId::next(),
            keys: Keys::new(keys),
            arena: Arena::new(snapshots),
            checkpoints: Checkpoints::default(),
        }
    }

    /// Number of snapshots.
    pub fn len(&self) -> usize {
        self.arena.len()
    }

    /// Whether there is no snapshot.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a snapshot without a parent: the changes to the empty state. O(k log k) for k changes.
    ///
    /// # Errors
    /// [`TreeError::Full`], [`TreeError::TooLong`].
    pub fn create<'a>(
        &mut self,
        changes: impl IntoIterator<Item = Edit<'a>>,
    ) -> Result<SnapshotId, TreeError> {
        self.add(NONE, 0, changes)
    }

    /// Adds a snapshot: the changes to `parent`, from a [`Delta`](super::Delta) or any other source; of several changes to
    /// one key the last counts. O(k log k) for k changes, whatever the state's size: nothing of the parent is copied or
    /// read. A change of up to 32 bytes to a key that the tree knows allocates nothing of its own.
    ///
    /// # Errors
    /// [`TreeError::Unknown`], [`TreeError::Full`], [`TreeError::TooLong`].
    #[inline(always)] // See `add`.
    pub fn fork<'a>(
        &mut self,
        parent: SnapshotId,
        changes: impl IntoIterator<Item = Edit<'a>>,
    ) -> Result<SnapshotId, TreeError> {
        let depth = self.node(parent)?.depth + 1;
        self.add(parent.index, depth, changes)
    }

    /// Removes a snapshot and all that descend from it, and gives their memory back. Returns how many there were. O(that many).
    ///
    /// Their ids, and cursors that stand on them, are refused from then on.
    ///
    /// # Errors
    /// [`TreeError::Unknown`].
    pub fn prune(&mut self, id: SnapshotId) -> Result<usize, TreeError> {
        let is_leaf = self.node(id)?.first_child == NONE;
        self.unlink(id.index);
        if is_leaf {
            self.remove(id.index);
            return Ok(1);
        }
        let before = self.len();
        // Children first, by the links alone: the way down needs no memory however deep it is.
        let mut index = id.index;
        loop {
            let node = self.arena.node(index);
            if node.first_child != NONE {
                index = node.first_child;
                continue;
            }
            let (next, parent) = (node.next_sibling, self.arena.link(index).parent);
            self.remove(index);
            if index == id.index {
                return Ok(before - self.len());
            }
            if next == NONE {
                self.arena.node_mut(parent).first_child = NONE;
            }
            index = if next == NONE { parent } else { next };
        }
    }

    /// What a snapshot changed, or all its entries if it has no parent, in no particular order. O(k) for k changes.
    ///
    /// # Errors
    /// [`TreeError::Unknown`].
    pub fn edits(
        &self,
        id: SnapshotId,
    ) -> Result<impl Iterator<Item = Edit<'_>> + Clone, TreeError> {
        self.node(id)?;
        let changes = self.changes(id.index);
        Ok(changes.map(|(key, at)| Edit { key: self.keys.bytes(key), value: self.value(at) }))
    }

    /// Number of keys that a snapshot changed. O(1).
    ///
    /// # Errors
    /// [`TreeError::Unknown`].
    pub fn edits_len(&self, id: SnapshotId) -> Result<usize, TreeError> {
        self.node(id)?;
        Ok(self.arena.changes(id.index).len())
    }

    /// Memory that a snapshot has to itself, in bytes: its slot, and its delta where that does not fit in it. Keys, which
    /// others may name too, and checkpoints are not counted. O(1).
    ///
    /// # Errors
    /// [`TreeError::Unknown`].
    pub fn bytes(&self, id: SnapshotId) -> Result<usize, TreeError> {
        let payload = &self.node(id)?.payload;
        let spilled = if payload.spilled() { payload.capacity() } else { 0 };
        Ok(size_of::<Node>() + size_of::<Link>() + spilled)
    }

    /// Memory of the keys, in bytes, but for those of more than 16 bytes, whose bytes stand elsewhere. O(1).
    pub(crate) fn key_table_bytes(&self) -> usize {
        self.keys.table_bytes()
    }

    /// The snapshot that `id` was forked from. O(1).
    ///
    /// # Errors
    /// [`TreeError::Unknown`].
    pub fn parent(&self, id: SnapshotId) -> Result<Option<SnapshotId>, TreeError> {
        self.node(id)?;
        let parent = self.arena.link(id.index).parent;
        Ok((parent != NONE).then(|| self.id(parent)))
    }

    /// Number of a snapshot's ancestors. O(1).
    ///
    /// # Errors
    /// [`TreeError::Unknown`].
    pub fn depth(&self, id: SnapshotId) -> Result<u32, TreeError> {
        Ok(self.node(id)?.depth)
    }

    /// What `key` maps to in a snapshot. Some twenty steps to the first checkpoint, 3 or 15 tables of each larger span up
    /// to the depth, in each of which the key is looked up by halving or by its number, and some twenty steps more to the
    /// change: O(log² d) at depth d, but that a delta much longer than those below it adds as many steps as the root does.
    ///
    /// # Errors
    /// [`TreeError::Unknown`].
    #[inline]
    pub fn get(&self, id: SnapshotId, key: &[u8]) -> Result<Option<ValueRef<'_>>, TreeError> {
        self.node(id)?;
        Ok(self.keys.find(key).and_then(|key| self.lookup(id.index, key)))
    }

    /// The entries of a snapshot, ascending by key. Costs all changes above it before the first step.
    ///
    /// # Errors
    /// [`TreeError::Unknown`].
    pub fn iter(
        &self,
        id: SnapshotId,
    ) -> Result<impl Iterator<Item = (&[u8], ValueRef<'_>)>, TreeError> {
        Ok(Cursor::at(self, id)?.entries(self))
    }

    /// A snapshot's whole state. Cost of [`SnapshotTree::iter`].
    ///
    /// # Errors
    /// [`TreeError::Unknown`].
    pub fn state(&self, id: SnapshotId) -> Result<State, TreeError> {
        Ok(self.iter(id)?.collect())
    }

    /// How `b` differs from `a`, ascending by key. Costs the k changes between them and their common ancestor: O(k log k),
    /// and a read for each key that only one side changed; not the state.
    ///
    /// # Errors
    /// [`TreeError::Unknown`], [`TreeError::Unrelated`].
    pub fn diff(&self, a: SnapshotId, b: SnapshotId) -> Result<Vec<Change>, TreeError> {
        let base = self.common_ancestor(a, b)?.index;
        let [of_a, of_b] = [a, b].map(|id| self.changed_since(base, id.index));
        let mut changes = Vec::new();
        let (mut of_a, mut of_b) = (of_a.into_iter().peekable(), of_b.into_iter().peekable());
        while let Some(key) = of_a.peek().into_iter().chain(of_b.peek()).map(|(key, _)| *key).min()
        {
            let [in_a, in_b] =
                [&mut of_a, &mut of_b].map(|side| side.next_if(|(at, _)| *at == key));
            let value = |side: Option<(KeyId, At)>| match side {
                Some((_, at)) => self.value(at),
                None => self.lookup(base, key),
            };
            if let Some(kind) = ChangeKind::between(value(in_a), value(in_b)) {
                changes.push(Change { key: self.keys.bytes(key).into(), kind });
            }
        }
        order::distinct_by(&mut changes, |a, b| a.key.cmp(&b.key));
        Ok(changes)
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
        let base = self.common_ancestor(ours, theirs)?.index;
        let mut keys: Vec<KeyId> =
            self.changed_since(base, theirs.index).into_iter().map(|(key, _)| key).collect();
        order::distinct_by(&mut keys, |a, b| self.keys.bytes(*a).cmp(self.keys.bytes(*b)));
        let sides = keys.into_iter().map(|key| {
            let [base, ours, theirs] =
                [base, ours.index, theirs.index].map(|index| self.lookup(index, key));
            (self.keys.bytes(key), base, ours, theirs)
        });
        Ok(merge_keys(sides, policy))
    }

    /// The nearest snapshot that both descend from, or are. O(distance).
    ///
    /// # Errors
    /// [`TreeError::Unknown`], [`TreeError::Unrelated`].
    pub fn common_ancestor(&self, a: SnapshotId, b: SnapshotId) -> Result<SnapshotId, TreeError> {
        let (depth_a, depth_b) = (self.node(a)?.depth, self.node(b)?.depth);
        let climb = |index: u32, steps: u32| {
            (0..steps).fold(index, |index, _| self.arena.link(index).parent)
        };
        let mut x = climb(a.index, depth_a.saturating_sub(depth_b));
        let mut y = climb(b.index, depth_b.saturating_sub(depth_a));
        while x != y {
            (x, y) = (self.arena.link(x).parent, self.arena.link(y).parent);
        }
        if x == NONE { Err(TreeError::Unrelated { a, b }) } else { Ok(self.id(x)) }
    }

    /// Inlined into the caller, where the changes are known: copying one costs as much as half of the rest.
    #[inline(always)]
    fn add<'a>(
        &mut self,
        parent: u32,
        depth: u32,
        changes: impl IntoIterator<Item = Edit<'a>>,
    ) -> Result<SnapshotId, TreeError> {
        if self.arena.is_full() {
            return Err(TreeError::Full);
        }
        let (touched, packed) = self.pack(changes.into_iter())?;
        Ok(self.attach(Link { parent, touched }, depth, packed))
    }

    fn attach(&mut self, link: Link, depth: u32, packed: Packed<'_>) -> SnapshotId {
        let index = self.arena.insert(link, depth);
        let node = self.arena.node_mut(index);
        packed.write(&mut node.payload);
        let id = SnapshotId { index, generation: node.generation };
        if link.parent != NONE {
            let elder =
                core::mem::replace(&mut self.arena.node_mut(link.parent).first_child, index);
            if elder != NONE {
                self.arena.node_mut(index).next_sibling = elder;
                self.arena.node_mut(elder).previous_sibling = index;
            }
            self.checkpoints.extend(&mut self.arena, index, depth, self.keys.bound());
        }
        id
    }

    /// Packs changes in any order, of which the last to a key counts, and holds their keys.
    #[inline(always)] // See `add`.
    fn pack<'a>(
        &mut self,
        mut changes: impl Iterator<Item = Edit<'a>>,
    ) -> Result<(Touched, Packed<'a>), TreeError> {
        let Some(Edit { key, value }) = changes.next() else {
            return Ok((Touched::NOTHING, Packed::One(&[])));
        };
        let first = (self.keys.hold(key).ok_or(TreeError::Full)?, value);
        match changes.next() {
            None => changes::pack_one(first.0, first.1).ok_or_else(|| {
                self.keys.release(first.0);
                TreeError::TooLong
            }),
            Some(second) => self.pack_many(first, core::iter::once(second).chain(changes)),
        }
    }

    fn pack_many<'a>(
        &mut self,
        first: (KeyId, Option<ValueRef<'a>>),
        rest: impl Iterator<Item = Edit<'a>>,
    ) -> Result<(Touched, Packed<'a>), TreeError> {
        let mut packed = alloc::vec![first];
        let mut problem = None;
        for Edit { key, value } in rest {
            match self.keys.hold(key) {
                Some(key) => packed.push((key, value)),
                None => {
                    problem = Some(TreeError::Full);
                    break;
                }
            }
        }
        order::by_key(&mut packed, |(key, _)| *key);
        packed.dedup_by(|later, earlier| {
            let is_same = later.0 == earlier.0;
            if is_same {
                earlier.1 = later.1;
                self.keys.release(later.0);
            }
            is_same
        });
        let delta = match (problem, &packed[..]) {
            (Some(problem), _) => Err(problem),
            (None, [(key, value)]) => changes::pack_one(*key, *value).ok_or(TreeError::TooLong),
            (None, many) => changes::pack_many(many).ok_or(TreeError::TooLong),
        };
        if delta.is_err() {
            packed.iter().for_each(|(key, _)| self.keys.release(*key));
        }
        delta
    }

    /// Takes a snapshot out of its parent's children.
    fn unlink(&mut self, index: u32) {
        let Node { next_sibling, previous_sibling, .. } = *self.arena.node(index);
        let parent = self.arena.link(index).parent;
        if previous_sibling != NONE {
            self.arena.node_mut(previous_sibling).next_sibling = next_sibling;
        } else if parent != NONE {
            self.arena.node_mut(parent).first_child = next_sibling;
        }
        if next_sibling != NONE {
            self.arena.node_mut(next_sibling).previous_sibling = previous_sibling;
        }
    }

    fn remove(&mut self, index: u32) {
        self.arena.changes(index).for_each_key(|key| self.keys.release(key));
        let checkpoint = self.arena.node(index).checkpoint;
        if checkpoint != NONE {
            self.checkpoints.remove(checkpoint);
        }
        self.arena.remove(index);
    }

    #[inline]
    pub(super) fn node(&self, id: SnapshotId) -> Result<&Node, TreeError> {
        let node = self.arena.slot(id.index).filter(|node| node.generation == id.generation);
        node.ok_or(TreeError::Unknown { id })
    }

    pub(super) fn id(&self, index: u32) -> SnapshotId {
        SnapshotId { index, generation: self.arena.node(index).generation }
    }

    pub(super) const fn identity(&self) -> TreeId {
        self.identity
    }

    pub(super) const fn arena(&self) -> &Arena {
        &self.arena
    }

    pub(super) const fn keys(&self) -> &Keys {
        &self.keys
    }

    #[inline]
    pub(super) fn value(&self, at: At) -> Option<ValueRef<'_>> {
        changes::value(&self.arena.node(at.node).payload, at.place)
    }

    /// What a snapshot changed, by key number.
    pub(super) fn changes(&self, index: u32) -> impl Iterator<Item = (KeyId, At)> + Clone {
        self.arena.changes(index).iter().map(move |(key, place)| (key, At { node: index, place }))
    }

    #[inline]
    fn lookup(&self, index: u32, key: KeyId) -> Option<ValueRef<'_>> {
        let (node, place) = self.checkpoints.find(&self.arena, index, key)?;
        self.value(At { node, place })
    }

    /// The newest change of each key between an ancestor and a snapshot, ascending by key number.
    fn changed_since(&self, ancestor: u32, index: u32) -> Vec<(KeyId, At)> {
        let mut changes = Vec::new();
        let mut index = index;
        while index != ancestor {
            changes.extend(self.changes(index));
            index = self.arena.link(index).parent;
        }
        order::by_key(&mut changes, |(key, _)| *key);
        changes.dedup_by_key(|(key, _)| *key);
        changes
    }
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;

    #[test]
    fn a_full_tree_refuses_snapshots_and_takes_them_again_after_pruning() {
        let mut tree = SnapshotTree::with_limits(3, 10);
        let root = tree.create([Edit::write(b"a", b"1")]).unwrap();
        let child = tree.fork(root, [Edit::write(b"b", b"1")]).unwrap();
        tree.fork(child, []).unwrap();
        assert_eq!(tree.fork(root, [Edit::write(b"c", b"1")]), Err(TreeError::Full));
        assert_eq!(tree.create([]), Err(TreeError::Full));
        assert_eq!((tree.len(), tree.keys.find(b"c")), (3, None), "nothing is left behind");
        assert_eq!(tree.prune(child), Ok(2));
        let again = tree.fork(root, [Edit::write(b"c", b"1")]).unwrap();
        assert_eq!(tree.get(again, b"c"), Ok(Some(b"1".into())));
    }

    #[test]
    fn a_tree_with_all_keys_taken_refuses_others_and_forgets_those_of_the_refused() {
        let mut tree = SnapshotTree::with_limits(10, 3);
        let root = tree.create([Edit::write(b"a", b"1")]).unwrap();
        let too_many = [b"b", b"c", b"a", b"d", b"e"].map(|key: &[u8; 1]| Edit::write(key, b"2"));
        assert_eq!(tree.fork(root, too_many), Err(TreeError::Full));
        assert_eq!(
            tree.fork(root, too_many[3..].iter().copied().chain(too_many)),
            Err(TreeError::Full)
        );
        assert_eq!(tree.len(), 1);
        let full = tree.fork(root, too_many[..2].iter().copied()).unwrap();
        assert_eq!(tree.fork(full, [Edit::write(b"d", b"2")]), Err(TreeError::Full));
        assert_eq!(tree.prune(full), Ok(1));
        assert_eq!(tree.fork(root, [Edit::write(b"d", b"2")]).map(|_| ()), Ok(()));
    }

    #[test]
    fn a_delta_beyond_the_limit_is_refused_before_anything_is_copied() {
        // Zeroed memory that is never touched costs nothing.
        let long = std::vec![0; MAX_LEN + 1];
        let mut tree = SnapshotTree::new();
        let root = tree.create([]).unwrap();
        assert_eq!(tree.fork(root, [Edit::write(b"a", &long[..])]), Err(TreeError::TooLong));
        let halves = [
            Edit::write(b"a", &long[..MAX_LEN / 2 + 1]),
            Edit::write(b"b", &long[..MAX_LEN / 2 + 1]),
        ];
        assert_eq!(tree.fork(root, halves), Err(TreeError::TooLong));
        let noted = ValueRef { bytes: b"", note: &long };
        assert_eq!(tree.fork(root, [Edit::write(b"a", noted)]), Err(TreeError::TooLong));
        assert_eq!((tree.len(), tree.keys.find(b"a"), tree.keys.find(b"b")), (1, None, None));
    }
}
