// SPDX-License-Identifier: MIT
//! The working set: the database's objects as memory knows them, behind the core's synchronous interface.
//!
//! An object waits to be written, is being written, or has its place in a page; its frame is at hand or not. Reading one whose frame
//! is on disk alone fails as if it were missing, and remembers that it was wanted: the caller fetches it and reads again
//! ([`Shared::read`](super::Shared::read)). What is read is verified against its name every time, by the core.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};

use cascow_core::frame::{self, Codec, Frame};
use cascow_core::hash::{ContentHash, HashKind};
use cascow_core::store::{ObjectInfo, ObjectStore, Put, StoreError};

use super::page::{Entry, Page, PageNumber};

/// An object longer than this is stored as it is: only pages of searches are, which are written often and while somebody waits, and
/// browsers compress what IndexedDB is given. It is a chunk's greatest length; changing it changes no name and breaks nothing.
const LONGEST_DEFLATED: usize = 8192;

/// Frames on disk that are kept at hand, in bytes; beyond, all that need not stay go at once.
const MOST_AT_HAND: u64 = 16 << 20;

/// A page is closed once it has so many bytes. One record for many small objects: a record costs a browser some tens of
/// microseconds, however short it is.
const PAGE_LEN: usize = 256 << 10;

/// Where an object is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Home {
    /// In memory alone.
    Waiting,
    /// In memory, and in a page of a transaction that is under way.
    Writing,
    /// In a page, from this byte on.
    Page(PageNumber, u32),
}

#[derive(Debug)]
struct Slot {
    home: Home,
    /// Of the frame, in bytes.
    len: u32,
    frame: Option<Box<[u8]>>,
}

/// What the working set holds and has done.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) objects: u64,
    pub(crate) stored_bytes: u64,
    pub(crate) waiting_bytes: u64,
    pub(crate) waiting_objects: u64,
    pub(crate) resident_bytes: u64,
    pub(crate) pages: u64,
    pub(crate) put_bytes: u64,
    pub(crate) saved_bytes: u64,
}

/// The working set.
#[derive(Debug)]
pub(crate) struct Objects {
    kind: HashKind,
    slots: RefCell<HashMap<ContentHash, Slot>>,
    /// Those that wait, in the order in which they came: what was put together is read together.
    waiting: RefCell<Vec<ContentHash>>,
    pages: RefCell<HashMap<PageNumber, Vec<Entry>>>,
    /// Read in vain since this was last looked at, though they have a place.
    wanted: RefCell<Vec<ContentHash>>,
    /// While somebody reads, nothing at hand is let go.
    readers: Cell<u32>,
    /// Collections that are under way, and what was put since the first of them began: it may refer to nothing yet that a head
    /// leads to, and what puts it counts on it.
    collections: Cell<u32>,
    touched: RefCell<HashSet<ContentHash>>,
    /// The greatest number that a page ever had: numbers of pages that are to be deleted are still taken.
    newest: Cell<PageNumber>,
    put_bytes: Cell<u64>,
    saved_bytes: Cell<u64>,
    waiting_bytes: Cell<u64>,
    resident_bytes: Cell<u64>,
}

fn add(cell: &Cell<u64>, bytes: usize) {
    cell.set(cell.get() + bytes as u64);
}

fn subtract(cell: &Cell<u64>, bytes: usize) {
    cell.set(cell.get().saturating_sub(bytes as u64));
}

impl Objects {
    pub(super) fn new(kind: HashKind) -> Self {
        Self {
            kind,
            slots: RefCell::default(),
            waiting: RefCell::default(),
            pages: RefCell::default(),
            wanted: RefCell::default(),
            readers: Cell::new(0),
            collections: Cell::new(0),
            touched: RefCell::default(),
            newest: Cell::new(PageNumber::ZERO),
            put_bytes: Cell::new(0),
            saved_bytes: Cell::new(0),
            waiting_bytes: Cell::new(0),
            resident_bytes: Cell::new(0),
        }
    }

    pub(super) fn tally(&self) -> Tally {
        let pages = self.pages.borrow();
        Tally {
            objects: self.slots.borrow().len() as u64,
            stored_bytes: pages.values().flatten().map(|entry| u64::from(entry.len)).sum(),
            waiting_bytes: self.waiting_bytes.get(),
            waiting_objects: self.waiting.borrow().len() as u64,
            resident_bytes: self.resident_bytes.get(),
            pages: pages.len() as u64,
            put_bytes: self.put_bytes.get(),
            saved_bytes: self.saved_bytes.get(),
        }
    }

    pub(super) fn waiting_bytes(&self) -> u64 {
        self.waiting_bytes.get()
    }

    fn put_named(&self, hash: ContentHash, bytes: &[u8]) -> Result<Put, StoreError> {
        add(&self.put_bytes, bytes.len());
        if self.collections.get() > 0 {
            self.touched.borrow_mut().insert(hash);
        }
        if self.slots.borrow().contains_key(&hash) {
            add(&self.saved_bytes, bytes.len());
            return Ok(Put { hash, added: None });
        }
        let frame = match bytes.len() > LONGEST_DEFLATED {
            true => frame::with_payload(Codec::Raw, bytes.len() as u64, bytes),
            false => frame::encode(bytes),
        };
        let frame = frame.map_err(|error| StoreError::Frame { hash, error })?;
        let len = frame.len();
        // Objects have at most 2^30 bytes.
        let slot = Slot {
            home: Home::Waiting,
            len: u32::try_from(len).unwrap_or(u32::MAX),
            frame: Some(frame.into_boxed_slice()),
        };
        self.slots.borrow_mut().insert(hash, slot);
        self.waiting.borrow_mut().push(hash);
        add(&self.waiting_bytes, len);
        add(&self.resident_bytes, len);
        Ok(Put { hash, added: Some(len as u64) })
    }

    /// What was wanted in vain though it has a place; empty from then on.
    pub(super) fn take_wanted(&self) -> Vec<ContentHash> {
        self.wanted.take()
    }

    /// Of these, the pages that have those that are not at hand.
    pub(super) fn pages_of(&self, hashes: &[ContentHash]) -> Vec<PageNumber> {
        let slots = self.slots.borrow();
        let mut pages: Vec<PageNumber> = hashes
            .iter()
            .filter_map(|hash| match slots.get(hash) {
                Some(Slot { home: Home::Page(page, _), frame: None, .. }) => Some(*page),
                _ => None,
            })
            .collect();
        pages.sort_unstable();
        pages.dedup();
        pages
    }

    /// Takes in a page as it was read; `None` if it is not there. What it should have and does not is lost.
    pub(super) fn accept(&self, number: PageNumber, page: Option<&[u8]>) {
        let entries = self.pages.borrow().get(&number).cloned().unwrap_or_default();
        for entry in entries {
            let (start, len) = (entry.offset as usize, entry.len as usize);
            let frame = page.and_then(|page| page.get(start..)?.get(..len));
            match frame {
                Some(frame) => {
                    let mut slots = self.slots.borrow_mut();
                    if let Some(slot) = slots.get_mut(&entry.hash)
                        && slot.frame.is_none()
                        && slot.home == Home::Page(number, entry.offset)
                    {
                        slot.frame = Some(frame.into());
                        add(&self.resident_bytes, len);
                    }
                }
                None => self.lose(&entry.hash),
            }
        }
    }

    /// Forgets an object that cannot be read, so that it counts as missing until somebody puts its bytes again.
    fn lose(&self, hash: &ContentHash) {
        let mut slots = self.slots.borrow_mut();
        if matches!(slots.get(hash), Some(slot) if matches!(slot.home, Home::Page(..)))
            && let Some(slot) = slots.remove(hash)
            && let Some(frame) = slot.frame
        {
            subtract(&self.resident_bytes, frame.len());
        }
    }

    /// From now on what is put is remembered, until as many have ended.
    pub(super) fn begin_collecting(&self) {
        self.collections.set(self.collections.get() + 1);
    }

    pub(super) fn end_collecting(&self) {
        self.collections.set(self.collections.get().saturating_sub(1));
        if self.collections.get() == 0 {
            self.touched.take();
        }
    }

    /// Whether it was put while a collection is under way.
    pub(super) fn is_touched(&self, hash: &ContentHash) -> bool {
        self.touched.borrow().contains(hash)
    }

    pub(super) fn begin_reading(&self) {
        self.readers.set(self.readers.get() + 1);
    }

    pub(super) fn end_reading(&self) {
        self.readers.set(self.readers.get().saturating_sub(1));
    }

    /// Lets go of frames that are on disk, if there are many and nobody reads.
    fn relieve(&self) {
        let spare = self.resident_bytes.get().saturating_sub(self.waiting_bytes.get());
        if self.readers.get() > 0 || spare <= MOST_AT_HAND {
            return;
        }
        for slot in self.slots.borrow_mut().values_mut() {
            if matches!(slot.home, Home::Page(..))
                && let Some(frame) = slot.frame.take()
            {
                subtract(&self.resident_bytes, frame.len());
            }
        }
    }

    /// Packs all that waits into pages numbered from `first` on. Until [`written`](Self::written) or [`refused`](Self::refused), these
    /// objects are under way.
    pub(super) fn pack(&self, first: PageNumber) -> Vec<Page> {
        let mut pages = Vec::new();
        let mut slots = self.slots.borrow_mut();
        let mut page = Page::new(first);
        for hash in self.waiting.take() {
            let Some(slot) = slots.get_mut(&hash).filter(|slot| slot.home == Home::Waiting) else {
                continue;
            };
            slot.home = Home::Writing;
            let Some(frame) = &slot.frame else { continue };
            if !page.is_empty() && page.len() + frame.len() > PAGE_LEN {
                let next = page.number.next();
                pages.push(std::mem::replace(&mut page, Page::new(next)));
            }
            page.push(hash, frame);
        }
        if !page.is_empty() {
            pages.push(page);
        }
        pages
    }

    /// The pages are on disk.
    pub(super) fn written(&self, pages: Vec<Page>) {
        for page in pages {
            {
                let mut slots = self.slots.borrow_mut();
                for entry in &page.entries {
                    if let Some(slot) = slots.get_mut(&entry.hash)
                        && slot.home == Home::Writing
                    {
                        slot.home = Home::Page(page.number, entry.offset);
                        subtract(&self.waiting_bytes, slot.len as usize);
                    }
                }
            }
            self.insert_page(page.number, page.entries);
        }
        self.relieve();
    }

    /// The pages are not on disk: their objects wait again, before those that came since.
    pub(super) fn refused(&self, pages: &[Page]) {
        let mut again = Vec::new();
        let mut slots = self.slots.borrow_mut();
        for entry in pages.iter().flat_map(|page| &page.entries) {
            if let Some(slot) = slots.get_mut(&entry.hash)
                && slot.home == Home::Writing
            {
                slot.home = Home::Waiting;
                again.push(entry.hash);
            }
        }
        let mut waiting = self.waiting.borrow_mut();
        again.append(&mut waiting);
        *waiting = again;
    }

    /// Learns of a page that is on disk.
    pub(super) fn learn(&self, number: PageNumber, entries: Vec<Entry>) {
        let mut slots = self.slots.borrow_mut();
        for entry in &entries {
            // What waits stays: it will be written once more than needed, and then be in two places.
            slots.entry(entry.hash).or_insert(Slot {
                home: Home::Page(number, entry.offset),
                len: entry.len,
                frame: None,
            });
        }
        drop(slots);
        self.insert_page(number, entries);
    }

    /// The number of the next page.
    pub(super) fn next_page(&self) -> PageNumber {
        self.newest.get().next()
    }

    fn insert_page(&self, number: PageNumber, entries: Vec<Entry>) {
        self.newest.set(self.newest.get().max(number));
        self.pages.borrow_mut().insert(number, entries);
    }

    /// Whether a page is known, as these entries say.
    pub(super) fn has_page(&self, number: PageNumber, entries: &[Entry]) -> bool {
        self.pages.borrow().get(&number).is_some_and(|known| known == entries)
    }

    /// Forgets pages that another tab has deleted.
    pub(super) fn keep_pages(&self, mut is_there: impl FnMut(PageNumber) -> bool) {
        let gone: Vec<PageNumber> =
            self.pages.borrow().keys().copied().filter(|number| !is_there(*number)).collect();
        for number in gone {
            self.forget_page(number);
        }
    }

    /// Forgets a page, and the objects that are nowhere else.
    pub(super) fn forget_page(&self, number: PageNumber) {
        let Some(entries) = self.pages.borrow_mut().remove(&number) else { return };
        let mut slots = self.slots.borrow_mut();
        for entry in entries {
            if slots
                .get(&entry.hash)
                .is_some_and(|slot| slot.home == Home::Page(number, entry.offset))
                && let Some(slot) = slots.remove(&entry.hash)
                && let Some(frame) = slot.frame
            {
                subtract(&self.resident_bytes, frame.len());
            }
        }
    }

    /// The pages in which less than half of the bytes is alive, each with what of it is.
    pub(super) fn sparse_pages(
        &self,
        is_alive: &dyn Fn(&ContentHash) -> bool,
    ) -> Vec<(PageNumber, Vec<ContentHash>)> {
        let slots = self.slots.borrow();
        let mut sparse = Vec::new();
        for (number, entries) in &*self.pages.borrow() {
            let here = |entry: &&Entry| {
                let home = slots.get(&entry.hash).map(|slot| slot.home);
                home == Some(Home::Page(*number, entry.offset)) && is_alive(&entry.hash)
            };
            let bytes = |entry: &Entry| u64::from(entry.len);
            let alive: u64 = entries.iter().filter(here).map(bytes).sum();
            let all: u64 = entries.iter().map(bytes).sum();
            if 2 * alive < all || entries.is_empty() {
                let alive = entries.iter().filter(here).map(|entry| entry.hash);
                sparse.push((*number, alive.collect()));
            }
        }
        sparse
    }

    /// Objects that are in a page and at hand wait to be written again, elsewhere.
    pub(super) fn rewrite(&self, hashes: &[ContentHash]) {
        let mut slots = self.slots.borrow_mut();
        for hash in hashes {
            if let Some(slot) = slots.get_mut(hash)
                && matches!(slot.home, Home::Page(..))
                && slot.frame.is_some()
            {
                slot.home = Home::Waiting;
                add(&self.waiting_bytes, slot.len as usize);
                self.waiting.borrow_mut().push(*hash);
            }
        }
    }

    /// Drops what waits and is not alive: nothing needs it, and it would only be written to be collected.
    pub(super) fn drop_waiting(&self, is_alive: &dyn Fn(&ContentHash) -> bool) -> (u64, u64) {
        let mut dropped = (0, 0);
        let mut slots = self.slots.borrow_mut();
        self.waiting.borrow_mut().retain(|hash| {
            if is_alive(hash) {
                return true;
            }
            if slots.get(hash).is_some_and(|slot| slot.home == Home::Waiting)
                && let Some(slot) = slots.remove(hash)
            {
                let len = slot.len as usize;
                subtract(&self.waiting_bytes, len);
                subtract(&self.resident_bytes, len);
                dropped.0 += 1;
                dropped.1 += u64::from(slot.len);
            }
            false
        });
        dropped
    }
}

impl ObjectStore for Objects {
    fn hash_kind(&self) -> HashKind {
        self.kind
    }

    fn put(&self, bytes: &[u8]) -> Result<Put, StoreError> {
        self.put_named(self.kind.hash(bytes), bytes)
    }

    fn put_many(&self, objects: &[&[u8]]) -> Result<Vec<Put>, StoreError> {
        let named = self.kind.hash_all(objects).into_iter().zip(objects);
        named.map(|(name, bytes)| self.put_named(name, bytes)).collect()
    }

    fn get_within(&self, hash: &ContentHash, limit: u64) -> Result<Vec<u8>, StoreError> {
        let opened = {
            let slots = self.slots.borrow();
            match slots.get(hash) {
                None => return Err(StoreError::Missing { hash: *hash }),
                Some(Slot { frame: None, .. }) => {
                    self.wanted.borrow_mut().push(*hash);
                    return Err(StoreError::Missing { hash: *hash });
                }
                Some(Slot { frame: Some(frame), .. }) => {
                    Frame::parse(frame).and_then(|frame| frame.within(limit)?.open(self.kind, hash))
                }
            }
        };
        opened.map_err(|error| {
            // A caller who wanted less has learnt nothing of the object.
            if !matches!(error, frame::FrameError::TooLong { limit: at, .. } if at == limit) {
                self.lose(hash);
            }
            StoreError::Frame { hash: *hash, error }
        })
    }

    fn exists(&self, hash: &ContentHash) -> Result<bool, StoreError> {
        Ok(self.slots.borrow().contains_key(hash))
    }

    /// What is on disk goes when its page does: see `collect`.
    fn delete(&self, hash: &ContentHash) -> Result<bool, StoreError> {
        Ok(self.drop_waiting(&|waiting| waiting != hash).0 > 0)
    }

    fn for_each(
        &self,
        visit: &mut dyn FnMut(ObjectInfo) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let infos: Vec<ObjectInfo> = self
            .slots
            .borrow()
            .iter()
            .map(|(hash, slot)| {
                let len = u64::from(slot.len);
                // Of a frame that is not at hand, only the length as stored is known.
                let raw = slot.frame.as_ref().and_then(|frame| Frame::parse(frame).ok());
                let raw_len = raw.map_or(len, |frame| frame.raw_len());
                ObjectInfo { hash: *hash, stored_len: len, raw_len }
            })
            .collect();
        infos.into_iter().try_for_each(visit)
    }
}
