// SPDX-License-Identifier: MIT
//! A game written in JavaScript.
//!
//! Its methods are called while the search is out of its cell and nothing is borrowed; a method that calls back into that search
//! is told that it is busy. What a method throws ends the batch and is passed on as it is.

use cascow_core::search::rand_core::Rng;
use cascow_core::search::{
    Action, Choice, Evaluation, Game, Generator, MAX_WORDS, Packed, Repetition, Turn,
};
use js_sys::{Array, Function, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};

use crate::error::{Code, Failure};
use crate::js;

/// Bytes of the words that a state may have.
const ROOM: usize = 4 * MAX_WORDS;

/// A state of up to 63 bytes; the last byte of its room says how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CustomState([u8; ROOM]);

impl CustomState {
    /// `None` if there are too many.
    pub(super) fn new(bytes: &[u8]) -> Option<Self> {
        let mut room = [0; ROOM];
        room[..ROOM - 1].get_mut(..bytes.len())?.copy_from_slice(bytes);
        room[ROOM - 1] = u8::try_from(bytes.len()).ok()?;
        Some(Self(room))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        // Of a hostile checkpoint, the length may be any.
        let len = usize::from(self.0[ROOM - 1]).min(ROOM - 1);
        &self.0[..len]
    }
}

impl Packed for CustomState {
    const WORDS: usize = MAX_WORDS;

    fn pack(&self, words: &mut [u32]) {
        for (word, bytes) in words.iter_mut().zip(self.0.as_chunks::<4>().0) {
            *word = u32::from_le_bytes(*bytes);
        }
    }

    fn unpack(words: &[u32]) -> Self {
        let mut room = [0; ROOM];
        for (bytes, word) in room.as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *bytes = word.to_le_bytes();
        }
        Self(room)
    }
}

/// The game: its object, and the methods of it, which are looked up once.
pub(super) struct Custom {
    object: JsValue,
    turn: Option<Function>,
    actions: Function,
    apply: Function,
    evaluate: Function,
}

impl Custom {
    /// The game that an object describes.
    pub(super) fn new(object: &JsValue) -> Result<Self, Failure> {
        let method = |name| {
            js::method(object, name).ok_or_else(|| {
                Failure::argument(format_args!("a game must have a method `{name}`"))
            })
        };
        Ok(Self {
            turn: js::method(object, "turn"),
            actions: method("actions")?,
            apply: method("apply")?,
            evaluate: method("evaluate")?,
            object: object.clone(),
        })
    }

    /// Where it begins.
    pub(super) fn start(&self) -> Result<CustomState, Failure> {
        let start = js::field(&self.object, "start");
        let start = start.dyn_ref::<Uint8Array>().map(Uint8Array::to_vec);
        start.as_deref().and_then(CustomState::new).ok_or_else(|| {
            Failure::argument("a game's `start` must be a Uint8Array of at most 63 bytes")
        })
    }

    fn call(&self, method: &Function, state: &CustomState) -> Result<JsValue, Failure> {
        method.call1(&self.object, &js::array(state.bytes())).map_err(Failure::Thrown)
    }
}

fn broken(what: &str) -> Failure {
    Failure::new(Code::Game, what)
}

fn action(value: &JsValue) -> Result<Action, Failure> {
    let number = value.as_f64().and_then(js::whole).and_then(|number| u32::try_from(number).ok());
    number.map(Action).ok_or_else(|| broken("an action must be a whole number from 0 below 2^32"))
}

impl Game for Custom {
    type State = CustomState;
    type Error = Failure;

    /// Nobody promised that states cannot recur.
    const REPETITION: Repetition = Repetition::Avoid;

    fn turn(&self, state: &CustomState) -> Turn {
        let Some(turn) = &self.turn else { return Turn::First };
        // It cannot fail here: a turn that throws, or is none, is the first player's.
        match self.call(turn, state).ok().and_then(|turn| turn.as_string()).as_deref() {
            Some("second") => Turn::Second,
            Some("chance") => Turn::Chance,
            _ => Turn::First,
        }
    }

    fn actions(&mut self, state: &CustomState, out: &mut Vec<Choice>) -> Result<(), Failure> {
        let given = self.call(&self.actions, state)?;
        let items = js::items(&given).map_err(|failure| match failure {
            Failure::Thrown(_) => failure,
            _ => broken("`actions` must give something that can be iterated over"),
        })?;
        for item in items {
            out.push(match item.dyn_ref::<Array>() {
                None => Choice::new(action(&item)?),
                Some(pair) => {
                    let prior =
                        pair.get(1).as_f64().ok_or_else(|| broken("a prior must be a number"))?;
                    #[expect(
                        clippy::cast_possible_truncation,
                        reason = "priors are kept as 32 bits"
                    )]
                    let prior = prior as f32;
                    Choice { action: action(&pair.get(0))?, prior }
                }
            });
        }
        Ok(())
    }

    fn apply(
        &mut self,
        state: &CustomState,
        action: Action,
    ) -> Result<Option<CustomState>, Failure> {
        let next = self
            .apply
            .call2(&self.object, &js::array(state.bytes()), &action.0.into())
            .map_err(Failure::Thrown)?;
        if next.is_null() || next.is_undefined() {
            return Ok(None);
        }
        let next = next.dyn_ref::<Uint8Array>().map(Uint8Array::to_vec);
        let next = next
            .as_deref()
            .and_then(CustomState::new)
            .ok_or_else(|| broken("`apply` must give null or a Uint8Array of at most 63 bytes"))?;
        Ok((next != *state).then_some(next))
    }

    fn evaluate(
        &mut self,
        state: &CustomState,
        generator: &mut Generator,
    ) -> Result<Evaluation, Failure> {
        let seed = generator.next_u32();
        let given = self
            .evaluate
            .call2(&self.object, &js::array(state.bytes()), &seed.into())
            .map_err(Failure::Thrown)?;
        if let Some(value) = given.as_f64() {
            return Ok(Evaluation::estimate(value));
        }
        let value = js::field(&given, "value").as_f64();
        let value = value.ok_or_else(|| {
            broken("`evaluate` must give a number, or an object with a number `value`")
        })?;
        Ok(Evaluation { value, terminal: js::field(&given, "terminal").is_truthy() })
    }
}
