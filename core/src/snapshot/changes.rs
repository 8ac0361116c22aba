// SPDX-License-Identifier: MIT
//! A snapshot's delta as it is kept in the tree: packed into one run of bytes, and a word that says which keys it touches.
//!
//! A single value without a note, by far the commonest delta in a search, is its own bytes and nothing else. Any other delta is
//!
//! | bytes | field |
//! |------:|-------|
//! | 4 | number of changes, n |
//! | 4 n | the keys' numbers, ascending |
//! | 4 n | where each value begins in the rest; its two highest bits: a whiteout, a note before the value |
//! | … | the values, a noted one as length of the note (4) ‖ note ‖ value |
//!
//! Numbers are in the processor's byte order: nothing here leaves memory.

use alloc::vec::Vec;

use smallvec::SmallVec;

use super::ValueRef;
use super::keys::KeyId;

/// Bytes of a delta that stand in their snapshot's slot: one digest, board or counter of a search. With them a slot is one cache
/// line of 64 bytes.
const INLINE_LEN: usize = 32;

pub(super) type Payload = SmallVec<[u8; INLINE_LEN]>;

/// A delta's bytes are counted with 30 bits.
pub(super) const MAX_LEN: usize = (1 << 30) - 1;

const WHITEOUT: u32 = 1 << 31;
const NOTED: u32 = 1 << 30;
const OFFSET: u32 = NOTED - 1;

/// Which keys a delta touches: the one key, or a filter of 31 bits over many.
#[derive(Clone, Copy, Debug)]
pub(super) struct Touched(u32);

const MANY: u32 = 1 << 31;
const DELETES: u32 = 1 << 30;

/// A key that is looked for in many deltas.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) key: KeyId,
    filter: u32,
}

impl Wanted {
    pub(super) const fn new(key: KeyId) -> Self {
        Self { key, filter: filter(key) }
    }
}

/// One of 31 bits: numbers given one after the other have different bits.
const fn filter(key: KeyId) -> u32 {
    1 << (key.0 % 31)
}

impl Touched {
    /// What a delta without changes touches, and a free slot.
    pub(super) const NOTHING: Self = Self(MANY);

    const fn one(key: KeyId, is_whiteout: bool) -> Self {
        Self(if is_whiteout { key.0 | DELETES } else { key.0 })
    }

    /// Whether the delta may touch the key: surely if it touches one key only.
    #[inline]
    pub(super) const fn may_include(self, wanted: Wanted) -> bool {
        if self.0 & MANY == 0 {
            self.0 & !DELETES == wanted.key.0
        } else {
            self.0 & wanted.filter != 0
        }
    }
}

/// Where in a delta a change stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(u32);

impl Place {
    /// The delta is one value, and its bytes are the value's.
    pub(super) const ALONE: Self = Self(u32::MAX);
    /// The delta is one whiteout.
    const ALONE_WHITEOUT: Self = Self(u32::MAX - 1);
}

/// A delta in its packed form.
#[derive(Clone, Copy, Debug)]
pub(super) struct Changes<'a> {
    touched: Touched,
    payload: &'a [u8],
}

impl<'a> Changes<'a> {
    pub(super) const fn new(touched: Touched, payload: &'a [u8]) -> Self {
        Self { touched, payload }
    }

    /// The keys and the places of what the delta says of them, ascending by number.
    pub(super) fn iter(self) -> impl Iterator<Item = (KeyId, Place)> {
        let single = self.single();
        let many = if single.is_some() { 0 } else { self.count() };
        let nth = move |n: u32| (KeyId(self.word(1 + n as usize)), Place(n));
        single.into_iter().chain((0..many).map(nth))
    }

    /// Where the delta speaks of the key, if it does.
    #[inline]
    pub(super) fn find(self, key: KeyId) -> Option<Place> {
        if let Some((single, place)) = self.single() {
            return (single == key).then_some(place);
        }
        let count = self.count();
        let id = |n: u32| self.word(1 + n as usize);
        // The numbers of a whole state, imported at once, are consecutive.
        let first = if count > 0 { id(0) } else { return None };
        let guess = key.0.checked_sub(first)?;
        if guess < count && id(guess) == key.0 {
            return Some(Place(guess));
        }
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = low + (high - low) / 2;
            if id(middle) < key.0 { low = middle + 1 } else { high = middle }
        }
        (low < count && id(low) == key.0).then_some(Place(low))
    }

    fn single(self) -> Option<(KeyId, Place)> {
        let word = self.touched.0;
        let place = if word & DELETES == 0 { Place::ALONE } else { Place::ALONE_WHITEOUT };
        (word & MANY == 0).then_some((KeyId(word & !DELETES), place))
    }

    fn count(self) -> u32 {
        if self.payload.is_empty() { 0 } else { self.word(0) }
    }

    fn word(self, n: usize) -> u32 {
        word(self.payload, n)
    }
}

/// What a delta says at a place: a value, or `None` for a whiteout.
#[inline]
pub(super) fn value(payload: &[u8], place: Place) -> Option<ValueRef<'_>> {
    if place == Place::ALONE { Some(payload.into()) } else { packed_value(payload, place) }
}

fn packed_value(payload: &[u8], place: Place) -> Option<ValueRef<'_>> {
    if place == Place::ALONE_WHITEOUT {
        return None;
    }
    let (count, at) = (word(payload, 0) as usize, place.0 as usize);
    let start = word(payload, 1 + count + at);
    if start & WHITEOUT != 0 {
        return None;
    }
    let rest = &payload[4 * (1 + 2 * count)..];
    let end =
        if at + 1 < count { (word(payload, 2 + count + at) & OFFSET) as usize } else { rest.len() };
    let bytes = &rest[(start & OFFSET) as usize..end];
    if start & NOTED == 0 {
        return Some(bytes.into());
    }
    let (note, bytes) = bytes[4..].split_at(word(bytes, 0) as usize);
    Some(ValueRef { bytes, note })
}

fn word(bytes: &[u8], n: usize) -> u32 {
    // UNWRAP: four bytes are four bytes.
    u32::from_ne_bytes(bytes[4 * n..4 * n + 4].try_into().expect("a word"))
}

/// Packs a delta of one change.
#[inline]
pub(super) fn pack_one(key: KeyId, value: Option<ValueRef<'_>>) -> Option<(Touched, Payload)> {
    match value {
        Some(value) if !value.note.is_empty() => pack_many(&[(key, Some(value))]),
        Some(value) if value.bytes.len() > MAX_LEN => None,
        Some(value) => Some((Touched::one(key, false), value.bytes.into())),
        None => Some((Touched::one(key, true), Payload::new())),
    }
}

/// Packs changes that ascend strictly by key number. `None` if they are too long for one delta.
pub(super) fn pack_many(changes: &[(KeyId, Option<ValueRef<'_>>)]) -> Option<(Touched, Payload)> {
    let mut touched = Touched::NOTHING.0;
    let mut starts = Vec::with_capacity(changes.len());
    let mut len = 0usize;
    for (key, value) in changes {
        touched |= filter(*key);
        let start = u32::try_from(len).ok()?;
        starts.push(match value {
            None => start | WHITEOUT,
            Some(value) if value.note.is_empty() => start,
            Some(_) => start | NOTED,
        });
        if let Some(value) = value {
            let note = if value.note.is_empty() { 0 } else { 4 + value.note.len() };
            len = len.checked_add(note)?.checked_add(value.bytes.len())?;
        }
        if len > MAX_LEN {
            return None;
        }
    }
    let count = u32::try_from(changes.len()).ok()?;
    let mut payload = Payload::new();
    payload.reserve_exact(4 * (1 + 2 * changes.len()) + len);
    payload.extend_from_slice(&count.to_ne_bytes());
    for (key, _) in changes {
        payload.extend_from_slice(&key.0.to_ne_bytes());
    }
    for start in starts {
        payload.extend_from_slice(&start.to_ne_bytes());
    }
    for value in changes.iter().filter_map(|(_, value)| *value) {
        if !value.note.is_empty() {
            // UNWRAP: it is shorter than `MAX_LEN`.
            let note_len = u32::try_from(value.note.len()).expect("a note's length fits");
            payload.extend_from_slice(&note_len.to_ne_bytes());
            payload.extend_from_slice(value.note);
        }
        payload.extend_from_slice(value.bytes);
    }
    Some((Touched(touched), payload))
}
