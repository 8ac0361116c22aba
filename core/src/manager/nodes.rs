// SPDX-License-Identifier: MIT
//! The nodes, in numbered slots, and the index from states to nodes.
//!
//! A slot is 48 bytes, with room for an inline state; what a keyed state needs stands apart. A slot is used again when its
//! node is gone, and counts its uses so that an old id is known for what it is.

use alloc::vec::Vec;
use core::fmt;
use core::hash::{BuildHasher, Hasher};

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use slab::Slab;

use super::UnknownNode;
use super::fingerprint::Fingerprint;
use crate::hash::{ContentHash, HashKind};
use crate::merkle::{StateRoot, StateTrie};
use crate::snapshot::SnapshotId;

/// Bytes of the longest state that stands in its node: a board of a few 64-bit sets with what legality depends on, or a
/// digest that names a state kept elsewhere. No format depends on it.
pub const INLINE_LEN: usize = 32;

/// Stands for no slot.
pub(super) const NONE: u32 = u32::MAX;

/// A node of one manager: the slot it stands in, and which of those that ever stood there it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId {
    slot: u32,
    generation: u32,
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.slot, self.generation / 2)
    }
}

/// What led from a node to its child. Its meaning is the game's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Action(pub u32);

#[derive(Clone, Copy, Debug)]
pub(super) struct Inline {
    len: u8,
    /// Whether its root is in the index of roots.
    is_indexed: bool,
    bytes: [u8; INLINE_LEN],
}

impl Inline {
    /// `None` if the bytes are too long.
    pub(super) fn new(state: &[u8]) -> Option<Self> {
        let mut bytes = [0; INLINE_LEN];
        bytes.get_mut(..state.len())?.copy_from_slice(state);
        Some(Self { len: u8::try_from(state.len()).ok()?, is_indexed: false, bytes })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// The root of the state whose one entry is these bytes, under the empty key.
    pub(super) fn root(&self, kind: HashKind) -> StateRoot {
        StateTrie::new(kind, core::iter::once((&[][..], self.bytes()))).root()
    }
}

/// Where the state of a node is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    Resident {
        snapshot: SnapshotId,
        /// Memory it has to itself.
        bytes: u64,
        /// Children that are resident, whose snapshots are deltas to this one.
        children: u32,
    },
    Stored {
        object: ContentHash,
        len: u64,
    },
    Replayable,
}

/// A node whose state maps keys to values.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keyed {
    pub(super) fingerprint: Fingerprint,
    /// Computed when it is asked for, and before the state is evicted.
    pub(super) root: Option<StateRoot>,
    /// Keys that differ from the parent's state, or that were written at least.
    pub(super) edits: u64,
    pub(super) place: Place,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    Free,
    Inline(Inline),
    /// By number among the keyed.
    Keyed(u32),
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// Odd while a node stands here.
    generation: u32,
    /// The parent's slot; of a free slot, the next free one.
    parent: u32,
    action: Action,
    form: Form,
}

type IsKeyed = bool;

#[derive(Clone, Debug)]
pub(super) struct Nodes {
    slots: Vec<Slot>,
    keyed: Slab<Keyed>,
    first_free: u32,
    len: u32,
    limit: u32,
    kind: HashKind,
    /// Inline nodes by their bytes, keyed ones by their fingerprint.
    by_state: HashTable<u32>,
    hashing: DefaultHashBuilder,
    /// Nodes by their root, of those whose root was computed. A keyed and an inline state may have the same.
    by_root: HashMap<(StateRoot, IsKeyed), u32>,
    inline: u32,
}

impl Nodes {
    pub(super) fn new(limit: u32, kind: HashKind) -> Self {
        Self {
            slots: Vec::new(),
            keyed: Slab::new(),
            first_free: NONE,
            len: 0,
            // The greatest number stands for none.
            limit: limit.min(NONE - 1),
            kind,
            by_state: HashTable::new(),
            hashing: DefaultHashBuilder::default(),
            by_root: HashMap::new(),
            inline: 0,
        }
    }

    pub(super) const fn len(&self) -> u32 {
        self.len
    }

    pub(super) fn is_full(&self) -> bool {
        let no_slot = self.first_free == NONE && self.slots.len() >= NONE as usize;
        self.len >= self.limit || no_slot
    }

    pub(super) const fn inline_len(&self) -> u32 {
        self.inline
    }

    /// The slot of a node that is there.
    #[inline]
    pub(super) fn check(&self, node: NodeId) -> Result<u32, UnknownNode> {
        let slot = self.slots.get(node.slot as usize);
        let found = slot.filter(|slot| slot.generation == node.generation);
        found.map(|_| node.slot).ok_or(UnknownNode { node })
    }

    pub(super) fn id(&self, slot: u32) -> NodeId {
        NodeId { slot, generation: self.slots[slot as usize].generation }
    }

    /// The slots in which nodes stand.
    pub(super) fn slots(&self) -> impl Iterator<Item = u32> + use<> {
        let taken: Vec<u32> = (0..)
            .zip(&self.slots)
            .filter(|(_, slot)| !matches!(slot.form, Form::Free))
            .map(|(at, _)| at)
            .collect();
        taken.into_iter()
    }

    /// Above every slot in use.
    pub(super) fn bound(&self) -> usize {
        self.slots.len()
    }

    #[inline]
    pub(super) fn form(&self, slot: u32) -> &Form {
        &self.slots[slot as usize].form
    }

    pub(super) fn parent(&self, slot: u32) -> Option<u32> {
        let parent = self.slots[slot as usize].parent;
        (parent != NONE).then_some(parent)
    }

    /// Makes a node one without a parent.
    pub(super) fn orphan(&mut self, slot: u32) {
        self.slots[slot as usize].parent = NONE;
    }

    pub(super) fn action(&self, slot: u32) -> Action {
        self.slots[slot as usize].action
    }

    /// What a keyed node holds; `None` of an inline one.
    #[inline]
    pub(super) fn keyed(&self, slot: u32) -> Option<&Keyed> {
        match self.form(slot) {
            Form::Keyed(number) => self.keyed.get(*number as usize),
            _ => None,
        }
    }

    #[inline]
    pub(super) fn keyed_mut(&mut self, slot: u32) -> Option<&mut Keyed> {
        match self.slots[slot as usize].form {
            Form::Keyed(number) => self.keyed.get_mut(number as usize),
            _ => None,
        }
    }

    pub(super) fn find_bytes(&self, bytes: &[u8]) -> Option<u32> {
        let is_it = |slot: &u32| matches!(self.form(*slot), Form::Inline(inline) if inline.bytes() == bytes);
        self.by_state.find(hash(&self.hashing, bytes), is_it).copied()
    }

    /// The keyed nodes that have a fingerprint: most often none or one.
    pub(super) fn find_keyed(&self, fingerprint: Fingerprint) -> Vec<u32> {
        let is_it =
            |slot: &u32| self.keyed(*slot).is_some_and(|keyed| keyed.fingerprint == fingerprint);
        self.by_state.iter_hash(fingerprint.0).copied().filter(is_it).collect()
    }

    /// The node with a root, of those that were indexed.
    pub(super) fn find_root(&self, root: &StateRoot) -> Option<u32> {
        [true, false].into_iter().find_map(|form| self.by_root.get(&(*root, form)).copied())
    }

    /// Whether every node's root is in the index.
    pub(super) fn is_indexed(&self) -> bool {
        self.by_root.len() == self.len as usize
    }

    /// Enters a node's root in the index.
    pub(super) fn index_root(&mut self, at: u32, root: StateRoot) {
        if let Form::Inline(inline) = &mut self.slots[at as usize].form {
            inline.is_indexed = true;
            self.by_root.insert((root, false), at);
        } else if let Some(keyed) = self.keyed_mut(at) {
            keyed.root = Some(root);
            self.by_root.insert((root, true), at);
        }
    }

    /// Adds an inline node. The nodes must not be full, and the state must be new.
    pub(super) fn add_inline(&mut self, parent: Option<u32>, action: Action, state: Inline) -> u32 {
        self.inline += 1;
        self.add(parent, action, Form::Inline(state))
    }

    /// Adds a keyed node. The nodes must not be full, and the state must be new.
    pub(super) fn add_keyed(&mut self, parent: Option<u32>, action: Action, state: Keyed) -> u32 {
        // UNWRAP: there are no more of them than nodes, and those are counted in 32 bits.
        let number = u32::try_from(self.keyed.insert(state)).expect("a number fits in 32 bits");
        self.add(parent, action, Form::Keyed(number))
    }

    fn add(&mut self, parent: Option<u32>, action: Action, form: Form) -> u32 {
        let at = if self.first_free == NONE {
            self.slots.push(Slot { generation: 0, parent: NONE, action, form: Form::Free });
            // UNWRAP: the nodes are not full.
            u32::try_from(self.slots.len() - 1).expect("a slot's number fits in 32 bits")
        } else {
            self.first_free
        };
        let slot = &mut self.slots[at as usize];
        if self.first_free != NONE {
            self.first_free = slot.parent;
        }
        let generation = slot.generation + 1;
        *slot = Slot { generation, parent: parent.unwrap_or(NONE), action, form };
        self.len += 1;
        let Self { slots, keyed, hashing, by_state, .. } = self;
        let hash = |slot: &u32| hash_of(&slots[*slot as usize].form, keyed, hashing);
        by_state.insert_unique(hash(&at), at, hash);
        at
    }

    /// Removes a node. Those that have it as their parent are the caller's to see to.
    pub(super) fn remove(&mut self, at: u32) {
        let Self { slots, keyed, hashing, by_state, .. } = self;
        let slot = &mut slots[at as usize];
        let hash = hash_of(&slot.form, keyed, hashing);
        if let Ok(entry) = by_state.find_entry(hash, |found| *found == at) {
            entry.remove();
        }
        let root = match core::mem::replace(&mut slot.form, Form::Free) {
            Form::Free => return,
            Form::Keyed(number) => {
                keyed.try_remove(number as usize).and_then(|keyed| Some((keyed.root?, true)))
            }
            Form::Inline(inline) => {
                self.inline -= 1;
                inline.is_indexed.then(|| (inline.root(self.kind), false))
            }
        };
        if let Some(root) = root {
            self.by_root.remove(&root);
        }
        self.len -= 1;
        // A slot that was used 2^31 times is not used again: an old id could be taken for a new one.
        slot.generation = slot.generation.wrapping_add(1);
        slot.parent = NONE;
        if slot.generation != 0 {
            slot.parent = self.first_free;
            self.first_free = at;
        }
    }

    /// Memory of a node's slot, in bytes.
    pub(super) const SLOT_BYTES: usize = size_of::<Slot>();

    /// Memory of what leads from states to nodes, and of what keyed nodes hold beside their states, in bytes.
    pub(super) fn index_bytes(&self) -> usize {
        let free = self.slots.capacity() - self.inline as usize;
        self.by_state.allocation_size()
            + self.by_root.allocation_size()
            + self.keyed.capacity() * size_of::<Keyed>()
            + free * Self::SLOT_BYTES
    }
}

fn hash_of(form: &Form, keyed: &Slab<Keyed>, hashing: &DefaultHashBuilder) -> u64 {
    match form {
        Form::Inline(inline) => hash(hashing, inline.bytes()),
        Form::Keyed(number) => keyed.get(*number as usize).map_or(0, |keyed| keyed.fingerprint.0),
        Form::Free => 0,
    }
}

fn hash(hashing: &DefaultHashBuilder, bytes: &[u8]) -> u64 {
    let mut hasher = hashing.build_hasher();
    hasher.write(bytes);
    hasher.finish()
}

#[cfg(all(test, feature = "std", feature = "sha256"))]
mod tests {
    use super::*;

    #[test]
    fn a_slot_that_is_used_up_is_not_used_again() {
        let mut nodes = Nodes::new(u32::MAX, HashKind::Sha256);
        let add = |nodes: &mut Nodes| {
            let state = Inline::new(b"state").unwrap();
            nodes.add_inline(None, Action(0), state)
        };
        let first = add(&mut nodes);
        nodes.remove(first);
        assert_eq!(add(&mut nodes), first);
        // As if it had been used 2^31 times.
        nodes.slots[first as usize].generation = u32::MAX;
        let last = nodes.id(first);
        nodes.remove(first);
        assert_eq!(nodes.check(last), Err(UnknownNode { node: last }));
        assert_ne!(add(&mut nodes), first);
        assert_eq!((nodes.len(), nodes.slots().count()), (1, 1));
    }

    #[test]
    fn a_slot_is_as_small_as_the_documentation_says() {
        assert_eq!(Nodes::SLOT_BYTES, 48);
    }
}
