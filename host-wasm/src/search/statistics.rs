// SPDX-License-Identifier: MIT
//! The statistics of a search as a state: what each position was worth, committed to and proven one by one.
//!
//! The key is a position's canonical bytes, the value 24 bytes, little-endian:
//!
//! | offset | bytes | field |
//! |-------:|------:|-------|
//! | 0 | 8 | visits |
//! | 8 | 8 | value in the first player's view, an IEEE 754 double |
//! | 16 | 1 | proven at least, in halves: 0, 1 or 2 |
//! | 17 | 1 | proven at most |
//! | 18 | 1 | flags: 1 nothing left to learn, 2 the game is over |
//! | 19 | 1 | who decides: 0 first, 1 second, 2 chance |
//! | 20 | 4 | zero |

use cascow_core::hash::HashKind;
use cascow_core::merkle::{StateRoot, StateTrie};
use cascow_core::search::Turn;
use js_sys::Object;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use super::engine::{Engine, NodeFacts};
use super::view;
use crate::error::Failure;
use crate::js::{self, object};

const LEN: usize = 24;
const COMPLETE: u8 = 1;
const TERMINAL: u8 = 2;

fn encode(node: &NodeFacts) -> [u8; LEN] {
    let halves = |bound: f64| u8::from(bound >= 0.5) + u8::from(bound >= 1.0);
    let flag = |is_set: bool, bit: u8| if is_set { bit } else { 0 };
    let turn = match node.turn {
        Turn::First => 0,
        Turn::Second => 1,
        Turn::Chance => 2,
    };
    let mut bytes = [0; LEN];
    bytes[..8].copy_from_slice(&node.visits.to_le_bytes());
    bytes[8..16].copy_from_slice(&node.value.to_le_bytes());
    bytes[16..20].copy_from_slice(&[
        halves(node.bounds.0),
        halves(node.bounds.1),
        flag(node.is_complete, COMPLETE) | flag(node.evaluation.terminal, TERMINAL),
        turn,
    ]);
    bytes
}

/// All statistics of a search, hashed: 64 bytes a node.
pub(super) struct Statistics {
    trie: StateTrie,
    root: StateRoot,
}

impl Statistics {
    /// O(n) hashes.
    pub(super) fn of(engine: &dyn Engine) -> Self {
        let mut entries: Vec<(Vec<u8>, [u8; LEN])> = Vec::with_capacity(engine.len());
        engine.each_node(&mut |node| entries.push((node.state.clone(), encode(&node))));
        let entries = entries.iter().map(|(state, value)| (state.as_slice(), value.as_slice()));
        let trie = StateTrie::new(HashKind::Sha256, entries);
        let root = trie.root();
        Self { trie, root }
    }

    pub(super) const fn root(&self) -> StateRoot {
        self.root
    }

    /// A proof of what is known of a position, which is `node` if there is one.
    pub(super) fn prove(&self, state: &[u8], node: Option<&NodeFacts>) -> Result<Object, Failure> {
        let value = node.map(encode);
        let proof = self.trie.prove(state, value.as_ref().map(<[u8; LEN]>::as_slice))?;
        Ok(object! {
            "proof": js::array(&proof),
            "root": self.root.to_string(),
            "present": value.is_some(),
        })
    }
}

/// Reads the value that a proof about a search's statistics shows.
///
/// # Errors
/// `argument`: it is none.
#[wasm_bindgen(js_name = statisticsOf, unchecked_return_type = "NodeStatistics")]
pub fn statistics_of(value: &[u8]) -> Result<JsValue, JsValue> {
    let wrong = || Failure::argument("this is not the value of a position's statistics");
    let value: &[u8; LEN] = value.try_into().map_err(|_| wrong())?;
    let [visits, worth] = [0, 8].map(|at| {
        let mut word = [0; 8];
        word.copy_from_slice(&value[at..at + 8]);
        word
    });
    let [lowest @ 0..=2, highest @ 0..=2, flags @ 0..=3, turn, 0, 0, 0, 0] = value[16..] else {
        return Err(wrong().into());
    };
    let turn = match turn {
        0 => Turn::First,
        1 => Turn::Second,
        2 => Turn::Chance,
        _ => return Err(wrong().into()),
    };
    Ok(object! {
        "visits": js::number(u64::from_le_bytes(visits)),
        "value": f64::from_le_bytes(worth),
        "lowest": f64::from(lowest) / 2.0,
        "highest": f64::from(highest) / 2.0,
        "complete": flags & COMPLETE != 0,
        "terminal": flags & TERMINAL != 0,
        "turn": view::turn(turn),
    }
    .into())
}
