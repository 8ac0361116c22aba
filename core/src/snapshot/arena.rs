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
    /// Of the used slots, how many are not to be used again.
    dead: usize,
    /// Whether it is among the roomy pages.
    is_listed: bool,
}

impl Page {
    fn is_full(&self) -> bool {
        self.used == PAGE_LEN && self.free.is_empty()
    }

    fn is_empty(&self) -> bool {
        self.used == self.free.len() + self.dead
    }

    fn take_slot(&mut self, floor: u32) -> usize {
        if let Some(slot) = self.free.pop() {
            return usize::from(slot);
        }
        if self.nodes.is_empty() {
            self.begin(floor);
        }
        self.used += 1;
        self.used - 1
    }

    #[cold]
    fn begin(&mut self, floor: u32) {
        self.nodes.reserve_exact(PAGE_LEN);
        self.nodes.resize(PAGE_LEN, Node::free(floor));
    }
}

/// What the generations of a page's slots count from when it is begun; none may, once a slot of it is used up.
const USED_UP: u32 = u32::MAX;

#[derive(Clone, Debug)]
pub(super) struct Arena {
    links: Vec<Link>,
    pages: Vec<Page>,
    /// By page, also for those that were given up: what its slots count from, so that no id comes back.
    floors: Vec<u32>,
    /// Pages that may have room, each once; some perhaps given up.
    roomy: Vec<usize>,
    /// A page that is kept though it is empty, lest one snapshot that comes and goes take and free a page each time.
    spare: Option<usize>,
    len: u32,
    limit: u32,
}

impl Arena {
    /// Holds at most `limit` snapshots, which is below [`NONE`].
    pub(super) const fn new(limit: u32) -> Self {
        Self {
            links: Vec::new(),
            pages: Vec::new(),
            floors: Vec::new(),
            roomy: Vec::new(),
            spare: None,
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

    /// Gives a snapshot a free slot; its payload is the caller's to write there, lest it be copied once more. The arena
    /// must not be full.
    pub(super) fn insert(&mut self, link: Link, depth: u32) -> u32 {
        let at = self.roomy_page();
        let page = &mut self.pages[at];
        let slot = page.take_slot(self.floors[at]);
        let node = &mut page.nodes[slot];
        node.generation += 1;
        node.depth = depth;
        let index = at * PAGE_LEN + slot;
        if index >= self.links.len() {
            self.links.resize(index + 1, link);
        }
        self.links[index] = link;
        self.len += 1;
        // UNWRAP: a page is begun only when all others are full, so no index is a page beyond the limit, but for those of slots
        // that are used up: a page of them each 2^31 snapshots, of which 2^24 would fill the indices.
        u32::try_from(index).expect("an index fits in 32 bits")
    }

    /// Frees a slot and gives its memory back.
    #[inline]
    pub(super) fn remove(&mut self, index: u32) {
        let index = index as usize;
        let (at, slot) = (index / PAGE_LEN, index % PAGE_LEN);
        self.links[index].touched = Touched::NOTHING;
        let page = &mut self.pages[at];
        let node = &mut page.nodes[slot];
        node.clear();
        // A slot that was used 2^31 times is not used again: an old id could be taken for a new one.
        match (node.generation.checked_add(1), u8::try_from(slot)) {
            (Some(generation), Ok(slot)) => {
                node.generation = generation;
                page.free.push(slot);
                if !core::mem::replace(&mut page.is_listed, true) {
                    self.roomy.push(at);
                }
            }
            _ => {
                node.generation = 0;
                page.dead += 1;
            }
        }
        self.len -= 1;
        if page.is_empty() {
            self.spare_or_release(at);
        }
    }

    /// Keeps an empty page and gives back the one kept before, or both if nothing stands behind them.
    #[cold]
    fn spare_or_release(&mut self, at: usize) {
        if let Some(spare) = self.spare.replace(at).filter(|spare| *spare != at) {
            self.release(spare);
        }
        if at > 0 && at + 1 == self.pages.len() && self.pages[at - 1].nodes.is_empty() {
            self.release(at);
        }
        if self.pages.last().is_some_and(|page| page.nodes.is_empty()) {
            self.trim();
        }
    }

    /// Gives an empty page's memory back.
    fn release(&mut self, at: usize) {
        let Some(page) = self.pages.get_mut(at).filter(|page| page.is_empty()) else { return };
        let newest = page.nodes.iter().map(|node| node.generation).max();
        let floor = if page.dead > 0 { USED_UP } else { newest.unwrap_or(0) };
        self.floors[at] = self.floors[at].max(floor);
        *page = Page { is_listed: page.is_listed, ..Page::default() };
    }

    /// Gives up the pages behind the last that is in use.
    fn trim(&mut self) {
        while self.pages.pop_if(|page| page.nodes.is_empty()).is_some() {}
        let end = self.pages.len();
        self.links.truncate(end * PAGE_LEN);
        // Growth doubles, so this gives back half at least, and seldom.
        if self.links.capacity() > 4 * end * PAGE_LEN {
            self.links.shrink_to(2 * end * PAGE_LEN);
            self.pages.shrink_to(2 * end);
            self.roomy.retain(|at| *at < end);
            self.roomy.shrink_to_fit();
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
            let Some(page) = self.pages.get_mut(at) else {
                // Given up since. All of its kind are gone from here before a page is begun in their place.
                self.roomy.pop();
                continue;
            };
            if !page.is_full() && self.floors[at] != USED_UP {
                return at;
            }
            page.is_listed = false;
            self.roomy.pop();
        }
        // Those that are used up stay empty.
        while self.floors.get(self.pages.len()) == Some(&USED_UP) {
            self.pages.push(Page::default());
        }
        let at = self.pages.len();
        self.pages.push(Page { is_listed: true, ..Page::default() });
        if at == self.floors.len() {
            self.floors.push(0);
        }
        self.roomy.push(at);
        at
    }
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use super::*;

    const LINK: Link = Link { parent: NONE, touched: Touched::NOTHING };

    /// What stands below the top grows and shrinks without a trace.
    #[test]
    fn pages_that_fill_and_empty_are_listed_once() {
        let mut arena = Arena::new(NONE - 256);
        let mut kept: Vec<u32> = (0..255).map(|_| arena.insert(LINK, 0)).collect();
        for _ in 0..1000 {
            let last = arena.insert(LINK, 0);
            arena.remove(last);
        }
        assert!(arena.roomy.len() <= 2, "{:?}", arena.roomy);
        kept.extend((0..100_000).map(|_| arena.insert(LINK, 0)));
        // The oldest first: the page freed last is the last one.
        kept.drain(1..).for_each(|index| arena.remove(index));
        assert_eq!(arena.len(), 1);
        assert!(arena.links.capacity() <= 16 * PAGE_LEN && arena.pages.len() <= 16);
    }

    #[test]
    fn a_slot_that_is_used_up_is_not_used_again_and_takes_no_other_page_along() {
        let mut arena = Arena::new(NONE - 256);
        let base = arena.insert(LINK, 0);
        for _ in 0..10 {
            let full: Vec<u32> = (0..255).map(|_| arena.insert(LINK, 0)).collect();
            let next = arena.insert(LINK, 0);
            // As if it had been used 2^31 times.
            arena.node_mut(next).generation = u32::MAX;
            arena.remove(next);
            assert_eq!(arena.node(next).generation, 0, "no id is of a slot that is used up");
            let other = arena.insert(LINK, 0);
            assert_ne!(other, next);
            assert!(arena.node(other).generation < 1000, "{}", arena.node(other).generation);
            arena.remove(other);
            full.into_iter().for_each(|index| arena.remove(index));
        }
        assert_eq!(arena.node(base).generation, 1);
        assert!(arena.floors.len() < 16, "{}", arena.floors.len());
        // The one with the base, and the spare.
        assert!(arena.pages.iter().filter(|page| !page.nodes.is_empty()).count() <= 2);
    }
}
