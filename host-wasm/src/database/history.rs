// SPDX-License-Identifier: MIT
//! Histories: named lists of saved searches, to go back to any of them with its statistics.
//!
//! A history is a snapshot like any other, under a head of its name: its root commits to the list, and a version of the head that is
//! damaged is passed over. It maps
//!
//! | key | value |
//! |---|---|
//! | `history` | 4 bytes: version 1, zero, zero, zero |
//! | `next` | 4 bytes: the index that the next point gets, little-endian |
//! | `point/` and 4 bytes, the index, big-endian | a point |
//!
//! and a point is, little-endian:
//!
//! | offset | bytes | field |
//! |-------:|------:|-------|
//! | 0 | 32 | the saved search |
//! | 32 | 32 | root of its statistics |
//! | 64 | 8 each | states, playouts, bytes of the graph, milliseconds since 1970 |
//! | 96 | 4 | the point that it goes on from, or `ff ff ff ff` |
//! | 100 | 1 | the game: 0 a game written in JavaScript, 1 Connect Four, 2 Othello |
//! | 101 | 3 | zero |
//! | 104 | 4 | bytes of the moves |
//! | 108 | … | the moves, then to the end the label, in UTF-8 |

use cascow_core::hash::{ContentHash, HASH_LEN};
use cascow_core::record;
use cascow_core::snapshot::State;
use js_sys::{Object, Promise};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use super::objects::Objects;
use super::shared::{Shared, no_head};
use super::writing::Expected;
use super::{Database, is_strict, options};
use crate::board::GameName;
use crate::error::{Code, Failure};
use crate::js::{self, object};
use crate::search::{GameChoice, Search};

const VERSION: u8 = 1;
const HISTORY_KEY: &[u8] = b"history";
const NEXT_KEY: &[u8] = b"next";
const POINT_PREFIX: &[u8] = b"point/";
const FIXED_LEN: usize = 108;
const NO_PARENT: u32 = u32::MAX;

/// One saved search of a history.
#[derive(Clone, Debug, PartialEq)]
struct Point {
    checkpoint: ContentHash,
    statistics: ContentHash,
    states: u64,
    playouts: u64,
    bytes: u64,
    saved_at_millis: u64,
    parent: Option<u32>,
    game: Option<GameName>,
    moves: String,
    label: String,
}

impl Point {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(FIXED_LEN + self.moves.len() + self.label.len());
        bytes.extend_from_slice(self.checkpoint.as_bytes());
        bytes.extend_from_slice(self.statistics.as_bytes());
        for number in [self.states, self.playouts, self.bytes, self.saved_at_millis] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&self.parent.unwrap_or(NO_PARENT).to_le_bytes());
        let game = match self.game {
            None => 0,
            Some(GameName::Connect4) => 1,
            Some(GameName::Othello) => 2,
        };
        bytes.extend_from_slice(&[game, 0, 0, 0]);
        let moves_len = u32::try_from(self.moves.len()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&moves_len.to_le_bytes());
        bytes.extend_from_slice(self.moves.as_bytes());
        bytes.extend_from_slice(self.label.as_bytes());
        bytes
    }

    /// `None` if the bytes are no point.
    fn decode(bytes: &[u8]) -> Option<Self> {
        let (fixed, texts) = bytes.split_first_chunk::<FIXED_LEN>()?;
        let hash = |at: usize| {
            let mut hash = [0; HASH_LEN];
            hash.copy_from_slice(&fixed[at..at + HASH_LEN]);
            ContentHash::from_bytes(hash)
        };
        let number = |at: usize| {
            let mut number = [0; 8];
            number.copy_from_slice(&fixed[at..at + 8]);
            u64::from_le_bytes(number)
        };
        let small = |at: usize| {
            u32::from_le_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]])
        };
        let game = match fixed[100] {
            0 => None,
            1 => Some(GameName::Connect4),
            2 => Some(GameName::Othello),
            _ => return None,
        };
        let (moves, label) = texts.split_at_checked(usize::try_from(small(104)).ok()?)?;
        let point = Self {
            checkpoint: hash(0),
            statistics: hash(32),
            states: number(64),
            playouts: number(72),
            bytes: number(80),
            saved_at_millis: number(88),
            parent: Some(small(96)).filter(|parent| *parent != NO_PARENT),
            game,
            moves: str::from_utf8(moves).ok()?.to_owned(),
            label: str::from_utf8(label).ok()?.to_owned(),
        };
        // One encoding for each point.
        (point.encode() == bytes).then_some(point)
    }

    fn object(&self, index: u32) -> Object {
        let object = object! {
            "index": index,
            "label": self.label.as_str(),
            "game": self.game.map_or("custom", GameName::name),
            "moves": self.moves.as_str(),
            "checkpoint": self.checkpoint.to_string(),
            "statisticsRoot": self.statistics.to_string(),
            "states": js::number(self.states),
            "playouts": js::number(self.playouts),
            "bytes": js::number(self.bytes),
            "savedAt": js::number(self.saved_at_millis),
        };
        js::set_some(&object, "parent", self.parent);
        object
    }
}

/// The points of a history.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct History {
    next: u32,
    /// In ascending order of their indices.
    points: Vec<(u32, Point)>,
}

impl History {
    fn point(&self, index: u32) -> Option<&Point> {
        let place = self.points.binary_search_by_key(&index, |(index, _)| *index).ok()?;
        Some(&self.points[place].1)
    }

    fn insert(&mut self, index: u32, point: Point) {
        match self.points.binary_search_by_key(&index, |(index, _)| *index) {
            Ok(place) => self.points[place].1 = point,
            Err(place) => self.points.insert(place, (index, point)),
        }
    }

    /// The history that a state is; `None` if it is none.
    pub(super) fn of(state: &State) -> Result<Option<Self>, Failure> {
        let malformed = || Failure::new(Code::Damaged, "the history is malformed");
        let bytes = |key| state.get(key).map(|value| &*value.bytes);
        match bytes(HISTORY_KEY) {
            None => return Ok(None),
            Some([VERSION, 0, 0, 0]) => {}
            Some(_) => {
                let message = "the history is of a version that this build does not read";
                return Err(Failure::new(Code::Unsupported, message));
            }
        }
        let next = bytes(NEXT_KEY).and_then(|next| next.try_into().ok()).ok_or_else(malformed)?;
        let mut history = Self { next: u32::from_le_bytes(next), points: Vec::new() };
        for (key, value) in state.iter() {
            let Some(index) = key.strip_prefix(POINT_PREFIX) else { continue };
            let index = u32::from_be_bytes(index.try_into().map_err(|_| malformed())?);
            let point = Point::decode(&value.bytes).ok_or_else(malformed)?;
            history.insert(index, point);
        }
        Ok(Some(history))
    }

    fn state(&self) -> State {
        let mut state = State::new();
        state.write(HISTORY_KEY, [VERSION, 0, 0, 0]);
        state.write(NEXT_KEY, self.next.to_le_bytes());
        for (index, point) in &self.points {
            let key = [POINT_PREFIX, &index.to_be_bytes()].concat();
            state.write(key, point.encode());
        }
        state
    }

    pub(super) fn checkpoints(&self) -> impl Iterator<Item = ContentHash> {
        self.points.iter().map(|(_, point)| point.checkpoint)
    }

    /// As one file, for a bundle: the next index, then for each point its index, its length and itself. Numbers are 4 bytes,
    /// little-endian.
    pub(super) fn encode_list(&self) -> Vec<u8> {
        let mut list = self.next.to_le_bytes().to_vec();
        for (index, point) in &self.points {
            let point = point.encode();
            list.extend_from_slice(&index.to_le_bytes());
            list.extend_from_slice(&u32::try_from(point.len()).unwrap_or(u32::MAX).to_le_bytes());
            list.extend_from_slice(&point);
        }
        list
    }

    /// `None` if the bytes are none.
    pub(super) fn decode_list(list: &[u8]) -> Option<Self> {
        fn number(list: &mut &[u8]) -> Option<u32> {
            let (number, rest) = list.split_first_chunk::<4>()?;
            *list = rest;
            Some(u32::from_le_bytes(*number))
        }
        let mut rest = list;
        let mut history = Self { next: number(&mut rest)?, points: Vec::new() };
        while !rest.is_empty() {
            let (index, len) = (number(&mut rest)?, number(&mut rest)?);
            let (point, following) = rest.split_at_checked(usize::try_from(len).ok()?)?;
            rest = following;
            history.insert(index, Point::decode(point)?);
        }
        (history.encode_list() == list).then_some(history)
    }

    pub(super) fn objects(&self) -> js_sys::Array {
        js::list(self.points.iter().map(|(index, point)| point.object(*index)))
    }

    fn put(&self, objects: &Objects) -> Result<ContentHash, Failure> {
        Ok(record::write(objects, &self.state(), None)?.snapshot)
    }
}

fn no_point(index: u32) -> Failure {
    Failure::argument(format_args!("the history has no point {index}"))
}

impl Shared {
    /// The last whole version of a history; `None` if there is none.
    pub(super) async fn history(&self, name: &str) -> Result<Option<History>, Failure> {
        let Some(found) = self.whole_head(name).await? else { return Ok(None) };
        let read = |objects: &Objects| {
            let record = record::read(objects, &found.target)?;
            History::of(&record::read_state(objects, &record)?)
        };
        match self.read(read).await? {
            Some(history) => Ok(Some(history)),
            None => Err(Failure::argument("this head leads to something else than a history")),
        }
    }

    /// By one who has the turn: who read the history to change it must be the next to write it.
    pub(super) async fn save_history(
        &self,
        name: &str,
        history: &History,
        strict: bool,
    ) -> Result<(), Failure> {
        let target = history.put(self.objects())?;
        self.move_head_in_turn(name, target, Expected::Anything, strict).await?;
        Ok(())
    }
}

/// A point whose search has been put, and that no history has yet.
struct Saving {
    point: Point,
    replace: Option<u32>,
    is_strict: bool,
}

impl Saving {
    fn begin(shared: &Shared, search: &Search, options: &JsValue) -> Result<Self, Failure> {
        shared.check_open()?;
        let saved_at = js::whole_option(options, "savedAt")?;
        let saved_at = saved_at.or_else(|| js::whole(js_sys::Date::now().trunc()));
        let (replace, is_strict) =
            (js::small_option(options, "replace")?, is_strict(options, true)?);
        let parent = js::small_option(options, "parent")?;
        let label = js::text_option(options, "label")?.unwrap_or_default();
        let summary = search.summary()?;
        let point = Point {
            statistics: search.statistics_hash()?,
            checkpoint: search.save_to(shared.objects())?.checkpoint,
            states: summary.states,
            playouts: summary.playouts,
            bytes: summary.bytes,
            saved_at_millis: saved_at.unwrap_or(0),
            parent,
            game: summary.game,
            moves: summary.moves,
            label,
        };
        Ok(Self { point, replace, is_strict })
    }

    async fn finish(self, shared: &Shared, name: &str) -> Result<Object, Failure> {
        let _turn = shared.turns().take().await;
        let mut history = shared.history(name).await?.unwrap_or_default();
        let index = match self.replace {
            Some(index) if history.point(index).is_some() => index,
            Some(index) => return Err(no_point(index)),
            None => {
                let index = history.next;
                history.next = index.saturating_add(1);
                index
            }
        };
        let object = self.point.object(index);
        history.insert(index, self.point);
        shared.save_history(name, &history, self.is_strict).await?;
        Ok(object)
    }
}

#[wasm_bindgen]
impl Database {
    /// Saves a search as it is when this is called as a new point of a history, or in place of one, in one transaction with all its
    /// objects.
    ///
    /// # Errors
    /// `quota`, `storage`, `follower`, `closed`, `busy`, `argument`.
    #[wasm_bindgen(js_name = savePoint, unchecked_return_type = "Promise<Point>")]
    pub fn save_point(
        &self,
        name: String,
        search: &Search,
        #[wasm_bindgen(js_name = options, unchecked_optional_param_type = "PointOptions")]
        given: Option<Object>,
    ) -> Promise {
        let given = options(given);
        let shared = self.shared();
        js::promise(
            Saving::begin(&shared, search, &given)
                .map(|saving| async move { Ok(saving.finish(&shared, &name).await?.into()) }),
        )
    }

    /// The points of a history, in the order of their indices; none if there is no such history.
    ///
    /// # Errors
    /// `storage`; `argument` if the head leads to something else.
    #[wasm_bindgen(unchecked_return_type = "Point[]")]
    pub async fn points(&self, name: String) -> Result<JsValue, JsValue> {
        let history = self.shared().history(&name).await?.unwrap_or_default();
        Ok(history.objects().into())
    }

    /// Loads a point's search as it was, and says whether the root of its statistics is the one that was saved.
    ///
    /// # Errors
    /// `missing`, `damaged`, `head-missing`, `argument`, `storage`.
    #[wasm_bindgen(js_name = loadPoint, unchecked_return_type = "LoadedPoint")]
    pub async fn load_point(
        &self,
        name: String,
        index: u32,
        #[wasm_bindgen(unchecked_optional_param_type = "Game")] game: Option<Object>,
    ) -> Result<JsValue, JsValue> {
        let begun = js::now();
        let shared = self.shared();
        let history = shared.history(&name).await?.ok_or_else(|| no_head(&name))?;
        let point = history.point(index).ok_or_else(|| no_point(index))?;
        let game = match (point.game, game) {
            (Some(name), _) => GameChoice::BuiltIn(name),
            (None, Some(game)) => GameChoice::Custom(game.into()),
            (None, None) => {
                return Err(Failure::argument(
                    "this point needs its game, which is written in JavaScript",
                )
                .into());
            }
        };
        let search =
            Search::load_from(&shared, point.checkpoint, &game, point.moves.clone()).await?;
        let root_unchanged = search.statistics_hash()? == point.statistics;
        let states = js::number(search.summary()?.states);
        Ok(object! {
            "search": search,
            "point": point.object(index),
            "states": states,
            "millis": js::now() - begun,
            "rootUnchanged": root_unchanged,
        }
        .into())
    }

    /// Removes points. Their objects go with `collect`.
    ///
    /// # Errors
    /// `head-missing`, `storage`, `follower`, `closed`.
    #[wasm_bindgen(js_name = removePoints)]
    pub async fn remove_points(&self, name: String, indices: Vec<u32>) -> Result<(), JsValue> {
        let shared = self.shared();
        let _turn = shared.turns().take().await;
        let mut history = shared.history(&name).await?.ok_or_else(|| no_head(&name))?;
        history.points.retain(|(index, _)| !indices.contains(index));
        Ok(shared.save_history(&name, &history, true).await?)
    }
}

#[cfg(test)]
mod tests {
    use cascow_core::hash::HashKind;

    use super::*;

    fn point() -> Point {
        Point {
            checkpoint: HashKind::Sha256.hash(b"search"),
            statistics: HashKind::Sha256.hash(b"statistics"),
            states: 1,
            playouts: 2,
            bytes: 3,
            saved_at_millis: 4,
            parent: Some(5),
            game: Some(GameName::Othello),
            moves: "d3c5".to_owned(),
            label: "ein schöner Zug".to_owned(),
        }
    }

    #[test]
    fn a_history_is_read_back_from_its_state() {
        let mut history = History { next: 9, points: Vec::new() };
        history.insert(3, point());
        history.insert(8, Point { parent: None, game: None, ..point() });
        assert_eq!(History::of(&history.state()).unwrap().as_ref(), Some(&history));
        assert_eq!(History::decode_list(&history.encode_list()), Some(history.clone()));
        let list = history.encode_list();
        for len in 0..list.len() {
            assert_ne!(History::decode_list(&list[..len]), Some(history.clone()), "{len} bytes");
        }
        assert_eq!(History::of(&State::new()).unwrap(), None);
    }

    #[test]
    fn bytes_that_are_no_point_are_refused() {
        let bytes = point().encode();
        assert_eq!(Point::decode(&bytes), Some(point()));
        for len in 0..FIXED_LEN + 4 {
            assert_eq!(Point::decode(&bytes[..len]), None, "{len} bytes");
        }
        for (at, byte) in [(100, 7), (101, 1), (107, 1), (FIXED_LEN, 0xff)] {
            let mut wrong = bytes.clone();
            wrong[at] = byte;
            assert_eq!(Point::decode(&wrong), None, "byte {at}");
        }
    }
}
