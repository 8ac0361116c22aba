// SPDX-License-Identifier: MIT
//! Positions of the built-in games, as plain objects.

use cascow_core::games::connect4::Connect4;
use cascow_core::games::othello::Othello;
use cascow_core::games::{Board, Outcome, Side, after};
use cascow_core::hash::HashKind;
use js_sys::Object;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::error::{Code, Failure};
use crate::js::{self, object};

/// A game that the package has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GameName {
    Connect4,
    Othello,
}

impl GameName {
    pub(crate) fn parse(name: &str) -> Result<Self, Failure> {
        match name {
            "connect4" => Ok(Self::Connect4),
            "othello" => Ok(Self::Othello),
            _ => Err(Failure::argument("unknown game; use \"connect4\" or \"othello\"")),
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Connect4 => "connect4",
            Self::Othello => "othello",
        }
    }
}

/// The canonical bytes of a position: its packed words, little-endian.
pub(crate) fn canonical<B: Board>(board: &B) -> Vec<u8> {
    let mut words = vec![0; B::WORDS];
    board.pack(&mut words);
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// The position of canonical bytes; `None` if there are not as many as a position has.
pub(crate) fn of_canonical<B: Board>(bytes: &[u8]) -> Option<B> {
    let (words, rest) = bytes.as_chunks::<4>();
    let words: Vec<u32> = words.iter().map(|word| u32::from_le_bytes(*word)).collect();
    (rest.is_empty() && words.len() == B::WORDS).then(|| B::unpack(&words))
}

pub(crate) fn start<B: Board>(moves: &str) -> Result<B, Failure> {
    after(B::START, moves).map_err(|error| Failure::new(Code::IllegalMove, error))
}

pub(crate) const fn side(side: Side) -> &'static str {
    match side {
        Side::First => "first",
        Side::Second => "second",
    }
}

pub(crate) fn view<B: Board>(game: GameName, board: &B) -> Object {
    let [rows, columns] = match game {
        GameName::Connect4 => [6, 7],
        GameName::Othello => [8, 8_u32],
    };
    // The board's own picture: a mark for each place from above, between names that have none of these letters.
    let picture = board.to_string();
    let cells = picture.chars().filter_map(|mark| match mark {
        '.' => Some(0),
        'X' => Some(1),
        'O' => Some(2),
        _ => None,
    });
    let cells: Vec<u8> = cells.collect();
    let bytes = canonical(board);
    let object = object! {
        "game": game.name(),
        "rows": rows,
        "columns": columns,
        "cells": js::array(&cells),
        "turn": side(board.turn()),
        "moves": js::list(board.moves().map(|action| action.to_string())),
        "bytes": js::array(&bytes),
        "hash": HashKind::Sha256.hash(&bytes).to_string(),
    };
    let outcome = board.outcome().map(|outcome| match outcome {
        Outcome::Win(winner) => side(winner),
        Outcome::Draw => "draw",
    });
    js::set_some(&object, "outcome", outcome);
    object
}

/// The position after moves from the start.
///
/// # Errors
/// `argument`, `illegal-move`.
#[wasm_bindgen(unchecked_return_type = "Board")]
pub fn board(
    #[wasm_bindgen(unchecked_param_type = "GameName")] game: &str,
    moves: Option<String>,
) -> Result<JsValue, JsValue> {
    let (game, moves) = (GameName::parse(game)?, moves.unwrap_or_default());
    Ok(match game {
        GameName::Connect4 => view(game, &start::<Connect4>(&moves)?),
        GameName::Othello => view(game, &start::<Othello>(&moves)?),
    }
    .into())
}

/// The position of canonical bytes. Any bytes, as long as they are as many as they should be, give some position.
///
/// # Errors
/// `argument`.
#[wasm_bindgen(js_name = boardOf, unchecked_return_type = "Board")]
pub fn board_of(
    #[wasm_bindgen(unchecked_param_type = "GameName")] game: &str,
    bytes: &[u8],
) -> Result<JsValue, JsValue> {
    let game = GameName::parse(game)?;
    let board = match game {
        GameName::Connect4 => of_canonical::<Connect4>(bytes).map(|board| view(game, &board)),
        GameName::Othello => of_canonical::<Othello>(bytes).map(|board| view(game, &board)),
    };
    let wrong = || Failure::argument("these are not as many bytes as a position of this game has");
    Ok(board.ok_or_else(wrong)?.into())
}
