// SPDX-License-Identifier: MIT
//! The slots that the snapshots of a tree stand in, by 32-bit index.
//!
//! What a read walks over (parent and touched keys) stands apart, eight bytes a snapshot, so that eight steps are one cache line;
//! the rest stands in pages, so that nothing is copied when the tree grows, and a page's memory is given back when its last
//! snapshot goes. Each slot counts how often it was taken and freed, so that the id of a snapshot that is gone is known for what
//! it is, also when its slot and even its page were used again.

use alloc::vec::Vec;

use super::changes::{Changes, Payload, Touched};

/// Stands for no index.
pub(super) const NONE: u32 = u32::MAX;

/// Slots in a page: 16 KiB at a time, so that a tree of a few snapshots is small.
const PAGE_LEN: usize = 256;

/// What a read needs of a snapshot to go on to the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub(super) parent: u32,
    pub(super) touched: Touched,
}

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) payload: Payload,
    /// Odd while a snapshot stands here.
    pub(super) generation: u32,
    /// Number of ancestors.
    pub(super) depth: u32,
    pub(super) first_child: u32,
    pub(super) next_sibling: u32,
    pub(super) previous_sibling: u32,
    pub(super) checkpoint: u32,
}

impl Node {
    const fn free(generation: u32) -> Self {
        Self {
            payload: Payload::new_const(),
            generation,
            depth: 0,
            first_child: NONE,
            next_sibling: NONE,
            previous_sibling: NONE,
            checkpoint: NONE,
        }
    }

    /// Leaves the slot as [`Node::free`] makes it, but for the generation. Field by field: most are so already, and a whole node
    /// would be put together elsewhere first.
    #[inline]
    fn clear(&mut self) {
        self.payload = Payload::new();
        self.first_child = NONE;
        self.next_sibling = NONE;
        self.previous_sibling = NONE;
        self.checkpoint = NONE;
    }
}

#[derive(Clone, Debug, Default)]
struct Page {
    /// All slots, or none while no snapshot stands in any.
    nodes: Vec<Node>,
    /// How many slots were used since the page was begun; the rest is free.
    used: usize,
    /// Of the used slots, those that were freed.
    free: Vec<u8>,
    /// The generation of a slot that was not used since the page was begun.
    floor: u32,
}

impl Page {
    fn is_full(&self) -> bool {
        self.used == PAGE_LEN && self.free.is_empty()
    }

    fn is_empty(&self) -> bool {
        self.used == self.free.len()
    }

    fn take_slot(&mut self) -> usize {
        if let Some(slot) = self.free.pop() {
            return usize::from(slot);
        }
        if self.nodes.is_empty() {
            self.begin();
        }
        self.used += 1;
        self.used - 1
    }

    #[cold]
    fn begin(&mut self) {
        self.nodes.reserve_exact(PAGE_LEN);
        self.nodes.resize(PAGE_LEN, Node::free(self.floor));
    }

    /// Gives the memory back. No slot may be in use.
    fn release(&mut self) {
        let newest = self.nodes.iter().map(|node| node.generation).max();
        let floor = self.floor.max(newest.unwrap_or(0));
        *self = Self { floor, ..Self::default() };
    }
}

#[derive(Clone, Debug)]
pub(super) struct Arena {
    links: Vec<Link>,
    pages: Vec<Page>,
    /// Pages that may have room, some perhaps more than once, some perhaps gone.
    roomy: Vec<usize>,
    /// A page that is kept though it is empty, lest one snapshot that comes and goes take and free a page each time.
    spare: Option<usize>,
    /// The floor of pages that were given up altogether.
    floor: u32,
    len: u32,
    limit: u32,
}

impl Arena {
    /// Holds at most `limit` snapshots, which is below [`NONE`].
    pub(super) const fn new(limit: u32) -> Self {
        Self {
            links: Vec::new(),
            pages: Vec::new(),
            roomy: Vec::new(),
            spare: None,
            floor: 0,
            len: 0,
            limit,
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.len as usize
    }

    pub(super) const fn is_full(&self) -> bool {
        self.len >= self.limit
    }

    #[inline]
    pub(super) fn link(&self, index: u32) -> Link {
        self.links[index as usize]
    }

    #[inline]
    pub(super) fn node(&self, index: u32) -> &Node {
        let index = index as usize;
        &self.pages[index / PAGE_LEN].nodes[index % PAGE_LEN]
    }

    #[inline]
    pub(super) fn node_mut(&mut self, index: u32) -> &mut Node {
        let index = index as usize;
        &mut self.pages[index / PAGE_LEN].nodes[index % PAGE_LEN]
    }

    /// The node, if there is such a slot, whether or not a snapshot stands in it.
    #[inline]
    pub(super) fn slot(&self, index: u32) -> Option<&Node> {
        let index = index as usize;
        self.pages.get(index / PAGE_LEN)?.nodes.get(index % PAGE_LEN)
    }

    pub(super) fn changes(&self, index: u32) -> Changes<'_> {
        Changes::new(self.link(index).touched, &self.node(index).payload)
    }

    /// Gives a snapshot a free slot; its payload is the caller's to write there, lest it be copied once more. The arena must not be
    /// full.
    pub(super) fn insert(&mut self, link: Link, depth: u32) -> u32 {
        let at = self.roomy_page();
        let page = &mut self.pages[at];
        let slot = page.take_slot();
        let node = &mut page.nodes[slot];
        node.generation += 1;
        node.depth = depth;
        let index = at * PAGE_LEN + slot;
        if index >= self.links.len() {
            self.links.resize(index + 1, link);
        }
        self.links[index] = link;
        self.len += 1;
        // UNWRAP: a page is begun only when all others are full, so no index is a page beyond the limit.
        u32::try_from(index).expect("an index fits in 32 bits")
    }

    /// Frees a slot and gives its memory back.
    #[inline]
    pub(super) fn remove(&mut self, index: u32) {
        let index = index as usize;
        let (at, slot) = (index / PAGE_LEN, index % PAGE_LEN);
        self.links[index].touched = Touched::NOTHING;
        let page = &mut self.pages[at];
        if page.is_full() {
            self.roomy.push(at);
        }
        let node = &mut page.nodes[slot];
        node.clear();
        // A slot that was used 2^31 times is not used again: an old id could be taken for a new one.
        match (node.generation.checked_add(1), u8::try_from(slot)) {
            (Some(generation), Ok(slot)) => {
                node.generation = generation;
                page.free.push(slot);
            }
            _ => node.generation = 0,
        }
        self.len -= 1;
        if page.is_empty() {
            self.release(at);
        }
    }

    /// Gives an empty page's memory back, or keeps it and gives back the one kept before.
    #[cold]
    fn release(&mut self, at: usize) {
        let spare = self.spare.replace(at).filter(|spare| *spare != at);
        let spare = spare.and_then(|spare| self.pages.get_mut(spare));
        if let Some(page) = spare.filter(|page| page.is_empty()) {
            page.release();
        }
        while let Some(page) = self.pages.pop_if(|page| page.nodes.is_empty()) {
            self.floor = self.floor.max(page.floor);
        }
        let end = self.pages.len() * PAGE_LEN;
        if self.links.len() > end {
            self.links.truncate(end);
            // Growth doubles, so this gives back half at least, and seldom.
            if self.links.capacity() > 4 * end {
                self.links.shrink_to(2 * end);
                self.roomy.retain(|at| *at < self.pages.len());
                self.roomy.shrink_to_fit();
                self.pages.shrink_to(2 * self.pages.len());
            }
        }
    }

    /// A page with room for one more.
    fn roomy_page(&mut self) -> usize {
        match self.roomy.last() {
            Some(at) if self.pages.get(*at).is_some_and(|page| !page.is_full()) => *at,
            _ => self.next_roomy_page(),
        }
    }

    #[cold]
    fn next_roomy_page(&mut self) -> usize {
        while let Some(at) = self.roomy.last().copied() {
            if self.pages.get(at).is_some_and(|page| !page.is_full()) {
                return at;
            }
            self.roomy.pop();
        }
        self.pages.push(Page { floor: self.floor, ..Page::default() });
        self.roomy.push(self.pages.len() - 1);
        self.pages.len() - 1
    }
}
