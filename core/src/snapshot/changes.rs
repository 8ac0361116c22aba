// SPDX-License-Identifier: MIT
//! A snapshot's delta as it is kept in the tree: packed into one run of bytes, and a word that says which keys it touches.
//!
//! A single value without a note, by far the commonest delta in a search, is its own bytes and nothing else. Any other delta is
//!
//! | bytes | field |
//! |------:|-------|
//! | 4 | number of changes, n |
//! | 4 n | the keys' numbers, ascending |
//! | 4 n | where each one's value stands in the whole |
//! | … | the values, each as its length (4, with two flags: a whiteout, a note) ‖ length of the note (4) and note if there is one ‖ value |
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
pub(super) const MAX_LEN: usize = LEN as usize;

const WHITEOUT: u32 = 1 << 31;
const NOTED: u32 = 1 << 30;
const LEN: u32 = NOTED - 1;

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

/// Where in a delta a change stands: the offset of its value.
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
    pub(super) fn iter(self) -> impl Iterator<Item = (KeyId, Place)> + Clone {
        let single = self.single();
        let many = if single.is_some() { 0 } else { self.count() };
        single.into_iter().chain((0..many).map(move |n| (KeyId(self.id(n)), self.place(n))))
    }

    /// Number of changes.
    pub(super) fn len(self) -> usize {
        if self.single().is_some() { 1 } else { self.count() as usize }
    }

    /// Shows the keys.
    #[inline]
    pub(super) fn for_each_key(self, mut show: impl FnMut(KeyId)) {
        match self.single() {
            Some((key, _)) => show(key),
            None => (0..self.count()).for_each(|n| show(KeyId(self.id(n)))),
        }
    }

    /// Where the delta speaks of the key, if it does.
    #[inline]
    pub(super) fn find(self, key: KeyId) -> Option<Place> {
        if let Some((single, place)) = self.single() {
            return (single == key).then_some(place);
        }
        let count = self.count();
        if count == 0 {
            return None;
        }
        // The numbers of a whole state, imported at once, are consecutive.
        let guess = key.0.checked_sub(self.id(0))?;
        if guess < count && self.id(guess) == key.0 {
            return Some(self.place(guess));
        }
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.id(middle) < key.0 { low = middle + 1 } else { high = middle }
        }
        (low < count && self.id(low) == key.0).then(|| self.place(low))
    }

    fn single(self) -> Option<(KeyId, Place)> {
        let word = self.touched.0;
        let place = if word & DELETES == 0 { Place::ALONE } else { Place::ALONE_WHITEOUT };
        (word & MANY == 0).then_some((KeyId(word & !DELETES), place))
    }

    fn count(self) -> u32 {
        if self.payload.is_empty() { 0 } else { word(self.payload, 0) }
    }

    fn id(self, n: u32) -> u32 {
        word(self.payload, 4 * (1 + n as usize))
    }

    fn place(self, n: u32) -> Place {
        Place(word(self.payload, 4 * (1 + self.count() as usize + n as usize)))
    }
}

/// What a delta says at a place: a value, or `None` for a whiteout.
#[inline]
pub(super) fn value(payload: &[u8], place: Place) -> Option<ValueRef<'_>> {
    if place == Place::ALONE {
        return Some(payload.into());
    }
    if place == Place::ALONE_WHITEOUT {
        return None;
    }
    let start = place.0 as usize;
    let head = word(payload, start);
    let bytes = &payload[start + 4..][..(head & LEN) as usize];
    match head & (WHITEOUT | NOTED) {
        0 => Some(bytes.into()),
        NOTED => {
            let (note, bytes) = bytes[4..].split_at(word(bytes, 0) as usize);
            Some(ValueRef { bytes, note })
        }
        _ => None,
    }
}

#[inline]
fn word(bytes: &[u8], at: usize) -> u32 {
    // UNWRAP: four bytes are four bytes.
    u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("a word"))
}

/// A delta on its way into the tree.
pub(super) enum Packed<'a> {
    /// Of one change: what [`Payload`] is to hold.
    One(&'a [u8]),
    Many(Vec<u8>),
}

impl Packed<'_> {
    #[inline]
    pub(super) fn write(self, payload: &mut Payload) {
        match self {
            Self::One(bytes) => payload.insert_from_slice(0, bytes),
            Self::Many(bytes) if bytes.len() <= INLINE_LEN => {
                payload.insert_from_slice(0, &bytes);
            }
            Self::Many(bytes) => *payload = Payload::from_vec(bytes),
        }
    }
}

/// Packs a delta of one change. `None` if it is too long.
#[inline]
pub(super) fn pack_one(key: KeyId, value: Option<ValueRef<'_>>) -> Option<(Touched, Packed<'_>)> {
    match value {
        Some(value) if !value.note.is_empty() => pack_many(&[(key, Some(value))]),
        Some(value) if value.bytes.len() > MAX_LEN => None,
        Some(value) => Some((Touched::one(key, false), Packed::One(value.bytes))),
        None => Some((Touched::one(key, true), Packed::One(&[]))),
    }
}

/// Packs changes that ascend strictly by key number. `None` if they are too long for one delta.
pub(super) fn pack_many<'a>(
    changes: &[(KeyId, Option<ValueRef<'_>>)],
) -> Option<(Touched, Packed<'a>)> {
    let note_len = |value: &ValueRef<'_>| match value.note.len() {
        0 => 0,
        len => 4 + len,
    };
    let mut touched = Touched::NOTHING.0;
    // Offsets first: nothing is copied of what is too long.
    let mut places = Vec::with_capacity(changes.len());
    let mut len = changes.len().checked_mul(8)?.checked_add(4)?;
    for (key, value) in changes {
        touched |= filter(*key);
        places.push(len);
        let value = value.map_or(0, |value| value.bytes.len().saturating_add(note_len(&value)));
        len = len.checked_add(4)?.checked_add(value)?;
        if len > MAX_LEN {
            return None;
        }
    }
    let mut payload = Vec::with_capacity(len);
    // UNWRAP: none is above `MAX_LEN`.
    let put = |n: usize, flags: u32, payload: &mut Vec<u8>| {
        let word = u32::try_from(n).expect("a length fits in 30 bits") | flags;
        payload.extend_from_slice(&word.to_ne_bytes());
    };
    put(changes.len(), 0, &mut payload);
    changes.iter().for_each(|(key, _)| put(key.index(), 0, &mut payload));
    places.into_iter().for_each(|place| put(place, 0, &mut payload));
    for (_, value) in changes {
        match value {
            None => put(0, WHITEOUT, &mut payload),
            Some(value) if value.note.is_empty() => {
                put(value.bytes.len(), 0, &mut payload);
                payload.extend_from_slice(value.bytes);
            }
            Some(value) => {
                put(note_len(value) + value.bytes.len(), NOTED, &mut payload);
                put(value.note.len(), 0, &mut payload);
                payload.extend_from_slice(value.note);
                payload.extend_from_slice(value.bytes);
            }
        }
    }
    Some((Touched(touched), Packed::Many(payload)))
}
